/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Results: one table of fields a struct, by which lists and properties are read and the structs are freed.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"

static const Field raw_fields[] = {
    { "Id", 's', offsetof(PmemdRaw, id) },
    { "StartFrame", 't', offsetof(PmemdRaw, frames.start) },
    { "EndFrame", 't', offsetof(PmemdRaw, frames.end) },
    { "Node", 'i', offsetof(PmemdRaw, node) },
    { "LocalNode", 'i', offsetof(PmemdRaw, local_node) },
    { "Step", 't', offsetof(PmemdRaw, step) },
    { "Lead", 't', offsetof(PmemdRaw, lead) },
    { "Minimum", 't', offsetof(PmemdRaw, minimum) },
    { "FreeBytes", 't', offsetof(PmemdRaw, free_bytes) },
    { "LargestGap", 't', offsetof(PmemdRaw, largest_gap) },
    { "Kind", 's', offsetof(PmemdRaw, kind) },
    { "Persistence", 's', offsetof(PmemdRaw, persistence) },
    { "State", 's', offsetof(PmemdRaw, state) },
    END_FIELD,
};

static const Field mgmt_fields[] = {
    { "Uuid", 's', offsetof(PmemdMgmt, uuid) },
    { "Name", 's', offsetof(PmemdMgmt, name) },
    { "StartFrame", 't', offsetof(PmemdMgmt, frames.start) },
    { "EndFrame", 't', offsetof(PmemdMgmt, frames.end) },
    { "UsedFrames", 't', offsetof(PmemdMgmt, used_frames) },
    { "FreeFrames", 't', offsetof(PmemdMgmt, free_frames) },
    { "Node", 'i', offsetof(PmemdMgmt, node) },
    { "LocalNode", 'i', offsetof(PmemdMgmt, local_node) },
    { "DataRegions", 'u', offsetof(PmemdMgmt, data_regions) },
    { "Profile", 's', offsetof(PmemdMgmt, profile) },
    { "State", 's', offsetof(PmemdMgmt, state) },
    { "OwnerUid", 'u', offsetof(PmemdMgmt, owner_uid) },
    { "Owner", 's', offsetof(PmemdMgmt, owner) },
    { "DevicePath", 's', offsetof(PmemdMgmt, device_path) },
    END_FIELD,
};

static const Field data_fields[] = {
    { "Uuid", 's', offsetof(PmemdData, uuid) },
    { "Name", 's', offsetof(PmemdData, name) },
    { "StartFrame", 't', offsetof(PmemdData, frames.start) },
    { "EndFrame", 't', offsetof(PmemdData, frames.end) },
    { "Pool", 's', offsetof(PmemdData, pool) },
    { "ExtentStart", 't', offsetof(PmemdData, extent.start) },
    { "ExtentEnd", 't', offsetof(PmemdData, extent.end) },
    { "Node", 'i', offsetof(PmemdData, node) },
    { "LocalNode", 'i', offsetof(PmemdData, local_node) },
    { "State", 's', offsetof(PmemdData, state) },
    { "Dirty", 'b', offsetof(PmemdData, dirty) },
    { "OwnerUid", 'u', offsetof(PmemdData, owner_uid) },
    { "Owner", 's', offsetof(PmemdData, owner) },
    { "DevicePath", 's', offsetof(PmemdData, device_path) },
    END_FIELD,
};

static const Field foreign_fields[] = {
    { "Name", 's', offsetof(PmemdForeign, name) },
    { "StartFrame", 't', offsetof(PmemdForeign, frames.start) },
    { "EndFrame", 't', offsetof(PmemdForeign, frames.end) },
    { "Mode", 's', offsetof(PmemdForeign, mode) },
    { "Kind", 's', offsetof(PmemdForeign, kind) },
    { "Raw", 's', offsetof(PmemdForeign, raw) },
    END_FIELD,
};

