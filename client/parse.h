/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Numbers as people write them, strictly: no sign, no blanks, no octal, nothing after the number, no overflow.
 * Whether a value makes sense is for the daemon to say. Pure functions; any file of pmemctl may use them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PARSE_ERROR (parse_error_quark())
GQuark parse_error_quark(void);

typedef enum {
    PARSE_ERROR_USAGE, /* the command line is not what pmemctl takes */
} ParseError;

/* A frame number, "0x480000" or decimal. Errors (USAGE, as all here): says what is wrong with the text. */
bool parse_frame(const char *text, uint64_t *ret_frame, GError **error);

/* A physical address in bytes, "0x2c0001000" or decimal. */
bool parse_address(const char *text, uint64_t *ret_address, GError **error);

/* Bytes: a whole number, decimal or 0x, and a unit of 1024s: none or B, K, M, G, T, P, each also as KiB, MiB, ...;
 * upper or lower case. KB, MB and their like are refused: they mean 1000s to some and 1024s to others. */
bool parse_size(const char *text, uint64_t *ret_bytes, GError **error);

/* A decimal number up to max. what: for the message ("--max-regions"). */
bool parse_number(const char *what, const char *text, uint64_t max, uint64_t *ret_number, GError **error);

/* "4.0 GiB", "4094 MiB", "4292870145 B": exact, never rounded. Free: g_free. */
char *format_size(uint64_t bytes);
