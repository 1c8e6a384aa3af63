/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/lease.h"

#include <string.h>

static void test_owner(void) {
    char owner[PMEMD_LEASE_OWNER_MAX + 2];

    g_assert_true(pmemd_lease_owner_is_valid("x"));
    g_assert_true(pmemd_lease_owner_is_valid("6a5b1a4e-2d6c-4d3e-9c55-0f6f4b1f2a10"));
    g_assert_true(pmemd_lease_owner_is_valid("a guest, of \"somebody's\" <&>%s$(x)"));
    for (int length = 1; length <= PMEMD_LEASE_OWNER_MAX + 1; length++) {
        memset(owner, 'o', (size_t) length);
        owner[length] = '\0';
        g_assert_cmpint(pmemd_lease_owner_is_valid(owner), ==, length <= PMEMD_LEASE_OWNER_MAX);
    }
    g_assert_false(pmemd_lease_owner_is_valid(NULL));
    g_assert_false(pmemd_lease_owner_is_valid(""));
    g_assert_false(pmemd_lease_owner_is_valid(" "));
    g_assert_false(pmemd_lease_owner_is_valid(" x"));
    g_assert_false(pmemd_lease_owner_is_valid("x "));
    for (int c = 1; c < 256; c++) {
        const char text[] = { 'a', (char) c, 'b', 0 };

        g_assert_cmpint(pmemd_lease_owner_is_valid(text), ==, c >= 0x20 && c < 0x7f);
    }
}

static void test_whose(void) {
    char owner[] = "vm1", user[] = "alice";
    Lease lease = { .owner = owner, .user = user, .uid = 1000, .since = UINT64_C(1769860800000000) };

    g_assert_false(lease_is_held(NULL));
    g_assert_false(lease_is_of(NULL, "vm1", 1000));
    g_assert_true(lease_is_held(&lease));
    g_assert_true(lease_is_of(&lease, "vm1", 1000));
    g_assert_false(lease_is_of(&lease, "vm1", 1001)); /* who says the same is not the same */
    g_assert_false(lease_is_of(&lease, "vm", 1000));
    lease.ended = true;
    g_assert_false(lease_is_held(&lease));
    g_assert_true(lease_is_of(&lease, "vm1", 1000));

    g_autofree char *text = lease_describe(&lease);
    g_assert_cmpstr(text, ==, "'vm1' of user alice (uid 1000) since 2026-01-31T12:00:00Z");
    user[0] = '\0';
    lease.since = UINT64_MAX; /* past what a calendar has */
    g_autofree char *unknown = lease_describe(&lease);
    g_assert_cmpstr(unknown, ==, "'vm1' of user ? (uid 1000) since an unknown time");
    lease_free(NULL);
}

static void test_until(void) {
    bool disconnect = true;

    g_assert_true(lease_until_from_string("detach", &disconnect) && !disconnect);
    g_assert_true(lease_until_from_string("disconnect", &disconnect) && disconnect);
    g_assert_false(lease_until_from_string("", &disconnect));
    g_assert_false(lease_until_from_string("Detach", &disconnect));
    g_assert_cmpstr(lease_until_to_string(true), ==, "disconnect");
    g_assert_cmpstr(lease_until_to_string(false), ==, "detach");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lease/owner", test_owner);
    g_test_add_func("/lease/whose", test_whose);
    g_test_add_func("/lease/until", test_until);
    return g_test_run();
}
