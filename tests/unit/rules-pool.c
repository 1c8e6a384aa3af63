/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of what a pool accepts by daemon/rules: names, one more region in its journal, releases.
 */
#include "daemon/backend.h"
#include "tests/unit/rules-fixture.h"

#define DATA UINT64_C(0x410000)
#define POOL UINT64_C(0x400000)

typedef struct {
    State *state;
    Pool *pool, *other;
    uint64_t extent; /* next frame */
} Host;

static void host_set_up(Host *host, gconstpointer unused) {
    host->state = state_new();
    add_raw(host->state, "plain", range(POOL, POOL + 0x100000), 0, PACKED, 0, PACKED);
    host->pool = add_pool(host->state, range(POOL, POOL + 0x4000), 0, PACKED, PROFILE_NONE, "pool0");
    host->other = add_pool(host->state, range(POOL + 0x4000, POOL + 0x8000), 0, PACKED, PROFILE_NONE, "pool1");
    host->extent = host->pool->head.range.end;
}

static void host_tear_down(Host *host, gconstpointer unused) {
    state_free(host->state);
}

/* The i-th data region of pool0, of one frame. */
static Region *add(Host *host, uint64_t i, uint16_t type, const char *name) {
    host->extent++;
    return add_data(host->state, host->pool, type, type == JF_ADD ? 0 : i + 1, range(DATA + i, DATA + i + 1), 0,
                    range(host->extent - 1, host->extent), name);
}

static void test_names(Host *host, gconstpointer unused) {
    static const char *const bad[] = {
        "-a",
        ".a",
        "_a",
        "a b",
        "a/b",
        "a\n",
        "\x01",
        "\xc3\xa4",
        "a\xff",
        "00000000-0000-0000-0000-000000000001",
        "0123456789012345678901234567890123456789012345678901234567890123",
    };
    static const char *const good[] = {
        "a",
        "0",
        "A-._9",
        "012345678901234567890123456789012345678901234567890123456789012",
        "disk",
        "",
        "00000000-0000-0000-0000-00000000000",
        "pool0.disk",
    };
    Region *region = add(host, 0, JF_ADD, "disk1");
    g_autoptr(GError) error = NULL;
    g_autofree char *long_name = g_strnfill(4096, 'a');

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_refused(rules_name(host->state, NULL, bad[i], NULL, &error), &error, INVALID_ARGUMENT, "63",
                       "is not valid");
        assert_refused(rules_name(host->state, host->pool, bad[i], NULL, &error), &error, INVALID_ARGUMENT, "63");
    }
    g_assert_false(rules_name(host->state, NULL, "\x1b[2J\xff", NULL, &error));
    for (const char *c = error->message; *c; c++)
        g_assert_true(g_ascii_isprint(*c));
    g_clear_error(&error);
    g_assert_false(rules_name(host->state, NULL, long_name, NULL, &error));
    g_assert_nonnull(strstr(error->message, "4096 bytes"));
    g_assert_cmpuint(strlen(error->message), <, 400);
    g_clear_error(&error);

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(rules_name(host->state, NULL, good[i], NULL, &error));
        g_assert_true(rules_name(host->state, host->pool, good[i], NULL, &error));
    }
    g_assert_true(rules_name(host->state, host->pool, NULL, NULL, &error));

    /* pools: unique on the host */
    char uuid[PMEMD_UUID_STRING_MAX];
    assert_refused(rules_name(host->state, NULL, "pool0", NULL, &error), &error, EXISTS,
                   pmemd_uuid_format(host->pool->sb.member_uuid, uuid));
    assert_refused(rules_name(host->state, NULL, "pool0", host->other, &error), &error, EXISTS, "management region");
    g_assert_true(rules_name(host->state, NULL, "pool0", host->pool, &error));
    g_assert_true(rules_name(host->state, NULL, "disk1", NULL, &error));

    /* data regions: in their pool; the name of a pool is no matter */
    assert_refused(rules_name(host->state, host->pool, "disk1", NULL, &error), &error, EXISTS,
                   pmemd_uuid_format(region->uuid, uuid));
    g_assert_true(rules_name(host->state, host->pool, "disk1", region, &error));
    g_assert_true(rules_name(host->state, host->other, "disk1", NULL, &error));
    g_assert_true(rules_name(host->state, host->pool, "pool0", NULL, &error));

    /* free again as soon as it is released */
    begin_release(host->state, region, 9);
    g_assert_true(rules_name(host->state, host->pool, "disk1", NULL, &error));
}

