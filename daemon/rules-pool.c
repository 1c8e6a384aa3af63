/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What a pool accepts: any change at all, one more region's records, a name, a release.
 */
#include "daemon/rules.h"

#include "daemon/backend.h"
#include "daemon/rules-placement.h"
#include "proto/error.h"

#include <string.h>

#define JOURNAL_SLACK 4096 /* bytes: the snapshot's own begin and end, and a start's record */
#define NAME_SHOWN 80      /* bytes of a refused name in a message */

bool rules_pool_writable(const Pool *pool, GError **error) {
    const char *reason = pool->reason && pool->reason[0] ? pool->reason : "no reason is recorded";
    g_autofree char *who = placement_describe_pool(pool);

    switch (pool->state) {
    case POOL_OK:
        return true;
    case POOL_CREATING:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is being set up: try again when it is", who);
        return false;
    case POOL_RELEASING:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is being released: use another one", who);
        return false;
    case POOL_READ_ONLY:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY,
                    "%s accepts no change: %s; put that right, or use another one", who, reason);
        return false;
    case POOL_CORRUPT:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "the journal of %s is corrupt, so it is only listed: %s; repair it (pmemctl journal repair), or "
                    "use another one",
                    who, reason);
        return false;
    case POOL_UNSUPPORTED:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "%s is of a format that this pmemd does not know: %s; use a newer pmemd", who, reason);
        return false;
    case N_POOL_STATES:
    default:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "%s is in the unknown state %d", who, (int) pool->state);
        return false;
    }
}

/* Bytes in a snapshot of a region with texts of these lengths. */
static uint64_t region_record_bytes(size_t name_len, size_t user_len) {
    JfRegion region = { .request_uid = 0 };
    uint8_t payload[JF_PAYLOAD_MAX];

    memset(region.name, 'n', MIN(name_len, PMEMD_NAME_MAX));
    memset(region.user, 'u', MIN(user_len, PMEMD_USER_MAX));
    return jf_snapshot_bytes(jf_region_encode(&region, payload));
}

/* Bytes in a snapshot of what a release adds: its intent, how far its erase has come, and its commit. */
static uint64_t release_record_bytes(void) {
    JfDelete intent = { .request_uid = 0 };
    JfCommit commit = { .time = 0 };
    uint8_t payload[JF_PAYLOAD_MAX];

    return jf_snapshot_bytes(jf_delete_encode(&intent, payload)) + jf_snapshot_bytes(JF_ERASE_PROGRESS_BYTES) +
           jf_snapshot_bytes(jf_commit_encode(&commit, payload));
}

/* Bytes in a snapshot of the answers that the new region and the releases may still add before the cap stops them. */
static uint64_t answer_record_bytes(const Pool *pool) {
    JfRequest request = { .request_uid = 0 };
    uint8_t payload[JF_PAYLOAD_MAX];
    uint64_t more = MIN(JF_MAX_REQUESTS - MIN(pool->answers.length, JF_MAX_REQUESTS), (uint64_t) pool->n_regions + 2);

    return more * jf_snapshot_bytes(jf_request_encode(&request, payload));
}

/* Room for so many bytes of records beside all that is there, and for the release of n_regions. */
static bool journal_has_room(const Pool *pool, uint64_t records, uint64_t n_regions, uint64_t *ret_needed) {
    uint64_t releases = n_regions * release_record_bytes() + answer_record_bytes(pool);

    if (__builtin_add_overflow(pool->snapshot_bytes, records + releases + JOURNAL_SLACK, ret_needed))
        *ret_needed = UINT64_MAX;
    return *ret_needed <= pool->sb.geo.area_len;
}

bool rules_journal_room(const Pool *pool, size_t name_len, size_t user_len, GError **error) {
    uint64_t needed;

    if (journal_has_room(pool, region_record_bytes(name_len, user_len), (uint64_t) pool->n_regions + 1, &needed))
        return true;

    g_autofree char *who = placement_describe_pool(pool);
    g_set_error(
        error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
        "the journal of %s is full: with one more region, and room for the release of all %u, its records would "
        "take " U64_FORMAT " bytes, but an area has " U64_FORMAT
        ": release regions, use another management region, or make one with a larger max-regions",
        who, pool->n_regions + 1, needed, pool->sb.geo.area_len);
    return false;
}

