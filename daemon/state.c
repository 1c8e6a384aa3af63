/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/state.h"

#include "daemon/state-internal.h"
#include "proto/error.h"

#include <string.h>

/* What a snapshot of an empty pool takes at most: BEGIN, END, OPEN, the pool's NAME and OWNER. */
#define SNAPSHOT_BASE_BYTES UINT64_C(1024)
/* Of these two the struct is as long as its payload: their bytes can be told without one. */
G_STATIC_ASSERT(sizeof(JfRequest) == 56 && sizeof(JfDelete) == 56);

static const char *const pool_state_names[] = { "creating", "ok", "read-only", "corrupt", "unsupported", "releasing" };
G_STATIC_ASSERT(G_N_ELEMENTS(pool_state_names) == N_POOL_STATES);
static const char *const region_state_names[] = { "creating", "ok", "quarantined", "missing", "unsettled" };
G_STATIC_ASSERT(G_N_ELEMENTS(region_state_names) == N_REGION_STATES);

const char *pool_state_to_string(PoolState state) {
    g_assert(state < N_POOL_STATES);
    return pool_state_names[state];
}

const char *region_state_to_string(RegionState state) {
    g_assert(state < N_REGION_STATES);
    return region_state_names[state];
}

const char *foreign_kind_to_string(ForeignKind kind) {
    switch (kind) {
    case FOREIGN_ORPHAN:
        return "orphan";
    case FOREIGN_UNFORMATTED:
        return "unformatted";
    case FOREIGN_FOREIGN:
        break;
    }
    return "foreign";
}

static guint answer_hash(gconstpointer p) {
    const Answer *answer = p;
    return pmemd_uuid_hash(&answer->request.request_id) ^ answer->request.request_uid;
}

static gboolean answer_equal(gconstpointer a, gconstpointer b) {
    const JfRequest *x = &((const Answer *) a)->request, *y = &((const Answer *) b)->request;
    return sd_id128_equal(x->request_id, y->request_id) && x->request_uid == y->request_uid;
}

State *state_new(void) {
    State *state = g_new0(State, 1);

    state->raws = g_ptr_array_new();
    state->foreigns = g_ptr_array_new();
    state->pools = g_ptr_array_new();
    state->regions = g_hash_table_new(pmemd_uuid_hash, pmemd_uuid_equal);
    state->usage = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    state->erases = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    state->answers = g_hash_table_new(answer_hash, answer_equal);
    state->leases = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) lease_free);
    state->leases_of = g_hash_table_new(NULL, NULL);
    state->leased = g_tree_new(state_compare_places);
    return state;
}

void state_free(State *state) {
    if (!state)
        return;
    while (state->pools->len > 0)
        state_remove_pool(state, g_ptr_array_index(state->pools, state->pools->len - 1));
    state_clear_foreign(state);
    for (guint i = 0; i < state->raws->len; i++)
        raw_free(g_ptr_array_index(state->raws, i));
    GHashTable *const tables[] = { state->regions, state->usage,  state->erases,
                                   state->answers, state->leases, state->leases_of };
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_assert(g_hash_table_size(tables[i]) == 0);
        g_hash_table_unref(tables[i]);
    }
    g_ptr_array_unref(state->raws);
    g_ptr_array_unref(state->foreigns);
    g_ptr_array_unref(state->pools);
    g_tree_unref(state->leased);
    g_free(state);
}

/* --- occupants of device ranges --- */

void occupant_set(Occupant *occupant, OccupantKind kind, Raw *raw) {
    occupant->kind = kind;
    occupant->raw = raw;
}

bool occupant_place(Occupant *occupant, RegionMap *map, FrameRange device) {
    if (!region_map_reserve(map, &occupant->entry, device))
        return false;
    occupant->map = map;
    return true;
}

void occupant_unplace(Occupant *occupant) {
    if (occupant->map)
        region_map_release(occupant->map, &occupant->entry);
    occupant->map = NULL;
}

/* --- raw regions --- */

Raw *raw_new(const char *id, FrameRange range) {
    Raw *raw = g_new0(Raw, 1);

    raw->id = g_strdup(id);
    raw->range = range;
    raw->node = raw->local_node = -1;
    return raw;
}

