/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/dimm-health.h"

#include <string.h>

static const char *const health_names[] = { "unknown", "ok", "non-critical", "critical", "fatal" };
G_STATIC_ASSERT(G_N_ELEMENTS(health_names) == N_HEALTHS);

static const char *const flag_names[] = {
    "disabled",     "locked",      "not-armed",      "map-failed",   "save-failed",       "restore-failed",
    "flush-failed", "smart-event", "dirty-shutdown", "alarm-spares", "alarm-temperature", "alarm-controller",
};
G_STATIC_ASSERT(G_N_ELEMENTS(flag_names) == N_DIMM_FLAGS);

const char *health_to_string(Health health) {
    g_assert(health < N_HEALTHS);
    return health_names[health];
}

bool health_from_string(const char *s, Health *ret_health) {
    for (int i = 0; i < N_HEALTHS; i++)
        if (strcmp(health_names[i], s) == 0) {
            *ret_health = (Health) i;
            return true;
        }
    return false;
}

Health health_worst(Health a, Health b) {
    static const int rank[] = {
        [HEALTH_OK] = 0, [HEALTH_UNKNOWN] = 1, [HEALTH_NON_CRITICAL] = 2, [HEALTH_CRITICAL] = 3, [HEALTH_FATAL] = 4,
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(rank) == N_HEALTHS);

    return rank[a] > rank[b] ? a : b;
}

const char *dimm_flag_to_string(DimmFlag flag) {
    int bit = g_bit_nth_lsf(flag, -1);

    g_assert(bit >= 0 && bit < N_DIMM_FLAGS && (1u << bit) == flag);
    return flag_names[bit];
}

bool dimm_flag_from_string(const char *s, DimmFlag *ret_flag) {
    for (int i = 0; i < N_DIMM_FLAGS; i++)
        if (strcmp(flag_names[i], s) == 0) {
            *ret_flag = (DimmFlag) (1u << i);
            return true;
        }
    return false;
}

char *dimm_flags_to_string(uint32_t flags) {
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 0; i < N_DIMM_FLAGS; i++)
        if (flags & 1u << i)
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", flag_names[i]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

DimmHealth *dimm_health_new(const char *id, const char *name) {
    DimmHealth *dimm = g_new(DimmHealth, 1);

    *dimm = (DimmHealth){
        .id = g_strdup(id),
        .name = g_strdup(name),
        .state = HEALTH_UNKNOWN,
        .spares = DIMM_UNKNOWN,
        .life_used = DIMM_UNKNOWN,
        .temperature = DIMM_TEMPERATURE_UNKNOWN,
        .unsafe_shutdowns = DIMM_SHUTDOWNS_UNKNOWN,
    };
    return dimm;
}

DimmHealth *dimm_health_copy(const DimmHealth *dimm) {
    DimmHealth *copy = g_memdup2(dimm, sizeof *dimm);

    copy->id = g_strdup(dimm->id);
    copy->name = g_strdup(dimm->name);
    return copy;
}

void dimm_health_free(DimmHealth *dimm) {
    if (!dimm)
        return;
    g_free(dimm->id);
    g_free(dimm->name);
    g_free(dimm);
}

bool dimm_health_equal(const DimmHealth *a, const DimmHealth *b) {
    return g_strcmp0(a->id, b->id) == 0 && g_strcmp0(a->name, b->name) == 0 && a->state == b->state &&
           a->flags == b->flags && a->spares == b->spares && a->life_used == b->life_used &&
           a->temperature == b->temperature && a->unsafe_shutdowns == b->unsafe_shutdowns;
}

GPtrArray *dimm_healths_new(void) {
    return g_ptr_array_new_with_free_func((GDestroyNotify) dimm_health_free);
}

GPtrArray *dimm_healths_copy(const GPtrArray *dimms) {
    GPtrArray *copy = dimms ? dimm_healths_new() : NULL;

    for (guint i = 0; dimms && i < dimms->len; i++)
        g_ptr_array_add(copy, dimm_health_copy(g_ptr_array_index(dimms, i)));
    return copy;
}

bool dimm_healths_equal(const GPtrArray *a, const GPtrArray *b) {
    guint len = a ? a->len : 0;

    if (len != (b ? b->len : 0))
        return false;
    for (guint i = 0; i < len; i++)
        if (!dimm_health_equal(g_ptr_array_index(a, i), g_ptr_array_index(b, i)))
            return false;
    return true;
}

DimmHealth *dimm_healths_worst(const GPtrArray *dimms) {
    DimmHealth *worst = dimm_health_new(NULL, NULL);

    for (guint i = 0; dimms && i < dimms->len; i++) {
        const DimmHealth *dimm = g_ptr_array_index(dimms, i);

        worst->state = i == 0 ? dimm->state : health_worst(worst->state, dimm->state);
        worst->flags |= dimm->flags;
        /* Unknown is less than any value. */
        worst->life_used = MAX(worst->life_used, dimm->life_used);
        worst->temperature = MAX(worst->temperature, dimm->temperature);
        if (dimm->spares != DIMM_UNKNOWN)
            worst->spares = worst->spares == DIMM_UNKNOWN ? dimm->spares : MIN(worst->spares, dimm->spares);
        if (dimm->unsafe_shutdowns != DIMM_SHUTDOWNS_UNKNOWN)
            worst->unsafe_shutdowns = worst->unsafe_shutdowns == DIMM_SHUTDOWNS_UNKNOWN
                                          ? dimm->unsafe_shutdowns
                                          : MAX(worst->unsafe_shutdowns, dimm->unsafe_shutdowns);
    }
    return worst;
}

char *dimm_health_unusable(const DimmHealth *dimm) {
    const char *name = dimm->name ? dimm->name : dimm->id ? dimm->id : "a DIMM";

    if (dimm->flags & DIMM_LOCKED)
        return g_strdup_printf("%s is locked: unlock it first", name);
    if (dimm->flags & DIMM_DISABLED)
        return g_strdup_printf("%s is disabled: `ndctl enable-dimm %s`", name, name);
    if (dimm->flags & DIMM_MAP_FAILED)
        return g_strdup_printf("the platform could not map %s: look at the firmware's log and replace it", name);
    if (dimm->flags & DIMM_NOT_ARMED)
        return g_strdup_printf(
            "%s is read-only: it is not armed, what is written may not survive a power loss; look at its battery or "
            "capacitor, or replace it",
            name);
    return NULL;
}
