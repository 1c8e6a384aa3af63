/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * health.conf: which bad frames and DIMMs the file backend pretends to have, for tests and trials. It stands beside
 * regions.conf, is read at each listing, and need not be there. Nothing fails that uses a frame that is bad by it: no
 * map of an image faults there. Text in, verified facts out, and text again without frames that were cleared; no I/O.
 * Used by backend-file.
 *
 *   [region0]                   one group a raw region of regions.conf
 *   BadFrames=0x480010 0x480100+16   frames, hex or decimal; +N: so many from there
 *
 *   [dimm d1]                   one group a DIMM; d1 is its id
 *   Regions=region0 region1     the raw regions that lie on it
 *   State=ok                    unknown (the default), ok, non-critical, critical or fatal
 *   Flags=smart-event           disabled, locked, not-armed, map-failed, save-failed, restore-failed, flush-failed,
 *                               smart-event, dirty-shutdown, alarm-spares, alarm-temperature, alarm-controller
 *   Spares=95                   per cent left
 *   LifeUsed=3                  per cent used
 *   Temperature=41              degrees Celsius
 *   UnsafeShutdowns=2
 */
#pragma once

#include "daemon/dimm-health.h"
#include "daemon/file-regions.h"

#define FILE_HEALTH_NAME "health.conf"

typedef struct FileHealth FileHealth;

/* regions: FileRegion *, as file_regions_parse() gave them. NULL with INVALID_ARGUMENT that names group, key, value and
 * what is allowed. path: for messages. */
FileHealth *file_health_parse(const char *text, const char *path, GPtrArray *regions, GError **error);
void file_health_free(FileHealth *health);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileHealth, file_health_free)

/* As BackendRaw.bad, .bad_all and .health of this raw region; the caller owns what it gets. */
GArray *file_health_bad(const FileHealth *health, const char *region, bool *ret_all);
GPtrArray *file_health_dimms(const FileHealth *health, const char *region);

/* The text without the bad frames of this region that lie in `frames`; comments stay. The caller frees it. */
char *file_health_cleared(const FileHealth *health, const char *region, FrameRange frames);
