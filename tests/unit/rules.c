/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/rules for exact frames: one for each rule and each way to break it, in the order of
 * docs/architecture.md; the holes of the Xen series that pmemd descends from; the order itself; and extreme numbers.
 */
#include "tests/unit/rules-fixture.h"

/*
 * dimm0 and dimm1 stand side by side, as device-dax has them (2 MiB of lead and step); plain is frame by frame, with a
 * pool of the xen profile: head 0x230 frames, own frames 0x28, tail 0x10.
 */
typedef struct {
    State *state;
    Raw *dimm0, *dimm1, *plain;
    Pool *pool;
} Host;

#define DIMM0 UINT64_C(0x100000)
#define DIMM1 UINT64_C(0x180000)
#define PLAIN UINT64_C(0x400000)
#define POOL_FREE (PLAIN + 0x258) /* the pool's first free frame */
#define DATA (PLAIN + 0x10000)

static void host_set_up(Host *host, gconstpointer unused) {
    host->state = state_new();
    host->dimm1 = add_raw(host->state, "dimm1", range(DIMM1, DIMM1 + 0x40000), 1, 2 * MIB, 2 * MIB_FRAMES, 16 * MIB);
    host->dimm0 = add_raw(host->state, "dimm0", range(DIMM0, DIMM1), 0, 2 * MIB, 2 * MIB_FRAMES, 16 * MIB);
    host->plain = add_raw(host->state, "plain", range(PLAIN, PLAIN + 0x100000), 3, PACKED, 0, PACKED);
    host->pool = add_pool(host->state, range(PLAIN, PLAIN + 0x1000), 0, PACKED, PROFILE_XEN, "pool0");
}

static void host_tear_down(Host *host, gconstpointer unused) {
    state_free(host->state);
}

static bool mgmt(const Host *host, uint64_t start, uint64_t end, RegionPlan *ret_plan, GError **error) {
    MgmtRequest request = { .range = range(start, end), .profile = PROFILE_XEN, .max_regions = 16, .node = -1 };

    bool ok = rules_setup_mgmt(host->state, &request, ret_plan, error);
    g_assert_cmpint(ok, ==, *error == NULL);
    if (ok)
        assert_plan_is_sound(host->state, ret_plan);
    return ok;
}

static bool data(const Host *host, uint64_t start, uint64_t end, uint64_t mgmt_start, uint64_t mgmt_end,
                 RegionPlan *ret_plan, GError **error) {
    DataRequest request = { .range = range(start, end), .mgmt = range(mgmt_start, mgmt_end), .node = -1 };

    bool ok = rules_setup_data(host->state, &request, ret_plan, error);
    g_assert_cmpint(ok, ==, *error == NULL);
    if (ok)
        assert_plan_is_sound(host->state, ret_plan);
    return ok;
}

/* Both kinds are refused for [start, end) alike; the management frames are good. */
#define assert_both_refused(host, start, end, code, ...)                                                               \
    do {                                                                                                               \
        RegionPlan both_plan;                                                                                          \
        GError *both_error = NULL;                                                                                     \
        bool both_ok = mgmt(host, start, end, &both_plan, &both_error);                                                \
        assert_refused(both_ok, &both_error, code, __VA_ARGS__);                                                       \
        both_ok = data(host, start, end, POOL_FREE, POOL_FREE + 0xd00, &both_plan, &both_error);                       \
        assert_refused(both_ok, &both_error, code, __VA_ARGS__);                                                       \
    } while (0)

static void test_rule1(Host *host, gconstpointer unused) {
    assert_both_refused(host, PMEMD_FRAME_INVALID, DATA, INVALID_ARGUMENT, "0xffffffffffffffff", "invalid frame");
    assert_both_refused(host, DATA, PMEMD_FRAME_INVALID, INVALID_ARGUMENT, "0xffffffffffffffff", "invalid frame");
    assert_both_refused(host, DATA, DATA, INVALID_ARGUMENT, "0x410000 - 0x410000", "empty");
    assert_both_refused(host, DATA + 1, DATA, INVALID_ARGUMENT, "0x410001 - 0x410000", "reversed");
    assert_both_refused(host, PMEMD_FRAME_LIMIT - 1, PMEMD_FRAME_LIMIT + 1, INVALID_ARGUMENT, "0x10000000000",
                        "52-bit");
    assert_both_refused(host, DATA, UINT64_MAX - 1, INVALID_ARGUMENT, "52-bit");
}

