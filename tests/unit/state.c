/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model: every record type, every contradiction refused with the model unchanged, snapshots that give the same
 * model again, walks, totals and book-keeping.
 */
#include "daemon/state.h"

#include "daemon/frame-set.h"
#include "tests/lib/state-host.h"
#include "tests/lib/test-budget.h"

/* --- the model as text: "nothing has changed" is one comparison --- */

static int compare_text(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* What the journal says of bad frames. */
static void print_bad(GString *out, const RegionBad *bad) {
    g_autofree char *known = frame_set_format(bad ? bad->known : NULL, UINT_MAX);

    if (bad && (bad->known->len > 0 || bad->more))
        g_string_append_printf(out, " bad %s%s", known, bad->more ? " and more" : "");
}

static void print_region(GString *out, const Region *region, bool full) {
    char uuid[PMEMD_UUID_STRING_MAX], device[PMEMD_UUID_STRING_MAX], request[PMEMD_UUID_STRING_MAX];
    const Intent *intent = region->intent;

    g_string_append_printf(out, "region %s %s %" PRIx64 "-%" PRIx64 " from %" PRIx64 " extent %" PRIx64 "-%" PRIx64,
                           pmemd_uuid_format(region->uuid, uuid), pmemd_uuid_format(region->device_uuid, device),
                           region->range.start, region->range.end, region_device(region).start,
                           region->extent.range.start, region->extent.range.end);
    g_string_append_printf(out, " name %s user %s uid %u flags %x state %s time %" PRIu64, region->name ?: "-",
                           region->user ?: "-", region->owner_uid, region->flags, region_state_to_string(region->state),
                           region->time);
    if (full)
        g_string_append_printf(out, " bad %" PRIu64 " raw %s", region_bad_frames(region_bad(region)),
                               region->occupant.raw ? region->occupant.raw->id : "-");
    if (intent)
        g_string_append_printf(out, " intent %" PRIu64 " %d %s %" PRIx64 " %u %u", intent->txid, intent->deleting,
                               pmemd_uuid_format(intent->request_id, request), intent->request_hash,
                               intent->request_uid, intent->request_method);
    print_bad(out, region_bad(region));
    g_string_append_c(out, '\n');
}

/* What its owner has of all pools, counted one by one. */
static void check_usage(const State *state, uint32_t uid) {
    StateUsage usage = state_usage(state, uid), counted = { 0 };

    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        if (region->owner_uid == uid) {
            counted.regions++;
            counted.bytes += region_bytes(region);
        }
    g_assert_cmpuint(usage.regions, ==, counted.regions);
    g_assert_cmpuint(usage.bytes, ==, counted.bytes);
}

/* full: also what a snapshot does not keep. */
static char *dump(const State *state, const Pool *pool, bool full) {
    g_autoptr(GString) out = g_string_new(NULL);
    char uuid[PMEMD_UUID_STRING_MAX], result[PMEMD_UUID_STRING_MAX];

    g_string_append_printf(out, "pool %s owner %u %s machine %s regions %u used %" PRIx64 " free %" PRIx64 "\n",
                           pool->name ?: "-", pool->owner_uid, pool->user ?: "-",
                           pmemd_uuid_format(pool->last_open.machine_id, uuid), pool->n_regions, pool_used_frames(pool),
                           pool_free_frames(pool));
    print_bad(out, pool_own_bad(pool));
    if (full)
        g_string_append_printf(out, "bytes %" PRIu64 " txid %" PRIu64 "\n", pool->snapshot_bytes, pool->last_txid);
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        if (region->pool == pool) {
            print_region(out, region, full);
            check_usage(state, region->owner_uid);
        }
    for (const GList *l = pool->answers.head; l; l = l->next) {
        const JfRequest *r = &((const Answer *) l->data)->request;

        g_string_append_printf(out, "answer %s %" PRIx64 " %u %u %s\n", pmemd_uuid_format(r->request_id, uuid),
                               r->request_hash, r->request_uid, r->request_method,
                               pmemd_uuid_format(r->result, result));
        g_assert_true(&((const Answer *) l->data)->request ==
                      &state_find_answer(state, r->request_id, r->request_uid)->request);
    }
    g_assert_cmpuint(g_hash_table_size(pool->intents), <=, pool->n_regions);
    for (guint i = 0; i < state_raws(state)->len; i++) {
        const Raw *raw = g_ptr_array_index(state_raws(state), i);

        if (full)
            g_string_append_printf(out, "raw %s used %" PRIx64 "\n", raw->id, region_map_used_frames(raw->map));
    }

    /* by_name says the same as the regions do. */
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, pool->by_name);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_assert_cmpstr(key, ==, ((const Region *) value)->name);
        g_ptr_array_add(names, key);
    }
    g_ptr_array_sort(names, compare_text);
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(out, "name %s\n", (const char *) names->pdata[i]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

#define assert_refused(state, pool, call)                                                                              \
    do {                                                                                                               \
        g_autoptr(GError) refused_error = NULL;                                                                        \
        GError **error = &refused_error;                                                                               \
        g_autofree char *before = dump(state, pool, true);                                                             \
        g_assert_false(call);                                                                                          \
        g_assert_error(refused_error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);                                               \
        g_autofree char *after = dump(state, pool, true);                                                              \
        g_assert_cmpstr(before, ==, after);                                                                            \
    } while (0)

static void must(bool ok) {
    g_assert_true(ok);
}

/* --- records --- */

static void test_records(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);
    uint64_t empty = pool->snapshot_bytes, free_frames = pool_free_frames(pool), used = pool_used_frames(pool);
    JfRegion create = region_of(pool, 1, RIGHT, 256);
    JfOpen open = { .machine_id = uuid_of(9, 9), .version = "1.2" };
    uint8_t buf[JF_PAYLOAD_MAX];

    must(state_apply(state, pool, JF_OPEN, 0, buf, jf_open_encode(&open, buf), NULL));
    g_assert_cmpstr(pool->last_open.version, ==, "1.2");
    must(state_apply(state, pool, JF_NOTE, 0, buf, jf_note_encode("a note", buf), NULL));
    must(apply_name(state, pool, pool->sb.member_uuid, "pool", NULL));
    g_assert_true(state_pool_by_name(state, "pool") == pool);
    must(apply_name(state, pool, pool->sb.member_uuid, "", NULL));
    g_assert_null(state_pool_by_name(state, "pool"));
    must(apply_owner(state, pool, pool->sb.member_uuid, 7, "seven", NULL));
    g_assert_cmpuint(pool->owner_uid, ==, 7);
    check_usage(state, 7); /* a pool is not counted */
    g_assert_cmpstr(pool->user, ==, "seven");

    /* INTENT_CREATE, COMMIT */
    g_strlcpy(create.name, "guest", sizeof create.name);
    g_strlcpy(create.user, "jo", sizeof create.user);
    create.owner_uid = create.request_uid = 1000;
    create.request_id = uuid_of(3, 1);
    create.request_hash = 42;
    create.request_method = 4;
    create.flags = JF_REGION_DIRTY;
    must(apply_region(state, pool, JF_INTENT_CREATE, 5, &create, NULL));
    Region *region = state_region_by_uuid(state, create.region_uuid);
    g_assert_cmpint(region->state, ==, REGION_CREATING);
    g_assert_cmpuint(pool->last_txid, ==, 5);
    g_assert_true(state_find_open_request(state, create.request_id, 1000) == region);
    g_assert_null(state_find_open_request(state, create.request_id, 1001));
    g_assert_null(state_find_answer(state, create.request_id, 1000));
    g_assert_cmpuint(pool_free_frames(pool), ==, free_frames - 1);
    must(apply_commit(state, pool, 5, (FrameRange){ RIGHT, RIGHT + 256 }, NULL));
    g_assert_cmpint(region->state, ==, REGION_OK);
    g_assert_null(region->intent);
    g_assert_null(state_find_open_request(state, create.request_id, 1000));
    g_assert_true(sd_id128_equal(state_find_answer(state, create.request_id, 1000)->request.result, region->uuid));
    g_assert_cmpuint(state_find_answer(state, create.request_id, 1000)->request.request_hash, ==, 42);

    /* NAME, OWNER */
    must(apply_name(state, pool, region->uuid, "other", NULL));
    must(apply_name(state, pool, region->uuid, "other", NULL)); /* its own is not taken */
    g_assert_cmpstr(region->name, ==, "other");
    must(apply_owner(state, pool, region->uuid, 12, "twelve", NULL));
    g_assert_cmpuint(region->owner_uid, ==, 12);
    g_assert_cmpstr(region->user, ==, "twelve");

    /* INTENT_DELETE: the name is free at once, the frames are not. */
    JfDelete delete = { .region_uuid = region->uuid, .request_id = uuid_of(3, 2), .request_uid = 12 };
    must(apply_delete(state, pool, 6, &delete, NULL));
    g_assert_cmpint(region->state, ==, REGION_QUARANTINED);
    g_assert_true(region->flags & JF_REGION_DIRTY);
    g_assert_nonnull(state_find_answer(state, uuid_of(3, 2), 12));
    JfRegion second = region_of(pool, 2, RIGHT + 256, 256);
    g_strlcpy(second.name, "other", sizeof second.name);
    must(apply_region(state, pool, JF_ADD, 0, &second, NULL));
    g_assert_cmpint(state_region_by_uuid(state, second.region_uuid)->state, ==, REGION_OK);
    must(apply_commit(state, pool, 6, (FrameRange){ 0, 0 }, NULL));
    g_assert_null(state_region_by_uuid(state, create.region_uuid));

    /* DEL, ABORT, REQUEST */
    must(apply_del(state, pool, second.region_uuid, NULL));
    must(apply_region(state, pool, JF_INTENT_CREATE, 9, &second, NULL));
    must(apply_abort(state, pool, 9, NULL));
    must(apply_request(state, pool, 50, 1, NULL));
    g_assert_nonnull(state_find_answer(state, uuid_of(3, 50), 1));
    g_assert_cmpuint(state_count_regions(state), ==, 0);
    g_assert_cmpuint(pool->n_regions, ==, 0);
    g_assert_cmpuint(pool_free_frames(pool), ==, free_frames);
    g_assert_cmpuint(pool_used_frames(pool), ==, used);
    g_assert_cmpuint(pool->snapshot_bytes, ==, empty + 3 * jf_snapshot_bytes(56));
    g_assert_cmpuint(pool->last_txid, ==, 9);
}

