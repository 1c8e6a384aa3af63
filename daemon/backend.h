/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What pmemd asks of a platform: one table of operations, two implementations (backend-ndctl, backend-file). Promises
 * of an implementation: every fact is read from the platform at the time of the call, nothing is cached as truth; a
 * foreign device is never written, disabled or deleted; an operation that fails says whether it may have happened
 * (BackendOutcome). All operations may block for seconds: they are called on one worker thread, never on the loop's.
 * Knows no journal and no rules; plain structs in, plain structs out, which the caller owns.
 */
#pragma once

#include "daemon/dimm-health.h"
#include "daemon/mappers.h"
#include "daemon/medium.h"
#include "proto/types.h"

#include <glib.h>

typedef struct Backend Backend;

typedef enum {
    BACKEND_RAW_LABELLED,   /* libnvdimm region whose DIMMs have namespace labels: may be subdivided */
    BACKEND_RAW_UNLABELLED, /* no labels: one device, the whole region */
    BACKEND_RAW_FILE,       /* backend-file: may be subdivided */
} BackendRawKind;

/* One raw region. */
typedef struct {
    char *id;            /* for people and for requests to the backend: "region0", or the group of regions.conf */
    sd_id128_t cookie;   /* its identity across reboots (interleave set, or the group's name and place) */
    FrameRange range;    /* host physical frames */
    int node;            /* target_node (proximity domain), -1 unknown */
    int local_node;      /* nearest online node, -1 unknown */
    uint64_t step;       /* bytes: offsets and sizes of device ranges are multiples of it */
    uint64_t lead;       /* frames of a device range before its first usable one */
    uint64_t minimum;    /* bytes: least device range */
    uint64_t free_slots; /* label slots left on the fullest DIMM of the set; UINT64_MAX: no such limit */
    BackendRawKind kind;
    bool initialisable; /* UNLABELLED only because its labels were never initialised (init_labels does it) */
    bool zeroed;        /* what is made here reads as zeros from its start: the backend made it so */
    char *persistence;  /* nd_kind_persistence(), or "file" */
    char **dimms;       /* ids of its DIMMs, those of the maker; NULL: it has none, or one without an id */
    bool hides;         /* unusable, and devices in it may not be listed: that one is absent says nothing */
    char *unusable;     /* NULL, or why nothing can be made here (read-only, disabled, labels broken, ...) */
    GArray *bad;        /* FrameRange: its bad frames, as daemon/bad-frames.h has them; NULL: none is known */
    bool bad_all;       /* what is bad is not known one by one: bad is all of range */
    GPtrArray *health;  /* DimmHealth *: what its DIMMs say of themselves; NULL: it has no DIMMs */
} BackendRaw;

/* What a device of ours is for; part of its tag. */
typedef enum {
    BACKEND_ROLE_MGMT,
    BACKEND_ROLE_DATA,
    BACKEND_ROLE_FILLER, /* made and deleted within one create; deleted at start when not held */
    BACKEND_ROLE_NONE,   /* foreign */
} BackendRole;

/* A tag is the label's alt_name "pmemd:<role>:<pool, 8 hex>:<id, 8 hex>" (or the same in the file's extended
 * attribute). */
#define BACKEND_TAG_MAX 64
/* pool: the pool's member uuid (its first 8 hex digits are used); id: the device's uuid. Returns buf. */
char *backend_tag_format(BackendRole role, sd_id128_t pool, sd_id128_t device, char buf[static BACKEND_TAG_MAX]);
/* The same, of the pool with this number. */
char *backend_tag_format_number(BackendRole role, uint32_t pool, sd_id128_t device, char buf[static BACKEND_TAG_MAX]);
/* Role of a tag; BACKEND_ROLE_NONE when it is not one of ours. ret_pool, ret_id (may be NULL): the two 8-digit
 * numbers. */
BackendRole backend_tag_parse(const char *tag, uint32_t *ret_pool, uint32_t *ret_id);
/* The number that stands for uuid in tags (its first 8 hex digits). */
uint32_t backend_tag_number(sd_id128_t uuid);
/*
 * A new random uuid for a device of this role. Of mgmt devices it is of version 8, of all others of version 4: memory
 * without labels has no tags, and what a guest may write there must not make a mgmt device of its data device. The uuid
 * stands in the info block, which no guest maps. False: the kernel gave no random numbers.
 */
bool backend_uuid_new(BackendRole role, sd_id128_t *ret_uuid);
bool backend_uuid_may_be_mgmt(sd_id128_t uuid);

typedef enum {
    BACKEND_DEVICE_COMPLETE, /* usable as what its tag says */
    BACKEND_DEVICE_PARTIAL,  /* stopped half way: no info block, raw, disabled, ... */
} BackendDeviceState;

/* One device (namespace, file), ours or foreign. */
typedef struct {
    sd_id128_t uuid;   /* of the label / file; null: has none */
    char *name;        /* for people: "namespace0.1", "data-....img" */
    char *raw_id;      /* BackendRaw.id it lies in */
    char *tag;         /* alt_name, "" if none */
    BackendRole role;  /* parsed from tag; NONE = foreign */
    char *mode;        /* "devdax", "system-ram", "fsdax", "sector", "raw", "file" */
    FrameRange device; /* device range D it occupies */
    FrameRange usable; /* frames a map of it shows; empty when not COMPLETE */
    BackendDeviceState state;
    char *path; /* "/dev/dax0.1", path of the file; NULL: none now */
    bool held;  /* somebody has it open exclusively, mounted, mapped or stacked upon. Of a complete data device an
                   implementation may leave it false: open_content and destroy ask again, and refuse with BUSY */
} BackendDevice;

