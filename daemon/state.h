/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model of the host: raw regions, pools (mgmt regions), data regions, what others own, open intents, answered
 * requests. Promises: what a journal says enters by state_apply() alone, live and on replay; a record that contradicts
 * the model is refused and changes nothing; region maps and lists always agree. No I/O. Used by rules (reads), recovery
 * and manager (writes), bus (reads). All on the loop's thread. The structs are open for reading; only state*.c write
 * them, except where a member says so.
 */
#pragma once

#include "daemon/dimm-health.h"
#include "daemon/journal-format.h"
#include "daemon/lease.h"
#include "daemon/region-map.h"

#include <glib.h>

typedef struct State State;
typedef struct Raw Raw;
typedef struct Pool Pool;
typedef struct Region Region;
typedef struct Foreign Foreign;
typedef struct RegionBad RegionBad;

typedef enum {
    OCCUPANT_POOL,
    OCCUPANT_REGION,
    OCCUPANT_FOREIGN,
} OccupantKind;

/* First member of whatever occupies a device range; entry is the Occupant's first member, so an entry of a raw region's
 * map can be cast to it. */
typedef struct {
    RegionMapEntry entry; /* entry.range = device range D while placed */
    OccupantKind kind;
    Raw *raw;       /* NULL: its raw region is not on the platform now */
    RegionMap *map; /* that the entry is in: raw->map, or pool->unplaced; NULL: in none */
} Occupant;

/* One raw region of the platform. */
struct Raw {
    char *id;
    sd_id128_t cookie;
    FrameRange range;
    int node, local_node; /* -1 unknown */
    uint64_t step;        /* bytes */
    uint64_t lead;        /* frames */
    uint64_t minimum;     /* bytes */
    uint64_t free_slots;  /* UINT64_MAX: no limit */
    bool subdividable;    /* false: one device, the whole region */
    bool initialisable;   /* labels could be made with init-labels */
    bool zeroed;          /* a device that is made here reads as zeros */
    bool unmanaged;       /* not listed in Manage=: used at exact frames alone; the manager's to write */
    char **dimms;         /* ids of its DIMMs, NULL: none known */
    char *kind;           /* "labelled", "unlabelled", "file" */
    char *persistence;
    bool hides;        /* unusable, and devices in it may not be listed */
    char *unusable;    /* NULL or why */
    RegionMap *map;    /* of device ranges (Occupant entries) */
    GArray *bad;       /* frame-set: frames that cannot be read, as the platform shows them now; NULL: none */
    bool bad_all;      /* what is bad is not known one by one: bad is all of range, and nothing to be remembered */
    GPtrArray *health; /* DimmHealth *: what its DIMMs say of themselves; NULL: it has none */
};

typedef enum {
    POOL_CREATING, /* SetupMgmt is under way */
    POOL_OK,
    POOL_READ_ONLY, /* see reason: another machine's, ro_compat, medium class, failed write */
    POOL_CORRUPT,
    POOL_UNSUPPORTED, /* a newer format */
    POOL_RELEASING,   /* ReleaseMgmt is under way */
    N_POOL_STATES,
} PoolState;
const char *pool_state_to_string(PoolState state); /* "creating", "ok", "read-only", ... */

typedef enum {
    REGION_CREATING, /* intent open, device being made; frames reserved */
    REGION_OK,
    REGION_QUARANTINED, /* released: being erased, then destroyed; frames reserved */
    REGION_MISSING,     /* committed, but not on the platform; frames never freed */
    REGION_UNSETTLED,   /* intent open whose outcome is not known, or a device in the way: see reason */
    N_REGION_STATES,
} RegionState;
/* The reason of REGION_QUARANTINED while nothing stands in the way. */
#define STATE_REASON_RELEASED "released; its content is to be erased"
const char *region_state_to_string(RegionState state); /* "creating", "ok", "quarantined", "missing", "unsettled" */

/* A request-id that was answered. */
typedef struct {
    JfRequest request;
    Pool *pool;
} Answer;

