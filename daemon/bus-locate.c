/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-locate.h"

#include "daemon/locate.h"
#include "proto/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#define ENTRY "sota{sv}"
#define ENTRY_BYTES UINT64_C(1024) /* that one takes at most, with the longest names */

/* An answer in the making; r < 0: it failed, and nothing more is appended. */
typedef struct {
    sd_bus_message *message;
    int r;
} Reply;

static bool unreadable(int r, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the arguments cannot be read: %s", g_strerror(-r));
    return false;
}

static bool unsendable(int r, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the answer cannot be built: %s", g_strerror(-r));
    return false;
}

static bool shows_extent(const Caller *viewer, const Location *location) {
    return location->region && bus_view_shows_region(viewer, location->region);
}

/* A pool's owner knows its frames, a region's owner the region's own and its extent. */
static bool shows(const Caller *viewer, const Location *location) {
    if (bus_view_is_privileged(viewer))
        return true;
    switch (location->kind) {
    case LOCATE_MGMT:
        return bus_view_shows_pool(viewer, location->pool) || shows_extent(viewer, location);
    case LOCATE_DATA:
        return bus_view_shows_region(viewer, location->region);
    default:
        return false;
    }
}

static void add(Reply *reply, const char *key, const char *type, ...) {
    va_list arguments;

    if (reply->r >= 0)
        reply->r = sd_bus_message_open_container(reply->message, 'e', "sv");
    if (reply->r >= 0)
        reply->r = sd_bus_message_append_basic(reply->message, 's', key);
    if (reply->r >= 0)
        reply->r = sd_bus_message_open_container(reply->message, 'v', type);
    va_start(arguments, type);
    if (reply->r >= 0)
        reply->r = sd_bus_message_appendv(reply->message, type, arguments);
    va_end(arguments);
    if (reply->r >= 0)
        reply->r = sd_bus_message_close_container(reply->message);
    if (reply->r >= 0)
        reply->r = sd_bus_message_close_container(reply->message);
}

static void add_facts(Reply *reply, const RegionFacts *facts) {
    add(reply, "Uuid", "s", facts->uuid);
    add(reply, "Name", "s", facts->name);
    add(reply, "State", "s", facts->state);
    add(reply, "Pool", "s", facts->pool);
    add(reply, "OwnerUid", "u", facts->owner_uid);
    add(reply, "Owner", "s", facts->owner);
}

/* Which guest a memory error hits, and where it lies there. Addresses of the lead no guest sees. */
static void add_lease(Reply *reply, const State *state, const Location *location, const Caller *viewer) {
    LeaseFacts lease;

    lease_facts_of_region(state, location->region, viewer, &lease);
    if (lease.owner[0] == '\0')
        return;
    add(reply, "LeaseOwner", "s", lease.owner);
    add(reply, "LeaseUid", "u", lease.uid);
    add(reply, "LeaseUser", "s", lease.user);
    if (lease.guest_frame != PMEMD_FRAME_INVALID && location->part == LOCATE_PART_USABLE)
        add(reply, "GuestFrame", "t", lease.guest_frame + (location->offset >> PMEMD_FRAME_SHIFT));
}

static void add_details(Reply *reply, const State *state, const Location *location, const Caller *viewer) {
    char path[PMEMD_PATH_MAX], cookie[PMEMD_UUID_STRING_MAX];
    RegionFacts facts;

    if (location->part != LOCATE_PART_NONE)
        add(reply, "Part", "s", locate_part_to_string(location->part));
    if (location->kind == LOCATE_DATA) {
        region_facts_of_region(location->region, viewer, &facts);
        add_facts(reply, &facts);
        add_lease(reply, state, location, viewer);
    } else if (location->kind == LOCATE_MGMT) {
        region_facts_of_pool(location->pool, viewer, &facts);
        add_facts(reply, &facts);
        /* Where others' extents lie in a pool of one's own is hidden in lists, too. */
        if (shows_extent(viewer, location))
            add(reply, "ExtentOf", "o", pmemd_region_path(location->region->uuid, path));
    } else if (location->kind == LOCATE_FOREIGN) {
        add(reply, "Device", "s", location->foreign->name);
        add(reply, "Mode", "s", location->foreign->mode);
        add(reply, "ForeignKind", "s", foreign_kind_to_string(location->foreign->kind));
    }
    if (location->raw) {
        add(reply, "Raw", "s", location->raw->id);
        add(reply, "RawCookie", "s", pmemd_uuid_format(location->raw->cookie, cookie));
        add(reply, "Node", "i", (int32_t) location->raw->node);
    }
}

