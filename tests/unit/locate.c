/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/locate: each frame of random hosts against a plain list of who has it, walked from its start; then
 * the borders of every part by cases. PMEMD_TEST_SEED=N repeats a random run.
 */
#include "daemon/locate.h"
#include "tests/lib/test-budget.h"
#include "tests/unit/rules-fixture.h"

#include <stdlib.h>

#define AREA_FRAMES 272 /* of one area of 16 regions: roundup(16 * 512 B + 1 MiB, 64 KiB) */
#define UNIT_FRAMES 16
#define HEAD_FRAMES (UNIT_FRAMES + 2 * AREA_FRAMES)

static uint32_t seed;

static Location locate(const State *state, uint64_t frame) {
    g_autoptr(GError) error = NULL;
    Location location;

    g_assert_true(locate_frame(state, frame, &location, &error));
    g_assert_no_error(error);
    return location;
}

static void check(const State *state, uint64_t frame, LocateKind kind, LocatePart part, uint64_t offset_frames) {
    Location location = locate(state, frame);

    g_assert_cmpstr(locate_kind_to_string(location.kind), ==, locate_kind_to_string(kind));
    g_assert_cmpstr(locate_part_to_string(location.part), ==, locate_part_to_string(part));
    g_assert_cmphex(location.offset, ==, offset_frames * 4096);
}

/* ---- by cases ---- */

static void test_nothing(void) {
    g_autoptr(State) state = state_new();

    check(state, 0, LOCATE_NONE, LOCATE_PART_NONE, 0);
    check(state, PMEMD_FRAME_LIMIT - 1, LOCATE_NONE, LOCATE_PART_NONE, 0);
    g_assert_null(locate(state, 7).raw);
}

static void test_no_frame(void) {
    static const uint64_t frames[] = { PMEMD_FRAME_LIMIT, PMEMD_FRAME_LIMIT + 1, UINT64_MAX - 1, UINT64_MAX };
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    Location location = { .offset = 42 };

    for (guint i = 0; i < G_N_ELEMENTS(frames); i++)
        assert_refused(locate_frame(state, frames[i], &location, &error), &error, INVALID_ARGUMENT,
                       "is no frame number", "0xffffffffff");
    g_assert_cmphex(location.offset, ==, 42);
}

static void test_raws(void) {
    g_autoptr(State) state = state_new();
    const Raw *a = add_raw(state, "a", range(100, 200), 0, PACKED, 0, 0);
    const Raw *b = add_raw(state, "b", range(200, 300), 0, PACKED, 0, 0);
    const Raw *c = add_raw(state, "c", range(400, 500), 0, PACKED, 0, 0);

    check(state, 99, LOCATE_NONE, LOCATE_PART_NONE, 0);
    check(state, 100, LOCATE_RAW, LOCATE_PART_NONE, 0);
    check(state, 199, LOCATE_RAW, LOCATE_PART_NONE, 99);
    check(state, 200, LOCATE_RAW, LOCATE_PART_NONE, 0);
    check(state, 300, LOCATE_NONE, LOCATE_PART_NONE, 0);
    check(state, 399, LOCATE_NONE, LOCATE_PART_NONE, 0);
    check(state, 499, LOCATE_RAW, LOCATE_PART_NONE, 99);
    check(state, 500, LOCATE_NONE, LOCATE_PART_NONE, 0);
    g_assert_true(locate(state, 199).raw == a);
    g_assert_true(locate(state, 200).raw == b);
    g_assert_true(locate(state, 499).raw == c);
    g_assert_null(locate(state, 350).raw);
}

