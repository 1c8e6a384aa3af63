/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-internal.h"

#include "daemon/log.h"
#include "proto/error.h"
#include "proto/names.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

/* --- the object --- */

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *text, sd_bus_error *ret_error) {
    return sd_bus_message_append_basic(reply, 's', text);
}

#define FACT(member) offsetof(Bus, facts.member)
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED /* sd-bus asks nobody: bus_authorize() does */
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable manager_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("SetupMgmt", SD_BUS_ARGS("t", smfn, "t", emfn, "a{sv}", options),
                            SD_BUS_RESULT("o", region), bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetupData",
                            SD_BUS_ARGS("t", smfn, "t", emfn, "t", mgmt_smfn, "t", mgmt_emfn, "a{sv}", options),
                            SD_BUS_RESULT("o", region), bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("AllocateMgmt", SD_BUS_ARGS("t", bytes, "a{sv}", options), SD_BUS_RESULT("o", region),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("AllocateData", SD_BUS_ARGS("t", bytes, "a{sv}", options), SD_BUS_RESULT("o", region),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("s", operation, "a{sv}", arguments), SD_BUS_RESULT("a{sv}", plan),
                            bus_handle_plan, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ReleaseData", SD_BUS_ARGS("o", region, "a{sv}", options), SD_BUS_RESULT("o", job),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ReleaseMgmt", SD_BUS_ARGS("o", region, "a{sv}", options), SD_BUS_NO_RESULT,
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Rename", SD_BUS_ARGS("o", region, "s", name, "a{sv}", options), SD_BUS_NO_RESULT,
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetOwner", SD_BUS_ARGS("o", region, "u", uid, "a{sv}", options), SD_BUS_NO_RESULT,
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("o", region, "s", owner, "a{sv}", options),
                            SD_BUS_RESULT("h", fd, "a{sv}", details), bus_handle_attach, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Detach", SD_BUS_ARGS("o", region, "s", owner, "a{sv}", options), SD_BUS_NO_RESULT,
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListLeases", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(ssssustsbt)", leases, "s", next), bus_handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ClearBadFrames", SD_BUS_ARGS("o", region, "a{sv}", options),
                            SD_BUS_RESULT("a(ottt)", lost), bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Adopt", SD_BUS_ARGS("s", device, "a{sv}", options), SD_BUS_RESULT("o", region),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Forget", SD_BUS_ARGS("s", what, "a{sv}", options), SD_BUS_RESULT("o", job),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Repair", SD_BUS_ARGS("s", pool, "a{sv}", options), SD_BUS_RESULT("a{sv}", report),
                            bus_handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("CountRegions", SD_BUS_ARGS("s", kind), SD_BUS_RESULT("u", count), bus_handle_count,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListRaw", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(sttiitttttsss)", regions, "s", next), bus_handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListMgmt", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(ssttttiiussuss)", regions, "s", next), bus_handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListData", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(ssttsttiisbuss)", regions, "s", next), bus_handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListForeign", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(sttsss)", devices, "s", next), bus_handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListDimms", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssssiiit)", dimms), bus_handle_list_dimms,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetRegion", SD_BUS_ARGS("s", key), SD_BUS_RESULT("o", region), bus_handle_get_region,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sa{ss}d)", metrics), bus_handle_get_metrics,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Locate", SD_BUS_ARGS("t", frame), SD_BUS_RESULT("(sota{sv})", location), bus_handle_locate,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("LocateList", SD_BUS_ARGS("at", frames), SD_BUS_RESULT("a(sota{sv})", locations),
                            bus_handle_list, ANYONE),
    SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job, "o", region, "s", result, "s", message), 0),
    SD_BUS_SIGNAL_WITH_ARGS("HealthChanged", SD_BUS_ARGS("o", region, "s", old, "s", new, "s", reason), 0),
    SD_BUS_PROPERTY("Version", "s", NULL, FACT(version), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Backend", "s", NULL, FACT(backend), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("MachineId", "s", get_text, FACT(machine_id), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", NULL, FACT(state), EMITS),
    SD_BUS_PROPERTY("StateReason", "s", NULL, FACT(state_reason), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("RawRegions", "u", NULL, FACT(raw_regions), EMITS),
    SD_BUS_PROPERTY("MgmtRegions", "u", NULL, FACT(mgmt_regions), EMITS),
    SD_BUS_PROPERTY("DataRegions", "u", NULL, FACT(data_regions), EMITS),
    SD_BUS_PROPERTY("ForeignDevices", "u", NULL, FACT(foreign_devices), EMITS),
    SD_BUS_PROPERTY("RawBytes", "t", NULL, FACT(totals.raw_bytes), EMITS),
    SD_BUS_PROPERTY("MgmtBytes", "t", NULL, FACT(totals.mgmt_bytes), EMITS),
    SD_BUS_PROPERTY("DataBytes", "t", NULL, FACT(totals.data_bytes), EMITS),
    SD_BUS_PROPERTY("FreeBytes", "t", NULL, FACT(totals.free_bytes), EMITS),
    SD_BUS_PROPERTY("QueuedRequests", "u", NULL, FACT(queued_requests), EMITS),
    SD_BUS_VTABLE_END,
};

