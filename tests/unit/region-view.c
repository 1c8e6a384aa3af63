/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/libvirt/region-view: pools and volumes of pmemd's lists, what is free, names, views made of views.
 */
#include "client/libvirt/region-view.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define POOL_A "aaaaaaaa-0000-4000-8000-000000000001"
#define POOL_B "bbbbbbbb-0000-4000-8000-000000000002"
#define ONE "11111111-0000-4000-8000-000000000001"
#define TWO "22222222-0000-4000-8000-000000000002"
#define THREE "33333333-0000-4000-8000-00000000000c"
#define FOUR "44444444-0000-4000-8000-000000000004"
#define OTHERS "55555555-0000-4000-8000-000000000005"
#define LINKS "/dev/pmemd/by-uuid/"
#define TEXT(s) ((char *) (s)) /* results of the library are not const */

static RegionViewDetail *detail_new(const char *path, uint64_t created) {
    RegionViewDetail *detail = g_new(RegionViewDetail, 1);

    *detail = (RegionViewDetail){ .created_usec = created, .guest_path = TEXT(path) };
    return detail;
}

/* Two nodes. Pool "a" on node 0 is laid out for Xen; pool "b" has no name of its own. */
static RegionView *sample(const char *profile, uint64_t free_frames) {
    PmemdRaw small = { .id = TEXT("r0"),
                       .bytes = 4 * GIB,
                       .node = 0,
                       .step = 2 * MIB,
                       .lead = 2 * MIB,
                       .minimum = 16 * MIB,
                       .free_bytes = 3 * GIB,
                       .largest_gap = 2 * GIB + 4096,
                       .kind = TEXT("labelled"),
                       .state = TEXT("ok") };
    PmemdRaw broken = { .id = TEXT("r1"),
                        .bytes = 4 * GIB,
                        .node = 0,
                        .free_bytes = GIB,
                        .largest_gap = GIB,
                        .kind = TEXT("labelled"),
                        .state = TEXT("its DIMM is not armed") };
    PmemdRaw whole = { .id = TEXT("r2"),
                       .bytes = 4 * GIB,
                       .node = 1,
                       .step = 2 * MIB,
                       .lead = 2 * MIB,
                       .minimum = 16 * MIB,
                       .free_bytes = 2 * GIB,
                       .largest_gap = 2 * GIB,
                       .kind = TEXT("unlabelled"),
                       .state = TEXT("ok") };
    PmemdRaw *raws[] = { &small, &broken, &whole, NULL };
    PmemdMgmt b = {
        .uuid = TEXT(POOL_B), .name = TEXT(""), .node = 1, .profile = TEXT("none"), .state = TEXT("read-only")
    };
    PmemdMgmt a = { .uuid = TEXT(POOL_A),
                    .name = TEXT("a"),
                    .node = 0,
                    .profile = TEXT(profile),
                    .free_frames = free_frames,
                    .state = TEXT("ok") };
    PmemdMgmt *mgmts[] = { &b, &a, NULL };
    PmemdData one = {
        .uuid = TEXT(ONE), .name = TEXT("zz"), .bytes = 64 * MIB, .pool = TEXT(POOL_A), .state = TEXT("ok")
    };
    PmemdData two = { .uuid = TEXT(TWO),
                      .name = TEXT(""),
                      .bytes = 32 * MIB,
                      .pool = TEXT(POOL_A),
                      .state = TEXT("degraded"),
                      .dirty = true };
    PmemdData three = {
        .uuid = TEXT(THREE), .name = TEXT("aa"), .bytes = 16 * MIB, .pool = TEXT(POOL_A), .state = TEXT("quarantined")
    };
    PmemdData four = {
        .uuid = TEXT(FOUR), .name = TEXT("zz"), .bytes = 8 * MIB, .pool = TEXT(POOL_B), .state = TEXT("missing")
    };
    PmemdData others = {
        .uuid = TEXT(OTHERS), .name = TEXT("x"), .bytes = MIB, .pool = TEXT(OTHERS), .state = TEXT("ok")
    };
    PmemdData *regions[] = { &one, &two, &three, &four, &others, NULL };
    PmemdLease lease = { .region = TEXT(ONE), .owner = TEXT("0f6e6a3e-0000-4000-8000-000000000000") };
    PmemdLease *leases[] = { &lease, NULL };
    g_autoptr(GHashTable) details = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    g_hash_table_insert(details, TEXT(ONE), detail_new(LINKS ONE, 7));
    g_hash_table_insert(details, TEXT(TWO), detail_new("/srv/two", 8));
    g_hash_table_insert(details, TEXT(FOUR), detail_new("", 9));
    const RegionViewFacts facts = {
        .raws = raws, .mgmts = mgmts, .regions = regions, .leases = leases, .details = details
    };
    return region_view_new(&facts, 5);
}

