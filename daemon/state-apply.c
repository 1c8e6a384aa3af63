/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * state_apply(): the one place where a journal's words become the model, live and on replay; and state_emit(), its
 * inverse.
 */
#include "daemon/state-internal.h"

#include "proto/error.h"

static bool malformed(GError **error, const char *what) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "malformed %s record", what);
    return false;
}

static Region *find_region(const State *state, const Pool *pool, sd_id128_t uuid, const char *what, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = state_region_by_uuid(state, uuid);

    if (region && region->pool == pool)
        return region;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "%s record for data region %s, which is not in the pool", what,
                pmemd_uuid_format(uuid, text));
    return NULL;
}

static Region *find_intent(const Pool *pool, uint64_t txid, const char *what, GError **error) {
    Region *region = g_hash_table_lookup(pool->intents, &txid);

    if (!region)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "%s record for transaction %" PRIu64 ", which is not open",
                    what, txid);
    return region;
}

static bool check_new_txid(const Pool *pool, uint64_t txid, GError **error) {
    if (txid != 0 && !g_hash_table_contains(pool->intents, &txid))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "intent with transaction %" PRIu64 ", which is %s", txid,
                txid == 0 ? "none" : "already open");
    return false;
}

static bool apply_region(State *state, Pool *pool, bool is_intent, uint64_t txid, const uint8_t *payload, size_t len,
                         GError **error) {
    g_autofree Intent *intent = NULL;
    JfRegion record;

    if (!jf_region_decode(payload, len, &record))
        return malformed(error, is_intent ? "INTENT_CREATE" : "ADD");
    if (is_intent) {
        if (!check_new_txid(pool, txid, error))
            return false;
        intent = g_new(Intent, 1);
        *intent = (Intent){
            .txid = txid,
            .request_id = record.request_id,
            .request_hash = record.request_hash,
            .request_uid = record.request_uid,
            .request_method = record.request_method,
        };
    }
    if (!state_insert_region(state, pool, &record, intent, error))
        return false;
    intent = NULL; /* the region's now */
    return true;
}

static bool apply_adopt(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfAdopt record;

    if (!jf_adopt_decode(payload, len, &record))
        return malformed(error, "ADOPT");
    Region *region = state_insert_region(state, pool, &record.region, NULL, error);
    if (!region)
        return false;
    region_set_tag_pool(region, record.tag_pool);

    JfRequest answer = {
        .request_id = record.region.request_id,
        .request_hash = record.region.request_hash,
        .request_uid = record.region.request_uid,
        .request_method = record.region.request_method,
        .result = region->uuid,
        .time = record.region.time,
    };
    state_add_answer(state, pool, &answer);
    return true;
}

static bool apply_delete(State *state, Pool *pool, uint64_t txid, const uint8_t *payload, size_t len, GError **error) {
    JfDelete record;

    if (!jf_delete_decode(payload, len, &record))
        return malformed(error, "INTENT_DELETE");
    Region *region = find_region(state, pool, record.region_uuid, "INTENT_DELETE", error);
    if (!region || !check_new_txid(pool, txid, error))
        return false;
    if (region->intent) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "INTENT_DELETE record while transaction %" PRIu64 " is open for the same region",
                    region->intent->txid);
        return false;
    }
    if (state_lease(state, region)) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "INTENT_DELETE record for a region that is lent");
        return false;
    }

    Intent *intent = g_new(Intent, 1);
    *intent = (Intent){
        .txid = txid,
        .deleting = true,
        .request_id = record.request_id,
        .request_hash = record.request_hash,
        .request_uid = record.request_uid,
        .request_method = record.request_method,
    };

    /* The name is free at once, for the next region; so it goes before anything else could take it on replay, too. */
    pool->snapshot_bytes -= region_snapshot_bytes(region);
    state_open_intent(region, intent);
    region_set_name(region, NULL);
    state_drop_lease(state, region); /* who had it last no longer matters: it is erased */
    region->flags |= JF_REGION_DIRTY;
    state_forget_erase(state, region); /* one before its first guest, who may have come all the same */
    pool->snapshot_bytes += region_snapshot_bytes(region);
    state_set_region_state(state, region, REGION_QUARANTINED, STATE_REASON_RELEASED);

    JfRequest answer = {
        .request_id = record.request_id,
        .request_hash = record.request_hash,
        .request_uid = record.request_uid,
        .request_method = record.request_method,
        .result = region->uuid,
        .time = record.time,
    };
    state_add_answer(state, pool, &answer);
    return true;
}

