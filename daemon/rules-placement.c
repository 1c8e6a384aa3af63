/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Rules 1, 2, 3, 5 / 6 and 7 of a request for exact frames (docs/architecture.md). Frame numbers come from anybody on
 * the bus: nothing is added to or taken from one before it is known to be inside a raw region.
 */
#include "daemon/rules-placement.h"

#include "daemon/frame-set.h"
#include "proto/error.h"

#define EXTENTS_NAMED 4
#define RAWS_NAMED 4 /* in a message */

uint64_t placement_bytes(uint64_t frames) {
    return frames << PMEMD_FRAME_SHIFT;
}

static uint64_t round_down(uint64_t n, uint64_t unit) {
    return n - n % unit;
}

/* n and unit are below 2^60. */
static uint64_t round_up(uint64_t n, uint64_t unit) {
    return round_down(n + unit - 1, unit);
}

uint64_t placement_step_frames(const Raw *raw) {
    return MAX(raw->step / PMEMD_FRAME_SIZE, 1);
}

uint64_t placement_minimum_frames(const Raw *raw) {
    if (raw->lead >= PMEMD_FRAME_LIMIT)
        return UINT64_MAX;

    uint64_t minimum = raw->minimum / PMEMD_FRAME_SIZE + (raw->minimum % PMEMD_FRAME_SIZE != 0);
    return round_up(MAX(minimum, raw->lead + 1), placement_step_frames(raw));
}

bool placement_makes_labels(const Raw *raw, bool init_labels) {
    return init_labels && !raw->subdividable && raw->initialisable;
}

bool placement_is_whole(const Raw *raw, bool init_labels) {
    return !raw->subdividable && !placement_makes_labels(raw, init_labels);
}

/* Not in the map of its raw region. */
static bool foreign_is_unmapped(const Foreign *foreign) {
    return !foreign->occupant.map;
}

static void add_range(GArray **ranges, FrameRange range) {
    if (!*ranges)
        *ranges = g_array_new(FALSE, FALSE, sizeof(FrameRange));
    g_array_append_val(*ranges, range);
}

static int compare_ranges(gconstpointer a, gconstpointer b) {
    const FrameRange *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

GArray *placement_unmapped(const State *state, const Raw *raw) {
    GPtrArray *foreigns = state_foreigns(state);
    GPtrArray *pools = state_pools(state);
    GArray *ranges = NULL;

    for (guint i = 0; i < foreigns->len; i++) {
        const Foreign *foreign = g_ptr_array_index(foreigns, i);

        if (foreign_is_unmapped(foreign) && frame_range_overlaps(foreign->device, raw->range))
            add_range(&ranges, foreign->device);
    }
    for (guint i = 0; i < pools->len; i++) {
        const RegionMap *unplaced = ((const Pool *) g_ptr_array_index(pools, i))->unplaced;
        const RegionMapEntry *entry = region_map_find_overlap(unplaced, raw->range);

        for (; entry && entry->range.start < raw->range.end; entry = region_map_next(unplaced, entry))
            add_range(&ranges, entry->range);
    }
    for (guint i = 0; i < frame_set_extents(raw->bad); i++)
        add_range(&ranges, frame_set_nth(raw->bad, i));
    if (ranges)
        g_array_sort(ranges, compare_ranges);
    return ranges;
}

/* ---- names for messages ---- */

static char *describe(const char *kind, sd_id128_t uuid, const char *name) {
    char text[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(uuid, text);
    return name && name[0] ? g_strdup_printf("%s %s \"%s\"", kind, text, name) : g_strdup_printf("%s %s", kind, text);
}

char *placement_describe_region(const Region *region) {
    return describe("data region", region->uuid, region->name);
}

char *placement_describe_pool(const Pool *pool) {
    return describe("management region", pool->sb.member_uuid, pool->name);
}

static char *describe_foreign(const Foreign *foreign) {
    return describe(foreign->mode && foreign->mode[0] ? foreign->mode : "device", foreign->uuid, foreign->name);
}

/* "raw regions: region0 at 0x... - 0x..., ..." */
static char *describe_raws(const State *state) {
    GPtrArray *raws = state_raws(state);
    g_autoptr(GString) text = g_string_new(NULL);

    if (raws->len == 0)
        return g_strdup("this host has no raw region");
    for (guint i = 0; i < raws->len && i < RAWS_NAMED; i++) {
        const Raw *raw = g_ptr_array_index(raws, i);

        g_string_append_printf(text, "%s%s at " RANGE_FORMAT, i == 0 ? "raw regions: " : ", ", raw->id,
                               RANGE_ARGS(raw->range));
    }
    if (raws->len > RAWS_NAMED)
        g_string_append_printf(text, " and %u more", raws->len - RAWS_NAMED);
    return g_strdup(text->str);
}

/* ---- rule 1 ---- */

bool placement_check_range(FrameRange range, const char *what, GError **error) {
    if (range.start == PMEMD_FRAME_INVALID || range.end == PMEMD_FRAME_INVALID) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s " RANGE_FORMAT
                    " uses the invalid frame number: give both its first frame and the one after its "
                    "last",
                    what, RANGE_ARGS(range));
        return false;
    }
    if (range.start >= range.end) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s " RANGE_FORMAT
                    " is %s: the second number is the first frame after the range and must be larger",
                    what, RANGE_ARGS(range), range.start == range.end ? "empty" : "reversed");
        return false;
    }
    if (range.end > PMEMD_FRAME_LIMIT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s " RANGE_FORMAT " goes past frame 0x%" G_GINT64_MODIFIER
                    "x, the end of 52-bit addresses: give frame numbers (addresses / 4096), not addresses",
                    what, RANGE_ARGS(range), PMEMD_FRAME_LIMIT);
        return false;
    }
    return true;
}

