/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/config.h"

#include "daemon/conf-file.h"
#include "daemon/number.h"
#include "proto/error.h"

#include <stddef.h>
#include <string.h>

#define GROUP "pmemd"
#define QUOTA_GROUP_PREFIX "quota "
#define QUOTA_KEY "Bytes"
#define COUNT_MAX 65536u
#define HEALTH_POLL_MIN 10
#define REGIONS_MAX 1048576u
#define ERASE_RATE_MIN (UINT64_C(1) << 20)
#define ALIGNMENT_MAX (UINT64_C(1) << 40)
#define VALUE_SHOWN 200 /* bytes of a refused value in a message */

/* --- values --- */

/* What a value is checked and kept by. false: it will not do. */
typedef bool (*ReadValue)(Config *config, const char *text, GError **error);

/* Says what would do instead; always false. */
static bool will_not_do(const char *allowed, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "must be %s", allowed);
    return false;
}

static void keep_text(char **member, const char *text) {
    g_free(*member);
    *member = g_strdup(text);
}

static bool read_backend(Config *config, const char *text, GError **error) {
    /* Of a service nobody knows where a relative path begins. */
    if (!g_str_equal(text, "ndctl") &&
        (!g_str_has_prefix(text, "file:") || !g_path_is_absolute(text + strlen("file:"))))
        return will_not_do("ndctl, or file:DIR with an absolute path", error);
    keep_text(&config->backend, text);
    return true;
}

static bool read_bus(Config *config, const char *text, GError **error) {
    if (!g_str_equal(text, "system") && !g_str_equal(text, "session") && !strchr(text, ':'))
        return will_not_do("system, session, or an address such as unix:path=/run/bus", error);
    keep_text(&config->bus, text);
    return true;
}

static bool read_state_dir(Config *config, const char *text, GError **error) {
    if (!g_path_is_absolute(text))
        return will_not_do("an absolute path", error);
    keep_text(&config->state_dir, text);
    return true;
}

static bool read_manage(Config *config, const char *text, GError **error) {
    ManageList *list = manage_list_parse(text, error);

    if (!list)
        return false;
    manage_list_unref(config->manage);
    config->manage = list;
    return true;
}

static bool read_persistence(Config *config, const char *text, GError **error) {
    static const char *const names[] = { "require", "warn", "ignore" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(text, names[i])) {
            config->persistence = (ConfigPersistence) i;
            return true;
        }
    return will_not_do("require, warn or ignore", error);
}

static bool read_profile(Config *config, const char *text, GError **error) {
    return profile_from_string(text, &config->default_profile) || will_not_do("xen, linux or none", error);
}

static bool read_alignment(Config *config, const char *text, GError **error) {
    uint64_t bytes;

    if (!number_parse_bytes(text, &bytes) || (bytes != 0 && bytes < PMEMD_FRAME_SIZE) || bytes > ALIGNMENT_MAX ||
        (bytes & (bytes - 1)) != 0)
        return will_not_do("0 (each raw region's own), or a power of two from 4K to 1T, such as 2M or 1G", error);
    config->default_alignment = bytes;
    return true;
}

static bool read_erase_rate(Config *config, const char *text, GError **error) {
    uint64_t rate;

    if (!number_parse_bytes(text, &rate) || (rate != 0 && rate < ERASE_RATE_MIN))
        return will_not_do("0 (no limit), or at least 1M; bytes a second, such as 512M or 2G", error);
    config->erase_rate = rate;
    return true;
}

static bool read_erase_verify(Config *config, const char *text, GError **error) {
    config->erase_verify_all = g_str_equal(text, "all");
    return config->erase_verify_all || g_str_equal(text, "samples") || will_not_do("samples or all", error);
}

static bool read_count(const char *text, guint least, guint most, guint *count, GError **error) {
    g_autofree char *allowed = NULL;
    guint64 number;

    if (g_ascii_string_to_unsigned(text, 10, least, most, &number, NULL)) {
        *count = (guint) number;
        return true;
    }
    allowed = g_strdup_printf("a number from %u to %u", least, most);
    return will_not_do(allowed, error);
}

static bool read_max_queue(Config *config, const char *text, GError **error) {
    return read_count(text, 1, COUNT_MAX, &config->max_queue, error);
}

static bool read_max_queue_per_user(Config *config, const char *text, GError **error) {
    return read_count(text, 1, COUNT_MAX, &config->max_queue_per_user, error);
}

static bool read_max_leases_per_user(Config *config, const char *text, GError **error) {
    return read_count(text, 0, REGIONS_MAX, &config->max_leases_per_user, error);
}

