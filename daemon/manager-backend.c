/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager's way to the backend: its operations, how long each took, and what an Op's steps make of them. On the
 * worker's thread alone.
 */
#include "daemon/manager-internal.h"

#include <inttypes.h>

BackendListing *manager_backend_list(Manager *m, GError **error) {
    uint64_t begin = stats_now();
    BackendListing *listing = m->backend->ops->list(m->backend, error);

    stats_add_since(m->stats, STATS_BACKEND_LIST, begin);
    return listing;
}

bool manager_backend_destroy(Manager *m, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                             GError **error) {
    uint64_t begin = stats_now();
    bool destroyed = m->backend->ops->destroy(m->backend, uuid, tag, ret_outcome, error);

    stats_add_since(m->stats, STATS_BACKEND_DESTROY, begin);
    return destroyed;
}

bool manager_backend_renew(Manager *m, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    uint64_t begin = stats_now();
    bool renewed = m->backend->ops->renew(m->backend, uuid, tag, ret_outcome, error);

    stats_add_since(m->stats, STATS_BACKEND_RENEW, begin);
    return renewed;
}

BackendLoan *manager_backend_lend(Manager *m, sd_id128_t uuid, GError **error) {
    uint64_t begin = stats_now();
    BackendLoan *loan = m->backend->ops->lend(m->backend, uuid, error);

    stats_add_since(m->stats, STATS_BACKEND_LEND, begin);
    return loan;
}

Medium *manager_backend_open_medium(Manager *m, sd_id128_t uuid, GError **error) {
    uint64_t begin = stats_now();
    Medium *medium = m->backend->ops->open_medium(m->backend, uuid, error);

    stats_add_since(m->stats, STATS_BACKEND_OPEN_MEDIUM, begin);
    return medium;
}

BackendContent *manager_backend_open_content(Manager *m, sd_id128_t uuid, GError **error) {
    uint64_t begin = stats_now();
    BackendContent *content = m->backend->ops->open_content(m->backend, uuid, error);

    stats_add_since(m->stats, STATS_BACKEND_OPEN_CONTENT, begin);
    return content;
}

void op_run_mappers(void *data) {
    Op *op = data;
    uint64_t begin = stats_now();

    g_clear_pointer(&op->mappers, mapper_list_free);
    op->mappers = op->m->backend->ops->mappers(op->m->backend, op->device_uuid, &op->error);
    stats_add_since(op->m->stats, STATS_BACKEND_MAPPERS, begin);
}

uid_t op_viewer(const Op *op) {
    return op->request.uid == 0 || op->request.others ? MAPPERS_EVERYBODY : op->request.uid;
}

bool op_check_unmapped(const Op *op, uid_t viewer, const char *what, GError **error) {
    if (!op->mappers) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s: who has it mapped is not known: %s", what,
                    op->error->message);
        return false;
    }
    if (mapper_list_is_empty(op->mappers))
        return true;
    g_autofree char *who = mapper_list_describe(op->mappers, viewer);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "%s: %s; have it let go of the device, or end it (root finds it with `fuser -v`)", what, who);
    return false;
}

bool manager_backend_clear_bad(Manager *m, const BackendClear *clear, GError **error) {
    BackendOutcome outcome = BACKEND_UNCHANGED;
    uint64_t frames = 0;

    return m->backend->ops->clear_bad(m->backend, clear, &frames, &outcome, error);
}

void op_run_list(void *data) {
    Op *op = data;

    g_clear_pointer(&op->listing, backend_listing_free);
    op->listing = manager_backend_list(op->m, &op->error);
}

void op_run_create(void *data) {
    Op *op = data;
    const BackendCreate create = {
        .raw_id = op->raw_id,
        .device = op->plan.device,
        .uuid = op->device_uuid,
        .tag = op->tag,
        .init_labels = op->plan.init_labels,
    };
    uint64_t begin = stats_now();

    op->outcome = BACKEND_UNKNOWN;
    op->device = op->m->backend->ops->create(op->m->backend, &create, &op->outcome, &op->error);
    stats_add_since(op->m->stats, STATS_BACKEND_CREATE, begin);
}

bool op_check_created(const Op *op, GError **error) {
    if (frame_range_equal(op->device->device, op->plan.device) && frame_range_equal(op->device->usable, op->plan.range))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                "the platform made 0x%" PRIx64 "-0x%" PRIx64 " where 0x%" PRIx64 "-0x%" PRIx64 " was asked for",
                op->device->usable.start, op->device->usable.end, op->plan.range.start, op->plan.range.end);
    return false;
}

void op_run_destroy(void *data) {
    Op *op = data;

    op->outcome = BACKEND_UNKNOWN;
    op->ok = manager_backend_destroy(op->m, op->device_uuid, op->tag, &op->outcome, &op->error);
}
