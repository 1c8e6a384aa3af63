/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Places are decided in rounds, so that a region which has to move never takes the place that another one can keep: first
 * what is there and what fits where it was, pools then data regions; then gaps for the rest; management extents last.
 */
#include "client/restore.h"

#include <string.h>

#include "client/occupancy.h"
#include "client/parse.h"
#include "client/place.h"
#include "proto/types.h"

#define RANGE_FORMAT "0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x"

typedef struct {
    const Backup *backup;
    const RestorePresent *present;
    Restore *restore;
    Occupancy *devices, *extents; /* what is there, and what is planned */
    GHashTable *by_uuid;          /* uuid -> PmemdMgmt or PmemdData */
    GHashTable *by_name;          /* pool's name, or POOL-UUID/NAME -> the same */
    GHashTable *claimed;          /* those that an item is */
} Planner;

static void item_free(void *data) {
    RestoreItem *item = data;

    g_free(item->pool_name);
    g_free(item->now_uuid);
    g_free(item->owner);
    g_free(item->note);
    g_free(item);
}

void restore_free(Restore *restore) {
    if (!restore)
        return;
    g_clear_pointer(&restore->raws, g_ptr_array_unref);
    g_clear_pointer(&restore->items, g_ptr_array_unref);
    g_free(restore);
}

static void set_result(RestoreItem *item, RestoreResult result) {
    static const char *const verdicts[] = { "there", "same", "moved", "impossible", "failed" };

    item->result = result;
    item->verdict = verdicts[result];
}

void restore_item_set(RestoreItem *item, RestoreResult result, const char *note) {
    char *copy = g_strdup(note);

    set_result(item, result);
    g_free(item->note);
    item->note = copy;
}

static void add_note(RestoreItem *item, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add_note(RestoreItem *item, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    char *note = item->note[0] != '\0' ? g_strconcat(item->note, "; ", text, NULL) : g_strdup(text);
    g_free(item->note);
    item->note = note;
}

void restore_item_request_id(const RestoreItem *item, unsigned attempt, char *text) {
    g_autofree char *said =
        g_strdup_printf("pmemctl import\n%s\n%s\n%u " RANGE_FORMAT " " RANGE_FORMAT "\n%u\n", item->uuid, item->name,
                        item->data ? 0 : item->pool->max_regions, item->now.start, item->now.end, item->extent.start,
                        item->extent.end, attempt);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize length = sizeof digest;
    sd_id128_t id = SD_ID128_NULL;

    g_checksum_update(sum, (const guchar *) said, -1);
    g_checksum_get_digest(sum, digest, &length);
    memcpy(id.bytes, digest, sizeof id.bytes);
    pmemd_uuid_format(id, text);
}

/* --- names for notes --- */

static char *describe(const char *kind, const char *uuid, const char *name, const char *state) {
    g_autofree char *called = name && name[0] != '\0' ? g_strdup_printf(" \"%s\"", name) : g_strdup("");
    bool erased = g_strcmp0(state, "quarantined") == 0;

    return g_strdup_printf("%s %s%s%s", kind, uuid, called, erased ? ", which is being erased" : "");
}

/* --- raw regions --- */

static const PmemdRaw *raw_by_id(const RestorePresent *present, const char *id) {
    for (guint i = 0; i < present->raws->len; i++) {
        const PmemdRaw *raw = present->raws->pdata[i];

        if (strcmp(raw->id, id) == 0)
            return raw;
    }
    return NULL;
}

static bool is_used(const Planner *p, const PmemdRaw *raw) {
    for (guint i = 0; i < p->restore->raws->len; i++)
        if (((const RestoreRaw *) p->restore->raws->pdata[i])->now == raw)
            return true;
    return false;
}

/* The present raw region that stands for one of the backup by this rule, and for none yet; NULL: none. Of several the
 * smallest: raw regions come in the order of their frames. */
static const PmemdRaw *raw_by_rule(const Planner *p, const BackupRaw *was, const char *rule) {
    const PmemdRaw *best = NULL;

    for (guint i = 0; i < p->present->raws->len; i++) {
        const PmemdRaw *raw = p->present->raws->pdata[i];
        const char *cookie = p->present->cookies->pdata[i];
        bool fits = strcmp(rule, "cookie") == 0 ? was->cookie[0] != '\0' && strcmp(cookie, was->cookie) == 0
                    : strcmp(rule, "place") == 0
                        ? place_is_same(raw->frames, was->frames)
                        : raw->node == was->node && raw->node >= 0 && place_is_usable(raw) &&
                              raw->bytes / PMEMD_FRAME_SIZE >= was->frames.end - was->frames.start;

        if (fits && !is_used(p, raw) && (!best || raw->bytes < best->bytes))
            best = raw;
    }
    return best;
}

static RestoreRaw *find_restore_raw(const Restore *restore, const BackupRaw *was) {
    for (guint i = 0; i < restore->raws->len; i++) {
        RestoreRaw *raw = restore->raws->pdata[i];

        if (raw->was == was)
            return raw;
    }
    g_assert_not_reached(); /* there is one of each */
}

/* One "OLD=NEW". */
static bool map_one(Planner *p, const char *text, GError **error) {
    const char *equals = strrchr(text, '=');
    g_autofree char *old_id = g_strndup(text, equals ? (size_t) (equals - text) : 0);
    const PmemdRaw *now = equals ? raw_by_id(p->present, equals + 1) : NULL;

    for (guint i = 0; i < p->restore->raws->len; i++) {
        RestoreRaw *raw = p->restore->raws->pdata[i];

        if (now && strcmp(raw->was->id, old_id) == 0) {
            raw->now = now;
            raw->by = "map";
            return true;
        }
    }
    if (!equals)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--map takes OLD=NEW,..., ids of raw regions, not '%s'",
                    text);
    else if (!now)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "--map: there is no raw region '%s' here: 'pmemctl list --raw' lists them", equals + 1);
    else
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--map: there is no raw region '%s' in the export", old_id);
    return false;
}

