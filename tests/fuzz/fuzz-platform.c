/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the whole manager on a platform whose label areas lie. Each input makes raw regions, journals with
 * records of any content, and a listing: devices with tags of ours, of others and of nobody, with equal uuids, on each
 * other, moved, half made, held; hints of setups and releases that were cut off. The manager starts on it, gets a few
 * requests, those of an administrator who repairs among them, and starts again.
 *
 * Checked: no device is destroyed or erased but for a reason that a journal, a hint or its tag gives; nothing is made
 * where the platform shows a device; nothing is written to memory that is no pool's, or a pool's that may not be
 * written; the map knows every device that is shown; rules and model never disagree; the second start finds what the
 * first one left.
 */
#include "daemon/bad-frames.h"
#include "daemon/frame-set.h"
#include "daemon/hints.h"
#include "daemon/journal-bytes.h"
#include "daemon/journal.h"
#include "daemon/manager.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

#include <glib/gstdio.h>

#define STEP UINT64_C(16) /* frames */
#define RAW_FRAMES UINT64_C(2048)
#define UNIT UINT64_C(65536)
#define POOL_FRAMES UINT64_C(96) /* two units, two areas, two units of extents */
#define N_UUIDS 8                /* of devices; the first N_POOLS are mgmt devices */
#define N_POOLS 3
#define N_RECORDS 12
#define N_DEVICES 8
#define N_REQUESTS 6
#define SETTLE_STARTS (N_POOLS + N_DEVICES + 2U)

typedef struct {
    BackendDevice *facts;
    uint8_t *bytes; /* NULL: zeros, or never looked at */
    size_t size;
    GBytes *before; /* the bytes when the daemon started; NULL: as bytes */
} Device;

/* What the journals say of a data device, whether they were believed or not. */
typedef struct {
    sd_id128_t device_uuid;
    FrameRange device;
    bool intent;
} Known;

typedef struct {
    Input in;
    GPtrArray *raws;    /* BackendRaw * */
    GPtrArray *devices; /* Device * */
    GArray *known;      /* Known */
    const char *state_dir;
    sd_id128_t forgotten; /* device that a request said to destroy */
    sd_event *event;
    Manager *manager;
    bool ready, failed;
} Host;

typedef struct {
    Backend base;
    Host *host;
} FuzzBackend;

static void device_free(Device *device) {
    backend_device_free(device->facts);
    g_free(device->bytes);
    g_clear_pointer(&device->before, g_bytes_unref);
    g_free(device);
}

static sd_id128_t uuid_of(unsigned n) {
    sd_id128_t id = { .bytes = { 0xa0 + n, 1, 2, (uint8_t) n, 4, 5, 0x40, 7, 0x80, 9, 10, 11, 12, 13, 14,
                                 (uint8_t) n } };

    return id;
}

/* --- memory as a medium --- */

typedef struct {
    Medium base;
    uint8_t *bytes;
} Memory;

static bool inside(const Medium *m, uint64_t off, uint64_t len) {
    return off <= m->size && len <= m->size - off;
}

static int memory_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    g_assert_true(inside(m, off, len));
    memcpy(((Memory *) m)->bytes + off, buf, len);
    return 0;
}

static int memory_flush(Medium *m, uint64_t off, size_t len) {
    g_assert_true(inside(m, off, len));
    return 0;
}

static int memory_fence(Medium *m) {
    return 0;
}

static int memory_readable(Medium *m, uint64_t off, size_t len) {
    return inside(m, off, len) ? 0 : -22;
}

static const uint8_t *memory_base(Medium *m) {
    return ((Memory *) m)->bytes;
}

static int memory_zero(Medium *m, uint64_t off, uint64_t len) {
    g_assert_true(inside(m, off, len));
    memset(((Memory *) m)->bytes + off, 0, len);
    return 0;
}

static void memory_free(Medium *m) {
    g_free(m);
}

static const MediumOps memory_ops = {
    .store = memory_store,
    .flush = memory_flush,
    .fence = memory_fence,
    .readable = memory_readable,
    .base = memory_base,
    .zero = memory_zero,
    .free = memory_free,
};

static Medium *memory_new(uint8_t *bytes, size_t size) {
    Memory *m = g_new0(Memory, 1);

    m->base = (Medium){ .ops = &memory_ops, .size = size, .class = MEDIUM_CLASS_MAPPED };
    m->bytes = bytes;
    return &m->base;
}

/* --- the backend --- */

static Host *host_of(Backend *b) {
    return ((FuzzBackend *) b)->host;
}

/* As the real ones do: the first that has the uuid. */
static Device *find_device(Host *h, sd_id128_t uuid, guint *ret_count) {
    Device *found = NULL;

    *ret_count = 0;
    for (guint i = 0; i < h->devices->len; i++) {
        Device *device = g_ptr_array_index(h->devices, i);

        if (!sd_id128_equal(device->facts->uuid, uuid))
            continue;
        found = found ? found : device;
        ++*ret_count;
    }
    return found;
}

static const Known *find_known(const Host *h, sd_id128_t uuid, FrameRange device, bool intent) {
    for (guint i = 0; i < h->known->len; i++) {
        const Known *known = &g_array_index(h->known, Known, i);

        if (sd_id128_equal(known->device_uuid, uuid) && (frame_range_equal(known->device, device) || !device.end) &&
            (known->intent || !intent))
            return known;
    }
    return NULL;
}

static BackendDevice *copy_device(const BackendDevice *device) {
    BackendDevice *copy = g_memdup2(device, sizeof *device);

    copy->name = g_strdup(device->name);
    copy->raw_id = g_strdup(device->raw_id);
    copy->tag = g_strdup(device->tag);
    copy->mode = g_strdup(device->mode);
    copy->path = g_strdup(device->path);
    return copy;
}

