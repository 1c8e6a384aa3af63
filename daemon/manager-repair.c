/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Repair of a pool whose journal, or what it says, is corrupt: looks what can be kept, and says so; asked to apply it,
 * keeps a copy of what there is as evidence, makes what can be kept the journal, and serves the pool again. Never by
 * itself. What is not kept is not lost from the platform: its devices are orphans then.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"

#include <inttypes.h>
#include <string.h>

#define LINES_MAX 1000u /* of a report: a reply has its bounds */
#define EVIDENCE_WHOLE (UINT64_C(64) << 20)

/* What would be the pool, in a state of its own. */
typedef struct {
    Manager *m;
    State *state;
    Pool *pool;
    Journal *journal;
    RepairReport *report;
    bool dropped; /* regions that the journal has, and that cannot be */
} Salvage;

static void salvage_free(Salvage *s) {
    journal_free(s->journal);
    state_free(s->state);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Salvage, salvage_free)

RepairReport *repair_report_new(void) {
    RepairReport *report = g_new0(RepairReport, 1);

    report->lines = g_ptr_array_new_with_free_func(g_free);
    return report;
}

void repair_report_free(RepairReport *report) {
    if (!report)
        return;
    g_ptr_array_unref(report->lines);
    g_free(report->evidence);
    g_free(report);
}

G_GNUC_PRINTF(2, 3)
static void say(RepairReport *report, const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    if (report->lines->len < LINES_MAX)
        g_ptr_array_add(report->lines, g_strdup_vprintf(format, ap));
    else if (report->lines->len == LINES_MAX)
        g_ptr_array_add(report->lines, g_strdup("... and more"));
    va_end(ap);
}

/* --- what can be kept --- */

static bool apply_record(const JournalRecord *record, void *data, GError **error) {
    const Salvage *s = data;
    ManagerApply to = { s->state, s->pool };

    return manager_apply_record(record, &to, error);
}

static void emit_snapshot(JournalSnapshot *snapshot, void *data) {
    const Salvage *s = data;
    ManagerApply from = { s->state, s->pool };

    manager_emit_snapshot(snapshot, &from);
}

/* What the record said, for whoever has to put it right by hand; NULL: its number and type are all. */
static char *describe_lost(const JournalRecord *record) {
    char text[PMEMD_UUID_STRING_MAX] = "";
    union {
        JfAdopt adopt;
        JfDelete release;
        JfRef forgotten;
        JfName name;
        JfOwner owner;
        JfLease lease;
        JfUnlease unlease;
    } r;
    const JfRegion *region = &r.adopt.region;

    if ((record->type == JF_ADOPT && jf_adopt_decode(record->payload, record->len, &r.adopt)) ||
        ((record->type == JF_ADD || record->type == JF_INTENT_CREATE) &&
         jf_region_decode(record->payload, record->len, &r.adopt.region)))
        return g_strdup_printf("data region %s%s%s%s at 0x%" PRIx64 "-0x%" PRIx64 " of uid %" PRIu32
                               "%s%s was made or adopted",
                               pmemd_uuid_format(region->region_uuid, text), region->name[0] != '\0' ? " '" : "",
                               region->name, region->name[0] != '\0' ? "'" : "", region->range.start, region->range.end,
                               region->owner_uid, region->user[0] != '\0' ? " " : "", region->user);
    if (record->type == JF_INTENT_DELETE && jf_delete_decode(record->payload, record->len, &r.release))
        return g_strdup_printf("data region %s was released: it is kept, with what it may still hold",
                               pmemd_uuid_format(r.release.region_uuid, text));
    if (record->type == JF_DEL && jf_ref_decode(record->payload, record->len, &r.forgotten))
        return g_strdup_printf("data region %s was forgotten", pmemd_uuid_format(r.forgotten.uuid, text));
    if (record->type == JF_NAME && jf_name_decode(record->payload, record->len, &r.name))
        return g_strdup_printf("%s was named '%s'", pmemd_uuid_format(r.name.uuid, text), r.name.name);
    if (record->type == JF_OWNER && jf_owner_decode(record->payload, record->len, &r.owner))
        return g_strdup_printf("%s was given to uid %" PRIu32 " %s", pmemd_uuid_format(r.owner.uuid, text), r.owner.uid,
                               r.owner.user);
    if (record->type == JF_LEASE && jf_lease_decode(record->payload, record->len, &r.lease))
        return g_strdup_printf("data region %s was lent to '%s' of uid %" PRIu32,
                               pmemd_uuid_format(r.lease.region_uuid, text), r.lease.owner, r.lease.uid);
    if (record->type == JF_UNLEASE && jf_unlease_decode(record->payload, record->len, &r.unlease))
        return g_strdup_printf("the lease of data region %s ended", pmemd_uuid_format(r.unlease.region_uuid, text));
    return NULL;
}

