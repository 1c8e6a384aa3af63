/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the journal tells the model of erases: when a region is clean, whose offset counts, what is refused, and that a
 * snapshot keeps it all.
 */
#include "daemon/state.h"

#include "tests/lib/state-host.h"

#define FRAMES UINT64_C(256)
#define BYTES (FRAMES * PMEMD_FRAME_SIZE)

/* The first four bytes of uuid_of(2, n), as the journal has them. */
static uint32_t device_of(sd_id128_t device_uuid) {
    return (uint32_t) device_uuid.bytes[0] | (uint32_t) device_uuid.bytes[1] << 8 |
           (uint32_t) device_uuid.bytes[2] << 16 | (uint32_t) device_uuid.bytes[3] << 24;
}

static bool apply_erase(State *state, Pool *pool, const JfRegion *of, uint64_t offset, uint32_t flags, GError **error) {
    JfEraseProgress record = {
        .region_uuid = of->region_uuid,
        .offset = offset,
        .device = device_of(of->device_uuid),
        .flags = flags,
    };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_ERASE_PROGRESS, 0, buf, jf_erase_progress_encode(&record, buf), error);
}

static void must(bool ok) {
    g_assert_true(ok);
}

static void assert_erase(const State *state, const Region *region, uint64_t offset, bool verify_all) {
    Erase erase = { 0 };

    must(state_erase(state, region, &erase));
    g_assert_cmpuint(erase.offset, ==, offset);
    g_assert_true(erase.verify_all == verify_all);
}

typedef struct {
    State *state;
    Pool *pool;
    uint64_t bytes;
} Copy;

static void on_emit(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    Copy *copy = data;
    g_autoptr(GError) error = NULL;

    state_apply(copy->state, copy->pool, type, txid, payload, len, &error);
    g_assert_no_error(error);
    copy->bytes += jf_snapshot_bytes(len);
}

/* The region as a snapshot of its pool tells it, in a model of its own; that is freed with state_free(). */
static State *assert_kept(const State *state, const Pool *pool, sd_id128_t uuid, bool wanted, uint64_t offset,
                          bool verify_all) {
    State *again = state_with_raws();
    Copy copy = { again, add_pool(again, 0, LEFT), 0 };
    Erase erase;

    state_emit(state, pool, on_emit, &copy);
    g_assert_cmpuint(copy.pool->snapshot_bytes, ==, pool->snapshot_bytes);
    g_assert_cmpuint(copy.bytes, <=, pool->snapshot_bytes);
    const Region *region = state_region_by_uuid(again, uuid);
    g_assert_true(state_erase(again, region, &erase) == wanted);
    if (wanted)
        assert_erase(again, region, offset, verify_all);
    return again;
}

/* Before the first guest: wanted from the creation on, done when the offset is the size. */
static void test_first(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    JfRegion create = region_of(pool, 1, RIGHT, FRAMES);
    uint64_t empty = pool->snapshot_bytes;
    Erase erase;

    create.flags = JF_REGION_DIRTY;
    must(apply_region(state, pool, JF_INTENT_CREATE, 5, &create, NULL));
    Region *region = state_region_by_uuid(state, create.region_uuid);
    g_assert_false(state_erase(state, region, &erase)); /* as made by a version that did not erase */
    must(apply_erase(state, pool, &create, 0, 0, NULL));
    assert_erase(state, region, 0, false);
    must(apply_commit(state, pool, 5, create.range, NULL));
    assert_erase(state, region, 0, false);
    must(apply_erase(state, pool, &create, BYTES / 2, 0, NULL));
    assert_erase(state, region, BYTES / 2, false);
    state_free(assert_kept(state, pool, region->uuid, true, BYTES / 2, false));
    g_assert_true(region->flags & JF_REGION_DIRTY);

    must(apply_erase(state, pool, &create, BYTES, 0, NULL));
    g_assert_false(state_erase(state, region, &erase));
    g_assert_false(region->flags & JF_REGION_DIRTY);
    g_assert_cmpint(region->state, ==, REGION_OK);
    g_autoptr(State) again = assert_kept(state, pool, region->uuid, false, 0, false);
    g_assert_false(state_region_by_uuid(again, region->uuid)->flags & JF_REGION_DIRTY);
    must(apply_del(state, pool, create.region_uuid, NULL));
    g_assert_cmpuint(pool->snapshot_bytes, ==, empty);
}

