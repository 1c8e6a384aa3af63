/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"
#include "proto/names.h"

#define RECOVERY_USEC (INT64_C(30) * G_USEC_PER_SEC)
#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

static const char *const operation_names[] = { "SetupMgmt", "SetupData", "AllocateMgmt", "AllocateData" };
G_STATIC_ASSERT(G_N_ELEMENTS(operation_names) == PMEMD_N_OPERATIONS);

GQuark pmemd_client_error_quark(void) {
    return g_quark_from_static_string("pmemd-client-error-quark");
}

const char *pmemd_operation_to_string(PmemdOperation operation) {
    g_assert(operation < PMEMD_N_OPERATIONS);
    return operation_names[operation];
}

/* --- connection --- */

static char *describe_bus(const char *address) {
    if (strcmp(address, "system") == 0 || strcmp(address, "session") == 0)
        return g_strdup_printf("the %s bus", address);
    return g_strdup_printf("the bus at %s", address);
}

static int start_bus(const char *address, sd_bus **ret_bus) {
    if (strcmp(address, "system") == 0)
        return sd_bus_open_system(ret_bus);
    if (strcmp(address, "session") == 0)
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

static sd_bus *connect_bus(const char *address, GError **error) {
    sd_bus *bus = NULL;
    const char *unique;
    int r = start_bus(address, &bus);

    /* Only this waits for the connection to stand; before, a wrong address is not noticed. */
    if (r >= 0)
        r = sd_bus_get_unique_name(bus, &unique);
    if (r < 0) {
        g_autofree char *where = describe_bus(address);
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE, "cannot connect to %s: %s%s", where,
                    g_strerror(-r), r == -EINVAL ? " (an address looks like unix:path=/run/x)" : "");
        sd_bus_close_unref(bus);
        return NULL;
    }
    return bus;
}

PmemdClient *pmemd_client_open(const char *bus, GError **error) {
    sd_bus *connected = connect_bus(bus, error);
    if (!connected)
        return NULL;

    PmemdClient *client = g_new0(PmemdClient, 1);
    client->address = g_strdup(bus);
    client->bus = connected;
    return client;
}

void pmemd_client_free(PmemdClient *client) {
    if (!client)
        return;
    sd_bus_flush_close_unref(client->bus);
    g_free(client->address);
    g_free(client);
}

void pmemd_client_set_interactive(PmemdClient *client, bool interactive) {
    client->interactive = interactive;
}

/* --- calls --- */

bool pmemd_client_set_lost(PmemdClient *client, int errnum, GError **error) {
    g_autofree char *where = describe_bus(client->address);
    g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST, "the connection to pmemd on %s was lost: %s", where,
                g_strerror(errnum));
    return false;
}

bool pmemd_client_set_unreadable(const char *member, int errnum, GError **error) {
    g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL,
                "pmemd's answer to %s cannot be read (%s): pmemd and this program are of different versions", member,
                g_strerror(errnum));
    return false;
}

static bool error_is(const sd_bus_error *e, const char *const *names) {
    for (size_t i = 0; names[i]; i++)
        if (sd_bus_error_has_name(e, names[i]))
            return true;
    return false;
}

/* Turns what sd_bus_call() left into a GError. The daemon's own words are passed on as they are. */
static void set_call_error(PmemdClient *client, const char *path, const char *member, const sd_bus_error *e, int errnum,
                           GError **error) {
    static const char *const absent[] = { SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, NULL };
    static const char *const lost[] = { SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED, NULL };
    static const char *const denied[] = { SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_AUTH_FAILED,
                                          SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, NULL };
    g_autofree char *where = describe_bus(client->address);
    const char *text = e->message ? e->message : g_strerror(errnum);
    int code = pmemd_error_from_dbus_name(e->name);

    if (code >= 0)
        g_set_error_literal(error, PMEMD_ERROR, code, text);
    else if (error_is(e, absent) || (e->name && g_str_has_prefix(e->name, "org.freedesktop.DBus.Error.Spawn."))) {
        g_autofree char *command = strcmp(client->address, "system") == 0
                                       ? g_strdup("systemctl start pmemd")
                                       : g_strdup_printf("pmemd --bus=%s", client->address);
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE,
                    "pmemd is not running on %s: start it with '%s'", where, command);
    } else if (error_is(e, lost) || errnum == ECONNRESET || errnum == ENOTCONN || errnum == EPIPE)
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST,
                    "pmemd on %s went away during %s: it may have been done or not", where, member);
    else if (error_is(e, denied))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "%s does not let you call %s: %s", where, member,
                    text);
    else if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT) && strcmp(path, PMEMD_ROOT_PATH) != 0)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "pmemd has no object %s", path);
    else if (sd_bus_error_has_name(e, SD_BUS_ERROR_LIMITS_EXCEEDED))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED, "%s refused %s: %s", where, member, text);
    else
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL, "%s failed on %s: %s (%s)", member, where,
                    text, e->name ? e->name : "no error name");
}

