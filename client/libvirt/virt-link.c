/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Threads: libvirt's event loop (which keeps connections alive and calls back), the worker (jobs), and one thread for
 * each attempt to open a connection: a libvirt daemon that is stopped accepts a connection and never answers on it, for
 * which libvirt has no deadline. Such a thread is left behind when the link is freed, so what the threads share is
 * counted by reference. They talk to the loop through a queue and an eventfd.
 */
#include "client/libvirt/virt-link.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/error.h"

/* An attempt to connect follows a failed one after so long, doubled each time up to the longest. */
#define FIRST_DELAY_USEC (UINT64_C(250) * 1000)
#define LONGEST_DELAY_USEC (UINT64_C(10) * 1000 * 1000)

/* --- what the threads share --- */

typedef struct {
    gatomicrefcount refs;
    int wake_fd;          /* of the loop */
    GAsyncQueue *to_loop; /* News */
    GMutex lock;
    virConnectPtr conn[N_VIRT_WHICH];  /* the lock's; NULL: down */
    uint64_t generation[N_VIRT_WHICH]; /* the lock's; of conn: late news of an old one are told apart by it */
    bool closed;                       /* the lock's: the link is gone, or going */
} Shared;

typedef enum {
    NEWS_OPENED,
    NEWS_FAILED,
    NEWS_CLOSED,
    NEWS_DOMAIN,
    NEWS_DONE,
} NewsKind;

typedef struct {
    NewsKind kind;
    VirtWhich which;
    uint64_t generation;
    char *text; /* why; or the domain's name */
    char uuid[VIR_UUID_STRING_BUFLEN];
    VirtDomainEvent event;
    void *data;
    VirtLinkDone done;
} News;

typedef struct {
    VirtLinkJob job; /* NULL: the worker ends */
    VirtLinkDone done;
    void *data;
} Job;

/* One connection, as libvirt's callbacks know it. */
typedef struct {
    gatomicrefcount refs;
    Shared *shared;
    VirtWhich which;
    uint64_t generation;
    char *uri;
} Connection;

typedef struct {
    VirtLink *link;
    VirtWhich which;
} Retry;

struct VirtLink {
    Shared *shared;
    VirtLinkHandlers handlers;
    void *userdata;
    sd_event *event;
    sd_event_source *wake_source;
    sd_event_source *retry_source[N_VIRT_WHICH];
    Retry retry[N_VIRT_WHICH];
    uint64_t delay_usec[N_VIRT_WHICH];
    char *uri[N_VIRT_WHICH];
    bool up[N_VIRT_WHICH];
    bool told[N_VIRT_WHICH]; /* that it is down, since it was up */
    GAsyncQueue *jobs;
    GThread *worker, *events;
    gint stop; /* atomic: the thread of libvirt's events ends */
    int stop_timer;
};

const char *virt_which_to_string(VirtWhich which) {
    return which == VIRT_QEMU ? "qemu" : "storage";
}

const char *virt_domain_event_to_string(VirtDomainEvent event) {
    static const char *const names[N_VIRT_DOMAIN_EVENTS] = {
        [VIRT_DOMAIN_DEFINED] = "defined",           [VIRT_DOMAIN_UNDEFINED] = "undefined",
        [VIRT_DOMAIN_STARTED] = "started",           [VIRT_DOMAIN_STOPPED] = "stopped",
        [VIRT_DOMAIN_DEVICE_ADDED] = "device added", [VIRT_DOMAIN_DEVICE_REMOVED] = "device removed",
        [VIRT_DOMAIN_REBOOTED] = "rebooted",
    };

    return event < N_VIRT_DOMAIN_EVENTS ? names[event] : "unknown";
}

const char *virt_link_last_error(void) {
    const char *message = virGetLastErrorMessage();

    return message ? message : "no reason is known";
}

static void news_free(News *news) {
    g_free(news->text);
    g_free(news);
}

static Shared *shared_ref(Shared *shared) {
    g_atomic_ref_count_inc(&shared->refs);
    return shared;
}

static void shared_unref(Shared *shared) {
    News *news;

    if (!g_atomic_ref_count_dec(&shared->refs))
        return;
    while ((news = g_async_queue_try_pop(shared->to_loop)))
        news_free(news);
    g_async_queue_unref(shared->to_loop);
    g_mutex_clear(&shared->lock);
    if (shared->wake_fd >= 0)
        (void) close(shared->wake_fd);
    g_free(shared);
}

