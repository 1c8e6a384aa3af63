/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/region-map: cases for each way in which overlap and window checks go wrong, the invariants of large
 * maps, and random operations against a model that knows nothing but one owner a frame. PMEMD_TEST_SEED=N repeats a
 * random run. A failing sequence is shrunk before it is printed; the shrinker is tested on the overlap rule of the
 * Xen series that pmemd descends from, which misses a new range that encloses an old one.
 */
#include "daemon/region-map.h"

#include "tests/lib/test-budget.h"

#include <string.h>

#define TOP PMEMD_FRAME_LIMIT

static FrameRange range(uint64_t start, uint64_t end) {
    return (FrameRange){ start, end };
}

static void assert_range(FrameRange got, uint64_t start, uint64_t end) {
    g_assert_cmphex(got.start, ==, start);
    g_assert_cmphex(got.end, ==, end);
}

static void test_overlap(void) {
    static const struct {
        uint64_t start, end;
        bool overlaps;
    } cases[] = {
        { 0x100, 0x200, true },  /* the same */
        { 0x0f0, 0x210, true },  /* encloses it */
        { 0x0f0, 0x200, true },  /* encloses it, same end */
        { 0x100, 0x210, true },  /* encloses it, same start */
        { 0x110, 0x1f0, true },  /* inside */
        { 0x100, 0x101, true },  /* its first frame */
        { 0x1ff, 0x200, true },  /* its last frame */
        { 0x0f0, 0x101, true },  /* into its start */
        { 0x1ff, 0x210, true },  /* out of its end */
        { 0x0f0, 0x100, false }, /* up to it */
        { 0x200, 0x210, false }, /* from its end on */
        { 0, UINT64_MAX, true }, /* everything there is */
        { 0x100, UINT64_MAX, true },
        { UINT64_MAX, 0x200, false }, /* reversed */
        { 0x1f0, 0x110, false },
        { 0x180, 0x180, false }, /* empty */
        { UINT64_MAX, UINT64_MAX, false },
        { UINT64_MAX - 1, UINT64_MAX, false },
    };
    g_autoptr(RegionMap) map = region_map_new(range(0x10, 0x1000));
    RegionMapEntry old, new;

    g_assert_true(region_map_reserve(map, &old, range(0x100, 0x200)));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FrameRange r = range(cases[i].start, cases[i].end);
        bool in_window = r.start < r.end && r.start >= 0x10 && r.end <= 0x1000;

        g_test_message("0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x", r.start, r.end);
        g_assert_true(region_map_find_overlap(map, r) == (cases[i].overlaps ? &old : NULL));
        bool reserved = region_map_reserve(map, &new, r);
        g_assert_cmpint(reserved, ==, in_window && !cases[i].overlaps);
        if (reserved)
            region_map_release(map, &new);
        g_assert_cmpuint(region_map_count(map), ==, 1);
        g_assert_cmphex(region_map_used_frames(map), ==, 0x100);
    }
    region_map_release(map, &old);
}

static void test_encloses_many(void) {
    g_autoptr(RegionMap) map = region_map_new(range(0, 0x10000));
    RegionMapEntry entries[64], new;

    for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++)
        g_assert_true(region_map_reserve(map, &entries[i], range(0x100 * i + 0x80, 0x100 * i + 0x90)));
    for (unsigned i = 0; i + 2 < G_N_ELEMENTS(entries); i++) {
        FrameRange wide = range(0x100 * i + 0x70, 0x100 * (i + 2) + 0xa0);

        g_assert_true(region_map_find_overlap(map, wide) == &entries[i]);
        g_assert_false(region_map_reserve(map, &new, wide));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++)
        region_map_release(map, &entries[i]);
}

