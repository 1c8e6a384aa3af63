/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * GetMetrics: what there is, what is left, and what pmemd did, as numbers.
 * Promises: no address, no path, no owner among them, so that everyone may ask; the cost grows with raw regions and
 * pools, not with data regions or callers. Used by bus.
 */
#pragma once

#include "daemon/bus-view.h"
#include "daemon/eraser.h"

/* Answers call. eraser may be NULL (it is not there yet, or no longer). < 0: no answer could be sent. */
int bus_metrics_reply(const BusView *view, const Eraser *eraser, sd_bus_message *call);
