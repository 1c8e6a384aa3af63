/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Methods that change something, or say what a change would do. */
#include "daemon/bus-internal.h"

#include "daemon/bus-bad.h"
#include "daemon/bus-error.h"
#include "daemon/bus-request.h"
#include "proto/names.h"

/* A change under way: whom to answer. */
typedef struct {
    const BusView *view;
    BusLease *leases;
    sd_bus_message *call;
    ManagerMethod method;
    Caller caller; /* may be gone when it is done */
    BusAuditRegion before;
    sd_id128_t request_id;
    GArray *lost;         /* ManagerLost, of ClearBadFrames; else NULL */
    RepairReport *report; /* of Repair; else NULL */
} Pending;

static void on_change_done(void *data, sd_id128_t result, const GError *error) {
    Pending *pending = data;
    int r = 0;

    if (pending->method == MANAGER_ATTACH)
        r = bus_lease_reply(pending->leases, pending->call, &pending->caller, result, error);
    if (error) {
        bus_view_refuse(pending->view, pending->call, error);
    } else {
        bus_audit_done(pending->view->audit, pending->call, &pending->caller, &pending->before, result,
                       pending->request_id);
        if (pending->lost)
            r = bus_bad_reply_lost(pending->call, pending->lost);
        else if (pending->report)
            r = bus_request_reply_repair(pending->call, pending->report);
        else if (pending->method != MANAGER_ATTACH)
            r = bus_request_reply(pending->call, pending->method, result);
        bus_view_answered(pending->view, pending->call, r);
    }
    if (pending->lost)
        g_array_unref(pending->lost);
    repair_report_free(pending->report);
    sd_bus_message_unref(pending->call);
    g_free(pending);
}

static bool describe_change(void *data, sd_bus_message *call, const Caller *caller, BusPurpose *purpose,
                            GError **error) {
    const Bus *bus = data;
    BusRequest request;

    if (!bus_request_read(call, caller, &bus->defaults, &request, error))
        return false;
    bus_request_purpose(&request, purpose);
    return true;
}

/* ClearBadFrames with dry-run changes nothing and waits for nothing. */
static bool run_clear_plan(const Bus *bus, sd_bus_message *call, const BusRequest *request, GError **error) {
    g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(ManagerLost));

    if (!manager_plan_clear(bus->view.manager, &request->manager, lost, error))
        return false;
    bus_view_answered(&bus->view, call, bus_bad_reply_lost(call, lost));
    return true;
}

static bool run_change(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    Bus *bus = data;
    BusRequest request;

    if (!bus_request_read(call, caller, &bus->defaults, &request, error))
        return false;
    request.manager.others = others;
    if (request.dry_run)
        return run_clear_plan(bus, call, &request, error);
    Pending *pending = g_new(Pending, 1);
    *pending = (Pending){
        .view = &bus->view,
        .leases = bus->leases,
        .call = sd_bus_message_ref(call),
        .method = request.manager.method,
        .caller = *caller,
        .before = bus_audit_before(bus->view.audit, call),
        .request_id = request.manager.request_id,
    };
    if (request.manager.method == MANAGER_SET_OWNER)
        request.manager.target.owner_user = request.owner_user;
    else if (request.manager.method == MANAGER_ADOPT)
        request.manager.repair.owner_user = request.owner_user;
    else if (request.manager.method == MANAGER_REPAIR)
        request.manager.repair.report = pending->report = repair_report_new();
    if (request.manager.method == MANAGER_ATTACH) {
        request.manager.lease.sender = sd_bus_message_get_sender(call);
        request.manager.lease.bus_id = bus_lease_bus_id(bus->leases);
    }
    if (request.manager.method == MANAGER_CLEAR_BAD_FRAMES)
        request.manager.target.lost = pending->lost = g_array_new(FALSE, FALSE, sizeof(ManagerLost));
    manager_submit(bus->view.manager, &request.manager, request.hash, on_change_done, pending);
    return true;
}

/* Few answers with descriptors at a time: see bus-lease. */
static bool run_attach(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    Bus *bus = data;

    return bus_lease_add(bus->leases, call, caller, others, error);
}

void bus_submit_attach(void *data, sd_bus_message *call, const Caller *caller, bool others) {
    Bus *bus = data;
    g_autoptr(GError) error = NULL;

    sd_bus_message_rewind(call, true);
    if (run_change(bus, call, caller, others, &error))
        return;
    (void) bus_lease_reply(bus->leases, call, caller, SD_ID128_NULL, error); /* it is none: nothing is sent */
    bus_view_refuse(&bus->view, call, error);
}

int bus_handle_attach(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = {
        .interface = PMEMD_IFACE_MANAGER,
        .describe = describe_change,
        .run = run_attach,
    };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

int bus_handle_change(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = {
        .interface = PMEMD_IFACE_MANAGER,
        .describe = describe_change,
        .run = run_change,
    };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}

static bool describe_plan(void *data, sd_bus_message *call, const Caller *caller, BusPurpose *purpose, GError **error) {
    const Bus *bus = data;
    BusRequest request;

    if (!bus_request_read_plan(call, caller, &bus->defaults, &request, error))
        return false;
    bus_request_purpose(&request, purpose);
    return true;
}

static bool run_plan(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const Bus *bus = data;
    BusRequest request;
    RegionPlan plan;

    if (!bus_request_read_plan(call, caller, &bus->defaults, &request, error) ||
        !manager_plan(bus->view.manager, &request.manager, &plan, error))
        return false;
    bus_view_answered(&bus->view, call, bus_request_reply_plan(call, &plan));
    return true;
}

int bus_handle_plan(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = {
        .interface = PMEMD_IFACE_MANAGER,
        .describe = describe_plan,
        .run = run_plan,
    };
    Bus *bus = userdata;

    return bus_authorize(bus->authority, call, &operation, bus);
}
