/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/manager.h"

#include "daemon/hints.h"
#include "daemon/manager-internal.h"
#include "proto/error.h"

#include <string.h>
#include <time.h>

typedef struct {
    ManagerEvents events;
    void *data;
} Listener;

/* Calls the member of every listener that has it. */
#define TELL(m, member, ...)                                                                                           \
    for (guint tell_i = 0; tell_i < (m)->listeners->len; tell_i++) {                                                   \
        const Listener *tell_l = g_ptr_array_index((m)->listeners, tell_i);                                            \
        if (tell_l->events.member)                                                                                     \
            tell_l->events.member(tell_l->data, ##__VA_ARGS__);                                                        \
    }

void manager_tell_pool_added(Manager *m, const Pool *pool) {
    TELL(m, pool_added, pool)
}

void manager_tell_pool_removed(Manager *m, sd_id128_t uuid) {
    TELL(m, pool_removed, uuid)
}

void manager_tell_pool_changed(Manager *m, const Pool *pool) {
    TELL(m, pool_changed, pool)
}

void manager_tell_region_added(Manager *m, const Region *region) {
    TELL(m, region_added, region)
}

void manager_tell_region_removed(Manager *m, sd_id128_t uuid, sd_id128_t pool_uuid) {
    TELL(m, region_removed, uuid, pool_uuid)
}

void manager_tell_removing(Manager *m) {
    TELL(m, removing)
}

void manager_tell_region_changed(Manager *m, const Region *region) {
    TELL(m, region_changed, region)
}

void manager_tell_to_erase(Manager *m, const Region *region) {
    TELL(m, region_to_erase, region)
}

void manager_tell_health(Manager *m, sd_id128_t uuid, const char *old, const char *now) {
    TELL(m, health_changed, uuid, old, now, "")
}

void manager_tell_platform(Manager *m) {
    if (!m->recovering)
        TELL(m, platform_read)
}

void manager_tell_ready(Manager *m, const GError *error) {
    TELL(m, ready, error)
}

static void log_state(Event event, const Pool *pool, const Region *region, const char *old, const char *now,
                      const char *reason) {
    char pool_uuid[PMEMD_UUID_STRING_MAX], region_uuid[PMEMD_UUID_STRING_MAX];
    const char *name = region ? region->name : pool->name;

    pmemd_uuid_format(pool->sb.member_uuid, pool_uuid);
    if (region)
        pmemd_uuid_format(region->uuid, region_uuid);
    log_event(event, LOG_FIELDS({ "POOL", pool_uuid }, { "REGION", region ? region_uuid : NULL }, { "NAME", name }),
              "%s %s%s%s%s is %s (was %s): %s", region ? "data region" : "pool", region ? region_uuid : pool_uuid,
              name ? " '" : "", name ? name : "", name ? "'" : "", now, old, reason ? reason : "no reason was given");
}

void manager_set_region_state(Manager *m, Region *region, RegionState state, Event event, const char *reason) {
    const char *old = region_state_text(region), *now;
    bool same_reason = g_strcmp0(region->reason, reason) == 0;

    state_set_region_state(m->state, region, state, reason);
    now = region_state_text(region);
    if (strcmp(old, now) == 0 && same_reason)
        return;
    if (event != EVENT_NONE)
        log_state(event, region->pool, region, old, now, reason);
    TELL(m, region_changed, region)
    if (strcmp(old, now) == 0)
        return;
    TELL(m, health_changed, region->uuid, old, now, reason ? reason : "")
}

void manager_set_pool_state(Manager *m, Pool *pool, PoolState state, Event event, const char *reason) {
    const char *old = pool_state_text(pool), *now;
    bool same_reason = g_strcmp0(pool->reason, reason) == 0;

    state_set_pool_state(m->state, pool, state, reason);
    now = pool_state_text(pool);
    if (strcmp(old, now) == 0 && same_reason)
        return;
    if (event != EVENT_NONE)
        log_state(event, pool, NULL, old, now, reason);
    TELL(m, pool_changed, pool)
    if (strcmp(old, now) == 0)
        return;
    TELL(m, health_changed, pool->sb.member_uuid, old, now, reason ? reason : "")
}

const char *manager_state_to_string(ManagerState state) {
    switch (state) {
    case MANAGER_RECOVERING:
        return "recovering";
    case MANAGER_OK:
        return "ok";
    case MANAGER_DEGRADED:
        return "degraded";
    case MANAGER_READ_ONLY:
        break;
    }
    return "read-only";
}

/* The kernel cannot be interrupted: all that can be done about it is to say so. */
static char *stuck_text(const Manager *m) {
    return g_strdup_printf("an operation of backend %s has not ended for %.3g s: changes wait for it, lists are "
                           "answered; the kernel's log may say why",
                           m->backend->ops->name, (double) m->limits.stuck_usec / G_USEC_PER_SEC);
}

static char *stuck_erase_text(const Manager *m) {
    return g_strdup_printf("a piece of an erase has not ended for %.3g s: erases wait for it, changes and lists are "
                           "answered; the kernel's log may say why",
                           (double) m->limits.stuck_usec / G_USEC_PER_SEC);
}

void manager_set_erase_stuck(Manager *m, bool stuck) {
    g_autofree char *text = stuck_erase_text(m);

    if (stuck == m->erase_stuck)
        return;
    m->erase_stuck = stuck;
    if (stuck)
        log_event(EVENT_WORKER_STUCK, NULL, "%s", text);
    manager_update_summary(m);
}

/* The first pool that cannot be written, the first that can but has bad frames (NULL: none), and how many can. */
static guint count_writable(const Manager *m, const Pool **ret_bad, const Pool **ret_worn) {
    GPtrArray *pools = state_pools(m->state);
    guint writable = 0;

    *ret_bad = *ret_worn = NULL;
    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = g_ptr_array_index(pools, i);

        if (pool->reason && pool->state != POOL_CREATING && pool->state != POOL_RELEASING) {
            *ret_bad = *ret_bad ? *ret_bad : pool;
            continue;
        }
        if (!pool->reason && pool_own_bad(pool))
            *ret_worn = *ret_worn ? *ret_worn : pool;
        writable++;
    }
    return writable;
}

