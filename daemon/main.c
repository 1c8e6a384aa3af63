/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd: options, configuration and its reload, wiring, readiness, orderly end.
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
#include "proto/standard-fds.h"

#include <locale.h>
#include <malloc.h>
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
    "  0  stopped in order (SIGTERM, SIGINT); with --check-config: the configuration will do\n"
    "  1  failure at run time: message bus not reachable, bus name taken or lost, connection lost;\n"
    "     with --check-config: pmemd would not start with this configuration\n"
    "  2  bad option or configuration\n"
    "  3  the backend cannot be opened\n"
    "  4  the state directory cannot be used, or another pmemd uses it\n";

typedef struct {
    char *config_path;           /* NULL: the host's */
    char *values[N_CONFIG_KEYS]; /* NULL: not given */
} Options;

static void options_free(Options *options) {
    if (!options)
        return;
    g_free(options->config_path);
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        g_free(options->values[key]);
    g_free(options);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

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
    Backend *ndctl;                /* the manager's; NULL: another backend */
    const Options *options;        /* over what the files say, also at a reload */
    Config *started;               /* what it started with: some of it counts until it ends */
    Config *config;                /* what counts now of the rest; at first the same */
    char *reload_error;            /* NULL: the last reload was fine */
    bool ready;
} Daemon;

static void daemon_free(Daemon *d) {
    if (!d)
        return;
    /* The manager answers what waits, by the bus, and tells the eraser of what it had at hand for it. */
    if (d->bus) {
        bus_set_eraser(d->bus, NULL);
        bus_refuse_pending(d->bus);
    }
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
    if (d->config != d->started)
        config_free(d->config);
    config_free(d->started);
    g_free(d->reload_error);
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

static const struct {
    ConfigKey key;
    const char *source;
} option_table[] = {
    { CONFIG_BUS, "option --bus" },
    { CONFIG_BACKEND, "option --backend" },
    { CONFIG_STATE_DIR, "option --state-dir" },
};

/* The files, and over them the options. Warnings go to the log. */
static Config *load_config(const Options *options, GError **error) {
    g_autoptr(Config) config = config_load(options->config_path, error);

    if (!config)
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(option_table); i++) {
        const char *value = options->values[option_table[i].key];

        if (value && !config_override(config, option_table[i].key, value, option_table[i].source, error))
            return NULL;
    }
    config_check_names(config);
    for (guint i = 0; i < config->warnings->len; i++)
        log_event(EVENT_CONFIGURATION_IGNORED, NULL, "%s", (const char *) config->warnings->pdata[i]);
    return g_steal_pointer(&config);
}

static int check_config(const Options *options) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load_config(options, &error);

    if (!config) {
        log_event(EVENT_CONFIGURATION_BAD, NULL, "%s", error->message);
        return STATUS_FAILED;
    }
    g_autofree char *text = config_to_string(config);
    fputs(text, stdout);
    return STATUS_STOPPED;
}