static bool apply_commit(State *state, Pool *pool, uint64_t txid, const uint8_t *payload, size_t len, GError **error) {
    JfCommit record;

    if (!jf_commit_decode(payload, len, &record))
        return malformed(error, "COMMIT");
    Region *region = find_intent(pool, txid, "COMMIT", error);
    if (!region)
        return false;
    if (region->intent->deleting) {
        state_remove_region(state, region);
        return true;
    }
    if (record.device.start != region_device(region).start || record.device.end != region->range.end) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "COMMIT of 0x%" PRIx64 "-0x%" PRIx64 " for an intent of 0x%" PRIx64 "-0x%" PRIx64,
                    record.device.start, record.device.end, region_device(region).start, region->range.end);
        return false;
    }

    JfRequest answer = {
        .request_id = region->intent->request_id,
        .request_hash = region->intent->request_hash,
        .request_uid = region->intent->request_uid,
        .request_method = region->intent->request_method,
        .result = region->uuid,
        .time = record.time,
    };
    state_close_intent(region);
    state_set_region_state(state, region, REGION_OK, NULL);
    state_add_answer(state, pool, &answer);
    return true;
}

static bool apply_abort(State *state, Pool *pool, uint64_t txid, const uint8_t *payload, size_t len, GError **error) {
    JfAbort record;

    if (!jf_abort_decode(payload, len, &record))
        return malformed(error, "ABORT");
    Region *region = find_intent(pool, txid, "ABORT", error);
    if (!region)
        return false;
    if (region->intent->deleting) {
        /* Nothing writes this: a release goes forward, or its intent stays open. */
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "ABORT record for the release of transaction %" PRIu64,
                    txid);
        return false;
    }
    state_remove_region(state, region);
    return true;
}

static bool apply_name(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfName record;

    if (!jf_name_decode(payload, len, &record))
        return malformed(error, "NAME");
    if (sd_id128_equal(record.uuid, pool->sb.member_uuid)) {
        g_free(pool->name);
        pool->name = record.name[0] != '\0' ? g_strdup(record.name) : NULL;
        return true;
    }

    Region *region = find_region(state, pool, record.uuid, "NAME", error);
    if (!region)
        return false;
    const Region *holder = g_hash_table_lookup(pool->by_name, record.name);
    if (holder && holder != region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "NAME record with the name %s, which another region has",
                    record.name);
        return false;
    }
    pool->snapshot_bytes -= region_snapshot_bytes(region);
    region_set_name(region, record.name);
    pool->snapshot_bytes += region_snapshot_bytes(region);
    return true;
}

static void set_user(char **user, const char *name) {
    g_clear_pointer(user, g_ref_string_release);
    *user = *name != '\0' ? g_ref_string_new_intern(name) : NULL;
}

static bool apply_owner(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfOwner record;

    if (!jf_owner_decode(payload, len, &record))
        return malformed(error, "OWNER");
    if (sd_id128_equal(record.uuid, pool->sb.member_uuid)) {
        pool->owner_uid = record.uid;
        set_user(&pool->user, record.user);
        return true;
    }

    Region *region = find_region(state, pool, record.uuid, "OWNER", error);
    if (!region)
        return false;
    pool->snapshot_bytes -= region_snapshot_bytes(region);
    state_set_region_owner(state, region, record.uid);
    set_user(&region->user, record.user);
    pool->snapshot_bytes += region_snapshot_bytes(region);
    return true;
}

static bool apply_lease(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfLease record;

    if (!jf_lease_decode(payload, len, &record))
        return malformed(error, "LEASE");
    Region *region = find_region(state, pool, record.region_uuid, "LEASE", error);
    if (!region)
        return false;
    if (region->intent) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "LEASE record while transaction %" PRIu64 " is open",
                    region->intent->txid);
        return false;
    }
    const Lease *lease = state_lease(state, region);
    if (lease && ((record.flags & JF_LEASE_ENDED) || !lease_is_of(lease, record.owner, record.uid))) {
        g_autofree char *holder = lease_describe(lease);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "LEASE record for a region that is lent to %s", holder);
        return false;
    }
    state_put_lease(state, region, &record);
    return true;
}

static bool apply_unlease(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfUnlease record;

    if (!jf_unlease_decode(payload, len, &record))
        return malformed(error, "UNLEASE");
    Region *region = find_region(state, pool, record.region_uuid, "UNLEASE", error);
    if (!region)
        return false;
    if (!state_lease(state, region)) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "UNLEASE record for a region that is not lent");
        return false;
    }
    state_end_lease(state, region);
    return true;
}

/* A DIMM that lost power before its buffers were written has lost what was believed to be durable. */
static bool apply_open(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    uint64_t before = pool->last_open.unsafe_shutdowns;

    if (!jf_open_decode(payload, len, &pool->last_open))
        return malformed(error, "OPEN");
    /* A start at which they did not tell hides nothing from the next one. */
    if (pool->last_open.unsafe_shutdowns == 0)
        pool->last_open.unsafe_shutdowns = before;
    else if (before != 0 && pool->last_open.unsafe_shutdowns != before)
        state_distrust_erases(state, pool);
    return true;
}

