/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd: options, configuration, wiring, readiness, orderly end.
 * Promises: the exit status says why it ended (see --help), one line on stderr or in the log says it in words.
 */
#include "daemon/alarm.h"
#include "daemon/backend-file.h"
#include "daemon/backend-ndctl.h"
#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/eraser.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/sigbus-guard.h"
#include "daemon/state-dir.h"
#include "daemon/watch.h"
#include "proto/error.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

enum {
    STATUS_STOPPED = 0, /* asked to stop */
    STATUS_FAILED = 1,  /* bus not reachable, name taken or lost, connection lost, recovery impossible */
    STATUS_USAGE = 2,   /* bad option or configuration */
    STATUS_BACKEND = 3, /* the backend cannot be opened */
    STATUS_STATE_DIR = 4,
};

#define STATUS_DELAY_USEC UINT64_C(200000)

static const char *const help_tail =
    "Exit status:\n"
    "  0  stopped in order (SIGTERM, SIGINT)\n"
    "  1  failure at run time: message bus not reachable, bus name taken or lost, connection lost\n"
    "  2  bad option or configuration\n"
    "  3  the backend cannot be opened\n"
    "  4  the state directory cannot be used, or another pmemd uses it\n";

/* Everything that lives as long as the loop; freed in an order of its own (see daemon_free). */
typedef struct {
    sd_event *event;
    int lock_fd;
    Backend *backend; /* until the manager has it */
    Manager *manager;
    Bus *bus;
    Watch *watch; /* NULL: not on this backend, or not to be had */
    Eraser *eraser;
    Alarm *alarm;
    sd_event_source *status_timer; /* on: the service manager is to be told of a change */
    ManagerState told_state;       /* what it was told last */
} Daemon;

static void daemon_free(Daemon *d) {
    if (!d)
        return;
    /* The manager answers what waits, by the bus, and tells the eraser of what it had at hand for it. */
    if (d->bus)
        bus_set_eraser(d->bus, NULL);
    watch_free(d->watch);
    manager_free(d->manager);
    alarm_free(d->alarm);
    eraser_free(d->eraser);
    backend_free(d->backend);
    bus_free(d->bus);
    sd_event_source_unref(d->status_timer);
    sd_event_unref(d->event);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    g_free(d);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Daemon, daemon_free)

static Event event_of(int status) {
    switch (status) {
    case STATUS_USAGE:
        return EVENT_CONFIGURATION_BAD;
    case STATUS_BACKEND:
        return EVENT_BACKEND_UNUSABLE;
    case STATUS_STATE_DIR:
        return EVENT_STATE_DIR_UNUSABLE;
    default:
        return EVENT_START_FAILED;
    }
}

static int fail(int status, const GError *error) {
    log_event(event_of(status), NULL, "%s", error->message);
    sd_notifyf(false, "STATUS=Failed: %s\nERRNO=%d", error->message,
               error->domain == PMEMD_ERROR ? pmemd_error_errno(error->code) : EINVAL);
    return status;
}

/* --- options --- */

/* false: *ret_status is the exit status. */
static bool parse_options(int argc, char **argv, Config **ret_config, int *ret_status) {
    g_autofree char *bus = NULL, *backend = NULL, *state_dir = NULL, *config_path = NULL;
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        { "bus", 0, 0, G_OPTION_ARG_STRING, &bus, "Message bus: system (default), session or an address", "BUS" },
        { "backend", 0, 0, G_OPTION_ARG_STRING, &backend, "Platform: ndctl (default) or file:DIR", "BACKEND" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &state_dir, "Where pmemd keeps its notes (/var/lib/pmemd)", "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &config_path, "Configuration (" CONFIG_PATH ")", "FILE" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and end", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- owner of the persistent memory of this host");
    g_autoptr(GError) error = NULL;

    *ret_status = STATUS_USAGE;
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, help_tail);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fail(STATUS_USAGE, error);
        return false;
    }
    if (argc > 1) {
        log_event(EVENT_CONFIGURATION_BAD, NULL, "pmemd takes options only, '%s' is none: see pmemd --help", argv[1]);
        return false;
    }
    if (version) {
        puts("pmemd " PMEMD_VERSION);
        *ret_status = STATUS_STOPPED;
        return false;
    }
    if ((bus && !config_check_bus(bus, &error)) || (backend && !config_check_backend(backend, &error))) {
        fail(STATUS_USAGE, error);
        return false;
    }

    g_autoptr(Config) config = config_load(config_path ?: CONFIG_PATH, config_path != NULL, &error);
    if (!config) {
        fail(STATUS_USAGE, error);
        return false;
    }
    for (guint i = 0; i < config->warnings->len; i++)
        log_event(EVENT_CONFIGURATION_IGNORED, NULL, "%s", (const char *) config->warnings->pdata[i]);
    char **const given[] = { &bus, &backend, &state_dir };
    char **const settings[] = { &config->bus, &config->backend, &config->state_dir };
    for (size_t i = 0; i < G_N_ELEMENTS(given); i++)
        if (*given[i]) {
            g_clear_pointer(settings[i], g_free);
            *settings[i] = g_steal_pointer(given[i]);
        }
    *ret_config = g_steal_pointer(&config);
    return true;
}

/* --- events of the loop --- */

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
    sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
    return sd_event_exit(sd_event_source_get_event(source), STATUS_STOPPED);
}

static void on_bus_lost(void *data, const char *reason) {
    const Daemon *d = data;

    log_event(EVENT_BUS_LOST, NULL, "%s: ending", reason);
    sd_notifyf(false, "STOPPING=1\nSTATUS=Failed: %s", reason);
    sd_event_exit(d->event, STATUS_FAILED);
}

