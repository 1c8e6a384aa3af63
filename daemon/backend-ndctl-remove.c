/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-remove.h"

#include "daemon/backend-ndctl-busy.h"
#include "daemon/backend-ndctl-facts.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ndctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* --- a region without labels: its namespace cannot be deleted, only emptied --------------------------------------- */

/* Zeroes the first and last MiB of a block device that nobody else has: the info block and all that would look like
 * content. */
static int clear_ends(const char *name, uint64_t size) {
    g_autofree char *path = g_strconcat("/dev/", name, NULL);
    int fd = open(path, O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    void *zeros;
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || posix_memalign(&zeros, PMEMD_FRAME_SIZE, MIB) != 0) {
        close(fd);
        return -EIO;
    }
    memset(zeros, 0, MIB);
    for (int end = 0; end < 2 && rc == 0; end++) {
        uint64_t off = end && size > MIB ? size - MIB : 0;

        for (size_t done = 0; done < MIB && rc == 0;) {
            ssize_t n = pwrite(fd, zeros, MIB - done, (off_t) (off + done));

            if (n < 0 && errno == EINTR)
                continue;
            rc = n < 0 ? -errno : n == 0 ? -EIO : 0;
            done += (size_t) MAX(n, 0);
        }
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    free(zeros);
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

static bool clear_unlabelled(NdContext *context, struct ndctl_namespace *ndns, GError **error) {
    const char *name = ndctl_namespace_get_devname(ndns);
    int rc = ndctl_namespace_disable_invalidate(ndns);

    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot disable %s", name);
        return false;
    }

    /* Raw by force: else the kernel finds the info block and makes the device again. */
    rc = ndctl_namespace_set_raw_mode(ndns, 1);
    if (rc >= 0)
        rc = ndctl_namespace_enable(ndns);
    const char *block = rc == 0 ? ndctl_namespace_get_block_device(ndns) : NULL;
    if (block && block[0])
        rc = clear_ends(block, ndctl_namespace_get_size(ndns));
    else if (rc >= 0)
        rc = -ENXIO;
    if (rc < 0)
        nd_context_error(context, error, rc, "cannot clear the info block of %s", name);

    /* Back to the state in which the kernel would have found the region, also after a failure. */
    ndctl_namespace_disable(ndns);
    int back = ndctl_namespace_set_raw_mode(ndns, 0);
    if (back >= 0)
        back = ndctl_namespace_enable(ndns);
    if (rc >= 0 && back < 0)
        nd_context_error(context, error, back, "cannot enable %s again", name);
    return rc >= 0 && back >= 0;
}

/* --- a region with labels ----------------------------------------------------------------------------------------- */

/* Looked at right before it is changed: another tool may be about to use it, and what has its name is not ours to touch. */
static bool is_left_by_us(const char *name) {
    g_autofree char *size = nd_sysfs_read("bus/nd/devices/%s/size", name);
    g_autofree char *uuid = nd_sysfs_read("bus/nd/devices/%s/uuid", name);
    g_autofree char *tag = nd_sysfs_read("bus/nd/devices/%s/alt_name", name);

    return size && strcmp(size, "0") == 0 && (!uuid || uuid[0] == '\0') && tag &&
           backend_tag_parse(tag, NULL, NULL) != BACKEND_ROLE_NONE;
}

/* The 0th namespace of a region is never unregistered, and what was set on it would stick to its next user. */
static void reset_idle(struct ndctl_region *region) {
    struct ndctl_namespace *ndns;

    ndctl_namespace_foreach(region, ndns) {
        const char *name = ndctl_namespace_get_devname(ndns);

        if (ndctl_namespace_get_id(ndns) != 0 || !is_left_by_us(name))
            continue;
        if (ndctl_namespace_get_raw_mode(ndns) > 0 && ndctl_namespace_set_raw_mode(ndns, 0) < 0)
            g_warning("%s: cannot reset force_raw, ignoring", name);
        if (is_left_by_us(name) && ndctl_namespace_set_alt_name(ndns, "") < 0)
            g_warning("%s: cannot reset its name, ignoring", name);
    }
}

static bool delete_labelled(NdContext *context, struct ndctl_namespace *ndns, GError **error) {
    g_autofree char *name = g_strdup(ndctl_namespace_get_devname(ndns));
    int rc = ndctl_namespace_disable_invalidate(ndns);

    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot disable %s", name);
        return false;
    }
    rc = ndctl_namespace_delete(ndns);
    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot delete %s", name);
        return false;
    }
    return true;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

