/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Repair of a pool, on really damaged images: a look that changes nothing, evidence first, then a pool that is served
 * again, with what could be kept and with orphans that can be adopted.
 */
#include "tests/lib/manager-host.h"

#include "daemon/journal.h"

#include <fcntl.h>
#include <unistd.h>

static ManagerRequest repair_of(const char *pool, RepairReport *report, bool apply) {
    return (ManagerRequest){
        .method = MANAGER_REPAIR,
        .user = "root",
        .others = true,
        .repair = { .key = pool, .apply = apply, .report = report, .extent_start = UINT64_MAX },
    };
}

static bool ignore_record(const JournalRecord *record, void *data, GError **error) {
    return true;
}

/* Where the next record of the journal goes. */
static uint64_t end_of_log(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_autoptr(Medium) medium = medium_file_new(fd, (uint64_t) lseek(fd, 0, SEEK_END), NULL);

    medium->class = MEDIUM_CLASS_MAPPED; /* poses as what it may be: nothing is written */
    g_autoptr(Journal) journal = journal_open(medium, false, ignore_record, NULL, NULL);
    if (journal_superblock(journal)->geo.stride != 64) {
        medium->class = MEDIUM_CLASS_FILE;
        g_clear_pointer(&journal, journal_free);
        journal = journal_open(medium, false, ignore_record, NULL, NULL);
    }
    const JfGeometry *geo = &journal_superblock(journal)->geo;
    g_assert_cmpint(journal_verdict(journal), ==, JOURNAL_CLEAN);
    return geo->area_off[0] + geo->area_len - journal_log_bytes(journal);
}

static void flip_at(const char *path, uint64_t off) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    g_assert_cmpint(pread(fd, &byte, 1, (off_t) off), ==, 1);
    byte ^= 0x10;
    g_assert_cmpint(pwrite(fd, &byte, 1, (off_t) off), ==, 1);
    close(fd);
}

static bool says(const RepairReport *report, const char *text) {
    for (guint i = 0; i < report->lines->len; i++)
        if (strstr(g_ptr_array_index(report->lines, i), text))
            return true;
    return false;
}

static guint count_foreigns(Host *host) {
    return state_foreigns(manager_state(host->manager))->len;
}

/* A pool whose journal is damaged behind "first" and in front of "later". */
typedef struct {
    sd_id128_t pool, first, later;
    char *path;
    uint64_t at;
} Damaged;

static Damaged make_damaged(Host *host) {
    Damaged d = { .pool = make_pool(host), .first = make_region(host, "first") };

    d.path = g_strdup(find_pool(host, d.pool)->path);
    host_stop(host);
    d.at = end_of_log(d.path) + 50; /* in the OPEN that the next start writes */
    host_start(host);
    d.later = make_region(host, "later");
    make_region(host, "last");
    host_stop(host);
    flip_at(d.path, d.at);
    host_start(host);
    g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_CORRUPT);
    g_assert_nonnull(find(host, d.first));
    g_assert_null(find(host, d.later));
    return d;
}

