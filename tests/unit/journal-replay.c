/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Every row of the replay's verdict table, by damage done on purpose. */
#include "tests/unit/journal-fixture.h"

static void test_hole(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    zero(f, f->at[4], 8);
    expect(f, JOURNAL_CORRUPT, 4);
}

static void test_last_gone(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    zero(f, f->at[6], 64);
    if (class_of(data) == MEDIUM_CLASS_MAPPED)
        expect(f, JOURNAL_CORRUPT, 6);
    else
        expect(f, JOURNAL_CLEAN, 6);
}

static void test_bad_crc_in_the_middle(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    flip(f, f->at[4] + 50);
    expect(f, JOURNAL_CORRUPT, 4);
}

static void test_bad_crc_at_the_end(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    flip(f, f->at[6] + 50);
    if (class_of(data) == MEDIUM_CLASS_MAPPED) {
        expect(f, JOURNAL_CORRUPT, 6);
        return;
    }
    /* On a file a torn record: dropped, and a note says so. */
    expect(f, JOURNAL_CLEAN, 6);
    g_assert_cmpuint(f->notes, ==, 0);
    expect(f, JOURNAL_CLEAN, 6);
    g_assert_cmpuint(f->notes, ==, 1);
    append_sized(f, 16);
    f->n = 8;
    open_as(f, true);
    g_assert_cmpuint(f->n_got, ==, 7);
    g_assert_cmpuint(f->notes, ==, 1);
}

static void test_bad_lengths(gconstpointer data) {
    static const uint32_t lens[] = { 8, 31, 36, 641, 648, 0xffffffff };
    for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        uint8_t len[4];
        put_le32(len, lens[i]);
        put_bytes(f, f->at[3], len, sizeof len);
        expect(f, JOURNAL_CORRUPT, 3);
    }
}

static void test_sequence(gconstpointer data) {
    static const int64_t steps[] = { 1, -1, 100, -5 };
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        uint8_t seq[8];
        put_le64(seq, get_le64(f->m->view + f->at[4] + 8) + (uint64_t) steps[i]);
        forge(f, f->at[4], 8, seq, sizeof seq);
        expect(f, JOURNAL_CORRUPT, 4);
    }
}

static void test_previous(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    forge(f, f->at[3], 20, "\1\2\3\4", 4);
    expect(f, JOURNAL_CORRUPT, 3);
}

/* A record of an earlier use of the area is not one of this. */
static void test_other_epoch(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    uint8_t buf[JF_RECORD_MAX];
    memcpy(buf, f->m->view + f->at[4], 128);
    jf_record_fix_crc(buf, sizeof buf, jf_record_seed(UUID_A, 7));
    put_bytes(f, f->at[4], buf, 128);
    if (class_of(data) == MEDIUM_CLASS_MAPPED)
        expect(f, JOURNAL_CORRUPT, 4);
    else
        expect(f, JOURNAL_CLEAN, 4);
}

static void test_unused_bytes(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 0);
    append_sized(f, 8);
    append_sized(f, 8);
    flip(f, f->at[2] + 63);
    expect(f, JOURNAL_CORRUPT, 2);
}

static void test_unknown_types(gconstpointer data) {
    static const uint16_t types[] = { 0x8042, 0x8043, 0xffff };
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        uint8_t type[2];
        put_le16(type, types[i]);
        forge(f, f->at[4], 16, type, sizeof type);
        /* Nothing at all was applied, not even what came before. */
        expect(f, JOURNAL_UNSUPPORTED, 0);
    }

    g_autoptr(Fixture) flagged = fixture_new(class_of(data), 3);
    forge(flagged, flagged->at[4], 18, "\2\0", 2);
    expect(flagged, JOURNAL_UNSUPPORTED, 0);

    static const uint16_t ignorable[] = { 0x0041, 0x0042, 0x7fff };
    for (unsigned i = 0; i < G_N_ELEMENTS(ignorable); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        uint8_t type[2];
        put_le16(type, ignorable[i]);
        forge(f, f->at[4], 16, type, sizeof type);
        expect(f, JOURNAL_CLEAN, 4);
    }
}

static void test_framing_in_the_log(gconstpointer data) {
    static const uint16_t types[] = { JF_SNAPSHOT_BEGIN, JF_SNAPSHOT_END };
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 2);
        uint8_t type[2];
        put_le16(type, types[i]);
        forge(f, f->at[3], 16, type, sizeof type);
        expect(f, JOURNAL_CORRUPT, 3);
    }
    g_autoptr(Fixture) flagged = fixture_new(class_of(data), 2);
    forge(flagged, flagged->at[3], 18, "\1\0", 2);
    expect(flagged, JOURNAL_CORRUPT, 3);
}

