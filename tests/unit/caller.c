/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Who is behind a connection: asked of a driver that the test plays itself, on a socket pair. */
#include "daemon/caller.h"

#include "proto/error.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What pmemd has of the bus, and the driver's end of it. */
typedef struct {
    sd_bus *bus, *driver;
    CallerCache *cache;
    guint asked;              /* GetConnectionCredentials */
    sd_bus_message *question; /* the last of them, unanswered */
    guint found, refused;
    Caller caller;
    char *reason, *gone;
} Host;

static int on_driver_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Host *host = userdata;

    if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "Hello") > 0)
        return sd_bus_reply_method_return(call, "s", ":1.1");
    if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "AddMatch") > 0)
        return sd_bus_reply_method_return(call, NULL);
    if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetConnectionCredentials") > 0) {
        host->asked++;
        sd_bus_message_unref(host->question);
        host->question = sd_bus_message_ref(call);
        return 1;
    }
    return 0;
}

/* Handles what there is on both ends, and no more. */
static void settle(Host *host) {
    int more;

    do {
        int a = sd_bus_process(host->driver, NULL), b = sd_bus_process(host->bus, NULL);
        g_assert_cmpint(a, >=, 0);
        g_assert_cmpint(b, >=, 0);
        more = a + b;
    } while (more > 0);
}

static void on_gone(void *data, const char *sender) {
    Host *host = data;

    g_free(host->gone);
    host->gone = g_strdup(sender);
}

static void on_found(void *data, const Caller *caller, const GError *error) {
    Host *host = data;

    if (caller) {
        host->found++;
        host->caller = *caller;
    } else {
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
        host->refused++;
        g_free(host->reason);
        host->reason = g_strdup(error->message);
    }
}

static int on_bus_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    sd_bus_message **kept = userdata;
    uint8_t type;

    g_assert_cmpint(sd_bus_message_get_type(call, &type), >=, 0);
    if (type != SD_BUS_MESSAGE_METHOD_CALL)
        return 0;
    *kept = sd_bus_message_ref(call);
    return 1;
}

/* A call of this sender, as pmemd gets it. */
static sd_bus_message *receive_from(Host *host, const char *sender) {
    sd_bus_message *call = NULL, *kept = NULL;
    sd_bus_slot *filter;

    g_assert_cmpint(sd_bus_add_filter(host->bus, &filter, on_bus_call, &kept), >=, 0);
    g_assert_cmpint(
        sd_bus_message_new_method_call(host->driver, &call, ":1.1", "/org/pmemd1", "org.pmemd1.Manager", "X"), >=, 0);
    if (sender)
        g_assert_cmpint(sd_bus_message_set_sender(call, sender), >=, 0);
    g_assert_cmpint(sd_bus_send(host->driver, call, NULL), >=, 0);
    sd_bus_message_unref(call);
    settle(host);
    sd_bus_slot_unref(filter);
    g_assert_nonnull(kept);
    return kept;
}

static Host *host_new(void) {
    Host *host = g_new0(Host, 1);
    g_autoptr(GError) error = NULL;
    sd_id128_t id;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
    g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
    g_assert_cmpint(sd_bus_new(&host->driver), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(host->driver, pair[0], pair[0]), >=, 0);
    g_assert_cmpint(sd_bus_set_server(host->driver, true, id), >=, 0);
    g_assert_cmpint(sd_bus_set_anonymous(host->driver, true), >=, 0);
    g_assert_cmpint(sd_bus_start(host->driver), >=, 0);
    g_assert_cmpint(sd_bus_add_filter(host->driver, NULL, on_driver_call, host), >=, 0);
    g_assert_cmpint(sd_bus_new(&host->bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(host->bus, pair[1], pair[1]), >=, 0);
    g_assert_cmpint(sd_bus_set_bus_client(host->bus, true), >=, 0);
    g_assert_cmpint(sd_bus_start(host->bus), >=, 0);
    host->cache = caller_cache_new(host->bus, on_gone, host, &error);
    g_assert_no_error(error);
    settle(host);
    return host;
}

static void host_free(Host *host) {
    caller_cache_free(host->cache);
    sd_bus_message_unref(host->question);
    sd_bus_close_unref(host->bus);
    sd_bus_close_unref(host->driver);
    g_free(host->reason);
    g_free(host->gone);
    g_free(host);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

static void look_up(Host *host, sd_bus_message *call) {
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(caller_lookup(host->cache, call, on_found, host, &error));
    g_assert_no_error(error);
    settle(host);
}

static void tell_owner_changed(Host *host, const char *sender, const char *name, const char *owner) {
    sd_bus_message *signal = NULL;

    g_assert_cmpint(sd_bus_message_new_signal(host->driver, &signal, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                              "NameOwnerChanged"),
                    >=, 0);
    g_assert_cmpint(sd_bus_message_set_sender(signal, sender), >=, 0);
    g_assert_cmpint(sd_bus_message_append(signal, "sss", name, name, owner), >=, 0);
    g_assert_cmpint(sd_bus_send(host->driver, signal, NULL), >=, 0);
    sd_bus_message_unref(signal);
    settle(host);
}

static void test_asked_once_and_never_waited_for(void) {
    g_autoptr(Host) host = host_new();
    sd_bus_message *call = receive_from(host, ":1.7");

    g_assert_null(caller_known(host->cache, call));
    look_up(host, call);
    g_assert_cmpuint(host->asked, ==, 1);
    g_assert_cmpuint(host->found, ==, 0); /* the driver thinks, and we are back */
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 3, "ProcessID", "u", 4711, "UnixUserID", "u",
                                               4242, "LinuxSecurityLabel", "ay", 1, 0),
                    >=, 0);
    settle(host);
    g_assert_cmpuint(host->found, ==, 1);
    g_assert_cmpuint(host->caller.uid, ==, 4242);
    g_assert_false(host->caller.privileged);
    g_assert_cmpuint(caller_known(host->cache, call)->uid, ==, 4242);
    sd_bus_message_unref(call);
}