/* ---- rule 2 ---- */

static Raw *find_raw(const State *state, FrameRange range, GError **error) {
    Raw *raw = state_raw_for(state, range);
    if (raw)
        return raw;

    GPtrArray *raws = state_raws(state);
    g_autofree char *known = describe_raws(state);
    const Raw *first = NULL;
    const Raw *second = NULL;

    for (guint i = 0; i < raws->len && !second; i++) {
        const Raw *candidate = g_ptr_array_index(raws, i);

        if (!frame_range_overlaps(candidate->range, range))
            continue;
        if (first)
            second = candidate;
        else
            first = candidate;
    }
    if (second)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the range " RANGE_FORMAT " spans the raw regions %s and %s, but a device lies in one: split it at "
                    "0x%" G_GINT64_MODIFIER "x (%s)",
                    RANGE_ARGS(range), first->id, second->id, second->range.start, known);
    else if (first)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the range " RANGE_FORMAT " leaves the raw region %s (" RANGE_FORMAT
                    "): keep it inside of one raw region (%s)",
                    RANGE_ARGS(range), first->id, RANGE_ARGS(first->range), known);
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the range " RANGE_FORMAT " lies in no raw region: keep it inside of one (%s)", RANGE_ARGS(range),
                    known);
    return NULL;
}

/* ---- rule 3 ---- */

static bool device_is_valid(const Raw *raw, FrameRange device) {
    uint64_t step = placement_step_frames(raw);

    return frame_range_contains(raw->range, device) && (device.start - raw->range.start) % step == 0 &&
           frame_range_frames(device) % step == 0 && frame_range_frames(device) >= placement_minimum_frames(raw);
}

/* First frame of the device of range, or of the raw region when that is later. */
static uint64_t clipped_start(const Raw *raw, FrameRange range) {
    return range.start - raw->range.start > raw->lead ? range.start - raw->lead : raw->range.start;
}

/* The device of the largest valid range inside of range, which lies in raw. */
static bool nearest_inside(const Raw *raw, FrameRange range, FrameRange *ret_device) {
    uint64_t step = placement_step_frames(raw);
    uint64_t start = raw->range.start + round_up(clipped_start(raw, range) - raw->range.start, step);

    if (start >= range.end)
        return false;
    *ret_device = (FrameRange){ start, start + round_down(range.end - start, step) };
    return device_is_valid(raw, *ret_device);
}

