/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Mgmt and data regions as objects of the bus: org.pmemd1.Region, and the signals of the ObjectManager.
 * Promises: read-only; made from the manager's state at each question, so a region costs the bus no memory. Used by
 * bus.
 */
#pragma once

#include "daemon/bus-view.h"

typedef struct BusRegion BusRegion;

/* Adds the objects to view->bus and listens to the manager. view: must outlive it. INTERNAL: sd-bus refuses. */
BusRegion *bus_region_new(BusView *view, GError **error);
void bus_region_free(BusRegion *regions); /* before the bus goes, after the manager */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusRegion, bus_region_free)
