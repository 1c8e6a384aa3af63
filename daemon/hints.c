/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/hints.h"

#include "daemon/crc32c.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVIDENCE_MAX_BYTES (UINT64_C(64) << 20)

static const char *const hint_dirs[] = { "setup", "release", "in-ram" };
G_STATIC_ASSERT(G_N_ELEMENTS(hint_dirs) == N_HINTS);

static bool fail(GError **error, int errnum, const char *what, const char *path) {
    g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(errnum), "cannot %s %s: %s", what, path, g_strerror(errnum));
    return false;
}

static char *hint_path(const char *state_dir, HintKind kind, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];

    g_assert(kind < N_HINTS);
    return g_build_filename(state_dir, hint_dirs[kind], pmemd_uuid_format(uuid, text), NULL);
}

/* A new or removed name is durable only when its directory is. */
static bool sync_dir_of(const char *path, GError **error) {
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return fail(error, errno, "open", dir);
    int r = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return r == 0 || fail(error, r, "sync", dir);
}

bool hints_prepare(const char *state_dir, GError **error) {
    const char *const dirs[] = { hint_dirs[HINT_SETUP], hint_dirs[HINT_RELEASE], hint_dirs[HINT_IN_RAM], "evidence" };

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *dir = g_build_filename(state_dir, dirs[i], NULL);

        if (g_mkdir_with_parents(dir, 0700) < 0)
            return fail(error, errno, "create directory", dir);
    }
    return true;
}

bool hints_put(const char *state_dir, HintKind kind, sd_id128_t uuid, GError **error) {
    g_autofree char *path = hint_path(state_dir, kind, uuid);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fail(error, errno, "create", path);
    int r = fsync(fd) < 0 ? errno : 0;
    close(fd);
    if (r != 0)
        fail(error, r, "sync", path);
    if (r == 0 && sync_dir_of(path, error))
        return true;
    unlink(path); /* the caller does not begin: a hint that stayed would have the next start go on with it */
    return false;
}

bool hints_remove(const char *state_dir, HintKind kind, sd_id128_t uuid, GError **error) {
    g_autofree char *path = hint_path(state_dir, kind, uuid);

    if (unlink(path) < 0)
        return errno == ENOENT || fail(error, errno, "remove", path);
    return sync_dir_of(path, error);
}

bool hints_has(const char *state_dir, HintKind kind, sd_id128_t uuid) {
    g_autofree char *path = hint_path(state_dir, kind, uuid);

    return access(path, F_OK) == 0;
}

GArray *hints_list(const char *state_dir, HintKind kind, GError **error) {
    g_autoptr(GArray) uuids = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    g_autofree char *path = g_build_filename(state_dir, hint_dirs[kind], NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    const char *name;

    if (!dir)
        return NULL;
    while ((name = g_dir_read_name(dir))) {
        sd_id128_t uuid;

        if (pmemd_uuid_parse(name, &uuid))
            g_array_append_val(uuids, uuid);
    }
    return g_steal_pointer(&uuids);
}

static int write_all(int fd, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        bytes += n;
        len -= (size_t) n;
    }
    return fsync(fd) < 0 ? errno : 0;
}

bool hints_keep_evidence(const char *state_dir, sd_id128_t uuid, uint64_t seq, const uint8_t *bytes, size_t len,
                         char **ret_path, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    len = MIN(len, EVIDENCE_MAX_BYTES);
    /* What is in it belongs to its name: another damage behind the same last record is evidence of its own. */
    g_autofree char *name =
        g_strdup_printf("%s-%" G_GUINT64_FORMAT "-%08x.img", pmemd_uuid_format(uuid, text), seq, crc32c(0, bytes, len));
    g_autofree char *path = g_build_filename(state_dir, "evidence", name, NULL);
    g_autofree char *temp = g_strconcat(path, ".tmp", NULL);

    if (access(path, F_OK) < 0) {
        int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return fail(error, errno, "create", temp);
        int r = write_all(fd, bytes, len);
        close(fd);
        if (r == 0 && rename(temp, path) < 0)
            r = errno;
        if (r != 0) {
            unlink(temp);
            return fail(error, r, "write", path);
        }
        if (!sync_dir_of(path, error))
            return false;
    }
    *ret_path = g_steal_pointer(&path);
    return true;
}
