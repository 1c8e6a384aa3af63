/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What a user may own, and raw regions that Manage= does not list: decided alike for exact frames and for sizes. */
#include "tests/unit/rules-fixture.h"

#define ALICE 1000u
#define START 0x100000

typedef struct {
    State *state;
    Raw *raw;
    Pool *pool;
    uint64_t next_device, next_extent, txid;
} Host;

static void host_set_up(Host *host, gconstpointer unused) {
    host->state = state_new();
    host->raw = add_raw(host->state, "raw0", range(START, START + 0x40000), 0, PACKED, 0, 0);
    host->pool = add_pool(host->state, range(START, START + 0x4000), 0, PACKED, PROFILE_NONE, "pool0");
    host->next_device = START + 0x4000;
    host->next_extent = START + 0x3000;
}

static void host_tear_down(Host *host, gconstpointer unused) {
    state_free(host->state);
}

/* A region of so many MiB that is uid's. */
static Region *give(Host *host, uint32_t uid, uint64_t mib) {
    FrameRange device = range(host->next_device, host->next_device + mib * MIB_FRAMES);
    FrameRange extent = range(host->next_extent, host->next_extent + 1);
    Region *region = add_data(host->state, host->pool, JF_ADD, 0, device, 0, extent, NULL);
    JfOwner owner = { .uuid = region->uuid, .uid = uid };
    uint8_t payload[JF_PAYLOAD_MAX];

    g_assert_true(state_apply(host->state, host->pool, JF_OWNER, 0, payload, jf_owner_encode(&owner, payload), NULL));
    host->next_device = device.end;
    host->next_extent++;
    return region;
}

static DataRequest by_size(uint64_t bytes, OwnerLimits owner) {
    return (DataRequest){ .bytes = bytes, .node = -1, .owner = owner };
}

static OwnerLimits quota(uint64_t bytes) {
    return (OwnerLimits){ .uid = ALICE, .has_quota = true, .quota_bytes = bytes, .quota_source = "group vms" };
}

static void test_quota(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    Region *first = give(host, ALICE, 3);
    give(host, ALICE, 1);
    give(host, 7, 100); /* somebody else's */
    DataRequest request = by_size(4 * MIB, quota(8 * MIB));
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    assert_plan_is_sound(host->state, &plan);
    request.bytes++;
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "user 1000",
                   "owns 4194304 bytes", "4194305 more", "quota is 8388608 bytes", "group vms", "ask for less");

    /* The very same at exact frames. */
    DataRequest exact = { .range = range(host->next_device, host->next_device + 4 * MIB_FRAMES),
                          .mgmt = range(host->next_extent, host->next_extent + 16),
                          .owner = quota(8 * MIB) };
    g_assert_true(rules_setup_data(host->state, &exact, &plan, &error));
    exact.range.end++;
    assert_refused(rules_setup_data(host->state, &exact, &plan, &error), &error, LIMITS_EXCEEDED, "4198400 more");
    exact.owner = (OwnerLimits){ .uid = ALICE };
    g_assert_true(rules_setup_data(host->state, &exact, &plan, &error));

    /* What was released counts until it is free. */
    begin_release(host->state, first, 1);
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED,
                   "owns 4194304 bytes", "those being erased included");
    JfCommit commit = { .time = 1 };
    uint8_t payload[JF_PAYLOAD_MAX];
    state_apply(host->state, host->pool, JF_COMMIT, 1, payload, jf_commit_encode(&commit, payload), &error);
    g_assert_no_error(error);
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));

    /* Less than what is owned already; nothing; all there is. */
    request.owner = quota(100);
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "is 100 bytes");
    request.owner = quota(0);
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "is 0 bytes");
    request.owner = quota(UINT64_MAX);
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    request.bytes = UINT64_MAX; /* no sum wraps */
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "more");
}

/* A coarse step gives more than was asked for: what is given counts. */
static void test_quota_of_what_is_given(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    DataRequest request = by_size(MIB, quota(MIB));
    RegionPlan plan;

    host->raw->step = 2 * MIB;
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "2097152 more");
    request.owner = quota(2 * MIB);
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
}

/* Whoever may not have it is not told how much room there is. */
static void test_quota_before_space(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    DataRequest request = by_size(UINT64_C(1) << 50, quota(MIB));
    RegionPlan plan;

    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED, "quota");
    request.owner = (OwnerLimits){ .uid = ALICE };
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, NO_SPACE, "no free gap");
}