static void count_bytes(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    *(uint64_t *) data += jf_snapshot_bytes(len);
}

/*
 * As many regions as the rule lets in, all being released at once: their records, the commits that follow and the
 * snapshot's begin and end must fit in one area.
 */
static void check_journal_room(Host *host, const char *name) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) regions = g_ptr_array_new();
    uint64_t area = host->pool->sb.geo.area_len;
    uint64_t bytes = 0;
    uint8_t payload[JF_PAYLOAD_MAX];
    JfCommit commit = { .time = 1 };

    for (uint64_t i = 0; rules_journal_room(host->pool, strlen(name), PMEMD_USER_MAX, &error); i++) {
        char each[PMEMD_NAME_MAX + 1];

        g_assert_cmpuint(i, <, 10000);
        g_snprintf(each, sizeof each, "%.*s%04u", (int) strlen(name) - 4, name, (unsigned) i);
        g_ptr_array_add(regions, add(host, i, JF_ADD, each));
    }
    assert_refused(false, &error, NO_SPACE, "pool0", "journal", "room for the release of all", "max-regions");

    /* By a request, too; and the other pool has room. */
    uint64_t free_frame = DATA + 0x20000;
    DataRequest request = {
        .range = range(free_frame, free_frame + 1),
        .mgmt = range(host->extent, host->extent + 1),
        .name = name,
        .bytes = 1,
        .node = -1,
        .pool = "pool0",
    };
    RegionPlan plan;
    assert_refused(rules_setup_data(host->state, &request, &plan, &error), &error, NO_SPACE, "journal of");
    assert_refused(rules_allocate_data(host->state, &request, &plan, &error), &error, NO_SPACE, "journal of");
    request.pool = NULL;
    g_assert_true(rules_allocate_data(host->state, &request, &plan, &error));
    g_assert_true(plan.pool == host->other);

    guint n = regions->len;
    g_assert_cmpuint(n, >, 1800);
    for (guint i = 0; i < n; i++) {
        const Region *region = g_ptr_array_index(regions, i);
        JfEraseProgress erase = { .region_uuid = region->uuid, .flags = JF_ERASE_VERIFY_ALL };

        begin_release(host->state, g_ptr_array_index(regions, i), i + 1);
        g_assert_true(state_apply(host->state, host->pool, JF_ERASE_PROGRESS, 0, payload,
                                  jf_erase_progress_encode(&erase, payload), NULL));
    }
    state_emit(host->state, host->pool, count_bytes, &bytes);
    bytes += n * jf_snapshot_bytes(jf_commit_encode(&commit, payload)) + 2 * jf_snapshot_bytes(8);
    g_assert_cmpuint(bytes, <=, area);
    g_test_message("%u regions, %u of %u bytes", n, (unsigned) bytes, (unsigned) area);

    host->pool->snapshot_bytes = UINT64_MAX;
    assert_refused(rules_journal_room(host->pool, 0, 0, &error), &error, NO_SPACE, "18446744073709551615");
}

static void test_journal_room(Host *host, gconstpointer unused) {
    check_journal_room(host, "d9999");
}

static void test_journal_room_long(Host *host, gconstpointer unused) {
    check_journal_room(host, "a2345678901234567890123456789012345678901234567890123456789zzzz");
}

