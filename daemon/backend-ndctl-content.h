/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The usable bytes of devices: a mgmt device as a journal's medium, a data device for erasing. The map is of the
 * character device whose number sysfs gives for the uuid, checked before and after it is opened. Where the platform
 * needs it, durable means that the region's flush hints were written, too. For backend-ndctl only.
 */
#pragma once

#include "daemon/backend.h"

/* BackendOps.open_medium. any_persistence: see nd_facts_raw(). */
Medium *nd_content_open_medium(bool any_persistence, sd_id128_t uuid, GError **error);

/* BackendOps.renew, BackendOps.mappers. */
bool nd_content_renew(sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error);
MapperList *nd_content_mappers(sd_id128_t uuid, GError **error);

/* BackendOps.open_content. The device is disabled and enabled in between, after which descriptors that somebody kept
 * are dead. */
BackendContent *nd_content_open(sd_id128_t uuid, GError **error);

/* BackendOps.lend. */
BackendLoan *nd_content_lend(sd_id128_t uuid, GError **error);