static void test_rule1_of_mgmt_range(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    assert_refused(data(host, DATA, DATA + 1, PMEMD_FRAME_INVALID, POOL_FREE, &plan, &error), &error, INVALID_ARGUMENT,
                   "the management range", "invalid frame");
    assert_refused(data(host, DATA, DATA + 1, POOL_FREE, PMEMD_FRAME_INVALID, &plan, &error), &error, INVALID_ARGUMENT,
                   "the management range", "invalid frame");
    assert_refused(data(host, DATA, DATA + 1, POOL_FREE, POOL_FREE, &plan, &error), &error, INVALID_ARGUMENT,
                   "the management range", "empty");
    /* The seed's `mgmt_emfn - mgmt_smfn` wraps to nearly 2^64 frames here, which is enough for anything. */
    assert_refused(data(host, DATA, DATA + 1, POOL_FREE + 0x100, POOL_FREE, &plan, &error), &error, INVALID_ARGUMENT,
                   "the management range", "reversed");
    assert_refused(data(host, DATA, DATA + 1, POOL_FREE, PMEMD_FRAME_LIMIT + 1, &plan, &error), &error,
                   INVALID_ARGUMENT, "the management range", "52-bit");
}

static void test_rule2(Host *host, gconstpointer unused) {
    assert_both_refused(host, 0x10, 0x20, INVALID_ARGUMENT, "no raw region", "dimm0 at 0x100000 - 0x180000",
                        "plain at 0x400000 - 0x500000");
    assert_both_refused(host, DIMM0 - 1, DIMM0 + 0x2000, INVALID_ARGUMENT, "leaves the raw region dimm0");
    assert_both_refused(host, PLAIN + 0xfffff, PLAIN + 0x100001, INVALID_ARGUMENT, "leaves the raw region plain");
    assert_both_refused(host, DIMM1 - 0x1000, DIMM1 + 0x1000, INVALID_ARGUMENT, "dimm0 and dimm1", "0x180000");
    assert_both_refused(host, 0, PMEMD_FRAME_LIMIT, INVALID_ARGUMENT, "dimm0 and dimm1");

    host->plain->unusable = g_strdup("its label area is read-only");
    assert_both_refused(host, DATA, DATA + 0x1000, NOT_SUPPORTED, "plain", "label area is read-only");

    add_raw(host->state, "x1", range(0x1000, 0x2000), 0, PACKED, 0, 0);
    add_raw(host->state, "x2", range(0x2000, 0x3000), 0, PACKED, 0, 0);
    assert_both_refused(host, 0x10, 0x20, INVALID_ARGUMENT, "x1", "x2", "dimm0", "dimm1", "and 1 more");
}

static void test_rule2_no_raw(void) {
    Host host = { .state = state_new() };

    RegionPlan plan;
    g_autoptr(GError) error = NULL;
    assert_refused(mgmt(&host, 1, 2, &plan, &error), &error, INVALID_ARGUMENT, "no raw region");
    state_free(host.state);
}

static void test_rule3(Host *host, gconstpointer unused) {
    /* no room for the lead */
    assert_both_refused(host, DIMM0, DIMM0 + 0x2000, INVALID_ARGUMENT, "0x200 frames (2097152 bytes) before",
                        "0x100200 - 0x102000 (largest inside)", "0x100200 - 0x102000 (smallest around)");
    assert_both_refused(host, DIMM0 + 0x1ff, DIMM0 + 0x2000, INVALID_ARGUMENT, "begins 0x1ff frames");
    /* start off the step */
    assert_both_refused(host, DIMM0 + 0x201, DIMM0 + 0x3001, INVALID_ARGUMENT, "begin 0x1 frames", "0x200 frames",
                        "0x100400 - 0x103000 (largest inside)", "0x100200 - 0x103200 (smallest around)");
    /* size off the step */
    assert_both_refused(host, DIMM0 + 0x200, DIMM0 + 0x3001, INVALID_ARGUMENT, "device of 0x3001 frames",
                        "0x100200 - 0x103000 (largest inside)", "0x100200 - 0x103200 (smallest around)");
    /* below the minimum */
    assert_both_refused(host, DIMM0 + 0x200, DIMM0 + 0xe00, INVALID_ARGUMENT, "device of 0xe00 frames",
                        "16777216 bytes", "none (largest inside)", "0x100200 - 0x101000 (smallest around)");
    /* at the end of the raw region the smallest around begins earlier */
    assert_both_refused(host, DIMM1 - 0x200, DIMM1, INVALID_ARGUMENT, "none (largest inside)",
                        "0x17f200 - 0x180000 (smallest around)");

    RegionPlan plan;
    g_autoptr(GError) error = NULL;
    g_assert_true(data(host, DIMM0 + 0x200, DIMM0 + 0x1000, POOL_FREE, POOL_FREE + 0x100, &plan, &error));
    g_assert_cmphex(plan.device.start, ==, DIMM0);
    g_assert_cmphex(plan.device.end, ==, DIMM0 + 0x1000);
    g_assert_true(plan.raw == host->dimm0);
    g_assert_cmpuint(plan.host_memory_bytes, ==, 0xe00 * 64);
    g_assert_cmpuint(plan.requested_bytes, ==, 0xe00 * 4096);
}

