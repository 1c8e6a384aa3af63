/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Layout, superblock, root and record header. The payloads are in journal-payload.c. */
#include "daemon/journal-format.h"

#include "daemon/crc32c.h"
#include "daemon/journal-bytes.h"

#define BYTE_ORDER_MARK 0x01020304u
#define MIB UINT64_C(1048576)
#define UNIT_LARGE (2 * MIB)
#define UNIT_SMALL (MIB / 16)
#define REGION_BYTES                                                                                                   \
    512u              /* a snapshot may hold record (256), INTENT_DELETE (128) and the log COMMIT (64) of each region */
#define AREA_BASE MIB /* request ids, notes and the log */

static const uint8_t superblock_magic[8] = "pmemd-sb";
static const uint8_t root_magic[8] = "pmemd-rt";

/* Superblock. */
enum {
    SB_MAGIC = 0,
    SB_BYTE_ORDER = 8,
    SB_MAJOR = 12,
    SB_MINOR = 14,
    SB_JOURNAL_UUID = 16,
    SB_MEMBER_UUID = 32,
    SB_PEER_UUID = 48,
    SB_COMPAT = 64,
    SB_RO_COMPAT = 68,
    SB_INCOMPAT = 72,
    SB_STRIDE = 76,
    SB_SIZE = 80,
    SB_AREA_OFF_0 = 88,
    SB_AREA_OFF_1 = 96,
    SB_AREA_LEN = 104,
    SB_MGMT_OFF = 112,
    SB_MGMT_LEN = 120,
    SB_PAGE_INFO = 128,
    SB_M2P = 132,
    SB_FRAME_SIZE = 136,
    SB_HEADER_LEN = 140,
    SB_SEQ = 144,
    SB_CREATED = 152,
    SB_RAW_COOKIE = 160,
    SB_SMFN = 176,
    SB_EMFN = 184,
    SB_UNUSED = 192,
    SB_CRC = 508,
};
G_STATIC_ASSERT(SB_CRC + 4 == JF_SUPERBLOCK_SIZE);

/* Root. */
enum {
    RT_MAGIC = 0,
    RT_GEN = 8,
    RT_AREA_OFF = 16,
    RT_AREA_LEN = 24,
    RT_EPOCH = 32,
    RT_FIRST_SEQ = 40,
    RT_N_SNAP = 48,
    RT_FLAGS = 52,
    RT_UNUSED = 56,
    RT_CRC = 60,
};
G_STATIC_ASSERT(RT_CRC + 4 == JF_ROOT_SIZE);

/* Record. */
enum {
    RC_LEN = 0,
    RC_CRC = 4,
    RC_SEQ = 8,
    RC_TYPE = 16,
    RC_FLAGS = 18,
    RC_PREV_CRC = 20,
    RC_TXID = 24,
    RC_PAYLOAD = 32,
};
G_STATIC_ASSERT(RC_PAYLOAD == JF_RECORD_MIN);
G_STATIC_ASSERT(JF_RECORD_MAX % JF_SNAPSHOT_STRIDE == 0);

static uint64_t round_up(uint64_t n, uint64_t to) {
    return (n + to - 1) / to * to;
}

static uint64_t unit_for_step(uint64_t step) {
    return step >= UNIT_LARGE ? UNIT_LARGE : UNIT_SMALL;
}

static uint64_t area_len_for(uint64_t unit, uint32_t max_regions) {
    return round_up((uint64_t) max_regions * REGION_BYTES + AREA_BASE, unit);
}

uint64_t jf_journal_frames(uint64_t step, uint32_t max_regions) {
    uint64_t unit = unit_for_step(step);
    return (2 * unit + 2 * area_len_for(unit, max_regions)) / PMEMD_FRAME_SIZE;
}

uint64_t jf_journal_tail_frames(uint64_t step) {
    return unit_for_step(step) / PMEMD_FRAME_SIZE;
}

uint32_t jf_geometry_max_regions(const JfGeometry *geo) {
    uint64_t n = geo->area_len > AREA_BASE ? (geo->area_len - AREA_BASE) / REGION_BYTES : 0;

    return (uint32_t) MIN(n, JF_MAX_REGIONS_LIMIT);
}

