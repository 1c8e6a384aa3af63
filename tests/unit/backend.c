/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tags: what is formatted is parsed, and nothing that only looks like it is taken for one of ours. Uuids of devices.
 */
#include "daemon/backend.h"

#include <string.h>

static void test_tags(void) {
    sd_id128_t pool = SD_ID128_MAKE(0a, bc, de, f1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    sd_id128_t device = SD_ID128_MAKE(12, 34, 56, 78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    for (int role = 0; role < BACKEND_ROLE_NONE; role++) {
        char tag[BACKEND_TAG_MAX];
        uint32_t number = 0, id = 0;

        backend_tag_format((BackendRole) role, pool, device, tag);
        g_assert_cmpint(backend_tag_parse(tag, &number, &id), ==, role);
        g_assert_cmphex(number, ==, 0x0abcdef1);
        g_assert_cmphex(id, ==, 0x12345678);
        g_assert_cmpint(backend_tag_parse(tag, NULL, NULL), ==, role);
        /* Each part of it is none. */
        for (size_t len = strlen(tag); len-- > 0;) {
            g_autofree char *part = g_strndup(tag, len);

            g_assert_cmpint(backend_tag_parse(part, NULL, NULL), ==, BACKEND_ROLE_NONE);
        }
        g_autofree char *more = g_strconcat(tag, "0", NULL);
        g_assert_cmpint(backend_tag_parse(more, NULL, NULL), ==, BACKEND_ROLE_NONE);
    }
}

static void test_no_tags(void) {
    static const char *const texts[] = {
        "",
        "pmemd",
        "pmemd:",
        "pmemd:other:0abcdef1:12345678",
        "pmemd:data:0ABCDEF1:12345678",
        "pmemd:data:0abcdef1-12345678",
        "pmemd:data: abcdef1:12345678",
        "pmemd:data:0xbcdef1:12345678",
        "Pmemd:data:0abcdef1:12345678",
        "pmemd:data0:0abcdef1:12345678",
        "pmemd:mgmtdata:0abcdef1:12345678",
    };

    g_assert_cmpint(backend_tag_parse(NULL, NULL, NULL), ==, BACKEND_ROLE_NONE);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_cmpint(backend_tag_parse(texts[i], NULL, NULL), ==, BACKEND_ROLE_NONE);
}

/* By the uuid alone a mgmt device is told from the devices that guests have, and both are random. */
static void test_uuids(void) {
    sd_id128_t uuid, before = SD_ID128_NULL;

    for (int role = 0; role < BACKEND_ROLE_NONE; role++) {
        g_assert_true(backend_uuid_new((BackendRole) role, &uuid));
        g_assert_cmpint(backend_uuid_may_be_mgmt(uuid), ==, role == BACKEND_ROLE_MGMT);
        g_assert_cmphex(uuid.bytes[6] >> 4, ==, role == BACKEND_ROLE_MGMT ? 8 : 4);
        g_assert_cmphex(uuid.bytes[8] >> 6, ==, 2);
        g_assert_false(sd_id128_equal(uuid, before));
        before = uuid;
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backend/tags", test_tags);
    g_test_add_func("/backend/no-tags", test_no_tags);
    g_test_add_func("/backend/uuids", test_uuids);
    return g_test_run();
}
