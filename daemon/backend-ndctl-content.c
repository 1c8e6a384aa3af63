/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-content.h"

#include "daemon/backend-ndctl-busy.h"
#include "daemon/backend-ndctl-context.h"
#include "daemon/backend-ndctl-dax.h"
#include "daemon/backend-ndctl-facts.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* --- flush hints -------------------------------------------------------------------------------------------------- */

/* The region's folder in sysfs when it has flush hints that can be written, else -1. An open folder stays this very
 * region's. */
static int open_flush_hints(const char *region) {
    g_autofree char *path = g_strconcat("/sys/bus/nd/devices/", region, NULL);
    g_autofree char *hints = nd_sysfs_read("bus/nd/devices/%s/deep_flush", region);
    struct stat st;

    if (g_strcmp0(hints, "1") != 0)
        return -1;
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && (fstatat(dir, "deep_flush", &st, 0) < 0 || !(st.st_mode & S_IWUSR))) {
        close(dir);
        return -1;
    }
    return dir;
}

/* 0 or negative errno. Linux 6.1 crashes when the hints of a region without its driver are written, so that is checked
 * first. */
static int write_flush_hints(int dir) {
    if (dir < 0)
        return 0;
    if (faccessat(dir, "driver", F_OK, 0) < 0)
        return -EIO;

    int fd = openat(dir, "deep_flush", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -EIO;
    ssize_t n = write(fd, "1\n", 2);
    close(fd);
    return n == 2 ? 0 : -EIO;
}

/* A medium over mapped memory whose fence also writes the flush hints. */
typedef struct {
    Medium base;
    Medium *inner;
    int hints;
} DeepMedium;

static DeepMedium *deep(Medium *m) {
    return (DeepMedium *) m;
}

static int deep_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    return medium_store(deep(m)->inner, off, buf, len);
}

static int deep_flush(Medium *m, uint64_t off, size_t len) {
    return medium_flush(deep(m)->inner, off, len);
}

static int deep_fence(Medium *m) {
    int r = medium_fence(deep(m)->inner);

    return r < 0 ? r : write_flush_hints(deep(m)->hints);
}

static int deep_readable(Medium *m, uint64_t off, size_t len) {
    return medium_readable(deep(m)->inner, off, len);
}

static const uint8_t *deep_base(Medium *m) {
    return medium_base(deep(m)->inner);
}

/* medium_zero() of the inner one fences, too, but not deeply: the caller's fence does. */
static int deep_zero(Medium *m, uint64_t off, uint64_t len) {
    return medium_zero(deep(m)->inner, off, len);
}

static int deep_find_nonzero(Medium *m, uint64_t off, uint64_t len, uint64_t *ret_at) {
    return medium_find_nonzero(deep(m)->inner, off, len, ret_at);
}

static void deep_free(Medium *m) {
    medium_free(deep(m)->inner);
    close(deep(m)->hints);
    g_free(m);
}

static const MediumOps deep_ops = {
    .store = deep_store,
    .flush = deep_flush,
    .fence = deep_fence,
    .readable = deep_readable,
    .base = deep_base,
    .zero = deep_zero,
    .find_nonzero = deep_find_nonzero,
    .free = deep_free,
};

/* Owns both. hints -1: the inner medium is all there is. */
static Medium *add_flush_hints(Medium *inner, int hints) {
    if (hints < 0)
        return inner;

    DeepMedium *m = g_new0(DeepMedium, 1);
    m->base = (Medium){ .ops = &deep_ops, .size = inner->size, .class = inner->class };
    m->inner = inner;
    m->hints = hints;
    return &m->base;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* What was found of a device: owned by `context`, but for the copies. */
typedef struct {
    NdContext *context;
    struct ndctl_namespace *ndns;
    struct daxctl_dev *dev;
    BackendDevice *facts;
} Found;

static void found_clear(Found *found) {
    g_clear_pointer(&found->facts, backend_device_free);
    g_clear_pointer(&found->context, nd_context_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

static bool find_device(sd_id128_t uuid, const NdBusy *busy, Found *ret_found, GError **error) {
    g_auto(Found) found = { .context = nd_context_new(error) };
    char text[PMEMD_UUID_STRING_MAX];

    if (!found.context)
        return false;
    nd_context_wait(found.context);
    found.ndns = nd_context_find_namespace(found.context, uuid);
    if (!found.ndns) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED, "there is no device with uuid %s on the platform now",
                    pmemd_uuid_format(uuid, text));
        return false;
    }
    if (!nd_context_check_alone(found.context, found.ndns, error))
        return false;
    found.facts = nd_facts_device(found.ndns, busy);
    found.dev = nd_namespace_dax_dev(found.ndns);
    if (!found.facts || !found.dev || found.facts->state != BACKEND_DEVICE_COMPLETE ||
        daxctl_dev_get_size(found.dev) != frame_range_frames(found.facts->usable) * PMEMD_FRAME_SIZE) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s (%s) is not whole now: mode %s, no device-dax of the size it must have",
                    ndctl_namespace_get_devname(found.ndns), pmemd_uuid_format(uuid, text),
                    found.facts ? found.facts->mode : "raw");
        return false;
    }
    *ret_found = found;
    found = (Found){ 0 }; /* the cleanup reads it: NOLINT(clang-analyzer-deadcode.DeadStores) */
    return true;
}

