/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Notices that the platform changed behind pmemd's back, and has the manager look at it again: what other tools make
 * and delete, bad blocks, and the health of DIMMs. A hint, no lock: every creation still checks for itself. Used by
 * main.
 */
#pragma once

#include "daemon/manager.h"

typedef struct Watch Watch;

/* Of the host's NVDIMM devices: uevents, and the attributes that change without one. INTERNAL: the kernel's events
 * cannot be listened to. manager has to outlive the watch. */
Watch *watch_ndctl_new(sd_event *event, Manager *manager, GError **error);
/* Of the file backend's directory: health.conf. */
Watch *watch_file_new(sd_event *event, Manager *manager, const char *dir, GError **error);
/* Looks every `sec` seconds, too, as some of what DIMMs say of themselves changes without any event; 0: never. Of
 * watch_ndctl_new() alone. */
void watch_set_poll(Watch *watch, guint sec);
void watch_free(Watch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watch, watch_free)
