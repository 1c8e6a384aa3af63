/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The file of export: the first version is read for ever and written as it was; what is wrong, or meant to harm, is refused
 * with its place.
 */
#include "client/backup.h"

#include <string.h>

#include "client/parse.h"

static char *golden_text(void) {
    g_autofree char *path = g_build_filename(g_getenv("PMEMD_SOURCE_ROOT"), "tests", "golden", "export-1.json", NULL);
    GError *error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static Backup *parse(const char *text) {
    GError *error = NULL;
    Backup *backup = backup_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    return backup;
}

static void test_golden(void) {
    g_autofree char *text = golden_text();
    g_autoptr(Backup) backup = parse(text);

    g_assert_cmpstr(backup->machine_id, ==, "0123456789abcdef0123456789abcdef");
    g_assert_cmpstr(backup->pmemd, ==, "0.1.0");
    g_assert_cmpuint(backup->raws->len, ==, 2);
    const BackupRaw *raw = backup->raws->pdata[0];
    g_assert_cmpstr(raw->id, ==, "region0");
    g_assert_cmpstr(raw->cookie, ==, "11111111-2222-3333-4444-555555555555");
    g_assert_cmpuint(raw->frames.start, ==, 0x100000);
    g_assert_cmpuint(raw->frames.end, ==, 0x200000);
    g_assert_cmpint(raw->node, ==, 0);
    raw = backup->raws->pdata[1];
    g_assert_cmpstr(raw->cookie, ==, "");
    g_assert_cmpint(raw->node, ==, -1);

    g_assert_cmpuint(backup->pools->len, ==, 2);
    const BackupPool *pool = backup->pools->pdata[0];
    g_assert_cmpstr(pool->uuid, ==, "d777e5e1-c46f-4723-8341-7164f97db28f");
    g_assert_cmpstr(pool->name, ==, "pool0");
    g_assert_cmpstr(pool->profile, ==, "xen");
    g_assert_cmpuint(pool->max_regions, ==, 1024);
    g_assert_cmpuint(pool->frames.end, ==, 0x110000);
    g_assert_cmpuint(pool->created_usec, ==, 1795359011805101);
    g_assert_cmpuint(pool->data->len, ==, 2);
    const BackupData *data = pool->data->pdata[0];
    g_assert_cmpstr(data->name, ==, "guest0");
    g_assert_cmpuint(data->frames.start, ==, 0x110000);
    g_assert_cmpuint(data->extent.start, ==, 1050000);
    g_assert_cmpuint(data->extent.end, ==, 1050040);
    g_assert_cmpuint(data->owner_uid, ==, 1000);
    g_assert_cmpstr(data->owner, ==, "alice");
    g_assert_true(backup_find_raw(backup, data->frames) == backup->raws->pdata[0]);
    g_assert_null(backup_find_raw(backup, (PmemdRange){ 0x1fffff, 0x200001 }));
    g_assert_cmpstr(((const BackupPool *) backup->pools->pdata[1])->profile, ==, "none");
}

/* What is written is what was, to the letter. */
static void test_written(void) {
    g_autofree char *text = golden_text();
    g_autoptr(Backup) backup = parse(text);
    g_autofree char *again = backup_format(backup);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1), others = g_strsplit(again, "\n", -1);

    /* An empty array is drawn in another way by each json-glib. */
    for (size_t i = 0; lines[i] && !strstr(lines[i], "\"data\" : ["); i++)
        g_assert_cmpstr(lines[i], ==, others[i]);
    g_autoptr(Backup) twice = parse(again);
    g_autofree char *third = backup_format(twice);
    g_assert_cmpstr(again, ==, third);
}

/* The golden text with one thing replaced. Free: g_free. */
static char *with(const char *from, const char *to) {
    g_autofree char *text = golden_text();
    GString *changed = g_string_new(text);

    g_assert_cmpuint(g_string_replace(changed, from, to, 1), ==, 1);
    return g_string_free(changed, FALSE);
}

static void check_refused(const char *text, size_t length, const char *says) {
    g_autoptr(GError) error = NULL;

    g_assert_null(backup_parse(text, length, &error));
    g_assert_error(error, PARSE_ERROR, PARSE_ERROR_USAGE);
    if (!strstr(error->message, says))
        g_error("'%s' is not in '%s'", says, error->message);
}

static void test_later(void) {
    g_autofree char *text = with("\"machine_id\"", "\"later\" : [ { \"x\" : 1.5 } ],\n    \"machine_id\"");
    g_autoptr(Backup) backup = parse(text);
    g_autofree char *leased = with("\"extent_start\"", "\"leases\" : [ {} ],\n \"extent_start\"");
    g_autoptr(Backup) other = parse(leased);

    g_assert_cmpuint(backup->pools->len, ==, 2);
    g_assert_cmpuint(other->pools->len, ==, 2);
}

