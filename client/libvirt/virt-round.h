/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A round over libvirt's storage pools: what is enabled is defined, started and up to date after it, what was ours and is not any more is undefined.
 * Promises: a pool that is not ours is never touched: ours are of type dir, over a directory of ours, and named as that; no volume is ever
 * deleted. It knows nothing of the loop: what it needs is in the round, what came of it, too. Used by virt-pools, as a job of its link.
 */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* A pool that is enabled. The first four are given. */
typedef struct {
    char uuid[37];
    char *name, *directory;
    bool mounted;
    const char *libvirt; /* "active", "inactive", "absent", "unreachable" */
    bool foreign;        /* problem is that libvirt has another pool in its place */
    bool again;          /* libvirt was busy: another round is needed */
    char *problem;       /* NULL: none */
} VirtRoundPool;

typedef struct {
    char *parent; /* of the directories */
    GPtrArray *pools;
} VirtRound;

VirtRound *virt_round_new(const char *parent);
void virt_round_free(VirtRound *round);
/* The round's. */
VirtRoundPool *virt_round_add(VirtRound *round, const char *uuid, const char *name, const char *directory,
                              bool mounted);

/* storage: NULL: all of them are unreachable. Waits for libvirt. */
void virt_round_run(VirtRound *round, virConnectPtr storage);

/* The pool as libvirt takes it. Free: g_free. */
char *virt_round_pool_xml(const char *uuid, const char *name, const char *directory);
/* The target of a pool of type dir. NULL: it is none. Free: g_free. */
char *virt_round_target(const char *xml);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtRound, virt_round_free)
