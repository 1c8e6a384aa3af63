/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A test program in a process namespace and with a /proc of its own, in which it may look at every process: the host's
 * may belong to users, or to a container's keeper, whom it may not look at. Included by tests that depend on who has a
 * file open.
 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#define OWN_PROC "PMEMD_TEST_OWN_PROC"

/* First of all in main(): starts the program again inside, once. Does not return in the first one. */
static inline void enter_own_proc(char **argv) {
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    if (g_getenv(OWN_PROC))
        return;
    g_setenv(OWN_PROC, "1", TRUE);
    g_ptr_array_add(words, (void *) "unshare");
    if (geteuid() != 0)
        g_ptr_array_add(words, (void *) "--map-root-user");
    static const char *const rest[] = { "--fork", "--pid", "--mount-proc",    "--kill-child",
                                        "sh",     "-c",    "\"$@\"; exit $?", "sh" };
    for (size_t i = 0; i < G_N_ELEMENTS(rest); i++)
        g_ptr_array_add(words, (void *) rest[i]);
    for (int i = 0; argv[i]; i++)
        g_ptr_array_add(words, argv[i]);
    g_ptr_array_add(words, NULL);
    execvp("unshare", (char **) words->pdata);
    g_error("cannot start unshare(1): %s", g_strerror(errno));
}
