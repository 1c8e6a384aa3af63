/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Forget: a data region whose device is gone for good leaves its pool; with `destroy`, a device of ours that no journal
 * knows is destroyed: what may hold content by way of a release, so that it is erased first.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"

#include <inttypes.h>
#include <string.h>

#define EVIDENCE_BYTES (UINT64_C(64) << 20)

/* --- regions --- */

/* A device with the uuid of the region's that has a frame of it. */
static const BackendDevice *find_in_place(const BackendListing *listing, const Region *region) {
    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (sd_id128_equal(device->uuid, region->device_uuid) &&
            frame_range_overlaps(device->device, region_device(region)))
            return device;
    }
    return NULL;
}

static bool check_forgettable(const Op *op, const Region *region, GError **error) {
    const BackendDevice *device = find_in_place(op->listing, region);
    char text[PMEMD_UUID_STRING_MAX];

    if (!rules_pool_writable(region->pool, error))
        return false;
    if (!device)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "the device of data region %s is there: %s (mode %s) at 0x%" PRIx64 "-0x%" PRIx64
                ". Release the region (pmemctl release); or, if the device cannot be used%s%s, destroy it by hand "
                "(ndctl destroy-namespace) and forget the region then",
                pmemd_uuid_format(region->uuid, text), device->name, device->mode, device->device.start,
                device->device.end, region->reason ? ": " : "", region->reason ?: "");
    return false;
}

