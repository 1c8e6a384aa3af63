/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Pools whose hints, or whose platform, fail while they are made, found or released: what was acknowledged is never
 * destroyed, what was refused is not left behind.
 */
#include "tests/lib/manager-host.h"

#include "daemon/hints.h"

#include <unistd.h>

/* A directory where the hint should be: it can neither be written nor removed as a file. */
static char *block_hint(const Host *host, HintKind kind, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];
    char *path = g_build_filename(host->state_dir, kind == HINT_SETUP ? "setup" : "release",
                                  pmemd_uuid_format(uuid, text), NULL);

    g_remove(path);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    return path;
}

static guint count_pools(const Host *host) {
    return state_pools(manager_state(host->manager))->len;
}

static guint count_foreigns(const Host *host) {
    return state_foreigns(manager_state(host->manager))->len;
}

/* Begins a setup whose device is being made; returns the uuid that its hint tells. */
static sd_id128_t begin_setup(Host *host, const char *order, Reply *reply) {
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

    host_hold(host);
    host_inject(host, order);
    manager_submit(host->manager, &mgmt, 1, on_reply, reply);
    host_wait_in_flight(host);
    g_autoptr(GArray) hints = hints_list(host->state_dir, HINT_SETUP, NULL);
    g_assert_cmpuint(hints->len, ==, 1);
    return g_array_index(hints, sd_id128_t, 0);
}

static void end_setup(Host *host, Reply *reply) {
    host_let_go(host);
    while (!reply->done)
        host_run(host);
    g_clear_pointer(&reply->message, g_free);
}

/* A setup whose hint cannot be removed is no setup: nothing of it is there, then or later. */
static void test_setup_hint_stays(void) {
    g_autoptr(Host) host = host_new("file");
    Reply reply = { 0 };
    sd_id128_t uuid = begin_setup(host, "[create]\nWhen=after\nWaitFile=hold\n", &reply);
    g_autofree char *path = block_hint(host, HINT_SETUP, uuid);

    end_setup(host, &reply);
    g_assert_cmpint(reply.code, !=, -1);
    for (int start = 0; start < 2; start++) {
        g_assert_cmpuint(count_pools(host), ==, 0);
        g_assert_cmpuint(count_foreigns(host), ==, 0);
        host_restart(host);
        g_assert_cmpint(manager_get_state(host->manager), ==, MANAGER_OK);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
    make_pool(host);
}

/* ... and when not even its device can be destroyed, the next start does it. */
static void test_setup_hint_and_device_stay(void) {
    g_autoptr(Host) host = host_new("file");
    Reply reply = { 0 };
    sd_id128_t uuid = begin_setup(host, "[create]\nWhen=after\nWaitFile=hold\n", &reply);

    g_autofree char *path = block_hint(host, HINT_SETUP, uuid);
    host_inject(host, "[destroy]\nError=EIO\n");
    end_setup(host, &reply);
    g_assert_cmpint(reply.code, !=, -1);
    g_assert_cmpuint(count_pools(host), ==, 0);
    g_assert_cmpuint(count_foreigns(host), ==, 1);
    host_restart(host);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    g_assert_cmpint(rmdir(path), ==, 0);
}

/* The daemon died between the pool and the end of its hint, which now cannot be removed. */
static void test_found_beside_hint(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    ManagerRequest data = allocate_data(8 << 20, "guest");

    host_stop(host);
    g_autofree char *path = block_hint(host, HINT_SETUP, pool);
    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpint(rmdir(path), ==, 0);
    host_restart(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpint(host_ask(host, &data).code, ==, -1);
}

/* A pool whose image somebody cut is listed, and nothing destroys it. */
static void test_cut_device_stays(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host), region = make_region(host, "guest");
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    uint64_t bytes = frame_range_frames(find_pool(host, pool)->sb.range) * PMEMD_FRAME_SIZE;

    host_stop(host);
    g_assert_cmpint(truncate(path, (off_t) bytes - 4096), ==, 0);
    for (int start = 0; start < 2; start++) {
        host_start(host);
        g_assert_cmpuint(count_pools(host), ==, 0);
        g_assert_cmpuint(count_foreigns(host), ==, 2);
        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        host_stop(host);
    }
    g_assert_cmpint(truncate(path, (off_t) bytes), ==, 0);
    host_start(host); /* superblock copy 1 and its roots were in what was cut: copy 0 is enough */
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
}

/* A release that may be on the disk, though it was refused: until that is known nothing comes into the pool. */
static void test_release_hint_not_put(void) {
    g_autoptr(Host) host = host_new("file");
    sd_id128_t pool = make_pool(host);
    ManagerRequest release = target(MANAGER_RELEASE_MGMT, pool), data = allocate_data(8 << 20, "guest");
    g_autofree char *dir = g_build_filename(host->state_dir, "release", NULL);
    g_autofree char *path = NULL;

    /* Cannot be put, and is not there: as before. */
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_assert_cmpint(host_ask(host, &release).code, !=, -1);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_OK);
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);

    path = block_hint(host, HINT_RELEASE, pool);
    g_assert_cmpint(host_ask(host, &release).code, !=, -1);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_READ_ONLY);
    g_assert_cmpint(rmdir(path), ==, 0);
    host_restart(host);
    g_assert_cmpint(host_ask(host, &data).code, ==, -1);
}

/* Its device is gone when its journal is to be written. */
static void test_device_goes(void) {
    g_autoptr(Host) host = host_new("file");
    Reply reply = { 0 };

    begin_setup(host, "[list]\nWhen=after\nWaitFile=hold\n", &reply);
    g_autoptr(GDir) dir = g_dir_open(host->pmem, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, "mgmt-") || g_str_has_suffix(name, ".dev")) {
            g_autofree char *path = host_file(host, name);

            g_assert_cmpint(g_remove(path), ==, 0);
        }
    end_setup(host, &reply);
    g_assert_cmpint(reply.code, ==, PMEMD_ERROR_NO_SUCH_REGION);
    g_assert_cmpuint(count_pools(host), ==, 0);
    g_assert_cmpuint(count_foreigns(host), ==, 0);
    g_autoptr(GArray) hints = hints_list(host->state_dir, HINT_SETUP, NULL);
    g_assert_cmpuint(hints->len, ==, 0);
    make_pool(host);
}

/* The state directory takes no hint: nothing is begun. */
static void test_no_hint(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");
    g_autofree char *dir = g_build_filename(host->state_dir, "setup", NULL);

    g_assert_cmpint(rmdir(dir), ==, 0);
    g_assert_cmpint(host_ask(host, &mgmt).code, !=, -1);
    g_assert_cmpuint(count_pools(host), ==, 0);
    host_restart(host); /* which makes it again */
    make_pool(host);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    /* What the daemon warns about is what these tests provoke. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager-pool/setup-hint-stays", test_setup_hint_stays);
    g_test_add_func("/manager-pool/setup-hint-and-device-stay", test_setup_hint_and_device_stay);
    g_test_add_func("/manager-pool/found-beside-hint", test_found_beside_hint);
    g_test_add_func("/manager-pool/cut-device-stays", test_cut_device_stays);
    g_test_add_func("/manager-pool/release-hint-not-put", test_release_hint_not_put);
    g_test_add_func("/manager-pool/device-goes", test_device_goes);
    g_test_add_func("/manager-pool/no-hint", test_no_hint);
    return g_test_run();
}
