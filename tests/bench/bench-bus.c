/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: bench-bus BUS fill COUNT                     sets COUNT data regions up, 64 calls in flight
 *        bench-bus BUS changes CALLS ROUNDS           SetupData and ReleaseData against Ping, answered by pmemd
 *        bench-bus BUS calls CALLS ROUNDS             CountRegions, GetRegion and Locate against Ping, answered by pmemd
 *        bench-bus BUS list ROUNDS                    ListData against bench-echo's List
 *        bench-bus BUS flood CALLS ROUNDS             64 CountRegions in flight against 64 Pings to bench-echo
 *
 * The client is sd-bus without libpmemd, so that it costs both sides the same. Calls that are compared alternate one by
 * one; a round's figure is their median. pmemd must have one management region, whose profile is "none".
 */
#include "proto/names.h"
#include "tests/bench/bench.h"
#include "tests/bench/data-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 64
#define FRAMES 4u
#define STRIDE 8u
#define DATA_BASE (UINT64_C(1) << 32) /* tests/bench/run has a raw region there */

typedef struct {
    sd_bus *bus;
    uint64_t mgmt_start, mgmt_end, mgmt_used; /* frames of the management region, those in use from its start */
    uint64_t first; /* place of the first region that this run sets up: those before have the extents before */
    guint jobs_removed;
} Client;

static void check(int r, const char *what, const sd_bus_error *error) {
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, error && error->message ? error->message : g_strerror(-r));
    exit(EXIT_FAILURE);
}

static void look_at_mgmt(Client *c) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *uuid, *name;
    uint64_t used, unused;

    check(sd_bus_call_method(c->bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListMgmt", &error, &reply,
                             "su", "", (uint32_t) 0),
          "ListMgmt", &error);
    check(sd_bus_message_enter_container(reply, 'a', "(ssttttiiussuss)"), "ListMgmt", NULL);
    check(sd_bus_message_enter_container(reply, 'r', "ssttttiiussuss"), "ListMgmt", NULL);
    check(sd_bus_message_read(reply, "sstttt", &uuid, &name, &c->mgmt_start, &c->mgmt_end, &used, &unused), "ListMgmt",
          NULL);
    c->mgmt_used = used;
    sd_bus_message_unref(reply);
}

static sd_bus_message *setup_data(const Client *c, uint64_t place) {
    uint64_t start = DATA_BASE + place * STRIDE;
    uint64_t extent = c->mgmt_start + c->mgmt_used + place - c->first;
    sd_bus_message *call = NULL;

    check(sd_bus_message_new_method_call(c->bus, &call, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER,
                                         "SetupData"),
          "SetupData", NULL);
    check(sd_bus_message_append(call, "tttta{sv}", start, start + FRAMES, extent, extent + 1, (unsigned) 0),
          "SetupData", NULL);
    return call;
}

/* --- pipelined calls --- */

typedef struct {
    Client *client;
    sd_bus_message *(*make)(const Client *c, uint64_t i);
    uint64_t made, answered, n;
} Flood;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
    Flood *f = userdata;

    (void) ret_error;
    if (sd_bus_message_is_method_error(reply, NULL))
        check(-EIO, "call", sd_bus_message_get_error(reply));
    f->answered++;
    return 0;
}

/* Seconds it took. */
static double run_flood(Flood *f) {
    uint64_t start = bench_now();

    while (f->answered < f->n) {
        while (f->made < f->n && f->made - f->answered < IN_FLIGHT) {
            sd_bus_message *call = f->make(f->client, f->made++);

            check(sd_bus_call_async(f->client->bus, NULL, call, on_answer, f, UINT64_MAX), "call", NULL);
            sd_bus_message_unref(call);
        }
        int r = sd_bus_process(f->client->bus, NULL);
        check(r, "bus", NULL);
        if (r == 0)
            check(sd_bus_wait(f->client->bus, UINT64_MAX), "bus", NULL);
    }
    return (double) (bench_now() - start) / 1e9;
}

static sd_bus_message *new_call(const Client *c, const char *name, const char *path, const char *interface,
                                const char *member) {
    sd_bus_message *call = NULL;

    check(sd_bus_message_new_method_call(c->bus, &call, name, path, interface, member), member, NULL);
    return call;
}

static sd_bus_message *make_count(const Client *c, uint64_t i) {
    sd_bus_message *call = new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "CountRegions");

    (void) i;
    check(sd_bus_message_append(call, "s", "data"), "CountRegions", NULL);
    return call;
}