sd_bus_message *pmemd_client_call(PmemdClient *client, const char *path, const char *interface, const char *member,
                                  PmemdFillFunc fill, const void *arguments, GError **error) {
    g_autoptr(sd_bus_message) call = NULL;

    int r = sd_bus_message_new_method_call(client->bus, &call, PMEMD_BUS_NAME, path, interface, member);
    if (r >= 0 && client->interactive)
        r = sd_bus_message_set_allow_interactive_authorization(call, true);
    if (r >= 0 && fill)
        r = fill(call, arguments);
    if (r == -ENOTCONN) {
        pmemd_client_set_lost(client, -r, error);
        return NULL;
    }
    if (r < 0) {
        /* sd-bus refuses what no bus would carry: text that is not UTF-8, a malformed object path. */
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s cannot be sent: %s (texts must be UTF-8)",
                    member, g_strerror(-r));
        return NULL;
    }

    sd_bus_error e = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    r = sd_bus_call(client->bus, call, UINT64_MAX, &e, &reply);
    if (r < 0) {
        set_call_error(client, path, member, &e, -r, error);
        reply = NULL;
    }
    sd_bus_error_free(&e);
    return reply;
}

static int fill_name(sd_bus_message *message, const void *name) {
    return sd_bus_message_append(message, "s", name);
}

static int on_owner_changed(sd_bus_message *message, void *data, sd_bus_error *error) {
    bool *news = data;
    const char *name, *old, *new;

    if (sd_bus_message_read(message, "sss", &name, &old, &new) > 0 && strcmp(name, PMEMD_BUS_NAME) == 0)
        *news = true;
    return 0;
}

static int on_state_changed(sd_bus_message *message, void *data, sd_bus_error *error) {
    bool *news = data;
    *news = true;
    return 0;
}

/* pmemd answers, and takes changes again. */
static bool daemon_is_back(PmemdClient *client) {
    g_autoptr(PmemdStatus) status = NULL;

    /* Asked of the bus first: a call would have it start a pmemd. */
    if (sd_bus_get_name_creds(client->bus, PMEMD_BUS_NAME, 0, NULL) >= 0)
        status = pmemd_client_status(client, NULL);
    return status && strcmp(status->state, "recovering") != 0;
}

static bool reconnect(PmemdClient *client) {
    sd_bus *bus = connect_bus(client->address, NULL);
    if (!bus)
        return false;
    sd_bus_close_unref(client->bus);
    client->bus = bus;
    return !client->event_func || pmemd_client_add_matches(client) >= 0;
}

/* Connects again if need be, and waits until pmemd is back or the time is over. Says nothing: the next call will. */
static void wait_for_daemon(PmemdClient *client) {
    sd_bus_slot *owner_slot = NULL, *state_slot = NULL;
    int64_t deadline = g_get_monotonic_time() + RECOVERY_USEC;
    bool news = true;

    if (sd_bus_is_open(client->bus) <= 0 && !reconnect(client))
        return;
    /* The matches stand before the first look, so that nothing happens unseen between the two. */
    int r = sd_bus_match_signal(client->bus, &owner_slot, DBUS_NAME, DBUS_PATH, DBUS_NAME, "NameOwnerChanged",
                                on_owner_changed, &news);
    if (r >= 0)
        r = sd_bus_match_signal(client->bus, &state_slot, PMEMD_BUS_NAME, PMEMD_ROOT_PATH,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_state_changed, &news);
    while (r >= 0) {
        if (news && daemon_is_back(client))
            break;
        news = false;
        r = sd_bus_process(client->bus, NULL);
        int64_t left = deadline - g_get_monotonic_time();
        if (r == 0 && left <= 0)
            break;
        if (r == 0)
            r = sd_bus_wait(client->bus, (uint64_t) left);
    }
    sd_bus_slot_unref(owner_slot);
    sd_bus_slot_unref(state_slot);
}