/* From any thread. */
static void tell(Shared *shared, News *news) {
    uint64_t one = 1;

    g_async_queue_push(shared->to_loop, news);
    /* Full is awake. */
    if (write(shared->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        g_warning("cannot wake the loop, ignoring: %s", g_strerror(errno));
}

static News *news_of(const Connection *connection, NewsKind kind, const char *text) {
    News *news = g_new0(News, 1);

    news->kind = kind;
    news->which = connection->which;
    news->generation = connection->generation;
    news->text = g_strdup(text);
    return news;
}

static void connection_unref(void *data) {
    Connection *connection = data;

    if (!g_atomic_ref_count_dec(&connection->refs))
        return;
    shared_unref(connection->shared);
    g_free(connection->uri);
    g_free(connection);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_unref)

static Connection *connection_ref(Connection *connection) {
    g_atomic_ref_count_inc(&connection->refs);
    return connection;
}

/* --- callbacks of libvirt, on its event thread --- */

static void tell_domain(const Connection *connection, virDomainPtr domain, VirtDomainEvent event) {
    News *news = news_of(connection, NEWS_DOMAIN, virDomainGetName(domain));

    news->event = event;
    if (virDomainGetUUIDString(domain, news->uuid) < 0)
        news->uuid[0] = '\0';
    tell(connection->shared, news);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data) {
    switch (event) {
    case VIR_DOMAIN_EVENT_DEFINED:
        tell_domain(data, domain, VIRT_DOMAIN_DEFINED);
        break;
    case VIR_DOMAIN_EVENT_UNDEFINED:
        tell_domain(data, domain, VIRT_DOMAIN_UNDEFINED);
        break;
    case VIR_DOMAIN_EVENT_STARTED:
    case VIR_DOMAIN_EVENT_RESUMED:
        tell_domain(data, domain, VIRT_DOMAIN_STARTED);
        break;
    case VIR_DOMAIN_EVENT_STOPPED:
    case VIR_DOMAIN_EVENT_CRASHED:
        tell_domain(data, domain, VIRT_DOMAIN_STOPPED);
        break;
    default:
        break; /* suspended, in power management: who holds what stays as it is */
    }
    return 0;
}

static void on_device_added(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data) {
    tell_domain(data, domain, VIRT_DOMAIN_DEVICE_ADDED);
}

static void on_device_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data) {
    tell_domain(data, domain, VIRT_DOMAIN_DEVICE_REMOVED);
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *data) {
    tell_domain(data, domain, VIRT_DOMAIN_REBOOTED);
}

static void on_close(virConnectPtr conn, int reason, void *data) {
    const char *why = reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE ? "libvirt's daemon does not answer"
                      : reason == VIR_CONNECT_CLOSE_REASON_EOF     ? "libvirt's daemon closed the connection"
                      : reason == VIR_CONNECT_CLOSE_REASON_CLIENT  ? "the connection was closed"
                                                                   : "the connection failed";
    Connection *connection = data;

    tell(connection->shared, news_of(connection, NEWS_CLOSED, why));
}

static void ignore_error(void *data, virErrorPtr error) {
}

/* --- opening, on a thread of its own --- */

static bool register_event(virConnectPtr conn, Connection *connection, int id,
                           virConnectDomainEventGenericCallback func) {
    if (virConnectDomainEventRegisterAny(conn, NULL, id, func, connection_ref(connection), connection_unref) >= 0)
        return true;
    connection_unref(connection);
    return false;
}

static bool register_events(virConnectPtr conn, Connection *connection) {
    return register_event(conn, connection, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)) &&
           register_event(conn, connection, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
                          VIR_DOMAIN_EVENT_CALLBACK(on_device_added)) &&
           register_event(conn, connection, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
                          VIR_DOMAIN_EVENT_CALLBACK(on_device_removed)) &&
           register_event(conn, connection, VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot));
}

/* A driver that runs in this process, as the test driver does, needs neither sign of life nor news of the end; libvirt
 * says so of the first only, and takes a close callback that it never calls nor frees. */
static bool set_up(virConnectPtr conn, Connection *connection) {
    bool remote = virConnectSetKeepAlive(conn, VIRT_LINK_ALIVE_SEC, VIRT_LINK_ALIVE_COUNT) >= 0;

    if (!remote && virGetLastErrorCode() != VIR_ERR_NO_SUPPORT)
        return false;
    if (remote && virConnectRegisterCloseCallback(conn, on_close, connection_ref(connection), connection_unref) < 0) {
        connection_unref(connection);
        return false;
    }
    return connection->which != VIRT_QEMU || register_events(conn, connection);
}

static void *open_thread(void *data) {
    g_autoptr(Connection) connection = data;
    Shared *shared = connection->shared;
    virConnectPtr conn = virConnectOpen(connection->uri);

    if (!conn || !set_up(conn, connection)) {
        tell(shared, news_of(connection, NEWS_FAILED, virt_link_last_error()));
        if (conn)
            (void) virConnectClose(conn);
        return NULL;
    }
    g_mutex_lock(&shared->lock);
    bool wanted = !shared->closed && shared->generation[connection->which] == connection->generation;
    if (wanted)
        shared->conn[connection->which] = conn;
    g_mutex_unlock(&shared->lock);
    if (wanted)
        tell(shared, news_of(connection, NEWS_OPENED, NULL));
    else
        (void) virConnectClose(conn);
    return NULL;
}

