/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* health.conf in a listing of backend-file, and clearing bad frames: what is refused, what stays, ordered failures. */
#include "tests/lib/backend-file-fixture.h"

#include "daemon/bad-frames.h"
#include "daemon/frame-set.h"

#define LEFT UINT64_C(0x100000)
#define RIGHT UINT64_C(0x200000)
#define DATA_TAG "pmemd:data:aabbccdd:40000001"

static const Want first = { 1, BACKEND_ROLE_DATA, "left", LEFT + 16, LEFT + 32 };
static const Want pool_of_it = { 2, BACKEND_ROLE_MGMT, "left", LEFT + 64, LEFT + 80 };
static const Want third = { 3, BACKEND_ROLE_DATA, "right", RIGHT, RIGHT + 1024 };

static const BackendRaw *raw_of(const BackendListing *listing, const char *id) {
    for (guint i = 0; i < listing->raws->len; i++) {
        const BackendRaw *raw = listing->raws->pdata[i];

        if (strcmp(raw->id, id) == 0)
            return raw;
    }
    g_assert_not_reached();
}

static uint64_t bad_in(Backend *b, const char *id, uint64_t start, uint64_t end) {
    g_autoptr(BackendListing) listing = list(b);

    return frame_set_frames_in(raw_of(listing, id)->bad, (FrameRange){ start, end });
}

