/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-kind.h"

#include <glib.h>

bool nd_kind_is_known_by_place(const char *provider) {
    return g_strcmp0(provider, "e820") == 0 || g_strcmp0(provider, "ramdax") == 0;
}

bool nd_kind_labels_unasked(const char *provider) {
    return g_strcmp0(provider, "CXL") == 0 || g_strcmp0(provider, "ramdax") == 0;
}

NdKind nd_kind(const char *provider, bool by_firmware) {
    if (nd_kind_is_known_by_place(provider) && !by_firmware)
        return ND_KIND_RAM;
    return g_strcmp0(provider, "virtio-pmem") == 0 ? ND_KIND_VIRTIO : ND_KIND_NVDIMM;
}

const char *nd_kind_persistence(NdKind kind, const char *domain) {
    if (kind == ND_KIND_RAM)
        return "volatile";
    return kind == ND_KIND_VIRTIO && g_strcmp0(domain, "unknown") == 0 ? "flush" : domain;
}