static void begin_open(VirtLink *link, VirtWhich which) {
    Connection *connection = g_new0(Connection, 1);

    g_atomic_ref_count_init(&connection->refs);
    connection->shared = shared_ref(link->shared);
    connection->which = which;
    g_mutex_lock(&link->shared->lock);
    connection->generation = ++link->shared->generation[which];
    g_mutex_unlock(&link->shared->lock);
    connection->uri = g_strdup(link->uri[which]);
    g_thread_unref(g_thread_new("virt-open", open_thread, connection));
}

/* --- the worker --- */

static virConnectPtr borrow(Shared *shared, VirtWhich which) {
    g_mutex_lock(&shared->lock);
    virConnectPtr conn = shared->closed ? NULL : shared->conn[which];
    if (conn)
        (void) virConnectRef(conn);
    g_mutex_unlock(&shared->lock);
    return conn;
}

static void run_job(Shared *shared, const Job *job) {
    virConnectPtr conn[N_VIRT_WHICH];
    News *news = g_new0(News, 1);

    for (VirtWhich which = 0; which < N_VIRT_WHICH; which++)
        conn[which] = borrow(shared, which);
    job->job(conn[VIRT_QEMU], conn[VIRT_STORAGE], job->data);
    for (VirtWhich which = 0; which < N_VIRT_WHICH; which++)
        if (conn[which])
            (void) virConnectClose(conn[which]);
    news->kind = NEWS_DONE;
    news->data = job->data;
    news->done = job->done;
    tell(shared, news);
}

static void *worker_thread(void *data) {
    VirtLink *link = data;

    for (;;) {
        g_autofree Job *job = g_async_queue_pop(link->jobs);

        if (!job->job)
            return NULL;
        run_job(link->shared, job);
    }
}

void virt_link_run(VirtLink *link, VirtLinkJob job, void *data, VirtLinkDone done) {
    Job *item = g_new0(Job, 1);

    item->job = job;
    item->done = done;
    item->data = data;
    g_async_queue_push(link->jobs, item);
}

/* --- libvirt's event loop --- */

static void *events_thread(void *data) {
    VirtLink *link = data;

    while (!g_atomic_int_get(&link->stop))
        if (virEventRunDefaultImpl() < 0) {
            g_warning("libvirt's event loop failed, trying again: %s", virt_link_last_error());
            g_usleep(100000);
        }
    return NULL;
}

static void on_stop_timer(int timer, void *data) {
}

/* --- on the loop --- */

static int on_retry(sd_event_source *source, uint64_t usec, void *data) {
    const Retry *retry = data;

    begin_open(retry->link, retry->which);
    return 0;
}

static void retry_later(VirtLink *link, VirtWhich which) {
    uint64_t delay = link->delay_usec[which];
    int r;

    link->delay_usec[which] = MIN(MAX(delay * 2, FIRST_DELAY_USEC), LONGEST_DELAY_USEC);
    link->retry_source[which] = sd_event_source_disable_unref(link->retry_source[which]);
    r = sd_event_add_time_relative(link->event, &link->retry_source[which], CLOCK_MONOTONIC, delay, 0, on_retry,
                                   &link->retry[which]);
    if (r < 0)
        g_warning("cannot try again to reach libvirt (%s): %s", link->uri[which], g_strerror(-r));
}

/* What is still to come of it is late from now on. The last reference is the worker's while it has a job: what waits
 * there fails by itself. */
static virConnectPtr take_connection(Shared *shared, VirtWhich which) {
    g_mutex_lock(&shared->lock);
    virConnectPtr conn = g_steal_pointer(&shared->conn[which]);
    shared->generation[which]++;
    g_mutex_unlock(&shared->lock);
    return conn;
}

static bool is_current(Shared *shared, const News *news) {
    g_mutex_lock(&shared->lock);
    bool current = shared->generation[news->which] == news->generation;
    g_mutex_unlock(&shared->lock);
    return current;
}

static void go_down(VirtLink *link, const News *news) {
    VirtWhich which = news->which;
    virConnectPtr conn = take_connection(link->shared, which);

    if (conn)
        (void) virConnectClose(conn);
    if (link->up[which] || !link->told[which]) {
        link->up[which] = false;
        link->told[which] = true;
        if (link->handlers.down)
            link->handlers.down(link, which, news->text, link->userdata);
    }
    retry_later(link, which);
}

