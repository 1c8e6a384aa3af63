/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The eraser across restarts and before the first guest, with a manager over the file backend: where an erase goes on,
 * what is read back, and that nothing is free or clean before all of it is zero.
 */
#include "daemon/sigbus-guard.h"
#include "tests/lib/manager-host.h"

#define PIECE (UINT64_C(16) << 20)
#define BYTES (PIECE * 3)

static sd_id128_t make_data(Host *host) {
    ManagerRequest request = allocate_data(BYTES, NULL);
    Reply reply = host_ask(host, &request);

    g_assert_cmpint(reply.code, ==, -1);
    return reply.result;
}

static void release(Host *host, sd_id128_t region, bool verify_all) {
    ManagerRequest request = target(MANAGER_RELEASE_DATA, region);

    request.target.verify_all = verify_all;
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

static EraseJob job_of(Host *host, sd_id128_t region) {
    EraseJob job = { 0 };

    g_assert_true(eraser_get_job(host->eraser, region, &job));
    return job;
}

static Erase erase_of(Host *host, sd_id128_t region) {
    Erase erase = { 0 };

    g_assert_true(state_erase(manager_state(host->manager), find(host, region), &erase));
    return erase;
}

static bool is_dirty(Host *host, sd_id128_t region) {
    return (find(host, region)->flags & JF_REGION_DIRTY) != 0;
}

/* Bytes [from, to) of the file are c. */
static void fill(const char *path, gsize from, gsize to, char c) {
    g_autofree char *bytes = g_malloc(to - from);
    FILE *file = g_fopen(path, "r+");

    memset(bytes, c, to - from);
    g_assert_nonnull(file);
    g_assert_cmpint(fseek(file, (long) from, SEEK_SET), ==, 0);
    g_assert_cmpuint(fwrite(bytes, 1, to - from, file), ==, to - from);
    fclose(file);
}

static gsize count_nonzero(const char *path, gsize from, gsize to) {
    g_autofree char *bytes = NULL;
    gsize len, n = 0;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_assert_cmpuint(to, <=, len);
    for (gsize i = from; i < to; i++)
        n += bytes[i] != 0;
    return n;
}

/* Runs until the next n-th zero is in flight, and holds it there. */
static void hold_zero(Host *host, int n) {
    g_autofree char *order = g_strdup_printf("[zero]\nNth=%d\nWaitFile=hold\n", n);

    host_hold(host);
    host_inject(host, order);
}

static void run_until(Host *host, guint done, guint failed) {
    while (host->jobs_done + host->jobs_failed < done + failed)
        host_run(host);
    g_assert_cmpuint(host->jobs_done, ==, done);
    g_assert_cmpuint(host->jobs_failed, ==, failed);
}

/* A released region whose first piece is erased and journalled, with the daemon started anew and nothing done since:
 * what the next zero does is held. */
static sd_id128_t interrupted(Host *host, char **ret_path) {
    sd_id128_t region = make_data(host);

    *ret_path = g_strdup(region_path(find(host, region)));
    fill(*ret_path, 0, BYTES, 'x');
    hold_zero(host, 1);
    release(host, region, false);
    host_wait_in_flight(host);
    g_assert_true(eraser_pause(host->eraser, region, NULL)); /* what is done by then is journalled */
    host_let_go(host);
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, PIECE);
    g_assert_cmpuint(erase_of(host, region).offset, ==, PIECE);
    host_stop(host);
    host->jobs_done = host->jobs_failed = 0;
    return region;
}

