/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Answers that their callers have not read. The message bus keeps them, and takes nothing more from pmemd once they are
 * many (127 MiB, from all callers): one caller that asks and never reads would end the service for all others.
 * Promises: who has not read BUS_UNREAD_MAX bytes gets no further list before it has; who goes on calling nevertheless
 * gets no answer at all. When callers together leave much unread, the shares of all are small, so that no number of
 * connections that a user may have fills the bus. Whoever reads waits for nothing but a question to the bus now and then.
 * What is unread the bus says (org.freedesktop.DBus.Debug.Stats, for root); from one that does not, nobody is held up: it
 * is of the kind that has shares of its own, or it is nobody's but a test's. Knows no lists. Used by bus.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct BusUnread BusUnread;

#define BUS_UNREAD_MAX (UINT64_C(8) << 20)      /* bytes, of a connection */
#define BUS_UNREAD_CROWDED (UINT64_C(32) << 20) /* of all together, from which on shares are small */
#define BUS_UNREAD_ALL_MAX (UINT64_C(80) << 20) /* of all together */
#define BUS_UNREAD_SMALL (UINT64_C(64) << 10)   /* a small share */
#define BUS_UNREAD_ASK (UINT64_C(1) << 20)      /* so much may be sent before the bus is asked */
#define BUS_UNREAD_KEPT_MAX 128u                /* calls of a connection: more the bus does not let it wait for */
#define BUS_UNREAD_AGAIN_USEC UINT64_C(500000)  /* how long until the bus is asked again */

/* A call that was kept may be answered now. */
typedef void (*BusUnreadGo)(void *data, sd_bus_message *call);
/* How many bytes the answer to call will have at most. */
typedef uint64_t (*BusUnreadCost)(void *data, sd_bus_message *call);

/* Looks at each message before whoever was told of messages earlier. INTERNAL: no event source or filter. */
BusUnread *bus_unread_new(sd_bus *bus, BusUnreadGo go, BusUnreadCost cost, void *data, GError **error);
/* Drops what is kept. NULL is fine. */
void bus_unread_free(BusUnread *unread);

/* May this call, whose answer is long, be answered now? false: it is kept until its sender has read, and go is called. */
bool bus_unread_pass(BusUnread *unread, sd_bus_message *call);
/* How many bytes a long answer may have now. */
uint64_t bus_unread_share(const BusUnread *unread);
/* What one descriptor counts for: a message bus takes nothing more from a connection once 64 that it has sent wait to be read. */
#define BUS_UNREAD_DESCRIPTOR (UINT64_C(2) << 20)
/* What this connection, or all together, may not have read, bytes and descriptors; 0 where the bus does not tell. */
uint64_t bus_unread_of(const BusUnread *unread, const char *sender);
uint64_t bus_unread_total(const BusUnread *unread);
/* So many bytes were sent to the sender of call, beyond what cost said. */
void bus_unread_sent(BusUnread *unread, sd_bus_message *call, uint64_t bytes);
/* A descriptor was, with the answer. */
void bus_unread_sent_descriptor(BusUnread *unread, sd_bus_message *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusUnread, bus_unread_free)
