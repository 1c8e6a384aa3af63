/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Files that appear, change and go while they are watched. Of real attributes: tests/vm/cases/health. */
#include "daemon/attribute-watch.h"

#include <glib/gstdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

typedef struct {
    char *dir;
    sd_event *event;
    AttributeWatch *watch;
    guint told;
} Fixture;

static void on_changed(void *data) {
    ((Fixture *) data)->told++;
}

static void put(const Fixture *f, const char *name) {
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_true(g_file_set_contents(path, "1\n", -1, NULL));
}

static void start(Fixture *f) {
    g_autofree char *first = g_build_filename(f->dir, "region*", NULL);
    g_autofree char *second = g_build_filename(f->dir, "none/*", NULL);
    const char *const patterns[] = { second, first, NULL };
    g_autoptr(GError) error = NULL;

    f->watch = attribute_watch_new(f->event, patterns, on_changed, f, &error);
    g_assert_no_error(error);
    g_assert_nonnull(f->watch);
}

static void set_up(Fixture *f, gconstpointer unused) {
    f->dir = g_dir_make_tmp("pmemd-attributes-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer unused) {
    g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);

    attribute_watch_free(f->watch);
    sd_event_unref(f->event);
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        g_assert_cmpint(g_unlink(path), ==, 0);
    }
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
}

/* What is there at the start is no news, what a later look finds is. */
static void test_rescan(Fixture *f, gconstpointer unused) {
    put(f, "region0");
    start(f);
    put(f, "nmem0"); /* no pattern has it */
    put(f, "region1");
    attribute_watch_rescan(f->watch);
    while (f->told == 0)
        g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
    g_assert_cmpuint(f->told, ==, 1);

    put(f, "region2");
    attribute_watch_rescan(f->watch);
    while (f->told == 1)
        g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
    g_assert_cmpuint(f->told, ==, 2);
}

/* It ends whatever it was asked last. */
static void test_stop(Fixture *f, gconstpointer unused) {
    for (guint i = 0; i < 50; i++) {
        g_autofree char *name = g_strdup_printf("region%u", i);

        start(f);
        put(f, name);
        for (guint n = i % 3; n > 0; n--)
            attribute_watch_rescan(f->watch);
        g_clear_pointer(&f->watch, attribute_watch_free);
    }
}

/* A mount is told by POLLPRI of a file of the kernel's, as attributes are. */
static void test_changed(Fixture *f, gconstpointer unused) {
    const char *const patterns[] = { "/proc/self/mountinf?", NULL };

    g_assert_true(unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
    g_assert_cmpint(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), ==, 0);
    f->watch = attribute_watch_new(f->event, patterns, on_changed, f, NULL);
    g_assert_nonnull(f->watch);
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpint(mount("none", f->dir, "tmpfs", 0, NULL), ==, 0);
        while (f->told == i)
            g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
    }
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/attribute-watch/rescan", Fixture, NULL, set_up, test_rescan, tear_down);
    g_test_add("/attribute-watch/changed", Fixture, NULL, set_up, test_changed, tear_down);
    g_test_add("/attribute-watch/stop", Fixture, NULL, set_up, test_stop, tear_down);
    return g_test_run();
}
