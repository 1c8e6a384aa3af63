/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the files of the file backend share: the backend itself, and the names of its files. backend-file.c opens and
 * locks the directory; backend-file-list.c, -create.c, -destroy.c, -renew.c, -open.c and -clear.c are the operations. Nobody
 * else includes
 * it.
 */
#pragma once

#include "daemon/backend-file.h"
#include "daemon/file-health.h"
#include "daemon/file-image.h"
#include "daemon/file-index.h"
#include "daemon/file-record.h"

typedef struct {
    Backend base;
    char *dir; /* absolute */
    int dirfd;
    int regions_fd;     /* regions.conf, LOCK_EX */
    int lock_fd;        /* LOCK_NAME, LOCK_EX */
    GPtrArray *regions; /* FileRegion * */
    FileIndex *index;   /* of the descriptions: one thread, the worker's */
} FileBackend;

static inline FileBackend *file_backend(Backend *b) {
    return (FileBackend *) b;
}

#define FILE_BACKEND_REGIONS_NAME "regions.conf"
#define FILE_BACKEND_HEX "0x%" G_GINT64_MODIFIER "x"

/* Names of a device's files; the caller frees them. tag: one of ours, "pmemd:<role>:...". */
char *file_backend_record_name(sd_id128_t uuid);
char *file_backend_image_name(const char *tag, sd_id128_t uuid);
/* The uuid in the name of a description; false when it is not exactly what file_backend_record_name() would give. */
bool file_backend_parse_name(const char *name, sd_id128_t *ret_uuid);
/* The role of what `name` describes: ours only when the tag is well formed and is about this uuid. ret_uuid: null when
 * the name has none. */
BackendRole file_backend_role(const FileRecord *record, const char *name, sd_id128_t *ret_uuid);

void file_backend_set_errno(GError **error, int r, const char *path, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* The device that the description `name` tells of, as it is now. Any thread. */
BackendDevice *file_backend_device(FileBackend *b, const char *name, const FileRecord *record, GError **error);

/* The description of the device that an operation is about; the caller frees it. NULL without an error: there is none. Of
 * a role that is not asked for (NONE: any of ours), or with another tag: an error, as it is another device. */
FileRecord *file_backend_read_own(FileBackend *b, sd_id128_t uuid, BackendRole role, const char *tag, GError **error);

/* Who has the image open or mapped: what the kernel knows of all descriptors, and whose they are. 0 or negative errno. */
int file_backend_users(FileBackend *b, const char *image, FileImageUsers *ret_users, MapperList **ret_list);
/* False with BUSY that names a process that has it. True and not FILE_IMAGE_ALONE: there may be descriptors that no
 * process has in its table. */
bool file_backend_check_unused(FileBackend *b, const char *image, FileImageUsers *ret_users, GError **error);
/* Puts a new file of that size, which reads as zeros, in the image's place. */
bool file_backend_replace(FileBackend *b, const char *image, uint64_t bytes, GError **error);
/* What is there, for an operation that has to know. */
BackendListing *file_backend_look(FileBackend *b, GError **error);
/* health.conf as it is now; NULL when there is none. */
bool file_backend_read_health(FileBackend *b, FileHealth **ret_health, GError **error);

BackendListing *file_backend_list(Backend *backend, GError **error);
BackendDevice *file_backend_create(Backend *backend, const BackendCreate *req, BackendOutcome *ret_outcome,
                                   GError **error);
bool file_backend_destroy(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                          GError **error);
bool file_backend_renew(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                        GError **error);
MapperList *file_backend_mappers(Backend *backend, sd_id128_t uuid, GError **error);
Medium *file_backend_open_medium(Backend *backend, sd_id128_t uuid, GError **error);
BackendContent *file_backend_open_content(Backend *backend, sd_id128_t uuid, GError **error);
bool file_backend_clear_bad(Backend *backend, const BackendClear *req, uint64_t *ret_frames,
                            BackendOutcome *ret_outcome, GError **error);
BackendLoan *file_backend_lend(Backend *backend, sd_id128_t uuid, GError **error);
