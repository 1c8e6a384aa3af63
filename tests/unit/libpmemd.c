/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/libpmemd: what a well-behaved pmemd never answers, and lists of several pages. The peer is a thread at the
 * other end of a socket that answers as the test says; the real daemon is met in tests/integration.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define UUID "6f1b4c1e-7d2a-4b63-9a0e-1f2d3c4b5a69"
#define REGION_PATH "/org/pmemd1/region/6f1b4c1e_7d2a_4b63_9a0e_1f2d3c4b5a69"

/* Fills in the reply to a call; 0, or -ECONNRESET to hang up instead. */
typedef int (*Answer)(sd_bus_message *call, sd_bus_message *reply);

typedef struct {
    char *folder, *path, *address;
    int listening;
    Answer answer;          /* NULL: an error */
    const char *error_name; /* of that error */
    const char *error_text;
    guint unanswered; /* so many calls get no answer at all, before others do */
    GThread *thread;
    guint calls; /* other than Hello and AddMatch; read when the thread has ended */
} Peer;

static void send_reply(Peer *peer, sd_bus *bus, sd_bus_message *call, bool *hang_up) {
    sd_bus_message *reply = NULL;
    int r;

    if (strcmp(sd_bus_message_get_member(call), "Hello") == 0) {
        g_assert_cmpint(sd_bus_reply_method_return(call, "s", ":1.7"), >=, 0);
        return;
    }
    if (strcmp(sd_bus_message_get_member(call), "AddMatch") == 0) {
        g_assert_cmpint(sd_bus_message_new_method_return(call, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(reply, "org.freedesktop.DBus"), >=, 0);
        g_assert_cmpint(sd_bus_send(bus, reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
        return;
    }
    peer->calls++;
    g_assert_cmpuint(peer->calls, <, 100);
    if (peer->calls <= peer->unanswered)
        return;
    if (!peer->answer) {
        g_assert_cmpint(sd_bus_reply_method_errorf(call, peer->error_name, "%s", peer->error_text), >=, 0);
        return;
    }
    g_assert_cmpint(sd_bus_message_new_method_return(call, &reply), >=, 0);
    r = peer->answer(call, reply);
    if (r == -ECONNRESET)
        *hang_up = true;
    else {
        g_assert_cmpint(r, >=, 0);
        /* The client believes to talk to a bus, which tells it the sender. */
        g_assert_cmpint(sd_bus_message_set_sender(reply, ":1.3"), >=, 0);
        /* A client that goes with a call under way does not wait for its answer. */
        r = sd_bus_send(bus, reply, NULL);
        g_assert_true(r >= 0 || r == -ECONNRESET || r == -EPIPE);
    }
    sd_bus_message_unref(reply);
}

static int on_message(sd_bus_message *m, void *data, sd_bus_error *error) {
    void **context = data;
    uint8_t type;

    g_assert_cmpint(sd_bus_message_get_type(m, &type), >=, 0);
    if (type == SD_BUS_MESSAGE_METHOD_CALL)
        send_reply(context[0], sd_bus_message_get_bus(m), m, context[1]);
    return 1;
}

/* One connection, until either end hangs up. */
static void *serve(void *data) {
    Peer *peer = data;
    bool hang_up = false;
    void *context[] = { peer, &hang_up };
    sd_bus *bus = NULL;
    sd_id128_t id = SD_ID128_NULL;

    int fd = accept(peer->listening, NULL, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
    g_assert_cmpint(sd_bus_set_server(bus, true, id), >=, 0);
    g_assert_cmpint(sd_bus_set_anonymous(bus, true), >=, 0);
    g_assert_cmpint(sd_bus_add_filter(bus, NULL, on_message, context), >=, 0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    while (!hang_up) {
        int r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0)
            break;
    }
    sd_bus_flush_close_unref(bus);
    return NULL;
}

static void check_ok(PmemdClient *client, int r) {
    if (r < 0)
        g_error("%s: %s", g_strerror(-r), pmemd_client_error_message(client));
}

static void check_error(PmemdClient *client, int r, int errnum, const char *name, const char *text) {
    g_assert_cmpint(r, ==, -errnum);
    g_assert_cmpstr(pmemd_client_error_name(client), ==, name);
    g_assert_nonnull(strstr(pmemd_client_error_message(client), text));
}

static PmemdClient *peer_start(Peer *peer) {
    g_autoptr(GError) error = NULL;
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    peer->folder = g_dir_make_tmp("pmemd-unit-XXXXXX", &error);
    g_assert_no_error(error);
    peer->path = g_build_filename(peer->folder, "bus", NULL);
    peer->address = g_strdup_printf("unix:path=%s", peer->path);
    g_assert_cmpuint(g_strlcpy(name.sun_path, peer->path, sizeof name.sun_path), <, sizeof name.sun_path);
    peer->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(peer->listening, >=, 0);
    g_assert_cmpint(bind(peer->listening, (struct sockaddr *) &name, sizeof name), ==, 0);
    g_assert_cmpint(listen(peer->listening, 1), ==, 0);
    peer->thread = g_thread_new("peer", serve, peer);

    PmemdClient *client = NULL;
    g_assert_cmpint(pmemd_client_new(&client), ==, 0);
    check_ok(client, pmemd_client_open(client, peer->address));
    return client;
}

static void peer_stop(Peer *peer, PmemdClient *client) {
    pmemd_client_free(client);
    g_thread_join(peer->thread);
    close(peer->listening);
    g_unlink(peer->path);
    g_rmdir(peer->folder);
    g_free(peer->folder);
    g_free(peer->path);
    g_free(peer->address);
}

/* --- lists --- */

static int append_foreign(sd_bus_message *reply, uint64_t start) {
    return sd_bus_message_append(reply, "(sttsss)", "namespace", start, start + 2, "fsdax", "foreign", "region0");
}

/* Three pages of two, none, and one entry. */
static int answer_pages(sd_bus_message *call, sd_bus_message *reply) {
    const char *after, *next;
    uint32_t max;

    int r = sd_bus_message_read(call, "su", &after, &max);
    g_assert_cmpint(r, >, 0);
    g_assert_cmpuint(max, ==, 0);
    r = sd_bus_message_open_container(reply, 'a', "(sttsss)");
    if (after[0] == '\0') {
        next = "one";
        r = append_foreign(reply, 10) < 0 || append_foreign(reply, 20) < 0 ? -EINVAL : r;
    } else if (strcmp(after, "one") == 0)
        next = "two";
    else {
        g_assert_cmpstr(after, ==, "two");
        next = "";
        r = append_foreign(reply, 30) < 0 ? -EINVAL : r;
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_message_append(reply, "s", next);
}

static void check_pages(PmemdForeign *const *list, size_t n) {
    g_assert_cmpuint(n, ==, 3);
    for (size_t i = 0; i < 3; i++) {
        g_assert_cmpuint(list[i]->frames.start, ==, 10 * (i + 1));
        g_assert_cmpuint(list[i]->bytes, ==, 2 * PMEMD_FRAME_SIZE);
        g_assert_cmpstr(list[i]->mode, ==, "fsdax");
        g_assert_cmpstr(list[i]->raw, ==, "region0");
    }
    g_assert_null(list[n]);
}

static void test_pages(void) {
    Peer peer = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer);
    PmemdForeign **list = NULL;
    size_t n = 0;

    check_ok(client, pmemd_client_list_foreign(client, &list, &n));
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 3);
    check_pages(list, n);
    pmemd_foreign_list_free(list);
}

/* --- without waiting --- */

typedef struct {
    guint replies;
    PmemdForeign **list;
    size_t n;
    char *path;
    int result;
    char *error_name;
} Seen;

static void see(PmemdClient *client, PmemdReply *reply, void *data) {
    Seen *seen = data;
    PmemdRegion *region = NULL;

    seen->replies++;
    seen->result = pmemd_reply_result(reply);
    seen->error_name = g_strdup(pmemd_reply_error_name(reply));
    seen->path = g_strdup(pmemd_reply_path(reply));
    if (seen->result == 0 && !seen->path) {
        g_assert_cmpint(pmemd_reply_take_region(reply, &region), ==, -EINVAL);
        g_assert_cmpint(pmemd_reply_take_foreign_list(reply, &seen->list, &seen->n), ==, 0);
        g_assert_cmpint(pmemd_reply_take_foreign_list(reply, &seen->list, &seen->n), ==, -EINVAL);
    } else
        g_assert_cmpint(pmemd_reply_take_foreign_list(reply, &seen->list, &seen->n), <, 0);
    g_assert_null(region);
}

static void seen_clear(Seen *seen) {
    pmemd_foreign_list_free(seen->list);
    g_free(seen->path);
    g_free(seen->error_name);
}

/* Processes until as many replies were seen; the last result of process. */
static int process_until(PmemdClient *client, const Seen *seen, guint replies) {
    int r = 0;

    while (r >= 0 && seen->replies < replies) {
        r = pmemd_client_process(client);
        if (r == 0 && seen->replies < replies)
            r = pmemd_client_wait(client, UINT64_MAX);
    }
    return r;
}

static void test_async_pages(void) {
    Peer peer = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer);
    Seen seen = { 0 };

    check_ok(client, pmemd_client_list_foreign_async(client, see, &seen, NULL));
    g_assert_cmpint(pmemd_client_get_fd(client), >=, 0);
    g_assert_cmpint(pmemd_client_get_events(client) & POLLIN, ==, POLLIN);
    g_assert_cmpint(process_until(client, &seen, 1), >=, 0);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 3);
    g_assert_cmpint(seen.result, ==, 0);
    check_pages(seen.list, seen.n);
    seen_clear(&seen);
}

/* The same by the caller's sd-event, and a synchronous call meanwhile. */
static void test_async_event(void) {
    Peer peer = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer);
    PmemdForeign **list = NULL;
    sd_event *event = NULL;
    Seen seen = { 0 };

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    check_ok(client, pmemd_client_attach_event(client, event, 0));
    check_ok(client, pmemd_client_list_foreign_async(client, see, &seen, NULL));
    check_ok(client, pmemd_client_list_foreign(client, &list, NULL));
    while (seen.replies == 0)
        g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
    check_pages(list, 3);
    check_pages(seen.list, seen.n);
    pmemd_foreign_list_free(list);
    seen_clear(&seen);
    peer_stop(&peer, client);
    sd_event_unref(event);
}

