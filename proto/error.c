/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/error.h"

#include <errno.h>
#include <string.h>

typedef struct {
    const char *name;
    int errnum;
} ErrorRow;

static const ErrorRow error_table[] = {
    [PMEMD_ERROR_INVALID_ARGUMENT] = { "org.pmemd1.Error.InvalidArgument", EINVAL },
    [PMEMD_ERROR_EXISTS] = { "org.pmemd1.Error.Exists", EEXIST },
    [PMEMD_ERROR_NO_SUCH_REGION] = { "org.pmemd1.Error.NoSuchRegion", ENOENT },
    [PMEMD_ERROR_NO_SUCH_MGMT] = { "org.pmemd1.Error.NoSuchMgmt", ENXIO },
    [PMEMD_ERROR_NO_SPACE] = { "org.pmemd1.Error.NoSpace", ENOSPC },
    [PMEMD_ERROR_BUSY] = { "org.pmemd1.Error.Busy", EBUSY },
    [PMEMD_ERROR_LEASED] = { "org.pmemd1.Error.Leased", EBUSY },
    [PMEMD_ERROR_NOT_AUTHORIZED] = { "org.pmemd1.Error.NotAuthorized", EACCES },
    [PMEMD_ERROR_READ_ONLY] = { "org.pmemd1.Error.ReadOnly", EROFS },
    [PMEMD_ERROR_CORRUPT] = { "org.pmemd1.Error.Corrupt", EUCLEAN },
    [PMEMD_ERROR_DEGRADED] = { "org.pmemd1.Error.Degraded", EIO },
    [PMEMD_ERROR_HARDWARE] = { "org.pmemd1.Error.Hardware", EIO },
    [PMEMD_ERROR_NOT_SUPPORTED] = { "org.pmemd1.Error.NotSupported", EOPNOTSUPP },
    [PMEMD_ERROR_LIMITS_EXCEEDED] = { "org.pmemd1.Error.LimitsExceeded", EDQUOT },
    [PMEMD_ERROR_TIMED_OUT] = { "org.pmemd1.Error.TimedOut", ETIMEDOUT },
    [PMEMD_ERROR_INTERNAL] = { "org.pmemd1.Error.Internal", EPROTO },
};
G_STATIC_ASSERT(G_N_ELEMENTS(error_table) == PMEMD_N_ERRORS);

GQuark pmemd_error_quark(void) {
    return g_quark_from_static_string("pmemd-error-quark");
}

static const ErrorRow *error_row(int code) {
    if (code < 0 || code >= PMEMD_N_ERRORS)
        code = PMEMD_ERROR_INTERNAL;
    return &error_table[code];
}

const char *pmemd_error_dbus_name(int code) {
    return error_row(code)->name;
}

int pmemd_error_errno(int code) {
    return error_row(code)->errnum;
}

int pmemd_error_from_dbus_name(const char *name) {
    for (int i = 0; name && i < PMEMD_N_ERRORS; i++)
        if (strcmp(error_table[i].name, name) == 0)
            return i;
    return -1;
}

PmemdError pmemd_error_from_errno(int errnum) {
    switch (errnum) {
    case EINVAL:
        return PMEMD_ERROR_INVALID_ARGUMENT;
    case ENOSPC:
        return PMEMD_ERROR_NO_SPACE;
    case EBUSY:
        return PMEMD_ERROR_BUSY;
    case EACCES:
    case EPERM:
        return PMEMD_ERROR_NOT_AUTHORIZED;
    case EROFS:
        return PMEMD_ERROR_READ_ONLY;
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return PMEMD_ERROR_LIMITS_EXCEEDED;
    case EOPNOTSUPP:
        return PMEMD_ERROR_NOT_SUPPORTED;
    case ETIMEDOUT:
        return PMEMD_ERROR_TIMED_OUT;
    default:
        return PMEMD_ERROR_HARDWARE;
    }
}
