/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the bus says of bad frames and of the DIMMs' health: the parts of answers that have rows. Used by bus and
 * bus-region, on the loop's thread.
 */
#pragma once

#include "daemon/bus-view.h"

/* Appends a frame-set (NULL: empty) as a(tt). Negative errno: it could not. */
int bus_bad_append_extents(sd_bus_message *reply, const GArray *extents);
/* Answers call with lost (ManagerLost). */
int bus_bad_reply_lost(sd_bus_message *call, const GArray *lost);
/* Answers ListDimms. */
int bus_bad_reply_dimms(const BusView *view, sd_bus_message *call, const Caller *caller);
