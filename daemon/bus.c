/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus.h"

#include "daemon/bus-error.h"
#include "daemon/bus-job.h"
#include "daemon/bus-list.h"
#include "daemon/bus-metrics.h"
#include "daemon/bus-region.h"
#include "daemon/bus-request.h"
#include "daemon/bus-view.h"
#include "daemon/log.h"
#include "proto/error.h"
#include "proto/names.h"

#include <stddef.h>
#include <string.h>

/* The properties of the Manager object. */
typedef struct {
    const char *version, *backend, *state, *state_reason;
    uint32_t raw_regions, mgmt_regions, data_regions, foreign_devices, queued_requests;
    StateTotals totals;
} ManagerFacts;

struct Bus {
    BusView view;
    BusDefaults defaults;
    BusEvents events;
    void *events_data;
    BusRegion *regions;
    BusJob *jobs;
    const Eraser *eraser; /* NULL: not yet, or no longer */
    sd_bus_slot *object, *object_manager, *name_lost, *disconnected;
    ManagerFacts facts; /* filled by find() before its properties are read */
    ManagerFacts told;  /* as of the last PropertiesChanged; strings are static, but for state_reason */
};

/* A change under way: whom to answer. */
typedef struct {
    const BusView *view;
    sd_bus_message *call;
    ManagerMethod method;
} Pending;

static bool resolve_and_authorize(Bus *bus, sd_bus_message *call, Caller *ret_caller, GError **error) {
    return caller_resolve(bus->view.callers, call, ret_caller, error) &&
           caller_authorize(ret_caller, PMEMD_IFACE_MANAGER, sd_bus_message_get_member(call), error);
}

/* --- methods --- */

static void on_change_done(void *data, sd_id128_t result, const GError *error) {
    Pending *pending = data;

    bus_view_count(pending->view, pending->call, error);
    if (error) {
        bus_error_reply(pending->call, error);
    } else {
        int r = bus_request_reply(pending->call, pending->method, result);
        if (r < 0 && r != -ENOTCONN)
            log_message(LOG_WARNING, NULL, sd_bus_message_get_sender(pending->call),
                        "cannot send a reply, ignoring: %s", g_strerror(-r));
    }
    sd_bus_message_unref(pending->call);
    g_free(pending);
}

