/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Leaves and inner nodes have one layout. A leaf holds the pairs. An inner node holds a lower bound of each child: not
 * above any pair in it, above all pairs of the child before. The first bound of an inner node is never looked at, for
 * whatever is below it belongs to the first child, too.
 */
#include "daemon/pair-tree.h"

#include <string.h>

#define FANOUT 64u
#define FILL_MIN (FANOUT / 4)
#define CACHE_LINE 64u

struct PairNode {
    unsigned n;
    PairNode *before, *after; /* neighbours of a leaf */
    uint64_t a[FANOUT], b[FANOUT];
    void *to[FANOUT]; /* values, or PairNode * */
};

struct PairTree {
    PairNode *root;
    unsigned height; /* levels of inner nodes */
    size_t count;
};

/* ---- nodes ---- */

/* How many pairs from `from` on are below (a, b), or are it (or_equal), and `from`. Without branches that depend on the
 * pairs: what cannot be predicted costs more than what is computed in vain. */
static G_ALWAYS_INLINE inline unsigned node_rank(const PairNode *node, unsigned from, uint64_t a, uint64_t b,
                                                 bool or_equal) {
    unsigned base = from;

    for (unsigned left = node->n - from; left > 0;) {
        unsigned half = (left + 1) / 2, probe = base + half - 1;
        bool below = (node->a[probe] < a) |
                     ((node->a[probe] == a) & ((node->b[probe] < b) | ((node->b[probe] == b) & or_equal)));

        base += below ? half : 0;
        left = left / 2;
    }
    return base;
}

static void node_put(PairNode *node, unsigned at, Pair pair) {
    size_t behind = node->n - at;

    memmove(node->a + at + 1, node->a + at, behind * sizeof node->a[0]);
    memmove(node->b + at + 1, node->b + at, behind * sizeof node->b[0]);
    memmove(node->to + at + 1, node->to + at, behind * sizeof node->to[0]);
    node->a[at] = pair.a;
    node->b[at] = pair.b;
    node->to[at] = pair.value;
    node->n++;
}

/* Copies n pairs of `from` over those of `to` that begin at to_at; both may be one node. Counts are the caller's. */
static void node_copy(PairNode *to, unsigned to_at, const PairNode *from, unsigned from_at, unsigned n) {
    memmove(to->a + to_at, from->a + from_at, n * sizeof to->a[0]);
    memmove(to->b + to_at, from->b + from_at, n * sizeof to->b[0]);
    memmove((void *) (to->to + to_at), (const void *) (from->to + from_at), n * sizeof to->to[0]);
}

static void node_take(PairNode *node, unsigned at) {
    node_copy(node, at, node, at + 1, node->n - at - 1);
    node->n--;
}

static Pair node_pair(const PairNode *node, unsigned at) {
    return (Pair){ node->a[at], node->b[at], node->to[at] };
}

/* Calls itself as deep as the tree is high. NOLINTNEXTLINE(misc-no-recursion) */
static void node_free(PairNode *node, unsigned height) {
    for (unsigned i = 0; height > 0 && i < node->n; i++)
        node_free(node->to[i], height - 1);
    g_free(node);
}

/* ---- the tree ---- */

PairTree *pair_tree_new(void) {
    PairTree *tree = g_new0(PairTree, 1);

    tree->root = g_new0(PairNode, 1);
    return tree;
}

void pair_tree_free(PairTree *tree) {
    if (!tree)
        return;
    node_free(tree->root, tree->height);
    g_free(tree);
}

size_t pair_tree_count(const PairTree *tree) {
    return tree->count;
}

void pair_tree_seek(const PairTree *tree, uint64_t a, uint64_t b, PairPlace *ret_place) {
    PairNode *node = tree->root;

    for (unsigned level = tree->height; level > 0; level--) {
        unsigned at = node_rank(node, 1, a, b, true) - 1;

        ret_place->node[level] = node;
        ret_place->at[level] = at;
        node = node->to[at];
        /* Of a large tree the leaf is in no cache: all lines that the search may ask for at once, not one by one. */
        for (unsigned i = 0; i < FANOUT; i += CACHE_LINE / sizeof node->a[0])
            __builtin_prefetch(&node->a[i]);
    }
    ret_place->node[0] = node;
    ret_place->at[0] = node_rank(node, 0, a, b, false);
}

