/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/hook-lend.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/libpmemd.h"
#include "client/libvirt/domain-marks.h"
#include "client/libvirt/domain-regions.h"
#include "proto/error.h"
#include "proto/types.h"

#define LOOK_USEC 20000

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdJob, pmemd_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdAttachment, pmemd_attachment_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdRegion, pmemd_region_free)

/* A region that the domain uses. */
typedef struct {
    const DomainRegion *region; /* the table's */
    const char *path;           /* in the domain; the domain's */
    bool had;                   /* the domain had it before this call */
    bool lent;                  /* by this call */
    char *link;                 /* that it is lent as */
    char *device;               /* which that leads to, when udev is done */
} Use;

typedef struct {
    const HookLend *hook;
    const DomainPaths *domain;
    PmemdClient *client;
    DomainRegions *regions;
    GArray *uses; /* Use */
} Session;

static void use_clear(void *data) {
    Use *use = data;

    g_free(use->link);
    g_free(use->device);
}

static void session_free(Session *session) {
    g_array_unref(session->uses);
    domain_regions_free(session->regions);
    pmemd_client_free(session->client);
    g_free(session);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

static bool client_failed(const Session *session, GError **error) {
    const char *name = pmemd_client_error_name(session->client);
    int code = pmemd_error_from_dbus_name(name);

    g_set_error(error, PMEMD_ERROR, code >= 0 ? code : PMEMD_ERROR_INTERNAL, "%s%s",
                strcmp(name, PMEMD_ERROR_NAME_UNREACHABLE) == 0
                    ? "pmemd, which says who holds a region, cannot be reached (systemctl status pmemd): "
                    : "",
                pmemd_client_error_message(session->client));
    return false;
}

static Session *session_open(const HookLend *hook, const DomainPaths *domain, GError **error) {
    g_autoptr(Session) session = g_new0(Session, 1);

    session->hook = hook;
    session->domain = domain;
    session->regions = domain_regions_new();
    session->uses = g_array_new(FALSE, TRUE, sizeof(Use));
    g_array_set_clear_func(session->uses, use_clear);
    if (pmemd_client_new(&session->client) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot prepare the connection to pmemd");
        return NULL;
    }
    if (pmemd_client_open(session->client, hook->bus) < 0) {
        client_failed(session, error);
        return NULL;
    }
    return g_steal_pointer(&session);
}

/* --- which regions --- */

static const char *pool_name(PmemdMgmt *const *pools, const char *uuid) {
    for (; *pools; pools++)
        if (strcmp((*pools)->uuid, uuid) == 0)
            return (*pools)->name[0] != '\0' ? (*pools)->name : (*pools)->uuid;
    return uuid;
}

static bool fill_regions(Session *session, GError **error) {
    PmemdMgmt **pools;
    PmemdData **list;

    if (pmemd_client_list_mgmt(session->client, &pools, NULL) < 0)
        return client_failed(session, error);
    if (pmemd_client_list_data(session->client, &list, NULL) < 0) {
        pmemd_mgmt_list_free(pools);
        return client_failed(session, error);
    }
    for (size_t i = 0; list[i]; i++)
        domain_regions_add(session->regions, list[i]->uuid, pool_name(pools, list[i]->pool), list[i]->name,
                           list[i]->device_path);
    pmemd_data_list_free(list);
    pmemd_mgmt_list_free(pools);
    return true;
}

static bool is_known_use(const Session *session, const DomainRegion *region) {
    for (guint i = 0; i < session->uses->len; i++)
        if (g_array_index(session->uses, Use, i).region == region)
            return true;
    return false;
}

static bool add_use(Session *session, const DomainPath *path, GError **error) {
    const DomainRegion *region;

    switch (domain_regions_find(session->regions, path, &region)) {
    case DOMAIN_PATH_REGION:
        if (!is_known_use(session, region))
            g_array_append_val(session->uses, ((Use){ .region = region, .path = path->path }));
        break;
    case DOMAIN_PATH_NO_REGION:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                    "%s leads to no region of pmemd: 'pmemctl domain-xml REGION' prints what the domain is to name",
                    path->path);
        return false;
    case DOMAIN_PATH_VOLUME:
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s is a volume's entry in its pool, which has no content for a guest: as memory of model nvdimm, "
                    "name %s%s ('pmemctl domain-xml' prints the element)",
                    path->path, DOMAIN_REGIONS_LINKS,
                    g_str_has_prefix(path->path, DOMAIN_REGIONS_POOLS) ? path->path + strlen(DOMAIN_REGIONS_POOLS)
                                                                       : "/POOL/VOLUME");
        return false;
    case DOMAIN_PATH_OTHER:
        break;
    }
    return true;
}

static bool find_uses(Session *session, GError **error) {
    const GPtrArray *paths = session->domain->paths;

    if (!fill_regions(session, error))
        return false;
    for (guint i = 0; i < paths->len; i++)
        if (!add_use(session, g_ptr_array_index(paths, i), error))
            return false;
    return true;
}