/* The device of the smallest valid range around range, or around what of it raw has room for. */
static bool nearest_around(const Raw *raw, FrameRange range, FrameRange *ret_device) {
    uint64_t step = placement_step_frames(raw);
    uint64_t minimum = placement_minimum_frames(raw);
    uint64_t limit = raw->range.start + round_down(frame_range_frames(raw->range), step);
    uint64_t start = raw->range.start + round_down(clipped_start(raw, range) - raw->range.start, step);

    if (minimum > limit - raw->range.start)
        return false;

    uint64_t frames = MAX(round_up(range.end - start, step), minimum);
    uint64_t end = start <= limit && frames <= limit - start ? start + frames : limit;
    *ret_device = (FrameRange){ MIN(start, limit - minimum), end };
    return device_is_valid(raw, *ret_device);
}

static char *describe_device(const Raw *raw, bool found, FrameRange device) {
    if (!found)
        return g_strdup("none");
    return g_strdup_printf("0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x", device.start + raw->lead,
                           device.end);
}

static void set_unfit_error(const Raw *raw, FrameRange range, GError **error) {
    uint64_t step = placement_step_frames(raw);
    uint64_t minimum = placement_minimum_frames(raw);
    uint64_t offset = range.start - raw->range.start;
    g_autofree char *cause = NULL;

    if (offset < raw->lead)
        cause = g_strdup_printf("begins 0x%" G_GINT64_MODIFIER
                                "x frames into the raw region, but the device needs 0x%" G_GINT64_MODIFIER
                                "x frames (" U64_FORMAT " bytes) before the first usable one",
                                offset, raw->lead, raw->lead * PMEMD_FRAME_SIZE);
    else if ((offset - raw->lead) % step != 0)
        cause =
            g_strdup_printf("would make the device begin 0x%" G_GINT64_MODIFIER
                            "x frames into the raw region, which is no multiple of its step of 0x%" G_GINT64_MODIFIER
                            "x frames (" U64_FORMAT " bytes)",
                            offset - raw->lead, step, placement_bytes(step));
    else if ((range.end - range.start + raw->lead) % step != 0)
        cause = g_strdup_printf("would make a device of 0x%" G_GINT64_MODIFIER
                                "x frames, which is no multiple of the raw region's step of 0x%" G_GINT64_MODIFIER
                                "x frames (" U64_FORMAT " bytes)",
                                range.end - range.start + raw->lead, step, placement_bytes(step));
    else
        cause = g_strdup_printf("would make a device of 0x%" G_GINT64_MODIFIER
                                "x frames, below the minimum of 0x%" G_GINT64_MODIFIER "x (" U64_FORMAT " bytes)",
                                range.end - range.start + raw->lead, minimum, raw->minimum);

    FrameRange inside = { 0, 0 };
    FrameRange around = { 0, 0 };
    g_autofree char *inside_text = describe_device(raw, nearest_inside(raw, range, &inside), inside);
    g_autofree char *around_text = describe_device(raw, nearest_around(raw, range, &around), around);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "the range " RANGE_FORMAT " in raw region %s (" RANGE_FORMAT
                ") %s: the nearest valid ranges are %s (largest inside) and %s (smallest around)",
                RANGE_ARGS(range), raw->id, RANGE_ARGS(raw->range), cause, inside_text, around_text);
}

