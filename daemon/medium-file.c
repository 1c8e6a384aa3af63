/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The medium of an ordinary file: pwrite and fdatasync, with an image in RAM of the pages that were asked for.
 */
#include "daemon/medium.h"

#include "proto/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define ZERO_CHUNK 1048576u

typedef struct {
    Medium base;
    int fd;
    uint8_t *image;  /* address space for the whole medium; only loaded pages take memory */
    uint8_t *loaded; /* one byte a page: image holds what the file holds */
    bool named;      /* it had a name when it came: when it has none any more, nobody will find what is written */
    bool failed;     /* for ever: the page cache may have dropped what a failed write-back held */
} FileMedium;

static FileMedium *file(Medium *m) {
    return (FileMedium *) m;
}

static bool inside(const Medium *m, uint64_t off, uint64_t len) {
    return off <= m->size && len <= m->size - off;
}

static int fail(FileMedium *f, int errnum) {
    f->failed = true;
    return -errnum;
}

static int write_whole(FileMedium *f, uint64_t off, const uint8_t *buf, size_t len) {
    while (len > 0) {
        ssize_t n = pwrite(f->fd, buf, len, (off_t) off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(f, n < 0 ? errno : EIO);
        buf += n;
        off += (uint64_t) n;
        len -= (size_t) n;
    }
    return 0;
}

static int file_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    FileMedium *f = file(m);
    if (!inside(m, off, len))
        return -EINVAL;
    if (f->failed)
        return -EIO;

    int r = write_whole(f, off, buf, len);
    if (r < 0)
        return r;

    const uint8_t *from = buf;
    for (uint64_t at = off; at < off + len;) {
        uint64_t page = at / PAGE;
        size_t n = (size_t) MIN((page + 1) * PAGE - at, off + len - at);
        /* A page that was never read is read whole when somebody asks, with this store in it. */
        if (f->loaded[page])
            memcpy(f->image + at, from + (at - off), n);
        at += n;
    }
    return 0;
}

static int file_flush(Medium *m, uint64_t off, size_t len) {
    if (!inside(m, off, len))
        return -EINVAL;
    return file(m)->failed ? -EIO : 0;
}

static int file_fence(Medium *m) {
    FileMedium *f = file(m);
    if (f->failed)
        return -EIO;
    if (fdatasync(f->fd) < 0)
        return fail(f, errno);
    int r = medium_file_intact(f->fd, m->size, f->named);
    return r < 0 ? fail(f, -r) : 0;
}

static int load_page(FileMedium *f, uint64_t page) {
    uint64_t off = page * PAGE;
    size_t want = (size_t) MIN(PAGE, f->base.size - off);

    for (size_t done = 0; done < want;) {
        ssize_t n = pread(f->fd, f->image + off + done, want - done, (off_t) (off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        done += (size_t) n;
    }
    f->loaded[page] = 1;
    return 0;
}

static int file_readable(Medium *m, uint64_t off, size_t len) {
    FileMedium *f = file(m);
    if (!inside(m, off, len))
        return -EINVAL;
    if (f->failed)
        return -EIO;

    for (uint64_t page = off / PAGE; page * PAGE < off + len; page++)
        if (!f->loaded[page]) {
            int r = load_page(f, page);
            if (r < 0)
                return r;
        }
    return 0;
}

static const uint8_t *file_base(Medium *m) {
    return file(m)->image;
}

/* Written, not punched: a hole would cost a metadata commit at the first append into it. */
static int file_zero(Medium *m, uint64_t off, uint64_t len) {
    g_autofree uint8_t *zeros = g_malloc0((gsize) MIN(len, ZERO_CHUNK));

    for (uint64_t done = 0; done < len;) {
        size_t n = (size_t) MIN(len - done, ZERO_CHUNK);
        int r = file_store(m, off + done, zeros, n);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

/* The fence has asked already; this is for who wants to know why it failed. */
static int file_intact(Medium *m) {
    FileMedium *f = file(m);

    return medium_file_intact(f->fd, m->size, f->named);
}

static void file_free(Medium *m) {
    FileMedium *f = file(m);
    munmap(f->image, m->size);
    close(f->fd);
    g_free(f->loaded);
    g_free(f);
}

static const MediumOps file_ops = {
    .store = file_store,
    .flush = file_flush,
    .fence = file_fence,
    .readable = file_readable,
    .base = file_base,
    .zero = file_zero,
    .intact = file_intact,
    .free = file_free,
};

Medium *medium_file_new(int fd, uint64_t size, GError **error) {
    struct stat st;
    if (fstat(fd, &st) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot stat the journal's file: %s", g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || size == 0 || (uint64_t) st.st_size < size) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "the journal needs an ordinary file of %" G_GUINT64_FORMAT " bytes; this one has %" G_GINT64_FORMAT,
                    size, (gint64) st.st_size);
        return NULL;
    }

    void *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (image == MAP_FAILED) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "cannot reserve %" G_GUINT64_FORMAT " bytes of address space: %s", size, g_strerror(errno));
        return NULL;
    }

    FileMedium *f = g_new0(FileMedium, 1);
    f->base.ops = &file_ops;
    f->base.size = size;
    f->base.class = MEDIUM_CLASS_FILE;
    f->fd = fd;
    f->named = st.st_nlink > 0;
    f->image = image;
    f->loaded = g_malloc0((size + PAGE - 1) / PAGE);
    return &f->base;
}
