/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Sets of frames: against a bitmap, and what messages say of them. */
#include "daemon/frame-set.h"

#include <string.h>

#define FRAMES 64u

static void check(const GArray *set, const bool *bits) {
    uint64_t frames = 0;
    guint extents = 0;

    for (guint i = 0; i < FRAMES; i++) {
        FrameRange one = { i, i + 1 };

        g_assert_cmpint(frame_set_contains(set, one), ==, bits[i]);
        frames += bits[i];
        extents += bits[i] && (i == 0 || !bits[i - 1]);
    }
    g_assert_cmpuint(frame_set_frames(set), ==, frames);
    g_assert_cmpuint(frame_set_extents(set), ==, extents);
    for (guint i = 0; i < frame_set_extents(set); i++) {
        FrameRange extent = frame_set_nth(set, i);

        g_assert_cmpuint(extent.start, <, extent.end);
        if (i > 0)
            g_assert_cmpuint(frame_set_nth(set, i - 1).end, <, extent.start);
    }
}

static FrameRange random_range(void) {
    uint64_t a = (uint64_t) g_test_rand_int_range(0, FRAMES + 1), b = (uint64_t) g_test_rand_int_range(0, FRAMES + 1);

    return (FrameRange){ MIN(a, b), MAX(a, b) };
}

static void check_range(const GArray *set, const bool *bits, FrameRange range) {
    FrameRange part = { 0, 0 };
    uint64_t frames = 0, first = range.end, end;

    for (uint64_t i = range.start; i < range.end; i++) {
        frames += bits[i];
        if (bits[i] && first == range.end)
            first = i;
    }
    for (end = first; end < range.end && bits[end];)
        end++;
    g_assert_cmpuint(frame_set_frames_in(set, range), ==, frames);
    g_assert_cmpint(frame_set_find(set, range, &part), ==, frames > 0);
    if (frames > 0) {
        g_assert_cmpuint(part.start, ==, first);
        g_assert_cmpuint(part.end, ==, end);
    }
}

static void test_random(void) {
    for (int round = 0; round < 200; round++) {
        g_autoptr(GArray) set = frame_set_new(), other = frame_set_new();
        bool bits[FRAMES] = { false }, other_bits[FRAMES] = { false };

        for (int step = 0; step < 40; step++) {
            FrameRange range = random_range();
            bool add = g_test_rand_bit();

            (add ? frame_set_add : frame_set_remove)(set, range);
            for (uint64_t i = range.start; i < range.end; i++)
                bits[i] = add;
            check(set, bits);
            check_range(set, bits, random_range());
        }
        for (int step = 0; step < 6; step++) {
            FrameRange range = random_range();

            frame_set_add(other, range);
            for (uint64_t i = range.start; i < range.end; i++)
                other_bits[i] = true;
        }

        g_autoptr(GArray) sum = frame_set_copy(set);
        FrameRange within = random_range();
        bool sum_bits[FRAMES];
        frame_set_add_all(sum, other, within);
        for (guint i = 0; i < FRAMES; i++)
            sum_bits[i] = bits[i] || (other_bits[i] && i >= within.start && i < within.end);
        check(sum, sum_bits);
        frame_set_remove_all(sum, other);
        for (guint i = 0; i < FRAMES; i++)
            sum_bits[i] = bits[i] && !other_bits[i];
        check(sum, sum_bits);
        g_assert_cmpint(frame_set_equal(set, sum), ==, memcmp(bits, sum_bits, sizeof bits) == 0);
    }
}

static void test_empty(void) {
    const FrameRange all = { 0, UINT64_MAX };
    g_autoptr(GArray) set = frame_set_copy(NULL);
    FrameRange part = { 7, 8 };

    g_assert_cmpuint(frame_set_frames(NULL), ==, 0);
    g_assert_cmpuint(frame_set_extents(NULL), ==, 0);
    g_assert_false(frame_set_find(NULL, all, &part));
    g_assert_cmpuint(part.start, ==, 7);
    g_assert_true(frame_set_equal(NULL, set));
    frame_set_add(set, (FrameRange){ 5, 5 });
    frame_set_add_all(set, NULL, all);
    frame_set_remove_all(set, NULL);
    g_assert_cmpuint(set->len, ==, 0);
}

static void test_format(void) {
    g_autoptr(GArray) set = frame_set_new();

    for (uint64_t i = 0; i < 4; i++)
        frame_set_add(set, (FrameRange){ 0x480000 + i * 16, 0x480001 + i * 17 });
    g_autofree char *two = frame_set_format(set, 2), *all = frame_set_format(set, 4), *none = frame_set_format(NULL, 4);
    g_assert_cmpstr(two, ==, "0x480000, 0x480010-0x480012 and 2 more");
    g_assert_cmpstr(all, ==, "0x480000, 0x480010-0x480012, 0x480020-0x480023, 0x480030-0x480034");
    g_assert_cmpstr(none, ==, "");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame-set/random", test_random);
    g_test_add_func("/frame-set/empty", test_empty);
    g_test_add_func("/frame-set/format", test_format);
    return g_test_run();
}
