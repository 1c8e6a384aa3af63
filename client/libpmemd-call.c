/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Calls: one message there and one back, waited for or not; lists page by page; again when an answer is lost.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/libpmemd-private.h"
#include "proto/names.h"

#define RECOVERY_USEC (INT64_C(30) * G_USEC_PER_SEC)
#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

struct PmemdCall {
    PmemdClient *client;
    sd_bus *bus; /* that it was sent on; not ours */
    sd_bus_slot *slot;
    PmemdReply reply;
    PmemdReplyFunc func;
    void *data;
};

/* --- errors --- */

static bool error_is(const sd_bus_error *e, const char *const *names) {
    for (size_t i = 0; names[i]; i++)
        if (sd_bus_error_has_name(e, names[i]))
            return true;
    return false;
}

static char *start_command(const PmemdClient *client, const char *program) {
    if (client->remote)
        return g_strdup_printf("systemctl -H %s start %s", client->address, program);
    if (strcmp(client->address, "system") == 0)
        return g_strdup_printf("systemctl start %s", program);
    return g_strdup_printf("%s --bus=%s", program, client->address);
}

/* Turns what a call left into a GError. The daemon's own words are passed on as they are. */
static void set_call_error(const PmemdClient *client, const PmemdReply *reply, const sd_bus_error *e, int errnum,
                           GError **error) {
    static const char *const absent[] = { SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, NULL };
    static const char *const lost[] = { SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED, NULL };
    static const char *const denied[] = { SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_AUTH_FAILED,
                                          SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, NULL };
    g_autofree char *where = pmemd_client_describe_bus(client);
    const char *text = e->message ? e->message : g_strerror(errnum);
    int code = pmemd_error_from_dbus_name(e->name);

    if (code >= 0)
        g_set_error_literal(error, PMEMD_ERROR, code, text);
    else if (error_is(e, absent) || (e->name && g_str_has_prefix(e->name, "org.freedesktop.DBus.Error.Spawn."))) {
        g_autofree char *command = start_command(client, reply->program);
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE,
                    "%s is not running on %s: start it with '%s'", reply->program, where, command);
    } else if (error_is(e, lost) || errnum == ECONNRESET || errnum == ENOTCONN || errnum == EPIPE)
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST,
                    "%s on %s went away during %s: it may have been done or not", reply->program, where, reply->member);
    else if (error_is(e, denied))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "%s does not let you call %s: %s", where,
                    reply->member, text);
    else if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT) &&
             g_str_has_prefix(reply->path, PMEMD_ROOT_PATH "/") && strcmp(reply->name, PMEMD_BUS_NAME) == 0)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "pmemd has no object %s", reply->path);
    else if (sd_bus_error_has_name(e, SD_BUS_ERROR_LIMITS_EXCEEDED))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED, "%s refused %s: %s", where, reply->member, text);
    else
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL, "%s failed on %s: %s (%s)", reply->member,
                    where, text, e->name ? e->name : "no error name");
}

/* --- replies --- */

bool pmemd_reply_is_list(const PmemdReply *reply) {
    return reply->kind >= REPLY_RAW_LIST && reply->kind <= REPLY_LEASE_LIST;
}

bool pmemd_reply_is_array(const PmemdReply *reply) {
    return pmemd_reply_is_list(reply) || reply->kind == REPLY_METRICS || reply->kind == REPLY_LOCATION_LIST ||
           reply->kind == REPLY_DIMM_LIST || reply->kind == REPLY_LOST_LIST || reply->kind == REPLY_LIBVIRT_LIST;
}

void pmemd_reply_init(PmemdReply *reply, const PmemdCallSpec *spec) {
    *reply = (PmemdReply){
        .kind = spec->kind,
        .program = spec->program ? spec->program : "pmemd",
        .name = spec->name ? spec->name : PMEMD_BUS_NAME,
        .interface = spec->interface,
        .member = spec->member,
        .path = g_strdup(spec->path),
        .frames = g_memdup2(spec->frames, spec->n_frames * sizeof *spec->frames),
        .n_frames = spec->n_frames,
        .fd = -1,
    };
    if (pmemd_reply_is_list(reply))
        reply->after = g_strdup("");
}

