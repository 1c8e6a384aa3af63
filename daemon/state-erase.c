/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model's erases: which regions are to be erased, and how far the journal says that each has come. They stand in a
 * table of their own, as few regions have one. A region in quarantine of which the journal says nothing is to be erased
 * from its start.
 */
#include "daemon/state-internal.h"

#include "daemon/journal-bytes.h"
#include "proto/error.h"

/* Stands for the device in the journal; uuids of devices are random. */
static uint32_t device_number(const Region *region) {
    return get_le32(region->device_uuid.bytes);
}

static bool is_released(const Region *region) {
    return region->intent && region->intent->deleting;
}

bool state_erase(const State *state, const Region *region, Erase *ret_erase) {
    const Erase *erase = g_hash_table_lookup(state->erases, region);

    if (!erase && !is_released(region))
        return false;
    *ret_erase = erase ? *erase : (Erase){ 0 };
    return true;
}

void state_forget_erase(State *state, const Region *region) {
    if (g_hash_table_remove(state->erases, region))
        region->pool->snapshot_bytes -= jf_snapshot_bytes(JF_ERASE_PROGRESS_BYTES);
}

void state_distrust_erases(State *state, const Pool *pool) {
    GHashTableIter iter;
    gpointer region, erase;

    g_hash_table_iter_init(&iter, state->erases);
    while (g_hash_table_iter_next(&iter, &region, &erase))
        if (((const Region *) region)->pool == pool)
            ((Erase *) erase)->offset = 0;
}

static bool refuse(const JfEraseProgress *record, GError **error, const char *fault) {
    char text[PMEMD_UUID_STRING_MAX];

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                "ERASE_PROGRESS record of byte %" PRIu64 " of data region %s, which %s", record->offset,
                pmemd_uuid_format(record->region_uuid, text), fault);
    return false;
}

bool state_apply_erase(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error) {
    JfEraseProgress record;

    if (!jf_erase_progress_decode(payload, len, &record)) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "malformed ERASE_PROGRESS record");
        return false;
    }
    Region *region = state_region_by_uuid(state, record.region_uuid);
    if (!region || region->pool != pool)
        return refuse(&record, error, "is not in the pool");
    if (!(region->flags & JF_REGION_DIRTY))
        return refuse(&record, error, "is clean");
    if (record.offset > region_bytes(region))
        return refuse(&record, error, "is smaller");
    if (region->intent && !is_released(region) && record.offset > 0)
        return refuse(&record, error, "is not yet made");

    /* Whose offset that is: a device that took the other's place may hold anything. */
    bool same = record.device == device_number(region);
    if (same && record.offset == region_bytes(region) && !is_released(region)) {
        region->flags &= (uint8_t) ~JF_REGION_DIRTY;
        state_forget_erase(state, region);
        return true;
    }
    Erase *erase = g_hash_table_lookup(state->erases, region);
    if (!erase) {
        erase = g_new(Erase, 1);
        g_hash_table_insert(state->erases, region, erase);
        pool->snapshot_bytes += jf_snapshot_bytes(JF_ERASE_PROGRESS_BYTES);
    }
    *erase = (Erase){ .offset = same ? record.offset : 0, .verify_all = (record.flags & JF_ERASE_VERIFY_ALL) != 0 };
    return true;
}

size_t region_encode_erase(const Region *region, const Erase *erase, uint8_t buf[static JF_PAYLOAD_MAX]) {
    JfEraseProgress record = {
        .region_uuid = region->uuid,
        .offset = erase->offset,
        .device = device_number(region),
        .flags = erase->verify_all ? JF_ERASE_VERIFY_ALL : 0,
    };

    return jf_erase_progress_encode(&record, buf);
}

size_t state_encode_erase(const State *state, const Region *region, uint8_t buf[static JF_PAYLOAD_MAX]) {
    const Erase *erase = g_hash_table_lookup(state->erases, region);

    return erase ? region_encode_erase(region, erase, buf) : 0;
}

void state_set_erase_failed(State *state, const Region *region, bool failed) {
    Erase *erase = g_hash_table_lookup(state->erases, region);

    if (erase)
        erase->failed = failed;
}
