/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Health: what DIMMs say of themselves, and clearing bad frames.
 */
#include "client/libpmemd.h"

#include "client/libpmemd-private.h"

const Field pmemd_dimm_fields[] = {
    { "Raw", 's', offsetof(PmemdDimm, raw) },
    { "Id", 's', offsetof(PmemdDimm, id) },
    { "Name", 's', offsetof(PmemdDimm, name) },
    { "Health", 's', offsetof(PmemdDimm, health) },
    { "Flags", 's', offsetof(PmemdDimm, flags) },
    { "Spares", 'i', offsetof(PmemdDimm, spares) },
    { "LifeUsed", 'i', offsetof(PmemdDimm, life_used) },
    { "Temperature", 'i', offsetof(PmemdDimm, temperature) },
    { "UnsafeShutdowns", 't', offsetof(PmemdDimm, unsafe_shutdowns) },
    END_FIELD,
};

const Field pmemd_lost_fields[] = {
    { "Region", 'o', offsetof(PmemdLost, region) },
    { "StartFrame", 't', offsetof(PmemdLost, frames.start) },
    { "EndFrame", 't', offsetof(PmemdLost, frames.end) },
    { "Offset", 't', offsetof(PmemdLost, offset) },
    END_FIELD,
};

void pmemd_dimm_free(PmemdDimm *dimm) {
    pmemd_fields_free(pmemd_dimm_fields, dimm);
}

void pmemd_dimm_list_free(PmemdDimm **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_dimm_free);
}

void pmemd_lost_free(PmemdLost *lost) {
    pmemd_fields_free(pmemd_lost_fields, lost);
}

void pmemd_lost_list_free(PmemdLost **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_lost_free);
}

/* --- DIMMs --- */

int pmemd_reply_take_dimm_list(PmemdReply *reply, PmemdDimm ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_DIMM_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_client_list_dimms(PmemdClient *client, PmemdDimm ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListDimms", REPLY_DIMM_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_dimm_list(&reply, ret_list, ret_n); /* fails as the call did */
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_dimms_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListDimms", REPLY_DIMM_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- clearing --- */

typedef struct {
    const char *path, *raw;
    unsigned flags; /* PmemdClearFlags */
} ClearCall;

static int fill_clear(sd_bus_message *m, const void *arguments) {
    const ClearCall *call = arguments;

    int r = sd_bus_message_append(m, "o", call->path ? call->path : "/");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && call->raw)
        r = sd_bus_message_append(m, "{sv}", "raw", "s", call->raw);
    if (r >= 0 && (call->flags & PMEMD_CLEAR_DRY_RUN))
        r = sd_bus_message_append(m, "{sv}", "dry-run", "b", 1);
    if (r >= 0 && (call->flags & PMEMD_CLEAR_FORCE))
        r = sd_bus_message_append(m, "{sv}", "force", "b", 1);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static PmemdCallSpec clear_spec(const ClearCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("ClearBadFrames", REPLY_LOST_LIST);

    spec.fill = fill_clear;
    spec.arguments = call;
    return spec;
}

int pmemd_reply_take_lost_list(PmemdReply *reply, PmemdLost ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_LOST_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_client_clear_bad_frames(PmemdClient *client, const char *path, const char *raw, unsigned flags,
                                  PmemdLost ***ret_list, size_t *ret_n) {
    const ClearCall call = { path, raw, flags };
    PmemdCallSpec spec = clear_spec(&call);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_lost_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_clear_bad_frames_async(PmemdClient *client, const char *path, const char *raw, unsigned flags,
                                        PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    const ClearCall call = { path, raw, flags };
    PmemdCallSpec spec = clear_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}
