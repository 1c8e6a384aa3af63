/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the tests of state and recovery share: a model with two raw regions and a pool, and short ways to make records
 * for it. Included by those tests alone.
 */
#pragma once

#include "daemon/state.h"
#include "proto/error.h"

#include <inttypes.h>
#include <string.h>

#define LEFT UINT64_C(0x100000)
#define RIGHT UINT64_C(0x200000)
#define RAW_FRAMES UINT64_C(0x40000)
#define POOL_FRAMES UINT64_C(0x4000)

static inline sd_id128_t uuid_of(uint64_t kind, uint64_t n) {
    sd_id128_t id = { .qwords = { GUINT64_TO_BE(kind << 32 | n), GUINT64_TO_BE(n + 1) } };
    return id;
}

static inline JfSuperblock superblock_of(uint64_t n, FrameRange range) {
    JfSuperblock sb = {
        .journal_uuid = uuid_of(0x10, n),
        .member_uuid = uuid_of(0x11, n),
        .major = JF_MAJOR,
        .page_info_bytes = 32,
        .m2p_bytes = 8,
        .raw_cookie = uuid_of(0x12, 0),
        .range = range,
    };

    g_assert_true(jf_geometry(frame_range_frames(range) * PMEMD_FRAME_SIZE, 65536, 64, 64, &sb.geo, NULL));
    return sb;
}

static inline void add_raw(State *state, const char *id, uint64_t start, uint64_t frames) {
    Raw *raw = raw_new(id, (FrameRange){ start, start + frames });

    raw->cookie = uuid_of(0x12, 0);
    g_assert_true(state_add_raw(state, raw));
}

static inline State *state_with_raws(void) {
    State *state = state_new();

    add_raw(state, "right", RIGHT, RAW_FRAMES);
    add_raw(state, "left", LEFT, RAW_FRAMES);
    return state;
}

static inline Pool *add_pool(State *state, uint64_t n, uint64_t start) {
    FrameRange range = { start, start + POOL_FRAMES };
    JfSuperblock sb = superblock_of(n, range);
    g_autoptr(GError) error = NULL;
    Pool *pool = state_add_pool(state, &sb, range, POOL_OK, &error);

    g_assert_no_error(error);
    return pool;
}

/* Region n of the pool: one frame of extent, `frames` frames from start. */
static inline JfRegion region_of(const Pool *pool, uint64_t n, uint64_t start, uint64_t frames) {
    uint64_t extent = pool->own.range.end + n;

    return (JfRegion){
        .region_uuid = uuid_of(1, n),
        .device_uuid = uuid_of(2, n),
        .range = { start, start + frames },
        .device_start = start,
        .extent = { extent, extent + 1 },
        .time = n,
    };
}

static inline bool apply_region(State *state, Pool *pool, uint16_t type, uint64_t txid, const JfRegion *region,
                                GError **error) {
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, type, txid, buf, jf_region_encode(region, buf), error);
}

static inline bool apply_delete(State *state, Pool *pool, uint64_t txid, const JfDelete *delete, GError **error) {
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_INTENT_DELETE, txid, buf, jf_delete_encode(delete, buf), error);
}

static inline bool apply_commit(State *state, Pool *pool, uint64_t txid, FrameRange device, GError **error) {
    JfCommit commit = { .device = device };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_COMMIT, txid, buf, jf_commit_encode(&commit, buf), error);
}

static inline bool apply_abort(State *state, Pool *pool, uint64_t txid, GError **error) {
    JfAbort abort = { .reason = 1 };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_ABORT, txid, buf, jf_abort_encode(&abort, buf), error);
}

static inline bool apply_name(State *state, Pool *pool, sd_id128_t uuid, const char *text, GError **error) {
    JfName name = { .uuid = uuid };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_strlcpy(name.name, text, sizeof name.name);
    return state_apply(state, pool, JF_NAME, 0, buf, jf_name_encode(&name, buf), error);
}

static inline bool apply_owner(State *state, Pool *pool, sd_id128_t uuid, uint32_t uid, const char *user,
                               GError **error) {
    JfOwner owner = { .uuid = uuid, .uid = uid };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_strlcpy(owner.user, user, sizeof owner.user);
    return state_apply(state, pool, JF_OWNER, 0, buf, jf_owner_encode(&owner, buf), error);
}

static inline bool apply_del(State *state, Pool *pool, sd_id128_t uuid, GError **error) {
    JfRef ref = { .uuid = uuid };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_DEL, 0, buf, jf_ref_encode(&ref, buf), error);
}

static inline bool apply_request(State *state, Pool *pool, uint64_t n, uint32_t uid, GError **error) {
    JfRequest request = { .request_id = uuid_of(3, n), .request_uid = uid, .result = uuid_of(1, n), .request_hash = n };
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_REQUEST, 0, buf, jf_request_encode(&request, buf), error);
}

static inline bool apply_bad(State *state, Pool *pool, const JfBadFrames *bad, GError **error) {
    uint8_t buf[JF_PAYLOAD_MAX];

    return state_apply(state, pool, JF_BAD_FRAMES, 0, buf, jf_bad_frames_encode(bad, buf), error);
}
