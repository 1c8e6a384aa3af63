/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/mappers: a /proc made of files, with whatever a process may write into its own; the bounds of a look;
 * what is said to whom; and the host's own /proc.
 */
#include "daemon/mappers.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* Device numbers that every host has. */
#define NULL_DEVICE makedev(1, 3)
#define ZERO_DEVICE makedev(1, 5)

typedef struct {
    char *dir;
    MappersLimits limits;
} Fixture;

static void put(const Fixture *f, const char *name, const char *text, gssize len) {
    g_autofree char *path = g_build_filename(f->dir, name, NULL), *folder = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, len, &error));
    g_assert_no_error(error);
}

static void put_link(const Fixture *f, const char *name, const char *target) {
    g_autofree char *path = g_build_filename(f->dir, name, NULL), *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void put_process(const Fixture *f, int pid, const char *comm, const char *maps) {
    g_autofree char *folder = g_strdup_printf("%s/%d/fd", f->dir, pid), *name = g_strdup_printf("%d/comm", pid);
    g_autofree char *stat = g_strdup_printf("%d/stat", pid), *maps_name = g_strdup_printf("%d/maps", pid);
    g_autofree char *task = g_strdup_printf("%s/%d/task/%d", f->dir, pid, pid);
    g_autofree char *text =
        g_strdup_printf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, comm, 1000 + pid);
    g_autofree char *line = g_strconcat(comm, "\n", NULL);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents(task, 0700), ==, 0);
    put(f, name, line, -1);
    put(f, stat, text, -1);
    put(f, maps_name, maps, -1);
}

static void remove_tree(const char *path) {
    g_autoptr(GDir) d = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);

    for (const char *name = d ? g_dir_read_name(d) : NULL; name; name = g_dir_read_name(d)) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        remove_tree(inner);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static void set_up(Fixture *f, gconstpointer unused) {
    f->dir = g_dir_make_tmp("pmemd-mappers-XXXXXX", NULL);
    f->limits = MAPPERS_LIMITS_DEFAULT;
    f->limits.root = f->dir;
    f->limits.max_usec = 60 * G_USEC_PER_SEC;
    put_process(f, 1, "init", "1000-2000 r-xp 00000000 08:01 77      /sbin/init\n");
    put(f, "meminfo", "not a process\n", -1);
}

static void tear_down(Fixture *f, gconstpointer unused) {
    remove_tree(f->dir);
    g_free(f->dir);
}

