/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The on-media format of docs/journal-format.md: layout, encoding, decoding and verification over bytes.
 * Promises: pure; never reads past the length given; everything little-endian; unused bytes are written and verified
 * zero. Any byte string may be given to the decoders (they are a fuzz target).
 */
#pragma once

#include "proto/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JF_MAJOR 1
#define JF_MINOR 1
#define JF_RECORD_MIN 32u
#define JF_RECORD_MAX 640u
#define JF_PAYLOAD_MAX (JF_RECORD_MAX - JF_RECORD_MIN)
#define JF_SNAPSHOT_STRIDE 64u
#define JF_MAX_REGIONS_DEFAULT 1024u
#define JF_MAX_REGIONS_LIMIT 1048576u
#define JF_MAX_REQUESTS 1024u
#define JF_NOTE_MAX 256u /* bytes of a NOTE's text */

/* Bit 15: a reader that does not know the type must refuse the journal. */
typedef enum {
    JF_ADD = 0x8001,            /* JfRegion: a live region (snapshots, Adopt) */
    JF_DEL = 0x8002,            /* JfRef: a region is gone without an intent (Forget) */
    JF_SNAPSHOT_BEGIN = 0x8003, /* u64 number of records that follow before END */
    JF_SNAPSHOT_END = 0x8004,
    JF_INTENT_CREATE = 0x8005,  /* JfRegion; txid names the intent */
    JF_INTENT_DELETE = 0x8006,  /* JfDelete; txid names the intent */
    JF_COMMIT = 0x8007,         /* JfCommit; txid */
    JF_ABORT = 0x8008,          /* JfAbort; txid */
    JF_LEASE = 0x8009,          /* JfLease: who has a region now, or (JF_LEASE_ENDED) had it last; since 1.1 */
    JF_UNLEASE = 0x800a,        /* JfUnlease: nobody has it any more; since 1.1 */
    JF_ERASE_PROGRESS = 0x000b, /* JfEraseProgress: may be ignored, the erase then starts again; since 1.1 */
    JF_BAD_FRAMES = 0x800c,     /* JfBadFrames: frames of a region that cannot be read, or can again; since 1.1 */
    JF_OPEN = 0x000d,           /* JfOpen: a start of pmemd */
    JF_NOTE = 0x000e,           /* text for whoever investigates */
    JF_NAME = 0x800f,           /* JfName: (new) name of a region or of the pool itself (its member uuid) */
    JF_OWNER = 0x8010,          /* JfOwner: (new) owner */
    JF_REQUEST = 0x8011,        /* JfRequest: a request-id that was answered (snapshots; first records of a pool) */
    JF_ADOPT = 0x8012,          /* JfAdopt: a live region whose device has the tag of another pool (Adopt; snapshots) */
} JfType;

#define JF_TYPE_MUST_UNDERSTAND 0x8000u

/* Whether this version gives the type a meaning (the reserved ones have none yet). */
bool jf_type_is_known(uint16_t type);

/* "ADD"; "?" for a type that is not known. */
const char *jf_type_to_string(uint16_t type);

typedef struct {
    uint8_t unit_is_small; /* internal to the geometry: U is 64 KiB rather than 2 MiB */
    uint32_t stride;       /* of the log: 64 or 512 */
    uint64_t size;         /* bytes of the mgmt region */
    uint64_t unit;         /* U, bytes */
    uint64_t area_off[2];
    uint64_t area_len;
    uint64_t mgmt_off; /* where management extents start */
    uint64_t mgmt_len; /* up to the last unit */
} JfGeometry;

/* area_len = roundup(max_regions * 512 + 1 MiB, U): each live region may need its record, INTENT_DELETE and COMMIT in
 * one snapshot. Computes the layout for `size` bytes; step = bytes of the raw region's step (U = 2 MiB, or 64 KiB
 * where step is smaller). false: it does not fit; ret_needed (may be NULL) then gets the least size in bytes that
 * journal and copies take. */
bool jf_geometry(uint64_t size, uint64_t step, uint32_t stride, uint32_t max_regions, JfGeometry *ret_geo,
                 uint64_t *ret_needed);
/* Frames that superblocks, roots and journal take for max_regions (both units and both areas). */
uint64_t jf_journal_frames(uint64_t step, uint32_t max_regions);
/* Those of them that are the last of the management region: copies. All others are its first. */
uint64_t jf_journal_tail_frames(uint64_t step);
/* The most max_regions that makes areas of this size: with it a journal of the same layout is made again. */
uint32_t jf_geometry_max_regions(const JfGeometry *geo);

