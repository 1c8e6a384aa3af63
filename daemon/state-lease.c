/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The model's leases: a table beside the regions, as few regions of a hundred thousand have one and each byte of a
 * Region counts.
 */
#include "daemon/state-internal.h"

#include <string.h>

static uint64_t lease_snapshot_bytes(const Lease *lease) {
    size_t sender_len = lease->sender ? strlen(lease->sender) : 0;

    return jf_snapshot_bytes(jf_lease_payload_len(strlen(lease->owner), strlen(lease->user), sender_len));
}

static void count(State *state, Region *region, const Lease *lease, int by) {
    void *uid = GUINT_TO_POINTER(lease->uid);

    if (!lease_is_held(lease))
        return;
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(state->leases_of, uid)) + (guint) by;
    if (n > 0)
        g_hash_table_insert(state->leases_of, uid, GUINT_TO_POINTER(n));
    else
        g_hash_table_remove(state->leases_of, uid);
    if (by > 0)
        g_tree_insert(state->leased, region, region);
    else
        g_tree_remove(state->leased, region);
    state->n_leases += (guint) by;
    if (!lease->confirmed)
        state->n_unconfirmed += (guint) by;
}

static Lease *find(const State *state, const Region *region) {
    return g_hash_table_lookup(state->leases, region);
}

/* Takes lease over. */
static void put(State *state, Region *region, Lease *lease) {
    state_drop_lease(state, region);
    region->pool->snapshot_bytes += lease_snapshot_bytes(lease);
    count(state, region, lease, 1);
    g_hash_table_insert(state->leases, region, lease);
}

void state_put_lease(State *state, Region *region, const JfLease *record) {
    Lease *lease = g_new(Lease, 1);

    *lease = (Lease){
        .owner = g_strdup(record->owner),
        .user = g_strdup(record->user),
        .sender = (record->flags & JF_LEASE_DISCONNECT) ? g_strdup(record->sender) : NULL,
        .bus_id = record->bus_id,
        .since = record->since,
        .guest_frame = record->guest_frame,
        .uid = record->uid,
        .ended = (record->flags & JF_LEASE_ENDED) != 0,
        .confirmed = !region->pool->replaying,
    };
    put(state, region, lease);
}

void state_end_lease(State *state, Region *region) {
    const Lease *old = find(state, region);
    Lease *last = g_new(Lease, 1);

    *last = (Lease){
        .owner = g_strdup(old->owner),
        .user = g_strdup(old->user),
        .since = old->since,
        .guest_frame = PMEMD_FRAME_INVALID,
        .uid = old->uid,
        .ended = true,
    };
    put(state, region, last);
}

void state_drop_lease(State *state, Region *region) {
    const Lease *lease = find(state, region);

    if (!lease)
        return;
    region->pool->snapshot_bytes -= lease_snapshot_bytes(lease);
    count(state, region, lease, -1);
    g_hash_table_remove(state->leases, region);
}

void lease_to_record(const Region *region, const Lease *lease, JfLease *ret_record) {
    JfLease record = {
        .region_uuid = region->uuid,
        .guest_frame = lease->guest_frame,
        .since = lease->since,
        .bus_id = lease->bus_id,
        .uid = lease->uid,
        .flags = (lease->sender ? JF_LEASE_DISCONNECT : 0) | (lease->ended ? JF_LEASE_ENDED : 0),
    };

    g_strlcpy(record.owner, lease->owner, sizeof record.owner);
    g_strlcpy(record.user, lease->user, sizeof record.user);
    if (lease->sender)
        g_strlcpy(record.sender, lease->sender, sizeof record.sender);
    *ret_record = record;
}

/* --- the public face --- */

const Lease *state_last_lease(const State *state, const Region *region) {
    return find(state, region);
}

const Lease *state_lease(const State *state, const Region *region) {
    const Lease *lease = find(state, region);

    return lease_is_held(lease) ? lease : NULL;
}

void state_confirm_lease(State *state, const Region *region) {
    Lease *lease = find(state, region);

    if (!lease_is_held(lease) || lease->confirmed)
        return;
    lease->confirmed = true;
    state->n_unconfirmed--;
}

gint state_compare_places(gconstpointer a, gconstpointer b) {
    const Region *left = a, *right = b;
    uint64_t start = region_device(left).start, other = region_device(right).start;

    return start != other ? (start < other ? -1 : 1) : memcmp(&left->uuid, &right->uuid, sizeof left->uuid);
}

Region *state_leased_from(const State *state, const Region *from) {
    GTreeNode *node = g_tree_lower_bound(state->leased, from);

    return node ? g_tree_node_value(node) : NULL;
}

Region *state_next_leased(const State *state, const Region *after) {
    GTreeNode *node = g_tree_upper_bound(state->leased, after);

    return node ? g_tree_node_value(node) : NULL;
}

GPtrArray *state_tied_regions(const State *state, const char *sender) {
    GPtrArray *regions = g_ptr_array_new();
    GHashTableIter iter;
    gpointer region, value;

    g_hash_table_iter_init(&iter, state->leases);
    while (g_hash_table_iter_next(&iter, &region, &value)) {
        const Lease *lease = value;

        if (lease->sender && (!sender || strcmp(lease->sender, sender) == 0))
            g_ptr_array_add(regions, region);
    }
    return regions;
}

void state_void_leases(State *state, const Pool *pool) {
    g_autoptr(GPtrArray) regions = g_ptr_array_new();
    GHashTableIter iter;
    gpointer region;

    g_hash_table_iter_init(&iter, state->leases);
    while (g_hash_table_iter_next(&iter, &region, NULL))
        if (((Region *) region)->pool == pool)
            g_ptr_array_add(regions, region);
    for (guint i = 0; i < regions->len; i++)
        state_drop_lease(state, g_ptr_array_index(regions, i));
}

guint state_count_leases(const State *state) {
    return state->n_leases;
}

guint state_count_unconfirmed(const State *state) {
    return state->n_unconfirmed;
}

guint state_count_leases_of(const State *state, uint32_t uid) {
    return GPOINTER_TO_UINT(g_hash_table_lookup(state->leases_of, GUINT_TO_POINTER(uid)));
}
