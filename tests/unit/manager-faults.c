/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager when things are worse than a failing call: full, corrupt, foreign and failing journals, twins, and a
 * daemon that is killed at each step of setting up and releasing a mgmt region.
 */
#include "tests/lib/manager-host.h"

#include "daemon/hints.h"
#include "daemon/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int ask_target(Host *host, ManagerMethod method, sd_id128_t uuid, const char *name) {
    ManagerRequest request = target(method, uuid);

    request.target.name = name;
    request.target.owner_user = "jo";
    return host_ask(host, &request).code;
}

/* Many more records than an area has room for: the log is checkpointed, and a start finds the last word of each. */
static void test_full_journal(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");
    guint checkpoints = 0;

    mgmt.mgmt.max_regions = 1;
    sd_id128_t pool = host_ask(host, &mgmt).result, region = make_region(host, "guest");
    uint64_t left = journal_log_bytes(find_pool(host, pool)->journal);
    guint changes = g_str_equal(medium, "mapped") ? 12000 : 3000; /* a file's records take 512 bytes each */
    for (guint i = 0; i < changes; i++) {
        g_autofree char *name = g_strdup_printf("guest-%u", i);

        if (i % 3 == 2)
            g_assert_cmpint(ask_target(host, MANAGER_SET_OWNER, region, ""), ==, -1);
        else
            g_assert_cmpint(ask_target(host, MANAGER_RENAME, i % 3 ? region : pool, name), ==, -1);
        uint64_t now = journal_log_bytes(find_pool(host, pool)->journal);
        checkpoints += now > left;
        left = now;
        if (i % 3000 == 1000)
            host_restart(host);
    }
    g_assert_cmpuint(checkpoints, >=, 1);
    host_restart(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_autofree char *pool_name = g_strdup_printf("guest-%u", changes - 3),
                    *region_name = g_strdup_printf("guest-%u", changes - 2);
    g_assert_cmpstr(find_pool(host, pool)->name, ==, pool_name);
    g_assert_cmpstr(find(host, region)->name, ==, region_name);
    g_assert_cmpstr(find(host, region)->user, ==, "jo");
    release_and_wait(host, region);
    g_assert_null(find(host, region));
}

/* --- forging --- */

static bool ignore_record(const JournalRecord *record, void *data, GError **error) {
    (void) record;
    (void) data;
    (void) error;
    return true;
}

static Medium *open_image(const char *path, bool mapped) {
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    Medium *medium =
        mapped ? medium_mapped_new(fd, (uint64_t) size, true, &error) : medium_file_new(fd, (uint64_t) size, &error);

    g_assert_no_error(error);
    return medium;
}

static void append_to(const char *path, bool mapped, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Medium) medium = open_image(path, mapped);
    g_autoptr(Journal) journal = journal_open(medium, true, ignore_record, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(journal_append(journal, type, txid, payload, len, NULL, &error));
    g_assert_no_error(error);
}

/* Flips a bit `back` bytes before the end of the log. */
static void damage(const char *path, bool mapped, uint64_t back) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Medium) medium = open_image(path, mapped);
    g_autoptr(Journal) journal = journal_open(medium, false, ignore_record, NULL, &error);
    const JfGeometry *geo = &journal_superblock(journal)->geo;
    uint64_t pos =
        geo->area_off[0] + geo->area_len - journal_log_bytes(journal) - back; /* no checkpoint has been made */
    uint8_t byte = (uint8_t) (medium_base(medium)[pos] ^ 0x10);

    g_assert_cmpint(journal_verdict(journal), ==, JOURNAL_CLEAN);
    g_assert_cmpint(medium_store(medium, pos, &byte, 1), ==, 0);
    g_assert_cmpint(medium_flush(medium, pos, 1), ==, 0);
    g_assert_cmpint(medium_fence(medium), ==, 0);
}

