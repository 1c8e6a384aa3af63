/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/locate.h"

#include "proto/error.h"

#include <inttypes.h>

const char *locate_kind_to_string(LocateKind kind) {
    static const char *const names[] = {
        [LOCATE_NONE] = "none", [LOCATE_RAW] = "raw",   [LOCATE_FOREIGN] = "foreign",
        [LOCATE_MGMT] = "mgmt", [LOCATE_DATA] = "data",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_LOCATE_KINDS);

    return names[kind];
}

const char *locate_part_to_string(LocatePart part) {
    static const char *const names[] = {
        [LOCATE_PART_NONE] = "",           [LOCATE_PART_LEAD] = "lead",
        [LOCATE_PART_USABLE] = "usable",   [LOCATE_PART_SUPERBLOCK] = "superblock",
        [LOCATE_PART_JOURNAL] = "journal", [LOCATE_PART_OWN] = "own",
        [LOCATE_PART_EXTENT] = "extent",   [LOCATE_PART_FREE] = "free",
        [LOCATE_PART_UNKNOWN] = "unknown",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_LOCATE_PARTS);

    return names[part];
}

static bool holds(FrameRange range, uint64_t frame) {
    return range.start <= frame && frame < range.end;
}

static uint64_t bytes_from(uint64_t start, uint64_t frame) {
    return (frame - start) << PMEMD_FRAME_SHIFT;
}

/* The raw region that the frame lies in, by bisection: they are kept by start and never overlap. */
static const Raw *find_raw(const State *state, uint64_t frame) {
    const GPtrArray *raws = state_raws(state);
    guint low = 0, high = raws->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Raw *raw = g_ptr_array_index(raws, middle);

        if (raw->range.start > frame)
            high = middle;
        else
            low = middle + 1;
    }
    const Raw *raw = low > 0 ? g_ptr_array_index(raws, low - 1) : NULL;
    return raw && holds(raw->range, frame) ? raw : NULL;
}

/* What was journalled but stands in no raw region's map: its raw region is away, or others have its frames, too. */
static const Occupant *find_unplaced(const State *state, uint64_t frame) {
    const GPtrArray *pools = state_pools(state), *foreigns = state_foreigns(state);

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = g_ptr_array_index(pools, i);
        const RegionMapEntry *entry = region_map_find_overlap(pool->unplaced, (FrameRange){ frame, frame + 1 });

        if (entry)
            return (const Occupant *) entry;
    }
    for (guint i = 0; i < foreigns->len; i++) {
        const Foreign *foreign = g_ptr_array_index(foreigns, i);

        if (foreign->device.start > frame)
            break;
        if (holds(foreign->device, frame))
            return &foreign->occupant;
    }
    return NULL;
}

static bool is_journal(const JfGeometry *geo, uint64_t offset) {
    for (unsigned i = 0; i < G_N_ELEMENTS(geo->area_off); i++)
        if (offset >= geo->area_off[i] && offset - geo->area_off[i] < geo->area_len)
            return true;
    return false;
}

static void locate_in_pool(const Pool *pool, uint64_t frame, Location *location) {
    FrameRange range = pool->sb.range;

    location->kind = LOCATE_MGMT;
    location->pool = pool;
    if (frame < range.start) {
        location->part = LOCATE_PART_LEAD;
        location->offset = bytes_from(pool->occupant.entry.range.start, frame);
        return;
    }
    location->offset = bytes_from(range.start, frame);
    if (pool->state == POOL_UNSUPPORTED) {
        location->part = LOCATE_PART_UNKNOWN;
        return;
    }
    const RegionMapEntry *entry = region_map_find_overlap(pool->extents, (FrameRange){ frame, frame + 1 });
    if (!entry) {
        location->part = LOCATE_PART_FREE;
    } else if (entry == &pool->own) {
        location->part = LOCATE_PART_OWN;
    } else if (entry == &pool->head || entry == &pool->tail) {
        location->part = is_journal(&pool->sb.geo, location->offset) ? LOCATE_PART_JOURNAL : LOCATE_PART_SUPERBLOCK;
    } else {
        location->part = LOCATE_PART_EXTENT;
        location->offset = bytes_from(entry->range.start, frame);
        location->region = (const Region *) ((const char *) entry - G_STRUCT_OFFSET(Region, extent));
    }
}

static void locate_in_region(const Region *region, uint64_t frame, Location *location) {
    bool lead = frame < region->range.start;

    location->kind = LOCATE_DATA;
    location->part = lead ? LOCATE_PART_LEAD : LOCATE_PART_USABLE;
    location->offset = bytes_from(lead ? region_device(region).start : region->range.start, frame);
    location->region = region;
    location->pool = region->pool;
}

bool locate_frame(const State *state, uint64_t frame, Location *ret_location, GError **error) {
    if (frame >= PMEMD_FRAME_LIMIT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "0x%" PRIx64 " is no frame number: frames are %" PRIu64
                    " bytes of a physical address of 52 bits, the last one is 0x%" PRIx64,
                    frame, PMEMD_FRAME_SIZE, PMEMD_FRAME_LIMIT - 1);
        return false;
    }

    Location location = { .kind = LOCATE_NONE, .raw = find_raw(state, frame) };
    const Occupant *occupant = NULL;
    if (location.raw)
        occupant = (const Occupant *) region_map_find_overlap(location.raw->map, (FrameRange){ frame, frame + 1 });
    if (!occupant)
        occupant = find_unplaced(state, frame);

    if (!occupant) {
        location.kind = location.raw ? LOCATE_RAW : LOCATE_NONE;
        location.offset = location.raw ? bytes_from(location.raw->range.start, frame) : 0;
    } else if (occupant->kind == OCCUPANT_POOL) {
        locate_in_pool((const Pool *) occupant, frame, &location);
    } else if (occupant->kind == OCCUPANT_REGION) {
        locate_in_region((const Region *) occupant, frame, &location);
    } else {
        location.kind = LOCATE_FOREIGN;
        location.foreign = (const Foreign *) occupant;
        location.offset = bytes_from(location.foreign->device.start, frame);
    }
    *ret_location = location;
    return true;
}
