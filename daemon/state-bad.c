/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model's bad frames: those of raw regions, which the platform shows, and those of regions, which are remembered.
 * Few regions have any: they are kept beside the regions and not in them.
 */
#include "daemon/state-internal.h"

#include "daemon/frame-set.h"
#include "proto/error.h"

static void region_bad_free(void *data) {
    RegionBad *bad = data;

    g_array_unref(bad->known);
    g_array_unref(bad->all);
    g_free(bad);
}

static RegionBad *find(const Pool *pool, sd_id128_t uuid) {
    return pool->bad ? g_hash_table_lookup(pool->bad, &uuid) : NULL;
}

static RegionBad *find_or_add(Pool *pool, sd_id128_t uuid) {
    RegionBad *bad = find(pool, uuid);

    if (bad)
        return bad;
    if (!pool->bad)
        pool->bad = g_hash_table_new_full(pmemd_uuid_hash, pmemd_uuid_equal, NULL, region_bad_free);
    bad = g_new0(RegionBad, 1);
    bad->uuid = uuid;
    bad->known = frame_set_new();
    bad->all = frame_set_new();
    g_hash_table_insert(pool->bad, &bad->uuid, bad);
    return bad;
}

/* Takes the entry away when nothing is in it. */
static void drop_empty(Pool *pool, RegionBad *bad) {
    if (bad->all->len > 0 || bad->more)
        return;
    g_hash_table_remove(pool->bad, &bad->uuid);
    if (g_hash_table_size(pool->bad) == 0)
        g_clear_pointer(&pool->bad, g_hash_table_unref);
}

const RegionBad *pool_bad(const Pool *pool, sd_id128_t uuid) {
    return find(pool, uuid);
}

const RegionBad *region_bad(const Region *region) {
    return find(region->pool, region->uuid);
}

const RegionBad *pool_own_bad(const Pool *pool) {
    return find(pool, pool->sb.member_uuid);
}

uint64_t region_bad_frames(const RegionBad *bad) {
    return bad ? frame_set_frames(bad->all) : 0;
}

/* --- what the journal says --- */

static size_t bad_records(const RegionBad *bad) {
    size_t extents = bad->known->len;

    return extents == 0 ? bad->more : (extents + JF_BAD_EXTENTS_MAX - 1) / JF_BAD_EXTENTS_MAX;
}

static uint64_t bad_snapshot_bytes(const RegionBad *bad) {
    size_t records = bad_records(bad), extents = bad->known->len;

    if (records == 0)
        return 0;
    return (records - 1) * jf_snapshot_bytes(jf_bad_frames_payload_len(JF_BAD_EXTENTS_MAX)) +
           jf_snapshot_bytes(jf_bad_frames_payload_len(extents - (records - 1) * JF_BAD_EXTENTS_MAX));
}

static bool refuse(const JfBadFrames *record, const char *why, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "BAD_FRAMES record for region %s, %s",
                pmemd_uuid_format(record->uuid, text), why);
    return false;
}

bool state_apply_bad(State *state, Pool *pool, const JfBadFrames *record, GError **error) {
    Region *region = state_region_by_uuid(state, record->uuid);
    bool own = sd_id128_equal(record->uuid, pool->sb.member_uuid);
    FrameRange range = own ? pool->sb.range : region ? region->range : (FrameRange){ 0, 0 };

    if (!own && (!region || region->pool != pool))
        return refuse(record, "which is not in the pool", error);
    for (size_t i = 0; i < record->n_extents; i++)
        if (!frame_range_contains(range, record->extents[i]))
            return refuse(record, "of frames that are not the region's", error);

    RegionBad *bad = find_or_add(pool, record->uuid);
    g_autoptr(GArray) known = frame_set_copy(bad->known);
    for (size_t i = 0; i < record->n_extents; i++)
        (record->cleared ? frame_set_remove : frame_set_add)(known, record->extents[i]);
    if (known->len > STATE_BAD_EXTENTS_MAX) {
        drop_empty(pool, bad);
        return refuse(record, "which makes more of them than a journal keeps", error);
    }

    pool->snapshot_bytes -= bad_snapshot_bytes(bad);
    for (size_t i = 0; i < record->n_extents; i++)
        (record->cleared ? frame_set_remove : frame_set_add)(bad->all, record->extents[i]);
    g_array_unref(bad->known);
    bad->known = g_steal_pointer(&known);
    bad->more |= record->more;
    /* What was not told one by one is cleared with all of the region. */
    if (record->cleared && record->n_extents == 1 && frame_range_equal(record->extents[0], range))
        bad->more = false;
    pool->snapshot_bytes += bad_snapshot_bytes(bad);
    drop_empty(pool, bad);
    return true;
}

