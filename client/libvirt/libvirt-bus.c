/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/libvirt-bus.h"

#include "proto/bus-connect.h"
#include "proto/error.h"
#include "proto/names.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ACTION "org.pmemd1.manage-libvirt"
#define CALLS_MAX 1024u  /* under way at once: what their memory is bounded by */
#define ASKED_FOR_MAX 4u /* questions to polkit at once for one user, who may let his agent never answer */
#define ASKED_FOR_ALL_MAX 64u

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define DRIVER_USEC (UINT64_C(10) * G_USEC_PER_SEC)

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_IFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_INTERACTION 1u
#define POLKIT_USEC (UINT64_C(10) * G_USEC_PER_SEC)
#define POLKIT_ASKING_USEC (UINT64_C(120) * G_USEC_PER_SEC) /* while it asks people */

struct LibvirtBus {
    sd_bus *bus;
    sd_bus_slot *object;
    const LibvirtBusOps *ops;
    void *data;
    GPtrArray *calls; /* LibvirtBusCall's under way */
};

struct LibvirtBusCall {
    LibvirtBus *bus;
    sd_bus_message *message;
    sd_bus_slot *question; /* to the bus driver, then to polkit */
    const char *pool;      /* the message's */
    bool enable;
    bool asked;   /* polkit is, for uid */
    uint32_t uid; /* of the caller */
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

LibvirtPool *libvirt_pool_new(const char *name, const char *uuid) {
    LibvirtPool *pool = g_new0(LibvirtPool, 1);

    pool->name = g_strdup(name);
    pool->uuid = g_strdup(uuid);
    pool->directory = g_strdup("");
    pool->libvirt = "absent";
    pool->problem = g_strdup("");
    return pool;
}

void libvirt_pool_free(LibvirtPool *pool) {
    if (!pool)
        return;
    g_free(pool->name);
    g_free(pool->uuid);
    g_free(pool->directory);
    g_free(pool->problem);
    g_free(pool);
}

/* --- answers --- */

static void call_free(LibvirtBusCall *call) {
    sd_bus_slot_unref(call->question);
    sd_bus_message_unref(call->message);
    g_free(call);
}

static int reply_error(sd_bus_message *message, const GError *error) {
    int code = error->domain == PMEMD_ERROR ? error->code : PMEMD_ERROR_INTERNAL;
    sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(pmemd_error_dbus_name(code), error->message);

    return sd_bus_reply_method_error(message, &e);
}

void libvirt_bus_call_end(LibvirtBusCall *call, const GError *error) {
    int r = error ? reply_error(call->message, error) : sd_bus_reply_method_return(call->message, NULL);

    if (r < 0 && r != -ENOTCONN)
        g_warning("cannot answer %s, ignoring: %s", sd_bus_message_get_member(call->message), g_strerror(-r));
    g_ptr_array_remove(call->bus->calls, call);
}

static void refuse(LibvirtBusCall *call, PmemdError code, const char *text) {
    g_autoptr(GError) error = g_error_new_literal(PMEMD_ERROR, (int) code, text);
    libvirt_bus_call_end(call, error);
}

static void run(LibvirtBusCall *call) {
    const LibvirtBusOps *ops = call->bus->ops;

    (call->enable ? ops->enable : ops->disable)(call->bus->data, call->pool, call);
}

/* --- who may --- */

/* Only a clear yes is one. */
static bool polkit_says_yes(sd_bus_message *reply, bool *ret_challenge) {
    int authorized = 0, challenge = 0;

    int r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
    if (r >= 0)
        r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
    *ret_challenge = r >= 0 && challenge;
    return r >= 0 && authorized;
}

static int on_verdict(sd_bus_message *reply, void *data, sd_bus_error *ret_error) {
    LibvirtBusCall *call = data;
    const sd_bus_error *e = sd_bus_message_get_error(reply);
    bool challenge = false;

    call->asked = false;
    if (e) {
        g_autofree char *text = g_strdup_printf("polkit did not say that you may (%s: %s): ask again, or as root",
                                                ACTION, e->message ? e->message : e->name);
        refuse(call, PMEMD_ERROR_NOT_AUTHORIZED, text);
    } else if (polkit_says_yes(reply, &challenge))
        run(call);
    else
        refuse(call, PMEMD_ERROR_NOT_AUTHORIZED,
               challenge ? "polkit wants a password for " ACTION
                           ", and nobody may be asked: call interactively, or as root"
                         : "polkit says that you may not do " ACTION ": ask as root");
    return 0;
}

static int ask_polkit(LibvirtBusCall *call) {
    bool interactive = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;
    g_autoptr(sd_bus_message) question = NULL;

    int r = sd_bus_message_new_method_call(call->bus->bus, &question, POLKIT_NAME, POLKIT_PATH, POLKIT_IFACE,
                                           "CheckAuthorization");
    /* A connection, not a process: its number may be somebody else's by the time polkit looks. */
    if (r >= 0)
        r = sd_bus_message_append(question, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                  sd_bus_message_get_sender(call->message), ACTION, 2, "verb",
                                  call->enable ? "EnablePool" : "DisablePool", "subject", call->pool,
                                  interactive ? POLKIT_INTERACTION : 0u, "");
    if (r < 0)
        return r;
    call->question = sd_bus_slot_unref(call->question);
    return sd_bus_call_async(call->bus->bus, &call->question, question, on_verdict, call,
                             interactive ? POLKIT_ASKING_USEC : POLKIT_USEC);
}

/* Nobody keeps others from asking, least of all root, who is not asked about. */
static bool may_ask(const LibvirtBusCall *call) {
    guint own = 0, all = 0;

    for (guint i = 0; i < call->bus->calls->len; i++) {
        const LibvirtBusCall *other = call->bus->calls->pdata[i];
        all += other->asked;
        own += other->asked && other->uid == call->uid;
    }
    return own < ASKED_FOR_MAX && all < ASKED_FOR_ALL_MAX;
}

static int on_user(sd_bus_message *reply, void *data, sd_bus_error *ret_error) {
    LibvirtBusCall *call = data;

    if (sd_bus_message_get_error(reply) || sd_bus_message_read(reply, "u", &call->uid) <= 0)
        refuse(call, PMEMD_ERROR_NOT_AUTHORIZED, "the bus does not say who you are");
    else if (call->uid == 0 || call->uid == (uint32_t) geteuid())
        run(call);
    else if (!may_ask(call))
        refuse(call, PMEMD_ERROR_LIMITS_EXCEEDED,
               "polkit is being asked about too many of your calls: ask again later");
    else {
        call->asked = true;
        int r = ask_polkit(call);
        if (r < 0)
            refuse(call, PMEMD_ERROR_NOT_AUTHORIZED, "polkit cannot be asked: ask as root");
    }
    return 0;
}

/* --- methods --- */

static int read_arguments(sd_bus_message *message, const char **ret_pool, GError **error) {
    const char *option = NULL;

    int r = sd_bus_message_read(message, "s", ret_pool);
    if (r >= 0)
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
    if (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0 &&
        (r = sd_bus_message_read(message, "s", &option)) > 0)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "there is no option '%s': this method takes none",
                    option);
    return r;
}

