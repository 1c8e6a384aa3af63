/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb metrics: what pmemd counts and measures, for monitoring.
 */
#include "client/metrics.h"
#include "client/pmemctl.h"

#include <stdio.h>

static bool ask(Ctl *ctl, PmemdMetric ***ret_list, size_t *ret_n, GError **error) {
    return ctl_connect(ctl, error) && ctl_check(ctl, pmemd_client_metrics(ctl->client, ret_list, ret_n), error);
}

/* Whoever reads the file meanwhile sees the old text or the new one. */
static bool write_file(const char *path, const char *text, GError **error) {
    g_autoptr(GError) local = NULL;

    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &local))
        return true;
    g_set_error(error, CTL_ERROR, CTL_ERROR_OUTPUT, "cannot write the metrics: %s", local->message);
    return false;
}

bool verb_metrics(Ctl *ctl, GError **error) {
    MetricsFormat format = ctl->format == CTL_FORMAT_PROMETHEUS ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
    PmemdMetric **list = NULL;
    size_t n = 0;

    bool up = ask(ctl, &list, &n, error);
    if (!up && !ctl->output)
        return false;
    g_autofree char *text = metrics_format(format, up, list, n);
    pmemd_metric_list_free(list);
    if (!ctl->output) {
        (void) fputs(text, stdout); /* main() looks whether all of it was written */
        return true;
    }
    /* Old numbers must not look like those of a pmemd that answers. What went wrong first is what is said. */
    return write_file(ctl->output, text, up ? error : NULL) && up;
}