static bool map_raws(Planner *p, const char *map, GError **error) {
    static const char *const rules[] = { "cookie", "place", "node" };
    g_auto(GStrv) given = g_strsplit(map ? map : "", ",", -1);

    for (guint i = 0; i < p->backup->raws->len; i++) {
        RestoreRaw *raw = g_new(RestoreRaw, 1);

        *raw = (RestoreRaw){ .was = p->backup->raws->pdata[i], .by = "" };
        g_ptr_array_add(p->restore->raws, raw);
    }
    for (size_t i = 0; given[i]; i++)
        if (!map_one(p, given[i], error))
            return false;
    for (size_t rule = 0; rule < G_N_ELEMENTS(rules); rule++)
        for (guint i = 0; i < p->restore->raws->len; i++) {
            RestoreRaw *raw = p->restore->raws->pdata[i];

            if (!raw->now && (raw->now = raw_by_rule(p, raw->was, rules[rule])))
                raw->by = rules[rule];
        }
    return true;
}

/* --- devices --- */

/* The present raw region that holds the frames, for what is there. */
static const PmemdRaw *raw_of(const RestorePresent *present, PmemdRange frames) {
    for (guint i = 0; i < present->raws->len; i++) {
        const PmemdRaw *raw = present->raws->pdata[i];

        if (place_contains(raw->frames, frames))
            return raw;
    }
    return NULL;
}

static void take_device(const Planner *p, PmemdRange usable, char *by) {
    const PmemdRaw *raw = raw_of(p->present, usable);
    uint64_t lead = raw ? MIN(place_lead(raw), usable.start - raw->frames.start) : 0;

    occupancy_add(p->devices, (PmemdRange){ usable.start - lead, usable.end }, by);
}

