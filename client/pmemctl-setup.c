/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs setup-mgmt, setup-data, allocate-mgmt, allocate-data, and plan of each.
 */
#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

/* To the library 0 means "not given". */
static bool refuse_zero(const char *what, uint64_t value, GError **error) {
    if (value != 0)
        return true;
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "%s cannot be 0", what);
    return false;
}

/* The options into the request; each is only set for verbs that take it. */
static bool read_options(const Ctl *ctl, PmemdRequest *request, GError **error) {
    uint64_t number;

    pmemd_request_set_name(request, ctl->name);
    pmemd_request_set_profile(request, ctl->profile);
    pmemd_request_set_mgmt(request, ctl->pool);
    pmemd_request_set_init_labels(request, ctl->init_labels);
    pmemd_request_set_allow_degraded(request, ctl->allow_degraded);
    if (ctl->max_regions) {
        if (!parse_number("--max-regions", ctl->max_regions, UINT32_MAX, &number, error) ||
            !refuse_zero("--max-regions", number, error))
            return false;
        pmemd_request_set_max_regions(request, (uint32_t) number);
    }
    if (ctl->node) {
        if (!parse_number("--node", ctl->node, INT32_MAX, &number, error))
            return false;
        pmemd_request_set_node(request, (int32_t) number);
    }
    if (ctl->alignment) {
        if (!parse_size(ctl->alignment, &number, error) || !refuse_zero("--alignment", number, error))
            return false;
        pmemd_request_set_alignment(request, number);
    }
    return true;
}

static bool submit(Ctl *ctl, PmemdRequest *request, bool data, GError **error) {
    if (!read_options(ctl, request, error) || !ctl_connect(ctl, error))
        return false;
    /* Made by ctl_connect when it was not given. */
    pmemd_request_set_id(request, ctl->request_id);
    if (!ctl->plan_only) {
        g_autofree char *path = NULL;
        if (!ctl_check(ctl, pmemd_client_submit(ctl->client, request, &path), error))
            return false;
        ctl_print_changed(ctl, path);
        return true;
    }

    g_autoptr(PmemdPlan) plan = NULL;
    if (!ctl_check(ctl, pmemd_client_plan(ctl->client, request, &plan), error))
        return false;
    const Column *columns = columns_plan(data);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_object_member(document, "plan", json_from_row(columns, plan));
        json_document_print(stdout, document, true);
    } else
        print_record(stdout, columns, plan);
    return true;
}

static PmemdRequest *request_new(PmemdOperation operation) {
    PmemdRequest *request = NULL;
    g_assert(pmemd_request_new(operation, &request) >= 0);
    return request;
}

bool verb_setup_mgmt(Ctl *ctl, GError **error) {
    g_autoptr(PmemdRequest) request = request_new(PMEMD_OPERATION_SETUP_MGMT);
    uint64_t start, end;

    if (!parse_frame(ctl->args[0], &start, error) || !parse_frame(ctl->args[1], &end, error))
        return false;
    pmemd_request_set_frames(request, start, end);
    return submit(ctl, request, false, error);
}

bool verb_setup_data(Ctl *ctl, GError **error) {
    g_autoptr(PmemdRequest) request = request_new(PMEMD_OPERATION_SETUP_DATA);
    uint64_t start, end, mgmt_start, mgmt_end;

    if (!parse_frame(ctl->args[0], &start, error) || !parse_frame(ctl->args[1], &end, error) ||
        !parse_frame(ctl->args[2], &mgmt_start, error) || !parse_frame(ctl->args[3], &mgmt_end, error))
        return false;
    pmemd_request_set_frames(request, start, end);
    pmemd_request_set_mgmt_frames(request, mgmt_start, mgmt_end);
    return submit(ctl, request, true, error);
}

static bool allocate(Ctl *ctl, PmemdOperation operation, bool data, GError **error) {
    g_autoptr(PmemdRequest) request = request_new(operation);
    uint64_t bytes;

    if (!parse_size(ctl->args[0], &bytes, error))
        return false;
    pmemd_request_set_bytes(request, bytes);
    return submit(ctl, request, data, error);
}

bool verb_allocate_mgmt(Ctl *ctl, GError **error) {
    return allocate(ctl, PMEMD_OPERATION_ALLOCATE_MGMT, false, error);
}

bool verb_allocate_data(Ctl *ctl, GError **error) {
    return allocate(ctl, PMEMD_OPERATION_ALLOCATE_DATA, true, error);
}
