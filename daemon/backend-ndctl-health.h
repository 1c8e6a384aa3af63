/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What libnvdimm knows of a region's bad blocks, and what its DIMMs say of their health. Reads only. For backend-ndctl
 * only.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"

#include <stdbool.h>

/* DimmHealth *, by name; NULL: it has no DIMMs (`memmap=`). The DIMMs' own commands are asked,
 * where they have them, which may take long. */
GPtrArray *nd_health_dimms(struct ndctl_region *region);

/* As BackendRaw.bad and .bad_all. */
GArray *nd_health_bad_frames(struct ndctl_region *region, bool *ret_all);
