/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-list.h"

#include "daemon/bus-error.h"
#include "proto/error.h"

#include <inttypes.h>
#include <string.h>

#define CURSOR_START_DIGITS 16u

/* A cursor is "KEY", for the privileged "START-KEY" with START the entry's first frame in 16 hex digits: a position
 * that outlives the entry. The unprivileged must not give a START: by trying they would find where regions lie. */
typedef struct {
    bool has_start;
    uint64_t start;
    const char *key;
} Cursor;

/* A page in the making. */
typedef struct {
    sd_bus_message *reply;
    const State *state;
    const Caller *viewer;
    bool privileged; /* the viewer is */
    uint32_t max;    /* entries, 0 = by size alone */
    uint32_t count;
    uint64_t bytes; /* at least what the entries so far take */
    uint64_t share; /* and may take */
    bool more;      /* there are entries behind the last one */
    uint64_t start; /* position of the last one */
    GString *key;
} Page;

static bool gone(const char *cursor, GError **error) {
    g_autofree char *quoted = bus_quote(cursor);

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "the cursor '%s' is none of pmemd's, or the region of this cursor is gone: list again from ''", quoted);
    return false;
}

static bool cursor_parse(const char *text, bool privileged, Cursor *ret_cursor) {
    uint64_t start = 0;
    size_t i = 0;

    for (; privileged && i < CURSOR_START_DIGITS; i++) {
        int digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0 || g_ascii_isupper(text[i]))
            break;
        start = start << 4 | (uint64_t) digit;
    }
    if (i == CURSOR_START_DIGITS && text[i] == '-')
        *ret_cursor = (Cursor){ .has_start = true, .start = start, .key = text + i + 1 };
    else
        *ret_cursor = (Cursor){ .key = text };
    return ret_cursor->key[0] != 0;
}

static bool page_is_full(const Page *page) {
    return (page->max > 0 && page->count >= page->max) || page->bytes >= page->share;
}

/* An entry was appended: fixed = bytes of its numbers, strings = of its texts together. */
static void page_count(Page *page, uint64_t start, const char *key, size_t n_strings, size_t strings) {
    page->count++;
    page->bytes +=
        104 + n_strings * 12 + strings; /* all numbers of the widest entry; length, 0 and padding of a string */
    page->start = start;
    g_string_assign(page->key, key);
}

static int append_raw(Page *page, const void *item) {
    const Raw *raw = item;
    const char *state = raw->unusable    ? (page->privileged ? raw->unusable : "unusable")
                        : raw->unmanaged ? "not managed"
                                         : "ok";
    uint64_t zero = page->privileged ? 1 : 0;

    page_count(page, raw->range.start, raw->id, 4,
               strlen(raw->id) + strlen(raw->kind) + strlen(raw->persistence) + strlen(state));
    return sd_bus_message_append(page->reply, "(sttiitttttsss)", raw->id, raw->range.start * zero,
                                 raw->range.end * zero, (int32_t) raw->node, (int32_t) raw->local_node, raw->step,
                                 raw->lead << PMEMD_FRAME_SHIFT, raw->minimum,
                                 raw_free_frames(raw) << PMEMD_FRAME_SHIFT, raw_largest_gap(raw) << PMEMD_FRAME_SHIFT,
                                 raw->kind, raw->persistence, state);
}

static int append_mgmt(Page *page, const void *item) {
    const Pool *pool = item;
    RegionFacts f;

    region_facts_of_pool(pool, page->viewer, &f);
    page_count(page, pool->sb.range.start, f.uuid, 6,
               strlen(f.uuid) + strlen(f.name) + strlen(f.profile) + strlen(f.state) + strlen(f.owner) +
                   strlen(f.device_path));
    return sd_bus_message_append(page->reply, "(ssttttiiussuss)", f.uuid, f.name, f.start_frame, f.end_frame,
                                 f.used_frames, f.free_frames, f.node, f.local_node, f.data_regions, f.profile, f.state,
                                 f.owner_uid, f.owner, f.device_path);
}

static int append_data(Page *page, const void *item) {
    const Region *region = item;
    RegionFacts f;

    region_facts_of_region(region, page->viewer, &f);
    page_count(page, region_device(region).start, f.uuid, 6,
               strlen(f.uuid) + strlen(f.name) + strlen(f.pool) + strlen(f.state) + strlen(f.owner) +
                   strlen(f.device_path));
    return sd_bus_message_append(page->reply, "(ssttsttiisbuss)", f.uuid, f.name, f.start_frame, f.end_frame, f.pool,
                                 f.extent_start, f.extent_end, f.node, f.local_node, f.state, f.dirty, f.owner_uid,
                                 f.owner, f.device_path);
}