static const Field region_fields[] = {
    { "Kind", 's', offsetof(PmemdRegion, kind) },
    { "Uuid", 's', offsetof(PmemdRegion, uuid) },
    { "Name", 's', offsetof(PmemdRegion, name) },
    { "StartFrame", 't', offsetof(PmemdRegion, frames.start) },
    { "EndFrame", 't', offsetof(PmemdRegion, frames.end) },
    { "Bytes", 't', offsetof(PmemdRegion, bytes) },
    { "Pool", 's', offsetof(PmemdRegion, pool) },
    { "ExtentStart", 't', offsetof(PmemdRegion, extent.start) },
    { "ExtentEnd", 't', offsetof(PmemdRegion, extent.end) },
    { "UsedFrames", 't', offsetof(PmemdRegion, used_frames) },
    { "FreeFrames", 't', offsetof(PmemdRegion, free_frames) },
    { "Node", 'i', offsetof(PmemdRegion, node) },
    { "LocalNode", 'i', offsetof(PmemdRegion, local_node) },
    { "DevicePath", 's', offsetof(PmemdRegion, device_path) },
    { "State", 's', offsetof(PmemdRegion, state) },
    { "StateReason", 's', offsetof(PmemdRegion, state_reason) },
    { "OwnerUid", 'u', offsetof(PmemdRegion, owner_uid) },
    { "Owner", 's', offsetof(PmemdRegion, owner) },
    { "Profile", 's', offsetof(PmemdRegion, profile) },
    { "Dirty", 'b', offsetof(PmemdRegion, dirty) },
    { "CreatedUsec", 't', offsetof(PmemdRegion, created_usec) },
    { "MaxRegions", 'u', offsetof(PmemdRegion, max_regions) },
    { "LeaseOwner", 's', offsetof(PmemdRegion, lease_owner) },
    { "LeaseUid", 'u', offsetof(PmemdRegion, lease_uid) },
    { "LeaseUser", 's', offsetof(PmemdRegion, lease_user) },
    { "LeaseSinceUsec", 't', offsetof(PmemdRegion, lease_since_usec) },
    { "LeaseUntil", 's', offsetof(PmemdRegion, lease_until) },
    { "LeaseConfirmed", 'b', offsetof(PmemdRegion, lease_confirmed) },
    { "LeaseGuestFrame", 't', offsetof(PmemdRegion, lease_guest_frame) },
    { "GuestPath", 's', offsetof(PmemdRegion, guest_path) },
    { "BadFrames", 't', offsetof(PmemdRegion, bad_frames) },
    { "Health", 's', offsetof(PmemdRegion, health) },
    END_FIELD,
};

/* Of the details; kind, path and offset stand before them. */
static const Field location_fields[] = {
    { "Part", 's', offsetof(PmemdLocation, part) },
    { "Uuid", 's', offsetof(PmemdLocation, uuid) },
    { "Name", 's', offsetof(PmemdLocation, name) },
    { "State", 's', offsetof(PmemdLocation, state) },
    { "Pool", 's', offsetof(PmemdLocation, pool) },
    { "OwnerUid", 'u', offsetof(PmemdLocation, owner_uid) },
    { "Owner", 's', offsetof(PmemdLocation, owner) },
    { "ExtentOf", 's', offsetof(PmemdLocation, extent_of) },
    { "Device", 's', offsetof(PmemdLocation, device) },
    { "Mode", 's', offsetof(PmemdLocation, mode) },
    { "ForeignKind", 's', offsetof(PmemdLocation, foreign_kind) },
    { "Raw", 's', offsetof(PmemdLocation, raw) },
    { "Node", 'i', offsetof(PmemdLocation, node) },
    { "RawCookie", 's', offsetof(PmemdLocation, raw_cookie) },
    { "LeaseOwner", 's', offsetof(PmemdLocation, lease_owner) },
    { "LeaseUid", 'u', offsetof(PmemdLocation, lease_uid) },
    { "LeaseUser", 's', offsetof(PmemdLocation, lease_user) },
    { "GuestFrame", 't', offsetof(PmemdLocation, guest_frame) },
    END_FIELD,
};

