/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/metrics.h"

#include <math.h>
#include <string.h>

#define PREFIX "pmemd_"

typedef enum {
    TYPE_GAUGE,
    TYPE_COUNTER,
    TYPE_HISTOGRAM,
} Type;

/* What stands behind one TYPE line. */
typedef struct {
    char *name; /* without prefix; in OpenMetrics' sense: without _total, _bucket, ... */
    Type type;
    GPtrArray *samples; /* const PmemdMetric * */
} Family;

static const struct {
    const char *name, *help;
} helps[] = {
    { "up", "Whether pmemd answered." },
    { "state", "1 for the state that pmemd is in, 0 for the others." },
    { "pool_state", "1 for the state that the pool is in, 0 for the others." },
    { "pools_read_only", "Pools that cannot be written, whatever the reason." },
    { "raw_bytes", "Bytes of all raw regions." },
    { "mgmt_bytes", "Bytes of all management regions." },
    { "data_bytes", "Bytes of all data regions." },
    { "free_bytes", "Bytes of raw regions that nothing has." },
    { "raw_regions", "Raw regions." },
    { "mgmt_regions", "Management regions." },
    { "data_regions", "Data regions." },
    { "data_regions_in_state", "Data regions in the state." },
    { "foreign_devices", "Devices on the raw regions that are not pmemd's." },
    { "raw_capacity_bytes", "Bytes of the raw region." },
    { "raw_used_bytes", "Bytes of the raw region that a device has." },
    { "raw_free_bytes", "Bytes of the raw region that nothing has." },
    { "raw_largest_gap_bytes", "The largest piece of the raw region that is free and in one." },
    { "node_capacity_bytes", "Bytes of the node's raw regions." },
    { "node_used_bytes", "Bytes of the node's raw regions that a device has." },
    { "node_free_bytes", "Bytes of the node's raw regions that nothing has." },
    { "node_largest_gap_bytes", "The largest piece of the node's raw regions that is free and in one." },
    { "journal_area_bytes", "Bytes that the pool's journal has before it is written anew." },
    { "journal_used_bytes", "Bytes of them that are in use." },
    { "pool_data_regions", "Data regions of the pool." },
    { "pool_data_bytes", "Bytes of the pool's data regions." },
    { "pool_free_mgmt_bytes", "Bytes of the pool that data regions may still take for their management." },
    { "erase_backlog_regions", "Released data regions that are not erased yet." },
    { "erase_backlog_bytes", "Bytes of them that are left to be erased." },
    { "leases", "Data regions that somebody has." },
    { "leases_unconfirmed", "Leases that nobody has confirmed since pmemd started." },
    { "raw_bad_bytes", "Bytes of a raw region that cannot be read." },
    { "region_bad_bytes", "Bytes of a region that cannot be read." },
    { "data_regions_with_bad_frames", "Data regions of which some cannot be read." },
    { "dimm_health", "1 for the health that a DIMM has." },
    { "queued_requests", "Requests that wait." },
    { "process_start_time_seconds", "When pmemd started, seconds since 1970." },
    { "calls", "Calls that were answered, by method and outcome (ok, or the error)." },
    { "queue_wait_seconds", "How long requests waited before they were taken up." },
    { "queue_wait_max_seconds", "The longest that a request waited since pmemd started." },
    { "backend_operation_seconds", "How long operations on the platform took." },
    { "backend_operation_max_seconds", "The longest that an operation took since pmemd started." },
};

static const char *help_of(const char *family) {
    for (size_t i = 0; i < G_N_ELEMENTS(helps); i++)
        if (g_str_equal(helps[i].name, family))
            return helps[i].help;
    return NULL;
}

static void family_free(void *data) {
    Family *family = data;

    g_free(family->name);
    g_ptr_array_unref(family->samples);
    g_free(family);
}

/* --- what belongs together --- */

static char *without_suffix(const char *name, const char *suffix) {
    return g_str_has_suffix(name, suffix) ? g_strndup(name, strlen(name) - strlen(suffix)) : NULL;
}

/* "x_seconds_max" is a gauge of its own, and a unit stands at the end of a name. */
static char *sample_name(const char *name) {
    g_autofree char *base = without_suffix(name, "_seconds_max");

    return base ? g_strconcat(base, "_max_seconds", NULL) : g_strdup(name);
}

/* buckets: names of the histograms. */
static char *family_name(const char *name, GHashTable *buckets, Type *ret_type) {
    static const char *const parts[] = { "_bucket", "_sum", "_count" };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *base = without_suffix(name, parts[i]);
        if (base && g_hash_table_contains(buckets, base)) {
            *ret_type = TYPE_HISTOGRAM;
            return g_steal_pointer(&base);
        }
    }
    char *counter = without_suffix(name, "_total");
    *ret_type = counter ? TYPE_COUNTER : TYPE_GAUGE;
    return counter ? counter : sample_name(name);
}

static bool is_word(const char *text) {
    size_t len = strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_");

    return len > 0 && text[len] == 0 && !g_ascii_isdigit(text[0]);
}

