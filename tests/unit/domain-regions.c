/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-regions.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST "0f6e6a3e-0000-4000-8000-00000000000a"
#define SECOND "0f6e6a3e-0000-4000-8000-00000000000b"
#define THIRD "0f6e6a3e-0000-4000-8000-00000000000c"
#define THIRD_DEVICE "0f6e6a3e-0000-4000-8000-00000000000d"

typedef struct {
    char *folder, *file, *link, *hard, *other;
    DomainRegions *regions;
} Fixture;

static void set_up(Fixture *f, const void *data) {
    f->folder = g_dir_make_tmp("domain-regions-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "data", NULL);
    f->link = g_build_filename(f->folder, "link", NULL);
    f->hard = g_build_filename(f->folder, "hard", NULL);
    f->other = g_build_filename(f->folder, "other", NULL);
    g_assert_true(g_file_set_contents(f->file, "", 0, NULL));
    g_assert_true(g_file_set_contents(f->other, "", 0, NULL));
    g_assert_cmpint(symlink(f->file, f->link), ==, 0);
    g_assert_cmpint(link(f->file, f->hard), ==, 0);
    f->regions = domain_regions_new();
    domain_regions_add(f->regions, "0F6E6A3E-0000-4000-8000-00000000000A", "pool0", "vol0", f->file);
    /* A character device that is everywhere. */
    domain_regions_add(f->regions, SECOND, "pool1", "", "/dev/null");
    domain_regions_add(f->regions, THIRD, "pool1", "vol2", "/dev/pmemd/by-uuid/" THIRD_DEVICE);
}

static void tear_down(Fixture *f, const void *data) {
    domain_regions_free(f->regions);
    (void) g_unlink(f->link);
    (void) g_unlink(f->hard);
    (void) g_unlink(f->file);
    (void) g_unlink(f->other);
    g_assert_cmpint(g_rmdir(f->folder), ==, 0);
    g_free(f->folder);
    g_free(f->file);
    g_free(f->link);
    g_free(f->hard);
    g_free(f->other);
}

static void expect(Fixture *f, const char *path, bool memory, DomainPathKind kind, const char *uuid) {
    const DomainPath item = { .path = (char *) path, .memory = memory };
    const DomainRegion *region = NULL;

    g_test_message("%s", path);
    g_assert_cmpint(domain_regions_find(f->regions, &item, &region), ==, kind);
    g_assert_cmpstr(region ? region->uuid : NULL, ==, uuid);
}

static void names(Fixture *f, const void *data) {
    expect(f, "/dev/pmemd/by-uuid/" FIRST, true, DOMAIN_PATH_REGION, FIRST);
    expect(f, "/dev/pmemd/by-uuid/0F6E6A3E-0000-4000-8000-00000000000B", false, DOMAIN_PATH_REGION, SECOND);
    expect(f, "/dev/pmemd/pool0/vol0", true, DOMAIN_PATH_REGION, FIRST);
    expect(f, "/dev/pmemd/pool1/" SECOND, true, DOMAIN_PATH_REGION, SECOND);
    expect(f, "//dev/./x/../pmemd//pool0/vol0", true, DOMAIN_PATH_REGION, FIRST);
    expect(f, "/dev/pmemd/by-uuid/" THIRD, true, DOMAIN_PATH_REGION, THIRD);
    expect(f, "/dev/pmemd/by-uuid/" THIRD_DEVICE, true, DOMAIN_PATH_REGION, THIRD);
    static const char *const none[] = {
        "/dev/pmemd/by-uuid/0f6e6a3e-0000-4000-8000-00000000000e",
        "/dev/pmemd/by-uuid/",
        "/dev/pmemd/by-uuid",
        "/dev/pmemd/pool0/vol",
        "/dev/pmemd/pool/vol0",
        "/dev/pmemd/pool0/vol00",
        "/dev/pmemd/pool1/vol0",
        "/dev/pmemd/pool0",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
        expect(f, none[i], true, DOMAIN_PATH_NO_REGION, NULL);
    expect(f, "/run/pmemd/pools/pool0/vol0", true, DOMAIN_PATH_VOLUME, NULL);
    expect(f, "/run/pmemd/pools/pool0/vol0", false, DOMAIN_PATH_VOLUME, NULL);
    expect(f, "/dev/pmemdx/pool0/vol0", true, DOMAIN_PATH_OTHER, NULL);
}

static void targets(Fixture *f, const void *data) {
    expect(f, f->file, true, DOMAIN_PATH_REGION, FIRST);
    expect(f, f->link, true, DOMAIN_PATH_REGION, FIRST);
    expect(f, f->hard, true, DOMAIN_PATH_REGION, FIRST);
    expect(f, "/dev/null", true, DOMAIN_PATH_REGION, SECOND);
    expect(f, "/dev/null", false, DOMAIN_PATH_REGION, SECOND);
    expect(f, "/dev/zero", true, DOMAIN_PATH_OTHER, NULL);
    expect(f, f->other, true, DOMAIN_PATH_OTHER, NULL);
    /* What a disk names is not looked at: its file system may hang. */
    expect(f, f->link, false, DOMAIN_PATH_OTHER, NULL);
    expect(f, f->file, false, DOMAIN_PATH_REGION, FIRST);
    expect(f, f->folder, true, DOMAIN_PATH_OTHER, NULL);
    expect(f, "/no/such/file", true, DOMAIN_PATH_OTHER, NULL);
    g_assert_true(domain_path_is_same(f->link, f->hard));
    g_assert_false(domain_path_is_same(f->link, f->other));
    g_assert_false(domain_path_is_same("/no/such/file", "/no/such/file"));
    g_assert_cmpint(g_unlink(f->file), ==, 0);
    expect(f, f->file, true, DOMAIN_PATH_REGION, FIRST);
}

static void may_be(Fixture *f, const void *data) {
    const struct {
        const char *path;
        bool memory, may;
    } rows[] = {
        { "/dev/pmemd/by-uuid/x", false, true },
        { "/dev/pmemd/p/v", true, true },
        { "/run/pmemd/pools/p/v", false, true },
        { f->file, true, true },
        { f->file, false, false },
        { "/dev/null", true, false },
        { "/dev/null", false, false },
        { "/no/such/file", true, false },
        { "/dev/pmemd", true, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const DomainPath item = { .path = (char *) rows[i].path, .memory = rows[i].memory };
        g_test_message("%s", rows[i].path);
        g_assert_cmpint(domain_path_may_be_region(&item), ==, rows[i].may);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/domain-regions/names", Fixture, NULL, set_up, names, tear_down);
    g_test_add("/domain-regions/targets", Fixture, NULL, set_up, targets, tear_down);
    g_test_add("/domain-regions/may-be", Fixture, NULL, set_up, may_be, tear_down);
    return g_test_run();
}
