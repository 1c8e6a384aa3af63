/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/alarm.h"

#include "daemon/frame-set.h"
#include "daemon/log.h"
#include "daemon/power-loss.h"

#include <inttypes.h>

#define EXTENTS_NAMED 8 /* in a message */

struct Alarm {
    Manager *manager;
    GHashTable *told; /* set of char *: what was there when it was last looked */
    bool warn_of_persistence;
};

/* Whether it was not there before; it is now. key is taken over. */
static bool is_new(const Alarm *alarm, GHashTable *now, char *key) {
    bool known = g_hash_table_contains(alarm->told, key);

    return g_hash_table_add(now, key) && !known;
}

static void look_at_persistence(const Alarm *alarm, GHashTable *now, const Raw *raw) {
    const char *loss = power_loss(raw->persistence);

    if (!alarm->warn_of_persistence || !loss ||
        !is_new(alarm, now, g_strdup_printf("used %s: %s", raw->id, raw->persistence)))
        return;
    log_event(EVENT_PERSISTENCE_UNKNOWN, LOG_FIELDS({ "DEVICE", raw->id }), "raw region %s is used, but %s", raw->id,
              loss);
}

static void look_at_raw(const Alarm *alarm, GHashTable *now, const Raw *raw) {
    if (!raw->unusable)
        look_at_persistence(alarm, now, raw);
    if (!raw->unusable || !is_new(alarm, now, g_strdup_printf("raw %s: %s", raw->id, raw->unusable)))
        return;
    const char *loss = power_loss(raw->persistence);
    log_event(loss ? EVENT_PERSISTENCE_UNKNOWN : EVENT_RAW_UNUSABLE, LOG_FIELDS({ "DEVICE", raw->id }),
              "raw region %s is not used: %s", raw->id, raw->unusable);
}

static void look_at_foreign(const Alarm *alarm, GHashTable *now, const Foreign *foreign) {
    bool orphan = foreign->kind == FOREIGN_ORPHAN;
    char uuid[PMEMD_UUID_STRING_MAX];

    if (foreign->kind == FOREIGN_FOREIGN)
        return;
    pmemd_uuid_format(foreign->uuid, uuid);
    if (!is_new(
            alarm, now,
            g_strdup_printf("%s %s 0x%" PRIx64, foreign_kind_to_string(foreign->kind), uuid, foreign->device.start)))
        return;
    log_event(orphan ? EVENT_ORPHAN_FOUND : EVENT_UNFORMATTED_FOUND,
              LOG_FIELDS({ orphan ? "REGION" : "POOL", uuid }, { "DEVICE", foreign->name }),
              "device %s (%s) at frames 0x%" PRIx64 "-0x%" PRIx64 " %s", foreign->name, uuid, foreign->device.start,
              foreign->device.end,
              orphan ? "is tagged as a data region, but no journal knows it: adopt it, or forget it (pmemctl adopt, "
                       "pmemctl forget --destroy)"
                     : "is tagged as a management region, but holds none; pmemctl forget --destroy removes it");
}

