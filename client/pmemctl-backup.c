/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb export: the pools as they are, as a file from which they can be made again. An export that lacks something is
 * worse than none, as it takes the place of an older one: then there is none.
 */
#include "client/backup.h"

#include <stdio.h>
#include <string.h>

#include "client/pmemctl.h"
#include "proto/types.h"

static bool refuse_state(const char *kind, const char *uuid, const char *name, const char *state, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                "%s %s \"%s\" is %s: what it holds is not known, and an export would lack it; keep the last one", kind,
                uuid, name, state);
    return false;
}

static bool is_one_of(const char *state, const char *const *states) {
    return g_strv_contains(states, state);
}

/* One region with all it has. *ret_region NULL: it is gone meanwhile. */
static bool ask_region(Ctl *ctl, const char *uuid, PmemdRegion **ret_region, GError **error) {
    char path[PMEMD_PATH_MAX];
    GError *local = NULL;
    sd_id128_t id;

    *ret_region = NULL;
    if (!pmemd_uuid_parse(uuid, &id)) {
        g_set_error(error, CTL_ERROR, CTL_ERROR_PROTOCOL, "pmemd lists a region without uuid");
        return false;
    }
    if (ctl_check(ctl, pmemd_client_region(ctl->client, pmemd_region_path(id, path), ret_region), &local) ||
        g_error_matches(local, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION)) {
        g_clear_error(&local);
        return true;
    }
    g_propagate_error(error, local);
    return false;
}

static bool add_raws(Ctl *ctl, Backup *backup, GError **error) {
    g_autoptr(GPtrArray) raws = ctl_list_raw(ctl, error);
    g_autoptr(GPtrArray) cookies = raws ? ctl_list_cookies(ctl, raws, error) : NULL;

    if (!cookies)
        return false;
    for (guint i = 0; i < raws->len; i++) {
        const PmemdRaw *raw = raws->pdata[i];
        backup_add_raw(backup, raw->id, cookies->pdata[i], raw->frames, raw->node);
    }
    return true;
}

static bool add_pool(Ctl *ctl, Backup *backup, const PmemdMgmt *mgmt, GHashTable *pools, GError **error) {
    static const char *const unknown[] = { "corrupt", "unsupported", NULL };
    g_autoptr(PmemdRegion) region = NULL;

    if (is_one_of(mgmt->state, unknown))
        return refuse_state("pool", mgmt->uuid, mgmt->name, mgmt->state, error);
    if (!ask_region(ctl, mgmt->uuid, &region, error))
        return false;
    if (region)
        g_hash_table_insert(pools, g_strdup(mgmt->uuid), backup_add_pool(backup, region));
    return true;
}

/* only: the uuid of the pool that is wanted alone; NULL: all. pools: uuid -> BackupPool *, filled. */
static bool add_pools(Ctl *ctl, Backup *backup, const char *only, GHashTable *pools, GError **error) {
    static const char *const coming_and_going[] = { "creating", "releasing", NULL };
    g_autoptr(GPtrArray) list = ctl_list_mgmt(ctl, error);
    bool ok = list != NULL;

    for (guint i = 0; ok && i < list->len; i++) {
        const PmemdMgmt *mgmt = list->pdata[i];

        if ((!only || strcmp(only, mgmt->uuid) == 0) && !is_one_of(mgmt->state, coming_and_going))
            ok = add_pool(ctl, backup, mgmt, pools, error);
    }
    return ok;
}

/* Its pool may have come after the pools were listed. */
static bool add_region(Ctl *ctl, const PmemdData *data, BackupPool *pool, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;

    if (!pool) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "pool %s came while the lists were read: export again",
                    data->pool);
        return false;
    }
    if (!ask_region(ctl, data->uuid, &region, error))
        return false;
    if (region)
        backup_add_data(pool, region);
    return true;
}

static bool add_data(Ctl *ctl, const char *only, GHashTable *pools, GError **error) {
    /* Released ones are no more, and those that are being made are not yet. */
    static const char *const coming_and_going[] = { "creating", "quarantined", NULL };
    g_autoptr(GPtrArray) list = ctl_list_data(ctl, error);
    bool ok = list != NULL;

    for (guint i = 0; ok && i < list->len; i++) {
        const PmemdData *data = list->pdata[i];

        if ((!only || strcmp(only, data->pool) == 0) && !is_one_of(data->state, coming_and_going))
            ok = add_region(ctl, data, g_hash_table_lookup(pools, data->pool), error);
    }
    return ok;
}

static Backup *make_backup(Ctl *ctl, const char *only, GError **error) {
    g_autoptr(GHashTable) pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(PmemdStatus) status = NULL;

    if (!ctl_check(ctl, pmemd_client_status(ctl->client, &status), error))
        return NULL;
    if (strcmp(status->state, "recovering") == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                            "pmemd is still recovering, its lists are not complete: export when it is done");
        return NULL;
    }
    g_autoptr(Backup) backup = backup_new(status->machine_id, status->version);
    if (!add_raws(ctl, backup, error) || !add_pools(ctl, backup, only, pools, error) ||
        !add_data(ctl, only, pools, error))
        return NULL;
    return g_steal_pointer(&backup);
}

/* The uuid of the pool that the argument names. Free: g_free. */
static char *find_pool(Ctl *ctl, const char *key, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;
    g_autofree char *path = NULL;

    if (!ctl_check(ctl, pmemd_client_find(ctl->client, key, &path), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return NULL;
    if (strcmp(region->kind, "mgmt") == 0)
        return g_strdup(region->uuid);
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "'%s' is a data region: a pool is exported as a whole", key);
    return NULL;
}

/* Of an export that is the same its time stays that of the last change. */
static bool write_file(const char *path, const char *text, GError **error) {
    g_autoptr(GError) local = NULL;
    g_autofree char *old = NULL;

    if (g_file_get_contents(path, &old, NULL, NULL) && strcmp(old, text) == 0)
        return true;
    /* It says whose memory lies where. */
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &local))
        return true;
    g_set_error(error, CTL_ERROR, CTL_ERROR_OUTPUT, "cannot write the export: %s", local->message);
    return false;
}

bool verb_export(Ctl *ctl, GError **error) {
    g_autofree char *only = NULL;

    if (!ctl_connect(ctl, error) || (ctl->n_args > 0 && !(only = find_pool(ctl, ctl->args[0], error))))
        return false;
    g_autoptr(Backup) backup = make_backup(ctl, only, error);
    if (!backup)
        return false;
    g_autofree char *text = backup_format(backup);
    /* What cannot be read again is no backup. */
    g_autoptr(Backup) again = backup_parse(text, strlen(text), error);
    if (!again) {
        g_prefix_error(error, "pmemd's lists do not fit each other: ");
        return false;
    }
    if (ctl->output)
        return write_file(ctl->output, text, error);
    (void) fputs(text, stdout); /* main() looks whether all of it was written */
    return true;
}
