/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/golden/golden-content.h"

#include "tests/lib/recording-medium.h"

#include <string.h>

#define SIZE (4u * 65536u)
#define ROW 32u
#define ID(n) SD_ID128_MAKE(n, 01, 02, 03, 04, 05, 46, 07, 88, 09, 0a, 0b, 0c, 0d, 0e, 0f)
#define TIME UINT64_C(1735689600000000) /* 2025-01-01 00:00 UTC */

static const GoldenRecord records[] = {
    {
        .type = JF_NAME,
        .name = { .uuid = ID(10), .name = "pool0" },
    },
    {
        .type = JF_ADD,
        .region = {
            .region_uuid = ID(20),
            .device_uuid = ID(21),
            .range = { 0x490000, 0x4a0000 },
            .device_start = 0x48fe00,
            .extent = { 0x480100, 0x480380 },
            .owner_uid = 1000,
            .flags = 0,
            .request_id = ID(22),
            .request_hash = UINT64_C(0x0123456789abcdef),
            .request_uid = 1001,
            .request_method = 2,
            .time = TIME + 1,
            .name = "vm1",
            .user = "alice",
        },
    },
    {
        .type = JF_OWNER,
        .owner = { .uuid = ID(20), .uid = 1002, .user = "bob" },
    },
    {
        .type = JF_REQUEST,
        .request = {
            .request_id = ID(30),
            .request_hash = UINT64_C(0xfedcba9876543210),
            .request_uid = 1003,
            .request_method = 4,
            .result = ID(31),
            .time = TIME + 2,
        },
    },
    {
        .type = JF_INTENT_CREATE, /* open when the snapshot was taken */
        .txid = 7,
        .region = {
            .region_uuid = ID(40),
            .device_uuid = ID(41),
            .range = { 0x4b0000, 0x4b0200 },
            .device_start = 0x4b0000,
            .flags = JF_REGION_DIRTY,
            .time = TIME + 3,
        },
    },
    {
        .type = JF_OPEN,
        .open = {
            .boot_id = ID(50),
            .machine_id = ID(51),
            .unsafe_shutdowns = 3,
            .time = TIME + 4,
            .version = "0.1.0",
        },
    },
    {
        .type = JF_COMMIT,
        .txid = 7,
        .commit = { .device = { 0x4b0000, 0x4b0200 }, .time = TIME + 5 },
    },
    {
        .type = JF_INTENT_CREATE,
        .txid = 8,
        .region = {
            .region_uuid = ID(60),
            .device_uuid = ID(61),
            .range = { 0x4c0000, 0x4d0000 },
            .device_start = 0x4bfe00,
            .extent = { 0x480380, 0x480600 },
            .owner_uid = UINT32_MAX,
            .flags = JF_REGION_DIRTY,
            .request_id = ID(62),
            .request_hash = UINT64_MAX,
            .request_uid = UINT32_MAX,
            .request_method = 3,
            .time = TIME + 6,
            .name = "a.name_of-63-bytes.0123456789.0123456789.0123456789.0123456789X",
            .user = "user-of-32-bytes.0123456789.0123",
        },
    },
    {
        .type = JF_ABORT,
        .txid = 8,
        .abort = { .reason = 11, .time = TIME + 7 },
    },
    {
        .type = JF_INTENT_DELETE,
        .txid = 9,
        .del = {
            .region_uuid = ID(20),
            .request_id = ID(70),
            .request_hash = 1,
            .request_uid = 1000,
            .request_method = 5,
            .time = TIME + 8,
        },
    },
    {
        .type = JF_COMMIT,
        .txid = 9,
        .commit = { .time = TIME + 9 },
    },
    {
        .type = JF_DEL,
        .ref = { .uuid = ID(40) },
    },
    {
        .type = JF_NAME,
        .name = { .uuid = ID(10), .name = "" },
    },
    {
        .type = JF_NOTE,
        .note = "a note of more than eight bytes",
    },
    /* from here on: 1.1 */
    {
        .type = JF_LEASE,
        .lease = {
            .region_uuid = ID(20),
            .guest_frame = 0x100000,
            .since = TIME + 10,
            .uid = 1000,
            .owner = "6a5b1a4e-2d6c-4d3e-9c55-0f6f4b1f2a10",
            .user = "alice",
        },
    },
    {
        .type = JF_UNLEASE,
        .unlease = { .region_uuid = ID(20), .time = TIME + 11, .uid = 0, .reason = JF_UNLEASE_FORCED },
    },
    {
        .type = JF_LEASE,
        .lease = {
            .region_uuid = ID(20),
            .guest_frame = UINT64_MAX,
            .since = TIME + 12,
            .bus_id = ID(80),
            .uid = UINT32_MAX,
            .flags = JF_LEASE_DISCONNECT,
            .owner = "an owner of 127 bytes: 0123456789.0123456789.0123456789.0123456789.0123456789.0123456789."
                     "0123456789.0123456789.0123456789.01234",
            .user = "user-of-32-bytes.0123456789.0123",
            .sender = ":1.4294967295",
        },
    },
    {
        .type = JF_LEASE,
        .lease = {
            .region_uuid = ID(20),
            .guest_frame = UINT64_MAX,
            .since = TIME + 13,
            .uid = 0,
            .flags = JF_LEASE_ENDED,
            .owner = "g",
        },
    },
    {
        .type = JF_BAD_FRAMES,
        .bad = { .uuid = ID(20), .n_extents = 2, .extents = { { 0x490001, 0x490002 }, { 0x490010, 0x490018 } } },
    },
    {
        .type = JF_BAD_FRAMES,
        .bad = { .uuid = ID(10), .more = true },
    },
    {
        .type = JF_BAD_FRAMES,
        .bad = { .uuid = ID(20), .cleared = true, .n_extents = 1, .extents = { { 0x490010, 0x490018 } } },
    },
    {
        .type = JF_ERASE_PROGRESS,
        .erase = {
            .region_uuid = ID(20),
            .offset = UINT64_C(0x0123456789abcdef),
            .device = 0x01234567,
            .flags = JF_ERASE_VERIFY_ALL,
        },
    },
    {
        .type = JF_ADOPT,
        .adopt = {
            .region = {
                .region_uuid = ID(90),
                .device_uuid = ID(91),
                .range = { 0x4d0000, 0x4e0000 },
                .device_start = 0x4cfe00,
                .extent = { 0x480600, 0x480880 },
                .owner_uid = 1000,
                .request_id = ID(92),
                .request_hash = UINT64_C(0x0123456789abcdef),
                .request_uid = 0,
                .request_method = 13,
                .time = TIME + 14,
                .name = "adopted",
                .user = "alice",
            },
            .tag_pool = 0xfedcba98,
        },
    },
};