static guint count_evidence(const Host *host) {
    g_autofree char *path = g_build_filename(host->state_dir, "evidence", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

/* Every change of the pool is refused with this code; lists are as they were. */
static void assert_refuses(Host *host, sd_id128_t pool, sd_id128_t region, int code) {
    ManagerRequest data = allocate_data(1 << 20, "more");
    char text[PMEMD_UUID_STRING_MAX];

    data.data.pool = pmemd_uuid_format(pool, text);
    g_assert_cmpint(host_ask(host, &data).code, ==, code);
    g_assert_cmpint(ask_target(host, MANAGER_RENAME, region, "x"), ==, code);
    g_assert_cmpint(ask_target(host, MANAGER_RENAME, pool, "x"), ==, code);
    g_assert_cmpint(ask_target(host, MANAGER_SET_OWNER, region, ""), ==, code);
    g_assert_cmpint(ask_target(host, MANAGER_RELEASE_DATA, region, ""), ==, code);
    g_assert_cmpint(ask_target(host, MANAGER_RELEASE_MGMT, pool, ""), ==, code);
    g_assert_nonnull(find(host, region));
}

static void test_corrupt(gconstpointer medium) {
    bool mapped = g_str_equal(medium, "mapped");
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest"), later = make_region(host, "later");
    FrameRange range = find(host, later)->range;
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);

    /* `later`'s COMMIT and INTENT come before these two; the damage is in its INTENT, so that only the tag tells of
     * it. */
    uint64_t back = mapped ? 64 + 192 - 40 : 2 * 512 - 40;
    host_stop(host);
    damage(path, mapped, back);
    for (int start = 0; start < 2; start++) {
        host_start(host);
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_CORRUPT);
        g_assert_nonnull(strstr(find_pool(host, pool)->reason, host->state_dir));
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_READ_ONLY);
        g_assert_cmpuint(count_evidence(host), ==, 1);
        g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
        g_assert_cmpstr(find(host, region)->name, ==, "guest");
        g_assert_null(find(host, later));
        g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
        const Foreign *orphan = g_ptr_array_index(state_foreigns(manager_state(host->manager)), 0);
        g_assert_cmpint(orphan->kind, ==, FOREIGN_ORPHAN);
        g_assert_true(frame_range_contains(orphan->device, range));
        assert_refuses(host, pool, region, PMEMD_ERROR_CORRUPT);

        /* Its frames are nobody's to take, another pool's neither. */
        ManagerRequest steal = setup_mgmt(range.start, range.start + 4096, NULL);
        g_assert_cmpint(host_ask(host, &steal).code, !=, -1);
        host_stop(host);
    }
    host_start(host);
}

