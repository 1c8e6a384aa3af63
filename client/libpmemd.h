/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libpmemd: the C library of pmemd's clients. libpmemd(3) is its manual page; proto/org.pmemd1.xml, from which
 * org.pmemd1(5) is made, describes every field at length.
 *
 * Promises: this header needs nothing but the C library, in C and in C++. No call has a timeout: each waits as long as
 * pmemd needs. Lists are complete, their pages are followed to the end. The library keeps no state but in a PmemdClient,
 * prints nothing and starts no thread; memory that runs out ends the program, as with every user of GLib.
 *
 * Units: a frame is 4096 bytes of host physical memory, ranges are half open, sizes are bytes unless a name says
 * frames. Of regions that are not theirs, callers other than root see frames as 0, device paths and owners as "".
 *
 * Results: functions return 0 (or what is said) or a negative errno; what they return through ret_... is untouched on
 * failure, and is the caller's, to be freed by the function named with it; texts and arrays by free(3). The name of an
 * error (the PMEMD_ERROR_NAME_... below) is finer than its errno, and its message says cause, numbers and remedy.
 * Every function that asks pmemd may fail with Unreachable, Lost, Protocol, NotAuthorized, LimitsExceeded, TimedOut and
 * Internal; "Errors:" lists the others.
 *
 * Threads: a PmemdClient, and what belongs to it, is used by one thread at a time.
 *
 * Compatibility: structs of results grow at their end and are allocated by the library alone; enums and names of errors
 * grow. All is there since 0.1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PMEMD_FRAME_SIZE UINT64_C(4096)
#define PMEMD_LOCATE_MAX 1024u /* frames that one call of locate takes */
#define PMEMD_FRAME_UNKNOWN UINT64_MAX

/* --- errors --- */

/* Refused by pmemd, or by the bus in its stead. The errno that goes with each follows it. */
#define PMEMD_ERROR_NAME_INVALID_ARGUMENT "org.pmemd1.Error.InvalidArgument" /* EINVAL */
#define PMEMD_ERROR_NAME_EXISTS "org.pmemd1.Error.Exists"                    /* EEXIST */
#define PMEMD_ERROR_NAME_NO_SUCH_REGION "org.pmemd1.Error.NoSuchRegion"      /* ENOENT */
#define PMEMD_ERROR_NAME_NO_SUCH_MGMT "org.pmemd1.Error.NoSuchMgmt"          /* ENXIO */
#define PMEMD_ERROR_NAME_NO_SPACE "org.pmemd1.Error.NoSpace"                 /* ENOSPC */
#define PMEMD_ERROR_NAME_BUSY "org.pmemd1.Error.Busy"                        /* EBUSY */
#define PMEMD_ERROR_NAME_LEASED "org.pmemd1.Error.Leased"                    /* EBUSY */
#define PMEMD_ERROR_NAME_NOT_AUTHORIZED "org.pmemd1.Error.NotAuthorized"     /* EACCES */
#define PMEMD_ERROR_NAME_READ_ONLY "org.pmemd1.Error.ReadOnly"               /* EROFS */
#define PMEMD_ERROR_NAME_CORRUPT "org.pmemd1.Error.Corrupt"                  /* EUCLEAN */
#define PMEMD_ERROR_NAME_DEGRADED "org.pmemd1.Error.Degraded"                /* EIO */
#define PMEMD_ERROR_NAME_HARDWARE "org.pmemd1.Error.Hardware"                /* EIO */
#define PMEMD_ERROR_NAME_NOT_SUPPORTED "org.pmemd1.Error.NotSupported"       /* EOPNOTSUPP */
#define PMEMD_ERROR_NAME_LIMITS_EXCEEDED "org.pmemd1.Error.LimitsExceeded"   /* EDQUOT */
#define PMEMD_ERROR_NAME_TIMED_OUT "org.pmemd1.Error.TimedOut"               /* ETIMEDOUT */
#define PMEMD_ERROR_NAME_INTERNAL "org.pmemd1.Error.Internal"                /* EPROTO */
/* There was no answer. */
#define PMEMD_ERROR_NAME_UNREACHABLE                                                                                   \
    "org.pmemd1.Client.Unreachable"                            /* ENOTCONN: no bus, or no pmemd; nothing was done */
#define PMEMD_ERROR_NAME_LOST "org.pmemd1.Client.Lost"         /* ECONNRESET: gone during the call: done, or not */
#define PMEMD_ERROR_NAME_PROTOCOL "org.pmemd1.Client.Protocol" /* EBADMSG: the answer is of another version */

/* --- client --- */

typedef struct PmemdClient PmemdClient;

/* The version of the library, "0.1.0". Static. */
const char *pmemd_library_version(void);

/* A client that is not connected yet. Free: pmemd_client_free. */
int pmemd_client_new(PmemdClient **ret_client);
/* Closes the connection; calls under way are dropped, their functions not called. Not from a function that the client
 * calls. NULL is fine. */
