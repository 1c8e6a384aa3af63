/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A lease: who has a data region now, or had it last.
 * Promises: a value; whose it is are owner and uid together, as owners are what callers say and anybody could say the
 * same. Knows no region and no state. Used by state (which keeps them), rules, manager and what shows them.
 */
#pragma once

#include "proto/types.h"

typedef struct {
    char *owner;          /* valid by pmemd_lease_owner_is_valid() */
    char *user;           /* uid's name when it was recorded; "" unknown */
    char *sender;         /* NULL: it lasts until Detach; else it ends with this connection, a unique name on the bus */
    sd_id128_t bus_id;    /* the run of the bus that sender is of; null without one */
    uint64_t since;       /* realtime, microseconds: for display only */
    uint64_t guest_frame; /* of the region's first frame; PMEMD_FRAME_INVALID: not known */
    uint32_t uid;
    bool ended;     /* it is over: kept to know who had the region last */
    bool confirmed; /* attached since this process knows of it */
} Lease;

void lease_free(Lease *lease); /* NULL is fine */

/* Does somebody have the region by it? NULL: nobody does. */
bool lease_is_held(const Lease *lease);
/* Is it, or was it, of these two? NULL: it is not. */
bool lease_is_of(const Lease *lease, const char *owner, uint32_t uid);

/* "detach", "disconnect". Static. */
const char *lease_until_to_string(bool disconnect);
/* false: it is neither. */
bool lease_until_from_string(const char *text, bool *ret_disconnect);

/* "'vm1' of user alice (uid 1000) since 2026-01-31T12:00:00Z", for messages. The caller's. */
char *lease_describe(const Lease *lease);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lease, lease_free)
