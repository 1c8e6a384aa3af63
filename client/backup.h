/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The description of a host's pools as a file: what raw regions it had, which pools, and which data regions in them; not
 * their content. `pmemctl export` writes it, `pmemctl import` reads it; docs/backup.md and proto/pmemctl.schema.json say
 * what is in it.
 * Promises: what was written by any version is read by every later one. A file is read whole or refused with the place of
 * what is wrong; nothing in it is believed beyond its own bounds: what backup_parse returns holds every relation that
 * Backup names. The text is the same when nothing changed. Pure; used by pmemctl's export and import, and by restore.
 */
#pragma once

#include <glib.h>

#include "client/libpmemd.h"

#define BACKUP_VERSION 1
/* A hundred thousand regions take less. */
#define BACKUP_MAX_BYTES (UINT64_C(64) << 20)
#define BACKUP_MAX_RAWS 4096u
#define BACKUP_MAX_POOLS 4096u
#define BACKUP_MAX_DATA 262144u /* of all pools together */

typedef struct {
    char *id;
    char *cookie; /* a uuid; "": not known */
    PmemdRange frames;
    int32_t node;
} BackupRaw;

typedef struct {
    char *uuid, *name; /* name "": none */
    PmemdRange frames;
    PmemdRange extent;  /* in the pool's frames; overlaps no other one */
    uint32_t owner_uid; /* UINT32_MAX is refused */
    char *owner;        /* "": not known */
    uint64_t created_usec;
} BackupData;

typedef struct {
    char *uuid, *name; /* name: no other pool's */
    char *profile;     /* "xen", "linux", "none" */
    uint32_t max_regions;
    PmemdRange frames;
    uint32_t owner_uid;
    char *owner;
    uint64_t created_usec;
    GPtrArray *data; /* BackupData *, no name twice */
} BackupPool;

/* The frames of pools and data regions overlap each other nowhere, and each lies in one of raws. No uuid is there twice. */
typedef struct {
    char *machine_id; /* 32 hexadecimal digits */
    char *pmemd;      /* its version */
    GPtrArray *raws;  /* BackupRaw *, no id twice */
    GPtrArray *pools; /* BackupPool * */
} Backup;

Backup *backup_new(const char *machine_id, const char *pmemd);
void backup_free(Backup *backup); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backup, backup_free)

/* Their texts are copied; they belong to the backup, or to the pool. */
BackupRaw *backup_add_raw(Backup *backup, const char *id, const char *cookie, PmemdRange frames, int32_t node);
BackupPool *backup_add_pool(Backup *backup, const PmemdRegion *region);
BackupData *backup_add_data(BackupPool *pool, const PmemdRegion *region);

/* The raw region of the backup that holds the frames; NULL: none. */
const BackupRaw *backup_find_raw(const Backup *backup, PmemdRange frames);

/* With a newline at the end. Free: g_free. */
char *backup_format(const Backup *backup);
/* Errors (of PARSE_ERROR, USAGE): what is wrong, and where ("pools[0].data[3].name"). Free: backup_free. */
Backup *backup_parse(const char *text, size_t length, GError **error);
