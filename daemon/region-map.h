/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * An ordered set of disjoint extents inside one window of frames, with its complement (the free gaps).
 * Promises: true interval overlap, no wrap for any input, O(log n) reserve / release / overlap / first gap / best gap.
 * Pure: no I/O, no allocation per extent (the entries live in their owner's structs). Not thread-safe.
 */
#pragma once

#include "proto/types.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct RegionMap RegionMap;

/* Embedded in whatever occupies the extent. Zero-filled = not in a map. The members are private to region-map.c,
 * except that an owner may read `range` while the entry is in a map. */
typedef struct RegionMapEntry RegionMapEntry;
struct RegionMapEntry {
    FrameRange range;
    uint64_t gap_before : 60;  /* free frames between the previous entry (or the window's start) and this one */
    uint64_t tilt_address : 2; /* balance of the two trees: which side is one level deeper */
    uint64_t tilt_gap : 2;
    uint64_t max_gap; /* largest gap_before in this entry's subtree of the address tree */
    RegionMapEntry *by_address[2];
    RegionMapEntry *by_gap[2];
};

/* The window may be empty, must not be reversed, and has less than 2^60 frames. */
RegionMap *region_map_new(FrameRange window);
/* Asserts that the map is empty: whoever owns the entries takes them out first. NULL is fine. */
void region_map_free(RegionMap *map);

FrameRange region_map_window(const RegionMap *map);
size_t region_map_count(const RegionMap *map);
uint64_t region_map_used_frames(const RegionMap *map);
uint64_t region_map_free_frames(const RegionMap *map);
uint64_t region_map_largest_gap(const RegionMap *map); /* frames */

/* Puts entry in at range. false (and nothing changed) when range is empty or reversed, leaves the window or
 * overlaps. */
bool region_map_reserve(RegionMap *map, RegionMapEntry *entry, FrameRange range);
/* Takes the entry out; it must be in this map. */
void region_map_release(RegionMap *map, RegionMapEntry *entry);

/* The lowest entry that overlaps range, or NULL. Any range, also one outside of the window, empty or reversed
 * (NULL). */
RegionMapEntry *region_map_find_overlap(const RegionMap *map, FrameRange range);
RegionMapEntry *region_map_first(const RegionMap *map);
/* The entry after this one in address order, or NULL. O(log n). */
RegionMapEntry *region_map_next(const RegionMap *map, const RegionMapEntry *entry);

/*
 * The smallest gap in which `frames` fit with (start - base) a multiple of `align` frames (align >= 1; base is where
 * the multiples are counted from, at most window.start); of equal gaps the lowest. Placed at the lowest aligned address
 * in it. false: nothing fits.
 */
bool region_map_best_fit(const RegionMap *map, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range);
/* The same for the lowest address at which it fits. */
bool region_map_first_fit(const RegionMap *map, uint64_t frames, uint64_t align, uint64_t base, FrameRange *ret_range);
/* The free gap that holds range whole, or false. */
bool region_map_gap_around(const RegionMap *map, FrameRange range, FrameRange *ret_gap);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionMap, region_map_free)
