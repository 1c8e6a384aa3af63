/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What GetMetrics answers as text: OpenMetrics 1.0, or the older text format of Prometheus, which the textfile collector of
 * node_exporter reads. Promises: names are prefixed with "pmemd_", samples of a family stand together behind its TYPE, UNIT and
 * HELP; a metric that this version does not know comes out without HELP, its type told from its name; the same in every locale.
 * Used by pmemctl-metrics.
 */
#pragma once

#include "client/libpmemd.h"

#include <glib.h>
#include <stdbool.h>

typedef enum {
    METRICS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
    METRICS_PROMETHEUS,  /* text/plain; version=0.0.4 */
} MetricsFormat;

/* The text of n metrics, "pmemd_up 1" first. up false: of an exporter that could not ask: "pmemd_up 0" alone. Free: g_free. */
char *metrics_format(MetricsFormat format, bool up, PmemdMetric *const *list, size_t n);