static void test_window(void) {
    g_autoptr(RegionMap) map = region_map_new(range(0x1000, 0x2000));
    FrameRange gap = { 7, 7 }, fit = { 7, 7 };
    RegionMapEntry entry;

    assert_range(region_map_window(map), 0x1000, 0x2000);
    g_assert_false(region_map_reserve(map, &entry, range(0xfff, 0x1001)));
    g_assert_false(region_map_reserve(map, &entry, range(0x1fff, 0x2001)));
    g_assert_false(region_map_reserve(map, &entry, range(0xfff, 0x2001)));
    g_assert_false(region_map_reserve(map, &entry, range(0x2000, 0x2001)));
    g_assert_false(region_map_reserve(map, &entry, range(0, UINT64_MAX)));
    g_assert_false(region_map_gap_around(map, range(0xfff, 0x1001), &gap));
    g_assert_false(region_map_gap_around(map, range(0x1fff, 0x2001), &gap));
    g_assert_false(region_map_gap_around(map, range(0x2000, 0x2001), &gap));
    g_assert_false(region_map_gap_around(map, range(UINT64_MAX - 1, UINT64_MAX), &gap));
    g_assert_false(region_map_best_fit(map, 0x1001, 1, 0, &fit));
    g_assert_false(region_map_best_fit(map, 0, 1, 0, &fit));
    g_assert_false(region_map_best_fit(map, UINT64_MAX, 1, 0, &fit));
    assert_range(gap, 7, 7); /* untouched on failure */
    assert_range(fit, 7, 7);
    g_assert_null(region_map_first(map));
    g_assert_null(region_map_find_overlap(map, range(0, UINT64_MAX)));
    g_assert_cmphex(region_map_largest_gap(map), ==, 0x1000);

    g_assert_true(region_map_reserve(map, &entry, range(0x1000, 0x2000)));
    g_assert_cmphex(region_map_largest_gap(map), ==, 0);
    g_assert_cmphex(region_map_free_frames(map), ==, 0);
    g_assert_true(region_map_first(map) == &entry);
    g_assert_null(region_map_next(map, &entry));
    g_assert_false(region_map_best_fit(map, 1, 1, 0, &fit));
    region_map_release(map, &entry);
    g_assert_true(region_map_gap_around(map, range(0x1fff, 0x2000), &gap));
    assert_range(gap, 0x1000, 0x2000);
}

static void test_empty_window(void) {
    g_autoptr(RegionMap) map = region_map_new(range(5, 5));
    RegionMapEntry entry;

    g_assert_false(region_map_reserve(map, &entry, range(5, 5)));
    g_assert_false(region_map_reserve(map, &entry, range(5, 6)));
    g_assert_null(region_map_first(map));
    g_assert_cmphex(region_map_largest_gap(map), ==, 0);
    region_map_free(NULL);
}

/* Extents at the very top of the address space, and a map of all 2^40 frames. */
static void test_extremes(void) {
    g_autoptr(RegionMap) map = region_map_new(range(0, TOP));
    g_autoptr(RegionMap) top = region_map_new(range(UINT64_MAX - 0x1000, UINT64_MAX));
    RegionMapEntry low, high, last;
    FrameRange fit;

    g_assert_true(region_map_reserve(map, &low, range(0, 1)));
    g_assert_true(region_map_reserve(map, &high, range(TOP - 1, TOP)));
    g_assert_cmphex(region_map_free_frames(map), ==, TOP - 2);
    g_assert_cmphex(region_map_largest_gap(map), ==, TOP - 2);
    g_assert_false(region_map_best_fit(map, TOP - 1, 1, 0, &fit));
    g_assert_true(region_map_best_fit(map, TOP - 2, 1, 0, &fit));
    assert_range(fit, 1, TOP - 1);
    g_assert_false(region_map_best_fit(map, TOP - 2, UINT64_MAX, 0, &fit));
    region_map_release(map, &low);
    region_map_release(map, &high);

    g_assert_true(region_map_reserve(top, &last, range(UINT64_MAX - 1, UINT64_MAX)));
    g_assert_true(region_map_find_overlap(top, range(0, UINT64_MAX)) == &last);
    g_assert_null(region_map_find_overlap(top, range(0, UINT64_MAX - 1)));
    g_assert_null(region_map_next(top, &last));
    g_assert_true(region_map_best_fit(top, 0x800, 0x800, UINT64_MAX - 0x1000, &fit));
    assert_range(fit, UINT64_MAX - 0x1000, UINT64_MAX - 0x800);
    region_map_release(top, &last);
}