void pmemd_client_free(PmemdClient *client);

/* Connects to the bus "system", "session" or an ADDRESS such as "unix:path=/run/x", and waits for that. Does not ask
 * whether pmemd runs. May be called again after the connection was lost; calls under way then end with Lost, a
 * subscription and an attached event loop are kept. Errors: Unreachable. */
int pmemd_client_open(PmemdClient *client, const char *bus);
/* The same with the system bus of another host, "[USER@]HOST[:PORT]", by ssh(1) and its systemd-stdio-bridge.
 * Errors: InvalidArgument, Unreachable. */
int pmemd_client_open_remote(PmemdClient *client, const char *host);

/* Whether polkit may ask the user for a password during a call. Off at first. */
void pmemd_client_set_interactive(PmemdClient *client, bool interactive);

/* Of the last function with this client that failed; "" before any did. The client's, until its next call. */
const char *pmemd_client_error_name(const PmemdClient *client);
const char *pmemd_client_error_message(const PmemdClient *client);

/* --- event loops: for asynchronous calls and events; synchronous calls need none --- */

struct sd_event;

/* Has the loop of sd-event(3) do all that follows. priority: as sd_event_source_set_priority(3), 0 is usual. Errors:
 * Unreachable (not open), a negative errno of sd-event. */
int pmemd_client_attach_event(PmemdClient *client, struct sd_event *event, int64_t priority);
int pmemd_client_detach_event(PmemdClient *client);

/* For any other loop: when events, a mask of poll(2), come on fd, or at timeout, call process until it returns 0, then
 * ask for all three anew. Errors: Unreachable (not open), Lost. */
int pmemd_client_get_fd(PmemdClient *client);     /* the descriptor; the library's */
int pmemd_client_get_events(PmemdClient *client); /* POLLIN, POLLOUT */
/* CLOCK_MONOTONIC in microseconds; UINT64_MAX: none. */
int pmemd_client_get_timeout(PmemdClient *client, uint64_t *ret_usec);
/* Does a piece of work, functions of calls and events included. 1: there may be more; 0: none. Errors: Lost. */
int pmemd_client_process(PmemdClient *client);
/* Waits for work, at most usec microseconds (UINT64_MAX: without end). 1: there is some; 0: time is over, or a signal
 * came. Errors: Lost. */
int pmemd_client_wait(PmemdClient *client, uint64_t usec);

/* --- asynchronous calls ---
 * Each synchronous function below has an ..._async one. It sends, or returns the error of the attempt, and calls func
 * once when the answer is there: from process, or from the loop. func may make calls of both kinds. */

typedef struct PmemdReply PmemdReply; /* the answer; borrowed for the call of func */
typedef struct PmemdCall PmemdCall;   /* a call under way; gone when func returns */

typedef void (*PmemdReplyFunc)(PmemdClient *client, PmemdReply *reply, void *data);

/* Func will not be called. What was asked is done all the same. NULL is fine. */
void pmemd_call_cancel(PmemdCall *call);

/* 0, or a negative errno: what the synchronous function would have returned. */
int pmemd_reply_result(const PmemdReply *reply);
const char *pmemd_reply_error_name(const PmemdReply *reply); /* "": no error. The reply's. */
const char *pmemd_reply_error_message(const PmemdReply *reply);

/* --- what a request says --- */

typedef enum PmemdOperation {
    PMEMD_OPERATION_SETUP_MGMT,
    PMEMD_OPERATION_SETUP_DATA,
    PMEMD_OPERATION_ALLOCATE_MGMT,
    PMEMD_OPERATION_ALLOCATE_DATA,
} PmemdOperation;

/* "SetupMgmt", ...; NULL: no such operation. Static. */
const char *pmemd_operation_to_string(PmemdOperation operation);

/* One of the four operations that make a region. What is not set is the daemon's default; an option that the operation
 * does not take is sent all the same, for the daemon to refuse. Texts are copied; NULL, or 0 where so said, unsets. */
typedef struct PmemdRequest PmemdRequest;

/* Errors: -EINVAL (no such operation). Free: pmemd_request_free. */
int pmemd_request_new(PmemdOperation operation, PmemdRequest **ret_request);
void pmemd_request_free(PmemdRequest *request); /* NULL is fine */
/* Setup: the frames that are to be usable. */
void pmemd_request_set_frames(PmemdRequest *request, uint64_t start, uint64_t end);
/* SetupData: the frames from whose start the management extent is taken. */
void pmemd_request_set_mgmt_frames(PmemdRequest *request, uint64_t start, uint64_t end);
/* Allocate: usable bytes, at least. */
void pmemd_request_set_bytes(PmemdRequest *request, uint64_t bytes);
void pmemd_request_set_name(PmemdRequest *request, const char *name);
/* Mgmt: "xen", "linux", "none". */
void pmemd_request_set_profile(PmemdRequest *request, const char *profile);
/* AllocateData: uuid or name of the pool. */
void pmemd_request_set_mgmt(PmemdRequest *request, const char *mgmt);
/* Mgmt: how many data regions the journal is laid out for; 0 unsets. */
void pmemd_request_set_max_regions(PmemdRequest *request, uint32_t max_regions);
/* Allocate: bytes, of the first usable one; 0 unsets. */
void pmemd_request_set_alignment(PmemdRequest *request, uint64_t bytes);
/* Mgmt: whether labels are written to DIMMs that have none. */
void pmemd_request_set_init_labels(PmemdRequest *request, bool init_labels);
/* Exact frames alone: also where some are bad, but for those of a journal. */
void pmemd_request_set_allow_degraded(PmemdRequest *request, bool allow_degraded);
/* Allocate: the proximity domain; negative unsets. */
void pmemd_request_set_node(PmemdRequest *request, int32_t node);
/* A uuid. Makes a repetition of the same request by the same user answer with the first result, also after a restart of
 * pmemd; not sent with a plan. */
