/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The mount of a file system that this process serves (FUSE): what the kernel sees of it, before anybody answers.
 *
 * Who may call: pmemd-libvirt's loop.
 */
#pragma once

#include <glib.h>

/* Mounts at directory, which is made with its parents (0711) and root's alone to use; what a predecessor left mounted there is detached.
 * The descriptor of /dev/fuse, which does not block (the caller's: the mount ends when it is unmounted); -1: error is set (HARDWARE). */
int fuse_mount_new(const char *directory, GError **error);
