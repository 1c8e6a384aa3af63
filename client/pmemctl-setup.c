/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs setup-mgmt, setup-data, allocate-mgmt, allocate-data, and plan of each.
 */
#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

/* The options into the request; each is only set for verbs that take it. */
static bool read_options(const Ctl *ctl, PmemdRequest *request, GError **error) {
    uint64_t number;

    request->name = ctl->name;
    request->profile = ctl->profile;
    request->mgmt = ctl->pool;
    request->init_labels = ctl->init_labels;
    if (ctl->max_regions) {
        if (!parse_number("--max-regions", ctl->max_regions, UINT32_MAX, &number, error))
            return false;
        request->max_regions = (uint32_t) number;
    }
    if (ctl->node) {
        if (!parse_number("--node", ctl->node, INT32_MAX, &number, error))
            return false;
        request->has_node = true;
        request->node = (int32_t) number;
    }
    return !ctl->alignment || parse_size(ctl->alignment, &request->alignment, error);
}

/* To the library 0 means "not given". */
static bool refuse_zero(const char *what, const char *text, uint64_t value, GError **error) {
    if (!text || value != 0)
        return true;
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "%s cannot be 0", what);
    return false;
}

static bool submit(Ctl *ctl, PmemdRequest *request, GError **error) {
    if (!read_options(ctl, request, error) || !refuse_zero("--alignment", ctl->alignment, request->alignment, error) ||
        !refuse_zero("--max-regions", ctl->max_regions, request->max_regions, error))
        return false;
    if (!ctl_connect(ctl, error))
        return false;
    /* Made by ctl_connect when it was not given. */
    request->request_id = ctl->request_id;
    if (!ctl->plan_only) {
        g_autofree char *path = pmemd_client_submit(ctl->client, request, error);
        if (path)
            ctl_print_changed(ctl, path);
        return path != NULL;
    }

    g_autoptr(PmemdPlan) plan = pmemd_client_plan(ctl->client, request, error);
    if (!plan)
        return false;
    const Column *columns = columns_plan(request->operation == PMEMD_OPERATION_SETUP_DATA ||
                                         request->operation == PMEMD_OPERATION_ALLOCATE_DATA);
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_object_member(document, "plan", json_from_row(columns, plan));
        json_document_print(stdout, document, true);
    } else
        print_record(stdout, columns, plan);
    return true;
}

bool verb_setup_mgmt(Ctl *ctl, GError **error) {
    PmemdRequest request = { .operation = PMEMD_OPERATION_SETUP_MGMT };

    return parse_frame(ctl->args[0], &request.frames.start, error) &&
           parse_frame(ctl->args[1], &request.frames.end, error) && submit(ctl, &request, error);
}

bool verb_setup_data(Ctl *ctl, GError **error) {
    PmemdRequest request = { .operation = PMEMD_OPERATION_SETUP_DATA };

    return parse_frame(ctl->args[0], &request.frames.start, error) &&
           parse_frame(ctl->args[1], &request.frames.end, error) &&
           parse_frame(ctl->args[2], &request.mgmt_frames.start, error) &&
           parse_frame(ctl->args[3], &request.mgmt_frames.end, error) && submit(ctl, &request, error);
}

bool verb_allocate_mgmt(Ctl *ctl, GError **error) {
    PmemdRequest request = { .operation = PMEMD_OPERATION_ALLOCATE_MGMT };
    return parse_size(ctl->args[0], &request.bytes, error) && submit(ctl, &request, error);
}

bool verb_allocate_data(Ctl *ctl, GError **error) {
    PmemdRequest request = { .operation = PMEMD_OPERATION_ALLOCATE_DATA };
    return parse_size(ctl->args[0], &request.bytes, error) && submit(ctl, &request, error);
}
