/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager's side of erasing: which content may be destroyed, how far that has come in the journal, and what a
 * region is when it has ended: gone if it was released, else clean for its first guest.
 */
#include "daemon/manager-internal.h"

#include "daemon/frame-set.h"
#include "daemon/recovery.h"

static Region *find_region(Manager *m, sd_id128_t uuid, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = state_region_by_uuid(m->state, uuid);

    if (!region)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no data region %s",
                    pmemd_uuid_format(uuid, text));
    return region;
}

static bool is_released(const Region *region) {
    return region->intent && region->intent->deleting;
}

/* Content is destroyed only for a release, or before the first guest, that is on the medium, by a journal that can be
 * trusted, on a device that is ours. */
static bool check_erasable(const Manager *m, const Region *region, Erase *ret_erase, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];

    if (!rules_pool_writable(region->pool, error) || !rules_not_leased(m->state, region, error))
        return false;
    if (region->state == (is_released(region) ? REGION_QUARANTINED : REGION_OK) &&
        state_erase(m->state, region, ret_erase))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "data region %s is %s and not to be erased%s%s",
                pmemd_uuid_format(region->uuid, text), region_state_to_string(region->state),
                region->reason ? ": " : "", region->reason ? region->reason : "");
    return false;
}

void op_ask_in_the_way(Op *op) {
    if (!g_error_matches(op->error, PMEMD_ERROR, PMEMD_ERROR_BUSY))
        return;
    op->asked_error = g_steal_pointer(&op->error);
    op_run_mappers(op);
}

void op_tell_in_the_way(Op *op, const char *waits) {
    g_autoptr(GError) error = NULL;
    g_autofree char *what = NULL;
    char text[PMEMD_UUID_STRING_MAX];
    const Region *region = state_region_by_uuid(op->m->state, op->uuid);
    uid_t viewer = region && region->owner_uid == 0 ? MAPPERS_EVERYBODY : region ? region->owner_uid : 0;

    if (!op->asked_error)
        return;
    what = g_strdup_printf("data region %s waits to be %s", pmemd_uuid_format(op->uuid, text), waits);
    if (op_check_unmapped(op, viewer, what, &error)) {
        /* Nobody is now: what was said then is for those alone who may know of everybody. */
        if (viewer == MAPPERS_EVERYBODY)
            error = g_error_copy(op->asked_error);
        else
            g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s: its device was in use a moment ago", what);
    }
    if (region && is_released(region))
        log_event(EVENT_RELEASE_WAITS, LOG_FIELDS({ "REGION", text }), "%s: %s", what, op->asked_error->message);
    else
        log_message(LOG_WARNING, text, NULL, "%s: %s", what, op->asked_error->message);
    g_clear_error(&op->error);
    op->error = g_steal_pointer(&error);
    g_clear_error(&op->asked_error);
}

/* Bad frames are made good first: what cannot be is never free again, and has no first guest. */
static void run_open_content(void *data) {
    Op *op = data;

    if (op->bad)
        op_run_clear(op);
    if (op->bad && !op->ok)
        return;
    op->content = manager_backend_open_content(op->m, op->device_uuid, &op->error);
    op_ask_in_the_way(op);
}

/* What cleared frames hold is undefined until it is written: what was erased before is erased again. */
static void take_cleared(Op *op) {
    Region *region = state_region_by_uuid(op->m->state, op->uuid);
    Raw *raw = state_raw_by_id(op->m->state, op->raw_id);
    g_autoptr(GError) error = NULL;

    if (region && raw)
        manager_take_cleared(op->m, region, raw, op->cleared);
    if (!op->ok) {
        g_prefix_error(&op->error, "its bad frames could not be cleared: ");
    } else if (!manager_erase_progress(op->m, op->uuid, 0, &error)) {
        op->ok = false;
        op->error = g_steal_pointer(&error);
    }
}

