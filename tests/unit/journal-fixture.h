/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A journal of four units on a recording medium, with the means to damage it, to replay it and to say what must come of
 * it. Included by the tests of daemon/journal*.c.
 */
#pragma once

#include "daemon/journal-bytes.h"
#include "daemon/journal.h"
#include "proto/error.h"
#include "tests/lib/recording-medium.h"

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

static inline JfSuperblock superblock(MediumClass class) {
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

static inline void emit(JournalSnapshot *s, void *data) {
    Fixture *f = data;
    for (uint64_t i = 0; i < f->n; i++) {
        uint8_t payload[24] = { 0 };
        put_le64(payload, i);
        journal_snapshot_add(s, JF_ADD, i, payload, sizeof payload);
    }
}

static inline bool apply(const JournalRecord *record, void *data, GError **error) {
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

static inline uint64_t end_of_log(const Fixture *f) {
    return f->area + journal_area_bytes(f->j) - journal_log_bytes(f->j);
}

/* What is stored now is durable, and a new process replays it. */
static inline void open_as(Fixture *f, bool write) {
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&f->j, journal_free);
    f->n_got = f->notes = 0;
    f->m->stores = 0;
    f->j = journal_open(&f->m->base, write, apply, f, &error);
    g_assert_no_error(error);
}

static inline void append_sized(Fixture *f, size_t len) {
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
static inline Fixture *fixture_new(MediumClass class, unsigned log) {
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

static inline void fixture_free(Fixture *f) {
    journal_free(f->j);
    medium_free(&f->m->base);
    g_free(f);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

static inline void put_bytes(Fixture *f, uint64_t off, const void *bytes, size_t len) {
    memcpy(f->m->view + off, bytes, len);
    memcpy(f->m->durable + off, bytes, len);
}

static inline void flip(Fixture *f, uint64_t off) {
    uint8_t byte = f->m->view[off] ^ 0x10;
    put_bytes(f, off, &byte, 1);
}

static inline void zero(Fixture *f, uint64_t off, size_t len) {
    g_autofree uint8_t *zeros = g_malloc0(len);
    put_bytes(f, off, zeros, len);
}

/* Changes a record and gives it a good checksum again. */
static inline void forge(Fixture *f, uint64_t off, unsigned field, const void *bytes, size_t len) {
    uint8_t buf[JF_RECORD_MAX];
    memcpy(buf, f->m->view + off, sizeof buf);
    memcpy(buf + field, bytes, len);
    jf_record_fix_crc(buf, sizeof buf, jf_record_seed(UUID_A, f->area == AREA_A ? 1 : 2));
    put_bytes(f, off, buf, get_le32(buf));
}

/* Replays; the records [0, n) must have been applied, and nothing may have been written unless clean. */
static inline void expect(Fixture *f, JournalVerdict verdict, unsigned n) {
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

static inline MediumClass class_of(gconstpointer data) {
    return (MediumClass) GPOINTER_TO_INT(data);
}

static inline void checkpoint(Fixture *f) {
    g_autoptr(GError) error = NULL;
    g_assert_true(journal_checkpoint(f->j, emit, f, &error));
    g_assert_no_error(error);
    f->area = f->area == AREA_A ? AREA_B : AREA_A;
}

/* One test for each class of medium. */
static inline void add_test(const char *name, GTestDataFunc func) {
    static const char *const names[] = { "mapped", "file" };
    for (int class = 0; class < 2; class ++) {
        g_autofree char *path = g_strdup_printf("/journal/%s/%s", name, names[class]);
        g_test_add_data_func(path, GINT_TO_POINTER(class), func);
    }
}