static void note_present(Planner *p) {
    for (guint i = 0; i < p->present->foreign->len; i++) {
        const PmemdForeign *foreign = p->present->foreign->pdata[i];

        occupancy_add(p->devices, foreign->frames, g_strdup_printf("the %s device %s", foreign->kind, foreign->name));
    }
    for (guint i = 0; i < p->present->mgmt->len; i++) {
        PmemdMgmt *mgmt = p->present->mgmt->pdata[i];

        take_device(p, mgmt->frames, describe("management region", mgmt->uuid, mgmt->name, mgmt->state));
        g_hash_table_insert(p->by_uuid, g_strdup(mgmt->uuid), mgmt);
        if (mgmt->name[0] != '\0')
            g_hash_table_insert(p->by_name, g_strdup(mgmt->name), mgmt);
    }
    for (guint i = 0; i < p->present->data->len; i++) {
        PmemdData *data = p->present->data->pdata[i];

        take_device(p, data->frames, describe("data region", data->uuid, data->name, data->state));
        if (data->extent.start < data->extent.end)
            occupancy_add(p->extents, data->extent, describe("data region", data->uuid, data->name, data->state));
        /* One that is being erased is none any more, and its name is free. */
        if (strcmp(data->state, "quarantined") == 0)
            continue;
        g_hash_table_insert(p->by_uuid, g_strdup(data->uuid), data);
        if (data->name[0] != '\0')
            g_hash_table_insert(p->by_name, g_strconcat(data->pool, "/", data->name, NULL), data);
    }
}

/* --- items --- */

/* home NULL: the pool's own. */
static RestoreItem *item_new(const BackupPool *pool, const RestoreItem *home, const BackupData *data) {
    RestoreItem *item = g_new(RestoreItem, 1);
    PmemdRange frames = data ? data->frames : pool->frames;

    *item = (RestoreItem){
        .pool = pool,
        .home = home ? home : item,
        .data = data,
        .kind = data ? "data" : "mgmt",
        .pool_name = g_strdup(!data                   ? ""
                              : pool->name[0] != '\0' ? pool->name
                                                      : pool->uuid),
        .uuid = data ? data->uuid : pool->uuid,
        .name = data ? data->name : pool->name,
        .was = frames,
        .bytes = (frames.end - frames.start) * PMEMD_FRAME_SIZE,
        .now_uuid = g_strdup(""),
        .owner = g_strdup("root"),
        .note = g_strdup(""),
    };
    set_result(item, RESTORE_IMPOSSIBLE); /* until a place is found */
    return item;
}

static bool is_open(const RestoreItem *item) {
    return item->result == RESTORE_IMPOSSIBLE && item->note[0] == '\0';
}

/* The item is this region, which is there. */
static void settle_there(Planner *p, RestoreItem *item, void *found) {
    g_hash_table_add(p->claimed, found);
    set_result(item, RESTORE_THERE);
    item->now = item->data ? ((const PmemdData *) found)->frames : ((const PmemdMgmt *) found)->frames;
    g_free(item->now_uuid);
    item->now_uuid = g_strdup(item->data ? ((const PmemdData *) found)->uuid : ((const PmemdMgmt *) found)->uuid);
    if (!place_is_same(item->now, item->was))
        add_note(item, "it was moved");
}

/* Where it would be if its raw region had only moved. false: the backup's raw region has none here, or it lies outside. */
static bool same_offset(const Planner *p, const RestoreItem *item, const PmemdRaw **ret_raw, PmemdRange *ret_frames) {
    const BackupRaw *was = backup_find_raw(p->backup, item->was);
    const PmemdRaw *now = find_restore_raw(p->restore, was)->now;

    if (!now)
        return false;
    uint64_t start = now->frames.start + (item->was.start - was->frames.start);
    PmemdRange frames = { start, start + (item->was.end - item->was.start) };
    *ret_raw = now;
    *ret_frames = frames;
    return place_contains(now->frames, frames);
}

