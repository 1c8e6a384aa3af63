/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs of whoever puts things right: adopt, forget, journal.
 */
#include <string.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"
#include "proto/one-line.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdRepair, pmemd_repair_free)

/* --- adopt, forget --- */

bool verb_adopt(Ctl *ctl, GError **error) {
    PmemdAdoption how = { .mgmt = ctl->pool, .name = ctl->name, .mgmt_frame = PMEMD_FRAME_UNKNOWN };
    g_autofree char *path = NULL;

    if ((ctl->new_owner && !ctl_read_user(ctl->new_owner, &how.uid, error)) || !ctl_connect(ctl, error) ||
        !ctl_check(ctl, pmemd_client_adopt(ctl->client, ctl->args[0], &how, ctl->request_id, &path), error))
        return false;
    ctl_print_changed(ctl, path);
    return true;
}

/* A region by any key that the other verbs take; what is none is the name of a device. */
static char *region_uuid(Ctl *ctl, const char *key) {
    g_autofree char *path = NULL;
    g_autoptr(PmemdRegion) region = NULL;

    if (pmemd_client_find(ctl->client, key, &path) < 0 || pmemd_client_region(ctl->client, path, &region) < 0)
        return g_strdup(key);
    return g_strdup(region->uuid);
}

static void print_forgotten(const Ctl *ctl, const char *what, const char *job) {
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        JsonObject *body = json_object_new();

        json_object_set_string_member(body, "what", what);
        json_object_set_string_member(body, "job", job);
        json_object_set_object_member(document, "forget", body);
        json_document_print(stdout, document, true);
    } else if (ctl->format == CTL_FORMAT_TABLE && job[0] != '\0') {
        printf("Erasing %s, it is gone after that: %s\n", what, job);
    } else if (ctl->format == CTL_FORMAT_TABLE) {
        printf("Forgot %s\n", what);
    }
}

bool verb_forget(Ctl *ctl, GError **error) {
    unsigned flags = (ctl->destroy ? PMEMD_REPAIR_DESTROY : 0u) | (ctl->force ? PMEMD_REPAIR_FORCE : 0u);
    g_autofree char *job = NULL;

    if (!ctl_connect(ctl, error))
        return false;
    g_autofree char *what = region_uuid(ctl, ctl->args[0]);
    if (!ctl_check(ctl, pmemd_client_forget(ctl->client, what, flags, ctl->pool, ctl->request_id, &job), error))
        return false;
    print_forgotten(ctl, ctl->args[0], strcmp(job, "/") == 0 ? "" : job);
    return true;
}

/* --- journal --- */

static void print_report(const Ctl *ctl, const PmemdRepair *repair) {
    g_auto(GStrv) lines = g_strsplit(repair->report, "\n", -1);

    if (ctl->format != CTL_FORMAT_JSON) {
        for (guint i = 0; lines[i]; i++) {
            g_autofree char *line = one_line(lines[i]);

            if (line[0] != '\0')
                puts(line);
        }
        return;
    }
    JsonObject *document = json_document_new();
    JsonObject *body = json_object_new();
    JsonArray *report = json_array_new();

    for (guint i = 0; lines[i]; i++)
        if (lines[i][0] != '\0')
            json_array_add_string_element(report, lines[i]);
    json_object_set_boolean_member(body, "needed", repair->needed);
    json_object_set_boolean_member(body, "applied", repair->applied);
    json_object_set_int_member(body, "kept", repair->kept);
    json_object_set_int_member(body, "missing", repair->missing);
    json_object_set_int_member(body, "lost", repair->lost);
    json_object_set_int_member(body, "lost_records", repair->lost_records);
    json_object_set_int_member(body, "orphans", repair->orphans);
    json_object_set_string_member(body, "evidence", repair->evidence);
    json_object_set_array_member(body, "report", report);
    json_object_set_object_member(document, "repair", body);
    json_document_print(stdout, document, true);
}

static bool repair(Ctl *ctl, GError **error) {
    unsigned flags = (ctl->apply ? PMEMD_REPAIR_APPLY : 0u) | (ctl->force ? PMEMD_REPAIR_FORCE : 0u);
    g_autoptr(PmemdRepair) found = NULL;

    if (!ctl_connect(ctl, error))
        return false;
    g_autofree char *pool = region_uuid(ctl, ctl->args[1]);
    if (!ctl_check(ctl, pmemd_client_repair(ctl->client, pool, flags, &found), error))
        return false;
    print_report(ctl, found);
    return true;
}

/* The device of a pool of the running daemon. */
static char *device_of(Ctl *ctl, const char *key, GError **error) {
    g_autofree char *path = NULL;
    g_autoptr(PmemdRegion) region = NULL;

    if (!ctl_connect(ctl, error) || !ctl_check(ctl, pmemd_client_find(ctl->client, key, &path), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return NULL;
    if (strcmp(region->kind, "mgmt") == 0 && region->device_path[0] != '\0')
        return g_strdup(region->device_path);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "%s is no pool with a device whose path you may know: ask as root, or give the path", key);
    return NULL;
}

static bool look(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autofree char *file = NULL;

    if (ctl->host) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "a journal is looked at on its own host: use ssh");
        return false;
    }
    if (strchr(ctl->args[1], '/') && !g_str_has_prefix(ctl->args[1], "/org/pmemd1/") &&
        g_file_test(ctl->args[1], G_FILE_TEST_EXISTS))
        file = g_strdup(ctl->args[1]);
    else
        file = device_of(ctl, ctl->args[1], error);
    if (!file)
        return false;

    if (ctl->format == CTL_FORMAT_JSON)
        g_ptr_array_add(words, (char *) "--json");
    g_ptr_array_add(words, ctl->args[0]);
    g_ptr_array_add(words, file);
    return ctl_become("pmemd-journal", words, error);
}

bool verb_journal(Ctl *ctl, GError **error) {
    if (strcmp(ctl->args[0], "repair") == 0)
        return repair(ctl, error);
    if (strcmp(ctl->args[0], "check") == 0 || strcmp(ctl->args[0], "show") == 0) {
        if (!ctl->apply && !ctl->force)
            return look(ctl, error);
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--apply and --force are for 'journal repair'");
        return false;
    }
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "'journal %s' is none of check, show, repair", ctl->args[0]);
    return false;
}
