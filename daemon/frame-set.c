/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/frame-set.h"

#include <inttypes.h>

GArray *frame_set_new(void) {
    return g_array_new(FALSE, FALSE, sizeof(FrameRange));
}

GArray *frame_set_copy(const GArray *set) {
    GArray *copy = frame_set_new();

    if (set)
        g_array_append_vals(copy, set->data, set->len);
    return copy;
}

guint frame_set_extents(const GArray *set) {
    return set ? set->len : 0;
}

FrameRange frame_set_nth(const GArray *set, guint index) {
    return g_array_index(set, FrameRange, index);
}

/* The first extent that ends at or behind `at`; the number of extents when there is none. */
static guint first_from(const GArray *set, uint64_t at) {
    guint low = 0, high = frame_set_extents(set);

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (frame_set_nth(set, middle).end < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void frame_set_add(GArray *set, FrameRange range) {
    g_assert(range.start <= range.end);
    if (range.start == range.end)
        return;

    guint from = first_from(set, range.start), to = from;
    for (; to < set->len && frame_set_nth(set, to).start <= range.end; to++) {
        range.start = MIN(range.start, frame_set_nth(set, to).start);
        range.end = MAX(range.end, frame_set_nth(set, to).end);
    }
    g_array_remove_range(set, from, to - from);
    g_array_insert_val(set, from, range);
}

void frame_set_remove(GArray *set, FrameRange range) {
    g_assert(range.start <= range.end);
    if (range.start == range.end)
        return;
    for (guint i = first_from(set, range.start); i < set->len;) {
        FrameRange extent = frame_set_nth(set, i);
        FrameRange before = { extent.start, range.start }, behind = { range.end, extent.end };

        if (extent.start >= range.end)
            return;
        if (!frame_range_overlaps(extent, range)) {
            i++;
            continue;
        }
        g_array_remove_index(set, i);
        if (before.start < before.end)
            g_array_insert_val(set, i++, before);
        if (behind.start < behind.end)
            g_array_insert_val(set, i++, behind);
    }
}

void frame_set_add_all(GArray *set, const GArray *other, FrameRange within) {
    for (guint i = first_from(other, within.start); i < frame_set_extents(other); i++) {
        FrameRange extent = frame_set_nth(other, i);

        if (extent.start >= within.end)
            return;
        extent = (FrameRange){ MAX(extent.start, within.start), MIN(extent.end, within.end) };
        if (extent.start < extent.end)
            frame_set_add(set, extent);
    }
}

GArray *frame_set_cut(const GArray *set, FrameRange within) {
    g_autoptr(GArray) cut = frame_set_new();

    frame_set_add_all(cut, set, within);
    return cut->len > 0 ? g_steal_pointer(&cut) : NULL;
}

void frame_set_remove_all(GArray *set, const GArray *other) {
    for (guint i = 0; i < frame_set_extents(other); i++)
        frame_set_remove(set, frame_set_nth(other, i));
}

uint64_t frame_set_frames(const GArray *set) {
    return frame_set_frames_in(set, (FrameRange){ 0, UINT64_MAX });
}

uint64_t frame_set_frames_in(const GArray *set, FrameRange range) {
    uint64_t frames = 0;

    for (guint i = first_from(set, range.start); i < frame_set_extents(set); i++) {
        FrameRange extent = frame_set_nth(set, i);

        if (extent.start >= range.end)
            break;
        if (frame_range_overlaps(extent, range))
            frames += MIN(extent.end, range.end) - MAX(extent.start, range.start);
    }
    return frames;
}

bool frame_set_find(const GArray *set, FrameRange range, FrameRange *ret_part) {
    for (guint i = first_from(set, range.start); i < frame_set_extents(set); i++) {
        FrameRange extent = frame_set_nth(set, i);
        FrameRange part = { MAX(extent.start, range.start), MIN(extent.end, range.end) };

        if (extent.start >= range.end)
            return false;
        if (part.start >= part.end)
            continue;
        *ret_part = part;
        return true;
    }
    return false;
}

bool frame_set_contains(const GArray *set, FrameRange range) {
    return frame_set_frames_in(set, range) == frame_range_frames(range);
}

bool frame_set_equal(const GArray *a, const GArray *b) {
    if (frame_set_extents(a) != frame_set_extents(b))
        return false;
    for (guint i = 0; i < frame_set_extents(a); i++)
        if (!frame_range_equal(frame_set_nth(a, i), frame_set_nth(b, i)))
            return false;
    return true;
}

char *frame_set_format(const GArray *set, guint max) {
    g_autoptr(GString) text = g_string_new(NULL);
    guint n = frame_set_extents(set);

    for (guint i = 0; i < MIN(n, max); i++) {
        FrameRange extent = frame_set_nth(set, i);

        g_string_append_printf(text, "%s0x%" PRIx64, i == 0 ? "" : ", ", extent.start);
        if (frame_range_frames(extent) > 1)
            g_string_append_printf(text, "-0x%" PRIx64, extent.end);
    }
    if (n > max)
        g_string_append_printf(text, " and %u more", n - max);
    return g_strdup(text->str);
}