static void on_lost(const JournalRecord *record, void *data) {
    g_autofree char *said = describe_lost(record);
    Salvage *s = data;

    s->report->lost_records++;
    say(s->report, "lost: record %" PRIu64 " (%s)%s%s", record->seq, jf_type_to_string(record->type), said ? ": " : "",
        said ?: "");
}

static void copy_raws(const State *from, State *to) {
    GPtrArray *raws = state_raws(from);

    for (guint i = 0; i < raws->len; i++) {
        const Raw *raw = g_ptr_array_index(raws, i);
        bool added = state_add_raw(to, raw_new(raw->id, raw->range));

        g_assert(added); /* they do not overlap there */
    }
}

/* What of another pool has a frame of the region. */
static char *find_other(const Salvage *s, const Region *region) {
    GPtrArray *pools = state_pools(s->m->state);
    FrameRange device = region_device(region);
    char text[PMEMD_UUID_STRING_MAX];

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = g_ptr_array_index(pools, i);

        if (frame_range_overlaps(pool->occupant.entry.range, device))
            return g_strdup_printf("management region %s", pmemd_uuid_format(pool->sb.member_uuid, text));
    }
    const Raw *raw = state_raw_for(s->m->state, device);
    RegionMapEntry *entry = raw ? region_map_find_overlap(raw->map, device) : NULL;
    for (; entry && entry->range.start < device.end; entry = region_map_next(raw->map, entry)) {
        const Occupant *occupant = (const Occupant *) entry;

        if (occupant->kind == OCCUPANT_REGION &&
            !sd_id128_equal(((const Region *) occupant)->pool->sb.member_uuid, s->pool->sb.member_uuid))
            return g_strdup_printf("data region %s of another pool",
                                   pmemd_uuid_format(((const Region *) occupant)->uuid, text));
    }
    const Region *same = state_region_by_uuid(s->m->state, region->uuid);
    if (same && !sd_id128_equal(same->pool->sb.member_uuid, s->pool->sb.member_uuid))
        return g_strdup_printf("the same uuid in pool %s", pmemd_uuid_format(same->pool->sb.member_uuid, text));
    return NULL;
}

/* Frames have one owner: what another pool has by now is its, also where this one's journal was whole. */
static void drop_conflicts(Salvage *s) {
    g_autoptr(GPtrArray) regions = g_ptr_array_new();
    char text[PMEMD_UUID_STRING_MAX];
    uint8_t buf[JF_PAYLOAD_MAX];

    for (Region *region = state_next_region(s->state, NULL); region; region = state_next_region(s->state, region))
        g_ptr_array_add(regions, region);
    for (guint i = 0; i < regions->len; i++) {
        const Region *region = g_ptr_array_index(regions, i);
        JfRef record = { .uuid = region->uuid };
        g_autofree char *other = find_other(s, region);

        if (!other)
            continue;
        say(s->report, "lost: data region %s at 0x%" PRIx64 "-0x%" PRIx64 ": %s has its frames",
            pmemd_uuid_format(region->uuid, text), region->range.start, region->range.end, other);
        s->report->lost++;
        s->dropped = true;
        bool gone = state_apply(s->state, s->pool, JF_DEL, 0, buf, jf_ref_encode(&record, buf), NULL);
        g_assert(gone); /* it was just found */
    }
}

