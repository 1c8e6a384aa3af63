/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/enabled-pools.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.h"

#define ONE "0f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c0"
#define TWO "1f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c1"

typedef struct {
    char *dir;
    EnabledPools *pools;
} Fixture;

static void load(Fixture *f) {
    g_autoptr(GError) error = NULL;

    enabled_pools_free(f->pools);
    f->pools = enabled_pools_load(f->dir, &error);
    g_assert_no_error(error);
}

static void set_up(Fixture *f, gconstpointer data) {
    g_autofree char *parent = g_dir_make_tmp("pmemd-enabled-XXXXXX", NULL);

    f->dir = g_build_filename(parent, "state", "pools", NULL);
    load(f);
}

static void remove_tree(const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *entry = g_build_filename(path, name, NULL);
        remove_tree(entry);
    }
    (void) g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer data) {
    g_autofree char *state = g_path_get_dirname(f->dir);
    g_autofree char *parent = g_path_get_dirname(state);

    enabled_pools_free(f->pools);
    remove_tree(parent);
    g_free(f->dir);
}

static void put(const Fixture *f, const char *name, const char *text) {
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_kept(Fixture *f, gconstpointer data) {
    g_autofree char *path = g_build_filename(f->dir, ONE, NULL);
    g_autofree char *text = NULL;

    g_assert_cmpuint(enabled_pools_n(f->pools), ==, 0);
    g_assert_true(enabled_pools_add(f->pools, ONE, "pool0", NULL));
    g_assert_true(enabled_pools_add(f->pools, TWO, "pool1", NULL));
    g_assert_true(enabled_pools_add(f->pools, TWO, "renamed", NULL));
    g_assert_cmpuint(enabled_pools_n(f->pools), ==, 2);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "[Pool]\nName=pool0\n");

    load(f);
    g_assert_cmpuint(enabled_pools_n(f->pools), ==, 2);
    g_assert_cmpstr(enabled_pools_find(f->pools, ONE)->name, ==, "pool0");
    g_assert_cmpstr(enabled_pools_find(f->pools, TWO)->name, ==, "renamed");

    g_assert_true(enabled_pools_remove(f->pools, ONE, NULL));
    g_assert_true(enabled_pools_remove(f->pools, ONE, NULL));
    g_assert_null(enabled_pools_find(f->pools, ONE));
    load(f);
    g_assert_cmpuint(enabled_pools_n(f->pools), ==, 1);
    g_assert_cmpstr(enabled_pools_get(f->pools, 0)->uuid, ==, TWO);
}

/* None of these is a pool; all of them stay where they are. */
static void test_others(Fixture *f, gconstpointer data) {
    static const char *const names[] = { "README", "0F6E6A3E-5B39-4B8F-9D43-7A4BB37BE3C0",
                                         "0f6e6a3e5b394b8f9d437a4bb37be3c0" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        put(f, names[i], "[Pool]\nName=pool0\n");
    put(f, TWO, "[Pool]\nName=../../etc\n");
    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*does not say*pmemctl pool enable*");
    load(f);
    g_test_assert_expected_messages();
    g_assert_cmpuint(enabled_pools_n(f->pools), ==, 0);
    g_autofree char *path = g_build_filename(f->dir, TWO, NULL);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_writable(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(chmod(f->dir, 0770), ==, 0);
    g_assert_null(enabled_pools_load(f->dir, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
}

static void test_failing(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;

    remove_tree(f->dir);
    g_assert_false(enabled_pools_add(f->pools, ONE, "pool0", &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
    g_assert_null(enabled_pools_find(f->pools, ONE));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/enabled-pools/kept", Fixture, NULL, set_up, test_kept, tear_down);
    g_test_add("/enabled-pools/others", Fixture, NULL, set_up, test_others, tear_down);
    g_test_add("/enabled-pools/writable", Fixture, NULL, set_up, test_writable, tear_down);
    g_test_add("/enabled-pools/failing", Fixture, NULL, set_up, test_failing, tear_down);
    return g_test_run();
}
