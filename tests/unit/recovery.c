/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The recovery table of docs/architecture.md, row by row, with the variations that must not be mistaken for one
 * another.
 */
#include "daemon/recovery.h"

#include "tests/lib/state-host.h"

enum {
    OPEN_CREATE,
    OPEN_DELETE,
    LIVE
};

/* What the platform shows. */
typedef enum {
    ABSENT,
    ABSENT_WITH_RAW, /* so is its raw region */
    HIDDEN,          /* its raw region is there, and may not show it */
    COMPLETE,
    COMPLETE_HELD,
    PARTIAL,
    PARTIAL_HELD,
    OTHER_TAG,
    OTHER_TAG_PARTIAL,
    NO_TAG, /* label-less memory stores none */
    NO_TAG_PARTIAL,
    MOVED,
    MOVED_PARTIAL,
    MOVED_FAR_PARTIAL, /* to another raw region */
    OTHER_LEAD,        /* in place, but a map of it shows other frames */
} Shown;

static const struct {
    int journal;
    Shown shown;
    RecoveryAction action;
    bool reason;
} rows[] = {
    { OPEN_CREATE, ABSENT, RECOVERY_ABORT_CREATE, false },
    { OPEN_CREATE, ABSENT_WITH_RAW, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, HIDDEN, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, COMPLETE, RECOVERY_COMMIT_CREATE, false },
    { OPEN_CREATE, COMPLETE_HELD, RECOVERY_COMMIT_CREATE, false },
    { OPEN_CREATE, PARTIAL, RECOVERY_DESTROY_AND_ABORT, false },
    { OPEN_CREATE, PARTIAL_HELD, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, OTHER_TAG, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, OTHER_TAG_PARTIAL, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, NO_TAG, RECOVERY_COMMIT_CREATE, false },
    { OPEN_CREATE, NO_TAG_PARTIAL, RECOVERY_DESTROY_AND_ABORT, false },
    { OPEN_CREATE, MOVED, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, MOVED_PARTIAL, RECOVERY_DESTROY_AND_ABORT, false },
    { OPEN_CREATE, MOVED_FAR_PARTIAL, RECOVERY_UNSETTLED, true },
    { OPEN_CREATE, OTHER_LEAD, RECOVERY_DESTROY_AND_ABORT, false },
    { OPEN_DELETE, ABSENT, RECOVERY_COMMIT_DELETE, false },
    { OPEN_DELETE, ABSENT_WITH_RAW, RECOVERY_ERASE_LATER, true },
    { OPEN_DELETE, HIDDEN, RECOVERY_ERASE_LATER, true },
    { OPEN_DELETE, COMPLETE, RECOVERY_ERASE, false },
    { OPEN_DELETE, COMPLETE_HELD, RECOVERY_ERASE, false },
    { OPEN_DELETE, PARTIAL, RECOVERY_ERASE, false },
    { OPEN_DELETE, PARTIAL_HELD, RECOVERY_ERASE, false },
    { OPEN_DELETE, OTHER_TAG, RECOVERY_UNSETTLED, true },
    { OPEN_DELETE, NO_TAG, RECOVERY_ERASE, false },
    { OPEN_DELETE, MOVED, RECOVERY_UNSETTLED, true },
    { LIVE, ABSENT, RECOVERY_MISSING, true },
    { LIVE, ABSENT_WITH_RAW, RECOVERY_MISSING, true },
    { LIVE, HIDDEN, RECOVERY_MISSING, true },
    { LIVE, COMPLETE, RECOVERY_KEEP, false },
    { LIVE, COMPLETE_HELD, RECOVERY_KEEP, false },
    { LIVE, PARTIAL, RECOVERY_MISSING, true },
    { LIVE, OTHER_TAG, RECOVERY_MISSING, true },
    { LIVE, NO_TAG, RECOVERY_KEEP, false },
    { LIVE, MOVED, RECOVERY_MISSING, true },
    { LIVE, OTHER_LEAD, RECOVERY_MISSING, true },
};

