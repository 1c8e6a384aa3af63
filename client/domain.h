/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A data region as the NVDIMM of a guest: the element that libvirt wants in a domain, and the options of QEMU.
 * Promises: what is refused is refused with the numbers and a remedy; the element is well-formed whatever the path is, and
 * QEMU reads no option out of a path. It holds nothing: that is Attach's.
 * Pure; used by `pmemctl domain-xml` and `pmemctl qemu-args`.
 */
#pragma once

#include <glib.h>

#include "client/libpmemd.h"
#include "proto/nvdimm.h"

#define DOMAIN_ALIGNMENT PMEMD_NVDIMM_ALIGNMENT
/* The least that QEMU and libvirt take. */
#define DOMAIN_MIN_LABEL PMEMD_NVDIMM_MIN_LABEL
#define DOMAIN_UNIT PMEMD_NVDIMM_UNIT

typedef struct {
    char *path;           /* what QEMU opens: by uuid where it is a device, whose number is another one tomorrow */
    uint64_t bytes;       /* of the region, all of it */
    uint64_t label_bytes; /* of these, at the end: the guest's labels; 0: none */
    uint64_t guest_bytes; /* what the guest has as memory */
    uint32_t guest_node;
} DomainNvdimm;

void domain_nvdimm_free(DomainNvdimm *nvdimm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainNvdimm, domain_nvdimm_free)

/* allow_degraded: also one with bad frames. label_bytes: 0, or a multiple of DOMAIN_UNIT from DOMAIN_MIN_LABEL on.
 * Errors (of PMEMD_ERROR): INVALID_ARGUMENT no data region, or its size is none for a guest; BUSY, DEGRADED by its state;
 * NOT_AUTHORIZED the caller is not told its path; NOT_SUPPORTED the path is none for an NVDIMM.
 * Free: domain_nvdimm_free. */
DomainNvdimm *domain_nvdimm_new(const PmemdRegion *region, bool allow_degraded, uint32_t guest_node,
                                uint64_t label_bytes, GError **error);

/* <memory model='nvdimm'>, with a newline at the end. Free: g_free. */
char *domain_nvdimm_xml(const DomainNvdimm *nvdimm);

/* Whether QEMU takes it as an id: a letter, then letters, digits, '-', '.' and '_'. Not longer than 64 characters. */
bool domain_id_is_valid(const char *id);

/* The arguments, as exec() takes them. id: of the device, valid; its memory backend is "ID-mem". memory: bytes of RAM that
 * the guest has beside it, a multiple of 1 MiB. Free: g_strfreev. */
char **domain_nvdimm_qemu_args(const DomainNvdimm *nvdimm, const char *id, uint64_t memory);

/* Arguments for a shell, an option and its value a line. Free: g_free. */
char *domain_shell_lines(char *const *args);
