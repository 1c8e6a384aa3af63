/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libpmemd.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "client/libpmemd-private.h"
#include "proto/bus-connect.h"

GQuark pmemd_client_error_quark(void) {
    return g_quark_from_static_string("pmemd-client-error-quark");
}

const char *pmemd_library_version(void) {
    return PMEMD_VERSION;
}

/* --- errors --- */

const char *pmemd_error_describe(const GError *error, int *ret_errno) {
    static const struct {
        const char *name;
        int errnum;
    } rows[] = {
        [PMEMD_CLIENT_ERROR_UNREACHABLE] = { PMEMD_ERROR_NAME_UNREACHABLE, ENOTCONN },
        [PMEMD_CLIENT_ERROR_LOST] = { PMEMD_ERROR_NAME_LOST, ECONNRESET },
        [PMEMD_CLIENT_ERROR_PROTOCOL] = { PMEMD_ERROR_NAME_PROTOCOL, EBADMSG },
    };

    if (error->domain == PMEMD_CLIENT_ERROR) {
        *ret_errno = rows[error->code].errnum;
        return rows[error->code].name;
    }
    g_assert(error->domain == PMEMD_ERROR);
    *ret_errno = pmemd_error_errno(error->code);
    return pmemd_error_dbus_name(error->code);
}

static void keep_error(PmemdClient *client, const char *name, const char *message) {
    g_free(client->error_name);
    g_free(client->error_message);
    client->error_name = g_strdup(name);
    client->error_message = g_strdup(message);
}

int pmemd_client_end(PmemdClient *client, GError *error) {
    int errnum;

    if (!error)
        return 0;
    keep_error(client, pmemd_error_describe(error, &errnum), error->message);
    g_error_free(error);
    return -errnum;
}

/* What sd-event or the caller did wrong. errnum: negative, returned. */
static int end_errno(PmemdClient *client, int errnum) {
    keep_error(client, PMEMD_ERROR_NAME_INVALID_ARGUMENT, g_strerror(-errnum));
    return errnum;
}

const char *pmemd_client_error_name(const PmemdClient *client) {
    return client->error_name ? client->error_name : "";
}

const char *pmemd_client_error_message(const PmemdClient *client) {
    return client->error_message ? client->error_message : "";
}

char *pmemd_client_describe_bus(const PmemdClient *client) {
    if (client->remote)
        return g_strdup_printf("the system bus of %s", client->address);
    if (strcmp(client->address, "system") == 0 || strcmp(client->address, "session") == 0)
        return g_strdup_printf("the %s bus", client->address);
    return g_strdup_printf("the bus at %s", client->address);
}

bool pmemd_client_set_lost(PmemdClient *client, int errnum, GError **error) {
    g_autofree char *where = pmemd_client_describe_bus(client);
    g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST, "the connection to pmemd on %s was lost: %s", where,
                g_strerror(errnum));
    return false;
}

bool pmemd_client_check_open(const PmemdClient *client, GError **error) {
    if (client->bus)
        return true;
    g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE,
                "the client is not connected to a bus: pmemd_client_open() does that");
    return false;
}

/* --- connection --- */

int pmemd_client_new(PmemdClient **ret_client) {
    PmemdClient *client = g_new0(PmemdClient, 1);

    client->calls = g_ptr_array_new();
    *ret_client = client;
    return 0;
}

void pmemd_client_free(PmemdClient *client) {
    if (!client)
        return;
    while (client->calls->len > 0)
        pmemd_call_cancel(client->calls->pdata[0]);
    g_ptr_array_unref(client->calls);
    pmemd_client_detach_event(client);
    sd_bus_flush_close_unref(client->bus);
    g_free(client->address);
    g_free(client->error_name);
    g_free(client->error_message);
    g_free(client);
}

void pmemd_client_set_interactive(PmemdClient *client, bool interactive) {
    client->interactive = interactive;
}

static int start_bus(const PmemdClient *client, sd_bus **ret_bus) {
    return client->remote ? sd_bus_open_system_remote(ret_bus, client->address)
                          : pmemd_bus_connect(client->address, ret_bus);
}

