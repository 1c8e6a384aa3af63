/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/pmemctl-print.h"

#include <string.h>

#include "client/parse.h"
#include "proto/one-line.h"

typedef enum {
    COLUMN_TEXT,  /* char * */
    COLUMN_START, /* PmemdRange, its first frame; [0, 0) is hidden from the caller, or does not apply */
    COLUMN_END,   /* PmemdRange, its end */
    COLUMN_BYTES, /* uint64_t */
    COLUMN_SIZE,  /* uint64_t; 0 is hidden from the caller, as no region has 0 bytes */
    COLUMN_COUNT, /* uint64_t */
    COLUMN_HEX,   /* uint64_t */
    COLUMN_COUNT32,
    COLUMN_UID,  /* uint32_t, UINT32_MAX: hidden from the caller */
    COLUMN_NODE, /* int32_t, -1: unknown */
    COLUMN_BOOL,
    COLUMN_TIME,        /* uint64_t, microseconds since the epoch */
    COLUMN_GUEST_FRAME, /* uint64_t, PMEMD_FRAME_UNKNOWN: nobody has told */
} ColumnType;

struct Column {
    const char *key;  /* JSON */
    const char *head; /* table; record */
    ColumnType type;
    size_t offset;
    bool brief; /* shown in tables, too */
};

#define FRAMES(struct_type, member, start_key, end_key, start_head, end_head, in_table)                                \
    { start_key, start_head, COLUMN_START, offsetof(struct_type, member), in_table }, {                                \
        end_key, end_head, COLUMN_END, offsetof(struct_type, member), in_table                                         \
    }

const Column *columns_raw(void) {
    static const Column columns[] = {
        { "id", "ID", COLUMN_TEXT, offsetof(PmemdRaw, id), true },
        FRAMES(PmemdRaw, frames, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(PmemdRaw, bytes), true },
        { "free_bytes", "FREE", COLUMN_BYTES, offsetof(PmemdRaw, free_bytes), true },
        { "largest_gap", "LARGEST GAP", COLUMN_BYTES, offsetof(PmemdRaw, largest_gap), true },
        { "node", "NODE", COLUMN_NODE, offsetof(PmemdRaw, node), true },
        { "local_node", "LOCAL NODE", COLUMN_NODE, offsetof(PmemdRaw, local_node), false },
        { "step", "STEP", COLUMN_BYTES, offsetof(PmemdRaw, step), true },
        { "lead", "LEAD", COLUMN_BYTES, offsetof(PmemdRaw, lead), true },
        { "minimum", "MINIMUM", COLUMN_BYTES, offsetof(PmemdRaw, minimum), false },
        { "kind", "KIND", COLUMN_TEXT, offsetof(PmemdRaw, kind), true },
        { "persistence", "PERSISTENCE", COLUMN_TEXT, offsetof(PmemdRaw, persistence), false },
        { "state", "STATE", COLUMN_TEXT, offsetof(PmemdRaw, state), true },
        { NULL },
    };
    return columns;
}

const Column *columns_mgmt(void) {
    static const Column columns[] = {
        { "uuid", "UUID", COLUMN_TEXT, offsetof(PmemdMgmt, uuid), true },
        { "name", "NAME", COLUMN_TEXT, offsetof(PmemdMgmt, name), true },
        FRAMES(PmemdMgmt, frames, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(PmemdMgmt, bytes), true },
        { "used_frames", "USED FRAMES", COLUMN_COUNT, offsetof(PmemdMgmt, used_frames), false },
        { "free_frames", "FREE FRAMES", COLUMN_COUNT, offsetof(PmemdMgmt, free_frames), true },
        { "node", "NODE", COLUMN_NODE, offsetof(PmemdMgmt, node), true },
        { "local_node", "LOCAL NODE", COLUMN_NODE, offsetof(PmemdMgmt, local_node), false },
        { "data_regions", "DATA", COLUMN_COUNT32, offsetof(PmemdMgmt, data_regions), true },
        { "profile", "PROFILE", COLUMN_TEXT, offsetof(PmemdMgmt, profile), false },
        { "state", "STATE", COLUMN_TEXT, offsetof(PmemdMgmt, state), true },
        { "owner_uid", "OWNER UID", COLUMN_UID, offsetof(PmemdMgmt, owner_uid), false },
        { "owner", "OWNER", COLUMN_TEXT, offsetof(PmemdMgmt, owner), true },
        { "device_path", "DEVICE", COLUMN_TEXT, offsetof(PmemdMgmt, device_path), false },
        { NULL },
    };
    return columns;
}

