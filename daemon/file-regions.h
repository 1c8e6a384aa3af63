/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * regions.conf: which raw regions the file backend pretends to have. Text in, verified regions out; no I/O.
 * Promises: regions lie below the 52-bit limit, do not overlap, and have step, lead and length that fit each other.
 * Used by backend-file.
 *
 *   [left]              one group a raw region; its name is that of the region
 *   StartFrame=0x480000 first frame, hex or decimal
 *   Bytes=4G            K, M, G, T: powers of 1024
 *   Node=3              proximity domain, default 0
 *   LocalNode=3         nearest online node, default Node
 *   Alignment=2M        offsets and sizes of devices are multiples of it: a multiple of 4K, default 2M
 *   Lead=0              bytes of each device before its first usable one: a multiple of 4K, default 0
 *   Medium=auto         how a journal is written: as PMEM where MAP_SYNC is granted, else as a file; the default
 *          mapped       as PMEM, whatever the file system (tmpfs, tests): no promise about power loss then
 *          file         as an ordinary file
 *   Zeroed=yes          a new data device reads as zeros, as a new file does: it need not be erased before its first
 *                       guest; no: it is erased all the same, as one of NVDIMM is
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

typedef enum {
    FILE_REGION_MEDIUM_AUTO,
    FILE_REGION_MEDIUM_MAPPED,
    FILE_REGION_MEDIUM_FILE,
    N_FILE_REGION_MEDIA,
} FileRegionMedium;

typedef struct {
    char *name;
    sd_id128_t cookie; /* made of the name and the first frame: what is at another place is another region */
    FrameRange range;
    int node;
    int local_node;
    uint64_t step;    /* bytes */
    uint64_t lead;    /* frames */
    uint64_t minimum; /* bytes: least device, one step after the lead */
    FileRegionMedium medium;
    bool zeroed;
} FileRegion;

void file_region_free(FileRegion *region);

/* FileRegion *, by range.start. NULL with INVALID_ARGUMENT that names group, key, value and what is allowed. path: for
 * messages. */
GPtrArray *file_regions_parse(const char *text, const char *path, GError **error);
/* The region of that name in what file_regions_parse() gave, or NULL. */
const FileRegion *file_regions_find(GPtrArray *regions, const char *name);
/* Has the group no key but those? known: names with ", " between them. path: for the message, which names the first other. */
bool file_regions_check_keys(GKeyFile *file, const char *path, const char *group, const char *known, GError **error);
