/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * From a method call and its outcome to its line of the audit record: who called what on which region.
 * Promises: methods that change nothing leave no line; a call that was refused before its arguments could be read has one. Used by
 * bus-view, bus and bus-job, at the two ends of a call.
 */
#pragma once

#include "daemon/caller.h"
#include "daemon/manager.h"

typedef struct BusAudit BusAudit;

/* manager outlives it. */
BusAudit *bus_audit_new(sd_event *event, const Manager *manager);
void bus_audit_free(BusAudit *audit);

/* The region that a change is about. */
typedef struct {
    sd_id128_t uuid, pool; /* null: not known */
    RegionKind kind;
    char name[64]; /* "" none */
    FrameRange range;
} BusAuditRegion;

/* The region that call names, as it is before the change: what is released is gone when its change is done. All zero: it names none;
 * all but the uuid: there is none. Reads the call anew from its start. */
BusAuditRegion bus_audit_before(const BusAudit *audit, sd_bus_message *call);

/* caller NULL: nobody said who it is. */
void bus_audit_refused(BusAudit *audit, sd_bus_message *call, const Caller *caller, const GError *error);
/* result: the region as it is now, or null: it is told as it was before. request_id null: none. */
void bus_audit_done(BusAudit *audit, sd_bus_message *call, const Caller *caller, const BusAuditRegion *before,
                    sd_id128_t result, sd_id128_t request_id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusAudit, bus_audit_free)