static void test_contradictions(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);
    JfRegion live = region_of(pool, 1, RIGHT, 256), open = region_of(pool, 2, RIGHT + 512, 256);
    JfRegion gone = region_of(pool, 3, RIGHT + 1024, 256), theirs = region_of(other, 4, RIGHT + 2048, 256), fresh;
    JfDelete delete = { .region_uuid = gone.region_uuid };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_strlcpy(live.name, "live", sizeof live.name);
    must(apply_region(state, pool, JF_ADD, 0, &live, NULL));
    must(apply_region(state, pool, JF_INTENT_CREATE, 5, &open, NULL));
    must(apply_region(state, pool, JF_ADD, 0, &gone, NULL));
    must(apply_delete(state, pool, 6, &delete, NULL));
    must(apply_region(state, other, JF_ADD, 0, &theirs, NULL));

    for (int fault = 0; fault < 15; fault++) {
        uint64_t txid = 20;

        fresh = region_of(pool, 9, RIGHT + 4096, 256);
        switch (fault) {
        case 0:
            fresh.region_uuid = live.region_uuid;
            break;
        case 1:
            fresh.region_uuid = theirs.region_uuid;
            break;
        case 2:
            fresh.region_uuid = pool->sb.member_uuid;
            break;
        case 3:
            fresh.range.end = fresh.range.start;
            break;
        case 4:
            fresh.range = (FrameRange){ 10, 9 };
            break;
        case 5:
            fresh.range.end = PMEMD_FRAME_LIMIT + 1;
            break;
        case 6:
            fresh.device_start = fresh.range.start + 1;
            break;
        case 7:
            g_strlcpy(fresh.name, "live", sizeof fresh.name);
            break;
        case 8:
            fresh.extent = live.extent;
            break;
        case 9:
            fresh.extent.end = fresh.extent.start;
            break;
        case 10:
            fresh.extent = (FrameRange){ pool->tail.range.start - 1, pool->tail.range.start + 1 };
            break;
        case 11:
            fresh.extent = (FrameRange){ 0, UINT64_MAX };
            break;
        case 12:
            fresh.range = (FrameRange){ RIGHT + 255, RIGHT + 257 };
            fresh.device_start = RIGHT + 255;
            break; /* live's */
        case 13:
            fresh.device_start = RIGHT + 1100;
            break; /* its lead lies in one that is being erased, and encloses */
        default:
            fresh.range = (FrameRange){ LEFT + 1, LEFT + 2 };
            fresh.device_start = LEFT + 1;
            break; /* the pool's */
        }
        assert_refused(state, pool, apply_region(state, pool, JF_ADD, 0, &fresh, error));
        assert_refused(state, pool, apply_region(state, pool, JF_INTENT_CREATE, txid, &fresh, error));
    }
    fresh = region_of(pool, 9, RIGHT + 4096, 256);
    assert_refused(state, pool, apply_region(state, pool, JF_INTENT_CREATE, 0, &fresh, error)); /* no transaction */
    assert_refused(state, pool, apply_region(state, pool, JF_INTENT_CREATE, 5, &fresh, error)); /* open already */

    delete.region_uuid = live.region_uuid;
    assert_refused(state, pool, apply_delete(state, pool, 0, &delete, error));
    assert_refused(state, pool, apply_delete(state, pool, 5, &delete, error));
    delete.region_uuid = open.region_uuid; /* not yet made */
    assert_refused(state, pool, apply_delete(state, pool, 20, &delete, error));
    delete.region_uuid = gone.region_uuid; /* released already */
    assert_refused(state, pool, apply_delete(state, pool, 20, &delete, error));
    delete.region_uuid = theirs.region_uuid; /* another pool's */
    assert_refused(state, pool, apply_delete(state, pool, 20, &delete, error));
    delete.region_uuid = uuid_of(1, 99);
    assert_refused(state, pool, apply_delete(state, pool, 20, &delete, error));

    assert_refused(state, pool, apply_commit(state, pool, 99, open.range, error));
    assert_refused(state, pool, apply_commit(state, pool, 5, (FrameRange){ RIGHT + 512, RIGHT + 769 }, error));
    assert_refused(state, pool, apply_commit(state, pool, 5, (FrameRange){ 0, 0 }, error));
    assert_refused(state, pool, apply_abort(state, pool, 99, error));
    assert_refused(state, pool, apply_abort(state, pool, 6, error)); /* of a release */
    assert_refused(state, other, apply_commit(state, other, 5, open.range, error));
    assert_refused(state, pool, apply_name(state, pool, uuid_of(1, 99), "x", error));
    assert_refused(state, pool, apply_name(state, pool, theirs.region_uuid, "x", error));
    assert_refused(state, pool, apply_name(state, pool, other->sb.member_uuid, "x", error));
    assert_refused(state, pool, apply_name(state, pool, open.region_uuid, "live", error));
    assert_refused(state, pool, apply_owner(state, pool, uuid_of(1, 99), 1, "x", error));
    assert_refused(state, pool, apply_owner(state, pool, theirs.region_uuid, 1, "x", error));
    assert_refused(state, pool, apply_del(state, pool, uuid_of(1, 99), error));
    assert_refused(state, pool, apply_del(state, pool, theirs.region_uuid, error));

    static const uint16_t types[] = { JF_ADD,  JF_DEL,  JF_INTENT_CREATE, JF_INTENT_DELETE, JF_COMMIT,    JF_ABORT,
                                      JF_OPEN, JF_NAME, JF_OWNER,         JF_REQUEST,       JF_BAD_FRAMES };
    memset(buf, 0xff, sizeof buf);
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        assert_refused(state, pool, state_apply(state, pool, types[i], 5, buf, 8, error));
        assert_refused(state, pool, state_apply(state, pool, types[i], 5, buf, sizeof buf, error));
    }
    static const uint16_t unknown[] = { 0x8123, 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(state_apply(state, pool, unknown[i], 99, buf, 0, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED);
    }
    g_assert_cmpuint(pool->last_txid, ==, 6);
}

