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

/*
 * What the kernel does on each DIMM of a set: the lowest free piece, its ends rounded to the share of the region's align,
 * counted from the DIMM's beginning. Bytes of the DIMM, not of the region; taken from the low end of used, sorted.
 */
static uint64_t dimm_allocate(uint64_t begin, uint64_t end, uint64_t share, const FrameRange *used, size_t n_used,
                              uint64_t bytes) {
    uint64_t at = begin;

    for (size_t i = 0; i <= n_used; i++) {
        uint64_t stop = i < n_used ? used[i].start : end, first = (at + share - 1) / share * share;

        if (first + bytes <= stop / share * share)
            return first;
        if (i < n_used)
            at = used[i].end;
    }
    return UINT64_MAX;
}

static int compare_starts(const void *a, const void *b) {
    const FrameRange *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

#define SET_STEPS 7u

/* One set: everything that can be free or used of SET_STEPS steps, every target in it. */
static void check_set(unsigned ways, uint64_t begin, uint64_t size, uint64_t *ret_placed) {
    uint64_t step = backend_ndctl_placement_step(ways), share = step / ways, frames = step / PMEMD_FRAME_SIZE;
    FrameRange region = { .start = 0x200 };

    g_assert_cmpuint(step % ways, ==, 0);
    g_assert_cmpuint(share & (share - 1), ==, 0); /* else the kernel refuses it as an align */
    region.end = region.start + size / PMEMD_FRAME_SIZE;
    for (unsigned taken = 0; taken < 1u << SET_STEPS; taken++)
        for (unsigned first = 0; first < SET_STEPS; first++)
            for (unsigned last = first + 1; last <= SET_STEPS; last++) {
                FrameRange occupied[SET_STEPS], dimm[2 * SET_STEPS + 1];
                FrameRange target = { region.start + first * frames, region.start + last * frames };
                size_t n = 0;

                for (unsigned i = 0; i < SET_STEPS; i++)
                    if (taken >> i & 1) {
                        dimm[n] = (FrameRange){ begin + i * share, begin + (i + 1) * share };
                        occupied[n++] = (FrameRange){ region.start + i * frames, region.start + (i + 1) * frames };
                    }
                bool free = (taken >> first & ((1u << (last - first)) - 1)) == 0;
                g_autoptr(GError) error = NULL;
                g_autoptr(GArray) fillers = backend_ndctl_placement_plan(region, frames, occupied, n, target, &error);
                if (!free) {
                    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
                    continue;
                }
                g_assert_no_error(error);
                for (guint i = 0; i <= fillers->len; i++) {
                    uint64_t wanted =
                        i < fillers->len ? g_array_index(fillers, uint64_t, i) : frame_range_frames(target);
                    uint64_t bytes = wanted * PMEMD_FRAME_SIZE / ways;
                    uint64_t at = dimm_allocate(begin, begin + size / ways, share, dimm, n, bytes);

                    g_assert_cmphex(at, !=, UINT64_MAX);
                    if (i == fillers->len)
                        g_assert_cmphex(region.start + (at - begin) * ways / PMEMD_FRAME_SIZE, ==, target.start);
                    dimm[n++] = (FrameRange){ at, at + bytes };
                    qsort(dimm, n, sizeof *dimm, compare_starts);
                }
                ++*ret_placed;
            }
}

/* Sets of all widths that there are, beginning at their DIMMs' beginning and behind another region, with and without a
 * rest that is no whole step. */
static void test_sets(void) {
    static const unsigned widths[] = { 1, 2, 3, 4, 6, 8, 12 };
    uint64_t placed = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        unsigned ways = widths[i];
        uint64_t step = backend_ndctl_placement_step(ways), share = step / ways;

        for (uint64_t begin = 0; begin <= 5 * share; begin += 5 * share)
            for (uint64_t rest = 0; rest <= step / 2; rest += step / 2)
                check_set(ways, begin, SET_STEPS * step + rest, &placed);
    }
    g_test_message("%" PRIu64 " places in sets", placed);
    g_assert_cmpuint(placed, >, 20000);
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
    g_test_add_func("/placement/sets", test_sets);
    g_test_add_func("/placement/step", test_step);
    return g_test_run();
}