void pmemd_reply_clear(PmemdReply *reply) {
    pmemd_reply_free_result(reply);
    if (reply->fd >= 0)
        close(reply->fd);
    reply->fd = -1;
    g_clear_error(&reply->error);
    g_clear_pointer(&reply->path, g_free);
    g_clear_pointer(&reply->after, g_free);
    g_clear_pointer(&reply->frames, g_free);
}

int pmemd_reply_result(const PmemdReply *reply) {
    int errnum;

    if (!reply->error)
        return 0;
    pmemd_error_describe(reply->error, &errnum);
    return -errnum;
}

const char *pmemd_reply_error_name(const PmemdReply *reply) {
    int errnum;
    return reply->error ? pmemd_error_describe(reply->error, &errnum) : "";
}

const char *pmemd_reply_error_message(const PmemdReply *reply) {
    return reply->error ? reply->error->message : "";
}

/* --- one call --- */

/* The message of the call, of a list for the next page. */
static sd_bus_message *make_message(PmemdClient *client, const PmemdReply *reply, PmemdFillFunc fill,
                                    const void *arguments, GError **error) {
    g_autoptr(sd_bus_message) call = NULL;

    if (!pmemd_client_check_open(client, error))
        return NULL;
    /* The bus would drop such an answer, and we wait for it without end. */
    if (reply->kind == REPLY_ATTACHMENT && sd_bus_can_send(client->bus, SD_BUS_TYPE_UNIX_FD) == 0) {
        g_autofree char *where = pmemd_client_describe_bus(client);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "%s does not pass file descriptors on to this program: call %s on that host", where, reply->member);
        return NULL;
    }
    int r =
        sd_bus_message_new_method_call(client->bus, &call, reply->name, reply->path, reply->interface, reply->member);
    if (r >= 0 && client->interactive)
        r = sd_bus_message_set_allow_interactive_authorization(call, true);
    if (r >= 0 && pmemd_reply_is_list(reply))
        r = sd_bus_message_append(call, "su", reply->after, 0);
    else if (r >= 0 && fill)
        r = fill(call, arguments);
    if (r == -ENOTCONN) {
        pmemd_client_set_lost(client, -r, error);
        return NULL;
    }
    if (r < 0) {
        /* sd-bus refuses what no bus would carry: text that is not UTF-8, a malformed object path. */
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s cannot be sent: %s (texts must be UTF-8)",
                    reply->member, g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&call);
}

/* Calls until there is no page left. */
static bool call_and_wait(PmemdClient *client, const PmemdCallSpec *spec, PmemdReply *reply, GError **error) {
    do {
        sd_bus_error e = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) answer = NULL;
        g_autoptr(sd_bus_message) call = make_message(client, reply, spec->fill, spec->arguments, error);
        if (!call)
            return false;
        int r = sd_bus_call(client->bus, call, UINT64_MAX, &e, &answer);
        if (r < 0)
            set_call_error(client, reply, &e, -r, error);
        sd_bus_error_free(&e);
        if (r < 0 || !pmemd_reply_read(reply, answer, error))
            return false;
    } while (reply->after);
    return true;
}

/* --- again --- */

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
    if (sd_bus_get_name_creds(client->bus, PMEMD_BUS_NAME, 0, NULL) < 0)
        return false;
    return pmemd_client_status(client, &status) >= 0 && strcmp(status->state, "recovering") != 0;
}

