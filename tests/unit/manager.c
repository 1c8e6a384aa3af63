/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager over the file backend: every operation, its failures at each step of the backend, and what the next start
 * makes of them.
 */
#include "tests/lib/manager-host.h"

static void test_life(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host);
    sd_id128_t region = make_region(host, "guest");

    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    g_assert_false(find(host, region)->flags & JF_REGION_DIRTY); /* a new file reads as zeros */
    FrameRange range = find(host, region)->range;
    host_restart(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_assert_nonnull(find(host, region));
    g_assert_true(frame_range_equal(find(host, region)->range, range));
    g_assert_cmpstr(find(host, region)->name, ==, "guest");
    g_assert_cmpstr(find(host, region)->user, ==, "root");
    g_assert_cmpstr(state_pool_by_uuid(manager_state(host->manager), pool)->name, ==, "pool");

    ManagerRequest busy = target(MANAGER_RELEASE_MGMT, pool);
    g_assert_cmpint(host_ask(host, &busy).code, ==, PMEMD_ERROR_BUSY);

    ManagerRequest release = target(MANAGER_RELEASE_DATA, region);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_null(find(host, region));
    g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_NO_SUCH_REGION);

    g_assert_cmpint(host_ask(host, &busy).code, ==, -1);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    host_restart(host);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    make_pool(host);
}

static void test_rename_and_owner(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), a = make_region(host, "a"), b = make_region(host, "b");
    ManagerRequest rename = target(MANAGER_RENAME, a), owner = target(MANAGER_SET_OWNER, b);

    rename.target.name = "b";
    g_assert_cmpint(host_ask(host, &rename).code, ==, PMEMD_ERROR_EXISTS);
    rename.target.name = "c";
    g_assert_cmpint(host_ask(host, &rename).code, ==, -1);
    owner.target.owner_uid = 1000;
    owner.target.owner_user = "jo";
    g_assert_cmpint(host_ask(host, &owner).code, ==, -1);
    owner.target.uuid = rename.target.uuid = pool;
    g_assert_cmpint(host_ask(host, &owner).code, ==, -1);
    g_assert_cmpint(host_ask(host, &rename).code, ==, -1);
    host_restart(host);
    g_assert_cmpstr(find(host, a)->name, ==, "c");
    g_assert_cmpuint(find(host, b)->owner_uid, ==, 1000);
    g_assert_cmpstr(find(host, b)->user, ==, "jo");
    g_assert_cmpstr(state_pool_by_uuid(manager_state(host->manager), pool)->name, ==, "c");
    g_assert_cmpuint(state_pool_by_uuid(manager_state(host->manager), pool)->owner_uid, ==, 1000);

    /* A released region's name is free at once, also for the journal when it is replayed. */
    ManagerRequest release = target(MANAGER_RELEASE_DATA, a);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    sd_id128_t again = make_region(host, "c");
    host_restart(host);
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    g_assert_cmpstr(find(host, again)->name, ==, "c");
}

/* The requests of somebody who may not touch what others own. */
static ManagerRequest of_jo(ManagerMethod method, sd_id128_t uuid) {
    ManagerRequest request = target(method, uuid);

    request.uid = 1000;
    request.user = "jo";
    request.others = false;
    return request;
}

