/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What a host frame is: whose memory error hits which region, and where in it. A pure decision over the state.
 * Promises: nothing is changed; every frame has one answer; O(log n) in the regions of a raw region and of a pool,
 * linear only in pools and in devices of others where no region is. Knows no caller: who may see the answer is its
 * user's to decide. Used by bus-locate.
 */
#pragma once

#include "daemon/state.h"

typedef enum {
    LOCATE_NONE,    /* no raw region, no device: ordinary RAM, or nothing */
    LOCATE_RAW,     /* of a raw region, and free */
    LOCATE_FOREIGN, /* of a device that is not pmemd's, or that no journal knows */
    LOCATE_MGMT,
    LOCATE_DATA, /* in any state: quarantined ones still have their frames */
    N_LOCATE_KINDS,
} LocateKind;
const char *locate_kind_to_string(LocateKind kind); /* "none", "raw", "foreign", "mgmt", "data"; static */

/* Of a mgmt or data region. */
typedef enum {
    LOCATE_PART_NONE,       /* the other kinds have no parts */
    LOCATE_PART_LEAD,       /* in front of the first usable frame: the device's info block */
    LOCATE_PART_USABLE,     /* DATA: what a guest sees */
    LOCATE_PART_SUPERBLOCK, /* MGMT: first and last unit: superblocks, roots, and what is kept beside them */
    LOCATE_PART_JOURNAL,    /* MGMT: one of the two areas */
    LOCATE_PART_OWN,        /* MGMT: what the mgmt region's own frames cost the hypervisor */
    LOCATE_PART_EXTENT,     /* MGMT: of a data region */
    LOCATE_PART_FREE,       /* MGMT: of no data region yet */
    LOCATE_PART_UNKNOWN,    /* MGMT: its format is a newer one */
    N_LOCATE_PARTS,
} LocatePart;
const char *locate_part_to_string(LocatePart part); /* "", "lead", "usable", "superblock", ...; static */

/* Pointers are into the state: valid until it changes. */
typedef struct {
    LocateKind kind;
    LocatePart part;
    /* Bytes from the first usable one of a mgmt or data region; in a lead, an extent, a foreign device or a raw region
     * from its own start. */
    uint64_t offset;
    const Raw *raw;         /* that the frame lies in; NULL: none */
    const Foreign *foreign; /* FOREIGN */
    const Pool *pool;       /* MGMT; DATA: the region's */
    const Region *region;   /* DATA; MGMT: whose extent it is, or NULL */
} Location;

/* INVALID_ARGUMENT: no frame has this number. */
bool locate_frame(const State *state, uint64_t frame, Location *ret_location, GError **error);
