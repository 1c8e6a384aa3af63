/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of daemon/backend-file: every operation, refusals, who holds a device, erasing, opening and locking. */
#include "tests/lib/backend-file-fixture.h"
#include "tests/lib/own-proc.h"

#include "tests/lib/test-budget.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_raw(Fixture *f, gconstpointer unused) {
    g_autoptr(BackendListing) listing = list(f->b);

    g_assert_cmpstr(f->b->ops->name, ==, "file");
    g_assert_cmpuint(listing->raws->len, ==, 2);
    g_assert_cmpuint(listing->devices->len, ==, 0);
    const BackendRaw *left = listing->raws->pdata[0], *right = listing->raws->pdata[1];
    g_assert_cmpstr(left->id, ==, "left");
    g_assert_cmphex(left->range.start, ==, 0x100000);
    g_assert_cmphex(left->range.end, ==, 0x104000);
    g_assert_cmpint(left->node, ==, 3);
    g_assert_cmpint(left->local_node, ==, 3);
    g_assert_cmpuint(left->step, ==, 4096);
    g_assert_cmpuint(left->lead, ==, 0);
    g_assert_cmpuint(left->minimum, ==, 4096);
    g_assert_true(left->free_slots == UINT64_MAX);
    g_assert_cmpint(left->kind, ==, BACKEND_RAW_FILE);
    g_assert_cmpstr(left->persistence, ==, "file");
    g_assert_null(left->unusable);
    g_assert_cmpint(right->node, ==, 5);
    g_assert_cmpint(right->local_node, ==, 1);
    g_assert_cmpuint(right->step, ==, 2u << 20);
    g_assert_cmpuint(right->lead, ==, 512);
    g_assert_cmpuint(right->minimum, ==, 4u << 20);
    g_assert_false(sd_id128_equal(left->cookie, right->cookie));
    g_assert_false(sd_id128_is_null(left->cookie));
}

