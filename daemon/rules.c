/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The four requests that make a region, each as the rules of docs/architecture.md in their order. What only looks at
 * devices is in rules-placement.c and rules-allocate.c, what only looks at one pool in rules-pool.c.
 */
#include "daemon/rules.h"

#include "daemon/frame-set.h"
#include "daemon/rules-placement.h"
#include "proto/error.h"

#include <string.h>

#define POOLS_NAMED 4        /* in a message */
#define MAP_BYTES_A_FRAME 64 /* struct page, which the kernel makes for each frame of a device that it maps */

/* ---- what all have in common ---- */

static void plan_place(RegionPlan *plan, RegionKind kind, const Placement *placement, uint64_t requested_bytes) {
    uint64_t frames = frame_range_frames(placement->range);

    *plan = (RegionPlan){
        .kind = kind,
        .raw = placement->raw,
        .range = placement->range,
        .device = placement->device,
        .requested_bytes = requested_bytes,
        .host_memory_bytes = g_strcmp0(placement->raw->kind, "file") == 0 ? 0 : frames * MAP_BYTES_A_FRAME,
        .init_labels = placement->init_labels,
    };
}

/* ---- management regions ---- */

static bool check_mgmt_options(const MgmtRequest *request, GError **error) {
    if ((unsigned) request->profile >= N_PROFILES) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "profile number %d is not known: use xen, linux or none", (int) request->profile);
        return false;
    }
    if (request->max_regions < 1 || request->max_regions > JF_MAX_REGIONS_LIMIT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "max-regions is %u: give a number from 1 to %u",
                    request->max_regions, JF_MAX_REGIONS_LIMIT);
        return false;
    }
    return true;
}

static uint64_t profile_frames(Profile profile, uint64_t frames) {
    return pool_required_frames(profile_page_info_bytes(profile), profile_m2p_bytes(profile), frames);
}

/* The least management region: frames for the journal, and for itself. The least fixed point, reached from below. */
static uint64_t least_mgmt_frames(Profile profile, uint64_t journal_frames) {
    uint64_t frames = 0;
    uint64_t next = journal_frames;

    while (next != frames && next < PMEMD_FRAME_LIMIT) {
        frames = next;
        next = journal_frames + profile_frames(profile, frames);
    }
    return next;
}

/* Rule 4 of SetupMgmt; fills the plan's part about it. */
static bool plan_mgmt(const MgmtRequest *request, RegionPlan *plan, GError **error) {
    uint64_t available = frame_range_frames(plan->range);
    uint64_t own = profile_frames(request->profile, available);

    plan->journal_frames = jf_journal_frames(plan->raw->step, request->max_regions);
    plan->required_frames = own + plan->journal_frames;
    plan->profile = request->profile;
    plan->max_regions = request->max_regions;
    if (plan->required_frames <= available)
        return true;

    uint64_t least = least_mgmt_frames(request->profile, plan->journal_frames);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                "the management region " RANGE_FORMAT " has 0x%" G_GINT64_MODIFIER "x frames (" U64_FORMAT
                " bytes), but needs 0x%" G_GINT64_MODIFIER "x (" U64_FORMAT " bytes): 0x%" G_GINT64_MODIFIER
                "x for its own frames (profile %s) and 0x%" G_GINT64_MODIFIER
                "x for the journal (max-regions %u); make it at least 0x%" G_GINT64_MODIFIER "x frames (" U64_FORMAT
                " bytes), and larger by what its data regions will need",
                RANGE_ARGS(plan->range), available, placement_bytes(available), plan->required_frames,
                placement_bytes(plan->required_frames), own, profile_to_string(request->profile), plan->journal_frames,
                request->max_regions, least, placement_bytes(least));
    return false;
}

/* What nobody may overrule: a journal in bad frames would be lost at once. */
static bool check_journal_bad(const RegionPlan *plan, GError **error) {
    const Raw *raw = plan->raw;
    uint64_t tail = jf_journal_tail_frames(raw->step);
    FrameRange head = { plan->range.start, plan->range.start + plan->journal_frames - tail };
    FrameRange copies = { plan->range.end - tail, plan->range.end };

    return placement_check_bad(raw->bad, head, "the journal's frames", raw->id, false, error) &&
           placement_check_bad(raw->bad, copies, "the journal's frames", raw->id, false, error);
}

