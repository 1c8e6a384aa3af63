/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-hold.h"

#include "daemon/bus-error.h"
#include "daemon/log.h"
#include "proto/error.h"

#include <string.h>

#define HELD_MAX 4096u

/* Reads that are sent again at once: a message bus lets a connection wait for 128 answers. */
#define AGAIN_MAX 16u

struct BusHold {
    BusView *view;
    sd_bus_slot *filter;
    GQueue held; /* Read *, in the order in which they came */
    guint again; /* of them were sent again */
};

/* A read that is held. */
typedef struct {
    BusHold *hold;
    sd_bus_message *call;
    CallerLookup *lookup;
    bool known; /* caller is */
    Caller caller;
    sd_bus_slot *again; /* the read that was sent again */
    uint64_t cookie;    /* its number */
} Read;

static void read_free(Read *read) {
    if (read->hold->view->on_behalf == &read->caller)
        read->hold->view->on_behalf = NULL;
    g_queue_remove(&read->hold->held, read);
    read->hold->again -= read->again != NULL;
    caller_lookup_cancel(read->lookup);
    sd_bus_slot_unref(read->again);
    sd_bus_message_unref(read->call);
    g_free(read);
}

static int pass_on(sd_bus_message *call, sd_bus_message *answer) {
    const sd_bus_error *error = sd_bus_message_get_error(answer);
    sd_bus_message *reply = NULL;

    if (error)
        return sd_bus_reply_method_error(call, error);
    int r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_copy(reply, answer, true);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return r;
}

static void send_next(BusHold *hold);

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error) {
    Read *read = userdata;
    BusHold *hold = read->hold;

    int r = pass_on(read->call, answer);
    if (r < 0 && r != -ENOTCONN)
        log_message(LOG_WARNING, NULL, sd_bus_message_get_sender(read->call), "cannot send a reply, ignoring: %s",
                    g_strerror(-r));
    read_free(read);
    send_next(hold);
    return 0;
}

static int send_again(Read *read) {
    sd_bus *bus = read->hold->view->bus;
    sd_bus_message *again = NULL;
    const char *own_name;

    int r = sd_bus_get_unique_name(bus, &own_name);
    if (r >= 0)
        r = sd_bus_message_new_method_call(bus, &again, own_name, sd_bus_message_get_path(read->call),
                                           sd_bus_message_get_interface(read->call),
                                           sd_bus_message_get_member(read->call));
    if (r >= 0)
        r = sd_bus_message_copy(again, read->call, true);
    if (r >= 0)
        r = sd_bus_call_async(bus, &read->again, again, on_answer, read, 0);
    if (r >= 0)
        r = sd_bus_message_get_cookie(again, &read->cookie);
    sd_bus_message_unref(again);
    read->hold->again += read->again != NULL;
    return r;
}

static void refuse(Read *read, const GError *error) {
    bus_error_reply(read->call, error);
    read_free(read);
}

static void send_next(BusHold *hold) {
    GList *next;

    for (GList *l = hold->held.head; l && hold->again < AGAIN_MAX; l = next) {
        g_autoptr(GError) error = NULL;
        Read *read = l->data;

        next = l->next;
        if (!read->known || read->again)
            continue;
        int r = send_again(read);
        if (r >= 0)
            continue;
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the properties cannot be read: %s", g_strerror(-r));
        refuse(read, error);
    }
}

static void on_caller(void *data, const Caller *caller, const GError *error) {
    Read *read = data;

    read->lookup = NULL; /* it ends after this call */
    if (!caller) {
        refuse(read, error);
        return;
    }
    read->known = true;
    read->caller = *caller;
    send_next(read->hold);
}

static bool hold_read(BusHold *hold, sd_bus_message *call, GError **error) {
    if (hold->held.length >= HELD_MAX) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "%u reads wait for the bus to say who sent them; repeat the request later", hold->held.length);
        return false;
    }
    Read *read = g_new0(Read, 1);
    read->hold = hold;
    read->call = sd_bus_message_ref(call);
    g_queue_push_tail(&hold->held, read);
    read->lookup = caller_lookup(hold->view->callers, call, on_caller, read, error);
    if (read->lookup)
        return true;
    read_free(read);
    return false;
}

/* Of whom is this read, which pmemd sent itself? */
static const Caller *find_behalf(const BusHold *hold, sd_bus_message *call) {
    const char *own_name;
    uint64_t cookie;

    if (sd_bus_get_unique_name(hold->view->bus, &own_name) < 0 ||
        g_strcmp0(sd_bus_message_get_sender(call), own_name) != 0 || sd_bus_message_get_cookie(call, &cookie) < 0)
        return NULL;
    for (const GList *l = hold->held.head; l; l = l->next) {
        const Read *read = l->data;

        if (read->again && read->cookie == cookie)
            return &read->caller;
    }
    return NULL;
}

static bool is_read(sd_bus_message *message) {
    return sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Properties", NULL) > 0 ||
           sd_bus_message_is_method_call(message, "org.freedesktop.DBus.ObjectManager", NULL) > 0;
}

/* Every message that comes in passes here first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
    BusHold *hold = userdata;
    g_autoptr(GError) error = NULL;

    hold->view->on_behalf = NULL;
    if (!is_read(message))
        return 0;
    hold->view->on_behalf = find_behalf(hold, message);
    if (hold->view->on_behalf || caller_known(hold->view->callers, message))
        return 0;
    if (!hold_read(hold, message, &error))
        return bus_error_set(ret_error, error);
    return 1;
}

BusHold *bus_hold_new(BusView *view, GError **error) {
    g_autoptr(BusHold) hold = g_new0(BusHold, 1);

    hold->view = view;
    g_queue_init(&hold->held);
    int r = sd_bus_add_filter(view->bus, &hold->filter, on_message, hold);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot look at messages as they come: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&hold);
}

void bus_hold_free(BusHold *hold) {
    Read *read;

    if (!hold)
        return;
    while ((read = g_queue_peek_head(&hold->held)))
        read_free(read);
    sd_bus_slot_unref(hold->filter);
    hold->view->on_behalf = NULL;
    g_free(hold);
}