typedef struct {
    sd_id128_t journal_uuid, member_uuid, peer_uuid;
    uint32_t compat, ro_compat, incompat;
    uint16_t major, minor;
    JfGeometry geo;
    uint32_t page_info_bytes, m2p_bytes;
    uint64_t sb_seq;
    uint64_t created;      /* realtime, microseconds: for display only */
    sd_id128_t raw_cookie; /* identity of the raw region */
    FrameRange range;      /* [smfn, emfn) of the mgmt region */
} JfSuperblock;

#define JF_SUPERBLOCK_SIZE 512u

typedef enum {
    JF_OK,
    JF_NOT_OURS,    /* magic absent */
    JF_BAD,         /* ours, but CRC or a field is wrong */
    JF_UNSUPPORTED, /* a newer major or an unknown incompat flag */
    JF_READ_ONLY,   /* an unknown ro_compat flag: may be read, must not be written */
} JfVerdict;

void jf_superblock_encode(const JfSuperblock *sb, uint8_t buf[static JF_SUPERBLOCK_SIZE]);
/* ret_sb is filled for JF_OK, JF_UNSUPPORTED and JF_READ_ONLY. */
JfVerdict jf_superblock_decode(const uint8_t *buf, size_t len, JfSuperblock *ret_sb);

/* Where the copies are: the last unit is the first one mirrored. copy 0 or 1; slot = generation & 1. */
#define JF_COPY_PAGE 4096u
static inline uint64_t jf_superblock_offset(uint64_t size, unsigned copy) {
    return copy == 0 ? 0 : size - JF_COPY_PAGE;
}
static inline uint64_t jf_root_offset(uint64_t size, unsigned slot, unsigned copy) {
    return copy == 0 ? (UINT64_C(1) + slot) * JF_COPY_PAGE : size - (UINT64_C(2) + slot) * JF_COPY_PAGE;
}

#define JF_ROOT_SIZE 64u

/* Which area is live. */
typedef struct {
    uint64_t gen; /* the highest valid one counts */
    uint64_t area_off, area_len;
    uint64_t epoch;     /* of the records in the area; part of their checksum */
    uint64_t first_seq; /* of SNAPSHOT_BEGIN */
    uint32_t n_snap;    /* records between SNAPSHOT_BEGIN and SNAPSHOT_END */
    uint32_t flags;     /* none known in 1.0 */
} JfRoot;

void jf_root_encode(const JfRoot *root, sd_id128_t journal_uuid, uint8_t buf[static JF_ROOT_SIZE]);
/* ret_root is filled for JF_OK and JF_UNSUPPORTED (an unknown flag). */
JfVerdict jf_root_decode(const uint8_t *buf, size_t len, sd_id128_t journal_uuid, JfRoot *ret_root);

#define JF_RECORD_SNAPSHOT 1u /* flag: the record belongs to a snapshot, SNAPSHOT_BEGIN and _END included */
#define JF_RECORD_FLAGS_KNOWN JF_RECORD_SNAPSHOT

typedef struct {
    uint32_t crc; /* set by the coders */
    uint32_t prev_crc;
    uint64_t seq;
    uint64_t txid;
    uint16_t type;
    uint16_t flags;
    const uint8_t *payload;
    size_t payload_len; /* a multiple of 8, at most JF_PAYLOAD_MAX */
} JfRecord;

/* What the checksum of every record of an epoch starts from: leftovers of an earlier use of the area never validate. */
uint32_t jf_record_seed(sd_id128_t journal_uuid, uint64_t epoch);
/* Writes 32 + payload_len bytes, the commit word included; returns that length and sets rec->crc. */
size_t jf_record_encode(JfRecord *rec, uint32_t seed, uint8_t *buf);
/* false: no whole record with a good checksum starts at buf. ret_rec->payload points into buf. */
bool jf_record_decode(const uint8_t *buf, size_t avail, uint32_t seed, JfRecord *ret_rec);
/* The same of a record that jf_record_decode() has found good. */
JfRecord jf_record_view(const uint8_t *buf);
/* Recomputes the checksum of what is at buf when its length is possible (for fuzzing and for tests that forge). */
void jf_record_fix_crc(uint8_t *buf, size_t avail, uint32_t seed);

