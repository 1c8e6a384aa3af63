/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/attribute-watch.h"

#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Between two times that something changed: an attribute that does not rest must not keep a processor busy. */
#define PAUSE_MS 100

/* What the loop asks the thread for; added up by an eventfd, so that the larger one wins by far. */
#define ORDER_RESCAN UINT64_C(1)
#define ORDER_STOP (UINT64_C(1) << 32)

struct AttributeWatch {
    char **patterns;
    AttributeWatchFunc changed;
    void *data;
    sd_event_source *source;
    int orders; /* eventfd: from the loop to the thread */
    int news;   /* eventfd: from the thread to the loop */
    GThread *thread;
    GHashTable *files; /* char *path: GINT_TO_POINTER(descriptor); the thread's, once it runs */
};

static void close_file(gpointer fd) {
    close(GPOINTER_TO_INT(fd));
}

/* From now on its next change is told. false: it is gone. */
static bool rearm(int fd) {
    char byte;

    /* A region without driver has no list of bad blocks, but will have one. */
    return pread(fd, &byte, 1, 0) >= 0 || errno == ENXIO;
}

/* Whether there are files that were not there before. */
static bool scan(AttributeWatch *watch) {
    bool found = false;

    for (char **pattern = watch->patterns; *pattern; pattern++) {
        glob_t names = { 0 };

        if (glob(*pattern, GLOB_NOSORT, NULL, &names) != 0)
            continue; /* none */
        for (size_t i = 0; i < names.gl_pathc; i++) {
            const char *path = names.gl_pathv[i];
            int fd = g_hash_table_contains(watch->files, path) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

            if (fd < 0)
                continue; /* known, or gone again */
            if (rearm(fd)) {
                g_hash_table_insert(watch->files, g_strdup(path), GINT_TO_POINTER(fd));
                found = true;
            } else
                close(fd);
        }
        globfree(&names);
    }
    return found;
}

/* Waits; the orders that came. *ret_changed: a file has changed. *ret_gone: one is gone. */
static uint64_t wait_for_change(AttributeWatch *watch, bool *ret_changed, bool *ret_gone) {
    g_autoptr(GArray) polls = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    struct pollfd poll_orders = { .fd = watch->orders, .events = POLLIN };
    GHashTableIter iter;
    gpointer fd;
    uint64_t orders = 0;
    bool changed = false, gone = false;

    g_array_append_val(polls, poll_orders);
    g_hash_table_iter_init(&iter, watch->files);
    while (g_hash_table_iter_next(&iter, NULL, &fd)) {
        struct pollfd one = { .fd = GPOINTER_TO_INT(fd), .events = POLLPRI };

        g_array_append_val(polls, one);
    }
    int n = poll((struct pollfd *) polls->data, polls->len, -1);

    /* The same order as above, as nothing was added or removed. */
    guint i = 1;
    g_hash_table_iter_init(&iter, watch->files);
    for (; n > 0 && g_hash_table_iter_next(&iter, NULL, &fd); i++) {
        if (!(g_array_index(polls, struct pollfd, i).revents & (POLLPRI | POLLERR | POLLHUP | POLLNVAL)))
            continue;
        changed = true;
        if (!rearm(GPOINTER_TO_INT(fd))) {
            gone = true;
            g_hash_table_iter_remove(&iter);
        }
    }
    if (n > 0 && read(watch->orders, &orders, sizeof orders) < 0)
        orders = 0;
    *ret_changed = changed;
    *ret_gone = gone;
    return orders;
}

/* Whether the thread is to stop; any other order is left for later. */
static bool pause_or_stop(const AttributeWatch *watch, uint64_t *ret_orders) {
    struct pollfd one = { .fd = watch->orders, .events = POLLIN };
    gint64 until = g_get_monotonic_time() + PAUSE_MS * G_TIME_SPAN_MILLISECOND;

    *ret_orders = 0;
    for (gint64 left = PAUSE_MS; left > 0; left = (until - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND) {
        uint64_t orders;

        if (poll(&one, 1, (int) left) > 0 && read(watch->orders, &orders, sizeof orders) == sizeof orders)
            *ret_orders += orders;
        if (*ret_orders >= ORDER_STOP)
            return true;
    }
    return false;
}

static gpointer run(gpointer data) {
    AttributeWatch *watch = data;

    for (;;) {
        bool changed, gone;
        uint64_t orders = wait_for_change(watch, &changed, &gone), more = 0;

        /* A file that is gone may be there again, under another inode. */
        if (orders < ORDER_STOP && (orders > 0 || gone))
            changed = scan(watch) || changed;
        if (changed)
            (void) eventfd_write(watch->news, 1); /* fails only when the loop has 2^64 of them to look at */
        if (orders >= ORDER_STOP || (changed && pause_or_stop(watch, &more)))
            return NULL;
        if (more > 0 && scan(watch))
            (void) eventfd_write(watch->news, 1); /* as above */
    }
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *data) {
    const AttributeWatch *watch = data;
    eventfd_t count;

    (void) source;
    (void) events;
    if (eventfd_read(fd, &count) == 0)
        watch->changed(watch->data);
    return 0;
}

AttributeWatch *attribute_watch_new(sd_event *event, const char *const *patterns, AttributeWatchFunc changed,
                                    void *data, GError **error) {
    g_autoptr(AttributeWatch) watch = g_new0(AttributeWatch, 1);

    watch->patterns = g_strdupv((char **) patterns);
    watch->changed = changed;
    watch->data = data;
    watch->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_file);
    watch->orders = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = watch->orders < 0 || watch->news < 0
                ? -errno
                : sd_event_add_io(event, &watch->source, watch->news, EPOLLIN, on_news, watch);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot wait for changes of the kernel's attributes: %s",
                    g_strerror(-r));
        return NULL;
    }
    (void) scan(watch); /* before the thread: what is there now is what was there */
    watch->thread = g_thread_try_new("pmemd-watch", run, watch, error);
    if (!watch->thread) {
        g_prefix_error(error, "cannot wait for changes of the kernel's attributes: ");
        return NULL;
    }
    return g_steal_pointer(&watch);
}

void attribute_watch_rescan(AttributeWatch *watch) {
    (void) eventfd_write(watch->orders, ORDER_RESCAN); /* fails only when as many wait already */
}

void attribute_watch_free(AttributeWatch *watch) {
    if (!watch)
        return;
    if (watch->thread) {
        (void) eventfd_write(watch->orders, ORDER_STOP); /* cannot fail: there are not 2^32 of them */
        g_thread_join(watch->thread);
    }
    sd_event_source_disable_unref(watch->source);
    if (watch->orders >= 0)
        close(watch->orders);
    if (watch->news >= 0)
        close(watch->news);
    g_hash_table_unref(watch->files);
    g_strfreev(watch->patterns);
    g_free(watch);
}
