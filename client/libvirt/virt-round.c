/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/virt-round.h"

#include <dirent.h>
#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/statvfs.h>

/* A pool that libvirt has. */
typedef struct {
    virStoragePoolPtr pool;
    char uuid[VIR_UUID_STRING_BUFLEN];
    char *target; /* NULL: not of type dir */
} Known;

static void known_free(Known *known) {
    virStoragePoolFree(known->pool);
    g_free(known->target);
    g_free(known);
}

static void round_pool_free(VirtRoundPool *pool) {
    g_free(pool->name);
    g_free(pool->directory);
    g_free(pool->problem);
    g_free(pool);
}

VirtRound *virt_round_new(const char *parent) {
    VirtRound *round = g_new0(VirtRound, 1);

    round->parent = g_strdup(parent);
    round->pools = g_ptr_array_new_with_free_func((GDestroyNotify) round_pool_free);
    return round;
}

void virt_round_free(VirtRound *round) {
    if (!round)
        return;
    g_ptr_array_unref(round->pools);
    g_free(round->parent);
    g_free(round);
}

VirtRoundPool *virt_round_add(VirtRound *round, const char *uuid, const char *name, const char *directory,
                              bool mounted) {
    VirtRoundPool *pool = g_new0(VirtRoundPool, 1);

    g_strlcpy(pool->uuid, uuid, sizeof pool->uuid);
    pool->name = g_strdup(name);
    pool->directory = g_strdup(directory);
    pool->mounted = mounted;
    pool->libvirt = "unreachable";
    g_ptr_array_add(round->pools, pool);
    return pool;
}

/* --- XML --- */

char *virt_round_pool_xml(const char *uuid, const char *name, const char *directory) {
    return g_markup_printf_escaped("<pool type='dir'>\n"
                                   "  <name>%s</name>\n"
                                   "  <uuid>%s</uuid>\n"
                                   "  <target>\n"
                                   "    <path>%s</path>\n"
                                   "    <permissions><mode>0711</mode><owner>0</owner><group>0</group></permissions>\n"
                                   "  </target>\n"
                                   "</pool>\n",
                                   name, uuid, directory);
}

typedef struct {
    bool dir;
    char *path;
} Target;

static void on_element(GMarkupParseContext *context, const char *name, const char **names, const char **values,
                       void *data, GError **error) {
    Target *target = data;

    if (strcmp(name, "pool") != 0)
        return;
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], "type") == 0)
            target->dir = strcmp(values[i], "dir") == 0;
}

/* Whether the text stands in <pool><target><path>. */
static bool in_target_path(GMarkupParseContext *context) {
    static const char *const wanted[] = { "path", "target", "pool" };
    const GSList *element = g_markup_parse_context_get_element_stack(context);

    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++, element = element->next)
        if (!element || strcmp(element->data, wanted[i]) != 0)
            return false;
    return element == NULL;
}

static void on_text(GMarkupParseContext *context, const char *text, gsize length, void *data, GError **error) {
    Target *target = data;

    if (!target->path && in_target_path(context))
        target->path = g_strndup(text, length);
}

char *virt_round_target(const char *xml) {
    static const GMarkupParser parser = { .start_element = on_element, .text = on_text };
    Target target = { 0 };

    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &target, NULL);
    bool ok = g_markup_parse_context_parse(context, xml, -1, NULL) && g_markup_parse_context_end_parse(context, NULL);
    g_markup_parse_context_free(context);
    if (ok && target.dir)
        return target.path;
    g_free(target.path);
    return NULL;
}

/* --- what libvirt has --- */

static GPtrArray *known_pools(virConnectPtr storage) {
    virStoragePoolPtr *pools = NULL;

    int n = virConnectListAllStoragePools(storage, &pools, 0);
    if (n < 0)
        return NULL;
    GPtrArray *known = g_ptr_array_new_with_free_func((GDestroyNotify) known_free);
    for (int i = 0; i < n; i++) {
        Known *one = g_new0(Known, 1);
        one->pool = pools[i];
        g_ptr_array_add(known, one);
        (void) virStoragePoolGetUUIDString(one->pool, one->uuid);
        char *xml = virStoragePoolGetXMLDesc(one->pool, 0);
        one->target = xml ? virt_round_target(xml) : NULL;
        free(xml); /* undefined meanwhile: it is none of ours */
    }
    free(pools);
    return known;
}

static Known *find_uuid(GPtrArray *known, const char *uuid) {
    for (guint i = 0; i < known->len; i++) {
        Known *one = known->pdata[i];
        if (strcmp(one->uuid, uuid) == 0)
            return one;
    }
    return NULL;
}

static Known *find_name(GPtrArray *known, const char *name) {
    for (guint i = 0; i < known->len; i++) {
        Known *one = known->pdata[i];
        if (strcmp(virStoragePoolGetName(one->pool), name) == 0)
            return one;
    }
    return NULL;
}

/* Of the shape that we define: over PARENT/NAME. */
static bool is_ours(const VirtRound *round, const Known *known) {
    g_autofree char *directory = g_build_filename(round->parent, virStoragePoolGetName(known->pool), NULL);
    return known->target && strcmp(known->target, directory) == 0;
}

static bool is_wanted(const VirtRound *round, const Known *known) {
    for (guint i = 0; i < round->pools->len; i++) {
        const VirtRoundPool *pool = round->pools->pdata[i];
        if (strcmp(pool->uuid, known->uuid) == 0 && g_strcmp0(pool->directory, known->target) == 0)
            return true;
    }
    return false;
}

