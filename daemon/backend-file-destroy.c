/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Destroying a device of the file backend: its image first, so that a description without one tells of a half-done one. */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-io.h"
#include "proto/error.h"

#include <errno.h>
#include <unistd.h>

bool file_backend_destroy(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                          GError **error) {
    FileBackend *b = file_backend(backend);
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    FileImageFacts facts;

    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_DESTROY, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return false;

    g_autoptr(FileRecord) record = file_backend_read_own(b, uuid, BACKEND_ROLE_NONE, tag, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    if (!record)
        return true;

    g_autofree char *image = file_backend_image_name(record->tag, uuid);
    g_autofree char *temp = file_io_temp_name(image);
    g_autofree char *path = g_build_filename(b->dir, image, NULL);
    int r = file_image_look(b->dirfd, image, file_record_usable_bytes(record), FILE_IMAGE_ASK_ALWAYS, &facts);
    if (r < 0) {
        file_backend_set_errno(error, r, path, "cannot look at it");
        return false;
    }
    /* A descriptor that no process has in its table may be left: what it leads to is nobody else's ever. */
    FileImageUsers users;
    if (facts.held && !file_backend_check_unused(b, image, &users, error))
        return false;

    *ret_outcome = BACKEND_UNKNOWN;
    r = file_io_remove(b->dirfd, temp);
    if (r == 0)
        r = file_io_remove(b->dirfd, image);
    if (r == 0 && fsync(b->dirfd) < 0)
        r = -errno;
    if (r == 0 && !file_fault_hit(fault, FILE_FAULT_PARTIAL, error))
        return false;
    if (r == 0) {
        r = file_io_remove(b->dirfd, name);
        if (r == 0)
            file_index_removed(b->index, name, record->device);
        else
            file_index_distrust(b->index);
    }
    if (r == 0 && fsync(b->dirfd) < 0)
        r = -errno;
    if (r < 0) {
        file_backend_set_errno(error, r, path, "cannot remove it and its description");
        return false;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error);
}
