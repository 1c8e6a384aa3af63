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

bool file_image_held(int fd) {
    /* A write lease is granted only to who is alone; it is given back at once. An opener that comes in between waits
     * for that moment, and the kernel would tell us by SIGIO, which kills: SIGURG is ignored by default. */
    if (fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
        (void) fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    if (errno == EAGAIN)
        return true;
    /* No leases on this file system: at least those who lock it are seen. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK;
    (void) flock(fd, LOCK_UN);
    return false;
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
