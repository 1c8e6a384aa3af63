/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The worker: which thread runs what, the order, what happens to tasks when it ends. Tasks wait for gates, never for
 * time.
 */
#include "daemon/worker.h"

#include <glib.h>
#include <string.h>

/* What several tasks write into; lock guards all of it. */
typedef struct {
    GMutex lock;
    GCond cond;
    bool open; /* the gate that a task may wait at */
    bool waiting;
    GString *order;
    GThread *loop;
} Log;

typedef struct {
    Log *log;
    char name;
    bool waits;
    Worker *worker; /* submits `next` from done() */
    void *next;
} Task;

static void log_init(Log *log) {
    g_mutex_init(&log->lock);
    g_cond_init(&log->cond);
    log->open = log->waiting = false;
    log->order = g_string_new(NULL);
    log->loop = g_thread_self();
}

static void log_clear(Log *log) {
    g_string_free(log->order, TRUE);
    g_cond_clear(&log->cond);
    g_mutex_clear(&log->lock);
}

static void log_add(Log *log, const char *what, char name) {
    g_mutex_lock(&log->lock);
    g_string_append_printf(log->order, "%s%c ", what, name);
    g_mutex_unlock(&log->lock);
}

static void run(void *data) {
    Task *task = data;

    g_assert_true(g_thread_self() != task->log->loop);
    g_mutex_lock(&task->log->lock);
    task->log->waiting = task->waits;
    g_cond_broadcast(&task->log->cond);
    while (task->waits && !task->log->open)
        g_cond_wait(&task->log->cond, &task->log->lock);
    task->log->waiting = false;
    g_mutex_unlock(&task->log->lock);
    log_add(task->log, "r", task->name);
}

static void done(void *data) {
    const Task *task = data;

    g_assert_true(g_thread_self() == task->log->loop);
    log_add(task->log, "d", task->name);
    if (task->next)
        worker_submit(task->worker, run, done, NULL, task->next);
}

static void freed(void *data) {
    const Task *task = data;

    g_assert_true(g_thread_self() == task->log->loop);
    log_add(task->log, "f", task->name);
}

static void gate_wait(Log *log) {
    g_mutex_lock(&log->lock);
    while (!log->waiting)
        g_cond_wait(&log->cond, &log->lock);
    g_mutex_unlock(&log->lock);
}

static void gate_open(Log *log) {
    g_mutex_lock(&log->lock);
    log->open = true;
    g_cond_broadcast(&log->cond);
    g_mutex_unlock(&log->lock);
}

static bool log_has(Log *log, const char *what) {
    g_mutex_lock(&log->lock);
    bool has = g_strstr_len(log->order->str, -1, what) != NULL;
    g_mutex_unlock(&log->lock);
    return has;
}

static Worker *make(sd_event **ret_event) {
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(sd_event_new(ret_event), >=, 0);
    Worker *worker = worker_new(*ret_event, "test", &error);
    g_assert_no_error(error);
    return worker;
}

static void test_order(void) {
    sd_event *event;
    g_autoptr(Worker) worker = make(&event);
    Log log;
    Task c = { .log = &log, .name = 'c' }, b = { .log = &log, .name = 'b' },
         a = { .log = &log, .name = 'a', .worker = worker, .next = &c };

    log_init(&log);
    worker_submit(worker, run, done, freed, &a);
    worker_submit(worker, run, done, freed, &b);
    while (!log_has(&log, "dc"))
        g_assert_cmpint(sd_event_run(event, 30 * G_USEC_PER_SEC), >, 0);
    g_autofree char *order = g_strdup(log.order->str);
    const char *da = strstr(order, "da"), *fa = strstr(order, "fa"), *db = strstr(order, "db"),
               *dc = strstr(order, "dc");
    const char *ra = strstr(order, "ra"), *rb = strstr(order, "rb"), *rc = strstr(order, "rc");
    g_assert_true(ra < rb && rb < rc && ra < da && da < fa && fa < db && db < dc); /* freed right after its own done */
    sd_event_unref(event);
    log_clear(&log);
}

/* Draining runs and answers what was submitted; what an answer submits then is freed, not run. */
static void test_drain(void) {
    sd_event *event;
    Worker *worker = make(&event);
    Log log;
    Task c = { .log = &log, .name = 'c' }, b = { .log = &log, .name = 'b' },
         a = { .log = &log, .name = 'a', .worker = worker, .next = &c };

    log_init(&log);
    worker_submit(worker, run, done, freed, &a);
    worker_submit(worker, run, done, freed, &b);
    worker_drain(worker);
    g_assert_cmpstr(log.order->str, ==, "ra rb da fa db fb ");
    worker_free(worker);
    g_assert_cmpstr(log.order->str, ==, "ra rb da fa db fb ");
    sd_event_unref(event);
    log_clear(&log);
}

/* Freeing waits for the task at hand, calls no done(), frees every task's data. */
static void test_free(void) {
    sd_event *event;
    Worker *worker = make(&event);
    Log log;
    Task a = { .log = &log, .name = 'a', .waits = true }, b = { .log = &log, .name = 'b' };

    log_init(&log);
    worker_submit(worker, run, done, freed, &a);
    worker_submit(worker, run, done, freed, &b);
    gate_wait(&log);
    gate_open(&log);
    worker_free(worker);
    g_assert_cmpstr(log.order->str, ==, "ra rb fa fb ");
    worker_free(NULL);
    sd_event_unref(event);
    log_clear(&log);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker/order", test_order);
    g_test_add_func("/worker/drain", test_drain);
    g_test_add_func("/worker/free", test_free);
    return g_test_run();
}