/* Of a release: always from the start, whatever an erase before it came to; and to its end it stays dirty. */
static void test_release(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    JfRegion live = region_of(pool, 1, RIGHT, FRAMES);
    JfDelete delete = { .region_uuid = live.region_uuid };
    uint64_t empty = pool->snapshot_bytes;

    live.flags = JF_REGION_DIRTY;
    must(apply_region(state, pool, JF_ADD, 0, &live, NULL));
    must(apply_erase(state, pool, &live, BYTES / 2, 0, NULL));
    must(apply_delete(state, pool, 6, &delete, NULL));
    const Region *region = state_region_by_uuid(state, live.region_uuid);
    assert_erase(state, region, 0, false);
    must(apply_erase(state, pool, &live, 0, JF_ERASE_VERIFY_ALL, NULL));
    assert_erase(state, region, 0, true);
    must(apply_erase(state, pool, &live, BYTES, JF_ERASE_VERIFY_ALL, NULL));
    assert_erase(state, region, BYTES, true);
    g_assert_true(region->flags & JF_REGION_DIRTY);
    g_assert_cmpint(region->state, ==, REGION_QUARANTINED);
    state_free(assert_kept(state, pool, region->uuid, true, BYTES, true));
    must(apply_commit(state, pool, 6, (FrameRange){ 0, 0 }, NULL));
    g_assert_cmpuint(pool->snapshot_bytes, ==, empty);
}

static void assert_corrupt(bool ok, GError *error) {
    g_assert_false(ok);
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_error_free(error);
}

#define refused(call)                                                                                                  \
    do {                                                                                                               \
        GError *error = NULL;                                                                                          \
        bool refused_ok = (call);                                                                                      \
        assert_corrupt(refused_ok, error);                                                                             \
    } while (0)

static void test_contradictions(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);
    JfRegion clean = region_of(pool, 1, RIGHT, FRAMES), open = region_of(pool, 2, RIGHT + FRAMES, FRAMES);
    JfRegion theirs = region_of(other, 3, RIGHT + FRAMES * 2, FRAMES);
    JfRegion live = region_of(pool, 4, RIGHT + FRAMES * 3, FRAMES);
    uint8_t buf[JF_PAYLOAD_MAX];

    open.flags = theirs.flags = live.flags = JF_REGION_DIRTY;
    must(apply_region(state, pool, JF_ADD, 0, &clean, NULL));
    must(apply_region(state, pool, JF_INTENT_CREATE, 5, &open, NULL));
    must(apply_region(state, other, JF_ADD, 0, &theirs, NULL));
    must(apply_region(state, pool, JF_ADD, 0, &live, NULL));
    uint64_t bytes = pool->snapshot_bytes;
    refused(apply_erase(state, pool, &clean, 0, 0, &error));
    refused(apply_erase(state, pool, &clean, BYTES, 0, &error));
    refused(apply_erase(state, pool, &open, 4096, 0, &error));
    refused(apply_erase(state, pool, &theirs, 0, 0, &error));
    refused(apply_erase(state, pool, &live, BYTES + 1, 0, &error));
    refused(state_apply(state, pool, JF_ERASE_PROGRESS, 0, buf, 24, &error));
    g_assert_cmpuint(pool->snapshot_bytes, ==, bytes);
    g_assert_true(state_region_by_uuid(state, live.region_uuid)->flags & JF_REGION_DIRTY);
}

/* An offset counts for the device that it was reached on, and while nothing durable was lost. */
static void test_distrust(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    JfRegion live = region_of(pool, 1, RIGHT, FRAMES), renewed = live;
    JfOpen open = { .machine_id = uuid_of(9, 9) };
    uint8_t buf[JF_PAYLOAD_MAX];

    live.flags = JF_REGION_DIRTY;
    memset(&renewed.device_uuid, 0x5a, sizeof renewed.device_uuid);
    must(apply_region(state, pool, JF_ADD, 0, &live, NULL));
    const Region *region = state_region_by_uuid(state, live.region_uuid);
    must(apply_erase(state, pool, &renewed, BYTES / 2, 0, NULL));
    assert_erase(state, region, 0, false);
    must(apply_erase(state, pool, &renewed, BYTES, 0, NULL));
    assert_erase(state, region, 0, false);
    g_assert_true(region->flags & JF_REGION_DIRTY);

    /* Of starts one after another: what they told, and whether the erase went on. */
    static const struct {
        uint64_t told;
        bool kept;
    } rows[] = { { 0, true }, { 7, true }, { 7, true }, { 8, false },
                 { 0, true }, { 8, true }, { 0, true }, { 9, false } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        must(apply_erase(state, pool, &live, BYTES / 2, JF_ERASE_VERIFY_ALL, NULL));
        open.unsafe_shutdowns = rows[i].told;
        must(state_apply(state, pool, JF_OPEN, 0, buf, jf_open_encode(&open, buf), NULL));
        assert_erase(state, region, rows[i].kept ? BYTES / 2 : 0, true);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state-erase/first", test_first);
    g_test_add_func("/state-erase/release", test_release);
    g_test_add_func("/state-erase/contradictions", test_contradictions);
    g_test_add_func("/state-erase/distrust", test_distrust);
    return g_test_run();
}
