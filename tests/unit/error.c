/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of proto/error: the table is whole, each name is a valid D-Bus error name, unique, and leads back to its
 * code. */
#include "proto/error.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

static void test_table(void) {
    for (int i = 0; i < PMEMD_N_ERRORS; i++) {
        const char *name = pmemd_error_dbus_name(i);

        g_assert_true(g_str_has_prefix(name, "org.pmemd1.Error."));
        g_assert_true(sd_bus_interface_name_is_valid(name)); /* error names follow the rules of interface names */
        g_assert_cmpint(pmemd_error_from_dbus_name(name), ==, i);
        g_assert_cmpint(pmemd_error_errno(i), >, 0);
    }
}

/* These are fixed by the interface: a client may have them compiled in. */
static void test_fixed(void) {
    g_assert_cmpstr(pmemd_error_dbus_name(PMEMD_ERROR_INVALID_ARGUMENT), ==, "org.pmemd1.Error.InvalidArgument");
    g_assert_cmpint(pmemd_error_errno(PMEMD_ERROR_INVALID_ARGUMENT), ==, EINVAL);
    g_assert_cmpstr(pmemd_error_dbus_name(PMEMD_ERROR_EXISTS), ==, "org.pmemd1.Error.Exists");
    g_assert_cmpint(pmemd_error_errno(PMEMD_ERROR_EXISTS), ==, EEXIST);
    g_assert_cmpstr(pmemd_error_dbus_name(PMEMD_ERROR_NO_SUCH_MGMT), ==, "org.pmemd1.Error.NoSuchMgmt");
    g_assert_cmpint(pmemd_error_errno(PMEMD_ERROR_NO_SUCH_MGMT), ==, ENXIO);
    g_assert_cmpstr(pmemd_error_dbus_name(PMEMD_ERROR_NO_SPACE), ==, "org.pmemd1.Error.NoSpace");
    g_assert_cmpint(pmemd_error_errno(PMEMD_ERROR_NO_SPACE), ==, ENOSPC);
    g_assert_cmpstr(pmemd_error_dbus_name(PMEMD_ERROR_BUSY), ==, "org.pmemd1.Error.Busy");
    g_assert_cmpint(pmemd_error_errno(PMEMD_ERROR_BUSY), ==, EBUSY);
    g_assert_cmpstr(g_quark_to_string(PMEMD_ERROR), ==, "pmemd-error-quark");
}

static void test_outside(void) {
    static const int codes[] = { -1, PMEMD_N_ERRORS, G_MAXINT, G_MININT };

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_assert_cmpstr(pmemd_error_dbus_name(codes[i]), ==, pmemd_error_dbus_name(PMEMD_ERROR_INTERNAL));
        g_assert_cmpint(pmemd_error_errno(codes[i]), ==, EPROTO);
    }
    g_assert_cmpint(pmemd_error_from_dbus_name(NULL), ==, -1);
    g_assert_cmpint(pmemd_error_from_dbus_name(""), ==, -1);
    g_assert_cmpint(pmemd_error_from_dbus_name("org.pmemd1.Error."), ==, -1);
    g_assert_cmpint(pmemd_error_from_dbus_name("org.pmemd1.Error.exists"), ==, -1);
    g_assert_cmpint(pmemd_error_from_dbus_name("org.freedesktop.DBus.Error.NoReply"), ==, -1);
}

static void test_from_errno(void) {
    g_assert_cmpint(pmemd_error_from_errno(ENOSPC), ==, PMEMD_ERROR_NO_SPACE);
    g_assert_cmpint(pmemd_error_from_errno(EBUSY), ==, PMEMD_ERROR_BUSY);
    g_assert_cmpint(pmemd_error_from_errno(EROFS), ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpint(pmemd_error_from_errno(EPERM), ==, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(pmemd_error_from_errno(EMFILE), ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    g_assert_cmpint(pmemd_error_from_errno(EIO), ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(pmemd_error_from_errno(0), ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(pmemd_error_from_errno(-ENOSPC), ==, PMEMD_ERROR_HARDWARE);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/table", test_table);
    g_test_add_func("/error/fixed", test_fixed);
    g_test_add_func("/error/outside", test_outside);
    g_test_add_func("/error/from-errno", test_from_errno);
    return g_test_run();
}
