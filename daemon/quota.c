/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/quota.h"

#include "daemon/account.h"

#define NUMBER_MAX 11 /* bytes of a decimal uid and its 0 */

struct QuotaTable {
    bool has_default;
    uint64_t default_bytes;
    GHashTable *users, *groups; /* name or decimal number -> uint64_t * */
};

static void table_clear(void *data) {
    QuotaTable *table = data;

    g_hash_table_unref(table->users);
    g_hash_table_unref(table->groups);
}

QuotaTable *quota_table_new(void) {
    QuotaTable *table = g_atomic_rc_box_new0(QuotaTable);

    table->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    table->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return table;
}

QuotaTable *quota_table_ref(const QuotaTable *table) {
    return g_atomic_rc_box_acquire((QuotaTable *) table);
}

void quota_table_unref(QuotaTable *table) {
    if (table)
        g_atomic_rc_box_release_full(table, table_clear);
}

void quota_table_set(QuotaTable *table, QuotaKind kind, const char *name, uint64_t bytes) {
    if (kind == QUOTA_DEFAULT) {
        table->has_default = true;
        table->default_bytes = bytes;
    } else {
        g_hash_table_insert(kind == QUOTA_USER ? table->users : table->groups, g_strdup(name),
                            g_memdup2(&bytes, sizeof bytes));
    }
}

static void set_limit(QuotaLimit *limit, uint64_t bytes, const char *kind, const char *name) {
    *limit = (QuotaLimit){ .limited = bytes != QUOTA_UNLIMITED, .bytes = bytes };
    g_strlcpy(limit->source, kind, sizeof limit->source);
    g_strlcat(limit->source, name, sizeof limit->source);
}

void quota_table_choose(const QuotaTable *table, uint32_t uid, const char *user, const char *const *groups,
                        QuotaLimit *ret_limit) {
    const uint64_t *best = NULL;
    const char *best_group = NULL;
    char number[NUMBER_MAX];

    *ret_limit = (QuotaLimit){ .limited = false };
    if (uid == 0)
        return;
    g_snprintf(number, sizeof number, "%" G_GUINT32_FORMAT, uid);
    const uint64_t *own = user ? g_hash_table_lookup(table->users, user) : NULL;
    if (own) {
        set_limit(ret_limit, *own, "user ", user);
        return;
    }
    own = g_hash_table_lookup(table->users, number);
    if (own) {
        set_limit(ret_limit, *own, "user ", number);
        return;
    }
    for (; groups && *groups; groups++) {
        const uint64_t *bytes = g_hash_table_lookup(table->groups, *groups);

        if (bytes && (!best || *bytes > *best)) {
            best = bytes;
            best_group = *groups;
        }
    }
    if (best)
        set_limit(ret_limit, *best, "group ", best_group);
    else if (table->has_default)
        set_limit(ret_limit, table->default_bytes, "default", "");
}

/* --- the host's users and groups --- */

bool quota_name_is_known(QuotaKind kind, const char *name) {
    gid_t gid;

    return kind == QUOTA_DEFAULT || (kind == QUOTA_USER ? account_has_user(name) : account_find_group(name, &gid));
}

/* Those of the table's groups that the user is in. */
static GPtrArray *own_groups(const QuotaTable *table, const char *user, gid_t primary) {
    g_autoptr(GArray) gids = account_gids(user, primary);
    GPtrArray *names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, table->groups);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        bool in = false;
        gid_t gid;

        if (!account_find_group(name, &gid))
            continue;
        for (guint i = 0; i < gids->len && !in; i++)
            in = g_array_index(gids, gid_t, i) == gid;
        if (in)
            g_ptr_array_add(names, name);
    }
    g_ptr_array_add(names, NULL);
    return names;
}

/* The question, which may outlive whoever asked: the table is never changed once it is used. */
typedef struct {
    QuotaTable *table;
    uint32_t uid;
    QuotaLimit limit;
} Find;

static void find_free(void *data) {
    Find *find = data;

    quota_table_unref(find->table);
    g_free(find);
}

static void find_run(void *data) {
    Find *find = data;
    const QuotaTable *table = find->table;
    g_autoptr(GPtrArray) groups = NULL;
    g_autofree char *user = NULL;
    gid_t primary;

    if (account_find_user(find->uid, &user, &primary) && g_hash_table_size(table->groups) > 0)
        groups = own_groups(table, user, primary);
    quota_table_choose(table, find->uid, user, groups ? (const char *const *) groups->pdata : NULL, &find->limit);
}

void quota_table_find(const QuotaTable *table, Patience *patience, uint32_t uid, QuotaLimit *ret_limit) {
    if (uid == 0 || g_hash_table_size(table->users) + g_hash_table_size(table->groups) == 0) {
        quota_table_choose(table, uid, NULL, NULL, ret_limit);
        return;
    }

    Find *find = g_new(Find, 1);
    *find = (Find){ .table = quota_table_ref(table), .uid = uid };
    if (!patience_run(patience, find_run, find, find_free)) {
        /* Nothing rather than without a limit. */
        set_limit(ret_limit, 0, QUOTA_NOT_KNOWN, "");
        return;
    }
    *ret_limit = find->limit;
    find_free(find);
}