static ManagerFacts manager_facts(const Bus *bus, bool privileged) {
    const Manager *manager = bus->view.manager;
    const State *state = manager_state(manager);

    ManagerFacts facts = {
        .version = PMEMD_VERSION,
        .backend = manager_backend_name(manager),
        .state = manager_state_to_string(manager_get_state(manager)),
        .state_reason = privileged ? manager_state_reason(manager) : "", /* may name addresses and paths */
        .raw_regions = state_raws(state)->len,
        .mgmt_regions = state_pools(state)->len,
        .data_regions = state_count_regions(state),
        .foreign_devices = state_foreigns(state)->len,
        .queued_requests = manager_queued(manager),
        .totals = state_totals(state),
    };

    sd_id128_to_string(manager_machine_id(manager), facts.machine_id);
    return facts;
}

static int find(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *ret_error) {
    Bus *bus = userdata;

    if (!g_str_equal(path, PMEMD_ROOT_PATH))
        return 0;
    bus->facts = manager_facts(bus, bus_view_is_privileged(bus_view_viewer(&bus->view)));
    *ret_found = bus;
    return 1;
}

/* --- news --- */

static void on_summary_changed(void *data) {
    Bus *bus = data;
    const ManagerFacts now = manager_facts(bus, false), *old = &bus->told;
    const char *changed[G_N_ELEMENTS(manager_vtable)];
    size_t n = 0;

    if (!g_str_equal(now.state, old->state)) {
        changed[n++] = "State";
        changed[n++] = "StateReason";
    }
    const struct {
        const char *name;
        uint64_t now, old;
    } numbers[] = {
        { "RawRegions", now.raw_regions, old->raw_regions },
        { "MgmtRegions", now.mgmt_regions, old->mgmt_regions },
        { "DataRegions", now.data_regions, old->data_regions },
        { "ForeignDevices", now.foreign_devices, old->foreign_devices },
        { "RawBytes", now.totals.raw_bytes, old->totals.raw_bytes },
        { "MgmtBytes", now.totals.mgmt_bytes, old->totals.mgmt_bytes },
        { "DataBytes", now.totals.data_bytes, old->totals.data_bytes },
        { "FreeBytes", now.totals.free_bytes, old->totals.free_bytes },
        { "QueuedRequests", now.queued_requests, old->queued_requests },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (numbers[i].now != numbers[i].old)
            changed[n++] = numbers[i].name;
    changed[n] = NULL;
    bus->told = now;
    if (n > 0)
        bus_news_changed(bus->view.news, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, changed);
}

static void on_health_changed(void *data, sd_id128_t uuid, const char *old_state, const char *new_state,
                              const char *reason) {
    Bus *bus = data;
    char path[PMEMD_PATH_MAX];

    bus_news_flush(bus->view.news);
    pmemd_region_path(uuid, path);
    int r = sd_bus_emit_signal(bus->view.bus, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "HealthChanged", "osss", path,
                               old_state, new_state, ""); /* the reason may name addresses and paths */
    if (r < 0 && r != -ENOTCONN)
        log_message(LOG_WARNING, path, NULL, "cannot send HealthChanged, ignoring: %s", g_strerror(-r));
}

/* What is not announced yet could no longer be. */
static void on_removing(void *data) {
    const Bus *bus = data;

    bus_news_flush(bus->view.news);
}

static int on_name_lost(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
    const Bus *bus = userdata;
    const char *name;

    /* Anyone may send us a signal that looks like this, and sd-bus takes any unique sender for a well-known one. */
    if (g_strcmp0(sd_bus_message_get_sender(message), "org.freedesktop.DBus") != 0)
        return 0;
    if (sd_bus_message_read_basic(message, 's', &name) >= 0 && g_str_equal(name, PMEMD_BUS_NAME))
        bus->events.lost(bus->events_data, "the bus name " PMEMD_BUS_NAME " was taken away");
    return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
    const Bus *bus = userdata;

    if (g_strcmp0(sd_bus_message_get_sender(message), "org.freedesktop.DBus.Local") != 0)
        return 0;
    bus->events.lost(bus->events_data, "the connection to the message bus is gone");
    return 0;
}

/* --- life --- */

static int connect_to(const char *address, sd_bus **ret_bus) {
    if (g_str_equal(address, "system"))
        address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS") ?: SYSTEM_BUS_ADDRESS;
    if (g_str_equal(address, "session"))
        return sd_bus_open_user(ret_bus); /* who is on it could as well stop us */

    sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(bus, true);
    /* Attach answers with one. No method takes any, and yet some may come: see bus-descriptors. */
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, true);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r < 0) {
        sd_bus_unref(bus);
        return r;
    }
    *ret_bus = bus;
    return 0;
}

