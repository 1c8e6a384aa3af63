/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Notices by uevents that somebody changed the host's NVDIMM devices, and has the manager look at the platform again,
 * so that its map shows what other tools make and delete. A hint, no lock: every creation still checks for itself. Used
 * by main, for backend-ndctl.
 */
#pragma once

#include "daemon/manager.h"

typedef struct Watch Watch;

/* INTERNAL: the kernel's events cannot be listened to. manager has to outlive the watch. */
Watch *watch_new(sd_event *event, Manager *manager, GError **error);
void watch_free(Watch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watch, watch_free)
