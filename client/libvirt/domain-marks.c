/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-marks.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.h"
#include "proto/one-line.h"
#include "proto/types.h"

#define NAME_MAX_CHARS 512
#define LOCK_LOOK_USEC 20000

/* NULL: no uuid, and so no mark's name. */
static char *mark_path(const char *folder, const char *uuid) {
    sd_id128_t id;

    return pmemd_uuid_parse(uuid, &id) ? g_build_filename(folder, uuid, NULL) : NULL;
}

DomainStamp domain_mark_stamp(const char *folder, const char *uuid) {
    g_autofree char *path = mark_path(folder, uuid);
    struct stat st;

    if (!path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return (DomainStamp){ 0 };
    return (DomainStamp){
        .inode = st.st_ino,
        .seconds = (uint64_t) st.st_mtim.tv_sec,
        .nanoseconds = (uint64_t) st.st_mtim.tv_nsec,
    };
}

bool domain_stamp_equal(const DomainStamp *a, const DomainStamp *b) {
    return a->inode == b->inode && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

bool domain_stamp_is_none(const DomainStamp *stamp) {
    return domain_stamp_equal(stamp, &(DomainStamp){ 0 });
}

bool domain_mark_put(const char *folder, const char *uuid, const char *title, GError **error) {
    g_autofree char *path = mark_path(folder, uuid);
    g_autoptr(GError) problem = NULL;

    g_assert(path);
    if (g_mkdir_with_parents(folder, 0700) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot make %s: %s", folder, g_strerror(errno));
        return false;
    }
    if (g_file_set_contents_full(path, title, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &problem))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot note that the domain is about to start: %s",
                problem->message);
    return false;
}

char *domain_mark_name(const char *folder, const char *uuid) {
    g_autofree char *path = mark_path(folder, uuid);
    g_autofree char *text = NULL;

    if (!path || !g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_autofree char *line = one_line(text);
    return g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1), NAME_MAX_CHARS));
}

void domain_mark_remove(const char *folder, const char *uuid) {
    g_autofree char *path = mark_path(folder, uuid);

    if (path && g_unlink(path) < 0 && errno != ENOENT)
        g_warning("cannot remove %s, ignoring: %s", path, g_strerror(errno));
}

int domain_marks_lock(const char *folder, int64_t until_usec, GError **error) {
    g_autofree char *path = g_build_filename(folder, "lock", NULL);

    if (g_mkdir_with_parents(folder, 0700) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot make %s: %s", folder, g_strerror(errno));
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot open %s: %s", path, g_strerror(errno));
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK && g_get_monotonic_time() < until_usec) {
            g_usleep(LOCK_LOOK_USEC);
            continue;
        }
        if (errno != EWOULDBLOCK)
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot lock %s: %s", path, g_strerror(errno));
        (void) close(fd);
        return -1;
    }
    return fd;
}