static void test_lists(void) {
    g_autoptr(RegionView) view = sample("none", 0);

    g_assert_cmpuint(region_view_serial(view), ==, 5);
    g_assert_cmpuint(region_view_n_pools(view), ==, 2);
    const RegionViewPool *pool = region_view_pool(view, 0);
    g_assert_cmpstr(pool->name, ==, "a");
    g_assert_true(pool->usable);
    g_assert_cmpuint(pool->n_volumes, ==, 2);
    g_assert_cmpstr(pool->volumes[0].name, ==, TWO);
    g_assert_cmpstr(pool->volumes[1].name, ==, "zz");
    g_assert_cmpstr(pool->volumes[0].state, ==, "degraded");
    g_assert_true(pool->volumes[0].dirty);
    g_assert_false(pool->volumes[0].leased);
    g_assert_cmpstr(pool->volumes[0].owner, ==, "");
    g_assert_true(pool->volumes[1].leased);
    g_assert_cmpstr(pool->volumes[1].owner, ==, "0f6e6a3e-0000-4000-8000-000000000000");
    g_assert_cmpuint(pool->volumes[1].mtime_usec, ==, 7);
    /* What is erased after its release is no volume, and not free. */
    g_assert_cmpuint(pool->used_bytes, ==, 112 * MIB);
    pool = region_view_pool(view, 1);
    g_assert_cmpstr(pool->name, ==, POOL_B);
    g_assert_cmpstr(pool->state, ==, "read-only");
    g_assert_false(pool->usable);
    g_assert_cmpuint(pool->n_volumes, ==, 1);
}