static bool place_whole(Raw *raw, FrameRange range, Placement *ret_placement, GError **error) {
    const char *hint = raw->initialisable ? "; or use --init-labels (option init-labels) on setting up a management "
                                            "region, which makes labels, so that the raw region can be divided, and "
                                            "discards the namespace that covers it now, with its content"
                                          : "";

    if (raw->lead >= frame_range_frames(raw->range)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the raw region %s (" RANGE_FORMAT ") has no frame to use behind the 0x%" G_GINT64_MODIFIER
                    "x that a device needs before its first usable one: no range in it is valid%s",
                    raw->id, RANGE_ARGS(raw->range), raw->lead, hint);
        return false;
    }

    FrameRange only = { raw->range.start + raw->lead, raw->range.end };
    if (!frame_range_equal(range, only)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "the raw region %s (" RANGE_FORMAT
                    ") has no labels, so it cannot be divided: the one valid range in it "
                    "is " RANGE_FORMAT " (" U64_FORMAT " bytes), not " RANGE_FORMAT "%s",
                    raw->id, RANGE_ARGS(raw->range), RANGE_ARGS(only), placement_bytes(frame_range_frames(only)),
                    RANGE_ARGS(range), hint);
        return false;
    }
    *ret_placement = (Placement){ .raw = raw, .range = range, .device = raw->range };
    return true;
}

bool placement_at(const State *state, FrameRange range, bool init_labels, Placement *ret_placement, GError **error) {
    Raw *raw = find_raw(state, range, error);
    if (!raw)
        return false;
    if (raw->unusable) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "nothing can be made in the raw region %s (" RANGE_FORMAT
                    "): %s; use another raw region, or put this one right",
                    raw->id, RANGE_ARGS(raw->range), raw->unusable);
        return false;
    }
    if (raw->unmanaged && placement_makes_labels(raw, init_labels)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "the raw region %s (" RANGE_FORMAT
                    ") is not managed, so its labels are not initialised: name it in Manage= of pmemd.conf first",
                    raw->id, RANGE_ARGS(raw->range));
        return false;
    }
    if (placement_is_whole(raw, init_labels))
        return place_whole(raw, range, ret_placement, error);

    FrameRange device = { range.start - MIN(raw->lead, range.start), range.end };
    if (range.start - raw->range.start < raw->lead || !device_is_valid(raw, device)) {
        set_unfit_error(raw, range, error);
        return false;
    }
    *ret_placement = (Placement){
        .raw = raw,
        .range = range,
        .device = device,
        .init_labels = placement_makes_labels(raw, init_labels),
    };
    return true;
}

/* ---- rules 5 / 6 ---- */

static void set_exists_error(const Placement *placement, const Occupant *occupant, GError **error) {
    bool is_pool = occupant->kind == OCCUPANT_POOL;
    const Pool *pool = (const Pool *) occupant;
    const Region *region = (const Region *) occupant;
    g_autofree char *who = is_pool ? placement_describe_pool(pool) : placement_describe_region(region);
    const char *state = is_pool ? pool_state_to_string(pool->state) : region_state_to_string(region->state);
    const char *remedy = !is_pool && region->state == REGION_QUARANTINED
                             ? "choose other frames, or wait until it is erased"
                             : "choose other frames, or release it first";

    if (placement->init_labels)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                    "making labels on the raw region %s would destroy %s (%s), whose device is " RANGE_FORMAT
                    ": release it first",
                    placement->raw->id, who, state, RANGE_ARGS(occupant->entry.range));
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                    "the device range " RANGE_FORMAT " of the frames " RANGE_FORMAT
                    " overlaps %s (%s), frames " RANGE_FORMAT ", device " RANGE_FORMAT ": %s",
                    RANGE_ARGS(placement->device), RANGE_ARGS(placement->range), who, state,
                    RANGE_ARGS(is_pool ? pool->sb.range : region->range), RANGE_ARGS(occupant->entry.range), remedy);
}

