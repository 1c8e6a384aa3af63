/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb locate: what host physical addresses are.
 */
#include "client/pmemctl-print.h"
#include "client/pmemctl.h"
#include "proto/one-line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool add_address(const Ctl *ctl, const char *text, GArray *addresses, GError **error) {
    uint64_t number;

    if (!ctl->frames) {
        if (!parse_address(text, &number, error))
            return false;
    } else if (!parse_frame(text, &number, error)) {
        return false;
    } else if (number > UINT64_MAX / PMEMD_FRAME_SIZE) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "frame number '%s' is past all addresses", text);
        return false;
    } else {
        number *= PMEMD_FRAME_SIZE;
    }
    g_array_append_val(addresses, number);
    return true;
}

/* Words between blanks and ends of lines. */
static bool read_addresses(const Ctl *ctl, GArray *addresses, GError **error) {
    char *line = NULL;
    size_t size = 0;
    bool ok = true;

    while (ok && getline(&line, &size, stdin) >= 0) {
        char *rest = NULL;

        for (char *word = strtok_r(line, " \t\r\n", &rest); ok && word; word = strtok_r(NULL, " \t\r\n", &rest)) {
            g_autofree char *clean = one_line(word);
            ok = add_address(ctl, clean, addresses, error);
        }
    }
    if (ok && ferror(stdin)) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "the standard input cannot be read: %s", g_strerror(errno));
        ok = false;
    }
    free(line);
    return ok;
}

static bool collect(const Ctl *ctl, GArray *addresses, GError **error) {
    for (guint i = 0; i < ctl->n_args; i++) {
        bool ok = strcmp(ctl->args[i], "-") == 0 ? read_addresses(ctl, addresses, error)
                                                 : add_address(ctl, ctl->args[i], addresses, error);
        if (!ok)
            return false;
    }
    return true;
}

static void row_free(void *data) {
    LocationRow *row = data;

    pmemd_location_free(row->location);
    g_free(row);
}

/* What is at a byte of the frame. */
static LocationRow *row_new(uint64_t address, PmemdLocation *location) {
    LocationRow *row = g_new(LocationRow, 1);

    *row = (LocationRow){ .shown = *location, .location = location, .address = address };
    /* Of nothing, and of what is hidden, no byte is known either. */
    if (strcmp(location->kind, "none") != 0 && strcmp(location->kind, "hidden") != 0)
        row->shown.offset += address % PMEMD_FRAME_SIZE;
    return row;
}

/* Asks for some at once: at most as many as one call takes. */
static bool ask_some(Ctl *ctl, const uint64_t *addresses, guint n, GPtrArray *rows, GError **error) {
    uint64_t frames[PMEMD_LOCATE_MAX];
    PmemdLocation **list = NULL;

    for (guint i = 0; i < n; i++)
        frames[i] = addresses[i] / PMEMD_FRAME_SIZE;
    if (!ctl_check(ctl, pmemd_client_locate_list(ctl->client, frames, n, &list, NULL), error))
        return false;
    for (guint i = 0; i < n; i++)
        g_ptr_array_add(rows, row_new(addresses[i], list[i]));
    free(list);
    return true;
}

static GPtrArray *ask(Ctl *ctl, const GArray *addresses, GError **error) {
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);

    for (guint at = 0; at < addresses->len; at += PMEMD_LOCATE_MAX)
        if (!ask_some(ctl, &g_array_index(addresses, uint64_t, at), MIN(addresses->len - at, PMEMD_LOCATE_MAX), rows,
                      error))
            return NULL;
    return g_steal_pointer(&rows);
}

static bool check_columns(const char *const *keys, GError **error) {
    for (size_t i = 0; keys[i]; i++) {
        const char *const key[] = { keys[i], NULL };
        g_autoptr(GPtrArray) found = columns_choose(columns_location(), key);

        if (found->len > 0)
            continue;
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "there is no column '%s': --columns takes the keys that --json shows", keys[i]);
        return false;
    }
    return true;
}

bool verb_locate(Ctl *ctl, GError **error) {
    g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;

    if ((keys && !check_columns((const char *const *) keys, error)) || !collect(ctl, addresses, error) ||
        !ctl_connect(ctl, error))
        return false;
    g_autoptr(GPtrArray) rows = ask(ctl, addresses, error);
    if (!rows)
        return false;
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();

        json_object_set_array_member(document, "locations", json_from_rows(columns_location(), rows));
        json_document_print(stdout, document, true);
    } else {
        g_autoptr(GPtrArray) shown = columns_choose(columns_location(), (const char *const *) keys);

        print_table(stdout, ctl->no_legend ? NULL : "Addresses", shown, rows);
    }
    return true;
}
