/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The answers of ListRaw, ListMgmt, ListData, ListForeign and ListLeases: pages of typed structs, with a cursor to go on from.
 * Promises: what is left out is said by the cursor; walking the pages gives every entry once that was there all the
 * while; the unprivileged learn neither frames nor owners, nor can they find them by trying cursors. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"

typedef enum {
    BUS_LIST_RAW,
    BUS_LIST_MGMT,
    BUS_LIST_DATA,
    BUS_LIST_FOREIGN,
    BUS_LIST_LEASES,
} BusList;

/* Sends the page that call (its arguments unread) asks for, as viewer may see it. INVALID_ARGUMENT: the cursor;
 * INTERNAL: the reply cannot be built. */
bool bus_list_reply(const BusView *view, BusList list, sd_bus_message *call, const Caller *viewer, GError **error);