static void take_news(VirtLink *link, const News *news) {
    switch (news->kind) {
    case NEWS_DONE:
        news->done(news->data);
        break;
    case NEWS_OPENED:
        if (!is_current(link->shared, news) || link->up[news->which])
            break;
        link->up[news->which] = true;
        link->told[news->which] = false;
        link->delay_usec[news->which] = 0;
        if (link->handlers.up)
            link->handlers.up(link, news->which, link->userdata);
        break;
    case NEWS_FAILED:
    case NEWS_CLOSED:
        if (is_current(link->shared, news))
            go_down(link, news);
        break;
    case NEWS_DOMAIN:
        if (link->up[news->which] && is_current(link->shared, news) && link->handlers.domain_event)
            link->handlers.domain_event(link, news->uuid, news->text ? news->text : "", news->event, link->userdata);
        break;
    }
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *data) {
    VirtLink *link = data;
    uint64_t count;
    News *news;

    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return -errno;
    while ((news = g_async_queue_try_pop(link->shared->to_loop))) {
        take_news(link, news);
        news_free(news);
    }
    return 0;
}

bool virt_link_is_up(const VirtLink *link, VirtWhich which) {
    return link->up[which];
}

/* --- life --- */

static Shared *shared_new(void) {
    Shared *shared = g_new0(Shared, 1);

    g_atomic_ref_count_init(&shared->refs);
    g_mutex_init(&shared->lock);
    shared->to_loop = g_async_queue_new();
    shared->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return shared;
}

static VirtLink *fail(VirtLink *link, const char *what, const char *why, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot prepare the link to libvirt: %s: %s", what, why);
    virt_link_free(link);
    return NULL;
}

VirtLink *virt_link_new(sd_event *event, const char *qemu_uri, const char *storage_uri,
                        const VirtLinkHandlers *handlers, void *userdata, GError **error) {
    VirtLink *link = g_new0(VirtLink, 1);

    link->stop_timer = -1;
    link->shared = shared_new();
    link->jobs = g_async_queue_new();
    link->event = sd_event_ref(event);
    link->handlers = *handlers;
    link->userdata = userdata;
    link->uri[VIRT_QEMU] = g_strdup(qemu_uri);
    link->uri[VIRT_STORAGE] = g_strdup(storage_uri);
    if (link->shared->wake_fd < 0)
        return fail(link, "eventfd", g_strerror(errno), error);
    int r = sd_event_add_io(event, &link->wake_source, link->shared->wake_fd, EPOLLIN, on_wake, link);
    if (r < 0)
        return fail(link, "the event loop", g_strerror(-r), error);
    virSetErrorFunc(NULL, ignore_error);
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        return fail(link, "libvirt's event loop", virt_link_last_error(), error);
    /* Never due until the end: it wakes the thread then. */
    link->stop_timer = virEventAddTimeout(-1, on_stop_timer, NULL, NULL);
    if (link->stop_timer < 0)
        return fail(link, "libvirt's event loop", virt_link_last_error(), error);
    link->events = g_thread_new("virt-events", events_thread, link);
    link->worker = g_thread_new("virt-worker", worker_thread, link);
    for (VirtWhich which = 0; which < N_VIRT_WHICH; which++) {
        link->retry[which] = (Retry){ .link = link, .which = which };
        if (link->uri[which])
            begin_open(link, which);
    }
    return link;
}

static void end_worker(VirtLink *link) {
    News *news;

    if (!link->worker)
        return;
    g_async_queue_push(link->jobs, g_new0(Job, 1));
    (void) g_thread_join(link->worker);
    while ((news = g_async_queue_try_pop(link->shared->to_loop))) {
        if (news->kind == NEWS_DONE)
            news->done(news->data);
        news_free(news);
    }
}

void virt_link_free(VirtLink *link) {
    if (!link)
        return;
    link->wake_source = sd_event_source_disable_unref(link->wake_source);
    g_mutex_lock(&link->shared->lock);
    link->shared->closed = true;
    g_mutex_unlock(&link->shared->lock);
    /* While libvirt's loop runs: it ends a call that its daemon does not answer. */
    end_worker(link);
    for (VirtWhich which = 0; which < N_VIRT_WHICH; which++) {
        virConnectPtr conn = take_connection(link->shared, which);

        link->retry_source[which] = sd_event_source_disable_unref(link->retry_source[which]);
        if (conn)
            (void) virConnectClose(conn);
        g_free(link->uri[which]);
    }
    if (link->events) {
        g_atomic_int_set(&link->stop, 1);
        virEventUpdateTimeout(link->stop_timer, 0);
        (void) g_thread_join(link->events);
    }
    if (link->stop_timer >= 0)
        (void) virEventRemoveTimeout(link->stop_timer);
    g_async_queue_unref(link->jobs);
    sd_event_unref(link->event);
    shared_unref(link->shared);
    g_free(link);
}