static void test_mgmt_parts(void) {
    g_autoptr(State) state = state_new();
    const uint64_t at = 0x100000, end = 0x101000, extent = at + HEAD_FRAMES + 40; /* 40 bytes a frame of its own */
    add_raw(state, "a", range(at - 8, end), 0, PACKED, 8, 0);
    add_raw(state, "b", range(0x200000, 0x200100), 0, PACKED, 0, 0);
    Pool *pool = add_pool(state, range(at, end), 8, PACKED, PROFILE_XEN, "main");
    const Region *region =
        add_data(state, pool, JF_ADD, 0, range(0x200000, 0x200020), 4, range(extent + 1, extent + 3), "d");

    check(state, at - 8, LOCATE_MGMT, LOCATE_PART_LEAD, 0);
    check(state, at - 1, LOCATE_MGMT, LOCATE_PART_LEAD, 7);
    check(state, at, LOCATE_MGMT, LOCATE_PART_SUPERBLOCK, 0);
    check(state, at + 15, LOCATE_MGMT, LOCATE_PART_SUPERBLOCK, 15);
    check(state, at + 16, LOCATE_MGMT, LOCATE_PART_JOURNAL, 16);
    check(state, at + HEAD_FRAMES - 1, LOCATE_MGMT, LOCATE_PART_JOURNAL, HEAD_FRAMES - 1);
    check(state, at + HEAD_FRAMES, LOCATE_MGMT, LOCATE_PART_OWN, HEAD_FRAMES);
    check(state, extent - 1, LOCATE_MGMT, LOCATE_PART_OWN, extent - 1 - at);
    check(state, extent, LOCATE_MGMT, LOCATE_PART_FREE, extent - at);
    check(state, extent + 1, LOCATE_MGMT, LOCATE_PART_EXTENT, 0);
    check(state, extent + 2, LOCATE_MGMT, LOCATE_PART_EXTENT, 1);
    check(state, extent + 3, LOCATE_MGMT, LOCATE_PART_FREE, extent + 3 - at);
    check(state, end - 17, LOCATE_MGMT, LOCATE_PART_FREE, end - 17 - at);
    check(state, end - 16, LOCATE_MGMT, LOCATE_PART_SUPERBLOCK, end - 16 - at);
    check(state, end - 1, LOCATE_MGMT, LOCATE_PART_SUPERBLOCK, end - 1 - at);
    check(state, end, LOCATE_NONE, LOCATE_PART_NONE, 0);
    g_assert_true(locate(state, extent + 1).region == region);
    g_assert_null(locate(state, extent).region);
    g_assert_true(locate(state, extent).pool == pool);

    check(state, 0x200000, LOCATE_DATA, LOCATE_PART_LEAD, 0);
    check(state, 0x200003, LOCATE_DATA, LOCATE_PART_LEAD, 3);
    check(state, 0x200004, LOCATE_DATA, LOCATE_PART_USABLE, 0);
    check(state, 0x20001f, LOCATE_DATA, LOCATE_PART_USABLE, 0x1b);
    check(state, 0x200020, LOCATE_RAW, LOCATE_PART_NONE, 0x20);
    g_assert_true(locate(state, 0x20001f).region == region);
    g_assert_true(locate(state, 0x20001f).pool == pool);
}

static void test_unsupported_pool(void) {
    g_autoptr(State) state = state_new();
    JfSuperblock sb = { .journal_uuid = new_uuid(), .member_uuid = new_uuid(), .range = range(0x1008, 0x2000) };
    g_autoptr(GError) error = NULL;

    add_raw(state, "a", range(0x1000, 0x3000), 0, PACKED, 8, 0);
    state_add_pool(state, &sb, range(0x1000, 0x2000), POOL_UNSUPPORTED, &error);
    g_assert_no_error(error);
    check(state, 0x1000, LOCATE_MGMT, LOCATE_PART_LEAD, 0);
    check(state, 0x1008, LOCATE_MGMT, LOCATE_PART_UNKNOWN, 0);
    check(state, 0x1fff, LOCATE_MGMT, LOCATE_PART_UNKNOWN, 0xff7);
}

