/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The directory of a pool: a FUSE file system that libvirt takes for a directory of image files.
 *
 * Promises: what only looks (stat, readdir, statfs, open, read) is answered on the file system's own thread from the view, whatever
 * pmemd and the loop do. Making and removing a volume goes to the loop as an order, and is answered when that is done, which has a
 * deadline. No content goes through it: the first 64 KiB of a volume read as zeros, everything else is refused. Root alone may open,
 * make and remove.
 *
 * Who may call: pmemd-libvirt's loop; not from a function that an order calls.
 */
#pragma once

#include "client/libvirt/orders.h"
#include "client/libvirt/region-view.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

typedef struct PoolFs PoolFs;

/* It was unmounted by somebody else, and serves nobody any more: to be freed, later. On the loop. */
typedef void (*PoolFsEnded)(PoolFs *fs, void *userdata);

/* Detaches what is mounted on directory, a predecessor's too, and makes it if it is not there. What it returns answers. Errors:
 * HARDWARE (with the cause), INTERNAL. */
PoolFs *pool_fs_mount(sd_event *event, Orders *orders, const char *pool_uuid, const char *directory, RegionView *view,
                      PoolFsEnded ended, void *userdata, GError **error);
/* Unmounts it, in use or not; its directory is removed. What it was asked and has not answered fails. NULL is fine. */
void pool_fs_free(PoolFs *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolFs, pool_fs_free)

const char *pool_fs_directory(const PoolFs *fs);
void pool_fs_set_view(PoolFs *fs, RegionView *view);
/* The sentence with which an order of its was refused last; "" after one that was done. */
const char *pool_fs_problem(const PoolFs *fs);
