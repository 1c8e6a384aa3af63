/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-health.h"

#include "daemon/bad-frames.h"
#include "daemon/frame-set.h"
#include "daemon/number.h"
#include "proto/error.h"

#include <inttypes.h>
#include <string.h>

#define DIMM_PREFIX "dimm "

/* What is bad of one raw region. */
typedef struct {
    char *region;
    GArray *bad; /* NULL: nothing */
    bool all;
} BadRow;

/* One DIMM, and what lies on it. */
typedef struct {
    DimmHealth *dimm;
    char **regions;
} DimmRow;

struct FileHealth {
    GKeyFile *file;
    GPtrArray *bads;  /* BadRow * */
    GPtrArray *dimms; /* DimmRow *, as they are in the file */
};

static void bad_row_free(BadRow *row) {
    g_free(row->region);
    g_clear_pointer(&row->bad, g_array_unref);
    g_free(row);
}

static void dimm_row_free(DimmRow *row) {
    dimm_health_free(row->dimm);
    g_strfreev(row->regions);
    g_free(row);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DimmRow, dimm_row_free)

void file_health_free(FileHealth *health) {
    if (!health)
        return;
    g_key_file_unref(health->file);
    g_ptr_array_unref(health->bads);
    g_ptr_array_unref(health->dimms);
    g_free(health);
}

/* One group while it is read. */
typedef struct {
    GKeyFile *file;
    GPtrArray *regions;
    const char *path;
    const char *name;
} Group;

/* Says what is wrong with a value; always false. */
static bool refuse(const Group *g, const char *key, const char *value, const char *allowed, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [%s] %s=%s: must be %s", g->path, g->name, key,
                value, allowed);
    return false;
}

/* The words of a value; *ret_words = NULL when the key is not there. */
static bool group_words(const Group *g, const char *key, char ***ret_words, GError **error) {
    g_autofree char *value = g_key_file_get_string(g->file, g->name, key, NULL);
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    if (!value && g_key_file_has_key(g->file, g->name, key, NULL))
        return refuse(g, key, "", "text in UTF-8", error);
    g_auto(GStrv) parts = value ? g_strsplit_set(value, " \t", -1) : NULL;
    for (int i = 0; parts && parts[i]; i++)
        if (parts[i][0])
            g_strv_builder_add(words, parts[i]);
    *ret_words = value ? g_strv_builder_end(words) : NULL;
    return true;
}

/* "0x10" or "0x10+4". */
static bool frames_parse(const char *word, FrameRange *ret_frames) {
    const char *plus = strchr(word, '+');
    g_autofree char *first = plus ? g_strndup(word, (gsize) (plus - word)) : g_strdup(word);
    uint64_t start, count = 1;

    if (!number_parse(first, &start) || (plus && !number_parse(plus + 1, &count)) || count == 0 ||
        start >= PMEMD_FRAME_LIMIT || count > PMEMD_FRAME_LIMIT - start)
        return false;
    *ret_frames = (FrameRange){ start, start + count };
    return true;
}

static bool parse_region(const Group *g, FileHealth *health, GError **error) {
    const FileRegion *region = file_regions_find(g->regions, g->name);
    g_auto(BadFrames) bad = { 0 };
    g_auto(GStrv) words = NULL;

    if (!region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s]: is neither a raw region of regions.conf nor [dimm ID]", g->path, g->name);
        return false;
    }
    if (!file_regions_check_keys(g->file, g->path, g->name, "BadFrames", error) ||
        !group_words(g, "BadFrames", &words, error))
        return false;
    bad_frames_begin(&bad, region->range);
    for (int i = 0; words && words[i]; i++) {
        FrameRange frames;

        if (!frames_parse(words[i], &frames) || !frame_range_contains(region->range, frames)) {
            g_autofree char *allowed =
                g_strdup_printf("frames such as 0x480010 or 0x480010+16, all of them in 0x%" G_GINT64_MODIFIER
                                "x - 0x%" G_GINT64_MODIFIER "x",
                                region->range.start, region->range.end);
            return refuse(g, "BadFrames", words[i], allowed, error);
        }
        bad_frames_add(&bad, frames);
    }
    BadRow *row = g_new0(BadRow, 1);
    row->region = g_strdup(g->name);
    row->bad = bad_frames_end(&bad, &row->all);
    g_ptr_array_add(health->bads, row);
    return true;
}

