/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd-qemu-hook: what libvirt runs when a QEMU domain is about to start, has stopped, or was found running. The domain's XML is
 * on standard input. It lends the domain's regions to it before QEMU opens them, and takes them back.
 *
 * Promises: it ends within DEADLINE_SEC whatever pmemd, the bus, udev and who writes the XML do. A domain that uses no region is none of its
 * business, nor is any operation but prepare, release and reconnect: status 0 without a word. Only prepare fails, with one
 * sentence on standard error, which libvirt hands to who started the domain. It never calls libvirt, which waits for it.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/libvirt/domain-marks.h"
#include "client/libvirt/hook-lend.h"
#include "proto/one-line.h"
#include "proto/standard-fds.h"

/* What may pass by itself is waited for until the first, an answer until the second. */
#define PATIENCE_SEC INT64_C(6)
#define DEADLINE_SEC 9
/* Libvirt waits with the domain that has stopped: pmemd-libvirt does later what cannot be done now. */
#define RELEASE_DEADLINE_SEC 5

typedef bool (*Operation)(const HookLend *hook, const DomainPaths *domain, GError **error);

typedef struct {
    const char *name, *sub;
    Operation run;
    int64_t deadline_sec;
    bool may_fail;
} Row;

static const Row rows[] = {
    { "prepare", "begin", hook_lend_prepare, DEADLINE_SEC, true },
    { "release", "end", hook_lend_release, RELEASE_DEADLINE_SEC, false },
    { "reconnect", "begin", hook_lend_reconnect, DEADLINE_SEC, false },
};

/* Shared with the thread, which may be left behind. */
typedef struct {
    GMutex lock;
    GCond ended_cond;
    bool ended; /* the lock's, as the next two */
    bool ok;
    GError *error;
    const Row *row;
    HookLend hook;
    DomainPaths *domain;
} Run;

static void *run_thread(void *data) {
    Run *run = data;
    GError *error = NULL;

    bool ok = run->row->run(&run->hook, run->domain, &error);
    g_mutex_lock(&run->lock);
    run->ended = true;
    run->ok = ok;
    run->error = error;
    g_cond_signal(&run->ended_cond);
    g_mutex_unlock(&run->lock);
    return NULL;
}

/* What somebody else has written does not end the line. */
static void say(const char *name, const char *text) {
    g_autofree char *all = g_strdup_printf("pmemd: domain %s: %s", name, text);
    g_autofree char *line = one_line(all);

    (void) fprintf(stderr, "%s\n", line);
}

/* Whether it has ended in time. The library waits for answers without end, so the time is kept here. */
static bool wait_for(Run *run, int64_t until) {
    g_thread_unref(g_thread_new("hook", run_thread, run));
    g_mutex_lock(&run->lock);
    while (!run->ended && g_cond_wait_until(&run->ended_cond, &run->lock, until))
        ;
    bool ended = run->ended;
    g_mutex_unlock(&run->lock);
    return ended;
}

static int perform(Run *run, const char *name, int64_t until) {
    if (!wait_for(run, until)) {
        g_autofree char *late = g_strdup_printf("pmemd, which says who holds a region, has not answered for %" PRId64
                                                " s: look whether it runs (systemctl status "
                                                "pmemd), and try again",
                                                run->row->deadline_sec);
        say(name, late);
    } else if (!run->ok)
        say(name, run->error ? run->error->message : "no reason is known");
    else
        return EXIT_SUCCESS;
    return run->row->may_fail ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* As read(), but not for longer than that. */
static ssize_t read_until(int fd, void *buf, size_t size, int64_t until) {
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int64_t left = until - g_get_monotonic_time();

    int r = poll(&ready, 1, (int) (MAX(left, 0) / 1000));
    if (r == 0)
        errno = ETIMEDOUT;
    return r > 0 ? read(fd, buf, size) : -1;
}

/* NULL: more than fits, no end in time, or an error. */
static GString *read_all(int fd, int64_t until, GError **error) {
    g_autoptr(GString) text = g_string_new(NULL);
    char buf[65536];
    ssize_t n;

    while ((n = read_until(fd, buf, sizeof buf, until)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || text->len + (size_t) n > DOMAIN_PATHS_MAX_BYTES) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot read the domain's XML: %s",
                        n < 0 ? g_strerror(errno) : "it is too long");
            return NULL;
        }
        g_string_append_len(text, buf, n);
    }
    return g_steal_pointer(&text);
}

