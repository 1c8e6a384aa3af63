/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The name on the bus and the Manager object: decode, authorize, ask the manager, reply.
 * Promises: every call gets one answer, an error of org.pmemd1.Error.* or of sd-bus (wrong signature, unknown member);
 * nothing a caller sends costs memory after its answer; a reply for somebody who is gone is dropped. Used by main.
 */
#pragma once

#include "daemon/bus-request.h"
#include "daemon/eraser.h"
#include "daemon/manager.h"

typedef struct Bus Bus;

typedef struct {
    /* The connection or the name is gone for good: reason in words. */
    void (*lost)(void *data, const char *reason);
} BusEvents;

/* address: "system", "session" or an address. Connects and exports the objects; call bus_acquire_name() when all is
 * wired up. defaults: copied. HARDWARE: no connection. */
Bus *bus_new(sd_event *event, const char *address, Manager *manager, const BusDefaults *defaults,
             const BusEvents *events, void *data, GError **error);
/* For the calls from now on; copied. */
void bus_set_defaults(Bus *bus, const BusDefaults *defaults);
/* Sends what waits to be sent. After the manager and the eraser, which answer what is pending when they go. */
void bus_free(Bus *bus);

/* What eraser_new() is to be given: the listener and its data. */
const EraserEvents *bus_get_eraser_events(Bus *bus, void **ret_data);
void bus_set_eraser(Bus *bus, Eraser *eraser); /* NULL before it is freed */

/* Answers the lists whose turn has not come, refuses what still waits for a verdict. Before the manager is freed; the loop has ended. */
void bus_refuse_pending(Bus *bus);

/* Takes org.pmemd1 without queueing for it. EXISTS: somebody has it; NOT_AUTHORIZED: the bus' policy. */
bool bus_acquire_name(Bus *bus, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
