/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/virt-pools.h"

#include "client/libvirt/virt-round.h"
#include "proto/error.h"

#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#define SOON_USEC (UINT64_C(200) * 1000)          /* changes come in groups */
#define EARLY_USEC (UINT64_C(3) * G_USEC_PER_SEC) /* pmemd's signals are no later than that */
#define NAME_SHOWN 64                             /* bytes of a stranger's word */
#define REST 3                                    /* a round of T is followed by none for REST * T */
#define RETRY_USEC (UINT64_C(1) * G_USEC_PER_SEC) /* doubled with each retry */
#define RETRY_MAX_USEC (UINT64_C(60) * G_USEC_PER_SEC)

/* A pool of pmemd, or one that is enabled and not there. */
typedef struct {
    char uuid[37];
    char *name;
    char *directory; /* NULL: not mounted */
    bool lost;       /* but somebody has unmounted it */
    bool known;      /* pmemd has it */
    const char *libvirt;
    char *mount_problem; /* NULL: none */
    char *virt_problem;
    bool foreign;
} Pool;

/* A call that is answered when a round that began after it has ended. */
typedef struct {
    LibvirtBusCall *call;
    char uuid[37];
    bool enable;
    uint64_t round;
} Waiter;

/* A call about a pool that pmemd has not told of: it may have made it just now. */
typedef struct {
    LibvirtBusCall *call;
    char *name;
    bool enable;
    uint64_t deadline; /* monotonic */
} Early;

struct VirtPools {
    sd_event *event;
    sd_event_source *timer;
    sd_event_source *early_timer;
    char *parent;
    EnabledPools *enabled;
    VirtLink *link;
    const VirtPoolsOps *ops;
    void *data;
    GPtrArray *pools;   /* Pool's */
    GPtrArray *waiters; /* Waiter's */
    GPtrArray *early;   /* Early's, in the order of their deadlines */
    bool armed;         /* the timer */
    uint64_t due;       /* when it ends; monotonic */
    bool running;       /* a round */
    bool wanted;        /* another one, when that has ended */
    uint64_t rounds;    /* that began */
    uint64_t began, not_before, retry;
};

/* In the worker's hands while it runs. */
typedef struct {
    VirtPools *pools;
    VirtRound *round;
} Job;

static void round_soon(VirtPools *pools, uint64_t usec);

static uint64_t now(void) {
    return (uint64_t) g_get_monotonic_time();
}

/* --- pools --- */

static void pool_free(Pool *pool) {
    g_free(pool->name);
    g_free(pool->directory);
    g_free(pool->mount_problem);
    g_free(pool->virt_problem);
    g_free(pool);
}

static Pool *find(const VirtPools *pools, const char *uuid_or_name) {
    for (guint i = 0; i < pools->pools->len; i++) {
        Pool *pool = pools->pools->pdata[i];
        if (g_ascii_strcasecmp(pool->uuid, uuid_or_name) == 0 || strcmp(pool->name, uuid_or_name) == 0)
            return pool;
    }
    return NULL;
}

static Pool *find_or_add(VirtPools *pools, const char *uuid, const char *name) {
    Pool *pool = find(pools, uuid);

    if (!pool) {
        pool = g_new0(Pool, 1);
        g_strlcpy(pool->uuid, uuid, sizeof pool->uuid);
        pool->name = g_strdup(name);
        pool->libvirt = "absent";
        g_ptr_array_add(pools->pools, pool);
    }
    return pool;
}

static bool is_enabled(const VirtPools *pools, const Pool *pool) {
    return enabled_pools_find(pools->enabled, pool->uuid) != NULL;
}

static void unmount(VirtPools *pools, Pool *pool) {
    if (pool->directory)
        pools->ops->unmount(pools->data, pool->uuid, pool->directory);
    g_clear_pointer(&pool->directory, g_free);
    pool->lost = false;
}

/* Where it belongs now. Free: g_free. */
static char *directory_of(const VirtPools *pools, const Pool *pool) {
    return g_build_filename(pools->parent, pool->name, NULL);
}

static bool is_to_be_mounted(const VirtPools *pools, const Pool *pool) {
    return pool->known && is_enabled(pools, pool);
}