/* --- is it there? --- */

static bool is_same_mgmt(const RestoreItem *item, const PmemdMgmt *mgmt) {
    return mgmt->frames.end - mgmt->frames.start >= item->was.end - item->was.start &&
           strcmp(mgmt->profile, item->pool->profile) == 0;
}

static bool is_same_size(const RestoreItem *item, const PmemdData *data) {
    return data->frames.end - data->frames.start >= item->was.end - item->was.start;
}

static void find_there_mgmt(Planner *p, RestoreItem *item) {
    PmemdMgmt *found = g_hash_table_lookup(p->by_uuid, item->uuid);

    if (!found && item->name[0] != '\0') {
        found = g_hash_table_lookup(p->by_name, item->name);
        if (found && !is_same_mgmt(item, found)) {
            g_autofree char *who = describe("management region", found->uuid, NULL, NULL);
            add_note(item, "the name is that of %s at " RANGE_FORMAT ", which is another one: rename it", who,
                     found->frames.start, found->frames.end);
            return;
        }
    }
    if (found)
        settle_there(p, item, found);
}

static void find_there_data(Planner *p, RestoreItem *item) {
    const RestoreItem *pool = item->home;
    PmemdData *found = g_hash_table_lookup(p->by_uuid, item->uuid);

    if (!found && item->name[0] != '\0' && pool->result == RESTORE_THERE) {
        g_autofree char *key = g_strconcat(pool->now_uuid, "/", item->name, NULL);

        found = g_hash_table_lookup(p->by_name, key);
        if (found && !is_same_size(item, found)) {
            g_autofree char *who = describe("data region", found->uuid, NULL, NULL);
            add_note(item, "the name is that of %s at " RANGE_FORMAT ", which is another one: rename it", who,
                     found->frames.start, found->frames.end);
            return;
        }
    }
    if (found)
        settle_there(p, item, found);
}

/* Is this region, which has no name and is no other item's, what the item would be? */
static bool fits_nameless(const Planner *p, const RestoreItem *item, void *region) {
    if (g_hash_table_contains(p->claimed, region))
        return false;
    if (!item->data) {
        const PmemdMgmt *mgmt = region;
        return mgmt->name[0] == '\0' && is_same_mgmt(item, mgmt);
    }
    const PmemdData *data = region;
    return data->name[0] == '\0' && is_same_size(item, data) && strcmp(data->pool, item->home->now_uuid) == 0 &&
           strcmp(data->state, "quarantined") != 0;
}

/* An item without name is told by its place, or by_size: then it was moved, so its own place is not to be had. */
static void find_there_nameless(Planner *p, RestoreItem *item, bool by_size) {
    const GPtrArray *list = item->data ? p->present->data : p->present->mgmt;
    const PmemdRaw *raw = NULL;
    PmemdRange wanted = { 0, 0 }, device;
    bool placed = same_offset(p, item, &raw, &wanted);

    if (item->name[0] != '\0' || (item->data && item->home->result != RESTORE_THERE) || (!placed && !by_size) ||
        (by_size && placed && place_device(raw, wanted, &device) && !occupancy_find(p->devices, device)))
        return;
    for (guint i = 0; i < list->len; i++) {
        PmemdRange frames =
            item->data ? ((const PmemdData *) list->pdata[i])->frames : ((const PmemdMgmt *) list->pdata[i])->frames;

        if (!fits_nameless(p, item, list->pdata[i]) || (!by_size && !place_is_same(frames, wanted)))
            continue;
        settle_there(p, item, list->pdata[i]);
        if (by_size)
            add_note(item, "it has no name: told by its size");
        return;
    }
}

static void round_nameless_in_place(Planner *p, RestoreItem *item) {
    find_there_nameless(p, item, false);
}

static void round_nameless_by_size(Planner *p, RestoreItem *item) {
    find_there_nameless(p, item, true);
}

/* --- places --- */