/* It is read at each listing. */
static void test_listed(Fixture *f, gconstpointer unused) {
    g_autoptr(BackendListing) none = list(f->b);
    g_assert_null(raw_of(none, "left")->bad);
    g_assert_null(raw_of(none, "left")->health);
    g_assert_null(raw_of(none, "left")->unusable);

    put(f->dir, "health.conf",
        "[left]\nBadFrames=0x100010+2\n[dimm d1]\nRegions=left right\nState=critical\nSpares=3\n"
        "[dimm d2]\nRegions=right\nState=ok\nFlags=not-armed\n");
    g_autoptr(BackendListing) some = list(f->b);
    const BackendRaw *left = raw_of(some, "left"), *right = raw_of(some, "right");
    g_assert_cmpuint(frame_set_frames_in(left->bad, left->range), ==, 2);
    g_assert_false(left->bad_all);
    g_assert_null(right->bad);
    g_assert_cmpuint(left->health->len, ==, 1);
    g_assert_null(left->unusable);
    g_autoptr(DimmHealth) worst = dimm_healths_worst(right->health);
    g_assert_cmpint(worst->state, ==, HEALTH_CRITICAL);
    g_assert_nonnull(strstr(right->unusable, "d2 is read-only"));

    g_autoptr(BackendRaw) copy = backend_raw_copy(left);
    g_assert_true(frame_set_equal(copy->bad, left->bad));
    g_assert_true(dimm_healths_equal(copy->health, left->health));

    /* More extents than are kept. */
    g_autoptr(GString) text = g_string_new("[left]\nBadFrames=");
    for (unsigned i = 0; i <= BAD_FRAMES_MAX; i++)
        g_string_append_printf(text, "0x%x ", (unsigned) LEFT + 2 * i);
    put(f->dir, "health.conf", text->str);
    g_autoptr(BackendListing) all = list(f->b);
    left = raw_of(all, "left");
    g_assert_true(left->bad_all);
    g_assert_cmpuint(frame_set_frames_in(left->bad, left->range), ==, frame_range_frames(left->range));

    /* What cannot be read hides nothing: there is no listing. */
    g_autoptr(GError) error = NULL;
    put(f->dir, "health.conf", "[left]\nBadFrames=here\n");
    g_assert_null(f->b->ops->list(f->b, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_nonnull(strstr(error->message, "BadFrames=here"));
}

static bool clear(Backend *b, const char *raw, uint64_t start, uint64_t end, unsigned device, const char *tag,
                  uint64_t *ret_frames, BackendOutcome *ret_outcome, GError **error) {
    const BackendClear req = {
        .raw_id = raw,
        .frames = { start, end },
        .device = device ? id_of(device) : SD_ID128_NULL,
        .tag = tag,
    };

    return b->ops->clear_bad(b, &req, ret_frames, ret_outcome, error);
}

static void put_bad(const Fixture *f) {
    put(f->dir, "health.conf",
        "# kept\n[left]\nBadFrames=0x100000+4 0x100010+4 0x10001c+4 0x100044\n[right]\nBadFrames=0x200000+1024\n");
}

static void test_cleared(Fixture *f, gconstpointer unused) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL, *path = g_build_filename(f->dir, "health.conf", NULL);
    BackendOutcome outcome;
    uint64_t frames;

    create(f->b, &first);
    create(f->b, &third);
    /* Nothing is bad. */
    g_assert_true(clear(f->b, "left", LEFT, LEFT + 16, 0, NULL, &frames, &outcome, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(frames, ==, 0);

    put_bad(f);
    g_assert_true(clear(f->b, "left", LEFT, LEFT + 16, 0, NULL, &frames, &outcome, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(frames, ==, 4);
    g_assert_cmpuint(bad_in(f->b, "left", LEFT, LEFT + 0x1000), ==, 9);

    g_assert_true(clear(f->b, "left", LEFT + 18, LEFT + 29, 1, DATA_TAG, &frames, &outcome, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(frames, ==, 3);
    g_assert_cmpuint(bad_in(f->b, "left", LEFT + 16, LEFT + 18), ==, 2);
    g_assert_cmpuint(bad_in(f->b, "left", LEFT + 18, LEFT + 29), ==, 0);
    g_assert_cmpuint(bad_in(f->b, "left", LEFT + 29, LEFT + 32), ==, 3);
    g_assert_cmpuint(bad_in(f->b, "right", RIGHT, RIGHT + 1024), ==, 1024);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "# kept\n"));
}

static void test_refused(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *raw;
        uint64_t start, end;
        unsigned device;
        const char *tag;
        PmemdError code;
    } rows[] = {
        { "middle", LEFT, LEFT + 1, 0, NULL, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT - 1, LEFT + 1, 0, NULL, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT, LEFT + 0x4001, 0, NULL, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT, LEFT + 17, 0, NULL, PMEMD_ERROR_BUSY },      /* the last one is a device's */
        { "left", LEFT + 31, LEFT + 40, 0, NULL, PMEMD_ERROR_BUSY }, /* the first one is */
        { "left", LEFT + 68, LEFT + 69, 0, NULL, PMEMD_ERROR_BUSY }, /* a pool's */
        { "left", LEFT + 68, LEFT + 69, 1, DATA_TAG, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT + 68, LEFT + 69, 2, "pmemd:mgmt:aabbccdd:40000002", PMEMD_ERROR_INTERNAL },
        { "left", LEFT + 16, LEFT + 18, 1, "pmemd:data:aabbccdd:40000009", PMEMD_ERROR_INTERNAL },
        { "left", LEFT + 16, LEFT + 18, 1, NULL, PMEMD_ERROR_INTERNAL },
        { "left", LEFT + 15, LEFT + 18, 1, DATA_TAG, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT, LEFT + 4, 1, DATA_TAG, PMEMD_ERROR_INVALID_ARGUMENT },
        { "left", LEFT, LEFT + 4, 9, "pmemd:data:aabbccdd:40000009", PMEMD_ERROR_DEGRADED },
        { "right", RIGHT, RIGHT + 1, 3, "pmemd:data:aabbccdd:40000003", PMEMD_ERROR_INVALID_ARGUMENT }, /* the lead */
    };

    create(f->b, &first);
    create(f->b, &pool_of_it);
    create(f->b, &third);
    put_bad(f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome = BACKEND_UNKNOWN;
        uint64_t frames = 9;

        g_test_message("row %zu", i);
        g_assert_false(clear(f->b, rows[i].raw, rows[i].start, rows[i].end, rows[i].device, rows[i].tag, &frames,
                             &outcome, &error));
        g_assert_error(error, PMEMD_ERROR, (int) rows[i].code);
        g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
        g_assert_cmpuint(frames, ==, 0);
    }
    g_assert_cmpuint(bad_in(f->b, "left", LEFT, LEFT + 0x1000), ==, 13);
    g_assert_cmpuint(bad_in(f->b, "right", RIGHT, RIGHT + 1024), ==, 1024);

    /* Somebody has it. */
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;
    uint64_t frames;
    g_autoptr(BackendListing) listing = list(f->b);
    const BackendDevice *device = listing->devices->pdata[0];
    int fd = open(device->path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_false(clear(f->b, "left", LEFT + 16, LEFT + 18, 1, DATA_TAG, &frames, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    close(fd);
    g_clear_error(&error);
    g_assert_true(clear(f->b, "left", LEFT + 16, LEFT + 18, 1, DATA_TAG, &frames, &outcome, &error));
    g_assert_no_error(error);
}

static void test_faults(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *when;
        BackendOutcome outcome;
        uint64_t frames;
    } rows[] = {
        { "before", BACKEND_UNCHANGED, 0 },
        { "partial", BACKEND_UNKNOWN, 2 },
        { "after", BACKEND_UNKNOWN, 4 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *order = g_strdup_printf("[clear_bad]\nWhen=%s\nError=EIO\n", rows[i].when);
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome;
        uint64_t frames;

        put(f->dir, "health.conf", "[left]\nBadFrames=0x100010+4\n");
        put(f->dir, "inject.conf", order);
        g_assert_false(clear(f->b, "left", LEFT, LEFT + 64, 0, NULL, &frames, &outcome, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        g_assert_cmpint(outcome, ==, rows[i].outcome);
        g_assert_cmpuint(frames, ==, rows[i].frames);
        g_assert_cmpuint(bad_in(f->b, "left", LEFT, LEFT + 64), ==, 4 - rows[i].frames);
        g_assert_false(there(f->dir, "inject.conf"));
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                                            \
    g_test_add("/backend-file-clear/" name, Fixture, REGIONS("auto"), set_up, function, tear_down)
    ADD("listed", test_listed);
    ADD("cleared", test_cleared);
    ADD("refused", test_refused);
    ADD("faults", test_faults);
    return g_test_run();
}
