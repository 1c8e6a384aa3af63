/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/bench/rb-tree.h"

/* Turns node's subtree so that node goes down on `side` and its other child comes up. */
static void rotate(RbTree *tree, RbNode *node, int side) {
    RbNode *up = node->child[!side], *parent = node->parent;

    node->child[!side] = up->child[side];
    if (up->child[side])
        up->child[side]->parent = node;
    up->child[side] = node;
    up->parent = parent;
    node->parent = up;
    if (!parent)
        tree->root = up;
    else
        parent->child[parent->child[1] == node] = up;
}

bool rb_insert(RbTree *tree, RbNode *node, FrameRange range) {
    RbNode *parent = NULL, **link = &tree->root;

    /* Disjoint extents: whatever range would overlap is met on the way down. */
    while (*link) {
        parent = *link;
        if (range.end <= parent->range.start)
            link = &parent->child[0];
        else if (range.start >= parent->range.end)
            link = &parent->child[1];
        else
            return false;
    }
    *node = (RbNode){ .range = range, .parent = parent, .red = true };
    *link = node;

    while (node->parent && node->parent->red) {
        RbNode *grand = node->parent->parent;
        int side = grand->child[1] == node->parent;
        RbNode *uncle = grand->child[!side];

        if (uncle && uncle->red) {
            node->parent->red = uncle->red = false;
            grand->red = true;
            node = grand;
            continue;
        }
        if (node == node->parent->child[!side]) {
            node = node->parent;
            rotate(tree, node, side);
        }
        node->parent->red = false;
        grand->red = true;
        rotate(tree, grand, !side);
    }
    tree->root->red = false;
    return true;
}
