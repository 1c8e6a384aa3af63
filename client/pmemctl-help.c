/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The verbs help and list-cmds: the table of verbs and options as text.
 */
#include "client/pmemctl.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 80
#define SPELLED_WIDTH 20

/* Words of text, wrapped and indented. */
static void print_paragraph(const char *text, size_t indent) {
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t at = 0;

    for (guint i = 0; words[i]; i++) {
        size_t length = strlen(words[i]);
        if (at > 0 && at + 1 + length > WIDTH) {
            putchar('\n');
            at = 0;
        }
        if (at == 0)
            at = (size_t) printf("%*s%s", (int) indent, "", words[i]);
        else
            at += (size_t) printf(" %s", words[i]);
    }
    putchar('\n');
}

/* The options with one of the bits; 0: those of all verbs. */
static void print_options(uint64_t mask) {
    for (const OptionRow *row = ctl_options(); row->name; row++) {
        if (mask == 0 ? row->option != 0 : !(mask & row->option))
            continue;
        g_autofree char *letter = row->short_name ? g_strdup_printf("-%c, ", row->short_name) : g_strdup("");
        g_autofree char *spelled = g_strdup_printf("%s--%s%s%s", letter, row->name, row->argument ? "=" : "",
                                                   row->argument ? row->argument : "");
        /* A long one has a line of its own. */
        bool fits = strlen(spelled) <= SPELLED_WIDTH;
        printf("  %-*s%s%*s  %s\n", SPELLED_WIDTH, spelled, fits ? "" : "\n  ", fits ? 0 : SPELLED_WIDTH, "",
               row->summary);
    }
}

static void print_title(const char *before, const Verb *verb, bool with_options) {
    printf("%s%s%s%s%s\n", before, verb->name, verb->arguments[0] != '\0' ? " " : "", verb->arguments,
           with_options && verb->options ? " [OPTION...]" : "");
}

static void print_overview(void) {
    puts("pmemctl [OPTION...] VERB [ARGUMENT...]\n\nAsks pmemd, the owner of this host's persistent memory.\n\nVerbs:");
    for (const Verb *verb = ctl_verbs(); verb->name; verb++) {
        print_title("  ", verb, false);
        print_paragraph(verb->summary, 6);
    }
    puts("\nOptions of all verbs:");
    print_options(0);
    puts("");
    print_paragraph(
        "Frames (SMFN, EMFN) are hexadecimal with 0x, or decimal. A SIZE is a whole number with K, M, G, T or P for "
        "units of 1024s: 512M, 4G, 4GiB; or bytes. A REGION is a uuid, a name, POOL/NAME, a device path or an "
        "object path.",
        0);
    print_paragraph("Exit status: 0 done; 1 refused by pmemd, or no pmemd; 2 bad usage.", 0);
}

void ctl_print_help(const Verb *verb) {
    if (!verb) {
        print_overview();
        return;
    }
    print_title("pmemctl ", verb, true);
    puts("");
    print_paragraph(verb->summary, 0);
    if (verb->detail[0] != '\0') {
        puts("");
        print_paragraph(verb->detail, 0);
    }
    if (verb->options) {
        puts("\nOptions:");
        print_options(verb->options);
    }
    puts("\nOptions of all verbs:");
    print_options(0);
}

/* The verb that an argument names, which is there. */
static bool find_verb(const char *name, const Verb **ret_verb, GError **error) {
    const Verb *verb = ctl_find_verb(name);
    if (!verb) {
        g_set_error(error, PARSE_ERROR, PARSE_ERROR_USAGE, "there is no verb '%s': 'pmemctl help' lists the verbs",
                    name);
        return false;
    }
    *ret_verb = verb;
    return true;
}

bool verb_help(Ctl *ctl, GError **error) {
    const Verb *verb = NULL;

    if (ctl->n_args > 0 && !find_verb(ctl->args[0], &verb, error))
        return false;
    ctl_print_help(verb);
    return true;
}

bool verb_list_cmds(Ctl *ctl, GError **error) {
    const Verb *verb;

    if (ctl->n_args == 0) {
        for (verb = ctl_verbs(); verb->name; verb++)
            puts(verb->name);
        return true;
    }
    if (!find_verb(ctl->args[0], &verb, error))
        return false;
    for (const OptionRow *row = ctl_options(); row->name; row++) {
        if (row->option != 0 && !(verb->options & row->option))
            continue;
        if (row->short_name)
            printf("-%c\n", row->short_name);
        printf("--%s%s\n", row->name, row->argument ? "=" : "");
    }
    return true;
}
