/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Answers that may wait: whose turn it is, what goes first, that nobody waits for ever, and how many may wait.
 */
#include "daemon/bus-turns.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    sd_event *event;
    sd_bus *bus; /* whose messages they are; nothing is sent */
    int peer;
    BusTurns *turns;
    GString *answered; /* members, as they were answered */
    guint n_answered, others;
} Desk;

static void on_answer(void *data, sd_bus_message *call) {
    Desk *desk = data;

    g_string_append_printf(desk->answered, "%s ", sd_bus_message_get_member(call));
    desk->n_answered++;
}

static void desk_free(Desk *desk) {
    bus_turns_free(desk->turns);
    sd_bus_close_unref(desk->bus);
    sd_event_unref(desk->event);
    close(desk->peer);
    g_string_free(desk->answered, TRUE);
    g_free(desk);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desk, desk_free)

static Desk *desk_new(void) {
    Desk *desk = g_new0(Desk, 1);
    g_autoptr(GError) error = NULL;
    int fds[2];

    desk->answered = g_string_new(NULL);
    g_assert_cmpint(sd_event_new(&desk->event), >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    desk->peer = fds[1];
    g_assert_cmpint(sd_bus_new(&desk->bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(desk->bus, fds[0], fds[0]), >=, 0);
    g_assert_cmpint(sd_bus_start(desk->bus), >=, 0);
    desk->turns = bus_turns_new(desk->event, on_answer, desk, &error);
    g_assert_no_error(error);
    return desk;
}

static void add(Desk *desk, const char *sender, const char *member) {
    sd_bus_message *call = NULL;

    g_assert_cmpint(sd_bus_message_new_method_call(desk->bus, &call, NULL, "/", "a.b", member), >=, 0);
    g_assert_cmpint(sd_bus_message_set_sender(call, sender), >=, 0);
    bus_turns_add(desk->turns, call);
    sd_bus_message_unref(call);
}

static void run_until(Desk *desk, guint n) {
    while (desk->n_answered < n)
        g_assert_cmpint(sd_event_run(desk->event, UINT64_MAX), >=, 0);
}

/* Who asked for much waits for those who asked for little. */
static void test_in_turn(void) {
    g_autoptr(Desk) desk = desk_new();

    add(desk, ":1.1", "A1");
    add(desk, ":1.1", "A2");
    add(desk, ":1.1", "A3");
    add(desk, ":1.2", "B1");
    add(desk, ":1.3", "C1");
    add(desk, ":1.3", "C2");
    g_assert_cmpuint(desk->n_answered, ==, 0);
    run_until(desk, 6);
    g_assert_cmpstr(desk->answered->str, ==, "A1 B1 C1 A2 C2 A3 ");

    /* And again, with nothing left of before. */
    add(desk, ":1.2", "B2");
    run_until(desk, 7);
}

static int on_other(sd_event_source *source, int fd, uint32_t revents, void *data) {
    Desk *desk = data;

    (void) source;
    (void) fd;
    (void) revents;
    g_string_append(desk->answered, "other ");
    desk->others++;
    return 0;
}

/* A descriptor that can always be read, as the bus' while calls come in. */
static sd_event_source *add_other(Desk *desk, int enabled) {
    sd_event_source *other = NULL;
    int fd = eventfd(1, EFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(sd_event_add_io(desk->event, &other, fd, EPOLLIN, on_other, desk), >=, 0);
    g_assert_cmpint(sd_event_source_set_io_fd_own(other, true), >=, 0);
    g_assert_cmpint(sd_event_source_set_enabled(other, enabled), >=, 0);
    return other;
}

static void test_last(void) {
    g_autoptr(Desk) desk = desk_new();

    add(desk, ":1.1", "A1");
    sd_event_source *other = add_other(desk, SD_EVENT_ONESHOT);
    run_until(desk, 1);
    g_assert_true(g_str_has_prefix(desk->answered->str, "other A1 "));
    sd_event_source_unref(other);
}

/* There is always something else: they are answered all the same. */
static void test_never_idle(void) {
    g_autoptr(Desk) desk = desk_new();
    sd_event_source *other = add_other(desk, SD_EVENT_ON);

    add(desk, ":1.1", "A1");
    add(desk, ":1.1", "A2");
    run_until(desk, 2);
    g_assert_cmpuint(desk->others, >, 0);
    sd_event_source_unref(other);
}

static void test_cap(void) {
    g_autoptr(Desk) desk = desk_new();

    for (guint i = 0; i < BUS_TURNS_MAX; i++)
        add(desk, ":1.1", "A");
    g_assert_cmpuint(desk->n_answered, ==, 0);
    add(desk, ":1.2", "B");
    g_assert_cmpuint(desk->n_answered, ==, 1);
    bus_turns_flush(desk->turns);
    g_assert_cmpuint(desk->n_answered, ==, BUS_TURNS_MAX + 1);
    bus_turns_flush(desk->turns);
}

/* What still waits at the end is dropped, not leaked. */
static void test_dropped(void) {
    g_autoptr(Desk) desk = desk_new();

    add(desk, ":1.1", "A1");
    add(desk, ":1.2", "B1");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus-turns/in-turn", test_in_turn);
    g_test_add_func("/bus-turns/last", test_last);
    g_test_add_func("/bus-turns/never-idle", test_never_idle);
    g_test_add_func("/bus-turns/cap", test_cap);
    g_test_add_func("/bus-turns/dropped", test_dropped);
    return g_test_run();
}
