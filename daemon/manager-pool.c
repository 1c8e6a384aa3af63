/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * SetupMgmt and AllocateMgmt: there is no journal yet, so a hint in the state directory stands for the intent, and the
 * first superblock, written last, for the commit.
 */
#include "daemon/manager-internal.h"

#include "daemon/hints.h"

#include <inttypes.h>
#include <string.h>

/* What the new journal's first snapshot says; plain data, emitted on the worker's thread. */
static void emit_first_records(JournalSnapshot *snapshot, void *data) {
    const Op *op = data;
    uint8_t buf[JF_PAYLOAD_MAX];
    JfOwner owner = { .uuid = op->uuid, .uid = op->request.uid };

    if (op->name && op->name[0] != '\0') {
        JfName name = { .uuid = op->uuid };

        g_strlcpy(name.name, op->name, sizeof name.name);
        journal_snapshot_add(snapshot, JF_NAME, 0, buf, jf_name_encode(&name, buf));
    }
    g_strlcpy(owner.user, op->user, sizeof owner.user);
    journal_snapshot_add(snapshot, JF_OWNER, 0, buf, jf_owner_encode(&owner, buf));
    if (!sd_id128_is_null(op->answer.request_id))
        journal_snapshot_add(snapshot, JF_REQUEST, 0, buf, jf_request_encode(&op->answer, buf));
}

/* The cookie as it is now: making labels may have changed it. */
static bool find_cookie(Op *op) {
    op_run_list(op);
    if (!op->listing)
        return false;
    for (guint i = 0; i < op->listing->raws->len; i++) {
        const BackendRaw *raw = g_ptr_array_index(op->listing->raws, i);

        if (strcmp(raw->id, op->raw_id) == 0) {
            op->sb.raw_cookie = raw->cookie;
            return true;
        }
    }
    op->error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "raw region %s is gone", op->raw_id);
    return false;
}

static bool format(Op *op) {
    uint64_t bytes = frame_range_frames(op->plan.range) * PMEMD_FRAME_SIZE;
    JfGeometry *geo = &op->sb.geo;

    if (!op_check_created(op, &op->error) || !find_cookie(op))
        return false;
    op->medium = manager_backend_open_medium(op->m, op->device_uuid, &op->error);
    if (!op->medium)
        return false;
    if (!jf_geometry(bytes, geo->unit, op->medium->class == MEDIUM_CLASS_MAPPED ? 64 : 512, op->plan.max_regions, geo,
                     NULL)) {
        op->error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NO_SPACE, "the journal does not fit %" PRIu64 " bytes", bytes);
        return false;
    }
    return journal_create(op->medium, &op->sb, emit_first_records, op, &op->error);
}

/* For the loop's map of what is there now. */
static void list_again(Op *op) {
    g_clear_pointer(&op->listing, backend_listing_free);
    op->listing = manager_backend_list(op->m, NULL);
}

/* Without labels, the superblock alone says whose the device is: what was listed before that would have the pool lose its
 * journal at once. */
static void list_formatted(Op *op) {
    const BackendDevice *device = listing_find(op->listing, op->device_uuid);

    if (!device || device->role != BACKEND_ROLE_MGMT)
        list_again(op);
}

static void run_setup(void *data) {
    Op *op = data;

    op_run_create(op);
    op->ok = op->device && format(op);
    if (op->ok) {
        list_formatted(op);
        return;
    }

    /* Undo, so far as it can be: there is no superblock 0, so the device is nobody's pool. */
    op->cleaned = !op->device && op->outcome == BACKEND_UNCHANGED;
    if (!op->cleaned) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&op->medium, medium_free);
        op->cleaned = manager_backend_destroy(op->m, op->device_uuid, op->tag, &op->outcome, &error);
    }
    list_again(op);
}

static void setup_failed(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL, hint_error = NULL;
    Pool *pool = state_pool_by_uuid(m->state, op->uuid);

    if (pool)
        state_remove_pool(m->state, pool);
    if (op->listing)
        manager_take_listing(m, op->listing);
    if (op->cleaned && !hints_remove(m->state_dir, HINT_SETUP, op->uuid, &hint_error))
        log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: the hint is looked at again at the next start",
                  hint_error->message);
    if (op->cleaned && !op->device && !op->retried && g_error_matches(op->error, PMEMD_ERROR, PMEMD_ERROR_BUSY)) {
        /* The map was older than the platform; with the fresh listing rules name what stands there, or find another
         * place. */
        op->retried = true;
        op->asked_error = g_steal_pointer(&op->error);
        create_mgmt_start(op);
        return;
    }
    if (op->cleaned)
        error = g_error_copy(op->error);
    else
        error = g_error_new(
            PMEMD_ERROR, op->error->code,
            "%s; what was made of it could not be removed and is listed as unformatted until pmemd starts again",
            op->error->message);
    op_finish(op, SD_ID128_NULL, error);
}