/* One is cancelled, one is under way when the client goes: neither function is called. */
static void test_async_cancel(void) {
    Peer peer = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer);
    PmemdForeign **list = NULL;
    PmemdCall *call = NULL;
    Seen cancelled = { 0 }, left = { 0 };

    check_ok(client, pmemd_client_list_foreign_async(client, see, &cancelled, &call));
    pmemd_call_cancel(call);
    check_ok(client, pmemd_client_list_foreign(client, &list, NULL));
    while (pmemd_client_process(client) > 0)
        continue;
    pmemd_foreign_list_free(list);
    check_ok(client, pmemd_client_list_foreign_async(client, see, &left, NULL));
    peer_stop(&peer, client);
    g_assert_cmpuint(cancelled.replies + left.replies, ==, 0);
}

/* Always the same cursor. */
static int answer_stuck(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sttsss)s", 0, "here");
}

static int answer_nothing(sd_bus_message *call, sd_bus_message *reply) {
    return 0;
}

static int answer_other_struct(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(stts)s", 1, "a", (uint64_t) 1, (uint64_t) 2, "b", "");
}

static int answer_no_cursor(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sttsss)", 0);
}

static void check_protocol(PmemdClient *client, int r) {
    check_error(client, r, EBADMSG, PMEMD_ERROR_NAME_PROTOCOL, "different versions");
}

