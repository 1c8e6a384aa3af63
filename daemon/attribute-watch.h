/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Waits for changes of attributes in sysfs, which come as POLLPRI after the attribute was read and as nothing else. A
 * thread of its own does it, as reading some of them waits for the kernel's locks and for firmware. Says only that
 * something changed: at most ten times a second, on the loop. Knows no platform. Used by watch.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

typedef struct AttributeWatch AttributeWatch;

typedef void (*AttributeWatchFunc)(void *data);

/* patterns: as glob(7) has them, ends with NULL; copied. What changes after this returns is told. INTERNAL: no thread
 * or descriptors are to be had. */
AttributeWatch *attribute_watch_new(sd_event *event, const char *const *patterns, AttributeWatchFunc changed,
                                    void *data, GError **error);
/* Looks again which files the patterns name: devices came or went. What is found anew may have changed before. */
void attribute_watch_rescan(AttributeWatch *watch);
/* Waits for the thread. */
void attribute_watch_free(AttributeWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttributeWatch, attribute_watch_free)
