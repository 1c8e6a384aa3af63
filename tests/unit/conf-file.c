/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Key files with lines: where what stands, which line is to blame, which drop-ins count and in which order. */
#include "daemon/conf-file.h"

#include "proto/error.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_lines(void) {
    const char *text = "# comment\n\n[a]\nKey=1\n  Spaced  = 2\r\n[b]\nKey=3\n[a]\nKey=4\n#[c]\n\t[d]\t\nLast=5";
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfFile) file = conf_file_parse("x.conf", text, strlen(text), &error);

    g_assert_no_error(error);
    g_assert_cmpuint(conf_file_line(file, "a", NULL), ==, 3);
    g_assert_cmpuint(conf_file_line(file, "a", "Spaced"), ==, 5);
    g_assert_cmpuint(conf_file_line(file, "a", "Key"), ==, 9); /* the one that counts */
    g_assert_cmpuint(conf_file_line(file, "b", "Key"), ==, 7);
    g_assert_cmpuint(conf_file_line(file, "c", NULL), ==, 0);
    g_assert_cmpuint(conf_file_line(file, "d", NULL), ==, 11);
    g_assert_cmpuint(conf_file_line(file, "d", "Last"), ==, 12);
    g_autofree char *value = g_key_file_get_string(file->keys, "a", "Key", NULL);
    g_assert_cmpstr(value, ==, "4");
}

static void test_bad_lines(void) {
    static const struct {
        const char *text;
        gsize len; /* 0: all of it */
        const char *place;
    } rows[] = {
        { "nonsense", 0, "x.conf:1:" },
        { "# a\nKey=before any group\n", 0, "x.conf:2:" },
        { "[a]\nKey=1\n\n[b\nKey=2\n", 0, "x.conf:4:" },
        { "[a]\n=1\n", 0, "x.conf:2:" },
        { "[a]\nKey=1\nno value\n[c]\n", 0, "x.conf:3:" },
        { "[a]\nK=\0\n", 8, "x.conf:2:" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", rows[i].text);
        g_assert_null(conf_file_parse("x.conf", rows[i].text, rows[i].len ?: strlen(rows[i].text), &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_test_message("%s", error->message);
        g_assert_true(g_str_has_prefix(error->message, rows[i].place));
    }
}

/* --- folders --- */

typedef struct {
    char *dir, *main_path, *dirs[4];
} Places;

static void put(const char *dir, const char *name, const char *value) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = g_strdup_printf("[a]\nKey=%s\n", value);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void places_init(Places *places, gconstpointer data) {
    places->dir = g_dir_make_tmp("pmemd-test-XXXXXX", NULL);
    places->main_path = g_build_filename(places->dir, "pmemd.conf", NULL);
    places->dirs[0] = g_build_filename(places->dir, "usr", NULL);
    places->dirs[1] = g_build_filename(places->dir, "run", NULL);
    places->dirs[2] = g_build_filename(places->dir, "etc", NULL);
}

static void remove_tree(const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
            remove_tree(child);
        else
            g_unlink(child);
    }
    g_rmdir(path);
}

static void places_clear(Places *places, gconstpointer data) {
    remove_tree(places->dir);
    g_free(places->dir);
    g_free(places->main_path);
    for (guint i = 0; i < 3; i++)
        g_free(places->dirs[i]);
}

/* The values of Key in the order of reading, "main etc/10 run/20". */
static void expect(const Places *places, const char *wanted) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files =
        conf_file_read_all(places->main_path, false, (const char *const *) places->dirs, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < files->len; i++) {
        const ConfFile *file = g_ptr_array_index(files, i);
        g_autofree char *value = g_key_file_get_string(file->keys, "a", "Key", NULL);

        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", value ? value : "-");
    }
    g_assert_cmpstr(text->str, ==, wanted);
}

static void refused(const Places *places, bool must_exist, const char *word) {
    g_autoptr(GError) error = NULL;

    g_assert_null(conf_file_read_all(places->main_path, must_exist, (const char *const *) places->dirs, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, word));
}

static void test_order(Places *places, gconstpointer data) {
    expect(places, "");
    put(places->dir, "pmemd.conf", "main");
    put(places->dirs[2], "30-a.conf", "etc30");
    put(places->dirs[0], "40-a.conf", "usr40");
    put(places->dirs[1], "20-a.conf", "run20");
    put(places->dirs[1], "9-a.conf", "run9"); /* as text: behind 40 */
    put(places->dirs[1], ".hidden.conf", "hidden");
    put(places->dirs[1], "10-a.conf.dpkg-old", "old");
    put(places->dirs[1], "README", "readme");
    expect(places, "main run20 etc30 usr40 run9");
}

static void test_masks(Places *places, gconstpointer data) {
    g_autofree char *mask = g_build_filename(places->dirs[2], "20-b.conf", NULL);

    put(places->dirs[0], "10-a.conf", "usr10");
    put(places->dirs[0], "20-b.conf", "usr20");
    put(places->dirs[0], "30-c.conf", "usr30");
    put(places->dirs[1], "10-a.conf", "run10");
    put(places->dirs[1], "20-b.conf", "run20");
    put(places->dirs[2], "10-a.conf", "etc10");
    expect(places, "etc10 run20 usr30");
    g_assert_cmpint(symlink("/dev/null", mask), ==, 0);
    expect(places, "etc10 - usr30");
}

static void test_what_is_no_file(Places *places, gconstpointer data) {
    g_autofree char *path = g_build_filename(places->dirs[2], "10-a.conf", NULL);

    refused(places, true, "pmemd.conf");
    put(places->dirs[2], "20-a.conf", "etc20");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    refused(places, false, "10-a.conf: neither a regular file");
    g_unlink(path);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    refused(places, false, "10-a.conf: neither a regular file");
    g_rmdir(path);
    g_assert_cmpint(symlink("/nonexistent/file", path), ==, 0);
    refused(places, false, "10-a.conf: cannot be opened");
    g_unlink(path);
    put(places->dir, "run", "a file where a folder should be");
    refused(places, false, places->dirs[1]);
}

static void test_too_large(Places *places, gconstpointer data) {
    g_autofree char *text = g_strnfill(CONF_FILE_BYTES_MAX + 1, '\n');

    g_assert_true(g_file_set_contents(places->main_path, text, -1, NULL));
    refused(places, false, "1048576");
    g_assert_cmpint(truncate(places->main_path, CONF_FILE_BYTES_MAX), ==, 0);
    expect(places, "-");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conf-file/lines", test_lines);
    g_test_add_func("/conf-file/bad-lines", test_bad_lines);
    g_test_add("/conf-file/order", Places, NULL, places_init, test_order, places_clear);
    g_test_add("/conf-file/masks", Places, NULL, places_init, test_masks, places_clear);
    g_test_add("/conf-file/what-is-no-file", Places, NULL, places_init, test_what_is_no_file, places_clear);
    g_test_add("/conf-file/too-large", Places, NULL, places_init, test_too_large, places_clear);
    return g_test_run();
}
