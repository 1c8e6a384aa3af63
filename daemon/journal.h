/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The crash-safe journal over a medium: format, replay, append (commit), checkpoint.
 * Promises: when journal_append() returns true the record survives power loss; a replay yields every acknowledged
 * record in order, or says that it cannot (never silently less). Knows records as typed bytes, not what they mean;
 * knows no files. One thread. Used by recovery (open) and manager (append).
 */
#pragma once

#include "daemon/journal-format.h"
#include "daemon/medium.h"

#include <glib.h>

typedef struct Journal Journal;

typedef struct {
    uint64_t seq;
    uint64_t txid;
    uint16_t type; /* JfType */
    uint16_t flags;
    const uint8_t *payload; /* valid during the call only */
    size_t len;
} JournalRecord;

typedef enum {
    JOURNAL_CLEAN,       /* everything replayed; may be appended to */
    JOURNAL_READ_ONLY,   /* intact, but a ro_compat flag or another medium class forbids writing */
    JOURNAL_CORRUPT,     /* the good prefix was replayed; nothing may be or was written */
    JOURNAL_UNSUPPORTED, /* a newer format: nothing was replayed */
} JournalVerdict;

/* Called for each record of a replay, in order (snapshot first), except SNAPSHOT_BEGIN and _END and types that this
 * version may ignore and does not know. Called only once the whole journal has been checked for types it must know.
 * false with error set: the record contradicts what came before (overlap, unknown region, ...): the journal is corrupt
 * from this record on. */
typedef bool (*JournalApply)(const JournalRecord *record, void *data, GError **error);

/* Collects the records of a snapshot. */
typedef struct JournalSnapshot JournalSnapshot;
void journal_snapshot_add(JournalSnapshot *s, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len);
typedef void (*JournalEmit)(JournalSnapshot *s, void *data);

/*
 * Makes a new journal on a medium of any content: zeroes units and areas, writes the first snapshot (emit may be NULL),
 * roots, superblock copy 1, superblock copy 0 last. sb->geo from jf_geometry(). Errors: HARDWARE, NO_SPACE (snapshot
 * does not fit). After a failure the medium holds no valid superblock 0.
 */
bool journal_create(Medium *medium, const JfSuperblock *sb, JournalEmit emit, void *data, GError **error);

/* Makes both superblocks invalid, durably. HARDWARE on failure. */
bool journal_destroy(Medium *medium, const JfGeometry *geo, GError **error);

/* Reads the superblock (copy 0, else copy 1 at the end of medium->size). ret_sb as jf_superblock_decode(). */
JfVerdict journal_probe(Medium *medium, JfSuperblock *ret_sb);

/*
 * Opens and replays. The journal borrows medium (the caller frees it after journal_free()). Never fails for content:
 * journal_verdict() tells; journal_report() has the reason in words. NULL with error: HARDWARE, or CORRUPT when no
 * superblock is valid. With write = false (a checker) nothing is written, not even the scrub of the tail.
 */
Journal *journal_open(Medium *medium, bool write, JournalApply apply, void *data, GError **error);
void journal_free(Journal *j); /* NULL is fine; the medium stays */

JournalVerdict journal_verdict(const Journal *j);
const char *journal_report(const Journal *j); /* "" when clean; owned by j */
const JfSuperblock *journal_superblock(const Journal *j);
uint64_t journal_next_seq(const Journal *j);

/*
 * Appends one record and makes it durable. false: nothing is acknowledged. NO_SPACE when the log is full (checkpoint
 * first; journal unchanged). READ_ONLY when the verdict forbids. HARDWARE: the medium failed; from then on the journal
 * is read-only (journal_failed()).
 */
bool journal_append(Journal *j, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len, uint64_t *ret_seq,
                    GError **error);
bool journal_failed(const Journal *j);

uint64_t journal_log_bytes(const Journal *j); /* bytes of the live area that are not yet used */
uint64_t journal_area_bytes(const Journal *j);
double journal_fill(const Journal *j);           /* 0..1 of the live area */
bool journal_wants_checkpoint(const Journal *j); /* the log is 75 % full */

/* Writes the snapshot that emit gives to the idle area and switches to it. NO_SPACE: does not fit, nothing changed. */
bool journal_checkpoint(Journal *j, JournalEmit emit, void *data, GError **error);

/* --- repair (journal-repair.c), which somebody has to ask for --- */

/*
 * Opens a corrupt journal, writes nothing, and applies what a repair would keep: the records before the fault, of the
 * newest area whose snapshot is whole, also when its root is lost. lost (may be NULL) is called for each whole record
 * behind the fault that the repair would drop, in the order of the medium. NULL with error: HARDWARE, or CORRUPT when
 * there is neither superblock nor root nor snapshot to go by; NOT_SUPPORTED: a newer format; READ_ONLY: must not be
 * written.
 */
typedef void (*JournalLost)(const JournalRecord *record, void *data);
Journal *journal_salvage(Medium *medium, JournalApply apply, JournalLost lost, void *data, GError **error);
/* Whether its root was put together from what its area says. */
bool journal_root_is_restored(const Journal *j);
/*
 * Makes what emit gives the journal: in the area that was not salvaged, which stays as it is until the next checkpoint;
 * a crash on the way leaves the journal corrupt as before, or repaired. rewrite = false: where only the root is
 * lost, that alone is written. The journal is to be opened anew afterwards, also when this failed (HARDWARE,
 * NO_SPACE).
 */
bool journal_repair(Journal *j, bool rewrite, JournalEmit emit, void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Journal, journal_free)
