/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-bad.h"

#include "daemon/bus-reply.h"
#include "daemon/frame-set.h"

int bus_bad_append_extents(sd_bus_message *reply, const GArray *extents) {
    int r = sd_bus_message_open_container(reply, 'a', "(tt)");

    for (guint i = 0; r >= 0 && i < frame_set_extents(extents); i++) {
        FrameRange extent = frame_set_nth(extents, i);

        r = sd_bus_message_append(reply, "(tt)", extent.start, extent.end);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_bad_reply_lost(sd_bus_message *call, const GArray *lost) {
    sd_bus_message *reply;
    char path[PMEMD_PATH_MAX];

    int r = bus_reply_begin(call, 'a', "(ottt)", &reply);
    for (guint i = 0; r >= 0 && i < lost->len; i++) {
        const ManagerLost *one = &g_array_index(lost, ManagerLost, i);

        r = sd_bus_message_append(reply, "(ottt)",
                                  sd_id128_is_null(one->region) ? "/" : pmemd_region_path(one->region, path),
                                  one->frames.start, one->frames.end, one->offset);
    }
    return bus_reply_end(reply, r);
}

static int append_dimm(sd_bus_message *reply, const Raw *raw, const DimmHealth *dimm, bool privileged) {
    g_autofree char *flags = dimm_flags_to_string(dimm->flags);

    return sd_bus_message_append(reply, "(sssssiiit)", raw->id, privileged && dimm->id ? dimm->id : "",
                                 dimm->name ? dimm->name : "", health_to_string(dimm->state), flags,
                                 (int32_t) dimm->spares, (int32_t) dimm->life_used, (int32_t) dimm->temperature,
                                 dimm->unsafe_shutdowns);
}

int bus_bad_reply_dimms(const BusView *view, sd_bus_message *call, const Caller *caller) {
    const GPtrArray *raws = state_raws(manager_state(view->manager));
    sd_bus_message *reply;

    int r = bus_reply_begin(call, 'a', "(sssssiiit)", &reply);
    for (guint i = 0; r >= 0 && i < raws->len; i++) {
        const Raw *raw = raws->pdata[i];

        for (guint k = 0; r >= 0 && raw->health && k < raw->health->len; k++)
            r = append_dimm(reply, raw, raw->health->pdata[k], bus_view_is_privileged(caller));
    }
    return bus_reply_end(reply, r);
}