/* --- snapshots --- */

typedef struct {
    uint16_t type;
    uint64_t txid;
    size_t len;
    uint8_t payload[JF_PAYLOAD_MAX];
} Emitted;

static void on_emit(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    Emitted e = { .type = type, .txid = txid, .len = len };

    memcpy(e.payload, payload, len);
    g_array_append_val((GArray *) data, e);
}

/* What state_emit() gives builds the same model in an empty state, and takes no more room than the books say. */
static void assert_round_trip(const State *state, const Pool *pool) {
    g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(Emitted));
    g_autoptr(State) copy = state_with_raws();
    g_autoptr(GError) error = NULL;
    Pool *pool_copy = state_add_pool(copy, &pool->sb, pool->occupant.entry.range, POOL_OK, &error);
    uint64_t bytes = jf_snapshot_bytes(8) + jf_snapshot_bytes(0);

    state_emit(state, pool, on_emit, records);
    for (guint i = 0; i < records->len; i++) {
        const Emitted *e = &g_array_index(records, Emitted, i);

        bytes += jf_snapshot_bytes(e->len);
        must(state_apply(copy, pool_copy, e->type, e->txid, e->payload, e->len, &error));
        g_assert_no_error(error);
    }
    g_assert_cmpuint(bytes, <=, pool->snapshot_bytes);
    g_assert_cmpuint(pool->snapshot_bytes - bytes, <=, 1024);
    g_assert_cmpuint(pool_copy->snapshot_bytes, ==, pool->snapshot_bytes);
    guint counted[N_REGION_STATES] = { 0 };
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        counted[region->state]++;
    for (int i = 0; i < N_REGION_STATES; i++) {
        g_assert_cmpuint(state_count_regions_in(state, (RegionState) i), ==, counted[i]);
        g_assert_cmpuint(state_count_regions_in(copy, (RegionState) i), ==, counted[i]);
    }
    g_autofree char *a = dump(state, pool, false), *b = dump(copy, pool_copy, false);
    g_assert_cmpstr(a, ==, b);
}

