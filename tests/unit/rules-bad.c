/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Rule 8: which bad frames keep a management region from being set up whatever is asked for, and that the extent of what
 * is adopted avoids them. What the daemon does with bad frames on a bus is test-bad-frames' and the model's.
 */
#include "daemon/frame-set.h"

#include "tests/unit/rules-fixture.h"

#define RAW UINT64_C(0x400000)
#define FRAMES UINT64_C(0x10000)
#define NEW (RAW + 0x8000) /* of a new management region */

static State *new_state(void) {
    State *state = state_new();

    add_raw(state, "raw0", range(RAW, RAW + FRAMES), 0, PACKED, 0, PACKED);
    return state;
}

static void show(State *state, FrameRange extent) {
    Raw *raw = state_raw_by_id(state, "raw0");
    g_autoptr(GArray) bad = frame_set_new();

    frame_set_add(bad, extent);
    raw_set_bad(raw, bad);
    g_autoptr(GArray) holders = state_bad_holders(state, raw);
    for (guint i = 0; i < holders->len; i++)
        state_renew_bad(state, g_array_index(holders, BadHolder, i));
}

/* Frames of superblocks, roots and areas, and no other ones, are refused with allow-degraded, too. */
static void test_journal(void) {
    g_autoptr(State) state = new_state();
    uint64_t tail = jf_journal_tail_frames(PACKED), head = jf_journal_frames(PACKED, 16) - tail;
    MgmtRequest request = { .range = range(NEW, NEW + 0x1000), .max_regions = 16 };
    const struct {
        uint64_t frame;
        bool journal;
    } rows[] = {
        { NEW, true },
        { NEW + head - 1, true },
        { NEW + head, false },
        { NEW + head + tail - 1, false },
        { NEW + 0x800, false },
        { NEW + 0xfff, true },
        { NEW + 0x1000 - tail, true },
        { NEW + 0xfff - tail, false },
    };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    g_assert_cmpuint(tail, ==, 16);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        show(state, range(rows[i].frame, rows[i].frame + 1));
        request.allow_degraded = false;
        assert_refused(rules_setup_mgmt(state, &request, &plan, &error), &error, DEGRADED, "allow-degraded");
        request.allow_degraded = true;
        if (rows[i].journal) {
            assert_refused(rules_setup_mgmt(state, &request, &plan, &error), &error, DEGRADED, "journal");
            continue;
        }
        g_assert_true(rules_setup_mgmt(state, &request, &plan, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(plan.bad_frames, ==, 1);
    }
}

/* The management extent of an orphan is chosen beside bad frames, and refused on them. */
static void test_adopt(void) {
    g_autoptr(State) state = new_state();
    Pool *pool = add_pool(state, range(RAW, RAW + 0x1000), 0, PACKED, PROFILE_XEN, "pool");
    const Foreign *orphan = add_foreign(state, range(NEW, NEW + 0x200), FOREIGN_ORPHAN, "orphan");
    AdoptRequest request = { .device = orphan->device, .usable = orphan->device, .extent_start = UINT64_MAX };
    uint64_t from = pool->own.range.end;
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    g_assert_true(rules_adopt(state, orphan, &request, &plan, &error));
    g_assert_cmphex(plan.extent.start, ==, from);
    g_assert_cmpuint(plan.required_frames, >, 2);
    show(state, range(from + 1, from + 2));
    g_assert_true(rules_adopt(state, orphan, &request, &plan, &error));
    g_assert_no_error(error);
    g_assert_cmphex(plan.extent.start, ==, from + 2);
    g_assert_cmpuint(plan.bad_frames, ==, 0);

    request.extent_start = from;
    assert_refused(rules_adopt(state, orphan, &request, &plan, &error), &error, DEGRADED, "management extent");
    AdoptRequest empty = request;
    empty.usable.start = empty.usable.end;
    assert_refused(rules_adopt(state, orphan, &empty, &plan, &error), &error, DEGRADED, "no usable frames");
    request.extent_start = from + 2;
    g_assert_true(rules_adopt(state, orphan, &request, &plan, &error));
    g_assert_no_error(error);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rules-bad/journal", test_journal);
    g_test_add_func("/rules-bad/adopt", test_adopt);
    return g_test_run();
}
