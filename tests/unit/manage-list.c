/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Manage=: what it takes, and which raw regions it has. */
#include "daemon/manage-list.h"

#include "proto/error.h"

#include <string.h>

static bool has(const char *text, uint64_t start, const char *name, const char *const *dimms) {
    g_autoptr(GError) error = NULL;
    g_autoptr(ManageList) list = manage_list_parse(text, &error);

    g_assert_no_error(error);
    return manage_list_has(list, start, name, dimms);
}

static void test_all_and_none(void) {
    g_assert_true(has("all", 0, NULL, NULL));
    g_assert_false(has("none", 0, "none", NULL));
}

static void test_words(void) {
    const char *text = "dimm:8089-a2-1 \t 0x480000  dimm:8089-a2-2 name:raw0";
    const char *const one[] = { "8089-a2-1", NULL }, *const both[] = { "8089-a2-2", "8089-a2-1", NULL };
    const char *const half[] = { "8089-a2-1", "8089-a2-3", NULL }, *const no_dimm[] = { NULL };

    g_assert_true(has(text, 1, NULL, one));
    g_assert_true(has(text, 1, NULL, both));
    g_assert_false(has(text, 1, NULL, half)); /* half of an interleave set was not meant */
    g_assert_false(has(text, 1, NULL, no_dimm));
    g_assert_true(has(text, 0x480000, NULL, half));
    g_assert_false(has(text, 0x480001, NULL, NULL));
    g_assert_true(has(text, 1, "raw0", NULL));
    g_assert_false(has(text, 1, "raw", NULL));
    /* Words are compared as they are. */
    g_assert_false(has("name:8089-a2-1", 1, NULL, one));
    g_assert_false(has("dimm:raw0", 1, "raw0", NULL));
    g_assert_false(has("name:all", 1, "raw0", NULL));
}

static bool names(const char *text, uint64_t start, const char *name, const char *const *dimms) {
    g_autoptr(ManageList) list = manage_list_parse(text, NULL);

    return manage_list_names(list, start, name, dimms);
}

/* What goes whole is given to pmemd by a word of its own. */
static void test_names(void) {
    const char *const dimm[] = { "8089-a2-1", NULL };

    g_assert_false(names("all", 0x480000, "raw0", dimm));
    g_assert_false(names("none", 0x480000, "raw0", dimm));
    g_assert_true(names("0x480000", 0x480000, NULL, NULL));
    g_assert_false(names("0x480000", 0x480001, NULL, NULL));
    g_assert_true(names("name:raw0", 1, "raw0", NULL));
    g_assert_true(names("dimm:8089-a2-1", 1, NULL, dimm));
}

static void test_refused(void) {
    static const char *const texts[] = { "",      " ",       "all none", "none 0x1",      "ALL",  "region0", "dimm:",
                                         "name:", "4718592", "0x",       "0x10000000000", "0x1g", "-" };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("'%s'", texts[i]);
        g_assert_null(manage_list_parse(texts[i], &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, "dimm:ID"));
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manage-list/all-and-none", test_all_and_none);
    g_test_add_func("/manage-list/words", test_words);
    g_test_add_func("/manage-list/names", test_names);
    g_test_add_func("/manage-list/refused", test_refused);
    return g_test_run();
}
