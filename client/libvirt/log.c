/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The file and line of this file would say nothing of a message. Before any header. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "client/libvirt/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

char *log_one_line(const char *text) {
    char *line = g_utf8_make_valid(text, -1);

    for (char *c = line; *c; c++)
        if (g_ascii_iscntrl(*c))
            *c = '?';
    return line;
}

void log_send(int priority, const char *id, const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    g_autofree char *all = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *line = log_one_line(all);
    if (getenv("JOURNAL_STREAM") &&
        sd_journal_send("MESSAGE=%s", line, "PRIORITY=%d", priority & LOG_PRIMASK, "SYSLOG_IDENTIFIER=pmemd-libvirt",
                        id ? "MESSAGE_ID=%s" : NULL, id, NULL) >= 0)
        return;
    fprintf(stderr, "pmemd-libvirt: %s\n", line);
}