/* Of others' regions not even that somebody has them is told. */
static int append_lease(Page *page, const void *item) {
    const Region *region = item;
    const Lease *lease = state_lease(page->state, region);
    char uuid[PMEMD_UUID_STRING_MAX], pool[PMEMD_UUID_STRING_MAX];
    const char *name = region->name ?: "", *until = lease ? lease_until_to_string(lease->sender != NULL) : "";

    if (!lease || !bus_view_shows_lease(page->viewer, region, lease))
        return 0;
    pmemd_uuid_format(region->uuid, uuid);
    pmemd_uuid_format(region->pool->sb.member_uuid, pool);
    page_count(page, region_device(region).start, uuid, 6,
               strlen(uuid) + strlen(name) + strlen(pool) + strlen(lease->owner) + strlen(lease->user) + strlen(until));
    return sd_bus_message_append(page->reply, "(ssssustsbt)", uuid, name, pool, lease->owner, lease->uid, lease->user,
                                 lease->since, until, (int) lease->confirmed, lease->guest_frame);
}

static int append_foreign(Page *page, const void *item) {
    const Foreign *foreign = item;
    const char *kind = foreign_kind_to_string(foreign->kind);
    const char *raw = foreign->occupant.raw ? foreign->occupant.raw->id : "";
    uint64_t zero = page->privileged ? 1 : 0;

    page_count(page, foreign->device.start, foreign->name, 4,
               strlen(foreign->name) + strlen(foreign->mode) + strlen(kind) + strlen(raw));
    return sd_bus_message_append(page->reply, "(sttsss)", foreign->name, foreign->device.start * zero,
                                 foreign->device.end * zero, foreign->mode, kind, raw);
}

static void raw_position(const void *item, uint64_t *ret_start, char key[static PMEMD_UUID_STRING_MAX],
                         const char **ret_key) {
    *ret_start = ((const Raw *) item)->range.start;
    *ret_key = ((const Raw *) item)->id;
}

static void mgmt_position(const void *item, uint64_t *ret_start, char key[static PMEMD_UUID_STRING_MAX],
                          const char **ret_key) {
    *ret_start = ((const Pool *) item)->sb.range.start;
    *ret_key = pmemd_uuid_format(((const Pool *) item)->sb.member_uuid, key);
}

static void foreign_position(const void *item, uint64_t *ret_start, char key[static PMEMD_UUID_STRING_MAX],
                             const char **ret_key) {
    *ret_start = ((const Foreign *) item)->device.start;
    *ret_key = ((const Foreign *) item)->name;
}

typedef struct {
    const char *entry; /* signature of one, without the brackets of the array */
    int (*append)(Page *page, const void *item);
    /* for those that are kept in an array by start */
    GPtrArray *(*items)(const State *state);
    void (*position)(const void *item, uint64_t *ret_start, char key[static PMEMD_UUID_STRING_MAX],
                     const char **ret_key);
} Kind;

static const Kind kind_table[] = {
    [BUS_LIST_RAW] = { "(sttiitttttsss)", append_raw, state_raws, raw_position },
    [BUS_LIST_MGMT] = { "(ssttttiiussuss)", append_mgmt, state_pools, mgmt_position },
    [BUS_LIST_DATA] = { "(ssttsttiisbuss)", append_data, NULL, NULL },
    [BUS_LIST_LEASES] = { "(ssssustsbt)", append_lease, NULL, NULL },
    [BUS_LIST_FOREIGN] = { "(sttsss)", append_foreign, state_foreigns, foreign_position },
};

/* The index of the first item behind the cursor. */
static bool find_in_array(const Kind *kind, const GPtrArray *items, const char *text, bool privileged, guint *ret_index,
                          GError **error) {
    guint behind = items->len;
    Cursor cursor;

    if (!cursor_parse(text, privileged, &cursor))
        return gone(text, error);
    for (guint i = items->len; i-- > 0;) {
        char buf[PMEMD_UUID_STRING_MAX];
        const char *key;
        uint64_t start;

        kind->position(items->pdata[i], &start, buf, &key);
        if (strcmp(key, cursor.key) == 0 && (!cursor.has_start || start == cursor.start)) {
            *ret_index = i + 1;
            return true;
        }
        if (cursor.has_start && start > cursor.start)
            behind = i;
    }
    if (!cursor.has_start)
        return gone(text, error);
    *ret_index = behind;
    return true;
}

