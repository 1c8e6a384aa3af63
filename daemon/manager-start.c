/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The start: read the platform, replay the journals, tell ready, then compare the two and finish or undo what was cut
 * off. Decisions are recovery.c's; this file carries them out.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"
#include "daemon/recovery.h"

#include <inttypes.h>

/* A complete device with the role mgmt, and the medium the worker opened on it. */
typedef struct {
    const BackendDevice *device; /* in op->listing */
    Medium *medium;              /* NULL: error */
    GError *error;
    JfSuperblock sb;
    JfVerdict verdict;
    bool readable; /* both places of its superblock are */
    Pool *pool;    /* once replayed */
    char *refused; /* why it is no pool; NULL: may be one */
    Event event;   /* what the log calls the refusal */
} FoundMedium;

static void found_medium_free(FoundMedium *found) {
    medium_free(found->medium);
    g_clear_error(&found->error);
    g_free(found->refused);
    g_free(found);
}

/* A device that recovery has decided to destroy. */
typedef struct {
    sd_id128_t uuid;
    char tag[BACKEND_TAG_MAX];
    sd_id128_t region; /* whose creation is to be aborted then; null: none */
    bool hint;         /* its setup or release hint goes, too */
} Doomed;

/* --- worker steps --- */

static bool superblocks_readable(Medium *medium) {
    return medium->size >= UINT64_C(2) * JF_COPY_PAGE && medium_readable(medium, 0, JF_SUPERBLOCK_SIZE) == 0 &&
           medium_readable(medium, jf_superblock_offset(medium->size, 1), JF_SUPERBLOCK_SIZE) == 0;
}

/* Of the mgmt devices: those in `only`, or all (NULL). */
static void open_media(Op *op, GHashTable *only) {
    op->media = g_ptr_array_new_with_free_func((GDestroyNotify) found_medium_free);
    for (guint i = 0; i < op->listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(op->listing->devices, i);

        if (device->role != BACKEND_ROLE_MGMT || device->state != BACKEND_DEVICE_COMPLETE ||
            (only && !g_hash_table_contains(only, &device->uuid)))
            continue;
        FoundMedium *found = g_new0(FoundMedium, 1);
        found->device = device;
        found->medium = manager_backend_open_medium(op->m, device->uuid, &found->error);
        found->verdict = found->medium ? journal_probe(found->medium, &found->sb) : JF_NOT_OURS;
        found->readable = found->medium && superblocks_readable(found->medium);
        g_ptr_array_add(op->media, found);
    }
}

static void run_read_platform(void *data) {
    Op *op = data;

    op_run_list(op);
    if (op->listing)
        open_media(op, NULL);
}

static void run_read_new(void *data) {
    Op *op = data;

    open_media(op, op->fresh);
}

/* --- the journals --- */

/* Whether a setup that a hint tells of may have come to its end: a superblock of this very device, or none that
 * could be read. Such a device is never destroyed for its setup hint, also when it cannot be used now. */
static bool found_may_be_pool(const FoundMedium *found) {
    if (found->verdict == JF_NOT_OURS || found->verdict == JF_BAD)
        return !found->readable;
    return sd_id128_equal(found->sb.member_uuid, found->device->uuid);
}

static void check_found(Manager *m, FoundMedium *found) {
    found->event = EVENT_POOL_REFUSED;
    if (!found->medium)
        found->refused = g_strdup(found->error->message);
    else if (found->verdict == JF_NOT_OURS || found->verdict == JF_BAD)
        found->refused =
            g_strdup(found->verdict == JF_BAD ? "both of its superblocks are damaged" : "it holds no superblock");
    else
        recovery_check_superblock(&found->sb, found->device, state_raw_by_id(m->state, found->device->raw_id),
                                  &found->refused);
}

/* Two that carry one journal's uuid are copies of each other, and which is the true one cannot be told: neither is
 * used. */
static void refuse_twins(GPtrArray *media) {
    for (guint i = 0; i < media->len; i++)
        for (guint k = 0; k < media->len; k++) {
            FoundMedium *a = g_ptr_array_index(media, i);
            const FoundMedium *b = g_ptr_array_index(media, k);

            if (i != k && !a->refused && b->verdict != JF_NOT_OURS && b->verdict != JF_BAD &&
                sd_id128_equal(a->sb.journal_uuid, b->sb.journal_uuid)) {
                a->refused = g_strdup_printf("its journal's uuid is also that of %s", b->device->name);
                a->event = EVENT_POOL_TWINS;
            }
        }
}