static bool read_max_regions_per_user(Config *config, const char *text, GError **error) {
    return read_count(text, 0, REGIONS_MAX, &config->max_regions_per_user, error);
}

static bool read_stuck_after(Config *config, const char *text, GError **error) {
    return read_count(text, 1, COUNT_MAX, &config->stuck_after_sec, error);
}

static bool read_health_poll(Config *config, const char *text, GError **error) {
    guint sec;

    if (!read_count(text, 0, COUNT_MAX, &sec, NULL) || (sec != 0 && sec < HEALTH_POLL_MIN))
        return will_not_do("0 (only at events), or a number of seconds from 10 to 65536", error);
    config->health_poll_sec = sec;
    return true;
}

typedef struct {
    const char *name;
    const char *otherwise; /* the default */
    ReadValue read;
    bool live; /* a reload applies it */
} Key;

static const Key key_table[] = {
    [CONFIG_BACKEND] = { "Backend", "ndctl", read_backend, false },
    [CONFIG_BUS] = { "Bus", "system", read_bus, false },
    [CONFIG_STATE_DIR] = { "StateDir", "/var/lib/pmemd", read_state_dir, false },
    [CONFIG_MANAGE] = { "Manage", "all", read_manage, true },
    [CONFIG_PERSISTENCE_DOMAIN] = { "PersistenceDomain", "require", read_persistence, true },
    [CONFIG_DEFAULT_PROFILE] = { "DefaultProfile", "xen", read_profile, true },
    [CONFIG_DEFAULT_ALIGNMENT] = { "DefaultAlignment", "0", read_alignment, true },
    [CONFIG_ERASE_RATE] = { "EraseRate", "0", read_erase_rate, true },
    [CONFIG_ERASE_VERIFY] = { "EraseVerify", "samples", read_erase_verify, true },
    [CONFIG_MAX_QUEUE] = { "MaxQueue", "256", read_max_queue, true },
    [CONFIG_MAX_QUEUE_PER_USER] = { "MaxQueuePerUser", "64", read_max_queue_per_user, true },
    [CONFIG_MAX_REGIONS_PER_USER] = { "MaxRegionsPerUser", "1024", read_max_regions_per_user, true },
    [CONFIG_MAX_LEASES_PER_USER] = { "MaxLeasesPerUser", "1024", read_max_leases_per_user, true },
    [CONFIG_STUCK_AFTER] = { "StuckAfterSec", "60", read_stuck_after, true },
    [CONFIG_HEALTH_POLL] = { "HealthPollSec", "300", read_health_poll, true },
};
G_STATIC_ASSERT(G_N_ELEMENTS(key_table) == N_CONFIG_KEYS);

/* source: "FILE:LINE", "option --bus"; NULL: the default. */
static bool set_value(Config *config, ConfigKey key, const char *text, const char *source, GError **error) {
    const Key *row = &key_table[key];
    g_autoptr(GError) local = NULL;

    if (!row->read(config, text, &local)) {
        g_autofree char *start = g_strndup(text, VALUE_SHOWN);
        g_autofree char *shown = g_strescape(start, NULL);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: %s=%s: %s", source ?: "default", row->name,
                    shown, local->message);
        return false;
    }
    keep_text(&config->texts[key], text);
    keep_text(&config->sources[key], source);
    return true;
}

/* --- files --- */

static char *where(const ConfFile *file, const char *group, const char *key) {
    return g_strdup_printf("%s:%u", file->path, conf_file_line(file, group, key));
}

static void warn(Config *config, const char *source, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void warn(Config *config, const char *source, const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *line = g_strdup_printf("%s: %s", source, text);
    g_ptr_array_add(config->warnings, g_strescape(line, NULL));
}

/* The value without blanks around it; NULL with error. */
static char *get_value(const ConfFile *file, const char *group, const char *key, GError **error) {
    g_autoptr(GError) local = NULL;
    /* A bad escape gives both, text and error. */
    g_autofree char *text = g_key_file_get_string(file->keys, group, key, &local);

    if (text && !local)
        return g_strstrip(g_steal_pointer(&text));
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "%s:%u: [%s] %s: the value is not UTF-8, or has a \\ without s, n, t, r or \\ behind it", file->path,
                conf_file_line(file, group, key), group, key);
    return NULL;
}

static bool read_key(Config *config, const ConfFile *file, const char *name, GError **error) {
    g_autofree char *source = where(file, GROUP, name);

    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++) {
        if (!g_str_equal(key_table[key].name, name))
            continue;
        g_autofree char *text = get_value(file, GROUP, name, error);
        return text && set_value(config, key, text, source, error);
    }
    warn(config, source, "unknown key %s in [" GROUP "], ignoring", name);
    return true;
}

