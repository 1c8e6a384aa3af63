/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What pmemd had at one moment, as pools with their volumes: a snapshot that is shared and never changes.
 *
 * Promises: a view that somebody holds a reference of stays as it is; references are taken and given back on any thread, everything
 * else only reads. No I/O. A pool is a management region, a volume a data region that is whole in pmemd's eyes or was: states "ok",
 * "degraded" and "missing". What is being made, erased after its release, or unsettled is no volume; it counts as used.
 * A name of a region that has none is its uuid.
 *
 * Built by pmemd-link on the loop; read by pool-fs, name-links, virt-pools, domains.
 */
#pragma once

#include "client/libpmemd.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A data region. Texts are the view's. */
typedef struct RegionViewVolume {
    const char *uuid, *name;
    uint64_t bytes;
    const char *state; /* "ok", "degraded", "missing" */
    bool dirty;        /* its first erase has not ended */
    bool leased;
    const char *owner;   /* of the lease; "": not lent */
    const char *path;    /* for a guest: /dev/pmemd/by-uuid/UUID, or of a file; "": none */
    uint64_t mtime_usec; /* when it was made, realtime; 0: not known yet */
} RegionViewVolume;

typedef struct RegionViewPool {
    const char *uuid, *name;
    const char *state; /* as ListMgmt says it */
    int32_t node;
    uint64_t raw_bytes;   /* of the usable raw regions of its node */
    uint64_t free_bytes;  /* that new volumes can still take, at most */
    uint64_t largest_gap; /* that one new volume can take, at most */
    uint64_t used_bytes;  /* of the pool's data regions, volumes or not */
    bool usable;          /* its state allows changes */
    guint n_volumes;
    const RegionViewVolume *volumes; /* in the order of their names */
} RegionViewPool;

typedef struct RegionView RegionView;

/* What lists do not tell of a data region, and what does not change while it is there. */
typedef struct RegionViewDetail {
    uint64_t created_usec;
    char *guest_path;
} RegionViewDetail;

/* What a view is made of: pmemd's lists, each ending with NULL. */
typedef struct RegionViewFacts {
    PmemdRaw *const *raws;
    PmemdMgmt *const *mgmts;
    PmemdData *const *regions;
    PmemdLease *const *leases;
    GHashTable *details; /* uuid -> RegionViewDetail *; one that is not in it has no path yet */
} RegionViewFacts;

/* serial: grows with each view of a process. */
RegionView *region_view_new(const RegionViewFacts *facts, uint64_t serial);
/* The same with one more volume, whose bytes are no longer free, or with one less, whose bytes stay used. A pool or a volume that is
 * not there: the same as before. volume: copied. */
RegionView *region_view_with(const RegionView *view, const char *pool_uuid, const RegionViewVolume *volume,
                             uint64_t serial);
RegionView *region_view_without(const RegionView *view, const char *volume_uuid, uint64_t serial);

RegionView *region_view_ref(RegionView *view);
void region_view_unref(RegionView *view); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionView, region_view_unref)

uint64_t region_view_serial(const RegionView *view);
guint region_view_n_pools(const RegionView *view);
const RegionViewPool *region_view_pool(const RegionView *view, guint i); /* in the order of their names */

/* NULL: there is none. view may be NULL: there is nothing. A key that is both a name and another's uuid: the uuid's. */
const RegionViewPool *region_view_find_pool(const RegionView *view, const char *uuid_or_name);
const RegionViewVolume *region_view_find_volume(const RegionViewPool *pool, const char *name);
const RegionViewVolume *region_view_by_uuid(const RegionView *view, const char *uuid, const RegionViewPool **ret_pool);
/* What a domain's XML calls a region: its path for a guest, /dev/pmemd/by-uuid/UUID (of its uuid, in either case), or
 * /dev/pmemd/POOL/VOLUME. */
const RegionViewVolume *region_view_by_path(const RegionView *view, const char *path, const RegionViewPool **ret_pool);
