/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The token bucket under a clock of the test's own: the rate, no drift, the burst, extremes. */
#include "daemon/rate-limit.h"

#include <glib.h>

#define SECOND UINT64_C(1000000)
#define MIB (UINT64_C(1) << 20)

/* Lets pieces through for so long, each late by what late says; the bytes. */
static uint64_t run(RateLimit *limit, uint64_t from, uint64_t until, uint64_t piece, uint64_t late) {
    uint64_t bytes = 0;

    for (uint64_t now = from; now < until;) {
        uint64_t wait = rate_limit_wait(limit, now);

        if (wait > 0) {
            now += wait + late;
            continue;
        }
        rate_limit_take(limit, piece, now);
        bytes += piece;
    }
    return bytes;
}

static void test_no_limit(void) {
    RateLimit limit;

    rate_limit_set(&limit, 0, 77);
    for (guint i = 0; i < 100; i++) {
        g_assert_cmpuint(rate_limit_wait(&limit, 77), ==, 0);
        rate_limit_take(&limit, UINT64_MAX, 77);
    }
}

static void test_no_drift(void) {
    static const struct {
        uint64_t rate, piece, late;
    } rows[] = {
        { 7 * MIB, MIB, 0 },       { 7 * MIB, MIB, 1234 }, /* timers are always late */
        { 3000001, 999983, 500 },                          /* what does not divide */
        { MIB, 16 * MIB, 900000 },                         /* pieces of 16 s */
        { MIB + 1, 4096, 3 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const uint64_t start = 5 * SECOND, seconds = 3600;
        RateLimit limit;

        rate_limit_set(&limit, rows[i].rate, start);
        uint64_t bytes = run(&limit, start, start + seconds * SECOND, rows[i].piece, rows[i].late);
        g_test_message("%" G_GUINT64_FORMAT " bytes of %" G_GUINT64_FORMAT, bytes, rows[i].rate * seconds);
        g_assert_cmpuint(bytes, <=, rows[i].rate * seconds + rows[i].piece);
        g_assert_cmpuint(bytes + rows[i].piece, >=, rows[i].rate * seconds - rows[i].rate * rows[i].late / SECOND);
    }
}

static void test_burst(void) {
    RateLimit limit;

    rate_limit_set(&limit, 10 * MIB, 0);
    /* Idle for an hour: one second is made up for, and the piece that goes over it. */
    uint64_t now = 3600 * SECOND, bytes = 0;
    while (rate_limit_wait(&limit, now) == 0) {
        rate_limit_take(&limit, MIB, now);
        bytes += MIB;
    }
    g_assert_cmpuint(bytes, ==, 11 * MIB);
    g_assert_cmpuint(rate_limit_wait(&limit, now), ==, SECOND / 10);
}

static void test_new_rate(void) {
    RateLimit limit;

    rate_limit_set(&limit, MIB, 0);
    rate_limit_take(&limit, 100 * MIB, 0);
    g_assert_cmpuint(rate_limit_wait(&limit, 0), ==, 100 * SECOND);
    rate_limit_set(&limit, 100 * MIB, SECOND);
    g_assert_cmpuint(rate_limit_wait(&limit, SECOND), ==, 0);
}

static void test_extremes(void) {
    RateLimit limit;

    rate_limit_set(&limit, 1, 1);
    rate_limit_take(&limit, UINT64_MAX, 1);
    g_assert_cmpuint(rate_limit_wait(&limit, 1), ==, UINT64_MAX - 1);
    rate_limit_take(&limit, UINT64_MAX, UINT64_MAX);
    g_assert_cmpuint(rate_limit_wait(&limit, UINT64_MAX), ==, 0);
    rate_limit_set(&limit, UINT64_MAX, 5);
    rate_limit_take(&limit, UINT64_MAX, 5);
    g_assert_cmpuint(rate_limit_wait(&limit, 5), ==, SECOND);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate-limit/no-limit", test_no_limit);
    g_test_add_func("/rate-limit/no-drift", test_no_drift);
    g_test_add_func("/rate-limit/burst", test_burst);
    g_test_add_func("/rate-limit/new-rate", test_new_rate);
    g_test_add_func("/rate-limit/extremes", test_extremes);
    return g_test_run();
}
