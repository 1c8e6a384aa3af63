/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A round: the leases are listed, then the domains, so that a lease without a running domain is none that was just taken; then the actions,
 * all at once; the next round begins when they are answered or overdue. While leases end, the lock of the marks is held: a
 * start that comes meanwhile waits with its Attach.
 */
#include "client/libvirt/domains.h"

#include <string.h>
#include <unistd.h>

#include "client/libvirt/domain-marks.h"
#include "client/libvirt/domain-scan.h"
#include "client/libvirt/log.h"
#include "proto/one-line.h"
#include "proto/types.h"

/* Events come in flocks. */
#define SETTLE_USEC (UINT64_C(50) * 1000)
/* What could not be done is tried again after so long. */
#define AGAIN_USEC (UINT64_C(5) * 1000 * 1000)
#define OVERDUE_USEC (UINT64_C(3) * 1000 * 1000)
/* Of regions that went while libvirt was away, the last ones are looked for in its domains. */
#define RELEASED_MAX 1024u

typedef struct Round Round;

/* An action under way. */
typedef struct {
    Round *round;
    const DomainAction *action; /* the round's */
    PmemdCall *call;            /* NULL: none, or no more */
} Task;

struct Round {
    Domains *domains;
    RegionView *view;
    GPtrArray *leases;  /* DomainLease */
    GHashTable *stamps; /* owner -> DomainStamp *, from before the domains were looked at */
    DomainScan *scan;
    GPtrArray *actions; /* DomainAction */
    GPtrArray *tasks;   /* Task */
    PmemdCall *list_call;
    sd_event_source *overdue;
    guint n_released; /* how many of the Domains' it looks for */
    guint n_open;     /* tasks without answer */
    int lock;         /* -1: not held */
    bool failed;      /* something is to be tried again */
};

struct Domains {
    sd_event *event;
    PmemdLink *pmemd;
    VirtLink *link; /* NULL: libvirt is not used */
    char *marks;
    sd_event_source *timer;
    Round *round; /* NULL: none */
    bool wanted;  /* another round */
    RegionView *view;
    GPtrArray *released;  /* Gone *, since the last round that has looked */
    GHashTable *seen;     /* set */
    GHashTable *problems; /* pool uuid -> sentence */
    GHashTable *told;     /* set: conflicts that were logged */
    GHashTable *said;     /* set: what failed and was logged, since all went well */
};

/* A region that is in no view any more. */
typedef struct {
    char *uuid, *pool, *name, *path;
} Gone;

static void gone_free(void *data) {
    Gone *gone = data;

    g_free(gone->uuid);
    g_free(gone->pool);
    g_free(gone->name);
    g_free(gone->path);
    g_free(gone);
}

static void round_free(Round *round) {
    if (!round)
        return;
    pmemd_call_cancel(round->list_call);
    for (guint i = 0; i < round->tasks->len; i++)
        pmemd_call_cancel(((Task *) g_ptr_array_index(round->tasks, i))->call);
    sd_event_source_disable_unref(round->overdue);
    region_view_unref(round->view);
    g_ptr_array_unref(round->leases);
    g_hash_table_unref(round->stamps);
    domain_scan_free(round->scan);
    g_clear_pointer(&round->actions, g_ptr_array_unref);
    g_ptr_array_unref(round->tasks);
    if (round->lock >= 0)
        (void) close(round->lock);
    g_free(round);
}

/* --- when --- */

static void begin(Domains *domains);

static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    Domains *domains = data;

    domains->timer = sd_event_source_disable_unref(domains->timer);
    begin(domains);
    return 0;
}

static void look_after(Domains *domains, uint64_t usec) {
    if (domains->timer)
        return;
    int r = sd_event_add_time_relative(domains->event, &domains->timer, CLOCK_MONOTONIC, usec, 0, on_timer, domains);
    if (r < 0)
        log_message(LOG_ERR, "cannot set a timer, domains are not followed: %s", g_strerror(-r));
}

/* What comes often puts nothing off: anybody may make and release regions all the time. */
static void look_soon(Domains *domains) {
    uint64_t due, now;

    if (domains->timer && sd_event_source_get_time(domains->timer, &due) >= 0 &&
        sd_event_now(domains->event, CLOCK_MONOTONIC, &now) >= 0 && due <= now + SETTLE_USEC)
        return;
    domains->timer = sd_event_source_disable_unref(domains->timer);
    look_after(domains, SETTLE_USEC);
}

void domains_look(Domains *domains) {
    if (!domains->link)
        return;
    if (domains->round) {
        domains->wanted = true;
        return;
    }
    look_soon(domains);
}

static void end_round(Round *round) {
    Domains *domains = round->domains;
    bool failed = round->failed;

    domains->round = NULL;
    round_free(round);
    if (domains->wanted) {
        domains->wanted = false;
        look_after(domains, SETTLE_USEC);
    } else if (failed)
        look_after(domains, AGAIN_USEC);
}

