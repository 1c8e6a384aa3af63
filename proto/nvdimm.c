/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/nvdimm.h"

char *pmemd_nvdimm_path(const char *device_path, const char *device_uuid) {
    return g_str_has_prefix(device_path, "/dev/dax") ? g_strconcat(PMEMD_NVDIMM_LINKS, device_uuid, NULL)
                                                     : g_strdup(device_path);
}

uint64_t pmemd_nvdimm_label_bytes(uint64_t bytes) {
    return bytes >= PMEMD_NVDIMM_ALIGNMENT + PMEMD_NVDIMM_MIN_LABEL ? PMEMD_NVDIMM_MIN_LABEL : 0;
}

/* Shared: else what the guest writes is its private copy. <pmem/>: else libvirt has QEMU touch every page first. */
char *pmemd_nvdimm_xml(const char *path, uint64_t bytes, uint64_t label_bytes, uint32_t guest_node) {
    g_autofree char *escaped = g_markup_escape_text(path, -1);
    GString *xml = g_string_new(NULL);

    g_string_append_printf(xml,
                           "<memory model='nvdimm' access='shared'>\n"
                           "  <source>\n"
                           "    <path>%s</path>\n"
                           "    <alignsize unit='KiB'>%" G_GUINT64_FORMAT "</alignsize>\n"
                           "    <pmem/>\n"
                           "  </source>\n"
                           "  <target>\n"
                           "    <size unit='KiB'>%" G_GUINT64_FORMAT "</size>\n"
                           "    <node>%" G_GUINT32_FORMAT "</node>\n",
                           escaped, PMEMD_NVDIMM_ALIGNMENT / PMEMD_NVDIMM_UNIT, bytes / PMEMD_NVDIMM_UNIT, guest_node);
    if (label_bytes > 0)
        g_string_append_printf(xml,
                               "    <label>\n"
                               "      <size unit='KiB'>%" G_GUINT64_FORMAT "</size>\n"
                               "    </label>\n",
                               label_bytes / PMEMD_NVDIMM_UNIT);
    g_string_append(xml, "  </target>\n</memory>\n");
    return g_string_free(xml, FALSE);
}