static const Region *find_by_device(const Salvage *s, const BackendDevice *device) {
    for (Region *region = state_next_region(s->state, NULL); region; region = state_next_region(s->state, region))
        if (sd_id128_equal(region->device_uuid, device->uuid) &&
            frame_range_contains(region_device(region), device->device))
            return region;
    return NULL;
}

static void compare(const Op *op, const Salvage *s) {
    RepairReport *report = s->report;
    uint32_t number = backend_tag_number(s->pool->sb.member_uuid);
    g_autoptr(GHashTable) there = g_hash_table_new(NULL, NULL);
    char text[PMEMD_UUID_STRING_MAX];

    for (guint i = 0; i < op->listing->devices->len; i++) {
        const BackendDevice *device = g_ptr_array_index(op->listing->devices, i);
        uint32_t tag_pool = 0;

        if (device->role != BACKEND_ROLE_DATA)
            continue;
        const Region *region = find_by_device(s, device);
        backend_tag_parse(device->tag, &tag_pool, NULL);
        const Region *other = manager_region_of_device(s->m, device->uuid);
        if (region) {
            g_hash_table_add(there, (void *) region);
        } else if (tag_pool == number &&
                   (!other || sd_id128_equal(other->pool->sb.member_uuid, s->pool->sb.member_uuid))) {
            say(report,
                "orphan: device %s at 0x%" PRIx64 "-0x%" PRIx64 " will be in no journal: adopt it, or forget it",
                device->name, device->device.start, device->device.end);
            report->orphans++;
        }
    }
    for (Region *region = state_next_region(s->state, NULL); region; region = state_next_region(s->state, region)) {
        bool is_there = g_hash_table_contains(there, region);

        report->kept++;
        report->missing += !is_there;
        say(report, "kept: data region %s%s%s%s at 0x%" PRIx64 "-0x%" PRIx64 "%s%s",
            pmemd_uuid_format(region->uuid, text), region->name ? " '" : "", region->name ?: "",
            region->name ? "'" : "", region->range.start, region->range.end,
            !region->intent            ? ""
            : region->intent->deleting ? ", under release"
                                       : ", half made",
            is_there ? "" : "; its device is missing");
    }
}

static Salvage *salvage_new(Op *op, Pool *pool, GError **error) {
    g_autoptr(Salvage) s = g_new0(Salvage, 1);

    s->m = op->m;
    s->report = op->request.repair.report;
    s->state = state_new();
    copy_raws(op->m->state, s->state);
    s->pool = state_add_pool(s->state, &pool->sb, pool->occupant.entry.range, POOL_OK, error);
    if (!s->pool)
        return NULL;
    state_begin_replay(s->pool);
    s->journal = journal_salvage(pool->medium, apply_record, on_lost, s, error);
    if (!s->journal)
        return NULL;
    state_end_replay(s->state, s->pool, NULL); /* nobody else is in that state */

    say(s->report, "the fault: %s",
        journal_verdict(s->journal) == JOURNAL_CLEAN && !journal_root_is_restored(s->journal)
            ? pool->reason
            : journal_report(s->journal));
    if (journal_root_is_restored(s->journal))
        say(s->report, "restored: the root, from the snapshot and the log that it stood for");
    say(s->report, "records that can be read behind the fault and are lost: %u", s->report->lost_records);
    drop_conflicts(s);
    compare(op, s);
    return g_steal_pointer(&s);
}

/* --- doing it --- */

