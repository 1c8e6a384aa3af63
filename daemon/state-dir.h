/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The state directory: made if missing, and held by one pmemd at a time (LOCK_EX on DIR/lock).
 * Promises: the lock goes with the process, however it ends. Used by main.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* BUSY: another pmemd has it; NOT_AUTHORIZED: others own it or may write to it; HARDWARE: it cannot be made or opened. The
 * lock is held until ret_fd is closed. */
bool state_dir_lock(const char *dir, int *ret_fd, GError **error);