static void test_rule3_nothing_valid(Host *host, gconstpointer unused) {
    add_raw(host->state, "tiny", range(0x10000, 0x10800), 0, 2 * MIB, 2 * MIB_FRAMES, 16 * MIB);
    assert_both_refused(host, 0x10200, 0x10800, INVALID_ARGUMENT, "none (largest inside)", "none (smallest around)");
    add_raw(host->state, "all-lead", range(0x20000, 0x20100), 0, PACKED, UINT64_MAX, UINT64_MAX);
    assert_both_refused(host, 0x20010, 0x20020, INVALID_ARGUMENT, "none (largest inside)", "none (smallest around)");
}

static void test_rule3_whole(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    host->dimm0->subdividable = false;
    assert_both_refused(host, DIMM0 + 0x400, DIMM0 + 0x2000, INVALID_ARGUMENT, "cannot be divided",
                        "0x100200 - 0x180000 (2145386496 bytes)");
    assert_both_refused(host, DIMM0, DIMM1, INVALID_ARGUMENT, "0x100200 - 0x180000");
    g_assert_true(mgmt(host, DIMM0 + 0x200, DIMM1, &plan, &error));
    g_assert_false(plan.init_labels);
    g_assert_true(frame_range_equal(plan.device, host->dimm0->range));

    host->dimm0->lead = 0x80000;
    assert_both_refused(host, DIMM0 + 0x200, DIMM1, INVALID_ARGUMENT, "no range in it is valid");
}

static void test_init_labels(Host *host, gconstpointer unused) {
    MgmtRequest request = {
        .range = range(DIMM0 + 0x200, DIMM0 + 0x4000),
        .profile = PROFILE_NONE,
        .max_regions = 16,
        .init_labels = true,
    };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    /* of no effect where there are labels */
    g_assert_true(rules_setup_mgmt(host->state, &request, &plan, &error));
    g_assert_false(plan.init_labels);

    /* cannot be done */
    host->dimm0->subdividable = false;
    host->dimm0->free_slots = 0;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT,
                   "cannot be divided");

    host->dimm0->initialisable = true;
    Foreign *legacy = add_foreign(host->state, host->dimm0->range, FOREIGN_FOREIGN, "namespace0.0");
    g_assert_true(rules_setup_mgmt(host->state, &request, &plan, &error));
    g_assert_true(plan.init_labels);
    assert_plan_is_sound(host->state, &plan);

    /* only with consent */
    request.init_labels = false;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT, "--init-labels",
                   "discards the namespace");
    request.range.end = DIMM1;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, BUSY, "namespace0.0");
    request.init_labels = true;

    /* labels are for the whole raw region: so is the check */
    request.range.end = DIMM0 + 0x4000;
    legacy->kind = FOREIGN_ORPHAN;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, BUSY, "namespace0.0", "lost pool");
    legacy->kind = FOREIGN_UNFORMATTED;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, BUSY, "no superblock");
    state_clear_foreign(host->state);
    Region *region = add_data(host->state, host->pool, JF_ADD, 0, range(DIMM0 + 0x10000, DIMM0 + 0x11000), 0x200,
                              range(POOL_FREE, POOL_FREE + 0x10), NULL);
    state_set_region_state(host->state, region, REGION_MISSING, "gone");
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, EXISTS, "would destroy data region",
                   "missing");
}

