/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-unread.h"

#include "daemon/log.h"
#include "proto/error.h"

#include <inttypes.h>
#include <time.h>

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define STATS DRIVER ".Debug.Stats"
#define REFUSAL_BYTES 1024u
#define COMPLAINT_USEC (60 * (gint64) G_USEC_PER_SEC)

/* Of bytes, or of descriptors as BUS_UNREAD_DESCRIPTOR counts them. */
typedef struct {
    uint64_t waiting;   /* what it had not read when the bus was asked */
    uint64_t sent;      /* what was sent to it since the bus was asked about what is in waiting */
    uint64_t sent_then; /* of that before the question under way */
} Unread;

/* One connection to which something was sent that it may not have read. Descriptors make nobody fall behind: who sends
 * them sees to it that they are few, and calls behind them are to be answered. */
typedef struct {
    BusUnread *unread;
    char *name;
    Unread bytes, descriptors;
    sd_bus_slot *question;
    GQueue kept; /* sd_bus_message * */
} Reader;

struct BusUnread {
    sd_bus *bus;
    BusUnreadGo go;
    BusUnreadCost cost;
    void *data;
    sd_bus_slot *filter;
    sd_event_source *timer; /* on while there are readers */
    GHashTable *readers;    /* name in the Reader -> Reader * */
    uint64_t bytes;         /* of all: waiting and sent */
    uint64_t descriptors;   /* likewise */
    gint64 complained;      /* when the log was told of one, monotonic; 0: never */
    bool blind;             /* this bus does not tell */
};

static uint64_t sum(const Unread *u) {
    return u->waiting + u->sent;
}

/* What the bus said when it was asked. */
static void settle(Unread *u, uint64_t *total, uint64_t waiting) {
    *total -= sum(u);
    u->waiting = waiting;
    u->sent -= u->sent_then;
    u->sent_then = 0;
    *total += sum(u);
}

static void reader_free(void *data) {
    Reader *reader = data;
    sd_bus_message *call;

    reader->unread->bytes -= sum(&reader->bytes);
    reader->unread->descriptors -= sum(&reader->descriptors);
    sd_bus_slot_unref(reader->question);
    while ((call = g_queue_pop_head(&reader->kept)))
        sd_bus_message_unref(call);
    g_free(reader->name);
    g_free(reader);
}

static bool is_crowded(const BusUnread *unread) {
    return unread->bytes > BUS_UNREAD_CROWDED;
}

static uint64_t limit(const BusUnread *unread) {
    return is_crowded(unread) ? BUS_UNREAD_SMALL : BUS_UNREAD_MAX;
}

/* So much sent, the bus is asked. */
static uint64_t ask_from(const BusUnread *unread) {
    return MIN(BUS_UNREAD_ASK, limit(unread));
}

uint64_t bus_unread_of(const BusUnread *unread, const char *sender) {
    const Reader *reader = unread->blind ? NULL : g_hash_table_lookup(unread->readers, sender);

    return reader ? sum(&reader->bytes) + sum(&reader->descriptors) : 0;
}

uint64_t bus_unread_total(const BusUnread *unread) {
    return unread->blind ? 0 : unread->bytes + unread->descriptors;
}

uint64_t bus_unread_share(const BusUnread *unread) {
    return limit(unread);
}

static Reader *reader_of(BusUnread *unread, sd_bus_message *call) {
    const char *name = sd_bus_message_get_sender(call);

    return name ? g_hash_table_lookup(unread->readers, name) : NULL;
}

/* --- what the bus says --- */

/* The stats: a{sv}. What a bus does not count nobody waits for. */
static int read_outgoing(sd_bus_message *reply, uint32_t *ret_bytes, uint32_t *ret_descriptors) {
    uint32_t bytes = 0, descriptors = 0;
    const char *key, *type;

    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        r = sd_bus_message_read_basic(reply, 's', &key);
        if (r >= 0)
            r = sd_bus_message_peek_type(reply, NULL, &type);
        if (r >= 0 && g_str_equal(key, "OutgoingBytes") && g_str_equal(type, "u"))
            r = sd_bus_message_read(reply, "v", "u", &bytes);
        else if (r >= 0 && g_str_equal(key, "OutgoingFDs") && g_str_equal(type, "u"))
            r = sd_bus_message_read(reply, "v", "u", &descriptors);
        else if (r >= 0)
            r = sd_bus_message_skip(reply, "v");
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    if (r < 0)
        return r;
    *ret_bytes = bytes;
    *ret_descriptors = descriptors;
    return 0;
}

