/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/wording.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *method, *verb;
} words[] = {
    { "SetupMgmt", "setup-mgmt" },
    { "SetupData", "setup-data" },
    { "AllocateMgmt", "allocate-mgmt" },
    { "AllocateData", "allocate-data" },
    { "ReleaseMgmt", "'pmemctl release'" },
    { "ReleaseData", "'pmemctl release'" },
    { "SetOwner", "'pmemctl set-owner'" },
    { "GetRegion", "'pmemctl show'" },
    { "ListRaw", "'pmemctl list --raw'" },
    { "ListMgmt", "'pmemctl list --mgmt'" },
    { "ListData", "'pmemctl list --data'" },
    { "ListForeign", "'pmemctl list --foreign'" },
    { "LocateList", "'pmemctl locate'" },
    { "ListDimms", "'pmemctl dimms'" },
    { "ListLeases", "'pmemctl leases'" },
    { "ClearBadFrames", "'pmemctl clear-bad-frames'" },
    { "Attach", "'pmemctl attach'" },
    { "Detach", "'pmemctl detach'" },
    { "Adopt", "'pmemctl adopt'" },
    { "Forget", "'pmemctl forget'" },
    { "Repair", "'pmemctl journal repair'" },
};

static bool is_of_a_name(char c) {
    return g_ascii_isalnum(c) || strchr("_./-", c);
}

/* The row of the word of so many bytes; NULL: none. */
static const char *find_verb(const char *word, size_t length) {
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strlen(words[i].method) == length && strncmp(words[i].method, word, length) == 0)
            return words[i].verb;
    return NULL;
}

char *wording_of_verbs(const char *message) {
    GString *text = g_string_new(NULL);
    char quote = '\0', before = ' ';

    for (const char *p = message; *p;) {
        size_t length = 0;

        while (p[length] != '\0' && is_of_a_name(p[length]))
            length++;
        if (length > 0) {
            /* A full stop at the end is the sentence's. */
            size_t name = p[length - 1] == '.' ? length - 1 : length;
            const char *verb = quote == '\0' ? find_verb(p, name) : NULL;
            g_string_append_len(text, verb ? verb : p, verb ? -1 : (gssize) name);
            g_string_append_len(text, p + name, (gssize) (length - name));
            before = p[length - 1];
            p += length;
            continue;
        }
        /* Behind a letter it is an apostrophe. */
        if (quote != '\0' ? *p == quote : *p == '"' || (*p == '\'' && !g_ascii_isalnum(before)))
            quote = (char) (quote != '\0' ? '\0' : *p);
        before = *p;
        g_string_append_c(text, *p++);
    }
    return g_string_free(text, FALSE);
}
