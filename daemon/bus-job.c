/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-job.h"

#include "daemon/log.h"
#include "proto/error.h"
#include "proto/names.h"

#include <stddef.h>

typedef struct {
    const char *kind, *state;
    char region[PMEMD_PATH_MAX];
    uint64_t bytes_done, bytes_total, rate;
    double progress;
} JobFacts;

struct BusJob {
    BusView *view;
    BusAuthority *authority;
    Eraser *eraser; /* NULL: not yet, or no longer */
    sd_bus_slot *objects, *enumerator;
    JobFacts facts; /* of the object that sd-bus asks about now; filled by find() before its properties are read */
};

static int get_path(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *text, sd_bus_error *ret_error) {
    return sd_bus_message_append_basic(reply, 'o', text);
}

static bool describe_job(void *data, sd_bus_message *call, const Caller *caller, BusPurpose *purpose, GError **error) {
    /* Of what has no path of a job there is no job either: run_on_job() says so. */
    purpose->has_target = pmemd_job_path_parse(sd_bus_message_get_path(call), &purpose->target);
    return true;
}

static bool run_on_job(void *data, sd_bus_message *call, const Caller *caller, bool others, GError **error) {
    const BusJob *jobs = data;
    sd_id128_t region;

    if (!jobs->eraser || !pmemd_job_path_parse(sd_bus_message_get_path(call), &region)) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "the job has ended");
        return false;
    }
    if (!(g_str_equal(sd_bus_message_get_member(call), "Pause") ? eraser_pause(jobs->eraser, region, error)
                                                                : eraser_resume(jobs->eraser, region, error)))
        return false;
    const BusAuditRegion before = bus_audit_before(jobs->view->audit, call);
    bus_audit_done(jobs->view->audit, call, caller, &before, region, SD_ID128_NULL);
    bus_view_answered(jobs->view, call, sd_bus_reply_method_return(call, NULL));
    return true;
}

static int handle_pause_resume(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    static const BusOperation operation = {
        .interface = PMEMD_IFACE_JOB,
        .describe = describe_job,
        .run = run_on_job,
    };
    BusJob *jobs = userdata;

    return bus_authorize(jobs->authority, call, &operation, jobs);
}

#define FACT(member) offsetof(BusJob, facts.member)