static void test_fits(void) {
    g_autoptr(RegionMap) map = region_map_new(range(0x1000, 0x2000));
    RegionMapEntry e[4];
    FrameRange fit;

    /* gaps: 0x1000-0x1100 (0x100), 0x1108-0x1140 (0x38), 0x1200-0x1238 (0x38), 0x1300-0x1f00 (0xc00), 0x1ff0 (0x10) */
    g_assert_true(region_map_reserve(map, &e[0], range(0x1f00, 0x1ff0)));
    g_assert_true(region_map_reserve(map, &e[1], range(0x1100, 0x1108)));
    g_assert_true(region_map_reserve(map, &e[2], range(0x1238, 0x1300)));
    g_assert_true(region_map_reserve(map, &e[3], range(0x1140, 0x1200)));
    g_assert_true(region_map_best_fit(map, 0x10, 1, 0, &fit));
    assert_range(fit, 0x1ff0, 0x2000); /* the last gap has no entry behind it */
    g_assert_true(region_map_best_fit(map, 0x20, 1, 0, &fit));
    assert_range(fit, 0x1108, 0x1128); /* of two equal ones the lowest */
    g_assert_true(region_map_best_fit(map, 0x38, 0x10, 0, &fit));
    assert_range(fit, 0x1200, 0x1238); /* the lowest does not fit when aligned */
    g_assert_true(region_map_best_fit(map, 0x38, 0x10, 8, &fit));
    assert_range(fit, 0x1108, 0x1140); /* but does, counted from another base */
    g_assert_true(region_map_best_fit(map, 0x30, 0x100, 0, &fit));
    assert_range(fit, 0x1200, 0x1230);
    g_assert_true(region_map_best_fit(map, 0x101, 1, 0, &fit));
    assert_range(fit, 0x1300, 0x1401);
    g_assert_false(region_map_best_fit(map, 0xb01, 0x400, 0, &fit));
    for (unsigned i = 0; i < G_N_ELEMENTS(e); i++)
        region_map_release(map, &e[i]);
}

/* ---- invariants of large maps ---- */

static void test_balance(gconstpointer order) {
    enum {
        N = 20000
    };
    g_autoptr(RegionMap) map = region_map_new(range(0, TOP));
    g_autofree RegionMapEntry *entries = g_new0(RegionMapEntry, N);
    bool reversed = g_str_equal(order, "down");
    FrameRange fit;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t k = 0; k < N; k++) {
            uint64_t i = reversed ? N - 1 - k : k;

            if (g_str_equal(order, "mixed"))
                i = (k * 1021) % N;
            g_assert_true(region_map_reserve(map, &entries[i], range(i * 64 + i % 7 + 1, i * 64 + 64)));
            if (k % 1021 == 0)
                region_map_check(map);
        }
        g_assert_true(region_map_best_fit(map, 1, 1, 0, &fit)); /* from now on the tree of gaps is kept, too */
        region_map_check(map);
        for (uint64_t k = 0; k < N; k++) {
            uint64_t i = reversed ? k : (k * 7) % N;

            region_map_release(map, &entries[i]);
            if (k % 1021 == 0)
                region_map_check(map);
        }
        g_assert_cmphex(region_map_largest_gap(map), ==, TOP);
    }
}

/* Also of a map whose trees are many nodes high, which nothing else takes down at once. */
static void test_take_all(void) {
    enum {
        N = 20000
    };
    g_autoptr(RegionMap) map = region_map_new(range(0, TOP));
    g_autofree RegionMapEntry *entries = g_new0(RegionMapEntry, N);
    FrameRange fit;

    g_assert_true(region_map_best_fit(map, 1, 1, 0, &fit)); /* from now on the tree of gaps is kept, too */
    for (uint64_t i = 0; i < N; i++)
        g_assert_true(region_map_reserve(map, &entries[i], range(i * 64 + i % 7 + 1, i * 64 + 64)));
    g_autoptr(GPtrArray) taken = region_map_take_all(map);
    g_assert_cmpuint(taken->len, ==, N);
    for (guint i = 0; i < N; i++)
        g_assert_true(taken->pdata[i] == &entries[i]);
    g_assert_cmpuint(region_map_count(map), ==, 0);
    g_assert_cmphex(region_map_largest_gap(map), ==, TOP);
    region_map_check(map);
}

