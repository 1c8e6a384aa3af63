/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * client/pmemctl-print: tables, records and JSON from one table of columns.
 */
#include "client/pmemctl-print.h"

#include <string.h>

#include "proto/types.h"

/* What a printing function wrote. */
typedef struct {
    char *text;
    size_t size;
    FILE *out;
} Capture;

static FILE *capture_start(Capture *capture) {
    capture->out = open_memstream(&capture->text, &capture->size);
    g_assert_nonnull(capture->out);
    return capture->out;
}

static void capture_check(Capture *capture, const char *expected) {
    g_assert_cmpint(fclose(capture->out), ==, 0);
    g_assert_cmpstr(capture->text, ==, expected);
    free(capture->text);
}

/* Borrowed texts: not to be freed by pmemd_foreign_free. */
static void fill_foreign(PmemdForeign *foreign) {
    *foreign = (PmemdForeign){
        .name = (char *) "namespace0.0",
        .frames = { 0x480000, 0x4c0000 },
        .bytes = UINT64_C(1) << 30,
        .mode = (char *) "fsdax",
        .kind = (char *) "foreign",
        .raw = (char *) "region0",
    };
}

static void test_table(void) {
    static const char *const keys[] = { "kind", "uuid", "bytes", NULL };
    g_autoptr(GPtrArray) shown = columns_choose(columns_foreign(), NULL);
    g_autoptr(GPtrArray) chosen = columns_choose(columns_foreign(), keys);
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    PmemdForeign first, second;
    Capture capture;

    /* A foreign device has no uuid. */
    g_assert_cmpuint(chosen->len, ==, 2);
    print_table(capture_start(&capture), NULL, chosen, rows);
    capture_check(&capture, "");

    print_table(capture_start(&capture), "Foreign devices", shown, rows);
    capture_check(&capture, "Foreign devices: none\n");

    fill_foreign(&first);
    second = first;
    second.name = (char *) "evil\x1b[2J\nname";
    second.frames = (PmemdRange){ 0, 0 }; /* hidden */
    second.bytes = 4096;
    second.mode = (char *) "";
    g_ptr_array_add(rows, &first);
    g_ptr_array_add(rows, &second);
    print_table(capture_start(&capture), "Foreign devices", shown, rows);
    capture_check(&capture, "Foreign devices: 2\n"
                            "  NAME              START       END     SIZE  MODE   KIND     RAW REGION\n"
                            "  namespace0.0   0x480000  0x4c0000  1.0 GiB  fsdax  foreign  region0\n"
                            "  evil?[2J?name         -         -  4.0 KiB  -      foreign  region0\n");
    print_table(capture_start(&capture), NULL, chosen, rows);
    capture_check(&capture, "foreign  1.0 GiB\n"
                            "foreign  4.0 KiB\n");
}

static void test_record(void) {
    PmemdForeign foreign;
    Capture capture;

    fill_foreign(&foreign);
    print_record(capture_start(&capture), columns_foreign(), &foreign);
    capture_check(&capture, "      NAME: namespace0.0\n"
                            "     START: 0x480000\n"
                            "       END: 0x4c0000\n"
                            "      SIZE: 1.0 GiB\n"
                            "      MODE: fsdax\n"
                            "      KIND: foreign\n"
                            "RAW REGION: region0\n");
}

static void test_json(void) {
    JsonObject *document = json_document_new();
    PmemdForeign foreign;
    Capture capture;

    fill_foreign(&foreign);
    foreign.name = (char *) "a\"b\\c\n\xff";
    foreign.frames.end = PMEMD_FRAME_LIMIT;
    json_object_set_object_member(document, "foreign", json_from_row(columns_foreign(), &foreign));
    json_document_print(capture_start(&capture), document, false);
    capture_check(&capture,
                  "{\"version\":1,\"foreign\":{\"name\":\"a\\\"b\\\\c\\n\xef\xbf\xbd\",\"start_frame\":4718592,"
                  "\"end_frame\":1099511627776,\"bytes\":1073741824,\"mode\":\"fsdax\",\"kind\":\"foreign\","
                  "\"raw\":\"region0\"}}\n");
}

/* What the caller may not see is a dash, and never a number that looks like one. */
static void test_hidden(void) {
    PmemdRegion region = { .path = (char *) "", .kind = (char *) "data", .owner_uid = UINT32_MAX };
    PmemdForeign foreign;

    fill_foreign(&foreign);
    foreign.frames = (PmemdRange){ 0, 0 };
    foreign.bytes = 0;
    g_autofree char *size = print_field(columns_foreign(), "bytes", &foreign);
    g_assert_cmpstr(size, ==, "-");
    g_autofree char *hidden = print_field(columns_region(&region), "owner_uid", &region);
    g_assert_cmpstr(hidden, ==, "-");
    region.owner_uid = 0;
    g_autofree char *root = print_field(columns_region(&region), "owner_uid", &region);
    g_assert_cmpstr(root, ==, "0");
}

static void check_keys(const Column *columns, const void *row, const char *with, const char *without) {
    g_autofree char *text = print_field(columns, with, row);
    g_assert_nonnull(text);
    if (without)
        g_assert_null(print_field(columns, without, row));
}

/* Each kind shows the fields it has, and not those of the other. */
static void test_kinds(void) {
    PmemdRegion region = { .path = (char *) "", .kind = (char *) "mgmt", .node = -1 };
    PmemdPlan plan = { .raw = (char *) "", .pool = (char *) "" };

    check_keys(columns_region(&region), &region, "used_frames", "extent_start");
    region.kind = (char *) "data";
    check_keys(columns_region(&region), &region, "extent_start", "used_frames");
    check_keys(columns_plan(true), &plan, "extent_start", NULL);
    check_keys(columns_plan(false), &plan, "usable_bytes", "extent_start");

    g_autofree char *node = print_field(columns_region(&region), "node", &region);
    g_assert_cmpstr(node, ==, "-");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/print/table", test_table);
    g_test_add_func("/print/record", test_record);
    g_test_add_func("/print/json", test_json);
    g_test_add_func("/print/hidden", test_hidden);
    g_test_add_func("/print/kinds", test_kinds);
    return g_test_run();
}