static void settle_place(const Planner *p, RestoreItem *item, const PmemdRaw *raw, PmemdRange frames) {
    set_result(item, place_is_same(frames, item->was) ? RESTORE_SAME : RESTORE_MOVED);
    item->now = frames;
    occupancy_add(p->devices, (PmemdRange){ frames.start - place_lead(raw), frames.end },
                  describe(item->data ? "data region of the export" : "management region of the export", item->uuid,
                           item->name, NULL));
}

static void try_same_offset(const Planner *p, RestoreItem *item) {
    const PmemdRaw *raw;
    PmemdRange frames, device;

    if (!same_offset(p, item, &raw, &frames) || !place_is_usable(raw) || !place_device(raw, frames, &device) ||
        occupancy_find(p->devices, device))
        return;
    settle_place(p, item, raw, frames);
}

/* The first gap of the raw region that has room. */
static bool find_gap(const Planner *p, const PmemdRaw *raw, uint64_t usable, PmemdRange *ret_frames) {
    uint64_t wanted = place_device_frames(raw, usable), at = raw->frames.start;

    while (at < raw->frames.end && raw->frames.end - at >= wanted) {
        const Occupant *taken = occupancy_find(p->devices, (PmemdRange){ at, at + wanted });

        if (!taken) {
            *ret_frames = (PmemdRange){ at + place_lead(raw), at + wanted };
            return true;
        }
        /* The last one in the way: whatever starts before its end overlaps this place, too. */
        at = raw->frames.start + place_round_up(MAX(taken->range.end, at + 1) - raw->frames.start, place_step(raw));
    }
    return false;
}

/* Why it cannot keep its place, for the note. */
static void note_why(const Planner *p, RestoreItem *item) {
    const BackupRaw *was = backup_find_raw(p->backup, item->was);
    const PmemdRaw *raw = NULL;
    PmemdRange frames, device;

    if (!same_offset(p, item, &raw, &frames)) {
        if (!raw)
            add_note(item, "raw region %s is not here, nor one of its node and size: give one by --map=%s=ID", was->id,
                     was->id);
        else
            add_note(item, "raw region %s is smaller than %s was", raw->id, was->id);
    } else if (!place_is_usable(raw))
        add_note(item, "raw region %s cannot be used: %s", raw->id, raw->state);
    else if (!place_device(raw, frames, &device))
        add_note(item,
                 "nothing can be made at " RANGE_FORMAT " in raw region %s, whose step is %" G_GUINT64_FORMAT
                 " and lead %" G_GUINT64_FORMAT " bytes",
                 frames.start, frames.end, raw->id, raw->step, raw->lead);
    else {
        const Occupant *taken = occupancy_find(p->devices, device);
        if (taken)
            add_note(item, RANGE_FORMAT " is taken by %s", frames.start, frames.end, taken->by);
    }
}

static void try_gaps(const Planner *p, RestoreItem *item) {
    const PmemdRaw *home = find_restore_raw(p->restore, backup_find_raw(p->backup, item->was))->now;
    uint64_t usable = item->was.end - item->was.start;
    PmemdRange frames;

    note_why(p, item);
    if (!home)
        return;
    if (place_is_usable(home) && find_gap(p, home, usable, &frames)) {
        settle_place(p, item, home, frames);
        return;
    }
    for (guint i = 0; i < p->present->raws->len; i++) {
        const PmemdRaw *raw = p->present->raws->pdata[i];

        /* Where pmemd may choose places. */
        if (raw != home && raw->node == home->node && strcmp(raw->state, "ok") == 0 &&
            find_gap(p, raw, usable, &frames)) {
            settle_place(p, item, raw, frames);
            return;
        }
    }
    add_note(item, "no gap of %" G_GUINT64_FORMAT " bytes on node %d", item->bytes, home->node);
}

/* --- management extents --- */

