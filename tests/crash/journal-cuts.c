/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Power cuts at every fence of a journal's life: each line's prefix of stores (A), any words (B), the same inside of
 * the recovery from an earlier cut, and a process killed without a cut whose successor is cut.
 */
#include "tests/crash/crash-script.h"

#include "proto/error.h"

#include <string.h>

#define DEPTH 3u /* a cut, a cut in the recovery from it, a cut in the recovery from that */

typedef struct {
    Script script;
    CutMode mode;
    unsigned cap; /* images a fence */
    GRand *rand;
    RecordingMedium *after[DEPTH];
    unsigned depth;
    uint64_t images, recoveries, lives, kills;
} Cuts;

static void check_image(const uint8_t *image, void *data);

static void cut_recovery(RecordingMedium *m, void *data) {
    Cuts *c = data;
    c->recoveries += recording_medium_cut(m, c->mode, 4, c->rand, check_image, c);
}

/* The journal goes on after the cut: what is acknowledged now must survive the worst cut that follows. */
static void check_life_after(Cuts *c, RecordingMedium *m, Journal *j, const Found *found) {
    Script life = { .medium = m, .journal = j, .next_id = 1000 };
    g_autoptr(GError) error = NULL;

    memcpy(life.oracle.ids, found->ids, found->n * sizeof found->ids[0]);
    life.oracle.n = found->n;
    bool ok = script_append(&life, &error);
    if (ok && g_rand_boolean(c->rand))
        ok = script_checkpoint(&life, &error) && script_append(&life, &error);
    if (!ok)
        script_fail(error->message, &life, m->view, found, j);

    Found again = { 0 };
    recording_medium_reset(c->after[DEPTH - 1], m->durable);
    g_autoptr(Journal) next = journal_open(&c->after[DEPTH - 1]->base, true, script_collect, &again, NULL);
    if (!next || journal_verdict(next) != JOURNAL_CLEAN || !oracle_accepts(&life.oracle, &again, life.oracle.n))
        script_fail("life after a cut", &life, m->durable, &again, next);
    c->lives++;
}

static void check_image(const uint8_t *image, void *data) {
    Cuts *c = data;
    RecordingMedium *m = c->after[c->depth];
    const Oracle *oracle = &c->script.oracle;

    recording_medium_reset(m, image);
    bool nest = c->depth + 1 < DEPTH && g_rand_int_range(c->rand, 0, 16) == 0;
    if (nest) {
        m->before_fence = cut_recovery;
        m->data = c;
    }

    g_autoptr(GError) error = NULL;
    Found found = { 0 };
    c->depth++;
    g_autoptr(Journal) j = journal_open(&m->base, true, script_collect, &found, &error);
    c->depth--;
    m->before_fence = NULL;

    if (!j) {
        if (oracle->created || !g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT))
            script_fail("no journal after a cut", &c->script, image, &found, NULL);
        return;
    }
    if (journal_verdict(j) != JOURNAL_CLEAN || !oracle_accepts(oracle, &found, oracle->n))
        script_fail("a cut", &c->script, image, &found, j);
    if (c->depth == 0 && g_rand_int_range(c->rand, 0, 8) == 0)
        check_life_after(c, m, j, &found);
}

/* Killed, not cut: the successor sees all that was stored, durable or not, and then the power goes. */
static void check_kill(Cuts *c, const RecordingMedium *now) {
    RecordingMedium *m = c->after[0];
    recording_medium_copy(m, now);

    g_autoptr(GError) error = NULL;
    Found found = { 0 };
    g_autoptr(Journal) j = journal_open(&m->base, true, script_collect, &found, &error);
    if (!j && !c->script.oracle.created)
        return;
    if (!j || journal_verdict(j) != JOURNAL_CLEAN || !oracle_accepts(&c->script.oracle, &found, c->script.oracle.n))
        script_fail("a kill", &c->script, now->view, &found, j);
    check_life_after(c, m, j, &found);
    c->kills++;
}

static void on_fence(RecordingMedium *m, void *data) {
    Cuts *c = data;
    c->images += recording_medium_cut(m, c->mode, c->cap, c->rand, check_image, c);
    check_kill(c, m);
}

/* One life: created, appended to, checkpointed, killed and replayed, in an order that the seed gives. */
static void run_life(Cuts *c, MediumClass class, guint32 seed) {
    g_autoptr(GError) error = NULL;
    unsigned steps = 6 + seed % 14;

    g_rand_set_seed(c->rand, seed);
    script_init(&c->script, class);
    c->script.medium->before_fence = on_fence;
    c->script.medium->data = c;
    bool ok = script_create(&c->script, &error);
    for (unsigned i = 0; i < steps && ok; i++) {
        gint32 what = g_rand_int_range(c->rand, 0, 10);
        if (what == 0)
            ok = script_reopen(&c->script, &error);
        else if (what <= 2)
            ok = script_checkpoint(&c->script, &error);
        else
            ok = script_append(&c->script, &error);
    }
    g_assert_no_error(error);
    /* The last state, whole. */
    on_fence(c->script.medium, c);
    script_clear(&c->script);
}

static void test_cuts(MediumClass class, CutMode mode, double share) {
    Cuts c = { .mode = mode, .rand = g_rand_new_with_seed(1) };
    double budget = crash_budget(share);
    g_autoptr(GTimer) timer = g_timer_new();
    guint32 seed = 0;

    for (unsigned i = 0; i < DEPTH; i++)
        c.after[i] = recording_medium_new(SCRIPT_MEDIUM_BYTES, class);
    /* The first life as exhaustive as a quarter of the budget allows, then many by chance. */
    do {
        c.cap = seed == 0 ? (unsigned) (budget * 100) + 100 : 64;
        run_life(&c, class, seed++);
    } while (g_timer_elapsed(timer, NULL) < budget);
    for (unsigned i = 0; i < DEPTH; i++)
        medium_free(&c.after[i]->base);
    g_rand_free(c.rand);

    g_test_message("%s, %s: %u lives, %" G_GUINT64_FORMAT " images, %" G_GUINT64_FORMAT
                   " cuts inside of a recovery, %" G_GUINT64_FORMAT " kills, %" G_GUINT64_FORMAT " times gone on after",
                   class == MEDIUM_CLASS_MAPPED ? "mapped" : "file", mode == CUT_PREFIX ? "prefixes" : "words", seed,
                   c.images, c.recoveries, c.kills, c.lives);
    g_assert_cmpuint(c.images, >, 100);
    g_assert_cmpuint(c.recoveries, >, 0);
    g_assert_cmpuint(c.lives, >, 0);
}

static void test_mapped_prefixes(void) {
    test_cuts(MEDIUM_CLASS_MAPPED, CUT_PREFIX, 0.2);
}

static void test_mapped_words(void) {
    test_cuts(MEDIUM_CLASS_MAPPED, CUT_CHUNKS, 0.15);
}

static void test_file_prefixes(void) {
    test_cuts(MEDIUM_CLASS_FILE, CUT_PREFIX, 0.15);
}

static void test_file_words(void) {
    test_cuts(MEDIUM_CLASS_FILE, CUT_CHUNKS, 0.15);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crash/cut/mapped/prefixes", test_mapped_prefixes);
    g_test_add_func("/crash/cut/mapped/words", test_mapped_words);
    g_test_add_func("/crash/cut/file/prefixes", test_file_prefixes);
    g_test_add_func("/crash/cut/file/words", test_file_words);
    return g_test_run();
}
