/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb labels: pmemd-labels does it, which shares the reading and the repair with pmemd.
 */
#include "client/pmemctl.h"

#include <string.h>

static bool check_usage(const Ctl *ctl, GError **error) {
    bool repair = strcmp(ctl->args[0], "repair") == 0;

    if (!repair && strcmp(ctl->args[0], "check") != 0)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "'labels %s' is none of check, repair", ctl->args[0]);
    else if (!repair && (ctl->dry_run || ctl->force))
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--dry-run and --force are for 'labels repair'");
    else if (ctl->image && ctl->n_args < 2)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--image wants the files: one label area of each DIMM");
    else if (!ctl->image && ctl->n_args > 2)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "one raw region or DIMM, or with --image several files");
    else if (ctl->host)
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "labels are looked at on their own host: use ssh");
    else
        return true;
    return false;
}

bool verb_labels(Ctl *ctl, GError **error) {
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    if (!check_usage(ctl, error))
        return false;
    if (ctl->format == CTL_FORMAT_JSON)
        g_ptr_array_add(words, (char *) "--json");
    if (ctl->dry_run)
        g_ptr_array_add(words, (char *) "--dry-run");
    if (ctl->force)
        g_ptr_array_add(words, (char *) "--force");
    if (ctl->image)
        for (guint i = 1; i < ctl->n_args; i++) {
            g_ptr_array_add(words, (char *) "--image");
            g_ptr_array_add(words, ctl->args[i]);
        }
    /* What follows is no option of the tool, whatever it looks like. */
    g_ptr_array_add(words, (char *) "--");
    g_ptr_array_add(words, ctl->args[0]);
    if (!ctl->image && ctl->n_args > 1)
        g_ptr_array_add(words, ctl->args[1]);
    return ctl_become("pmemd-labels", words, error);
}