static void log_refused(const FoundMedium *found, const char *reason) {
    char uuid[PMEMD_UUID_STRING_MAX];

    log_event(found->event,
              LOG_FIELDS({ "POOL", pmemd_uuid_format(found->device->uuid, uuid) }, { "DEVICE", found->device->name }),
              "mgmt device %s is not used: %s", found->device->name, reason);
}

static void refuse(Manager *m, const FoundMedium *found, const char *reason) {
    sd_id128_t *uuid = g_new(sd_id128_t, 1);

    *uuid = found->device->uuid;
    g_hash_table_add(m->refused, uuid);
    log_refused(found, reason);
}

static void replay_found(Manager *m, FoundMedium *found) {
    g_autoptr(GError) error = NULL;

    if (found->refused) {
        refuse(m, found, found->refused);
        return;
    }
    if (found->verdict == JF_UNSUPPORTED) {
        found->pool = state_add_pool(m->state, &found->sb, found->device->device, POOL_OK, &error);
        if (found->pool)
            manager_set_pool_state(m, found->pool, POOL_UNSUPPORTED, EVENT_POOL_UNSUPPORTED,
                                   "it was written by a newer pmemd; upgrade pmemd to use it");
    } else {
        found->pool = manager_open_pool(m, found->medium, &found->sb, found->device->device, &error);
        if (found->pool)
            found->medium = NULL; /* the pool's now */
    }
    if (found->pool)
        pool_set_path(found->pool, found->device->path);
    else
        refuse(m, found, error->message);
}

/* --- comparing --- */

static void doom(Op *op, sd_id128_t uuid, const char *tag, sd_id128_t region, bool hint) {
    Doomed doomed = { .uuid = uuid, .region = region, .hint = hint };

    g_strlcpy(doomed.tag, tag, sizeof doomed.tag);
    g_array_append_val(op->doomed, doomed);
}

void manager_tell_if_to_erase(Manager *m, const Region *region) {
    Erase erase;

    if (region->pool->state != POOL_OK || !state_erase(m->state, region, &erase))
        return;
    state_set_erase_failed(m->state, region, false); /* what it failed for may be over: its device was away */
    manager_tell_to_erase(m, region);
}

static void settle_region(Op *op, Region *region, const BackendDevice *device) {
    Manager *m = op->m;
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    bool ok = true;

    region_set_path(region, device ? device->path : NULL);
    RecoveryAction action = recovery_decide_region(region, device, &reason);
    if (action == RECOVERY_MISSING && !device) {
        g_free(reason);
        reason = listing_describe_absent(op->listing, region_device(region), region->occupant.raw);
    }
    switch (action) {
    case RECOVERY_KEEP:
        manager_set_region_state(m, region, REGION_OK, EVENT_NONE, NULL);
        manager_tell_if_to_erase(m, region);
        return;
    case RECOVERY_MISSING:
        manager_set_region_state(m, region, REGION_MISSING, device ? EVENT_REGION_DISPLACED : EVENT_REGION_MISSING,
                                 reason);
        return;
    case RECOVERY_UNSETTLED:
        manager_set_region_state(m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, reason);
        return;
    case RECOVERY_ERASE_LATER:
        manager_set_region_state(m, region, REGION_QUARANTINED, EVENT_RELEASE_WAITS, reason);
        return;
    case RECOVERY_ERASE:
    case RECOVERY_COMMIT_CREATE:
    case RECOVERY_ABORT_CREATE:
    case RECOVERY_DESTROY_AND_ABORT:
    case RECOVERY_COMMIT_DELETE:
        break;
    }

    /* The rest writes: not for a pool that must not be written, whose journal may be wrong or another machine's. */
    if (region->pool->state != POOL_OK) {
        reason =
            g_strdup_printf("its %s was cut off and its pool is %s", region->intent->deleting ? "release" : "creation",
                            pool_state_to_string(region->pool->state));
        manager_set_region_state(m, region, region->intent->deleting ? REGION_QUARANTINED : REGION_UNSETTLED,
                                 EVENT_REGION_UNSETTLED, reason);
        return;
    }

    sd_id128_t uuid = region->uuid, pool_uuid = region->pool->sb.member_uuid;
    if (action == RECOVERY_COMMIT_CREATE || action == RECOVERY_DESTROY_AND_ABORT)
        g_assert(device); /* what is committed or destroyed is there */
    if (action == RECOVERY_ERASE) {
        manager_set_region_state(m, region, REGION_QUARANTINED, EVENT_NONE, STATE_REASON_RELEASED);
        manager_tell_to_erase(m, region);
    } else if (action == RECOVERY_COMMIT_CREATE)
        ok = manager_append_commit(m, region, device->device, &error);
    else if (action == RECOVERY_COMMIT_DELETE)
        ok = manager_append_commit(m, region, (FrameRange){ 0, 0 }, &error);
    else if (action == RECOVERY_ABORT_CREATE)
        ok = manager_append_abort(m, region, PMEMD_ERROR_INTERNAL, &error);
    else if (device)
        doom(op, device->uuid, device->tag, region->uuid, false);
    if (!ok)
        manager_set_region_state(m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, error->message);
    else if (action == RECOVERY_COMMIT_CREATE) {
        manager_tell_region_changed(m, region);
        manager_tell_if_to_erase(m, region);
    } else if (action == RECOVERY_COMMIT_DELETE || action == RECOVERY_ABORT_CREATE)
        manager_tell_region_removed(m, uuid, pool_uuid);
}

