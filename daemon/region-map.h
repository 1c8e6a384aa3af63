/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * An ordered set of disjoint extents inside one window of frames, with its complement (the free gaps).
 * Promises: true interval overlap, no wrap for any input, O(log n) reserve / release / overlap / best gap.
 * Pure: no I/O. Not thread-safe.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct RegionMap RegionMap;

/* Embedded in whatever occupies the extent. Zero-filled = not in a map. Written by region-map alone. */
typedef struct {
    FrameRange range;
} RegionMapEntry;

/* The window may be empty, must not be reversed. */
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

/* Takes all entries out and gives them (RegionMapEntry *) by address. Each keeps its range, until it is reserved again. */
GPtrArray *region_map_take_all(RegionMap *map);

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
/* The free gap that holds range whole, or false. */
bool region_map_gap_around(const RegionMap *map, FrameRange range, FrameRange *ret_gap);

/* Asserts what must hold between extents and gaps: for tests. O(n log n). */
void region_map_check(const RegionMap *map);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionMap, region_map_free)
