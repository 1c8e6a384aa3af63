/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The model's leases: what LEASE and UNLEASE make of it, what they must not, and what a snapshot keeps. */
#include "tests/lib/state-host.h"

typedef struct {
    State *state;
    Pool *pool;
    Region *region;
} Model;

static void model_clear(Model *model) {
    state_free(model->state);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Model, model_clear)

static Model model_with_region(void) {
    Model model = { .state = state_with_raws() };
    model.pool = add_pool(model.state, 0, LEFT);
    JfRegion record = region_of(model.pool, 1, RIGHT, 256);

    g_assert_true(apply_region(model.state, model.pool, JF_ADD, 0, &record, NULL));
    model.region = state_region_by_uuid(model.state, record.region_uuid);
    return model;
}

static bool apply_lease(const Model *model, const char *owner, uint32_t uid, uint32_t flags, GError **error) {
    JfLease lease = { .region_uuid = uuid_of(1, 1), .guest_frame = 0x100, .since = 5, .uid = uid, .flags = flags };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_strlcpy(lease.owner, owner, sizeof lease.owner);
    g_strlcpy(lease.user, "jo", sizeof lease.user);
    if (flags & JF_LEASE_DISCONNECT) {
        lease.bus_id = uuid_of(4, 1);
        g_strlcpy(lease.sender, ":1.9", sizeof lease.sender);
    }
    return state_apply(model->state, model->pool, JF_LEASE, 0, buf, jf_lease_encode(&lease, buf), error);
}

static bool apply_unlease(const Model *model, GError **error) {
    const JfUnlease unlease = { .region_uuid = uuid_of(1, 1) };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(model->state, model->pool, JF_UNLEASE, 0, buf, jf_unlease_encode(&unlease, buf), error);
}

