/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-turns.h"

#include "proto/error.h"

#include <time.h>

typedef struct {
    sd_bus_message *call;
    uint64_t due; /* CLOCK_MONOTONIC, microseconds */
} Waiting;

/* One connection that waits for something. */
typedef struct {
    char *name;
    GQueue calls; /* Waiting * */
} Sender;

struct BusTurns {
    BusTurnsAnswer answer;
    void *data;
    sd_event_source *idle;  /* when there is nothing else */
    sd_event_source *timer; /* when there is always something else */
    GQueue senders;         /* Sender *, the next one's turn first */
    GHashTable *by_name;    /* name in the Sender -> Sender * */
    guint n_calls;
};

static void waiting_free(void *data) {
    Waiting *waiting = data;

    sd_bus_message_unref(waiting->call);
    g_free(waiting);
}

static void sender_free(void *data) {
    Sender *sender = data;

    g_queue_clear_full(&sender->calls, waiting_free);
    g_free(sender->name);
    g_free(sender);
}

/* Takes the call out whose turn it is. */
static Waiting *pop(BusTurns *turns) {
    Sender *sender = g_queue_pop_head(&turns->senders);
    Waiting *waiting = g_queue_pop_head(&sender->calls);

    turns->n_calls--;
    if (sender->calls.length > 0) {
        g_queue_push_tail(&turns->senders, sender);
    } else {
        g_hash_table_remove(turns->by_name, sender->name);
        sender_free(sender);
    }
    return waiting;
}

static void answer_one(BusTurns *turns) {
    Waiting *waiting = pop(turns);

    turns->answer(turns->data, waiting->call);
    waiting_free(waiting);
}

/* Both sources on while something waits. */
static int arm(BusTurns *turns) {
    const Sender *next = g_queue_peek_head(&turns->senders);
    int r;

    if (!next) {
        r = sd_event_source_set_enabled(turns->idle, SD_EVENT_OFF);
        return r < 0 ? r : sd_event_source_set_enabled(turns->timer, SD_EVENT_OFF);
    }
    r = sd_event_source_set_time(turns->timer, ((const Waiting *) g_queue_peek_head((GQueue *) &next->calls))->due);
    if (r >= 0)
        r = sd_event_source_set_enabled(turns->timer, SD_EVENT_ONESHOT);
    return r < 0 ? r : sd_event_source_set_enabled(turns->idle, SD_EVENT_ON);
}

static int on_idle(sd_event_source *source, void *data) {
    BusTurns *turns = data;

    (void) source;
    if (turns->n_calls > 0)
        answer_one(turns);
    return arm(turns);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    (void) usec;
    return on_idle(source, data);
}

BusTurns *bus_turns_new(sd_event *event, BusTurnsAnswer answer, void *data, GError **error) {
    g_autoptr(BusTurns) turns = g_new0(BusTurns, 1);

    turns->answer = answer;
    turns->data = data;
    turns->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_queue_init(&turns->senders);
    int r = sd_event_add_defer(event, &turns->idle, on_idle, turns);
    /* Whatever else is pending goes first. */
    if (r >= 0)
        r = sd_event_source_set_priority(turns->idle, SD_EVENT_PRIORITY_NORMAL + 1);
    if (r >= 0)
        r = sd_event_add_time(event, &turns->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer, turns);
    if (r >= 0)
        r = arm(turns);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot set up the queue of lists: %s", g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&turns);
}

void bus_turns_free(BusTurns *turns) {
    if (!turns)
        return;
    g_clear_pointer(&turns->by_name, g_hash_table_unref);
    g_queue_clear_full(&turns->senders, sender_free);
    sd_event_source_unref(turns->timer);
    sd_event_source_unref(turns->idle);
    g_free(turns);
}

void bus_turns_add(BusTurns *turns, sd_bus_message *call) {
    const char *name = sd_bus_message_get_sender(call) ?: "";
    Waiting *waiting = g_new(Waiting, 1);

    if (turns->n_calls >= BUS_TURNS_MAX)
        answer_one(turns);
    Sender *sender = g_hash_table_lookup(turns->by_name, name);
    if (!sender) {
        sender = g_new0(Sender, 1);
        sender->name = g_strdup(name);
        g_queue_init(&sender->calls);
        g_hash_table_insert(turns->by_name, sender->name, sender);
        g_queue_push_tail(&turns->senders, sender);
    }
    *waiting = (Waiting){
        .call = sd_bus_message_ref(call),
        .due = (uint64_t) g_get_monotonic_time() + BUS_TURNS_WAIT_USEC,
    };
    g_queue_push_tail(&sender->calls, waiting);
    turns->n_calls++;
    if (turns->n_calls == 1 && arm(turns) < 0)
        bus_turns_flush(turns); /* the loop has ended */
}

void bus_turns_flush(BusTurns *turns) {
    while (turns->n_calls > 0)
        answer_one(turns);
    (void) arm(turns); /* one more turn with nothing to answer does no harm */
}
