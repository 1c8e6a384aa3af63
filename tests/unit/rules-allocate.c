/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/rules for sizes: best fit and the valid ranges that rule 3 names, both against a search of every
 * frame on random hosts; then node, alignment, pool and labels by cases. PMEMD_TEST_SEED=N repeats a random run.
 */
#include "daemon/rules-placement.h"
#include "tests/lib/test-budget.h"
#include "tests/unit/rules-fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAMES_MAX 240 /* of a raw region of a random host */
#define RAWS_MAX 4

static uint32_t seed;

/* ---- a host that is known frame by frame ---- */

typedef struct {
    Raw *raw;
    uint64_t frames, step, lead, minimum; /* frames */
    bool used[FRAMES_MAX];
} Plain;

typedef struct {
    GRand *random;
    State *state;
    Pool *pool;
    Pool *other;     /* whose regions are replayed, also across others */
    uint64_t extent; /* next frame to give to a data region */
    uint64_t other_extent;
    Plain plain[RAWS_MAX];
    unsigned n;
} RandomHost;

static uint32_t below(RandomHost *host, uint32_t n) {
    return (uint32_t) g_rand_int_range(host->random, 0, (gint32) n);
}

static void plain_mark(Plain *plain, FrameRange where) {
    for (uint64_t i = 0; i < plain->frames; i++)
        if (plain->raw->range.start + i >= where.start && plain->raw->range.start + i < where.end)
            plain->used[i] = true;
}

static void random_host_init(RandomHost *host, GRand *random) {
    static const uint32_t steps[] = { 1, 1, 2, 3, 4, 6, 8, 12 };
    uint64_t at = 0;

    memset(host, 0, sizeof *host);
    host->random = random;
    host->state = state_new();
    host->n = 1 + below(host, RAWS_MAX);
    for (unsigned i = 0; i < host->n; i++) {
        Plain *plain = &host->plain[i];
        char id[] = { 'r', (char) ('0' + i), '\0' };

        at += below(host, 3) == 0 ? 0 : below(host, 500);
        plain->frames = 1 + below(host, FRAMES_MAX);
        plain->step = steps[below(host, G_N_ELEMENTS(steps))];
        plain->lead = below(host, 2) == 0 ? 0 : below(host, 8);
        plain->minimum = below(host, 2) == 0 ? 0 : below(host, 12);
        plain->raw = add_raw(host->state, id, range(at, at + plain->frames), (int) below(host, 2), plain->step * 4096,
                             plain->lead, plain->minimum * 4096);
        plain->raw->subdividable = below(host, 6) != 0;
        if (below(host, 12) == 0)
            plain->raw->unusable = g_strdup("broken");
        at += plain->frames;
    }
    add_raw(host->state, "pools", range(0x100000, 0x102000), 9, PACKED, 0, 0);
    host->pool = add_pool(host->state, range(0x100000, 0x101000), 0, PACKED, PROFILE_NONE, "main");
    host->other = add_pool(host->state, range(0x101000, 0x102000), 0, PACKED, PROFILE_NONE, "other");
    host->extent = host->pool->head.range.end;
    host->other_extent = host->other->head.range.end;
}

static void random_host_clear(RandomHost *host) {
    state_free(host->state);
}

/* Foreign devices may stand anywhere, across each other and across ours, too. */
static void random_host_add_foreign(RandomHost *host) {
    Plain *plain = &host->plain[below(host, host->n)];
    uint64_t start = below(host, (uint32_t) plain->frames);
    uint64_t frames = 1 + below(host, 20);
    FrameRange device =
        range(plain->raw->range.start + start, plain->raw->range.start + MIN(start + frames, plain->frames));

    add_foreign(host->state, device, FOREIGN_FOREIGN, "foreign");
    plain_mark(plain, device);
}

/* So may, in what a journal claims, the regions of another pool; also across the end of a raw region. */
static void random_host_add_replayed(RandomHost *host) {
    const Plain *plain = &host->plain[below(host, host->n)];
    uint64_t start = plain->raw->range.start + below(host, (uint32_t) plain->frames);
    FrameRange device = range(start, start + 1 + below(host, 20));
    FrameRange extent = range(host->other_extent, host->other_extent + 1);

    if (region_map_find_overlap(host->other->unplaced, device))
        return;
    state_begin_replay(host->other);
    add_data(host->state, host->other, JF_ADD, 0, device, 0, extent, NULL);
    state_end_replay(host->state, host->other, NULL);
    host->other_extent++;
    for (unsigned i = 0; i < host->n; i++)
        plain_mark(&host->plain[i], device);
}

