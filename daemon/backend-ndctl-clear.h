/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Clearing bad blocks by the platform's own command, for exactly those of them that lie in given frames of ours or of
 * nobody. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend.h"

/* BackendOps.clear_bad. */
bool nd_clear(const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome, GError **error);