void pmemd_request_set_id(PmemdRequest *request, const char *request_id);

#define PMEMD_REQUEST_ID_SIZE 37 /* bytes of a request-id, with the 0 */

/* A new random request-id. Errors: a negative errno of the random number. */
int pmemd_make_request_id(char *buffer /* [PMEMD_REQUEST_ID_SIZE] */);

/* --- results --- */

typedef struct PmemdRange {
    uint64_t start; /* first frame */
    uint64_t end;   /* first frame past the range */
} PmemdRange;

typedef struct PmemdRaw {
    char *id;
    PmemdRange frames;
    uint64_t bytes; /* of frames */
    int32_t node;   /* proximity domain; -1 unknown, as all nodes */
    int32_t local_node;
    uint64_t step, lead, minimum, free_bytes, largest_gap; /* bytes */
    char *kind;                                            /* "labelled", "unlabelled", "file" */
    char *persistence;
    char *state; /* "ok", "not managed", or why it is unusable */
} PmemdRaw;

typedef struct PmemdMgmt {
    char *uuid, *name;
    PmemdRange frames;
    uint64_t bytes;
    uint64_t used_frames; /* high-water mark from frames.start */
    uint64_t free_frames; /* exact */
    int32_t node, local_node;
    uint32_t data_regions;
    char *profile, *state;
    uint32_t owner_uid;
    char *owner, *device_path;
} PmemdMgmt;

typedef struct PmemdData {
    char *uuid, *name;
    PmemdRange frames;
    uint64_t bytes;
    char *pool; /* uuid of the management region */
    PmemdRange extent;
    int32_t node, local_node;
    char *state; /* "ok", "creating", "quarantined", "missing", "unsettled" */
    bool dirty;  /* not erased since the frames were somebody else's */
    uint32_t owner_uid;
    char *owner, *device_path;
} PmemdData;

typedef struct PmemdForeign {
    char *name;
    PmemdRange frames; /* of the device, all of it */
    uint64_t bytes;
    char *mode, *kind; /* kind: "foreign", "orphan", "unformatted" */
    char *raw;         /* id of the raw region it lies in */
} PmemdForeign;

/* One mgmt or data region with all its properties. Fields that are of the other kind are 0 or "". */
typedef struct PmemdRegion {
    char *path; /* of its D-Bus object */
    char *kind; /* "mgmt", "data" */
    char *uuid, *name;
    PmemdRange frames;
    uint64_t bytes;
    char *pool;
    PmemdRange extent;
    uint64_t used_frames, free_frames;
    int32_t node, local_node;
    char *device_path, *state, *state_reason;
    uint32_t owner_uid;
    char *owner, *profile;
    bool dirty;
    uint64_t created_usec; /* realtime, for display */
    uint32_t max_regions;  /* mgmt: data regions that the journal has room for */
    char *lease_owner;     /* data; "": not lent, or hidden from the caller, and so are the others then */
    uint32_t lease_uid;
    char *lease_user;
    uint64_t lease_since_usec;
    char *lease_until;
    bool lease_confirmed;
    uint64_t lease_guest_frame;
    char *guest_path;    /* data: what a guest is given: device_path, or the link to it by uuid */
    uint64_t bad_frames; /* that cannot be read */
    char *health;        /* the worst of the DIMMs under it; "": there are none */
} PmemdRegion;

/* Who holds a data region. */
typedef struct PmemdLease {
    char *region, *name; /* uuid and name of the region */
    char *pool;          /* uuid */
    char *owner;         /* as attach was told */
    uint32_t uid;        /* of who asked for it */
    char *user;
    uint64_t since_usec;  /* realtime, for display */
    char *until;          /* "detach", "disconnect" */
    bool confirmed;       /* since the last start of pmemd */
    uint64_t guest_frame; /* first frame of the guest's that shows it; PMEMD_FRAME_UNKNOWN */
} PmemdLease;

