/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Reads of properties by connections whose user is not known yet. sd-bus wants properties at once, and what they are
 * depends on who asks; so the read is held, the bus driver asked, and the read then sent again, by pmemd to itself, on
 * behalf of who sent it. Later ones of that connection go straight.
 * Promises: every read gets one answer, the one its sender may see; nothing waits. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"

typedef struct BusHold BusHold;

/* view, with its callers, outlives it; view->on_behalf is set here. INTERNAL: sd-bus refuses. */
BusHold *bus_hold_new(BusView *view, GError **error);
void bus_hold_free(BusHold *hold);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusHold, bus_hold_free)