/* Would a device of [start, start + frames) in plain keep every rule of rule 3? */
static bool plain_is_valid(const Plain *plain, uint64_t start, uint64_t frames) {
    if (!plain->raw->subdividable)
        return start == 0 && frames == plain->frames && frames > plain->lead;
    return start % plain->step == 0 && frames % plain->step == 0 && frames >= plain->minimum && frames > plain->lead &&
           start + frames <= plain->frames;
}

/* Best fit by trying every frame: the smallest device, in the tightest gap, at the lowest address. */
static bool random_host_best(const RandomHost *host, uint64_t frames, uint64_t alignment, int node,
                             FrameRange *ret_device) {
    uint64_t best_gap = UINT64_MAX, best_frames = UINT64_MAX;

    for (unsigned r = 0; r < host->n; r++) {
        const Plain *plain = &host->plain[r];
        uint64_t base = plain->raw->range.start;

        if (plain->raw->unusable || (node >= 0 && plain->raw->node != node))
            continue;
        for (uint64_t gap = 0, end; gap < plain->frames; gap = end + 1) {
            for (end = gap; end < plain->frames && !plain->used[end]; end++)
                ;
            for (uint64_t s = gap; s < end; s++) {
                uint64_t d = frames + plain->lead;

                while (d <= end - s && !plain_is_valid(plain, s, d))
                    d++;
                if (d > end - s || (base + s + plain->lead) % alignment != 0)
                    continue;
                if (d > best_frames || (d == best_frames && end - gap >= best_gap))
                    continue;
                best_frames = d;
                best_gap = end - gap;
                *ret_device = range(base + s, base + s + d);
            }
        }
    }
    return best_gap != UINT64_MAX;
}

static void random_host_allocate(RandomHost *host, unsigned *fitted) {
    DataRequest request = {
        .bytes = (1 + below(host, below(host, 2) == 0 ? 12 : FRAMES_MAX)) * UINT64_C(4096) - below(host, 4096),
        .node = (int) below(host, 4) - 1,
        .alignment = below(host, 2) == 0 ? 0 : UINT64_C(4096) << below(host, 9),
        .pool = "main",
    };
    uint64_t frames = (request.bytes + 4095) / 4096;
    FrameRange best = { 0, 0 };
    RegionPlan plan;
    g_autoptr(GError) error = NULL;

    if (request.node == 2)
        request.node = -1;
    bool found = random_host_best(host, frames, MAX(request.alignment / 4096, 1), request.node, &best);
    bool planned = rules_allocate_data(host->state, &request, &plan, &error);
    if (!planned)
        g_test_message("%s", error->message);
    g_assert_cmpint(planned, ==, found);
    if (!found) {
        /* no raw region at all on that node, or no room */
        g_assert_true(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE) ||
                      (request.node >= 0 && g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT)));
        return;
    }
    assert_plan_is_sound(host->state, &plan);
    g_assert_cmphex(plan.device.start, ==, best.start);
    g_assert_cmphex(plan.device.end, ==, best.end);
    g_assert_cmphex(frame_range_frames(plan.range) * 4096, >=, request.bytes);
    g_assert_true(request.node < 0 || plan.raw->node == request.node);
    g_assert_cmphex(plan.extent.start, ==, host->extent);

    /* What was planned by size passes for exact frames, too. */
    DataRequest exact = { .range = plan.range, .mgmt = plan.extent };
    RegionPlan again;
    g_assert_true(rules_setup_data(host->state, &exact, &again, &error));
    g_assert_true(frame_range_equal(again.device, plan.device));

    add_data(host->state, plan.pool, JF_ADD, 0, plan.device, plan.raw->lead, plan.extent, NULL);
    host->extent++;
    for (unsigned i = 0; i < host->n; i++)
        plain_mark(&host->plain[i], plan.device);
    (*fitted)++;
}

