/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the crash tests share: a script of journal operations on a recording medium, and the oracle that says what a
 * replay may find: every acknowledged record in order, then at most the one that was in flight, and nothing else.
 */
#pragma once

#include "daemon/journal.h"
#include "tests/lib/recording-medium.h"

#define SCRIPT_MAX 400u

/* A record is told by its number: type, length and content follow from it. */
typedef struct {
    uint32_t ids[SCRIPT_MAX]; /* acknowledged, in order */
    unsigned n;
    uint32_t in_flight; /* 0: none */
    bool created;       /* journal_create() was acknowledged */
} Oracle;

typedef struct {
    RecordingMedium *medium;
    Journal *journal; /* NULL until created, and after script_close() */
    Oracle oracle;
    uint32_t next_id;
} Script;

/* Least geometry that the format allows: 256 KiB. */
#define SCRIPT_MEDIUM_BYTES (4u * 65536u)
JfSuperblock script_superblock(MediumClass class);

void script_init(Script *s, MediumClass class);
void script_clear(Script *s);

/* Each: false with error when the journal refused. */
bool script_create(Script *s, GError **error); /* with a snapshot of two records */
bool script_append(Script *s, GError **error);
bool script_checkpoint(Script *s, GError **error);
/* Replays as a new process would, without a power cut. */
bool script_reopen(Script *s, GError **error);

/* What replay found. */
typedef struct {
    uint32_t ids[SCRIPT_MAX + 8];
    unsigned n;
    bool wrong; /* a record whose content is not that of its number */
} Found;

bool script_collect(const JournalRecord *record, void *data, GError **error); /* JournalApply; data: Found */
/* found is acknowledged records [0, n), n >= at_least, possibly with the one in flight after all of them. */
bool oracle_accepts(const Oracle *oracle, const Found *found, unsigned at_least);

/* Seconds that a part of the tests may take: its share of PMEMD_CRASH_BUDGET (60 by default). */
double crash_budget(double share);

void script_fail(const char *what, const Script *s, const uint8_t *image, const Found *found,
                 const Journal *j) G_GNUC_NORETURN;
