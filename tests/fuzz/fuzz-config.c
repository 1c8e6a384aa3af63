/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the bytes of pmemd.conf. Checked: they are refused with an error that names the file, or give
 * values of which each is one that its key allows, and a warning for each key and group that is not known; the same
 * each time.
 */
#include "daemon/config.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

#include <sys/mman.h>
#include <unistd.h>

static Config *load(const char *path) {
    g_autoptr(GError) error = NULL;
    Config *config = config_load(path, true, &error);

    if (!config) {
        g_assert_true(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT));
        g_assert_true(g_str_has_prefix(error->message, path));
    }
    return config;
}

static void check(const Config *config) {
    g_assert_true(config_check_bus(config->bus, NULL));
    g_assert_true(config_check_backend(config->backend, NULL));
    g_assert_true(g_path_is_absolute(config->state_dir));
    g_assert_true(g_utf8_validate(config->bus, -1, NULL) && g_utf8_validate(config->backend, -1, NULL));
    g_assert_true(config->default_profile >= 0 && config->default_profile < N_PROFILES);
    g_assert_true(config->max_queue >= 1 && config->max_queue <= 65536);
    g_assert_true(config->max_queue_per_user >= 1 && config->max_queue_per_user <= 65536);
    for (guint i = 0; i < config->warnings->len; i++)
        g_assert_nonnull(strstr(config->warnings->pdata[i], "ignoring"));
}

static void check_same(const Config *a, const Config *b) {
    g_assert_cmpstr(a->bus, ==, b->bus);
    g_assert_cmpstr(a->backend, ==, b->backend);
    g_assert_cmpstr(a->state_dir, ==, b->state_dir);
    g_assert_cmpint(a->default_profile, ==, b->default_profile);
    g_assert_cmpuint(a->max_queue, ==, b->max_queue);
    g_assert_cmpuint(a->max_queue_per_user, ==, b->max_queue_per_user);
    g_assert_cmpint(a->allow_unknown_persistence, ==, b->allow_unknown_persistence);
    g_assert_cmpuint(a->warnings->len, ==, b->warnings->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("pmemd.conf", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    g_assert_cmpint(pwrite(fd, data, size, 0), ==, (ssize_t) size);

    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(Config) config = load(path), again = load(path);
    g_assert_cmpint(config != NULL, ==, again != NULL);
    if (config) {
        check(config);
        check_same(config, again);
    }
    return 0;
}