static sd_bus_message *make_ping(const Client *c, uint64_t i) {
    (void) i;
    return new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, "org.freedesktop.DBus.Peer", "Ping");
}

static sd_bus_message *make_echo_ping(const Client *c, uint64_t i) {
    (void) i;
    return new_call(c, BENCH_NAME, BENCH_PATH, "org.freedesktop.DBus.Peer", "Ping");
}

typedef struct {
    Client *client;
    sd_bus_message *(*make)(const Client *c, uint64_t i);
    int n;
} FloodRound;

static double round_flood(void *data) {
    const FloodRound *round = data;
    Flood f = { .client = round->client, .make = round->make, .n = (uint64_t) round->n };

    return round->n / run_flood(&f);
}

static void flood(Client *c, int calls, int rounds) {
    FloodRound ours = { c, make_count, calls }, peer = { c, make_echo_ping, calls };
    const Contestant contestants[] = {
        { "CountRegions", round_flood, &ours },
        { "Ping", round_flood, &peer },
    };

    bench_contest("flood", "calls/s", contestants, G_N_ELEMENTS(contestants), rounds);
}

/* --- calls one after the other --- */

/* Sends the call, frees it, waits; microseconds it took. */
static double timed(const Client *c, sd_bus_message *call, sd_bus_message **ret_reply) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    uint64_t start = bench_now();

    check(sd_bus_call(c->bus, call, UINT64_MAX, &error, &reply), sd_bus_message_get_member(call), &error);
    double us = (double) (bench_now() - start) / 1e3;
    sd_bus_message_unref(call);
    if (ret_reply)
        *ret_reply = reply;
    else
        sd_bus_message_unref(reply);
    return us;
}

#define SERIES_MAX 5

/* Kinds of calls that alternate; the median of each round is kept. */
typedef struct {
    size_t n;
    const char *names[SERIES_MAX];
    GArray *samples[SERIES_MAX], *medians[SERIES_MAX];
} Series;

static void series_init(Series *s, size_t n, const char *const *names) {
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        s->names[i] = names[i];
        s->samples[i] = g_array_new(FALSE, FALSE, sizeof(double));
        s->medians[i] = g_array_new(FALSE, FALSE, sizeof(double));
    }
}

static void series_add(Series *s, size_t i, double us) {
    g_array_append_val(s->samples[i], us);
}

/* measured: false for the warming up. */
static void series_end_round(Series *s, bool measured) {
    for (size_t i = 0; i < s->n; i++) {
        double median = bench_median(s->samples[i]);

        if (measured)
            g_array_append_val(s->medians[i], median);
        g_array_set_size(s->samples[i], 0);
    }
}

static void series_print(Series *s, const char *contest) {
    bench_print(contest, "us", s->names, (const GArray *const *) s->medians, s->n);
    for (size_t i = 0; i < s->n; i++) {
        g_array_unref(s->samples[i]);
        g_array_unref(s->medians[i]);
    }
}

static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
    Client *c = userdata;

    (void) signal;
    (void) ret_error;
    c->jobs_removed++;
    return 0;
}

/* Microseconds that the backend has needed so far for all its devices: what pmemd says of itself. */
static double backend_create_us(const Client *c) {
    sd_bus_message *reply = NULL;
    const char *name, *key, *label;
    double value, seconds = -1;

    (void) timed(c, new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "GetMetrics"), &reply);
    check(sd_bus_message_enter_container(reply, 'a', "(sa{ss}d)"), "GetMetrics", NULL);
    while (sd_bus_message_enter_container(reply, 'r', "sa{ss}d") > 0) {
        bool is_create = false;

        check(sd_bus_message_read_basic(reply, 's', &name), "GetMetrics", NULL);
        check(sd_bus_message_enter_container(reply, 'a', "{ss}"), "GetMetrics", NULL);
        while (sd_bus_message_read(reply, "{ss}", &key, &label) > 0)
            is_create = is_create || (g_str_equal(key, "operation") && g_str_equal(label, "create"));
        check(sd_bus_message_exit_container(reply), "GetMetrics", NULL);
        check(sd_bus_message_read_basic(reply, 'd', &value), "GetMetrics", NULL);
        if (is_create && g_str_equal(name, "backend_operation_seconds_sum"))
            seconds = value;
        check(sd_bus_message_exit_container(reply), "GetMetrics", NULL);
    }
    bench_require(seconds >= 0, "GetMetrics does not tell of create", NULL);
    sd_bus_message_unref(reply);
    return seconds * 1e6;
}