/* docs/architecture.md, required(n). */
static uint64_t required_frames(const char *profile, uint64_t frames) {
    bool xen = strcmp(profile, "xen") == 0;
    uint64_t page_info = xen ? 32 : strcmp(profile, "linux") == 0 ? 64 : 0;
    uint64_t m2p = xen ? 8 : 0;

    return MAX((place_round_up(frames * page_info, PMEMD_FRAME_SIZE) + place_round_up(frames * m2p, PMEMD_FRAME_SIZE)) /
                   PMEMD_FRAME_SIZE,
               1);
}

/* Past all that is used in the pool or was in the backup. */
static uint64_t end_of_extents(const Planner *p, const RestoreItem *pool) {
    const PmemdMgmt *mgmt = pool->result == RESTORE_THERE ? g_hash_table_lookup(p->by_uuid, pool->now_uuid) : NULL;
    uint64_t end = pool->now.start;

    if (mgmt)
        end = mgmt->frames.start + mgmt->used_frames;
    for (guint i = 0; i < pool->pool->data->len; i++) {
        const BackupData *data = pool->pool->data->pdata[i];
        end = MAX(end, pool->now.start + (data->extent.end - pool->pool->frames.start));
    }
    const Occupant *taken = occupancy_before(p->extents, pool->now.end);
    return taken && taken->range.start >= pool->now.start ? MAX(end, taken->range.end) : end;
}

static void place_extent(const Planner *p, RestoreItem *item) {
    const RestoreItem *pool = item->home;

    if (pool->result == RESTORE_IMPOSSIBLE) {
        g_autofree char *note = g_strdup_printf("its pool %s cannot be made", item->pool_name);
        restore_item_set(item, RESTORE_IMPOSSIBLE, note);
        item->now = (PmemdRange){ 0, 0 };
        return;
    }
    uint64_t length = MAX(item->data->extent.end - item->data->extent.start,
                          required_frames(item->pool->profile, item->now.end - item->now.start));
    uint64_t start = pool->now.start + (item->data->extent.start - item->pool->frames.start);
    PmemdRange extent = { start, start + length };
    const Occupant *taken = occupancy_find(p->extents, extent);

    if (taken || !place_contains(pool->now, extent)) {
        start = end_of_extents(p, pool);
        extent = (PmemdRange){ start, start + length };
        if (!place_contains(pool->now, extent)) {
            restore_item_set(item, RESTORE_IMPOSSIBLE, "");
            add_note(item, "its pool has no room for its management extent of %" G_GUINT64_FORMAT " frames%s%s", length,
                     taken ? ": that of old is taken by " : "", taken ? taken->by : "");
            item->now = (PmemdRange){ 0, 0 };
            return;
        }
        add_note(item, "its management extent moves");
    }
    item->extent = extent;
    occupancy_add(p->extents, extent, describe("data region of the export", item->uuid, item->name, NULL));
}

/* --- owners --- */

static void set_owner(RestoreItem *item, uint32_t uid, const char *name) {
    item->owner_uid = uid;
    g_free(item->owner);
    item->owner = g_strdup(name);
}

static void decide_owner(const Planner *p, RestoreItem *item) {
    uint32_t uid = item->data ? item->data->owner_uid : item->pool->owner_uid;
    const char *name = item->data ? item->data->owner : item->pool->owner;
    const PmemdMgmt *mgmt =
        !item->data && item->result == RESTORE_THERE ? g_hash_table_lookup(p->by_uuid, item->now_uuid) : NULL;
    const PmemdData *data =
        item->data && item->result == RESTORE_THERE ? g_hash_table_lookup(p->by_uuid, item->now_uuid) : NULL;
    uint32_t has = mgmt ? mgmt->owner_uid : data ? data->owner_uid : 0;

    if (has != 0) {
        /* Somebody was given it since. */
        set_owner(item, has, mgmt ? mgmt->owner : data->owner);
        if (has != uid)
            add_note(item, "it keeps its owner");
        return;
    }
    if (uid == 0)
        return;
    if (!p->restore->same_machine) {
        add_note(item, "it becomes root's: %s (%u) was a user of another host", name, uid);
        return;
    }
    g_autofree char *user = p->present->user_of ? p->present->user_of(uid) : g_strdup(name);
    if (!user)
        add_note(item, "it becomes root's: there is no user %u (%s) any more", uid, name);
    else if (strcmp(user, name) != 0)
        add_note(item, "it becomes root's: user %u was %s and is %s now", uid, name, user);
    else {
        set_owner(item, uid, name);
        item->set_owner = true;
        if (item->result == RESTORE_THERE)
            add_note(item, "it is given to %s", name);
    }
}

