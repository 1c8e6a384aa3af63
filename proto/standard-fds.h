/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The descriptors 0, 1 and 2 of a program that was started without them.
 * Promises: no file that is opened later is one of them, so that what is printed or logged never goes into a journal, a
 * lock or the connection to the bus. For the start of main(), before anything is opened.
 */
#pragma once

#include <stdbool.h>

/* false: errno says why, and at least one of them is still closed. */
bool standard_fds_keep(void);
