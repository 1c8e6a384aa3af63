/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * org.pmemd1.Libvirt on the bus: what proto/org.pmemd1.Libvirt.xml says. Decodes, authorizes (root; else polkit), and hands on.
 * Promises: an operation is called for who may alone; it never waits for the bus nor for polkit; each call is answered once. Knows neither
 * libvirt nor pmemd. Used by main, on the loop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct LibvirtBus LibvirtBus;
typedef struct LibvirtBusCall LibvirtBusCall;

/* A row of ListPools. */
typedef struct {
    char *name, *uuid;
    char *directory; /* ""; not enabled */
    bool enabled, mounted;
    const char *libvirt; /* "active", "inactive", "absent" or "unreachable" */
    char *problem;       /* "": none */
} LibvirtPool;

LibvirtPool *libvirt_pool_new(const char *name, const char *uuid);
void libvirt_pool_free(LibvirtPool *pool);

typedef struct {
    /* By name: LibvirtPool's. Free: g_ptr_array_unref. */
    GPtrArray *(*list)(void *data);
    /* Ends with libvirt_bus_call_end, at once or later. pool: a name or a uuid; during the call. */
    void (*enable)(void *data, const char *pool, LibvirtBusCall *call);
    void (*disable)(void *data, const char *pool, LibvirtBusCall *call);
    /* The bus ends: no call is ended any more. */
    void (*drop)(void *data);
} LibvirtBusOps;

/* Takes the name on the bus at ADDRESS ("system": that one) and serves it from the loop. ops: static. Errors: HARDWARE, no bus; BUSY, another
 * pmemd-libvirt has the name. Free: libvirt_bus_free. */
LibvirtBus *libvirt_bus_new(sd_event *event, const char *address, const LibvirtBusOps *ops, void *data, GError **error);
/* Calls under way get no answer of their own. NULL is fine. */
void libvirt_bus_free(LibvirtBus *bus);

/* Answers. error: NULL, or of PMEMD_ERROR; not taken. */
void libvirt_bus_call_end(LibvirtBusCall *call, const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LibvirtBus, libvirt_bus_free)