/* Nothing of a pool that must not be written is erased, however far its journal says that a release had come. */
static void test_other_machine(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest"), released = make_region(host, "released");
    sd_id128_t half = make_region(host, "half");
    g_autofree char *path = g_strdup(find_pool(host, pool)->path),
                    *content = g_strdup(region_path(find(host, released)));
    g_autofree char *bytes = NULL;
    JfOpen start = { .machine_id = SD_ID128_MAKE(99, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10),
                     .version = "0.1" };
    JfDelete delete = { .region_uuid = released };
    uint8_t buf[JF_PAYLOAD_MAX];
    const Region *left = find(host, half);
    JfRegion create = { .region_uuid = SD_ID128_MAKE(77, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10),
                        .range = { left->range.end, left->range.end + 256 },
                        .device_start = left->range.end,
                        .extent = { left->extent.range.end, left->extent.range.end + 3 } };

    host_stop(host);
    g_autofree char *secret = g_strnfill(4096, 's');
    int fd = open(content, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(write(fd, secret, 4096), ==, 4096);
    close(fd);
    append_to(path, false, JF_INTENT_DELETE, 100, buf, jf_delete_encode(&delete, buf));
    append_to(path, false, JF_INTENT_CREATE, 101, buf, jf_region_encode(&create, buf));
    append_to(path, false, JF_OPEN, 0, buf, jf_open_encode(&start, buf));
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_nonnull(strstr(find_pool(host, pool)->reason, "another machine"));
    assert_refuses(host, pool, region, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpuint(count_evidence(host), ==, 0);
    g_assert_cmpint(find(host, released)->state, ==, REGION_QUARANTINED);
    g_assert_nonnull(strstr(find(host, released)->reason, "read-only"));
    g_assert_cmpint(find(host, create.region_uuid)->state, ==, REGION_UNSETTLED);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    g_assert_cmpint(ask_target(host, MANAGER_RELEASE_DATA, released, ""), ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    assert_not_erased(host, released, PMEMD_ERROR_READ_ONLY);
    host_restart(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY); /* a start of ours does not make it ours */
    host_stop(host);
    g_assert_true(g_file_get_contents(content, &bytes, NULL, NULL));
    g_assert_cmpmem(bytes, 4096, secret, 4096);
    host_start(host);
}

/* The record says that it is released, but what is there carries another tag: not erased, at the start nor by
 * another request. */
static void test_other_tag(void) {
    g_autoptr(Host) host = host_new("file");
    g_autofree char *text = NULL, *bytes = NULL, *description = NULL, *name = NULL;
    char uuid[PMEMD_UUID_STRING_MAX];

    make_pool(host);
    sd_id128_t region = make_region(host, "guest");
    const Region *r = find(host, region);
    g_autofree char *content = g_strdup(region_path(r));
    name = g_strconcat(pmemd_uuid_format(r->device_uuid, uuid), ".dev", NULL);
    description = host_file(host, name);
    host_inject(host, "[zero]\nError=EIO\n");
    release_and_wait(host, region);
    host_stop(host);
    g_assert_true(g_file_set_contents(content, "secret", -1, NULL));
    g_assert_cmpint(truncate(content, 8 << 20), ==, 0);
    g_assert_true(g_file_get_contents(description, &text, NULL, NULL));
    char *tag = strstr(text, "pmemd:data:");
    g_assert_nonnull(tag);
    tag += strlen("pmemd:data:");
    *tag = *tag == '0' ? '1' : '0'; /* another pool's */
    g_assert_true(g_file_set_contents(description, text, -1, NULL));
    g_assert_cmpint(g_chmod(description, 0600), ==, 0);
    g_assert_cmpint(g_chmod(content, 0600), ==, 0);
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_UNSETTLED);
    g_assert_cmpint(ask_target(host, MANAGER_RELEASE_DATA, region, ""), ==, PMEMD_ERROR_BUSY);
    g_assert_cmpint(ask_target(host, MANAGER_RENAME, region, "x"), ==, PMEMD_ERROR_BUSY);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    host_stop(host);
    g_assert_true(g_file_get_contents(content, &bytes, NULL, NULL));
    g_assert_cmpstr(bytes, ==, "secret");
    host_start(host);
}

static void move_device(const Host *host, sd_id128_t device, uint64_t start) {
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *name = g_strconcat(pmemd_uuid_format(device, uuid), ".dev", NULL);
    g_autofree char *path = host_file(host, name);
    g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", start);
    g_autoptr(GKeyFile) file = g_key_file_new();

    g_assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
    g_key_file_set_string(file, "Device", "StartFrame", text);
    g_assert_true(g_key_file_save_to_file(file, path, NULL));
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
}

/* A device with a region's uuid that stands elsewhere: the region is missing, and the frames that the device takes
 * are not free. */
static void test_moved(void) {
    g_autoptr(Host) host = host_new("file");
    const uint64_t elsewhere = BASE + 0x8000;
    ManagerRequest request = { .method = MANAGER_SETUP_DATA, .user = "root" };

    sd_id128_t pool = make_pool(host);
    sd_id128_t region = make_region(host, "guest");
    sd_id128_t device = find(host, region)->device_uuid;
    uint64_t start = region_device(find(host, region)).start;
    uint64_t tail = find_pool(host, pool)->tail.range.start;

    host_stop(host);
    move_device(host, device, elsewhere);
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
    request.data = (DataRequest){
        .range = { elsewhere + 1024, elsewhere + 4096 },
        .mgmt = { tail - 128, tail },
        .node = -1,
    };
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_BUSY);
    g_assert_cmpint(ask_target(host, MANAGER_RELEASE_DATA, region, ""), ==, PMEMD_ERROR_DEGRADED);

    host_stop(host);
    move_device(host, device, start);
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

static guint count_images(const Host *host) {
    g_autoptr(GDir) dir = g_dir_open(host->pmem, 0, NULL);
    const char *name;
    guint n = 0;

    while ((name = g_dir_read_name(dir)))
        n += g_str_has_prefix(name, "data-") && g_str_has_suffix(name, ".img");
    return n;
}

/* The release is journalled, and that each byte is to be read back is not: both are told, and nothing is erased. */
static void test_verify_not_written(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    ManagerRequest request = target(MANAGER_RELEASE_DATA, region);
    const Pool *p = find_pool(host, pool);
    struct rlimit before = host_forbid_writes(), one = before;

    one.rlim_cur = p->sb.geo.area_off[0] + p->sb.geo.area_len - journal_log_bytes(p->journal) + p->sb.geo.stride;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &one), ==, 0);
    request.target.verify_all = true;
    int code = host_ask(host, &request).code;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_cmpint(code, ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(p->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    g_assert_cmpstr(find(host, region)->reason, !=, STATE_REASON_RELEASED);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    host_restart(host);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_null(find(host, region));
}

/* A change that could not be journalled is refused, and the model is as it was. */
static void test_change_not_written(void) {
    for (int i = 0; i < 3; i++) {
        g_autoptr(Host) host = host_new("file");
        sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
        struct rlimit before = host_forbid_writes();
        int code = i == 0   ? ask_target(host, MANAGER_RENAME, region, "other")
                   : i == 1 ? ask_target(host, MANAGER_SET_OWNER, region, "")
                            : ask_target(host, MANAGER_RELEASE_DATA, region, "");

        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
        g_assert_cmpint(code, ==, PMEMD_ERROR_HARDWARE);
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
        g_assert_cmpstr(find(host, region)->name, ==, "guest");
        g_assert_cmpstr(find(host, region)->user, ==, "root");
        g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
        g_assert_null(find(host, region)->intent);
        g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
        host_restart(host);
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
        g_assert_cmpstr(find(host, region)->name, ==, "guest");
        g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    }
}

/* The medium fails between INTENT and COMMIT: nothing is acknowledged, the next start finds the region whole. */
static void test_medium_fails(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    ManagerRequest data = allocate_data(8 << 20, "late");
    Reply reply = { 0 };

    host_hold(host);
    host_inject(host, "[create]\nWhen=after\nWaitFile=hold\n");
    manager_submit(host->manager, &data, 1, on_reply, &reply);
    while (count_images(host) < 2)
        g_assert_cmpint(sd_event_run(host->event, 1000), >=, 0);
    struct rlimit before = host_forbid_writes();
    host_let_go(host);
    while (!reply.done)
        host_run(host);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_cmpint(reply.code, ==, PMEMD_ERROR_HARDWARE);
    g_free(reply.message);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    assert_refuses(host, pool, region, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 2); /* its frames stay reserved */
    for (const Region *r = state_next_region(manager_state(host->manager), NULL); r;
         r = state_next_region(manager_state(host->manager), r))
        g_assert_cmpint(r->intent != NULL, ==, !sd_id128_equal(r->uuid, region));

    host_restart(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 2);
    for (const Region *r = state_next_region(manager_state(host->manager), NULL); r;
         r = state_next_region(manager_state(host->manager), r))
        g_assert_cmpint(r->state, ==, REGION_OK);
}

/* --- an operation that does not end --- */

static void on_state_logged(void *data) {
    Host *host = data;

    if (manager_get_state(host->manager) == MANAGER_DEGRADED)
        host->degraded++;
}

/* The platform keeps the worker: said in the State, lists are answered meanwhile, and it is over when it comes back. */
static void test_stuck(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest data = allocate_data(8 << 20, "slow");
    const ManagerEvents events = { .summary_changed = on_state_logged };
    Reply reply = { 0 };

    make_pool(host);
    host_stop(host);
    host->stuck_usec = 20 * 1000;
    host_hold(host);
    host_inject(host, "[create]\nWaitFile=hold\n");
    host_start(host);
    manager_add_events(host->manager, &events, host);
    g_assert_cmpstr(manager_state_reason(host->manager), ==, "");
    manager_submit(host->manager, &data, 1, on_reply, &reply);
    while (host->degraded == 0)
        host_run(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_DEGRADED);
    g_assert_nonnull(strstr(manager_state_reason(host->manager), "backend file has not ended for 0.02 s"));
    g_assert_false(reply.done);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 1);

    host_let_go(host);
    while (!reply.done)
        host_run(host);
    g_assert_cmpint(reply.code, ==, -1);
    g_free(reply.message);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_assert_cmpstr(manager_state_reason(host->manager), ==, "");
}

/* The intent itself may be on the medium or not: its frames are no other pool's, whose journal goes on, until a start
 * has looked. */
static void test_intent_not_written(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest second = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "second"), data = allocate_data(8 << 20, "guest");
    sd_id128_t pool = make_pool(host);

    g_assert_cmpint(host_ask(host, &second).code, ==, -1);
    data.data.pool = "pool";
    struct rlimit before = host_forbid_writes();
    int code = host_ask(host, &data).code;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_cmpint(code, ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    const Region *left = state_next_region(manager_state(host->manager), NULL);
    g_assert_cmpint(left->state, ==, REGION_UNSETTLED);
    FrameRange reserved = left->range;
    data.data.pool = "second";
    Reply reply = host_ask(host, &data);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_false(frame_range_overlaps(find(host, reply.result)->range, reserved));
    host_restart(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
}

/* --- mgmt devices that are not what they seem --- */

static void write_superblock(const char *path, JfSuperblock *sb, unsigned copies) {
    g_autoptr(Medium) medium = open_image(path, false);
    uint8_t bytes[JF_SUPERBLOCK_SIZE] = { 0 };

    if (sb)
        jf_superblock_encode(sb, bytes);
    for (unsigned copy = 0; copy < 2; copy++)
        if (copies & (1u << copy))
            g_assert_cmpint(medium_store(medium, jf_superblock_offset(medium->size, copy), bytes, sizeof bytes), ==, 0);
    g_assert_cmpint(medium_fence(medium), ==, 0);
}

static void test_twins(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest second = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "second");
    sd_id128_t a = make_pool(host), b = host_ask(host, &second).result;
    g_autofree char *path = g_strdup(find_pool(host, b)->path);
    JfSuperblock sb = find_pool(host, b)->sb;
    sd_id128_t own = sb.journal_uuid;

    sb.journal_uuid = find_pool(host, a)->sb.journal_uuid;
    host_stop(host);
    write_superblock(path, &sb, 3);
    g_assert_true(hints_put(host->state_dir, HINT_SETUP, a, NULL)); /* not even these let it go */
    g_assert_true(hints_put(host->state_dir, HINT_SETUP, b, NULL));
    host_start(host);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 2);
    for (guint i = 0; i < 2; i++)
        g_assert_cmpint(((const Foreign *) state_foreigns(manager_state(host->manager))->pdata[i])->kind, ==,
                        FOREIGN_UNFORMATTED);
    g_assert_cmpint(host_ask(host, &second).code, ==, PMEMD_ERROR_BUSY);
    host_stop(host);
    sb.journal_uuid = own;
    write_superblock(path, &sb, 3);
    host_start(host);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 2);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
}

