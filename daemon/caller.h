/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who asks, and whether that method is theirs to ask for.
 * Promises: credentials come from the bus driver alone, once per connection; a method without a row in the action
 * table is refused. Knows no manager. Used by bus, bus-region, bus-job.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct {
    uint32_t uid;
    char user[33];   /* name of uid, cut to 32 bytes; "" when it has none */
    bool privileged; /* root, or the daemon's own user: sees frames and owners, may change things */
} Caller;

/* Remembers the credentials of connections by unique name (never used twice in the life of a bus). */
typedef struct CallerCache CallerCache;
CallerCache *caller_cache_new(void);
void caller_cache_free(CallerCache *cache);

/* false: NOT_AUTHORIZED (the peer is gone, or the bus does not say who it is). */
bool caller_resolve(CallerCache *cache, sd_bus_message *message, Caller *ret_caller, GError **error);

/* May caller use this member of that interface at all? NOT_AUTHORIZED says what is missing. */
bool caller_authorize(const Caller *caller, const char *interface, const char *member, GError **error);

/* The name of uid, cut to 32 bytes; "" when it has none. */
void caller_user_name(uint32_t uid, char ret_user[static 33]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CallerCache, caller_cache_free)
