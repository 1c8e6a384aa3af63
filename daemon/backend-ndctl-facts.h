/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What libnvdimm shows, as backend.h tells it: raw regions and devices, ours and foreign. Reads only.
 *
 * Regions without labels. Nothing there can carry a tag or a label's uuid, and the kernel always shows one namespace
 * over the whole region. pmemd says of it:
 * - raw, unused, its first and last MiB zero: free memory, no device is listed. Anything else in these bytes is
 *   somebody's (a file system that is not mounted now): listed as foreign, never overwritten. To hand it to pmemd,
 *   clear both.
 * - a device-dax: uuid is that of its info block. When that is of the kind that mgmt devices get (backend_uuid_new()),
 *   and the first usable frame holds a superblock of pmemd that names this very uuid, the tag of a mgmt device is made
 *   up from it. The superblock alone says nothing: the guest of a data device may write one. A data device has tag "" and role NONE: that it is one
 *   of ours is known by its uuid, which is random and in a journal.
 * - any other mode: foreign.
 * For backend-ndctl only.
 */
#pragma once

#include "daemon/backend-ndctl-busy.h"
#include "daemon/backend-ndctl-context.h"
#include "daemon/backend.h"

/* any_persistence: also a region whose stores may not survive a power loss by themselves is usable. */
BackendRaw *nd_facts_raw(struct ndctl_region *region, bool any_persistence);

/* Whether stores that are flushed from the CPU's caches survive a power loss without flush hints: NULL, or why not and
 * the remedy. */
char *nd_facts_persistence_fault(struct ndctl_region *region);

/* "devdax", "fsdax", "sector" or "raw": as what it was made. */
const char *nd_facts_mode(struct ndctl_namespace *ndns);

/* NULL: the namespace is no device (it has no size, or is the free memory of a region without labels). */
BackendDevice *nd_facts_device(struct ndctl_namespace *ndns, const NdBusy *busy);

/* Everything, with a context of its own. */
BackendListing *nd_facts_list(bool any_persistence, GError **error);

/* The device with this uuid, with a context of its own. NULL without error: there is none. */
BackendDevice *nd_facts_find(sd_id128_t uuid, GError **error);

/* Opens the character device of an enabled device-dax: the node must be a character device with the number that sysfs
 * gives. */
int nd_facts_open_dax(struct daxctl_dev *dev, GError **error);

/* Whether it carries this tag, INTERNAL if not. Without labels the uuid alone, which nobody else can have, says that the
 * device is meant. */
bool nd_facts_check_tag(struct ndctl_namespace *ndns, const BackendDevice *d, const char *tag, GError **error);
/* Whether nobody, this process included, has it mapped, mounted or stacked upon; BUSY names who has. */
bool nd_facts_check_unused(struct ndctl_namespace *ndns, const BackendDevice *d, const NdBusy *busy, GError **error);