/* Rule 8. */
static bool check_mgmt_bad(const MgmtRequest *request, RegionPlan *plan, GError **error) {
    if (!placement_check_bad(plan->raw->bad, plan->device, "the device range", plan->raw->id, request->allow_degraded,
                             error) ||
        !check_journal_bad(plan, error))
        return false;
    plan->bad_frames = frame_set_frames_in(plan->raw->bad, plan->device);
    return true;
}

bool rules_setup_mgmt(const State *state, const MgmtRequest *request, RegionPlan *ret_plan, GError **error) {
    Placement placement;
    RegionPlan plan;

    if (!check_mgmt_options(request, error) || !placement_check_range(request->range, "the range", error) ||
        !placement_at(state, request->range, request->init_labels, &placement, error))
        return false;
    plan_place(&plan, REGION_KIND_MGMT, &placement, placement_bytes(frame_range_frames(request->range)));
    if (!plan_mgmt(request, &plan, error) || !placement_check_free(state, &placement, error) ||
        !check_mgmt_bad(request, &plan, error) || !rules_name(state, NULL, request->name, NULL, error))
        return false;
    *ret_plan = plan;
    return true;
}

bool rules_allocate_mgmt(const State *state, const MgmtRequest *request, RegionPlan *ret_plan, GError **error) {
    PlacementWish wish = {
        .bytes = request->bytes,
        .node = request->node,
        .alignment = request->alignment,
        .init_labels = request->init_labels,
    };
    Placement placement;
    RegionPlan plan;

    if (!check_mgmt_options(request, error) || !placement_allocate(state, &wish, &placement, error))
        return false;
    plan_place(&plan, REGION_KIND_MGMT, &placement, request->bytes);
    if (!plan_mgmt(request, &plan, error) || !rules_name(state, NULL, request->name, NULL, error))
        return false;
    *ret_plan = plan;
    return true;
}

/* ---- data regions ---- */

bool rules_owner(const State *state, const OwnerLimits *owner, uint64_t bytes, GError **error) {
    StateUsage used = state_usage(state, owner->uid);

    if (owner->max_regions > 0 && used.regions >= owner->max_regions) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "user %u owns %u data regions, those being erased included, and may own %u (MaxRegionsPerUser= in "
                    "pmemd.conf): release some, or ask the administrator for more",
                    owner->uid, used.regions, owner->max_regions);
        return false;
    }
    if (!owner->has_quota || (used.bytes <= owner->quota_bytes && bytes <= owner->quota_bytes - used.bytes))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                "user %u owns " U64_FORMAT
                " bytes of data regions, those being erased included, and asks for " U64_FORMAT
                " more, but its quota is " U64_FORMAT
                " bytes ([quota ...] in pmemd.conf: %s): release some, ask for less, or ask the administrator for more",
                owner->uid, used.bytes, bytes, owner->quota_bytes, owner->quota_source);
    return false;
}

/* Frames of the management extent of so many data frames. */
static uint64_t extent_frames(const Pool *pool, uint64_t data_frames) {
    return MAX(pool_required_frames(pool->sb.page_info_bytes, pool->sb.m2p_bytes, data_frames), 1);
}

/* "management regions: 0x... - 0x..., ..." */
static char *describe_pools(const State *state) {
    GPtrArray *pools = state_pools(state);
    g_autoptr(GString) text = g_string_new(NULL);

    if (pools->len == 0)
        return g_strdup("there is none: set one up first");
    for (guint i = 0; i < pools->len && i < POOLS_NAMED; i++) {
        const Pool *pool = g_ptr_array_index(pools, i);
        g_autofree char *who = placement_describe_pool(pool);

        g_string_append_printf(text, "%s%s at " RANGE_FORMAT, i == 0 ? "" : ", ", who, RANGE_ARGS(pool->sb.range));
    }
    if (pools->len > POOLS_NAMED)
        g_string_append_printf(text, " and %u more", pools->len - POOLS_NAMED);
    return g_strdup(text->str);
}

