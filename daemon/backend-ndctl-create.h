/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Making a device-dax at an exact address: fillers, the namespace with uuid and tag before its size (so that the first
 * label that is written carries both), the info block; then another look. What fails is undone. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend.h"

/* BackendOps.create. any_persistence: see nd_facts_raw(). */
BackendDevice *nd_create(bool any_persistence, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error);
