/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the text of regions.conf. Checked: it is refused with an error that names the file, or gives raw
 * regions by address, below the limit, disjoint, with steps and lengths that fit each other; no line of an accepted
 * text was lost; and the regions written again give the same ones.
 */
#include "daemon/file-regions.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

static void check_region(const FileRegion *r, const FileRegion *before) {
    uint64_t bytes = frame_range_frames(r->range) * PMEMD_FRAME_SIZE;

    g_assert_true(pmemd_name_is_valid(r->name));
    g_assert_cmpuint(r->range.start, <, r->range.end);
    g_assert_cmpuint(r->range.end, <=, PMEMD_FRAME_LIMIT);
    g_assert_cmpuint(r->step, >=, PMEMD_FRAME_SIZE);
    g_assert_cmpuint(r->step % PMEMD_FRAME_SIZE, ==, 0);
    g_assert_cmpuint(bytes % r->step, ==, 0);
    g_assert_cmpuint(r->minimum % r->step, ==, 0);
    g_assert_cmpuint(r->minimum, >, r->lead * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(bytes, >=, r->minimum);
    g_assert_true(r->node >= 0 && r->local_node >= 0);
    g_assert_true(r->medium >= 0 && r->medium < N_FILE_REGION_MEDIA);
    if (before)
        g_assert_cmpuint(before->range.end, <=, r->range.start);
}

/* A line of an accepted text is blank, a comment, a group or a key, and each of those counts. */
static void check_nothing_lost(const char *text, guint n_regions) {
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint said = 0, read = 0;

    g_assert_true(g_key_file_load_from_data(file, text, (gsize) -1, G_KEY_FILE_KEEP_TRANSLATIONS, NULL));
    for (guint i = 0; lines[i]; i++) {
        const char *line = lines[i];

        while (g_ascii_isspace(*line))
            line++;
        said += *line != '\0' && *line != '#';
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (guint i = 0; groups[i]; i++) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, groups[i], NULL, NULL);

        read += 1 + g_strv_length(keys);
    }
    g_assert_cmpuint(g_strv_length(groups), ==, n_regions);
    g_assert_cmpuint(read, ==, said);
}

static char *write_again(GPtrArray *regions) {
    static const char *const media[] = { "auto", "mapped", "file" };
    GString *text = g_string_new("# again\n\n");

    for (guint i = regions->len; i > 0; i--) {
        const FileRegion *r = regions->pdata[i - 1];

        g_string_append_printf(text,
                               "[%s]\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=%" G_GUINT64_FORMAT
                               "\nNode=%d\nLocalNode=%d\nAlignment=%" G_GUINT64_FORMAT "\nLead=%" G_GUINT64_FORMAT
                               "\nMedium=%s\n",
                               r->name, r->range.start, frame_range_frames(r->range) * PMEMD_FRAME_SIZE, r->node,
                               r->local_node, r->step, r->lead * PMEMD_FRAME_SIZE, media[r->medium]);
    }
    return g_string_free(text, FALSE);
}

static void check_same(const FileRegion *a, const FileRegion *b) {
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_true(sd_id128_equal(a->cookie, b->cookie));
    g_assert_true(frame_range_equal(a->range, b->range));
    g_assert_true(a->node == b->node && a->local_node == b->local_node && a->medium == b->medium);
    g_assert_true(a->step == b->step && a->lead == b->lead && a->minimum == b->minimum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autofree char *text = g_strndup((const char *) data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) regions = file_regions_parse(text, "regions.conf", &error);

    if (!regions) {
        g_assert_true(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT));
        g_assert_true(g_str_has_prefix(error->message, "regions.conf: "));
        return 0;
    }
    g_assert_cmpuint(regions->len, >, 0);
    for (guint i = 0; i < regions->len; i++) {
        const FileRegion *r = regions->pdata[i];

        check_region(r, i > 0 ? regions->pdata[i - 1] : NULL);
        g_assert_true(file_regions_find(regions, r->name) == r);
    }
    check_nothing_lost(text, regions->len);

    g_autofree char *written = write_again(regions);
    g_autoptr(GPtrArray) again = file_regions_parse(written, "regions.conf", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->len, ==, regions->len);
    for (guint i = 0; i < regions->len; i++)
        check_same(regions->pdata[i], again->pdata[i]);
    return 0;
}
