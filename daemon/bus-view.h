/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the exported objects share: the manager they show, and how much of it whoever asks may see.
 * Promises: physical addresses, device paths and owners leave pmemd only in answers to the privileged and, of
 * a region, to its owner; never in signals and never in an answer to somebody unknown. Used by bus, bus-list, bus-region, bus-job.
 */
#pragma once

#include "daemon/bus-audit.h"
#include "daemon/bus-news.h"
#include "daemon/bus-unread.h"
#include "daemon/caller.h"
#include "daemon/manager.h"

#define BUS_UNKNOWN_UID UINT32_MAX

/* Objects that one GetManagedObjects or Introspect may carry: what a message of 32 MiB takes with room to spare. */
#define BUS_OBJECTS_MAX 16384u
#define BUS_OBJECT_BYTES 2048u /* of one in GetManagedObjects, at most */

typedef struct {
    sd_bus *bus;
    Manager *manager;
    CallerCache *callers;
    BusNews *news;
    BusUnread *unread;
    BusAudit *audit;
    const Caller *on_behalf; /* of whom the message that is being answered was sent; NULL: of its sender */
} BusView;

/* The two ends of a method's handler, now or later; both count the call. A refused change leaves its line in the audit record; one
 * that was done is told to view->audit by who did it. */
void bus_view_refuse(const BusView *view, sd_bus_message *call, const GError *error);
/* r: what came of sending the answer: nobody could be told that it failed. */
void bus_view_answered(const BusView *view, sd_bus_message *call, int r);

/* Whoever sent the message that is being answered; NULL: not known, or it goes to more than one. Valid while it is
 * answered. */
const Caller *bus_view_viewer(const BusView *view);
/* May viewer (NULL: anyone) see all of everything? */
bool bus_view_is_privileged(const Caller *viewer);
/* Is the message that is being answered an Introspect, and not GetManagedObjects? */
bool bus_view_is_introspecting(const BusView *view);

/* A region as people and programs see it, whatever kind it has. Strings belong to the state or are static. */
typedef struct {
    const char *kind, *name, *state, *state_reason, *owner, *profile, *device_path, *health;
    const GArray *bad_extents; /* frame-set; NULL: none that the viewer may see */
    uint64_t bad_frames;
    char uuid[PMEMD_UUID_STRING_MAX], pool[PMEMD_UUID_STRING_MAX];
    uint64_t start_frame, end_frame, bytes, extent_start, extent_end, used_frames, free_frames, created_usec;
    uint32_t owner_uid, data_regions, max_regions;
    int32_t node, local_node;
    int dirty;
} RegionFacts;

/* viewer NULL: what anyone may see. */
void region_facts_of_pool(const Pool *pool, const Caller *viewer, RegionFacts *ret_facts);
void region_facts_of_region(const Region *region, const Caller *viewer, RegionFacts *ret_facts);
/* false: neither a pool nor a data region has this uuid. */
bool region_facts_by_uuid(const BusView *view, sd_id128_t uuid, const Caller *viewer, RegionFacts *ret_facts);
/* Who has a data region, as viewer may see it; nothing of it shows when nobody has, or when viewer may not see it. Strings are the
 * state's: valid until it changes. */
typedef struct {
    const char *owner, *user, *until; /* "" none */
    uint64_t since_usec, guest_frame; /* 0 none; PMEMD_FRAME_INVALID not known */
    uint32_t uid;                     /* BUS_UNKNOWN_UID none */
    int confirmed;                    /* boolean */
} LeaseFacts;
void lease_facts_of_region(const State *state, const Region *region, const Caller *viewer, LeaseFacts *ret_facts);
/* May viewer see who has it? Its owner, and whoever has it. */
bool bus_view_shows_lease(const Caller *viewer, const Region *region, const Lease *lease);
/* May viewer see all of the region, or of the pool? */
bool bus_view_shows_region(const Caller *viewer, const Region *region);
bool bus_view_shows_pool(const Caller *viewer, const Pool *pool);