#define RECORDS_1_0 14u /* the first of them */

const GoldenRecord *golden_records(unsigned minor, size_t *ret_n) {
    *ret_n = minor == 0 ? RECORDS_1_0 : G_N_ELEMENTS(records);
    return records;
}

JfSuperblock golden_superblock(unsigned minor, MediumClass class) {
    JfSuperblock sb = {
        .journal_uuid = ID(01),
        .member_uuid = ID(10),
        .major = 1,
        .minor = (uint16_t) minor,
        .geo = {
            .unit_is_small = 1,
            .stride = class == MEDIUM_CLASS_MAPPED ? 64 : 512,
            .size = SIZE,
            .unit = 65536,
            .area_off = { 65536, 131072 },
            .area_len = 65536,
            .mgmt_off = 196608,
            .mgmt_len = 0,
        },
        .page_info_bytes = 32,
        .m2p_bytes = 8,
        .sb_seq = 1,
        .created = TIME,
        .raw_cookie = ID(03),
        .range = { 0x480000, 0x480000 + SIZE / 4096 },
    };
    return sb;
}

size_t golden_encode(const GoldenRecord *r, uint8_t buf[static JF_PAYLOAD_MAX]) {
    switch (r->type) {
    case JF_ADD:
    case JF_INTENT_CREATE:
        return jf_region_encode(&r->region, buf);
    case JF_DEL:
        return jf_ref_encode(&r->ref, buf);
    case JF_INTENT_DELETE:
        return jf_delete_encode(&r->del, buf);
    case JF_COMMIT:
        return jf_commit_encode(&r->commit, buf);
    case JF_ABORT:
        return jf_abort_encode(&r->abort, buf);
    case JF_OPEN:
        return jf_open_encode(&r->open, buf);
    case JF_NAME:
        return jf_name_encode(&r->name, buf);
    case JF_OWNER:
        return jf_owner_encode(&r->owner, buf);
    case JF_REQUEST:
        return jf_request_encode(&r->request, buf);
    case JF_NOTE:
        return jf_note_encode(r->note, buf);
    case JF_LEASE:
        return jf_lease_encode(&r->lease, buf);
    case JF_ERASE_PROGRESS:
        return jf_erase_progress_encode(&r->erase, buf);
    case JF_UNLEASE:
        return jf_unlease_encode(&r->unlease, buf);
    case JF_BAD_FRAMES:
        return jf_bad_frames_encode(&r->bad, buf);
    case JF_ADOPT:
        return jf_adopt_encode(&r->adopt, buf);
    default:
        g_assert_not_reached();
    }
}