static const Field plan_fields[] = {
    { "StartFrame", 't', offsetof(PmemdPlan, frames.start) },
    { "EndFrame", 't', offsetof(PmemdPlan, frames.end) },
    { "DeviceStartFrame", 't', offsetof(PmemdPlan, device.start) },
    { "DeviceEndFrame", 't', offsetof(PmemdPlan, device.end) },
    { "ExtentStart", 't', offsetof(PmemdPlan, extent.start) },
    { "ExtentEnd", 't', offsetof(PmemdPlan, extent.end) },
    { "UsableBytes", 't', offsetof(PmemdPlan, usable_bytes) },
    { "RequestedBytes", 't', offsetof(PmemdPlan, requested_bytes) },
    { "WastedBytes", 't', offsetof(PmemdPlan, wasted_bytes) },
    { "OverheadBytes", 't', offsetof(PmemdPlan, overhead_bytes) },
    { "HostMemoryBytes", 't', offsetof(PmemdPlan, host_memory_bytes) },
    { "JournalFrames", 't', offsetof(PmemdPlan, journal_frames) },
    { "RequiredFrames", 't', offsetof(PmemdPlan, required_frames) },
    { "Node", 'i', offsetof(PmemdPlan, node) },
    { "LocalNode", 'i', offsetof(PmemdPlan, local_node) },
    { "Raw", 's', offsetof(PmemdPlan, raw) },
    { "Pool", 's', offsetof(PmemdPlan, pool) },
    { "BadFrames", 't', offsetof(PmemdPlan, bad_frames) },
    { "Warning", 's', offsetof(PmemdPlan, warning) },
    END_FIELD,
};

static const Field status_fields[] = {
    { "Version", 's', offsetof(PmemdStatus, version) },
    { "Backend", 's', offsetof(PmemdStatus, backend) },
    { "State", 's', offsetof(PmemdStatus, state) },
    { "StateReason", 's', offsetof(PmemdStatus, state_reason) },
    { "RawRegions", 'u', offsetof(PmemdStatus, raw_regions) },
    { "MgmtRegions", 'u', offsetof(PmemdStatus, mgmt_regions) },
    { "DataRegions", 'u', offsetof(PmemdStatus, data_regions) },
    { "ForeignDevices", 'u', offsetof(PmemdStatus, foreign_devices) },
    { "RawBytes", 't', offsetof(PmemdStatus, raw_bytes) },
    { "MgmtBytes", 't', offsetof(PmemdStatus, mgmt_bytes) },
    { "DataBytes", 't', offsetof(PmemdStatus, data_bytes) },
    { "FreeBytes", 't', offsetof(PmemdStatus, free_bytes) },
    { "QueuedRequests", 't', offsetof(PmemdStatus, queued_requests) },
    { "MachineId", 's', offsetof(PmemdStatus, machine_id) },
    END_FIELD,
};

static const Field job_fields[] = {
    { "Kind", 's', offsetof(PmemdJob, kind) },
    { "Region", 's', offsetof(PmemdJob, region) },
    { "State", 's', offsetof(PmemdJob, state) },
    { "Progress", 'd', offsetof(PmemdJob, progress) },
    { "BytesDone", 't', offsetof(PmemdJob, bytes_done) },
    { "BytesTotal", 't', offsetof(PmemdJob, bytes_total) },
    { "Rate", 't', offsetof(PmemdJob, rate) },
    END_FIELD,
};

/* --- structs --- */

void pmemd_fields_free(const Field *fields, void *base) {
    if (!base)
        return;
    for (const Field *f = fields; f->name; f++)
        if (f->type == 's' || f->type == 'o')
            g_free(G_STRUCT_MEMBER(char *, base, f->offset));
    g_free(base);
}

void pmemd_raw_free(PmemdRaw *raw) {
    pmemd_fields_free(raw_fields, raw);
}

void pmemd_mgmt_free(PmemdMgmt *mgmt) {
    pmemd_fields_free(mgmt_fields, mgmt);
}

void pmemd_data_free(PmemdData *data) {
    pmemd_fields_free(data_fields, data);
}

void pmemd_foreign_free(PmemdForeign *foreign) {
    pmemd_fields_free(foreign_fields, foreign);
}

void pmemd_region_free(PmemdRegion *region) {
    if (region)
        g_free(region->path);
    pmemd_fields_free(region_fields, region);
}

