/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/conf-file.h"

#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* --- one file --- */

void conf_file_free(ConfFile *file) {
    if (!file)
        return;
    g_free(file->path);
    g_clear_pointer(&file->keys, g_key_file_unref);
    g_clear_pointer(&file->lines, g_hash_table_unref);
    g_free(file);
}

/* Neither a group nor a key holds a newline. */
static char *line_key(const char *group, const char *key) {
    return key ? g_strconcat(group, "\n", key, NULL) : g_strdup(group);
}

guint conf_file_line(const ConfFile *file, const char *group, const char *key) {
    g_autofree char *place = line_key(group, key);

    return GPOINTER_TO_UINT(g_hash_table_lookup(file->lines, place));
}

/* Where the line that follows `at` begins. */
static gsize next_line(const char *text, gsize len, gsize at) {
    const char *end = memchr(text + at, '\n', len - at);

    return end ? (gsize) (end - text) + 1 : len;
}

/* GKeyFile took the text, so each line is a group, a key or neither. */
static void note_line(ConfFile *file, const char *line, guint number, char **group) {
    while (g_ascii_isspace(*line))
        line++;
    const char *end = strchr(line, *line == '[' ? ']' : '=');
    if (*line == '#' || !end)
        return;
    if (*line == '[') {
        g_free(*group);
        *group = g_strndup(line + 1, (gsize) (end - line) - 1);
        if (conf_file_line(file, *group, NULL) == 0)
            g_hash_table_insert(file->lines, line_key(*group, NULL), GUINT_TO_POINTER(number));
        return;
    }

    g_autofree char *key = g_strchomp(g_strndup(line, (gsize) (end - line)));
    if (*group)
        g_hash_table_insert(file->lines, line_key(*group, key), GUINT_TO_POINTER(number));
}

static void note_lines(ConfFile *file, const char *text, gsize len) {
    g_autofree char *group = NULL;
    guint number = 1;

    for (gsize at = 0; at < len; number++) {
        gsize next = next_line(text, len, at);
        g_autofree char *line = g_strndup(text + at, next - at);

        note_line(file, line, number, &group);
        at = next;
    }
}

static bool loads(const char *text, gsize len) {
    g_autoptr(GKeyFile) keys = g_key_file_new();

    return g_key_file_load_from_data(keys, text, len, G_KEY_FILE_NONE, NULL);
}

/* GKeyFile does not say which line it stopped at: the first with which the text does not load. */
static guint find_bad_line(const char *text, gsize len) {
    g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(gsize));
    guint good = 0;

    for (gsize at = 0; at < len;) {
        at = next_line(text, len, at);
        g_array_append_val(ends, at);
    }
    for (guint bad = ends->len; good < bad;) {
        guint middle = good + (bad - good) / 2;

        if (loads(text, g_array_index(ends, gsize, middle)))
            good = middle + 1;
        else
            bad = middle;
    }
    return good + 1;
}

static guint count_lines(const char *text, gsize len) {
    guint lines = 1;

    for (gsize i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

ConfFile *conf_file_parse(const char *path, const char *text, gsize len, GError **error) {
    g_autoptr(ConfFile) file = g_new0(ConfFile, 1);
    const char *zero = memchr(text, 0, len);

    if (zero) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s:%u: a byte 0 stands there: this is no text file", path,
                    count_lines(text, (gsize) (zero - text)));
        return NULL;
    }
    file->path = g_strdup(path);
    file->keys = g_key_file_new();
    file->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (len > 0 && !g_key_file_load_from_data(file->keys, text, len, G_KEY_FILE_NONE, NULL)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s:%u: the line is neither '[GROUP]' nor, in a group, 'KEY=VALUE' nor a comment ('#')", path,
                    find_bad_line(text, len));
        return NULL;
    }
    note_lines(file, text, len);
    return g_steal_pointer(&file);
}

/* --- from the file system --- */

static bool is_null_device(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static bool read_descriptor(int fd, const char *path, GByteArray *bytes, GError **error) {
    guint8 buf[16384];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !is_null_device(&st))) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: neither a regular file nor /dev/null", path);
        return false;
    }
    while ((n = read(fd, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: cannot be read: %s", path,
                        g_strerror(errno));
            return false;
        }
        g_byte_array_append(bytes, buf, (guint) n);
        if (bytes->len > CONF_FILE_BYTES_MAX) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: has more than the %u bytes allowed",
                        path, CONF_FILE_BYTES_MAX);
            return false;
        }
    }
    return true;
}

/* Adds the file to files. A missing one is fine unless must_exist. */
static bool read_one(GPtrArray *files, const char *path, bool must_exist, GError **error) {
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    /* Not blocking: a FIFO is to be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        if (errno == ENOENT && !must_exist)
            return true;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: cannot be opened: %s", path,
                    g_strerror(errno));
        return false;
    }
    bool ok = read_descriptor(fd, path, bytes, error);
    close(fd);
    if (!ok)
        return false;

    ConfFile *file = conf_file_parse(path, bytes->len > 0 ? (const char *) bytes->data : "", bytes->len, error);
    if (file)
        g_ptr_array_add(files, file);
    return file != NULL;
}

/* Name -> path of the drop-ins of one folder, over those found so far. */
static bool find_drop_ins(GHashTable *found, const char *dir, GError **error) {
    g_autoptr(GError) local = NULL;
    g_autoptr(GDir) names = g_dir_open(dir, 0, &local);
    const char *name;

    if (!names) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return true;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: its drop-ins cannot be listed: %s", dir,
                    local->message);
        return false;
    }
    while ((name = g_dir_read_name(names)))
        if (name[0] != '.' && g_str_has_suffix(name, ".conf"))
            g_hash_table_insert(found, g_strdup(name), g_build_filename(dir, name, NULL));
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b) {
    return strcmp(a, b);
}

GPtrArray *conf_file_read_all(const char *main_path, bool must_exist, const char *const *dirs, GError **error) {
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify) conf_file_free);
    g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    if (!read_one(files, main_path, must_exist, error))
        return NULL;
    for (; *dirs; dirs++)
        if (!find_drop_ins(found, *dirs, error))
            return NULL;
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(found), compare_names);
    for (const GList *l = names; l; l = l->next)
        if (!read_one(files, g_hash_table_lookup(found, l->data), true, error))
            return NULL;
    return g_steal_pointer(&files);
}