static void test_repair(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    Damaged d = make_damaged(host);
    g_autofree char *path = d.path, *before = NULL, *after = NULL;
    gsize len;
    g_autoptr(RepairReport) look = repair_report_new(), report = repair_report_new(), again = repair_report_new();
    ManagerRequest dry = repair_of("pool", look, false), wet = repair_of("pool", report, true),
                   more = repair_of("pool", again, true);

    g_assert_true(g_file_get_contents(path, &before, &len, NULL));
    g_assert_cmpint(host_ask(host, &dry).code, ==, -1);
    g_assert_true(g_file_get_contents(path, &after, NULL, NULL));
    g_assert_cmpmem(before, len, after, len);
    g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_CORRUPT);
    g_assert_true(look->needed && !look->applied);
    g_assert_cmpuint(look->kept, ==, 1);
    g_assert_cmpuint(look->orphans, ==, 2);
    g_assert_cmpuint(look->lost_records, ==, 4); /* two creations */
    g_assert_true(says(look, "(INTENT_CREATE): data region ") && says(look, " 'later' at 0x") &&
                  says(look, " 'last' at 0x"));
    g_assert_true(says(look, " of uid ") && says(look, "(COMMIT)"));

    g_assert_cmpint(host_ask(host, &wet).code, ==, -1);
    g_assert_true(report->applied);
    g_assert_cmpuint(report->kept, ==, look->kept);
    g_assert_cmpuint(report->orphans, ==, look->orphans);
    g_assert_true(g_file_test(report->evidence, G_FILE_TEST_EXISTS));
    g_autofree char *evidence = NULL;
    g_assert_true(g_file_get_contents(report->evidence, &evidence, &len, NULL));
    g_assert_cmpmem(evidence, len, before, len); /* the journal as it was */
    for (int start = 0; start < 2; start++) {
        g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_OK);
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
        g_assert_cmpint(find(host, d.first)->state, ==, REGION_OK);
        g_assert_nonnull(region_path(find(host, d.first)));
        g_assert_cmpuint(count_foreigns(host), ==, 2);
        host_restart(host);
    }
    g_assert_cmpint(host_ask(host, &more).code, ==, -1);
    g_assert_true(!again->needed && !again->applied);

    /* What became of the rest. */
    g_autofree char *name =
        g_strdup(((const Foreign *) g_ptr_array_index(state_foreigns(manager_state(host->manager)), 0))->name);
    ManagerRequest adopt = {
        .method = MANAGER_ADOPT,
        .user = "root",
        .others = true,
        .repair = { .key = name, .name = "later", .extent_start = UINT64_MAX, .owner_user = "root" },
    };
    Reply reply = host_ask(host, &adopt);
    g_assert_cmpint(reply.code, ==, -1);
    host_restart(host);
    g_assert_cmpint(find(host, reply.result)->state, ==, REGION_OK);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    make_region(host, "new");
}

/* A repair is undone as docs/recovery.md has it: the copy goes back, and the second copies of the roots are zeroed. */
static void test_undo(gconstpointer medium) {
    static const uint8_t zeros[8192] = { 0 };
    g_autoptr(Host) host = host_new(medium);
    Damaged d = make_damaged(host);
    g_autofree char *path = d.path, *copy = NULL;
    g_autoptr(RepairReport) report = repair_report_new(), again = repair_report_new();
    ManagerRequest wet = repair_of("pool", report, true), dry = repair_of("pool", again, false);
    gsize len;

    g_assert_cmpint(host_ask(host, &wet).code, ==, -1);
    g_assert_true(g_file_get_contents(report->evidence, &copy, &len, NULL));
    host_stop(host);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    g_assert_cmpint(pwrite(fd, copy, len, 0), ==, (gssize) len);
    g_assert_cmpint(pwrite(fd, zeros, sizeof zeros, size - 12288), ==, sizeof zeros);
    close(fd);
    host_start(host);
    g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_CORRUPT);
    g_assert_cmpint(host_ask(host, &dry).code, ==, -1);
    g_assert_cmpuint(again->kept, ==, report->kept);
    g_assert_cmpuint(again->lost_records, ==, report->lost_records);
}

/* No copy, no repair; unless it is forced. */
static void test_evidence(void) {
    g_autoptr(Host) host = host_new("file");
    Damaged d = make_damaged(host);
    g_autofree G_GNUC_UNUSED char *path = d.path; /* to be freed */
    g_autofree char *dir = g_build_filename(host->state_dir, "evidence", NULL);
    g_autoptr(RepairReport) report = repair_report_new(), forced = repair_report_new();
    ManagerRequest wet = repair_of("pool", report, true);

    remove_tree(dir);
    g_assert_cmpint(host_ask(host, &wet).code, !=, -1);
    g_assert_false(report->applied);
    g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_CORRUPT);
    wet.repair.force = true;
    wet.repair.report = forced;
    g_assert_cmpint(host_ask(host, &wet).code, ==, -1);
    g_assert_true(forced->applied);
    g_assert_cmpint(find_pool(host, d.pool)->state, ==, POOL_OK);
}

/* The newest root lost in both copies, as a lost unit would: nothing at all is lost. */
static void test_roots(void) {
    g_autoptr(Host) host = host_new("mapped");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    uint64_t size = find_pool(host, pool)->sb.geo.size;
    g_autoptr(RepairReport) report = repair_report_new();
    char text[PMEMD_UUID_STRING_MAX];
    ManagerRequest wet = repair_of(pmemd_uuid_format(pool, text), report, true); /* its name is in the journal */

    host_stop(host);
    for (unsigned slot = 0; slot < 2; slot++)
        for (unsigned copy = 0; copy < 2; copy++)
            flip_at(path, jf_root_offset(size, slot, copy) + 9);
    flip_at(path, 7); /* and a superblock's copy */
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_CORRUPT);
    g_assert_null(find(host, region));
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    g_assert_cmpint(host_ask(host, &wet).code, ==, -1);
    g_assert_true(says(report, "restored: the root"));
    for (int start = 0; start < 2; start++) {
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
        g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
        g_assert_cmpuint(count_foreigns(host), ==, 0);
        host_restart(host);
    }
}

