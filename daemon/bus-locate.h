/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The answers of Locate and LocateList: what a host frame is, as far as whoever asks may know it.
 * Promises: who is not privileged learns of frames of the own regions and pools alone; of all others the answer is the
 * same, whatever is there or is not. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"

/* Sends what the frame is that call (its arguments unread) asks for. INVALID_ARGUMENT: no frame; NOT_AUTHORIZED: not of
 * viewer's; INTERNAL: the reply cannot be built. */
bool bus_locate_reply(const BusView *view, sd_bus_message *call, const Caller *viewer, GError **error);
/* The same of a list, in its order; what is not viewer's is "hidden". LIMITS_EXCEEDED: more than PMEMD_LOCATE_MAX. */
bool bus_locate_reply_list(const BusView *view, sd_bus_message *call, const Caller *viewer, GError **error);
