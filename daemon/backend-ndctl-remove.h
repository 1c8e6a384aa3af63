/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Deleting namespaces of pmemd. libndctl reports success for what it cannot delete, so every removal is verified by
 * another look. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"
#include "daemon/backend.h"

/*
 * Disables and deletes the namespaces with these uuids, whatever state they are in, and makes sure that they are gone;
 * a region without labels gets its raw namespace back, first and last MiB zeroed. The caller has made sure that they
 * are pmemd's and unused. false with error: at least one may still be there; the others were tried all the same.
 */
bool nd_remove(const sd_id128_t *uuids, size_t n_uuids, GError **error);

/* Whether a crash left fillers in the region: next to never. */
bool nd_has_fillers(struct ndctl_region *region);

/* Deletes the fillers that a crash left in the region, but those that somebody uses. Failures are only logged: the plan
 * sees them. */
void nd_remove_stale_fillers(const char *region_id);

/* BackendOps.destroy */
bool nd_remove_checked(sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