static void test_bad_lists(void) {
    static const Answer answers[] = { answer_stuck, answer_nothing, answer_other_struct, answer_no_cursor };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Peer peer = { .answer = answers[i] };
        PmemdClient *client = peer_start(&peer);
        PmemdForeign **list = NULL;
        Seen seen = { 0 };
        check_protocol(client, pmemd_client_list_foreign(client, &list, NULL));
        g_assert_null(list);
        check_ok(client, pmemd_client_list_foreign_async(client, see, &seen, NULL));
        g_assert_cmpint(process_until(client, &seen, 1), >=, 0);
        g_assert_cmpint(seen.result, ==, -EBADMSG);
        g_assert_cmpstr(seen.error_name, ==, PMEMD_ERROR_NAME_PROTOCOL);
        seen_clear(&seen);
        peer_stop(&peer, client);
    }
}

static void test_bad_path(void) {
    static const Answer answers[] = { answer_nothing, answer_stuck };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Peer peer = { .answer = answers[i] };
        PmemdClient *client = peer_start(&peer);
        char *path = NULL;
        uint32_t count = 7;
        check_protocol(client, pmemd_client_find(client, "name", &path));
        g_assert_null(path);
        check_protocol(client, pmemd_client_count(client, "raw", &count));
        g_assert_cmpuint(count, ==, 7);
        peer_stop(&peer, client);
    }
}

/* --- metrics --- */

static int answer_metrics(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sa{ss}d)", 3, "raw_bytes", 0, 4096.0, "state", 1, "state", "ok", 1.0,
                                 "calls_total", 2, "method", "Plan", "outcome", "NoSpace", 7.0);
}

static int answer_bad_metrics(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sa{ss}t)", 1, "raw_bytes", 0, (uint64_t) 1);
}

static void test_metrics(void) {
    Peer peer = { .answer = answer_metrics }, bad = { .answer = answer_bad_metrics };
    PmemdClient *client = peer_start(&peer);
    PmemdMetric **list = NULL;
    size_t n = 0;

    check_ok(client, pmemd_client_metrics(client, &list, &n));
    peer_stop(&peer, client);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpstr(list[0]->name, ==, "raw_bytes");
    g_assert_null(list[0]->labels[0]);
    g_assert_cmpuint((uint64_t) list[0]->value, ==, 4096);
    g_assert_cmpstr(list[2]->labels[2], ==, "outcome");
    g_assert_cmpstr(list[2]->labels[3], ==, "NoSpace");
    g_assert_null(list[2]->labels[4]);
    g_assert_null(list[3]);
    pmemd_metric_list_free(list);

    client = peer_start(&bad);
    list = NULL;
    check_protocol(client, pmemd_client_metrics(client, &list, &n));
    g_assert_null(list);
    peer_stop(&bad, client);
}

/* --- properties --- */

/* A property more than we know, one of a container type, one missing. */
static int answer_region(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a{sv}", 8, "Kind", "s", "data", "Uuid", "s", UUID, "StartFrame", "t",
                                 UINT64_MAX, "Node", "i", -1, "Later", "s", "news", "BadFrames", "a(tt)", 1,
                                 (uint64_t) 1, (uint64_t) 2, "Dirty", "b", 1, "OwnerUid", "u", UINT32_MAX);
}

static void test_region(void) {
    Peer peer = { .answer = answer_region };
    PmemdClient *client = peer_start(&peer);
    g_autofree char *path = NULL;
    PmemdRegion *region = NULL;

    /* An object path needs no GetRegion. */
    check_ok(client, pmemd_client_find(client, REGION_PATH, &path));
    g_assert_cmpstr(path, ==, REGION_PATH);
    check_ok(client, pmemd_client_region(client, path, &region));
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 1);
    g_assert_cmpstr(region->path, ==, REGION_PATH);
    g_assert_cmpstr(region->kind, ==, "data");
    g_assert_cmpstr(region->uuid, ==, UUID);
    g_assert_cmpuint(region->frames.start, ==, UINT64_MAX);
    g_assert_cmpint(region->node, ==, -1);
    g_assert_cmpuint(region->owner_uid, ==, UINT32_MAX);
    g_assert_true(region->dirty);
    g_assert_cmpstr(region->owner, ==, "");
    g_assert_cmpuint(region->bytes, ==, 0);
    pmemd_region_free(region);
}

static int answer_wrong_type(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a{sv}", 2, "Uuid", "s", UUID, "StartFrame", "s", "0x480000");
}

static void test_wrong_type(void) {
    Peer peer = { .answer = answer_wrong_type };
    PmemdClient *client = peer_start(&peer);
    PmemdRegion *region = NULL;

    check_protocol(client, pmemd_client_region(client, REGION_PATH, &region));
    g_assert_null(region);
    g_assert_nonnull(strstr(pmemd_client_error_message(client), "StartFrame"));
    peer_stop(&peer, client);
}