bool hook_lend_concerns(const DomainPaths *domain) {
    for (guint i = 0; i < domain->paths->len; i++)
        if (domain_path_may_be_region(g_ptr_array_index(domain->paths, i)))
            return true;
    return false;
}

/* --- who has them --- */

static bool is_of_domain(const Session *session, const PmemdLease *lease) {
    return lease->uid == geteuid() && strcmp(lease->owner, session->domain->uuid) == 0;
}

/* What the domain has already is not taken back from it. */
static bool note_had(const Session *session, GError **error) {
    PmemdLease **leases;

    if (pmemd_client_list_leases(session->client, &leases, NULL) < 0)
        return client_failed(session, error);
    for (guint i = 0; i < session->uses->len; i++) {
        Use *use = &g_array_index(session->uses, Use, i);

        for (size_t j = 0; leases[j]; j++)
            if (strcmp(leases[j]->region, use->region->uuid) == 0 && is_of_domain(session, leases[j]))
                use->had = true;
    }
    pmemd_lease_list_free(leases);
    return true;
}

static char *describe_holder(const Session *session, const PmemdLease *lease) {
    g_autofree char *name = domain_mark_name(session->hook->marks, lease->owner);
    g_autoptr(GDateTime) since = g_date_time_new_from_unix_utc((gint64) (lease->since_usec / G_USEC_PER_SEC));
    g_autofree char *time = since ? g_date_time_format_iso8601(since) : g_strdup("an unknown time");

    if (name && lease->uid == geteuid())
        return g_strdup_printf("domain %s (%s) since %s", name, lease->owner, time);
    return g_strdup_printf("'%s' of user %s since %s", lease->owner, lease->user, time);
}

/* In the words of who starts domains; false: it is free by now. */
static bool refuse_held(const Session *session, const DomainRegion *region, GError **error) {
    PmemdLease **leases;
    bool held = false;

    if (pmemd_client_list_leases(session->client, &leases, NULL) < 0)
        return false;
    for (size_t i = 0; leases[i] && !held; i++) {
        if (strcmp(leases[i]->region, region->uuid) != 0)
            continue;
        g_autofree char *holder = describe_holder(session, leases[i]);
        held = true;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LEASED,
                    "region %s/%s is held by %s: stop that one first, or give this domain another region "
                    "('pmemctl leases' shows who has what)",
                    region->pool, region->name, holder);
    }
    pmemd_lease_list_free(leases);
    return held;
}

/* --- a region that is being erased for its first guest --- */

static bool refuse_erasing(const DomainRegion *region, const PmemdJob *job, GError **error) {
    uint64_t left = job->bytes_total - MIN(job->bytes_done, job->bytes_total);

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "region %s/%s is being erased for its first guest (%.0f %% done, %" PRIu64
                " MiB to go, %s): start the domain when "
                "that has ended ('pmemctl show %s' tells)",
                region->pool, region->name, job->progress * 100, left >> 20, job->state, region->uuid);
    return false;
}

/* Returns whether the job has ended. */
static bool wait_erased(const Session *session, const DomainRegion *region, GError **error) {
    char path[PMEMD_PATH_MAX];
    sd_id128_t uuid;

    if (!pmemd_uuid_parse(region->uuid, &uuid))
        return false;
    (void) pmemd_job_path(uuid, path);
    for (;;) {
        g_autoptr(PmemdJob) job = NULL;

        if (pmemd_client_job(session->client, path, &job) < 0)
            return true;
        if (g_get_monotonic_time() >= session->hook->until_usec)
            return refuse_erasing(region, job, error);
        g_usleep(LOOK_USEC);
    }
}

/* --- lending --- */

static bool attach_once(const Session *session, Use *use) {
    g_autoptr(PmemdAttachment) attachment = NULL;
    g_autoptr(PmemdRegion) region = NULL;
    char path[PMEMD_PATH_MAX];

    /* QEMU opens the device by itself, through libvirt. */
    if (pmemd_client_attach(session->client, domain_region_path(use->region->uuid, path), session->domain->uuid, 0,
                            PMEMD_FRAME_UNKNOWN, NULL, &attachment) < 0)
        return false;
    use->lent = true;
    if (pmemd_client_region(session->client, path, &region) < 0)
        return false;
    g_free(use->link);
    use->link = g_strdup(attachment->path);
    g_free(use->device);
    use->device = g_strdup(region->device_path);
    return true;
}

static bool was_refused(const Session *session, const char *name) {
    return strcmp(pmemd_client_error_name(session->client), name) == 0;
}

