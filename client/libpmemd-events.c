/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * News: the signals of pmemd, and the coming and going of pmemd itself, as PmemdEvent's.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"
#include "proto/names.h"

static void hand_over(PmemdClient *client, PmemdEventType type, const char *path, const char *interface,
                      const GPtrArray *values) {
    PmemdEvent event = {
        .type = type,
        .path = path,
        .interface = interface,
        .n_values = values->len,
        .values = (const PmemdValue *const *) values->pdata,
    };
    client->event_func(client, &event, client->event_data);
}

const PmemdValue *pmemd_event_value(const PmemdEvent *event, const char *name) {
    return pmemd_values_find(event->values, event->n_values, name);
}

static int on_added(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *path, *interface;

    int r = sd_bus_message_read(m, "o", &path);
    if (r > 0)
        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
    while (r > 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        r = sd_bus_message_read(m, "s", &interface);
        if (r <= 0)
            break;
        g_autoptr(GPtrArray) values = pmemd_values_read(m, &r);
        if (!values)
            break;
        /* org.freedesktop.DBus.Properties and its like come with every object. */
        if (g_str_has_prefix(interface, PMEMD_BUS_NAME "."))
            hand_over(data, PMEMD_EVENT_ADDED, path, interface, values);
        r = sd_bus_message_exit_container(m) < 0 ? -EBADMSG : 1;
    }
    return 0;
}

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *path, *interface;

    int r = sd_bus_message_read(m, "o", &path);
    if (r > 0)
        r = sd_bus_message_enter_container(m, 'a', "s");
    while (r > 0 && (r = sd_bus_message_read(m, "s", &interface)) > 0)
        if (g_str_has_prefix(interface, PMEMD_BUS_NAME ".")) {
            g_autoptr(GPtrArray) values = pmemd_values_new();
            hand_over(data, PMEMD_EVENT_REMOVED, path, interface, values);
        }
    return 0;
}

static int on_changed(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *interface;
    int r = 0;

    if (sd_bus_message_read(m, "s", &interface) <= 0 || !g_str_has_prefix(interface, PMEMD_BUS_NAME "."))
        return 0;
    g_autoptr(GPtrArray) values = pmemd_values_read(m, &r);
    if (values)
        hand_over(data, PMEMD_EVENT_CHANGED, sd_bus_message_get_path(m), interface, values);
    return 0;
}

static int on_health_changed(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *path, *old, *new, *reason;

    if (sd_bus_message_read(m, "osss", &path, &old, &new, &reason) <= 0)
        return 0;
    g_autoptr(GPtrArray) values = pmemd_values_new();
    pmemd_values_add_text(values, "Old", old);
    pmemd_values_add_text(values, "New", new);
    pmemd_values_add_text(values, "Reason", reason);
    hand_over(data, PMEMD_EVENT_HEALTH_CHANGED, path, "", values);
    return 0;
}

static int on_job_removed(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *path, *region, *result, *message;

    if (sd_bus_message_read(m, "ooss", &path, &region, &result, &message) <= 0)
        return 0;
    g_autoptr(GPtrArray) values = pmemd_values_new();
    pmemd_values_add_text(values, "Region", region);
    pmemd_values_add_text(values, "Result", result);
    pmemd_values_add_text(values, "Message", message);
    hand_over(data, PMEMD_EVENT_JOB_REMOVED, path, "", values);
    return 0;
}

static int on_name(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    const char *name, *old, *new;

    if (sd_bus_message_read(m, "sss", &name, &old, &new) <= 0 || strcmp(name, PMEMD_BUS_NAME) != 0)
        return 0;
    g_autoptr(GPtrArray) values = pmemd_values_new();
    /* Handed from one daemon to the next it goes and comes. */
    if (old[0] != '\0')
        hand_over(data, PMEMD_EVENT_DAEMON_DOWN, "", "", values);
    if (new[0] != '\0')
        hand_over(data, PMEMD_EVENT_DAEMON_UP, "", "", values);
    return 0;
}

static int on_disconnected(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
    g_autoptr(GPtrArray) values = pmemd_values_new();
    hand_over(data, PMEMD_EVENT_DISCONNECTED, "", "", values);
    return 0;
}

int pmemd_client_add_matches(PmemdClient *client) {
    static const struct {
        const char *rule;
        sd_bus_message_handler_t handler;
    } matches[] = {
        { "interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'", on_added },
        { "interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved'", on_removed },
        { "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'", on_changed },
        { "interface='" PMEMD_IFACE_MANAGER "',member='HealthChanged'", on_health_changed },
        { "interface='" PMEMD_IFACE_MANAGER "',member='JobRemoved'", on_job_removed },
    };

    int r = sd_bus_match_signal(client->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "NameOwnerChanged", on_name, client);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(matches); i++) {
        g_autofree char *rule = g_strdup_printf("type='signal',sender='%s',%s", PMEMD_BUS_NAME, matches[i].rule);
        r = sd_bus_add_match(client->bus, NULL, rule, matches[i].handler, client);
    }
    /* sd-bus' own, which no bus has to be asked for. */
    if (r >= 0)
        r = sd_bus_match_signal(client->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, client);
    return r < 0 ? r : 0;
}

int pmemd_client_subscribe(PmemdClient *client, PmemdEventFunc func, void *data) {
    GError *error = NULL;

    if (client->event_func)
        return -EALREADY;
    if (!pmemd_client_check_open(client, &error))
        return pmemd_client_end(client, error);
    int r = pmemd_client_add_matches(client);
    if (r < 0) {
        pmemd_client_set_lost(client, -r, &error);
        return pmemd_client_end(client, error);
    }
    client->event_func = func;
    client->event_data = data;
    return 0;
}