void state_emit_bad(const Pool *pool, sd_id128_t uuid, StateEmit emit, void *data) {
    const RegionBad *bad = find(pool, uuid);
    uint8_t buf[JF_PAYLOAD_MAX];

    for (size_t i = 0, n = bad ? bad_records(bad) : 0; i < n; i++) {
        JfBadFrames record = { .uuid = uuid, .more = bad->more && i + 1 == n };

        for (size_t k = i * JF_BAD_EXTENTS_MAX; k < bad->known->len && record.n_extents < JF_BAD_EXTENTS_MAX; k++)
            record.extents[record.n_extents++] = frame_set_nth(bad->known, (guint) k);
        emit(data, JF_BAD_FRAMES, 0, buf, jf_bad_frames_encode(&record, buf));
    }
}

void state_drop_bad(Pool *pool, sd_id128_t uuid) {
    RegionBad *bad = find(pool, uuid);

    if (!bad)
        return;
    pool->snapshot_bytes -= bad_snapshot_bytes(bad);
    g_array_set_size(bad->all, 0);
    bad->more = false;
    drop_empty(pool, bad);
}

/* --- what the platform shows --- */

void raw_set_bad(Raw *raw, const GArray *bad) {
    g_clear_pointer(&raw->bad, g_array_unref);
    if (frame_set_extents(bad) > 0)
        raw->bad = frame_set_copy(bad);
}

static void add_holder(GArray *holders, GHashTable *seen, const Occupant *occupant) {
    BadHolder holder = { NULL, NULL };

    if (occupant->kind == OCCUPANT_FOREIGN || !g_hash_table_add(seen, (void *) occupant))
        return;
    if (occupant->kind == OCCUPANT_REGION)
        holder.region = (Region *) occupant;
    else
        holder.pool = (Pool *) occupant;
    g_array_append_val(holders, holder);
}

GArray *state_bad_holders(const State *state, const Raw *raw) {
    GArray *holders = g_array_new(FALSE, FALSE, sizeof(BadHolder));
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < state->pools->len; i++) {
        const Pool *pool = g_ptr_array_index(state->pools, i);
        GHashTableIter iter;
        gpointer uuid;

        if (!pool->bad)
            continue;
        g_hash_table_iter_init(&iter, pool->bad);
        while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
            const Region *region = state_region_by_uuid(state, *(const sd_id128_t *) uuid);
            const Occupant *occupant = region ? &region->occupant : &pool->occupant;

            if (occupant->raw == raw)
                add_holder(holders, seen, occupant);
        }
    }
    for (guint i = 0; i < frame_set_extents(raw->bad); i++) {
        FrameRange extent = frame_set_nth(raw->bad, i);

        for (guint k = 0; k <= state->pools->len; k++) {
            const RegionMap *map =
                k == state->pools->len ? raw->map : ((const Pool *) g_ptr_array_index(state->pools, k))->unplaced;
            const RegionMapEntry *entry = region_map_find_overlap(map, extent);

            for (; entry && entry->range.start < extent.end; entry = region_map_next(map, entry))
                add_holder(holders, seen, (const Occupant *) entry);
        }
    }
    return holders;
}

