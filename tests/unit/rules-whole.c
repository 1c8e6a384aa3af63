/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Raw regions that go whole, as they have no labels: what is made of several, and what a plan warns of. */
#include "tests/unit/rules-fixture.h"

#define NEAR 0x100000
#define LEAD 512

static void assert_warning(const RegionPlan *plan, const char *const *says) {
    g_autofree char *warning = rules_plan_warning(plan);

    for (; *says; says++)
        if (!strstr(warning, *says))
            g_error("'%s' does not say '%s'", warning, *says);
}

/* What the numbers of a plan do not say: that a region goes whole, and what a power-off takes. Pools reach over raw
 * regions without labels, one region in each. */
static void test_without_labels(void) {
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    DataRequest request = { .bytes = 16 * MIB, .node = -1 };
    RegionPlan plan;
    Raw *raws[3];

    for (int i = 0; i < 3; i++) {
        uint64_t start = NEAR + (uint64_t) i * 0x100000;
        g_autofree char *id = g_strdup_printf("carved%d", i);

        raws[i] = add_raw(state, id, range(start, start + 0x8000 * (uint64_t) (i + 1)), 0, 2 * MIB, LEAD, 16 * MIB);
        raws[i]->subdividable = false;
        raws[i]->persistence = g_strdup("volatile");
    }
    Pool *pool = add_pool(state, range(NEAR + LEAD, NEAR + 0x8000), LEAD, 2 * MIB, PROFILE_NONE, "pool");
    g_assert_true(rules_allocate_data(state, &request, &plan, &error));
    g_assert_true(plan.raw == raws[1] && plan.pool == pool && frame_range_equal(plan.device, raws[1]->range));
    assert_warning(&plan, (const char *const[]){ "carved1 has no labels", "268435456 bytes", "266338304 are usable",
                                                 "lost at power-off", NULL });

    /* A part of one, and more than one has. */
    request.range = range(raws[1]->range.start + LEAD, raws[1]->range.start + 0x2000);
    request.mgmt = range(pool->sb.range.end - 0x100, pool->sb.range.end);
    assert_refused(rules_setup_data(state, &request, &plan, &error), &error, INVALID_ARGUMENT, "cannot be divided",
                   "266338304");
    request.bytes = 0x18000 * PMEMD_FRAME_SIZE;
    assert_refused(rules_allocate_data(state, &request, &plan, &error), &error, NO_SPACE,
                   "largest possible: 400556032");

    /* What outlives its journal. */
    g_free(raws[2]->persistence);
    raws[2]->persistence = g_strdup("cpu_cache");
    request.bytes = 300 * MIB;
    g_assert_true(rules_allocate_data(state, &request, &plan, &error));
    g_assert_true(plan.raw == raws[2]);
    assert_warning(&plan, (const char *const[]){ "carved2 has no labels", "journal is in carved0", "orphan", NULL });
    raws[2]->subdividable = true;
    g_free(raws[0]->persistence);
    raws[0]->persistence = g_strdup("cpu_cache");
    g_assert_true(rules_allocate_data(state, &request, &plan, &error));
    g_autofree char *none = rules_plan_warning(&plan);
    g_assert_cmpstr(none, ==, "");
}

/* A carve-out of ramdax ends 128 KiB short, where its labels are: no step ends there. */
static void test_short_end(void) {
    const uint64_t end = NEAR + 0x10000;
    g_autoptr(State) state = state_new();
    g_autoptr(GError) error = NULL;
    MgmtRequest request = { .bytes = 252 * MIB, .profile = PROFILE_NONE, .max_regions = 16, .node = -1 };
    RegionPlan plan;

    add_raw(state, "ramdax", range(NEAR, end - 32), 0, 2 * MIB, LEAD, 16 * MIB);
    g_assert_true(rules_allocate_mgmt(state, &request, &plan, &error));
    g_assert_true(frame_range_equal(plan.device, range(NEAR, end - LEAD)));
    request.range = range(NEAR + LEAD, end - 32);
    assert_refused(rules_setup_mgmt(state, &request, &plan, &error), &error, INVALID_ARGUMENT, "step");
    request.bytes = 252 * MIB + 1;
    assert_refused(rules_allocate_mgmt(state, &request, &plan, &error), &error, NO_SPACE,
                   "largest possible: 264241152");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rules/whole/several", test_without_labels);
    g_test_add_func("/rules/whole/short-end", test_short_end);
    return g_test_run();
}
