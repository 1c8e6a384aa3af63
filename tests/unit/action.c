/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The table of actions: every method of proto/org.pmemd1.xml has its row and no other has, what has none is refused,
 * and every action that may be asked for is declared in policy/org.pmemd1.policy.
 */
#include "daemon/action.h"

#include "proto/error.h"
#include "proto/names.h"

#include <string.h>

typedef struct {
    char *interface;
    guint methods;
} Walk;

static char *read_source(const char *folder, const char *name) {
    g_autofree char *path = g_build_filename(g_getenv("PMEMD_SOURCE_ROOT"), folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

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
        const ActionRow *row = action_row(walk->interface, name, &refusal);

        g_assert_no_error(refusal);
        g_assert_cmpstr(row->interface, ==, walk->interface);
        g_assert_cmpstr(row->member, ==, name);
        walk->methods++;
    }
}

static void test_every_method_has_a_row(void) {
    const GMarkupParser parser = { .start_element = on_element };
    g_autofree char *text = read_source("proto", "org.pmemd1.xml");
    g_autoptr(GError) error = NULL;
    Walk walk = { 0 };

    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &walk, NULL);
    g_markup_parse_context_parse(context, text, -1, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(walk.methods, >=, 17);
    g_free(walk.interface);
}

static void test_every_action_is_declared(void) {
    g_autofree char *policy = read_source("policy", "org.pmemd1.policy");
    g_autofree char *rules = read_source("policy", "org.pmemd1.rules");

    for (Action action = ACTION_ANYONE + 1; action < N_ACTIONS; action++) {
        g_autofree char *declaration = g_strdup_printf("<action id=\"%s\">", action_id(action));
        g_autofree char *rule = g_strdup_printf("\"%s\"", action_id(action));

        g_assert_nonnull(strstr(policy, declaration));
        g_assert_cmpint(strstr(rules, rule) != NULL, ==, action_is_of_group(action));
    }
}

static void test_what_methods_take(void) {
    static const struct {
        const char *member;
        uint32_t mgmt, data, others_mgmt, others_data;
    } rows[] = {
#define M ACTION_BIT(ACTION_SETUP_MGMT)
#define D ACTION_BIT(ACTION_SETUP_DATA)
#define R ACTION_BIT(ACTION_RELEASE)
#define A ACTION_BIT(ACTION_MANAGE_ALL)
#define P ACTION_BIT(ACTION_REPAIR)
        { "SetupMgmt", M, M, M, M },
        { "AllocateMgmt", M, M, M, M },
        { "SetupData", D, D, D, D },
        { "AllocateData", D, D, D, D },
        { "Plan", M, D, M, D },
        { "ReleaseData", R, R, R | A, R | A },
        { "ReleaseMgmt", R, R, R | A, R | A },
        { "Rename", M, D, M | A, D | A },
        { "SetOwner", A, A, A, A },
        { "Adopt", P, P, P, P },
        { "Forget", P, P, P, P },
        { "Repair", P, P, P, P },
        { "ClearBadFrames", P, P, P | A, P | A },
        { "ListDimms", 0, 0, 0, 0 },
        { "CountRegions", 0, 0, 0, 0 },
        { "ListRaw", 0, 0, 0, 0 },
        { "ListMgmt", 0, 0, 0, 0 },
        { "ListData", 0, 0, 0, 0 },
        { "ListForeign", 0, 0, 0, 0 },
        { "GetRegion", 0, 0, 0, 0 },
        { "GetMetrics", 0, 0, 0, 0 },
        { "Locate", 0, 0, 0, 0 },
        { "LocateList", 0, 0, 0, 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const ActionRow *row = action_row(PMEMD_IFACE_MANAGER, rows[i].member, NULL);

        g_assert_nonnull(row);
        g_assert_cmphex(action_required(row, REGION_KIND_MGMT, true), ==, rows[i].mgmt);
        g_assert_cmphex(action_required(row, REGION_KIND_DATA, true), ==, rows[i].data);
        g_assert_cmphex(action_required(row, REGION_KIND_MGMT, false), ==, rows[i].others_mgmt);
        g_assert_cmphex(action_required(row, REGION_KIND_DATA, false), ==, rows[i].others_data);
    }
    for (guint i = 0; i < 2; i++) {
        const ActionRow *row = action_row(PMEMD_IFACE_JOB, i == 0 ? "Pause" : "Resume", NULL);

        g_assert_cmphex(action_required(row, REGION_KIND_DATA, true), ==, R);
        g_assert_cmphex(action_required(row, REGION_KIND_DATA, false), ==, R | A);
    }
}

static void test_no_row_is_a_refusal(void) {
    static const char *const pairs[][2] = {
        { PMEMD_IFACE_MANAGER, "Nonsense" }, { PMEMD_IFACE_MANAGER, "" }, { PMEMD_IFACE_JOB, "SetupMgmt" },
        { "org.example.Other", "ListRaw" },  { NULL, "ListRaw" },         { PMEMD_IFACE_MANAGER, NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(action_row(pairs[i][0], pairs[i][1], &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/action/every-method-has-a-row", test_every_method_has_a_row);
    g_test_add_func("/action/every-action-is-declared", test_every_action_is_declared);
    g_test_add_func("/action/what-methods-take", test_what_methods_take);
    g_test_add_func("/action/no-row-is-a-refusal", test_no_row_is_a_refusal);
    return g_test_run();
}
