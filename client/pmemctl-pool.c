/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb pool: which pools libvirt has.
 */
#include <string.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

static bool check_arguments(const Ctl *ctl, const GPtrArray *shown, char **keys, GError **error) {
    bool list = strcmp(ctl->args[0], "list") == 0;

    if (!list && strcmp(ctl->args[0], "enable") != 0 && strcmp(ctl->args[0], "disable") != 0)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "pool takes list, enable or disable, not '%s'",
                    ctl->args[0]);
    else if (list && ctl->n_args > 1)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "pool list takes no more; '%s' is too much", ctl->args[1]);
    else if (!list && ctl->n_args < 2)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "which pool? 'pmemctl pool list' shows them");
    else if (keys && (shown->len == 0 || shown->len < g_strv_length(keys)))
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "there is no column '%s' in this list: --columns takes the keys that --json shows", ctl->columns);
    else
        return true;
    return false;
}

/* All, or the one that is asked for by its name or uuid. */
static GPtrArray *rows_about(GPtrArray *pools, const char *key) {
    GPtrArray *rows = g_ptr_array_new();

    for (guint i = 0; i < pools->len; i++) {
        PmemdLibvirtPool *pool = pools->pdata[i];
        if (!key || strcmp(pool->name, key) == 0 || g_ascii_strcasecmp(pool->uuid, key) == 0)
            g_ptr_array_add(rows, pool);
    }
    return rows;
}

bool verb_pool(Ctl *ctl, GError **error) {
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;
    g_autoptr(GPtrArray) shown = columns_choose(columns_libvirt_pool(), (const char *const *) keys);
    const char *pool = ctl->n_args > 1 ? ctl->args[1] : NULL;

    if (!check_arguments(ctl, shown, keys, error) || !ctl_connect(ctl, error))
        return false;
    bool enable = strcmp(ctl->args[0], "enable") == 0;
    if (pool && !ctl_check(ctl, pmemd_client_offer_libvirt_pool(ctl->client, pool, enable), error))
        return false;
    g_autoptr(GPtrArray) pools = ctl_list_libvirt_pools(ctl, error);
    if (!pools)
        return false;
    g_autoptr(GPtrArray) rows = rows_about(pools, pool);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_array_member(document, "pools", json_from_rows(columns_libvirt_pool(), rows));
        json_document_print(stdout, document, true);
    } else
        print_table(stdout, ctl->no_legend ? NULL : "Pools", shown, rows);
    return true;
}
