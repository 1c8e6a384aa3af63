/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb import: from an export to regions. The plan is shown before anything is done; with --apply each step is told
 * when it is done, so that whoever is interrupted knows how far it came. Doing it again goes on from there.
 */
#include "client/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"
#include "proto/one-line.h"

/* Request-ids of regions that were made from the same export before and are gone. */
#define MAX_ATTEMPTS 64u

static char *read_all(FILE *file, size_t *ret_length, GError **error) {
    g_autoptr(GString) text = g_string_new(NULL);
    char piece[65536];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, file)) > 0) {
        g_string_append_len(text, piece, (gssize) n);
        if (text->len > BACKUP_MAX_BYTES)
            break; /* too much: backup_parse says so */
    }
    if (ferror(file)) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "the export cannot be read: %s", g_strerror(errno));
        return NULL;
    }
    *ret_length = text->len;
    return g_strndup(text->str, text->len);
}

static Backup *read_backup(const char *path, GError **error) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? fdopen(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "r") : fopen(path, "re");
    size_t length = 0;

    if (!file) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "the export %s cannot be opened: %s", path,
                    g_strerror(errno));
        return NULL;
    }
    g_autofree char *text = read_all(file, &length, error);
    (void) fclose(file);
    return text ? backup_parse(text, length, error) : NULL;
}

static char *user_of(uint32_t uid) {
    const struct passwd *entry = getpwuid(uid);
    return entry ? g_strdup(entry->pw_name) : NULL;
}

/* --- what is there --- */

static void present_clear(RestorePresent *present) {
    GPtrArray *lists[] = { present->raws, present->cookies, present->mgmt, present->data, present->foreign };

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        if (lists[i])
            g_ptr_array_unref(lists[i]);
}

static bool ask_present(Ctl *ctl, const PmemdStatus *status, RestorePresent *ret_present, GError **error) {
    RestorePresent present = { .machine_id = status->machine_id, .user_of = ctl->host ? NULL : user_of };

    if ((present.raws = ctl_list_raw(ctl, error)) && (present.cookies = ctl_list_cookies(ctl, present.raws, error)) &&
        (present.mgmt = ctl_list_mgmt(ctl, error)) && (present.data = ctl_list_data(ctl, error)) &&
        (present.foreign = ctl_list_foreign(ctl, error))) {
        *ret_present = present;
        return true;
    }
    present_clear(&present);
    return false;
}

/* --- what is shown --- */

static void raw_row_free(void *data) {
    g_free(data);
}

static GPtrArray *raw_rows(const Restore *restore) {
    GPtrArray *rows = g_ptr_array_new_with_free_func(raw_row_free);

    for (guint i = 0; i < restore->raws->len; i++) {
        const RestoreRaw *raw = restore->raws->pdata[i];
        RestoreRawRow *row = g_new(RestoreRawRow, 1);

        *row = (RestoreRawRow){
            .was_id = raw->was->id,
            .was = raw->was->frames,
            .id = raw->now ? raw->now->id : "",
            .now = raw->now ? raw->now->frames : (PmemdRange){ 0, 0 },
            .by = raw->by,
        };
        g_ptr_array_add(rows, row);
    }
    return rows;
}

static void print_json(const Ctl *ctl, const Restore *restore) {
    JsonObject *document = json_document_new(), *body = json_object_new();
    g_autoptr(GPtrArray) raws = raw_rows(restore);

    json_object_set_boolean_member(body, "applied", ctl->apply);
    json_object_set_boolean_member(body, "same_machine", restore->same_machine);
    json_object_set_array_member(body, "raw", json_from_rows(columns_restore_raw(), raws));
    json_object_set_array_member(body, "regions", json_from_rows(columns_restore(), restore->items));
    json_object_set_object_member(document, "import", body);
    json_document_print(stdout, document, true);
}

static void print_plan(const Ctl *ctl, const Restore *restore) {
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;
    g_autoptr(GPtrArray) raws = raw_rows(restore), shown_raws = columns_choose(columns_restore_raw(), NULL);
    g_autoptr(GPtrArray) shown = columns_choose(columns_restore(), (const char *const *) keys);

    if (!ctl->no_legend) {
        print_table(stdout, "Raw regions", shown_raws, raws);
        putchar('\n');
    }
    print_table(stdout, ctl->no_legend ? NULL : "Regions", shown, restore->items);
    if (!ctl->no_legend && !ctl->apply)
        puts("\nNothing was done: --apply does it. Content does not come back, uuids are new.");
    (void) fflush(stdout); /* main() looks whether all of it was written */
}

