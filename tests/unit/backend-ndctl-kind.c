/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-kind.h"

#include "daemon/power-loss.h"

#include <glib.h>

static void test_providers(void) {
    /* As the kernel's drivers name their buses. */
    static const struct {
        const char *provider;
        NdKind kind;
    } cases[] = {
        { "e820", ND_KIND_RAM },           { "ramdax", ND_KIND_RAM },        { "virtio-pmem", ND_KIND_VIRTIO },
        { "ACPI.NFIT", ND_KIND_NVDIMM },   { "CXL", ND_KIND_NVDIMM },        { "nfit_test.0", ND_KIND_NVDIMM },
        { "ibm,pmemory", ND_KIND_NVDIMM }, { "e820-other", ND_KIND_NVDIMM }, { "", ND_KIND_NVDIMM },
        { NULL, ND_KIND_NVDIMM },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(nd_kind_of_bus(cases[i].provider), ==, cases[i].kind);
}

static void test_persistence(void) {
    static const char *const said[] = { "memory_controller", "cpu_cache", "none" };

    /* What the kernel says is never doubted. */
    for (gsize i = 0; i < G_N_ELEMENTS(said); i++)
        for (NdKind kind = ND_KIND_NVDIMM; kind <= ND_KIND_VIRTIO; kind++)
            g_assert_cmpstr(nd_kind_persistence(kind, said[i]), ==, said[i]);
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_NVDIMM, "unknown"), ==, "unknown");
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_RAM, "unknown"), ==, "volatile");
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_VIRTIO, "unknown"), ==, "flush");
    g_assert_true(power_loss_is_whole(nd_kind_persistence(ND_KIND_RAM, "unknown")));
    g_assert_false(power_loss_is_whole(nd_kind_persistence(ND_KIND_VIRTIO, "unknown")));
}

/* ramdax gives all of its DIMMs the same cookie and no id: two carve-outs of one size differ by nothing else. */
static void test_place(void) {
    g_assert_true(nd_kind_is_known_by_place(nd_kind_of_bus("ramdax")));
    g_assert_true(nd_kind_is_known_by_place(nd_kind_of_bus("e820")));
    g_assert_false(nd_kind_is_known_by_place(nd_kind_of_bus("virtio-pmem")));
    g_assert_false(nd_kind_is_known_by_place(nd_kind_of_bus("CXL")));
}

int main(int argc, char *argv[]) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backend-ndctl-kind/providers", test_providers);
    g_test_add_func("/backend-ndctl-kind/persistence", test_persistence);
    g_test_add_func("/backend-ndctl-kind/place", test_place);
    return g_test_run();
}
