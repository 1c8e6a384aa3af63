/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The errors of pmemd: one GError domain, one table that gives each code its D-Bus name and errno.
 * Promises: codes are dense from 0, the table has exactly PMEMD_N_ERRORS rows, names never change once released.
 * Used by the daemon (every layer returns these) and by the client library (which turns D-Bus names back into codes).
 */
#pragma once

#include <glib.h>

typedef enum {
    PMEMD_ERROR_INVALID_ARGUMENT, /* EINVAL: the request contradicts a rule; the message names the nearest valid one */
    PMEMD_ERROR_EXISTS,           /* EEXIST: overlaps, or repeats the name of, something pmemd owns */
    PMEMD_ERROR_NO_SUCH_REGION,   /* ENOENT */
    PMEMD_ERROR_NO_SUCH_MGMT,     /* ENXIO: the range lies in no management region */
    PMEMD_ERROR_NO_SPACE,         /* ENOSPC: the message names needed and available */
    PMEMD_ERROR_BUSY,             /* EBUSY: something that is not a lease stands in the way; the message names it */
    PMEMD_ERROR_LEASED,           /* EBUSY: somebody holds the data region */
    PMEMD_ERROR_NOT_AUTHORIZED,   /* EACCES */
    PMEMD_ERROR_READ_ONLY,        /* EROFS: the pool (or the daemon) accepts no change */
    PMEMD_ERROR_CORRUPT,          /* EUCLEAN: the journal contradicts itself */
    PMEMD_ERROR_DEGRADED,         /* EIO: the region's memory or device is not whole */
    PMEMD_ERROR_HARDWARE,         /* EIO: the platform failed the operation */
    PMEMD_ERROR_NOT_SUPPORTED,    /* EOPNOTSUPP */
    PMEMD_ERROR_LIMITS_EXCEEDED,  /* EDQUOT: a cap (per user, in total, or of the hardware) is reached */
    PMEMD_ERROR_TIMED_OUT,        /* ETIMEDOUT */
    PMEMD_ERROR_INTERNAL,         /* EPROTO: an assumption of pmemd broke */
    PMEMD_N_ERRORS,
} PmemdError;

#define PMEMD_ERROR (pmemd_error_quark())
GQuark pmemd_error_quark(void);

/* The D-Bus error name ("org.pmemd1.Error.Exists"); codes outside the enum give that of INTERNAL. Never NULL.
 * Static. */
const char *pmemd_error_dbus_name(int code);

/* The errno (positive) that goes with the code; codes outside the enum give EPROTO. */
int pmemd_error_errno(int code);

/* The code for a D-Bus error name, or -1 when the name is not one of pmemd's. */
int pmemd_error_from_dbus_name(const char *name);

/* The code that fits an errno of the platform (ENOSPC gives NO_SPACE, EBUSY gives BUSY, ...; unknown ones HARDWARE). */
PmemdError pmemd_error_from_errno(int errnum);
