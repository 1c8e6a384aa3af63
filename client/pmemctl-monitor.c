/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verb monitor: one line an event.
 */
#include <string.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

static const char *const event_names[] = {
    "added", "removed", "changed", "health-changed", "job-removed", "daemon-up", "daemon-down",
};
G_STATIC_ASSERT(G_N_ELEMENTS(event_names) == PMEMD_N_EVENTS);

static void print_value_text(const PmemdValue *value) {
    printf(" %s=", value->name);
    switch (value->type) {
    case 's': {
        g_autofree char *clean = print_clean(value->s);
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

static bool on_event(const PmemdEvent *event, void *data) {
    const Ctl *ctl = data;

    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        JsonObject *values = json_object_new();
        for (guint i = 0; i < event->values->len; i++)
            set_json_value(values, event->values->pdata[i]);
        json_object_set_string_member(document, "event", event_names[event->type]);
        json_object_set_string_member(document, "path", event->path);
        json_object_set_string_member(document, "interface", event->interface);
        json_object_set_object_member(document, "values", values);
        json_document_print(stdout, document, false);
    } else {
        fputs(event_names[event->type], stdout);
        if (event->path[0] != '\0')
            printf(" %s", event->path);
        if (event->interface[0] != '\0')
            printf(" %s", event->interface);
        for (guint i = 0; i < event->values->len; i++)
            print_value_text(event->values->pdata[i]);
        putchar('\n');
    }
    /* Whoever reads through a pipe wants each line when it happens; and nobody reading ends us. */
    return fflush(stdout) == 0;
}

bool verb_monitor(Ctl *ctl, GError **error) {
    GError *no_daemon = NULL;

    if (!ctl_connect(ctl, error) || !pmemd_client_subscribe(ctl->client, on_event, ctl, error))
        return false;

    /* Where things stand, so that the reader knows from when on nothing is missed. */
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(PmemdStatus) status = pmemd_client_status(ctl->client, &no_daemon);
    if (!status && !g_error_matches(no_daemon, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_UNREACHABLE)) {
        g_propagate_error(error, no_daemon);
        return false;
    }
    g_clear_error(&no_daemon);
    PmemdEvent event = { status ? PMEMD_EVENT_DAEMON_UP : PMEMD_EVENT_DAEMON_DOWN, "", "", none };
    return on_event(&event, ctl) && pmemd_client_dispatch(ctl->client, UINT64_MAX, error);
}