/* What was erased before the restart is not written again, and counts. */
static void test_resume(void) {
    g_autoptr(Host) host = host_new("file");
    g_autofree char *path = NULL;

    make_pool(host);
    sd_id128_t region = interrupted(host, &path);
    hold_zero(host, 1);
    host_start(host);
    while (eraser_count(host->eraser) == 0)
        host_run(host);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, PIECE);
    g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, BYTES - PIECE);
    host_wait_in_flight(host);
    g_assert_cmpuint(count_nonzero(path, 0, PIECE), ==, 0);
    g_assert_cmpuint(count_nonzero(path, PIECE, BYTES), ==, BYTES - PIECE);
    fill(path, 12345, 12346, 'y'); /* would be overwritten by an erase from the start; the looks back are over */
    host_inject(host, "[destroy]\nError=EBUSY\n");
    host_let_go(host);
    run_until(host, 0, 1);
    g_assert_cmpuint(count_nonzero(path, 0, BYTES), ==, 1);

    /* It failed: the next try believes nothing of what was before. */
    g_assert_cmpuint(erase_of(host, region).offset, ==, 0);
    release(host, region, false);
    run_until(host, 1, 1);
    g_assert_null(find(host, region));
}

static void tell_shutdowns(const Host *host, guint n) {
    g_autofree char *path = g_build_filename(host->pmem, "health.conf", NULL);
    g_autofree char *text = g_strdup_printf("[dimm d0]\nRegions=a b\nUnsafeShutdowns=%u\n", n);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Power was lost before all was saved, for the first time in a DIMM's life: what was erased may be there again. */
static void test_resume_unsaved(void) {
    for (guint lost = 0; lost < 2; lost++) {
        g_autoptr(Host) host = host_new_stopped("file");
        g_autofree char *path = NULL;

        tell_shutdowns(host, 0);
        host_start(host);
        make_pool(host);
        sd_id128_t region = interrupted(host, &path);
        tell_shutdowns(host, lost);
        host_start(host);
        g_assert_cmpuint(erase_of(host, region).offset, ==, lost ? 0 : PIECE);
        run_until(host, 1, 0);
    }
}

/* What the journal says is zero, and is not, is erased again. */
static void test_resume_distrusts(void) {
    g_autoptr(Host) host = host_new("mapped");
    g_autofree char *path = NULL;

    make_pool(host);
    sd_id128_t region = interrupted(host, &path);
    fill(path, 0, PIECE, 'z');
    host_inject(host, "[destroy]\nError=EBUSY\n");
    host_start(host);
    run_until(host, 0, 1);
    g_assert_cmpuint(count_nonzero(path, 0, BYTES), ==, 0);
    release(host, region, false);
    run_until(host, 1, 1);
    g_assert_null(find(host, region));
}

/* Memory that does not keep what it is given: in all of a piece, which samples find, or in one byte. */
static void test_mismatch(void) {
    for (int all = 0; all < 2; all++) {
        g_autoptr(Host) host = host_new(all ? "mapped" : "file");

        make_pool(host);
        sd_id128_t region = make_data(host), other = make_data(host);
        g_autofree char *path = g_strdup(region_path(find(host, region)));
        uint64_t free_bytes = state_totals(manager_state(host->manager)).free_bytes;

        fill(path, 0, BYTES, 'x');
        host_hold(host);
        host_inject(host, "[check]\nWaitFile=hold\n");
        release(host, region, all);
        release(host, other, false);
        host_wait_in_flight(host);
        if (all)
            fill(path, 4242424, 4242425, 'y');
        else
            fill(path, 0, PIECE, 'y');
        host_let_go(host);
        run_until(host, 0, 1);
        g_assert_true(sd_id128_equal(host->last_job, region));
        g_assert_nonnull(strstr(host->job_message, all ? "byte 4242424 of 50331648" : "byte 0 of 50331648"));
        g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
        g_assert_cmpstr(find(host, region)->reason, ==, host->job_message);
        run_until(host, 1, 1); /* the other goes on */
        g_assert_null(find(host, other));
        g_assert_cmpuint(state_totals(manager_state(host->manager)).free_bytes, ==, free_bytes + BYTES);
        g_assert_true(erase_of(host, region).verify_all == all);
        release(host, region, false);
        run_until(host, 2, 1);
        g_assert_null(find(host, region));
    }
}

/* By configuration all is read back, too; and a look back that fails is a failure. */
static void test_verify_all(void) {
    g_autoptr(Host) host = host_new("mapped");

    make_pool(host);
    sd_id128_t region = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, 0, BYTES, 'x');
    eraser_set_verify_all(host->eraser, true);
    host_hold(host);
    host_inject(host, "[check]\nWaitFile=hold\n");
    release(host, region, false);
    host_wait_in_flight(host);
    fill(path, 5000000, 5000001, 'y');
    host_let_go(host);
    run_until(host, 0, 1);
    g_assert_nonnull(strstr(host->job_message, "byte 5000000 of"));
    host_inject(host, "[check]\nError=EIO\n");
    release(host, region, false);
    run_until(host, 0, 2);
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    release(host, region, false);
    run_until(host, 1, 2);
}