static void test_wrong(void) {
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        { "\"version\" : 1", "\"version\" : 2", "is of version 2, this pmemctl reads version 1" },
        { "\"version\" : 1", "\"version\" : \"1\"", "it has \"version\" that is no whole number" },
        { "\"version\" : 1", "\"version\" : 1.0", "\"version\" that is no whole number" },
        { "\"version\" : 1,", "", "it has no \"version\"" },
        { "\"export\" : {", "\"exports\" : {", "it has no \"export\"" },
        { "0123456789abcdef0123456789abcdef", "0123", "export has \"machine_id\"" },
        { "\"raw\" : [", "\"raw\" : [ 7,", "raw[0] is no object" },
        { "\"id\" : \"region1\"", "\"id\" : \"region0\"", "the raw region 'region0' twice" },
        { "\"id\" : \"region1\"", "\"id\" : \"\"", "a raw region without id" },
        { "\"cookie\" : \"\"", "\"cookie\" : \"x\"", "raw[1] has \"cookie\"" },
        { "\"node\" : -1", "\"node\" : -2", "raw[1] has \"node\" -2" },
        { "\"end_frame\" : 2097152", "\"end_frame\" : 1048576", "raw[0] has \"start_frame\" that is not below" },
        { "\"end_frame\" : 2097152", "\"end_frame\" : 9223372036854775807", "raw[0] has \"end_frame\"" },
        { "\"end_frame\" : 2097152", "\"end_frame\" : -1", "raw[0] has \"end_frame\" -1" },
        { "d777e5e1-c46f-4723-8341-7164f97db28f", "d777e5e1", "pools[0] has \"uuid\" that is none" },
        { "717125e8-a342-4991-b230-494e86cce561", "49fa31c5-9068-4ff4-b5e6-34be18e67248", "twice" },
        { "\"name\" : \"pool0\"", "\"name\" : \"../x\"", "pools[0] has \"name\"" },
        { "\"name\" : \"guest0\"", "\"name\" : \"-x\"", "pools[0].data[0] has \"name\"" },
        { "\"name\" : \"guest0\"", "\"name\" : \"\\u001b[2J\"", "control character" },
        { "\"name\" : \"guest0\"", "\"name\" : null", "pools[0].data[0] has \"name\" that is no" },
        { "\"owner\" : \"alice\"", "\"owner\" : \"a\\nb\"", "pools[0].data[0] has \"owner\" with a control character" },
        { "\"profile\" : \"xen\"", "\"profile\" : \"kvm\"", "pools[0] has \"profile\" 'kvm'" },
        { "\"max_regions\" : 1024", "\"max_regions\" : 0", "pools[0] has \"max_regions\" 0" },
        { "\"max_regions\" : 1024", "\"max_regions\" : 1048577", "pools[0] has \"max_regions\"" },
        { "\"owner_uid\" : 1000", "\"owner_uid\" : 4294967295", "pools[0].data[0] has \"owner_uid\"" },
        { "\"start_frame\" : 1114112", "\"start_frame\" : 1114111", "two regions at frame 0x10ffff" },
        { "\"end_frame\" : 2105344", "\"end_frame\" : 4105344", "lies in none of its raw regions" },
        { "\"extent_start\" : 1050040", "\"extent_start\" : 1050039", "two management extents at frame 0x1005b7" },
        { "\"extent_end\" : 1050120", "\"extent_end\" : 1114113", "its extent outside of its pool" },
        { "\"data\" : [", "\"data\" : {}, \"dat\" : [", "pools[0] has \"data\" that is no array" },
        { "\"created_usec\" : 1795359011805101,", "", "pools[0] has no \"created_usec\"" },
        { "\"name\" : \"pool0\"", "\"name\" : 'pool0'", "is not JSON" },
        { "\"version\"", "/* \" */ \"version\"", "is not JSON" },
        { "\"version\" : 1,", "\"version\" : 1", "is not JSON" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = with(rows[i].from, rows[i].to);
        check_refused(text, strlen(text), rows[i].says);
    }
}

static void test_hostile(void) {
    GString *deep = g_string_new(NULL);

    for (int i = 0; i < 1000000; i++)
        g_string_append_c(deep, '[');
    check_refused(deep->str, deep->len, "nested deeper than 32 levels");
    g_string_free(deep, TRUE);
    check_refused("", 0, "is no JSON object");
    check_refused("[]", 2, "is no JSON object");
    check_refused("{\"version\":1}", 13, "has no \"export\"");
    check_refused("{\"a\":\"\0\"}", 9, "it is not");
    check_refused("\xff\xfe", 2, "is not UTF-8");
    g_autofree char *large = g_malloc0(BACKUP_MAX_BYTES + 1);
    check_refused(large, BACKUP_MAX_BYTES + 1, "more than 67108864 bytes");

    GString *many = g_string_new("{\"version\":1,\"export\":{\"raw\":[");
    for (guint i = 0; i <= BACKUP_MAX_RAWS; i++)
        g_string_append(many, i == 0 ? "{}" : ",{}");
    g_string_append(many, "],\"pools\":[]}}");
    check_refused(many->str, many->len, "more than 4096 entries of \"raw\"");
    g_string_free(many, TRUE);
}

/* Every text that is cut short, and many that are changed: refused, or read; never more. */
static void test_cut(void) {
    g_autofree char *text = golden_text();
    size_t length = strlen(text);
    unsigned read = 0;

    for (size_t i = 0; i + 3 < length; i++)
        check_refused(text, i, "the export cannot be used: ");
    for (size_t i = 0; i < length; i++) {
        g_autofree char *changed = g_memdup2(text, length + 1);
        g_autoptr(GError) error = NULL;

        changed[i] = "0\"{[-\\9"[i % 7];
        g_autoptr(Backup) backup = backup_parse(changed, length, &error);
        read += backup != NULL;
        g_assert_true((backup != NULL) == (error == NULL));
    }
    g_assert_cmpuint(read, >, 0);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backup/golden", test_golden);
    g_test_add_func("/backup/written", test_written);
    g_test_add_func("/backup/later", test_later);
    g_test_add_func("/backup/wrong", test_wrong);
    g_test_add_func("/backup/hostile", test_hostile);
    g_test_add_func("/backup/cut", test_cut);
    return g_test_run();
}
