/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/action.h"

#include "proto/error.h"
#include "proto/names.h"

static const struct {
    const char *id;
    bool of_group;
} action_table[] = {
    [ACTION_ANYONE] = { "", false },
    [ACTION_SETUP_MGMT] = { "org.pmemd1.setup-mgmt", false },
    [ACTION_SETUP_DATA] = { "org.pmemd1.setup-data", true },
    [ACTION_RELEASE] = { "org.pmemd1.release", true },
    [ACTION_ATTACH] = { "org.pmemd1.attach", true },
    [ACTION_REPAIR] = { "org.pmemd1.repair", false },
    [ACTION_MANAGE_ALL] = { "org.pmemd1.manage-all", false },
};
G_STATIC_ASSERT(G_N_ELEMENTS(action_table) == N_ACTIONS);

/* Plan names frames: who may not make a region is not to find out by it where one would lie. A name belongs to what
 * the maker of a region may choose. SetOwner is like chown: an own region must not be given away either, the quota of
 * the one it is given to is not the giver's to use. */
static const ActionRow row_table[] = {
    { PMEMD_IFACE_MANAGER, "SetupMgmt", ACTION_SETUP_MGMT, ACTION_SETUP_MGMT, false },
    { PMEMD_IFACE_MANAGER, "SetupData", ACTION_SETUP_DATA, ACTION_SETUP_DATA, false },
    { PMEMD_IFACE_MANAGER, "AllocateMgmt", ACTION_SETUP_MGMT, ACTION_SETUP_MGMT, false },
    { PMEMD_IFACE_MANAGER, "AllocateData", ACTION_SETUP_DATA, ACTION_SETUP_DATA, false },
    { PMEMD_IFACE_MANAGER, "Plan", ACTION_SETUP_MGMT, ACTION_SETUP_DATA, false },
    { PMEMD_IFACE_MANAGER, "ReleaseData", ACTION_RELEASE, ACTION_RELEASE, true },
    { PMEMD_IFACE_MANAGER, "ReleaseMgmt", ACTION_RELEASE, ACTION_RELEASE, true },
    { PMEMD_IFACE_MANAGER, "Rename", ACTION_SETUP_MGMT, ACTION_SETUP_DATA, true },
    { PMEMD_IFACE_MANAGER, "SetOwner", ACTION_MANAGE_ALL, ACTION_MANAGE_ALL, true },
    { PMEMD_IFACE_MANAGER, "Attach", ACTION_ATTACH, ACTION_ATTACH, true },
    { PMEMD_IFACE_MANAGER, "Detach", ACTION_ATTACH, ACTION_ATTACH, true },
    { PMEMD_IFACE_MANAGER, "ListLeases", ACTION_ANYONE, ACTION_ANYONE, false }, /* of what is theirs: bus-list */
    { PMEMD_IFACE_MANAGER, "ClearBadFrames", ACTION_REPAIR, ACTION_REPAIR, true },
    { PMEMD_IFACE_MANAGER, "Adopt", ACTION_REPAIR, ACTION_REPAIR, false },
    { PMEMD_IFACE_MANAGER, "Forget", ACTION_REPAIR, ACTION_REPAIR, false },
    { PMEMD_IFACE_MANAGER, "Repair", ACTION_REPAIR, ACTION_REPAIR, false },
    { PMEMD_IFACE_MANAGER, "CountRegions", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "ListRaw", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "ListMgmt", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "ListData", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "ListForeign", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "ListDimms", ACTION_ANYONE, ACTION_ANYONE, false }, /* ids are root's: bus-bad */
    { PMEMD_IFACE_MANAGER, "GetRegion", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_MANAGER, "GetMetrics", ACTION_ANYONE, ACTION_ANYONE, false }, /* no addresses, no owners */
    { PMEMD_IFACE_MANAGER, "Locate", ACTION_ANYONE, ACTION_ANYONE, false },     /* of what is theirs: bus-locate */
    { PMEMD_IFACE_MANAGER, "LocateList", ACTION_ANYONE, ACTION_ANYONE, false },
    { PMEMD_IFACE_JOB, "Pause", ACTION_RELEASE, ACTION_RELEASE, true },
    { PMEMD_IFACE_JOB, "Resume", ACTION_RELEASE, ACTION_RELEASE, true },
};

const ActionRow *action_row(const char *interface, const char *member, GError **error) {
    for (size_t i = 0; i < G_N_ELEMENTS(row_table); i++) {
        const ActionRow *row = &row_table[i];

        if (g_strcmp0(row->member, member) == 0 && g_strcmp0(row->interface, interface) == 0)
            return row;
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "%s.%s has no entry in pmemd's table of actions",
                interface ?: "", member ?: "");
    return NULL;
}

uint32_t action_required(const ActionRow *row, RegionKind kind, bool own) {
    Action action = kind == REGION_KIND_MGMT ? row->mgmt : row->data;
    uint32_t required = action == ACTION_ANYONE ? 0 : ACTION_BIT(action);

    if (row->target && !own)
        required |= ACTION_BIT(ACTION_MANAGE_ALL);
    return required;
}

const char *action_id(Action action) {
    return action_table[action].id;
}

bool action_is_of_group(Action action) {
    return action_table[action].of_group;
}