static const char *title_of(const RestoreItem *item) {
    return item->data ? "data region" : "pool";
}

static void tell(const Ctl *ctl, const RestoreItem *item, const char *what) {
    if (ctl->format == CTL_FORMAT_JSON)
        return;
    g_autofree char *text = one_line(what);
    printf("%s %s%s%s %s\n", title_of(item), item->uuid, item->name[0] != '\0' ? " " : "", item->name, text);
    (void) fflush(stdout);
}

/* --- what is done --- */

static PmemdRequest *request_for(const RestoreItem *item) {
    PmemdRequest *request = NULL;
    PmemdOperation operation = item->data ? PMEMD_OPERATION_SETUP_DATA : PMEMD_OPERATION_SETUP_MGMT;

    g_assert(pmemd_request_new(operation, &request) >= 0);
    pmemd_request_set_frames(request, item->now.start, item->now.end);
    if (item->name[0] != '\0')
        pmemd_request_set_name(request, item->name);
    if (item->data) {
        pmemd_request_set_mgmt_frames(request, item->extent.start, item->extent.end);
    } else {
        pmemd_request_set_profile(request, item->pool->profile);
        pmemd_request_set_max_regions(request, item->pool->max_regions);
    }
    return request;
}

/* The region, made now or by the same request before. */
static PmemdRegion *make(Ctl *ctl, const RestoreItem *item, GError **error) {
    g_autoptr(PmemdRequest) request = request_for(item);
    char id[PMEMD_REQUEST_ID_SIZE];

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        g_autofree char *path = NULL;
        GError *gone = NULL;
        PmemdRegion *region = NULL;

        restore_item_request_id(item, attempt, id);
        pmemd_request_set_id(request, id);
        if (!ctl_check(ctl, pmemd_client_submit(ctl->client, request, &path), error))
            return NULL;
        if (ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), &gone)) {
            if (strcmp(region->state, "quarantined") != 0)
                return region;
            pmemd_region_free(region);
        } else if (!g_error_matches(gone, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION)) {
            g_propagate_error(error, gone);
            return NULL;
        }
        /* That was the answer to an import before, whose region was released since. */
        g_clear_error(&gone);
    }
    g_set_error(error, CTL_ERROR, CTL_ERROR_INCOMPLETE, "it was made and released %u times: make it by hand",
                MAX_ATTEMPTS);
    return NULL;
}

