/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Methods that tell what there is. */
#include "daemon/bus-internal.h"

#include "daemon/bus-bad.h"
#include "daemon/bus-error.h"
#include "daemon/bus-find.h"
#include "daemon/bus-list.h"
#include "daemon/bus-locate.h"
#include "daemon/bus-metrics.h"
#include "proto/error.h"
#include "proto/names.h"

/* At most, about: of an answer that is no list, and of an object in Introspect's. */
#define ANSWER_BYTES 4096u
#define NODE_BYTES 128u

static bool unreadable(int r, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the arguments cannot be read: %s", g_strerror(-r));
    return false;
}

static bool run_count(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;
    const State *state = manager_state(bus->view.manager);
    const char *kind;
    guint count;

    int r = sd_bus_message_read_basic(call, 's', &kind);
    if (r < 0)
        return unreadable(r, error);
    if (g_str_equal(kind, "raw")) {
        count = state_raws(state)->len;
    } else if (g_str_equal(kind, "mgmt")) {
        count = state_pools(state)->len;
    } else if (g_str_equal(kind, "data")) {
        count = state_count_regions(state);
    } else if (g_str_equal(kind, "foreign")) {
        count = state_foreigns(state)->len;
    } else {
        g_autofree char *quoted = bus_quote(kind);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "kind '%s' is none of raw, mgmt, data, foreign",
                    quoted);
        return false;
    }
    bus_view_answered(&bus->view, call, sd_bus_reply_method_return(call, "u", (uint32_t) count));
    return true;
}

int bus_handle_count(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = { .interface = PMEMD_IFACE_MANAGER, .run = run_count };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

static bool run_list(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const char *member = sd_bus_message_get_member(call);
    const Bus *bus = data;
    BusList list = g_str_equal(member, "ListRaw")      ? BUS_LIST_RAW
                   : g_str_equal(member, "ListMgmt")   ? BUS_LIST_MGMT
                   : g_str_equal(member, "ListData")   ? BUS_LIST_DATA
                   : g_str_equal(member, "ListLeases") ? BUS_LIST_LEASES
                                                       : BUS_LIST_FOREIGN;

    if (!bus_list_reply(&bus->view, list, call, caller, error))
        return false;
    bus_view_answered(&bus->view, call, 1);
    return true;
}

static bool run_locate(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;

    if (!bus_locate_reply(&bus->view, call, caller, error))
        return false;
    bus_view_answered(&bus->view, call, 1);
    return true;
}

int bus_handle_locate(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = { .interface = PMEMD_IFACE_MANAGER, .run = run_locate };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

static bool run_locate_list(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;

    if (!bus_locate_reply_list(&bus->view, call, caller, error))
        return false;
    bus_view_answered(&bus->view, call, 1);
    return true;
}

/* When its turn has come. */
void bus_answer_list(void *data, sd_bus_message *call) {
    static const BusOperation list = { .interface = PMEMD_IFACE_MANAGER, .run = run_list };
    static const BusOperation locate = { .interface = PMEMD_IFACE_MANAGER, .run = run_locate_list };
    bool is_locate = g_str_equal(sd_bus_message_get_member(call), "LocateList");
    Bus *bus = data;

    if (bus_unread_pass(bus->view.unread, call))
        /* Which answers whatever comes of it. */
        (void) bus_authorize(bus->authority, call, is_locate ? &locate : &list, bus);
}

int bus_handle_list(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    const Bus *bus = userdata;

    bus_turns_add(bus->lists, call);
    return 1;
}

static bool run_get_region(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;
    char path[PMEMD_PATH_MAX];
    sd_id128_t uuid;
    const char *key;

    int r = sd_bus_message_read_basic(call, 's', &key);
    if (r < 0)
        return unreadable(r, error);
    if (!bus_find_region(manager_state(bus->view.manager), key, caller, &uuid, error))
        return false;
    bus_view_answered(&bus->view, call, sd_bus_reply_method_return(call, "o", pmemd_region_path(uuid, path)));
    return true;
}

/* Its sender has read: its turn again. */
void bus_go_on_with_list(void *data, sd_bus_message *call) {
    const Bus *bus = data;

    bus_turns_add(bus->lists, call);
}

/* Of lists, what comes besides entries. */
uint64_t bus_cost_of(void *data, sd_bus_message *call) {
    const Bus *bus = data;
    const State *state = manager_state(bus->view.manager);
    uint64_t objects = state_pools(state)->len + state_count_regions(state);

    if (sd_bus_message_is_method_call(call, NULL, "GetManagedObjects") > 0)
        return MIN(objects, BUS_OBJECTS_MAX) * BUS_OBJECT_BYTES + ANSWER_BYTES;
    if (sd_bus_message_is_method_call(call, NULL, "Introspect") > 0)
        return MIN(objects, BUS_OBJECTS_MAX) * NODE_BYTES + ANSWER_BYTES;
    return ANSWER_BYTES;
}

int bus_handle_get_region(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = { .interface = PMEMD_IFACE_MANAGER, .run = run_get_region };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

static bool run_get_metrics(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;

    bus_view_answered(&bus->view, call, bus_metrics_reply(&bus->view, bus->eraser, call));
    return true;
}

int bus_handle_get_metrics(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = { .interface = PMEMD_IFACE_MANAGER, .run = run_get_metrics };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

static bool run_list_dimms(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;

    bus_view_answered(&bus->view, call, bus_bad_reply_dimms(&bus->view, call, caller));
    return true;
}

int bus_handle_list_dimms(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = { .interface = PMEMD_IFACE_MANAGER, .run = run_list_dimms };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}