static BackendListing *backend_list(Backend *b, GError **error) {
    Host *h = host_of(b);
    BackendListing *listing = backend_listing_new();

    for (guint i = 0; i < h->raws->len; i++)
        g_ptr_array_add(listing->raws, backend_raw_copy(g_ptr_array_index(h->raws, i)));
    for (guint i = 0; i < h->devices->len; i++)
        g_ptr_array_add(listing->devices, copy_device(((Device *) g_ptr_array_index(h->devices, i))->facts));
    return listing;
}

static const BackendRaw *raw_by_id(const Host *h, const char *id) {
    for (guint i = 0; i < h->raws->len; i++) {
        const BackendRaw *raw = g_ptr_array_index(h->raws, i);

        if (strcmp(raw->id, id) == 0)
            return raw;
    }
    return NULL;
}

static Device *add_device(Host *h, sd_id128_t uuid, const BackendRaw *raw, FrameRange range, const char *tag) {
    Device *device = g_new0(Device, 1);
    guint at = 0;

    device->facts = g_new0(BackendDevice, 1);
    device->facts->uuid = uuid;
    device->facts->name = g_strdup_printf("namespace%u", h->devices->len);
    device->facts->raw_id = g_strdup(raw->id);
    device->facts->tag = g_strdup(tag);
    device->facts->role = backend_tag_parse(tag, NULL, NULL);
    device->facts->mode = g_strdup("devdax");
    device->facts->device = range;
    device->facts->usable = (FrameRange){ range.start + raw->lead, range.end };
    device->facts->path = g_strdup_printf("/dev/dax%u", h->devices->len);
    device->size = frame_range_frames(device->facts->usable) * PMEMD_FRAME_SIZE;
    while (at < h->devices->len && ((Device *) g_ptr_array_index(h->devices, at))->facts->device.start <= range.start)
        at++;
    g_ptr_array_insert(h->devices, (int) at, device);
    return device;
}

static BackendDevice *backend_create(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome,
                                     GError **error) {
    Host *h = host_of(b);
    const BackendRaw *raw = raw_by_id(h, req->raw_id);

    g_assert_nonnull(raw);
    g_assert_null(raw->unusable);
    g_assert_true(frame_range_contains(raw->range, req->device));
    g_assert_cmpuint((req->device.start - raw->range.start) % STEP, ==, 0);
    g_assert_cmpuint(frame_range_frames(req->device), >, raw->lead);
    for (guint i = 0; i < h->devices->len; i++)
        g_assert_false(frame_range_overlaps(req->device, ((Device *) g_ptr_array_index(h->devices, i))->facts->device));

    unsigned how = input_below(&h->in, 8);
    *ret_outcome = how == 6 ? BACKEND_UNCHANGED : BACKEND_UNKNOWN;
    if (how >= 6) {
        g_set_error_literal(error, PMEMD_ERROR, how == 6 ? PMEMD_ERROR_BUSY : PMEMD_ERROR_HARDWARE, "as told");
        if (how == 6)
            return NULL;
    }
    Device *device = add_device(h, req->uuid, raw, req->device, req->tag);
    if (how == 7 && input_u8(&h->in) & 1) {
        device->facts->state = BACKEND_DEVICE_PARTIAL;
        device->facts->usable = (FrameRange){ 0, 0 };
    }
    if (device->facts->role == BACKEND_ROLE_DATA) {
        Known known = { req->uuid, req->device, true };

        g_array_append_val(h->known, known);
    }
    return how == 7 ? NULL : copy_device(device->facts);
}

/* Nobody asks what is sent to a guest. */
static BackendLoan *backend_lend(Backend *b, sd_id128_t uuid, GError **error) {
    Host *h = host_of(b);
    guint count;
    const Device *device = find_device(h, uuid, &count);

    if (!device || count > 1 || device->facts->held || input_rarely(&h->in, 8)) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "not to be had");
        return NULL;
    }
    /* Lent is what a journal knows, in its place. */
    g_assert_nonnull(find_known(h, uuid, device->facts->device, false));
    g_assert_cmpint(device->facts->state, ==, BACKEND_DEVICE_COMPLETE);

    BackendLoan *loan = g_new0(BackendLoan, 1);
    loan->fd = -1;
    loan->path = g_strdup(device->facts->path ?: "/dev/dax9");
    loan->alignment = STEP * PMEMD_FRAME_SIZE;
    return loan;
}

static bool backend_destroy(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    Host *h = host_of(b);
    guint count;
    Device *device = find_device(h, uuid, &count);

    *ret_outcome = BACKEND_UNCHANGED;
    if (!device)
        return true;
    if (device->facts->tag[0] && strcmp(device->facts->tag, tag) != 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "its tag differs");
        return false;
    }
    if (count > 1) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED, "two have its uuid");
        return false;
    }
    if (device->facts->held) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "held");
        return false;
    }

    /* Why may it go? */
    g_assert_false(sd_id128_is_null(uuid));
    switch (device->facts->role) {
    case BACKEND_ROLE_FILLER:
        break;
    case BACKEND_ROLE_MGMT:
        g_assert_true(hints_has(h->state_dir, HINT_SETUP, uuid) || hints_has(h->state_dir, HINT_RELEASE, uuid) ||
                      sd_id128_equal(uuid, h->forgotten));
        break;
    case BACKEND_ROLE_DATA:
        g_assert_nonnull(find_known(h, uuid, (FrameRange){ 0, 0 }, true));
        break;
    case BACKEND_ROLE_NONE:
        g_assert_cmpstr(device->facts->tag, ==, "");
        g_assert_nonnull(find_known(h, uuid, (FrameRange){ 0, 0 }, true));
        break;
    }
    if (input_rarely(&h->in, 8)) {
        *ret_outcome = BACKEND_UNKNOWN;
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "as told");
        return false;
    }
    g_ptr_array_remove(h->devices, device);
    return true;
}

static Medium *backend_open_medium(Backend *b, sd_id128_t uuid, GError **error) {
    Host *h = host_of(b);
    guint count;
    Device *device = find_device(h, uuid, &count);

    if (!device || device->facts->state != BACKEND_DEVICE_COMPLETE || device->size == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED, "not whole");
        return NULL;
    }
    if (!device->bytes)
        device->bytes = g_malloc0(device->size);
    return memory_new(device->bytes, device->size);
}

