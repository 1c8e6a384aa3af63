/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Attach and Detach: a data region lent to its guest, and given back.
 *
 * The order is the proof. The descriptors that somebody else may have kept are made dead, then the device is opened, then the
 * lease is journalled, then the answer goes out with the descriptor. So what fails before the record leaves no lease and
 * no descriptor that anybody has; and a crash after it leaves a lease that whoever asked does not know of, and gets by
 * asking again: never a descriptor without its lease. Who had the region last stays in the journal until somebody else's lease is on
 * it, so a crash in between has the device renewed once more, never less.
 */
#include "daemon/manager-internal.h"

#include "daemon/recovery.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static LeaseRequest lease_request(const Op *op) {
    return (LeaseRequest){
        .owner = op->name,
        .uid = op->request.uid,
        .max_leases = op->m->limits.max_leases_per_uid,
    };
}

static bool find_region(const Op *op, Region **ret_region, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Region *region = state_region_by_uuid(op->m->state, op->request.lease.uuid);

    if (!region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no data region %s (pmemctl list --data)",
                    pmemd_uuid_format(op->request.lease.uuid, text));
        return false;
    }
    /* Whose it is now decides, not whose it was when the request was made. */
    if (!op->request.others && !rules_is_own(region->owner_uid, region->user, op->request.uid, op->user)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                    "data region %s is not user %" PRIu32
                    "'s: ask its owner, or an administrator for org.pmemd1.manage-all",
                    pmemd_uuid_format(region->uuid, text), op->request.uid);
        return false;
    }
    *ret_region = region;
    return true;
}

static bool find_lendable(const Op *op, Region **ret_region, GError **error) {
    const LeaseRequest request = lease_request(op);

    if (!find_region(op, ret_region, error) || !rules_attach(op->m->state, *ret_region, &request, error))
        return false;
    /* Who has it already knows how it is; to confirm the lease must not fail for what happened to the memory since. */
    return state_lease(op->m->state, *ret_region) ||
           rules_lend_check(*ret_region, op->request.lease.allow_degraded, error);
}

/* --- worker steps --- */

static void run_renew(void *data) {
    Op *op = data;

    op->outcome = BACKEND_UNCHANGED;
    op->ok = manager_backend_renew(op->m, op->device_uuid, op->tag, &op->outcome, &op->error);
}

static void run_lend(void *data) {
    Op *op = data;

    op->ok = true;
    if (op->renew)
        run_renew(op);
    if (op->ok)
        op->loan = manager_backend_lend(op->m, op->device_uuid, &op->error);
}

/* Whoever came in between the look and the renewal may be another user's process, and the backend names it. */
static GError *worker_error(const Op *op) {
    if (op_viewer(op) == MAPPERS_EVERYBODY || !g_error_matches(op->error, PMEMD_ERROR, PMEMD_ERROR_BUSY))
        return g_error_copy(op->error);
    return g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_BUSY, "a process has mapped the device just now: try again");
}

/* The look before: nothing is taken from a process that uses it, and the refusal names it to whom it may. */
static bool check_unmapped(const Op *op, const char *verb, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *what = g_strdup_printf("data region %s cannot be %s", pmemd_uuid_format(op->uuid, text), verb);

    return op_check_unmapped(op, op_viewer(op), what, error);
}

/* What the worker needs to know of the region. */
static void aim(Op *op, const Region *region, bool renews) {
    op->uuid = region->uuid;
    op->device_uuid = region->device_uuid;
    op->renew = renews;
    recovery_region_tag(region, op->tag);
}

/* --- Attach --- */

/* What is to be known of the lease from now on: what the request does not say stays as it is. */
static JfLease describe_lease(const Op *op, const Region *region, const Lease *old) {
    const ManagerRequest *request = &op->request;
    bool disconnect = request->lease.has_until ? request->lease.disconnect : old && old->sender;
    JfLease record = {
        .region_uuid = region->uuid,
        .guest_frame = request->lease.has_guest_frame ? request->lease.guest_frame
                       : old                          ? old->guest_frame
                                                      : PMEMD_FRAME_INVALID,
        .since = old ? old->since : manager_now_usec(),
        .uid = request->uid,
        .flags = disconnect ? JF_LEASE_DISCONNECT : 0,
        .bus_id = disconnect ? request->lease.bus_id : SD_ID128_NULL,
    };

    g_strlcpy(record.owner, op->name, sizeof record.owner);
    g_strlcpy(record.user, op->user, sizeof record.user);
    if (disconnect)
        g_strlcpy(record.sender, op->pool_key, sizeof record.sender);
    return record;
}

static bool lease_says(const Lease *lease, const JfLease *record) {
    return lease && lease->guest_frame == record->guest_frame && strcmp(lease->user, record->user) == 0 &&
           g_strcmp0(lease->sender ?: "", record->sender) == 0 && sd_id128_equal(lease->bus_id, record->bus_id);
}

static bool put_lease(Op *op, Region *region, GError **error) {
    const Lease *old = state_lease(op->m->state, region);
    const JfLease record = describe_lease(op, region, old);
    uint8_t buf[JF_PAYLOAD_MAX];

    return lease_says(old, &record) ||
           manager_append(op->m, region->pool, JF_LEASE, 0, buf, jf_lease_encode(&record, buf), error);
}

