/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/parse.h"

#include <string.h>

GQuark parse_error_quark(void) {
    return g_quark_from_static_string("pmemctl-parse-error-quark");
}

typedef enum {
    DIGITS_OK,
    DIGITS_NONE,
    DIGITS_OVERFLOW,
} Digits;

/* The number at the start of text, and what follows it. */
static Digits read_digits(const char *text, bool hex_allowed, uint64_t *ret_value, const char **ret_rest) {
    unsigned base = 10;
    if (hex_allowed && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }

    const char *p = text;
    uint64_t value = 0;
    bool overflow = false;
    while (base == 16 ? g_ascii_isxdigit(*p) : g_ascii_isdigit(*p)) {
        overflow |= __builtin_mul_overflow(value, (uint64_t) base, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t) g_ascii_xdigit_value(*p), &value);
        p++;
    }
    if (p == text)
        return DIGITS_NONE;
    if (overflow)
        return DIGITS_OVERFLOW;
    *ret_value = value;
    *ret_rest = p;
    return DIGITS_OK;
}

static bool refuse_overflow(const char *what, const char *text, GError **error) {
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "%s '%s' is too large: the most is %" G_GUINT64_FORMAT, what,
                text, UINT64_MAX);
    return false;
}

bool parse_frame(const char *text, uint64_t *ret_frame, GError **error) {
    const char *rest;
    uint64_t value;

    Digits digits = read_digits(text, true, &value, &rest);
    if (digits == DIGITS_OVERFLOW)
        return refuse_overflow("frame number", text, error);
    if (digits == DIGITS_NONE || *rest != '\0') {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "'%s' is not a frame number: write a hexadecimal number such as 0x480000, or a decimal one", text);
        return false;
    }
    *ret_frame = value;
    return true;
}

bool parse_address(const char *text, uint64_t *ret_address, GError **error) {
    const char *rest;
    uint64_t value;

    Digits digits = read_digits(text, true, &value, &rest);
    if (digits == DIGITS_OVERFLOW)
        return refuse_overflow("address", text, error);
    if (digits == DIGITS_NONE || *rest != '\0') {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "'%s' is not an address: write bytes, as a hexadecimal number such as 0x2c0001000 or a decimal one",
                    text);
        return false;
    }
    *ret_address = value;
    return true;
}

/* The shift of "", "B", "K", "KiB", ...; -1: not a unit. */
static int unit_shift(const char *unit) {
    static const char letters[] = "kmgtp";

    if (unit[0] == '\0' || g_ascii_strcasecmp(unit, "b") == 0)
        return 0;
    const char *at = strchr(letters, g_ascii_tolower(unit[0]));
    if (!at || (unit[1] != '\0' && g_ascii_strcasecmp(unit + 1, "ib") != 0))
        return -1;
    return 10 * (int) (at - letters + 1);
}

bool parse_size(const char *text, uint64_t *ret_bytes, GError **error) {
    const char *unit = "";
    uint64_t value = 0;

    Digits digits = read_digits(text, true, &value, &unit);
    if (digits == DIGITS_OVERFLOW)
        return refuse_overflow("size", text, error);

    int shift = digits == DIGITS_OK ? unit_shift(unit) : -1;
    if (shift < 0) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "'%s' is not a size: write a whole number of bytes, or of units of 1024s, such as 512M, 4G or 4GiB "
                    "(K, M, G, T, P)",
                    text);
        return false;
    }
    if (value > UINT64_MAX >> shift)
        return refuse_overflow("size", text, error);
    *ret_bytes = value << shift;
    return true;
}

bool parse_number(const char *what, const char *text, uint64_t max, uint64_t *ret_number, GError **error) {
    const char *rest = "";
    uint64_t value = 0;

    Digits digits = read_digits(text, false, &value, &rest);
    if (digits == DIGITS_NONE || (digits == DIGITS_OK && *rest != '\0')) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "%s takes a decimal number, not '%s'", what, text);
        return false;
    }
    if (digits == DIGITS_OVERFLOW || value > max) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "%s '%s' is too large: the most is %" G_GUINT64_FORMAT, what,
                    text, max);
        return false;
    }
    *ret_number = value;
    return true;
}

char *format_size(uint64_t bytes) {
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t largest = 0;

    while (largest + 1 < G_N_ELEMENTS(units) && bytes >> (10 * (largest + 1)) != 0)
        largest++;
    if (largest == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);

    /* A tenth that is exact: 4.0 GiB, 1.5 TiB. The remainder is below 2^50, so its tenfold does not wrap. */
    uint64_t unit = UINT64_C(1) << (10 * largest);
    uint64_t tenths = bytes % unit * 10;
    if (tenths % unit == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " %s", bytes / unit, tenths / unit,
                               units[largest]);
    /* Else the next smaller unit, where it is whole: 4094 MiB. */
    unit >>= 10;
    if (largest > 1 && bytes % unit == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT " %s", bytes / unit, units[largest - 1]);
    return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
}
