/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The backend on sparse files: a directory with regions.conf (format: file-regions.h) and one file a device. For hosts
 * without NVDIMM, for development and for tests; the same promises as backend-ndctl. See backend.h.
 *
 * A device is two files: its description "UUID.dev" (file-record.h; what the label is on an NVDIMM) and its image
 * "ROLE-UUID.img", whose byte 0 is the first usable frame. Both are written under a temporary name and moved to their
 * place durably, the description first, and removed in the other order: at any moment a device is absent, PARTIAL (no
 * image, or one of another size) or COMPLETE. Images of mgmt devices are preallocated, so that a journal never meets
 * ENOSPC; those of data devices are sparse. Every description whose tag is not one of ours, or does not fit its uuid,
 * is a foreign device. A description whose raw region regions.conf no longer has at that place is not listed (its
 * memory is not there), but nothing can be made on its frames.
 *
 * One pmemd has the directory: it holds LOCK_EX on the file "lock", which it makes, and on regions.conf.
 * regions.conf is read once, when the backend is made: it stands for the hardware. Failures can be ordered by tests:
 * file-fault.h. "held" means that any process, this one included, has the image open or mapped.
 */
#pragma once

#include "daemon/backend.h"

/* Opens DIR/regions.conf, takes LOCK_EX on it (BUSY: another pmemd has it) and verifies it (INVALID_ARGUMENT names
 * group, key, value and what is allowed). dir: absolute or relative path, copied; it and regions.conf must be owned by
 * the user of the process and not be writable by others (NOT_AUTHORIZED). Removes what a killed predecessor left half
 * written. */
Backend *backend_file_new(const char *dir, GError **error);
