/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t bench_now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * UINT64_C(1000000000) + (uint64_t) t.tv_nsec;
}

void bench_print(const char *name, const char *unit, const char *const *names, const GArray *const *figures, size_t n) {
    printf("{\"contest\":\"%s\",\"unit\":\"%s\",\"figures\":{", name, unit);
    for (size_t i = 0; i < n; i++) {
        printf("%s\"%s\":[", i > 0 ? "," : "", names[i]);
        for (guint k = 0; k < figures[i]->len; k++)
            printf("%s%.6g", k > 0 ? "," : "", g_array_index(figures[i], double, k));
        printf("]");
    }
    printf("}}\n");
    fflush(stdout);
}

void bench_contest(const char *name, const char *unit, const Contestant *contestants, size_t n, int rounds) {
    g_autofree const char **names = g_new(const char *, n);
    g_autofree GArray **figures = g_new(GArray *, n);

    for (size_t i = 0; i < n; i++) {
        names[i] = contestants[i].name;
        figures[i] = g_array_new(FALSE, FALSE, sizeof(double));
        (void) contestants[i].round(contestants[i].data);
    }
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < n; i++) {
            double figure = contestants[i].round(contestants[i].data);

            g_array_append_val(figures[i], figure);
        }
    bench_print(name, unit, names, (const GArray *const *) figures, n);
    for (size_t i = 0; i < n; i++)
        g_array_unref(figures[i]);
}

static int compare(gconstpointer a, gconstpointer b) {
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

double bench_median(GArray *figures) {
    g_array_sort(figures, compare);
    return g_array_index(figures, double, figures->len / 2);
}

void bench_require(bool ok, const char *what, const GError *error) {
    if (ok)
        return;
    fprintf(stderr, "%s%s%s\n", what, error ? ": " : "", error ? error->message : "");
    exit(EXIT_FAILURE);
}

int bench_number(const char *text) {
    guint64 number = 0;

    bench_require(g_ascii_string_to_unsigned(text, 10, 0, 100000000, &number, NULL), text, NULL);
    return (int) number;
}

uint64_t bench_random(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint32_t *bench_shuffled(uint32_t n) {
    uint32_t *order = g_new(uint32_t, n);
    uint64_t state = 1;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = (uint32_t) (bench_random(&state) % (i + 1));

        order[i] = order[k];
        order[k] = i;
    }
    return order;
}