void pmemd_plan_free(PmemdPlan *plan) {
    pmemd_fields_free(plan_fields, plan);
}

void pmemd_status_free(PmemdStatus *status) {
    pmemd_fields_free(status_fields, status);
}

void pmemd_job_free(PmemdJob *job) {
    pmemd_fields_free(job_fields, job);
}

void pmemd_location_free(PmemdLocation *location) {
    if (location) {
        g_free(location->kind);
        g_free(location->path);
    }
    pmemd_fields_free(location_fields, location);
}

/* --- kinds of replies --- */

/* How the answer of a kind is read. */
typedef struct {
    const Field *fields;
    size_t size;          /* of the struct */
    size_t frames_offset; /* of lists: of its PmemdRange, and of bytes, which is computed; 0: it has none */
    size_t bytes_offset;
    GDestroyNotify free_func;
} Layout;

#define LIST_LAYOUT(fields, type, func)                                                                                \
    { fields, sizeof(type), offsetof(type, frames), offsetof(type, bytes), (GDestroyNotify) (func) }
#define STRUCT_LAYOUT(fields, type, func)                                                                              \
    { fields, sizeof(type), 0, 0, (GDestroyNotify) (func) }

/* Without fields: a kind without struct, or with a reader of its own. */
static const Layout *layout_of(ReplyKind kind) {
    static const Layout layouts[] = {
        [REPLY_RAW_LIST] = LIST_LAYOUT(raw_fields, PmemdRaw, pmemd_raw_free),
        [REPLY_MGMT_LIST] = LIST_LAYOUT(mgmt_fields, PmemdMgmt, pmemd_mgmt_free),
        [REPLY_DATA_LIST] = LIST_LAYOUT(data_fields, PmemdData, pmemd_data_free),
        [REPLY_FOREIGN_LIST] = LIST_LAYOUT(foreign_fields, PmemdForeign, pmemd_foreign_free),
        [REPLY_LEASE_LIST] = STRUCT_LAYOUT(pmemd_lease_fields, PmemdLease, pmemd_lease_free),
        [REPLY_DIMM_LIST] = STRUCT_LAYOUT(pmemd_dimm_fields, PmemdDimm, pmemd_dimm_free),
        [REPLY_LOST_LIST] = LIST_LAYOUT(pmemd_lost_fields, PmemdLost, pmemd_lost_free),
        [REPLY_REGION] = STRUCT_LAYOUT(region_fields, PmemdRegion, pmemd_region_free),
        [REPLY_JOB] = STRUCT_LAYOUT(job_fields, PmemdJob, pmemd_job_free),
        [REPLY_STATUS] = STRUCT_LAYOUT(status_fields, PmemdStatus, pmemd_status_free),
        [REPLY_REPAIR] = STRUCT_LAYOUT(pmemd_repair_fields, PmemdRepair, pmemd_repair_free),
        [REPLY_PLAN] = STRUCT_LAYOUT(plan_fields, PmemdPlan, pmemd_plan_free),
        [REPLY_LIBVIRT_LIST] = STRUCT_LAYOUT(pmemd_libvirt_pool_fields, PmemdLibvirtPool, pmemd_libvirt_pool_free),
        [REPLY_METRICS] = { NULL },
        [REPLY_LOCATION] = { NULL, 0, 0, 0, (GDestroyNotify) pmemd_location_free },
        [REPLY_LOCATION_LIST] = { NULL },
        [REPLY_ATTACHMENT] = { NULL, 0, 0, 0, (GDestroyNotify) pmemd_attachment_free },
    };
    return &layouts[kind];
}

static bool set_unreadable(const char *what, int errnum, GError **error) {
    g_set_error(error, PMEMD_CLIENT_ERROR, PMEMD_CLIENT_ERROR_PROTOCOL,
                "pmemd's answer to %s cannot be read (%s): pmemd and this program are of different versions", what,
                g_strerror(errnum));
    return false;
}

/* --- lists --- */

static uint64_t range_bytes(PmemdRange r) {
    return r.start < r.end ? (r.end - r.start) * PMEMD_FRAME_SIZE : 0;
}