/* Rule 4 of SetupData. */
static Pool *find_mgmt(const State *state, FrameRange mgmt, GError **error) {
    Pool *pool = state_pool_for(state, mgmt);

    if (!pool) {
        g_autofree char *known = describe_pools(state);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                    "the management frames " RANGE_FORMAT
                    " lie in no management region: give frames inside of one (%s)",
                    RANGE_ARGS(mgmt), known);
        return NULL;
    }
    return rules_pool_writable(pool, error) ? pool : NULL;
}

/* Who has this part of a pool's frames. */
static char *describe_extent(const Pool *pool, const RegionMapEntry *entry) {
    if (entry == &pool->head)
        return g_strdup("superblock, roots and journal");
    if (entry == &pool->own)
        return g_strdup("what the management region needs for its own frames");
    if (entry == &pool->tail)
        return g_strdup("the copies of superblock and roots");

    g_autofree char *who =
        placement_describe_region((const Region *) ((const char *) entry - G_STRUCT_OFFSET(Region, extent)));
    return g_strdup_printf("the management extent of %s", who);
}

/* Where the administrator would find room for an extent. */
static char *describe_room(const Pool *pool, uint64_t required) {
    FrameRange fit;

    if (pool_fit_extent(pool, required, &fit))
        return g_strdup_printf("it would fit at " RANGE_FORMAT, RANGE_ARGS(fit));
    return g_strdup_printf("no gap of this management region has so many (largest: 0x%" G_GINT64_MODIFIER
                           "x, free in total: 0x%" G_GINT64_MODIFIER "x): release data regions or use another one",
                           pool_largest_gap(pool), pool_free_frames(pool));
}

/* Rule 5 of SetupData; mgmt passed rule 1 and lies in pool. Fills the plan's extent. */
static bool plan_extent(Pool *pool, FrameRange mgmt, RegionPlan *plan, GError **error) {
    uint64_t required = extent_frames(pool, frame_range_frames(plan->range));
    uint64_t offered = frame_range_frames(mgmt);

    if (required > offered) {
        g_autofree char *room = describe_room(pool, required);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "0x%" G_GINT64_MODIFIER "x data frames need 0x%" G_GINT64_MODIFIER
                    "x management frames (" U64_FORMAT " bytes), but " RANGE_FORMAT " has 0x%" G_GINT64_MODIFIER
                    "x (" U64_FORMAT " bytes): offer more; %s",
                    frame_range_frames(plan->range), required, placement_bytes(required), RANGE_ARGS(mgmt), offered,
                    placement_bytes(offered), room);
        return false;
    }

    FrameRange extent = { mgmt.start, mgmt.start + required };
    const RegionMapEntry *used = region_map_find_overlap(pool->extents, extent);
    if (used) {
        g_autofree char *room = describe_room(pool, required);
        g_autofree char *who = describe_extent(pool, used);
        uint64_t free_frames = used->range.start > extent.start ? used->range.start - extent.start : 0;

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "0x%" G_GINT64_MODIFIER "x data frames need 0x%" G_GINT64_MODIFIER
                    "x management frames, but at 0x%" G_GINT64_MODIFIER "x only 0x%" G_GINT64_MODIFIER
                    "x are free: " RANGE_FORMAT " is %s; %s",
                    frame_range_frames(plan->range), required, extent.start, free_frames, RANGE_ARGS(used->range), who,
                    room);
        return false;
    }
    plan->pool = pool;
    plan->extent = extent;
    plan->required_frames = required;
    return true;
}

/* Adds those of the extent to the plan's bad frames. */
static bool check_extent_bad(RegionPlan *plan, bool allow, GError **error) {
    const RegionBad *own = pool_own_bad(plan->pool);
    const GArray *own_bad = own ? own->all : NULL;
    const Raw *home = plan->pool->occupant.raw;

    if (!placement_check_bad(own_bad, plan->extent, "the management extent", home ? home->id : "of the pool", allow,
                             error))
        return false;
    plan->bad_frames += frame_set_frames_in(own_bad, plan->extent);
    return true;
}

/* Rule 8. */
static bool check_data_bad(const DataRequest *request, RegionPlan *plan, GError **error) {
    if (!placement_check_bad(plan->raw->bad, plan->device, "the device range", plan->raw->id, request->allow_degraded,
                             error))
        return false;
    plan->bad_frames = frame_set_frames_in(plan->raw->bad, plan->device);
    return check_extent_bad(plan, request->allow_degraded, error);
}

