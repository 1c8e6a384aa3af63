/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd-journal check|show FILE: reads the journal in a management region, its image, or a copy of its start that was kept
 * as evidence, without the daemon and without writing anything. The replay is the daemon's own. pmemctl calls it; its
 * JSON is that of proto/pmemctl.schema.json. Exit status: 0 whole, 1 corrupt or no journal, 2 cannot be read or bad
 * usage, 3 of a newer format.
 */
#include "daemon/journal.h"
#include "daemon/json-text.h"
#include "daemon/sigbus-guard.h"
#include "daemon/state.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    STATUS_WHOLE,
    STATUS_CORRUPT,
    STATUS_FAILED,
    STATUS_UNSUPPORTED
};

typedef struct {
    bool json, show;
    State *state; /* the records' meaning is checked on it */
    Pool *pool;
    GString *records; /* as JSON */
    guint in_snapshot, in_log;
} Look;

/* --- output --- */

static char *describe_region(const JfRegion *r) {
    char region[PMEMD_UUID_STRING_MAX], device[PMEMD_UUID_STRING_MAX];

    return g_strdup_printf("region %s device %s frames 0x%" PRIx64 "-0x%" PRIx64 " from 0x%" PRIx64 " extent 0x%" PRIx64
                           "-0x%" PRIx64 " uid %" PRIu32 "%s%s%s%s",
                           pmemd_uuid_format(r->region_uuid, region), pmemd_uuid_format(r->device_uuid, device),
                           r->range.start, r->range.end, r->device_start, r->extent.start, r->extent.end, r->owner_uid,
                           r->name[0] ? " name " : "", r->name, r->user[0] ? " user " : "", r->user);
}

/* "": its payload is malformed, or has nothing to say. */
static char *describe(const JournalRecord *record) {
    const uint8_t *p = record->payload;
    char text[PMEMD_UUID_STRING_MAX], note[JF_NOTE_MAX + 1];
    size_t len = record->len;
    union {
        JfRegion region;
        JfAdopt adopt;
        JfRef ref;
        JfDelete del;
        JfCommit commit;
        JfOpen open;
        JfName name;
        JfOwner owner;
        JfRequest request;
        JfLease lease;
        JfUnlease unlease;
    } r;

    switch (record->type) {
    case JF_ADD:
    case JF_INTENT_CREATE:
        return jf_region_decode(p, len, &r.region) ? describe_region(&r.region) : g_strdup("");
    case JF_ADOPT: {
        if (!jf_adopt_decode(p, len, &r.adopt))
            break;
        g_autofree char *region = describe_region(&r.adopt.region);
        return g_strdup_printf("%s tag of pool %08" PRIx32, region, r.adopt.tag_pool);
    }
    case JF_DEL:
        if (jf_ref_decode(p, len, &r.ref))
            return g_strdup_printf("region %s", pmemd_uuid_format(r.ref.uuid, text));
        break;
    case JF_INTENT_DELETE:
        if (jf_delete_decode(p, len, &r.del))
            return g_strdup_printf("region %s", pmemd_uuid_format(r.del.region_uuid, text));
        break;
    case JF_COMMIT:
        if (jf_commit_decode(p, len, &r.commit))
            return g_strdup_printf("device 0x%" PRIx64 "-0x%" PRIx64, r.commit.device.start, r.commit.device.end);
        break;
    case JF_OPEN:
        if (jf_open_decode(p, len, &r.open))
            return g_strdup_printf("machine " SD_ID128_FORMAT_STR " pmemd %.32s",
                                   SD_ID128_FORMAT_VAL(r.open.machine_id), r.open.version);
        break;
    case JF_NOTE:
        if (jf_note_decode(p, len, note))
            return g_strdup(note);
        break;
    case JF_NAME:
        if (jf_name_decode(p, len, &r.name))
            return g_strdup_printf("of %s: '%s'", pmemd_uuid_format(r.name.uuid, text), r.name.name);
        break;
    case JF_OWNER:
        if (jf_owner_decode(p, len, &r.owner))
            return g_strdup_printf("of %s: uid %" PRIu32 " user %s", pmemd_uuid_format(r.owner.uuid, text), r.owner.uid,
                                   r.owner.user);
        break;
    case JF_REQUEST:
        if (jf_request_decode(p, len, &r.request))
            return g_strdup_printf("id %s of uid %" PRIu32, pmemd_uuid_format(r.request.request_id, text),
                                   r.request.request_uid);
        break;
    case JF_LEASE:
        if (jf_lease_decode(p, len, &r.lease))
            return g_strdup_printf("region %s to %s of uid %" PRIu32, pmemd_uuid_format(r.lease.region_uuid, text),
                                   r.lease.owner, r.lease.uid);
        break;
    case JF_UNLEASE:
        if (jf_unlease_decode(p, len, &r.unlease))
            return g_strdup_printf("region %s", pmemd_uuid_format(r.unlease.region_uuid, text));
        break;
    default:
        break;
    }
    return g_strdup("");
}

