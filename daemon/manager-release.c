/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * ReleaseData (quarantine, then the eraser's work, then the device's end), ReleaseMgmt, Rename and SetOwner.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"
#include "daemon/recovery.h"

#include <inttypes.h>
#include <string.h>

static Region *find_region(Op *op, sd_id128_t uuid, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = state_region_by_uuid(op->m->state, uuid);

    if (!region)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no data region %s (pmemctl list --data)",
                    pmemd_uuid_format(uuid, text));
    return region;
}

/* Whose it is now decides, not whose it was when the request was made. */
static bool check_owner(const Op *op, uint32_t owner_uid, const char *owner_user, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];

    if (op->request.others || rules_is_own(owner_uid, owner_user, op->request.uid, op->user))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                "region %s is not user %" PRIu32 "'s: ask its owner, or an administrator for org.pmemd1.manage-all",
                pmemd_uuid_format(op->request.target.uuid, text), op->request.uid);
    return false;
}

/* --- ReleaseData --- */

/* Still there, or not known: the intent stays open and the frames reserved. */
static void release_failed(Op *op, Region *region, const GError *error) {
    manager_set_region_state(op->m, region, REGION_QUARANTINED, EVENT_NONE, error->message);
    op_finish(op, SD_ID128_NULL, error);
}

/* Each byte is to be read back: then an erase that has begun begins again. */
static bool ask_to_verify(Op *op, Region *region, GError **error) {
    Erase erase;

    return !op->request.target.verify_all || !state_erase(op->m->state, region, &erase) || erase.verify_all ||
           manager_append_erase(op->m, region, &(Erase){ .verify_all = true }, error);
}

/* Released before: its job is the answer, and one that had failed is tried again. */
static void release_again(Op *op, Region *region) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!ask_to_verify(op, region, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    manager_set_region_state(m, region, REGION_QUARANTINED, EVENT_NONE, STATE_REASON_RELEASED);
    manager_tell_to_erase(m, region);
    op_finish(op, region->uuid, NULL);
}

