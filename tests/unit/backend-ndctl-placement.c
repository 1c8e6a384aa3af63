/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Exact placement, against a model of the kernel's allocator: lowest hole that is large enough, both ends rounded to
 * align. */
#include "daemon/backend-ndctl-placement.h"

#include "proto/error.h"

#include <inttypes.h>
#include <string.h>

#define LAYOUTS 100000
#define MAX_RANGES 24

typedef struct {
    FrameRange region;
    uint64_t align;
    FrameRange used[MAX_RANGES * 4];
    size_t n_used;
} Kernel;

/* Written in another way than the code under test on purpose: tries every aligned start, ascending. */
static bool kernel_allocate(Kernel *k, uint64_t frames, FrameRange *ret_range) {
    for (uint64_t start = k->region.start; start + frames <= k->region.end; start += k->align) {
        FrameRange range = { start, start + frames };
        bool free = true;

        for (size_t i = 0; i < k->n_used && free; i++)
            free = !frame_range_overlaps(range, k->used[i]);
        if (!free)
            continue;
        g_assert_cmpuint(k->n_used, <, G_N_ELEMENTS(k->used));
        k->used[k->n_used++] = range;
        *ret_range = range;
        return true;
    }
    return false;
}

static bool model_is_free(const Kernel *k, FrameRange target) {
    for (size_t i = 0; i < k->n_used; i++)
        if (frame_range_overlaps(target, k->used[i]))
            return false;
    return true;
}

static uint64_t random_below(GRand *rand, uint64_t n) {
    return (uint64_t) g_rand_int(rand) % n;
}

/* A region of 8 to 96 steps with up to MAX_RANGES ranges, some of them not aligned (made with another align). */
static void random_layout(GRand *rand, Kernel *k) {
    static const uint64_t aligns[] = { 512, 1536, 4096 };
    uint64_t steps = 8 + random_below(rand, 89);

    memset(k, 0, sizeof *k);
    k->align = aligns[random_below(rand, G_N_ELEMENTS(aligns))];
    k->region.start = random_below(rand, 1024) * 512;
    k->region.end =
        k->region.start + steps * k->align + (random_below(rand, 4) == 0 ? random_below(rand, k->align) : 0);

    for (size_t i = random_below(rand, MAX_RANGES); i > 0; i--) {
        uint64_t start = k->region.start + random_below(rand, steps) * k->align;
        uint64_t frames = (1 + random_below(rand, 6)) * k->align;

        if (random_below(rand, 8) == 0) {
            start += random_below(rand, k->align);
            frames = 1 + random_below(rand, frames);
        }
        FrameRange range = { start, start + frames };
        if (frame_range_contains(k->region, range) && model_is_free(k, range))
            k->used[k->n_used++] = range;
    }
}

static void test_random_layouts(void) {
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240607);
    unsigned placed = 0, refused = 0, fillers_made = 0;

    for (int n = 0; n < LAYOUTS; n++) {
        Kernel k;
        random_layout(rand, &k);

        uint64_t steps = frame_range_frames(k.region) / k.align;
        FrameRange target = { .start = k.region.start + random_below(rand, steps) * k.align };
        target.end = target.start + (1 + random_below(rand, MIN(steps, 12))) * k.align;

        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) fillers = backend_ndctl_placement_plan(k.region, k.align, k.used, k.n_used, target, &error);
        if (target.end > k.region.end) {
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
            refused++;
            continue;
        }
        if (!model_is_free(&k, target)) {
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
            refused++;
            continue;
        }
        g_assert_no_error(error);
        g_assert_nonnull(fillers);

        FrameRange got;
        for (guint i = 0; i < fillers->len; i++) {
            uint64_t frames = g_array_index(fillers, uint64_t, i);

            g_assert_true(kernel_allocate(&k, frames, &got));
            g_assert_true(!frame_range_overlaps(got, target));
            g_assert_cmpuint(got.end, <=, target.start);
        }
        g_assert_true(kernel_allocate(&k, frame_range_frames(target), &got));
        g_assert_cmphex(got.start, ==, target.start);
        g_assert_cmphex(got.end, ==, target.end);
        fillers_made += fillers->len;
        placed++;
    }
    g_test_message("%u placed with %u fillers, %u refused", placed, fillers_made, refused);
    g_assert_cmpuint(placed, >, LAYOUTS / 4);
    g_assert_cmpuint(fillers_made, >, placed / 2);
}

/* No filler without need: the first hole that fits, from its start, takes none. */
static void test_no_filler(void) {
    static const FrameRange used[] = { { 0x1000, 0x1200 }, { 0x1400, 0x2000 } };
    FrameRange region = { 0x1000, 0x8000 }, target = { 0x2000, 0x3000 };
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) fillers = backend_ndctl_placement_plan(region, 512, used, G_N_ELEMENTS(used), target, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(fillers->len, ==, 0);
}

/* A hole too small for the target, but large enough for the lead, is filled first: else the lead's filler would go
 * there. */
static void test_order(void) {
    static const FrameRange used[] = { { 0x5000, 0x5200 }, { 0x1400, 0x2000 } }; /* in any order */
    FrameRange region = { 0x1000, 0x8000 }, target = { 0x2200, 0x3200 };
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) fillers = backend_ndctl_placement_plan(region, 512, used, G_N_ELEMENTS(used), target, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(fillers->len, ==, 2);
    g_assert_cmphex(g_array_index(fillers, uint64_t, 0), ==, 0x400);
    g_assert_cmphex(g_array_index(fillers, uint64_t, 1), ==, 0x200);
}

static void test_refusals(void) {
    static const struct {
        FrameRange target;
        int code;
    } rows[] = {
        { { 0x2000, 0x2000 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x3000, 0x2000 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x0e00, 0x2000 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x7e00, 0x8200 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x2001, 0x2201 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x2000, 0x2201 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { { 0x3e00, 0x4200 }, PMEMD_ERROR_BUSY },
        { { 0x4000, 0x4200 }, PMEMD_ERROR_BUSY },
        { { 0x1000, 0x8000 }, PMEMD_ERROR_BUSY },
        { { UINT64_MAX - 511, UINT64_MAX }, PMEMD_ERROR_INVALID_ARGUMENT },
    };
    static const FrameRange used[] = { { 0x4000, 0x4200 } };
    FrameRange region = { 0x1000, 0x8000 };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(backend_ndctl_placement_plan(region, 512, used, 1, rows[i].target, &error));
        g_assert_error(error, PMEMD_ERROR, rows[i].code);
    }
}

static void test_step(void) {
    static const struct {
        unsigned ways, mib;
    } rows[] = { { 0, 2 }, { 1, 2 }, { 2, 2 }, { 3, 6 }, { 4, 2 }, { 6, 6 }, { 8, 2 }, { 12, 6 }, { 16, 2 } };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpuint(backend_ndctl_placement_step(rows[i].ways), ==, (uint64_t) rows[i].mib << 20);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/placement/random-layouts", test_random_layouts);
    g_test_add_func("/placement/no-filler", test_no_filler);
    g_test_add_func("/placement/order", test_order);
    g_test_add_func("/placement/refusals", test_refusals);
    g_test_add_func("/placement/step", test_step);
    return g_test_run();
}
