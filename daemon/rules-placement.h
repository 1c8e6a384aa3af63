/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Where a device may stand: the rules of a request that look at raw regions and device ranges only, not at pools.
 * Promises: as daemon/rules.h. Private to the rules (rules*.c).
 */
#pragma once

#include "daemon/state.h"

/* For messages: a range as the arguments of "0x... - 0x...". */
#define RANGE_FORMAT "0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x"
#define RANGE_ARGS(r) (r).start, (r).end
#define U64_FORMAT "%" G_GUINT64_FORMAT

typedef struct {
    Raw *raw;         /* that holds the device */
    FrameRange range; /* usable frames */
    FrameRange device;
    bool init_labels; /* labels must be made on raw first: it is then empty */
} Placement;

typedef struct {
    uint64_t bytes;     /* usable bytes wanted */
    int node;           /* -1 any */
    uint64_t alignment; /* bytes, of the first usable frame's host address; 0: the raw region's own */
    bool init_labels;
} PlacementWish;

/* Rule 1: INVALID_ARGUMENT. what names the range in the message: "the range". */
bool placement_check_range(FrameRange range, const char *what, GError **error);
/* Rules 2 and 3 of a range that passed rule 1: INVALID_ARGUMENT, or NOT_SUPPORTED when raw cannot be used. */
bool placement_at(const State *state, FrameRange range, bool init_labels, Placement *ret_placement, GError **error);
/* Rules 5 / 6 (nothing is in the way: EXISTS, BUSY) and 7 (label slots: LIMITS_EXCEEDED). */
bool placement_check_free(const State *state, const Placement *placement, GError **error);

/* Is a bad frame in the way? DEGRADED; allow: no. what names the frames: "the device range". */
bool placement_check_bad(const GArray *bad, FrameRange range, const char *what, const char *raw_id, bool allow,
                         GError **error);

/* Best fit over the raw regions, lowest address breaks a tie: INVALID_ARGUMENT, NO_SPACE or LIMITS_EXCEEDED. */
bool placement_allocate(const State *state, const PlacementWish *asked, Placement *ret_placement, GError **error);

/* Bytes of whole frames: frames * 4096 (frames below PMEMD_FRAME_LIMIT). */
uint64_t placement_bytes(uint64_t frames);
/* Shortest name for people: `data region UUID "name"`. */
char *placement_describe_region(const Region *region);
char *placement_describe_pool(const Pool *pool);

/* --- between rules-placement.c and rules-allocate.c --- */

#define PLACEMENT_SLOTS_MIN 2 /* one for the new label, one stays free for updates of labels */

/* Rule 7 alone. */
bool placement_check_slots(const Raw *raw, GError **error);
uint64_t placement_step_frames(const Raw *raw);
/* Least device range in frames: a multiple of the step, with at least one usable frame; UINT64_MAX: there is none. */
uint64_t placement_minimum_frames(const Raw *raw);
/* Is it one device, the whole region? */
bool placement_is_whole(const Raw *raw, bool init_labels);
/* Would init-labels make labels here? */
bool placement_makes_labels(const Raw *raw, bool init_labels);
/*
 * Where nothing may stand, though the map of raw has nothing there: because something else is there, too, it sticks out
 * of raw, its journal is being replayed, or the frames are bad. FrameRange by start, which may overlap; NULL when there is nothing, which is the rule.
 */
GArray *placement_unmapped(const State *state, const Raw *raw);
