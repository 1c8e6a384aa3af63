/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the tests of backend-file share: for each test a directory with two raw regions, and short ways to make,
 * look at and destroy devices in it. Included by those tests alone.
 */
#pragma once

#include "daemon/backend-file.h"
#include "proto/error.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two regions of 64 MiB: step 4 KiB without lead, and step 2 MiB with a lead of one step. */
#define REGIONS(medium)                                                                                                \
    "[left]\nStartFrame=0x100000\nBytes=64M\nNode=3\nAlignment=4K\nMedium=" medium "\n"                                \
    "[right]\nStartFrame=0x200000\nBytes=64M\nNode=5\nLocalNode=1\nLead=2M\nMedium=" medium "\n"

typedef struct {
    char *dir;
    Backend *b;
} Fixture;

G_GNUC_UNUSED static const sd_id128_t pool = SD_ID128_MAKE(aa, bb, cc, dd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, a, b);

static inline void put(const char *dir, const char *name, const char *text) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(path, text, -1, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
}

static inline bool there(const char *dir, const char *name) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK);
}

static inline int compare_names(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Names of all files, sorted, in one string: "nothing has changed" is one comparison. */
static inline char *names_in(const char *dir) {
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);

    for (const char *name = g_dir_read_name(d); name; name = g_dir_read_name(d))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **) names->pdata);
}

static inline void remove_dir(const char *dir) {
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);

    for (const char *name = g_dir_read_name(d); name; name = g_dir_read_name(d)) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_assert_cmpint(g_remove(path), ==, 0);
    }
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static inline void open_backend(Fixture *f) {
    g_autoptr(GError) error = NULL;

    f->b = backend_file_new(f->dir, &error);
    g_assert_no_error(error);
    g_assert_nonnull(f->b);
}

static inline void reopen(Fixture *f) {
    g_clear_pointer(&f->b, backend_free);
    open_backend(f);
}

static inline void set_up(Fixture *f, gconstpointer regions) {
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("pmemd-backend-file-XXXXXX", &error);
    g_assert_no_error(error);
    put(f->dir, "regions.conf", regions);
    open_backend(f);
}

static inline void tear_down(Fixture *f, gconstpointer regions) {
    g_clear_pointer(&f->b, backend_free);
    remove_dir(f->dir);
    g_clear_pointer(&f->dir, g_free);
}

/* The uuid of device n of a test. */
static inline sd_id128_t id_of(unsigned n) {
    sd_id128_t id = SD_ID128_MAKE(0, 0, 0, 0, 11, 22, 43, 44, 85, 66, 77, 88, 99, aa, bb, cc);

    id.bytes[0] = 0x40;
    id.bytes[2] = (uint8_t) (n >> 8);
    id.bytes[3] = (uint8_t) n;
    return id;
}

typedef struct {
    unsigned n;
    BackendRole role;
    const char *raw;
    uint64_t start, end;
} Want;

static inline BackendDevice *try_create(Backend *b, const Want *w, BackendOutcome *ret_outcome, GError **error) {
    char tag[BACKEND_TAG_MAX];

    return b->ops->create(b,
                          &(BackendCreate){ .raw_id = w->raw,
                                            .device = { w->start, w->end },
                                            .uuid = id_of(w->n),
                                            .tag = backend_tag_format(w->role, pool, id_of(w->n), tag) },
                          ret_outcome, error);
}

static inline void create(Backend *b, const Want *w) {
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;
    g_autoptr(BackendDevice) device = try_create(b, w, &outcome, &error);

    g_assert_no_error(error);
    g_assert_nonnull(device);
    g_assert_true(sd_id128_equal(device->uuid, id_of(w->n)));
    g_assert_cmpint(device->state, ==, BACKEND_DEVICE_COMPLETE);
    g_assert_cmpint(device->role, ==, w->role);
}

static inline bool try_destroy(Backend *b, unsigned n, BackendRole role, BackendOutcome *ret_outcome, GError **error) {
    char tag[BACKEND_TAG_MAX];

    return b->ops->destroy(b, id_of(n), backend_tag_format(role, pool, id_of(n), tag), ret_outcome, error);
}

static inline void destroy(Backend *b, unsigned n, BackendRole role) {
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;

    g_assert_true(try_destroy(b, n, role, &outcome, &error));
    g_assert_no_error(error);
}

static inline bool try_renew(Backend *b, unsigned n, BackendOutcome *ret_outcome, GError **error) {
    char tag[BACKEND_TAG_MAX];

    return b->ops->renew(b, id_of(n), backend_tag_format(BACKEND_ROLE_DATA, pool, id_of(n), tag), ret_outcome, error);
}

static inline BackendListing *list(Backend *b) {
    g_autoptr(GError) error = NULL;
    BackendListing *listing = b->ops->list(b, &error);

    g_assert_no_error(error);
    g_assert_nonnull(listing);
    return listing;
}

/* "absent", "partial", "complete", with "+held" when held. */
static inline const char *look(Backend *b, unsigned n) {
    g_autoptr(BackendListing) listing = list(b);

    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *d = listing->devices->pdata[i];

        if (!sd_id128_equal(d->uuid, id_of(n)))
            continue;
        if (d->state == BACKEND_DEVICE_PARTIAL)
            return d->held ? "partial+held" : "partial";
        return d->held ? "complete+held" : "complete";
    }
    return "absent";
}

static inline char *path_of(const Fixture *f, BackendRole role, unsigned n) {
    static const char *const roles[] = { "mgmt", "data", "filler" };
    char uuid[PMEMD_UUID_STRING_MAX];

    return g_strdup_printf("%s/%s-%s.img", f->dir, roles[role], pmemd_uuid_format(id_of(n), uuid));
}

G_GNUC_UNUSED static const Want data1 = { 1, BACKEND_ROLE_DATA, "left", 0x100010, 0x100110 };
G_GNUC_UNUSED static const Want mgmt2 = { 2, BACKEND_ROLE_MGMT, "left", 0x100200, 0x101200 };
G_GNUC_UNUSED static const Want data3 = { 3, BACKEND_ROLE_DATA, "right", 0x200200, 0x200800 };

static inline void order(Fixture *f, const char *text) {
    put(f->dir, "inject.conf", text);
}

static inline void write_at(const char *path, off_t off, size_t len) {
    g_autofree char *bytes = g_malloc(len);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    memset(bytes, 0x5a, len);
    g_assert_cmpint(pwrite(fd, bytes, len, off), ==, (ssize_t) len);
    g_assert_cmpint(fsync(fd), ==, 0);
    close(fd);
}

/* A descriptor on its way from sockets[0] to sockets[1], in no process' table. */
static inline void hide_descriptor(const char *path, int sockets[2]) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec byte = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
    *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    g_assert_cmpint(sendmsg(sockets[0], &message, 0), ==, 1);
    close(fd);
}

/* Takes it out again. */
static inline int hidden_descriptor(int sockets[2]) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char c;
    struct iovec byte = { .iov_base = &c, .iov_len = 1 };
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    int fd;

    g_assert_cmpint(recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC), ==, 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    close(sockets[0]);
    close(sockets[1]);
    return fd;
}

static inline size_t dirty_bytes(const char *path, size_t from, size_t to) {
    g_autofree char *bytes = NULL;
    gsize len;
    size_t dirty = 0;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    for (size_t i = from; i < MIN(to, len); i++)
        dirty += bytes[i] != 0;
    return dirty;
}
