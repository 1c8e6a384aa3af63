/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-scan.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "client/libvirt/virt-link.h"

DomainScan *domain_scan_new(void) {
    DomainScan *scan = g_new0(DomainScan, 1);

    scan->regions = domain_regions_new();
    scan->released = domain_regions_new();
    scan->domains = g_ptr_array_new_with_free_func(domain_state_free);
    scan->notes = g_ptr_array_new_with_free_func(g_free);
    return scan;
}

void domain_scan_free(DomainScan *scan) {
    if (!scan)
        return;
    domain_regions_free(scan->regions);
    domain_regions_free(scan->released);
    g_ptr_array_unref(scan->domains);
    g_ptr_array_unref(scan->notes);
    g_free(scan->problem);
    g_free(scan);
}

/* NULL: it cannot be had or read. */
static DomainPaths *read_xml(virDomainPtr domain, unsigned flags) {
    char *xml = virDomainGetXMLDesc(domain, flags);

    if (!xml)
        return NULL;
    DomainPaths *paths = domain_paths_parse(xml, strlen(xml), NULL);
    free(xml);
    return paths;
}

static bool find(DomainRegions *regions, const DomainPath *path, const DomainRegion **ret_region) {
    return domain_regions_find(regions, path, ret_region) == DOMAIN_PATH_REGION;
}

static void note_released(DomainScan *scan, const DomainState *state, const DomainPath *path) {
    const DomainRegion *region;

    if (find(scan->released, path, &region))
        g_ptr_array_add(scan->notes, g_strdup_printf("region %s/%s was released, and domain %s (%s) still names it: "
                                                     "take %s out of its definition",
                                                     region->pool, region->name, state->name, state->uuid, path->path));
}

static void note_all_released(DomainScan *scan, const DomainState *state, const DomainPaths *paths) {
    for (guint i = 0; i < paths->paths->len; i++)
        note_released(scan, state, g_ptr_array_index(paths->paths, i));
}

static void find_live(DomainScan *scan, DomainState *state, const DomainPaths *paths) {
    const DomainRegion *region;

    for (guint i = 0; i < paths->paths->len; i++)
        if (find(scan->regions, g_ptr_array_index(paths->paths, i), &region) &&
            !g_ptr_array_find_with_equal_func(state->live, region->uuid, g_str_equal, NULL))
            g_ptr_array_add(state->live, g_strdup(region->uuid));
}

/* A domain that is being started has asked for its regions, or is about to, by the hook. */
static bool is_starting(virDomainPtr domain) {
    int state, reason;

    return virDomainGetState(domain, &state, &reason, 0) < 0 ||
           (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP);
}

static void scan_domain(DomainScan *scan, virDomainPtr domain) {
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return;
    int active = virDomainIsActive(domain);
    DomainState *state = domain_state_new(uuid, virDomainGetName(domain), active != 0);
    g_ptr_array_add(scan->domains, state);
    g_autoptr(DomainPaths) inactive = read_xml(domain, VIR_DOMAIN_XML_INACTIVE);
    if (inactive)
        note_all_released(scan, state, inactive);
    if (active == 0)
        return;
    g_autoptr(DomainPaths) live = active > 0 && !is_starting(domain) ? read_xml(domain, 0) : NULL;
    if (live)
        find_live(scan, state, live);
    else
        state->unclear = true;
}

void domain_scan_run(DomainScan *scan, virConnectPtr qemu) {
    virDomainPtr *domains = NULL;

    int n = qemu ? virConnectListAllDomains(qemu, &domains, 0) : -1;
    if (n < 0) {
        scan->problem = g_strdup(qemu ? virt_link_last_error() : "libvirt is not there");
        return;
    }
    for (int i = 0; i < n; i++) {
        scan_domain(scan, domains[i]);
        (void) virDomainFree(domains[i]);
    }
    free(domains);
    /* A connection that broke in between has made everything unclear, and what is missing is missing for certain. */
    scan->ok = virConnectIsAlive(qemu) == 1;
    if (!scan->ok)
        scan->problem = g_strdup("the connection to libvirt broke");
}
