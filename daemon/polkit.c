/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/polkit.h"

#include "daemon/log.h"
#include "proto/error.h"

#include <string.h>

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_IFACE "org.freedesktop.PolicyKit1.Authority"

#define FLAG_ALLOW_USER_INTERACTION 1u

#define ID_MAX 32u

struct Polkit {
    sd_bus *bus;
    uint64_t asked; /* questions so far: numbers their cancellation ids */
};

struct PolkitCheck {
    Polkit *polkit;
    sd_bus_slot *call;
    char id[ID_MAX];
    gint64 deadline; /* monotonic, microseconds */
    PolkitDone done;
    void *data;
};

Polkit *polkit_new(sd_bus *bus) {
    Polkit *polkit = g_new0(Polkit, 1);

    polkit->bus = bus;
    return polkit;
}

void polkit_free(Polkit *polkit) {
    g_free(polkit);
}

uint64_t polkit_timeout(bool interactive) {
    return (interactive ? 120u : 10u) * (uint64_t) G_USEC_PER_SEC;
}

static void check_free(PolkitCheck *check) {
    sd_bus_slot_unref(check->call);
    g_free(check);
}

/* Polkit closes its dialog. An answer would tell nothing: the question may have been answered meanwhile. */
static void tell_cancelled(const PolkitCheck *check) {
    sd_bus_message *cancel = NULL;

    int r = sd_bus_message_new_method_call(check->polkit->bus, &cancel, POLKIT_NAME, POLKIT_PATH, POLKIT_IFACE,
                                           "CancelCheckAuthorization");
    if (r >= 0)
        r = sd_bus_message_set_expect_reply(cancel, false);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(cancel, false);
    if (r >= 0)
        r = sd_bus_message_append(cancel, "s", check->id);
    if (r >= 0)
        r = sd_bus_send(check->polkit->bus, cancel, NULL);
    sd_bus_message_unref(cancel);
    if (r < 0 && r != -ENOTCONN)
        log_message(LOG_WARNING, NULL, NULL, "cannot take a question to polkit back, ignoring: %s", g_strerror(-r));
}

/* The bus has nobody of that name, and cannot start it either. */
static bool is_absence(const char *name) {
    return g_str_equal(name, SD_BUS_ERROR_SERVICE_UNKNOWN) || g_str_equal(name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
           g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn.") ||
           g_str_has_prefix(name, "org.freedesktop.systemd1.");
}

static PolkitVerdict verdict_of_error(const PolkitCheck *check, const sd_bus_error *error, const char **ret_why) {
    /* sd-bus makes the same error for a peer that takes too long as the bus for one that left. */
    if (g_get_monotonic_time() >= check->deadline)
        return POLKIT_TIMED_OUT;
    *ret_why = error->message ?: error->name;
    return is_absence(error->name) ? POLKIT_ABSENT : POLKIT_FAILED;
}

static int read_dismissed(sd_bus_message *reply, bool *ret_dismissed) {
    const char *name, *value;
    bool dismissed = false;

    int r = sd_bus_message_enter_container(reply, 'a', "{ss}");
    while (r >= 0 && (r = sd_bus_message_read(reply, "{ss}", &name, &value)) > 0)
        dismissed |= g_str_equal(name, "polkit.dismissed") && value[0];
    if (r >= 0)
        *ret_dismissed = dismissed;
    return r;
}

static PolkitVerdict verdict_of_reply(sd_bus_message *reply, const char **ret_why) {
    int authorized = 0, challenge = 0;
    bool dismissed = false;

    int r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
    if (r >= 0)
        r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
    if (r >= 0)
        r = read_dismissed(reply, &dismissed);
    if (r < 0) {
        *ret_why = "its answer cannot be read";
        return POLKIT_FAILED;
    }
    if (authorized)
        return POLKIT_YES;
    return dismissed ? POLKIT_DISMISSED : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
    PolkitCheck *check = userdata;
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    const char *why = "";
    PolkitVerdict verdict = error ? verdict_of_error(check, error, &why) : verdict_of_reply(reply, &why);

    if (verdict == POLKIT_TIMED_OUT)
        tell_cancelled(check);
    check->done(check->data, verdict, why);
    check_free(check);
    return 0;
}

static int append_details(sd_bus_message *question, const PolkitDetail *details) {
    int r = sd_bus_message_open_container(question, 'a', "{ss}");

    for (; r >= 0 && details->name; details++)
        r = sd_bus_message_append(question, "{ss}", details->name, details->value);
    return r < 0 ? r : sd_bus_message_close_container(question);
}

PolkitCheck *polkit_check(Polkit *polkit, const char *sender, const char *action, const PolkitDetail *details,
                          bool interactive, PolkitDone done, void *data, GError **error) {
    PolkitCheck *check = g_new0(PolkitCheck, 1);
    sd_bus_message *question = NULL;

    *check = (PolkitCheck){ .polkit = polkit, .done = done, .data = data };
    g_snprintf(check->id, sizeof check->id, "pmemd-%" G_GUINT64_FORMAT, ++polkit->asked);
    check->deadline = g_get_monotonic_time() + (gint64) polkit_timeout(interactive);
    int r = sd_bus_message_new_method_call(polkit->bus, &question, POLKIT_NAME, POLKIT_PATH, POLKIT_IFACE,
                                           "CheckAuthorization");
    /* A connection, not a process: its number may be somebody else's by the time polkit looks. */
    if (r >= 0)
        r = sd_bus_message_append(question, "(sa{sv})s", "system-bus-name", 1, "name", "s", sender, action);
    if (r >= 0)
        r = append_details(question, details);
    if (r >= 0)
        r = sd_bus_message_append(question, "us", interactive ? FLAG_ALLOW_USER_INTERACTION : 0u, check->id);
    if (r >= 0)
        r = sd_bus_call_async(polkit->bus, &check->call, question, on_answer, check, polkit_timeout(interactive));
    sd_bus_message_unref(question);
    if (r >= 0)
        return check;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "polkit cannot be asked for %s: %s", action, g_strerror(-r));
    check_free(check);
    return NULL;
}

void polkit_check_cancel(PolkitCheck *check) {
    if (!check)
        return;
    tell_cancelled(check);
    check_free(check);
}
