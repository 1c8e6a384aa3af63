/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The rules of a request, in the order of docs/architecture.md: pure decisions over the state.
 * Promises: nothing is changed; the same state and request always give the same plan; no input wraps; each refusal
 * names the rule's cause, the numbers (hex frames, bytes) and what to do. Used by the manager, for doing and for Plan.
 */
#pragma once

#include "daemon/state.h"

typedef struct {
    FrameRange range; /* SetupMgmt */
    uint64_t bytes;   /* AllocateMgmt */
    Profile profile;
    uint32_t max_regions; /* 1 .. JF_MAX_REGIONS_LIMIT */
    bool init_labels;
    bool allow_degraded; /* SetupMgmt: also where frames are bad, but for those of the journal */
    const char *name;    /* NULL: none */
    int node;            /* AllocateMgmt: -1 any */
    uint64_t alignment;  /* AllocateMgmt: bytes, of the first usable frame; 0 = the raw region's own */
} MgmtRequest;

/* How much a user may own. All zero: no limit. */
typedef struct {
    uint32_t uid; /* the owner to be */
    bool has_quota;
    uint64_t quota_bytes;
    const char *quota_source; /* for messages: "user alice", "group vms", "default" */
    guint max_regions;        /* 0: no limit */
} OwnerLimits;

typedef struct {
    FrameRange range; /* SetupData */
    FrameRange mgmt;  /* SetupData: frames offered for the extent */
    uint64_t bytes;   /* AllocateData */
    const char *name;
    const char *pool;    /* AllocateData: uuid or name; NULL any */
    int node;            /* AllocateData: -1 any */
    uint64_t alignment;  /* AllocateData: bytes; 0 */
    bool allow_degraded; /* SetupData: also where frames are bad */
    OwnerLimits owner;
} DataRequest;

/* What would be done. Pointers are into the state: valid until it changes. */
typedef struct {
    RegionKind kind; /* MGMT or DATA */
    Raw *raw;
    Pool *pool;        /* DATA */
    FrameRange range;  /* usable frames */
    FrameRange device; /* D */
    FrameRange extent; /* DATA: host frames kept in the pool */
    uint64_t requested_bytes;
    uint64_t required_frames; /* DATA: of the extent; MGMT: own frames + journal frames */
    uint64_t journal_frames;  /* MGMT */
    uint64_t
        host_memory_bytes; /* RAM the kernel takes to map it (64 bytes a frame on device-dax map=mem; 0 for files) */
    Profile profile;       /* MGMT */
    uint32_t max_regions;  /* MGMT */
    bool init_labels;      /* MGMT: labels must be made first */
    uint64_t bad_frames;   /* of the device range and of the extent: with allow_degraded alone */
} RegionPlan;

bool rules_setup_mgmt(const State *state, const MgmtRequest *request, RegionPlan *ret_plan, GError **error);
bool rules_setup_data(const State *state, const DataRequest *request, RegionPlan *ret_plan, GError **error);
bool rules_allocate_mgmt(const State *state, const MgmtRequest *request, RegionPlan *ret_plan, GError **error);
bool rules_allocate_data(const State *state, const DataRequest *request, RegionPlan *ret_plan, GError **error);

/* What the plan's numbers do not say and whoever asked ought to know: "" when there is nothing. A new string. */
char *rules_plan_warning(const RegionPlan *plan);

/* What Adopt is to make of an orphan. */
typedef struct {
    FrameRange device, usable; /* of the device */
    const char *pool;          /* uuid or name; NULL: the nearest with room */
    const char *name;          /* NULL: none */
    uint64_t extent_start;     /* first frame of the management extent; UINT64_MAX: chosen */
} AdoptRequest;

/* foreign: the orphan itself, which has the frames now. */
bool rules_adopt(const State *state, const Foreign *foreign, const AdoptRequest *request, RegionPlan *ret_plan,
                 GError **error);

/* May the owner have one more data region of so many bytes? LIMITS_EXCEEDED. */
bool rules_owner(const State *state, const OwnerLimits *owner, uint64_t bytes, GError **error);
/* Is what (owner_uid, owner_user) was recorded for this user's? A number that has another name now than then is somebody
 * else: it is root's alone. Names "" or NULL: none. */
bool rules_is_own(uint32_t owner_uid, const char *owner_user, uint32_t uid, const char *user);
/* May it be released now? region / pool as found by the manager. */
bool rules_release_data(const State *state, const Region *region, GError **error);
bool rules_release_mgmt(const State *state, const Pool *pool, GError **error);
/* Is this name allowed and free? pool NULL: for a pool. "" is fine (takes the name away). self: the one renamed, or
 * NULL. */
bool rules_name(const State *state, const Pool *pool, const char *name, const void *self, GError **error);
/* May anything be changed in this pool now? READ_ONLY, CORRUPT, NOT_SUPPORTED or BUSY with the reason. */
bool rules_pool_writable(const Pool *pool, GError **error);
/* Would so many more bytes of a snapshot still leave room for the release of every region? NO_SPACE. */
bool rules_journal_bytes(const Pool *pool, uint64_t bytes, GError **error);
/* May this region be given to a guest, as far as its frames can tell? DEGRADED: some of them are bad, or its DIMMs say
 * that they have failed; allow_degraded: all the same. */
bool rules_lend_check(const Region *region, bool allow_degraded, GError **error);
/* Would one more region with this name and user still leave room for the release of every one? NO_SPACE "journal". */
bool rules_journal_room(const Pool *pool, size_t name_len, size_t user_len, GError **error);

/* --- leases --- */

/* Who is to have the region: what decides whether it may be. */
typedef struct {
    const char *owner; /* valid */
    uint32_t uid;
    guint max_leases; /* of this user; 0: no limit */
} LeaseRequest;

/* May it be lent to them now? Also when they have it. LEASED names who has it; BUSY: its job, when it is not erased. */
bool rules_attach(const State *state, const Region *region, const LeaseRequest *request, GError **error);
/* Did somebody else have it last, who may have kept a descriptor? */
bool rules_attach_renews(const State *state, const Region *region, const LeaseRequest *request);

typedef struct {
    const char *owner; /* with force, "": whoever has it */
    uint32_t uid;
    bool force;
    bool others; /* may do so with what other users have */
} DetachRequest;

typedef enum {
    DETACH_NOTHING, /* they gave it back before: a repeated request */
    DETACH_OWN,
    DETACH_FORCED, /* it is taken from somebody */
} DetachKind;

bool rules_detach(const State *state, const Region *region, const DetachRequest *request, DetachKind *ret_kind,
                  GError **error);
/* LEASED: somebody has it. */
bool rules_not_leased(const State *state, const Region *region, GError **error);
/* Would one more lease still leave room in the journal for the release of every region? NO_SPACE "journal". */
bool rules_lease_room(const Pool *pool, GError **error);
