/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of daemon/file-health: each key with good and bad values, and what is left when frames are cleared. */
#include "daemon/file-health.h"

#include "daemon/bad-frames.h"
#include "proto/error.h"

#include <string.h>

#define REGIONS                                                                                                        \
    "[left]\nStartFrame=0x1000\nBytes=2M\nAlignment=4K\n[right]\nStartFrame=0x2000\nBytes=2M\nAlignment=4K\n"

static FileHealth *parse(const char *text, GError **error) {
    g_autoptr(GPtrArray) regions = file_regions_parse(REGIONS, "regions.conf", NULL);

    return file_health_parse(text, "health.conf", regions, error);
}

static char *bad_of(const FileHealth *health, const char *region) {
    bool all;
    g_autoptr(GArray) bad = file_health_bad(health, region, &all);
    g_autoptr(GString) text = g_string_new(all ? "all " : "");

    for (guint i = 0; bad && i < bad->len; i++) {
        FrameRange r = g_array_index(bad, FrameRange, i);

        g_string_append_printf(text, "%x-%x ", (unsigned) r.start, (unsigned) r.end);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_bad_frames(void) {
    static const struct {
        const char *value, *list;
    } rows[] = {
        { "", "" },
        { "0x1000", "1000-1001 " },
        { "4096", "1000-1001 " },
        { "0x1010+4 0x1001 0x1014", "1001-1002 1010-1015 " },
        { "\t0x11ff  0x1000+2 ", "1000-1002 11ff-1200 " },
        { "0x1000+512", "1000-1200 " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("[left]\nBadFrames=%s\n", rows[i].value);
        g_autoptr(FileHealth) health = parse(text, &error);

        g_assert_no_error(error);
        g_autofree char *list = bad_of(health, "left"), *other = bad_of(health, "right");
        g_assert_cmpstr(list, ==, rows[i].list);
        g_assert_cmpstr(other, ==, "");
        g_assert_null(file_health_dimms(health, "left"));
    }
    bool all = true;
    g_assert_null(file_health_bad(NULL, "left", &all)); /* there is no file */
    g_assert_false(all);
    g_assert_null(file_health_dimms(NULL, "left"));
}

static void test_dimms(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(FileHealth) health =
        parse("[dimm a]\nRegions=left right\nState=ok\nSpares=0\nLifeUsed=120\nTemperature=-7\nUnsafeShutdowns=2\n"
              "[dimm b]\nRegions=right\nFlags=locked smart-event\n[dimm c]\nRegions=\n",
              &error);

    g_assert_no_error(error);
    g_autoptr(GPtrArray) left = file_health_dimms(health, "left"), right = file_health_dimms(health, "right");
    g_assert_cmpuint(left->len, ==, 1);
    g_assert_cmpuint(right->len, ==, 2);
    const DimmHealth *a = g_ptr_array_index(left, 0), *b = g_ptr_array_index(right, 1);
    g_assert_true(dimm_health_equal(a, g_ptr_array_index(right, 0)));
    g_assert_cmpstr(a->id, ==, "a");
    g_assert_cmpint(a->state, ==, HEALTH_OK);
    g_assert_cmpuint(a->flags, ==, 0);
    g_assert_cmpint(a->spares, ==, 0);
    g_assert_cmpint(a->life_used, ==, 120);
    g_assert_cmpint(a->temperature, ==, -7);
    g_assert_cmpuint(a->unsafe_shutdowns, ==, 2);
    g_assert_cmpint(b->state, ==, HEALTH_UNKNOWN);
    g_assert_cmpuint(b->flags, ==, DIMM_LOCKED | DIMM_SMART_EVENT);
    g_assert_cmpint(b->spares, ==, DIMM_UNKNOWN);
    g_assert_cmpint(b->life_used, ==, DIMM_UNKNOWN);
    g_assert_cmpint(b->temperature, ==, DIMM_TEMPERATURE_UNKNOWN);
    g_assert_cmpuint(b->unsafe_shutdowns, ==, DIMM_SHUTDOWNS_UNKNOWN);
}

static void test_refused(void) {
    static const struct {
        const char *text;
        const char *says[2];
    } rows[] = {
        { "BadFrames=1\n", { "health.conf" } },
        { "[middle]\n", { "[middle]", "regions.conf" } },
        { "[left]\nBad=1\n", { "[left] Bad", "BadFrames" } },
        { "[left]\nBadFrames=0x1000 all\n", { "BadFrames=all", "0x1000 - 0x1200" } },
        { "[left]\nBadFrames=0xfff\n", { "BadFrames=0xfff" } },
        { "[left]\nBadFrames=0x1200\n", { "BadFrames=0x1200" } },
        { "[left]\nBadFrames=0x11ff+2\n", { "BadFrames=0x11ff+2" } },
        { "[left]\nBadFrames=0x1000+0\n", { "BadFrames=0x1000+0" } },
        { "[left]\nBadFrames=0x1000+\n", { "BadFrames=0x1000+" } },
        { "[left]\nBadFrames=+1\n", { "BadFrames=+1" } },
        { "[left]\nBadFrames=0x1000+-1\n", { "BadFrames=0x1000+-1" } },
        { "[left]\nBadFrames=0x1000+18446744073709551615\n", { "BadFrames=0x1000+1844" } },
        { "[left]\nBadFrames=18446744073709551615+2\n", { "BadFrames=1844" } },
        { "[left]\nBadFrames=\xff\n", { "BadFrames=" } },
        { "[dimm ]\nRegions=left\n", { "[dimm ]", "id of a DIMM" } },
        { "[dimm a b]\nRegions=left\n", { "[dimm a b]" } },
        { "[dimm a]\n", { "[dimm a]", "Regions" } },
        { "[dimm a]\nRegions=left middle\n", { "Regions=middle" } },
        { "[dimm a]\nRegions=left\nBadFrames=1\n", { "BadFrames", "Regions, State" } },
        { "[dimm a]\nRegions=left\nState=\n", { "State=" } },
        { "[dimm a]\nRegions=left\nState=OK\n", { "State=OK", "non-critical" } },
        { "[dimm a]\nRegions=left\nFlags=locked hot\n", { "Flags=hot", "smart-event" } },
        { "[dimm a]\nRegions=left\nSpares=101\n", { "Spares=101", "100" } },
        { "[dimm a]\nRegions=left\nSpares=-1\n", { "Spares=-1" } },
        { "[dimm a]\nRegions=left\nLifeUsed=256\n", { "LifeUsed=256" } },
        { "[dimm a]\nRegions=left\nTemperature=-\n", { "Temperature=-" } },
        { "[dimm a]\nRegions=left\nTemperature=--1\n", { "Temperature=--1" } },
        { "[dimm a]\nRegions=left\nTemperature=-2048\n", { "Temperature=-2048", "-2047" } },
        { "[dimm a]\nRegions=left\nUnsafeShutdowns=4294967296\n", { "UnsafeShutdowns=4294967296" } },
        { "[dimm a]\nRegions=left\nUnsafeShutdowns=\n", { "UnsafeShutdowns=" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("row %zu", i);
        g_assert_null(parse(rows[i].text, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, "health.conf"));
        for (int k = 0; k < 2 && rows[i].says[k]; k++)
            if (!strstr(error->message, rows[i].says[k]))
                g_error("\"%s\" does not say \"%s\"", error->message, rows[i].says[k]);
    }
}

static void test_cleared(void) {
    static const struct {
        uint64_t start, end;
        const char *left;
    } rows[] = {
        { 0x1000, 0x1200, "" },
        { 0x1010, 0x1014, "1001-1002 1020-1028 " },
        { 0x1011, 0x1013, "1001-1002 1010-1011 1013-1014 1020-1028 " },
        { 0x1013, 0x1021, "1001-1002 1010-1013 1021-1028 " },
        { 0x1014, 0x1020, "1001-1002 1010-1014 1020-1028 " },
        { 0x1010, 0x1010, "1001-1002 1010-1014 1020-1028 " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(FileHealth) before = parse("# why\n[left]\n# these\nBadFrames=0x1010+4 0x1001 0x1020+8\n"
                                             "[right]\nBadFrames=0x2001\n[dimm a]\nRegions=left\n",
                                             NULL);
        g_autofree char *text = file_health_cleared(before, "left", (FrameRange){ rows[i].start, rows[i].end });
        g_autoptr(GError) error = NULL;
        g_autoptr(FileHealth) after = parse(text, &error);

        g_assert_no_error(error);
        g_autofree char *left = bad_of(after, "left"), *right = bad_of(after, "right");
        g_assert_cmpstr(left, ==, rows[i].left);
        g_assert_cmpstr(right, ==, "2001-2002 ");
        g_autoptr(GPtrArray) dimms = file_health_dimms(after, "left");
        g_assert_cmpuint(dimms->len, ==, 1);
        g_assert_nonnull(strstr(text, "# why"));
        g_assert_nonnull(strstr(text, "# these"));
        /* What was read stays as it is: what one clear leaves says nothing to the next. */
        g_autofree char *other = file_health_cleared(before, "right", (FrameRange){ 0x2001, 0x2002 });
        g_autoptr(FileHealth) second = parse(other, &error);
        g_assert_no_error(error);
        g_autofree char *whole = bad_of(second, "left"), *none = bad_of(second, "right");
        g_assert_cmpstr(whole, ==, "1001-1002 1010-1014 1020-1028 ");
        g_assert_cmpstr(none, ==, "");
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file-health/bad-frames", test_bad_frames);
    g_test_add_func("/file-health/dimms", test_dimms);
    g_test_add_func("/file-health/refused", test_refused);
    g_test_add_func("/file-health/cleared", test_cleared);
    return g_test_run();
}