static void test_mgmt_rule4(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;
    uint64_t journal = jf_journal_frames(PACKED, 16);

    /* the least n with n >= journal + ceil(32 n / 4096) + ceil(8 n / 4096) */
    uint64_t least = journal;
    while (least < journal + (32 * least + 4095) / 4096 + (8 * least + 4095) / 4096)
        least++;
    g_autofree char *needs = g_strdup_printf("at least 0x%" G_GINT64_MODIFIER "x frames", least);

    g_assert_true(mgmt(host, DATA, DATA + least, &plan, &error));
    g_assert_cmphex(plan.journal_frames, ==, journal);
    g_assert_cmphex(plan.required_frames, ==, least);
    g_assert_cmpint(plan.profile, ==, PROFILE_XEN);
    g_assert_cmpuint(plan.max_regions, ==, 16);
    assert_refused(mgmt(host, DATA, DATA + least - 1, &plan, &error), &error, NO_SPACE, needs);
    assert_refused(mgmt(host, DATA, DATA + 1, &plan, &error), &error, NO_SPACE, needs);

    /* what passes is what the state can lay out */
    add_pool(host->state, range(DATA, DATA + least), 0, PACKED, PROFILE_XEN, NULL);

    MgmtRequest request = { .range = range(DATA + 0x10000, DATA + 0x20000), .max_regions = 0 };
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT,
                   "max-regions is 0");
    request.max_regions = JF_MAX_REGIONS_LIMIT + 1;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT, "max-regions");
    request.max_regions = JF_MAX_REGIONS_LIMIT;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, NO_SPACE, "max-regions 1048576");
    request.max_regions = 16;
    request.profile = N_PROFILES;
    assert_refused(rules_setup_mgmt(host->state, &request, &plan, &error), &error, INVALID_ARGUMENT, "profile");
}

