/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The record of who did what to which region: one line of the log a request for a change, with its outcome.
 * Promises: every change that was done is written; refusals are, too, but a flood of them does not fill the log: what was left
 * out is counted, and the count written, at the latest when pmemd ends. Who asks is what the bus driver vouches for, nothing
 * that a caller says about itself. Knows no bus and no state. Used by bus-audit.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/* One request that was answered. Strings: NULL or "" is not known, or none. */
typedef struct {
    const char *action; /* the method */
    const char *sender; /* unique name on the bus */
    bool has_uid;
    uint32_t uid;
    const char *user;
    const char *kind;       /* "data region", "management region": of what it is about */
    const char *region;     /* uuid, of a data region or of a pool */
    const char *pool;       /* uuid */
    const char *name;       /* of the region, after the change */
    FrameRange range;       /* empty: not known */
    const char *detail;     /* what the change was beyond all that, such as the new owner */
    const char *request_id; /* uuid */
    const GError *error;    /* NULL: it was done */
} AuditEntry;

typedef struct {
    uint64_t window_usec; /* the time that the others are about */
    guint per_uid;        /* refusals of one user that are written */
    guint total;          /* and of all users */
} AuditLimits;

typedef struct Audit Audit;

/* limits NULL: 20 of a user and 200 in all, a minute. */
Audit *audit_new(sd_event *event, const AuditLimits *limits);
void audit_free(Audit *audit);

void audit_record(Audit *audit, const AuditEntry *entry);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Audit, audit_free)
