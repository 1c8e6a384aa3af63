/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: flood BUS SECONDS ROUNDS [ECHO]
 *
 * 64 clients, each with a connection of its own, flood pmemd with pages of 100 of its data regions and, every other call,
 * with requests that are refused: half of them are root's, whose SetupData gets as far as the rules, half nobody's, who
 * may not ask. Each user's are in one process: what is measured is the bus and the server, not how the kernel shares the
 * CPUs among 64 processes. Meanwhile one client that behaves well sets a region up, has it released, and waits for its end, over and
 * over. With ECHO, the bus name of bench-echo, the flood turns to it in every other round, with the same calls and
 * answers of the same size, and the one client calls Ping. SECONDS: of the flood of pmemd, all rounds together.
 *
 * Every page must be whole, every refusal one of pmemd's, every client must get its share. pmemd must have a management
 * region, data regions, and room. Prints what it saw as one line of JSON, times in milliseconds.
 */
#include "proto/bus-connect.h"
#include "proto/error.h"
#include "proto/names.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 64
#define USERS 2 /* root, who may change things, and nobody, who may not */
#define PAGE 100u
#define FRAMES 4u
#define NOBODY 65534u
#define ENTRY "(ssttsttiisbuss)"
#define ECHO_PATH "/org/pmemd1/bench"
#define ECHO_INTERFACE "org.pmemd1.Bench"
#define IDLE_USEC 2000u

typedef enum {
    TARGET_NONE,
    TARGET_PMEMD,
    TARGET_ECHO,
    TARGET_END,
} Target;

/* What all processes see. */
typedef struct {
    _Atomic int target;
    _Atomic uint64_t pages[CLIENTS], refused[CLIENTS]; /* of pmemd alone */
    _Atomic uint64_t limits;                           /* of them LimitsExceeded */
    _Atomic uint64_t answered;                         /* since the target changed */
} Shared;

typedef struct {
    const char *address, *echo;
    Shared *shared;
    sd_bus *bus;
    uint64_t start, extent, busy; /* frames: of the region that is set up, of its extent, and one that is taken */
    guint jobs_removed;
} Flood;

static void require(bool ok, const char *what, const sd_bus_error *error, int r) {
    if (ok)
        return;
    fprintf(stderr, "flood: %s: %s\n", what, error && error->message ? error->message : g_strerror(-r));
    exit(EXIT_FAILURE);
}

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static sd_bus *connect_to(const char *address) {
    sd_bus *bus = NULL;
    int r = pmemd_bus_connect(address, &bus);

    require(r >= 0, "bus", NULL, r);
    return bus;
}

/* --- those who flood --- */

/* One connection, with one call on its way at a time. */
typedef struct {
    const Flood *flood;
    sd_bus *bus;
    char *cursor; /* of the next page of pmemd */
    guint number, turn;
    bool busy, of_echo; /* a call is on its way; to the echo server */
} Client;

static void send_next(Client *c);

