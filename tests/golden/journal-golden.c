/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The images that each version of the format wrote are read for ever, each field as it was written; and as long as its
 * major is 1 the writer still makes them byte for byte. argv[1]: the folder of the images.
 */
#include "tests/golden/golden-content.h"
#include "tests/lib/recording-medium.h"

#include <string.h>

#define SIZE (4u * 65536u)

typedef struct {
    unsigned minor;
    size_t next; /* record that comes now */
} Reader;

static void compare_uuid(sd_id128_t a, sd_id128_t b) {
    g_assert_cmpmem(a.bytes, 16, b.bytes, 16);
}

static void compare_range(FrameRange a, FrameRange b) {
    g_assert_cmphex(a.start, ==, b.start);
    g_assert_cmphex(a.end, ==, b.end);
}

static void compare_region(const JfRegion *r, const JfRegion *e) {
    compare_uuid(r->region_uuid, e->region_uuid);
    compare_uuid(r->device_uuid, e->device_uuid);
    compare_range(r->range, e->range);
    g_assert_cmphex(r->device_start, ==, e->device_start);
    compare_range(r->extent, e->extent);
    g_assert_cmpuint(r->owner_uid, ==, e->owner_uid);
    g_assert_cmphex(r->flags, ==, e->flags);
    compare_uuid(r->request_id, e->request_id);
    g_assert_cmphex(r->request_hash, ==, e->request_hash);
    g_assert_cmpuint(r->request_uid, ==, e->request_uid);
    g_assert_cmpuint(r->request_method, ==, e->request_method);
    g_assert_cmpuint(r->time, ==, e->time);
    g_assert_cmpstr(r->name, ==, e->name);
    g_assert_cmpstr(r->user, ==, e->user);
}

static void compare_created(const JournalRecord *record, const JfRegion *e) {
    JfRegion r;
    g_assert_true(jf_region_decode(record->payload, record->len, &r));
    compare_region(&r, e);
}

static void compare_adopt(const JournalRecord *record, const JfAdopt *e) {
    JfAdopt a;
    g_assert_true(jf_adopt_decode(record->payload, record->len, &a));
    compare_region(&a.region, &e->region);
    g_assert_cmphex(a.tag_pool, ==, e->tag_pool);
}

static void compare_delete(const JournalRecord *record, const JfDelete *e) {
    JfDelete d;
    g_assert_true(jf_delete_decode(record->payload, record->len, &d));
    compare_uuid(d.region_uuid, e->region_uuid);
    compare_uuid(d.request_id, e->request_id);
    g_assert_cmphex(d.request_hash, ==, e->request_hash);
    g_assert_cmpuint(d.request_uid, ==, e->request_uid);
    g_assert_cmpuint(d.request_method, ==, e->request_method);
    g_assert_cmpuint(d.time, ==, e->time);
}

static void compare_open(const JournalRecord *record, const JfOpen *e) {
    JfOpen o;
    g_assert_true(jf_open_decode(record->payload, record->len, &o));
    compare_uuid(o.boot_id, e->boot_id);
    compare_uuid(o.machine_id, e->machine_id);
    g_assert_cmpuint(o.unsafe_shutdowns, ==, e->unsafe_shutdowns);
    g_assert_cmpuint(o.time, ==, e->time);
    g_assert_cmpstr(o.version, ==, e->version);
}

static void compare_request(const JournalRecord *record, const JfRequest *e) {
    JfRequest r;
    g_assert_true(jf_request_decode(record->payload, record->len, &r));
    compare_uuid(r.request_id, e->request_id);
    g_assert_cmphex(r.request_hash, ==, e->request_hash);
    g_assert_cmpuint(r.request_uid, ==, e->request_uid);
    g_assert_cmpuint(r.request_method, ==, e->request_method);
    compare_uuid(r.result, e->result);
    g_assert_cmpuint(r.time, ==, e->time);
}

static void compare_lease(const JournalRecord *record, const JfLease *e) {
    JfLease l;
    g_assert_true(jf_lease_decode(record->payload, record->len, &l));
    compare_uuid(l.region_uuid, e->region_uuid);
    g_assert_cmphex(l.guest_frame, ==, e->guest_frame);
    g_assert_cmpuint(l.since, ==, e->since);
    compare_uuid(l.bus_id, e->bus_id);
    g_assert_cmpuint(l.uid, ==, e->uid);
    g_assert_cmphex(l.flags, ==, e->flags);
    g_assert_cmpstr(l.owner, ==, e->owner);
    g_assert_cmpstr(l.user, ==, e->user);
    g_assert_cmpstr(l.sender, ==, e->sender);
}