/* One set up and released again; back when its erase job is over, too. A Ping that is not measured goes before each
 * call that is, so that none pays for what pmemd still has to tell others about the one before it. */
static void change(Client *c, Series *s, uint64_t place) {
    sd_bus_message *reply = NULL, *call;
    const char *path;
    guint removed = c->jobs_removed;
    double created = backend_create_us(c);

    (void) timed(c, make_ping(c, 0), NULL);
    series_add(s, 0, timed(c, make_ping(c, 0), NULL));
    double took = timed(c, setup_data(c, place), &reply);
    created = backend_create_us(c) - created;
    series_add(s, 1, took);
    series_add(s, 2, took - created);
    series_add(s, 3, created);
    check(sd_bus_message_read_basic(reply, 'o', &path), "SetupData", NULL);
    (void) timed(c, make_ping(c, 0), NULL);
    call = new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ReleaseData");
    check(sd_bus_message_append(call, "oa{sv}", path, (unsigned) 0), "ReleaseData", NULL);
    series_add(s, 4, timed(c, call, NULL));
    sd_bus_message_unref(reply);
    while (c->jobs_removed == removed) {
        int r = sd_bus_process(c->bus, NULL);

        check(r, "bus", NULL);
        if (r == 0)
            check(sd_bus_wait(c->bus, UINT64_MAX), "bus", NULL);
    }
}

static guint count_regions(const Client *c) {
    sd_bus_message *reply = NULL;
    uint32_t n = 0;

    (void) timed(c, make_count(c, 0), &reply);
    check(sd_bus_message_read_basic(reply, 'u', &n), "CountRegions", NULL);
    sd_bus_message_unref(reply);
    return n;
}

static void fill(Client *c, int n) {
    c->first = count_regions(c);
    Flood f = { .client = c, .make = setup_data, .made = c->first, .answered = c->first, .n = c->first + (uint64_t) n };
    double seconds = run_flood(&f);

    printf("{\"contest\":\"fill\",\"unit\":\"us\",\"figures\":{\"SetupData\":[%.6g]}}\n", seconds * 1e6 / n);
}

static void changes(Client *c, int calls, int rounds) {
    static const char *const names[] = { "Ping", "SetupData", "SetupData less create", "create", "ReleaseData" };
    guint n = count_regions(c);
    g_autofree char *contest = g_strdup_printf("changes %u", n);
    Series s;

    c->first = n;
    series_init(&s, G_N_ELEMENTS(names), names);
    check(sd_bus_match_signal(c->bus, NULL, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "JobRemoved",
                              on_job_removed, c),
          "match", NULL);
    for (int round = -1; round < rounds; round++) {
        for (int i = 0; i < calls; i++)
            change(c, &s, n + (guint) i);
        series_end_round(&s, round >= 0);
    }
    series_print(&s, contest);
}

/* uuid, device path and first frame of the last region of the list. */
static void find_last(const Client *c, char **ret_uuid, char **ret_path, uint64_t *ret_frame, guint *ret_n) {
    g_autofree char *cursor = g_strdup(""), *uuid = NULL, *path = NULL;
    uint64_t frame = 0;
    guint n = 0;

    do {
        sd_bus_message *call = new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListData"),
                       *reply = NULL;
        DataEntry entry = { 0 };
        const char *next;

        check(sd_bus_message_append(call, "su", cursor, (uint32_t) 0), "ListData", NULL);
        (void) timed(c, call, &reply);
        check(sd_bus_message_enter_container(reply, 'a', "(" DATA_SIGNATURE ")"), "ListData", NULL);
        while (data_entry_read(reply, &entry) > 0)
            n++;
        g_free(uuid);
        g_free(path);
        uuid = g_strdup(entry.uuid);
        path = g_strdup(entry.path);
        frame = entry.start;
        check(sd_bus_message_exit_container(reply), "ListData", NULL);
        check(sd_bus_message_read_basic(reply, 's', &next), "ListData", NULL);
        g_free(cursor);
        cursor = g_strdup(next);
        sd_bus_message_unref(reply);
    } while (*cursor);
    *ret_uuid = g_steal_pointer(&uuid);
    *ret_path = g_steal_pointer(&path);
    *ret_frame = frame;
    *ret_n = n;
}