typedef struct {
    State *state;
    Pool *pool;
    uint64_t next, txid;
} Random;

static Region *random_region(const Random *r) {
    guint n = state_count_regions(r->state), at = n > 0 ? (guint) g_test_rand_int_range(0, (gint32) n) : 0;
    Region *region = state_next_region(r->state, NULL);

    while (at-- > 0)
        region = state_next_region(r->state, region);
    return region;
}

static void random_create(Random *r) {
    uint64_t n = r->next++ % 200, start = RIGHT + n * 16;
    JfRegion record = region_of(r->pool, n, start + 8, 8);

    record.region_uuid = uuid_of(1, r->next);
    record.device_start = start;
    record.owner_uid = (uint32_t) g_test_rand_int_range(0, 3);
    record.flags = (uint32_t) g_test_rand_int_range(0, 2);
    if (g_test_rand_bit()) {
        record.request_id = uuid_of(3, (uint64_t) g_test_rand_int_range(0, 40));
        record.request_uid = record.owner_uid;
    }
    g_snprintf(record.name, sizeof record.name, "n%d", g_test_rand_int_range(0, 20));
    if (g_test_rand_bit())
        g_strlcpy(record.user, "somebody-with-a-rather-long-name", sizeof record.user);
    apply_region(r->state, r->pool, g_test_rand_bit() ? JF_ADD : JF_INTENT_CREATE, ++r->txid, &record,
                 NULL); /* or refused */
}

/* Of a region, or of the mgmt region: some frames found bad, or cleared. */
static void random_bad(Random *r, const Region *region) {
    FrameRange range = region ? region->range : r->pool->sb.range;
    JfBadFrames bad = {
        .uuid = region ? region->uuid : r->pool->sb.member_uuid,
        .cleared = g_test_rand_bit(),
        .more = g_test_rand_int_range(0, 8) == 0,
    };
    uint64_t at = range.start + (uint64_t) g_test_rand_int_range(0, 3);

    bad.more &= !bad.cleared;
    if (bad.cleared && g_test_rand_bit()) {
        bad.extents[bad.n_extents++] = range; /* all of it */
    } else {
        while (at + 2 <= range.end && bad.n_extents < JF_BAD_EXTENTS_MAX && g_test_rand_int_range(0, 40) > 0) {
            uint64_t frames = (uint64_t) g_test_rand_int_range(1, 3);

            bad.extents[bad.n_extents++] = (FrameRange){ at, at + frames };
            at += frames + (uint64_t) g_test_rand_int_range(1, 4);
        }
    }
    if (bad.n_extents > 0)
        apply_bad(r->state, r->pool, &bad, NULL); /* or refused: more than is kept */
}