static int fill_from_array(const Kind *kind, const GPtrArray *items, guint index, Page *page) {
    int r = 0;

    for (; r >= 0 && index < items->len && !page_is_full(page); index++)
        r = kind->append(page, items->pdata[index]);
    page->more = index < items->len;
    return r;
}

/* The first data region behind the cursor; NULL in *ret_region: there is none. */
static bool find_region(const State *state, const char *text, bool privileged, Region **ret_region, GError **error) {
    sd_id128_t uuid;
    Cursor cursor;

    if (!cursor_parse(text, privileged, &cursor) || !pmemd_uuid_parse(cursor.key, &uuid))
        return gone(text, error);
    if (cursor.has_start) {
        *ret_region = state_region_after(state, cursor.start, uuid);
        return true;
    }
    Region *region = state_region_by_uuid(state, uuid);
    if (!region)
        return gone(text, error);
    *ret_region = state_next_region(state, region);
    return true;
}

/* Of few regions of very many: not by walking them all. */
static int fill_from_leases(const State *state, const Region *from, Page *page) {
    Region *region = from ? state_leased_from(state, from) : NULL;
    int r = 0;

    for (; r >= 0 && region && !page_is_full(page); region = state_next_leased(state, region))
        r = append_lease(page, region);
    page->more = region != NULL;
    return r;
}

static int fill_from_regions(const State *state, Region *region, Page *page) {
    int r = 0;

    for (; r >= 0 && region && !page_is_full(page); region = state_next_region(state, region))
        r = append_data(page, region);
    page->more = region != NULL;
    return r;
}

/* Of the page behind this one; "" when there is none. */
static int append_cursor(const Page *page) {
    if (!page->more)
        return sd_bus_message_append(page->reply, "s", "");
    if (!page->privileged)
        return sd_bus_message_append(page->reply, "s", page->key->str);
    g_autofree char *cursor = g_strdup_printf("%016" PRIx64 "-%s", page->start, page->key->str);
    return sd_bus_message_append(page->reply, "s", cursor);
}

bool bus_list_reply(const BusView *view, BusList list, sd_bus_message *call, const Caller *viewer, GError **error) {
    const bool privileged = bus_view_is_privileged(viewer);
    const State *state = manager_state(view->manager);
    const Kind *kind = &kind_table[list];
    Page page = { .state = state, .viewer = viewer, .privileged = privileged, .share = bus_unread_share(view->unread) };
    Region *region = NULL;
    const char *after;
    guint index = 0;

    int r = sd_bus_message_read(call, "su", &after, &page.max);
    if (r < 0 || !bus_check_text("the cursor", after, error))
        return r >= 0 ? false : gone("", error);

    GPtrArray *items = kind->items ? kind->items(state) : NULL;
    if (after[0]) {
        bool found = items ? find_in_array(kind, items, after, privileged, &index, error)
                           : find_region(state, after, privileged, &region, error);
        if (!found)
            return false;
    } else if (!items) {
        region = state_next_region(state, NULL);
    }

    page.key = g_string_new(NULL);
    r = sd_bus_message_new_method_return(call, &page.reply);
    if (r >= 0)
        r = sd_bus_message_open_container(page.reply, 'a', kind->entry);
    if (r >= 0)
        r = items                     ? fill_from_array(kind, items, index, &page)
            : list == BUS_LIST_LEASES ? fill_from_leases(state, region, &page)
                                      : fill_from_regions(state, region, &page);
    if (r >= 0)
        r = sd_bus_message_close_container(page.reply);
    if (r >= 0)
        r = append_cursor(&page);
    if (r >= 0)
        r = sd_bus_send(view->bus, page.reply, NULL);
    if (r >= 0)
        bus_unread_sent(view->unread, call, page.bytes);
    sd_bus_message_unref(page.reply);
    g_string_free(page.key, TRUE);
    if (r < 0 && r != -ENOTCONN) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot build the list: %s", g_strerror(-r));
        return false;
    }
    return true;
}
