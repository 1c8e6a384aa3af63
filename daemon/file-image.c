/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-image.h"

#include "daemon/file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_CHUNK (UINT64_C(1) << 20)
#define COPY_CHUNK (UINT64_C(1) << 20)

FileImageUsers file_image_users(int fd) {
    /* A write lease is granted only to who is alone; it is given back at once. An opener that comes in between waits
     * for that moment, and the kernel would tell us by SIGIO, which kills: SIGURG is ignored by default. */
    if (fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
        (void) fcntl(fd, F_SETLEASE, F_UNLCK);
        return FILE_IMAGE_ALONE;
    }
    if (errno == EAGAIN)
        return FILE_IMAGE_SHARED;
    /* No leases on this file system: at least those who lock it are seen. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? FILE_IMAGE_SHARED : FILE_IMAGE_UNCERTAIN;
    (void) flock(fd, LOCK_UN);
    return FILE_IMAGE_UNCERTAIN;
}

bool file_image_held(int fd) {
    return file_image_users(fd) == FILE_IMAGE_SHARED;
}

int file_image_look(int dirfd, const char *name, uint64_t bytes, FileImageAsk ask, FileImageFacts *ret_facts) {
    FileImageFacts facts = { 0 };
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        facts.exists = true;
        facts.whole = S_ISREG(st.st_mode) && (uint64_t) st.st_size == bytes;
        if (S_ISREG(st.st_mode) && (ask == FILE_IMAGE_ASK_ALWAYS || !facts.whole)) {
            /* O_NONBLOCK: who holds a lease on it must not make the daemon wait. */
            int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

            if (fd < 0 && errno != EWOULDBLOCK)
                return -errno;
            facts.held = fd < 0 || file_image_held(fd);
            if (fd >= 0)
                close(fd);
        }
    } else if (errno != ENOENT) {
        return -errno;
    }
    *ret_facts = facts;
    return 0;
}

int file_image_open(int dirfd, const char *name, uint64_t bytes) {
    struct stat st;
    int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return errno == EWOULDBLOCK ? -EBUSY : errno == ELOOP ? -EMEDIUMTYPE : -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || (bytes != FILE_IMAGE_ANY_SIZE && (uint64_t) st.st_size != bytes)))
        r = -EMEDIUMTYPE;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int file_image_write_temp(int dirfd, const char *name, uint64_t bytes, bool preallocate) {
    g_autofree char *temp = file_io_temp_name(name);
    int r = file_io_remove(dirfd, temp);

    if (r < 0)
        return r;
    int fd = openat(dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    r = ftruncate(fd, (off_t) bytes) < 0 ? -errno : 0;
    if (r == 0 && preallocate)
        do {
            r = -posix_fallocate(fd, 0, (off_t) bytes);
        } while (r == -EINTR);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    return r;
}

/* Copies [off, end), by the file system's own means where it has some. */
static int copy_extent(int from, int to, uint64_t off, uint64_t end, char *buffer) {
    bool by_kernel = true;

    while (off < end) {
        off_t in = (off_t) off, out = (off_t) off;
        ssize_t n = by_kernel ? copy_file_range(from, &in, to, &out, end - off, 0)
                              : pread(from, buffer, MIN(end - off, COPY_CHUNK), in);

        if (by_kernel && (n == 0 || (n < 0 && errno != EINTR))) {
            by_kernel = false;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it was whole when it was opened */
        for (ssize_t done = 0; !by_kernel && done < n;) {
            ssize_t written = pwrite(to, buffer + done, (size_t) (n - done), out + done);

            if (written < 0 && errno != EINTR)
                return -errno;
            done += MAX(written, 0);
        }
        off += (uint64_t) n;
    }
    return 0;
}

static int copy_data(int from, int to, uint64_t bytes) {
    g_autofree char *buffer = g_malloc(COPY_CHUNK);

    for (uint64_t off = 0; off < bytes;) {
        off_t data = lseek(from, (off_t) off, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (data < 0 || hole < 0) {
            if (errno != EINVAL)
                return -errno;
            data = (off_t) off; /* a file system that cannot tell: all of it */
            hole = (off_t) bytes;
        }
        int r = copy_extent(from, to, (uint64_t) data, MIN((uint64_t) hole, bytes), buffer);
        if (r < 0)
            return r;
        off = (uint64_t) hole;
    }
    return 0;
}

int file_image_copy_temp(int dirfd, const char *name, int from, uint64_t bytes) {
    int r = file_image_write_temp(dirfd, name, bytes, false);
    if (r < 0)
        return r;

    g_autofree char *temp = file_io_temp_name(name);
    int fd = openat(dirfd, temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    r = copy_data(from, fd, bytes);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    return r;
}

static int zero_extent(int fd, Medium *mapped, uint64_t off, uint64_t end) {
    if (mapped)
        return medium_zero(mapped, off, end - off);

    g_autofree char *zeros = g_malloc0(ZERO_CHUNK);
    while (off < end) {
        ssize_t n = pwrite(fd, zeros, MIN(end - off, ZERO_CHUNK), (off_t) off);

        if (n < 0 && errno != EINTR)
            return -errno;
        off += n > 0 ? (uint64_t) n : 0;
    }
    return 0;
}

/* Whether the file has a block for each of its bytes. A file system may count blocks of its own as well: then a hole is
 * taken for data, and is filled. */
static bool is_without_holes(int fd) {
    struct stat st;

    return fstat(fd, &st) == 0 && (uint64_t) st.st_blocks * 512 >= (uint64_t) st.st_size;
}

int file_image_zero(int fd, Medium *mapped, uint64_t off, uint64_t len) {
    uint64_t end = off + len;

    /* To look for holes takes a third of the time that zeroing takes, where the pages are in RAM. */
    if (is_without_holes(fd)) {
        int r = zero_extent(fd, mapped, off, end);
        return r < 0 || mapped ? r : fdatasync(fd) < 0 ? -errno : 0;
    }
    /* Holes read as zeros already: to write them would fill the disk that a sparse file spares. */
    while (off < end) {
        off_t data = lseek(fd, (off_t) off, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break;
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        if (data < 0 || hole < 0) {
            if (errno != EINVAL)
                return -errno;
            data = (off_t) off; /* a file system that cannot tell: all of it */
            hole = (off_t) end;
        }
        if ((uint64_t) data >= end)
            break;
        int r = zero_extent(fd, mapped, (uint64_t) data, MIN((uint64_t) hole, end));
        if (r < 0)
            return r;
        off = (uint64_t) hole;
    }
    return mapped || fdatasync(fd) == 0 ? 0 : -errno;
}

int file_image_find_nonzero(int fd, Medium *mapped, uint64_t off, uint64_t len, uint64_t *ret_at) {
    if (mapped)
        return medium_find_nonzero(mapped, off, len, ret_at);

    g_autofree uint8_t *bytes = g_malloc((gsize) MIN(len, ZERO_CHUNK));
    uint64_t end = off + len;

    (void) posix_fadvise(fd, (off_t) off, (off_t) len, POSIX_FADV_DONTNEED); /* a wish: its copy is as good */
    while (off < end) {
        ssize_t n = pread(fd, bytes, (size_t) MIN(end - off, ZERO_CHUNK), (off_t) off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        uint64_t zeros = medium_count_zeros(bytes, (uint64_t) n);
        off += zeros;
        if (zeros < (uint64_t) n) {
            *ret_at = off;
            return 1;
        }
    }
    return 0;
}
