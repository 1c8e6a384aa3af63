/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * An ordered set of pairs of numbers, each with a pointer: a B+ tree.
 * Promises: find, insert and remove in O(log n) with few cache misses: 64 pairs stand side by side in a node, where a
 * binary tree has a node each; 24 bytes a pair, plus what splitting leaves empty (nothing when pairs come in ascending
 * order, else a third). Pure. Not thread-safe. Used by region-map.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct PairTree PairTree;
typedef struct PairNode PairNode;

/* Ordered by a, then by b. value belongs to the caller. */
typedef struct {
    uint64_t a, b;
    void *value;
} Pair;

#define PAIR_TREE_LEVELS 20 /* inner nodes have at least 16 children, but the last one of a level */

/* Where a pair is, or would be put. Valid until the tree changes. Private to pair-tree.c. */
typedef struct {
    PairNode *node[PAIR_TREE_LEVELS]; /* from the leaf up to the root */
    unsigned at[PAIR_TREE_LEVELS];
} PairPlace;

PairTree *pair_tree_new(void);
void pair_tree_free(PairTree *tree); /* NULL is fine; what the values point to stays */

size_t pair_tree_count(const PairTree *tree);

/* The place of the first pair that is not below (a, b), or of the end. */
void pair_tree_seek(const PairTree *tree, uint64_t a, uint64_t b, PairPlace *ret_place);
/* The pair at the place; false: it is the end. */
bool pair_place_get(const PairPlace *place, Pair *ret_pair);
/* The pair before the place; false: it is the start. */
bool pair_place_before(const PairPlace *place, Pair *ret_pair);
/* On to the next pair. The place is for reading from then on. Not at the end. */
void pair_place_step(PairPlace *place);

/* Puts pair in, at its place as pair_tree_seek() gave it for this very pair: the place of a lower one may be the end of
 * the leaf before, where it would be out of order once that leaf's neighbour is looked at. No pair may be there twice. */
void pair_tree_insert(PairTree *tree, const PairPlace *place, Pair pair);
/* Takes out the pair at its place as pair_tree_seek() gave it for this very pair, which is there. */
void pair_tree_remove(PairTree *tree, const PairPlace *place);

/* Asserts order, fill and links of all nodes: for tests. O(n). */
void pair_tree_check(const PairTree *tree);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PairTree, pair_tree_free)
