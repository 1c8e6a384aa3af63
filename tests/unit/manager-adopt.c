/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Adopt and Forget: devices without a journal, regions without a device, pools of other machines.
 */
#include "tests/lib/manager-host.h"

#include "daemon/file-record.h"
#include "daemon/journal.h"

#include <fcntl.h>
#include <unistd.h>

static ManagerRequest on_key(ManagerMethod method, const char *key) {
    return (ManagerRequest){
        .method = method,
        .user = "root",
        .others = true,
        .repair = { .key = key, .extent_start = UINT64_MAX, .owner_user = "" },
    };
}

static void remove_device(const Host *host, const char *role, sd_id128_t device, bool image_only) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *image = g_strdup_printf("%s/%s-%s.img", host->pmem, role, pmemd_uuid_format(device, text));
    g_autofree char *record = g_strdup_printf("%s/%s.dev", host->pmem, text);

    g_assert_cmpint(g_remove(image), ==, 0);
    if (!image_only)
        g_assert_cmpint(g_remove(record), ==, 0);
}

static const Foreign *only_foreign(Host *host) {
    GPtrArray *foreigns = state_foreigns(manager_state(host->manager));

    g_assert_cmpuint(foreigns->len, ==, 1);
    return g_ptr_array_index(foreigns, 0);
}

static guint count_foreigns(Host *host) {
    return state_foreigns(manager_state(host->manager))->len;
}

static void write_at(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(pwrite(fd, text, strlen(text), 1 << 20), ==, (ssize_t) strlen(text));
    close(fd);
}

static void assert_holds(const char *path, const char *text) {
    char buf[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(pread(fd, buf, strlen(text), 1 << 20), ==, (ssize_t) strlen(text));
    g_assert_cmpstr(buf, ==, text);
    close(fd);
}

/* A pool that was lost with its management region, and another one: the first one's data region is an orphan, whose
 * content reads "precious". */
typedef struct {
    sd_id128_t pool; /* the one that is left */
    sd_id128_t device;
    FrameRange range;
    char *path;
} Orphan;

static Orphan make_orphan(Host *host) {
    Orphan orphan = { 0 };
    ManagerRequest other = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "other");
    sd_id128_t lost = make_pool(host), region = make_region(host, "guest");

    orphan.pool = host_ask(host, &other).result;
    orphan.device = find(host, region)->device_uuid;
    orphan.range = find(host, region)->range;
    orphan.path = g_strdup(region_path(find(host, region)));
    write_at(orphan.path, "precious");
    host_stop(host);
    remove_device(host, "mgmt", lost, false);
    host_start(host);
    g_assert_null(find_pool(host, lost));
    g_assert_cmpint(only_foreign(host)->kind, ==, FOREIGN_ORPHAN);
    return orphan;
}

static void test_adopt(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name), *path = orphan.path;
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name);

    adopt.repair.name = "guest";
    adopt.repair.owner_uid = 1000;
    adopt.repair.owner_user = "jo";
    adopt.request_id = SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01);
    Reply reply = host_ask(host, &adopt);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    for (int start = 0; start < 3; start++) {
        const Region *region = find(host, reply.result);

        g_assert_nonnull(region);
        g_assert_cmpint(region->state, ==, REGION_OK);
        g_assert_true(frame_range_equal(region->range, orphan.range));
        g_assert_true(sd_id128_equal(region->pool->sb.member_uuid, orphan.pool));
        g_assert_cmpuint(region->owner_uid, ==, 1000);
        g_assert_cmpstr(region->user, ==, "jo");
        g_assert_cmpstr(region->name, ==, "guest");
        g_assert_cmpint(region->flags & JF_REGION_DIRTY, ==, 0); /* or it would be erased before its owner gets it */
        g_assert_cmpstr(region_path(region), ==, path);
        assert_holds(path, "precious");
        /* The same request again has the same answer. */
        g_assert_true(sd_id128_equal(host_ask(host, &adopt).result, reply.result));
        host_restart(host);
    }
    release_and_wait(host, reply.result);
    g_assert_cmpuint(host->jobs_failed, ==, 0);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    host_restart(host);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
}

static int lend(Host *host, ManagerMethod method, sd_id128_t region, const char *owner) {
    const ManagerRequest request = {
        .method = method,
        .user = "root",
        .others = true,
        .lease = { .uuid = region, .owner = owner, .sender = "" },
    };

    return host_ask(host, &request).code;
}