void manager_update_summary(Manager *m) {
    const Pool *bad, *worn;
    guint writable = count_writable(m, &bad, &worn);
    char text[PMEMD_UUID_STRING_MAX];

    g_clear_pointer(&m->summary_reason, g_free);
    if (m->recovering) {
        m->summary = MANAGER_RECOVERING;
        m->summary_reason = g_strdup("journals and platform are being compared");
    } else if (!bad && worn) {
        m->summary = MANAGER_DEGRADED;
        m->summary_reason = g_strdup_printf("pool %s is degraded: %s", pmemd_uuid_format(worn->sb.member_uuid, text),
                                            pool_state_reason(worn));
    } else if (!bad) {
        m->summary = m->stuck || m->erase_stuck ? MANAGER_DEGRADED : MANAGER_OK;
    } else {
        m->summary = writable > 0 ? MANAGER_DEGRADED : MANAGER_READ_ONLY;
        m->summary_reason = g_strdup_printf("pool %s is %s: %s", pmemd_uuid_format(bad->sb.member_uuid, text),
                                            pool_state_to_string(bad->state), bad->reason);
    }
    if (m->erase_stuck && !m->summary_reason)
        m->summary_reason = stuck_erase_text(m);
    /* Told before all else: it is why no change is answered. A daemon that may write nothing stays told as that. */
    if (m->stuck) {
        g_free(m->summary_reason);
        m->summary_reason = stuck_text(m);
        if (m->recovering)
            m->summary = MANAGER_DEGRADED;
    }
    TELL(m, summary_changed)
}

/* --- operations and their queue --- */

Op *op_new(Manager *m, void (*start)(Op *op)) {
    Op *op = g_new0(Op, 1);

    op->m = m;
    op->start = start;
    op->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    return op;
}

