/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Two trees of pairs. The extents are (start, end) with the entry as their value: overlap and walks look at the tree
 * alone, never at the structs of the owners, which are all over the memory. The gaps are (frames, start): best fit and
 * the largest gap. The second tree is built when it is first asked for and kept up from then on, so that a replay of a
 * million extents pays for one tree only.
 */
#include "daemon/region-map.h"

#include "daemon/pair-tree.h"

typedef struct {
    PairTree *tree; /* NULL: never asked for */
} GapIndex;

struct RegionMap {
    FrameRange window;
    PairTree *extents;
    GapIndex *gaps; /* apart from the map, because the first best fit on a const map builds it */
    uint64_t used;
};

static bool range_is_empty(FrameRange range) {
    return range.start >= range.end;
}

static FrameRange pair_range(Pair pair) {
    return (FrameRange){ pair.a, pair.b };
}

/* The free frames between the pair before this place, or the window's start, and the one at it, or the window's end. */
static FrameRange gap_before(const RegionMap *map, const PairPlace *place) {
    Pair before, after;

    return (FrameRange){
        pair_place_before(place, &before) ? before.b : map->window.start,
        pair_place_get(place, &after) ? after.a : map->window.end,
    };
}

/* ---- the gaps ---- */

static void gap_insert(const GapIndex *gaps, FrameRange gap) {
    PairPlace place;

    if (!gaps->tree || range_is_empty(gap))
        return;
    pair_tree_seek(gaps->tree, frame_range_frames(gap), gap.start, &place);
    pair_tree_insert(gaps->tree, &place, (Pair){ frame_range_frames(gap), gap.start, NULL });
}

static void gap_remove(const GapIndex *gaps, FrameRange gap) {
    PairPlace place;

    if (!gaps->tree || range_is_empty(gap))
        return;
    pair_tree_seek(gaps->tree, frame_range_frames(gap), gap.start, &place);
    pair_tree_remove(gaps->tree, &place);
}

static const PairTree *gaps_of(const RegionMap *map) {
    uint64_t from = map->window.start;
    PairPlace place;

    if (map->gaps->tree)
        return map->gaps->tree;
    map->gaps->tree = pair_tree_new();
    pair_tree_seek(map->extents, 0, 0, &place);
    for (Pair pair; pair_place_get(&place, &pair); pair_place_step(&place)) {
        gap_insert(map->gaps, (FrameRange){ from, pair.a });
        from = pair.b;
    }
    gap_insert(map->gaps, (FrameRange){ from, map->window.end });
    return map->gaps->tree;
}

/* ---- the map ---- */

RegionMap *region_map_new(FrameRange window) {
    g_assert(window.start <= window.end);

    RegionMap *map = g_new0(RegionMap, 1);
    map->window = window;
    map->extents = pair_tree_new();
    map->gaps = g_new0(GapIndex, 1);
    return map;
}

void region_map_free(RegionMap *map) {
    if (!map)
        return;
    g_assert(region_map_count(map) == 0);
    pair_tree_free(map->extents);
    pair_tree_free(map->gaps->tree);
    g_free(map->gaps);
    g_free(map);
}

FrameRange region_map_window(const RegionMap *map) {
    return map->window;
}

size_t region_map_count(const RegionMap *map) {
    return pair_tree_count(map->extents);
}

uint64_t region_map_used_frames(const RegionMap *map) {
    return map->used;
}

uint64_t region_map_free_frames(const RegionMap *map) {
    return frame_range_frames(map->window) - map->used;
}

uint64_t region_map_largest_gap(const RegionMap *map) {
    PairPlace place;
    Pair largest;

    pair_tree_seek(gaps_of(map), UINT64_MAX, UINT64_MAX, &place);
    return pair_place_before(&place, &largest) ? largest.a : 0;
}

bool region_map_reserve(RegionMap *map, RegionMapEntry *entry, FrameRange range) {
    PairPlace place;

    if (range_is_empty(range) || !frame_range_contains(map->window, range))
        return false;
    /* The place of this very pair: that of (start, 0) may be in another leaf. */
    pair_tree_seek(map->extents, range.start, range.end, &place);
    FrameRange gap = gap_before(map, &place);
    if (gap.start > range.start || gap.end < range.end)
        return false;

    pair_tree_insert(map->extents, &place, (Pair){ range.start, range.end, entry });
    gap_remove(map->gaps, gap);
    gap_insert(map->gaps, (FrameRange){ gap.start, range.start });
    gap_insert(map->gaps, (FrameRange){ range.end, gap.end });
    entry->range = range;
    map->used += frame_range_frames(range);
    return true;
}

