/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * PmemdRequest: what is to be made, and how it is said on the bus.
 */
#include "client/libpmemd.h"

#include <errno.h>

#include "client/libpmemd-private.h"

G_STATIC_ASSERT(PMEMD_REQUEST_ID_SIZE == PMEMD_UUID_STRING_MAX);

const char *pmemd_operation_to_string(PmemdOperation operation) {
    static const char *const names[] = { "SetupMgmt", "SetupData", "AllocateMgmt", "AllocateData" };
    return (size_t) operation < G_N_ELEMENTS(names) ? names[operation] : NULL;
}

int pmemd_request_new(PmemdOperation operation, PmemdRequest **ret_request) {
    if (!pmemd_operation_to_string(operation))
        return -EINVAL;

    PmemdRequest *request = g_new0(PmemdRequest, 1);
    request->operation = operation;
    request->node = -1;
    *ret_request = request;
    return 0;
}

void pmemd_request_free(PmemdRequest *request) {
    if (!request)
        return;
    g_free(request->name);
    g_free(request->profile);
    g_free(request->mgmt);
    g_free(request->request_id);
    g_free(request);
}

void pmemd_request_set_frames(PmemdRequest *request, uint64_t start, uint64_t end) {
    request->frames = (PmemdRange){ start, end };
}

void pmemd_request_set_mgmt_frames(PmemdRequest *request, uint64_t start, uint64_t end) {
    request->mgmt_frames = (PmemdRange){ start, end };
}

void pmemd_request_set_bytes(PmemdRequest *request, uint64_t bytes) {
    request->bytes = bytes;
}

static void set_text(char **at, const char *text) {
    char *copy = g_strdup(text);
    g_free(*at);
    *at = copy;
}

void pmemd_request_set_name(PmemdRequest *request, const char *name) {
    set_text(&request->name, name);
}

void pmemd_request_set_profile(PmemdRequest *request, const char *profile) {
    set_text(&request->profile, profile);
}

void pmemd_request_set_mgmt(PmemdRequest *request, const char *mgmt) {
    set_text(&request->mgmt, mgmt);
}

void pmemd_request_set_max_regions(PmemdRequest *request, uint32_t max_regions) {
    request->max_regions = max_regions;
}

void pmemd_request_set_alignment(PmemdRequest *request, uint64_t bytes) {
    request->alignment = bytes;
}

void pmemd_request_set_init_labels(PmemdRequest *request, bool init_labels) {
    request->init_labels = init_labels;
}

void pmemd_request_set_allow_degraded(PmemdRequest *request, bool allow_degraded) {
    request->allow_degraded = allow_degraded;
}

void pmemd_request_set_node(PmemdRequest *request, int32_t node) {
    request->node = node;
}

void pmemd_request_set_id(PmemdRequest *request, const char *request_id) {
    set_text(&request->request_id, request_id);
}

int pmemd_make_request_id(char *buffer) {
    sd_id128_t uuid;

    int r = sd_id128_randomize(&uuid);
    if (r < 0)
        return r;
    pmemd_uuid_format(uuid, buffer);
    return 0;
}

/* --- on the bus --- */

static int append_text(sd_bus_message *m, const char *key, const char *value) {
    return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_options(sd_bus_message *m, const PmemdRequest *request) {
    int r = append_text(m, "name", request->name);
    if (r >= 0)
        r = append_text(m, "profile", request->profile);
    if (r >= 0)
        r = append_text(m, "mgmt", request->mgmt);
    if (r >= 0 && request->alignment != 0)
        r = sd_bus_message_append(m, "{sv}", "alignment", "t", request->alignment);
    if (r >= 0 && request->max_regions != 0)
        r = sd_bus_message_append(m, "{sv}", "max-regions", "u", request->max_regions);
    if (r >= 0 && request->allow_degraded)
        r = sd_bus_message_append(m, "{sv}", "allow-degraded", "b", 1);
    if (r >= 0 && request->init_labels)
        r = sd_bus_message_append(m, "{sv}", "init-labels", "b", 1);
    if (r >= 0 && request->node >= 0)
        r = sd_bus_message_append(m, "{sv}", "node", "i", request->node);
    return r;
}

static bool operation_is_setup(PmemdOperation operation) {
    return operation == PMEMD_OPERATION_SETUP_MGMT || operation == PMEMD_OPERATION_SETUP_DATA;
}

int pmemd_request_fill(sd_bus_message *m, const void *arguments) {
    const PmemdRequest *request = arguments;
    int r;

    if (operation_is_setup(request->operation))
        r = sd_bus_message_append(m, "tt", request->frames.start, request->frames.end);
    else
        r = sd_bus_message_append(m, "t", request->bytes);
    if (r >= 0 && request->operation == PMEMD_OPERATION_SETUP_DATA)
        r = sd_bus_message_append(m, "tt", request->mgmt_frames.start, request->mgmt_frames.end);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = append_options(m, request);
    if (r >= 0)
        r = append_text(m, "request-id", request->request_id);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int pmemd_request_fill_plan(sd_bus_message *m, const void *arguments) {
    const PmemdRequest *request = arguments;

    int r = sd_bus_message_append(m, "s", pmemd_operation_to_string(request->operation));
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    /* Here 0 is a value like any other, unlike in the options. */
    if (r >= 0 && operation_is_setup(request->operation))
        r = sd_bus_message_append(m, "{sv}{sv}", "smfn", "t", request->frames.start, "emfn", "t", request->frames.end);
    else if (r >= 0)
        r = sd_bus_message_append(m, "{sv}", "bytes", "t", request->bytes);
    if (r >= 0 && request->operation == PMEMD_OPERATION_SETUP_DATA)
        r = sd_bus_message_append(m, "{sv}{sv}", "mgmt_smfn", "t", request->mgmt_frames.start, "mgmt_emfn", "t",
                                  request->mgmt_frames.end);
    if (r >= 0)
        r = append_options(m, request);
    return r < 0 ? r : sd_bus_message_close_container(m);
}
