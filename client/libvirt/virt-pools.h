/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The pools that are offered to libvirt: which they are, where their directories are, what libvirt has of them.
 * Promises: never waits for libvirt; brings libvirt up to date a moment after anything has changed, and again until it is; libvirt that is not
 * there is no error. Knows no FUSE: directories are mounted by who made it. Used by main, on the loop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "client/libvirt/enabled-pools.h"
#include "client/libvirt/libvirt-bus.h"
#include "client/libvirt/virt-link.h"

typedef struct VirtPools VirtPools;

typedef struct {
    const char *uuid, *name;
} VirtPoolsName;

typedef struct {
    /* Mounts DIRECTORY as that of the pool: it is there, and answers, when this returns. Never asked for one that is mounted. */
    bool (*mount)(void *data, const char *uuid, const char *directory, GError **error);
    void (*unmount)(void *data, const char *uuid, const char *directory);
    /* Why its last change was refused, or pmemd does not answer; "": neither. During the call. May be NULL. */
    const char *(*problem)(void *data, const char *uuid);
    /* Why pmemd cannot be asked now; "": it answers. During the call. May be NULL. */
    const char *(*unanswered)(void *data);
} VirtPoolsOps;

/* parent: of the directories, which are named as the pools. enabled: the caller's, until virt_pools_free. link: NULL: libvirt is not used. ops: static. */
VirtPools *virt_pools_new(sd_event *event, const char *parent, EnabledPools *enabled, const VirtPoolsOps *ops,
                          void *data);
/* Unmounts what is mounted. The link is freed before it: a round that is under way must have ended. */
void virt_pools_free(VirtPools *pools);

/* Before anything else happens; not taken. NULL: libvirt is not used. */
void virt_pools_set_link(VirtPools *pools, VirtLink *link);
/* The connection to libvirt's storage driver has come or gone. */
void virt_pools_link_changed(VirtPools *pools);

/* What pmemd has now, when any of its pools or regions have changed. Not called while pmemd does not answer: what it had stays. */
void virt_pools_set_names(VirtPools *pools, const VirtPoolsName *names, guint n);

/* Somebody else has unmounted the directory: it is mounted again. Calls unmount, not at once. */
void virt_pools_mount_lost(VirtPools *pools, const char *uuid);

/* For the bus; data is a VirtPools. */
const LibvirtBusOps *virt_pools_bus_ops(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtPools, virt_pools_free)
