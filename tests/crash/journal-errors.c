/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * EIO and ENOSPC at each n-th call of the medium, once or for ever, then a power cut: the operation is refused,
 * nothing is acknowledged after it, and nothing that was is lost.
 */
#include "tests/crash/crash-script.h"

#include "proto/error.h"

#include <errno.h>

typedef struct {
    Script script;
    GRand *rand;
    RecordingMedium *after;
    uint64_t runs, images;
} Errors;

static void check_image(const uint8_t *image, void *data) {
    Errors *e = data;
    const Oracle *oracle = &e->script.oracle;
    Found found = { 0 };

    recording_medium_reset(e->after, image);
    e->images++;
    g_autoptr(Journal) j = journal_open(&e->after->base, true, script_collect, &found, NULL);
    if (!j) {
        if (oracle->created)
            script_fail("no journal after an error", &e->script, image, &found, NULL);
        return;
    }
    if (journal_verdict(j) != JOURNAL_CLEAN || !oracle_accepts(oracle, &found, oracle->n))
        script_fail("an error", &e->script, image, &found, j);
}

/* A fixed life; false once an operation was refused. */
static bool live(Script *s, GError **error) {
    bool ok = script_create(s, error);
    for (unsigned i = 0; i < 3 && ok; i++)
        ok = script_append(s, error);
    ok = ok && script_checkpoint(s, error) && script_append(s, error) && script_reopen(s, error);
    return ok && script_append(s, error) && script_checkpoint(s, error);
}

/* Whether a call failed; false: the life has fewer calls than that. */
static bool run_with_failure(Errors *e, MediumClass class, unsigned fail_at, int errnum, bool for_ever) {
    g_autoptr(GError) error = NULL;

    script_init(&e->script, class);
    RecordingMedium *m = e->script.medium;
    m->fail_at = fail_at;
    m->fail_errno = errnum;
    m->fail_for_ever = for_ever;
    bool ok = live(&e->script, &error);
    bool hit = m->calls >= fail_at;
    e->runs++;

    g_assert_true(ok == !hit);
    if (hit) {
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        if (e->script.journal) {
            /* The journal must not try again: what is on the medium is not known. */
            g_autoptr(GError) refused = NULL;
            unsigned calls = m->calls;
            uint32_t in_flight = e->script.oracle.in_flight;
            g_assert_true(journal_failed(e->script.journal));
            g_assert_false(script_append(&e->script, &refused));
            g_assert_error(refused, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY);
            g_clear_error(&refused);
            g_assert_false(script_checkpoint(&e->script, &refused));
            g_assert_error(refused, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY);
            g_assert_cmpuint(m->calls, ==, calls);
            e->script.oracle.in_flight = in_flight;
        }
        recording_medium_cut(m, CUT_PREFIX, 24, e->rand, check_image, e);
        recording_medium_cut(m, CUT_CHUNKS, 8, e->rand, check_image, e);
        /* Without a cut: restarted, as the error message says. */
        check_image(m->view, e);
    }
    script_clear(&e->script);
    return hit;
}

static void test_errors(MediumClass class) {
    static const int errnums[] = { EIO, ENOSPC };
    Errors e = { .rand = g_rand_new_with_seed(7) };

    e.after = recording_medium_new(SCRIPT_MEDIUM_BYTES, class);
    for (unsigned i = 0; i < G_N_ELEMENTS(errnums); i++)
        for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
            unsigned n = 1;
            while (run_with_failure(&e, class, n, errnums[i], for_ever))
                n++;
            g_assert_cmpuint(n, >, 40);
        }
    g_test_message("%s: %" G_GUINT64_FORMAT " runs with a failed call, %" G_GUINT64_FORMAT " images",
                   class == MEDIUM_CLASS_MAPPED ? "mapped" : "file", e.runs, e.images);
    medium_free(&e.after->base);
    g_rand_free(e.rand);
}

static void test_mapped(void) {
    test_errors(MEDIUM_CLASS_MAPPED);
}

static void test_file(void) {
    test_errors(MEDIUM_CLASS_FILE);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crash/error/mapped", test_mapped);
    g_test_add_func("/crash/error/file", test_file);
    return g_test_run();
}
