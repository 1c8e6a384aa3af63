/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who may have a data region, and who may end that.
 */
#include "daemon/rules.h"

#include "daemon/rules-placement.h"
#include "proto/error.h"
#include "proto/names.h"

#include <inttypes.h>
#include <string.h>

static bool refuse_leased(const Region *region, const Lease *lease, const char *remedy, GError **error) {
    g_autofree char *who = placement_describe_region(region);
    g_autofree char *holder = lease_describe(lease);

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LEASED, "%s is lent to %s: %s", who, holder, remedy);
    return false;
}

bool rules_not_leased(const State *state, const Region *region, GError **error) {
    const Lease *lease = state_lease(state, region);

    return !lease || refuse_leased(region, lease,
                                   "have it detached first (pmemctl detach --owner), or by force when its holder is "
                                   "gone for good (pmemctl detach --force)",
                                   error);
}

/* Whole and settled. */
static bool check_lendable(const Region *region, GError **error) {
    g_autofree char *who = placement_describe_region(region);
    const char *reason = region->reason ?: "no reason is recorded";

    switch (region->state) {
    case REGION_OK:
        break;
    case REGION_MISSING:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "the device of %s is missing on this host (%s): bring it back first", who, reason);
        return false;
    case REGION_CREATING:
    case REGION_QUARANTINED:
    case REGION_UNSETTLED:
    case N_REGION_STATES:
    default:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is %s and not to be lent: %s", who,
                    region_state_to_string(region->state), reason);
        return false;
    }
    if (region->intent) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s has an operation under way (intent %" PRIu64 "): attach it when that has ended", who,
                    region->intent->txid);
        return false;
    }
    return true;
}

/* What was there before is nobody's to read. */
static bool check_erased(const State *state, const Region *region, GError **error) {
    char path[PMEMD_PATH_MAX];
    Erase erase;

    if (!state_erase(state, region, &erase))
        return true;
    g_autofree char *who = placement_describe_region(region);
    if (erase.failed)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s could not be erased for its first guest, pmemd's log says why: release it, or restart pmemd to "
                    "try again",
                    who);
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s is being erased for its first guest: attach it when the job %s has ended", who,
                    pmemd_job_path(region->uuid, path));
    return false;
}

static bool check_count(const State *state, const LeaseRequest *request, GError **error) {
    guint n = state_count_leases_of(state, request->uid);

    if (request->uid == 0 || request->max_leases == 0 || n < request->max_leases)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                "user %" PRIu32
                " has %u data regions attached, and may have %u (MaxLeasesPerUser= in pmemd.conf): detach one first",
                request->uid, n, request->max_leases);
    return false;
}

bool rules_attach(const State *state, const Region *region, const LeaseRequest *request, GError **error) {
    const Lease *lease = state_lease(state, region);

    if (!rules_pool_writable(region->pool, error))
        return false;
    if (lease && !lease_is_of(lease, request->owner, request->uid))
        return refuse_leased(region, lease,
                             "wait until it is detached, or have that done by force when its holder is gone for good "
                             "(pmemctl detach --force)",
                             error);
    return check_lendable(region, error) && check_erased(state, region, error) &&
           (lease || (check_count(state, request, error) && rules_lease_room(region->pool, error)));
}

bool rules_attach_renews(const State *state, const Region *region, const LeaseRequest *request) {
    const Lease *last = state_last_lease(state, region);

    return last && !lease_is_of(last, request->owner, request->uid);
}

bool rules_detach(const State *state, const Region *region, const DetachRequest *request, DetachKind *ret_kind,
                  GError **error) {
    const Lease *lease = state_lease(state, region), *last = state_last_lease(state, region);
    bool own = lease_is_of(last, request->owner, request->uid);

    if (!lease && own) {
        *ret_kind = DETACH_NOTHING;
        return true;
    }
    if (!lease) {
        g_autofree char *who = placement_describe_region(region);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s is lent to nobody: there is nothing to detach", who);
        return false;
    }
    if (!rules_pool_writable(region->pool, error))
        return false;
    if (own && !request->force) {
        *ret_kind = DETACH_OWN;
        return true;
    }
    if (!request->force)
        return refuse_leased(region, lease, "only they may detach it, or whoever may force it (pmemctl detach --force)",
                             error);
    if (request->owner[0] != '\0' && strcmp(request->owner, lease->owner) != 0)
        return refuse_leased(region, lease, "name that owner, or none, to detach it by force", error);
    if (lease->uid != request->uid && !request->others) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                    "user %" PRIu32 " has it: ask that user, or an administrator for org.pmemd1.manage-all",
                    lease->uid);
        return false;
    }
    *ret_kind = DETACH_FORCED;
    return true;
}
