/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Repair of corrupt journals: what of each kind of damage is kept, and power cuts at every fence of the repair: it is
 * corrupt as before, and the next repair keeps the same, or it is repaired; and what is appended then survives.
 */
#include "tests/unit/journal-fixture.h"

#define CUTS 40u /* images a fence */

/* --- the damages: each leaves a corrupt journal; the number of records that can be kept --- */

static unsigned damage_hole(Fixture *f) {
    zero(f, f->at[4], 8);
    return 4;
}

static unsigned damage_checksum(Fixture *f) {
    flip(f, f->at[4] + 50);
    return 4;
}

/* Records of the first snapshot stand at 64 bytes each, behind its begin. */
static unsigned damage_only_snapshot(Fixture *f) {
    flip(f, AREA_A + 64 + 64 + 40);
    return 1;
}

static unsigned damage_contradiction(Fixture *f) {
    f->refuse = 5;
    return 5;
}

static void lose_roots(Fixture *f, unsigned slot) {
    for (unsigned copy = 0; copy < 2; copy++)
        flip(f, jf_root_offset(SIZE, slot, copy) + 9);
}

static unsigned checkpointed(Fixture *f, unsigned more) {
    unsigned before = f->n;

    checkpoint(f);
    for (unsigned i = 0; i < more; i++)
        append_sized(f, 96);
    return before;
}

/* The newer area says all that its root did. */
static unsigned damage_newest_root(Fixture *f) {
    checkpointed(f, 3);
    lose_roots(f, 0);
    return f->n;
}

static unsigned damage_all_roots(Fixture *f) {
    checkpointed(f, 3);
    lose_roots(f, 0);
    lose_roots(f, 1);
    return f->n;
}

static unsigned damage_root_and_log(Fixture *f) {
    unsigned before = checkpointed(f, 3);

    lose_roots(f, 0);
    zero(f, f->at[before + 1], 8);
    return before + 1;
}

/* The older area is whole: it says what the damaged snapshot did. */
static unsigned damage_snapshot(Fixture *f) {
    unsigned before = checkpointed(f, 3);

    flip(f, AREA_B + 64 + 64 + 40);
    return before;
}

static unsigned damage_begin_and_root(Fixture *f) {
    unsigned before = checkpointed(f, 3);

    flip(f, AREA_B + 33);
    lose_roots(f, 0);
    return before;
}

/* A checkpoint that was cut off before its root: the area before it has gone on, and counts. */
static unsigned damage_after_cut_checkpoint(Fixture *f) {
    g_autofree uint8_t *roots = g_memdup2(f->m->view, AREA_A), *tail = g_memdup2(f->m->view + SIZE - 65536, 65536);

    checkpointed(f, 0);
    put_bytes(f, 0, roots, AREA_A);
    put_bytes(f, SIZE - 65536, tail, 65536);
    f->area = AREA_A;
    open_as(f, true);
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CLEAN);
    for (unsigned i = 0; i < 4; i++)
        append_sized(f, 96);
    zero(f, f->at[f->n - 2], 8);
    return f->n - 2;
}

typedef struct {
    const char *name;
    unsigned (*damage)(Fixture *f);
} Case;

static const Case cases[] = {
    { "a hole in the log", damage_hole },
    { "a bad checksum in the log", damage_checksum },
    { "the only snapshot", damage_only_snapshot },
    { "a record that contradicts", damage_contradiction },
    { "the newest root", damage_newest_root },
    { "all roots", damage_all_roots },
    { "the newest root and a hole", damage_root_and_log },
    { "the newest snapshot", damage_snapshot },
    { "the begin of the newest snapshot, and its root", damage_begin_and_root },
    { "a hole after a checkpoint that was cut off", damage_after_cut_checkpoint },
};

/* --- repairing, and cutting --- */

typedef struct {
    const Case *row;
    Fixture *f;
    unsigned kept;
    RecordingMedium *after;
    GRand *rand;
    guint images, corrupt, repaired;
} Cuts;