/* --- the whole --- */

static void add_items(const Planner *p) {
    for (guint i = 0; i < p->backup->pools->len; i++) {
        const BackupPool *pool = p->backup->pools->pdata[i];

        RestoreItem *home = item_new(pool, NULL, NULL);
        g_ptr_array_add(p->restore->items, home);
        for (guint j = 0; j < pool->data->len; j++)
            g_ptr_array_add(p->restore->items, item_new(pool, home, pool->data->pdata[j]));
    }
}

typedef void (*Round)(Planner *p, RestoreItem *item);

/* For the items of one kind that have neither a place nor a reason for none. */
static void do_round(Planner *p, bool data, Round round) {
    for (guint i = 0; i < p->restore->items->len; i++) {
        RestoreItem *item = p->restore->items->pdata[i];

        if ((item->data != NULL) == data && is_open(item))
            round(p, item);
    }
}

static void round_same_offset(Planner *p, RestoreItem *item) {
    try_same_offset(p, item);
}

static void round_gaps(Planner *p, RestoreItem *item) {
    try_gaps(p, item);
}

static void decide_places(Planner *p) {
    do_round(p, false, find_there_mgmt);
    do_round(p, false, round_nameless_in_place);
    do_round(p, false, round_nameless_by_size);
    do_round(p, true, find_there_data);
    do_round(p, true, round_nameless_in_place);
    do_round(p, true, round_nameless_by_size);
    do_round(p, false, round_same_offset);
    do_round(p, true, round_same_offset);
    do_round(p, false, round_gaps);
    do_round(p, true, round_gaps);
    for (guint i = 0; i < p->restore->items->len; i++) {
        RestoreItem *item = p->restore->items->pdata[i];

        if (item->data && (item->result == RESTORE_SAME || item->result == RESTORE_MOVED))
            place_extent(p, item);
    }
    for (guint i = 0; i < p->restore->items->len; i++) {
        RestoreItem *item = p->restore->items->pdata[i];

        if (item->result != RESTORE_IMPOSSIBLE)
            decide_owner(p, item);
    }
}

Restore *restore_plan(const Backup *backup, const RestorePresent *present, const char *map, GError **error) {
    g_autoptr(Restore) restore = g_new(Restore, 1);
    Planner p = { .backup = backup, .present = present, .restore = restore };

    *restore = (Restore){
        .same_machine = strcmp(backup->machine_id, present->machine_id) == 0 &&
                        strspn(backup->machine_id, "0") < strlen(backup->machine_id),
        .raws = g_ptr_array_new_with_free_func(g_free),
        .items = g_ptr_array_new_with_free_func(item_free),
    };
    if (!map_raws(&p, map, error))
        return NULL;
    p.devices = occupancy_new();
    p.extents = occupancy_new();
    p.by_uuid = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    p.by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    p.claimed = g_hash_table_new(NULL, NULL);
    note_present(&p);
    add_items(&p);
    decide_places(&p);
    occupancy_free(p.devices);
    occupancy_free(p.extents);
    g_hash_table_unref(p.by_uuid);
    g_hash_table_unref(p.by_name);
    g_hash_table_unref(p.claimed);
    return g_steal_pointer(&restore);
}
