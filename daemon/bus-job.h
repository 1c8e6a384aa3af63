/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Erase jobs as objects of the bus: org.pmemd1.Job, and the Manager's signal JobRemoved.
 * Promises: made from the eraser at each question, no memory a job; Pause and Resume are for who may release the region. Used by
 * bus.
 */
#pragma once

#include "daemon/bus-authorize.h"
#include "daemon/bus-view.h"
#include "daemon/eraser.h"

typedef struct BusJob BusJob;

/* Adds the objects to view->bus. view, authority: must outlive it. INTERNAL: sd-bus refuses. */
BusJob *bus_job_new(BusView *view, BusAuthority *authority, GError **error);
void bus_job_free(BusJob *jobs); /* before the bus goes, after the eraser */

/* What eraser_new() is to be given, with jobs as data. Static. */
const EraserEvents *bus_job_events(void);
/* From now on jobs are the eraser's; NULL: there are none (again). */
void bus_job_set_eraser(BusJob *jobs, Eraser *eraser);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusJob, bus_job_free)