static void op_free(Op *op) {
    if (op->request.method == MANAGER_CLEAR_BAD_FRAMES)
        g_clear_pointer(&op->request.target.lost, g_array_unref);
    backend_listing_free(op->listing);
    backend_device_free(op->device);
    backend_content_free(op->content);
    mapper_list_free(op->mappers);
    backend_loan_free(op->loan);
    medium_free(op->medium);
    g_clear_error(&op->error);
    g_clear_error(&op->asked_error);
    g_clear_pointer(&op->media, g_ptr_array_unref);
    g_clear_pointer(&op->doomed, g_array_unref);
    g_clear_pointer(&op->kept, g_array_unref);
    g_clear_pointer(&op->tried, g_array_unref);
    g_clear_pointer(&op->fresh, g_hash_table_unref);
    g_clear_pointer(&op->bad, g_array_unref);
    g_clear_pointer(&op->cleared, g_array_unref);
    g_array_unref(op->waiters);
    g_free(op->name);
    g_free(op->pool_key);
    g_free(op->key);
    g_free(op->owner_user);
    g_free(op->user);
    g_free(op->raw_id);
    g_free(op);
}

void op_add_waiter(Op *op, ManagerDone done, void *data) {
    Waiter waiter = { done, data };

    g_array_append_val(op->waiters, waiter);
}

void op_answer(Op *op, sd_id128_t result, const GError *error) {
    for (guint i = 0; i < op->waiters->len; i++) {
        const Waiter *waiter = &g_array_index(op->waiters, Waiter, i);

        waiter->done(waiter->data, error ? SD_ID128_NULL : result, error);
    }
    g_array_set_size(op->waiters, 0);
}

static void manager_pump(Manager *m) {
    /* An operation that ends at once comes back here from inside of start(); the flag keeps the stack flat. */
    if (m->pumping)
        return;
    m->pumping = true;
    while (!m->current && !m->stopping && m->queue.length > 0) {
        Op *op = g_queue_pop_head(&m->queue);

        m->current = op;
        if (op->queued_usec > 0)
            stats_add_since(m->stats, STATS_QUEUE_WAIT, op->queued_usec);
        op->start(op);
    }
    m->pumping = false;
}

void op_enqueue(Op *op, bool in_front) {
    Manager *m = op->m;

    if (in_front)
        g_queue_push_head(&m->queue, op);
    else
        g_queue_push_tail(&m->queue, op);
    manager_pump(m);
}

void op_finish(Op *op, sd_id128_t result, const GError *error) {
    Manager *m = op->m;

    g_assert(m->current == op);
    op_answer(op, result, error);
    op_free(op);
    m->current = NULL;
    manager_update_summary(m);
    manager_pump(m);
}

static int on_stuck(sd_event_source *source, uint64_t usec, void *data) {
    Manager *m = data;
    g_autofree char *text = stuck_text(m);

    (void) source;
    (void) usec;
    m->stuck = true;
    log_event(EVENT_WORKER_STUCK, NULL, "%s", text);
    manager_update_summary(m);
    return 0;
}

static void on_work_done(void *data) {
    Op *op = data;
    Manager *m = op->m;

    (void) sd_event_source_set_enabled(m->stuck_timer, SD_EVENT_OFF); /* cannot fail on a source of ours */
    if (m->stuck) {
        m->stuck = false;
        g_message("the operation of backend %s that had not ended has ended after %.3g s", m->backend->ops->name,
                  (double) ((uint64_t) g_get_monotonic_time() - m->handed_usec) / G_USEC_PER_SEC);
        manager_update_summary(m);
    }
    op->work_done(op);
}

void op_work(Op *op, WorkerFunc run, WorkerFunc done) {
    Manager *m = op->m;

    g_clear_error(&op->error);
    op->work_done = done;
    /* Counted from here and not from when the thread takes it up: a thread that does not is stuck just the same. */
    m->handed_usec = (uint64_t) g_get_monotonic_time();
    if (m->limits.stuck_usec > 0 && sd_event_source_set_time_relative(m->stuck_timer, m->limits.stuck_usec) >= 0)
        (void) sd_event_source_set_enabled(m->stuck_timer, SD_EVENT_ONESHOT); /* as above */
    worker_submit(m->worker, run, on_work_done, NULL, op);
}

bool manager_is_idle(const Manager *m) {
    return !m->current && m->queue.length == 0;
}

uint64_t manager_stuck_usec(const Manager *m) {
    return m->limits.stuck_usec;
}

/* --- the public face --- */

