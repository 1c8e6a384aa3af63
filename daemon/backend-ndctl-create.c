/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-create.h"

#include "daemon/backend-ndctl-align.h"
#include "daemon/backend-ndctl-context.h"
#include "daemon/backend-ndctl-dax.h"
#include "daemon/backend-ndctl-facts.h"
#include "daemon/backend-ndctl-labels.h"
#include "daemon/backend-ndctl-placement.h"
#include "daemon/backend-ndctl-remove.h"
#include "daemon/backend-ndctl-seed.h"
#include "proto/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Other tools make and delete namespaces at the same time, and nothing locks them out: what they disturbed is undone and
 * tried again so often, after so long. */
#define ATTEMPTS 4
#define PAUSE_USEC 150000
/* So long nothing is to happen to a namespace that is half configured before it counts as left behind. */
#define ABANDONED_USEC 500000
#define ABANDONED_LOOKS 10

/* One namespace to be made. */
typedef struct {
    sd_id128_t uuid;
    const char *tag;
    uint64_t frames;
} Wanted;

/*
 * The namespace that the kernel has ready to be configured: the 0th if nobody uses it, else the seed. A seed that has a
 * size was configured by somebody and never enabled: configuring it once more would silently overwrite that, so it is
 * left alone.
 */
static struct ndctl_namespace *idle_namespace(struct ndctl_region *region, GError **error) {
    struct ndctl_namespace *ndns, *seed = ndctl_region_get_namespace_seed(region);

    ndctl_namespace_foreach(region, ndns)
        if (ndctl_namespace_get_id(ndns) == 0 && ndctl_namespace_is_configuration_idle(ndns))
            return ndns;
    if (seed && ndctl_namespace_get_size(seed) == 0)
        return seed;
    if (seed && nd_seed_stuck(region))
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "the kernel offers no namespace to configure in %s: its seed was left at %s, which is in operation "
                    "already (a race at the start of a region). Once nothing uses %s, restart pmemd, or "
                    "`ndctl disable-namespace %s` and `ndctl enable-namespace %s`",
                    ndctl_region_get_devname(region), ndctl_namespace_get_devname(seed),
                    ndctl_namespace_get_devname(seed), ndctl_namespace_get_devname(seed),
                    ndctl_namespace_get_devname(seed));
    else if (seed)
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
            "%s was configured but never enabled, and stands in the way of every other namespace in %s: enable it with "
            "`ndctl enable-namespace %s`, or destroy it",
            ndctl_namespace_get_devname(seed), ndctl_region_get_devname(region), ndctl_namespace_get_devname(seed));
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s offers no namespace to configure at the moment, as while another tool makes one",
                    ndctl_region_get_devname(region));
    return NULL;
}

/* What the kernel has now, which libndctl does not read again. */
static sd_id128_t uuid_now(struct ndctl_namespace *ndns) {
    g_autofree char *text = nd_sysfs_read("bus/nd/devices/%s/uuid", ndctl_namespace_get_devname(ndns));
    sd_id128_t uuid = SD_ID128_NULL;

    return text && sd_id128_from_string(text, &uuid) >= 0 ? uuid : SD_ID128_NULL;
}

static uint64_t size_now(struct ndctl_namespace *ndns) {
    g_autofree char *text = nd_sysfs_read("bus/nd/devices/%s/size", ndctl_namespace_get_devname(ndns));

    return text ? g_ascii_strtoull(text, NULL, 0) : 0;
}

/* Somebody gave it a uuid and no size. Is he still at it? */
static bool is_abandoned(struct ndctl_namespace *ndns, sd_id128_t uuid) {
    if (backend_tag_parse(ndctl_namespace_get_alt_name(ndns), NULL, NULL) != BACKEND_ROLE_NONE)
        return true; /* ours: there is but one of us */
    for (int i = 0; i < ABANDONED_LOOKS; i++) {
        g_usleep(ABANDONED_USEC / ABANDONED_LOOKS);
        if (size_now(ndns) > 0 || !sd_id128_equal(uuid_now(ndns), uuid))
            return false;
    }
    return true;
}