/* false: *ret_status is the exit status. */
static bool parse_options(int argc, char **argv, Options **ret_options, int *ret_status) {
    g_autoptr(Options) options = g_new0(Options, 1);
    gboolean version = FALSE, check = FALSE;
    char **values = options->values;
    const GOptionEntry entries[] = {
        { "bus", 0, 0, G_OPTION_ARG_STRING, &values[CONFIG_BUS], "Message bus: system (default), session or an address",
          "BUS" },
        { "backend", 0, 0, G_OPTION_ARG_STRING, &values[CONFIG_BACKEND], "Platform: ndctl (default) or file:DIR",
          "BACKEND" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &values[CONFIG_STATE_DIR],
          "Where pmemd keeps its notes (/var/lib/pmemd)", "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &options->config_path,
          "Configuration (" CONFIG_PATH "), with the drop-ins FILE.d/*.conf", "FILE" },
        { "check-config", 0, 0, G_OPTION_ARG_NONE, &check,
          "Print the configuration that counts, and where each value is from, and end", NULL },
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
    if (check) {
        *ret_status = check_config(options);
        return false;
    }
    *ret_options = g_steal_pointer(&options);
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
    const char *reason = manager_state_reason(manager), *refused = d->reload_error;

    d->told_state = manager_get_state(manager);
    sd_notifyf(false, "STATUS=%s: %u raw, %u mgmt, %u data regions%s%s%s%s",
               manager_state_to_string(manager_get_state(manager)), state_raws(state)->len, state_pools(state)->len,
               state_count_regions(state), *reason ? "; " : "", reason,
               refused ? "; the configuration of before counts: " : "", refused ?: "");
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
    d->ready = true;
    sd_notify(false, "READY=1");
    tell_status(d);
}

/* --- what can change while it runs --- */

static ManagerLimits limits_of(const Config *config) {
    return (ManagerLimits){
        .max_queue = config->max_queue,
        .max_queue_per_uid = config->max_queue_per_user,
        .max_regions_per_uid = config->max_regions_per_user,
        .max_leases_per_uid = config->max_leases_per_user,
        .stuck_usec = config->stuck_after_sec * UINT64_C(1000000),
    };
}

static BusDefaults defaults_of(const Config *config) {
    return (BusDefaults){
        .profile = config->default_profile,
        .alignment = config->default_alignment,
        .quotas = config->quotas,
    };
}

/* Takes config, which follows d->config. */
static void apply_config(Daemon *d, Config *config) {
    const BusDefaults defaults = defaults_of(config);
    bool other_persistence = d->config->persistence != config->persistence;

    manager_set_limits(d->manager, limits_of(config));
    manager_set_manage(d->manager, config->manage);
    bus_set_defaults(d->bus, &defaults);
    eraser_set_rate(d->eraser, config->erase_rate);
    if (d->watch && d->ndctl && d->config->health_poll_sec != config->health_poll_sec)
        watch_set_poll(d->watch, config->health_poll_sec);
    eraser_set_verify_all(d->eraser, config->erase_verify_all);
    if (d->config != d->started)
        config_free(d->config);
    d->config = config;
    if (d->ndctl && other_persistence) {
        backend_ndctl_allow_unknown_persistence(d->ndctl, config->persistence != CONFIG_PERSISTENCE_REQUIRE);
        alarm_warn_of_persistence(d->alarm, config->persistence == CONFIG_PERSISTENCE_WARN);
        manager_refresh(d->manager);
    }
}

/* All or nothing: what will not do leaves everything as it is. */
static void reload(Daemon *d) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load_config(d->options, &error);

    g_clear_pointer(&d->reload_error, g_free);
    if (!config) {
        d->reload_error = g_strdup(error->message);
        log_event(EVENT_CONFIGURATION_BAD, NULL, "%s; the configuration of before still counts", error->message);
        return;
    }
    g_autofree char *later = config_restart_needed(d->started, config);
    if (later)
        log_message(LOG_WARNING, NULL, NULL, "the new values of %s count after a restart of pmemd", later);
    apply_config(d, g_steal_pointer(&config));
}

static int on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
    Daemon *d = userdata;

    if (d->ready)
        sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
    reload(d);
    if (d->ready)
        sd_notify(false, "READY=1");
    tell_status(d);
    return 0;
}

/* --- wiring --- */

static Backend *open_backend(const Config *config, GError **error) {
    if (g_str_has_prefix(config->backend, "file:"))
        return backend_file_new(config->backend + strlen("file:"), error);
    return backend_ndctl_new(config->persistence != CONFIG_PERSISTENCE_REQUIRE, error);
}

static bool set_up_loop(Daemon *d, GError **error) {
    int r = sd_event_default(&d->event);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGTERM, on_stop_signal, NULL);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGINT, on_stop_signal, NULL);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGHUP, on_reload_signal, d);
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

