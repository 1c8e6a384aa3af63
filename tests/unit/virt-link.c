/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/virt-link.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEST_URI "test:///default"
#define GUARD_USEC (UINT64_C(60) * 1000 * 1000)

typedef struct {
    sd_event *event;
    VirtLink *link;
    int up[N_VIRT_WHICH], down[N_VIRT_WHICH];
    char *why;
    GString *events; /* "UUID NAME EVENT\n" */
    int done;
    bool had_qemu, had_storage;
    GThread *ran_in;
    char *domain_uuid;
} Host;

static void on_up(VirtLink *link, VirtWhich which, void *userdata) {
    Host *host = userdata;

    g_assert_true(virt_link_is_up(link, which));
    host->up[which]++;
}

static void on_down(VirtLink *link, VirtWhich which, const char *why, void *userdata) {
    Host *host = userdata;

    g_assert_false(virt_link_is_up(link, which));
    host->down[which]++;
    g_free(host->why);
    host->why = g_strdup(why);
}

static void on_domain(VirtLink *link, const char *uuid, const char *name, VirtDomainEvent event, void *userdata) {
    Host *host = userdata;

    g_string_append_printf(host->events, "%s %s %s\n", uuid, name, virt_domain_event_to_string(event));
}

static const VirtLinkHandlers handlers = { .up = on_up, .down = on_down, .domain_event = on_domain };

static int on_guard(sd_event_source *source, uint64_t usec, void *data) {
    g_test_message("nothing has happened for a minute");
    g_assert_not_reached();
}

/* One turn at least. */
static void turn(Host *host) {
    g_assert_cmpint(sd_event_run(host->event, GUARD_USEC), >, 0);
}

static Host *host_new(const char *qemu_uri, const char *storage_uri) {
    g_autoptr(GError) error = NULL;
    Host *host = g_new0(Host, 1);

    host->events = g_string_new(NULL);
    g_assert_cmpint(sd_event_new(&host->event), >=, 0);
    g_assert_cmpint(sd_event_add_time_relative(host->event, NULL, CLOCK_MONOTONIC, GUARD_USEC, 0, on_guard, NULL), >=,
                    0);
    host->link = virt_link_new(host->event, qemu_uri, storage_uri, &handlers, host, &error);
    g_assert_no_error(error);
    return host;
}

static void host_free(Host *host) {
    virt_link_free(host->link);
    sd_event_unref(host->event);
    g_string_free(host->events, TRUE);
    g_free(host->why);
    g_free(host->domain_uuid);
    g_free(host);
}

static void look(virConnectPtr qemu, virConnectPtr storage, void *data) {
    Host *host = data;

    host->had_qemu = qemu != NULL;
    host->had_storage = storage != NULL;
    host->ran_in = g_thread_self();
}

static void count(void *data) {
    Host *host = data;

    g_assert_true(host->ran_in != g_thread_self());
    host->done++;
}

static void up_and_jobs(void) {
    Host *host = host_new(TEST_URI, TEST_URI);

    while (host->up[VIRT_QEMU] == 0 || host->up[VIRT_STORAGE] == 0)
        turn(host);
    for (int i = 0; i < 3; i++)
        virt_link_run(host->link, look, host, count);
    while (host->done < 3)
        turn(host);
    g_assert_true(host->had_qemu);
    g_assert_true(host->had_storage);
    g_assert_cmpint(host->down[VIRT_QEMU] + host->down[VIRT_STORAGE], ==, 0);
    host_free(host);
}

static const char definition[] =
    "<domain type='test'><name>guest</name><uuid>0F6E6A3E-0000-4000-8000-000000000001</uuid>"
    "<memory>1024</memory><os><type>hvm</type></os></domain>";

static void live_and_die(virConnectPtr qemu, virConnectPtr storage, void *data) {
    Host *host = data;

    host->ran_in = g_thread_self();
    virDomainPtr domain = virDomainDefineXML(qemu, definition);
    g_assert_nonnull(domain);
    g_assert_cmpint(virDomainCreate(domain), ==, 0);
    g_assert_cmpint(virDomainDestroy(domain), ==, 0);
    g_assert_cmpint(virDomainUndefine(domain), ==, 0);
    virDomainFree(domain);
}

static void domain_events(void) {
    Host *host = host_new(TEST_URI, NULL);
    const char *who = "0f6e6a3e-0000-4000-8000-000000000001 guest";

    while (host->up[VIRT_QEMU] == 0)
        turn(host);
    virt_link_run(host->link, live_and_die, host, count);
    while (host->done == 0 || !strstr(host->events->str, "undefined"))
        turn(host);
    g_autofree char *wanted = g_strdup_printf("%s defined\n%s started\n%s stopped\n%s undefined\n", who, who, who, who);
    g_assert_cmpstr(host->events->str, ==, wanted);
    host_free(host);
}

/* It is told once, and tried again and again without a word. */
static void nobody_there(void) {
    Host *host = host_new("test:///nowhere/at/all.xml", TEST_URI);

    while (host->down[VIRT_QEMU] == 0 || host->up[VIRT_STORAGE] == 0)
        turn(host);
    g_assert_nonnull(strstr(host->why, "all.xml"));
    virt_link_run(host->link, look, host, count);
    while (host->done < 1)
        turn(host);
    g_assert_false(host->had_qemu);
    g_assert_true(host->had_storage);
    g_assert_cmpint(host->down[VIRT_QEMU], ==, 1);
    host_free(host);
}

static int listen_at(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    return fd;
}

/* A daemon that is stopped: connections are accepted by the kernel, and never answered on. Neither jobs nor the end wait. */
static void stopped_daemon(void) {
    g_autofree char *dir = g_dir_make_tmp("virt-link-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    int fd = listen_at(path);
    g_autofree char *uri = g_strdup_printf("qemu+unix:///system?socket=%s&mode=legacy", path);
    Host *host = host_new(uri, TEST_URI);

    while (host->up[VIRT_STORAGE] == 0)
        turn(host);
    virt_link_run(host->link, look, host, count);
    while (host->done < 1)
        turn(host);
    g_assert_false(host->had_qemu);
    g_assert_false(virt_link_is_up(host->link, VIRT_QEMU));
    /* One that waits when the link ends is done, too. */
    virt_link_run(host->link, look, host, count);
    virt_link_free(g_steal_pointer(&host->link));
    g_assert_cmpint(host->done, ==, 2);
    /* The one that opens gets its end, and leaves with what it has. */
    (void) close(fd);
    host_free(host);
    (void) g_unlink(path);
    (void) g_rmdir(dir);
}

int main(int argc, char **argv) {
    (void) signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virt-link/up-and-jobs", up_and_jobs);
    g_test_add_func("/virt-link/domain-events", domain_events);
    g_test_add_func("/virt-link/nobody-there", nobody_there);
    g_test_add_func("/virt-link/stopped-daemon", stopped_daemon);
    return g_test_run();
}