void raw_free(Raw *raw) {
    if (!raw)
        return;
    region_map_free(raw->map);
    g_clear_pointer(&raw->bad, g_array_unref);
    g_clear_pointer(&raw->health, g_ptr_array_unref);
    g_free(raw->id);
    g_free(raw->kind);
    g_free(raw->persistence);
    g_free(raw->unusable);
    g_strfreev(raw->dimms);
    g_free(raw);
}

/* Regions whose raw region was away until now take their frames in it, as far as nobody else has them. */
static void raw_take_regions(Raw *raw, const Pool *pool) {
    RegionMapEntry *next, *entry = region_map_find_overlap(pool->unplaced, raw->range);

    for (; entry && entry->range.start < raw->range.end; entry = next) {
        Occupant *occupant = (Occupant *) entry;
        FrameRange device = entry->range;

        next = region_map_next(pool->unplaced, entry);
        if (occupant->raw || !frame_range_contains(raw->range, device))
            continue;
        occupant->raw = raw;
        if (pool->replaying || region_map_find_overlap(raw->map, device))
            continue;
        occupant_unplace(occupant);
        occupant_place(occupant, raw->map, device);
    }
}

bool state_add_raw(State *state, Raw *raw) {
    guint at = 0;

    g_assert(!raw->map);
    if (raw->range.start >= raw->range.end || raw->range.end > PMEMD_FRAME_LIMIT)
        return false;
    for (guint i = 0; i < state->raws->len; i++) {
        const Raw *other = g_ptr_array_index(state->raws, i);

        if (frame_range_overlaps(other->range, raw->range))
            return false;
        if (other->range.start < raw->range.start)
            at = i + 1;
    }
    raw->map = region_map_new(raw->range);
    g_ptr_array_insert(state->raws, (int) at, raw);
    for (guint i = 0; i < state->pools->len; i++)
        raw_take_regions(raw, g_ptr_array_index(state->pools, i));
    return true;
}

GPtrArray *state_raws(const State *state) {
    return state->raws;
}

Raw *state_raw_for(const State *state, FrameRange range) {
    for (guint i = 0; i < state->raws->len; i++) {
        Raw *raw = g_ptr_array_index(state->raws, i);

        if (frame_range_contains(raw->range, range))
            return raw;
    }
    return NULL;
}

Raw *state_raw_by_id(const State *state, const char *id) {
    for (guint i = 0; i < state->raws->len; i++) {
        Raw *raw = g_ptr_array_index(state->raws, i);

        if (strcmp(raw->id, id) == 0)
            return raw;
    }
    return NULL;
}

/* --- foreign devices --- */

void foreign_free(Foreign *foreign) {
    if (!foreign)
        return;
    g_free(foreign->name);
    g_free(foreign->mode);
    g_free(foreign);
}

void state_clear_foreign(State *state) {
    for (guint i = 0; i < state->foreigns->len; i++) {
        Foreign *foreign = g_ptr_array_index(state->foreigns, i);

        occupant_unplace(&foreign->occupant);
        foreign_free(foreign);
    }
    g_ptr_array_set_size(state->foreigns, 0);
}

void state_remove_foreign(State *state, Foreign *foreign) {
    occupant_unplace(&foreign->occupant);
    g_ptr_array_remove(state->foreigns, foreign);
    foreign_free(foreign);
}

void state_add_foreign(State *state, Foreign *foreign) {
    guint at = 0;

    occupant_set(&foreign->occupant, OCCUPANT_FOREIGN, state_raw_for(state, foreign->device));
    if (foreign->occupant.raw)
        occupant_place(&foreign->occupant, foreign->occupant.raw->map, foreign->device);
    for (guint i = 0; i < state->foreigns->len; i++)
        if (((const Foreign *) g_ptr_array_index(state->foreigns, i))->device.start <= foreign->device.start)
            at = i + 1;
    g_ptr_array_insert(state->foreigns, (int) at, foreign);
}

GPtrArray *state_foreigns(const State *state) {
    return state->foreigns;
}

/* --- pools --- */

uint64_t pool_required_frames(uint32_t page_info_bytes, uint32_t m2p_bytes, uint64_t n) {
    g_assert(n <= PMEMD_FRAME_LIMIT); /* n * 2^32 / 2^12 stays far below 2^64 once split as here */
    uint64_t q = n / PMEMD_FRAME_SIZE, r = n % PMEMD_FRAME_SIZE;
    uint64_t info = q * page_info_bytes + (r * page_info_bytes + PMEMD_FRAME_SIZE - 1) / PMEMD_FRAME_SIZE;
    uint64_t m2p = q * m2p_bytes + (r * m2p_bytes + PMEMD_FRAME_SIZE - 1) / PMEMD_FRAME_SIZE;

    return info + m2p;
}