bool jf_geometry(uint64_t size, uint64_t step, uint32_t stride, uint32_t max_regions, JfGeometry *ret_geo,
                 uint64_t *ret_needed) {
    g_assert(stride == 64 || stride == 512);

    uint64_t needed = jf_journal_frames(step, max_regions) * PMEMD_FRAME_SIZE;
    if (size < needed) {
        if (ret_needed)
            *ret_needed = needed;
        return false;
    }

    uint64_t unit = unit_for_step(step);
    uint64_t area_len = area_len_for(unit, max_regions);
    *ret_geo = (JfGeometry){
        .unit_is_small = unit == UNIT_SMALL,
        .stride = stride,
        .size = size,
        .unit = unit,
        .area_off = { unit, unit + area_len },
        .area_len = area_len,
        .mgmt_off = unit + 2 * area_len,
        .mgmt_len = size - 2 * unit - 2 * area_len,
    };
    return true;
}

/* NULL: not known. */
static const char *name_of(uint16_t type) {
    switch (type) {
    case JF_ADD:
        return "ADD";
    case JF_DEL:
        return "DEL";
    case JF_SNAPSHOT_BEGIN:
        return "SNAPSHOT_BEGIN";
    case JF_SNAPSHOT_END:
        return "SNAPSHOT_END";
    case JF_INTENT_CREATE:
        return "INTENT_CREATE";
    case JF_INTENT_DELETE:
        return "INTENT_DELETE";
    case JF_COMMIT:
        return "COMMIT";
    case JF_ABORT:
        return "ABORT";
    case JF_LEASE:
        return "LEASE";
    case JF_UNLEASE:
        return "UNLEASE";
    case JF_ERASE_PROGRESS:
        return "ERASE_PROGRESS";
    case JF_BAD_FRAMES:
        return "BAD_FRAMES";
    case JF_OPEN:
        return "OPEN";
    case JF_NOTE:
        return "NOTE";
    case JF_NAME:
        return "NAME";
    case JF_OWNER:
        return "OWNER";
    case JF_REQUEST:
        return "REQUEST";
    case JF_ADOPT:
        return "ADOPT";
    default:
        return NULL;
    }
}

bool jf_type_is_known(uint16_t type) {
    return name_of(type) != NULL;
}

const char *jf_type_to_string(uint16_t type) {
    return name_of(type) ?: "?";
}

void jf_superblock_encode(const JfSuperblock *sb, uint8_t buf[static JF_SUPERBLOCK_SIZE]) {
    memset(buf, 0, JF_SUPERBLOCK_SIZE);
    memcpy(buf + SB_MAGIC, superblock_magic, sizeof superblock_magic);
    put_le32(buf + SB_BYTE_ORDER, BYTE_ORDER_MARK);
    put_le16(buf + SB_MAJOR, sb->major);
    put_le16(buf + SB_MINOR, sb->minor);
    put_uuid(buf + SB_JOURNAL_UUID, sb->journal_uuid);
    put_uuid(buf + SB_MEMBER_UUID, sb->member_uuid);
    put_uuid(buf + SB_PEER_UUID, sb->peer_uuid);
    put_le32(buf + SB_COMPAT, sb->compat);
    put_le32(buf + SB_RO_COMPAT, sb->ro_compat);
    put_le32(buf + SB_INCOMPAT, sb->incompat);
    put_le32(buf + SB_STRIDE, sb->geo.stride);
    put_le64(buf + SB_SIZE, sb->geo.size);
    put_le64(buf + SB_AREA_OFF_0, sb->geo.area_off[0]);
    put_le64(buf + SB_AREA_OFF_1, sb->geo.area_off[1]);
    put_le64(buf + SB_AREA_LEN, sb->geo.area_len);
    put_le64(buf + SB_MGMT_OFF, sb->geo.mgmt_off);
    put_le64(buf + SB_MGMT_LEN, sb->geo.mgmt_len);
    put_le32(buf + SB_PAGE_INFO, sb->page_info_bytes);
    put_le32(buf + SB_M2P, sb->m2p_bytes);
    put_le32(buf + SB_FRAME_SIZE, (uint32_t) PMEMD_FRAME_SIZE);
    put_le32(buf + SB_HEADER_LEN, JF_SUPERBLOCK_SIZE);
    put_le64(buf + SB_SEQ, sb->sb_seq);
    put_le64(buf + SB_CREATED, sb->created);
    put_uuid(buf + SB_RAW_COOKIE, sb->raw_cookie);
    put_le64(buf + SB_SMFN, sb->range.start);
    put_le64(buf + SB_EMFN, sb->range.end);
    put_le32(buf + SB_CRC, crc32c(0, buf, SB_CRC));
}

