/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Known vectors, and the instruction and the tables against a bit by bit reference. */
#include "daemon/crc32c.h"

#include <glib.h>
#include <string.h>

static uint32_t bitwise(uint32_t crc, const uint8_t *p, size_t len) {
    uint32_t c = ~crc;
    for (size_t i = 0; i < len; i++) {
        c ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
    }
    return ~c;
}

static void test_vectors(void) {
    uint8_t zeros[32] = { 0 }, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (unsigned i = 0; i < 32; i++)
        up[i] = (uint8_t) i;

    g_assert_cmphex(crc32c(0, "", 0), ==, 0);
    g_assert_cmphex(crc32c(0, "123456789", 9), ==, 0xe3069283u);
    g_assert_cmphex(crc32c_portable(0, "123456789", 9), ==, 0xe3069283u);
    g_assert_cmphex(crc32c(0, zeros, 32), ==, 0x8a9136aau);
    g_assert_cmphex(crc32c(0, ones, 32), ==, 0x62a8ab43u);
    g_assert_cmphex(crc32c(0, up, 32), ==, 0x46dd794eu);
}

static void test_agree(void) {
    uint8_t buf[300];
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t) g_test_rand_int();

    for (unsigned from = 0; from < 9; from++)
        for (unsigned len = 0; from + len <= sizeof buf; len++) {
            uint32_t seed = (uint32_t) g_test_rand_int();
            uint32_t expected = bitwise(seed, buf + from, len);
            g_assert_cmphex(crc32c(seed, buf + from, len), ==, expected);
            g_assert_cmphex(crc32c_portable(seed, buf + from, len), ==, expected);
        }
    g_test_message("by instruction: %s", crc32c_is_accelerated() ? "yes" : "no");
}

static void test_continue(void) {
    const char *text = "a checksum may be continued where it stopped";
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++)
        g_assert_cmphex(crc32c(crc32c(0, text, cut), text + cut, len - cut), ==, crc32c(0, text, len));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crc32c/vectors", test_vectors);
    g_test_add_func("/crc32c/agree", test_agree);
    g_test_add_func("/crc32c/continue", test_continue);
    return g_test_run();
}