/* One field of a struct on the wire; sd-bus' result. */
static int read_field(sd_bus_message *m, const Field *field, void *base) {
    void *at = G_STRUCT_MEMBER_P(base, field->offset);
    const char *text;
    int flag;
    int r;

    switch (field->type) {
    case 's':
    case 'o':
        r = sd_bus_message_read_basic(m, field->type, &text);
        if (r > 0)
            *(char **) at = g_strdup(text);
        return r;
    case 'b':
        r = sd_bus_message_read_basic(m, 'b', &flag);
        if (r > 0)
            *(bool *) at = flag;
        return r;
    default:
        return sd_bus_message_read_basic(m, field->type, at);
    }
}

/* Appends the structs of one page; 0 or negative errno. */
static int read_entries(sd_bus_message *message, const Layout *layout, GPtrArray *entries) {
    if (!layout->fields)
        return -EINVAL; /* no list is read by it */
    GString *signature = g_string_new("(");
    for (const Field *f = layout->fields; f->name; f++)
        g_string_append_c(signature, f->type);
    g_string_append_c(signature, ')');
    g_autofree char *types = g_string_free(signature, FALSE);
    g_autofree char *contents = g_strndup(types + 1, strlen(types) - 2);

    int r = sd_bus_message_enter_container(message, 'a', types);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    while ((r = sd_bus_message_enter_container(message, 'r', contents)) > 0) {
        void *entry = g_malloc0(layout->size);
        g_ptr_array_add(entries, entry);
        for (const Field *f = layout->fields; f->name; f++) {
            r = read_field(message, f, entry);
            if (r <= 0)
                return r < 0 ? r : -ENODATA;
        }
        if (layout->bytes_offset > 0)
            G_STRUCT_MEMBER(uint64_t, entry, layout->bytes_offset) =
                range_bytes(G_STRUCT_MEMBER(PmemdRange, entry, layout->frames_offset));
        r = sd_bus_message_exit_container(message);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* 0 or negative errno. */
static int read_page(PmemdReply *reply, sd_bus_message *message, const Layout *layout) {
    const char *next;

    g_assert(layout->fields); /* as of each list */
    if (!reply->result)
        reply->result = g_ptr_array_new_with_free_func(layout->free_func);
    int r = read_entries(message, layout, reply->result);
    if (r >= 0)
        r = sd_bus_message_read(message, "s", &next);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    /* A cursor that stands still would have us ask for ever. */
    if (next[0] != '\0' && strcmp(next, reply->after) == 0)
        return -ELOOP;
    g_free(reply->after);
    reply->after = next[0] != '\0' ? g_strdup(next) : NULL;
    return 0;
}

void *pmemd_reply_take_array(PmemdReply *reply, size_t *ret_n) {
    g_autoptr(GPtrArray) entries = g_steal_pointer(&reply->result);

    if (ret_n)
        *ret_n = entries->len;
    /* The NULL is an entry to GLib, whose free functions take it. */
    g_ptr_array_add(entries, NULL);
    return g_ptr_array_steal(entries, NULL);
}

/* An array that ends with NULL. */
void pmemd_array_free(void **array, GDestroyNotify free_func) {
    for (size_t i = 0; array && array[i]; i++)
        free_func(array[i]);
    g_free(array);
}

void pmemd_raw_list_free(PmemdRaw **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_raw_free);
}

void pmemd_mgmt_list_free(PmemdMgmt **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_mgmt_free);
}

void pmemd_data_list_free(PmemdData **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_data_free);
}

void pmemd_foreign_list_free(PmemdForeign **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_foreign_free);
}

/* --- metrics --- */

void pmemd_metric_free(PmemdMetric *metric) {
    if (!metric)
        return;
    g_free(metric->name);
    g_strfreev(metric->labels);
    g_free(metric);
}

void pmemd_metric_list_free(PmemdMetric **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_metric_free);
}

