/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The journals of the pools, between manager and journal.c: persist, then apply, never the reverse.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"

#include <string.h>
#include <time.h>

uint64_t manager_now_usec(void) {
    return (uint64_t) g_get_real_time();
}

bool manager_apply_record(const JournalRecord *record, void *data, GError **error) {
    const ManagerApply *to = data;

    return state_apply(to->state, to->pool, record->type, record->txid, record->payload, record->len, error);
}

static void emit_record(void *data, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    journal_snapshot_add(data, type, txid, payload, len);
}

void manager_emit_snapshot(JournalSnapshot *snapshot, void *data) {
    const ManagerApply *from = data;

    state_emit(from->state, from->pool, emit_record, snapshot);
}

bool manager_checkpoint(Manager *m, Pool *pool, GError **error) {
    ManagerApply from = { m->state, pool };

    return journal_checkpoint(pool->journal, manager_emit_snapshot, &from, error);
}

/* What is durable in a file that somebody removed or cut is lost all the same: nothing of it may be acknowledged. */
bool manager_check_intact(Manager *m, Pool *pool, GError **error) {
    int r = medium_intact(pool->medium);

    if (r == 0)
        return true;
    g_autofree char *reason =
        g_strdup_printf("the file of its journal was removed or cut (%s); bring it back", g_strerror(-r));
    manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_JOURNAL_REMOVED, reason);
    g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, reason);
    return false;
}

/*
 * A medium that failed once is not asked again: what it holds is only known after a replay. One that failed because its
 * file is gone says so instead of *error, as a restart without the file would lose sight of the pool.
 */
static void after_failed_write(Manager *m, Pool *pool, GError **error) {
    g_autoptr(GError) gone = NULL;

    if (!journal_failed(pool->journal))
        return;
    if (!manager_check_intact(m, pool, &gone)) {
        g_clear_error(error);
        *error = g_steal_pointer(&gone);
        return;
    }
    g_autofree char *reason =
        g_strdup_printf("its journal could not be written (%s); restart pmemd to replay it", (*error)->message);
    manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_JOURNAL_WRITE_FAILED, reason);
}

static bool append_record(Manager *m, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len,
                          GError **error) {
    g_autoptr(GError) local = NULL;

    if (!pool->journal) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY, "the pool's journal is not open: %s",
                    pool->reason ? pool->reason : pool_state_to_string(pool->state));
        return false;
    }
    /* An early checkpoint that does not fit costs nothing: the append below may still find room. */
    if (journal_wants_checkpoint(pool->journal) && !manager_checkpoint(m, pool, &local)) {
        after_failed_write(m, pool, &local);
        if (!g_error_matches(local, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        g_clear_error(&local);
    }
    if (journal_append(pool->journal, type, txid, payload, len, NULL, &local))
        return manager_check_intact(m, pool, error);
    if (g_error_matches(local, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE)) {
        g_clear_error(&local);
        if (manager_checkpoint(m, pool, &local) &&
            journal_append(pool->journal, type, txid, payload, len, NULL, &local))
            return manager_check_intact(m, pool, error);
    }
    after_failed_write(m, pool, &local);
    g_propagate_error(error, g_steal_pointer(&local));
    return false;
}

bool manager_append(Manager *m, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len,
                    GError **error) {
    g_autoptr(GError) local = NULL;

    if (!append_record(m, pool, type, txid, payload, len, error))
        return false;
    if (!state_apply(m->state, pool, type, txid, payload, len, &local)) {
        /* The journal now says what the model refuses: rules and model disagree. Nothing more may be written on top
         * of it. */
        g_autofree char *reason =
            g_strdup_printf("a record of type 0x%04x was journalled that the model refuses: %s", type, local->message);

        manager_set_pool_state(m, pool, POOL_CORRUPT, EVENT_POOL_CORRUPT, reason);
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, reason);
        return false;
    }
    return true;
}

bool manager_append_commit(Manager *m, Region *region, FrameRange device, GError **error) {
    JfCommit record = { .device = device, .time = manager_now_usec() };
    uint8_t buf[JF_PAYLOAD_MAX];

    return manager_append(m, region->pool, JF_COMMIT, region->intent->txid, buf, jf_commit_encode(&record, buf), error);
}

