/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Questions that may never be answered, as those to the host's name services (a directory server that is away).
 * Promises: whoever asks waits PATIENCE_FIRST at most, and while a question hangs PATIENCE_NEXT; so many hang at most, and
 * beyond nothing is asked any more until one ends. A service that answers from a file still does while another hangs.
 * Knows nothing of what is asked. Used on the loop by caller, quota, config.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_FIRST (1 * G_TIME_SPAN_SECOND)
#define PATIENCE_NEXT (50 * G_TIME_SPAN_MILLISECOND)
#define PATIENCE_HANGING 8u

typedef struct Patience Patience;

Patience *patience_new(void);
/* Other waits than PATIENCE_FIRST and PATIENCE_NEXT, in microseconds, for what is asked from now on. */
void patience_set_waits(Patience *patience, int64_t first, int64_t next);
/* Questions that hang go on by themselves. NULL is fine. */
void patience_unref(Patience *patience);

/* Calls run(data) on a thread of its own and waits for it. true: it was run, data is the caller's. false: it was not, or still
 * is; data is not the caller's any more, free_func gets it when that ends. patience NULL: runs it here, however long. */
bool patience_run(Patience *patience, void (*run)(void *data), void *data, GDestroyNotify free_func);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Patience, patience_unref)