/* What was kept may be answered: in its turn. */
static void let_go(Reader *reader) {
    BusUnread *unread = reader->unread;
    GQueue kept = reader->kept;
    sd_bus_message *call;

    g_queue_init(&reader->kept);
    while ((call = g_queue_pop_head(&kept))) {
        unread->go(unread->data, call);
        sd_bus_message_unref(call);
    }
}

static void give_up(BusUnread *unread, const char *why) {
    GHashTableIter iter;
    gpointer reader;

    unread->blind = true;
    log_message(LOG_INFO, NULL, NULL, "the bus does not say what callers have not read, nobody is held up: %s", why);
    g_hash_table_iter_init(&iter, unread->readers);
    while (g_hash_table_iter_next(&iter, NULL, &reader))
        let_go(reader);
}

/* Seldom: whoever has the log written must not fill it. */
static void complain(const Reader *reader) {
    BusUnread *unread = reader->unread;
    gint64 now = g_get_monotonic_time();

    if (unread->complained != 0 && now - unread->complained < COMPLAINT_USEC)
        return;
    unread->complained = now;
    log_message(LOG_NOTICE, NULL, reader->name,
                "%s has not read %" PRIu64 " bytes of its answers: it gets no more lists until it has", reader->name,
                reader->bytes.waiting);
}

static void take_answer(Reader *reader, uint32_t bytes, uint32_t descriptors) {
    BusUnread *unread = reader->unread;

    settle(&reader->bytes, &unread->bytes, bytes);
    settle(&reader->descriptors, &unread->descriptors, descriptors * BUS_UNREAD_DESCRIPTOR);
    if (bytes <= limit(unread))
        let_go(reader);
    else
        complain(reader);
}

static int on_stats(sd_bus_message *reply, void *data, sd_bus_error *ret_error) {
    Reader *reader = data;
    BusUnread *unread = reader->unread;
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    uint32_t bytes = 0, descriptors = 0;

    (void) ret_error;
    reader->question = sd_bus_slot_unref(reader->question);
    int r = error ? 0 : read_outgoing(reply, &bytes, &descriptors);
    if (error && !sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) && !unread->blind)
        give_up(unread, error->message ?: error->name);
    else if (r < 0 && !unread->blind)
        give_up(unread, g_strerror(-r));
    take_answer(reader, bytes, descriptors);
    if (error || (sum(&reader->bytes) + sum(&reader->descriptors) == 0 && reader->kept.length == 0))
        g_hash_table_remove(unread->readers, reader->name);
    return 0;
}

static void ask(Reader *reader) {
    BusUnread *unread = reader->unread;

    if (reader->question || unread->blind)
        return;
    int r = sd_bus_call_method_async(unread->bus, &reader->question, DRIVER, DRIVER_PATH, STATS, "GetConnectionStats",
                                     on_stats, reader, "s", reader->name);
    if (r >= 0) {
        reader->bytes.sent_then = reader->bytes.sent;
        reader->descriptors.sent_then = reader->descriptors.sent;
    } else if (r != -ENOTCONN) {
        give_up(unread, g_strerror(-r));
    }
}