/* ---- random operations against a model ---- */

#define FRAMES_MAX 1024

typedef enum {
    OP_RESERVE,
    OP_RELEASE, /* what owns the first owned frame at or after `start`, else nothing */
    OP_OVERLAP,
    OP_BEST_FIT, /* frames = end - start */
    OP_LARGEST_GAP,
    OP_GAP_AROUND,
    OP_WALK,
    N_OPS,
} OpKind;

static const char *const op_names[] = {
    "reserve", "release", "overlap", "best-fit", "largest-gap", "gap-around", "walk"
};
G_STATIC_ASSERT(G_N_ELEMENTS(op_names) == N_OPS);

typedef struct {
    OpKind kind;
    uint64_t start, end;
    uint64_t align, base;
} Op;

typedef struct {
    FrameRange window;
    bool seed_rule; /* ask the old overlap rule instead of region-map: must be found wrong */
} Setting;

/* owner[f] is the number of the entry that has frame window.start + f, or -1. */
typedef struct {
    FrameRange window;
    size_t n;
    int owner[FRAMES_MAX];
} Model;

static int model_owner(const Model *model, uint64_t frame) {
    return model->owner[frame - model->window.start];
}

/* The first owner at or after start and before end; both anywhere. */
static int model_first_owner(const Model *model, uint64_t start, uint64_t end) {
    for (size_t i = 0; i < model->n; i++)
        if (model->window.start + i >= start && model->window.start + i < end && model->owner[i] >= 0)
            return model->owner[i];
    return -1;
}

static bool model_can_reserve(const Model *model, FrameRange r) {
    return r.start < r.end && r.start >= model->window.start && r.end <= model->window.end &&
           model_first_owner(model, r.start, r.end) < 0;
}

/* The first gap at or after *at (an index), or false. */
static bool model_next_gap(const Model *model, size_t *at, FrameRange *ret_gap) {
    size_t i = *at, j;

    while (i < model->n && model->owner[i] >= 0)
        i++;
    for (j = i; j < model->n && model->owner[j] < 0;)
        j++;
    *at = j;
    if (i == j)
        return false;
    *ret_gap = range(model->window.start + i, model->window.start + j);
    return true;
}

static bool model_fit(const Model *model, const Op *op, FrameRange *ret_range) {
    uint64_t frames = op->end - op->start, best_size = UINT64_MAX;
    FrameRange gap;
    size_t at = 0;

    while (frames > 0 && frames <= model->n && model_next_gap(model, &at, &gap)) {
        if (gap.end - gap.start >= best_size)
            continue;
        for (uint64_t f = gap.start; gap.end - f >= frames; f++)
            if ((f - op->base) % op->align == 0) {
                *ret_range = range(f, f + frames);
                best_size = gap.end - gap.start;
                break;
            }
    }
    return best_size != UINT64_MAX;
}

static uint64_t model_largest_gap(const Model *model) {
    uint64_t largest = 0;
    FrameRange gap;

    for (size_t at = 0; model_next_gap(model, &at, &gap);)
        largest = MAX(largest, gap.end - gap.start);
    return largest;
}

/* The rule of the series: is the new range's start or its end inside the old one? */
static const RegionMapEntry *seed_overlap(const RegionMap *map, FrameRange r) {
    for (const RegionMapEntry *e = region_map_first(map); e; e = region_map_next(map, e))
        if (r.start < r.end && ((r.start >= e->range.start && r.start < e->range.end) ||
                                (r.end > e->range.start && r.end <= e->range.end)))
            return e;
    return NULL;
}

static bool same_fit(bool got, FrameRange got_range, bool want, FrameRange want_range) {
    return got == want && (!got || frame_range_equal(got_range, want_range));
}

