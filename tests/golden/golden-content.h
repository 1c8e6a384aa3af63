/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the golden images of the formats hold, and how they are stored: as text, one line for each 32 bytes that are not
 * zero. Each later minor holds what the one before does, and records of its own behind that. The content of a released
 * format is fixed for ever; a new format gets images of its own.
 */
#pragma once

#include "daemon/journal.h"

typedef struct {
    uint16_t type;
    uint64_t txid;
    JfRegion region; /* ADD, INTENT_CREATE */
    JfRef ref;       /* DEL */
    JfDelete del;    /* INTENT_DELETE */
    JfCommit commit;
    JfAbort abort;
    JfOpen open;
    JfName name;
    JfOwner owner;
    JfRequest request;
    const char *note;
    JfLease lease;
    JfUnlease unlease;
    JfBadFrames bad;
    JfEraseProgress erase;
    JfAdopt adopt;
} GoldenRecord;

#define GOLDEN_SNAPSHOT 5u /* the first of golden_records() are the snapshot's, the others the log's */
/* Of format 1.minor, which is 0 or JF_MINOR. */
const GoldenRecord *golden_records(unsigned minor, size_t *ret_n);
JfSuperblock golden_superblock(unsigned minor, MediumClass class);
size_t golden_encode(const GoldenRecord *record, uint8_t buf[static JF_PAYLOAD_MAX]);

/* The image as today's writer makes it. Aborts when it cannot. */
GBytes *golden_build(unsigned minor, MediumClass class);

char *golden_to_text(GBytes *image);
GBytes *golden_from_text(const char *text, size_t size);
