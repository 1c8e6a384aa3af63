/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The medium of mapped persistent memory: device-dax, files with MAP_SYNC, and (for tests) any shared mapping.
 */
#include "daemon/medium.h"

#include "daemon/sigbus-guard.h"
#include "proto/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE 64u

typedef void (*FlushLines)(const uint8_t *line, const uint8_t *end);

/* What the CPU gives: one of three file-level variants. flush_lines_pick() gives NULL when no way is known. */
#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

__attribute__((target("clwb"))) static void flush_lines_clwb(const uint8_t *line, const uint8_t *end) {
    for (; line < end; line += LINE)
        _mm_clwb((void *) (uintptr_t) line);
}

__attribute__((target("clflushopt"))) static void flush_lines_clflushopt(const uint8_t *line, const uint8_t *end) {
    for (; line < end; line += LINE)
        _mm_clflushopt((void *) (uintptr_t) line);
}

static void flush_lines_clflush(const uint8_t *line, const uint8_t *end) {
    for (; line < end; line += LINE)
        _mm_clflush(line);
}

static FlushLines flush_lines_pick(void) {
    unsigned a, b = 0, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        b = 0;
    if (b & 1u << 24)
        return flush_lines_clwb;
    if (b & 1u << 23)
        return flush_lines_clflushopt;
    return flush_lines_clflush;
}

static void store_fence(void) {
    _mm_sfence();
}