/* --- errors --- */

static void test_errors(void) {
    const struct {
        const char *name;
        int errnum;
        const char *reported;
        const char *text; /* found in the message */
    } rows[] = {
        { "org.pmemd1.Error.Exists", EEXIST, PMEMD_ERROR_NAME_EXISTS, "the very words" },
        { "org.pmemd1.Error.NoSuchMgmt", ENXIO, PMEMD_ERROR_NAME_NO_SUCH_MGMT, "the very words" },
        { "org.pmemd1.Error.News", EBADMSG, PMEMD_ERROR_NAME_PROTOCOL, "the very words (org.pmemd1.Error.News)" },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE, "start it with 'pmemd --bus=unix:" },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE, "is not running" },
        { "org.freedesktop.DBus.Error.Spawn.ChildExited", ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE, "is not running" },
        { SD_BUS_ERROR_NO_REPLY, ECONNRESET, PMEMD_ERROR_NAME_LOST, "may have been done or not" },
        { SD_BUS_ERROR_ACCESS_DENIED, EACCES, PMEMD_ERROR_NAME_NOT_AUTHORIZED, "the very words" },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, ENOENT, PMEMD_ERROR_NAME_NO_SUCH_REGION, REGION_PATH },
        { SD_BUS_ERROR_LIMITS_EXCEEDED, EDQUOT, PMEMD_ERROR_NAME_LIMITS_EXCEEDED, "the very words" },
        { SD_BUS_ERROR_UNKNOWN_METHOD, EBADMSG, PMEMD_ERROR_NAME_PROTOCOL, "the very words" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Peer peer = { .error_name = rows[i].name, .error_text = "the very words" };
        PmemdClient *client = peer_start(&peer);
        PmemdRegion *region = NULL;
        Seen seen = { 0 };
        g_test_message("%s", rows[i].name);
        check_error(client, pmemd_client_region(client, REGION_PATH, &region), rows[i].errnum, rows[i].reported,
                    rows[i].text);
        g_assert_null(region);
        check_ok(client, pmemd_client_region_async(client, REGION_PATH, see, &seen, NULL));
        g_assert_cmpint(process_until(client, &seen, 1), >=, 0);
        g_assert_cmpint(seen.result, ==, -rows[i].errnum);
        g_assert_cmpstr(seen.error_name, ==, rows[i].reported);
        seen_clear(&seen);
        peer_stop(&peer, client);
    }
}

static int answer_hang_up(sd_bus_message *call, sd_bus_message *reply) {
    return -ECONNRESET;
}

static PmemdRequest *new_request(void) {
    PmemdRequest *request = NULL;

    g_assert_cmpint(pmemd_request_new(PMEMD_OPERATION_ALLOCATE_DATA, &request), ==, 0);
    pmemd_request_set_bytes(request, UINT64_MAX);
    return request;
}

/* Without a request-id a change is asked once; and afterwards the client says that it is not connected. */
static void test_hang_up(void) {
    Peer peer = { .answer = answer_hang_up };
    PmemdClient *client = peer_start(&peer);
    PmemdRequest *request = new_request();
    char *path = NULL;

    for (int i = 0; i < 2; i++)
        check_error(client, pmemd_client_submit(client, request, &path), ECONNRESET, PMEMD_ERROR_NAME_LOST, "pmemd");
    g_assert_null(path);
    pmemd_request_free(request);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 1);
}

static void count_disconnects(PmemdClient *client, const PmemdEvent *event, void *data) {
    guint *disconnects = data;
    if (event->type == PMEMD_EVENT_DISCONNECTED)
        (*disconnects)++;
}

/* Every call under way ends with Lost, once; an event tells, and process says so from then on. */
static void test_async_hang_up(void) {
    Peer peer = { .answer = answer_hang_up, .unanswered = 2 };
    PmemdClient *client = peer_start(&peer);
    PmemdRequest *request = new_request();
    Seen seen[3] = { 0 };
    guint disconnects = 0;

    check_ok(client, pmemd_client_subscribe(client, count_disconnects, &disconnects));
    g_assert_cmpint(pmemd_client_subscribe(client, count_disconnects, &disconnects), ==, -EALREADY);
    for (size_t i = 0; i < 3; i++)
        check_ok(client, pmemd_client_submit_async(client, request, see, &seen[i], NULL));
    pmemd_request_free(request);
    int r = 0;
    while (r >= 0) {
        r = pmemd_client_process(client);
        if (r == 0)
            r = pmemd_client_wait(client, UINT64_MAX);
    }
    check_error(client, r, ECONNRESET, PMEMD_ERROR_NAME_LOST, "was lost");
    for (size_t i = 0; i < 3; i++) {
        g_assert_cmpuint(seen[i].replies, ==, 1);
        g_assert_cmpint(seen[i].result, ==, -ECONNRESET);
        seen_clear(&seen[i]);
    }
    g_assert_cmpuint(disconnects, ==, 1);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 3);
}

/* A call under way when the connection is opened anew ends with Lost. */
static void test_async_reopen(void) {
    Peer peer = { .unanswered = 1 }, next = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer), *other = peer_start(&next);
    Seen lost = { 0 }, fine = { 0 };

    /* Only one connection a peer: the other client's is given up for ours. */
    pmemd_client_free(other);
    g_thread_join(next.thread);
    next.thread = g_thread_new("peer", serve, &next);
    check_ok(client, pmemd_client_list_foreign_async(client, see, &lost, NULL));
    check_ok(client, pmemd_client_open(client, next.address));
    g_assert_cmpuint(lost.replies, ==, 1);
    g_assert_cmpint(lost.result, ==, -ECONNRESET);
    check_ok(client, pmemd_client_list_foreign_async(client, see, &fine, NULL));
    g_assert_cmpint(process_until(client, &fine, 1), >=, 0);
    check_pages(fine.list, fine.n);
    seen_clear(&lost);
    seen_clear(&fine);
    peer_stop(&next, client);
    peer_stop(&peer, NULL);
}