static int content_zero(BackendContent *c, uint64_t off, uint64_t len) {
    return 0;
}

static int content_find_nonzero(BackendContent *c, uint64_t off, uint64_t len, uint64_t *ret_at) {
    return 0;
}

static void content_free(BackendContent *c) {
    g_free(c);
}

static bool backend_renew(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    guint count;
    const Device *device = find_device(host_of(b), uuid, &count);

    *ret_outcome = BACKEND_UNCHANGED;
    if (device && count == 1 && !device->facts->held)
        return true;
    g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "not to be had");
    return false;
}

static MapperList *backend_mappers(Backend *b, sd_id128_t uuid, GError **error) {
    return mapper_list_new(NULL, 0, input_rarely(&host_of(b)->in, 8) ? "as told" : NULL);
}

static BackendContent *backend_open_content(Backend *b, sd_id128_t uuid, GError **error) {
    Host *h = host_of(b);
    guint count;
    const Device *device = find_device(h, uuid, &count);

    if (!device || count > 1 || device->facts->held || device->facts->state != BACKEND_DEVICE_COMPLETE) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "not to be had");
        return NULL;
    }
    /* Erasing takes the very device that a journal means. */
    g_assert_nonnull(find_known(h, uuid, device->facts->device, false));
    g_assert_true(device->facts->role == BACKEND_ROLE_DATA || !device->facts->tag[0]);

    BackendContent *content = g_new0(BackendContent, 1);
    *content = (BackendContent){
        .size = device->size,
        .zero = content_zero,
        .find_nonzero = content_find_nonzero,
        .free = content_free,
    };
    return content;
}

/* Only what is ours by a journal, or nobody's, and bad at all. */
static bool backend_clear_bad(Backend *b, const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome,
                              GError **error) {
    Host *h = host_of(b);
    BackendRaw *raw = NULL;

    for (guint i = 0; i < h->raws->len && !raw; i++) {
        BackendRaw *other = g_ptr_array_index(h->raws, i);

        raw = strcmp(other->id, req->raw_id) == 0 ? other : NULL;
    }
    g_assert_nonnull(raw);
    g_assert_true(frame_range_contains(raw->range, req->frames));
    if (!sd_id128_is_null(req->device))
        g_assert_nonnull(find_known(h, req->device, (FrameRange){ 0, 0 }, false));
    /* A region's are cleared through its own device, which is the one on these frames to the kernel, whatever lies there. */
    for (guint i = 0; i < h->devices->len && sd_id128_is_null(req->device); i++) {
        const BackendDevice *device = ((Device *) g_ptr_array_index(h->devices, i))->facts;

        g_assert_false(frame_range_overlaps(device->device, req->frames));
    }
    *ret_frames = 0;
    *ret_outcome = BACKEND_UNCHANGED;
    if (input_rarely(&h->in, 4)) {
        *ret_outcome = BACKEND_UNKNOWN;
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "as told");
        return false;
    }
    *ret_frames = frame_set_frames_in(raw->bad, req->frames);
    g_clear_pointer(&raw->bad, g_array_unref);
    raw->bad_all = false;
    return true;
}

static void backend_free_this(Backend *b) {
    g_free(b);
}

static const BackendOps backend_ops = {
    .name = "fuzz",
    .list = backend_list,
    .create = backend_create,
    .destroy = backend_destroy,
    .open_medium = backend_open_medium,
    .renew = backend_renew,
    .lend = backend_lend,
    .mappers = backend_mappers,
    .open_content = backend_open_content,
    .clear_bad = backend_clear_bad,
    .free = backend_free_this,
};

/* --- the platform --- */

/* Bad frames and DIMMs of any health, now and then. */
static void add_facts(Host *h, BackendRaw *raw) {
    g_auto(BadFrames) bad = { 0 };
    unsigned dimms = input_rarely(&h->in, 4) ? 1 + input_below(&h->in, 2) : 0;

    bad_frames_begin(&bad, raw->range);
    while (input_rarely(&h->in, 8)) {
        uint64_t start = raw->range.start + input_below(&h->in, 256) * 8;

        bad_frames_add(&bad, (FrameRange){ start, start + 1 + input_below(&h->in, 64) });
    }
    bad.incomplete = input_rarely(&h->in, 32);
    raw->bad = bad_frames_end(&bad, &raw->bad_all);
    for (unsigned i = 0; i < dimms; i++) {
        DimmHealth *dimm = dimm_health_new("8680-01", "nmem0");

        dimm->state = (Health) input_below(&h->in, N_HEALTHS);
        dimm->flags = (uint32_t) input_number(&h->in, 2) % (1u << N_DIMM_FLAGS);
        dimm->spares = (int) input_below(&h->in, 101);
        raw->health = raw->health ? raw->health : dimm_healths_new();
        g_ptr_array_add(raw->health, dimm);
    }
}

static void add_raw(Host *h) {
    unsigned shape = input_u8(&h->in);
    BackendRaw *raw = g_new0(BackendRaw, 1);
    uint64_t start = (h->raws->len + 1) * 0x10000;

    if ((shape & 7) == 7)
        start -= 0x10000 - RAW_FRAMES / 2; /* on the one before */
    raw->id = g_strdup_printf("region%u", h->raws->len);
    raw->cookie = uuid_of(0x20 + h->raws->len);
    raw->range = (FrameRange){ start, start + RAW_FRAMES };
    raw->node = (int) h->raws->len;
    raw->local_node = raw->node;
    raw->step = STEP * PMEMD_FRAME_SIZE;
    raw->lead = shape & 8 ? STEP : 0;
    raw->minimum = raw->step + raw->lead * PMEMD_FRAME_SIZE;
    raw->free_slots = shape & 16 ? input_below(&h->in, 4) : UINT64_MAX;
    raw->kind = (shape & 0x60) == 0x60 ? BACKEND_RAW_UNLABELLED : BACKEND_RAW_LABELLED;
    raw->persistence = g_strdup("memory_controller");
    raw->unusable = (shape & 0x87) == 0x87 ? g_strdup("read-only") : NULL;
    g_ptr_array_add(h->raws, raw);
}

