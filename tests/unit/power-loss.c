/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/power-loss.h"

#include <glib.h>
#include <string.h>

static void test_lost(void) {
    static const struct {
        const char *persistence, *says;
        bool whole;
    } cases[] = {
        { "volatile", "lost at power-off", true },
        { "flush", "the host below", false },
        { "none", "domain is none", false },
        { "unknown", "domain is unknown", false },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_nonnull(strstr(power_loss(cases[i].persistence), cases[i].says));
        g_assert_cmpint(power_loss_is_whole(cases[i].persistence), ==, cases[i].whole);
    }
}

static void test_kept(void) {
    static const char *const kept[] = { "memory_controller", "cpu_cache", "file", "", NULL };

    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_assert_null(power_loss(kept[i]));
        g_assert_false(power_loss_is_whole(kept[i]));
    }
}

int main(int argc, char *argv[]) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/power-loss/lost", test_lost);
    g_test_add_func("/power-loss/kept", test_kept);
    return g_test_run();
}