/* *ret_value keeps its value when the key is not there. sign: a minus may stand before it. */
static bool group_number(const Group *g, const char *key, uint64_t most, bool sign, int64_t *ret_value,
                         GError **error) {
    g_autofree char *value = g_key_file_get_string(g->file, g->name, key, NULL);
    uint64_t number;

    if (!value)
        return !g_key_file_has_key(g->file, g->name, key, NULL) || refuse(g, key, "", "a number", error);
    bool minus = sign && value[0] == '-';
    if (!number_parse(value + (minus ? 1 : 0), &number) || number > most) {
        g_autofree char *allowed = g_strdup_printf("a number from %s%" PRIu64 " to %" PRIu64, sign ? "-" : "",
                                                   sign ? most : UINT64_C(0), most);
        return refuse(g, key, value, allowed, error);
    }
    *ret_value = minus ? -(int64_t) number : (int64_t) number;
    return true;
}

static bool parse_state(const Group *g, DimmHealth *dimm, GError **error) {
    g_autofree char *state = g_key_file_get_string(g->file, g->name, "State", NULL);
    g_auto(GStrv) flags = NULL;

    if (g_key_file_has_key(g->file, g->name, "State", NULL) && !(state && health_from_string(state, &dimm->state)))
        return refuse(g, "State", state ? state : "", "unknown, ok, non-critical, critical or fatal", error);
    if (!group_words(g, "Flags", &flags, error))
        return false;
    for (int i = 0; flags && flags[i]; i++) {
        DimmFlag flag;

        if (!dimm_flag_from_string(flags[i], &flag)) {
            g_autofree char *allowed = dimm_flags_to_string((1u << N_DIMM_FLAGS) - 1);
            return refuse(g, "Flags", flags[i], allowed, error);
        }
        dimm->flags |= flag;
    }
    return true;
}

static bool parse_dimm(const Group *g, FileHealth *health, GError **error) {
    g_autoptr(DimmRow) row = g_new0(DimmRow, 1);
    const char *id = g->name + strlen(DIMM_PREFIX);

    if (!pmemd_name_is_valid(id)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s]: the id of a DIMM is 1 to 63 of A-Z a-z 0-9 _ . - and starts with a letter or digit",
                    g->path, g->name);
        return false;
    }
    row->dimm = dimm_health_new(id, id);
    int64_t spares = DIMM_UNKNOWN, used = DIMM_UNKNOWN, celsius = DIMM_TEMPERATURE_UNKNOWN, shutdowns = -1;
    if (!file_regions_check_keys(g->file, g->path, g->name,
                                 "Regions, State, Flags, Spares, LifeUsed, Temperature, UnsafeShutdowns", error) ||
        !parse_state(g, row->dimm, error) || !group_words(g, "Regions", &row->regions, error) ||
        !group_number(g, "Spares", 100, false, &spares, error) ||
        !group_number(g, "LifeUsed", 255, false, &used, error) ||
        !group_number(g, "Temperature", 2047, true, &celsius, error) ||
        !group_number(g, "UnsafeShutdowns", UINT32_MAX, false, &shutdowns, error))
        return false;
    if (!row->regions)
        return refuse(g, "Regions", "", "there, the raw regions of regions.conf that lie on it", error);
    for (int i = 0; row->regions[i]; i++)
        if (!file_regions_find(g->regions, row->regions[i]))
            return refuse(g, "Regions", row->regions[i], "raw regions of regions.conf", error);
    row->dimm->spares = (int) spares;
    row->dimm->life_used = (int) used;
    row->dimm->temperature = (int) celsius;
    row->dimm->unsafe_shutdowns = shutdowns < 0 ? DIMM_SHUTDOWNS_UNKNOWN : (uint64_t) shutdowns;
    g_ptr_array_add(health->dimms, g_steal_pointer(&row));
    return true;
}

