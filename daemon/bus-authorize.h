/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * From a method call to its operation: who asks, what does that take, what says polkit, then do it.
 * Promises: every call gets one answer; nothing is changed before all verdicts are in; what a verdict was asked for is
 * looked up again when it comes, and asked for again if it is something else by then; no step waits; the calls of
 * whoever leaves the bus are dropped, and their questions to polkit with them; calls that wait for polkit count to the
 * caps of the manager's queue. Used by bus and bus-job.
 */
#pragma once

#include "daemon/bus-view.h"

typedef struct BusAuthority BusAuthority;

/* What a call is about. */
typedef struct {
    RegionKind kind;   /* MGMT or DATA: of what is to be made; a target's own kind counts instead */
    bool has_target;   /* it is about a region that is there */
    sd_id128_t target; /* its uuid; what is not there belongs to nobody */
    bool takes;        /* and takes it from whoever has it, if that is another user */
    char range[48];    /* for polkit's dialog and rules: frames, "" none */
    char bytes[24];    /* likewise */
    char subject[80];  /* likewise: what it names that is no region yet, or no more; "" none */
} BusPurpose;

/* Both read call from its start, and may be called more than once. */
typedef struct {
    const char *interface; /* that its methods are of */
    /* What is the call about? Decodes only. NULL: no region, as for lists. */
    bool (*describe)(void *data, sd_bus_message *call, const Caller *caller, BusPurpose *ret_purpose, GError **error);
    /* The caller may: does it, and answers now or later. false: error is to be the answer. others: also with what belongs
     * to other users. */
    bool (*run)(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error);
} BusOperation;

/* view outlives it; view->callers is set here. */
BusAuthority *bus_authority_new(BusView *view, GError **error);
/* Nothing is pending any more: see bus_authority_refuse_pending(). */
void bus_authority_free(BusAuthority *authority);
/* Answers all that waits with BUSY: pmemd ends. The manager is still there. */
void bus_authority_refuse_pending(BusAuthority *authority);

/* For the handler of a method: has operation run when whoever sent call may. What the handler is to return. */
int bus_authorize(BusAuthority *authority, sd_bus_message *call, const BusOperation *operation, void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusAuthority, bus_authority_free)