static const sd_bus_vtable job_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, handle_pause_resume, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, handle_pause_resume,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Kind", "s", NULL, FACT(kind), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Region", "o", get_path, FACT(region), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", NULL, FACT(state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Progress", "d", NULL, FACT(progress), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("BytesDone", "t", NULL, FACT(bytes_done), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("BytesTotal", "t", NULL, FACT(bytes_total), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Rate", "t", NULL, FACT(rate), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

/* BytesTotal too: it is known only when the job has opened the region. */
static const char *const mutable_properties[] = { "State", "Progress", "BytesDone", "BytesTotal", "Rate", NULL };

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *ret_error) {
    BusJob *jobs = userdata;
    sd_id128_t region;
    EraseJob job;

    if (!jobs->eraser || !pmemd_job_path_parse(path, &region) || !eraser_get_job(jobs->eraser, region, &job))
        return 0;
    jobs->facts = (JobFacts){
        .kind = "erase",
        .state = erase_state_to_string(job.state),
        .bytes_done = job.bytes_done,
        .bytes_total = job.bytes_total,
        .rate = job.rate,
        .progress = job.bytes_total > 0 ? (double) job.bytes_done / (double) job.bytes_total : 0,
    };
    pmemd_region_path(job.region, jobs->facts.region);
    *ret_found = jobs;
    return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error) {
    const BusJob *jobs = userdata;
    guint n = jobs->eraser ? eraser_count(jobs->eraser) : 0;

    if (n > BUS_OBJECTS_MAX) {
        if (bus_view_is_introspecting(jobs->view))
            return 0;
        return sd_bus_error_setf(ret_error, pmemd_error_dbus_name(PMEMD_ERROR_LIMITS_EXCEEDED),
                                 "%u jobs are more than the %u that fit one message: ask for those of single regions",
                                 n, BUS_OBJECTS_MAX);
    }

    /* sd-bus frees the list with free(), which is what GLib's memory comes from. */
    char **nodes = g_new0(char *, n + 1u);
    for (guint i = 0; i < n; i++) {
        char path[PMEMD_PATH_MAX];
        EraseJob job;

        eraser_get_nth(jobs->eraser, i, &job);
        nodes[i] = g_strdup(pmemd_job_path(job.region, path));
    }
    *ret_nodes = nodes;
    return 0;
}

static void on_job_added(void *data, const EraseJob *job) {
    BusJob *jobs = data;
    char path[PMEMD_PATH_MAX];

    bus_news_added(jobs->view->news, pmemd_job_path(job->region, path));
}

static void on_job_changed(void *data, const EraseJob *job) {
    BusJob *jobs = data;
    char path[PMEMD_PATH_MAX];

    bus_news_changed(jobs->view->news, pmemd_job_path(job->region, path), PMEMD_IFACE_JOB, mutable_properties);
}

static void log_end(sd_id128_t region, bool released, const char *message) {
    char uuid[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(region, uuid);
    if (message)
        log_event(EVENT_ERASE_FAILED, LOG_FIELDS({ "REGION", uuid }), "the erase of data region %s failed, it %s: %s",
                  uuid, released ? "stays quarantined" : "is lent to nobody", message);
    else if (!released)
        log_message(LOG_INFO, NULL, NULL, "data region %s was erased for its first guest", uuid);
    else
        log_event(EVENT_REGION_FREED, LOG_FIELDS({ "REGION", uuid }), "data region %s was erased, its frames are free",
                  uuid);
}

static void on_job_removed(void *data, sd_id128_t region, const char *message) {
    BusJob *jobs = data;
    char job[PMEMD_PATH_MAX], of[PMEMD_PATH_MAX];
    EraseJob ended;

    pmemd_job_path(region, job);
    pmemd_region_path(region, of);
    /* What an orderly end cuts off goes on at the next start. */
    if (jobs->eraser && eraser_get_job(jobs->eraser, region, &ended))
        log_end(region, ended.released, message);

    bus_news_flush(jobs->view->news);
    int r = sd_bus_emit_signal(jobs->view->bus, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "JobRemoved", "ooss", job, of,
                               message ? "failed" : "done", ""); /* why may name addresses and paths */
    if (r < 0 && r != -ENOTCONN)
        log_message(LOG_WARNING, of, NULL, "cannot send JobRemoved, ignoring: %s", g_strerror(-r));
    bus_news_removed(jobs->view->news, job, PMEMD_IFACE_JOB);
}

const EraserEvents *bus_job_events(void) {
    static const EraserEvents events = {
        .job_added = on_job_added,
        .job_changed = on_job_changed,
        .job_removed = on_job_removed,
    };
    return &events;
}

void bus_job_set_eraser(BusJob *jobs, Eraser *eraser) {
    jobs->eraser = eraser;
}

BusJob *bus_job_new(BusView *view, BusAuthority *authority, GError **error) {
    g_autoptr(BusJob) jobs = g_new0(BusJob, 1);

    jobs->view = view;
    jobs->authority = authority;
    int r = sd_bus_add_fallback_vtable(view->bus, &jobs->objects, PMEMD_ROOT_PATH "/job", PMEMD_IFACE_JOB, job_vtable,
                                       find, jobs);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(view->bus, &jobs->enumerator, PMEMD_ROOT_PATH "/job", enumerate, jobs);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot add the job objects to the bus: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&jobs);
}

void bus_job_free(BusJob *jobs) {
    if (!jobs)
        return;
    sd_bus_slot_unref(jobs->enumerator);
    sd_bus_slot_unref(jobs->objects);
    g_free(jobs);
}
