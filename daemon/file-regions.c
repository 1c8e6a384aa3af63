/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-regions.h"

#include "daemon/number.h"
#include "proto/error.h"

#include <string.h>

#define DEFAULT_STEP (UINT64_C(2) << 20)
#define BYTES_LIMIT (PMEMD_FRAME_LIMIT << PMEMD_FRAME_SHIFT)
#define NODE_MAX 65535

static const char *const medium_names[] = { "auto", "mapped", "file" };
G_STATIC_ASSERT(G_N_ELEMENTS(medium_names) == N_FILE_REGION_MEDIA);

void file_region_free(FileRegion *region) {
    if (!region)
        return;
    g_free(region->name);
    g_free(region);
}

/* One group while it is read. */
typedef struct {
    GKeyFile *file;
    const char *path;
    const char *name;
} Group;

/* Says what is wrong with a value; always false. */
static bool refuse(const Group *g, const char *key, const char *value, const char *allowed, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [%s] %s=%s: must be %s", g->path, g->name, key,
                value ? value : "", allowed);
    return false;
}

/* The value of a key, NULL when it is not there or not UTF-8. */
static char *group_value(const Group *g, const char *key) {
    g_autofree char *value = g_key_file_get_string(g->file, g->name, key, NULL);

    return value ? g_strdup(g_strstrip(value)) : NULL;
}

static bool group_bytes(const Group *g, const char *key, uint64_t least, uint64_t otherwise, uint64_t *ret_bytes,
                        GError **error) {
    uint64_t bytes = otherwise;

    if (g_key_file_has_key(g->file, g->name, key, NULL)) {
        g_autofree char *value = group_value(g, key);
        g_autofree char *allowed = g_strdup_printf(
            "a number of bytes such as 4G, 512M or 0x1000, a multiple of 4096, from %" G_GUINT64_FORMAT " to 4096T",
            least);

        if (!value || !number_parse_bytes(value, &bytes) || bytes % PMEMD_FRAME_SIZE != 0 || bytes < least ||
            bytes > BYTES_LIMIT)
            return refuse(g, key, value, allowed, error);
    }
    *ret_bytes = bytes;
    return true;
}

static bool group_node(const Group *g, const char *key, int otherwise, int *ret_node, GError **error) {
    int node = otherwise;

    if (g_key_file_has_key(g->file, g->name, key, NULL)) {
        g_autofree char *value = group_value(g, key);
        uint64_t number;

        if (!value || !number_parse(value, &number) || number > NODE_MAX)
            return refuse(g, key, value, "a node number from 0 to 65535", error);
        node = (int) number;
    }
    *ret_node = node;
    return true;
}

static bool group_start(const Group *g, uint64_t *ret_start, GError **error) {
    g_autofree char *value = group_value(g, "StartFrame");

    if (!value || !number_parse(value, ret_start) || *ret_start >= PMEMD_FRAME_LIMIT)
        return refuse(g, "StartFrame", value, "there, the first frame's number such as 0x480000, below 0x10000000000",
                      error);
    return true;
}

static bool group_medium(const Group *g, FileRegionMedium *ret_medium, GError **error) {
    g_autofree char *value = group_value(g, "Medium");

    if (!g_key_file_has_key(g->file, g->name, "Medium", NULL)) {
        *ret_medium = FILE_REGION_MEDIUM_AUTO;
        return true;
    }
    for (int i = 0; value && i < N_FILE_REGION_MEDIA; i++)
        if (strcmp(value, medium_names[i]) == 0) {
            *ret_medium = (FileRegionMedium) i;
            return true;
        }
    return refuse(g, "Medium", value, "auto, mapped or file", error);
}

static bool group_zeroed(const Group *g, bool *ret_zeroed, GError **error) {
    g_autofree char *value = group_value(g, "Zeroed");
    bool has = g_key_file_has_key(g->file, g->name, "Zeroed", NULL);

    if (has && g_strcmp0(value, "yes") != 0 && g_strcmp0(value, "no") != 0)
        return refuse(g, "Zeroed", value, "yes or no", error);
    *ret_zeroed = !has || g_strcmp0(value, "yes") == 0;
    return true;
}

bool file_regions_check_keys(GKeyFile *file, const char *path, const char *group, const char *known, GError **error) {
    g_auto(GStrv) allowed = g_strsplit(known, ", ", -1);
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

    for (int i = 0; keys && keys[i]; i++)
        if (!g_strv_contains((const char *const *) allowed, keys[i])) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [%s] %s: unknown key; allowed: %s", path,
                        group, keys[i], known);
            return false;
        }
    return true;
}

static bool group_keys_known(const Group *g, GError **error) {
    return file_regions_check_keys(g->file, g->path, g->name,
                                   "StartFrame, Bytes, Node, LocalNode, Alignment, Lead, Medium, Zeroed", error);
}

static sd_id128_t region_cookie(const char *name, uint64_t start) {
    g_autofree char *text = g_strdup_printf("pmemd file region %s at 0x%" G_GINT64_MODIFIER "x", name, start);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize len = sizeof digest;
    sd_id128_t cookie = SD_ID128_NULL;

    g_checksum_update(sum, (const guchar *) text, -1);
    g_checksum_get_digest(sum, digest, &len);
    memcpy(cookie.bytes, digest, sizeof cookie.bytes);
    return cookie;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileRegion, file_region_free)

