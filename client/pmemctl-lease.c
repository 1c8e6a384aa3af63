/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs attach, detach and leases: who holds a data region. A command that attach runs has the device open, and the
 * lease ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"
#include "proto/one-line.h"

#define COMMAND_FD 3 /* of the command: the device */
#define LINK_USEC (INT64_C(10) * G_USEC_PER_SEC)
#define LOOK_USEC 10000
#define UDEV_QUEUE "/run/udev/queue" /* there while udev has something to do */

/* --- attach --- */

bool ctl_check_owner(const Ctl *ctl, GError **error) {
    if (ctl->lease_owner && ctl->lease_owner[0] != '\0')
        return true;
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                "whom is it for? --owner=NAME names the holder, such as the uuid of a libvirt domain");
    return false;
}

bool ctl_attach(Ctl *ctl, const PmemdRegion *region, int *ret_fd, PmemdAttachment **ret_attachment, GError **error) {
    uint64_t frame = PMEMD_FRAME_UNKNOWN;
    unsigned flags = 0;

    if (ctl->guest_frame && !parse_frame(ctl->guest_frame, &frame, error))
        return false;
    if (ctl->until_disconnect)
        flags |= PMEMD_ATTACH_UNTIL_DISCONNECT;
    if (ctl->allow_degraded)
        flags |= PMEMD_ATTACH_ALLOW_DEGRADED;
    return ctl_check(
        ctl, pmemd_client_attach(ctl->client, region->path, ctl->lease_owner, flags, frame, ret_fd, ret_attachment),
        error);
}

/* Attaching may have renewed the device, and udev makes its link anew then. What QEMU cannot find it makes, as a file. */
bool ctl_wait_for_link(const PmemdAttachment *attachment, GError **error) {
    int64_t deadline = g_get_monotonic_time() + LINK_USEC;

    if (!g_str_has_prefix(attachment->path, "/dev/"))
        return true;
    while (access(UDEV_QUEUE, F_OK) == 0 || access(attachment->path, F_OK) != 0) {
        if (g_get_monotonic_time() > deadline) {
            g_set_error(
                error, CTL_ERROR, CTL_ERROR_LINK,
                "the region is lent, but %s is not there or udev is busy: look at udev's log, and start no guest "
                "before that ('pmemctl detach' gives the region back)",
                attachment->path);
            return false;
        }
        g_usleep(LOOK_USEC);
    }
    return true;
}

static void print_attachment(const Ctl *ctl, const PmemdRegion *region, const PmemdAttachment *attachment) {
    if (ctl->format != CTL_FORMAT_JSON) {
        g_autofree char *path = one_line(attachment->path);
        printf("%s\n", path);
        return;
    }
    JsonObject *document = json_document_new();
    JsonObject *body = json_from_row(columns_attachment(), attachment);
    json_object_set_string_member(body, "uuid", region->uuid);
    json_object_set_string_member(body, "owner", ctl->lease_owner);
    json_object_set_object_member(document, "attach", body);
    json_document_print(stdout, document, true);
}

/* --- attach: a command --- */

/* Those that end a program, for the command to hear and for us to outlive; and its end. */
static void fill_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGCHLD);
}

static char **command_environment(const PmemdRegion *region, const PmemdAttachment *attachment) {
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, attachment->bytes);

    char **environment = g_get_environ();
    environment = g_environ_setenv(environment, "PMEMD_FD", G_STRINGIFY(COMMAND_FD), TRUE);
    environment = g_environ_setenv(environment, "PMEMD_PATH", attachment->path, TRUE);
    environment = g_environ_setenv(environment, "PMEMD_BYTES", bytes, TRUE);
    return g_environ_setenv(environment, "PMEMD_REGION", region->uuid, TRUE);
}

/* Its pid; 0: it cannot be run. mask: its signals. */
static pid_t spawn(char **command, int fd, const sigset_t *mask, char **environment, GError **error) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    /* The copy of a descriptor on itself is one that is kept, too. */
    int r = posix_spawn_file_actions_adddup2(&actions, fd, COMMAND_FD);
    if (r == 0)
        r = posix_spawnattr_setsigmask(&attributes, mask);
    if (r == 0)
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (r == 0)
        r = posix_spawnp(&pid, command[0], &actions, &attributes, command, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (r == 0)
        return pid;
    g_set_error(error, CTL_ERROR, CTL_ERROR_COMMAND, "cannot run '%s': %s", command[0], g_strerror(r));
    return 0;
}

/* Hands signals on. What the terminal sends, the command has had already. */
static void forward_signals(int signals, pid_t pid) {
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
            (void) kill(pid, (int) info.ssi_signo);
}

/* Keeps the connection in step. Returns whether it stands. */
static bool process_client(PmemdClient *client) {
    int r;

    do
        r = pmemd_client_process(client);
    while (r > 0);
    return r == 0;
}

