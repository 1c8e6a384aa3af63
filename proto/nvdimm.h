/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A data region in the words of libvirt: the memory element of a domain, and the path that stands in it.
 * Promises: pure; well-formed whatever the path is. Used by the daemon (details of Attach) and by client/domain.
 */
#pragma once

#include "proto/types.h"

/* QEMU places a mapping of device-dax at multiples of the device's own alignment only, and libvirt rounds the size of a
 * memory device up to as much. */
#define PMEMD_NVDIMM_ALIGNMENT (UINT64_C(2) << 20)
/* What libvirt counts in. */
#define PMEMD_NVDIMM_UNIT UINT64_C(1024)
/* The least that QEMU and libvirt take for labels. */
#define PMEMD_NVDIMM_MIN_LABEL (UINT64_C(128) << 10)
/* Where udev makes links to devices, by the uuids of their namespaces. */
#define PMEMD_NVDIMM_LINKS "/dev/pmemd/by-uuid/"

/* What a guest is given: by uuid where device_path is a device, whose number is another one tomorrow. device_uuid: of the
 * namespace's label, by which udev makes the link. The caller's. */
char *pmemd_nvdimm_path(const char *device_path, const char *device_uuid);

/* Bytes of the guest's labels where nobody asks for others: as few as libvirt and QEMU take; 0 where that would leave less
 * than the least NVDIMM. */
uint64_t pmemd_nvdimm_label_bytes(uint64_t bytes);

/* <memory model='nvdimm'>, with a newline at the end. label_bytes 0: none. The caller's. */
char *pmemd_nvdimm_xml(const char *path, uint64_t bytes, uint64_t label_bytes, uint32_t guest_node);
