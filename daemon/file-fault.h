/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Failures and delays that a test orders from the file backend: DIR/inject.conf, read at the start of each operation.
 * For tests; no other backend has it. The directory belongs to the daemon's user alone, so nobody else can order any.
 *
 *   [create]         list, create, destroy, renew, open_medium, open_content, zero, clear_bad, lend or check (reading back
 *                    what was erased): the operation it is about
 *   Nth=1            the call that is meant, counted from the next one; default 1
 *   When=before      nothing was done; the default
 *        prepared    create, renew: temporary files are written, nothing is visible yet, and stays so
 *        partial     half was done (create, destroy: a description without image; zero, clear_bad: the first half), and stays so
 *        after       all was done, then it fails: the outcome is unknown
 *   Error=EIO        EIO, ENOSPC, EBUSY, or kill: the process dies by SIGKILL. Default: no error, only what follows
 *   DelayMs=100      sleeps at that point
 *   WaitFile=hold    blocks at that point until this file (relative to DIR) is gone
 *
 * The group is removed (and the file with the last one) when its call begins, before any delay, wait or error: a test
 * that sees it gone knows that the operation is in flight. With Nth > 1 each call rewrites the file with one less.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define FILE_FAULT_NAME "inject.conf"

typedef enum {
    FILE_FAULT_LIST,
    FILE_FAULT_CREATE,
    FILE_FAULT_DESTROY,
    FILE_FAULT_RENEW,
    FILE_FAULT_OPEN_MEDIUM,
    FILE_FAULT_OPEN_CONTENT,
    FILE_FAULT_ZERO,
    FILE_FAULT_CLEAR_BAD,
    FILE_FAULT_LEND,
    FILE_FAULT_CHECK,
    N_FILE_FAULT_OPS,
} FileFaultOp;

typedef enum {
    FILE_FAULT_BEFORE,
    FILE_FAULT_PREPARED,
    FILE_FAULT_PARTIAL,
    FILE_FAULT_AFTER,
    N_FILE_FAULT_POINTS,
} FileFaultPoint;

/* What was ordered for one call. */
typedef struct FileFault FileFault;

/* Takes the order for this call from the file; *ret_fault = NULL when there is none. false: INVALID_ARGUMENT that names
 * group, key and value (a test with a mistake in it must not pass), or the file cannot be read. Any thread. */
bool file_fault_begin(int dirfd, FileFaultOp op, FileFault **ret_fault, GError **error);
/* The call has reached a point. false: the ordered error. NULL fault: true. Borrows the dirfd of file_fault_begin(). */
bool file_fault_hit(const FileFault *fault, FileFaultPoint point, GError **error);
void file_fault_free(FileFault *fault);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileFault, file_fault_free)
