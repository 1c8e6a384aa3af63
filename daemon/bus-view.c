/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-view.h"

#include "daemon/bus-error.h"
#include "daemon/log.h"
#include "proto/error.h"

#include <errno.h>
#include <string.h>

static void count(const BusView *view, sd_bus_message *call, const GError *error) {
    int code = !error ? -1 : error->domain == PMEMD_ERROR ? error->code : PMEMD_ERROR_INTERNAL;

    stats_count_call(manager_stats(view->manager), sd_bus_message_get_member(call), code);
}

void bus_view_refuse(const BusView *view, sd_bus_message *call, const GError *error) {
    count(view, call, error);
    bus_audit_refused(view->audit, call, caller_known(view->callers, call), error);
    bus_error_reply(call, error);
}

void bus_view_answered(const BusView *view, sd_bus_message *call, int r) {
    if (r >= 0 || r == -ENOTCONN)
        count(view, call, NULL);
    else
        log_message(LOG_WARNING, NULL, sd_bus_message_get_sender(call), "cannot send a reply, ignoring: %s",
                    g_strerror(-r));
}

const Caller *bus_view_viewer(const BusView *view) {
    sd_bus_message *message = sd_bus_get_current_message(view->bus);

    /* A signal that is made while a call is answered is not for that caller alone. */
    if (bus_news_is_sending(view->news) || !message)
        return NULL;
    return view->on_behalf ? view->on_behalf : caller_known(view->callers, message);
}

bool bus_view_is_privileged(const Caller *viewer) {
    return viewer && viewer->privileged;
}

bool bus_view_shows_region(const Caller *viewer, const Region *region) {
    return viewer && (viewer->privileged || rules_is_own(region->owner_uid, region->user, viewer->uid, viewer->user));
}

bool bus_view_shows_pool(const Caller *viewer, const Pool *pool) {
    return viewer && (viewer->privileged || rules_is_own(pool->owner_uid, pool->user, viewer->uid, viewer->user));
}

bool bus_view_is_introspecting(const BusView *view) {
    sd_bus_message *message = sd_bus_get_current_message(view->bus);

    return message && sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Introspectable", "Introspect") > 0;
}

static void hide(RegionFacts *facts) {
    facts->start_frame = facts->end_frame = 0;
    facts->extent_start = facts->extent_end = 0;
    facts->device_path = facts->owner = facts->state_reason = "";
    facts->bad_extents = NULL;
    facts->owner_uid = BUS_UNKNOWN_UID;
}

static void facts_of_raw(const Raw *raw, RegionFacts *facts) {
    facts->node = raw ? raw->node : -1;
    facts->local_node = raw ? raw->local_node : -1;
    facts->health = raw ? raw_health(raw) : "";
}

static void facts_of_bad(const RegionBad *bad, RegionFacts *facts) {
    facts->bad_frames = region_bad_frames(bad);
    facts->bad_extents = bad ? bad->all : NULL;
}

void region_facts_of_pool(const Pool *pool, const Caller *viewer, RegionFacts *ret_facts) {
    Profile profile;
    RegionFacts facts = {
        .kind = region_kind_to_string(REGION_KIND_MGMT),
        .name = pool->name ?: "",
        .state = pool_state_text(pool),
        .state_reason = pool_state_reason(pool) ?: "",
        .owner = pool->user ?: "",
        .profile = profile_from_bytes(pool->sb.page_info_bytes, pool->sb.m2p_bytes, &profile)
                       ? profile_to_string(profile)
                       : "",
        .device_path = pool->path ?: "",
        .start_frame = pool->sb.range.start,
        .end_frame = pool->sb.range.end,
        .bytes = frame_range_frames(pool->sb.range) << PMEMD_FRAME_SHIFT,
        .used_frames = pool_used_frames(pool),
        .free_frames = pool_free_frames(pool),
        .created_usec = pool->sb.created,
        .owner_uid = pool->owner_uid,
        .data_regions = pool->n_regions,
        .max_regions = jf_geometry_max_regions(&pool->sb.geo),
    };

    pmemd_uuid_format(pool->sb.member_uuid, facts.uuid);
    pmemd_uuid_format(pool->sb.member_uuid, facts.pool);
    facts_of_raw(pool->occupant.raw, &facts);
    facts_of_bad(pool_own_bad(pool), &facts);
    if (!bus_view_shows_pool(viewer, pool))
        hide(&facts);
    *ret_facts = facts;
}

void region_facts_of_region(const Region *region, const Caller *viewer, RegionFacts *ret_facts) {
    RegionFacts facts = {
        .kind = region_kind_to_string(REGION_KIND_DATA),
        .name = region->name ?: "",
        .state = region_state_text(region),
        .state_reason = region_state_reason(region) ?: "",
        .owner = region->user ?: "",
        .profile = "",
        .device_path = region_path(region) ?: "",
        .start_frame = region->range.start,
        .end_frame = region->range.end,
        .bytes = region_bytes(region),
        .extent_start = region->extent.range.start,
        .extent_end = region->extent.range.end,
        .created_usec = region->time,
        .owner_uid = region->owner_uid,
        .dirty = (region->flags & JF_REGION_DIRTY) != 0,
    };

    pmemd_uuid_format(region->uuid, facts.uuid);
    pmemd_uuid_format(region->pool->sb.member_uuid, facts.pool);
    facts_of_raw(region->occupant.raw, &facts);
    facts_of_bad(region_bad(region), &facts);
    if (!bus_view_shows_region(viewer, region))
        hide(&facts);
    *ret_facts = facts;
}

bool bus_view_shows_lease(const Caller *viewer, const Region *region, const Lease *lease) {
    return bus_view_shows_region(viewer, region) ||
           (viewer && lease->uid == viewer->uid && strcmp(lease->user, viewer->user) == 0);
}

void lease_facts_of_region(const State *state, const Region *region, const Caller *viewer, LeaseFacts *ret_facts) {
    const Lease *lease = region ? state_lease(state, region) : NULL;

    if (!lease || !bus_view_shows_lease(viewer, region, lease)) {
        *ret_facts = (LeaseFacts){ "", "", "", 0, PMEMD_FRAME_INVALID, BUS_UNKNOWN_UID, false };
        return;
    }
    *ret_facts = (LeaseFacts){
        .owner = lease->owner,
        .user = lease->user,
        .until = lease_until_to_string(lease->sender != NULL),
        .since_usec = lease->since,
        .guest_frame = lease->guest_frame,
        .uid = lease->uid,
        .confirmed = lease->confirmed,
    };
}

bool region_facts_by_uuid(const BusView *view, sd_id128_t uuid, const Caller *viewer, RegionFacts *ret_facts) {
    const State *state = manager_state(view->manager);
    const Region *region = state_region_by_uuid(state, uuid);

    if (region) {
        region_facts_of_region(region, viewer, ret_facts);
        return true;
    }
    const Pool *pool = state_pool_by_uuid(state, uuid);
    if (!pool)
        return false;
    region_facts_of_pool(pool, viewer, ret_facts);
    return true;
}