/* Whole lines; past the cache, so that megabytes of zeros neither evict it nor need a flush. */
static void zero_lines(uint8_t *line, const uint8_t *end) {
    const __m128i zero = _mm_setzero_si128();
    for (; line < end; line += 16)
        _mm_stream_si128((__m128i *) (void *) line, zero);
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#define HWCAP_BIT_DCPOP (1ul << 16)

static void flush_lines_cvap(const uint8_t *line, const uint8_t *end) {
    for (; line < end; line += LINE)
        __asm__ volatile(".arch armv8.2-a\n\tdc cvap, %0" : : "r"(line) : "memory");
}

static FlushLines flush_lines_pick(void) {
    return (getauxval(AT_HWCAP) & HWCAP_BIT_DCPOP) ? flush_lines_cvap : NULL;
}

static void store_fence(void) {
    __asm__ volatile("dsb ish" : : : "memory");
}

static void zero_lines(uint8_t *line, const uint8_t *end) {
    memset(line, 0, (size_t) (end - line));
    flush_lines_cvap(line, end);
}

#else

static FlushLines flush_lines_pick(void) {
    return NULL;
}

static void store_fence(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void zero_lines(uint8_t *line, const uint8_t *end) {
    memset(line, 0, (size_t) (end - line));
}

#endif

typedef struct {
    Medium base;
    int fd;
    bool regular; /* a file, that could be removed or shortened; devices cannot */
    bool named;   /* it had a name when it came */
    uint8_t *map;
    FlushLines flush_lines;
} MappedMedium;

static MappedMedium *mapped(Medium *m) {
    return (MappedMedium *) m;
}

/* One operation, as the guarded function gets it. */
typedef struct {
    MappedMedium *m;
    uint64_t off;
    uint64_t len;
    const void *from;
} Access;

static int guarded(MediumGuardFunc func, Medium *m, uint64_t off, uint64_t len, const void *from) {
    if (off > m->size || len > m->size - off)
        return -EINVAL;
    Access access = { mapped(m), off, len, from };
    return medium_guard_run(func, &access);
}

static void do_store(void *data) {
    const Access *a = data;
    uint8_t *to = a->m->map + a->off;

    if (a->len == 8 && a->off % 8 == 0) {
        uint64_t word;
        memcpy(&word, a->from, sizeof word);
        __atomic_store_n((uint64_t *) (void *) to, word, __ATOMIC_RELAXED);
    } else
        memcpy(to, a->from, a->len);
}

static int mapped_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    return guarded(do_store, m, off, len, buf);
}

static void do_flush(void *data) {
    const Access *a = data;
    uint64_t first = a->off / LINE * LINE;
    a->m->flush_lines(a->m->map + first, a->m->map + a->off + a->len);
}

static int mapped_flush(Medium *m, uint64_t off, size_t len) {
    /* An instruction that writes back is no compiler barrier: the stores must be issued before it. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return guarded(do_flush, m, off, len, NULL);
}

static int mapped_fence(Medium *m) {
    (void) m;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    store_fence();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return 0;
}

static int mapped_intact(Medium *m) {
    const MappedMedium *mm = mapped(m);

    return mm->regular ? medium_file_intact(mm->fd, m->size, mm->named) : 0;
}

static void do_zero(void *data) {
    const Access *a = data;
    uint8_t *begin = a->m->map + a->off, *end = begin + a->len;
    uint8_t *first = a->m->map + (a->off + LINE - 1) / LINE * LINE;
    uint8_t *last = a->m->map + (a->off + a->len) / LINE * LINE;

    if (first >= last) {
        memset(begin, 0, a->len);
        a->m->flush_lines(a->m->map + a->off / LINE * LINE, end);
        return;
    }
    if (begin < first) {
        memset(begin, 0, (size_t) (first - begin));
        a->m->flush_lines(first - LINE, first);
    }
    zero_lines(first, last);
    if (last < end) {
        memset(last, 0, (size_t) (end - last));
        a->m->flush_lines(last, end);
    }
}

static int mapped_zero(Medium *m, uint64_t off, uint64_t len) {
    return guarded(do_zero, m, off, len, NULL);
}

static void do_touch(void *data) {
    const Access *a = data;
    const volatile uint8_t *map = a->m->map;

    /* Poison has the grain of a line. */
    for (uint64_t off = a->off / LINE * LINE; off < a->off + a->len; off += LINE)
        (void) map[off];
}

static int mapped_readable(Medium *m, uint64_t off, size_t len) {
    return guarded(do_touch, m, off, len, NULL);
}

static const uint8_t *mapped_base(Medium *m) {
    return mapped(m)->map;
}

static void mapped_free(Medium *m) {
    munmap(mapped(m)->map, m->size);
    close(mapped(m)->fd);
    g_free(m);
}

typedef struct {
    const uint8_t *bytes;
    uint64_t len, zeros;
} Count;

static void do_count(void *data) {
    Count *count = data;

    count->zeros = medium_count_zeros(count->bytes, count->len);
}

/* In one pass, unlike readable() and a look: what is read back is more than caches hold. */
static int mapped_find_nonzero(Medium *m, uint64_t off, uint64_t len, uint64_t *ret_at) {
    if (off > m->size || len > m->size - off)
        return -EINVAL;

    Count count = { mapped(m)->map + off, len, 0 };
    int r = medium_guard_run(do_count, &count);
    if (r < 0 || count.zeros == len)
        return r;
    *ret_at = off + count.zeros;
    return 1;
}

static const MediumOps mapped_ops = {
    .store = mapped_store,
    .flush = mapped_flush,
    .fence = mapped_fence,
    .readable = mapped_readable,
    .base = mapped_base,
    .zero = mapped_zero,
    .find_nonzero = mapped_find_nonzero,
    .intact = mapped_intact,
    .free = mapped_free,
};

Medium *medium_mapped_new(int fd, uint64_t size, bool treat_as_pmem, GError **error) {
    if (size == 0 || size > (uint64_t) G_MAXSSIZE) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot map %" G_GUINT64_FORMAT " bytes", size);
        return NULL;
    }

    FlushLines flush_lines = flush_lines_pick();
    if (!flush_lines) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "this CPU has no instruction that writes a cache line back to persistent memory");
        return NULL;
    }

    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
    if (map == MAP_FAILED && (errno == EOPNOTSUPP || errno == EINVAL) && treat_as_pmem)
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        int errnum = errno;
        if (errnum == EOPNOTSUPP)
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                        "the file system does not grant MAP_SYNC; use the medium as a file");
        else
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot map %" G_GUINT64_FORMAT " bytes: %s", size,
                        g_strerror(errnum));
        return NULL;
    }

    struct stat st;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    MappedMedium *m = g_new0(MappedMedium, 1);
    m->base.ops = &mapped_ops;
    m->base.size = size;
    m->base.class = MEDIUM_CLASS_MAPPED;
    m->fd = fd;
    m->regular = regular;
    m->named = regular && st.st_nlink > 0;
    m->map = map;
    m->flush_lines = flush_lines;
    return &m->base;
}
