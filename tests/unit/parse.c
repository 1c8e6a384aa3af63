/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/parse: numbers as people write them.
 */
#include "client/parse.h"

#include "tests/lib/test-budget.h"

#include <string.h>

typedef bool (*ParseFunc)(const char *text, uint64_t *ret_value, GError **error);

typedef struct {
    const char *text;
    uint64_t value;
} Good;

static void check_good(ParseFunc func, const Good *good, size_t n) {
    for (size_t i = 0; i < n; i++) {
        g_autoptr(GError) error = NULL;
        uint64_t value = 1234567;
        g_test_message("'%s'", good[i].text);
        g_assert_true(func(good[i].text, &value, &error));
        g_assert_no_error(error);
        g_assert_cmphex(value, ==, good[i].value);
    }
}

static void check_bad(ParseFunc func, const char *const *bad, size_t n) {
    for (size_t i = 0; i < n; i++) {
        g_autoptr(GError) error = NULL;
        uint64_t value = 1234567;
        g_test_message("'%s'", bad[i]);
        g_assert_false(func(bad[i], &value, &error));
        g_assert_error(error, PARSE_ERROR, PARSE_ERROR_USAGE);
        g_assert_nonnull(strstr(error->message, bad[i]));
        g_assert_cmpuint(value, ==, 1234567);
    }
}

static void test_frame(void) {
    static const Good good[] = {
        { "0", 0 },
        { "0x0", 0 },
        { "010", 10 }, /* no octal */
        { "4718592", 0x480000 },
        { "0x480000", 0x480000 },
        { "0X48aBcD", 0x48abcd },
        { "18446744073709551615", UINT64_MAX },
        { "0xffffffffffffffff", UINT64_MAX },
        { "0x00000000000000000000001", 1 },
    };
    static const char *const bad[] = {
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "-0x1",
        "0x",
        "x1",
        "0x1g",
        "48000h",
        "1.0",
        "1e3",
        "4K",
        "١",
        "0x-1",
        "0x 1",
        "0xx1",
        "12,3",
        "18446744073709551616",
        "0x10000000000000000",
        "99999999999999999999999999999999999999",
        "36893488147419103233", /* 2^65 + 1: wraps twice */
    };
    check_good(parse_frame, good, G_N_ELEMENTS(good));
    check_bad(parse_frame, bad, G_N_ELEMENTS(bad));
}

static void test_address(void) {
    static const Good good[] = {
        { "0", 0 },
        { "0x2c0001000", UINT64_C(0x2c0001000) },
        { "11811164160", UINT64_C(0x2c0001000) },
        { "0XFFFFFFFFFFFFFFFF", UINT64_MAX },
    };
    static const char *const bad[] = {
        "", "2c0001000", "0x", "2c0001000h", "-1", " 1", "1 ", "1.0", "4K", "0x10000000000000000",
    };
    check_good(parse_address, good, G_N_ELEMENTS(good));
    check_bad(parse_address, bad, G_N_ELEMENTS(bad));
}

static void test_size(void) {
    static const Good good[] = {
        { "0", 0 },
        { "1", 1 },
        { "1B", 1 },
        { "4096b", 4096 },
        { "1k", 1 << 10 },
        { "3K", 3 << 10 },
        { "3KiB", 3 << 10 },
        { "512M", 512 << 20 },
        { "512mib", 512 << 20 },
        { "4G", UINT64_C(4) << 30 },
        { "4GiB", UINT64_C(4) << 30 },
        { "0x10G", UINT64_C(16) << 30 },
        { "2T", UINT64_C(2) << 40 },
        { "4P", UINT64_C(4) << 50 },
        { "16383P", UINT64_C(16383) << 50 },
        { "18446744073709551615", UINT64_MAX },
        { "18014398509481983K", UINT64_C(18014398509481983) << 10 },
    };
    static const char *const bad[] = {
        "",
        "G",
        "-1G",
        "+1G",
        " 1G",
        "1G ",
        "1 G",
        "1.5G",
        "1GB",
        "1MB",
        "1kb",
        "1E",
        "1Gi",
        "1GiBx",
        "1iB",
        "1GGiB",
        "1e9",
        "16384P",
        "4,5G",
        "four",
        "0x",
        "18446744073709551616",
        "18014398509481984K",
        "99999999999999999999P",
    };
    check_good(parse_size, good, G_N_ELEMENTS(good));
    check_bad(parse_size, bad, G_N_ELEMENTS(bad));
}

static bool parse_small(const char *text, uint64_t *ret_value, GError **error) {
    return parse_number("--node", text, 255, ret_value, error);
}

static void test_number(void) {
    static const Good good[] = { { "0", 0 }, { "7", 7 }, { "255", 255 }, { "0255", 255 } };
    static const char *const bad[] = { "", "256", "-1", "0x10", "7 ", "18446744073709551616", "18446744073709551623" };

    check_good(parse_small, good, G_N_ELEMENTS(good));
    check_bad(parse_small, bad, G_N_ELEMENTS(bad));
}

static void test_format_size(void) {
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.0 KiB" },
        { 1536, "1.5 KiB" },
        { 1537, "1537 B" },
        { UINT64_C(4) << 30, "4.0 GiB" },
        { (UINT64_C(4) << 30) - (2 << 20), "4094 MiB" },
        { (UINT64_C(4) << 30) - 4096, "4294963200 B" },
        { (UINT64_C(4) << 30) + 1, "4294967297 B" },
        { UINT64_C(3) << 39, "1.5 TiB" },
        { UINT64_C(1) << 52, "4.0 PiB" },
        { UINT64_MAX, "18446744073709551615 B" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = format_size(rows[i].bytes);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

/* What format_size says is never another number of bytes: read back, it is the same. */
static void test_format_is_exact(void) {
    for (unsigned i = test_rounds(100000); i > 0; i--) {
        uint64_t bytes =
            (((uint64_t) g_test_rand_int() << 32) | (uint32_t) g_test_rand_int()) >> g_test_rand_int_range(0, 64);
        /* Whole numbers of something, too. */
        bytes &= ~UINT64_C(0) << g_test_rand_int_range(0, 50);
        g_autofree char *text = format_size(bytes);
        g_auto(GStrv) parts = g_strsplit(text, " ", 2);
        char *dot = strchr(parts[0], '.');
        uint64_t tenths = 0, number, unit;
        g_autofree char *one = g_strconcat("1", parts[1], NULL);
        if (dot) {
            g_assert_true(parse_number("tenths", dot + 1, 9, &tenths, NULL));
            *dot = '\0';
        }
        g_assert_true(parse_number("number", parts[0], UINT64_MAX, &number, NULL));
        g_assert_true(parse_size(one, &unit, NULL));
        g_assert_cmpuint(unit * tenths % 10, ==, 0);
        g_assert_cmpuint(number * unit + unit * tenths / 10, ==, bytes);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/parse/frame", test_frame);
    g_test_add_func("/parse/address", test_address);
    g_test_add_func("/parse/size", test_size);
    g_test_add_func("/parse/number", test_number);
    g_test_add_func("/parse/format-size", test_format_size);
    g_test_add_func("/parse/format-is-exact", test_format_is_exact);
    return g_test_run();
}
