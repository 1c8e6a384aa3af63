/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-region.h"

#include "daemon/bus-bad.h"
#include "proto/error.h"
#include "proto/names.h"
#include "proto/nvdimm.h"

#include <stddef.h>

struct BusRegion {
    BusView *view;
    sd_bus_slot *objects, *enumerator;
    RegionFacts facts; /* of the object that sd-bus asks about now; filled by find() before its properties are read */
    LeaseFacts lease;  /* likewise */
    char *guest_path;  /* likewise */
};

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *text, sd_bus_error *ret_error) {
    return sd_bus_message_append_basic(reply, 's', text);
}

static int get_extents(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *extents, sd_bus_error *ret_error) {
    return bus_bad_append_extents(reply, *(GArray *const *) extents);
}

#define FACT(member) offsetof(BusRegion, facts.member)
#define LEASE(member) offsetof(BusRegion, lease.member)

static const sd_bus_vtable region_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Kind", "s", NULL, FACT(kind), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Uuid", "s", get_text, FACT(uuid), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Name", "s", NULL, FACT(name), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    /* What depends on who asks is never const, and in no signal: sd-bus leaves out what emits its invalidation
     * alone. */
    SD_BUS_PROPERTY("StartFrame", "t", NULL, FACT(start_frame), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("EndFrame", "t", NULL, FACT(end_frame), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Bytes", "t", NULL, FACT(bytes), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Pool", "s", get_text, FACT(pool), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("ExtentStart", "t", NULL, FACT(extent_start), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("ExtentEnd", "t", NULL, FACT(extent_end), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("UsedFrames", "t", NULL, FACT(used_frames), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("FreeFrames", "t", NULL, FACT(free_frames), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Node", "i", NULL, FACT(node), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("LocalNode", "i", NULL, FACT(local_node), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("DevicePath", "s", NULL, FACT(device_path), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("GuestPath", "s", NULL, offsetof(BusRegion, guest_path), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("State", "s", NULL, FACT(state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StateReason", "s", NULL, FACT(state_reason), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("OwnerUid", "u", NULL, FACT(owner_uid), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Owner", "s", NULL, FACT(owner), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Profile", "s", NULL, FACT(profile), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("MaxRegions", "u", NULL, FACT(max_regions), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Dirty", "b", NULL, FACT(dirty), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("LeaseOwner", "s", NULL, LEASE(owner), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseUid", "u", NULL, LEASE(uid), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseUser", "s", NULL, LEASE(user), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseSinceUsec", "t", NULL, LEASE(since_usec), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseUntil", "s", NULL, LEASE(until), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseConfirmed", "b", NULL, LEASE(confirmed), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("LeaseGuestFrame", "t", NULL, LEASE(guest_frame), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("BadFrames", "t", NULL, FACT(bad_frames), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("BadExtents", "a(tt)", get_extents, FACT(bad_extents), SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Health", "s", NULL, FACT(health), 0),
    SD_BUS_PROPERTY("CreatedUsec", "t", NULL, FACT(created_usec), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

static const char *const mutable_properties[] = {
    "Name",      "UsedFrames",     "FreeFrames", "Node",           "LocalNode",       "DevicePath", "GuestPath",
    "State",     "StateReason",    "OwnerUid",   "Owner",          "Dirty",           "LeaseOwner", "LeaseUid",
    "LeaseUser", "LeaseSinceUsec", "LeaseUntil", "LeaseConfirmed", "LeaseGuestFrame", "BadFrames",  "BadExtents",
    NULL,
};

/* Who is not told the device's path is told no other of it. region NULL: of a management region, which no guest gets. */
static char *guest_path(const Region *region, const RegionFacts *facts) {
    char uuid[PMEMD_UUID_STRING_MAX];

    if (!region || facts->device_path[0] == '\0')
        return g_strdup("");
    return pmemd_nvdimm_path(facts->device_path, pmemd_uuid_format(region->device_uuid, uuid));
}

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *ret_error) {
    BusRegion *regions = userdata;
    sd_id128_t uuid;

    if (!pmemd_region_path_parse(path, &uuid) ||
        !region_facts_by_uuid(regions->view, uuid, bus_view_viewer(regions->view), &regions->facts))
        return 0;
    const State *state = manager_state(regions->view->manager);
    const Region *region = state_region_by_uuid(state, uuid);
    lease_facts_of_region(state, region, bus_view_viewer(regions->view), &regions->lease);
    g_free(regions->guest_path);
    regions->guest_path = guest_path(region, &regions->facts);
    *ret_found = regions;
    return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error) {
    const BusRegion *regions = userdata;
    const State *state = manager_state(regions->view->manager);
    const GPtrArray *pools = state_pools(state);
    guint n = pools->len + state_count_regions(state), i = 0;
    char path[PMEMD_PATH_MAX];

    if (n > BUS_OBJECTS_MAX) {
        if (bus_view_is_introspecting(regions->view))
            return 0;
        /* The bus would cut the connection of whoever sends it a message that large: ours. */
        return sd_bus_error_setf(ret_error, pmemd_error_dbus_name(PMEMD_ERROR_LIMITS_EXCEEDED),
                                 "%u regions are more than the %u that fit one message: use ListMgmt and ListData", n,
                                 BUS_OBJECTS_MAX);
    }

    /* sd-bus frees the list with free(), which is what GLib's memory comes from. */
    char **nodes = g_new0(char *, n + 1u);
    for (guint p = 0; p < pools->len; p++)
        nodes[i++] = g_strdup(pmemd_region_path(((Pool *) pools->pdata[p])->sb.member_uuid, path));
    for (Region *r = state_next_region(state, NULL); r && i < n; r = state_next_region(state, r))
        nodes[i++] = g_strdup(pmemd_region_path(r->uuid, path));
    *ret_nodes = nodes;
    return 0;
}

static void emit_added(BusRegion *regions, sd_id128_t uuid) {
    char path[PMEMD_PATH_MAX];

    bus_news_added(regions->view->news, pmemd_region_path(uuid, path));
}

static void emit_removed(BusRegion *regions, sd_id128_t uuid) {
    char path[PMEMD_PATH_MAX];

    bus_news_removed(regions->view->news, pmemd_region_path(uuid, path), PMEMD_IFACE_REGION);
}

static void emit_changed(BusRegion *regions, sd_id128_t uuid) {
    char path[PMEMD_PATH_MAX];

    bus_news_changed(regions->view->news, pmemd_region_path(uuid, path), PMEMD_IFACE_REGION, mutable_properties);
}

static void on_pool_added(void *data, const Pool *pool) {
    emit_added(data, pool->sb.member_uuid);
}

static void on_pool_removed(void *data, sd_id128_t uuid) {
    emit_removed(data, uuid);
}

static void on_pool_changed(void *data, const Pool *pool) {
    emit_changed(data, pool->sb.member_uuid);
}

static void on_region_added(void *data, const Region *region) {
    emit_added(data, region->uuid);
}

static void on_region_removed(void *data, sd_id128_t uuid, sd_id128_t pool_uuid) {
    emit_removed(data, uuid);
}

static void on_region_changed(void *data, const Region *region) {
    emit_changed(data, region->uuid);
}

BusRegion *bus_region_new(BusView *view, GError **error) {
    const ManagerEvents events = {
        .pool_added = on_pool_added,
        .pool_removed = on_pool_removed,
        .pool_changed = on_pool_changed,
        .region_added = on_region_added,
        .region_removed = on_region_removed,
        .region_changed = on_region_changed,
    };
    g_autoptr(BusRegion) regions = g_new0(BusRegion, 1);

    regions->view = view;
    int r = sd_bus_add_fallback_vtable(view->bus, &regions->objects, PMEMD_ROOT_PATH "/region", PMEMD_IFACE_REGION,
                                       region_vtable, find, regions);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(view->bus, &regions->enumerator, PMEMD_ROOT_PATH "/region", enumerate, regions);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot add the region objects to the bus: %s",
                    g_strerror(-r));
        return NULL;
    }
    manager_add_events(view->manager, &events, regions);
    return g_steal_pointer(&regions);
}

void bus_region_free(BusRegion *regions) {
    if (!regions)
        return;
    sd_bus_slot_unref(regions->enumerator);
    sd_bus_slot_unref(regions->objects);
    g_free(regions->guest_path);
    g_free(regions);
}