static void test_snapshot(gconstpointer data) {
    g_autoptr(Fixture) bad = fixture_new(class_of(data), 2);
    flip(bad, AREA_A + 64 + 40);
    expect(bad, JOURNAL_CORRUPT, 0);

    g_autoptr(Fixture) missing = fixture_new(class_of(data), 2);
    zero(missing, AREA_A + 128, 64);
    expect(missing, JOURNAL_CORRUPT, 1);

    g_autoptr(Fixture) counted = fixture_new(class_of(data), 2);
    forge(counted, AREA_A, 32, "\3", 1);
    expect(counted, JOURNAL_CORRUPT, 0);

    g_autoptr(Fixture) unflagged = fixture_new(class_of(data), 2);
    forge(unflagged, AREA_A + 64, 18, "\0\0", 2);
    expect(unflagged, JOURNAL_CORRUPT, 0);

    g_autoptr(Fixture) endless = fixture_new(class_of(data), 2);
    uint8_t type[2];
    put_le16(type, JF_ADD);
    forge(endless, AREA_A + 192, 16, type, sizeof type);
    expect(endless, JOURNAL_CORRUPT, 2);
}

static void test_poison(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    recording_medium_poison(f->m, f->at[5]);
    expect(f, JOURNAL_CORRUPT, 5);

    /* Where the log will come to. */
    g_autoptr(Fixture) later = fixture_new(class_of(data), 5);
    recording_medium_poison(later->m, AREA_A + 60000);
    expect(later, JOURNAL_CORRUPT, 7);

    g_autoptr(Fixture) idle = fixture_new(class_of(data), 5);
    recording_medium_poison(idle->m, AREA_B + 100);
    expect(idle, JOURNAL_CLEAN, 7);

    g_autoptr(Fixture) copies = fixture_new(class_of(data), 5);
    recording_medium_poison(copies->m, jf_superblock_offset(SIZE, 0));
    recording_medium_poison(copies->m, jf_root_offset(SIZE, 1, 1));
    expect(copies, JOURNAL_CLEAN, 7);
}

static void test_contradiction(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    f->refuse = 4;
    expect(f, JOURNAL_CORRUPT, 4);
    g_assert_nonnull(strstr(journal_report(f->j), "it overlaps"));
}

static void test_roots(gconstpointer data) {
    /* The root of generation 2 is lost in both copies. What came after it was acknowledged, so that may not pass. */
    g_autoptr(Fixture) lost = fixture_new(class_of(data), 3);
    checkpoint(lost);
    append_sized(lost, 96);
    flip(lost, jf_root_offset(SIZE, 0, 0) + 20);
    zero(lost, jf_root_offset(SIZE, 0, 1), 64);
    expect(lost, JOURNAL_CORRUPT, 5);

    /* Nothing came after it: the area before it holds all. */
    g_autoptr(Fixture) unused = fixture_new(class_of(data), 3);
    checkpoint(unused);
    zero(unused, jf_root_offset(SIZE, 0, 0), 64);
    zero(unused, jf_root_offset(SIZE, 0, 1), 64);
    expect(unused, JOURNAL_CLEAN, 5);

    g_autoptr(Fixture) none = fixture_new(class_of(data), 3);
    zero(none, 4096, 8192);
    zero(none, SIZE - 12288, 8192);
    expect(none, JOURNAL_CORRUPT, 0);

    g_autoptr(Fixture) flagged = fixture_new(class_of(data), 3);
    JfRoot root = {
        .gen = 1, .area_off = AREA_A, .area_len = 65536, .epoch = 1, .first_seq = 1, .n_snap = 2, .flags = 1
    };
    uint8_t buf[JF_ROOT_SIZE];
    jf_root_encode(&root, UUID_A, buf);
    put_bytes(flagged, jf_root_offset(SIZE, 1, 0), buf, sizeof buf);
    expect(flagged, JOURNAL_UNSUPPORTED, 0);

    const JfRoot wrong[] = {
        { .gen = 1, .area_off = AREA_A + 64, .area_len = 65536, .epoch = 1, .first_seq = 1, .n_snap = 2 },
        { .gen = 1, .area_off = AREA_A, .area_len = 131072, .epoch = 1, .first_seq = 1, .n_snap = 2 },
        { .gen = 1, .area_off = AREA_A, .area_len = 65536, .epoch = 0, .first_seq = 1, .n_snap = 2 },
        { .gen = 1, .area_off = AREA_A, .area_len = 65536, .epoch = 1, .first_seq = 0, .n_snap = 2 },
        { .gen = 1, .area_off = AREA_A, .area_len = 65536, .epoch = 1, .first_seq = 1, .n_snap = UINT32_MAX },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        jf_root_encode(&wrong[i], UUID_A, buf);
        put_bytes(f, jf_root_offset(SIZE, 1, 0), buf, sizeof buf);
        expect(f, JOURNAL_CORRUPT, 0);
    }

    /* In the slot of the other parity it does not count. */
    g_autoptr(Fixture) misplaced = fixture_new(class_of(data), 3);
    root.flags = 0;
    root.gen = 3;
    jf_root_encode(&root, UUID_A, buf);
    put_bytes(misplaced, jf_root_offset(SIZE, 0, 0), buf, sizeof buf);
    expect(misplaced, JOURNAL_CLEAN, 5);
}