const Column *columns_data(void) {
    static const Column columns[] = {
        { "uuid", "UUID", COLUMN_TEXT, offsetof(DataRow, shown.uuid), true },
        { "name", "NAME", COLUMN_TEXT, offsetof(DataRow, shown.name), true },
        FRAMES(DataRow, shown.frames, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(DataRow, shown.bytes), true },
        { "pool", "POOL", COLUMN_TEXT, offsetof(DataRow, shown.pool), false },
        FRAMES(DataRow, shown.extent, "extent_start", "extent_end", "MGMT START", "MGMT END", true),
        { "node", "NODE", COLUMN_NODE, offsetof(DataRow, shown.node), true },
        { "local_node", "LOCAL NODE", COLUMN_NODE, offsetof(DataRow, shown.local_node), false },
        { "state", "STATE", COLUMN_TEXT, offsetof(DataRow, shown.state), true },
        { "dirty", "DIRTY", COLUMN_BOOL, offsetof(DataRow, shown.dirty), false },
        { "owner_uid", "OWNER UID", COLUMN_UID, offsetof(DataRow, shown.owner_uid), false },
        { "owner", "OWNER", COLUMN_TEXT, offsetof(DataRow, shown.owner), true },
        { "lease_owner", "LENT TO", COLUMN_TEXT, offsetof(DataRow, lease_owner), false },
        { "device_path", "DEVICE", COLUMN_TEXT, offsetof(DataRow, shown.device_path), false },
        { NULL },
    };
    return columns;
}

const Column *columns_foreign(void) {
    static const Column columns[] = {
        { "name", "NAME", COLUMN_TEXT, offsetof(PmemdForeign, name), true },
        FRAMES(PmemdForeign, frames, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(PmemdForeign, bytes), true },
        { "mode", "MODE", COLUMN_TEXT, offsetof(PmemdForeign, mode), true },
        { "kind", "KIND", COLUMN_TEXT, offsetof(PmemdForeign, kind), true },
        { "raw", "RAW REGION", COLUMN_TEXT, offsetof(PmemdForeign, raw), true },
        { NULL },
    };
    return columns;
}

#define SHOWN(member) offsetof(LocationRow, shown.member)

const Column *columns_location(void) {
    static const Column columns[] = {
        { "address", "ADDRESS", COLUMN_HEX, offsetof(LocationRow, address), true },
        { "frame", "FRAME", COLUMN_HEX, SHOWN(frame), false },
        { "kind", "KIND", COLUMN_TEXT, SHOWN(kind), true },
        { "part", "PART", COLUMN_TEXT, SHOWN(part), true },
        { "offset", "OFFSET", COLUMN_HEX, SHOWN(offset), true },
        { "uuid", "UUID", COLUMN_TEXT, SHOWN(uuid), true },
        { "name", "NAME", COLUMN_TEXT, SHOWN(name), true },
        { "state", "STATE", COLUMN_TEXT, SHOWN(state), true },
        { "owner_uid", "OWNER UID", COLUMN_UID, SHOWN(owner_uid), false },
        { "owner", "OWNER", COLUMN_TEXT, SHOWN(owner), true },
        { "lease_owner", "LENT TO", COLUMN_TEXT, SHOWN(lease_owner), true },
        { "lease_uid", "LENT BY UID", COLUMN_UID, SHOWN(lease_uid), false },
        { "lease_user", "LENT BY", COLUMN_TEXT, SHOWN(lease_user), false },
        { "guest_frame", "GUEST FRAME", COLUMN_GUEST_FRAME, SHOWN(guest_frame), true },
        { "path", "OBJECT", COLUMN_TEXT, SHOWN(path), false },
        { "pool", "POOL", COLUMN_TEXT, SHOWN(pool), false },
        { "extent_of", "EXTENT OF", COLUMN_TEXT, SHOWN(extent_of), false },
        { "device", "DEVICE", COLUMN_TEXT, SHOWN(device), true },
        { "mode", "MODE", COLUMN_TEXT, SHOWN(mode), false },
        { "foreign_kind", "FOREIGN KIND", COLUMN_TEXT, SHOWN(foreign_kind), false },
        { "raw", "RAW REGION", COLUMN_TEXT, SHOWN(raw), true },
        { "node", "NODE", COLUMN_NODE, SHOWN(node), true },
        { NULL },
    };
    return columns;
}