/* A setup hint that was left behind does not cost a pool that merely cannot be opened now. */
static void test_stale_setup_hint(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");

    host_stop(host);
    g_assert_true(hints_put(host->state_dir, HINT_SETUP, pool, NULL));
    host_inject(host, "[open_medium]\nError=EIO\n");
    host_start(host);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 2);
    host_restart(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_false(hints_has(host->state_dir, HINT_SETUP, pool));
}

/* Cut off between device and superblock 0: by the hint it goes; without it, it is only listed. */
static void test_unformatted(void) {
    for (int hint = 0; hint < 2; hint++)
        for (unsigned torn = 0; torn < 2; torn++) {
            g_autoptr(Host) host = host_new("file");
            sd_id128_t pool = make_pool(host);
            g_autofree char *path = g_strdup(find_pool(host, pool)->path);

            host_stop(host);
            write_superblock(path, NULL, 3);
            if (torn) {
                /* copy 1 began to be written */
                g_autoptr(Medium) medium = open_image(path, false);
                uint8_t magic[64];

                memset(magic, 'P', sizeof magic);
                g_assert_cmpint(medium_store(medium, jf_superblock_offset(medium->size, 1), magic, sizeof magic), ==,
                                0);
            }
            if (hint)
                g_assert_true(hints_put(host->state_dir, HINT_SETUP, pool, NULL));
            host_start(host);
            g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
            g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, hint ? 0 : 1);
            g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, !hint);
        }
}