static void release_region(Op *op, Region *region) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfDelete record = {
        .region_uuid = region->uuid,
        .request_id = op->request.request_id,
        .request_hash = op->hash,
        .request_uid = op->request.uid,
        .request_method = op->request.method,
        .time = manager_now_usec(),
    };
    if (!rules_release_data(m->state, region, &error) ||
        !manager_append(m, region->pool, JF_INTENT_DELETE, region->pool->last_txid + 1, buf,
                        jf_delete_encode(&record, buf), &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    /* It is released, but would not be read back as was asked: the next try decides. */
    if (!ask_to_verify(op, region, &error)) {
        release_failed(op, region, error);
        return;
    }
    op_answer(op, region->uuid, NULL);
    manager_tell_region_changed(m, region);
    manager_tell_to_erase(m, region);
    op_finish(op, region->uuid, NULL);
}

/* Nothing is journalled of what somebody still uses: it would wait in quarantine, of no use to anybody. */
static void on_release_mappers(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *what = NULL;
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = find_region(op, op->uuid, &error);

    if (region) {
        what = g_strdup_printf("data region %s cannot be released", pmemd_uuid_format(region->uuid, text));
        if (op_check_unmapped(op, op_viewer(op), what, &error)) {
            release_region(op, region);
            return;
        }
    }
    op_finish(op, SD_ID128_NULL, error);
}

void release_data_start(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    Region *region = find_region(op, op->request.target.uuid, &error);
    Erase erase;

    if (!region || !check_owner(op, region->owner_uid, region->user, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op->uuid = region->uuid;
    op->device_uuid = region->device_uuid;
    if (region->state == REGION_QUARANTINED && rules_pool_writable(region->pool, NULL)) {
        release_again(op, region);
        return;
    }

    if (!rules_release_data(m->state, region, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    /* Before its first guest the eraser has it mapped, or will ask who has. */
    if (state_erase(m->state, region, &erase))
        release_region(op, region);
    else
        op_work(op, op_run_mappers, on_release_mappers);
}

/* The device is gone: so is the region, when the journal has it. */
static void commit_release(Op *op, Region *region) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    sd_id128_t pool_uuid = region->pool->sb.member_uuid;
    Raw *raw = region->occupant.raw;

    manager_tell_removing(m);
    if (!manager_append_commit(m, region, (FrameRange){ 0, 0 }, &error)) {
        release_failed(op, region, error);
        return;
    }
    if (raw && raw->free_slots != UINT64_MAX)
        raw->free_slots++;
    manager_tell_region_removed(m, op->uuid, pool_uuid);
    manager_tell_pool_changed(m, state_pool_by_uuid(m->state, pool_uuid));
    op_finish(op, op->uuid, NULL);
}

static void on_release_looked(void *data) {
    Op *op = data;
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    Region *region = find_region(op, op->uuid, &error);

    if (!region) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (op->listing &&
        recovery_decide_region(region, listing_find(op->listing, op->device_uuid), &reason) == RECOVERY_COMMIT_DELETE)
        commit_release(op, region);
    else
        release_failed(op, region, op->asked_error);
}

static void run_destroy_released(void *data) {
    Op *op = data;

    op_run_destroy(op);
    op_ask_in_the_way(op);
}

static void on_device_destroyed(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;
    Region *region = find_region(op, op->uuid, &error);

    op_tell_in_the_way(op, "freed");
    if (!region) {
        op_finish(op, SD_ID128_NULL, error);
    } else if (op->ok) {
        commit_release(op, region);
    } else if (op->outcome == BACKEND_UNCHANGED) {
        release_failed(op, region, op->error);
    } else {
        /* Nobody could erase again what is gone: the platform says whether it is. */
        op->asked_error = g_steal_pointer(&op->error);
        op_work(op, op_run_list, on_release_looked);
    }
}

void finish_release(Op *op, const Region *region) {
    op->device_uuid = region->device_uuid;
    /* Label-less memory stores no tag; there the backend goes by the uuid alone. */
    recovery_region_tag(region, op->tag);
    op_work(op, run_destroy_released, on_device_destroyed);
}

/* --- ReleaseMgmt --- */

static void run_release_pool(void *data) {
    Op *op = data;

    op->ok = !op->medium || journal_destroy(op->medium, &op->sb.geo, &op->error);
    g_clear_pointer(&op->medium, medium_free);
    if (op->ok)
        op_run_destroy(op);
}

static void on_pool_released(void *data) {
    Op *op = data;
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);

    if (!op->ok) {
        /* The hint stays: the next start finishes it. Until then nothing uses the pool. */
        g_autofree char *reason =
            g_strdup_printf("its release was cut short: %s; the next start of pmemd finishes it", op->error->message);

        state_set_pool_state(m->state, pool, POOL_RELEASING, reason);
        op_finish(op, SD_ID128_NULL, op->error);
        return;
    }
    if (!hints_remove(m->state_dir, HINT_RELEASE, op->uuid, &error))
        log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: its device is gone", error->message);
    manager_forget_in_ram(m, op->uuid);
    if (!sd_id128_is_null(op->request.request_id)) {
        JfRequest *answer = g_new(JfRequest, 1);

        *answer = (JfRequest){
            .request_id = op->request.request_id,
            .request_hash = op->hash,
            .request_uid = op->request.uid,
            .request_method = op->request.method,
            .result = op->uuid,
        };
        g_queue_push_tail(&m->released, answer);
        if (m->released.length > JF_MAX_REQUESTS)
            g_free(g_queue_pop_head(&m->released));
    }
    if (pool->occupant.raw && pool->occupant.raw->free_slots != UINT64_MAX)
        pool->occupant.raw->free_slots++;
    manager_tell_removing(m);
    state_remove_pool(m->state, pool);
    manager_tell_pool_removed(m, op->uuid);
    op_finish(op, op->uuid, NULL);
}

/* A hint that stayed all the same would have the next start release the pool, which nobody was told: then nothing may
 * come into it until that start. */
static void hint_not_put(Manager *m, Pool *pool) {
    g_autoptr(GError) error = NULL;

    if (hints_remove(m->state_dir, HINT_RELEASE, pool->sb.member_uuid, &error))
        return;
    g_autofree char *reason =
        g_strdup_printf("its release was refused, but may be finished by the next start of pmemd: %s", error->message);
    manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_STATE_DIR_FAILED, reason);
}

void release_mgmt_start(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    char text[PMEMD_UUID_STRING_MAX];

    op->uuid = op->request.target.uuid;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);
    if (!pool)
        error =
            g_error_new(PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                        "there is no management region %s (pmemctl list --mgmt)", pmemd_uuid_format(op->uuid, text));
    if (!pool || !check_owner(op, pool->owner_uid, pool->user, &error) || !rules_pool_writable(pool, &error) ||
        !rules_release_mgmt(m->state, pool, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (!hints_put(m->state_dir, HINT_RELEASE, op->uuid, &error)) {
        hint_not_put(m, pool);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }

    op->device_uuid = pool->sb.member_uuid;
    op->sb = pool->sb;
    backend_tag_format(BACKEND_ROLE_MGMT, op->uuid, op->device_uuid, op->tag);
    journal_free(g_steal_pointer(&pool->journal));
    op->medium = g_steal_pointer(&pool->medium);
    manager_set_pool_state(m, pool, POOL_RELEASING, EVENT_NONE, "it is being released");
    op_work(op, run_release_pool, on_pool_released);
}

/* --- Rename, SetOwner --- */

/* The region or pool at hand; exactly one is set on success. */
static bool find_target(Op *op, Region **ret_region, Pool **ret_pool, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = state_region_by_uuid(op->m->state, op->request.target.uuid);
    Pool *pool = region ? region->pool : state_pool_by_uuid(op->m->state, op->request.target.uuid);

    if (!pool) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no region %s (pmemctl list)",
                    pmemd_uuid_format(op->request.target.uuid, text));
        return false;
    }
    if (!(region ? check_owner(op, region->owner_uid, region->user, error)
                 : check_owner(op, pool->owner_uid, pool->user, error)) ||
        !rules_pool_writable(pool, error))
        return false;
    if (region && region->intent && region->intent->deleting) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "data region %s was released and is being erased",
                    pmemd_uuid_format(region->uuid, text));
        return false;
    }
    *ret_region = region;
    *ret_pool = pool;
    return true;
}

