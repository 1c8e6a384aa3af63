/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/stats.h"

#include <stdatomic.h>
#include <string.h>

typedef struct {
    _Atomic uint64_t sum_usec, max_usec;
    _Atomic uint64_t buckets[STATS_N_BOUNDS + 1];
} Distribution;

/* The calls of one method. */
typedef struct {
    char *method;
    uint64_t outcomes[PMEMD_N_ERRORS + 1]; /* by code; the last: done */
} Calls;

struct Stats {
    Distribution times[N_STATS_TIMES];
    GPtrArray *calls; /* Calls *, by name */
    uint64_t started_usec;
};

const char *stats_time_to_string(StatsTime time) {
    static const char *const names[] = {
        [STATS_QUEUE_WAIT] = "",
        [STATS_BACKEND_LIST] = "list",
        [STATS_BACKEND_CREATE] = "create",
        [STATS_BACKEND_DESTROY] = "destroy",
        [STATS_BACKEND_MAPPERS] = "mappers",
        [STATS_BACKEND_OPEN_MEDIUM] = "open-medium",
        [STATS_BACKEND_OPEN_CONTENT] = "open-content",
        [STATS_BACKEND_LEND] = "lend",
        [STATS_BACKEND_RENEW] = "renew",
        [STATS_BACKEND_ZERO] = "zero",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_STATS_TIMES);

    g_assert(time < N_STATS_TIMES);
    return names[time];
}

const uint64_t *stats_bounds(void) {
    static const uint64_t bounds[] = {
        10, 30, 100, 300, 1000, 3000, 10000, 100000, 300000, 1000000, 3000000, 30000000
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(bounds) == STATS_N_BOUNDS);

    return bounds;
}

static void calls_free(void *data) {
    Calls *calls = data;

    g_free(calls->method);
    g_free(calls);
}

Stats *stats_new(void) {
    Stats *stats = g_new0(Stats, 1);

    stats->calls = g_ptr_array_new_with_free_func(calls_free);
    stats->started_usec = (uint64_t) g_get_real_time();
    return stats;
}

void stats_free(Stats *stats) {
    if (!stats)
        return;
    g_ptr_array_unref(stats->calls);
    g_free(stats);
}

uint64_t stats_now(void) {
    return (uint64_t) g_get_monotonic_time();
}

void stats_add_since(Stats *stats, StatsTime time, uint64_t begin) {
    stats_add(stats, time, stats_now() - begin);
}

void stats_add(Stats *stats, StatsTime time, uint64_t usec) {
    Distribution *d = &stats->times[time];
    const uint64_t *bounds = stats_bounds();
    size_t bucket = 0;

    while (bucket < STATS_N_BOUNDS && usec > bounds[bucket])
        bucket++;
    /* Readers may see one number without the other, never a wrong one: order does not matter. */
    atomic_fetch_add_explicit(&d->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->sum_usec, usec, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&d->max_usec, memory_order_relaxed);
    while (usec > max &&
           !atomic_compare_exchange_weak_explicit(&d->max_usec, &max, usec, memory_order_relaxed, memory_order_relaxed))
        ;
}

StatsTimes stats_times(const Stats *stats, StatsTime time) {
    const Distribution *d = &stats->times[time];
    StatsTimes times = {
        .sum_usec = atomic_load_explicit(&d->sum_usec, memory_order_relaxed),
        .max_usec = atomic_load_explicit(&d->max_usec, memory_order_relaxed),
    };

    /* The count is that of the buckets, so that whoever reads finds them to agree. */
    for (size_t i = 0; i < G_N_ELEMENTS(times.buckets); i++) {
        times.buckets[i] = atomic_load_explicit(&d->buckets[i], memory_order_relaxed);
        times.count += times.buckets[i];
    }
    return times;
}

/* Where method stands, or belongs. */
static bool find_calls(const GPtrArray *all, const char *method, guint *ret_index) {
    guint low = 0, high = all->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        int order = strcmp(((const Calls *) all->pdata[middle])->method, method);

        if (order == 0) {
            *ret_index = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return false;
}

void stats_count_call(Stats *stats, const char *method, int code) {
    guint index;

    if (!find_calls(stats->calls, method, &index)) {
        Calls *calls = g_new0(Calls, 1);

        calls->method = g_strdup(method);
        g_ptr_array_insert(stats->calls, (gint) index, calls);
    }
    Calls *calls = g_ptr_array_index(stats->calls, index);
    calls->outcomes[code >= 0 && code < PMEMD_N_ERRORS ? code : PMEMD_N_ERRORS]++;
}

void stats_each_call(const Stats *stats, StatsCallFunc func, void *data) {
    for (guint i = 0; i < stats->calls->len; i++) {
        const Calls *calls = g_ptr_array_index(stats->calls, i);

        for (int code = -1; code < PMEMD_N_ERRORS; code++) {
            uint64_t count = calls->outcomes[code < 0 ? PMEMD_N_ERRORS : code];

            if (count > 0)
                func(data, calls->method, code, count);
        }
    }
}

uint64_t stats_started_usec(const Stats *stats) {
    return stats->started_usec;
}