/* A pool as pmemd-libvirt has it. */
typedef struct PmemdLibvirtPool {
    char *name, *uuid; /* of the management region */
    char *directory;   /* where libvirt finds the volumes; "": not enabled */
    char *libvirt;     /* "active", "inactive", "absent", "unreachable" */
    char *problem;     /* and what to do about it; "": none */
    bool enabled;      /* to be offered to libvirt */
    bool mounted;      /* the directory */
} PmemdLibvirtPool;

/* A data region in the hands of its holder. */
typedef struct PmemdAttachment {
    char *path;     /* of the device, by uuid where there is such a link: for who opens it by itself, as QEMU does */
    uint64_t bytes; /* of the mapping */
    uint64_t alignment; /* of the mapping's address and length */
    int32_t node;
    uint64_t since_usec; /* of the lease: earlier than this call if it was held already */
    bool confirmed;
    char *memory; /* libvirt's <memory model='nvdimm'> */
} PmemdAttachment;

typedef struct PmemdPlan {
    PmemdRange frames, device, extent;
    uint64_t usable_bytes, requested_bytes, wasted_bytes, overhead_bytes, host_memory_bytes;
    uint64_t journal_frames, required_frames;
    int32_t node, local_node;
    char *raw, *pool;
    uint64_t bad_frames; /* of device and extent; 0 without allow_degraded */
    char *warning;       /* what else is to be known, in words; "": nothing */
} PmemdPlan;

/* pmemd itself. */
typedef struct PmemdStatus {
    char *version, *backend, *state, *state_reason;
    uint32_t raw_regions, mgmt_regions, data_regions, foreign_devices;
    uint64_t raw_bytes, mgmt_bytes, data_bytes, free_bytes;
    uint64_t queued_requests;
    char *machine_id; /* of its host, 32 hexadecimal digits */
} PmemdStatus;

typedef struct PmemdJob {
    char *kind, *region, *state; /* region: object path */
    double progress;             /* 0..1 */
    uint64_t bytes_done, bytes_total, rate;
} PmemdJob;

/* What a repair of a pool's journal would keep, or has kept. */
typedef struct PmemdRepair {
    bool needed;           /* else the journal is whole, and nothing was done */
    bool applied;          /* else it is what applying would do */
    uint32_t kept;         /* data regions */
    uint32_t missing;      /* of these, without their device */
    uint32_t lost;         /* data regions whose frames another pool has by now */
    uint32_t lost_records; /* whole records behind the fault */
    uint32_t orphans;      /* devices that are in no journal then */
    char *evidence;        /* path of a copy of the journal, on pmemd's host; "": none */
    char *report;          /* all of it in words, a line each */
} PmemdRepair;

/* What a host frame is. Fields that its kind does not have are "", 0, of node -1, of owner_uid UINT32_MAX. */
typedef struct PmemdLocation {
    uint64_t frame;     /* that was asked for */
    char *kind;         /* "data", "mgmt", "raw", "foreign", "none"; "hidden": of no region of the caller's */
    char *path;         /* of the D-Bus object; "": none */
    uint64_t offset;    /* bytes, from where org.pmemd1(5) says: of a data region as its guest sees it */
    char *part;         /* data: "usable", "lead"; mgmt: "superblock", "journal", "own", "extent", "free", ... */
    char *uuid, *name;  /* data, mgmt */
    char *state, *pool; /* data, mgmt; pool: uuid */
    uint32_t owner_uid;
    char *owner;
    char *extent_of;          /* path of the data region whose extent it is; "": none */
    char *device, *mode;      /* foreign */
    char *foreign_kind, *raw; /* foreign; raw: id of the raw region it lies in */
    int32_t node;
    char *raw_cookie;     /* a uuid: what the raw region is made of, the same after every boot */
    char *lease_owner;    /* data: who holds it */
    uint32_t lease_uid;   /* UINT32_MAX: nobody */
    char *lease_user;     /* by whom that was asked for */
    uint64_t guest_frame; /* of this very frame; PMEMD_FRAME_UNKNOWN */
} PmemdLocation;

/* What one DIMM says of itself, once for each raw region that lies on it. */
typedef struct PmemdDimm {
    char *raw;                 /* id of the raw region */
    char *id, *name;           /* the maker's, "" for who is not root; the kernel's */
    char *health;              /* "unknown", "ok", "non-critical", "critical", "fatal" */
    char *flags;               /* words with commas */
    int32_t spares, life_used; /* per cent; -1 unknown */
    int32_t temperature;       /* degrees Celsius; INT32_MIN unknown */
    uint64_t unsafe_shutdowns; /* UINT64_MAX unknown */
} PmemdDimm;

/* Frames whose content is lost by clearing them. */
typedef struct PmemdLost {
    char *region; /* object path; "/": nobody's */
    PmemdRange frames;
    uint64_t offset; /* bytes, from the region's first usable byte, or the raw region's start */
    uint64_t bytes;
} PmemdLost;

/* A number for monitoring; org.pmemd1(5) lists the names. */
typedef struct PmemdMetric {
    char *name;
    char **labels; /* name, value, name, value, ..., NULL */
    double value;
} PmemdMetric;