static void on_content(void *data) {
    Op *op = data;
    ManagerContentDone done = op->content_done;
    BackendContent *content = g_steal_pointer(&op->content);

    op_tell_in_the_way(op, "erased");
    op->content_done = NULL;
    if (op->bad)
        take_cleared(op);
    if (op->error)
        g_clear_pointer(&content, backend_content_free);
    done(op->content_data, content, op->error);
    op_finish(op, op->uuid, NULL);
}

static void open_content_start(Op *op) {
    g_autoptr(GError) error = NULL;
    const Region *region = find_region(op->m, op->uuid, &error);
    Erase erase;

    if (!region || !check_erasable(op->m, region, &erase, &error)) {
        ManagerContentDone done = op->content_done;

        op->content_done = NULL;
        done(op->content_data, NULL, error);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op->device_uuid = region->device_uuid;
    if (region_bad(region) && region->occupant.raw) {
        op->bad = frame_set_copy(region_bad(region)->all);
        op->raw_id = g_strdup(region->occupant.raw->id);
        recovery_region_tag(region, op->tag);
    }
    op_work(op, run_open_content, on_content);
}

void manager_open_content(Manager *m, sd_id128_t region_uuid, ManagerContentDone done, void *data) {
    Op *op = op_new(m, open_content_start);

    op->uuid = region_uuid;
    op->content_done = done;
    op->content_data = data;
    op_enqueue(op, true);
}

/* As at the beginning and at the end: the region, and for what it is erased. */
static Region *find_erasable(Manager *m, sd_id128_t uuid, bool released, GError **error) {
    Region *region = find_region(m, uuid, error);
    char text[PMEMD_UUID_STRING_MAX];
    Erase erase;

    if (!region || !check_erasable(m, region, &erase, error))
        return NULL;
    if (is_released(region) == released)
        return region;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "data region %s was released while it was erased",
                pmemd_uuid_format(uuid, text));
    return NULL;
}

bool manager_may_erase(Manager *m, sd_id128_t region_uuid, bool released, GError **error) {
    return find_erasable(m, region_uuid, released, error) != NULL;
}

bool manager_erase_progress(Manager *m, sd_id128_t region_uuid, uint64_t offset, GError **error) {
    Region *region = find_region(m, region_uuid, error);
    Erase erase;

    if (!region || !check_erasable(m, region, &erase, error))
        return false;
    if (erase.offset == offset)
        return true;
    erase.offset = offset;
    return manager_append_erase(m, region, &erase, error);
}

void manager_erase_failed(Manager *m, sd_id128_t region_uuid, const char *reason) {
    Region *region = state_region_by_uuid(m->state, region_uuid);
    g_autoptr(GError) error = NULL;

    if (!region || m->stopping)
        return;
    /* What failed once is not believed to have kept what it was given before. */
    if (!manager_erase_progress(m, region_uuid, 0, &error))
        log_message(LOG_WARNING, NULL, NULL, "cannot journal that an erase begins again, ignoring: %s", error->message);
    if (region->state == REGION_QUARANTINED)
        manager_set_region_state(m, region, REGION_QUARANTINED, EVENT_NONE, reason);
    else
        state_set_erase_failed(m->state, region, true);
}

/* The region may have its first guest. */
static void finish_first(Op *op, Region *region) {
    Manager *m = op->m;
    Erase clean = { .offset = region_bytes(region) };
    g_autoptr(GError) error = NULL;

    if (!manager_append_erase(m, region, &clean, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    manager_tell_region_changed(m, region);
    op_finish(op, region->uuid, NULL);
}

void finish_erase_start(Op *op) {
    g_autoptr(GError) error = NULL;
    Region *region = find_erasable(op->m, op->uuid, op->releases, &error);

    if (!region)
        op_finish(op, SD_ID128_NULL, error);
    else if (op->releases)
        finish_release(op, region);
    else
        finish_first(op, region);
}

void manager_finish_erase(Manager *m, sd_id128_t region_uuid, bool released, ManagerDone done, void *data) {
    Op *op = op_new(m, finish_erase_start);

    op->uuid = region_uuid;
    op->releases = released;
    op_add_waiter(op, done, data);
    op_enqueue(op, true);
}
