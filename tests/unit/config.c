/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* pmemd.conf: defaults, every key, what is refused and what is only warned about. */
#include "daemon/config.h"

#include "proto/error.h"

#include <glib/gstdio.h>
#include <string.h>

/* The configuration that text gives; must_exist as asked for. */
static Config *load(const char *text, GError **error) {
    g_autofree char *dir = g_dir_make_tmp("pmemd-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "pmemd.conf", NULL);

    g_assert_nonnull(dir);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    Config *config = config_load(path, true, error);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    return config;
}

static void assert_defaults(const Config *config) {
    g_assert_cmpstr(config->bus, ==, "system");
    g_assert_cmpstr(config->backend, ==, "ndctl");
    g_assert_cmpstr(config->state_dir, ==, "/var/lib/pmemd");
    g_assert_cmpint(config->default_profile, ==, PROFILE_XEN);
    g_assert_cmpuint(config->max_queue, ==, 256);
    g_assert_cmpuint(config->max_queue_per_user, ==, 64);
    g_assert_false(config->allow_unknown_persistence);
    g_assert_cmpuint(config->warnings->len, ==, 0);
}

static void test_defaults(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) absent = config_load("/nonexistent/pmemd.conf", false, &error);
    g_assert_no_error(error);
    assert_defaults(absent);

    g_autoptr(Config) empty = load("", &error);
    g_assert_no_error(error);
    assert_defaults(empty);

    g_assert_null(config_load("/nonexistent/pmemd.conf", true, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
}

static void test_all_keys(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config =
        load("# a comment\n[pmemd]\nBus=unix:path=/run/x\nBackend=file:/srv/pmem\nStateDir=/srv/state\n"
             "DefaultProfile=none\nMaxQueue=65536\nMaxQueuePerUser=1\nStuckAfterSec=3\nAllowUnknownPersistence=true\n",
             &error);

    g_assert_no_error(error);
    g_assert_cmpstr(config->bus, ==, "unix:path=/run/x");
    g_assert_cmpstr(config->backend, ==, "file:/srv/pmem");
    g_assert_cmpstr(config->state_dir, ==, "/srv/state");
    g_assert_cmpint(config->default_profile, ==, PROFILE_NONE);
    g_assert_cmpuint(config->max_queue, ==, 65536);
    g_assert_cmpuint(config->max_queue_per_user, ==, 1);
    g_assert_cmpuint(config->stuck_after_sec, ==, 3);
    g_assert_true(config->allow_unknown_persistence);
    g_assert_cmpuint(config->warnings->len, ==, 0);
}

static void test_unknown_is_warned_about(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load("[pmemd]\nMaxQeue=1\n[pmem]\nBus=nonsense\n", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(config->warnings->len, ==, 2);
    g_assert_nonnull(strstr(config->warnings->pdata[0], "[pmem]"));
    g_assert_nonnull(strstr(config->warnings->pdata[1], "MaxQeue"));
    g_assert_cmpuint(config->max_queue, ==, 256);
}

static void test_refused(void) {
    static const struct {
        const char *text, *key, *value;
    } rows[] = {
        { "Bus=nonsense", "Bus", "nonsense" },
        { "Bus=", "Bus", "''" },
        { "Backend=file:", "Backend", "file:" },
        { "Backend=sysfs", "Backend", "sysfs" },
        { "StateDir=state", "StateDir", "absolute" },
        { "DefaultProfile=XEN", "DefaultProfile", "XEN" },
        { "MaxQueue=0", "MaxQueue", "'0'" },
        { "MaxQueue=65537", "MaxQueue", "65537" },
        { "MaxQueue=18446744073709551617", "MaxQueue", "18446744073709551617" },
        { "MaxQueuePerUser=-1", "MaxQueuePerUser", "-1" },
        { "MaxQueuePerUser=ten", "MaxQueuePerUser", "ten" },
        { "AllowUnknownPersistence=perhaps", "AllowUnknownPersistence", "perhaps" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[pmemd]\n%s\n", rows[i].text);
        g_autoptr(GError) error = NULL;

        g_assert_null(load(text, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, rows[i].key));
        g_assert_nonnull(strstr(error->message, rows[i].value));
        g_assert_nonnull(strstr(error->message, "pmemd.conf"));
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/all-keys", test_all_keys);
    g_test_add_func("/config/unknown-is-warned-about", test_unknown_is_warned_about);
    g_test_add_func("/config/refused", test_refused);
    return g_test_run();
}
