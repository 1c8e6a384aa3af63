/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The follower of libvirt's domains: leases are brought into line with what runs.
 *
 * The hook lends regions before a start and takes them back after the end. This is for what no hook is told of: regions attached to a running
 * domain or removed from it, domains that stopped while pmemd was away, hosts that went down, libvirt's daemon back after a restart.
 *
 * Promises: waits for nobody. Events are hints: each has all domains looked at, when pmemd and libvirt both answer. A lease ends here
 * only where domain_leases_decide() says so, pmemd finds the device mapped by nobody, and no start of the domain has come in between.
 *
 * Who may call: pmemd-libvirt's loop.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "client/libvirt/pmemd-link.h"
#include "client/libvirt/virt-link.h"

typedef struct Domains Domains;

/* pmemd: outlives it. marks: the folder of the domains' marks. */
Domains *domains_new(sd_event *event, PmemdLink *pmemd, const char *marks);
/* After the link, whose job it may have. NULL is fine. */
void domains_free(Domains *domains);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Domains, domains_free)

/* Before anything else happens. */
void domains_set_link(Domains *domains, VirtLink *link);

/* Something may have changed: libvirt or pmemd came, a domain's event. */
void domains_look(Domains *domains);
/* pmemd has another view. */
void domains_view_changed(Domains *domains);

/* What is wrong with a domain that uses a region of the pool; "": nothing. Until the loop goes on. */
const char *domains_problem(const Domains *domains, const char *pool_uuid);