/* What is not known is a number that nobody would take for one. */
const Column *columns_dimm(void) {
    static const Column columns[] = {
        { "raw", "RAW REGION", COLUMN_TEXT, offsetof(PmemdDimm, raw), true },
        { "id", "ID", COLUMN_TEXT, offsetof(PmemdDimm, id), true },
        { "name", "NAME", COLUMN_TEXT, offsetof(PmemdDimm, name), true },
        { "health", "HEALTH", COLUMN_TEXT, offsetof(PmemdDimm, health), true },
        { "flags", "FLAGS", COLUMN_TEXT, offsetof(PmemdDimm, flags), true },
        { "spares", "SPARES %", COLUMN_NODE, offsetof(PmemdDimm, spares), true },
        { "life_used", "LIFE USED %", COLUMN_NODE, offsetof(PmemdDimm, life_used), true },
        { "temperature", "CELSIUS", COLUMN_NODE, offsetof(PmemdDimm, temperature), true },
        { NULL },
    };
    return columns;
}

const Column *columns_lost(void) {
    static const Column columns[] = {
        { "path", "OBJECT", COLUMN_TEXT, offsetof(PmemdLost, region), true },
        FRAMES(PmemdLost, frames, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(PmemdLost, bytes), true },
        { "offset", "OFFSET", COLUMN_HEX, offsetof(PmemdLost, offset), true },
        { NULL },
    };
    return columns;
}

const Column *columns_restore(void) {
    static const Column columns[] = {
        { "kind", "KIND", COLUMN_TEXT, offsetof(RestoreItem, kind), true },
        { "pool", "POOL", COLUMN_TEXT, offsetof(RestoreItem, pool_name), true },
        { "name", "NAME", COLUMN_TEXT, offsetof(RestoreItem, name), true },
        { "uuid", "UUID", COLUMN_TEXT, offsetof(RestoreItem, uuid), false },
        FRAMES(RestoreItem, was, "start_frame", "end_frame", "START", "END", true),
        { "bytes", "SIZE", COLUMN_SIZE, offsetof(RestoreItem, bytes), true },
        { "result", "RESULT", COLUMN_TEXT, offsetof(RestoreItem, verdict), true },
        FRAMES(RestoreItem, now, "now_start_frame", "now_end_frame", "NOW", "NOW END", true),
        { "now_uuid", "NOW UUID", COLUMN_TEXT, offsetof(RestoreItem, now_uuid), false },
        { "owner", "OWNER", COLUMN_TEXT, offsetof(RestoreItem, owner), true },
        { "note", "NOTE", COLUMN_TEXT, offsetof(RestoreItem, note), true },
        { NULL },
    };
    return columns;
}

const Column *columns_restore_raw(void) {
    static const Column columns[] = {
        { "id", "WAS", COLUMN_TEXT, offsetof(RestoreRawRow, was_id), true },
        FRAMES(RestoreRawRow, was, "start_frame", "end_frame", "START", "END", true),
        { "now_id", "IS", COLUMN_TEXT, offsetof(RestoreRawRow, id), true },
        FRAMES(RestoreRawRow, now, "now_start_frame", "now_end_frame", "NOW", "NOW END", true),
        { "by", "TOLD BY", COLUMN_TEXT, offsetof(RestoreRawRow, by), true },
        { NULL },
    };
    return columns;
}

#define REGION_HEAD                                                                                                    \
    { "path", "Object", COLUMN_TEXT, offsetof(PmemdRegion, path), true },                                              \
        { "kind", "Kind", COLUMN_TEXT, offsetof(PmemdRegion, kind), true },                                            \
        { "uuid", "Uuid", COLUMN_TEXT, offsetof(PmemdRegion, uuid), true },                                            \
        { "name", "Name", COLUMN_TEXT, offsetof(PmemdRegion, name), true },                                            \
        FRAMES(PmemdRegion, frames, "start_frame", "end_frame", "Start frame", "End frame", true),                     \
        { "bytes", "Size", COLUMN_SIZE, offsetof(PmemdRegion, bytes), true }, {                                        \
        "pool", "Pool", COLUMN_TEXT, offsetof(PmemdRegion, pool), true                                                 \
    }