/* A mgmt region and what it remembers. */
struct Pool {
    Occupant occupant;
    JfSuperblock sb; /* sb.member_uuid is the uuid of the mgmt region, of the pool, and of its device */
    char *name;      /* NULL: none */
    uint32_t owner_uid;
    char *user; /* GRefString or NULL */
    PoolState state;
    char *reason;       /* NULL while POOL_OK */
    char *path;         /* device, NULL: none now */
    RegionMap *extents; /* over sb.range: head, own, tail, extents of the data regions */
    RegionMapEntry head, own, tail;
    RegionMap
        *unplaced; /* device ranges of regions that stand in no raw region's map: while its journal is replayed, all;
                              * then those whose raw region is absent, or whose frames another pool claims, too */
    bool replaying;
    GHashTable *by_name;     /* char * (owned by the Region) -> Region * */
    GHashTable *tags;        /* Region * that were adopted -> number of a pool in the tag of its device */
    GHashTable *by_path;     /* Region * that have a path, by it */
    GString *path_text;      /* what region_path() gives */
    GHashTable *intents;     /* uint64_t * txid (in the Intent) -> Region * */
    GQueue answers;          /* Answer *, oldest first */
    guint n_regions;         /* data regions in any state */
    uint64_t data_bytes;     /* usable ones, of them all */
    uint64_t snapshot_bytes; /* what a checkpoint would write now */
    uint64_t last_txid;
    JfOpen last_open; /* the last OPEN record; all zero: none yet */
    GHashTable *bad;  /* RegionBad * of those regions, and of the mgmt region itself, that have any; NULL: none */
    void *journal;    /* the manager's; the state does not look at it */
    void *medium;     /* the manager's */
};

/* What was begun for a region and is not yet known to be done. */
typedef struct {
    uint64_t txid;
    bool deleting;         /* a release; else a creation */
    sd_id128_t request_id; /* null: none; with its scope */
    uint64_t request_hash;
    uint32_t request_uid, request_method;
} Intent;

/* A data region. There may be a hundred thousand: narrow members share a word at the end. */
struct Region {
    Occupant occupant;     /* region_device() */
    RegionMapEntry extent; /* management extent in pool->extents; extent.range in host frames */
    Pool *pool;
    sd_id128_t uuid, device_uuid;
    FrameRange range; /* usable frames */
    char *name;       /* NULL: none */
    char *user;       /* GRefString or NULL: owner's name when recorded */
    char *reason;     /* NULL, or why state is not OK, in words */
    char *path_kept;  /* GRefString or NULL; private to state-path.c: region_path() */
    Intent *intent;   /* NULL: none open */
    uint64_t time;    /* realtime, microseconds, of creation */
    uint32_t owner_uid;
    uint16_t path_uuid_at; /* where in path_kept the device's uuid is left out, or STATE_PATH_WHOLE */
    uint8_t flags;         /* JF_REGION_* */
    RegionState state : 7;
    bool adopted : 1; /* its device has the tag of another pool: region_tag_pool() */
};
G_STATIC_ASSERT(JF_REGION_FLAGS_KNOWN <= UINT8_MAX && N_REGION_STATES <= UINT8_MAX);
G_STATIC_ASSERT(sizeof(Region) <= 168); /* with malloc()'s own 8 bytes exactly 176 */

/* Its device range D. */
static inline FrameRange region_device(const Region *region) {
    return region->occupant.entry.range;
}

/* Bad frames of a region, or of a mgmt region. What was once found bad stays bad until it is cleared, also when the
 * platform does not show it any more: a kernel knows what was read since it started, and no more. */
struct RegionBad {
    sd_id128_t uuid;
    GArray *known; /* frame-set: what the journal says */
    GArray *all;   /* frame-set: with what the platform shows now; never empty, but where `more` */
    bool more;     /* more than the journal has room to tell */
};
#define STATE_BAD_EXTENTS_MAX (4 * JF_BAD_EXTENTS_MAX) /* that are journalled of one region */

/* NULL: it has none. */
const RegionBad *pool_bad(const Pool *pool, sd_id128_t uuid);
/* The same of a region, and of the mgmt region itself. */
const RegionBad *region_bad(const Region *region);
const RegionBad *pool_own_bad(const Pool *pool);
uint64_t region_bad_frames(const RegionBad *bad); /* NULL: 0 */

/* What people are told: "degraded" of a region or pool that is OK but for bad frames, else its state. */
#define STATE_DEGRADED "degraded"
const char *region_state_text(const Region *region);
const char *pool_state_text(const Pool *pool);
/* The reason to go with it, or NULL; valid as long as the state is as it is. */
const char *region_state_reason(const Region *region);
const char *pool_state_reason(const Pool *pool);

typedef enum {
    FOREIGN_FOREIGN,     /* not made by pmemd */
    FOREIGN_ORPHAN,      /* tagged ours, but no journal knows it */
    FOREIGN_UNFORMATTED, /* tagged mgmt, but holds no superblock and no setup is under way */
} ForeignKind;
const char *foreign_kind_to_string(ForeignKind kind);