/* Only the first error of several is told. */
static void keep_first(GError **error, GError *next) {
    if (!next)
        return;
    if (error && !*error)
        *error = next;
    else
        g_error_free(next);
}

/* What is removed is looked for in `context`; whether it is gone, in one of its own. */
static bool remove_in(NdContext *context, const sd_id128_t *uuids, size_t n_uuids, GError **error) {
    g_autoptr(GError) first = NULL;

    for (size_t i = 0; i < n_uuids; i++) {
        struct ndctl_namespace *ndns = nd_context_find_namespace(context, uuids[i]);
        GError *next = NULL;

        if (!ndns)
            continue;
        if (ndctl_namespace_get_type(ndns) == ND_DEVICE_NAMESPACE_IO)
            clear_unlabelled(context, ndns, &next);
        else
            delete_labelled(context, ndns, &next);
        keep_first(&first, next);
    }

    g_autoptr(NdContext) after = nd_context_new(error);
    if (!after)
        return false;
    struct ndctl_region *region = NULL;
    while ((region = nd_context_next_region(after, region)))
        if (nd_region_has_labels(region) && ndctl_region_is_enabled(region))
            reset_idle(region);
    for (size_t i = 0; i < n_uuids; i++) {
        struct ndctl_namespace *ndns = nd_context_find_namespace(after, uuids[i]);

        if (ndns && !first)
            g_set_error(&first, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s is still there after its deletion",
                        ndctl_namespace_get_devname(ndns));
    }
    if (!first)
        return true;
    g_propagate_error(error, g_steal_pointer(&first));
    return false;
}

bool nd_remove(const sd_id128_t *uuids, size_t n_uuids, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);

    return context && remove_in(context, uuids, n_uuids, error);
}

bool nd_has_fillers(struct ndctl_region *region) {
    struct ndctl_namespace *ndns;

    ndctl_namespace_foreach(region, ndns)
        if (ndctl_namespace_get_size(ndns) > 0 &&
            backend_tag_parse(ndctl_namespace_get_alt_name(ndns), NULL, NULL) == BACKEND_ROLE_FILLER)
            return true;
    return false;
}

void nd_remove_stale_fillers(const char *region_id) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) uuids = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    g_autoptr(BackendListing) listing = nd_facts_list(true, &error);

    for (guint i = 0; listing && i < listing->devices->len; i++) {
        const BackendDevice *d = g_ptr_array_index(listing->devices, i);

        if (d->role == BACKEND_ROLE_FILLER && !d->held && strcmp(d->raw_id, region_id) == 0)
            g_array_append_val(uuids, d->uuid);
    }
    if (uuids->len > 0)
        nd_remove((const sd_id128_t *) (const void *) uuids->data, uuids->len, &error);
    if (error)
        g_warning("%s: cannot remove old fillers: %s, ignoring", region_id, error->message);
}

bool nd_remove_checked(sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    if (!context) {
        *ret_outcome = BACKEND_UNCHANGED;
        return false;
    }

    nd_context_wait(context);
    struct ndctl_namespace *ndns = nd_context_find_namespace(context, uuid);
    if (!ndns)
        return true;

    g_autoptr(NdBusy) busy = nd_busy_new();
    g_autoptr(BackendDevice) before = nd_facts_device(ndns, busy);
    if (!before)
        return true;
    if (!nd_context_check_alone(context, ndns, error) || !nd_facts_check_tag(ndns, before, tag, error) ||
        !nd_facts_check_unused(ndns, before, busy, error)) {
        *ret_outcome = BACKEND_UNCHANGED;
        return false;
    }
    if (remove_in(context, &uuid, 1, error))
        return true;

    g_autoptr(BackendDevice) after = nd_facts_find(uuid, NULL);
    *ret_outcome = after && after->state == before->state && g_strcmp0(after->path, before->path) == 0
                       ? BACKEND_UNCHANGED
                       : BACKEND_UNKNOWN;
    return false;
}
