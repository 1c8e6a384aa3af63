/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-record.h"

#include "daemon/file-io.h"
#include "daemon/number.h"
#include "proto/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define GROUP "Device"
#define HEX "0x%" G_GINT64_MODIFIER "x"

void file_record_free(FileRecord *record) {
    if (!record)
        return;
    g_free(record->tag);
    g_free(record->raw);
    g_free(record->mode);
    g_free(record->name);
    g_free(record);
}

static bool refuse(const char *path, const char *key, const char *value, const char *allowed, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                "%s: %s=%s: must be %s; repair the description, or move it and its image out of the directory", path,
                key, value ? value : "", allowed);
    return false;
}

#define PLAIN_LINES 16u

/* What a description says, by key. */
typedef struct {
    const char *keys[PLAIN_LINES], *values[PLAIN_LINES]; /* both within text */
    guint n;
    char *text;
    GKeyFile *file; /* NULL, or read by GLib */
} Content;

static void content_clear(Content *content) {
    g_clear_pointer(&content->file, g_key_file_unref);
    g_clear_pointer(&content->text, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Content, content_clear)

static const char *content_find(const Content *content, const char *key) {
    for (guint i = 0; i < content->n; i++)
        if (strcmp(content->keys[i], key) == 0)
            return content->values[i];
    return NULL;
}

/* Takes one line apart, which begins at `line`; the start of the next one, or NULL: it is no KEY=VALUE of plain ASCII
 * whose key is new. */
static char *content_take_line(Content *content, char *line) {
    char *at = line, *value;

    while (g_ascii_isalpha(*at))
        at++;
    if (at == line || *at != '=' || content->n == PLAIN_LINES)
        return NULL;
    *at++ = '\0';
    for (value = at; g_ascii_isgraph(*at) && *at != '\\';)
        at++;
    if (*at != '\n' || content_find(content, line))
        return NULL;
    *at = '\0';
    content->keys[content->n] = line;
    content->values[content->n++] = value;
    return at + 1;
}

/* Reads a text that has nothing but the header and lines KEY=VALUE of plain ASCII, each key once, as pmemd writes them:
 * a start reads every description, and GKeyFile takes most of the time for that. false: something else is in it. */
static bool content_read_plain(Content *content, const char *text) {
    g_auto(Content) plain = { 0 };

    if (!g_str_has_prefix(text, "[" GROUP "]\n"))
        return false;
    plain.text = g_strdup(text + strlen("[" GROUP "]\n"));
    for (char *line = plain.text; *line;) {
        line = content_take_line(&plain, line);
        if (!line)
            return false;
    }
    *content = plain;
    plain = (Content){ 0 };
    return true;
}

static char *value_of(const Content *content, const char *key, const char *otherwise) {
    char *value =
        content->file ? g_key_file_get_string(content->file, GROUP, key, NULL) : g_strdup(content_find(content, key));

    return value ? value : g_strdup(otherwise);
}

static bool number_of(const Content *content, const char *path, const char *key, const char *otherwise,
                      const char *allowed, uint64_t *ret_number, GError **error) {
    g_autofree char *value = value_of(content, key, otherwise);

    if (!value || !number_parse(value, ret_number))
        return refuse(path, key, value, allowed, error);
    return true;
}

FileRecord *file_record_parse(const char *text, const char *path, GError **error) {
    g_autoptr(FileRecord) record = g_new0(FileRecord, 1);
    g_auto(Content) content = { 0 };
    g_autofree char *base = g_path_get_basename(path);
    uint64_t start = 0, bytes = 0;

    if (!content_read_plain(&content, text)) {
        g_autoptr(GError) syntax = NULL;

        content.file = g_key_file_new();
        if (!g_key_file_load_from_data(content.file, text, (gsize) -1, G_KEY_FILE_NONE, &syntax)) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                        "%s: %s; repair the description, or move it and its image out of the directory", path,
                        syntax->message);
            return NULL;
        }
    }
    if (!number_of(&content, path, "StartFrame", NULL, "there, a frame number", &start, error) ||
        !number_of(&content, path, "Bytes", NULL, "there, a multiple of 4096", &bytes, error) ||
        !number_of(&content, path, "Lead", "0", "a number of frames", &record->lead, error))
        return NULL;

    record->tag = value_of(&content, "Tag", "");
    record->raw = value_of(&content, "Raw", NULL);
    record->mode = value_of(&content, "Mode", "file");
    record->name = value_of(&content, "Name", base);
    if (!record->raw) {
        refuse(path, "Raw", NULL, "there, the name of a raw region", error);
        return NULL;
    }

    uint64_t frames = bytes >> PMEMD_FRAME_SHIFT;
    if (bytes % PMEMD_FRAME_SIZE != 0 || frames <= record->lead || start >= PMEMD_FRAME_LIMIT ||
        frames > PMEMD_FRAME_LIMIT - start) {
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
            "%s: StartFrame=" HEX ", Bytes=" HEX ", Lead=" HEX
            " is no range of frames after its lead and below the 52-bit limit; repair the description, or move it and "
            "its image out of the directory",
            path, start, bytes, record->lead);
        return NULL;
    }
    record->device = (FrameRange){ .start = start, .end = start + frames };
    return g_steal_pointer(&record);
}

