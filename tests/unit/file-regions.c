/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of daemon/file-regions: each key with good and bad values; every refusal names its group, key and value. */
#include "daemon/file-regions.h"

#include "proto/error.h"

#include <string.h>

static void test_good(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) regions = file_regions_parse("# two\n"
                                                      "[b]\nStartFrame=0x480000\nBytes=1G\nNode=3\n"
                                                      "[a]\nStartFrame=256\nBytes=0x200000\nNode=1\nLocalNode=0\n"
                                                      "Alignment=4K\nLead=8192\nMedium=file\n",
                                                      "conf", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(regions->len, ==, 2);
    const FileRegion *a = regions->pdata[0], *b = regions->pdata[1];
    g_assert_cmpstr(a->name, ==, "a");
    g_assert_true(frame_range_equal(a->range, (FrameRange){ 256, 256 + 512 }));
    g_assert_cmpint(a->node, ==, 1);
    g_assert_cmpint(a->local_node, ==, 0);
    g_assert_cmpuint(a->step, ==, 4096);
    g_assert_cmpuint(a->lead, ==, 2);
    g_assert_cmpuint(a->minimum, ==, 3 * 4096);
    g_assert_cmpint(a->medium, ==, FILE_REGION_MEDIUM_FILE);
    g_assert_true(frame_range_equal(b->range, (FrameRange){ 0x480000, 0x4c0000 }));
    g_assert_cmpint(b->local_node, ==, 3);
    g_assert_cmpuint(b->step, ==, 2u << 20);
    g_assert_cmpuint(b->lead, ==, 0);
    g_assert_cmpuint(b->minimum, ==, 2u << 20);
    g_assert_cmpint(b->medium, ==, FILE_REGION_MEDIUM_AUTO);
    g_assert_true(file_regions_find(regions, "b") == b);
    g_assert_null(file_regions_find(regions, "c"));
}

/* The whole address space, to its last frame; and neighbours that touch. */
static void test_extremes(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) whole = file_regions_parse("[a]\nStartFrame=0\nBytes=4096T\n", "conf", &error);

    g_assert_no_error(error);
    g_assert_cmphex(((FileRegion *) whole->pdata[0])->range.end, ==, PMEMD_FRAME_LIMIT);
    g_autoptr(GPtrArray) touch = file_regions_parse("[a]\nStartFrame=0xffffffff00\nBytes=1M\nAlignment=4K\n"
                                                    "[b]\nStartFrame=0xfffffffe00\nBytes=1M\nAlignment=1M\n",
                                                    "conf", &error);
    g_assert_no_error(error);
    g_assert_cmphex(((FileRegion *) touch->pdata[1])->range.end, ==, PMEMD_FRAME_LIMIT);
}

