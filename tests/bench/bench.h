/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the benchmark programs share: a clock, and contests. A contest runs its contestants in turn (A B A B ...), round
 * after round, in one process, and prints all figures as one line of JSON, which tests/bench/run judges.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    double (*round)(void *data); /* one round's figure, in the contest's unit */
    void *data;
} Contestant;

/* Nanoseconds, CLOCK_MONOTONIC. */
uint64_t bench_now(void);
/* The contest: one unmeasured round of each, then `rounds` of each in turn; prints
 * {"contest":..,"unit":..,"figures":{}}. */
void bench_contest(const char *name, const char *unit, const Contestant *contestants, size_t n, int rounds);
/* Prints figures that need no contest: {"contest":..,"unit":..,"figures":{"name":[..]}}. */
void bench_print(const char *name, const char *unit, const char *const *names, const GArray *const *figures, size_t n);
/* The median; sorts the array (double). */
double bench_median(GArray *figures);
/* Ends the program with the message when ok is false: a benchmark that goes on after a failure measures nothing. */
void bench_require(bool ok, const char *what, const GError *error);
/* A number of the command line, or the end of the program. */
int bench_number(const char *text);
/* The same sequence in each run. */
uint64_t bench_random(uint64_t *state);
/* 0 .. n-1 in the order of bench_random(); g_free(). */
uint32_t *bench_shuffled(uint32_t n);
