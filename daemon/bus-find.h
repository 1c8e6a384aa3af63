/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What people call a region: uuid, object path, device path, POOL/NAME, NAME.
 * Promises: a name that fits several regions finds none; device paths find only what their asker may see. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"

/* NO_SUCH_REGION; INVALID_ARGUMENT: no key at all, or an ambiguous one. */
bool bus_find_region(const State *state, const char *key, const Caller *viewer, sd_id128_t *ret_uuid, GError **error);
