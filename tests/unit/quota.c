/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Quotas: which one counts for whom, by names alone and by what this host knows of root. */
#include "daemon/quota.h"

#include <pwd.h>
#include <unistd.h>

static void expect(const QuotaTable *table, uint32_t uid, const char *user, const char *const *groups, bool limited,
                   uint64_t bytes, const char *source) {
    QuotaLimit limit = { .bytes = 77 };

    quota_table_choose(table, uid, user, groups, &limit);
    g_assert_cmpint(limit.limited, ==, limited);
    if (limited) {
        g_assert_cmpuint(limit.bytes, ==, bytes);
        g_assert_cmpstr(limit.source, ==, source);
    }
}

static void test_order(void) {
    g_autoptr(QuotaTable) table = quota_table_new();
    const char *const groups[] = { "vms", "kvm", "other", NULL }, *const none[] = { "other", NULL };

    expect(table, 1000, "alice", groups, false, 0, NULL);
    quota_table_set(table, QUOTA_DEFAULT, "", 1);
    expect(table, 1000, "alice", groups, true, 1, "default");
    quota_table_set(table, QUOTA_GROUP, "vms", 10);
    quota_table_set(table, QUOTA_GROUP, "kvm", 20);
    expect(table, 1000, "alice", groups, true, 20, "group kvm");
    expect(table, 1000, "alice", none, true, 1, "default");
    expect(table, 1000, NULL, NULL, true, 1, "default");
    quota_table_set(table, QUOTA_GROUP, "vms", QUOTA_UNLIMITED);
    expect(table, 1000, "alice", groups, false, 0, NULL);
    quota_table_set(table, QUOTA_USER, "1000", 5);
    expect(table, 1000, "alice", groups, true, 5, "user 1000");
    quota_table_set(table, QUOTA_USER, "alice", 0);
    expect(table, 1000, "alice", groups, true, 0, "user alice");
    quota_table_set(table, QUOTA_USER, "alice", QUOTA_UNLIMITED);
    expect(table, 1000, "alice", groups, false, 0, NULL);
    expect(table, 4294967294u, "bob", NULL, true, 1, "default");
}

static void test_root_is_exempt(void) {
    g_autoptr(QuotaTable) table = quota_table_new();
    QuotaLimit limit = { .limited = true };

    quota_table_set(table, QUOTA_DEFAULT, "", 0);
    quota_table_set(table, QUOTA_USER, "root", 0);
    quota_table_set(table, QUOTA_USER, "0", 0);
    expect(table, 0, "root", NULL, false, 0, NULL);
    quota_table_find(table, NULL, 0, &limit);
    g_assert_false(limit.limited);
}

/* What the files of this host say: every host has the user and the group of 65534. */
static void test_find(void) {
    g_autoptr(QuotaTable) table = quota_table_new();
    const struct passwd *pw = getpwuid(65534);
    QuotaLimit limit;

    g_assert_nonnull(pw);
    g_autofree char *name = g_strdup(pw->pw_name), *gid = g_strdup_printf("%u", pw->pw_gid);
    quota_table_set(table, QUOTA_DEFAULT, "", 1);
    quota_table_set(table, QUOTA_GROUP, "root", 9);
    quota_table_set(table, QUOTA_GROUP, "no-such-group-here", 9);
    quota_table_find(table, NULL, 65534, &limit);
    g_assert_cmpstr(limit.source, ==, "default");
    quota_table_set(table, QUOTA_GROUP, gid, 2);
    quota_table_find(table, NULL, 65534, &limit);
    g_assert_true(limit.limited && limit.bytes == 2);
    quota_table_set(table, QUOTA_USER, name, 3);
    quota_table_find(table, NULL, 65534, &limit);
    g_assert_true(limit.limited && limit.bytes == 3);
    quota_table_find(table, NULL, 3999999999u, &limit); /* nobody has it */
    g_assert_true(limit.limited && limit.bytes == 1);

    g_assert_true(quota_name_is_known(QUOTA_USER, name));
    g_assert_true(quota_name_is_known(QUOTA_GROUP, gid));
    g_assert_true(quota_name_is_known(QUOTA_DEFAULT, ""));
    g_assert_false(quota_name_is_known(QUOTA_USER, "no-such-user-here"));
    g_assert_false(quota_name_is_known(QUOTA_GROUP, "no-such-group-here"));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quota/order", test_order);
    g_test_add_func("/quota/root-is-exempt", test_root_is_exempt);
    g_test_add_func("/quota/find", test_find);
    return g_test_run();
}
