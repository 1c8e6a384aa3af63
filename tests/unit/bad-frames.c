/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Bad frames: rounding, cutting, merging, bounds, and the kernel's text, against a bitmap. */
#include "daemon/bad-frames.h"

#include "daemon/frame-set.h"

#include <string.h>

#define FIRST UINT64_C(0x480000)
#define FRAMES UINT64_C(64)
#define PAGE 4096

static const FrameRange raw = { FIRST, FIRST + FRAMES };

static GArray *list_of_text(const char *text, bool *ret_all) {
    g_auto(BadFrames) bad = { 0 };

    bad_frames_begin(&bad, raw);
    bad_frames_add_text(&bad, text, strlen(text), PAGE);
    return bad_frames_end(&bad, ret_all);
}

static char *shown(const GArray *bad) {
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; bad && i < bad->len; i++) {
        FrameRange r = g_array_index(bad, FrameRange, i);

        g_string_append_printf(text, "%s%d-%d", i > 0 ? " " : "", (int) (r.start - FIRST), (int) (r.end - FIRST));
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_text(void) {
    static const struct {
        const char *text, *list;
        bool all;
    } rows[] = {
        { "", "", false },
        { "0 1\n", "0-1", false },
        { "7 1\n", "0-1", false },
        { "7 2\n", "0-2", false }, /* outwards at both ends */
        { "8 8\n", "1-2", false },
        { "8 9\n", "1-3", false },
        { "15 1\n16 1\n", "1-3", false },            /* frames that touch are one */
        { "80 8\n8 8\n16 8\n", "1-3 10-11", false }, /* any order */
        { "8 0\n", "", false },                      /* nothing */
        { "504 100\n", "63-64", false },             /* cut to the region */
        { "512 1\n", "", false },                    /* behind it */
        { "18446744073709551615 18446744073709551615\n", "", false },
        { "1 18446744073709551615\n", "0-64", false },
        { "9 18446744073709551615\n", "1-64", false },
        { "18446744073709551616 1\n", "0-64", true }, /* no such number: all by worst case */
        { "8 8\n80 ", "0-64", true },
        { "8 8\n80 8", "0-64", true },
        { "8 8\n80", "0-64", true },
        { "8\n", "0-64", true },
        { "-8 8\n", "0-64", true },
        { " 8 8\n", "0-64", true },
        { "8  8\n", "0-64", true },
        { "0x8 8\n", "0-64", true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool all;
        g_autoptr(GArray) bad = list_of_text(rows[i].text, &all);
        g_autofree char *list = shown(bad);

        g_test_message("%s", rows[i].text);
        g_assert_cmpstr(list, ==, rows[i].list);
        g_assert_cmpint(all, ==, rows[i].all);
        g_assert_true(!!bad == (list[0] != '\0'));
    }
}

/* The kernel gives a page and no more: what may have been cut off is bad, too. */
static void test_text_cut(void) {
    bool all;
    static const struct {
        const char *line;
        guint lines, rest; /* bytes of a last line that ends in a newline */
        bool all;
    } rows[] = {
        { "0000001 0001\n", 314, 12, false }, /* 4094 */
        { "0000001 0001\n", 314, 13, true },  /* 4095: as much as ever is given */
        { "0000001 0001\n", 314, 14, true },
        { "8 1\n", 511, 0, false },
        { "8 1\n", 512, 0, true }, /* the kernel keeps no more */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) page = g_string_new(NULL);

        for (guint n = 0; n < rows[i].lines; n++)
            g_string_append(page, rows[i].line);
        if (rows[i].rest > 0)
            g_string_append_printf(page, "%0*d 1\n", (int) rows[i].rest - 3, 1);
        g_autoptr(GArray) bad = list_of_text(page->str, &all);
        g_assert_cmpint(all, ==, rows[i].all);
        g_assert_cmpuint(frame_set_frames_in(bad, raw), ==, all ? FRAMES : 1);
    }
}

/* Random units against a bitmap of frames. */
static void test_random(void) {
    for (guint round = 0; round < 2000; round++) {
        g_auto(BadFrames) bad = { 0 };
        bool map[FRAMES] = { false }, all;
        gint32 n = g_test_rand_int_range(0, 12);

        bad_frames_begin(&bad, raw);
        for (gint32 i = 0; i < n; i++) {
            uint64_t first = (uint64_t) g_test_rand_int_range(0, 600), count = (uint64_t) g_test_rand_int_range(0, 40);

            bad_frames_add_units(&bad, first, count);
            for (uint64_t unit = first; unit < first + count && unit < FRAMES * 8; unit++)
                map[unit / 8] = true;
        }
        g_autoptr(GArray) list = bad_frames_end(&bad, &all);
        g_assert_false(all);

        FrameRange before = { 0, 0 };
        for (guint i = 0; list && i < list->len; i++) {
            FrameRange r = g_array_index(list, FrameRange, i);

            g_assert_cmpuint(r.start, <, r.end);
            g_assert_cmpuint(before.end, <, r.start); /* apart */
            g_assert_true(frame_range_contains(raw, r));
            before = r;
        }
        uint64_t from = (uint64_t) g_test_rand_int_range(0, FRAMES), to = (uint64_t) g_test_rand_int_range(0, FRAMES);
        FrameRange part = { FIRST + MIN(from, to), FIRST + MAX(from, to) };
        g_autoptr(GArray) cut = frame_set_cut(list, part);
        uint64_t whole = 0, inside = 0;

        for (uint64_t f = 0; f < FRAMES; f++) {
            whole += map[f];
            inside += map[f] && FIRST + f >= part.start && FIRST + f < part.end;
            g_assert_cmpuint(frame_set_frames_in(list, (FrameRange){ FIRST + f, FIRST + f + 1 }), ==, map[f]);
        }
        g_assert_cmpuint(frame_set_frames_in(list, raw), ==, whole);
        g_assert_cmpuint(frame_set_frames_in(list, part), ==, inside);
        g_assert_cmpuint(frame_set_frames_in(cut, raw), ==, inside);
        g_assert_true(!cut == (inside == 0));

        g_autoptr(GArray) copy = frame_set_cut(list, (FrameRange){ 0, UINT64_MAX });
        g_assert_true(frame_set_equal(copy, list));
        g_assert_true(frame_set_equal(list, cut) == (inside == whole));
    }
}

/* Every second frame: the last that fits, and one more. */
static void test_bound(void) {
    const FrameRange large = { FIRST, FIRST + UINT64_C(20) * BAD_FRAMES_MAX };

    for (guint n = BAD_FRAMES_MAX - 1; n <= 6 * BAD_FRAMES_MAX; n += n <= BAD_FRAMES_MAX ? 1 : BAD_FRAMES_MAX) {
        g_auto(BadFrames) bad = { 0 };
        bool all;

        bad_frames_begin(&bad, large);
        for (guint i = 0; i < n; i++)
            bad_frames_add(&bad, (FrameRange){ FIRST + 2 * (n - i), FIRST + 2 * (n - i) + 1 });
        g_autoptr(GArray) list = bad_frames_end(&bad, &all);
        g_assert_cmpint(all, ==, n > BAD_FRAMES_MAX);
        g_assert_nonnull(list);
        g_assert_cmpuint(list->len, ==, all ? 1 : n);
        if (all)
            g_assert_true(frame_range_equal(g_array_index(list, FrameRange, 0), large));
    }

    /* A region without frames has no bad ones, whatever is said. */
    g_auto(BadFrames) none = { 0 };
    bool all;
    bad_frames_begin(&none, (FrameRange){ FIRST, FIRST });
    bad_frames_add_units(&none, 0, 8);
    none.incomplete = true;
    g_assert_null(bad_frames_end(&none, &all));
    g_assert_true(all);
}

static void test_empty(void) {
    g_assert_true(frame_set_equal(NULL, NULL));
    g_assert_null(frame_set_cut(NULL, (FrameRange){ 0, UINT64_MAX }));
    g_assert_null(frame_set_cut(NULL, raw));
    g_assert_cmpuint(frame_set_frames_in(NULL, raw), ==, 0);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bad-frames/text", test_text);
    g_test_add_func("/bad-frames/text-cut", test_text_cut);
    g_test_add_func("/bad-frames/random", test_random);
    g_test_add_func("/bad-frames/bound", test_bound);
    g_test_add_func("/bad-frames/empty", test_empty);
    return g_test_run();
}