bool rules_journal_bytes(const Pool *pool, uint64_t bytes, GError **error) {
    uint64_t needed;

    if (journal_has_room(pool, bytes, pool->n_regions, &needed))
        return true;

    g_autofree char *who = placement_describe_pool(pool);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                "the journal of %s is full: its records would take " U64_FORMAT " bytes, but an area has " U64_FORMAT,
                who, needed, pool->sb.geo.area_len);
    return false;
}

bool rules_lease_room(const Pool *pool, GError **error) {
    uint64_t bytes = jf_snapshot_bytes(jf_lease_payload_len(PMEMD_LEASE_OWNER_MAX, PMEMD_USER_MAX, JF_SENDER_MAX));
    uint64_t needed;

    if (journal_has_room(pool, bytes, pool->n_regions, &needed))
        return true;

    g_autofree char *who = placement_describe_pool(pool);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                "the journal of %s is full: with one more lease, and room for the release of all %u regions, its "
                "records would take " U64_FORMAT " bytes, but an area has " U64_FORMAT
                ": release regions, or make a management region with a larger max-regions",
                who, pool->n_regions, needed, pool->sb.geo.area_len);
    return false;
}

bool rules_name(const State *state, const Pool *pool, const char *name, const void *self, GError **error) {
    const void *holder;
    g_autofree char *who = NULL;

    if (!name || name[0] == '\0')
        return true;
    if (!pmemd_name_is_valid(name)) {
        g_autofree char *start = g_strndup(name, NAME_SHOWN);
        g_autofree char *shown = g_strescape(start, NULL);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the name \"%s\"%s of %" G_GSIZE_FORMAT
                    " bytes is not valid: a name is 1 to %d letters, digits, '_', "
                    "'.' or '-', begins with a letter or digit, and is not shaped like a uuid",
                    shown, strlen(name) > NAME_SHOWN ? "..." : "", strlen(name), PMEMD_NAME_MAX);
        return false;
    }
    if (pool) {
        holder = g_hash_table_lookup(pool->by_name, name);
        who = holder && holder != self ? placement_describe_region(holder) : NULL;
    } else {
        holder = state_pool_by_name(state, name);
        who = holder && holder != self ? placement_describe_pool(holder) : NULL;
    }
    if (who) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                    "the name \"%s\" is that of %s: choose another name, or rename or release that one first", name,
                    who);
        return false;
    }
    return true;
}

bool rules_release_data(const State *state, const Region *region, GError **error) {
    const char *reason = region->reason && region->reason[0] ? region->reason : "no reason is recorded";

    if (!rules_pool_writable(region->pool, error))
        return false;

    g_autofree char *who = placement_describe_region(region);
    switch (region->state) {
    case REGION_OK:
        break;
    case REGION_CREATING:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is being set up: release it when it is", who);
        return false;
    case REGION_QUARANTINED:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s was already released and is being erased: its frames " RANGE_FORMAT " (" U64_FORMAT
                    " bytes) are free when that is done",
                    who, RANGE_ARGS(region->range), placement_bytes(frame_range_frames(region->range)));
        return false;
    case REGION_MISSING:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "the device of %s, frames " RANGE_FORMAT
                    ", is missing on this host (%s), so it cannot be erased: bring "
                    "the device back, then release it; if it is gone for good, forget the region (pmemctl forget)",
                    who, RANGE_ARGS(region->range), reason);
        return false;
    case REGION_UNSETTLED:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "what became of %s, frames " RANGE_FORMAT
                    ", is not settled: %s; put that right, restart pmemd, then release it",
                    who, RANGE_ARGS(region->range), reason);
        return false;
    case N_REGION_STATES:
    default:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "%s is in the unknown state %d", who,
                    (int) region->state);
        return false;
    }
    if (region->intent) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s has an operation under way (intent " U64_FORMAT "): release it when that has ended", who,
                    region->intent->txid);
        return false;
    }
    return rules_not_leased(state, region, error);
}