#define REGION_TAIL                                                                                                    \
    { "node", "Node", COLUMN_NODE, offsetof(PmemdRegion, node), true },                                                \
        { "local_node", "Local node", COLUMN_NODE, offsetof(PmemdRegion, local_node), true },                          \
        { "device_path", "Device", COLUMN_TEXT, offsetof(PmemdRegion, device_path), true },                            \
        { "state", "State", COLUMN_TEXT, offsetof(PmemdRegion, state), true },                                         \
        { "state_reason", "Reason", COLUMN_TEXT, offsetof(PmemdRegion, state_reason), true },                          \
        { "bad_frames", "Bad frames", COLUMN_COUNT, offsetof(PmemdRegion, bad_frames), true },                         \
        { "health", "Health of DIMMs", COLUMN_TEXT, offsetof(PmemdRegion, health), true },                             \
        { "owner_uid", "Owner uid", COLUMN_UID, offsetof(PmemdRegion, owner_uid), true },                              \
        { "owner", "Owner", COLUMN_TEXT, offsetof(PmemdRegion, owner), true }, {                                       \
        "created_usec", "Created", COLUMN_TIME, offsetof(PmemdRegion, created_usec), true                              \
    }

const Column *columns_region(const PmemdRegion *region) {
    static const Column mgmt[] = {
        REGION_HEAD,
        { "used_frames", "Used frames", COLUMN_COUNT, offsetof(PmemdRegion, used_frames), true },
        { "free_frames", "Free frames", COLUMN_COUNT, offsetof(PmemdRegion, free_frames), true },
        { "profile", "Profile", COLUMN_TEXT, offsetof(PmemdRegion, profile), true },
        REGION_TAIL,
        { NULL },
    };
    static const Column data[] = {
        REGION_HEAD,
        FRAMES(PmemdRegion, extent, "extent_start", "extent_end", "Management start", "Management end", true),
        { "dirty", "Dirty", COLUMN_BOOL, offsetof(PmemdRegion, dirty), true },
        REGION_TAIL,
        { "guest_path", "Guest's path", COLUMN_TEXT, offsetof(PmemdRegion, guest_path), true },
        { "lease_owner", "Lent to", COLUMN_TEXT, offsetof(PmemdRegion, lease_owner), true },
        { "lease_uid", "Lent by uid", COLUMN_UID, offsetof(PmemdRegion, lease_uid), true },
        { "lease_user", "Lent by", COLUMN_TEXT, offsetof(PmemdRegion, lease_user), true },
        { "lease_since_usec", "Lent since", COLUMN_TIME, offsetof(PmemdRegion, lease_since_usec), true },
        { "lease_until", "Lent until", COLUMN_TEXT, offsetof(PmemdRegion, lease_until), true },
        { "lease_confirmed", "Confirmed", COLUMN_BOOL, offsetof(PmemdRegion, lease_confirmed), true },
        { "lease_guest_frame", "Guest frame", COLUMN_GUEST_FRAME, offsetof(PmemdRegion, lease_guest_frame), true },
        { NULL },
    };
    return g_strcmp0(region->kind, "mgmt") == 0 ? mgmt : data;
}

#define PLAN_HEAD                                                                                                      \
    FRAMES(PmemdPlan, frames, "start_frame", "end_frame", "Start frame", "End frame", true),                           \
        FRAMES(PmemdPlan, device, "device_start_frame", "device_end_frame", "Device start", "Device end", true),       \
        { "usable_bytes", "Usable", COLUMN_BYTES, offsetof(PmemdPlan, usable_bytes), true },                           \
        { "requested_bytes", "Requested", COLUMN_BYTES, offsetof(PmemdPlan, requested_bytes), true },                  \
        { "wasted_bytes", "Beyond the request", COLUMN_BYTES, offsetof(PmemdPlan, wasted_bytes), true },               \
        { "overhead_bytes", "Device's lead", COLUMN_BYTES, offsetof(PmemdPlan, overhead_bytes), true },                \
        { "host_memory_bytes", "Host memory taken", COLUMN_BYTES, offsetof(PmemdPlan, host_memory_bytes), true },      \
        { "journal_frames", "Journal frames", COLUMN_COUNT, offsetof(PmemdPlan, journal_frames), true },               \
        { "required_frames", "Management frames", COLUMN_COUNT, offsetof(PmemdPlan, required_frames), true },          \
        { "node", "Node", COLUMN_NODE, offsetof(PmemdPlan, node), true },                                              \
        { "local_node", "Local node", COLUMN_NODE, offsetof(PmemdPlan, local_node), true },                            \
        { "raw", "Raw region", COLUMN_TEXT, offsetof(PmemdPlan, raw), true }, {                                        \
        "warning", "Warning", COLUMN_TEXT, offsetof(PmemdPlan, warning), true                                          \
    }

