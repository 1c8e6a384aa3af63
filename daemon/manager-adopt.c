/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Adopt: an orphan becomes a data region with the content that it has; a pool that was last used on another machine
 * becomes this one's. Explicit, never by itself. The device is not touched: its tag goes on to name the pool that made
 * it, and the journal says so.
 */
#include "daemon/manager-internal.h"

#include <inttypes.h>
#include <string.h>

Foreign *manager_find_device(Manager *m, const char *key, GError **error) {
    GPtrArray *foreigns = state_foreigns(m->state);
    Foreign *found = NULL;
    sd_id128_t uuid;
    bool by_uuid = pmemd_uuid_parse(key, &uuid);

    for (guint i = 0; i < foreigns->len; i++) {
        Foreign *foreign = g_ptr_array_index(foreigns, i);

        if (by_uuid ? !sd_id128_equal(foreign->uuid, uuid) : strcmp(foreign->name, key) != 0)
            continue;
        if (found) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                        "two devices are called %s: give the name of one (pmemctl list --foreign)", key);
            return NULL;
        }
        found = foreign;
    }
    if (!found)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                    "no device that is an orphan, unformatted or foreign is called %s (pmemctl list --foreign)", key);
    return found;
}

const BackendDevice *listing_find_foreign(const BackendListing *listing, const Foreign *foreign) {
    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (strcmp(device->name, foreign->name) == 0 && frame_range_equal(device->device, foreign->device))
            return device;
    }
    return NULL;
}

/* By its uuid alone it could not be told from another one that has it, too: nothing may be done by that uuid. */
bool manager_check_unique(const Manager *m, const BackendListing *listing, const BackendDevice *device,
                          GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    guint same = 0;

    for (guint i = 0; i < listing->devices->len; i++)
        same += sd_id128_equal(((const BackendDevice *) g_ptr_array_index(listing->devices, i))->uuid, device->uuid)
                    ? 1
                    : 0;
    if (sd_id128_is_null(device->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "device %s has no uuid, so that it cannot be told from another one: destroy it by hand "
                    "(ndctl destroy-namespace)",
                    device->name);
        return false;
    }
    if (same > 1 || manager_region_of_device(m, device->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                    "device %s has uuid %s, which another device or a data region has, too: its labels were copied, or "
                    "it was moved; remove the copy by hand (ndctl destroy-namespace), or forget the region",
                    device->name, pmemd_uuid_format(device->uuid, text));
        return false;
    }
    return true;
}

const Region *manager_region_of_device(const Manager *m, sd_id128_t device_uuid) {
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (sd_id128_equal(region->device_uuid, device_uuid))
            return region;
    return NULL;
}

/* --- orphans --- */

static bool check_orphan(const Manager *m, const BackendListing *listing, const Foreign *foreign,
                         const BackendDevice *device, GError **error) {
    if (foreign->kind == FOREIGN_FOREIGN) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "device %s was not made by pmemd, which never touches it: remove it with the tool that made it",
                    foreign->name);
        return false;
    }
    if (foreign->kind == FOREIGN_UNFORMATTED || !device || device->role != BACKEND_ROLE_DATA) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "device %s is no data region's: it can only be destroyed (pmemctl forget --destroy)",
                    foreign->name);
        return false;
    }
    if (device->state != BACKEND_DEVICE_COMPLETE) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "device %s (mode %s) is not whole: it is disabled, or its setup was cut off. Enable it (ndctl "
                    "enable-namespace), or remove it (pmemctl forget --destroy)",
                    device->name, device->mode);
        return false;
    }
    return manager_check_unique(m, listing, device, error);
}

/* The medium failed while the record was written: the next start may find it or not. Until then the frames are this
 * pool's, or another pool could adopt the same device. */
static void adoption_not_written(Op *op, const uint8_t *payload, size_t len, const GError *reason) {
    Manager *m = op->m;
    Pool *pool = op->plan.pool;

    if (!pool->journal || !journal_failed(pool->journal) ||
        !state_apply(m->state, pool, JF_ADOPT, 0, payload, len, NULL)) {
        manager_take_listing(m, op->listing); /* it is the orphan that it was */
        return;
    }
    manager_set_region_state(m, state_region_by_uuid(m->state, op->uuid), REGION_UNSETTLED, EVENT_REGION_UNSETTLED,
                             reason->message);
}

