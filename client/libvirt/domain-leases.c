/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-leases.h"

#include <string.h>

DomainState *domain_state_new(const char *uuid, const char *name, bool active) {
    DomainState *state = g_new0(DomainState, 1);

    state->uuid = g_strdup(uuid);
    state->name = g_strdup(name);
    state->active = active;
    state->live = g_ptr_array_new_with_free_func(g_free);
    return state;
}

void domain_state_free(void *data) {
    DomainState *state = data;

    if (!state)
        return;
    g_free(state->uuid);
    g_free(state->name);
    g_ptr_array_unref(state->live);
    g_free(state);
}

DomainLease *domain_lease_new(const char *region, const char *owner) {
    DomainLease *lease = g_new0(DomainLease, 1);

    lease->region = g_strdup(region);
    lease->owner = g_strdup(owner);
    return lease;
}

void domain_lease_free(void *data) {
    DomainLease *lease = data;

    if (!lease)
        return;
    g_free(lease->region);
    g_free(lease->owner);
    g_free(lease);
}

static void action_free(void *data) {
    DomainAction *action = data;

    g_free(action->region);
    g_free(action->domain);
    g_free(action->name);
    g_free(action->holder);
    g_free(action);
}

/* lease: CONFLICT's; else NULL. */
static void add(GPtrArray *actions, DomainActionKind kind, const char *region, const char *domain, const char *name,
                const DomainLease *lease) {
    DomainAction *action = g_new0(DomainAction, 1);

    action->kind = kind;
    action->region = g_strdup(region);
    action->domain = g_strdup(domain);
    action->name = g_strdup(name);
    if (lease) {
        action->holder = g_strdup(lease->owner);
        action->holder_is_own = lease->own;
    }
    g_ptr_array_add(actions, action);
}

static const DomainLease *lease_of(const GPtrArray *leases, const char *region) {
    for (guint i = 0; i < leases->len; i++) {
        const DomainLease *lease = g_ptr_array_index(leases, i);
        if (strcmp(lease->region, region) == 0)
            return lease;
    }
    return NULL;
}

static const DomainState *domain_of(const GPtrArray *domains, const char *uuid) {
    for (guint i = 0; i < domains->len; i++) {
        const DomainState *state = g_ptr_array_index(domains, i);
        if (strcmp(state->uuid, uuid) == 0)
            return state;
    }
    return NULL;
}

static bool has_live(const DomainState *state, const char *region) {
    for (guint i = 0; i < state->live->len; i++)
        if (strcmp(g_ptr_array_index(state->live, i), region) == 0)
            return true;
    return false;
}

static char *pair(const char *domain, const char *region) {
    return g_strconcat(domain, "/", region, NULL);
}

static void decide_domain(const DomainState *state, const GPtrArray *leases, GHashTable *seen, GPtrArray *actions) {
    for (guint i = 0; i < state->live->len; i++) {
        const char *region = g_ptr_array_index(state->live, i);
        const DomainLease *lease = lease_of(leases, region);

        g_hash_table_add(seen, pair(state->uuid, region));
        if (lease && !(lease->own && strcmp(lease->owner, state->uuid) == 0))
            add(actions, DOMAIN_ACTION_CONFLICT, region, state->uuid, state->name, lease);
        else if (!lease || !lease->confirmed)
            add(actions, DOMAIN_ACTION_ATTACH, region, state->uuid, state->name, NULL);
    }
}

static void decide_lease(const DomainLease *lease, const GPtrArray *domains, GHashTable *seen, GPtrArray *actions) {
    const DomainState *state = domain_of(domains, lease->owner);
    g_autofree char *key = pair(lease->owner, lease->region);

    if (!lease->own || (state && (state->unclear || (state->active && has_live(state, lease->region)))))
        return;
    /* Of a running domain, what it was never seen with may have been lent to it to be attached next. */
    bool over = state && state->active ? g_hash_table_contains(seen, key) : lease->marked;
    if (over)
        add(actions, DOMAIN_ACTION_DETACH, lease->region, lease->owner, state ? state->name : "", NULL);
}

/* What a domain was seen with is of no use once it has stopped: the next start is another one. */
static gboolean is_over(void *key, void *value, void *data) {
    const char *slash = strchr(key, '/');
    g_autofree char *uuid = g_strndup(key, (gsize) (slash - (char *) key));
    const DomainState *state = domain_of(data, uuid);

    return !state || (!state->unclear && !state->active);
}

GPtrArray *domain_leases_decide(const GPtrArray *domains, const GPtrArray *leases, GHashTable *seen) {
    GPtrArray *actions = g_ptr_array_new_with_free_func(action_free);

    g_hash_table_foreach_remove(seen, is_over, (void *) domains);
    for (guint i = 0; i < domains->len; i++) {
        const DomainState *state = g_ptr_array_index(domains, i);
        if (state->active && !state->unclear)
            decide_domain(state, leases, seen, actions);
    }
    for (guint i = 0; i < leases->len; i++)
        decide_lease(g_ptr_array_index(leases, i), domains, seen, actions);
    return actions;
}