/* One that somebody stopped at after its uuid would refuse another. */
static int reset_namespace(struct ndctl_region *region, struct ndctl_namespace **ndns, GError **error) {
    sd_id128_t uuid = uuid_now(*ndns);

    if (!sd_id128_is_null(uuid)) {
        if (!is_abandoned(*ndns, uuid)) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "another tool is setting up %s in %s at the moment",
                        ndctl_namespace_get_devname(*ndns), ndctl_region_get_devname(region));
            *ndns = NULL;
            return -EBUSY;
        }
        int rc = ndctl_namespace_delete(*ndns);

        if (rc < 0)
            return rc;
        *ndns = idle_namespace(region, error);
        if (!*ndns)
            return -EBUSY;
    }
    return ndctl_namespace_get_raw_mode(*ndns) > 0 ? ndctl_namespace_set_raw_mode(*ndns, 0) : 0;
}

/* Configures a namespace up to its size, which is when the kernel picks its address and writes its label. */
static struct ndctl_namespace *allocate_namespace(NdContext *context, struct ndctl_region *region, Wanted want,
                                                  bool dax, GError **error) {
    struct ndctl_namespace *ndns = idle_namespace(region, error);
    if (!ndns)
        return NULL;

    const char *step = "reset the state";
    int rc = reset_namespace(region, &ndns, error);
    if (!ndns)
        return NULL;
    if (rc >= 0) {
        step = "set the uuid";
        rc = ndctl_namespace_set_uuid(ndns, want.uuid.bytes);
    }
    if (rc >= 0) {
        step = "set the name";
        rc = ndctl_namespace_set_alt_name(ndns, want.tag);
    }
    if (rc >= 0) {
        step = "set the holder class";
        rc = ndctl_namespace_set_enforce_mode(ndns, dax ? NDCTL_NS_MODE_DAX : NDCTL_NS_MODE_RAW);
    }
    /* Nothing locks it against others, and a size given to what is theirs by now would be theirs: a last look. */
    bool taken = rc >= 0 && (!sd_id128_equal(uuid_now(ndns), want.uuid) || size_now(ndns) > 0);
    if (rc >= 0 && !taken) {
        step = "set the size";
        rc = ndctl_namespace_set_size(ndns, want.frames * PMEMD_FRAME_SIZE);
    }
    sd_id128_t uuid = uuid_now(ndns);
    bool ours = sd_id128_equal(uuid, want.uuid);
    if (rc >= 0 && ours && !taken)
        return ndns;

    if (rc >= 0)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "another tool set up %s in %s at the same time",
                    ndctl_namespace_get_devname(ndns), ndctl_region_get_devname(region));
    else
        nd_context_error(context, error, rc, "cannot %s of a namespace of %" PRIu64 " bytes in %s", step,
                         want.frames * PMEMD_FRAME_SIZE, ndctl_region_get_devname(region));
    /* The seed would keep the uuid, and refuse the next one. What has another's uuid by now is that tool's. */
    if ((ours || sd_id128_is_null(uuid)) && size_now(ndns) == 0 && ndctl_namespace_delete(ndns) < 0)
        g_warning("%s: cannot reset a namespace, ignoring", ndctl_region_get_devname(region));
    return NULL;
}

/* Enabled, as otherwise the region offers no other namespace to configure; raw by force, as whatever lies there is not
 * to be looked at. */
static bool make_filler(NdContext *context, struct ndctl_region *region, Wanted want, GError **error) {
    struct ndctl_namespace *ndns = allocate_namespace(context, region, want, false, error);
    if (!ndns)
        return false;

    int rc = ndctl_namespace_set_raw_mode(ndns, 1);
    if (rc >= 0)
        rc = ndctl_namespace_enable(ndns);
    if (rc < 0)
        nd_context_error(context, error, rc, "cannot enable filler %s of %" PRIu64 " bytes",
                         ndctl_namespace_get_devname(ndns), want.frames * PMEMD_FRAME_SIZE);
    return rc >= 0;
}

/* Another look with other eyes: what was asked for must be there. */
static BackendDevice *verify_device(const BackendCreate *req, GError **error) {
    g_autoptr(GError) local = NULL;
    g_autoptr(BackendDevice) d = nd_facts_find(req->uuid, &local);

    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    else if (!d)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "the new device in %s cannot be found again",
                    req->raw_id);
    else if (!frame_range_equal(d->device, req->device) || d->state != BACKEND_DEVICE_COMPLETE)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "%s came out at frames 0x%" PRIx64 " - 0x%" PRIx64 ", mode %s%s, instead of 0x%" PRIx64
                    " - 0x%" PRIx64,
                    d->name, d->device.start, d->device.end, d->mode,
                    d->state == BACKEND_DEVICE_COMPLETE ? "" : " (incomplete)", req->device.start, req->device.end);
    else
        return g_steal_pointer(&d);
    return NULL;
}