static void test_life(Fixture *f, gconstpointer unused) {
    g_autofree char *before = names_in(f->dir);

    create(f->b, &data3);
    create(f->b, &mgmt2);
    create(f->b, &data1);
    for (int round = 0; round < 2; round++) {
        g_autoptr(BackendListing) listing = list(f->b);
        struct stat st;

        g_assert_cmpuint(listing->devices->len, ==, 3);
        const BackendDevice *d1 = listing->devices->pdata[0], *d2 = listing->devices->pdata[1],
                            *d3 = listing->devices->pdata[2];
        g_assert_true(frame_range_equal(d1->device, (FrameRange){ data1.start, data1.end }));
        g_assert_true(frame_range_equal(d1->usable, d1->device));
        g_assert_cmpint(d2->role, ==, BACKEND_ROLE_MGMT);
        g_assert_true(frame_range_equal(d3->device, (FrameRange){ data3.start, data3.end }));
        g_assert_true(frame_range_equal(d3->usable, (FrameRange){ data3.start + 512, data3.end }));
        g_assert_cmpstr(d3->raw_id, ==, "right");
        g_assert_cmpstr(d3->mode, ==, "file");
        g_assert_cmpstr(d3->tag, ==, "pmemd:data:aabbccdd:40000003");
        g_assert_false(d3->held);
        g_autofree char *path = path_of(f, BACKEND_ROLE_DATA, 3);
        g_assert_cmpstr(d3->path, ==, path);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, 0x400 * 4096); /* the lead is not in the file */
        g_assert_cmpint(st.st_blocks, ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0600);
        g_assert_cmpint(stat(d2->path, &st), ==, 0);
        g_assert_cmpint(st.st_blocks, >=, 0x1000 * 8); /* preallocated */
        reopen(f);
    }

    BackendOutcome outcome;
    g_autoptr(GError) error = NULL;
    g_assert_false(try_destroy(f->b, 1, BACKEND_ROLE_MGMT, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");

    destroy(f->b, 1, BACKEND_ROLE_DATA);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
    destroy(f->b, 1, BACKEND_ROLE_DATA); /* not there: fine */
    destroy(f->b, 2, BACKEND_ROLE_MGMT);
    destroy(f->b, 3, BACKEND_ROLE_DATA);
    g_autofree char *after = names_in(f->dir);
    g_assert_cmpstr(before, ==, after);
}

static void test_refused(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *what;
        Want want;
        int code;
    } rows[] = {
        { "unknown raw", { 9, BACKEND_ROLE_DATA, "middle", 0x100800, 0x100900 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "empty", { 9, BACKEND_ROLE_DATA, "left", 0x101800, 0x101800 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "backwards", { 9, BACKEND_ROLE_DATA, "left", 0x101800, 0x101700 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "before raw", { 9, BACKEND_ROLE_DATA, "left", 0xfffff, 0x100008 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "past raw", { 9, BACKEND_ROLE_DATA, "left", 0x103fff, 0x104001 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "all there is", { 9, BACKEND_ROLE_DATA, "left", 0, UINT64_MAX }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "start off step", { 9, BACKEND_ROLE_DATA, "right", 0x201001, 0x202000 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "size off step", { 9, BACKEND_ROLE_DATA, "right", 0x201000, 0x202001 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "only a lead", { 9, BACKEND_ROLE_DATA, "right", 0x201000, 0x201200 }, PMEMD_ERROR_INVALID_ARGUMENT },
        { "same range", { 9, BACKEND_ROLE_DATA, "left", 0x100010, 0x100110 }, PMEMD_ERROR_EXISTS },
        { "encloses", { 9, BACKEND_ROLE_DATA, "left", 0x100000, 0x100200 }, PMEMD_ERROR_EXISTS },
        { "inside", { 9, BACKEND_ROLE_DATA, "left", 0x100020, 0x100030 }, PMEMD_ERROR_EXISTS },
        { "last frame", { 9, BACKEND_ROLE_DATA, "left", 0x10010f, 0x100111 }, PMEMD_ERROR_EXISTS },
        { "foreign", { 9, BACKEND_ROLE_DATA, "left", 0x102fff, 0x103001 }, PMEMD_ERROR_BUSY },
        { "same uuid", { 1, BACKEND_ROLE_DATA, "left", 0x101800, 0x101900 }, PMEMD_ERROR_EXISTS },
    };

    create(f->b, &data1);
    put(f->dir, "theirs.dev", "[Device]\nRaw=left\nStartFrame=0x103000\nBytes=0x10000\nName=scratch\nMode=fsdax\n");
    g_autofree char *before = names_in(f->dir);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome = BACKEND_UNKNOWN;

        g_test_message("%s", rows[i].what);
        g_assert_null(try_create(f->b, &rows[i].want, &outcome, &error));
        g_assert_error(error, PMEMD_ERROR, rows[i].code);
        g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
        g_autofree char *after = names_in(f->dir);
        g_assert_cmpstr(before, ==, after);
    }

    /* A tag that is not the uuid's. */
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;
    g_assert_null(f->b->ops->create(f->b,
                                    &(BackendCreate){ .raw_id = "left",
                                                      .device = { 0x101800, 0x101900 },
                                                      .uuid = id_of(9),
                                                      .tag = "pmemd:data:00000000:00000000" },
                                    &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_clear_error(&error);

    /* An image that no description goes with is somebody's: it is not replaced, and nothing is left of the attempt. */
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 9);
    g_assert_true(g_file_set_contents(image, "theirs", -1, NULL));
    g_autofree char *with_image = names_in(f->dir);
    g_assert_null(try_create(f->b, &(Want){ 9, BACKEND_ROLE_DATA, "left", 0x101800, 0x101900 }, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_autofree char *after = names_in(f->dir);
    g_assert_cmpstr(with_image, ==, after);
}

/* A real failure in the middle, not an ordered one: the file system takes no file of that size. */
static void test_too_big(Fixture *f, gconstpointer unused) {
    g_autofree char *before = names_in(f->dir);
    g_autoptr(GError) error = NULL;
    struct rlimit old;
    BackendOutcome outcome;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ .rlim_cur = 65536, .rlim_max = old.rlim_max }), ==, 0);
    BackendDevice *device = try_create(f->b, &data1, &outcome, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    signal(SIGXFSZ, handler);
    g_assert_null(device);
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE);
    g_assert_nonnull(strstr(error->message, "1048576 bytes"));
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_autofree char *after = names_in(f->dir);
    g_assert_cmpstr(before, ==, after);
    create(f->b, &data1);
}

static void test_foreign(Fixture *f, gconstpointer unused) {
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *ours = g_strconcat(pmemd_uuid_format(id_of(7), uuid), ".dev", NULL);
    BackendOutcome outcome;

    put(f->dir, "theirs.dev", "[Device]\nRaw=right\nStartFrame=0x203000\nBytes=0x400000\nName=scratch\nMode=fsdax\n");
    /* A tag of ours in a file that is not named after the tag's uuid makes nothing ours. */
    put(f->dir, "copy.dev",
        "[Device]\nTag=pmemd:data:aabbccdd:40000001\nRaw=left\nStartFrame=0x100000\nBytes=0x1000\n");
    put(f->dir, ours, "[Device]\nTag=pmemd:data:aabbccdd:40000008\nRaw=left\nStartFrame=0x100001\nBytes=0x1000\n");
    g_autofree char *before = names_in(f->dir);

    g_autoptr(BackendListing) listing = list(f->b);
    g_assert_cmpuint(listing->devices->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const BackendDevice *d = listing->devices->pdata[i];
        g_assert_cmpint(d->role, ==, BACKEND_ROLE_NONE);
        g_assert_cmpint(d->state, ==, BACKEND_DEVICE_COMPLETE);
    }
    const BackendDevice *theirs = listing->devices->pdata[2];
    g_assert_cmpstr(theirs->name, ==, "scratch");
    g_assert_cmpstr(theirs->mode, ==, "fsdax");
    g_assert_true(sd_id128_is_null(theirs->uuid));

    g_autoptr(GError) error = NULL;
    g_assert_false(f->b->ops->destroy(f->b, id_of(7), "pmemd:data:aabbccdd:40000008", &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_content(f->b, id_of(7), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_autofree char *after = names_in(f->dir);
    g_assert_cmpstr(before, ==, after);
}

static void test_bad_record(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "", "Device" },
        { "nonsense", "x.dev" },
        { "[Device]\nRaw=left\nBytes=0x1000\n", "StartFrame" },
        { "[Device]\nRaw=left\nStartFrame=-1\nBytes=0x1000\n", "StartFrame=-1" },
        { "[Device]\nRaw=left\nStartFrame=0x100000\n", "Bytes" },
        { "[Device]\nRaw=left\nStartFrame=0x100000\nBytes=0x1001\n", "Bytes=0x1001" },
        { "[Device]\nRaw=left\nStartFrame=0x100000\nBytes=0\n", "Bytes=0x0" },
        { "[Device]\nRaw=left\nStartFrame=0x100000\nBytes=0x1000\nLead=1\n", "Lead=0x1" },
        { "[Device]\nRaw=left\nStartFrame=0xffffffffff\nBytes=0x2000\n", "StartFrame=0xffffffffff" },
        { "[Device]\nRaw=left\nStartFrame=0x100000\nBytes=0xfffffffffffff000\n", "Bytes=0xfffffffffffff000" },
        { "[Device]\nStartFrame=0x100000\nBytes=0x1000\n", "Raw" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        /* It is listed, and nothing new is made as long as nobody knows which frames it has. */
        put(f->dir, "x.dev", rows[i].text);
        g_autoptr(BackendListing) listing = f->b->ops->list(f->b, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(listing->devices->len, ==, 1);
        const BackendDevice *device = g_ptr_array_index(listing->devices, 0);
        g_assert_cmpstr(device->name, ==, "x.dev");
        g_assert_cmpstr(device->mode, ==, "unreadable");
        g_assert_cmpint(device->role, ==, BACKEND_ROLE_NONE);
        g_assert_cmphex(device->device.start, ==, device->device.end);
        for (guint k = 0; k < listing->raws->len; k++) {
            const BackendRaw *raw = g_ptr_array_index(listing->raws, k);

            g_assert_nonnull(raw->unusable);
            g_test_message("%s", raw->unusable);
            if (i > 0)
                g_assert_nonnull(strstr(raw->unusable, rows[i].says));
            g_assert_nonnull(strstr(raw->unusable, "x.dev"));
        }
    }
    g_autoptr(GError) refused = NULL;
    BackendOutcome unchanged = BACKEND_UNKNOWN;
    g_assert_null(try_create(f->b, &data1, &unchanged, &refused));
    g_assert_error(refused, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_cmpint(unchanged, ==, BACKEND_UNCHANGED);
    g_autofree char *bad = g_build_filename(f->dir, "x.dev", NULL);
    g_assert_cmpint(g_unlink(bad), ==, 0);

    /* The same when the device is asked for by its uuid: never "not there". */
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *name = g_strconcat(pmemd_uuid_format(id_of(1), uuid), ".dev", NULL);
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;
    put(f->dir, name, "damaged");
    g_assert_false(try_destroy(f->b, 1, BACKEND_ROLE_DATA, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_medium(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_clear_error(&error);
    g_assert_null(try_create(f->b, &data1, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_true(there(f->dir, name));
}

/* An image whose description somebody removed is listed, takes no frames, and nothing is made of its uuid. */
static void test_leftover(Fixture *f, gconstpointer unused) {
    char uuid[PMEMD_UUID_STRING_MAX];
    g_autofree char *record = g_strconcat(f->dir, "/", pmemd_uuid_format(id_of(1), uuid), ".dev", NULL);
    g_autoptr(GError) error = NULL;

    create(f->b, &data1);
    put(f->dir, "data-1.img", "");
    put(f->dir, "other.img", "");
    g_assert_cmpint(g_unlink(record), ==, 0);
    g_autoptr(BackendListing) listing = f->b->ops->list(f->b, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(listing->devices->len, ==, 1);
    const BackendDevice *device = g_ptr_array_index(listing->devices, 0);
    g_autofree char *image = g_strconcat("data-", uuid, ".img", NULL);
    g_assert_cmpstr(device->name, ==, image);
    g_assert_cmpstr(device->mode, ==, "leftover");
    g_assert_cmpint(device->role, ==, BACKEND_ROLE_NONE);
    g_assert_true(sd_id128_is_null(device->uuid));
    g_assert_cmphex(device->device.start, ==, device->device.end);
    for (guint i = 0; i < listing->raws->len; i++)
        g_assert_null(((const BackendRaw *) g_ptr_array_index(listing->raws, i))->unusable);

    /* With a description that cannot be read it is that one's. */
    put(f->dir, strrchr(record, '/') + 1, "damaged");
    g_autoptr(BackendListing) again = f->b->ops->list(f->b, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->devices->len, ==, 1);
    device = g_ptr_array_index(again->devices, 0);
    g_assert_cmpstr(device->mode, ==, "unreadable");
    g_assert_true(sd_id128_equal(device->uuid, id_of(1)));
}

/* More than one thread reads: every description is listed once, by address. */
static void test_many_foreign(Fixture *f, gconstpointer unused) {
    enum {
        N = 700
    };
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < N; i++) {
        g_autofree char *name = g_strdup_printf("%u.dev", i);
        g_autofree char *text =
            g_strdup_printf("[Device]\nRaw=left\nStartFrame=0x%x\nBytes=0x1000\n", 0x100000 + i * 0x1d % 0x1000);

        put(f->dir, name, text);
    }
    g_autoptr(BackendListing) listing = f->b->ops->list(f->b, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(listing->devices->len, ==, N);
    for (guint i = 1; i < N; i++)
        g_assert_cmphex(((const BackendDevice *) g_ptr_array_index(listing->devices, i - 1))->device.start, <,
                        ((const BackendDevice *) g_ptr_array_index(listing->devices, i))->device.start);
}

/* What is left of a data device can be opened to be erased. */
static void assert_left(Fixture *f, uint32_t id, uint64_t bytes) {
    g_autoptr(GError) error = NULL;
    g_autoptr(BackendContent) content = f->b->ops->open_content(f->b, id_of(id), &error);

    g_assert_no_error(error);
    g_assert_cmpuint(content->size, ==, bytes);
    g_assert_cmpint(content->zero(content, 0, bytes), ==, 0);
}

static void test_partial(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    g_autofree char *target = g_build_filename(f->dir, "target", NULL);
    g_autoptr(GError) error = NULL;

    create(f->b, &data1);
    g_assert_cmpint(truncate(image, 4096), ==, 0);
    g_assert_cmpstr(look(f->b, 1), ==, "partial");
    assert_left(f, 1, 4096);
    g_assert_cmpint(truncate(image, 0), ==, 0);
    assert_left(f, 1, 0);

    /* Removed, but not yet its description: a destruction was cut off, and must be taken up again. */
    g_assert_cmpint(g_unlink(image), ==, 0);
    g_assert_cmpstr(look(f->b, 1), ==, "partial");
    assert_left(f, 1, 0);

    /* A link to a file of the right size is not followed, neither to look nor to erase nor to remove. */
    put(f->dir, "target", "");
    g_assert_cmpint(truncate(target, 0x100 * 4096), ==, 0);
    g_assert_cmpint(symlink(target, image), ==, 0);
    g_assert_cmpstr(look(f->b, 1), ==, "partial");
    g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED);
    destroy(f->b, 1, BACKEND_ROLE_DATA);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
    g_assert_false(there(f->dir, image));
    g_assert_true(there(f->dir, "target"));
}

static void test_region_gone(Fixture *f, gconstpointer unused) {
    BackendOutcome outcome;
    g_autoptr(GError) error = NULL;

    create(f->b, &data1);
    create(f->b, &data3);
    put(f->dir, "regions.conf", "[other]\nStartFrame=0x100000\nBytes=64M\nAlignment=4K\n");
    reopen(f);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
    g_assert_cmpstr(look(f->b, 3), ==, "absent");
    g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
    g_clear_error(&error);
    g_assert_null(try_create(f->b, &(Want){ 9, BACKEND_ROLE_DATA, "other", data1.start, data1.end }, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS);
    g_clear_error(&error);

    /* The name is there, but at another place. */
    put(f->dir, "regions.conf", "[left]\nStartFrame=0x100100\nBytes=64M\nAlignment=4K\n");
    reopen(f);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
    g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
    put(f->dir, "regions.conf", REGIONS("auto"));
    reopen(f);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");
    g_assert_cmpstr(look(f->b, 3), ==, "complete");
}

/* ---- held ---- */

/* A list does not ask who holds a whole data device; what would change it does. */
static void assert_held(Fixture *f) {
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;

    g_assert_cmpstr(look(f->b, 1), ==, "complete");
    g_assert_false(try_destroy(f->b, 1, BACKEND_ROLE_DATA, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");
}

/* Of a half-made one, which recovery would destroy, the list says it. */
static void test_held_partial(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);

    create(f->b, &data1);
    int fd = open(image, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    g_assert_cmpstr(look(f->b, 1), ==, "partial+held");
    close(fd);
    g_assert_cmpstr(look(f->b, 1), ==, "partial");
}

static void test_held(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);

    create(f->b, &data1);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    assert_held(f);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    g_assert_true(map != MAP_FAILED);
    close(fd);
    assert_held(f); /* mapped, and no descriptor left */
    munmap(map, 4096);
    fd = open(image, O_RDWR | O_CLOEXEC);
    assert_held(f);
    close(fd);

    /* In another process. */
    int to_child[2], to_parent[2];
    char c;
    g_assert_cmpint(pipe2(to_child, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(to_parent, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        int own = open(image, O_RDONLY);
        _exit(own < 0 || write(to_parent[1], "x", 1) != 1 || read(to_child[0], &c, 1) != 1);
    }
    g_assert_cmpint(read(to_parent[0], &c, 1), ==, 1);
    assert_held(f);
    g_assert_cmpint(write(to_child[1], "x", 1), ==, 1);
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }

    g_assert_cmpstr(look(f->b, 1), ==, "complete");
    destroy(f->b, 1, BACKEND_ROLE_DATA);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
}

/* Others open the image again and again while it is looked at: nobody is killed by the lease, nobody fails. */
typedef struct {
    const char *image;
    int stop;
} Opener;

static gpointer open_and_close(gpointer data) {
    Opener *opener = data;
    guint failed = 0;

    while (!g_atomic_int_get(&opener->stop)) {
        int fd = open(opener->image, O_RDWR | O_CLOEXEC);
        failed += fd < 0;
        if (fd >= 0)
            close(fd);
    }
    return GUINT_TO_POINTER(failed);
}

static void test_held_race(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    Opener shared = { .image = image };

    create(f->b, &data1);
    GThread *thread = g_thread_new("opener", open_and_close, &shared);
    for (int i = 0; i < 3000; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(BackendContent) content = f->b->ops->open_content(f->b, id_of(1), &error);

        g_assert_true(content || g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_BUSY));
    }
    g_atomic_int_set(&shared.stop, 1);
    g_assert_cmpuint(GPOINTER_TO_UINT(g_thread_join(thread)), ==, 0);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");
}

/* ---- renewing ---- */

static ino_t inode_of(const char *path) {
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_ino;
}

static void assert_renewed(Backend *b) {
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;

    g_assert_true(try_renew(b, 1, &outcome, &error));
    g_assert_no_error(error);
}

/* Refused, with the process' own number and how it uses the image; nothing has changed. */
static void assert_not_renewed(Backend *b, const char *use) {
    g_autofree char *who = g_strdup_printf("process %d (", (int) getpid());
    g_autofree char *refusals[3] = { NULL, NULL, NULL };
    BackendOutcome outcome = BACKEND_UNKNOWN;
    g_autoptr(GError) error = NULL, of_content = NULL, of_destroy = NULL, of_mappers = NULL;

    g_assert_false(try_renew(b, 1, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_assert_null(b->ops->open_content(b, id_of(1), &of_content));
    g_assert_error(of_content, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_false(try_destroy(b, 1, BACKEND_ROLE_DATA, &outcome, &of_destroy));
    g_assert_error(of_destroy, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    refusals[0] = g_strdup(error->message);
    refusals[1] = g_strdup(of_content->message);
    refusals[2] = g_strdup(of_destroy->message);
    for (int i = 0; i < 3; i++) {
        g_assert_nonnull(strstr(refusals[i], who));
        g_assert_nonnull(strstr(refusals[i], use));
        g_clear_pointer(&refusals[i], g_free);
    }
    g_autoptr(MapperList) list = b->ops->mappers(b, id_of(1), &of_mappers);
    g_assert_no_error(of_mappers);
    g_assert_cmpuint(list->found->len, ==, 1);
    g_assert_cmpint(g_array_index(list->found, Mapper, 0).pid, ==, getpid());
}

static void assert_nobody(Backend *b, unsigned n) {
    g_autoptr(GError) error = NULL;
    g_autoptr(MapperList) list = b->ops->mappers(b, id_of(n), &error);

    g_assert_no_error(error);
    g_assert_true(mapper_list_is_empty(list));
}

static void test_renew(Fixture *f, gconstpointer unused) {
    const size_t size = 0x2000 * 4096ul, end = size - 5;
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    struct stat before, after;
    int sockets[2];

    create(f->b, &(Want){ 1, BACKEND_ROLE_DATA, "left", 0x100000, 0x102000 });
    write_at(image, 4096, 5000);
    write_at(image, size / 2 + 1, 3 << 20);
    write_at(image, (off_t) end, 5);

    /* Nobody has a descriptor: none has to be made dead. */
    assert_nobody(f->b, 1);
    ino_t inode = inode_of(image);
    assert_renewed(f->b);
    g_assert_cmpuint(inode_of(image), ==, inode);

    int fd = open(image, O_RDWR | O_CLOEXEC);
    assert_not_renewed(f->b, "has it open");
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    g_assert_true(map != MAP_FAILED);
    close(fd);
    assert_not_renewed(f->b, "has it mapped");
    munmap(map, 4096);
    g_assert_cmpuint(inode_of(image), ==, inode);

    /* One in no table: it stays with the old file. */
    hide_descriptor(image, sockets);
    assert_nobody(f->b, 1);
    g_assert_cmpint(stat(image, &before), ==, 0);
    assert_renewed(f->b);
    g_assert_cmpint(stat(image, &after), ==, 0);
    fd = hidden_descriptor(sockets);
    g_assert_cmpuint(after.st_ino, !=, before.st_ino);
    g_assert_cmpuint(after.st_size, ==, before.st_size);
    g_assert_cmpuint(after.st_mode & 07777, ==, 0600);
    g_assert_cmpuint(after.st_blocks, <=, before.st_blocks); /* as sparse as it was */
    g_assert_cmpint(pwrite(fd, "hidden", 6, 0), ==, 6);
    close(fd);
    g_assert_cmpuint(dirty_bytes(image, 0, 4096), ==, 0);
    g_assert_cmpuint(dirty_bytes(image, 4096, 9096), ==, 5000);
    g_assert_cmpuint(dirty_bytes(image, 9096, size / 2 + 1), ==, 0);
    g_assert_cmpuint(dirty_bytes(image, size / 2 + 1, end), ==, 3 << 20);
    g_assert_cmpuint(dirty_bytes(image, end, size), ==, 5);

    /* The same before an erase, whose content need not be kept. */
    hide_descriptor(image, sockets);
    g_autoptr(GError) error = NULL;
    g_autoptr(BackendContent) content = f->b->ops->open_content(f->b, id_of(1), &error);
    g_assert_no_error(error);
    g_assert_cmpuint(content->size, ==, size);
    g_assert_cmpint(content->zero(content, 0, size), ==, 0);
    fd = hidden_descriptor(sockets);
    g_assert_cmpint(pwrite(fd, "hidden", 6, 0), ==, 6);
    g_assert_cmpuint(dirty_bytes(image, 0, size), ==, 0);
    g_clear_pointer(&content, backend_content_free);

    /* Nor does one keep it from being destroyed. */
    close(fd);
    hide_descriptor(image, sockets);
    destroy(f->b, 1, BACKEND_ROLE_DATA);
    close(hidden_descriptor(sockets));
}

static void test_renew_refused(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    g_autoptr(GError) error = NULL;
    char tag[BACKEND_TAG_MAX];
    BackendOutcome outcome = BACKEND_UNKNOWN;

    assert_nobody(f->b, 99);
    g_assert_false(try_renew(f->b, 99, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_clear_error(&error);

    create(f->b, &data1);
    backend_tag_format(BACKEND_ROLE_DATA, id_of(7), id_of(1), tag);
    g_assert_false(f->b->ops->renew(f->b, id_of(1), tag, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    g_clear_error(&error);

    g_assert_cmpint(truncate(image, 4096), ==, 0);
    g_assert_false(try_renew(f->b, 1, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED);
    g_clear_error(&error);
    g_assert_cmpint(g_unlink(image), ==, 0);
    g_assert_false(try_renew(f->b, 1, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED);
    assert_nobody(f->b, 1);
    g_assert_cmpint(symlink("/dev/null", image), ==, 0);
    assert_nobody(f->b, 1);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
}

/* ---- media and content ---- */

static void test_medium(Fixture *f, gconstpointer regions) {
    bool mapped = strstr(regions, "Medium=mapped") != NULL;
    g_autoptr(GError) error = NULL;
    static const uint8_t word[8] = "durable";

    create(f->b, &mgmt2);
    create(f->b, &data1);
    Medium *m = f->b->ops->open_medium(f->b, id_of(2), &error);
    g_assert_no_error(error);
    g_assert_nonnull(m);
    g_assert_cmpuint(m->size, ==, 0x1000 * 4096);
    g_assert_cmpint(m->class, ==, mapped ? MEDIUM_CLASS_MAPPED : MEDIUM_CLASS_FILE);
    g_assert_cmpint(medium_readable(m, 0, 4096), ==, 0);
    g_assert_cmpint(medium_base(m)[4088], ==, 0);
    g_assert_cmpint(medium_store(m, 4088, word, 8), ==, 0);
    g_assert_cmpint(medium_flush(m, 4088, 8), ==, 0);
    g_assert_cmpint(medium_fence(m), ==, 0);
    g_assert_cmpstr(look(f->b, 2), ==, "complete+held");
    medium_free(m);
    g_assert_cmpstr(look(f->b, 2), ==, "complete");

    reopen(f);
    m = f->b->ops->open_medium(f->b, id_of(2), &error);
    g_assert_no_error(error);
    g_assert_cmpint(medium_readable(m, 4088, 8), ==, 0);
    g_assert_cmpmem(medium_base(m) + 4088, 8, word, 8);
    medium_free(m);

    g_assert_null(f->b->ops->open_medium(f->b, id_of(1), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_medium(f->b, id_of(99), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION);
    g_clear_error(&error);
    g_assert_null(f->b->ops->open_content(f->b, id_of(2), &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL);
}

static void test_content(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    const size_t size = 0x2000 * 4096ul;
    g_autoptr(GError) error = NULL;
    struct stat dirty, erased;

    create(f->b, &(Want){ 1, BACKEND_ROLE_DATA, "left", 0x100000, 0x102000 });
    write_at(image, 0, 5000);
    write_at(image, 3 * 1048576 + 17, 2097152 + 100);
    write_at(image, (off_t) size - 1, 1);
    g_assert_cmpint(stat(image, &dirty), ==, 0);

    BackendContent *c = f->b->ops->open_content(f->b, id_of(1), &error);
    g_assert_no_error(error);
    g_assert_cmpuint(c->size, ==, size);
    g_assert_cmpint(c->zero(c, size, 1), ==, -EINVAL);
    g_assert_cmpint(c->zero(c, 1, size), ==, -EINVAL);
    g_assert_cmpint(c->zero(c, UINT64_MAX, 2), ==, -EINVAL);
    g_assert_cmpint(c->zero(c, size, 0), ==, 0);
    g_assert_cmpint(c->zero(c, 4096, 904), ==, 0);
    g_assert_cmpuint(dirty_bytes(image, 0, 4096), ==, 4096);
    g_assert_cmpuint(dirty_bytes(image, 4096, 1048576), ==, 0);
    g_assert_cmpuint(dirty_bytes(image, 1048576, size), ==, 2097152 + 101);
    g_assert_cmpint(c->zero(c, 0, size), ==, 0);
    backend_content_free(c);

    g_assert_cmpuint(dirty_bytes(image, 0, size), ==, 0);
    g_assert_cmpint(stat(image, &erased), ==, 0);
    g_assert_cmpint(erased.st_size, ==, (off_t) size);
    g_assert_cmpint(erased.st_blocks, <=, dirty.st_blocks + 16); /* still sparse */
    g_assert_cmpint(erased.st_blocks, <, 3 * 1048576 / 512);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");
}

/* ---- opening ---- */

static void test_lock(Fixture *f, gconstpointer unused) {
    g_autoptr(GError) error = NULL;

    g_assert_null(backend_file_new(f->dir, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, f->dir));

    /* An editor saves by putting another file in its place. */
    g_autofree char *conf = g_build_filename(f->dir, "regions.conf", NULL), *text = NULL;
    g_assert_true(g_file_get_contents(conf, &text, NULL, NULL));
    g_assert_true(g_file_set_contents(conf, text, -1, NULL));
    g_clear_error(&error);
    g_assert_null(backend_file_new(f->dir, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);

    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(GError) failure = NULL;
        _exit(backend_file_new(f->dir, &failure) || !g_error_matches(failure, PMEMD_ERROR, PMEMD_ERROR_BUSY));
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    reopen(f); /* released with the backend */
}

static void assert_not_opened(const char *dir, int code) {
    g_autoptr(GError) error = NULL;

    g_assert_null(backend_file_new(dir, &error));
    g_assert_error(error, PMEMD_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, dir));
}

static void test_place(Fixture *f, gconstpointer unused) {
    g_autofree char *conf = g_build_filename(f->dir, "regions.conf", NULL);
    g_autofree char *real = g_build_filename(f->dir, "real", NULL);

    g_clear_pointer(&f->b, backend_free);
    assert_not_opened("/nonexistent/pmemd", PMEMD_ERROR_HARDWARE);
    assert_not_opened(conf, PMEMD_ERROR_HARDWARE); /* no directory */
    g_assert_cmpint(g_chmod(f->dir, 0770), ==, 0);
    assert_not_opened(f->dir, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(g_chmod(f->dir, 0702), ==, 0);
    assert_not_opened(f->dir, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
    g_assert_cmpint(g_chmod(conf, 0666), ==, 0);
    assert_not_opened(f->dir, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_cmpint(g_chmod(conf, 0644), ==, 0);
    reopen(f);
    g_clear_pointer(&f->b, backend_free);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(f->dir, 65534, 65534), ==, 0);
        assert_not_opened(f->dir, PMEMD_ERROR_NOT_AUTHORIZED);
        g_assert_cmpint(chown(f->dir, 0, 0), ==, 0);
    }
    g_assert_cmpint(g_rename(conf, real), ==, 0);
    assert_not_opened(f->dir, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(symlink(real, conf), ==, 0);
    assert_not_opened(f->dir, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(g_unlink(conf), ==, 0);
    g_assert_cmpint(g_rename(real, conf), ==, 0);
    reopen(f);
}

/* A directory that is left by relative path is still the one that was opened. */
static void test_relative(Fixture *f, gconstpointer unused) {
    g_autofree char *cwd = g_get_current_dir();
    g_autofree char *base = g_path_get_basename(f->dir);

    g_clear_pointer(&f->b, backend_free);
    g_assert_cmpint(g_chdir(g_get_tmp_dir()), ==, 0);
    f->b = backend_file_new(base, NULL);
    g_assert_nonnull(f->b);
    g_assert_cmpint(g_chdir(cwd), ==, 0);
    create(f->b, &data1);
    g_autoptr(BackendListing) listing = list(f->b);
    g_autofree char *path = path_of(f, BACKEND_ROLE_DATA, 1);
    g_assert_cmpstr(((BackendDevice *) listing->devices->pdata[0])->path, ==, path);
}

static void test_many(Fixture *f, gconstpointer unused) {
    enum {
        N = 10000
    };

    for (unsigned n = 0; n < N; n++) {
        char uuid[PMEMD_UUID_STRING_MAX], tag[BACKEND_TAG_MAX];
        g_autofree char *name = g_strconcat(pmemd_uuid_format(id_of(n), uuid), ".dev", NULL);
        g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, n);
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        g_autofree char *text =
            g_strdup_printf("[Device]\nTag=%s\nRaw=left\nStartFrame=0x%x\nBytes=0x1000\n",
                            backend_tag_format(BACKEND_ROLE_DATA, pool, id_of(n), tag), 0x100000 + (n * 7919u) % N);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t) strlen(text));
        close(fd);
        fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
        close(fd);
    }
    gint64 start = g_get_monotonic_time();
    g_autoptr(BackendListing) listing = list(f->b);
    double ms = (double) (g_get_monotonic_time() - start) / 1000;

    g_test_message("%d devices listed in %.1f ms", N, ms);
    g_assert_cmpuint(listing->devices->len, ==, N);
    for (guint i = 0; i < N; i++) {
        const BackendDevice *d = listing->devices->pdata[i];
        g_assert_cmphex(d->device.start, ==, 0x100000 + i);
        g_assert_cmpint(d->state, ==, BACKEND_DEVICE_COMPLETE);
    }
    g_assert_cmpfloat(ms, <, 10000 * test_slowdown()); /* about 200; a sanitizer on a busy machine is far slower */
}

int main(int argc, char **argv) {
    enter_own_proc(argv);
    g_test_init(&argc, &argv, NULL);
#define ADD(name, regions, function) g_test_add("/backend-file/" name, Fixture, regions, set_up, function, tear_down)
    ADD("raw", REGIONS("auto"), test_raw);
    ADD("life", REGIONS("auto"), test_life);
    ADD("refused", REGIONS("auto"), test_refused);
    ADD("too-big", REGIONS("auto"), test_too_big);
    ADD("foreign", REGIONS("auto"), test_foreign);
    ADD("bad-record", REGIONS("auto"), test_bad_record);
    ADD("partial", REGIONS("auto"), test_partial);
    ADD("region-gone", REGIONS("auto"), test_region_gone);
    ADD("leftover", REGIONS("auto"), test_leftover);
    ADD("many-foreign", REGIONS("auto"), test_many_foreign);
    ADD("held", REGIONS("auto"), test_held);
    ADD("held-partial", REGIONS("auto"), test_held_partial);
    ADD("renew", REGIONS("auto"), test_renew);
    ADD("renew-refused", REGIONS("auto"), test_renew_refused);
    ADD("held-race", REGIONS("auto"), test_held_race);
    ADD("medium/mapped", REGIONS("mapped"), test_medium);
    ADD("medium/file", REGIONS("file"), test_medium);
    ADD("content/mapped", REGIONS("mapped"), test_content);
    ADD("content/file", REGIONS("file"), test_content);
    ADD("content/auto", REGIONS("auto"), test_content);
    ADD("lock", REGIONS("auto"), test_lock);
    ADD("place", REGIONS("auto"), test_place);
    ADD("relative", REGIONS("auto"), test_relative);
    ADD("many", REGIONS("auto"), test_many);
    return g_test_run();
}