static void quota_free(void *data) {
    ConfigQuota *quota = data;

    g_free(quota->name);
    g_free(quota->text);
    g_free(quota->source);
    g_free(quota);
}

/* "quota default", "quota user:NAME", "quota group:NAME". */
static bool parse_quota_group(const char *group, QuotaKind *ret_kind, const char **ret_name) {
    static const struct {
        const char *prefix;
        QuotaKind kind;
    } kinds[] = { { "user:", QUOTA_USER }, { "group:", QUOTA_GROUP } };
    const char *who = group + strlen(QUOTA_GROUP_PREFIX);

    if (g_str_equal(who, "default")) {
        *ret_kind = QUOTA_DEFAULT;
        *ret_name = "";
        return true;
    }
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const char *name = who + strlen(kinds[i].prefix);

        if (!g_str_has_prefix(who, kinds[i].prefix) || !*name || strlen(name) > QUOTA_NAME_MAX ||
            strcspn(name, " \t:/") != strlen(name))
            continue;
        *ret_kind = kinds[i].kind;
        *ret_name = name;
        return true;
    }
    return false;
}

static ConfigQuota *find_quota(const Config *config, QuotaKind kind, const char *name) {
    for (guint i = 0; i < config->quota_texts->len; i++) {
        ConfigQuota *quota = g_ptr_array_index(config->quota_texts, i);

        if (quota->kind == kind && g_str_equal(quota->name, name))
            return quota;
    }
    return NULL;
}

static bool read_quota(Config *config, const ConfFile *file, const char *group, GError **error) {
    g_auto(GStrv) keys = g_key_file_get_keys(file->keys, group, NULL, NULL);
    g_autofree char *header = where(file, group, NULL);
    const char *name;
    QuotaKind kind;
    uint64_t bytes = QUOTA_UNLIMITED;

    if (!parse_quota_group(group, &kind, &name)) {
        g_autofree char *shown = g_strescape(group, NULL);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s]: must be [quota default], [quota user:NAME] or [quota group:NAME], where NAME is a name "
                    "of 1 to %u bytes or a decimal id",
                    header, shown, QUOTA_NAME_MAX);
        return false;
    }
    for (char **key = keys; key && *key; key++)
        if (!g_str_equal(*key, QUOTA_KEY)) {
            g_autofree char *source = where(file, group, *key);

            warn(config, source, "unknown key %s in [%s], ignoring", *key, group);
        }
    if (!g_key_file_has_key(file->keys, group, QUOTA_KEY, NULL)) {
        warn(config, header, "[%s] has no " QUOTA_KEY "=, ignoring", group);
        return true;
    }

    g_autofree char *text = get_value(file, group, QUOTA_KEY, error);
    g_autofree char *source = where(file, group, QUOTA_KEY);
    if (!text)
        return false;
    if (!g_str_equal(text, "unlimited") && (!number_parse_bytes(text, &bytes) || bytes == QUOTA_UNLIMITED)) {
        g_autofree char *start = g_strndup(text, VALUE_SHOWN);
        g_autofree char *shown = g_strescape(start, NULL);

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s: [%s] " QUOTA_KEY "=%s: must be unlimited, or a number of bytes such as 0, 512M or 64G", source,
                    group, shown);
        return false;
    }
    ConfigQuota *quota = find_quota(config, kind, name);
    if (!quota) {
        quota = g_new0(ConfigQuota, 1);
        quota->kind = kind;
        quota->name = g_strdup(name);
        g_ptr_array_add(config->quota_texts, quota);
    }
    quota->bytes = bytes;
    keep_text(&quota->text, text);
    keep_text(&quota->source, source);
    return true;
}

static bool read_file(Config *config, const ConfFile *file, GError **error) {
    g_auto(GStrv) groups = g_key_file_get_groups(file->keys, NULL);

    for (char **group = groups; *group; group++) {
        if (g_str_equal(*group, GROUP)) {
            g_auto(GStrv) keys = g_key_file_get_keys(file->keys, GROUP, NULL, NULL);

            for (char **key = keys; key && *key; key++)
                if (!read_key(config, file, *key, error))
                    return false;
        } else if (g_str_has_prefix(*group, QUOTA_GROUP_PREFIX)) {
            if (!read_quota(config, file, *group, error))
                return false;
        } else {
            g_autofree char *source = where(file, *group, NULL);

            warn(config, source, "unknown group [%s], ignoring", *group);
        }
    }
    return true;
}

/* --- the public face --- */

