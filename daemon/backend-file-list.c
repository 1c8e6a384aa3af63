/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What the file backend has: raw regions, and a device for each description. */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-regions.h"

static BackendRaw *raw_new(const FileRegion *region) {
    BackendRaw *raw = g_new0(BackendRaw, 1);

    raw->id = g_strdup(region->name);
    raw->cookie = region->cookie;
    raw->range = region->range;
    raw->node = region->node;
    raw->local_node = region->local_node;
    raw->step = region->step;
    raw->lead = region->lead;
    raw->minimum = region->minimum;
    raw->free_slots = UINT64_MAX;
    raw->kind = BACKEND_RAW_FILE;
    raw->persistence = g_strdup("file");
    return raw;
}

BackendDevice *file_backend_device(FileBackend *b, const char *name, const FileRecord *record, GError **error) {
    g_autoptr(BackendDevice) device = g_new0(BackendDevice, 1);

    device->role = file_backend_role(record, name, &device->uuid);
    device->raw_id = g_strdup(record->raw);
    device->tag = g_strdup(record->tag);
    device->mode = g_strdup(record->mode);
    device->device = record->device;
    device->state = BACKEND_DEVICE_COMPLETE;
    if (device->role == BACKEND_ROLE_NONE) {
        device->name = g_strdup(record->name);
    } else {
        FileImageFacts facts = { 0 };

        device->name = file_backend_image_name(record->tag, device->uuid);
        /* Who holds a whole data device matters once it is to be erased or destroyed, and is asked then. */
        int r = file_image_look(b->dirfd, device->name, file_record_usable_bytes(record),
                                device->role == BACKEND_ROLE_DATA ? FILE_IMAGE_ASK_UNLESS_WHOLE : FILE_IMAGE_ASK_ALWAYS,
                                &facts);
        if (r < 0) {
            g_autofree char *path = g_build_filename(b->dir, device->name, NULL);
            file_backend_set_errno(error, r, path, "cannot look at it");
            return NULL;
        }
        device->held = facts.held;
        if (facts.exists)
            device->path = g_build_filename(b->dir, device->name, NULL);
        if (!facts.whole)
            device->state = BACKEND_DEVICE_PARTIAL;
    }
    if (device->state == BACKEND_DEVICE_COMPLETE)
        device->usable = file_record_usable(record);
    return g_steal_pointer(&device);
}

typedef struct {
    FileBackend *b;
    BackendListing *listing;
} ListVisit;

static bool list_visit(const char *name, const FileRecord *record, void *data, GError **error) {
    const ListVisit *visit = data;
    const FileRegion *region = file_regions_find(visit->b->regions, record->raw);

    /* As a DIMM that was taken out: its devices went with it. */
    if (!region || !frame_range_contains(region->range, record->device))
        return true;
    BackendDevice *device = file_backend_device(visit->b, name, record, error);
    if (device)
        g_ptr_array_add(visit->listing->devices, device);
    return device != NULL;
}

static int compare_start(gconstpointer a, gconstpointer b) {
    const BackendDevice *x = *(BackendDevice *const *) a, *y = *(BackendDevice *const *) b;

    return x->device.start < y->device.start ? -1 : x->device.start > y->device.start;
}

BackendListing *file_backend_list(Backend *backend, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(BackendListing) listing = backend_listing_new();
    g_autoptr(FileFault) fault = NULL;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_LIST, &fault, error) || !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    for (guint i = 0; i < b->regions->len; i++)
        g_ptr_array_add(listing->raws, raw_new(b->regions->pdata[i]));
    if (!file_records_visit(b->dirfd, b->dir, list_visit, &(ListVisit){ b, listing }, error))
        return NULL;
    g_ptr_array_sort(listing->devices, compare_start);
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&listing) : NULL;
}