/* Asked for while it is erased: what was not read back is erased again. A restart does not forget it. */
static void test_verify_later(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, 0, BYTES, 'x');
    hold_zero(host, 2);
    release(host, region, false);
    host_wait_in_flight(host);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, PIECE);
    release(host, region, true);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, 0);
    g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, BYTES);
    g_assert_true(erase_of(host, region).verify_all);
    g_assert_true(eraser_pause(host->eraser, region, NULL));
    host_let_go(host);
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, 0);
    release(host, region, true); /* changes nothing */
    host_stop(host);
    host_start(host);
    while (eraser_count(host->eraser) == 0)
        host_run(host);
    g_assert_true(erase_of(host, region).verify_all);
    while (find(host, region))
        host_run(host);
    g_assert_cmpuint(host->jobs_failed, ==, 0);
}

static int attach_code(Host *host, sd_id128_t region) {
    const LeaseRequest request = { .owner = "guest", .uid = 0 };
    g_autoptr(GError) error = NULL;

    return rules_attach(manager_state(host->manager), find(host, region), &request, &error) ? -1 : error->code;
}

/* Before its first guest a region is erased in the background, and is dirty until it has been, restarts included. */
static void test_first_guest(void) {
    g_autoptr(Host) host = host_new_dirty("mapped");
    Erase erase;

    make_pool(host);
    hold_zero(host, 1);
    sd_id128_t region = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_true(is_dirty(host, region));
    g_assert_false(job_of(host, region).released);
    g_assert_cmpint(attach_code(host, region), ==, PMEMD_ERROR_BUSY);
    fill(path, 0, BYTES, 'x'); /* what was there before */
    host_wait_in_flight(host);
    g_assert_true(eraser_pause(host->eraser, region, NULL));
    host_let_go(host);
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    g_assert_cmpuint(erase_of(host, region).offset, ==, PIECE);
    host_stop(host);
    host_start(host);
    while (eraser_count(host->eraser) == 0)
        host_run(host);
    g_assert_cmpuint(job_of(host, region).bytes_done, ==, PIECE);
    g_assert_true(is_dirty(host, region));
    run_until(host, 1, 0);
    g_assert_cmpint(attach_code(host, region), ==, -1);
    g_assert_false(is_dirty(host, region));
    g_assert_false(state_erase(manager_state(host->manager), find(host, region), &erase));
    g_assert_cmpuint(count_nonzero(path, 0, BYTES), ==, 0);
    host_restart(host);
    g_assert_false(is_dirty(host, region));
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);

    /* Then it is a region as any other. */
    fill(path, 0, BYTES, 'g');
    release(host, region, false);
    run_until(host, 2, 0);
    g_assert_null(find(host, region));
}

/* Released while it is erased before its first guest, at each step: its erase begins again, as somebody may have used
 * it, and ends with its frames free. */
