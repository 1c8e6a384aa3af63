/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/one-line.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static bool ends_line(gunichar c) {
    return g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029;
}

char *one_line(const char *text) {
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *tamed = g_string_sized_new(strlen(valid));

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(tamed, ends_line(c) ? '?' : c);
    }
    return g_string_free(tamed, FALSE);
}
