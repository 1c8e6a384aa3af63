/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The images of the file backend opened: media of management devices, content of data devices, for erasing and for guests. */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-regions.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    BackendContent base;
    int fd;
    int dirfd;      /* for orders of file-fault.h */
    Medium *mapped; /* NULL: written as a file */
} FileContent;

/* The descriptor of a whole image, or -1 with error. */
static int image_open(FileBackend *b, const char *image, uint64_t bytes, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);
    int fd = file_image_open(b->dirfd, image, bytes);

    if (fd == -EMEDIUMTYPE && bytes == FILE_IMAGE_ANY_SIZE)
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
            "%s: is no regular file; remove what is there, its content is not pmemd's, and release the region again",
            path);
    else if (fd == -EMEDIUMTYPE || fd == -ENOENT)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s: is no regular file of %" G_GUINT64_FORMAT
                    " bytes, as its description says; restore it from a copy, or release the region",
                    path, bytes);
    else if (fd < 0)
        file_backend_set_errno(error, fd, path, "cannot open");
    return MAX(fd, -1);
}

/* What is left of an image that is to be erased, and its length. A destruction that was cut off has removed it
 * already (-1 without error, 0 bytes), and one that somebody shortened must not stay quarantined for ever. */
static int image_open_left(FileBackend *b, const char *image, uint64_t *ret_bytes, GError **error) {
    struct stat st;

    if (fstatat(b->dirfd, image, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        *ret_bytes = 0;
        return -1;
    }
    int fd = image_open(b, image, FILE_IMAGE_ANY_SIZE, error);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0) {
        file_backend_set_errno(error, -errno, b->dir, "cannot stat %s", image);
        close(fd);
        return -1;
    }
    *ret_bytes = (uint64_t) st.st_size;
    return fd;
}

/* What a caller who wants to open a device of ours needs: the descriptor of its whole image (of a data device: of
 * what is left of it, as above), or -1 with error. */
static int device_open(FileBackend *b, sd_id128_t uuid, BackendRole role, const FileRegion **ret_region,
                       char **ret_image, uint64_t *ret_bytes, GError **error) {
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(GError) failure = NULL;
    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, &failure);
    const FileRegion *region = record ? file_regions_find(b->regions, record->raw) : NULL;
    sd_id128_t named;

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return -1;
    }
    if (!record || !region || !frame_range_contains(region->range, record->device)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "%s/%s: no such device", b->dir, name);
        return -1;
    }
    if (file_backend_role(record, name, &named) != role) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL,
                    "%s/%s: has the tag \"%s\", which is not that of a %s device: it was left alone", b->dir, name,
                    record->tag, role == BACKEND_ROLE_MGMT ? "management" : "data");
        return -1;
    }

    g_autofree char *image = file_backend_image_name(record->tag, uuid);
    uint64_t bytes = file_record_usable_bytes(record);
    int fd =
        role == BACKEND_ROLE_DATA ? image_open_left(b, image, &bytes, &failure) : image_open(b, image, bytes, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return -1;
    }
    *ret_region = region;
    *ret_bytes = bytes;
    *ret_image = g_steal_pointer(&image);
    return fd;
}

/* The image as mapped memory if the region wants it that way. NULL without error: to be used as a file. Owns fd only
 * when it gives a medium. */
static Medium *map_image(int fd, uint64_t bytes, const FileRegion *region, GError **error) {
    g_autoptr(GError) failure = NULL;

    if (region->medium == FILE_REGION_MEDIUM_FILE)
        return NULL;
    Medium *m = medium_mapped_new(fd, bytes, region->medium == FILE_REGION_MEDIUM_MAPPED, &failure);
    if (!m && !(region->medium == FILE_REGION_MEDIUM_AUTO &&
                g_error_matches(failure, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED)))
        g_propagate_error(error, g_steal_pointer(&failure));
    return m;
}

Medium *file_backend_open_medium(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *image = NULL;
    const FileRegion *region;
    uint64_t bytes = 0;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_OPEN_MEDIUM, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    int fd = device_open(b, uuid, BACKEND_ROLE_MGMT, &region, &image, &bytes, error);
    if (fd < 0)
        return NULL;
    g_autoptr(Medium) m = map_image(fd, bytes, region, &failure);
    if (!m && !failure)
        m = medium_file_new(fd, bytes, &failure);
    if (!m) {
        close(fd);
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s/%s: ", b->dir, image);
        return NULL;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&m) : NULL;
}