/* --- killed --- */

/* A daemon of its own on the same directories, which is killed by what was injected while it serves the request. */
static void be_killed(Host *host, const ManagerRequest *request, const char *order) {
    int status;

    host_stop(host);
    fflush(NULL);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        host_start(host);
        host_inject(host, order);
        host_ask(host, request);
        _exit(3); /* it lived */
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    host_start(host);
}

static void assert_nothing_left(Host *host) {
    g_autoptr(GArray) setup = hints_list(host->state_dir, HINT_SETUP, NULL),
                      release = hints_list(host->state_dir, HINT_RELEASE, NULL);
    g_autoptr(GDir) dir = g_dir_open(host->pmem, 0, NULL);
    const char *name;

    g_assert_cmpuint(setup->len, ==, 0);
    g_assert_cmpuint(release->len, ==, 0);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    while ((name = g_dir_read_name(dir)))
        g_assert_true(g_str_equal(name, "regions.conf") || g_str_equal(name, "lock"));
    make_pool(host);
}

static void test_killed_setup(void) {
    static const char *const orders[] = {
        "[create]\nWhen=before\nError=kill\n",      "[create]\nWhen=prepared\nError=kill\n",
        "[create]\nWhen=partial\nError=kill\n",     "[create]\nWhen=after\nError=kill\n",
        "[list]\nWhen=before\nError=kill\n",        "[list]\nWhen=after\nError=kill\n",
        "[open_medium]\nWhen=before\nError=kill\n", "[open_medium]\nWhen=after\nError=kill\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(Host) host = host_new("file");
        ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

        g_test_message("%s", orders[i]);
        be_killed(host, &mgmt, orders[i]);
        assert_nothing_left(host);
    }
}

