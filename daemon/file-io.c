/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_io_temp_name(const char *name) {
    return g_strconcat(FILE_IO_TEMP_PREFIX, name, FILE_IO_TEMP_SUFFIX, NULL);
}

int file_io_read_fd(int fd, size_t max, char **ret_text) {
    g_autofree char *text = NULL;
    struct stat st;
    size_t done = 0;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EBADMSG;
    if (st.st_size < 0 || (uint64_t) st.st_size > max)
        return -EFBIG;

    /* One byte more than it should have: a file that grows meanwhile is seen, not cut. */
    size_t room = (size_t) st.st_size + 1;
    text = g_malloc(room + 1);
    while (done < room) {
        ssize_t n = pread(fd, text + done, room - done, (off_t) done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t) n;
    }
    if (done == room)
        return -EAGAIN;
    if (memchr(text, '\0', done))
        return -EBADMSG;
    text[done] = '\0';
    *ret_text = g_steal_pointer(&text);
    return 0;
}

int file_io_read(int dirfd, const char *name, size_t max, char **ret_text) {
    /* O_NONBLOCK: a FIFO of that name must not hang the daemon. */
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : -errno;
    int r = file_io_read_fd(fd, max, ret_text);
    close(fd);
    return r;
}

static int write_all(int fd, const char *text) {
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = write(fd, text, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        left -= (size_t) n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int file_io_write_temp(int dirfd, const char *name, const char *text) {
    g_autofree char *temp = file_io_temp_name(name);

    int r = file_io_remove(dirfd, temp);
    if (r < 0)
        return r;
    int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    r = write_all(fd, text);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void) file_io_remove(dirfd, temp); /* the first error says more */
    return r;
}

int file_io_commit_temp(int dirfd, const char *name, bool replace) {
    g_autofree char *temp = file_io_temp_name(name);

    if (renameat2(dirfd, temp, dirfd, name, replace ? 0 : RENAME_NOREPLACE) < 0)
        return -errno;
    return fsync(dirfd) < 0 ? -errno : 0;
}

int file_io_remove(int dirfd, const char *name) {
    return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int file_io_remove_temps(int dirfd) {
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return -errno;
    DIR *d = fdopendir(fd);
    if (!d) {
        r = -errno;
        close(fd);
        return r;
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry) {
            r = -errno;
            break;
        }
        if (!g_str_has_prefix(entry->d_name, FILE_IO_TEMP_PREFIX) ||
            !g_str_has_suffix(entry->d_name, FILE_IO_TEMP_SUFFIX))
            continue;
        r = file_io_remove(dirfd, entry->d_name);
        if (r < 0)
            break;
    }
    closedir(d);
    return r;
}
