/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The hints of the state directory, and the copies of corrupt journals: kept once, bounded, private.
 */
#include "daemon/hints.h"

#include "proto/error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONE SD_ID128_MAKE(aa, bb, cc, dd, 00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b)
#define TWO SD_ID128_MAKE(11, bb, cc, dd, 00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b)

typedef struct {
    char *dir;
} Fixture;

static void set_up(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;

    (void) data;
    f->dir = g_dir_make_tmp("pmemd-hints-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_true(hints_prepare(f->dir, &error));
    g_assert_no_error(error);
}

static void remove_tree(const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer data) {
    (void) data;
    remove_tree(f->dir);
    g_free(f->dir);
}

static void test_life(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) list = NULL, none = NULL;
    g_autofree char *other = g_build_filename(f->dir, "setup", "README", NULL);

    (void) data;
    g_assert_true(hints_prepare(f->dir, &error)); /* again is fine */
    g_assert_false(hints_has(f->dir, HINT_SETUP, ONE));
    g_assert_true(hints_put(f->dir, HINT_SETUP, ONE, &error));
    g_assert_true(hints_put(f->dir, HINT_SETUP, ONE, &error)); /* twice is once */
    g_assert_true(hints_put(f->dir, HINT_SETUP, TWO, &error));
    g_assert_true(g_file_set_contents(other, "not a uuid", -1, &error));
    g_assert_true(hints_has(f->dir, HINT_SETUP, ONE));
    g_assert_false(hints_has(f->dir, HINT_RELEASE, ONE));
    list = hints_list(f->dir, HINT_SETUP, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 2);
    sd_id128_t first = g_array_index(list, sd_id128_t, 0), second = g_array_index(list, sd_id128_t, 1);
    g_assert_true((sd_id128_equal(first, ONE) && sd_id128_equal(second, TWO)) ||
                  (sd_id128_equal(first, TWO) && sd_id128_equal(second, ONE)));
    none = hints_list(f->dir, HINT_RELEASE, &error);
    g_assert_cmpuint(none->len, ==, 0);

    g_assert_true(hints_remove(f->dir, HINT_SETUP, ONE, &error));
    g_assert_false(hints_has(f->dir, HINT_SETUP, ONE));
    g_assert_true(hints_has(f->dir, HINT_SETUP, TWO));
    g_assert_true(hints_remove(f->dir, HINT_SETUP, ONE, &error)); /* also when there is none */
    g_assert_no_error(error);
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
}

/* Errors name the path; a hint that could not be put is not there. */
static void test_errors(Fixture *f, gconstpointer data) {
    g_autofree char *setup = g_build_filename(f->dir, "setup", NULL),
                    *target = g_build_filename(f->dir, "target", NULL);
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *link = g_build_filename(setup, pmemd_uuid_format(ONE, text), NULL);
    g_autoptr(GError) error = NULL;

    (void) data;
    /* A planted link is not followed. */
    g_assert_cmpint(symlink(target, link), ==, 0);
    g_assert_false(hints_put(f->dir, HINT_SETUP, ONE, &error));
    g_assert_nonnull(error);
    g_assert_true(error->domain == PMEMD_ERROR);
    g_assert_nonnull(strstr(error->message, link));
    g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
    g_clear_error(&error);

    remove_tree(setup);
    g_assert_false(hints_put(f->dir, HINT_SETUP, ONE, &error));
    g_assert_true(error->domain == PMEMD_ERROR);
    g_clear_error(&error);
    g_assert_null(hints_list(f->dir, HINT_SETUP, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);

    g_assert_true(g_file_set_contents(setup, "a file", -1, NULL));
    g_assert_false(hints_prepare(f->dir, &error));
    g_assert_true(error->domain == PMEMD_ERROR);
    g_assert_nonnull(strstr(error->message, setup));
}

static void test_evidence(Fixture *f, gconstpointer data) {
    const uint8_t first[] = "first", second[] = "second";
    g_autofree char *path = NULL, *again = NULL, *other = NULL, *kept = NULL, *temp = NULL;
    g_autoptr(GError) error = NULL;
    gsize len;
    struct stat st;

    (void) data;
    g_assert_true(hints_keep_evidence(f->dir, ONE, 7, first, sizeof first, &path, &error));
    g_assert_true(hints_keep_evidence(f->dir, ONE, 7, first, sizeof first, &again, &error)); /* once a journal state */
    g_assert_cmpstr(path, ==, again);
    g_assert_true(g_file_get_contents(path, &kept, &len, &error));
    g_assert_cmpmem(kept, len, first, sizeof first);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    g_assert_true(hints_keep_evidence(f->dir, ONE, 7, second, sizeof second, &other, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(other, !=, path);
    temp = g_strconcat(other, ".tmp", NULL);
    g_assert_false(g_file_test(temp, G_FILE_TEST_EXISTS));
}

static void test_evidence_limit(Fixture *f, gconstpointer data) {
    size_t len = ((size_t) 64 << 20) + 4096;
    g_autofree uint8_t *bytes = g_malloc0(len);
    g_autofree char *path = NULL, *refused = NULL, *dir = g_build_filename(f->dir, "evidence", NULL);
    g_autoptr(GError) error = NULL;
    struct stat st;

    (void) data;
    g_assert_true(hints_keep_evidence(f->dir, ONE, 1, bytes, len, &path, &error));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 64 << 20);

    remove_tree(dir);
    g_assert_false(hints_keep_evidence(f->dir, ONE, 2, bytes, 1, &refused, &error));
    g_assert_true(error->domain == PMEMD_ERROR);
    g_assert_null(refused);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/hints/life", Fixture, NULL, set_up, test_life, tear_down);
    g_test_add("/hints/errors", Fixture, NULL, set_up, test_errors, tear_down);
    g_test_add("/hints/evidence", Fixture, NULL, set_up, test_evidence, tear_down);
    g_test_add("/hints/evidence-limit", Fixture, NULL, set_up, test_evidence_limit, tear_down);
    return g_test_run();
}