static sd_bus_message *get_region(const Client *c, const char *key) {
    sd_bus_message *call = new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "GetRegion");

    check(sd_bus_message_append(call, "s", key), "GetRegion", NULL);
    return call;
}

static sd_bus_message *locate(const Client *c, uint64_t frame) {
    sd_bus_message *call = new_call(c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "Locate");

    check(sd_bus_message_append(call, "t", frame), "Locate", NULL);
    return call;
}

static void calls_of(const Client *c, int calls, int rounds) {
    static const char *const names[] = { "Ping", "CountRegions", "GetRegion by uuid", "GetRegion by path", "Locate" };
    g_autofree char *uuid = NULL, *path = NULL;
    uint64_t frame;
    Series s;
    guint n;

    find_last(c, &uuid, &path, &frame, &n);
    g_autofree char *contest = g_strdup_printf("calls %u", n);
    bench_require(path && *path, "no device path", NULL);
    series_init(&s, G_N_ELEMENTS(names), names);
    for (int round = -1; round < rounds; round++) {
        for (int i = 0; i < calls; i++) {
            series_add(&s, 0, timed(c, make_ping(c, 0), NULL));
            series_add(&s, 1, timed(c, make_count(c, 0), NULL));
            series_add(&s, 2, timed(c, get_region(c, uuid), NULL));
            series_add(&s, 3, timed(c, get_region(c, path), NULL));
            series_add(&s, 4, timed(c, locate(c, frame), NULL));
        }
        series_end_round(&s, round >= 0);
    }
    series_print(&s, contest);
}

/* --- lists --- */

typedef struct {
    const Client *client;
    const char *name, *path, *interface, *member;
    guint entries;
    size_t frames; /* so that no entry is read in vain */
} ListRound;

static double round_list(void *data) {
    ListRound *l = data;
    uint64_t start = bench_now();
    sd_bus_message *call = new_call(l->client, l->name, l->path, l->interface, l->member), *reply = NULL;
    DataEntry entry;

    check(sd_bus_message_append(call, "su", "", (uint32_t) 0), l->member, NULL);
    (void) timed(l->client, call, &reply);
    check(sd_bus_message_enter_container(reply, 'a', "(" DATA_SIGNATURE ")"), l->member, NULL);
    l->entries = 0;
    while (data_entry_read(reply, &entry) > 0) {
        l->entries++;
        l->frames += entry.end - entry.start;
    }
    sd_bus_message_unref(reply);
    return (double) (bench_now() - start) / 1e6;
}

static void list(const Client *c, int rounds) {
    ListRound ours = { c, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListData", 0, 0 };
    ListRound peer = { c, BENCH_NAME, BENCH_PATH, BENCH_NAME, "List", 0, 0 };
    const Contestant contestants[] = {
        { "ListData", round_list, &ours },
        { "ready-made list", round_list, &peer },
    };

    (void) round_list(&ours);
    (void) round_list(&peer);
    bench_require(ours.entries == peer.entries && ours.entries > 0, "the lists differ", NULL);
    g_autofree char *contest = g_strdup_printf("list %u", ours.entries);
    bench_contest(contest, "ms", contestants, G_N_ELEMENTS(contestants), rounds);
}

int main(int argc, char **argv) {
    Client c = { 0 };

    bench_require(argc >= 4, "usage: bench-bus BUS fill|changes|calls|list|flood NUMBER [ROUNDS]", NULL);
    int n = bench_number(argv[3]), rounds = argc > 4 ? bench_number(argv[4]) : 0;
    check(sd_bus_new(&c.bus), "bus", NULL);
    check(sd_bus_set_address(c.bus, argv[1]), "bus", NULL);
    check(sd_bus_set_bus_client(c.bus, true), "bus", NULL);
    check(sd_bus_start(c.bus), "bus", NULL);
    look_at_mgmt(&c);
    if (g_str_equal(argv[2], "fill"))
        fill(&c, n);
    else if (g_str_equal(argv[2], "changes"))
        changes(&c, n, rounds);
    else if (g_str_equal(argv[2], "calls"))
        calls_of(&c, n, rounds);
    else if (g_str_equal(argv[2], "list"))
        list(&c, n);
    else if (g_str_equal(argv[2], "flood"))
        flood(&c, n, rounds);
    else
        bench_require(false, argv[2], NULL);
    sd_bus_flush_close_unref(c.bus);
    return EXIT_SUCCESS;
}
