/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Offsets, round trips and malformed input of everything that is on the medium. */
#include "daemon/journal-format.h"

#include "daemon/crc32c.h"
#include "daemon/journal-bytes.h"

#define MIB UINT64_C(1048576)
#define UUID_A SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01)
#define UUID_B SD_ID128_MAKE(b1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 02)
#define UUID_C SD_ID128_MAKE(c1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 03)

static void test_geometry(void) {
    JfGeometry g;
    uint64_t needed = 0;

    /* 2 units of 2 MiB and 2 areas of roundup(1024 * 256 + 1 MiB, 2 MiB): 8 MiB. */
    g_assert_cmpuint(jf_journal_frames(2 * MIB, 1024), ==, 8 * MIB / 4096);
    g_assert_true(jf_geometry(64 * MIB, 2 * MIB, 64, 1024, &g, NULL));
    g_assert_cmpuint(g.unit, ==, 2 * MIB);
    g_assert_cmpuint(g.area_off[0], ==, 2 * MIB);
    g_assert_cmpuint(g.area_off[1], ==, 4 * MIB);
    g_assert_cmpuint(g.area_len, ==, 2 * MIB);
    g_assert_cmpuint(g.mgmt_off, ==, 6 * MIB);
    g_assert_cmpuint(g.mgmt_len, ==, 56 * MIB);
    g_assert_cmpuint(g.stride, ==, 64);
    g_assert_false(g.unit_is_small);
    g_assert_true(jf_geometry(8 * MIB, 2 * MIB, 64, 1024, &g, NULL));
    g_assert_cmpuint(g.mgmt_len, ==, 0);

    /* Small steps: units of 64 KiB, areas of 1.5 MiB. */
    g_assert_cmpuint(jf_journal_frames(4096, 1024) * 4096, ==, 2 * 65536 + 2 * 3 * MIB / 2);
    g_assert_true(jf_geometry(16 * MIB, 4096, 512, 1024, &g, NULL));
    g_assert_true(g.unit_is_small);
    g_assert_cmpuint(g.area_off[1], ==, 65536 + 3 * MIB / 2);

    /* The layout made again from itself. */
    for (uint32_t n = 1; n < 20000; n += 997)
        for (uint64_t step = 4096; step <= 2 * MIB; step *= 512) {
            JfGeometry again;

            g_assert_true(jf_geometry(64 * MIB, step, 64, n, &g, NULL));
            g_assert_cmpuint(jf_geometry_max_regions(&g), >=, n);
            g_assert_true(jf_geometry(64 * MIB, step, 64, jf_geometry_max_regions(&g), &again, NULL));
            g_assert_cmpuint(again.area_len, ==, g.area_len);
        }
    g_assert_cmpuint(jf_geometry_max_regions(&(JfGeometry){ .area_len = 4096 }), ==, 0);
    g_assert_cmpuint(jf_geometry_max_regions(&(JfGeometry){ .area_len = UINT64_MAX }), ==, JF_MAX_REGIONS_LIMIT);

    JfGeometry untouched = { .size = 99 };
    g_assert_false(jf_geometry(8 * MIB - 4096, 2 * MIB, 64, 1024, &untouched, &needed));
    g_assert_cmpuint(needed, ==, 8 * MIB);
    g_assert_cmpuint(untouched.size, ==, 99);
    g_assert_false(jf_geometry(0, 2 * MIB, 64, JF_MAX_REGIONS_LIMIT, &untouched, NULL));

    g_assert_cmpuint(jf_superblock_offset(8 * MIB, 0), ==, 0);
    g_assert_cmpuint(jf_superblock_offset(8 * MIB, 1), ==, 8 * MIB - 4096);
    g_assert_cmpuint(jf_root_offset(8 * MIB, 0, 0), ==, 4096);
    g_assert_cmpuint(jf_root_offset(8 * MIB, 1, 0), ==, 8192);
    g_assert_cmpuint(jf_root_offset(8 * MIB, 0, 1), ==, 8 * MIB - 8192);
    g_assert_cmpuint(jf_root_offset(8 * MIB, 1, 1), ==, 8 * MIB - 12288);
}

