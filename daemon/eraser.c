/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/eraser.h"

#include "daemon/rate-limit.h"
#include "daemon/worker.h"
#include "proto/error.h"

#include <string.h>
#include <time.h>

/* One piece: long enough that hand-over costs nothing, short enough that pause and stop are prompt. */
#define PIECE_BYTES (UINT64_C(16) << 20)
#define START_DELAY_USEC 1000u
#define PIECES_A_SECOND 4 /* at least so many, when the rate is limited */
#define TELL_EVERY_USEC (INT64_C(250) * 1000)

typedef struct {
    Eraser *eraser;
    EraseJob job;
    BackendContent *content; /* the worker's while a piece runs */
    bool paused;             /* asked for */
    int result;              /* of the last piece */
    uint64_t piece;          /* bytes of the piece at hand */
    uint64_t piece_usec;     /* what it took */
    gint64 started_usec;     /* CLOCK_MONOTONIC */
    gint64 told_usec;
} Job;

struct Eraser {
    Manager *manager;
    sd_event *event;
    Worker *worker;
    sd_event_source *start_timer; /* on: a job came that is not yet taken up */
    RateLimit limit;              /* over all jobs */
    sd_event_source *timer;       /* until the active job may go on; NULL: it need not wait */
    EraserEvents events;
    void *data;
    GPtrArray *jobs;  /* Job *, in the order they came */
    uint64_t backlog; /* bytes_total - bytes_done of them all */
    Job *active; /* the one at work: its content is being opened, erased or closed, or its device destroyed; or NULL */
    bool stopping;
};

static void eraser_next(Eraser *eraser);

const char *erase_state_to_string(EraseState state) {
    static const char *const names[] = { "waiting", "running", "paused", "finishing" };

    g_assert(state < G_N_ELEMENTS(names));
    return names[state];
}

static Job *find_job(const Eraser *eraser, sd_id128_t region) {
    for (guint i = 0; i < eraser->jobs->len; i++) {
        Job *job = g_ptr_array_index(eraser->jobs, i);

        if (sd_id128_equal(job->job.region, region))
            return job;
    }
    return NULL;
}

static void tell_changed(Job *job) {
    const Eraser *eraser = job->eraser;

    job->told_usec = g_get_monotonic_time();
    if (eraser->events.job_changed)
        eraser->events.job_changed(eraser->data, &job->job);
}

static void set_state(Job *job, EraseState state) {
    if (job->job.state == state)
        return;
    job->job.state = state;
    tell_changed(job);
}

static void job_free(Job *job) {
    backend_content_free(job->content);
    g_free(job);
}

/* message NULL: done. */
static void job_end(Job *job, const char *message) {
    Eraser *eraser = job->eraser;
    sd_id128_t region = job->job.region;

    if (eraser->active == job)
        eraser->active = NULL;
    if (message)
        manager_erase_failed(eraser->manager, region, message);
    /* While it can still be looked at: it may not have been announced yet. */
    if (eraser->events.job_removed)
        eraser->events.job_removed(eraser->data, region, message);
    g_ptr_array_remove(eraser->jobs, job);
    eraser->backlog -= job->job.bytes_total - job->job.bytes_done;
    job_free(job);
    eraser_next(eraser);
}

static void on_released(void *data, sd_id128_t result, const GError *error) {
    (void) result;
    job_end(data, error ? error->message : NULL);
}

static void run_close(void *data) {
    Job *job = data;

    g_clear_pointer(&job->content, backend_content_free);
}

static void on_closed(void *data) {
    Job *job = data;

    manager_finish_release(job->eraser->manager, job->job.region, on_released, job);
}

static void run_piece(void *data) {
    Job *job = data;
    uint64_t begin = stats_now();

    job->result = job->content->zero(job->content, job->job.bytes_done, job->piece);
    job->piece_usec = stats_now() - begin;
}

/* --- how fast --- */

static uint64_t now_usec(void) {
    return (uint64_t) g_get_monotonic_time();
}

/* Small enough that what a limited rate allows comes evenly, and whole pages. */
static uint64_t piece_bytes(const Eraser *eraser) {
    uint64_t rate = eraser->limit.rate;

    return rate == 0 ? PIECE_BYTES : CLAMP(rate / PIECES_A_SECOND / 4096 * 4096, 4096, PIECE_BYTES);
}

static void job_continue(Job *job);