static void emit_got(JournalSnapshot *s, void *data) {
    const Fixture *f = data;

    for (unsigned i = 0; i < f->n_got; i++) {
        uint8_t payload[24] = { 0 };

        put_le64(payload, f->got[i]);
        journal_snapshot_add(s, JF_ADD, i, payload, sizeof payload);
    }
}

static void assert_got(const Fixture *f, unsigned kept) {
    g_assert_cmpuint(f->n_got, ==, kept);
    for (unsigned i = 0; i < kept; i++)
        g_assert_cmpuint(f->got[i], ==, i);
}

static void repair(Fixture *f, Medium *medium, unsigned kept) {
    g_autoptr(GError) error = NULL;

    f->n_got = 0;
    g_autoptr(Journal) j = journal_salvage(medium, apply, NULL, f, &error);
    g_assert_no_error(error);
    assert_got(f, kept);
    g_assert_true(journal_repair(j, false, emit_got, f, &error));
    g_assert_no_error(error);
}

/* What a start finds: clean with what is kept, to which a record is added that the next start finds; or corrupt. */
static bool is_repaired(Fixture *f, Medium *medium, unsigned kept) {
    g_autoptr(GError) error = NULL;
    uint8_t payload[24] = { 0 };

    f->n_got = 0;
    g_autoptr(Journal) j = journal_open(medium, true, apply, f, &error);
    g_assert_no_error(error);
    if (journal_verdict(j) == JOURNAL_CORRUPT)
        return false;
    g_assert_cmpint(journal_verdict(j), ==, JOURNAL_CLEAN);
    assert_got(f, kept);
    put_le64(payload, kept == f->refuse ? kept + 1000 : kept);
    g_assert_true(journal_append(j, JF_ADD, 0, payload, sizeof payload, NULL, &error));
    g_clear_pointer(&j, journal_free);
    f->n_got = 0;
    j = journal_open(medium, true, apply, f, &error);
    g_assert_cmpint(journal_verdict(j), ==, JOURNAL_CLEAN);
    g_assert_cmpuint(f->n_got, ==, kept + 1);
    return true;
}

static void check_image(const uint8_t *image, void *data) {
    Cuts *c = data;
    Fixture found = { .refuse = c->f->refuse };

    recording_medium_reset(c->after, image);
    if (is_repaired(&found, &c->after->base, c->kept)) {
        c->repaired++;
        return;
    }
    c->corrupt++;
    repair(&found, &c->after->base, c->kept);
    g_assert_true(is_repaired(&found, &c->after->base, c->kept));
}

static void on_fence(RecordingMedium *m, void *data) {
    Cuts *c = data;

    c->images += recording_medium_cut(m, CUT_PREFIX, CUTS, c->rand, check_image, c);
    c->images += recording_medium_cut(m, CUT_CHUNKS, CUTS, c->rand, check_image, c);
}

static void run_case(const Case *row, MediumClass class) {
    g_autoptr(Fixture) f = fixture_new(class, 6);
    Cuts c = { .row = row, .f = f, .rand = g_rand_new_with_seed(7) };

    c.kept = row->damage(f);
    c.after = recording_medium_new(SIZE, class);
    open_as(f, true);
    g_test_message("%s: %s", row->name, journal_report(f->j));
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CORRUPT);
    g_clear_pointer(&f->j, journal_free);

    f->m->before_fence = on_fence;
    f->m->data = &c;
    repair(f, &f->m->base, c.kept);
    f->m->before_fence = NULL;
    g_assert_true(is_repaired(f, &f->m->base, c.kept));
    g_test_message("%u images: %u corrupt, %u repaired", c.images, c.corrupt, c.repaired);
    g_assert_cmpuint(c.corrupt, >, 0);
    g_assert_cmpuint(c.repaired, >, 0);
    medium_free(&c.after->base);
    g_rand_free(c.rand);
}

static void test_cuts(gconstpointer data) {
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i], class_of(data));
}

/* Where the root alone was lost, nothing but roots is written. */
static void test_root_alone(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 6);
    unsigned kept = damage_newest_root(f);
    g_autofree uint8_t *before = g_memdup2(f->m->view, SIZE);

    repair(f, &f->m->base, kept);
    g_assert_cmpmem(f->m->view + AREA_A, 2 * 65536, before + AREA_A, 2 * 65536);
    open_as(f, true);
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CLEAN);
}