static JfSuperblock example(void) {
    JfSuperblock sb = {
        .journal_uuid = UUID_A,
        .member_uuid = UUID_B,
        .major = JF_MAJOR,
        .minor = JF_MINOR,
        .page_info_bytes = 32,
        .m2p_bytes = 8,
        .sb_seq = 5,
        .created = 1700000000000001,
        .raw_cookie = UUID_C,
        .range = { 0x480000, 0x480000 + 64 * MIB / 4096 },
    };
    bool fits = jf_geometry(64 * MIB, 2 * MIB, 64, 1024, &sb.geo, NULL);
    g_assert_true(fits);
    return sb;
}

static void seal(uint8_t *buf) {
    put_le32(buf + 508, crc32c(0, buf, 508));
}

static void test_superblock(void) {
    JfSuperblock sb = example(), out = { 0 };
    uint8_t buf[JF_SUPERBLOCK_SIZE], again[JF_SUPERBLOCK_SIZE];

    jf_superblock_encode(&sb, buf);
    g_assert_cmpmem(buf, 12, "pmemd-sb\x04\x03\x02\x01", 12);
    g_assert_cmpuint(get_le16(buf + 12), ==, 1);
    g_assert_cmpuint(get_le32(buf + 76), ==, 64);
    g_assert_cmpuint(get_le64(buf + 80), ==, 64 * MIB);
    g_assert_cmpuint(get_le64(buf + 88), ==, 2 * MIB);
    g_assert_cmpuint(get_le64(buf + 96), ==, 4 * MIB);
    g_assert_cmpuint(get_le64(buf + 104), ==, 2 * MIB);
    g_assert_cmpuint(get_le64(buf + 112), ==, 6 * MIB);
    g_assert_cmpuint(get_le64(buf + 120), ==, 56 * MIB);
    g_assert_cmpuint(get_le32(buf + 128), ==, 32);
    g_assert_cmpuint(get_le32(buf + 132), ==, 8);
    g_assert_cmpuint(get_le32(buf + 136), ==, 4096);
    g_assert_cmpuint(get_le32(buf + 140), ==, 512);
    g_assert_cmpuint(get_le64(buf + 144), ==, 5);
    g_assert_cmpuint(get_le64(buf + 176), ==, 0x480000);

    g_assert_cmpint(jf_superblock_decode(buf, sizeof buf, &out), ==, JF_OK);
    jf_superblock_encode(&out, again);
    g_assert_cmpmem(buf, sizeof buf, again, sizeof again);
    g_assert_cmpuint(out.geo.unit, ==, 2 * MIB);
    g_assert_true(frame_range_equal(out.range, sb.range));

    g_assert_cmpint(jf_superblock_decode(buf, sizeof buf - 1, &out), ==, JF_NOT_OURS);
    for (unsigned bit = 0; bit < JF_SUPERBLOCK_SIZE * 8; bit++) {
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        g_assert_cmpint(jf_superblock_decode(buf, sizeof buf, &out), ==, bit < 64 ? JF_NOT_OURS : JF_BAD);
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
}

/* With a good checksum, but fields that contradict each other. */
static void test_superblock_fields(void) {
    static const struct {
        unsigned off;
        unsigned bytes;
        uint64_t value;
        JfVerdict verdict;
    } rows[] = {
        { 8, 4, 0x04030201, JF_BAD },    /* byte order */
        { 12, 2, 2, JF_UNSUPPORTED },    /* major */
        { 14, 2, 7, JF_OK },             /* minor */
        { 16, 8, 0, JF_OK },             /* half of a uuid */
        { 48, 8, 1, JF_BAD },            /* peer_uuid */
        { 64, 4, 1, JF_OK },             /* compat */
        { 68, 4, 0x80, JF_READ_ONLY },   /* ro_compat */
        { 72, 4, 1, JF_UNSUPPORTED },    /* incompat */
        { 76, 4, 128, JF_BAD },          /* stride */
        { 80, 8, 64 * MIB + 1, JF_BAD }, /* size */
        { 80, 8, UINT64_MAX - 4095, JF_BAD },
        { 80, 8, 4096, JF_BAD },
        { 88, 8, 0, JF_BAD }, /* area_off[0] = unit */
        { 88, 8, 4096, JF_BAD },
        { 96, 8, 2 * MIB, JF_BAD }, /* the areas overlap */
        { 104, 8, 0, JF_BAD },
        { 104, 8, UINT64_C(1) << 63, JF_BAD }, /* twice that is 0 */
        { 104, 8, 2 * MIB + 4096, JF_BAD },
        { 112, 8, 4 * MIB, JF_BAD },
        { 120, 8, 58 * MIB, JF_BAD }, /* into the last unit */
        { 136, 4, 65536, JF_BAD },    /* frame size */
        { 140, 4, 1024, JF_BAD },     /* header length */
        { 176, 8, 0x480001, JF_BAD }, /* range does not have the size */
        { 184, 8, 0, JF_BAD },
        { 192, 8, 1, JF_BAD }, /* unused */
        { 500, 8, 1, JF_BAD },
    };
    JfSuperblock sb = example(), out;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t buf[JF_SUPERBLOCK_SIZE], value[8];
        jf_superblock_encode(&sb, buf);
        put_le64(value, rows[i].value);
        memcpy(buf + rows[i].off, value, rows[i].bytes);
        seal(buf);
        g_test_message("row %u: offset %u", i, rows[i].off);
        g_assert_cmpint(jf_superblock_decode(buf, sizeof buf, &out), ==, rows[i].verdict);
    }
}

