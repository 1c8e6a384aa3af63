/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-find.h"

#include "daemon/bus-error.h"
#include "proto/error.h"

#include <string.h>

/* The regions and pools that a name without POOL/ may mean: how many, and the first one. matches: for the error
 * message. */
static guint find_by_name(const State *state, const char *name, sd_id128_t *ret_uuid, GString *matches) {
    const GPtrArray *pools = state_pools(state);
    guint n = 0;

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = pools->pdata[i];
        const Region *region = g_hash_table_lookup(pool->by_name, name);

        char uuid[PMEMD_UUID_STRING_MAX];

        if (g_strcmp0(pool->name, name) == 0) {
            if (n++ == 0)
                *ret_uuid = pool->sb.member_uuid;
            /* By what names it alone: the name is the question. */
            g_string_append_printf(matches, "%s %s (the pool)", n > 1 ? "," : "",
                                   pmemd_uuid_format(pool->sb.member_uuid, uuid));
        }
        if (region) {
            if (n++ == 0)
                *ret_uuid = region->uuid;
            g_string_append_printf(matches, "%s %s/%s", n > 1 ? "," : "",
                                   pool->name ?: pmemd_uuid_format(pool->sb.member_uuid, uuid), name);
        }
    }
    return n;
}

static bool find_in_pool(const State *state, const char *key, sd_id128_t *ret_uuid) {
    const char *slash = strchr(key, '/');
    g_autofree char *pool_key = g_strndup(key, (gsize) (slash - key));
    const Pool *pool = state_pool_by_key(state, pool_key);
    const Region *region = pool ? g_hash_table_lookup(pool->by_name, slash + 1) : NULL;

    if (region)
        *ret_uuid = region->uuid;
    return region != NULL;
}

static bool find_by_path(const State *state, const char *key, const Caller *viewer, sd_id128_t *ret_uuid) {
    Region *region = NULL;
    Pool *pool = NULL;

    /* Device paths are not for everyone (DevicePath is ""): nor is finding out by them. */
    if (!state_find_path(state, key, &region, &pool) ||
        !(region ? bus_view_shows_region(viewer, region) : bus_view_shows_pool(viewer, pool)))
        return false;
    *ret_uuid = region ? region->uuid : pool->sb.member_uuid;
    return true;
}

static bool find_by_uuid(const State *state, sd_id128_t uuid) {
    return state_region_by_uuid(state, uuid) || state_pool_by_uuid(state, uuid);
}

bool bus_find_region(const State *state, const char *key, const Caller *viewer, sd_id128_t *ret_uuid, GError **error) {
    sd_id128_t uuid;
    bool found;

    if (!bus_check_text("the key", key, error))
        return false;
    if (pmemd_uuid_parse(key, &uuid) || pmemd_region_path_parse(key, &uuid)) {
        found = find_by_uuid(state, uuid);
    } else if (key[0] == '/') {
        found = find_by_path(state, key, viewer, &uuid);
    } else if (strchr(key, '/')) {
        found = find_in_pool(state, key, &uuid);
    } else {
        g_autoptr(GString) matches = g_string_new(NULL);
        guint n = find_by_name(state, key, &uuid, matches);
        if (n > 1) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "'%s' is the name of %u regions; give one of:%s", key, n, matches->str);
            return false;
        }
        found = n == 1;
    }
    if (!found) {
        g_autofree char *quoted = bus_quote(key);
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
            "no region is '%s': give a uuid, a name, POOL/NAME or a device path, as ListMgmt and ListData show them",
            quoted);
        return false;
    }
    *ret_uuid = uuid;
    return true;
}
