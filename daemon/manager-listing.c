/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A listing of the platform, and how the state takes it in: raw regions, and the devices that are no region's or pool's.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"
#include "daemon/power-loss.h"
#include "daemon/recovery.h"

#include <inttypes.h>
#include <malloc.h>
#include <string.h>

const BackendDevice *listing_find(const BackendListing *listing, sd_id128_t uuid) {
    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (sd_id128_equal(device->uuid, uuid))
            return device;
    }
    return NULL;
}

char *listing_describe_absent(const BackendListing *listing, FrameRange device, const Raw *raw) {
    if (!raw)
        return g_strdup("its raw region is not on the platform");
    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *other = g_ptr_array_index(listing->devices, i);

        if (frame_range_overlaps(other->device, device))
            return g_strdup_printf("its device is not on the platform: %s (mode %s) took its frames 0x%" PRIx64
                                   "-0x%" PRIx64,
                                   other->name, other->mode, other->device.start, other->device.end);
    }
    /* In RAM nothing failed and nothing comes back. */
    if (power_loss_is_whole(raw->persistence))
        return g_strdup_printf("%s is RAM and holds no device: its content went with the power, or the device was "
                               "destroyed; pmemctl forget makes its frames free",
                               raw->id);
    return g_strdup_printf("its device is not on the platform; its frames stay reserved%s%s%s%s",
                           raw->unusable ? " (raw region " : "", raw->unusable ? raw->id : "",
                           raw->unusable ? ": " : "", raw->unusable ? raw->unusable : "");
}

void device_table_clear(DeviceTable *table) {
    g_clear_pointer(&table->first, g_hash_table_unref);
    g_clear_pointer(&table->others, g_hash_table_unref);
}