/* Nobody's journal, and a journal that is nobody's. */
static void test_superblock_without_uuid(void) {
    JfSuperblock sb = example(), out;
    uint8_t buf[JF_SUPERBLOCK_SIZE];

    sb.journal_uuid = SD_ID128_NULL;
    jf_superblock_encode(&sb, buf);
    g_assert_cmpint(jf_superblock_decode(buf, sizeof buf, &out), ==, JF_BAD);
    sb = example();
    sb.member_uuid = SD_ID128_NULL;
    jf_superblock_encode(&sb, buf);
    g_assert_cmpint(jf_superblock_decode(buf, sizeof buf, &out), ==, JF_BAD);
}

/* A terminal must not be told anything by what a medium holds. */
static void test_control_characters(void) {
    uint8_t buf[JF_PAYLOAD_MAX];
    char text[JF_NOTE_MAX + 1];
    JfOwner owner = { .uuid = UUID_A, .uid = 7, .user = "bob" };
    JfName name = { .uuid = UUID_A, .name = "vm1" };

    size_t len = jf_name_encode(&name, buf);
    g_assert_true(jf_name_decode(buf, len, &name));
    buf[24 + 1] = '\033';
    g_assert_false(jf_name_decode(buf, len, &name));
    len = jf_owner_encode(&owner, buf);
    g_assert_true(jf_owner_decode(buf, len, &owner));
    buf[24 + 1] = '\033';
    g_assert_false(jf_owner_decode(buf, len, &owner));
    len = jf_note_encode("note", buf);
    g_assert_true(jf_note_decode(buf, len, text));
    buf[1] = '\033';
    g_assert_false(jf_note_decode(buf, len, text));
}

