/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/watch.h"

#include "daemon/attribute-watch.h"
#include "daemon/file-health.h"
#include "proto/error.h"

#include <errno.h>
#include <sys/inotify.h>
#include <systemd/sd-device.h>
#include <time.h>

/* One change of a namespace is a burst of events: look once, when it has been quiet for so long. */
#define QUIET_USEC (UINT64_C(200) * 1000)
/* But not later than so long after the first of them. */
#define LATEST_USEC (UINT64_C(2000) * 1000)

#define POLL_SLACK_USEC (UINT64_C(1000) * 1000)

struct Watch {
    Manager *manager;
    sd_event *event;
    sd_device_monitor *monitor;
    AttributeWatch *attributes;
    sd_event_source *inotify;
    char *dir; /* that it is about; NULL: none */
    sd_event_source *timer;
    sd_event_source *poll_timer;
    uint64_t since; /* of the first event that is not yet looked at; 0: none */
    guint poll_sec;
};

/* Attributes whose changes come as POLLPRI and as no uevent: bad blocks, the end of a scrub, the flags of a DIMM (its
 * health events among them), and its security. */
static const char *const attribute_patterns[] = {
    "/sys/bus/nd/devices/region*/badblocks",
    "/sys/bus/nd/devices/ndbus*/nfit/scrub",
    "/sys/bus/nd/devices/nmem*/nfit/flags",
    "/sys/bus/nd/devices/nmem*/security",
    NULL,
};

static int on_quiet(sd_event_source *source, uint64_t usec, void *data) {
    Watch *watch = data;

    (void) source;
    (void) usec;
    watch->since = 0;
    manager_refresh(watch->manager);
    return 0;
}

static void on_change(void *data) {
    Watch *watch = data;
    uint64_t now = (uint64_t) g_get_monotonic_time();

    if (watch->since == 0)
        watch->since = now;
    /* A timer that cannot be set is no loss: the next creation meets what is there. */
    if (sd_event_source_set_time(watch->timer, MIN(now + QUIET_USEC, watch->since + LATEST_USEC)) >= 0)
        sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_device(sd_device_monitor *monitor, sd_device *device, void *data) {
    Watch *watch = data;

    (void) monitor;
    (void) device;
    if (watch->attributes)
        attribute_watch_rescan(watch->attributes);
    on_change(watch);
    return 0;
}

/* Is something of pmemd's not where it should be, so that any new file may be it? */
static bool misses_something(const State *state) {
    const GPtrArray *pools = state_pools(state), *foreigns = state_foreigns(state);

    for (guint i = 0; i < foreigns->len; i++)
        if (((const Foreign *) g_ptr_array_index(foreigns, i))->kind != FOREIGN_FOREIGN)
            return true;
    for (guint i = 0; i < pools->len; i++)
        if (((const Pool *) g_ptr_array_index(pools, i))->state == POOL_READ_ONLY)
            return true;
    return state_count_regions_in(state, REGION_MISSING) > 0;
}

/* Files come and go with each change of pmemd's own, and a look at all takes long: only what concerns a region or pool
 * that nothing is being done with. */
static bool concerns(const Watch *watch, const struct inotify_event *event) {
    const State *state = manager_state(watch->manager);
    g_autofree char *path = g_build_filename(watch->dir, event->name, NULL);
    Region *region = NULL;
    Pool *pool = NULL;

    if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO) && misses_something(state))
        return true;
    if (!(event->mask & (IN_DELETE | IN_MOVED_FROM | IN_CLOSE_WRITE)) || !state_find_path(state, path, &region, &pool))
        return false;
    return pool ? pool->state == POOL_OK : !(event->mask & IN_CLOSE_WRITE) && !region->intent;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *data) {
    (void) source;
    /* An overflow may have swallowed it. */
    if (event->mask & IN_Q_OVERFLOW ||
        (event->len > 0 && (g_str_equal(event->name, FILE_HEALTH_NAME) || concerns(data, event))))
        on_change(data);
    return 0;
}

static int on_poll(sd_event_source *source, uint64_t usec, void *data) {
    Watch *watch = data;

    manager_refresh(watch->manager);
    int r = sd_event_source_set_time(source, usec + watch->poll_sec * UINT64_C(1000000));
    return r >= 0 ? sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) : r;
}

static Watch *watch_new(sd_event *event, Manager *manager, int *ret_r) {
    Watch *watch = g_new0(Watch, 1);

    watch->manager = manager;
    watch->event = sd_event_ref(event);
    int r = sd_event_add_time_relative(event, &watch->timer, CLOCK_MONOTONIC, QUIET_USEC, 1, on_quiet, watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
    *ret_r = r;
    return watch;
}

Watch *watch_ndctl_new(sd_event *event, Manager *manager, GError **error) {
    int r;
    g_autoptr(Watch) watch = watch_new(event, manager, &r);

    if (r >= 0)
        r = sd_device_monitor_new(&watch->monitor);
    if (r >= 0)
        r = sd_device_monitor_filter_add_match_subsystem_devtype(watch->monitor, "nd", NULL);
    /* Of what becomes of a namespace's device, as system RAM, libnvdimm itself says nothing. */
    if (r >= 0)
        r = sd_device_monitor_filter_add_match_subsystem_devtype(watch->monitor, "dax", NULL);
    if (r >= 0)
        r = sd_device_monitor_attach_event(watch->monitor, event);
    if (r >= 0)
        r = sd_device_monitor_start(watch->monitor, on_device, watch);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot listen to the kernel's device events: %s",
                    g_strerror(-r));
        return NULL;
    }
    /* After the monitor: what comes in between is found by the event that it has. */
    watch->attributes = attribute_watch_new(event, attribute_patterns, on_change, watch, error);
    return watch->attributes ? g_steal_pointer(&watch) : NULL;
}

Watch *watch_file_new(sd_event *event, Manager *manager, const char *dir, GError **error) {
    int r;
    g_autoptr(Watch) watch = watch_new(event, manager, &r);

    watch->dir = g_strdup(dir);
    if (r >= 0)
        r = sd_event_add_inotify(event, &watch->inotify, dir,
                                 IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR, on_file, watch);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot listen to changes of %s: %s", dir,
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&watch);
}

void watch_set_poll(Watch *watch, guint sec) {
    watch->poll_timer = sd_event_source_disable_unref(watch->poll_timer);
    watch->poll_sec = sec;
    /* A timer that cannot be had: events tell the most urgent, too. */
    if (sec > 0 && sd_event_add_time_relative(watch->event, &watch->poll_timer, CLOCK_MONOTONIC,
                                              sec * UINT64_C(1000000), POLL_SLACK_USEC, on_poll, watch) < 0)
        watch->poll_timer = NULL;
}

void watch_free(Watch *watch) {
    if (!watch)
        return;
    attribute_watch_free(watch->attributes);
    sd_device_monitor_unref(watch->monitor);
    sd_event_source_disable_unref(watch->inotify);
    sd_event_source_disable_unref(watch->timer);
    sd_event_source_disable_unref(watch->poll_timer);
    sd_event_unref(watch->event);
    g_free(watch->dir);
    g_free(watch);
}
