/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A backend that stands before the file backend, counts every call of its table, of the contents and of the media that
 * it opens, and has the n-th fail or the process die there. The failures are the file backend's own (file-fault.h): at
 * the call's turn the order is written, then the call goes through. Included by the crash tests alone.
 */
#pragma once

#include "daemon/backend.h"
#include "daemon/file-fault.h"

/* The calls that are counted: first those of FileFaultOp, then a medium's. */
typedef enum {
    FAULTY_LIST = FILE_FAULT_LIST,
    FAULTY_CREATE = FILE_FAULT_CREATE,
    FAULTY_DESTROY = FILE_FAULT_DESTROY,
    FAULTY_RENEW = FILE_FAULT_RENEW,
    FAULTY_OPEN_MEDIUM = FILE_FAULT_OPEN_MEDIUM,
    FAULTY_OPEN_CONTENT = FILE_FAULT_OPEN_CONTENT,
    FAULTY_ZERO = FILE_FAULT_ZERO,
    FAULTY_CLEAR_BAD = FILE_FAULT_CLEAR_BAD,
    FAULTY_LEND = FILE_FAULT_LEND,
    FAULTY_CHECK = FILE_FAULT_CHECK, /* of the first byte alone: which others are read back is chance */
    FAULTY_STORE = N_FILE_FAULT_OPS,
    FAULTY_FLUSH,
    FAULTY_FENCE,
    N_FAULTY_CALLS,
} FaultyCall;

#define FAULTY_CALLS_MAX 8192u
#define FAULTY_KILL (-1) /* FaultyOrder.errnum: the process dies by SIGKILL */

/* What is ordered; one for a life of many backends, one after the other. */
typedef struct {
    unsigned fail_at; /* the call meant, counted from 1; 0: none */
    FileFaultPoint point;
    int errnum;    /* EIO, ENOSPC, FAULTY_KILL */
    bool for_ever; /* all calls from there on, too */
    bool media;    /* the calls of media are counted, and no others; false: the others alone */

    GMutex lock; /* for what follows: calls come on two workers' threads */
    unsigned calls;
    bool hit;
    uint8_t kinds[FAULTY_CALLS_MAX]; /* FaultyCall of each */
    const char *wrong;               /* a promise that a call broke: a device destroyed that was not erased */
} FaultyOrder;

/* Whether the call comes to this point. */
bool faulty_call_has_point(FaultyCall call, FileFaultPoint point);
const char *faulty_call_name(FaultyCall call);

/* Takes inner over. dir: the file backend's directory; order: outlives the backend. */
Backend *faulty_backend_new(Backend *inner, const char *dir, FaultyOrder *order);
