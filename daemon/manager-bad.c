/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Bad frames: what the platform shows goes into the journals of the regions that have them, so that it is known when
 * the platform has forgotten it; and ClearBadFrames, which loses what was in them.
 */
#include "daemon/manager-internal.h"

#include "daemon/frame-set.h"
#include "daemon/recovery.h"

#include <inttypes.h>
#include <string.h>

#define EXTENTS_NAMED 8 /* in a message */

/* --- remembering --- */

static Pool *holder_pool(BadHolder holder) {
    return holder.region ? holder.region->pool : holder.pool;
}

static const RegionBad *holder_bad(BadHolder holder) {
    return holder.region ? region_bad(holder.region) : pool_own_bad(holder.pool);
}

static const char *holder_text(BadHolder holder) {
    return holder.region ? region_state_text(holder.region) : pool_state_text(holder.pool);
}

/* False: the journal has no room for it, or could not be written. */
static bool append_bad(Manager *m, Pool *pool, const JfBadFrames *record) {
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    size_t len = jf_bad_frames_encode(record, buf);

    if (rules_journal_bytes(pool, jf_snapshot_bytes(len), &error) &&
        manager_append(m, pool, JF_BAD_FRAMES, 0, buf, len, &error))
        return true;
    g_warning("bad frames could not be journalled, ignoring: they are known as long as the platform shows them: %s",
              error->message);
    return false;
}

/* What its journal does not know yet. A list that is a guess (all of the raw region) is not remembered: the platform
 * may know better at the next look, the journal never would. */
static void journal_new(Manager *m, BadHolder holder) {
    Pool *pool = holder_pool(holder);
    const Raw *raw = holder.region ? holder.region->occupant.raw : pool->occupant.raw;
    const RegionBad *bad = holder_bad(holder);

    if (!bad || pool->state != POOL_OK || !raw || raw->bad_all)
        return;
    g_autoptr(GArray) extents = frame_set_copy(bad->all);
    frame_set_remove_all(extents, bad->known);

    guint room = STATE_BAD_EXTENTS_MAX - bad->known->len, n = MIN(extents->len, room);
    JfBadFrames record = { .uuid = bad->uuid, .more = extents->len > room };
    bool known = n == 0 && (!record.more || bad->more);

    /* From here on bad may be another one: a record changes it. */
    for (guint i = 0; i < n && !known; i++) {
        record.extents[record.n_extents++] = frame_set_nth(extents, i);
        if (i + 1 == n || record.n_extents < JF_BAD_EXTENTS_MAX)
            continue;
        if (!append_bad(m, pool, &record))
            return;
        record.n_extents = 0;
    }
    if (!known)
        append_bad(m, pool, &record);
}

static void tell_changed(Manager *m, BadHolder holder) {
    if (holder.region)
        manager_tell_region_changed(m, holder.region);
    else
        manager_tell_pool_changed(m, holder.pool);
}

/* before: what was told of it. */
static void tell_bad(Manager *m, BadHolder holder, const char *before, const GArray *frames_before) {
    const RegionBad *bad = holder_bad(holder);
    const char *now = holder_text(holder);

    if (frame_set_equal(frames_before, bad ? bad->all : NULL) && strcmp(before, now) == 0)
        return;
    tell_changed(m, holder);
    if (strcmp(before, now) != 0)
        manager_tell_health(m, holder.region ? holder.region->uuid : holder.pool->sb.member_uuid, before, now);
}

void manager_take_bad_of(Manager *m, BadHolder holder) {
    const char *before = holder_text(holder);
    const RegionBad *bad = holder_bad(holder);
    g_autoptr(GArray) frames_before = frame_set_copy(bad ? bad->all : NULL);

    state_renew_bad(m->state, holder);
    journal_new(m, holder);
    tell_bad(m, holder, before, frames_before);
}

void manager_take_bad(Manager *m) {
    const GPtrArray *raws = state_raws(m->state);

    for (guint i = 0; i < raws->len; i++) {
        g_autoptr(GArray) holders = state_bad_holders(m->state, raws->pdata[i]);

        for (guint k = 0; k < holders->len; k++)
            manager_take_bad_of(m, g_array_index(holders, BadHolder, k));
    }
}

static void log_cleared(const Region *region, const Raw *raw, const GArray *cleared) {
    g_autofree char *extents = frame_set_format(cleared, EXTENTS_NAMED);
    char uuid[PMEMD_UUID_STRING_MAX] = "";

    if (region)
        pmemd_uuid_format(region->uuid, uuid);
    log_event(
        EVENT_BAD_FRAMES_CLEARED,
        LOG_FIELDS({ "DEVICE", raw->id }, { "REGION", region ? uuid : NULL }, { "NAME", region ? region->name : NULL }),
        "bad frames of %s %s were cleared: %s; the %" PRIu64 " bytes that were there are lost",
        region ? "data region" : "raw region", region ? uuid : raw->id, extents,
        frame_set_frames(cleared) * PMEMD_FRAME_SIZE);
}

