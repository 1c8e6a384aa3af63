/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What to do about a difference between journal and platform: pure decisions, by the table of docs/architecture.md.
 * Promises: never a guess: what is not known to be absent stays reserved, what is not known to be ours is not touched.
 * The manager carries the decisions out, at start and after an operation whose outcome is not known.
 */
#pragma once

#include "daemon/backend.h"
#include "daemon/state.h"

typedef enum {
    RECOVERY_KEEP,              /* journal and platform agree */
    RECOVERY_COMMIT_CREATE,     /* the device is complete: journal COMMIT */
    RECOVERY_ABORT_CREATE,      /* it is absent: journal ABORT */
    RECOVERY_DESTROY_AND_ABORT, /* it is half made and nobody holds it: destroy, then ABORT */
    RECOVERY_ERASE,             /* released and still there: erase, destroy, COMMIT */
    RECOVERY_COMMIT_DELETE,     /* released and gone: COMMIT */
    RECOVERY_ERASE_LATER,       /* released, but not to be seen: the intent stays open; may be tried again */
    RECOVERY_MISSING,           /* live, but not on the platform: say so, free nothing */
    RECOVERY_UNSETTLED,         /* cannot be told, not proven ours, or held: leave the intent open and touch nothing */
} RecoveryAction;

/*
 * region: any region of the journal. device: what the platform shows under region->device_uuid, or NULL. ret_reason:
 * words for the administrator for MISSING, UNSETTLED and ERASE_LATER, else NULL; the caller's.
 */
RecoveryAction recovery_decide_region(const Region *region, const BackendDevice *device, char **ret_reason);

/* The tag that the device of the region has, if it has one. */
char *recovery_region_tag(const Region *region, char buf[static BACKEND_TAG_MAX]);

typedef enum {
    RECOVERY_DEVICE_FOREIGN,     /* not ours: occupied, never touched */
    RECOVERY_DEVICE_ORPHAN,      /* tagged as data of ours, in no journal: occupied, never deleted by itself */
    RECOVERY_DEVICE_UNFORMATTED, /* tagged mgmt, no superblock, no setup under way */
    RECOVERY_DEVICE_DESTROY,     /* a filler, or a mgmt device whose setup was cut off: destroy it */
} RecoveryDeviceAction;

/*
 * device: one that belongs to no region and no pool. setup_pending: there is a setup intent for its uuid.
 */
RecoveryDeviceAction recovery_decide_device(const BackendDevice *device, bool setup_pending);

/*
 * Does this superblock belong to this device in this place? Never by content alone: uuid, range, and the raw region's
 * cookie have to agree. raw may be NULL (absent). false: ret_reason says what differs.
 */
bool recovery_check_superblock(const JfSuperblock *sb, const BackendDevice *device, const Raw *raw, char **ret_reason);
