/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Manage=: which raw regions pmemd may use without being told the very frames. Promises: pure; a raw region is known by
 * what stays the same over restarts of the host: its DIMMs, its first frame, its group in regions.conf. Used by config
 * and manager.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ManageList ManageList;

/*
 * "all", "none", or words with blanks between: dimm:ID (as `ndctl list -D` shows it), 0xFRAME (the first frame of the
 * raw region), name:GROUP (of regions.conf). INVALID_ARGUMENT.
 */
ManageList *manage_list_parse(const char *text, GError **error);
ManageList *manage_list_ref(const ManageList *list);
void manage_list_unref(ManageList *list);

/*
 * Is the raw region listed? name: group of regions.conf, NULL: it comes from the kernel, where names are no identity.
 * dimms: the ids of all its DIMMs, NULL or empty: it has none; a set counts when each of its DIMMs is listed.
 */
bool manage_list_has(const ManageList *list, uint64_t start_frame, const char *name, const char *const *dimms);

/* The same by a word of its own: "all" does not count. */
bool manage_list_names(const ManageList *list, uint64_t start_frame, const char *name, const char *const *dimms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManageList, manage_list_unref)