static void take_page(Client *c, sd_bus_message *reply) {
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    const char *next;
    uint32_t n = 0;
    int r;

    if (error && pmemd_error_from_dbus_name(error->name) == PMEMD_ERROR_INVALID_ARGUMENT) {
        /* The region of the cursor is gone: it was the one that is set up and released all the time. */
        g_free(c->cursor);
        c->cursor = g_strdup("");
        return;
    }
    require(!error, "ListData", error, 0);
    r = sd_bus_message_enter_container(reply, 'a', ENTRY);
    while (r >= 0 && (r = sd_bus_message_at_end(reply, false)) == 0) {
        r = sd_bus_message_skip(reply, ENTRY);
        n++;
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(reply);
    if (r >= 0)
        r = sd_bus_message_read_basic(reply, 's', &next);
    require(r >= 0, "a page", NULL, r);
    require(n == PAGE || !*next, "a page is not full and not the last", NULL, -EBADMSG);
    if (c->of_echo)
        return;
    g_free(c->cursor);
    c->cursor = g_strdup(next);
    atomic_fetch_add(&c->flood->shared->pages[c->number], 1);
}

static void take_refusal(const Client *c, sd_bus_message *reply) {
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    int code = error ? pmemd_error_from_dbus_name(error->name) : -1;

    require(error != NULL, "a request that must be refused was not", NULL, -EBADMSG);
    require(code >= 0 && error->message && *error->message, "an error that is none of pmemd's", error, 0);
    if (c->of_echo)
        return;
    atomic_fetch_add(&c->flood->shared->refused[c->number], 1);
    if (code == PMEMD_ERROR_LIMITS_EXCEEDED)
        atomic_fetch_add(&c->flood->shared->limits, 1);
}

static bool wants_page(const Client *c) {
    return c->turn % 2 == 0;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
    Client *c = userdata;

    (void) ret_error;
    if (wants_page(c))
        take_page(c, reply);
    else
        take_refusal(c, reply);
    atomic_fetch_add(&c->flood->shared->answered, 1);
    c->busy = false;
    c->turn++;
    send_next(c);
    return 0;
}

static void send_next(Client *c) {
    const Flood *f = c->flood;
    int target = atomic_load(&f->shared->target), r;

    if (c->busy || (target != TARGET_PMEMD && target != TARGET_ECHO))
        return;
    c->of_echo = target == TARGET_ECHO;
    const char *name = c->of_echo ? f->echo : PMEMD_BUS_NAME, *path = c->of_echo ? ECHO_PATH : PMEMD_ROOT_PATH,
               *interface = c->of_echo ? ECHO_INTERFACE : PMEMD_IFACE_MANAGER;
    if (wants_page(c))
        r = sd_bus_call_method_async(c->bus, NULL, name, path, interface, c->of_echo ? "List" : "ListData", on_reply, c,
                                     "su", c->of_echo ? "" : c->cursor, PAGE);
    else
        r = sd_bus_call_method_async(c->bus, NULL, name, path, interface, c->of_echo ? "Refuse" : "SetupData", on_reply,
                                     c, "tttta{sv}", f->busy, f->busy + FRAMES, f->extent, f->extent + 1, (unsigned) 0);
    require(r >= 0, "call", NULL, r);
    c->busy = true;
}

/* The target may have changed: wakes those up who had nothing to do. */
static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
    Client *clients = userdata;
    bool busy = false;

    for (guint i = 0; i < CLIENTS / USERS; i++) {
        send_next(&clients[i]);
        busy = busy || clients[i].busy;
    }
    if (!busy && atomic_load(&clients->flood->shared->target) == TARGET_END)
        return sd_event_exit(sd_event_source_get_event(source), 0);
    int r = sd_event_source_set_time_relative(source, IDLE_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* All clients of one user, in a process of its own. */
static void run_clients(Flood *f, guint user) {
    Client clients[CLIENTS / USERS] = { 0 };
    sd_event *event = NULL;

    if (geteuid() == 0 && user == 1 && (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        require(false, "nobody", NULL, -errno);
    /* Only now: changing the user forgets it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = sd_event_new(&event);
    for (guint i = 0; i < G_N_ELEMENTS(clients) && r >= 0; i++) {
        Client *c = &clients[i];

        *c = (Client){ .flood = f, .bus = connect_to(f->address), .cursor = g_strdup("") };
        c->number = user * (CLIENTS / USERS) + i;
        c->turn = i;
        r = sd_bus_attach_event(c->bus, event, SD_EVENT_PRIORITY_NORMAL);
    }
    if (r >= 0)
        r = sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, IDLE_USEC, 1, on_tick, clients);
    if (r >= 0)
        r = sd_event_loop(event);
    require(r >= 0, "event loop", NULL, r);
    for (guint i = 0; i < G_N_ELEMENTS(clients); i++) {
        sd_bus_detach_event(clients[i].bus);
        sd_bus_close_unref(clients[i].bus);
        g_free(clients[i].cursor);
    }
    sd_event_unref(event);
}

/* --- the one that behaves well --- */

static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
    Flood *f = userdata;

    (void) signal;
    (void) ret_error;
    f->jobs_removed++;
    return 0;
}

/* Sets a region up and gives it back; milliseconds that SetupData took. */
static double change(Flood *f) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    guint removed = f->jobs_removed;
    const char *path;

    double begin = now_ms();
    int r =
        sd_bus_call_method(f->bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "SetupData", &error, &reply,
                           "tttta{sv}", f->start, f->start + FRAMES, f->extent, f->extent + 1, (unsigned) 0);
    double took = now_ms() - begin;
    require(r >= 0, "SetupData", &error, r);
    r = sd_bus_message_read_basic(reply, 'o', &path);
    if (r >= 0)
        r = sd_bus_call_method(f->bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ReleaseData", &error,
                               NULL, "oa{sv}", path, (unsigned) 0);
    require(r >= 0, "ReleaseData", &error, r);
    sd_bus_message_unref(reply);
    while (f->jobs_removed == removed) {
        r = sd_bus_process(f->bus, NULL);
        if (r == 0)
            r = sd_bus_wait(f->bus, UINT64_MAX);
        require(r >= 0, "bus", NULL, r);
    }
    return took;
}

static double ping(const Flood *f) {
    sd_bus_error error = SD_BUS_ERROR_NULL;

    double begin = now_ms();
    int r = sd_bus_call_method(f->bus, f->echo, ECHO_PATH, "org.freedesktop.DBus.Peer", "Ping", &error, NULL, "");
    double took = now_ms() - begin;
    require(r >= 0, "Ping", &error, r);
    return took;
}

/* Frames for the region to be set up: the end of the raw region with most room, so that nobody else's come there. */
static void find_room(Flood *f) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    uint64_t most = 0, start, end, used = 0, unused, bytes, gap;
    const char *text, *name;
    int32_t node, local_node;

    int r = sd_bus_call_method(f->bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListRaw", &error, &reply,
                               "su", "", (uint32_t) 0);
    require(r >= 0, "ListRaw", &error, r);
    r = sd_bus_message_enter_container(reply, 'a', "(sttiitttttsss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(sttiitttttsss)", &text, &start, &end, &node, &local_node, &bytes,
                                              &bytes, &bytes, &bytes, &gap, &text, &text, &text)) > 0)
        if (gap > most) {
            most = gap;
            f->start = end - FRAMES;
        }
    sd_bus_message_unref(reply);
    if (r >= 0)
        r = sd_bus_call_method(f->bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListMgmt", &error, &reply,
                               "su", "", (uint32_t) 0);
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ssttttiiussuss)");
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'r', "ssttttiiussuss");
    if (r >= 0)
        r = sd_bus_message_read(reply, "sstttt", &text, &name, &start, &end, &used, &unused);
    require(r > 0, "ListMgmt", &error, r);
    f->extent = start + used;
    f->busy = start;
    sd_bus_message_unref(reply);
}

