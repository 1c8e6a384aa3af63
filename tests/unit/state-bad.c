/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Bad frames in the model: what the platform shows united with what the journal remembers, what people are told, and
 * what is free of a raw region then. That snapshots keep them is unit-state's.
 */
#include "daemon/frame-set.h"

#include "tests/lib/state-host.h"
#include "tests/lib/test-budget.h"

static void show(State *state, const char *raw_id, const GArray *bad) {
    Raw *raw = state_raw_by_id(state, raw_id);

    g_autoptr(GArray) before = state_bad_holders(state, raw);
    raw_set_bad(raw, bad);
    g_autoptr(GArray) holders = state_bad_holders(state, raw);
    g_array_append_vals(holders, before->data, before->len);
    for (guint i = 0; i < holders->len; i++)
        state_renew_bad(state, g_array_index(holders, BadHolder, i));
}

static void show_extents(State *state, const char *raw_id, const FrameRange *extents, size_t n) {
    g_autoptr(GArray) bad = frame_set_new();

    for (size_t i = 0; i < n; i++)
        frame_set_add(bad, extents[i]);
    show(state, raw_id, bad);
}

static Region *add_region(State *state, Pool *pool, uint64_t n, uint64_t start, uint64_t frames) {
    JfRegion record = region_of(pool, n, start, frames);
    g_autoptr(GError) error = NULL;

    apply_region(state, pool, JF_ADD, 0, &record, &error);
    g_assert_no_error(error);
    return state_region_by_uuid(state, record.region_uuid);
}

static void journal_bad(State *state, Pool *pool, sd_id128_t uuid, FrameRange extent, bool cleared) {
    JfBadFrames bad = { .uuid = uuid, .cleared = cleared, .n_extents = 1, .extents = { extent } };
    g_autoptr(GError) error = NULL;

    apply_bad(state, pool, &bad, &error);
    g_assert_no_error(error);
}

static void assert_bad(const RegionBad *bad, const char *known, const char *all) {
    g_autofree char *known_text = frame_set_format(bad ? bad->known : NULL, UINT_MAX);
    g_autofree char *all_text = frame_set_format(bad ? bad->all : NULL, UINT_MAX);

    g_assert_cmpstr(known_text, ==, known);
    g_assert_cmpstr(all_text, ==, all);
}

/* What was once bad stays so until it is cleared, whatever the platform shows. */
static void test_union(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    Region *region = add_region(state, pool, 1, 0x200100, 0x100);
    const FrameRange shown[] = { { 0x200080, 0x200110 }, { 0x200150, 0x200151 }, { 0x2001ff, 0x200300 } };

    g_assert_cmpstr(region_state_text(region), ==, "ok");
    g_assert_null(region_bad(region));
    show_extents(state, "right", shown, G_N_ELEMENTS(shown));
    assert_bad(region_bad(region), "", "0x200100-0x200110, 0x200150, 0x2001ff");
    g_assert_cmpuint(region_bad_frames(region_bad(region)), ==, 18);
    g_assert_cmpstr(region_state_text(region), ==, "degraded");

    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200150, 0x200151 }, false);
    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200180, 0x200182 }, false);
    assert_bad(region_bad(region), "0x200150, 0x200180-0x200182",
               "0x200100-0x200110, 0x200150, 0x200180-0x200182, 0x2001ff");
    show_extents(state, "right", NULL, 0);
    assert_bad(region_bad(region), "0x200150, 0x200180-0x200182", "0x200150, 0x200180-0x200182");
    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200180, 0x200181 }, true);
    assert_bad(region_bad(region), "0x200150, 0x200181", "0x200150, 0x200181");
    g_assert_cmpstr(region_state_text(region), ==, "degraded");
    journal_bad(state, pool, region->uuid, region->range, true);
    g_assert_null(region_bad(region));
    g_assert_null(pool->bad);
    g_assert_cmpstr(region_state_text(region), ==, "ok");

    /* With its region it is forgotten, for whoever gets the uuid or the frames next. */
    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200180, 0x200181 }, false);
    uint64_t bytes = pool->snapshot_bytes;
    g_assert_true(apply_del(state, pool, region->uuid, NULL));
    g_assert_null(pool->bad);
    g_assert_cmpuint(bytes - pool->snapshot_bytes, >, jf_snapshot_bytes(jf_bad_frames_payload_len(1)));
    region = add_region(state, pool, 1, 0x200100, 0x100);
    g_assert_null(region_bad(region));
}