static sd_bus *connect_bus(const PmemdClient *client, GError **error) {
    sd_bus *bus = NULL;
    const char *unique;
    int r = start_bus(client, &bus);

    /* Only this waits for the connection to stand; before, a wrong address is not noticed. */
    if (r >= 0)
        r = sd_bus_get_unique_name(bus, &unique);
    if (r < 0) {
        g_autofree char *where = pmemd_client_describe_bus(client);
        const char *hint = "";
        if (client->remote)
            hint = r == -EINVAL ? " (a host looks like user@host or user@host:port)"
                                : " (ssh has to log in there without a question, and find systemd-stdio-bridge)";
        else if (r == -EINVAL || !strchr(client->address, ':'))
            hint = " (a bus is system, session or an address such as unix:path=/run/x)";
        g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE, "cannot connect to %s: %s%s", where,
                    g_strerror(-r), hint);
        sd_bus_close_unref(bus);
        return NULL;
    }
    return bus;
}

bool pmemd_client_reconnect(PmemdClient *client, GError **error) {
    sd_bus *bus = connect_bus(client, error);
    if (!bus)
        return false;

    sd_bus *old = client->bus;
    client->bus = bus;
    if (old) {
        pmemd_client_fail_calls(client);
        sd_bus_detach_event(old);
        sd_bus_close_unref(old);
    }
    int r = client->event_func ? pmemd_client_add_matches(client) : 0;
    if (r >= 0 && client->event)
        r = sd_bus_attach_event(bus, client->event, (int) client->priority);
    return r >= 0 || pmemd_client_set_lost(client, -r, error);
}

static int open_at(PmemdClient *client, const char *address, bool remote) {
    g_autofree char *old_address = client->address;
    bool old_remote = client->remote;
    const sd_bus *old_bus = client->bus;
    GError *error = NULL;

    client->address = g_strdup(address);
    client->remote = remote;
    if (!pmemd_client_reconnect(client, &error) && client->bus && client->bus == old_bus) {
        /* The connection that stands keeps its name. */
        char *failed = client->address;
        client->address = g_steal_pointer(&old_address);
        client->remote = old_remote;
        g_free(failed);
    }
    return pmemd_client_end(client, error);
}

int pmemd_client_open(PmemdClient *client, const char *bus) {
    return open_at(client, bus, false);
}

int pmemd_client_open_remote(PmemdClient *client, const char *host) {
    /* What ssh would take for an option, or a name for nothing. */
    if (host[0] == '\0' || host[0] == '-')
        return pmemd_client_end(client,
                                g_error_new(PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                                            "'%s' is not a host: it looks like user@host or user@host:port", host));
    return open_at(client, host, true);
}

/* --- event loops --- */

int pmemd_client_attach_event(PmemdClient *client, sd_event *event, int64_t priority) {
    GError *error = NULL;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    if (priority < INT_MIN || priority > INT_MAX)
        return end_errno(client, -ERANGE);
    int r = sd_bus_attach_event(client->bus, event, (int) priority);
    if (r < 0)
        return end_errno(client, r);
    client->event = sd_event_ref(event);
    client->priority = priority;
    return 0;
}

int pmemd_client_detach_event(PmemdClient *client) {
    if (client->bus)
        sd_bus_detach_event(client->bus);
    client->event = sd_event_unref(client->event);
    return 0;
}

/* A number of sd-bus, or why there is none. */
static int end_bus(PmemdClient *client, int r) {
    GError *error = NULL;

    if (r >= 0)
        return r;
    pmemd_client_set_lost(client, -r, &error);
    return pmemd_client_end(client, error);
}

int pmemd_client_get_fd(PmemdClient *client) {
    GError *error = NULL;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    return end_bus(client, sd_bus_get_fd(client->bus));
}

int pmemd_client_get_events(PmemdClient *client) {
    GError *error = NULL;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    return end_bus(client, sd_bus_get_events(client->bus));
}

int pmemd_client_get_timeout(PmemdClient *client, uint64_t *ret_usec) {
    GError *error = NULL;
    uint64_t usec;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    int r = end_bus(client, sd_bus_get_timeout(client->bus, &usec));
    if (r < 0)
        return r;
    *ret_usec = usec;
    return 0;
}

int pmemd_client_process(PmemdClient *client) {
    GError *error = NULL;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    int r = end_bus(client, sd_bus_process(client->bus, NULL));
    return r > 0 ? 1 : r;
}

int pmemd_client_wait(PmemdClient *client, uint64_t usec) {
    GError *error = NULL;

    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    int r = sd_bus_wait(client->bus, usec);
    if (r == -EINTR)
        return 0;
    r = end_bus(client, r);
    return r > 0 ? 1 : r;
}
