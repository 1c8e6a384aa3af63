/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/alarm.h"

#include "daemon/log.h"

#include <inttypes.h>

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
    if (!alarm->warn_of_persistence ||
        !(g_str_equal(raw->persistence, "none") || g_str_equal(raw->persistence, "unknown")) ||
        !is_new(alarm, now, g_strdup_printf("used %s: %s", raw->id, raw->persistence)))
        return;
    log_event(EVENT_PERSISTENCE_UNKNOWN, LOG_FIELDS({ "DEVICE", raw->id }),
              "raw region %s is used, but its persistence domain is %s: a power loss may lose acknowledged changes",
              raw->id, raw->persistence);
}

static void look_at_raw(const Alarm *alarm, GHashTable *now, const Raw *raw) {
    if (!raw->unusable)
        look_at_persistence(alarm, now, raw);
    if (!raw->unusable || !is_new(alarm, now, g_strdup_printf("raw %s: %s", raw->id, raw->unusable)))
        return;
    log_event(g_strcmp0(raw->persistence, "unknown") == 0 ? EVENT_PERSISTENCE_UNKNOWN : EVENT_RAW_UNUSABLE,
              LOG_FIELDS({ "DEVICE", raw->id }), "raw region %s is not used: %s", raw->id, raw->unusable);
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
              orphan ? "is tagged as a data region, but no journal knows it"
                     : "is tagged as a management region, but holds none");
}

static void on_platform_read(void *data) {
    Alarm *alarm = data;
    const State *state = manager_state(alarm->manager);
    const GPtrArray *raws = state_raws(state), *foreigns = state_foreigns(state);
    GHashTable *now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < raws->len; i++)
        look_at_raw(alarm, now, raws->pdata[i]);
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
