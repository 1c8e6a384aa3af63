/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/watch.h"

#include "proto/error.h"

#include <systemd/sd-device.h>
#include <time.h>

/* One change of a namespace is a burst of events: look once, when it has been quiet for so long. */
#define QUIET_USEC (UINT64_C(200) * 1000)

struct Watch {
    Manager *manager;
    sd_device_monitor *monitor;
    sd_event_source *timer;
};

static int on_quiet(sd_event_source *source, uint64_t usec, void *data) {
    Watch *watch = data;

    (void) source;
    (void) usec;
    manager_refresh(watch->manager);
    return 0;
}

static int on_device(sd_device_monitor *monitor, sd_device *device, void *data) {
    Watch *watch = data;

    (void) monitor;
    (void) device;
    /* A timer that cannot be set is no loss: the next creation meets what is there. */
    if (sd_event_source_set_time_relative(watch->timer, QUIET_USEC) >= 0)
        sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
    return 0;
}

Watch *watch_new(sd_event *event, Manager *manager, GError **error) {
    g_autoptr(Watch) watch = g_new0(Watch, 1);

    watch->manager = manager;
    int r = sd_event_add_time_relative(event, &watch->timer, CLOCK_MONOTONIC, QUIET_USEC, 0, on_quiet, watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_device_monitor_new(&watch->monitor);
    if (r >= 0)
        r = sd_device_monitor_filter_add_match_subsystem_devtype(watch->monitor, "nd", NULL);
    if (r >= 0)
        r = sd_device_monitor_attach_event(watch->monitor, event);
    if (r >= 0)
        r = sd_device_monitor_start(watch->monitor, on_device, watch);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot listen to the kernel's device events: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&watch);
}

void watch_free(Watch *watch) {
    if (!watch)
        return;
    sd_device_monitor_unref(watch->monitor);
    sd_event_source_disable_unref(watch->timer);
    g_free(watch);
}
