/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-metrics.h"

#include "daemon/bus-reply.h"
#include "daemon/frame-set.h"
#include "daemon/stats.h"

#include <stdio.h>

#define NUMBER_MAX 32u /* bytes of a number as a label */

/* A list in the making; r < 0: it failed, and nothing more is appended. */
typedef struct {
    sd_bus_message *reply;
    int r;
} Metrics;

typedef struct {
    const char *key, *value;
} Label;

static void add_labelled(Metrics *m, const char *name, double value, const Label *labels, size_t n_labels) {
    if (m->r >= 0)
        m->r = sd_bus_message_open_container(m->reply, 'r', "sa{ss}d");
    if (m->r >= 0)
        m->r = sd_bus_message_append_basic(m->reply, 's', name);
    if (m->r >= 0)
        m->r = sd_bus_message_open_container(m->reply, 'a', "{ss}");
    for (size_t i = 0; m->r >= 0 && i < n_labels; i++)
        m->r = sd_bus_message_append(m->reply, "{ss}", labels[i].key, labels[i].value);
    if (m->r >= 0)
        m->r = sd_bus_message_close_container(m->reply);
    if (m->r >= 0)
        m->r = sd_bus_message_append_basic(m->reply, 'd', &value);
    if (m->r >= 0)
        m->r = sd_bus_message_close_container(m->reply);
}

static void add(Metrics *m, const char *name, double value) {
    add_labelled(m, name, value, NULL, 0);
}

static void add_frames(Metrics *m, const char *name, uint64_t frames, const Label *labels, size_t n_labels) {
    add_labelled(m, name, (double) frames * PMEMD_FRAME_SIZE, labels, n_labels);
}

static const char *format_seconds(uint64_t usec, char buf[static NUMBER_MAX]) {
    /* Not printf: a label is the same in every locale. */
    return g_ascii_formatd(buf, NUMBER_MAX, "%g", (double) usec / 1e6);
}

/* --- what there is --- */

typedef struct {
    uint64_t capacity, used, free, largest_gap; /* frames */
} Room;

static void add_room(Metrics *m, const char *const names[static 4], const Room *room, const Label *labels,
                     size_t n_labels) {
    const uint64_t values[] = { room->capacity, room->used, room->free, room->largest_gap };

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        add_frames(m, names[i], values[i], labels, n_labels);
}

static Room room_of_raw(const Raw *raw) {
    return (Room){
        .capacity = frame_range_frames(raw->range),
        .used = region_map_used_frames(raw->map),
        .free = raw_free_frames(raw),
        .largest_gap = raw_largest_gap(raw),
    };
}

/* Ids are serial numbers and not told here. */
static void add_dimms(Metrics *m, const Raw *raw) {
    for (guint i = 0; raw->health && i < raw->health->len; i++) {
        const DimmHealth *dimm = raw->health->pdata[i];
        char number[NUMBER_MAX];

        (void) snprintf(number, sizeof number, "%u", i);
        for (int h = 0; h < N_HEALTHS; h++) {
            const Label labels[] = {
                { "raw", raw->id },
                { "dimm", dimm->name ? dimm->name : number },
                { "health", health_to_string((Health) h) },
            };

            add_labelled(m, "dimm_health", dimm->state == (Health) h ? 1 : 0, labels, G_N_ELEMENTS(labels));
        }
    }
}

/* Of the regions that have any; there are few. */
static guint add_bad(Metrics *m, const Pool *pool, const char *pool_uuid) {
    guint degraded = 0;
    GHashTableIter iter;
    gpointer value;

    if (!pool->bad)
        return 0;
    g_hash_table_iter_init(&iter, pool->bad);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const RegionBad *bad = value;
        char uuid[PMEMD_UUID_STRING_MAX];
        const Label labels[] = { { "pool", pool_uuid }, { "region", pmemd_uuid_format(bad->uuid, uuid) } };

        add_frames(m, "region_bad_bytes", region_bad_frames(bad), labels, G_N_ELEMENTS(labels));
        degraded += !sd_id128_equal(bad->uuid, pool->sb.member_uuid);
    }
    return degraded;
}