static const BackendRaw *any_raw(Host *h) {
    return g_ptr_array_index(h->raws, input_below(&h->in, h->raws->len));
}

static FrameRange any_device_range(Host *h, const BackendRaw *raw) {
    uint64_t start = raw->range.start + STEP * input_below(&h->in, 64) + raw->lead;
    uint64_t end = start + STEP * (1 + input_below(&h->in, 8));

    return (FrameRange){ start - raw->lead, end };
}

/* A distortion now and then. */
static void distort(Host *h, Device *device) {
    BackendDevice *d = device->facts;

    switch (input_below(&h->in, 32)) {
    case 0:
        d->state = BACKEND_DEVICE_PARTIAL;
        d->usable = (FrameRange){ 0, 0 };
        break;
    case 1:
        d->held = true;
        break;
    case 2:
        d->usable.start += STEP;
        break;
    case 3:
        d->device.end += STEP;
        break;
    case 4:
        g_free(d->raw_id);
        d->raw_id = g_strdup("region9");
        break;
    case 5:
        g_clear_pointer(&d->path, g_free);
        break;
    case 6:
        d->uuid = uuid_of(input_below(&h->in, N_UUIDS));
        break;
    case 7:
        g_free(d->tag);
        d->tag = input_text(&h->in, 40);
        d->role = backend_tag_parse(d->tag, NULL, NULL);
        break;
    default:
        break;
    }
}

/* --- journals --- */

typedef struct {
    Host *host;
    unsigned pool;
    FrameRange range; /* of the pool */
    sd_id128_t member;
} Writer;

static void emit_region(JournalSnapshot *s, Writer *w, bool intent, bool adopted) {
    Host *h = w->host;
    const BackendRaw *raw = any_raw(h);
    FrameRange device = any_device_range(h, raw);
    unsigned n = N_POOLS + input_below(&h->in, N_UUIDS - N_POOLS);
    uint64_t extent = w->range.start + 48 + input_below(&h->in, 32);
    JfRegion record = {
        .region_uuid = uuid_of(0x40 + input_below(&h->in, 8)),
        .device_uuid = input_rarely(&h->in, 32) ? uuid_of(input_below(&h->in, N_POOLS)) : uuid_of(n),
        .range = { device.start + raw->lead, device.end },
        .device_start = device.start,
        .extent = { extent, extent + 1 },
        .owner_uid = 1000,
    };
    uint8_t buf[JF_PAYLOAD_MAX];
    Known known = { record.device_uuid, device, intent };

    if (input_rarely(&h->in, 4))
        g_snprintf(record.name, sizeof record.name, "r%u", input_below(&h->in, 4));
    if (input_rarely(&h->in, 32))
        record.range.end = input_number(&h->in, 8);
    if (input_rarely(&h->in, 32))
        record.device_uuid = SD_ID128_NULL;
    g_array_append_val(h->known, known);
    if (adopted) {
        JfAdopt adopt = { record, backend_tag_number(uuid_of(input_below(&h->in, N_POOLS))) };

        journal_snapshot_add(s, JF_ADOPT, 0, buf, jf_adopt_encode(&adopt, buf));
    } else
        journal_snapshot_add(s, intent ? JF_INTENT_CREATE : JF_ADD, intent ? 1 + input_below(&h->in, 4) : 0, buf,
                             jf_region_encode(&record, buf));
}

static void emit_lease(JournalSnapshot *s, Writer *w, sd_id128_t region) {
    Host *h = w->host;
    unsigned kind = input_u8(&h->in);
    JfLease lease = { .region_uuid = region, .guest_frame = PMEMD_FRAME_INVALID, .uid = kind % 3 };
    JfUnlease unlease = { .region_uuid = region, .reason = kind % JF_N_UNLEASE_REASONS };
    uint8_t buf[JF_PAYLOAD_MAX];

    if (kind & 128) {
        journal_snapshot_add(s, JF_UNLEASE, 0, buf, jf_unlease_encode(&unlease, buf));
        return;
    }
    g_snprintf(lease.owner, sizeof lease.owner, "vm%u", kind % 5);
    lease.flags = kind & 64 ? JF_LEASE_ENDED : 0;
    if (kind & 32) {
        lease.flags |= JF_LEASE_DISCONNECT;
        lease.bus_id = uuid_of(0x70);
        g_strlcpy(lease.sender, ":1.1", sizeof lease.sender);
    }
    journal_snapshot_add(s, JF_LEASE, 0, buf, jf_lease_encode(&lease, buf));
}

static void emit_bad(JournalSnapshot *s, Writer *w, sd_id128_t region) {
    Host *h = w->host;
    unsigned kind = input_u8(&h->in);
    FrameRange within = w->range;
    JfBadFrames bad = {
        .uuid = kind & 1 ? region : w->member,
        .cleared = (kind & 6) == 6,
        .more = (kind & 14) == 8,
        .n_extents = 1 + kind / 64,
    };
    uint8_t buf[JF_PAYLOAD_MAX];

    if (kind & 1 && h->known->len > 0)
        within = g_array_index(h->known, Known, input_u8(&h->in) % h->known->len).device;
    for (unsigned i = 0; i < bad.n_extents; i++)
        bad.extents[i] = (FrameRange){ within.start + 8 * i, within.start + 8 * i + 1 + kind / 16 % 4 };
    journal_snapshot_add(s, JF_BAD_FRAMES, 0, buf, jf_bad_frames_encode(&bad, buf));
}

