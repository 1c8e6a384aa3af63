/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Two AVL trees over the same entries, without parent pointers; whoever changes a tree keeps the path it walked.
 *
 * By address, each node with the largest gap of its subtree: overlap, first fit and the largest gap. A gap belongs to
 * the entry that ends it; the last one to a sentinel entry at the window's end, which is in the tree as all the others,
 * so that there is no special case but "do not show the sentinel to callers".
 *
 * By (gap, address), only entries that have a gap: best fit. This tree is built by the first best fit that is asked for
 * and kept up from then on, so that a replay of a million extents pays for one tree only.
 */
#include "daemon/region-map.h"

#define DEPTH_MAX 96 /* an AVL tree of 2^64 nodes is not deeper */
#define GAP_LIMIT (UINT64_C(1) << 60)

G_STATIC_ASSERT(sizeof(RegionMapEntry) <= 64);

typedef enum {
    BY_ADDRESS,
    BY_GAP,
} Order;

/* tilt: EVEN, or DEEPER(side) for the side (0 left, 1 right) that is one level deeper than the other. */
#define EVEN 0U
#define DEEPER(side) ((unsigned) (side) + 1U)

typedef struct {
    RegionMapEntry *root;
    bool kept; /* false: never asked for, so nothing is in it */
} GapIndex;

struct RegionMap {
    FrameRange window;
    RegionMapEntry *root; /* by address; never NULL: the sentinel is in it */
    GapIndex *gaps;       /* apart from the map, because the first best fit on a const map builds it */
    size_t count;         /* without the sentinel */
    uint64_t used;
    RegionMapEntry sentinel;
};

/* The nodes from the root to a place in the tree, and to which side each was left. */
typedef struct {
    RegionMapEntry *node[DEPTH_MAX];
    unsigned side[DEPTH_MAX];
    unsigned n;
} Path;

/* All functions on trees are inlined with a constant order, so that each tree has code of its own. */

static G_ALWAYS_INLINE inline RegionMapEntry **links(RegionMapEntry *entry, Order order) {
    return order == BY_ADDRESS ? entry->by_address : entry->by_gap;
}

static G_ALWAYS_INLINE inline unsigned tilt(const RegionMapEntry *entry, Order order) {
    return order == BY_ADDRESS ? entry->tilt_address : entry->tilt_gap;
}

static G_ALWAYS_INLINE inline void set_tilt(RegionMapEntry *entry, Order order, unsigned value) {
    if (order == BY_ADDRESS)
        entry->tilt_address = value & 3U;
    else
        entry->tilt_gap = value & 3U;
}

static G_ALWAYS_INLINE inline void path_push(Path *path, RegionMapEntry *node, unsigned side) {
    path->node[path->n] = node;
    path->side[path->n] = side;
    path->n++;
}

/* What points to the place at the end of the first n steps. */
static G_ALWAYS_INLINE inline RegionMapEntry **path_slot(const Path *path, unsigned n, RegionMapEntry **root,
                                                         Order order) {
    return n == 0 ? root : &links(path->node[n - 1], order)[path->side[n - 1]];
}

static void update_max_gap(RegionMapEntry *entry) {
    uint64_t max = entry->gap_before;

    for (int i = 0; i < 2; i++)
        if (entry->by_address[i] && entry->by_address[i]->max_gap > max)
            max = entry->by_address[i]->max_gap;
    entry->max_gap = max;
}

/* Rotates the child on the deeper side (two levels deeper than the other) to the top. Returns the new top. */
static G_ALWAYS_INLINE inline RegionMapEntry *rotate(RegionMapEntry *top, unsigned side, Order order) {
    RegionMapEntry *child = links(top, order)[side];
    RegionMapEntry *new_top;
    uint64_t max_gap = top->max_gap;

    if (tilt(child, order) == DEEPER(!side)) {
        new_top = links(child, order)[!side];
        links(child, order)[!side] = links(new_top, order)[side];
        links(top, order)[side] = links(new_top, order)[!side];
        links(new_top, order)[side] = child;
        links(new_top, order)[!side] = top;
        set_tilt(top, order, tilt(new_top, order) == DEEPER(side) ? DEEPER(!side) : EVEN);
        set_tilt(child, order, tilt(new_top, order) == DEEPER(!side) ? DEEPER(side) : EVEN);
        set_tilt(new_top, order, EVEN);
        if (order == BY_ADDRESS)
            update_max_gap(child);
    } else {
        bool was_even = tilt(child, order) == EVEN; /* only after a removal; the height stays then */

        new_top = child;
        links(top, order)[side] = links(child, order)[!side];
        links(child, order)[!side] = top;
        set_tilt(top, order, was_even ? DEEPER(side) : EVEN);
        set_tilt(child, order, was_even ? DEEPER(!side) : EVEN);
    }
    if (order == BY_ADDRESS) {
        update_max_gap(top);
        new_top->max_gap = max_gap; /* the same entries are below it as were below the old top */
    }
    return new_top;
}

