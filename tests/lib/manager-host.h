/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the tests of manager and eraser share: a daemon without its bus, over the file backend in a directory of its
 * own, with two raw regions on two nodes; and short ways to ask it. Included by those tests alone.
 */
#pragma once

#include "daemon/backend-file.h"
#include "daemon/eraser.h"
#include "daemon/manager.h"
#include "proto/error.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define BASE UINT64_C(0x100000)
#define RAW_FRAMES (UINT64_C(256) * 256) /* 256 MiB */
#define OTHER_BASE UINT64_C(0x200000)

/* One host: a directory for the backend, one for the state, and a daemon without its bus. */
typedef struct {
    char *dir, *pmem, *state_dir;
    sd_event *event;
    Manager *manager;
    Eraser *eraser;
    bool ready;
    uint64_t stuck_usec;                            /* of the manager that host_start() makes */
    guint degraded;                                 /* times that a test saw the manager's state so */
    GError *failed;                                 /* why it is not: the platform could not be read */
    Backend *(*wrap)(Backend *backend, void *data); /* stands before the file backend; NULL: nothing does */
    void *wrap_data;
    guint jobs_done, jobs_failed;
    sd_id128_t last_job; /* the region of the job that ended last */
    char *job_message;
} Host;

typedef struct {
    bool done;
    sd_id128_t result;
    int code; /* PmemdError, or -1 */
    char *message;
} Reply;

static inline void on_ready(void *data, const GError *error) {
    Host *host = data;

    host->failed = error ? g_error_copy(error) : NULL;
    host->ready = true;
}

static inline void on_job_removed(void *data, sd_id128_t region, const char *message) {
    Host *host = data;
    EraseJob job;

    g_assert_true(eraser_get_job(host->eraser, region, &job)); /* whoever announces it late still can */
    host->last_job = region;
    if (message) {
        host->jobs_failed++;
        g_free(host->job_message);
        host->job_message = g_strdup(message);
    } else {
        host->jobs_done++;
    }
}

static inline void on_reply(void *data, sd_id128_t result, const GError *error) {
    Reply *reply = data;

    g_assert_false(reply->done);
    reply->done = true;
    reply->result = result;
    reply->code = error ? error->code : -1;
    reply->message = g_strdup(error ? error->message : "");
    if (error)
        g_assert_true(error->domain == PMEMD_ERROR);
}

static inline void host_run(Host *host) {
    g_assert_cmpint(sd_event_run(host->event, 30 * G_USEC_PER_SEC), >, 0);
}

/* false: the platform could not be read, host->failed says why. */
static inline bool host_try_start(Host *host) {
    g_autoptr(GError) error = NULL;
    const ManagerEvents events = { .ready = on_ready };
    const EraserEvents erase_events = { .job_removed = on_job_removed };
    Backend *backend = backend_file_new(host->pmem, &error);

    g_assert_no_error(error);
    g_assert_cmpint(sd_event_new(&host->event), >=, 0);
    host->ready = false;
    g_clear_error(&host->failed);
    if (host->wrap)
        backend = host->wrap(backend, host->wrap_data);
    host->manager =
        manager_new(host->event, backend, host->state_dir, (ManagerLimits){ 256, 64, host->stuck_usec }, &error);
    g_assert_no_error(error);
    manager_add_events(host->manager, &events, host);
    host->eraser = eraser_new(host->event, host->manager, &erase_events, host, &error);
    g_assert_no_error(error);
    manager_start(host->manager);
    while (!host->ready || (!host->failed && manager_get_state(host->manager) == MANAGER_RECOVERING))
        host_run(host);
    return !host->failed;
}

static inline void host_start(Host *host) {
    host_try_start(host);
    g_assert_no_error(host->failed);
}

static inline void host_stop(Host *host) {
    g_clear_pointer(&host->manager, manager_free);
    g_clear_pointer(&host->eraser, eraser_free);
    host->event = sd_event_unref(host->event);
}

static inline void host_restart(Host *host) {
    host_stop(host);
    host_start(host);
}