/* What is not mounted where it belongs: before anything is mounted, as pools may have changed their names among them. */
static void unmount_moved(VirtPools *pools) {
    for (guint i = 0; i < pools->pools->len; i++) {
        Pool *pool = pools->pools->pdata[i];
        g_autofree char *directory = directory_of(pools, pool);
        if (pool->directory && is_enabled(pools, pool) &&
            (!pool->known || pool->lost || strcmp(pool->directory, directory) != 0))
            unmount(pools, pool);
    }
}

static bool settle_mount(VirtPools *pools, Pool *pool, GError **error) {
    GError *cause = NULL;

    g_clear_pointer(&pool->mount_problem, g_free);
    if (!is_to_be_mounted(pools, pool) || pool->directory)
        return true;
    g_autofree char *directory = directory_of(pools, pool);
    if (pools->ops->mount(pools->data, pool->uuid, directory, &cause)) {
        pool->directory = g_steal_pointer(&directory);
        return true;
    }
    pool->mount_problem = g_strdup_printf("its directory is not mounted: %s", cause->message);
    g_propagate_error(error, cause);
    return false;
}

static void settle_mount_later(VirtPools *pools, Pool *pool) {
    g_autoptr(GError) error = NULL;

    if (!settle_mount(pools, pool, &error))
        g_warning("pool %s (%s): %s", pool->name, pool->uuid, pool->mount_problem);
}

static void mount_all(VirtPools *pools) {
    unmount_moved(pools);
    for (guint i = 0; i < pools->pools->len; i++)
        settle_mount_later(pools, pools->pools->pdata[i]);
}

/* --- calls --- */

static void end_call(LibvirtBusCall *call, const Pool *pool, bool enable) {
    g_autoptr(GError) error = NULL;

    if (enable && pool && pool->virt_problem)
        error = g_error_new(PMEMD_ERROR, pool->foreign ? PMEMD_ERROR_EXISTS : PMEMD_ERROR_HARDWARE,
                            "pool %s is enabled, but %s", pool->name, pool->virt_problem);
    libvirt_bus_call_end(call, error);
}

/* Of rounds up to that of this number, which has ended. */
static void end_waiters(VirtPools *pools, uint64_t round) {
    for (guint i = 0; i < pools->waiters->len;) {
        Waiter *waiter = pools->waiters->pdata[i];
        if (waiter->round > round) {
            i++;
            continue;
        }
        Pool *pool = find(pools, waiter->uuid);
        if (pool && !is_enabled(pools, pool))
            pool->libvirt = "absent"; /* who disabled it may look right now */
        end_call(waiter->call, pool, waiter->enable);
        g_ptr_array_remove_index(pools->waiters, i);
    }
}

static void wait_for_round(VirtPools *pools, const Pool *pool, bool enable, LibvirtBusCall *call) {
    if (!pools->link || !virt_link_is_up(pools->link, VIRT_STORAGE)) {
        libvirt_bus_call_end(call, NULL); /* it comes when libvirt does */
        return;
    }
    Waiter *waiter = g_new0(Waiter, 1);
    *waiter = (Waiter){ .call = call, .enable = enable, .round = pools->rounds + 1 };
    g_strlcpy(waiter->uuid, pool->uuid, sizeof waiter->uuid);
    g_ptr_array_add(pools->waiters, waiter);
}

static void enable(VirtPools *pools, Pool *pool, LibvirtBusCall *call) {
    g_autoptr(GError) error = NULL;

    if (!enabled_pools_add(pools->enabled, pool->uuid, pool->name, &error) || !settle_mount(pools, pool, &error)) {
        libvirt_bus_call_end(call, error);
        return;
    }
    wait_for_round(pools, pool, true, call);
    pools->retry = RETRY_USEC;
    round_soon(pools, 0);
}

/* The directory goes when libvirt has let it go: it is kept busy by nobody then. */
static void disable(VirtPools *pools, const Pool *pool, LibvirtBusCall *call) {
    g_autoptr(GError) error = NULL;

    if (!enabled_pools_remove(pools->enabled, pool->uuid, &error)) {
        libvirt_bus_call_end(call, error);
        return;
    }
    wait_for_round(pools, pool, false, call);
    round_soon(pools, 0);
}

