/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which frames have somebody, and who. Ranges that are added overlap no other one; of those that do one is found. Pure; used
 * by restore, for devices and for management extents.
 */
#pragma once

#include <glib.h>

#include "client/libpmemd.h"

typedef struct Occupancy Occupancy;

typedef struct {
    PmemdRange range;
    char *by; /* for messages */
} Occupant;

Occupancy *occupancy_new(void);
void occupancy_free(Occupancy *occupancy);
/* by: taken. range is not empty. */
void occupancy_add(Occupancy *occupancy, PmemdRange range, char *by);
/* The last one that has some of the frames; NULL: nobody. */
const Occupant *occupancy_find(const Occupancy *occupancy, PmemdRange range);
/* The last one that starts before the frame, wherever it ends; NULL: none. */
const Occupant *occupancy_before(const Occupancy *occupancy, uint64_t frame);