static void pool_free(Pool *pool) {
    g_assert(pool->n_regions == 0);
    if (pool->head.range.start != pool->head.range.end)
        region_map_release(pool->extents, &pool->head);
    if (pool->own.range.start != pool->own.range.end)
        region_map_release(pool->extents, &pool->own);
    if (pool->tail.range.start != pool->tail.range.end)
        region_map_release(pool->extents, &pool->tail);
    region_map_free(pool->extents);
    region_map_free(pool->unplaced);
    g_clear_pointer(&pool->bad, g_hash_table_unref);
    g_hash_table_unref(pool->by_name);
    g_hash_table_unref(pool->tags);
    g_hash_table_unref(pool->by_path);
    g_string_free(pool->path_text, TRUE);
    g_hash_table_unref(pool->intents);
    g_clear_pointer(&pool->user, g_ref_string_release);
    g_free(pool->name);
    g_free(pool->reason);
    g_free(pool->path);
    g_free(pool);
}

/* Reserves head, own frames and tail of the pool as its superblock lays them out. */
static bool pool_lay_out(Pool *pool) {
    const JfGeometry *geo = &pool->sb.geo;
    FrameRange range = pool->sb.range;
    uint64_t frames = frame_range_frames(range);
    uint64_t head = geo->mgmt_off / PMEMD_FRAME_SIZE;
    uint64_t tail = geo->unit / PMEMD_FRAME_SIZE;
    uint64_t own = pool_required_frames(pool->sb.page_info_bytes, pool->sb.m2p_bytes, frames);

    if (geo->size != frames * PMEMD_FRAME_SIZE || head == 0 || tail == 0 || head >= frames || tail > frames - head ||
        own > frames - head - tail)
        return false;

    uint64_t own_start = range.start + head;
    return region_map_reserve(pool->extents, &pool->head, (FrameRange){ range.start, own_start }) &&
           (own == 0 || region_map_reserve(pool->extents, &pool->own, (FrameRange){ own_start, own_start + own })) &&
           region_map_reserve(pool->extents, &pool->tail, (FrameRange){ range.end - tail, range.end });
}

Pool *state_add_pool(State *state, const JfSuperblock *sb, FrameRange device, PoolState pool_state, GError **error) {
    FrameRange range = sb->range;
    guint at = 0;

    if (range.start >= range.end || range.end > PMEMD_FRAME_LIMIT || !frame_range_contains(device, range)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "the superblock's range 0x%" PRIx64 "-0x%" PRIx64 " does not lie in its device 0x%" PRIx64
                    "-0x%" PRIx64,
                    range.start, range.end, device.start, device.end);
        return NULL;
    }

    Pool *pool = g_new0(Pool, 1);
    pool->sb = *sb;
    pool->state = pool_state;
    pool->extents = region_map_new(range);
    pool->unplaced = region_map_new((FrameRange){ 0, PMEMD_FRAME_LIMIT });
    pool->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    pool->tags = g_hash_table_new(NULL, NULL);
    pool->by_path = g_hash_table_new(state_path_hash, state_path_equal);
    pool->path_text = g_string_new(NULL);
    pool->intents = g_hash_table_new(g_int64_hash, g_int64_equal);
    pool->snapshot_bytes = SNAPSHOT_BASE_BYTES;
    g_queue_init(&pool->answers);
    occupant_set(&pool->occupant, OCCUPANT_POOL, state_raw_for(state, device));

    /* Of a newer format nothing but the place is known. */
    if (pool_state != POOL_UNSUPPORTED && !pool_lay_out(pool)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "the superblock's layout (%" PRIu64 " bytes, areas up to %" PRIu64 ", unit %" PRIu64
                    ") does not fit its %" PRIu64 " frames",
                    sb->geo.size, sb->geo.mgmt_off, sb->geo.unit, frame_range_frames(range));
        pool_free(pool);
        return NULL;
    }
    if (!pool->occupant.raw || !occupant_place(&pool->occupant, pool->occupant.raw->map, device)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "the mgmt device 0x%" PRIx64 "-0x%" PRIx64 " lies in no raw region or overlaps another device",
                    device.start, device.end);
        pool_free(pool);
        return NULL;
    }
    for (guint i = 0; i < state->pools->len; i++)
        if (((const Pool *) g_ptr_array_index(state->pools, i))->sb.range.start < range.start)
            at = i + 1;
    g_ptr_array_insert(state->pools, (int) at, pool);
    return pool;
}