/* Its device goes on to have the tag of the pool that made it: what is done by the tag is done by that one. */
static void test_adopted_is_used(void) {
    g_autoptr(Host) host = host_new("file");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name);
    g_autofree G_GNUC_UNUSED char *path = orphan.path; /* to be freed */
    g_autofree char *health = host_file(host, "health.conf"), *bad = NULL;
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name);
    sd_id128_t region = host_ask(host, &adopt).result;

    /* The second owner's attach renews it. */
    g_assert_cmpint(lend(host, MANAGER_ATTACH, region, "vm1"), ==, -1);
    g_assert_cmpint(lend(host, MANAGER_DETACH, region, "vm1"), ==, -1);
    g_assert_cmpint(lend(host, MANAGER_ATTACH, region, "vm2"), ==, -1);
    g_assert_cmpint(lend(host, MANAGER_DETACH, region, "vm2"), ==, -1);
    assert_holds(path, "precious");

    bad = g_strdup_printf("[%s]\nBadFrames=0x%" PRIx64 "\n", find(host, region)->occupant.raw->id, orphan.range.start);
    host_stop(host);
    g_assert_true(g_file_set_contents(health, bad, -1, NULL));
    host_start(host);
    g_assert_nonnull(region_bad(find(host, region)));
    ManagerRequest clear = {
        .method = MANAGER_CLEAR_BAD_FRAMES, .user = "root", .others = true, .target.uuid = region
    };
    g_assert_cmpint(host_ask(host, &clear).code, ==, -1);
    g_assert_null(region_bad(find(host, region)));
    assert_holds(path, "precious");

    /* A release clears bad frames, too. */
    host_stop(host);
    g_assert_true(g_file_set_contents(health, bad, -1, NULL));
    host_start(host);
    g_assert_nonnull(region_bad(find(host, region)));
    release_and_wait(host, region);
    g_assert_cmpuint(host->jobs_failed, ==, 0);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* What cannot be read of it is known at once, not at the next look. */
static void test_adopt_bad(void) {
    g_autoptr(Host) host = host_new("file");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name);
    g_autofree G_GNUC_UNUSED char *path = orphan.path; /* to be freed */
    g_autofree char *health = host_file(host, "health.conf");
    g_autofree char *bad = g_strdup_printf("[%s]\nBadFrames=0x%" PRIx64 "\n", only_foreign(host)->occupant.raw->id,
                                           orphan.range.start + 1);
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name);

    host_stop(host);
    g_assert_true(g_file_set_contents(health, bad, -1, NULL));
    host_start(host);
    sd_id128_t region = host_ask(host, &adopt).result;
    for (int start = 0; start < 2; start++) {
        g_assert_cmpuint(region_bad_frames(region_bad(find(host, region))), ==, 1);
        /* It is remembered, too. */
        host_stop(host);
        g_assert_true(g_file_set_contents(health, "", -1, NULL));
        host_start(host);
    }
}

/* The pool, and the place in it, that were asked for. */
static void test_adopt_place(void) {
    g_autoptr(Host) host = host_new("file");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name);
    g_autofree G_GNUC_UNUSED char *path = orphan.path; /* to be freed */
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name);
    FrameRange pool = find_pool(host, orphan.pool)->sb.range;
    uint64_t used = pool_used_frames(find_pool(host, orphan.pool));

    adopt.repair.mgmt = "nobody";
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_NO_SUCH_MGMT);
    adopt.repair.mgmt = "other";
    adopt.repair.extent_start = pool.start; /* the superblock's */
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_NO_SPACE);
    adopt.repair.extent_start = pool.end + 5;
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);
    adopt.repair.extent_start = pool.start - 1;
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    adopt.repair.extent_start = pool.start + used + 7;
    Reply reply = host_ask(host, &adopt);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmpuint(find(host, reply.result)->extent.range.start, ==, pool.start + used + 7);
}

/* Nor is a hypervisor given frames that it cannot read. */
static void test_adopt_beside_bad(void) {
    g_autoptr(Host) host = host_new("file");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name), *text = NULL;
    g_autofree G_GNUC_UNUSED char *path = orphan.path; /* to be freed */
    g_autofree char *health = g_build_filename(host->pmem, "health.conf", NULL);
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name);
    FrameRange fit;

    adopt.repair.mgmt = "other";
    g_assert_true(pool_fit_extent(find_pool(host, orphan.pool), 1, &fit));
    text = g_strdup_printf("[%s]\nBadFrames=0x%" G_GINT64_MODIFIER "x+2\n",
                           find_pool(host, orphan.pool)->occupant.raw->id, fit.start);
    g_assert_true(g_file_set_contents(health, text, -1, NULL));
    host_restart(host);
    adopt.repair.extent_start = fit.start;
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_DEGRADED);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    adopt.repair.extent_start = UINT64_MAX;
    Reply reply = host_ask(host, &adopt);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmpuint(find(host, reply.result)->extent.range.start, >=, fit.start + 2);
}