static uint64_t newest_generation(Fixture *f) {
    uint64_t newest = 0;
    JfSuperblock sb;
    JfRoot root;

    (void) journal_probe(&f->m->base, &sb);
    for (unsigned slot = 0; slot < 2; slot++)
        for (unsigned copy = 0; copy < 2; copy++)
            if (jf_root_decode(f->m->view + jf_root_offset(SIZE, slot, copy), JF_ROOT_SIZE, sb.journal_uuid, &root) ==
                JF_OK)
                newest = MAX(newest, root.gen);
    return newest;
}

/* What is kept of an older area becomes the newest: the root of what is damaged does not stand for it. */
static void test_generation(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 6);
    unsigned kept = damage_snapshot(f);
    uint64_t before = newest_generation(f);

    g_assert_cmpuint(before, >, 1);
    repair(f, &f->m->base, kept);
    g_assert_cmpuint(newest_generation(f), ==, before + 1);
}

static void count_lost(const JournalRecord *record, void *data) {
    Fixture *f = data;

    f->notes += record->type == JF_ADD;
}

/* Whole records behind the fault are told. */
static void test_lost(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 6);
    g_autoptr(GError) error = NULL;

    damage_hole(f); /* of 8: 4 before it, itself, 3 behind it */
    f->n_got = f->notes = 0;
    g_autoptr(Journal) j = journal_salvage(&f->m->base, apply, count_lost, f, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(f->notes, ==, 3);
    g_assert_cmpint(journal_verdict(j), ==, JOURNAL_CORRUPT);
    g_assert_false(journal_root_is_restored(j));
}

/* Poison: what cannot be read is not kept, and neither are its neighbours lost. */
static void test_poison(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 6);

    recording_medium_poison(f->m, f->at[5]);
    open_as(f, true);
    g_assert_cmpint(journal_verdict(f->j), ==, JOURNAL_CORRUPT);
    repair(f, &f->m->base, 5);
    g_assert_true(is_repaired(f, &f->m->base, 5));
}

/* Without a superblock nothing says where anything is; neither is anything written then. */
static void test_hopeless(gconstpointer data) {
    g_autoptr(Fixture) f = fixture_new(class_of(data), 6);
    g_autoptr(GError) error = NULL;

    lose_roots(f, 0);
    lose_roots(f, 1);
    flip(f, AREA_A + 33);
    f->m->stores = 0;
    g_assert_null(journal_salvage(&f->m->base, apply, NULL, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_clear_error(&error);
    flip(f, 5);
    flip(f, SIZE - 4096 + 5);
    g_assert_null(journal_salvage(&f->m->base, apply, NULL, f, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_cmpuint(f->m->stores, ==, 0);
}

/* A failed write: said, and the journal is corrupt or repaired, never something else. */
static void test_errors(gconstpointer data) {
    for (unsigned call = 1;; call++) {
        g_autoptr(Fixture) f = fixture_new(class_of(data), 6);
        g_autoptr(GError) error = NULL;
        unsigned kept = damage_root_and_log(f);

        f->n_got = 0;
        g_autoptr(Journal) j = journal_salvage(&f->m->base, apply, NULL, f, &error);
        f->m->calls = 0;
        f->m->fail_at = call;
        f->m->fail_errno = 5;
        if (journal_repair(j, false, emit_got, f, &error)) {
            g_assert_cmpuint(call, >, 5);
            return;
        }
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        f->m->fail_at = 0;
        if (!is_repaired(f, &f->m->base, kept)) {
            repair(f, &f->m->base, kept);
            g_assert_true(is_repaired(f, &f->m->base, kept));
        }
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    add_test("repair/cuts", test_cuts);
    add_test("repair/root-alone", test_root_alone);
    add_test("repair/generation", test_generation);
    add_test("repair/lost", test_lost);
    add_test("repair/poison", test_poison);
    add_test("repair/hopeless", test_hopeless);
    add_test("repair/errors", test_errors);
    return g_test_run();
}
