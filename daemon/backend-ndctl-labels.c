/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-labels.h"

#include "proto/error.h"

#include <errno.h>
#include <linux/ndctl.h>

typedef struct ndctl_cmd NdCommand;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NdCommand, ndctl_cmd_unref)

static struct ndctl_dimm *only_dimm(struct ndctl_region *region) {
    struct ndctl_dimm *dimm = ndctl_region_get_first_dimm(region);

    return dimm && !ndctl_region_get_next_dimm(region, dimm) ? dimm : NULL;
}

static bool command_is_blank(NdCommand *command, uint64_t size) {
    g_autofree uint8_t *bytes = g_malloc(size);
    ssize_t got = ndctl_cmd_cfg_read_get_data(command, bytes, (unsigned) size, 0);

    if (got <= 0)
        return false;
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool index_is_blank(struct ndctl_dimm *dimm) {
    g_autoptr(NdCommand) command = ndctl_dimm_read_label_index(dimm);
    uint64_t size = 2 * (uint64_t) ndctl_dimm_sizeof_namespace_index(dimm);

    return command && size > 0 && command_is_blank(command, size);
}

NdLabelsState nd_labels_state(struct ndctl_region *region) {
    NdLabelsState state = ND_LABELS_NONE;
    struct ndctl_dimm *dimm;

    if (nd_region_has_labels(region))
        return ND_LABELS_USED;
    ndctl_dimm_foreach_in_region(region, dimm) {
        if (!ndctl_dimm_is_cmd_supported(dimm, ND_CMD_GET_CONFIG_DATA))
            continue;
        if (!only_dimm(region) || !ndctl_dimm_is_cmd_supported(dimm, ND_CMD_SET_CONFIG_DATA) || !index_is_blank(dimm))
            return ND_LABELS_BROKEN;
        state = ND_LABELS_BLANK;
    }
    return state;
}

static bool whole_area_is_blank(struct ndctl_dimm *dimm) {
    g_autoptr(NdCommand) command = ndctl_dimm_read_labels(dimm);
    ssize_t size = command ? ndctl_cmd_cfg_read_get_size(command) : 0;

    return size > 0 && command_is_blank(command, (uint64_t) size);
}

/* Another region on the same DIMM would be cut off under its users. */
static bool check_alone(NdContext *context, struct ndctl_region *region, struct ndctl_dimm *dimm, GError **error) {
    struct ndctl_region *other;

    ndctl_region_foreach(ndctl_region_get_bus(region), other) {
        struct ndctl_dimm *d;

        if (other == region)
            continue;
        ndctl_dimm_foreach_in_region(other, d)
            if (d == dimm) {
                g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                            "%s backs %s as well as %s: initialise its labels with ndctl while nothing uses either",
                            ndctl_dimm_get_devname(dimm), ndctl_region_get_devname(other),
                            ndctl_region_get_devname(region));
                return false;
            }
    }
    return true;
}

bool nd_labels_init(NdContext *context, struct ndctl_region *region, GError **error) {
    struct ndctl_dimm *dimm = only_dimm(region);
    const char *name = ndctl_region_get_devname(region);

    if (nd_labels_state(region) != ND_LABELS_BLANK || !whole_area_is_blank(dimm)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "the label area of %s is not blank: look at it with `ndctl read-labels`, and clear it with `ndctl "
                    "zero-labels` "
                    "only if nothing in it is needed",
                    name);
        return false;
    }
    if (!check_alone(context, region, dimm, error))
        return false;

    int rc = ndctl_region_disable_preserve(region);
    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot disable %s to initialise its labels", name);
        return false;
    }

    /* Whatever fails from here on: the region must not stay disabled. */
    g_autoptr(NdCommand) index = ndctl_dimm_read_label_index(dimm);
    int written = index ? ndctl_dimm_init_labels(dimm, NDCTL_NS_VERSION_1_2) : -EIO;
    int cycled = written >= 0 ? ndctl_dimm_disable(dimm) : 0;
    if (written >= 0 && cycled >= 0)
        cycled = ndctl_dimm_enable(dimm);
    rc = ndctl_region_enable(region);

    if (written < 0)
        nd_context_error(context, error, written, "cannot write labels to %s", ndctl_dimm_get_devname(dimm));
    else if (cycled < 0)
        nd_context_error(context, error, cycled, "cannot restart %s with its new labels", ndctl_dimm_get_devname(dimm));
    else if (rc < 0)
        nd_context_error(context, error, rc, "cannot enable %s with its new labels", name);
    return written >= 0 && cycled >= 0 && rc >= 0;
}