/* Whether it could be done: what is to be disabled may be gone at pmemd, what is to be enabled may not. */
static bool change(VirtPools *pools, const char *name, bool is_enable, LibvirtBusCall *call) {
    Pool *pool = find(pools, name);

    if (!pool || (is_enable && !pool->known))
        return false;
    if (is_enable)
        enable(pools, pool, call);
    else
        disable(pools, pool, call);
    return true;
}

/* --- calls about pools that are not known, yet --- */

static void early_free(Early *early) {
    g_free(early->name);
    g_free(early);
}

/* Why pmemd cannot be asked now; "": it answers. */
static const char *unanswered(const VirtPools *pools) {
    return pools->ops->unanswered ? pools->ops->unanswered(pools->data) : "";
}

static void refuse(const VirtPools *pools, const Early *early) {
    g_autofree char *cut = g_strndup(early->name, NAME_SHOWN);
    g_autofree char *shown = g_utf8_make_valid(cut, -1);
    const char *why = unanswered(pools);
    g_autoptr(GError) error = NULL;

    if (why[0] == '\0')
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                    "there is no pool '%s': 'pmemctl pool list' shows the pools", shown);
    else
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_TIMED_OUT,
                    "pool '%s' is not known here, and pmemd cannot be asked for it: %s", shown, why);
    libvirt_bus_call_end(early->call, error);
}

static void set_early_timer(VirtPools *pools) {
    if (pools->early->len == 0)
        return;
    const Early *first = pools->early->pdata[0];
    (void) sd_event_source_set_time(pools->early_timer, first->deadline);
    (void) sd_event_source_set_enabled(pools->early_timer, SD_EVENT_ONESHOT);
}

static int on_early_timer(sd_event_source *source, uint64_t usec, void *data) {
    VirtPools *pools = data;

    while (pools->early->len > 0 && ((Early *) pools->early->pdata[0])->deadline <= now()) {
        refuse(pools, pools->early->pdata[0]);
        g_ptr_array_remove_index(pools->early, 0);
    }
    set_early_timer(pools);
    return 0;
}

static void try_early(VirtPools *pools) {
    for (guint i = 0; i < pools->early->len;) {
        const Early *early = pools->early->pdata[i];
        if (change(pools, early->name, early->enable, early->call))
            g_ptr_array_remove_index(pools->early, i);
        else
            i++;
    }
}

static void change_soon(VirtPools *pools, const char *name, bool is_enable, LibvirtBusCall *call) {
    if (change(pools, name, is_enable, call))
        return;
    Early *early = g_new0(Early, 1);
    *early = (Early){ .call = call, .name = g_strdup(name), .enable = is_enable, .deadline = now() + EARLY_USEC };
    g_ptr_array_add(pools->early, early);
    set_early_timer(pools);
}

static void on_enable(void *data, const char *name, LibvirtBusCall *call) {
    change_soon(data, name, true, call);
}

static void on_disable(void *data, const char *name, LibvirtBusCall *call) {
    change_soon(data, name, false, call);
}

static const char *problem_of(const VirtPools *pools, const Pool *pool) {
    if (!is_enabled(pools, pool))
        return "";
    if (!pool->known)
        return unanswered(pools)[0] != '\0'
                   ? unanswered(pools)
                   : "pmemd has no such pool any more: 'pmemctl pool disable' takes it out of libvirt, too";
    if (pool->mount_problem)
        return pool->mount_problem;
    if (!pools->link)
        return "libvirt is not used (--no-libvirt)";
    if (pool->virt_problem || !pools->ops->problem)
        return pool->virt_problem ? pool->virt_problem : "";
    return pools->ops->problem(pools->data, pool->uuid);
}

static gint by_name(gconstpointer a, gconstpointer b) {
    return strcmp((*(const LibvirtPool *const *) a)->name, (*(const LibvirtPool *const *) b)->name);
}