static void pool_drop_answers(State *state, Pool *pool) {
    Answer *answer;

    while ((answer = g_queue_pop_head(&pool->answers))) {
        g_hash_table_remove(state->answers, answer);
        g_free(answer);
    }
}

void state_remove_pool(State *state, Pool *pool) {
    Region *next, *region = state_next_region(state, NULL);

    for (; region; region = next) {
        next = state_next_region(state, region);
        if (region->pool == pool)
            state_remove_region(state, region);
    }
    pool_drop_answers(state, pool);
    occupant_unplace(&pool->occupant);
    g_ptr_array_remove(state->pools, pool);
    pool_free(pool);
}

void state_begin_replay(Pool *pool) {
    pool->replaying = true;
}

static void name_conflict(const Region *region, GError **error) {
    const RegionMapEntry *entry = region_map_find_overlap(region->occupant.raw->map, region->occupant.entry.range);
    char text[PMEMD_UUID_STRING_MAX];

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                "data region %s claims the device range 0x%" PRIx64 "-0x%" PRIx64 ", of which 0x%" PRIx64 "-0x%" PRIx64
                " belongs to another pool",
                pmemd_uuid_format(region->uuid, text), region_device(region).start, region_device(region).end,
                entry->range.start, entry->range.end);
}

bool state_end_replay(State *state, Pool *pool, GError **error) {
    g_autoptr(GPtrArray) entries = region_map_take_all(pool->unplaced);
    bool ok = true;

    (void) state;
    pool->replaying = false;
    for (guint i = 0; i < entries->len; i++) {
        Region *region = g_ptr_array_index(entries, i);
        FrameRange device = region_device(region);
        const Raw *raw = region->occupant.raw;

        if (raw && occupant_place(&region->occupant, raw->map, device))
            continue;
        if (raw && ok)
            name_conflict(region, error);
        ok &= !raw;
        bool back = occupant_place(&region->occupant, pool->unplaced, device);
        g_assert(back); /* it comes from there */
    }
    return ok;
}

void state_set_pool_state(State *state, Pool *pool, PoolState pool_state, const char *reason) {
    (void) state;
    pool->state = pool_state;
    g_free(pool->reason);
    pool->reason = pool_state == POOL_OK ? NULL : g_strdup(reason);
}

void pool_set_path(Pool *pool, const char *path) {
    g_free(pool->path);
    pool->path = g_strdup(path);
}

GPtrArray *state_pools(const State *state) {
    return state->pools;
}

Pool *state_pool_by_uuid(const State *state, sd_id128_t uuid) {
    for (guint i = 0; i < state->pools->len; i++) {
        Pool *pool = g_ptr_array_index(state->pools, i);

        if (sd_id128_equal(pool->sb.member_uuid, uuid))
            return pool;
    }
    return NULL;
}

Pool *state_pool_by_name(const State *state, const char *name) {
    for (guint i = 0; i < state->pools->len; i++) {
        Pool *pool = g_ptr_array_index(state->pools, i);

        if (pool->name && strcmp(pool->name, name) == 0)
            return pool;
    }
    return NULL;
}

Pool *state_pool_by_key(const State *state, const char *key) {
    sd_id128_t uuid;

    return pmemd_uuid_parse(key, &uuid) ? state_pool_by_uuid(state, uuid) : state_pool_by_name(state, key);
}

Pool *state_pool_for(const State *state, FrameRange range) {
    for (guint i = 0; i < state->pools->len; i++) {
        Pool *pool = g_ptr_array_index(state->pools, i);

        if (frame_range_contains(pool->sb.range, range))
            return pool;
    }
    return NULL;
}

uint64_t pool_used_frames(const Pool *pool) {
    FrameRange last;

    /* The gap in front of the tail block is what no extent has reached yet; no gap there: all is used. */
    if (pool->tail.range.start == pool->tail.range.end)
        return frame_range_frames(pool->sb.range);
    if (!region_map_gap_around(pool->extents, (FrameRange){ pool->tail.range.start - 1, pool->tail.range.start },
                               &last))
        return pool->tail.range.start - pool->sb.range.start;
    return last.start - pool->sb.range.start;
}
