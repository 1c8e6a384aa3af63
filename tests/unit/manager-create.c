/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What the manager asks the platform to make, and what becomes of a device that is made elsewhere. */
#include "tests/lib/manager-host.h"

#include "daemon/hints.h"

#include <fcntl.h>
#include <unistd.h>

/* Before the file backend: sees what is asked for, and may change it. */
typedef struct {
    Backend base;
    Backend *inner;
    struct Asker *asker;
} Shift;

typedef struct Asker {
    uint64_t shift;  /* frames by which devices are made too high */
    bool unlabelled; /* raw regions are shown as such, with labels to be made */
    bool carved;     /* as RAM without labels, none of whose data devices is there any more */
    bool gone;       /* nor any other */
    bool untagged;   /* nothing but its superblock says of a mgmt device whose it is */
    guint created;
    bool init_labels; /* of the last creation */
} Asker;

static bool has_superblock(const BackendDevice *device) {
    uint8_t start[8] = { 0 };
    int fd = open(device->path, O_RDONLY | O_CLOEXEC);
    bool written = fd >= 0 && pread(fd, start, sizeof start, 0) == sizeof start && start[0] != 0;

    if (fd >= 0)
        close(fd);
    return written;
}

static void hide_tag(BackendDevice *device) {
    if (device->role != BACKEND_ROLE_MGMT || has_superblock(device))
        return;
    device->role = BACKEND_ROLE_NONE;
    g_free(device->tag);
    device->tag = g_strdup("");
}

static BackendListing *shift_list(Backend *b, GError **error) {
    const Shift *shift = (const Shift *) b;
    BackendListing *listing = shift->inner->ops->list(shift->inner, error);

    for (guint i = 0; listing && shift->asker->unlabelled && i < listing->raws->len; i++) {
        BackendRaw *raw = g_ptr_array_index(listing->raws, i);

        raw->kind = BACKEND_RAW_UNLABELLED;
        raw->initialisable = true;
    }
    for (guint i = 0; listing && shift->asker->carved && i < listing->raws->len; i++) {
        BackendRaw *raw = g_ptr_array_index(listing->raws, i);

        raw->kind = BACKEND_RAW_UNLABELLED;
        g_free(raw->persistence);
        raw->persistence = g_strdup("volatile");
    }
    for (guint i = listing && shift->asker->carved ? listing->devices->len : 0; i > 0; i--) {
        const BackendDevice *device = g_ptr_array_index(listing->devices, i - 1);

        if (device->role == BACKEND_ROLE_DATA || shift->asker->gone)
            g_ptr_array_remove_index(listing->devices, i - 1);
    }
    for (guint i = 0; listing && shift->asker->untagged && i < listing->devices->len; i++)
        hide_tag(g_ptr_array_index(listing->devices, i));
    return listing;
}

static BackendDevice *shift_create(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    const Shift *shift = (const Shift *) b;
    BackendCreate other = *req;

    other.device.start += shift->asker->shift;
    other.device.end += shift->asker->shift;
    shift->asker->created++;
    shift->asker->init_labels = req->init_labels;
    return shift->inner->ops->create(shift->inner, &other, ret_outcome, error);
}

static bool shift_destroy(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->destroy(inner, uuid, tag, ret_outcome, error);
}

static Medium *shift_open_medium(Backend *b, sd_id128_t uuid, GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->open_medium(inner, uuid, error);
}

static bool shift_renew(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->renew(inner, uuid, tag, ret_outcome, error);
}

static MapperList *shift_mappers(Backend *b, sd_id128_t uuid, GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->mappers(inner, uuid, error);
}

static BackendContent *shift_open_content(Backend *b, sd_id128_t uuid, GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->open_content(inner, uuid, error);
}

static bool shift_clear_bad(Backend *b, const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome,
                            GError **error) {
    Backend *inner = ((const Shift *) b)->inner;

    return inner->ops->clear_bad(inner, req, ret_frames, ret_outcome, error);
}

static void shift_free(Backend *b) {
    backend_free(((const Shift *) b)->inner);
    g_free(b);
}

static Backend *wrap(Backend *inner, void *data) {
    static const BackendOps ops = {
        .name = "file",
        .list = shift_list,
        .create = shift_create,
        .destroy = shift_destroy,
        .open_medium = shift_open_medium,
        .renew = shift_renew,
        .mappers = shift_mappers,
        .open_content = shift_open_content,
        .clear_bad = shift_clear_bad,
        .free = shift_free,
    };
    Shift *shift = g_new0(Shift, 1);

    *shift = (Shift){ .base.ops = &ops, .inner = inner, .asker = data };
    return &shift->base;
}

static Host *host_new_asked(Asker *asker) {
    Host *host = host_new_stopped("file");

    host->wrap = wrap;
    host->wrap_data = asker;
    host_start(host);
    return host;
}

/* Labels are made only where the caller agreed to lose what the raw region holds. */
static void test_labels(void) {
    Asker asker = { .unlabelled = true };
    g_autoptr(Host) host = host_new_asked(&asker);
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

    mgmt.mgmt.init_labels = true;
    g_assert_cmpint(host_ask(host, &mgmt).code, ==, -1);
    g_assert_cmpuint(asker.created, ==, 1);
    g_assert_true(asker.init_labels);
    asker.unlabelled = false;
    manager_refresh(host->manager);
    make_region(host, "guest");
    g_assert_cmpuint(asker.created, ==, 2);
    g_assert_false(asker.init_labels);
}