static void superblock_read(const uint8_t *buf, JfSuperblock *ret_sb) {
    *ret_sb = (JfSuperblock){
        .journal_uuid = get_uuid(buf + SB_JOURNAL_UUID),
        .member_uuid = get_uuid(buf + SB_MEMBER_UUID),
        .peer_uuid = get_uuid(buf + SB_PEER_UUID),
        .compat = get_le32(buf + SB_COMPAT),
        .ro_compat = get_le32(buf + SB_RO_COMPAT),
        .incompat = get_le32(buf + SB_INCOMPAT),
        .major = get_le16(buf + SB_MAJOR),
        .minor = get_le16(buf + SB_MINOR),
        .geo = {
            .stride = get_le32(buf + SB_STRIDE),
            .size = get_le64(buf + SB_SIZE),
            .area_off = { get_le64(buf + SB_AREA_OFF_0), get_le64(buf + SB_AREA_OFF_1) },
            .area_len = get_le64(buf + SB_AREA_LEN),
            .mgmt_off = get_le64(buf + SB_MGMT_OFF),
            .mgmt_len = get_le64(buf + SB_MGMT_LEN),
        },
        .page_info_bytes = get_le32(buf + SB_PAGE_INFO),
        .m2p_bytes = get_le32(buf + SB_M2P),
        .sb_seq = get_le64(buf + SB_SEQ),
        .created = get_le64(buf + SB_CREATED),
        .raw_cookie = get_uuid(buf + SB_RAW_COOKIE),
        .range = { get_le64(buf + SB_SMFN), get_le64(buf + SB_EMFN) },
    };
    /* The unit is where the first area starts. */
    ret_sb->geo.unit = ret_sb->geo.area_off[0];
    ret_sb->geo.unit_is_small = ret_sb->geo.unit == UNIT_SMALL;
}

static bool geometry_is_sound(const JfGeometry *g) {
    if (g->stride != 64 && g->stride != 512)
        return false;
    if (g->unit != UNIT_SMALL && g->unit != UNIT_LARGE)
        return false;
    if (g->size % PMEMD_FRAME_SIZE != 0 || g->size > PMEMD_FRAME_LIMIT * PMEMD_FRAME_SIZE)
        return false;
    /* Bounded by size first, so that nothing below wraps. */
    if (g->area_len == 0 || g->area_len % g->unit != 0 || g->area_len > g->size)
        return false;
    uint64_t areas_end = g->unit + 2 * g->area_len;
    return g->area_off[1] == g->unit + g->area_len && g->mgmt_off == areas_end && g->size >= areas_end + g->unit &&
           g->mgmt_len == g->size - areas_end - g->unit;
}

JfVerdict jf_superblock_decode(const uint8_t *buf, size_t len, JfSuperblock *ret_sb) {
    if (len < JF_SUPERBLOCK_SIZE || memcmp(buf + SB_MAGIC, superblock_magic, sizeof superblock_magic) != 0)
        return JF_NOT_OURS;
    if (get_le32(buf + SB_CRC) != crc32c(0, buf, SB_CRC) || get_le32(buf + SB_BYTE_ORDER) != BYTE_ORDER_MARK)
        return JF_BAD;

    JfSuperblock sb;
    superblock_read(buf, &sb);
    /* Of a newer format nothing else may be assumed, not even that its fields make sense to us. */
    if (sb.major != JF_MAJOR || sb.incompat != 0) {
        *ret_sb = sb;
        return JF_UNSUPPORTED;
    }

    if (get_le32(buf + SB_FRAME_SIZE) != PMEMD_FRAME_SIZE || get_le32(buf + SB_HEADER_LEN) != JF_SUPERBLOCK_SIZE ||
        !geometry_is_sound(&sb.geo))
        return JF_BAD;
    if (sb.range.start >= sb.range.end || sb.range.end > PMEMD_FRAME_LIMIT ||
        frame_range_frames(sb.range) != sb.geo.size / PMEMD_FRAME_SIZE)
        return JF_BAD;
    if (sd_id128_is_null(sb.journal_uuid) || sd_id128_is_null(sb.member_uuid))
        return JF_BAD;
    /* A newer minor may use what is unused today; its readers tell by the minor. */
    if (sb.minor <= JF_MINOR &&
        !(bytes_are_zero(buf + SB_UNUSED, SB_CRC - SB_UNUSED) && sd_id128_is_null(sb.peer_uuid)))
        return JF_BAD;

    *ret_sb = sb;
    return sb.ro_compat != 0 ? JF_READ_ONLY : JF_OK;
}

static uint32_t root_crc(const uint8_t *buf, sd_id128_t journal_uuid) {
    return crc32c(crc32c(0, journal_uuid.bytes, sizeof journal_uuid.bytes), buf, RT_CRC);
}