/* Neither format can escape a name: one with a newline in it would be lines of its own. */
static bool is_writable(const PmemdMetric *metric) {
    bool writable = is_word(metric->name);

    for (char *const *l = metric->labels; writable && l && l[0]; l += 2)
        writable = is_word(l[0]);
    return writable;
}

/* In the order of each family's first sample. */
static GPtrArray *make_families(PmemdMetric *const *list, size_t n) {
    GPtrArray *families = g_ptr_array_new_with_free_func(family_free);
    g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < n; i++) {
        char *base = without_suffix(list[i]->name, "_bucket");
        if (base)
            g_hash_table_add(buckets, base);
    }
    for (size_t i = 0; i < n; i++) {
        Type type;

        if (!is_writable(list[i]))
            continue;
        g_autofree char *name = family_name(list[i]->name, buckets, &type);
        Family *family = g_hash_table_lookup(by_name, name);

        if (!family) {
            family = g_new0(Family, 1);
            family->name = g_steal_pointer(&name);
            family->type = type;
            family->samples = g_ptr_array_new();
            g_ptr_array_add(families, family);
            g_hash_table_insert(by_name, family->name, family);
        }
        g_ptr_array_add(family->samples, list[i]);
    }
    return families;
}

/* --- text --- */

static void append_escaped(GString *text, const char *value) {
    for (const char *p = value; *p; p++)
        switch (*p) {
        case '\\':
            g_string_append(text, "\\\\");
            break;
        case '"':
            g_string_append(text, "\\\"");
            break;
        case '\n':
            g_string_append(text, "\\n");
            break;
        default:
            g_string_append_c(text, *p);
        }
}

/* The bound of a bucket is written as a floating-point number: OpenMetrics tells 1.0 from 1. */
static void append_label(GString *text, const char *key, const char *value) {
    bool whole = g_str_equal(key, "le") && *value && value[strspn(value, "0123456789")] == 0;

    g_string_append_printf(text, "%s=\"", key);
    append_escaped(text, value);
    g_string_append(text, whole ? ".0\"" : "\"");
}

/* As short as it can be without losing anything. */
static void append_number(GString *text, double number) {
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    if (isnan(number)) {
        g_string_append(text, "NaN");
        return;
    }
    if (isinf(number)) {
        g_string_append(text, number > 0 ? "+Inf" : "-Inf");
        return;
    }
    g_ascii_formatd(buffer, sizeof buffer, "%.15g", number);
    double back = g_ascii_strtod(buffer, NULL);
    if (back < number || back > number)
        g_ascii_formatd(buffer, sizeof buffer, "%.17g", number);
    g_string_append(text, buffer);
}

static void append_sample(GString *text, const PmemdMetric *metric) {
    g_autofree char *name = sample_name(metric->name);

    g_string_append_printf(text, PREFIX "%s", name);
    for (char *const *l = metric->labels; l && l[0]; l += 2) {
        g_string_append_c(text, l == metric->labels ? '{' : ',');
        append_label(text, l[0], l[1]);
    }
    if (metric->labels && metric->labels[0])
        g_string_append_c(text, '}');
    g_string_append_c(text, ' ');
    append_number(text, metric->value);
    g_string_append_c(text, '\n');
}

static const char *unit_of(const char *family) {
    return g_str_has_suffix(family, "_bytes") ? "bytes" : g_str_has_suffix(family, "_seconds") ? "seconds" : NULL;
}

static void append_family(GString *text, MetricsFormat format, const Family *family) {
    static const char *const types[] = {
        [TYPE_GAUGE] = "gauge", [TYPE_COUNTER] = "counter", [TYPE_HISTOGRAM] = "histogram"
    };
    const char *help = help_of(family->name), *unit = unit_of(family->name);
    /* Prometheus' older format knows a counter by the name of its samples. */
    const char *total = format == METRICS_PROMETHEUS && family->type == TYPE_COUNTER ? "_total" : "";

    g_string_append_printf(text, "# TYPE " PREFIX "%s%s %s\n", family->name, total, types[family->type]);
    if (unit && format == METRICS_OPENMETRICS)
        g_string_append_printf(text, "# UNIT " PREFIX "%s %s\n", family->name, unit);
    if (help)
        g_string_append_printf(text, "# HELP " PREFIX "%s%s %s\n", family->name, total, help);
    for (guint i = 0; i < family->samples->len; i++)
        append_sample(text, family->samples->pdata[i]);
}

char *metrics_format(MetricsFormat format, bool up, PmemdMetric *const *list, size_t n) {
    g_autoptr(GPtrArray) families = make_families(list, up ? n : 0);
    PmemdMetric answered = { .name = (char[]){ "up" }, .value = up };
    PmemdMetric *const first[] = { &answered };
    g_autoptr(GPtrArray) before = make_families(first, 1);
    GString *text = g_string_new(NULL);

    append_family(text, format, before->pdata[0]);
    for (guint i = 0; i < families->len; i++)
        append_family(text, format, families->pdata[i]);
    if (format == METRICS_OPENMETRICS)
        g_string_append(text, "# EOF\n");
    return g_string_free(text, FALSE);
}
