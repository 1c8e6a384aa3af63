/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who uses a device: the kernel lets a namespace be disabled under everybody who has it mapped, so pmemd looks first.
 * A snapshot of all processes' mappings and descriptors, plus what the block layer knows (mounts, device mapper, swap).
 * What cannot be seen counts as used. For backend-ndctl only.
 */
#pragma once

#include "daemon/mappers.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct NdBusy NdBusy;

/* Looks through /proc: one snapshot serves for all devices of a listing. */
NdBusy *nd_busy_new(void);
void nd_busy_free(NdBusy *busy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NdBusy, nd_busy_free)

/* Whether another process has the device-dax with this number open or mapped. */
bool nd_busy_char(const NdBusy *busy, dev_t device);
/* Who has it mapped, this process included: a descriptor alone is no reason to leave a device as it is, as none
 * outlives its end or renewal. */
MapperList *nd_busy_mapped(const NdBusy *busy, dev_t device);
/* Whether the block device ("pmem0") is mounted, stacked upon, open exclusively, or open or mapped by another process.
 */
bool nd_busy_block(const NdBusy *busy, const char *name);