bool rules_setup_data(const State *state, const DataRequest *request, RegionPlan *ret_plan, GError **error) {
    Placement placement;
    RegionPlan plan;
    Pool *pool;

    if (!placement_check_range(request->range, "the range", error) ||
        !placement_at(state, request->range, false, &placement, error) ||
        !placement_check_range(request->mgmt, "the management range", error))
        return false;
    pool = find_mgmt(state, request->mgmt, error);
    if (!pool || !rules_owner(state, &request->owner, placement_bytes(frame_range_frames(request->range)), error))
        return false;
    plan_place(&plan, REGION_KIND_DATA, &placement, placement_bytes(frame_range_frames(request->range)));
    if (!plan_extent(pool, request->mgmt, &plan, error) || !placement_check_free(state, &placement, error) ||
        !check_data_bad(request, &plan, error) || !rules_name(state, pool, request->name, NULL, error) ||
        !rules_journal_room(pool, request->name ? strlen(request->name) : 0, PMEMD_USER_MAX, error))
        return false;
    *ret_plan = plan;
    return true;
}

/* ---- data regions whose pool is chosen ---- */

/* The pool that the request names. */
static Pool *find_named_pool(const State *state, const char *text, GError **error) {
    Pool *pool = state_pool_by_key(state, text);

    if (!pool) {
        g_autofree char *start = g_strndup(text, PMEMD_NAME_MAX);
        g_autofree char *shown = g_strescape(start, NULL);
        g_autofree char *known = describe_pools(state);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                    "no management region has the uuid or name \"%s\": give one that exists (%s)", shown, known);
        return NULL;
    }
    return rules_pool_writable(pool, error) ? pool : NULL;
}

static bool pool_has_room(const Pool *pool, uint64_t required, size_t name_len, GError **error) {
    if (pool_largest_gap(pool) < required) {
        g_autofree char *who = placement_describe_pool(pool);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "the data region needs 0x%" G_GINT64_MODIFIER "x management frames (" U64_FORMAT
                    " bytes) in one piece, but the largest gap of %s has 0x%" G_GINT64_MODIFIER
                    "x, and 0x%" G_GINT64_MODIFIER
                    "x are free in total: ask for less, release data regions, or make another management region",
                    required, placement_bytes(required), who, pool_largest_gap(pool), pool_free_frames(pool));
        return false;
    }
    return rules_journal_room(pool, name_len, PMEMD_USER_MAX, error);
}

/* 0: on the same raw region as the data; 1: on the same node; 2: elsewhere. */
static unsigned pool_distance(const Pool *pool, const Raw *raw) {
    const Raw *home = pool->occupant.raw;

    if (home == raw)
        return 0;
    return home && home->node >= 0 && home->node == raw->node ? 1 : 2;
}

/* The nearest pool with room; of equally near ones that with most free frames, then the lowest. */
static Pool *choose_pool(const State *state, const RegionPlan *plan, size_t name_len, GError **error) {
    GPtrArray *pools = state_pools(state);
    g_autoptr(GError) unwritable = NULL;
    g_autoptr(GError) full = NULL;
    Pool *best = NULL;

    for (guint i = 0; i < pools->len; i++) {
        Pool *pool = g_ptr_array_index(pools, i);

        if (!rules_pool_writable(pool, unwritable ? NULL : &unwritable) ||
            !pool_has_room(pool, extent_frames(pool, frame_range_frames(plan->range)), name_len, full ? NULL : &full))
            continue;
        if (!best || pool_distance(pool, plan->raw) < pool_distance(best, plan->raw) ||
            (pool_distance(pool, plan->raw) == pool_distance(best, plan->raw) &&
             pool_free_frames(pool) > pool_free_frames(best)))
            best = pool;
    }
    if (best)
        return best;

    /* One that is full can be emptied, so that says more than one that cannot be changed. */
    if (full)
        g_propagate_error(error, g_steal_pointer(&full));
    else if (unwritable)
        g_propagate_error(error, g_steal_pointer(&unwritable));
    return NULL;
}

