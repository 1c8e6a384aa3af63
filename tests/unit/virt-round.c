/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What a round does, by libvirt's own test driver: a libvirt in this process, which has one pool of its own. */
#include "client/libvirt/virt-round.h"

#include <libvirt/virterror.h>
#include <string.h>

#define ONE "0f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c0"
#define TWO "1f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c1"
#define PARENT "/run/pmemd/pools"

static void on_error(void *data, virErrorPtr error) {
}

static virConnectPtr connect_to_test(void) {
    virSetErrorFunc(NULL, on_error);
    virConnectPtr c = virConnectOpen("test:///default");
    g_assert_nonnull(c);
    return c;
}

/* A round over the pool of uuid, or over none; what came of it. */
static VirtRound *run(virConnectPtr c, const char *uuid, const char *name, bool mounted) {
    g_autofree char *directory = name ? g_build_filename(PARENT, name, NULL) : NULL;

    VirtRound *round = virt_round_new(PARENT);
    if (uuid)
        virt_round_add(round, uuid, name, directory, mounted);
    virt_round_run(round, c);
    return round;
}

static void run_over_none(virConnectPtr c) {
    g_autoptr(VirtRound) round = run(c, NULL, NULL, false);

    g_assert_cmpuint(round->pools->len, ==, 0);
}

static VirtRoundPool *first(const VirtRound *round) {
    return round->pools->pdata[0];
}

/* "": libvirt has none of this name. Free: g_free. */
static char *target_of(virConnectPtr c, const char *name) {
    virStoragePoolPtr pool = virStoragePoolLookupByName(c, name);

    if (!pool)
        return g_strdup("");
    char *xml = virStoragePoolGetXMLDesc(pool, 0);
    char *target = virt_round_target(xml);
    free(xml);
    virStoragePoolFree(pool);
    return target;
}

static void assert_target(virConnectPtr c, const char *name, const char *expected) {
    g_autofree char *target = target_of(c, name);
    g_assert_cmpstr(target, ==, expected);
}

static void define(virConnectPtr c, const char *uuid, const char *name, const char *directory) {
    g_autofree char *xml = virt_round_pool_xml(uuid, name, directory);
    virStoragePoolPtr pool = virStoragePoolDefineXML(c, xml, 0);

    g_assert_nonnull(pool);
    virStoragePoolFree(pool);
}

static void undefine(virConnectPtr c, const char *name) {
    virStoragePoolPtr pool = virStoragePoolLookupByName(c, name);

    g_assert_nonnull(pool);
    if (virStoragePoolIsActive(pool) > 0)
        g_assert_cmpint(virStoragePoolDestroy(pool), ==, 0);
    g_assert_cmpint(virStoragePoolUndefine(pool), ==, 0);
    virStoragePoolFree(pool);
}

static void test_life(void) {
    virConnectPtr c = connect_to_test();
    int autostart = 0;

    g_autoptr(VirtRound) enabled = run(c, ONE, "pool0", true);
    g_assert_cmpstr(first(enabled)->libvirt, ==, "active");
    g_assert_null(first(enabled)->problem);
    virStoragePoolPtr pool = virStoragePoolLookupByUUIDString(c, ONE);
    g_assert_cmpstr(virStoragePoolGetName(pool), ==, "pool0");
    g_assert_cmpint(virStoragePoolGetAutostart(pool, &autostart), ==, 0);
    g_assert_true(autostart);
    assert_target(c, "pool0", PARENT "/pool0");

    /* Stopped behind our back, it is started again; without its directory it is stopped and stays defined. */
    g_assert_cmpint(virStoragePoolDestroy(pool), ==, 0);
    g_autoptr(VirtRound) again = run(c, ONE, "pool0", true);
    g_assert_cmpstr(first(again)->libvirt, ==, "active");
    g_assert_cmpint(virStoragePoolIsActive(pool), ==, 1);
    g_autoptr(VirtRound) unmounted = run(c, ONE, "pool0", false);
    g_assert_cmpstr(first(unmounted)->libvirt, ==, "inactive");
    g_assert_cmpint(virStoragePoolIsActive(pool), ==, 0);
    virStoragePoolFree(pool);

    g_autoptr(VirtRound) renamed = run(c, ONE, "other", true);
    g_assert_cmpstr(first(renamed)->libvirt, ==, "active");
    assert_target(c, "pool0", "");
    assert_target(c, "other", PARENT "/other");

    run_over_none(c);
    assert_target(c, "other", "");
    assert_target(c, "default-pool", "/default-pool");
    virConnectClose(c);
}

/* Of the same name, of the same uuid, and with a directory of ours but not in our shape. */
static void test_foreign(void) {
    virConnectPtr c = connect_to_test();

    define(c, TWO, "pool0", "/srv/other");
    g_autoptr(VirtRound) name = run(c, ONE, "pool0", true);
    g_assert_cmpstr(first(name)->libvirt, ==, "absent");
    g_assert_true(first(name)->foreign);
    g_assert_nonnull(strstr(first(name)->problem, "/srv/other"));
    assert_target(c, "pool0", "/srv/other");
    g_autoptr(VirtRound) uuid = run(c, TWO, "pool0", true);
    g_assert_true(first(uuid)->foreign);
    assert_target(c, "pool0", "/srv/other");
    g_autoptr(VirtRound) both = run(c, TWO, "pool1", true);
    g_assert_true(first(both)->foreign);
    run_over_none(c);
    assert_target(c, "pool0", "/srv/other");
    undefine(c, "pool0");

    define(c, TWO, "mine", PARENT "/pool0");
    run_over_none(c);
    assert_target(c, "mine", PARENT "/pool0");
    undefine(c, "mine");
    virConnectClose(c);
}

static void test_unreachable(void) {
    g_autoptr(VirtRound) round = run(NULL, ONE, "pool0", true);

    g_assert_cmpstr(first(round)->libvirt, ==, "unreachable");
    g_assert_null(first(round)->problem);
}

static void test_target(void) {
    g_autofree char *xml = virt_round_pool_xml(ONE, "pool0", "/run/a&b<c>'d");
    g_autofree char *back = virt_round_target(xml);

    g_assert_cmpstr(back, ==, "/run/a&b<c>'d");
    g_assert_null(virt_round_target("<pool type='fs'><target><path>/a</path></target></pool>"));
    g_assert_null(virt_round_target("<pool type='dir'><source><path>/a</path></source></pool>"));
    g_assert_null(virt_round_target("<pool type='dir'><target><path>/a</path></target>"));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virt-round/life", test_life);
    g_test_add_func("/virt-round/foreign", test_foreign);
    g_test_add_func("/virt-round/unreachable", test_unreachable);
    g_test_add_func("/virt-round/target", test_target);
    return g_test_run();
}
