/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * How many bytes of data regions a user may own. Promises: a user's own quota goes before those of its groups, of which
 * the largest counts, and those before the default; root has none. Names are looked up when they are needed, so that a
 * user who appears later has its quota. Used by config (fills it) and the bus (asks it, for the rules to decide).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/patience.h"

#define QUOTA_NAME_MAX 32u /* bytes of a user's or group's name */
#define QUOTA_UNLIMITED UINT64_MAX

typedef enum {
    QUOTA_DEFAULT,
    QUOTA_USER,
    QUOTA_GROUP,
} QuotaKind;

typedef struct QuotaTable QuotaTable;

/* What counts for one user. All zero: no limit. */
typedef struct {
    bool limited;
    uint64_t bytes;
    char source[QUOTA_NAME_MAX + 16]; /* "user alice", "group vms", "default" */
} QuotaLimit;

QuotaTable *quota_table_new(void);
QuotaTable *quota_table_ref(const QuotaTable *table);
void quota_table_unref(QuotaTable *table);

/* name: a name or a decimal uid or gid; of QUOTA_DEFAULT: "". A later one of the same kind and name counts. */
void quota_table_set(QuotaTable *table, QuotaKind kind, const char *name, uint64_t bytes);

/* The decision alone. user: NULL: uid has no name. groups: names and decimal gids of all groups it is in, or NULL. */
void quota_table_choose(const QuotaTable *table, uint32_t uid, const char *user, const char *const *groups,
                        QuotaLimit *ret_limit);
/* What a quota of 0 bytes is from while the host's name services do not answer. */
#define QUOTA_NOT_KNOWN "none known: name services"

/* The same for a uid whose names and groups the host knows. May ask the name services, with patience (NULL: without end);
 * not when the table has no entry but the default. */
void quota_table_find(const QuotaTable *table, Patience *patience, uint32_t uid, QuotaLimit *ret_limit);

/* Does the host know a user or group of this name or number now? May block. */
bool quota_name_is_known(QuotaKind kind, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QuotaTable, quota_table_unref)