static void test_adopt_refused(void) {
    g_autoptr(Host) host = host_new("file");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name), *path = orphan.path;
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name), nobody = on_key(MANAGER_ADOPT, "nobody"),
                   ours = on_key(MANAGER_ADOPT, "other"), forget = on_key(MANAGER_FORGET, name);

    g_assert_cmpint(host_ask(host, &nobody).code, ==, PMEMD_ERROR_NO_SUCH_REGION);
    g_assert_cmpint(host_ask(host, &ours).code, ==, PMEMD_ERROR_EXISTS);
    /* To forget what is there is to destroy it: not unasked. */
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);
    assert_holds(path, "precious");

    /* Not whole: only destroyed. */
    remove_device(host, "data", orphan.device, true);
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_DEGRADED);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    forget.repair.destroy = true;
    Reply reply = host_ask(host, &forget);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_true(sd_id128_is_null(reply.result));
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    host_restart(host);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
}

/* An orphan with content is erased by a job before its device goes. */
static void test_forget_orphan(void) {
    g_autoptr(Host) host = host_new("mapped");
    Orphan orphan = make_orphan(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name), *path = orphan.path;
    ManagerRequest forget = on_key(MANAGER_FORGET, name);

    forget.repair.destroy = true;
    Reply reply = host_ask(host, &forget);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_false(sd_id128_is_null(reply.result));
    while (host->jobs_done + host->jobs_failed == 0)
        host_run(host);
    g_assert_cmpuint(host->jobs_done, ==, 1);
    g_assert_true(sd_id128_equal(host->last_job, reply.result));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    host_restart(host);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
}

/* What somebody else made is not ours to adopt or destroy. */
static void test_foreign(void) {
    g_autoptr(Host) host = host_new("file");
    g_autofree char *path = host_file(host, "11111111-2222-4333-8444-555555555555.dev");
    const FileRecord record = {
        .tag = (char *) "other",
        .raw = (char *) "a",
        .device = { BASE + 8192, BASE + 8448 },
        .mode = (char *) "file",
        .name = (char *) "theirs",
    };
    g_autofree char *text = file_record_format(&record);

    make_pool(host);
    host_stop(host);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    host_start(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name);
    g_assert_cmpint(only_foreign(host)->kind, ==, FOREIGN_FOREIGN);
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name), forget = on_key(MANAGER_FORGET, name);
    forget.repair.destroy = true;
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_NOT_SUPPORTED);
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_NOT_SUPPORTED);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* The device of a region is gone for good: its frames and its extent are free again. */
static void test_forget_missing(void) {
    g_autoptr(Host) host = host_new("file");
    char text[PMEMD_UUID_STRING_MAX];
    sd_id128_t pool = make_pool(host);
    uint64_t before = pool_free_frames(find_pool(host, pool));
    sd_id128_t region = make_region(host, "guest");
    FrameRange range = find(host, region)->range;
    ManagerRequest forget = on_key(MANAGER_FORGET, pmemd_uuid_format(region, text));

    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_BUSY); /* it is there */
    forget.repair.destroy = true;                                        /* which is not about regions */
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_BUSY);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    sd_id128_t device = find(host, region)->device_uuid;
    host_stop(host);
    remove_device(host, "data", device, true);
    host_start(host);
    /* Half of it is there: it may be put right. */
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_BUSY);
    host_stop(host);
    g_autofree char *record = g_strdup_printf("%s/%s.dev", host->pmem, pmemd_uuid_format(device, text));
    g_assert_cmpint(g_remove(record), ==, 0);
    host_start(host);
    pmemd_uuid_format(region, text);
    g_assert_cmpint(host_ask(host, &forget).code, ==, -1);
    for (int start = 0; start < 2; start++) {
        g_assert_null(find(host, region));
        g_assert_cmpuint(pool_free_frames(find_pool(host, pool)), ==, before);
        host_restart(host);
    }
    region = make_region(host, "guest");
    g_assert_true(frame_range_equal(find(host, region)->range, range));
}

/* A release whose device went for good before it was erased. */
static void test_forget_releasing(void) {
    g_autoptr(Host) host = host_new("file");
    char text[PMEMD_UUID_STRING_MAX];
    sd_id128_t region;

    make_pool(host);
    region = make_region(host, "guest");
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region), forget = on_key(MANAGER_FORGET, "");

    forget.repair.key = pmemd_uuid_format(region, text);
    host_inject(host, "[zero]\nNth=1\nError=EIO\n");
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    while (host->jobs_failed == 0)
        host_run(host);
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_BUSY);
    sd_id128_t device = find(host, region)->device_uuid;
    remove_device(host, "data", device, false);
    g_assert_cmpint(host_ask(host, &forget).code, ==, -1);
    g_assert_null(find(host, region));
    host_restart(host);
    g_assert_null(find(host, region));
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
}

