/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs on a region that exists: release, rename, set-owner.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

#define FAREWELL_USEC (5 * G_USEC_PER_SEC)

/* --- release --- */

typedef struct {
    const char *job; /* NULL until it is known */
    const char *region;
    char *result; /* "done", "failed"; NULL: not ended */
} JobWait;

static const char *value_text(const PmemdEvent *event, const char *name) {
    const PmemdValue *value = pmemd_event_value(event, name);
    return value && value->type == 's' ? value->s : "";
}

static void on_event(PmemdClient *client, const PmemdEvent *event, void *data) {
    JobWait *wait = data;

    if (event->type != PMEMD_EVENT_JOB_REMOVED || g_strcmp0(wait->job, event->path) != 0 || wait->result)
        return;
    wait->result = g_strdup(value_text(event, "Result"));
}

/* Events until the job ends, at most for so long. */
static bool dispatch(Ctl *ctl, const JobWait *wait, uint64_t usec, GError **error) {
    int64_t started = g_get_monotonic_time();

    while (!wait->result) {
        uint64_t passed = (uint64_t) (g_get_monotonic_time() - started);
        if (!ctl_dispatch(ctl, passed < usec ? usec - passed : 0, error))
            return false;
        if (passed >= usec)
            break;
    }
    return true;
}

#define BAR_CELLS 30

/* A line on a terminal, over the one before. */
static void show_progress(const PmemdJob *job) {
    guint full = (guint) (CLAMP(job->progress, 0, 1) * BAR_CELLS);
    g_autofree char *done = g_strnfill(full, '#'), *left = g_strnfill(BAR_CELLS - full, '.');
    g_autofree char *rate = job->rate > 0 ? g_format_size_full(job->rate, G_FORMAT_SIZE_IEC_UNITS) : NULL;

    fprintf(stderr, "\r\033[K[%s%s] %5.1f%% %s", done, left, job->progress * 100, job->state);
    if (rate && strcmp(job->state, "running") == 0) {
        uint64_t seconds = (job->bytes_total - job->bytes_done) / job->rate;

        fprintf(stderr, ", %s/s, %" PRIu64 ":%02" PRIu64 " left", rate, seconds / 60, seconds % 60);
    }
    (void) fflush(stderr);
}

/* One look at a job that has not said that it ended: its progress on a terminal, or an error when it is no more. */
static bool look_at_job(Ctl *ctl, JobWait *wait, GError **error) {
    GError *gone = NULL;

    g_autoptr(PmemdJob) job = NULL;
    if (ctl_check(ctl, pmemd_client_job(ctl->client, wait->job, &job), &gone)) {
        if (isatty(STDERR_FILENO))
            show_progress(job);
        return true;
    }
    /* pmemd gathers its signals a while: the farewell may come after the answer, and behind others. */
    bool coming = g_error_matches(gone, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
    if (!dispatch(ctl, wait, coming ? FAREWELL_USEC : 0, error)) {
        g_clear_error(&gone);
        return false;
    }
    if (wait->result) {
        g_clear_error(&gone);
        return true;
    }
    g_propagate_prefixed_error(error, gone, "the region is quarantined, but how its erasing went is not known: ");
    return false;
}

/* The end that was heard of may be that of the erase before the first guest, just before the release. */
static bool was_other_job(Ctl *ctl, const JobWait *wait) {
    g_autoptr(PmemdRegion) region = NULL;

    return strcmp(wait->result, "done") == 0 && pmemd_client_region(ctl->client, wait->region, &region) >= 0;
}

static bool wait_for_job(Ctl *ctl, JobWait *wait, GError **error) {
    while (!wait->result || was_other_job(ctl, wait)) {
        g_clear_pointer(&wait->result, g_free);
        /* Signals wake us; the look once a second is for progress, and for a daemon that went away. */
        if (!dispatch(ctl, wait, G_USEC_PER_SEC, error))
            return false;
        if (!wait->result && !look_at_job(ctl, wait, error))
            return false;
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (strcmp(wait->result, "done") == 0)
        return true;
    /* Why is not for all who hear of it: the region says it to its owner. */
    g_autoptr(PmemdRegion) region = NULL;
    bool known = pmemd_client_region(ctl->client, wait->region, &region) >= 0 && region->state_reason[0];
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "the region stays quarantined, erasing it failed: %s",
                known ? region->state_reason : "why is in the log of pmemd");
    return false;
}

static void print_release(const Ctl *ctl, const PmemdRegion *region, const char *job, bool done) {
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        JsonObject *body = json_object_new();
        json_object_set_string_member(body, "path", region->path);
        json_object_set_string_member(body, "uuid", region->uuid);
        json_object_set_string_member(body, "kind", region->kind);
        json_object_set_string_member(body, "job", job ? job : "");
        json_object_set_boolean_member(body, "done", done);
        json_object_set_object_member(document, "release", body);
        json_document_print(stdout, document, true);
    } else if (ctl->format == CTL_FORMAT_TABLE && done)
        printf("Released %s region %s\n", region->kind, region->uuid);
    else if (ctl->format == CTL_FORMAT_TABLE)
        printf("Erasing %s region %s, its frames are free after that: %s\n", region->kind, region->uuid, job);
}

