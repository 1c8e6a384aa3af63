/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Results: one table of fields a struct, by which lists and properties are read and the structs are freed.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <string.h>

#include "client/libpmemd-private.h"
#include "proto/names.h"

/* Where a value goes. type: 's' char *, 't' uint64_t, 'u' uint32_t, 'i' int32_t, 'b' bool, 'd' double. Lists have their
 * fields in this order on the wire, properties by name. */
typedef struct {
    const char *name;
    char type;
    size_t offset;
} Field;

#define END_FIELD                                                                                                      \
    { NULL, 0, 0 }

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

static void fields_free(const Field *fields, void *base) {
    if (!base)
        return;
    for (const Field *f = fields; f->name; f++)
        if (f->type == 's')
            g_free(G_STRUCT_MEMBER(char *, base, f->offset));
    g_free(base);
}

void pmemd_raw_free(PmemdRaw *raw) {
    fields_free(raw_fields, raw);
}

void pmemd_mgmt_free(PmemdMgmt *mgmt) {
    fields_free(mgmt_fields, mgmt);
}

void pmemd_data_free(PmemdData *data) {
    fields_free(data_fields, data);
}

void pmemd_foreign_free(PmemdForeign *foreign) {
    fields_free(foreign_fields, foreign);
}

void pmemd_region_free(PmemdRegion *region) {
    if (region)
        g_free(region->path);
    fields_free(region_fields, region);
}

void pmemd_plan_free(PmemdPlan *plan) {
    fields_free(plan_fields, plan);
}

void pmemd_status_free(PmemdStatus *status) {
    fields_free(status_fields, status);
}

void pmemd_job_free(PmemdJob *job) {
    fields_free(job_fields, job);
}

static uint64_t range_bytes(FrameRange r) {
    return r.start < r.end ? frame_range_frames(r) * PMEMD_FRAME_SIZE : 0;
}

/* --- lists --- */

