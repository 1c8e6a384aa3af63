/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * One look at libnvdimm through libndctl: a fresh context, and what the other files of backend-ndctl need of it:
 * finding regions and namespaces, attributes that libndctl does not read, and errors that say what failed. libndctl
 * caches what it reads and never notices changes: a context is used for one operation and thrown away. For
 * backend-ndctl only; all calls on one thread.
 */
#pragma once

#include "proto/types.h"

#include <daxctl/libdaxctl.h>
#include <glib.h>
#include <ndctl/libndctl.h>

#define ND_INFO_BLOCK_LEAD 512u          /* frames of a device-dax before its first usable one: map=mem, align 2 MiB */
#define ND_DAX_ALIGN (UINT64_C(2) << 20) /* bytes: the align of every device-dax of ours */
#define ND_DEVICE_MINIMUM (UINT64_C(16) << 20) /* bytes: least device-dax that the kernel makes */

typedef struct NdContext NdContext;

NdContext *nd_context_new(GError **error);
void nd_context_free(NdContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NdContext, nd_context_free)

struct ndctl_ctx *nd_context_get(NdContext *context);

/* Waits for the kernel's probes and udev, who may still be looking at new devices. Before anybody is accused of using
 * one. */
void nd_context_wait(NdContext *context);

/*
 * Sets an error from a call of libndctl: "TEXT: STRERROR (libndctl: its last complaint)". rc: what the call returned,
 * -errno or just negative. EBUSY becomes BUSY, ENOSPC NO_SPACE, all else HARDWARE: what the platform refuses is no
 * fault of the caller's.
 */
void nd_context_error(NdContext *context, GError **error, int rc, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* PMEM regions only; volatile ones are none of ours. NULL: no more. */
struct ndctl_region *nd_context_next_region(NdContext *context, struct ndctl_region *region);
/* "region0". NULL: there is none. */
struct ndctl_region *nd_context_find_region(NdContext *context, const char *id);
/* By nd_namespace_uuid(), among those that have a size. NULL: there is none. */
struct ndctl_namespace *nd_context_find_namespace(NdContext *context, sd_id128_t uuid);
/* Another one with the same uuid (the label area of a DIMM can be copied to another's), or NULL. */
struct ndctl_namespace *nd_context_find_twin(NdContext *context, struct ndctl_namespace *of);
/* DEGRADED when there is: before anything is written to ndns, or it is destroyed, by its uuid. */
bool nd_context_check_alone(NdContext *context, struct ndctl_namespace *ndns, GError **error);

/* The label's uuid; where there are no labels, that of the device-dax info block; null: neither. */
sd_id128_t nd_namespace_uuid(struct ndctl_namespace *ndns);
bool nd_region_has_labels(struct ndctl_region *region);
/* The namespace's bytes, info block included, as frames; the whole region when the kernel does not tell where it lies.
 */
FrameRange nd_namespace_range(struct ndctl_namespace *ndns);
FrameRange nd_region_range(struct ndctl_region *region);
/* The character device of an enabled device-dax ("dax0.1"), NULL: none. */
struct daxctl_dev *nd_namespace_dax_dev(struct ndctl_namespace *ndns);
/* The block device ("pmem0"), whichever layer has it; NULL: none. */
const char *nd_namespace_block_device(struct ndctl_namespace *ndns);

/* An attribute below /sys, without the newline; NULL: there is none or it cannot be read. */
char *nd_sysfs_read(const char *format, ...) G_GNUC_PRINTF(1, 2);