bool pair_place_get(const PairPlace *place, Pair *ret_pair) {
    const PairNode *leaf = place->node[0];
    unsigned at = place->at[0];

    if (at == leaf->n) {
        leaf = leaf->after; /* never an empty one: only a root may be */
        at = 0;
    }
    if (!leaf)
        return false;
    *ret_pair = node_pair(leaf, at);
    return true;
}

bool pair_place_before(const PairPlace *place, Pair *ret_pair) {
    const PairNode *leaf = place->node[0];
    unsigned at = place->at[0];

    if (at == 0) {
        leaf = leaf->before;
        at = leaf ? leaf->n : 0;
    }
    if (!leaf)
        return false;
    *ret_pair = node_pair(leaf, at - 1);
    return true;
}

void pair_place_step(PairPlace *place) {
    const PairNode *leaf = place->node[0];

    if (place->at[0] == leaf->n) {
        g_assert(leaf->after);
        place->node[0] = leaf->after;
        place->at[0] = 0;
    }
    place->at[0]++;
}

/* How many pairs a full node keeps when one more belongs at `at`. Where pairs come in ascending order, at the tree's end
 * or up to one that was there before, full nodes are left behind. */
static unsigned split_point(unsigned at, bool is_leaf, bool is_last) {
    if (is_leaf)
        return at >= FANOUT - 1 ? at : FANOUT / 2;
    return at == FANOUT && is_last ? FANOUT - 1 : FANOUT / 2; /* an inner node has two children at least */
}

/* Splits a full node for a pair that belongs at `at`; returns the new node behind it, of which the caller tells the
 * level above. is_last: of its level. */
static PairNode *node_split(PairNode *node, unsigned at, Pair pair, bool is_leaf, bool is_last) {
    PairNode *right = g_new(PairNode, 1);
    unsigned keep = split_point(at, is_leaf, is_last);

    right->n = FANOUT - keep;
    node_copy(right, 0, node, keep, right->n);
    node->n = keep;
    right->before = right->after = NULL;
    if (is_leaf) {
        right->before = node;
        right->after = node->after;
        if (node->after)
            node->after->before = right;
        node->after = right;
    }
    if (at < keep)
        node_put(node, at, pair);
    else
        node_put(right, at - keep, pair);
    return right;
}

void pair_tree_insert(PairTree *tree, const PairPlace *place, Pair pair) {
    bool is_last = !place->node[0]->after;

    tree->count++;
    for (unsigned level = 0; level <= tree->height; level++) {
        PairNode *node = place->node[level];
        unsigned at = level == 0 ? place->at[0] : place->at[level] + 1;

        if (node->n < FANOUT) {
            node_put(node, at, pair);
            return;
        }
        PairNode *right = node_split(node, at, pair, level == 0, is_last);
        pair = (Pair){ right->a[0], right->b[0], right };
    }

    PairNode *root = g_new0(PairNode, 1);
    node_put(root, 0, (Pair){ 0, 0, tree->root });
    node_put(root, 1, pair);
    tree->root = root;
    tree->height++;
    g_assert(tree->height < PAIR_TREE_LEVELS);
}