static void test_owners(void) {
    static const ManagerMethod methods[] = { MANAGER_RENAME, MANAGER_SET_OWNER, MANAGER_RELEASE_DATA };
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), a = make_region(host, "a");
    ManagerRequest give = target(MANAGER_SET_OWNER, a), take = give;

    give.target.owner_uid = 1000;
    give.target.owner_user = "jo";
    take.target.owner_user = "root";
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        ManagerRequest request = of_jo(methods[i], a);

        g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_NOT_AUTHORIZED);
    }
    ManagerRequest rename = of_jo(MANAGER_RENAME, a), release = of_jo(MANAGER_RELEASE_DATA, a);
    ManagerRequest release_pool = of_jo(MANAGER_RELEASE_MGMT, pool), rename_pool = of_jo(MANAGER_RENAME, pool);
    g_assert_cmpint(host_ask(host, &release_pool).code, ==, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(host_ask(host, &rename_pool).code, ==, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
    g_assert_cmpint(host_ask(host, &rename).code, ==, -1);

    /* The number is another user's by now: what it owned is root's. */
    ManagerRequest stranger = release;
    stranger.user = "kim";
    g_assert_cmpint(host_ask(host, &stranger).code, ==, PMEMD_ERROR_NOT_AUTHORIZED);

    /* It was jo's when the request came, and no longer when its turn has come. */
    Reply taken = { 0 }, released = { 0 };
    manager_submit(host->manager, &take, 1, on_reply, &taken);
    manager_submit(host->manager, &release, 1, on_reply, &released);
    while (!released.done)
        host_run(host);
    g_assert_cmpint(taken.code, ==, -1);
    g_assert_cmpint(released.code, ==, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_nonnull(strstr(released.message, "org.pmemd1.manage-all"));
    g_clear_pointer(&taken.message, g_free);
    g_clear_pointer(&released.message, g_free);
    g_assert_cmpint(find(host, a)->state, ==, REGION_OK);
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
}

static void test_request_ids(void) {
    g_autoptr(Host) host = host_new("mapped");
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool"), data = allocate_data(1 << 20, "guest");
    Reply first;

    mgmt.request_id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
    first = host_ask(host, &mgmt);
    g_assert_cmpint(first.code, ==, -1);
    g_assert_true(sd_id128_equal(host_ask(host, &mgmt).result, first.result));

    data.request_id = SD_ID128_MAKE(11, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
    Reply one = { 0 }, two = { 0 };
    manager_submit(host->manager, &data, 7, on_reply, &one); /* the second joins the first while it is under way */
    manager_submit(host->manager, &data, 7, on_reply, &two);
    while (!one.done || !two.done)
        host_run(host);
    g_assert_cmpint(one.code, ==, -1);
    g_assert_true(sd_id128_equal(one.result, two.result));
    g_clear_pointer(&one.message, g_free);
    g_clear_pointer(&two.message, g_free);

    g_assert_cmpint(host_ask_hashed(host, &data, 8).code, ==, PMEMD_ERROR_INVALID_ARGUMENT); /* other arguments */
    ManagerRequest other = data;
    other.uid = 1000; /* another user's id is another id: here the name is in the way */
    g_assert_cmpint(host_ask_hashed(host, &other, 7).code, ==, PMEMD_ERROR_EXISTS);

    ManagerRequest release = target(MANAGER_RELEASE_DATA, one.result);
    release.request_id = SD_ID128_MAKE(21, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    while (host->jobs_done == 0)
        host_run(host);

    host_restart(host);
    g_assert_true(sd_id128_equal(host_ask(host, &mgmt).result, first.result));
    g_assert_true(sd_id128_equal(host_ask_hashed(host, &data, 7).result, one.result));
    g_assert_true(sd_id128_equal(host_ask(host, &release).result, one.result));
    g_assert_null(find(host, one.result));
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
}

/* What a create leaves behind after a failure of the backend at each moment, and that the space can be used again. */
static void test_create_fails(void) {
    static const char *const whens[] = { "before", "partial", "after" };

    for (size_t i = 0; i < G_N_ELEMENTS(whens); i++) {
        g_autoptr(Host) host = host_new("file");
        g_autofree char *text = g_strdup_printf("[create]\nWhen=%s\nError=EIO\n", whens[i]);
        ManagerRequest data = allocate_data(8 << 20, "guest");

        make_pool(host);
        uint64_t free_bytes = state_totals(manager_state(host->manager)).free_bytes;
        host_inject(host, text);
        Reply reply = host_ask(host, &data);
        if (strcmp(whens[i], "after") == 0) {
            /* The device is whole: the listing shows it, and the request has succeeded after all. */
            g_assert_cmpint(reply.code, ==, -1);
        } else {
            g_assert_cmpint(reply.code, ==, PMEMD_ERROR_HARDWARE);
            g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 0);
            g_assert_cmpuint(state_totals(manager_state(host->manager)).free_bytes, ==, free_bytes);
            make_region(host, "guest");
        }
        host_restart(host);
        g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    }
}

static void test_setup_fails(void) {
    static const char *const texts[] = {
        "[create]\nWhen=before\nError=ENOSPC\n",
        "[create]\nWhen=partial\nError=EIO\n",
        "[create]\nWhen=after\nError=EIO\n",
        "[open_medium]\nWhen=before\nError=EIO\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Host) host = host_new("file");
        ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

        host_inject(host, texts[i]);
        g_assert_cmpint(host_ask(host, &mgmt).code, !=, -1);
        g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
        g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
        make_pool(host);
    }
}

/* A device that cannot be destroyed after its setup failed is destroyed by the next start, by its hint. */
static void test_setup_leaves_device(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

    host_inject(host, "[open_medium]\nError=EIO\n[destroy]\nError=EIO\n");
    g_assert_cmpint(host_ask(host, &mgmt).code, !=, -1);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
    g_assert_cmpint(host_ask(host, &mgmt).code, ==, PMEMD_ERROR_BUSY);
    host_restart(host);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    make_pool(host);
}

static void test_release_fails(void) {
    static const char *const texts[] = {
        "[destroy]\nWhen=before\nError=EBUSY\n",
        "[open_content]\nWhen=before\nError=EBUSY\n",
        "[zero]\nWhen=before\nError=EIO\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Host) host = host_new("file");

        make_pool(host);
        sd_id128_t region = make_region(host, "guest");
        ManagerRequest release = target(MANAGER_RELEASE_DATA, region);
        host_inject(host, texts[i]);
        g_assert_cmpint(host_ask(host, &release).code, ==, -1);
        while (host->jobs_failed == 0) {
            host_run(host);
            g_assert_cmpuint(host->jobs_done, ==, 0);
        }
        g_assert_cmpint(find(host, region)->state, ==, REGION_QUARANTINED);
        if (i == 0)
            host_restart(host); /* tried again by the start ... */
        else
            g_assert_cmpint(host_ask(host, &release).code, ==, -1); /* ... or by another request */
        while (host->jobs_done == 0)
            host_run(host);
        g_assert_null(find(host, region));
    }
}

/* A release that was acknowledged is a release after a start, whatever became of its erase. */
static void test_release_is_remembered(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, "guest");
    host_inject(host, "[zero]\nError=EIO\n");
    release_and_wait(host, region);
    g_assert_cmpuint(host->jobs_failed, ==, 1);
    host_restart(host);
    g_assert_true(!find(host, region) || find(host, region)->state == REGION_QUARANTINED);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_null(find(host, region));
    g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
}

/* Not by a mistake of its caller either: content is opened, and a device destroyed, for a release alone. */
static void test_erase_only_released(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, "guest");
    assert_not_erased(host, region, PMEMD_ERROR_BUSY);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    assert_not_erased(host, SD_ID128_NULL, PMEMD_ERROR_NO_SUCH_REGION);
}

/* A description that cannot be read stops neither the start nor the other regions, and frees nothing. */
static void test_unreadable_description(void) {
    g_autoptr(Host) host = host_new("file");
    char uuid[PMEMD_UUID_STRING_MAX];

    make_pool(host);
    sd_id128_t region = make_region(host, "guest"), other = make_region(host, "other");
    FrameRange device = region_device(find(host, region));
    g_autofree char *folder = g_path_get_dirname(region_path(find(host, region)));
    g_autofree char *record =
        g_strconcat(folder, "/", pmemd_uuid_format(find(host, region)->device_uuid, uuid), ".dev", NULL);
    host_stop(host);
    g_assert_true(g_file_set_contents(record, "damaged", -1, NULL));
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);
    g_assert_nonnull(strstr(find(host, region)->reason, "unreadable description"));
    g_assert_true(frame_range_equal(region_device(find(host, region)), device));
    g_assert_cmpint(find(host, other)->state, ==, REGION_OK);

    ManagerRequest request = allocate_data(1 << 20, "third");
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_NO_SPACE);
}