/* Until the command ends: its status as a shell has it. The lease of a lost connection is gone, and its holder runs. */
static int wait_for_command(const Ctl *ctl, pid_t pid, int signals) {
    bool connected = true;
    int status;

    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        bool stands = connected && process_client(ctl->client);
        if (connected && !stands && ctl->until_disconnect)
            fprintf(stderr,
                    "pmemctl: the connection to pmemd is lost, and the lease with it, while the command runs\n");
        connected = stands;
        struct pollfd fds[] = {
            { .fd = signals, .events = POLLIN },
            { .fd = connected ? pmemd_client_get_fd(ctl->client) : -1, .events = POLLIN },
        };
        (void) poll(fds, G_N_ELEMENTS(fds), -1);
        forward_signals(signals, pid);
    }
}

static bool run_command(Ctl *ctl, const PmemdRegion *region, const PmemdAttachment *attachment, int fd,
                        GError **error) {
    g_auto(GStrv) environment = command_environment(region, attachment);
    sigset_t set, before;

    fill_signals(&set);
    (void) sigprocmask(SIG_BLOCK, &set, &before);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    pid_t pid = signals >= 0 ? spawn(ctl->command, fd, &before, environment, error) : 0;
    if (signals < 0)
        g_set_error(error, CTL_ERROR, CTL_ERROR_COMMAND, "cannot run '%s': %s", ctl->command[0], g_strerror(errno));
    /* Only the command's now: what it mapped and forgot is its own end. */
    close(fd);
    if (pid > 0)
        ctl->status = wait_for_command(ctl, pid, signals);
    if (signals >= 0)
        close(signals);
    return pid > 0;
}

/* Whether the owner held the region before: then it is not ours to take away. */
static bool held_before(const Ctl *ctl, const PmemdRegion *region, const PmemdAttachment *attachment) {
    return strcmp(region->lease_owner, ctl->lease_owner) == 0 && region->lease_since_usec == attachment->since_usec;
}

static bool attach_command(Ctl *ctl, const PmemdRegion *region, GError **error) {
    g_autoptr(PmemdAttachment) attachment = NULL;
    GError *late = NULL;
    int fd;

    if (!ctl_attach(ctl, region, &fd, &attachment, error))
        return false;
    bool ok = run_command(ctl, region, attachment, fd, error);
    if (held_before(ctl, region, attachment) ||
        ctl_check(ctl, pmemd_client_detach(ctl->client, region->path, ctl->lease_owner, false), &late))
        return ok;
    if (!ok) {
        g_error_free(late); /* the first cause is told */
        return false;
    }
    g_propagate_prefixed_error(error, late, "the command ended with status %d, but its lease has not: ", ctl->status);
    return false;
}

static bool check_command(const Ctl *ctl, GError **error) {
    if (ctl->command && !ctl->command[0]) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "which command? '--' stands before one");
        return false;
    }
    if (!ctl->command && ctl->until_disconnect) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "--until-disconnect needs a command: without one the lease would end at once");
        return false;
    }
    if (ctl->command && ctl->format == CTL_FORMAT_JSON) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "with a command there is nothing to print as JSON");
        return false;
    }
    return true;
}

static bool find_region(Ctl *ctl, PmemdRegion **ret_region, GError **error) {
    g_autofree char *path = NULL;

    return ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) &&
           ctl_check(ctl, pmemd_client_region(ctl->client, path, ret_region), error);
}

bool verb_attach(Ctl *ctl, GError **error) {
    g_autoptr(PmemdAttachment) attachment = NULL;
    g_autoptr(PmemdRegion) region = NULL;

    if (!check_command(ctl, error) || !ctl_check_owner(ctl, error) || !ctl_connect(ctl, error) ||
        !find_region(ctl, &region, error))
        return false;
    if (ctl->command)
        return attach_command(ctl, region, error);
    if (!ctl_attach(ctl, region, NULL, &attachment, error) || !ctl_wait_for_link(attachment, error))
        return false;
    print_attachment(ctl, region, attachment);
    return true;
}

/* --- detach --- */

bool verb_detach(Ctl *ctl, GError **error) {
    g_autofree char *path = NULL;

    const char *owner = ctl->lease_owner ? ctl->lease_owner : "";

    /* By force whoever it is. */
    if ((!ctl->force && !ctl_check_owner(ctl, error)) || !ctl_connect(ctl, error) ||
        !ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_detach(ctl->client, path, owner, ctl->force), error))
        return false;
    ctl_print_changed(ctl, path);
    return true;
}

/* --- leases --- */

bool verb_leases(Ctl *ctl, GError **error) {
    g_auto(GStrv) keys = ctl->columns ? g_strsplit(ctl->columns, ",", -1) : NULL;
    g_autoptr(GPtrArray) shown = columns_choose(columns_lease(), (const char *const *) keys);

    if (keys && (shown->len == 0 || shown->len < g_strv_length(keys))) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "there is no column '%s' in this list: --columns takes the keys that --json shows", ctl->columns);
        return false;
    }
    if (!ctl_connect(ctl, error))
        return false;
    g_autoptr(GPtrArray) leases = ctl_list_leases(ctl, error);
    if (!leases)
        return false;
    if (ctl->format == CTL_FORMAT_JSON) {
        JsonObject *document = json_document_new();
        json_object_set_array_member(document, "leases", json_from_rows(columns_lease(), leases));
        json_document_print(stdout, document, true);
    } else
        print_table(stdout, ctl->no_legend ? NULL : "Leases", shown, leases);
    return true;
}
