/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The reading half of the journal: which root counts, what each record's bytes mean, where the log ends. */
#include "daemon/journal-internal.h"

#include "daemon/journal-bytes.h"

/* A walk over the records of one area. */
typedef struct {
    uint64_t pos;
    uint64_t seq;      /* expected */
    uint32_t prev_crc; /* expected */
    bool readable;     /* the whole area is */
} Walk;

typedef enum {
    STEP_RECORD,
    STEP_EMPTY,   /* commit word 0 */
    STEP_INVALID, /* no valid record here */
    STEP_STOP,    /* the verdict is set */
} Step;

void journal_condemn(Journal *j, JournalVerdict verdict, const char *format, ...) {
    va_list args;
    va_start(args, format);
    g_free(j->report);
    j->report = g_strdup_vprintf(format, args);
    va_end(args);
    j->verdict = verdict;
}

static bool find_root(Journal *j) {
    bool found = false;

    for (unsigned slot = 0; slot < 2; slot++)
        for (unsigned copy = 0; copy < 2; copy++) {
            uint64_t off = jf_root_offset(j->sb.geo.size, slot, copy);
            if (medium_readable(j->medium, off, JF_ROOT_SIZE) != 0)
                continue;
            JfRoot root;
            JfVerdict verdict = jf_root_decode(medium_base(j->medium) + off, JF_ROOT_SIZE, j->sb.journal_uuid, &root);
            if (verdict != JF_OK && verdict != JF_UNSUPPORTED)
                continue;
            if ((root.gen & 1) == slot && (!found || root.gen > j->root.gen)) {
                j->root = root;
                found = true;
            }
        }
    if (!found) {
        journal_condemn(j, JOURNAL_CORRUPT,
                        "none of the four root copies is valid: which area is live cannot be known");
        return false;
    }
    if (j->root.flags != 0) {
        journal_condemn(j, JOURNAL_UNSUPPORTED, "root %" G_GUINT64_FORMAT " has flags 0x%x of a newer format",
                        j->root.gen, j->root.flags);
        return false;
    }

    const JfGeometry *geo = &j->sb.geo;
    if ((j->root.area_off != geo->area_off[0] && j->root.area_off != geo->area_off[1]) ||
        j->root.area_len != geo->area_len || j->root.epoch == 0 || j->root.first_seq == 0 ||
        j->root.n_snap > geo->area_len / JF_SNAPSHOT_STRIDE) {
        journal_condemn(j, JOURNAL_CORRUPT, "root %" G_GUINT64_FORMAT " names no area of this journal", j->root.gen);
        return false;
    }
    return true;
}

static Step stop(Journal *j, const Walk *w, JournalVerdict verdict, const char *why) {
    journal_condemn(j, verdict, "record %" G_GUINT64_FORMAT " at byte 0x%" G_GINT64_MODIFIER "x: %s", w->seq, w->pos,
                    why);
    return STEP_STOP;
}

/* Looks at the record at w->pos, which takes whole strides; goes past it for STEP_RECORD. */
static Step walk_step(Journal *j, Walk *w, uint32_t stride, JfRecord *ret_rec) {
    uint64_t left = j->area_end - w->pos;
    const uint8_t *at = medium_base(j->medium) + w->pos;
    size_t avail = (size_t) MIN(left, JF_RECORD_MAX);

    if (!w->readable) {
        /* Only as far as the record reaches: those before the bad line are good. */
        if (medium_readable(j->medium, w->pos, stride) != 0)
            return stop(j, w, JOURNAL_CORRUPT, "the memory here cannot be read");
        uint64_t claimed = (MIN(get_le32(at), JF_RECORD_MAX) + (uint64_t) stride - 1) / stride * stride;
        if (medium_readable(j->medium, w->pos, (size_t) MIN(claimed, left)) != 0)
            return stop(j, w, JOURNAL_CORRUPT, "the memory of this record cannot be read");
    }
    if (get_le64(at) == 0)
        return STEP_EMPTY;

    JfRecord rec;
    if (!jf_record_decode(at, avail, j->seed, &rec))
        return STEP_INVALID;
    if (rec.seq != w->seq)
        return stop(j, w, JOURNAL_CORRUPT, "a valid record with another sequence number is here");
    if (rec.prev_crc != w->prev_crc)
        return stop(j, w, JOURNAL_CORRUPT, "it does not follow the record before it");
    if ((rec.flags & ~JF_RECORD_FLAGS_KNOWN) != 0 ||
        ((rec.type & JF_TYPE_MUST_UNDERSTAND) != 0 && !jf_type_is_known(rec.type)))
        return stop(j, w, JOURNAL_UNSUPPORTED, "its type or flags are those of a newer pmemd; use that");

    size_t len = JF_RECORD_MIN + rec.payload_len;
    uint64_t padded = (len + stride - 1) / stride * stride;
    if (padded > left || !bytes_are_zero(at + len, (size_t) (padded - len)))
        return stop(j, w, JOURNAL_CORRUPT, "the bytes after it are not zero");

    w->pos += padded;
    w->seq++;
    w->prev_crc = rec.crc;
    *ret_rec = rec;
    return STEP_RECORD;
}

