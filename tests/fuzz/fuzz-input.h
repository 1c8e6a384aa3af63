/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The bytes of one fuzz input as a stream of numbers: past its end everything is zero, so that each prefix of an input
 * is one, too. Also what becomes of log messages: warnings are expected, whatever is worse is a crash that keeps its
 * input. Included by the fuzz targets alone, once each.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static GLogWriterOutput fuzz_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data) {
    if (!(level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)))
        return G_LOG_WRITER_HANDLED;
    g_autofree char *text = g_log_writer_format_fields(level, fields, n_fields, FALSE);

    fprintf(stderr, "%s\n", text);
    abort(); /* GLib would stop at a breakpoint, which libFuzzer does not know */
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    g_log_set_writer_func(fuzz_log, NULL, NULL);
    return 0;
}

typedef struct {
    const uint8_t *at, *end;
} Input;

static inline Input input_new(const uint8_t *data, size_t size) {
    return (Input){ data, data + size };
}

static inline bool input_left(const Input *in) {
    return in->at < in->end;
}

static inline uint64_t input_number(Input *in, unsigned bytes) {
    uint64_t number = 0;

    for (unsigned i = 0; i < bytes && in->at < in->end; i++)
        number |= (uint64_t) *in->at++ << 8 * i;
    return number;
}

static inline uint8_t input_u8(Input *in) {
    return (uint8_t) input_number(in, 1);
}

/* 0 .. n - 1, n at most 256. */
static inline unsigned input_below(Input *in, unsigned n) {
    return input_u8(in) % n;
}

/* True for one byte in n: rarely, and never past the end. */
static inline bool input_rarely(Input *in, unsigned n) {
    return input_u8(in) % n == n - 1;
}

/* A string of at most max bytes (a length byte, then the bytes; ends at a 0). */
static inline char *input_text(Input *in, unsigned max) {
    unsigned wanted = input_u8(in);
    size_t len = MIN(MIN(wanted, max), (size_t) (in->end - in->at));
    char *text = g_strndup((const char *) in->at, len);

    in->at += len;
    return text;
}