static bool keep_evidence(Op *op, const Pool *pool, GError **error) {
    RepairReport *report = op->request.repair.report;
    g_autoptr(GError) local = NULL;

    report->evidence = manager_keep_evidence(op->m, pool, &local);
    if (report->evidence && pool->sb.geo.mgmt_off > EVIDENCE_WHOLE)
        local = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NO_SPACE, "of %" PRIu64 " bytes the first %" PRIu64 " are kept",
                            pool->sb.geo.mgmt_off, EVIDENCE_WHOLE);
    if (!local) {
        say(report, "evidence: %s", report->evidence);
        return true;
    }
    if (op->request.repair.force) {
        say(report, "evidence: none that is whole: %s", local->message);
        return true;
    }
    g_set_error(
        error, PMEMD_ERROR, local->code,
        "the journal is not repaired, as no whole copy of it could be kept as evidence: %s; make room, or force "
        "it",
        local->message);
    return false;
}

static void append_note(Manager *m, Pool *pool, const RepairReport *report) {
    g_autofree char *text = g_strdup_printf("repaired: %u data regions kept, %u dropped; evidence: %s", report->kept,
                                            report->lost, report->evidence ?: "none");
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    if (pool->state == POOL_OK && !manager_append(m, pool, JF_NOTE, 0, buf, jf_note_encode(text, buf), &error))
        log_message(LOG_WARNING, NULL, NULL, "the note of a repair could not be journalled, ignoring: %s",
                    error->message);
}

static void on_settled(Op *op) {
    Manager *m = op->m;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);
    g_autoptr(GError) error = NULL;

    if (pool->state == POOL_CORRUPT)
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "the journal was written anew and is corrupt again: %s",
                            pool->reason);
    else if (pool->reason)
        say(op->request.repair.report, "the pool is %s: %s", pool_state_to_string(pool->state), pool->reason);
    op_finish(op, op->uuid, error);
}

/* The pool comes back as at a start: from what its journal says. */
static void open_again(Op *op, Pool *old) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    Pool *pool = manager_replace_pool(m, old, g_steal_pointer(&old->medium), &error);

    if (!pool) {
        g_prefix_error(&error, "the journal was repaired, but the pool cannot be opened; restart pmemd: ");
        manager_take_listing(m, op->listing);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    append_note(m, pool, op->request.repair.report);
    op->request.repair.report->applied = true;
    manager_take_listing(m, op->listing);
    op_settle(op, pool, on_settled);
}

static void repair(Op *op, Pool *pool) {
    RepairReport *report = op->request.repair.report;
    g_autoptr(GError) error = NULL;
    report->needed = true;
    g_autoptr(Salvage) s = salvage_new(op, pool, &error);

    if (s && !op->request.repair.apply) {
        say(report, "nothing was changed: this is what applying it would do");
        op_finish(op, op->uuid, NULL);
        return;
    }
    if (!s || !keep_evidence(op, pool, &error) || !journal_repair(s->journal, s->dropped, emit_snapshot, s, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    g_clear_pointer(&s, salvage_free);
    open_again(op, pool);
}

/* --- the request --- */

static void on_listed(void *data) {
    Op *op = data;
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!op->listing) {
        op_finish(op, SD_ID128_NULL, op->error);
        return;
    }
    Pool *pool = state_pool_by_key(m->state, op->key);
    if (!pool) {
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_MGMT,
                            "there is no management region %s (pmemctl list --mgmt)", op->key);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    op->uuid = pool->sb.member_uuid;
    if (pool->state == POOL_OK) {
        op->request.repair.report->kept = pool->n_regions;
        say(op->request.repair.report, "the journal is whole: there is nothing to repair");
        op_finish(op, op->uuid, NULL);
    } else if (pool->state != POOL_CORRUPT || !pool->medium) {
        if (rules_pool_writable(pool, &error))
            g_assert_not_reached();
        g_prefix_error(&error, "only a corrupt journal can be repaired: ");
        op_finish(op, SD_ID128_NULL, error);
    } else {
        repair(op, pool);
    }
}

void repair_start(Op *op) {
    op_work(op, op_run_list, on_listed);
}
