/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Signals about objects: the order in which they leave, what is told once, what is never left out. Two sd-bus
 * connections without a bus between them.
 */
#include "daemon/bus-news.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#define ROOT "/org/pmemd1"
#define OBJECT ROOT "/thing"
#define OTHER ROOT "/other"
#define INTERFACE "org.pmemd1.Thing"

typedef struct {
    sd_event *event;
    sd_bus *ours, *theirs;
    sd_bus_slot *root, *object, *other, *heard;
    BusNews *news;
    uint32_t number;  /* property of both objects */
    GString *signals; /* what the other side received */
    guint n_signals;
} Pair;

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *ret_error) {
    const Pair *pair = userdata;

    (void) bus;
    (void) path;
    (void) interface;
    (void) property;
    (void) ret_error;
    g_assert_true(bus_news_is_sending(pair->news));
    return sd_bus_message_append(reply, "u", pair->number);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Number", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Twin", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

/* "Changed(/org/pmemd1/thing: Number=1) " and the like. */
static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
    const char *member = sd_bus_message_get_member(message), *path = sd_bus_message_get_path(message);
    Pair *pair = userdata;

    (void) ret_error;
    if (sd_bus_message_is_signal(message, NULL, NULL) <= 0)
        return 0;
    pair->n_signals++;
    if (!g_str_equal(member, "PropertiesChanged")) {
        g_assert_cmpint(sd_bus_message_read_basic(message, 'o', &path), >=, 0);
        g_string_append_printf(pair->signals, "%s(%s) ", member, strrchr(path, '/') + 1);
        return 0;
    }
    g_assert_cmpint(sd_bus_message_skip(message, "s"), >=, 0);
    g_assert_cmpint(sd_bus_message_enter_container(message, 'a', "{sv}"), >=, 0);
    g_string_append_printf(pair->signals, "Changed(%s:", strrchr(path, '/') + 1);
    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        const char *name;
        uint32_t value;

        g_assert_cmpint(sd_bus_message_read(message, "sv", &name, "u", &value), >=, 0);
        g_string_append_printf(pair->signals, " %s=%u", name, value);
        g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
    }
    g_string_append(pair->signals, ") ");
    return 0;
}

static sd_bus *connect_end(Pair *pair, int fd, bool server) {
    sd_bus *bus = NULL;

    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
    if (server)
        g_assert_cmpint(sd_bus_set_server(bus, 1, SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 0)), >=,
                        0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    g_assert_cmpint(sd_bus_attach_event(bus, pair->event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
    return bus;
}

static void pair_free(Pair *pair) {
    bus_news_free(pair->news);
    sd_bus_slot_unref(pair->heard);
    sd_bus_slot_unref(pair->other);
    sd_bus_slot_unref(pair->object);
    sd_bus_slot_unref(pair->root);
    sd_bus_close_unref(pair->theirs);
    sd_bus_close_unref(pair->ours);
    sd_event_unref(pair->event);
    g_string_free(pair->signals, TRUE);
    g_free(pair);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)

static Pair *pair_new(void) {
    Pair *pair = g_new0(Pair, 1);
    g_autoptr(GError) error = NULL;
    int fds[2];

    pair->signals = g_string_new(NULL);
    g_assert_cmpint(sd_event_new(&pair->event), >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    pair->ours = connect_end(pair, fds[0], true);
    pair->theirs = connect_end(pair, fds[1], false);
    g_assert_cmpint(sd_bus_add_object_manager(pair->ours, &pair->root, ROOT), >=, 0);
    g_assert_cmpint(sd_bus_add_object_vtable(pair->ours, &pair->object, OBJECT, INTERFACE, vtable, pair), >=, 0);
    g_assert_cmpint(sd_bus_add_object_vtable(pair->ours, &pair->other, OTHER, INTERFACE, vtable, pair), >=, 0);
    g_assert_cmpint(sd_bus_add_filter(pair->theirs, &pair->heard, on_signal, pair), >=, 0);
    pair->news = bus_news_new(pair->ours, pair->event, &error);
    g_assert_no_error(error);
    return pair;
}

/* Until the other side has received n signals in all. */
static void run_until(Pair *pair, guint n) {
    while (pair->n_signals < n)
        g_assert_cmpint(sd_event_run(pair->event, UINT64_MAX), >=, 0);
    g_assert_cmpuint(pair->n_signals, ==, n);
}

static void changed(Pair *pair, const char *path, uint32_t number, const char *property) {
    const char *const properties[] = { property, NULL };

    pair->number = number;
    bus_news_changed(pair->news, path, INTERFACE, properties);
}

/* They leave by themselves, together, with the last values. */
static void test_gathered(void) {
    g_autoptr(Pair) pair = pair_new();

    changed(pair, OBJECT, 1, "Number");
    changed(pair, OTHER, 2, "Number");
    changed(pair, OBJECT, 3, "Twin");
    changed(pair, OBJECT, 4, "Number");
    g_assert_cmpuint(pair->n_signals, ==, 0);
    run_until(pair, 2);
    g_assert_cmpstr(pair->signals->str, ==, "Changed(thing: Number=4 Twin=4) Changed(other: Number=4) ");

    /* And again: the timer is not spent. */
    changed(pair, OTHER, 5, "Twin");
    run_until(pair, 3);
}

static void test_order(void) {
    g_autoptr(Pair) pair = pair_new();

    changed(pair, OTHER, 1, "Number");
    bus_news_added(pair->news, OBJECT);
    changed(pair, OBJECT, 2, "Number"); /* which its announcement says */
    bus_news_removed(pair->news, OTHER, INTERFACE);
    bus_news_removed(pair->news, OBJECT, INTERFACE);
    bus_news_added(pair->news, OBJECT);
    changed(pair, OTHER, 3, "Number"); /* after its removal: not the same news as before it */
    bus_news_flush(pair->news);
    run_until(pair, 6);
    g_assert_cmpstr(pair->signals->str, ==,
                    "Changed(other: Number=3) InterfacesAdded(thing) InterfacesRemoved(other) InterfacesRemoved(thing) "
                    "InterfacesAdded(thing) Changed(other: Number=3) ");
}

/* What is flushed is not sent a second time by the timer. */
static void test_once(void) {
    g_autoptr(Pair) pair = pair_new();

    bus_news_added(pair->news, OBJECT);
    bus_news_flush(pair->news);
    bus_news_flush(pair->news);
    changed(pair, OTHER, 1, "Number");
    run_until(pair, 2);
    g_assert_cmpstr(pair->signals->str, ==, "InterfacesAdded(thing) Changed(other: Number=1) ");
    g_assert_false(bus_news_is_sending(pair->news));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus-news/gathered", test_gathered);
    g_test_add_func("/bus-news/order", test_order);
    g_test_add_func("/bus-news/once", test_once);
    return g_test_run();
}