/* NULL is fine to all of them. */
void pmemd_raw_free(PmemdRaw *raw);
void pmemd_mgmt_free(PmemdMgmt *mgmt);
void pmemd_data_free(PmemdData *data);
void pmemd_foreign_free(PmemdForeign *foreign);
void pmemd_region_free(PmemdRegion *region);
void pmemd_plan_free(PmemdPlan *plan);
void pmemd_status_free(PmemdStatus *status);
void pmemd_job_free(PmemdJob *job);
void pmemd_metric_free(PmemdMetric *metric);
void pmemd_repair_free(PmemdRepair *repair);
void pmemd_location_free(PmemdLocation *location);
void pmemd_lease_free(PmemdLease *lease);
void pmemd_libvirt_pool_free(PmemdLibvirtPool *pool);
void pmemd_dimm_free(PmemdDimm *dimm);
void pmemd_lost_free(PmemdLost *lost);
void pmemd_attachment_free(PmemdAttachment *attachment); /* the descriptor is not part of it */
/* An array that ends with NULL, and its entries. */
void pmemd_raw_list_free(PmemdRaw **list);
void pmemd_mgmt_list_free(PmemdMgmt **list);
void pmemd_data_list_free(PmemdData **list);
void pmemd_foreign_list_free(PmemdForeign **list);
void pmemd_metric_list_free(PmemdMetric **list);
void pmemd_location_list_free(PmemdLocation **list);
void pmemd_lease_list_free(PmemdLease **list);
void pmemd_libvirt_pool_list_free(PmemdLibvirtPool **list);
void pmemd_dimm_list_free(PmemdDimm **list);
void pmemd_lost_list_free(PmemdLost **list);

/* What the answer holds, for the reply of the function of the same name. Errors: that of the reply, or -EINVAL: it is
 * the reply of another function, or was taken before. */
const char *pmemd_reply_path(const PmemdReply *reply); /* NULL: none. The reply's. */
int pmemd_reply_get_count(const PmemdReply *reply, uint32_t *ret_count);
int pmemd_reply_take_raw_list(PmemdReply *reply, PmemdRaw ***ret_list, size_t *ret_n);
int pmemd_reply_take_mgmt_list(PmemdReply *reply, PmemdMgmt ***ret_list, size_t *ret_n);
int pmemd_reply_take_data_list(PmemdReply *reply, PmemdData ***ret_list, size_t *ret_n);
int pmemd_reply_take_foreign_list(PmemdReply *reply, PmemdForeign ***ret_list, size_t *ret_n);
int pmemd_reply_take_region(PmemdReply *reply, PmemdRegion **ret_region);
int pmemd_reply_take_job(PmemdReply *reply, PmemdJob **ret_job);
int pmemd_reply_take_status(PmemdReply *reply, PmemdStatus **ret_status);
int pmemd_reply_take_repair(PmemdReply *reply, PmemdRepair **ret_repair);
int pmemd_reply_take_plan(PmemdReply *reply, PmemdPlan **ret_plan);
int pmemd_reply_take_metric_list(PmemdReply *reply, PmemdMetric ***ret_list, size_t *ret_n);
int pmemd_reply_take_location(PmemdReply *reply, PmemdLocation **ret_location);
int pmemd_reply_take_location_list(PmemdReply *reply, PmemdLocation ***ret_list, size_t *ret_n);
int pmemd_reply_take_lease_list(PmemdReply *reply, PmemdLease ***ret_list, size_t *ret_n);
int pmemd_reply_take_libvirt_pool_list(PmemdReply *reply, PmemdLibvirtPool ***ret_list, size_t *ret_n);
int pmemd_reply_take_dimm_list(PmemdReply *reply, PmemdDimm ***ret_list, size_t *ret_n);
int pmemd_reply_take_lost_list(PmemdReply *reply, PmemdLost ***ret_list, size_t *ret_n);
/* Both may be NULL. A descriptor that nobody takes is closed with the reply. */
int pmemd_reply_take_attachment(PmemdReply *reply, int *ret_fd, PmemdAttachment **ret_attachment);

/* --- asking: nothing changes. ret_call of the asynchronous functions may be NULL --- */

/* In the order of the raw regions. */
int pmemd_client_list_dimms(PmemdClient *client, PmemdDimm ***ret_list, size_t *ret_n);
int pmemd_client_list_dimms_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* In the order (start frame, id). ret_n may be NULL. Free: pmemd_..._list_free. */
int pmemd_client_list_raw(PmemdClient *client, PmemdRaw ***ret_list, size_t *ret_n);
int pmemd_client_list_mgmt(PmemdClient *client, PmemdMgmt ***ret_list, size_t *ret_n);
int pmemd_client_list_data(PmemdClient *client, PmemdData ***ret_list, size_t *ret_n);
int pmemd_client_list_foreign(PmemdClient *client, PmemdForeign ***ret_list, size_t *ret_n);
int pmemd_client_list_raw_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);
int pmemd_client_list_mgmt_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);
int pmemd_client_list_data_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);
int pmemd_client_list_foreign_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);
/* Of data regions that are lent, in the order of their start frames. Free: pmemd_lease_list_free. */
int pmemd_client_list_leases(PmemdClient *client, PmemdLease ***ret_list, size_t *ret_n);
int pmemd_client_list_leases_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* --- libvirt: asks pmemd-libvirt, which is another program; Unreachable: that one does not run --- */

