/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The action table of caller: every method of proto/org.pmemd1.xml has its row, and what has none is refused. */
#include "daemon/caller.h"

#include "proto/error.h"
#include "proto/names.h"

#include <string.h>
#include <unistd.h>

static const Caller root = { .uid = 0, .user = "root", .privileged = true };
static const Caller nobody = { .uid = 65534, .user = "nobody", .privileged = false };

typedef struct {
    char *interface;
    guint methods;
} Walk;

static void on_element(GMarkupParseContext *context, const char *element, const char **names, const char **values,
                       gpointer data, GError **error) {
    Walk *walk = data;
    const char *name = NULL;

    for (guint i = 0; names[i]; i++)
        if (g_str_equal(names[i], "name"))
            name = values[i];
    if (g_str_equal(element, "interface")) {
        g_free(walk->interface);
        walk->interface = g_strdup(name);
    } else if (g_str_equal(element, "method")) {
        g_autoptr(GError) refusal = NULL;

        walk->methods++;
        g_assert_true(caller_authorize(&root, walk->interface, name, &refusal));
        g_assert_no_error(refusal);
        if (!caller_authorize(&nobody, walk->interface, name, &refusal)) {
            g_assert_error(refusal, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
            g_assert_nonnull(strstr(refusal->message, "root"));
        }
    }
}

static void test_every_method_has_a_row(void) {
    const GMarkupParser parser = { .start_element = on_element };
    g_autofree char *path = g_build_filename(g_getenv("PMEMD_SOURCE_ROOT"), "proto", "org.pmemd1.xml", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Walk walk = { 0 };
    gsize len;

    g_file_get_contents(path, &text, &len, &error);
    g_assert_no_error(error);
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &walk, NULL);
    g_markup_parse_context_parse(context, text, (gssize) len, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(walk.methods, >=, 17);
    g_free(walk.interface);
}

static void test_lists_are_for_everyone(void) {
    static const char *const open[] = { "CountRegions", "ListRaw",   "ListMgmt",  "ListData",
                                        "ListForeign",  "GetRegion", "GetMetrics" };
    static const char *const closed[] = { "SetupMgmt",   "SetupData",   "AllocateMgmt", "AllocateData", "Plan",
                                          "ReleaseData", "ReleaseMgmt", "Rename",       "SetOwner" };

    for (guint i = 0; i < G_N_ELEMENTS(open); i++)
        g_assert_true(caller_authorize(&nobody, PMEMD_IFACE_MANAGER, open[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(closed); i++)
        g_assert_false(caller_authorize(&nobody, PMEMD_IFACE_MANAGER, closed[i], NULL));
}

static void test_no_row_is_a_refusal(void) {
    static const char *const pairs[][2] = {
        { PMEMD_IFACE_MANAGER, "Nonsense" }, { PMEMD_IFACE_MANAGER, "" }, { PMEMD_IFACE_JOB, "SetupMgmt" },
        { "org.example.Other", "ListRaw" },  { NULL, "ListRaw" },         { PMEMD_IFACE_MANAGER, NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(caller_authorize(&root, pairs[i][0], pairs[i][1], &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
    }
}

static void test_user_names(void) {
    char user[33];

    caller_user_name(0, user);
    g_assert_cmpstr(user, ==, "root");
    caller_user_name(UINT32_MAX - 7, user);
    g_assert_cmpstr(user, ==, "");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/caller/every-method-has-a-row", test_every_method_has_a_row);
    g_test_add_func("/caller/lists-are-for-everyone", test_lists_are_for_everyone);
    g_test_add_func("/caller/no-row-is-a-refusal", test_no_row_is_a_refusal);
    g_test_add_func("/caller/user-names", test_user_names);
    return g_test_run();
}
