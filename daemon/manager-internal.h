/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the files of the manager share: the queue's element (Op) and the steps that more than one kind of operation
 * takes. manager.c is the queue and the public face; manager-limits.c its bounds; manager-journal.c the journals;
 * manager-bad.c keeps bad frames; manager-start.c recovers; manager-listing.c takes in what the platform shows,
 * manager-follow.c what became of the pools' own devices meanwhile;
 * manager-backend.c calls the backend; manager-create.c, manager-pool.c, manager-release.c, manager-erase.c,
 * manager-lease.c, manager-adopt.c, manager-forget.c and manager-repair.c are the operations. Nobody else includes it.
 */
#pragma once

#include "daemon/journal.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/worker.h"
#include "proto/error.h"

typedef struct Op Op;

struct Manager {
    sd_event *event;
    Backend *backend;
    Worker *worker;
    State *state;
    Stats *stats;
    char *state_dir;
    ManagerLimits limits;
    ManageList *manage;   /* NULL: all */
    GPtrArray *listeners; /* Listener * */
    GQueue queue;         /* Op *, waiting */
    Op *current;          /* the one at hand, or NULL */
    ManagerState summary;
    char *summary_reason; /* NULL when OK */
    bool recovering;      /* until the platform was compared with the journals */
    bool refreshing;      /* a refresh waits; one that runs may have passed what changes now */
    bool stopping;
    bool pumping;                   /* manager_pump() is on the stack */
    sd_event_source *stuck_timer;   /* runs while the worker has an operation at hand */
    bool stuck;                     /* it has for longer than limits.stuck_usec */
    bool erase_stuck;               /* a piece of an erase has not ended for so long */
    uint64_t handed_usec;           /* CLOCK_MONOTONIC: since when it has it */
    sd_id128_t boot_id, machine_id; /* null: not known */
    GHashTable *refused;            /* sd_id128_t *: mgmt devices that are there, and were not used for a reason */
    GQueue released;                /* JfRequest *: answers for pools that are gone, oldest first; in RAM alone */
};

typedef struct {
    ManagerDone done;
    void *data;
} Waiter;

/* One queued operation, and all that its steps hand on to each other. Between worker steps only the loop's thread
 * touches it. */
struct Op {
    Manager *m;
    void (*start)(Op *op); /* takes the operation up; ends in op_finish(), then or later */
    ManagerRequest request;
    char *name, *pool_key, *user, *key, *owner_user; /* owned copies of the request's strings */
    uint64_t hash;
    GArray *waiters;      /* Waiter: whoever asked, and who joined by request-id */
    uint64_t queued_usec; /* when it came in; 0: no caller waits for it */
    bool retried;
    bool looked; /* the platform was listed because a refusal could be out of date */

    WorkerFunc work_done; /* of the step that the worker has */

    /* what the loop decided */
    sd_id128_t uuid, device_uuid; /* region or pool at hand, and its device */
    RegionPlan plan;
    uint64_t txid;
    char tag[BACKEND_TAG_MAX];
    char *raw_id;
    JfSuperblock sb;
    JfRequest answer;

    /* what the worker found */
    BackendListing *listing;
    BackendDevice *device;
    BackendOutcome outcome;
    bool ok;
    bool is_mgmt; /* forget: the device is a mgmt region's */
    bool cleaned; /* a failed setup left nothing behind */
    bool renew;   /* the device is to be renewed first */
    BackendLoan *loan;
    bool releases; /* the erase that ends was of a release */
    GError *error;
    GError *asked_error; /* what the caller is to be told once things are settled */
    Medium *medium;
    BackendContent *content;
    MapperList *mappers; /* who has the device mapped */
    ManagerContentDone content_done;
    void *content_data;
    GPtrArray *media;         /* start: FoundMedium * */
    GArray *doomed;           /* start: Doomed, devices to be destroyed */
    GArray *kept;             /* start: sd_id128_t, mgmt devices that no setup hint may destroy */
    GHashTable *fresh;        /* refresh: sd_id128_t *, in the listing: mgmt devices that are not open yet */
    GArray *tried;            /* refresh: sd_id128_t, pools whose journal was opened again, or not */
    JfVerdict verdict;        /* refresh: of the superblock found */
    guint next;               /* start: index into doomed */
    GArray *bad;              /* frame-set: to be cleared */
    GArray *cleared;          /* frame-set: what was */
    void (*settled)(Op *op);  /* op_settle(): what comes after it */
    void (*reopened)(Op *op); /* op_reopen_pools(): what comes after it */
};