Manager *manager_new(sd_event *event, Backend *backend, const char *state_dir, ManagerLimits limits, GError **error) {
    g_autoptr(Manager) m = g_new0(Manager, 1);

    m->event = sd_event_ref(event);
    m->backend = backend;
    m->state = state_new();
    m->stats = stats_new();
    m->state_dir = g_strdup(state_dir);
    m->limits = limits;
    m->listeners = g_ptr_array_new_with_free_func(g_free);
    m->recovering = true;
    m->refused = g_hash_table_new_full(pmemd_uuid_hash, pmemd_uuid_equal, g_free, NULL);
    g_queue_init(&m->queue);
    g_queue_init(&m->released);
    manager_update_summary(m);
    if (sd_id128_get_machine(&m->machine_id) < 0)
        m->machine_id = SD_ID128_NULL; /* then pools of other machines cannot be told apart: checked where it is used */
    if (sd_id128_get_boot(&m->boot_id) < 0)
        m->boot_id = SD_ID128_NULL;
    if (!hints_prepare(state_dir, error))
        return NULL;
    int r = sd_event_add_time_relative(event, &m->stuck_timer, CLOCK_MONOTONIC, 0, 0, on_stuck, m);
    if (r >= 0)
        r = sd_event_source_set_enabled(m->stuck_timer, SD_EVENT_OFF);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot set a timer: %s", g_strerror(-r));
        return NULL;
    }
    m->worker = worker_new(event, "pmemd-backend", error);
    if (!m->worker)
        return NULL;
    return g_steal_pointer(&m);
}

void manager_free(Manager *m) {
    g_autoptr(GError) error = NULL;
    Op *op;

    if (!m)
        return;
    m->stopping = true;
    /* Steps may follow each other: each drain ends the thread, so the operation at hand gets one more step at most;
     * what is then still open is an intent, which the next start settles. */
    if (m->worker)
        worker_drain(m->worker);
    error = g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_BUSY, "pmemd is stopping; repeat the request when it is back");
    if (m->current) {
        op_answer(m->current, SD_ID128_NULL, error);
        op_free(m->current);
    }
    while ((op = g_queue_pop_head(&m->queue))) {
        op_answer(op, SD_ID128_NULL, error);
        if (op->content_done)
            op->content_done(op->content_data, NULL, error);
        op_free(op);
    }
    manager_tell_removing(m); /* all of them */
    for (guint i = 0; i < state_pools(m->state)->len; i++)
        manager_close_pool(g_ptr_array_index(state_pools(m->state), i));
    worker_free(m->worker);
    sd_event_source_disable_unref(m->stuck_timer);
    manage_list_unref(m->manage);
    state_free(m->state);
    stats_free(m->stats);
    backend_free(m->backend);
    g_hash_table_unref(m->refused);
    g_queue_clear_full(&m->released, g_free);
    g_ptr_array_unref(m->listeners);
    sd_event_unref(m->event);
    g_free(m->summary_reason);
    g_free(m->state_dir);
    g_free(m);
}

void manager_add_events(Manager *m, const ManagerEvents *events, void *data) {
    Listener *listener = g_new(Listener, 1);

    *listener = (Listener){ .events = *events, .data = data };
    g_ptr_array_add(m->listeners, listener);
}

void manager_start(Manager *m) {
    op_enqueue(op_new(m, start_op_begin), true);
}

void manager_refresh(Manager *m) {
    if (m->refreshing || m->stopping)
        return;
    m->refreshing = true;
    op_enqueue(op_new(m, refresh_start), false);
}

const State *manager_state(const Manager *m) {
    return m->state;
}

ManagerState manager_get_state(const Manager *m) {
    return m->summary;
}

const char *manager_state_reason(const Manager *m) {
    return m->summary_reason ? m->summary_reason : "";
}

const char *manager_backend_name(const Manager *m) {
    return m->backend->ops->name;
}

sd_id128_t manager_machine_id(const Manager *m) {
    return m->machine_id;
}

guint manager_queued(const Manager *m) {
    return m->queue.length;
}

Stats *manager_stats(const Manager *m) {
    return m->stats;
}