/* Device names move: what was opened must still be the device of this uuid after it was opened. */
static int open_device(sd_id128_t uuid, const Found *before, const NdBusy *busy, GError **error) {
    int fd = nd_facts_open_dax(before->dev, error);
    if (fd < 0)
        return -1;

    g_auto(Found) after = { 0 };
    if (!find_device(uuid, busy, &after, error)) {
        close(fd);
        return -1;
    }
    if (daxctl_dev_get_major(after.dev) != daxctl_dev_get_major(before->dev) ||
        daxctl_dev_get_minor(after.dev) != daxctl_dev_get_minor(before->dev)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s became %s while it was opened: try again",
                    before->facts->path, after.facts->path);
        close(fd);
        return -1;
    }
    return fd;
}

static Medium *map_device(int fd, const Found *found, GError **error) {
    Medium *medium = medium_mapped_new(fd, frame_range_frames(found->facts->usable) * PMEMD_FRAME_SIZE, false, error);

    if (!medium) {
        close(fd);
        g_prefix_error(error, "%s: ", found->facts->path);
    }
    return medium;
}

Medium *nd_content_open_medium(bool any_persistence, sd_id128_t uuid, GError **error) {
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_auto(Found) found = { 0 };

    if (!find_device(uuid, busy, &found, error))
        return NULL;
    g_autofree char *fault = nd_facts_persistence_fault(ndctl_namespace_get_region(found.ndns));
    if (fault && !any_persistence) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED, "%s: %s", found.facts->raw_id, fault);
        return NULL;
    }

    int fd = open_device(uuid, &found, busy, error);
    if (fd < 0)
        return NULL;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int errnum = errno;
        close(fd);
        g_set_error(error, PMEMD_ERROR, errnum == EWOULDBLOCK ? PMEMD_ERROR_BUSY : PMEMD_ERROR_HARDWARE,
                    "cannot lock %s: %s", found.facts->path,
                    errnum == EWOULDBLOCK ? "another process has it locked" : g_strerror(errnum));
        return NULL;
    }
    Medium *medium = map_device(fd, &found, error);
    return medium && fault ? add_flush_hints(medium, open_flush_hints(found.facts->raw_id)) : medium;
}

/* --- renewing ----------------------------------------------------------------------------------------------------- */

static bool restart_device(const Found *found, GError **error) {
    struct ndctl_dax *dax = ndctl_namespace_get_dax(found->ndns);
    int rc = nd_dax_restart(dax);

    if (rc < 0)
        nd_context_error(found->context, error, rc, "cannot restart %s (%s)", found->facts->path,
                         ndctl_dax_get_devname(dax));
    return rc >= 0;
}

/* A crash in the middle of restart_device() leaves it unbound: configured, with its info block, and without a node. */
static void revive_device(sd_id128_t uuid) {
    g_autoptr(NdContext) context = nd_context_new(NULL);
    struct ndctl_namespace *ndns = context ? nd_context_find_namespace(context, uuid) : NULL;
    struct ndctl_dax *dax = ndns ? ndctl_namespace_get_dax(ndns) : NULL;

    if (dax && !ndctl_dax_is_enabled(dax) && ndctl_dax_enable(dax) < 0)
        g_warning("cannot enable %s, ignoring: it is found incomplete", ndctl_dax_get_devname(dax));
}

/* As find_device(), and of one that is not whole, `revive` tries to make it so first. Most are whole: that costs one look at
 * the platform, which grows with the number of namespaces, and no more. */
static bool find_revived(sd_id128_t uuid, void (*revive)(sd_id128_t uuid), NdBusy **busy, Found *ret_found,
                         GError **error) {
    if (find_device(uuid, *busy, ret_found, NULL))
        return true;
    revive(uuid);
    nd_busy_free(*busy);
    *busy = nd_busy_new();
    return find_device(uuid, *busy, ret_found, error);
}

MapperList *nd_content_mappers(sd_id128_t uuid, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    if (!context)
        return NULL;

    nd_context_wait(context);
    struct ndctl_namespace *ndns = nd_context_find_namespace(context, uuid);
    struct daxctl_dev *dev = ndns ? nd_namespace_dax_dev(ndns) : NULL;
    if (!dev)
        return mapper_list_new(NULL, 0, NULL);
    g_autoptr(NdBusy) busy = nd_busy_new();
    return nd_busy_mapped(busy, makedev((unsigned) daxctl_dev_get_major(dev), (unsigned) daxctl_dev_get_minor(dev)));
}

/* What is there again must be what was there before, with a node that leads to it. */
static bool check_renewed(sd_id128_t uuid, const Found *old, const NdBusy *busy, GError **error) {
    g_auto(Found) found = { 0 };

    if (!find_device(uuid, busy, &found, error))
        return false;
    if (!frame_range_equal(found.facts->device, old->facts->device) ||
        !frame_range_equal(found.facts->usable, old->facts->usable)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "%s has frames 0x%" PRIx64 "-0x%" PRIx64 " after it was enabled again, and had 0x%" PRIx64
                    "-0x%" PRIx64 " before",
                    found.facts->path, found.facts->usable.start, found.facts->usable.end, old->facts->usable.start,
                    old->facts->usable.end);
        return false;
    }
    int fd = open_device(uuid, &found, busy, error);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