/* --- regions with labels ------------------------------------------------------------------------------------------ */

/* Whoever has some of it is named, as the message of the placement cannot. */
static bool check_free(struct ndctl_region *region, FrameRange target, GError **error) {
    struct ndctl_namespace *ndns;
    char text[PMEMD_UUID_STRING_MAX];

    ndctl_namespace_foreach(region, ndns) {
        if (ndctl_namespace_get_size(ndns) == 0)
            continue;
        FrameRange range = nd_namespace_range(ndns);
        const char *name = ndctl_namespace_get_alt_name(ndns);
        if (!frame_range_overlaps(range, target))
            continue;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s%s%s%s (%s, mode %s) has frames 0x%" PRIx64 " - 0x%" PRIx64 " of 0x%" PRIx64 " - 0x%" PRIx64,
                    ndctl_namespace_get_devname(ndns), name && name[0] ? " '" : "", name ? name : "",
                    name && name[0] ? "'" : "", pmemd_uuid_format(nd_namespace_uuid(ndns), text), nd_facts_mode(ndns),
                    range.start, range.end, target.start, target.end);
        return false;
    }
    return true;
}

static GArray *plan_fillers(struct ndctl_region *region, uint64_t step, FrameRange target, GError **error) {
    g_autoptr(GArray) occupied = g_array_new(FALSE, FALSE, sizeof(FrameRange));
    struct ndctl_namespace *ndns;

    ndctl_namespace_foreach(region, ndns)
        if (ndctl_namespace_get_size(ndns) > 0) {
            FrameRange range = nd_namespace_range(ndns);

            g_array_append_val(occupied, range);
        }
    return backend_ndctl_placement_plan(nd_region_range(region), step / PMEMD_FRAME_SIZE,
                                        (const FrameRange *) (const void *) occupied->data, occupied->len, target,
                                        error);
}

/* Fills, allocates and makes the device; the uuids of the fillers that were begun go to `made`. */
static bool make_at(NdContext *context, struct ndctl_region *region, const BackendCreate *req, const GArray *fillers,
                    GArray *made, GError **error) {
    char tag[BACKEND_TAG_MAX];
    uint32_t number = 0;
    sd_id128_t pool = SD_ID128_NULL;

    backend_tag_parse(req->tag, &number, NULL);
    for (int i = 0; i < 4; i++)
        pool.bytes[i] = (uint8_t) (number >> (24 - 8 * i));

    for (guint i = 0; i < fillers->len; i++) {
        sd_id128_t uuid;

        if (sd_id128_randomize(&uuid) < 0) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "no random numbers for a filler's uuid");
            return false;
        }
        g_array_append_val(made, uuid);
        backend_tag_format(BACKEND_ROLE_FILLER, pool, uuid, tag);
        if (!make_filler(context, region, (Wanted){ uuid, tag, g_array_index(fillers, uint64_t, i) }, error))
            return false;
    }

    Wanted want = { req->uuid, req->tag, frame_range_frames(req->device) };
    struct ndctl_namespace *ndns = allocate_namespace(context, region, want, true, error);
    if (!ndns)
        return false;
    FrameRange got = nd_namespace_range(ndns);
    if (!frame_range_equal(got, req->device)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "the kernel placed %s at frames 0x%" PRIx64 " - 0x%" PRIx64 " instead of 0x%" PRIx64 " - 0x%" PRIx64
                    ": does another tool change %s?",
                    ndctl_namespace_get_devname(ndns), got.start, got.end, req->device.start, req->device.end,
                    req->raw_id);
        return false;
    }
    return nd_dax_make(context, region, ndns, req->uuid, error);
}

static bool check_slots(const BackendRaw *raw, guint n_fillers, GError **error) {
    uint64_t needed = 2 + (uint64_t) n_fillers;

    if (raw->free_slots >= needed)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                "%s has %" PRIu64 " free label slots, %" PRIu64
                " are needed (%u for the time being): release a region there",
                raw->id, raw->free_slots, needed, n_fillers);
    return false;
}

