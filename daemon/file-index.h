/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which frames the descriptions of a directory have, in memory: spares a create the reading of all of them.
 * Promises: says "clear" only when no description that is there overlaps; whatever somebody else does to a description
 * is seen (the kernel tells) and makes it read them all again. In doubt it says "not clear", and the caller reads.
 * One thread, the only one that writes descriptions. Used by backend-file.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>

typedef struct FileIndex FileIndex;

/* Of the directory dir, open as dirfd, which stays the caller's. Reads nothing yet. */
FileIndex *file_index_new(int dirfd, const char *dir);
void file_index_free(FileIndex *index); /* NULL is fine */

/* Whether it is certain that no description overlaps range. false: some description cannot be read (as
 * file_record_read()). O(log n), or O(n) after somebody else changed something. */
bool file_index_is_clear(FileIndex *index, FrameRange range, bool *ret_clear, GError **error);

/* The caller put the description `name` in place, or took it away. */
void file_index_added(FileIndex *index, const char *name, FrameRange device);
void file_index_removed(FileIndex *index, const char *name, FrameRange device);
/* The caller does not know what came of a change: all are read again. */
void file_index_distrust(FileIndex *index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileIndex, file_index_free)