/* --- rounds --- */

static int compare(gconstpointer a, gconstpointer b) {
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static double percentile(GArray *samples, double part) {
    g_array_sort(samples, compare);
    return g_array_index(samples, double, (guint) ((samples->len - 1) * part));
}

/* Turns the flood on target and samples until the time is over. */
static void run_round(Flood *f, Target target, double seconds, GArray *samples) {
    atomic_store(&f->shared->answered, 0);
    atomic_store(&f->shared->target, target);
    while (atomic_load(&f->shared->answered) < (uint64_t) CLIENTS * 2)
        usleep(IDLE_USEC);
    double end = now_ms() + seconds * 1e3;
    g_array_set_size(samples, 0);
    do {
        double took = target == TARGET_ECHO ? ping(f) : change(f);

        g_array_append_val(samples, took);
    } while (now_ms() < end);
    atomic_store(&f->shared->target, TARGET_NONE);
}

typedef struct {
    GString *p50, *p99;
    guint samples;
} Side;

static void take(Side *side, GArray *samples) {
    const char *comma = side->samples > 0 ? "," : "";

    g_string_append_printf(side->p50, "%s%.4g", comma, percentile(samples, 0.5));
    g_string_append_printf(side->p99, "%s%.4g", comma, percentile(samples, 0.99));
    side->samples += samples->len;
}

static void print_side(const char *name, const Side *side, bool last) {
    printf("\"%s p50\":[%s],\"%s p99\":[%s]%s", name, side->p50->str, name, side->p99->str, last ? "" : ",");
}

static uint64_t add_up(const _Atomic uint64_t *counts, uint64_t *ret_least) {
    uint64_t sum = 0;

    *ret_least = UINT64_MAX;
    for (size_t i = 0; i < CLIENTS; i++) {
        sum += counts[i];
        *ret_least = MIN(*ret_least, counts[i]);
    }
    return sum;
}

static void side_init(Side *side) {
    *side = (Side){ g_string_new(NULL), g_string_new(NULL), 0 };
}

static void side_clear(Side *side) {
    g_string_free(side->p50, TRUE);
    g_string_free(side->p99, TRUE);
}

static void measure(Flood *f, double seconds, int rounds, Side *ours, Side *echo) {
    g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(double));

    for (int round = 0; round < rounds; round++) {
        run_round(f, TARGET_PMEMD, seconds / rounds, samples);
        take(ours, samples);
        if (f->echo) {
            run_round(f, TARGET_ECHO, seconds / rounds, samples);
            take(echo, samples);
        }
    }
}