/* pmemd_client_call, asked again once when the answer is lost and a request-id makes that safe. */
static sd_bus_message *call_change(PmemdClient *client, const char *member, PmemdFillFunc fill, const void *arguments,
                                   const char *request_id, GError **error) {
    GError *first = NULL, *second = NULL;

    sd_bus_message *reply =
        pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, member, fill, arguments, &first);
    if (reply)
        return reply;
    if (!request_id || !g_error_matches(first, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST)) {
        g_propagate_error(error, first);
        return NULL;
    }

    wait_for_daemon(client);
    reply = pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, member, fill, arguments, &second);
    if (!reply && g_error_matches(second, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE)) {
        /* Nothing is known about the first call, and that is what the caller must hear. */
        g_propagate_error(error, g_steal_pointer(&first));
        g_clear_error(&second);
    } else if (!reply)
        g_propagate_error(error, g_steal_pointer(&second));
    g_clear_error(&first);
    return reply;
}

/* --- arguments --- */

static int append_text(sd_bus_message *m, const char *key, const char *value) {
    return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_number(sd_bus_message *m, const char *key, uint64_t value) {
    return value != 0 ? sd_bus_message_append(m, "{sv}", key, "t", value) : 0;
}

static int append_options(sd_bus_message *m, const PmemdRequest *request) {
    int r = append_text(m, "name", request->name);
    if (r >= 0)
        r = append_text(m, "profile", request->profile);
    if (r >= 0)
        r = append_text(m, "mgmt", request->mgmt);
    if (r >= 0)
        r = append_number(m, "alignment", request->alignment);
    if (r >= 0 && request->max_regions != 0)
        r = sd_bus_message_append(m, "{sv}", "max-regions", "u", request->max_regions);
    if (r >= 0 && request->init_labels)
        r = sd_bus_message_append(m, "{sv}", "init-labels", "b", 1);
    if (r >= 0 && request->has_node)
        r = sd_bus_message_append(m, "{sv}", "node", "i", request->node);
    return r;
}

static bool operation_is_setup(PmemdOperation operation) {
    return operation == PMEMD_OPERATION_SETUP_MGMT || operation == PMEMD_OPERATION_SETUP_DATA;
}

static int fill_request(sd_bus_message *m, const void *arguments) {
    const PmemdRequest *request = arguments;
    int r;

    if (operation_is_setup(request->operation))
        r = sd_bus_message_append(m, "tt", request->frames.start, request->frames.end);
    else
        r = sd_bus_message_append(m, "t", request->bytes);
    if (r >= 0 && request->operation == PMEMD_OPERATION_SETUP_DATA)
        r = sd_bus_message_append(m, "tt", request->mgmt_frames.start, request->mgmt_frames.end);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = append_options(m, request);
    if (r >= 0)
        r = append_text(m, "request-id", request->request_id);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int fill_plan(sd_bus_message *m, const void *arguments) {
    const PmemdRequest *request = arguments;

    int r = sd_bus_message_append(m, "s", pmemd_operation_to_string(request->operation));
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    /* Here 0 is a value like any other, unlike in the options. */
    if (r >= 0 && operation_is_setup(request->operation))
        r = sd_bus_message_append(m, "{sv}{sv}", "smfn", "t", request->frames.start, "emfn", "t", request->frames.end);
    else if (r >= 0)
        r = sd_bus_message_append(m, "{sv}", "bytes", "t", request->bytes);
    if (r >= 0 && request->operation == PMEMD_OPERATION_SETUP_DATA)
        r = sd_bus_message_append(m, "{sv}{sv}", "mgmt_smfn", "t", request->mgmt_frames.start, "mgmt_emfn", "t",
                                  request->mgmt_frames.end);
    if (r >= 0)
        r = append_options(m, request);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The arguments of the calls on a region that exists. */
typedef struct {
    const char *path;
    const char *name;       /* Rename */
    uint32_t uid;           /* SetOwner */
    const char *request_id; /* Release* */
} RegionCall;

static int fill_release(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;

    if (!call->request_id)
        return sd_bus_message_append(m, "oa{sv}", call->path, 0);
    return sd_bus_message_append(m, "oa{sv}", call->path, 1, "request-id", "s", call->request_id);
}

static int fill_rename(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;
    return sd_bus_message_append(m, "osa{sv}", call->path, call->name, 0);
}

static int fill_set_owner(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;
    return sd_bus_message_append(m, "oua{sv}", call->path, call->uid, 0);
}

/* The object path that is all of the answer. */
static char *read_path(sd_bus_message *reply, const char *member, GError **error) {
    const char *path;

    int r = sd_bus_message_read(reply, "o", &path);
    if (r <= 0) {
        pmemd_client_set_unreadable(member, r < 0 ? -r : ENODATA, error);
        return NULL;
    }
    return g_strdup(path);
}

/* --- methods --- */

char *pmemd_client_find(PmemdClient *client, const char *key, GError **error) {
    if (g_str_has_prefix(key, PMEMD_REGION_PATH_PREFIX) && sd_bus_object_path_is_valid(key))
        return g_strdup(key);

    g_autoptr(sd_bus_message) reply =
        pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "GetRegion", fill_name, key, error);
    return reply ? read_path(reply, "GetRegion", error) : NULL;
}

bool pmemd_client_count(PmemdClient *client, const char *kind, uint32_t *ret_count, GError **error) {
    g_autoptr(sd_bus_message) reply =
        pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "CountRegions", fill_name, kind, error);
    if (!reply)
        return false;

    uint32_t count;
    int r = sd_bus_message_read(reply, "u", &count);
    if (r <= 0)
        return pmemd_client_set_unreadable("CountRegions", r < 0 ? -r : ENODATA, error);
    *ret_count = count;
    return true;
}

PmemdPlan *pmemd_client_plan(PmemdClient *client, const PmemdRequest *request, GError **error) {
    g_autoptr(sd_bus_message) reply =
        pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "Plan", fill_plan, request, error);
    return reply ? pmemd_plan_read(reply, error) : NULL;
}

