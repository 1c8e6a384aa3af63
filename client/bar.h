/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A raw region as a row of spans without holes, and the spans to scale in a bar of character cells.
 * Promises: spans cover the raw region, in order, without overlap; every region gets a cell.
 * Pure; used by `pmemctl map`.
 */
#pragma once

#include <glib.h>

#include "proto/types.h"

typedef enum {
    SPAN_FREE,
    SPAN_LEAD, /* frames of a device before its first usable one */
    SPAN_MGMT,
    SPAN_DATA,
    SPAN_QUARANTINED,
    SPAN_FOREIGN,
    N_SPAN_KINDS,
} SpanKind;

/* "free", "lead", "mgmt", "data", "quarantined", "foreign". Static. */
const char *span_kind_to_string(SpanKind kind);

typedef struct {
    SpanKind kind;
    FrameRange frames;
    const char *id;   /* uuid of a region, name of a foreign device, "" else; borrowed */
    const char *name; /* "" if none; borrowed */
    uint32_t cells;   /* set by bar_layout */
} Span;

/* Spans of the raw region, free ones between the occupied ones. occupied: Span, in any order; those outside of the raw
 * region are left out, those across its borders or each other are cut. Free: g_array_unref. */
GArray *bar_spans(FrameRange raw, const GArray *occupied);

/* Sets the cells of each span so that together they are width, or as many as there are regions if that is more (the bar
 * then takes several lines). Free and lead spans may get none. Returns the number of cells; 0 for no spans. */
uint32_t bar_layout(GArray *spans, uint32_t width);