/* What D-Bus does not carry is refused before it is sent. */
static void test_not_utf8(void) {
    Peer peer = { .answer = answer_nothing };
    PmemdClient *client = peer_start(&peer);
    char *path = NULL;

    check_error(client, pmemd_client_find(client, "\xff\xfe", &path), EINVAL, PMEMD_ERROR_NAME_INVALID_ARGUMENT,
                "UTF-8");
    check_error(client, pmemd_client_rename(client, "no path", "name"), EINVAL, PMEMD_ERROR_NAME_INVALID_ARGUMENT,
                "cannot be sent");
    check_error(client, pmemd_client_rename_async(client, "no path", "name", see, NULL, NULL), EINVAL,
                PMEMD_ERROR_NAME_INVALID_ARGUMENT, "cannot be sent");
    g_assert_null(path);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 0);
}

/* Before it is open a client says so. */
static void test_not_open(void) {
    PmemdClient *client = NULL;
    PmemdStatus *status = NULL;
    const char *hosts[] = { "", "-oProxyCommand=touch" };

    g_assert_cmpint(pmemd_client_new(&client), ==, 0);
    g_assert_cmpstr(pmemd_client_error_name(client), ==, "");
    check_error(client, pmemd_client_status(client, &status), ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE, "not connected");
    check_error(client, pmemd_client_status_async(client, see, NULL, NULL), ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE,
                "not connected");
    g_assert_cmpint(pmemd_client_process(client), ==, -ENOTCONN);
    g_assert_cmpint(pmemd_client_get_fd(client), ==, -ENOTCONN);
    check_error(client, pmemd_client_open(client, "unix:path=/nonexistent"), ENOTCONN, PMEMD_ERROR_NAME_UNREACHABLE,
                "cannot connect to the bus at unix:path=/nonexistent");
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
        check_error(client, pmemd_client_open_remote(client, hosts[i]), EINVAL, PMEMD_ERROR_NAME_INVALID_ARGUMENT,
                    "is not a host");
    pmemd_client_free(client);
    pmemd_client_free(NULL);
}

/* --- requests --- */

/* Everything that was given, with its type, and nothing else. */
static int answer_checked_request(sd_bus_message *call, sd_bus_message *reply) {
    uint64_t bytes;
    const char *key, *contents;
    g_autoptr(GString) seen = g_string_new(NULL);

    g_assert_cmpint(sd_bus_message_read(call, "t", &bytes), >, 0);
    g_assert_cmpuint(bytes, ==, UINT64_MAX);
    g_assert_cmpint(sd_bus_message_enter_container(call, 'a', "{sv}"), >, 0);
    while (sd_bus_message_enter_container(call, 'e', "sv") > 0) {
        g_assert_cmpint(sd_bus_message_read(call, "s", &key), >, 0);
        g_assert_cmpint(sd_bus_message_peek_type(call, NULL, &contents), >, 0);
        g_string_append_printf(seen, "%s %s,", key, contents);
        g_assert_cmpint(sd_bus_message_skip(call, "v"), >, 0);
        g_assert_cmpint(sd_bus_message_exit_container(call), >=, 0);
    }
    g_assert_cmpstr(seen->str, ==, "name s,mgmt s,alignment t,node i,request-id s,");
    return sd_bus_message_append(reply, "o", REGION_PATH);
}

static void test_request(void) {
    Peer peer = { .answer = answer_checked_request };
    PmemdClient *client = peer_start(&peer);
    PmemdRequest *request = new_request(), *none = NULL;
    char id[PMEMD_REQUEST_ID_SIZE], other[PMEMD_REQUEST_ID_SIZE];
    g_autofree char *path = NULL;

    pmemd_request_set_name(request, "other");
    pmemd_request_set_name(request, "n");
    pmemd_request_set_mgmt(request, "p");
    pmemd_request_set_alignment(request, 4096);
    pmemd_request_set_node(request, 0);
    g_assert_cmpint(pmemd_make_request_id(id), ==, 0);
    g_assert_cmpint(pmemd_make_request_id(other), ==, 0);
    g_assert_cmpstr(id, !=, other);
    g_assert_cmpuint(strlen(id), ==, PMEMD_REQUEST_ID_SIZE - 1);
    pmemd_request_set_id(request, id);
    check_ok(client, pmemd_client_submit(client, request, &path));
    g_assert_cmpstr(path, ==, REGION_PATH);
    pmemd_request_free(request);
    peer_stop(&peer, client);

    g_assert_cmpint(pmemd_request_new((PmemdOperation) 4, &none), ==, -EINVAL);
    g_assert_null(pmemd_operation_to_string((PmemdOperation) 4));
    g_assert_cmpstr(pmemd_operation_to_string(PMEMD_OPERATION_SETUP_DATA), ==, "SetupData");
}

/* --- locations --- */

