/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The writing half of the journal, and what its users see. The order of stores, flushes and fences here is the
 * format's. */
#include "daemon/journal.h"

#include "daemon/journal-bytes.h"
#include "daemon/journal-internal.h"
#include "proto/error.h"

#define STORE_CHUNK 65536u

static bool hardware(GError **error, int r, const char *doing) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "journal: %s failed: %s", doing, g_strerror(-r));
    return false;
}

/* Stores and flushes; durable after the next fence. */
static int put(Medium *m, uint64_t off, const void *buf, size_t len) {
    const uint8_t *from = buf;
    for (size_t done = 0; done < len;) {
        size_t n = MIN(len - done, STORE_CHUNK);
        int r = medium_store(m, off + done, from + done, n);
        if (r == 0)
            r = medium_flush(m, off + done, n);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

static int put_fenced(Medium *m, uint64_t off, const void *buf, size_t len) {
    int r = put(m, off, buf, len);
    return r < 0 ? r : medium_fence(m);
}

/* --- snapshots --- */

typedef struct {
    uint64_t txid;
    size_t off; /* in payloads */
    size_t len;
    uint16_t type;
} SnapshotItem;

struct JournalSnapshot {
    GArray *items;
    GByteArray *payloads;
};

void journal_snapshot_add(JournalSnapshot *s, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    g_assert(jf_type_is_known(type) && type != JF_SNAPSHOT_BEGIN && type != JF_SNAPSHOT_END);
    g_assert(len % 8 == 0 && len <= JF_PAYLOAD_MAX);

    SnapshotItem item = { .txid = txid, .off = s->payloads->len, .len = len, .type = type };
    g_array_append_val(s->items, item);
    if (len > 0)
        g_byte_array_append(s->payloads, payload, (guint) len);
}

static void journal_snapshot_free(JournalSnapshot *s) {
    g_array_unref(s->items);
    g_byte_array_unref(s->payloads);
    g_free(s);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalSnapshot, journal_snapshot_free)

static JournalSnapshot *journal_snapshot_collect(JournalEmit emit, void *data) {
    JournalSnapshot *s = g_new0(JournalSnapshot, 1);
    s->items = g_array_new(FALSE, FALSE, sizeof(SnapshotItem));
    s->payloads = g_byte_array_new();
    if (emit)
        emit(s, data);
    return s;
}

/* Where a written snapshot leaves the journal. */
typedef struct {
    uint64_t log_start;
    uint64_t next_seq;
    uint32_t prev_crc;
} SnapshotEnd;

/* Bytes of the snapshot and of what completes its last stride. */
static uint64_t journal_snapshot_bytes(const JournalSnapshot *s, uint32_t stride) {
    uint64_t bytes = jf_snapshot_bytes(8) + jf_snapshot_bytes(0);
    for (guint i = 0; i < s->items->len; i++)
        bytes += jf_snapshot_bytes(g_array_index(s->items, SnapshotItem, i).len);
    return (bytes + stride - 1) / stride * stride;
}

/* false with NO_SPACE: no room for the snapshot and one record after it. */
static bool journal_snapshot_check_fits(const JournalSnapshot *s, const JfGeometry *geo, GError **error) {
    uint64_t needed = journal_snapshot_bytes(s, geo->stride) + JOURNAL_TAIL_BYTES(geo->stride);
    if (needed <= geo->area_len)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                "journal: a snapshot of %u records needs %" G_GUINT64_FORMAT " bytes; an area has %" G_GUINT64_FORMAT
                "; release regions, or make a pool with a larger max-regions",
                s->items->len, needed, geo->area_len);
    return false;
}

static void pack_record(uint8_t *buf, uint64_t *at, JfRecord *rec, uint32_t seed, SnapshotEnd *end) {
    rec->seq = end->next_seq++;
    rec->prev_crc = end->prev_crc;
    rec->flags = JF_RECORD_SNAPSHOT;
    jf_record_encode(rec, seed, buf + *at);
    end->prev_crc = rec->crc;
    *at += jf_snapshot_bytes(rec->payload_len);
}

/* Writes the snapshot that root describes into its area, which is zero; durable when it returns 0. */
static int journal_snapshot_write(Medium *m, const JfSuperblock *sb, const JfRoot *root, const JournalSnapshot *s,
                                  SnapshotEnd *ret_end) {
    uint32_t stride = sb->geo.stride, seed = jf_record_seed(sb->journal_uuid, root->epoch);
    uint64_t bytes = journal_snapshot_bytes(s, stride), at = 0;
    SnapshotEnd end = { .log_start = root->area_off + bytes, .next_seq = root->first_seq };
    g_autofree uint8_t *buf = g_malloc0(bytes + stride);

    uint8_t count[8];
    put_le64(count, s->items->len);
    JfRecord begin = { .type = JF_SNAPSHOT_BEGIN, .payload = count, .payload_len = sizeof count };
    pack_record(buf, &at, &begin, seed, &end);
    for (guint i = 0; i < s->items->len; i++) {
        const SnapshotItem *item = &g_array_index(s->items, SnapshotItem, i);
        JfRecord rec = { .type = item->type, .txid = item->txid, .payload_len = item->len };
        rec.payload = item->len > 0 ? s->payloads->data + item->off : NULL;
        pack_record(buf, &at, &rec, seed, &end);
    }
    JfRecord finish = { .type = JF_SNAPSHOT_END };
    pack_record(buf, &at, &finish, seed, &end);

    /* The line that announces the log's first record. */
    if (stride == 64)
        put_le64(buf + bytes + 8, end.next_seq);

    int r = put_fenced(m, root->area_off, buf, (size_t) (bytes + (stride == 64 ? stride : 0)));
    if (r == 0)
        *ret_end = end;
    return r;
}

/* One copy after the other: at each moment one of them is whole. */
static int write_root(Medium *m, const JfSuperblock *sb, const JfRoot *root) {
    uint8_t buf[JF_ROOT_SIZE];
    jf_root_encode(root, sb->journal_uuid, buf);
    for (unsigned copy = 0; copy < 2; copy++) {
        int r = put_fenced(m, jf_root_offset(sb->geo.size, root->gen & 1, copy), buf, sizeof buf);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- creating, destroying, finding --- */

static int destroy_superblocks(Medium *m) {
    static const uint8_t zeros[JF_SUPERBLOCK_SIZE];
    for (unsigned copy = 0; copy < 2; copy++) {
        int r = put_fenced(m, jf_superblock_offset(m->size, copy), zeros, sizeof zeros);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool check_superblock(Medium *medium, const uint8_t *encoded, GError **error) {
    JfSuperblock sb;
    if (jf_superblock_decode(encoded, JF_SUPERBLOCK_SIZE, &sb) != JF_OK || sb.geo.size != medium->size) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL,
                    "journal: the superblock to write contradicts itself or the medium of %" G_GUINT64_FORMAT " bytes",
                    medium->size);
        return false;
    }
    if ((sb.geo.stride == 64) != (medium->class == MEDIUM_CLASS_MAPPED)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "journal: stride %u does not fit the medium's class",
                    sb.geo.stride);
        return false;
    }
    return true;
}

static int create(Medium *m, const JfSuperblock *sb, const uint8_t *encoded, const JournalSnapshot *s) {
    const JfGeometry *geo = &sb->geo;
    JfRoot root = {
        .gen = 1,
        .area_off = geo->area_off[0],
        .area_len = geo->area_len,
        .epoch = 1,
        .first_seq = 1,
        .n_snap = s->items->len,
    };
    SnapshotEnd end;

    /* An older journal must not be found half zeroed. */
    int r = destroy_superblocks(m);
    if (r == 0)
        r = medium_zero(m, 0, geo->mgmt_off);
    if (r == 0)
        r = medium_zero(m, geo->size - geo->unit, geo->unit);
    if (r == 0)
        r = journal_snapshot_write(m, sb, &root, s, &end);
    if (r == 0)
        r = write_root(m, sb, &root);
    for (unsigned copy = 2; copy-- > 0 && r == 0;)
        r = put_fenced(m, jf_superblock_offset(geo->size, copy), encoded, JF_SUPERBLOCK_SIZE);
    return r;
}

bool journal_create(Medium *medium, const JfSuperblock *sb, JournalEmit emit, void *data, GError **error) {
    uint8_t encoded[JF_SUPERBLOCK_SIZE];
    jf_superblock_encode(sb, encoded);
    if (!check_superblock(medium, encoded, error))
        return false;

    g_autoptr(JournalSnapshot) s = journal_snapshot_collect(emit, data);
    if (!journal_snapshot_check_fits(s, &sb->geo, error))
        return false;

    int r = create(medium, sb, encoded, s);
    if (r < 0) {
        /* Whether superblock 0 got through is unknown; a medium that fails this too cannot be helped, ignoring. */
        destroy_superblocks(medium);
        return hardware(error, r, "formatting");
    }
    return true;
}

bool journal_destroy(Medium *medium, const JfGeometry *geo, GError **error) {
    g_assert(geo->size == medium->size);

    int r = destroy_superblocks(medium);
    return r < 0 ? hardware(error, r, "erasing the superblocks") : true;
}

static JfVerdict probe_copy(Medium *medium, unsigned copy, JfSuperblock *ret_sb) {
    if (medium->size < UINT64_C(2) * JF_COPY_PAGE)
        return JF_NOT_OURS;
    uint64_t off = jf_superblock_offset(medium->size, copy);
    if (medium_readable(medium, off, JF_SUPERBLOCK_SIZE) != 0)
        return JF_BAD;

    JfSuperblock sb;
    JfVerdict verdict = jf_superblock_decode(medium_base(medium) + off, JF_SUPERBLOCK_SIZE, &sb);
    if ((verdict == JF_OK || verdict == JF_READ_ONLY) && sb.geo.size != medium->size)
        return JF_BAD;
    if (verdict != JF_NOT_OURS && verdict != JF_BAD)
        *ret_sb = sb;
    return verdict;
}

static JfVerdict probe(Medium *medium, JfSuperblock *ret_sb, bool ret_valid[static 2]) {
    JfSuperblock sb[2];
    JfVerdict verdict[2];
    for (unsigned copy = 0; copy < 2; copy++) {
        verdict[copy] = probe_copy(medium, copy, &sb[copy]);
        ret_valid[copy] = verdict[copy] != JF_NOT_OURS && verdict[copy] != JF_BAD;
    }
    for (unsigned copy = 0; copy < 2; copy++)
        if (ret_valid[copy]) {
            *ret_sb = sb[copy];
            return verdict[copy];
        }
    return verdict[0] == JF_BAD || verdict[1] == JF_BAD ? JF_BAD : JF_NOT_OURS;
}

JfVerdict journal_probe(Medium *medium, JfSuperblock *ret_sb) {
    bool valid[2];
    return probe(medium, ret_sb, valid);
}

/* --- opening --- */

/* Gives a bad copy of the superblock or of the live root the bytes of the good one. */
static int heal_copies(Journal *j) {
    Medium *m = j->medium;
    uint64_t size = j->sb.geo.size;

    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t off = jf_superblock_offset(size, copy);
        if (j->copy_valid[copy] || medium_readable(m, off, JF_SUPERBLOCK_SIZE) != 0)
            continue;
        uint8_t good[JF_SUPERBLOCK_SIZE];
        memcpy(good, medium_base(m) + jf_superblock_offset(size, 1 - copy), sizeof good);
        int r = put(m, off, good, sizeof good);
        if (r < 0)
            return r;
    }

    uint8_t root[JF_ROOT_SIZE];
    jf_root_encode(&j->root, j->sb.journal_uuid, root);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t off = jf_root_offset(size, j->root.gen & 1, copy);
        if (medium_readable(m, off, sizeof root) != 0 || memcmp(medium_base(m) + off, root, sizeof root) == 0)
            continue;
        int r = put(m, off, root, sizeof root);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Clears what a cut append left after the end of the log. What is there already (the announced number) keeps its
 * value. */
static int scrub_tail(Journal *j) {
    uint8_t zeros[JOURNAL_TAIL_BYTES(512u)] = { 0 };
    uint64_t len = MIN(j->area_end - j->pos, JOURNAL_TAIL_BYTES(j->sb.geo.stride));

    g_assert(len <= sizeof zeros);
    if (len == 0)
        return 0;
    if (j->sb.geo.stride == 64)
        put_le64(zeros + 8, j->next_seq);
    return put(j->medium, j->pos, zeros, (size_t) len);
}

/*
 * Everything that was replayed must be durable before something is built on it: a process that was killed between a
 * store and its fence leaves records that can be read but would not survive a power cut.
 */
static int make_durable(Journal *j) {
    Medium *m = j->medium;
    int r = 0;

    for (unsigned copy = 0; copy < 2 && r == 0; copy++) {
        if (j->copy_valid[copy])
            r = medium_flush(m, jf_superblock_offset(j->sb.geo.size, copy), JF_SUPERBLOCK_SIZE);
        uint64_t root = jf_root_offset(j->sb.geo.size, j->root.gen & 1, copy);
        if (r == 0 && medium_readable(m, root, JF_ROOT_SIZE) == 0)
            r = medium_flush(m, root, JF_ROOT_SIZE);
    }
    if (r == 0)
        r = medium_flush(m, j->root.area_off, (size_t) (j->pos - j->root.area_off));
    if (r == 0)
        r = heal_copies(j);
    if (r == 0)
        r = scrub_tail(j);
    return r < 0 ? r : medium_fence(m);
}

static bool note_torn_tail(Journal *j, GError **error) {
    g_autofree char *text = g_strdup_printf("record %" G_GUINT64_FORMAT " at byte 0x%" G_GINT64_MODIFIER
                                            "x was torn and dropped: it was not acknowledged, or its sector failed",
                                            j->next_seq, j->pos);
    uint8_t payload[JF_PAYLOAD_MAX];
    size_t len = jf_note_encode(text, payload);
    if (jf_log_bytes(len, j->sb.geo.stride) > journal_log_bytes(j))
        return true;
    return journal_append(j, JF_NOTE, 0, payload, len, NULL, error);
}

Journal *journal_open(Medium *medium, bool write, JournalApply apply, void *data, GError **error) {
    g_autoptr(Journal) j = g_new0(Journal, 1);
    j->medium = medium;
    j->write = write;

    JfVerdict found = probe(medium, &j->sb, j->copy_valid);
    if (found == JF_NOT_OURS || found == JF_BAD) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "journal: %s",
                    found == JF_BAD ? "neither copy of the superblock is valid" : "there is no superblock");
        return NULL;
    }
    if (found == JF_UNSUPPORTED) {
        journal_condemn(j, JOURNAL_UNSUPPORTED,
                        "format %u.%u, incompatible features 0x%x: made by a newer pmemd; use that", j->sb.major,
                        j->sb.minor, j->sb.incompat);
        return g_steal_pointer(&j);
    }

    if (found == JF_READ_ONLY)
        journal_condemn(j, JOURNAL_READ_ONLY, "features 0x%x of a newer pmemd: it can be read, not changed",
                        j->sb.ro_compat);
    else if ((j->sb.geo.stride == 64) != (medium->class == MEDIUM_CLASS_MAPPED))
        journal_condemn(j, JOURNAL_READ_ONLY, "made on %s and opened on %s: it can be read, not changed",
                        j->sb.geo.stride == 64 ? "mapped memory" : "a file",
                        medium->class == MEDIUM_CLASS_MAPPED ? "mapped memory" : "a file");

    journal_replay(j, apply, data);
    if (!write || j->verdict != JOURNAL_CLEAN)
        return g_steal_pointer(&j);

    int r = make_durable(j);
    if (r < 0) {
        hardware(error, r, "recovery");
        return NULL;
    }
    if (j->tail_torn && !note_torn_tail(j, error))
        return NULL;
    return g_steal_pointer(&j);
}

