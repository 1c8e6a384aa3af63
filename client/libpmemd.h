/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libpmemd: the C library of pmemd's clients, over sd-bus.
 *
 * Promises: every call is synchronous and waits as long as the daemon needs (no timeout of its own); lists are
 * complete, their pages are followed to the end; results are the caller's, to be freed by the function named with each.
 * Frames are 4096 bytes, ranges half open, sizes bytes unless a name says frames. proto/org.pmemd1.xml describes every
 * field at length. Callers without privilege see frames as 0, device paths and owners as "".
 *
 * A PmemdClient belongs to one thread. The library keeps no other state, prints nothing and never exits.
 *
 * Errors: PMEMD_ERROR (proto/error.h) with the daemon's own message when the daemon refused, or the bus did not let us
 * ask (NOT_AUTHORIZED); PMEMD_CLIENT_ERROR when there was no answer. Out parameters are untouched on failure.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/types.h"

#define PMEMD_CLIENT_ERROR (pmemd_client_error_quark())
GQuark pmemd_client_error_quark(void);

typedef enum {
    PMEMD_CLIENT_ERROR_UNREACHABLE, /* no bus, or no pmemd on it: nothing was done */
    PMEMD_CLIENT_ERROR_LOST,        /* bus or pmemd went away during the call: it may have been done or not */
    PMEMD_CLIENT_ERROR_PROTOCOL,    /* the answer is not what this version of the interface promises */
} PmemdClientError;

/* --- connection --- */

typedef struct PmemdClient PmemdClient;

/* Connects to the bus "system", "session" or an ADDRESS such as "unix:path=/run/x". Does not ask whether pmemd runs.
 * Errors: UNREACHABLE. Free: pmemd_client_free. */
PmemdClient *pmemd_client_open(const char *bus, GError **error);
void pmemd_client_free(PmemdClient *client); /* NULL is fine */
/* Whether polkit may ask the user for a password during a call. Off at first. */
void pmemd_client_set_interactive(PmemdClient *client, bool interactive);

/* --- what a request says --- */

typedef enum {
    PMEMD_OPERATION_SETUP_MGMT,
    PMEMD_OPERATION_SETUP_DATA,
    PMEMD_OPERATION_ALLOCATE_MGMT,
    PMEMD_OPERATION_ALLOCATE_DATA,
    PMEMD_N_OPERATIONS,
} PmemdOperation;

/* "SetupMgmt", ... Static. */
const char *pmemd_operation_to_string(PmemdOperation operation);

/* One of the four creating operations. Zero (NULL, false) means "not given" for all options: the daemon's default. An
 * option that the operation does not take is sent all the same, for the daemon to refuse. Strings are borrowed. */
typedef struct {
    PmemdOperation operation;
    FrameRange frames;      /* Setup*: what is to be usable */
    FrameRange mgmt_frames; /* SetupData: where the management extent is to come from */
    uint64_t bytes;         /* Allocate*: usable bytes, at least */

    const char *name;
    const char *profile;  /* mgmt: "xen", "linux", "none" */
    const char *mgmt;     /* AllocateData: uuid or name of the pool */
    uint32_t max_regions; /* mgmt */
    uint64_t alignment;   /* Allocate*: bytes, of the first usable frame */
    bool init_labels;     /* mgmt: write labels to DIMMs that have none */
    bool has_node;
    int32_t node;           /* Allocate*, if has_node: proximity domain */
    const char *request_id; /* uuid; makes a repetition answer with the first result. Not sent with a plan. */
} PmemdRequest;

/* --- results --- */

typedef struct {
    char *id;
    FrameRange frames;
    uint64_t bytes; /* of frames */
    int32_t node;   /* proximity domain; -1 unknown, as all nodes */
    int32_t local_node;
    uint64_t step, lead, minimum, free_bytes, largest_gap; /* bytes */
    char *kind;                                            /* "labelled", "unlabelled", "file" */
    char *persistence;
    char *state; /* "ok", or why it is unusable */
} PmemdRaw;

