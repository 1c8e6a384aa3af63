/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-descriptors.h"

#include "proto/error.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* More than all calls that may wait could bring on a bus of usual limits (16 each). */
#define USEFUL 65536u

struct BusDescriptors {
    int probe; /* something to be duplicated: what number the copy gets says how many are in use */
    int limit; /* calls are refused from here on */
    sd_bus_slot *filter;
};

static int on_message(sd_bus_message *message, void *data, sd_bus_error *ret_error) {
    const BusDescriptors *descriptors = data;

    if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0)
        return 0;
    /* The lowest that is free: those of this very call are in use already. */
    int fd = fcntl(descriptors->probe, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && fd < descriptors->limit)
        return 0;
    return sd_bus_error_setf(ret_error, pmemd_error_dbus_name(PMEMD_ERROR_LIMITS_EXCEEDED),
                             "callers have sent so many file descriptors that pmemd takes no call now: no method takes "
                             "any; repeat the request later");
}

static int raise_limit(void) {
    struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < USEFUL && limit.rlim_cur < limit.rlim_max) {
        struct rlimit more = { .rlim_cur = MIN(limit.rlim_max, USEFUL), .rlim_max = limit.rlim_max };

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            limit = more;
    }
    return (int) MIN(limit.rlim_cur, G_MAXINT);
}

BusDescriptors *bus_descriptors_new(sd_bus *bus, GError **error) {
    g_autoptr(BusDescriptors) descriptors = g_new0(BusDescriptors, 1);

    descriptors->limit = raise_limit() / 2;
    descriptors->probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r = descriptors->probe < 0 ? -EMFILE : sd_bus_add_filter(bus, &descriptors->filter, on_message, descriptors);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot watch over descriptors: %s", g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&descriptors);
}

void bus_descriptors_free(BusDescriptors *descriptors) {
    if (!descriptors)
        return;
    sd_bus_slot_unref(descriptors->filter);
    if (descriptors->probe >= 0)
        close(descriptors->probe);
    g_free(descriptors);
}
