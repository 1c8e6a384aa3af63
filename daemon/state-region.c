/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model's data regions: how they enter and leave, walking and finding them, their sums; and the answers kept for
 * requests.
 */
#include "daemon/state-internal.h"

#include "proto/error.h"

#include <string.h>

void region_set_name(Region *region, const char *name) {
    if (region->name)
        g_hash_table_remove(region->pool->by_name, region->name);
    g_free(region->name);
    region->name = name && *name ? g_strdup(name) : NULL;
    if (region->name)
        g_hash_table_insert(region->pool->by_name, region->name, region);
}

void region_to_record(const Region *region, JfRegion *ret_record) {
    JfRegion record = {
        .region_uuid = region->uuid,
        .device_uuid = region->device_uuid,
        .range = region->range,
        .device_start = region_device(region).start,
        .extent = region->extent.range,
        .owner_uid = region->owner_uid,
        .flags = region->flags,
        .time = region->time,
    };

    if (region->intent && !region->intent->deleting) {
        record.request_id = region->intent->request_id;
        record.request_hash = region->intent->request_hash;
        record.request_uid = region->intent->request_uid;
        record.request_method = region->intent->request_method;
    }
    if (region->name)
        g_strlcpy(record.name, region->name, sizeof record.name);
    if (region->user)
        g_strlcpy(record.user, region->user, sizeof record.user);
    *ret_record = record;
}

uint64_t region_snapshot_bytes(const Region *region) {
    bool deleting = region->intent && region->intent->deleting;
    size_t len =
        jf_region_payload_len(region->name ? strlen(region->name) : 0, region->user ? strlen(region->user) : 0);

    return jf_snapshot_bytes(len) + (deleting ? jf_snapshot_bytes(sizeof(JfDelete)) : 0);
}

void state_open_intent(Region *region, Intent *intent) {
    g_assert(!region->intent);
    region->intent = intent;
    g_hash_table_insert(region->pool->intents, &intent->txid, region);
}

void state_close_intent(Region *region) {
    g_hash_table_remove(region->pool->intents, &region->intent->txid);
    g_clear_pointer(&region->intent, g_free);
}

/* --- who owns how much --- */

static void usage_add(State *state, const Region *region) {
    void *uid = GUINT_TO_POINTER(region->owner_uid);
    StateUsage *usage = g_hash_table_lookup(state->usage, uid);

    if (!usage) {
        usage = g_new0(StateUsage, 1);
        g_hash_table_insert(state->usage, uid, usage);
    }
    usage->regions++;
    usage->bytes += region_bytes(region);
}

static void usage_drop(State *state, const Region *region) {
    void *uid = GUINT_TO_POINTER(region->owner_uid);
    StateUsage *usage = g_hash_table_lookup(state->usage, uid);

    usage->bytes -= region_bytes(region);
    if (--usage->regions == 0)
        g_hash_table_remove(state->usage, uid);
}

void state_set_region_owner(State *state, Region *region, uint32_t uid) {
    usage_drop(state, region);
    region->owner_uid = uid;
    usage_add(state, region);
}

G_GNUC_PRINTF(3, 4)
static Region *refuse_region(const JfRegion *record, GError **error, const char *format, ...) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *fault = NULL;
    va_list ap;

    va_start(ap, format);
    fault = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "data region %s (0x%" PRIx64 "-0x%" PRIx64 "): %s",
                pmemd_uuid_format(record->region_uuid, text), record->range.start, record->range.end, fault);
    return NULL;
}

