/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Repair of a corrupt journal: what can be kept, and how it becomes the journal again. */
#include "daemon/journal.h"

#include "daemon/journal-bytes.h"
#include "daemon/journal-internal.h"
#include "proto/error.h"

/* How far the epoch of an area is looked for whose root is lost: records do not say it, their checksums hold it. */
#define EPOCH_SEARCH UINT64_C(1000000)

/* A root that may be the one to go on from. */
typedef struct {
    JfRoot root;
    bool on_medium; /* else put together from the snapshot's own records */
    bool whole;     /* its snapshot is */
    bool has_log;   /* records follow it, so it was live */
} Candidate;

static bool root_is_possible(const Journal *j, const JfRoot *root) {
    const JfGeometry *geo = &j->sb.geo;

    return (root->area_off == geo->area_off[0] || root->area_off == geo->area_off[1]) &&
           root->area_len == geo->area_len && root->epoch > 0 && root->first_seq > 0 &&
           root->n_snap <= geo->area_len / JF_SNAPSHOT_STRIDE && root->flags == 0;
}

static void add_candidate(const Journal *j, GArray *candidates, const JfRoot *root, bool on_medium) {
    for (guint i = 0; i < candidates->len; i++)
        if (memcmp(&g_array_index(candidates, Candidate, i).root, root, sizeof *root) == 0)
            return;

    Journal trial = { .medium = j->medium, .sb = j->sb, .root = *root };
    journal_replay_root(&trial, NULL, NULL);
    g_free(trial.report);
    const Candidate candidate = {
        .root = *root,
        .on_medium = on_medium,
        .whole = trial.log_start<trial.area_end, .has_log = trial.pos> trial.log_start,
    };
    g_array_append_val(candidates, candidate);
}

static void find_roots(const Journal *j, GArray *candidates) {
    for (unsigned slot = 0; slot < 2; slot++)
        for (unsigned copy = 0; copy < 2; copy++) {
            uint64_t off = jf_root_offset(j->sb.geo.size, slot, copy);
            JfRoot root = { 0 };

            if (medium_readable(j->medium, off, JF_ROOT_SIZE) == 0 &&
                jf_root_decode(medium_base(j->medium) + off, JF_ROOT_SIZE, j->sb.journal_uuid, &root) == JF_OK &&
                (root.gen & 1) == slot && root_is_possible(j, &root))
                add_candidate(j, candidates, &root, true);
        }
}

/* The epoch under which a snapshot begins at this area's start, or 0. */
static uint64_t find_epoch(const Journal *j, uint64_t area_off, uint64_t first, uint64_t last, JfRecord *ret_begin) {
    const uint8_t *at = medium_base(j->medium) + area_off;

    if (get_le32(at) != JF_RECORD_MIN + 8 || get_le16(at + 16) != JF_SNAPSHOT_BEGIN)
        return 0;
    for (uint64_t epoch = first; epoch <= last; epoch++)
        if (jf_record_decode(at, JF_RECORD_MIN + 8, jf_record_seed(j->sb.journal_uuid, epoch), ret_begin))
            return epoch;
    return 0;
}

/* Generation and epoch both count checkpoints, so that either tells the other. */
static void find_snapshots(const Journal *j, GArray *candidates) {
    uint64_t newest = 0;

    for (guint i = 0; i < candidates->len; i++)
        newest = MAX(newest, g_array_index(candidates, Candidate, i).root.epoch);
    for (unsigned area = 0; area < 2; area++) {
        uint64_t off = j->sb.geo.area_off[area];
        JfRecord begin = { 0 };

        if (medium_readable(j->medium, off, JF_RECORD_MIN + 8) != 0)
            continue;
        uint64_t epoch = newest > 0 ? find_epoch(j, off, newest > 2 ? newest - 2 : 1, newest + 2, &begin)
                                    : find_epoch(j, off, 1, EPOCH_SEARCH, &begin);
        const JfRoot root = {
            .gen = epoch,
            .area_off = off,
            .area_len = j->sb.geo.area_len,
            .epoch = epoch,
            .first_seq = begin.seq,
            .n_snap = epoch > 0 ? (uint32_t) MIN(get_le64(begin.payload), UINT32_MAX) : 0,
        };
        if (epoch > 0 && root_is_possible(j, &root))
            add_candidate(j, candidates, &root, false);
    }
}

/*
 * A snapshot without root counts when records follow it: it was live. Without them it may be the leftover of a
 * checkpoint (or repair) that was cut off, and the area before it has gone on; what it holds is there, too.
 */
