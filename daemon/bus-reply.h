/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Answers of one container (an array or a dictionary): how each begins and ends. Any module of the bus may call it.
 */
#pragma once

#include <systemd/sd-bus.h>

/* Opens the answer to call with its container open. Returns >= 0 or negative errno; ret_reply is set in either case, for
 * bus_reply_end(), which frees it. */
int bus_reply_begin(sd_bus_message *call, char type, const char *contents, sd_bus_message **ret_reply);

/* r: what came of the parts in between; the answer goes out if that was no error. Returns r, or what failed at the end. */
int bus_reply_end(sd_bus_message *reply, int r);