bool rules_lend_check(const Region *region, bool allow_degraded, GError **error) {
    const RegionBad *bad = region_bad(region);
    const Raw *raw = region->occupant.raw;

    if (allow_degraded)
        return true;
    g_autofree char *who = placement_describe_region(region);
    if (bad) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s has %s" U64_FORMAT
                    " bad frames, which a guest would die of: save what can be read, then clear them (pmemctl "
                    "clear-bad-frames), or use it all the same with the option allow-degraded",
                    who, bad->more ? "at least " : "", region_bad_frames(bad));
        return false;
    }
    if (raw && g_str_equal(raw_health(raw), health_to_string(HEALTH_FATAL))) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "a DIMM under %s says that it has failed (pmemctl dimms): save what can be read and replace it, or "
                    "use the region all the same with the option allow-degraded",
                    who);
        return false;
    }
    return true;
}

bool rules_is_own(uint32_t owner_uid, const char *owner_user, uint32_t uid, const char *user) {
    return owner_uid == uid && strcmp(owner_user ?: "", user ?: "") == 0;
}

/* "2 data regions", after a comma if something was added before. */
static void add_holder(GString *holders, guint n, const char *one, const char *many) {
    g_string_append_printf(holders, "%s%u %s", holders->len > 0 ? ", " : "", n, n == 1 ? one : many);
}

/* " (1 ok, 2 missing)" */
static void describe_states(GString *holders, const guint counts[static N_REGION_STATES]) {
    static const char *const states[] = {
        [REGION_OK] = "ok",
        [REGION_CREATING] = "being set up",
        [REGION_QUARANTINED] = "released and being erased",
        [REGION_MISSING] = "missing",
        [REGION_UNSETTLED] = "unsettled",
    };
    const char *before = " (";

    G_STATIC_ASSERT(G_N_ELEMENTS(states) == N_REGION_STATES);
    for (size_t i = 0; i < N_REGION_STATES; i++)
        if (counts[i] > 0) {
            g_string_append_printf(holders, "%s%u %s", before, counts[i], states[i]);
            before = ", ";
        }
    g_string_append_c(holders, ')');
}

bool rules_release_mgmt(const State *state, const Pool *pool, GError **error) {
    guint counts[N_REGION_STATES] = { 0 };
    uint32_t number = backend_tag_number(pool->sb.member_uuid);
    GPtrArray *foreigns = state_foreigns(state);
    guint intents = g_hash_table_size(pool->intents);
    guint orphans = 0;

    if (!rules_pool_writable(pool, error))
        return false;
    for (guint i = 0; i < foreigns->len; i++) {
        const Foreign *foreign = g_ptr_array_index(foreigns, i);

        if (foreign->kind == FOREIGN_ORPHAN && foreign->tag_pool == number)
            orphans++;
    }
    if (pool->n_regions == 0 && intents == 0 && orphans == 0)
        return true;

    if (pool->n_regions > 0)
        for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
            if (region->pool == pool)
                counts[region->state]++;

    g_autofree char *who = placement_describe_pool(pool);
    g_autoptr(GString) holders = g_string_new(NULL);
    if (pool->n_regions > 0) {
        add_holder(holders, pool->n_regions, "data region", "data regions");
        describe_states(holders, counts);
    }
    if (intents > 0)
        add_holder(holders, intents, "open intent", "open intents");
    if (orphans > 0) {
        add_holder(holders, orphans, "orphaned device", "orphaned devices");
        g_string_append_printf(holders, " with its number %08x", number);
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "%s is in use by %s: release the data regions, wait for the erase, bring missing devices back or "
                "forget their regions, adopt or forget orphans (pmemctl adopt, pmemctl forget)",
                who, holders->str);
    return false;
}
