/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs export-data and import-data: the content of a data region to a file and back. The region is lent to pmemctl for as
 * long, so that no guest has it meanwhile; the lease ends with pmemctl, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Zeros are looked for, and progress is shown, in pieces of it. */
#define PIECE (UINT64_C(1) << 20)

/* A region that is lent to us, and mapped. */
typedef struct {
    Ctl *ctl;
    PmemdRegion *region;
    char *owner; /* of the lease: nobody else's */
    uint8_t *map;
    uint64_t bytes;
    uint64_t changed; /* bytes that had to be written */
    GPtrArray *bad;   /* PmemdLost *: what is not to be read; NULL: nothing */
    uint8_t *piece;   /* a piece without these; NULL: not needed yet */
    uint64_t unread;  /* bytes that were left out for it */
    bool is_file;     /* stands for memory: has to be synced as files are */
    int fd;
    int64_t shown; /* when the progress was */
} Content;

static bool fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool fail(GError **error, int code, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, CTL_ERROR, code, message);
    return false;
}

/* --- the region --- */

static bool map(Content *content, const PmemdAttachment *attachment, GError **error) {
    struct stat st;

    if (fstat(content->fd, &st) < 0)
        return fail(error, CTL_ERROR_OUTPUT, "the region's device cannot be looked at: %s", g_strerror(errno));
    content->is_file = S_ISREG(st.st_mode);
    content->bytes = attachment->bytes;
    void *at = mmap(NULL, content->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, content->fd, 0);
    if (at == MAP_FAILED)
        return fail(error, CTL_ERROR_OUTPUT, "the region cannot be mapped: %s", g_strerror(errno));
    content->map = at;
    return true;
}

/* Whoever reads a bad frame is killed: which ones are, is asked before. */
static bool learn_bad(Content *content, GError **error) {
    PmemdLost **list = NULL;
    size_t n = 0;

    if (!ctl_check(content->ctl,
                   pmemd_client_clear_bad_frames(content->ctl->client, content->region->path, NULL, PMEMD_CLEAR_DRY_RUN,
                                                 &list, &n),
                   error))
        return false;
    content->bad = g_ptr_array_new_full((guint) n, (GDestroyNotify) pmemd_lost_free);
    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(content->bad, list[i]);
    free(list);
    return true;
}

static bool content_open(Content *content, Ctl *ctl, GError **error) {
    unsigned flags = PMEMD_ATTACH_UNTIL_DISCONNECT | (ctl->allow_degraded ? PMEMD_ATTACH_ALLOW_DEGRADED : 0);
    g_autoptr(PmemdAttachment) attachment = NULL;
    g_autofree char *path = NULL;

    *content = (Content){ .ctl = ctl, .fd = -1 };
    if (!ctl_connect(ctl, error) || !ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &content->region), error) ||
        (ctl->allow_degraded && !learn_bad(content, error)))
        return false;
    content->owner = g_strdup_printf("pmemctl %s %s", ctl->verb->name, ctl->request_id);
    return ctl_check(ctl,
                     pmemd_client_attach(ctl->client, path, content->owner, flags, PMEMD_FRAME_UNKNOWN, &content->fd,
                                         &attachment),
                     error) &&
           map(content, attachment, error);
}

/* Gives the region back. error NULL: what went wrong before is said. */
static bool content_close(Content *content, GError **error) {
    bool ok = true;

    if (content->map)
        munmap(content->map, content->bytes);
    if (content->fd >= 0) {
        close(content->fd);
        ok = ctl_check(content->ctl,
                       pmemd_client_detach(content->ctl->client, content->region->path, content->owner, false), error);
    }
    pmemd_region_free(content->region);
    g_clear_pointer(&content->bad, g_ptr_array_unref);
    g_free(content->piece);
    g_free(content->owner);
    return ok;
}

/* --- bytes --- */

static bool is_zero(const uint8_t *at, uint64_t n) {
    return n == 0 || (at[0] == 0 && memcmp(at, at + 1, n - 1) == 0);
}

/* Copies whole cache lines so that they are in the memory when store_end() returns; n is a multiple of 64. */
static void store(uint8_t *to, const uint8_t *from, uint64_t n) {
#if defined(__x86_64__)
    for (uint64_t i = 0; i < n; i += 16)
        _mm_stream_si128((__m128i *) (void *) (to + i), _mm_loadu_si128((const __m128i *) (const void *) (from + i)));
#else
    memcpy(to, from, n);
#if defined(__aarch64__)
    for (uint64_t i = 0; i < n; i += 16) /* no line is smaller */
        __asm__ volatile("dc cvac, %0" : : "r"(to + i) : "memory");
#endif
#endif
}

