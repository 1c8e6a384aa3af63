/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * SetupData and AllocateData: rules, INTENT, backend, COMMIT. What the backend leaves unknown is looked at again before
 * the caller is told anything.
 */
#include "daemon/manager-internal.h"
#include "daemon/recovery.h"

#include <inttypes.h>
#include <string.h>

static Region *op_region(Op *op) {
    return state_region_by_uuid(op->m->state, op->uuid);
}

/* The region exists on the platform: make it so in the journal. */
static void commit(Op *op, const BackendDevice *device) {
    Manager *m = op->m;
    Region *region = op_region(op);
    g_autoptr(GError) error = NULL;
    Erase erase;

    region_set_path(region, device->path);
    if (!manager_append_commit(m, region, device->device, &error)) {
        /* The device is there and the intent is on the medium: the next start commits it. */
        manager_set_region_state(m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, error->message);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (region->occupant.raw && region->occupant.raw->free_slots != UINT64_MAX && region->occupant.raw->free_slots > 0)
        region->occupant.raw->free_slots--;
    manager_take_bad_of(m, (BadHolder){ .region = region });
    op_answer(op, region->uuid, NULL);
    manager_tell_region_added(m, region);
    manager_tell_pool_changed(m, region->pool);
    if (state_erase(m->state, region, &erase))
        manager_tell_to_erase(m, region);
    op_finish(op, region->uuid, NULL);
}

/* Nothing of it exists: take the intent back and tell the caller what the backend said. */
static void abort_create(Op *op) {
    Region *region = op_region(op);
    g_autoptr(GError) error = NULL;

    if (!manager_append_abort(op->m, region, (PmemdError) op->asked_error->code, &error)) {
        g_autofree char *text =
            g_strdup_printf("a creation that failed could not be taken back in the journal: %s", error->message);

        manager_set_region_state(op->m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, text);
    }
    op_finish(op, SD_ID128_NULL, op->asked_error);
}

static void unsettled(Op *op, const char *reason) {
    g_autoptr(GError) error = NULL;
    Region *region = op_region(op);

    manager_set_region_state(op->m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, reason);
    error = g_error_new(PMEMD_ERROR, op->asked_error->code,
                        "%s; what the platform made of it is not known (%s), its frames 0x%" PRIx64 "-0x%" PRIx64
                        " stay reserved and it is settled at the next start",
                        op->asked_error->message, reason, region->range.start, region->range.end);
    op_finish(op, SD_ID128_NULL, error);
}

static void on_listed_without(void *data) {
    Op *op = data;

    op_take_listing(op);
    abort_create(op);
}

/* It may have stood elsewhere, where the map has it as somebody's until the platform is listed again. */
static void on_leftover_destroyed(void *data) {
    Op *op = data;

    if (op->ok)
        op_work(op, op_run_list, on_listed_without);
    else
        unsettled(op, op->error->message);
}

static void on_looked_again(void *data) {
    Op *op = data;
    g_autofree char *reason = NULL;

    if (!op->listing) {
        unsettled(op, op->error->message);
        return;
    }

    const BackendDevice *device = listing_find(op->listing, op->device_uuid);
    manager_take_listing(op->m, op->listing);
    switch (recovery_decide_region(op_region(op), device, &reason)) {
    case RECOVERY_COMMIT_CREATE:
        commit(op, device);
        return;
    case RECOVERY_ABORT_CREATE:
        abort_create(op);
        return;
    case RECOVERY_DESTROY_AND_ABORT:
        op_work(op, op_run_destroy, on_leftover_destroyed);
        return;
    case RECOVERY_UNSETTLED:
    case RECOVERY_KEEP:
    case RECOVERY_ERASE:
    case RECOVERY_COMMIT_DELETE:
    case RECOVERY_ERASE_LATER:
    case RECOVERY_MISSING:
        break;
    }
    unsettled(op, reason ? reason : "the platform contradicts the journal");
}

/* The platform may have changed under the map (another tool's namespace): with the fresh listing rules may say so
 * better than the backend could, or find another place. Once. */
static void on_relisted(void *data) {
    Op *op = data;
    Region *region = op_region(op);
    g_autoptr(GError) error = NULL;

    if (!op->listing) {
        abort_create(op);
        return;
    }
    if (!manager_append_abort(op->m, region, (PmemdError) op->asked_error->code, &error)) {
        manager_set_region_state(op->m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, error->message);
        op_finish(op, SD_ID128_NULL, op->asked_error);
        return;
    }
    manager_take_listing(op->m, op->listing);
    op->retried = true;
    create_data_start(op);
}

static void on_created(void *data) {
    Op *op = data;

    g_clear_error(&op->asked_error);
    if (op->device && op_check_created(op, &op->asked_error)) {
        commit(op, op->device);
        return;
    }
    if (op->device)
        op->outcome = BACKEND_UNKNOWN;
    else
        op->asked_error = g_steal_pointer(&op->error);
    if (op->outcome == BACKEND_UNKNOWN)
        op_work(op, op_run_list, on_looked_again);
    else if (!op->retried && g_error_matches(op->asked_error, PMEMD_ERROR, PMEMD_ERROR_BUSY))
        op_work(op, op_run_list, on_relisted);
    else
        abort_create(op);
}

bool manager_decide_data(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error) {
    DataRequest data = request->data;
    RegionPlan plan;

    data.owner = manager_owner_limits(m, request->uid, &request->quota);
    bool ok = request->method == MANAGER_SETUP_DATA ? rules_setup_data(m->state, &data, &plan, error)
                                                    : rules_allocate_data(m->state, &data, &plan, error);

    if (!ok || (data.name && !rules_name(m->state, plan.pool, data.name, NULL, error)) ||
        !rules_journal_room(plan.pool, data.name ? strlen(data.name) : 0, request->user ? strlen(request->user) : 0,
                            error))
        return false;
    *ret_plan = plan;
    return true;
}

/* The medium failed while the intent was written: the next start may find it or not. Should it, its frames must not be
 * another pool's by then, whose journal goes on. */
static void intent_not_written(Op *op, const uint8_t *payload, size_t len, const GError *reason) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!op->plan.pool->journal || !journal_failed(op->plan.pool->journal))
        return;
    if (!state_apply(m->state, op->plan.pool, JF_INTENT_CREATE, op->txid, payload, len, &error))
        log_event(EVENT_JOURNAL_WRITE_FAILED, NULL,
                  "frames of a creation that may be journalled could not be reserved: %s", error->message);
    else
        manager_set_region_state(m, op_region(op), REGION_UNSETTLED, EVENT_REGION_UNSETTLED, reason->message);
}