/* a{ss}; sd-bus' result. */
static int read_labels(sd_bus_message *message, PmemdMetric *metric) {
    g_autoptr(GPtrArray) labels = g_ptr_array_new_with_free_func(g_free);
    const char *name, *value;

    int r = sd_bus_message_enter_container(message, 'a', "{ss}");
    while (r >= 0 && (r = sd_bus_message_read(message, "{ss}", &name, &value)) > 0) {
        g_ptr_array_add(labels, g_strdup(name));
        g_ptr_array_add(labels, g_strdup(value));
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    g_ptr_array_add(labels, NULL);
    metric->labels = (char **) g_ptr_array_steal(labels, NULL);
    return r;
}

/* 0 or negative errno. */
static int read_metrics(PmemdReply *reply, sd_bus_message *message) {
    const char *name;

    GPtrArray *metrics = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_metric_free);
    reply->result = metrics;
    int r = sd_bus_message_enter_container(message, 'a', "(sa{ss}d)");
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    while ((r = sd_bus_message_enter_container(message, 'r', "sa{ss}d")) > 0) {
        PmemdMetric *metric = g_new0(PmemdMetric, 1);
        g_ptr_array_add(metrics, metric);
        r = sd_bus_message_read(message, "s", &name);
        if (r > 0) {
            metric->name = g_strdup(name);
            r = read_labels(message, metric);
        }
        if (r >= 0)
            r = sd_bus_message_read(message, "d", &metric->value);
        if (r >= 0)
            r = sd_bus_message_exit_container(message);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* --- properties --- */

/* Sets a field; false: the value has another type. */
static bool set_field(const Field *field, const PmemdValue *value, void *base) {
    void *at = G_STRUCT_MEMBER_P(base, field->offset);

    if (value->type != (field->type == 'u' ? 't' : field->type))
        return false;
    switch (field->type) {
    case 's':
        *(char **) at = g_strdup(value->s);
        break;
    case 't':
        *(uint64_t *) at = value->t;
        break;
    case 'u':
        *(uint32_t *) at = (uint32_t) value->t;
        break;
    case 'i':
        *(int32_t *) at = (int32_t) value->i;
        break;
    case 'b':
        *(bool *) at = value->b;
        break;
    default:
        *(double *) at = value->d;
    }
    return true;
}

/* The next a{sv} into the struct. What is absent stays 0 or becomes "": members may be added to the interface, and a
 * field that only one kind has may be left out. */
bool pmemd_fields_read(sd_bus_message *reply, const char *what, const Field *fields, void *base, GError **error) {
    int r = 0;

    g_autoptr(GPtrArray) values = pmemd_values_read(reply, &r);
    if (!values)
        return set_unreadable(what, -r, error);
    for (const Field *f = fields; f && f->name; f++) {
        const PmemdValue *value = pmemd_values_find((const PmemdValue *const *) values->pdata, values->len, f->name);
        if (value && !set_field(f, value, base))
            return set_unreadable(f->name, EPROTOTYPE, error);
        if (!value && f->type == 's')
            G_STRUCT_MEMBER(char *, base, f->offset) = g_strdup("");
    }
    return true;
}

/* --- locations --- */

void pmemd_location_list_free(PmemdLocation **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_location_free);
}

/* One (sota{sv}), the answer about frame; NULL: negative errno in ret_errno. */
static PmemdLocation *read_location(sd_bus_message *message, uint64_t frame, int *ret_errno) {
    PmemdLocation *location = g_new0(PmemdLocation, 1);
    const char *kind, *path;

    location->frame = frame;
    location->node = -1;
    location->owner_uid = location->lease_uid = UINT32_MAX;
    location->guest_frame = PMEMD_FRAME_UNKNOWN;
    int r = sd_bus_message_enter_container(message, 'r', "sota{sv}");
    if (r > 0)
        r = sd_bus_message_read(message, "sot", &kind, &path, &location->offset);
    if (r > 0) {
        location->kind = g_strdup(kind);
        location->path = g_strdup(strcmp(path, "/") == 0 ? "" : path);
        r = pmemd_fields_read(message, "Locate", location_fields, location, NULL) ? 1 : -EPROTOTYPE;
    }
    if (r > 0)
        r = sd_bus_message_exit_container(message);
    if (r > 0)
        return location;
    pmemd_location_free(location);
    *ret_errno = r < 0 ? r : -ENODATA;
    return NULL;
}

/* 0 or negative errno. */
static int read_one_location(PmemdReply *reply, sd_bus_message *message) {
    int r = 0;

    reply->result = read_location(message, reply->frames[0], &r);
    return r;
}

/* An answer a frame, in their order. 0 or negative errno. */
static int read_locations(PmemdReply *reply, sd_bus_message *message) {
    GPtrArray *locations = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_location_free);

    reply->result = locations;
    int r = sd_bus_message_enter_container(message, 'a', "(sota{sv})");
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    for (size_t i = 0; i < reply->n_frames; i++) {
        PmemdLocation *location = read_location(message, reply->frames[i], &r);
        if (!location)
            return r;
        g_ptr_array_add(locations, location);
    }
    r = sd_bus_message_at_end(message, false);
    return r > 0 ? sd_bus_message_exit_container(message) : r < 0 ? r : -E2BIG;
}

