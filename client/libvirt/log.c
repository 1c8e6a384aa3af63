/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The file and line of this file would say nothing of a message. Before any header. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "client/libvirt/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

#include "proto/one-line.h"

void log_send(int priority, const char *id, const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    g_autofree char *all = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *line = one_line(all);
    if (getenv("JOURNAL_STREAM") &&
        sd_journal_send("MESSAGE=%s", line, "PRIORITY=%d", priority & LOG_PRIMASK, "SYSLOG_IDENTIFIER=pmemd-libvirt",
                        id ? "MESSAGE_ID=%s" : NULL, id, NULL) >= 0)
        return;
    fprintf(stderr, "pmemd-libvirt: %s\n", line);
}

static GLogWriterOutput write_glib(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data) {
    bool serious = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);

    if (!serious && !(level & (G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE)))
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++)
        if (g_str_equal(fields[i].key, "MESSAGE") && fields[i].length < 0)
            log_message(serious ? LOG_ERR : LOG_WARNING, "%s", (const char *) fields[i].value);
    return G_LOG_WRITER_HANDLED;
}

void log_install(void) {
    g_log_set_writer_func(write_glib, NULL, NULL);
}