static void test_root(void) {
    JfRoot root = { .gen = 9, .area_off = 2 * MIB, .area_len = 2 * MIB, .epoch = 8, .first_seq = 77, .n_snap = 3 }, out;
    uint8_t buf[JF_ROOT_SIZE], again[JF_ROOT_SIZE];

    jf_root_encode(&root, UUID_A, buf);
    g_assert_cmpmem(buf, 8, "pmemd-rt", 8);
    g_assert_cmpuint(get_le64(buf + 8), ==, 9);
    g_assert_cmpuint(get_le64(buf + 32), ==, 8);
    g_assert_cmpuint(get_le64(buf + 40), ==, 77);
    g_assert_cmpuint(get_le32(buf + 48), ==, 3);
    g_assert_cmpint(jf_root_decode(buf, sizeof buf, UUID_A, &out), ==, JF_OK);
    jf_root_encode(&out, UUID_A, again);
    g_assert_cmpmem(buf, sizeof buf, again, sizeof again);

    g_assert_cmpint(jf_root_decode(buf, sizeof buf, UUID_B, &out), ==, JF_BAD);
    for (unsigned bit = 0; bit < JF_ROOT_SIZE * 8; bit++) {
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        g_assert_cmpint(jf_root_decode(buf, sizeof buf, UUID_A, &out), ==, bit < 64 ? JF_NOT_OURS : JF_BAD);
        buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    root.flags = 1;
    jf_root_encode(&root, UUID_A, buf);
    g_assert_cmpint(jf_root_decode(buf, sizeof buf, UUID_A, &out), ==, JF_UNSUPPORTED);
}

static void test_record(void) {
    uint8_t payload[JF_PAYLOAD_MAX], buf[JF_RECORD_MAX] = { 0 };
    uint32_t seed = jf_record_seed(UUID_A, 3);
    memset(payload, 0x5a, sizeof payload);

    for (size_t len = 0; len <= JF_PAYLOAD_MAX; len += 8) {
        JfRecord rec = {
            .prev_crc = 0x01020304,
            .seq = 42,
            .txid = 43,
            .type = JF_ADD,
            .flags = JF_RECORD_SNAPSHOT,
            .payload = payload,
            .payload_len = len,
        };
        JfRecord out;
        g_assert_cmpuint(jf_record_encode(&rec, seed, buf), ==, 32 + len);
        g_assert_cmpuint(get_le32(buf), ==, 32 + len);
        g_assert_cmpuint(get_le32(buf + 4), ==, rec.crc);
        g_assert_cmpuint(get_le64(buf + 8), ==, 42);
        g_assert_cmpuint(get_le16(buf + 16), ==, JF_ADD);
        g_assert_cmpuint(get_le16(buf + 18), ==, 1);
        g_assert_cmpuint(get_le32(buf + 20), ==, 0x01020304);
        g_assert_cmpuint(get_le64(buf + 24), ==, 43);

        g_assert_true(jf_record_decode(buf, 32 + len, seed, &out));
        g_assert_cmpuint(out.payload_len, ==, len);
        g_assert_cmpmem(out.payload, out.payload_len, payload, len);
        g_assert_cmpuint(out.crc, ==, rec.crc);
        g_assert_cmpuint(out.prev_crc, ==, 0x01020304);
        g_assert_false(jf_record_decode(buf, 32 + len - 1, seed, &out));
        g_assert_false(jf_record_decode(buf, 32 + len, jf_record_seed(UUID_A, 4), &out));
        g_assert_false(jf_record_decode(buf, 32 + len, jf_record_seed(UUID_B, 3), &out));
        for (size_t bit = 0; bit < (32 + len) * 8; bit++) {
            buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
            g_assert_false(jf_record_decode(buf, sizeof buf, seed, &out));
            buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
    }

    /* Lengths that cannot be, with a checksum that would match. */
    static const uint32_t lens[] = { 0, 8, 24, 33, 36, 648, 0x10000, UINT32_MAX };
    for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
        JfRecord out;
        put_le32(buf, lens[i]);
        jf_record_fix_crc(buf, sizeof buf, seed);
        g_assert_false(jf_record_decode(buf, sizeof buf, seed, &out));
    }
}

static JfRegion example_region(void) {
    JfRegion r = {
        .region_uuid = UUID_A,
        .device_uuid = UUID_B,
        .range = { 0x1000, 0x2000 },
        .device_start = 0xe00,
        .extent = { 0x10, 0x11 },
        .owner_uid = 1000,
        .flags = JF_REGION_DIRTY,
        .request_id = UUID_C,
        .request_hash = 0x1122334455667788,
        .request_uid = 1001,
        .request_method = 2,
        .time = 1700000000000002,
    };
    return r;
}

static void test_region(void) {
    uint8_t buf[JF_PAYLOAD_MAX], again[JF_PAYLOAD_MAX];
    char name[PMEMD_NAME_MAX + 1] = "", user[PMEMD_USER_MAX + 1] = "";
    JfRegion out;

    for (unsigned n = 0; n <= PMEMD_NAME_MAX; n++) {
        for (unsigned u = 0; u <= PMEMD_USER_MAX; u++) {
            JfRegion r = example_region();
            memset(name, 'n', n);
            name[n] = '\0';
            memset(user, 'u', u);
            user[u] = '\0';
            g_strlcpy(r.name, name, sizeof r.name);
            g_strlcpy(r.user, user, sizeof r.user);

            size_t len = jf_region_encode(&r, buf);
            g_assert_cmpuint(len, ==, (128 + n + u + 7) / 8 * 8);
            g_assert_cmpuint(jf_snapshot_bytes(len), <=, 256);
            g_assert_true(jf_region_decode(buf, len, &out));
            g_assert_cmpstr(out.name, ==, name);
            g_assert_cmpstr(out.user, ==, user);
            g_assert_true(frame_range_equal(out.range, r.range));
            g_assert_true(frame_range_equal(out.extent, r.extent));
            g_assert_cmpuint(out.request_hash, ==, r.request_hash);
            g_assert_cmpuint(jf_region_encode(&out, again), ==, len);
            g_assert_cmpmem(buf, len, again, len);
            g_assert_false(jf_region_decode(buf, len - 8, &out));
            g_assert_false(jf_region_decode(buf, len + 8, &out));
        }
    }

    JfRegion r = example_region();
    g_strlcpy(r.name, "vm1", sizeof r.name);
    g_strlcpy(r.user, "bo\nb", sizeof r.user);
    size_t len = jf_region_encode(&r, buf);
    g_assert_true(jf_region_decode(buf, len, &out));
    g_assert_cmpstr(out.user, ==, "bo?b");
    static const struct {
        unsigned off;
        uint8_t value;
    } bad[] = { { 76, 3 },    { 120, 64 },   { 120, 200 },  { 121, 33 }, { 122, 1 }, { 127, 1 },
                { 128, '-' }, { 129, '\n' }, { 130, '\0' }, { 131, 7 },  { 135, 1 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t kept = buf[bad[i].off];
        buf[bad[i].off] = bad[i].value;
        g_assert_false(jf_region_decode(buf, len, &out));
        buf[bad[i].off] = kept;
    }
    for (size_t l = 0; l < 128; l++)
        g_assert_false(jf_region_decode(buf, l, &out));
}

static void test_small_payloads(void) {
    uint8_t buf[JF_PAYLOAD_MAX];

    JfEraseProgress progress = { UUID_A, UINT64_C(0x1122334455667788), 0x99aabbcc, JF_ERASE_VERIFY_ALL }, progress_out;
    g_assert_cmpuint(jf_erase_progress_encode(&progress, buf), ==, 32);
    g_assert_cmpuint(jf_snapshot_bytes(32), ==, 64);
    g_assert_true(jf_erase_progress_decode(buf, 32, &progress_out));
    g_assert_true(sd_id128_equal(progress.region_uuid, progress_out.region_uuid));
    g_assert_cmpuint(progress_out.offset, ==, progress.offset);
    g_assert_cmpuint(progress_out.device, ==, progress.device);
    g_assert_cmpuint(progress_out.flags, ==, progress.flags);
    g_assert_false(jf_erase_progress_decode(buf, 24, &progress_out));
    g_assert_false(jf_erase_progress_decode(buf, 40, &progress_out));
    buf[28] |= 2;
    g_assert_false(jf_erase_progress_decode(buf, 32, &progress_out));

    JfRef ref = { UUID_A }, ref_out;
    g_assert_cmpuint(jf_ref_encode(&ref, buf), ==, 16);
    g_assert_true(jf_ref_decode(buf, 16, &ref_out));
    g_assert_true(sd_id128_equal(ref.uuid, ref_out.uuid));
    g_assert_false(jf_ref_decode(buf, 24, &ref_out));

    JfDelete del = { UUID_A, UUID_B, 7, 8, 9, 10 }, del_out;
    g_assert_cmpuint(jf_delete_encode(&del, buf), ==, 56);
    g_assert_true(jf_delete_decode(buf, 56, &del_out));
    g_assert_cmpmem(&del, sizeof del, &del_out, sizeof del_out);
    g_assert_false(jf_delete_decode(buf, 48, &del_out));

    JfCommit commit = { { 5, 6 }, 7 }, commit_out;
    g_assert_cmpuint(jf_commit_encode(&commit, buf), ==, 24);
    g_assert_true(jf_commit_decode(buf, 24, &commit_out));
    g_assert_cmpmem(&commit, sizeof commit, &commit_out, sizeof commit_out);
    g_assert_false(jf_commit_decode(buf, 16, &commit_out));

    JfAbort abort_rec = { .reason = 3, .time = 4 }, abort_out;
    g_assert_cmpuint(jf_abort_encode(&abort_rec, buf), ==, 16);
    g_assert_true(jf_abort_decode(buf, 16, &abort_out));
    g_assert_cmpuint(abort_out.reason, ==, 3);
    g_assert_cmpuint(abort_out.time, ==, 4);
    buf[4] = 1;
    g_assert_false(jf_abort_decode(buf, 16, &abort_out));

    JfRequest request = { UUID_A, 1, 2, 3, UUID_B, 4 }, request_out;
    g_assert_cmpuint(jf_request_encode(&request, buf), ==, 56);
    g_assert_true(jf_request_decode(buf, 56, &request_out));
    g_assert_cmpmem(&request, sizeof request, &request_out, sizeof request_out);
    g_assert_false(jf_request_decode(buf, 64, &request_out));
}

static void test_texts(void) {
    uint8_t buf[JF_PAYLOAD_MAX];

    JfOpen open = { UUID_A, UUID_B, 11, 12, "0.1.0" }, open_out;
    g_assert_cmpuint(jf_open_encode(&open, buf), ==, 80);
    g_assert_true(jf_open_decode(buf, 80, &open_out));
    g_assert_cmpstr(open_out.version, ==, "0.1.0");
    g_assert_cmpuint(open_out.unsafe_shutdowns, ==, 11);
    buf[79] = 'x';
    g_assert_false(jf_open_decode(buf, 80, &open_out));
    memset(buf + 48, 'x', 32);
    g_assert_false(jf_open_decode(buf, 80, &open_out));

    for (unsigned n = 0; n <= PMEMD_NAME_MAX; n++) {
        JfName name = { .uuid = UUID_A }, out;
        memset(name.name, 'a', n);
        size_t len = jf_name_encode(&name, buf);
        g_assert_cmpuint(len, ==, (24 + n + 7) / 8 * 8);
        g_assert_true(jf_name_decode(buf, len, &out));
        g_assert_cmpstr(out.name, ==, name.name);
        g_assert_false(jf_name_decode(buf, len + 8, &out));
        buf[17] = 1;
        g_assert_false(jf_name_decode(buf, len, &out));
    }

    for (unsigned n = 0; n <= PMEMD_USER_MAX; n++) {
        JfOwner owner = { .uuid = UUID_A, .uid = 5 }, out;
        memset(owner.user, 'a', n);
        size_t len = jf_owner_encode(&owner, buf);
        g_assert_true(jf_owner_decode(buf, len, &out));
        g_assert_cmpstr(out.user, ==, owner.user);
        g_assert_cmpuint(out.uid, ==, 5);
        g_assert_false(jf_owner_decode(buf, len - 8, &out));
        buf[20] = 33;
        g_assert_false(jf_owner_decode(buf, len, &out));
    }

    char note[JF_NOTE_MAX + 1], long_note[400];
    memset(long_note, 'n', sizeof long_note - 1);
    long_note[sizeof long_note - 1] = '\0';
    size_t len = jf_note_encode("a note", buf);
    g_assert_cmpuint(len, ==, 8);
    g_assert_true(jf_note_decode(buf, len, note));
    g_assert_cmpstr(note, ==, "a note");
    g_assert_false(jf_note_decode(buf, 0, note));
    len = jf_note_encode(long_note, buf);
    g_assert_cmpuint(len, ==, JF_NOTE_MAX);
    g_assert_true(jf_note_decode(buf, len, note));
    g_assert_cmpuint(strlen(note), ==, JF_NOTE_MAX);
    memset(buf, 0, 16);
    g_assert_false(jf_note_decode(buf, 16, note));
}

static JfLease example_lease(void) {
    JfLease l = {
        .region_uuid = UUID_A,
        .guest_frame = 0x100000,
        .since = 1700000000000003,
        .bus_id = UUID_B,
        .uid = 1000,
        .flags = JF_LEASE_DISCONNECT,
        .owner = "guest 1",
        .user = "alice",
        .sender = ":1.42",
    };
    return l;
}

static void test_lease(void) {
    uint8_t buf[JF_PAYLOAD_MAX], again[JF_PAYLOAD_MAX];
    JfLease l = example_lease(), out;

    for (size_t n = 1; n <= PMEMD_LEASE_OWNER_MAX; n += 7) {
        memset(l.owner, 'o', n);
        l.owner[n] = '\0';
        size_t len = jf_lease_encode(&l, buf);
        g_assert_cmpuint(len % 8, ==, 0);
        g_assert_cmpuint(len, ==, jf_lease_payload_len(n, 5, 5));
        g_assert_true(jf_lease_decode(buf, len, &out));
        g_assert_cmpstr(out.owner, ==, l.owner);
        g_assert_cmpstr(out.user, ==, "alice");
        g_assert_cmpstr(out.sender, ==, ":1.42");
        g_assert_cmphex(out.guest_frame, ==, 0x100000);
        g_assert_cmpuint(out.uid, ==, 1000);
        g_assert_cmpuint(jf_lease_encode(&out, again), ==, len);
        g_assert_cmpmem(buf, len, again, len);
        g_assert_false(jf_lease_decode(buf, len - 8, &out));
        g_assert_false(jf_lease_decode(buf, len + 8, &out));
    }
}

/* Each of these contradicts itself, or is not what an owner may be. */
static void test_lease_fields(void) {
    static const struct {
        unsigned off;
        uint8_t value;
    } rows[] = {
        { 52, 0 },                  /* no end with the connection, but a connection */
        { 52, 3 },                  /* over, and a connection */
        { 52, 5 },                  /* an unknown flag */
        { 56, 0 },                  /* no owner */
        { 56, 8 },                  /* another length */
        { 59, 1 },                  /* unused */
        { 64, ' ' },                /* an owner that begins with a space */
        { 70, ' ' },                /* ends with one */
        { 65, '\n' },               /* not printable */
        { 65, 0x80 }, { 71, 0x1f }, /* a user with a control character */
        { 76, 0x7f }, { 81, 1 },    /* behind the last */
    };
    uint8_t buf[JF_PAYLOAD_MAX];
    JfLease l = example_lease(), out;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t len = jf_lease_encode(&l, buf);
        g_assert_true(jf_lease_decode(buf, len, &out));
        buf[rows[i].off] = rows[i].value;
        if (jf_lease_decode(buf, len, &out))
            g_error("byte %u = 0x%02x was taken", rows[i].off, rows[i].value);
    }
    l.flags = JF_LEASE_ENDED;
    l.bus_id = SD_ID128_NULL;
    l.sender[0] = '\0';
    size_t len = jf_lease_encode(&l, buf);
    g_assert_true(jf_lease_decode(buf, len, &out));
    g_assert_cmpuint(out.flags, ==, JF_LEASE_ENDED);
    buf[32] = 1; /* a bus without a connection */
    g_assert_false(jf_lease_decode(buf, len, &out));
}

static void test_unlease(void) {
    const JfUnlease u = { .region_uuid = UUID_A, .time = 5, .uid = 7, .reason = JF_UNLEASE_FORCED };
    uint8_t buf[JF_PAYLOAD_MAX];
    JfUnlease out;

    size_t len = jf_unlease_encode(&u, buf);
    g_assert_true(jf_unlease_decode(buf, len, &out));
    g_assert_true(sd_id128_equal(out.region_uuid, UUID_A));
    g_assert_cmpuint(out.time, ==, 5);
    g_assert_cmpuint(out.uid, ==, 7);
    g_assert_cmpuint(out.reason, ==, JF_UNLEASE_FORCED);
    g_assert_false(jf_unlease_decode(buf, len - 8, &out));
    buf[28] = JF_N_UNLEASE_REASONS;
    g_assert_false(jf_unlease_decode(buf, len, &out));
}

/* Each field of a record of bad frames that could be wrong is looked at. */
static void test_bad_frames(void) {
    uint8_t buf[JF_PAYLOAD_MAX];
    JfBadFrames bad = { .uuid = UUID_A }, out;

    for (uint16_t n = 1; n <= JF_BAD_EXTENTS_MAX; n++) {
        bad.more = n % 3 == 0;
        bad.cleared = n % 3 == 1;
        bad.n_extents = n;
        bad.extents[n - 1] = (FrameRange){ 100u * n, 100u * n + n };
        size_t len = jf_bad_frames_encode(&bad, buf);
        g_assert_cmpuint(len, ==, jf_bad_frames_payload_len(n));
        g_assert_cmpuint(len % 8, ==, 0);
        memset(&out, 0, sizeof out);
        g_assert_true(jf_bad_frames_decode(buf, len, &out));
        g_assert_cmpmem(&bad, sizeof bad, &out, sizeof out);
        g_assert_false(jf_bad_frames_decode(buf, len - 8, &out));
        g_assert_false(jf_bad_frames_decode(buf, len + 8, &out));
    }

    static const struct {
        size_t off;
        uint8_t value;
    } faults[] = {
        { 16, 2 },    { 17, 2 }, { 18, 3 }, { 19, 1 }, { 20, 1 }, { 23, 1 }, { 24, 9 }, /* starts behind its end */
        { 32, 1 },                                                                      /* ends before its start */
        { 32, 10 },                                                                     /* touches the next */
        { 40, 0 },                                                                      /* is in front of the first */
        { 53, 0xff },                                                                   /* no such frame */
    };
    bad = (JfBadFrames){ .uuid = UUID_A, .n_extents = 2, .extents = { { 5, 8 }, { 10, 11 } } };
    size_t len = jf_bad_frames_encode(&bad, buf);
    g_assert_true(jf_bad_frames_decode(buf, len, &out));
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        uint8_t kept = buf[faults[i].off];
        buf[faults[i].off] = faults[i].value;
        g_assert_false(jf_bad_frames_decode(buf, len, &out));
        buf[faults[i].off] = kept;
    }
    buf[16] = buf[17] = 1; /* cleared, and more of them are bad */
    g_assert_false(jf_bad_frames_decode(buf, len, &out));

    bad = (JfBadFrames){ .uuid = UUID_A, .more = true };
    g_assert_cmpuint(jf_bad_frames_encode(&bad, buf), ==, 24);
    g_assert_true(jf_bad_frames_decode(buf, 24, &out));
    buf[17] = 0; /* nothing is told at all */
    g_assert_false(jf_bad_frames_decode(buf, 24, &out));
    g_assert_false(jf_bad_frames_decode(buf, 16, &out));
}

