/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The one place where errors leave: GError to D-Bus error, by the table of proto/error.h.
 * Promises: a name of org.pmemd1.Error.*, a message that is valid UTF-8, of one line and at most 1 KiB; a GError of
 * another domain is Internal, and logged. Also the spelling of strangers' words in our messages, and the checks of
 * text that callers send. Used by bus, bus-options, bus-list, bus-job.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#define BUS_TEXT_MAX 4096u /* bytes of any string that a caller may send */

/* For a handler that has not answered: fills ret_error and gives the negative errno to return. */
int bus_error_set(sd_bus_error *ret_error, const GError *error);
/* Answers call with error, now or much later. A caller that is gone, or wants no answer, is nobody's fault. */
void bus_error_reply(sd_bus_message *call, const GError *error);

/* What a caller wrote, fit for a message: at most 64 bytes, "..." when cut, '?' for control characters. */
char *bus_quote(const char *text);
/* Is the argument or option `what` at most BUS_TEXT_MAX bytes and without control characters? INVALID_ARGUMENT. */
bool bus_check_text(const char *what, const char *text, GError **error);