Region *state_insert_region(State *state, Pool *pool, const JfRegion *record, Intent *intent, GError **error) {
    FrameRange device = { record->device_start, record->range.end };

    if (state_region_by_uuid(state, record->region_uuid))
        return refuse_region(record, error, "its uuid is already there");
    if (state_pool_by_uuid(state, record->region_uuid))
        return refuse_region(record, error, "its uuid is that of a mgmt region");
    if (record->range.start >= record->range.end || record->range.end > PMEMD_FRAME_LIMIT ||
        device.start > record->range.start)
        return refuse_region(record, error, "its range is impossible");
    if (record->name[0] != '\0' && g_hash_table_contains(pool->by_name, record->name))
        return refuse_region(record, error, "its name is already taken");

    g_autofree Region *region = g_new0(Region, 1);
    region->pool = pool;
    if (!region_map_reserve(pool->extents, &region->extent, record->extent))
        return refuse_region(record, error,
                             "its management extent 0x%" PRIx64 "-0x%" PRIx64
                             " is not free in the mgmt region 0x%" PRIx64 "-0x%" PRIx64,
                             record->extent.start, record->extent.end, pool->sb.range.start, pool->sb.range.end);
    occupant_set(&region->occupant, OCCUPANT_REGION, state_raw_for(state, device));
    RegionMap *map = pool->replaying || !region->occupant.raw ? pool->unplaced : region->occupant.raw->map;
    if (!occupant_place(&region->occupant, map, device)) {
        region_map_release(pool->extents, &region->extent);
        return refuse_region(record, error, "its device range 0x%" PRIx64 "-0x%" PRIx64 " overlaps another",
                             device.start, device.end);
    }
    region->uuid = record->region_uuid;
    region->device_uuid = record->device_uuid;
    region->range = record->range;
    region->owner_uid = record->owner_uid;
    region->flags = record->flags & JF_REGION_FLAGS_KNOWN;
    region->time = record->time;
    region->state = intent ? REGION_CREATING : REGION_OK;
    if (record->user[0] != '\0')
        region->user = g_ref_string_new_intern(record->user);
    region_set_name(region, record->name);
    if (intent)
        state_open_intent(region, intent);
    g_hash_table_add(state->regions, &region->uuid);
    state->in_state[region->state]++;
    pool->n_regions++;
    pool->data_bytes += region_bytes(region);
    usage_add(state, region);
    pool->snapshot_bytes += region_snapshot_bytes(region);
    return g_steal_pointer(&region);
}

void state_remove_region(State *state, Region *region) {
    Pool *pool = region->pool;

    state_drop_lease(state, region);
    state_forget_erase(state, region);
    state_drop_bad(pool, region->uuid);
    pool->snapshot_bytes -= region_snapshot_bytes(region);
    state->in_state[region->state]--;
    pool->n_regions--;
    pool->data_bytes -= region_bytes(region);
    usage_drop(state, region);
    g_hash_table_remove(state->regions, &region->uuid);
    if (region->intent)
        state_close_intent(region);
    if (region->adopted)
        g_hash_table_remove(pool->tags, region);
    region_set_name(region, NULL);
    occupant_unplace(&region->occupant);
    region_map_release(pool->extents, &region->extent);
    g_clear_pointer(&region->user, g_ref_string_release);
    region_set_path(region, NULL);
    g_free(region->reason);
    g_free(region);
}

void region_set_tag_pool(Region *region, uint32_t number) {
    region->adopted = true;
    g_hash_table_insert(region->pool->tags, region, GUINT_TO_POINTER(number));
}

uint32_t region_tag_pool(const Region *region) {
    const uint8_t *pool = region->pool->sb.member_uuid.bytes;

    if (region->adopted)
        return GPOINTER_TO_UINT(g_hash_table_lookup(region->pool->tags, region));
    return (uint32_t) pool[0] << 24 | (uint32_t) pool[1] << 16 | (uint32_t) pool[2] << 8 | pool[3];
}

Region *state_region_by_uuid(const State *state, sd_id128_t uuid) {
    sd_id128_t *found = g_hash_table_lookup(state->regions, &uuid);

    return found ? region_of_uuid(found) : NULL;
}

guint state_count_regions(const State *state) {
    return g_hash_table_size(state->regions);
}

guint state_count_regions_in(const State *state, RegionState region_state) {
    return state->in_state[region_state];
}

void state_set_region_state(State *state, Region *region, RegionState region_state, const char *reason) {
    state->in_state[region->state]--;
    state->in_state[region_state]++;
    region->state = region_state;
    g_free(region->reason);
    region->reason = region_state == REGION_OK ? NULL : g_strdup(reason);
}

uint64_t region_bytes(const Region *region) {
    return frame_range_frames(region->range) * PMEMD_FRAME_SIZE;
}

