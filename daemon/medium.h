/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Where a journal lives: five operations over a byte range. Implementations: mapped PMEM and MAP_SYNC files (medium-
 * mapped.c), ordinary files (medium-file.c), and the recording medium of the tests.
 * Promises: every operation returns 0 or a negative errno; a SIGBUS met inside one comes back as -EIO. One thread at a
 * time.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Medium Medium;

typedef struct {
    /* Writes len bytes at off; not durable before flush + fence. An aligned 8-byte store is one store instruction. */
    int (*store)(Medium *m, uint64_t off, const void *buf, size_t len);
    /* Starts write-back of the whole lines that hold [off, off + len). */
    int (*flush)(Medium *m, uint64_t off, size_t len);
    /* All flushed stores are durable when this returns 0. */
    int (*fence)(Medium *m);
    /* 0 when [off, off + len) can be read (no bad block, no SIGBUS, inside of the medium), else -EIO or -EINVAL. */
    int (*readable)(Medium *m, uint64_t off, size_t len);
    /* The bytes as last stored, for reading only. What is not readable() must not be touched. */
    const uint8_t *(*base)(Medium *m);
    /* Zeroes [off, off + len) in the fastest way, not durable before fence. NULL: medium_zero() stores zeros. */
    int (*zero)(Medium *m, uint64_t off, uint64_t len);
    /* 0: [off, off + len) reads as zeros; 1: it does not, at *ret_at first. NULL: readable() and base() tell. */
    int (*find_nonzero)(Medium *m, uint64_t off, uint64_t len, uint64_t *ret_at);
    /* 0 when what was made durable will be found again, else a negative errno; dearer than a fence, so it is asked
     * once a commit, by whoever acknowledges, and by who asks why a write failed. NULL: nothing can be lost. */
    int (*intact)(Medium *m);
    void (*free)(Medium *m);
} MediumOps;

typedef enum {
    MEDIUM_CLASS_MAPPED, /* two fences a commit, stride 64 */
    MEDIUM_CLASS_FILE,   /* one fence a commit (fdatasync), stride 512 */
} MediumClass;

/* Embedded as the first member of an implementation. */
struct Medium {
    const MediumOps *ops;
    uint64_t size; /* bytes */
    MediumClass class;
};

static inline int medium_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    return m->ops->store(m, off, buf, len);
}
static inline int medium_flush(Medium *m, uint64_t off, size_t len) {
    return m->ops->flush(m, off, len);
}
static inline int medium_fence(Medium *m) {
    return m->ops->fence(m);
}
static inline int medium_readable(Medium *m, uint64_t off, size_t len) {
    return m->ops->readable(m, off, len);
}
static inline const uint8_t *medium_base(Medium *m) {
    return m->ops->base(m);
}
static inline int medium_intact(Medium *m) {
    return m->ops->intact ? m->ops->intact(m) : 0;
}
static inline void medium_free(Medium *m) {
    if (m)
        m->ops->free(m);
}

/* Owns fd and the mapping it makes of [0, size) of it (MAP_SYNC where the file system or device grants it;
 * `treat_as_pmem` accepts a plain MAP_SHARED, for tmpfs and tests). Errors: NOT_SUPPORTED when MAP_SYNC is refused,
 * HARDWARE else; fd then stays the caller's. A SIGBUS comes back as -EIO only after medium_guard_install()
 * (daemon/sigbus-guard.h). */
Medium *medium_mapped_new(int fd, uint64_t size, bool treat_as_pmem, GError **error);
/* Owns fd, an ordinary preallocated file of at least `size` bytes. Reads into RAM what readable() is asked about. A
 * write or fdatasync that fails makes every later operation fail: what RAM holds may not be what the file holds.
 * Error: HARDWARE; fd then stays the caller's. */
Medium *medium_file_new(int fd, uint64_t size, GError **error);

/* Owns fd, a file or a device-dax that holds the first bytes of a medium of that size and class, for reading only. Error:
 * HARDWARE; fd then stays the caller's. */
Medium *medium_image_new(int fd, uint64_t size, MediumClass class, GError **error);

/* For the implementations: whether what was stored in fd will be found again. An ordinary file that lost its name
 * (named: it had one) or its length behind our back gives -ENOENT or -ENODATA; what is acknowledged in it would be
 * lost. */
int medium_file_intact(int fd, uint64_t size, bool named);

/* Zeroes [off, off + len) with non-temporal stores (mapped) or writes (file) and fences; 0 or negative errno. */
int medium_zero(Medium *m, uint64_t off, uint64_t len);

/* Reads [off, off + len) back: 0 when all of it is zero, 1 when not (*ret_at is where first), or negative errno. */
int medium_find_nonzero(Medium *m, uint64_t off, uint64_t len, uint64_t *ret_at);
/* The same of bytes in memory: their number when all are zero, else the first that is not. */
uint64_t medium_count_zeros(const uint8_t *bytes, uint64_t len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Medium, medium_free)
