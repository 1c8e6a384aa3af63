/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/domain.h"

#include <string.h>

#include "proto/error.h"
#include "proto/nvdimm.h"

#define MIB (UINT64_C(1) << 20)

void domain_nvdimm_free(DomainNvdimm *nvdimm) {
    if (!nvdimm)
        return;
    g_free(nvdimm->path);
    g_free(nvdimm);
}

/* --- what is refused --- */

static bool check_state(const PmemdRegion *region, bool allow_degraded, GError **error) {
    bool busy = strcmp(region->state, "creating") == 0 || strcmp(region->state, "quarantined") == 0;

    if (strcmp(region->kind, "data") != 0) {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
            "%s is a management region, which no guest gets: name a data region; 'pmemctl list --data' shows them",
            region->uuid);
        return false;
    }
    bool degraded = strcmp(region->state, "degraded") == 0;
    if (strcmp(region->state, "ok") == 0 || (degraded && allow_degraded))
        return true;
    g_set_error(error, PMEMD_ERROR, busy ? PMEMD_ERROR_BUSY : PMEMD_ERROR_DEGRADED,
                "data region %s is %s, and only one that is ok is for a guest%s%s: %s", region->uuid, region->state,
                region->state_reason[0] != '\0' ? ": " : "", region->state_reason,
                strcmp(region->state, "creating") == 0 ? "ask again when it is there"
                : busy                                 ? "allocate another one, its content is being erased"
                : degraded ? "or lend it as it is with --attach --allow-degraded, for a guest that knows its bad frames"
                           : "'pmemctl show' and the log of pmemd say what it needs");
    return false;
}

static bool has_control(const char *text) {
    for (const char *p = text; *p; p++)
        if (g_ascii_iscntrl(*p))
            return true;
    return false;
}

/* A path of /dev that is not a device-dax is a block device: without MAP_SYNC, stores that the guest has flushed may be
 * lost. */
static bool check_path(const PmemdRegion *region, GError **error) {
    const char *path = region->device_path;

    if (path[0] == '\0') {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
            "the path of data region %s is hidden from you: ask as root, as its owner or as a member of the group "
            "pmemd",
            region->uuid);
        return false;
    }
    if (path[0] != '/' || has_control(path) || !g_utf8_validate(path, -1, NULL)) {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
            "the path of data region %s cannot stand in a domain: it has to be absolute, UTF-8 and without control "
            "characters",
            region->uuid);
        return false;
    }
    if (g_str_has_prefix(path, "/dev/") && !g_str_has_prefix(path, "/dev/dax")) {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
            "data region %s is %s, which is no device-dax: a guest's stores would not be safe on it; allocate another "
            "one",
            region->uuid, path);
        return false;
    }
    return true;
}

/* Of a region whose guest has labels, and 2 MiB. */
static uint64_t least_with_labels(uint64_t label_bytes) {
    uint64_t bytes = MIN(label_bytes, (uint64_t) G_MAXINT64);

    return (bytes / DOMAIN_ALIGNMENT + (bytes % DOMAIN_ALIGNMENT != 0) + 1) * DOMAIN_ALIGNMENT;
}

static bool check_size(const PmemdRegion *region, uint64_t label_bytes, GError **error) {
    uint64_t over = region->bytes % DOMAIN_ALIGNMENT;

    if (region->bytes == 0 || over != 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "data region %s has %" G_GUINT64_FORMAT " bytes, which is %" G_GUINT64_FORMAT
                    " beyond a multiple of "
                    "%" G_GUINT64_FORMAT
                    " (2 MiB), and libvirt would round it up to more than there is: allocate one of %" G_GUINT64_FORMAT
                    " or %" G_GUINT64_FORMAT " bytes",
                    region->uuid, region->bytes, over, DOMAIN_ALIGNMENT, MAX(region->bytes - over, DOMAIN_ALIGNMENT),
                    region->bytes - over + DOMAIN_ALIGNMENT);
        return false;
    }
    if (label_bytes < region->bytes && region->bytes - label_bytes >= DOMAIN_ALIGNMENT)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "of the %" G_GUINT64_FORMAT " bytes of data region %s, labels of %" G_GUINT64_FORMAT
                " bytes leave less than "
                "the %" G_GUINT64_FORMAT
                " (2 MiB) that an NVDIMM has at least: take --label-size=0 for none, or a region of %" G_GUINT64_FORMAT
                " bytes",
                region->bytes, region->uuid, label_bytes, DOMAIN_ALIGNMENT, least_with_labels(label_bytes));
    return false;
}

