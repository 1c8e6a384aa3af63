/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The mapped and the file medium: what they store, what they refuse, and what they do when memory or the disk fails. */
#include "daemon/medium.h"

#include "daemon/sigbus-guard.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 65536u

static int memory_fd(void) {
    int fd = memfd_create("medium", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    return fd;
}

static int temporary_fd(void) {
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("pmemd-medium-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    return fd;
}

static Medium *mapped_new(int *ret_fd) {
    g_autoptr(GError) error = NULL;
    int fd = memory_fd();
    Medium *m = medium_mapped_new(fd, SIZE, true, &error);
    g_assert_no_error(error);
    g_assert_cmpint(m->class, ==, MEDIUM_CLASS_MAPPED);
    *ret_fd = fd;
    return m;
}

static Medium *file_new(int *ret_fd) {
    g_autoptr(GError) error = NULL;
    int fd = temporary_fd();
    Medium *m = medium_file_new(fd, SIZE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(m->class, ==, MEDIUM_CLASS_FILE);
    *ret_fd = fd;
    return m;
}

/* What every medium does, against a plain array and against what the file holds. */
static void check_operations(Medium *m, int fd) {
    g_autofree uint8_t *model = g_malloc0(SIZE), *held = g_malloc0(SIZE);

    for (unsigned i = 0; i < 3000; i++) {
        uint8_t bytes[700];
        size_t len = i % 3 == 0 ? 8 : (size_t) g_test_rand_int_range(0, sizeof bytes);
        uint64_t off = (uint64_t) g_test_rand_int_range(0, (gint32) (SIZE - sizeof bytes));
        if (i % 3 == 0)
            off = off / 8 * 8;
        memset(bytes, (int) i + 1, sizeof bytes);

        if (i % 50 == 1) {
            len = (size_t) g_test_rand_int_range(0, 9000);
            off = (uint64_t) g_test_rand_int_range(0, SIZE - 9000);
            g_assert_cmpint(medium_zero(m, off, len), ==, 0);
            memset(model + off, 0, len);
            continue;
        }
        g_assert_cmpint(medium_store(m, off, bytes, len), ==, 0);
        g_assert_cmpint(medium_flush(m, off, len), ==, 0);
        memcpy(model + off, bytes, len);
        if (i % 7 == 0) {
            g_assert_cmpint(medium_readable(m, off, len), ==, 0);
            g_assert_cmpmem(medium_base(m) + off, len, model + off, len);
        }
    }
    g_assert_cmpint(medium_fence(m), ==, 0);
    g_assert_cmpint(medium_readable(m, 0, SIZE), ==, 0);
    g_assert_cmpmem(medium_base(m), SIZE, model, SIZE);
    g_assert_cmpint(pread(fd, held, SIZE, 0), ==, SIZE);
    g_assert_cmpmem(held, SIZE, model, SIZE);
}

static void check_bounds(Medium *m) {
    uint8_t byte = 1;
    g_assert_cmpint(medium_store(m, SIZE, &byte, 1), ==, -EINVAL);
    g_assert_cmpint(medium_store(m, UINT64_MAX, &byte, 1), ==, -EINVAL);
    g_assert_cmpint(medium_store(m, SIZE - 1, &byte, SIZE_MAX), ==, -EINVAL);
    g_assert_cmpint(medium_flush(m, SIZE - 1, 2), ==, -EINVAL);
    g_assert_cmpint(medium_readable(m, SIZE, 1), ==, -EINVAL);
    g_assert_cmpint(medium_readable(m, 1, SIZE), ==, -EINVAL);
    g_assert_cmpint(medium_zero(m, 1, SIZE), ==, -EINVAL);
    g_assert_cmpint(medium_zero(m, UINT64_MAX, 2), ==, -EINVAL);
    g_assert_cmpint(medium_readable(m, 0, SIZE), ==, 0);
    g_assert_cmpint(medium_readable(m, SIZE, 0), ==, 0);
}

static void test_mapped(void) {
    int fd;
    g_autoptr(Medium) m = mapped_new(&fd);
    check_operations(m, fd);
    check_bounds(m);
}

static void test_file(void) {
    int fd;
    g_autoptr(Medium) m = file_new(&fd);
    check_operations(m, fd);
    check_bounds(m);
}

/* A store into a page that was not read yet must show when it is. */
static void test_file_unread_page(void) {
    int fd;
    g_autoptr(Medium) m = file_new(&fd);
    g_assert_cmpint(pwrite(fd, "old", 3, 8192), ==, 3);
    g_assert_cmpint(medium_store(m, 8193, "NEW", 3), ==, 0);
    g_assert_cmpint(medium_readable(m, 8192, 4), ==, 0);
    g_assert_cmpmem(medium_base(m) + 8192, 4, "oNEW", 4);
}

static void test_map_sync_refused(void) {
    g_autoptr(GError) error = NULL;
    int fd = memory_fd();
    g_assert_null(medium_mapped_new(fd, SIZE, false, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED);
    /* The descriptor is still ours. */
    g_assert_cmpint(close(fd), ==, 0);
}

static void test_file_too_short(void) {
    g_autoptr(GError) error = NULL;
    int fd = temporary_fd();
    g_assert_null(medium_file_new(fd, SIZE + 1, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(close(fd), ==, 0);
}

static bool no_faults_here(void) {
    if (!g_getenv("PMEMD_TEST_VALGRIND"))
        return false;
    g_test_skip("valgrind leaves out loads whose value nobody uses, and the flushing of cache lines");
    return true;
}

/* A real SIGBUS: the file is cut short under its mapping. */
static void test_mapped_sigbus(void) {
    int fd;
    uint8_t bytes[100] = { 1 };

    if (no_faults_here())
        return;
    g_autoptr(Medium) m = mapped_new(&fd);
    g_assert_cmpint(ftruncate(fd, SIZE / 2), ==, 0);
    for (unsigned again = 0; again < 3; again++) {
        g_assert_cmpint(medium_readable(m, 0, SIZE / 2), ==, 0);
        g_assert_cmpint(medium_readable(m, 0, SIZE), ==, -EIO);
        g_assert_cmpint(medium_readable(m, SIZE / 2, 1), ==, -EIO);
        g_assert_cmpint(medium_store(m, SIZE / 2 + 8, bytes, 8), ==, -EIO);
        g_assert_cmpint(medium_store(m, SIZE / 2 + 3, bytes, sizeof bytes), ==, -EIO);
        g_assert_cmpint(medium_flush(m, SIZE / 2, 64), ==, -EIO);
        g_assert_cmpint(medium_zero(m, 0, SIZE), ==, -EIO);
        g_assert_cmpint(medium_store(m, 64, bytes, 8), ==, 0);
    }
}

static void nested(void *data) {
    Medium *m = data;
    g_assert_cmpint(medium_readable(m, 0, SIZE), ==, -EIO);
    /* The outer guard holds again after the inner one was left by a jump. */
    (void) *(const volatile uint8_t *) (medium_base(m) + SIZE - 1);
    g_assert_not_reached();
}

static void test_guard_nests(void) {
    int fd;

    if (no_faults_here())
        return;
    g_autoptr(Medium) m = mapped_new(&fd);
    g_assert_cmpint(ftruncate(fd, SIZE / 2), ==, 0);
    g_assert_cmpint(medium_guard_run(nested, m), ==, -EIO);
}

static int status_of_child(void (*func)(Medium *m), Medium *m) {
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        func(m);
        _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void touch_unguarded(Medium *m) {
    (void) *(const volatile uint8_t *) (medium_base(m) + SIZE - 1);
}

static void raise_sigbus(void *data) {
    (void) data;
    raise(SIGBUS);
}

static void raise_guarded(Medium *m) {
    medium_guard_run(raise_sigbus, m);
}

/* As the kernel sends it to all who have a page mapped in which it found an error. */
static void tell_of_error(void *data) {
    siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AO };

    g_assert_cmpint(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info), ==, 0);
    *(bool *) data = true;
}

/* ... is news of a place that nobody touches now: nothing fails, and the guard goes on to hold. */
static void test_guard_told_of_error(void) {
    bool went_on = false;
    int fd;

    if (no_faults_here())
        return;
    g_autoptr(Medium) m = mapped_new(&fd);
    g_assert_cmpint(ftruncate(fd, SIZE / 2), ==, 0);
    g_assert_cmpint(medium_guard_run(tell_of_error, &went_on), ==, 0);
    g_assert_true(went_on);
    went_on = false;
    tell_of_error(&went_on);
    g_assert_true(went_on);
    g_assert_cmpint(medium_readable(m, 0, SIZE), ==, -EIO);
}

/* Nobody's SIGBUS is swallowed: neither one outside of a guard nor one that was sent. */
static void test_guard_default_action(void) {
    int fd;

    if (no_faults_here())
        return;
    g_autoptr(Medium) m = mapped_new(&fd);
    g_assert_cmpint(ftruncate(fd, SIZE / 2), ==, 0);

    int status = status_of_child(touch_unguarded, m);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
    status = status_of_child(raise_guarded, m);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
}

static void check_failed_for_ever(Medium *m) {
    uint8_t byte = 1;
    for (unsigned again = 0; again < 2; again++) {
        g_assert_cmpint(medium_store(m, 0, &byte, 1), ==, -EIO);
        g_assert_cmpint(medium_flush(m, 0, 1), ==, -EIO);
        g_assert_cmpint(medium_fence(m), ==, -EIO);
        g_assert_cmpint(medium_readable(m, 0, 1), ==, -EIO);
        g_assert_cmpint(medium_zero(m, 0, 1), ==, -EIO);
    }
}

/* Behind the medium's back its descriptor is made one that cannot be synchronised, and then the right one again. */
static void test_file_sync_fails(void) {
    int fd;
    g_autoptr(Medium) m = file_new(&fd);
    int kept = dup(fd), bad = open("/dev/null", O_RDWR | O_CLOEXEC);

    g_assert_cmpint(medium_store(m, 0, "x", 1), ==, 0);
    g_assert_cmpint(dup2(bad, fd), ==, fd);
    g_assert_cmpint(medium_fence(m), <, 0);
    g_assert_cmpint(dup2(kept, fd), ==, fd);
    check_failed_for_ever(m);
    close(kept);
    close(bad);
}

static void test_file_write_fails(void) {
    int fd;
    g_autoptr(Medium) m = file_new(&fd);
    int kept = dup(fd), full = open("/dev/full", O_RDWR | O_CLOEXEC);

    g_assert_cmpint(medium_readable(m, 0, 1), ==, 0);
    g_assert_cmpint(dup2(full, fd), ==, fd);
    g_assert_cmpint(medium_store(m, 0, "x", 1), ==, -ENOSPC);
    g_assert_cmpint(dup2(kept, fd), ==, fd);
    g_assert_cmpint(medium_base(m)[0], ==, 0);
    check_failed_for_ever(m);
    close(kept);
    close(full);
}

/* Nothing may be acknowledged in a file that nobody will find again, or find cut. */
static void check_lost(bool map, bool removed) {
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("pmemd-medium-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    g_autoptr(Medium) m = map ? medium_mapped_new(fd, SIZE, true, &error) : medium_file_new(fd, SIZE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(medium_store(m, 0, "x", 1), ==, 0);
    g_assert_cmpint(medium_flush(m, 0, 1), ==, 0);
    g_assert_cmpint(medium_fence(m), ==, 0);
    g_assert_cmpint(medium_intact(m), ==, 0);

    /* The page that is stored to stays: no SIGBUS tells. */
    g_assert_cmpint(removed ? g_unlink(path) : truncate(path, SIZE / 2), ==, 0);
    g_assert_cmpint(medium_store(m, 0, "y", 1), ==, 0);
    g_assert_cmpint(medium_flush(m, 0, 1), ==, 0);
    if (map) {
        g_assert_cmpint(medium_fence(m), ==, 0);
    } else {
        g_assert_cmpint(medium_fence(m), ==, removed ? -ENOENT : -ENODATA);
        g_assert_cmpint(medium_fence(m), <, 0);
    }
    g_assert_cmpint(medium_intact(m), ==, removed ? -ENOENT : -ENODATA);
    g_unlink(path);
}

static void test_file_removed(void) {
    check_lost(false, true);
}

static void test_file_shortened(void) {
    check_lost(false, false);
}

static void test_mapped_removed(void) {
    check_lost(true, true);
}

static void test_mapped_shortened(void) {
    check_lost(true, false);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    medium_guard_install();
    medium_guard_install();
    g_test_add_func("/medium/mapped/operations", test_mapped);
    g_test_add_func("/medium/mapped/map-sync-refused", test_map_sync_refused);
    g_test_add_func("/medium/mapped/sigbus", test_mapped_sigbus);
    g_test_add_func("/medium/mapped/removed", test_mapped_removed);
    g_test_add_func("/medium/mapped/shortened", test_mapped_shortened);
    g_test_add_func("/medium/file/removed", test_file_removed);
    g_test_add_func("/medium/file/shortened", test_file_shortened);
    g_test_add_func("/medium/guard/nests", test_guard_nests);
    g_test_add_func("/medium/guard/told-of-error", test_guard_told_of_error);
    g_test_add_func("/medium/guard/default-action", test_guard_default_action);
    g_test_add_func("/medium/file/operations", test_file);
    g_test_add_func("/medium/file/unread-page", test_file_unread_page);
    g_test_add_func("/medium/file/too-short", test_file_too_short);
    g_test_add_func("/medium/file/sync-fails", test_file_sync_fails);
    g_test_add_func("/medium/file/write-fails", test_file_write_fails);
    return g_test_run();
}
