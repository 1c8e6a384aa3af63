/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/state-dir.h"

#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who holds the lock, as far as the file tells; "" when it does not. For the message alone. */
static char *read_holder(int fd) {
    char text[32] = "";

    if (pread(fd, text, sizeof text - 1, 0) <= 0)
        text[0] = 0;
    text[strspn(text, "0123456789")] = 0;
    return text[0] ? g_strdup_printf(" (process %s)", text) : g_strdup("");
}

static void write_holder(int fd) {
    g_autofree char *text = g_strdup_printf("%ld\n", (long) getpid());

    /* Only a hint for the message of a second pmemd: a failure is no matter. */
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
        return;
}

/* Who may write there could swap notes: those of regions that are being made or released are acted upon at the start. */
static bool ours_alone(int fd, const char *dir, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot stat the state directory %s: %s", dir,
                    g_strerror(errno));
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    g_set_error(
        error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
        "the state directory %s is owned by uid %u with mode %04o; must be owned by uid %u, which pmemd runs as, "
        "and not be writable by group or others (chown %u, chmod go-w)",
        dir, (unsigned) st.st_uid, (unsigned) st.st_mode & 07777U, (unsigned) geteuid(), (unsigned) geteuid());
    return false;
}

bool state_dir_lock(const char *dir, int *ret_fd, GError **error) {
    g_autofree char *path = g_build_filename(dir, "lock", NULL);

    if (g_mkdir_with_parents(dir, 0700) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot make the state directory %s: %s", dir,
                    g_strerror(errno));
        return false;
    }
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open the state directory %s: %s", dir,
                    g_strerror(errno));
        return false;
    }
    bool ours = ours_alone(dirfd, dir, error);
    close(dirfd);
    if (!ours)
        return false;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open %s: %s", path, g_strerror(errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int errnum = errno;
        g_autofree char *holder = read_holder(fd);
        if (errnum == EWOULDBLOCK)
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                        "another pmemd%s uses the state directory %s: stop it, or give another --state-dir", holder,
                        dir);
        else
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot lock %s: %s", path, g_strerror(errnum));
        close(fd);
        return false;
    }
    write_holder(fd);
    *ret_fd = fd;
    return true;
}
