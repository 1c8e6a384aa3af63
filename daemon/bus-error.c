/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-error.h"

#include "daemon/log.h"
#include "proto/error.h"

#include <string.h>

#define MESSAGE_MAX 1024u
#define QUOTE_MAX 64u

/* text as valid UTF-8 of one line and at most max bytes. */
static char *tame(const char *text, size_t max) {
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *tamed = g_string_sized_new(MIN(strlen(valid), max));

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        size_t len = (size_t) (g_utf8_next_char(p) - valid);
        if (len > max - strlen("...") && strlen(valid) > max) {
            g_string_append(tamed, "...");
            break;
        }
        g_string_append_unichar(tamed, g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 ? '?' : c);
    }
    return g_string_free(tamed, FALSE);
}

int bus_error_set(sd_bus_error *ret_error, const GError *error) {
    bool ours = error && error->domain == PMEMD_ERROR;
    g_autofree char *message = tame(error ? error->message : "no reason was given", MESSAGE_MAX);

    if (!ours)
        log_message(LOG_ERR, NULL, NULL, "a request failed for a reason that is not pmemd's: %s", message);
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