static void add_raws(Metrics *m, const State *state) {
    static const char *const names[] = { "raw_capacity_bytes", "raw_used_bytes", "raw_free_bytes",
                                         "raw_largest_gap_bytes" };
    static const char *const node_names[] = { "node_capacity_bytes", "node_used_bytes", "node_free_bytes",
                                              "node_largest_gap_bytes" };
    const GPtrArray *raws = state_raws(state);
    g_autoptr(GHashTable) nodes = g_hash_table_new_full(NULL, NULL, NULL, g_free); /* node + 1 -> Room * */
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(int));
    char number[NUMBER_MAX];

    for (guint i = 0; i < raws->len; i++) {
        const Raw *raw = raws->pdata[i];
        const Room room = room_of_raw(raw);
        const Label labels[] = { { "raw", raw->id }, { "node", number } };
        Room *node = g_hash_table_lookup(nodes, GINT_TO_POINTER(raw->node + 1));

        (void) snprintf(number, sizeof number, "%d", raw->node);
        add_room(m, names, &room, labels, G_N_ELEMENTS(labels));
        add_frames(m, "raw_bad_bytes", frame_set_frames(raw->bad), labels, G_N_ELEMENTS(labels));
        add_dimms(m, raw);
        if (!node) {
            node = g_new0(Room, 1);
            g_hash_table_insert(nodes, GINT_TO_POINTER(raw->node + 1), node);
            g_array_append_val(order, raw->node);
        }
        node->capacity += room.capacity;
        node->used += room.used;
        node->free += room.free;
        node->largest_gap = MAX(node->largest_gap, room.largest_gap);
    }
    for (guint i = 0; i < order->len; i++) {
        int node = g_array_index(order, int, i);
        const Label labels[] = { { "node", number } };

        (void) snprintf(number, sizeof number, "%d", node);
        add_room(m, node_names, g_hash_table_lookup(nodes, GINT_TO_POINTER(node + 1)), labels, G_N_ELEMENTS(labels));
    }
}

static void add_pools(Metrics *m, const State *state) {
    const GPtrArray *pools = state_pools(state);
    guint n_read_only = 0, n_degraded = 0;

    for (guint i = 0; i < pools->len; i++) {
        const Pool *pool = pools->pdata[i];
        char uuid[PMEMD_UUID_STRING_MAX];
        const Label labels[] = {
            { "pool", pmemd_uuid_format(pool->sb.member_uuid, uuid) },
            { "state", NULL },
        };
        uint64_t used, area;

        manager_journal_usage(pool, &used, &area);
        add_labelled(m, "journal_area_bytes", (double) area, labels, 1);
        add_labelled(m, "journal_used_bytes", (double) used, labels, 1);
        add_labelled(m, "pool_data_regions", pool->n_regions, labels, 1);
        add_labelled(m, "pool_data_bytes", (double) pool->data_bytes, labels, 1);
        add_frames(m, "pool_free_mgmt_bytes", pool_free_frames(pool), labels, 1);
        for (int s = 0; s < N_POOL_STATES; s++) {
            const Label with_state[] = { labels[0], { "state", pool_state_to_string((PoolState) s) } };

            add_labelled(m, "pool_state", pool->state == (PoolState) s ? 1 : 0, with_state, G_N_ELEMENTS(with_state));
        }
        n_degraded += add_bad(m, pool, uuid);
        n_read_only += pool->state != POOL_OK && pool->state != POOL_CREATING && pool->state != POOL_RELEASING ? 1 : 0;
    }
    add(m, "pools_read_only", n_read_only);
    add(m, "data_regions_with_bad_frames", n_degraded);
}