static void test_release_data(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    Region *region = add(host, 0, JF_ADD, "disk1");

    region->state = N_REGION_STATES;
    assert_refused(rules_release_data(host->state, region, &error), &error, INTERNAL, "unknown state");
    region->state = REGION_OK;
    g_assert_true(rules_release_data(host->state, region, &error));
    state_set_region_state(host->state, region, REGION_MISSING, "not in the listing");
    assert_refused(rules_release_data(host->state, region, &error), &error, DEGRADED, "disk1", "not in the listing",
                   "bring the device back");
    state_set_region_state(host->state, region, REGION_UNSETTLED, "a device is in the way");
    assert_refused(rules_release_data(host->state, region, &error), &error, BUSY, "a device is in the way");

    Region *creating = add(host, 1, JF_INTENT_CREATE, "disk2");
    assert_refused(rules_release_data(host->state, creating, &error), &error, BUSY, "disk2", "being set up");
    state_set_region_state(host->state, creating, REGION_OK, NULL);
    assert_refused(rules_release_data(host->state, creating, &error), &error, BUSY, "disk2", "under way");

    state_set_region_state(host->state, region, REGION_OK, NULL);
    begin_release(host->state, region, 9);
    assert_refused(rules_release_data(host->state, region, &error), &error, BUSY, "being erased", "0x410000 - 0x410001",
                   "4096 bytes");

    static const int codes[N_POOL_STATES] = {
        [POOL_CREATING] = PMEMD_ERROR_BUSY,
        [POOL_OK] = -1,
        [POOL_READ_ONLY] = PMEMD_ERROR_READ_ONLY,
        [POOL_CORRUPT] = PMEMD_ERROR_CORRUPT,
        [POOL_UNSUPPORTED] = PMEMD_ERROR_NOT_SUPPORTED,
        [POOL_RELEASING] = PMEMD_ERROR_BUSY,
    };
    Region *good = add(host, 2, JF_ADD, NULL);
    for (int s = 0; s < N_POOL_STATES; s++) {
        state_set_pool_state(host->state, host->pool, (PoolState) s, NULL);
        g_assert_cmpint(rules_pool_writable(host->pool, NULL), ==, codes[s] < 0);
        if (codes[s] < 0)
            g_assert_true(rules_release_data(host->state, good, &error));
        else
            check_refused(rules_release_data(host->state, good, &error), &error, codes[s],
                          (const char *const[]){ "pool0", NULL });
    }
}

static void test_release_mgmt(Host *host, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    char number[9];

    g_assert_true(rules_release_mgmt(host->state, host->pool, &error));

    Region *a = add(host, 0, JF_ADD, NULL);
    Region *b = add(host, 1, JF_ADD, NULL);
    Region *c = add(host, 2, JF_ADD, NULL);
    add(host, 3, JF_INTENT_CREATE, NULL);
    add(host, 4, JF_ADD, NULL);
    add(host, 5, JF_ADD, NULL);
    begin_release(host->state, a, 9);
    state_set_region_state(host->state, b, REGION_MISSING, "gone");
    state_set_region_state(host->state, c, REGION_UNSETTLED, "odd");
    assert_refused(rules_release_mgmt(host->state, host->pool, &error), &error, BUSY, "\"pool0\"", "6 data regions",
                   "2 ok", "1 being set up", "1 released and being erased", "1 missing", "1 unsettled",
                   "2 open intents: release");
    g_assert_true(rules_release_mgmt(host->state, host->other, &error));

    /* each alone is enough */
    Foreign *orphan = add_foreign(host->state, range(DATA + 0x100, DATA + 0x200), FOREIGN_ORPHAN, "namespace0.9");
    orphan->tag_pool = backend_tag_number(host->other->sb.member_uuid);
    g_snprintf(number, sizeof number, "%08x", orphan->tag_pool);
    assert_refused(rules_release_mgmt(host->state, host->other, &error), &error, BUSY,
                   "is in use by 1 orphaned device with its number", number);
    orphan->kind = FOREIGN_FOREIGN;
    g_assert_true(rules_release_mgmt(host->state, host->other, &error));
    orphan->kind = FOREIGN_ORPHAN;
    orphan->tag_pool++;
    g_assert_true(rules_release_mgmt(host->state, host->other, &error));

    state_set_pool_state(host->state, host->other, POOL_READ_ONLY, "another machine's");
    assert_refused(rules_release_mgmt(host->state, host->other, &error), &error, READ_ONLY, "another machine's");
    host->other->state = N_POOL_STATES;
    assert_refused(rules_pool_writable(host->other, &error), &error, INTERNAL, "unknown state");
    state_set_pool_state(host->state, host->other, POOL_RELEASING, NULL);
    assert_refused(rules_release_mgmt(host->state, host->other, &error), &error, BUSY, "being released");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/rules/pool/names", Host, NULL, host_set_up, test_names, host_tear_down);
    g_test_add("/rules/pool/journal-room", Host, NULL, host_set_up, test_journal_room, host_tear_down);
    g_test_add("/rules/pool/journal-room/long-names", Host, NULL, host_set_up, test_journal_room_long, host_tear_down);
    g_test_add("/rules/pool/release-data", Host, NULL, host_set_up, test_release_data, host_tear_down);
    g_test_add("/rules/pool/release-mgmt", Host, NULL, host_set_up, test_release_mgmt, host_tear_down);
    return g_test_run();
}