char *file_record_format(const FileRecord *record) {
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *start = g_strdup_printf(HEX, record->device.start);
    g_autofree char *bytes = g_strdup_printf(HEX, frame_range_frames(record->device) << PMEMD_FRAME_SHIFT);
    g_autofree char *lead = g_strdup_printf(HEX, record->lead);

    g_key_file_set_string(file, GROUP, "Tag", record->tag);
    g_key_file_set_string(file, GROUP, "Raw", record->raw);
    g_key_file_set_string(file, GROUP, "StartFrame", start);
    g_key_file_set_string(file, GROUP, "Bytes", bytes);
    g_key_file_set_string(file, GROUP, "Lead", lead);
    g_key_file_set_string(file, GROUP, "Mode", record->mode);
    g_key_file_set_string(file, GROUP, "Name", record->name);
    return g_key_file_to_data(file, NULL, NULL);
}

FileRecord *file_record_read(int dirfd, const char *dir, const char *name, GError **error) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = NULL;

    int r = file_io_read(dirfd, name, FILE_RECORD_MAX, &text);
    if (r == -ENOENT)
        return NULL;
    if (r == -EBADMSG || r == -EFBIG) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                    "%s: is no text file of at most %" G_GUINT64_FORMAT " bytes; move it out of the directory", path,
                    FILE_RECORD_MAX);
        return NULL;
    }
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(-r), "%s: cannot read: %s", path, g_strerror(-r));
        return NULL;
    }
    return file_record_parse(text, path, error);
}

static bool visit_one(int dirfd, const char *dir, const char *name, FileRecordVisit visit, void *data, GError **error) {
    g_autoptr(GError) failure = NULL;
    g_autoptr(FileRecord) record = file_record_read(dirfd, dir, name, &failure);

    if (record)
        return visit(name, record, data, error);
    if (!failure)
        return true; /* removed since its name was read */
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

bool file_records_visit(int dirfd, const char *dir, FileRecordVisit visit, void *data, GError **error) {
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int errnum = d ? 0 : errno;
    bool ok = d != NULL;

    while (ok) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry) {
            errnum = errno;
            ok = errnum == 0;
            break;
        }
        if (entry->d_name[0] != '.' && g_str_has_suffix(entry->d_name, FILE_RECORD_SUFFIX))
            ok = visit_one(dirfd, dir, entry->d_name, visit, data, error);
    }
    if (errnum != 0)
        g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(errnum), "%s: cannot list: %s", dir, g_strerror(errnum));
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return ok;
}
