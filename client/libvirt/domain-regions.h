/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which data region a path of a domain is: by the names under /dev/pmemd, or because it leads to the same device or file.
 *
 * Promises: nothing is opened; of paths outside of /dev only those that back memory are looked at, so that a file system
 * that hangs under a disk does not matter. Several threads may look things up in different tables at once. Used by the hook of QEMU domains and by the
 * follower of domains.
 */
#pragma once

#include "client/libvirt/domain-paths.h"
#include "proto/types.h"

#define DOMAIN_REGIONS_LINKS "/dev/pmemd"
#define DOMAIN_REGIONS_POOLS "/run/pmemd/pools"

typedef struct DomainRegion {
    char *uuid, *pool, *name; /* pool, name: as people say them; the uuid's where there is none */
    char *path;               /* of the device or file; "": none */
} DomainRegion;

typedef struct DomainRegions DomainRegions;

DomainRegions *domain_regions_new(void);
void domain_regions_free(DomainRegions *regions); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainRegions, domain_regions_free)

void domain_regions_add(DomainRegions *regions, const char *uuid, const char *pool, const char *name, const char *path);
const DomainRegion *domain_regions_by_uuid(const DomainRegions *regions, const char *uuid); /* NULL: none */

typedef enum DomainPathKind {
    DOMAIN_PATH_OTHER, /* none of pmemd's */
    DOMAIN_PATH_REGION,
    DOMAIN_PATH_NO_REGION, /* it names a region that there is not */
    DOMAIN_PATH_VOLUME,    /* a file of a pool's directory: it has no content for a guest */
} DomainPathKind;

/* *ret_region: with REGION alone; the table's. */
DomainPathKind domain_regions_find(DomainRegions *regions, const DomainPath *path, const DomainRegion **ret_region);

/* Whether find() may say anything but OTHER with some table. */
bool domain_path_may_be_region(const DomainPath *path);

/* The region's object at pmemd; of what is no uuid the null uuid's, which no region has. Returns buf. */
char *domain_region_path(const char *uuid, char buf[static PMEMD_PATH_MAX]);

/* Whether both lead to the same device or file now. */
bool domain_path_is_same(const char *a, const char *b);
