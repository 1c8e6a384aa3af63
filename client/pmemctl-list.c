/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs list and show.
 */
#include <string.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

/* --- list --- */

typedef struct {
    const char *key;       /* JSON */
    const char *title;     /* table */
    const char *xen_title; /* NULL: xen-ndctl knows none */
    GPtrArray *(*get)(Ctl *ctl, GError **error);
    const Column *(*columns)(void);
    void (*print_xen)(guint i, const void *row);
    size_t chosen; /* offset in Ctl of the option that asks for it */
} List;

static void print_xen_raw(guint i, const void *row) {
    const PmemdRaw *raw = row;
    printf(" %u: MFN 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x, PXM %d\n", i, raw->frames.start,
           raw->frames.end, raw->node);
}

static void print_xen_mgmt(guint i, const void *row) {
    const PmemdMgmt *mgmt = row;
    printf(" %u: MFN 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x, used 0x%" G_GINT64_MODIFIER "x\n", i,
           mgmt->frames.start, mgmt->frames.end, mgmt->used_frames);
}

static void print_xen_data(guint i, const void *row) {
    const PmemdData *data = &((const DataRow *) row)->shown;
    printf(" %u: MFN 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x, MGMT MFN 0x%" G_GINT64_MODIFIER
           "x - 0x%" G_GINT64_MODIFIER "x\n",
           i, data->frames.start, data->frames.end, data->extent.start, data->extent.end);
}

static void data_row_free(DataRow *row) {
    pmemd_data_free(row->data);
    g_free(row->lease_owner);
    g_free(row);
}

/* What is not shown is not asked for. */
static GPtrArray *list_leases(Ctl *ctl, GError **error) {
    bool shown = ctl->format == CTL_FORMAT_JSON || (ctl->columns && strstr(ctl->columns, "lease_owner"));
    return shown ? ctl_list_leases(ctl, error) : g_ptr_array_new();
}

/* Two lists, one after the other: who holds a region is of the second's moment. */
static GPtrArray *list_data(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) regions = ctl_list_data(ctl, error);
    g_autoptr(GHashTable) owners = g_hash_table_new(g_str_hash, g_str_equal);

    if (!regions)
        return NULL;
    g_autoptr(GPtrArray) leases = list_leases(ctl, error);
    if (!leases)
        return NULL;
    for (guint i = 0; i < leases->len; i++) {
        const PmemdLease *lease = leases->pdata[i];
        g_hash_table_insert(owners, lease->region, lease->owner);
    }
    GPtrArray *rows = g_ptr_array_new_full(regions->len, (GDestroyNotify) data_row_free);
    g_ptr_array_set_free_func(regions, NULL);
    for (guint i = 0; i < regions->len; i++) {
        DataRow *row = g_new0(DataRow, 1);
        row->data = regions->pdata[i];
        row->shown = *row->data;
        const char *owner = g_hash_table_lookup(owners, row->data->uuid);
        row->lease_owner = g_strdup(owner ? owner : "");
        g_ptr_array_add(rows, row);
    }
    return rows;
}

static const List lists[] = {
    { "raw", "Raw regions", "Raw PMEM regions", ctl_list_raw, columns_raw, print_xen_raw, offsetof(Ctl, raw) },
    { "mgmt", "Management regions", "Management PMEM regions", ctl_list_mgmt, columns_mgmt, print_xen_mgmt,
      offsetof(Ctl, mgmt) },
    { "data", "Data regions", "Data PMEM regions", list_data, columns_data, print_xen_data, offsetof(Ctl, data) },
    { "foreign", "Foreign devices", NULL, ctl_list_foreign, columns_foreign, NULL, offsetof(Ctl, foreign) },
};

static void print_xen_list(const List *list, const GPtrArray *rows) {
    if (!list->xen_title)
        return;
    printf("%s:\n", list->xen_title);
    for (guint i = 0; i < rows->len; i++)
        list->print_xen(i, rows->pdata[i]);
}

static bool is_chosen(const Ctl *ctl, const List *list) {
    bool all = ctl->all || !(ctl->raw || ctl->mgmt || ctl->data || ctl->foreign);
    return all || G_STRUCT_MEMBER(gboolean, ctl, list->chosen);
}