static char *pids(const GArray *found, unsigned use) {
    g_autoptr(MapperList) list = mapper_list_new(found, use, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < list->found->len; i++)
        g_string_append_printf(text, "%s%d", i > 0 ? " " : "", (int) g_array_index(list->found, Mapper, i).pid);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void assert_pids(const GArray *found, unsigned use, const char *wanted) {
    g_autofree char *got = pids(found, use);

    g_assert_cmpstr(got, ==, wanted);
}

static void assert_gap(const Mappers *mappers, const char *says) {
    g_assert_nonnull(mappers_gap(mappers));
    g_assert_nonnull(strstr(mappers_gap(mappers), says));
}

/* --- devices --- */

static void test_devices(Fixture *f, gconstpointer unused) {
    put_process(f, 20, "late", "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0\n");
    put_link(f, "20/map_files/5000-6000", "/dev/null");
    put_process(f, 3, "two",
                "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0 (deleted)\n"
                "6000-7000 rw-s 00000000 00:05 13      /dev/dax0.1\n");
    put_link(f, "3/map_files/5000-6000", "/dev/null");
    put_link(f, "3/map_files/6000-7000", "/dev/zero");
    put_link(f, "3/fd/7", "/dev/null");
    put_process(f, 4, "opens", "");
    put_link(f, "4/fd/0", "/dev/zero");
    put_link(f, "4/fd/1", "/dev/null/gone");
    put_link(f, "4/fd/2", "/");

    g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
    g_assert_null(mappers_gap(m));
    assert_pids(mappers_of_char(m, NULL_DEVICE), MAPPERS_MAPPED, "3 20");
    assert_pids(mappers_of_char(m, NULL_DEVICE), MAPPERS_OPEN, "3");
    assert_pids(mappers_of_char(m, ZERO_DEVICE), MAPPERS_MAPPED, "3");
    assert_pids(mappers_of_char(m, ZERO_DEVICE), MAPPERS_MAPPED | MAPPERS_OPEN, "3 4");
    g_assert_null(mappers_of_block(m, NULL_DEVICE));
    g_assert_null(mappers_of_file(m));
    const Mapper *two = &g_array_index(mappers_of_char(m, NULL_DEVICE), Mapper, 0);
    g_assert_cmpuint(two->start_time, ==, 1003);
    g_assert_cmpuint(two->uid, ==, getuid());
    g_assert_cmpstr(two->comm, ==, "two");
}

/* What a process can have in its maps and its name, none of which hides or invents a mapping. */
static void test_hostile(Fixture *f, gconstpointer unused) {
    g_autoptr(GString) maps = g_string_new(NULL);

    for (guint i = 0; i < 40000; i++) /* more than one buffer, lines cut at each place */
        g_string_append_printf(maps, "%x000-%x000 rw-s 00000000 00:01 %u      /memfd:x (deleted)\n", i + 16, i + 17, i);
    g_string_append(maps, "fff0000-fff1000 rw-s 00000000 00:05 12      /dev/dax0.0\n");
    put_process(f, 5, "a) S 1 1 (b", maps->str);
    put_link(f, "5/map_files/fff0000-fff1000", "/dev/null");
    put_process(f, 6, "new\\012line",
                "5000-6000 r--s 00000000 00:05 12      /tmp/ a\\0125000-6000 rw-s 0 00:05 12 /dev/dax0.0\n"
                "7000-8000 r--p 00000000 00:05 12\n"
                "8000-9000 ---p 00000000 00:00 0                          [stack]\n");
    put_link(f, "6/map_files/5000-6000", "/dev/zero");
    put(f, "6/comm", "\x1b[31m\xff\xfe\n\n", 9);

    g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
    g_assert_null(mappers_gap(m));
    assert_pids(mappers_of_char(m, NULL_DEVICE), MAPPERS_MAPPED, "5");
    assert_pids(mappers_of_char(m, ZERO_DEVICE), MAPPERS_MAPPED, "6");
    g_assert_cmpuint(g_array_index(mappers_of_char(m, NULL_DEVICE), Mapper, 0).start_time, ==, 1005);
    g_assert_cmpstr(g_array_index(mappers_of_char(m, ZERO_DEVICE), Mapper, 0).comm, ==, "?[31m???");
}

/* What makes no sense is no "nobody". */
static void test_nonsense(Fixture *f, gconstpointer unused) {
    g_autofree char *endless = g_strnfill(1 << 20, 'x');
    const char *const texts[] = {
        "garbage\n",
        "5000-6000 rw-s\n",
        "5000-6000 rw-s 00000000 00:05 -1      /dev/dax0.0\n",
        "5000-6000 rw-s 00000000 00:05 99999999999999999999999      /dev/dax0.0\n",
        "../../1/fd/0- rw-s 00000000 00:05 12      /dev/dax0.0\n",
        "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0", /* no end of line */
        endless,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_test_message("%zu", i);
        put_process(f, 7, "odd", texts[i]);
        g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
        g_assert_cmpstr(mappers_gap(m), ==, "process 7 (odd): its mappings make no sense");
    }
}

/* Whoever ends while it is looked at has nothing mapped any more. */
static void test_vanishing(Fixture *f, gconstpointer unused) {
    g_autofree char *folder = g_strdup_printf("%s/8", f->dir);

    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    put_process(f, 9, "went", "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0\n");
    g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
    g_assert_null(mappers_gap(m));
    g_assert_null(mappers_of_char(m, NULL_DEVICE));
}

/* A process whose first thread has ended shows empty maps and descriptors, and still has both. */
/* The threads' own folders are looked at, which a real /proc does not list: here 11 is seen as a process, too. */
static void test_first_thread_ended(Fixture *f, gconstpointer unused) {
    put_process(f, 10, "zombie", "");
    put(f, "11/maps", "1000-2000 r-xp 00000000 08:01 77      /bin/x\n", -1);
    put_link(f, "10/task/11/fd/3", "/dev/zero");
    put(f, "10/task/12/maps", "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0\n", -1); /* has ended since */
    {
        g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
        g_assert_null(mappers_gap(m));
        assert_pids(mappers_of_char(m, ZERO_DEVICE), MAPPERS_OPEN, "10");
    }
    put(f, "11/maps", "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0\n", -1);
    put_link(f, "11/map_files/5000-6000", "/dev/null");
    {
        g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
        g_assert_null(mappers_gap(m));
        assert_pids(mappers_of_char(m, NULL_DEVICE), MAPPERS_MAPPED, "10 11");
    }
    /* Its number is another process' by now. */
    g_autofree char *folder = g_build_filename(f->dir, "10/task/11", NULL);
    remove_tree(folder);
    put(f, "10/task/12/maps", "", -1);
    g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
    assert_pids(mappers_of_char(m, NULL_DEVICE), MAPPERS_MAPPED, "11");
}

/* --- a file --- */

static void test_file(Fixture *f, gconstpointer unused) {
    g_autofree char *image = g_build_filename(f->dir, "data-1.img", NULL);
    g_autofree char *other = g_build_filename(f->dir, "data-2.img", NULL);
    struct stat st;

    put(f, "data-1.img", "x", 1);
    put(f, "data-2.img", "x", 1);
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_autofree char *by_number =
        g_strdup_printf("5000-6000 r--p 00000000 00:2a %" G_GUINT64_FORMAT "      /elsewhere\n", (guint64) st.st_ino);
    put_process(f, 12, "private", by_number);
    put_link(f, "12/map_files/5000-6000", image);
    put_process(f, 13, "named", "5000-6000 rw-s 00000000 00:2a 4      /x/data-1.img (deleted)\n");
    put_link(f, "13/map_files/5000-6000", image);
    put_process(f, 14, "other", "5000-6000 rw-s 00000000 00:2a 4      /x/data-1.img\n");
    put_link(f, "14/map_files/5000-6000", other);
    put_process(f, 15, "opens", "");
    put_link(f, "15/fd/3", image);
    put_link(f, "15/fd/4", other);
    put_process(f, 16, "device", "5000-6000 rw-s 00000000 00:05 12      /dev/dax0.0\n");
    put_link(f, "16/map_files/5000-6000", "/dev/null");

    g_autoptr(Mappers) m = mappers_new_file(&f->limits, st.st_dev, st.st_ino, "data-1.img");
    g_assert_null(mappers_gap(m));
    assert_pids(mappers_of_file(m), MAPPERS_MAPPED, "12 13");
    assert_pids(mappers_of_file(m), MAPPERS_MAPPED | MAPPERS_OPEN, "12 13 15");
    g_assert_null(mappers_of_char(m, NULL_DEVICE));
}

/* --- bounds --- */

static void test_bounds(Fixture *f, gconstpointer unused) {
    for (int pid = 100; pid < 110; pid++)
        put_process(f, pid, "many", "1000-2000 r-xp 00000000 08:01 77      /sbin/init\n");

    MappersLimits few = f->limits;
    few.max_processes = 11;
    g_autoptr(Mappers) all = mappers_new_devices(&few);
    g_assert_null(mappers_gap(all));
    few.max_processes = 10;
    g_autoptr(Mappers) cut = mappers_new_devices(&few);
    g_assert_cmpstr(mappers_gap(cut), ==, "there are more than 10 processes");

    MappersLimits small = f->limits;
    small.max_bytes = 200;
    g_autoptr(Mappers) bytes = mappers_new_devices(&small);
    assert_gap(bytes, "more mappings than are looked through");

    /* Who comes last has no part in that, wherever it stands. */
    g_autoptr(GString) maps = g_string_new(NULL);
    for (guint i = 0; i < 9; i++)
        g_string_append(maps, "1000-2000 r-xp 00000000 08:01 77      /sbin/init\n");
    put_process(f, 50, "hog", maps->str);
    small.max_bytes = maps->len / 9 * 19; /* one line less than there are */
    g_autoptr(Mappers) hog = mappers_new_devices(&small);
    assert_gap(hog, "process 50 (hog) has most");

    MappersLimits quick = f->limits;
    quick.max_usec = 0;
    g_autoptr(Mappers) late = mappers_new_devices(&quick);
    assert_gap(late, "time");

    MappersLimits nowhere = f->limits;
    nowhere.root = "/nowhere";
    g_autoptr(Mappers) none = mappers_new_devices(&nowhere);
    assert_gap(none, "/nowhere");
}

/* A /proc that hides processes has no process 1. */
static void test_hidden(Fixture *f, gconstpointer unused) {
    g_autofree char *first = g_build_filename(f->dir, "1", NULL);

    remove_tree(first);
    put_process(f, 42, "self", "1000-2000 r-xp 00000000 08:01 77      /bin/x\n");
    g_autoptr(Mappers) m = mappers_new_devices(&f->limits);
    assert_gap(m, "does not show process 1");
}

/* --- words --- */

static void test_describe(void) {
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Mapper));
    g_autoptr(MapperList) nobody = mapper_list_new(NULL, MAPPERS_MAPPED, NULL);
    g_autoptr(MapperList) unknown = mapper_list_new(NULL, MAPPERS_MAPPED, "process 9 (x): cannot read its mappings");

    g_assert_true(mapper_list_is_empty(nobody));
    g_assert_false(mapper_list_is_empty(unknown));
    g_autofree char *not_known = mapper_list_describe(unknown, MAPPERS_EVERYBODY);
    g_assert_cmpstr(not_known, ==, "whether it is mapped is not known: process 9 (x): cannot read its mappings");
    g_autofree char *hidden = mapper_list_describe(unknown, 1000);
    g_assert_null(strstr(hidden, "9"));

    for (int i = 0; i < 6; i++) {
        Mapper mapper = { .pid = 10 + i, .uid = i == 0 ? 1000 : 0, .use = i == 5 ? MAPPERS_OPEN : MAPPERS_MAPPED };

        g_snprintf(mapper.comm, sizeof mapper.comm, "p%d", i);
        g_array_append_val(found, mapper);
    }
    static const struct {
        guint n;
        uid_t viewer;
        const char *text;
    } rows[] = {
        { 1, MAPPERS_EVERYBODY, "process 10 (p0) has it mapped" },
        { 2, MAPPERS_EVERYBODY, "process 10 (p0), process 11 (p1) have it mapped" },
        { 6, MAPPERS_EVERYBODY,
          "process 10 (p0), process 11 (p1), process 12 (p2), process 13 (p3) and 2 more have it mapped" },
        { 1, 1000, "process 10 (p0) has it mapped" },
        { 2, 1000, "process 10 (p0) and 1 process of another user have it mapped" },
        { 6, 1000, "process 10 (p0) and 5 processes of another user have it mapped" },
        { 1, 1001, "1 process of another user has it mapped" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) some = g_array_new(FALSE, FALSE, sizeof(Mapper));

        g_array_append_vals(some, found->data, rows[i].n);
        g_autoptr(MapperList) list = mapper_list_new(some, MAPPERS_MAPPED | MAPPERS_OPEN, NULL);
        g_autofree char *text = mapper_list_describe(list, rows[i].viewer);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
    g_autoptr(MapperList) open = mapper_list_new(found, MAPPERS_OPEN, NULL);
    g_autofree char *text = mapper_list_describe(open, MAPPERS_EVERYBODY);
    g_assert_cmpstr(text, ==, "process 15 (p5) has it open");
}