/* A host whose daemon has not been started. */
static inline Host *host_new_stopped(const char *medium) {
    g_autoptr(GError) error = NULL;
    Host *host = g_new0(Host, 1);
    g_autofree char *conf = NULL, *text = NULL;

    host->dir = g_dir_make_tmp("pmemd-manager-XXXXXX", &error);
    g_assert_no_error(error);
    host->pmem = g_build_filename(host->dir, "pmem", NULL);
    host->state_dir = g_build_filename(host->dir, "state", NULL);
    g_assert_cmpint(g_mkdir(host->pmem, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(host->state_dir, 0700), ==, 0);
    conf = g_build_filename(host->pmem, "regions.conf", NULL);
    text = g_strdup_printf("[a]\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=256M\nNode=0\nAlignment=64K\nMedium=%s\n"
                           "[b]\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=256M\nNode=1\nAlignment=64K\nMedium=%s\n",
                           BASE, medium, OTHER_BASE, medium);
    g_assert_true(g_file_set_contents(conf, text, -1, &error));
    return host;
}

static inline Host *host_new(const char *medium) {
    Host *host = host_new_stopped(medium);

    host_start(host);
    return host;
}

/* The same with memory that is not zero when it is new, as NVDIMM. */
static inline Host *host_new_dirty(const char *medium) {
    Host *host = host_new_stopped(medium);
    g_autofree char *conf = g_build_filename(host->pmem, "regions.conf", NULL), *text = NULL;
    g_autoptr(GString) dirty = NULL;

    g_assert_true(g_file_get_contents(conf, &text, NULL, NULL));
    dirty = g_string_new(text);
    g_string_replace(dirty, "Medium=", "Zeroed=no\nMedium=", 0);
    g_assert_true(g_file_set_contents(conf, dirty->str, -1, NULL));
    host_start(host);
    return host;
}

static inline void remove_tree(const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static inline void host_free(Host *host) {
    host_stop(host);
    remove_tree(host->dir);
    g_free(host->dir);
    g_free(host->pmem);
    g_free(host->state_dir);
    g_free(host->job_message);
    g_clear_error(&host->failed);
    g_free(host);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

static inline void host_inject(Host *host, const char *text) {
    g_autofree char *path = g_build_filename(host->pmem, "inject.conf", NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline Reply host_ask_hashed(Host *host, const ManagerRequest *request, uint64_t hash) {
    Reply reply = { 0 };

    manager_submit(host->manager, request, hash, on_reply, &reply);
    while (!reply.done)
        host_run(host);
    g_clear_pointer(&reply.message, g_free);
    return reply;
}

static inline Reply host_ask(Host *host, const ManagerRequest *request) {
    return host_ask_hashed(host, request, 1);
}

static inline ManagerRequest setup_mgmt(uint64_t start, uint64_t end, const char *name) {
    return (ManagerRequest){
        .method = MANAGER_SETUP_MGMT,
        .user = "root",
        .mgmt = { .range = { start, end }, .profile = PROFILE_XEN, .max_regions = 64, .name = name, .node = -1 },
    };
}

static inline ManagerRequest allocate_data(uint64_t bytes, const char *name) {
    return (ManagerRequest){
        .method = MANAGER_ALLOCATE_DATA,
        .user = "root",
        .data = { .bytes = bytes, .name = name, .node = -1 },
    };
}

static inline ManagerRequest target(ManagerMethod method, sd_id128_t uuid) {
    return (ManagerRequest){
        .method = method, .user = "root", .others = true, .target = { .uuid = uuid, .name = "", .owner_user = "" }
    };
}

static inline sd_id128_t make_pool(Host *host) {
    ManagerRequest request = setup_mgmt(BASE, BASE + 4096, "pool");
    Reply reply = host_ask(host, &request);

    g_assert_cmpint(reply.code, ==, -1);
    return reply.result;
}

static inline sd_id128_t make_region(Host *host, const char *name) {
    ManagerRequest request = allocate_data(8 << 20, name);
    Reply reply = host_ask(host, &request);

    g_assert_cmpint(reply.code, ==, -1);
    return reply.result;
}

static inline const Region *find(Host *host, sd_id128_t uuid) {
    return state_region_by_uuid(manager_state(host->manager), uuid);
}

static inline const Pool *find_pool(Host *host, sd_id128_t uuid) {
    return state_pool_by_uuid(manager_state(host->manager), uuid);
}

/* Asks and runs the loop until the erase that follows has ended, well or not. */
static inline void release_and_wait(Host *host, sd_id128_t region) {
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region);
    guint ended = host->jobs_done + host->jobs_failed;

    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    while (host->jobs_done + host->jobs_failed == ended)
        host_run(host);
}

static inline void on_refused_content(void *data, BackendContent *content, const GError *error) {
    g_assert_null(content);
    on_reply(data, SD_ID128_NULL, error);
}

/* Neither is its content opened nor its device destroyed. */
static inline void assert_not_erased(Host *host, sd_id128_t region, int code) {
    Reply replies[2] = { 0 };

    manager_open_content(host->manager, region, on_refused_content, &replies[0]);
    manager_finish_erase(host->manager, region, true, on_reply, &replies[1]);
    for (guint i = 0; i < G_N_ELEMENTS(replies); i++) {
        while (!replies[i].done)
            host_run(host);
        g_assert_cmpint(replies[i].code, ==, code);
        g_free(replies[i].message);
    }
}

/* In the backend's directory. */
static inline char *host_file(const Host *host, const char *name) {
    return g_build_filename(host->pmem, name, NULL);
}

/* Runs the loop until what host_inject() ordered has begun. */
static inline void host_wait_in_flight(Host *host) {
    g_autofree char *path = host_file(host, "inject.conf");

    while (g_file_test(path, G_FILE_TEST_EXISTS))
        g_assert_cmpint(sd_event_run(host->event, 1000), >=, 0);
}

static inline void host_hold(Host *host) {
    g_autofree char *path = host_file(host, "hold");

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
}

static inline void host_let_go(Host *host) {
    g_autofree char *path = host_file(host, "hold");

    g_assert_cmpint(g_remove(path), ==, 0);
}

/* Writes past the first page fail from here on. Returns the limit to restore. */
static inline struct rlimit host_forbid_writes(void) {
    struct rlimit before, none;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    none = before;
    none.rlim_cur = 4096;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    return before;
}
