/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The methods, each in both ways, and what their replies hold. A method is one PmemdCallSpec, which either is run
 * (waits) or started (does not).
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"
#include "proto/names.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

/* --- what a reply holds --- */

const char *pmemd_reply_path(const PmemdReply *reply) {
    bool has_path = reply->kind == REPLY_PATH || reply->kind == REPLY_KNOWN_PATH;
    return has_path && !reply->error ? reply->path : NULL;
}

int pmemd_reply_get_count(const PmemdReply *reply, uint32_t *ret_count) {
    if (reply->error)
        return pmemd_reply_result(reply);
    if (reply->kind != REPLY_COUNT)
        return -EINVAL;
    *ret_count = reply->count;
    return 0;
}

int pmemd_reply_check(const PmemdReply *reply, ReplyKind kind) {
    if (reply->error)
        return pmemd_reply_result(reply);
    return reply->kind == kind && reply->result ? 0 : -EINVAL;
}

int pmemd_reply_take_raw_list(PmemdReply *reply, PmemdRaw ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_RAW_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_reply_take_mgmt_list(PmemdReply *reply, PmemdMgmt ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_MGMT_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_reply_take_data_list(PmemdReply *reply, PmemdData ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_DATA_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_reply_take_foreign_list(PmemdReply *reply, PmemdForeign ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_FOREIGN_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_reply_take_region(PmemdReply *reply, PmemdRegion **ret_region) {
    int r = pmemd_reply_check(reply, REPLY_REGION);
    if (r == 0)
        *ret_region = g_steal_pointer(&reply->result);
    return r;
}

int pmemd_reply_take_job(PmemdReply *reply, PmemdJob **ret_job) {
    int r = pmemd_reply_check(reply, REPLY_JOB);
    if (r == 0)
        *ret_job = g_steal_pointer(&reply->result);
    return r;
}

int pmemd_reply_take_status(PmemdReply *reply, PmemdStatus **ret_status) {
    int r = pmemd_reply_check(reply, REPLY_STATUS);
    if (r == 0)
        *ret_status = g_steal_pointer(&reply->result);
    return r;
}

int pmemd_reply_take_plan(PmemdReply *reply, PmemdPlan **ret_plan) {
    int r = pmemd_reply_check(reply, REPLY_PLAN);
    if (r == 0)
        *ret_plan = g_steal_pointer(&reply->result);
    return r;
}

int pmemd_reply_take_metric_list(PmemdReply *reply, PmemdMetric ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_METRICS);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_reply_take_location(PmemdReply *reply, PmemdLocation **ret_location) {
    int r = pmemd_reply_check(reply, REPLY_LOCATION);
    if (r == 0)
        *ret_location = g_steal_pointer(&reply->result);
    return r;
}

int pmemd_reply_take_location_list(PmemdReply *reply, PmemdLocation ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_LOCATION_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_client_end_run(PmemdClient *client, PmemdReply *reply) {
    GError *error = g_steal_pointer(&reply->error);
    pmemd_reply_clear(reply);
    return pmemd_client_end(client, error);
}

/* Of a call whose reply holds nothing. */
static int run_and_end(PmemdClient *client, const PmemdCallSpec *spec) {
    PmemdReply reply;

    pmemd_client_run(client, spec, &reply);
    return pmemd_client_end_run(client, &reply);
}

/* Of a call whose reply is a path. */
static int run_for_path(PmemdClient *client, const PmemdCallSpec *spec, char **ret_path) {
    PmemdReply reply;

    pmemd_client_run(client, spec, &reply);
    if (!reply.error)
        *ret_path = g_steal_pointer(&reply.path);
    return pmemd_client_end_run(client, &reply);
}

/* --- lists --- */

PmemdCallSpec pmemd_manager_spec(const char *member, ReplyKind kind) {
    return (PmemdCallSpec){
        .path = PMEMD_ROOT_PATH,
        .interface = PMEMD_IFACE_MANAGER,
        .member = member,
        .kind = kind,
    };
}

int pmemd_client_list_raw(PmemdClient *client, PmemdRaw ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListRaw", REPLY_RAW_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_raw_list(&reply, ret_list, ret_n); /* fails as the call did */
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_mgmt(PmemdClient *client, PmemdMgmt ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListMgmt", REPLY_MGMT_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_mgmt_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_data(PmemdClient *client, PmemdData ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListData", REPLY_DATA_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_data_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_foreign(PmemdClient *client, PmemdForeign ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListForeign", REPLY_FOREIGN_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_foreign_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_raw_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListRaw", REPLY_RAW_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_list_mgmt_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListMgmt", REPLY_MGMT_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_list_data_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListData", REPLY_DATA_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_list_foreign_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListForeign", REPLY_FOREIGN_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- metrics --- */

int pmemd_client_metrics(PmemdClient *client, PmemdMetric ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("GetMetrics", REPLY_METRICS);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_metric_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_metrics_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("GetMetrics", REPLY_METRICS);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- frames --- */

static int fill_frame(sd_bus_message *message, const void *arguments) {
    return sd_bus_message_append_basic(message, 't', arguments);
}

static PmemdCallSpec frame_spec(const uint64_t *frame) {
    PmemdCallSpec spec = pmemd_manager_spec("Locate", REPLY_LOCATION);

    spec.fill = fill_frame;
    spec.arguments = spec.frames = frame;
    spec.n_frames = 1;
    return spec;
}

int pmemd_client_locate(PmemdClient *client, uint64_t frame, PmemdLocation **ret_location) {
    PmemdCallSpec spec = frame_spec(&frame);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_location(&reply, ret_location);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_locate_async(PmemdClient *client, uint64_t frame, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call) {
    PmemdCallSpec spec = frame_spec(&frame);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

typedef struct {
    const uint64_t *frames;
    size_t n;
} Frames;

static int fill_frames(sd_bus_message *message, const void *arguments) {
    const Frames *frames = arguments;
    return sd_bus_message_append_array(message, 't', frames->frames, frames->n * sizeof *frames->frames);
}

static PmemdCallSpec frames_spec(const Frames *frames) {
    PmemdCallSpec spec = pmemd_manager_spec("LocateList", REPLY_LOCATION_LIST);

    spec.fill = fill_frames;
    spec.arguments = frames;
    spec.frames = frames->frames;
    spec.n_frames = frames->n;
    return spec;
}

int pmemd_client_locate_list(PmemdClient *client, const uint64_t *frames, size_t n_frames, PmemdLocation ***ret_list,
                             size_t *ret_n) {
    const Frames arguments = { frames, n_frames };
    PmemdCallSpec spec = frames_spec(&arguments);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_location_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_locate_list_async(PmemdClient *client, const uint64_t *frames, size_t n_frames, PmemdReplyFunc func,
                                   void *data, PmemdCall **ret_call) {
    const Frames arguments = { frames, n_frames };
    PmemdCallSpec spec = frames_spec(&arguments);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- one text as the argument --- */

static int fill_text(sd_bus_message *message, const void *text) {
    return sd_bus_message_append(message, "s", text);
}

static PmemdCallSpec text_spec(const char *member, ReplyKind kind, const char *text) {
    PmemdCallSpec spec = pmemd_manager_spec(member, kind);

    spec.fill = fill_text;
    spec.arguments = text;
    return spec;
}

int pmemd_client_count(PmemdClient *client, const char *kind, uint32_t *ret_count) {
    PmemdCallSpec spec = text_spec("CountRegions", REPLY_COUNT, kind);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_get_count(&reply, ret_count);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_count_async(PmemdClient *client, const char *kind, PmemdReplyFunc func, void *data,
                             PmemdCall **ret_call) {
    PmemdCallSpec spec = text_spec("CountRegions", REPLY_COUNT, kind);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

static bool is_region_path(const char *key) {
    return g_str_has_prefix(key, PMEMD_REGION_PATH_PREFIX) && sd_bus_object_path_is_valid(key);
}

int pmemd_client_find(PmemdClient *client, const char *key, char **ret_path) {
    if (is_region_path(key)) {
        *ret_path = g_strdup(key);
        return 0;
    }
    PmemdCallSpec spec = text_spec("GetRegion", REPLY_PATH, key);
    return run_for_path(client, &spec, ret_path);
}

static int fill_get_uuid(sd_bus_message *message, const void *arguments) {
    return sd_bus_message_append(message, "ss", PMEMD_IFACE_REGION, "Uuid");
}

int pmemd_client_find_async(PmemdClient *client, const char *key, PmemdReplyFunc func, void *data,
                            PmemdCall **ret_call) {
    PmemdCallSpec by_key = text_spec("GetRegion", REPLY_PATH, key);
    PmemdCallSpec by_path = {
        .path = key, .interface = PROPERTIES, .member = "Get", .kind = REPLY_KNOWN_PATH, .fill = fill_get_uuid
    };
    return pmemd_client_start(client, is_region_path(key) ? &by_path : &by_key, func, data, ret_call);
}

/* --- properties --- */

static PmemdCallSpec properties_spec(const char *path, const char *interface, ReplyKind kind) {
    return (PmemdCallSpec){
        .path = path,
        .interface = PROPERTIES,
        .member = "GetAll",
        .kind = kind,
        .fill = fill_text,
        .arguments = interface,
    };
}

int pmemd_client_region(PmemdClient *client, const char *path, PmemdRegion **ret_region) {
    PmemdCallSpec spec = properties_spec(path, PMEMD_IFACE_REGION, REPLY_REGION);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_region(&reply, ret_region);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_region_async(PmemdClient *client, const char *path, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call) {
    PmemdCallSpec spec = properties_spec(path, PMEMD_IFACE_REGION, REPLY_REGION);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_job(PmemdClient *client, const char *path, PmemdJob **ret_job) {
    PmemdCallSpec spec = properties_spec(path, PMEMD_IFACE_JOB, REPLY_JOB);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_job(&reply, ret_job);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_job_async(PmemdClient *client, const char *path, PmemdReplyFunc func, void *data,
                           PmemdCall **ret_call) {
    PmemdCallSpec spec = properties_spec(path, PMEMD_IFACE_JOB, REPLY_JOB);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_status(PmemdClient *client, PmemdStatus **ret_status) {
    PmemdCallSpec spec = properties_spec(PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, REPLY_STATUS);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_status(&reply, ret_status);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_status_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = properties_spec(PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, REPLY_STATUS);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- requests --- */

static PmemdCallSpec plan_spec(const PmemdRequest *request) {
    PmemdCallSpec spec = pmemd_manager_spec("Plan", REPLY_PLAN);

    spec.fill = pmemd_request_fill_plan;
    spec.arguments = request;
    return spec;
}

int pmemd_client_plan(PmemdClient *client, const PmemdRequest *request, PmemdPlan **ret_plan) {
    PmemdCallSpec spec = plan_spec(request);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_plan(&reply, ret_plan);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_plan_async(PmemdClient *client, const PmemdRequest *request, PmemdReplyFunc func, void *data,
                            PmemdCall **ret_call) {
    PmemdCallSpec spec = plan_spec(request);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

static PmemdCallSpec submit_spec(const PmemdRequest *request) {
    PmemdCallSpec spec = pmemd_manager_spec(pmemd_operation_to_string(request->operation), REPLY_PATH);

    spec.fill = pmemd_request_fill;
    spec.arguments = request;
    spec.request_id = request->request_id;
    return spec;
}

int pmemd_client_submit(PmemdClient *client, const PmemdRequest *request, char **ret_path) {
    PmemdCallSpec spec = submit_spec(request);
    return run_for_path(client, &spec, ret_path);
}

int pmemd_client_submit_async(PmemdClient *client, const PmemdRequest *request, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call) {
    PmemdCallSpec spec = submit_spec(request);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- changes of a region that exists --- */

/* Their arguments. */
typedef struct {
    const char *path;
    const char *name;       /* Rename */
    uint32_t uid;           /* SetOwner */
    const char *request_id; /* Release* */
    bool verify;            /* ReleaseData */
} RegionCall;

static int fill_release(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;

    if (!call->verify && !call->request_id)
        return sd_bus_message_append(m, "oa{sv}", call->path, 0);
    if (!call->verify)
        return sd_bus_message_append(m, "oa{sv}", call->path, 1, "request-id", "s", call->request_id);
    if (!call->request_id)
        return sd_bus_message_append(m, "oa{sv}", call->path, 1, "verify", "b", 1);
    return sd_bus_message_append(m, "oa{sv}", call->path, 2, "verify", "b", 1, "request-id", "s", call->request_id);
}

static int fill_rename(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;
    return sd_bus_message_append(m, "osa{sv}", call->path, call->name, 0);
}

static int fill_set_owner(sd_bus_message *m, const void *arguments) {
    const RegionCall *call = arguments;
    return sd_bus_message_append(m, "oua{sv}", call->path, call->uid, 0);
}

static PmemdCallSpec region_spec(const char *member, ReplyKind kind, PmemdFillFunc fill, const RegionCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec(member, kind);

    spec.fill = fill;
    spec.arguments = call;
    spec.request_id = call->request_id;
    return spec;
}

int pmemd_client_release_data(PmemdClient *client, const char *path, const char *request_id, char **ret_job) {
    RegionCall call = { .path = path, .request_id = request_id };
    PmemdCallSpec spec = region_spec("ReleaseData", REPLY_PATH, fill_release, &call);
    return run_for_path(client, &spec, ret_job);
}

int pmemd_client_release_data_async(PmemdClient *client, const char *path, const char *request_id, PmemdReplyFunc func,
                                    void *data, PmemdCall **ret_call) {
    RegionCall call = { .path = path, .request_id = request_id };
    PmemdCallSpec spec = region_spec("ReleaseData", REPLY_PATH, fill_release, &call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_release_data_verified(PmemdClient *client, const char *path, const char *request_id, char **ret_job) {
    RegionCall call = { .path = path, .request_id = request_id, .verify = true };
    PmemdCallSpec spec = region_spec("ReleaseData", REPLY_PATH, fill_release, &call);
    return run_for_path(client, &spec, ret_job);
}

int pmemd_client_release_data_verified_async(PmemdClient *client, const char *path, const char *request_id,
                                             PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    RegionCall call = { .path = path, .request_id = request_id, .verify = true };
    PmemdCallSpec spec = region_spec("ReleaseData", REPLY_PATH, fill_release, &call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_release_mgmt(PmemdClient *client, const char *path, const char *request_id) {
    RegionCall call = { .path = path, .request_id = request_id };
    PmemdCallSpec spec = region_spec("ReleaseMgmt", REPLY_NOTHING, fill_release, &call);
    return run_and_end(client, &spec);
}

int pmemd_client_release_mgmt_async(PmemdClient *client, const char *path, const char *request_id, PmemdReplyFunc func,
                                    void *data, PmemdCall **ret_call) {
    RegionCall call = { .path = path, .request_id = request_id };
    PmemdCallSpec spec = region_spec("ReleaseMgmt", REPLY_NOTHING, fill_release, &call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_rename(PmemdClient *client, const char *path, const char *name) {
    RegionCall call = { .path = path, .name = name };
    PmemdCallSpec spec = region_spec("Rename", REPLY_NOTHING, fill_rename, &call);
    return run_and_end(client, &spec);
}

int pmemd_client_rename_async(PmemdClient *client, const char *path, const char *name, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call) {
    RegionCall call = { .path = path, .name = name };
    PmemdCallSpec spec = region_spec("Rename", REPLY_NOTHING, fill_rename, &call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

int pmemd_client_set_owner(PmemdClient *client, const char *path, uint32_t uid) {
    RegionCall call = { .path = path, .uid = uid };
    PmemdCallSpec spec = region_spec("SetOwner", REPLY_NOTHING, fill_set_owner, &call);
    return run_and_end(client, &spec);
}

int pmemd_client_set_owner_async(PmemdClient *client, const char *path, uint32_t uid, PmemdReplyFunc func, void *data,
                                 PmemdCall **ret_call) {
    RegionCall call = { .path = path, .uid = uid };
    PmemdCallSpec spec = region_spec("SetOwner", REPLY_NOTHING, fill_set_owner, &call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- jobs --- */

static PmemdCallSpec pause_spec(const char *path, bool pause) {
    return (PmemdCallSpec){
        .path = path,
        .interface = PMEMD_IFACE_JOB,
        .member = pause ? "Pause" : "Resume",
        .kind = REPLY_NOTHING,
    };
}

int pmemd_client_pause_job(PmemdClient *client, const char *path, bool pause) {
    PmemdCallSpec spec = pause_spec(path, pause);
    return run_and_end(client, &spec);
}

int pmemd_client_pause_job_async(PmemdClient *client, const char *path, bool pause, PmemdReplyFunc func, void *data,
                                 PmemdCall **ret_call) {
    PmemdCallSpec spec = pause_spec(path, pause);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}
