/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who uses an image of the file backend, and another file in its place where that cannot be known for certain: whatever
 * was opened before then leads to the old one, which nobody else ever sees again.
 */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-io.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static MapperList *nobody(void) {
    return mapper_list_new(NULL, 0, NULL);
}

int file_backend_users(FileBackend *b, const char *image, FileImageUsers *ret_users, MapperList **ret_list) {
    FileImageUsers users = FILE_IMAGE_SHARED;
    struct stat st;
    /* O_NONBLOCK: who holds a lease on it must not make the daemon wait. */
    int fd = openat(b->dirfd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO)) {
        *ret_users = FILE_IMAGE_ALONE; /* there is none, or none of ours */
        *ret_list = nobody();
        return 0;
    }
    if (fd < 0 && errno != EWOULDBLOCK)
        return errno > 0 ? -errno : -EIO;
    if (fd >= 0)
        users = file_image_users(fd);
    int r = (fd >= 0 ? fstat(fd, &st) : fstatat(b->dirfd, image, &st, AT_SYMLINK_NOFOLLOW)) < 0 ? -errno : 0;
    /* Before the look: this descriptor is nobody's that counts. */
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return r;
    if (users == FILE_IMAGE_ALONE || !S_ISREG(st.st_mode)) {
        *ret_list = nobody();
    } else {
        g_autoptr(Mappers) mappers = mappers_new_file(&MAPPERS_LIMITS_DEFAULT, st.st_dev, st.st_ino, image);

        *ret_list = mapper_list_new(mappers_of_file(mappers), MAPPERS_MAPPED | MAPPERS_OPEN, mappers_gap(mappers));
    }
    *ret_users = users;
    return 0;
}

bool file_backend_check_unused(FileBackend *b, const char *image, FileImageUsers *ret_users, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);
    g_autoptr(MapperList) list = NULL;
    FileImageUsers users = FILE_IMAGE_SHARED;

    int r = file_backend_users(b, image, &users, &list);
    if (r < 0 || !list) {
        file_backend_set_errno(error, r < 0 ? r : -EIO, path, "cannot look at it");
        return false;
    }
    if (!mapper_list_is_empty(list)) {
        g_autofree char *who = mapper_list_describe(list, MAPPERS_EVERYBODY);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s: %s; end what uses it (`fuser -v` lists it)", path, who);
        return false;
    }
    *ret_users = users;
    return true;
}

MapperList *file_backend_mappers(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(GError) failure = NULL;
    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, &failure);
    MapperList *list = NULL;
    FileImageUsers users;
    sd_id128_t named;

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (!record || file_backend_role(record, name, &named) == BACKEND_ROLE_NONE)
        return nobody();
    g_autofree char *image = file_backend_image_name(record->tag, uuid);
    int r = file_backend_users(b, image, &users, &list);
    if (r < 0)
        file_backend_set_errno(error, r, b->dir, "cannot look at %s", image);
    return list;
}

/* Puts another file in the image's place, with its content or zeros. A crash leaves the old or the new one. */
static bool replace(FileBackend *b, const char *image, uint64_t bytes, bool keep_content, const FileFault *fault,
                    BackendOutcome *ret_outcome, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL), *temp = file_io_temp_name(image);
    int from = keep_content ? file_image_open(b->dirfd, image, bytes) : -1;
    int r = from < 0 && keep_content ? from : 0;

    *ret_outcome = BACKEND_UNCHANGED;
    if (r == 0)
        r = keep_content ? file_image_copy_temp(b->dirfd, image, from, bytes)
                         : file_image_write_temp(b->dirfd, image, bytes, false);
    if (from >= 0)
        close(from);
    if (r == 0 && !file_fault_hit(fault, FILE_FAULT_PREPARED, error))
        return false;
    if (r == 0) {
        *ret_outcome = BACKEND_UNKNOWN;
        r = file_io_commit_temp(b->dirfd, image, true);
    }
    if (r < 0) {
        file_backend_set_errno(error, r, path, "cannot put a new file of %" G_GUINT64_FORMAT " bytes in its place",
                               bytes);
        (void) file_io_remove(b->dirfd, temp); /* the first error says more; the next start removes it, too */
        return false;
    }
    return true;
}

bool file_backend_replace(FileBackend *b, const char *image, uint64_t bytes, GError **error) {
    BackendOutcome outcome;

    return replace(b, image, bytes, false, NULL, &outcome, error);
}

bool file_backend_renew(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                        GError **error) {
    FileBackend *b = file_backend(backend);
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    FileImageUsers users;
    FileImageFacts facts;

    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_RENEW, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return false;
    g_autoptr(FileRecord) record = file_backend_read_own(b, uuid, BACKEND_ROLE_DATA, tag, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    if (!record) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED, "%s/%s: no such device", b->dir, name);
        return false;
    }

    g_autofree char *image = file_backend_image_name(record->tag, uuid);
    uint64_t bytes = file_record_usable_bytes(record);
    int r = file_image_look(b->dirfd, image, bytes, FILE_IMAGE_ASK_UNLESS_WHOLE, &facts);
    if (r < 0) {
        file_backend_set_errno(error, r, b->dir, "cannot look at %s", image);
        return false;
    }
    if (!facts.whole) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s/%s: is no regular file of %" G_GUINT64_FORMAT
                    " bytes, as its description says; restore it from a copy, or release the region",
                    b->dir, image, bytes);
        return false;
    }
    if (!file_backend_check_unused(b, image, &users, error))
        return false;
    /* Nobody has a descriptor of it, on its way to somebody or anywhere else: there is none to be made dead. */
    if (users != FILE_IMAGE_ALONE && !replace(b, image, bytes, true, fault, ret_outcome, error))
        return false;
    *ret_outcome = BACKEND_UNKNOWN;
    return file_fault_hit(fault, FILE_FAULT_AFTER, error);
}