bool manager_plan(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error) {
    switch (request->method) {
    case MANAGER_SETUP_MGMT:
    case MANAGER_ALLOCATE_MGMT:
        return manager_decide_mgmt(m, request, ret_plan, error);
    case MANAGER_SETUP_DATA:
    case MANAGER_ALLOCATE_DATA:
        return manager_decide_data(m, request, ret_plan, error);
    case MANAGER_RELEASE_DATA:
    case MANAGER_RELEASE_MGMT:
    case MANAGER_RENAME:
    case MANAGER_SET_OWNER:
    case MANAGER_ATTACH:
    case MANAGER_DETACH:
    case MANAGER_CLEAR_BAD_FRAMES:
    case MANAGER_ADOPT:
    case MANAGER_FORGET:
    case MANAGER_REPAIR:
        break;
    }
    g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "only setup and allocate requests can be planned");
    return false;
}

static bool op_is_request(const Op *op, const ManagerRequest *request) {
    return op->waiters->len > 0 && op->request.method != 0 && op->request.uid == request->uid &&
           sd_id128_equal(op->request.request_id, request->request_id);
}

/* Did this user's request-id already get an answer, or is it under way? True: done was or will be called. */
static bool submit_repeated(Manager *m, const ManagerRequest *request, uint64_t hash, ManagerDone done, void *data) {
    g_autoptr(GError) error = NULL;
    char text[PMEMD_UUID_STRING_MAX];
    const JfRequest *found = NULL;
    Op *op = NULL;
    uint32_t method = 0;
    uint64_t other_hash = 0;

    const Answer *answer = state_find_answer(m->state, request->request_id, request->uid);
    if (answer)
        found = &answer->request;
    for (const GList *l = m->released.head; l && !found; l = l->next) {
        const JfRequest *late = l->data;

        if (late->request_uid == request->uid && sd_id128_equal(late->request_id, request->request_id))
            found = late;
    }
    if (!found && m->current && op_is_request(m->current, request))
        op = m->current;
    for (const GList *l = m->queue.head; l && !found && !op; l = l->next)
        if (op_is_request(l->data, request))
            op = l->data;

    const Region *open = found || op ? NULL : state_find_open_request(m->state, request->request_id, request->uid);
    if (found) {
        method = found->request_method;
        other_hash = found->request_hash;
    } else if (op) {
        method = op->request.method;
        other_hash = op->hash;
    } else if (open) {
        method = open->intent->request_method;
        other_hash = open->intent->request_hash;
    } else {
        return false;
    }

    pmemd_uuid_format(request->request_id, text);
    if (method != request->method || other_hash != hash) {
        error =
            g_error_new(PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "request-id %s was used before for another method or other arguments; use a new random one for "
                        "each request",
                        text);
        done(data, SD_ID128_NULL, error);
    } else if (found) {
        done(data, found->result, NULL);
    } else if (op && op->waiters->len >= m->limits.max_queue_per_uid) {
        /* Each of them is kept until the answer. */
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                            "%u calls wait for the answer to request-id %s already, the limit is %u (MaxQueuePerUser= "
                            "in pmemd.conf)",
                            op->waiters->len, text, m->limits.max_queue_per_uid);
        done(data, SD_ID128_NULL, error);
    } else if (op) {
        op_add_waiter(op, done, data);
    } else {
        error = g_error_new(
            PMEMD_ERROR, PMEMD_ERROR_BUSY,
            "the outcome of request-id %s is not yet known (%s); repeat it later, or see the region's state", text,
            open->reason ? open->reason : "its creation was cut off");
        done(data, SD_ID128_NULL, error);
    }
    return true;
}

bool manager_check_limits(const Manager *m, uint32_t uid, guint elsewhere, guint elsewhere_of_uid, GError **error) {
    guint all = m->queue.length + elsewhere, own = elsewhere_of_uid;

    for (const GList *l = m->queue.head; l; l = l->next) {
        const Op *op = l->data;

        if (op->request.method != 0 && op->request.uid == uid)
            own++;
    }
    if (all >= m->limits.max_queue) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "%u requests are waiting, the limit is %u (MaxQueue= in pmemd.conf); repeat the request later", all,
                    m->limits.max_queue);
        return false;
    }
    if (uid != 0 && own >= m->limits.max_queue_per_uid) {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
            "%u requests of user %u are waiting, the limit is %u (MaxQueuePerUser= in pmemd.conf); repeat the request "
            "later",
            own, uid, m->limits.max_queue_per_uid);
        return false;
    }
    return true;
}

