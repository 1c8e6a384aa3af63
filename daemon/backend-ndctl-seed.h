/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The seed of a raw region with labels: the one namespace of no size that the kernel keeps ready to be configured. When a
 * region is started, Linux notes its first namespace as the seed only after it has begun to start all of them (6.1,
 * nd_region_register_namespaces()): one that is up before that never moves the seed on, and nothing can be made in the
 * region any more, which gets the more likely the more namespaces there are. What moves it on is to start that namespace
 * once more. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"

/* The seed, if it is a namespace that is in operation already; NULL: all is well, or it was half made by somebody. Once
 * the probes have ended: while a region starts, this is so for a moment. */
struct ndctl_namespace *nd_seed_stuck(struct ndctl_region *region);

/*
 * In all raw regions, frees a seed that is stuck at a device-dax of pmemd's that nobody has open: the device is stopped
 * and started. For the start only, before anything of ours is open. Logs what it did, or what has to be done.
 */
void nd_seed_free_all(void);