/* All pools, and those that are enabled and gone, by name. Free: pmemd_libvirt_pool_list_free. */
int pmemd_client_list_libvirt_pools(PmemdClient *client, PmemdLibvirtPool ***ret_list, size_t *ret_n);
int pmemd_client_list_libvirt_pools_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* Offers a pool, by name or uuid, to libvirt from now on, or takes it away. Again is fine. Errors: NoSuchMgmt,
 * TimedOut (pmemd, which may know it, cannot be asked), Exists (libvirt has another pool of its name), Hardware. */
int pmemd_client_offer_libvirt_pool(PmemdClient *client, const char *pool, bool enable);
int pmemd_client_offer_libvirt_pool_async(PmemdClient *client, const char *pool, bool enable, PmemdReplyFunc func,
                                          void *data, PmemdCall **ret_call);

/* kind: "raw", "mgmt", "data", "foreign". Errors: InvalidArgument. */
int pmemd_client_count(PmemdClient *client, const char *kind, uint32_t *ret_count);
int pmemd_client_count_async(PmemdClient *client, const char *kind, PmemdReplyFunc func, void *data,
                             PmemdCall **ret_call);

/* The object path of a region by uuid, device path, POOL/NAME or unambiguous NAME; an object path of pmemd's is taken
 * as it is (the asynchronous function looks whether it is there). Errors: NoSuchRegion, InvalidArgument. Free: free. */
int pmemd_client_find(PmemdClient *client, const char *key, char **ret_path);
int pmemd_client_find_async(PmemdClient *client, const char *key, PmemdReplyFunc func, void *data,
                            PmemdCall **ret_call);

/* path: from find, a change or an event. Errors: NoSuchRegion. */
int pmemd_client_region(PmemdClient *client, const char *path, PmemdRegion **ret_region);
int pmemd_client_region_async(PmemdClient *client, const char *path, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call);

/* Errors: NoSuchRegion (the job has ended). */
int pmemd_client_job(PmemdClient *client, const char *path, PmemdJob **ret_job);
int pmemd_client_job_async(PmemdClient *client, const char *path, PmemdReplyFunc func, void *data,
                           PmemdCall **ret_call);

int pmemd_client_status(PmemdClient *client, PmemdStatus **ret_status);
int pmemd_client_status_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* What pmemd counts and measures; everyone may ask. In no order that means anything. Free: pmemd_metric_list_free. */
int pmemd_client_metrics(PmemdClient *client, PmemdMetric ***ret_list, size_t *ret_n);
int pmemd_client_metrics_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* What a host frame (physical address / PMEMD_FRAME_SIZE) is: which region, and whose, does this memory error hit?
 * Who is not root may ask for frames of own regions alone. Errors: InvalidArgument. Free: pmemd_location_free. */
int pmemd_client_locate(PmemdClient *client, uint64_t frame, PmemdLocation **ret_location);
int pmemd_client_locate_async(PmemdClient *client, uint64_t frame, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call);
/* The same of up to PMEMD_LOCATE_MAX frames at once, in their order; what is not the caller's is "hidden".
 * Errors: InvalidArgument. Free: pmemd_location_list_free. */
int pmemd_client_locate_list(PmemdClient *client, const uint64_t *frames, size_t n_frames, PmemdLocation ***ret_list,
                             size_t *ret_n);
int pmemd_client_locate_list_async(PmemdClient *client, const uint64_t *frames, size_t n_frames, PmemdReplyFunc func,
                                   void *data, PmemdCall **ret_call);

/* Decides the request and does nothing. Errors: those of the request. */
int pmemd_client_plan(PmemdClient *client, const PmemdRequest *request, PmemdPlan **ret_plan);
int pmemd_client_plan_async(PmemdClient *client, const PmemdRequest *request, PmemdReplyFunc func, void *data,
                            PmemdCall **ret_call);

/* --- changing ---
 * The synchronous ones with a request-id (it may be NULL) are asked once more when the answer is Lost: the library
 * connects again, waits up to 30 s for pmemd to be back and recovered, and repeats the call with the same id, so that it
 * is done once. After an asynchronous one that is Lost the caller does so: on PMEMD_EVENT_DAEMON_UP it sends the request
 * with the same id again. */

/* Does the request; the object path of the new region. Errors: InvalidArgument, NoSuchMgmt, NoSpace, Exists, Busy,
 * NotSupported, ReadOnly, Corrupt, Hardware. Free: free. */
