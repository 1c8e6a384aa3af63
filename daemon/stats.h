/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What pmemd counts of its own work: calls by method and outcome, how long requests waited in the queue, how long the
 * backend took. Promises: numbers only ever grow; what is kept is bounded by the methods and kinds there are, never by
 * callers. Times may be added on any thread, calls are counted and read on the loop's. The manager owns it and adds
 * waits and backend times, the eraser its pieces, the bus the calls; bus-metrics reads.
 */
#pragma once

#include "proto/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Stats Stats;

/* What is timed. */
typedef enum {
    STATS_QUEUE_WAIT, /* from a request's arrival until it is taken up */
    STATS_BACKEND_LIST,
    STATS_BACKEND_CREATE,
    STATS_BACKEND_DESTROY,
    STATS_BACKEND_MAPPERS,
    STATS_BACKEND_OPEN_MEDIUM,
    STATS_BACKEND_OPEN_CONTENT,
    STATS_BACKEND_LEND,
    STATS_BACKEND_RENEW,
    STATS_BACKEND_ZERO, /* one piece of an erase */
    N_STATS_TIMES,
} StatsTime;
/* "list", "create", ...; "" of the wait. Static. */
const char *stats_time_to_string(StatsTime time);

#define STATS_N_BOUNDS 12u

/* A copy of a distribution. */
typedef struct {
    uint64_t count, sum_usec, max_usec;
    uint64_t buckets[STATS_N_BOUNDS + 1]; /* how many lie at or below the bound and above the one before; the last: the
                                           * rest */
} StatsTimes;
/* Upper bounds of the buckets in microseconds, ascending: fixed, so that series of different versions can be added. */
const uint64_t *stats_bounds(void);

Stats *stats_new(void);
void stats_free(Stats *stats); /* NULL is fine */

/* CLOCK_MONOTONIC, microseconds. */
uint64_t stats_now(void);
/* Takes the time since begin (of stats_now()). */
void stats_add_since(Stats *stats, StatsTime time, uint64_t begin);
void stats_add(Stats *stats, StatsTime time, uint64_t usec);
StatsTimes stats_times(const Stats *stats, StatsTime time);

/* One call was answered. method: the name of one that exists, never a caller's word. code: a PmemdError, or -1: done. */
void stats_count_call(Stats *stats, const char *method, int code);
/* Every (method, outcome) that happened, methods in the order of their names. */
typedef void (*StatsCallFunc)(void *data, const char *method, int code, uint64_t count);
void stats_each_call(const Stats *stats, StatsCallFunc func, void *data);

/* When this was made: realtime, microseconds; for display. */
uint64_t stats_started_usec(const Stats *stats);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stats, stats_free)