/* --- actions --- */

/* POOL/NAME, or the uuid. The caller's. */
static char *region_title(const Round *round, const char *uuid) {
    const RegionViewPool *pool;
    const RegionViewVolume *volume = region_view_by_uuid(round->view, uuid, &pool);

    return volume ? g_strconcat(pool->name, "/", volume->name, NULL) : g_strdup(uuid);
}

/* The mark goes with the last lease of a domain that does not run. */
static void settle_marks(Round *round) {
    GHashTableIter iter;
    void *owner;

    g_hash_table_iter_init(&iter, round->stamps);
    while (g_hash_table_iter_next(&iter, &owner, NULL)) {
        bool over = false;

        for (guint i = 0; i < round->actions->len; i++) {
            const DomainAction *action = g_ptr_array_index(round->actions, i);
            if (action->kind == DOMAIN_ACTION_DETACH && strcmp(action->domain, owner) == 0)
                over = true;
        }
        for (guint i = 0; i < round->scan->domains->len; i++) {
            const DomainState *state = g_ptr_array_index(round->scan->domains, i);
            if (strcmp(state->uuid, owner) == 0 && (state->active || state->unclear))
                over = false;
        }
        if (over && round->lock >= 0)
            domain_mark_remove(round->domains->marks, owner);
    }
}

static void end_task(Round *round) {
    if (--round->n_open > 0)
        return;
    if (!round->failed) {
        settle_marks(round);
        g_hash_table_remove_all(round->domains->said);
    }
    end_round(round);
}

/* Logged once, however often it is tried, and the pool's problem as long as it is one. Takes text. */
static void complain(Round *round, const DomainAction *action, char *text) {
    Domains *domains = round->domains;
    const RegionViewPool *pool = NULL;

    (void) region_view_by_uuid(round->view, action->region, &pool);
    if (pool)
        g_hash_table_replace(domains->problems, g_strdup(pool->uuid), g_strdup(text));
    if (!g_hash_table_contains(domains->said, text))
        log_message(LOG_WARNING, "%s", text);
    g_hash_table_add(domains->said, text);
}

static void on_done(PmemdClient *client, PmemdReply *reply, void *data) {
    Task *task = data;
    Round *round = task->round;
    const DomainAction *action = task->action;
    g_autofree char *title = region_title(round, action->region);
    g_autofree char *name = one_line(action->name);
    bool attach = action->kind == DOMAIN_ACTION_ATTACH;

    task->call = NULL;
    if (pmemd_reply_result(reply) < 0) {
        round->failed = true;
        complain(round, action,
                 g_strdup_printf("region %s %s domain %s (%s): %s", title,
                                 attach ? "is used, without being lent to it, by" : "cannot be taken back from", name,
                                 action->domain, pmemd_reply_error_message(reply)));
    } else
        log_message(LOG_NOTICE, "region %s is %s domain %s (%s)", title, attach ? "lent to" : "taken back from", name,
                    action->domain);
    end_task(round);
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *data) {
    Round *round = data;

    log_message(LOG_WARNING, "pmemd does not answer; leases of domains are looked at again later");
    pmemd_link_doubt(round->domains->pmemd);
    round->failed = true;
    end_round(round);
    return 0;
}

static int send_action(Round *round, Task *task) {
    PmemdClient *client = pmemd_link_client(round->domains->pmemd);
    const DomainAction *action = task->action;
    g_autoptr(GError) error = NULL;
    char path[PMEMD_PATH_MAX];

    domain_region_path(action->region, path);
    if (action->kind == DOMAIN_ACTION_DETACH)
        /* By force: only that way does pmemd look whether a process has it mapped. */
        return pmemd_client_detach_async(client, path, action->domain, true, on_done, task, &task->call);
    if (!domain_mark_put(round->domains->marks, action->domain, action->name, &error))
        log_message(LOG_ERR, "%s", error->message);
    return pmemd_client_attach_async(client, path, action->domain, PMEMD_ATTACH_ALLOW_DEGRADED, PMEMD_FRAME_UNKNOWN,
                                     on_done, task, &task->call);
}

static void do_action(Round *round, const DomainAction *action) {
    Task *task = g_new0(Task, 1);

    task->round = round;
    task->action = action;
    g_ptr_array_add(round->tasks, task);
    round->n_open++;
    if (send_action(round, task) < 0) {
        round->failed = true;
        round->n_open--;
    }
}

/* No start of the domain has come since the domains were looked at. */
static bool may_detach(const Round *round, const DomainAction *action) {
    const DomainStamp *before = g_hash_table_lookup(round->stamps, action->domain);
    const DomainStamp now = domain_mark_stamp(round->domains->marks, action->domain);

    return round->lock >= 0 && before && domain_stamp_equal(before, &now);
}