/* pool NULL: of all pools. */
static void compare_regions(Op *op, const Pool *pool) {
    Manager *m = op->m;
    g_auto(DeviceTable) devices = { 0 };
    g_autoptr(GPtrArray) regions = g_ptr_array_new();

    device_table_fill(&devices, op->listing);
    /* Settling removes regions: collect them first. */
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (!pool || region->pool == pool)
            g_ptr_array_add(regions, region);
    for (guint i = 0; i < regions->len; i++) {
        Region *region = g_ptr_array_index(regions, i);

        settle_region(op, region, device_table_find(&devices, region->device_uuid, region_device(region)));
    }
}

static bool may_be_pool(const Op *op, sd_id128_t uuid) {
    for (guint i = 0; i < op->kept->len; i++)
        if (sd_id128_equal(g_array_index(op->kept, sd_id128_t, i), uuid))
            return true;
    return false;
}

/* A setup hint beside a pool: the daemon died before it told anybody of the pool. While the hint stays a later start
 * may still destroy the device, so nothing comes into it. */
static void refuse_hinted(Manager *m, Pool *pool, const GError *error) {
    g_autofree char *reason = g_strdup_printf("it is whole, but %s; put that right and restart pmemd", error->message);

    if (pool->state == POOL_OK)
        manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_STATE_DIR_FAILED, reason);
}

/* Hints whose device is whole again, or gone, have done their duty; a release that had begun goes on. */
static void compare_hints(Op *op, HintKind kind) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) uuids = hints_list(m->state_dir, kind, &error);

    for (guint i = 0; uuids && i < uuids->len; i++) {
        sd_id128_t uuid = g_array_index(uuids, sd_id128_t, i);
        Pool *pool = state_pool_by_uuid(m->state, uuid);
        const BackendDevice *device = listing_find(op->listing, uuid);

        if (pool && kind == HINT_RELEASE) {
            Op *release = op_new(m, release_mgmt_start);

            release->uuid = uuid;
            release->request.target.uuid = uuid;
            release->request.others = true; /* who asked was allowed to before the hint was written */
            op_enqueue(release, true);
        } else if (device && !pool) {
            RecoveryDeviceAction action = recovery_decide_device(device, true);

            if (action == RECOVERY_DEVICE_DESTROY && !(kind == HINT_SETUP && may_be_pool(op, uuid)))
                doom(op, uuid, device->tag, SD_ID128_NULL, true);
        } else if (!hints_remove(m->state_dir, kind, uuid, &error)) {
            if (pool)
                refuse_hinted(m, pool, error);
            else
                log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: it is looked at again at the next start",
                          error->message);
            g_clear_error(&error);
        }
    }
    if (!uuids)
        log_event(EVENT_STATE_DIR_FAILED, NULL,
                  "%s, ignoring: a mgmt region that was half set up stays listed as unformatted", error->message);
}

