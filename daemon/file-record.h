/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The description of one device of the file backend, "NAME.dev": what the label of a namespace is on an NVDIMM.
 * Promises: a description that says nothing certain about frames is an error, never a guess. Used by backend-file.
 *
 *   [Device]
 *   Tag=pmemd:data:0a1b2c3d:4e5f6071   anything else (or nothing): a foreign device, which is never touched
 *   Raw=region0                        group of regions.conf
 *   StartFrame=0x480000                first frame of the device range
 *   Bytes=0x40000000                   of the device range
 *   Lead=0x200                         frames of it before the first usable one; default 0
 *   Mode=file                          default "file"
 *   Name=scratch                       for people; default the file's name
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

#define FILE_RECORD_SUFFIX ".dev"
#define FILE_RECORD_MAX (UINT64_C(16) << 10) /* bytes a description may have */

/* One description. */
typedef struct {
    char *tag;
    char *raw;
    FrameRange device;
    uint64_t lead; /* frames, fewer than the device has */
    char *mode;
    char *name;
} FileRecord;

void file_record_free(FileRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileRecord, file_record_free)

/* NULL with CORRUPT that names path, key and what is allowed. path: also the default of Name. */
FileRecord *file_record_parse(const char *text, const char *path, GError **error);
/* The text of a description; the caller frees it. */
char *file_record_format(const FileRecord *record);

/* Reads the description `name` in dir, which is open as dirfd. NULL and no error: it is not there. Else as parse. */
FileRecord *file_record_read(int dirfd, const char *dir, const char *name, GError **error);
/* Called with each description; false with error set stops. */
typedef bool (*FileRecordVisit)(const char *name, const FileRecord *record, void *data, GError **error);
/* Visits all descriptions of dir, in no order. false: a visit failed, or one cannot be read (as file_record_read()). */
bool file_records_visit(int dirfd, const char *dir, FileRecordVisit visit, void *data, GError **error);

static inline FrameRange file_record_usable(const FileRecord *record) {
    return (FrameRange){ .start = record->device.start + record->lead, .end = record->device.end };
}
static inline uint64_t file_record_usable_bytes(const FileRecord *record) {
    return frame_range_frames(file_record_usable(record)) << PMEMD_FRAME_SHIFT;
}
