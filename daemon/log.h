/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The log: structured fields to the system's journal when stderr is connected to it, else one plain line on stderr.
 * Promises: quiet when all is well (it has no debug level), one line a message. Knows nothing of regions but their
 * spelling. Used by whoever is at the top of a chain of calls: bus, bus-job, main.
 */
#pragma once

#include <glib.h>
#include <syslog.h>

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE. region: uuid or object path, caller: unique name or user; NULL: field
 * left out. */
void log_message(int priority, const char *region, const char *caller, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Sends what GLib and g_warning() say the same way. */
void log_install(void);
