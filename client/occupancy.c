/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/occupancy.h"

struct Occupancy {
    GTree *by_start; /* uint64_t * (in the value) -> Occupant * */
};

static void occupant_free(void *data) {
    Occupant *occupant = data;

    g_free(occupant->by);
    g_free(occupant);
}

static int compare_starts(gconstpointer a, gconstpointer b, void *data) {
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

Occupancy *occupancy_new(void) {
    Occupancy *occupancy = g_new(Occupancy, 1);

    occupancy->by_start = g_tree_new_full(compare_starts, NULL, NULL, occupant_free);
    return occupancy;
}

void occupancy_free(Occupancy *occupancy) {
    if (!occupancy)
        return;
    g_tree_unref(occupancy->by_start);
    g_free(occupancy);
}

void occupancy_add(Occupancy *occupancy, PmemdRange range, char *by) {
    Occupant *occupant = g_new(Occupant, 1);

    occupant->range = range;
    occupant->by = by;
    g_tree_replace(occupancy->by_start, &occupant->range.start, occupant);
}

const Occupant *occupancy_before(const Occupancy *occupancy, uint64_t frame) {
    GTreeNode *node = g_tree_lower_bound(occupancy->by_start, &frame);

    node = node ? g_tree_node_previous(node) : g_tree_node_last(occupancy->by_start);
    return node ? g_tree_node_value(node) : NULL;
}

const Occupant *occupancy_find(const Occupancy *occupancy, PmemdRange range) {
    const Occupant *occupant = occupancy_before(occupancy, range.end);

    return occupant && occupant->range.end > range.start ? occupant : NULL;
}