/* The members of the answer, without the struct around them. */
static void append_location(Reply *reply, const State *state, const Location *location, const Caller *viewer) {
    char buf[PMEMD_PATH_MAX];
    bool shown = shows(viewer, location);
    const char *kind = shown ? locate_kind_to_string(location->kind) : "hidden", *path = "/";

    if (shown && location->kind == LOCATE_DATA)
        path = pmemd_region_path(location->region->uuid, buf);
    else if (shown && location->kind == LOCATE_MGMT)
        path = pmemd_region_path(location->pool->sb.member_uuid, buf);
    if (reply->r >= 0)
        reply->r = sd_bus_message_append(reply->message, "sot", kind, path, shown ? location->offset : 0);
    if (reply->r >= 0)
        reply->r = sd_bus_message_open_container(reply->message, 'a', "{sv}");
    if (shown)
        add_details(reply, state, location, viewer);
    if (reply->r >= 0)
        reply->r = sd_bus_message_close_container(reply->message);
}

static bool send_reply(Reply *reply, GError **error) {
    if (reply->r >= 0)
        reply->r = sd_bus_send(NULL, reply->message, NULL);
    sd_bus_message_unref(reply->message);
    /* Who asked may have gone meanwhile. */
    return reply->r >= 0 || reply->r == -ENOTCONN || unsendable(reply->r, error);
}

bool bus_locate_reply(const BusView *view, sd_bus_message *call, const Caller *viewer, GError **error) {
    Location location;
    Reply reply = { 0 };
    uint64_t frame;

    int r = sd_bus_message_read_basic(call, 't', &frame);
    if (r < 0)
        return unreadable(r, error);
    if (!locate_frame(manager_state(view->manager), frame, &location, error))
        return false;
    if (!shows(viewer, &location)) {
        /* The same whether it is somebody's, free, or no persistent memory at all. */
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                    "frame 0x%" PRIx64 " is of no region of user %" PRIu32
                    ", and only root may know what it is: ask an administrator",
                    frame, viewer->uid);
        return false;
    }
    reply.r = sd_bus_message_new_method_return(call, &reply.message);
    if (reply.r >= 0)
        reply.r = sd_bus_message_open_container(reply.message, 'r', ENTRY);
    append_location(&reply, manager_state(view->manager), &location, viewer);
    if (reply.r >= 0)
        reply.r = sd_bus_message_close_container(reply.message);
    return send_reply(&reply, error);
}

/* One by one: an array as a whole is refused when the caller's byte order is not ours. */
static bool read_frames(sd_bus_message *call, uint64_t frames[static PMEMD_LOCATE_MAX], size_t *ret_n, GError **error) {
    uint64_t frame;
    size_t n = 0;

    int r = sd_bus_message_enter_container(call, 'a', "t");
    while (r >= 0 && (r = sd_bus_message_read_basic(call, 't', &frame)) > 0) {
        if (n == PMEMD_LOCATE_MAX) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                        "more than %u frames: one call takes no more, ask in several calls", PMEMD_LOCATE_MAX);
            return false;
        }
        frames[n++] = frame;
    }
    if (r < 0)
        return unreadable(r, error);
    *ret_n = n;
    return true;
}

/* All of them, before anything is answered. */
static bool locate_all(const State *state, const uint64_t *frames, size_t n, Location *locations, GError **error) {
    for (size_t i = 0; i < n; i++)
        if (!locate_frame(state, frames[i], &locations[i], error)) {
            g_prefix_error(error, "entry %zu of the list: ", i);
            return false;
        }
    return true;
}

bool bus_locate_reply_list(const BusView *view, sd_bus_message *call, const Caller *viewer, GError **error) {
    g_autofree Location *locations = g_new(Location, PMEMD_LOCATE_MAX);
    g_autofree uint64_t *frames = g_new(uint64_t, PMEMD_LOCATE_MAX);
    Reply reply = { 0 };
    size_t n = 0;

    if (!read_frames(call, frames, &n, error) || !locate_all(manager_state(view->manager), frames, n, locations, error))
        return false;

    reply.r = sd_bus_message_new_method_return(call, &reply.message);
    if (reply.r >= 0)
        reply.r = sd_bus_message_open_container(reply.message, 'a', "(" ENTRY ")");
    for (size_t i = 0; i < n && reply.r >= 0; i++) {
        reply.r = sd_bus_message_open_container(reply.message, 'r', ENTRY);
        append_location(&reply, manager_state(view->manager), &locations[i], viewer);
        if (reply.r >= 0)
            reply.r = sd_bus_message_close_container(reply.message);
    }
    if (reply.r >= 0)
        reply.r = sd_bus_message_close_container(reply.message);
    if (!send_reply(&reply, error))
        return false;
    bus_unread_sent(view->unread, call, n * ENTRY_BYTES);
    return true;
}