static void show_record(const Look *look, const JournalRecord *record) {
    g_autofree char *text = describe(record);
    bool snapshot = (record->flags & JF_RECORD_SNAPSHOT) != 0;

    if (!look->json) {
        printf("%8" PRIu64 " %s %-14s %s\n", record->seq, snapshot ? "snapshot" : "log     ",
               jf_type_to_string(record->type), text);
        return;
    }
    g_string_append_printf(
        look->records, "%s{\"seq\": %" PRIu64 ", \"type\": \"%s\", \"snapshot\": %s, \"txid\": %" PRIu64 ", \"text\": ",
        look->records->len > 0 ? ", " : "", record->seq, jf_type_to_string(record->type), snapshot ? "true" : "false",
        record->txid);
    json_append_text(look->records, text);
    g_string_append_c(look->records, '}');
}

static bool apply(const JournalRecord *record, void *data, GError **error) {
    Look *look = data;

    if (look->show)
        show_record(look, record);
    if ((record->flags & JF_RECORD_SNAPSHOT) != 0)
        look->in_snapshot++;
    else
        look->in_log++;
    return !look->pool ||
           state_apply(look->state, look->pool, record->type, record->txid, record->payload, record->len, error);
}

/* --- reading --- */

/* Bytes of a device-dax or of a file. */
static bool find_size(int fd, uint64_t *ret_size, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot look at it: %s", g_strerror(errno));
        return false;
    }
    if (S_ISREG(st.st_mode)) {
        *ret_size = (uint64_t) st.st_size;
        return true;
    }
    if (!S_ISCHR(st.st_mode)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "it is neither a file nor a device-dax");
        return false;
    }
    g_autofree char *path = g_strdup_printf("/sys/dev/char/%u:%u/size", major(st.st_rdev), minor(st.st_rdev)),
                    *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, error))
        return false;
    *ret_size = g_ascii_strtoull(text, NULL, 10);
    return true;
}

static Medium *open_sized(const char *path, uint64_t size, MediumClass class, GError **error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang it */

    if (fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open: %s", g_strerror(errno));
        return NULL;
    }
    Medium *m = size == 0 && !find_size(fd, &size, error) ? NULL : medium_image_new(fd, size, class, error);
    if (!m)
        close(fd);
    return m;
}

/* Evidence is the start of a region, and poses as the whole of it, whose rest cannot be read; a copy poses as the class
 * of medium that it was made on. */
static Medium *open_medium(const char *path, JfVerdict *ret_verdict, JfSuperblock *ret_sb, GError **error) {
    g_autoptr(Medium) first = open_sized(path, 0, MEDIUM_CLASS_FILE, error);
    JfSuperblock sb = { .member_uuid = SD_ID128_NULL };

    if (!first)
        return NULL;
    JfVerdict verdict = first->size >= JF_SUPERBLOCK_SIZE && medium_readable(first, 0, JF_SUPERBLOCK_SIZE) == 0
                            ? jf_superblock_decode(medium_base(first), JF_SUPERBLOCK_SIZE, &sb)
                            : JF_BAD;
    if (verdict == JF_BAD || verdict == JF_NOT_OURS)
        verdict = journal_probe(first, &sb); /* copy 1 */
    *ret_verdict = verdict;
    *ret_sb = sb;
    if (verdict != JF_OK && verdict != JF_READ_ONLY)
        return g_steal_pointer(&first);
    return open_sized(path, sb.geo.size, sb.geo.stride == 64 ? MEDIUM_CLASS_MAPPED : MEDIUM_CLASS_FILE, error);
}