static bool attach(const Session *session, Use *use, GError **error) {
    const DomainRegion *region = use->region;
    g_autoptr(GError) said = NULL;

    if (attach_once(session, use))
        return true;
    bool leased = was_refused(session, PMEMD_ERROR_NAME_LEASED), busy = was_refused(session, PMEMD_ERROR_NAME_BUSY);
    client_failed(session, &said);
    if (leased && refuse_held(session, region, error))
        return false;
    /* What stood in the way may be gone: once more then. */
    if (busy && !wait_erased(session, region, error))
        return false;
    if ((busy || leased) && attach_once(session, use))
        return true;
    g_clear_error(&said);
    client_failed(session, &said);
    g_set_error(error, PMEMD_ERROR, said->code, "region %s/%s cannot be lent: %s", region->pool, region->name,
                said->message);
    return false;
}

static bool give_back(const Session *session, const char *region_uuid, GError **error) {
    char path[PMEMD_PATH_MAX];

    return pmemd_client_detach(session->client, domain_region_path(region_uuid, path), session->domain->uuid, false) >=
               0 ||
           client_failed(session, error);
}

/* Attaching may have renewed the device: it may have another number now, and udev makes its link anew. What QEMU does not
 * find it makes, as a file. */
static bool check_path(const Session *session, const Use *use, GError **error) {
    const DomainRegion *region = use->region;

    while (!domain_path_is_same(use->path, use->device)) {
        if (g_get_monotonic_time() >= session->hook->until_usec) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "%s does not lead to region %s/%s, which is %s: have the domain name %s, and look at udev's "
                        "log if that is not there",
                        use->path, region->pool, region->name, use->device, use->link);
            return false;
        }
        g_usleep(LOOK_USEC);
    }
    return true;
}

static bool lend_all(const Session *session, GError **error) {
    for (guint i = 0; i < session->uses->len; i++) {
        Use *use = &g_array_index(session->uses, Use, i);

        if (!attach(session, use, error) || !check_path(session, use, error))
            return false;
    }
    return true;
}

/* The mark stays while there is anything left behind that it is needed for. */
static void take_back(const Session *session, bool marked_before) {
    bool clean = !marked_before;

    for (guint i = 0; i < session->uses->len; i++) {
        const Use *use = &g_array_index(session->uses, Use, i);

        if (use->had || (use->lent && !give_back(session, use->region->uuid, NULL)))
            clean = false;
    }
    if (clean)
        domain_mark_remove(session->hook->marks, session->domain->uuid);
}

static bool lend_marked(const Session *session, GError **error) {
    const DomainPaths *domain = session->domain;
    const DomainStamp before = domain_mark_stamp(session->hook->marks, domain->uuid);

    if (!note_had(session, error) || !domain_mark_put(session->hook->marks, domain->uuid, domain->name, error))
        return false;
    if (lend_all(session, error))
        return true;
    take_back(session, !domain_stamp_is_none(&before));
    return false;
}

bool hook_lend_prepare(const HookLend *hook, const DomainPaths *domain, GError **error) {
    g_autoptr(Session) session = session_open(hook, domain, error);
    g_autoptr(GError) problem = NULL;

    if (!session || !find_uses(session, error))
        return false;
    if (session->uses->len == 0)
        return true;
    int lock = domain_marks_lock(hook->marks, hook->until_usec, &problem);
    if (lock < 0) {
        if (problem)
            g_propagate_error(error, g_steal_pointer(&problem));
        else
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                        "leases of other domains are being settled just now: start the domain again");
        return false;
    }
    bool ok = lend_marked(session, error);
    (void) close(lock);
    return ok;
}

/* Keeps the first error. Returns false. */
static bool keep_first(GError **error, GError *problem) {
    if (problem && error && !*error)
        g_propagate_error(error, problem);
    else
        g_clear_error(&problem);
    return false;
}

bool hook_lend_reconnect(const HookLend *hook, const DomainPaths *domain, GError **error) {
    g_autoptr(Session) session = session_open(hook, domain, error);

    if (!session || !find_uses(session, error))
        return false;
    if (session->uses->len == 0)
        return true;
    bool ok = domain_mark_put(hook->marks, domain->uuid, domain->name, error);
    for (guint i = 0; i < session->uses->len; i++) {
        GError *problem = NULL;

        if (!attach(session, &g_array_index(session->uses, Use, i), &problem))
            ok = keep_first(ok ? error : NULL, problem);
    }
    return ok;
}

bool hook_lend_release(const HookLend *hook, const DomainPaths *domain, GError **error) {
    g_autoptr(Session) session = session_open(hook, domain, error);
    PmemdLease **leases;
    bool ok = true;

    if (!session)
        return false;
    if (pmemd_client_list_leases(session->client, &leases, NULL) < 0)
        return client_failed(session, error);
    for (size_t i = 0; leases[i]; i++) {
        GError *problem = NULL;

        if (is_of_domain(session, leases[i]) && !give_back(session, leases[i]->region, &problem))
            ok = keep_first(ok ? error : NULL, problem);
    }
    pmemd_lease_list_free(leases);
    if (ok)
        domain_mark_remove(hook->marks, domain->uuid);
    return ok;
}
