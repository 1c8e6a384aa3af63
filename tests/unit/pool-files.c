/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/libvirt/pool-files: files of a view, new files and what becomes of them, from one thread and from many.
 */
#include "client/libvirt/pool-files.h"

#include <errno.h>
#include <fcntl.h>

#define POOL "aaaaaaaa-0000-4000-8000-000000000001"
#define ONE "11111111-0000-4000-8000-000000000001"
#define TWO "22222222-0000-4000-8000-000000000002"
#define MIB (UINT64_C(1) << 20)
#define TEXT(s) ((char *) (s)) /* results of the library are not const */

/* A pool with a volume of 1 MiB, and one of 2 MiB as well, if that has a name. */
static RegionView *sample_of(const char *one, const char *two, const char *state) {
    PmemdRaw raw = { .id = TEXT("r"),
                     .bytes = 64 * MIB,
                     .free_bytes = 32 * MIB,
                     .largest_gap = 32 * MIB,
                     .kind = TEXT("file"),
                     .state = TEXT("ok") };
    PmemdRaw *raws[] = { &raw, NULL };
    PmemdMgmt mgmt = { .uuid = TEXT(POOL), .name = TEXT("p"), .profile = TEXT("none"), .state = TEXT(state) };
    PmemdMgmt *mgmts[] = { &mgmt, NULL };
    PmemdData first = { .uuid = TEXT(ONE), .name = TEXT(one), .bytes = MIB, .pool = TEXT(POOL), .state = TEXT("ok") };
    PmemdData second = {
        .uuid = TEXT(TWO), .name = TEXT(two), .bytes = 2 * MIB, .pool = TEXT(POOL), .state = TEXT("ok")
    };
    PmemdData *regions[] = { &first, two ? &second : NULL, NULL };
    PmemdLease *leases[] = { NULL };
    const RegionViewFacts facts = { .raws = raws, .mgmts = mgmts, .regions = regions, .leases = leases };

    return region_view_new(&facts, 1);
}

/* A pool with the volume "one", and "two" as well. */
static RegionView *sample(bool two, const char *state) {
    return sample_of("one", two ? "two" : NULL, state);
}

static PoolFiles *files_new(bool two, const char *state) {
    g_autoptr(RegionView) view = sample(two, state);

    return pool_files_new(POOL, view, 0);
}

