/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A data region as a guest's NVDIMM: both texts to the letter, what is refused, and paths that try to be more than a path.
 */
#include "client/domain.h"

#include <string.h>

#include "proto/error.h"

#define UUID "0f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c0"
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* The library's structs own what they point to; these borrow it. */
static PmemdRegion data_region(void) {
    return (PmemdRegion){ .path = (char *) "/org/pmemd1/region/x",
                          .kind = (char *) "data",
                          .uuid = (char *) UUID,
                          .name = (char *) "guest0",
                          .bytes = 4 * GIB,
                          .node = 3,
                          .local_node = 0,
                          .device_path = (char *) "/dev/dax0.1",
                          .guest_path = (char *) "/dev/pmemd/by-uuid/" UUID,
                          .state = (char *) "ok",
                          .state_reason = (char *) "" };
}

static DomainNvdimm *nvdimm_of(const PmemdRegion *region, uint32_t node, uint64_t label_bytes) {
    GError *error = NULL;
    DomainNvdimm *nvdimm = domain_nvdimm_new(region, false, node, label_bytes, &error);
    g_assert_no_error(error);
    g_assert_nonnull(nvdimm);
    return nvdimm;
}

static void assert_refused(const PmemdRegion *region, uint64_t label_bytes, PmemdError code, const char *const *parts) {
    g_autoptr(GError) error = NULL;

    g_assert_null(domain_nvdimm_new(region, false, 0, label_bytes, &error));
    g_assert_error(error, PMEMD_ERROR, (int) code);
    for (; *parts; parts++)
        g_assert_true(strstr(error->message, *parts));
}

