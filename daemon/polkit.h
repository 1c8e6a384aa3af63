/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Questions to polkit: may whoever is behind this connection do that kind of thing?
 * Promises: never waits for the answer, but not forever either: 10 s, 120 s when polkit may ask people; a question
 * that is given up is cancelled at polkit, too. Only a clear yes is a yes. Asks the polkit of the bus that pmemd is on.
 * Knows no manager; calls back. Used by bus-authorize.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef enum {
    POLKIT_YES,
    POLKIT_NO,
    POLKIT_CHALLENGE, /* yes to whoever authenticates, but nobody may be asked to */
    POLKIT_DISMISSED, /* who was asked to authenticate did not want to */
    POLKIT_ABSENT,    /* there is no polkit on this bus */
    POLKIT_TIMED_OUT,
    POLKIT_FAILED, /* it could not be asked, or gave an error */
} PolkitVerdict;

/* Names and values, for rules and for the text of the dialog; ends with a NULL name. */
typedef struct {
    const char *name, *value;
} PolkitDetail;

typedef struct Polkit Polkit;
typedef struct PolkitCheck PolkitCheck;

/* Exactly once, unless cancelled. why: of POLKIT_ABSENT and POLKIT_FAILED the error in words; else "". */
typedef void (*PolkitDone)(void *data, PolkitVerdict verdict, const char *why);

Polkit *polkit_new(sd_bus *bus);
/* All checks have ended or are cancelled. */
void polkit_free(Polkit *polkit);

/* How long polkit may take, in microseconds. */
uint64_t polkit_timeout(bool interactive);

/* sender: unique name of who wants to. interactive: people may be asked. NULL: HARDWARE, the question cannot be sent.
 */
PolkitCheck *polkit_check(Polkit *polkit, const char *sender, const char *action, const PolkitDetail *details,
                          bool interactive, PolkitDone done, void *data, GError **error);
/* Takes the question back: done will not be called; not after it was. */
void polkit_check_cancel(PolkitCheck *check);