void journal_free(Journal *j) {
    if (!j)
        return;
    g_free(j->report);
    g_free(j);
}

JournalVerdict journal_verdict(const Journal *j) {
    return j->verdict;
}

const char *journal_report(const Journal *j) {
    return j->report ? j->report : "";
}

const JfSuperblock *journal_superblock(const Journal *j) {
    return &j->sb;
}

uint64_t journal_next_seq(const Journal *j) {
    return j->next_seq;
}

/* --- changing --- */

static bool check_writable(const Journal *j, GError **error) {
    if (j->verdict == JOURNAL_CLEAN && j->write && !j->failed)
        return true;
    const char *why = j->report;
    if (!why)
        why = j->failed ? "its medium failed; restart pmemd to replay it" : "it was opened for reading";
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_READ_ONLY, "journal: no change is possible: %s", why);
    return false;
}

/* Two fences: the commit word cannot be durable before what it commits, so a bad checksum is damage, never a cut. */
static int commit_mapped(Journal *j, uint8_t *buf, uint64_t bytes) {
    Medium *m = j->medium;
    uint64_t after = j->pos + bytes;

    /* The line after the record announces the next one: a log that lost its last record has no such line. */
    if (after + 64 <= j->area_end) {
        memset(buf + bytes, 0, 64);
        put_le64(buf + bytes + 8, j->next_seq + 1);
        after += 64;
    }
    int r = put_fenced(m, j->pos + 8, buf + 8, (size_t) (after - j->pos - 8));
    return r < 0 ? r : put_fenced(m, j->pos, buf, 8);
}