static void test_data_rule4(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    assert_refused(data(host, DATA, DATA + 1, DATA + 0x10, DATA + 0x20, &plan, &error), &error, NO_SUCH_MGMT,
                   "0x410010 - 0x410020", "0x400000 - 0x401000");
    assert_refused(data(host, DATA, DATA + 1, PLAIN + 0xfff, PLAIN + 0x1001, &plan, &error), &error, NO_SUCH_MGMT,
                   "pool0");
    assert_refused(data(host, DATA, DATA + 1, 0, PMEMD_FRAME_LIMIT, &plan, &error), &error, NO_SUCH_MGMT, "pool0");

    static const struct {
        PoolState state;
        int code;
        const char *text;
    } cases[] = {
        { POOL_CREATING, PMEMD_ERROR_BUSY, "being set up" },
        { POOL_RELEASING, PMEMD_ERROR_BUSY, "being released" },
        { POOL_READ_ONLY, PMEMD_ERROR_READ_ONLY, "the reason" },
        { POOL_CORRUPT, PMEMD_ERROR_CORRUPT, "the reason" },
        { POOL_UNSUPPORTED, PMEMD_ERROR_NOT_SUPPORTED, "the reason" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        state_set_pool_state(host->state, host->pool, cases[i].state, "the reason");
        check_refused(data(host, DATA, DATA + 1, POOL_FREE, POOL_FREE + 8, &plan, &error), &error, cases[i].code,
                      (const char *const[]){ cases[i].text, "pool0", NULL });
    }
    for (uint64_t n = 1; n <= 5; n++)
        add_pool(host->state, range(PLAIN + n * 0x1000, PLAIN + (n + 1) * 0x1000), 0, PACKED, PROFILE_XEN, NULL);
    assert_refused(data(host, DATA, DATA + 1, DATA, DATA + 8, &plan, &error), &error, NO_SUCH_MGMT, "and 2 more");
    while (state_pools(host->state)->len > 0)
        state_remove_pool(host->state, g_ptr_array_index(state_pools(host->state), 0));
    assert_refused(data(host, DATA, DATA + 1, POOL_FREE, POOL_FREE + 8, &plan, &error), &error, NO_SUCH_MGMT,
                   "there is none");
}

static void test_data_rule5(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    /* The seed rounds each product down: (32 * 129) >> 12 + (8 * 129) >> 12 = 1, but it takes 2 + 1. */
    assert_refused(data(host, DATA, DATA + 129, POOL_FREE, POOL_FREE + 1, &plan, &error), &error, NO_SPACE,
                   "need 0x3 management frames", "has 0x1", "it would fit at 0x400258 - 0x40025b");
    assert_refused(data(host, DATA, DATA + 129, POOL_FREE, POOL_FREE + 2, &plan, &error), &error, NO_SPACE, "need 0x3");
    g_assert_true(data(host, DATA, DATA + 129, POOL_FREE, POOL_FREE + 3, &plan, &error));

    /* What is offered beyond the need stays free, also when something lies there. */
    g_assert_true(data(host, DATA, DATA + 129, POOL_FREE, PLAIN + 0x1000, &plan, &error));
    g_assert_cmphex(plan.extent.start, ==, POOL_FREE);
    g_assert_cmphex(plan.extent.end, ==, POOL_FREE + 3);
    g_assert_true(plan.pool == host->pool);

    /* used: superblock and journal, own frames, the copies, another extent */
    assert_refused(data(host, DATA, DATA + 129, PLAIN, PLAIN + 0x1000, &plan, &error), &error, NO_SPACE, "journal",
                   "only 0x0 are free", "it would fit at 0x400258 - 0x40025b");
    assert_refused(data(host, DATA, DATA + 129, PLAIN + 0x230, PLAIN + 0x1000, &plan, &error), &error, NO_SPACE,
                   "own frames");
    assert_refused(data(host, DATA, DATA + 129, PLAIN + 0xfee, PLAIN + 0x1000, &plan, &error), &error, NO_SPACE,
                   "only 0x2 are free", "copies");
    Region *region = add_data(host->state, host->pool, JF_ADD, 0, range(DATA + 0x100, DATA + 0x200), 0,
                              range(POOL_FREE + 5, POOL_FREE + 8), "disk1");
    assert_refused(data(host, DATA, DATA + 129, POOL_FREE + 4, POOL_FREE + 8, &plan, &error), &error, NO_SPACE,
                   "extent of data region", "\"disk1\"", "only 0x1 are free", "it would fit at 0x400258 - 0x40025b");
    g_assert_true(data(host, DATA, DATA + 129, POOL_FREE + 2, POOL_FREE + 5, &plan, &error));

    /* in quarantine it is as used as before */
    begin_release(host->state, region, 7);
    assert_refused(data(host, DATA, DATA + 129, POOL_FREE + 4, POOL_FREE + 8, &plan, &error), &error, NO_SPACE,
                   "extent of data region");

    /* no gap at all: 0xe0000 frames need 0x2300 */
    assert_refused(data(host, DATA + 0x1000, DATA + 0xe1000, POOL_FREE, PLAIN + 0x1000, &plan, &error), &error,
                   NO_SPACE, "0x2300 management frames", "no gap of this management region");
}

/* A data region needs one frame in the pool even where the profile takes nothing. */
static void test_data_rule5_no_profile(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;
    uint64_t start = PLAIN + 0x2000;
    Pool *none = add_pool(host->state, range(start, start + 0x1000), 0, PACKED, PROFILE_NONE, NULL);

    g_assert_true(data(host, DATA, DATA + 0x1000, start + 0x230, start + 0x231, &plan, &error));
    g_assert_true(plan.pool == none);
    g_assert_cmphex(plan.required_frames, ==, 1);
    g_assert_cmphex(plan.extent.end, ==, start + 0x231);
}

static void test_rule6_regions(Host *host, gconstpointer unused) {
    static const struct {
        uint64_t start, end;
    } overlapping[] = {
        { 0, 0x1000 },          /* the same */
        { -0x1000ULL, 0x2000 }, /* the seed misses one that encloses the old one */
        { -0x1000ULL, 0x1000 }, { 0, 0x2000 }, { 0x10, 0x900 }, { 0xfff, 0x2000 }, { -0x1000ULL, 1 },
    };
    uint64_t old = DATA + 0x4000;
    Region *region = add_data(host->state, host->pool, JF_INTENT_CREATE, 1, range(old, old + 0x1000), 0,
                              range(PLAIN + 0xf00, PLAIN + 0xf28), "disk1");
    char uuid[PMEMD_UUID_STRING_MAX];
    pmemd_uuid_format(region->uuid, uuid);

    /* Frames stay reserved whatever became of the region. */
    for (int s = 0; s < N_REGION_STATES; s++) {
        state_set_region_state(host->state, region, (RegionState) s, "because");
        for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++) {
            RegionPlan plan;
            g_autoptr(GError) error = NULL;
            uint64_t start = old + overlapping[i].start;
            uint64_t end = old + overlapping[i].end;

            assert_refused(data(host, start, end, POOL_FREE, POOL_FREE + 0xb0, &plan, &error), &error, EXISTS, uuid,
                           "disk1", "0x414000 - 0x415000", region_state_to_string((RegionState) s));
            if (end - start < 0x900)
                continue; /* too small for a management region: rule 4 comes first */
            assert_refused(mgmt(host, start, end, &plan, &error), &error, EXISTS, uuid);
        }
    }

    RegionPlan plan;
    g_autoptr(GError) error = NULL;
    g_assert_true(data(host, old - 0x1000, old, POOL_FREE, POOL_FREE + 0xb0, &plan, &error));
    g_assert_true(data(host, old + 0x1000, old + 0x2000, POOL_FREE, POOL_FREE + 0xb0, &plan, &error));
    g_assert_true(mgmt(host, old + 0x1000, old + 0x2000, &plan, &error));
}