static FileRegion *region_parse(const Group *g, GError **error) {
    g_autoptr(FileRegion) region = g_new0(FileRegion, 1);
    uint64_t bytes, lead;

    if (!pmemd_name_is_valid(g->name)) {
        g_autofree char *shown = g_strescape(g->name, NULL);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s]: a region's name is 1 to 63 of A-Z a-z 0-9 _ . - and starts with a letter or digit",
                    g->path, shown);
        return NULL;
    }
    if (!group_keys_known(g, error) || !group_start(g, &region->range.start, error))
        return NULL;
    if (!g_key_file_has_key(g->file, g->name, "Bytes", NULL)) {
        refuse(g, "Bytes", NULL, "there, the region's length such as 4G", error);
        return NULL;
    }
    if (!group_bytes(g, "Bytes", PMEMD_FRAME_SIZE, 0, &bytes, error) ||
        !group_bytes(g, "Alignment", PMEMD_FRAME_SIZE, DEFAULT_STEP, &region->step, error) ||
        !group_bytes(g, "Lead", 0, 0, &lead, error) || !group_node(g, "Node", 0, &region->node, error) ||
        !group_node(g, "LocalNode", region->node, &region->local_node, error) ||
        !group_medium(g, &region->medium, error) || !group_zeroed(g, &region->zeroed, error))
        return NULL;

    /* None of these can wrap: each term is at most 2^52. */
    region->minimum = (lead + region->step + region->step - 1) / region->step * region->step;
    if (bytes % region->step != 0 || bytes < region->minimum) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s] Bytes=%" G_GUINT64_FORMAT ": must be a multiple of Alignment=%" G_GUINT64_FORMAT
                    " and at least %" G_GUINT64_FORMAT " (one device with Lead=%" G_GUINT64_FORMAT ")",
                    g->path, g->name, bytes, region->step, region->minimum, lead);
        return NULL;
    }
    if (bytes >> PMEMD_FRAME_SHIFT > PMEMD_FRAME_LIMIT - region->range.start) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s] Bytes=%" G_GUINT64_FORMAT ": from StartFrame=0x%" G_GINT64_MODIFIER
                    "x it passes the 52-bit physical address limit; at most %" G_GUINT64_FORMAT " bytes fit",
                    g->path, g->name, bytes, region->range.start,
                    (PMEMD_FRAME_LIMIT - region->range.start) << PMEMD_FRAME_SHIFT);
        return NULL;
    }
    region->range.end = region->range.start + (bytes >> PMEMD_FRAME_SHIFT);
    region->lead = lead >> PMEMD_FRAME_SHIFT;
    region->name = g_strdup(g->name);
    region->cookie = region_cookie(region->name, region->range.start);
    return g_steal_pointer(&region);
}

/* GKeyFile merges groups of one name and keeps the last of two values: both are mistakes that must not pass. */
static bool refuse_duplicates(const char *text, const char *path, GError **error) {
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *group = "";

    for (int i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        char *end = line[0] == '[' ? strchr(line, ']') : strchr(line, '=');
        g_autofree char *id = NULL;

        if (line[0] == '#' || !end)
            continue;
        *end = '\0';
        if (line[0] == '[')
            group = line + 1;
        else
            g_strchomp(line);
        id = line[0] == '[' ? g_strdup_printf("[%s]", group) : g_strdup_printf("[%s] %s", group, line);
        if (!g_hash_table_add(seen, g_strdup(id))) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: line %d: %s is there twice; keep one",
                        path, i + 1, id);
            return false;
        }
    }
    return true;
}

static int compare_start(gconstpointer a, gconstpointer b) {
    const FileRegion *x = *(FileRegion *const *) a, *y = *(FileRegion *const *) b;

    return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

static bool refuse_overlaps(GPtrArray *regions, const char *path, GError **error) {
    for (guint i = 1; i < regions->len; i++) {
        const FileRegion *a = regions->pdata[i - 1], *b = regions->pdata[i];

        if (!frame_range_overlaps(a->range, b->range))
            continue;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s] StartFrame=0x%" G_GINT64_MODIFIER
                    "x: lies in [%s], which has the frames 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER
                    "x; raw regions must not overlap",
                    path, b->name, b->range.start, a->name, a->range.start, a->range.end);
        return false;
    }
    return true;
}

GPtrArray *file_regions_parse(const char *text, const char *path, GError **error) {
    g_autoptr(GPtrArray) regions = g_ptr_array_new_with_free_func((GDestroyNotify) file_region_free);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) syntax = NULL;

    if (!g_key_file_load_from_data(file, text, (gsize) -1, G_KEY_FILE_KEEP_TRANSLATIONS, &syntax)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: %s", path, syntax->message);
        return NULL;
    }
    if (!refuse_duplicates(text, path, error))
        return NULL;

    g_auto(GStrv) names = g_key_file_get_groups(file, NULL);
    for (int i = 0; names[i]; i++) {
        FileRegion *region = region_parse(&(Group){ .file = file, .path = path, .name = names[i] }, error);

        if (!region)
            return NULL;
        g_ptr_array_add(regions, region);
    }
    if (regions->len == 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: has no region; add a group such as [region0] with StartFrame= and Bytes=", path);
        return NULL;
    }
    g_ptr_array_sort(regions, compare_start);
    return refuse_overlaps(regions, path, error) ? g_steal_pointer(&regions) : NULL;
}

const FileRegion *file_regions_find(GPtrArray *regions, const char *name) {
    for (guint i = 0; i < regions->len; i++) {
        const FileRegion *region = regions->pdata[i];

        if (strcmp(region->name, name) == 0)
            return region;
    }
    return NULL;
}