static bool is_better(const Candidate *a, const Candidate *than) {
    bool a_counts = a->whole && (a->on_medium || a->has_log),
         than_counts = than->whole && (than->on_medium || than->has_log);

    if (a_counts != than_counts)
        return a_counts;
    if (a->whole != than->whole)
        return a->whole;
    if (!a->whole && a->on_medium != than->on_medium)
        return a->on_medium; /* what a repair that was cut off began to write is none */
    return a->root.epoch > than->root.epoch;
}

static void tell_lost(const Journal *j, JournalLost lost, void *data) {
    uint32_t stride = j->pos < j->log_start || j->log_start == j->area_end ? JF_SNAPSHOT_STRIDE : j->sb.geo.stride;

    for (uint64_t off = j->pos; lost && j->area_end - off >= stride;) {
        JfRecord rec;
        uint64_t step = stride;

        if (medium_readable(j->medium, off, stride) == 0) {
            const uint8_t *at = medium_base(j->medium) + off;
            uint64_t claimed = get_le32(at);

            if (claimed >= JF_RECORD_MIN && claimed <= MIN(JF_RECORD_MAX, j->area_end - off) &&
                medium_readable(j->medium, off, (size_t) claimed) == 0 &&
                jf_record_decode(at, (size_t) claimed, j->seed, &rec) && rec.type != JF_SNAPSHOT_BEGIN &&
                rec.type != JF_SNAPSHOT_END) {
                const JournalRecord record = { rec.seq, rec.txid, rec.type, rec.flags, rec.payload, rec.payload_len };

                lost(&record, data);
                step = (claimed + stride - 1) / stride * stride;
            }
        }
        off += step;
    }
}

static bool check_superblock(const Journal *j, JfVerdict found, GError **error) {
    if (found == JF_NOT_OURS || found == JF_BAD)
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                            "journal: neither copy of the superblock is valid: it says where all else is, so nothing "
                            "can be repaired; adopt the pool's data devices into another pool");
    else if (found == JF_UNSUPPORTED)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "journal: format %u.%u was made by a newer pmemd: repair it with that", j->sb.major, j->sb.minor);
    else if (found == JF_READ_ONLY || (j->sb.geo.stride == 64) != (j->medium->class == MEDIUM_CLASS_MAPPED))
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY,
                            "journal: it must not be written by this pmemd, or on this kind of medium: repair it where "
                            "it may");
    else
        return true;
    return false;
}

Journal *journal_salvage(Medium *medium, JournalApply apply, JournalLost lost, void *data, GError **error) {
    g_autoptr(Journal) j = g_new0(Journal, 1);
    g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(Candidate));
    const Candidate *best = NULL;
    uint64_t newest_live = 0;

    j->medium = medium;
    j->salvaged = true;
    if (!check_superblock(j, journal_probe(medium, &j->sb), error))
        return NULL;
    find_roots(j, candidates);
    find_snapshots(j, candidates);
    for (guint i = 0; i < candidates->len; i++) {
        const Candidate *candidate = &g_array_index(candidates, Candidate, i);

        j->newest = MAX(j->newest, MAX(candidate->root.gen, candidate->root.epoch));
        if (candidate->on_medium || candidate->has_log)
            newest_live = MAX(newest_live, candidate->root.gen);
        if (!best || is_better(candidate, best))
            best = candidate;
    }
    if (!best) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                            "journal: no root and no snapshot is left to go by, so nothing can be repaired; adopt the "
                            "pool's data devices into another pool");
        return NULL;
    }
    j->root = best->root;
    j->root_restored = !best->on_medium;
    journal_replay_root(j, apply, data);
    if (j->verdict == JOURNAL_UNSUPPORTED) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED, "journal: %s", j->report);
        return NULL;
    }
    /* A root that others on the medium outrank has to be written anew, as the newest. */
    if (j->verdict == JOURNAL_CLEAN && best->on_medium && j->root.gen < newest_live)
        journal_condemn(j, JOURNAL_CORRUPT,
                        "generation %" G_GUINT64_FORMAT " is damaged, and %" G_GUINT64_FORMAT " is the last whole one",
                        newest_live, j->root.gen);
    tell_lost(j, lost, data);
    return g_steal_pointer(&j);
}

bool journal_root_is_restored(const Journal *j) {
    return j->root_restored;
}

bool journal_repair(Journal *j, bool rewrite, JournalEmit emit, void *data, GError **error) {
    g_assert(j->salvaged && !j->failed);

    /* First that what is kept counts, then what is made of it: either alone can be done again. */
    if (j->root_restored) {
        int r = journal_write_root(j);

        if (r < 0) {
            j->failed = true;
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "journal: writing the root failed: %s",
                        g_strerror(-r));
            return false;
        }
    }
    if (j->root_restored && j->verdict == JOURNAL_CLEAN && !rewrite)
        return true;
    return journal_switch_area(j, j->newest + 1, j->newest + 1, emit, data, error);
}