bool journal_append(Journal *j, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len, uint64_t *ret_seq,
                    GError **error) {
    g_assert(jf_type_is_known(type) && type != JF_SNAPSHOT_BEGIN && type != JF_SNAPSHOT_END);
    g_assert(len % 8 == 0 && len <= JF_PAYLOAD_MAX);
    if (!check_writable(j, error))
        return false;

    uint64_t bytes = jf_log_bytes(len, j->sb.geo.stride);
    if (bytes > journal_log_bytes(j)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "journal: the log is full: a record needs %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                    " are left",
                    bytes, journal_log_bytes(j));
        return false;
    }

    uint8_t buf[JOURNAL_TAIL_BYTES(512u)];
    JfRecord rec = {
        .seq = j->next_seq,
        .prev_crc = j->prev_crc,
        .txid = txid,
        .type = type,
        .payload = payload,
        .payload_len = len,
    };
    size_t used = jf_record_encode(&rec, j->seed, buf);
    memset(buf + used, 0, (size_t) bytes - used);

    int r = j->sb.geo.stride == 64 ? commit_mapped(j, buf, bytes) : put_fenced(j->medium, j->pos, buf, (size_t) bytes);
    if (r < 0) {
        j->failed = true;
        return hardware(error, r, "writing a record");
    }
    j->pos += bytes;
    j->next_seq++;
    j->prev_crc = rec.crc;
    if (ret_seq)
        *ret_seq = rec.seq;
    return true;
}

