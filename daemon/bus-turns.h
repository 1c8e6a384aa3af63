/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Calls whose answers are long and may wait (lists): they are answered when nothing else is to be read or done, the
 * callers in turn, so that who changes something does not queue behind who lists, and one who lists a lot not before
 * all others.
 * Promises: each call is answered once, after BUS_TURNS_WAIT_USEC also when there is always something else; at most
 * BUS_TURNS_MAX wait. Knows no lists. Used by bus.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct BusTurns BusTurns;

#define BUS_TURNS_WAIT_USEC 20000u
#define BUS_TURNS_MAX 1024u

typedef void (*BusTurnsAnswer)(void *data, sd_bus_message *call);

/* INTERNAL: no event source. */
BusTurns *bus_turns_new(sd_event *event, BusTurnsAnswer answer, void *data, GError **error);
/* Drops what waits. NULL is fine. */
void bus_turns_free(BusTurns *turns);

/* Has answer called with call, later or, when too many wait, with another one now. */
void bus_turns_add(BusTurns *turns, sd_bus_message *call);
/* All that wait, now. */
void bus_turns_flush(BusTurns *turns);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusTurns, bus_turns_free)
