/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What becomes of pmemd's own devices while it runs: nothing keeps another tool from destroying them, disabling them
 * or turning them into something else. A region whose device is not as the journal has it is missing, with the reason, and
 * nothing is done with it until the device is back; a pool whose journal went away is read-only until then. Both come
 * back by themselves. Called for the one operation at hand, with what was listed in it: pmemd's own changes are never
 * half done then, but for regions with an open intent, which are left to whoever has that.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"
#include "daemon/recovery.h"

/* --- data regions --- */

static void follow_path(Manager *m, Region *region, const char *path) {
    if (g_strcmp0(region_path(region), path) == 0)
        return;
    region_set_path(region, path);
    manager_tell_region_changed(m, region);
}

static void follow_region(Manager *m, Region *region, const BackendListing *listing, const BackendDevice *device) {
    g_autofree char *reason = NULL;

    if (region->intent || (region->state != REGION_OK && region->state != REGION_MISSING))
        return;
    if (recovery_decide_region(region, device, &reason) == RECOVERY_KEEP) {
        follow_path(m, region, device->path);
        if (region->state == REGION_OK)
            return;
        manager_set_region_state(m, region, REGION_OK, EVENT_REGION_BACK, "its device is in its place again");
        manager_tell_if_to_erase(m, region);
        return;
    }
    if (!device) {
        g_free(reason);
        reason = listing_describe_absent(listing, region_device(region), region->occupant.raw);
    }
    follow_path(m, region, device ? device->path : NULL);
    manager_set_region_state(m, region, REGION_MISSING, device ? EVENT_REGION_DISPLACED : EVENT_REGION_MISSING, reason);
}

/* --- pools --- */

/* A device that was unbound is gone from under its map, also when it is bound again by now. Bad memory is told from
 * that by the other copy of the superblock. */
static bool is_alive(Medium *medium) {
    return medium_readable(medium, 0, JF_SUPERBLOCK_SIZE) == 0 ||
           medium_readable(medium, jf_superblock_offset(medium->size, 1), JF_SUPERBLOCK_SIZE) == 0;
}

static bool is_whole(const Pool *pool, const BackendDevice *device) {
    return device && device->state == BACKEND_DEVICE_COMPLETE && device->role == BACKEND_ROLE_MGMT &&
           frame_range_equal(device->usable, pool->sb.range);
}

/* Its journal is closed, because its device went away. */
static bool is_lost(const Pool *pool) {
    return pool->state == POOL_READ_ONLY && !pool->journal;
}

static char *describe_lost(const Pool *pool, const BackendListing *listing, const BackendDevice *device) {
    g_autofree char *absent = NULL;

    if (!device) {
        absent = listing_describe_absent(listing, pool->occupant.entry.range, pool->occupant.raw);
        return g_strdup_printf("the device of its journal is gone: %s", absent);
    }
    if (!is_whole(pool, device))
        return g_strdup_printf("the device of its journal, %s (mode %s), is not whole: it is disabled, or another tool "
                               "took it",
                               device->name, device->mode);
    return g_strdup_printf("the device of its journal, %s, was disabled and enabled", device->name);
}

/* Nothing is written any more. The medium stays open: of a file that was removed it is the last that holds it. */
static void lose_pool(Manager *m, Pool *pool, const char *reason) {
    journal_free(g_steal_pointer(&pool->journal));
    manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_JOURNAL_REMOVED, reason);
}

static void follow_pool(Manager *m, Pool *pool, const BackendListing *listing, const BackendDevice *device) {
    bool lost = is_lost(pool), whole = is_whole(pool, device);

    if (pool->state != POOL_OK && pool->state != POOL_READ_ONLY)
        return;
    if (!lost && !manager_check_intact(m, pool, NULL)) {
        journal_free(g_steal_pointer(&pool->journal));
        return;
    }
    if (whole && (lost || is_alive(pool->medium))) {
        if (g_strcmp0(pool->path, device->path) != 0) {
            pool_set_path(pool, device->path);
            manager_tell_pool_changed(m, pool);
        }
        return;
    }
    if (lost && pool->medium && medium_intact(pool->medium) < 0)
        return; /* a file that was removed: said already */
    g_autofree char *reason = describe_lost(pool, listing, device);
    lose_pool(m, pool, reason);
}

void manager_follow(Manager *m, const BackendListing *listing) {
    g_auto(DeviceTable) devices = { 0 };
    GPtrArray *pools = state_pools(m->state);

    device_table_fill(&devices, listing);
    for (guint i = 0; i < pools->len; i++) {
        Pool *pool = g_ptr_array_index(pools, i);

        follow_pool(m, pool, listing, device_table_find(&devices, pool->sb.member_uuid, pool->occupant.entry.range));
    }
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        follow_region(m, region, listing, device_table_find(&devices, region->device_uuid, region_device(region)));
}

/* --- journals that are back --- */

/* What a pool's records come to, whatever their order. */
typedef struct {
    uint64_t sum, n;
} Digest;

static void add_record(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    Digest *digest = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ type; /* FNV-1a, 64 bits */

    for (size_t i = 0; i < sizeof txid; i++)
        hash = (hash ^ (uint8_t) (txid >> (8 * i))) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ payload[i]) * UINT64_C(0x100000001b3);
    digest->sum += hash;
    digest->n++;
}

static bool pools_are_equal(const State *a, const Pool *x, const State *b, const Pool *y) {
    Digest one = { 0 }, other = { 0 };

    state_emit(a, x, add_record, &one);
    state_emit(b, y, add_record, &other);
    return one.sum == other.sum && one.n == other.n;
}

