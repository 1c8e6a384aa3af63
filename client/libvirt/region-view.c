/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Views: one block of texts, one array of pools, one array of volumes a pool; by name and by uuid through hash tables that are
 * filled once.
 */
#include "client/libvirt/region-view.h"

#include "proto/nvdimm.h"
#include "proto/types.h"

#include <string.h>

#define NAMED_PREFIX "/dev/pmemd/"

typedef struct {
    RegionViewPool *pool;
    GArray *volumes; /* what pool->volumes points to */
} Shelf;

typedef struct {
    const RegionViewVolume *volume;
    const RegionViewPool *pool;
} Place;

struct RegionView {
    gatomicrefcount refs;
    uint64_t serial;
    GStringChunk *texts;
    GArray *pools;            /* RegionViewPool */
    GPtrArray *shelves;       /* of the pools, in their order */
    GHashTable *pool_shelves; /* uuid of a pool -> Shelf * */
    GHashTable *pool_names;   /* name of a pool -> Shelf * */
    GHashTable *by_uuid;      /* uuid of a volume -> Place * */
    GHashTable *by_path;      /* path for a guest -> Place *, the same ones */
};

static void shelf_free(gpointer data) {
    Shelf *shelf = data;

    g_array_unref(shelf->volumes);
    g_free(shelf);
}

RegionView *region_view_ref(RegionView *view) {
    g_atomic_ref_count_inc(&view->refs);
    return view;
}

void region_view_unref(RegionView *view) {
    if (!view || !g_atomic_ref_count_dec(&view->refs))
        return;
    g_hash_table_unref(view->by_path);
    g_hash_table_unref(view->by_uuid);
    g_hash_table_unref(view->pool_names);
    g_hash_table_unref(view->pool_shelves);
    g_ptr_array_unref(view->shelves);
    g_array_unref(view->pools);
    g_string_chunk_free(view->texts);
    g_free(view);
}

/* ---- making one ---- */

static RegionView *view_empty(uint64_t serial) {
    RegionView *view = g_new0(RegionView, 1);

    g_atomic_ref_count_init(&view->refs);
    view->serial = serial;
    view->texts = g_string_chunk_new(4096);
    view->pools = g_array_new(FALSE, TRUE, sizeof(RegionViewPool));
    view->shelves = g_ptr_array_new_with_free_func(shelf_free);
    view->pool_shelves = g_hash_table_new(g_str_hash, g_str_equal);
    view->pool_names = g_hash_table_new(g_str_hash, g_str_equal);
    view->by_uuid = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    view->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    return view;
}

static const char *text(RegionView *view, const char *s) {
    return g_string_chunk_insert_const(view->texts, s ?: "");
}

static int compare_pools(gconstpointer a, gconstpointer b) {
    const RegionViewPool *one = a, *other = b;
    int by_name = strcmp(one->name, other->name);

    return by_name != 0 ? by_name : strcmp(one->uuid, other->uuid);
}

static int compare_volumes(gconstpointer a, gconstpointer b) {
    const RegionViewVolume *one = a, *other = b;

    return strcmp(one->name, other->name);
}

/* pool: copied, with its texts; its volumes come by view_add_volume(). */
static void view_add_pool(RegionView *view, const RegionViewPool *pool) {
    RegionViewPool own = *pool;

    own.uuid = text(view, pool->uuid);
    own.name = text(view, pool->name);
    own.state = text(view, pool->state);
    own.volumes = NULL;
    own.n_volumes = 0;
    g_array_append_val(view->pools, own);
}

/* All pools are there; from here on their place in memory does not change. */
static void view_set_shelves(RegionView *view) {
    g_array_sort(view->pools, compare_pools);
    for (guint i = 0; i < view->pools->len; i++) {
        Shelf *shelf = g_new0(Shelf, 1);

        shelf->pool = &g_array_index(view->pools, RegionViewPool, i);
        shelf->volumes = g_array_new(FALSE, TRUE, sizeof(RegionViewVolume));
        g_ptr_array_add(view->shelves, shelf);
        g_hash_table_insert(view->pool_shelves, (gpointer) shelf->pool->uuid, shelf);
        if (!g_hash_table_contains(view->pool_names, shelf->pool->name))
            g_hash_table_insert(view->pool_names, (gpointer) shelf->pool->name, shelf);
    }
}

static void view_add_volume(RegionView *view, Shelf *shelf, const RegionViewVolume *volume) {
    RegionViewVolume own = *volume;

    own.uuid = text(view, volume->uuid);
    own.name = text(view, volume->name);
    own.state = text(view, volume->state);
    own.owner = text(view, volume->owner);
    own.path = text(view, volume->path);
    g_array_append_val(shelf->volumes, own);
}