void manager_take_cleared(Manager *m, Region *region, Raw *raw, const GArray *cleared) {
    g_autoptr(GArray) shown = frame_set_copy(raw->bad);
    const RegionBad *bad = region ? region_bad(region) : NULL;

    if (cleared->len == 0)
        return;
    log_cleared(region, raw, cleared);
    frame_set_remove_all(shown, cleared);
    raw_set_bad(raw, shown);
    raw->bad_all = raw->bad_all && raw->bad;
    if (!region || !bad)
        return;

    const char *before = region_state_text(region);
    g_autoptr(GArray) frames_before = frame_set_copy(bad->all), left = frame_set_copy(bad->all);
    JfBadFrames record = { .uuid = region->uuid, .cleared = true };
    frame_set_remove_all(left, cleared);
    if (left->len == 0) {
        record.extents[record.n_extents++] = region->range;
        append_bad(m, region->pool, &record);
    }
    for (guint i = 0; left->len > 0 && i < cleared->len; i++) {
        record.extents[record.n_extents++] = frame_set_nth(cleared, i);
        if (i + 1 < cleared->len && record.n_extents < JF_BAD_EXTENTS_MAX)
            continue;
        if (!append_bad(m, region->pool, &record))
            break;
        record.n_extents = 0;
    }
    state_renew_bad(m->state, (BadHolder){ .region = region });
    tell_bad(m, (BadHolder){ .region = region }, before, frames_before);
}

/* --- clearing --- */

void op_run_clear(void *data) {
    Op *op = data;

    op->ok = true;
    g_clear_pointer(&op->cleared, g_array_unref);
    op->cleared = frame_set_new();
    for (guint i = 0; i < op->bad->len; i++) {
        const BackendClear clear = {
            .raw_id = op->raw_id,
            .frames = frame_set_nth(op->bad, i),
            .device = op->device_uuid,
            .tag = sd_id128_is_null(op->device_uuid) ? NULL : op->tag,
        };

        if (manager_backend_clear_bad(op->m, &clear, op->ok ? &op->error : NULL))
            frame_set_add(op->cleared, clear.frames);
        else
            op->ok = false; /* the others are worth a try each: what is cleared can be used */
    }
}

/* What cleared frames hold is undefined until it is written; of a live region that is written here. */
static void zero_cleared(Op *op) {
    g_autoptr(BackendContent) content = NULL;

    if (sd_id128_is_null(op->device_uuid) || op->cleared->len == 0)
        return;
    content = manager_backend_open_content(op->m, op->device_uuid, op->ok ? &op->error : NULL);
    op->ok = op->ok && content;
    for (guint i = 0; content && i < op->cleared->len; i++) {
        FrameRange extent = frame_set_nth(op->cleared, i);
        int r = content->zero(content, (extent.start - op->plan.range.start) * PMEMD_FRAME_SIZE,
                              frame_range_frames(extent) * PMEMD_FRAME_SIZE);

        if (r >= 0 || !op->ok)
            continue;
        op->ok = false;
        g_set_error(&op->error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "the frames 0x%" PRIx64 "-0x%" PRIx64
                    " were cleared, but cannot be written (%s): what they hold is "
                    "undefined",
                    extent.start, extent.end, g_strerror(-r));
    }
}

static void run_clear(void *data) {
    Op *op = data;

    op_run_clear(op);
    zero_cleared(op);
    /* The device may be another one now, and the platform knows what is still bad. */
    g_clear_pointer(&op->listing, backend_listing_free);
    op->listing = manager_backend_list(op->m, op->ok ? &op->error : NULL);
    op->ok = op->ok && op->listing;
}

static bool refuse(GError **error, PmemdError code, const Region *region, const char *why) {
    char text[PMEMD_UUID_STRING_MAX];

    g_set_error(error, PMEMD_ERROR, code, "the bad frames of data region %s are not cleared: %s",
                pmemd_uuid_format(region->uuid, text), why);
    return false;
}

static bool check_region(const Manager *m, const ManagerRequest *request, const Region *region, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];

    if (!request->others && !rules_is_own(region->owner_uid, region->user, request->uid, request->user)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                    "data region %s is not user %" PRIu32 "'s: ask an administrator for org.pmemd1.manage-all",
                    pmemd_uuid_format(region->uuid, text), request->uid);
        return false;
    }
    if (!rules_pool_writable(region->pool, error))
        return false;
    if (region->state == REGION_MISSING || !region->occupant.raw)
        return refuse(error, PMEMD_ERROR_DEGRADED, region, "its device is missing on this host; bring it back first");
    if (state_lease(m->state, region) && !request->target.force) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LEASED,
                    "data region %s is lent to %s, whose content would change under it: detach it first, or use force",
                    pmemd_uuid_format(region->uuid, text), state_lease(m->state, region)->owner);
        return false;
    }
    if (region->state != REGION_OK && region->state != REGION_QUARANTINED)
        return refuse(error, PMEMD_ERROR_BUSY, region, region->reason ? region->reason : "it is being set up");
    return true;
}