static bool store_end(const Content *content, GError **error) {
#if defined(__x86_64__)
    _mm_sfence();
#elif defined(__aarch64__)
    __asm__ volatile("dsb sy" : : : "memory");
#else
    if (!content->is_file)
        return fail(error, CTL_ERROR_OUTPUT,
                    "on this processor nobody knows how memory is made to keep what was written");
#endif
    if (content->is_file && msync(content->map, content->bytes, MS_SYNC) < 0)
        return fail(error, CTL_ERROR_OUTPUT, "the region cannot be written back: %s", g_strerror(errno));
    return true;
}

static void show(Content *content, uint64_t done) {
    int64_t now = g_get_monotonic_time();

    if (!isatty(STDERR_FILENO) || (done < content->bytes && now - content->shown < G_USEC_PER_SEC / 5))
        return;
    content->shown = now;
    if (done == content->bytes)
        (void) fputs("\r\033[K", stderr);
    else
        (void) fprintf(stderr, "\r%5.1f%%  ", (double) done * 100 / (double) content->bytes);
}

/* --- out --- */

static bool write_all(int fd, const uint8_t *from, uint64_t n, GError **error) {
    while (n > 0) {
        ssize_t written = write(fd, from, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(error, CTL_ERROR_OUTPUT, "the content cannot be written: %s", g_strerror(errno));
        from += written;
        n -= (uint64_t) written;
    }
    return true;
}

/* The bytes [at, at + n), with zeros for what cannot be read. Valid until it is asked for the next ones. */
static const uint8_t *read_piece(Content *content, uint64_t at, uint64_t n) {
    const uint8_t *from = content->map + at;
    uint64_t good = at;

    for (guint i = 0; content->bad && i < content->bad->len; i++) {
        const PmemdLost *lost = content->bad->pdata[i]; /* they ascend */
        uint64_t start = MAX(lost->offset, at), end = MIN(lost->offset + lost->bytes, at + n);

        if (start >= end)
            continue;
        if (!content->piece)
            content->piece = g_malloc(PIECE);
        memcpy(content->piece + (good - at), content->map + good, start - good);
        memset(content->piece + (start - at), 0, end - start);
        content->unread += end - start;
        good = end;
        from = content->piece;
    }
    if (from == content->piece)
        memcpy(content->piece + (good - at), content->map + good, at + n - good);
    return from;
}

/* sparse: zeros are left out of what is a new file. */
static bool write_out(Content *content, int fd, bool sparse, GError **error) {
    for (uint64_t at = 0; at < content->bytes; at += PIECE) {
        uint64_t n = MIN(PIECE, content->bytes - at);
        const uint8_t *from = read_piece(content, at, n);
        bool skip = sparse && is_zero(from, n);

        if (skip && lseek(fd, (off_t) n, SEEK_CUR) < 0)
            return fail(error, CTL_ERROR_OUTPUT, "the content cannot be written: %s", g_strerror(errno));
        if (!skip && !write_all(fd, from, n, error))
            return false;
        content->changed += skip ? 0 : n;
        show(content, at + n);
    }
    return true;
}

/* In the folder of the file, so that its new name lasts. */
static bool sync_folder(const char *path) {
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static bool write_file(Content *content, const char *path, GError **error) {
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return fail(error, CTL_ERROR_OUTPUT, "%s is no ordinary file: '-' writes to standard output", path);
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, CTL_ERROR_OUTPUT, "%s cannot be made: %s", temporary, g_strerror(errno));
    bool ok = write_out(content, fd, true, error);
    if (ok && (ftruncate(fd, (off_t) content->bytes) < 0 || fsync(fd) < 0))
        ok = fail(error, CTL_ERROR_OUTPUT, "%s cannot be written: %s", temporary, g_strerror(errno));
    close(fd);
    /* Nobody takes a part of it for the whole. */
    if (ok && (rename(temporary, path) < 0 || !sync_folder(path)))
        ok = fail(error, CTL_ERROR_OUTPUT, "%s cannot be put into its place: %s", path, g_strerror(errno));
    if (!ok)
        (void) unlink(temporary);
    return ok;
}

/* --- in --- */

/* *ret_n: fewer than n at the end alone. */
static bool read_all(int fd, uint8_t *to, uint64_t n, uint64_t *ret_n, GError **error) {
    uint64_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, to + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, CTL_ERROR_INPUT, "the content cannot be read: %s", g_strerror(errno));
        if (got == 0)
            break;
        done += (uint64_t) got;
    }
    *ret_n = done;
    return true;
}

