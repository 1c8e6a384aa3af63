/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * How to make the kernel put a namespace at one exact address. The kernel has no such request: it takes the lowest hole
 * that is large enough. So every hole that it would prefer is filled with a namespace of our own for the moment
 * ("filler"). Pure: computes the fillers' sizes, does nothing. For backend-ndctl only.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

/*
 * The fillers (GArray of uint64_t: frames), in the order in which they must be made, so that the next namespace of
 * target's size lands at target. region: the raw region; align: frames, the region's align (both ends of every hole are
 * rounded inwards to a multiple of it, counted from the region's start, as the kernel does); occupied: what lies in the
 * region, in any order. Errors: INVALID_ARGUMENT when target is empty, not in the region or not aligned; BUSY when
 * something occupies a part of it.
 */
GArray *backend_ndctl_placement_plan(FrameRange region, uint64_t align, const FrameRange *occupied, size_t n_occupied,
                                     FrameRange target, GError **error);

/* The least step in bytes of offsets and sizes in a region interleaved over `ways` DIMMs: 2 MiB for 1, 2, 4, 8; 6 MiB
 * for 3, 6. */
uint64_t backend_ndctl_placement_step(unsigned ways);
