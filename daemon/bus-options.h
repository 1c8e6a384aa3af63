/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The one parser of a{sv}: a closed table of keys, each with its type.
 * Promises: nothing is copied and nothing is kept, whatever the caller sends; an unknown, repeated or ill-typed key
 * ends the parse at once with INVALID_ARGUMENT naming the key, the type expected and the keys known. As keys cannot
 * repeat, no more entries than the table has rows are ever looked at. Used by bus.
 */
#pragma once

#include "proto/types.h"

#include <systemd/sd-bus.h>

typedef enum {
    BUS_OPTION_SMFN, /* the first five: arguments, by name in Plan alone */
    BUS_OPTION_EMFN,
    BUS_OPTION_MGMT_SMFN,
    BUS_OPTION_MGMT_EMFN,
    BUS_OPTION_BYTES,
    BUS_OPTION_NAME,
    BUS_OPTION_PROFILE,
    BUS_OPTION_MAX_REGIONS,
    BUS_OPTION_INIT_LABELS,
    BUS_OPTION_NODE,
    BUS_OPTION_ALIGNMENT,
    BUS_OPTION_MGMT,
    BUS_OPTION_UID,
    BUS_OPTION_DESTROY,
    BUS_OPTION_APPLY,
    BUS_OPTION_FORCE,
    BUS_OPTION_REQUEST_ID,
    BUS_OPTION_UNTIL,
    BUS_OPTION_GUEST_FRAME,
    BUS_OPTION_ALLOW_DEGRADED,
    BUS_OPTION_VERIFY,
    BUS_OPTION_DRY_RUN,
    BUS_OPTION_RAW,
    BUS_N_OPTIONS,
} BusOption;

/* A set of options: BUS_OPTION_BIT(BUS_OPTION_NAME) | BUS_OPTION_BIT(BUS_OPTION_NODE). */
#define BUS_OPTION_BIT(option) (1u << (option))

/* What was given; strings belong to the message. */
typedef struct {
    uint32_t given; /* set */
    union {
        uint64_t t;
        uint32_t u;
        int32_t i;
        int b;
        const char *s;
    } value[BUS_N_OPTIONS];
    Profile profile;       /* parsed, when given */
    bool disconnect;       /* until, parsed, when given */
    sd_id128_t request_id; /* parsed; null when not given */
} BusOptions;

/* Reads the a{sv} that message stands before. allowed: set of options that may be there. */
bool bus_options_parse(sd_bus_message *message, uint32_t allowed, BusOptions *ret_options, GError **error);
/* INVALID_ARGUMENT naming the first option of required that was not given. */
bool bus_options_require(const BusOptions *options, uint32_t required, GError **error);

/* A number that stands for method, arguments and options without request-id; the order of the options does not
 * matter. */
uint64_t bus_options_hash(const BusOptions *options, uint32_t method, const uint64_t *arguments, size_t n_arguments);