static void test_quarantined(void) {
    g_autoptr(State) state = state_new();
    add_raw(state, "a", range(0x100000, 0x102000), 0, PACKED, 0, 0);
    Pool *pool = add_pool(state, range(0x100000, 0x101000), 0, PACKED, PROFILE_NONE, NULL);
    Region *region = add_data(state, pool, JF_ADD, 0, range(0x101000, 0x101010), 0, range(0x100800, 0x100801), NULL);

    begin_release(state, region, 1);
    check(state, 0x101008, LOCATE_DATA, LOCATE_PART_USABLE, 8);
    check(state, 0x100800, LOCATE_MGMT, LOCATE_PART_EXTENT, 0);
    g_assert_cmpint(locate(state, 0x101008).region->state, ==, REGION_QUARANTINED);
}

/* A device of others that stands across one of ours is in no map; what is left of it is still theirs. */
static void test_foreign(void) {
    g_autoptr(State) state = state_new();
    add_raw(state, "a", range(0x100000, 0x102000), 0, PACKED, 0, 0);
    add_pool(state, range(0x100000, 0x101000), 0, PACKED, PROFILE_NONE, NULL);
    const Foreign *across = add_foreign(state, range(0x100ff0, 0x101010), FOREIGN_FOREIGN, "across");
    const Foreign *placed = add_foreign(state, range(0x101100, 0x101110), FOREIGN_ORPHAN, "placed");
    const Foreign *away = add_foreign(state, range(0x300000, 0x300010), FOREIGN_FOREIGN, "away");

    check(state, 0x100fff, LOCATE_MGMT, LOCATE_PART_SUPERBLOCK, 0xfff);
    check(state, 0x101000, LOCATE_FOREIGN, LOCATE_PART_NONE, 0x10);
    check(state, 0x10100f, LOCATE_FOREIGN, LOCATE_PART_NONE, 0x1f);
    check(state, 0x101010, LOCATE_RAW, LOCATE_PART_NONE, 0x1010);
    check(state, 0x101100, LOCATE_FOREIGN, LOCATE_PART_NONE, 0);
    check(state, 0x10110f, LOCATE_FOREIGN, LOCATE_PART_NONE, 0xf);
    check(state, 0x30000f, LOCATE_FOREIGN, LOCATE_PART_NONE, 0xf);
    check(state, 0x300010, LOCATE_NONE, LOCATE_PART_NONE, 0);
    g_assert_true(locate(state, 0x101008).foreign == across);
    g_assert_true(locate(state, 0x101108).foreign == placed);
    g_assert_true(locate(state, 0x300008).foreign == away);
}

/* ---- against a plain list ---- */

typedef struct {
    FrameRange device;
    uint64_t start; /* first usable frame */
    LocateKind kind;
    const void *what; /* Region, Foreign */
} Thing;

typedef struct {
    GRand *random;
    State *state;
    Pool *pool;
    GArray *raws;   /* FrameRange */
    GArray *things; /* Thing, whoever came first in front: that one has the frame */
    uint64_t extent;
} Plain;

static uint32_t below(Plain *plain, uint32_t n) {
    return (uint32_t) g_rand_int_range(plain->random, 0, (gint32) n);
}

#define POOL_START 0x10000
#define POOL_END 0x10800

static void plain_init(Plain *plain, GRand *random) {
    uint64_t at = 1 + below(plain, 10);

    plain->state = state_new();
    plain->raws = g_array_new(FALSE, FALSE, sizeof(FrameRange));
    plain->things = g_array_new(FALSE, FALSE, sizeof(Thing));
    for (unsigned n = below(plain, 6); n > 0; n--) {
        FrameRange where = range(at, at + 1 + below(plain, 200));

        add_raw(plain->state, "r", where, 0, PACKED, 0, 0);
        g_array_append_val(plain->raws, where);
        at = where.end + (below(plain, 2) == 0 ? 0 : below(plain, 50));
    }
    FrameRange where = range(POOL_START, POOL_END);
    add_raw(plain->state, "pool", where, 0, PACKED, 0, 0);
    g_array_append_val(plain->raws, where);
    plain->pool = add_pool(plain->state, where, 0, PACKED, PROFILE_NONE, NULL);
    plain->extent = plain->pool->head.range.end;
}