static int export_objects(Bus *bus) {
    sd_bus *connection = bus->view.bus;

    int r = sd_bus_add_object_manager(connection, &bus->object_manager, PMEMD_ROOT_PATH);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(connection, &bus->object, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, manager_vtable,
                                       find, bus);
    if (r >= 0)
        r = sd_bus_match_signal_async(connection, &bus->name_lost, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                      "org.freedesktop.DBus", "NameLost", on_name_lost, NULL, bus);
    if (r >= 0)
        r = sd_bus_add_match_async(connection, &bus->disconnected,
                                   "type='signal',sender='org.freedesktop.DBus.Local',"
                                   "path='/org/freedesktop/DBus/Local',interface='org.freedesktop.DBus.Local',"
                                   "member='Disconnected'",
                                   on_disconnected, NULL, bus);
    return r;
}

void bus_set_defaults(Bus *bus, const BusDefaults *defaults) {
    QuotaTable *old = bus->defaults.quotas;
    Patience *patience = bus->defaults.patience ?: patience_new();

    bus->defaults = *defaults;
    bus->defaults.patience = patience;
    if (defaults->quotas)
        bus->defaults.quotas = quota_table_ref(defaults->quotas);
    quota_table_unref(old);
}

Bus *bus_new(sd_event *event, const char *address, Manager *manager, const BusDefaults *defaults,
             const BusEvents *events, void *data, GError **error) {
    const ManagerEvents manager_events = {
        .summary_changed = on_summary_changed,
        .health_changed = on_health_changed,
        .removing = on_removing,
    };
    g_autoptr(Bus) bus = g_new0(Bus, 1);

    bus_set_defaults(bus, defaults);
    bus->events = *events;
    bus->events_data = data;
    bus->view.manager = manager;
    bus->view.audit = bus_audit_new(event, manager);
    int r = connect_to(address, &bus->view.bus);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot connect to the message bus '%s': %s", address,
                    g_strerror(-r));
        return NULL;
    }
    /* What is pending is answered after the loop has ended: bus_free() closes. */
    r = sd_bus_set_close_on_exit(bus->view.bus, false);
    if (r >= 0)
        r = sd_bus_attach_event(bus->view.bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = export_objects(bus);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot serve the message bus '%s': %s", address,
                    g_strerror(-r));
        return NULL;
    }
    bus->view.news = bus_news_new(bus->view.bus, event, error);
    if (!bus->view.news)
        return NULL;
    bus->lists = bus_turns_new(event, bus_answer_list, bus, error);
    if (!bus->lists)
        return NULL;
    bus->authority = bus_authority_new(&bus->view, error);
    if (!bus->authority)
        return NULL;
    bus->hold = bus_hold_new(&bus->view, error);
    if (!bus->hold)
        return NULL;
    bus->descriptors = bus_descriptors_new(bus->view.bus, error);
    if (!bus->descriptors)
        return NULL;
    bus->view.unread = bus_unread_new(bus->view.bus, bus_go_on_with_list, bus_cost_of, bus, error);
    if (!bus->view.unread)
        return NULL;
    bus->leases = bus_lease_new(&bus->view, bus_submit_attach, bus, error);
    if (!bus->leases)
        return NULL;
    /* Behind all that listens to the manager: from there on nothing may fail. */
    bus->jobs = bus_job_new(&bus->view, bus->authority, error);
    if (!bus->jobs)
        return NULL;
    /* The last that may fail: from here on the manager knows us as a listener. */
    bus->regions = bus_region_new(&bus->view, error);
    if (!bus->regions)
        return NULL;
    bus->told = manager_facts(bus, false);
    manager_add_events(manager, &manager_events, bus);
    return g_steal_pointer(&bus);
}

