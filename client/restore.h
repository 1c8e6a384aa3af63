/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What it takes to make a host's pools again from a Backup: on the same hardware at the same frames, on other hardware as
 * near to it as can be. It decides and does nothing; pmemd decides again when it is asked.
 * Promises: nothing that is there is in the way of the plan's places, nor are they of each other; each region that is not
 * planned has a note that says why. What a plan made is "there" to the next plan from the same backup, so that nothing is
 * made twice. Pure; used by `pmemctl import`.
 */
#pragma once

#include "client/backup.h"

/* The name of a user of this host; NULL: there is none. Free: g_free. */
typedef char *(*RestoreUserFunc)(uint32_t uid);

/* What is there now. Its owner keeps it for as long as the plan. */
typedef struct {
    const char *machine_id;
    GPtrArray *raws;         /* PmemdRaw * */
    GPtrArray *cookies;      /* char *, of raws */
    GPtrArray *mgmt;         /* PmemdMgmt * */
    GPtrArray *data;         /* PmemdData * */
    GPtrArray *foreign;      /* PmemdForeign * */
    RestoreUserFunc user_of; /* NULL: users of the host are not known here */
} RestorePresent;

/* What becomes of a raw region of the backup. */
typedef struct {
    const BackupRaw *was;
    const PmemdRaw *now; /* NULL: none stands for it */
    const char *by;      /* "map", "cookie", "place", "node"; "" : none */
} RestoreRaw;

typedef enum {
    RESTORE_THERE,      /* nothing is to be done but what owner says */
    RESTORE_SAME,       /* at the same frames */
    RESTORE_MOVED,      /* elsewhere */
    RESTORE_IMPOSSIBLE, /* see note */
    RESTORE_FAILED,     /* pmemd refused it: not the plan's, but of who does it */
} RestoreResult;

typedef struct RestoreItem RestoreItem;

/* A region of the backup; texts are its own or static. */
struct RestoreItem {
    const BackupPool *pool;
    const RestoreItem *home; /* that of its pool */
    const BackupData *data;  /* NULL: the management region */
    const char *kind;        /* "mgmt", "data"; static */
    char *pool_name;         /* of a data region: its pool's name, or its uuid */
    char *uuid, *name;       /* those of the backup */
    PmemdRange was;
    uint64_t bytes;
    RestoreResult result;
    const char *verdict; /* "there", "same", "moved", "impossible", "failed"; static */
    PmemdRange now;      /* where it is or will be; empty: nowhere */
    PmemdRange extent;   /* of a data region that is to be made */
    char *now_uuid;      /* of the region that is there; "": none yet */
    uint32_t owner_uid;
    char *owner;    /* whose it will be */
    bool set_owner; /* to owner_uid, once it is there */
    char *note;     /* for people: why; "": nothing to say */
};

typedef struct {
    bool same_machine; /* uids of the backup mean something */
    GPtrArray *raws;   /* RestoreRaw * */
    GPtrArray *items;  /* RestoreItem *: each pool, and after it its data regions */
} Restore;

/* map: "OLD=NEW,...", ids of raw regions; NULL: none. Errors (of PARSE_ERROR, USAGE): the map. Free: restore_free. */
Restore *restore_plan(const Backup *backup, const RestorePresent *present, const char *map, GError **error);
void restore_free(Restore *restore); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Restore, restore_free)

/* Changes the item's result, its verdict and its note (copied). */
void restore_item_set(RestoreItem *item, RestoreResult result, const char *note);
/* A request-id that is the same for the same item and place; attempt: another one for each. text: 37 bytes. */
void restore_item_request_id(const RestoreItem *item, unsigned attempt, char *text);
