/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The types both ends agree on: frames, ranges, uuids, names, kinds, profiles, and their spelling.
 * Pure functions over values; no I/O, no state. Any file of daemon/ and client/ may include it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-id128.h>

#define PMEMD_FRAME_SIZE UINT64_C(4096) /* bytes, whatever the kernel's page size */
#define PMEMD_FRAME_SHIFT 12
#define PMEMD_FRAME_INVALID UINT64_MAX               /* not a frame number */
#define PMEMD_FRAME_LIMIT (UINT64_C(1) << (52 - 12)) /* first frame past the 52-bit physical address limit */
#define PMEMD_NAME_MAX 63                            /* bytes of a name, without the terminating 0 */
#define PMEMD_USER_MAX 32                            /* bytes of a user's name that are kept, without the 0 */
#define PMEMD_LEASE_OWNER_MAX 127                    /* bytes of a lease's owner, without the 0 */
#define PMEMD_LOCATE_MAX 1024u                       /* frames that one LocateList takes */
#define PMEMD_PATH_MAX 80                            /* bytes an object path of ours takes, with the 0 */

/* Frames [start, end): half open. Empty (start == end) means "none". */
typedef struct {
    uint64_t start; /* first frame */
    uint64_t end;   /* first frame past the range */
} FrameRange;

static inline uint64_t frame_range_frames(FrameRange r) {
    return r.end - r.start;
}

static inline bool frame_range_overlaps(FrameRange a, FrameRange b) {
    return a.start < b.end && b.start < a.end;
}

static inline bool frame_range_contains(FrameRange outer, FrameRange inner) {
    return outer.start <= inner.start && inner.end <= outer.end;
}

static inline bool frame_range_equal(FrameRange a, FrameRange b) {
    return a.start == b.start && a.end == b.end;
}

typedef enum {
    REGION_KIND_RAW,
    REGION_KIND_MGMT,
    REGION_KIND_DATA,
    N_REGION_KINDS,
} RegionKind;

/* "raw", "mgmt", "data". Static. */
const char *region_kind_to_string(RegionKind kind);

/* What one frame costs the hypervisor in the mgmt region, in bytes a frame (part of the superblock). */
typedef enum {
    PROFILE_XEN,   /* 32 + 8: struct page_info and the M2P entry of Xen on x86-64 */
    PROFILE_LINUX, /* 64 + 0: struct page */
    PROFILE_NONE,  /* 0 + 0: KVM hosts */
    N_PROFILES,
} Profile;

const char *profile_to_string(Profile profile);                /* "xen", "linux", "none"; static */
bool profile_from_string(const char *s, Profile *ret_profile); /* false: unknown */
uint32_t profile_page_info_bytes(Profile profile);
uint32_t profile_m2p_bytes(Profile profile);
/* false: no profile has these sizes */
bool profile_from_bytes(uint32_t page_info, uint32_t m2p, Profile *ret_profile);

#define PMEMD_UUID_STRING_MAX 37 /* 8-4-4-4-12 and the 0 */

/* Strict 8-4-4-4-12 (either case). false: anything else, also 32 digits without dashes. */
bool pmemd_uuid_parse(const char *s, sd_id128_t *ret_uuid);
/* Writes 36 lower-case characters and a 0 into buf; returns buf. */
char *pmemd_uuid_format(sd_id128_t uuid, char buf[static PMEMD_UUID_STRING_MAX]);
guint pmemd_uuid_hash(gconstpointer uuid); /* for GHashTable, key: const sd_id128_t * */
gboolean pmemd_uuid_equal(gconstpointer a, gconstpointer b);

/* "/org/pmemd1/region/8_4_4_4_12"; returns buf. */
char *pmemd_region_path(sd_id128_t uuid, char buf[static PMEMD_PATH_MAX]);
/* false: not the path of a region. */
bool pmemd_region_path_parse(const char *path, sd_id128_t *ret_uuid);

/* "/org/pmemd1/job/8_4_4_4_12" of the job that works on this region; returns buf. */
char *pmemd_job_path(sd_id128_t region_uuid, char buf[static PMEMD_PATH_MAX]);
bool pmemd_job_path_parse(const char *path, sd_id128_t *ret_region_uuid);

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,62}, and not shaped like a uuid. */
bool pmemd_name_is_valid(const char *name);

/* Whom a region is lent to, in the words of whoever lends it on: a domain's uuid, a name. 1 to PMEMD_LEASE_OWNER_MAX
 * printable ASCII characters, neither the first nor the last a space. */
bool pmemd_lease_owner_is_valid(const char *owner);