#define REFUSED(region, label_bytes, code, ...)                                                                        \
    assert_refused((region), (label_bytes), PMEMD_ERROR_##code, (const char *const[]){ __VA_ARGS__, NULL })

static void test_xml(void) {
    PmemdRegion region = data_region();

    g_autoptr(DomainNvdimm) nvdimm = nvdimm_of(&region, 1, DOMAIN_MIN_LABEL);
    g_autofree char *xml = domain_nvdimm_xml(nvdimm);
    g_assert_cmpstr(xml, ==,
                    "<memory model='nvdimm' access='shared'>\n"
                    "  <source>\n"
                    "    <path>/dev/pmemd/by-uuid/" UUID "</path>\n"
                    "    <alignsize unit='KiB'>2048</alignsize>\n"
                    "    <pmem/>\n"
                    "  </source>\n"
                    "  <target>\n"
                    "    <size unit='KiB'>4194304</size>\n"
                    "    <node>1</node>\n"
                    "    <label>\n"
                    "      <size unit='KiB'>128</size>\n"
                    "    </label>\n"
                    "  </target>\n"
                    "</memory>\n");
    /* The labels cost the guest a whole step. */
    g_assert_cmpuint(nvdimm->guest_bytes, ==, 4 * GIB - 2 * MIB);

    g_autoptr(DomainNvdimm) bare = nvdimm_of(&region, 0, 0);
    g_autofree char *bare_xml = domain_nvdimm_xml(bare);
    g_assert_null(strstr(bare_xml, "label"));
    g_assert_cmpuint(bare->guest_bytes, ==, 4 * GIB);
}

static void test_qemu_args(void) {
    PmemdRegion region = data_region();

    g_autoptr(DomainNvdimm) nvdimm = nvdimm_of(&region, 1, 2 * DOMAIN_MIN_LABEL);
    g_auto(GStrv) args = domain_nvdimm_qemu_args(nvdimm, "nv0", GIB);
    g_autofree char *lines = domain_shell_lines(args);
    g_assert_cmpstr(lines, ==,
                    "-machine nvdimm=on\n"
                    "-m size=1024M,slots=1,maxmem=5120M\n"
                    "-object memory-backend-file,id=nv0-mem,share=on,pmem=on,align=2097152,size=4294967296,"
                    "mem-path=/dev/pmemd/by-uuid/" UUID "\n"
                    "-device nvdimm,id=nv0,memdev=nv0-mem,node=1,label-size=262144\n");

    g_autoptr(DomainNvdimm) bare = nvdimm_of(&region, 0, 0);
    g_auto(GStrv) bare_args = domain_nvdimm_qemu_args(bare, "nv0", GIB);
    g_assert_cmpstr(bare_args[7], ==, "nvdimm,id=nv0,memdev=nv0-mem,node=0");
    g_assert_null(bare_args[8]);
}

/* Of the file backend's folder anybody may have chosen the name. */
static void test_hostile_path(void) {
    PmemdRegion region = data_region();
    region.device_path = region.guest_path = (char *) "/a b/<x>&'\"$(id),readonly=on,/\xc3\xa9.img";

    g_autoptr(DomainNvdimm) nvdimm = nvdimm_of(&region, 0, 0);
    g_autofree char *xml = domain_nvdimm_xml(nvdimm);
    g_assert_true(strstr(xml, "<path>/a b/&lt;x&gt;&amp;&apos;&quot;$(id),readonly=on,/\xc3\xa9.img</path>\n"));

    g_auto(GStrv) args = domain_nvdimm_qemu_args(nvdimm, "nv0", GIB);
    g_assert_true(g_str_has_suffix(args[5], ",mem-path=/a b/<x>&'\"$(id),,readonly=on,,/\xc3\xa9.img"));
    g_autofree char *lines = domain_shell_lines(args);
    g_auto(GStrv) parsed = NULL;
    g_assert_true(g_shell_parse_argv(lines, NULL, &parsed, NULL));
    g_assert_cmpuint(g_strv_length(parsed), ==, 8);
    g_assert_true(g_strv_equal((const char *const *) parsed, (const char *const *) args));

    for (size_t i = 0; i < 3; i++) {
        region.device_path = (char *) ((const char *const[]){ "relative", "/a\nb", "/a\xff" }[i]);
        REFUSED(&region, 0, NOT_SUPPORTED, UUID, "absolute", "control");
    }
}

static void test_refused(void) {
    PmemdRegion region = data_region();

    region.kind = (char *) "mgmt";
    REFUSED(&region, 0, INVALID_ARGUMENT, UUID, "management region", "list --data");

    region = data_region();
    region.state = (char *) "quarantined";
    REFUSED(&region, 0, BUSY, UUID, "quarantined", "erased");
    region.state = (char *) "creating";
    REFUSED(&region, 0, BUSY, UUID, "creating", "again");
    region.state = (char *) "missing";
    region.state_reason = (char *) "its device is gone";
    REFUSED(&region, 0, DEGRADED, UUID, "missing", "its device is gone", "pmemctl show");
    region.state = (char *) "degraded";
    REFUSED(&region, 0, DEGRADED, "degraded", "--allow-degraded");
    g_autoptr(DomainNvdimm) allowed = domain_nvdimm_new(&region, true, 0, 0, NULL);
    g_assert_nonnull(allowed);
    /* A state of a pmemd that is newer. */
    region.state = (char *) "frozen";
    REFUSED(&region, 0, DEGRADED, "frozen", "pmemctl show");

    region = data_region();
    region.device_path = (char *) "";
    REFUSED(&region, 0, NOT_AUTHORIZED, UUID, "hidden", "owner");
    region.bytes = 0; /* as it is then */
    REFUSED(&region, 0, NOT_AUTHORIZED, "hidden");
    region = data_region();
    region.device_path = (char *) "/dev/pmem0";
    REFUSED(&region, 0, NOT_SUPPORTED, "/dev/pmem0", "device-dax");
}

static void test_sizes(void) {
    PmemdRegion region = data_region();

    region.bytes = 6 * MIB + 4096;
    REFUSED(&region, 0, INVALID_ARGUMENT, "6295552 bytes", "4096 beyond", "2097152", "6291456 or 8388608 bytes");
    region.bytes = 4096;
    REFUSED(&region, 0, INVALID_ARGUMENT, "4096 beyond", "2097152 or 2097152 bytes");
    region.bytes = 0;
    REFUSED(&region, 0, INVALID_ARGUMENT, "0 bytes");

    region.bytes = 2 * MIB;
    REFUSED(&region, DOMAIN_MIN_LABEL, INVALID_ARGUMENT, "2097152 bytes", "131072",
            "--label-size=0 for none, or a region of 4194304 bytes");
    REFUSED(&region, 4 * MIB, INVALID_ARGUMENT, "4194304");
    g_autoptr(DomainNvdimm) least = nvdimm_of(&region, 0, 0);
    g_assert_cmpuint(least->guest_bytes, ==, 2 * MIB);
    region.bytes = 4 * MIB;
    g_autoptr(DomainNvdimm) with_label = nvdimm_of(&region, 0, 2 * MIB);
    g_assert_cmpuint(with_label->guest_bytes, ==, 2 * MIB);
    REFUSED(&region, 2 * MIB + DOMAIN_UNIT, INVALID_ARGUMENT, "2098176");
}

static void test_ids(void) {
    static const char *const good[] = { "a", "Z9-._", ("pmemd-" UUID) };
    static const char *const bad[] = { "", "9a", "-a", "a,b", "a=b", "a b", "\xc3\xa9" };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(domain_id_is_valid(good[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(domain_id_is_valid(bad[i]));
    g_autofree char *longest = g_strnfill(64, 'a'), *longer = g_strnfill(65, 'a');
    g_assert_true(domain_id_is_valid(longest));
    g_assert_false(domain_id_is_valid(longer));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/xml", test_xml);
    g_test_add_func("/domain/qemu-args", test_qemu_args);
    g_test_add_func("/domain/hostile-path", test_hostile_path);
    g_test_add_func("/domain/refused", test_refused);
    g_test_add_func("/domain/sizes", test_sizes);
    g_test_add_func("/domain/ids", test_ids);
    return g_test_run();
}
