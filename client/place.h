/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Where pmemd makes a device in a raw region, as far as the lists tell: the rules of docs/architecture.md on steps, leads and
 * minima. pmemd decides. Pure; used by restore.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "client/libpmemd.h"

bool place_is_same(PmemdRange a, PmemdRange b);
bool place_contains(PmemdRange outer, PmemdRange inner);
/* n is below 2^52. */
uint64_t place_round_up(uint64_t n, uint64_t unit);
/* Whether devices may be made at exact frames. */
bool place_is_usable(const PmemdRaw *raw);
/* In frames. */
uint64_t place_lead(const PmemdRaw *raw);
uint64_t place_step(const PmemdRaw *raw);
/* Frames that the device of so many usable ones takes at least. */
uint64_t place_device_frames(const PmemdRaw *raw, uint64_t usable);
/* The device of these usable frames; false: pmemd makes none such. */
bool place_device(const PmemdRaw *raw, PmemdRange usable, PmemdRange *ret_device);
