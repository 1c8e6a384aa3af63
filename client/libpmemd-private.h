/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the files of libpmemd share: the connection, one way to make a call, one way to decode a message.
 * Only libpmemd*.c may include it.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "client/libpmemd.h"

struct PmemdClient {
    char *address; /* as given: "system", "session" or an address */
    sd_bus *bus;
    bool interactive;
    PmemdEventFunc event_func; /* NULL: not subscribed */
    void *event_data;
    bool event_stop; /* event_func returned false */
};

/* Appends the arguments; negative errno. */
typedef int (*PmemdFillFunc)(sd_bus_message *message, const void *arguments);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

/* Calls a method of pmemd (fill may be NULL: no arguments) and waits for the answer. Errors: as libpmemd.h. */
sd_bus_message *pmemd_client_call(PmemdClient *client, const char *path, const char *interface, const char *member,
                                  PmemdFillFunc fill, const void *arguments, GError **error);
/* Sets LOST with the cause. errnum: positive. Returns false. */
bool pmemd_client_set_lost(PmemdClient *client, int errnum, GError **error);
/* PROTOCOL: an answer of member could not be read. errnum: positive. Returns false. */
bool pmemd_client_set_unreadable(const char *member, int errnum, GError **error);

/* Asks the bus for what a subscription needs; 0 or negative errno. For subscribing, and after connecting again. */
int pmemd_client_add_matches(PmemdClient *client);

/* The answer of Plan. Errors: PROTOCOL. */
PmemdPlan *pmemd_plan_read(sd_bus_message *reply, GError **error);

/* The next a{sv} of the message as PmemdValue's; values of other than basic types are left out. NULL: negative errno in
 * ret_errno. */
GPtrArray *pmemd_values_read(sd_bus_message *message, int *ret_errno);
void pmemd_value_free(PmemdValue *value);
/* A text value. name: copied. */
PmemdValue *pmemd_value_new_text(const char *name, const char *text);