static int answer_location(sd_bus_message *call, sd_bus_message *reply) {
    uint64_t frame;

    g_assert_cmpstr(sd_bus_message_get_member(call), ==, "Locate");
    g_assert_cmpint(sd_bus_message_read(call, "t", &frame), >, 0);
    g_assert_cmphex(frame, ==, 0x2c0001);
    return sd_bus_message_append(reply, "(sota{sv})", "data", REGION_PATH, (uint64_t) 8192, 4, "Part", "s", "usable",
                                 "Uuid", "s", UUID, "OwnerUid", "u", 7u, "Later", "as", 1, "than this");
}

/* One about nothing, one as it may be some day. */
static int answer_locations(sd_bus_message *call, sd_bus_message *reply) {
    const void *frames;
    size_t bytes;

    g_assert_cmpstr(sd_bus_message_get_member(call), ==, "LocateList");
    g_assert_cmpint(sd_bus_message_read_array(call, 't', &frames, &bytes), >=, 0);
    g_assert_cmpuint(bytes, ==, 16);
    return sd_bus_message_append(reply, "a(sota{sv})", 2, "none", "/", (uint64_t) 0, 0, "mgmt", REGION_PATH,
                                 (uint64_t) 1, 1, "ExtentOf", "o", REGION_PATH);
}

static int answer_bad_location(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "(sota{sv})", "data", REGION_PATH, (uint64_t) 1, 1, "Part", "u", 1u);
}

static int answer_no_locations(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sota{sv})", 0);
}

static int answer_more_locations(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a(sota{sv})", 3, "none", "/", (uint64_t) 0, 0, "none", "/", (uint64_t) 0, 0,
                                 "none", "/", (uint64_t) 0, 0);
}

static void test_location(void) {
    Peer peer = { .answer = answer_location }, bad = { .answer = answer_bad_location };
    PmemdClient *client = peer_start(&peer);
    PmemdLocation *location = NULL;

    check_ok(client, pmemd_client_locate(client, 0x2c0001, &location));
    peer_stop(&peer, client);
    g_assert_cmphex(location->frame, ==, 0x2c0001);
    g_assert_cmpstr(location->kind, ==, "data");
    g_assert_cmpstr(location->path, ==, REGION_PATH);
    g_assert_cmpuint(location->offset, ==, 8192);
    g_assert_cmpstr(location->part, ==, "usable");
    g_assert_cmpstr(location->uuid, ==, UUID);
    g_assert_cmpstr(location->name, ==, "");
    g_assert_cmpuint(location->owner_uid, ==, 7);
    g_assert_cmpint(location->node, ==, -1);
    g_clear_pointer(&location, pmemd_location_free);

    client = peer_start(&bad);
    check_protocol(client, pmemd_client_locate(client, 1, &location));
    g_assert_null(location);
    peer_stop(&bad, client);
}

static void test_locations(void) {
    static const Answer bad[] = { answer_no_locations, answer_more_locations, answer_bad_location };
    static const uint64_t frames[] = { 5, 9 };
    Peer peer = { .answer = answer_locations };
    PmemdClient *client = peer_start(&peer);
    PmemdLocation **list = NULL;
    size_t n = 0;

    check_ok(client, pmemd_client_locate_list(client, frames, G_N_ELEMENTS(frames), &list, &n));
    peer_stop(&peer, client);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmphex(list[0]->frame, ==, 5);
    g_assert_cmpstr(list[0]->path, ==, "");
    g_assert_cmpuint(list[0]->owner_uid, ==, UINT32_MAX);
    g_assert_cmphex(list[1]->frame, ==, 9);
    g_assert_cmpstr(list[1]->extent_of, ==, REGION_PATH);
    g_assert_null(list[2]);
    g_clear_pointer(&list, pmemd_location_list_free);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Peer other = { .answer = bad[i] };

        client = peer_start(&other);
        check_protocol(client, pmemd_client_locate_list(client, frames, G_N_ELEMENTS(frames), &list, &n));
        g_assert_null(list);
        peer_stop(&other, client);
    }
}

typedef struct {
    PmemdLocation **list;
    PmemdLocation *location;
    size_t n;
    guint answered;
} Located;

static void on_location(PmemdClient *client, PmemdReply *reply, void *data) {
    Located *located = data;

    g_assert_cmpint(pmemd_reply_take_location_list(reply, &located->list, &located->n), ==, -EINVAL);
    g_assert_cmpint(pmemd_reply_take_location(reply, &located->location), ==, 0);
    g_assert_cmpint(pmemd_reply_take_location(reply, &located->location), ==, -EINVAL);
    located->answered++;
}

static void on_locations(PmemdClient *client, PmemdReply *reply, void *data) {
    Located *located = data;

    g_assert_cmpint(pmemd_reply_take_location_list(reply, &located->list, &located->n), ==, 0);
    located->answered++;
}

static void wait_located(PmemdClient *client, const Located *located) {
    while (located->answered == 0) {
        int r = pmemd_client_process(client);

        check_ok(client, r);
        if (r == 0)
            check_ok(client, pmemd_client_wait(client, UINT64_MAX));
    }
}

static void test_async_locate(void) {
    Peer one = { .answer = answer_location }, two = { .answer = answer_locations };
    Located first = { 0 }, second = { 0 };

    PmemdClient *client = peer_start(&one);
    check_ok(client, pmemd_client_locate_async(client, 0x2c0001, on_location, &first, NULL));
    wait_located(client, &first);
    peer_stop(&one, client);
    g_assert_cmphex(first.location->frame, ==, 0x2c0001);
    pmemd_location_free(first.location);

    uint64_t *frames = g_new0(uint64_t, 2); /* not needed any more once the call is sent */
    frames[1] = 9;
    client = peer_start(&two);
    check_ok(client, pmemd_client_locate_list_async(client, frames, 2, on_locations, &second, NULL));
    g_free(frames);
    wait_located(client, &second);
    peer_stop(&two, client);
    g_assert_cmpuint(second.n, ==, 2);
    g_assert_cmphex(second.list[1]->frame, ==, 9);
    pmemd_location_list_free(second.list);
}

