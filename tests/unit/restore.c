/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The plan of an import on hardware that is the same, moved, smaller, on another node, taken; and that a plan which was
 * done is "there" to the next one.
 */
#include "client/restore.h"

#include <string.h>

#include "client/parse.h"

#define MACHINE "0123456789abcdef0123456789abcdef"
#define COOKIE "11111111-2222-3333-4444-555555555555"
#define OTHER_COOKIE "11111111-2222-3333-4444-666666666666"
#define POOL "d777e5e1-c46f-4723-8341-7164f97db28f"
#define MADE_POOL "aaaaaaaa-0000-4000-8000-000000000001"

/* The host of the test: two raw regions of 1 GiB at 0x100000 and 0x200000, as in the backup. */
typedef struct {
    Backup *backup;
    RestorePresent present;
} Host;

static char *only_alice(uint32_t uid) {
    return uid == 1000 ? g_strdup("alice") : NULL;
}

static char *only_bob(uint32_t uid) {
    return g_strdup("bob");
}

static char *nobody(uint32_t uid) {
    return NULL;
}

static PmemdRaw *add_raw(Host *host, const char *id, const char *cookie, uint64_t start, uint64_t end, int32_t node) {
    PmemdRaw *raw = g_new0(PmemdRaw, 1);

    raw->id = g_strdup(id);
    raw->frames = (PmemdRange){ start, end };
    raw->bytes = (end - start) * PMEMD_FRAME_SIZE;
    raw->node = node;
    raw->step = 4096;
    raw->kind = g_strdup("labelled");
    raw->persistence = g_strdup("");
    raw->state = g_strdup("ok");
    g_ptr_array_add(host->present.raws, raw);
    g_ptr_array_add(host->present.cookies, g_strdup(cookie));
    return raw;
}

static void add_mgmt(Host *host, const char *uuid, const char *name, uint64_t start, uint64_t end,
                     const char *profile) {
    PmemdMgmt *mgmt = g_new0(PmemdMgmt, 1);

    mgmt->uuid = g_strdup(uuid);
    mgmt->name = g_strdup(name);
    mgmt->frames = (PmemdRange){ start, end };
    mgmt->used_frames = 1704;
    mgmt->profile = g_strdup(profile);
    mgmt->state = g_strdup("ok");
    mgmt->owner = g_strdup("root");
    g_ptr_array_add(host->present.mgmt, mgmt);
}

static PmemdData *add_data(Host *host, const char *uuid, const char *name, const char *pool, PmemdRange frames,
                           PmemdRange extent) {
    PmemdData *data = g_new0(PmemdData, 1);

    data->uuid = g_strdup(uuid);
    data->name = g_strdup(name);
    data->pool = g_strdup(pool);
    data->frames = frames;
    data->extent = extent;
    data->state = g_strdup("ok");
    data->owner = g_strdup("root");
    g_ptr_array_add(host->present.data, data);
    return data;
}

static void add_foreign(Host *host, uint64_t start, uint64_t end) {
    PmemdForeign *foreign = g_new0(PmemdForeign, 1);

    foreign->name = g_strdup("namespace0.0");
    foreign->kind = g_strdup("foreign");
    foreign->frames = (PmemdRange){ start, end };
    g_ptr_array_add(host->present.foreign, foreign);
}

/* One pool "pool0" (xen) and in it "guest0" of alice, and one without name on the second raw region. */
static Backup *make_backup(void) {
    Backup *backup = backup_new(MACHINE, "0.1.0");
    PmemdRegion pool = { .uuid = (char *) POOL,
                         .name = (char *) "pool0",
                         .profile = (char *) "xen",
                         .owner = (char *) "root",
                         .frames = { 0x100000, 0x110000 },
                         .max_regions = 1024 };
    PmemdRegion guest0 = { .uuid = (char *) "49fa31c5-9068-4ff4-b5e6-34be18e67248",
                           .name = (char *) "guest0",
                           .owner = (char *) "alice",
                           .owner_uid = 1000,
                           .frames = { 0x110000, 0x111000 },
                           .extent = { 0x100590, 0x1005b8 } };
    PmemdRegion nameless = { .uuid = (char *) "717125e8-a342-4991-b230-494e86cce561",
                             .name = (char *) "",
                             .owner = (char *) "root",
                             .frames = { 0x200000, 0x202000 },
                             .extent = { 0x1005b8, 0x100608 } };

    backup_add_raw(backup, "region0", COOKIE, (PmemdRange){ 0x100000, 0x140000 }, 0);
    backup_add_raw(backup, "region1", OTHER_COOKIE, (PmemdRange){ 0x200000, 0x240000 }, 1);
    BackupPool *added = backup_add_pool(backup, &pool);
    backup_add_data(added, &guest0);
    backup_add_data(added, &nameless);
    return backup;
}

