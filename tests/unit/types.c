/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of proto/types: ranges at their edges, spelling of kinds, profiles, uuids, object paths and names, both
 * ways. */
#include "proto/types.h"

#include "proto/names.h"

#include <string.h>

#define UUID_TEXT "0123abcd-4567-89ef-0123-456789abcdef"
#define UUID SD_ID128_MAKE(01, 23, ab, cd, 45, 67, 89, ef, 01, 23, 45, 67, 89, ab, cd, ef)

static FrameRange range(uint64_t start, uint64_t end) {
    return (FrameRange){ start, end };
}

static void test_ranges(void) {
    g_assert_true(frame_range_overlaps(range(10, 20), range(5, 25))); /* encloses */
    g_assert_true(frame_range_overlaps(range(10, 20), range(12, 13)));
    g_assert_true(frame_range_overlaps(range(10, 20), range(19, 20)));
    g_assert_true(frame_range_overlaps(range(10, 20), range(0, UINT64_MAX)));
    g_assert_false(frame_range_overlaps(range(10, 20), range(20, 30)));
    g_assert_false(frame_range_overlaps(range(10, 20), range(0, 10)));
    g_assert_false(frame_range_overlaps(range(UINT64_MAX - 1, UINT64_MAX), range(0, UINT64_MAX - 1)));
    g_assert_true(frame_range_contains(range(10, 20), range(10, 20)));
    g_assert_false(frame_range_contains(range(10, 20), range(10, 21)));
    g_assert_false(frame_range_contains(range(10, 20), range(9, 20)));
    g_assert_cmphex(frame_range_frames(range(0, UINT64_MAX)), ==, UINT64_MAX);
    g_assert_true(frame_range_equal(range(1, 2), range(1, 2)));
    g_assert_false(frame_range_equal(range(1, 2), range(1, 3)));
    g_assert_cmphex(PMEMD_FRAME_LIMIT * PMEMD_FRAME_SIZE, ==, UINT64_C(1) << 52);
    g_assert_cmphex(UINT64_C(1) << PMEMD_FRAME_SHIFT, ==, PMEMD_FRAME_SIZE);
}

static void test_kinds(void) {
    g_assert_cmpstr(region_kind_to_string(REGION_KIND_RAW), ==, "raw");
    g_assert_cmpstr(region_kind_to_string(REGION_KIND_MGMT), ==, "mgmt");
    g_assert_cmpstr(region_kind_to_string(REGION_KIND_DATA), ==, "data");
}

static void test_profiles(void) {
    Profile profile = N_PROFILES;

    for (int i = 0; i < N_PROFILES; i++) {
        g_assert_true(profile_from_string(profile_to_string((Profile) i), &profile));
        g_assert_cmpint(profile, ==, i);
        g_assert_true(profile_from_bytes(profile_page_info_bytes(profile), profile_m2p_bytes(profile), &profile));
        g_assert_cmpint(profile, ==, i);
    }
    g_assert_cmpuint(profile_page_info_bytes(PROFILE_XEN), ==, 32);
    g_assert_cmpuint(profile_m2p_bytes(PROFILE_XEN), ==, 8);
    g_assert_cmpuint(profile_page_info_bytes(PROFILE_LINUX), ==, 64);
    profile = N_PROFILES;
    g_assert_false(profile_from_string("Xen", &profile));
    g_assert_false(profile_from_string("", &profile));
    g_assert_false(profile_from_bytes(32, 0, &profile));
    g_assert_cmpint(profile, ==, N_PROFILES);
}

