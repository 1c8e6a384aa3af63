/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/medium.h"

#include <string.h>

#include <errno.h>
#include <sys/stat.h>

#define CHUNK 65536u

static int zero_by_stores(Medium *m, uint64_t off, uint64_t len) {
    g_autofree uint8_t *zeros = g_malloc0(CHUNK);

    for (uint64_t done = 0; done < len;) {
        size_t n = (size_t) MIN(len - done, CHUNK);
        int r = medium_store(m, off + done, zeros, n);
        if (r == 0)
            r = medium_flush(m, off + done, n);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

int medium_file_intact(int fd, uint64_t size, bool named) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return 0;
    if (named && st.st_nlink == 0)
        return -ENOENT;
    return (uint64_t) st.st_size < size ? -ENODATA : 0;
}

int medium_zero(Medium *m, uint64_t off, uint64_t len) {
    if (off > m->size || len > m->size - off)
        return -EINVAL;

    int r = m->ops->zero ? m->ops->zero(m, off, len) : zero_by_stores(m, off, len);
    return r < 0 ? r : medium_fence(m);
}

uint64_t medium_count_zeros(const uint8_t *bytes, uint64_t len) {
    static const uint8_t zeros[4096];
    uint64_t at = 0;

    /* The C library compares faster than a loop would. */
    while (at < len && memcmp(bytes + at, zeros, (size_t) MIN(len - at, sizeof zeros)) == 0)
        at += MIN(len - at, sizeof zeros);
    while (at < len && bytes[at] == 0)
        at++;
    return at;
}

int medium_find_nonzero(Medium *m, uint64_t off, uint64_t len, uint64_t *ret_at) {
    if (m->ops->find_nonzero)
        return m->ops->find_nonzero(m, off, len, ret_at);

    int r = medium_readable(m, off, len);
    if (r < 0)
        return r;
    uint64_t zeros = medium_count_zeros(medium_base(m) + off, len);
    if (zeros == len)
        return 0;
    *ret_at = off + zeros;
    return 1;
}
