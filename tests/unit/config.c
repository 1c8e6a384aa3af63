/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The configuration: defaults, every key, quotas, what is refused and what is only warned about, and with which line. */
#include "daemon/config.h"

#include "daemon/conf-file.h"
#include "proto/error.h"

#include <glib/gstdio.h>
#include <string.h>

/* The configuration of up to three files a.conf, b.conf, c.conf. */
static Config *load(const char *a, const char *b, const char *c, GError **error) {
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify) conf_file_free);
    const char *const texts[] = { a, b, c }, *const names[] = { "a.conf", "b.conf", "c.conf" };

    for (guint i = 0; i < G_N_ELEMENTS(texts) && texts[i]; i++) {
        ConfFile *file = conf_file_parse(names[i], texts[i], strlen(texts[i]), error);

        if (!file)
            return NULL;
        g_ptr_array_add(files, file);
    }
    return config_from_files(files, error);
}

static void assert_defaults(const Config *config) {
    g_assert_cmpstr(config->bus, ==, "system");
    g_assert_cmpstr(config->backend, ==, "ndctl");
    g_assert_cmpstr(config->state_dir, ==, "/var/lib/pmemd");
    g_assert_cmpint(config->default_profile, ==, PROFILE_XEN);
    g_assert_cmpuint(config->default_alignment, ==, 0);
    g_assert_cmpint(config->persistence, ==, CONFIG_PERSISTENCE_REQUIRE);
    g_assert_true(manage_list_has(config->manage, 1, NULL, NULL));
    g_assert_cmpuint(config->erase_rate, ==, 0);
    g_assert_false(config->erase_verify_all);
    g_assert_cmpuint(config->max_queue, ==, 256);
    g_assert_cmpuint(config->max_queue_per_user, ==, 64);
    g_assert_cmpuint(config->max_regions_per_user, ==, 1024);
    g_assert_cmpuint(config->max_leases_per_user, ==, 1024);
    g_assert_cmpuint(config->stuck_after_sec, ==, 60);
    g_assert_cmpuint(config->health_poll_sec, ==, 300);
    g_assert_cmpuint(config->quota_texts->len, ==, 0);
    g_assert_cmpuint(config->warnings->len, ==, 0);
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        g_assert_null(config->sources[key]);
}

