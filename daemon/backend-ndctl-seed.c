/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-seed.h"

#include "daemon/backend-ndctl-dax.h"
#include "daemon/backend-ndctl-facts.h"
#include "proto/error.h"

#include <string.h>

struct ndctl_namespace *nd_seed_stuck(struct ndctl_region *region) {
    g_autofree char *seed = nd_sysfs_read("bus/nd/devices/%s/namespace_seed", ndctl_region_get_devname(region));
    struct ndctl_namespace *ndns;

    if (!seed || !nd_region_has_labels(region))
        return NULL;
    ndctl_namespace_foreach(region, ndns)
        if (strcmp(ndctl_namespace_get_devname(ndns), seed) == 0)
            return ndctl_namespace_get_size(ndns) > 0 && (nd_namespace_dax_dev(ndns) || nd_namespace_block_device(ndns))
                       ? ndns
                       : NULL;
    return NULL;
}

/* Whether it may be stopped for a moment, and nobody minds. */
static bool check_ours(NdContext *context, struct ndctl_namespace *ndns, GError **error) {
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_autoptr(BackendDevice) d = nd_facts_device(ndns, busy);
    char text[PMEMD_UUID_STRING_MAX];

    if (!d || d->role == BACKEND_ROLE_NONE || !ndctl_namespace_get_dax(ndns)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is not pmemd's", ndctl_namespace_get_devname(ndns));
        return false;
    }
    if (!nd_context_check_alone(context, ndns, error) || !nd_facts_check_unused(ndns, d, busy, error))
        return false;
    if (d->held)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s (%s) is open in a process", d->path,
                    pmemd_uuid_format(d->uuid, text));
    return !d->held;
}

static void free_seed(NdContext *context, struct ndctl_region *region) {
    struct ndctl_namespace *ndns = nd_seed_stuck(region);
    g_autoptr(GError) error = NULL;

    if (!ndns)
        return;
    const char *name = ndctl_namespace_get_devname(ndns);
    int rc = check_ours(context, ndns, &error) ? nd_dax_restart(ndctl_namespace_get_dax(ndns)) : 0;

    if (rc < 0)
        nd_context_error(context, &error, rc, "cannot restart it");
    if (error)
        g_warning(
            "%s: the kernel left its seed at %s, which is in operation, and nothing can be made there: %s, ignoring: "
            "once nothing uses it, `ndctl disable-namespace %s` and `ndctl enable-namespace %s`",
            ndctl_region_get_devname(region), name, error->message, name, name);
    else
        g_message("%s: the kernel left its seed at %s, which is in operation: it was started once more",
                  ndctl_region_get_devname(region), name);
}

void nd_seed_free_all(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(NdContext) context = nd_context_new(&error);
    struct ndctl_region *region = NULL;

    if (!context) {
        g_warning("cannot look at the seeds of raw regions: %s, ignoring", error->message);
        return;
    }
    nd_context_wait(context);
    while ((region = nd_context_next_region(context, region)))
        if (ndctl_region_is_enabled(region))
            free_seed(context, region);
}