/* Replays the journal into a state of its own. The journal, when it says what the pool has in memory; else NULL: it
 * says more (what was being written when the device went), or something else. */
static Journal *reopen_unchanged(const Manager *m, const Pool *pool, Medium *medium) {
    State *state = state_new();
    GPtrArray *raws = state_raws(m->state);
    g_autoptr(Journal) journal = NULL;

    for (guint i = 0; i < raws->len; i++) {
        const Raw *raw = g_ptr_array_index(raws, i);
        bool added = state_add_raw(state, raw_new(raw->id, raw->range));

        g_assert(added); /* they do not overlap there */
    }
    Pool *copy = state_add_pool(state, &pool->sb, pool->occupant.entry.range, POOL_OK, NULL);
    if (copy) {
        ManagerApply to = { state, copy };

        state_begin_replay(copy);
        journal = journal_open(medium, true, manager_apply_record, &to, NULL);
        bool same = journal && journal_verdict(journal) == JOURNAL_CLEAN && state_end_replay(state, copy, NULL) &&
                    pools_are_equal(m->state, pool, state, copy);
        if (!same)
            g_clear_pointer(&journal, journal_free);
    }
    state_free(state);
    return g_steal_pointer(&journal);
}

/* Worker step. */
static void run_reopen(void *data) {
    Op *op = data;

    op->medium = manager_backend_open_medium(op->m, op->device_uuid, &op->error);
    op->verdict = op->medium ? journal_probe(op->medium, &op->sb) : JF_NOT_OURS;
}

static char *refuse_reopen(const Op *op, const Pool *pool) {
    const BackendDevice *device = listing_find(op->listing, op->device_uuid);
    char *reason = NULL;

    if (!op->medium)
        return g_strdup(op->error->message);
    if (op->verdict == JF_NOT_OURS || op->verdict == JF_BAD)
        return g_strdup("it holds no superblock, or both are damaged");
    if (op->verdict == JF_UNSUPPORTED || !sd_id128_equal(op->sb.journal_uuid, pool->sb.journal_uuid))
        return g_strdup("it holds another journal");
    if (hints_has(op->m->state_dir, HINT_SETUP, op->uuid) || hints_has(op->m->state_dir, HINT_RELEASE, op->uuid))
        return g_strdup("a note of its setup or release is still in the state directory; restart pmemd");
    /* NULL: the platform changed once more, which comes as an event. */
    if (!device)
        return g_strdup("it is gone again");
    recovery_check_superblock(&op->sb, device, pool->occupant.raw, &reason);
    return reason;
}

static void reopen_next(Op *op);

static void on_pool_settled(Op *op) {
    const Pool *pool = state_pool_by_uuid(op->m->state, op->uuid);

    if (pool)
        manager_tell_pool_changed(op->m, pool);
    reopen_next(op);
}

static void on_reopened(void *data) {
    Op *op = data;
    Manager *m = op->m;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);
    g_autofree char *refused = refuse_reopen(op, pool);
    g_autoptr(GError) error = NULL;

    if (refused) {
        g_autofree char *reason = g_strdup_printf("the device of its journal is back, but is not used: %s", refused);

        g_clear_pointer(&op->medium, medium_free);
        manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_JOURNAL_REMOVED, reason);
        reopen_next(op);
        return;
    }

    Journal *journal = reopen_unchanged(m, pool, op->medium);
    if (journal) {
        pool->journal = journal;
        pool->medium = g_steal_pointer(&op->medium);
        manager_set_pool_state(m, pool, POOL_OK, EVENT_JOURNAL_BACK, "the device of its journal is back");
        manager_take_verdict(m, pool);
    } else {
        pool = manager_replace_pool(m, pool, g_steal_pointer(&op->medium), &error);
        if (!pool) {
            log_event(EVENT_POOL_REFUSED, NULL, "a mgmt device that is back is not used; restart pmemd: %s",
                      error->message);
            manager_take_listing(m, op->listing);
            reopen_next(op);
            return;
        }
        log_event(EVENT_JOURNAL_BACK, LOG_FIELDS({ "NAME", pool->name }),
                  "the device of a pool's journal is back, and the journal says something else than what was known (a "
                  "change was being written when it went): what it says counts");
        manager_take_listing(m, op->listing);
    }
    op_settle(op, pool, on_pool_settled);
}

static bool was_tried(const Op *op, const Pool *pool) {
    for (guint i = 0; i < op->tried->len; i++)
        if (sd_id128_equal(g_array_index(op->tried, sd_id128_t, i), pool->sb.member_uuid))
            return true;
    return false;
}

static void reopen_next(Op *op) {
    GPtrArray *pools = state_pools(op->m->state);

    g_clear_pointer(&op->doomed, g_array_unref);
    for (guint i = 0; i < pools->len; i++) {
        Pool *pool = g_ptr_array_index(pools, i);

        if (!is_lost(pool) || was_tried(op, pool) || !is_whole(pool, listing_find(op->listing, pool->sb.member_uuid)))
            continue;
        g_array_append_val(op->tried, pool->sb.member_uuid);
        op->uuid = op->device_uuid = pool->sb.member_uuid;
        g_clear_pointer((Medium **) &pool->medium, medium_free); /* its lock would be in our own way */
        op_work(op, run_reopen, on_reopened);
        return;
    }
    op_open_new_pools(op);
}

void op_reopen_pools(Op *op, void (*settled)(Op *op)) {
    op->reopened = settled;
    op->tried = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    reopen_next(op);
}