static void emit_erase(JournalSnapshot *s, Writer *w, sd_id128_t region) {
    Host *h = w->host;
    sd_id128_t device = uuid_of(input_below(&h->in, N_UUIDS));
    JfEraseProgress erase = { .region_uuid = region, .device = get_le32(device.bytes) };
    uint8_t buf[JF_PAYLOAD_MAX];

    erase.offset = input_rarely(&h->in, 8) ? input_number(&h->in, 8) : input_number(&h->in, 2) * PMEMD_FRAME_SIZE;
    erase.flags = input_u8(&h->in) & 1 ? JF_ERASE_VERIFY_ALL : 0;
    journal_snapshot_add(s, JF_ERASE_PROGRESS, 0, buf, jf_erase_progress_encode(&erase, buf));
}

/* The device of the region may be destroyed from now on. */
static void know_release(Host *h) {
    for (guint i = 0; i < h->known->len; i++)
        g_array_index(h->known, Known, i).intent = true;
}

static void emit_record(JournalSnapshot *s, Writer *w) {
    Host *h = w->host;
    uint64_t txid = 1 + input_below(&h->in, 4);
    sd_id128_t region = uuid_of(0x40 + input_below(&h->in, 8));
    JfDelete delete = { .region_uuid = region };
    JfCommit commit = { .device = { 0, 0 } };
    JfAbort abort_record = { .reason = 1 };
    JfName name = { .uuid = input_u8(&h->in) & 1 ? region : w->member };
    JfRef ref = { .uuid = region };
    uint8_t buf[JF_PAYLOAD_MAX];

    switch (input_below(&h->in, 18)) {
    default:
        emit_region(s, w, false, false);
        break;
    case 5:
    case 6:
        emit_region(s, w, true, false);
        break;
    case 7:
    case 8:
        know_release(h);
        journal_snapshot_add(s, JF_INTENT_DELETE, txid, buf, jf_delete_encode(&delete, buf));
        break;
    case 9:
        if (h->known->len > 0)
            commit.device = g_array_index(h->known, Known, input_u8(&h->in) % h->known->len).device;
        journal_snapshot_add(s, JF_COMMIT, txid, buf, jf_commit_encode(&commit, buf));
        break;
    case 10:
        if (input_u8(&h->in) & 1)
            journal_snapshot_add(s, JF_ABORT, txid, buf, jf_abort_encode(&abort_record, buf));
        else
            journal_snapshot_add(s, JF_DEL, 0, buf, jf_ref_encode(&ref, buf));
        break;
    case 11:
        g_snprintf(name.name, sizeof name.name, "r%u", input_below(&h->in, 4));
        journal_snapshot_add(s, JF_NAME, 0, buf, jf_name_encode(&name, buf));
        break;
    case 12:
        emit_region(s, w, false, true);
        break;
    case 13:
    case 14:
        emit_lease(s, w, region);
        break;
    case 15:
        emit_bad(s, w, region);
        break;
    case 16:
        emit_erase(s, w, region);
        break;
    }
}

static void emit_records(JournalSnapshot *s, void *data) {
    Writer *w = data;

    for (unsigned n = input_below(&w->host->in, N_RECORDS); n > 0; n--)
        emit_record(s, w);
}

static void add_pool(Host *h, unsigned n) {
    const BackendRaw *raw = any_raw(h);
    uint64_t start = raw->range.start + STEP * input_below(&h->in, 64);
    FrameRange device = { start, start + raw->lead + POOL_FRAMES };
    JfSuperblock sb = {
        .journal_uuid = uuid_of(0x60 + (input_rarely(&h->in, 16) ? 0 : n)),
        .member_uuid = uuid_of(n),
        .major = JF_MAJOR,
        .minor = JF_MINOR,
        .geo = {
            .unit_is_small = 1,
            .stride = 64,
            .size = POOL_FRAMES * PMEMD_FRAME_SIZE,
            .unit = UNIT,
            .area_off = { UNIT, 2 * UNIT },
            .area_len = UNIT,
            .mgmt_off = 3 * UNIT,
            .mgmt_len = 2 * UNIT,
        },
        .raw_cookie = raw->cookie,
        .range = { start + raw->lead, device.end },
    };
    char tag[BACKEND_TAG_MAX];
    Writer writer = { h, n, sb.range, sb.member_uuid };
    Device *d = add_device(h, sb.member_uuid, raw, device,
                           backend_tag_format(BACKEND_ROLE_MGMT, sb.member_uuid, sb.member_uuid, tag));

    /* What the superblock says need not be what the platform shows. */
    unsigned kind = input_below(&h->in, 32);
    switch (kind) {
    case 0:
        sb.page_info_bytes = (uint32_t) input_number(&h->in, 4);
        break;
    case 1:
        sb.raw_cookie = uuid_of(0x2f);
        break;
    case 2:
        sb.member_uuid = uuid_of(input_below(&h->in, N_UUIDS));
        break;
    case 3:
        sb.range.start += STEP;
        sb.range.end += STEP;
        break;
    default:
        break;
    }
    d->bytes = g_malloc0(d->size);
    g_autoptr(Medium) medium = memory_new(d->bytes, d->size);
    g_autoptr(GError) error = NULL;
    g_assert_true(journal_create(medium, &sb, emit_records, &writer, &error));
    sb.ro_compat = kind == 4;
    sb.incompat = kind == 5;
    if (kind == 4 || kind == 5)
        for (unsigned copy = 0; copy < 2; copy++)
            jf_superblock_encode(&sb, d->bytes + jf_superblock_offset(d->size, copy));
    if (input_rarely(&h->in, 16)) /* and any byte of it may be wrong */
        d->bytes[input_number(&h->in, 3) % d->size] ^= 1 + input_below(&h->in, 255);
    distort(h, d);
}

