/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The state directory's small files: which mgmt regions are being set up or released, and which a power-off takes (no
 * journal can say that), and copies of corrupt journals. Promises: a hint is durable when hints_put() returns true; losing the directory loses no
 * region. Used by the manager.
 */
#pragma once

#include "daemon/journal-format.h"

#include <glib.h>
#include <stdbool.h>

typedef enum {
    HINT_SETUP,   /* STATE/setup/<uuid>: a mgmt device with this uuid may be half made */
    HINT_RELEASE, /* STATE/release/<uuid>: a mgmt device with this uuid is to be deleted */
    HINT_IN_RAM,  /* STATE/in-ram/<uuid>: there is a pool with this uuid whose journal a power-off takes */
    N_HINTS,
} HintKind;

/* Creates the sub-directories. Errors: HARDWARE, NO_SPACE, ... by errno, naming the path. */
bool hints_prepare(const char *state_dir, GError **error);
bool hints_put(const char *state_dir, HintKind kind, sd_id128_t uuid, GError **error);
/* True also when there was none. */
bool hints_remove(const char *state_dir, HintKind kind, sd_id128_t uuid, GError **error);
bool hints_has(const char *state_dir, HintKind kind, sd_id128_t uuid);
/* All of one kind: sd_id128_t elements. Names that are not uuids are left alone. */
GArray *hints_list(const char *state_dir, HintKind kind, GError **error);

/* Keeps the first len bytes (at most 64 MiB of them) as STATE/evidence/<uuid>-<seq>-<crc32c of them>.img, mode 0600,
 * once: an existing one is left as it is. *ret_path: where; the caller's. */
bool hints_keep_evidence(const char *state_dir, sd_id128_t uuid, uint64_t seq, const uint8_t *bytes, size_t len,
                         char **ret_path, GError **error);