static void run_take_back(void *data) {
    Op *op = data;
    g_autoptr(GError) error = NULL;

    /* Its superblocks first: should the device stay, it is nobody's pool. */
    if (!journal_destroy(op->medium, &op->sb.geo, &error)) {
        log_event(EVENT_STATE_DIR_FAILED, NULL, "%s, ignoring: its device is destroyed", error->message);
        g_clear_error(&error);
    }
    g_clear_pointer(&op->medium, medium_free);
    op->outcome = BACKEND_UNKNOWN;
    op->cleaned = manager_backend_destroy(op->m, op->device_uuid, op->tag, &op->outcome, &error);
    list_again(op);
}

static void on_taken_back(void *data) {
    Op *op = data;

    op->error = g_steal_pointer(&op->asked_error);
    setup_failed(op);
}

/* It is whole, and yet must not be acknowledged: nothing is in it, so it goes. */
static void take_back(Op *op, GError *reason) {
    g_clear_error(&op->asked_error);
    op->asked_error = reason;
    op_work(op, run_take_back, on_taken_back);
}

static void on_setup(void *data) {
    Op *op = data;
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!op->ok) {
        setup_failed(op);
        return;
    }
    /* Before anybody is told: a hint that stayed would have a later start destroy the device, should its superblock
     * not be seen then. */
    if (!hints_remove(m->state_dir, HINT_SETUP, op->uuid, &error)) {
        take_back(op, g_steal_pointer(&error));
        return;
    }

    /* The placeholder makes way for the pool as its journal tells it: the same way in as at a start. */
    state_remove_pool(m->state, state_pool_by_uuid(m->state, op->uuid));
    Pool *pool = manager_open_pool(m, op->medium, &op->sb, op->plan.device, &error);
    if (!pool) {
        hints_put(m->state_dir, HINT_SETUP, op->uuid, NULL); /* else a cut while it goes would leave it for ever */
        take_back(op, g_steal_pointer(&error));
        return;
    }
    op->medium = NULL; /* the pool's now */
    pool_set_path(pool, op->device->path);
    if (op->listing)
        manager_take_listing(m, op->listing);
    manager_note_in_ram(m, pool);
    manager_tell_pool_added(m, pool);
    op_finish(op, op->uuid, NULL);
}

bool manager_decide_mgmt(Manager *m, const ManagerRequest *request, RegionPlan *ret_plan, GError **error) {
    const MgmtRequest *mgmt = &request->mgmt;
    RegionPlan plan;
    bool ok = request->method == MANAGER_SETUP_MGMT ? rules_setup_mgmt(m->state, mgmt, &plan, error)
                                                    : rules_allocate_mgmt(m->state, mgmt, &plan, error);

    if (!ok || (mgmt->name && !rules_name(m->state, NULL, mgmt->name, NULL, error)))
        return false;
    *ret_plan = plan;
    return true;
}

/* What is known of the superblock before the medium is. */
static bool prepare_superblock(Op *op, GError **error) {
    uint64_t bytes = frame_range_frames(op->plan.range) * PMEMD_FRAME_SIZE;

    if (!backend_uuid_new(BACKEND_ROLE_MGMT, &op->device_uuid) || sd_id128_randomize(&op->sb.journal_uuid) < 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the kernel gave no random numbers");
        return false;
    }
    op->uuid = op->sb.member_uuid = op->device_uuid;
    op->sb.major = JF_MAJOR;
    op->sb.minor = JF_MINOR;
    op->sb.page_info_bytes = profile_page_info_bytes(op->plan.profile);
    op->sb.m2p_bytes = profile_m2p_bytes(op->plan.profile);
    op->sb.created = manager_now_usec();
    op->sb.raw_cookie = op->plan.raw->cookie;
    op->sb.range = op->plan.range;
    if (!jf_geometry(bytes, op->plan.raw->step, 64, op->plan.max_regions, &op->sb.geo, NULL)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "the journal for %u regions does not fit %" PRIu64 " bytes", op->plan.max_regions, bytes);
        return false;
    }
    op->answer = (JfRequest){
        .request_id = op->request.request_id,
        .request_hash = op->hash,
        .request_uid = op->request.uid,
        .request_method = op->request.method,
        .result = op->uuid,
        .time = op->sb.created,
    };
    return true;
}

void create_mgmt_start(Op *op) {
    Manager *m = op->m;
    g_autoptr(GError) error = NULL;

    if (!manager_decide_mgmt(m, &op->request, &op->plan, &error) || !prepare_superblock(op, &error)) {
        if (op_look_again(op, error))
            return;
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    g_free(op->raw_id);
    op->raw_id = g_strdup(op->plan.raw->id);
    if (!hints_put(m->state_dir, HINT_SETUP, op->uuid, &error)) {
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    /* The legacy namespace that making labels discards stands in the map as foreign; the next listing shows what is
     * left. */
    if (op->plan.init_labels)
        state_clear_foreign(m->state);
    Pool *pool = state_add_pool(m->state, &op->sb, op->plan.device, POOL_CREATING, &error);
    if (!pool) {
        hints_remove(m->state_dir, HINT_SETUP, op->uuid,
                     NULL); /* one that stays is looked at again at the next start */
        op_finish(op, SD_ID128_NULL, error);
        return;
    }
    state_set_pool_state(m->state, pool, POOL_CREATING, "its device is being made");
    backend_tag_format(BACKEND_ROLE_MGMT, op->uuid, op->device_uuid, op->tag);
    op_work(op, run_setup, on_setup);
}
