/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who uses a device: the kernel lets a namespace be disabled under everybody who has it mapped, so pmemd looks first.
 * A snapshot of all processes' mappings and descriptors, plus what the block layer knows (mounts, device mapper, swap).
 * What cannot be seen counts as used. For backend-ndctl only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct NdBusy NdBusy;

/* Looks through /proc: one snapshot serves for all devices of a listing. */
NdBusy *nd_busy_new(void);
void nd_busy_free(NdBusy *busy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NdBusy, nd_busy_free)

/* Whether a process has the device-dax with this number open or mapped; self: this process counts, too. */
bool nd_busy_char(const NdBusy *busy, dev_t device, bool self);
/* Whether the block device ("pmem0") is mounted, stacked upon, open exclusively, or open or mapped by another process.
 */
bool nd_busy_block(const NdBusy *busy, const char *name);
