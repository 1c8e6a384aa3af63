/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: bench-map REGIONS ROUNDS
 *
 * Overlap check and insert of extents in random order: region-map (which keeps the gaps by size, too) against GTree and
 * an intrusive red-black tree (which keep nothing but the order). Each round builds a map of REGIONS extents and times
 * the inserts that bring it from half of them to all; where an insert takes less than that, the check is in it.
 */
#include "daemon/region-map.h"
#include "tests/bench/bench.h"
#include "tests/bench/rb-tree.h"

#include <stdio.h>
#include <stdlib.h>

#define EXTENT_FRAMES 512u
#define STRIDE_FRAMES 1024u

/* As it is in the daemon: an entry lies within a struct that has much else. */
typedef struct {
    union {
        RegionMapEntry entry;
        RbNode node;
        FrameRange range;
    };
    char rest[192];
} Owner;

typedef struct {
    uint32_t n;
    uint32_t *order;
    Owner *owners;
} Field;

static FrameRange range_of(const Field *field, uint32_t i) {
    uint64_t start = UINT64_C(0x100000) + (uint64_t) field->order[i] * STRIDE_FRAMES;

    return (FrameRange){ start, start + EXTENT_FRAMES };
}

static double per_insert(const Field *field, uint64_t start) {
    return (double) (bench_now() - start) / (field->n - field->n / 2);
}

static double round_region_map(void *data) {
    const Field *field = data;
    g_autoptr(RegionMap) map = region_map_new((FrameRange){ 0, PMEMD_FRAME_LIMIT });
    uint64_t start = 0;

    for (uint32_t i = 0; i < field->n; i++) {
        if (i == field->n / 2)
            start = bench_now();
        field->owners[i].entry = (RegionMapEntry){ 0 };
        bench_require(region_map_reserve(map, &field->owners[i].entry, range_of(field, i)), "overlap", NULL);
    }
    double figure = per_insert(field, start);
    for (RegionMapEntry *first = region_map_first(map); first; first = region_map_first(map))
        region_map_release(map, first);
    return figure;
}

static double round_rb_tree(void *data) {
    const Field *field = data;
    RbTree tree = { NULL };
    uint64_t start = 0;

    for (uint32_t i = 0; i < field->n; i++) {
        if (i == field->n / 2)
            start = bench_now();
        bench_require(rb_insert(&tree, &field->owners[i].node, range_of(field, i)), "overlap", NULL);
    }
    return per_insert(field, start);
}

static int compare(gconstpointer a, gconstpointer b, gpointer unused) {
    const FrameRange *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static double round_gtree(void *data) {
    const Field *field = data;
    GTree *tree = g_tree_new_full(compare, NULL, NULL, NULL);
    uint64_t start = 0;

    for (uint32_t i = 0; i < field->n; i++) {
        if (i == field->n / 2)
            start = bench_now();

        FrameRange *range = &field->owners[i].range;
        *range = range_of(field, i);
        GTreeNode *above = g_tree_lower_bound(tree, range);
        GTreeNode *below = above ? g_tree_node_previous(above) : g_tree_node_last(tree);
        bench_require((!above || !frame_range_overlaps(*(FrameRange *) g_tree_node_key(above), *range)) &&
                          (!below || !frame_range_overlaps(*(FrameRange *) g_tree_node_key(below), *range)),
                      "overlap", NULL);
        g_tree_insert(tree, range, range);
    }
    double figure = per_insert(field, start);
    g_tree_unref(tree);
    return figure;
}

int main(int argc, char **argv) {
    bench_require(argc == 3, "usage: bench-map REGIONS ROUNDS", NULL);
    Field field = { .n = (uint32_t) bench_number(argv[1]) };
    Contestant contestants[] = {
        { "pmemd", round_region_map, &field },
        { "red-black tree", round_rb_tree, &field },
        { "GTree", round_gtree, &field },
    };
    g_autofree char *name = g_strdup_printf("insert %u", field.n);

    field.order = bench_shuffled(field.n);
    field.owners = g_new0(Owner, field.n);
    bench_contest(name, "ns", contestants, G_N_ELEMENTS(contestants), bench_number(argv[2]));
    g_free(field.order);
    g_free(field.owners);
    return EXIT_SUCCESS;
}