char *pmemd_client_submit(PmemdClient *client, const PmemdRequest *request, GError **error) {
    const char *member = pmemd_operation_to_string(request->operation);

    g_autoptr(sd_bus_message) reply = call_change(client, member, fill_request, request, request->request_id, error);
    return reply ? read_path(reply, member, error) : NULL;
}

char *pmemd_client_release_data(PmemdClient *client, const char *path, const char *request_id, GError **error) {
    RegionCall call = { .path = path, .request_id = request_id };

    g_autoptr(sd_bus_message) reply = call_change(client, "ReleaseData", fill_release, &call, request_id, error);
    return reply ? read_path(reply, "ReleaseData", error) : NULL;
}

bool pmemd_client_release_mgmt(PmemdClient *client, const char *path, const char *request_id, GError **error) {
    RegionCall call = { .path = path, .request_id = request_id };

    g_autoptr(sd_bus_message) reply = call_change(client, "ReleaseMgmt", fill_release, &call, request_id, error);
    return reply != NULL;
}

bool pmemd_client_rename(PmemdClient *client, const char *path, const char *name, GError **error) {
    RegionCall call = { .path = path, .name = name };

    g_autoptr(sd_bus_message) reply = call_change(client, "Rename", fill_rename, &call, NULL, error);
    return reply != NULL;
}

bool pmemd_client_set_owner(PmemdClient *client, const char *path, uint32_t uid, GError **error) {
    RegionCall call = { .path = path, .uid = uid };

    g_autoptr(sd_bus_message) reply = call_change(client, "SetOwner", fill_set_owner, &call, NULL, error);
    return reply != NULL;
}

bool pmemd_client_pause_job(PmemdClient *client, const char *path, bool pause, GError **error) {
    g_autoptr(sd_bus_message) reply =
        pmemd_client_call(client, path, PMEMD_IFACE_JOB, pause ? "Pause" : "Resume", NULL, NULL, error);
    return reply != NULL;
}