static void must_contradict(bool applied, GError **error, const char *text) {
    g_assert_false(applied);
    g_assert_error(*error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    if (!strstr((*error)->message, text))
        g_error("'%s' has no '%s'", (*error)->message, text);
    g_clear_error(error);
}

static void test_life(void) {
    g_auto(Model) model = model_with_region();
    uint64_t before = model.pool->snapshot_bytes;

    g_assert_null(state_lease(model.state, model.region));
    g_assert_null(state_last_lease(model.state, model.region));
    g_assert_true(apply_lease(&model, "vm1", 1000, 0, NULL));
    const Lease *lease = state_lease(model.state, model.region);
    g_assert_true(lease_is_of(lease, "vm1", 1000));
    g_assert_cmpstr(lease->user, ==, "jo");
    g_assert_null(lease->sender);
    g_assert_cmphex(lease->guest_frame, ==, 0x100);
    g_assert_true(lease->confirmed); /* live, not replayed */
    g_assert_cmpuint(state_count_leases(model.state), ==, 1);
    g_assert_cmpuint(state_count_leases_of(model.state, 1000), ==, 1);
    g_assert_cmpuint(state_count_leases_of(model.state, 1001), ==, 0);
    g_assert_cmpuint(model.pool->snapshot_bytes, >, before);

    /* Of the same two again: replaced, and counted once. */
    g_assert_true(apply_lease(&model, "vm1", 1000, JF_LEASE_DISCONNECT, NULL));
    lease = state_lease(model.state, model.region);
    g_assert_cmpstr(lease->sender, ==, ":1.9");
    g_assert_true(sd_id128_equal(lease->bus_id, uuid_of(4, 1)));
    g_assert_cmpuint(state_count_leases(model.state), ==, 1);

    g_assert_true(apply_unlease(&model, NULL));
    g_assert_null(state_lease(model.state, model.region));
    lease = state_last_lease(model.state, model.region);
    g_assert_true(lease_is_of(lease, "vm1", 1000));
    g_assert_true(lease->ended);
    g_assert_null(lease->sender);
    g_assert_cmpuint(state_count_leases(model.state), ==, 0);
    g_assert_cmpuint(state_count_leases_of(model.state, 1000), ==, 0);

    /* Anybody may have it next, and a release leaves nothing. */
    g_assert_true(apply_lease(&model, "vm2", 1000, 0, NULL));
    g_assert_true(apply_unlease(&model, NULL));
    const JfDelete delete = { .region_uuid = model.region->uuid };
    g_assert_true(apply_delete(model.state, model.pool, 6, &delete, NULL));
    g_assert_null(state_last_lease(model.state, model.region));
}

static void test_contradictions(void) {
    g_auto(Model) model = model_with_region();
    g_autoptr(GError) error = NULL;
    const JfDelete delete = { .region_uuid = model.region->uuid };

    must_contradict(apply_unlease(&model, &error), &error, "not lent");
    g_assert_true(apply_lease(&model, "vm1", 1000, 0, NULL));
    must_contradict(apply_lease(&model, "vm2", 1000, 0, &error), &error, "lent to 'vm1' of user jo (uid 1000)");
    must_contradict(apply_lease(&model, "vm1", 1001, 0, &error), &error, "lent to 'vm1'");
    must_contradict(apply_lease(&model, "vm1", 1000, JF_LEASE_ENDED, &error), &error, "lent to 'vm1'");
    must_contradict(apply_delete(model.state, model.pool, 6, &delete, &error), &error, "lent");
    g_assert_true(lease_is_of(state_lease(model.state, model.region), "vm1", 1000));
    g_assert_true(apply_unlease(&model, NULL));
    must_contradict(apply_unlease(&model, &error), &error, "not lent");
    g_assert_true(apply_delete(model.state, model.pool, 6, &delete, NULL));
    must_contradict(apply_lease(&model, "vm1", 1000, 0, &error), &error, "transaction 6 is open");

    uint8_t zeros[64] = { 0 };
    must_contradict(state_apply(model.state, model.pool, JF_LEASE, 0, zeros, 64, &error), &error, "malformed LEASE");
    must_contradict(state_apply(model.state, model.pool, JF_UNLEASE, 0, zeros, 64, &error), &error,
                    "malformed UNLEASE");
    must_contradict(state_apply(model.state, model.pool, JF_UNLEASE, 0, zeros, 32, &error), &error, "not in the pool");
}

typedef struct {
    State *state;
    Pool *pool;
    uint64_t bytes;
} Copy;

static void copy_record(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    Copy *copy = data;
    g_autoptr(GError) error = NULL;

    copy->bytes += jf_snapshot_bytes(len);
    state_apply(copy->state, copy->pool, type, txid, payload, len, &error);
    g_assert_no_error(error);
}

/* What a snapshot of model gives in an empty one. */
static Model model_copy(const Model *model) {
    Copy copy = { .state = state_with_raws() };

    copy.pool = add_pool(copy.state, 0, LEFT);
    state_begin_replay(copy.pool);
    state_emit(model->state, model->pool, copy_record, &copy);
    g_assert_true(state_end_replay(copy.state, copy.pool, NULL));
    g_assert_cmpuint(copy.bytes, <=, model->pool->snapshot_bytes);
    g_assert_cmpuint(copy.pool->snapshot_bytes, ==, model->pool->snapshot_bytes);
    return (Model){ copy.state, copy.pool, state_region_by_uuid(copy.state, uuid_of(1, 1)) };
}

static void test_snapshot(void) {
    g_auto(Model) model = model_with_region();

    g_assert_true(apply_lease(&model, "vm1", 1000, JF_LEASE_DISCONNECT, NULL));
    g_auto(Model) held = model_copy(&model);
    const Lease *lease = state_lease(held.state, held.region);
    g_assert_true(lease_is_of(lease, "vm1", 1000));
    g_assert_cmpstr(lease->sender, ==, ":1.9");
    g_assert_cmphex(lease->guest_frame, ==, 0x100);
    g_assert_cmpuint(lease->since, ==, 5);

    /* Whoever has it is to say so again. */
    g_assert_false(lease->confirmed);
    g_assert_cmpuint(state_count_unconfirmed(held.state), ==, 1);
    state_confirm_lease(held.state, held.region);
    state_confirm_lease(held.state, held.region);
    g_assert_true(state_lease(held.state, held.region)->confirmed);
    g_assert_cmpuint(state_count_unconfirmed(held.state), ==, 0);

    g_assert_true(apply_unlease(&model, NULL));
    g_auto(Model) ended = model_copy(&model);
    g_assert_null(state_lease(ended.state, ended.region));
    g_assert_true(lease_is_of(state_last_lease(ended.state, ended.region), "vm1", 1000));
    g_assert_cmpuint(state_count_unconfirmed(ended.state), ==, 0);
    state_confirm_lease(ended.state, ended.region); /* nobody has it: nothing to confirm */
    g_assert_null(state_lease(ended.state, ended.region));
}

static void test_void(void) {
    g_auto(Model) model = model_with_region();
    uint64_t before = model.pool->snapshot_bytes;

    g_assert_true(apply_lease(&model, "vm1", 1000, 0, NULL));
    state_void_leases(model.state, model.pool);
    g_assert_null(state_last_lease(model.state, model.region));
    g_assert_cmpuint(state_count_leases(model.state), ==, 0);
    g_assert_cmpuint(model.pool->snapshot_bytes, ==, before);

    /* A region that goes takes its lease along. */
    g_assert_true(apply_lease(&model, "vm1", 1000, 0, NULL));
    g_assert_true(apply_del(model.state, model.pool, model.region->uuid, NULL));
    g_assert_cmpuint(state_count_leases(model.state), ==, 0);
}

/* Of many regions the few that somebody has, by place, whatever the order in which they were lent. */
static void test_walk(void) {
    static const uint32_t lent[] = { 7, 2, 5, 9 };
    g_auto(Model) model = model_with_region();
    uint8_t buf[JF_PAYLOAD_MAX];

    for (uint32_t i = 2; i < 12; i++) {
        JfRegion record = region_of(model.pool, i, RIGHT + (i - 1) * 1024, 256);
        g_assert_true(apply_region(model.state, model.pool, JF_ADD, 0, &record, NULL));
    }
    g_assert_null(state_leased_from(model.state, model.region));
    for (size_t i = 0; i < G_N_ELEMENTS(lent); i++) {
        JfLease lease = { .region_uuid = uuid_of(1, lent[i]), .owner = "vm1", .uid = 1000 };
        g_assert_true(state_apply(model.state, model.pool, JF_LEASE, 0, buf, jf_lease_encode(&lease, buf), NULL));
    }
    const JfUnlease unlease = { .region_uuid = uuid_of(1, 5) };
    g_assert_true(state_apply(model.state, model.pool, JF_UNLEASE, 0, buf, jf_unlease_encode(&unlease, buf), NULL));

    Region *second = state_region_by_uuid(model.state, uuid_of(1, 2));
    Region *seventh = state_region_by_uuid(model.state, uuid_of(1, 7));
    Region *ninth = state_region_by_uuid(model.state, uuid_of(1, 9));
    g_assert_true(state_leased_from(model.state, model.region) == second);
    g_assert_true(state_leased_from(model.state, second) == second);
    g_assert_true(state_next_leased(model.state, second) == seventh);
    g_assert_true(state_leased_from(model.state, state_region_by_uuid(model.state, uuid_of(1, 5))) == seventh);
    g_assert_true(state_next_leased(model.state, seventh) == ninth);
    g_assert_null(state_next_leased(model.state, ninth));
    g_assert_true(apply_del(model.state, model.pool, seventh->uuid, NULL));
    g_assert_true(state_next_leased(model.state, second) == ninth);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state-lease/life", test_life);
    g_test_add_func("/state-lease/contradictions", test_contradictions);
    g_test_add_func("/state-lease/snapshot", test_snapshot);
    g_test_add_func("/state-lease/void", test_void);
    g_test_add_func("/state-lease/walk", test_walk);
    return g_test_run();
}