struct Foreign {
    Occupant occupant;
    ForeignKind kind;
    FrameRange device;
    sd_id128_t uuid;
    uint32_t tag_pool; /* ORPHAN: number of the pool in its tag */
    char *name;
    char *mode;
};

State *state_new(void);
void state_free(State *state); /* NULL is fine */

/* --- platform (not journalled) --- */

/* Takes raw over (its map must be NULL: made here). Raws must not overlap: false, raw untouched. */
bool state_add_raw(State *state, Raw *raw);
Raw *raw_new(const char *id, FrameRange range); /* everything else zero; for state_add_raw() */
void raw_free(Raw *raw);
GPtrArray *state_raws(const State *state); /* Raw *, by start; owned by state */
/* What the platform shows of its bad frames now: bad (a frame-set or NULL) is copied. state_renew_bad() follows, for
 * those who may have some of them. */
void raw_set_bad(Raw *raw, const GArray *bad);
/* A region that may have other bad frames than it had: exactly one member is set. */
typedef struct {
    Region *region;
    Pool *pool;
} BadHolder;
/* Those with frames in raw that are bad or were, for state_renew_bad(); the caller's. */
GArray *state_bad_holders(const State *state, const Raw *raw);
/* Unites what is known of it with what its raw region shows. */
void state_renew_bad(State *state, BadHolder holder);
/* The worst that its DIMMs tell, as health_to_string() has it; "" where it has none. */
const char *raw_health(const Raw *raw);
/* Frames of raw that nobody has and that can be read; the longest run of them. */
uint64_t raw_free_frames(const Raw *raw);
uint64_t raw_largest_gap(const Raw *raw);
/* The raw region that holds range whole, or NULL. */
Raw *state_raw_for(const State *state, FrameRange range);
Raw *state_raw_by_id(const State *state, const char *id);

/* Forgets all foreign devices (before a new listing is taken in). */
void state_clear_foreign(State *state);
/* Forgets one, which becomes a region: what it occupies is free for that. */
void state_remove_foreign(State *state, Foreign *foreign);
/* Takes foreign over. It is placed when its range is free; else listed only. */
void state_add_foreign(State *state, Foreign *foreign);
GPtrArray *state_foreigns(const State *state); /* Foreign *, by device.start */
void foreign_free(Foreign *foreign);

/* --- pools --- */

/* A pool from its superblock; device = D of the mgmt device. NULL with error (CORRUPT: overlap or impossible
 * geometry). */
Pool *state_add_pool(State *state, const JfSuperblock *sb, FrameRange device, PoolState pool_state, GError **error);
/* A pool whose SetupMgmt is under way, or that is unsupported, is added the same way. Removes it with all its
 * regions. */
void state_remove_pool(State *state, Pool *pool);
/* Between these two state_apply() tells the pool's past: regions of its own must never overlap, but what it had and
 * gave up may by now be another pool's. The second enters what is left into the raw regions' maps. CORRUPT: frames
 * that another pool has, too. */
void state_begin_replay(Pool *pool);
bool state_end_replay(State *state, Pool *pool, GError **error);
void state_set_pool_state(State *state, Pool *pool, PoolState pool_state, const char *reason);
void pool_set_path(Pool *pool, const char *path);
GPtrArray *state_pools(const State *state); /* Pool *, by sb.range.start */
Pool *state_pool_by_uuid(const State *state, sd_id128_t uuid);
Pool *state_pool_by_name(const State *state, const char *name);
/* By its uuid as text, or by its name (no name is shaped like a uuid). */
Pool *state_pool_by_key(const State *state, const char *key);
/* The pool whose [smfn, emfn) holds range whole, or NULL. */
Pool *state_pool_for(const State *state, FrameRange range);

/* Frames that the profile takes for n frames: ceil(n * page_info / 4096) + ceil(n * m2p / 4096). Cannot wrap for n
 * <= 2^40. */
uint64_t pool_required_frames(uint32_t page_info_bytes, uint32_t m2p_bytes, uint64_t n);
uint64_t pool_used_frames(const Pool *pool); /* high-water mark from smfn, the tail block left out */
uint64_t pool_free_frames(const Pool *pool); /* exact: those that no extent has and that can be read */
uint64_t pool_largest_gap(const Pool *pool); /* of them */
/* The smallest run of them with so many frames, of equal ones the first. false: there is none. */
bool pool_fit_extent(const Pool *pool, uint64_t frames, FrameRange *ret_extent);

