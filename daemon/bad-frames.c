/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bad-frames.h"

#include <string.h>

#define UNITS_PER_FRAME (PMEMD_FRAME_SIZE / BAD_FRAMES_UNIT)
/* Extents that are gathered before they are merged; what comes in order never needs more. */
#define GATHERED_MAX (4 * BAD_FRAMES_MAX)

static GArray *extents_new(void) {
    return g_array_new(FALSE, FALSE, sizeof(FrameRange));
}

static FrameRange extent_at(const GArray *extents, guint i) {
    return g_array_index(extents, FrameRange, i);
}

void bad_frames_begin(BadFrames *b, FrameRange within) {
    *b = (BadFrames){ .within = within, .extents = extents_new() };
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
        FrameRange next = extent_at(extents, i);
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

/* --- lists --- */

bool bad_frames_equal(const GArray *a, const GArray *b) {
    guint len = a ? a->len : 0;

    return len == (b ? b->len : 0) && (len == 0 || memcmp(a->data, b->data, len * sizeof(FrameRange)) == 0);
}

/* The first extent that ends behind `frame`. */
static guint first_behind(const GArray *bad, uint64_t frame) {
    guint low = 0, high = bad ? bad->len : 0;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (extent_at(bad, middle).end > frame)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t bad_frames_count(const GArray *bad, FrameRange range) {
    uint64_t count = 0;

    for (guint i = first_behind(bad, range.start); bad && i < bad->len && extent_at(bad, i).start < range.end; i++)
        count += MIN(extent_at(bad, i).end, range.end) - MAX(extent_at(bad, i).start, range.start);
    return count;
}

GArray *bad_frames_cut(const GArray *bad, FrameRange range) {
    GArray *cut = NULL;

    if (range.start >= range.end)
        return NULL;
    for (guint i = first_behind(bad, range.start); bad && i < bad->len && extent_at(bad, i).start < range.end; i++) {
        FrameRange part = { MAX(extent_at(bad, i).start, range.start), MIN(extent_at(bad, i).end, range.end) };

        cut = cut ? cut : extents_new();
        g_array_append_val(cut, part);
    }
    return cut;
}

GArray *bad_frames_copy(const GArray *bad) {
    return bad_frames_cut(bad, (FrameRange){ 0, UINT64_MAX });
}