/* --- leases --- */

static int answer_attach(sd_bus_message *call, sd_bus_message *reply) {
    const char *path, *owner, *key, *until;
    uint64_t frame;
    int degraded;

    g_assert_cmpstr(sd_bus_message_get_signature(call, true), ==, "osa{sv}");
    g_assert_cmpint(sd_bus_message_read(call, "os", &path, &owner), >, 0);
    g_assert_cmpstr(path, ==, REGION_PATH);
    g_assert_cmpstr(owner, ==, "vm 1");
    g_assert_cmpint(sd_bus_message_enter_container(call, 'a', "{sv}"), >, 0);
    g_assert_cmpint(sd_bus_message_read(call, "{sv}", &key, "s", &until), >, 0);
    g_assert_cmpstr(key, ==, "until");
    g_assert_cmpstr(until, ==, "disconnect");
    g_assert_cmpint(sd_bus_message_read(call, "{sv}", &key, "b", &degraded), >, 0);
    g_assert_cmpstr(key, ==, "allow-degraded");
    g_assert_true(degraded);
    g_assert_cmpint(sd_bus_message_read(call, "{sv}", &key, "t", &frame), >, 0);
    g_assert_cmpstr(key, ==, "guest-frame");
    g_assert_cmpuint(frame, ==, 0x140000);

    int pipes[2];
    g_assert_true(g_unix_open_pipe(pipes, FD_CLOEXEC, NULL));
    g_assert_cmpint(write(pipes[1], "x", 1), ==, 1);
    int r = sd_bus_message_append(reply, "ha{sv}", pipes[0], 7, "path", "s", "/dev/dax0.1", "bytes", "t",
                                  UINT64_C(1) << 30, "alignment", "t", UINT64_C(2) << 20, "node", "i", 3, "since", "t",
                                  UINT64_C(1700000000000000), "confirmed", "b", 1, "memory", "s", "<memory/>");
    close(pipes[0]);
    close(pipes[1]);
    return r;
}

#define ATTACH_FLAGS (PMEMD_ATTACH_UNTIL_DISCONNECT | PMEMD_ATTACH_ALLOW_DEGRADED)

static void check_attachment(const PmemdAttachment *attachment, int fd) {
    char byte;

    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpstr(attachment->path, ==, "/dev/dax0.1");
    g_assert_cmpuint(attachment->bytes, ==, UINT64_C(1) << 30);
    g_assert_cmpuint(attachment->alignment, ==, UINT64_C(2) << 20);
    g_assert_cmpint(attachment->node, ==, 3);
    g_assert_cmpuint(attachment->since_usec, ==, UINT64_C(1700000000000000));
    g_assert_true(attachment->confirmed);
    g_assert_cmpstr(attachment->memory, ==, "<memory/>");
}

/* How many descriptors this process has open. */
static guint count_fds(void) {
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

static void test_attach(void) {
    PmemdAttachment *attachment = NULL;
    Peer peer = { .answer = answer_attach };
    guint before = count_fds();
    int fd = -1;

    PmemdClient *client = peer_start(&peer);
    check_ok(client, pmemd_client_attach(client, REGION_PATH, "vm 1", ATTACH_FLAGS, 0x140000, &fd, &attachment));
    check_attachment(attachment, fd);
    pmemd_attachment_free(attachment);
    close(fd);
    /* Who wants the lease alone has nothing to close. */
    check_ok(client, pmemd_client_attach(client, REGION_PATH, "vm 1", ATTACH_FLAGS, 0x140000, NULL, &attachment));
    pmemd_attachment_free(attachment);
    check_ok(client, pmemd_client_attach(client, REGION_PATH, "vm 1", ATTACH_FLAGS, 0x140000, NULL, NULL));
    peer_stop(&peer, client);
    g_assert_cmpuint(count_fds(), ==, before);
}

/* Once taken, and once left. */
static void on_attached(PmemdClient *client, PmemdReply *reply, void *data) {
    PmemdAttachment *attachment = NULL;
    int *left = data, fd = -1;

    if (--*left > 0)
        return;
    g_assert_cmpint(pmemd_reply_take_attachment(reply, &fd, &attachment), ==, 0);
    check_attachment(attachment, fd);
    close(fd);
    pmemd_attachment_free(attachment);
    g_assert_cmpint(pmemd_reply_take_attachment(reply, &fd, &attachment), ==, -EINVAL);
    g_assert_cmpint(pmemd_reply_take_lease_list(reply, NULL, NULL), ==, -EINVAL);
}

static void test_async_attach(void) {
    Peer peer = { .answer = answer_attach };
    guint before = count_fds();
    int left = 2;

    PmemdClient *client = peer_start(&peer);
    for (int i = 0; i < 2; i++)
        check_ok(client, pmemd_client_attach_async(client, REGION_PATH, "vm 1", ATTACH_FLAGS, 0x140000, on_attached,
                                                   &left, NULL));
    while (left > 0) {
        int r = pmemd_client_process(client);
        check_ok(client, r);
        if (r == 0)
            check_ok(client, pmemd_client_wait(client, UINT64_MAX));
    }
    peer_stop(&peer, client);
    g_assert_cmpuint(count_fds(), ==, before);
}

/* What is no answer of Attach. */
static int answer_no_fd(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a{sv}", 0);
}

static int answer_bad_details(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "ha{sv}", STDERR_FILENO, 1, "bytes", "s", "many");
}