static void add_lost(GArray *lost, sd_id128_t region, FrameRange base, const GArray *bad) {
    for (guint i = 0; i < frame_set_extents(bad); i++) {
        FrameRange extent = frame_set_nth(bad, i);
        ManagerLost one = { region, extent, (extent.start - base.start) * PMEMD_FRAME_SIZE };

        g_array_append_val(lost, one);
    }
}

/* The bad frames of raw that are nobody's. */
static GArray *free_bad(const Manager *m, const Raw *raw) {
    GArray *bad = frame_set_copy(raw->bad);
    const GPtrArray *pools = state_pools(m->state), *foreigns = state_foreigns(m->state);

    for (guint i = 0; i <= pools->len; i++) {
        const RegionMap *map = i == pools->len ? raw->map : ((const Pool *) pools->pdata[i])->unplaced;
        const RegionMapEntry *entry = region_map_find_overlap(map, raw->range);

        for (; entry && entry->range.start < raw->range.end; entry = region_map_next(map, entry))
            frame_set_remove(bad, entry->range);
    }
    for (guint i = 0; i < foreigns->len; i++)
        frame_set_remove(bad, ((const Foreign *) foreigns->pdata[i])->device);
    return bad;
}

/* Finds whose frames are meant: ret_region NULL: nobody's of *ret_raw. */
static bool find_target(Manager *m, const ManagerRequest *request, Region **ret_region, Raw **ret_raw, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];

    if (request->target.raw) {
        Raw *raw = state_raw_by_id(m->state, request->target.raw);

        if (!raw)
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                        "there is no raw region of that name: pmemctl list --raw names them");
        *ret_region = NULL;
        *ret_raw = raw;
        return raw != NULL;
    }

    Region *region = state_region_by_uuid(m->state, request->target.uuid);
    if (region) {
        *ret_region = region;
        *ret_raw = region->occupant.raw;
        return check_region(m, request, region, error);
    }
    pmemd_uuid_format(request->target.uuid, text);
    if (state_pool_by_uuid(m->state, request->target.uuid))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "region %s is a management region, whose frames pmemd itself uses: release its data regions and "
                    "then itself, and clear the free bad frames of its raw region",
                    text);
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no data region %s (pmemctl list --data)",
                    text);
    return false;
}

static GArray *find_bad(const Manager *m, const Region *region, const Raw *raw) {
    const RegionBad *bad = region ? region_bad(region) : NULL;

    return region ? frame_set_copy(bad ? bad->all : NULL) : free_bad(m, raw);
}

bool manager_plan_clear(Manager *m, const ManagerRequest *request, GArray *lost, GError **error) {
    Region *region;
    Raw *raw;

    if (!find_target(m, request, &region, &raw, error))
        return false;
    g_autoptr(GArray) bad = find_bad(m, region, raw);
    add_lost(lost, region ? region->uuid : SD_ID128_NULL, region ? region->range : raw->range, bad);
    return true;
}

static void on_cleared(void *data) {
    Op *op = data;
    Manager *m = op->m;
    Region *region = state_region_by_uuid(m->state, op->uuid);
    Raw *raw = state_raw_by_id(m->state, op->raw_id);

    if (raw) {
        manager_take_cleared(m, region, raw, op->cleared);
    }
    if (op->request.target.lost && (region || raw))
        add_lost(op->request.target.lost, op->uuid, region ? region->range : raw->range, op->cleared);
    if (op->listing && region) {
        const BackendDevice *device = listing_find(op->listing, region->device_uuid);

        if (device)
            region_set_path(region, device->path);
    }
    if (op->listing)
        manager_take_listing(m, op->listing);
    op_drop_listing(op);
    if (op->ok) {
        op_finish(op, op->uuid, NULL);
        return;
    }
    g_autoptr(GError) error =
        g_error_new(PMEMD_ERROR, op->error->domain == PMEMD_ERROR ? op->error->code : PMEMD_ERROR_HARDWARE,
                    "%" PRIu64 " of %" PRIu64 " bad frames were cleared: %s", frame_set_frames(op->cleared),
                    frame_set_frames(op->bad), op->error->message);
    op_finish(op, SD_ID128_NULL, error);
}

void clear_bad_start(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    Region *region;
    Raw *raw;

    if (!find_target(m, &op->request, &region, &raw, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op->bad = find_bad(m, region, raw);
    op->raw_id = g_strdup(raw->id);
    if (region) {
        op->uuid = region->uuid;
        op->device_uuid = region->device_uuid;
        op->plan.range = region->range;
        recovery_region_tag(region, op->tag);
    }
    if (op->bad->len == 0)
        op_finish(op, op->uuid, NULL);
    else
        op_work(op, run_clear, on_cleared);
}