void jf_root_encode(const JfRoot *root, sd_id128_t journal_uuid, uint8_t buf[static JF_ROOT_SIZE]) {
    memset(buf, 0, JF_ROOT_SIZE);
    memcpy(buf + RT_MAGIC, root_magic, sizeof root_magic);
    put_le64(buf + RT_GEN, root->gen);
    put_le64(buf + RT_AREA_OFF, root->area_off);
    put_le64(buf + RT_AREA_LEN, root->area_len);
    put_le64(buf + RT_EPOCH, root->epoch);
    put_le64(buf + RT_FIRST_SEQ, root->first_seq);
    put_le32(buf + RT_N_SNAP, root->n_snap);
    put_le32(buf + RT_FLAGS, root->flags);
    put_le32(buf + RT_CRC, root_crc(buf, journal_uuid));
}

JfVerdict jf_root_decode(const uint8_t *buf, size_t len, sd_id128_t journal_uuid, JfRoot *ret_root) {
    if (len < JF_ROOT_SIZE || memcmp(buf + RT_MAGIC, root_magic, sizeof root_magic) != 0)
        return JF_NOT_OURS;
    if (get_le32(buf + RT_CRC) != root_crc(buf, journal_uuid) || get_le32(buf + RT_UNUSED) != 0)
        return JF_BAD;

    *ret_root = (JfRoot){
        .gen = get_le64(buf + RT_GEN),
        .area_off = get_le64(buf + RT_AREA_OFF),
        .area_len = get_le64(buf + RT_AREA_LEN),
        .epoch = get_le64(buf + RT_EPOCH),
        .first_seq = get_le64(buf + RT_FIRST_SEQ),
        .n_snap = get_le32(buf + RT_N_SNAP),
        .flags = get_le32(buf + RT_FLAGS),
    };
    return ret_root->flags != 0 ? JF_UNSUPPORTED : JF_OK;
}

uint32_t jf_record_seed(sd_id128_t journal_uuid, uint64_t epoch) {
    uint8_t epoch_le[8];
    put_le64(epoch_le, epoch);
    return crc32c(crc32c(0, journal_uuid.bytes, sizeof journal_uuid.bytes), epoch_le, sizeof epoch_le);
}

static uint32_t record_crc(const uint8_t *buf, size_t len, uint32_t seed) {
    return crc32c(crc32c(seed, buf + RC_LEN, 4), buf + RC_SEQ, len - RC_SEQ);
}

size_t jf_record_encode(JfRecord *rec, uint32_t seed, uint8_t *buf) {
    g_assert(rec->payload_len % 8 == 0 && rec->payload_len <= JF_PAYLOAD_MAX);

    size_t len = JF_RECORD_MIN + rec->payload_len;
    put_le32(buf + RC_LEN, (uint32_t) len);
    put_le64(buf + RC_SEQ, rec->seq);
    put_le16(buf + RC_TYPE, rec->type);
    put_le16(buf + RC_FLAGS, rec->flags);
    put_le32(buf + RC_PREV_CRC, rec->prev_crc);
    put_le64(buf + RC_TXID, rec->txid);
    if (rec->payload_len > 0)
        memcpy(buf + RC_PAYLOAD, rec->payload, rec->payload_len);
    rec->crc = record_crc(buf, len, seed);
    put_le32(buf + RC_CRC, rec->crc);
    return len;
}

/* 0: not a possible length. */
static size_t record_len(const uint8_t *buf, size_t avail) {
    if (avail < JF_RECORD_MIN)
        return 0;
    uint32_t len = get_le32(buf + RC_LEN);
    return len >= JF_RECORD_MIN && len <= JF_RECORD_MAX && len % 8 == 0 && len <= avail ? len : 0;
}

JfRecord jf_record_view(const uint8_t *buf) {
    return (JfRecord){
        .crc = get_le32(buf + RC_CRC),
        .prev_crc = get_le32(buf + RC_PREV_CRC),
        .seq = get_le64(buf + RC_SEQ),
        .txid = get_le64(buf + RC_TXID),
        .type = get_le16(buf + RC_TYPE),
        .flags = get_le16(buf + RC_FLAGS),
        .payload = buf + RC_PAYLOAD,
        .payload_len = get_le32(buf + RC_LEN) - JF_RECORD_MIN,
    };
}

bool jf_record_decode(const uint8_t *buf, size_t avail, uint32_t seed, JfRecord *ret_rec) {
    size_t len = record_len(buf, avail);
    if (len == 0)
        return false;
    if (get_le32(buf + RC_CRC) != record_crc(buf, len, seed))
        return false;

    *ret_rec = jf_record_view(buf);
    return true;
}

void jf_record_fix_crc(uint8_t *buf, size_t avail, uint32_t seed) {
    size_t len = record_len(buf, avail);
    if (len > 0)
        put_le32(buf + RC_CRC, record_crc(buf, len, seed));
}
