/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The align of raw regions: what the kernel rounds every place and size in them to. It can be made finer, down to the
 * step of backend-ndctl-placement, but the kernel forgets that at every boot; and where it is coarser than what is there,
 * the free size of the region reads 0 for everybody. So it is set before anything is made, and set again wherever
 * devices of ours need it. Never made coarser. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"
#include "daemon/backend.h"

/* step: bytes. */
bool nd_align_set(NdContext *context, struct ndctl_region *region, uint64_t step, GError **error);

/* In the raw regions of a fresh listing where devices of ours do not fit the align. */
void nd_align_keep(const BackendListing *listing);
