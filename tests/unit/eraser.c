/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The eraser with a manager over the file backend: order, pause and resume, failures, and its end in the middle of a
 * job.
 */
#include "tests/lib/manager-host.h"

#define PIECE (UINT64_C(16) << 20)

static sd_id128_t make_sized(Host *host, uint64_t bytes) {
    ManagerRequest request = allocate_data(bytes, NULL);
    Reply reply = host_ask(host, &request);

    g_assert_cmpint(reply.code, ==, -1);
    return reply.result;
}

static void release(Host *host, sd_id128_t region) {
    ManagerRequest request = target(MANAGER_RELEASE_DATA, region);

    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

static EraseJob job_of(Host *host, sd_id128_t region) {
    EraseJob job = { 0 };

    g_assert_true(eraser_get_job(host->eraser, region, &job));
    g_assert_true(sd_id128_equal(job.region, region));
    return job;
}

static void run_until_done_after(Host *host, guint jobs, guint failed) {
    while (host->jobs_done < jobs) {
        host_run(host);
        g_assert_cmpuint(host->jobs_failed, ==, failed);
    }
}

static void run_until_done(Host *host, guint jobs) {
    run_until_done_after(host, jobs, 0);
}

/* Fails at once when a job that is to fail ends well. */
static void run_until_failed(Host *host, guint jobs) {
    guint done = host->jobs_done;

    while (host->jobs_failed < jobs) {
        host_run(host);
        g_assert_cmpuint(host->jobs_done, ==, done);
    }
}

static void test_order(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t regions[3];
    EraseJob job;

    make_pool(host);
    for (guint i = 0; i < 3; i++)
        regions[i] = make_sized(host, PIECE * 2);
    host_hold(host);
    host_inject(host, "[zero]\nWaitFile=hold\n");
    for (guint i = 0; i < 3; i++)
        release(host, regions[i]);
    host_wait_in_flight(host);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 3);
    eraser_get_nth(host->eraser, 1, &job);
    g_assert_true(sd_id128_equal(job.region, regions[1]));
    g_assert_cmpint(job_of(host, regions[0]).state, ==, ERASE_RUNNING);
    g_assert_cmpint(job_of(host, regions[2]).state, ==, ERASE_WAITING);
    g_assert_cmpuint(job_of(host, regions[2]).bytes_total, ==, PIECE * 2);
    g_assert_cmpuint(job_of(host, regions[0]).bytes_done, ==, 0);
    g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, PIECE * 6);

    /* Releasing again answers with the same job. */
    release(host, regions[2]);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 3);
    host_let_go(host);
    for (guint i = 0; i < 3; i++) {
        run_until_done(host, i + 1);
        g_assert_true(sd_id128_equal(host->last_job, regions[i]));
        g_assert_null(find(host, regions[i]));
    }
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, 0);
    g_assert_false(eraser_get_job(host->eraser, regions[0], &job));
}

/* What goes is told before it goes: whoever announces things late has a last chance to say how they were. */
typedef struct {
    Host *host;
    sd_id128_t region, pool;
    guint warnings, regions, pools; /* warnings: with the region, or then the pool, still there */
} Removals;

static void on_removing(void *data) {
    Removals *seen = data;

    if (!seen->host->manager)
        return; /* the end of the test */
    const State *state = manager_state(seen->host->manager);
    if (seen->regions == 0 ? state_region_by_uuid(state, seen->region) != NULL
                           : state_pool_by_uuid(state, seen->pool) != NULL)
        seen->warnings++;
}

static void on_region_removed(void *data, sd_id128_t uuid, sd_id128_t pool_uuid) {
    Removals *seen = data;

    g_assert_cmpuint(seen->warnings, ==, 1);
    g_assert_null(find(seen->host, seen->region));
    seen->regions++;
}

static void on_pool_removed(void *data, sd_id128_t uuid) {
    Removals *seen = data;

    g_assert_cmpuint(seen->warnings, ==, 2);
    g_assert_null(state_pool_by_uuid(manager_state(seen->host->manager), seen->pool));
    seen->pools++;
}