typedef struct {
    char *uuid, *name;
    FrameRange frames;
    uint64_t bytes;
    uint64_t used_frames; /* high-water mark from frames.start */
    uint64_t free_frames; /* exact */
    int32_t node, local_node;
    uint32_t data_regions;
    char *profile, *state;
    uint32_t owner_uid;
    char *owner, *device_path;
} PmemdMgmt;

typedef struct {
    char *uuid, *name;
    FrameRange frames;
    uint64_t bytes;
    char *pool; /* uuid of the management region */
    FrameRange extent;
    int32_t node, local_node;
    char *state; /* "ok", "creating", "quarantined", "missing", "unsettled" */
    bool dirty;  /* not erased since the frames were somebody else's */
    uint32_t owner_uid;
    char *owner, *device_path;
} PmemdData;

typedef struct {
    char *name;
    FrameRange frames; /* of the device, all of it */
    uint64_t bytes;
    char *mode, *kind; /* kind: "foreign", "orphan", "unformatted" */
    char *raw;         /* id of the raw region it lies in */
} PmemdForeign;

/* One mgmt or data region with all its properties. Fields that are of the other kind are 0 or "". */
typedef struct {
    char *path; /* of its D-Bus object */
    char *kind; /* "mgmt", "data" */
    char *uuid, *name;
    FrameRange frames;
    uint64_t bytes;
    char *pool;
    FrameRange extent;
    uint64_t used_frames, free_frames;
    int32_t node, local_node;
    char *device_path, *state, *state_reason;
    uint32_t owner_uid;
    char *owner, *profile;
    bool dirty;
    uint64_t created_usec; /* realtime, for display */
} PmemdRegion;

typedef struct {
    FrameRange frames, device, extent;
    uint64_t usable_bytes, requested_bytes, wasted_bytes, overhead_bytes, host_memory_bytes;
    uint64_t journal_frames, required_frames;
    int32_t node, local_node;
    char *raw, *pool;
} PmemdPlan;

typedef struct {
    char *version, *backend, *state, *state_reason;
    uint32_t raw_regions, mgmt_regions, data_regions, foreign_devices;
    uint64_t raw_bytes, mgmt_bytes, data_bytes, free_bytes;
    uint64_t queued_requests;
} PmemdStatus;

typedef struct {
    char *kind, *region, *state; /* region: object path */
    double progress;             /* 0..1 */
    uint64_t bytes_done, bytes_total, rate;
} PmemdJob;

void pmemd_raw_free(PmemdRaw *raw);
void pmemd_mgmt_free(PmemdMgmt *mgmt);
void pmemd_data_free(PmemdData *data);
void pmemd_foreign_free(PmemdForeign *foreign);
void pmemd_region_free(PmemdRegion *region);
void pmemd_plan_free(PmemdPlan *plan);
void pmemd_status_free(PmemdStatus *status);
void pmemd_job_free(PmemdJob *job);

/* --- asking: nothing changes --- */

/* Arrays of PmemdRaw, PmemdMgmt, PmemdData, PmemdForeign in the order (start frame, id). Free: g_ptr_array_unref. */
GPtrArray *pmemd_client_list_raw(PmemdClient *client, GError **error);
GPtrArray *pmemd_client_list_mgmt(PmemdClient *client, GError **error);
GPtrArray *pmemd_client_list_data(PmemdClient *client, GError **error);
GPtrArray *pmemd_client_list_foreign(PmemdClient *client, GError **error);

/* kind: "raw", "mgmt", "data", "foreign". Errors: INVALID_ARGUMENT. */
bool pmemd_client_count(PmemdClient *client, const char *kind, uint32_t *ret_count, GError **error);
/* The object path of a region by uuid, device path, POOL/NAME or unambiguous NAME; an object path of ours is taken
 * as it is, without asking. Errors: NO_SUCH_REGION, INVALID_ARGUMENT. Free: g_free. */
