/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-lease.h"

#include "daemon/log.h"
#include "proto/error.h"
#include "proto/nvdimm.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

/* Answers with a descriptor that are on their way: asked of the manager, and not yet given. */
#define GOING_MAX 24u
#define GOING_MAX_PER_UID 16u
#define GOING_MAX_PER_CONNECTION 8u
/* And that were given and not read, by one connection, by all of a user, and by everybody. */
#define UNREAD_MAX (UINT64_C(8) * BUS_UNREAD_DESCRIPTOR)
#define UNREAD_MAX_PER_UID (UINT64_C(16) * BUS_UNREAD_DESCRIPTOR)
#define AGAIN_USEC 10000u /* readers read without telling us */

/* A call of Attach. */
typedef struct {
    sd_bus_message *call;
    Caller caller;
    bool others;
} Waiting;

struct BusLease {
    const BusView *view;
    BusLeaseSubmit submit;
    void *data;
    sd_bus_slot *gone;
    sd_event_source *timer; /* on while calls wait */
    GPtrArray *questions;   /* Question *: is that connection still there? */
    GQueue waiting;         /* Waiting *, in the order in which they came */
    GQueue going;           /* Waiting * */
    GHashTable *readers;    /* connections that were sent a descriptor and may not have read it -> uid */
    bool started;           /* what was there before was looked at */
};

typedef struct {
    BusLease *leases;
    char *sender;
    sd_bus_slot *slot;
} Question;

static const char *sender_of(const Waiting *waiting) {
    return sd_bus_message_get_sender(waiting->call);
}

static void waiting_free(Waiting *waiting) {
    sd_bus_message_unref(waiting->call);
    g_free(waiting);
}

static void question_free(void *data) {
    Question *question = data;

    sd_bus_slot_unref(question->slot);
    g_free(question->sender);
    g_free(question);
}

sd_id128_t bus_lease_bus_id(const BusLease *leases) {
    sd_id128_t id;

    return sd_bus_get_bus_id(leases->view->bus, &id) < 0 ? SD_ID128_NULL : id;
}

/* --- connections that leave --- */

/* sender of the bus of today. */
static void end_leases_of(const BusLease *leases, const char *sender) {
    Manager *manager = leases->view->manager;
    sd_id128_t id = bus_lease_bus_id(leases);
    g_autoptr(GPtrArray) regions = state_tied_regions(manager_state(manager), sender);

    for (guint i = 0; i < regions->len; i++) {
        const Region *region = g_ptr_array_index(regions, i);

        manager_disconnected(manager, region->uuid, sender, id);
    }
}

/* Who left is owed no answer. What is asked of the manager already ends by itself. */
static void drop_waiting_of(BusLease *leases, const char *sender) {
    GList *next;

    for (GList *l = leases->waiting.head; l; l = next) {
        Waiting *waiting = l->data;

        next = l->next;
        if (g_str_equal(sender_of(waiting), sender)) {
            g_queue_delete_link(&leases->waiting, l);
            waiting_free(waiting);
        }
    }
}

static int on_name_owner(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    const char *name, *old, *now;

    (void) ret_error;
    if (g_strcmp0(sd_bus_message_get_sender(message), DRIVER) == 0 &&
        sd_bus_message_read(message, "sss", &name, &old, &now) >= 0 && name[0] == ':' && now[0] == '\0') {
        drop_waiting_of(data, name);
        end_leases_of(data, name);
    }
    return 0;
}

static int on_has_owner(sd_bus_message *reply, void *data, sd_bus_error *ret_error) {
    Question *question = data;
    BusLease *leases = question->leases;
    int there = 1;

    (void) ret_error;
    /* No answer is none: it is asked again at the next start. */
    if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read_basic(reply, 'b', &there) >= 0 && !there)
        end_leases_of(leases, question->sender);
    g_ptr_array_remove_fast(leases->questions, question);
    return 0;
}

static void ask(BusLease *leases, const char *sender) {
    Question *question = g_new0(Question, 1);

    question->leases = leases;
    question->sender = g_strdup(sender);
    g_ptr_array_add(leases->questions, question);
    int r = sd_bus_call_method_async(leases->view->bus, &question->slot, DRIVER, DRIVER_PATH, DRIVER, "NameHasOwner",
                                     on_has_owner, question, "s", sender);
    if (r < 0) {
        log_message(LOG_WARNING, NULL, sender, "cannot ask whether %s is still there, ignoring: %s", sender,
                    g_strerror(-r));
        g_ptr_array_remove_fast(leases->questions, question);
    }
}