static void stop_waiting(Eraser *eraser) {
    eraser->timer = sd_event_source_disable_unref(eraser->timer);
}

static int on_due(sd_event_source *source, uint64_t usec, void *data) {
    Eraser *eraser = data;

    stop_waiting(eraser);
    job_continue(eraser->active);
    return 0;
}

/* Must the active job wait for its turn? Then it goes on by itself when that has come. */
static bool must_wait(Eraser *eraser) {
    uint64_t wait = rate_limit_wait(&eraser->limit, now_usec());

    if (wait == 0)
        return false;
    /* Without a timer it would wait for ever: faster than asked is the lesser evil, and it is said. */
    int r = sd_event_add_time_relative(eraser->event, &eraser->timer, CLOCK_MONOTONIC, wait, 1000, on_due, eraser);
    if (r < 0)
        g_warning("no timer for EraseRate=, ignoring the rate for one piece: %s", g_strerror(-r));
    return r >= 0;
}

/* The active job was asked for something, or the rate is another: it does not sit the old wait out. */
static void end_wait(Eraser *eraser) {
    if (!eraser->timer)
        return;
    stop_waiting(eraser);
    job_continue(eraser->active);
}

/* --- pieces --- */

static void on_piece(void *data) {
    Job *job = data;
    gint64 now = g_get_monotonic_time();

    stats_add(manager_stats(job->eraser->manager), STATS_BACKEND_ZERO, job->piece_usec);
    if (job->result < 0) {
        g_autofree char *message = g_strdup_printf("erasing failed at byte %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                                   " (%s); the region stays quarantined, ReleaseData tries again",
                                                   job->job.bytes_done, job->job.bytes_total, g_strerror(-job->result));

        job_end(job, message);
        return;
    }
    job->job.bytes_done += job->piece;
    job->eraser->backlog -= job->piece;
    if (now > job->started_usec)
        job->job.rate = (uint64_t) ((double) job->job.bytes_done * 1e6 / (double) (now - job->started_usec));
    if (now - job->told_usec >= TELL_EVERY_USEC)
        tell_changed(job);
    job_continue(job);
}

/* eraser_next() takes no paused job and so comes back here once at most. NOLINTNEXTLINE(misc-no-recursion) */
static void job_continue(Job *job) {
    Eraser *eraser = job->eraser;

    if (eraser->stopping)
        return;
    if (job->job.bytes_done == job->job.bytes_total) {
        set_state(job, ERASE_FINISHING);
        worker_submit(eraser->worker, run_close, on_closed, NULL, job);
        return;
    }
    if (job->paused) {
        /* Whoever pauses a job does not hold up those of others. */
        eraser->active = NULL;
        set_state(job, ERASE_PAUSED);
        eraser_next(eraser);
        return;
    }
    set_state(job, ERASE_RUNNING);
    if (must_wait(eraser))
        return;
    job->piece = MIN(piece_bytes(eraser), job->job.bytes_total - job->job.bytes_done);
    rate_limit_take(&eraser->limit, job->piece, now_usec());
    worker_submit(eraser->worker, run_piece, on_piece, NULL, job);
}

static void on_content(void *data, BackendContent *content, const GError *error) {
    Job *job = data;

    if (!content) {
        g_autofree char *message =
            g_strdup_printf("%s; the region stays quarantined, ReleaseData tries again", error->message);

        job_end(job, message);
        return;
    }
    job->content = content;
    job->eraser->backlog += content->size - job->job.bytes_total;
    job->job.bytes_total = content->size;
    job->started_usec = job->told_usec = g_get_monotonic_time();
    job_continue(job);
}

/* Takes up the first job that waits and is not paused, when nothing is at hand. NOLINTNEXTLINE(misc-no-recursion) */
static void eraser_next(Eraser *eraser) {
    if (eraser->active || eraser->stopping)
        return;
    for (guint i = 0; i < eraser->jobs->len; i++) {
        Job *job = g_ptr_array_index(eraser->jobs, i);

        if (job->paused)
            continue;
        eraser->active = job;
        if (job->content)
            job_continue(job); /* it was paused on its way */
        else
            manager_open_content(eraser->manager, job->job.region, on_content, job);
        return;
    }
}

static int on_start_timer(sd_event_source *source, uint64_t usec, void *data) {
    (void) source;
    (void) usec;
    eraser_next(data);
    return 0;
}