/* An a{sv} each. 0 or negative errno; what does not fit sets error and gives 0. */
static int read_dictionaries(PmemdReply *reply, sd_bus_message *message, const Layout *layout, GError **error) {
    GPtrArray *entries = g_ptr_array_new_with_free_func(layout->free_func);
    int r;

    reply->result = entries;
    r = sd_bus_message_enter_container(message, 'a', "a{sv}");
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    while ((r = sd_bus_message_at_end(message, false)) == 0) {
        g_ptr_array_add(entries, g_malloc0(layout->size));
        if (!pmemd_fields_read(message, reply->member, layout->fields, entries->pdata[entries->len - 1], error))
            return 0;
    }
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* --- replies --- */

/* Where a region came from is no property of it. */
static bool read_properties(PmemdReply *reply, sd_bus_message *message, const Layout *layout, GError **error) {
    reply->result = g_malloc0(layout->size);
    if (reply->kind == REPLY_REGION)
        ((PmemdRegion *) reply->result)->path = g_strdup(reply->path);
    return pmemd_fields_read(message, reply->member, layout->fields, reply->result, error);
}

bool pmemd_reply_read(PmemdReply *reply, sd_bus_message *message, GError **error) {
    const Layout *layout = layout_of(reply->kind);
    const char *path;
    int r = 0;

    if (reply->kind == REPLY_DIMM_LIST || reply->kind == REPLY_LOST_LIST) {
        reply->result = g_ptr_array_new_with_free_func(layout->free_func);
        r = read_entries(message, layout, reply->result);
    } else if (reply->kind == REPLY_LIBVIRT_LIST) {
        GError *cause = NULL;

        r = read_dictionaries(reply, message, layout, &cause);
        if (cause) {
            g_propagate_error(error, cause);
            return false;
        }
    } else if (pmemd_reply_is_list(reply))
        r = read_page(reply, message, layout);
    else if (reply->kind == REPLY_METRICS)
        r = read_metrics(reply, message);
    else if (reply->kind == REPLY_LOCATION)
        r = read_one_location(reply, message);
    else if (reply->kind == REPLY_LOCATION_LIST)
        r = read_locations(reply, message);
    else if (reply->kind == REPLY_ATTACHMENT)
        r = pmemd_attachment_read(reply, message);
    else if (layout->fields)
        return read_properties(reply, message, layout, error);
    else if (reply->kind == REPLY_COUNT) {
        r = sd_bus_message_read(message, "u", &reply->count);
        r = r == 0 ? -ENODATA : r;
    } else if (reply->kind == REPLY_PATH) {
        r = sd_bus_message_read(message, "o", &path);
        r = r == 0 ? -ENODATA : r;
        if (r > 0) {
            g_free(reply->path);
            reply->path = g_strdup(path);
        }
    }
    return r >= 0 || set_unreadable(reply->member, -r, error);
}

void pmemd_reply_free_result(PmemdReply *reply) {
    void *result = g_steal_pointer(&reply->result);
    GDestroyNotify free_func =
        pmemd_reply_is_array(reply) ? (GDestroyNotify) g_ptr_array_unref : layout_of(reply->kind)->free_func;

    if (!result)
        return;
    g_assert(free_func); /* only kinds that have one have a result */
    free_func(result);
}