static const BackendDevice *show(const Region *region, Shown shown, BackendDevice *device,
                                 char tag[static BACKEND_TAG_MAX]) {
    if (shown == ABSENT || shown == ABSENT_WITH_RAW || shown == HIDDEN)
        return NULL;
    backend_tag_format(BACKEND_ROLE_DATA, region->pool->sb.member_uuid, region->device_uuid, tag);
    *device = (BackendDevice){
        .uuid = region->device_uuid,
        .name = (char *) "device",
        .mode = (char *) "file",
        .tag = tag,
        .device = { region_device(region).start, region->range.end },
        .usable = region->range,
        .role = BACKEND_ROLE_DATA,
        .state = BACKEND_DEVICE_COMPLETE,
    };
    device->held = shown == COMPLETE_HELD || shown == PARTIAL_HELD;
    if (shown == PARTIAL || shown == PARTIAL_HELD || shown == OTHER_TAG_PARTIAL || shown == NO_TAG_PARTIAL ||
        shown == MOVED_PARTIAL || shown == MOVED_FAR_PARTIAL) {
        device->state = BACKEND_DEVICE_PARTIAL;
        device->usable = (FrameRange){ 0, 0 };
    }
    if (shown == OTHER_TAG || shown == OTHER_TAG_PARTIAL)
        backend_tag_format(BACKEND_ROLE_DATA, uuid_of(0x77, 0), region->device_uuid, tag);
    if (shown == NO_TAG || shown == NO_TAG_PARTIAL)
        tag[0] = '\0';
    if (shown == MOVED) {
        device->device.start += 16;
        device->device.end += 16;
        device->usable = device->device;
    }
    if (shown == MOVED_PARTIAL || shown == MOVED_FAR_PARTIAL) {
        uint64_t by = shown == MOVED_PARTIAL ? 16 : LEFT - RIGHT;

        device->device.start += by;
        device->device.end += by;
    }
    if (shown == OTHER_LEAD)
        device->usable.start += 16;
    return device;
}

static void test_regions(void) {
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(State) state = state_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *reason = NULL;
        char tag[BACKEND_TAG_MAX];
        BackendDevice device;

        g_test_message("row %zu", i);
        add_raw(state, "left", LEFT, RAW_FRAMES);
        if (rows[i].shown != ABSENT_WITH_RAW)
            add_raw(state, "right", RIGHT, RAW_FRAMES);
        if (rows[i].shown == HIDDEN) {
            Raw *raw = state_raw_by_id(state, "right");

            raw->hides = true;
            raw->unusable = g_strdup("disabled");
        }
        Pool *pool = add_pool(state, 0, LEFT);
        JfRegion record = region_of(pool, 1, RIGHT, 256);
        JfDelete delete = { .region_uuid = record.region_uuid };
        g_assert_true(
            apply_region(state, pool, rows[i].journal == OPEN_CREATE ? JF_INTENT_CREATE : JF_ADD, 5, &record, &error));
        if (rows[i].journal == OPEN_DELETE)
            g_assert_true(apply_delete(state, pool, 6, &delete, &error));
        g_assert_no_error(error);

        const Region *region = state_region_by_uuid(state, record.region_uuid);
        const BackendDevice *shown = show(region, rows[i].shown, &device, tag);
        g_assert_cmpint(recovery_decide_region(region, shown, &reason), ==, rows[i].action);
        g_assert_cmpint(reason != NULL, ==, rows[i].reason);
    }
}

static void test_devices(void) {
    static const struct {
        BackendRole role;
        bool held, setup;
        RecoveryDeviceAction action;
    } cases[] = {
        { BACKEND_ROLE_NONE, false, false, RECOVERY_DEVICE_FOREIGN },
        { BACKEND_ROLE_NONE, false, true, RECOVERY_DEVICE_FOREIGN },
        { BACKEND_ROLE_DATA, false, false, RECOVERY_DEVICE_ORPHAN },
        { BACKEND_ROLE_DATA, false, true, RECOVERY_DEVICE_ORPHAN },
        { BACKEND_ROLE_MGMT, false, false, RECOVERY_DEVICE_UNFORMATTED },
        { BACKEND_ROLE_MGMT, false, true, RECOVERY_DEVICE_DESTROY },
        { BACKEND_ROLE_MGMT, true, true, RECOVERY_DEVICE_UNFORMATTED },
        { BACKEND_ROLE_FILLER, false, false, RECOVERY_DEVICE_DESTROY },
        { BACKEND_ROLE_FILLER, true, false, RECOVERY_DEVICE_ORPHAN },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BackendDevice device = { .role = cases[i].role, .held = cases[i].held };

        g_assert_cmpint(recovery_decide_device(&device, cases[i].setup), ==, cases[i].action);
    }
}

static void test_superblock(void) {
    g_autoptr(State) state = state_with_raws();
    const Raw *raw = state_raw_by_id(state, "left");
    FrameRange range = { LEFT, LEFT + POOL_FRAMES };
    const JfSuperblock good = superblock_of(0, range);

    for (int fault = 0; fault < 5; fault++) {
        JfSuperblock sb = good;
        BackendDevice device = { .uuid = good.member_uuid, .usable = range };
        g_autofree char *reason = NULL;

        if (fault == 1)
            sb.member_uuid = uuid_of(0x11, 9); /* copied from another device */
        else if (fault == 2)
            device.usable.end++;
        else if (fault == 3)
            sb.raw_cookie = uuid_of(0x12, 9);
        g_assert_cmpint(recovery_check_superblock(&sb, &device, fault == 4 ? NULL : raw, &reason), ==, fault == 0);
        g_assert_cmpint(reason != NULL, ==, fault != 0);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recovery/regions", test_regions);
    g_test_add_func("/recovery/devices", test_devices);
    g_test_add_func("/recovery/superblock", test_superblock);
    return g_test_run();
}