int pmemd_client_submit(PmemdClient *client, const PmemdRequest *request, char **ret_path);
int pmemd_client_submit_async(PmemdClient *client, const PmemdRequest *request, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call);

/* The object path of the job that erases it. Errors: NoSuchRegion, Leased, Busy, Degraded, ReadOnly, Corrupt, Hardware.
 * Free: free. */
int pmemd_client_release_data(PmemdClient *client, const char *path, const char *request_id, char **ret_job);
int pmemd_client_release_data_async(PmemdClient *client, const char *path, const char *request_id, PmemdReplyFunc func,
                                    void *data, PmemdCall **ret_call);
/* The same, and each byte that is erased is read back, not samples alone. */
int pmemd_client_release_data_verified(PmemdClient *client, const char *path, const char *request_id, char **ret_job);
int pmemd_client_release_data_verified_async(PmemdClient *client, const char *path, const char *request_id,
                                             PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* Errors: NoSuchRegion, Busy (it has data regions), ReadOnly, Corrupt, Hardware. */
int pmemd_client_release_mgmt(PmemdClient *client, const char *path, const char *request_id);
int pmemd_client_release_mgmt_async(PmemdClient *client, const char *path, const char *request_id, PmemdReplyFunc func,
                                    void *data, PmemdCall **ret_call);

/* name "": takes it away. Errors: NoSuchRegion, InvalidArgument, Exists, Busy, ReadOnly, Corrupt, Hardware. */
int pmemd_client_rename(PmemdClient *client, const char *path, const char *name);
int pmemd_client_rename_async(PmemdClient *client, const char *path, const char *name, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call);

/* Errors: NoSuchRegion, InvalidArgument, Busy, ReadOnly, Corrupt, Hardware. */
int pmemd_client_set_owner(PmemdClient *client, const char *path, uint32_t uid);
int pmemd_client_set_owner_async(PmemdClient *client, const char *path, uint32_t uid, PmemdReplyFunc func, void *data,
                                 PmemdCall **ret_call);

/* How a device is adopted. All zero but mgmt_frame: defaults. */
typedef struct PmemdAdoption {
    uint32_t uid;        /* the owner */
    const char *mgmt;    /* uuid or name of the pool that is to keep it; NULL: the nearest with room */
    const char *name;    /* of the region; NULL: none */
    uint64_t mgmt_frame; /* first frame of the management extent; PMEMD_FRAME_UNKNOWN: chosen */
} PmemdAdoption;

/* Makes an orphan a data region with the content that it has; or takes over a pool of another machine. device: a name or uuid
 * that list_foreign shows, or the uuid or name of such a pool. how, request_id, ret_path may be NULL. Errors:
 * NoSuchRegion, NotSupported, InvalidArgument, Degraded, Exists, Busy, NoSuchMgmt, NoSpace. */
int pmemd_client_adopt(PmemdClient *client, const char *device, const PmemdAdoption *how, const char *request_id,
                       char **ret_path);
int pmemd_client_adopt_async(PmemdClient *client, const char *device, const PmemdAdoption *how, const char *request_id,
                             PmemdReplyFunc func, void *data, PmemdCall **ret_call);

typedef enum {
    PMEMD_REPAIR_APPLY = 1 << 0,   /* repair: do it */
    PMEMD_REPAIR_DESTROY = 1 << 1, /* forget: what it names may be a device, which is destroyed */
    PMEMD_REPAIR_FORCE = 1 << 2,   /* also where no copy can be kept as evidence */
} PmemdRepairFlags;

/* Takes a data region whose device is gone for good out of its pool; or destroys a device that no journal knows. what: the
 * uuid of the region, or a name or uuid that list_foreign shows. mgmt: the pool that keeps an orphan while it is
 * erased; it, request_id and ret_job may be NULL. *ret_job: the job that erases it; "/": nothing is left to do. Errors:
 * NoSuchRegion, Busy, InvalidArgument, NotSupported, Exists, NoSuchMgmt, NoSpace. */
int pmemd_client_forget(PmemdClient *client, const char *what, unsigned flags, const char *mgmt, const char *request_id,
                        char **ret_job);
int pmemd_client_forget_async(PmemdClient *client, const char *what, unsigned flags, const char *mgmt,
                              const char *request_id, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* What can be kept of a pool whose journal is corrupt; with PMEMD_REPAIR_APPLY that is done. pool: uuid or name. Errors:
 * NoSuchMgmt, Corrupt, ReadOnly, NotSupported, NoSpace, Hardware. Free: pmemd_repair_free. */
int pmemd_client_repair(PmemdClient *client, const char *pool, unsigned flags, PmemdRepair **ret_repair);
int pmemd_client_repair_async(PmemdClient *client, const char *pool, unsigned flags, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call);

/* Stops a job after the piece at hand, or has it go on. Errors: NoSuchRegion (the job has ended). */
int pmemd_client_pause_job(PmemdClient *client, const char *path, bool pause);
int pmemd_client_pause_job_async(PmemdClient *client, const char *path, bool pause, PmemdReplyFunc func, void *data,
                                 PmemdCall **ret_call);

/* --- lending: a data region has one holder at a time ---
 * A lease is journalled before attach answers: it outlives the process, pmemd and the host, until detach ends it. Owner is
 * whom the region is for, such as the uuid of a libvirt domain: 1 to 127 printable characters. */

typedef enum PmemdAttachFlags {
    PMEMD_ATTACH_UNTIL_DISCONNECT = 1 << 0, /* the lease ends with this client's connection, too */
    PMEMD_ATTACH_ALLOW_DEGRADED = 1 << 1,   /* also a region that has bad frames */
} PmemdAttachFlags;

/* Lends the region, and opens its device: *ret_fd, to be mapped shared, is the caller's to close, and may be NULL, as
 * ret_attachment may. flags: PmemdAttachFlags. guest_frame: where the guest sees it; PMEMD_FRAME_UNKNOWN. The same owner
 * by the same user gets the same answer again, and confirms the lease: asked once more when the answer is Lost, as a
 * change with a request-id is. Errors: Leased (by whom, and since when), NoSuchRegion, InvalidArgument, Busy, Degraded,
 * NotSupported (the connection passes no descriptors, as that to another host), ReadOnly, Corrupt, Hardware. Free: close,
 * pmemd_attachment_free. */
int pmemd_client_attach(PmemdClient *client, const char *path, const char *owner, unsigned flags, uint64_t guest_frame,
                        int *ret_fd, PmemdAttachment **ret_attachment);
int pmemd_client_attach_async(PmemdClient *client, const char *path, const char *owner, unsigned flags,
                              uint64_t guest_frame, PmemdReplyFunc func, void *data, PmemdCall **ret_call);

typedef enum {
    PMEMD_CLEAR_DRY_RUN = 1, /* change nothing: tell what would be lost */
    PMEMD_CLEAR_FORCE = 2,   /* also while the region is lent */
} PmemdClearFlags;

/* Makes bad frames usable again; what was in them is lost, and told. Of the data region at path, or (path NULL) the free
 * ones of the raw region with this id. */
int pmemd_client_clear_bad_frames(PmemdClient *client, const char *path, const char *raw, unsigned flags,
                                  PmemdLost ***ret_list, size_t *ret_n);
int pmemd_client_clear_bad_frames_async(PmemdClient *client, const char *path, const char *raw, unsigned flags,
                                        PmemdReplyFunc func, void *data, PmemdCall **ret_call);

/* Ends the lease that this owner has; again is fine, and done when the answer is Lost. The content stays: the next holder
 * finds it. force: of another user's lease, owner may be "" then; never of a region that a process maps. Errors: NoSuchRegion, InvalidArgument, Leased (by another owner), Busy (mapped; by
 * whom), ReadOnly, Corrupt, Hardware. */
int pmemd_client_detach(PmemdClient *client, const char *path, const char *owner, bool force);
int pmemd_client_detach_async(PmemdClient *client, const char *path, const char *owner, bool force, PmemdReplyFunc func,
                              void *data, PmemdCall **ret_call);

/* --- events: only root and the group pmemd receive those of regions, jobs and health --- */

typedef enum PmemdEventType {
    PMEMD_EVENT_ADDED,          /* path, interface, values: all properties */
    PMEMD_EVENT_REMOVED,        /* path, interface */
    PMEMD_EVENT_CHANGED,        /* path, interface, values: the changed properties, as Progress of a job */
    PMEMD_EVENT_HEALTH_CHANGED, /* path: region; values: Old, New; Reason is "", see state_reason of the region */
    PMEMD_EVENT_JOB_REMOVED, /* path: job; values: Region, Result ("done", "failed"); Message is "", see state_reason */
    PMEMD_EVENT_DAEMON_UP,   /* pmemd took its name */
    PMEMD_EVENT_DAEMON_DOWN, /* pmemd is gone */
    PMEMD_EVENT_DISCONNECTED, /* the bus is gone: pmemd_client_open connects again, but not from the event's function */
} PmemdEventType;

typedef struct PmemdValue {
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

typedef struct PmemdEvent {
    PmemdEventType type;
    const char *path;      /* "" of the daemon's own */
    const char *interface; /* "" where none is named above */
    size_t n_values;
    const PmemdValue *const *values; /* in the order sent */
} PmemdEvent;

/* The value of this name; NULL: none. The event's. */
const PmemdValue *pmemd_event_value(const PmemdEvent *event, const char *name);

/* event: borrowed for the call. Calls of the same client are fine. */
typedef void (*PmemdEventFunc)(PmemdClient *client, const PmemdEvent *event, void *data);

/* From when this returns every event is handed to func: from process, or from the loop. One subscription a client, for
 * as long as the client. Errors: -EALREADY, Unreachable (not open), Lost. */
int pmemd_client_subscribe(PmemdClient *client, PmemdEventFunc func, void *data);

#ifdef __cplusplus
}
#endif