/* Without raw regions. */
static Host bare_host(void) {
    return (Host){
        .backup = make_backup(),
        .present = {
            .machine_id = MACHINE,
            .raws = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_raw_free),
            .cookies = g_ptr_array_new_with_free_func(g_free),
            .mgmt = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_mgmt_free),
            .data = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_data_free),
            .foreign = g_ptr_array_new_with_free_func((GDestroyNotify) pmemd_foreign_free),
            .user_of = only_alice,
        },
    };
}

static Host same_host(void) {
    Host host = bare_host();

    add_raw(&host, "region0", COOKIE, 0x100000, 0x140000, 0);
    add_raw(&host, "region1", OTHER_COOKIE, 0x200000, 0x240000, 1);
    return host;
}

static void host_clear(Host *host) {
    backup_free(host->backup);
    g_ptr_array_unref(host->present.raws);
    g_ptr_array_unref(host->present.cookies);
    g_ptr_array_unref(host->present.mgmt);
    g_ptr_array_unref(host->present.data);
    g_ptr_array_unref(host->present.foreign);
}

static Restore *plan(const Host *host, const char *map) {
    GError *error = NULL;
    Restore *restore = restore_plan(host->backup, &host->present, map, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(restore->items->len, ==, 3);
    return restore;
}

static RestoreItem *check_item(const Restore *restore, guint i, const char *verdict, uint64_t start, uint64_t end) {
    RestoreItem *item = restore->items->pdata[i];

    if (strcmp(item->verdict, verdict) != 0 || item->now.start != start || item->now.end != end)
        g_error("item %u: %s at 0x%" G_GINT64_MODIFIER "x - 0x%" G_GINT64_MODIFIER "x (%s)", i, item->verdict,
                item->now.start, item->now.end, item->note);
    return item;
}

static void check_note(const RestoreItem *item, const char *says) {
    if (!strstr(item->note, says))
        g_error("'%s' is not in '%s'", says, item->note);
}

static void test_same(void) {
    Host host = same_host();
    g_autoptr(Restore) restore = plan(&host, NULL);

    g_assert_true(restore->same_machine);
    g_assert_cmpstr(((const RestoreRaw *) restore->raws->pdata[1])->by, ==, "cookie");
    RestoreItem *item = check_item(restore, 0, "same", 0x100000, 0x110000);
    g_assert_cmpstr(item->note, ==, "");
    g_assert_false(item->set_owner);
    item = check_item(restore, 1, "same", 0x110000, 0x111000);
    g_assert_cmpuint(item->extent.start, ==, 0x100590);
    g_assert_cmpuint(item->extent.end, ==, 0x1005b8);
    g_assert_true(item->set_owner);
    g_assert_cmpuint(item->owner_uid, ==, 1000);
    g_assert_cmpstr(item->owner, ==, "alice");
    check_item(restore, 2, "same", 0x200000, 0x202000);

    /* Request-ids: the same again, another one for each item and attempt. */
    char ids[4][37];
    restore_item_request_id(item, 0, ids[0]);
    restore_item_request_id(item, 0, ids[1]);
    restore_item_request_id(item, 1, ids[2]);
    restore_item_request_id(restore->items->pdata[2], 0, ids[3]);
    g_assert_cmpstr(ids[0], ==, ids[1]);
    g_assert_cmpstr(ids[0], !=, ids[2]);
    g_assert_cmpstr(ids[0], !=, ids[3]);
    host_clear(&host);
}

static void test_there(void) {
    Host host = same_host();

    add_mgmt(&host, MADE_POOL, "pool0", 0x100000, 0x110000, "xen");
    PmemdData *given = add_data(&host, "bbbbbbbb-0000-4000-8000-000000000001", "guest0", MADE_POOL,
                                (PmemdRange){ 0x110000, 0x111000 }, (PmemdRange){ 0x100590, 0x1005b8 });
    add_data(&host, "bbbbbbbb-0000-4000-8000-000000000002", "", MADE_POOL, (PmemdRange){ 0x200000, 0x202000 },
             (PmemdRange){ 0x1005b8, 0x100608 });
    g_autoptr(Restore) restore = plan(&host, NULL);
    g_assert_cmpstr(check_item(restore, 0, "there", 0x100000, 0x110000)->now_uuid, ==, MADE_POOL);
    /* Stopped between making it and giving it away. */
    RestoreItem *item = check_item(restore, 1, "there", 0x110000, 0x111000);
    g_assert_true(item->set_owner);
    check_note(item, "given to alice");
    g_assert_cmpstr(check_item(restore, 2, "there", 0x200000, 0x202000)->note, ==, "");

    given->owner_uid = 7;
    g_autoptr(Restore) kept = plan(&host, NULL);
    item = check_item(kept, 1, "there", 0x110000, 0x111000);
    g_assert_false(item->set_owner);
    check_note(item, "keeps its owner");

    /* What is being erased is not there: in the way. */
    g_free(given->state);
    given->state = g_strdup("quarantined");
    g_autoptr(Restore) erased = plan(&host, NULL);
    item = check_item(erased, 1, "moved", 0x111000, 0x112000);
    check_note(item, "which is being erased");
    check_note(item, "its management extent moves");
    g_assert_cmpuint(item->extent.start, ==, 0x100000 + 1704);
    host_clear(&host);
}

/* The hardware is the same, its place in the address space is another one. */
static void test_readdressed(void) {
    Host host = bare_host();

    add_raw(&host, "region5", COOKIE, 0x500000, 0x540000, 0);
    add_raw(&host, "region6", OTHER_COOKIE, 0x600000, 0x640000, 1);
    g_autoptr(Restore) restore = plan(&host, NULL);
    check_item(restore, 0, "moved", 0x500000, 0x510000);
    g_assert_cmpuint(check_item(restore, 1, "moved", 0x510000, 0x511000)->extent.start, ==, 0x500590);
    check_item(restore, 2, "moved", 0x600000, 0x602000);

    /* As it is when that was done: nothing is to be done, also for the one without name. */
    add_mgmt(&host, MADE_POOL, "pool0", 0x500000, 0x510000, "xen");
    add_data(&host, "bbbbbbbb-0000-4000-8000-000000000001", "guest0", MADE_POOL, (PmemdRange){ 0x510000, 0x511000 },
             (PmemdRange){ 0x500590, 0x5005b8 });
    add_data(&host, "bbbbbbbb-0000-4000-8000-000000000002", "", MADE_POOL, (PmemdRange){ 0x600000, 0x602000 },
             (PmemdRange){ 0x5005b8, 0x500608 });
    g_autoptr(Restore) again = plan(&host, NULL);
    check_item(again, 0, "there", 0x500000, 0x510000);
    check_item(again, 1, "there", 0x510000, 0x511000);
    check_item(again, 2, "there", 0x600000, 0x602000);
    host_clear(&host);
}

static void test_rules(void) {
    Host host = bare_host();

    /* By place, though its cookie is another one; by node, the smallest that is large enough. */
    add_raw(&host, "a", "", 0x100000, 0x140000, 7);
    add_raw(&host, "large", "", 0x400000, 0x480000, 1);
    add_raw(&host, "exact", "", 0x500000, 0x540000, 1);
    g_autoptr(Restore) restore = plan(&host, NULL);
    g_assert_cmpstr(((const RestoreRaw *) restore->raws->pdata[0])->by, ==, "place");
    g_assert_cmpstr(((const RestoreRaw *) restore->raws->pdata[1])->by, ==, "node");
    g_assert_cmpstr(((const RestoreRaw *) restore->raws->pdata[1])->now->id, ==, "exact");
    check_item(restore, 2, "moved", 0x500000, 0x502000);

    /* What is given counts first; both may go into one. */
    g_autoptr(Restore) mapped = plan(&host, "region1=large,region0=large");
    g_assert_cmpstr(((const RestoreRaw *) mapped->raws->pdata[0])->by, ==, "map");
    check_item(mapped, 0, "moved", 0x400000, 0x410000);
    check_item(mapped, 1, "moved", 0x410000, 0x411000);
    check_note(check_item(mapped, 2, "moved", 0x411000, 0x413000), "is taken by management region of the export");

    static const char *const bad[] = { "region0", "region0=x", "x=large", "=large", "region0=" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(restore_plan(host.backup, &host.present, bad[i], &error));
        g_assert_error(error, PARSE_ERROR, PARSE_ERROR_USAGE);
    }
    host_clear(&host);
}

static void test_other_node(void) {
    Host host = bare_host();

    add_raw(&host, "region0", COOKIE, 0x100000, 0x140000, 0);
    add_raw(&host, "region9", "", 0x900000, 0x940000, 9);
    g_autoptr(Restore) restore = plan(&host, NULL);
    check_item(restore, 1, "same", 0x110000, 0x111000);
    check_note(check_item(restore, 2, "impossible", 0, 0), "raw region region1 is not here");
    check_note(restore->items->pdata[2], "--map=region1=ID");
    g_autoptr(Restore) mapped = plan(&host, "region1=region9");
    check_item(mapped, 2, "moved", 0x900000, 0x902000);
    host_clear(&host);
}

static void test_smaller(void) {
    Host host = bare_host();

    /* Room for the pool, but not for what stood behind it. */
    add_raw(&host, "region0", COOKIE, 0x100000, 0x110800, 0);
    PmemdRaw *other = add_raw(&host, "region1", OTHER_COOKIE, 0x200000, 0x240000, 0);
    g_autoptr(Restore) restore = plan(&host, NULL);
    check_item(restore, 0, "same", 0x100000, 0x110000);
    /* Beside the one that can stay. */
    check_note(check_item(restore, 1, "moved", 0x202000, 0x203000), "smaller than region0 was");
    check_item(restore, 2, "same", 0x200000, 0x202000);

    /* On another node nothing is tried unasked. */
    other->node = 5;
    g_autoptr(Restore) apart = plan(&host, NULL);
    check_note(check_item(apart, 1, "impossible", 0, 0), "no gap of 16777216 bytes on node 0");

    /* Without its pool nothing can be made. */
    ((PmemdRaw *) host.present.raws->pdata[0])->frames.end = 0x108000;
    g_autoptr(Restore) without = plan(&host, NULL);
    check_item(without, 0, "impossible", 0, 0);
    check_note(check_item(without, 2, "impossible", 0, 0), "its pool pool0 cannot be made");
    host_clear(&host);
}

static void test_conflicts(void) {
    Host host = same_host();

    add_mgmt(&host, MADE_POOL, "pool0", 0x120000, 0x121000, "xen");
    add_foreign(&host, 0x110800, 0x110801);
    g_autoptr(Restore) restore = plan(&host, NULL);
    check_note(check_item(restore, 0, "impossible", 0, 0), "the name is that of management region " MADE_POOL);
    host_clear(&host);

    host = same_host();
    add_foreign(&host, 0x110800, 0x110801);
    g_autoptr(Restore) foreign = plan(&host, NULL);
    check_note(check_item(foreign, 1, "moved", 0x110801, 0x111801), "is taken by the foreign device namespace0.0");
    host_clear(&host);

    host = same_host();
    add_mgmt(&host, POOL, "pool0", 0x100000, 0x110000, "xen");
    add_data(&host, "bbbbbbbb-0000-4000-8000-000000000001", "guest0", POOL, (PmemdRange){ 0x130000, 0x130800 },
             (PmemdRange){ 0x100700, 0x100714 });
    g_autoptr(Restore) small = plan(&host, NULL);
    check_note(check_item(small, 1, "impossible", 0, 0), "the name is that of data region bbbbbbbb");
    host_clear(&host);
}

static void test_steps(void) {
    Host host = bare_host();

    /* Devices that begin with 2 MiB of their own: no usable frame at the region's start, sizes go up. */
    for (int i = 0; i < 2; i++) {
        PmemdRaw *raw = add_raw(&host, i == 0 ? "region0" : "region1", i == 0 ? COOKIE : OTHER_COOKIE,
                                i == 0 ? 0x100000 : 0x200000, i == 0 ? 0x140000 : 0x240000, i);
        raw->step = raw->lead = UINT64_C(2) << 20;
        raw->minimum = UINT64_C(16) << 20;
    }
    g_autoptr(Restore) restore = plan(&host, NULL);
    check_note(check_item(restore, 0, "moved", 0x111200, 0x121200), "nothing can be made at 0x100000");
    /* What can stay stays, whatever has to move. */
    RestoreItem *item = check_item(restore, 1, "same", 0x110000, 0x111000);
    g_assert_cmpuint(item->extent.start, ==, 0x111200 + 0x590);
    check_item(restore, 2, "moved", 0x200200, 0x202200);
    host_clear(&host);

    host = same_host();
    PmemdRaw *raw = host.present.raws->pdata[1];
    g_free(raw->kind);
    raw->kind = g_strdup("unlabelled");
    g_autoptr(Restore) whole = plan(&host, NULL);
    /* All of it, and so a larger extent, behind those that there were. */
    item = check_item(whole, 2, "moved", 0x200000, 0x240000);
    g_assert_cmpuint(item->extent.end - item->extent.start, ==, 0x40000 * 40 / 4096);
    g_assert_cmpuint(item->extent.start, ==, 0x1005b8);

    g_free(raw->state);
    raw->state = g_strdup("the region is read-only");
    g_autoptr(Restore) unusable = plan(&host, NULL);
    check_note(check_item(unusable, 2, "impossible", 0, 0), "cannot be used: the region is read-only");
    host_clear(&host);
}

static void test_owners(void) {
    Host host = same_host();

    host.present.user_of = only_bob;
    g_autoptr(Restore) other_name = plan(&host, NULL);
    RestoreItem *item = check_item(other_name, 1, "same", 0x110000, 0x111000);
    g_assert_false(item->set_owner);
    g_assert_cmpstr(item->owner, ==, "root");
    check_note(item, "user 1000 was alice and is bob now");

    host.present.user_of = nobody;
    g_autoptr(Restore) gone = plan(&host, NULL);
    g_assert_false(((RestoreItem *) gone->items->pdata[1])->set_owner);
    check_note(gone->items->pdata[1], "there is no user 1000 (alice) any more");

    /* Users of a host that is reached through ssh are looked at there. */
    host.present.user_of = NULL;
    g_autoptr(Restore) remote = plan(&host, NULL);
    g_assert_true(((RestoreItem *) remote->items->pdata[1])->set_owner);

    host.present.machine_id = "fedcba98765432100123456789abcdef";
    g_autoptr(Restore) other = plan(&host, NULL);
    g_assert_false(other->same_machine);
    g_assert_false(((RestoreItem *) other->items->pdata[1])->set_owner);
    check_note(other->items->pdata[1], "alice (1000) was a user of another host");

    /* A machine that does not know itself is none. */
    g_free(host.backup->machine_id);
    host.backup->machine_id = g_strdup("00000000000000000000000000000000");
    host.present.machine_id = host.backup->machine_id;
    g_autoptr(Restore) unknown = plan(&host, NULL);
    g_assert_false(unknown->same_machine);
    host_clear(&host);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/restore/same", test_same);
    g_test_add_func("/restore/there", test_there);
    g_test_add_func("/restore/readdressed", test_readdressed);
    g_test_add_func("/restore/rules", test_rules);
    g_test_add_func("/restore/other-node", test_other_node);
    g_test_add_func("/restore/smaller", test_smaller);
    g_test_add_func("/restore/conflicts", test_conflicts);
    g_test_add_func("/restore/steps", test_steps);
    g_test_add_func("/restore/owners", test_owners);
    return g_test_run();
}