/* Other states say more than that frames are bad; a mgmt region is as a region. */
static void test_states(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    Region *region = add_region(state, pool, 1, 0x200100, 0x100);
    const FrameRange right = { 0x200100, 0x200101 }, left = { LEFT + 5, LEFT + 7 };

    g_assert_null(region_state_reason(region));
    show_extents(state, "right", &right, 1);
    show_extents(state, "left", &left, 1);
    const char *why = region_state_reason(region);
    g_assert_nonnull(strstr(why, "clear them"));
    for (RegionState s = 0; s < N_REGION_STATES; s++) {
        state_set_region_state(state, region, s, "as told");
        g_assert_cmpstr(region_state_text(region), ==, s == REGION_OK ? "degraded" : region_state_to_string(s));
        g_assert_cmpstr(region_state_reason(region), ==, s == REGION_OK ? why : "as told");
    }
    for (PoolState s = 0; s < N_POOL_STATES; s++) {
        state_set_pool_state(state, pool, s, "as told");
        g_assert_cmpstr(pool_state_text(pool), ==, s == POOL_OK ? "degraded" : pool_state_to_string(s));
        if (s == POOL_OK)
            g_assert_nonnull(strstr(pool_state_reason(pool), "the journal"));
        else
            g_assert_cmpstr(pool_state_reason(pool), ==, "as told");
    }
}

/* A record of bad frames that cannot be is refused, and nothing changes. */
static void test_refused(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);
    Region *region = add_region(state, pool, 1, 0x200000, 0x400),
           *theirs = add_region(state, other, 2, 0x200400, 0x100);
    JfBadFrames bad = { .uuid = region->uuid, .n_extents = 1 };
    const struct {
        sd_id128_t uuid;
        FrameRange extent;
    } faults[] = {
        { region->uuid, { 0x1fffff, 0x200001 } },
        { region->uuid, { 0x200000, 0x200401 } },
        { theirs->uuid, { 0x200400, 0x200401 } },
        { uuid_of(1, 99), { 0x200000, 0x200001 } },
        { pool->sb.member_uuid, { 0x200000, 0x200001 } },
        { other->sb.member_uuid, { LEFT + POOL_FRAMES, LEFT + POOL_FRAMES + 1 } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autoptr(GError) error = NULL;

        bad.uuid = faults[i].uuid;
        bad.extents[0] = faults[i].extent;
        g_assert_false(apply_bad(state, pool, &bad, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
        g_assert_null(pool->bad);
    }

    /* As many as are kept, and one more. */
    bad = (JfBadFrames){ .uuid = region->uuid };
    for (unsigned i = 0; i < STATE_BAD_EXTENTS_MAX; i++) {
        bad.extents[bad.n_extents++] = (FrameRange){ 0x200000 + 2 * i, 0x200001 + 2 * i };
        if (bad.n_extents == JF_BAD_EXTENTS_MAX) {
            g_assert_true(apply_bad(state, pool, &bad, NULL));
            bad.n_extents = 0;
        }
    }
    g_autoptr(GError) error = NULL;
    bad.n_extents = 1;
    bad.extents[0] = (FrameRange){ 0x2003fe, 0x2003ff };
    g_assert_false(apply_bad(state, pool, &bad, &error));
    g_assert_cmpuint(region_bad_frames(region_bad(region)), ==, STATE_BAD_EXTENTS_MAX);
    bad.n_extents = 0;
    bad.more = true;
    g_assert_true(apply_bad(state, pool, &bad, NULL));
    g_assert_true(region_bad(region)->more);
    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200000, 0x200300 }, true);
    g_assert_true(region_bad(region)->more);
    g_assert_cmpstr(region_state_text(region), ==, "degraded");
    journal_bad(state, pool, region->uuid, region->range, true);
    g_assert_null(region_bad(region));
}