static void test_volume(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    g_autofree char *name = NULL;
    struct statvfs fs;
    struct stat st;
    uint64_t id, again, bytes;

    g_assert_cmpint(pool_files_lookup(files, "two", &id, &st), ==, -ENOENT);
    g_assert_cmpint(pool_files_lookup(files, "one", &id, &st), ==, 0);
    g_assert_cmpuint((uint64_t) st.st_size, ==, MIB);
    g_assert_cmpint(pool_files_lookup(files, "one", &again, &st), ==, 0);
    g_assert_cmpuint(again, ==, id);
    g_assert_cmpint(pool_files_open(files, id, O_RDWR), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_open(files, id, O_RDONLY | O_TRUNC), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_open(files, id, O_RDONLY), ==, 0);
    g_assert_cmpint(pool_files_read(files, id, 0, 100, false, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 100);
    g_assert_cmpint(pool_files_read(files, id, POOL_FILES_READABLE - 1, 100, false, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 1);
    g_assert_cmpint(pool_files_read(files, id, POOL_FILES_READABLE, 1, false, &bytes), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_read(files, id, MIB, 100, false, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 0);
    /* Who takes less for the end of the file is never answered in part, but at the end of the file. */
    g_assert_cmpint(pool_files_read(files, id, 0, POOL_FILES_READABLE, true, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, POOL_FILES_READABLE);
    g_assert_cmpint(pool_files_read(files, id, 1, POOL_FILES_READABLE, true, &bytes), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_read(files, id, MIB, 100, true, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, MIB, &name), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, MIB - 1, &name), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_resize(files, id, 0, &name), ==, -EOPNOTSUPP);
    g_assert_cmpint(pool_files_reserve(files, id, MIB - 1, &name), ==, 0);
    g_assert_cmpint(pool_files_reserve(files, id, MIB + 1, &name), ==, -EOPNOTSUPP);
    pool_files_statfs(files, &fs);
    g_assert_cmpuint(fs.f_blocks * fs.f_frsize, ==, 64 * MIB);
    g_assert_cmpuint(fs.f_bfree * fs.f_frsize, ==, 32 * MIB);
    pool_files_close(files, id);
    pool_files_forget(files, id, 2);
    g_assert_cmpint(pool_files_stat(files, id, &st), ==, -ENOENT);
    g_assert_cmpint(pool_files_stat(files, POOL_FILES_ROOT, &st), ==, 0);
}

/* An id goes on to mean its volume, whatever has the name now. */
static void test_gone(void) {
    g_autoptr(PoolFiles) files = files_new(true, "ok");
    g_autoptr(RegionView) less = sample(false, "ok");
    g_autofree char *uuid = NULL;
    struct stat st;
    uint64_t id;

    g_assert_cmpint(pool_files_lookup(files, "two", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_unlink(files, "two", &uuid), ==, 1);
    g_assert_cmpstr(uuid, ==, TWO);
    pool_files_set_view(files, less);
    g_assert_cmpint(pool_files_stat(files, id, &st), ==, 0);
    g_assert_cmpuint(st.st_nlink, ==, 0);
    g_assert_cmpuint((uint64_t) st.st_size, ==, 0);
    g_assert_cmpint(pool_files_open(files, id, O_RDONLY), ==, -ESTALE);
    g_autoptr(GArray) list = pool_files_list(files);
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpstr(g_array_index(list, PoolFilesEntry, 0).name, ==, "one");
    pool_files_forget(files, id, 1);
}

/* Who removes a name means what he was told it is: what another volume has by now is looked up first. */
static void test_renamed(void) {
    g_autoptr(PoolFiles) files = files_new(true, "ok");
    g_autoptr(RegionView) swapped = sample_of("two", "one", "ok");
    g_autofree char *uuid = NULL, *none = NULL;
    struct stat st;
    uint64_t id, other;

    g_assert_cmpint(pool_files_lookup(files, "one", &id, &st), ==, 0);
    pool_files_set_view(files, swapped);
    g_assert_cmpint(pool_files_unlink(files, "one", &none), ==, -EBUSY);
    g_assert_cmpint(pool_files_stat(files, id, &st), ==, 0);
    g_assert_cmpuint((uint64_t) st.st_size, ==, MIB);
    g_assert_cmpint(pool_files_lookup(files, "one", &other, &st), ==, 0);
    g_assert_cmpuint(other, !=, id);
    g_assert_cmpint(pool_files_unlink(files, "one", &uuid), ==, 1);
    g_assert_cmpstr(uuid, ==, TWO);
    pool_files_forget(files, id, 1);
    pool_files_forget(files, other, 1);
}

static void test_made(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    g_autoptr(RegionView) more = sample(true, "ok");
    g_autofree char *name = NULL, *none = NULL;
    struct stat st;
    uint64_t id, other;

    g_assert_cmpint(pool_files_create(files, "one", &id, &st), ==, -EEXIST);
    g_assert_cmpint(pool_files_create(files, "..", &id, &st), ==, -EINVAL);
    g_assert_cmpint(pool_files_create(files, TWO, &id, &st), ==, -EINVAL);
    g_assert_cmpint(pool_files_create(files, "two", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_create(files, "two", &other, &st), ==, -EEXIST);
    g_assert_cmpint(pool_files_resize(files, id, 0, &name), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, 2 * MIB - 5, &name), ==, 1);
    g_assert_cmpstr(name, ==, "two");
    g_assert_cmpint(pool_files_reserve(files, id, MIB, &none), ==, -EBUSY);
    g_assert_cmpint(pool_files_unlink(files, "two", &none), ==, -EBUSY);
    pool_files_set_view(files, more);
    pool_files_made(files, id, 0, TWO);
    pool_files_settled(files, id);
    g_assert_cmpint(pool_files_stat(files, id, &st), ==, 0);
    g_assert_cmpuint((uint64_t) st.st_size, ==, 2 * MIB);
    /* What was asked for is what it has, by its maker's count. */
    g_assert_cmpint(pool_files_resize(files, id, 2 * MIB - 5, &none), ==, 0);
    g_assert_cmpint(pool_files_lookup(files, "two", &other, &st), ==, 0);
    g_assert_cmpuint(other, ==, id);
    pool_files_close(files, id);
    pool_files_forget(files, id, 2);
    g_assert_cmpint(pool_files_stat(files, id, &st), ==, -ENOENT);
}

/* Refused: a smaller size may be tried; closed without one it is gone. */
static void test_refused(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    g_autofree char *name = NULL, *second = NULL, *none = NULL;
    struct stat st;
    uint64_t id, other;

    g_assert_cmpint(pool_files_create(files, "x", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, 99 * MIB, &name), ==, 1);
    pool_files_made(files, id, ENOSPC, "");
    pool_files_settled(files, id);
    g_assert_cmpint(pool_files_resize(files, id, MIB, &second), ==, 1);
    /* Doubtful: the name is in use until it is known what became of it. */
    pool_files_made(files, id, ETIMEDOUT, "");
    g_assert_cmpint(pool_files_unlink(files, "x", &none), ==, 0);
    g_assert_cmpint(pool_files_lookup(files, "x", &other, &st), ==, -ENOENT);
    g_assert_cmpint(pool_files_unlink(files, "x", &none), ==, -ENOENT);
    g_assert_cmpint(pool_files_create(files, "x", &other, &st), ==, -EEXIST);
    pool_files_close(files, id);
    pool_files_forget(files, id, 1);
    pool_files_settled(files, id);
    g_assert_cmpint(pool_files_create(files, "x", &other, &st), ==, 0);
    g_assert_cmpuint(other, !=, id);
    pool_files_close(files, other);
    g_assert_cmpint(pool_files_lookup(files, "x", &id, &st), ==, -ENOENT);
    pool_files_forget(files, other, 1);
}

/* Closed without size it is there for a moment, for who opens it again. */
static void test_lingers(void) {
    g_autoptr(RegionView) view = sample(false, "ok");
    g_autoptr(PoolFiles) files = pool_files_new(POOL, view, UINT64_MAX);
    g_autofree char *none = NULL;
    struct stat st;
    uint64_t id, again;

    g_assert_cmpint(pool_files_create(files, "x", &id, &st), ==, 0);
    pool_files_close(files, id);
    pool_files_forget(files, id, 1);
    g_assert_cmpint(pool_files_lookup(files, "x", &again, &st), ==, 0);
    g_assert_cmpuint(again, ==, id);
    g_assert_cmpint(pool_files_open(files, id, O_RDWR), ==, 0);
    pool_files_close(files, id);
    g_autoptr(GArray) list = pool_files_list(files);
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpint(pool_files_unlink(files, "x", &none), ==, 0);
    g_assert_cmpint(pool_files_lookup(files, "x", &again, &st), ==, -ENOENT);
    pool_files_forget(files, id, 1);
}

/* Somebody else was faster: who takes his own away, also once he has closed it, does not take the other's. */
static void test_overtaken(void) {
    g_autoptr(RegionView) view = sample(false, "ok");
    g_autoptr(RegionView) more = sample(true, "ok");
    g_autoptr(PoolFiles) files = pool_files_new(POOL, view, UINT64_MAX);
    g_autofree char *name = NULL, *uuid = NULL;
    struct stat st;
    uint64_t id, again;

    g_assert_cmpint(pool_files_create(files, "two", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, MIB, &name), ==, 1);
    pool_files_set_view(files, more);
    pool_files_made(files, id, EEXIST, "");
    pool_files_settled(files, id);
    pool_files_close(files, id);
    g_assert_cmpint(pool_files_lookup(files, "two", &again, &st), ==, 0);
    g_assert_cmpint(pool_files_unlink(files, "two", &uuid), ==, 0);
    pool_files_forget(files, id, 2);
    g_assert_cmpint(pool_files_lookup(files, "two", &id, &st), ==, 0);
    g_assert_cmpuint((uint64_t) st.st_size, ==, 2 * MIB);
    pool_files_forget(files, id, 1);
}

/* What was removed while it is open makes no volume, also not under a name that another file has by now. */
static void test_removed(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    g_autofree char *name = NULL, *uuid = NULL;
    uint64_t id, next;
    struct stat st;

    g_assert_cmpint(pool_files_create(files, "two", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_unlink(files, "two", &uuid), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, MIB, &name), ==, -ENOENT);
    g_assert_cmpint(pool_files_reserve(files, id, MIB, &name), ==, -ENOENT);
    g_assert_cmpint(pool_files_create(files, "two", &next, &st), ==, 0);
    g_assert_cmpint(pool_files_resize(files, id, MIB, &name), ==, -ENOENT);
    g_assert_null(name);
    g_assert_cmpint(pool_files_resize(files, next, MIB, &name), ==, 1);
    g_assert_cmpstr(name, ==, "two");
    pool_files_made(files, next, 0, TWO);
    pool_files_settled(files, next);
    pool_files_close(files, id);
    pool_files_forget(files, id, 1);
    pool_files_close(files, next);
    pool_files_forget(files, next, 1);
}

static void test_limits(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    g_autoptr(PoolFiles) shut = files_new(false, "read-only");
    g_autoptr(PoolFiles) nothing = pool_files_new(POOL, NULL, 0);
    g_autofree char *none = NULL;
    struct statvfs fs;
    struct stat st;
    uint64_t id;

    for (unsigned i = 0; i < POOL_FILES_NEW_MAX; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_assert_cmpint(pool_files_create(files, name, &id, &st), ==, 0);
    }
    g_assert_cmpint(pool_files_create(files, "more", &id, &st), ==, -EDQUOT);
    g_assert_cmpint(pool_files_create(shut, "more", &id, &st), ==, -EROFS);
    g_assert_cmpint(pool_files_unlink(shut, "one", &none), ==, -EROFS);
    g_assert_cmpint(pool_files_lookup(shut, "one", &id, &st), ==, 0);
    g_assert_cmpint(pool_files_create(nothing, "more", &id, &st), ==, -EROFS);
    pool_files_statfs(nothing, &fs);
    g_assert_cmpuint(fs.f_blocks, ==, 0);
    /* Ids that nobody was given. */
    g_assert_cmpint(pool_files_open(nothing, 77, O_RDONLY), ==, -ENOENT);
    g_assert_cmpint(pool_files_resize(nothing, 77, 1, &none), ==, -ENOENT);
    pool_files_forget(nothing, 77, UINT64_MAX);
    pool_files_close(nothing, 77);
    pool_files_made(nothing, 77, 0, ONE);
    pool_files_settled(nothing, 77);
}

static gpointer churn(gpointer data) {
    PoolFiles *files = data;
    struct stat st;
    uint64_t id;

    for (int i = 0; i < 3000; i++) {
        g_autofree char *name = NULL;
        if (pool_files_create(files, "x", &id, &st) == 0) {
            if (pool_files_resize(files, id, MIB, &name) > 0) {
                pool_files_made(files, id, ENOSPC, "");
                pool_files_settled(files, id);
            }
            pool_files_close(files, id);
            pool_files_forget(files, id, 1);
        }
        if (pool_files_lookup(files, i % 2 ? "x" : "one", &id, &st) == 0)
            pool_files_forget(files, id, 1);
        if (i % 16 == 0) {
            g_autoptr(RegionView) view = sample(i % 32 == 0, "ok");
            pool_files_set_view(files, view);
        }
    }
    return NULL;
}

static void test_threads(void) {
    g_autoptr(PoolFiles) files = files_new(false, "ok");
    GThread *threads[4];
    struct stat st;
    uint64_t id;

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("churn", churn, files);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(pool_files_lookup(files, "x", &id, &st), ==, -ENOENT);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pool-files/volume", test_volume);
    g_test_add_func("/pool-files/gone", test_gone);
    g_test_add_func("/pool-files/renamed", test_renamed);
    g_test_add_func("/pool-files/made", test_made);
    g_test_add_func("/pool-files/refused", test_refused);
    g_test_add_func("/pool-files/overtaken", test_overtaken);
    g_test_add_func("/pool-files/lingers", test_lingers);
    g_test_add_func("/pool-files/removed", test_removed);
    g_test_add_func("/pool-files/limits", test_limits);
    g_test_add_func("/pool-files/threads", test_threads);
    return g_test_run();
}
