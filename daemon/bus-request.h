/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Calls that change something, and Plan: message to ManagerRequest, and the manager's answer to a reply.
 * Promises: pure decoding, no decision of its own; strings of a request belong to the message. Used by bus.
 */
#pragma once

#include "daemon/bus-authorize.h"
#include "daemon/caller.h"
#include "daemon/manager.h"

/* What counts where a call does not say. */
typedef struct {
    Profile profile;    /* SetupMgmt, AllocateMgmt */
    uint64_t alignment; /* AllocateMgmt, AllocateData; 0: the raw region's own */
    QuotaTable *quotas; /* NULL: nobody has one */
    Patience *patience; /* with the host's name services; NULL: without end */
} BusDefaults;

typedef struct {
    ManagerRequest manager;
    uint64_t hash;                       /* of all arguments, for request-ids */
    bool dry_run;                        /* CLEAR_BAD_FRAMES: say what would be done */
    char owner_user[PMEMD_USER_MAX + 1]; /* SET_OWNER, ADOPT: where their owner_user points */
} BusRequest;

/* Reads call, whose member names one of the ManagerMethods. caller becomes the owner. INVALID_ARGUMENT,
 * NO_SUCH_REGION. */
bool bus_request_read(sd_bus_message *call, const Caller *caller, const BusDefaults *defaults, BusRequest *ret_request,
                      GError **error);
/* Reads a call of Plan. */
bool bus_request_read_plan(sd_bus_message *call, const Caller *caller, const BusDefaults *defaults,
                           BusRequest *ret_request, GError **error);

/* What polkit is to be asked about request, and about which region. */
void bus_request_purpose(const BusRequest *request, BusPurpose *ret_purpose);

/* Answers call with what method returns when it was done. Negative errno: not sent. */
int bus_request_reply(sd_bus_message *call, ManagerMethod method, sd_id128_t result);
int bus_request_reply_repair(sd_bus_message *call, const RepairReport *report);
int bus_request_reply_plan(sd_bus_message *call, const RegionPlan *plan);
