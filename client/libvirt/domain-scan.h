/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A look at all domains of libvirt: which run, with which regions, and who names regions that there are no more.
 * Promises: changes nothing, here or there. It knows nothing of the loop: what it needs is in the scan, what came of it, too. Used by
 * domains, as a job of its link.
 */
#pragma once

#include <libvirt/libvirt.h>

#include "client/libvirt/domain-leases.h"
#include "client/libvirt/domain-regions.h"

typedef struct DomainScan {
    DomainRegions *regions;  /* that there are */
    DomainRegions *released; /* that there were until just now */
    bool ok;
    char *problem;      /* why it is not ok */
    GPtrArray *domains; /* DomainState */
    GPtrArray *notes;   /* char *: sentences about released regions that a domain still names */
} DomainScan;

DomainScan *domain_scan_new(void);
void domain_scan_free(DomainScan *scan); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainScan, domain_scan_free)

/* qemu: NULL: libvirt is not there. Waits for libvirt. */
void domain_scan_run(DomainScan *scan, virConnectPtr qemu);
