/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-dax.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool nd_dax_make(NdContext *context, struct ndctl_region *region, struct ndctl_namespace *ndns, sd_id128_t uuid,
                 GError **error) {
    struct ndctl_dax *dax = ndctl_region_get_dax_seed(region);
    const char *step = "take a device-dax";
    int rc = dax ? 0 : -ENXIO;

    if (rc >= 0) {
        step = "set the uuid of the device-dax";
        rc = ndctl_dax_set_uuid(dax, uuid.bytes);
    }
    if (rc >= 0) {
        step = "keep the device-dax' page structures in RAM";
        rc = ndctl_dax_set_location(dax, NDCTL_PFN_LOC_RAM);
    }
    if (rc >= 0 && ndctl_dax_has_align(dax)) {
        step = "set the align of the device-dax";
        rc = ndctl_dax_set_align(dax, ND_DAX_ALIGN);
    }
    if (rc >= 0) {
        step = "join the device-dax";
        rc = ndctl_dax_set_namespace(dax, ndns);
    }
    if (rc >= 0) {
        step = "enable the device-dax (page structures take 1/64 of its size in RAM)";
        rc = ndctl_dax_enable(dax);
    }
    if (rc >= 0)
        return true;

    nd_context_error(context, error, rc, "cannot %s on %s", step, ndctl_namespace_get_devname(ndns));
    if (dax)
        ndctl_dax_delete(dax);
    return false;
}

int nd_dax_restart(struct ndctl_dax *dax) {
    const char *name = ndctl_dax_get_devname(dax);
    g_autofree char *path = g_strdup_printf("/sys/bus/nd/devices/%s/driver/unbind", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 || write(fd, name, strlen(name)) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return rc < 0 ? rc : ndctl_dax_enable(dax);
}