/* Not at once: whoever released the region waits for the answer, which is on its way and needs the CPU. */
static void start_soon(Eraser *eraser) {
    int r;

    if (eraser->active)
        return; /* its end takes up the next */
    r = sd_event_source_set_time_relative(eraser->start_timer, START_DELAY_USEC);
    if (r >= 0)
        r = sd_event_source_set_enabled(eraser->start_timer, SD_EVENT_ONESHOT);
    if (r < 0)
        eraser_next(eraser); /* the loop has ended */
}

static void on_quarantined(void *data, const Region *region) {
    Eraser *eraser = data;

    if (find_job(eraser, region->uuid))
        return;
    Job *job = g_new0(Job, 1);
    job->eraser = eraser;
    job->job = (EraseJob){ .region = region->uuid, .state = ERASE_WAITING, .bytes_total = region_bytes(region) };
    g_ptr_array_add(eraser->jobs, job);
    eraser->backlog += job->job.bytes_total;
    if (eraser->events.job_added)
        eraser->events.job_added(eraser->data, &job->job);
    start_soon(eraser);
}

Eraser *eraser_new(sd_event *event, Manager *manager, const EraserEvents *events, void *data, GError **error) {
    const ManagerEvents listen = { .region_quarantined = on_quarantined };
    g_autoptr(Eraser) eraser = g_new0(Eraser, 1);

    eraser->event = sd_event_ref(event);
    eraser->manager = manager;
    eraser->events = *events;
    eraser->data = data;
    eraser->jobs = g_ptr_array_new();
    eraser->worker = worker_new(event, "pmemd-eraser", error);
    if (!eraser->worker)
        return NULL;
    int r = sd_event_add_time(event, &eraser->start_timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_start_timer, eraser);
    if (r >= 0)
        r = sd_event_source_set_enabled(eraser->start_timer, SD_EVENT_OFF);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot set up the timer of the eraser: %s",
                    g_strerror(-r));
        return NULL;
    }
    manager_add_events(manager, &listen, eraser);
    return g_steal_pointer(&eraser);
}

void eraser_free(Eraser *eraser) {
    if (!eraser)
        return;
    eraser->stopping = true;
    stop_waiting(eraser);
    worker_free(eraser->worker); /* the piece at hand ends first: content is ours again */
    for (guint i = 0; i < eraser->jobs->len; i++)
        job_free(g_ptr_array_index(eraser->jobs, i));
    sd_event_source_unref(eraser->start_timer);
    g_ptr_array_unref(eraser->jobs);
    sd_event_unref(eraser->event);
    g_free(eraser);
}

void eraser_set_rate(Eraser *eraser, uint64_t rate) {
    if (rate == eraser->limit.rate)
        return;
    rate_limit_set(&eraser->limit, rate, now_usec());
    end_wait(eraser);
}

bool eraser_get_job(const Eraser *eraser, sd_id128_t region, EraseJob *ret_job) {
    const Job *job = find_job(eraser, region);

    if (!job)
        return false;
    *ret_job = job->job;
    return true;
}

guint eraser_count(const Eraser *eraser) {
    return eraser->jobs->len;
}

uint64_t eraser_backlog_bytes(const Eraser *eraser) {
    return eraser->backlog;
}

void eraser_get_nth(const Eraser *eraser, guint index, EraseJob *ret_job) {
    *ret_job = ((const Job *) g_ptr_array_index(eraser->jobs, index))->job;
}

static Job *need_job(const Eraser *eraser, sd_id128_t region, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    Job *job = find_job(eraser, region);

    if (!job)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no job for region %s: it has ended",
                    pmemd_uuid_format(region, text));
    return job;
}

bool eraser_pause(Eraser *eraser, sd_id128_t region, GError **error) {
    Job *job = need_job(eraser, region, error);

    if (!job)
        return false;
    job->paused = true;
    if (job->job.state == ERASE_WAITING)
        set_state(job, ERASE_PAUSED);
    if (job == eraser->active)
        end_wait(eraser);
    return true;
}

bool eraser_resume(Eraser *eraser, sd_id128_t region, GError **error) {
    Job *job = need_job(eraser, region, error);

    if (!job)
        return false;
    if (!job->paused)
        return true;
    job->paused = false;
    if (job->job.state != ERASE_PAUSED)
        return true; /* the pause had not taken hold yet */
    set_state(job, ERASE_WAITING);
    eraser_next(eraser);
    return true;
}