static void test_max_regions(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    DataRequest request = by_size(MIB, (OwnerLimits){ .uid = ALICE, .max_regions = 2 });
    RegionPlan plan;

    give(host, ALICE, 1);
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    give(host, ALICE, 1);
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, LIMITS_EXCEEDED,
                   "owns 2 data regions", "may own 2", "MaxRegionsPerUser");
    request.owner.uid = 7;
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
}

static void test_unmanaged(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    DataRequest request = by_size(MIB, (OwnerLimits){ .uid = 0 });
    MgmtRequest mgmt = { .bytes = 64 * MIB, .profile = PROFILE_NONE, .max_regions = 16, .node = -1 };
    RegionPlan plan;

    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    host->raw->unmanaged = true;
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, NO_SPACE, "raw0 is left out",
                   "Manage=");
    assert_refused(rules_allocate_mgmt(host->state, &mgmt, &plan, &error), &error, NO_SPACE, "raw0 is left out");
    g_assert_cmpuint(state_totals(host->state).free_bytes, ==, 0);

    /* The tightest gap there is no place; the one that is managed is. */
    Raw *other = add_raw(host->state, "raw1", range(0x800000, 0x900000), 0, PACKED, 0, 0);
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    g_assert_true(plan.raw == other);
    g_assert_true(rules_allocate_mgmt(host->state, &mgmt, &plan, &error));
    g_assert_true(plan.raw == other);

    /* Who says the very frames means it. */
    DataRequest exact = { .range = range(host->next_device, host->next_device + MIB_FRAMES),
                          .mgmt = range(host->next_extent, host->next_extent + 16) };
    g_assert_true(rules_setup_data(host->state, &exact, &plan, &error));
    g_assert_true(plan.raw == host->raw);
    mgmt.range = range(host->next_device, host->next_device + 0x4000);
    g_assert_true(rules_setup_mgmt(host->state, &mgmt, &plan, &error));
    g_assert_true(plan.raw == host->raw);
}

/* Labels would discard what is there: never in a raw region that nobody gave pmemd. */
static void test_unmanaged_labels(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    Raw *blank = add_raw(host->state, "blank", range(0x800000, 0x840000), 1, 2 * MIB, 512, 16 * MIB);
    MgmtRequest mgmt = {
        .bytes = 64 * MIB, .profile = PROFILE_NONE, .max_regions = 16, .node = 1, .init_labels = true
    };
    RegionPlan plan;

    blank->subdividable = false;
    blank->initialisable = true;
    add_foreign(host->state, blank->range, FOREIGN_FOREIGN, "namespace1.0");
    mgmt.range = range(0x800200, 0x808000);
    g_assert_true(rules_allocate_mgmt(host->state, &mgmt, &plan, &error));
    g_assert_true(rules_setup_mgmt(host->state, &mgmt, &plan, &error));
    g_assert_true(plan.init_labels);
    blank->unmanaged = true;
    assert_refused(rules_allocate_mgmt(host->state, &mgmt, &plan, &error), &error, NO_SPACE, "blank is left out");
    assert_refused(rules_setup_mgmt(host->state, &mgmt, &plan, &error), &error, NOT_SUPPORTED, "blank",
                   "is not managed", "Manage=");

    /* Without labels it is as before: the whole region, once nothing is there. */
    state_clear_foreign(host->state);
    mgmt.init_labels = false;
    mgmt.range = range(0x800200, 0x840000);
    g_assert_true(rules_setup_mgmt(host->state, &mgmt, &plan, &error));
    g_assert_true(frame_range_equal(plan.device, blank->range) && !plan.init_labels);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/rules/limits/quota", Host, NULL, host_set_up, test_quota, host_tear_down);
    g_test_add("/rules/limits/quota-of-what-is-given", Host, NULL, host_set_up, test_quota_of_what_is_given,
               host_tear_down);
    g_test_add("/rules/limits/quota-before-space", Host, NULL, host_set_up, test_quota_before_space, host_tear_down);
    g_test_add("/rules/limits/max-regions", Host, NULL, host_set_up, test_max_regions, host_tear_down);
    g_test_add("/rules/limits/unmanaged", Host, NULL, host_set_up, test_unmanaged, host_tear_down);
    g_test_add("/rules/limits/unmanaged-labels", Host, NULL, host_set_up, test_unmanaged_labels, host_tear_down);
    return g_test_run();
}
