/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb map: the raw regions as bars.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/bar.h"
#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

#define DEFAULT_COLUMNS 80
#define MIN_CELLS 10
#define MAX_CELLS 4096

typedef struct {
    char first, rest;   /* a region's first cell, and its others */
    const char *colour; /* of a terminal */
    const char *meaning;
} Look;

static const Look looks[] = {
    [SPAN_FREE] = { '.', '.', "2", "free" },
    [SPAN_LEAD] = { '-', '-', "100", "lead of a device" },
    [SPAN_MGMT] = { 'M', 'm', "97;44", "management" },
    [SPAN_DATA] = { 'D', 'd', "30;42", "data" },
    [SPAN_QUARANTINED] = { 'Q', 'q', "30;43", "quarantined" },
    [SPAN_FOREIGN] = { 'F', 'f', "97;45", "foreign" },
};
G_STATIC_ASSERT(G_N_ELEMENTS(looks) == N_SPAN_KINDS);

/* What the map is drawn from. */
typedef struct {
    GPtrArray *raw, *mgmt, *data, *foreign;
} Lists;

static void lists_clear(Lists *lists) {
    g_clear_pointer(&lists->raw, g_ptr_array_unref);
    g_clear_pointer(&lists->mgmt, g_ptr_array_unref);
    g_clear_pointer(&lists->data, g_ptr_array_unref);
    g_clear_pointer(&lists->foreign, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Lists, lists_clear)

static void add_span(GArray *spans, SpanKind kind, PmemdRange frames, const char *id, const char *name) {
    Span span = { .kind = kind, .frames = { frames.start, frames.end }, .id = id, .name = name };
    g_array_append_val(spans, span);
}

/* A region, and the lead of its device before it. */
static void add_region(GArray *spans, const PmemdRaw *raw, SpanKind kind, PmemdRange frames, const char *id,
                       const char *name) {
    uint64_t lead = raw->lead / PMEMD_FRAME_SIZE;

    if (frames.start < raw->frames.start || frames.end > raw->frames.end)
        return;
    if (lead > 0 && frames.start - raw->frames.start >= lead)
        add_span(spans, SPAN_LEAD, (PmemdRange){ frames.start - lead, frames.start }, "", "");
    add_span(spans, kind, frames, id, name);
}

static GArray *raw_spans(const Lists *lists, const PmemdRaw *raw) {
    g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(Span));

    for (guint i = 0; i < lists->mgmt->len; i++) {
        const PmemdMgmt *mgmt = lists->mgmt->pdata[i];
        add_region(occupied, raw, SPAN_MGMT, mgmt->frames, mgmt->uuid, mgmt->name);
    }
    for (guint i = 0; i < lists->data->len; i++) {
        const PmemdData *data = lists->data->pdata[i];
        SpanKind kind = strcmp(data->state, "quarantined") == 0 ? SPAN_QUARANTINED : SPAN_DATA;
        add_region(occupied, raw, kind, data->frames, data->uuid, data->name);
    }
    for (guint i = 0; i < lists->foreign->len; i++) {
        const PmemdForeign *foreign = lists->foreign->pdata[i];
        add_span(occupied, SPAN_FOREIGN, foreign->frames, foreign->name, "");
    }
    return bar_spans((FrameRange){ raw->frames.start, raw->frames.end }, occupied);
}

static uint32_t terminal_columns(void) {
    const char *text = g_getenv("COLUMNS");
    struct winsize size;
    uint64_t number;

    if (text && parse_number("COLUMNS", text, UINT32_MAX, &number, NULL) && number > 0)
        return (uint32_t) number;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return DEFAULT_COLUMNS;
}

/* --- text --- */

/* The cells of a bar in lines of width; where the colour changes, it is said. */
static void draw_bar(const GArray *spans, uint32_t width, bool colour) {
    const Look *current = NULL;
    uint32_t column = 0;

    for (guint i = 0; i < spans->len; i++) {
        const Span *span = &g_array_index(spans, Span, i);
        const Look *look = &looks[span->kind];
        for (uint32_t cell = 0; cell < span->cells; cell++) {
            if (column == 0)
                putchar('[');
            if (colour && look != current)
                printf("\033[0;%sm", look->colour);
            current = look;
            putchar(cell == 0 ? look->first : look->rest);
            if (++column == width) {
                fputs(colour ? "\033[0m]\n" : "]\n", stdout);
                current = NULL;
                column = 0;
            }
        }
    }
    if (column > 0)
        fputs(colour ? "\033[0m]\n" : "]\n", stdout);
}

