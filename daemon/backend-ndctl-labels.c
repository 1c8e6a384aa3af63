/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-labels.h"

#include "daemon/backend-ndctl-kind.h"
#include "daemon/backend-ndctl-label-io.h"
#include "daemon/label-area.h"
#include "proto/error.h"

#include <errno.h>
#include <linux/ndctl.h>

typedef struct ndctl_cmd NdCommand;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NdCommand, ndctl_cmd_unref)

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

    if (!command)
        return false; /* nor may its index's size be asked for: libndctl would divide by the label size it has not read */
    uint64_t size = 2 * (uint64_t) ndctl_dimm_sizeof_namespace_index(dimm);
    return size > 0 && command_is_blank(command, size);
}

/* Valid, or blank in what the kernel would look at. */
static bool area_may_be_used(struct ndctl_dimm *dimm) {
    size_t size;
    g_autofree uint8_t *bytes = nd_label_io_read(ndctl_dimm_get_devname(dimm), false, &size, NULL);
    LabelArea area;

    if (!bytes)
        return false;
    if (label_area_open(bytes, size, &area, NULL))
        return true;
    for (size_t i = 0; i < label_area_head(size); i++)
        if (bytes[i])
            return false;
    return true;
}

static NdLabelsState state_unasked(struct ndctl_region *region) {
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm)
        if (!area_may_be_used(dimm))
            return ND_LABELS_BROKEN;
    return ND_LABELS_USED;
}

NdLabelsState nd_labels_state(struct ndctl_region *region) {
    NdLabelsState state = ND_LABELS_NONE;
    struct ndctl_dimm *dimm;

    if (nd_region_has_labels(region))
        return nd_kind_labels_unasked(ndctl_bus_get_provider(ndctl_region_get_bus(region))) ? state_unasked(region)
                                                                                            : ND_LABELS_USED;
    ndctl_dimm_foreach_in_region(region, dimm) {
        if (!ndctl_dimm_is_cmd_supported(dimm, ND_CMD_GET_CONFIG_DATA))
            continue;
        if (!ndctl_dimm_is_cmd_supported(dimm, ND_CMD_SET_CONFIG_DATA) || !index_is_blank(dimm))
            return ND_LABELS_BROKEN;
        state = ND_LABELS_BLANK;
    }
    return state;
}

/* Whether the kernel took what is in the DIMM's label area for labels when it started the DIMM. */
static bool has_labels(struct ndctl_dimm *dimm) {
    g_autofree char *flags = nd_sysfs_read("bus/nd/devices/%s/flags", ndctl_dimm_get_devname(dimm));
    g_auto(GStrv) words = g_strsplit(flags ? flags : "", " ", -1);

    return g_strv_contains((const char *const *) words, "label");
}

char *nd_labels_set_fault(struct ndctl_region *region) {
    struct ndctl_dimm *dimm, *without = NULL;
    bool any = false;

    ndctl_dimm_foreach_in_region(region, dimm) {
        if (has_labels(dimm))
            any = true;
        else
            without = dimm;
    }
    /* Kernels before 5.12 say it of none. */
    if (!any || !without)
        return NULL;
    const char *name = ndctl_dimm_get_devname(without);
    return g_strdup_printf(
        "%s has no labels that can be used, while other DIMMs of the set have: look at it with `ndctl "
        "read-labels %s`, repair it or, if nothing in it is needed, give it new ones with `ndctl "
        "init-labels -f %s` while the region is disabled",
        name, name, name);
}

static bool whole_area_is_blank(struct ndctl_dimm *dimm) {
    g_autoptr(NdCommand) command = ndctl_dimm_read_labels(dimm);
    ssize_t size = command ? ndctl_cmd_cfg_read_get_size(command) : 0;

    return size > 0 && command_is_blank(command, (uint64_t) size);
}

/* Another region on the same DIMM would be cut off under its users; one that is disabled has none. */
static bool check_alone(struct ndctl_region *region, struct ndctl_dimm *dimm, GError **error) {
    struct ndctl_region *other;

    ndctl_region_foreach(ndctl_region_get_bus(region), other) {
        struct ndctl_dimm *d;

        if (other == region || !ndctl_region_is_enabled(other))
            continue;
        ndctl_dimm_foreach_in_region(other, d)
            if (d == dimm) {
                g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                            "%s backs %s as well as %s: initialise its labels with ndctl while nothing uses either, or "
                            "disable %s before",
                            ndctl_dimm_get_devname(dimm), ndctl_region_get_devname(other),
                            ndctl_region_get_devname(region), ndctl_region_get_devname(other));
                return false;
            }
    }
    return true;
}

/* All of them, before any is written to. */
static bool check_dimms(struct ndctl_region *region, GError **error) {
    bool blank = nd_labels_state(region) == ND_LABELS_BLANK;
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm) {
        blank = blank && whole_area_is_blank(dimm);
        if (!blank) {
            const char *name = ndctl_dimm_get_devname(dimm);

            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                        "the label area of %s (%s) is not blank: look at it with `ndctl read-labels %s`, and clear it "
                        "with `ndctl zero-labels %s` only if nothing in it is needed",
                        name, ndctl_region_get_devname(region), name, name);
            return false;
        }
        if (!check_alone(region, dimm, error))
            return false;
    }
    return true;
}

/* Its region is disabled. */
static bool init_dimm(NdContext *context, struct ndctl_dimm *dimm, GError **error) {
    const char *name = ndctl_dimm_get_devname(dimm);
    g_autoptr(NdCommand) index = ndctl_dimm_read_label_index(dimm);
    int rc = index ? ndctl_dimm_init_labels(dimm, NDCTL_NS_VERSION_1_2) : -EIO;

    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot write labels to %s", name);
        return false;
    }
    rc = ndctl_dimm_disable(dimm);
    if (rc >= 0)
        rc = ndctl_dimm_enable(dimm);
    if (rc < 0)
        nd_context_error(context, error, rc, "cannot restart %s with its new labels", name);
    return rc >= 0;
}

bool nd_labels_init(NdContext *context, struct ndctl_region *region, GError **error) {
    const char *name = ndctl_region_get_devname(region);
    struct ndctl_dimm *dimm;
    bool done = true;

    if (!check_dimms(region, error))
        return false;
    int rc = ndctl_region_disable_preserve(region);
    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot disable %s to initialise its labels", name);
        return false;
    }
    /* Whatever fails from here on: the region must not stay disabled. */
    ndctl_dimm_foreach_in_region(region, dimm)
        done = done && init_dimm(context, dimm, error);
    rc = ndctl_region_enable(region);
    if (done && rc < 0)
        nd_context_error(context, error, rc, "cannot enable %s with its new labels", name);
    return done && rc >= 0;
}