static void forget_region(Op *op, Region *region) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfRef record = { .uuid = region->uuid };
    sd_id128_t uuid = region->uuid, pool_uuid = region->pool->sb.member_uuid;

    if (!check_forgettable(op, region, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    manager_tell_removing(m);
    if (!manager_append(m, region->pool, JF_DEL, 0, buf, jf_ref_encode(&record, buf), &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op_answer(op, SD_ID128_NULL, NULL);
    manager_tell_region_removed(m, uuid, pool_uuid);
    manager_tell_pool_changed(m, state_pool_by_uuid(m->state, pool_uuid));
    manager_take_listing(m, op->listing); /* what it hid, where its device was moved to, is an orphan now */
    op_finish(op, SD_ID128_NULL, NULL);
}

/* --- devices --- */

/* What a mgmt device holds may be all that is left of a pool. */
static bool keep_evidence(Op *op) {
    g_autoptr(Medium) medium = manager_backend_open_medium(op->m, op->device_uuid, &op->error);
    g_autofree char *path = NULL;

    if (!medium)
        return false;
    size_t len = (size_t) MIN(medium->size, EVIDENCE_BYTES);
    g_autofree uint8_t *copy = g_try_malloc0(len);
    bool empty = true;

    for (size_t off = 0; copy && off < len; off += PMEMD_FRAME_SIZE) {
        size_t n = MIN(PMEMD_FRAME_SIZE, len - off);

        if (medium_readable(medium, off, n) != 0)
            continue;
        memcpy(copy + off, medium_base(medium) + off, n);
        empty = empty && copy[off] == 0 && memcmp(copy + off, copy + off + 1, n - 1) == 0;
    }
    if (copy && empty)
        return true;
    if (!copy)
        op->error = g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_NO_SPACE, "no memory for a copy of it as evidence");
    return copy && hints_keep_evidence(op->m->state_dir, op->device_uuid, 0, copy, len, &path, &op->error);
}

static void run_destroy(void *data) {
    Op *op = data;

    op->ok = false;
    if (op->is_mgmt && !op->request.repair.force && !keep_evidence(op)) {
        g_prefix_error(&op->error, "it is not destroyed, as no copy could be kept of what it holds (force does "
                                   "without): ");
        return;
    }
    op_run_destroy(op);
}

static void on_listed_again(void *data) {
    Op *op = data;

    op_take_listing(op);
    op_finish(op, SD_ID128_NULL, op->asked_error);
}

static void on_destroyed(void *data) {
    Op *op = data;

    g_clear_error(&op->asked_error);
    if (!op->ok)
        op->asked_error = g_steal_pointer(&op->error);
    op_work(op, op_run_list, on_listed_again);
}

static void destroy_device(Op *op, const Foreign *foreign) {
    const BackendDevice *device = listing_find_foreign(op->listing, foreign);
    g_autoptr(GError) error = NULL;

    g_assert(device); /* the listing was just taken in */
    if (!manager_check_unique(op->m, op->listing, device, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op->device_uuid = device->uuid;
    op->is_mgmt = device->role == BACKEND_ROLE_MGMT && device->state == BACKEND_DEVICE_COMPLETE;
    g_strlcpy(op->tag, device->tag, sizeof op->tag);
    op_work(op, run_destroy, on_destroyed);
}

/* Adopted and released in one: the eraser does the rest, also after a crash. Between the two records it is root's. */
static void erase_orphan(Op *op, Foreign *foreign) {
    const AdoptRequest wish = { .pool = op->pool_key, .extent_start = UINT64_MAX };
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    sd_id128_t request_id = op->request.request_id;

    /* The answer of the whole belongs to the second record. */
    op->request.request_id = SD_ID128_NULL;
    Region *region = op_adopt(op, foreign, &wish, &error);
    op->request.request_id = request_id;
    if (!region) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    JfDelete record = {
        .region_uuid = region->uuid,
        .request_id = request_id,
        .request_hash = op->hash,
        .request_uid = op->request.uid,
        .request_method = op->request.method,
        .time = manager_now_usec(),
    };
    bool released = manager_append(m, region->pool, JF_INTENT_DELETE, region->pool->last_txid + 1, buf,
                                   jf_delete_encode(&record, buf), &error);

    op_answer(op, released ? region->uuid : SD_ID128_NULL, released ? NULL : error);
    manager_tell_region_added(m, region);
    manager_tell_pool_changed(m, region->pool);
    if (released)
        manager_tell_to_erase(m, region);
    manager_tell_platform(m);
    op_finish(op, op->uuid, NULL);
}

static void forget_device(Op *op, Foreign *foreign) {
    const BackendDevice *device = listing_find_foreign(op->listing, foreign);
    g_autoptr(GError) error = NULL;

    if (foreign->kind == FOREIGN_FOREIGN || !device) {
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                            "device %s was not made by pmemd, which never touches it: remove it with the tool that "
                            "made it",
                            foreign->name);
        op_finish(op, SD_ID128_NULL, error);
    } else if (!op->request.repair.destroy) {
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                            "device %s is there, at 0x%" PRIx64 "-0x%" PRIx64
                            ": to forget it is to destroy it with all it holds, which needs destroy to be true "
                            "(pmemctl forget --destroy); to keep what it holds, adopt it (pmemctl adopt)",
                            foreign->name, foreign->device.start, foreign->device.end);
        op_finish(op, SD_ID128_NULL, error);
    } else if (device->role == BACKEND_ROLE_DATA && device->state == BACKEND_DEVICE_COMPLETE) {
        erase_orphan(op, foreign);
    } else {
        destroy_device(op, foreign);
    }
}

/* --- the request --- */

static void on_listed(void *data) {
    Op *op = data;
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    sd_id128_t uuid;

    if (!op->listing) {
        op_finish(op, SD_ID128_NULL, op->error);
        return;
    }
    manager_take_listing(m, op->listing);
    Region *region = pmemd_uuid_parse(op->key, &uuid) ? state_region_by_uuid(m->state, uuid) : NULL;
    Foreign *foreign = region ? NULL : manager_find_device(m, op->key, &error);

    if (region)
        forget_region(op, region);
    else if (foreign)
        forget_device(op, foreign);
    else
        op_finish(op, SD_ID128_NULL, error);
}

void forget_start(Op *op) {
    op_work(op, op_run_list, on_listed);
}