static int content_zero(BackendContent *content, uint64_t off, uint64_t len) {
    FileContent *c = (FileContent *) content;
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;

    if (off > content->size || len > content->size - off)
        return -EINVAL;
    if (c->fd < 0)
        return 0; /* no image is left */
    if (!file_fault_begin(c->dirfd, FILE_FAULT_ZERO, &fault, &failure) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, &failure))
        return -pmemd_error_errno(failure->code);
    int r = file_image_zero(c->fd, c->mapped, off, len / 2);
    if (r < 0)
        return r;
    if (!file_fault_hit(fault, FILE_FAULT_PARTIAL, &failure))
        return -pmemd_error_errno(failure->code);
    r = file_image_zero(c->fd, c->mapped, off + len / 2, len - len / 2);
    if (r < 0)
        return r;
    return file_fault_hit(fault, FILE_FAULT_AFTER, &failure) ? 0 : -pmemd_error_errno(failure->code);
}

static int content_find_nonzero(BackendContent *content, uint64_t off, uint64_t len, uint64_t *ret_at) {
    const FileContent *c = (const FileContent *) content;
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;

    if (off > content->size || len > content->size - off)
        return -EINVAL;
    if (!file_fault_begin(c->dirfd, FILE_FAULT_CHECK, &fault, &failure) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, &failure))
        return -pmemd_error_errno(failure->code);
    int r = c->fd < 0 ? 0 : file_image_find_nonzero(c->fd, c->mapped, off, len, ret_at);
    return file_fault_hit(fault, FILE_FAULT_AFTER, &failure) ? r : -pmemd_error_errno(failure->code);
}

static void content_free(BackendContent *content) {
    FileContent *c = (FileContent *) content;

    medium_free(c->mapped);
    if (c->fd >= 0)
        close(c->fd);
    if (c->dirfd >= 0)
        close(c->dirfd);
    g_free(c);
}

/* An image that somebody has open, or may have: refused when that one can be named, else all of its descriptors are
 * left with the old file. */
static int open_renewed(FileBackend *b, const char *image, uint64_t bytes, GError **error) {
    FileImageUsers users;

    if (!file_backend_check_unused(b, image, &users, error) ||
        (users != FILE_IMAGE_ALONE && !file_backend_replace(b, image, bytes, error)))
        return -1;
    return image_open(b, image, bytes, error);
}

BackendContent *file_backend_open_content(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *image = NULL;
    const FileRegion *region;
    uint64_t bytes = 0;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_OPEN_CONTENT, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    int fd = device_open(b, uuid, BACKEND_ROLE_DATA, &region, &image, &bytes, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (fd >= 0 && file_image_users(fd) != FILE_IMAGE_ALONE) {
        close(fd);
        fd = open_renewed(b, image, bytes, error);
        if (fd < 0)
            return NULL;
    }

    g_autoptr(BackendContent) content = (BackendContent *) g_new0(FileContent, 1);
    FileContent *c = (FileContent *) content;
    content->size = bytes;
    content->zero = content_zero;
    content->find_nonzero = content_find_nonzero;
    content->free = content_free;
    c->fd = fd;
    c->dirfd = fcntl(b->dirfd, F_DUPFD_CLOEXEC, 0);
    if (c->dirfd >= 0 && bytes == 0)
        return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&content) : NULL; /* nothing to erase */
    int map_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (c->dirfd < 0 || map_fd < 0) {
        file_backend_set_errno(error, -errno, b->dir, "cannot open %s for erasing", image);
        if (map_fd >= 0)
            close(map_fd);
        return NULL;
    }
    c->mapped = map_image(map_fd, bytes, region, &failure);
    if (!c->mapped)
        close(map_fd);
    if (failure) {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s/%s: ", b->dir, image);
        return NULL;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&content) : NULL;
}

/* The image must be whole: what is left of one is for erasing alone. */
static bool check_whole(FileBackend *b, sd_id128_t uuid, const char *path, uint64_t bytes, GError **error) {
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(GError) failure = NULL;
    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, &failure);

    if (record && bytes == file_record_usable_bytes(record))
        return true;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s: has %" G_GUINT64_FORMAT " bytes, which is not what its description says; restore it from a "
                    "copy, or release the region",
                    path, bytes);
    return false;
}

BackendLoan *file_backend_lend(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *image = NULL;
    const FileRegion *region = NULL;
    uint64_t bytes = 0;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_LEND, &fault, error) || !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    int fd = device_open(b, uuid, BACKEND_ROLE_DATA, &region, &image, &bytes, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    g_assert(region); /* without a failure there is one */
    g_autoptr(BackendLoan) loan = g_new(BackendLoan, 1);
    *loan = (BackendLoan){ .fd = fd, .path = g_build_filename(b->dir, image, NULL), .alignment = region->step };
    if (!check_whole(b, uuid, loan->path, fd >= 0 ? bytes : 0, error) ||
        !file_fault_hit(fault, FILE_FAULT_AFTER, error))
        return NULL;
    return g_steal_pointer(&loan);
}
