/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The programs that share what pmemd does with it, and need no daemon: pmemd-journal, pmemd-labels.
 */
#include "client/pmemctl.h"

#include <errno.h>
#include <unistd.h>

/* It takes this process' place, so that its exit status is ours. */
bool ctl_become(const char *name, GPtrArray *arguments, GError **error) {
    const char *folder = g_getenv("PMEMD_LIBEXECDIR");
    g_autofree char *path = g_build_filename(folder ? folder : LIBEXECDIR, name, NULL);

    g_ptr_array_insert(arguments, 0, path);
    g_ptr_array_add(arguments, NULL);
    execv(path, (char **) arguments->pdata);
    g_set_error(error, CTL_ERROR, CTL_ERROR_OUTPUT,
                "cannot run %s: %s: is pmemd installed? PMEMD_LIBEXECDIR names another directory for it", path,
                g_strerror(errno));
    return false;
}
