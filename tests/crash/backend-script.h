/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A fixed life of a daemon on the file backend with every kind of change, and the ledger beside it: what a caller was
 * told, thing by thing, and so what a start after it may find. Included by the crash tests alone.
 */
#pragma once

#include "tests/crash/faulty-backend.h"
#include "tests/lib/manager-host.h"

typedef enum {
    THING_POOL,   /* SetupMgmt */
    THING_OTHER,  /* AllocateMgmt, on the other node */
    THING_EXACT,  /* SetupData in the first */
    THING_GUEST,  /* AllocateData in the first */
    THING_AWAY,   /* AllocateData in the other */
    THING_SECOND, /* AllocateData in the first, when another was released */
    N_THINGS,
} ThingIndex;

typedef enum {
    THING_ABSENT, /* never made, refused, or released: not there */
    THING_THERE,  /* acknowledged, and not released */
    THING_MAYBE,  /* under way when the daemon died, or the answer said that it is not known */
} Presence;

typedef struct {
    Presence presence;
    sd_id128_t uuid;      /* null: nobody was told */
    const char *names[2]; /* that it may have; the second: a change that was under way. NULL: no second */
    uint32_t owners[2];
    bool marked; /* its content has been written */
} Thing;

/* Kept in memory that a daemon of its own shares with the test. */
typedef struct {
    Thing things[N_THINGS];
    int in_flight;  /* step whose answer has not come; -1: none */
    unsigned steps; /* that were begun */
    unsigned refused;
} Ledger;

typedef struct {
    Host *host;
    FaultyOrder *order;
    Ledger *ledger;
    bool retry;                       /* what is refused is asked again, with the same request-id */
    char pool[PMEMD_UUID_STRING_MAX]; /* of the request at hand */
} Life;

void ledger_init(Ledger *ledger);
/* Lives it, from a start on empty directories to its end, or to a start that failed and goes on failing. */
void life_run(Life *life);
/* The daemon is gone, with or without a word: what was under way may have been done. */
void ledger_cut(Ledger *ledger);
/* Starts and looks: what the ledger demands is there, and nothing else; nothing is half made, every frame free or some
 * listed thing's. Asks again what was under way, and starts a second time, which changes nothing. what: for a report. */
void life_check(Life *life, const char *what);
/* A start alone, and what it has to finish. False: the platform could not be read. */
bool life_recover(Life *life);