/* Regions whose raw region is away show what is remembered; when it comes, both. */
static void test_raw_comes(void) {
    g_autoptr(State) state = state_new();
    const FrameRange shown = { 0x200110, 0x200111 };

    add_raw(state, "left", LEFT, RAW_FRAMES);
    Pool *pool = add_pool(state, 0, LEFT);
    Region *region = add_region(state, pool, 1, 0x200100, 0x100);
    g_assert_null(region->occupant.raw);
    journal_bad(state, pool, region->uuid, (FrameRange){ 0x200100, 0x200101 }, false);
    state_renew_bad(state, (BadHolder){ .region = region });
    assert_bad(region_bad(region), "0x200100", "0x200100");
    add_raw(state, "right", RIGHT, RAW_FRAMES);
    show_extents(state, "right", &shown, 1);
    assert_bad(region_bad(region), "0x200100", "0x200100, 0x200110");
}

/* Free is what nobody has and what can be read, counted frame by frame. */
static void test_free(void) {
    for (int round = 0; round < 50; round++) {
        g_autoptr(State) state = state_with_raws();
        Pool *pool = add_pool(state, 0, LEFT);
        Raw *raw = state_raw_by_id(state, "right");
        g_autofree bool *taken = g_new0(bool, RAW_FRAMES);
        g_autoptr(GArray) bad = frame_set_new();
        uint64_t frames = 0, largest = 0, run = 0;

        for (uint64_t n = 0; n < 10; n++) {
            uint64_t start = n * 0x1000 + (uint64_t) g_test_rand_int_range(0, 0x800);
            uint64_t length = (uint64_t) g_test_rand_int_range(1, 0x800);

            add_region(state, pool, n, RIGHT + start, length);
            memset(taken + start, 1, length);
        }
        for (int n = g_test_rand_int_range(0, 20); n > 0; n--) {
            uint64_t start = (uint64_t) g_test_rand_int_range(0, (gint32) RAW_FRAMES - 0x400);
            uint64_t length = (uint64_t) g_test_rand_int_range(1, 0x400);

            frame_set_add(bad, (FrameRange){ RIGHT + start, RIGHT + start + length });
            memset(taken + start, 1, length);
        }
        show(state, "right", bad);
        for (uint64_t i = 0; i < RAW_FRAMES; i++) {
            run = taken[i] ? 0 : run + 1;
            frames += !taken[i];
            largest = MAX(largest, run);
        }
        g_assert_cmpuint(raw_free_frames(raw), ==, frames);
        g_assert_cmpuint(raw_largest_gap(raw), ==, largest);
        g_assert_cmpuint(state_totals(state).free_bytes, ==, (frames + RAW_FRAMES - POOL_FRAMES) * PMEMD_FRAME_SIZE);
    }
}

/* An extent stands where no frame is bad: in the smallest run that takes it. */
static void test_extents(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    uint64_t from = pool->own.range.end, to = pool->tail.range.start;
    const FrameRange bad[] = { { from + 10, from + 11 }, { from + 14, from + 20 } };
    FrameRange extent;

    g_assert_true(pool_fit_extent(pool, 3, &extent));
    g_assert_cmphex(extent.start, ==, from);
    g_assert_cmpuint(pool_free_frames(pool), ==, to - from);
    show_extents(state, "left", bad, G_N_ELEMENTS(bad));
    g_assert_cmpuint(pool_free_frames(pool), ==, to - from - 7);
    g_assert_cmpuint(pool_largest_gap(pool), ==, to - from - 20);
    g_assert_true(pool_fit_extent(pool, 3, &extent));
    g_assert_cmphex(extent.start, ==, from + 11);
    g_assert_cmphex(extent.end, ==, from + 14);
    g_assert_true(pool_fit_extent(pool, 4, &extent));
    g_assert_cmphex(extent.start, ==, from);
    g_assert_true(pool_fit_extent(pool, 11, &extent));
    g_assert_cmphex(extent.start, ==, from + 20);
    g_assert_true(pool_fit_extent(pool, to - from - 20, &extent));
    g_assert_false(pool_fit_extent(pool, to - from - 19, &extent));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state-bad/union", test_union);
    g_test_add_func("/state-bad/states", test_states);
    g_test_add_func("/state-bad/refused", test_refused);
    g_test_add_func("/state-bad/raw-comes", test_raw_comes);
    g_test_add_func("/state-bad/free", test_free);
    g_test_add_func("/state-bad/extents", test_extents);
    return g_test_run();
}