static void run_until_released(Host *host, sd_id128_t pool) {
    while (find_pool(host, pool))
        host_run(host);
}

static void test_killed_release(void) {
    static const char *const orders[] = {
        "[destroy]\nWhen=before\nError=kill\n",
        "[destroy]\nWhen=partial\nError=kill\n",
        "[destroy]\nWhen=after\nError=kill\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(Host) host = host_new("file");
        sd_id128_t pool = make_pool(host);
        ManagerRequest release = target(MANAGER_RELEASE_MGMT, pool);

        g_test_message("%s", orders[i]);
        be_killed(host, &release, orders[i]);
        assert_nothing_left(host);
    }
    /* The steps before the backend is asked: hint alone, superblock 0 gone, both gone. */
    for (unsigned gone = 0; gone < 3; gone++) {
        g_autoptr(Host) host = host_new("file");
        sd_id128_t pool = make_pool(host);
        g_autofree char *path = g_strdup(find_pool(host, pool)->path);

        host_stop(host);
        g_assert_true(hints_put(host->state_dir, HINT_RELEASE, pool, NULL));
        if (gone > 0)
            write_superblock(path, NULL, gone == 1 ? 1 : 3);
        host_start(host);
        run_until_released(host, pool);
        assert_nothing_left(host);
    }
}

/* The same for data: what was killed in mid-operation is whole or gone at the next start, and never both. */
static void test_killed_data(void) {
    static const struct {
        const char *order;
        guint regions;
    } creates[] = {
        { "[create]\nWhen=before\nError=kill\n", 0 },
        { "[create]\nWhen=prepared\nError=kill\n", 0 },
        { "[create]\nWhen=partial\nError=kill\n", 0 },
        { "[create]\nWhen=after\nError=kill\n", 1 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(creates); i++) {
        g_autoptr(Host) host = host_new("mapped");
        ManagerRequest data = allocate_data(8 << 20, "guest");

        make_pool(host);
        data.request_id = SD_ID128_MAKE(11, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
        be_killed(host, &data, creates[i].order);
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
        g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, creates[i].regions);
        g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
        g_assert_cmpint(host_ask(host, &data).code, ==, -1); /* the retry gets the region, or makes it */
        g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_data_func("/manager-faults/full-journal/file", "file", test_full_journal);
    g_test_add_data_func("/manager-faults/full-journal/mapped", "mapped", test_full_journal);
    g_test_add_data_func("/manager-faults/corrupt/file", "file", test_corrupt);
    g_test_add_data_func("/manager-faults/corrupt/mapped", "mapped", test_corrupt);
    g_test_add_func("/manager-faults/other-machine", test_other_machine);
    g_test_add_func("/manager-faults/other-tag", test_other_tag);
    g_test_add_func("/manager-faults/verify-not-written", test_verify_not_written);
    g_test_add_func("/manager-faults/change-not-written", test_change_not_written);
    g_test_add_func("/manager-faults/moved", test_moved);
    g_test_add_func("/manager-faults/medium-fails", test_medium_fails);
    g_test_add_func("/manager-faults/stuck", test_stuck);
    g_test_add_func("/manager-faults/intent-not-written", test_intent_not_written);
    g_test_add_func("/manager-faults/twins", test_twins);
    g_test_add_func("/manager-faults/stale-setup-hint", test_stale_setup_hint);
    g_test_add_func("/manager-faults/unformatted", test_unformatted);
    g_test_add_func("/manager-faults/killed-setup", test_killed_setup);
    g_test_add_func("/manager-faults/killed-release", test_killed_release);
    g_test_add_func("/manager-faults/killed-data", test_killed_data);
    return g_test_run();
}