typedef struct {
    sd_id128_t region_uuid; /* public identity */
    sd_id128_t device_uuid; /* namespace label / file */
    FrameRange range;       /* usable frames [smfn, emfn) */
    uint64_t device_start;  /* first frame of the device range D = [device_start, range.end) */
    FrameRange extent;      /* management extent, host frames */
    uint32_t owner_uid;
    uint32_t flags;        /* JF_REGION_* */
    sd_id128_t request_id; /* null: none */
    uint64_t request_hash; /* of the method's arguments */
    uint32_t request_uid;
    uint32_t request_method;
    uint64_t time;                 /* realtime, microseconds */
    char name[PMEMD_NAME_MAX + 1]; /* "" = none */
    char user[PMEMD_USER_MAX + 1]; /* the owner's name when it was recorded */
} JfRegion;

#define JF_REGION_DIRTY 1u /* its content was never erased by us: erase before the first guest */
#define JF_REGION_FLAGS_KNOWN JF_REGION_DIRTY

typedef struct {
    JfRegion region;
    uint32_t tag_pool; /* the number of a pool in the tag of the device, which stays as it is */
} JfAdopt;

typedef struct {
    sd_id128_t uuid;
} JfRef;

typedef struct {
    sd_id128_t region_uuid;
    sd_id128_t request_id;
    uint64_t request_hash;
    uint32_t request_uid;
    uint32_t request_method;
    uint64_t time;
} JfDelete;

typedef struct {
    FrameRange device; /* what the platform really gave: D; {0,0} for a delete */
    uint64_t time;
} JfCommit;

typedef struct {
    uint32_t reason; /* a PmemdError */
    uint64_t time;
} JfAbort;

typedef struct {
    sd_id128_t boot_id, machine_id;
    uint64_t unsafe_shutdowns; /* of each DIMM one more than it counts, summed; 0 = unknown */
    uint64_t time;
    char version[32];
} JfOpen;

typedef struct {
    sd_id128_t uuid;
    char name[PMEMD_NAME_MAX + 1];
} JfName;

typedef struct {
    sd_id128_t uuid;
    uint32_t uid;
    char user[PMEMD_USER_MAX + 1];
} JfOwner;

typedef struct {
    sd_id128_t request_id;
    uint64_t request_hash;
    uint32_t request_uid;
    uint32_t request_method;
    sd_id128_t result; /* uuid of the region that was made or released */
    uint64_t time;
} JfRequest;

#define JF_LEASE_DISCONNECT 1u /* it ends with the connection that it was asked for by */
#define JF_LEASE_ENDED 2u      /* it is over: who had the region last (snapshots) */
#define JF_LEASE_FLAGS_KNOWN (JF_LEASE_DISCONNECT | JF_LEASE_ENDED)
#define JF_SENDER_MAX 63u /* bytes of a unique name on the bus */

typedef struct {
    sd_id128_t region_uuid;
    uint64_t guest_frame; /* of the region's first frame; PMEMD_FRAME_INVALID: not known */
    uint64_t since;       /* realtime, microseconds: for display only */
    sd_id128_t bus_id;    /* DISCONNECT: which run of the message bus sender is of; else null */
    uint32_t uid;
    uint32_t flags;                        /* JF_LEASE_* */
    char owner[PMEMD_LEASE_OWNER_MAX + 1]; /* valid */
    char user[PMEMD_USER_MAX + 1];         /* uid's name when it was recorded */
    char sender[JF_SENDER_MAX + 1];        /* DISCONNECT: unique name of the connection; else "" */
} JfLease;

/* Why a lease is over. */
enum {
    JF_UNLEASE_DETACHED = 0, /* who had it gave it back */
    JF_UNLEASE_DISCONNECTED, /* its connection is gone */
    JF_UNLEASE_FORCED,       /* somebody who may took it away */
    JF_N_UNLEASE_REASONS,
};

typedef struct {
    sd_id128_t region_uuid;
    uint64_t time;
    uint32_t uid;    /* who ended it */
    uint32_t reason; /* JF_UNLEASE_* */
} JfUnlease;

#define JF_ERASE_VERIFY_ALL 1u /* each byte is to be read back, not samples alone */
#define JF_ERASE_FLAGS_KNOWN JF_ERASE_VERIFY_ALL
#define JF_ERASE_PROGRESS_BYTES 32u /* of the payload: with its header one line */

/* How far the erase of a region has come. Of a region that is being made or is live: it is to be erased before its
 * first guest, and is clean once the offset is its size. */
typedef struct {
    sd_id128_t region_uuid;
    uint64_t offset; /* bytes from the region's start that read as zeros, durably */
    uint32_t device; /* the first four bytes of the device's uuid, as a number: of another device it says nothing */
    uint32_t flags;  /* JF_ERASE_* */
} JfEraseProgress;

