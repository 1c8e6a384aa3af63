/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-align.h"

#include <inttypes.h>
#include <string.h>

bool nd_align_set(NdContext *context, struct ndctl_region *region, uint64_t step, GError **error) {
    if (ndctl_region_get_align(region) == step)
        return true;

    int rc = ndctl_region_set_align(region, step);
    if (rc < 0)
        nd_context_error(context, error, rc, "cannot set the align of %s to %" PRIu64 " bytes",
                         ndctl_region_get_devname(region), step);
    return rc >= 0;
}

/* Bytes; 0: this kernel has none. */
static uint64_t align_of(const BackendRaw *raw) {
    g_autofree char *text = nd_sysfs_read("bus/nd/devices/%s/align", raw->id);

    return text ? g_ascii_strtoull(text, NULL, 0) : 0;
}

static bool needs_step(const BackendListing *listing, const BackendRaw *raw, uint64_t align) {
    uint64_t frames = align / PMEMD_FRAME_SIZE;

    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *d = g_ptr_array_index(listing->devices, i);

        if (d->role != BACKEND_ROLE_NONE && strcmp(d->raw_id, raw->id) == 0 &&
            ((d->device.start - raw->range.start) % frames != 0 || frame_range_frames(d->device) % frames != 0))
            return true;
    }
    return false;
}

static void set_step(const BackendRaw *raw) {
    g_autoptr(GError) error = NULL;
    g_autoptr(NdContext) context = nd_context_new(&error);
    struct ndctl_region *region = context ? nd_context_find_region(context, raw->id) : NULL;

    if (region && nd_align_set(context, region, raw->step, &error))
        g_debug("%s: align set to %" PRIu64 " bytes again", raw->id, raw->step);
    else if (error)
        g_warning("%s, ignoring: other tools may find no free memory there", error->message);
}

void nd_align_keep(const BackendListing *listing) {
    for (guint i = 0; i < listing->raws->len; i++) {
        const BackendRaw *raw = g_ptr_array_index(listing->raws, i);
        uint64_t align = raw->kind == BACKEND_RAW_LABELLED && !raw->unusable ? align_of(raw) : 0;

        if (align > raw->step && needs_step(listing, raw, align))
            set_step(raw);
    }
}
