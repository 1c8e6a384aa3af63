/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/manage-list.h"

#include "daemon/number.h"
#include "proto/error.h"
#include "proto/types.h"

#include <string.h>

#define DIMM "dimm:"
#define NAME "name:"
#define WORD_SHOWN 80 /* bytes of a refused word in a message */

struct ManageList {
    bool all;
    GHashTable *words; /* "dimm:ID", "name:GROUP" */
    GArray *frames;    /* uint64_t */
};

static void list_clear(void *data) {
    ManageList *list = data;

    g_clear_pointer(&list->words, g_hash_table_unref);
    g_clear_pointer(&list->frames, g_array_unref);
}

ManageList *manage_list_ref(const ManageList *list) {
    return g_rc_box_acquire((ManageList *) list);
}

void manage_list_unref(ManageList *list) {
    if (list)
        g_rc_box_release_full(list, list_clear);
}

static bool add_word(ManageList *list, const char *word, GError **error) {
    uint64_t frame;

    if ((g_str_has_prefix(word, DIMM) && word[strlen(DIMM)]) || (g_str_has_prefix(word, NAME) && word[strlen(NAME)])) {
        g_hash_table_add(list->words, g_strdup(word));
        return true;
    }
    /* Hexadecimal alone: a decimal number could as well be meant as an address. */
    if (g_str_has_prefix(word, "0x") && number_parse(word, &frame) && frame < PMEMD_FRAME_LIMIT) {
        g_array_append_val(list->frames, frame);
        return true;
    }

    g_autofree char *start = g_strndup(word, WORD_SHOWN);
    g_autofree char *shown = g_strescape(start, NULL);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "'%s' is none of these: all or none (alone), dimm:ID (as `ndctl list -D` shows it), 0xFRAME (the first "
                "frame of a raw region), name:GROUP (of regions.conf)",
                shown);
    return false;
}

ManageList *manage_list_parse(const char *text, GError **error) {
    g_autoptr(ManageList) list = g_rc_box_new0(ManageList);
    g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);

    list->words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    list->frames = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    list->all = g_str_equal(text, "all");
    if (list->all || g_str_equal(text, "none"))
        return g_steal_pointer(&list);
    for (char **word = words; *word; word++)
        if (**word && !add_word(list, *word, error))
            return NULL;
    if (g_hash_table_size(list->words) > 0 || list->frames->len > 0)
        return g_steal_pointer(&list);
    add_word(list, "", error); /* says what would do */
    return NULL;
}

static bool has_word(const ManageList *list, const char *prefix, const char *value) {
    g_autofree char *word = g_strconcat(prefix, value, NULL);

    return g_hash_table_contains(list->words, word);
}

bool manage_list_has(const ManageList *list, uint64_t start_frame, const char *name, const char *const *dimms) {
    return list->all || manage_list_names(list, start_frame, name, dimms);
}

bool manage_list_names(const ManageList *list, uint64_t start_frame, const char *name, const char *const *dimms) {
    if (name && has_word(list, NAME, name))
        return true;
    for (guint i = 0; i < list->frames->len; i++)
        if (g_array_index(list->frames, uint64_t, i) == start_frame)
            return true;
    if (!dimms || !*dimms)
        return false;
    for (; *dimms; dimms++)
        if (!has_word(list, DIMM, *dimms))
            return false;
    return true;
}