static BackendDevice *create_labelled(NdContext *context, struct ndctl_region *region, const BackendRaw *raw,
                                      const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    g_autoptr(GArray) fillers =
        check_free(region, req->device, error) ? plan_fillers(region, raw->step, req->device, error) : NULL;
    g_autoptr(GArray) made = g_array_new(FALSE, FALSE, sizeof(sd_id128_t));
    g_autoptr(BackendDevice) device = NULL;
    g_autoptr(GError) undo = NULL;

    if (!fillers || !check_slots(raw, fillers->len, error) || !nd_align_set(context, region, raw->step, error)) {
        *ret_outcome = BACKEND_UNCHANGED;
        return NULL;
    }
    if (make_at(context, region, req, fillers, made, error))
        device = verify_device(req, error);
    if (!device)
        g_array_append_val(made, req->uuid);

    bool clean = made->len == 0 || nd_remove((const sd_id128_t *) (const void *) made->data, made->len, &undo);
    if (!clean)
        g_warning("%s: cannot undo all of a creation: %s%s", req->raw_id, undo->message,
                  device ? ", ignoring: the next creation or start removes the fillers" : "");
    if (!device)
        *ret_outcome = clean ? BACKEND_UNCHANGED : BACKEND_UNKNOWN;
    return g_steal_pointer(&device);
}

/* --- regions without labels --------------------------------------------------------------------------------------- */

static struct ndctl_namespace *whole_namespace(struct ndctl_region *region) {
    struct ndctl_namespace *ndns;

    ndctl_namespace_foreach(region, ndns)
        if (ndctl_namespace_get_size(ndns) > 0)
            return ndns;
    return NULL;
}

/* The region's one namespace, which must be free memory. */
static struct ndctl_namespace *free_namespace(NdContext *context, struct ndctl_region *region, GError **error) {
    struct ndctl_namespace *ndns = whole_namespace(region);

    if (!ndns) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s shows no namespace",
                    ndctl_region_get_devname(region));
        return NULL;
    }
    nd_context_wait(context);
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_autoptr(BackendDevice) occupant = nd_facts_device(ndns, busy);
    if (!occupant)
        return ndns;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s is occupied by %s (mode %s, %s)%s", occupant->raw_id,
                occupant->name, occupant->mode, occupant->path ? occupant->path : "disabled",
                strcmp(occupant->mode, "raw") == 0 && !occupant->held
                    ? ", which is not empty: clear its first and last MiB if nothing on it is needed"
                    : "");
    return NULL;
}

static BackendDevice *create_unlabelled(NdContext *context, struct ndctl_region *region, const BackendRaw *raw,
                                        const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    *ret_outcome = BACKEND_UNCHANGED;
    if (!frame_range_equal(req->device, raw->range)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "%s has no labels: only the whole of it, frames 0x%" PRIx64 " - 0x%" PRIx64 ", can be one device%s",
                    raw->id, raw->range.start + raw->lead, raw->range.end,
                    raw->initialisable ? "; --init-labels on setup-mgmt makes it divisible" : "");
        return NULL;
    }
    struct ndctl_namespace *ndns = free_namespace(context, region, error);
    if (!ndns)
        return NULL;

    int rc = ndctl_namespace_disable_safe(ndns);
    if (rc < 0) {
        nd_context_error(context, error, rc, "cannot disable %s", ndctl_namespace_get_devname(ndns));
        return NULL;
    }
    if (!nd_dax_make(context, region, ndns, req->uuid, error)) {
        /* No label names it and the info block comes last, so the raw namespace coming up again is as before. */
        *ret_outcome = ndctl_namespace_enable(ndns) < 0 ? BACKEND_UNKNOWN : BACKEND_UNCHANGED;
        return NULL;
    }
    g_autoptr(BackendDevice) device = verify_device(req, error);
    if (!device)
        *ret_outcome = nd_remove(&req->uuid, 1, NULL) ? BACKEND_UNCHANGED : BACKEND_UNKNOWN;
    return g_steal_pointer(&device);
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static bool check_region(const BackendRaw *raw, const BackendCreate *req, GError **error) {
    if (raw->unusable) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED, "nothing can be made in %s: %s", raw->id,
                    raw->unusable);
        return false;
    }
    if (req->device.start >= req->device.end ||
        frame_range_frames(req->device) < ND_DEVICE_MINIMUM / PMEMD_FRAME_SIZE) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "device range 0x%" PRIx64 " - 0x%" PRIx64
                    " is shorter than the least that the kernel makes, 0x%" PRIx64 " frames",
                    req->device.start, req->device.end, ND_DEVICE_MINIMUM / PMEMD_FRAME_SIZE);
        return false;
    }
    return true;
}

