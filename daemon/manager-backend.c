/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The manager's way to the backend: its operations, and how long each took. On the worker's thread alone.
 */
#include "daemon/manager-internal.h"

BackendListing *manager_backend_list(Manager *m, GError **error) {
    uint64_t begin = stats_now();
    BackendListing *listing = m->backend->ops->list(m->backend, error);

    stats_add_since(m->stats, STATS_BACKEND_LIST, begin);
    return listing;
}

BackendDevice *manager_backend_create(Manager *m, const BackendCreate *create, BackendOutcome *ret_outcome,
                                      GError **error) {
    uint64_t begin = stats_now();
    BackendDevice *device = m->backend->ops->create(m->backend, create, ret_outcome, error);

    stats_add_since(m->stats, STATS_BACKEND_CREATE, begin);
    return device;
}

bool manager_backend_destroy(Manager *m, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                             GError **error) {
    uint64_t begin = stats_now();
    bool destroyed = m->backend->ops->destroy(m->backend, uuid, tag, ret_outcome, error);

    stats_add_since(m->stats, STATS_BACKEND_DESTROY, begin);
    return destroyed;
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