static void random_step(Random *r) {
    Region *region = random_region(r);
    char name[16];

    g_snprintf(name, sizeof name, "n%d", g_test_rand_int_range(0, 20));
    switch (g_test_rand_int_range(0, 10)) {
    case 0:
        if (region && region->intent)
            apply_commit(r->state, r->pool, region->intent->txid,
                         region->intent->deleting ? (FrameRange){ 0, 0 } : region_device(region), NULL);
        break;
    case 1:
        if (region && region->intent)
            apply_abort(r->state, r->pool, region->intent->txid, NULL);
        break;
    case 2:
    case 3:
        if (region) {
            JfDelete delete = { .region_uuid = region->uuid, .request_uid = 1 };

            if (g_test_rand_bit())
                delete.request_id = uuid_of(3, (uint64_t) g_test_rand_int_range(0, 40));
            apply_delete(r->state, r->pool, ++r->txid, &delete, NULL);
        }
        break;
    case 4:
        if (region && (!region->intent || !region->intent->deleting)) /* one that was released has no name any more */
            apply_name(r->state, r->pool, region->uuid, g_test_rand_bit() ? name : "", NULL);
        break;
    case 5:
        if (region)
            apply_owner(r->state, r->pool, region->uuid, 5, g_test_rand_bit() ? "five" : "", NULL);
        break;
    case 6:
        random_bad(r, g_test_rand_bit() ? region : NULL);
        break;
    default:
        random_create(r);
        break;
    }
}

static void test_round_trip(void) {
    for (int round = 0; round < 40; round++) {
        g_autoptr(State) state = state_with_raws();
        Random r = { .state = state, .pool = add_pool(state, 0, LEFT) };

        if (round % 2 == 1) {
            JfOpen open = { .machine_id = uuid_of(9, 9), .version = "1.2" };
            uint8_t buf[JF_PAYLOAD_MAX];

            must(state_apply(state, r.pool, JF_OPEN, 0, buf, jf_open_encode(&open, buf), NULL));
            must(apply_name(state, r.pool, r.pool->sb.member_uuid, "pool", NULL));
            must(apply_owner(state, r.pool, r.pool->sb.member_uuid, 3, "three", NULL));
        }
        for (int step = 0; step < 300; step++) {
            random_step(&r);
            if (step % 10 == 0)
                assert_round_trip(state, r.pool);
        }
    }
}

/* The name of a region that is being erased was taken by the next one: in whatever order a snapshot gives them. */
static void test_name_taken_again(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT);

    for (uint64_t i = 0; i < 50; i++) {
        JfRegion record = region_of(pool, i, RIGHT + i * 256, 256);
        JfDelete delete = { .region_uuid = record.region_uuid, .request_id = uuid_of(3, i) };

        g_strlcpy(record.name, "guest", sizeof record.name);
        must(apply_region(state, pool, JF_ADD, 0, &record, NULL));
        assert_round_trip(state, pool);
        must(apply_delete(state, pool, i + 1, &delete, NULL));
    }
    assert_round_trip(state, pool);
}

static void test_answers(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);

    for (uint64_t i = 0; i < JF_MAX_REQUESTS + 10; i++)
        must(apply_request(state, pool, i, 7, NULL));
    g_assert_cmpuint(pool->answers.length, ==, JF_MAX_REQUESTS);
    g_assert_null(state_find_answer(state, uuid_of(3, 9), 7));
    g_assert_nonnull(state_find_answer(state, uuid_of(3, 10), 7));
    g_assert_null(state_find_answer(state, uuid_of(3, 10), 8));
    assert_round_trip(state, pool);

    /* The same (id, user) again replaces, and counts as new. */
    must(apply_request(state, pool, 10, 7, NULL));
    g_assert_cmpuint(pool->answers.length, ==, JF_MAX_REQUESTS);
    must(apply_request(state, pool, 5000, 7, NULL));
    g_assert_null(state_find_answer(state, uuid_of(3, 11), 7));
    g_assert_nonnull(state_find_answer(state, uuid_of(3, 10), 7));

    /* Also when the old one was in another pool: neither goes past the cap. */
    must(apply_request(state, other, 9000, 7, NULL));
    must(apply_request(state, pool, 9000, 7, NULL));
    g_assert_cmpuint(pool->answers.length, ==, JF_MAX_REQUESTS);
    g_assert_cmpuint(other->answers.length, ==, 0);
    g_assert_true(state_find_answer(state, uuid_of(3, 9000), 7)->pool == pool);
    assert_round_trip(state, pool);
    assert_round_trip(state, other);

    /* A pool takes its answers with it. */
    state_remove_pool(state, pool);
    g_assert_null(state_find_answer(state, uuid_of(3, 9000), 7));
}

/* --- walks --- */

static guint walk(const State *state) {
    uint64_t start = 0;
    sd_id128_t uuid = SD_ID128_NULL;
    guint n = 0;

    for (const Region *region = state_region_after(state, 0, SD_ID128_NULL); region; n++) {
        g_assert_true(n == 0 || region_device(region).start > start ||
                      (region_device(region).start == start && memcmp(&region->uuid, &uuid, sizeof uuid) > 0));
        start = region_device(region).start;
        uuid = region->uuid;
        region = state_region_after(state, start, uuid);
    }
    return n;
}