/* A uid of another name on the host than in the export must not get the region: only the host knows its users. */
static bool give(Ctl *ctl, RestoreItem *item, const char *path, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;

    if (!ctl_check(ctl, pmemd_client_set_owner(ctl->client, path, item->owner_uid), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return false;
    if (strcmp(region->owner, item->owner) == 0) {
        g_autofree char *what = g_strdup_printf("is given to %s", item->owner);
        tell(ctl, item, what);
        return true;
    }
    g_autofree char *what = g_strdup_printf("stays root's: user %u is not %s there", item->owner_uid, item->owner);
    if (!ctl_check(ctl, pmemd_client_set_owner(ctl->client, path, 0), error))
        return false;
    restore_item_set(item, item->result, what);
    g_free(item->owner);
    item->owner = g_strdup("root");
    tell(ctl, item, what);
    return true;
}

static bool do_item(Ctl *ctl, RestoreItem *item, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;
    g_autofree char *path = NULL;

    if (item->result == RESTORE_THERE) {
        return !item->set_owner || (ctl_check(ctl, pmemd_client_find(ctl->client, item->now_uuid, &path), error) &&
                                    give(ctl, item, path, error));
    }
    region = make(ctl, item, error);
    if (!region)
        return false;
    g_autofree char *what = g_strdup_printf("is made: %s", region->uuid);
    g_free(item->now_uuid);
    item->now_uuid = g_strdup(region->uuid);
    tell(ctl, item, what);
    return !item->set_owner || give(ctl, item, region->path, error);
}

/* What fails is told with the item; false: pmemd is gone, and nobody can be asked any more. */
static bool apply_item(Ctl *ctl, RestoreItem *item, GError **error) {
    g_autoptr(GError) local = NULL;

    if (item->result == RESTORE_IMPOSSIBLE)
        return true;
    if (item->home->result == RESTORE_FAILED) {
        restore_item_set(item, RESTORE_FAILED, "its pool was not made");
        return true;
    }
    if (do_item(ctl, item, &local))
        return true;
    restore_item_set(item, RESTORE_FAILED, local->message);
    g_autofree char *what = g_strconcat("failed: ", local->message, NULL);
    tell(ctl, item, what);
    if (local->domain != CTL_ERROR || local->code == CTL_ERROR_INCOMPLETE)
        return true;
    g_propagate_prefixed_error(error, g_steal_pointer(&local), "the import stopped, do it again to go on: ");
    return false;
}

/* One after the other; false as above, and what was not tried says so. */
static bool apply(Ctl *ctl, Restore *restore, GError **error) {
    bool ok = true;

    for (guint i = 0; i < restore->items->len; i++)
        if (ok)
            ok = apply_item(ctl, restore->items->pdata[i], error);
        else
            restore_item_set(restore->items->pdata[i], RESTORE_FAILED, "not tried");
    return ok;
}

/* How it went; false: not all well. */
static bool sum_up(const Ctl *ctl, const Restore *restore, GError **error) {
    guint counts[RESTORE_FAILED + 1] = { 0 };

    for (guint i = 0; i < restore->items->len; i++)
        counts[((const RestoreItem *) restore->items->pdata[i])->result]++;
    if (ctl->apply && ctl->format == CTL_FORMAT_TABLE)
        printf("%u made at their places, %u made elsewhere, %u there before, %u impossible, %u failed\n",
               counts[RESTORE_SAME], counts[RESTORE_MOVED], counts[RESTORE_THERE], counts[RESTORE_IMPOSSIBLE],
               counts[RESTORE_FAILED]);
    guint bad = counts[RESTORE_IMPOSSIBLE] + counts[RESTORE_FAILED];
    if (bad == 0)
        return true;
    g_set_error(error, CTL_ERROR, CTL_ERROR_INCOMPLETE, "%u of %u regions %s: see their notes", bad,
                restore->items->len, ctl->apply ? "were not made" : "cannot be made");
    return false;
}

static bool check_columns(const Ctl *ctl, GError **error) {
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;

    for (size_t i = 0; keys && keys[i]; i++) {
        const char *const key[] = { keys[i], NULL };
        g_autoptr(GPtrArray) found = columns_choose(columns_restore(), key);

        if (found->len > 0)
            continue;
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "there is no column '%s': --columns takes the keys that --json shows", keys[i]);
        return false;
    }
    return true;
}

static bool import(Ctl *ctl, const Backup *backup, const RestorePresent *present, GError **error) {
    g_autoptr(Restore) restore = restore_plan(backup, present, ctl->map, error);

    if (!restore)
        return false;
    if (ctl->format != CTL_FORMAT_JSON)
        print_plan(ctl, restore);
    bool ok = !ctl->apply || apply(ctl, restore, error);
    if (ctl->format == CTL_FORMAT_JSON)
        print_json(ctl, restore);
    return sum_up(ctl, restore, ok ? error : NULL) && ok;
}

bool verb_import(Ctl *ctl, GError **error) {
    g_autoptr(Backup) backup = NULL;
    g_autoptr(PmemdStatus) status = NULL;
    RestorePresent present;

    if (!check_columns(ctl, error) || !(backup = read_backup(ctl->args[0], error)) || !ctl_connect(ctl, error) ||
        !ctl_check(ctl, pmemd_client_status(ctl->client, &status), error))
        return false;
    if (strcmp(status->state, "recovering") == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                            "pmemd is still recovering, its lists are not complete: import when it is done");
        return false;
    }
    if (!ask_present(ctl, status, &present, error))
        return false;
    bool ok = import(ctl, backup, &present, error);
    present_clear(&present);
    return ok;
}