void manager_submit(Manager *m, const ManagerRequest *request, uint64_t hash, ManagerDone done, void *data) {
    void (*const starts[])(Op *) = {
        [MANAGER_SETUP_MGMT] = create_mgmt_start,
        [MANAGER_SETUP_DATA] = create_data_start,
        [MANAGER_ALLOCATE_MGMT] = create_mgmt_start,
        [MANAGER_ALLOCATE_DATA] = create_data_start,
        [MANAGER_RELEASE_DATA] = release_data_start,
        [MANAGER_RELEASE_MGMT] = release_mgmt_start,
        [MANAGER_RENAME] = rename_start,
        [MANAGER_SET_OWNER] = set_owner_start,
        [MANAGER_ATTACH] = attach_start,
        [MANAGER_DETACH] = detach_start,
        [MANAGER_CLEAR_BAD_FRAMES] = clear_bad_start,
        [MANAGER_ADOPT] = adopt_start,
        [MANAGER_FORGET] = forget_start,
        [MANAGER_REPAIR] = repair_start,
    };
    g_autoptr(GError) error = NULL;

    g_assert(request->method > 0 && request->method < G_N_ELEMENTS(starts) && starts[request->method]);
    if (m->stopping || m->recovering) {
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_BUSY, "pmemd is %s; repeat the request when its State is \"ok\"",
                            m->stopping ? "stopping" : "comparing its journals with the platform");
        done(data, SD_ID128_NULL, error);
        return;
    }
    if (!sd_id128_is_null(request->request_id) && submit_repeated(m, request, hash, done, data))
        return;
    if (!manager_check_limits(m, request->uid, 0, 0, &error)) {
        done(data, SD_ID128_NULL, error);
        return;
    }

    Op *op = op_new(m, starts[request->method]);
    op->request = *request;
    op->hash = hash;
    op->queued_usec = stats_now();
    op->user = g_strdup(request->user ? request->user : "");
    op->request.user = op->user;
    switch (request->method) {
    case MANAGER_SETUP_MGMT:
    case MANAGER_ALLOCATE_MGMT:
        op->name = g_strdup(request->mgmt.name);
        op->request.mgmt.name = op->name;
        break;
    case MANAGER_SETUP_DATA:
    case MANAGER_ALLOCATE_DATA:
        op->name = g_strdup(request->data.name);
        op->pool_key = g_strdup(request->data.pool);
        op->request.data.name = op->name;
        op->request.data.pool = op->pool_key;
        break;
    case MANAGER_RELEASE_DATA:
    case MANAGER_RELEASE_MGMT:
    case MANAGER_RENAME:
    case MANAGER_SET_OWNER:
        op->name = g_strdup(request->target.name);
        op->pool_key = g_strdup(request->target.owner_user);
        op->request.target.name = op->name;
        op->request.target.owner_user = op->pool_key;
        break;
    case MANAGER_ATTACH:
    case MANAGER_DETACH:
        op->name = g_strdup(request->lease.owner);
        op->pool_key = g_strdup(request->lease.sender ? request->lease.sender : "");
        op->request.lease.owner = op->name;
        op->request.lease.sender = op->pool_key;
        break;
    case MANAGER_CLEAR_BAD_FRAMES:
        op->name = g_strdup(request->target.raw);
        op->request.target.raw = op->name;
        if (request->target.lost)
            g_array_ref(request->target.lost);
        break;
    case MANAGER_ADOPT:
    case MANAGER_FORGET:
    case MANAGER_REPAIR:
        op->key = g_strdup(request->repair.key);
        op->pool_key = g_strdup(request->repair.mgmt);
        op->name = g_strdup(request->repair.name);
        op->owner_user = g_strdup(request->repair.owner_user);
        op->request.repair.key = op->key;
        op->request.repair.mgmt = op->pool_key;
        op->request.repair.name = op->name;
        op->request.repair.owner_user = op->owner_user;
        break;
    }
    op_add_waiter(op, done, data);
    op_enqueue(op, false);
}
