/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The bus that an option --bus= names, for clients of it. The daemon, which chooses more about its connection, has its own way.
 */
#pragma once

#include <systemd/sd-bus.h>

/* address: "system", "session", or an address of D-Bus. Begins to connect, and waits for nothing. A negative errno, or 0 and
 * the connection, which is the caller's: sd_bus_flush_close_unref(). */
int pmemd_bus_connect(const char *address, sd_bus **ret_bus);