/* One field of a struct on the wire; sd-bus' result. */
static int read_field(sd_bus_message *m, const Field *field, void *base) {
    void *at = G_STRUCT_MEMBER_P(base, field->offset);
    const char *text;
    int flag;
    int r;

    switch (field->type) {
    case 's':
        r = sd_bus_message_read_basic(m, 's', &text);
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

typedef struct {
    const char *member;
    const Field *fields;
    size_t size;          /* of the struct */
    size_t frames_offset; /* of its FrameRange, and of bytes, which is computed */
    size_t bytes_offset;
    GDestroyNotify free_func;
} List;

typedef struct {
    const char *after;
} PageCall;

static int fill_page(sd_bus_message *m, const void *arguments) {
    const PageCall *call = arguments;
    return sd_bus_message_append(m, "su", call->after, 0);
}

/* Appends the structs of one page; 0 or negative errno. */
static int read_page(sd_bus_message *reply, const List *list, GPtrArray *entries, char **ret_next) {
    GString *signature = g_string_new("(");
    for (const Field *f = list->fields; f->name; f++)
        g_string_append_c(signature, f->type);
    g_string_append_c(signature, ')');
    g_autofree char *types = g_string_free(signature, FALSE);
    g_autofree char *contents = g_strndup(types + 1, strlen(types) - 2);

    int r = sd_bus_message_enter_container(reply, 'a', types);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    while ((r = sd_bus_message_enter_container(reply, 'r', contents)) > 0) {
        void *entry = g_malloc0(list->size);
        g_ptr_array_add(entries, entry);
        for (const Field *f = list->fields; f->name; f++) {
            r = read_field(reply, f, entry);
            if (r <= 0)
                return r < 0 ? r : -ENODATA;
        }
        G_STRUCT_MEMBER(uint64_t, entry, list->bytes_offset) =
            range_bytes(G_STRUCT_MEMBER(FrameRange, entry, list->frames_offset));
        r = sd_bus_message_exit_container(reply);
        if (r < 0)
            return r;
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(reply);

    const char *next;
    if (r >= 0)
        r = sd_bus_message_read(reply, "s", &next);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    *ret_next = g_strdup(next);
    return 0;
}

static GPtrArray *read_list(PmemdClient *client, const List *list, GError **error) {
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(list->free_func);
    g_autofree char *after = g_strdup("");

    do {
        PageCall call = { after };
        g_autofree char *next = NULL;
        g_autoptr(sd_bus_message) reply =
            pmemd_client_call(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, list->member, fill_page, &call, error);
        if (!reply)
            return NULL;
        int r = read_page(reply, list, entries, &next);
        /* A cursor that stands still would have us ask for ever. */
        if (r >= 0 && next[0] != '\0' && strcmp(next, after) == 0)
            r = -ELOOP;
        if (r < 0) {
            pmemd_client_set_unreadable(list->member, -r, error);
            return NULL;
        }
        g_free(after);
        after = g_steal_pointer(&next);
    } while (after[0] != '\0');
    return g_steal_pointer(&entries);
}

GPtrArray *pmemd_client_list_raw(PmemdClient *client, GError **error) {
    static const List list = { "ListRaw",
                               raw_fields,
                               sizeof(PmemdRaw),
                               offsetof(PmemdRaw, frames),
                               offsetof(PmemdRaw, bytes),
                               (GDestroyNotify) pmemd_raw_free };
    return read_list(client, &list, error);
}

GPtrArray *pmemd_client_list_mgmt(PmemdClient *client, GError **error) {
    static const List list = { "ListMgmt",
                               mgmt_fields,
                               sizeof(PmemdMgmt),
                               offsetof(PmemdMgmt, frames),
                               offsetof(PmemdMgmt, bytes),
                               (GDestroyNotify) pmemd_mgmt_free };
    return read_list(client, &list, error);
}

GPtrArray *pmemd_client_list_data(PmemdClient *client, GError **error) {
    static const List list = { "ListData",
                               data_fields,
                               sizeof(PmemdData),
                               offsetof(PmemdData, frames),
                               offsetof(PmemdData, bytes),
                               (GDestroyNotify) pmemd_data_free };
    return read_list(client, &list, error);
}

GPtrArray *pmemd_client_list_foreign(PmemdClient *client, GError **error) {
    static const List list = { "ListForeign",
                               foreign_fields,
                               sizeof(PmemdForeign),
                               offsetof(PmemdForeign, frames),
                               offsetof(PmemdForeign, bytes),
                               (GDestroyNotify) pmemd_foreign_free };
    return read_list(client, &list, error);
}

/* --- properties --- */

void pmemd_value_free(PmemdValue *value) {
    if (!value)
        return;
    if (value->type == 's')
        g_free(value->s);
    g_free(value->name);
    g_free(value);
}

PmemdValue *pmemd_value_new_text(const char *name, const char *text) {
    PmemdValue *value = g_new0(PmemdValue, 1);
    value->name = g_strdup(name);
    value->type = 's';
    value->s = g_strdup(text);
    return value;
}

/* Reads a basic value of the type, widened; 0 when the type is none of those. */
static int read_value(sd_bus_message *m, char type, PmemdValue *value) {
    union {
        const char *s;
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
    } wire;

    if (!strchr("sogybnqiuxtd", type))
        return 0;
    int r = sd_bus_message_read_basic(m, type, &wire);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    value->type = type;
    if (strchr("sog", type))
        value->type = 's';
    else if (strchr("yqut", type))
        value->type = 't';
    else if (strchr("nix", type))
        value->type = 'i';
    switch (type) {
    case 'y':
        value->t = wire.y;
        break;
    case 'q':
        value->t = wire.q;
        break;
    case 'u':
        value->t = wire.u;
        break;
    case 't':
        value->t = wire.t;
        break;
    case 'n':
        value->i = wire.n;
        break;
    case 'i':
        value->i = wire.i;
        break;
    case 'x':
        value->i = wire.x;
        break;
    case 'b':
        value->b = wire.b;
        break;
    case 'd':
        value->d = wire.d;
        break;
    default:
        value->s = g_strdup(wire.s);
    }
    return 1;
}

/* One {sv}; NULL in ret_value when its type is not basic. */
static int read_entry(sd_bus_message *m, PmemdValue **ret_value) {
    const char *name, *contents;
    PmemdValue *value = NULL;

    int r = sd_bus_message_read_basic(m, 's', &name);
    if (r > 0)
        r = sd_bus_message_peek_type(m, NULL, &contents);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;

    if (contents && strlen(contents) == 1 && strchr("sogybnqiuxtd", contents[0])) {
        value = g_new0(PmemdValue, 1);
        value->name = g_strdup(name);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r > 0)
            r = read_value(m, contents[0], value);
        if (r > 0)
            r = sd_bus_message_exit_container(m);
    } else
        r = sd_bus_message_skip(m, "v");
    if (r < 0) {
        pmemd_value_free(value);
        return r;
    }
    *ret_value = value;
    return 0;
}

GPtrArray *pmemd_values_read(sd_bus_message *message, int *ret_errno) {
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_value_free);

    int r = sd_bus_message_enter_container(message, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        PmemdValue *value = NULL;
        r = read_entry(message, &value);
        if (r >= 0 && value)
            g_ptr_array_add(values, value);
        if (r >= 0)
            r = sd_bus_message_exit_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0) {
        *ret_errno = r;
        return NULL;
    }
    return g_steal_pointer(&values);
}

static const PmemdValue *find_value(const GPtrArray *values, const char *name) {
    for (guint i = 0; i < values->len; i++) {
        const PmemdValue *value = values->pdata[i];
        if (strcmp(value->name, name) == 0)
            return value;
    }
    return NULL;
}

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
static bool read_struct(sd_bus_message *reply, const char *what, const Field *fields, void *base, GError **error) {
    int r = 0;

    g_autoptr(GPtrArray) values = pmemd_values_read(reply, &r);
    if (!values)
        return pmemd_client_set_unreadable(what, -r, error);
    for (const Field *f = fields; f->name; f++) {
        const PmemdValue *value = find_value(values, f->name);
        if (value && !set_field(f, value, base))
            return pmemd_client_set_unreadable(f->name, EPROTOTYPE, error);
        if (!value && f->type == 's')
            G_STRUCT_MEMBER(char *, base, f->offset) = g_strdup("");
    }
    return true;
}

static int fill_get_all(sd_bus_message *m, const void *interface) {
    return sd_bus_message_append(m, "s", interface);
}

static bool get_all(PmemdClient *client, const char *path, const char *interface, const Field *fields, void *base,
                    GError **error) {
    g_autoptr(sd_bus_message) reply =
        pmemd_client_call(client, path, "org.freedesktop.DBus.Properties", "GetAll", fill_get_all, interface, error);
    return reply && read_struct(reply, interface, fields, base, error);
}

PmemdRegion *pmemd_client_region(PmemdClient *client, const char *path, GError **error) {
    g_autoptr(PmemdRegion) region = g_new0(PmemdRegion, 1);

    region->path = g_strdup(path);
    return get_all(client, path, PMEMD_IFACE_REGION, region_fields, region, error) ? g_steal_pointer(&region) : NULL;
}

PmemdJob *pmemd_client_job(PmemdClient *client, const char *path, GError **error) {
    g_autoptr(PmemdJob) job = g_new0(PmemdJob, 1);
    return get_all(client, path, PMEMD_IFACE_JOB, job_fields, job, error) ? g_steal_pointer(&job) : NULL;
}

PmemdStatus *pmemd_client_status(PmemdClient *client, GError **error) {
    g_autoptr(PmemdStatus) status = g_new0(PmemdStatus, 1);
    return get_all(client, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, status_fields, status, error)
               ? g_steal_pointer(&status)
               : NULL;
}

PmemdPlan *pmemd_plan_read(sd_bus_message *reply, GError **error) {
    g_autoptr(PmemdPlan) plan = g_new0(PmemdPlan, 1);
    return read_struct(reply, "Plan", plan_fields, plan, error) ? g_steal_pointer(&plan) : NULL;
}