static void compare_bad(const JournalRecord *record, const JfBadFrames *e) {
    JfBadFrames b;

    g_assert_true(jf_bad_frames_decode(record->payload, record->len, &b));
    compare_uuid(b.uuid, e->uuid);
    g_assert_cmpint(b.cleared, ==, e->cleared);
    g_assert_cmpint(b.more, ==, e->more);
    g_assert_cmpuint(b.n_extents, ==, e->n_extents);
    for (size_t i = 0; i < b.n_extents; i++)
        compare_range(b.extents[i], e->extents[i]);
}

static void compare_erase(const JournalRecord *record, const JfEraseProgress *e) {
    JfEraseProgress p;
    g_assert_true(jf_erase_progress_decode(record->payload, record->len, &p));
    compare_uuid(p.region_uuid, e->region_uuid);
    g_assert_cmphex(p.offset, ==, e->offset);
    g_assert_cmphex(p.device, ==, e->device);
    g_assert_cmphex(p.flags, ==, e->flags);
}

static void compare_unlease(const JournalRecord *record, const JfUnlease *e) {
    JfUnlease u;
    g_assert_true(jf_unlease_decode(record->payload, record->len, &u));
    compare_uuid(u.region_uuid, e->region_uuid);
    g_assert_cmpuint(u.time, ==, e->time);
    g_assert_cmpuint(u.uid, ==, e->uid);
    g_assert_cmpuint(u.reason, ==, e->reason);
}

static void compare_small(const JournalRecord *record, const GoldenRecord *e) {
    JfRef ref;
    JfCommit commit;
    JfAbort abort_rec;
    JfName name;
    JfOwner owner;
    char note[JF_NOTE_MAX + 1];

    switch (record->type) {
    case JF_DEL:
        g_assert_true(jf_ref_decode(record->payload, record->len, &ref));
        compare_uuid(ref.uuid, e->ref.uuid);
        break;
    case JF_COMMIT:
        g_assert_true(jf_commit_decode(record->payload, record->len, &commit));
        compare_range(commit.device, e->commit.device);
        g_assert_cmpuint(commit.time, ==, e->commit.time);
        break;
    case JF_ABORT:
        g_assert_true(jf_abort_decode(record->payload, record->len, &abort_rec));
        g_assert_cmpuint(abort_rec.reason, ==, e->abort.reason);
        g_assert_cmpuint(abort_rec.time, ==, e->abort.time);
        break;
    case JF_NAME:
        g_assert_true(jf_name_decode(record->payload, record->len, &name));
        compare_uuid(name.uuid, e->name.uuid);
        g_assert_cmpstr(name.name, ==, e->name.name);
        break;
    case JF_OWNER:
        g_assert_true(jf_owner_decode(record->payload, record->len, &owner));
        compare_uuid(owner.uuid, e->owner.uuid);
        g_assert_cmpuint(owner.uid, ==, e->owner.uid);
        g_assert_cmpstr(owner.user, ==, e->owner.user);
        break;
    case JF_NOTE:
        g_assert_true(jf_note_decode(record->payload, record->len, note));
        g_assert_cmpstr(note, ==, e->note);
        break;
    default:
        g_assert_not_reached();
    }
}

static bool compare(const JournalRecord *record, void *data, GError **error) {
    (void) error;
    Reader *reader = data;
    size_t n;
    const GoldenRecord *records = golden_records(reader->minor, &n);

    g_assert_cmpuint(reader->next, <, n);
    const GoldenRecord *e = &records[reader->next];
    bool in_snapshot = reader->next < GOLDEN_SNAPSHOT;
    /* BEGIN of the first area is 1 and END 2; then BEGIN of this one, and its END before the log. */
    g_assert_cmpuint(record->seq, ==, 4 + reader->next + (in_snapshot ? 0 : 1));
    g_assert_cmphex(record->type, ==, e->type);
    g_assert_cmphex(record->flags, ==, in_snapshot ? JF_RECORD_SNAPSHOT : 0);
    g_assert_cmpuint(record->txid, ==, e->txid);
    reader->next++;

    switch (record->type) {
    case JF_ADD:
    case JF_INTENT_CREATE:
        compare_created(record, &e->region);
        break;
    case JF_INTENT_DELETE:
        compare_delete(record, &e->del);
        break;
    case JF_OPEN:
        compare_open(record, &e->open);
        break;
    case JF_REQUEST:
        compare_request(record, &e->request);
        break;
    case JF_LEASE:
        compare_lease(record, &e->lease);
        break;
    case JF_UNLEASE:
        compare_unlease(record, &e->unlease);
        break;
    case JF_BAD_FRAMES:
        compare_bad(record, &e->bad);
        break;
    case JF_ERASE_PROGRESS:
        compare_erase(record, &e->erase);
        break;
    case JF_ADOPT:
        compare_adopt(record, &e->adopt);
        break;
    default:
        compare_small(record, e);
        break;
    }
    return true;
}

