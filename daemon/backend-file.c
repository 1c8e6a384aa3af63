/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-file.h"

#include "daemon/backend-file-internal.h"
#include "daemon/file-io.h"
#include "daemon/file-regions.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"
#define REGIONS_MAX (UINT64_C(1) << 20)

/* ---- names and descriptions ---- */

char *file_backend_record_name(sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];

    return g_strconcat(pmemd_uuid_format(uuid, text), FILE_RECORD_SUFFIX, NULL);
}

/* tag: one of ours, "pmemd:<role>:...". */
char *file_backend_image_name(const char *tag, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];
    g_auto(GStrv) parts = g_strsplit(tag, ":", 3);

    return g_strdup_printf("%s-%s.img", parts[1], pmemd_uuid_format(uuid, text));
}

/* The uuid in the name of a description; false when it is not exactly what file_backend_record_name() would give. */
bool file_backend_parse_name(const char *name, sd_id128_t *ret_uuid) {
    g_autofree char *text = g_strndup(name, strlen(name) - strlen(FILE_RECORD_SUFFIX));
    sd_id128_t uuid;

    if (!pmemd_uuid_parse(text, &uuid) || sd_id128_is_null(uuid))
        return false;
    g_autofree char *canonical = file_backend_record_name(uuid);
    if (strcmp(canonical, name) != 0)
        return false;
    *ret_uuid = uuid;
    return true;
}

/* The role of what `name` describes: ours only when the tag is well formed and is about this uuid. */
BackendRole file_backend_role(const FileRecord *record, const char *name, sd_id128_t *ret_uuid) {
    uint32_t id = 0;
    sd_id128_t uuid = SD_ID128_NULL;
    BackendRole role = backend_tag_parse(record->tag, NULL, &id);
    bool named = file_backend_parse_name(name, &uuid);

    *ret_uuid = uuid;
    return named && id == backend_tag_number(uuid) ? role : BACKEND_ROLE_NONE;
}

FileRecord *file_backend_read_own(FileBackend *b, sd_id128_t uuid, BackendRole role, const char *tag, GError **error) {
    g_autofree char *name = file_backend_record_name(uuid);
    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, error);
    sd_id128_t named;

    if (!record)
        return NULL;
    BackendRole is = file_backend_role(record, name, &named);
    if (is == BACKEND_ROLE_NONE || (role != BACKEND_ROLE_NONE && is != role) || g_strcmp0(record->tag, tag) != 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL,
                    "%s/%s: has the tag \"%s\", not \"%s\": it is another device and was left alone", b->dir, name,
                    record->tag, tag);
        return NULL;
    }
    return g_steal_pointer(&record);
}

void file_backend_set_errno(GError **error, int r, const char *path, const char *format, ...) {
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, format);
    what = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(-r), "%s: %s: %s", path, what, g_strerror(-r));
}

/* ---- the backend itself ---- */

static void file_free(Backend *backend) {
    FileBackend *b = file_backend(backend);

    g_clear_pointer(&b->regions, g_ptr_array_unref);
    file_index_free(b->index);
    if (b->regions_fd >= 0)
        close(b->regions_fd);
    if (b->lock_fd >= 0)
        close(b->lock_fd);
    if (b->dirfd >= 0)
        close(b->dirfd);
    g_free(b->dir);
    g_free(b);
}

static const BackendOps file_ops = {
    .name = "file",
    .list = file_backend_list,
    .create = file_backend_create,
    .destroy = file_backend_destroy,
    .open_medium = file_backend_open_medium,
    .renew = file_backend_renew,
    .mappers = file_backend_mappers,
    .lend = file_backend_lend,
    .open_content = file_backend_open_content,
    .clear_bad = file_backend_clear_bad,
    .free = file_free,
};

/* Who may write here could swap images, lengthen and cut them, or order failures. */
static bool ours_alone(int fd, const char *path, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0) {
        file_backend_set_errno(error, -errno, path, "cannot stat");
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    g_set_error(
        error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
        "%s: is owned by uid %u with mode %04o; must be owned by uid %u, which pmemd runs as, and not be writable by "
        "group or others (chown %u, chmod go-w)",
        path, st.st_uid, st.st_mode & 07777u, geteuid(), geteuid());
    return false;
}

/* Two locks: an editor that saves regions.conf puts another file in its place, on which nobody has ours; but
 * regions.conf is what others are told to lock. */
static bool lock_alone(int fd, const char *path, GError **error) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s: another pmemd uses this directory (fuser -v names it); stop it first", path);
    else
        file_backend_set_errno(error, -errno, path, "cannot lock");
    return false;
}

Backend *backend_file_new(const char *dir, GError **error) {
    FileBackend *b = g_new0(FileBackend, 1);
    g_autoptr(Backend) backend = &b->base;
    g_autofree char *path = NULL, *text = NULL;

    b->base.ops = &file_ops;
    b->dir = g_canonicalize_filename(dir, NULL);
    b->regions_fd = b->lock_fd = -1;
    path = g_build_filename(b->dir, FILE_BACKEND_REGIONS_NAME, NULL);

    b->dirfd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->dirfd < 0) {
        file_backend_set_errno(error, -errno, b->dir, "cannot open the directory of the file backend");
        return NULL;
    }
    if (!ours_alone(b->dirfd, b->dir, error))
        return NULL;
    b->lock_fd = openat(b->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->lock_fd < 0) {
        file_backend_set_errno(error, -errno, b->dir, "cannot make the lock file %s", LOCK_NAME);
        return NULL;
    }
    if (!lock_alone(b->lock_fd, b->dir, error))
        return NULL;
    b->regions_fd = openat(b->dirfd, FILE_BACKEND_REGIONS_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (b->regions_fd < 0) {
        file_backend_set_errno(error, -errno, path, "cannot open the file that names the raw regions");
        return NULL;
    }
    if (!ours_alone(b->regions_fd, path, error) || !lock_alone(b->regions_fd, path, error))
        return NULL;

    int r = file_io_read_fd(b->regions_fd, REGIONS_MAX, &text);
    if (r < 0) {
        file_backend_set_errno(error, r, path, "cannot read it as a text file of at most 1 MiB");
        return NULL;
    }
    b->regions = file_regions_parse(text, path, error);
    if (!b->regions)
        return NULL;
    r = file_io_remove_temps(b->dirfd);
    if (r < 0) {
        file_backend_set_errno(error, r, b->dir, "cannot remove the files that were being written");
        return NULL;
    }
    b->index = file_index_new(b->dirfd, b->dir);
    return g_steal_pointer(&backend);
}
