/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What kind of memory the regions of a libnvdimm bus are, and what that means for a power loss. The kernel names no
 * persistence domain for RAM that was set aside and for what a hypervisor offers, as for an NVDIMM whose firmware says
 * nothing; but who offers the memory (the bus' provider) tells these apart. Promises: pure. For backend-ndctl only.
 */
#pragma once

#include <stdbool.h>

typedef enum {
    ND_KIND_NVDIMM, /* and whatever else: what the kernel says of it counts */
    ND_KIND_RAM,    /* nd_e820 (`memmap=`), ramdax: ordinary memory */
    ND_KIND_VIRTIO, /* virtio-pmem: pages of a file of the host below */
} NdKind;

/* provider: ndctl_bus_get_provider(), may be NULL. by_firmware: the firmware's own map of the memory calls it
 * persistent: then what nd_e820 and ramdax show is an old NVDIMM, not RAM that the command line set aside. */
NdKind nd_kind(const char *provider, bool by_firmware);

/*
 * BackendRaw.persistence: "memory_controller", "cpu_cache", "none", "unknown" as the kernel says; of RAM "volatile",
 * whatever it says; of virtio-pmem "flush" where it says nothing ("unknown"). domain, and what is returned, is a constant.
 */
const char *nd_kind_persistence(NdKind kind, const char *domain);

/* Whether the kernel takes every DIMM there for one with labels, whatever is in its label area, and would write over what
 * it cannot use. */
bool nd_kind_labels_unasked(const char *provider);

/* Whether a region's place says which one it is: its DIMMs, if it has any, are made up by the kernel and all the same. */
bool nd_kind_is_known_by_place(const char *provider);
