/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb monitor: one line an event.
 */
#include <string.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"
#include "proto/one-line.h"

static const char *event_name(PmemdEventType type) {
    static const char *const names[] = {
        "added", "removed", "changed", "health-changed", "job-removed", "daemon-up", "daemon-down",
    };
    return (size_t) type < G_N_ELEMENTS(names) ? names[type] : NULL;
}

/* What the function of events is given. */
typedef struct {
    const Ctl *ctl;
    bool closed; /* nobody reads any more */
} Monitor;

static void print_value_text(const PmemdValue *value) {
    printf(" %s=", value->name);
    switch (value->type) {
    case 's': {
        g_autofree char *clean = one_line(value->s);
        g_autofree char *quoted = g_shell_quote(clean);
        /* Quotes only where they are needed to see where the text ends. */
        fputs(clean[0] == '\0' || strpbrk(clean, " '\"\\") ? quoted : clean, stdout);
        break;
    }
    case 't':
        /* Frames, as everywhere, in hexadecimal. */
        if (g_str_has_suffix(value->name, "Frame") || g_str_has_prefix(value->name, "Extent"))
            printf("0x%" G_GINT64_MODIFIER "x", value->t);
        else
            printf("%" G_GUINT64_FORMAT, value->t);
        break;
    case 'i':
        printf("%" G_GINT64_FORMAT, value->i);
        break;
    case 'b':
        fputs(value->b ? "yes" : "no", stdout);
        break;
    default:
        printf("%g", value->d);
    }
}

static void set_json_value(JsonObject *object, const PmemdValue *value) {
    switch (value->type) {
    case 's':
        json_object_set_string_member(object, value->name, value->s);
        break;
    case 't':
        json_object_set_int_member(object, value->name, (int64_t) value->t);
        break;
    case 'i':
        json_object_set_int_member(object, value->name, value->i);
        break;
    case 'b':
        json_object_set_boolean_member(object, value->name, value->b);
        break;
    default:
        json_object_set_double_member(object, value->name, value->d);
    }
}

static void print_event(Monitor *monitor, const PmemdEvent *event) {
    const Ctl *ctl = monitor->ctl;
    const char *name = event_name(event->type);

    /* That the bus is gone is said at the end. */
    if (!name || monitor->closed)
        return;
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        JsonObject *values = json_object_new();
        for (size_t i = 0; i < event->n_values; i++)
            set_json_value(values, event->values[i]);
        json_object_set_string_member(document, "event", name);
        json_object_set_string_member(document, "path", event->path);
        json_object_set_string_member(document, "interface", event->interface);
        json_object_set_object_member(document, "values", values);
        json_document_print(stdout, document, false);
    } else {
        fputs(name, stdout);
        if (event->path[0] != '\0')
            printf(" %s", event->path);
        if (event->interface[0] != '\0')
            printf(" %s", event->interface);
        for (size_t i = 0; i < event->n_values; i++)
            print_value_text(event->values[i]);
        putchar('\n');
    }
    /* Whoever reads through a pipe wants each line when it happens; and nobody reading ends us. */
    monitor->closed = fflush(stdout) != 0;
}

static void on_event(PmemdClient *client, const PmemdEvent *event, void *data) {
    print_event(data, event);
}

bool verb_monitor(Ctl *ctl, GError **error) {
    Monitor monitor = { .ctl = ctl };
    g_autoptr(PmemdStatus) status = NULL;
    GError *no_daemon = NULL;

    if (!ctl_connect(ctl, error) || !ctl_check(ctl, pmemd_client_subscribe(ctl->client, on_event, &monitor), error))
        return false;

    /* Where things stand, so that the reader knows from when on nothing is missed. */
    if (!ctl_check(ctl, pmemd_client_status(ctl->client, &status), &no_daemon) &&
        !g_error_matches(no_daemon, CTL_ERROR, CTL_ERROR_UNREACHABLE)) {
        g_propagate_error(error, no_daemon);
        return false;
    }
    g_clear_error(&no_daemon);
    PmemdEvent event = { .type = status ? PMEMD_EVENT_DAEMON_UP : PMEMD_EVENT_DAEMON_DOWN,
                         .path = "",
                         .interface = "" };
    print_event(&monitor, &event);
    while (!monitor.closed)
        if (!ctl_dispatch(ctl, UINT64_MAX, error))
            return false;
    return true;
}
