/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Making a device of the file backend, and undoing what failed half way. */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-io.h"
#include "daemon/file-regions.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
    FileBackend *b;
    const BackendCreate *req;
} CreateVisit;

static bool create_refuse_overlap(const char *name, const FileRecord *record, void *data, GError **error) {
    const FileBackend *b = ((CreateVisit *) data)->b;
    const BackendCreate *req = ((CreateVisit *) data)->req;
    sd_id128_t uuid;
    bool foreign = file_backend_role(record, name, &uuid) == BACKEND_ROLE_NONE;

    if (sd_id128_equal(uuid, req->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS, "%s/%s: a device with this uuid exists", b->dir, name);
        return false;
    }
    if (!frame_range_overlaps(record->device, req->device))
        return true;
    g_set_error(error, PMEMD_ERROR, foreign ? PMEMD_ERROR_BUSY : PMEMD_ERROR_EXISTS,
                "frames " FILE_BACKEND_HEX " - " FILE_BACKEND_HEX
                " overlap the %s device %s/%s, which has " FILE_BACKEND_HEX " - " FILE_BACKEND_HEX,
                req->device.start, req->device.end, foreign ? "foreign" : "pmemd", b->dir, name, record->device.start,
                record->device.end);
    return false;
}

/* No device has the uuid or any of the frames. */
static bool create_check_others(FileBackend *b, const BackendCreate *req, GError **error) {
    g_autofree char *name = file_backend_record_name(req->uuid);
    bool clear;

    if (!file_index_is_clear(b->index, req->device, &clear, error))
        return false;
    if (clear && faccessat(b->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return true;
    /* Something is in the way, or may be: who, that the descriptions themselves must say. */
    return file_records_visit(b->dirfd, b->dir, create_refuse_overlap, &(CreateVisit){ b, req }, error);
}

static const FileRegion *create_check(FileBackend *b, const BackendCreate *req, GError **error) {
    const FileRegion *region = file_regions_find(b->regions, req->raw_id);

    if (!region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s/" FILE_BACKEND_REGIONS_NAME ": has no region %s", b->dir, req->raw_id);
        return NULL;
    }
    uint32_t id = 0;
    if (backend_tag_parse(req->tag, NULL, &id) == BACKEND_ROLE_NONE || sd_id128_is_null(req->uuid) ||
        id != backend_tag_number(req->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the tag %s does not belong to the device's uuid",
                    req->tag);
        return NULL;
    }

    uint64_t step = region->step >> PMEMD_FRAME_SHIFT;
    if (req->device.start >= req->device.end || !frame_range_contains(region->range, req->device) ||
        (req->device.start - region->range.start) % step != 0 || frame_range_frames(req->device) % step != 0 ||
        frame_range_frames(req->device) < region->minimum >> PMEMD_FRAME_SHIFT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "frames " FILE_BACKEND_HEX " - " FILE_BACKEND_HEX
                    " cannot be a device of region %s: it has " FILE_BACKEND_HEX " - " FILE_BACKEND_HEX
                    ", its devices start and end at multiples of " FILE_BACKEND_HEX
                    " frames from its start and have at least " FILE_BACKEND_HEX " frames",
                    req->device.start, req->device.end, region->name, region->range.start, region->range.end, step,
                    region->minimum >> PMEMD_FRAME_SHIFT);
        return NULL;
    }
    return create_check_others(b, req, error) ? region : NULL;
}

static void create_set_errno(FileBackend *b, int r, const char *image, uint64_t bytes, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);

    if (r == -EFBIG)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "%s: the file system cannot hold a file of %" G_GUINT64_FORMAT
                    " bytes; make a smaller region, or use another file system (XFS takes 8 EiB)",
                    path, bytes);
    else if (r == -EEXIST)
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
            "%s: exists, but no description (" FILE_RECORD_SUFFIX ") goes with it; move it out of the directory", path);
    else
        file_backend_set_errno(error, r, path, "cannot make a device of %" G_GUINT64_FORMAT " bytes", bytes);
}

/* What create has to know to undo itself. */
typedef struct {
    char *image;
    char *name;   /* of the description */
    bool visible; /* the description may be in its place, put there by us */
} Creation;

static void creation_clear(Creation *c) {
    g_free(c->image);
    g_free(c->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, creation_clear)

/* After a failure that really happened (not an ordered one): true when nothing of it is left, durably. */
static bool creation_undo(FileBackend *b, const Creation *c) {
    g_autofree char *image_temp = file_io_temp_name(c->image);
    g_autofree char *name_temp = file_io_temp_name(c->name);

    /* The image is in its place, but perhaps not durably: complete or partial, that is for a later look to say. */
    if (c->visible && faccessat(b->dirfd, image_temp, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return file_io_remove(b->dirfd, image_temp) == 0 && file_io_remove(b->dirfd, name_temp) == 0 &&
           (!c->visible || file_io_remove(b->dirfd, c->name) == 0) && fsync(b->dirfd) == 0;
}

BackendDevice *file_backend_create(Backend *backend, const BackendCreate *req, BackendOutcome *ret_outcome,
                                   GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;

    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_CREATE, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    const FileRegion *region = create_check(b, req, error);
    if (!region)
        return NULL;

    g_auto(Creation) creation = { .image = file_backend_image_name(req->tag, req->uuid),
                                  .name = file_backend_record_name(req->uuid) };
    FileRecord record = {
        .tag = (char *) req->tag,
        .raw = region->name,
        .device = req->device,
        .lead = region->lead,
        .mode = (char *) "file",
        .name = creation.image,
    };
    uint64_t bytes = file_record_usable_bytes(&record);
    g_autofree char *text = file_record_format(&record);
    bool preallocate = backend_tag_parse(req->tag, NULL, NULL) == BACKEND_ROLE_MGMT;

    int r = file_image_write_temp(b->dirfd, creation.image, bytes, preallocate);
    if (r == 0)
        r = file_io_write_temp(b->dirfd, creation.name, text);
    /* An image without description is nobody's that we know of. One that comes after this look stops the move. */
    if (r == 0 && faccessat(b->dirfd, creation.image, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        r = -EEXIST;
    if (r == 0 && !file_fault_hit(fault, FILE_FAULT_PREPARED, error))
        return NULL;
    if (r == 0) {
        r = file_io_commit_temp(b->dirfd, creation.name, false);
        creation.visible = r != -EEXIST;
        if (r == 0)
            file_index_added(b->index, creation.name, record.device);
        else
            file_index_distrust(b->index);
    }
    if (r == 0) {
        *ret_outcome = BACKEND_UNKNOWN;
        if (!file_fault_hit(fault, FILE_FAULT_PARTIAL, error))
            return NULL;
        r = file_io_commit_temp(b->dirfd, creation.image, false);
    }
    if (r < 0) {
        create_set_errno(b, r, creation.image, bytes, error);
        file_index_distrust(b->index);
        *ret_outcome = creation_undo(b, &creation) ? BACKEND_UNCHANGED : BACKEND_UNKNOWN;
        return NULL;
    }
    if (!file_fault_hit(fault, FILE_FAULT_AFTER, error))
        return NULL;
    return file_backend_device(b, creation.name, &record, error);
}