static int handle_change(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Bus *bus = userdata;
    g_autoptr(GError) error = NULL;
    BusRequest request;
    Caller caller;

    if (!resolve_and_authorize(bus, call, &caller, &error) ||
        !bus_request_read(call, &caller, &bus->defaults, &request, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);

    Pending *pending = g_new(Pending, 1);
    *pending = (Pending){ .view = &bus->view, .call = sd_bus_message_ref(call), .method = request.manager.method };
    if (request.manager.method == MANAGER_SET_OWNER)
        request.manager.target.owner_user = request.owner_user;
    manager_submit(bus->view.manager, &request.manager, request.hash, on_change_done, pending);
    return 1;
}

static int handle_plan(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Bus *bus = userdata;
    g_autoptr(GError) error = NULL;
    BusRequest request;
    RegionPlan plan;
    Caller caller;

    if (!resolve_and_authorize(bus, call, &caller, &error) ||
        !bus_request_read_plan(call, &caller, &bus->defaults, &request, &error) ||
        !manager_plan(bus->view.manager, &request.manager, &plan, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    return bus_view_answered(&bus->view, call, bus_request_reply_plan(call, &plan));
}

static int handle_count(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Bus *bus = userdata;
    const State *state = manager_state(bus->view.manager);
    g_autoptr(GError) error = NULL;
    const char *kind;
    Caller caller;
    guint count;

    if (!resolve_and_authorize(bus, call, &caller, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    int r = sd_bus_message_read_basic(call, 's', &kind);
    if (r < 0)
        return r;
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
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "kind '%s' is none of raw, mgmt, data, foreign",
                    quoted);
        return bus_view_refuse(&bus->view, call, error, ret_error);
    }
    return bus_view_answered(&bus->view, call, sd_bus_reply_method_return(call, "u", (uint32_t) count));
}

static int handle_list(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    const char *member = sd_bus_message_get_member(call);
    Bus *bus = userdata;
    g_autoptr(GError) error = NULL;
    Caller caller;
    BusList list = g_str_equal(member, "ListRaw")    ? BUS_LIST_RAW
                   : g_str_equal(member, "ListMgmt") ? BUS_LIST_MGMT
                   : g_str_equal(member, "ListData") ? BUS_LIST_DATA
                                                     : BUS_LIST_FOREIGN;

    if (!resolve_and_authorize(bus, call, &caller, &error) ||
        !bus_list_reply(&bus->view, list, call, caller.privileged, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    return bus_view_answered(&bus->view, call, 1);
}

/* The regions and pools that a name without POOL/ may mean: how many, and the first one. matches: for the error
 * message. */
static guint find_by_name(const State *state, const char *name, sd_id128_t *ret_uuid, GString *matches) {
    const GPtrArray *pools = state_pools(state);
    guint n = 0;

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = pools->pdata[i];
        const Region *region = g_hash_table_lookup(pool->by_name, name);

        if (g_strcmp0(pool->name, name) == 0) {
            if (n++ == 0)
                *ret_uuid = pool->sb.member_uuid;
            g_string_append_printf(matches, " pool %s", pool->name);
        }
        if (region) {
            char uuid[PMEMD_UUID_STRING_MAX];

            if (n++ == 0)
                *ret_uuid = region->uuid;
            g_string_append_printf(matches, " %s/%s", pool->name ?: pmemd_uuid_format(pool->sb.member_uuid, uuid),
                                   name);
        }
    }
    return n;
}

static bool find_in_pool(const State *state, const char *key, sd_id128_t *ret_uuid) {
    const char *slash = strchr(key, '/');
    g_autofree char *pool_key = g_strndup(key, (gsize) (slash - key));
    sd_id128_t uuid;
    const Pool *pool =
        pmemd_uuid_parse(pool_key, &uuid) ? state_pool_by_uuid(state, uuid) : state_pool_by_name(state, pool_key);
    const Region *region = pool ? g_hash_table_lookup(pool->by_name, slash + 1) : NULL;

    if (region)
        *ret_uuid = region->uuid;
    return region != NULL;
}

static bool find_by_path(const State *state, const char *key, bool privileged, sd_id128_t *ret_uuid) {
    Region *region = NULL;
    Pool *pool = NULL;

    /* Device paths are not for everyone (DevicePath is ""): nor is finding out by them. */
    if (!privileged || !state_find_path(state, key, &region, &pool))
        return false;
    *ret_uuid = region ? region->uuid : pool->sb.member_uuid;
    return true;
}

static bool find_by_uuid(const State *state, sd_id128_t uuid) {
    return state_region_by_uuid(state, uuid) || state_pool_by_uuid(state, uuid);
}

static bool find_region(const State *state, const char *key, bool privileged, sd_id128_t *ret_uuid, GError **error) {
    sd_id128_t uuid;
    bool found;

    if (!bus_check_text("the key", key, error))
        return false;
    if (pmemd_uuid_parse(key, &uuid) || pmemd_region_path_parse(key, &uuid)) {
        found = find_by_uuid(state, uuid);
    } else if (key[0] == '/') {
        found = find_by_path(state, key, privileged, &uuid);
    } else if (strchr(key, '/')) {
        found = find_in_pool(state, key, &uuid);
    } else {
        g_autoptr(GString) matches = g_string_new(NULL);
        guint n = find_by_name(state, key, &uuid, matches);
        if (n > 1) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "'%s' is the name of %u regions; say which:%s", key, n, matches->str);
            return false;
        }
        found = n == 1;
    }
    if (!found) {
        g_autofree char *quoted = bus_quote(key);
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
            "no region is '%s': give a uuid, a name, POOL/NAME or a device path, as ListMgmt and ListData show them",
            quoted);
        return false;
    }
    *ret_uuid = uuid;
    return true;
}

static int handle_get_region(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Bus *bus = userdata;
    g_autoptr(GError) error = NULL;
    char path[PMEMD_PATH_MAX];
    sd_id128_t uuid;
    const char *key;
    Caller caller;

    if (!resolve_and_authorize(bus, call, &caller, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    int r = sd_bus_message_read_basic(call, 's', &key);
    if (r < 0)
        return r;
    if (!find_region(manager_state(bus->view.manager), key, caller.privileged, &uuid, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    return bus_view_answered(&bus->view, call, sd_bus_reply_method_return(call, "o", pmemd_region_path(uuid, path)));
}

static int handle_get_metrics(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Bus *bus = userdata;
    g_autoptr(GError) error = NULL;
    Caller caller;

    if (!resolve_and_authorize(bus, call, &caller, &error))
        return bus_view_refuse(&bus->view, call, error, ret_error);
    return bus_view_answered(&bus->view, call, bus_metrics_reply(&bus->view, bus->eraser, call));
}

/* --- the object --- */

#define FACT(member) offsetof(Bus, facts.member)
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED /* sd-bus asks nobody: caller_authorize() does */
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable manager_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("SetupMgmt", SD_BUS_ARGS("t", smfn, "t", emfn, "a{sv}", options),
                            SD_BUS_RESULT("o", region), handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetupData",
                            SD_BUS_ARGS("t", smfn, "t", emfn, "t", mgmt_smfn, "t", mgmt_emfn, "a{sv}", options),
                            SD_BUS_RESULT("o", region), handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("AllocateMgmt", SD_BUS_ARGS("t", bytes, "a{sv}", options), SD_BUS_RESULT("o", region),
                            handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("AllocateData", SD_BUS_ARGS("t", bytes, "a{sv}", options), SD_BUS_RESULT("o", region),
                            handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("s", operation, "a{sv}", arguments), SD_BUS_RESULT("a{sv}", plan),
                            handle_plan, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ReleaseData", SD_BUS_ARGS("o", region, "a{sv}", options), SD_BUS_RESULT("o", job),
                            handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ReleaseMgmt", SD_BUS_ARGS("o", region, "a{sv}", options), SD_BUS_NO_RESULT, handle_change,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Rename", SD_BUS_ARGS("o", region, "s", name, "a{sv}", options), SD_BUS_NO_RESULT,
                            handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetOwner", SD_BUS_ARGS("o", region, "u", uid, "a{sv}", options), SD_BUS_NO_RESULT,
                            handle_change, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("CountRegions", SD_BUS_ARGS("s", kind), SD_BUS_RESULT("u", count), handle_count, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListRaw", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(sttiitttttsss)", regions, "s", next), handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListMgmt", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(ssttttiiussuss)", regions, "s", next), handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListData", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(ssttsttiisbuss)", regions, "s", next), handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListForeign", SD_BUS_ARGS("s", after, "u", max),
                            SD_BUS_RESULT("a(sttsss)", devices, "s", next), handle_list, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetRegion", SD_BUS_ARGS("s", key), SD_BUS_RESULT("o", region), handle_get_region, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sa{ss}d)", metrics), handle_get_metrics,
                            ANYONE),
    SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job, "o", region, "s", result, "s", message), 0),
    SD_BUS_SIGNAL_WITH_ARGS("HealthChanged", SD_BUS_ARGS("o", region, "s", old, "s", new, "s", reason), 0),
    SD_BUS_PROPERTY("Version", "s", NULL, FACT(version), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Backend", "s", NULL, FACT(backend), SD_BUS_VTABLE_PROPERTY_CONST),
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

    return (ManagerFacts){
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
}

static int find(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *ret_error) {
    Bus *bus = userdata;

    if (!g_str_equal(path, PMEMD_ROOT_PATH))
        return 0;
    bus->facts = manager_facts(bus, bus_view_is_privileged(&bus->view));
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
    g_autofree char *text = g_utf8_make_valid(reason ?: "", -1);
    Bus *bus = data;
    char path[PMEMD_PATH_MAX];

    bus_news_flush(bus->view.news);
    pmemd_region_path(uuid, path);
    int r = sd_bus_emit_signal(bus->view.bus, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "HealthChanged", "osss", path,
                               old_state, new_state, text);
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
        return sd_bus_open_system(ret_bus);
    if (g_str_equal(address, "session"))
        return sd_bus_open_user(ret_bus);

    sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(bus, true);
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

    bus->defaults = *defaults;
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
    bus->view.callers = caller_cache_new();
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
    bus->jobs = bus_job_new(&bus->view, error);
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
    if (bus->view.bus) {
        sd_bus_flush(bus->view.bus);
        sd_bus_detach_event(bus->view.bus);
    }
    bus_job_free(bus->jobs);
    bus_region_free(bus->regions);
    bus_news_free(bus->view.news);
    sd_bus_slot_unref(bus->disconnected);
    sd_bus_slot_unref(bus->name_lost);
    sd_bus_slot_unref(bus->object);
    sd_bus_slot_unref(bus->object_manager);
    sd_bus_close_unref(bus->view.bus);
    caller_cache_free(bus->view.callers);
    quota_table_unref(bus->defaults.quotas);
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