/* Of two neighbours below parent one has too few: makes one of both, or shares evenly. */
static void nodes_even_out(PairNode *parent, unsigned left_at, bool is_leaf) {
    PairNode *left = parent->to[left_at], *right = parent->to[left_at + 1];
    unsigned n = left->n + right->n, share = n <= FANOUT ? n : n / 2;

    if (!is_leaf) {
        right->a[0] = parent->a[left_at + 1]; /* it will no longer be the first, whose bound does not count */
        right->b[0] = parent->b[left_at + 1];
    }
    if (share >= left->n) {
        unsigned moved = share - left->n;

        node_copy(left, left->n, right, 0, moved);
        node_copy(right, 0, right, moved, right->n - moved);
    } else {
        unsigned moved = left->n - share;

        node_copy(right, moved, right, 0, right->n);
        node_copy(right, 0, left, share, moved);
    }
    left->n = share;
    right->n = n - share;
    if (right->n > 0) {
        parent->a[left_at + 1] = right->a[0];
        parent->b[left_at + 1] = right->b[0];
        return;
    }
    if (is_leaf) {
        left->after = right->after;
        if (right->after)
            right->after->before = left;
    }
    node_take(parent, left_at + 1);
    g_free(right);
}

void pair_tree_remove(PairTree *tree, const PairPlace *place) {
    g_assert(place->at[0] < place->node[0]->n); /* the search for a pair that is there ends in its leaf */
    tree->count--;
    node_take(place->node[0], place->at[0]);
    for (unsigned level = 0; level < tree->height && place->node[level]->n < FILL_MIN; level++) {
        unsigned at = place->at[level + 1];

        nodes_even_out(place->node[level + 1], at > 0 ? at - 1 : at, level == 0);
    }
    while (tree->height > 0 && tree->root->n == 1) {
        PairNode *old = tree->root;

        tree->root = old->to[0];
        tree->height--;
        g_free(old);
    }
}

/* ---- for tests ---- */

typedef struct {
    const PairTree *tree;
    const PairNode *leaf; /* the last one seen */
    size_t leaves;
    size_t count;
} Check;

static bool is_below(uint64_t a, uint64_t b, uint64_t other_a, uint64_t other_b) {
    return a < other_a || (a == other_a && b < other_b);
}

/* Pairs of node are in order, at least low and, if there is a high, below it. */
static void check_order(const PairNode *node, unsigned first, const Pair *low, const Pair *high) {
    for (unsigned i = first; i < node->n; i++) {
        g_assert(!low || !is_below(node->a[i], node->b[i], low->a, low->b));
        g_assert(!high || is_below(node->a[i], node->b[i], high->a, high->b));
        g_assert(i == first || is_below(node->a[i - 1], node->b[i - 1], node->a[i], node->b[i]));
    }
}

static void check_leaf(Check *check, const PairNode *leaf) {
    g_assert(leaf->n > 0 || leaf == check->tree->root);
    g_assert(leaf->before == check->leaf && (!check->leaf || check->leaf->after == leaf));
    check->leaf = leaf;
    check->leaves++;
    check->count += leaf->n;
}

/* is_last: of its level. Calls itself as deep as the tree is high. NOLINTNEXTLINE(misc-no-recursion) */
static void check_node(Check *check, const PairNode *node, unsigned height, const Pair *low, const Pair *high,
                       bool is_last) {
    g_assert(node->n <= FANOUT);
    check_order(node, height == 0 ? 0 : 1, low, high);
    if (height == 0) {
        check_leaf(check, node);
        return;
    }
    g_assert(node->n >= FILL_MIN || (node->n >= 2 && (node == check->tree->root || is_last)));
    for (unsigned i = 0; i < node->n; i++) {
        Pair from = node_pair(node, i), to = i + 1 < node->n ? node_pair(node, i + 1) : (Pair){ 0, 0, NULL };

        check_node(check, node->to[i], height - 1, i > 0 ? &from : low, i + 1 < node->n ? &to : high,
                   is_last && i + 1 == node->n);
    }
}

void pair_tree_check(const PairTree *tree) {
    Check check = { .tree = tree };

    check_node(&check, tree->root, tree->height, NULL, NULL, true);
    g_assert(!check.leaf->after);
    g_assert(check.count == tree->count);
    /* One by one they may be small, next to one that was full. */
    g_assert(check.leaves <= 2 + tree->count / (FILL_MIN / 2));
}
