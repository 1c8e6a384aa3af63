/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Values with names: a{sv} of a message as PmemdValue's.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"

static void value_free(PmemdValue *value) {
    if (!value)
        return;
    if (value->type == 's')
        g_free(value->s);
    g_free(value->name);
    g_free(value);
}

GPtrArray *pmemd_values_new(void) {
    return g_ptr_array_new_with_free_func((GDestroyNotify) value_free);
}

void pmemd_values_add_text(GPtrArray *values, const char *name, const char *text) {
    PmemdValue *value = g_new0(PmemdValue, 1);

    value->name = g_strdup(name);
    value->type = 's';
    value->s = g_strdup(text);
    g_ptr_array_add(values, value);
}

/* Reads a basic value of the type, widened; 0 when the type is none of those. */
static int read_value(sd_bus_message *m, char type, PmemdValue *value) {
    union {
        const char *s;
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
    } wire;

    if (!strchr("sogybnqiuxtd", type))
        return 0;
    int r = sd_bus_message_read_basic(m, type, &wire);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    value->type = type;
    if (strchr("sog", type))
        value->type = 's';
    else if (strchr("yqut", type))
        value->type = 't';
    else if (strchr("nix", type))
        value->type = 'i';
    switch (type) {
    case 'y':
        value->t = wire.y;
        break;
    case 'q':
        value->t = wire.q;
        break;
    case 'u':
        value->t = wire.u;
        break;
    case 't':
        value->t = wire.t;
        break;
    case 'n':
        value->i = wire.n;
        break;
    case 'i':
        value->i = wire.i;
        break;
    case 'x':
        value->i = wire.x;
        break;
    case 'b':
        value->b = wire.b;
        break;
    case 'd':
        value->d = wire.d;
        break;
    default:
        value->s = g_strdup(wire.s);
    }
    return 1;
}

/* One {sv}; NULL in ret_value when its type is not basic. */
static int read_entry(sd_bus_message *m, PmemdValue **ret_value) {
    const char *name, *contents;
    PmemdValue *value = NULL;

    int r = sd_bus_message_read_basic(m, 's', &name);
    if (r > 0)
        r = sd_bus_message_peek_type(m, NULL, &contents);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;

    if (contents && strlen(contents) == 1 && strchr("sogybnqiuxtd", contents[0])) {
        value = g_new0(PmemdValue, 1);
        value->name = g_strdup(name);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r > 0)
            r = read_value(m, contents[0], value);
        if (r > 0)
            r = sd_bus_message_exit_container(m);
    } else
        r = sd_bus_message_skip(m, "v");
    if (r < 0) {
        value_free(value);
        return r;
    }
    *ret_value = value;
    return 0;
}

GPtrArray *pmemd_values_read(sd_bus_message *message, int *ret_errno) {
    g_autoptr(GPtrArray) values = pmemd_values_new();

    int r = sd_bus_message_enter_container(message, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        PmemdValue *value = NULL;
        r = read_entry(message, &value);
        if (r >= 0 && value)
            g_ptr_array_add(values, value);
        if (r >= 0)
            r = sd_bus_message_exit_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0) {
        *ret_errno = r;
        return NULL;
    }
    return g_steal_pointer(&values);
}

const PmemdValue *pmemd_values_find(const PmemdValue *const *values, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i]->name, name) == 0)
            return values[i];
    return NULL;
}