Region *op_adopt(Op *op, Foreign *foreign, const AdoptRequest *wish, GError **error) {
    Manager *m = op->m;
    const BackendDevice *device = listing_find_foreign(op->listing, foreign);
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!check_orphan(m, op->listing, foreign, device, error))
        return NULL;

    AdoptRequest request = *wish;
    request.device = device->device;
    request.usable = device->usable;
    if (!rules_adopt(m->state, foreign, &request, &op->plan, error))
        return NULL;
    if (sd_id128_randomize(&op->uuid) < 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the kernel gave no random numbers");
        return NULL;
    }

    JfAdopt record = {
        .region = {
            .region_uuid = op->uuid,
            .device_uuid = device->uuid,
            .range = op->plan.range,
            .device_start = op->plan.device.start,
            .extent = op->plan.extent,
            .owner_uid = op->request.repair.owner_uid,
            /* Not dirty: its content is what it is adopted for, and its owner's. */
            .request_id = op->request.request_id,
            .request_hash = op->hash,
            .request_uid = op->request.uid,
            .request_method = op->request.method,
            .time = manager_now_usec(),
        },
        .tag_pool = foreign->tag_pool,
    };
    g_strlcpy(record.region.name, request.name ? request.name : "", sizeof record.region.name);
    g_strlcpy(record.region.user, op->owner_user ? op->owner_user : "", sizeof record.region.user);
    size_t len = jf_adopt_encode(&record, buf);

    g_autoptr(GError) local = NULL;
    state_remove_foreign(m->state, foreign); /* the region takes its frames in the same breath */
    if (!manager_append(m, op->plan.pool, JF_ADOPT, 0, buf, len, &local)) {
        adoption_not_written(op, buf, len, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    Region *region = state_region_by_uuid(m->state, op->uuid);
    region_set_path(region, device->path);
    manager_take_bad_of(m, (BadHolder){ .region = region });
    return region;
}

static void adopt_orphan(Op *op, Foreign *foreign) {
    const AdoptRequest wish = {
        .pool = op->pool_key,
        .name = op->name,
        .extent_start = op->request.repair.extent_start,
    };
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    const Region *region = op_adopt(op, foreign, &wish, &error);

    if (!region) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op_answer(op, region->uuid, NULL);
    manager_tell_region_added(m, region);
    manager_tell_pool_changed(m, region->pool);
    manager_tell_platform(m);
    op_finish(op, op->uuid, NULL);
}

/* --- pools of other machines --- */

static bool append_owner(Manager *m, Pool *pool, sd_id128_t uuid, GError **error) {
    JfOwner record = { .uuid = uuid, .uid = 0, .user = "root" };
    uint8_t buf[JF_PAYLOAD_MAX];

    return manager_append(m, pool, JF_OWNER, 0, buf, jf_owner_encode(&record, buf), error);
}

/* What users were called over there says nothing about who they are here. The start's record comes last: until it is
 * there the pool is the other machine's, and the takeover can be asked for again. */
static bool take_over(Manager *m, Pool *pool, GError **error) {
    if (!append_owner(m, pool, pool->sb.member_uuid, error))
        return false;
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (region->pool == pool && !append_owner(m, pool, region->uuid, error))
            return false;
    /* Who had regions over there has them no more; and what was erased over there, nobody has watched since. */
    state_void_leases(m->state, pool);
    return manager_checkpoint(m, pool, error) && manager_append_open(m, pool, error);
}

static void on_taken_over(Op *op) {
    Manager *m = op->m;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);

    manager_tell_pool_changed(m, pool);
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (region->pool == pool)
            manager_tell_region_changed(m, region);
    op_finish(op, op->uuid, NULL);
}

static void adopt_pool(Op *op, Pool *pool) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    char text[PMEMD_UUID_STRING_MAX];

    op->uuid = pool->sb.member_uuid;
    if (!manager_is_other_machines(m, pool)) {
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_EXISTS,
                            "pool %s is this machine's already: there is nothing to adopt%s%s",
                            pmemd_uuid_format(op->uuid, text), pool->reason ? "; " : "", pool->reason ?: "");
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (!take_over(m, pool, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    manager_set_pool_state(m, pool, POOL_OK, EVENT_NONE, NULL);
    /* What was cut off over there was left alone so far. */
    manager_take_listing(m, op->listing);
    op_settle(op, pool, on_taken_over);
}

/* --- the request --- */

static void on_listed(void *data) {
    Op *op = data;
    Manager *m = op->m;
    const char *key = op->key;
    g_autoptr(GError) error = NULL;

    if (!op->listing) {
        op_finish(op, SD_ID128_NULL, op->error);
        return;
    }
    manager_take_listing(m, op->listing);
    Pool *pool = state_pool_by_key(m->state, key);
    if (pool) {
        adopt_pool(op, pool);
        return;
    }
    Foreign *foreign = manager_find_device(m, key, &error);
    if (!foreign)
        op_finish(op, SD_ID128_NULL, error);
    else
        adopt_orphan(op, foreign);
}

void adopt_start(Op *op) {
    op_work(op, op_run_list, on_listed);
}