const Column *columns_plan(bool data) {
    static const Column mgmt_columns[] = { PLAN_HEAD, { NULL } };
    static const Column data_columns[] = {
        PLAN_HEAD,
        { "pool", "Pool", COLUMN_TEXT, offsetof(PmemdPlan, pool), true },
        FRAMES(PmemdPlan, extent, "extent_start", "extent_end", "Management start", "Management end", true),
        { NULL },
    };
    return data ? data_columns : mgmt_columns;
}

const Column *columns_status(void) {
    static const Column columns[] = {
        { "version", "Version", COLUMN_TEXT, offsetof(PmemdStatus, version), true },
        { "backend", "Backend", COLUMN_TEXT, offsetof(PmemdStatus, backend), true },
        { "state", "State", COLUMN_TEXT, offsetof(PmemdStatus, state), true },
        { "state_reason", "Reason", COLUMN_TEXT, offsetof(PmemdStatus, state_reason), true },
        { "raw_regions", "Raw regions", COLUMN_COUNT32, offsetof(PmemdStatus, raw_regions), true },
        { "mgmt_regions", "Management regions", COLUMN_COUNT32, offsetof(PmemdStatus, mgmt_regions), true },
        { "data_regions", "Data regions", COLUMN_COUNT32, offsetof(PmemdStatus, data_regions), true },
        { "foreign_devices", "Foreign devices", COLUMN_COUNT32, offsetof(PmemdStatus, foreign_devices), true },
        { "raw_bytes", "Raw", COLUMN_BYTES, offsetof(PmemdStatus, raw_bytes), true },
        { "mgmt_bytes", "Management", COLUMN_BYTES, offsetof(PmemdStatus, mgmt_bytes), true },
        { "data_bytes", "Data", COLUMN_BYTES, offsetof(PmemdStatus, data_bytes), true },
        { "free_bytes", "Free", COLUMN_BYTES, offsetof(PmemdStatus, free_bytes), true },
        { "queued_requests", "Queued requests", COLUMN_COUNT, offsetof(PmemdStatus, queued_requests), true },
        { NULL },
    };
    return columns;
}

const Column *columns_lease(void) {
    static const Column columns[] = {
        { "uuid", "UUID", COLUMN_TEXT, offsetof(PmemdLease, region), true },
        { "name", "NAME", COLUMN_TEXT, offsetof(PmemdLease, name), true },
        { "pool", "POOL", COLUMN_TEXT, offsetof(PmemdLease, pool), false },
        { "owner", "LENT TO", COLUMN_TEXT, offsetof(PmemdLease, owner), true },
        { "uid", "UID", COLUMN_UID, offsetof(PmemdLease, uid), false },
        { "user", "BY", COLUMN_TEXT, offsetof(PmemdLease, user), true },
        { "since_usec", "SINCE", COLUMN_TIME, offsetof(PmemdLease, since_usec), true },
        { "until", "UNTIL", COLUMN_TEXT, offsetof(PmemdLease, until), true },
        { "confirmed", "CONFIRMED", COLUMN_BOOL, offsetof(PmemdLease, confirmed), true },
        { "guest_frame", "GUEST FRAME", COLUMN_GUEST_FRAME, offsetof(PmemdLease, guest_frame), true },
        { NULL },
    };
    return columns;
}

const Column *columns_libvirt_pool(void) {
    static const Column columns[] = {
        { "name", "NAME", COLUMN_TEXT, offsetof(PmemdLibvirtPool, name), true },
        { "uuid", "UUID", COLUMN_TEXT, offsetof(PmemdLibvirtPool, uuid), false },
        { "enabled", "ENABLED", COLUMN_BOOL, offsetof(PmemdLibvirtPool, enabled), true },
        { "libvirt", "LIBVIRT", COLUMN_TEXT, offsetof(PmemdLibvirtPool, libvirt), true },
        { "directory", "DIRECTORY", COLUMN_TEXT, offsetof(PmemdLibvirtPool, directory), true },
        { "mounted", "MOUNTED", COLUMN_BOOL, offsetof(PmemdLibvirtPool, mounted), false },
        { "problem", "PROBLEM", COLUMN_TEXT, offsetof(PmemdLibvirtPool, problem), true },
        { NULL },
    };
    return columns;
}

