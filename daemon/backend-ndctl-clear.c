/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-clear.h"

#include "daemon/backend-ndctl-busy.h"
#include "daemon/backend-ndctl-content.h"
#include "daemon/backend-ndctl-context.h"
#include "daemon/backend-ndctl-facts.h"
#include "daemon/backend-ndctl-health.h"
#include "daemon/frame-set.h"
#include "proto/error.h"

#include <errno.h>
#include <inttypes.h>

/* One look at what is to be cleared. */
typedef struct {
    NdContext *context;
    struct ndctl_region *region;
    struct ndctl_namespace *device; /* NULL: the frames are in none */
} Target;

static void target_clear(Target *target) {
    g_clear_pointer(&target->context, nd_context_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

static bool refuse(GError **error, PmemdError code, const BackendClear *req, const char *why) {
    g_set_error(error, PMEMD_ERROR, code, "cannot clear the bad frames in 0x%" PRIx64 "-0x%" PRIx64 " of %s: %s",
                req->frames.start, req->frames.end, req->raw_id, why);
    return false;
}

static bool check_device(const Target *t, const BackendClear *req, const NdBusy *busy, GError **error) {
    if (!nd_context_check_alone(t->context, t->device, error))
        return false;

    g_autoptr(BackendDevice) facts = nd_facts_device(t->device, busy);
    if (!facts || facts->state != BACKEND_DEVICE_COMPLETE)
        return refuse(error, PMEMD_ERROR_DEGRADED, req, "their device is not whole now");
    if (facts->role == BACKEND_ROLE_MGMT)
        return refuse(error, PMEMD_ERROR_INTERNAL, req, "their device is a management region's and was left alone");
    if (!nd_facts_check_tag(t->device, facts, req->tag, error))
        return false;
    /* What is before them is the info block, without which the device is lost. */
    if (!frame_range_contains(facts->usable, req->frames))
        return refuse(error, PMEMD_ERROR_INVALID_ARGUMENT, req, "they are not all among their device's usable frames");
    return nd_facts_check_unused(t->device, facts, busy, error);
}

/* Finds what req means, and checks that it is ours or nobody's. */
/* It is the device that the frames are of, or has none of them. */
static bool check_neighbour(Target *t, struct ndctl_namespace *ndns, const BackendClear *req, NdBusy *busy,
                            GError **error) {
    g_autoptr(BackendDevice) facts = nd_facts_device(ndns, busy);

    if (!facts)
        return true;
    if (!sd_id128_is_null(req->device) && sd_id128_equal(facts->uuid, req->device)) {
        t->device = ndns;
        return true;
    }
    if (!frame_range_overlaps(facts->device, req->frames))
        return true;
    g_autofree char *why = g_strdup_printf("%s has some of them", facts->name);
    return refuse(error, PMEMD_ERROR_BUSY, req, why);
}

static bool find_target(const BackendClear *req, Target *ret_target, GError **error) {
    g_auto(Target) t = { .context = nd_context_new(error) };
    struct ndctl_namespace *ndns;

    if (!t.context)
        return false;
    nd_context_wait(t.context);
    t.region = nd_context_find_region(t.context, req->raw_id);
    if (!t.region || !frame_range_contains(nd_region_range(t.region), req->frames))
        return refuse(error, PMEMD_ERROR_INVALID_ARGUMENT, req, "there is no such raw region now, or it has not all");

    g_autoptr(NdBusy) busy = nd_busy_new();
    ndctl_namespace_foreach(t.region, ndns)
        if (!check_neighbour(&t, ndns, req, busy, error))
            return false;
    if (!sd_id128_is_null(req->device) && !t.device)
        return refuse(error, PMEMD_ERROR_DEGRADED, req, "their device is not there now");
    if (t.device && !check_device(&t, req, busy, error))
        return false;
    *ret_target = t;
    t = (Target){ 0 }; /* the cleanup reads it: NOLINT(clang-analyzer-deadcode.DeadStores) */
    return true;
}

/* 0, -EOPNOTSUPP when the platform has no such command, or another negative errno. */
static int clear_bytes(struct ndctl_bus *bus, uint64_t address, uint64_t bytes) {
    int rc = 0;

    while (bytes > 0 && rc == 0) {
        struct ndctl_cmd *cap = ndctl_bus_cmd_new_ars_cap(bus, address, bytes);
        if (!cap)
            return -EOPNOTSUPP;
        rc = ndctl_cmd_submit_xlat(cap);
        struct ndctl_cmd *clear = rc < 0 ? NULL : ndctl_bus_cmd_new_clear_error(address, bytes, cap);
        if (rc >= 0)
            rc = clear ? ndctl_cmd_submit_xlat(clear) : -EOPNOTSUPP;

        uint64_t cleared = rc < 0 ? 0 : ndctl_cmd_clear_error_get_cleared(clear);
        if (rc >= 0)
            rc = cleared == 0 || cleared > bytes ? -EIO : 0;
        address += cleared;
        bytes -= MIN(cleared, bytes);
        ndctl_cmd_unref(clear);
        ndctl_cmd_unref(cap);
    }
    return rc;
}

bool nd_clear(const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome, GError **error) {
    g_auto(Target) t = { 0 };
    bool all;

    *ret_frames = 0;
    *ret_outcome = BACKEND_UNCHANGED;
    if (!find_target(req, &t, error))
        return false;
    g_autoptr(GArray) before = nd_health_bad_frames(t.region, &all);
    g_autoptr(GArray) bad = frame_set_cut(before, req->frames);
    if (!bad)
        return true;

    struct ndctl_bus *bus = ndctl_region_get_bus(t.region);
    int rc = 0;
    for (guint i = 0; i < bad->len && rc == 0; i++) {
        FrameRange extent = g_array_index(bad, FrameRange, i);

        rc = clear_bytes(bus, extent.start * PMEMD_FRAME_SIZE, frame_range_frames(extent) * PMEMD_FRAME_SIZE);
    }
    g_autoptr(GArray) after = nd_health_bad_frames(t.region, &all);
    uint64_t left = frame_set_frames_in(after, req->frames), was = frame_set_frames_in(bad, req->frames);
    *ret_frames = was - MIN(left, was);
    if (rc == -EOPNOTSUPP || rc == -ENOTTY) {
        return refuse(error, PMEMD_ERROR_NOT_SUPPORTED, req,
                      "the platform has no command for it; replace the DIMM, or leave them out");
    }
    *ret_outcome = BACKEND_UNKNOWN;
    /* The kernel's own marks on the pages go with the device that had them. */
    BackendOutcome renewed;
    if (*ret_frames > 0 && t.device && !nd_content_renew(req->device, req->tag, &renewed, error))
        return false;
    if (rc < 0 || left > 0) {
        nd_context_error(t.context, error, rc < 0 ? rc : -EIO,
                         "cleared %" PRIu64 " bad frames in 0x%" PRIx64 "-0x%" PRIx64 " of %s, and %" PRIu64
                         " are still bad",
                         *ret_frames, req->frames.start, req->frames.end, req->raw_id, left);
        return false;
    }
    return true;
}
