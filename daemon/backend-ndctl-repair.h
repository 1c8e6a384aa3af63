/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The labels of the host's interleave sets, checked and repaired (daemon/label-check.h says what is done). A repair needs
 * every region over the DIMMs disabled: those that are not are disabled for it, unless something in them may be in use.
 * Needs no journal. For backend-ndctl before anything else looks, and for pmemd-labels, which holds pmemd's locks.
 */
#pragma once

#include "daemon/label-check.h"

/* only: a region or a DIMM, whose sets are looked at; NULL: all. quick: free slots are not read, so what could be finished
 * is left; enough to say whether all is whole. Reads only. */
LabelCheck *nd_repair_check(const char *only, bool quick, bool force, GError **error);

/*
 * Repairs what can be, and starts the regions again. Returns what was found, before it; NULL with error: nothing, or not
 * all, of it was done. BUSY (nothing was done): a region over these DIMMs is enabled and in it is a namespace that is not
 * pmemd's, or is used.
 */
LabelCheck *nd_repair(const char *only, bool force, GError **error);

/*
 * At the start: checks all, repairs each region whose uuids can all be, and logs what was done or has to be. Returns the
 * regions that are not whole now, "region0" to why (both char *).
 */
GHashTable *nd_repair_at_start(void);