/* The seed checks data regions against data regions only. */
static void test_rule6_pools(Host *host, gconstpointer unused) {
    assert_both_refused(host, PLAIN, PLAIN + 0x1000, EXISTS, "management region", "pool0", "0x400000 - 0x401000");
    assert_both_refused(host, PLAIN + 0x100, PLAIN + 0x2000, EXISTS, "pool0");
    assert_both_refused(host, PLAIN + 0x100, PLAIN + 0xf00, EXISTS, "pool0");
    assert_both_refused(host, PLAIN, PLAIN + 0x10000, EXISTS, "pool0");

    /* Not its frames only, but also its lead. */
    add_pool(host->state, range(DIMM0 + 0x10200, DIMM0 + 0x18000), 0x200, 2 * MIB, PROFILE_XEN, "pool1");
    assert_both_refused(host, DIMM0 + 0x8200, DIMM0 + 0x10200, EXISTS, "pool1", "device 0x110000 - 0x118000");
    assert_both_refused(host, DIMM0 + 0x18000, DIMM0 + 0x20000, EXISTS, "pool1");

    RegionPlan plan;
    g_autoptr(GError) error = NULL;
    g_assert_true(data(host, DIMM0 + 0x8200, DIMM0 + 0x10000, POOL_FREE, PLAIN + 0xff0, &plan, &error));
    g_assert_true(data(host, DIMM0 + 0x18200, DIMM0 + 0x20000, POOL_FREE, PLAIN + 0xff0, &plan, &error));
}

static void test_rule6_foreign(Host *host, gconstpointer unused) {
    Foreign *foreign = add_foreign(host->state, range(DATA, DATA + 0x1000), FOREIGN_FOREIGN, "namespace1.0");

    assert_both_refused(host, DATA + 0x10, DATA + 0x1000, BUSY, "namespace1.0", "0x410000 - 0x411000",
                        "not made by pmemd");
    assert_both_refused(host, DATA - 0x1000, DATA + 0x2000, BUSY, "namespace1.0");
    foreign->kind = FOREIGN_ORPHAN;
    foreign->tag_pool = 0xabcd1234;
    assert_both_refused(host, DATA, DATA + 0x1000, BUSY, "namespace1.0", "abcd1234", "delete the device");
    foreign->kind = FOREIGN_UNFORMATTED;
    assert_both_refused(host, DATA, DATA + 0x1000, BUSY, "namespace1.0", "no superblock", "delete the device");

    /* One that stands across others is in no map, but in the way all the same. */
    add_foreign(host->state, range(DATA + 0x800, DATA + 0x3000), FOREIGN_FOREIGN, "namespace1.1");
    assert_both_refused(host, DATA + 0x1000, DATA + 0x2000, BUSY, "namespace1.1");

    /* Ours is named first, wherever it stands. */
    add_data(host->state, host->pool, JF_ADD, 0, range(DATA + 0x4000, DATA + 0x5000), 0,
             range(PLAIN + 0xf00, PLAIN + 0xf28), "disk1");
    assert_both_refused(host, DATA, DATA + 0x5000, EXISTS, "disk1");
}

/* What two pools claim is nobody's to give, nor is what a journal that is being replayed has claimed so far. */
static void test_rule6_unplaced(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    uint64_t start = PLAIN + 0x2000;
    Pool *other = add_pool(host->state, range(start, start + 0x1000), 0, PACKED, PROFILE_NONE, "other");

    add_data(host->state, host->pool, JF_ADD, 0, range(DATA, DATA + 0x1000), 0, range(PLAIN + 0xf00, PLAIN + 0xf28),
             "first");
    state_begin_replay(other);
    add_data(host->state, other, JF_ADD, 0, range(DATA + 0x800, DATA + 0x2000), 0, range(start + 0x230, start + 0x231),
             "second");
    assert_both_refused(host, DATA + 0x1000, DATA + 0x2000, EXISTS, "\"second\"", "0x410800 - 0x412000");
    g_assert_false(state_end_replay(host->state, other, &error));
    g_clear_error(&error);
    assert_both_refused(host, DATA + 0x1000, DATA + 0x2000, EXISTS, "\"second\"", "0x410800 - 0x412000");
}