static void doom_fillers(Op *op) {
    for (guint i = 0; i < op->listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(op->listing->devices, i);

        if (device->role == BACKEND_ROLE_FILLER && manager_may_clean(op->m, device) &&
            recovery_decide_device(device, false) == RECOVERY_DEVICE_DESTROY)
            doom(op, device->uuid, device->tag, SD_ID128_NULL, false);
    }
}

static void start_destroy_next(Op *op);

static void start_done(Op *op) {
    op_drop_listing(op);
    op->m->recovering = false;
    manager_tell_unconfirmed(op->m);
    manager_take_bad(op->m);
    manager_tell_platform(op->m);
    op_finish(op, SD_ID128_NULL, NULL);
}

static void on_last_listing(void *data) {
    Op *op = data;

    op_take_listing(op);
    op->settled(op);
}

static void on_destroyed(void *data) {
    Op *op = data;
    Manager *m = op->m;
    const Doomed *doomed = &g_array_index(op->doomed, Doomed, op->next++);
    Region *region = sd_id128_is_null(doomed->region) ? NULL : state_region_by_uuid(m->state, doomed->region);
    g_autoptr(GError) error = NULL;

    if (!op->ok) {
        log_event(EVENT_LEFTOVER_STAYS, NULL, "what an interrupted operation left behind could not be removed: %s",
                  op->error->message);
        if (region)
            manager_set_region_state(m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, op->error->message);
    } else {
        sd_id128_t pool_uuid = region ? region->pool->sb.member_uuid : SD_ID128_NULL;

        if (region && !manager_append_abort(m, region, PMEMD_ERROR_INTERNAL, &error))
            manager_set_region_state(m, region, REGION_UNSETTLED, EVENT_REGION_UNSETTLED, error->message);
        else if (region)
            manager_tell_region_removed(m, doomed->region, pool_uuid);
        g_clear_error(&error);
        if (doomed->hint && (!hints_remove(m->state_dir, HINT_SETUP, doomed->uuid, &error) ||
                             !hints_remove(m->state_dir, HINT_RELEASE, doomed->uuid, &error)))
            log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: the device is gone", error->message);
    }
    start_destroy_next(op);
}

static void start_destroy_next(Op *op) {
    if (op->next == op->doomed->len) {
        if (op->doomed->len > 0)
            op_work(op, op_run_list, on_last_listing);
        else
            op->settled(op);
        return;
    }

    const Doomed *doomed = &g_array_index(op->doomed, Doomed, op->next);
    op->device_uuid = doomed->uuid;
    g_strlcpy(op->tag, doomed->tag, sizeof op->tag);
    op_work(op, op_run_destroy, on_destroyed);
}

void op_settle(Op *op, Pool *pool, void (*settled)(Op *op)) {
    op->settled = settled;
    op->next = 0;
    if (!op->doomed)
        op->doomed = g_array_new(FALSE, FALSE, sizeof(Doomed));
    compare_regions(op, pool);
    start_destroy_next(op);
}

/* After ready: the loop has had a chance to answer lists. */
static int on_compare(sd_event_source *source, void *data) {
    Op *op = data;

    (void) source;
    op->settled = start_done;
    compare_regions(op, NULL);
    manager_take_listing(op->m, op->listing);
    manager_compare_in_ram(op->m);
    compare_hints(op, HINT_SETUP);
    compare_hints(op, HINT_RELEASE);
    doom_fillers(op);
    start_destroy_next(op);
    return 0;
}