/* Readers read without telling us. */
static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    BusUnread *unread = data;
    GHashTableIter iter;
    gpointer reader;

    (void) usec;
    g_hash_table_iter_init(&iter, unread->readers);
    while (g_hash_table_iter_next(&iter, NULL, &reader))
        ask(reader);
    if (unread->blind || g_hash_table_size(unread->readers) == 0)
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    int r = sd_event_source_set_time_relative(source, BUS_UNREAD_AGAIN_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- what is sent --- */

static void arm(const BusUnread *unread) {
    int r = sd_event_source_set_time_relative(unread->timer, BUS_UNREAD_AGAIN_USEC);

    if (r >= 0)
        r = sd_event_source_set_enabled(unread->timer, SD_EVENT_ONESHOT);
    /* ESTALE: the loop has ended. */
    if (r < 0 && r != -ESTALE)
        log_message(LOG_WARNING, NULL, NULL, "callers that do not read may wait for long, ignoring: %s",
                    g_strerror(-r));
}

static Reader *reader_get(BusUnread *unread, sd_bus_message *call) {
    Reader *reader = reader_of(unread, call);

    if (reader)
        return reader;
    reader = g_new0(Reader, 1);
    reader->unread = unread;
    reader->name = g_strdup(sd_bus_message_get_sender(call));
    g_queue_init(&reader->kept);
    if (g_hash_table_size(unread->readers) == 0)
        arm(unread);
    g_hash_table_insert(unread->readers, reader->name, reader);
    return reader;
}

static void count(Reader *reader, uint64_t bytes) {
    reader->bytes.sent += bytes;
    reader->unread->bytes += bytes;
}

static bool is_counted(const BusUnread *unread, sd_bus_message *call) {
    return !unread->blind && sd_bus_message_get_sender(call) && sd_bus_message_get_expect_reply(call) > 0;
}

void bus_unread_sent(BusUnread *unread, sd_bus_message *call, uint64_t bytes) {
    if (!is_counted(unread, call))
        return;
    Reader *reader = reader_get(unread, call);
    count(reader, bytes);
    if (reader->bytes.sent >= ask_from(unread))
        ask(reader);
}

void bus_unread_sent_descriptor(BusUnread *unread, sd_bus_message *call) {
    if (!is_counted(unread, call))
        return;
    Reader *reader = reader_get(unread, call);
    reader->descriptors.sent += BUS_UNREAD_DESCRIPTOR;
    unread->descriptors += BUS_UNREAD_DESCRIPTOR;
    ask(reader);
}

bool bus_unread_pass(BusUnread *unread, sd_bus_message *call) {
    Reader *reader = reader_of(unread, call);

    if (!reader || unread->blind)
        return true;
    bool enough = reader->bytes.waiting > limit(unread);
    if (!enough && !(reader->question && reader->bytes.sent >= ask_from(unread)))
        return true;
    ask(reader);
    if (reader->kept.length < BUS_UNREAD_KEPT_MAX)
        g_queue_push_tail(&reader->kept, sd_bus_message_ref(call));
    return false;
}

/* --- what comes --- */

static int refuse(const BusUnread *unread, uint64_t cost, sd_bus_error *ret_error) {
    return sd_bus_error_setf(ret_error, pmemd_error_dbus_name(PMEMD_ERROR_LIMITS_EXCEEDED),
                             "an answer of up to %" PRIu64 " bytes, and %" PRIu64
                             " that callers have not read, are too much for the bus: read them, or ask by ListMgmt and "
                             "ListData",
                             cost, unread->bytes);
}

/* Every call passes here first. */
static int on_message(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    BusUnread *unread = data;
    const char *sender = sd_bus_message_get_sender(message), *own_name;

    if (unread->blind || !sender || sd_bus_message_is_method_call(message, NULL, NULL) <= 0 ||
        sd_bus_message_get_expect_reply(message) <= 0)
        return 0;
    /* pmemd asks itself on behalf of callers whose calls were seen already. */
    if (sd_bus_get_unique_name(unread->bus, &own_name) >= 0 && g_str_equal(sender, own_name))
        return 0;
    uint64_t cost = unread->cost(unread->data, message);
    Reader *reader = reader_get(unread, message);
    bool behind = reader->bytes.waiting > limit(unread);

    /* Before its cost is counted: of an answer that is not sent yet the bus does not know. */
    if (reader->bytes.sent >= ask_from(unread))
        ask(reader);
    /* Even refusals would add up, and who reads nothing misses none. */
    if (behind && sum(&reader->bytes) > 2 * limit(unread))
        return 1;
    if (cost > BUS_UNREAD_SMALL && (behind || unread->bytes + cost > BUS_UNREAD_ALL_MAX)) {
        count(reader, REFUSAL_BYTES);
        return refuse(unread, cost, ret_error);
    }
    count(reader, cost);
    return 0;
}

/* --- life --- */

BusUnread *bus_unread_new(sd_bus *bus, BusUnreadGo go, BusUnreadCost cost, void *data, GError **error) {
    g_autoptr(BusUnread) unread = g_new0(BusUnread, 1);

    unread->bus = bus;
    unread->go = go;
    unread->cost = cost;
    unread->data = data;
    unread->readers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, reader_free);
    int r = sd_event_add_time(sd_bus_get_event(bus), &unread->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer, unread);
    if (r >= 0)
        r = sd_event_source_set_enabled(unread->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_bus_add_filter(bus, &unread->filter, on_message, unread);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot watch over what callers read: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&unread);
}

void bus_unread_free(BusUnread *unread) {
    if (!unread)
        return;
    g_hash_table_unref(unread->readers);
    sd_bus_slot_unref(unread->filter);
    sd_event_source_unref(unread->timer);
    g_free(unread);
}
