/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the XML of a libvirt domain says that matters here: whose it is, and which paths QEMU is given.
 *
 * Promises: pure; bounded in time and memory whatever the XML is (DOMAIN_PATHS_MAX_...); only what stands where libvirt
 * reads it counts, so nothing in <metadata> does. No external entity is ever read. Used by the hook of QEMU domains and by the
 * follower of domains.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define DOMAIN_PATHS_MAX_BYTES ((size_t) 16 << 20) /* of the XML */
#define DOMAIN_PATHS_MAX_DEPTH 128u                /* of elements in elements, and of JSON */
#define DOMAIN_PATHS_MAX 4096u                     /* paths */

typedef struct DomainPath {
    char *path;  /* absolute */
    bool memory; /* it backs memory of the guest; else a disk or anything else that has a source */
} DomainPath;

typedef struct DomainPaths {
    char *uuid;       /* lower case */
    char *name;       /* "": none */
    GPtrArray *paths; /* DomainPath *, in the order of the XML */
} DomainPaths;

/* xml: length bytes of UTF-8, with or without a 0 behind them. Errors: INVALID_ARGUMENT (no XML of a domain, or no uuid),
 * LIMITS_EXCEEDED. */
DomainPaths *domain_paths_parse(const char *xml, size_t length, GError **error);
void domain_paths_free(DomainPaths *paths); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainPaths, domain_paths_free)
