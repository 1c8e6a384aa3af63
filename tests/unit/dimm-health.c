/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Health of DIMMs: names, the worst of several, what cannot be used. */
#include "daemon/dimm-health.h"

static void test_names(void) {
    for (int i = 0; i < N_HEALTHS; i++) {
        Health health;

        g_assert_true(health_from_string(health_to_string((Health) i), &health));
        g_assert_cmpint(health, ==, i);
    }
    for (int i = 0; i < N_DIMM_FLAGS; i++) {
        DimmFlag flag;

        g_assert_true(dimm_flag_from_string(dimm_flag_to_string((DimmFlag) (1u << i)), &flag));
        g_assert_cmpint(flag, ==, 1 << i);
    }
    Health health = HEALTH_FATAL;
    DimmFlag flag = DIMM_LOCKED;
    g_assert_false(health_from_string("well", &health));
    g_assert_false(dimm_flag_from_string("", &flag));
    g_assert_cmpint(health, ==, HEALTH_FATAL);
    g_assert_cmpint(flag, ==, DIMM_LOCKED);
    g_assert_cmpstr(dimm_flag_to_string(DIMM_ALARM_CONTROLLER), ==, "alarm-controller");
    g_assert_cmpstr(dimm_flag_to_string(DIMM_SMART_EVENT), ==, "smart-event");

    g_autofree char *none = dimm_flags_to_string(0), *two = dimm_flags_to_string(DIMM_SMART_EVENT | DIMM_LOCKED);
    g_assert_cmpstr(none, ==, "");
    g_assert_cmpstr(two, ==, "locked, smart-event");
}

static void test_order(void) {
    static const Health order[] = { HEALTH_OK, HEALTH_UNKNOWN, HEALTH_NON_CRITICAL, HEALTH_CRITICAL, HEALTH_FATAL };

    for (size_t a = 0; a < G_N_ELEMENTS(order); a++)
        for (size_t b = 0; b < G_N_ELEMENTS(order); b++)
            g_assert_cmpint(health_worst(order[a], order[b]), ==, order[MAX(a, b)]);
}

static DimmHealth *add(GPtrArray *dimms, const char *id, Health state) {
    DimmHealth *dimm = dimm_health_new(id, "nmem");

    dimm->state = state;
    g_ptr_array_add(dimms, dimm);
    return dimm;
}

static void test_worst(void) {
    g_autoptr(GPtrArray) dimms = dimm_healths_new();
    g_autoptr(DimmHealth) none = dimm_healths_worst(NULL), still_none = dimm_healths_worst(dimms);

    g_assert_true(dimm_health_equal(none, still_none));
    g_assert_cmpint(none->state, ==, HEALTH_UNKNOWN);
    g_assert_cmpint(none->spares, ==, DIMM_UNKNOWN);
    g_assert_cmpuint(none->unsafe_shutdowns, ==, DIMM_SHUTDOWNS_UNKNOWN);

    DimmHealth *a = add(dimms, "a", HEALTH_OK);
    a->spares = 80;
    a->life_used = 3;
    a->temperature = -5;
    a->unsafe_shutdowns = 0;
    g_autoptr(DimmHealth) one = dimm_healths_worst(dimms);
    g_assert_cmpint(one->state, ==, HEALTH_OK); /* not that of a beginning */
    g_assert_cmpint(one->temperature, ==, -5);
    g_assert_cmpuint(one->unsafe_shutdowns, ==, 0);
    g_assert_null(one->id);

    DimmHealth *b = add(dimms, "b", HEALTH_UNKNOWN); /* tells nothing but a flag */
    b->flags = DIMM_SAVE_FAILED;
    g_autoptr(DimmHealth) two = dimm_healths_worst(dimms);
    g_assert_cmpint(two->state, ==, HEALTH_UNKNOWN);
    g_assert_cmpint(two->spares, ==, 80);
    g_assert_cmpint(two->life_used, ==, 3);
    g_assert_cmpint(two->temperature, ==, -5);
    g_assert_cmpuint(two->unsafe_shutdowns, ==, 0);
    g_assert_cmpuint(two->flags, ==, DIMM_SAVE_FAILED);

    DimmHealth *c = add(dimms, "c", HEALTH_CRITICAL);
    c->spares = 4;
    c->life_used = 120;
    c->temperature = 61;
    c->unsafe_shutdowns = 7;
    c->flags = DIMM_SMART_EVENT;
    add(dimms, "d", HEALTH_NON_CRITICAL)->spares = 90;
    g_autoptr(DimmHealth) all = dimm_healths_worst(dimms);
    g_assert_cmpint(all->state, ==, HEALTH_CRITICAL);
    g_assert_cmpint(all->spares, ==, 4);
    g_assert_cmpint(all->life_used, ==, 120);
    g_assert_cmpint(all->temperature, ==, 61);
    g_assert_cmpuint(all->unsafe_shutdowns, ==, 7);
    g_assert_cmpuint(all->flags, ==, DIMM_SMART_EVENT | DIMM_SAVE_FAILED);
}

static void test_copy(void) {
    g_autoptr(GPtrArray) dimms = dimm_healths_new();

    g_assert_null(dimm_healths_copy(NULL));
    g_assert_true(dimm_healths_equal(NULL, dimms));
    add(dimms, "a", HEALTH_OK)->spares = 50;
    add(dimms, NULL, HEALTH_FATAL);
    g_autoptr(GPtrArray) copy = dimm_healths_copy(dimms);
    g_assert_true(dimm_healths_equal(dimms, copy));
    g_assert_false(dimm_healths_equal(dimms, NULL));
    DimmHealth *second = g_ptr_array_index(copy, 1);
    second->unsafe_shutdowns = 1;
    g_assert_false(dimm_healths_equal(dimms, copy));
    second->unsafe_shutdowns = DIMM_SHUTDOWNS_UNKNOWN;
    second->id = g_strdup("b");
    g_assert_false(dimm_healths_equal(dimms, copy));
}

static void test_unusable(void) {
    static const struct {
        uint32_t flags;
        const char *says; /* NULL: it can be used */
    } rows[] = {
        { 0, NULL },
        { DIMM_SMART_EVENT | DIMM_SAVE_FAILED | DIMM_RESTORE_FAILED | DIMM_FLUSH_FAILED, NULL },
        { DIMM_LOCKED, "nmem0 is locked" },
        { DIMM_LOCKED | DIMM_DISABLED, "nmem0 is locked" },
        { DIMM_DISABLED, "nmem0 is disabled" },
        { DIMM_NOT_ARMED, "nmem0 is read-only" },
        { DIMM_MAP_FAILED, "could not map nmem0" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DimmHealth) dimm = dimm_health_new("cdab-0a", "nmem0");

        dimm->flags = rows[i].flags;
        g_autofree char *why = dimm_health_unusable(dimm);
        g_assert_true(rows[i].says ? why && strstr(why, rows[i].says) : !why);
    }
    g_autoptr(DimmHealth) nameless = dimm_health_new(NULL, NULL);
    nameless->flags = DIMM_LOCKED;
    g_autofree char *why = dimm_health_unusable(nameless);
    g_assert_cmpstr(why, ==, "a DIMM is locked: unlock it first");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dimm-health/names", test_names);
    g_test_add_func("/dimm-health/order", test_order);
    g_test_add_func("/dimm-health/worst", test_worst);
    g_test_add_func("/dimm-health/copy", test_copy);
    g_test_add_func("/dimm-health/unusable", test_unusable);
    return g_test_run();
}
