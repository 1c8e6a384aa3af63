/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Numbers of configuration files: what is one, and what is none. */
#include "daemon/number.h"

#include <glib.h>

static void test_numbers(void) {
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } rows[] = {
        { "0", true, 0 },
        { "17", true, 17 },
        { "0x1F", true, 31 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "0xffffffffffffffff", true, UINT64_MAX },
        { "0x10000000000000000", false, 0 },
        { "1K", true, 1024 },
        { "3m", true, 3u << 20 },
        { "4G", true, UINT64_C(4) << 30 },
        { "16777215T", true, UINT64_C(16777215) << 40 },
        { "16777216T", false, 0 },
        { "K", false, 0 },
        { "", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "+1", false, 0 },
        { "-0", false, 0 },
        { "0x", false, 0 },
        { "0x0x1", false, 0 },
        { "1KK", false, 0 },
        { "1KiB", true, 1024 },
        { "3mib", true, 3u << 20 },
        { "4GIB", true, UINT64_C(4) << 30 },
        { "16777216TiB", false, 0 },
        { "1KB", false, 0 },
        { "1iB", false, 0 },
        { "KiB", false, 0 },
        { "1 KiB", false, 0 },
        { "0x1KiB", false, 0 },
        { "1KiBiB", false, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t bytes = 77;

        g_test_message("'%s'", rows[i].text);
        g_assert_cmpint(number_parse_bytes(rows[i].text, &bytes), ==, rows[i].ok);
        g_assert_cmpuint(bytes, ==, rows[i].ok ? rows[i].bytes : 77);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/number/bytes", test_numbers);
    return g_test_run();
}