/* Connects again if need be, and waits until pmemd is back or the time is over. Says nothing: the next call will. */
static void wait_for_daemon(PmemdClient *client) {
    sd_bus_slot *owner_slot = NULL, *state_slot = NULL;
    int64_t deadline = g_get_monotonic_time() + RECOVERY_USEC;
    bool news = true;

    if (sd_bus_is_open(client->bus) <= 0 && !pmemd_client_reconnect(client, NULL))
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

void pmemd_client_run(PmemdClient *client, const PmemdCallSpec *spec, PmemdReply *ret_reply) {
    GError *first = NULL, *second = NULL;

    pmemd_reply_init(ret_reply, spec);
    if (call_and_wait(client, spec, ret_reply, &first))
        return;
    if ((!spec->request_id && !spec->again) || !g_error_matches(first, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST)) {
        ret_reply->error = first;
        return;
    }

    wait_for_daemon(client);
    if (call_and_wait(client, spec, ret_reply, &second))
        g_clear_error(&first);
    else if (g_error_matches(second, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE)) {
        /* Nothing is known about the first call, and that is what the caller must hear. */
        ret_reply->error = first;
        g_clear_error(&second);
    } else {
        ret_reply->error = second;
        g_clear_error(&first);
    }
}

/* --- without waiting --- */

static void call_free(PmemdCall *call) {
    g_ptr_array_remove(call->client->calls, call);
    sd_bus_slot_unref(call->slot);
    pmemd_reply_clear(&call->reply);
    g_free(call);
}

void pmemd_call_cancel(PmemdCall *call) {
    if (call)
        call_free(call);
}

/* The end: func may do with the client what it likes, but free it. error: taken. */
static void call_finish(PmemdCall *call, GError *error) {
    /* Not to be found by who cancels or fails the calls that are left. */
    g_ptr_array_remove(call->client->calls, call);
    if (error)
        pmemd_reply_free_result(&call->reply);
    call->reply.error = error;
    call->func(call->client, &call->reply, call->data);
    call_free(call);
}

static int on_reply(sd_bus_message *message, void *data, sd_bus_error *ret_error);

static bool call_send(PmemdCall *call, PmemdFillFunc fill, const void *arguments, GError **error) {
    PmemdClient *client = call->client;
    g_autoptr(sd_bus_message) message = make_message(client, &call->reply, fill, arguments, error);
    if (!message)
        return false;

    call->bus = client->bus;
    call->slot = sd_bus_slot_unref(call->slot);
    int r = sd_bus_call_async(client->bus, &call->slot, message, on_reply, call, UINT64_MAX);
    return r >= 0 || pmemd_client_set_lost(client, -r, error);
}

static int on_reply(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    PmemdCall *call = data;
    GError *error = NULL;

    const sd_bus_error *e = sd_bus_message_get_error(message);
    if (e)
        set_call_error(call->client, &call->reply, e, sd_bus_message_get_errno(message), &error);
    else if (pmemd_reply_read(&call->reply, message, &error) && call->reply.after &&
             call_send(call, NULL, NULL, &error))
        return 0;
    call_finish(call, error);
    return 0;
}

int pmemd_client_start(PmemdClient *client, const PmemdCallSpec *spec, PmemdReplyFunc func, void *data,
                       PmemdCall **ret_call) {
    PmemdCall *call = g_new0(PmemdCall, 1);
    GError *error = NULL;

    call->client = client;
    call->func = func;
    call->data = data;
    pmemd_reply_init(&call->reply, spec);
    if (!call_send(call, spec->fill, spec->arguments, &error)) {
        call_free(call);
        return pmemd_client_end(client, error);
    }
    g_ptr_array_add(client->calls, call);
    if (ret_call)
        *ret_call = call;
    return 0;
}

/* The first call that was sent on another bus than that of now. */
static PmemdCall *find_stale(const PmemdClient *client) {
    for (guint i = 0; i < client->calls->len; i++) {
        PmemdCall *call = client->calls->pdata[i];
        if (call->bus != client->bus)
            return call;
    }
    return NULL;
}

void pmemd_client_fail_calls(PmemdClient *client) {
    PmemdCall *call;

    /* Looked for each time: a function may make calls, and cancel others. */
    while ((call = find_stale(client)) != NULL)
        call_finish(call,
                    g_error_new(PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST,
                                "the connection was lost during %s: it may have been done or not", call->reply.member));
}
