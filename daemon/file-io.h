/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Small text files in a directory that is held open: read whole, written so that a crash leaves the old or the new one.
 * Promises: names are taken relative to dirfd, symbolic links are never followed, descriptors are close-on-exec; every
 * function returns 0 or a negative errno. Knows no format. Used by the modules of backend-file.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* Names of files that are still being written start with this and end with FILE_IO_TEMP_SUFFIX. */
#define FILE_IO_TEMP_PREFIX ".pmemd-"
#define FILE_IO_TEMP_SUFFIX ".tmp"

/* The temporary name of `name`; the caller frees it. */
char *file_io_temp_name(const char *name);
/* The whole of a regular file, with a 0 added. -EFBIG: more than max bytes; -EBADMSG: has a 0 byte or is not a file. */
int file_io_read(int dirfd, const char *name, size_t max, char **ret_text);
/* As file_io_read(), from the start of an open file. */
int file_io_read_fd(int fd, size_t max, char **ret_text);
/* Writes the temporary file of `name` (mode 0600), durably; one that is there is replaced. Nothing stays on failure. */
int file_io_write_temp(int dirfd, const char *name, const char *text);
/* Moves the temporary file of `name` to its place and makes that durable. replace = false: -EEXIST when name exists. */
int file_io_commit_temp(int dirfd, const char *name, bool replace);
/* Removes name; 0 also when it is not there. Not durable before fsync(dirfd). */
int file_io_remove(int dirfd, const char *name);
/* Removes what writers that were killed left behind. Only for who has the directory for itself. */
int file_io_remove_temps(int dirfd);