static bool plain_is_free(const Plain *plain, FrameRange device) {
    for (guint i = 0; i < plain->things->len; i++)
        if (frame_range_overlaps(g_array_index(plain->things, Thing, i).device, device))
            return false;
    return true;
}

static void plain_add(Plain *plain) {
    uint64_t start = 1 + below(plain, 900), lead = below(plain, 4);
    Thing thing = { .device = range(start, start + lead + 1 + below(plain, 30)), .start = start + lead };

    if (!plain_is_free(plain, thing.device))
        return;
    if (below(plain, 4) == 0) {
        thing.kind = LOCATE_FOREIGN;
        thing.start = start;
        thing.what = add_foreign(plain->state, thing.device, FOREIGN_FOREIGN, "foreign");
    } else {
        thing.kind = LOCATE_DATA;
        state_begin_replay(plain->pool); /* also where no raw region is */
        thing.what = add_data(plain->state, plain->pool, JF_ADD, 0, thing.device, lead,
                              range(plain->extent, plain->extent + 1), NULL);
        g_assert_true(state_end_replay(plain->state, plain->pool, NULL));
        plain->extent++;
    }
    g_array_append_val(plain->things, thing);
}

static void plain_check(const Plain *plain, uint64_t frame) {
    for (guint i = 0; i < plain->things->len; i++) {
        const Thing *thing = &g_array_index(plain->things, Thing, i);

        if (frame < thing->device.start || frame >= thing->device.end)
            continue;
        bool lead = frame < thing->start;
        check(plain->state, frame, thing->kind,
              thing->kind == LOCATE_FOREIGN ? LOCATE_PART_NONE
              : lead                        ? LOCATE_PART_LEAD
                                            : LOCATE_PART_USABLE,
              frame - (lead ? thing->device.start : thing->start));
        Location location = locate(plain->state, frame);
        const void *what =
            thing->kind == LOCATE_FOREIGN ? (const void *) location.foreign : (const void *) location.region;
        g_assert_true(what == thing->what);
        return;
    }
    for (guint i = 0; i < plain->raws->len; i++) {
        FrameRange raw = g_array_index(plain->raws, FrameRange, i);

        if (frame >= raw.start && frame < raw.end) {
            check(plain->state, frame, LOCATE_RAW, LOCATE_PART_NONE, frame - raw.start);
            return;
        }
    }
    check(plain->state, frame, LOCATE_NONE, LOCATE_PART_NONE, 0);
}

static void test_random(void) {
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);

    for (unsigned i = 0, n = test_rounds(60); i < n; i++) {
        Plain plain = { .random = random };

        plain_init(&plain, random);
        for (unsigned j = 0; j < 40; j++)
            plain_add(&plain);
        for (uint64_t frame = 0; frame < 1400; frame++)
            plain_check(&plain, frame);
        state_free(plain.state);
        g_array_unref(plain.raws);
        g_array_unref(plain.things);
    }
}

int main(int argc, char **argv) {
    const char *given = getenv("PMEMD_TEST_SEED");

    g_test_init(&argc, &argv, NULL);
    seed = given ? (uint32_t) strtoul(given, NULL, 0) : g_random_int();
    g_test_message("PMEMD_TEST_SEED=%u", seed);
    g_test_add_func("/locate/nothing", test_nothing);
    g_test_add_func("/locate/no-frame", test_no_frame);
    g_test_add_func("/locate/raws", test_raws);
    g_test_add_func("/locate/mgmt-parts", test_mgmt_parts);
    g_test_add_func("/locate/unsupported-pool", test_unsupported_pool);
    g_test_add_func("/locate/quarantined", test_quarantined);
    g_test_add_func("/locate/foreign", test_foreign);
    g_test_add_func("/locate/random", test_random);
    return g_test_run();
}