/* A leaf was linked in at the end of path. */
static G_ALWAYS_INLINE inline void rebalance_grown(const Path *path, RegionMapEntry **root, Order order) {
    for (unsigned i = path->n; i-- > 0;) {
        RegionMapEntry *node = path->node[i];
        unsigned side = path->side[i];

        if (tilt(node, order) == EVEN) {
            set_tilt(node, order, DEEPER(side));
            continue;
        }
        if (tilt(node, order) == DEEPER(side))
            *path_slot(path, i, root, order) = rotate(node, side, order);
        else
            set_tilt(node, order, EVEN);
        return;
    }
}

/* The subtree at the end of path became one level lower. */
static G_ALWAYS_INLINE inline void rebalance_shrunk(const Path *path, RegionMapEntry **root, Order order) {
    for (unsigned i = path->n; i-- > 0;) {
        RegionMapEntry *node = path->node[i];
        unsigned side = path->side[i];

        if (tilt(node, order) == EVEN) {
            set_tilt(node, order, DEEPER(!side));
            return;
        }
        if (tilt(node, order) == DEEPER(side)) {
            set_tilt(node, order, EVEN);
            continue;
        }

        bool was_even = tilt(links(node, order)[!side], order) == EVEN;
        *path_slot(path, i, root, order) = rotate(node, !side, order);
        if (was_even)
            return;
    }
}

/*
 * Unlinks the entry at the end of path without rebalancing. With a right child the entry's successor takes its place.
 * path then leads to the place that became one level lower. Returns the path's index of the successor that moved, or
 * path->n when none did.
 */
static G_ALWAYS_INLINE inline unsigned unlink_entry(Path *path, RegionMapEntry **root, RegionMapEntry *entry,
                                                    Order order) {
    unsigned level = path->n;
    RegionMapEntry **slot = path_slot(path, level, root, order);
    RegionMapEntry *successor = links(entry, order)[1];

    if (!successor) {
        *slot = links(entry, order)[0];
        return path->n;
    }

    path_push(path, NULL, 1);
    while (links(successor, order)[0]) {
        path_push(path, successor, 0);
        successor = links(successor, order)[0];
    }
    /* Left below this point of the path: the successor's own right child. */
    if (path->n > level + 1)
        links(path->node[path->n - 1], order)[0] = links(successor, order)[1];
    else
        links(entry, order)[1] = links(successor, order)[1];
    links(successor, order)[0] = links(entry, order)[0];
    links(successor, order)[1] = links(entry, order)[1];
    set_tilt(successor, order, tilt(entry, order));
    path->node[level] = successor;
    *slot = successor;
    return level;
}

/* ---- the tree by gap ---- */

static bool gap_less(const RegionMapEntry *a, const RegionMapEntry *b) {
    if (a->gap_before != b->gap_before)
        return a->gap_before < b->gap_before;
    return a->range.start < b->range.start;
}

static void gap_insert(GapIndex *gaps, RegionMapEntry *entry) {
    Path path;

    if (!gaps->kept || entry->gap_before == 0)
        return;
    path.n = 0;
    for (RegionMapEntry *node = gaps->root; node;) {
        unsigned side = gap_less(node, entry);

        path_push(&path, node, side);
        node = node->by_gap[side];
    }
    entry->by_gap[0] = entry->by_gap[1] = NULL;
    entry->tilt_gap = EVEN;
    *path_slot(&path, path.n, &gaps->root, BY_GAP) = entry;
    rebalance_grown(&path, &gaps->root, BY_GAP);
}

static void gap_remove(GapIndex *gaps, RegionMapEntry *entry) {
    Path path;

    if (!gaps->kept || entry->gap_before == 0)
        return;
    path.n = 0;
    for (RegionMapEntry *node = gaps->root; node != entry;) {
        g_assert(node);
        unsigned side = gap_less(node, entry);

        path_push(&path, node, side);
        node = node->by_gap[side];
    }
    unlink_entry(&path, &gaps->root, entry, BY_GAP);
    rebalance_shrunk(&path, &gaps->root, BY_GAP);
}