bool nd_content_renew(sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_auto(Found) old = { 0 };

    if (!find_revived(uuid, revive_device, &busy, &old, error) ||
        !nd_facts_check_tag(old.ndns, old.facts, tag, error) ||
        !nd_facts_check_unused(old.ndns, old.facts, busy, error)) {
        *ret_outcome = BACKEND_UNCHANGED;
        return false;
    }
    if (restart_device(&old, error) && check_renewed(uuid, &old, busy, error))
        return true;
    *ret_outcome = BACKEND_UNKNOWN;
    return false;
}

/* --- erasing ------------------------------------------------------------------------------------------------------ */

typedef struct {
    BackendContent base;
    Medium *medium;
} NdContent;

static int content_zero(BackendContent *c, uint64_t off, uint64_t len) {
    return medium_zero(((NdContent *) c)->medium, off, len);
}

static int content_find_nonzero(BackendContent *c, uint64_t off, uint64_t len, uint64_t *ret_at) {
    return medium_find_nonzero(((NdContent *) c)->medium, off, len, ret_at);
}

static void content_free(BackendContent *c) {
    medium_free(((NdContent *) c)->medium);
    g_free(c);
}

/* A crash, or a loss of power, in the middle of a deletion leaves the bare namespace: no device-dax, perhaps a block
 * device. It is one again, so that its content can be destroyed and the deletion goes on. Revives it otherwise. */
static void rebuild_device(sd_id128_t uuid) {
    revive_device(uuid);

    g_autoptr(NdContext) context = nd_context_new(NULL);
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_autoptr(GError) error = NULL;

    if (context)
        nd_context_wait(context);
    struct ndctl_namespace *ndns = context ? nd_context_find_namespace(context, uuid) : NULL;
    if (!ndns || ndctl_namespace_get_dax(ndns) || ndctl_namespace_get_pfn(ndns) || ndctl_namespace_get_btt(ndns) ||
        backend_tag_parse(ndctl_namespace_get_alt_name(ndns), NULL, NULL) != BACKEND_ROLE_DATA)
        return;
    g_autoptr(BackendDevice) facts = nd_facts_device(ndns, busy);
    if (!facts || !nd_context_check_alone(context, ndns, &error) || !nd_facts_check_unused(ndns, facts, busy, &error)) {
        g_warning("cannot rebuild %s: %s, ignoring: it is found incomplete", ndctl_namespace_get_devname(ndns),
                  error ? error->message : "it has no size");
        return;
    }
    int rc = ndctl_namespace_disable_safe(ndns);
    if (rc >= 0 && ndctl_namespace_get_raw_mode(ndns) > 0)
        rc = ndctl_namespace_set_raw_mode(ndns, 0);
    if (rc < 0)
        nd_context_error(context, &error, rc, "cannot disable %s", ndctl_namespace_get_devname(ndns));
    else
        nd_dax_make(context, ndctl_namespace_get_region(ndns), ndns, uuid, &error);
    if (error)
        g_warning("cannot rebuild: %s, ignoring: it is found incomplete", error->message);
}

BackendContent *nd_content_open(sd_id128_t uuid, GError **error) {
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_auto(Found) old = { 0 }, found = { 0 };

    if (!find_revived(uuid, rebuild_device, &busy, &old, error) ||
        !nd_facts_check_unused(old.ndns, old.facts, busy, error))
        return NULL;
    if (!restart_device(&old, error) || !find_device(uuid, busy, &found, error))
        return NULL;

    int fd = open_device(uuid, &found, busy, error);
    Medium *medium = fd >= 0 ? map_device(fd, &found, error) : NULL;
    if (!medium)
        return NULL;

    NdContent *content = g_new0(NdContent, 1);
    content->base = (BackendContent){
        .size = medium->size,
        .zero = content_zero,
        .find_nonzero = content_find_nonzero,
        .free = content_free,
    };
    content->medium = add_flush_hints(medium, open_flush_hints(found.facts->raw_id));
    return &content->base;
}

/* --- lending ------------------------------------------------------------------------------------------------------ */

BackendLoan *nd_content_lend(sd_id128_t uuid, GError **error) {
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_auto(Found) found = { 0 };

    /* A renewal that was cut off leaves it unbound. */
    if (!find_revived(uuid, revive_device, &busy, &found, error))
        return NULL;
    int fd = open_device(uuid, &found, busy, error);
    if (fd < 0)
        return NULL;

    unsigned long align = ndctl_dax_get_align(ndctl_namespace_get_dax(found.ndns));
    BackendLoan *loan = g_new(BackendLoan, 1);
    *loan =
        (BackendLoan){ .fd = fd, .path = g_strdup(found.facts->path), .alignment = align > 0 ? align : ND_DAX_ALIGN };
    return loan;
}
