/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * EIO and ENOSPC at each n-th call of the backend, of the contents and of the media that it opens, once or for ever;
 * and the daemon killed at each, before, in the midst of and after what the call does; then a start, which may be
 * killed, too. What was acknowledged is there, what was refused is not, nothing half made is left, and a second start
 * changes nothing.
 */
#include "tests/crash/backend-script.h"
#include "tests/crash/crash-script.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* One daemon after the other on one pair of directories. */
typedef struct {
    Life life;
    FaultyOrder *order; /* shared with processes of their own, as the ledger is */
} World;

typedef struct {
    const char *medium;
    bool media;
    unsigned n_calls;                /* of a life without a failure */
    uint8_t kinds[FAULTY_CALLS_MAX]; /* of each */
    uint64_t runs, restarts, calls_tried;
} Tally;

static void *new_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g_assert_true(memory != MAP_FAILED);
    return memory;
}

static Backend *wrap(Backend *inner, void *data) {
    const World *world = data;

    return faulty_backend_new(inner, world->life.host->pmem, world->order);
}

static void order_set(FaultyOrder *order, unsigned fail_at, FileFaultPoint point, int errnum) {
    order->fail_at = fail_at;
    order->point = point;
    order->errnum = errnum;
    order->for_ever = false;
    order->calls = 0;
    order->hit = false;
}

static void world_init(World *world, const Tally *tally) {
    *world = (World){ .order = new_shared(sizeof *world->order) };
    world->order->media = tally->media;
    world->life = (Life){
        .host = host_new_stopped(tally->medium),
        .order = world->order,
        .ledger = new_shared(sizeof *world->life.ledger),
    };
    world->life.host->wrap = wrap;
    world->life.host->wrap_data = world;
    ledger_init(world->life.ledger);
}

static void world_clear(World *world) {
    host_free(world->life.host);
    munmap(world->life.ledger, sizeof *world->life.ledger);
    munmap(world->order, sizeof *world->order);
}