static void test_best_fit(void) {
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    unsigned fitted = 0, rounds = test_rounds(4000);

    for (unsigned i = 0; i < rounds; i++) {
        RandomHost host;

        random_host_init(&host, random);
        for (unsigned steps = below(&host, 25); steps > 0; steps--)
            if (below(&host, 3) == 0)
                random_host_add_foreign(&host);
            else if (below(&host, 6) == 0)
                random_host_add_replayed(&host);
            else
                random_host_allocate(&host, &fitted);
        random_host_clear(&host);
    }
    g_test_message("%u of the requests fitted", fitted);
    g_assert_cmpuint(fitted, >, rounds + rounds / 4);
}

/* ---- the ranges that rule 3 names ---- */

static bool parse_named(const char *message, const char *before, const char *after, FrameRange *ret_named) {
    const char *at = strstr(message, before);
    const char *end = at ? strstr(at, after) : NULL;
    unsigned long start_frame, end_frame;

    g_assert_nonnull(end);
    if (g_str_has_prefix(at + strlen(before), "none"))
        return false;
    g_assert_cmpint(sscanf(at + strlen(before), "0x%lx - 0x%lx", &start_frame, &end_frame), ==, 2);
    *ret_named = range(start_frame, end_frame);
    return true;
}

static void check_named(const Plain *plain, FrameRange wanted, const char *message) {
    uint64_t base = plain->raw->range.start;
    uint64_t largest_inside = 0;
    uint64_t smallest_around = UINT64_MAX;
    bool any = false;
    FrameRange named;

    for (uint64_t s = 0; s < plain->frames; s++)
        for (uint64_t d = 1; s + d <= plain->frames; d++) {
            FrameRange usable = range(base + s + plain->lead, base + s + d);

            if (!plain_is_valid(plain, s, d))
                continue;
            any = true;
            if (frame_range_contains(wanted, usable))
                largest_inside = MAX(largest_inside, d);
            if (frame_range_contains(usable, wanted))
                smallest_around = MIN(smallest_around, d);
        }

    bool found = parse_named(message, "valid ranges are ", " (largest inside)", &named);
    g_assert_cmpint(found, ==, largest_inside > 0);
    if (found) {
        g_assert_true(frame_range_contains(wanted, named));
        g_assert_true(plain_is_valid(plain, named.start - plain->lead - base, named.end - named.start + plain->lead));
        g_assert_cmphex(frame_range_frames(named) + plain->lead, ==, largest_inside);
    }
    found = parse_named(message, "(largest inside) and ", " (smallest around)", &named);
    g_assert_cmpint(found, ==, any);
    if (found) {
        g_assert_true(plain_is_valid(plain, named.start - plain->lead - base, named.end - named.start + plain->lead));
        if (smallest_around != UINT64_MAX) {
            g_assert_true(frame_range_contains(named, wanted));
            g_assert_cmphex(frame_range_frames(named) + plain->lead, ==, smallest_around);
        }
    }
}

static void test_nearest(void) {
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    unsigned refused = 0, rounds = test_rounds(1500);

    for (unsigned i = 0; i < rounds; i++) {
        RandomHost host;

        random_host_init(&host, random);
        Plain *plain = &host.plain[0];
        plain->raw->subdividable = true;
        g_clear_pointer(&plain->raw->unusable, g_free);
        for (int k = 0; k < 4; k++) {
            uint64_t start = below(&host, (uint32_t) plain->frames);
            uint64_t end = start + 1 + below(&host, (uint32_t) (plain->frames - start));
            FrameRange wanted = range(plain->raw->range.start + start, plain->raw->range.start + end);
            g_autoptr(GError) error = NULL;
            Placement placement;

            bool valid = start >= plain->lead && plain_is_valid(plain, start - plain->lead, end - start + plain->lead);
            g_assert_cmpint(placement_at(host.state, wanted, false, &placement, &error), ==, valid);
            if (valid)
                continue;
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
            g_test_message("step %d lead %d minimum %d: %s", (int) plain->step, (int) plain->lead, (int) plain->minimum,
                           error->message);
            check_named(plain, wanted, error->message);
            refused++;
        }
        random_host_clear(&host);
    }
    g_assert_cmpuint(refused, >, rounds / 3 * 2);
}

/* ---- cases ---- */

/* Two nodes as device-dax has them; a pool on each, and a third node with a pool and nothing else. */
typedef struct {
    State *state;
    Raw *near, *far, *third;
    Pool *on_near, *on_far, *on_third;
} Host;