static void tell_status(Daemon *d) {
    const Manager *manager = d->manager;
    const State *state = manager_state(manager);
    const char *reason = manager_state_reason(manager);

    d->told_state = manager_get_state(manager);
    sd_notifyf(false, "STATUS=%s: %u raw, %u mgmt, %u data regions%s%s",
               manager_state_to_string(manager_get_state(manager)), state_raws(state)->len, state_pools(state)->len,
               state_count_regions(state), *reason ? "; " : "", reason);
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *data) {
    tell_status(data);
    return 0;
}

/* Another State is told at once; the counts, which people read, a few times a second. */
static void on_summary_changed(void *data) {
    Daemon *d = data;
    int enabled = SD_EVENT_OFF;

    if (manager_get_state(d->manager) != d->told_state) {
        tell_status(d);
        return;
    }
    if (sd_event_source_get_enabled(d->status_timer, &enabled) < 0 || enabled != SD_EVENT_OFF)
        return;
    int r = sd_event_source_set_time_relative(d->status_timer, STATUS_DELAY_USEC);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->status_timer, SD_EVENT_ONESHOT);
    if (r < 0)
        tell_status(d); /* the loop has ended */
}

/* Only now the name: who has pmemd started by asking for it is not to be told that there are no regions. */
static void on_ready(void *data, const GError *error) {
    Daemon *d = data;
    g_autoptr(GError) local = NULL;

    if (!error && !bus_acquire_name(d->bus, &local))
        error = local;
    if (error) {
        sd_event_exit(d->event, fail(STATUS_FAILED, error));
        return;
    }
    sd_notify(false, "READY=1");
    tell_status(d);
}

/* --- wiring --- */

static Backend *open_backend(const Config *config, GError **error) {
    if (g_str_has_prefix(config->backend, "file:"))
        return backend_file_new(config->backend + strlen("file:"), error);
    return backend_ndctl_new(config->allow_unknown_persistence, error);
}

static bool set_up_loop(Daemon *d, GError **error) {
    int r = sd_event_default(&d->event);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGTERM, on_stop_signal, NULL);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGINT, on_stop_signal, NULL);
    if (r >= 0)
        r = sd_event_set_watchdog(d->event, true);
    if (r >= 0)
        r = sd_event_add_time(d->event, &d->status_timer, CLOCK_MONOTONIC, UINT64_MAX, STATUS_DELAY_USEC,
                              on_status_timer, d);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->status_timer, SD_EVENT_OFF);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot set up the event loop: %s", g_strerror(-r));
        return false;
    }
    return true;
}

static bool wire_up(Daemon *d, const Config *config, GError **error) {
    const ManagerLimits limits = { .max_queue = config->max_queue,
                                   .max_queue_per_uid = config->max_queue_per_user,
                                   .stuck_usec = config->stuck_after_sec * UINT64_C(1000000) };
    const ManagerEvents events = { .summary_changed = on_summary_changed, .ready = on_ready };
    const BusEvents bus_events = { .lost = on_bus_lost };
    void *listener;

    /* The manager has the backend from here on, also when it fails. */
    d->manager = manager_new(d->event, g_steal_pointer(&d->backend), config->state_dir, limits, error);
    if (!d->manager)
        return false;
    d->bus = bus_new(d->event, config->bus, d->manager, config->default_profile, &bus_events, d, error);
    if (!d->bus)
        return false;
    const EraserEvents *eraser_events = bus_get_eraser_events(d->bus, &listener);
    d->eraser = eraser_new(d->event, d->manager, eraser_events, listener, error);
    if (!d->eraser)
        return false;
    bus_set_eraser(d->bus, d->eraser);
    if (g_str_equal(manager_backend_name(d->manager), "ndctl")) {
        g_autoptr(GError) watch_error = NULL;

        d->watch = watch_new(d->event, d->manager, &watch_error);
        if (!d->watch)
            log_message(LOG_WARNING, NULL, NULL, "%s, ignoring: what other tools make is seen when a request meets it",
                        watch_error->message);
    }
    manager_add_events(d->manager, &events, d);
    d->alarm = alarm_new(d->manager);
    manager_start(d->manager);
    return true;
}

static int run(const Config *config) {
    g_autoptr(Daemon) d = g_new0(Daemon, 1);
    g_autoptr(GError) error = NULL;

    d->lock_fd = -1;
    if (!set_up_loop(d, &error))
        return fail(STATUS_FAILED, error);
    if (!state_dir_lock(config->state_dir, &d->lock_fd, &error))
        return fail(STATUS_STATE_DIR, error);
    d->backend = open_backend(config, &error);
    if (!d->backend)
        return fail(STATUS_BACKEND, error);
    if (!wire_up(d, config, &error))
        return fail(STATUS_FAILED, error);

    int r = sd_event_loop(d->event);
    if (r < 0) {
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the event loop failed: %s", g_strerror(-r));
        return fail(STATUS_FAILED, error);
    }
    return r;
}

int main(int argc, char **argv) {
    g_autoptr(Config) config = NULL;
    sigset_t stop;
    int status;

    (void) setlocale(LC_ALL, ""); /* else it stays "C" */
    umask(0077);
    log_install();
    (void) signal(SIGPIPE, SIG_IGN); /* cannot fail with these two */
    medium_guard_install();
    /* Before any thread: the loop alone takes them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    if (!parse_options(argc, argv, &config, &status))
        return status;
    return run(config);
}