static void add_data_device(Host *h) {
    const Known *known = NULL;
    const BackendRaw *raw = any_raw(h);
    FrameRange range = any_device_range(h, raw);
    sd_id128_t uuid = uuid_of(input_below(&h->in, N_UUIDS));
    unsigned kind = input_below(&h->in, 8);
    char tag[BACKEND_TAG_MAX] = "";

    /* Mostly one that a journal knows, in its place. */
    if (kind < 5 && h->known->len > 0) {
        known = &g_array_index(h->known, Known, input_u8(&h->in) % h->known->len);
        uuid = known->device_uuid;
        if (!input_rarely(&h->in, 8))
            range = known->device;
        for (guint i = 0; i < h->raws->len; i++) {
            const BackendRaw *candidate = g_ptr_array_index(h->raws, i);

            if (frame_range_contains(candidate->range, range))
                raw = candidate;
        }
    }
    if (kind == 7)
        uuid = SD_ID128_NULL;
    if (kind < 6)
        backend_tag_format(input_rarely(&h->in, 16) ? BACKEND_ROLE_FILLER : BACKEND_ROLE_DATA,
                           uuid_of(input_below(&h->in, N_POOLS)), uuid, tag);
    if (range.end - range.start <= raw->lead)
        return;
    distort(h, add_device(h, uuid, raw, range, input_rarely(&h->in, 8) ? "" : tag));
}

static void note_bytes(Host *h) {
    for (guint i = 0; i < h->devices->len; i++) {
        Device *device = g_ptr_array_index(h->devices, i);

        if (device->bytes)
            device->before = g_bytes_new(device->bytes, device->size);
    }
}

/* --- the daemon --- */

static void on_ready(void *data, const GError *error) {
    Host *h = data;

    h->ready = true;
    h->failed = error != NULL;
}

static void run(Host *h) {
    g_assert_cmpint(sd_event_run(h->event, 60 * G_USEC_PER_SEC), >, 0);
}

/* To its end: a release that is gone on with comes behind the start, and would look at devices beside us. */
static void start(Host *h) {
    const ManagerEvents events = { .ready = on_ready };
    FuzzBackend *backend = g_new0(FuzzBackend, 1);
    g_autoptr(GError) error = NULL;

    backend->base.ops = &backend_ops;
    backend->host = h;
    h->ready = h->failed = false;
    g_assert_cmpint(sd_event_new(&h->event), >=, 0);
    h->manager = manager_new(h->event, &backend->base, h->state_dir, (ManagerLimits){ 64, 64, 0 }, &error);
    g_assert_no_error(error);
    manager_add_events(h->manager, &events, h);
    manager_start(h->manager);
    while (!h->ready || manager_get_state(h->manager) == MANAGER_RECOVERING || !manager_is_idle(h->manager))
        run(h);
    g_assert_false(h->failed);
}

static void stop(Host *h) {
    g_clear_pointer(&h->manager, manager_free);
    h->event = sd_event_unref(h->event);
}

typedef struct {
    bool done;
} Reply;

static void on_done(void *data, sd_id128_t result, const GError *error) {
    Reply *reply = data;

    g_assert_false(reply->done);
    reply->done = true;
    if (!error)
        return;
    g_assert_true(error->domain == PMEMD_ERROR);
    g_assert_null(strstr(error->message, "that the model refuses"));
}

static void on_content(void *data, BackendContent *content, const GError *error) {
    ((Reply *) data)->done = true;
    g_assert_true((content != NULL) == (error == NULL));
    backend_content_free(content);
}

/* What the eraser would do: of what was released, and before the first guest. */
static void erase(Host *h, sd_id128_t region, bool released) {
    Reply opened = { false }, finished = { false };
    const Region *of = state_region_by_uuid(manager_state(h->manager), region);
    uint64_t bytes = of ? region_bytes(of) : 0;

    manager_open_content(h->manager, region, on_content, &opened);
    while (!opened.done)
        run(h);
    switch (input_below(&h->in, 8)) {
    case 3:
        return;
    case 6:
        manager_erase_failed(h->manager, region, "as told");
        return;
    case 7:
        (void) manager_erase_progress(h->manager, region, MIN(PMEMD_FRAME_SIZE * input_below(&h->in, 64), bytes), NULL);
        return;
    default:
        break;
    }
    manager_finish_erase(h->manager, region, released, on_done, &finished);
    while (!finished.done)
        run(h);
}

static const Region *any_region(Host *h) {
    const State *state = manager_state(h->manager);
    const Region *region = state_next_region(state, NULL);

    for (unsigned n = input_below(&h->in, 8); region && n > 0; n--) {
        const Region *next = state_next_region(state, region);

        region = next ? next : region;
    }
    return region;
}

static void submit(Host *h, const ManagerRequest *request) {
    Reply reply = { false };

    manager_submit(h->manager, request, 1, on_done, &reply);
    while (!reply.done)
        run(h);
}

/* --- leases --- */

typedef struct {
    Host *host;
    bool done;
} LoanReply;

static void on_lent(void *data, sd_id128_t result, const GError *error) {
    LoanReply *reply = data;

    reply->done = true;
    if (error) {
        g_assert_null(strstr(error->message, "that the model refuses"));
        return;
    }
    BackendLoan *loan = manager_take_loan(reply->host->manager);
    g_assert_nonnull(loan);
    backend_loan_free(loan);

    const Region *region = state_region_by_uuid(manager_state(reply->host->manager), result);
    g_assert_nonnull(region);
    g_assert_cmpint(region->state, ==, REGION_OK);
    g_assert_nonnull(state_lease(manager_state(reply->host->manager), region));
}

static void ask_lease(Host *h, const Region *region, bool attach) {
    unsigned kind = input_u8(&h->in);
    g_autofree char *owner = g_strdup_printf("vm%u", kind % 5);
    ManagerRequest request = { .method = attach ? MANAGER_ATTACH : MANAGER_DETACH, .uid = kind % 3, .user = "user" };
    LoanReply reply = { h, false };

    request.others = true;
    request.lease.uuid = region->uuid;
    request.lease.owner = owner;
    request.lease.sender = ":1.1";
    request.lease.bus_id = uuid_of(0x70);
    request.lease.disconnect = request.lease.has_until = attach && (kind & 32);
    request.lease.allow_degraded = attach && (kind & 64);
    request.lease.force = !attach && (kind & 64);
    if (!attach) {
        submit(h, &request);
        return;
    }
    manager_submit(h->manager, &request, 1, on_lent, &reply);
    while (!reply.done)
        run(h);
}

/* --- what journal and platform disagree on --- */