static void test_rule7(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    for (uint64_t slots = 0; slots < 2; slots++) {
        host->plain->free_slots = slots;
        assert_both_refused(host, DATA, DATA + 0x1000, LIMITS_EXCEEDED, slots == 0 ? "has 0 free" : "has 1 free",
                            "2 are needed");
    }
    host->plain->free_slots = 2;
    g_assert_true(data(host, DATA, DATA + 0x1000, POOL_FREE, POOL_FREE + 0x28, &plan, &error));
    g_assert_true(mgmt(host, DATA, DATA + 0x1000, &plan, &error));
}

static void test_rule8(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    g_free(host->plain->kind);
    host->plain->kind = g_strdup("file");
    g_assert_true(data(host, DATA, DATA + 0x1000, POOL_FREE + 0x10, POOL_FREE + 0x100, &plan, &error));
    g_assert_cmpint(plan.kind, ==, REGION_KIND_DATA);
    g_assert_cmphex(plan.extent.start, ==, POOL_FREE + 0x10);
    g_assert_cmphex(plan.extent.end, ==, POOL_FREE + 0x10 + 0x28);
    g_assert_cmpuint(plan.host_memory_bytes, ==, 0);
    g_assert_false(plan.init_labels);
}

/* A request that breaks every rule from the k-th on is refused by the k-th. */
static void test_order(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    host->dimm0->free_slots = 0;
    add_foreign(host->state, range(DIMM0, DIMM0 + 0x10000), FOREIGN_FOREIGN, "namespace0.0");
    DataRequest request = { .range = range(UINT64_MAX, 5), .mgmt = range(5, 5), .name = "disk1" };
    add_data(host->state, host->pool, JF_ADD, 0, range(DATA, DATA + 1), 0, range(POOL_FREE, POOL_FREE + 2), "disk1");

#define refused(code, ...)                                                                                             \
    assert_refused(rules_setup_data(host->state, &request, &plan, &error), &error, code, __VA_ARGS__)
    refused(INVALID_ARGUMENT, "the range", "invalid frame");
    request.range = range(DIMM0 - 1, DIMM0 + 0x5000);
    refused(INVALID_ARGUMENT, "leaves the raw region");
    request.range = range(DIMM0 + 0x201, DIMM0 + 0x5000);
    refused(INVALID_ARGUMENT, "nearest valid");
    request.range = range(DIMM0 + 0x200, DIMM0 + 0x5000);
    refused(INVALID_ARGUMENT, "the management range");
    request.mgmt = range(5, 6);
    refused(NO_SUCH_MGMT, "lie in no management region");
    request.mgmt = range(PLAIN, PLAIN + 1);
    refused(NO_SPACE, "offer more");
    request.mgmt = range(PLAIN, PLAIN + 0x1000);
    refused(NO_SPACE, "only 0x0 are free");
    request.mgmt.start = POOL_FREE + 2;
    refused(BUSY, "namespace0.0");
    request.range = range(DIMM0 + 0x10200, DIMM0 + 0x15000);
    refused(LIMITS_EXCEEDED, "label slots");
    host->dimm0->free_slots = 2;
    refused(EXISTS, "the name \"disk1\"");
    request.name = "disk2";
    g_assert_true(rules_setup_data(host->state, &request, &plan, &error));
#undef refused

    MgmtRequest wanted = { .range = range(DIMM0 + 0x200, DIMM0 + 0x1000), .max_regions = 65536, .name = "pool0" };
    host->dimm0->free_slots = 0;
    assert_refused(rules_setup_mgmt(host->state, &wanted, &plan, &error), &error, NO_SPACE, "max-regions 65536");
    wanted.max_regions = 1;
    wanted.range.end = DIMM0 + 0x10000;
    assert_refused(rules_setup_mgmt(host->state, &wanted, &plan, &error), &error, BUSY, "namespace0.0");
    wanted.range = range(DIMM0 + 0x10200, DIMM0 + 0x20000);
    assert_refused(rules_setup_mgmt(host->state, &wanted, &plan, &error), &error, LIMITS_EXCEEDED, "label slots");
    host->dimm0->free_slots = 2;
    assert_refused(rules_setup_mgmt(host->state, &wanted, &plan, &error), &error, EXISTS, "the name \"pool0\"");
    wanted.name = "pool1";
    g_assert_true(rules_setup_mgmt(host->state, &wanted, &plan, &error));
}

/* ---- numbers ---- */