/* --- regions --- */

/* The one way in for what a journal says. CORRUPT: the record contradicts the model (which is then unchanged). */
bool state_apply(State *state, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len,
                 GError **error);

/* Gives every record that a snapshot of the pool must hold, in an order that state_apply() accepts. */
typedef void (*StateEmit)(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len);
void state_emit(const State *state, const Pool *pool, StateEmit emit, void *data);

Region *state_region_by_uuid(const State *state, sd_id128_t uuid);
/* A device path of a region or pool; at most one of the two is set; false: none has it. */
bool state_find_path(const State *state, const char *path, Region **ret_region, Pool **ret_pool);
guint state_count_regions(const State *state);
guint state_count_regions_in(const State *state, RegionState region_state);
void state_set_region_state(State *state, Region *region, RegionState region_state, const char *reason);
void region_set_path(Region *region, const char *path);
/* Its device, or NULL: none now. Valid until the next call for a region of this pool. */
const char *region_path(const Region *region);
uint64_t region_bytes(const Region *region);
/* The number of a pool that the tag of its device has: the first 8 hex digits of the uuid of its own, or of the pool
 * that made the device, when the region was adopted. */
uint32_t region_tag_pool(const Region *region);

/* --- state-erase.c: what is still to be erased --- */

/* An erase that is wanted and has not ended: of a release, or (of a live region) before the first guest. */
typedef struct {
    uint64_t offset; /* bytes from the start that read as zeros, durably, as the journal says */
    bool verify_all; /* each byte is to be read back */
    bool failed;     /* the last try did; not journalled */
} Erase;

/* What is to be erased of the region; false: nothing. A live region that is dirty and of which nothing is to be erased
 * was made by a version that did not erase: guests may have used it, so its content is its owner's. */
bool state_erase(const State *state, const Region *region, Erase *ret_erase);
/* Of a live region whose erase is wanted: how the last try ended. */
void state_set_erase_failed(State *state, const Region *region, bool failed);
/* The record that says so; returns the payload's length. */
size_t region_encode_erase(const Region *region, const Erase *erase, uint8_t buf[static JF_PAYLOAD_MAX]);

/* Walks data regions by (device start, uuid). after: NULL = from the first. NULL: no more. O((raws + pools) * log
 * n). */
Region *state_next_region(const State *state, const Region *after);
/* The first region behind the position (device_start, uuid), which needs not exist any more. */
Region *state_region_after(const State *state, uint64_t device_start, sd_id128_t uuid);

/* Sum of free frames of the raw regions that can be used, etc.; for the properties. */
typedef struct {
    uint64_t raw_bytes, mgmt_bytes, data_bytes, free_bytes;
} StateTotals;
StateTotals state_totals(const State *state);

/* Data regions that a user owns, in any state: what is being erased still counts. */
typedef struct {
    uint64_t bytes;
    guint regions;
} StateUsage;
StateUsage state_usage(const State *state, uint32_t uid);

/* --- leases --- */

/* Who has the region now; NULL: nobody. */
const Lease *state_lease(const State *state, const Region *region);
/* The same, or who had it last; NULL: nobody ever had it. */
const Lease *state_last_lease(const State *state, const Region *region);
/* Whoever has it has said so again (not journalled: the next start asks again). */
void state_confirm_lease(State *state, const Region *region);
/* Walks what somebody has in the order of state_next_region(), beginning with or behind any region. NULL: no more.
 * O(log leases). */
Region *state_leased_from(const State *state, const Region *from);
Region *state_next_leased(const State *state, const Region *after);
/* Regions whose lease ends with this connection; NULL: with any. Region *, the caller frees the array. */
GPtrArray *state_tied_regions(const State *state, const char *sender);
/* They are of another machine: forgets them all. For pools that are not written. */
void state_void_leases(State *state, const Pool *pool);
guint state_count_leases(const State *state);
guint state_count_unconfirmed(const State *state);
guint state_count_leases_of(const State *state, uint32_t uid);

/* --- answered requests --- */

/* The answer kept for (request_id, uid), or NULL. */
const Answer *state_find_answer(const State *state, sd_id128_t request_id, uint32_t uid);
/* An open create whose intent carries (request_id, uid), or NULL. */
Region *state_find_open_request(const State *state, sd_id128_t request_id, uint32_t uid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)