static void take_lock(Round *round) {
    g_autoptr(GError) error = NULL;
    bool needed = false;

    for (guint i = 0; i < round->actions->len; i++)
        if (((DomainAction *) g_ptr_array_index(round->actions, i))->kind == DOMAIN_ACTION_DETACH)
            needed = true;
    if (!needed)
        return;
    round->lock = domain_marks_lock(round->domains->marks, 0, &error);
    if (error)
        log_message(LOG_ERR, "%s", error->message);
}

/* --- conflicts --- */

static void tell_conflict(Round *round, const DomainAction *action, GHashTable *current) {
    Domains *domains = round->domains;
    const RegionViewPool *pool = NULL;
    g_autofree char *title = region_title(round, action->region);
    g_autofree char *name = one_line(action->name);
    /* Anybody may call himself a domain's uuid. */
    g_autofree char *other = action->holder_is_own ? domain_mark_name(domains->marks, action->holder) : NULL;
    g_autofree char *holder = one_line(action->holder);
    g_autofree char *text = g_strdup_printf(
        "domain %s (%s) uses region %s, which is lent to %s%s%s%s: both may write to it; stop one of them", name,
        action->domain, title, other ? "domain " : "", other ? other : holder, other ? ", " : "", other ? holder : "");

    (void) region_view_by_uuid(round->view, action->region, &pool);
    if (!g_hash_table_contains(domains->told, text))
        log_message(LOG_ERR, "%s", text);
    g_hash_table_add(current, g_strdup(text));
    if (pool)
        g_hash_table_replace(domains->problems, g_strdup(pool->uuid), g_steal_pointer(&text));
}

static void tell_conflicts(Round *round) {
    Domains *domains = round->domains;
    GHashTable *current = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    g_hash_table_remove_all(domains->problems);
    for (guint i = 0; i < round->actions->len; i++) {
        const DomainAction *action = g_ptr_array_index(round->actions, i);
        if (action->kind == DOMAIN_ACTION_CONFLICT)
            tell_conflict(round, action, current);
    }
    g_hash_table_unref(domains->told);
    domains->told = current;
}

const char *domains_problem(const Domains *domains, const char *pool_uuid) {
    const char *text = g_hash_table_lookup(domains->problems, pool_uuid);

    return text ? text : "";
}

/* --- a round --- */

static void act(Round *round) {
    tell_conflicts(round);
    take_lock(round);
    /* Held until all is sent: an answer may come with the sending. */
    round->n_open = 1;
    for (guint i = 0; i < round->actions->len; i++) {
        const DomainAction *action = g_ptr_array_index(round->actions, i);
        if (action->kind == DOMAIN_ACTION_ATTACH || (action->kind == DOMAIN_ACTION_DETACH && may_detach(round, action)))
            do_action(round, action);
        else if (action->kind == DOMAIN_ACTION_DETACH)
            round->failed = true;
    }
    if (round->n_open > 1 && sd_event_add_time_relative(round->domains->event, &round->overdue, CLOCK_MONOTONIC,
                                                        OVERDUE_USEC, 0, on_overdue, round) < 0)
        log_message(LOG_WARNING, "no timer for answers of pmemd, ignoring");
    end_task(round);
}

static void run_scan(virConnectPtr qemu, virConnectPtr storage, void *data) {
    Round *round = data;

    domain_scan_run(round->scan, qemu);
}

static void on_scanned(void *data) {
    Round *round = data;
    Domains *domains = round->domains;

    if (!round->scan->ok) {
        log_message(LOG_NOTICE, "domains cannot be looked at: %s", round->scan->problem);
        round->failed = virt_link_is_up(domains->link, VIRT_QEMU);
        end_round(round);
        return;
    }
    for (guint i = 0; i < round->scan->notes->len; i++)
        log_message(LOG_WARNING, "%s", (const char *) g_ptr_array_index(round->scan->notes, i));
    g_ptr_array_remove_range(domains->released, 0, MIN(round->n_released, domains->released->len));
    g_clear_pointer(&round->actions, g_ptr_array_unref);
    round->actions = domain_leases_decide(round->scan->domains, round->leases, domains->seen);
    act(round);
}

static void fill_regions(Round *round) {
    for (guint i = 0; i < region_view_n_pools(round->view); i++) {
        const RegionViewPool *pool = region_view_pool(round->view, i);
        for (guint j = 0; j < pool->n_volumes; j++)
            domain_regions_add(round->scan->regions, pool->volumes[j].uuid, pool->name, pool->volumes[j].name,
                               pool->volumes[j].path);
    }
    for (guint i = 0; i < round->domains->released->len; i++) {
        const Gone *gone = g_ptr_array_index(round->domains->released, i);
        domain_regions_add(round->scan->released, gone->uuid, gone->pool, gone->name, gone->path);
    }
    round->n_released = round->domains->released->len;
}