static bool release_data(Ctl *ctl, const PmemdRegion *region, GError **error) {
    JobWait wait = { .region = region->path };

    /* Before the release, so that the end of a short job is not missed. */
    if (ctl->wait && !ctl_check(ctl, pmemd_client_subscribe(ctl->client, on_event, &wait), error))
        return false;
    g_autofree char *job = NULL;
    int r = ctl->verify ? pmemd_client_release_data_verified(ctl->client, region->path, ctl->request_id, &job)
                        : pmemd_client_release_data(ctl->client, region->path, ctl->request_id, &job);
    if (!ctl_check(ctl, r, error))
        return false;
    /* Its name is gone with the release. */
    if (ctl->wait && isatty(STDERR_FILENO))
        fprintf(stderr, "Erasing data region %s; to wait again after an interrupt: pmemctl release %s --wait\n",
                region->uuid, region->uuid);

    wait.job = job;
    bool ok = !ctl->wait || wait_for_job(ctl, &wait, error);
    if (ok)
        print_release(ctl, region, job, ctl->wait);
    g_free(wait.result);
    return ok;
}

bool verb_release(Ctl *ctl, GError **error) {
    if (!ctl_connect(ctl, error))
        return false;
    g_autofree char *path = NULL;
    g_autoptr(PmemdRegion) region = NULL;
    if (!ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return false;

    if (strcmp(region->kind, "mgmt") != 0)
        return release_data(ctl, region, error);
    if (!ctl_check(ctl, pmemd_client_release_mgmt(ctl->client, path, ctl->request_id), error))
        return false;
    print_release(ctl, region, NULL, true);
    return true;
}

/* --- rename, set-owner --- */

bool verb_rename(Ctl *ctl, GError **error) {
    if (!ctl_connect(ctl, error))
        return false;
    g_autofree char *path = NULL;
    if (!ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_rename(ctl->client, path, ctl->args[1]), error))
        return false;
    ctl_print_changed(ctl, path);
    return true;
}

/* A user by name, else by number: a name may consist of digits. */
bool ctl_read_user(const char *text, uint32_t *ret_uid, GError **error) {
    uint64_t number;

    errno = 0;
    const struct passwd *entry = getpwnam(text);
    if (entry) {
        *ret_uid = entry->pw_uid;
        return true;
    }
    if (!g_ascii_isdigit(text[0])) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "there is no user '%s' on this host", text);
        return false;
    }
    if (!parse_number("USER", text, UINT32_MAX - 1, &number, error))
        return false;
    *ret_uid = (uint32_t) number;
    return true;
}

bool verb_set_owner(Ctl *ctl, GError **error) {
    uint32_t uid;

    if (!ctl_read_user(ctl->args[1], &uid, error) || !ctl_connect(ctl, error))
        return false;
    g_autofree char *path = NULL;
    if (!ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_set_owner(ctl->client, path, uid), error))
        return false;
    ctl_print_changed(ctl, path);
    return true;
}