static void test_bad_attach(void) {
    const Answer answers[] = { answer_no_fd, answer_bad_details };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        PmemdAttachment *attachment = NULL;
        Peer peer = { .answer = answers[i] };
        guint before = count_fds();
        int fd = -7;

        PmemdClient *client = peer_start(&peer);
        check_error(client, pmemd_client_attach(client, REGION_PATH, "vm", 0, PMEMD_FRAME_UNKNOWN, &fd, &attachment),
                    EBADMSG, PMEMD_ERROR_NAME_PROTOCOL, "Attach");
        g_assert_cmpint(fd, ==, -7);
        g_assert_null(attachment);
        peer_stop(&peer, client);
        g_assert_cmpuint(count_fds(), ==, before);
    }
}

static int answer_detach(sd_bus_message *call, sd_bus_message *reply) {
    const char *path, *owner, *key;
    int force = 0;

    g_assert_cmpint(sd_bus_message_read(call, "os", &path, &owner), >, 0);
    g_assert_cmpstr(path, ==, REGION_PATH);
    g_assert_cmpint(sd_bus_message_enter_container(call, 'a', "{sv}"), >, 0);
    if (sd_bus_message_read(call, "{sv}", &key, "b", &force) > 0)
        g_assert_cmpstr(key, ==, "force");
    g_assert_cmpint(force, ==, strcmp(owner, "forced") == 0);
    return 0;
}

static void test_detach(void) {
    Peer peer = { .answer = answer_detach };

    PmemdClient *client = peer_start(&peer);
    check_ok(client, pmemd_client_detach(client, REGION_PATH, "vm", false));
    check_ok(client, pmemd_client_detach(client, REGION_PATH, "forced", true));
    peer_stop(&peer, client);
}

static int answer_leases(sd_bus_message *call, sd_bus_message *reply) {
    const char *after;

    g_assert_cmpint(sd_bus_message_read(call, "su", &after, NULL), >, 0);
    bool first = after[0] == '\0';
    int r =
        sd_bus_message_append(reply, "a(ssssustsbt)", 1, UUID, first ? "a" : "b", UUID, "vm", 1000, "joe", UINT64_C(5),
                              first ? "detach" : "disconnect", first, first ? UINT64_C(0x1000) : PMEMD_FRAME_UNKNOWN);
    return r < 0 ? r : sd_bus_message_append(reply, "s", first ? "next" : "");
}

static void test_leases(void) {
    PmemdLease **list = NULL;
    Peer peer = { .answer = answer_leases };
    size_t n = 0;

    PmemdClient *client = peer_start(&peer);
    check_ok(client, pmemd_client_list_leases(client, &list, &n));
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpstr(list[0]->region, ==, UUID);
    g_assert_cmpstr(list[0]->name, ==, "a");
    g_assert_cmpstr(list[0]->pool, ==, UUID);
    g_assert_cmpstr(list[0]->owner, ==, "vm");
    g_assert_cmpuint(list[0]->uid, ==, 1000);
    g_assert_cmpstr(list[0]->user, ==, "joe");
    g_assert_cmpuint(list[0]->since_usec, ==, 5);
    g_assert_cmpstr(list[0]->until, ==, "detach");
    g_assert_true(list[0]->confirmed);
    g_assert_cmpuint(list[0]->guest_frame, ==, 0x1000);
    g_assert_cmpstr(list[1]->until, ==, "disconnect");
    g_assert_false(list[1]->confirmed);
    g_assert_cmpuint(list[1]->guest_frame, ==, PMEMD_FRAME_UNKNOWN);
    g_assert_null(list[2]);
    pmemd_lease_list_free(list);
    peer_stop(&peer, client);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/libpmemd/pages", test_pages);
    g_test_add_func("/libpmemd/bad-lists", test_bad_lists);
    g_test_add_func("/libpmemd/bad-path", test_bad_path);
    g_test_add_func("/libpmemd/region", test_region);
    g_test_add_func("/libpmemd/wrong-type", test_wrong_type);
    g_test_add_func("/libpmemd/errors", test_errors);
    g_test_add_func("/libpmemd/hang-up", test_hang_up);
    g_test_add_func("/libpmemd/not-utf8", test_not_utf8);
    g_test_add_func("/libpmemd/request", test_request);
    g_test_add_func("/libpmemd/async-pages", test_async_pages);
    g_test_add_func("/libpmemd/async-event", test_async_event);
    g_test_add_func("/libpmemd/async-cancel", test_async_cancel);
    g_test_add_func("/libpmemd/async-hang-up", test_async_hang_up);
    g_test_add_func("/libpmemd/async-reopen", test_async_reopen);
    g_test_add_func("/libpmemd/not-open", test_not_open);
    g_test_add_func("/libpmemd/metrics", test_metrics);
    g_test_add_func("/libpmemd/location", test_location);
    g_test_add_func("/libpmemd/locations", test_locations);
    g_test_add_func("/libpmemd/async-locate", test_async_locate);
    g_test_add_func("/libpmemd/attach", test_attach);
    g_test_add_func("/libpmemd/async-attach", test_async_attach);
    g_test_add_func("/libpmemd/bad-attach", test_bad_attach);
    g_test_add_func("/libpmemd/detach", test_detach);
    g_test_add_func("/libpmemd/leases", test_leases);
    return g_test_run();
}
