/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/libpmemd: what a well-behaved pmemd never answers, and lists of several pages. The peer is a thread at the
 * other end of a socket that answers as the test says; the real daemon is met in tests/integration.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
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
        g_assert_cmpint(sd_bus_reply_method_return(call, NULL), >=, 0);
        return;
    }
    peer->calls++;
    g_assert_cmpuint(peer->calls, <, 100);
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
        g_assert_cmpint(sd_bus_send(bus, reply, NULL), >=, 0);
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

    PmemdClient *client = pmemd_client_open(peer->address, &error);
    g_assert_no_error(error);
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

static void test_pages(void) {
    Peer peer = { .answer = answer_pages };
    PmemdClient *client = peer_start(&peer);
    g_autoptr(GError) error = NULL;

    g_autoptr(GPtrArray) list = pmemd_client_list_foreign(client, &error);
    g_assert_no_error(error);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 3);
    g_assert_cmpuint(list->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const PmemdForeign *foreign = list->pdata[i];
        g_assert_cmpuint(foreign->frames.start, ==, 10 * (i + 1));
        g_assert_cmpuint(foreign->bytes, ==, 2 * PMEMD_FRAME_SIZE);
        g_assert_cmpstr(foreign->mode, ==, "fsdax");
        g_assert_cmpstr(foreign->raw, ==, "region0");
    }
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

static void check_protocol(const GError *error) {
    g_assert_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "different versions"));
}

static void test_bad_lists(void) {
    static const Answer answers[] = { answer_stuck, answer_nothing, answer_other_struct, answer_no_cursor };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Peer peer = { .answer = answers[i] };
        PmemdClient *client = peer_start(&peer);
        g_autoptr(GError) error = NULL;
        g_assert_null(pmemd_client_list_foreign(client, &error));
        check_protocol(error);
        peer_stop(&peer, client);
    }
}

static void test_bad_path(void) {
    static const Answer answers[] = { answer_nothing, answer_stuck };

    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Peer peer = { .answer = answers[i] };
        PmemdClient *client = peer_start(&peer);
        g_autoptr(GError) error = NULL;
        uint32_t count = 7;
        g_assert_null(pmemd_client_find(client, "name", &error));
        check_protocol(error);
        g_clear_error(&error);
        g_assert_false(pmemd_client_count(client, "raw", &count, &error));
        check_protocol(error);
        g_assert_cmpuint(count, ==, 7);
        peer_stop(&peer, client);
    }
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
    g_autoptr(GError) error = NULL;

    /* An object path needs no GetRegion. */
    g_autofree char *path = pmemd_client_find(client, REGION_PATH, &error);
    g_assert_cmpstr(path, ==, REGION_PATH);
    g_autoptr(PmemdRegion) region = pmemd_client_region(client, path, &error);
    g_assert_no_error(error);
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
}

static int answer_wrong_type(sd_bus_message *call, sd_bus_message *reply) {
    return sd_bus_message_append(reply, "a{sv}", 2, "Uuid", "s", UUID, "StartFrame", "s", "0x480000");
}

static void test_wrong_type(void) {
    Peer peer = { .answer = answer_wrong_type };
    PmemdClient *client = peer_start(&peer);
    g_autoptr(GError) error = NULL;

    g_assert_null(pmemd_client_region(client, REGION_PATH, &error));
    check_protocol(error);
    g_assert_nonnull(strstr(error->message, "StartFrame"));
    peer_stop(&peer, client);
}

/* --- errors --- */

static void test_errors(void) {
    const struct {
        const char *name;
        GQuark domain;
        int code;
        const char *text; /* found in the message */
    } rows[] = {
        { "org.pmemd1.Error.Exists", PMEMD_ERROR, PMEMD_ERROR_EXISTS, "the very words" },
        { "org.pmemd1.Error.NoSuchMgmt", PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT, "the very words" },
        { "org.pmemd1.Error.News", PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL,
          "the very words (org.pmemd1.Error.News)" },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE,
          "start it with 'pmemd --bus=unix:" },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE, "is not running" },
        { "org.freedesktop.DBus.Error.Spawn.ChildExited", PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE,
          "is not running" },
        { SD_BUS_ERROR_NO_REPLY, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST, "may have been done or not" },
        { SD_BUS_ERROR_ACCESS_DENIED, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "the very words" },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, REGION_PATH },
        { SD_BUS_ERROR_LIMITS_EXCEEDED, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED, "the very words" },
        { SD_BUS_ERROR_UNKNOWN_METHOD, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL, "the very words" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Peer peer = { .error_name = rows[i].name, .error_text = "the very words" };
        PmemdClient *client = peer_start(&peer);
        g_autoptr(GError) error = NULL;
        g_test_message("%s", rows[i].name);
        g_assert_null(pmemd_client_region(client, REGION_PATH, &error));
        g_assert_error(error, rows[i].domain, rows[i].code);
        g_assert_nonnull(strstr(error->message, rows[i].text));
        peer_stop(&peer, client);
    }
}

static int answer_hang_up(sd_bus_message *call, sd_bus_message *reply) {
    return -ECONNRESET;
}

/* Without a request-id a change is asked once; and afterwards the client says that it is not connected. */
static void test_hang_up(void) {
    Peer peer = { .answer = answer_hang_up };
    PmemdClient *client = peer_start(&peer);
    PmemdRequest request = { .operation = PMEMD_OPERATION_ALLOCATE_DATA, .bytes = 4096 };

    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(pmemd_client_submit(client, &request, &error));
        g_assert_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_LOST);
    }
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 1);
}

/* What D-Bus does not carry is refused before it is sent. */
static void test_not_utf8(void) {
    Peer peer = { .answer = answer_nothing };
    PmemdClient *client = peer_start(&peer);
    g_autoptr(GError) error = NULL;

    g_assert_null(pmemd_client_find(client, "\xff\xfe", &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
    g_clear_error(&error);
    g_assert_false(pmemd_client_rename(client, "no path", "name", &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
    peer_stop(&peer, client);
    g_assert_cmpuint(peer.calls, ==, 0);
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
    g_autoptr(GError) error = NULL;
    PmemdRequest request = { .operation = PMEMD_OPERATION_ALLOCATE_DATA,
                             .bytes = UINT64_MAX,
                             .name = "n",
                             .mgmt = "p",
                             .alignment = 4096,
                             .has_node = true,
                             .node = 0,
                             .request_id = UUID };

    g_autofree char *path = pmemd_client_submit(client, &request, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, REGION_PATH);
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
    return g_test_run();
}
