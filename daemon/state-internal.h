/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What state.c (the containers, raw regions, foreign devices, pools), state-region.c (data regions, answers),
 * state-lease.c (leases), state-erase.c (what is to be erased) and state-apply.c (the journal's words) share; nobody else includes it.
 */
#pragma once

#include "daemon/state.h"

struct State {
    GPtrArray *raws;     /* Raw *, by start */
    GPtrArray *foreigns; /* Foreign *, by device.start */
    GPtrArray *pools;    /* Pool *, by sb.range.start */
    GHashTable *regions; /* sd_id128_t * in the Region: region_of_uuid(). A set, which has one pointer a region */
    GHashTable *usage;   /* uid -> StateUsage * of those who own a data region */
    GHashTable *erases;  /* Region * -> Erase *: those that the journal tells of */
    GHashTable *answers; /* Answer * (as its own key) -> itself; owned by pool->answers */
    guint in_state[N_REGION_STATES]; /* data regions, by theirs */
    GHashTable *leases;              /* Region * -> Lease *: who has it, or had it last */
    GHashTable *leases_of;           /* uid -> how many it has */
    GTree *leased;                   /* Region *: those whose lease is held, by place */
    guint n_leases, n_unconfirmed;   /* that are held; of these */
};

/* uuid: Region.uuid of the region wanted. */
static inline Region *region_of_uuid(sd_id128_t *uuid) {
    return (Region *) ((char *) uuid - G_STRUCT_OFFSET(Region, uuid));
}

/* Occupants of device ranges. The entry is all zero until it is placed: region_map_reserve() fills it. */
void occupant_set(Occupant *occupant, OccupantKind kind, Raw *raw);
/* false: its range is taken or outside the map; nothing has changed. */
bool occupant_place(Occupant *occupant, RegionMap *map, FrameRange device);
void occupant_unplace(Occupant *occupant); /* placed nowhere: does nothing */

/* Makes a region of pool from its record, in state CREATING or OK, and enters it everywhere; NULL with error
 * (CORRUPT). */
Region *state_insert_region(State *state, Pool *pool, const JfRegion *record, Intent *intent, GError **error);
/* Takes it out of everything and frees it. */
void state_remove_region(State *state, Region *region);
/* The region is another user's from now on. */
void state_set_region_owner(State *state, Region *region, uint32_t uid);
/* Closes the open intent of the region. */
void state_close_intent(Region *region);
void state_open_intent(Region *region, Intent *intent);
/* By device start, then uuid; of const Region *. */
gint state_compare_places(gconstpointer a, gconstpointer b);
/* In place of the one that was there. confirmed while nothing is replayed. */
void state_put_lease(State *state, Region *region, const JfLease *record);
/* The one that is held is over: only whose it was stays. */
void state_end_lease(State *state, Region *region);
/* Nothing of it stays; none is fine. */
void state_drop_lease(State *state, Region *region);
/* The record that stands for it in a snapshot. */
void lease_to_record(const Region *region, const Lease *lease, JfLease *ret_record);
/* state-bad.c: a BAD_FRAMES record; false with error (CORRUPT). */
bool state_apply_bad(State *state, Pool *pool, const JfBadFrames *record, GError **error);
/* Forgets what is known of it. */
void state_drop_bad(Pool *pool, sd_id128_t uuid);
void state_emit_bad(const Pool *pool, sd_id128_t uuid, StateEmit emit, void *data);
/* Keeps the answer, forgets the oldest one past the cap; the same (id, uid) replaces. */
void state_add_answer(State *state, Pool *pool, const JfRequest *request);
/* Its device keeps the tag that it has. */
void region_set_tag_pool(Region *region, uint32_t number);
/* NULL or "" takes the name away. The caller has checked that it is free in the pool. */
void region_set_name(Region *region, const char *name);
/* --- state-erase.c --- */
bool state_apply_erase(State *state, Pool *pool, const uint8_t *payload, size_t len, GError **error);
/* What a snapshot says of it, and how long that is; 0: nothing. */
size_t state_encode_erase(const State *state, const Region *region, uint8_t buf[static JF_PAYLOAD_MAX]);
void state_forget_erase(State *state, const Region *region);
/* What was believed to be durable in the pool may not be: every erase starts again. */
void state_distrust_erases(State *state, const Pool *pool);

/* Region * by their paths. */
guint state_path_hash(gconstpointer p);
gboolean state_path_equal(gconstpointer a, gconstpointer b);
#define STATE_PATH_WHOLE UINT16_MAX
/* The record that stands for the region in a snapshot. */
void region_to_record(const Region *region, JfRegion *ret_record);
uint64_t region_snapshot_bytes(const Region *region);