static void change_target(Op *op, uint16_t type, const uint8_t *payload, size_t len, Region *region, Pool *pool) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!manager_append(m, pool, type, 0, payload, len, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op_answer(op, op->request.target.uuid, NULL);
    if (region)
        manager_tell_region_changed(m, region);
    else
        manager_tell_pool_changed(m, pool);
    op_finish(op, op->request.target.uuid, NULL);
}

void rename_start(Op *op) {
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfName record = { .uuid = op->request.target.uuid };
    const char *name = op->name ? op->name : "";
    Region *region;
    Pool *pool;

    if (!find_target(op, &region, &pool, &error) ||
        !rules_name(op->m->state, region ? pool : NULL, name, region ? (void *) region : (void *) pool, &error) ||
        (region && !rules_journal_room(pool, strlen(name), region->user ? strlen(region->user) : 0, &error))) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    g_strlcpy(record.name, name, sizeof record.name);
    change_target(op, JF_NAME, buf, jf_name_encode(&record, buf), region, pool);
}

/* Nobody but root gives somebody more than that one may own. */
static bool may_be_given(const Op *op, const Region *region, GError **error) {
    uint32_t uid = op->request.target.owner_uid;
    OwnerLimits limits = manager_owner_limits(op->m, uid, &op->request.quota);

    return op->request.uid == 0 || uid == region->owner_uid ||
           rules_owner(op->m->state, &limits, region_bytes(region), error);
}

void set_owner_start(Op *op) {
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfOwner record = { .uuid = op->request.target.uuid, .uid = op->request.target.owner_uid };
    const char *user = op->request.target.owner_user ? op->request.target.owner_user : "";
    Region *region;
    Pool *pool;

    if (!find_target(op, &region, &pool, &error) ||
        (region && !(rules_not_leased(op->m->state, region, &error) && may_be_given(op, region, &error))) ||
        (region && !rules_journal_room(pool, region->name ? strlen(region->name) : 0, strlen(user), &error))) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    g_strlcpy(record.user, user, sizeof record.user);
    change_target(op, JF_OWNER, buf, jf_owner_encode(&record, buf), region, pool);
}
