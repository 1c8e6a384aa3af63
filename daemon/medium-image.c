/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The medium of somebody who only looks: a file or a device, of which pages are read as they are asked for. What is behind
 * the end of a file that holds only the start of a medium cannot be read; nothing can be written.
 */
#include "daemon/medium.h"

#include "daemon/sigbus-guard.h"
#include "proto/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define DEVICE_UNIT (UINT64_C(2) << 20) /* device-dax maps no less */

typedef struct {
    Medium base;
    int fd;
    uint64_t present; /* bytes that fd has */
    const uint8_t *mapped;
    uint64_t mapped_bytes;
    uint8_t *image;
    uint8_t *loaded; /* one byte a page */
} ImageMedium;

typedef struct {
    uint8_t *to;
    const uint8_t *from;
    size_t len;
} Copy;

static void run_copy(void *data) {
    const Copy *copy = data;

    memcpy(copy->to, copy->from, copy->len);
}

static int load_page(ImageMedium *m, uint64_t page) {
    uint64_t off = page * PAGE;
    size_t want = (size_t) MIN(PAGE, m->base.size - off);
    Copy copy = { m->image + off, m->mapped ? m->mapped + off : NULL, want };
    int r = 0;

    if (off + want > m->present)
        return -EIO;
    if (m->mapped)
        r = medium_guard_run(run_copy, &copy);
    for (size_t done = 0; !m->mapped && done < want;) {
        ssize_t n = pread(m->fd, m->image + off + done, want - done, (off_t) (off + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        done += (size_t) n;
    }
    if (r == 0)
        m->loaded[page] = 1;
    return r;
}

static int image_readable(Medium *medium, uint64_t off, size_t len) {
    ImageMedium *m = (ImageMedium *) medium;

    if (off > medium->size || len > medium->size - off)
        return -EINVAL;
    for (uint64_t page = off / PAGE; page * PAGE < off + len; page++) {
        int r = m->loaded[page] ? 0 : load_page(m, page);

        if (r < 0)
            return r;
    }
    return 0;
}

static const uint8_t *image_base(Medium *medium) {
    return ((ImageMedium *) medium)->image;
}

static int refuse_store(Medium *medium, uint64_t off, const void *buf, size_t len) {
    return -EROFS;
}

static int refuse_flush(Medium *medium, uint64_t off, size_t len) {
    return -EROFS;
}

static int refuse_fence(Medium *medium) {
    return -EROFS;
}

static void image_free(Medium *medium) {
    ImageMedium *m = (ImageMedium *) medium;

    if (m->mapped)
        munmap((void *) m->mapped, m->mapped_bytes);
    munmap(m->image, medium->size);
    close(m->fd);
    g_free(m->loaded);
    g_free(m);
}

static const MediumOps image_ops = {
    .store = refuse_store,
    .flush = refuse_flush,
    .fence = refuse_fence,
    .readable = image_readable,
    .base = image_base,
    .free = image_free,
};

static bool fail(GError **error, const char *what) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s: %s", what, g_strerror(errno));
    return false;
}

static bool open_device(ImageMedium *m, uint64_t size, GError **error) {
    m->mapped_bytes = size / DEVICE_UNIT * DEVICE_UNIT;
    void *mapped = mmap(NULL, m->mapped_bytes, PROT_READ, MAP_SHARED, m->fd, 0);

    if (mapped == MAP_FAILED)
        return fail(error, "cannot map the device");
    m->mapped = mapped;
    m->present = m->mapped_bytes;
    return true;
}

Medium *medium_image_new(int fd, uint64_t size, MediumClass class, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0) {
        fail(error, "cannot look at it");
        return NULL;
    }
    if (size == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "it is empty");
        return NULL;
    }

    ImageMedium *m = g_new0(ImageMedium, 1);
    m->base = (Medium){ .ops = &image_ops, .size = size, .class = class };
    m->fd = fd;
    m->present = (uint64_t) st.st_size;
    void *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (image == MAP_FAILED || (S_ISCHR(st.st_mode) && !open_device(m, size, error))) {
        if (image == MAP_FAILED)
            fail(error, "cannot reserve address space");
        else
            munmap(image, size);
        g_free(m);
        return NULL;
    }
    m->image = image;
    m->loaded = g_malloc0((size + PAGE - 1) / PAGE);
    return &m->base;
}