#define NEAR UINT64_C(0x100000)
#define FAR UINT64_C(0x200000)
#define THIRD UINT64_C(0x1000000)
#define LEAD (2 * MIB_FRAMES)

static void host_set_up(Host *host, gconstpointer unused) {
    host->state = state_new();
    host->near = add_raw(host->state, "near", range(NEAR, NEAR + 0x40000), 0, 2 * MIB, LEAD, 16 * MIB);
    host->far = add_raw(host->state, "far", range(FAR, FAR + 0x80000), 1, 2 * MIB, LEAD, 16 * MIB);
    host->third = add_raw(host->state, "third", range(THIRD, THIRD + 0x20000), 2, 2 * MIB, LEAD, 16 * MIB);
    host->on_near = add_pool(host->state, range(NEAR + LEAD, NEAR + 0x2000), LEAD, 2 * MIB, PROFILE_XEN, "near");
    host->on_far = add_pool(host->state, range(FAR + LEAD, FAR + 0x4000), LEAD, 2 * MIB, PROFILE_XEN, "far");
    host->on_third = add_pool(host->state, range(THIRD + LEAD, THIRD + 0x20000), LEAD, 2 * MIB, PROFILE_XEN, "third");
}

static void host_tear_down(Host *host, gconstpointer unused) {
    state_free(host->state);
}

static bool allocate(const Host *host, const DataRequest *request, RegionPlan *ret_plan, GError **error) {
    bool ok = rules_allocate_data(host->state, request, ret_plan, error);

    g_assert_cmpint(ok, ==, *error == NULL);
    if (ok)
        assert_plan_is_sound(host->state, ret_plan);
    return ok;
}

static void test_arguments(Host *host, gconstpointer unused) {
    DataRequest request = { .bytes = 0, .node = -1 };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    assert_refused(allocate(host, &request, &plan, &error), &error, INVALID_ARGUMENT, "0 bytes");
    request.bytes = 1;
    static const uint64_t alignments[] = { 1, 2048, 4095, 4097, 3 * 4096, UINT64_MAX };
    for (size_t i = 0; i < G_N_ELEMENTS(alignments); i++) {
        request.alignment = alignments[i];
        assert_refused(allocate(host, &request, &plan, &error), &error, INVALID_ARGUMENT, "alignment", "power of two");
    }
    request.alignment = 0;
    request.node = 7;
    assert_refused(allocate(host, &request, &plan, &error), &error, INVALID_ARGUMENT, "node 7", "far on node 1");
    request.node = -2;
    assert_refused(allocate(host, &request, &plan, &error), &error, INVALID_ARGUMENT, "node -2");
    request.node = -1;
    request.pool = "nobody\n";
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SUCH_MGMT, "\"nobody\\n\"", "\"near\"");
    request.pool = "00000000-0000-0000-0000-000000000001";
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SUCH_MGMT, request.pool);
    request.pool = "near";
    request.name = "-";
    assert_refused(allocate(host, &request, &plan, &error), &error, INVALID_ARGUMENT, "the name \"-\"");
    request.name = "disk1";
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_cmphex(frame_range_frames(plan.device), ==, 0x1000); /* the minimum */
}

static void test_no_space(Host *host, gconstpointer unused) {
    DataRequest request = { .bytes = 4096 * UINT64_C(0x7be00), .node = -1 };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    g_assert_true(allocate(host, &request, &plan, &error)); /* exactly the largest */
    request.bytes++;
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "1038090240 bytes on node 0",
                   "2078277632 bytes on node 1", "0 bytes on node 2", "free in total: 3120562176 bytes");
    request.node = 0;
    request.alignment = UINT64_C(1) << 30;
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "aligned to 1073741824 bytes on node 0");
    request.bytes = UINT64_MAX;
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "18446744073709551615 bytes");
    host->near->unusable = g_strdup("its labels are broken");
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE,
                   "near is left out: its labels are broken");
}

static void test_alignment(Host *host, gconstpointer unused) {
    DataRequest request = { .bytes = 256 * MIB, .node = -1 };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    for (uint64_t alignment = 4096; alignment <= 512 * MIB; alignment *= 2) {
        request.alignment = alignment;
        g_assert_true(allocate(host, &request, &plan, &error));
        g_assert_cmphex(plan.range.start * 4096 % alignment, ==, 0);
        g_assert_cmphex(plan.raw->range.start, ==, NEAR);
    }
    request.alignment = UINT64_C(1) << 30; /* near has no such frame with 256 MiB behind it */
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_cmphex(plan.range.start, ==, FAR + 0x40000);
    request.alignment = UINT64_C(1) << 63;
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "aligned to 9223372036854775808");
}