static void test_release_before_first_guest(void) {
    static const char *const orders[] = {
        "[open_content]\nWaitFile=hold\n",
        "[zero]\nWaitFile=hold\n",
        "[zero]\nNth=3\nWhen=after\nWaitFile=hold\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++)
        for (int paused = 0; paused < 2; paused++) {
            g_autoptr(Host) host = host_new_dirty("file");

            make_pool(host);
            host_hold(host);
            host_inject(host, orders[i]);
            sd_id128_t region = make_data(host);
            host_wait_in_flight(host);
            if (paused)
                g_assert_true(eraser_pause(host->eraser, region, NULL));
            /* A release waits for what the backend's worker has at hand, the eraser's goes on. */
            ManagerRequest request = target(MANAGER_RELEASE_DATA, region);
            Reply reply = { 0 };
            manager_submit(host->manager, &request, 0, on_reply, &reply);
            if (i > 0) {
                g_assert_true(reply.done);
                g_assert_true(job_of(host, region).released);
                g_assert_cmpuint(job_of(host, region).bytes_done, ==, 0);
            }
            g_autofree char *path = g_strdup(region_path(find(host, region)));
            fill(path, 0, PIECE, 'u'); /* somebody used it */
            host_let_go(host);
            while (!reply.done)
                host_run(host);
            g_free(reply.message);
            if (paused)
                g_assert_true(eraser_resume(host->eraser, region, NULL));
            host_inject(host, "[destroy]\nError=EBUSY\n");
            run_until(host, 0, 1);
            g_assert_cmpuint(count_nonzero(path, 0, BYTES), ==, 0);
            release(host, region, false);
            run_until(host, 1, 1);
            g_assert_null(find(host, region));
            g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, 0);
        }
}

/* An erase before the first guest that fails leaves the region dirty; it can be released, and a restart tries again. */
static void test_first_guest_fails(void) {
    g_autoptr(Host) host = host_new_dirty("mapped");

    make_pool(host);
    host_inject(host, "[zero]\nNth=2\nError=EIO\n");
    sd_id128_t region = make_data(host);
    run_until(host, 0, 1);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_true(is_dirty(host, region));
    g_assert_true(erase_of(host, region).failed);
    g_assert_cmpint(attach_code(host, region), ==, PMEMD_ERROR_DEGRADED);
    host_stop(host);
    host->jobs_done = host->jobs_failed = 0;
    host_start(host);
    run_until(host, 1, 0);
    g_assert_false(is_dirty(host, region));
    release(host, region, false);
    run_until(host, 2, 0);
    g_assert_null(find(host, region));
}

/* Somebody waits for a new region: it goes before what was released, which keeps what it has done. */
static void test_new_first(void) {
    g_autoptr(Host) host = host_new_dirty("file");

    make_pool(host);
    sd_id128_t old = make_data(host);
    run_until(host, 1, 0);
    hold_zero(host, 2);
    release(host, old, false);
    host_wait_in_flight(host);
    sd_id128_t fresh = make_data(host);
    host_let_go(host);
    run_until(host, 2, 0);
    g_assert_true(sd_id128_equal(host->last_job, fresh));
    g_assert_cmpuint(job_of(host, old).bytes_done, ==, PIECE * 2);
    run_until(host, 3, 0);
    g_assert_null(find(host, old));
}

/* A file that is cut under its mapping is what poisoned memory is: SIGBUS. */
static void test_sigbus(void) {
    g_autoptr(Host) host = host_new("mapped");

    make_pool(host);
    sd_id128_t region = make_data(host), other = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, 0, BYTES, 'x');
    hold_zero(host, 2);
    release(host, region, false);
    release(host, other, false);
    host_wait_in_flight(host);
    g_assert_cmpint(truncate(path, PIECE), ==, 0);
    host_let_go(host);
    run_until(host, 0, 1);
    g_assert_true(sd_id128_equal(host->last_job, region));
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    g_assert_nonnull(strstr(find(host, region)->reason, "erasing failed at byte 16777216"));
    run_until(host, 1, 1);
    g_assert_null(find(host, other));

    /* Nobody else gets the frames meanwhile; and when they can be written again, asking once more is all it takes. */
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    g_assert_cmpuint(erase_of(host, region).offset, ==, 0);
    g_assert_cmpint(truncate(path, BYTES), ==, 0);
    release(host, region, false);
    run_until(host, 2, 1);
    g_assert_null(find(host, region));
}

