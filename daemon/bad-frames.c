/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bad-frames.h"

#include "daemon/frame-set.h"

#define UNITS_PER_FRAME (PMEMD_FRAME_SIZE / BAD_FRAMES_UNIT)
/* Extents that are gathered before they are merged; what comes in order never needs more. */
#define GATHERED_MAX (4 * BAD_FRAMES_MAX)

void bad_frames_begin(BadFrames *b, FrameRange within) {
    *b = (BadFrames){ .within = within, .extents = frame_set_new() };
}

void bad_frames_clear(BadFrames *b) {
    g_clear_pointer(&b->extents, g_array_unref);
}

static int compare_start(gconstpointer a, gconstpointer b) {
    const FrameRange *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static void merge(GArray *extents) {
    guint kept = 0;

    g_array_sort(extents, compare_start);
    for (guint i = 0; i < extents->len; i++) {
        FrameRange next = frame_set_nth(extents, i);
        FrameRange *last = kept > 0 ? &g_array_index(extents, FrameRange, kept - 1) : NULL;

        if (last && next.start <= last->end)
            last->end = MAX(last->end, next.end);
        else
            g_array_index(extents, FrameRange, kept++) = next;
    }
    g_array_set_size(extents, kept);
}

void bad_frames_add(BadFrames *b, FrameRange frames) {
    frames.start = MAX(frames.start, b->within.start);
    frames.end = MIN(frames.end, b->within.end);
    if (frames.start >= frames.end)
        return;
    if (b->extents->len > 0) {
        FrameRange *last = &g_array_index(b->extents, FrameRange, b->extents->len - 1);

        if (frames.start >= last->start && frames.start <= last->end) {
            last->end = MAX(last->end, frames.end);
            return;
        }
    }
    g_array_append_val(b->extents, frames);
    if (b->extents->len > GATHERED_MAX) {
        merge(b->extents);
        /* It stays true: extents that were dropped here may have been what joins the others. */
        if (b->extents->len > BAD_FRAMES_MAX) {
            g_array_set_size(b->extents, 0);
            b->incomplete = true;
        }
    }
}

void bad_frames_add_units(BadFrames *b, uint64_t first, uint64_t count) {
    uint64_t frames = frame_range_frames(b->within);
    uint64_t start = first / UNITS_PER_FRAME;

    if (count == 0 || start >= frames)
        return;
    /* Neither can wrap: start is below 2^40 here, and what passes the region's end is cut before it is added. */
    uint64_t skipped = first % UNITS_PER_FRAME;
    uint64_t most = frames * UNITS_PER_FRAME;
    uint64_t length = (skipped + MIN(count, most) + UNITS_PER_FRAME - 1) / UNITS_PER_FRAME;

    bad_frames_add(b, (FrameRange){ b->within.start + start, b->within.start + start + MIN(length, frames - start) });
}

GArray *bad_frames_end(BadFrames *b, bool *ret_all) {
    g_autoptr(GArray) extents = g_steal_pointer(&b->extents);

    merge(extents);
    *ret_all = b->incomplete || extents->len > BAD_FRAMES_MAX;
    if (*ret_all) {
        g_array_set_size(extents, 0);
        if (b->within.start < b->within.end)
            g_array_append_val(extents, b->within);
    }
    return extents->len > 0 ? g_steal_pointer(&extents) : NULL;
}

/* --- the kernel's text --- */

/* Digits up to `end`, then `stop`; false: anything else, or a number above 2^64 - 1. */
static bool take_number(const char **at, const char *end, char stop, uint64_t *ret_number) {
    const char *p = *at;
    uint64_t number = 0;

    for (; p < end && g_ascii_isdigit(*p); p++) {
        unsigned digit = (unsigned) (*p - '0');

        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (p == *at || p == end || *p != stop)
        return false;
    *at = p + 1;
    *ret_number = number;
    return true;
}

void bad_frames_add_text(BadFrames *b, const char *text, size_t len, size_t page) {
    const char *at = text, *end = text + len;
    size_t lines = 0;

    while (at < end) {
        uint64_t first, count;

        if (!take_number(&at, end, ' ', &first) || !take_number(&at, end, '\n', &count)) {
            b->incomplete = true;
            return;
        }
        bad_frames_add_units(b, first, count);
        lines++;
    }
    /* The last line that fits is cut without its newline; when the cut is just behind one, only the length tells. */
    if (len + 1 >= page || lines >= page / sizeof(uint64_t))
        b->incomplete = true;
}