static bool walk_agrees(const RegionMap *map, const Model *model, const RegionMapEntry *entries) {
    const RegionMapEntry *entry = region_map_first(map);

    for (size_t i = 0; i < model->n;) {
        if (model->owner[i] < 0) {
            i++;
            continue;
        }
        if (entry != &entries[model->owner[i]] || entry->range.start != model->window.start + i)
            return false;
        while (i < model->n && model->owner[i] == entry - entries)
            i++;
        if (entry->range.end != model->window.start + i)
            return false;
        entry = region_map_next(map, entry);
    }
    return !entry;
}

/* Does one operation on both; false: they differ. */
static bool apply(const Setting *setting, RegionMap *map, Model *model, RegionMapEntry *entries, const Op *op) {
    FrameRange r = range(op->start, op->end), got = { 0 }, want = { 0 };
    int owner;
    bool ok;

    switch (op->kind) {
    case OP_RESERVE:
        ok = model_can_reserve(model, r);
        for (owner = 0; entries[owner].range.end != 0;)
            owner++;
        if (region_map_reserve(map, &entries[owner], r) != ok)
            return false;
        for (uint64_t f = r.start; ok && f < r.end; f++)
            model->owner[f - model->window.start] = owner;
        break;
    case OP_RELEASE:
        owner = model_first_owner(model, op->start, UINT64_MAX);
        if (owner < 0)
            break;
        region_map_release(map, &entries[owner]);
        if (entries[owner].range.end != 0)
            return false;
        for (size_t i = 0; i < model->n; i++)
            if (model->owner[i] == owner)
                model->owner[i] = -1;
        break;
    case OP_OVERLAP:
        owner = model_first_owner(model, r.start, r.end);
        const RegionMapEntry *found = setting->seed_rule ? seed_overlap(map, r) : region_map_find_overlap(map, r);
        if (found != (owner < 0 ? NULL : &entries[owner]))
            return false;
        break;
    case OP_BEST_FIT:
        ok = region_map_best_fit(map, op->end - op->start, op->align, op->base, &got);
        if (!same_fit(ok, got, model_fit(model, op, &want), want))
            return false;
        break;
    case OP_LARGEST_GAP:
        if (region_map_largest_gap(map) != model_largest_gap(model))
            return false;
        break;
    case OP_GAP_AROUND:
        ok = model_can_reserve(model, r);
        if (ok) {
            for (want.start = r.start; want.start > model->window.start && model_owner(model, want.start - 1) < 0;)
                want.start--;
            for (want.end = r.end; want.end < model->window.end && model_owner(model, want.end) < 0;)
                want.end++;
        }
        if (!same_fit(region_map_gap_around(map, r, &got), got, ok, want))
            return false;
        break;
    case OP_WALK:
    case N_OPS:
    default:
        if (!walk_agrees(map, model, entries))
            return false;
        break;
    }

    uint64_t used = 0;
    for (size_t i = 0; i < model->n; i++)
        used += model->owner[i] >= 0;
    return region_map_used_frames(map) == used && region_map_free_frames(map) == model->n - used;
}

/* Runs ops on a new map. Returns how many were done when map and model differed, or 0: they never did. */
static size_t run(const Setting *setting, const Op *ops, size_t n) {
    g_autoptr(RegionMap) map = region_map_new(setting->window);
    g_autofree RegionMapEntry *entries = g_new0(RegionMapEntry, FRAMES_MAX + 1);
    g_autofree Model *model = g_new0(Model, 1);
    size_t failed = 0;

    model->window = setting->window;
    model->n = frame_range_frames(setting->window);
    g_assert_cmpuint(model->n, <=, FRAMES_MAX);
    for (size_t i = 0; i < model->n; i++)
        model->owner[i] = -1;
    for (size_t i = 0; i < n && failed == 0; i++)
        if (!apply(setting, map, model, entries, &ops[i]))
            failed = i + 1;
    if (failed == 0)
        region_map_check(map);
    while (region_map_first(map))
        region_map_release(map, region_map_first(map));
    return failed;
}