/* The same before a region's first guest: it is lent to nobody, and pmemd lives. */
static void test_sigbus_first(void) {
    g_autoptr(Host) host = host_new_dirty("mapped");

    make_pool(host);
    hold_zero(host, 2);
    sd_id128_t region = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    host_wait_in_flight(host);
    g_assert_cmpint(truncate(path, PIECE), ==, 0);
    host_let_go(host);
    run_until(host, 0, 1);
    g_assert_true(erase_of(host, region).failed);
    g_assert_true(is_dirty(host, region));
    g_assert_cmpint(attach_code(host, region), ==, PMEMD_ERROR_DEGRADED);
}

/* A job that was paused does not go on by what was true before: here its journal can be written no more. */
static void test_paused_stale(void) {
    g_autoptr(Host) host = host_new("file");

    sd_id128_t pool = make_pool(host);
    sd_id128_t region = make_data(host), other = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, 0, BYTES, 'x');
    hold_zero(host, 1);
    release(host, region, false);
    host_wait_in_flight(host);
    g_assert_true(eraser_pause(host->eraser, region, NULL));
    host_let_go(host);
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    g_assert_cmpint(truncate(state_pool_by_uuid(manager_state(host->manager), pool)->path, 4096), ==, 0);
    ManagerRequest rename = target(MANAGER_RENAME, other);
    rename.target.name = "late";
    g_assert_cmpint(host_ask(host, &rename).code, !=, -1);
    g_assert_cmpint(find(host, region)->pool->state, ==, POOL_READ_ONLY);

    g_assert_true(eraser_resume(host->eraser, region, NULL));
    run_until(host, 0, 1);
    g_assert_cmpuint(count_nonzero(path, PIECE, BYTES), ==, BYTES - PIECE);
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
}

/* A piece that does not end is told of, and that it has ended. */
static void test_stuck(void) {
    g_autoptr(Host) host = host_new_stopped("file");

    host->stuck_usec = 20000;
    host_start(host);
    make_pool(host);
    sd_id128_t region = make_data(host);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, 0, BYTES, 'x');
    hold_zero(host, 2);
    release(host, region, false);
    while (manager_get_state(host->manager) != MANAGER_DEGRADED)
        host_run(host);
    host_wait_in_flight(host);
    while (!strstr(manager_state_reason(host->manager), "erase"))
        host_run(host);
    make_data(host); /* changes do not wait for it */
    host_let_go(host);
    run_until(host, 1, 0);
    while (manager_get_state(host->manager) != MANAGER_OK)
        host_run(host);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    medium_guard_install();
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/eraser-resume/resume", test_resume);
    g_test_add_func("/eraser-resume/unsaved", test_resume_unsaved);
    g_test_add_func("/eraser-resume/resume-distrusts", test_resume_distrusts);
    g_test_add_func("/eraser-resume/mismatch", test_mismatch);
    g_test_add_func("/eraser-resume/verify-all", test_verify_all);
    g_test_add_func("/eraser-resume/verify-later", test_verify_later);
    g_test_add_func("/eraser-resume/first-guest", test_first_guest);
    g_test_add_func("/eraser-resume/release-before-first-guest", test_release_before_first_guest);
    g_test_add_func("/eraser-resume/first-guest-fails", test_first_guest_fails);
    g_test_add_func("/eraser-resume/new-first", test_new_first);
    g_test_add_func("/eraser-resume/sigbus", test_sigbus);
    g_test_add_func("/eraser-resume/sigbus-first", test_sigbus_first);
    g_test_add_func("/eraser-resume/paused-stale", test_paused_stale);
    g_test_add_func("/eraser-resume/stuck", test_stuck);
    return g_test_run();
}