/* --- the NVDIMM --- */

DomainNvdimm *domain_nvdimm_new(const PmemdRegion *region, bool allow_degraded, uint32_t guest_node,
                                uint64_t label_bytes, GError **error) {
    g_assert(label_bytes == 0 || (label_bytes >= DOMAIN_MIN_LABEL && label_bytes % DOMAIN_UNIT == 0));
    if (!check_state(region, allow_degraded, error) || !check_path(region, error) ||
        !check_size(region, label_bytes, error))
        return NULL;

    DomainNvdimm *nvdimm = g_new0(DomainNvdimm, 1);
    nvdimm->path = g_strdup(region->guest_path);
    nvdimm->bytes = region->bytes;
    nvdimm->label_bytes = label_bytes;
    /* QEMU takes the labels from the end, and rounds down what is left. */
    nvdimm->guest_bytes = (region->bytes - label_bytes) / DOMAIN_ALIGNMENT * DOMAIN_ALIGNMENT;
    nvdimm->guest_node = guest_node;
    return nvdimm;
}

char *domain_nvdimm_xml(const DomainNvdimm *nvdimm) {
    return pmemd_nvdimm_xml(nvdimm->path, nvdimm->bytes, nvdimm->label_bytes, nvdimm->guest_node);
}

/* --- QEMU --- */

bool domain_id_is_valid(const char *id) {
    size_t length = strlen(id);

    if (!g_ascii_isalpha(id[0]) || length > 64)
        return false;
    return strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._") == length;
}

/* QEMU ends a value at a comma, unless it is doubled. */
static char *double_commas(const char *value) {
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    return g_strjoinv(",,", parts);
}

char **domain_nvdimm_qemu_args(const DomainNvdimm *nvdimm, const char *id, uint64_t memory) {
    g_assert(domain_id_is_valid(id));
    g_assert(memory > 0 && memory % MIB == 0 && memory <= UINT64_MAX - nvdimm->bytes);
    g_autofree char *path = double_commas(nvdimm->path);
    g_autofree char *label =
        nvdimm->label_bytes > 0 ? g_strdup_printf(",label-size=%" G_GUINT64_FORMAT, nvdimm->label_bytes) : g_strdup("");
    char *args[] = {
        g_strdup("-machine"),
        g_strdup("nvdimm=on"),
        g_strdup("-m"),
        g_strdup_printf("size=%" G_GUINT64_FORMAT "M,slots=1,maxmem=%" G_GUINT64_FORMAT "M", memory / MIB,
                        (memory + nvdimm->bytes) / MIB),
        g_strdup("-object"),
        g_strdup_printf("memory-backend-file,id=%s-mem,share=on,pmem=on,align=%" G_GUINT64_FORMAT
                        ",size=%" G_GUINT64_FORMAT ",mem-path=%s",
                        id, DOMAIN_ALIGNMENT, nvdimm->bytes, path),
        g_strdup("-device"),
        g_strdup_printf("nvdimm,id=%s,memdev=%s-mem,node=%" G_GUINT32_FORMAT "%s", id, id, nvdimm->guest_node, label),
        NULL,
    };
    return g_memdup2(args, sizeof args);
}

char *domain_shell_lines(char *const *args) {
    GString *lines = g_string_new(NULL);

    for (size_t i = 0; args[i]; i++) {
        const char *arg = args[i];
        bool plain = arg[0] != '\0' && strspn(arg, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._,=/:+@%") == strlen(arg);
        g_autofree char *quoted = plain ? g_strdup(arg) : g_shell_quote(arg);
        g_string_append(lines, quoted);
        g_string_append_c(lines, i % 2 == 0 && args[i + 1] ? ' ' : '\n');
    }
    return g_string_free(lines, FALSE);
}