Config *config_from_files(const GPtrArray *files, GError **error) {
    g_autoptr(Config) config = g_new0(Config, 1);

    config->quotas = quota_table_new();
    config->quota_texts = g_ptr_array_new_with_free_func(quota_free);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        if (!set_value(config, key, key_table[key].otherwise, NULL, error))
            return NULL;
    for (guint i = 0; i < files->len; i++)
        if (!read_file(config, g_ptr_array_index(files, i), error))
            return NULL;
    for (guint i = 0; i < config->quota_texts->len; i++) {
        const ConfigQuota *quota = g_ptr_array_index(config->quota_texts, i);

        quota_table_set(config->quotas, quota->kind, quota->name, quota->bytes);
    }
    return g_steal_pointer(&config);
}

Config *config_load(const char *path, GError **error) {
    static const char *const system_dirs[] = CONFIG_DIRS;
    g_autofree char *own_dir = path ? g_strconcat(path, ".d", NULL) : NULL;
    const char *own_dirs[] = { own_dir, NULL };
    g_autoptr(GPtrArray) files =
        conf_file_read_all(path ?: CONFIG_PATH, path != NULL, path ? own_dirs : system_dirs, error);

    return files ? config_from_files(files, error) : NULL;
}

void config_free(Config *config) {
    if (!config)
        return;
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++) {
        g_free(config->texts[key]);
        g_free(config->sources[key]);
    }
    g_free(config->bus);
    g_free(config->backend);
    g_free(config->state_dir);
    manage_list_unref(config->manage);
    quota_table_unref(config->quotas);
    g_clear_pointer(&config->quota_texts, g_ptr_array_unref);
    g_clear_pointer(&config->warnings, g_ptr_array_unref);
    g_free(config);
}

bool config_override(Config *config, ConfigKey key, const char *text, const char *source, GError **error) {
    return set_value(config, key, text, source, error);
}

/* One name, asked for on another thread; text: a copy. */
typedef struct {
    QuotaKind kind;
    char *name;
    bool known;
} NameCheck;

static void name_check_run(void *data) {
    NameCheck *check = data;

    check->known = quota_name_is_known(check->kind, check->name);
}

static void name_check_free(void *data) {
    NameCheck *check = data;

    g_free(check->name);
    g_free(check);
}

/* Name services that do not answer are no reason for a warning. */
static bool name_may_be_known(Patience *patience, const ConfigQuota *quota) {
    NameCheck *check = g_new0(NameCheck, 1);

    check->kind = quota->kind;
    check->name = g_strdup(quota->name);
    if (!patience_run(patience, name_check_run, check, name_check_free))
        return true;
    bool known = check->known;
    name_check_free(check);
    return known;
}

void config_check_names(Config *config) {
    g_autoptr(Patience) patience = patience_new();

    for (guint i = 0; i < config->quota_texts->len; i++) {
        const ConfigQuota *quota = g_ptr_array_index(config->quota_texts, i);
        const char *kind = quota->kind == QUOTA_USER ? "user" : "group";

        if (!name_may_be_known(patience, quota))
            warn(config, quota->source, "this host knows no %s %s now: the quota counts once it does", kind,
                 quota->name);
    }
}

char *config_restart_needed(const Config *old_config, const Config *new_config) {
    g_autoptr(GString) names = g_string_new(NULL);

    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        if (!key_table[key].live && !g_str_equal(old_config->texts[key], new_config->texts[key]))
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", key_table[key].name);
    return names->len > 0 ? g_strdup(names->str) : NULL;
}

/* A value as it stands in a key file. */
static void append_value(GString *text, const char *group, const char *key, const char *value, const char *source) {
    g_autoptr(GKeyFile) file = g_key_file_new();

    g_key_file_set_string(file, group, key, value);
    g_autofree char *escaped = g_key_file_get_value(file, group, key, NULL);
    g_string_append_printf(text, "# %s\n%s=%s\n", source ?: "default", key, escaped);
}

char *config_to_string(const Config *config) {
    GString *text = g_string_new("[" GROUP "]\n");

    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        append_value(text, GROUP, key_table[key].name, config->texts[key], config->sources[key]);
    for (guint i = 0; i < config->quota_texts->len; i++) {
        const ConfigQuota *quota = g_ptr_array_index(config->quota_texts, i);
        static const char *const kinds[] = {
            [QUOTA_DEFAULT] = "default", [QUOTA_USER] = "user:", [QUOTA_GROUP] = "group:"
        };
        g_autofree char *group = g_strconcat(QUOTA_GROUP_PREFIX, kinds[quota->kind], quota->name, NULL);

        g_string_append_printf(text, "\n[%s]\n", group);
        append_value(text, group, QUOTA_KEY, quota->text, quota->source);
    }
    return g_string_free(text, FALSE);
}
