/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * journal-check FILE: replays the journal in a file that holds the usable bytes of a management region, writes
 * nothing, and prints what it found. Exit status 0 clean, 1 corrupt (or no journal), 2 usage or read error, 3 of a
 * newer format.
 */
#include "daemon/journal.h"
#include "daemon/sigbus-guard.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    uint16_t type;
    const char *name;
} TypeName;

static const TypeName type_names[] = {
    { JF_ADD, "add" },
    { JF_DEL, "del" },
    { JF_INTENT_CREATE, "intent-create" },
    { JF_INTENT_DELETE, "intent-delete" },
    { JF_COMMIT, "commit" },
    { JF_ABORT, "abort" },
    { JF_OPEN, "open" },
    { JF_NOTE, "note" },
    { JF_NAME, "name" },
    { JF_OWNER, "owner" },
    { JF_REQUEST, "request" },
    { JF_BAD_FRAMES, "bad-frames" },
};

/* What looks at each record's meaning; the one here checks that its payload can be decoded. */
typedef struct {
    JournalApply apply;
    void *data;
} Semantics;

typedef struct {
    Semantics semantics;
    unsigned count[G_N_ELEMENTS(type_names)];
    unsigned in_snapshot, in_log;
} Check;

static bool decodes(const JournalRecord *r, void *data, GError **error) {
    (void) data;
    union {
        JfRegion region;
        JfRef ref;
        JfDelete del;
        JfCommit commit;
        JfAbort abort;
        JfOpen open;
        JfName name;
        JfOwner owner;
        JfRequest request;
        JfBadFrames bad;
        char note[JF_NOTE_MAX + 1];
    } out;
    bool ok = (r->type == JF_ADD || r->type == JF_INTENT_CREATE) ? jf_region_decode(r->payload, r->len, &out.region)
              : r->type == JF_DEL                                ? jf_ref_decode(r->payload, r->len, &out.ref)
              : r->type == JF_INTENT_DELETE                      ? jf_delete_decode(r->payload, r->len, &out.del)
              : r->type == JF_COMMIT                             ? jf_commit_decode(r->payload, r->len, &out.commit)
              : r->type == JF_ABORT                              ? jf_abort_decode(r->payload, r->len, &out.abort)
              : r->type == JF_OPEN                               ? jf_open_decode(r->payload, r->len, &out.open)
              : r->type == JF_NAME                               ? jf_name_decode(r->payload, r->len, &out.name)
              : r->type == JF_OWNER                              ? jf_owner_decode(r->payload, r->len, &out.owner)
              : r->type == JF_REQUEST                            ? jf_request_decode(r->payload, r->len, &out.request)
              : r->type == JF_BAD_FRAMES                         ? jf_bad_frames_decode(r->payload, r->len, &out.bad)
              : r->type == JF_NOTE                               ? jf_note_decode(r->payload, r->len, out.note)
                                                                 : false;
    if (!ok)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT, "the payload of a record of type 0x%04x is malformed",
                    r->type);
    return ok;
}

static bool count(const JournalRecord *record, void *data, GError **error) {
    Check *check = data;
    if (!check->semantics.apply(record, check->semantics.data, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++)
        if (type_names[i].type == record->type)
            check->count[i]++;
    if ((record->flags & JF_RECORD_SNAPSHOT) != 0)
        check->in_snapshot++;
    else
        check->in_log++;
    return true;
}

static Medium *open_medium(const char *path, GError **error) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open: %s", g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    Medium *m = medium_file_new(fd, (uint64_t) st.st_size, error);
    if (!m)
        close(fd);
    return m;
}

int main(int argc, char **argv) {
    static const char *const verdicts[] = { "clean", "read-only", "corrupt", "unsupported" };
    static const int statuses[] = { 0, 0, 1, 3 };
    g_autoptr(GError) error = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: journal-check FILE\n");
        return 2;
    }
    medium_guard_install();
    g_autoptr(Medium) m = open_medium(argv[1], &error);
    if (!m) {
        fprintf(stderr, "journal-check: %s: %s\n", argv[1], error->message);
        return 2;
    }

    /* Nothing is written, so the journal may be of either class; the file poses as the one it was made on. */
    JfSuperblock sb;
    JfVerdict probed = journal_probe(m, &sb);
    if (probed == JF_OK || probed == JF_READ_ONLY)
        m->class = sb.geo.stride == 64 ? MEDIUM_CLASS_MAPPED : MEDIUM_CLASS_FILE;

    Check check = { .semantics = { decodes, NULL } };
    g_autoptr(Journal) j = journal_open(m, false, count, &check, &error);
    if (!j) {
        printf("verdict: none\nreport: %s\n", error->message);
        return 1;
    }
    JournalVerdict verdict = journal_verdict(j);
    printf("verdict: %s\nreport: %s\nnext-seq: %" G_GUINT64_FORMAT "\nrecords: %u in the snapshot, %u in the log\n",
           verdicts[verdict], journal_report(j), journal_next_seq(j), check.in_snapshot, check.in_log);
    for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++)
        if (check.count[i] > 0)
            printf("  %s: %u\n", type_names[i].name, check.count[i]);
    if (verdict != JOURNAL_UNSUPPORTED)
        printf("fill: %.1f %% of %" G_GUINT64_FORMAT " bytes\n", 100 * journal_fill(j), journal_area_bytes(j));
    return statuses[verdict];
}