/* Each key is one of a list that is shown. */
static bool check_columns(const Ctl *ctl, char **keys, GError **error) {
    if (!keys[0]) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--columns takes keys such as uuid,name");
        return false;
    }
    for (size_t i = 0; keys[i]; i++) {
        const char *const key[] = { keys[i], NULL };
        guint found = 0;
        for (size_t j = 0; j < G_N_ELEMENTS(lists); j++) {
            g_autoptr(GPtrArray) columns = columns_choose(lists[j].columns(), key);
            found += is_chosen(ctl, &lists[j]) ? columns->len : 0;
        }
        if (found > 0)
            continue;
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "there is no column '%s' in these lists: --columns takes the keys that --json shows", keys[i]);
        return false;
    }
    return true;
}

/* The tables, with a line between those that have anything. */
static void print_tables(const Ctl *ctl, const GPtrArray *chosen, const GPtrArray *results, char **keys) {
    bool first = true;

    for (guint i = 0; i < chosen->len; i++) {
        const List *list = chosen->pdata[i];
        g_autoptr(GPtrArray) shown = columns_choose(list->columns(), (const char *const *) keys);
        if (shown->len == 0)
            continue;
        if (!first && !ctl->no_legend)
            puts("");
        first = false;
        print_table(stdout, ctl->no_legend ? NULL : list->title, shown, results->pdata[i]);
    }
}

static void print_json(const GPtrArray *chosen, const GPtrArray *results) {
    JsonObject *document = json_document_new();

    for (guint i = 0; i < chosen->len; i++) {
        const List *list = chosen->pdata[i];
        json_object_set_array_member(document, list->key, json_from_rows(list->columns(), results->pdata[i]));
    }
    json_document_print(stdout, document, true);
}

bool verb_list(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify) g_ptr_array_unref);
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;

    if ((keys && !check_columns(ctl, keys, error)) || !ctl_connect(ctl, error))
        return false;
    /* All is asked before anything is printed: an error leaves no half output. */
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        if (!is_chosen(ctl, &lists[i]))
            continue;
        GPtrArray *rows = lists[i].get(ctl, error);
        if (!rows)
            return false;
        g_ptr_array_add(results, rows);
        g_ptr_array_add(chosen, (void *) &lists[i]);
    }

    if (ctl->format == CTL_FORMAT_JSON)
        print_json(chosen, results);
    else if (ctl->format == CTL_FORMAT_TABLE)
        print_tables(ctl, chosen, results, keys);
    else
        for (guint i = 0; i < chosen->len; i++)
            print_xen_list(chosen->pdata[i], results->pdata[i]);
    return true;
}

/* --- show --- */

/* {KEY: fields} or lines. */
static void print_one(const Ctl *ctl, const char *key, const Column *columns, const void *row) {
    if (ctl->format != CTL_FORMAT_JSON) {
        print_record(stdout, columns, row);
        return;
    }
    JsonObject *document = json_document_new();
    json_object_set_object_member(document, key, json_from_row(columns, row));
    json_document_print(stdout, document, true);
}

static bool print_region(Ctl *ctl, const char *path, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;

    if (!ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return false;
    print_one(ctl, "region", columns_region(region), region);
    return true;
}

void ctl_print_changed(Ctl *ctl, const char *path) {
    GError *error = NULL;

    if (ctl->format == CTL_FORMAT_XEN_NDCTL || print_region(ctl, path, &error))
        return;
    /* The change stands all the same, and so must the exit status. */
    fprintf(stderr, "pmemctl: done, but the region cannot be shown: %s\n", error->message);
    g_clear_error(&error);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_string_member(document, "changed", path);
        json_document_print(stdout, document, true);
    } else
        printf("%s\n", path);
}

bool verb_show(Ctl *ctl, GError **error) {
    if (!ctl_connect(ctl, error))
        return false;
    if (ctl->n_args > 0) {
        g_autofree char *path = NULL;
        return ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) &&
               print_region(ctl, path, error);
    }

    g_autoptr(PmemdStatus) status = NULL;
    if (!ctl_check(ctl, pmemd_client_status(ctl->client, &status), error))
        return false;
    print_one(ctl, "daemon", columns_status(), status);
    return true;
}