/* Takes out `piece` operations at `at` and (if it is not in there) the one at `also`; keeps that if it still fails. */
static bool take_out(const Setting *setting, Op *ops, size_t *n, size_t at, size_t piece, size_t also) {
    g_autofree Op *shorter = g_new(Op, *n);
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++)
        if ((i < at || i >= at + piece) && i != also)
            shorter[kept++] = ops[i];
    kept = run(setting, shorter, kept);
    if (kept == 0)
        return false;
    memcpy(ops, shorter, kept * sizeof *ops);
    *n = kept;
    return true;
}

/* Takes pieces and pairs out of a failing sequence, then makes its ranges shorter. Returns its new length. */
static size_t shrink(const Setting *setting, Op *ops, size_t n) {
    bool again = true;

    n = run(setting, ops, n);
    for (size_t piece = n / 2; piece > 0; piece /= 2)
        for (size_t at = 0; at + piece <= n;)
            at += take_out(setting, ops, &n, at, piece, SIZE_MAX) ? 0 : piece;
    while (again) {
        again = false;
        for (size_t at = 0; !again && at < n; at++)
            for (size_t also = at; !again && also < n; also++)
                again = take_out(setting, ops, &n, at, 1, also);
    }
    for (size_t i = 0; i < n; i++)
        for (bool smaller = true; smaller && ops[i].start < ops[i].end;) {
            Op old = ops[i];

            ops[i].end = ops[i].start + (ops[i].end - ops[i].start) / 2;
            smaller = run(setting, ops, n) == n;
            if (!smaller)
                ops[i] = old;
        }
    return n;
}

static char *ops_to_string(const Setting *setting, const Op *ops, size_t n) {
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "window %#" G_GINT64_MODIFIER "x - %#" G_GINT64_MODIFIER "x\n", setting->window.start,
                           setting->window.end);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(s,
                               "  %s %#" G_GINT64_MODIFIER "x - %#" G_GINT64_MODIFIER "x align %" G_GINT64_MODIFIER
                               "u base %#" G_GINT64_MODIFIER "x\n",
                               op_names[ops[i].kind], ops[i].start, ops[i].end, ops[i].align, ops[i].base);
    return g_string_free(s, FALSE);
}

static uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t *state, uint64_t n) {
    return random_next(state) % n;
}

static Setting random_setting(uint64_t *state) {
    static const uint64_t sizes[] = { 1, 7, 64, 64, 200, 200, 200, FRAMES_MAX };
    uint64_t n = sizes[random_below(state, G_N_ELEMENTS(sizes))];
    uint64_t starts[] = { 0, 5, 0x480000, TOP - n, UINT64_C(1) << 52, UINT64_MAX - n };
    uint64_t start = starts[random_below(state, G_N_ELEMENTS(starts))];

    return (Setting){ .window = { start, start + n } };
}

static Op random_op(uint64_t *state, const Setting *setting, bool filling) {
    static const uint64_t oddities[] = { 0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, PMEMD_FRAME_LIMIT };
    uint64_t n = frame_range_frames(setting->window);
    uint64_t frames = random_below(state, 8) == 0 ? random_below(state, n + 4) : 1 + random_below(state, 6);
    uint64_t what = random_below(state, 16);
    Op op = {
        /* A little outside of the window, too; at the ends of the number line that wraps to the other end. */
        .start = setting->window.start + random_below(state, n + 4) - 2,
        .align = 1 + random_below(state, random_below(state, 4) == 0 ? 40 : 4),
        .base = setting->window.start - random_below(state, MIN(setting->window.start + 1, 9)),
    };

    op.end = op.start + frames;
    if (what < 8)
        op.kind = (what < 5) == filling ? OP_RESERVE : OP_RELEASE;
    else if (what < 15)
        op.kind = OP_OVERLAP + (OpKind) random_below(state, 4);
    else
        op.kind = OP_WALK;
    if (random_below(state, 50) == 0)
        op.start = oddities[random_below(state, G_N_ELEMENTS(oddities))];
    if (random_below(state, 50) == 0)
        op.end = oddities[random_below(state, G_N_ELEMENTS(oddities))];
    if (random_below(state, 200) == 0)
        op.align = oddities[1 + random_below(state, G_N_ELEMENTS(oddities) - 1)];
    return op;
}

