/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What is counted: each time falls into exactly one bucket, calls are told apart by method and outcome, threads do not
 * lose each other's times.
 */
#include "daemon/stats.h"

#include <glib.h>

static void test_buckets(void) {
    g_autoptr(Stats) stats = stats_new();
    const uint64_t *bounds = stats_bounds();
    uint64_t sum = 0;

    for (size_t i = 0; i < STATS_N_BOUNDS; i++) {
        if (i > 0)
            g_assert_cmpuint(bounds[i], >, bounds[i - 1]);
        stats_add(stats, STATS_BACKEND_CREATE, bounds[i]);     /* at the bound: still in */
        stats_add(stats, STATS_BACKEND_CREATE, bounds[i] + 1); /* above: in the next */
        sum += 2 * bounds[i] + 1;
    }
    stats_add(stats, STATS_BACKEND_CREATE, 0);

    StatsTimes times = stats_times(stats, STATS_BACKEND_CREATE);
    g_assert_cmpuint(times.count, ==, 2 * STATS_N_BOUNDS + 1);
    g_assert_cmpuint(times.sum_usec, ==, sum);
    g_assert_cmpuint(times.max_usec, ==, bounds[STATS_N_BOUNDS - 1] + 1);
    for (size_t i = 0; i <= STATS_N_BOUNDS; i++)
        g_assert_cmpuint(times.buckets[i], ==, i < STATS_N_BOUNDS ? 2 : 1);
    g_assert_cmpuint(stats_times(stats, STATS_QUEUE_WAIT).count, ==, 0);
}

static void test_max(void) {
    g_autoptr(Stats) stats = stats_new();

    stats_add(stats, STATS_QUEUE_WAIT, 7);
    stats_add(stats, STATS_QUEUE_WAIT, 5);
    g_assert_cmpuint(stats_times(stats, STATS_QUEUE_WAIT).max_usec, ==, 7);
}

static void test_names(void) {
    g_assert_cmpstr(stats_time_to_string(STATS_QUEUE_WAIT), ==, "");
    for (int t = STATS_QUEUE_WAIT + 1; t < N_STATS_TIMES; t++)
        for (int u = STATS_QUEUE_WAIT; u < t; u++)
            g_assert_cmpstr(stats_time_to_string((StatsTime) t), !=, stats_time_to_string((StatsTime) u));
}

static void on_call(void *data, const char *method, int code, uint64_t count) {
    g_string_append_printf(data, "%s %d %" G_GUINT64_FORMAT "; ", method, code, count);
}

static void test_calls(void) {
    g_autoptr(Stats) stats = stats_new();
    g_autoptr(GString) told = g_string_new(NULL);

    stats_count_call(stats, "Plan", -1);
    stats_count_call(stats, "ListData", PMEMD_ERROR_BUSY);
    stats_count_call(stats, "SetupData", PMEMD_ERROR_INTERNAL);
    stats_count_call(stats, "Plan", PMEMD_ERROR_INVALID_ARGUMENT);
    stats_count_call(stats, "Plan", -1);
    stats_count_call(stats, "Adopt", -1);
    stats_each_call(stats, on_call, told);
    g_assert_cmpstr(told->str, ==, "Adopt -1 1; ListData 5 1; Plan -1 2; Plan 0 1; SetupData 15 1; ");
}

#define THREADS 4
#define TIMES 20000

static void *add_many(void *data) {
    for (uint64_t i = 0; i < TIMES; i++)
        stats_add(data, STATS_BACKEND_ZERO, i);
    return NULL;
}

static void test_threads(void) {
    g_autoptr(Stats) stats = stats_new();
    GThread *threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("adds", add_many, stats);
    for (size_t i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);

    StatsTimes times = stats_times(stats, STATS_BACKEND_ZERO);
    g_assert_cmpuint(times.count, ==, (uint64_t) THREADS * TIMES);
    g_assert_cmpuint(times.sum_usec, ==, (uint64_t) THREADS * TIMES * (TIMES - 1) / 2);
    g_assert_cmpuint(times.max_usec, ==, TIMES - 1);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stats/buckets", test_buckets);
    g_test_add_func("/stats/max", test_max);
    g_test_add_func("/stats/names", test_names);
    g_test_add_func("/stats/calls", test_calls);
    g_test_add_func("/stats/threads", test_threads);
    return g_test_run();
}