static void gap_index_build(const RegionMap *map) {
    Path path;

    map->gaps->kept = true;
    path.n = 0;
    for (RegionMapEntry *node = map->root; node || path.n > 0;) {
        for (; node; node = node->by_address[0])
            path_push(&path, node, 0);
        node = path.node[--path.n];
        gap_insert(map->gaps, node);
        node = node->by_address[1];
    }
}

/* ---- the map ---- */

static bool range_is_empty(FrameRange range) {
    return range.start >= range.end;
}

static FrameRange entry_gap(const RegionMapEntry *entry) {
    return (FrameRange){ entry->range.start - entry->gap_before, entry->range.start };
}

/* The first entry (the sentinel, too) that ends after frame; NULL: frame is past the window. */
static RegionMapEntry *first_ending_after(const RegionMap *map, uint64_t frame) {
    RegionMapEntry *found = NULL;

    for (RegionMapEntry *node = map->root; node;) {
        bool right = frame >= node->range.end;

        found = right ? found : node;
        node = node->by_address[right];
    }
    return found;
}

static RegionMapEntry *not_sentinel(const RegionMap *map, RegionMapEntry *entry) {
    return entry == &map->sentinel ? NULL : entry;
}

RegionMap *region_map_new(FrameRange window) {
    g_assert(window.start <= window.end);
    g_assert(frame_range_frames(window) < GAP_LIMIT);

    RegionMap *map = g_new0(RegionMap, 1);
    map->window = window;
    map->gaps = g_new0(GapIndex, 1);
    map->sentinel.range = (FrameRange){ window.end, window.end };
    map->sentinel.gap_before = frame_range_frames(window) & (GAP_LIMIT - 1);
    map->sentinel.max_gap = map->sentinel.gap_before;
    map->root = &map->sentinel;
    return map;
}

void region_map_free(RegionMap *map) {
    if (!map)
        return;
    g_assert(map->count == 0);
    g_free(map->gaps);
    g_free(map);
}

FrameRange region_map_window(const RegionMap *map) {
    return map->window;
}

size_t region_map_count(const RegionMap *map) {
    return map->count;
}

uint64_t region_map_used_frames(const RegionMap *map) {
    return map->used;
}

uint64_t region_map_free_frames(const RegionMap *map) {
    return frame_range_frames(map->window) - map->used;
}

uint64_t region_map_largest_gap(const RegionMap *map) {
    return map->root->max_gap;
}

bool region_map_reserve(RegionMap *map, RegionMapEntry *entry, FrameRange range) {
    RegionMapEntry *after = NULL; /* the entry that ends the gap which range is to be taken from */
    unsigned after_at = 0;
    Path path;

    if (range_is_empty(range) || !frame_range_contains(map->window, range))
        return false;
    path.n = 0;
    for (RegionMapEntry *node = map->root; node;) {
        unsigned side = range.start >= node->range.end;

        if (side == 0) {
            if (node->range.start < range.end)
                return false;
            after = node;
            after_at = path.n;
        }
        path_push(&path, node, side);
        node = node->by_address[side];
    }
    g_assert(after);

    uint64_t old_gap = after->gap_before;
    gap_remove(map->gaps, after);
    *entry = (RegionMapEntry){ .range = range };
    entry->gap_before = (range.start - entry_gap(after).start) & (GAP_LIMIT - 1);
    entry->max_gap = entry->gap_before;
    after->gap_before = (after->range.start - range.end) & (GAP_LIMIT - 1);
    gap_insert(map->gaps, after);
    gap_insert(map->gaps, entry);

    *path_slot(&path, path.n, &map->root, BY_ADDRESS) = entry;
    /* Below `after` the new gap was added. From it up the old gap was replaced by two smaller ones, which matters only
     * as far as it was the largest: this spares the look at the other child on most levels. */
    for (unsigned i = path.n; i-- > after_at + 1;)
        if (path.node[i]->max_gap < entry->gap_before)
            path.node[i]->max_gap = entry->gap_before;
    for (unsigned i = after_at + 1; i-- > 0 && path.node[i]->max_gap == old_gap;)
        update_max_gap(path.node[i]);
    rebalance_grown(&path, &map->root, BY_ADDRESS);

    map->count++;
    map->used += frame_range_frames(range);
    return true;
}