/* One image. */
typedef struct {
    const char *dir;
    unsigned minor;
    MediumClass class;
} Golden;

static GBytes *load(const Golden *golden) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL, *path = NULL;
    path = g_strdup_printf("%s/journal-1.%u-%s.txt", golden->dir, golden->minor,
                           golden->class == MEDIUM_CLASS_MAPPED ? "mapped" : "file");
    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return golden_from_text(text, SIZE);
}

static void test_read(gconstpointer data) {
    const Golden *golden = data;
    unsigned minor = golden->minor;
    MediumClass class = golden->class;
    g_autoptr(GBytes) image = load(golden);
    g_autoptr(GError) error = NULL;
    RecordingMedium *m = recording_medium_new(SIZE, class);
    Reader reader = { .minor = minor };
    size_t n;

    recording_medium_reset(m, g_bytes_get_data(image, NULL));
    Journal *j = journal_open(&m->base, true, compare, &reader, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(journal_report(j), ==, "");
    g_assert_cmpint(journal_verdict(j), ==, JOURNAL_CLEAN);
    (void) golden_records(minor, &n);
    g_assert_cmpuint(reader.next, ==, n);

    const JfSuperblock *sb = journal_superblock(j);
    JfSuperblock e = golden_superblock(minor, class);
    compare_uuid(sb->journal_uuid, e.journal_uuid);
    compare_uuid(sb->member_uuid, e.member_uuid);
    compare_uuid(sb->peer_uuid, SD_ID128_NULL);
    compare_uuid(sb->raw_cookie, e.raw_cookie);
    compare_range(sb->range, e.range);
    g_assert_cmpuint(sb->major, ==, 1);
    g_assert_cmpuint(sb->minor, ==, minor);
    g_assert_cmpuint(sb->compat | sb->ro_compat | sb->incompat, ==, 0);
    g_assert_cmpuint(sb->page_info_bytes, ==, 32);
    g_assert_cmpuint(sb->m2p_bytes, ==, 8);
    g_assert_cmpuint(sb->sb_seq, ==, 1);
    g_assert_cmpuint(sb->created, ==, e.created);
    g_assert_cmpuint(sb->geo.stride, ==, e.geo.stride);
    g_assert_cmpuint(sb->geo.size, ==, SIZE);
    g_assert_cmpuint(sb->geo.area_off[0], ==, 65536);
    g_assert_cmpuint(sb->geo.area_off[1], ==, 131072);
    g_assert_cmpuint(sb->geo.area_len, ==, 65536);
    g_assert_cmpuint(sb->geo.mgmt_off, ==, 196608);
    g_assert_cmpuint(sb->geo.mgmt_len, ==, 0);
    g_assert_cmpuint(sb->geo.unit, ==, 65536);
    journal_free(j);
    medium_free(&m->base);
}

static void test_write(gconstpointer data) {
    const Golden *golden = data;
    g_autoptr(GBytes) stored = load(golden);
    g_autoptr(GBytes) built = golden_build(golden->minor, golden->class);
    g_autofree char *a = golden_to_text(stored), *b = golden_to_text(built);
    g_assert_cmpstr(a, ==, b);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    if (argc != 2) {
        g_printerr("usage: journal-golden DIRECTORY\n");
        return 2;
    }
    const Golden images[] = {
        { argv[1], 0, MEDIUM_CLASS_MAPPED },
        { argv[1], 0, MEDIUM_CLASS_FILE },
        { argv[1], 1, MEDIUM_CLASS_MAPPED },
        { argv[1], 1, MEDIUM_CLASS_FILE },
    };
    G_STATIC_ASSERT(JF_MINOR == 1);
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        const char *class = images[i].class == MEDIUM_CLASS_MAPPED ? "mapped" : "file";
        g_autofree char *read = g_strdup_printf("/golden/1.%u/%s/read", images[i].minor, class);
        g_autofree char *write = g_strdup_printf("/golden/1.%u/%s/write", images[i].minor, class);

        g_test_add_data_func(read, &images[i], test_read);
        g_test_add_data_func(write, &images[i], test_write);
    }
    return g_test_run();
}
