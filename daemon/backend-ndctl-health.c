/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-health.h"

#include "daemon/bad-frames.h"
#include "daemon/dimm-health.h"

#include <string.h>
#include <unistd.h>

/* --- DIMMs -------------------------------------------------------------------------------------------------------- */

/* What sysfs says without asking the DIMM. */
static uint32_t flags_of(struct ndctl_dimm *dimm) {
    const struct {
        bool set;
        DimmFlag flag;
    } rows[] = {
        { !ndctl_dimm_is_enabled(dimm), DIMM_DISABLED },
        /* Negative: unknown, on a bus that tells no flags. */
        { ndctl_dimm_locked(dimm) > 0 || ndctl_dimm_get_security(dimm) == NDCTL_SECURITY_LOCKED, DIMM_LOCKED },
        { ndctl_dimm_failed_arm(dimm) > 0, DIMM_NOT_ARMED },
        { ndctl_dimm_failed_map(dimm) > 0, DIMM_MAP_FAILED },
        { ndctl_dimm_failed_save(dimm) > 0, DIMM_SAVE_FAILED },
        { ndctl_dimm_failed_restore(dimm) > 0, DIMM_RESTORE_FAILED },
        { ndctl_dimm_failed_flush(dimm) > 0, DIMM_FLUSH_FAILED },
        { ndctl_dimm_smart_pending(dimm) > 0, DIMM_SMART_EVENT },
    };
    uint32_t flags = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].set)
            flags |= rows[i].flag;
    return flags;
}

static Health state_of(unsigned health) {
    return (health & ND_SMART_FATAL_HEALTH)          ? HEALTH_FATAL
           : (health & ND_SMART_CRITICAL_HEALTH)     ? HEALTH_CRITICAL
           : (health & ND_SMART_NON_CRITICAL_HEALTH) ? HEALTH_NON_CRITICAL
                                                     : HEALTH_OK;
}

/* A cmd that the DIMM answered. Percentages above 100 are kept for what was used, as DIMMs do grow older than expected. */
static void take_smart(DimmHealth *health, struct ndctl_cmd *cmd) {
    unsigned valid = ndctl_cmd_smart_get_flags(cmd);

    if (valid & ND_SMART_HEALTH_VALID)
        health->state = state_of(ndctl_cmd_smart_get_health(cmd));
    if (valid & ND_SMART_SPARES_VALID)
        health->spares = (int) MIN(ndctl_cmd_smart_get_spares(cmd), 100u);
    if (valid & ND_SMART_USED_VALID)
        health->life_used = (int) MIN(ndctl_cmd_smart_get_life_used(cmd), 255u);
    if (valid & ND_SMART_MTEMP_VALID) {
        double celsius = ndctl_decode_smart_temperature(ndctl_cmd_smart_get_media_temperature(cmd));

        health->temperature = (int) (celsius < 0 ? celsius - 0.5 : celsius + 0.5);
    }
    if (valid & ND_SMART_SHUTDOWN_COUNT_VALID)
        health->unsafe_shutdowns = ndctl_cmd_smart_get_shutdown_count(cmd);
    if ((valid & ND_SMART_SHUTDOWN_VALID) && ndctl_cmd_smart_get_shutdown_state(cmd) != 0)
        health->flags |= DIMM_DIRTY_SHUTDOWN;
    if (valid & ND_SMART_ALARM_VALID) {
        unsigned alarms = ndctl_cmd_smart_get_alarm_flags(cmd);

        health->flags |= ((alarms & ND_SMART_SPARE_TRIP) ? DIMM_ALARM_SPARES : 0u) |
                         ((alarms & ND_SMART_MTEMP_TRIP) ? DIMM_ALARM_TEMPERATURE : 0u) |
                         ((alarms & ND_SMART_CTEMP_TRIP) ? DIMM_ALARM_CONTROLLER : 0u);
    }
}

static DimmHealth *health_of(struct ndctl_dimm *dimm) {
    DimmHealth *health = dimm_health_new(ndctl_dimm_get_unique_id(dimm), ndctl_dimm_get_devname(dimm));
    long long shutdowns = ndctl_dimm_get_dirty_shutdown(dimm); /* negative: it does not tell */

    health->flags = flags_of(dimm);
    if (shutdowns >= 0)
        health->unsafe_shutdowns = (uint64_t) shutdowns;

    /* NULL: this kind of DIMM has no such command, or is disabled. */
    struct ndctl_cmd *cmd = ndctl_dimm_cmd_new_smart(dimm);
    if (!cmd)
        return health;
    int rc = ndctl_cmd_submit_xlat(cmd);
    if (rc < 0)
        g_debug("%s does not tell its health: %s", health->name, g_strerror(-rc));
    else
        take_smart(health, cmd);
    ndctl_cmd_unref(cmd);
    return health;
}

static int compare_names(gconstpointer a, gconstpointer b) {
    const DimmHealth *x = *(DimmHealth *const *) a, *y = *(DimmHealth *const *) b;

    return strcmp(x->name, y->name);
}

GPtrArray *nd_health_dimms(struct ndctl_region *region) {
    GPtrArray *dimms = NULL;
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm) {
        dimms = dimms ? dimms : dimm_healths_new();
        g_ptr_array_add(dimms, health_of(dimm));
    }
    if (dimms)
        g_ptr_array_sort(dimms, compare_names);
    return dimms;
}

/* --- bad blocks --------------------------------------------------------------------------------------------------- */

GArray *nd_health_bad_frames(struct ndctl_region *region, bool *ret_all) {
    const char *name = ndctl_region_get_devname(region);
    g_autofree char *path = g_strdup_printf("/sys/bus/nd/devices/%s/badblocks", name);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(BadFrames) bad = { 0 };
    gsize len = 0;

    bad_frames_begin(&bad, nd_region_range(region));
    if (g_file_get_contents(path, &text, &len, &error))
        bad_frames_add_text(&bad, text, len, (size_t) sysconf(_SC_PAGESIZE));
    else if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        bad.incomplete = ndctl_region_is_enabled(region) != 0; /* a disabled one has no list, and is not used */
    return bad_frames_end(&bad, ret_all);
}