char *pmemd_client_find(PmemdClient *client, const char *key, GError **error);
/* path: from find or a change. Errors: NO_SUCH_REGION. */
PmemdRegion *pmemd_client_region(PmemdClient *client, const char *path, GError **error);
/* Errors: NO_SUCH_REGION (the job has ended). */
PmemdJob *pmemd_client_job(PmemdClient *client, const char *path, GError **error);
PmemdStatus *pmemd_client_status(PmemdClient *client, GError **error);
/* Decides the request and does nothing. Errors: those of the request. */
PmemdPlan *pmemd_client_plan(PmemdClient *client, const PmemdRequest *request, GError **error);

/* --- changing ---
 * Those with a request-id (may be NULL) are asked once more when the answer is LOST: the library connects again, waits
 * up to 30 s for pmemd to be back and recovered, and repeats the call with the same id, so that it is done once. */

/* Does the request; the object path of the new region. Errors: see proto/org.pmemd1.xml. Free: g_free. */
char *pmemd_client_submit(PmemdClient *client, const PmemdRequest *request, GError **error);
/* The object path of the job that erases it. Errors: NO_SUCH_REGION, LEASED, BUSY, DEGRADED. Free: g_free. */
char *pmemd_client_release_data(PmemdClient *client, const char *path, const char *request_id, GError **error);
/* Errors: NO_SUCH_REGION, BUSY. */
bool pmemd_client_release_mgmt(PmemdClient *client, const char *path, const char *request_id, GError **error);
/* name "": takes it away. Errors: NO_SUCH_REGION, INVALID_ARGUMENT, EXISTS. */
bool pmemd_client_rename(PmemdClient *client, const char *path, const char *name, GError **error);
/* Errors: NO_SUCH_REGION, INVALID_ARGUMENT. */
bool pmemd_client_set_owner(PmemdClient *client, const char *path, uint32_t uid, GError **error);
/* Errors: NO_SUCH_REGION (the job has ended). */
bool pmemd_client_pause_job(PmemdClient *client, const char *path, bool pause, GError **error);

/* --- news --- */

typedef enum {
    PMEMD_EVENT_ADDED,          /* path, interface, values: all properties */
    PMEMD_EVENT_REMOVED,        /* path, interface */
    PMEMD_EVENT_CHANGED,        /* path, interface, values: the changed properties */
    PMEMD_EVENT_HEALTH_CHANGED, /* path: region; values: Old, New, Reason */
    PMEMD_EVENT_JOB_REMOVED,    /* path: job; values: Region, Result, Message */
    PMEMD_EVENT_DAEMON_UP,      /* pmemd took its name */
    PMEMD_EVENT_DAEMON_DOWN,    /* pmemd is gone */
    PMEMD_N_EVENTS,
} PmemdEventType;

typedef struct {
    char *name;
    char type; /* 's' text, 't' unsigned, 'i' signed, 'b', 'd', as in D-Bus; other integers are widened to t or i */
    union {
        char *s;
        uint64_t t;
        int64_t i;
        bool b;
        double d;
    };
} PmemdValue;

typedef struct {
    PmemdEventType type;
    const char *path;        /* "" of the daemon's own */
    const char *interface;   /* "" where none is named above */
    const GPtrArray *values; /* of PmemdValue, possibly empty; in the order sent */
} PmemdEvent;

/* event: borrowed for the call. false: pmemd_client_dispatch returns after it. Calls on the same client are fine. */
typedef bool (*PmemdEventFunc)(const PmemdEvent *event, void *data);

/* From now on news of pmemd are kept for dispatch. One subscription a client. Errors: UNREACHABLE, LOST. */
bool pmemd_client_subscribe(PmemdClient *client, PmemdEventFunc func, void *data, GError **error);
/* Waits for news and hands them to func, until it returns false or timeout_usec (UINT64_MAX: none) are over.
 * Errors: LOST (the bus is gone). */
bool pmemd_client_dispatch(PmemdClient *client, uint64_t timeout_usec, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdClient, pmemd_client_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdRegion, pmemd_region_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdPlan, pmemd_plan_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdStatus, pmemd_status_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdJob, pmemd_job_free)
