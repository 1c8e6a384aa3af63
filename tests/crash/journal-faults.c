/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Media faults (F): every bit flipped, every line zeroed and every line poisoned in superblocks, roots, snapshot and
 * log. An acknowledged record is never silently lost; only on a file may the last one be, when it is the one that was
 * hit.
 */
#include "tests/crash/crash-script.h"

#include "proto/error.h"

#include <string.h>

typedef enum {
    FAULT_FLIP,
    FAULT_ZERO,
    FAULT_POISON,
} Fault;

typedef struct {
    Script *script;
    RecordingMedium *hurt;
    uint8_t *image;      /* as the fault left it */
    uint64_t last_begin; /* the last record of the log; empty: the log is */
    uint64_t last_end;
    uint64_t images, corrupt, lost_last;
} Faults;

static void check_fault(Faults *f, uint64_t off, Fault fault, unsigned bit) {
    RecordingMedium *m = f->hurt;
    const Oracle *oracle = &f->script->oracle;
    uint64_t line = off / RECORDING_LINE * RECORDING_LINE;

    recording_medium_reset(m, f->script->medium->durable);
    if (fault == FAULT_FLIP)
        m->view[off] = m->durable[off] ^= (uint8_t) (1u << bit);
    else if (fault == FAULT_POISON)
        recording_medium_poison(m, line);
    else {
        memset(m->view + line, 0, RECORDING_LINE);
        memset(m->durable + line, 0, RECORDING_LINE);
    }
    memcpy(f->image, m->view, m->base.size);

    Found found = { 0 };
    g_autoptr(GError) error = NULL;
    g_autoptr(Journal) j = journal_open(&m->base, true, script_collect, &found, &error);
    f->images++;
    /* One fault hits one copy of the superblock, so there is always a journal. */
    if (!j)
        script_fail(error->message, f->script, f->image, &found, NULL);

    if (journal_verdict(j) == JOURNAL_CORRUPT) {
        f->corrupt++;
        if (journal_report(j)[0] == '\0' || !oracle_accepts(oracle, &found, 0))
            script_fail("a fault: more than the good prefix", f->script, f->image, &found, j);
        if (m->stores != 0 || memcmp(f->image, m->view, m->base.size) != 0)
            script_fail("a fault: a corrupt journal was written to", f->script, f->image, &found, j);
        return;
    }
    if (journal_verdict(j) != JOURNAL_CLEAN)
        script_fail("a fault: wrong verdict", f->script, f->image, &found, j);

    bool hit_last = off >= f->last_begin && off < f->last_end;
    unsigned at_least = m->base.class == MEDIUM_CLASS_FILE && hit_last ? oracle->n - 1 : oracle->n;
    if (!oracle_accepts(oracle, &found, at_least))
        script_fail("a fault: silent loss", f->script, f->image, &found, j);
    if (found.n < oracle->n)
        f->lost_last++;
}

static void check_span(Faults *f, uint64_t off, uint64_t len, bool flips) {
    for (uint64_t at = off; at < off + len; at++) {
        for (unsigned bit = 0; bit < 8 && flips; bit++)
            check_fault(f, at, FAULT_FLIP, bit);
        if (at % RECORDING_LINE == 0) {
            check_fault(f, at, FAULT_ZERO, 0);
            check_fault(f, at, FAULT_POISON, 0);
        }
    }
}

/* All faults of one state. used: where the log ends. */
static void check_state(Faults *f, uint64_t area, uint64_t used, bool flips) {
    for (unsigned copy = 0; copy < 2; copy++) {
        check_span(f, jf_superblock_offset(SCRIPT_MEDIUM_BYTES, copy), JF_SUPERBLOCK_SIZE, flips);
        for (unsigned slot = 0; slot < 2; slot++)
            check_span(f, jf_root_offset(SCRIPT_MEDIUM_BYTES, slot, copy), JF_ROOT_SIZE, flips);
    }
    check_span(f, area, used + 1024, flips);
    /* The idle area may hold anything. */
    check_span(f, area == 65536 ? 131072 : 65536, 2048, flips);
}

static uint64_t used_bytes(const Journal *j) {
    return journal_area_bytes(j) - journal_log_bytes(j);
}

/* Appends n; the last one's place is remembered. */
static void append(Faults *f, uint64_t area, unsigned n) {
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < n; i++) {
        f->last_begin = area + used_bytes(f->script->journal);
        g_assert_true(script_append(f->script, &error));
        f->last_end = area + used_bytes(f->script->journal);
    }
}

static void test_faults(MediumClass class, double share) {
    Script script;
    Faults f = { .script = &script };
    g_autoptr(GError) error = NULL;
    g_autoptr(GTimer) timer = g_timer_new();
    double budget = crash_budget(share);

    f.hurt = recording_medium_new(SCRIPT_MEDIUM_BYTES, class);
    f.image = g_malloc(SCRIPT_MEDIUM_BYTES);
    script_init(&script, class);
    g_assert_true(script_create(&script, &error));
    uint64_t areas[2] = { 65536, 131072 };

    /* Freshly made; with a log; just after a checkpoint; with a log after it. Then more, while the budget lasts. */
    check_state(&f, areas[0], used_bytes(script.journal), true);
    append(&f, areas[0], 3);
    check_state(&f, areas[0], used_bytes(script.journal), true);
    for (unsigned round = 0; round == 0 || (g_timer_elapsed(timer, NULL) < budget && script.oracle.n < 60); round++) {
        uint64_t area = areas[(round + 1) % 2];
        g_assert_true(script_checkpoint(&script, &error));
        f.last_begin = f.last_end = 0;
        check_state(&f, area, used_bytes(script.journal), round == 0);
        append(&f, area, 1 + round);
        check_state(&f, area, used_bytes(script.journal), true);
    }

    g_test_message("%s: %" G_GUINT64_FORMAT " images, %" G_GUINT64_FORMAT " of them corrupt, %" G_GUINT64_FORMAT
                   " lost the last record of a file",
                   class == MEDIUM_CLASS_MAPPED ? "mapped" : "file", f.images, f.corrupt, f.lost_last);
    g_assert_cmpuint(f.corrupt, >, 0);
    if (class == MEDIUM_CLASS_MAPPED)
        g_assert_cmpuint(f.lost_last, ==, 0);
    script_clear(&script);
    medium_free(&f.hurt->base);
    g_free(f.image);
}

static void test_mapped(void) {
    test_faults(MEDIUM_CLASS_MAPPED, 0.15);
}

static void test_file(void) {
    test_faults(MEDIUM_CLASS_FILE, 0.15);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crash/fault/mapped", test_mapped);
    g_test_add_func("/crash/fault/file", test_file);
    return g_test_run();
}
