/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/worker.h"

#include "proto/error.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
    WorkerFunc run; /* NULL: the thread ends */
    WorkerFunc done;
    WorkerFunc free_func;
    void *data;
} Task;

struct Worker {
    GThread *thread;
    GMutex lock;    /* guards todo and done */
    GCond has_todo; /* for the thread */
    GQueue todo;    /* Task *, to the thread */
    GQueue done;    /* Task *, back to the loop */
    sd_event_source *source;
    int event_fd;
};

static void task_free(Task *task) {
    if (task->free_func)
        task->free_func(task->data);
    g_free(task);
}

static Task *wait_for_task(Worker *worker) {
    Task *task;

    g_mutex_lock(&worker->lock);
    while (!(task = g_queue_pop_head(&worker->todo)))
        g_cond_wait(&worker->has_todo, &worker->lock);
    g_mutex_unlock(&worker->lock);
    return task;
}

static void *worker_main(void *data) {
    Worker *worker = data;

    for (;;) {
        Task *task = wait_for_task(worker);

        if (!task->run) {
            g_free(task);
            return NULL;
        }
        task->run(task->data);
        g_mutex_lock(&worker->lock);
        g_queue_push_tail(&worker->done, task);
        g_mutex_unlock(&worker->lock);

        uint64_t one = 1;
        /* The counter cannot be full: the loop would have to leave 2^64 - 2 results unread. */
        while (write(worker->event_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
}

static Task *take(Worker *worker, GQueue *queue) {
    g_mutex_lock(&worker->lock);
    Task *task = g_queue_pop_head(queue);
    g_mutex_unlock(&worker->lock);
    return task;
}

static void worker_deliver(Worker *worker) {
    Task *task;

    while ((task = take(worker, &worker->done))) {
        if (task->done)
            task->done(task->data);
        task_free(task);
    }
}

static int worker_on_event(sd_event_source *source, int fd, uint32_t revents, void *data) {
    uint64_t count;

    (void) source;
    (void) revents;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    worker_deliver(data);
    return 0;
}

Worker *worker_new(sd_event *event, const char *name, GError **error) {
    g_autoptr(Worker) worker = g_new0(Worker, 1);
    g_autoptr(GError) local = NULL;
    int r;

    g_mutex_init(&worker->lock);
    g_cond_init(&worker->has_todo);
    g_queue_init(&worker->todo);
    g_queue_init(&worker->done);
    worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->event_fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot make an eventfd for thread %s: %s", name,
                    g_strerror(errno));
        return NULL;
    }
    r = sd_event_add_io(event, &worker->source, worker->event_fd, EPOLLIN, worker_on_event, worker);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot watch the eventfd of thread %s: %s", name,
                    g_strerror(-r));
        return NULL;
    }
    worker->thread = g_thread_try_new(name, worker_main, worker, &local);
    if (!worker->thread) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot start thread %s: %s", name, local->message);
        return NULL;
    }
    return g_steal_pointer(&worker);
}

static void worker_join(Worker *worker) {
    if (!worker->thread)
        return;
    worker_submit(worker, NULL, NULL, NULL, NULL);
    g_thread_join(g_steal_pointer(&worker->thread));
}

void worker_drain(Worker *worker) {
    worker_join(worker);
    worker_deliver(worker);
}

void worker_free(Worker *worker) {
    Task *task;

    if (!worker)
        return;
    worker_join(worker);
    while ((task = take(worker, &worker->done)) || (task = take(worker, &worker->todo)))
        task_free(task);
    sd_event_source_unref(worker->source);
    if (worker->event_fd >= 0)
        close(worker->event_fd);
    g_cond_clear(&worker->has_todo);
    g_mutex_clear(&worker->lock);
    g_free(worker);
}

void worker_submit(Worker *worker, WorkerFunc run, WorkerFunc done, WorkerFunc free_func, void *data) {
    Task *task = g_new(Task, 1);

    *task = (Task){ .run = run, .done = done, .free_func = free_func, .data = data };
    g_mutex_lock(&worker->lock);
    g_queue_push_tail(&worker->todo, task);
    g_mutex_unlock(&worker->lock);
    /* With the lock free: the thread that wakes up is not to wait for it. */
    g_cond_signal(&worker->has_todo);
}
