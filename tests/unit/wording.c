/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Messages of pmemd's in the words of pmemctl. */
#include "client/wording.h"

static void test_words(void) {
    static const struct {
        const char *said, *shown;
    } rows[] = {
        { "", "" },
        { "no region is 'x': give a uuid, as ListMgmt and ListData show them",
          "no region is 'x': give a uuid, as 'pmemctl list --mgmt' and 'pmemctl list --data' show them" },
        { "it failed; ReleaseData tries again", "it failed; 'pmemctl release' tries again" },
        { "none of SetupMgmt, SetupData", "none of setup-mgmt, setup-data" },
        { "give one of ListRaw, or leave it", "give one of 'pmemctl list --raw', or leave it" },
        { "Attach needs org.pmemd1.attach", "'pmemctl attach' needs org.pmemd1.attach" },
        { "Repair needs org.pmemd1.repair", "'pmemctl journal repair' needs org.pmemd1.repair" },
        { "Ask by ListData.", "Ask by 'pmemctl list --data'." },
        { "no region is 'ListData'", "no region is 'ListData'" },
        { "region \"ListData\" is pmemd's: SetupData", "region \"ListData\" is pmemd's: setup-data" },
        { "no region is 'ListData", "no region is 'ListData" },
        { "org.pmemd1.Manager.SetupData is no XSetupData", "org.pmemd1.Manager.SetupData is no XSetupData" },
        { "pool0/SetupData, SetupData-1", "pool0/SetupData, SetupData-1" },
        { "f\303\274r ListData", "f\303\274r 'pmemctl list --data'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = wording_of_verbs(rows[i].said);
        g_assert_cmpstr(shown, ==, rows[i].shown);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wording/words", test_words);
    return g_test_run();
}