static void emit(JournalSnapshot *s, void *data) {
    (void) data;
    for (size_t i = 0; i < GOLDEN_SNAPSHOT; i++) {
        uint8_t payload[JF_PAYLOAD_MAX];
        size_t len = golden_encode(&records[i], payload);
        journal_snapshot_add(s, records[i].type, records[i].txid, payload, len);
    }
}

GBytes *golden_build(unsigned minor, MediumClass class) {
    JfSuperblock sb = golden_superblock(minor, class);
    size_t n;
    g_autoptr(GError) error = NULL;
    RecordingMedium *m = recording_medium_new(SIZE, class);

    (void) golden_records(minor, &n);
    /* An area that was left behind, then the live one. */
    bool ok = journal_create(&m->base, &sb, NULL, NULL, &error);
    Journal *j = ok ? journal_open(&m->base, true, NULL, NULL, &error) : NULL;
    ok = j && journal_checkpoint(j, emit, NULL, &error);
    for (size_t i = GOLDEN_SNAPSHOT; i < n && ok; i++) {
        uint8_t payload[JF_PAYLOAD_MAX];
        size_t len = golden_encode(&records[i], payload);
        ok = journal_append(j, records[i].type, records[i].txid, payload, len, NULL, &error);
    }
    g_assert_no_error(error);

    GBytes *image = g_bytes_new(m->durable, SIZE);
    journal_free(j);
    medium_free(&m->base);
    return image;
}

char *golden_to_text(GBytes *image) {
    static const uint8_t zeros[ROW];
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(image, &size);
    GString *text = g_string_new(NULL);

    for (gsize off = 0; off < size; off += ROW) {
        if (memcmp(bytes + off, zeros, ROW) == 0)
            continue;
        g_string_append_printf(text, "%05" G_GSIZE_MODIFIER "x", off);
        for (unsigned i = 0; i < ROW; i++)
            g_string_append_printf(text, "%s%02x", i % 8 == 0 ? " " : "", bytes[off + i]);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

GBytes *golden_from_text(const char *text, size_t size) {
    uint8_t *bytes = g_malloc0(size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *at;
        if (**line == '\0')
            continue;
        guint64 off = g_ascii_strtoull(*line, &at, 16);
        g_assert_cmpuint(off + ROW, <=, size);
        for (unsigned n = 0; n < ROW;) {
            if (*at == ' ') {
                at++;
                continue;
            }
            g_assert_true(g_ascii_isxdigit(at[0]) && g_ascii_isxdigit(at[1]));
            bytes[off + n++] = (uint8_t) (g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
            at += 2;
        }
    }
    return g_bytes_new_take(bytes, size);
}
