/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Whether the labels of interleave sets are whole, and what makes them so. A namespace over several DIMMs has a label on
 * each, and the kernel writes one DIMM after the other: a loss of power between two leaves a uuid that some DIMMs have
 * and others have not, for which the kernel refuses the whole region (or, when it is the first DIMM that has it not,
 * leaves its bytes taken on the others for good). Pure: areas in, findings and bytes to write out.
 *
 * Promises. Only uuids that are tagged as pmemd's on every DIMM that has them are ever changed. No label's bytes are
 * written: a repair is one new index block a DIMM, valid only once it is written whole; done in part it can be done
 * again. What was being made, all of whose labels still say "updating", is dropped: no operation on it was ever
 * acknowledged. What was being deleted is finished, from the freed slots that still hold its labels, so that the journal
 * decides what becomes of it. All else is left, with the reason.
 */
#pragma once

#include "daemon/label-area.h"

#define LABEL_SET_MAX 32u /* DIMMs of a set, as the kernel has it */

typedef struct {
    char *name;     /* "nmem0", or a file */
    uint8_t *bytes; /* its label area */
    size_t size;
    LabelArea area;
    GError *fault;     /* NULL: area is valid */
    guint in_use, bad; /* slots; bad: in use, but with a label that is none */
} LabelDimm;

typedef struct {
    char *name; /* "region0", or the cookie */
    uint64_t cookie;
    guint n_positions;
    guint dimms[LABEL_SET_MAX]; /* by position: index in LabelCheck.dimms; G_MAXUINT: not known */
    guint whole;                /* uuids */
    guint updating;             /* whole uuids of which a label still says "updating": no harm */
} LabelSet;

typedef enum {
    LABEL_FINISH, /* give the missing DIMMs their labels back */
    LABEL_DROP,   /* free the labels that are there */
    LABEL_LEAVE,
} LabelRemedy;

/* One uuid that is not whole. Sets of positions: bit N is position N. */
typedef struct {
    guint set; /* index in LabelCheck.sets */
    sd_id128_t uuid;
    char name[LABEL_NAME_MAX + 1];
    bool ours;
    uint32_t present, missing, doubled, damaged, updating;
    LabelRemedy remedy;
    uint32_t slots[LABEL_SET_MAX]; /* FINISH: by missing position, the freed slot that is used again */
    char *why;                     /* for people: LEAVE: why not, and what to do; else what happened */
} LabelFinding;

typedef struct {
    GPtrArray *dimms, *sets, *findings; /* LabelDimm *, LabelSet *, LabelFinding * */
} LabelCheck;

/* One write of a repair. */
typedef struct {
    guint dimm;
    size_t offset, len;
    uint8_t *bytes;
} LabelWrite;

LabelCheck *label_check_new(void);
void label_check_free(LabelCheck *check);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabelCheck, label_check_free)

/* Takes bytes. Returns its index. */
guint label_check_add_dimm(LabelCheck *check, const char *name, uint8_t *bytes, size_t size);
/* One whose area cannot be read. */
guint label_check_add_unreadable(LabelCheck *check, const char *name, const GError *why);
/* dimms: their indexes by position. n_positions is 1 to LABEL_SET_MAX. */
void label_check_add_set(LabelCheck *check, const char *name, uint64_t cookie, const guint *dimms, guint n_positions);
/* The sets as the labels themselves tell of them, where no region does (images of label areas). */
void label_check_infer_sets(LabelCheck *check);

/* Fills findings, once. force: of those that are ours, what would be left is dropped where that can be done. */
void label_check_run(LabelCheck *check, bool force);

/* How many findings have this remedy. */
guint label_check_count(const LabelCheck *check, LabelRemedy remedy);

/* What to write for all that is not left, one element a DIMM at most: LabelWrite *. */
GPtrArray *label_check_plan(const LabelCheck *check);

const char *label_remedy_to_string(LabelRemedy remedy);