/* Runs it in a process of its own. True: it was killed by what was ordered; false: it came to its end. */
static bool run_apart(World *world, void (*run)(World *world)) {
    int status;

    fflush(NULL);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        run(world);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

static void run_life(World *world) {
    life_run(&world->life);
}

static void run_recovery(World *world) {
    life_recover(&world->life);
}

/* No order, or no more of it. */
static void check(World *world, Tally *tally, const char *what) {
    order_set(world->order, 0, FILE_FAULT_BEFORE, EIO);
    life_check(&world->life, what);
    tally->restarts += 2;
}

/* A life without a failure: which calls there are. */
static void count_calls(Tally *tally) {
    World world;

    world_init(&world, tally);
    life_run(&world.life);
    g_assert_cmpuint(world.life.ledger->refused, ==, 0);
    g_assert_cmpuint(world.order->calls, <, FAULTY_CALLS_MAX);
    tally->n_calls = world.order->calls;
    memcpy(tally->kinds, world.order->kinds, sizeof tally->kinds);
    check(&world, tally, "without a failure");
    world_clear(&world);
}

static void run_error(Tally *tally, unsigned n, FileFaultPoint point, int errnum, bool for_ever, bool retry) {
    g_autofree char *what = g_strdup_printf("%s, %s at call %u (%s), point %d%s%s", tally->medium, g_strerror(errnum),
                                            n, faulty_call_name(tally->kinds[n - 1]), (int) point,
                                            for_ever ? ", for ever" : "", retry ? ", retried" : "");
    World world;

    world_init(&world, tally);
    order_set(world.order, n, point, errnum);
    world.order->for_ever = for_ever;
    world.life.retry = retry;
    life_run(&world.life);
    if (!world.order->hit)
        g_error("%s: there were %u calls alone, the last of them %s", what, world.order->calls,
                world.order->calls > 0 ? faulty_call_name(world.order->kinds[world.order->calls - 1]) : "none");
    tally->runs++;
    check(&world, tally, what);
    world_clear(&world);
}

/* Killed at call n; with `again`, the start that follows is killed at its call of that number. False: it has fewer. */
static bool run_kill(Tally *tally, unsigned n, FileFaultPoint point, unsigned again, FileFaultPoint again_point) {
    g_autofree char *what =
        g_strdup_printf("%s, killed at call %u (%s), point %d, then at %u, point %d", tally->medium, n,
                        faulty_call_name(tally->kinds[n - 1]), (int) point, again, (int) again_point);
    bool killed = false;
    World world;

    world_init(&world, tally);
    order_set(world.order, n, point, FAULTY_KILL);
    g_assert_true(run_apart(&world, run_life));
    tally->runs++;
    ledger_cut(world.life.ledger);
    if (again > 0) {
        order_set(world.order, again, again_point, FAULTY_KILL);
        killed = run_apart(&world, run_recovery);
        tally->restarts++;
    }
    check(&world, tally, what);
    world_clear(&world);
    return killed;
}

static bool has_point(const Tally *tally, unsigned n, FileFaultPoint point) {
    FaultyCall call = tally->kinds[n - 1];

    return faulty_call_has_point(call, point) && (!tally->media || point != FILE_FAULT_PREPARED);
}

static void tell(const Tally *tally, const char *how) {
    g_test_message("crash: %" G_GUINT64_FORMAT " images, %" G_GUINT64_FORMAT " of %u calls (%s, %s, %s), "
                   "%" G_GUINT64_FORMAT " restarts",
                   tally->runs, tally->calls_tried, tally->n_calls, tally->media ? "media" : "backend", tally->medium,
                   how, tally->restarts);
}

/* Every call, every point, both errors, once and for ever. */
static void test_errors(gconstpointer medium) {
    Tally tally = { .medium = medium };

    count_calls(&tally);
    g_assert_cmpuint(tally.n_calls, >, 20);
    for (unsigned n = 1; n <= tally.n_calls; n++) {
        for (int point = 0; point < N_FILE_FAULT_POINTS; point++)
            for (int way = 0; way < 4 && has_point(&tally, n, (FileFaultPoint) point); way++)
                run_error(&tally, n, (FileFaultPoint) point, way & 1 ? ENOSPC : EIO, way >= 2, way & 1);
        tally.calls_tried++;
    }
    tell(&tally, "errors");
}

static void test_kills(gconstpointer medium) {
    Tally tally = { .medium = medium };
    g_autoptr(GTimer) timer = g_timer_new();
    double budget = crash_budget(0.3);

    count_calls(&tally);
    for (unsigned n = 1; n <= tally.n_calls; n++) {
        for (int point = 0; point < N_FILE_FAULT_POINTS; point++)
            if (has_point(&tally, n, (FileFaultPoint) point))
                run_kill(&tally, n, (FileFaultPoint) point, 0, FILE_FAULT_BEFORE);
        tally.calls_tried++;
    }
    tell(&tally, "kills");

    /* And in the start after it, call by call, as far as the budget goes: the least even part of all. */
    uint64_t single = tally.runs;
    GRand *rand = g_rand_new_with_seed(11);
    while (g_timer_elapsed(timer, NULL) < budget) {
        unsigned n = (unsigned) g_rand_int_range(rand, 1, (gint32) tally.n_calls + 1);
        FileFaultPoint point = (FileFaultPoint) g_rand_int_range(rand, 0, N_FILE_FAULT_POINTS);

        if (has_point(&tally, n, point))
            run_kill(&tally, n, point, (unsigned) g_rand_int_range(rand, 1, 9),
                     (FileFaultPoint) g_rand_int_range(rand, 0, N_FILE_FAULT_POINTS));
    }
    g_rand_free(rand);
    g_test_message("crash: %" G_GUINT64_FORMAT " images, killed twice in a row (%s)", tally.runs - single,
                   tally.medium);
}

/* The calls of the journals' media: as many, evenly spread, as the budget allows. */
static void test_media(gconstpointer medium) {
    Tally tally = { .medium = medium, .media = true };
    g_autoptr(GTimer) timer = g_timer_new();
    double budget = crash_budget(0.2);

    count_calls(&tally);
    g_assert_cmpuint(tally.n_calls, >, 100);
    /* A stride without a common divisor visits each call once. */
    unsigned stride = tally.n_calls / 3 * 2 + 1;
    while (stride > 1 && tally.n_calls % stride == 0)
        stride--;
    for (unsigned i = 0, n = 0; i < tally.n_calls && (i < 16 || g_timer_elapsed(timer, NULL) < budget);
         i++, n = (n + stride) % tally.n_calls) {
        for (int way = 0; way < 4; way++)
            run_error(&tally, n + 1, way & 1 ? FILE_FAULT_AFTER : FILE_FAULT_BEFORE, way & 2 ? ENOSPC : EIO, way >= 2,
                      false);
        run_kill(&tally, n + 1, FILE_FAULT_BEFORE, 0, FILE_FAULT_BEFORE);
        run_kill(&tally, n + 1, FILE_FAULT_AFTER, 0, FILE_FAULT_BEFORE);
        tally.calls_tried++;
    }
    tell(&tally, "errors and kills");
}

int main(int argc, char **argv) {
    /* Thousands of daemons: their files in memory, where the machine has that. */
    if (g_access("/dev/shm", W_OK) == 0)
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_data_func("/crash/backend/errors/file", "file", test_errors);
    g_test_add_data_func("/crash/backend/errors/mapped", "mapped", test_errors);
    g_test_add_data_func("/crash/backend/kills/file", "file", test_kills);
    g_test_add_data_func("/crash/backend/kills/mapped", "mapped", test_kills);
    g_test_add_data_func("/crash/backend/media/file", "file", test_media);
    g_test_add_data_func("/crash/backend/media/mapped", "mapped", test_media);
    return g_test_run();
}