static void keep_lease(Round *round, const PmemdLease *row) {
    DomainLease *lease = domain_lease_new(row->region, row->owner);
    DomainStamp *stamp = g_new(DomainStamp, 1);

    *stamp = domain_mark_stamp(round->domains->marks, row->owner);
    lease->own = row->uid == geteuid();
    lease->confirmed = row->confirmed;
    lease->marked = !domain_stamp_is_none(stamp);
    g_ptr_array_add(round->leases, lease);
    g_hash_table_replace(round->stamps, g_strdup(row->owner), stamp);
}

static void on_leases(PmemdClient *client, PmemdReply *reply, void *data) {
    Round *round = data;
    PmemdLease **list;

    round->list_call = NULL;
    round->overdue = sd_event_source_disable_unref(round->overdue);
    if (pmemd_reply_take_lease_list(reply, &list, NULL) < 0) {
        round->failed = true;
        end_round(round);
        return;
    }
    for (size_t i = 0; list[i]; i++)
        keep_lease(round, list[i]);
    pmemd_lease_list_free(list);
    fill_regions(round);
    virt_link_run(round->domains->link, run_scan, round, on_scanned);
}

static void begin(Domains *domains) {
    if (!virt_link_is_up(domains->link, VIRT_QEMU) || !pmemd_link_is_live(domains->pmemd))
        return; /* whoever comes has them looked at */
    Round *round = g_new0(Round, 1);

    domains->round = round;
    round->domains = domains;
    round->lock = -1;
    round->view = region_view_ref(pmemd_link_view(domains->pmemd));
    round->leases = g_ptr_array_new_with_free_func(domain_lease_free);
    round->stamps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    round->scan = domain_scan_new();
    round->tasks = g_ptr_array_new_with_free_func(g_free);
    if (pmemd_client_list_leases_async(pmemd_link_client(domains->pmemd), on_leases, round, &round->list_call) < 0 ||
        sd_event_add_time_relative(domains->event, &round->overdue, CLOCK_MONOTONIC, OVERDUE_USEC, 0, on_overdue,
                                   round) < 0) {
        round->failed = true;
        end_round(round);
    }
}

/* --- views --- */

static void note_gone(Domains *domains, const RegionViewPool *pool, const RegionViewVolume *volume) {
    Gone *gone = g_new0(Gone, 1);

    if (domains->released->len >= RELEASED_MAX)
        g_ptr_array_remove_index(domains->released, 0);
    gone->uuid = g_strdup(volume->uuid);
    gone->pool = g_strdup(pool->name);
    gone->name = g_strdup(volume->name);
    gone->path = g_strdup(volume->path);
    g_ptr_array_add(domains->released, gone);
}

static bool note_all_gone(Domains *domains, RegionView *view) {
    bool any = false;

    for (guint i = 0; domains->view && i < region_view_n_pools(domains->view); i++) {
        const RegionViewPool *pool = region_view_pool(domains->view, i);
        for (guint j = 0; j < pool->n_volumes; j++)
            if (!region_view_by_uuid(view, pool->volumes[j].uuid, NULL)) {
                note_gone(domains, pool, &pool->volumes[j]);
                any = true;
            }
    }
    return any;
}

void domains_view_changed(Domains *domains) {
    RegionView *view = pmemd_link_view(domains->pmemd);

    if (!view || !domains->link)
        return;
    bool gone = note_all_gone(domains, view);
    if (gone || g_hash_table_size(domains->problems) > 0)
        domains_look(domains);
    region_view_unref(domains->view);
    domains->view = region_view_ref(view);
}

/* --- life --- */

Domains *domains_new(sd_event *event, PmemdLink *pmemd, const char *marks) {
    Domains *domains = g_new0(Domains, 1);

    domains->event = sd_event_ref(event);
    domains->pmemd = pmemd;
    domains->marks = g_strdup(marks);
    domains->released = g_ptr_array_new_with_free_func(gone_free);
    domains->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->problems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    domains->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return domains;
}

void domains_set_link(Domains *domains, VirtLink *link) {
    domains->link = link;
}

void domains_free(Domains *domains) {
    if (!domains)
        return;
    domains->timer = sd_event_source_disable_unref(domains->timer);
    round_free(domains->round);
    region_view_unref(domains->view);
    g_ptr_array_unref(domains->released);
    g_hash_table_unref(domains->seen);
    g_hash_table_unref(domains->problems);
    g_hash_table_unref(domains->told);
    g_hash_table_unref(domains->said);
    sd_event_unref(domains->event);
    g_free(domains->marks);
    g_free(domains);
}
