/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What becomes of regions and pools whose devices go away and come back while the manager runs.
 */
#include "tests/lib/manager-host.h"

#include "daemon/hints.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* As the platform's event has it done. */
static void look(Host *host) {
    manager_refresh(host->manager);
    while (!manager_is_idle(host->manager))
        host_run(host);
}

static const Pool *pool_of(Host *host, sd_id128_t uuid) {
    return find_pool(host, uuid);
}

static int rename_to(Host *host, sd_id128_t region, const char *name) {
    ManagerRequest request = target(MANAGER_RENAME, region);

    request.target.name = name;
    return host_ask(host, &request).code;
}

static void test_region(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, "guest"), other = make_region(host, "other");
    g_autofree char *path = g_strdup(region_path(find(host, region))), *away = g_strconcat(path, ".away", NULL);

    g_assert_cmpint(g_rename(path, away), ==, 0);
    look(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);
    g_assert_nonnull(find(host, region)->reason);
    g_assert_cmpint(find(host, other)->state, ==, REGION_OK);
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region);
    g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_DEGRADED);
    /* It is still the journal's: a restart says the same. */
    host_stop(host);
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);

    g_assert_cmpint(g_rename(away, path), ==, 0);
    look(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_null(find(host, region)->reason);
    g_assert_cmpstr(region_path(find(host, region)), ==, path);
}

/* The map is dead when the file is cut: reads give SIGBUS, which ends nobody. What comes back is replayed. */
static void test_journal(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host), region = make_region(host, "a");
    g_autofree char *path = g_strdup(pool_of(host, pool)->path), *content = NULL, *later = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &content, &len, NULL));
    g_assert_cmpint(truncate(path, 0), ==, 0);
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(rename_to(host, region, "b"), ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_READ_ONLY);

    g_assert_true(g_file_set_contents(path, content, (gssize) len, NULL));
    const Region *before = find(host, region);
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_OK);
    g_assert_true(find(host, region) == before); /* the same object: nothing was told of it */
    g_assert_cmpint(rename_to(host, region, "b"), ==, -1);

    /* A journal that says something else than what is in memory counts, as at a start. */
    g_assert_true(g_file_get_contents(path, &later, &len, NULL));
    g_assert_cmpint(truncate(path, 0), ==, 0);
    look(host);
    g_assert_true(g_file_set_contents(path, content, (gssize) len, NULL));
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_OK);
    g_assert_cmpstr(find(host, region)->name, ==, "a");
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_cmpint(rename_to(host, region, "c"), ==, -1);
    host_stop(host);
    host_start(host);
    g_assert_cmpstr(find(host, region)->name, ==, "c");
}

/* What comes back in its place and is no journal of this pool is neither used nor written. */
static void test_stranger(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host);
    g_autofree char *path = g_strdup(pool_of(host, pool)->path), *content = NULL, *now = NULL;
    gsize len, now_len;

    g_assert_true(g_file_get_contents(path, &content, &len, NULL));
    g_autofree char *zeros = g_malloc0(len);
    g_assert_cmpint(truncate(path, 0), ==, 0);
    look(host);
    g_assert_true(g_file_set_contents(path, zeros, (gssize) len, NULL));
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_nonnull(strstr(pool_of(host, pool)->reason, "no superblock"));
    g_assert_true(g_file_get_contents(path, &now, &now_len, NULL));
    g_assert_cmpmem(now, now_len, zeros, len);

    g_assert_true(g_file_set_contents(path, content, (gssize) len, NULL));
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_OK);
}

/* Its state directory says that it is being released: what came back must not be used any more. */
static void test_hinted(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    g_autofree char *path = g_strdup(pool_of(host, pool)->path), *away = g_strconcat(path, ".away", NULL);

    g_assert_cmpint(g_rename(path, away), ==, 0);
    look(host);
    g_assert_true(hints_put(host->state_dir, HINT_RELEASE, pool, NULL));
    g_assert_cmpint(g_rename(away, path), ==, 0);
    look(host);
    g_assert_cmpint(pool_of(host, pool)->state, ==, POOL_READ_ONLY);
}

/* A pool whose device was not there at the start comes with its regions, and with what was cut off in them. */
static void test_new_pool(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    g_autofree char *path = g_strdup(find_pool(host, pool)->path), *away = g_strconcat(path, ".away", NULL);

    host_stop(host);
    g_assert_cmpint(g_rename(path, away), ==, 0);
    host_start(host);
    g_assert_null(find_pool(host, pool));
    look(host);
    g_assert_null(find_pool(host, pool));
    g_assert_cmpint(g_rename(away, path), ==, 0);
    look(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    for (guint i = 0; i < state_foreigns(manager_state(host->manager))->len; i++)
        g_assert_cmpint(((Foreign *) state_foreigns(manager_state(host->manager))->pdata[i])->kind, ==,
                        FOREIGN_FOREIGN);
    g_assert_cmpint(rename_to(host, region, "b"), ==, -1);
}

/* One that was refused is not tried again by each look; a hint leaves it to the next start. */
static void test_new_refused(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    g_autofree char *path = g_strdup(find_pool(host, pool)->path), *away = g_strconcat(path, ".away", NULL);
    g_autofree char *content = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &content, &len, NULL));
    g_autofree char *zeros = g_malloc0(len);
    host_stop(host);
    g_assert_true(g_file_set_contents(path, zeros, (gssize) len, NULL));
    host_start(host);
    g_assert_null(find_pool(host, pool));
    g_assert_true(g_file_set_contents(path, content, (gssize) len, NULL));
    look(host);
    g_assert_null(find_pool(host, pool));

    /* But once it was away. */
    host_stop(host);
    g_assert_cmpint(g_rename(path, away), ==, 0);
    host_start(host);
    g_assert_true(hints_put(host->state_dir, HINT_SETUP, pool, NULL));
    g_assert_cmpint(g_rename(away, path), ==, 0);
    look(host);
    g_assert_null(find_pool(host, pool));
    g_assert_true(hints_remove(host->state_dir, HINT_SETUP, pool, NULL));
    look(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* what is warned about is what these tests do */
    g_test_add_func("/manager-follow/region", test_region);
    g_test_add_data_func("/manager-follow/journal/file", "file", test_journal);
    g_test_add_data_func("/manager-follow/journal/mapped", "mapped", test_journal);
    g_test_add_data_func("/manager-follow/stranger/file", "file", test_stranger);
    g_test_add_data_func("/manager-follow/stranger/mapped", "mapped", test_stranger);
    g_test_add_func("/manager-follow/hinted", test_hinted);
    g_test_add_data_func("/manager-follow/new-pool/file", "file", test_new_pool);
    g_test_add_data_func("/manager-follow/new-pool/mapped", "mapped", test_new_pool);
    g_test_add_func("/manager-follow/new-refused", test_new_refused);
    return g_test_run();
}