/* Another pool has the frames of a region by now: they have one owner. */
static void test_conflict(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    ManagerRequest other = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "other");
    g_autofree char *image = g_strdup(find_pool(host, pool)->path);
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *name = g_path_get_basename(region_path(find(host, region)));
    g_autofree char *away = g_strconcat(image, ".away", NULL), *dev = NULL, *dev_away = NULL;
    g_autoptr(RepairReport) report = repair_report_new();
    ManagerRequest wet = repair_of("pool", report, true);
    ManagerRequest adopt = {
        .method = MANAGER_ADOPT,
        .user = "root",
        .others = true,
        .repair = { .key = name, .name = "guest", .extent_start = UINT64_MAX, .owner_user = "root" },
    };

    g_assert_cmpint(host_ask(host, &other).code, ==, -1);
    dev = g_strdup_printf("%s/%s.dev", host->pmem, pmemd_uuid_format(pool, text));
    dev_away = g_strconcat(dev, ".away", NULL);
    host_stop(host);
    g_assert_cmpint(g_rename(image, away), ==, 0);
    g_assert_cmpint(g_rename(dev, dev_away), ==, 0);
    host_start(host);
    sd_id128_t adopted = host_ask(host, &adopt).result;
    g_assert_nonnull(find(host, adopted));
    host_stop(host);
    g_assert_cmpint(g_rename(away, image), ==, 0);
    g_assert_cmpint(g_rename(dev_away, dev), ==, 0);
    host_start(host);
    /* Which of the two comes to be refused depends on the order of their addresses: the lower one was first. */
    const Pool *corrupt = find_pool(host, pool)->state == POOL_CORRUPT ? find_pool(host, pool) : NULL;
    if (!corrupt) {
        wet.repair.key = "other";
        corrupt = state_pool_by_name(manager_state(host->manager), "other");
    }
    g_assert_cmpint(corrupt->state, ==, POOL_CORRUPT);
    g_assert_cmpint(host_ask(host, &wet).code, ==, -1);
    g_assert_cmpuint(report->lost, ==, 1);
    g_assert_true(report->applied);
    for (int start = 0; start < 2; start++) {
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
        g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
        g_assert_cmpuint(count_foreigns(host), ==, 0);
        host_restart(host);
    }
}

/* Another machine's, or of the wrong medium: not what repair is for. */
static void test_refused(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    g_autoptr(RepairReport) report = repair_report_new();
    ManagerRequest wet = repair_of("pool", report, true), nobody = repair_of("nobody", report, true);
    JfOpen record = { .machine_id = SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01) };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_cmpint(host_ask(host, &nobody).code, ==, PMEMD_ERROR_NO_SUCH_MGMT);
    host_stop(host);
    {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        g_autoptr(Medium) medium = medium_file_new(fd, (uint64_t) lseek(fd, 0, SEEK_END), NULL);
        g_autoptr(Journal) journal = journal_open(medium, true, ignore_record, NULL, NULL);
        g_assert_true(journal_append(journal, JF_OPEN, 0, buf, jf_open_encode(&record, buf), NULL, NULL));
    }
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(host_ask(host, &wet).code, ==, PMEMD_ERROR_READ_ONLY);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_data_func("/manager-repair/log/file", "file", test_repair);
    g_test_add_data_func("/manager-repair/log/mapped", "mapped", test_repair);
    g_test_add_data_func("/manager-repair/undo/file", "file", test_undo);
    g_test_add_data_func("/manager-repair/undo/mapped", "mapped", test_undo);
    g_test_add_func("/manager-repair/evidence", test_evidence);
    g_test_add_func("/manager-repair/roots", test_roots);
    g_test_add_func("/manager-repair/conflict", test_conflict);
    g_test_add_func("/manager-repair/refused", test_refused);
    return g_test_run();
}
