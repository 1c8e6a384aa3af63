/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The only writer: takes requests, queues them, lets rules decide, journals, has the backend do, applies, answers.
 * Promises: one change at a time; an answer is given only when what it says is durable; a failure whose outcome is not
 * known leaves frames reserved. Lists read manager_state() at any time, also while a change runs. All on the loop's
 * thread; the backend is called on the worker's.
 */
#pragma once

#include "daemon/backend.h"
#include "daemon/manage-list.h"
#include "daemon/quota.h"
#include "daemon/rules.h"
#include "daemon/stats.h"

#include <systemd/sd-event.h>

typedef struct Manager Manager;

typedef enum {
    MANAGER_SETUP_MGMT = 1, /* numbers are journalled with request-ids: never reuse one */
    MANAGER_SETUP_DATA = 2,
    MANAGER_ALLOCATE_MGMT = 3,
    MANAGER_ALLOCATE_DATA = 4,
    MANAGER_RELEASE_DATA = 5,
    MANAGER_RELEASE_MGMT = 6,
    MANAGER_RENAME = 7,
    MANAGER_SET_OWNER = 8,
    MANAGER_ATTACH = 9,
    MANAGER_DETACH = 10,
    MANAGER_ADOPT = 13,
    MANAGER_FORGET = 14,
    MANAGER_REPAIR = 15,
    MANAGER_CLEAR_BAD_FRAMES = 20,
} ManagerMethod;

/* What Repair found or did; the submitter's, filled before its answer is given. */
typedef struct {
    bool needed; /* the journal is corrupt; else there is nothing to repair */
    bool applied;
    char *evidence;     /* where the copy of the journal is; NULL: none */
    guint kept;         /* data regions that the pool has after it */
    guint lost;         /* data regions that the good part of the journal told of, and that it cannot keep */
    guint lost_records; /* whole records behind the fault */
    guint orphans;      /* devices of the pool that what is kept does not know */
    guint missing;      /* data regions that are kept, but whose device is not there */
    GPtrArray *lines;   /* char *: all of it in words */
} RepairReport;

RepairReport *repair_report_new(void);
void repair_report_free(RepairReport *report); /* NULL is fine */

/* One request for a change. Strings are copied by manager_submit(). */
typedef struct {
    ManagerMethod method;
    uint32_t uid;          /* of the caller: becomes the owner */
    const char *user;      /* its name, "" unknown */
    QuotaLimit quota;      /* of whoever the data region is to belong to */
    bool others;           /* the caller may change what belongs to other users */
    sd_id128_t request_id; /* null: none */
    union {
        MgmtRequest mgmt;           /* SETUP_MGMT, ALLOCATE_MGMT */
        DataRequest data;           /* SETUP_DATA, ALLOCATE_DATA */
        struct {                    /* the others */
            sd_id128_t uuid;        /* region, or pool */
            const char *name;       /* RENAME; "" takes it away */
            uint32_t owner_uid;     /* SET_OWNER */
            const char *owner_user; /* SET_OWNER */
            bool verify_all;        /* RELEASE_DATA: each byte is to be read back */
            const char *raw; /* CLEAR_BAD_FRAMES: id of the raw region whose free frames are meant; NULL: uuid's */
            bool force;      /* CLEAR_BAD_FRAMES: also while somebody has the region */
            GArray *lost;    /* CLEAR_BAD_FRAMES: gets ManagerLost: what was cleared; referenced until done */
        } target;
        struct {                  /* ATTACH, DETACH */
            sd_id128_t uuid;      /* region */
            const char *owner;    /* valid; DETACH with force also "" */
            const char *sender;   /* ATTACH: the caller's connection, which the lease may end with */
            sd_id128_t bus_id;    /* the run of the bus that it is on */
            uint64_t guest_frame; /* of the region's first frame */
            bool has_guest_frame;
            bool has_until, disconnect;
            bool allow_degraded;
            bool force; /* DETACH */
        } lease;
        struct {                   /* ADOPT, FORGET, REPAIR */
            const char *key;       /* name or uuid of a device; uuid of a region (FORGET) or pool */
            const char *mgmt;      /* ADOPT, FORGET of an orphan: uuid or name of a pool; NULL: chosen */
            const char *name;      /* ADOPT: of the region; NULL: none */
            uint64_t extent_start; /* ADOPT: UINT64_MAX: chosen */
            uint32_t owner_uid;    /* ADOPT */
            const char *owner_user;
            bool destroy; /* FORGET: a device may be destroyed for it */
            bool apply;   /* REPAIR: do it */
            bool force;   /* REPAIR: also without evidence */
            RepairReport *report;
        } repair;
    };
} ManagerRequest;

/* Frames whose content is, or would be, lost by clearing them. */
typedef struct {
    sd_id128_t region; /* null: nobody's */
    FrameRange frames;
    uint64_t
        offset; /* bytes, of the first one: from the region's first usable byte, else from the raw region's start */
} ManagerLost;

/* Exactly one call per manager_submit(), later or (refusals) before it returns. result: uuid of the region or pool
 * that was made, released or changed; null with error set. data is the submitter's. */
typedef void (*ManagerDone)(void *data, sd_id128_t result, const GError *error);

typedef enum {
    MANAGER_RECOVERING,
    MANAGER_OK,
    MANAGER_DEGRADED,
    MANAGER_READ_ONLY,
} ManagerState;
const char *manager_state_to_string(ManagerState state);

