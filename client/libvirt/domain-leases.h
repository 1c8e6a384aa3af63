/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Who should have which region, by what libvirt says of its domains, and what is to be done about it.
 *
 * Promises: pure. A running domain is to have the regions of its live XML. A lease is to end when a region has gone from a running
 * domain that was seen with it, or when its domain has a mark and does not run. Everybody else's lease is left alone, and so are those of
 * domains of which libvirt said nothing certain. Used by domains.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A domain that libvirt knows. */
typedef struct DomainState {
    char *uuid, *name;
    bool active;     /* QEMU runs */
    bool unclear;    /* it is just starting, or gone, or its XML could not be read */
    GPtrArray *live; /* char *: uuids of the regions of its live XML */
} DomainState;

DomainState *domain_state_new(const char *uuid, const char *name, bool active);
void domain_state_free(void *data);

typedef struct DomainLease {
    char *region, *owner;
    bool own;       /* lent by this user */
    bool confirmed; /* since pmemd's start */
    bool marked;    /* its owner has the mark of a domain that was started */
} DomainLease;

DomainLease *domain_lease_new(const char *region, const char *owner);
void domain_lease_free(void *data);

typedef enum DomainActionKind {
    DOMAIN_ACTION_ATTACH,   /* lend it to the domain */
    DOMAIN_ACTION_DETACH,   /* the lease is to end, unless a process still has the device mapped */
    DOMAIN_ACTION_CONFLICT, /* nothing can be done: the domain has open what is lent to another */
} DomainActionKind;

typedef struct DomainAction {
    DomainActionKind kind;
    char *region, *domain; /* uuids */
    char *name;            /* of the domain; "": not known */
    char *holder;          /* CONFLICT: to whom it is lent */
    bool holder_is_own;    /* CONFLICT: lent by this user, so that the holder is the domain that it says it is */
} DomainAction;

/* domains: DomainState; leases: DomainLease. seen: a set of what domains were seen with, which this keeps; the caller's. The actions'
 * array is the caller's. */
GPtrArray *domain_leases_decide(const GPtrArray *domains, const GPtrArray *leases, GHashTable *seen);
