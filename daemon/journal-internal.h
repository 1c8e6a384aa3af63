/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What journal.c (writing) and journal-replay.c (reading) share. Nobody else includes it.
 */
#pragma once

#include "daemon/journal.h"

/* Bytes after the end of the log that may hold leftovers of a cut append: one record, and the line after it. */
#define JOURNAL_TAIL_BYTES(stride) ((JF_RECORD_MAX + (stride) -1) / (stride) * (stride) + (stride))

struct Journal {
    Medium *medium;
    bool write;
    bool failed;
    JournalVerdict verdict;
    char *report; /* NULL when clean */
    JfSuperblock sb;
    bool copy_valid[2]; /* of the superblock */

    JfRoot root;
    uint32_t seed;      /* of the live area's epoch */
    uint64_t log_start; /* bytes from the medium's start, as all offsets here */
    uint64_t pos;       /* where the next record goes */
    uint64_t area_end;
    uint64_t next_seq;
    uint32_t prev_crc;
    bool tail_torn; /* replay dropped the torn record at pos */
};

/*
 * Finds the root and walks the live area: fills root to tail_torn, applies the good prefix, sets verdict and report
 * where it is not what they were. Writes nothing. j->verdict comes in as CLEAN or READ_ONLY.
 */
void journal_replay(Journal *j, JournalApply apply, void *data);

/* Sets the verdict and says why. */
void journal_condemn(Journal *j, JournalVerdict verdict, const char *format, ...) G_GNUC_PRINTF(3, 4);