static bool is_framing(uint16_t type) {
    return type == JF_SNAPSHOT_BEGIN || type == JF_SNAPSHOT_END;
}

static bool walk_snapshot(Journal *j, Walk *w) {
    for (uint64_t i = 0; i < (uint64_t) j->root.n_snap + 2; i++) {
        Walk before = *w;
        JfRecord rec;
        Step step = STEP_INVALID;

        if (j->area_end - w->pos >= JF_SNAPSHOT_STRIDE)
            step = walk_step(j, w, JF_SNAPSHOT_STRIDE, &rec);
        if (step == STEP_STOP)
            return false;
        if (step != STEP_RECORD) {
            stop(j, w, JOURNAL_CORRUPT, "the snapshot is not whole");
            return false;
        }

        bool first = i == 0, last = i == (uint64_t) j->root.n_snap + 1;
        bool right = (rec.flags & JF_RECORD_SNAPSHOT) != 0;
        if (first)
            right = right && rec.type == JF_SNAPSHOT_BEGIN && rec.payload_len == 8 &&
                    get_le64(rec.payload) == j->root.n_snap;
        else if (last)
            right = right && rec.type == JF_SNAPSHOT_END && rec.payload_len == 0;
        else
            right = right && !is_framing(rec.type);
        if (!right) {
            *w = before;
            stop(j, w, JOURNAL_CORRUPT, "it has no place in the snapshot");
            return false;
        }
    }
    return true;
}

/* Whether a valid record of this epoch starts anywhere in [from, end), on a stride. log_only: outside of a snapshot. */
static bool any_record(Journal *j, uint64_t from, uint64_t end, uint32_t stride, uint32_t seed, bool log_only) {
    const uint8_t *base = medium_base(j->medium);
    bool readable = medium_readable(j->medium, from, (size_t) (end - from)) == 0;

    for (uint64_t pos = from; pos + JF_RECORD_MIN <= end; pos += stride) {
        size_t avail = (size_t) MIN(end - pos, JF_RECORD_MAX);
        if (!readable && medium_readable(j->medium, pos, avail) != 0)
            continue;
        JfRecord rec;
        if (get_le64(base + pos) != 0 && jf_record_decode(base + pos, avail, seed, &rec) &&
            !(log_only && (rec.flags & JF_RECORD_SNAPSHOT) != 0))
            return true;
    }
    return false;
}

/* What is at w->pos is no record: is it the end of the log, or damage? */
static void judge_end(Journal *j, const Walk *w, Step step) {
    uint32_t stride = j->sb.geo.stride;
    bool later = any_record(j, w->pos + stride, j->area_end, stride, j->seed, false);

    if (step == STEP_EMPTY && later) {
        stop(j, w, JOURNAL_CORRUPT, "it is missing, and later records exist");
    } else if (step == STEP_EMPTY) {
        /* On a file the last record may be gone for good: one fence a commit cannot tell more. */
        if (stride == 64 && get_le64(medium_base(j->medium) + w->pos + 8) != w->seq)
            stop(j, w, JOURNAL_CORRUPT, "neither a record nor the line that announces it is here");
    } else if (stride == 64) {
        stop(j, w, JOURNAL_CORRUPT, "its checksum does not match");
    } else if (later) {
        stop(j, w, JOURNAL_CORRUPT, "its checksum does not match, and later records exist");
    } else
        j->tail_torn = true;
}