/* --- the host's own /proc --- */

#define LOW_ADDRESS 0x07ab0000u

static void test_host(void) {
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "pmemd-mappers-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    const MappersLimits limits = MAPPERS_LIMITS_DEFAULT;
    g_autofree char *name = g_path_get_basename(path);
    int to_child[2], to_parent[2], status;
    struct stat st;
    char c;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to_child), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to_parent), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Low: its address has fewer digits in map_files than in maps. */
        void *map = mmap((void *) LOW_ADDRESS, 4096, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
        close(fd);
        close(to_child[1]); /* or it would wait for itself when its parent fails */
        _exit(map == MAP_FAILED || write(to_parent[1], "x", 1) != 1 || read(to_child[0], &c, 1) != 1);
    }
    g_assert_cmpint(read(to_parent[0], &c, 1), ==, 1);
    {
        g_autoptr(Mappers) m = mappers_new_file(&limits, st.st_dev, st.st_ino, name);
        g_autofree char *child = g_strdup_printf("%d", (int) pid), *self = g_strdup_printf("%d", (int) getpid());

        assert_pids(mappers_of_file(m), MAPPERS_MAPPED, child);
        assert_pids(mappers_of_file(m), MAPPERS_OPEN, self);
        g_assert_cmpuint(g_array_index(mappers_of_file(m), Mapper, 0).start_time, >, 0);
    }
    g_assert_cmpint(write(to_child[1], "x", 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    g_autoptr(Mappers) m = mappers_new_file(&limits, st.st_dev, st.st_ino, name);
    assert_pids(mappers_of_file(m), MAPPERS_MAPPED, "");
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }
    close(fd);
    g_assert_cmpint(g_remove(path), ==, 0);
}

