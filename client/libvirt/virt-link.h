/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The link to libvirt: one connection to the hypervisor driver, one to the storage driver, and one thread that makes
 * blocking calls on both.
 *
 * Promises: nothing here waits for libvirt on the caller's thread but virt_link_free(). Handlers and done functions are
 * called on the loop alone. A connection that is closed, or whose daemon has answered nothing for VIRT_LINK_DEAD_SEC
 * seconds, is down: what waited for it fails then, and it is opened again by itself, at once and then ever more rarely,
 * with its events registered again. Libvirt writes nothing to stderr.
 *
 * Who may call: pmemd-libvirt's main thread. libvirt's event loop is the process': there is one VirtLink at a time. The
 * process ignores SIGPIPE: libvirt writes to daemons that are gone.
 */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* Libvirt's daemon is asked for a sign of life every so many seconds, and is dead after so many without one. */
#define VIRT_LINK_ALIVE_SEC 4
#define VIRT_LINK_ALIVE_COUNT 2
#define VIRT_LINK_DEAD_SEC (VIRT_LINK_ALIVE_SEC * (VIRT_LINK_ALIVE_COUNT + 1))

typedef struct VirtLink VirtLink;

typedef enum VirtWhich {
    VIRT_QEMU,
    VIRT_STORAGE,
    N_VIRT_WHICH,
} VirtWhich;

const char *virt_which_to_string(VirtWhich which);

typedef enum VirtDomainEvent {
    VIRT_DOMAIN_DEFINED, /* or its definition has changed */
    VIRT_DOMAIN_UNDEFINED,
    VIRT_DOMAIN_STARTED, /* or goes on */
    VIRT_DOMAIN_STOPPED,
    VIRT_DOMAIN_DEVICE_ADDED,
    VIRT_DOMAIN_DEVICE_REMOVED,
    VIRT_DOMAIN_REBOOTED,
    N_VIRT_DOMAIN_EVENTS,
} VirtDomainEvent;

const char *virt_domain_event_to_string(VirtDomainEvent event);

/* Any may be NULL. Called on the loop; none of them may free the link. */
typedef struct VirtLinkHandlers {
    void (*up)(VirtLink *link, VirtWhich which, void *userdata);
    /* Once for each up, and once when the first attempt fails. */
    void (*down)(VirtLink *link, VirtWhich which, const char *why, void *userdata);
    /* A hint: events that happen while the connection is down are not told. uuid: 36 characters, lower case. */
    void (*domain_event)(VirtLink *link, const char *uuid, const char *name, VirtDomainEvent event, void *userdata);
} VirtLinkHandlers;

/* Begins to connect. The URIs are libvirt's ("qemu:///system"); NULL: that connection is never made. The handlers are
 * copied. Errors: INTERNAL. */
VirtLink *virt_link_new(sd_event *event, const char *qemu_uri, const char *storage_uri,
                        const VirtLinkHandlers *handlers, void *userdata, GError **error);
/* Closes the connections. Jobs that wait are run with no connection, and all are done, when this returns; a call that is
 * under way is waited for, VIRT_LINK_DEAD_SEC at most. No other handler is called. NULL is fine. */
void virt_link_free(VirtLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtLink, virt_link_free)

bool virt_link_is_up(const VirtLink *link, VirtWhich which);

/* In the worker thread, one at a time, in the order of virt_link_run(). qemu, storage: borrowed for the call; NULL while
 * that connection is down. May not touch anything of the loop but data. */
typedef void (*VirtLinkJob)(virConnectPtr qemu, virConnectPtr storage, void *data);
/* On the loop, once for each job, after it; frees data. */
typedef void (*VirtLinkDone)(void *data);

void virt_link_run(VirtLink *link, VirtLinkJob job, void *data, VirtLinkDone done);

/* What libvirt said of the calling thread's last call that failed, as one line. For jobs. */
const char *virt_link_last_error(void);