/* News, for whoever stands above. Any member may be NULL. Called on the loop's thread, after the state changed. */
typedef struct {
    void (*pool_added)(void *data, const Pool *pool);
    void (*pool_removed)(void *data, sd_id128_t uuid);
    void (*pool_changed)(void *data, const Pool *pool); /* name, owner, used frames, ... */
    void (*region_added)(void *data, const Region *region);
    void (*region_removed)(void *data, sd_id128_t uuid, sd_id128_t pool_uuid);
    void (*region_changed)(void *data, const Region *region);
    void (*health_changed)(void *data, sd_id128_t uuid, const char *old_state, const char *new_state,
                           const char *reason);
    void (*platform_read)(void *data); /* raw regions and foreign devices are up to date; not while recovering */
    void (*region_to_erase)(void *data, const Region *region); /* state_erase() of it is wanted, or another one now */
    void (*removing)(void *data);        /* a region or pool that may have been told of is about to be removed */
    void (*summary_changed)(void *data); /* State, counts, totals */
    void (*ready)(void *data, const GError *error); /* the journals are replayed (or why not); once */
} ManagerEvents;

typedef struct {
    guint max_queue;           /* requests that wait, in total (default 256) */
    guint max_queue_per_uid;   /* and of one user (default 64); root and the daemon's user: the total alone */
    uint64_t stuck_usec;       /* an operation of the backend that takes longer is reported (State); 0: none is */
    guint max_regions_per_uid; /* data regions of one user; 0: no limit; root: none */
    guint max_leases_per_uid;  /* data regions that one user has attached; 0: no limit; root: none */
} ManagerLimits;

/* Takes backend over. state_dir exists. Starts the worker; manager_start() begins to read the platform. */
Manager *manager_new(sd_event *event, Backend *backend, const char *state_dir, ManagerLimits limits, GError **error);
void manager_add_events(Manager *m, const ManagerEvents *events,
                        void *data); /* events are copied; any number of listeners */
void manager_start(Manager *m);
/* Count at once: what waits or runs already is not looked at again. */
void manager_set_limits(Manager *m, ManagerLimits limits);
/* Which raw regions a place may be chosen in, and labels be made in; until it is called: all. Takes a reference. */
void manager_set_manage(Manager *m, const ManageList *manage);
/* The platform may have changed: reads it again when its turn comes, and brings raw regions and foreign devices up
 * to date. Any number of calls until then are one. */
void manager_refresh(Manager *m);
/* Lets the operation at hand end, refuses what waits (Busy), closes the journals. */
void manager_free(Manager *m);

const State *manager_state(const Manager *m);
ManagerState manager_get_state(const Manager *m);
const char *manager_state_reason(const Manager *m); /* "" when OK */
const char *manager_backend_name(const Manager *m);
/* Of this host; null: not known. */
sd_id128_t manager_machine_id(const Manager *m);
guint manager_queued(const Manager *m);
/* What was counted so far; the bus and the eraser add theirs. */
Stats *manager_stats(const Manager *m);
/* Bytes of the pool's journal that are in use, of those that one area has; 0 while it is not open. */
void manager_journal_usage(const Pool *pool, uint64_t *ret_used, uint64_t *ret_area);
/* Is there room for one more request of this user, when so many more wait elsewhere to be submitted, in total and of the
 * user? LIMITS_EXCEEDED. */
bool manager_check_limits(const Manager *m, uint32_t uid, guint elsewhere, guint elsewhere_of_uid, GError **error);

/* A change. Authorization has been done, but for whose the region is: that is decided when its turn has come, as
 * requests before it may give the region to somebody else (NOT_AUTHORIZED). hash: of all arguments (for request-ids: the same id with another hash is
 * refused). */
void manager_submit(Manager *m, const ManagerRequest *request, uint64_t hash, ManagerDone done, void *data);

/* In ManagerDone of an ATTACH that was done, and then alone: the device, opened. The callee's; what is not taken is closed. */
BackendLoan *manager_take_loan(Manager *m);
/* The connection that this region's lease ends with is gone. What has another lease by now keeps it. */
void manager_disconnected(Manager *m, sd_id128_t region_uuid, const char *sender, sd_id128_t bus_id);

/* The decision alone, at once. method: one of the four setup / allocate ones. */
bool manager_plan(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error);

/* What CLEAR_BAD_FRAMES would clear now: appends ManagerLost to lost. False: it would be refused. */
bool manager_plan_clear(Manager *m, const ManagerRequest *request, GArray *lost, GError **error);

/* For the eraser. Opens the content on the backend's worker; content is the callee's. */
typedef void (*ManagerContentDone)(void *data, BackendContent *content, const GError *error);
void manager_open_content(Manager *m, sd_id128_t region_uuid, ManagerContentDone done, void *data);
/* Is the region's content still to be destroyed, for its release or (released: false) for its first guest? Asked before
 * each piece. */
bool manager_may_erase(Manager *m, sd_id128_t region_uuid, bool released, GError **error);
/* So many bytes from the start of the region read as zeros, durably: a restart goes on there. false: it could not be
 * journalled, or the region is not to be erased any more. */
bool manager_erase_progress(Manager *m, sd_id128_t region_uuid, uint64_t offset, GError **error);
/* The erase did not come to its end: a quarantined region says why until it is released again. The next try begins at
 * the first byte. */
void manager_erase_failed(Manager *m, sd_id128_t region_uuid, const char *reason);
/* The content reads as zeros, durably. Released: destroy the device, free the frames (BUSY: it is not released). Else:
 * the region is clean (BUSY: it was released meanwhile). done as for submit. */
void manager_finish_erase(Manager *m, sd_id128_t region_uuid, bool released, ManagerDone done, void *data);
/* Nothing runs and nothing waits. */
bool manager_is_idle(const Manager *m);
/* When an operation that has not ended is to be reported; 0: never. */
uint64_t manager_stuck_usec(const Manager *m);
/* A piece of the erase has not ended for that long, or has now: part of the daemon's state. */
void manager_set_erase_stuck(Manager *m, bool stuck);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manager, manager_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RepairReport, repair_report_free)