/* manager.c */
Op *op_new(Manager *m, void (*start)(Op *op));
void op_add_waiter(Op *op, ManagerDone done, void *data);
void op_enqueue(Op *op, bool in_front);
/* Answers everybody before the news is told: who asked is not to wait for what others are told. op_finish() follows. */
void op_answer(Op *op, sd_id128_t result, const GError *error);
/* Answers everybody, frees op, takes up the next. error is copied; NULL: success with result. */
void op_finish(Op *op, sd_id128_t result, const GError *error);
/* Has run called on the worker's thread and then done on the loop's. */
void op_work(Op *op, WorkerFunc run, WorkerFunc done);
void manager_update_summary(Manager *m);

void manager_tell_pool_added(Manager *m, const Pool *pool);
void manager_tell_pool_removed(Manager *m, sd_id128_t uuid);
void manager_tell_pool_changed(Manager *m, const Pool *pool);
void manager_tell_region_added(Manager *m, const Region *region);
void manager_tell_region_removed(Manager *m, sd_id128_t uuid, sd_id128_t pool_uuid);
void manager_tell_removing(Manager *m);
void manager_tell_region_changed(Manager *m, const Region *region);
void manager_tell_to_erase(Manager *m, const Region *region);
void manager_tell_health(Manager *m, sd_id128_t uuid, const char *old, const char *now);
void manager_tell_platform(Manager *m);
void manager_tell_ready(Manager *m, const GError *error);
/* Sets the state and tells when it differs. event: what the log calls it; EVENT_NONE: nothing that anybody must act
 * on. */
void manager_set_region_state(Manager *m, Region *region, RegionState state, Event event, const char *reason);
void manager_set_pool_state(Manager *m, Pool *pool, PoolState state, Event event, const char *reason);

/* manager-journal.c: persist, then apply. A failed write turns the pool read-only. */
bool manager_append(Manager *m, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len,
                    GError **error);
/* Whether what is acknowledged would be found again. false: the pool is read-only, as its file was removed or cut. */
bool manager_check_intact(Manager *m, Pool *pool, GError **error);
bool manager_append_commit(Manager *m, Region *region, FrameRange device, GError **error);
bool manager_append_abort(Manager *m, Region *region, PmemdError reason, GError **error);
/* Takes medium over on success: replays its journal into a new pool of the state. The superblock has been probed and
 * checked. */
Pool *manager_open_pool(Manager *m, Medium *medium, const JfSuperblock *sb, FrameRange device, GError **error);
void manager_close_pool(Pool *pool);
/* Of a pool, and of all that its journal has, which nobody was told of. */
void manager_tell_opened(Manager *m, const Pool *pool);
/* What the journal that was just opened says of the pool's own state; of one that may be written: the mark of a start. */
void manager_take_verdict(Manager *m, Pool *pool);
/* Replays the journal on medium in old's place, as a start does, and tells of it; takes medium over. NULL: the pool is
 * gone. What the platform has of it is to be listed again. */
Pool *manager_replace_pool(Manager *m, Pool *old, Medium *medium, GError **error);
/* ERASE_PROGRESS of the region. */
bool manager_append_erase(Manager *m, Region *region, const Erase *erase, GError **error);
/* Keeps a copy of the journal, once for each state of it; where. */
char *manager_keep_evidence(Manager *m, const Pool *pool, GError **error);
/* For journal_salvage() and journal_repair(): a record applied to, and all records of, a pool of any state. */
typedef struct {
    State *state;
    Pool *pool;
} ManagerApply;
bool manager_apply_record(const JournalRecord *record, void *data, GError **error);
void manager_emit_snapshot(JournalSnapshot *snapshot, void *data);
/* Writes all that the model has of the pool into the journal's other area. */
bool manager_checkpoint(Manager *m, Pool *pool, GError **error);
/* The mark of a start on this machine. */
bool manager_append_open(Manager *m, Pool *pool, GError **error);
/* Was the pool, which can be written else, last used on another machine? */
bool manager_is_other_machines(const Manager *m, const Pool *pool);
uint64_t manager_now_usec(void);

