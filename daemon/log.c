/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* The service manager tells device and inode of the stream it connected; a stderr redirected since is another file. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    g_autofree char *own = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
    return strcmp(stream, own) == 0;
}

static void send_line(int priority, const char *region, const char *caller, const char *message) {
    if (!stderr_is_journal()) {
        fprintf(stderr, "pmemd: %s\n", message);
        return;
    }

    g_autofree char *message_field = g_strdup_printf("MESSAGE=%s", message);
    g_autofree char *region_field = region ? g_strdup_printf("REGION=%s", region) : NULL;
    g_autofree char *caller_field = caller ? g_strdup_printf("CALLER=%s", caller) : NULL;
    char priority_field[sizeof "PRIORITY=7"];
    struct iovec fields[5];
    int n = 0;

    snprintf(priority_field, sizeof priority_field, "PRIORITY=%d", priority & LOG_PRIMASK);
    const char *const all[] = { message_field, priority_field, "SYSLOG_IDENTIFIER=pmemd", region_field, caller_field };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i])
            fields[n++] = (struct iovec){ .iov_base = (char *) all[i], .iov_len = strlen(all[i]) };
    if (sd_journal_sendv(fields, n) < 0)
        fprintf(stderr, "<%d>%s\n", priority & LOG_PRIMASK, message);
}

void log_message(int priority, const char *region, const char *caller, const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    g_autofree char *message = g_strdup_vprintf(format, ap);
    va_end(ap);
    send_line(priority, region, caller, message);
}

static int priority_of(GLogLevelFlags level) {
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return LOG_ERR;
    if (level & G_LOG_LEVEL_WARNING)
        return LOG_WARNING;
    return (level & G_LOG_LEVEL_MESSAGE) ? LOG_NOTICE : LOG_DEBUG;
}

static GLogWriterOutput write_glib(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data) {
    const char *message = NULL;

    if (priority_of(level) == LOG_DEBUG)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            message = fields[i].value;
    if (message)
        send_line(priority_of(level), NULL, NULL, message);
    return G_LOG_WRITER_HANDLED;
}

void log_install(void) {
    g_log_set_writer_func(write_glib, NULL, NULL);
}