/* All volumes are there. */
static void view_finish(RegionView *view) {
    for (guint i = 0; i < view->shelves->len; i++) {
        Shelf *shelf = view->shelves->pdata[i];

        g_array_sort(shelf->volumes, compare_volumes);
        shelf->pool->n_volumes = shelf->volumes->len;
        shelf->pool->volumes = (const RegionViewVolume *) (const void *) shelf->volumes->data;
        for (guint v = 0; v < shelf->volumes->len; v++) {
            const RegionViewVolume *volume = &shelf->pool->volumes[v];

            if (g_hash_table_contains(view->by_uuid, volume->uuid))
                continue; /* a uuid that is there twice has one place */
            Place *place = g_new(Place, 1);
            *place = (Place){ .volume = volume, .pool = shelf->pool };
            g_hash_table_insert(view->by_uuid, (gpointer) volume->uuid, place);
            if (volume->path[0] != '\0')
                g_hash_table_insert(view->by_path, (gpointer) volume->path, place);
        }
    }
}

static Shelf *find_shelf(const RegionView *view, const char *uuid_or_name) {
    if (!view)
        return NULL;
    Shelf *shelf = g_hash_table_lookup(view->pool_shelves, uuid_or_name);
    return shelf ?: g_hash_table_lookup(view->pool_names, uuid_or_name);
}

/* ---- from pmemd's lists ---- */

/* What the largest new volume in this raw region may have: a device there has a lead in front, whole steps, and a least size. Without
 * labels there is one device, which takes all. */
static uint64_t usable_of(const PmemdRaw *raw, uint64_t gap) {
    bool whole = g_str_equal(raw->kind, "unlabelled");
    uint64_t step = MAX(raw->step, PMEMD_FRAME_SIZE);

    if (whole && gap < raw->bytes)
        return 0;
    if (!whole)
        gap -= gap % step;
    return gap >= raw->minimum && gap > raw->lead ? gap - raw->lead : 0;
}

/* Bytes of data regions that the pool's management frames have room for. */
static uint64_t managed_bytes(const PmemdMgmt *mgmt) {
    Profile profile;

    if (!profile_from_string(mgmt->profile, &profile))
        return 0;
    uint64_t cost = profile_page_info_bytes(profile) + profile_m2p_bytes(profile); /* a frame */
    uint64_t bytes;
    if (cost == 0 || __builtin_mul_overflow(mgmt->free_frames * PMEMD_FRAME_SIZE / cost, PMEMD_FRAME_SIZE, &bytes))
        return UINT64_MAX;
    return bytes;
}

/* The raw regions that the pool's volumes are placed in: those of its node, all where that is not known. */
static void measure_pool(const RegionViewFacts *facts, const PmemdMgmt *mgmt, RegionViewPool *pool) {
    for (PmemdRaw *const *raw = facts->raws; *raw; raw++) {
        if (!g_str_equal((*raw)->state, "ok") || (mgmt->node >= 0 && (*raw)->node != mgmt->node))
            continue;
        pool->raw_bytes += (*raw)->bytes;
        pool->free_bytes += usable_of(*raw, (*raw)->free_bytes);
        pool->largest_gap = MAX(pool->largest_gap, usable_of(*raw, (*raw)->largest_gap));
    }
    if (pool->largest_gap == 0)
        pool->free_bytes = 0; /* pieces that are too small for any volume */
    pool->free_bytes = MIN(pool->free_bytes, managed_bytes(mgmt));
    pool->largest_gap = MIN(pool->largest_gap, pool->free_bytes);
}

static bool is_volume(const PmemdData *data) {
    return g_str_equal(data->state, "ok") || g_str_equal(data->state, "degraded") ||
           g_str_equal(data->state, "missing");
}

static const char *name_of(const char *name, const char *uuid) {
    return name && name[0] != '\0' ? name : uuid;
}

static void add_data(RegionView *view, const RegionViewFacts *facts, const PmemdData *data, GHashTable *leases) {
    Shelf *shelf = find_shelf(view, data->pool);

    if (!shelf)
        return;
    shelf->pool->used_bytes += data->bytes;
    if (!is_volume(data))
        return;

    const RegionViewDetail *detail = facts->details ? g_hash_table_lookup(facts->details, data->uuid) : NULL;
    const PmemdLease *lease = g_hash_table_lookup(leases, data->uuid);
    const RegionViewVolume volume = {
        .uuid = data->uuid,
        .name = name_of(data->name, data->uuid),
        .bytes = data->bytes,
        .state = data->state,
        .dirty = data->dirty,
        .leased = lease != NULL,
        .owner = lease ? lease->owner : "",
        .path = detail ? detail->guest_path : "",
        .mtime_usec = detail ? detail->created_usec : 0,
    };
    view_add_volume(view, shelf, &volume);
}

RegionView *region_view_new(const RegionViewFacts *facts, uint64_t serial) {
    g_autoptr(GHashTable) leases = g_hash_table_new(g_str_hash, g_str_equal);
    RegionView *view = view_empty(serial);

    for (PmemdMgmt *const *mgmt = facts->mgmts; *mgmt; mgmt++) {
        RegionViewPool pool = {
            .uuid = (*mgmt)->uuid,
            .name = name_of((*mgmt)->name, (*mgmt)->uuid),
            .state = (*mgmt)->state,
            .node = (*mgmt)->node,
            .usable = g_str_equal((*mgmt)->state, "ok") || g_str_equal((*mgmt)->state, "degraded"),
        };
        measure_pool(facts, *mgmt, &pool);
        view_add_pool(view, &pool);
    }
    view_set_shelves(view);
    for (PmemdLease *const *lease = facts->leases; *lease; lease++)
        g_hash_table_insert(leases, (*lease)->region, *lease);
    for (PmemdData *const *data = facts->regions; *data; data++)
        add_data(view, facts, *data, leases);
    view_finish(view);
    return view;
}

