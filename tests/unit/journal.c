/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Every row of the replay's verdict table, by damage done on purpose, and what the journal refuses. */
#include "daemon/journal.h"

#include "daemon/journal-bytes.h"
#include "proto/error.h"
#include "tests/lib/recording-medium.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIZE (4u * 65536u)
#define AREA_A 65536u
#define AREA_B 131072u
#define UUID_A SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01)
#define UUID_B SD_ID128_MAKE(b1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 02)

/* Two records in the snapshot (0 and 1), then the log's; each is told by the u64 that its payload starts with. */
typedef struct {
    RecordingMedium *m;
    Journal *j;
    uint64_t at[64];   /* offset of record i */
    unsigned n;        /* records so far, those of the snapshot included */
    uint64_t area;     /* live */
    uint64_t got[128]; /* what the last replay applied */
    unsigned n_got;
    unsigned notes;
    uint64_t refuse; /* apply() says no to this one */
} Fixture;

static JfSuperblock superblock(MediumClass class) {
    JfSuperblock sb = {
        .journal_uuid = UUID_A,
        .member_uuid = UUID_B,
        .major = JF_MAJOR,
        .minor = JF_MINOR,
        .geo = {
            .stride = class == MEDIUM_CLASS_MAPPED ? 64 : 512,
            .size = SIZE,
            .unit = 65536,
            .area_off = { AREA_A, AREA_B },
            .area_len = 65536,
            .mgmt_off = 3 * 65536,
        },
        .range = { 0x100, 0x100 + SIZE / 4096 },
    };
    return sb;
}

static void emit(JournalSnapshot *s, void *data) {
    Fixture *f = data;
    for (uint64_t i = 0; i < f->n; i++) {
        uint8_t payload[24] = { 0 };
        put_le64(payload, i);
        journal_snapshot_add(s, JF_ADD, i, payload, sizeof payload);
    }
}

static bool apply(const JournalRecord *record, void *data, GError **error) {
    Fixture *f = data;
    if (record->type == JF_NOTE) {
        f->notes++;
        return true;
    }
    g_assert_cmpuint(record->len, >=, 8);
    if (f->refuse != 0 && get_le64(record->payload) == f->refuse) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "it overlaps");
        return false;
    }
    f->got[f->n_got++] = get_le64(record->payload);
    return true;
}

static uint64_t end_of_log(const Fixture *f) {
    return f->area + journal_area_bytes(f->j) - journal_log_bytes(f->j);
}

/* What is stored now is durable, and a new process replays it. */
static void open_as(Fixture *f, bool write) {
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&f->j, journal_free);
    f->n_got = f->notes = 0;
    f->m->stores = 0;
    f->j = journal_open(&f->m->base, write, apply, f, &error);
    g_assert_no_error(error);
}