typedef struct {
    GPtrArray *raws;    /* BackendRaw *, by range.start */
    GPtrArray *devices; /* BackendDevice *, by device.start */
} BackendListing;

void backend_raw_free(BackendRaw *raw);
BackendRaw *backend_raw_copy(const BackendRaw *raw);
void backend_device_free(BackendDevice *device);
void backend_listing_free(BackendListing *listing);
BackendListing *backend_listing_new(void);

/* What is known about the platform after a call failed. */
typedef enum {
    BACKEND_UNCHANGED, /* the platform is as before: the intent may be aborted */
    BACKEND_UNKNOWN,   /* it may have changed, or half changed: keep the intent, compare again */
} BackendOutcome;

typedef struct {
    const char *raw_id;
    FrameRange device; /* exact D wanted */
    sd_id128_t uuid;   /* random, not yet used on the platform */
    const char *tag;   /* backend_tag_format() */
    bool init_labels;  /* may initialise the labels of a region that has none (loses the legacy namespace) */
} BackendCreate;

/* Bad frames that are to be made good again. */
typedef struct {
    const char *raw_id;
    FrameRange frames; /* nothing outside of them is touched */
    sd_id128_t device; /* the data device of ours whose usable frames hold all of them; null: they are in no device */
    const char *tag;   /* that device's; NULL: there is no device */
} BackendClear;

/* The content of a data device, to be erased on the eraser's thread (no libndctl in these calls). */
typedef struct BackendContent BackendContent;
struct BackendContent {
    uint64_t size; /* bytes */
    /* Makes [off, off + len) read as zeros, durably; 0 or negative errno (-EIO: poison, unbound device). */
    int (*zero)(BackendContent *c, uint64_t off, uint64_t len);
    /* Reads [off, off + len) back from where it is kept: 0 when all of it is zero, 1 when not (*ret_at is where first),
     * or negative errno. */
    int (*find_nonzero)(BackendContent *c, uint64_t off, uint64_t len, uint64_t *ret_at);
    void (*free)(BackendContent *c);
};

/* A data device opened for its guest. */
typedef struct {
    int fd;             /* read and write, close-on-exec */
    char *path;         /* of the device; that may be another one than before */
    uint64_t alignment; /* bytes: what a mapping of it begins and ends at */
} BackendLoan;
void backend_loan_free(BackendLoan *loan); /* closes the descriptor, unless it is -1 */

typedef struct {
    const char *name; /* "ndctl", "file" */
    /* Raw regions and all devices, foreign ones included. NULL with error on failure. */
    BackendListing *(*list)(Backend *b, GError **error);
    /* Makes a device at exactly req->device. The device that now exists, or NULL with error and *ret_outcome. */
    BackendDevice *(*create)(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error);
    /*
     * Destroys the device of ours with this uuid and this tag. True also when it is not there. BUSY (UNCHANGED), naming
     * the process, when somebody has it mapped (a file: mapped or open); refuses (INTERNAL, UNCHANGED) a device whose
     * tag differs.
     */
    bool (*destroy)(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
    /* The usable bytes of a mgmt device as a journal medium. The caller frees it before the backend. */
    Medium *(*open_medium)(Backend *b, sd_id128_t uuid, GError **error);
    /*
     * Makes every descriptor of the data device with this uuid and this tag dead that was opened before, wherever it is
     * kept; content, frames and uuid stay, the path may become another one. BUSY (UNCHANGED), naming the process, when
     * somebody has it mapped (a file: mapped or open); DEGRADED when it is not there or not whole; INTERNAL (UNCHANGED)
     * for a device whose tag differs. UNKNOWN: it may be disabled now, with its content; another renew, open_content
     * or destroy goes on from there.
     */
    bool (*renew)(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
    /* Who has the device mapped (a file: mapped or open), pmemd included; nobody of one that is not there. NULL with
     * error: it cannot be asked for. */
    MapperList *(*mappers)(Backend *b, sd_id128_t uuid, GError **error);
    /* Opens a data device for its guest: the very device of this uuid, its whole length. DEGRADED when it is not there or
     * not whole. */
    BackendLoan *(*lend)(Backend *b, sd_id128_t uuid, GError **error);
    /* The usable bytes of a data device for erasing, renewed first. BUSY, naming the process, when somebody has it
     * mapped (a file: mapped or open). */
    BackendContent *(*open_content)(Backend *b, sd_id128_t uuid, GError **error);
    /*
     * Has the platform forget that frames are bad, and hand out good memory in their place. What was in the bad frames
     * is lost, and what they hold afterwards is undefined until it is written. A data device may be renewed by it.
     * True when none of req->frames is bad any more. *ret_frames: how many are good that were bad; also of a failure,
     * where it was less than all.
     * Refused, UNCHANGED: NOT_SUPPORTED (this platform cannot clear), BUSY (somebody has the device open, or the frames
     * are in another device, ours or foreign), INTERNAL (the device has another tag), INVALID_ARGUMENT.
     */
    bool (*clear_bad)(Backend *b, const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome,
                      GError **error);
    void (*free)(Backend *b);
} BackendOps;

/* First member of an implementation. */
struct Backend {
    const BackendOps *ops;
};

static inline void backend_free(Backend *b) {
    if (b)
        b->ops->free(b);
}
static inline void backend_content_free(BackendContent *c) {
    if (c)
        c->free(c);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backend, backend_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendContent, backend_content_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendLoan, backend_loan_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendRaw, backend_raw_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendDevice, backend_device_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackendListing, backend_listing_free)
