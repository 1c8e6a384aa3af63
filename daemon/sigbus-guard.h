/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Turns a SIGBUS (poisoned memory, a file cut short under its mapping) inside of a guarded call into -EIO.
 * Promises: a memory error that the kernel only tells of (BUS_MCEERR_AO) changes nothing; a SIGBUS outside of a guarded
 * call ends the process as if nobody handled it. Guards are per thread and nest.
 */
#pragma once

#include <stddef.h>

/* Installs the process-wide handler. Once at the start of a program; harmless to repeat. */
void medium_guard_install(void);

/* What runs inside must hold no lock and own nothing: it is left in its middle when memory fails. */
typedef void (*MediumGuardFunc)(void *data);

/* Calls func(data): 0, or -EIO when it met a SIGBUS. */
int medium_guard_run(MediumGuardFunc func, void *data);