/* A device that vanished is missing, not free; nothing can be set up on its frames. */
static void test_missing(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, "guest");
    g_autofree char *path = g_strdup(region_path(find(host, region)));
    host_stop(host);
    g_assert_cmpint(g_remove(path), ==, 0);
    host_start(host);
    g_assert_cmpint(find(host, region)->state, ==, REGION_MISSING);
    g_assert_nonnull(find(host, region)->reason);
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region);
    g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_DEGRADED);
}

/* What another tool made meanwhile is met by the backend: the refusal names it, an allocation goes around it. */
static void test_foreign_made_meanwhile(void) {
    g_autoptr(Host) host = host_new("file");
    g_autofree char *path = g_build_filename(host->pmem, "scratch.dev", NULL);
    ManagerRequest mgmt = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "other"), data = allocate_data(8 << 20, "guest");

    make_pool(host);
    g_autofree char *text = g_strdup_printf(
        "[Device]\nRaw=b\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=0x1000000\nName=scratch\n", OTHER_BASE);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    Reply reply = { 0 };
    manager_submit(host->manager, &mgmt, 1, on_reply, &reply);
    while (!reply.done)
        host_run(host);
    g_assert_cmpint(reply.code, ==, PMEMD_ERROR_BUSY);
    g_assert_nonnull(strstr(reply.message, "scratch"));
    g_free(reply.message);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 1);

    g_autofree char *second = g_build_filename(host->pmem, "second.dev", NULL);
    g_autofree char *more = g_strdup_printf(
        "[Device]\nRaw=b\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=0x1000000\nName=second\n", OTHER_BASE + 4096);
    g_assert_true(g_file_set_contents(second, more, -1, NULL));
    data.data.node = 1;
    reply = host_ask(host, &data);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmphex(find(host, reply.result)->range.start, ==, OTHER_BASE + 8192);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 2);

    /* What is gone meanwhile, and of which no event came, refuses nothing: it is looked at once more before that. */
    g_assert_cmpint(g_remove(path), ==, 0);
    reply = host_ask(host, &mgmt);
    g_assert_cmpint(reply.code, ==, -1);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
}

