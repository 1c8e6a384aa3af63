/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Making a namespace that stands in its place a device-dax, as all of pmemd's are: map=mem, align 2 MiB, one uuid for
 * both. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"

/* Writes the info block and starts the device-dax. ndns is disabled, and the caller knows that it is pmemd's. */
bool nd_dax_make(NdContext *context, struct ndctl_region *region, struct ndctl_namespace *ndns, sd_id128_t uuid,
                 GError **error);

/* Unbinds and binds the device, as it is. Descriptors that were open, also those in no process' table now, lead to the
 * old one and fail. Returns 0 or -errno. */
int nd_dax_restart(struct ndctl_dax *dax);