/* Bad frames of a region, or of the mgmt region itself (its member uuid). A list that is longer than a record has
 * several, each of which is true without the others. */
#define JF_BAD_EXTENTS_MAX 36u
typedef struct {
    sd_id128_t uuid;
    bool cleared;       /* they can be read again; else they are bad besides those that were told of before */
    bool more;          /* more are bad than the records tell, or may be; never with `cleared` */
    uint16_t n_extents; /* at most JF_BAD_EXTENTS_MAX; 0 only with `more` */
    FrameRange extents[JF_BAD_EXTENTS_MAX]; /* host frames, by start; none empty, no two that touch */
} JfBadFrames;

/* Each encoder returns the payload's length (a multiple of 8); each decoder false when the payload is malformed
 * (length, unused bytes not zero, name not valid, text not terminated). Names must be valid or "" (asserted); control
 * characters of other text are written as '?', text that is too long is cut. */
size_t jf_region_encode(const JfRegion *r, uint8_t buf[static JF_PAYLOAD_MAX]);
/* What jf_region_encode() returns for a name and a user of these lengths. */
size_t jf_region_payload_len(size_t name_len, size_t user_len);
bool jf_region_decode(const uint8_t *buf, size_t len, JfRegion *ret_r);
size_t jf_adopt_encode(const JfAdopt *a, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_adopt_decode(const uint8_t *buf, size_t len, JfAdopt *ret_a);
size_t jf_ref_encode(const JfRef *r, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_ref_decode(const uint8_t *buf, size_t len, JfRef *ret_r);
size_t jf_delete_encode(const JfDelete *d, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_delete_decode(const uint8_t *buf, size_t len, JfDelete *ret_d);
size_t jf_commit_encode(const JfCommit *c, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_commit_decode(const uint8_t *buf, size_t len, JfCommit *ret_c);
size_t jf_abort_encode(const JfAbort *a, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_abort_decode(const uint8_t *buf, size_t len, JfAbort *ret_a);
size_t jf_open_encode(const JfOpen *o, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_open_decode(const uint8_t *buf, size_t len, JfOpen *ret_o);
size_t jf_name_encode(const JfName *n, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_name_decode(const uint8_t *buf, size_t len, JfName *ret_n);
size_t jf_owner_encode(const JfOwner *o, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_owner_decode(const uint8_t *buf, size_t len, JfOwner *ret_o);
size_t jf_request_encode(const JfRequest *r, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_request_decode(const uint8_t *buf, size_t len, JfRequest *ret_r);
/* The owner must be valid (asserted). */
size_t jf_lease_encode(const JfLease *l, uint8_t buf[static JF_PAYLOAD_MAX]);
/* What jf_lease_encode() returns for texts of these lengths. */
size_t jf_lease_payload_len(size_t owner_len, size_t user_len, size_t sender_len);
bool jf_lease_decode(const uint8_t *buf, size_t len, JfLease *ret_l);
size_t jf_unlease_encode(const JfUnlease *u, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_unlease_decode(const uint8_t *buf, size_t len, JfUnlease *ret_u);
size_t jf_erase_progress_encode(const JfEraseProgress *p, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_erase_progress_decode(const uint8_t *buf, size_t len, JfEraseProgress *ret_p);
size_t jf_bad_frames_encode(const JfBadFrames *b, uint8_t buf[static JF_PAYLOAD_MAX]);
/* What jf_bad_frames_encode() returns for so many extents. */
size_t jf_bad_frames_payload_len(size_t n_extents);
bool jf_bad_frames_decode(const uint8_t *buf, size_t len, JfBadFrames *ret_b);
/* A NOTE: text of 1 to JF_NOTE_MAX bytes. */
size_t jf_note_encode(const char *text, uint8_t buf[static JF_PAYLOAD_MAX]);
bool jf_note_decode(const uint8_t *buf, size_t len, char ret_text[static JF_NOTE_MAX + 1]);

/* Bytes that a record with this payload takes in a snapshot (packed at 64) and in the log (stride). */
static inline uint64_t jf_snapshot_bytes(size_t payload_len) {
    return (JF_RECORD_MIN + payload_len + 63) / 64 * 64;
}
static inline uint64_t jf_log_bytes(size_t payload_len, uint32_t stride) {
    return (JF_RECORD_MIN + payload_len + stride - 1) / stride * stride;
}
