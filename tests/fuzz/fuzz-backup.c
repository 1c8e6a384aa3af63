/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the file that pmemctl import reads, and after a line "%" one that says what is there now; without
 * it nothing is. Checked: a file is refused with an error of one clean line, or gives a backup that is the same when it
 * was written again; a plan from it makes nothing where something is, nor where it makes something else, and says why it
 * does not make a region.
 */
#include "client/parse.h"
#include "client/restore.h"
#include "tests/fuzz/fuzz-input.h"

#define ITEMS_MAX 64u /* all are compared with all */

/* json-glib 1.6 loses roots of texts like "[][]". What our own code may lose the unit tests find, which damage each byte. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

static Backup *parse(const uint8_t *data, size_t size) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_memdup2(data, size);
    Backup *backup = backup_parse(text ? text : "", size, &error);

    if (!backup) {
        g_assert_true(g_error_matches(error, PARSE_ERROR, PARSE_ERROR_USAGE));
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        for (const char *c = error->message; *c; c++)
            g_assert_false(g_ascii_iscntrl(*c));
    }
    return backup;
}

static void check_written_again(const Backup *backup) {
    g_autofree char *text = backup_format(backup);
    g_autoptr(Backup) again = parse((const uint8_t *) text, strlen(text));

    g_assert_nonnull(again);
    g_autofree char *twice = backup_format(again);
    g_assert_cmpstr(text, ==, twice);
}

/* --- what is there --- */

/* All texts stay the backup's. */
typedef struct {
    RestorePresent restore;
    bool possible; /* pmemd could tell of it: its raw regions do not overlap */
} Present;

static bool overlap(PmemdRange a, PmemdRange b) {
    return a.start < b.end && b.start < a.end;
}

static void add_raw(Present *p, const BackupRaw *was) {
    PmemdRaw *raw = g_new0(PmemdRaw, 1);

    for (guint i = 0; i < p->restore.raws->len; i++)
        p->possible = p->possible && !overlap(((PmemdRaw *) p->restore.raws->pdata[i])->frames, was->frames);
    raw->id = was->id;
    raw->frames = was->frames;
    raw->bytes = (was->frames.end - was->frames.start) * PMEMD_FRAME_SIZE;
    raw->node = raw->local_node = was->node;
    raw->step = raw->minimum = PMEMD_FRAME_SIZE;
    raw->free_bytes = raw->largest_gap = raw->bytes;
    raw->kind = (char *) "labelled";
    raw->persistence = (char *) "memory_controller";
    raw->state = (char *) "ok";
    g_ptr_array_add(p->restore.raws, raw);
    g_ptr_array_add(p->restore.cookies, was->cookie);
}

static void add_data(Present *p, const BackupPool *pool, const BackupData *was) {
    PmemdData *data = g_new0(PmemdData, 1);

    data->uuid = was->uuid;
    data->name = was->name;
    data->frames = was->frames;
    data->bytes = (was->frames.end - was->frames.start) * PMEMD_FRAME_SIZE;
    data->pool = pool->uuid;
    data->extent = was->extent;
    data->state = (char *) "ok";
    data->owner_uid = was->owner_uid;
    data->owner = was->owner;
    data->device_path = (char *) "";
    g_ptr_array_add(p->restore.data, data);
}

static void add_pool(Present *p, const BackupPool *was) {
    PmemdMgmt *mgmt = g_new0(PmemdMgmt, 1);

    mgmt->uuid = was->uuid;
    mgmt->name = was->name;
    mgmt->frames = was->frames;
    mgmt->bytes = (was->frames.end - was->frames.start) * PMEMD_FRAME_SIZE;
    mgmt->data_regions = was->data->len;
    mgmt->profile = was->profile;
    mgmt->state = (char *) "ok";
    mgmt->owner_uid = was->owner_uid;
    mgmt->owner = was->owner;
    mgmt->device_path = (char *) "";
    g_ptr_array_add(p->restore.mgmt, mgmt);
    for (guint i = 0; i < was->data->len; i++)
        add_data(p, was, was->data->pdata[i]);
}