static void append_sized(Fixture *f, size_t len) {
    g_autoptr(GError) error = NULL;
    uint8_t payload[JF_PAYLOAD_MAX] = { 0 };
    uint64_t seq, expected = journal_next_seq(f->j);

    f->at[f->n] = end_of_log(f);
    put_le64(payload, f->n++);
    g_assert_true(journal_append(f->j, JF_ADD, 0, payload, len, &seq, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(seq, ==, expected);
}

/* A journal with `log` records of 32 + 96 bytes in its log. */
static Fixture *fixture_new(MediumClass class, unsigned log) {
    g_autoptr(GError) error = NULL;
    Fixture *f = g_new0(Fixture, 1);
    JfSuperblock sb = superblock(class);

    f->m = recording_medium_new(SIZE, class);
    f->area = AREA_A;
    f->n = 2;
    g_assert_true(journal_create(&f->m->base, &sb, emit, f, &error));
    g_assert_no_error(error);
    open_as(f, true);
    for (unsigned i = 0; i < log; i++)
        append_sized(f, 96);
    return f;
}

static void fixture_free(Fixture *f) {
    journal_free(f->j);
    medium_free(&f->m->base);
    g_free(f);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

static void put_bytes(Fixture *f, uint64_t off, const void *bytes, size_t len) {
    memcpy(f->m->view + off, bytes, len);
    memcpy(f->m->durable + off, bytes, len);
}

static void flip(Fixture *f, uint64_t off) {
    uint8_t byte = f->m->view[off] ^ 0x10;
    put_bytes(f, off, &byte, 1);
}

static void zero(Fixture *f, uint64_t off, size_t len) {
    g_autofree uint8_t *zeros = g_malloc0(len);
    put_bytes(f, off, zeros, len);
}

/* Changes a record and gives it a good checksum again. */
static void forge(Fixture *f, uint64_t off, unsigned field, const void *bytes, size_t len) {
    uint8_t buf[JF_RECORD_MAX];
    memcpy(buf, f->m->view + off, sizeof buf);
    memcpy(buf + field, bytes, len);
    jf_record_fix_crc(buf, sizeof buf, jf_record_seed(UUID_A, f->area == AREA_A ? 1 : 2));
    put_bytes(f, off, buf, get_le32(buf));
}

/* Replays; the records [0, n) must have been applied, and nothing may have been written unless clean. */
static void expect(Fixture *f, JournalVerdict verdict, unsigned n) {
    g_autofree uint8_t *before = g_memdup2(f->m->view, SIZE);

    open_as(f, true);
    g_test_message("%s", journal_report(f->j));
    g_assert_cmpint(journal_verdict(f->j), ==, verdict);
    g_assert_cmpuint(f->n_got, ==, n);
    for (unsigned i = 0; i < n; i++)
        g_assert_cmpuint(f->got[i], ==, i);
    g_assert_true((journal_report(f->j)[0] == '\0') == (verdict == JOURNAL_CLEAN));
    if (verdict == JOURNAL_CLEAN)
        return;

    uint8_t payload[8] = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_false(journal_append(f->j, JF_ADD, 0, payload, sizeof payload, NULL, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY);
    g_clear_error(&error);
    g_assert_false(journal_checkpoint(f->j, emit, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpuint(f->m->stores, ==, 0);
    g_assert_cmpmem(f->m->view, SIZE, before, SIZE);
}

static MediumClass class_of(gconstpointer data) {
    return (MediumClass) GPOINTER_TO_INT(data);
}

static void test_clean(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 5);
    expect(f, JOURNAL_CLEAN, 7);
    g_assert_cmpuint(journal_next_seq(f->j), ==, 1 + 4 + 5);
    append_sized(f, JF_PAYLOAD_MAX);
    append_sized(f, 8);
    expect(f, JOURNAL_CLEAN, 9);
}

typedef struct {
    uint64_t off; /* of the record */
    size_t len;
    unsigned fences;
} Commit;

/* The first fence is the body's, the second that of the commit word, which was not there before. */
static void word_comes_last(RecordingMedium *m, void *data) {
    Commit *commit = data;

    g_assert_cmpint(get_le64(m->view + commit->off) != 0, ==, commit->fences == 1);
    if (commit->fences == 1)
        g_assert_cmpmem(m->durable + commit->off + 8, commit->len - 8, m->view + commit->off + 8, commit->len - 8);
    commit->fences++;
}

/* The exact order and number of the medium's calls in one commit. */
static void test_commit_order(void) {
    g_autoptr(Fixture) f = fixture_new(MEDIUM_CLASS_MAPPED, 0);
    Commit commit = { .off = AREA_A + 65536 - journal_log_bytes(f->j), .len = JF_RECORD_MIN + 96 };
    f->m->stores = f->m->flushes = f->m->fences = 0;
    f->m->before_fence = word_comes_last;
    f->m->data = &commit;
    append_sized(f, 96);
    f->m->before_fence = NULL;
    g_assert_cmpuint(commit.fences, ==, 2);
    g_assert_cmpuint(f->m->stores, ==, 2);
    g_assert_cmpuint(f->m->flushes, ==, 2);
    g_assert_cmpuint(f->m->fences, ==, 2);
    g_assert_cmpuint(f->m->pending->len, ==, 0);

    /* A checkpoint: the idle area, the snapshot, one root copy, the other. */
    g_autoptr(GError) error = NULL;
    f->m->fences = 0;
    g_assert_true(journal_checkpoint(f->j, emit, f, &error));
    g_assert_cmpuint(f->m->fences, ==, 4);
    g_assert_cmpuint(f->m->pending->len, ==, 0);
    JfRoot root;
    for (unsigned copy = 0; copy < 2; copy++) {
        g_assert_cmpint(jf_root_decode(f->m->durable + jf_root_offset(SIZE, 0, copy), JF_ROOT_SIZE, UUID_A, &root), ==, JF_OK);
        g_assert_cmpuint(root.gen, ==, 2);
    }

    g_autoptr(Fixture) g = fixture_new(MEDIUM_CLASS_FILE, 0);
    g->m->stores = g->m->fences = 0;
    append_sized(g, 96);
    g_assert_cmpuint(g->m->stores, ==, 1);
    g_assert_cmpuint(g->m->fences, ==, 1);
    g_assert_cmpuint(g->m->pending->len, ==, 0);
}

/* While a journal is made, copy 0 of the superblock is the last thing that appears. */
static void copy_1_comes_first(RecordingMedium *m, void *data) {
    unsigned *seen = data;
    if (memcmp(m->view, "pmemd-sb", 8) != 0)
        return;
    (*seen)++;
    g_assert_cmpmem(m->durable + SIZE - 4096, 512, m->view, 512);
}

static void test_create_order(void) {
    Fixture f = { .n = 2 };
    JfSuperblock sb = superblock(MEDIUM_CLASS_MAPPED);
    g_autoptr(GError) error = NULL;
    unsigned seen = 0;

    f.m = recording_medium_new(SIZE, MEDIUM_CLASS_MAPPED);
    f.m->before_fence = copy_1_comes_first;
    f.m->data = &seen;
    g_assert_true(journal_create(&f.m->base, &sb, emit, &f, &error));
    g_assert_cmpuint(seen, ==, 1);
    g_assert_cmpuint(f.m->pending->len, ==, 0);
    medium_free(&f.m->base);
}

static void test_tail_is_scrubbed(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 2);
    uint32_t stride = class_of(data) == MEDIUM_CLASS_MAPPED ? 64 : 512;
    uint64_t end = end_of_log(f);
    uint8_t rest[JF_RECORD_MAX];

    /* All of a record but its commit word, as a cut leaves it. */
    memset(rest, 0x77, sizeof rest);
    put_bytes(f, end + 16, rest, JF_RECORD_MAX - 16);
    expect(f, JOURNAL_CLEAN, 4);
    for (uint64_t i = 16; i < JF_RECORD_MAX; i++)
        g_assert_cmpuint(f->m->durable[end + i], ==, 0);
    g_assert_cmpuint(get_le64(f->m->durable + end + 8), ==, stride == 64 ? journal_next_seq(f->j) : 0);
    append_sized(f, 8);
    expect(f, JOURNAL_CLEAN, 5);
    g_assert_cmpuint(f->notes, ==, 0);
}

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
    static const uint16_t types[] = { JF_LEASE, JF_UNLEASE, JF_BAD_FRAMES, 0x8012, 0xffff };
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

    static const uint16_t ignorable[] = { JF_ERASE_PROGRESS, 0x0042, 0x7fff };
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

static void checkpoint(Fixture *f) {
    g_autoptr(GError) error = NULL;
    g_assert_true(journal_checkpoint(f->j, emit, f, &error));
    g_assert_no_error(error);
    f->area = f->area == AREA_A ? AREA_B : AREA_A;
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

static void test_for_reading(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    uint8_t payload[8] = { 0 };
    g_autoptr(GError) error = NULL;

    put_bytes(f, end_of_log(f) + 128, "leftover", 8);
    flip(f, jf_root_offset(SIZE, 1, 0) + 9);
    open_as(f, false);
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CLEAN);
    g_assert_cmpuint(f->n_got, ==, 5);
    g_assert_cmpuint(f->m->stores, ==, 0);
    g_assert_false(journal_append(f->j, JF_ADD, 0, payload, sizeof payload, NULL, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY);
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

static void test_full(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 0);
    g_autoptr(GError) error = NULL;
    uint8_t payload[96] = { 0 };
    bool wanted = false;
    unsigned n = 0;

    while (journal_append(f->j, JF_ADD, 0, payload, sizeof payload, NULL, &error)) {
        if (!wanted && journal_wants_checkpoint(f->j)) {
            wanted = true;
            g_assert_cmpfloat(journal_fill(f->j), >=, 0.74);
            g_assert_cmpfloat(journal_fill(f->j), <=, 0.78);
        }
        g_assert_true(wanted || journal_fill(f->j) < 0.77);
        n++;
    }
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE);
    g_clear_error(&error);
    g_assert_true(wanted);
    g_assert_cmpuint(n, ==,
                     (65536 - (class_of(data) == MEDIUM_CLASS_MAPPED ? 256 : 512)) /
                         (class_of(data) == MEDIUM_CLASS_MAPPED ? 128 : 512));
    g_assert_cmpuint(journal_log_bytes(f->j), <, 128);

    /* Full to the last byte it still replays, and a checkpoint makes room. */
    g_clear_pointer(&f->j, journal_free);
    f->j = journal_open(&f->m->base, true, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CLEAN);
    checkpoint(f);
    g_assert_false(journal_wants_checkpoint(f->j));
    append_sized(f, 96);
    expect(f, JOURNAL_CLEAN, 3);
}

static void emit_too_much(JournalSnapshot *s, void *data) {
    uint8_t payload[224] = { 0 };
    for (unsigned i = 0; i < 65536 / 256; i++)
        journal_snapshot_add(s, JF_ADD, 0, payload, sizeof payload);
}

static void test_snapshot_too_large(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 3);
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *before = g_memdup2(f->m->view, SIZE);

    g_assert_false(journal_checkpoint(f->j, emit_too_much, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE);
    g_assert_cmpmem(f->m->view, SIZE, before, SIZE);
    g_assert_false(journal_failed(f->j));
    append_sized(f, 96);
    expect(f, JOURNAL_CLEAN, 6);

    JfSuperblock sb = superblock(class_of(data));
    g_clear_error(&error);
    g_assert_false(journal_create(&f->m->base, &sb, emit_too_much, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE);
}

static void test_checkpoints(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 1);
    for (unsigned i = 0; i < 12; i++) {
        checkpoint(f);
        /* Read at once, and after more was written. */
        if (i % 2)
            expect(f, JOURNAL_CLEAN, f->n);
        append_sized(f, 8 * (i + 1));
        append_sized(f, 96);
        expect(f, JOURNAL_CLEAN, f->n);
    }

    /* Used again, an area shows nothing of its longer past. */
    checkpoint(f);
    for (unsigned i = 0; i < 20; i++)
        append_sized(f, 96);
    f->n = 1;
    for (unsigned i = 0; i < 3; i++) {
        checkpoint(f);
        expect(f, JOURNAL_CLEAN, 1);
        expect(f, JOURNAL_CLEAN, 1); /* with what the one before may have noted */
        g_assert_cmpuint(f->notes, ==, 0);
    }
}

static void test_destroy(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 2);
    g_autoptr(GError) error = NULL;
    JfSuperblock sb = superblock(class_of(data)), found;

    g_assert_true(journal_destroy(&f->m->base, &sb.geo, &error));
    g_assert_cmpuint(f->m->pending->len, ==, 0);
    g_assert_cmpint(journal_probe(&f->m->base, &found), ==, JF_NOT_OURS);
    g_assert_null(journal_open(&f->m->base, true, apply, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);

    /* And made anew over what is left. */
    g_clear_error(&error);
    f->n = 2;
    g_assert_true(journal_create(&f->m->base, &sb, emit, f, &error));
    expect(f, JOURNAL_CLEAN, 2);

    sb.geo.stride = sb.geo.stride == 64 ? 512 : 64;
    g_assert_false(journal_create(&f->m->base, &sb, emit, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
}

/* On the real media, with the layout of a real pool. */
static void test_real_media(gconstpointer data) {
    Fixture f = { .n = 3 };
    bool mapped = class_of(data) == MEDIUM_CLASS_MAPPED;
    uint64_t size = UINT64_C(16) << 20;
    g_autoptr(GError) error = NULL;

    int fd = memfd_create("journal", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, (off_t) size), ==, 0);
    int again = dup(fd);
    g_autoptr(Medium) m = mapped ? medium_mapped_new(fd, size, true, &error) : medium_file_new(fd, size, &error);
    g_assert_no_error(error);
    JfSuperblock sb = superblock(class_of(data));
    g_assert_true(jf_geometry(size, UINT64_C(2) << 20, mapped ? 64 : 512, 1024, &sb.geo, NULL));
    sb.range.end = sb.range.start + size / 4096;
    g_assert_true(journal_create(m, &sb, emit, &f, &error));
    f.j = journal_open(m, true, apply, &f, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t payload[96] = { 0 };
        put_le64(payload, f.n++);
        g_assert_true(journal_append(f.j, JF_ADD, 0, payload, sizeof payload, NULL, &error));
        if (i == 100)
            g_assert_true(journal_checkpoint(f.j, emit, &f, &error));
    }
    journal_free(f.j);

    g_autoptr(Medium) other =
        mapped ? medium_mapped_new(again, size, true, &error) : medium_file_new(again, size, &error);
    g_assert_no_error(error);
    f.n_got = 0;
    uint64_t last = f.n;
    g_autoptr(Journal) j = journal_open(other, true, NULL, NULL, &error);
    g_assert_cmpint(journal_verdict(j), ==, JOURNAL_CLEAN);
    g_assert_cmpuint(journal_next_seq(j), ==, 1 + 5 + 101 + 2 + 104 + 99);
    g_assert_cmpuint(last, ==, 203);
}

static void add(const char *name, GTestDataFunc func) {
    static const char *const names[] = { "mapped", "file" };
    for (int class = 0; class < 2; class ++) {
        g_autofree char *path = g_strdup_printf("/journal/%s/%s", name, names[class]);
        g_test_add_data_func(path, GINT_TO_POINTER(class), func);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/commit-order", test_commit_order);
    g_test_add_func("/journal/create-order", test_create_order);
    add("clean", test_clean);
    add("tail-is-scrubbed", test_tail_is_scrubbed);
    add("hole", test_hole);
    add("last-gone", test_last_gone);
    add("bad-crc-in-the-middle", test_bad_crc_in_the_middle);
    add("bad-crc-at-the-end", test_bad_crc_at_the_end);
    add("bad-lengths", test_bad_lengths);
    add("sequence", test_sequence);
    add("previous", test_previous);
    add("other-epoch", test_other_epoch);
    add("unused-bytes", test_unused_bytes);
    add("unknown-types", test_unknown_types);
    add("framing-in-the-log", test_framing_in_the_log);
    add("snapshot", test_snapshot);
    add("poison", test_poison);
    add("contradiction", test_contradiction);
    add("roots", test_roots);
    add("copies-heal", test_copies_heal);
    add("for-reading", test_for_reading);
    add("other-class", test_other_class);
    add("features", test_features);
    add("full", test_full);
    add("snapshot-too-large", test_snapshot_too_large);
    add("checkpoints", test_checkpoints);
    add("destroy", test_destroy);
    add("real-media", test_real_media);
    return g_test_run();
}