static void test_slots(Host *host, gconstpointer unused) {
    DataRequest request = { .bytes = 64 * MIB, .node = -1 };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    host->near->free_slots = 1;
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.raw == host->far);
    host->far->free_slots = 0;
    assert_refused(allocate(host, &request, &plan, &error), &error, LIMITS_EXCEEDED, "label slots");
    request.bytes = UINT64_C(1) << 40;
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "no free gap");
}

static void test_pool_choice(Host *host, gconstpointer unused) {
    DataRequest request = { .bytes = 64 * MIB, .node = 1 };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    /* the same raw region, also where another one of the node has a pool with more free frames */
    host->third->node = 1;
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.pool == host->on_far);
    g_assert_cmphex(plan.extent.start, ==, host->on_far->own.range.end);

    /* the same node */
    host->third->node = 2;
    state_set_pool_state(host->state, host->on_far, POOL_READ_ONLY, "another machine's");
    host->near->node = 1;
    request.bytes = 1200 * MIB;
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.raw == host->far && plan.pool == host->on_near);

    /* most free */
    host->near->node = 0;
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.pool == host->on_third);

    /* by name and by uuid */
    char uuid[PMEMD_UUID_STRING_MAX];
    request.pool = "near";
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.pool == host->on_near);
    request.pool = pmemd_uuid_format(host->on_third->sb.member_uuid, uuid);
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.pool == host->on_third);
    request.pool = "far";
    assert_refused(allocate(host, &request, &plan, &error), &error, READ_ONLY, "another machine's");

    /* full ones are passed over, and named when there is nothing else */
    request.pool = NULL;
    FrameRange gap;
    g_assert_true(region_map_gap_around(host->on_third->extents,
                                        range(host->on_third->own.range.end, host->on_third->own.range.end + 1), &gap));
    add_data(host->state, host->on_third, JF_ADD, 0, range(FAR + 0x10000, FAR + 0x11000), LEAD, gap, NULL);
    g_assert_true(allocate(host, &request, &plan, &error));
    g_assert_true(plan.pool == host->on_near);
    state_set_pool_state(host->state, host->on_near, POOL_CORRUPT, "bad checksum");
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SPACE, "\"third\"", "largest gap");
    state_set_pool_state(host->state, host->on_third, POOL_CREATING, NULL);
    assert_refused(allocate(host, &request, &plan, &error), &error, CORRUPT, "bad checksum");

    while (state_pools(host->state)->len > 0)
        state_remove_pool(host->state, g_ptr_array_index(state_pools(host->state), 0));
    assert_refused(allocate(host, &request, &plan, &error), &error, NO_SUCH_MGMT, "set one up first");
}

static void test_allocate_mgmt(Host *host, gconstpointer unused) {
    MgmtRequest request = {
        .bytes = 4096,
        .profile = PROFILE_XEN,
        .max_regions = JF_MAX_REGIONS_DEFAULT,
        .node = -1,
        .name = "fresh",
    };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    /* a device of the minimum holds the journal */
    g_assert_true(rules_allocate_mgmt(host->state, &request, &plan, &error));
    assert_plan_is_sound(host->state, &plan);
    g_assert_cmpuint(plan.requested_bytes, ==, 4096);
    g_assert_cmphex(plan.journal_frames, ==, jf_journal_frames(2 * MIB, JF_MAX_REGIONS_DEFAULT));
    request.max_regions = JF_MAX_REGIONS_LIMIT;
    assert_refused(rules_allocate_mgmt(host->state, &request, &plan, &error), &error, NO_SPACE, "make it at least");
    request.bytes = 1100 * MIB;
    g_assert_true(rules_allocate_mgmt(host->state, &request, &plan, &error));
    request.name = "near";
    assert_refused(rules_allocate_mgmt(host->state, &request, &plan, &error), &error, EXISTS, "the name \"near\"");
    request.max_regions = 0;
    assert_refused(rules_allocate_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT, "max-regions");
}

