/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/pmemctl-agent.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTIFY_FD 3              /* of the child */
#define START_MILLISECONDS 10000 /* a polkitd that has to be started first is slow */

struct Agent {
    GPid pid;
};

/* Until the child closes its end: it listens then, or has ended. */
static void wait_for_close(int fd) {
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    int r;

    do
        r = poll(&wait, 1, START_MILLISECONDS);
    while (r < 0 && errno == EINTR);
}

Agent *agent_start(void) {
    const char *const command[] = { "pkttyagent", "--notify-fd", G_STRINGIFY(NOTIFY_FD), "--fallback", NULL };
    const int target = NOTIFY_FD;
    GPid pid;
    int pipe[2];

    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, NULL))
        return NULL;
    /* It has the terminal that pmemctl has; --fallback leaves an agent of the session in its place. */
    gboolean ok = g_spawn_async_with_pipes_and_fds(
        NULL, command, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL,
        -1, -1, -1, &pipe[1], &target, 1, &pid, NULL, NULL, NULL, NULL);
    close(pipe[1]);
    if (ok)
        wait_for_close(pipe[0]);
    close(pipe[0]);
    if (!ok)
        return NULL;

    Agent *agent = g_new0(Agent, 1);
    agent->pid = pid;
    return agent;
}

void agent_stop(Agent *agent) {
    if (!agent)
        return;
    /* It puts the terminal right before it ends; a stopped one has to be told to go on for that. */
    (void) kill(agent->pid, SIGTERM);
    (void) kill(agent->pid, SIGCONT);
    pid_t ended;
    do
        ended = waitpid(agent->pid, NULL, 0);
    while (ended < 0 && errno == EINTR);
    g_spawn_close_pid(agent->pid);
    g_free(agent);
}