/* A journal whose file was removed takes no more changes: they would be gone at the next start. */
static void test_journal_removed(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    sd_id128_t pool = make_pool(host), region = make_region(host, "a");
    ManagerRequest rename = target(MANAGER_RENAME, region);

    g_assert_cmpint(g_remove(state_pool_by_uuid(manager_state(host->manager), pool)->path), ==, 0);
    rename.target.name = "b";
    g_assert_cmpint(host_ask(host, &rename).code, ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpstr(find(host, region)->name, ==, "a");
    g_assert_cmpint(state_pool_by_uuid(manager_state(host->manager), pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(host_ask(host, &rename).code, ==, PMEMD_ERROR_READ_ONLY);
}

static void test_limits(void) {
    g_autoptr(Host) host = host_new("file");
    Reply replies[70] = { 0 };
    ManagerRequest data = allocate_data(1 << 20, NULL);
    guint refused = 0;

    make_pool(host);
    data.uid = 1000;
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++)
        manager_submit(host->manager, &data, i, on_reply, &replies[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        while (!replies[i].done)
            host_run(host);
        refused += replies[i].code == PMEMD_ERROR_LIMITS_EXCEEDED;
        g_free(replies[i].message);
    }
    g_assert_cmpuint(refused, ==, 5); /* one at hand, 64 waiting */
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What recovery warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_data_func("/manager/life/file", "file", test_life);
    g_test_add_data_func("/manager/life/mapped", "mapped", test_life);
    g_test_add_func("/manager/rename-and-owner", test_rename_and_owner);
    g_test_add_func("/manager/owners", test_owners);
    g_test_add_func("/manager/request-ids", test_request_ids);
    g_test_add_func("/manager/create-fails", test_create_fails);
    g_test_add_func("/manager/setup-fails", test_setup_fails);
    g_test_add_func("/manager/setup-leaves-device", test_setup_leaves_device);
    g_test_add_func("/manager/release-fails", test_release_fails);
    g_test_add_func("/manager/release-is-remembered", test_release_is_remembered);
    g_test_add_func("/manager/erase-only-released", test_erase_only_released);
    g_test_add_func("/manager/missing", test_missing);
    g_test_add_func("/manager/unreadable-description", test_unreadable_description);
    g_test_add_func("/manager/foreign-made-meanwhile", test_foreign_made_meanwhile);
    g_test_add_data_func("/manager/journal-removed/file", "file", test_journal_removed);
    g_test_add_data_func("/manager/journal-removed/mapped", "mapped", test_journal_removed);
    g_test_add_func("/manager/limits", test_limits);
    return g_test_run();
}
