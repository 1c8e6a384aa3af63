/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/config.h"

#include "proto/error.h"

#include <string.h>

#define GROUP "pmemd"
#define QUEUE_LIMIT 65536u

static const char *const known_keys[] = {
    "AllowUnknownPersistence", "Backend", "Bus", "DefaultProfile", "MaxQueue", "MaxQueuePerUser", "StateDir",
    "StuckAfterSec",           NULL,
};

void config_free(Config *config) {
    if (!config)
        return;
    g_free(config->bus);
    g_free(config->backend);
    g_free(config->state_dir);
    g_clear_pointer(&config->warnings, g_ptr_array_unref);
    g_free(config);
}

bool config_check_bus(const char *bus, GError **error) {
    if (g_str_equal(bus, "system") || g_str_equal(bus, "session") || strchr(bus, ':'))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "the bus '%s' is neither 'system' nor 'session' nor an address such as 'unix:path=/run/bus'", bus);
    return false;
}

bool config_check_backend(const char *backend, GError **error) {
    if (g_str_equal(backend, "ndctl") || (g_str_has_prefix(backend, "file:") && backend[strlen("file:")]))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the backend '%s' is neither 'ndctl' nor 'file:DIR'",
                backend);
    return false;
}

/* Wraps what a value's check said with the place where the value stands. */
static bool refuse(const char *path, const char *key, const char *why, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [" GROUP "] %s: %s", path, key, why);
    return false;
}

static void warn_of_unknown(Config *config, GKeyFile *file, const char *path) {
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **g = groups; *g; g++)
        if (!g_str_equal(*g, GROUP))
            g_ptr_array_add(config->warnings, g_strdup_printf("%s: unknown group [%s], ignoring", path, *g));

    g_auto(GStrv) keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
    for (char **k = keys; k && *k; k++)
        if (!g_strv_contains(known_keys, *k))
            g_ptr_array_add(config->warnings, g_strdup_printf("%s: [" GROUP "] unknown key %s, ignoring", path, *k));
}

static bool read_text(GKeyFile *file, const char *path, const char *key, char **value,
                      bool (*check)(const char *value, GError **error), GError **error) {
    g_autoptr(GError) local = NULL;

    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return true;
    g_autofree char *text = g_key_file_get_string(file, GROUP, key, &local);
    if (!text || (check && !check(text, &local)))
        return refuse(path, key, local->message, error);
    g_free(*value);
    *value = g_steal_pointer(&text);
    return true;
}

static bool check_state_dir(const char *dir, GError **error) {
    if (g_path_is_absolute(dir))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "'%s' is not an absolute path", dir);
    return false;
}

static bool read_count(GKeyFile *file, const char *path, const char *key, guint *value, GError **error) {
    guint64 number;

    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return true;
    g_autofree char *text = g_key_file_get_value(file, GROUP, key, NULL);
    if (!g_ascii_string_to_unsigned(text, 10, 1, QUEUE_LIMIT, &number, NULL)) {
        g_autofree char *why = g_strdup_printf("'%s' is not a number from 1 to %u", text, QUEUE_LIMIT);
        return refuse(path, key, why, error);
    }
    *value = (guint) number;
    return true;
}

static bool read_profile(GKeyFile *file, const char *path, Profile *profile, GError **error) {
    g_autofree char *text = g_key_file_get_value(file, GROUP, "DefaultProfile", NULL);

    if (!text || profile_from_string(text, profile))
        return true;
    g_autofree char *why = g_strdup_printf("'%s' is none of xen, linux, none", text);
    return refuse(path, "DefaultProfile", why, error);
}

static bool read_bool(GKeyFile *file, const char *path, const char *key, bool *value, GError **error) {
    g_autoptr(GError) local = NULL;

    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return true;
    gboolean read = g_key_file_get_boolean(file, GROUP, key, &local);
    if (local) {
        g_autofree char *text = g_key_file_get_value(file, GROUP, key, NULL);
        g_autofree char *why = g_strdup_printf("'%s' is neither true nor false", text);
        return refuse(path, key, why, error);
    }
    *value = read;
    return true;
}

Config *config_load(const char *path, bool must_exist, GError **error) {
    g_autoptr(Config) config = g_new0(Config, 1);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;

    config->bus = g_strdup("system");
    config->backend = g_strdup("ndctl");
    config->state_dir = g_strdup("/var/lib/pmemd");
    config->default_profile = PROFILE_XEN;
    config->max_queue = 256;
    config->max_queue_per_user = 64;
    config->stuck_after_sec = 60;
    config->warnings = g_ptr_array_new_with_free_func(g_free);

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT) && !must_exist)
            return g_steal_pointer(&config);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: %s", path, local->message);
        return NULL;
    }
    warn_of_unknown(config, file, path);
    if (!read_text(file, path, "Bus", &config->bus, config_check_bus, error) ||
        !read_text(file, path, "Backend", &config->backend, config_check_backend, error) ||
        !read_text(file, path, "StateDir", &config->state_dir, check_state_dir, error) ||
        !read_profile(file, path, &config->default_profile, error) ||
        !read_count(file, path, "MaxQueue", &config->max_queue, error) ||
        !read_count(file, path, "MaxQueuePerUser", &config->max_queue_per_user, error) ||
        !read_count(file, path, "StuckAfterSec", &config->stuck_after_sec, error) ||
        !read_bool(file, path, "AllowUnknownPersistence", &config->allow_unknown_persistence, error))
        return NULL;
    return g_steal_pointer(&config);
}