/* Once, when the journals are read: of what was lent before the start. */
static void on_platform_read(void *data) {
    BusLease *leases = data;
    Manager *manager = leases->view->manager;
    const State *state = manager_state(manager);
    sd_id128_t id = bus_lease_bus_id(leases);

    if (leases->started)
        return;
    leases->started = true;
    g_autoptr(GPtrArray) regions = state_tied_regions(state, NULL);
    for (guint i = 0; i < regions->len; i++) {
        const Region *region = g_ptr_array_index(regions, i);
        const Lease *lease = state_lease(state, region);

        if (!lease)
            continue; /* the one before it in the list has been ended already, and took this one along */
        if (sd_id128_equal(lease->bus_id, id)) {
            ask(leases, lease->sender);
        } else {
            g_autofree char *sender = g_strdup(lease->sender);

            manager_disconnected(manager, region->uuid, sender, lease->bus_id);
        }
    }
}

/* --- calls of Attach --- */

/* What all connections of a user have not read; those that have are forgotten. */
static uint64_t unread_of_uid(const BusLease *leases, uint32_t uid) {
    GHashTableIter iter;
    gpointer name, value;
    uint64_t bytes = 0;

    g_hash_table_iter_init(&iter, leases->readers);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        uint64_t of_one = bus_unread_of(leases->view->unread, name);

        if (of_one == 0)
            g_hash_table_iter_remove(&iter);
        else if (GPOINTER_TO_UINT(value) == uid)
            bytes += of_one;
    }
    return bytes;
}

static bool may_go(const BusLease *leases, const Waiting *waiting) {
    const BusUnread *unread = leases->view->unread;
    const char *sender = sender_of(waiting);
    guint of_uid = 0, of_connection = 0;

    for (const GList *l = leases->going.head; l; l = l->next) {
        const Waiting *other = l->data;

        of_uid += other->caller.uid == waiting->caller.uid;
        of_connection += g_str_equal(sender_of(other), sender);
    }
    return leases->going.length < GOING_MAX && of_uid < GOING_MAX_PER_UID && of_connection < GOING_MAX_PER_CONNECTION &&
           bus_unread_of(unread, sender) < UNREAD_MAX &&
           unread_of_uid(leases, waiting->caller.uid) < UNREAD_MAX_PER_UID &&
           bus_unread_total(unread) + (leases->going.length + 1u) * BUS_UNREAD_DESCRIPTOR <= BUS_UNREAD_ALL_MAX;
}

static void set_timer(const BusLease *leases) {
    int r = sd_event_source_set_time_relative(leases->timer, AGAIN_USEC);

    if (r >= 0)
        r = sd_event_source_set_enabled(leases->timer, SD_EVENT_ONESHOT);
    if (r < 0 && r != -ESTALE)
        log_message(LOG_WARNING, NULL, NULL, "calls of Attach may wait for long, ignoring: %s", g_strerror(-r));
}

/* Those that may go go, in their order; one that may not keeps nobody else's. */
static void go_on(BusLease *leases) {
    GList *next;

    for (GList *l = leases->waiting.head; l; l = next) {
        Waiting *waiting = l->data;

        next = l->next;
        if (!may_go(leases, waiting))
            continue;
        g_queue_delete_link(&leases->waiting, l);
        g_queue_push_tail(&leases->going, waiting);
        /* Which may answer at once, and have the next ones go from there: not from what was next here. */
        leases->submit(leases->data, waiting->call, &waiting->caller, waiting->others);
        next = leases->waiting.head;
    }
    if (leases->waiting.length > 0)
        set_timer(leases);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    (void) source;
    (void) usec;
    go_on(data);
    return 0;
}

bool bus_lease_add(BusLease *leases, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    guint of_uid = 0;

    for (const GList *l = leases->waiting.head; l; l = l->next)
        of_uid += ((const Waiting *) l->data)->caller.uid == caller->uid;
    if (!manager_check_limits(leases->view->manager, caller->uid, leases->waiting.length, of_uid, error))
        return false;
    Waiting *waiting = g_new(Waiting, 1);
    *waiting = (Waiting){ .call = sd_bus_message_ref(call), .caller = *caller, .others = others };
    g_queue_push_tail(&leases->waiting, waiting);
    go_on(leases);
    return true;
}

static void has_gone(BusLease *leases, const sd_bus_message *call) {
    for (GList *l = leases->going.head; l; l = l->next) {
        Waiting *waiting = l->data;

        if (waiting->call == call) {
            g_queue_delete_link(&leases->going, l);
            waiting_free(waiting);
            return;
        }
    }
}

