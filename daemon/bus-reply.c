/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-reply.h"

int bus_reply_begin(sd_bus_message *call, char type, const char *contents, sd_bus_message **ret_reply) {
    *ret_reply = NULL;
    int r = sd_bus_message_new_method_return(call, ret_reply);
    return r < 0 ? r : sd_bus_message_open_container(*ret_reply, type, contents);
}

int bus_reply_end(sd_bus_message *reply, int r) {
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return r;
}