static void on_platform(void *data) {
    Op *op = data;
    Manager *m = op->m;

    if (!op->listing) {
        manager_tell_ready(m, op->error);
        op_finish(op, SD_ID128_NULL, op->error);
        return;
    }
    manager_take_raws(m, op->listing);
    for (guint i = 0; i < op->media->len; i++)
        check_found(m, g_ptr_array_index(op->media, i));
    refuse_twins(op->media);
    for (guint i = 0; i < op->media->len; i++)
        replay_found(m, g_ptr_array_index(op->media, i));
    for (guint i = 0; i < op->media->len; i++) {
        const FoundMedium *found = g_ptr_array_index(op->media, i);

        if (found_may_be_pool(found))
            g_array_append_val(op->kept, found->device->uuid);
    }
    /* What is no pool's is let go: a device that we hold ourselves could not be destroyed. */
    g_clear_pointer(&op->media, g_ptr_array_unref);
    manager_update_summary(m);
    manager_tell_ready(m, NULL);

    int r = sd_event_add_defer(m->event, NULL, on_compare, op);
    if (r < 0) {
        g_autoptr(GError) error =
            g_error_new(PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot go on with recovery: %s", g_strerror(-r));

        op_finish(op, SD_ID128_NULL, error);
    }
}

/* --- pools that come while pmemd runs --- */

/* Mgmt devices that are no pool's and were not refused since they came; a hint is the next start's. */
static GHashTable *find_fresh(const Manager *m, const BackendListing *listing) {
    GHashTable *fresh = g_hash_table_new(pmemd_uuid_hash, pmemd_uuid_equal);

    for (guint i = 0; i < listing->devices->len; i++) {
        BackendDevice *device = g_ptr_array_index(listing->devices, i);

        if (device->role == BACKEND_ROLE_MGMT && device->state == BACKEND_DEVICE_COMPLETE &&
            !state_pool_by_uuid(m->state, device->uuid) && !g_hash_table_contains(m->refused, &device->uuid) &&
            !hints_has(m->state_dir, HINT_SETUP, device->uuid) && !hints_has(m->state_dir, HINT_RELEASE, device->uuid))
            g_hash_table_add(fresh, &device->uuid);
    }
    return fresh;
}

/* What is gone may come again as something else. */
static gboolean is_gone(gpointer uuid, gpointer value, gpointer listing) {
    (void) value;
    return listing_find(listing, *(const sd_id128_t *) uuid) == NULL;
}

/* The one that is in use stays in use. */
static void refuse_copies(const Manager *m, FoundMedium *found) {
    const GPtrArray *pools = state_pools(m->state);

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = g_ptr_array_index(pools, i);

        if (!found->refused && sd_id128_equal(found->sb.journal_uuid, pool->sb.journal_uuid)) {
            char uuid[PMEMD_UUID_STRING_MAX];

            found->refused = g_strdup_printf("its journal's uuid is also that of pool %s, which is in use",
                                             pmemd_uuid_format(pool->sb.member_uuid, uuid));
            found->event = EVENT_POOL_TWINS;
        }
    }
}

static void on_read_new(void *data) {
    Op *op = data;
    Manager *m = op->m;
    bool any = false;

    for (guint i = 0; i < op->media->len; i++) {
        check_found(m, g_ptr_array_index(op->media, i));
        refuse_copies(m, g_ptr_array_index(op->media, i));
    }
    refuse_twins(op->media);
    state_clear_foreign(m->state); /* its data devices were orphans until now */
    for (guint i = 0; i < op->media->len; i++) {
        FoundMedium *found = g_ptr_array_index(op->media, i);

        replay_found(m, found);
        if (found->pool)
            manager_tell_opened(m, found->pool);
        any = any || found->pool;
    }
    g_clear_pointer(&op->media, g_ptr_array_unref);
    g_clear_pointer(&op->fresh, g_hash_table_unref);
    manager_take_listing(m, op->listing);
    g_clear_pointer(&op->doomed, g_array_unref);
    if (any)
        op_settle(op, NULL, op->reopened);
    else
        op->reopened(op);
}

void op_open_new_pools(Op *op) {
    g_hash_table_foreach_remove(op->m->refused, is_gone, op->listing);
    op->fresh = find_fresh(op->m, op->listing);
    if (g_hash_table_size(op->fresh) > 0)
        op_work(op, run_read_new, on_read_new);
    else
        op->reopened(op);
}

void start_op_begin(Op *op) {
    op->doomed = g_array_new(FALSE, FALSE, sizeof(Doomed));
    op->kept = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    op_work(op, run_read_platform, on_platform);
}
