/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A set of frames as an array of FrameRange: by start, none empty, no two that touch or overlap. For what is rare and
 * short, as bad frames are; region-map.h is for what is many.
 * Promises: pure; NULL is the empty set wherever a set is only read. Anybody may call it.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>

GArray *frame_set_new(void);
GArray *frame_set_copy(const GArray *set);
/* range may be empty, must not be reversed. */
void frame_set_add(GArray *set, FrameRange range);
void frame_set_remove(GArray *set, FrameRange range);
/* What of the set lies in `within`, which the caller owns; NULL: nothing. */
GArray *frame_set_cut(const GArray *set, FrameRange within);
/* What of other lies in `within`. */
void frame_set_add_all(GArray *set, const GArray *other, FrameRange within);
void frame_set_remove_all(GArray *set, const GArray *other);

guint frame_set_extents(const GArray *set);
/* index < frame_set_extents(). */
FrameRange frame_set_nth(const GArray *set, guint index);
uint64_t frame_set_frames(const GArray *set);
uint64_t frame_set_frames_in(const GArray *set, FrameRange range);
/* The first extent that overlaps range, cut to it; false: none does. */
bool frame_set_find(const GArray *set, FrameRange range, FrameRange *ret_part);
bool frame_set_contains(const GArray *set, FrameRange range);
bool frame_set_equal(const GArray *a, const GArray *b);
/* "0x480010, 0x480020-0x480030 and 3 more": at most `max` extents, for messages. */
char *frame_set_format(const GArray *set, guint max);
