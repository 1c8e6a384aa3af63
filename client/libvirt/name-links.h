/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * /dev/pmemd/POOL/VOLUME: links by name to the links by uuid that udev makes.
 * Promises: a name never points at a device itself, whose number is another one tomorrow, but at /dev/pmemd/by-uuid/UUID; volumes that
 * have no such link, as those of files, get none. What is no link to there is never removed. The links stay when the program ends.
 * Used by main, on the loop.
 */
#pragma once

#include "client/libvirt/region-view.h"

#include <stdbool.h>

typedef struct NameLinks NameLinks;

/* Whether the pool is offered by name. */
typedef bool (*NameLinksWanted)(const char *pool_uuid, void *userdata);

/* directory: that has by-uuid, too. */
NameLinks *name_links_new(const char *directory);
void name_links_free(NameLinks *links); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NameLinks, name_links_free)

/* Makes, changes and removes links until they are those of the view; what cannot be done is logged, and tried again next time. */
void name_links_update(NameLinks *links, const RegionView *view, NameLinksWanted wanted, void *userdata);