static void test_paging(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);
    static const uint64_t far = UINT64_C(0x900000); /* in no raw region */

    for (uint64_t i = 0; i < 100; i++) {
        uint64_t start = i % 3 == 0 ? RIGHT + i * 16 : i % 3 == 1 ? LEFT + 2 * POOL_FRAMES + i * 16 : far + i * 16;
        JfRegion record = region_of(i % 2 ? pool : other, i, start, 16);

        must(apply_region(state, i % 2 ? pool : other, JF_ADD, 0, &record, NULL));
    }
    g_assert_cmpuint(walk(state), ==, 100);
    g_assert_cmpuint(state_count_regions(state), ==, 100);

    /* Page by page, and what was the last of each page goes before the next one is asked for. */
    uint64_t start = 0;
    sd_id128_t uuid = SD_ID128_NULL;
    guint seen = 0;
    for (;;) {
        Region *last = NULL;

        for (guint i = 0; i < 7; i++) {
            Region *region = last ? state_next_region(state, last) : state_region_after(state, start, uuid);

            if (!region)
                break;
            last = region;
            seen++;
        }
        if (!last)
            break;
        start = region_device(last).start;
        uuid = last->uuid;
        must(apply_del(state, last->pool, uuid, NULL));
    }
    g_assert_cmpuint(seen, ==, 100);
    g_assert_cmpuint(walk(state), ==, 100 - 15);
    state_remove_pool(state, pool);
    g_assert_cmpuint(walk(state), ==, other->n_regions);

    /* The raw region comes back: its regions keep their frames in it, and nobody else gets them. */
    guint n = walk(state);
    add_raw(state, "far", far, RAW_FRAMES);
    Raw *raw = state_raw_by_id(state, "far");
    g_assert_cmpuint(walk(state), ==, n);
    g_assert_cmpuint(region_map_used_frames(raw->map), >, 0);
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        g_assert_true(region->occupant.raw == state_raw_for(state, region->occupant.entry.range));
    g_assert_cmpuint(region_map_count(other->unplaced), ==, 0);
}

/* --- places, totals --- */