static void test_privileged(void) {
    static const struct {
        uint32_t uid;
        bool privileged;
    } rows[] = { { 0, true }, { 65534, false } };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Host) host = host_new();
        sd_bus_message *call = receive_from(host, ":1.7");

        look_up(host, call);
        g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 1, "UnixUserID", "u", rows[i].uid), >=, 0);
        settle(host);
        g_assert_cmpint(caller_known(host->cache, call)->privileged, ==, rows[i].privileged);
        sd_bus_message_unref(call);
    }
}

static void test_forgotten_when_it_ends(void) {
    g_autoptr(Host) host = host_new();
    sd_bus_message *call = receive_from(host, ":1.7");

    look_up(host, call);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 1, "UnixUserID", "u", 0), >=, 0);
    settle(host);
    /* Others end, somebody who is not the driver says so, a name is given up: none of them is its end. */
    tell_owner_changed(host, "org.freedesktop.DBus", ":1.8", "");
    g_assert_cmpstr(host->gone, ==, ":1.8");
    tell_owner_changed(host, ":1.9", ":1.7", "");
    tell_owner_changed(host, "org.freedesktop.DBus", "org.example.Name", "");
    tell_owner_changed(host, "org.freedesktop.DBus", ":1.7", ":1.7");
    g_assert_nonnull(caller_known(host->cache, call));
    g_assert_cmpstr(host->gone, ==, ":1.8");
    tell_owner_changed(host, "org.freedesktop.DBus", ":1.7", "");
    g_assert_null(caller_known(host->cache, call));
    g_assert_cmpstr(host->gone, ==, ":1.7");
    sd_bus_message_unref(call);
}

static void test_no_word_is_a_refusal(void) {
    g_autoptr(Host) host = host_new();
    sd_bus_message *call = receive_from(host, ":1.7");

    look_up(host, call);
    g_assert_cmpint(sd_bus_reply_method_errorf(host->question, "org.freedesktop.DBus.Error.NameHasNoOwner", "gone"), >=,
                    0);
    settle(host);
    g_assert_cmpuint(host->refused, ==, 1);
    g_assert_nonnull(strstr(host->reason, "gone"));
    look_up(host, call);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 1, "ProcessID", "u", 0), >=, 0);
    settle(host);
    g_assert_cmpuint(host->refused, ==, 2);
    look_up(host, call);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 1, "UnixUserID", "s", "root"), >=, 0);
    settle(host);
    g_assert_cmpuint(host->refused, ==, 3);
    look_up(host, call);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "s", "root"), >=, 0);
    settle(host);
    g_assert_cmpuint(host->refused, ==, 4);
    g_assert_cmpuint(host->found, ==, 0);
    g_assert_null(caller_known(host->cache, call));
    sd_bus_message_unref(call);
}

static void test_no_sender_is_a_refusal(void) {
    g_autoptr(Host) host = host_new();
    sd_bus_message *call = receive_from(host, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(caller_known(host->cache, call));
    g_assert_null(caller_lookup(host->cache, call, on_found, host, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpuint(host->asked, ==, 0);
    sd_bus_message_unref(call);
}

static void test_cancelled(void) {
    g_autoptr(Host) host = host_new();
    sd_bus_message *call = receive_from(host, ":1.7");
    CallerLookup *lookup = caller_lookup(host->cache, call, on_found, host, NULL);

    settle(host);
    caller_lookup_cancel(lookup);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "a{sv}", 1, "UnixUserID", "u", 0), >=, 0);
    settle(host);
    g_assert_cmpuint(host->found + host->refused, ==, 0);
    sd_bus_message_unref(call);
}

static void test_user_names(void) {
    char user[33];

    g_autoptr(Patience) patience = patience_new();
    GError *error = NULL;

    g_assert_true(caller_user_name(patience, 0, user, &error));
    g_assert_cmpstr(user, ==, "root");
    g_assert_true(caller_user_name(patience, UINT32_MAX - 7, user, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(user, ==, "");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/caller/asked-once-and-never-waited-for", test_asked_once_and_never_waited_for);
    g_test_add_func("/caller/privileged", test_privileged);
    g_test_add_func("/caller/forgotten-when-it-ends", test_forgotten_when_it_ends);
    g_test_add_func("/caller/no-word-is-a-refusal", test_no_word_is_a_refusal);
    g_test_add_func("/caller/no-sender-is-a-refusal", test_no_sender_is_a_refusal);
    g_test_add_func("/caller/cancelled", test_cancelled);
    g_test_add_func("/caller/user-names", test_user_names);
    return g_test_run();
}