static void draw_raw(const PmemdRaw *raw, GArray *spans, uint32_t width, bool colour) {
    static const char *const keys[] = { "id",   "start_frame", "end_frame",   "bytes",
                                        "node", "free_bytes",  "largest_gap", "state" };
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        g_ptr_array_add(texts, print_field(columns_raw(), keys[i], raw));
    const char *const *text = (const char *const *) texts->pdata;
    printf("%s: frames %s - %s, %s, node %s, %s free, largest gap %s%s%s\n", text[0], text[1], text[2], text[3],
           text[4], text[5], text[6], strcmp(raw->state, "ok") == 0 ? "" : ", ",
           strcmp(raw->state, "ok") == 0 ? "" : text[7]);
    bar_layout(spans, width);
    draw_bar(spans, width, colour);
}

static void draw_legend(bool colour) {
    static const SpanKind order[] = { SPAN_MGMT, SPAN_DATA, SPAN_QUARANTINED, SPAN_FOREIGN, SPAN_LEAD, SPAN_FREE };

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        const Look *look = &looks[order[i]];
        printf("%s%s%s%s%c%s %s", i > 0 ? "  " : "", colour ? "\033[0;" : "", colour ? look->colour : "",
               colour ? "m" : "", look->first, colour ? "\033[0m" : "", look->meaning);
    }
    puts("");
}

/* --- JSON --- */

static JsonObject *json_from_raw(const PmemdRaw *raw, const GArray *spans) {
    JsonObject *object = json_from_row(columns_raw(), raw);
    JsonArray *array = json_array_new();

    for (guint i = 0; i < spans->len; i++) {
        const Span *span = &g_array_index(spans, Span, i);
        JsonObject *element = json_object_new();
        json_object_set_string_member(element, "kind", span_kind_to_string(span->kind));
        json_object_set_int_member(element, "start_frame", (int64_t) span->frames.start);
        json_object_set_int_member(element, "end_frame", (int64_t) span->frames.end);
        json_object_set_int_member(element, "bytes", (int64_t) (frame_range_frames(span->frames) * PMEMD_FRAME_SIZE));
        json_object_set_string_member(element, "id", span->id);
        json_object_set_string_member(element, "name", span->name);
        json_array_add_object_element(array, element);
    }
    json_object_set_array_member(object, "spans", array);
    return object;
}

/* --- the verb --- */

static bool get_lists(Ctl *ctl, Lists *lists, GError **error) {
    lists->raw = ctl_list_raw(ctl, error);
    lists->mgmt = lists->raw ? ctl_list_mgmt(ctl, error) : NULL;
    lists->data = lists->mgmt ? ctl_list_data(ctl, error) : NULL;
    lists->foreign = lists->data ? ctl_list_foreign(ctl, error) : NULL;
    return lists->foreign != NULL;
}

bool verb_map(Ctl *ctl, GError **error) {
    uint32_t width = CLAMP(terminal_columns(), MIN_CELLS + 2, MAX_CELLS + 2) - 2;
    g_auto(Lists) lists = { 0 };

    if (!ctl_connect(ctl, error) || !get_lists(ctl, &lists, error))
        return false;
    for (guint i = 0; i < lists.raw->len; i++)
        if (((const PmemdRaw *) lists.raw->pdata[i])->bytes == 0) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                        "pmemd does not tell you the frames: ask as root to see the map");
            return false;
        }

    JsonArray *array = json_array_new();
    for (guint i = 0; i < lists.raw->len; i++) {
        const PmemdRaw *raw = lists.raw->pdata[i];
        g_autoptr(GArray) spans = raw_spans(&lists, raw);
        if (ctl->format == CTL_FORMAT_JSON)
            json_array_add_object_element(array, json_from_raw(raw, spans));
        else
            draw_raw(raw, spans, width, ctl->colour);
    }
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_array_member(document, "map", json_array_ref(array));
        json_document_print(stdout, document, true);
    } else if (lists.raw->len > 0)
        draw_legend(ctl->colour);
    else
        puts("There are no raw regions.");
    json_array_unref(array);
    return true;
}