void bus_free(Bus *bus) {
    if (!bus)
        return;
    bus_unread_free(bus->view.unread);
    bus_hold_free(bus->hold);
    bus_authority_free(bus->authority);
    if (bus->view.bus) {
        sd_bus_flush(bus->view.bus);
        sd_bus_detach_event(bus->view.bus);
    }
    bus_lease_free(bus->leases);
    bus_descriptors_free(bus->descriptors);
    bus_job_free(bus->jobs);
    bus_region_free(bus->regions);
    bus_turns_free(bus->lists);
    bus_news_free(bus->view.news);
    bus_audit_free(bus->view.audit);
    sd_bus_slot_unref(bus->disconnected);
    sd_bus_slot_unref(bus->name_lost);
    sd_bus_slot_unref(bus->object);
    sd_bus_slot_unref(bus->object_manager);
    sd_bus_close_unref(bus->view.bus);
    quota_table_unref(bus->defaults.quotas);
    patience_unref(bus->defaults.patience);
    g_free(bus);
}

const EraserEvents *bus_get_eraser_events(Bus *bus, void **ret_data) {
    *ret_data = bus->jobs;
    return bus_job_events();
}

void bus_set_eraser(Bus *bus, Eraser *eraser) {
    bus->eraser = eraser;
    bus_job_set_eraser(bus->jobs, eraser);
}

void bus_refuse_pending(Bus *bus) {
    bus_turns_flush(bus->lists);
    bus_lease_refuse_waiting(bus->leases);
    bus_authority_refuse_pending(bus->authority);
}

bool bus_acquire_name(Bus *bus, GError **error) {
    int r = sd_bus_request_name(bus->view.bus, PMEMD_BUS_NAME, 0);
    if (r >= 0)
        return true;
    if (r == -EEXIST || r == -EALREADY)
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                            "the bus name " PMEMD_BUS_NAME " is taken: another pmemd serves this bus; stop it first");
    else if (r == -EPERM || r == -EACCES)
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                            "the bus does not allow this user the name " PMEMD_BUS_NAME
                            ": install org.pmemd1.conf into its system.d folder, and run pmemd as root");
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot take the bus name " PMEMD_BUS_NAME ": %s",
                    g_strerror(-r));
    return false;
}