bool state_apply(State *state, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len,
                 GError **error) {
    bool ok = false;

    switch ((JfType) type) {
    case JF_SNAPSHOT_BEGIN:
    case JF_SNAPSHOT_END:
    case JF_NOTE:
        ok = true;
        break;
    case JF_ERASE_PROGRESS:
        ok = state_apply_erase(state, pool, payload, len, error);
        break;
    case JF_OPEN:
        ok = apply_open(state, pool, payload, len, error);
        break;
    case JF_ADD:
    case JF_INTENT_CREATE:
        ok = apply_region(state, pool, type == JF_INTENT_CREATE, txid, payload, len, error);
        break;
    case JF_ADOPT:
        ok = apply_adopt(state, pool, payload, len, error);
        break;
    case JF_DEL: {
        JfRef record;
        Region *region;

        if (!jf_ref_decode(payload, len, &record))
            return malformed(error, "DEL");
        region = find_region(state, pool, record.uuid, "DEL", error);
        ok = region != NULL;
        if (ok)
            state_remove_region(state, region);
        break;
    }
    case JF_INTENT_DELETE:
        ok = apply_delete(state, pool, txid, payload, len, error);
        break;
    case JF_COMMIT:
        ok = apply_commit(state, pool, txid, payload, len, error);
        break;
    case JF_ABORT:
        ok = apply_abort(state, pool, txid, payload, len, error);
        break;
    case JF_NAME:
        ok = apply_name(state, pool, payload, len, error);
        break;
    case JF_OWNER:
        ok = apply_owner(state, pool, payload, len, error);
        break;
    case JF_REQUEST: {
        JfRequest record;

        if (!jf_request_decode(payload, len, &record))
            return malformed(error, "REQUEST");
        state_add_answer(state, pool, &record);
        ok = true;
        break;
    }
    case JF_BAD_FRAMES: {
        JfBadFrames record;

        if (!jf_bad_frames_decode(payload, len, &record))
            return malformed(error, "BAD_FRAMES");
        ok = state_apply_bad(state, pool, &record, error);
        break;
    }
    case JF_LEASE:
        ok = apply_lease(state, pool, payload, len, error);
        break;
    case JF_UNLEASE:
        ok = apply_unlease(state, pool, payload, len, error);
        break;
    default:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "record of type 0x%04x, which this version does not know", type);
        break;
    }
    if (ok)
        pool->last_txid = MAX(pool->last_txid, txid);
    return ok;
}

static void emit_region(const State *state, const Region *region, StateEmit emit, void *data) {
    const Intent *intent = region->intent;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfRegion record;
    bool creating = intent && !intent->deleting;

    region_to_record(region, &record);
    if (region->adopted) {
        JfAdopt adopt = { .region = record, .tag_pool = region_tag_pool(region) };

        emit(data, JF_ADOPT, 0, buf, jf_adopt_encode(&adopt, buf));
    } else
        emit(data, creating ? JF_INTENT_CREATE : JF_ADD, creating ? intent->txid : 0, buf,
             jf_region_encode(&record, buf));
    if (intent && intent->deleting) {
        JfDelete delete = {
            .region_uuid = region->uuid,
            .request_id = intent->request_id,
            .request_hash = intent->request_hash,
            .request_uid = intent->request_uid,
            .request_method = intent->request_method,
            .time = region->time,
        };
        emit(data, JF_INTENT_DELETE, intent->txid, buf, jf_delete_encode(&delete, buf));
    }

    const Lease *lease = state_last_lease(state, region);
    if (lease) {
        JfLease lent;

        lease_to_record(region, lease, &lent);
        emit(data, JF_LEASE, 0, buf, jf_lease_encode(&lent, buf));
    }
    size_t erase = state_encode_erase(state, region, buf);
    if (erase > 0)
        emit(data, JF_ERASE_PROGRESS, 0, buf, erase);
    state_emit_bad(region->pool, region->uuid, emit, data);
}

void state_emit(const State *state, const Pool *pool, StateEmit emit, void *data) {
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!sd_id128_is_null(pool->last_open.machine_id))
        emit(data, JF_OPEN, 0, buf, jf_open_encode(&pool->last_open, buf));
    if (pool->name) {
        JfName name = { .uuid = pool->sb.member_uuid };

        g_strlcpy(name.name, pool->name, sizeof name.name);
        emit(data, JF_NAME, 0, buf, jf_name_encode(&name, buf));
    }

    JfOwner owner = { .uuid = pool->sb.member_uuid, .uid = pool->owner_uid };
    if (pool->user)
        g_strlcpy(owner.user, pool->user, sizeof owner.user);
    emit(data, JF_OWNER, 0, buf, jf_owner_encode(&owner, buf));
    state_emit_bad(pool, pool->sb.member_uuid, emit, data);

    GHashTableIter iter;
    gpointer uuid;
    g_hash_table_iter_init(&iter, state->regions);
    while (g_hash_table_iter_next(&iter, &uuid, NULL))
        if (region_of_uuid(uuid)->pool == pool)
            emit_region(state, region_of_uuid(uuid), emit, data);
    for (const GList *l = pool->answers.head; l; l = l->next)
        emit(data, JF_REQUEST, 0, buf, jf_request_encode(&((const Answer *) l->data)->request, buf));
}