void state_renew_bad(State *state, BadHolder holder) {
    Pool *pool = holder.region ? holder.region->pool : holder.pool;
    sd_id128_t uuid = holder.region ? holder.region->uuid : pool->sb.member_uuid;
    FrameRange range = holder.region ? holder.region->range : pool->sb.range;
    const Raw *raw = holder.region ? holder.region->occupant.raw : pool->occupant.raw;
    RegionBad *bad = find_or_add(pool, uuid);

    (void) state;
    g_array_unref(bad->all);
    bad->all = frame_set_copy(bad->known);
    if (raw)
        frame_set_add_all(bad->all, raw->bad, range);
    drop_empty(pool, bad);
}

const char *raw_health(const Raw *raw) {
    if (!raw->health || raw->health->len == 0)
        return "";
    g_autoptr(DimmHealth) worst = dimm_healths_worst(raw->health);
    return health_to_string(worst->state);
}

typedef struct {
    uint64_t frames, largest; /* free ones; of the longest run */
    FrameRange best;          /* the shortest run with at least `wanted`, the first of equal ones; empty: none */
} FreeRuns;

/* Looks at each run of frames that neither an entry of map has nor bad. */
static FreeRuns walk_free(const RegionMap *map, const GArray *bad, uint64_t wanted) {
    const RegionMapEntry *entry = region_map_first(map);
    FrameRange window = region_map_window(map);
    FreeRuns runs = { .frames = 0 };
    uint64_t at = window.start;
    guint i = 0;

    while (at < window.end) {
        FrameRange next = { window.end, window.end };

        if (entry)
            next = entry->range;
        if (i < frame_set_extents(bad) && frame_set_nth(bad, i).start < next.start)
            next = frame_set_nth(bad, i++);
        else if (entry)
            entry = region_map_next(map, entry);

        uint64_t run = next.start > at ? next.start - at : 0;
        runs.frames += run;
        runs.largest = MAX(runs.largest, run);
        if (run >= MAX(wanted, 1) && (runs.best.start == runs.best.end || run < frame_range_frames(runs.best)))
            runs.best = (FrameRange){ at, next.start };
        at = MAX(at, next.end);
    }
    return runs;
}

uint64_t raw_free_frames(const Raw *raw) {
    return raw->bad ? walk_free(raw->map, raw->bad, 0).frames : region_map_free_frames(raw->map);
}

uint64_t raw_largest_gap(const Raw *raw) {
    return raw->bad ? walk_free(raw->map, raw->bad, 0).largest : region_map_largest_gap(raw->map);
}

uint64_t pool_free_frames(const Pool *pool) {
    const RegionBad *bad = pool_own_bad(pool);

    return bad ? walk_free(pool->extents, bad->all, 0).frames : region_map_free_frames(pool->extents);
}

uint64_t pool_largest_gap(const Pool *pool) {
    const RegionBad *bad = pool_own_bad(pool);

    return bad ? walk_free(pool->extents, bad->all, 0).largest : region_map_largest_gap(pool->extents);
}

bool pool_fit_extent(const Pool *pool, uint64_t frames, FrameRange *ret_extent) {
    const RegionBad *bad = pool_own_bad(pool);

    if (!bad)
        return region_map_best_fit(pool->extents, frames, 1, pool->sb.range.start, ret_extent);
    FrameRange best = walk_free(pool->extents, bad->all, frames).best;
    if (best.start == best.end)
        return false;
    *ret_extent = (FrameRange){ best.start, best.start + frames };
    return true;
}

/* --- what people are told --- */

const char *region_state_text(const Region *region) {
    return region->state == REGION_OK && region_bad(region) ? STATE_DEGRADED : region_state_to_string(region->state);
}

const char *pool_state_text(const Pool *pool) {
    return pool->state == POOL_OK && pool_own_bad(pool) ? STATE_DEGRADED : pool_state_to_string(pool->state);
}

const char *region_state_reason(const Region *region) {
    if (region->state != REGION_OK || !region_bad(region))
        return region->reason;
    return "some of its frames cannot be read (BadFrames): save what can be read, then clear them, which loses what "
           "was "
           "in them, or release the region";
}

const char *pool_state_reason(const Pool *pool) {
    if (pool->state != POOL_OK || !pool_own_bad(pool))
        return pool->reason;
    return "some of its frames cannot be read (BadFrames): changes go on as long as none of the journal is hit; move "
           "to "
           "another management region";
}
