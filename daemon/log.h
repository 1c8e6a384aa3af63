/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The log: structured fields to the system's journal when stderr is connected to it, else one plain line on stderr.
 * Promises: quiet when all is well (it has no debug level); one line a message, whatever strangers' words it quotes; an event
 * (daemon/event.h) goes out with its MESSAGE_ID and priority. Knows nothing of regions but their spelling. Used by whoever is
 * at the top of a chain of calls: bus, bus-job, alarm, audit, main, and the manager for what has nobody to be returned to.
 */
#pragma once

#include "daemon/event.h"

#include <glib.h>
#include <stddef.h>
#include <syslog.h>

/* One field of the journal. key: capitals, digits and _, not starting with _. value NULL: left out. */
typedef struct {
    const char *key, *value;
} LogField;

/* The last one ends the list: LOG_FIELDS({ "REGION", uuid }, { "POOL", pool }). */
#define LOG_FIELDS(...) ((const LogField[]){ __VA_ARGS__, { NULL, NULL } })

/* The fields that are known by name: REGION and POOL are uuids; CALLER a unique name on the bus, CALLER_UID, CALLER_PID and
 * CALLER_USER who that is; ACTION a method; ERROR a D-Bus error name; DEVICE a device's name. fields: NULL is none. */
#define log_event(event, fields, ...) log_send(__FILE__, __LINE__, __func__, (event), 0, (fields), __VA_ARGS__)

/* A message that has no event: it needs no action by itself. priority: LOG_ERR, LOG_WARNING, LOG_NOTICE. region: uuid or object
 * path, caller: unique name or user; NULL: field left out. */
#define log_message(priority, region, caller, ...)                                                                     \
    log_send(__FILE__, __LINE__, __func__, EVENT_NONE, (priority),                                                     \
             LOG_FIELDS({ "REGION", (region) }, { "CALLER", (caller) }), __VA_ARGS__)

/* What both become. priority counts for EVENT_NONE alone. */
void log_send(const char *file, int line, const char *function, Event event, int priority, const LogField *fields,
              const char *format, ...) G_GNUC_PRINTF(7, 8);

/* Sends what GLib and g_warning() say the same way. */
void log_install(void);