typedef struct {
    pid_t process;
    int tell, wait;
} Survivor;

/* Says so once the first thread has ended. */
static void *outlive(void *data) {
    const Survivor *survivor = data;
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) survivor->process);
    g_autofree char *text = NULL;
    char c;

    while (g_file_get_contents(path, &text, NULL, NULL) && !strstr(text, ") Z "))
        g_clear_pointer(&text, g_free);
    _exit(write(survivor->tell, "x", 1) != 1 || read(survivor->wait, &c, 1) != 1);
}

/* Who ends its first thread hides nothing, and makes nothing uncertain that is somebody else's. */
static void test_host_first_thread_ended(void) {
    if (g_getenv("PMEMD_TEST_VALGRIND")) {
        g_test_skip("valgrind keeps a process's first thread until its last one ends");
        return;
    }
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "pmemd-mappers-XXXXXX", NULL);
    g_autofree char *other = g_build_filename(g_get_tmp_dir(), "pmemd-mappers-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600), other_fd = g_mkstemp_full(other, O_RDWR | O_CLOEXEC, 0600);
    g_autofree char *name = g_path_get_basename(path), *other_name = g_path_get_basename(other);
    const MappersLimits limits = MAPPERS_LIMITS_DEFAULT;
    struct stat st, other_st;
    int sockets[2], status;
    char c;

    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(fstat(other_fd, &other_st), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        Survivor *survivor = g_new(Survivor, 1);
        pthread_t thread;

        close(sockets[0]); /* it ends with this process, whatever fails here */
        *survivor = (Survivor){ getpid(), sockets[1], sockets[1] };
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ||
            pthread_create(&thread, NULL, outlive, survivor) != 0)
            _exit(1);
        pthread_exit(NULL);
    }
    g_assert_cmpint(read(sockets[0], &c, 1), ==, 1);
    {
        g_autofree char *child = g_strdup_printf("%d", (int) pid);
        g_autoptr(Mappers) m = mappers_new_file(&limits, st.st_dev, st.st_ino, name);
        g_autoptr(Mappers) unused = mappers_new_file(&limits, other_st.st_dev, other_st.st_ino, other_name);
        g_autoptr(Mappers) devices = mappers_new_devices(&limits);

        assert_pids(mappers_of_file(m), MAPPERS_MAPPED, child);
        assert_pids(mappers_of_file(unused), MAPPERS_MAPPED, "");
        g_assert_true(!mappers_gap(unused) || !strstr(mappers_gap(unused), child));
        g_assert_true(!mappers_gap(devices) || !strstr(mappers_gap(devices), child));
    }
    g_assert_cmpint(write(sockets[0], "x", 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    for (int i = 0; i < 2; i++)
        close(sockets[i]);
    close(fd);
    close(other_fd);
    g_assert_cmpint(g_remove(path), ==, 0);
    g_assert_cmpint(g_remove(other), ==, 0);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/mappers/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("devices", test_devices);
    ADD("hostile", test_hostile);
    ADD("nonsense", test_nonsense);
    ADD("vanishing", test_vanishing);
    ADD("first-thread-ended", test_first_thread_ended);
    ADD("file", test_file);
    ADD("bounds", test_bounds);
    ADD("hidden", test_hidden);
    g_test_add_func("/mappers/describe", test_describe);
    g_test_add_func("/mappers/host", test_host);
    g_test_add_func("/mappers/host-first-thread-ended", test_host_first_thread_ended);
    return g_test_run();
}
