/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The backend on libnvdimm through libndctl. All calls on one thread (libndctl is not thread-safe); a fresh context for
 * each operation, as cached facts go stale. See backend.h.
 *
 * Devices are device-dax with page structures in RAM, align 2 MiB, whose first 2 MiB hold the info block. On regions
 * with labels they are known by the label's uuid and name. On regions without, a device is the whole region, its uuid
 * is that of the info block, and only a mgmt device shows a tag, made up from its superblock: a data device there is
 * listed with role NONE and tag "", and is pmemd's if its uuid is in a journal. destroy() takes any tag for these. See
 * backend-ndctl-facts.h.
 */
#pragma once

#include "daemon/backend.h"

/*
 * Takes LOCK_EX on each /dev/ndctlN (BUSY: another pmemd has it). NOT_SUPPORTED: no libnvdimm bus on this host.
 * allow_unknown_persistence: the administrator accepts regions that promise no persistence (domain "none" or
 * "unknown"); else those are listed as unusable and their journals are not opened. On them every commit writes the
 * flush hints, where there are any.
 */
Backend *backend_ndctl_new(bool allow_unknown_persistence, GError **error);
/* Changes that for what is done from now on; any thread. Journals that were not opened stay closed. */
void backend_ndctl_allow_unknown_persistence(Backend *b, bool allow);