static void test_space(void) {
    g_autoptr(RegionView) view = sample("none", 0);
    const RegionViewPool *a = region_view_find_pool(view, "a"), *b = region_view_find_pool(view, POOL_B);

    g_assert_cmpuint(a->raw_bytes, ==, 4 * GIB);
    g_assert_cmpuint(a->free_bytes, ==, 3 * GIB - 2 * MIB);
    g_assert_cmpuint(a->largest_gap, ==, 2 * GIB - 2 * MIB);
    /* One device takes all of a raw region without labels, and this one has one. */
    g_assert_cmpuint(b->free_bytes, ==, 0);
    g_assert_cmpuint(b->largest_gap, ==, 0);

    /* 40 bytes a frame of the management region's: 1000 frames are enough for 102400. */
    g_autoptr(RegionView) xen = sample("xen", 1000);
    a = region_view_find_pool(xen, "a");
    g_assert_cmpuint(a->free_bytes, ==, 102400 * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(a->largest_gap, ==, 102400 * PMEMD_FRAME_SIZE);
}

static void test_find(void) {
    g_autoptr(RegionView) view = sample("none", 0);
    const RegionViewPool *pool = NULL, *a = region_view_find_pool(view, POOL_A);

    g_assert_cmpstr(region_view_find_volume(a, "zz")->uuid, ==, ONE);
    g_assert_cmpstr(region_view_find_volume(a, TWO)->uuid, ==, TWO);
    g_assert_null(region_view_find_volume(a, "aa"));
    g_assert_null(region_view_find_volume(a, ""));
    g_assert_null(region_view_find_volume(NULL, "zz"));
    g_assert_null(region_view_find_pool(view, "c"));
    g_assert_null(region_view_find_pool(NULL, "a"));
    g_assert_cmpstr(region_view_by_uuid(view, FOUR, &pool)->name, ==, "zz");
    g_assert_cmpstr(pool->uuid, ==, POOL_B);
    g_assert_null(region_view_by_uuid(view, THREE, &pool));
    g_assert_null(region_view_by_uuid(NULL, ONE, NULL));

    g_assert_cmpstr(region_view_by_path(view, LINKS ONE, &pool)->uuid, ==, ONE);
    g_assert_true(pool == a);
    g_assert_cmpstr(region_view_by_path(view, "/srv/two", NULL)->uuid, ==, TWO);
    g_assert_cmpstr(region_view_by_path(view, "/dev/pmemd/a/zz", NULL)->uuid, ==, ONE);
    g_assert_cmpstr(region_view_by_path(view, "/dev/pmemd/" POOL_B "/zz", NULL)->uuid, ==, FOUR);
    const char *const strange[] = { "",
                                    "/",
                                    "/srv",
                                    "/dev/pmemd/a",
                                    "/dev/pmemd/a/",
                                    "/dev/pmemd/a/zz/",
                                    "/dev/pmemd//zz",
                                    "/dev/pmemd/a/../zz",
                                    LINKS,
                                    LINKS THREE };
    for (size_t i = 0; i < G_N_ELEMENTS(strange); i++)
        g_assert_null(region_view_by_path(view, strange[i], NULL));
}

static void test_changed(void) {
    g_autoptr(RegionView) view = sample("none", 0);
    const RegionViewVolume made = {
        .uuid = THREE, .name = "mm", .bytes = 10 * MIB, .state = "ok", .owner = "", .path = LINKS THREE
    };

    g_autoptr(RegionView) more = region_view_with(view, POOL_A, &made, 6);
    const RegionViewPool *a = region_view_find_pool(more, "a");
    g_assert_cmpuint(region_view_serial(more), ==, 6);
    g_assert_cmpuint(a->n_volumes, ==, 3);
    g_assert_cmpuint(a->free_bytes, ==, 3 * GIB - 12 * MIB);
    g_assert_cmpuint(a->used_bytes, ==, 122 * MIB);
    g_assert_cmpstr(region_view_find_volume(a, "mm")->uuid, ==, THREE);
    /* In place: links that were written in capitals, as libvirt keeps what people wrote. */
    g_autofree char *capitals = g_strconcat(LINKS, "33333333-0000-4000-8000-00000000000C", NULL);
    g_assert_cmpstr(region_view_by_path(more, capitals, NULL)->uuid, ==, THREE);
    /* The first one is as it was. */
    g_assert_null(region_view_by_uuid(view, THREE, NULL));

    g_autoptr(RegionView) again = region_view_with(more, POOL_A, &made, 7);
    g_assert_cmpuint(region_view_find_pool(again, "a")->n_volumes, ==, 3);
    g_autoptr(RegionView) nowhere = region_view_with(view, OTHERS, &made, 8);
    g_assert_null(region_view_by_uuid(nowhere, THREE, NULL));

    g_autoptr(RegionView) less = region_view_without(more, ONE, 9);
    a = region_view_find_pool(less, "a");
    g_assert_cmpuint(a->n_volumes, ==, 2);
    g_assert_null(region_view_by_path(less, LINKS ONE, NULL));
    g_assert_cmpuint(a->used_bytes, ==, 122 * MIB);
    g_assert_cmpuint(a->free_bytes, ==, 3 * GIB - 12 * MIB);
}

static gpointer read_and_drop(gpointer data) {
    RegionView *view = data;

    for (int i = 0; i < 10000; i++) {
        RegionView *mine = region_view_ref(view);
        g_assert_nonnull(region_view_by_uuid(mine, ONE, NULL));
        region_view_unref(mine);
    }
    region_view_unref(view);
    return NULL;
}

static void test_threads(void) {
    g_autoptr(RegionView) view = sample("none", 0);
    GThread *threads[4];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", read_and_drop, region_view_ref(view));
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    region_view_unref(NULL);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/region-view/lists", test_lists);
    g_test_add_func("/region-view/space", test_space);
    g_test_add_func("/region-view/find", test_find);
    g_test_add_func("/region-view/changed", test_changed);
    g_test_add_func("/region-view/threads", test_threads);
    return g_test_run();
}