static DomainPaths *read_domain(int64_t until, GError **error) {
    g_autoptr(GString) xml = read_all(STDIN_FILENO, until, error);

    return xml ? domain_paths_parse(xml->str, xml->len, error) : NULL;
}

static const Row *find_row(const char *name, const char *sub) {
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, name) == 0 && strcmp(rows[i].sub, sub) == 0)
            return &rows[i];
    return NULL;
}

static int run_row(const Row *row, const char *name, const char *bus, const char *marks) {
    int64_t until = g_get_monotonic_time() + row->deadline_sec * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;
    DomainPaths *domain = read_domain(until, &error);

    if (!domain) {
        say(name, error ? error->message : "its XML cannot be read");
        return row->may_fail ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    /* A domain that has stopped may have had a region that it has no more. */
    if (row->run != hook_lend_release && !hook_lend_concerns(domain)) {
        domain_paths_free(domain);
        return EXIT_SUCCESS;
    }
    const DomainStamp mark = domain_mark_stamp(marks, domain->uuid);
    if (row->run == hook_lend_release && domain_stamp_is_none(&mark)) {
        domain_paths_free(domain);
        return EXIT_SUCCESS;
    }
    /* The thread's as well, for as long as the process. */
    Run *run = g_new0(Run, 1);
    g_mutex_init(&run->lock);
    g_cond_init(&run->ended_cond);
    run->row = row;
    run->domain = domain;
    run->hook = (HookLend){
        .bus = bus,
        .marks = marks,
        .until_usec = g_get_monotonic_time() + PATIENCE_SEC * G_USEC_PER_SEC,
    };
    int status = perform(run, name, until);
    /* Not exit(): the thread may still wait for an answer. */
    (void) fflush(NULL);
    _exit(status);
}

static const char usage[] =
    "Usage: pmemd-qemu-hook [--bus=BUS] [--marks=FOLDER] DOMAIN OPERATION SUBOPERATION EXTRA\n"
    "\n"
    "Lends regions of pmemd to QEMU domains; libvirt runs it as a hook, with the domain's XML on standard input.\n"
    "\n"
    "  --bus=BUS       the bus of pmemd: system, or an address\n"
    "  --marks=FOLDER  where it is noted which domains have regions (" DOMAIN_MARKS_FOLDER ")\n"
    "  --help, --version\n";

/* The value, if it is this option. */
static const char *option_value(const char *text, const char *option) {
    return g_str_has_prefix(text, option) ? text + strlen(option) : NULL;
}

static int say_usage(const char *what) {
    (void) fputs(strcmp(what, "--version") == 0 ? "pmemd-qemu-hook " PMEMD_VERSION "\n" : usage, stdout);
    return EXIT_SUCCESS;
}

/* Libvirt gives four arguments. A domain may have any name, so only what stands before the last four is an option. */
int main(int argc, char **argv) {
    const char *bus = "system", *marks = DOMAIN_MARKS_FOLDER, *value;

    if (!standard_fds_keep())
        return EXIT_FAILURE;
    if (argc == 2)
        return say_usage(argv[1]);
    if (argc < 5) {
        (void) fputs(usage, stderr);
        return 2;
    }
    for (int i = 1; i < argc - 4; i++)
        if ((value = option_value(argv[i], "--bus=")))
            bus = value;
        else if ((value = option_value(argv[i], "--marks=")))
            marks = value;
        else {
            (void) fprintf(stderr, "pmemd-qemu-hook: unknown option '%s'\n%s", argv[i], usage);
            return 2;
        }
    const Row *row = find_row(argv[argc - 3], argv[argc - 2]);
    return row ? run_row(row, argv[argc - 4], bus, marks) : EXIT_SUCCESS;
}