static void test_all_frames(void) {
    Host host = { .state = state_new() };
    g_autoptr(GError) error = NULL;
    RegionPlan plan;
    uint64_t half = UINT64_C(0x300000000); /* 41 of 4096 parts of 2^40 and some */

    add_raw(host.state, "everything", range(0, PMEMD_FRAME_LIMIT), 0, PACKED, 0, PACKED);
    g_assert_true(mgmt(&host, 0, half, &plan, &error));
    g_assert_true(mgmt(&host, 0, PMEMD_FRAME_LIMIT, &plan, &error));
    g_assert_cmphex(plan.required_frames, ==, (UINT64_C(40) << 28) + jf_journal_frames(PACKED, 16));
    g_assert_cmphex(plan.host_memory_bytes, ==, UINT64_C(64) << 40);

    Pool *pool = add_pool(host.state, range(0, half), 0, PACKED, PROFILE_XEN, NULL);
    uint64_t first = pool->own.range.end;
    g_assert_true(data(&host, half, PMEMD_FRAME_LIMIT, first, half, &plan, &error));
    uint64_t frames = PMEMD_FRAME_LIMIT - half;
    g_assert_cmphex(plan.required_frames, ==, frames / 128 + frames / 512);
    assert_refused(data(&host, half, PMEMD_FRAME_LIMIT, first, first + plan.required_frames - 1, &plan, &error), &error,
                   NO_SPACE, "offer more");
    assert_refused(data(&host, half - 1, PMEMD_FRAME_LIMIT, first, half, &plan, &error), &error, EXISTS, "0x0 - ");
    state_free(host.state);
}

static void test_extremes(Host *host, gconstpointer unused) {
    static const uint64_t values[] = {
        0,
        1,
        POOL_FREE,
        POOL_FREE + 0x100,
        DATA,
        DATA + 0x1000,
        DIMM0 + 0x200,
        PMEMD_FRAME_LIMIT - 1,
        PMEMD_FRAME_LIMIT,
        PMEMD_FRAME_LIMIT + 1,
        UINT64_C(1) << 52,
        UINT64_C(1) << 63,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    const size_t n = G_N_ELEMENTS(values);
    unsigned accepted = 0;

    add_raw(host->state, "bottom", range(0, 0x1000), 0, PACKED, 0, PACKED);
    add_raw(host->state, "top", range(PMEMD_FRAME_LIMIT - 0x1000, PMEMD_FRAME_LIMIT), 0, PACKED, 0, PACKED);
    host->plain->lead = 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++) {
            RegionPlan plan;
            g_autoptr(GError) mgmt_error = NULL;

            if (mgmt(host, values[a], values[b], &plan, &mgmt_error))
                accepted++;
            for (size_t c = 0; c < n; c++)
                for (size_t d = 0; d < n; d++) {
                    g_autoptr(GError) error = NULL;

                    if (data(host, values[a], values[b], values[c], values[d], &plan, &error)) {
                        g_assert_cmphex(plan.range.start, ==, values[a]);
                        g_assert_cmphex(plan.range.end, ==, values[b]);
                        g_assert_cmphex(plan.extent.start, ==, values[c]);
                        g_assert_cmphex(plan.extent.end, <=, values[d]);
                        accepted++;
                    }
                }
        }
    g_assert_cmpuint(accepted, ==, 4); /* data and mgmt at DATA, data in the first and in the last frame of all */
}

int main(int argc, char **argv) {
    static const struct {
        const char *path;
        void (*run)(Host *, gconstpointer);
    } tests[] = {
        { "/rules/1", test_rule1 },
        { "/rules/1/mgmt-range", test_rule1_of_mgmt_range },
        { "/rules/2", test_rule2 },
        { "/rules/3", test_rule3 },
        { "/rules/3/nothing-valid", test_rule3_nothing_valid },
        { "/rules/3/whole", test_rule3_whole },
        { "/rules/3/init-labels", test_init_labels },
        { "/rules/4/mgmt", test_mgmt_rule4 },
        { "/rules/4/data", test_data_rule4 },
        { "/rules/5/data", test_data_rule5 },
        { "/rules/5/no-profile", test_data_rule5_no_profile },
        { "/rules/6/regions", test_rule6_regions },
        { "/rules/6/pools", test_rule6_pools },
        { "/rules/6/foreign", test_rule6_foreign },
        { "/rules/6/unplaced", test_rule6_unplaced },
        { "/rules/7", test_rule7 },
        { "/rules/8", test_rule8 },
        { "/rules/order", test_order },
        { "/rules/extremes", test_extremes },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Host, NULL, host_set_up, tests[i].run, host_tear_down);
    g_test_add_func("/rules/2/no-raw", test_rule2_no_raw);
    g_test_add_func("/rules/all-frames", test_all_frames);
    return g_test_run();
}
