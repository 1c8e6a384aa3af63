/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What was cut off and cannot be finished at once: asked again, found at a start whose own steps fail, or in a pool
 * that is opened for reading only.
 */
#include "tests/lib/manager-host.h"

#include "daemon/hints.h"

#define ID SD_ID128_MAKE(71, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10)

/* A creation that leaves the order's remains, and of which nobody can say what became of it. */
static void begin_creation(Host *host, const char *when) {
    ManagerRequest data = allocate_data(8 << 20, "guest");
    g_autofree char *order = g_strdup_printf("[create]\nWhen=%s\nError=EIO\n[list]\nError=EIO\n", when);

    data.request_id = ID;
    host_inject(host, order);
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_HARDWARE);
    guint unsettled = 0;
    const State *state = manager_state(host->manager);
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        unsettled += region->state == REGION_UNSETTLED;
    g_assert_cmpuint(unsettled, ==, 1);
}

/* Not made twice, not refused for good: later, and after a start the answer is the region. */
static void test_asked_again(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest data = allocate_data(8 << 20, "guest");

    data.request_id = ID;
    make_pool(host);
    begin_creation(host, "after");
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_BUSY);
    g_assert_cmpint(host_ask_hashed(host, &data, 2).code, ==, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
    host_restart(host);
    Reply reply = host_ask(host, &data);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmpint(find(host, reply.result)->state, ==, REGION_OK);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
}

/* What is half made cannot be destroyed at a start: its frames stay reserved until one can. */
static void test_remains_stay(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    begin_creation(host, "partial");
    host_stop(host);
    host_inject(host, "[destroy]\nError=EIO\n");
    host_start(host);
    const Region *region = state_next_region(manager_state(host->manager), NULL);
    g_assert_nonnull(region);
    g_assert_cmpint(region->state, ==, REGION_UNSETTLED);
    g_assert_nonnull(region->reason);
    host_restart(host);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    make_region(host, "guest");
}

/* ... and when the platform cannot be read after that, the start ends all the same. */
static void test_last_listing_fails(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    begin_creation(host, "partial");
    host_stop(host);
    host_inject(host, "[list]\nNth=2\nError=EIO\n");
    host_start(host);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
    host_restart(host);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    make_region(host, "guest");
}

/* The release of a pool that the backend cut short is refused, uses the pool no more, and is finished by a start. */
static void test_pool_release_cut_short(void) {
    static const char *const orders[] = { "[destroy]\nWhen=before\nError=EIO\n", "[destroy]\nWhen=partial\nError=EIO\n",
                                          "[destroy]\nWhen=after\nError=EIO\n" };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(Host) host = host_new("mapped");
        sd_id128_t pool = make_pool(host);
        ManagerRequest release = target(MANAGER_RELEASE_MGMT, pool), data = allocate_data(8 << 20, "guest");

        host_inject(host, orders[i]);
        g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_HARDWARE);
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_RELEASING);
        g_assert_nonnull(strstr(find_pool(host, pool)->reason, "the next start"));
        g_assert_cmpint(host_ask(host, &data).code, !=, -1);
        host_restart(host);
        g_assert_null(find_pool(host, pool));
        g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
        g_autoptr(GArray) hints = hints_list(host->state_dir, HINT_RELEASE, NULL);
        g_assert_cmpuint(hints->len, ==, 0);
        make_pool(host);
    }
}

static void set_medium(const Host *host, const char *from, const char *to) {
    g_autofree char *path = host_file(host, "regions.conf");
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) parts = g_strsplit(text, from, -1);
    g_autofree char *changed = g_strjoinv(to, parts);
    g_assert_true(g_file_set_contents(path, changed, -1, NULL));
}

/* A journal of mapped memory is not written through a file, nor is anything else of its pool. */
static void test_opened_read_only(void) {
    g_autoptr(Host) host = host_new("mapped");
    sd_id128_t pool = make_pool(host), region = make_region(host, "whole");
    ManagerRequest data = allocate_data(8 << 20, "other"), release = target(MANAGER_RELEASE_DATA, region);

    begin_creation(host, "partial");
    host_stop(host);
    set_medium(host, "Medium=mapped", "Medium=file");
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(manager_get_state(host->manager), !=, MANAGER_OK);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 2); /* what was cut off stays as it is */
    host_stop(host);
    set_medium(host, "Medium=file", "Medium=mapped");
    host_start(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager-cut-off/asked-again", test_asked_again);
    g_test_add_func("/manager-cut-off/remains-stay", test_remains_stay);
    g_test_add_func("/manager-cut-off/last-listing-fails", test_last_listing_fails);
    g_test_add_func("/manager-cut-off/pool-release-cut-short", test_pool_release_cut_short);
    g_test_add_func("/manager-cut-off/opened-read-only", test_opened_read_only);
    return g_test_run();
}