static void test_allocate_init_labels(void) {
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    MgmtRequest request = { .bytes = 64 * MIB, .profile = PROFILE_NONE, .max_regions = 16, .node = -1 };
    RegionPlan plan;
    Raw *raws[2];

    for (int i = 0; i < 2; i++) {
        uint64_t start = NEAR + (uint64_t) i * 0x100000;

        raws[i] =
            add_raw(state, i == 0 ? "blank0" : "blank1", range(start, start + 0x40000), i, 2 * MIB, LEAD, 16 * MIB);
        raws[i]->subdividable = false;
        raws[i]->initialisable = true;
        add_foreign(state, raws[i]->range, i == 0 ? FOREIGN_FOREIGN : FOREIGN_ORPHAN, "namespace.0");
    }
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE, "no free gap",
                   "--init-labels");

    /* An orphan is ours: never discarded, so there is one choice. */
    request.init_labels = true;
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(plan.init_labels && plan.raw == raws[0]);
    assert_plan_is_sound(state, &plan);
    request.node = 1;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, BUSY, "lost pool");

    /* Whose content is to be lost is not pmemd's to choose. */
    state_clear_foreign(state);
    add_foreign(state, raws[0]->range, FOREIGN_FOREIGN, "namespace0.0");
    add_foreign(state, raws[1]->range, FOREIGN_FOREIGN, "namespace1.0");
    request.node = -1;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, INVALID_ARGUMENT,
                   "blank0 or on blank1");
    request.node = 1;
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(plan.raw == raws[1]);

    /* Nothing is discarded where there is another way. */
    request.node = -1;
    state_clear_foreign(state);
    add_foreign(state, raws[0]->range, FOREIGN_FOREIGN, "namespace0.0");
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(plan.init_labels && plan.raw == raws[1]);
    state_clear_foreign(state);
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(plan.init_labels && plan.raw == raws[0]);
    /* Nor is anything given away whole that labels would divide. */
    request.init_labels = false;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE, "never initialised");
    request.init_labels = true;
    Raw *labelled = add_raw(state, "labelled", range(FAR + 0x100000, FAR + 0x180000), 1, 2 * MIB, LEAD, 16 * MIB);
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(!plan.init_labels && plan.raw == labelled);
}

/* What would not fit into the region either, once it had labels. */
static void test_init_labels_no_place(void) {
    MgmtRequest request = { .bytes = 64 * MIB, .profile = PROFILE_NONE, .max_regions = 16, .node = -1 };
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    RegionPlan plan;
    Raw *raw = add_raw(state, "blank", range(NEAR, NEAR + 0x40000), 0, 2 * MIB, LEAD, 16 * MIB);

    raw->subdividable = false;
    raw->initialisable = true;
    request.init_labels = true;
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    request.bytes = 0x40000 * PMEMD_FRAME_SIZE;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE, "no free gap");
    request.bytes = 64 * MIB;
    request.alignment = UINT64_C(1) << 50; /* behind the region's end, or nowhere */
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE, "aligned");
    raw->lead = 1; /* a start is always one frame off what the alignment asks for */
    request.alignment = 4 * MIB;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE, "aligned");
}

/* A message names some of many nodes. */
static void test_many_nodes(void) {
    DataRequest request = { .bytes = 1024 * MIB, .node = -1 };
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    for (int node = 0; node < 12; node++) {
        g_autofree char *id = g_strdup_printf("raw%d", node);
        uint64_t start = NEAR + (uint64_t) node * 0x100000;

        add_raw(state, id, range(start, start + 0x8000), node, 2 * MIB, LEAD, 16 * MIB);
    }
    add_pool(state, range(NEAR + LEAD, NEAR + 0x8000), LEAD, 2 * MIB, PROFILE_NONE, "pool");
    assert_refused(rules_allocate_data(state, &request, &plan, &error), &error, NO_SPACE, "bytes on node 7",
                   "free in total");
    request.node = 11;
    assert_refused(rules_allocate_data(state, &request, &plan, &error), &error, NO_SPACE, "on node 11");
}

/* A region without labels goes whole: not for a small request while another has room to divide, however tight its
 * own gap is. */
