/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-kind.h"

#include "daemon/power-loss.h"

#include <glib.h>

static void test_providers(void) {
    /* As the kernel's drivers name their buses. */
    static const struct {
        const char *provider;
        NdKind kind, by_firmware;
    } cases[] = {
        { "e820", ND_KIND_RAM, ND_KIND_NVDIMM },
        { "ramdax", ND_KIND_RAM, ND_KIND_NVDIMM },
        { "virtio-pmem", ND_KIND_VIRTIO, ND_KIND_VIRTIO },
        { "ACPI.NFIT", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { "CXL", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { "nfit_test.0", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { "ibm,pmemory", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { "e820-other", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { "", ND_KIND_NVDIMM, ND_KIND_NVDIMM },
        { NULL, ND_KIND_NVDIMM, ND_KIND_NVDIMM },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(nd_kind(cases[i].provider, false), ==, cases[i].kind);
        g_assert_cmpint(nd_kind(cases[i].provider, true), ==, cases[i].by_firmware);
    }
}

static void test_persistence(void) {
    static const char *const said[] = { "memory_controller", "cpu_cache", "none" };

    /* What the kernel says of NVDIMMs is not doubted; RAM stays RAM, whatever it says. */
    for (gsize i = 0; i < G_N_ELEMENTS(said); i++) {
        g_assert_cmpstr(nd_kind_persistence(ND_KIND_NVDIMM, said[i]), ==, said[i]);
        g_assert_cmpstr(nd_kind_persistence(ND_KIND_VIRTIO, said[i]), ==, said[i]);
        g_assert_cmpstr(nd_kind_persistence(ND_KIND_RAM, said[i]), ==, "volatile");
    }
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_NVDIMM, "unknown"), ==, "unknown");
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_RAM, "unknown"), ==, "volatile");
    g_assert_cmpstr(nd_kind_persistence(ND_KIND_VIRTIO, "unknown"), ==, "flush");
    g_assert_true(power_loss_is_whole(nd_kind_persistence(ND_KIND_RAM, "unknown")));
    g_assert_false(power_loss_is_whole(nd_kind_persistence(ND_KIND_VIRTIO, "unknown")));
}

/* ramdax gives all of its DIMMs the same cookie and no id: two carve-outs of one size differ by nothing else. */
static void test_place(void) {
    g_assert_true(nd_kind_is_known_by_place("ramdax"));
    g_assert_true(nd_kind_is_known_by_place("e820"));
    g_assert_false(nd_kind_is_known_by_place("virtio-pmem"));
    g_assert_false(nd_kind_is_known_by_place("CXL"));
    g_assert_false(nd_kind_is_known_by_place(NULL));
}

static void test_labels_unasked(void) {
    g_assert_true(nd_kind_labels_unasked("CXL"));
    g_assert_true(nd_kind_labels_unasked("ramdax"));
    g_assert_false(nd_kind_labels_unasked("ACPI.NFIT"));
    g_assert_false(nd_kind_labels_unasked(NULL));
}

int main(int argc, char *argv[]) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backend-ndctl-kind/providers", test_providers);
    g_test_add_func("/backend-ndctl-kind/persistence", test_persistence);
    g_test_add_func("/backend-ndctl-kind/place", test_place);
    g_test_add_func("/backend-ndctl-kind/labels-unasked", test_labels_unasked);
    return g_test_run();
}
