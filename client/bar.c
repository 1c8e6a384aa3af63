/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/bar.h"

static const char *const kind_names[] = { "free", "lead", "mgmt", "data", "quarantined", "foreign" };
G_STATIC_ASSERT(G_N_ELEMENTS(kind_names) == N_SPAN_KINDS);

const char *span_kind_to_string(SpanKind kind) {
    g_assert(kind < N_SPAN_KINDS);
    return kind_names[kind];
}

static int compare_spans(const void *a, const void *b) {
    const Span *x = a, *y = b;
    return x->frames.start < y->frames.start ? -1 : x->frames.start > y->frames.start;
}

static void append_free(GArray *spans, uint64_t start, uint64_t end) {
    Span span = { .kind = SPAN_FREE, .frames = { start, end }, .id = "", .name = "" };
    if (start < end)
        g_array_append_val(spans, span);
}

GArray *bar_spans(FrameRange raw, const GArray *occupied) {
    g_autoptr(GArray) sorted = g_array_sized_new(FALSE, FALSE, sizeof(Span), occupied->len);
    GArray *spans = g_array_new(FALSE, FALSE, sizeof(Span));
    uint64_t at = raw.start;

    if (occupied->len > 0)
        g_array_append_vals(sorted, occupied->data, occupied->len);
    g_array_sort(sorted, compare_spans);
    for (guint i = 0; i < sorted->len; i++) {
        Span span = g_array_index(sorted, Span, i);
        span.frames.start = MAX(span.frames.start, at);
        span.frames.end = MIN(span.frames.end, raw.end);
        if (span.frames.start >= span.frames.end)
            continue;
        append_free(spans, at, span.frames.start);
        g_array_append_val(spans, span);
        at = span.frames.end;
    }
    append_free(spans, at, raw.end);
    return spans;
}

static bool span_is_region(const Span *span) {
    return span->kind != SPAN_FREE && span->kind != SPAN_LEAD;
}

static bool raw_fits(uint64_t frames, uint64_t cells) {
    return frames <= PMEMD_FRAME_LIMIT && cells < (UINT64_C(1) << 23);
}

/* The span that can best spare a cell: regions keep their last one. */
static Span *widest_span(Span *spans, guint n) {
    Span *widest = NULL;
    uint32_t most = 0;

    for (guint i = 0; i < n; i++) {
        uint32_t spare = spans[i].cells - (span_is_region(&spans[i]) ? 1 : 0);
        if (spare > most) {
            most = spare;
            widest = &spans[i];
        }
    }
    g_assert(widest);
    return widest;
}

uint32_t bar_layout(GArray *spans, uint32_t width) {
    Span *span = (Span *) (void *) spans->data;
    uint64_t total = 0, sum = 0, regions = 0;

    for (guint i = 0; i < spans->len; i++) {
        total += frame_range_frames(span[i].frames);
        regions += span_is_region(&span[i]);
    }
    if (total == 0)
        return 0;
    width = (uint32_t) MAX(width, regions);

    /* Ends of spans to scale; each cell goes to the span that its end falls to, so that the cells add up. Frames are
     * below 2^40 and cells below 2^23, so the product does not wrap. */
    g_assert(raw_fits(total, width));
    uint64_t at = 0, edge = 0;
    for (guint i = 0; i < spans->len; i++) {
        at += frame_range_frames(span[i].frames);
        uint64_t next = (at * width + total / 2) / total;
        span[i].cells = (uint32_t) (next - edge);
        edge = next;
        if (span_is_region(&span[i]) && span[i].cells == 0)
            span[i].cells = 1;
        sum += span[i].cells;
    }
    /* What the small regions were given is taken from the widest spans, one cell at a time. */
    for (; sum > width; sum--)
        widest_span(span, spans->len)->cells--;
    return width;
}