static void test_copies_heal(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    g_autofree uint8_t *whole = g_memdup2(f->m->durable, SIZE);

    for (unsigned copy = 0; copy < 2; copy++) {
        flip(f, jf_superblock_offset(SIZE, copy) + 99);
        flip(f, jf_root_offset(SIZE, 1, copy) + 9);
        expect(f, JOURNAL_CLEAN, 5);
        g_assert_cmpmem(f->m->durable, SIZE, whole, SIZE);
    }

    g_autoptr(GError) error = NULL;
    flip(f, jf_superblock_offset(SIZE, 0) + 99);
    flip(f, jf_superblock_offset(SIZE, 1) + 99);
    g_assert_null(journal_open(&f->m->base, true, apply, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
}

static void test_other_class(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    f->m->base.class = class_of(data) == MEDIUM_CLASS_MAPPED ? MEDIUM_CLASS_FILE : MEDIUM_CLASS_MAPPED;
    expect(f, JOURNAL_READ_ONLY, 5);
    flip(f, f->at[3] + 50);
    expect(f, JOURNAL_CORRUPT, 3);
}

static void put_superblocks(Fixture *f, const JfSuperblock *sb) {
    uint8_t buf[JF_SUPERBLOCK_SIZE];
    jf_superblock_encode(sb, buf);
    for (unsigned copy = 0; copy < 2; copy++)
        put_bytes(f, jf_superblock_offset(SIZE, copy), buf, sizeof buf);
}

static void test_features(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    JfSuperblock sb = superblock(class_of(data)), found;

    g_assert_cmpint(journal_probe(&f->m->base, &found), ==, JF_OK);
    sb.ro_compat = 4;
    put_superblocks(f, &sb);
    expect(f, JOURNAL_READ_ONLY, 5);
    sb.ro_compat = 0;
    sb.compat = 4;
    put_superblocks(f, &sb);
    expect(f, JOURNAL_CLEAN, 5);
    sb.incompat = 4;
    put_superblocks(f, &sb);
    expect(f, JOURNAL_UNSUPPORTED, 0);
    g_assert_cmpuint(journal_superblock(f->j)->range.start, ==, 0x100);
    sb.incompat = 0;
    sb.major = 2;
    put_superblocks(f, &sb);
    expect(f, JOURNAL_UNSUPPORTED, 0);
    g_assert_cmpint(journal_probe(&f->m->base, &found), ==, JF_UNSUPPORTED);
}

/* A copy to be healed, and a medium that fails at any call of it: no journal, and nothing is lost. */
static void test_healing_fails(gconstpointer data) {
    for (unsigned what = 0; what < 2; what++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
        bool opened = false;

        flip(f, what == 0 ? jf_superblock_offset(SIZE, 1) + 99 : jf_root_offset(SIZE, 1, 1) + 9);
        for (unsigned n = 1; !opened; n++) {
            g_autoptr(GError) error = NULL;

            g_assert_cmpuint(n, <, 1000);
            g_clear_pointer(&f->j, journal_free);
            f->n_got = 0;
            f->m->calls = 0;
            f->m->fail_at = n;
            f->m->fail_errno = EIO;
            f->j = journal_open(&f->m->base, true, apply, f, &error);
            opened = f->j && f->m->calls < n;
            if (!f->j)
                g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
            f->m->fail_at = 0;
        }
        expect(f, JOURNAL_CLEAN, 5);
    }
}

/* The note of a torn record is written before anybody may append: when that fails there is no journal, yet. */
static void test_noting_fails(void) {
    bool opened = false;
    unsigned n = 1;

    for (; !opened; n++) {
        g_autoptr(Fixture) f = fixture_new(MEDIUM_CLASS_FILE, 5);
        g_autoptr(GError) error = NULL;

        g_assert_cmpuint(n, <, 1000);
        flip(f, f->at[6] + 50);
        g_clear_pointer(&f->j, journal_free);
        f->n_got = 0;
        f->m->calls = 0;
        f->m->fail_at = n;
        f->m->fail_errno = ENOSPC;
        f->j = journal_open(&f->m->base, true, apply, f, &error);
        opened = f->j && f->m->calls < n;
        if (!f->j)
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        f->m->fail_at = 0;
        expect(f, JOURNAL_CLEAN, 6);
    }
    g_assert_cmpuint(n, >, 4);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    add_test("hole", test_hole);
    g_test_add_func("/journal/noting-fails", test_noting_fails);
    add_test("last-gone", test_last_gone);
    add_test("bad-crc-in-the-middle", test_bad_crc_in_the_middle);
    add_test("bad-crc-at-the-end", test_bad_crc_at_the_end);
    add_test("bad-lengths", test_bad_lengths);
    add_test("sequence", test_sequence);
    add_test("previous", test_previous);
    add_test("other-epoch", test_other_epoch);
    add_test("unused-bytes", test_unused_bytes);
    add_test("unknown-types", test_unknown_types);
    add_test("framing-in-the-log", test_framing_in_the_log);
    add_test("snapshot", test_snapshot);
    add_test("poison", test_poison);
    add_test("contradiction", test_contradiction);
    add_test("roots", test_roots);
    add_test("copies-heal", test_copies_heal);
    add_test("healing-fails", test_healing_fails);
    add_test("other-class", test_other_class);
    add_test("features", test_features);
    return g_test_run();
}
