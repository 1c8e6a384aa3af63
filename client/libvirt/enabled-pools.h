/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which pools are offered to libvirt: a file a pool in DIR, named by its uuid, with the name that it had last.
 * Promises: what was added or removed is durable when the function returns; a crash leaves the old or the new file; a file that cannot be
 * understood is told and otherwise left alone. Used by virt-pools, on the loop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct EnabledPools EnabledPools;

typedef struct {
    char uuid[37];
    char *name; /* that it had last */
} EnabledPool;

/* Reads DIR, which is made if it is not there (mode 0700). Errors: HARDWARE, NOT_AUTHORIZED (others may write there). Free:
 * enabled_pools_free. */
EnabledPools *enabled_pools_load(const char *dir, GError **error);
void enabled_pools_free(EnabledPools *pools);

guint enabled_pools_n(const EnabledPools *pools);
/* In no order; until the next change. */
const EnabledPool *enabled_pools_get(const EnabledPools *pools, guint i);
/* By uuid in lower case; NULL: not enabled. */
const EnabledPool *enabled_pools_find(const EnabledPools *pools, const char *uuid);

/* Adds it, or changes its name. uuid: a valid one, in lower case. Errors: HARDWARE, nothing is changed. */
bool enabled_pools_add(EnabledPools *pools, const char *uuid, const char *name, GError **error);
/* Errors: HARDWARE, it is there still. One that is not there is removed. */
bool enabled_pools_remove(EnabledPools *pools, const char *uuid, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EnabledPools, enabled_pools_free)