static void test_removals(void) {
    const ManagerEvents events = {
        .removing = on_removing,
        .region_removed = on_region_removed,
        .pool_removed = on_pool_removed,
    };
    Removals seen = { 0 }; /* outlives the host, whose end tells it, too */
    g_autoptr(Host) host = host_new("file");

    seen.host = host;
    make_pool(host);
    seen.region = make_sized(host, PIECE);
    seen.pool = find(host, seen.region)->pool->sb.member_uuid;
    manager_add_events(host->manager, &events, &seen);
    release(host, seen.region);
    run_until_done(host, 1);
    ManagerRequest request = target(MANAGER_RELEASE_MGMT, seen.pool);
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
    g_assert_cmpuint(seen.regions, ==, 1);
    g_assert_cmpuint(seen.pools, ==, 1);
}

/* A paused job keeps its place and what it has done, and holds up nobody. */
static void test_pause(void) {
    g_autoptr(Host) host = host_new("mapped");
    g_autoptr(GError) error = NULL;

    make_pool(host);
    sd_id128_t slow = make_sized(host, PIECE * 3), next = make_sized(host, PIECE), last = make_sized(host, PIECE);
    host_hold(host);
    host_inject(host, "[zero]\nWaitFile=hold\n");
    release(host, slow);
    release(host, next);
    release(host, last);
    host_wait_in_flight(host);
    g_assert_true(eraser_pause(host->eraser, slow, &error));
    g_assert_true(eraser_pause(host->eraser, slow, &error));      /* twice is fine */
    g_assert_true(eraser_pause(host->eraser, last, &error));      /* has not begun */
    g_assert_cmpint(job_of(host, slow).state, ==, ERASE_RUNNING); /* until the piece at hand has ended */
    g_assert_cmpint(job_of(host, last).state, ==, ERASE_PAUSED);
    host_let_go(host);
    run_until_done(host, 1);
    g_assert_true(sd_id128_equal(host->last_job, next));
    g_assert_cmpint(job_of(host, slow).state, ==, ERASE_PAUSED);
    g_assert_cmpuint(job_of(host, slow).bytes_done, ==, PIECE);
    g_assert_cmpint(find(host, slow)->state, ==, REGION_QUARANTINED);

    g_assert_true(eraser_resume(host->eraser, last, &error));
    run_until_done(host, 2);
    g_assert_true(sd_id128_equal(host->last_job, last));
    g_assert_true(eraser_resume(host->eraser, slow, &error));
    g_assert_true(eraser_resume(host->eraser, slow, &error));
    run_until_done(host, 3);
    g_assert_null(find(host, slow));
    g_assert_no_error(error);

    g_assert_false(eraser_pause(host->eraser, slow, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
    g_clear_error(&error);
    g_assert_false(eraser_resume(host->eraser, slow, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
}

/* Paused while its content is being opened, and resumed before and after that was done. */
static void test_pause_while_opening(void) {
    for (int early = 0; early < 2; early++) {
        g_autoptr(Host) host = host_new("file");

        make_pool(host);
        sd_id128_t region = make_sized(host, PIECE);
        host_hold(host);
        host_inject(host, "[open_content]\nWaitFile=hold\n");
        release(host, region);
        host_wait_in_flight(host);
        g_assert_true(eraser_pause(host->eraser, region, NULL));
        g_assert_cmpint(job_of(host, region).state, ==, ERASE_PAUSED);
        if (early)
            g_assert_true(eraser_resume(host->eraser, region, NULL));
        host_let_go(host);
        if (!early) {
            make_sized(host, PIECE); /* goes through the same thread, after it */
            g_assert_cmpint(job_of(host, region).state, ==, ERASE_PAUSED);
            g_assert_cmpuint(job_of(host, region).bytes_done, ==, 0);
            g_assert_true(eraser_resume(host->eraser, region, NULL));
        }
        run_until_done(host, 1);
        g_assert_null(find(host, region));
    }
}

static void assert_content(const char *path, gsize size, char expected) {
    g_autofree char *bytes = NULL;
    gsize len, differ = 0;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_assert_cmpuint(len, ==, size);
    for (gsize i = 0; i < len; i++)
        differ += bytes[i] != expected;
    g_assert_cmpuint(differ, ==, 0);
}

static void fill(const char *path, gsize size) {
    g_autofree char *bytes = g_malloc(size);
    FILE *file = g_fopen(path, "r+");

    memset(bytes, 'x', size);
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(bytes, 1, size, file), ==, size);
    fclose(file);
}

/* A failure says where, frees nothing, lets the next job go on; a retry begins at the first byte. */
static void test_failure(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_sized(host, PIECE * 3), other = make_sized(host, PIECE);
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    fill(path, PIECE * 3);
    assert_content(path, PIECE * 3, 'x');
    uint64_t free_bytes = state_totals(manager_state(host->manager)).free_bytes;

    host_inject(host, "[zero]\nNth=2\nWhen=partial\nError=EIO\n");
    release(host, region);
    release(host, other);
    run_until_failed(host, 1);
    g_assert_true(sd_id128_equal(host->last_job, region));
    g_assert_nonnull(strstr(host->job_message, "byte 16777216 of 50331648"));
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    g_assert_cmpstr(find(host, region)->reason, ==, host->job_message);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_null(find(host, other));
    g_assert_cmpuint(eraser_backlog_bytes(host->eraser), ==, 0); /* of the failed one, too */

    fill(path, PIECE * 3); /* as if nothing had been erased yet */
    host_inject(host, "[zero]\nNth=3\nWhen=after\nError=EIO\n");
    release(host, region);
    g_assert_cmpstr(find(host, region)->reason, ==, STATE_REASON_RELEASED);
    run_until_failed(host, 2);
    assert_content(path, PIECE * 3, '\0'); /* the last piece was done before it failed */
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    g_assert_cmpuint(state_totals(manager_state(host->manager)).free_bytes, ==, free_bytes + PIECE);

    release(host, region);
    while (host->jobs_done == 1)
        host_run(host);
    g_assert_null(find(host, region));
    g_assert_cmpuint(state_totals(manager_state(host->manager)).free_bytes, ==, free_bytes + PIECE * 4);
}

/* The device's end is cut off between its two steps, here by an error as else by a crash: the release can be
 * finished. */
static void test_cut_off_destruction(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_sized(host, PIECE);
    host_inject(host, "[destroy]\nNth=1\nWhen=partial\nError=EIO\n");
    release(host, region);
    while (host->jobs_failed == 0)
        host_run(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);

    release(host, region);
    while (host->jobs_done == 0 && host->jobs_failed == 1)
        host_run(host);
    g_assert_cmpuint(host->jobs_failed, ==, 1);
    g_assert_null(find(host, region));
}

/* A region that is no whole number of pieces is erased to its last byte before its device goes. */
static void test_odd_size(void) {
    const uint64_t sizes[] = { 65536, PIECE - 65536, PIECE + 65536, PIECE * 2 - 65536 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(Host) host = host_new(i % 2 ? "mapped" : "file");

        make_pool(host);
        sd_id128_t region = make_sized(host, sizes[i]);
        g_autofree char *path = g_strdup(region_path(find(host, region)));
        fill(path, sizes[i]);
        host_inject(host, "[destroy]\nError=EBUSY\n");
        release(host, region);
        run_until_failed(host, 1);
        assert_content(path, sizes[i], '\0');
        release(host, region);
        run_until_done_after(host, 1, 1);
        g_assert_null(find(host, region));
    }
}

/* The daemon ends while each of a job's steps is in flight; the next start erases again, from the start. */
static void test_stop(void) {
    static const char *const orders[] = {
        "[open_content]\nDelayMs=20\n",        "[zero]\nDelayMs=20\n",
        "[zero]\nNth=3\nDelayMs=20\n",         "[destroy]\nDelayMs=20\n",
        "[destroy]\nWhen=after\nDelayMs=20\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(Host) host = host_new("file");

        make_pool(host);
        sd_id128_t region = make_sized(host, PIECE * 3), other = make_sized(host, PIECE);
        host_inject(host, orders[i]);
        release(host, region);
        release(host, other);
        host_wait_in_flight(host);
        host_stop(host);
        host->jobs_done = host->jobs_failed = 0;
        host_start(host);
        if (find(host, region)) {
            g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
            g_assert_cmpuint(job_of(host, region).bytes_done, ==, 0);
        }
        while (find(host, region) || find(host, other))
            host_run(host);
        g_assert_cmpuint(host->jobs_failed, ==, 0);
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    }
}

/* A job that was paused with its content open, when the daemon ends. */
static void test_stop_paused(void) {
    g_autoptr(Host) host = host_new("mapped");

    make_pool(host);
    sd_id128_t region = make_sized(host, PIECE * 2);
    host_hold(host);
    host_inject(host, "[zero]\nWaitFile=hold\n");
    release(host, region);
    host_wait_in_flight(host);
    g_assert_true(eraser_pause(host->eraser, region, NULL));
    host_let_go(host);
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    host_restart(host);
    run_until_done(host, 1);
    g_assert_null(find(host, region));
}

/* What takes longer than it must is fine; that it does not go faster is what is asked. */
static void test_rate(void) {
    g_autoptr(Host) host = host_new("file");
    const uint64_t size = UINT64_C(8) << 20, rate = size * 4;

    make_pool(host);
    sd_id128_t first = make_sized(host, size), second = make_sized(host, size);
    eraser_set_rate(host->eraser, rate);
    gint64 begin = g_get_monotonic_time();
    release(host, first);
    release(host, second);
    run_until_done(host, 2);
    /* Both share the rate; the last piece, a quarter of a second's worth, is not waited for. */
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, (gint64) ((size * 2 - rate / 4) * G_USEC_PER_SEC / rate));
}

/* At a rate that gives one piece and then nothing for a long time: pause, stop and a new rate do not wait for that. */
static void test_rate_is_not_waited_for(void) {
    g_autoptr(Host) host = host_new("file");
    g_autoptr(GError) error = NULL;

    make_pool(host);
    sd_id128_t region = make_sized(host, PIECE * 2), other = make_sized(host, PIECE * 2);
    eraser_set_rate(host->eraser, 4096); /* one page, and a second for it */
    release(host, region);
    while (job_of(host, region).bytes_done == 0)
        host_run(host);
    g_assert_cmpint(job_of(host, region).state, ==, ERASE_RUNNING);
    g_assert_cmpuint(job_of(host, region).bytes_done, <, PIECE);
    g_assert_true(eraser_pause(host->eraser, region, &error));
    while (job_of(host, region).state != ERASE_PAUSED)
        host_run(host);
    g_assert_true(eraser_resume(host->eraser, region, &error));
    eraser_set_rate(host->eraser, 0);
    run_until_done(host, 1);
    g_assert_null(find(host, region));

    eraser_set_rate(host->eraser, 4096);
    release(host, other);
    while (job_of(host, other).bytes_done == 0)
        host_run(host);
    host_restart(host); /* without a rate */
    run_until_done(host, 2);
    g_assert_null(find(host, other));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/eraser/order", test_order);
    g_test_add_func("/eraser/removals", test_removals);
    g_test_add_func("/eraser/pause", test_pause);
    g_test_add_func("/eraser/pause-while-opening", test_pause_while_opening);
    g_test_add_func("/eraser/failure", test_failure);
    g_test_add_func("/eraser/cut-off-destruction", test_cut_off_destruction);
    g_test_add_func("/eraser/odd-size", test_odd_size);
    g_test_add_func("/eraser/stop", test_stop);
    g_test_add_func("/eraser/stop-paused", test_stop_paused);
    g_test_add_func("/eraser/rate", test_rate);
    g_test_add_func("/eraser/rate-is-not-waited-for", test_rate_is_not_waited_for);
    return g_test_run();
}
