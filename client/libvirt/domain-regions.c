/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-regions.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* What a path leads to. */
typedef struct {
    bool is_device;
    dev_t device; /* a character device's own, or where a file is */
    ino_t inode;  /* 0: of a device */
} Target;

typedef struct {
    DomainRegion region;
    bool looked, found; /* at target */
    Target target;
} Row;

struct DomainRegions {
    GPtrArray *rows;     /* Row * */
    GHashTable *by_uuid; /* uuid -> Row *, both the rows' */
    GHashTable *by_link; /* uuid of the link that is its path -> Row * */
    GHashTable *by_path; /* path -> Row *, both the rows' */
};

static void row_free(void *data) {
    Row *row = data;

    g_free(row->region.uuid);
    g_free(row->region.pool);
    g_free(row->region.name);
    g_free(row->region.path);
    g_free(row);
}

DomainRegions *domain_regions_new(void) {
    DomainRegions *regions = g_new0(DomainRegions, 1);

    regions->rows = g_ptr_array_new_with_free_func(row_free);
    regions->by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
    regions->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    regions->by_link = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return regions;
}

void domain_regions_free(DomainRegions *regions) {
    if (!regions)
        return;
    g_hash_table_unref(regions->by_uuid);
    g_hash_table_unref(regions->by_link);
    g_hash_table_unref(regions->by_path);
    g_ptr_array_unref(regions->rows);
    g_free(regions);
}

/* What follows the folder; NULL: it is not in it. */
static const char *in_folder(const char *path, const char *folder) {
    size_t length = strlen(folder);

    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

void domain_regions_add(DomainRegions *regions, const char *uuid, const char *pool, const char *name,
                        const char *path) {
    Row *row = g_new0(Row, 1);

    row->region.uuid = g_ascii_strdown(uuid, -1);
    row->region.pool = g_strdup(pool);
    row->region.name = g_strdup(name[0] != '\0' ? name : row->region.uuid);
    row->region.path = g_strdup(path);
    g_ptr_array_add(regions->rows, row);
    g_hash_table_insert(regions->by_uuid, row->region.uuid, row);
    if (path[0] == '/')
        g_hash_table_insert(regions->by_path, row->region.path, row);
    /* The link's uuid is the device's, which need not be the region's. */
    const char *link = in_folder(path, DOMAIN_REGIONS_LINKS "/by-uuid");
    if (link)
        g_hash_table_insert(regions->by_link, g_ascii_strdown(link, -1), row);
}

const DomainRegion *domain_regions_by_uuid(const DomainRegions *regions, const char *uuid) {
    const Row *row = g_hash_table_lookup(regions->by_uuid, uuid);

    return row ? &row->region : NULL;
}

char *domain_region_path(const char *uuid, char buf[static PMEMD_PATH_MAX]) {
    sd_id128_t id = SD_ID128_NULL;

    (void) pmemd_uuid_parse(uuid, &id);
    return pmemd_region_path(id, buf);
}

/* --- by what it leads to --- */

static bool look(const char *path, Target *ret_target) {
    struct stat st;

    if (stat(path, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISREG(st.st_mode)))
        return false;
    *ret_target = S_ISCHR(st.st_mode) ? (Target){ .is_device = true, .device = st.st_rdev }
                                      : (Target){ .device = st.st_dev, .inode = st.st_ino };
    return true;
}

static bool target_equal(const Target *a, const Target *b) {
    return a->is_device == b->is_device && a->device == b->device && a->inode == b->inode;
}

bool domain_path_is_same(const char *a, const char *b) {
    Target target_a, target_b;

    return look(a, &target_a) && look(b, &target_b) && target_equal(&target_a, &target_b);
}

static const DomainRegion *find_target(DomainRegions *regions, const Target *target) {
    for (guint i = 0; i < regions->rows->len; i++) {
        Row *row = g_ptr_array_index(regions->rows, i);

        if (!row->looked) {
            row->looked = true;
            row->found = row->region.path[0] == '/' && look(row->region.path, &row->target);
        }
        if (row->found && target_equal(&row->target, target))
            return &row->region;
    }
    return NULL;
}

/* Of what else there is under /dev nothing is for guests. */
static bool is_dax(const Target *target) {
    g_autofree char *link =
        g_strdup_printf("/sys/dev/char/%u:%u/subsystem", major(target->device), minor(target->device));
    g_autofree char *subsystem = g_file_read_link(link, NULL);

    return target->is_device && subsystem && g_str_has_suffix(subsystem, "/dax");
}

/* --- by its name --- */

/* Without "//", "." and "..". The caller's. */
static char *plain_path(const char *path) {
    return g_canonicalize_filename(path + strspn(path, "/"), "/");
}

static const DomainRegion *find_name(const DomainRegions *regions, const char *name) {
    const char *slash = strchr(name, '/');
    const char *in_uuids = in_folder(name, "by-uuid");

    if (in_uuids) {
        g_autofree char *uuid = g_ascii_strdown(in_uuids, -1);
        const Row *by_path = g_hash_table_lookup(regions->by_link, uuid);
        return by_path ? &by_path->region : domain_regions_by_uuid(regions, uuid);
    }
    if (!slash)
        return NULL;
    for (guint i = 0; i < regions->rows->len; i++) {
        const Row *row = g_ptr_array_index(regions->rows, i);

        if (strlen(row->region.pool) == (size_t) (slash - name) &&
            strncmp(row->region.pool, name, (size_t) (slash - name)) == 0 && strcmp(row->region.name, slash + 1) == 0)
            return &row->region;
    }
    return NULL;
}

DomainPathKind domain_regions_find(DomainRegions *regions, const DomainPath *path, const DomainRegion **ret_region) {
    g_autofree char *plain = plain_path(path->path);
    const char *name = in_folder(plain, DOMAIN_REGIONS_LINKS);
    /* Also where there is nothing any more. */
    const Row *same = g_hash_table_lookup(regions->by_path, plain);
    const DomainRegion *found = same ? &same->region : name ? find_name(regions, name) : NULL;
    Target target;

    if (in_folder(plain, DOMAIN_REGIONS_POOLS))
        return DOMAIN_PATH_VOLUME;
    if (!found && (path->memory || in_folder(plain, "/dev")) && look(path->path, &target))
        found = find_target(regions, &target);
    if (!found)
        return name ? DOMAIN_PATH_NO_REGION : DOMAIN_PATH_OTHER;
    *ret_region = found;
    return DOMAIN_PATH_REGION;
}

bool domain_path_may_be_region(const DomainPath *path) {
    g_autofree char *plain = plain_path(path->path);
    Target target;

    if (in_folder(plain, DOMAIN_REGIONS_LINKS) || in_folder(plain, DOMAIN_REGIONS_POOLS))
        return true;
    if (!path->memory && !in_folder(plain, "/dev"))
        return false;
    return look(path->path, &target) && (path->memory ? !target.is_device || is_dax(&target) : is_dax(&target));
}