static void on_lent(void *data) {
    Op *op = data;
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    Region *region;

    /* Nothing else changes anything meanwhile; but what is journalled is decided at the time of writing. */
    if (!op->loan)
        error = worker_error(op);
    if (error || !find_lendable(op, &region, &error) || !put_lease(op, region, &error)) {
        g_clear_pointer(&op->loan, backend_loan_free);
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    state_confirm_lease(m->state, region);
    region_set_path(region, op->loan->path);
    op_answer(op, op->uuid, NULL);
    manager_tell_region_changed(m, region);
    op_finish(op, op->uuid, NULL);
}

static void on_attach_mappers(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;

    if (check_unmapped(op, "lent to another owner", &error))
        op_work(op, run_lend, on_lent);
    else
        op_finish(op, SD_ID128_NULL, error);
}

void attach_start(Op *op) {
    const LeaseRequest request = lease_request(op);
    g_autoptr(GError) error = NULL;
    Region *region;

    if (!find_lendable(op, &region, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    aim(op, region, rules_attach_renews(op->m->state, region, &request));
    if (op->renew)
        op_work(op, op_run_mappers, on_attach_mappers);
    else
        op_work(op, run_lend, on_lent);
}

BackendLoan *manager_take_loan(Manager *m) {
    return m->current ? g_steal_pointer(&m->current->loan) : NULL;
}

/* --- Detach --- */

/* Somebody's guest may be told nothing of it: what was done is in the log for whoever looks for the reason. */
static void log_forced(const Op *op, const Region *region, const Lease *lease) {
    char uuid[PMEMD_UUID_STRING_MAX], pool[PMEMD_UUID_STRING_MAX];
    g_autofree char *holder = lease_describe(lease);

    pmemd_uuid_format(region->uuid, uuid);
    pmemd_uuid_format(region->pool->sb.member_uuid, pool);
    log_event(EVENT_LEASE_FORCED, LOG_FIELDS({ "POOL", pool }, { "REGION", uuid }, { "NAME", region->name }),
              "data region %s%s%s%s was taken by force from %s, by uid %" PRIu32, uuid, region->name ? " '" : "",
              region->name ?: "", region->name ? "'" : "", holder, op->request.uid);
}

static void end_lease(Op *op, Region *region, uint32_t reason) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;
    const JfUnlease record = {
        .region_uuid = region->uuid,
        .time = manager_now_usec(),
        .uid = op->request.uid,
        .reason = reason,
    };
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!manager_append(m, region->pool, JF_UNLEASE, 0, buf, jf_unlease_encode(&record, buf), &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    if (reason == JF_UNLEASE_FORCED)
        log_forced(op, region, state_last_lease(m->state, region));
    op_answer(op, region->uuid, NULL);
    manager_tell_region_changed(m, region);
    op_finish(op, region->uuid, NULL);
}

static bool decide_detach(const Op *op, Region **ret_region, DetachKind *ret_kind, GError **error) {
    const DetachRequest request = {
        .owner = op->name,
        .uid = op->request.uid,
        .force = op->request.lease.force,
        .others = op->request.others,
    };

    return find_region(op, ret_region, error) && rules_detach(op->m->state, *ret_region, &request, ret_kind, error);
}

/* Whoever had it can do nothing with it any more. */
static void on_taken(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;
    DetachKind kind;
    Region *region;

    if (!op->ok)
        error = worker_error(op);
    if (error || !decide_detach(op, &region, &kind, &error))
        op_finish(op, SD_ID128_NULL, error);
    else
        end_lease(op, region, JF_UNLEASE_FORCED);
}

static void on_detach_mappers(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;

    if (check_unmapped(op, "taken by force", &error))
        op_work(op, run_renew, on_taken);
    else
        op_finish(op, SD_ID128_NULL, error);
}

void detach_start(Op *op) {
    g_autoptr(GError) error = NULL;
    DetachKind kind;
    Region *region;

    if (!decide_detach(op, &region, &kind, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    switch (kind) {
    case DETACH_NOTHING:
        op_finish(op, region->uuid, NULL);
        break;
    case DETACH_OWN:
        end_lease(op, region, JF_UNLEASE_DETACHED);
        break;
    case DETACH_FORCED:
        aim(op, region, true);
        /* What is not on the platform nobody uses, and cannot be renewed. */
        if (region->state == REGION_MISSING)
            end_lease(op, region, JF_UNLEASE_FORCED);
        else
            op_work(op, op_run_mappers, on_detach_mappers);
        break;
    }
}

/* --- leases that end with a connection --- */

static void disconnect_start(Op *op) {
    Region *region = state_region_by_uuid(op->m->state, op->uuid);
    const Lease *lease = region ? state_lease(op->m->state, region) : NULL;

    /* By now it may be another one, or that connection's no longer. */
    if (!lease || !lease->sender || strcmp(lease->sender, op->name) != 0 ||
        !sd_id128_equal(lease->bus_id, op->request.lease.bus_id) || region->pool->state != POOL_OK) {
        op_finish(op, SD_ID128_NULL, NULL);
        return;
    }
    op->request.uid = lease->uid;
    end_lease(op, region, JF_UNLEASE_DISCONNECTED);
}

void manager_disconnected(Manager *m, sd_id128_t region_uuid, const char *sender, sd_id128_t bus_id) {
    Op *op = op_new(m, disconnect_start);

    op->uuid = region_uuid;
    op->name = g_strdup(sender);
    op->request.lease.bus_id = bus_id;
    op_enqueue(op, true);
}

void manager_tell_unconfirmed(Manager *m) {
    guint n = state_count_unconfirmed(m->state);

    if (n > 0)
        log_event(EVENT_LEASES_UNCONFIRMED, NULL,
                  "%u data region%s lent before this start; who had %s is to attach again, and until then pmemd does "
                  "not know whether anybody still uses %s (pmemctl leases)",
                  n, n == 1 ? " was" : "s were", n == 1 ? "it" : "them", n == 1 ? "it" : "them");
}
