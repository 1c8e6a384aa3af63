/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/eraser.h"

#include "daemon/log.h"
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

/* What a crash may cost: the journal is told after so much, whichever comes first. */
#define JOURNAL_EVERY_USEC (INT64_C(1) * G_USEC_PER_SEC)
#define JOURNAL_EVERY_BYTES (UINT64_C(256) << 20)

/* What is read back of a piece beside its first and last page; and, on resuming, of all that is skipped. */
#define PAGE UINT64_C(4096)
#define SAMPLES_A_PIECE 8u
#define SAMPLES_OF_SKIPPED 256u

/* An erase before the first guest waits for a moment without changes, which it would hold up; but not for ever. */
#define QUIET_DELAY_USEC 20000u
#define QUIET_WAIT_USEC (INT64_C(2) * G_USEC_PER_SEC)

/* What the worker does next; its own while it does. */
typedef struct {
    uint64_t off, len;
    bool skipped;    /* only read back: what the journal said is zero */
    bool verify_all; /* read all of it back, not samples alone */
    int result;      /* 0, negative errno; 1: it did not read as zeros */
    uint64_t bad_at; /* where */
    uint64_t usec;   /* what it took */
} Piece;

typedef struct {
    Eraser *eraser;
    EraseJob job;
    BackendContent *content; /* the worker's while a piece runs */
    bool paused;             /* asked for */
    bool verify_all;         /* asked for */
    bool again;              /* to begin again: it was released, or another kind of reading back was asked for */
    Piece piece;
    uint64_t from;       /* where this run began */
    uint64_t journalled; /* bytes_done as the journal has it */
    gint64 journalled_usec;
    gint64 wanted_usec; /* since when the job is there; CLOCK_MONOTONIC as all here */
    gint64 started_usec;
    gint64 told_usec;
    WorkerFunc worker_done; /* of the step that the worker has */
} Job;

struct Eraser {
    Manager *manager;
    sd_event *event;
    Worker *worker;
    sd_event_source *start_timer; /* on: a job came that is not yet taken up */
    sd_event_source *stuck_timer; /* runs while the worker has something at hand */
    RateLimit limit;              /* over all jobs */
    bool verify_all;              /* of all jobs, whatever they ask for */
    sd_event_source *timer;       /* until the active job may go on; NULL: it need not wait */
    EraserEvents events;
    void *data;
    GPtrArray *jobs;       /* Job *, in the order they came */
    GHashTable *by_region; /* the same: sd_id128_t * -> Job * */
    uint64_t backlog;      /* bytes_total - bytes_done of them all */
    Job *active; /* the one at work: its content is being opened, erased or closed, or its device destroyed; or NULL */
    bool stopping;
};

static void eraser_next(Eraser *eraser);
static void job_continue(Job *job);
static void start_after(Eraser *eraser, uint64_t usec);

const char *erase_state_to_string(EraseState state) {
    static const char *const names[] = { "waiting", "running", "paused", "finishing" };

    g_assert(state < G_N_ELEMENTS(names));
    return names[state];
}

static Job *find_job(const Eraser *eraser, sd_id128_t region) {
    return g_hash_table_lookup(eraser->by_region, &region);
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

/* message NULL: done. The next job is taken up from here, and may end from there: as many times at most as jobs have
 * stepped back with their content open. NOLINTNEXTLINE(misc-no-recursion) */
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
    g_hash_table_remove(eraser->by_region, &job->job.region);
    g_ptr_array_remove(eraser->jobs, job);
    eraser->backlog -= job->job.bytes_total - job->job.bytes_done;
    job_free(job);
    eraser_next(eraser);
}

/* --- the worker --- */

static int on_stuck(sd_event_source *source, uint64_t usec, void *data) {
    const Eraser *eraser = data;

    manager_set_erase_stuck(eraser->manager, true);
    return 0;
}

static void on_worker_done(void *data) {
    Job *job = data;

    (void) sd_event_source_set_enabled(job->eraser->stuck_timer, SD_EVENT_OFF); /* cannot fail on a source of ours */
    manager_set_erase_stuck(job->eraser->manager, false);
    job->worker_done(job);
}