/* The device of a new pool is not taken for another's because it was listed before its superblock was written. */
static void test_untagged(void) {
    Asker asker = { .untagged = true };
    g_autoptr(Host) host = host_new_asked(&asker);
    const Pool *pool = find_pool(host, make_pool(host));

    g_assert_cmpint(pool->state, ==, POOL_OK);
    g_assert_nonnull(pool->journal);
    make_region(host, "guest");
}

static bool is_managed_by(Host *host, const char *manage) {
    g_autoptr(ManageList) list = manage_list_parse(manage, NULL);

    manager_set_manage(host->manager, list);
    return !((const Raw *) state_raws(manager_state(host->manager))->pdata[0])->unmanaged;
}

/* What goes whole is not given to pmemd by "all", and content that went with the power is no failure. */
static void test_carved(void) {
    Asker asker = { 0 };
    g_autoptr(Host) host = host_new_asked(&asker);
    g_autofree char *frame = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", (uint64_t) BASE);

    make_pool(host);
    make_region(host, "guest");
    g_assert_true(is_managed_by(host, "all"));
    asker.carved = true;
    host_stop(host);
    host_start(host);
    g_assert_false(is_managed_by(host, "all"));
    g_assert_false(is_managed_by(host, "none"));
    g_assert_true(is_managed_by(host, frame));
    const Region *region = state_next_region(manager_state(host->manager), NULL);
    g_assert_nonnull(region);
    g_assert_cmpint(region->state, ==, REGION_MISSING);
    g_assert_nonnull(strstr(region->reason, "is RAM"));
    g_assert_nonnull(strstr(region->reason, "forget"));

    /* The state directory remembers the pool, until a start has said that it is gone. */
    sd_id128_t pool = region->pool->sb.member_uuid;
    g_assert_true(hints_has(host->state_dir, HINT_IN_RAM, pool));
    asker.gone = true;
    host_stop(host);
    host_start(host);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_false(hints_has(host->state_dir, HINT_IN_RAM, pool));
    /* A new one does not wait for a start to be remembered. */
    asker.carved = asker.gone = false;
    host_stop(host);
    host_start(host);
    g_assert_false(hints_has(host->state_dir, HINT_IN_RAM, pool));
}

/* A pool that is made in RAM is remembered, and one that is released is not. */
static void test_note(void) {
    Asker asker = { .carved = true };
    g_autoptr(Host) host = host_new_asked(&asker);
    g_autoptr(GArray) notes = NULL, none = NULL;

    ManagerRequest mgmt = setup_mgmt(BASE, BASE + RAW_FRAMES, "pool");
    Reply made = host_ask(host, &mgmt);
    g_assert_cmpint(made.code, ==, -1);
    notes = hints_list(host->state_dir, HINT_IN_RAM, NULL);
    g_assert_cmpuint(notes->len, ==, 1);
    g_assert_true(sd_id128_equal(g_array_index(notes, sd_id128_t, 0), made.result));
    ManagerRequest release = target(MANAGER_RELEASE_MGMT, made.result);
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    none = hints_list(host->state_dir, HINT_IN_RAM, NULL);
    g_assert_cmpuint(none->len, ==, 0);
}

/* A pool that is made elsewhere is taken down again. */
static void test_pool_elsewhere(void) {
    Asker asker = { .shift = 4096 };
    g_autoptr(Host) host = host_new_asked(&asker);
    ManagerRequest mgmt = setup_mgmt(BASE, BASE + 4096, "pool");

    g_assert_cmpint(host_ask(host, &mgmt).code, ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpuint(state_pools(manager_state(host->manager))->len, ==, 0);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 0);
    asker.shift = 0;
    make_pool(host);
}

/* Of a region that is made elsewhere nothing is destroyed: it stays, and so do the frames that were asked for. */
static void test_region_elsewhere(void) {
    Asker asker = { 0 };
    g_autoptr(Host) host = host_new_asked(&asker);
    ManagerRequest data = allocate_data(8 << 20, "guest");

    make_pool(host);
    asker.shift = 4096;
    g_assert_cmpint(host_ask(host, &data).code, ==, PMEMD_ERROR_HARDWARE);
    const Region *region = state_next_region(manager_state(host->manager), NULL);
    g_assert_nonnull(region);
    g_assert_cmpint(region->state, ==, REGION_UNSETTLED);
    g_assert_cmpuint(state_foreigns(manager_state(host->manager))->len, ==, 1);
    asker.shift = 0;
    g_assert_false(frame_range_overlaps(find(host, make_region(host, "other"))->range, region->range));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manager-create/labels", test_labels);
    g_test_add_func("/manager-create/untagged", test_untagged);
    g_test_add_func("/manager-create/carved", test_carved);
    g_test_add_func("/manager-create/note", test_note);
    g_test_add_func("/manager-create/pool-elsewhere", test_pool_elsewhere);
    g_test_add_func("/manager-create/region-elsewhere", test_region_elsewhere);
    return g_test_run();
}
