/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Allocates a data region, shows it, gives it back and waits until its content is erased; nothing blocks meanwhile but
 * poll(2), whose place the loop of any program may take.
 *
 *     cc -o allocate-region allocate-region.c $(pkg-config --cflags --libs libpmemd)
 *     ./allocate-region system 1073741824 guest0
 *
 * Needs a pool, such as 'pmemctl allocate-mgmt 1G' makes. Exit status: 0 done, 1 not, 2 bad usage.
 */
#include <inttypes.h>
#include <pmemd/libpmemd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    PmemdRequest *request;
    char *path;  /* of the region */
    char *job;   /* that erases it; NULL: not known yet */
    char *ended; /* a job that ended before its path was known */
    bool sent_again;
    int status; /* -1 while there is something to do */
} Task;

static void on_allocated(PmemdClient *client, PmemdReply *reply, void *data);
static void on_region(PmemdClient *client, PmemdReply *reply, void *data);
static void on_released(PmemdClient *client, PmemdReply *reply, void *data);

static void fail(Task *task, const char *what, const char *message) {
    fprintf(stderr, "%s: %s\n", what, message);
    task->status = EXIT_FAILURE;
}

/* A step that could not even be sent. */
static void check(PmemdClient *client, Task *task, const char *what, int r) {
    if (r < 0)
        fail(task, what, pmemd_client_error_message(client));
}

static void on_allocated(PmemdClient *client, PmemdReply *reply, void *data) {
    Task *task = data;

    if (pmemd_reply_result(reply) < 0) {
        /* pmemd went away: when it is back, the same request-id has it answer as if nothing had happened. */
        if (strcmp(pmemd_reply_error_name(reply), PMEMD_ERROR_NAME_LOST) != 0 || task->sent_again)
            fail(task, "cannot allocate", pmemd_reply_error_message(reply));
        return;
    }
    task->path = strdup(pmemd_reply_path(reply));
    check(client, task, "cannot look at the region",
          pmemd_client_region_async(client, task->path, on_region, task, NULL));
}

static void on_region(PmemdClient *client, PmemdReply *reply, void *data) {
    PmemdRegion *region = NULL;
    Task *task = data;

    if (pmemd_reply_take_region(reply, &region) < 0) {
        fail(task, "cannot look at the region", pmemd_reply_error_message(reply));
        return;
    }
    printf("allocated %s: %" PRIu64 " bytes at frame 0x%" PRIx64 ", device %s\n", region->uuid, region->bytes,
           region->frames.start, region->device_path);
    pmemd_region_free(region);
    check(client, task, "cannot release the region",
          pmemd_client_release_data_async(client, task->path, NULL, on_released, task, NULL));
}

static void on_released(PmemdClient *client, PmemdReply *reply, void *data) {
    Task *task = data;

    (void) client;
    if (pmemd_reply_result(reply) < 0) {
        fail(task, "cannot release the region", pmemd_reply_error_message(reply));
        return;
    }
    task->job = strdup(pmemd_reply_path(reply));
    printf("erasing by %s\n", task->job);
    if (task->ended && strcmp(task->ended, task->job) == 0)
        task->status = EXIT_SUCCESS;
}

static void on_job_removed(Task *task, const PmemdEvent *event) {
    const PmemdValue *result = pmemd_event_value(event, "Result");
    const PmemdValue *message = pmemd_event_value(event, "Message");
    const PmemdValue *region = pmemd_event_value(event, "Region");

    if (!result || !message || !region || !task->path || strcmp(region->s, task->path) != 0)
        return;
    if (strcmp(result->s, "done") != 0) {
        fail(task, "the region stays quarantined", message->s);
        return;
    }
    printf("erased, its frames are free\n");
    free(task->ended);
    task->ended = strdup(event->path);
    if (task->job)
        task->status = EXIT_SUCCESS;
}

static void on_event(PmemdClient *client, const PmemdEvent *event, void *data) {
    const PmemdValue *progress;
    Task *task = data;

    switch (event->type) {
    case PMEMD_EVENT_CHANGED:
        progress = pmemd_event_value(event, "Progress");
        if (progress && task->job && strcmp(event->path, task->job) == 0)
            printf("%3.0f%% erased\n", progress->d * 100);
        break;
    case PMEMD_EVENT_JOB_REMOVED:
        on_job_removed(task, event);
        break;
    case PMEMD_EVENT_DAEMON_UP:
        if (!task->path && !task->sent_again) {
            task->sent_again = true;
            check(client, task, "cannot allocate again",
                  pmemd_client_submit_async(client, task->request, on_allocated, task, NULL));
        }
        break;
    case PMEMD_EVENT_DISCONNECTED:
        fail(task, "the bus", "the connection is lost");
        break;
    default:
        break;
    }
}

/* Milliseconds until a time of CLOCK_MONOTONIC; -1: without end. */
static int milliseconds_until(uint64_t usec) {
    struct timespec now;

    if (usec == UINT64_MAX)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t passed = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
    return usec > passed ? (int) ((usec - passed + 999) / 1000) : 0;
}

/* What a loop of one's own does for the library: process until there is nothing to do, then wait for what it names. */
static int run(PmemdClient *client, Task *task) {
    while (task->status < 0) {
        uint64_t timeout = UINT64_MAX;
        int r = pmemd_client_process(client);
        if (r > 0)
            continue;
        int events = r < 0 ? r : pmemd_client_get_events(client);
        if (events < 0 || pmemd_client_get_timeout(client, &timeout) < 0) {
            fail(task, "the bus", pmemd_client_error_message(client));
            break;
        }
        struct pollfd fd = { .fd = pmemd_client_get_fd(client), .events = (short) events };
        (void) poll(&fd, 1, milliseconds_until(timeout));
    }
    return task->status;
}

static int prepare(PmemdClient *client, Task *task, char **argv) {
    char id[PMEMD_REQUEST_ID_SIZE];

    int r = pmemd_client_open(client, argv[1]);
    /* Before the release, so that the end of the job is not missed. */
    if (r >= 0)
        r = pmemd_client_subscribe(client, on_event, task);
    if (r >= 0)
        r = pmemd_make_request_id(id);
    if (r < 0)
        return r;
    pmemd_client_set_interactive(client, true);
    pmemd_request_set_bytes(task->request, strtoull(argv[2], NULL, 0));
    pmemd_request_set_name(task->request, argv[3]);
    pmemd_request_set_id(task->request, id);
    return pmemd_client_submit_async(client, task->request, on_allocated, task, NULL);
}

int main(int argc, char **argv) {
    Task task = { .status = -1 };
    PmemdClient *client = NULL;

    if (argc != 4) {
        fprintf(stderr, "usage: allocate-region BUS BYTES NAME\n");
        return 2;
    }
    /* Where it runs, and who reads a pipe, wants each line when it happens. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pmemd_client_new(&client) < 0 || pmemd_request_new(PMEMD_OPERATION_ALLOCATE_DATA, &task.request) < 0)
        return EXIT_FAILURE;

    check(client, &task, "cannot allocate", prepare(client, &task, argv));
    int status = run(client, &task);
    free(task.path);
    free(task.job);
    free(task.ended);
    pmemd_request_free(task.request);
    pmemd_client_free(client);
    return status;
}