static int on_change(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    g_autoptr(GError) error = NULL;
    LibvirtBus *bus = data;
    const char *pool;

    int r = read_arguments(message, &pool, &error);
    if (r < 0)
        return r;
    if (!error && bus->calls->len >= CALLS_MAX)
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED, "%u calls are under way already: ask again later",
                    CALLS_MAX);
    if (error)
        return reply_error(message, error);

    LibvirtBusCall *call = g_new0(LibvirtBusCall, 1);
    *call = (LibvirtBusCall){ .bus = bus, .message = sd_bus_message_ref(message), .pool = pool };
    call->enable = strcmp(sd_bus_message_get_member(message), "EnablePool") == 0;
    g_ptr_array_add(bus->calls, call);
    r = sd_bus_call_method_async(bus->bus, &call->question, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
                                 "GetConnectionUnixUser", on_user, call, "s", sd_bus_message_get_sender(message));
    if (r < 0)
        refuse(call, PMEMD_ERROR_NOT_AUTHORIZED, "the bus cannot be asked who you are");
    return 1;
}

static int append_pool(sd_bus_message *reply, const LibvirtPool *pool) {
    return sd_bus_message_append(reply, "a{sv}", 7, "name", "s", pool->name, "uuid", "s", pool->uuid, "enabled", "b",
                                 (int) pool->enabled, "directory", "s", pool->directory, "mounted", "b",
                                 (int) pool->mounted, "libvirt", "s", pool->libvirt, "problem", "s", pool->problem);
}

static int on_list(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    g_autoptr(sd_bus_message) reply = NULL;
    LibvirtBus *bus = data;
    g_autoptr(GPtrArray) pools = bus->ops->list(bus->data);

    int r = sd_bus_message_new_method_return(message, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < pools->len; i++)
        r = append_pool(reply, pools->pdata[i]);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable *vtable(void) {
    static const sd_bus_vtable rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("EnablePool", SD_BUS_ARGS("s", pool, "a{sv}", options), SD_BUS_NO_RESULT, on_change,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DisablePool", SD_BUS_ARGS("s", pool, "a{sv}", options), SD_BUS_NO_RESULT, on_change,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPools", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", pools), on_list,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
    };
    return rows;
}

/* --- start and end --- */

static bool serve(LibvirtBus *bus, sd_event *event, const char *address, GError **error) {
    int r = pmemd_bus_connect(address, &bus->bus);
    /* Without its bus nobody reaches it: the service manager starts it again, on the new one. */
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(bus->bus, true);
    if (r >= 0)
        r = sd_bus_attach_event(bus->bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus->bus, &bus->object, PMEMD_LIBVIRT_PATH, PMEMD_LIBVIRT_IFACE, vtable(), bus);
    if (r >= 0)
        r = sd_bus_request_name(bus->bus, PMEMD_LIBVIRT_BUS_NAME, 0);
    if (r >= 0)
        return true;
    if (r == -EEXIST)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "another pmemd-libvirt is on the bus %s: stop it", address);
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot be " PMEMD_LIBVIRT_BUS_NAME " on the bus %s: %s",
                    address, g_strerror(-r));
    return false;
}

LibvirtBus *libvirt_bus_new(sd_event *event, const char *address, const LibvirtBusOps *ops, void *data,
                            GError **error) {
    g_autoptr(LibvirtBus) bus = g_new0(LibvirtBus, 1);

    *bus = (LibvirtBus){ .ops = ops, .data = data };
    bus->calls = g_ptr_array_new_with_free_func((GDestroyNotify) call_free);
    return serve(bus, event, address, error) ? g_steal_pointer(&bus) : NULL;
}

void libvirt_bus_free(LibvirtBus *bus) {
    if (!bus)
        return;
    bus->ops->drop(bus->data);
    g_ptr_array_unref(bus->calls);
    sd_bus_slot_unref(bus->object);
    sd_bus_flush_close_unref(bus->bus);
    g_free(bus);
}
