/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: a journal whose bytes the input changes, replayed. Checksums can be made good again, so that the
 * input gets past them. Checked: no crash, nothing is written unless the verdict is clean, a clean journal goes on
 * (append, checkpoint) and replays again, and every payload that can be decoded encodes to the same bytes.
 *
 * Input: a mode byte, then patches: u24 offset (of the least medium, 256 KiB), u8 length, bytes.
 */
#include "daemon/crc32c.h"
#include "daemon/journal-bytes.h"
#include "daemon/journal.h"
#include "tests/fuzz/fuzz-input.h"
#include "tests/golden/golden-content.h"
#include "tests/lib/recording-medium.h"

#define SIZE (4u * 65536u)
#define LIVE 131072u
#define MODE_FILE 1u   /* class */
#define MODE_FIX 2u    /* make checksums good */
#define MODE_CHAIN 4u  /* and sequence numbers, and links */
#define MODE_NO_LOG 8u /* the patches come right after the snapshot */
/* Where the log of the golden images starts in the live area. */
#define LOG_MAPPED 0x300u
#define LOG_FILE 0x400u

typedef struct {
    unsigned applied;
} Seen;

#define CHECK_CODER(type, noun)                                                                                        \
    do {                                                                                                               \
        type value;                                                                                                    \
        if (jf_##noun##_decode(record->payload, record->len, &value)) {                                                \
            size_t len = jf_##noun##_encode(&value, again);                                                            \
            g_assert_cmpmem(again, len, record->payload, record->len);                                                 \
        }                                                                                                              \
    } while (0)

static bool apply(const JournalRecord *record, void *data, GError **error) {
    uint8_t again[JF_PAYLOAD_MAX];
    char note[JF_NOTE_MAX + 1];
    (void) error;

    ((Seen *) data)->applied++;
    CHECK_CODER(JfRegion, region);
    CHECK_CODER(JfRef, ref);
    CHECK_CODER(JfDelete, delete);
    CHECK_CODER(JfCommit, commit);
    CHECK_CODER(JfAbort, abort);
    CHECK_CODER(JfOpen, open);
    CHECK_CODER(JfName, name);
    CHECK_CODER(JfOwner, owner);
    CHECK_CODER(JfRequest, request);
    CHECK_CODER(JfLease, lease);
    CHECK_CODER(JfUnlease, unlease);
    CHECK_CODER(JfEraseProgress, erase_progress);
    CHECK_CODER(JfBadFrames, bad_frames);
    CHECK_CODER(JfAdopt, adopt);
    if (jf_note_decode(record->payload, record->len, note)) {
        size_t len = jf_note_encode(note, again);
        g_assert_cmpmem(again, len, record->payload, record->len);
    }
    return record->txid != UINT64_MAX;
}

static void emit(JournalSnapshot *s, void *data) {
    uint8_t payload[16] = { 1 };
    (void) data;
    journal_snapshot_add(s, JF_DEL, 0, payload, sizeof payload);
}

/* Made once: journals that are whole, one of each class. */
static const uint8_t *whole(MediumClass class) {
    static GBytes *images[2];
    if (!images[class])
        images[class] = golden_build(JF_MINOR, class);
    return g_bytes_get_data(images[class], NULL);
}

static void fix_records(uint8_t *image, MediumClass class, bool chain) {
    JfSuperblock sb = golden_superblock(JF_MINOR, class);
    uint32_t seed = jf_record_seed(sb.journal_uuid, 2), prev = 0;
    uint64_t seq = 3, log = LIVE + (class == MEDIUM_CLASS_MAPPED ? LOG_MAPPED : LOG_FILE);

    for (uint64_t pos = LIVE; pos + 64 <= LIVE + 65536;) {
        uint32_t len = get_le32(image + pos), stride = pos < log && class == MEDIUM_CLASS_FILE ? 64 : sb.geo.stride;
        if (len < JF_RECORD_MIN || len > JF_RECORD_MAX || len > LIVE + 65536 - pos) {
            if (pos < log) {
                pos = log;
                continue;
            }
            if (chain && class == MEDIUM_CLASS_MAPPED && get_le64(image + pos) == 0)
                put_le64(image + pos + 8, seq);
            return;
        }
        if (chain) {
            put_le64(image + pos + 8, seq++);
            put_le32(image + pos + 20, prev);
        }
        jf_record_fix_crc(image + pos, JF_RECORD_MAX < LIVE + 65536 - pos ? JF_RECORD_MAX : LIVE + 65536 - pos, seed);
        prev = get_le32(image + pos + 4);
        pos += (len + stride - 1) / stride * stride;
    }
}