static void test_uuids(void) {
    static const char *const wrong[] = {
        "",
        "0123abcd456789ef0123456789abcdef",
        "{" UUID_TEXT "}",
        UUID_TEXT "0",
        UUID_TEXT " ",
        "0123abcd-4567-89ef-0123-456789abcde",
        "0123abcd-4567-89ef-01234-56789abcdef",
        "0123abcg-4567-89ef-0123-456789abcdef",
        "0123abcd_4567_89ef_0123_456789abcdef",
    };
    char buf[PMEMD_UUID_STRING_MAX];
    sd_id128_t uuid = SD_ID128_NULL, same = UUID;

    g_assert_true(pmemd_uuid_parse(UUID_TEXT, &uuid));
    g_assert_true(sd_id128_equal(uuid, UUID));
    g_assert_true(pmemd_uuid_parse("0123ABCD-4567-89EF-0123-456789ABCDEF", &uuid));
    g_assert_true(sd_id128_equal(uuid, UUID));
    g_assert_cmpstr(pmemd_uuid_format(uuid, buf), ==, UUID_TEXT);
    g_assert_true(pmemd_uuid_equal(&uuid, &same));
    g_assert_cmpuint(pmemd_uuid_hash(&uuid), ==, pmemd_uuid_hash(&same));
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(pmemd_uuid_parse(wrong[i], &uuid));
    g_assert_false(pmemd_uuid_parse(NULL, &uuid));
    g_assert_true(sd_id128_equal(uuid, UUID)); /* untouched on failure */
    same.bytes[15] ^= 1;
    g_assert_false(pmemd_uuid_equal(&uuid, &same));
}

static void test_paths(void) {
    static const char *const wrong[] = {
        "",
        PMEMD_REGION_PATH_PREFIX,
        PMEMD_REGION_PATH_PREFIX UUID_TEXT,
        PMEMD_REGION_PATH_PREFIX "0123abcd_4567_89ef_0123_456789abcdef/",
        PMEMD_REGION_PATH_PREFIX "0123abcd456789ef0123456789abcdef",
        "0123abcd_4567_89ef_0123_456789abcdef",
        PMEMD_JOB_PATH_PREFIX "0123abcd_4567_89ef_0123_456789abcdef",
    };
    char path[PMEMD_PATH_MAX];
    sd_id128_t uuid = SD_ID128_NULL;

    g_assert_cmpstr(pmemd_region_path(UUID, path), ==, "/org/pmemd1/region/0123abcd_4567_89ef_0123_456789abcdef");
    g_assert_true(g_variant_is_object_path(path));
    g_assert_true(pmemd_region_path_parse(path, &uuid));
    g_assert_true(sd_id128_equal(uuid, UUID));
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(pmemd_region_path_parse(wrong[i], &uuid));
    g_assert_false(pmemd_region_path_parse(NULL, &uuid));
}

static void test_names(void) {
    static const char *const right[] = {
        "a", "0", "vm-1.disk_2", "A--", "0123abcd-4567-89ef-0123-456789abcde", "0123abcd_4567_89ef_0123_456789abcdef"
    };
    static const char *const wrong[] = { "",    "-a",   ".",     "_a",       "a b",     "a/b",
                                         "a\n", "\x1b", "a\x7f", "\xc3\xa4", UUID_TEXT, "a\xff" };
    char name[4097];

    for (size_t i = 0; i < G_N_ELEMENTS(right); i++)
        g_assert_true(pmemd_name_is_valid(right[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(pmemd_name_is_valid(wrong[i]));
    g_assert_false(pmemd_name_is_valid(NULL));

    memset(name, 'a', sizeof name);
    name[4096] = '\0';
    g_assert_false(pmemd_name_is_valid(name));
    name[PMEMD_NAME_MAX + 1] = '\0';
    g_assert_false(pmemd_name_is_valid(name));
    name[PMEMD_NAME_MAX] = '\0';
    g_assert_true(pmemd_name_is_valid(name));
    for (int c = 1; c < 256; c++) {
        const char text[] = { 'a', (char) c, '\0' };
        bool allowed = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                       c == '-' || c == '.';

        g_assert_cmpint(pmemd_name_is_valid(text), ==, allowed);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/types/ranges", test_ranges);
    g_test_add_func("/types/kinds", test_kinds);
    g_test_add_func("/types/profiles", test_profiles);
    g_test_add_func("/types/uuids", test_uuids);
    g_test_add_func("/types/paths", test_paths);
    g_test_add_func("/types/names", test_names);
    return g_test_run();
}