static GPtrArray *on_list(void *data) {
    GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify) libvirt_pool_free);
    const VirtPools *pools = data;

    for (guint i = 0; i < pools->pools->len; i++) {
        const Pool *pool = pools->pools->pdata[i];
        LibvirtPool *row = libvirt_pool_new(pool->name, pool->uuid);
        row->enabled = is_enabled(pools, pool);
        row->mounted = pool->directory != NULL;
        row->libvirt = pools->link && virt_link_is_up(pools->link, VIRT_STORAGE) ? pool->libvirt : "unreachable";
        g_free(row->problem);
        row->problem = g_strdup(problem_of(pools, pool));
        if (row->enabled) {
            g_free(row->directory);
            row->directory = directory_of(pools, pool);
        }
        g_ptr_array_add(rows, row);
    }
    g_ptr_array_sort(rows, by_name);
    return rows;
}

static void on_drop(void *data) {
    const VirtPools *pools = data;
    g_ptr_array_set_size(pools->waiters, 0);
    g_ptr_array_set_size(pools->early, 0);
}

const LibvirtBusOps *virt_pools_bus_ops(void) {
    static const LibvirtBusOps ops = { .list = on_list, .enable = on_enable, .disable = on_disable, .drop = on_drop };
    return &ops;
}

/* --- rounds --- */

static void run_round(virConnectPtr qemu, virConnectPtr storage, void *data) {
    Job *job = data;
    virt_round_run(job->round, storage);
}

/* Returns whether libvirt has it as it is to be. */
static bool take_result(VirtPools *pools, VirtRoundPool *result) {
    Pool *pool = find(pools, result->uuid);

    if (!pool)
        return true;
    if (result->problem && g_strcmp0(result->problem, pool->virt_problem) != 0)
        g_warning("pool %s (%s): %s", pool->name, pool->uuid, result->problem);
    pool->libvirt = result->libvirt;
    pool->foreign = result->foreign;
    g_free(pool->virt_problem);
    pool->virt_problem = g_steal_pointer(&result->problem);
    return !result->again && !pool->virt_problem && !pool->mount_problem;
}

/* Those that are disabled, and pmemd's or not. */
static void forget_disabled(VirtPools *pools) {
    for (guint i = pools->pools->len; i > 0; i--) {
        Pool *pool = pools->pools->pdata[i - 1];
        if (is_enabled(pools, pool))
            continue;
        unmount(pools, pool);
        pool->libvirt = "absent";
        g_clear_pointer(&pool->virt_problem, g_free);
        g_clear_pointer(&pool->mount_problem, g_free);
        if (!pool->known)
            g_ptr_array_remove_index(pools->pools, i - 1);
    }
}

static void on_round_done(void *data) {
    g_autofree Job *job = data;
    VirtPools *pools = job->pools;
    bool settled = true;

    for (guint i = 0; i < job->round->pools->len; i++)
        settled &= take_result(pools, job->round->pools->pdata[i]);
    virt_round_free(job->round);
    pools->running = false;
    pools->not_before = now() + REST * (now() - pools->began);
    end_waiters(pools, pools->rounds);
    if (pools->wanted)
        round_soon(pools, SOON_USEC);
    else {
        forget_disabled(pools);
        if (!settled) {
            round_soon(pools, pools->retry);
            pools->retry = MIN(pools->retry * 2, RETRY_MAX_USEC);
        }
    }
    if (settled)
        pools->retry = RETRY_USEC;
}

static void begin_round(VirtPools *pools) {
    Job *job = g_new0(Job, 1);

    mount_all(pools);
    job->pools = pools;
    job->round = virt_round_new(pools->parent);
    for (guint i = 0; i < pools->pools->len; i++) {
        Pool *pool = pools->pools->pdata[i];
        if (!is_enabled(pools, pool))
            continue;
        g_autofree char *directory = directory_of(pools, pool);
        virt_round_add(job->round, pool->uuid, pool->name, directory, pool->directory != NULL);
    }
    pools->running = true;
    pools->wanted = false;
    pools->rounds++;
    pools->began = now();
    virt_link_run(pools->link, run_round, job, on_round_done);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    VirtPools *pools = data;

    pools->armed = false;
    if (pools->running)
        pools->wanted = true;
    else if (pools->link)
        begin_round(pools);
    else {
        mount_all(pools);
        forget_disabled(pools);
    }
    return 0;
}

