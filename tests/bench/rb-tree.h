/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A peer of the benchmark of region-map: an intrusive red-black tree of disjoint extents, and nothing else: no gaps, no
 * window, no best fit. What an extent map costs at least.
 */
#pragma once

#include "proto/types.h"

typedef struct RbNode RbNode;
struct RbNode {
    FrameRange range;
    RbNode *child[2];
    RbNode *parent;
    bool red;
};

typedef struct {
    RbNode *root;
} RbTree;

/* Puts node in at range in one descent; false when it overlaps. */
bool rb_insert(RbTree *tree, RbNode *node, FrameRange range);