/* A management device without a superblock goes when it is asked for, and a copy of what it holds stays. */
static void test_forget_unformatted(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    char zeros[512] = "";

    host_stop(host);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, zeros, sizeof zeros, 0), ==, sizeof zeros);
    g_assert_cmpint(pwrite(fd, zeros, sizeof zeros, lseek(fd, 0, SEEK_END) - 4096), ==, sizeof zeros);
    close(fd);
    host_start(host);
    g_autofree char *name = g_strdup(only_foreign(host)->name);
    g_assert_cmpint(only_foreign(host)->kind, ==, FOREIGN_UNFORMATTED);
    ManagerRequest adopt = on_key(MANAGER_ADOPT, name), forget = on_key(MANAGER_FORGET, name);
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_cmpint(host_ask(host, &forget).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);

    /* Not without the copy, unless it is forced. */
    g_autofree char *evidence = g_build_filename(host->state_dir, "evidence", NULL);
    g_assert_cmpint(rmdir(evidence), ==, 0);
    forget.repair.destroy = true;
    g_assert_cmpint(host_ask(host, &forget).code, !=, -1);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    g_assert_cmpint(g_mkdir(evidence, 0700), ==, 0);
    g_assert_cmpint(host_ask(host, &forget).code, ==, -1);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_autoptr(GDir) dir = g_dir_open(evidence, 0, NULL);
    g_assert_nonnull(g_dir_read_name(dir));
}

/* --- pools of other machines --- */

static bool ignore_record(const JournalRecord *record, void *data, GError **error) {
    return true;
}

static void set_machine(const char *path, sd_id128_t machine) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_autoptr(Medium) medium = medium_file_new(fd, (uint64_t) lseek(fd, 0, SEEK_END), NULL);
    g_autoptr(Journal) journal = journal_open(medium, true, ignore_record, NULL, NULL);
    JfOpen record = { .machine_id = machine };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_true(journal_append(journal, JF_OPEN, 0, buf, jf_open_encode(&record, buf), NULL, NULL));
}

static void test_adopt_pool(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region;
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    ManagerRequest data = allocate_data(8 << 20, "guest"), adopt = on_key(MANAGER_ADOPT, "pool");

    data.uid = 1000;
    data.user = "jo";
    region = host_ask(host, &data).result;
    /* A creation that the other machine did not end. */
    data.data.name = "half";
    host_inject(host, "[create]\nWhen=partial\nError=EIO\n[list]\nError=EIO\n");
    g_assert_cmpint(host_ask(host, &data).code, !=, -1);
    host_stop(host);
    set_machine(path, SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01));
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpuint(find(host, region)->owner_uid, ==, 1000);
    Reply reply = host_ask(host, &adopt);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_true(sd_id128_equal(reply.result, pool));
    for (int start = 0; start < 2; start++) {
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
        g_assert_cmpuint(find_pool(host, pool)->owner_uid, ==, 0);
        g_assert_cmpuint(find(host, region)->owner_uid, ==, 0);
        g_assert_cmpstr(find(host, region)->user, ==, "root");
        g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1); /* the half-made one is gone */
        g_assert_cmpuint(count_foreigns(host), ==, 0);
        host_restart(host);
    }
    g_assert_cmpint(host_ask(host, &adopt).code, ==, PMEMD_ERROR_EXISTS);
    make_region(host, "more");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_data_func("/manager-adopt/orphan/file", "file", test_adopt);
    g_test_add_data_func("/manager-adopt/orphan/mapped", "mapped", test_adopt);
    g_test_add_func("/manager-adopt/used", test_adopted_is_used);
    g_test_add_func("/manager-adopt/bad", test_adopt_bad);
    g_test_add_func("/manager-adopt/place", test_adopt_place);
    g_test_add_func("/manager-adopt/beside-bad", test_adopt_beside_bad);
    g_test_add_func("/manager-adopt/refused", test_adopt_refused);
    g_test_add_func("/manager-adopt/foreign", test_foreign);
    g_test_add_func("/manager-adopt/pool", test_adopt_pool);
    g_test_add_func("/manager-forget/orphan", test_forget_orphan);
    g_test_add_func("/manager-forget/missing", test_forget_missing);
    g_test_add_func("/manager-forget/releasing", test_forget_releasing);
    g_test_add_func("/manager-forget/unformatted", test_forget_unformatted);
    return g_test_run();
}