FileHealth *file_health_parse(const char *text, const char *path, GPtrArray *regions, GError **error) {
    g_autoptr(FileHealth) health = g_new0(FileHealth, 1);
    g_autoptr(GError) syntax = NULL;

    health->file = g_key_file_new();
    health->bads = g_ptr_array_new_with_free_func((GDestroyNotify) bad_row_free);
    health->dimms = g_ptr_array_new_with_free_func((GDestroyNotify) dimm_row_free);
    if (!g_key_file_load_from_data(health->file, text, (gsize) -1,
                                   G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS, &syntax)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: %s", path, syntax->message);
        return NULL;
    }

    g_auto(GStrv) names = g_key_file_get_groups(health->file, NULL);
    for (int i = 0; names[i]; i++) {
        const Group g = { .file = health->file, .regions = regions, .path = path, .name = names[i] };

        if (g_str_has_prefix(names[i], DIMM_PREFIX) ? !parse_dimm(&g, health, error) : !parse_region(&g, health, error))
            return NULL;
    }
    return g_steal_pointer(&health);
}

static const BadRow *find_row(const FileHealth *health, const char *region) {
    for (guint i = 0; health && i < health->bads->len; i++) {
        const BadRow *row = g_ptr_array_index(health->bads, i);

        if (strcmp(row->region, region) == 0)
            return row;
    }
    return NULL;
}

GArray *file_health_bad(const FileHealth *health, const char *region, bool *ret_all) {
    const BadRow *row = find_row(health, region);

    *ret_all = row && row->all;
    return row ? frame_set_cut(row->bad, (FrameRange){ 0, UINT64_MAX }) : NULL;
}

GPtrArray *file_health_dimms(const FileHealth *health, const char *region) {
    GPtrArray *dimms = NULL;

    for (guint i = 0; health && i < health->dimms->len; i++) {
        const DimmRow *row = g_ptr_array_index(health->dimms, i);

        if (!g_strv_contains((const char *const *) row->regions, region))
            continue;
        dimms = dimms ? dimms : dimm_healths_new();
        g_ptr_array_add(dimms, dimm_health_copy(row->dimm));
    }
    return dimms;
}

static void append_frames(GString *text, FrameRange frames) {
    g_string_append_printf(text, "%s0x%" G_GINT64_MODIFIER "x", text->len > 0 ? " " : "", frames.start);
    if (frame_range_frames(frames) > 1)
        g_string_append_printf(text, "+%" G_GUINT64_FORMAT, frame_range_frames(frames));
}

char *file_health_cleared(const FileHealth *health, const char *region, FrameRange frames) {
    const BadRow *row = find_row(health, region);
    g_autoptr(GString) left = g_string_new(NULL);

    for (guint i = 0; row && row->bad && i < row->bad->len; i++) {
        FrameRange bad = g_array_index(row->bad, FrameRange, i);
        FrameRange below = { bad.start, MIN(bad.end, frames.start) }, above = { MAX(bad.start, frames.end), bad.end };

        if (below.start < below.end)
            append_frames(left, below);
        if (above.start < above.end)
            append_frames(left, above);
    }
    if (!row || !row->bad)
        return g_key_file_to_data(health->file, NULL, NULL);

    /* The facts stay as they were read: so does the text that the next one is made from. */
    g_autofree char *was = g_key_file_get_value(health->file, region, "BadFrames", NULL);
    g_key_file_set_string(health->file, region, "BadFrames", left->str);
    char *text = g_key_file_to_data(health->file, NULL, NULL);
    g_key_file_set_value(health->file, region, "BadFrames", was);
    return text;
}