static void test_types(void) {
    g_assert_true(jf_type_is_known(JF_ADD));
    g_assert_true(jf_type_is_known(JF_REQUEST));
    g_assert_true(jf_type_is_known(JF_NOTE));
    g_assert_true(jf_type_is_known(JF_LEASE));
    g_assert_true(jf_type_is_known(JF_UNLEASE));
    g_assert_true(jf_type_is_known(JF_ERASE_PROGRESS));
    g_assert_true(jf_type_is_known(JF_BAD_FRAMES));
    g_assert_false(jf_type_is_known(0));
    g_assert_false(jf_type_is_known(JF_ADD & 0x7fff));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal-format/geometry", test_geometry);
    g_test_add_func("/journal-format/superblock", test_superblock);
    g_test_add_func("/journal-format/superblock-fields", test_superblock_fields);
    g_test_add_func("/journal-format/superblock-without-uuid", test_superblock_without_uuid);
    g_test_add_func("/journal-format/control-characters", test_control_characters);
    g_test_add_func("/journal-format/root", test_root);
    g_test_add_func("/journal-format/record", test_record);
    g_test_add_func("/journal-format/region", test_region);
    g_test_add_func("/journal-format/small-payloads", test_small_payloads);
    g_test_add_func("/journal-format/texts", test_texts);
    g_test_add_func("/journal-format/lease", test_lease);
    g_test_add_func("/journal-format/lease-fields", test_lease_fields);
    g_test_add_func("/journal-format/unlease", test_unlease);
    g_test_add_func("/journal-format/bad-frames", test_bad_frames);
    g_test_add_func("/journal-format/types", test_types);
    return g_test_run();
}
