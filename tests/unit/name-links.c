/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/libvirt/name-links: links follow the view; what others left there stays.
 */
#include "client/libvirt/name-links.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define POOL "aaaaaaaa-0000-4000-8000-000000000001"
#define ONE "11111111-0000-4000-8000-000000000001"
#define TWO "22222222-0000-4000-8000-000000000002"
#define LINKS "/dev/pmemd/by-uuid/"
#define TEXT(s) ((char *) (s)) /* results of the library are not const */

/* A pool with a volume of a device, and one of a file. */
static RegionView *sample(const char *pool_name, const char *name, const char *uuid) {
    PmemdRaw *raws[] = { NULL };
    PmemdMgmt mgmt = { .uuid = TEXT(POOL), .name = TEXT(pool_name), .profile = TEXT("none"), .state = TEXT("ok") };
    PmemdMgmt *mgmts[] = { &mgmt, NULL };
    PmemdData data = { .uuid = TEXT(uuid), .name = TEXT(name), .bytes = 1, .pool = TEXT(POOL), .state = TEXT("ok") };
    PmemdData file = { .uuid = TEXT(POOL), .name = TEXT("file"), .bytes = 1, .pool = TEXT(POOL), .state = TEXT("ok") };
    PmemdData *regions[] = { &data, &file, NULL };
    PmemdLease *leases[] = { NULL };
    g_autofree char *path = g_strconcat(LINKS, uuid, NULL);
    RegionViewDetail of_data = { .guest_path = path }, of_file = { .guest_path = TEXT("/srv/file") };
    g_autoptr(GHashTable) details = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(details, TEXT(uuid), &of_data);
    g_hash_table_insert(details, TEXT(POOL), &of_file);
    const RegionViewFacts facts = {
        .raws = raws, .mgmts = mgmts, .regions = regions, .leases = leases, .details = details
    };
    return region_view_new(&facts, 1);
}

static bool wanted(const char *pool_uuid, void *userdata) {
    const bool *all = userdata;

    return *all;
}

static void update(NameLinks *links, const char *pool_name, const char *name, const char *uuid, bool all) {
    g_autoptr(RegionView) view = sample(pool_name, name, uuid);

    name_links_update(links, view, wanted, &all);
}

/* target NULL: there is nothing. */
static void check(const char *directory, const char *name, const char *target) {
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *has = g_file_read_link(path, NULL);

    g_assert_cmpstr(has, ==, target);
}

static void put(const char *directory, const char *name, const char *target) {
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void remove_all(const char *directory) {
    g_autofree char *quoted = g_strdup(directory);
    char *words[] = { TEXT("rm"), TEXT("-rf"), quoted, NULL };

    g_assert_true(g_spawn_sync(NULL, words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static void test_follow(void) {
    g_autofree char *directory = g_dir_make_tmp("pmemd-links-XXXXXX", NULL);
    g_autoptr(NameLinks) links = name_links_new(directory);

    update(links, "p", "disk", ONE, true);
    check(directory, "p/disk", LINKS ONE);
    check(directory, "p/file", NULL);
    put(directory, "p/disk.new", "/etc/passwd"); /* a name like any other */
    update(links, "p", "disk", TWO, true);       /* another one with that name */
    check(directory, "p/disk", LINKS TWO);
    check(directory, "p/disk.new", "/etc/passwd");
    g_autofree char *like_any_other = g_build_filename(directory, "p/disk.new", NULL);
    g_assert_cmpint(unlink(like_any_other), ==, 0);
    update(links, "p", "other", TWO, true);
    check(directory, "p/disk", NULL);
    check(directory, "p/other", LINKS TWO);
    update(links, "q", "other", TWO, true);
    check(directory, "p/other", NULL);
    check(directory, "q/other", LINKS TWO);
    g_autofree char *empty = g_build_filename(directory, "p", NULL);
    g_assert_false(g_file_test(empty, G_FILE_TEST_EXISTS));
    update(links, "q", "other", TWO, false);
    check(directory, "q/other", NULL);
    remove_all(directory);
}

/* What a predecessor left is mended; what is not ours stays. */
static void test_left(void) {
    g_autofree char *directory = g_dir_make_tmp("pmemd-links-XXXXXX", NULL);
    g_autoptr(NameLinks) links = name_links_new(directory);

    put(directory, "by-uuid/" ONE, "../../dax0.0");
    put(directory, "p/old", LINKS TWO);
    put(directory, "p/disk", LINKS TWO);
    put(directory, "p/foreign", "/etc/passwd");
    put(directory, "gone/x", LINKS TWO);
    update(links, "p", "disk", ONE, true);
    check(directory, "p/disk", LINKS ONE);
    check(directory, "p/old", NULL);
    check(directory, "gone/x", NULL);
    check(directory, "p/foreign", "/etc/passwd");
    check(directory, "by-uuid/" ONE, "../../dax0.0");
    update(links, "p", "foreign", TWO, true);
    check(directory, "p/foreign", "/etc/passwd");
    /* A pool with the name of udev's directory has none of its own. */
    update(links, "by-uuid", ONE, ONE, true);
    check(directory, "by-uuid/" ONE, "../../dax0.0");
    remove_all(directory);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/name-links/follow", test_follow);
    g_test_add_func("/name-links/left", test_left);
    return g_test_run();
}
