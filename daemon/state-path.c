/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The device paths of data regions, and finding a region by one. Of a path that holds the device's uuid, as the files
 * of a folder do, only what is around the uuid is kept, once for all regions that have it in common.
 */
#include "daemon/state-internal.h"

#include <string.h>

#define UUID_LENGTH ((size_t) PMEMD_UUID_STRING_MAX - 1)

/* The last uuid in path as pmemd_uuid_format() writes it. */
static bool find_uuid(const char *path, sd_id128_t *ret_uuid, size_t *ret_at) {
    size_t len = strlen(path);
    char text[PMEMD_UUID_STRING_MAX], canonical[PMEMD_UUID_STRING_MAX];
    sd_id128_t uuid;

    for (size_t left = len < UUID_LENGTH ? 0 : len - UUID_LENGTH + 1; left > 0; left--) {
        const char *at = path + left - 1;

        if (at[8] != '-') /* spares the rest for most places */
            continue;
        memcpy(text, at, UUID_LENGTH);
        text[UUID_LENGTH] = '\0';
        if (!pmemd_uuid_parse(text, &uuid) || strcmp(pmemd_uuid_format(uuid, canonical), text) != 0)
            continue;
        *ret_uuid = uuid;
        *ret_at = left - 1;
        return true;
    }
    return false;
}

/* Sets path and path_uuid_at of a region without path; its device_uuid is set. around: the uuid may be left out. */
static void keep_path(Region *region, const char *path, bool around) {
    sd_id128_t uuid;
    size_t at;

    region->path_uuid_at = STATE_PATH_WHOLE;
    if (around && find_uuid(path, &uuid, &at) && at < STATE_PATH_WHOLE && sd_id128_equal(uuid, region->device_uuid)) {
        g_autofree char *text = g_strdup_printf("%.*s%s", (int) at, path, path + at + UUID_LENGTH);

        region->path_uuid_at = (uint16_t) at;
        region->path_kept = g_ref_string_new_intern(text);
    } else {
        region->path_kept = g_ref_string_new(path);
    }
}

guint state_path_hash(gconstpointer p) {
    const Region *region = p;

    return region->path_uuid_at == STATE_PATH_WHOLE ? g_str_hash(region->path_kept)
                                                    : pmemd_uuid_hash(&region->device_uuid);
}

gboolean state_path_equal(gconstpointer a, gconstpointer b) {
    const Region *x = a, *y = b;

    return x->path_uuid_at == y->path_uuid_at &&
           (x->path_uuid_at == STATE_PATH_WHOLE || sd_id128_equal(x->device_uuid, y->device_uuid)) &&
           strcmp(x->path_kept, y->path_kept) == 0;
}

void region_set_path(Region *region, const char *path) {
    GHashTable *by_path = region->pool->by_path;

    /* While a new listing is taken in, two may have one path: the later one has it, the other's is about to change. */
    if (region->path_kept && g_hash_table_lookup(by_path, region) == region)
        g_hash_table_remove(by_path, region);
    g_clear_pointer(&region->path_kept, g_ref_string_release);
    if (!path)
        return;
    keep_path(region, path, true);
    g_hash_table_add(by_path, region);
}

const char *region_path(const Region *region) {
    char uuid[PMEMD_UUID_STRING_MAX];
    GString *text = region->pool->path_text;

    if (!region->path_kept || region->path_uuid_at == STATE_PATH_WHOLE)
        return region->path_kept;
    g_string_truncate(text, 0);
    g_string_append_len(text, region->path_kept, region->path_uuid_at);
    g_string_append(text, pmemd_uuid_format(region->device_uuid, uuid));
    g_string_append(text, region->path_kept + region->path_uuid_at);
    return text->str;
}

static Region *find_in_pools(const State *state, const Region *key) {
    for (guint i = 0; i < state->pools->len; i++) {
        const Pool *pool = g_ptr_array_index(state->pools, i);
        Region *region = g_hash_table_lookup(pool->by_path, key);

        if (region)
            return region;
    }
    return NULL;
}

bool state_find_path(const State *state, const char *path, Region **ret_region, Pool **ret_pool) {
    Region *region = NULL;
    size_t at;

    for (guint i = 0; i < state->pools->len; i++) {
        Pool *pool = g_ptr_array_index(state->pools, i);

        if (pool->path && strcmp(pool->path, path) == 0) {
            *ret_pool = pool;
            *ret_region = NULL;
            return true;
        }
    }
    for (int around = 1; around >= 0 && !region; around--) {
        Region key = { 0 };

        if (around && !find_uuid(path, &key.device_uuid, &at))
            continue;
        keep_path(&key, path, around);
        region = find_in_pools(state, &key);
        g_ref_string_release(key.path_kept);
    }
    if (!region)
        return false;
    *ret_region = region;
    *ret_pool = NULL;
    return true;
}