void region_map_release(RegionMap *map, RegionMapEntry *entry) {
    unsigned last_left = 0;
    Path path;

    path.n = 0;
    for (RegionMapEntry *node = map->root; node != entry;) {
        g_assert(node);
        unsigned side = entry->range.start >= node->range.end;

        if (side == 0)
            last_left = path.n;
        path_push(&path, node, side);
        node = node->by_address[side];
    }

    unsigned moved_at = unlink_entry(&path, &map->root, entry, BY_ADDRESS);
    unsigned after_at = moved_at < path.n ? moved_at : last_left;
    g_assert(after_at < path.n);
    RegionMapEntry *after = path.node[after_at]; /* ends the gap that becomes one with the entry and its own gap */

    gap_remove(map->gaps, entry);
    gap_remove(map->gaps, after);
    after->gap_before = (after->gap_before + frame_range_frames(entry->range) + entry->gap_before) & (GAP_LIMIT - 1);
    gap_insert(map->gaps, after);

    /* Below `after` an entry is gone; from it up the new gap is larger than any that is gone. */
    for (unsigned i = path.n; i-- > after_at + 1;)
        update_max_gap(path.node[i]);
    if (moved_at < path.n)
        after->max_gap = entry->max_gap;
    for (unsigned i = after_at + 1; i-- > 0;)
        if (path.node[i]->max_gap < after->gap_before)
            path.node[i]->max_gap = after->gap_before;
    rebalance_shrunk(&path, &map->root, BY_ADDRESS);

    map->count--;
    map->used -= frame_range_frames(entry->range);
    *entry = (RegionMapEntry){ 0 };
}

RegionMapEntry *region_map_find_overlap(const RegionMap *map, FrameRange range) {
    if (range_is_empty(range))
        return NULL;

    RegionMapEntry *entry = not_sentinel(map, first_ending_after(map, range.start));
    return entry && entry->range.start < range.end ? entry : NULL;
}

RegionMapEntry *region_map_first(const RegionMap *map) {
    RegionMapEntry *node = map->root;

    while (node->by_address[0])
        node = node->by_address[0];
    return not_sentinel(map, node);
}

RegionMapEntry *region_map_next(const RegionMap *map, const RegionMapEntry *entry) {
    return not_sentinel(map, first_ending_after(map, entry->range.end));
}

/* Places frames in gap at its lowest aligned address. */
static bool place(FrameRange gap, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range) {
    uint64_t past = (gap.start - base) % align;
    uint64_t pad = past == 0 ? 0 : align - past;

    if (frame_range_frames(gap) < frames || frame_range_frames(gap) - frames < pad)
        return false;
    *ret_range = (FrameRange){ gap.start + pad, gap.start + pad + frames };
    return true;
}

bool region_map_best_fit(const RegionMap *map, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range) {
    Path path; /* only the nodes of at least `frames` that come after the one looked at */

    g_assert(align >= 1 && base <= map->window.start);
    if (frames == 0 || frames > map->root->max_gap)
        return false;
    if (!map->gaps->kept)
        gap_index_build(map);

    path.n = 0;
    for (RegionMapEntry *node = map->gaps->root; node;) {
        bool right = node->gap_before < frames;

        if (!right)
            path_push(&path, node, 0);
        node = node->by_gap[right];
    }
    /* A gap of frames + align - 1 always fits: more than one is looked at only for the odd ones below that. */
    while (path.n > 0) {
        RegionMapEntry *node = path.node[--path.n];

        if (place(entry_gap(node), frames, align, base, ret_range))
            return true;
        for (node = node->by_gap[1]; node; node = node->by_gap[0])
            path_push(&path, node, 0);
    }
    return false;
}

bool region_map_first_fit(const RegionMap *map, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range) {
    RegionMapEntry *node = map->root;
    Path path;

    g_assert(align >= 1 && base <= map->window.start);
    if (frames == 0)
        return false;
    path.n = 0;
    for (;;) {
        for (; node && node->max_gap >= frames; node = node->by_address[0])
            path_push(&path, node, 0);
        if (path.n == 0)
            return false;
        node = path.node[--path.n];
        if (node->gap_before >= frames && place(entry_gap(node), frames, align, base, ret_range))
            return true;
        node = node->by_address[1];
    }
}

bool region_map_gap_around(const RegionMap *map, FrameRange range, FrameRange *ret_gap) {
    if (range_is_empty(range))
        return false;

    RegionMapEntry *entry = first_ending_after(map, range.start);
    if (!entry || !frame_range_contains(entry_gap(entry), range))
        return false;
    *ret_gap = entry_gap(entry);
    return true;
}
