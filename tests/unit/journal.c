/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What the journal does and in which order, what it refuses, and how it fills up. Damage is journal-replay.c's. */
#include "tests/unit/journal-fixture.h"

#include <sys/mman.h>
#include <unistd.h>

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
        g_assert_cmpint(jf_root_decode(f->m->durable + jf_root_offset(SIZE, 0, copy), JF_ROOT_SIZE, UUID_A, &root), ==,
                        JF_OK);
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

/* A superblock that is not of this medium is neither written nor found. */
static void test_wrong_size(void) {
    g_autoptr(Fixture) f = fixture_new(MEDIUM_CLASS_MAPPED, 1);
    JfSuperblock sb = superblock(MEDIUM_CLASS_MAPPED), found;
    g_autoptr(GError) error = NULL;
    RecordingMedium *larger = recording_medium_new(2 * SIZE, MEDIUM_CLASS_MAPPED);
    RecordingMedium *tiny = recording_medium_new(4096, MEDIUM_CLASS_MAPPED);

    g_assert_false(journal_create(&larger->base, &sb, emit, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    memcpy(larger->view, f->m->view, SIZE);
    g_assert_cmpint(journal_probe(&larger->base, &found), ==, JF_BAD);
    memcpy(tiny->view, f->m->view, 4096);
    g_assert_cmpint(journal_probe(&tiny->base, &found), ==, JF_NOT_OURS);
    medium_free(&larger->base);
    medium_free(&tiny->base);
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

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/commit-order", test_commit_order);
    g_test_add_func("/journal/create-order", test_create_order);
    g_test_add_func("/journal/wrong-size", test_wrong_size);
    add_test("clean", test_clean);
    add_test("tail-is-scrubbed", test_tail_is_scrubbed);
    add_test("for-reading", test_for_reading);
    add_test("full", test_full);
    add_test("snapshot-too-large", test_snapshot_too_large);
    add_test("checkpoints", test_checkpoints);
    add_test("destroy", test_destroy);
    add_test("real-media", test_real_media);
    return g_test_run();
}