static void test_bad(void) {
    static const struct {
        const char *text;
        const char *says[3];
    } rows[] = {
        { "", { "conf", "no region" } },
        { "StartFrame=1\n", { "conf" } },
        { "[a]\nBytes=2M\n", { "[a]", "StartFrame" } },
        { "[a]\nStartFrame=0x100\n", { "[a]", "Bytes" } },
        { "[a]\nStartFrame=-1\nBytes=2M\n", { "[a]", "StartFrame=-1" } },
        { "[a]\nStartFrame=1K\nBytes=2M\n", { "[a]", "StartFrame=1K" } },
        { "[a]\nStartFrame=0x\nBytes=2M\n", { "[a]", "StartFrame=0x" } },
        { "[a]\nStartFrame=0x10000000000\nBytes=2M\n", { "[a]", "StartFrame=0x10000000000" } },
        { "[a]\nStartFrame=0xffffffffffffffff\nBytes=2M\n", { "[a]", "StartFrame=0xffffffffffffffff" } },
        { "[a]\nStartFrame=1\nBytes=\n", { "[a]", "Bytes=" } },
        { "[a]\nStartFrame=1\nBytes=0\n", { "[a]", "Bytes=0" } },
        { "[a]\nStartFrame=1\nBytes=2.5G\n", { "[a]", "Bytes=2.5G" } },
        { "[a]\nStartFrame=1\nBytes=2X\n", { "[a]", "Bytes=2X" } },
        { "[a]\nStartFrame=1\nBytes=4097\n", { "[a]", "Bytes=4097", "4096" } },
        { "[a]\nStartFrame=1\nBytes=18014398509481984T\n", { "[a]", "Bytes=18014398509481984T" } },
        { "[a]\nStartFrame=0\nBytes=8192T\n", { "[a]", "Bytes=8192T" } },
        { "[a]\nStartFrame=1\nBytes=4096T\n", { "[a]", "Bytes=4503599627370496", "52-bit" } },
        { "[a]\nStartFrame=0xffffffffff\nBytes=2M\n", { "[a]", "Bytes=2097152", "at most 4096 bytes" } },
        { "[a]\nStartFrame=1\nBytes=3M\n", { "[a]", "Bytes=3145728", "Alignment=2097152" } },
        { "[a]\nStartFrame=1\nBytes=4M\nAlignment=2K\n", { "[a]", "Alignment=2K" } },
        { "[a]\nStartFrame=1\nBytes=4M\nAlignment=0\n", { "[a]", "Alignment=0" } },
        { "[a]\nStartFrame=1\nBytes=4M\nAlignment=6000\n", { "[a]", "Alignment=6000" } },
        { "[a]\nStartFrame=1\nBytes=4M\nAlignment=4096T\n", { "[a]", "Bytes=4194304" } },
        { "[a]\nStartFrame=1\nBytes=4M\nLead=1\n", { "[a]", "Lead=1", "4096" } },
        { "[a]\nStartFrame=1\nBytes=4M\nLead=4M\n", { "[a]", "Bytes=4194304", "Lead=4194304" } },
        { "[a]\nStartFrame=1\nBytes=4M\nLead=4096T\n", { "[a]", "Bytes=4194304" } },
        { "[a]\nStartFrame=1\nBytes=4M\nNode=-1\n", { "[a]", "Node=-1" } },
        { "[a]\nStartFrame=1\nBytes=4M\nNode=65536\n", { "[a]", "Node=65536", "65535" } },
        { "[a]\nStartFrame=1\nBytes=4M\nLocalNode=x\n", { "[a]", "LocalNode=x" } },
        { "[a]\nStartFrame=1\nBytes=4M\nMedium=dax\n", { "[a]", "Medium=dax", "mapped" } },
        { "[a]\nStartFrame=1\nBytes=4M\nMedia=file\n", { "[a]", "Media", "Medium" } },
        { "[a]\nStartFrame=1\nBytes=4M\nNode[de]=1\n", { "[a]", "Node[de]" } },
        { "[a]\nStartFrame=1\nBytes=4M\nBytes=8M\n", { "[a] Bytes", "line 4", "twice" } },
        { "[a]\nStartFrame=1\nBytes=4M\n[a]\nNode=1\n", { "[a]", "line 4", "twice" } },
        { "[a b]\nStartFrame=1\nBytes=4M\n", { "[a b]", "name" } },
        { "[-a]\nStartFrame=1\nBytes=4M\n", { "[-a]", "name" } },
        { "[a]\nStartFrame=0x200\nBytes=4M\n[b]\nStartFrame=0x5ff\nBytes=2M\n", { "[b]", "[a]", "0x5ff" } },
        { "[a]\nStartFrame=0x200\nBytes=2M\n[b]\nStartFrame=0\nBytes=16M\n", { "[a]", "[b]", "0x200" } },
        { "[a]\nStartFrame=0x200\nBytes=2M\n[b]\nStartFrame=0x200\nBytes=2M\n", { "overlap" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(file_regions_parse(rows[i].text, "conf", &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_test_message("%s", error->message);
        g_assert_true(g_str_has_prefix(error->message, "conf: "));
        for (size_t k = 0; k < G_N_ELEMENTS(rows[i].says) && rows[i].says[k]; k++)
            g_assert_nonnull(strstr(error->message, rows[i].says[k]));
    }
}

/* A region is the same after a change of anything but its name and place. */
static void test_cookie(void) {
    static const struct {
        const char *text;
        bool same;
    } rows[] = {
        { "[a]\nStartFrame=0x200\nBytes=8M\nNode=2\nAlignment=4K\nMedium=file\n", true },
        { "[b]\nStartFrame=0x200\nBytes=4M\n", false },
        { "[a]\nStartFrame=0x400\nBytes=4M\n", false },
    };
    g_autoptr(GPtrArray) first = file_regions_parse("[a]\nStartFrame=512\nBytes=4M\n", "conf", NULL);
    sd_id128_t cookie = ((FileRegion *) first->pdata[0])->cookie;

    g_assert_false(sd_id128_is_null(cookie));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) other = file_regions_parse(rows[i].text, "conf", NULL);
        g_assert_cmpint(!!sd_id128_equal(((FileRegion *) other->pdata[0])->cookie, cookie), ==, rows[i].same);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file-regions/good", test_good);
    g_test_add_func("/file-regions/extremes", test_extremes);
    g_test_add_func("/file-regions/bad", test_bad);
    g_test_add_func("/file-regions/cookie", test_cookie);
    return g_test_run();
}
