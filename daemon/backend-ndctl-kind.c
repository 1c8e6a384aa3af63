/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-kind.h"

#include <glib.h>

NdKind nd_kind_of_bus(const char *provider) {
    if (g_strcmp0(provider, "e820") == 0 || g_strcmp0(provider, "ramdax") == 0)
        return ND_KIND_RAM;
    return g_strcmp0(provider, "virtio-pmem") == 0 ? ND_KIND_VIRTIO : ND_KIND_NVDIMM;
}

const char *nd_kind_persistence(NdKind kind, const char *domain) {
    if (kind == ND_KIND_NVDIMM || g_strcmp0(domain, "unknown") != 0)
        return domain;
    return kind == ND_KIND_RAM ? "volatile" : "flush";
}

bool nd_kind_is_known_by_place(NdKind kind) {
    return kind == ND_KIND_RAM;
}