void region_map_release(RegionMap *map, RegionMapEntry *entry) {
    FrameRange range = entry->range;
    PairPlace place;
    Pair pair;

    pair_tree_seek(map->extents, range.start, range.end, &place);
    g_assert(pair_place_get(&place, &pair) && pair.value == entry);
    pair_tree_remove(map->extents, &place);
    map->used -= frame_range_frames(range);
    *entry = (RegionMapEntry){ 0 };

    if (!map->gaps->tree)
        return;
    pair_tree_seek(map->extents, range.start, 0, &place);
    FrameRange gap = gap_before(map, &place);
    gap_remove(map->gaps, (FrameRange){ gap.start, range.start });
    gap_remove(map->gaps, (FrameRange){ range.end, gap.end });
    gap_insert(map->gaps, gap);
}

GPtrArray *region_map_take_all(RegionMap *map) {
    GPtrArray *entries = g_ptr_array_sized_new((guint) region_map_count(map));
    PairPlace place;

    pair_tree_seek(map->extents, 0, 0, &place);
    for (Pair pair; pair_place_get(&place, &pair); pair_place_step(&place))
        g_ptr_array_add(entries, pair.value);
    pair_tree_free(map->extents);
    map->extents = pair_tree_new();
    g_clear_pointer(&map->gaps->tree, pair_tree_free);
    map->used = 0;
    return entries;
}

RegionMapEntry *region_map_find_overlap(const RegionMap *map, FrameRange range) {
    PairPlace place;
    Pair pair;

    if (range_is_empty(range))
        return NULL;
    pair_tree_seek(map->extents, range.start, 0, &place);
    if (pair_place_before(&place, &pair) && pair.b > range.start)
        return pair.value;
    return pair_place_get(&place, &pair) && pair.a < range.end ? pair.value : NULL;
}

RegionMapEntry *region_map_first(const RegionMap *map) {
    PairPlace place;
    Pair pair;

    pair_tree_seek(map->extents, 0, 0, &place);
    return pair_place_get(&place, &pair) ? pair.value : NULL;
}

RegionMapEntry *region_map_next(const RegionMap *map, const RegionMapEntry *entry) {
    PairPlace place;
    Pair pair;

    pair_tree_seek(map->extents, entry->range.end, 0, &place);
    return pair_place_get(&place, &pair) ? pair.value : NULL;
}

/* Places frames in gap at its lowest aligned address. */
static bool place_in(FrameRange gap, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range) {
    uint64_t past = (gap.start - base) % align;
    uint64_t pad = past == 0 ? 0 : align - past;

    if (frame_range_frames(gap) < frames || frame_range_frames(gap) - frames < pad)
        return false;
    *ret_range = (FrameRange){ gap.start + pad, gap.start + pad + frames };
    return true;
}

bool region_map_best_fit(const RegionMap *map, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range) {
    PairPlace place;

    g_assert(align >= 1 && base <= map->window.start);
    if (frames == 0)
        return false;
    pair_tree_seek(gaps_of(map), frames, 0, &place);
    /* A gap of frames + align - 1 always fits: more than one is looked at only for the odd ones below that. */
    for (Pair gap; pair_place_get(&place, &gap); pair_place_step(&place))
        if (place_in((FrameRange){ gap.b, gap.b + gap.a }, frames, align, base, ret_range))
            return true;
    return false;
}

bool region_map_gap_around(const RegionMap *map, FrameRange range, FrameRange *ret_gap) {
    PairPlace place;

    if (range_is_empty(range) || !frame_range_contains(map->window, range))
        return false;
    pair_tree_seek(map->extents, range.start, 0, &place);
    FrameRange gap = gap_before(map, &place);
    if (!frame_range_contains(gap, range))
        return false;
    *ret_gap = gap;
    return true;
}

static void check_gap(const PairTree *gaps, FrameRange gap) {
    PairPlace at;
    Pair found;

    pair_tree_seek(gaps, frame_range_frames(gap), gap.start, &at);
    g_assert(pair_place_get(&at, &found));
    g_assert(found.a == frame_range_frames(gap) && found.b == gap.start);
}

void region_map_check(const RegionMap *map) {
    uint64_t from = map->window.start, used = 0, gaps = 0;
    PairPlace place;

    pair_tree_check(map->extents);
    if (map->gaps->tree)
        pair_tree_check(map->gaps->tree);
    pair_tree_seek(map->extents, 0, 0, &place);
    for (bool more = true; more;) {
        Pair pair = { map->window.end, map->window.end, NULL };

        more = pair_place_get(&place, &pair);
        g_assert(pair.a >= from && pair.b >= pair.a && pair.b <= map->window.end);
        g_assert(!more || frame_range_equal(((const RegionMapEntry *) pair.value)->range, pair_range(pair)));
        if (pair.a > from && map->gaps->tree)
            check_gap(map->gaps->tree, (FrameRange){ from, pair.a });
        gaps += pair.a > from;
        used += pair.b - pair.a;
        from = pair.b;
        if (more)
            pair_place_step(&place);
    }
    g_assert(used == map->used);
    g_assert(!map->gaps->tree || pair_tree_count(map->gaps->tree) == gaps);
}
