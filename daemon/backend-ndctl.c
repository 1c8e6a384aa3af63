/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl.h"

#include "daemon/backend-ndctl-align.h"
#include "daemon/backend-ndctl-clear.h"
#include "daemon/backend-ndctl-content.h"
#include "daemon/backend-ndctl-context.h"
#include "daemon/backend-ndctl-create.h"
#include "daemon/backend-ndctl-facts.h"
#include "daemon/backend-ndctl-remove.h"
#include "daemon/backend-ndctl-repair.h"
#include "daemon/backend-ndctl-seed.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    Backend base;
    int any_persistence; /* atomic: the loop sets it, the worker reads it */
    GArray *locks;       /* int: descriptors of /dev/ndctlN, locked */
    GHashTable
        *broken; /* char *: regions whose labels are not whole, to why; NULL: not yet looked. The worker's alone */
} NdctlBackend;

static NdctlBackend *ndctl_backend(Backend *b) {
    return (NdctlBackend *) b;
}

static bool any_persistence(Backend *b) {
    return g_atomic_int_get(&ndctl_backend(b)->any_persistence) != 0;
}

void backend_ndctl_allow_unknown_persistence(Backend *b, bool allow) {
    g_atomic_int_set(&ndctl_backend(b)->any_persistence, allow);
}

/* The first listing comes before any journal is opened, and while nothing of ours is open. */
static BackendListing *ndctl_backend_list(Backend *b, GError **error) {
    NdctlBackend *nd = ndctl_backend(b);

    if (!nd->broken) {
        nd->broken = nd_repair_at_start();
        nd_seed_free_all();
    }
    BackendListing *listing = nd_facts_list(any_persistence(b), error);

    if (listing)
        nd_align_keep(listing);
    for (guint i = 0; listing && i < listing->raws->len; i++) {
        BackendRaw *raw = g_ptr_array_index(listing->raws, i);
        const char *why = g_hash_table_lookup(nd->broken, raw->id);

        if (!why)
            continue;
        g_free(raw->unusable);
        raw->unusable = g_strdup(why);
        raw->hides = true;
    }
    return listing;
}

static BackendDevice *ndctl_backend_create(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome,
                                           GError **error) {
    return nd_create(any_persistence(b), req, ret_outcome, error);
}

static bool ndctl_backend_destroy(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                                  GError **error) {
    (void) b;
    return nd_remove_checked(uuid, tag, ret_outcome, error);
}

static Medium *ndctl_backend_open_medium(Backend *b, sd_id128_t uuid, GError **error) {
    return nd_content_open_medium(any_persistence(b), uuid, error);
}

static bool ndctl_backend_renew(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                                GError **error) {
    (void) b;
    return nd_content_renew(uuid, tag, ret_outcome, error);
}

static MapperList *ndctl_backend_mappers(Backend *b, sd_id128_t uuid, GError **error) {
    (void) b;
    return nd_content_mappers(uuid, error);
}

static BackendContent *ndctl_backend_open_content(Backend *b, sd_id128_t uuid, GError **error) {
    (void) b;
    return nd_content_open(uuid, error);
}

static bool ndctl_backend_clear_bad(Backend *b, const BackendClear *req, uint64_t *ret_frames,
                                    BackendOutcome *ret_outcome, GError **error) {
    (void) b;
    return nd_clear(req, ret_frames, ret_outcome, error);
}

static BackendLoan *ndctl_backend_lend(Backend *b, sd_id128_t uuid, GError **error) {
    (void) b;
    return nd_content_lend(uuid, error);
}

static void close_lock(void *fd) {
    close(*(int *) fd);
}

static void ndctl_backend_free(Backend *b) {
    g_array_unref(ndctl_backend(b)->locks);
    g_clear_pointer(&ndctl_backend(b)->broken, g_hash_table_unref);
    g_free(b);
}

static const BackendOps ndctl_ops = {
    .name = "ndctl",
    .list = ndctl_backend_list,
    .create = ndctl_backend_create,
    .destroy = ndctl_backend_destroy,
    .open_medium = ndctl_backend_open_medium,
    .renew = ndctl_backend_renew,
    .mappers = ndctl_backend_mappers,
    .lend = ndctl_backend_lend,
    .open_content = ndctl_backend_open_content,
    .clear_bad = ndctl_backend_clear_bad,
    .free = ndctl_backend_free,
};

static bool lock_bus(unsigned number, GArray *locks, GError **error) {
    g_autofree char *path = g_strdup_printf("/dev/ndctl%u", number);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), errnum = errno;
    struct stat st;

    if (fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open %s: %s", path, g_strerror(errnum));
        return false;
    }
    g_array_append_val(locks, fd);
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s is no character device", path);
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        errnum = errno;
        g_set_error(error, PMEMD_ERROR, errnum == EWOULDBLOCK ? PMEMD_ERROR_BUSY : PMEMD_ERROR_HARDWARE,
                    "cannot lock %s: %s", path,
                    errnum == EWOULDBLOCK ? "another pmemd runs on this host" : g_strerror(errnum));
        return false;
    }
    return true;
}

Backend *backend_ndctl_new(bool allow_unknown_persistence, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    g_autoptr(GArray) locks = g_array_new(FALSE, FALSE, sizeof(int));
    struct ndctl_bus *bus;

    if (!context)
        return NULL;
    g_array_set_clear_func(locks, close_lock);
    ndctl_bus_foreach(nd_context_get(context), bus)
        if (!lock_bus(ndctl_bus_get_id(bus), locks, error))
            return NULL;
    if (locks->len == 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "this host has no libnvdimm bus: no NVDIMM, no CXL pmem, no `memmap=` carve-out, or its module is "
                    "not loaded; "
                    "--backend=file:DIR needs none");
        return NULL;
    }

    NdctlBackend *b = g_new0(NdctlBackend, 1);
    b->base.ops = &ndctl_ops;
    b->any_persistence = allow_unknown_persistence;
    b->locks = g_steal_pointer(&locks);
    return &b->base;
}
