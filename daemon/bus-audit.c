/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-audit.h"

#include "daemon/audit.h"
#include "daemon/bus-error.h"
#include "proto/names.h"

#include <inttypes.h>

struct BusAudit {
    const Manager *manager;
    Audit *audit;
};

/* The methods that change something. */
static bool is_change(const char *member) {
    static const char *const members[] = {
        "SetupMgmt",      "SetupData", "AllocateMgmt", "AllocateData", "ReleaseData", "ReleaseMgmt",
        "Rename",         "SetOwner",  "Pause",        "Resume",       "Attach",      "Detach",
        "ClearBadFrames", "Adopt",     "Forget",       "Repair",       NULL,
    };

    return g_strv_contains(members, member);
}

/* The methods that name what they are about by a text: a device has no object. */
static bool takes_key(const char *member) {
    static const char *const members[] = { "Adopt", "Forget", "Repair", NULL };

    return g_strv_contains(members, member);
}

static const char *key_of(sd_bus_message *call) {
    const char *key;

    return sd_bus_message_rewind(call, true) >= 0 && sd_bus_message_read_basic(call, 's', &key) > 0 ? key : "";
}

/* Names are those of devices, files, regions: what a caller sent else is cut and quoted. */
static char *describe_key(sd_bus_message *call) {
    g_autofree char *quoted = bus_quote(key_of(call));

    return g_strdup_printf("of '%s'", quoted);
}

static BusAuditRegion look(const BusAudit *audit, sd_id128_t uuid) {
    const State *state = manager_state(audit->manager);
    const Region *region = state_region_by_uuid(state, uuid);
    const Pool *pool = region ? region->pool : state_pool_by_uuid(state, uuid);
    BusAuditRegion found = { .uuid = uuid };

    if (!pool)
        return found;
    found.pool = pool->sb.member_uuid;
    found.kind = region ? REGION_KIND_DATA : REGION_KIND_MGMT;
    found.range = region ? region->range : pool->sb.range;
    const char *name = region ? region->name : pool->name;
    g_strlcpy(found.name, name ? name : "", sizeof found.name);
    return found;
}

/* The region that a call names, so far as it can be read: callers send what they like. */
static sd_id128_t named_by(sd_bus_message *call) {
    sd_id128_t uuid = SD_ID128_NULL;
    const char *path;

    if (takes_key(sd_bus_message_get_member(call)))
        return pmemd_uuid_parse(key_of(call), &uuid) ? uuid : SD_ID128_NULL;
    if (pmemd_job_path_parse(sd_bus_message_get_path(call), &uuid))
        return uuid;
    if (sd_bus_message_rewind(call, true) >= 0 && sd_bus_message_read_basic(call, 'o', &path) > 0 &&
        pmemd_region_path_parse(path, &uuid))
        return uuid;
    return SD_ID128_NULL;
}

BusAuditRegion bus_audit_before(const BusAudit *audit, sd_bus_message *call) {
    return look(audit, named_by(call));
}

static void record(BusAudit *audit, sd_bus_message *call, const Caller *caller, const BusAuditRegion *region,
                   sd_id128_t request_id, const char *detail, const GError *error) {
    char uuid[PMEMD_UUID_STRING_MAX], pool[PMEMD_UUID_STRING_MAX], id[PMEMD_UUID_STRING_MAX];
    const AuditEntry entry = {
        .action = sd_bus_message_get_member(call),
        .sender = sd_bus_message_get_sender(call),
        .has_uid = caller != NULL,
        .uid = caller ? caller->uid : 0,
        .user = caller ? caller->user : NULL,
        .kind = sd_id128_is_null(region->pool)     ? NULL
                : region->kind == REGION_KIND_DATA ? "data region"
                                                   : "management region",
        .region = sd_id128_is_null(region->uuid) ? NULL : pmemd_uuid_format(region->uuid, uuid),
        .pool = sd_id128_is_null(region->pool) ? NULL : pmemd_uuid_format(region->pool, pool),
        .name = region->name,
        .range = region->range,
        .detail = detail,
        .request_id = sd_id128_is_null(request_id) ? NULL : pmemd_uuid_format(request_id, id),
        .error = error,
    };

    audit_record(audit->audit, &entry);
}

void bus_audit_refused(BusAudit *audit, sd_bus_message *call, const Caller *caller, const GError *error) {
    if (!is_change(sd_bus_message_get_member(call)))
        return;
    const BusAuditRegion region = bus_audit_before(audit, call);
    g_autofree char *detail = takes_key(sd_bus_message_get_member(call)) ? describe_key(call) : NULL;
    record(audit, call, caller, &region, SD_ID128_NULL, detail, error);
}

/* What a change of owner has made of it. */
static char *describe_owner(const BusAudit *audit, sd_id128_t uuid) {
    const State *state = manager_state(audit->manager);
    const Region *region = state_region_by_uuid(state, uuid);
    const Pool *pool = state_pool_by_uuid(state, uuid);
    const char *user = region ? region->user : pool ? pool->user : NULL;

    if (!region && !pool)
        return NULL;
    return g_strdup_printf("now owned by %s (uid %" PRIu32 ")", user && *user ? user : "?",
                           region ? region->owner_uid : pool->owner_uid);
}

/* Who has it now. */
static char *describe_lease(const BusAudit *audit, sd_id128_t uuid) {
    const State *state = manager_state(audit->manager);
    const Region *region = state_region_by_uuid(state, uuid);
    const Lease *lease = region ? state_lease(state, region) : NULL;
    g_autofree char *holder = lease ? lease_describe(lease) : NULL;

    return holder ? g_strdup_printf("lent to %s", holder) : NULL;
}

void bus_audit_done(BusAudit *audit, sd_bus_message *call, const Caller *caller, const BusAuditRegion *before,
                    sd_id128_t result, sd_id128_t request_id) {
    const char *member = sd_bus_message_get_member(call);

    if (!is_change(member))
        return;
    const BusAuditRegion now = look(audit, result);
    /* A release takes the name away at once, or all of it. */
    const BusAuditRegion *told = sd_id128_is_null(now.pool) || g_str_has_prefix(member, "Release") ? before : &now;
    g_autofree char *detail = g_str_equal(member, "SetOwner") ? describe_owner(audit, told->uuid)
                              : g_str_equal(member, "Attach") ? describe_lease(audit, told->uuid)
                              : takes_key(member)             ? describe_key(call)
                                                              : NULL;
    record(audit, call, caller, told, request_id, detail, NULL);
}

BusAudit *bus_audit_new(sd_event *event, const Manager *manager) {
    BusAudit *audit = g_new0(BusAudit, 1);

    audit->manager = manager;
    audit->audit = audit_new(event, NULL);
    return audit;
}

void bus_audit_free(BusAudit *audit) {
    if (!audit)
        return;
    audit_free(audit->audit);
    g_free(audit);
}
