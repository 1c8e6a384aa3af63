/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager's limits: what a user may own, how many calls wait for one answer, and raw regions that are not managed,
 * also when pmemd starts.
 */
#include "tests/lib/manager-host.h"

#define ALICE 1000u
#define MIB (UINT64_C(1) << 20)

static ManagerRequest alices(uint64_t bytes, uint64_t quota_bytes) {
    ManagerRequest request = allocate_data(bytes, NULL);

    request.uid = ALICE;
    request.user = "alice";
    request.quota = (QuotaLimit){ .limited = true, .bytes = quota_bytes, .source = "user alice" };
    return request;
}

static int plan_code(Host *host, const ManagerRequest *request) {
    g_autoptr(GError) error = NULL;
    RegionPlan plan;

    return manager_plan(host->manager, request, &plan, &error) ? -1 : error->code;
}

static void test_quota(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest request = alices(8 * MIB, 16 * MIB);

    make_pool(host);
    sd_id128_t first = host_ask(host, &request).result;
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    g_assert_cmpint(plan_code(host, &request), ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    host_restart(host);
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_LIMITS_EXCEEDED);

    /* While it is being erased it still counts, and then no longer. */
    host_hold(host);
    host_inject(host, "[zero]\nWaitFile=hold\n");
    ManagerRequest release = target(MANAGER_RELEASE_DATA, first);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    g_assert_cmpint(plan_code(host, &request), ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    host_wait_in_flight(host);
    host_let_go(host);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_cmpint(plan_code(host, &request), ==, -1);

    /* Root is exempt, whatever stands in the request. */
    request.uid = 0;
    request.quota.bytes = 0;
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

static void test_max_regions(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest request = alices(MIB, 0);

    make_pool(host);
    request.quota.limited = false;
    manager_set_limits(host->manager, (ManagerLimits){ 256, 64, 0, 1 });
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    manager_set_limits(host->manager, (ManagerLimits){ 256, 64, 0, 0 });
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

/* Nobody but root gives somebody more than that one may own. */
static void test_set_owner(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, NULL); /* 8 MiB, root's */
    ManagerRequest give = target(MANAGER_SET_OWNER, region);
    give.uid = 7;
    give.target.owner_uid = ALICE;
    give.quota = (QuotaLimit){ .limited = true, .bytes = 8 * MIB - 1, .source = "default" };
    g_assert_cmpint(host_ask(host, &give).code, ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    g_assert_cmpuint(find(host, region)->owner_uid, ==, 0);
    give.quota.bytes++;
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
    g_assert_cmpuint(find(host, region)->owner_uid, ==, ALICE);
    give.quota.bytes = 0; /* it is theirs already */
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
    sd_id128_t other = make_region(host, NULL);
    give.target.uuid = other;
    give.uid = 0;
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
}

/* Calls that repeat a request-id wait with the first one: not without end. */
static void test_joined_calls(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest request = allocate_data(MIB, NULL);
    Reply replies[10] = { 0 };
    guint refused = 0;

    make_pool(host);
    manager_set_limits(host->manager, (ManagerLimits){ 256, 8, 0, 0 });
    g_assert_cmpint(sd_id128_randomize(&request.request_id), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(replies); i++)
        manager_submit(host->manager, &request, 1, on_reply, &replies[i]);
    for (guint i = 0; i < G_N_ELEMENTS(replies); i++) {
        while (!replies[i].done)
            host_run(host);
        refused += replies[i].code == PMEMD_ERROR_LIMITS_EXCEEDED;
        g_free(replies[i].message);
    }
    g_assert_cmpuint(refused, ==, 2);
    g_assert_cmpuint(state_count_regions(manager_state(host->manager)), ==, 1);
}

static void set_manage(Host *host, const char *text) {
    g_autoptr(ManageList) list = manage_list_parse(text, NULL);

    g_assert_nonnull(list);
    manager_set_manage(host->manager, list);
}

static void test_manage(void) {
    g_autoptr(Host) host = host_new("file");
    ManagerRequest request = allocate_data(MIB, NULL);

    make_pool(host); /* in a */
    set_manage(host, "name:b");
    g_assert_cmpstr(find(host, host_ask(host, &request).result)->occupant.raw->id, ==, "b");
    g_autofree char *frame = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", (uint64_t) BASE);
    set_manage(host, frame);
    g_assert_cmpstr(find(host, host_ask(host, &request).result)->occupant.raw->id, ==, "a");
    set_manage(host, "none");
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_NO_SPACE);
    manager_refresh(host->manager); /* the next listing does not forget it */
    g_assert_cmpint(host_ask(host, &request).code, ==, PMEMD_ERROR_NO_SPACE);
    set_manage(host, "all");
    g_assert_cmpint(host_ask(host, &request).code, ==, -1);
}

static guint count_foreign(Host *host, ForeignKind kind) {
    GPtrArray *foreigns = state_foreigns(manager_state(host->manager));
    guint n = 0;

    for (guint i = 0; i < foreigns->len; i++)
        n += ((const Foreign *) g_ptr_array_index(foreigns, i))->kind == kind;
    return n;
}

/* host_start() with Manage= in force when the platform is compared. */
static void start_managing(Host *host, const char *text) {
    g_autoptr(GError) error = NULL;
    const ManagerEvents events = { .ready = on_ready };
    const EraserEvents erase_events = { .job_removed = on_job_removed };
    Backend *backend = backend_file_new(host->pmem, &error);

    g_assert_no_error(error);
    g_assert_cmpint(sd_event_new(&host->event), >=, 0);
    host->ready = false;
    host->manager = manager_new(host->event, backend, host->state_dir, (ManagerLimits){ 256, 64, 0, 0 }, &error);
    g_assert_no_error(error);
    set_manage(host, text);
    manager_add_events(host->manager, &events, host);
    host->eraser = eraser_new(host->event, host->manager, &erase_events, host, &error);
    g_assert_no_error(error);
    manager_start(host->manager);
    while (!host->ready || manager_get_state(host->manager) == MANAGER_RECOVERING)
        host_run(host);
}

static void make_filler(Host *host, uint64_t start) {
    g_autoptr(GError) error = NULL;
    Backend *backend = backend_file_new(host->pmem, &error);
    BackendOutcome outcome;
    char tag[BACKEND_TAG_MAX];
    sd_id128_t uuid;

    g_assert_no_error(error);
    g_assert_cmpint(sd_id128_randomize(&uuid), ==, 0);
    const BackendCreate create = {
        .raw_id = "a",
        .device = { start, start + 256 },
        .uuid = uuid,
        .tag = backend_tag_format(BACKEND_ROLE_FILLER, uuid, uuid, tag),
    };
    BackendDevice *device = backend->ops->create(backend, &create, &outcome, &error);
    g_assert_no_error(error);
    backend_device_free(device);
    backend_free(backend);
}

/* What only its tag makes ours is left alone there; what a journal knows is brought to its end. */
static void test_recovery(void) {
    g_autoptr(Host) host = host_new("file");

    make_pool(host);
    sd_id128_t region = make_region(host, "guest"), released = make_region(host, "gone");
    ManagerRequest release = target(MANAGER_RELEASE_DATA, released);
    host_inject(host, "[zero]\nError=EIO\n");
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    while (host->jobs_failed == 0)
        host_run(host);
    host_stop(host);
    make_filler(host, BASE + 0x8000);
    host->jobs_done = host->jobs_failed = 0;

    start_managing(host, "name:b");
    g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
    while (host->jobs_done == 0)
        host_run(host);
    g_assert_null(find(host, released));
    g_assert_cmpuint(count_foreign(host, FOREIGN_ORPHAN), ==, 1);
    host_stop(host);
    start_managing(host, "name:a");
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
}

/* Requests that wait elsewhere to be submitted take room, too: of all, and of their user; root has no share of its own. */
static void test_waiting_elsewhere(void) {
    static const struct {
        uint32_t uid;
        guint elsewhere, of_uid;
        bool room;
    } rows[] = {
        { 1000, 0, 0, true },    { 1000, 255, 63, true }, { 1000, 64, 64, false },
        { 1000, 256, 0, false }, { 0, 255, 200, true },   { 0, 256, 0, false },
    };
    g_autoptr(Host) host = host_new("file");

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(manager_check_limits(host->manager, rows[i].uid, rows[i].elsewhere, rows[i].of_uid, &error), ==,
                        rows[i].room);
        if (!rows[i].room)
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/manager-limits/waiting-elsewhere", test_waiting_elsewhere);
    g_test_add_func("/manager-limits/quota", test_quota);
    g_test_add_func("/manager-limits/max-regions", test_max_regions);
    g_test_add_func("/manager-limits/set-owner", test_set_owner);
    g_test_add_func("/manager-limits/joined-calls", test_joined_calls);
    g_test_add_func("/manager-limits/manage", test_manage);
    g_test_add_func("/manager-limits/recovery", test_recovery);
    return g_test_run();
}