/* ---- from another view ---- */

/* All of view but the volume of this uuid (NULL: all), and volume (NULL: none) in shelf. */
static RegionView *copy(const RegionView *view, const char *without, const char *pool_uuid,
                        const RegionViewVolume *volume, uint64_t serial) {
    RegionView *new = view_empty(serial);

    for (guint i = 0; i < view->pools->len; i++)
        view_add_pool(new, &g_array_index(view->pools, RegionViewPool, i));
    view_set_shelves(new);
    for (guint i = 0; i < view->shelves->len; i++) {
        const Shelf *old = view->shelves->pdata[i];
        Shelf *shelf = new->shelves->pdata[i];

        for (guint v = 0; v < old->volumes->len; v++) {
            const RegionViewVolume *kept = &g_array_index(old->volumes, RegionViewVolume, v);
            if (!without || !g_str_equal(kept->uuid, without))
                view_add_volume(new, shelf, kept);
        }
    }
    Shelf *shelf = volume ? g_hash_table_lookup(new->pool_shelves, pool_uuid) : NULL;
    if (shelf) {
        RegionViewPool *pool = shelf->pool;

        view_add_volume(new, shelf, volume);
        pool->used_bytes += volume->bytes;
        pool->free_bytes -= MIN(pool->free_bytes, volume->bytes);
        pool->largest_gap = MIN(pool->largest_gap, pool->free_bytes);
    }
    view_finish(new);
    return new;
}

RegionView *region_view_with(const RegionView *view, const char *pool_uuid, const RegionViewVolume *volume,
                             uint64_t serial) {
    bool there = g_hash_table_contains(view->by_uuid, volume->uuid);

    return copy(view, NULL, pool_uuid, there ? NULL : volume, serial);
}

RegionView *region_view_without(const RegionView *view, const char *volume_uuid, uint64_t serial) {
    return copy(view, volume_uuid, NULL, NULL, serial);
}

/* ---- reading ---- */

uint64_t region_view_serial(const RegionView *view) {
    return view->serial;
}

guint region_view_n_pools(const RegionView *view) {
    return view ? view->pools->len : 0;
}

const RegionViewPool *region_view_pool(const RegionView *view, guint i) {
    return &g_array_index(view->pools, RegionViewPool, i);
}

const RegionViewPool *region_view_find_pool(const RegionView *view, const char *uuid_or_name) {
    const Shelf *shelf = find_shelf(view, uuid_or_name);

    return shelf ? shelf->pool : NULL;
}

/* A pool of another view is not found, but not read either. */
const RegionViewVolume *region_view_find_volume(const RegionViewPool *pool, const char *name) {
    guint low = 0, high = pool ? pool->n_volumes : 0;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        int order = strcmp(pool->volumes[middle].name, name);

        if (order == 0)
            return &pool->volumes[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const RegionViewVolume *told(const Place *place, const RegionViewPool **ret_pool) {
    if (place && ret_pool)
        *ret_pool = place->pool;
    return place ? place->volume : NULL;
}

const RegionViewVolume *region_view_by_uuid(const RegionView *view, const char *uuid, const RegionViewPool **ret_pool) {
    return view ? told(g_hash_table_lookup(view->by_uuid, uuid), ret_pool) : NULL;
}

/* "POOL/VOLUME" */
static const RegionViewVolume *by_names(const RegionView *view, const char *names, const RegionViewPool **ret_pool) {
    const char *slash = strchr(names, '/');

    if (!slash || strchr(slash + 1, '/'))
        return NULL;
    g_autofree char *name = g_strndup(names, (gsize) (slash - names));
    const RegionViewPool *pool = region_view_find_pool(view, name);
    const RegionViewVolume *volume = region_view_find_volume(pool, slash + 1);
    if (volume && ret_pool)
        *ret_pool = pool;
    return volume;
}

const RegionViewVolume *region_view_by_path(const RegionView *view, const char *path, const RegionViewPool **ret_pool) {
    if (!view || path[0] == '\0')
        return NULL;
    const Place *place = g_hash_table_lookup(view->by_path, path);
    if (!place && g_str_has_prefix(path, PMEMD_NVDIMM_LINKS)) {
        g_autofree char *lower = g_ascii_strdown(path, -1);

        place = g_hash_table_lookup(view->by_path, lower);
    }
    if (place)
        return told(place, ret_pool);
    return g_str_has_prefix(path, NAMED_PREFIX) ? by_names(view, path + strlen(NAMED_PREFIX), ret_pool) : NULL;
}
