/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs dimms and clear-bad-frames.
 */
#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

#include <stdio.h>
#include <string.h>

bool verb_dimms(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_dimm_free);
    PmemdDimm **list = NULL;
    size_t n = 0;

    if (!ctl_connect(ctl, error) || !ctl_check(ctl, pmemd_client_list_dimms(ctl->client, &list, &n), error))
        return false;
    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(rows, list[i]);
    free(list);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();

        json_object_set_array_member(document, "dimms", json_from_rows(columns_dimm(), rows));
        json_document_print(stdout, document, true);
    } else {
        g_autoptr(GPtrArray) shown = columns_choose(columns_dimm(), NULL);

        print_table(stdout, ctl->no_legend ? NULL : "DIMMs", shown, rows);
    }
    return true;
}

/* Is it the id of a raw region? Those are looked at first: a region may be given by its uuid. */
static bool is_raw(Ctl *ctl, const char *key, bool *ret_is, GError **error) {
    g_autoptr(GPtrArray) raws = ctl_list_raw(ctl, error);

    if (!raws)
        return false;
    *ret_is = false;
    for (guint i = 0; i < raws->len; i++)
        *ret_is |= strcmp(((const PmemdRaw *) raws->pdata[i])->id, key) == 0;
    return true;
}

bool verb_clear_bad_frames(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_lost_free);
    unsigned flags = (ctl->yes ? 0 : PMEMD_CLEAR_DRY_RUN) | (ctl->force ? PMEMD_CLEAR_FORCE : 0);
    const char *key = ctl->args[0];
    char *path = NULL;
    PmemdLost **list = NULL;
    size_t n = 0;
    bool raw;

    if (!ctl_connect(ctl, error) || !is_raw(ctl, key, &raw, error) ||
        (!raw && !ctl_check(ctl, pmemd_client_find(ctl->client, key, &path), error)))
        return false;
    bool ok =
        ctl_check(ctl, pmemd_client_clear_bad_frames(ctl->client, path, raw ? key : NULL, flags, &list, &n), error);
    g_free(path);
    if (!ok)
        return false;
    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(rows, list[i]);
    free(list);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();

        json_object_set_boolean_member(document, "done", ctl->yes);
        json_object_set_array_member(document, "lost", json_from_rows(columns_lost(), rows));
        json_document_print(stdout, document, true);
        return true;
    }
    g_autoptr(GPtrArray) shown = columns_choose(columns_lost(), NULL);
    print_table(stdout, ctl->no_legend ? NULL : ctl->yes ? "Cleared, content lost" : "Would be lost", shown, rows);
    if (!ctl->yes && n > 0 && !ctl->no_legend)
        printf("Nothing was changed: --yes clears them.\n");
    return true;
}
