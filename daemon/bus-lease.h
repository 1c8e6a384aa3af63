/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The bus side of leases: the answer of Attach with its descriptor, and leases that end with a connection.
 * Promises: the descriptor leaves pmemd in the answer of the call that attached, and nowhere else; callers that do not read their answers keep nobody
 * else's from coming; a lease that is to end with its connection ends when that leaves the bus, also when it left before the lease was made or while pmemd was not there. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"

typedef struct BusLease BusLease;

/* view outlives it. INTERNAL: sd-bus refuses. */
typedef void (*BusLeaseSubmit)(void *data, sd_bus_message *call, const Caller *caller, bool others);
BusLease *bus_lease_new(const BusView *view, BusLeaseSubmit submit, void *data, GError **error);
void bus_lease_free(BusLease *leases);

/* Which run of which bus pmemd is on; null: not known. */
sd_id128_t bus_lease_bus_id(const BusLease *leases);

/* Has submit called with it, now or when few enough descriptors are on their way; a caller that leaves
 * while its call waits is forgotten.
 * LIMITS_EXCEEDED: too many wait. */
bool bus_lease_add(BusLease *leases, sd_bus_message *call, const Caller *caller, bool others, GError **error);
/* Within ManagerDone of an Attach that was done (error NULL): answers call. Negative errno: not sent. To be called once for each
 * call that submit was called with. */
int bus_lease_reply(BusLease *leases, sd_bus_message *call, const Caller *caller, sd_id128_t region,
                    const GError *error);
/* Answers all that wait with BUSY: pmemd ends. */
void bus_lease_refuse_waiting(BusLease *leases);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusLease, bus_lease_free)