static void test_whole_last(void) {
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    MgmtRequest request = { .bytes = 64 << 20, .profile = PROFILE_NONE, .max_regions = 16, .node = -1 };
    RegionPlan plan;

    add_raw(state, "whole", range(0x100000, 0x110000), 0, 2 << 20, 512, 16 << 20)->subdividable = false;
    add_raw(state, "labelled", range(0x200000, 0x280000), 0, 2 << 20, 512, 16 << 20);
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_cmphex(plan.range.start, ==, 0x200200);
    g_assert_cmphex(plan.range.end, ==, 0x200200 + (64 << 8));
    request.bytes = UINT64_C(3) << 30; /* fits nowhere */
    g_assert_false(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE);
}

static void test_extremes(Host *host, gconstpointer unused) {
    static const uint64_t values[] = {
        0,
        1,
        4095,
        4096,
        4097,
        MIB,
        UINT64_C(1) << 40,
        (UINT64_C(1) << 52) - 1,
        UINT64_C(1) << 52,
        (UINT64_C(1) << 52) + 1,
        UINT64_C(1) << 63,
        UINT64_MAX - 4095,
        UINT64_MAX,
    };
    static const uint64_t steps[] = { 0, 1, 4096, 6 * MIB, UINT64_C(1) << 52, UINT64_MAX };
    const size_t n = G_N_ELEMENTS(values);
    Raw *top = add_raw(host->state, "top", range(PMEMD_FRAME_LIMIT - 0x100000, PMEMD_FRAME_LIMIT), 0, PACKED, 0, 0);
    Raw *bottom = add_raw(host->state, "bottom", range(0, 0x1000), 0, PACKED, 0, 0);
    unsigned accepted = 0;

    for (size_t s = 0; s < G_N_ELEMENTS(steps); s++)
        for (size_t l = 0; l < n; l++)
            for (size_t b = 0; b < n; b++)
                for (size_t a = 0; a < n; a++) {
                    DataRequest request = { .bytes = values[b], .alignment = values[a], .node = (int) (a + b) % 3 - 1 };
                    MgmtRequest wanted = {
                        .bytes = values[b],
                        .alignment = values[a],
                        .node = -1,
                        .profile = PROFILE_LINUX,
                        .max_regions = (uint32_t) values[l],
                    };
                    g_autoptr(GError) error = NULL;
                    g_autoptr(GError) mgmt_error = NULL;
                    RegionPlan plan;

                    top->step = bottom->step = steps[s];
                    top->lead = bottom->lead = values[l] / 4096;
                    top->minimum = bottom->minimum = values[(l + s) % n];
                    accepted += allocate(host, &request, &plan, &error);
                    if (rules_allocate_mgmt(host->state, &wanted, &plan, &mgmt_error))
                        assert_plan_is_sound(host->state, &plan);
                }
    g_assert_cmpuint(accepted, >, 100);
}

int main(int argc, char **argv) {
    const char *from = getenv("PMEMD_TEST_SEED");

    g_test_init(&argc, &argv, NULL);
    seed = from ? (uint32_t) strtoul(from, NULL, 0) : g_random_int();
    g_test_message("PMEMD_TEST_SEED=%u", seed);
    g_test_add_func("/rules/allocate/best-fit", test_best_fit);
    g_test_add_func("/rules/allocate/whole-last", test_whole_last);
    g_test_add_func("/rules/nearest", test_nearest);
    g_test_add("/rules/allocate/arguments", Host, NULL, host_set_up, test_arguments, host_tear_down);
    g_test_add("/rules/allocate/no-space", Host, NULL, host_set_up, test_no_space, host_tear_down);
    g_test_add("/rules/allocate/alignment", Host, NULL, host_set_up, test_alignment, host_tear_down);
    g_test_add("/rules/allocate/slots", Host, NULL, host_set_up, test_slots, host_tear_down);
    g_test_add("/rules/allocate/pool", Host, NULL, host_set_up, test_pool_choice, host_tear_down);
    g_test_add("/rules/allocate/mgmt", Host, NULL, host_set_up, test_allocate_mgmt, host_tear_down);
    g_test_add_func("/rules/allocate/init-labels", test_allocate_init_labels);
    g_test_add_func("/rules/allocate/init-labels-no-place", test_init_labels_no_place);
    g_test_add_func("/rules/allocate/many-nodes", test_many_nodes);
    g_test_add("/rules/allocate/extremes", Host, NULL, host_set_up, test_extremes, host_tear_down);
    return g_test_run();
}