static void add_totals(Metrics *m, const Manager *manager) {
    static const ManagerState states[] = { MANAGER_RECOVERING, MANAGER_OK, MANAGER_DEGRADED, MANAGER_READ_ONLY };
    const State *state = manager_state(manager);
    const StateTotals totals = state_totals(state);

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        const Label labels[] = { { "state", manager_state_to_string(states[i]) } };

        add_labelled(m, "state", manager_get_state(manager) == states[i] ? 1 : 0, labels, G_N_ELEMENTS(labels));
    }
    add(m, "raw_bytes", (double) totals.raw_bytes);
    add(m, "mgmt_bytes", (double) totals.mgmt_bytes);
    add(m, "data_bytes", (double) totals.data_bytes);
    add(m, "free_bytes", (double) totals.free_bytes);
    add(m, "raw_regions", state_raws(state)->len);
    add(m, "mgmt_regions", state_pools(state)->len);
    add(m, "data_regions", state_count_regions(state));
    add(m, "foreign_devices", state_foreigns(state)->len);
    add(m, "leases", state_count_leases(state));
    add(m, "leases_unconfirmed", state_count_unconfirmed(state));
    for (int s = 0; s < N_REGION_STATES; s++) {
        const Label labels[] = { { "state", region_state_to_string((RegionState) s) } };

        add_labelled(m, "data_regions_in_state", state_count_regions_in(state, (RegionState) s), labels,
                     G_N_ELEMENTS(labels));
    }
}

/* --- what was done --- */

static void add_calls(void *data, const char *method, int code, uint64_t count) {
    static const char prefix[] = "org.pmemd1.Error.";
    const Label labels[] = {
        { "method", method },
        { "outcome", code < 0 ? "ok" : pmemd_error_dbus_name(code) + sizeof prefix - 1 },
    };

    add_labelled(data, "calls_total", (double) count, labels, G_N_ELEMENTS(labels));
}

/* name_bucket, name_sum, name_count as OpenMetrics has them, and the longest. */
static void add_times(Metrics *m, const char *name, const StatsTimes *times, const char *operation) {
    g_autofree char *bucket = g_strconcat(name, "_bucket", NULL), *sum = g_strconcat(name, "_sum", NULL),
                    *number = g_strconcat(name, "_count", NULL), *max = g_strconcat(name, "_max", NULL);
    size_t n_common = operation ? 1 : 0;
    uint64_t so_far = 0;

    for (size_t i = 0; i <= STATS_N_BOUNDS; i++) {
        char bound[NUMBER_MAX];
        const Label le = { "le", i < STATS_N_BOUNDS ? format_seconds(stats_bounds()[i], bound) : "+Inf" };
        const Label labels[] = { operation ? (Label){ "operation", operation } : le, le };

        so_far += times->buckets[i];
        add_labelled(m, bucket, (double) so_far, labels, n_common + 1);
    }
    const Label labels[] = { { "operation", operation } };
    add_labelled(m, sum, (double) times->sum_usec / 1e6, labels, n_common);
    add_labelled(m, number, (double) times->count, labels, n_common);
    add_labelled(m, max, (double) times->max_usec / 1e6, labels, n_common);
}

static void add_stats(Metrics *m, const Manager *manager, const Eraser *eraser) {
    const Stats *stats = manager_stats(manager);

    add(m, "erase_backlog_regions", eraser ? eraser_count(eraser) : 0);
    add(m, "erase_backlog_bytes", eraser ? (double) eraser_backlog_bytes(eraser) : 0);
    add(m, "queued_requests", manager_queued(manager));
    add(m, "process_start_time_seconds", (double) stats_started_usec(stats) / 1e6);
    stats_each_call(stats, add_calls, m);
    for (int t = 0; t < N_STATS_TIMES; t++) {
        const StatsTimes times = stats_times(stats, (StatsTime) t);

        if (t == STATS_QUEUE_WAIT)
            add_times(m, "queue_wait_seconds", &times, NULL);
        else
            add_times(m, "backend_operation_seconds", &times, stats_time_to_string((StatsTime) t));
    }
}

int bus_metrics_reply(const BusView *view, const Eraser *eraser, sd_bus_message *call) {
    Metrics m = { 0 };

    m.r = bus_reply_begin(call, 'a', "(sa{ss}d)", &m.reply);
    add_totals(&m, view->manager);
    add_raws(&m, manager_state(view->manager));
    add_pools(&m, manager_state(view->manager));
    add_stats(&m, view->manager, eraser);
    return bus_reply_end(m.reply, m.r);
}
