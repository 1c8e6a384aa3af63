/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of daemon/file-index: against a plain list of all extents, and with changes that somebody else makes. */
#include "daemon/file-index.h"

#include "proto/error.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define N_PLACES 2000u
#define N_STEPS 20000

typedef struct {
    char *dir;
    int dirfd;
    FileIndex *index;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused) {
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("pmemd-file-index-XXXXXX", &error);
    g_assert_no_error(error);
    f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->dirfd, >=, 0);
    f->index = file_index_new(f->dirfd, f->dir);
}

static void tear_down(Fixture *f, gconstpointer unused) {
    g_autoptr(GDir) d = g_dir_open(f->dir, 0, NULL);

    for (const char *name = g_dir_read_name(d); name; name = g_dir_read_name(d))
        g_assert_cmpint(unlinkat(f->dirfd, name, 0), ==, 0);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    file_index_free(f->index);
    close(f->dirfd);
    g_free(f->dir);
}

static void put(const Fixture *f, const char *name, const char *text) {
    int fd = openat(f->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t) strlen(text));
    close(fd);
}

static void put_device(const Fixture *f, const char *name, FrameRange range) {
    g_autofree char *text =
        g_strdup_printf("[Device]\nRaw=left\nStartFrame=0x%" G_GINT64_MODIFIER "x\nBytes=0x%" G_GINT64_MODIFIER "x\n",
                        range.start, frame_range_frames(range) << PMEMD_FRAME_SHIFT);
    put(f, name, text);
}

static bool is_clear(const Fixture *f, uint64_t start, uint64_t end) {
    g_autoptr(GError) error = NULL;
    bool clear = false;

    g_assert_true(file_index_is_clear(f->index, (FrameRange){ start, end }, &clear, &error));
    g_assert_no_error(error);
    return clear;
}

/* What goes was never there: then the index is not believed, and made again. */
static void test_unknown_goes(Fixture *f, gconstpointer unused) {
    g_assert_true(is_clear(f, 0, 1000));
    file_index_removed(f->index, "a.dev", (FrameRange){ 10, 20 });
    g_assert_true(is_clear(f, 0, 1000));
    file_index_added(f->index, "a.dev", (FrameRange){ 10, 20 });
    file_index_removed(f->index, "a.dev", (FrameRange){ 10, 15 });
    g_assert_true(is_clear(f, 0, 1000)); /* no description says otherwise */
}

/* Whoever changes a description without a word: each way of it is seen at the next look. */
static void test_others(Fixture *f, gconstpointer unused) {
    g_assert_true(is_clear(f, 0, 1000));
    put_device(f, "a.dev", (FrameRange){ 10, 20 });
    g_assert_false(is_clear(f, 19, 30));
    g_assert_true(is_clear(f, 20, 30));
    g_assert_true(is_clear(f, 0, 10));

    /* written over in its place */
    put_device(f, "a.dev", (FrameRange){ 100, 200 });
    g_assert_true(is_clear(f, 0, 100));
    g_assert_false(is_clear(f, 199, 200));

    /* moved in, a second name of it, moved out */
    put_device(f, "b", (FrameRange){ 300, 400 });
    g_assert_true(is_clear(f, 300, 400));
    g_assert_cmpint(renameat(f->dirfd, "b", f->dirfd, "b.dev"), ==, 0);
    g_assert_false(is_clear(f, 0, 301));
    g_assert_false(is_clear(f, 300, 301));
    g_assert_cmpint(linkat(f->dirfd, "b.dev", f->dirfd, "c.dev", 0), ==, 0);
    g_assert_cmpint(renameat(f->dirfd, "b.dev", f->dirfd, "b"), ==, 0);
    g_assert_false(is_clear(f, 300, 400));
    g_assert_cmpint(unlinkat(f->dirfd, "c.dev", 0), ==, 0);
    g_assert_true(is_clear(f, 300, 400));

    /* a name that we wrote as well: what counts is what is there */
    put_device(f, "d.dev", (FrameRange){ 500, 600 });
    file_index_added(f->index, "d.dev", (FrameRange){ 500, 600 });
    put_device(f, "d.dev", (FrameRange){ 700, 800 });
    g_assert_true(is_clear(f, 500, 600));
    g_assert_false(is_clear(f, 700, 800));
}