/* ---- orphans ---- */

bool rules_adopt(const State *state, const Foreign *foreign, const AdoptRequest *request, RegionPlan *ret_plan,
                 GError **error) {
    size_t name_len = request->name ? strlen(request->name) : 0;
    RegionPlan plan = {
        .kind = REGION_KIND_DATA,
        .raw = foreign->occupant.raw,
        .range = request->usable,
        .device = request->device,
        .requested_bytes = placement_bytes(frame_range_frames(request->usable)),
    };

    if (!plan.raw || !foreign->occupant.map || !frame_range_contains(request->device, request->usable) ||
        request->device.end != request->usable.end) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "device %s at " RANGE_FORMAT " lies in no raw region, or over a region of pmemd's: forget or "
                    "release what has its frames (pmemctl locate), then adopt it",
                    foreign->name, RANGE_ARGS(request->device));
        return false;
    }
    /* A region of no frames is one that no journal may have. */
    if (request->usable.start >= request->usable.end) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "device %s at " RANGE_FORMAT " has no usable frames: it is not whole; forget it (pmemctl forget)",
                    foreign->name, RANGE_ARGS(request->device));
        return false;
    }
    plan.pool = request->pool ? find_named_pool(state, request->pool, error) : NULL;
    if (request->pool && !plan.pool)
        return false;
    if (!plan.pool && state_pools(state)->len == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                            "there is no management region that could keep a data region: set one up first");
        return false;
    }
    if (!plan.pool)
        plan.pool = choose_pool(state, &plan, name_len, error);
    if (!plan.pool)
        return false;

    plan.required_frames = extent_frames(plan.pool, frame_range_frames(plan.range));
    if (request->extent_start != UINT64_MAX) {
        FrameRange rest = { request->extent_start, plan.pool->sb.range.end };

        if (!frame_range_contains(plan.pool->sb.range, rest) || rest.start >= rest.end) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "frame 0x%" G_GINT64_MODIFIER "x is not one of the management region's " RANGE_FORMAT,
                        request->extent_start, RANGE_ARGS(plan.pool->sb.range));
            return false;
        }
        if (!plan_extent(plan.pool, rest, &plan, error) || !check_extent_bad(&plan, false, error) ||
            !rules_journal_room(plan.pool, name_len, PMEMD_USER_MAX, error))
            return false;
    } else if (!pool_has_room(plan.pool, plan.required_frames, name_len, error) ||
               !pool_fit_extent(plan.pool, plan.required_frames, &plan.extent)) {
        return false;
    }
    if (!rules_name(state, plan.pool, request->name, NULL, error))
        return false;
    *ret_plan = plan;
    return true;
}

/* ---- data regions by size ---- */

bool rules_allocate_data(const State *state, const DataRequest *request, RegionPlan *ret_plan, GError **error) {
    PlacementWish wish = { .bytes = request->bytes, .node = request->node, .alignment = request->alignment };
    size_t name_len = request->name ? strlen(request->name) : 0;
    Placement placement;
    RegionPlan plan;
    Pool *pool = NULL;

    if (request->pool) {
        pool = find_named_pool(state, request->pool, error);
        if (!pool)
            return false;
    } else if (state_pools(state)->len == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                            "there is no management region that could keep a data region: set one up first");
        return false;
    }
    /* Whoever may not have it need not know whether there is room; and then again what the device really gives. */
    if (!rules_owner(state, &request->owner, request->bytes, error) ||
        !placement_allocate(state, &wish, &placement, error) ||
        !rules_owner(state, &request->owner, placement_bytes(frame_range_frames(placement.range)), error))
        return false;
    plan_place(&plan, REGION_KIND_DATA, &placement, request->bytes);
    if (!pool) {
        pool = choose_pool(state, &plan, name_len, error);
        if (!pool)
            return false;
    }

    plan.pool = pool;
    plan.required_frames = extent_frames(pool, frame_range_frames(plan.range));
    if (!pool_has_room(pool, plan.required_frames, name_len, error) ||
        !pool_fit_extent(pool, plan.required_frames, &plan.extent) ||
        !rules_name(state, pool, request->name, NULL, error))
        return false;
    *ret_plan = plan;
    return true;
}
