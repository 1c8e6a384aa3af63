/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-error.h"

#include "daemon/log.h"
#include "proto/error.h"
#include "proto/one-line.h"

#include <string.h>

#define MESSAGE_MAX 1024u
#define QUOTE_MAX 64u

/* text as valid UTF-8 of one line and at most max bytes. */
static char *tame(const char *text, size_t max) {
    char *tamed = one_line(text);

    if (strlen(tamed) > max) {
        char *end = tamed + max - strlen("...");
        if (!g_utf8_validate(tamed, end - tamed, NULL))
            end = g_utf8_find_prev_char(tamed, end);
        memcpy(end, "...", sizeof "...");
    }
    return tamed;
}

int bus_error_set(sd_bus_error *ret_error, const GError *error) {
    bool ours = error && error->domain == PMEMD_ERROR;
    g_autofree char *message = tame(error ? error->message : "no reason was given", MESSAGE_MAX);

    if (!ours)
        log_event(EVENT_INTERNAL_ERROR, NULL, "a request failed for a reason that is not pmemd's: %s", message);
    int code = ours ? error->code : PMEMD_ERROR_INTERNAL;
    sd_bus_error_set(ret_error, pmemd_error_dbus_name(code), message);
    return -pmemd_error_errno(code);
}

void bus_error_reply(sd_bus_message *call, const GError *error) {
    sd_bus_error answer = SD_BUS_ERROR_NULL;

    bus_error_set(&answer, error);
    int r = sd_bus_reply_method_error(call, &answer);
    if (r < 0 && r != -ENOTCONN)
        log_message(LOG_WARNING, NULL, sd_bus_message_get_sender(call), "cannot send an error reply, ignoring: %s",
                    g_strerror(-r));
    sd_bus_error_free(&answer);
}

char *bus_quote(const char *text) {
    return tame(text, QUOTE_MAX);
}

bool bus_check_text(const char *what, const char *text, GError **error) {
    size_t len = strlen(text);

    if (len > BUS_TEXT_MAX) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s has %zu bytes, at most %u are allowed", what,
                    len, BUS_TEXT_MAX);
        return false;
    }
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p))) {
            g_autofree char *quoted = bus_quote(text);
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "%s '%s' has a control character (U+%04X at byte %zu)", what, quoted,
                        (unsigned) g_utf8_get_char(p), (size_t) (p - text));
            return false;
        }
    return true;
}
