/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The location is whoever logs, not this file: it is among the fields. Before any header. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "proto/one-line.h"

#define FIELDS_MAX 32u
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* The service manager tells device and inode of the stream it connected; a stderr redirected since is another file. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    g_autofree char *own = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
    return strcmp(stream, own) == 0;
}

/* One entry under way to the journal: iovecs that own their memory. */
typedef struct {
    struct iovec field[FIELDS_MAX];
    int n;
} Entry;

static void entry_add(Entry *entry, const char *key, const char *value) {
    if (!value || (size_t) entry->n == G_N_ELEMENTS(entry->field))
        return;
    char *text = g_strdup_printf("%s=%s", key, value);
    entry->field[entry->n++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };
}

static void entry_add_number(Entry *entry, const char *key, int value) {
    g_autofree char *text = g_strdup_printf("%d", value);

    entry_add(entry, key, text);
}

static void entry_clear(Entry *entry) {
    for (int i = 0; i < entry->n; i++)
        g_free(entry->field[i].iov_base);
    entry->n = 0;
}

/* What reads the other end of the stream takes the prefix for the priority. */
static void send_prefixed(int priority, const char *message) {
    fprintf(stderr, "<%d>%s\n", priority & LOG_PRIMASK, message);
}

/* code: CODE_FILE and what belongs to it, as fields. */
static void send_line(int priority, const char *id, const LogField *code, const LogField *fields, const char *text) {
    g_autofree char *message = one_line(text);

    if (!stderr_is_journal()) {
        fprintf(stderr, "pmemd: %s\n", message);
        return;
    }

    /* sd_journal_sendv() takes a socket that is not there (in a sandbox without it) for success. */
    if (access(JOURNAL_SOCKET, F_OK) < 0) {
        send_prefixed(priority, message);
        return;
    }

    Entry entry = { .n = 0 };
    entry_add(&entry, "MESSAGE", message);
    entry_add_number(&entry, "PRIORITY", priority & LOG_PRIMASK);
    entry_add(&entry, "SYSLOG_IDENTIFIER", "pmemd");
    entry_add(&entry, "MESSAGE_ID", id);
    for (const LogField *f = code; f && f->key; f++)
        entry_add(&entry, f->key, f->value);
    for (const LogField *f = fields; f && f->key; f++)
        if (f->value) {
            g_autofree char *value = one_line(f->value);
            entry_add(&entry, f->key, value);
        }
    if (sd_journal_sendv(entry.field, entry.n) < 0)
        send_prefixed(priority, message);
    entry_clear(&entry);
}

void log_send(const char *file, int line, const char *function, Event event, int priority, const LogField *fields,
              const char *format, ...) {
    const EventInfo *info = event_info(event);
    char number[16];
    va_list ap;

    va_start(ap, format);
    g_autofree char *message = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_snprintf(number, sizeof number, "%d", line);
    send_line(event == EVENT_NONE ? priority : info->priority, info->id,
              LOG_FIELDS({ "CODE_FILE", file }, { "CODE_LINE", number }, { "CODE_FUNC", function }), fields, message);
}

static int priority_of(GLogLevelFlags level) {
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return LOG_ERR;
    if (level & G_LOG_LEVEL_WARNING)
        return LOG_WARNING;
    return (level & G_LOG_LEVEL_MESSAGE) ? LOG_NOTICE : LOG_DEBUG;
}

static const char *find_field(const GLogField *fields, gsize n_fields, const char *key) {
    for (gsize i = 0; i < n_fields; i++)
        if (fields[i].length < 0 && g_str_equal(fields[i].key, key))
            return fields[i].value;
    return NULL;
}

static GLogWriterOutput write_glib(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data) {
    const char *message = find_field(fields, n_fields, "MESSAGE");

    if (priority_of(level) == LOG_DEBUG || !message)
        return G_LOG_WRITER_HANDLED;
    send_line(priority_of(level), NULL,
              LOG_FIELDS({ "CODE_FILE", find_field(fields, n_fields, "CODE_FILE") },
                         { "CODE_LINE", find_field(fields, n_fields, "CODE_LINE") },
                         { "CODE_FUNC", find_field(fields, n_fields, "CODE_FUNC") },
                         { "GLIB_DOMAIN", find_field(fields, n_fields, "GLIB_DOMAIN") }),
              NULL, message);
    return G_LOG_WRITER_HANDLED;
}

void log_install(void) {
    g_log_set_writer_func(write_glib, NULL, NULL);
}