static void set_up_watch(Daemon *d) {
    const char *backend = d->config->backend;
    g_autoptr(GError) error = NULL;

    d->watch = d->ndctl ? watch_ndctl_new(d->event, d->manager, &error)
                        : watch_file_new(d->event, d->manager, backend + strlen("file:"), &error);
    if (!d->watch)
        log_message(LOG_WARNING, NULL, NULL, "%s, ignoring: what others change is seen when a request meets it",
                    error->message);
    else if (d->ndctl)
        watch_set_poll(d->watch, d->config->health_poll_sec);
}

static bool wire_up(Daemon *d, GError **error) {
    const Config *config = d->config;
    const BusDefaults defaults = defaults_of(config);
    const ManagerEvents events = { .summary_changed = on_summary_changed, .ready = on_ready };
    const BusEvents bus_events = { .lost = on_bus_lost };
    void *listener;

    /* The manager has the backend from here on, also when it fails. */
    d->ndctl = g_str_equal(d->backend->ops->name, "ndctl") ? d->backend : NULL;
    d->manager = manager_new(d->event, g_steal_pointer(&d->backend), config->state_dir, limits_of(config), error);
    if (!d->manager)
        return false;
    d->bus = bus_new(d->event, config->bus, d->manager, &defaults, &bus_events, d, error);
    if (!d->bus)
        return false;
    const EraserEvents *eraser_events = bus_get_eraser_events(d->bus, &listener);
    d->eraser = eraser_new(d->event, d->manager, eraser_events, listener, error);
    if (!d->eraser)
        return false;
    bus_set_eraser(d->bus, d->eraser);
    manager_set_manage(d->manager, config->manage);
    eraser_set_rate(d->eraser, config->erase_rate);
    eraser_set_verify_all(d->eraser, config->erase_verify_all);
    set_up_watch(d);
    manager_add_events(d->manager, &events, d);
    d->alarm = alarm_new(d->manager);
    alarm_warn_of_persistence(d->alarm, config->persistence == CONFIG_PERSISTENCE_WARN);
    manager_start(d->manager);
    return true;
}

/* Takes config. */
static int run(const Options *options, Config *config) {
    g_autoptr(Daemon) d = g_new0(Daemon, 1);
    g_autoptr(GError) error = NULL;

    d->lock_fd = -1;
    d->options = options;
    d->started = d->config = config;
    if (!set_up_loop(d, &error))
        return fail(STATUS_FAILED, error);
    if (!state_dir_lock(config->state_dir, &d->lock_fd, &error))
        return fail(STATUS_STATE_DIR, error);
    d->backend = open_backend(config, &error);
    if (!d->backend)
        return fail(STATUS_BACKEND, error);
    if (!wire_up(d, &error))
        return fail(STATUS_FAILED, error);

    int r = sd_event_loop(d->event);
    if (r < 0) {
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the event loop failed: %s", g_strerror(-r));
        return fail(STATUS_FAILED, error);
    }
    return r;
}

int main(int argc, char **argv) {
    g_autoptr(Options) options = NULL;
    g_autoptr(Config) config = NULL;
    g_autoptr(GError) error = NULL;
    sigset_t stop;
    int status;

    if (!standard_fds_keep())
        return STATUS_FAILED;
    (void) setlocale(LC_ALL, ""); /* else it stays "C" */
    umask(0077);
    log_install();
    /* A fixed limit: else what a large block's end teaches malloc() is to keep the next ones. */
    (void) mallopt(M_MMAP_THRESHOLD, 128 << 10);
    /* One heap: what the threads leave behind in heaps of their own is not given back, 200 bytes a region after a start. */
    (void) mallopt(M_ARENA_MAX, 1);
    (void) signal(SIGPIPE, SIG_IGN); /* cannot fail with these two */
    medium_guard_install();
    /* Before any thread: the loop alone takes them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    if (!parse_options(argc, argv, &options, &status))
        return status;
    config = load_config(options, &error);
    if (!config)
        return fail(STATUS_USAGE, error);
    return run(options, g_steal_pointer(&config));
}
