/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-marks.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.h"

#define UUID "0f6e6a3e-0000-4000-8000-00000000000a"

typedef struct {
    char *root, *folder;
} Fixture;

static void set_up(Fixture *f, const void *data) {
    f->root = g_dir_make_tmp("domain-marks-XXXXXX", NULL);
    f->folder = g_build_filename(f->root, "a", "b", NULL);
}

static void remove_file(const char *folder, const char *name) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    (void) g_unlink(path);
}

static void tear_down(Fixture *f, const void *data) {
    g_autofree char *parent = g_path_get_dirname(f->folder);

    remove_file(f->folder, UUID);
    remove_file(f->folder, "lock");
    (void) g_rmdir(f->folder);
    (void) g_rmdir(parent);
    g_assert_cmpint(g_rmdir(f->root), ==, 0);
    g_free(f->folder);
    g_free(f->root);
}

static void marks(Fixture *f, const void *data) {
    g_autoptr(GError) error = NULL;
    struct stat st;

    DomainStamp none = domain_mark_stamp(f->folder, UUID);
    g_assert_true(domain_stamp_is_none(&none));
    g_assert_null(domain_mark_name(f->folder, UUID));
    domain_mark_remove(f->folder, UUID);

    g_assert_true(domain_mark_put(f->folder, UUID, "guest", &error));
    DomainStamp first = domain_mark_stamp(f->folder, UUID), again = domain_mark_stamp(f->folder, UUID);
    g_assert_false(domain_stamp_is_none(&first));
    g_assert_true(domain_stamp_equal(&first, &again));
    g_autofree char *name = domain_mark_name(f->folder, UUID);
    g_assert_cmpstr(name, ==, "guest");
    g_assert_cmpint(stat(f->folder, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);

    /* The next start is another one, also with the same name. */
    g_assert_true(domain_mark_put(f->folder, UUID, "guest", &error));
    DomainStamp second = domain_mark_stamp(f->folder, UUID);
    g_assert_false(domain_stamp_equal(&first, &second));
    domain_mark_remove(f->folder, UUID);
    second = domain_mark_stamp(f->folder, UUID);
    g_assert_true(domain_stamp_is_none(&second));
}

/* A name is somebody's text, and a key somebody's argument. */
static void hostile(Fixture *f, const void *data) {
    g_autoptr(GError) error = NULL;
    g_autofree char *file = g_build_filename(f->root, "secret", NULL);

    g_assert_true(domain_mark_put(f->folder, UUID, "a\033[2J\nb\xff\302\233K", &error));
    g_autofree char *name = domain_mark_name(f->folder, UUID);
    g_assert_cmpstr(name, ==, "a?[2J?b\357\277\275?K");
    g_assert_true(g_file_set_contents(file, "secret", -1, NULL));
    g_assert_null(domain_mark_name(f->folder, "../../secret"));
    DomainStamp stamp = domain_mark_stamp(f->folder, "../../secret");
    g_assert_true(domain_stamp_is_none(&stamp));
    domain_mark_remove(f->folder, "../../secret");
    g_assert_cmpint(g_unlink(file), ==, 0);
}

static void locks(Fixture *f, const void *data) {
    g_autoptr(GError) error = NULL;

    int fd = domain_marks_lock(f->folder, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(domain_marks_lock(f->folder, 0, &error), ==, -1);
    g_assert_no_error(error);
    g_assert_cmpint(domain_marks_lock(f->folder, g_get_monotonic_time() + 50000, &error), ==, -1);
    g_assert_no_error(error);
    (void) close(fd);
    fd = domain_marks_lock(f->folder, 0, &error);
    g_assert_cmpint(fd, >=, 0);
    (void) close(fd);
    g_assert_cmpint(domain_marks_lock("/proc/none", 0, &error), ==, -1);
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/domain-marks/marks", Fixture, NULL, set_up, marks, tear_down);
    g_test_add("/domain-marks/hostile", Fixture, NULL, set_up, hostile, tear_down);
    g_test_add("/domain-marks/locks", Fixture, NULL, set_up, locks, tear_down);
    return g_test_run();
}