/* The kernel cannot be interrupted: a step that does not end can only be told of. */
static void hand_over(Job *job, WorkerFunc run, WorkerFunc done) {
    Eraser *eraser = job->eraser;
    uint64_t stuck_usec = manager_stuck_usec(eraser->manager);

    job->worker_done = done;
    if (stuck_usec > 0 && sd_event_source_set_time_relative(eraser->stuck_timer, stuck_usec) >= 0)
        (void) sd_event_source_set_enabled(eraser->stuck_timer, SD_EVENT_ONESHOT); /* as above */
    worker_submit(eraser->worker, run, on_worker_done, NULL, job);
}

static void run_close(void *data) {
    Job *job = data;

    g_clear_pointer(&job->content, backend_content_free);
}

/* Reads a page of what the piece covers back. */
static int check_page(Job *job, uint64_t at) {
    Piece *piece = &job->piece;
    uint64_t off = piece->off + at / PAGE * PAGE;

    return job->content->find_nonzero(job->content, off, MIN(PAGE, piece->off + piece->len - off), &piece->bad_at);
}

/* The places are not to be guessed by whoever could make memory lie. */
static int check_samples(Job *job, guint n) {
    const Piece *piece = &job->piece;
    int r = check_page(job, 0);

    if (r == 0)
        r = check_page(job, piece->len - 1);
    for (guint i = 0; i < n && r == 0; i++) {
        uint64_t random = (uint64_t) g_random_int() << 32 | g_random_int();

        r = check_page(job, random % piece->len);
    }
    return r;
}

static void run_piece(void *data) {
    Job *job = data;
    Piece *piece = &job->piece;
    uint64_t begin = stats_now();

    piece->result = piece->skipped ? 0 : job->content->zero(job->content, piece->off, piece->len);
    if (piece->result == 0 && piece->verify_all && !piece->skipped)
        piece->result = job->content->find_nonzero(job->content, piece->off, piece->len, &piece->bad_at);
    else if (piece->result == 0)
        piece->result = check_samples(job, piece->skipped ? SAMPLES_OF_SKIPPED : SAMPLES_A_PIECE);
    piece->usec = stats_now() - begin;
}

/* --- the end of a job --- */

static void job_open(Job *job);

static void on_finished(void *data, sd_id128_t result, const GError *error) {
    Job *job = data;

    (void) result;
    if (job->again && !job->eraser->stopping)
        job_open(job); /* released just before it was clean */
    else
        job_end(job, error ? error->message : NULL);
}

static void on_closed(void *data) {
    Job *job = data;

    if (job->again)
        job_open(job);
    else
        manager_finish_erase(job->eraser->manager, job->job.region, job->job.released, on_finished, job);
}

static const char *remedy(const Job *job) {
    return job->job.released ? "the region stays quarantined, ReleaseData tries again"
                             : "nobody is lent the region; release it, or restart pmemd to try again";
}

static uint64_t frame_at(const Job *job, uint64_t off) {
    const Region *region = state_region_by_uuid(manager_state(job->eraser->manager), job->job.region);

    return region ? region->range.start + off / PMEMD_FRAME_SIZE : PMEMD_FRAME_INVALID;
}

