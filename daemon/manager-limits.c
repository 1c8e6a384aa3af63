/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the configuration bounds and can change while pmemd runs: queues, what users may own, which raw regions are
 * managed.
 */
#include "daemon/manager-internal.h"

void manager_set_limits(Manager *m, ManagerLimits limits) {
    m->limits = limits;
}

bool manager_is_managed(const Manager *m, const Raw *raw) {
    const char *name = g_strcmp0(raw->kind, "file") == 0 ? raw->id : NULL;

    const char *const *dimms = (const char *const *) raw->dimms;

    if (!m->manage)
        return true;
    /* It goes whole, whatever the request, and no label says that it is free or that it was taken: never by "all". */
    if (!raw->subdividable && !raw->initialisable)
        return manage_list_names(m->manage, raw->range.start, name, dimms);
    return manage_list_has(m->manage, raw->range.start, name, dimms);
}

void manager_set_manage(Manager *m, const ManageList *manage) {
    GPtrArray *raws = state_raws(m->state);

    manage_list_unref(m->manage);
    m->manage = manage_list_ref(manage);
    for (guint i = 0; i < raws->len; i++) {
        Raw *raw = g_ptr_array_index(raws, i);

        raw->unmanaged = !manager_is_managed(m, raw);
    }
    manager_update_summary(m);
}

OwnerLimits manager_owner_limits(const Manager *m, uint32_t uid, const QuotaLimit *quota) {
    if (uid == 0)
        return (OwnerLimits){ .uid = 0 };
    return (OwnerLimits){
        .uid = uid,
        .has_quota = quota->limited,
        .quota_bytes = quota->bytes,
        .quota_source = quota->source,
        .max_regions = m->limits.max_regions_per_uid,
    };
}