/* The region as it is now, with a context of its own. */
static NdContext *look_at_region(const char *id, struct ndctl_region **ret_region, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    if (!context)
        return NULL;

    struct ndctl_region *region = nd_context_find_region(context, id);
    if (!region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "there is no raw region %s now", id);
        return NULL;
    }
    *ret_region = region;
    return g_steal_pointer(&context);
}

/* Of all that others have in the region, and are about to have: does it change? */
static uint64_t digest_others(struct ndctl_region *region) {
    struct ndctl_namespace *ndns;
    uint64_t sum = 0;

    ndctl_namespace_foreach(region, ndns) {
        sd_id128_t uuid = nd_namespace_uuid(ndns);

        if (!sd_id128_is_null(uuid) &&
            backend_tag_parse(ndctl_namespace_get_alt_name(ndns), NULL, NULL) == BACKEND_ROLE_NONE)
            sum += uuid.qwords[0] ^ (uuid.qwords[1] + ndctl_namespace_get_size(ndns));
    }
    return sum;
}

static BackendDevice *create_once(bool any_persistence, const BackendCreate *req, uint64_t *ret_others,
                                  BackendOutcome *ret_outcome, GError **error) {
    struct ndctl_region *region;

    *ret_outcome = BACKEND_UNCHANGED;
    g_autoptr(NdContext) context = look_at_region(req->raw_id, &region, error);
    if (!context)
        return NULL;
    if (nd_has_fillers(region)) {
        nd_remove_stale_fillers(req->raw_id);
        nd_context_free(g_steal_pointer(&context));
        context = look_at_region(req->raw_id, &region, error);
        if (!context)
            return NULL;
    }
    *ret_others = digest_others(region);
    g_autoptr(BackendRaw) raw = nd_facts_raw(region, any_persistence);
    if (!check_region(raw, req, error))
        return NULL;

    if (raw->kind == BACKEND_RAW_UNLABELLED && raw->initialisable && req->init_labels) {
        if (!free_namespace(context, region, error) || !nd_labels_init(context, region, error))
            return NULL;
        nd_context_free(g_steal_pointer(&context));
        context = look_at_region(req->raw_id, &region, error);
        if (!context)
            return NULL;
        backend_raw_free(g_steal_pointer(&raw));
        raw = nd_facts_raw(region, any_persistence);
        if (!check_region(raw, req, error))
            return NULL;
    }
    if (nd_context_find_namespace(context, req->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS, "a device with this uuid is on the platform already");
        return NULL;
    }
    return raw->kind == BACKEND_RAW_LABELLED ? create_labelled(context, region, raw, req, ret_outcome, error)
                                             : create_unlabelled(context, region, raw, req, ret_outcome, error);
}

/* Did another tool stand in the way of what failed, and is it out of the way? What stands where the device was to be may
 * go somewhere else alone, and that is the caller's to decide. */
static bool was_disturbed(const BackendCreate *req, uint64_t before, GError **error) {
    struct ndctl_region *region;
    g_autoptr(NdContext) context = look_at_region(req->raw_id, &region, NULL);

    if (!context || !nd_region_has_labels(region))
        return false;
    if (g_error_matches(*error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE) && !req->init_labels &&
        digest_others(region) != before) {
        GError *busy = g_error_new(PMEMD_ERROR, PMEMD_ERROR_BUSY, "another tool changed %s at the same time: %s",
                                   req->raw_id, (*error)->message);

        g_clear_error(error);
        *error = busy;
    }
    return g_error_matches(*error, PMEMD_ERROR, PMEMD_ERROR_BUSY) && check_free(region, req->device, NULL);
}

BackendDevice *nd_create(bool any_persistence, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    for (int attempt = 1;; attempt++) {
        g_autoptr(GError) local = NULL;
        uint64_t before = 0;
        BackendDevice *device = create_once(any_persistence, req, &before, ret_outcome, &local);

        if (device)
            return device;
        if (*ret_outcome != BACKEND_UNCHANGED || !was_disturbed(req, before, &local) || attempt == ATTEMPTS) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        g_usleep(PAUSE_USEC);
    }
}