/* Foreign descriptions may overlap each other and be one frame long; all count, and go one by one. */
static void test_overlapping(Fixture *f, gconstpointer unused) {
    put_device(f, "a.dev", (FrameRange){ 10, 100 });
    put_device(f, "b.dev", (FrameRange){ 50, 60 });
    put_device(f, "c.dev", (FrameRange){ 10, 100 });
    put_device(f, "d.dev", (FrameRange){ 5, 300 });
    g_assert_false(is_clear(f, 299, 300));
    g_assert_cmpint(unlinkat(f->dirfd, "d.dev", 0), ==, 0);
    g_assert_true(is_clear(f, 299, 300));
    g_assert_cmpint(unlinkat(f->dirfd, "a.dev", 0), ==, 0);
    g_assert_false(is_clear(f, 10, 11));
    g_assert_cmpint(unlinkat(f->dirfd, "c.dev", 0), ==, 0);
    g_assert_true(is_clear(f, 10, 50));
    g_assert_false(is_clear(f, 59, 60));
}

static void test_unreadable(Fixture *f, gconstpointer unused) {
    g_assert_true(is_clear(f, 0, 10));
    put(f, "a.dev", "nonsense");
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        bool clear = true;

        g_assert_false(file_index_is_clear(f->index, (FrameRange){ 0, 10 }, &clear, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
        g_assert_true(clear); /* untouched */
    }
    g_assert_cmpint(unlinkat(f->dirfd, "a.dev", 0), ==, 0);
    g_assert_true(is_clear(f, 0, 10));
}

/* Place i has the frames [10 i, 10 i + 1 + i % 10). */
static FrameRange place(guint i) {
    return (FrameRange){ 10u * i, 10u * i + 1 + i % 10 };
}

/* Own changes alone, many. The files themselves are not made: a reading of all of them would say something else. */
static void test_many(Fixture *f, gconstpointer unused) {
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    bool there[N_PLACES] = { false };

    g_assert_true(is_clear(f, 0, 10 * N_PLACES));
    for (int step = 0; step < N_STEPS; step++) {
        guint i = (guint) g_rand_int_range(rand, 0, N_PLACES);
        g_autofree char *name = g_strdup_printf("%u.dev", i);

        /* Filled first, emptied at the end: chunks split and go. */
        if (there[i] && (step > N_STEPS / 2 || i % 3 == 0))
            file_index_removed(f->index, name, place(i));
        else if (!there[i] && step < N_STEPS * 3 / 4)
            file_index_added(f->index, name, place(i));
        else
            continue;
        there[i] = !there[i];

        guint from = (guint) g_rand_int_range(rand, 0, N_PLACES - 3), n = (guint) g_rand_int_range(rand, 1, 4);
        FrameRange range = { 10u * from + 5, 10u * (from + n) + 2 };
        bool clear = true;
        for (guint k = from; k <= from + n && k < N_PLACES; k++)
            clear &= !there[k] || !frame_range_overlaps(place(k), range);
        g_assert_cmpint(is_clear(f, range.start, range.end), ==, clear);
    }
    /* Not a word of it is on the disk: who distrusts sees that. */
    file_index_distrust(f->index);
    g_assert_true(is_clear(f, 0, 10 * N_PLACES));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/file-index/others", Fixture, NULL, set_up, test_others, tear_down);
    g_test_add("/file-index/unknown-goes", Fixture, NULL, set_up, test_unknown_goes, tear_down);
    g_test_add("/file-index/overlapping", Fixture, NULL, set_up, test_overlapping, tear_down);
    g_test_add("/file-index/unreadable", Fixture, NULL, set_up, test_unreadable, tear_down);
    g_test_add("/file-index/many", Fixture, NULL, set_up, test_many, tear_down);
    return g_test_run();
}
