/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs domain-xml and qemu-args: a data region as a guest's NVDIMM. They ask and print; nothing is
 * changed or held, unless they are told to lend the region.
 */
#include "client/domain.h"

#include <stdio.h>

#include "client/pmemctl-print.h"
#include "client/pmemctl.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
/* More than any host has, and far from where sums wrap. */
#define MAX_MEMORY (UINT64_C(1) << 52)

static bool read_label_size(const Ctl *ctl, uint64_t *ret_bytes, GError **error) {
    uint64_t bytes = DOMAIN_MIN_LABEL;

    if (ctl->label_size && !parse_size(ctl->label_size, &bytes, error))
        return false;
    if (bytes != 0 && (bytes < DOMAIN_MIN_LABEL || bytes % DOMAIN_UNIT != 0)) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "--label-size takes 0 for no labels, or a multiple of 1K from 128K on, not '%s'", ctl->label_size);
        return false;
    }
    *ret_bytes = bytes;
    return true;
}

/* --owner and the like say nothing without --attach. */
static bool check_attach(const Ctl *ctl, GError **error) {
    if (ctl->attach)
        return ctl_check_owner(ctl, error);
    if (!ctl->lease_owner && !ctl->guest_frame && !ctl->allow_degraded)
        return true;
    g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                "--owner, --guest-frame and --allow-degraded are for lending the region: add --attach");
    return false;
}

/* The options that both verbs have, then the region. What is no guest's is not lent. */
static bool ask(Ctl *ctl, PmemdRegion **ret_region, DomainNvdimm **ret_nvdimm, GError **error) {
    uint64_t node = 0, label_bytes;

    /* libvirt and QEMU have at most 128 guest nodes. */
    if ((ctl->guest_node && !parse_number("--node", ctl->guest_node, 127, &node, error)) ||
        !read_label_size(ctl, &label_bytes, error) || !check_attach(ctl, error) || !ctl_connect(ctl, error))
        return false;
    g_autofree char *path = NULL;
    g_autoptr(PmemdRegion) region = NULL;
    if (!ctl_check(ctl, pmemd_client_find(ctl->client, ctl->args[0], &path), error) ||
        !ctl_check(ctl, pmemd_client_region(ctl->client, path, &region), error))
        return false;
    g_autoptr(DomainNvdimm) nvdimm =
        domain_nvdimm_new(region, ctl->allow_degraded, (uint32_t) node, label_bytes, error);
    g_autoptr(PmemdAttachment) attachment = NULL;
    if (!nvdimm)
        return false;
    if (ctl->attach && (!ctl_attach(ctl, region, NULL, &attachment, error) || !ctl_wait_for_link(attachment, error)))
        return false;
    if (attachment) {
        g_free(nvdimm->path);
        nvdimm->path = g_strdup(attachment->path);
    }
    *ret_region = g_steal_pointer(&region);
    *ret_nvdimm = g_steal_pointer(&nvdimm);
    return true;
}

/* {KEY: facts}. Returns the facts, which the document owns. */
static JsonObject *facts_in(JsonObject *document, const char *key, const PmemdRegion *region,
                            const DomainNvdimm *nvdimm) {
    JsonObject *body = json_object_new();

    json_object_set_string_member(body, "uuid", region->uuid);
    json_object_set_string_member(body, "device_path", nvdimm->path);
    json_object_set_int_member(body, "bytes", (gint64) nvdimm->bytes);
    json_object_set_int_member(body, "label_bytes", (gint64) nvdimm->label_bytes);
    json_object_set_int_member(body, "guest_bytes", (gint64) nvdimm->guest_bytes);
    json_object_set_int_member(body, "guest_node", nvdimm->guest_node);
    json_object_set_int_member(body, "node", region->node);
    json_object_set_int_member(body, "local_node", region->local_node);
    json_object_set_object_member(document, key, body);
    return body;
}

bool verb_domain_xml(Ctl *ctl, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;
    g_autoptr(DomainNvdimm) nvdimm = NULL;

    if (!ask(ctl, &region, &nvdimm, error))
        return false;
    g_autofree char *xml = domain_nvdimm_xml(nvdimm);
    if (ctl->format != CTL_FORMAT_JSON) {
        (void) fputs(xml, stdout); /* main() looks whether all of it was written */
        return true;
    }
    JsonObject *document = json_document_new();
    json_object_set_string_member(facts_in(document, "domain_xml", region, nvdimm), "xml", xml);
    json_document_print(stdout, document, true);
    return true;
}

static bool read_memory(const Ctl *ctl, uint64_t *ret_bytes, GError **error) {
    uint64_t bytes = DEFAULT_MEMORY;

    if (ctl->memory && !parse_size(ctl->memory, &bytes, error))
        return false;
    if (bytes == 0 || bytes % MIB != 0 || bytes > MAX_MEMORY) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "--memory takes a multiple of 1M up to 4P, not '%s'",
                    ctl->memory);
        return false;
    }
    *ret_bytes = bytes;
    return true;
}

bool verb_qemu_args(Ctl *ctl, GError **error) {
    g_autoptr(PmemdRegion) region = NULL;
    g_autoptr(DomainNvdimm) nvdimm = NULL;
    uint64_t memory;

    if (ctl->id && !domain_id_is_valid(ctl->id)) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE,
                    "--id takes a letter and up to 63 letters, digits, '-', '.' and '_', not '%s'", ctl->id);
        return false;
    }
    if (!read_memory(ctl, &memory, error) || !ask(ctl, &region, &nvdimm, error))
        return false;

    g_autofree char *id = ctl->id ? g_strdup(ctl->id) : g_strconcat("pmemd-", region->uuid, NULL);
    g_auto(GStrv) args = domain_nvdimm_qemu_args(nvdimm, id, memory);
    if (ctl->format != CTL_FORMAT_JSON) {
        g_autofree char *lines = domain_shell_lines(args);
        (void) fputs(lines, stdout);
        return true;
    }
    JsonArray *array = json_array_new();
    for (size_t i = 0; args[i]; i++)
        json_array_add_string_element(array, args[i]);
    JsonObject *document = json_document_new();
    json_object_set_array_member(facts_in(document, "qemu_args", region, nvdimm), "args", array);
    json_document_print(stdout, document, true);
    return true;
}