static void look_at_bad(const Alarm *alarm, GHashTable *now, const Pool *pool, const RegionBad *bad) {
    const Region *region = state_region_by_uuid(manager_state(alarm->manager), bad->uuid);
    const Raw *raw = region ? region->occupant.raw : pool->occupant.raw;
    const char *name = region ? region->name : pool->name, *user = region ? region->user : pool->user;
    g_autofree char *extents = frame_set_format(bad->all, EXTENTS_NAMED);
    char uuid[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(bad->uuid, uuid);
    if (!is_new(alarm, now, g_strdup_printf("bad %s %s", uuid, extents)))
        return;
    log_event(EVENT_BAD_FRAMES_FOUND,
              LOG_FIELDS({ region ? "REGION" : "POOL", uuid }, { "NAME", name }, { "DEVICE", raw ? raw->id : NULL }),
              "%s region %s%s%s%s of user %" PRIu32 "%s%s%s has %s%" PRIu64 " bad frames: %s", region ? "data" : "mgmt",
              uuid, name ? " '" : "", name ? name : "", name ? "'" : "", region ? region->owner_uid : pool->owner_uid,
              user ? " (" : "", user ? user : "", user ? ")" : "", bad->more ? "at least " : "", region_bad_frames(bad),
              extents);
}

static void look_at_pool(const Alarm *alarm, GHashTable *now, const Pool *pool) {
    GHashTableIter iter;
    gpointer bad;

    if (!pool->bad)
        return;
    g_hash_table_iter_init(&iter, pool->bad);
    while (g_hash_table_iter_next(&iter, NULL, &bad))
        look_at_bad(alarm, now, pool, bad);
}

/* Of all of the raw region, so that free ones are told of, too. */
static void look_at_raw_bad(const Alarm *alarm, GHashTable *now, const Raw *raw) {
    g_autofree char *extents = frame_set_format(raw->bad, EXTENTS_NAMED);

    if (!raw->bad || !is_new(alarm, now, g_strdup_printf("bad %s %s", raw->id, extents)))
        return;
    log_event(EVENT_BAD_FRAMES_FOUND, LOG_FIELDS({ "DEVICE", raw->id }),
              "raw region %s shows %" PRIu64 " bad frames%s: %s; free ones among them are given to nobody", raw->id,
              frame_set_frames(raw->bad), raw->bad_all ? " (which they are cannot be told: all)" : "", extents);
}

static void look_at_dimms(const Alarm *alarm, GHashTable *now, const Raw *raw) {
    for (guint i = 0; raw->health && i < raw->health->len; i++) {
        const DimmHealth *dimm = raw->health->pdata[i];
        const char *id = dimm->id ? dimm->id : dimm->name ? dimm->name : "without id";
        g_autofree char *flags = dimm_flags_to_string(dimm->flags);

        if ((dimm->state != HEALTH_CRITICAL && dimm->state != HEALTH_FATAL) ||
            !is_new(alarm, now, g_strdup_printf("dimm %s %s %s", raw->id, id, health_to_string(dimm->state))))
            continue;
        log_event(EVENT_DIMM_FAILING, LOG_FIELDS({ "DEVICE", raw->id }, { "NAME", id }),
                  "DIMM %s (%s) of raw region %s is %s%s%s: its regions may lose what they hold", id,
                  dimm->name ? dimm->name : "no name", raw->id, health_to_string(dimm->state), flags[0] ? ", " : "",
                  flags);
    }
}

static void on_platform_read(void *data) {
    Alarm *alarm = data;
    const State *state = manager_state(alarm->manager);
    const GPtrArray *raws = state_raws(state), *foreigns = state_foreigns(state), *pools = state_pools(state);
    GHashTable *now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < raws->len; i++) {
        look_at_raw(alarm, now, raws->pdata[i]);
        look_at_raw_bad(alarm, now, raws->pdata[i]);
        look_at_dimms(alarm, now, raws->pdata[i]);
    }
    for (guint i = 0; i < pools->len; i++)
        look_at_pool(alarm, now, pools->pdata[i]);
    for (guint i = 0; i < foreigns->len; i++)
        look_at_foreign(alarm, now, foreigns->pdata[i]);
    g_hash_table_unref(alarm->told);
    alarm->told = now;
}

Alarm *alarm_new(Manager *manager) {
    const ManagerEvents events = { .platform_read = on_platform_read };
    Alarm *alarm = g_new0(Alarm, 1);

    alarm->manager = manager;
    alarm->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    manager_add_events(manager, &events, alarm);
    return alarm;
}

void alarm_warn_of_persistence(Alarm *alarm, bool warn) {
    alarm->warn_of_persistence = warn;
}

void alarm_free(Alarm *alarm) {
    if (!alarm)
        return;
    g_hash_table_unref(alarm->told);
    g_free(alarm);
}