/* Not before the rest after the last one, but for a call that waits. */
static void round_soon(VirtPools *pools, uint64_t usec) {
    uint64_t due = now() + usec;

    if (pools->running) {
        pools->wanted = true;
        return;
    }
    if (pools->waiters->len == 0)
        due = MAX(due, pools->not_before);
    if (pools->armed && pools->due <= due)
        return;
    pools->armed = true;
    pools->due = due;
    (void) sd_event_source_set_time(pools->timer, due);
    (void) sd_event_source_set_enabled(pools->timer, SD_EVENT_ONESHOT);
}

/* --- news --- */

void virt_pools_set_link(VirtPools *pools, VirtLink *link) {
    pools->link = link;
}

void virt_pools_link_changed(VirtPools *pools) {
    pools->retry = RETRY_USEC;
    if (virt_link_is_up(pools->link, VIRT_STORAGE))
        round_soon(pools, 0);
}

void virt_pools_mount_lost(VirtPools *pools, const char *uuid) {
    Pool *pool = find(pools, uuid);

    if (!pool || !pool->directory)
        return;
    pool->lost = true;
    round_soon(pools, SOON_USEC);
}

static void rename_pool(VirtPools *pools, Pool *pool, const char *name) {
    g_autoptr(GError) error = NULL;

    if (strcmp(pool->name, name) == 0)
        return;
    g_free(pool->name);
    pool->name = g_strdup(name);
    if (is_enabled(pools, pool) && !enabled_pools_add(pools->enabled, pool->uuid, name, &error))
        g_warning("%s, ignoring: the pool's name is found out anew at the next start", error->message);
}

void virt_pools_set_names(VirtPools *pools, const VirtPoolsName *names, guint n) {
    for (guint i = 0; i < pools->pools->len; i++)
        ((Pool *) pools->pools->pdata[i])->known = false;
    for (guint i = 0; i < n; i++) {
        Pool *pool = find_or_add(pools, names[i].uuid, names[i].name);
        pool->known = true;
        rename_pool(pools, pool, names[i].name);
    }
    mount_all(pools);
    for (guint i = pools->pools->len; i > 0; i--) {
        Pool *pool = pools->pools->pdata[i - 1];
        if (!is_enabled(pools, pool) && !pool->known && !pool->directory)
            g_ptr_array_remove_index(pools->pools, i - 1);
    }
    try_early(pools);
    round_soon(pools, SOON_USEC);
}

/* --- start and end --- */

VirtPools *virt_pools_new(sd_event *event, const char *parent, EnabledPools *enabled, const VirtPoolsOps *ops,
                          void *data) {
    VirtPools *pools = g_new0(VirtPools, 1);

    *pools = (VirtPools){
        .event = sd_event_ref(event), .parent = g_strdup(parent), .enabled = enabled, .ops = ops, .data = data
    };
    pools->retry = RETRY_USEC;
    pools->pools = g_ptr_array_new_with_free_func((GDestroyNotify) pool_free);
    pools->waiters = g_ptr_array_new_with_free_func(g_free);
    pools->early = g_ptr_array_new_with_free_func((GDestroyNotify) early_free);
    if (sd_event_add_time(event, &pools->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, pools) < 0 ||
        sd_event_source_set_enabled(pools->timer, SD_EVENT_OFF) < 0 ||
        sd_event_add_time(event, &pools->early_timer, CLOCK_MONOTONIC, 0, 1000, on_early_timer, pools) < 0 ||
        sd_event_source_set_enabled(pools->early_timer, SD_EVENT_OFF) < 0)
        g_error("no timer for the pools"); /* out of descriptors at the very start */
    for (guint i = 0; i < enabled_pools_n(enabled); i++) {
        const EnabledPool *pool = enabled_pools_get(enabled, i);
        find_or_add(pools, pool->uuid, pool->name);
    }
    return pools;
}

void virt_pools_free(VirtPools *pools) {
    if (!pools)
        return;
    for (guint i = 0; i < pools->pools->len; i++)
        unmount(pools, pools->pools->pdata[i]);
    sd_event_source_disable_unref(pools->timer);
    sd_event_source_disable_unref(pools->early_timer);
    g_ptr_array_unref(pools->early);
    g_ptr_array_unref(pools->waiters);
    g_ptr_array_unref(pools->pools);
    sd_event_unref(pools->event);
    g_free(pools->parent);
    g_free(pools);
}