/* done: what was written before it went wrong. */
static bool read_in(Content *content, int fd, uint64_t *done, GError **error) {
    g_autofree uint8_t *piece = g_malloc(PIECE);
    uint64_t got = 0;

    for (; *done < content->bytes; *done += got) {
        uint64_t n = MIN(PIECE, content->bytes - *done);

        if (!read_all(fd, piece, n, &got, error))
            return false;
        if (got < n)
            return fail(error, CTL_ERROR_INPUT,
                        "the content ends after %" G_GUINT64_FORMAT " bytes, the region has %" G_GUINT64_FORMAT,
                        *done + got, content->bytes);
        /* Also zeros over zeros: a file that stands for memory stays sparse. */
        if (memcmp(content->map + *done, piece, n) != 0) {
            store(content->map + *done, piece, n);
            content->changed += n;
        }
        show(content, *done + n);
    }
    if (!read_all(fd, piece, 1, &got, error))
        return false;
    return got == 0 || fail(error, CTL_ERROR_INPUT,
                            "the content has more than the %" G_GUINT64_FORMAT " bytes of the region", content->bytes);
}

/* Before anything is written: of a file the size is known. */
static bool check_size(const Content *content, int fd, const char *path, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail(error, CTL_ERROR_INPUT, "%s cannot be looked at: %s", path, g_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(error, CTL_ERROR_INPUT, "%s is a folder", path);
    if (S_ISREG(st.st_mode) && strcmp(path, "-") != 0 && (uint64_t) st.st_size != content->bytes)
        return fail(error, CTL_ERROR_INPUT,
                    "%s has %" G_GUINT64_FORMAT " bytes, the region %" G_GUINT64_FORMAT ": nothing was written", path,
                    (uint64_t) st.st_size, content->bytes);
    return true;
}

static bool fill(Content *content, int fd, const char *path, GError **error) {
    uint64_t done = 0;

    if (!check_size(content, fd, path, error))
        return false;
    bool ok = read_in(content, fd, &done, error);
    if (!ok)
        g_prefix_error(error,
                       "the region has the new content up to byte %" G_GUINT64_FORMAT ", and the old behind: ", done);
    return store_end(content, ok ? error : NULL) && ok;
}

/* --- the verbs --- */

/* What the copy lacks. */
static void warn_of_bad(const Content *content) {
    for (guint i = 0; content->bad && i < content->bad->len; i++) {
        const PmemdLost *lost = content->bad->pdata[i];

        (void) fprintf(stderr,
                       "pmemctl: %" G_GUINT64_FORMAT " bytes at offset 0x%" G_GINT64_MODIFIER
                       "x cannot be read: zeros in the copy\n",
                       lost->bytes, lost->offset);
    }
}

static void print_done(const Content *content) {
    const Ctl *ctl = content->ctl;

    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new(), *body = json_object_new();

        json_object_set_string_member(body, "uuid", content->region->uuid);
        json_object_set_int_member(body, "bytes", (gint64) content->bytes);
        json_object_set_int_member(body, "written_bytes", (gint64) content->changed);
        json_object_set_int_member(body, "unreadable_bytes", (gint64) content->unread);
        json_object_set_object_member(document, "content", body);
        json_document_print(stdout, document, true);
        return;
    }
    g_autofree char *bytes = format_size(content->bytes), *changed = format_size(content->changed);
    printf("Data region %s: %s, %s of them written\n", content->region->uuid, bytes, changed);
}

bool verb_export_data(Ctl *ctl, GError **error) {
    const char *path = ctl->args[1];
    bool is_stdout = strcmp(path, "-") == 0;
    Content content;

    if (is_stdout && isatty(STDOUT_FILENO))
        return fail(error, CTL_ERROR_OUTPUT, "the content is nothing for a terminal: give a file");
    bool ok = content_open(&content, ctl, error) &&
              (is_stdout ? write_out(&content, STDOUT_FILENO, false, error) : write_file(&content, path, error));
    if (ok)
        warn_of_bad(&content);
    if (ok && !is_stdout)
        print_done(&content);
    return content_close(&content, ok ? error : NULL) && ok;
}

bool verb_import_data(Ctl *ctl, GError **error) {
    const char *path = ctl->args[1];
    bool is_stdin = strcmp(path, "-") == 0;
    Content content;

    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(error, CTL_ERROR_INPUT, "%s cannot be opened: %s", path, g_strerror(errno));
    bool ok = content_open(&content, ctl, error) && fill(&content, fd, path, error);
    if (!is_stdin)
        close(fd);
    if (ok)
        print_done(&content);
    return content_close(&content, ok ? error : NULL) && ok;
}
