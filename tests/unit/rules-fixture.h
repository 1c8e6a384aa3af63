/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Small hosts for the tests of the rules, built through the state's public functions alone, and what every plan must
 * keep to. Included by the tests of daemon/rules*.c.
 */
#pragma once

#include "daemon/rules.h"
#include "proto/error.h"

#include <string.h>

#define MIB UINT64_C(0x100000)
#define MIB_FRAMES (MIB / PMEMD_FRAME_SIZE)
#define PACKED 4096 /* step of a raw region whose devices stand frame by frame */

static inline FrameRange range(uint64_t start, uint64_t end) {
    return (FrameRange){ start, end };
}

static inline sd_id128_t new_uuid(void) {
    sd_id128_t uuid;

    g_assert_cmpint(sd_id128_randomize(&uuid), ==, 0);
    return uuid;
}

static inline Raw *add_raw(State *state, const char *id, FrameRange where, int node, uint64_t step, uint64_t lead,
                           uint64_t minimum) {
    Raw *raw = raw_new(id, where);

    raw->node = node;
    raw->step = step;
    raw->lead = lead;
    raw->minimum = minimum;
    raw->free_slots = UINT64_MAX;
    raw->subdividable = true;
    raw->kind = g_strdup("labelled");
    g_assert_true(state_add_raw(state, raw));
    return raw;
}

/* A pool at where, its device `lead` frames larger. */
static inline Pool *add_pool(State *state, FrameRange where, uint64_t lead, uint64_t step, Profile profile,
                             const char *name) {
    JfSuperblock sb = {
        .journal_uuid = new_uuid(),
        .member_uuid = new_uuid(),
        .major = JF_MAJOR,
        .page_info_bytes = profile_page_info_bytes(profile),
        .m2p_bytes = profile_m2p_bytes(profile),
        .range = where,
    };
    g_autoptr(GError) error = NULL;

    g_assert_true(jf_geometry(frame_range_frames(where) * PMEMD_FRAME_SIZE, step, 64, 16, &sb.geo, NULL));
    Pool *pool = state_add_pool(state, &sb, range(where.start - lead, where.end), POOL_OK, &error);
    g_assert_no_error(error);
    if (name) {
        JfName record = { .uuid = sb.member_uuid };
        uint8_t payload[JF_PAYLOAD_MAX];

        g_strlcpy(record.name, name, sizeof record.name);
        state_apply(state, pool, JF_NAME, 0, payload, jf_name_encode(&record, payload), &error);
        g_assert_no_error(error);
    }
    return pool;
}

/* type: JF_ADD or JF_INTENT_CREATE (then with txid). */
static inline Region *add_data(State *state, Pool *pool, uint16_t type, uint64_t txid, FrameRange device, uint64_t lead,
                               FrameRange extent, const char *name) {
    JfRegion record = {
        .region_uuid = new_uuid(),
        .device_uuid = new_uuid(),
        .range = range(device.start + lead, device.end),
        .device_start = device.start,
        .extent = extent,
    };
    g_autoptr(GError) error = NULL;
    uint8_t payload[JF_PAYLOAD_MAX];

    g_strlcpy(record.name, name ? name : "", sizeof record.name);
    state_apply(state, pool, type, txid, payload, jf_region_encode(&record, payload), &error);
    g_assert_no_error(error);
    Region *region = state_region_by_uuid(state, record.region_uuid);
    g_assert_nonnull(region);
    return region;
}

static inline void begin_release(State *state, Region *region, uint64_t txid) {
    JfDelete record = { .region_uuid = region->uuid, .request_id = new_uuid() };
    g_autoptr(GError) error = NULL;
    uint8_t payload[JF_PAYLOAD_MAX];

    state_apply(state, region->pool, JF_INTENT_DELETE, txid, payload, jf_delete_encode(&record, payload), &error);
    g_assert_no_error(error);
}

static inline Foreign *add_foreign(State *state, FrameRange device, ForeignKind kind, const char *name) {
    Foreign *foreign = g_new0(Foreign, 1);

    foreign->kind = kind;
    foreign->device = device;
    foreign->uuid = new_uuid();
    foreign->name = g_strdup(name);
    foreign->mode = g_strdup("fsdax");
    state_add_foreign(state, foreign);
    return foreign;
}

/* The request was refused with this code, and the message has each of the texts. */
static inline void check_refused(bool ok, GError **error, int code, const char *const *texts) {
    g_assert_false(ok);
    g_assert_nonnull(*error);
    g_test_message("%s", (*error)->message);
    g_assert_error(*error, PMEMD_ERROR, code);
    for (; *texts; texts++)
        if (!strstr((*error)->message, *texts))
            g_error("\"%s\" is not in: %s", *texts, (*error)->message);
    g_clear_error(error);
}
#define assert_refused(ok, error, code, ...)                                                                           \
    check_refused(ok, error, PMEMD_ERROR_##code, (const char *const[]){ __VA_ARGS__, NULL })

/* What no request, however absurd, may get around. */
static inline void assert_plan_is_sound(const State *state, const RegionPlan *plan) {
    const Raw *raw = plan->raw;
    uint64_t step = MAX(raw->step, PMEMD_FRAME_SIZE) / PMEMD_FRAME_SIZE;
    GPtrArray *foreigns = state_foreigns(state);

    g_assert_cmphex(plan->range.start, <, plan->range.end);
    g_assert_cmphex(plan->range.end, <=, PMEMD_FRAME_LIMIT);
    g_assert_cmphex(plan->device.start + raw->lead, ==, plan->range.start);
    g_assert_cmphex(plan->device.end, ==, plan->range.end);
    g_assert_true(frame_range_contains(raw->range, plan->device));
    g_assert_null(raw->unusable);
    g_assert_cmphex(frame_range_frames(plan->range), >=, plan->requested_bytes / PMEMD_FRAME_SIZE);
    if (!raw->subdividable && !plan->init_labels)
        g_assert_true(frame_range_equal(plan->device, raw->range));
    else {
        g_assert_cmphex((plan->device.start - raw->range.start) % step, ==, 0);
        g_assert_cmphex(frame_range_frames(plan->device) % step, ==, 0);
        g_assert_cmphex(frame_range_frames(plan->device), >=, raw->minimum / PMEMD_FRAME_SIZE);
    }
    if (!plan->init_labels) {
        g_assert_null(region_map_find_overlap(raw->map, plan->device));
        for (guint i = 0; i < foreigns->len; i++)
            g_assert_false(frame_range_overlaps(((Foreign *) g_ptr_array_index(foreigns, i))->device, plan->device));
    }

    for (guint i = 0; i < state_pools(state)->len; i++)
        g_assert_null(
            region_map_find_overlap(((Pool *) g_ptr_array_index(state_pools(state), i))->unplaced, plan->device));
    if (plan->kind == REGION_KIND_MGMT) {
        g_assert_cmphex(plan->required_frames, <=, frame_range_frames(plan->range));
        g_assert_cmphex(plan->journal_frames, <=, plan->required_frames);
        return;
    }
    g_assert_nonnull(plan->pool);
    g_assert_true(frame_range_contains(plan->pool->sb.range, plan->extent));
    g_assert_null(region_map_find_overlap(plan->pool->extents, plan->extent));
    g_assert_cmphex(plan->extent.start, <, plan->extent.end);
    g_assert_cmphex(frame_range_frames(plan->extent), ==, plan->required_frames);
    g_assert_cmphex(plan->required_frames, >=,
                    pool_required_frames(plan->pool->sb.page_info_bytes, plan->pool->sb.m2p_bytes,
                                         frame_range_frames(plan->range)));
}