void device_table_fill(DeviceTable *table, const BackendListing *listing) {
    table->first = g_hash_table_new(pmemd_uuid_hash, pmemd_uuid_equal);
    table->others = g_hash_table_new_full(pmemd_uuid_hash, pmemd_uuid_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
    for (guint i = 0; i < listing->devices->len; i++) {
        BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (sd_id128_is_null(device->uuid))
            continue;
        if (!g_hash_table_contains(table->first, &device->uuid)) {
            g_hash_table_insert(table->first, &device->uuid, device);
            continue;
        }
        GPtrArray *others = g_hash_table_lookup(table->others, &device->uuid);
        if (!others) {
            others = g_ptr_array_new();
            g_hash_table_insert(table->others, &device->uuid, others);
        }
        g_ptr_array_add(others, device);
    }
}

const BackendDevice *device_table_find(const DeviceTable *table, sd_id128_t uuid, FrameRange device) {
    const BackendDevice *first = g_hash_table_lookup(table->first, &uuid);
    GPtrArray *others = g_hash_table_lookup(table->others, &uuid);

    if (first && frame_range_equal(first->device, device))
        return first;
    for (guint i = 0; others && i < others->len; i++) {
        const BackendDevice *other = g_ptr_array_index(others, i);

        if (frame_range_equal(other->device, device))
            return other;
    }
    return first;
}

static void take_raw(Manager *m, const BackendRaw *found) {
    Raw *raw = state_raw_by_id(m->state, found->id);

    if (raw && !frame_range_equal(raw->range, found->range)) {
        g_free(raw->unusable);
        raw->unusable =
            g_strdup_printf("its range changed while pmemd ran (now 0x%" PRIx64 "-0x%" PRIx64 "); restart pmemd",
                            found->range.start, found->range.end);
        return;
    }
    if (!raw) {
        raw = raw_new(found->id, found->range);
        if (!state_add_raw(m->state, raw)) {
            raw_free(raw);
            return; /* it overlaps one that is listed already: the platform contradicts itself, the first one stands */
        }
    }
    raw->cookie = found->cookie;
    raw->node = found->node;
    raw->local_node = found->local_node;
    raw->step = found->step;
    raw->lead = found->lead;
    raw->minimum = found->minimum;
    raw->free_slots = found->free_slots;
    raw->subdividable = found->kind != BACKEND_RAW_UNLABELLED;
    raw->initialisable = found->initialisable;
    raw->zeroed = found->zeroed;
    g_free(raw->kind);
    raw->kind = g_strdup(found->kind == BACKEND_RAW_LABELLED     ? "labelled"
                         : found->kind == BACKEND_RAW_UNLABELLED ? "unlabelled"
                                                                 : "file");
    g_free(raw->persistence);
    raw->persistence = g_strdup(found->persistence);
    g_free(raw->unusable);
    raw->unusable = g_strdup(found->unusable);
    raw->hides = found->hides;
    g_strfreev(raw->dimms);
    raw->dimms = g_strdupv(found->dimms);
    raw_set_bad(raw, found->bad);
    raw->bad_all = found->bad_all;
    g_clear_pointer(&raw->health, g_ptr_array_unref);
    raw->health = dimm_healths_copy(found->health);
    raw->unmanaged = !manager_is_managed(m, raw);
}

/* Device uuids of all data regions, for one pass over a listing. */
static GHashTable *index_by_device(const State *state) {
    GHashTable *by_device = g_hash_table_new(pmemd_uuid_hash, pmemd_uuid_equal);

    for (Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        g_hash_table_insert(by_device, &region->device_uuid, region);
    return by_device;
}

bool manager_may_clean(const Manager *m, const BackendDevice *device) {
    const Raw *raw = state_raw_by_id(m->state, device->raw_id);

    return device->role != BACKEND_ROLE_FILLER || (raw && !raw->unmanaged);
}

static void take_foreign(Manager *m, const BackendDevice *device, ForeignKind kind) {
    Foreign *foreign = g_new0(Foreign, 1);

    foreign->kind = kind;
    foreign->device = device->device;
    foreign->uuid = device->uuid;
    foreign->name = g_strdup(device->name);
    foreign->mode = g_strdup(device->mode);
    if (kind == FOREIGN_ORPHAN)
        backend_tag_parse(device->tag, &foreign->tag_pool, NULL);
    state_add_foreign(m->state, foreign);
}

/* Is it the device of a region or pool, in the place that the model reserves for it? One with the same uuid that
 * stands elsewhere (it moved, or labels were copied) takes frames, too, and those must not be given to anybody. */
static bool is_known(const Manager *m, GHashTable *by_device, const BackendDevice *device) {
    const Pool *pool = state_pool_by_uuid(m->state, device->uuid);
    const Region *region = g_hash_table_lookup(by_device, &device->uuid);

    if (pool && frame_range_contains(pool->occupant.entry.range, device->device))
        return true;
    return region && frame_range_contains(region_device(region), device->device);
}

static bool hint_pending(Manager *m, sd_id128_t uuid) {
    return hints_has(m->state_dir, HINT_SETUP, uuid) || hints_has(m->state_dir, HINT_RELEASE, uuid);
}

static bool is_listed(const BackendListing *listing, const Raw *raw) {
    for (guint i = 0; i < listing->raws->len; i++)
        if (strcmp(((const BackendRaw *) g_ptr_array_index(listing->raws, i))->id, raw->id) == 0)
            return true;
    return false;
}

void manager_take_raws(Manager *m, const BackendListing *listing) {
    const GPtrArray *raws = state_raws(m->state);

    for (guint i = 0; i < listing->raws->len; i++)
        take_raw(m, g_ptr_array_index(listing->raws, i));
    for (guint i = 0; i < raws->len; i++) {
        Raw *raw = g_ptr_array_index(raws, i);

        if (is_listed(listing, raw))
            continue;
        g_free(raw->unusable);
        raw->unusable = g_strdup("it is not on the platform now");
        raw->hides = true;
    }
}

void manager_take_listing(Manager *m, const BackendListing *listing) {
    g_autoptr(GHashTable) by_device = index_by_device(m->state);

    state_clear_foreign(m->state);
    manager_take_raws(m, listing);
    for (guint i = 0; i < listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i);
        static const ForeignKind kinds[] = {
            [RECOVERY_DEVICE_FOREIGN] = FOREIGN_FOREIGN,
            [RECOVERY_DEVICE_ORPHAN] = FOREIGN_ORPHAN,
            [RECOVERY_DEVICE_UNFORMATTED] = FOREIGN_UNFORMATTED,
            [RECOVERY_DEVICE_DESTROY] = FOREIGN_UNFORMATTED, /* until it is gone */
        };

        if (is_known(m, by_device, device))
            continue;
        RecoveryDeviceAction action = recovery_decide_device(device, hint_pending(m, device->uuid));
        take_foreign(m, device, manager_may_clean(m, device) ? kinds[action] : FOREIGN_ORPHAN);
    }
    if (!m->recovering) {
        manager_follow(m, listing);
        manager_take_bad(m);
    }
    manager_tell_platform(m);
}

void op_take_listing(Op *op) {
    if (op->listing)
        manager_take_listing(op->m, op->listing);
    else
        log_event(EVENT_PLATFORM_UNREADABLE, NULL, "the platform could not be read again, ignoring: %s",
                  op->error->message);
}

void op_drop_listing(Op *op) {
    g_clear_pointer(&op->listing, backend_listing_free);
    /* A listing of many devices has come and gone, in between of what stays: the allocator would keep its pages. */
    (void) malloc_trim(0);
}

static void on_looked_again(void *data) {
    Op *op = data;

    op_take_listing(op);
    op_drop_listing(op);
    op->start(op);
}

bool op_look_again(Op *op, const GError *refusal) {
    if (op->looked || state_foreigns(op->m->state)->len == 0 ||
        (!g_error_matches(refusal, PMEMD_ERROR, PMEMD_ERROR_BUSY) &&
         !g_error_matches(refusal, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE)))
        return false;
    op->looked = true;
    op_work(op, op_run_list, on_looked_again);
    return true;
}

static void refresh_done(Op *op) {
    op_drop_listing(op);
    op_finish(op, SD_ID128_NULL, NULL);
}

static void on_refreshed(void *data) {
    Op *op = data;

    op_take_listing(op);
    if (op->listing)
        op_reopen_pools(op, refresh_done);
    else
        refresh_done(op);
}

void refresh_start(Op *op) {
    op->m->refreshing = false;
    op_work(op, op_run_list, on_refreshed);
}