/* --- the answer --- */

static void print_answer(const Look *look, const char *verdict, const char *report, const Journal *j) {
    const JfSuperblock *sb = j ? journal_superblock(j) : NULL;
    char pool[PMEMD_UUID_STRING_MAX] = "";

    if (sb)
        pmemd_uuid_format(sb->member_uuid, pool);
    if (!look->json) {
        printf("%s%s%s\n", verdict, report[0] ? ": " : "", report);
        if (sb)
            printf(
                "pool %s%s%s, format %u.%u, frames 0x%" PRIx64 "-0x%" PRIx64 "\n%u records in the snapshot, %u in the "
                "log, %.1f %% of %" PRIu64 " bytes used; %u data regions\n",
                pool, look->pool && look->pool->name ? " " : "", look->pool && look->pool->name ? look->pool->name : "",
                sb->major, sb->minor, sb->range.start, sb->range.end, look->in_snapshot, look->in_log,
                100 * journal_fill(j), journal_area_bytes(j), look->pool ? look->pool->n_regions : 0);
        return;
    }
    g_autoptr(GString) out = g_string_new("{\"version\": 1, \"journal\": {\"verdict\": ");
    json_append_text(out, verdict);
    g_string_append(out, ", \"report\": ");
    json_append_text(out, report);
    if (sb)
        g_string_append_printf(out,
                               ", \"pool\": \"%s\", \"format\": \"%u.%u\", \"next_seq\": %" PRIu64
                               ", \"area_bytes\": %" PRIu64
                               ", \"snapshot_records\": %u, \"log_records\": %u, \"data_regions\": %u",
                               pool, sb->major, sb->minor, journal_next_seq(j), journal_area_bytes(j),
                               look->in_snapshot, look->in_log, look->pool ? look->pool->n_regions : 0);
    if (look->show)
        g_string_append_printf(out, ", \"records\": [%s]", look->records->str);
    printf("%s}}\n", out->str);
}

static int look_at(Look *look, const char *path) {
    static const char *const verdicts[] = { "whole", "read-only", "corrupt", "unsupported" };
    static const int statuses[] = { STATUS_WHOLE, STATUS_WHOLE, STATUS_CORRUPT, STATUS_UNSUPPORTED };
    g_autoptr(GError) error = NULL;
    JfVerdict verdict;
    JfSuperblock sb;
    g_autoptr(Medium) m = open_medium(path, &verdict, &sb, &error);

    if (!m) {
        fprintf(stderr, "pmemd-journal: %s: %s\n", path, error->message);
        return STATUS_FAILED;
    }
    if (verdict == JF_OK || verdict == JF_READ_ONLY) {
        bool added = state_add_raw(look->state, raw_new("all", (FrameRange){ 0, PMEMD_FRAME_LIMIT }));

        g_assert(added); /* the only one */
        look->pool = state_add_pool(look->state, &sb, sb.range, POOL_OK, NULL);
        if (look->pool)
            state_begin_replay(look->pool);
    }
    g_autoptr(Journal) j = journal_open(m, false, apply, look, &error);
    if (!j) {
        print_answer(look, "none", error->message, NULL);
        return STATUS_CORRUPT;
    }
    print_answer(look, verdicts[journal_verdict(j)], journal_report(j), j);
    return statuses[journal_verdict(j)];
}

int main(int argc, char **argv) {
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *verb = argc == 3 + json ? argv[1 + json] : "";
    Look look = { .json = json, .show = strcmp(verb, "show") == 0 };

    if (!look.show && strcmp(verb, "check") != 0) {
        fprintf(stderr, "usage: pmemd-journal [--json] check|show FILE\n");
        return STATUS_FAILED;
    }
    medium_guard_install();
    look.state = state_new();
    look.records = g_string_new(NULL);
    int status = look_at(&look, argv[2 + json]);
    g_string_free(look.records, TRUE);
    state_free(look.state);
    return fflush(stdout) == 0 ? status : STATUS_FAILED;
}