void create_data_start(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!manager_decide_data(m, &op->request, &op->plan, &error)) {
        if (op_look_again(op, error))
            return;
        /* The second time, the first error may be the better one: it is what really stood in the way. */
        op_finish(op, SD_ID128_NULL, op->asked_error && error->code != PMEMD_ERROR_BUSY ? op->asked_error : error);
        return;
    }
    /* Random, never derived: a guest that could predict a device's uuid could plant a stale info block for it. */
    if (sd_id128_randomize(&op->uuid) < 0 || !backend_uuid_new(BACKEND_ROLE_DATA, &op->device_uuid)) {
        error = g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the kernel gave no random numbers");
        op_finish(op, SD_ID128_NULL, error);
        return;
    }

    Pool *pool = op->plan.pool;
    JfRegion record = {
        .region_uuid = op->uuid,
        .device_uuid = op->device_uuid,
        .range = op->plan.range,
        .device_start = op->plan.device.start,
        .extent = op->plan.extent,
        .owner_uid = op->request.uid,
        /* Nobody has watched frames that the backend does not zero: to be erased before the first guest. */
        .flags = op->plan.raw->zeroed ? 0 : JF_REGION_DIRTY,
        .request_id = op->request.request_id,
        .request_hash = op->hash,
        .request_uid = op->request.uid,
        .request_method = op->request.method,
        .time = manager_now_usec(),
    };
    if (op->name)
        g_strlcpy(record.name, op->name, sizeof record.name);
    g_strlcpy(record.user, op->user, sizeof record.user);
    op->txid = pool->last_txid + 1;
    size_t len = jf_region_encode(&record, buf);
    if (!manager_append(m, pool, JF_INTENT_CREATE, op->txid, buf, len, &error)) {
        intent_not_written(op, buf, len, error);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (record.flags & JF_REGION_DIRTY && !manager_append_erase(m, op_region(op), &(Erase){ 0 }, &error)) {
        g_clear_error(&op->asked_error);
        op->asked_error = g_steal_pointer(&error);
        abort_create(op);
        return;
    }
    backend_tag_format(BACKEND_ROLE_DATA, pool->sb.member_uuid, op->device_uuid, op->tag);
    g_free(op->raw_id);
    op->raw_id = g_strdup(op->plan.raw->id);
    op_work(op, op_run_create, on_created);
}