bool manager_append_abort(Manager *m, Region *region, PmemdError reason, GError **error) {
    JfAbort record = { .reason = reason, .time = manager_now_usec() };
    uint8_t buf[JF_PAYLOAD_MAX];

    return manager_append(m, region->pool, JF_ABORT, region->intent->txid, buf, jf_abort_encode(&record, buf), error);
}

bool manager_append_erase(Manager *m, Region *region, const Erase *erase, GError **error) {
    uint8_t buf[JF_PAYLOAD_MAX];

    return manager_append(m, region->pool, JF_ERASE_PROGRESS, 0, buf, region_encode_erase(region, erase, buf), error);
}

/* --- opening --- */

/* The journal's part of the medium, pages that cannot be read left zero. */
char *manager_keep_evidence(Manager *m, const Pool *pool, GError **error) {
    Medium *medium = pool->medium;
    char *path = NULL;
    size_t len = (size_t) MIN(pool->sb.geo.mgmt_off, medium->size);
    g_autofree uint8_t *copy = g_try_malloc0(len);

    if (!copy) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE, "no memory for a copy of %zu bytes", len);
        return NULL;
    }
    for (size_t off = 0; off < len; off += PMEMD_FRAME_SIZE) {
        size_t n = MIN(PMEMD_FRAME_SIZE, len - off);

        if (medium_readable(medium, off, n) == 0)
            memcpy(copy + off, medium_base(medium) + off, n);
    }
    if (!hints_keep_evidence(m->state_dir, pool->sb.member_uuid, journal_next_seq(pool->journal), copy, len, &path,
                             error))
        return NULL;
    return path;
}

static void take_corrupt(Manager *m, Pool *pool) {
    g_autoptr(GError) error = NULL;
    g_autofree char *path = manager_keep_evidence(m, pool, &error), *reason = NULL;

    if (path)
        reason = g_strdup_printf("%s; a copy was kept as %s", journal_report(pool->journal), path);
    else
        reason = g_strdup_printf("%s; no copy could be kept: %s", journal_report(pool->journal), error->message);
    manager_set_pool_state(m, pool, POOL_CORRUPT, EVENT_POOL_CORRUPT, reason);
}

/* As an OPEN has it: of all DIMMs of the host that tell, each counted once wherever it lies below; 0: none tells. */
static uint64_t unsafe_shutdowns(const Manager *m) {
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *raws = state_raws(m->state);
    uint64_t sum = 0;

    for (guint i = 0; i < raws->len; i++) {
        const GPtrArray *dimms = ((const Raw *) g_ptr_array_index(raws, i))->health;

        for (guint k = 0; dimms && k < dimms->len; k++) {
            const DimmHealth *dimm = g_ptr_array_index(dimms, k);
            const char *id = dimm->id ?: dimm->name;

            /* Without any name it may be counted twice, at each start alike. */
            if (dimm->unsafe_shutdowns != DIMM_SHUTDOWNS_UNKNOWN && (!id || g_hash_table_add(seen, (void *) id)))
                sum += dimm->unsafe_shutdowns + 1;
        }
    }
    return sum;
}

/* Every start leaves its mark: who used the pool last, on which machine, and how often its DIMMs lost power unsaved. */
bool manager_append_open(Manager *m, Pool *pool, GError **error) {
    JfOpen record = {
        .boot_id = m->boot_id,
        .machine_id = m->machine_id,
        .unsafe_shutdowns = unsafe_shutdowns(m),
        .time = manager_now_usec(),
    };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_strlcpy(record.version, PMEMD_VERSION, sizeof record.version);
    return manager_append(m, pool, JF_OPEN, 0, buf, jf_open_encode(&record, buf), error);
}

bool manager_is_other_machines(const Manager *m, const Pool *pool) {
    sd_id128_t last = pool->last_open.machine_id;

    return pool->journal && journal_verdict(pool->journal) == JOURNAL_CLEAN && !journal_failed(pool->journal) &&
           !sd_id128_is_null(last) && !sd_id128_is_null(m->machine_id) && !sd_id128_equal(last, m->machine_id);
}