/* The first data region in this map whose device range starts at or behind `start`. */
static Region *map_region_from(const RegionMap *map, uint64_t start) {
    RegionMapEntry *entry = region_map_find_overlap(map, (FrameRange){ start, PMEMD_FRAME_LIMIT });

    while (entry && (entry->range.start < start || ((const Occupant *) entry)->kind != OCCUPANT_REGION))
        entry = region_map_next(map, entry);
    return (Region *) entry;
}

static bool region_is_behind(const Region *region, uint64_t device_start, sd_id128_t uuid) {
    if (region_device(region).start != device_start)
        return region_device(region).start > device_start;
    return memcmp(&region->uuid, &uuid, sizeof uuid) > 0;
}

Region *state_region_after(const State *state, uint64_t device_start, sd_id128_t uuid) {
    Region *best = NULL;

    guint raws = state->raws->len;

    for (guint i = 0; i < raws + state->pools->len; i++) {
        const RegionMap *map = i < raws ? ((const Raw *) g_ptr_array_index(state->raws, i))->map
                                        : ((const Pool *) g_ptr_array_index(state->pools, i - raws))->unplaced;
        Region *region = map_region_from(map, device_start);

        /* At the position itself: extents of one map never start at the same frame, so the next one is behind it. */
        if (region && !region_is_behind(region, device_start, uuid))
            region = map_region_from(map, device_start + 1);
        if (region && (!best || region_is_behind(best, region_device(region).start, region->uuid)))
            best = region;
    }
    return best;
}

Region *state_next_region(const State *state, const Region *after) {
    if (!after)
        return state_region_after(state, 0, SD_ID128_NULL);
    return state_region_after(state, region_device(after).start, after->uuid);
}

StateTotals state_totals(const State *state) {
    StateTotals totals = { 0 };

    for (guint i = 0; i < state->raws->len; i++) {
        const Raw *raw = g_ptr_array_index(state->raws, i);

        totals.raw_bytes += frame_range_frames(raw->range) * PMEMD_FRAME_SIZE;
        if (!raw->unusable && !raw->unmanaged)
            totals.free_bytes += raw_free_frames(raw) * PMEMD_FRAME_SIZE;
    }
    for (guint i = 0; i < state->pools->len; i++) {
        const Pool *pool = g_ptr_array_index(state->pools, i);

        totals.mgmt_bytes += frame_range_frames(pool->sb.range) * PMEMD_FRAME_SIZE;
        totals.data_bytes += pool->data_bytes;
    }
    return totals;
}

StateUsage state_usage(const State *state, uint32_t uid) {
    const StateUsage *usage = g_hash_table_lookup(state->usage, GUINT_TO_POINTER(uid));

    return usage ? *usage : (StateUsage){ 0 };
}

/* --- answered requests --- */

static void answer_forget(State *state, Answer *answer) {
    g_hash_table_remove(state->answers, answer);
    g_queue_remove(&answer->pool->answers, answer);
    answer->pool->snapshot_bytes -= jf_snapshot_bytes(sizeof(JfRequest));
    g_free(answer);
}

void state_add_answer(State *state, Pool *pool, const JfRequest *request) {
    if (sd_id128_is_null(request->request_id))
        return;

    Answer *answer = g_new(Answer, 1);
    *answer = (Answer){ .request = *request, .pool = pool };

    Answer *old = g_hash_table_lookup(state->answers, answer);
    if (old)
        answer_forget(state, old);
    if (pool->answers.length == JF_MAX_REQUESTS)
        answer_forget(state, g_queue_peek_head(&pool->answers));
    g_queue_push_tail(&pool->answers, answer);
    g_hash_table_add(state->answers, answer);
    pool->snapshot_bytes += jf_snapshot_bytes(sizeof(JfRequest));
}

const Answer *state_find_answer(const State *state, sd_id128_t request_id, uint32_t uid) {
    Answer key = { .request = { .request_id = request_id, .request_uid = uid } };

    return g_hash_table_lookup(state->answers, &key);
}

Region *state_find_open_request(const State *state, sd_id128_t request_id, uint32_t uid) {
    for (guint i = 0; i < state->pools->len; i++) {
        const Pool *pool = g_ptr_array_index(state->pools, i);
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, pool->intents);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            Region *region = value;

            if (!region->intent->deleting && region->intent->request_uid == uid &&
                sd_id128_equal(region->intent->request_id, request_id))
                return region;
        }
    }
    return NULL;
}