static void test_pools(void) {
    g_autoptr(State) state = state_with_raws();
    FrameRange range = { LEFT, LEFT + POOL_FRAMES };
    JfSuperblock sb = superblock_of(0, range), bad;
    Pool *pool = add_pool(state, 0, LEFT);

    for (int fault = 0; fault < 7; fault++) {
        g_autoptr(GError) error = NULL;
        FrameRange device = { RIGHT, RIGHT + POOL_FRAMES };

        bad = superblock_of(1, device);
        switch (fault) {
        case 0:
            device = range;
            break; /* does not hold the range */
        case 1:
            bad.range.end = bad.range.start;
            break;
        case 2:
            bad.range.end = UINT64_MAX;
            device.end = UINT64_MAX;
            break;
        case 3:
            bad.geo.size -= PMEMD_FRAME_SIZE;
            break;
        case 4:
            bad.geo.mgmt_off = 0;
            break;
        case 5:
            bad.page_info_bytes = UINT32_MAX;
            break; /* own frames do not fit */
        default:
            bad = sb;
            device = range;
            break; /* overlaps */
        }
        g_assert_null(state_add_pool(state, &bad, device, POOL_OK, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
        g_assert_cmpuint(state_pools(state)->len, ==, 1);
    }
    g_assert_true(state_pool_for(state, (FrameRange){ LEFT + 1, LEFT + 2 }) == pool);
    g_assert_null(state_pool_for(state, (FrameRange){ LEFT, LEFT + POOL_FRAMES + 1 }));
    g_assert_cmpuint(pool_used_frames(pool), ==, pool->own.range.end - LEFT);
    g_assert_cmpuint(pool_free_frames(pool), ==, pool->tail.range.start - pool->own.range.end);

    /* The high-water mark, not the sum. */
    JfRegion high = region_of(pool, 0, RIGHT, 16);
    high.extent = (FrameRange){ pool->tail.range.start - 1, pool->tail.range.start };
    must(apply_region(state, pool, JF_ADD, 0, &high, NULL));
    g_assert_cmpuint(pool_used_frames(pool), ==, pool->tail.range.start - LEFT);
    g_assert_cmpuint(pool_free_frames(pool), ==, pool->tail.range.start - pool->own.range.end - 1);

    StateTotals totals = state_totals(state);
    g_assert_cmpuint(totals.raw_bytes, ==, 2 * RAW_FRAMES * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(totals.mgmt_bytes, ==, POOL_FRAMES * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(totals.data_bytes, ==, 16 * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(totals.free_bytes, ==, (2 * RAW_FRAMES - POOL_FRAMES - 16) * PMEMD_FRAME_SIZE);
    state_raw_by_id(state, "right")->unusable = g_strdup("broken");
    g_assert_cmpuint(state_totals(state).free_bytes, ==, (RAW_FRAMES - POOL_FRAMES) * PMEMD_FRAME_SIZE);
}

static Foreign *foreign_at(uint64_t start, uint64_t end) {
    Foreign *foreign = g_new0(Foreign, 1);

    foreign->device = (FrameRange){ start, end };
    return foreign;
}

static void test_foreign_and_raw(void) {
    g_autoptr(State) state = state_with_raws();
    Raw *clash = raw_new("clash", (FrameRange){ LEFT + 1, LEFT + 2 }), *empty = raw_new("empty", (FrameRange){ 5, 5 });

    add_pool(state, 0, LEFT);
    g_assert_false(state_add_raw(state, clash));
    g_assert_false(state_add_raw(state, empty));
    raw_free(clash);
    raw_free(empty);
    g_assert_cmpstr(((const Raw *) g_ptr_array_index(state_raws(state), 0))->id, ==, "left");

    state_add_foreign(state, foreign_at(RIGHT + 100, RIGHT + 200));
    state_add_foreign(state, foreign_at(RIGHT, RIGHT + 50));
    state_add_foreign(state, foreign_at(LEFT + 1, LEFT + 9)); /* overlaps the pool: listed only */
    state_add_foreign(state, foreign_at(1, 2));               /* in no raw region */
    g_assert_cmpuint(state_foreigns(state)->len, ==, 4);
    for (guint i = 1; i < 4; i++)
        g_assert_cmpuint(((const Foreign *) state_foreigns(state)->pdata[i - 1])->device.start, <,
                         ((const Foreign *) state_foreigns(state)->pdata[i])->device.start);
    g_assert_cmpuint(region_map_used_frames(state_raw_by_id(state, "right")->map), ==, 150);
    g_assert_null(state_next_region(state, NULL)); /* foreign devices are no regions */
    state_clear_foreign(state);
    g_assert_cmpuint(region_map_used_frames(state_raw_by_id(state, "right")->map), ==, 0);
    g_assert_cmpuint(region_map_used_frames(state_raw_by_id(state, "left")->map), ==, POOL_FRAMES);
}

/* Two journals that claim the same frames: the second is told so, the first keeps them. */
static void test_replay_conflict(void) {
    g_autoptr(State) state = state_with_raws();
    g_autoptr(GError) error = NULL;
    Pool *pool = add_pool(state, 0, LEFT), *other = add_pool(state, 1, LEFT + POOL_FRAMES);
    JfRegion mine = region_of(pool, 1, RIGHT, 256), theirs = region_of(other, 2, RIGHT + 100, 256),
             fine = region_of(other, 3, RIGHT + 4096, 256);

    state_begin_replay(pool);
    must(apply_region(state, pool, JF_ADD, 0, &mine, NULL));
    must(state_end_replay(state, pool, &error));
    g_assert_no_error(error);
    state_begin_replay(other);
    must(apply_region(state, other, JF_ADD, 0, &theirs, NULL));
    must(apply_region(state, other, JF_ADD, 0, &fine, NULL));
    g_assert_false(state_end_replay(state, other, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_cmpuint(walk(state), ==, 3);
    g_assert_cmpuint(region_map_used_frames(state_raw_by_id(state, "right")->map), ==, 512);
    g_assert_cmpuint(region_map_count(other->unplaced), ==, 1);
}

static uint64_t model_required(uint32_t page_info, uint32_t m2p, uint64_t n) {
    unsigned __int128 a = ((unsigned __int128) n * page_info + 4095) / 4096,
                      b = ((unsigned __int128) n * m2p + 4095) / 4096;

    g_assert_true(a + b <= UINT64_MAX);
    return (uint64_t) (a + b);
}

static void test_required_frames(void) {
    static const uint64_t ns[] = {
        0, 1, 63, 64, 127, 128, 129, 4095, 4096, 4097, PMEMD_FRAME_LIMIT - 1, PMEMD_FRAME_LIMIT
    };
    static const uint32_t sizes[] = { 0, 1, 8, 32, 64, 4095, 4096, 4097, UINT32_MAX - 1, UINT32_MAX };

    for (size_t i = 0; i < G_N_ELEMENTS(ns); i++)
        for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++)
            for (size_t l = 0; l < G_N_ELEMENTS(sizes); l++)
                g_assert_cmpuint(pool_required_frames(sizes[k], sizes[l], ns[i]), ==,
                                 model_required(sizes[k], sizes[l], ns[i]));
    for (unsigned i = test_rounds(200000); i > 0; i--) {
        uint64_t n = ((uint64_t) (uint32_t) g_test_rand_int() << 32 | (uint32_t) g_test_rand_int()) >>
                     g_test_rand_int_range(24, 64);
        uint32_t a = (uint32_t) g_test_rand_int() >> g_test_rand_int_range(0, 32);
        uint32_t b = (uint32_t) g_test_rand_int() >> g_test_rand_int_range(0, 32);

        g_assert_cmpuint(pool_required_frames(a, b, n), ==, model_required(a, b, n));
    }
    /* The seed rounds each product down: 127 frames of 32 + 8 bytes take 1 + 1 frames, not 0 + 0. */
    g_assert_cmpuint(pool_required_frames(32, 8, 127), ==, 2);
}

static void test_paths(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *found_pool;
    JfRegion record = region_of(pool, 1, RIGHT, 256);
    Region *found;

    must(apply_region(state, pool, JF_ADD, 0, &record, NULL));
    Region *region = state_region_by_uuid(state, record.region_uuid);
    g_assert_false(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    region_set_path(region, "/dev/dax0.1");
    pool_set_path(pool, "/dev/dax0.0");
    must(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    g_assert_true(found == region && !found_pool);
    must(state_find_path(state, "/dev/dax0.0", &found, &found_pool));
    g_assert_true(!found && found_pool == pool);
    region_set_path(region, NULL);
    g_assert_false(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    g_assert_cmpuint(region_bytes(region), ==, 256 * PMEMD_FRAME_SIZE);

    /* A new listing: another region has the path now, and the one that had it gets none, or its own one, later. */
    JfRegion other_record = region_of(pool, 2, RIGHT + 256, 256);
    must(apply_region(state, pool, JF_ADD, 0, &other_record, NULL));
    Region *other = state_region_by_uuid(state, other_record.region_uuid);
    region_set_path(region, "/dev/dax0.1");
    region_set_path(other, "/dev/dax0.1");
    must(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    g_assert_true(found == other);
    region_set_path(region, "/dev/dax0.2");
    must(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    g_assert_true(found == other);
    must(state_find_path(state, "/dev/dax0.2", &found, &found_pool));
    g_assert_true(found == region);
    JfRef ref = { .uuid = other_record.region_uuid };
    uint8_t buf[JF_PAYLOAD_MAX];
    must(state_apply(state, pool, JF_DEL, 0, buf, jf_ref_encode(&ref, buf), NULL));
    g_assert_false(state_find_path(state, "/dev/dax0.1", &found, &found_pool));
    g_assert_cmpuint(state_totals(state).data_bytes, ==, 256 * PMEMD_FRAME_SIZE);
}

/* Of a path with the device's uuid only the rest is kept: what comes out is what went in, whatever else is there. */
static void test_paths_with_uuid(void) {
    g_autoptr(State) state = state_with_raws();
    Pool *pool = add_pool(state, 0, LEFT), *found_pool;
    JfRegion records[2] = { region_of(pool, 1, RIGHT, 256), region_of(pool, 2, RIGHT + 256, 256) };
    char own[PMEMD_UUID_STRING_MAX], others[PMEMD_UUID_STRING_MAX];
    Region *regions[2], *found;

    for (guint i = 0; i < G_N_ELEMENTS(records); i++) {
        must(apply_region(state, pool, JF_ADD, 0, &records[i], NULL));
        regions[i] = state_region_by_uuid(state, records[i].region_uuid);
    }
    pmemd_uuid_format(records[0].device_uuid, own);
    pmemd_uuid_format(records[1].device_uuid, others);

    g_autofree char *loud = g_ascii_strup(own, -1);
    const char *const forms[] = { "/dir/data-%s.img", "%s", "/%s/x", "/dir/data-.img", "/dir/%s/%s.img", "/%s%s", "" };
    const char *const uuids[] = { own, others, loud };
    for (guint f = 0; f < G_N_ELEMENTS(forms); f++)
        for (guint u = 0; u < G_N_ELEMENTS(uuids) * G_N_ELEMENTS(uuids); u++) {
            const char *first = uuids[u % G_N_ELEMENTS(uuids)], *second = uuids[u / G_N_ELEMENTS(uuids)];
            g_auto(GStrv) pieces = g_strsplit(forms[f], "%s", -1);
            guint n = g_strv_length(pieces);
            g_autofree char *path = g_strconcat(n > 0 ? pieces[0] : "", n > 1 ? first : "", n > 1 ? pieces[1] : "",
                                                n > 2 ? second : "", n > 2 ? pieces[2] : "", NULL);

            region_set_path(regions[0], path);
            g_assert_cmpstr(region_path(regions[0]), ==, path);
            must(state_find_path(state, path, &found, &found_pool));
            g_assert_true(found == regions[0]);
            region_set_path(regions[1], "/dir/data-.img");
            g_assert_cmpstr(region_path(regions[0]), ==, path);
            bool same = g_str_equal(path, "/dir/data-.img");
            must(state_find_path(state, path, &found, &found_pool));
            g_assert_true(found == regions[same ? 1 : 0]);
            region_set_path(regions[0], NULL);
            g_assert_null(region_path(regions[0]));
            g_assert_cmpint(state_find_path(state, path, &found, &found_pool), ==, same);
            region_set_path(regions[1], NULL);
        }

    /* Two of one folder share what is kept, and are told from each other. */
    for (guint i = 0; i < 2; i++) {
        g_autofree char *path = g_strdup_printf("/dir/data-%s.img", i == 0 ? own : others);

        region_set_path(regions[i], path);
    }
    g_assert_true(regions[0]->path_kept == regions[1]->path_kept);
    for (guint i = 0; i < 2; i++) {
        g_autofree char *path = g_strdup_printf("/dir/data-%s.img", i == 0 ? own : others);

        must(state_find_path(state, path, &found, &found_pool));
        g_assert_true(found == regions[i]);
    }
    g_assert_false(state_find_path(state, "/dir/data-00000000-0000-4000-8000-00000000abcd.img", &found, &found_pool));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/records", test_records);
    g_test_add_func("/state/contradictions", test_contradictions);
    g_test_add_func("/state/round-trip", test_round_trip);
    g_test_add_func("/state/name-taken-again", test_name_taken_again);
    g_test_add_func("/state/answers", test_answers);
    g_test_add_func("/state/paging", test_paging);
    g_test_add_func("/state/pools", test_pools);
    g_test_add_func("/state/foreign-and-raw", test_foreign_and_raw);
    g_test_add_func("/state/replay-conflict", test_replay_conflict);
    g_test_add_func("/state/required-frames", test_required_frames);
    g_test_add_func("/state/paths", test_paths);
    g_test_add_func("/state/paths/uuid", test_paths_with_uuid);
    return g_test_run();
}
