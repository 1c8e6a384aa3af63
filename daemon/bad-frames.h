/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Bad frames: frames of a raw region some byte of which cannot be read (poison). A list is a set of frame-set.h. Pure
 * functions over values; no I/O, no state.
 * Promises: a bad byte is always in a listed frame (rounded outwards); a list has at most BAD_FRAMES_MAX extents, and
 * where more is bad, or not all of it is known, the whole raw region is.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

#define BAD_FRAMES_MAX 4096u /* extents of one raw region */
#define BAD_FRAMES_UNIT 512u /* bytes: what the kernel counts bad blocks in */

/* Gathers the bad frames of one raw region. */
typedef struct {
    FrameRange within; /* the raw region: nothing else is taken */
    GArray *extents;   /* FrameRange, as they came */
    bool incomplete;   /* more is bad than is known here */
} BadFrames;

void bad_frames_begin(BadFrames *b, FrameRange within);
/* Takes `frames`, cut to the raw region. */
void bad_frames_add(BadFrames *b, FrameRange frames);
/* Takes `count` units of 512 bytes, `first` of them after the raw region's base. Any numbers. */
void bad_frames_add_units(BadFrames *b, uint64_t first, uint64_t count);
/*
 * The list, which the caller owns; NULL: nothing is bad. *ret_all: not all that is bad is known one by one (too many
 * extents, or incomplete was set), so the list is the whole raw region. b is empty afterwards.
 */
GArray *bad_frames_end(BadFrames *b, bool *ret_all);
void bad_frames_clear(BadFrames *b);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BadFrames, bad_frames_clear)

/*
 * Takes what the kernel writes of a region's bad blocks: lines "FIRST COUNT", both decimal, in units. It gives one page
 * at most (page: its bytes) and cuts off what does not fit, and keeps at most page / 8 bad blocks: a text that may lack
 * some sets `incomplete`, as does one that cannot be read as such lines.
 */
void bad_frames_add_text(BadFrames *b, const char *text, size_t len, size_t page);
