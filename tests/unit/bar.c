/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/bar: raw regions as spans and cells.
 */
#include "client/bar.h"

static void add(GArray *spans, SpanKind kind, uint64_t start, uint64_t end) {
    Span span = { .kind = kind, .frames = { start, end }, .id = "id", .name = "" };
    g_array_append_val(spans, span);
}

static void check_covers(FrameRange raw, const GArray *spans) {
    uint64_t at = raw.start;
    for (guint i = 0; i < spans->len; i++) {
        const Span *span = &g_array_index(spans, Span, i);
        g_assert_cmphex(span->frames.start, ==, at);
        g_assert_cmphex(span->frames.end, >, at);
        at = span->frames.end;
    }
    g_assert_cmphex(at, ==, raw.end);
}

static void check_span(const GArray *spans, guint i, SpanKind kind, uint64_t start, uint64_t end) {
    const Span *span = &g_array_index(spans, Span, i);
    g_assert_cmpstr(span_kind_to_string(span->kind), ==, span_kind_to_string(kind));
    g_assert_cmphex(span->frames.start, ==, start);
    g_assert_cmphex(span->frames.end, ==, end);
}

static void test_empty(void) {
    g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(Span));
    g_autoptr(GArray) spans = bar_spans((FrameRange){ 0x100, 0x200 }, none);

    g_assert_cmpuint(spans->len, ==, 1);
    check_span(spans, 0, SPAN_FREE, 0x100, 0x200);
    g_assert_cmpuint(bar_layout(spans, 78), ==, 78);
    g_assert_cmpuint(g_array_index(spans, Span, 0).cells, ==, 78);
    g_assert_cmpuint(bar_layout(none, 78), ==, 0);
}

static void test_spans(void) {
    g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(Span));
    add(occupied, SPAN_DATA, 0x180, 0x1a0); /* not in order */
    add(occupied, SPAN_MGMT, 0x110, 0x140);
    add(occupied, SPAN_LEAD, 0x100, 0x110);
    add(occupied, SPAN_DATA, 0x300, 0x400);    /* elsewhere */
    add(occupied, SPAN_FOREIGN, 0x1f0, 0x210); /* across the end */
    add(occupied, SPAN_FOREIGN, 0x190, 0x1b0); /* across another */

    g_autoptr(GArray) spans = bar_spans((FrameRange){ 0x100, 0x200 }, occupied);
    g_assert_cmpuint(spans->len, ==, 7);
    check_span(spans, 0, SPAN_LEAD, 0x100, 0x110);
    check_span(spans, 1, SPAN_MGMT, 0x110, 0x140);
    check_span(spans, 2, SPAN_FREE, 0x140, 0x180);
    check_span(spans, 3, SPAN_DATA, 0x180, 0x1a0);
    check_span(spans, 4, SPAN_FOREIGN, 0x1a0, 0x1b0);
    check_span(spans, 5, SPAN_FREE, 0x1b0, 0x1f0);
    check_span(spans, 6, SPAN_FOREIGN, 0x1f0, 0x200);
}

static void test_to_scale(void) {
    g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(Span));
    add(occupied, SPAN_MGMT, 0, 25);
    add(occupied, SPAN_DATA, 50, 100);

    g_autoptr(GArray) spans = bar_spans((FrameRange){ 0, 100 }, occupied);
    g_assert_cmpuint(bar_layout(spans, 40), ==, 40);
    g_assert_cmpuint(g_array_index(spans, Span, 0).cells, ==, 10);
    g_assert_cmpuint(g_array_index(spans, Span, 1).cells, ==, 10);
    g_assert_cmpuint(g_array_index(spans, Span, 2).cells, ==, 20);
}

/* 4 PiB, with regions of one frame in it. */
static void test_small_in_large(void) {
    g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(Span));
    add(occupied, SPAN_MGMT, 0, 1);
    add(occupied, SPAN_DATA, 1, 2);
    add(occupied, SPAN_DATA, PMEMD_FRAME_LIMIT - 1, PMEMD_FRAME_LIMIT);

    g_autoptr(GArray) spans = bar_spans((FrameRange){ 0, PMEMD_FRAME_LIMIT }, occupied);
    g_assert_cmpuint(bar_layout(spans, 78), ==, 78);
    g_assert_cmpuint(g_array_index(spans, Span, 0).cells, ==, 1);
    g_assert_cmpuint(g_array_index(spans, Span, 1).cells, ==, 1);
    g_assert_cmpuint(g_array_index(spans, Span, 2).cells, ==, 75);
    g_assert_cmpuint(g_array_index(spans, Span, 3).cells, ==, 1);
}

static void test_random(void) {
    for (int round = 0; round < 2000; round++) {
        g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(Span));
        FrameRange raw = { (uint64_t) g_test_rand_int_range(0, 100), (uint64_t) g_test_rand_int_range(101, 5000) };
        uint32_t width = (uint32_t) g_test_rand_int_range(1, 100);
        int n = g_test_rand_int_range(0, 150);
        for (int i = 0; i < n; i++) {
            uint64_t start = (uint64_t) g_test_rand_int_range(0, 5000);
            add(occupied, (SpanKind) g_test_rand_int_range(SPAN_LEAD, N_SPAN_KINDS), start,
                start + (uint64_t) g_test_rand_int_range(0, 60));
        }

        g_autoptr(GArray) spans = bar_spans(raw, occupied);
        check_covers(raw, spans);
        uint32_t cells = bar_layout(spans, width), sum = 0, regions = 0;
        for (guint i = 0; i < spans->len; i++) {
            const Span *span = &g_array_index(spans, Span, i);
            bool region = span->kind != SPAN_FREE && span->kind != SPAN_LEAD;
            g_assert_cmpuint(span->cells, >=, region ? 1 : 0);
            regions += region;
            sum += span->cells;
        }
        g_assert_cmpuint(sum, ==, cells);
        g_assert_cmpuint(cells, ==, MAX(width, regions));
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bar/empty", test_empty);
    g_test_add_func("/bar/spans", test_spans);
    g_test_add_func("/bar/to-scale", test_to_scale);
    g_test_add_func("/bar/small-in-large", test_small_in_large);
    g_test_add_func("/bar/random", test_random);
    return g_test_run();
}
