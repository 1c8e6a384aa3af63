/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which processes have a device or a file mapped or open, as /proc tells: one look through all processes, bounded in
 * processes, bytes and time. Promises: what could not be seen (a process that may not be looked at, a bound that was
 * reached) is said (gap) and never taken for "nobody"; a process that ends meanwhile is no loss; names are printable
 * ASCII. Descriptors on their way through a socket are in no process' table and not found: who needs them dead renews
 * the device. Takes milliseconds to seconds: never on the loop's thread. Used by the backends.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum {
    MAPPERS_MAPPED = 1 << 0,
    MAPPERS_OPEN = 1 << 1,
} MappersUse;

#define MAPPERS_COMM_MAX 64

/* One process. The pid alone is nobody's name for long: the start time tells it from a later one. */
typedef struct {
    pid_t pid;
    uid_t uid;           /* the owner of its folder in /proc: root for one that hides its memory */
    uint64_t start_time; /* clock ticks since boot; 0: it has ended since */
    unsigned use;        /* MappersUse */
    char comm[MAPPERS_COMM_MAX];
} Mapper;

/* The bounds of one look. */
typedef struct {
    const char *root; /* "/proc"; tests have one of their own */
    guint max_processes;
    uint64_t max_bytes; /* of maps, of all processes together */
    uint64_t max_usec;
} MappersLimits;
#define MAPPERS_LIMITS_DEFAULT                                                                                         \
    ((MappersLimits){ .root = "/proc",                                                                                 \
                      .max_processes = 1 << 16,                                                                        \
                      .max_bytes = UINT64_C(256) << 20,                                                                \
                      .max_usec = UINT64_C(5) * G_USEC_PER_SEC })

typedef struct Mappers Mappers;

/* Everybody who has any character or block device: one look serves for all devices. */
Mappers *mappers_new_devices(const MappersLimits *limits);
/* Everybody who has the regular file with this identity. name: its last component; where a file system shows other
 * numbers in maps than in stat, it is found by that. */
Mappers *mappers_new_file(const MappersLimits *limits, dev_t device, ino_t inode, const char *name);
void mappers_free(Mappers *mappers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mappers, mappers_free)

/* Who has it in one of these ways (MappersUse), by pid. NULL: nobody that was seen. */
const GArray *mappers_of_char(const Mappers *mappers, dev_t device);
const GArray *mappers_of_block(const Mappers *mappers, dev_t device);
const GArray *mappers_of_file(const Mappers *mappers);
/* Why there may be more than were seen; NULL: there are not. */
const char *mappers_gap(const Mappers *mappers);

/* Those of one device that count, and the gap: what is handed from thread to thread. */
typedef struct {
    GArray *found; /* Mapper, by pid */
    char *gap;     /* or NULL */
} MapperList;

/* From `found` (may be NULL) those with one of the uses. */
MapperList *mapper_list_new(const GArray *found, unsigned use, const char *gap);
void mapper_list_free(MapperList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MapperList, mapper_list_free)

/* Is it certain that nobody has it? */
static inline bool mapper_list_is_empty(const MapperList *list) {
    return list->found->len == 0 && !list->gap;
}

#define MAPPERS_EVERYBODY ((uid_t) -1)
/*
 * "process 812 (qemu-system-x86) has it mapped", with up to four of them and how many more there are; or why that is not
 * known. viewer: only this user's processes are named, others are "a process of another user"; MAPPERS_EVERYBODY: all
 * are.
 */
char *mapper_list_describe(const MapperList *list, uid_t viewer);
