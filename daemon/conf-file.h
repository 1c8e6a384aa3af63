/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The files of a configuration: a main file and the drop-ins that add to it, as key files whose lines are known.
 * Promises: drop-ins are read in the order of their file names over all folders; one that a later folder has, too, is
 * masked there (also by a link to /dev/null); a file that cannot be read as a key file is refused with the line that
 * is to blame. Knows no keys. Used by config.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define CONF_FILE_BYTES_MAX (1u << 20)

/* One file that was read. */
typedef struct {
    char *path;
    GKeyFile *keys;
    GHashTable *lines; /* of what stands where: see conf_file_line() */
} ConfFile;

/* Of the text of a file; path: for messages. NULL with INVALID_ARGUMENT. */
ConfFile *conf_file_parse(const char *path, const char *text, gsize len, GError **error);
void conf_file_free(ConfFile *file);
/* The line, from 1, of the value that counts for the key, or (key NULL) of the group's first header. 0: not there. */
guint conf_file_line(const ConfFile *file, const char *group, const char *key);

/*
 * ConfFile *, in the order of reading: what a later one says counts. main_path may be missing unless must_exist. dirs:
 * folders of drop-ins (names that end in ".conf" and begin with no dot), each masking those before it; a missing one
 * holds none. NULL with INVALID_ARGUMENT.
 */
GPtrArray *conf_file_read_all(const char *main_path, bool must_exist, const char *const *dirs, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfFile, conf_file_free)
