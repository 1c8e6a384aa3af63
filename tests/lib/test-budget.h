/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * How slow the program runs that a test is in: valgrind makes it some 30 times slower. PMEMD_TEST_SLOWDOWN (1) divides
 * the rounds of random tests and stretches the time a test allows. PMEMD_TEST_VALGRIND tells that valgrind runs it.
 */
#pragma once

#include <glib.h>

static inline unsigned test_slowdown(void) {
    const char *text = g_getenv("PMEMD_TEST_SLOWDOWN");
    guint64 slowdown = 1;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, 1000, &slowdown, NULL))
        g_error("PMEMD_TEST_SLOWDOWN=%s: must be a number from 1 to 1000", text);
    return (unsigned) slowdown;
}

static inline unsigned test_rounds(unsigned n) {
    return MAX(1, n / test_slowdown());
}
