/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-placement.h"

#include "proto/error.h"

#include <inttypes.h>
#include <stdlib.h>

#define STEP_BASE (UINT64_C(2) << 20) /* bytes: what struct pages of device-dax and the start of a map need on x86 */

uint64_t backend_ndctl_placement_step(unsigned ways) {
    /* The share of each DIMM must be a power of two, so only the odd part of the number of ways makes the step larger.
     */
    while (ways > 1 && ways % 2 == 0)
        ways /= 2;
    return STEP_BASE * MAX(ways, 1);
}

static int compare_ranges(const void *a, const void *b) {
    const FrameRange *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

/* [start, end) rounded inwards to align, counted from base; empty when nothing is left. */
static FrameRange round_inwards(uint64_t base, uint64_t align, uint64_t start, uint64_t end) {
    uint64_t first = (start - base + align - 1) / align * align;
    uint64_t last = (end - base) / align * align;

    return first < last ? (FrameRange){ base + first, base + last } : (FrameRange){ base, base };
}

/* The free holes of the region as the kernel's allocator sees them, ascending. */
static GArray *find_holes(FrameRange region, uint64_t align, const FrameRange *occupied, size_t n_occupied) {
    g_autofree FrameRange *sorted = g_memdup2(occupied, n_occupied * sizeof *occupied);
    GArray *holes = g_array_new(FALSE, FALSE, sizeof(FrameRange));
    uint64_t position = region.start;

    if (n_occupied > 0)
        qsort(sorted, n_occupied, sizeof *sorted, compare_ranges);
    for (size_t i = 0; i <= n_occupied; i++) {
        uint64_t end = i < n_occupied ? CLAMP(sorted[i].start, region.start, region.end) : region.end;

        if (end > position) {
            FrameRange hole = round_inwards(region.start, align, position, end);

            if (hole.start < hole.end)
                g_array_append_val(holes, hole);
        }
        if (i < n_occupied)
            position = MAX(position, MIN(sorted[i].end, region.end));
    }
    return holes;
}

GArray *backend_ndctl_placement_plan(FrameRange region, uint64_t align, const FrameRange *occupied, size_t n_occupied,
                                     FrameRange target, GError **error) {
    g_assert(align > 0);

    if (target.start >= target.end || !frame_range_contains(region, target) ||
        (target.start - region.start) % align != 0 || frame_range_frames(target) % align != 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "device range 0x%" PRIx64 " - 0x%" PRIx64 " must lie in 0x%" PRIx64 " - 0x%" PRIx64
                    ", its offset there and its size multiples of 0x%" PRIx64 " frames",
                    target.start, target.end, region.start, region.end, align);
        return NULL;
    }

    g_autoptr(GArray) holes = find_holes(region, align, occupied, n_occupied);
    guint own = 0;
    while (own < holes->len && !frame_range_contains(g_array_index(holes, FrameRange, own), target))
        own++;
    if (own == holes->len) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "device range 0x%" PRIx64 " - 0x%" PRIx64 " is occupied in part", target.start, target.end);
        return NULL;
    }

    /* Both the lead's filler and the target must skip every lower hole: fill those that either would fit into. A filler
     * is as large as its hole, and all lower holes of that size are full by then, so it can go nowhere else. */
    uint64_t lead = target.start - g_array_index(holes, FrameRange, own).start;
    uint64_t least = frame_range_frames(target);
    if (lead > 0)
        least = MIN(least, lead);

    GArray *fillers = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (guint i = 0; i < own; i++) {
        uint64_t frames = frame_range_frames(g_array_index(holes, FrameRange, i));

        if (frames >= least)
            g_array_append_val(fillers, frames);
    }
    if (lead > 0)
        g_array_append_val(fillers, lead);
    return fillers;
}
