/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/crash/crash-script.h"

#include "proto/error.h"

#include <stdlib.h>
#include <string.h>

JfSuperblock script_superblock(MediumClass class) {
    JfSuperblock sb = {
        .journal_uuid = SD_ID128_MAKE(11, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01),
        .member_uuid = SD_ID128_MAKE(21, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 02),
        .raw_cookie = SD_ID128_MAKE(31, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 03),
        .major = JF_MAJOR,
        .minor = JF_MINOR,
        .geo = {
            .unit_is_small = 1,
            .stride = class == MEDIUM_CLASS_MAPPED ? 64 : 512,
            .size = SCRIPT_MEDIUM_BYTES,
            .unit = 65536,
            .area_off = { 65536, 2 * 65536 },
            .area_len = 65536,
            .mgmt_off = 3 * 65536,
            .mgmt_len = 0,
        },
        .page_info_bytes = 32,
        .m2p_bytes = 8,
        .sb_seq = 1,
        .created = 1700000000000000,
        .range = { 0x480000, 0x480000 + SCRIPT_MEDIUM_BYTES / 4096 },
    };
    return sb;
}

static uint16_t type_of(uint32_t id) {
    /* Every type that holds a fact; script_collect() leaves out notes. */
    static const uint16_t types[] = { JF_ADD,           JF_INTENT_CREATE, JF_COMMIT, JF_OPEN,           JF_NAME,
                                      JF_REQUEST,       JF_BAD_FRAMES,    JF_LEASE,  JF_ERASE_PROGRESS, JF_ADOPT,
                                      JF_INTENT_DELETE, JF_UNLEASE,       JF_OWNER,  JF_ABORT,          JF_DEL };
    return types[id % G_N_ELEMENTS(types)];
}

static size_t payload_of(uint32_t id, uint8_t buf[static JF_PAYLOAD_MAX]) {
    static const uint16_t lens[] = { 8, 24, 32, 96, 120, 152, 224, 480, 56, JF_PAYLOAD_MAX, 16 };
    size_t len = lens[id % G_N_ELEMENTS(lens)];
    uint32_t x = id * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        buf[i] = (uint8_t) (x >> 24);
    }
    memcpy(buf, &id, sizeof id);
    return len;
}

void script_init(Script *s, MediumClass class) {
    memset(s, 0, sizeof *s);
    s->medium = recording_medium_new(SCRIPT_MEDIUM_BYTES, class);
    s->next_id = 1;
}

void script_clear(Script *s) {
    journal_free(s->journal);
    medium_free(&s->medium->base);
}

static void emit(JournalSnapshot *snapshot, void *data) {
    const Oracle *oracle = data;
    for (unsigned i = 0; i < oracle->n; i++) {
        uint8_t payload[JF_PAYLOAD_MAX];
        size_t len = payload_of(oracle->ids[i], payload);
        journal_snapshot_add(snapshot, type_of(oracle->ids[i]), oracle->ids[i] * UINT64_C(7), payload, len);
    }
}

bool script_create(Script *s, GError **error) {
    JfSuperblock sb = script_superblock(s->medium->base.class);
    s->oracle.ids[0] = s->next_id++;
    s->oracle.ids[1] = s->next_id++;
    s->oracle.n = 2;
    if (!journal_create(&s->medium->base, &sb, emit, &s->oracle, error))
        return false;
    s->oracle.created = true;
    return script_reopen(s, error);
}

bool script_append(Script *s, GError **error) {
    uint8_t payload[JF_PAYLOAD_MAX];
    uint32_t id = s->next_id++;
    size_t len = payload_of(id, payload);

    g_assert_cmpuint(s->oracle.n, <, SCRIPT_MAX);
    s->oracle.in_flight = id;
    if (!journal_append(s->journal, type_of(id), id * UINT64_C(7), payload, len, NULL, error))
        return false;
    s->oracle.ids[s->oracle.n++] = id;
    s->oracle.in_flight = 0;
    return true;
}

bool script_checkpoint(Script *s, GError **error) {
    return journal_checkpoint(s->journal, emit, &s->oracle, error);
}

bool script_reopen(Script *s, GError **error) {
    Found found = { 0 };
    g_clear_pointer(&s->journal, journal_free);
    s->journal = journal_open(&s->medium->base, true, script_collect, &found, error);
    if (!s->journal)
        return false;
    if (journal_verdict(s->journal) != JOURNAL_CLEAN || !oracle_accepts(&s->oracle, &found, s->oracle.n))
        script_fail("reopen without a cut", s, s->medium->view, &found, s->journal);
    /* Once replayed it counts: others have seen it. */
    if (found.n > s->oracle.n)
        s->oracle.ids[s->oracle.n++] = s->oracle.in_flight;
    s->oracle.in_flight = 0;
    return true;
}

bool script_collect(const JournalRecord *record, void *data, GError **error) {
    (void) error;
    Found *found = data;
    if (record->type == JF_NOTE)
        return true;

    uint8_t payload[JF_PAYLOAD_MAX];
    uint32_t id = 0;
    if (record->len >= 8)
        memcpy(&id, record->payload, sizeof id);
    if (record->len != payload_of(id, payload) || memcmp(payload, record->payload, record->len) != 0 ||
        record->type != type_of(id) || record->txid != id * UINT64_C(7) || found->n == G_N_ELEMENTS(found->ids))
        found->wrong = true;
    else
        found->ids[found->n++] = id;
    return true;
}

bool oracle_accepts(const Oracle *oracle, const Found *found, unsigned at_least) {
    if (found->wrong || found->n < at_least)
        return false;
    for (unsigned i = 0; i < found->n; i++) {
        if (i < oracle->n && found->ids[i] != oracle->ids[i])
            return false;
        if (i >= oracle->n && (i > oracle->n || oracle->in_flight == 0 || found->ids[i] != oracle->in_flight))
            return false;
    }
    return true;
}

double crash_budget(double share) {
    const char *text = g_getenv("PMEMD_CRASH_BUDGET");
    double seconds = text ? g_ascii_strtod(text, NULL) : 60;
    return MAX(seconds, 1) * share;
}

void script_fail(const char *what, const Script *s, const uint8_t *image, const Found *found, const Journal *j) {
    g_autofree char *dir = g_dir_make_tmp("pmemd-crash-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "image", NULL);
    g_file_set_contents(path, (const char *) image, SCRIPT_MEDIUM_BYTES, NULL);

    g_printerr("# %s: acknowledged %u, in flight %u, found %u%s; verdict %d %s; image kept as %s\n", what, s->oracle.n,
               s->oracle.in_flight, found->n, found->wrong ? ", one of them wrong" : "",
               j ? (int) journal_verdict(j) : -1, j ? journal_report(j) : "", path);
    g_error("%s", what);
}
