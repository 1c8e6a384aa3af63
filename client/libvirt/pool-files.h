/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What is in the directory of a pool: a file a volume, and files that are to become volumes and have no size yet. Knows no FUSE and asks
 * nobody: it reads a view, and says when pmemd has to be asked.
 *
 * Promises: any thread may call any function, and none waits. A file is a volume of pmemd's, or it is new: made here, without size,
 * and gone a moment after it was closed without one. At most POOL_FILES_NEW_MAX are new at a time.
 *
 * Results: 0, or a negative errno for the caller of the file operation; 1 where so said.
 */
#pragma once

#include "client/libvirt/region-view.h"

#include <glib.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define POOL_FILES_ROOT UINT64_C(1) /* the directory's id */
#define POOL_FILES_NEW_MAX 256u
#define POOL_FILES_KEPT_USEC UINT64_C(1000000)   /* for how long the kernel goes by what it was told of a name */
#define POOL_FILES_READABLE (UINT64_C(64) << 10) /* bytes from the start of a volume that read as zeros */

typedef struct PoolFiles PoolFiles;

/* view: a reference is taken; NULL: there is nothing yet. linger_usec: how long a new file is there after it was closed: qemu-img makes
 * its image, closes it, opens it again, and is to be told that writing is not supported, not that there is no file. */
PoolFiles *pool_files_new(const char *pool_uuid, RegionView *view, uint64_t linger_usec);
void pool_files_free(PoolFiles *files); /* nobody else uses it any more; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolFiles, pool_files_free)

void pool_files_set_view(PoolFiles *files, RegionView *view);
/* A reference; NULL: none yet. */
RegionView *pool_files_get_view(PoolFiles *files);

/* An id is valid until it was forgotten as often as lookup and create gave it. */
int pool_files_lookup(PoolFiles *files, const char *name, uint64_t *ret_id, struct stat *ret_stat);
void pool_files_forget(PoolFiles *files, uint64_t id, uint64_t n);
int pool_files_stat(PoolFiles *files, uint64_t id, struct stat *ret_stat);
void pool_files_statfs(PoolFiles *files, struct statvfs *ret_statvfs);

typedef struct PoolFilesEntry {
    char *name;
    uint64_t ino;
} PoolFilesEntry;

/* PoolFilesEntry, the volumes in the order of their names. The caller's. */
GArray *pool_files_list(PoolFiles *files);

/* A new file, open once. EINVAL: no name of a region; EEXIST; EROFS: the pool takes no changes; EDQUOT: too many. */
int pool_files_create(PoolFiles *files, const char *name, uint64_t *ret_id, struct stat *ret_stat);
/* flags: of open(2). EOPNOTSUPP: volumes are opened for reading alone. ESTALE, for which Linux looks the name up again: the volume is not
 * there any more. */
int pool_files_open(PoolFiles *files, uint64_t id, int flags);
void pool_files_close(PoolFiles *files, uint64_t id);
/* How many bytes of what is asked for are there, all of them zeros; behind the first 64 KiB EOPNOTSUPP. whole: also across their end,
 * since who asks takes less than it asked for as the end of the file. */
int pool_files_read(PoolFiles *files, uint64_t id, uint64_t offset, uint64_t bytes, bool whole, uint64_t *ret_bytes);

/* 0: it has that size. 1: a volume of this size, and ret_name (the caller's), is to be made: pool_files_made() is called with what came
 * of it, then pool_files_settled(). EOPNOTSUPP: a volume has its size; EBUSY: it is being made. */
int pool_files_resize(PoolFiles *files, uint64_t id, uint64_t bytes, char **ret_name);
/* fallocate(2): room for bytes from the start, which a volume has. Like resize of a new file. */
int pool_files_reserve(PoolFiles *files, uint64_t id, uint64_t bytes, char **ret_name);
/* errnum 0: it is the volume uuid. */
void pool_files_made(PoolFiles *files, uint64_t id, int errnum, const char *uuid);
void pool_files_settled(PoolFiles *files, uint64_t id);

/* 0: a new file is gone. 1: the volume ret_uuid (the caller's) is to be removed. ENOENT, EROFS, EBUSY: it is being made, or who removes it
 * was told of another volume of this name. */
int pool_files_unlink(PoolFiles *files, const char *name, char **ret_uuid);