static const Foreign *any_foreign(Host *h) {
    GPtrArray *foreigns = state_foreigns(manager_state(h->manager));

    return foreigns->len > 0 ? g_ptr_array_index(foreigns, input_u8(&h->in) % foreigns->len) : NULL;
}

/* By its name or its uuid; what is told of it may become ours. */
static char *foreign_key(Host *h, const Foreign *foreign, bool destroy) {
    Known known = { foreign->uuid, foreign->device, destroy };
    char uuid[PMEMD_UUID_STRING_MAX];

    if (foreign->kind != FOREIGN_FOREIGN) {
        g_array_append_val(h->known, known);
        if (destroy)
            h->forgotten = foreign->uuid;
    }
    return g_strdup(input_u8(&h->in) & 1 ? foreign->name : pmemd_uuid_format(foreign->uuid, uuid));
}

static void ask_repair(Host *h, ManagerMethod method, const Pool *pool, const Region *region) {
    g_autoptr(RepairReport) report = repair_report_new();
    const Foreign *foreign = any_foreign(h);
    unsigned kind = input_u8(&h->in);
    bool destroy = method == MANAGER_FORGET && (kind & 1);
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *key = NULL;
    ManagerRequest request = { .method = method, .uid = 0, .user = "root", .others = true };

    if (method != MANAGER_REPAIR && foreign && !(kind & 64))
        key = foreign_key(h, foreign, destroy);
    else if (method == MANAGER_FORGET && region)
        key = g_strdup(pmemd_uuid_format(region->uuid, uuid));
    else if (pool)
        key = g_strdup(pmemd_uuid_format(pool->sb.member_uuid, uuid));
    if (!key)
        return;
    request.repair.key = key;
    request.repair.extent_start = kind & 32 && pool ? pool->sb.range.start + 48 : UINT64_MAX;
    request.repair.owner_user = "";
    request.repair.destroy = destroy;
    request.repair.apply = (kind & 3) != 3;
    request.repair.force = (kind & 12) == 12;
    request.repair.report = method == MANAGER_REPAIR ? report : NULL;
    submit(h, &request);
    h->forgotten = SD_ID128_NULL;
}

static void ask_clear(Host *h, const Region *region, const BackendRaw *raw) {
    g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(ManagerLost));
    ManagerRequest request = { .method = MANAGER_CLEAR_BAD_FRAMES, .uid = 0, .user = "root", .others = true };

    if (region && input_u8(&h->in) & 1)
        request.target.uuid = region->uuid;
    else
        request.target.raw = raw->id;
    request.target.force = input_u8(&h->in) & 1;
    request.target.lost = lost;
    (void) manager_plan_clear(h->manager, &request, lost, NULL);
    g_array_set_size(lost, 0);
    submit(h, &request);
}

/* --- */

static void ask(Host *h) {
    const State *state = manager_state(h->manager);
    GPtrArray *pools = state_pools(state);
    const Pool *pool = pools->len > 0 ? g_ptr_array_index(pools, input_below(&h->in, pools->len)) : NULL;
    const Region *region = any_region(h);
    ManagerRequest request = { .uid = 0, .user = "root", .others = true };
    const BackendRaw *raw = any_raw(h);
    FrameRange range = any_device_range(h, raw);
    Erase clean;

    range.start += raw->lead;
    switch (input_below(&h->in, 16)) {
    case 0:
        request.method = MANAGER_SETUP_MGMT;
        request.mgmt = (MgmtRequest){
            .range = { range.start, range.start + 640 }, .profile = PROFILE_NONE, .max_regions = 1, .node = -1
        };
        break;
    case 1:
    case 2:
        request.method = MANAGER_SETUP_DATA;
        request.data = (DataRequest){ .range = range, .node = -1 };
        if (pool)
            request.data.mgmt =
                (FrameRange){ pool->sb.range.start + 48 + input_below(&h->in, 32), pool->sb.range.end - 16 };
        break;
    case 3:
    case 4:
    case 5:
        request.method = MANAGER_ALLOCATE_DATA;
        request.data = (DataRequest){ .bytes = (1 + (uint64_t) input_below(&h->in, 64)) << 16, .node = -1 };
        break;
    case 6:
        if (!region)
            return;
        if (region->state == REGION_QUARANTINED) {
            erase(h, region->uuid, true);
            return;
        }
        if (state_erase(state, region, &clean) && input_u8(&h->in) & 1) {
            erase(h, region->uuid, false);
            return;
        }
        request.method = MANAGER_RELEASE_DATA;
        request.target.uuid = region->uuid;
        know_release(h);
        break;
    case 7:
        if (!pool)
            return;
        request.method = MANAGER_RELEASE_MGMT;
        request.target.uuid = pool->sb.member_uuid;
        break;
    case 8:
    case 9:
    case 10:
        if (region)
            ask_lease(h, region, input_u8(&h->in) & 3);
        return;
    case 11:
        ask_clear(h, region, raw);
        return;
    case 12:
        ask_repair(h, MANAGER_ADOPT, pool, region);
        return;
    case 13:
        ask_repair(h, MANAGER_FORGET, pool, region);
        return;
    case 14:
    case 15:
        ask_repair(h, MANAGER_REPAIR, pool, region);
        return;
    }
    submit(h, &request);
}

/* --- what must be so --- */

static bool is_occupied(const State *state, FrameRange device) {
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = g_ptr_array_index(state_pools(state), i);

        if (frame_range_contains(pool->occupant.entry.range, device))
            return true;
    }
    for (const Region *r = state_next_region(state, NULL); r; r = state_next_region(state, r))
        if (frame_range_contains(region_device(r), device))
            return true;
    for (guint i = 0; i < state_foreigns(state)->len; i++)
        if (frame_range_contains(((const Foreign *) g_ptr_array_index(state_foreigns(state), i))->device, device))
            return true;
    return false;
}

