/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/json-text.h"

void json_append_text(GString *to, const char *text) {
    g_string_append_c(to, '"');
    for (const char *c = text; *c; c++)
        if (*c == '"' || *c == '\\')
            g_string_append_printf(to, "\\%c", *c);
        else if ((unsigned char) *c < 0x20 || (unsigned char) *c >= 0x7f)
            g_string_append_c(to, '?');
        else
            g_string_append_c(to, *c);
    g_string_append_c(to, '"');
}