bool journal_failed(const Journal *j) {
    return j->failed;
}

uint64_t journal_log_bytes(const Journal *j) {
    return j->area_end - j->pos;
}

uint64_t journal_area_bytes(const Journal *j) {
    return j->sb.geo.area_len;
}

double journal_fill(const Journal *j) {
    uint64_t area = journal_area_bytes(j);
    return area == 0 ? 1.0 : (double) (area - journal_log_bytes(j)) / (double) area;
}

bool journal_wants_checkpoint(const Journal *j) {
    return (j->pos - j->log_start) / 3 >= (j->area_end - j->pos);
}

int journal_write_root(Journal *j) {
    return write_root(j->medium, &j->sb, &j->root);
}

bool journal_switch_area(Journal *j, uint64_t gen, uint64_t epoch, JournalEmit emit, void *data, GError **error) {
    g_autoptr(JournalSnapshot) s = journal_snapshot_collect(emit, data);
    const JfGeometry *geo = &j->sb.geo;
    if (!journal_snapshot_check_fits(s, geo, error))
        return false;

    JfRoot root = {
        .gen = gen,
        .area_off = j->root.area_off == geo->area_off[0] ? geo->area_off[1] : geo->area_off[0],
        .area_len = geo->area_len,
        .epoch = epoch,
        .first_seq = j->next_seq,
        .n_snap = s->items->len,
    };
    SnapshotEnd end = { 0 };

    /* No append before the last fence; the old area stays whole until the next swap. */
    int r = medium_zero(j->medium, root.area_off, root.area_len);
    if (r == 0)
        r = journal_snapshot_write(j->medium, &j->sb, &root, s, &end);
    if (r == 0)
        r = write_root(j->medium, &j->sb, &root);
    if (r < 0) {
        j->failed = true;
        return hardware(error, r, "the checkpoint");
    }

    j->root = root;
    j->seed = jf_record_seed(j->sb.journal_uuid, root.epoch);
    j->area_end = root.area_off + root.area_len;
    j->log_start = j->pos = end.log_start;
    j->next_seq = end.next_seq;
    j->prev_crc = end.prev_crc;
    return true;
}

bool journal_checkpoint(Journal *j, JournalEmit emit, void *data, GError **error) {
    return check_writable(j, error) && journal_switch_area(j, j->root.gen + 1, j->root.epoch + 1, emit, data, error);
}