const Column *columns_attachment(void) {
    static const Column columns[] = {
        { "device_path", "Device", COLUMN_TEXT, offsetof(PmemdAttachment, path), true },
        { "bytes", "Size", COLUMN_BYTES, offsetof(PmemdAttachment, bytes), true },
        { "alignment", "Alignment", COLUMN_BYTES, offsetof(PmemdAttachment, alignment), true },
        { "node", "Node", COLUMN_NODE, offsetof(PmemdAttachment, node), true },
        { "since_usec", "Since", COLUMN_TIME, offsetof(PmemdAttachment, since_usec), true },
        { "confirmed", "Confirmed", COLUMN_BOOL, offsetof(PmemdAttachment, confirmed), true },
        { "xml", "Memory", COLUMN_TEXT, offsetof(PmemdAttachment, memory), true },
        { NULL },
    };
    return columns;
}

/* --- text --- */

static uint64_t column_unsigned(const Column *column, const void *row) {
    switch (column->type) {
    case COLUMN_START:
        return G_STRUCT_MEMBER(const PmemdRange, row, column->offset).start;
    case COLUMN_END:
        return G_STRUCT_MEMBER(const PmemdRange, row, column->offset).end;
    case COLUMN_COUNT32:
    case COLUMN_UID:
        return G_STRUCT_MEMBER(const uint32_t, row, column->offset);
    default:
        return G_STRUCT_MEMBER(const uint64_t, row, column->offset);
    }
}

static char *time_text(uint64_t usec) {
    if (usec == 0 || usec > INT64_MAX)
        return g_strdup("-");
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((int64_t) (usec / G_USEC_PER_SEC));
    return time ? g_date_time_format_iso8601(time) : g_strdup("-");
}

static char *column_text(const Column *column, const void *row) {
    switch (column->type) {
    case COLUMN_TEXT: {
        const char *text = G_STRUCT_MEMBER(char *const, row, column->offset);
        return text && text[0] != '\0' ? one_line(text) : g_strdup("-");
    }
    case COLUMN_START:
    case COLUMN_END:
        if (G_STRUCT_MEMBER(const PmemdRange, row, column->offset).end == 0)
            return g_strdup("-");
        return g_strdup_printf("0x%" G_GINT64_MODIFIER "x", column_unsigned(column, row));
    case COLUMN_HEX:
        return g_strdup_printf("0x%" G_GINT64_MODIFIER "x", column_unsigned(column, row));
    case COLUMN_BYTES:
        return format_size(column_unsigned(column, row));
    case COLUMN_SIZE:
        return column_unsigned(column, row) == 0 ? g_strdup("-") : format_size(column_unsigned(column, row));
    case COLUMN_UID:
        if (column_unsigned(column, row) == UINT32_MAX)
            return g_strdup("-");
        G_GNUC_FALLTHROUGH;
    case COLUMN_COUNT:
    case COLUMN_COUNT32:
        return g_strdup_printf("%" G_GUINT64_FORMAT, column_unsigned(column, row));
    case COLUMN_NODE: {
        int32_t node = G_STRUCT_MEMBER(const int32_t, row, column->offset);
        return node < 0 ? g_strdup("-") : g_strdup_printf("%d", node);
    }
    case COLUMN_BOOL:
        return g_strdup(G_STRUCT_MEMBER(const bool, row, column->offset) ? "yes" : "no");
    case COLUMN_TIME:
        return time_text(column_unsigned(column, row));
    case COLUMN_GUEST_FRAME:
        if (column_unsigned(column, row) == PMEMD_FRAME_UNKNOWN)
            return g_strdup("-");
        return g_strdup_printf("0x%" G_GINT64_MODIFIER "x", column_unsigned(column, row));
    }
    g_assert_not_reached();
}

