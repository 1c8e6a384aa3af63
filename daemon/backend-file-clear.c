/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The bad frames of the file backend: health.conf, read for each listing, and written without what is cleared. */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-io.h"
#include "daemon/file-regions.h"
#include "daemon/frame-set.h"
#include "proto/error.h"

#include <errno.h>

#define HEALTH_MAX (UINT64_C(1) << 20)

bool file_backend_read_health(FileBackend *b, FileHealth **ret_health, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, FILE_HEALTH_NAME, NULL);
    g_autofree char *text = NULL;
    int r = file_io_read(b->dirfd, FILE_HEALTH_NAME, HEALTH_MAX, &text);

    if (r == -ENOENT) {
        *ret_health = NULL;
        return true;
    }
    if (r < 0) {
        file_backend_set_errno(error, r, path, "cannot read it as a text file of at most 1 MiB");
        return false;
    }
    FileHealth *health = file_health_parse(text, path, b->regions, error);
    if (!health)
        return false;
    *ret_health = health;
    return true;
}

static bool refuse(GError **error, PmemdError code, const BackendClear *req, const char *why) {
    g_set_error(error, PMEMD_ERROR, code,
                "cannot clear the bad frames in " FILE_BACKEND_HEX "-" FILE_BACKEND_HEX " of %s: %s", req->frames.start,
                req->frames.end, req->raw_id, why);
    return false;
}

/* The frames are in no device but that which req names, and that is whole, and nobody has it. */
static bool check_devices(FileBackend *b, const BackendClear *req, GError **error) {
    g_autoptr(BackendListing) listing = file_backend_look(b, error);
    bool found = sd_id128_is_null(req->device);

    for (guint i = 0; listing && i < listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (sd_id128_is_null(req->device) || !sd_id128_equal(device->uuid, req->device)) {
            if (!frame_range_overlaps(device->device, req->frames))
                continue;
            g_autofree char *why = g_strdup_printf("%s has some of them", device->name);
            return refuse(error, PMEMD_ERROR_BUSY, req, why);
        }
        if (g_strcmp0(device->tag, req->tag) != 0 || device->role != BACKEND_ROLE_DATA)
            return refuse(error, PMEMD_ERROR_INTERNAL, req, "their device has another tag and was left alone");
        if (!frame_range_contains(device->usable, req->frames))
            return refuse(error, PMEMD_ERROR_INVALID_ARGUMENT, req,
                          "they are not all among their device's usable frames");

        FileImageUsers users;
        if (!file_backend_check_unused(b, device->name, &users, error))
            return false;
        found = true;
    }
    return listing && (found || refuse(error, PMEMD_ERROR_DEGRADED, req, "their device is not there now"));
}

/* Half of what is to be cleared: as on real DIMMs, it can end in its middle. */
static FrameRange first_half(const GArray *bad) {
    FrameRange first = g_array_index(bad, FrameRange, 0);

    return bad->len > 1 ? first : (FrameRange){ first.start, first.start + frame_range_frames(first) / 2 };
}

static bool clear_frames(FileBackend *b, const FileHealth *health, const char *raw, FrameRange frames, GError **error) {
    g_autofree char *text = file_health_cleared(health, raw, frames);
    int r = file_io_write_temp(b->dirfd, FILE_HEALTH_NAME, text);

    if (r == 0)
        r = file_io_commit_temp(b->dirfd, FILE_HEALTH_NAME, true);
    if (r < 0)
        file_backend_set_errno(error, r, b->dir, "cannot write %s", FILE_HEALTH_NAME);
    return r == 0;
}

bool file_backend_clear_bad(Backend *backend, const BackendClear *req, uint64_t *ret_frames,
                            BackendOutcome *ret_outcome, GError **error) {
    FileBackend *b = file_backend(backend);
    const FileRegion *region = file_regions_find(b->regions, req->raw_id);
    g_autoptr(FileHealth) health = NULL;
    g_autoptr(FileFault) fault = NULL;
    bool all;

    *ret_frames = 0;
    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_CLEAR_BAD, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return false;
    if (!region || !frame_range_contains(region->range, req->frames))
        return refuse(error, PMEMD_ERROR_INVALID_ARGUMENT, req, "there is no such raw region, or it has not all");
    if (!check_devices(b, req, error) || !file_backend_read_health(b, &health, error))
        return false;

    g_autoptr(GArray) known = file_health_bad(health, req->raw_id, &all);
    g_autoptr(GArray) bad = frame_set_cut(known, req->frames);
    if (!bad)
        return file_fault_hit(fault, FILE_FAULT_AFTER, error);

    *ret_outcome = BACKEND_UNKNOWN;
    FrameRange half = first_half(bad);
    if (!clear_frames(b, health, req->raw_id, half, error))
        return false;
    *ret_frames = frame_set_frames_in(bad, half);
    if (!file_fault_hit(fault, FILE_FAULT_PARTIAL, error))
        return false;
    if (!clear_frames(b, health, req->raw_id, req->frames, error))
        return false;
    *ret_frames = frame_set_frames_in(bad, req->frames);
    return file_fault_hit(fault, FILE_FAULT_AFTER, error);
}