/* What was written and flushed does not read as zeros: the memory, or what stands between, is not to be trusted. */
static void end_mismatch(Job *job) {
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *message =
        g_strdup_printf("byte %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " (host frame 0x%" G_GINT64_MODIFIER
                        "x) was erased and does not read as zero; %s",
                        job->piece.bad_at, job->job.bytes_total, frame_at(job, job->piece.bad_at), remedy(job));

    log_event(EVENT_ERASE_MISMATCH, LOG_FIELDS({ "REGION", pmemd_uuid_format(job->job.region, uuid) }),
              "data region %s: %s", uuid, message);
    job_end(job, message);
}

static void end_failed(Job *job) {
    g_autofree char *message = g_strdup_printf("erasing failed at byte %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                               " (%s, from host frame 0x%" G_GINT64_MODIFIER "x on); %s",
                                               job->piece.off, job->job.bytes_total, g_strerror(-job->piece.result),
                                               frame_at(job, job->piece.off), remedy(job));

    job_end(job, message);
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

static void set_done(Job *job, uint64_t bytes) {
    job->eraser->backlog += job->job.bytes_done - bytes;
    job->job.bytes_done = bytes;
}

/* What is before bytes_done is durable. false: the job has ended. NOLINTNEXTLINE(misc-no-recursion) */
static bool journal_progress(Job *job) {
    g_autoptr(GError) error = NULL;

    if (!manager_erase_progress(job->eraser->manager, job->job.region, job->job.bytes_done, &error) &&
        !g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE)) { /* then a crash costs more */
        g_autofree char *message = g_strdup_printf("%s; %s", error->message, remedy(job));

        job_end(job, message);
        return false;
    }
    job->journalled = job->job.bytes_done;
    job->journalled_usec = g_get_monotonic_time();
    return true;
}

/* A job may have been paused or have waited for long, and what the journal said of its region may have changed or be
 * trusted no more: nothing is destroyed on an old word. false: the job has ended. NOLINTNEXTLINE(misc-no-recursion) */
static bool still_wanted(Job *job) {
    g_autoptr(GError) error = NULL;

    if (manager_may_erase(job->eraser->manager, job->job.region, job->job.released, &error))
        return true;
    g_autofree char *message = g_strdup_printf("%s; %s", error->message, remedy(job));
    job_end(job, message);
    return false;
}

static void start_over(Job *job) {
    char uuid[PMEMD_UUID_STRING_MAX];

    log_event(EVENT_ERASE_MISMATCH, LOG_FIELDS({ "REGION", pmemd_uuid_format(job->job.region, uuid) }),
              "data region %s: byte %" G_GUINT64_FORMAT " (host frame 0x%" G_GINT64_MODIFIER
              "x) was erased before pmemd was started and does not read as zero; its erase begins again",
              uuid, job->piece.bad_at, frame_at(job, job->piece.bad_at));
    set_done(job, 0);
    job->from = 0;
    if (journal_progress(job))
        job_continue(job);
}

static void on_piece(void *data) {
    Job *job = data;
    gint64 now = g_get_monotonic_time();

    stats_add(manager_stats(job->eraser->manager), STATS_BACKEND_ZERO, job->piece.usec);
    if (job->again || job->eraser->stopping) {
        job_continue(job);
        return;
    }
    if (job->piece.result < 0) {
        end_failed(job);
        return;
    }
    if (job->piece.result > 0) {
        if (job->piece.skipped)
            start_over(job);
        else
            end_mismatch(job);
        return;
    }
    if (!job->piece.skipped)
        set_done(job, job->piece.off + job->piece.len);
    if (now > job->started_usec)
        job->job.rate =
            (uint64_t) ((double) (job->job.bytes_done - job->from) * 1e6 / (double) (now - job->started_usec));
    if (now - job->told_usec >= TELL_EVERY_USEC)
        tell_changed(job);
    if (job->job.bytes_done < job->job.bytes_total &&
        (now - job->journalled_usec >= JOURNAL_EVERY_USEC ||
         job->job.bytes_done - job->journalled >= JOURNAL_EVERY_BYTES) &&
        !journal_progress(job))
        return;
    job_continue(job);
}

static void hand_piece(Job *job, uint64_t off, uint64_t len, bool skipped) {
    job->piece = (Piece){
        .off = off,
        .len = len,
        .skipped = skipped,
        .verify_all = job->verify_all || job->eraser->verify_all,
    };
    hand_over(job, run_piece, on_piece);
}

/* May it be the active one? */
static bool may_start(const Job *job) {
    return !job->paused && (job->job.released || job->content || manager_is_idle(job->eraser->manager) ||
                            g_get_monotonic_time() - job->wanted_usec >= QUIET_WAIT_USEC);
}

/* Somebody waits for a new region; nobody for one that was released. */
static bool is_wanted_more(const Job *job) {
    for (guint i = 0; job->job.released && i < job->eraser->jobs->len; i++) {
        const Job *other = g_ptr_array_index(job->eraser->jobs, i);

        if (!other->job.released && may_start(other))
            return true;
    }
    return false;
}

/* Others may go on; it keeps its place and what it has done. eraser_next() takes no such job and so comes back here
 * once at most. NOLINTNEXTLINE(misc-no-recursion) */
static void step_back(Job *job, EraseState state) {
    Eraser *eraser = job->eraser;

    if (state == ERASE_PAUSED && job->job.bytes_done > job->journalled && !journal_progress(job))
        return;
    eraser->active = NULL;
    set_state(job, state);
    eraser_next(eraser);
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static void job_continue(Job *job) {
    Eraser *eraser = job->eraser;

    if (eraser->stopping)
        return;
    if (job->again) {
        hand_over(job, run_close, on_closed);
        return;
    }
    if (job->job.bytes_done == job->job.bytes_total) {
        set_state(job, ERASE_FINISHING);
        hand_over(job, run_close, on_closed);
        return;
    }
    /* Whoever pauses a job does not hold up those of others. */
    if (job->paused || is_wanted_more(job)) {
        step_back(job, job->paused ? ERASE_PAUSED : ERASE_WAITING);
        return;
    }
    set_state(job, ERASE_RUNNING);
    if (must_wait(eraser) || !still_wanted(job))
        return;
    uint64_t len = MIN(piece_bytes(eraser), job->job.bytes_total - job->job.bytes_done);
    rate_limit_take(&eraser->limit, len, now_usec());
    hand_piece(job, job->job.bytes_done, len, false);
}

static void on_content(void *data, BackendContent *content, const GError *error) {
    Job *job = data;
    const Region *region = state_region_by_uuid(manager_state(job->eraser->manager), job->job.region);
    Erase erase = { 0 };
    bool whole;

    job->content = content;
    if (job->again && content) {
        job_continue(job);
        return;
    }
    whole = content && region && content->size == region_bytes(region);
    if (!content || (!whole && !job->job.released)) {
        g_autofree char *message = error ? g_strdup_printf("%s; %s", error->message, remedy(job))
                                         : g_strdup_printf("its device is not whole; %s", remedy(job));

        job_end(job, message);
        return;
    }
    /* What is left of a device that was cut is another one. */
    if (whole)
        (void) state_erase(manager_state(job->eraser->manager), region, &erase); /* false: as from the start */
    job->eraser->backlog += content->size - job->job.bytes_total;
    job->job.bytes_total = content->size;
    set_done(job, erase.offset);
    job->from = job->journalled = erase.offset;
    job->verify_all = erase.verify_all;
    job->started_usec = job->told_usec = job->journalled_usec = g_get_monotonic_time();
    if (erase.offset > 0 && !job->eraser->stopping)
        hand_piece(job, 0, erase.offset, true);
    else
        job_continue(job);
}

static void job_open(Job *job) {
    job->again = false;
    manager_open_content(job->eraser->manager, job->job.region, on_content, job);
}

static Job *first_that_may(const Eraser *eraser, bool released) {
    for (guint i = 0; i < eraser->jobs->len; i++) {
        Job *job = g_ptr_array_index(eraser->jobs, i);

        if (job->job.released == released && may_start(job))
            return job;
    }
    return NULL;
}

static bool has_waiting(const Eraser *eraser) {
    for (guint i = 0; i < eraser->jobs->len; i++)
        if (!((const Job *) g_ptr_array_index(eraser->jobs, i))->paused)
            return true;
    return false;
}

/* Takes up the first job that may start, when nothing is at hand. NOLINTNEXTLINE(misc-no-recursion) */
static void eraser_next(Eraser *eraser) {
    if (eraser->active || eraser->stopping)
        return;
    Job *job = first_that_may(eraser, false);
    if (!job)
        job = first_that_may(eraser, true);
    if (!job) {
        if (has_waiting(eraser))
            start_after(eraser, QUIET_DELAY_USEC);
        return;
    }
    eraser->active = job;
    if (job->content)
        job_continue(job); /* it stepped back on its way */
    else
        job_open(job);
}

static int on_start_timer(sd_event_source *source, uint64_t usec, void *data) {
    (void) source;
    (void) usec;
    eraser_next(data);
    return 0;
}

static void start_after(Eraser *eraser, uint64_t usec) {
    int r = sd_event_source_set_time_relative(eraser->start_timer, usec);

    if (r >= 0)
        r = sd_event_source_set_enabled(eraser->start_timer, SD_EVENT_ONESHOT);
    if (r < 0) /* without memory or a loop: whatever comes next takes it up */
        log_message(LOG_WARNING, NULL, NULL, "cannot set the timer of the eraser, ignoring: %s", g_strerror(-r));
}

/* Its content is opened again, and erased from the start. What it has open is closed when its turn comes. */
static void begin_again(Job *job) {
    Eraser *eraser = job->eraser;

    job->again = true;
    set_done(job, 0);
    tell_changed(job);
    if (job == eraser->active)
        end_wait(eraser);
}

static void on_to_erase(void *data, const Region *region) {
    Eraser *eraser = data;
    Job *job = find_job(eraser, region->uuid);
    bool released = region->state == REGION_QUARANTINED;
    Erase erase = { 0 };

    if (!state_erase(manager_state(eraser->manager), region, &erase))
        return;
    if (job) {
        bool other = job->job.released != released || (erase.verify_all && !job->verify_all);

        job->job.released = released;
        job->verify_all = erase.verify_all;
        if (other)
            begin_again(job);
        return;
    }
    job = g_new0(Job, 1);
    job->eraser = eraser;
    job->verify_all = erase.verify_all;
    job->wanted_usec = g_get_monotonic_time();
    job->job = (EraseJob){
        .region = region->uuid,
        .released = released,
        .state = ERASE_WAITING,
        .bytes_done = erase.offset,
        .bytes_total = region_bytes(region),
    };
    g_ptr_array_add(eraser->jobs, job);
    g_hash_table_insert(eraser->by_region, &job->job.region, job);
    eraser->backlog += job->job.bytes_total - job->job.bytes_done;
    if (eraser->events.job_added)
        eraser->events.job_added(eraser->data, &job->job);
    /* Not at once: whoever asked waits for the answer, which is on its way and needs the CPU. */
    if (!eraser->active)
        start_after(eraser, START_DELAY_USEC);
}

Eraser *eraser_new(sd_event *event, Manager *manager, const EraserEvents *events, void *data, GError **error) {
    const ManagerEvents listen = { .region_to_erase = on_to_erase };
    g_autoptr(Eraser) eraser = g_new0(Eraser, 1);

    eraser->event = sd_event_ref(event);
    eraser->manager = manager;
    eraser->events = *events;
    eraser->data = data;
    eraser->jobs = g_ptr_array_new();
    eraser->by_region = g_hash_table_new(pmemd_uuid_hash, pmemd_uuid_equal);
    eraser->worker = worker_new(event, "pmemd-eraser", error);
    if (!eraser->worker)
        return NULL;
    int r = sd_event_add_time(event, &eraser->start_timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_start_timer, eraser);
    if (r >= 0)
        r = sd_event_source_set_enabled(eraser->start_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(event, &eraser->stuck_timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_stuck, eraser);
    if (r >= 0)
        r = sd_event_source_set_enabled(eraser->stuck_timer, SD_EVENT_OFF);
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
    g_hash_table_unref(eraser->by_region);
    for (guint i = 0; i < eraser->jobs->len; i++)
        job_free(g_ptr_array_index(eraser->jobs, i));
    sd_event_source_unref(eraser->start_timer);
    sd_event_source_unref(eraser->stuck_timer);
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

void eraser_set_verify_all(Eraser *eraser, bool verify_all) {
    eraser->verify_all = verify_all;
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
