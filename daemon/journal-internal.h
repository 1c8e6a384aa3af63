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

    /* of journal_salvage() alone */
    bool salvaged;
    bool root_restored; /* no copy on the medium is root */
    uint64_t newest;    /* the highest generation and epoch that any root or area has */
};

/*
 * Finds the root and walks the live area: fills root to tail_torn, applies the good prefix, sets verdict and report
 * where it is not what they were. Writes nothing. j->verdict comes in as CLEAN or READ_ONLY.
 */
void journal_replay(Journal *j, JournalApply apply, void *data);

/* The same under j->root, whatever the medium says: for repair. */
void journal_replay_root(Journal *j, JournalApply apply, void *data);

/* Makes the area that j->root does not name the live one, with the snapshot that emit gives, as generation and epoch gen.
 * false with NO_SPACE: nothing changed; HARDWARE: j->failed. */
bool journal_switch_area(Journal *j, uint64_t gen, uint64_t epoch, JournalEmit emit, void *data, GError **error);
/* Writes j->root to both its places; 0 or negative errno. */
int journal_write_root(Journal *j);

/* Sets the verdict and says why. */
void journal_condemn(Journal *j, JournalVerdict verdict, const char *format, ...) G_GNUC_PRINTF(3, 4);