static bool column_aligns_right(const Column *column) {
    return column->type != COLUMN_TEXT && column->type != COLUMN_BOOL && column->type != COLUMN_TIME;
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, bool last) {
    size_t length = (size_t) g_utf8_strlen(text, -1);
    int pad = width > length ? (int) (width - length) : 0;

    /* No blanks at the end of a line: the last column is not padded. */
    if (right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

static const Column *find_column(const Column *columns, const char *key) {
    for (const Column *c = columns; c->key; c++)
        if (strcmp(c->key, key) == 0)
            return c;
    return NULL;
}

GPtrArray *columns_choose(const Column *columns, const char *const *keys) {
    GPtrArray *chosen = g_ptr_array_new();

    for (const Column *c = columns; !keys && c->key; c++)
        if (c->brief)
            g_ptr_array_add(chosen, (void *) c);
    for (size_t i = 0; keys && keys[i]; i++) {
        const Column *column = find_column(columns, keys[i]);
        if (column)
            g_ptr_array_add(chosen, (void *) column);
    }
    return chosen;
}

/* The texts of one line, and what they do to the widths. row NULL: the heads. */
static void add_cells(GPtrArray *cells, size_t *widths, const GPtrArray *shown, const void *row) {
    for (guint i = 0; i < shown->len; i++) {
        const Column *column = shown->pdata[i];
        char *text = row ? column_text(column, row) : g_strdup(column->head);
        g_ptr_array_add(cells, text);
        widths[i] = MAX(widths[i], (size_t) g_utf8_strlen(text, -1));
    }
}

void print_table(FILE *out, const char *title, const GPtrArray *shown, const GPtrArray *rows) {
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    if (rows->len == 0 && title)
        fprintf(out, "%s: none\n", title);
    if (rows->len == 0)
        return;

    g_autofree size_t *widths = g_new0(size_t, shown->len);
    if (title) {
        fprintf(out, "%s: %u\n", title, rows->len);
        add_cells(cells, widths, shown, NULL);
    }
    for (guint i = 0; i < rows->len; i++)
        add_cells(cells, widths, shown, rows->pdata[i]);
    for (guint i = 0; i < cells->len; i++) {
        guint j = i % shown->len;
        if (j == 0 && title)
            fputs("  ", out);
        print_cell(out, cells->pdata[i], widths[j], column_aligns_right(shown->pdata[j]), j + 1 == shown->len);
    }
}

void print_record(FILE *out, const Column *columns, const void *row) {
    size_t width = 0;

    for (const Column *c = columns; c->key; c++)
        width = MAX(width, strlen(c->head));
    for (const Column *c = columns; c->key; c++) {
        g_autofree char *text = column_text(c, row);
        fprintf(out, "%*s: %s\n", (int) width, c->head, text);
    }
}

char *print_field(const Column *columns, const char *key, const void *row) {
    const Column *column = find_column(columns, key);
    return column ? column_text(column, row) : NULL;
}

/* --- JSON --- */

JsonObject *json_from_row(const Column *columns, const void *row) {
    JsonObject *object = json_object_new();

    for (const Column *c = columns; c->key; c++)
        switch (c->type) {
        case COLUMN_TEXT: {
            g_autofree char *valid = g_utf8_make_valid(G_STRUCT_MEMBER(char *const, row, c->offset), -1);
            json_object_set_string_member(object, c->key, valid);
            break;
        }
        case COLUMN_BOOL:
            json_object_set_boolean_member(object, c->key, G_STRUCT_MEMBER(const bool, row, c->offset));
            break;
        case COLUMN_NODE:
            json_object_set_int_member(object, c->key, G_STRUCT_MEMBER(const int32_t, row, c->offset));
            break;
        default: /* of a guest's frame that is not known -1 */
            json_object_set_int_member(object, c->key, (int64_t) column_unsigned(c, row));
        }
    return object;
}

JsonArray *json_from_rows(const Column *columns, const GPtrArray *rows) {
    JsonArray *array = json_array_new();
    for (guint i = 0; i < rows->len; i++)
        json_array_add_object_element(array, json_from_row(columns, rows->pdata[i]));
    return array;
}

JsonObject *json_document_new(void) {
    JsonObject *document = json_object_new();
    json_object_set_int_member(document, "version", PRINT_JSON_VERSION);
    return document;
}

void json_document_print(FILE *out, JsonObject *document, bool pretty) {
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(root, document);
    g_autofree char *text = json_to_string(root, pretty);
    fprintf(out, "%s\n", text);
}