static void print_all(const Flood *f, const Side *ours, const Side *echo) {
    uint64_t least_pages, least_refused;
    uint64_t pages = add_up(f->shared->pages, &least_pages), refused = add_up(f->shared->refused, &least_refused);

    printf("{\"contest\":\"clients that flood\",\"unit\":\"ms\",\"figures\":{");
    print_side("SetupData", ours, !f->echo);
    if (f->echo)
        print_side("echo", echo, true);
    printf("},\"counts\":{\"changes\":%u,\"echoes\":%u,\"pages\":%" G_GUINT64_FORMAT ",\"refused\":%" G_GUINT64_FORMAT
           ",\"limits\":%" G_GUINT64_FORMAT ",\"least pages\":%" G_GUINT64_FORMAT
           ",\"least refused\":%" G_GUINT64_FORMAT "}}\n",
           ours->samples, echo->samples, pages, refused, (uint64_t) f->shared->limits, least_pages, least_refused);
}

int main(int argc, char **argv) {
    double seconds = argc > 2 ? g_ascii_strtod(argv[2], NULL) : 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 0, status;
    Flood f = { .address = argv[1], .echo = argc > 4 ? argv[4] : NULL };
    pid_t children[USERS];
    bool failed = false;

    require(seconds > 0 && rounds > 0, "usage: flood BUS SECONDS ROUNDS [ECHO]", NULL, -EINVAL);
    f.shared = mmap(NULL, sizeof *f.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(f.shared != MAP_FAILED, "shared memory", NULL, -errno);
    f.bus = connect_to(f.address);
    find_room(&f);
    for (guint i = 0; i < USERS; i++) {
        children[i] = fork();
        require(children[i] >= 0, "fork", NULL, -errno);
        if (children[i] == 0) {
            run_clients(&f, i);
            _exit(EXIT_SUCCESS);
        }
    }
    int r = sd_bus_match_signal(f.bus, NULL, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "JobRemoved",
                                on_job_removed, &f);
    require(r >= 0, "match", NULL, r);
    Side ours, echo;
    side_init(&ours);
    side_init(&echo);
    measure(&f, seconds, rounds, &ours, &echo);
    atomic_store(&f.shared->target, TARGET_END);
    for (guint i = 0; i < USERS; i++)
        failed =
            waitpid(children[i], &status, 0) != children[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 0 || failed;
    /* Only now: what was on its way is counted, too. */
    print_all(&f, &ours, &echo);
    side_clear(&ours);
    side_clear(&echo);
    sd_bus_close_unref(f.bus);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
