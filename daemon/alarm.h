/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the platform shows that an administrator must look at, and no state of a pool or region tells: raw regions that cannot be
 * used or may forget, orphans, unformatted devices. Promises: each is logged once, when it is first seen or its reason changes; one that went
 * and came back is new. Listens to the manager; changes nothing. Used by main.
 */
#pragma once

#include "daemon/manager.h"

typedef struct Alarm Alarm;

/* Freed after the manager. */
Alarm *alarm_new(Manager *manager);
void alarm_free(Alarm *alarm);

/* Is it to be said of raw regions in use that a power loss may lose what they hold? From the next listing on. */
void alarm_warn_of_persistence(Alarm *alarm, bool warn);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Alarm, alarm_free)
