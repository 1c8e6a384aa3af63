/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd-libvirt: options, wiring, readiness, orderly end.
 * Promises: ready before pmemd or libvirt answer, and going on when either goes; one of its kind in a run directory.
 */
#include "client/libvirt/domains.h"
#include "client/libvirt/enabled-pools.h"
#include "client/libvirt/libvirt-bus.h"
#include "client/libvirt/log.h"
#include "client/libvirt/name-links.h"
#include "client/libvirt/orders.h"
#include "client/libvirt/pmemd-link.h"
#include "client/libvirt/pool-fs.h"
#include "client/libvirt/virt-link.h"
#include "client/libvirt/virt-pools.h"
#include "proto/error.h"
#include "proto/standard-fds.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    STATUS_STOPPED = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
};

static const char *const help_tail =
    "Exit status:\n"
    "  0  stopped in order (SIGTERM, SIGINT)\n"
    "  1  failure at run time: no message bus, its name is taken, or a directory cannot be used\n"
    "  2  bad option\n";

typedef struct {
    char *bus, *run_dir, *pools_dir, *state_dir, *device_dir, *qemu_uri, *storage_uri;
    gdouble deadline; /* seconds */
    gboolean no_libvirt;
} Options;

static void options_free(Options *options) {
    if (!options)
        return;
    g_free(options->bus);
    g_free(options->run_dir);
    g_free(options->pools_dir);
    g_free(options->state_dir);
    g_free(options->device_dir);
    g_free(options->qemu_uri);
    g_free(options->storage_uri);
    g_free(options);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

/* Everything that lives as long as the loop; freed in an order of its own (see service_free). */
typedef struct {
    sd_event *event;
    int lock_fd;
    EnabledPools *enabled;
    PmemdLink *pmemd;
    Orders *orders;
    NameLinks *names;
    GHashTable *mounts; /* uuid -> PoolFs * */
    VirtLink *virt;     /* NULL: libvirt is not used */
    VirtPools *pools;
    Domains *domains;
    LibvirtBus *bus;
} Service;

static void service_free(Service *s) {
    if (!s)
        return;
    libvirt_bus_free(s->bus);
    /* First: libvirt may be waiting in a directory for an answer of this loop, and the link waits for libvirt. */
    g_hash_table_remove_all(s->mounts);
    virt_link_free(s->virt); /* ends what the pools wait for */
    domains_free(s->domains);
    virt_pools_free(s->pools);
    g_hash_table_unref(s->mounts);
    orders_free(s->orders);
    pmemd_link_free(s->pmemd);
    name_links_free(s->names);
    enabled_pools_free(s->enabled);
    sd_event_unref(s->event);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    g_free(s);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Service, service_free)

static int fail(int status, const GError *error) {
    log_message(LOG_ERR, "%s", error->message);
    sd_notifyf(false, "STATUS=Failed: %s", error->message);
    return status;
}

/* ---- options ---- */

/* false: *ret_status is the exit status. */
static bool parse_options(int argc, char **argv, Options **ret_options, int *ret_status) {
    g_autoptr(Options) options = g_new0(Options, 1);
    gboolean version = FALSE;
    options->deadline = 3;
    const GOptionEntry entries[] = {
        { "bus", 0, 0, G_OPTION_ARG_STRING, &options->bus, "Message bus: system (default), session or an address",
          "BUS" },
        { "run-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->run_dir, "Run directory (/run/pmemd-libvirt)", "DIR" },
        { "pools-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->pools_dir,
          "Where the directories of pools are mounted (/run/pmemd/pools)", "DIR" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->state_dir,
          "Which pools are offered (/var/lib/pmemd-libvirt)", "DIR" },
        { "device-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->device_dir, "Where links by name are made (/dev/pmemd)",
          "DIR" },
        { "qemu-uri", 0, 0, G_OPTION_ARG_STRING, &options->qemu_uri, "Domains' driver (qemu:///system)", "URI" },
        { "storage-uri", 0, 0, G_OPTION_ARG_STRING, &options->storage_uri, "Storage driver (storage:///system)",
          "URI" },
        { "no-libvirt", 0, 0, G_OPTION_ARG_NONE, &options->no_libvirt, "Mount directories only", NULL },
        { "deadline", 0, 0, G_OPTION_ARG_DOUBLE, &options->deadline,
          "How long making or removing a volume waits for pmemd (3)", "SECONDS" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and end", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- pmemd's pools and volumes for libvirt");
    g_autoptr(GError) error = NULL;

    *ret_status = STATUS_USAGE;
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, help_tail);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fail(STATUS_USAGE, error);
        return false;
    }
    if (argc > 1) {
        log_message(LOG_ERR, "pmemd-libvirt takes options only, '%s' is none: see pmemd-libvirt --help", argv[1]);
        return false;
    }
    if (!(options->deadline >= 0.1 && options->deadline <= 20)) {
        log_message(LOG_ERR, "--deadline is 0.1 to 20 seconds");
        return false;
    }
    if (version) {
        puts("pmemd-libvirt " PMEMD_VERSION);
        *ret_status = STATUS_STOPPED;
        return false;
    }
    *ret_options = g_steal_pointer(&options);
    return true;
}

static const char *or_else(const char *given, const char *otherwise) {
    return given ? given : otherwise;
}

/* ---- mounts ---- */

/* The fs goes when the pools unmount it, not from here. */
static void on_unmounted(PoolFs *fs, void *userdata) {
    Service *s = userdata;
    GHashTableIter iter;
    gpointer uuid, other;

    log_message(LOG_WARNING, "%s was unmounted by somebody, and is mounted again", pool_fs_directory(fs));
    g_hash_table_iter_init(&iter, s->mounts);
    while (g_hash_table_iter_next(&iter, &uuid, &other))
        if (other == fs) {
            virt_pools_mount_lost(s->pools, uuid);
            return;
        }
}

static bool mount_pool(void *data, const char *uuid, const char *directory, GError **error) {
    Service *s = data;
    PoolFs *fs = pool_fs_mount(s->event, s->orders, uuid, directory, pmemd_link_view(s->pmemd), on_unmounted, s, error);

    if (!fs)
        return false;
    g_hash_table_replace(s->mounts, g_strdup(uuid), fs);
    pmemd_link_refresh(s->pmemd); /* for the links */
    return true;
}

static void unmount_pool(void *data, const char *uuid, const char *directory) {
    Service *s = data;

    g_hash_table_remove(s->mounts, uuid);
    pmemd_link_refresh(s->pmemd);
}

static const char *pool_problem(void *data, const char *uuid) {
    const Service *s = data;
    const PoolFs *fs = g_hash_table_lookup(s->mounts, uuid);
    const char *refused = fs ? pool_fs_problem(fs) : "";
    const char *conflict = domains_problem(s->domains, uuid);

    if (conflict[0] != '\0')
        return conflict;
    return refused[0] != '\0' ? refused : pmemd_link_problem(s->pmemd);
}

static const char *pmemd_unanswered(void *data) {
    const Service *s = data;

    return pmemd_link_problem(s->pmemd);
}

static const VirtPoolsOps pools_ops = {
    .mount = mount_pool,
    .unmount = unmount_pool,
    .problem = pool_problem,
    .unanswered = pmemd_unanswered,
};

/* ---- news ---- */

static void tell_status(const Service *s) {
    sd_notifyf(false, "STATUS=%u pools are mounted; %s", g_hash_table_size(s->mounts),
               pmemd_link_is_live(s->pmemd) ? "pmemd answers" : pmemd_link_problem(s->pmemd));
}

static bool is_enabled(const char *pool_uuid, void *data) {
    const Service *s = data;

    return enabled_pools_find(s->enabled, pool_uuid) != NULL;
}

static void on_view(PmemdLink *link, void *data) {
    Service *s = data;
    RegionView *view = pmemd_link_view(link);
    g_autoptr(GArray) names = g_array_new(FALSE, FALSE, sizeof(VirtPoolsName));
    GHashTableIter iter;
    gpointer fs;

    g_hash_table_iter_init(&iter, s->mounts);
    while (g_hash_table_iter_next(&iter, NULL, &fs))
        pool_fs_set_view(fs, view);
    for (guint i = 0; i < region_view_n_pools(view); i++) {
        const RegionViewPool *pool = region_view_pool(view, i);
        const VirtPoolsName name = { .uuid = pool->uuid, .name = pool->name };
        g_array_append_val(names, name);
    }
    virt_pools_set_names(s->pools, (const VirtPoolsName *) (const void *) names->data, names->len);
    name_links_update(s->names, view, is_enabled, s);
    domains_view_changed(s->domains);
}

static void on_live(PmemdLink *link, bool live, void *data) {
    Service *s = data;

    tell_status(s);
    if (live) {
        orders_retry(s->orders);
        domains_look(s->domains);
    }
}

static void on_libvirt_up(VirtLink *link, VirtWhich which, void *data) {
    Service *s = data;

    log_message(LOG_NOTICE, "libvirt (%s) answers", virt_which_to_string(which));
    if (which == VIRT_STORAGE)
        virt_pools_link_changed(s->pools);
    else
        domains_look(s->domains);
}

static void on_domain_event(VirtLink *link, const char *uuid, const char *name, VirtDomainEvent event, void *data) {
    const Service *s = data;

    domains_look(s->domains);
}

static void on_libvirt_down(VirtLink *link, VirtWhich which, const char *why, void *data) {
    Service *s = data;

    log_message(LOG_NOTICE, "libvirt (%s) is not there: %s", virt_which_to_string(which), why);
    if (which == VIRT_STORAGE)
        virt_pools_link_changed(s->pools);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
    sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
    return sd_event_exit(sd_event_source_get_event(source), STATUS_STOPPED);
}

/* ---- start ---- */

static bool make_directory(const char *path, mode_t mode, GError **error) {
    if (g_mkdir_with_parents(path, (int) mode) == 0 && chmod(path, mode) == 0)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot make the directory %s: %s", path, g_strerror(errno));
    return false;
}

/* One program has the mounts of a host. */
static int lock_run_directory(const char *directory, GError **error) {
    g_autofree char *path = g_build_filename(directory, "lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "cannot lock %s: %s%s", path, g_strerror(errno),
                errno == EWOULDBLOCK ? " (another pmemd-libvirt runs)" : "");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool prepare_loop(Service *s, GError **error) {
    sigset_t signals;
    int r = sd_event_default(&s->event);

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Before any thread is there: they inherit it. */
    if (r >= 0 && sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        r = -errno;
    if (r >= 0)
        r = sd_event_add_signal(s->event, NULL, SIGTERM, on_stop_signal, s);
    if (r >= 0)
        r = sd_event_add_signal(s->event, NULL, SIGINT, on_stop_signal, s);
    if (r >= 0)
        r = sd_event_set_watchdog(s->event, true);
    if (r < 0)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "no event loop is to be had: %s", g_strerror(-r));
    return r >= 0;
}

static bool prepare_libvirt(Service *s, const Options *options, GError **error) {
    static const VirtLinkHandlers handlers = {
        .up = on_libvirt_up,
        .down = on_libvirt_down,
        .domain_event = on_domain_event,
    };

    if (options->no_libvirt)
        return true;
    s->virt = virt_link_new(s->event, or_else(options->qemu_uri, "qemu:///system"),
                            or_else(options->storage_uri, "storage:///system"), &handlers, s, error);
    if (s->virt) {
        virt_pools_set_link(s->pools, s->virt);
        domains_set_link(s->domains, s->virt);
    }
    return s->virt != NULL;
}

static Service *service_new(const Options *options, GError **error) {
    static const PmemdLinkHandlers handlers = { .view = on_view, .live = on_live };
    const char *run_dir = or_else(options->run_dir, "/run/pmemd-libvirt");
    const char *pools_dir = or_else(options->pools_dir, "/run/pmemd/pools");
    const char *state_dir = or_else(options->state_dir, "/var/lib/pmemd-libvirt");
    const char *bus = or_else(options->bus, "system");
    g_autofree char *enabled_dir = g_build_filename(state_dir, "pools", NULL);
    g_autofree char *marks = g_build_filename(state_dir, "domains", NULL);
    g_autoptr(Service) s = g_new0(Service, 1);

    s->lock_fd = -1;
    s->mounts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) pool_fs_free);
    s->names = name_links_new(or_else(options->device_dir, "/dev/pmemd"));
    if (!prepare_loop(s, error) || !make_directory(run_dir, 0711, error) || !make_directory(pools_dir, 0711, error) ||
        !make_directory(state_dir, 0700, error))
        return NULL;
    s->lock_fd = lock_run_directory(run_dir, error);
    if (s->lock_fd < 0)
        return NULL;
    s->enabled = enabled_pools_load(enabled_dir, error);
    if (!s->enabled)
        return NULL;
    s->pmemd = pmemd_link_new(s->event, bus, &handlers, s, error);
    if (!s->pmemd)
        return NULL;
    s->domains = domains_new(s->event, s->pmemd, marks);
    s->orders = orders_new(s->event, s->pmemd, (uint64_t) (options->deadline * 1e6));
    s->pools = virt_pools_new(s->event, pools_dir, s->enabled, &pools_ops, s);
    if (!prepare_libvirt(s, options, error))
        return NULL;
    s->bus = libvirt_bus_new(s->event, bus, virt_pools_bus_ops(), s->pools, error);
    if (!s->bus)
        return NULL;
    return g_steal_pointer(&s);
}

int main(int argc, char **argv) {
    g_autoptr(Options) options = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    (void) setlocale(LC_ALL, "");
    if (!standard_fds_keep())
        return STATUS_FAILED;
    log_install();
    umask(0077);
    (void) signal(SIGPIPE, SIG_IGN); /* libvirt writes to daemons that are gone; cannot fail with these two */
    if (!parse_options(argc, argv, &options, &status))
        return status;
    g_autoptr(Service) s = service_new(options, &error);
    if (!s)
        return fail(STATUS_FAILED, error);
    sd_notify(false, "READY=1");
    tell_status(s);
    status = sd_event_loop(s->event);
    if (status < 0) {
        log_message(LOG_ERR, "the event loop failed: %s", g_strerror(-status));
        return STATUS_FAILED;
    }
    return status;
}