void bus_lease_refuse_waiting(BusLease *leases) {
    g_autoptr(GError) error =
        g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_BUSY, "pmemd is stopping; repeat the request when it is back");
    Waiting *waiting;

    while ((waiting = g_queue_pop_head(&leases->waiting))) {
        bus_view_refuse(leases->view, waiting->call, error);
        waiting_free(waiting);
    }
}

/* --- the answer of Attach --- */

static int append_details(sd_bus_message *reply, const Region *region, const Lease *lease, const BackendLoan *loan) {
    char uuid[PMEMD_UUID_STRING_MAX];
    uint64_t bytes = region_bytes(region);
    g_autofree char *path = pmemd_nvdimm_path(loan->path, pmemd_uuid_format(region->device_uuid, uuid));
    /* Libvirt would round another size up, to more than there is. */
    g_autofree char *memory = bytes % PMEMD_NVDIMM_ALIGNMENT == 0
                                  ? pmemd_nvdimm_xml(path, bytes, pmemd_nvdimm_label_bytes(bytes), 0)
                                  : g_strdup("");

    return sd_bus_message_append(reply, "a{sv}", 7, "path", "s", path, "bytes", "t", bytes, "alignment", "t",
                                 loan->alignment, "node", "i",
                                 (int32_t) (region->occupant.raw ? region->occupant.raw->node : -1), "since", "t",
                                 lease->since, "confirmed", "b", (int) lease->confirmed, "memory", "s", memory);
}

static int reply_lent(BusLease *leases, sd_bus_message *call, sd_id128_t uuid) {
    const State *state = manager_state(leases->view->manager);
    g_autoptr(BackendLoan) loan = manager_take_loan(leases->view->manager);
    const Region *region = state_region_by_uuid(state, uuid);
    const Lease *lease = region ? state_lease(state, region) : NULL;
    sd_bus_message *reply = NULL;

    if (!loan || !lease)
        return -EINVAL;
    /* It may have left while the device was opened, before there was a lease that could end with it. */
    if (lease->sender)
        ask(leases, lease->sender);
    int r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_append_basic(reply, 'h', &loan->fd);
    if (r >= 0)
        r = append_details(reply, region, lease, loan);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return r;
}

int bus_lease_reply(BusLease *leases, sd_bus_message *call, const Caller *caller, sd_id128_t region,
                    const GError *error) {
    const char *sender = sd_bus_message_get_sender(call);
    int r = error ? 0 : reply_lent(leases, call, region);

    if (!error && r >= 0 && sender) {
        bus_unread_sent_descriptor(leases->view->unread, call);
        g_hash_table_insert(leases->readers, g_strdup(sender), GUINT_TO_POINTER(caller->uid));
    }
    has_gone(leases, call);
    /* Not from here: the manager is in the middle of an answer. */
    if (leases->waiting.length > 0)
        set_timer(leases);
    return r;
}

/* --- life --- */

BusLease *bus_lease_new(const BusView *view, BusLeaseSubmit submit, void *data, GError **error) {
    const ManagerEvents events = { .platform_read = on_platform_read };
    g_autoptr(BusLease) leases = g_new0(BusLease, 1);

    leases->view = view;
    leases->submit = submit;
    leases->data = data;
    g_queue_init(&leases->waiting);
    g_queue_init(&leases->going);
    leases->readers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    leases->questions = g_ptr_array_new_with_free_func(question_free);
    int r = sd_bus_match_signal_async(view->bus, &leases->gone, DRIVER, DRIVER_PATH, DRIVER, "NameOwnerChanged",
                                      on_name_owner, NULL, leases);
    if (r >= 0)
        r = sd_event_add_time(sd_bus_get_event(view->bus), &leases->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer,
                              leases);
    if (r >= 0)
        r = sd_event_source_set_enabled(leases->timer, SD_EVENT_OFF);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot watch who leaves the bus: %s", g_strerror(-r));
        return NULL;
    }
    manager_add_events(view->manager, &events, leases);
    return g_steal_pointer(&leases);
}

void bus_lease_free(BusLease *leases) {
    if (!leases)
        return;
    g_queue_clear_full(&leases->waiting, (GDestroyNotify) waiting_free);
    g_queue_clear_full(&leases->going, (GDestroyNotify) waiting_free);
    g_hash_table_unref(leases->readers);
    g_ptr_array_unref(leases->questions);
    sd_event_source_unref(leases->timer);
    sd_bus_slot_unref(leases->gone);
    g_free(leases);
}
