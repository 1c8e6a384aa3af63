/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd.conf: one group [pmemd] of keys, all of which may be left out.
 * Promises: a file that cannot be what its author meant is refused (PMEMD_ERROR_INVALID_ARGUMENT with file, key, value
 * and the values that would do); an unknown key or group is only warned about, so that a newer file serves an older
 * pmemd. Used by main.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>

#define CONFIG_PATH "/etc/pmemd/pmemd.conf"

typedef struct {
    char *bus;                      /* Bus: "system", "session" or an address */
    char *backend;                  /* Backend: "ndctl" or "file:DIR" */
    char *state_dir;                /* StateDir */
    Profile default_profile;        /* DefaultProfile: of SetupMgmt and AllocateMgmt without the option */
    guint max_queue;                /* MaxQueue: changes that wait, in total */
    guint max_queue_per_user;       /* MaxQueuePerUser */
    guint stuck_after_sec;          /* StuckAfterSec: when an operation of the backend is reported as stuck */
    bool allow_unknown_persistence; /* AllowUnknownPersistence: use raw regions that promise no persistence */
    GPtrArray *warnings;            /* char *: one line each, for the log */
} Config;

/* must_exist: the path was asked for; else a missing file gives the defaults. */
Config *config_load(const char *path, bool must_exist, GError **error);
void config_free(Config *config);

/* Is this what --bus= and Bus= take (an address is any text with a ':'), what --backend= and Backend= take?
 * INVALID_ARGUMENT. */
bool config_check_bus(const char *bus, GError **error);
bool config_check_backend(const char *backend, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