static void walk_log(Journal *j, Walk *w) {
    uint32_t stride = j->sb.geo.stride;

    while (j->area_end - w->pos >= stride) {
        Walk before = *w;
        JfRecord rec;
        Step step = walk_step(j, w, stride, &rec);

        if (step == STEP_STOP)
            return;
        if (step != STEP_RECORD) {
            judge_end(j, w, step);
            return;
        }
        if (is_framing(rec.type) || (rec.flags & JF_RECORD_SNAPSHOT) != 0) {
            *w = before;
            stop(j, w, JOURNAL_CORRUPT, "a record of a snapshot is in the log");
            return;
        }
    }
}

/* Walks the live area without applying: what is unsupported further on must not be half applied. */
static void verify(Journal *j) {
    Walk w = { .pos = j->root.area_off, .seq = j->root.first_seq };
    w.readable = medium_readable(j->medium, j->root.area_off, (size_t) j->root.area_len) == 0;
    JournalVerdict came_in = j->verdict;

    j->log_start = j->area_end;
    if (walk_snapshot(j, &w)) {
        uint32_t stride = j->sb.geo.stride;
        w.pos = MIN((w.pos + stride - 1) / stride * stride, j->area_end);
        j->log_start = w.pos;
        walk_log(j, &w);
    }
    j->pos = w.pos;
    j->next_seq = w.seq;
    j->prev_crc = w.prev_crc;

    if (j->verdict != came_in)
        return;
    if (!w.readable) {
        stop(j, &w, JOURNAL_CORRUPT, "memory further on in the live area cannot be read");
        return;
    }

    /* A root that is bad in both copies leaves the one before it: then the other area is ahead of this one. */
    uint64_t other = j->root.area_off == j->sb.geo.area_off[0] ? j->sb.geo.area_off[1] : j->sb.geo.area_off[0];
    if (any_record(j, other, other + j->root.area_len, JF_SNAPSHOT_STRIDE,
                   jf_record_seed(j->sb.journal_uuid, j->root.epoch + 1), true))
        journal_condemn(j, JOURNAL_CORRUPT,
                        "the other area holds records that are newer than root %" G_GUINT64_FORMAT
                        ": a newer root was lost in both copies",
                        j->root.gen);
}

static void apply_records(Journal *j, JournalApply apply, void *data) {
    uint64_t pos = j->root.area_off;

    for (uint64_t seq = j->root.first_seq; seq < j->next_seq; seq++) {
        bool in_snapshot = seq - j->root.first_seq < (uint64_t) j->root.n_snap + 2;
        if (!in_snapshot && pos < j->log_start)
            pos = j->log_start;

        JfRecord rec = jf_record_view(medium_base(j->medium) + pos);
        g_assert(rec.seq == seq); /* verify() walked it */

        g_autoptr(GError) error = NULL;
        JournalRecord record = { rec.seq, rec.txid, rec.type, rec.flags, rec.payload, rec.payload_len };
        if (jf_type_is_known(rec.type) && !is_framing(rec.type) && !apply(&record, data, &error)) {
            journal_condemn(j, JOURNAL_CORRUPT, "record %" G_GUINT64_FORMAT " at byte 0x%" G_GINT64_MODIFIER "x: %s",
                            seq, pos, error ? error->message : "it contradicts those before it");
            /* What follows counts no more than what follows any other fault. */
            j->pos = pos;
            j->next_seq = seq;
            return;
        }
        pos += in_snapshot ? jf_snapshot_bytes(rec.payload_len) : jf_log_bytes(rec.payload_len, j->sb.geo.stride);
    }
}

void journal_replay(Journal *j, JournalApply apply, void *data) {
    if (find_root(j))
        journal_replay_root(j, apply, data);
}

void journal_replay_root(Journal *j, JournalApply apply, void *data) {
    j->seed = jf_record_seed(j->sb.journal_uuid, j->root.epoch);
    j->area_end = j->root.area_off + j->root.area_len;

    verify(j);
    if (j->verdict != JOURNAL_UNSUPPORTED && apply)
        apply_records(j, apply, data);
}