static void random_ops(uint64_t *state, const Setting *setting, Op *ops, size_t n) {
    bool filling = true;

    for (size_t i = 0; i < n; i++) {
        if (random_below(state, 150) == 0)
            filling = !filling;
        ops[i] = random_op(state, setting, filling);
    }
}

static uint64_t test_seed(void) {
    const char *text = g_getenv("PMEMD_TEST_SEED");
    uint64_t seed = text ? g_ascii_strtoull(text, NULL, 0) : (uint64_t) g_get_real_time();

    g_test_message("PMEMD_TEST_SEED=%" G_GINT64_MODIFIER "u", seed);
    return seed;
}

/* What begins a leaf makes room for something longer that begins there as well. */
static void test_longer_again(void) {
    enum {
        N = 1000
    };
    g_autoptr(RegionMap) map = region_map_new(range(0, 10 * N));
    g_autofree RegionMapEntry *entries = g_new0(RegionMapEntry, N);

    for (unsigned i = 0; i < N; i++)
        g_assert_true(region_map_reserve(map, &entries[i], range(10 * i, 10 * i + 5)));
    for (unsigned i = 0; i < N; i++) {
        region_map_release(map, &entries[i]);
        g_assert_true(region_map_reserve(map, &entries[i], range(10 * i, 10 * i + 8)));
        g_assert_false(region_map_reserve(map, &(RegionMapEntry){ 0 }, range(10 * i, 10 * i + 9)));
        region_map_check(map);
    }
    for (unsigned i = 0; i < N; i++)
        region_map_release(map, &entries[i]);
}

static void test_random(void) {
    enum {
        LENGTH = 2000
    };
    unsigned sequences = test_rounds(600); /* 1.2 * 10^6 operations */
    g_autofree Op *ops = g_new(Op, LENGTH);
    uint64_t state = test_seed();

    for (unsigned i = 0; i < sequences; i++) {
        Setting setting = random_setting(&state);

        random_ops(&state, &setting, ops, LENGTH);
        if (run(&setting, ops, LENGTH) > 0) {
            size_t n = shrink(&setting, ops, LENGTH);
            g_autofree char *text = ops_to_string(&setting, ops, n);

            g_error("map and model differ after the last of\n%s", text);
        }
    }
    g_test_message("%u random operations agree with the model", sequences * LENGTH);
}

/* A rule known to be wrong is found, and the sequence that shows it comes down to: reserve one, enclose it. */
static void test_shrinker(void) {
    enum {
        LENGTH = 2000
    };
    Setting setting = { .window = { 0x480000, 0x480040 }, .seed_rule = true };
    g_autofree Op *ops = g_new(Op, LENGTH);
    uint64_t state = test_seed();

    for (unsigned i = 0; i < test_rounds(20); i++) {
        random_ops(&state, &setting, ops, LENGTH);
        size_t failed = run(&setting, ops, LENGTH);
        g_assert_cmpuint(failed, >=, 2);
        size_t n = shrink(&setting, ops, LENGTH);
        g_assert_cmpuint(run(&setting, ops, n), ==, n);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpint(ops[0].kind, ==, OP_RESERVE);
        g_assert_cmpint(ops[1].kind, ==, OP_OVERLAP);
        g_assert_cmphex(ops[1].start, <, ops[0].start);
        g_assert_cmphex(ops[1].end, >, ops[0].end);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/region-map/overlap", test_overlap);
    g_test_add_func("/region-map/encloses-many", test_encloses_many);
    g_test_add_func("/region-map/window", test_window);
    g_test_add_func("/region-map/empty-window", test_empty_window);
    g_test_add_func("/region-map/extremes", test_extremes);
    g_test_add_func("/region-map/fits", test_fits);
    g_test_add_data_func("/region-map/balance/up", "up", test_balance);
    g_test_add_data_func("/region-map/balance/down", "down", test_balance);
    g_test_add_data_func("/region-map/balance/mixed", "mixed", test_balance);
    g_test_add_func("/region-map/take-all", test_take_all);
    g_test_add_func("/region-map/longer-again", test_longer_again);
    g_test_add_func("/region-map/shrinker", test_shrinker);
    g_test_add_func("/region-map/random", test_random);
    return g_test_run();
}
