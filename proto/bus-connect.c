/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/bus-connect.h"

#include <stdbool.h>
#include <string.h>

int pmemd_bus_connect(const char *address, sd_bus **ret_bus) {
    if (strcmp(address, "system") == 0)
        return sd_bus_open_system(ret_bus);
    if (strcmp(address, "session") == 0)
        return sd_bus_open_user(ret_bus);

    sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(bus, true);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r < 0) {
        sd_bus_unref(bus);
        return r;
    }
    *ret_bus = bus;
    return 0;
}