static void set_busy_error(const Placement *placement, const Foreign *foreign, GError **error) {
    g_autofree char *who = describe_foreign(foreign);
    g_autofree char *what = NULL;

    switch (foreign->kind) {
    case FOREIGN_ORPHAN:
        what =
            g_strdup_printf("is a data region of the lost pool %08x, unknown to every journal here: bring the pool's "
                            "management region back, or, if the content is not needed, delete the device with the "
                            "platform's own tool",
                            foreign->tag_pool);
        break;
    case FOREIGN_UNFORMATTED:
        what = g_strdup("was to become a management region, but holds no superblock: delete the device with the "
                        "platform's own tool if its content is not needed");
        break;
    case FOREIGN_FOREIGN:
    default:
        what =
            g_strdup("was not made by pmemd and is left alone: choose other frames, or delete the device with the tool "
                     "that made it");
        break;
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "the device range " RANGE_FORMAT " of the frames " RANGE_FORMAT " overlaps %s at " RANGE_FORMAT
                ", which %s",
                RANGE_ARGS(placement->device), RANGE_ARGS(placement->range), who, RANGE_ARGS(foreign->device), what);
}

/* Labels discard what others had there: init-labels consents to that. Ours, known or not, is never discarded. */
static bool foreign_is_in_the_way(const Placement *placement, const Foreign *foreign) {
    return !(placement->init_labels && foreign->kind == FOREIGN_FOREIGN);
}

static bool check_overlap(const State *state, const Placement *placement, GError **error) {
    FrameRange range = placement->init_labels ? placement->raw->range : placement->device;
    RegionMapEntry *entry = region_map_find_overlap(placement->raw->map, range);
    const Foreign *foreign = NULL;

    /* Ours is named before foreign ones, wherever it stands. */
    for (; entry && entry->range.start < range.end; entry = region_map_next(placement->raw->map, entry)) {
        const Occupant *occupant = (const Occupant *) entry;

        if (occupant->kind != OCCUPANT_FOREIGN) {
            set_exists_error(placement, occupant, error);
            return false;
        }
        if (!foreign && foreign_is_in_the_way(placement, (const Foreign *) occupant))
            foreign = (const Foreign *) occupant;
    }

    GPtrArray *pools = state_pools(state);
    for (guint i = 0; i < pools->len; i++) {
        entry = region_map_find_overlap(((const Pool *) g_ptr_array_index(pools, i))->unplaced, range);
        if (entry) {
            set_exists_error(placement, (const Occupant *) entry, error);
            return false;
        }
    }

    GPtrArray *foreigns = state_foreigns(state);
    for (guint i = 0; i < foreigns->len && !foreign; i++) {
        const Foreign *candidate = g_ptr_array_index(foreigns, i);

        if (foreign_is_unmapped(candidate) && frame_range_overlaps(candidate->device, range) &&
            foreign_is_in_the_way(placement, candidate))
            foreign = candidate;
    }
    if (foreign) {
        set_busy_error(placement, foreign, error);
        return false;
    }
    return true;
}

/* ---- rule 7 ---- */

bool placement_check_slots(const Raw *raw, GError **error) {
    if (!raw->subdividable || raw->free_slots >= PLACEMENT_SLOTS_MIN)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                "a DIMM of the raw region %s has " U64_FORMAT
                " free label slots, but %d are needed (one for the new region, "
                "one kept free for updates): release a region there, or use another raw region",
                raw->id, raw->free_slots, PLACEMENT_SLOTS_MIN);
    return false;
}

bool placement_check_free(const State *state, const Placement *placement, GError **error) {
    return check_overlap(state, placement, error) && placement_check_slots(placement->raw, error);
}

/* ---- bad frames ---- */

bool placement_check_bad(const GArray *bad, FrameRange range, const char *what, const char *raw_id, bool allow,
                         GError **error) {
    uint64_t frames = frame_set_frames_in(bad, range);

    if (frames == 0 || allow)
        return true;

    g_autoptr(GArray) inside = frame_set_new();
    frame_set_add_all(inside, bad, range);
    g_autofree char *extents = frame_set_format(inside, EXTENTS_NAMED);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                U64_FORMAT " frames of %s " RANGE_FORMAT
                           " in raw region %s cannot be read (bad blocks): %s; choose other frames, clear the bad ones "
                           "(pmemctl clear-bad-frames %s), or set it up all the same with the option "
                           "allow-degraded",
                frames, what, RANGE_ARGS(range), raw_id, extents, raw_id);
    return false;
}
