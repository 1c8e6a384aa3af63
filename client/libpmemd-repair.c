/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * For administrators: Adopt, Forget, Repair.
 */
#include "client/libpmemd.h"

#include "client/libpmemd-private.h"

const Field pmemd_repair_fields[] = {
    { "Needed", 'b', offsetof(PmemdRepair, needed) },   { "Applied", 'b', offsetof(PmemdRepair, applied) },
    { "Kept", 'u', offsetof(PmemdRepair, kept) },       { "Missing", 'u', offsetof(PmemdRepair, missing) },
    { "Lost", 'u', offsetof(PmemdRepair, lost) },       { "LostRecords", 'u', offsetof(PmemdRepair, lost_records) },
    { "Orphans", 'u', offsetof(PmemdRepair, orphans) }, { "Evidence", 's', offsetof(PmemdRepair, evidence) },
    { "Report", 's', offsetof(PmemdRepair, report) },   END_FIELD,
};

void pmemd_repair_free(PmemdRepair *repair) {
    pmemd_fields_free(pmemd_repair_fields, repair);
}

int pmemd_reply_take_repair(PmemdReply *reply, PmemdRepair **ret_repair) {
    int r = pmemd_reply_check(reply, REPLY_REPAIR);
    if (r == 0)
        *ret_repair = g_steal_pointer(&reply->result);
    return r;
}

static int append_text(sd_bus_message *m, const char *key, const char *text) {
    return text ? sd_bus_message_append(m, "{sv}", key, "s", text) : 0;
}

static int append_flag(sd_bus_message *m, const char *key, bool flag) {
    return flag ? sd_bus_message_append(m, "{sv}", key, "b", 1) : 0;
}

static int run_for_path(PmemdClient *client, const PmemdCallSpec *spec, char **ret_path) {
    PmemdReply reply;

    pmemd_client_run(client, spec, &reply);
    if (!reply.error && ret_path)
        *ret_path = g_steal_pointer(&reply.path);
    return pmemd_client_end_run(client, &reply);
}

/* --- adopt --- */

typedef struct {
    const char *device;
    const PmemdAdoption *how; /* NULL: defaults */
    const char *request_id;
} AdoptCall;

static int fill_adopt(sd_bus_message *m, const void *arguments) {
    static const PmemdAdoption defaults = { .mgmt_frame = PMEMD_FRAME_UNKNOWN };
    const AdoptCall *call = arguments;
    const PmemdAdoption *how = call->how ? call->how : &defaults;

    int r = sd_bus_message_append(m, "s", call->device);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && how->uid != 0)
        r = sd_bus_message_append(m, "{sv}", "uid", "u", how->uid);
    if (r >= 0)
        r = append_text(m, "mgmt", how->mgmt);
    if (r >= 0)
        r = append_text(m, "name", how->name);
    if (r >= 0 && how->mgmt_frame != PMEMD_FRAME_UNKNOWN)
        r = sd_bus_message_append(m, "{sv}", "mgmt_smfn", "t", how->mgmt_frame);
    if (r >= 0)
        r = append_text(m, "request-id", call->request_id);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static PmemdCallSpec adopt_spec(const AdoptCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("Adopt", REPLY_PATH);

    spec.fill = fill_adopt;
    spec.arguments = call;
    spec.request_id = call->request_id;
    return spec;
}

int pmemd_client_adopt(PmemdClient *client, const char *device, const PmemdAdoption *how, const char *request_id,
                       char **ret_path) {
    const AdoptCall call = { device, how, request_id };
    PmemdCallSpec spec = adopt_spec(&call);
    return run_for_path(client, &spec, ret_path);
}

int pmemd_client_adopt_async(PmemdClient *client, const char *device, const PmemdAdoption *how, const char *request_id,
                             PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    const AdoptCall call = { device, how, request_id };
    PmemdCallSpec spec = adopt_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- forget --- */

typedef struct {
    const char *what, *mgmt, *request_id;
    unsigned flags; /* PmemdRepairFlags */
} ForgetCall;

static int fill_forget(sd_bus_message *m, const void *arguments) {
    const ForgetCall *call = arguments;

    int r = sd_bus_message_append(m, "s", call->what);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = append_flag(m, "destroy", (call->flags & PMEMD_REPAIR_DESTROY) != 0);
    if (r >= 0)
        r = append_flag(m, "force", (call->flags & PMEMD_REPAIR_FORCE) != 0);
    if (r >= 0)
        r = append_text(m, "mgmt", call->mgmt);
    if (r >= 0)
        r = append_text(m, "request-id", call->request_id);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static PmemdCallSpec forget_spec(const ForgetCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("Forget", REPLY_PATH);

    spec.fill = fill_forget;
    spec.arguments = call;
    spec.request_id = call->request_id;
    return spec;
}

int pmemd_client_forget(PmemdClient *client, const char *what, unsigned flags, const char *mgmt, const char *request_id,
                        char **ret_job) {
    const ForgetCall call = { what, mgmt, request_id, flags };
    PmemdCallSpec spec = forget_spec(&call);
    return run_for_path(client, &spec, ret_job);
}

int pmemd_client_forget_async(PmemdClient *client, const char *what, unsigned flags, const char *mgmt,
                              const char *request_id, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    const ForgetCall call = { what, mgmt, request_id, flags };
    PmemdCallSpec spec = forget_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- repair --- */

typedef struct {
    const char *pool;
    unsigned flags; /* PmemdRepairFlags */
} RepairCall;

static int fill_repair(sd_bus_message *m, const void *arguments) {
    const RepairCall *call = arguments;

    int r = sd_bus_message_append(m, "s", call->pool);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = append_flag(m, "apply", (call->flags & PMEMD_REPAIR_APPLY) != 0);
    if (r >= 0)
        r = append_flag(m, "force", (call->flags & PMEMD_REPAIR_FORCE) != 0);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static PmemdCallSpec repair_spec(const RepairCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("Repair", REPLY_REPAIR);

    spec.fill = fill_repair;
    spec.arguments = call;
    return spec;
}

int pmemd_client_repair(PmemdClient *client, const char *pool, unsigned flags, PmemdRepair **ret_repair) {
    const RepairCall call = { pool, flags };
    PmemdCallSpec spec = repair_spec(&call);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_repair(&reply, ret_repair); /* fails as the call did */
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_repair_async(PmemdClient *client, const char *pool, unsigned flags, PmemdReplyFunc func, void *data,
                              PmemdCall **ret_call) {
    const RepairCall call = { pool, flags };
    PmemdCallSpec spec = repair_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}
