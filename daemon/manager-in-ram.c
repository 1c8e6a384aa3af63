/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Pools whose journal a power-off takes. Nothing of them is left then, so the state directory remembers that there was
 * one: whoever misses it is told that nothing failed. A note that is lost, or cannot be written, costs that message.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"
#include "daemon/log.h"
#include "daemon/power-loss.h"

static void tell_failed(const GError *error) {
    log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: it is a note about a pool in RAM", error->message);
}

void manager_note_in_ram(Manager *m, const Pool *pool) {
    const Raw *raw = pool->occupant.raw;
    g_autoptr(GError) error = NULL;

    if (raw && power_loss_is_whole(raw->persistence) && !hints_has(m->state_dir, HINT_IN_RAM, pool->sb.member_uuid) &&
        !hints_put(m->state_dir, HINT_IN_RAM, pool->sb.member_uuid, &error))
        tell_failed(error);
}

void manager_forget_in_ram(Manager *m, sd_id128_t uuid) {
    g_autoptr(GError) error = NULL;

    if (hints_has(m->state_dir, HINT_IN_RAM, uuid) && !hints_remove(m->state_dir, HINT_IN_RAM, uuid, &error))
        tell_failed(error);
}

/* Before the hints of releases are compared, which takes them away. */
void manager_compare_in_ram(Manager *m) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) uuids = hints_list(m->state_dir, HINT_IN_RAM, &error);
    const GPtrArray *pools = state_pools(m->state);

    if (!uuids)
        tell_failed(error);
    for (guint i = 0; uuids && i < uuids->len; i++) {
        sd_id128_t uuid = g_array_index(uuids, sd_id128_t, i);
        char text[PMEMD_UUID_STRING_MAX];

        if (state_pool_by_uuid(m->state, uuid))
            continue;
        pmemd_uuid_format(uuid, text);
        if (!hints_has(m->state_dir, HINT_RELEASE, uuid)) /* else it is gone as was asked for */
            log_event(
                EVENT_POOL_LOST, LOG_FIELDS({ "POOL", text }),
                "pool %s, whose journal was in RAM, is not there any more: it went with the power, or its memory is "
                "not set aside in this boot; what it had in other memory is listed as foreign or as orphans",
                text);
        manager_forget_in_ram(m, uuid);
    }
    for (guint i = 0; i < pools->len; i++)
        manager_note_in_ram(m, pools->pdata[i]);
}
