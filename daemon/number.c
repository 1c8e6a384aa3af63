/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/number.h"

#include <glib.h>
#include <string.h>

bool number_parse(const char *s, uint64_t *ret_number) {
    guint base = 10;
    guint64 number;

    if (g_str_has_prefix(s, "0x") || g_str_has_prefix(s, "0X")) {
        base = 16;
        s += 2;
        /* GLib would take a second prefix. */
        if (!g_ascii_isxdigit(s[0]) || g_ascii_tolower(s[1]) == 'x')
            return false;
    }
    if (!g_ascii_string_to_unsigned(s, base, 0, G_MAXUINT64, &number, NULL))
        return false;
    *ret_number = number;
    return true;
}

bool number_parse_bytes(const char *s, uint64_t *ret_bytes) {
    static const char suffixes[] = "KMGT";
    size_t len = strlen(s), at = len > 3 && g_ascii_strcasecmp(s + len - 2, "ib") == 0 ? len - 3
                                 : len > 1                                             ? len - 1
                                                                                       : 0;
    const char *suffix = at > 0 && !g_str_has_prefix(s, "0x") ? strchr(suffixes, g_ascii_toupper(s[at])) : NULL;
    uint64_t number;

    if (!suffix)
        return number_parse(s, ret_bytes);

    g_autofree char *digits = g_strndup(s, at);
    unsigned shift = 10 * (unsigned) (suffix - suffixes + 1);
    if (!number_parse(digits, &number) || number > UINT64_MAX >> shift)
        return false;
    *ret_bytes = number << shift;
    return true;
}