/* manager-backend.c: the backend's operations, as backend.h has them, and timed. On the worker's thread. */
BackendListing *manager_backend_list(Manager *m, GError **error);
bool manager_backend_destroy(Manager *m, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
bool manager_backend_renew(Manager *m, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
BackendLoan *manager_backend_lend(Manager *m, sd_id128_t uuid, GError **error);
Medium *manager_backend_open_medium(Manager *m, sd_id128_t uuid, GError **error);
BackendContent *manager_backend_open_content(Manager *m, sd_id128_t uuid, GError **error);
/* Worker step: who has op->device_uuid mapped: op->mappers or op->error. */
void op_run_mappers(void *data);
/*
 * After op_run_mappers(): BUSY when somebody has it mapped, or may have. Names the processes of `viewer` alone, to
 * MAPPERS_EVERYBODY all. what: what is refused, "data region UUID cannot be released".
 */
bool op_check_unmapped(const Op *op, uid_t viewer, const char *what, GError **error);
/* Worker step's end: an op->error that is BUSY becomes op->asked_error, and op->mappers is who is in the way. */
void op_ask_in_the_way(Op *op);
/*
 * On the loop after that: op->error is what the region may say, to its owner and to those who may know of all processes, so
 * nothing of other users'; the log says it all. waits: for what, "erased".
 */
void op_tell_in_the_way(Op *op, const char *waits);
/* As whom the request's user sees the processes of others. */
uid_t op_viewer(const Op *op);
bool manager_backend_clear_bad(Manager *m, const BackendClear *clear, GError **error);
/* Worker step: op->listing or op->error. */
void op_run_list(void *data);
/* Worker step: makes (op->plan.device, op->device_uuid, op->tag) in op->raw_id; op->device, or op->outcome and
 * op->error. */
void op_run_create(void *data);
/* Whether op->device is where the plan has it. */
bool op_check_created(const Op *op, GError **error);
/* Worker step: destroys (op->device_uuid, op->tag); op->ok, op->outcome or op->error. */
void op_run_destroy(void *data);

/* manager-start.c */
void start_op_begin(Op *op);
/* Compares the regions of pool (NULL: all) with op->listing, and finishes or undoes what was cut off; then calls
 * settled. */
void op_settle(Op *op, Pool *pool, void (*settled)(Op *op));

/* An erase before the first guest that was cut off, or had not begun, goes on. */
void manager_tell_if_to_erase(Manager *m, const Region *region);
/* Opens the pools of mgmt devices in op->listing that came since the start, as that does; then calls op->reopened. */
void op_open_new_pools(Op *op);

/* manager-follow.c: while pmemd runs, devices of its own go and come back. */
/* Takes in what the listing shows of all regions and pools: missing, or as they were; a pool whose device is gone is
 * read-only, and its journal closed. */
void manager_follow(Manager *m, const BackendListing *listing);
/* After it: opens the journals of pools whose device is back, or new, by op->listing; then calls settled. */
void op_reopen_pools(Op *op, void (*settled)(Op *op));

/* manager-adopt.c */
/* The device that is no region's or pool's, by its name or uuid. */
Foreign *manager_find_device(Manager *m, const char *key, GError **error);
const BackendDevice *listing_find_foreign(const BackendListing *listing, const Foreign *foreign);
const Region *manager_region_of_device(const Manager *m, sd_id128_t device_uuid);
/* Is it the only one with its uuid? */
bool manager_check_unique(const Manager *m, const BackendListing *listing, const BackendDevice *device, GError **error);
/* Makes the orphan a region, durably; foreign is gone then. The wish's device and usable frames are looked up. NULL:
 * it is as it was, or the pool's journal failed. */
Region *op_adopt(Op *op, Foreign *foreign, const AdoptRequest *wish, GError **error);

/* manager-listing.c */
void refresh_start(Op *op);
/* Brings the state's raw regions up to date with a listing. */
void manager_take_raws(Manager *m, const BackendListing *listing);
/* The same, and its foreign devices. */
void manager_take_listing(Manager *m, const BackendListing *listing);
/* After op_run_list(): takes what it found; what cannot be read leaves the state as it was. */
void op_take_listing(Op *op);
void op_drop_listing(Op *op);
/*
 * A refusal for what others occupy may be out of date: they may be gone, and the event not come yet. true: the platform is
 * listed, once an operation, and the operation started again; false: the refusal stands.
 */
bool op_look_again(Op *op, const GError *refusal);
/* A leftover that only its tag makes ours: deleted without being asked for where all is ours to use alone. */
bool manager_may_clean(const Manager *m, const BackendDevice *device);
const BackendDevice *listing_find(const BackendListing *listing, sd_id128_t uuid);
/* Why there is no device at these frames of raw (NULL: not on the platform), in words; the caller's. */
char *listing_describe_absent(const BackendListing *listing, FrameRange device, const Raw *raw);
/* A listing's devices by uuid. Several may have one, when labels were copied. Borrows them. */
typedef struct {
    GHashTable *first;  /* sd_id128_t * -> BackendDevice * */
    GHashTable *others; /* sd_id128_t * -> GPtrArray of BackendDevice *: those behind the first */
} DeviceTable;
void device_table_fill(DeviceTable *table, const BackendListing *listing);
void device_table_clear(DeviceTable *table);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DeviceTable, device_table_clear)
/* The one at these frames, else the first: a copy elsewhere does not make the region's own one go missing. NULL: none. */
const BackendDevice *device_table_find(const DeviceTable *table, sd_id128_t uuid, FrameRange device);

/* manager-bad.c: bad frames that the platform shows are journalled with the regions that have them, and news of them
 * told. */
void manager_take_bad(Manager *m);
/* The same of one region, which may be new. */
void manager_take_bad_of(Manager *m, BadHolder holder);

/* Notes of pools whose journal a power-off takes. */
void manager_note_in_ram(Manager *m, const Pool *pool);
void manager_forget_in_ram(Manager *m, sd_id128_t uuid);
void manager_compare_in_ram(Manager *m); /* once all pools of the platform are open */
/* The starts of the operation, and of what it does for a region whose content is to be erased whole. */
void clear_bad_start(Op *op);
/* Worker step: clears op->bad in op->raw_id, of the device (op->device_uuid, op->tag) unless that is null. op->cleared
 * gets what could be; op->ok, or op->error. */
void op_run_clear(void *data);
/* On the loop, after it: journals what was cleared of the region (NULL: of nobody), whose raw region this is. */
void manager_take_cleared(Manager *m, Region *region, Raw *raw, const GArray *cleared);

/* manager-limits.c: whether the raw region is listed in Manage=. */
bool manager_is_managed(const Manager *m, const Raw *raw);
/* What the request's user may own; root: no limit. */
OwnerLimits manager_owner_limits(const Manager *m, uint32_t uid, const QuotaLimit *quota);

/* The decision of a setup or allocate request, name and journal room included: Plan's answer and the creation's. */
bool manager_decide_data(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error);
bool manager_decide_mgmt(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error);

/* manager-create.c, manager-pool.c, manager-release.c: the starts of the operations */
void create_data_start(Op *op);
void create_mgmt_start(Op *op);
void release_data_start(Op *op);
void release_mgmt_start(Op *op);
void rename_start(Op *op);
void set_owner_start(Op *op);
void finish_erase_start(Op *op);
/* The content of the quarantined region at hand is erased: its device's end, then the region's. */
void finish_release(Op *op, const Region *region);
void adopt_start(Op *op);
void forget_start(Op *op);
void repair_start(Op *op);

/* manager-lease.c */
void attach_start(Op *op);
void detach_start(Op *op);
/* Of leases of before the start, whether anybody still uses them is not known: said once. */
void manager_tell_unconfirmed(Manager *m);