/* Disabled, or renamed, maybe while libvirt was away. */
static void drop_others(const VirtRound *round, GPtrArray *known) {
    for (guint i = known->len; i > 0; i--) {
        const Known *one = known->pdata[i - 1];
        if (!is_ours(round, one) || is_wanted(round, one))
            continue;
        if (virStoragePoolIsActive(one->pool) > 0)
            (void) virStoragePoolDestroy(one->pool); /* undefining says what is wrong */
        if (virStoragePoolUndefine(one->pool) == 0)
            g_ptr_array_remove_index(known, i - 1);
    }
}

/* --- one pool --- */

static void set_libvirt_problem(VirtRoundPool *pool, const char *what) {
    const char *said = virGetLastErrorMessage();

    g_free(pool->problem);
    pool->problem = g_strdup_printf("libvirt cannot %s it: %s", what, said);
}

/* The names in the directory; NULL: it cannot be read. */
static GHashTable *read_names(const char *directory) {
    const struct dirent *entry;

    DIR *d = opendir(directory);
    if (!d)
        return NULL;
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while ((entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_hash_table_add(names, g_strdup(entry->d_name));
    closedir(d);
    return names;
}

static bool same_volumes(virStoragePoolPtr pool, GHashTable *names) {
    virStorageVolPtr *volumes = NULL;
    bool same;

    int n = virStoragePoolListAllVolumes(pool, &volumes, 0);
    same = n >= 0 && (guint) n == g_hash_table_size(names);
    for (int i = 0; i < n; i++) {
        same = same && g_hash_table_contains(names, virStorageVolGetName(volumes[i]));
        virStorageVolFree(volumes[i]);
    }
    free(volumes);
    return same;
}

/* Whether libvirt remembers what is there: it looks only when it is told to, or has made a change itself. */
static bool is_fresh(virStoragePoolPtr pool, const char *directory) {
    virStoragePoolInfo info;
    struct statvfs fs;

    g_autoptr(GHashTable) names = read_names(directory);
    return names && statvfs(directory, &fs) == 0 && virStoragePoolGetInfo(pool, &info) == 0 &&
           info.available == (unsigned long long) fs.f_bfree * fs.f_frsize &&
           info.capacity == (unsigned long long) fs.f_blocks * fs.f_frsize && same_volumes(pool, names);
}

static bool start(VirtRoundPool *pool, virStoragePoolPtr p) {
    if (virStoragePoolCreate(p, 0) == 0)
        return true;
    if (virStoragePoolIsActive(p) > 0)
        return true; /* somebody else was faster */
    set_libvirt_problem(pool, "start");
    return false;
}

static bool refresh(VirtRoundPool *pool, virStoragePoolPtr p) {
    if (is_fresh(p, pool->directory) || virStoragePoolRefresh(p, 0) == 0)
        return true;
    /* A volume is being made just now; or the directory could not be read, which stops the pool. */
    pool->again = true;
    return virStoragePoolIsActive(p) > 0 || start(pool, p);
}

static void stop(VirtRoundPool *pool, virStoragePoolPtr p) {
    if (virStoragePoolIsActive(p) > 0 && virStoragePoolDestroy(p) < 0)
        set_libvirt_problem(pool, "stop");
    pool->libvirt = virStoragePoolIsActive(p) > 0 ? "active" : "inactive";
}

static void settle_defined(VirtRoundPool *pool, virStoragePoolPtr p) {
    int autostart = 0;

    if (virStoragePoolGetAutostart(p, &autostart) == 0 && !autostart && virStoragePoolSetAutostart(p, 1) < 0)
        set_libvirt_problem(pool, "mark for autostart");
    if (!pool->mounted) {
        stop(pool, p);
        return;
    }
    bool active = virStoragePoolIsActive(p) > 0 ? refresh(pool, p) : start(pool, p);
    pool->libvirt = active ? "active" : "inactive";
}

static void set_foreign(VirtRoundPool *pool, const Known *known) {
    pool->foreign = true;
    pool->problem = g_strdup_printf(
        "libvirt has another pool in its place: name %s, uuid %s, target %s; it is not touched: undefine or rename "
        "that, or rename the pool with 'pmemctl rename'",
        virStoragePoolGetName(known->pool), known->uuid, known->target ? known->target : "other");
}

static void settle(VirtRoundPool *pool, virConnectPtr storage, GPtrArray *known) {
    const Known *named = find_name(known, pool->name);
    const Known *mine = find_uuid(known, pool->uuid);

    pool->libvirt = "absent";
    if (named && named != mine)
        set_foreign(pool, named);
    else if (mine && (named != mine || g_strcmp0(mine->target, pool->directory) != 0))
        set_foreign(pool, mine);
    else if (mine)
        settle_defined(pool, mine->pool);
    else {
        g_autofree char *xml = virt_round_pool_xml(pool->uuid, pool->name, pool->directory);
        virStoragePoolPtr p = virStoragePoolDefineXML(storage, xml, 0);
        if (!p) {
            set_libvirt_problem(pool, "define");
            return;
        }
        settle_defined(pool, p);
        virStoragePoolFree(p);
    }
}

void virt_round_run(VirtRound *round, virConnectPtr storage) {
    if (!storage)
        return;
    g_autoptr(GPtrArray) known = known_pools(storage);
    if (!known)
        return;
    drop_others(round, known);
    for (guint i = 0; i < round->pools->len; i++)
        settle(round->pools->pdata[i], storage, known);
}