static void check_disjoint(const State *state) {
    uint64_t end = 0;

    for (guint i = 0; i < state_raws(state)->len; i++) {
        const Raw *raw = g_ptr_array_index(state_raws(state), i);

        g_assert_cmpuint(raw->range.start, >=, end);
        end = raw->range.start;
        for (const RegionMapEntry *e = region_map_first(raw->map); e; e = region_map_next(raw->map, e)) {
            g_assert_cmpuint(e->range.start, >=, end);
            end = e->range.end;
        }
        g_assert_cmpuint(end, <=, raw->range.end);
        end = raw->range.end;
    }
}

static void check(Host *h) {
    const State *state = manager_state(h->manager);

    check_disjoint(state);
    for (guint i = 0; i < h->devices->len; i++) {
        const Device *device = g_ptr_array_index(h->devices, i);
        const Pool *pool = state_pool_by_uuid(state, device->facts->uuid);

        g_assert_true(is_occupied(state, device->facts->device));
        if (!device->before || (pool && (pool->state == POOL_OK || pool->state == POOL_RELEASING)))
            continue;
        if (pool)
            g_assert_true(!pool->reason || !strstr(pool->reason, "that the model refuses"));
        /* Its journal by itself was whole, and opened: what two pools claim is compared when all are replayed. */
        if (pool && pool->reason && strstr(pool->reason, "claims the device range"))
            continue;
        g_assert_cmpmem(device->bytes, device->size, g_bytes_get_data(device->before, NULL),
                        g_bytes_get_size(device->before));
    }
}

/* `ret_open`: whether the next start may find something else. */
static char *describe(const Host *h, bool *ret_open) {
    const State *state = manager_state(h->manager);
    GString *text = g_string_new(NULL);
    char uuid[PMEMD_UUID_STRING_MAX];

    *ret_open = false;
    /* A mgmt device on frames that were somebody's: what this start settled may have freed them. */
    for (guint i = 0; i < h->devices->len; i++) {
        const BackendDevice *device = ((Device *) g_ptr_array_index(h->devices, i))->facts;

        if (device->role == BACKEND_ROLE_MGMT && !state_pool_by_uuid(state, device->uuid))
            *ret_open = true;
    }
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = g_ptr_array_index(state_pools(state), i);

        /* Journals that contradict each other: what one of them gave up, the next start may find in the other. */
        if (pool->state == POOL_CORRUPT)
            *ret_open = true;
        /* Its superblocks are gone, and the start that finds it let go removes the rest: what it stood upon shows then. */
        if (pool->state == POOL_RELEASING) {
            *ret_open = true;
            continue;
        }
        g_string_append_printf(text, "pool %s %s\n", pmemd_uuid_format(pool->sb.member_uuid, uuid),
                               pool_state_to_string(pool->state));
    }
    for (const Region *r = state_next_region(state, NULL); r; r = state_next_region(state, r))
        g_string_append_printf(text, "region %s %s 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x\n",
                               pmemd_uuid_format(r->uuid, uuid), region_state_to_string(r->state),
                               region_device(r).start, r->range.end);
    return g_string_free(text, FALSE);
}

/* --- */

static void clear_dir(const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (g_file_test(child, G_FILE_TEST_IS_DIR))
            clear_dir(child);
        else
            g_unlink(child);
    }
}

/* One for all inputs, empty, in $TMPDIR (tests/fuzz/run: in memory). */
static const char *state_dir(void) {
    static char *dir;

    if (!dir) {
        dir = g_dir_make_tmp("pmemd-fuzz-XXXXXX", NULL);
        g_assert_nonnull(dir);
        g_assert_true(hints_prepare(dir, NULL));
    }
    clear_dir(dir);
    return dir;
}

/* Nothing fails any more: one start settles what can be settled, and the next finds the same. Where the first leaves
 * something open it takes more of them, but it comes to an end. */
static void settle(Host *h) {
    g_autofree char *before = NULL;
    bool open = true;

    h->in.at = h->in.end;
    for (unsigned n = 0; n < SETTLE_STARTS; n++) {
        g_autofree char *last = g_steal_pointer(&before);
        bool may_differ = open;
        guint devices = h->devices->len;

        start(h);
        before = describe(h, &open);
        /* What it deleted, a filler by a lying label, may have stood for something until then. */
        open |= h->devices->len != devices;
        check_disjoint(manager_state(h->manager));
        stop(h);
        if (last && g_str_equal(last, before))
            return;
        if (last && !may_differ)
            g_assert_cmpstr(last, ==, before);
    }
    g_error("it did not settle in %u starts", SETTLE_STARTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Host h = {
        .in = input_new(data, size),
        .raws = g_ptr_array_new_with_free_func((GDestroyNotify) backend_raw_free),
        .devices = g_ptr_array_new_with_free_func((GDestroyNotify) device_free),
        .known = g_array_new(FALSE, FALSE, sizeof(Known)),
        .state_dir = state_dir(),
    };

    for (unsigned n = 1 + input_below(&h.in, 2); n > 0; n--)
        add_raw(&h);
    for (unsigned i = 0, n = input_below(&h.in, N_POOLS + 1); i < n; i++)
        add_pool(&h, i);
    for (unsigned n = input_below(&h.in, N_DEVICES + 1); n > 0; n--)
        add_data_device(&h);
    for (unsigned n = input_below(&h.in, 32); n >= 30; n--) {
        unsigned uuid = input_u8(&h.in);

        g_assert_true(hints_put(h.state_dir, uuid & 64 ? HINT_SETUP : HINT_RELEASE, uuid_of(uuid % N_UUIDS), NULL));
    }
    for (guint i = 0; i < h.raws->len; i++)
        add_facts(&h, g_ptr_array_index(h.raws, i));
    note_bytes(&h);
    start(&h);
    check(&h);
    for (unsigned n = input_below(&h.in, N_REQUESTS); n > 0; n--) {
        ask(&h);
        check_disjoint(manager_state(h.manager));
    }
    stop(&h);

    settle(&h);

    g_ptr_array_unref(h.raws);
    g_ptr_array_unref(h.devices);
    g_array_unref(h.known);
    return 0;
}