static void test_defaults(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) none = load(NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    assert_defaults(none);

    g_autoptr(Config) empty = load("", "[pmemd]\n", "# nothing", &error);
    g_assert_no_error(error);
    assert_defaults(empty);

    g_assert_null(config_load("/nonexistent/pmemd.conf", &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
}

static const char *const all_keys =
    "# a comment\n[pmemd]\nBus=unix:path=/run/x\nBackend=file:/srv/pmem\nStateDir=/srv/state\nManage=0x100 dimm:a\n"
    "PersistenceDomain=warn\nDefaultProfile=none\nDefaultAlignment=1G\nEraseRate=64M\nMaxQueue=65536\n"
    "MaxQueuePerUser=1\nMaxRegionsPerUser=0\nMaxLeasesPerUser=7\nStuckAfterSec=3\nHealthPollSec=10\nEraseVerify=all\n";

static void test_all_keys(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(all_keys, NULL, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(config->bus, ==, "unix:path=/run/x");
    g_assert_cmpstr(config->backend, ==, "file:/srv/pmem");
    g_assert_cmpstr(config->state_dir, ==, "/srv/state");
    g_assert_true(manage_list_has(config->manage, 0x100, NULL, NULL));
    g_assert_false(manage_list_has(config->manage, 0x101, NULL, NULL));
    g_assert_cmpint(config->persistence, ==, CONFIG_PERSISTENCE_WARN);
    g_assert_cmpint(config->default_profile, ==, PROFILE_NONE);
    g_assert_cmpuint(config->default_alignment, ==, 1 << 30);
    g_assert_cmpuint(config->erase_rate, ==, 64 << 20);
    g_assert_true(config->erase_verify_all);
    g_assert_cmpuint(config->max_queue, ==, 65536);
    g_assert_cmpuint(config->max_queue_per_user, ==, 1);
    g_assert_cmpuint(config->max_regions_per_user, ==, 0);
    g_assert_cmpuint(config->max_leases_per_user, ==, 7);
    g_assert_cmpuint(config->stuck_after_sec, ==, 3);
    g_assert_cmpuint(config->health_poll_sec, ==, 10);
    g_assert_cmpuint(config->warnings->len, ==, 0);
    /* The third line is Bus=, and each key has one. */
    g_assert_cmpstr(config->sources[CONFIG_BUS], ==, "a.conf:3");
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        g_assert_nonnull(config->sources[key]);
}

static void test_later_wins(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load("[pmemd]\nMaxQueue=1\nMaxQueuePerUser=2\n", "[pmemd]\n\n MaxQueue = 3 \n",
                                    "[pmemd]\nMaxQueuePerUser=4\nMaxQueuePerUser=5\n", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(config->max_queue, ==, 3);
    g_assert_cmpstr(config->sources[CONFIG_MAX_QUEUE], ==, "b.conf:3");
    g_assert_cmpuint(config->max_queue_per_user, ==, 5);
    g_assert_cmpstr(config->sources[CONFIG_MAX_QUEUE_PER_USER], ==, "c.conf:3");
}

static void test_quotas(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config =
        load("[quota user:alice]\nBytes=1G\n[quota group:vms]\nBytes=2T\n[quota default]\nBytes=0\n",
             "[quota user:alice]\nBytes=unlimited\n[quota user:1000]\nBytes=5\n", NULL, &error);
    const char *const groups[] = { "vms", NULL };
    QuotaLimit limit;

    g_assert_no_error(error);
    g_assert_cmpuint(config->warnings->len, ==, 0);
    quota_table_choose(config->quotas, 7, "alice", groups, &limit);
    g_assert_false(limit.limited);
    quota_table_choose(config->quotas, 1000, NULL, groups, &limit);
    g_assert_true(limit.limited && limit.bytes == 5);
    quota_table_choose(config->quotas, 7, "bob", groups, &limit);
    g_assert_true(limit.limited && limit.bytes == UINT64_C(2) << 40);
    quota_table_choose(config->quotas, 7, "bob", NULL, &limit);
    g_assert_true(limit.limited && limit.bytes == 0);
}

static void test_unknown_is_warned_about(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load("[pmemd]\nMaxQeue=1\n[pmem]\nBus=nonsense\n",
                                    "\n[quota user:alice]\n# later\n[quota default]\nByte=1\nBytes=1\n", NULL, &error);
    static const char *const wanted[] = {
        "a.conf:2: unknown key MaxQeue in [pmemd], ignoring",
        "a.conf:3: unknown group [pmem], ignoring",
        "b.conf:2: [quota user:alice] has no Bytes=, ignoring",
        "b.conf:5: unknown key Byte in [quota default], ignoring",
    };

    g_assert_no_error(error);
    g_assert_cmpuint(config->warnings->len, ==, G_N_ELEMENTS(wanted));
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_cmpstr(config->warnings->pdata[i], ==, wanted[i]);
    g_assert_cmpuint(config->max_queue, ==, 256);
}

static void test_names_are_checked(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load("[quota user:no-such-user-here]\nBytes=1\n[quota user:root]\nBytes=1\n"
                                    "[quota group:no-such-group-here]\nBytes=1\n[quota group:12345]\nBytes=1\n",
                                    NULL, NULL, &error);

    g_assert_no_error(error);
    config_check_names(config);
    g_assert_cmpuint(config->warnings->len, ==, 2);
    g_assert_true(g_str_has_prefix(config->warnings->pdata[0], "a.conf:2: this host knows no user no-such-user-here"));
    g_assert_true(g_str_has_prefix(config->warnings->pdata[1], "a.conf:6: this host knows no group no-such-group"));
}

static void test_refused(void) {
    static const struct {
        const char *text, *key, *value, *allowed;
    } rows[] = {
        { "Bus=nonsense", "Bus", "nonsense", "system" },
        { "Bus=", "Bus", "=:", "system" },
        { "Backend=file:", "Backend", "file:", "file:DIR" },
        { "Backend=file:pmem", "Backend", "file:pmem", "absolute" },
        { "Backend=sysfs", "Backend", "sysfs", "ndctl" },
        { "StateDir=state", "StateDir", "state", "absolute" },
        { "Manage=region0", "Manage", "region0", "dimm:ID" },
        { "Manage=", "Manage", "", "none" },
        { "PersistenceDomain=yes", "PersistenceDomain", "yes", "require" },
        { "DefaultProfile=XEN", "DefaultProfile", "XEN", "linux" },
        { "DefaultAlignment=2K", "DefaultAlignment", "2K", "4K" },
        { "DefaultAlignment=3M", "DefaultAlignment", "3M", "power of two" },
        { "DefaultAlignment=2T", "DefaultAlignment", "2T", "1T" },
        { "EraseVerify=yes", "EraseVerify", "yes", "samples or all" },
        { "EraseRate=1", "EraseRate", "1", "1M" },
        { "EraseRate=-1", "EraseRate", "-1", "1M" },
        { "EraseRate=512MB", "EraseRate", "512MB", "such as 512M" },
        { "DefaultAlignment=2MB", "DefaultAlignment", "2MB", "such as 2M" },
        { "EraseRate=99999999999999T", "EraseRate", "99999999999999T", "1M" },
        { "MaxQueue=0", "MaxQueue", "0", "1 to 65536" },
        { "MaxQueue=65537", "MaxQueue", "65537", "65536" },
        { "MaxQueue=18446744073709551617", "MaxQueue", "18446744073709551617", "65536" },
        { "MaxQueuePerUser=-1", "MaxQueuePerUser", "-1", "65536" },
        { "MaxQueuePerUser=ten", "MaxQueuePerUser", "ten", "65536" },
        { "MaxRegionsPerUser=1048577", "MaxRegionsPerUser", "1048577", "1048576" },
        { "HealthPollSec=9", "HealthPollSec", "9", "10 to 65536" },
        { "HealthPollSec=65537", "HealthPollSec", "65537", "10 to 65536" },
        { "HealthPollSec=never", "HealthPollSec", "never", "0 (only" },
        { "StuckAfterSec=0", "StuckAfterSec", "0", "1 to 65536" },
        { "Bus=a\\", "Bus", "\\", "UTF-8" },
        { "Bus=a\\q", "Bus", "\\", "UTF-8" },
        { "Bus=\xff", "Bus", "Bus", "UTF-8" },
        { "MaxQueue=\x1b[1m", "MaxQueue", "\\033[1m", "65536" },
        { "[quota default]\nBytes=1X", "[quota default] Bytes", "1X", "unlimited" },
        { "[quota default]\nBytes=", "[quota default] Bytes", "=", "unlimited" },
        { "[quota default]\nBytes=18446744073709551615", "Bytes", "18446744073709551615", "unlimited" },
        { "\n[quota alice]", "[quota alice]", "alice", "[quota user:NAME]" },
        { "\n[quota user:]", "[quota user:]", "user", "[quota user:NAME]" },
        { "\n[quota user:a b]", "[quota user:a b]", "user", "[quota user:NAME]" },
        { "\n[quota user:123456789012345678901234567890123]", "1234", "user", "32 bytes" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[pmemd]\n%s\n", rows[i].text);
        g_autofree char *place = g_strdup_printf("b.conf:%d: ", strchr(rows[i].text, '\n') ? 3 : 2);
        g_autofree char *shown = g_strescape(rows[i].text, NULL);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", shown);
        g_assert_null(load("[pmemd]\n\n\n\n", text, NULL, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_test_message("%s", error->message);
        g_assert_true(g_str_has_prefix(error->message, place));
        g_assert_nonnull(strstr(error->message, rows[i].key));
        g_assert_nonnull(strstr(error->message, rows[i].value));
        g_assert_nonnull(strstr(error->message, rows[i].allowed));
        g_assert_null(strpbrk(error->message, "\n\x1b"));
    }
}

static void test_override(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(all_keys, NULL, NULL, &error);

    g_assert_true(config_override(config, CONFIG_BUS, "session", "option --bus", &error));
    g_assert_cmpstr(config->bus, ==, "session");
    g_assert_cmpstr(config->sources[CONFIG_BUS], ==, "option --bus");
    g_assert_false(config_override(config, CONFIG_BACKEND, "nonsense", "option --backend", &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_true(g_str_has_prefix(error->message, "option --backend: Backend=nonsense: "));
    g_assert_cmpstr(config->backend, ==, "file:/srv/pmem");
}

static void test_restart_needed(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load(all_keys, NULL, NULL, &error);
    g_autoptr(Config) live =
        load(all_keys, "[pmemd]\nManage=none\nPersistenceDomain=ignore\nMaxQueue=7\nEraseRate=0\n", NULL, &error);
    g_autoptr(Config) other = load(all_keys, "[pmemd]\nBus=system\nStateDir=/srv/other\n", NULL, &error);

    g_assert_null(config_restart_needed(config, live));
    g_autofree char *names = config_restart_needed(config, other);
    g_assert_cmpstr(names, ==, "Bus, StateDir");
}

/* What is shown is a configuration that gives the same again, and says where all is from. */
static void test_to_string(void) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = load("[pmemd]\nStateDir=/srv/a\\\\b\n[quota user:alice]\nBytes=1G\n",
                                    "[quota default]\nBytes=unlimited\n", NULL, &error);
    g_assert_no_error(error);
    g_autofree char *text = config_to_string(config);
    g_autoptr(Config) again = load(text, NULL, NULL, &error);
    g_assert_no_error(error);

    g_test_message("%s", text);
    g_assert_nonnull(strstr(text, "\n# default\nBus=system\n"));
    g_assert_nonnull(strstr(text, "\n# a.conf:2\nStateDir=/srv/a\\\\b\n"));
    g_assert_nonnull(strstr(text, "\n[quota user:alice]\n# a.conf:4\nBytes=1G\n"));
    g_assert_nonnull(strstr(text, "\n[quota default]\n# b.conf:2\nBytes=unlimited\n"));
    g_assert_cmpuint(again->warnings->len, ==, 0);
    for (ConfigKey key = 0; key < N_CONFIG_KEYS; key++)
        g_assert_cmpstr(again->texts[key], ==, config->texts[key]);
}

/* FILE goes with FILE.d, and no other drop-ins. */
static void test_load_file(void) {
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("pmemd-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "my.conf", NULL), *drops = g_strconcat(path, ".d", NULL);
    g_autofree char *drop = g_build_filename(drops, "10-queue.conf", NULL);

    g_assert_true(g_file_set_contents(path, "[pmemd]\nMaxQueue=1\nMaxQueuePerUser=1\n", -1, NULL));
    g_autoptr(Config) alone = config_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(alone->max_queue, ==, 1);

    g_assert_cmpint(g_mkdir(drops, 0700), ==, 0);
    g_assert_true(g_file_set_contents(drop, "[pmemd]\nMaxQueue=2\n", -1, NULL));
    g_autoptr(Config) both = config_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(both->max_queue, ==, 2);
    g_assert_cmpuint(both->max_queue_per_user, ==, 1);
    g_assert_true(g_str_has_suffix(both->sources[CONFIG_MAX_QUEUE], "/my.conf.d/10-queue.conf:2"));

    g_assert_true(g_file_set_contents(drop, "[pmemd]\nMaxQueue=x\n", -1, NULL));
    g_assert_null(config_load(path, &error));
    g_assert_true(g_str_has_prefix(error->message, drop));
    g_unlink(drop);
    g_rmdir(drops);
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/all-keys", test_all_keys);
    g_test_add_func("/config/later-wins", test_later_wins);
    g_test_add_func("/config/quotas", test_quotas);
    g_test_add_func("/config/unknown-is-warned-about", test_unknown_is_warned_about);
    g_test_add_func("/config/names-are-checked", test_names_are_checked);
    g_test_add_func("/config/refused", test_refused);
    g_test_add_func("/config/override", test_override);
    g_test_add_func("/config/restart-needed", test_restart_needed);
    g_test_add_func("/config/to-string", test_to_string);
    g_test_add_func("/config/load-file", test_load_file);
    return g_test_run();
}
