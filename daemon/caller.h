/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who asks: the user behind a connection to the message bus.
 * Promises: credentials come from the bus driver alone, are asked for once a connection and never waited for, and are
 * forgotten when the connection ends. The host's name services may keep the loop only so long. Knows no manager; calls back. Used by bus-view and bus-authorize.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/patience.h"

typedef struct {
    uint32_t uid;
    char user[33];   /* name of uid, cut to 32 bytes; "" when it has none */
    bool privileged; /* root, or the daemon's own user: sees frames and owners, may change things */
} Caller;

typedef struct CallerCache CallerCache;
typedef struct CallerLookup CallerLookup;

/* The connection of this unique name has ended. */
typedef void (*CallerGone)(void *data, const char *sender);
/* Exactly once, unless cancelled. caller: valid during the call; NULL: error (NOT_AUTHORIZED; TIMED_OUT, its name is not to be
 * had now) says why. */
typedef void (*CallerFound)(void *data, const Caller *caller, const GError *error);

/* Remembers the users of connections by unique name (never used twice in the life of a bus). gone may be NULL. NULL:
 * HARDWARE, the bus cannot be listened to. */
CallerCache *caller_cache_new(sd_bus *bus, CallerGone gone, void *data, GError **error);
/* All lookups have ended or are cancelled. */
void caller_cache_free(CallerCache *cache);

/* Whoever sent message, if known by now. Valid until the cache is told something new. */
const Caller *caller_known(const CallerCache *cache, sd_bus_message *message);
/* Asks the driver. NULL: NOT_AUTHORIZED, nobody vouches for the sender, or the driver cannot be asked. */
CallerLookup *caller_lookup(CallerCache *cache, sd_bus_message *message, CallerFound found, void *data, GError **error);
/* found will not be called; not after it was. */
void caller_lookup_cancel(CallerLookup *lookup);

/* The name of uid, cut to 32 bytes; "" when it has none. patience: how long the host's name services may take (NULL: without
 * end). false: they do not answer: TIMED_OUT; never for root. */
bool caller_user_name(Patience *patience, uint32_t uid, char ret_user[static 33], GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CallerCache, caller_cache_free)
