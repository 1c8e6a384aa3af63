/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Metrics as text: both formats to the letter, and what a version of pmemd that is newer or absurd might send.
 */
#include "client/metrics.h"

#include <locale.h>
#include <math.h>
#include <string.h>

/* The library's structs own what they point to; these borrow it. */
static PmemdMetric metric(const char *name, const char *const *labels, double value) {
    return (PmemdMetric){ .name = (char *) name, .labels = (char **) labels, .value = value };
}

static void assert_text(MetricsFormat format, PmemdMetric *list, size_t n, const char *wanted) {
    g_autofree PmemdMetric **all = g_new0(PmemdMetric *, n + 1);

    for (size_t i = 0; i < n; i++)
        all[i] = &list[i];
    g_autofree char *text = metrics_format(format, true, all, n);
    g_assert_cmpstr(text, ==, wanted);
}

#define UP(format_tail) "# TYPE pmemd_up gauge\n# HELP pmemd_up Whether pmemd answered.\npmemd_up 1\n" format_tail

/* Samples of a family stand together, whatever came between them. */
static void test_families(void) {
    const char *const a[] = { "method", "Plan", "outcome", "ok", NULL }, *const b[] = { "method", "Plan", "outcome",
                                                                                        "Busy", NULL };
    PmemdMetric list[] = {
        metric("calls_total", a, 3),
        metric("queued_requests", NULL, 0),
        metric("calls_total", b, 1),
    };

    assert_text(METRICS_OPENMETRICS, list, G_N_ELEMENTS(list),
                UP("# TYPE pmemd_calls counter\n"
                   "# HELP pmemd_calls Calls that were answered, by method and outcome (ok, or the error).\n"
                   "pmemd_calls_total{method=\"Plan\",outcome=\"ok\"} 3\n"
                   "pmemd_calls_total{method=\"Plan\",outcome=\"Busy\"} 1\n"
                   "# TYPE pmemd_queued_requests gauge\n"
                   "# HELP pmemd_queued_requests Requests that wait.\n"
                   "pmemd_queued_requests 0\n"
                   "# EOF\n"));
    assert_text(METRICS_PROMETHEUS, list, 1,
                UP("# TYPE pmemd_calls_total counter\n"
                   "# HELP pmemd_calls_total Calls that were answered, by method and outcome (ok, or the error).\n"
                   "pmemd_calls_total{method=\"Plan\",outcome=\"ok\"} 3\n"));
}

/* What cannot be a name is left out: it could be anything, down to lines that nobody sent. */
static void test_bad_names(void) {
    const char *const bad[] = { "a\"} 1\npmemd_up 0\n#", "x", NULL }, *const good[] = { "a", "\n\"\\", NULL };
    PmemdMetric list[] = {
        metric("x 1\npmemd_up", NULL, 0), metric("", NULL, 0), metric("1x", NULL, 0),
        metric("x\033[2J", NULL, 0),      metric("y", bad, 0), metric("_bucket", NULL, 0),
        metric("good_one", good, 1),
    };
    g_autofree PmemdMetric **all = g_new0(PmemdMetric *, G_N_ELEMENTS(list));

    for (size_t i = 0; i < G_N_ELEMENTS(list); i++)
        all[i] = &list[i];
    g_autofree char *text = metrics_format(METRICS_OPENMETRICS, true, all, G_N_ELEMENTS(list));
    g_assert_null(strstr(text, "pmemd_up 0"));
    g_assert_null(strchr(text, '\033'));
    g_assert_null(strstr(text, "pmemd_1x"));
    g_assert_nonnull(strstr(text, "pmemd_good_one{a=\"\\n\\\"\\\\\"} 1\n"));
}

static void test_histogram(void) {
    const char *const le1[] = { "le", "1", NULL }, *const le2[] = { "le", "1e-05", NULL },
                      *const inf[] = { "le", "+Inf", NULL };
    PmemdMetric list[] = {
        metric("x_seconds_bucket", le2, 1), metric("x_seconds_bucket", le1, 2), metric("x_seconds_bucket", inf, 2),
        metric("x_seconds_sum", NULL, 0.1), metric("x_seconds_count", NULL, 2), metric("x_seconds_max", NULL, 1e-6),
    };

    assert_text(METRICS_OPENMETRICS, list, G_N_ELEMENTS(list),
                UP("# TYPE pmemd_x_seconds histogram\n"
                   "# UNIT pmemd_x_seconds seconds\n"
                   "pmemd_x_seconds_bucket{le=\"1e-05\"} 1\n"
                   "pmemd_x_seconds_bucket{le=\"1.0\"} 2\n"
                   "pmemd_x_seconds_bucket{le=\"+Inf\"} 2\n"
                   "pmemd_x_seconds_sum 0.1\n"
                   "pmemd_x_seconds_count 2\n"
                   "# TYPE pmemd_x_max_seconds gauge\n"
                   "# UNIT pmemd_x_max_seconds seconds\n"
                   "pmemd_x_max_seconds 1e-06\n"
                   "# EOF\n"));
}

/* A part of a histogram that has no buckets is a name like any other. */
static void test_numbers(void) {
    const char *const odd[] = { "raw", "a\\b\"c\nd", NULL };
    PmemdMetric list[] = {
        metric("a_bytes", odd, 18446744073709551615.0),
        metric("b_count", NULL, 0.30000000000000004),
        metric("c", NULL, NAN),
        metric("d", NULL, -INFINITY),
    };

    assert_text(METRICS_PROMETHEUS, list, G_N_ELEMENTS(list),
                UP("# TYPE pmemd_a_bytes gauge\n"
                   "pmemd_a_bytes{raw=\"a\\\\b\\\"c\\nd\"} 1.8446744073709552e+19\n"
                   "# TYPE pmemd_b_count gauge\npmemd_b_count 0.30000000000000004\n"
                   "# TYPE pmemd_c gauge\npmemd_c NaN\n"
                   "# TYPE pmemd_d gauge\npmemd_d -Inf\n"));
}

static void test_down(void) {
    g_autofree char *text = metrics_format(METRICS_PROMETHEUS, false, NULL, 0);

    g_assert_cmpstr(text, ==, "# TYPE pmemd_up gauge\n# HELP pmemd_up Whether pmemd answered.\npmemd_up 0\n");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    (void) setlocale(LC_ALL, ""); /* a comma in numbers would be seen where the locale has one */
    g_test_add_func("/metrics/families", test_families);
    g_test_add_func("/metrics/bad-names", test_bad_names);
    g_test_add_func("/metrics/histogram", test_histogram);
    g_test_add_func("/metrics/numbers", test_numbers);
    g_test_add_func("/metrics/down", test_down);
    return g_test_run();
}
