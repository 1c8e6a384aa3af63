/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the bytes of pmemd.conf and of its drop-ins, with a line "%" between them. Checked: they are
 * refused with an error that names file and line, or give values of which each is one that its key allows and whose
 * line is known, and a warning with file and line for each key and group that is not known; the configuration as it is
 * shown gives the same again.
 */
#include "daemon/conf-file.h"
#include "daemon/config.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

#include <string.h>

#define FILES_MAX 8u

/* "main.conf:12: " and a name that no input can make up. */
static void check_place(const char *message) {
    guint64 line;
    char *end;

    g_assert_true(g_str_has_prefix(message, "file"));
    const char *colon = strchr(message, ':');
    g_assert_nonnull(colon);
    line = g_ascii_strtoull(colon + 1, &end, 10);
    g_assert_cmpuint(line, >=, 1);
    g_assert_true(g_str_has_prefix(end, ": ") || *end == 0);
    for (const char *p = message; *p; p++)
        g_assert_false(g_ascii_iscntrl(*p));
}

static Config *load(const uint8_t *data, size_t size) {
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify) conf_file_free);
    g_autoptr(GError) error = NULL;
    Config *config = NULL;

    for (size_t at = 0; at <= size && files->len < FILES_MAX;) {
        const uint8_t *end = memmem(data + at, size - at, "\n%\n", 3);
        size_t len = end ? (size_t) (end - data) - at : size - at;
        g_autofree char *path = g_strdup_printf("file%u.conf", files->len);

        g_autofree char *text = g_malloc(len + 1);

        memcpy(text, data + at, len);
        ConfFile *file = conf_file_parse(path, text, len, &error);
        if (!file)
            break;
        g_ptr_array_add(files, file);
        at += len + 3;
    }
    if (!error)
        config = config_from_files(files, &error);
    if (!config) {
        g_assert_true(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT));
        check_place(error->message);
    }
    return config;
}

static void check(const Config *config) {
    QuotaLimit limit;

    g_assert_true(g_str_equal(config->bus, "system") || g_str_equal(config->bus, "session") ||
                  strchr(config->bus, ':'));
    g_assert_true(g_str_equal(config->backend, "ndctl") ||
                  (g_str_has_prefix(config->backend, "file:") && config->backend[5] == '/'));
    g_assert_true(g_path_is_absolute(config->state_dir));
    g_assert_true(config->default_profile >= 0 && config->default_profile < N_PROFILES);
    g_assert_true(config->persistence <= CONFIG_PERSISTENCE_IGNORE);
    g_assert_true(config->default_alignment == 0 ||
                  (config->default_alignment >= 4096 && config->default_alignment <= UINT64_C(1) << 40 &&
                   (config->default_alignment & (config->default_alignment - 1)) == 0));
    g_assert_true(config->erase_rate == 0 || config->erase_rate >= 1 << 20);
    g_assert_true(config->max_queue >= 1 && config->max_queue <= 65536);
    g_assert_true(config->max_queue_per_user >= 1 && config->max_queue_per_user <= 65536);
    g_assert_true(config->max_regions_per_user <= 1 << 20);
    g_assert_true(config->stuck_after_sec >= 1 && config->stuck_after_sec <= 65536);
    g_assert_nonnull(config->manage);
    manage_list_has(config->manage, 0x480000, "raw0", NULL);
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++) {
        g_assert_true(g_utf8_validate(config->texts[key], -1, NULL));
        if (config->sources[key])
            check_place(config->sources[key]);
    }
    for (guint i = 0; i < config->quota_texts->len; i++) {
        const ConfigQuota *quota = g_ptr_array_index(config->quota_texts, i);

        check_place(quota->source);
        quota_table_choose(config->quotas, 1000, quota->kind == QUOTA_USER ? quota->name : "", NULL, &limit);
        if (quota->kind == QUOTA_USER)
            g_assert_true(limit.limited ? limit.bytes == quota->bytes : quota->bytes == QUOTA_UNLIMITED);
    }
    for (guint i = 0; i < config->warnings->len; i++) {
        g_assert_nonnull(strstr(config->warnings->pdata[i], "ignoring"));
        check_place(config->warnings->pdata[i]);
    }
}

static void check_same(const Config *a, const Config *b) {
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        g_assert_cmpstr(a->texts[key], ==, b->texts[key]);
    g_assert_cmpuint(a->quota_texts->len, ==, b->quota_texts->len);
    for (guint i = 0; i < a->quota_texts->len; i++) {
        const ConfigQuota *x = g_ptr_array_index(a->quota_texts, i), *y = g_ptr_array_index(b->quota_texts, i);

        g_assert_cmpstr(x->name, ==, y->name);
        g_assert_cmpint(x->kind, ==, y->kind);
        g_assert_cmpuint(x->bytes, ==, y->bytes);
    }
    g_assert_null(config_restart_needed(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autoptr(Config) config = load(data, size);

    if (!config)
        return 0;
    check(config);
    g_autofree char *text = config_to_string(config);
    g_autoptr(Config) again = load((const uint8_t *) text, strlen(text));
    g_assert_nonnull(again);
    g_assert_cmpuint(again->warnings->len, ==, 0);
    check_same(config, again);
    return 0;
}
