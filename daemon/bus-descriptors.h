/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Keeps descriptors that callers send with their calls from being all that pmemd may have. A connection that can send one
 * (Attach's answer) is sent some, too; sd-bus keeps them as long as the call is kept, and with none left it gives the
 * connection up. The rules of the bus refuse such calls before they come (policy/org.pmemd1.conf); this is for buses without these rules.
 * Promises: calls are refused (LIMITS_EXCEEDED) while more than half of the descriptors that this process may have are
 * in use, so that what one message brings always fits beside them. Used by bus.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct BusDescriptors BusDescriptors;

/* Raises the limit of this process as far as is useful and allowed. INTERNAL: sd-bus refuses. */
BusDescriptors *bus_descriptors_new(sd_bus *bus, GError **error);
void bus_descriptors_free(BusDescriptors *descriptors);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusDescriptors, bus_descriptors_free)