static void fix_headers(uint8_t *image, MediumClass class) {
    JfSuperblock sb = golden_superblock(JF_MINOR, class);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t *at = image + jf_superblock_offset(SIZE, copy);
        put_le32(at + 508, crc32c(0, at, 508));
        for (unsigned slot = 0; slot < 2; slot++) {
            at = image + jf_root_offset(SIZE, slot, copy);
            put_le32(at + 60, crc32c(crc32c(0, sb.journal_uuid.bytes, 16), at, 60));
        }
    }
}

static void patch(uint8_t *image, const uint8_t *data, size_t size) {
    while (size >= 4) {
        uint32_t off = (uint32_t) data[0] | (uint32_t) data[1] << 8 | (uint32_t) data[2] << 16;
        size_t len = data[3];
        data += 4;
        size -= 4;
        if (len > size)
            len = size;
        off %= SIZE;
        if (len > SIZE - off)
            len = SIZE - off;
        memcpy(image + off, data, len);
        data += len;
        size -= len;
    }
}

/* A clean journal is one that can be gone on with. */
static void go_on(RecordingMedium *m, Journal *j, unsigned applied) {
    uint8_t payload[16] = { 2 };
    unsigned more = 0;
    if (journal_append(j, JF_DEL, 0, payload, sizeof payload, NULL, NULL))
        more++;
    Seen seen = { 0 };
    g_autoptr(Journal) next = journal_open(&m->base, true, apply, &seen, NULL);
    g_assert_nonnull(next);
    g_assert_cmpint(journal_verdict(next), ==, JOURNAL_CLEAN);
    g_assert_cmpuint(seen.applied, >=, applied + more);
    g_assert_true(journal_checkpoint(next, emit, NULL, NULL));
    g_assert_true(journal_append(next, JF_DEL, 0, payload, sizeof payload, NULL, NULL));
    Seen last = { 0 };
    g_autoptr(Journal) end = journal_open(&m->base, true, apply, &last, NULL);
    g_assert_cmpint(journal_verdict(end), ==, JOURNAL_CLEAN);
    g_assert_cmpuint(last.applied, ==, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static RecordingMedium *media[2];
    static uint8_t *image;
    if (size == 0)
        return 0;

    MediumClass class = (data[0] & MODE_FILE) != 0 ? MEDIUM_CLASS_FILE : MEDIUM_CLASS_MAPPED;
    if (!media[class])
        media[class] = recording_medium_new(SIZE, class);
    if (!image)
        image = g_malloc(SIZE);
    RecordingMedium *m = media[class];

    memcpy(image, whole(class), SIZE);
    if ((data[0] & MODE_NO_LOG) != 0) {
        uint32_t log = LIVE + (class == MEDIUM_CLASS_MAPPED ? LOG_MAPPED : LOG_FILE);
        memset(image + log, 0, LIVE + 65536 - log);
    }
    patch(image, data + 1, size - 1);
    if ((data[0] & (MODE_FIX | MODE_CHAIN)) != 0) {
        fix_records(image, class, (data[0] & MODE_CHAIN) != 0);
        fix_headers(image, class);
    }
    recording_medium_reset(m, image);

    Seen seen = { 0 };
    g_autoptr(Journal) j = journal_open(&m->base, true, apply, &seen, NULL);
    if (!j || journal_verdict(j) != JOURNAL_CLEAN) {
        g_assert_cmpuint(m->stores, ==, 0);
        g_assert_cmpmem(m->view, SIZE, image, SIZE);
        return 0;
    }
    go_on(m, j, seen.applied);
    return 0;
}