void manager_take_verdict(Manager *m, Pool *pool) {
    g_autoptr(GError) error = NULL;

    switch (journal_verdict(pool->journal)) {
    case JOURNAL_CLEAN:
        break;
    case JOURNAL_READ_ONLY:
        manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_POOL_READ_ONLY, journal_report(pool->journal));
        return;
    case JOURNAL_UNSUPPORTED:
        manager_set_pool_state(m, pool, POOL_UNSUPPORTED, EVENT_POOL_UNSUPPORTED, journal_report(pool->journal));
        return;
    case JOURNAL_CORRUPT:
        take_corrupt(m, pool);
        return;
    }
    if (manager_is_other_machines(m, pool)) {
        manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_POOL_OTHER_MACHINE,
                               "it was last used on another machine, whose guests may still count on it; when they do "
                               "not, adopt it (pmemctl adopt)");
        state_void_leases(m->state, pool); /* of that machine's guests */
        return;
    }
    if (!manager_append_open(m, pool, &error) && pool->state == POOL_OK) {
        g_autofree char *reason = g_strdup_printf("the start could not be journalled: %s", error->message);

        manager_set_pool_state(m, pool, POOL_READ_ONLY, EVENT_JOURNAL_WRITE_FAILED, reason);
    }
}

Pool *manager_open_pool(Manager *m, Medium *medium, const JfSuperblock *sb, FrameRange device, GError **error) {
    Pool *pool = state_add_pool(m->state, sb, device, POOL_OK, error);

    if (!pool)
        return NULL;

    ManagerApply to = { m->state, pool };
    state_begin_replay(pool);
    pool->journal = journal_open(medium, true, manager_apply_record, &to, error);
    if (!pool->journal) {
        state_remove_pool(m->state, pool);
        return NULL;
    }
    pool->medium = medium;

    g_autoptr(GError) conflict = NULL;
    bool placed = state_end_replay(m->state, pool, &conflict);
    if (!placed && journal_verdict(pool->journal) == JOURNAL_CLEAN)
        manager_set_pool_state(m, pool, POOL_CORRUPT, EVENT_POOL_CORRUPT,
                               conflict->message); /* not even this start is journalled */
    else
        manager_take_verdict(m, pool);
    return pool;
}

static void tell_pool_gone(Manager *m, Pool *pool) {
    g_autoptr(GArray) uuids = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    sd_id128_t pool_uuid = pool->sb.member_uuid;

    manager_tell_removing(m);
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (region->pool == pool)
            g_array_append_val(uuids, region->uuid);
    state_remove_pool(m->state, pool);
    for (guint i = 0; i < uuids->len; i++)
        manager_tell_region_removed(m, g_array_index(uuids, sd_id128_t, i), pool_uuid);
    manager_tell_pool_removed(m, pool_uuid);
}

void manager_tell_opened(Manager *m, const Pool *pool) {
    manager_tell_pool_added(m, pool);
    for (Region *region = state_next_region(m->state, NULL); region; region = state_next_region(m->state, region))
        if (region->pool == pool)
            manager_tell_region_added(m, region);
}

Pool *manager_replace_pool(Manager *m, Pool *old, Medium *medium, GError **error) {
    g_autofree char *path = g_strdup(old->path);
    JfSuperblock sb = old->sb;
    FrameRange device = old->occupant.entry.range;

    manager_close_pool(old);
    tell_pool_gone(m, old);
    state_clear_foreign(m->state); /* an orphan may be what the pool has now */
    Pool *pool = manager_open_pool(m, medium, &sb, device, error);
    if (!pool) {
        medium_free(medium);
        return NULL;
    }
    pool_set_path(pool, path);
    manager_tell_opened(m, pool);
    return pool;
}

void manager_journal_usage(const Pool *pool, uint64_t *ret_used, uint64_t *ret_area) {
    *ret_area = pool->journal ? journal_area_bytes(pool->journal) : 0;
    *ret_used = pool->journal ? *ret_area - journal_log_bytes(pool->journal) : 0;
}

void manager_close_pool(Pool *pool) {
    journal_free(pool->journal);
    pool->journal = NULL;
    medium_free(pool->medium);
    pool->medium = NULL;
}