static Present present_of(const Backup *now) {
    Present p = {
        .restore = {
            .machine_id = now ? now->machine_id : "0123456789abcdef0123456789abcdef",
            .raws = g_ptr_array_new_with_free_func(g_free),
            .cookies = g_ptr_array_new(),
            .mgmt = g_ptr_array_new_with_free_func(g_free),
            .data = g_ptr_array_new_with_free_func(g_free),
            .foreign = g_ptr_array_new(),
        },
        .possible = true,
    };

    for (guint i = 0; now && i < now->raws->len; i++)
        add_raw(&p, now->raws->pdata[i]);
    for (guint i = 0; now && i < now->pools->len; i++)
        add_pool(&p, now->pools->pdata[i]);
    return p;
}

static void present_clear(Present *p) {
    g_ptr_array_unref(p->restore.raws);
    g_ptr_array_unref(p->restore.cookies);
    g_ptr_array_unref(p->restore.mgmt);
    g_ptr_array_unref(p->restore.data);
    g_ptr_array_unref(p->restore.foreign);
}

/* --- plans --- */

static bool is_made(const RestoreItem *item) {
    return item->result == RESTORE_SAME || item->result == RESTORE_MOVED;
}

static void check_place(const RestorePresent *present, const RestoreItem *item) {
    bool inside = false;

    g_assert_cmpuint(item->now.end - item->now.start, ==, item->was.end - item->was.start);
    g_assert_true((item->now.start == item->was.start) == (item->result == RESTORE_SAME));
    for (guint i = 0; i < present->raws->len; i++) {
        const PmemdRaw *raw = present->raws->pdata[i];

        inside = inside || (raw->frames.start <= item->now.start && item->now.end <= raw->frames.end);
    }
    g_assert_true(inside);
    for (guint i = 0; i < present->mgmt->len; i++)
        g_assert_false(overlap(((PmemdMgmt *) present->mgmt->pdata[i])->frames, item->now));
    for (guint i = 0; i < present->data->len; i++)
        g_assert_false(overlap(((PmemdData *) present->data->pdata[i])->frames, item->now));
}

static void check_extent(const RestorePresent *present, const RestoreItem *item) {
    const RestoreItem *home = item->home;

    g_assert_true(home->result == RESTORE_THERE || is_made(home));
    g_assert_true(home->now.start <= item->extent.start && item->extent.end <= home->now.end);
    for (guint i = 0; i < present->data->len; i++)
        g_assert_false(overlap(((PmemdData *) present->data->pdata[i])->extent, item->extent));
}

static void check_plan(const Backup *backup, const RestorePresent *present) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Restore) restore = restore_plan(backup, present, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(restore->raws->len, ==, backup->raws->len);
    for (guint i = 0; i < restore->items->len; i++) {
        const RestoreItem *item = restore->items->pdata[i];

        if (!is_made(item)) {
            g_assert_true(item->result == RESTORE_THERE || item->note[0] != '\0');
            continue;
        }
        check_place(present, item);
        if (item->data)
            check_extent(present, item);
        for (guint j = 0; j < i; j++) {
            const RestoreItem *other = restore->items->pdata[j];

            g_assert_false(is_made(other) && overlap(item->now, other->now));
            g_assert_false(is_made(other) && item->data && other->data && overlap(item->extent, other->extent));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *line = size ? memmem(data, size, "\n%\n", 3) : NULL;
    size_t first = line ? (size_t) (line - data) : size;
    g_autoptr(Backup) backup = parse(data, first);
    g_autoptr(Backup) now = line ? parse(line + 3, size - first - 3) : NULL;

    if (!backup)
        return 0;
    check_written_again(backup);
    Present present = present_of(now);
    guint n = present.restore.data->len;
    for (guint i = 0; i < backup->pools->len; i++)
        n += 1 + ((BackupPool *) backup->pools->pdata[i])->data->len;
    if (present.possible && n <= ITEMS_MAX)
        check_plan(backup, &present.restore);
    present_clear(&present);
    return 0;
}
