/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* Tests of daemon/backend-file in trouble: failures ordered by inject.conf, crashes at each step, no leftovers. */
#include "tests/lib/backend-file-fixture.h"
#include "tests/lib/own-proc.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

typedef struct {
    const char *op, *when;
    const char *after; /* what look() gives for device 1 */
    BackendOutcome outcome;
} FaultRow;

static const FaultRow fault_rows[] = {
    { "create", "before", "absent", BACKEND_UNCHANGED },    { "create", "prepared", "absent", BACKEND_UNCHANGED },
    { "create", "partial", "partial", BACKEND_UNKNOWN },    { "create", "after", "complete", BACKEND_UNKNOWN },
    { "destroy", "before", "complete", BACKEND_UNCHANGED }, { "destroy", "partial", "partial", BACKEND_UNKNOWN },
    { "destroy", "after", "absent", BACKEND_UNKNOWN },
};

static bool run_row(Backend *b, const FaultRow *row, BackendOutcome *ret_outcome, GError **error) {
    if (strcmp(row->op, "destroy") == 0)
        return try_destroy(b, 1, BACKEND_ROLE_DATA, ret_outcome, error);
    g_autoptr(BackendDevice) device = try_create(b, &data1, ret_outcome, error);
    return device != NULL;
}

static void test_faults(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *name;
        int code;
    } errors[] = { { "EIO", PMEMD_ERROR_HARDWARE }, { "ENOSPC", PMEMD_ERROR_NO_SPACE }, { "EBUSY", PMEMD_ERROR_BUSY } };
    g_autofree char *before = names_in(f->dir);

    for (size_t i = 0; i < G_N_ELEMENTS(fault_rows) * G_N_ELEMENTS(errors); i++) {
        const FaultRow *row = &fault_rows[i / G_N_ELEMENTS(errors)];
        g_autofree char *text =
            g_strdup_printf("[%s]\nWhen=%s\nError=%s\n", row->op, row->when, errors[i % G_N_ELEMENTS(errors)].name);
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome;

        g_test_message("%s", text);
        if (strcmp(row->op, "destroy") == 0)
            create(f->b, &data1);
        order(f, text);
        g_assert_false(run_row(f->b, row, &outcome, &error));
        g_assert_error(error, PMEMD_ERROR, errors[i % G_N_ELEMENTS(errors)].code);
        g_assert_cmpint(outcome, ==, row->outcome);
        g_assert_false(there(f->dir, "inject.conf"));
        g_assert_cmpstr(look(f->b, 1), ==, row->after);
        destroy(f->b, 1, BACKEND_ROLE_DATA); /* whatever it is, it can be undone */
        reopen(f);
        g_autofree char *after = names_in(f->dir);
        g_assert_cmpstr(before, ==, after);
    }
}

static void test_faults_of_reads(Fixture *f, gconstpointer unused) {
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    static const char *const whens[] = { "before", "after" };
    g_autoptr(GError) error = NULL;

    create(f->b, &data1);
    create(f->b, &mgmt2);
    for (int i = 0; i < 2; i++) {
        g_autofree char *text = g_strdup_printf("[list]\nError=EIO\nWhen=%s\n[open_medium]\nError=EIO\nWhen=%s\n"
                                                "[open_content]\nError=EIO\nWhen=%s\n",
                                                whens[i], whens[i], whens[i]);
        order(f, text);
        g_assert_null(f->b->ops->list(f->b, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        g_clear_error(&error);
        g_assert_null(f->b->ops->open_medium(f->b, id_of(2), &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        g_clear_error(&error);
        g_assert_true(there(f->dir, "inject.conf")); /* one order is left */
        g_assert_null(f->b->ops->open_content(f->b, id_of(1), &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
        g_clear_error(&error);
        g_assert_false(there(f->dir, "inject.conf"));
        g_assert_cmpstr(look(f->b, 1), ==, "complete");
        g_assert_cmpstr(look(f->b, 2), ==, "complete"); /* nothing stayed open */
    }

    /* zero: nothing, half, all; and the third call, not the first. */
    static const struct {
        const char *when;
        size_t left;
    } rows[] = { { "before", 1048576 }, { "partial", 524288 }, { "after", 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[zero]\nNth=3\nError=EIO\nWhen=%s\n", rows[i].when);
        write_at(image, 0, 1048576);
        BackendContent *c = f->b->ops->open_content(f->b, id_of(1), &error);
        g_assert_no_error(error);
        order(f, text);
        g_assert_cmpint(c->zero(c, 0, 0), ==, 0);
        g_assert_cmpint(c->zero(c, 0, 0), ==, 0);
        g_assert_cmpint(c->zero(c, 0, 1048576), ==, -EIO);
        g_assert_cmpuint(dirty_bytes(image, 0, 1048576), ==, rows[i].left);
        g_assert_cmpint(c->zero(c, 0, 1048576), ==, 0);
        backend_content_free(c);
    }
}

static void test_bad_orders(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "[craete]\nError=EIO\n", "craete" },
        { "[list]\nError=EPERM\n", "EPERM" },
        { "[list]\nWhen=partial\n", "When=partial" },
        { "[list]\nWhen=never\n", "When=never" },
        { "[list]\nNth=0\n", "Nth=0" },
        { "[list]\nDelayMs=-1\n", "DelayMs=-1" },
        { "[list]\nOften=1\n", "Often" },
        { "garbage", "inject.conf" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        order(f, rows[i].text);
        g_assert_null(f->b->ops->list(f->b, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

/* SIGKILL at each point of create and destroy; then another process finds what the point says, and can undo it. */
static void test_crash(Fixture *f, gconstpointer unused) {
    g_autofree char *before = names_in(f->dir);

    for (size_t i = 0; i < G_N_ELEMENTS(fault_rows); i++) {
        const FaultRow *row = &fault_rows[i];
        g_autofree char *text = g_strdup_printf("[%s]\nWhen=%s\nError=kill\n", row->op, row->when);
        int status;

        g_test_message("%s", text);
        if (strcmp(row->op, "destroy") == 0)
            create(f->b, &data1);
        order(f, text);
        g_clear_pointer(&f->b, backend_free);
        pid_t pid = fork();
        if (pid == 0) {
            g_autoptr(Backend) b = backend_file_new(f->dir, NULL);
            BackendOutcome outcome;

            if (b)
                run_row(b, row, &outcome, NULL);
            _exit(1);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        open_backend(f);
        g_assert_cmpstr(look(f->b, 1), ==, row->after);
        g_autofree char *found = names_in(f->dir);
        g_assert_null(strstr(found, ".tmp"));
        destroy(f->b, 1, BACKEND_ROLE_DATA);
        g_autofree char *after = names_in(f->dir);
        g_assert_cmpstr(before, ==, after);
        create(f->b, &data1); /* the same uuid and frames are free again */
        destroy(f->b, 1, BACKEND_ROLE_DATA);
    }
}

static gpointer create_in_thread(gpointer data) {
    create(data, &data1);
    return NULL;
}

/* A renewal that fails or is killed at each point leaves the old or the new file whole, and no other; the next one does
 * it all. */
static void test_renew(Fixture *f, gconstpointer unused) {
    static const struct {
        const char *when;
        BackendOutcome outcome;
        bool renewed;
    } rows[] = {
        { "before", BACKEND_UNCHANGED, false },
        { "prepared", BACKEND_UNCHANGED, false },
        { "after", BACKEND_UNKNOWN, true },
    };
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);

    create(f->b, &data1);
    write_at(image, 100, 200000);
    g_autofree char *names = names_in(f->dir);
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        bool kill = i % 2;
        g_autofree char *text =
            g_strdup_printf("[renew]\nWhen=%s\nError=%s\n", rows[i / 2].when, kill ? "kill" : "EIO");
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome;
        struct stat before, after;
        int sockets[2], status;

        g_test_message("%s", text);
        hide_descriptor(image, sockets);
        g_assert_cmpint(stat(image, &before), ==, 0);
        order(f, text);
        if (kill) {
            g_clear_pointer(&f->b, backend_free);
            pid_t pid = fork();
            if (pid == 0) {
                g_autoptr(Backend) b = backend_file_new(f->dir, NULL);

                if (b)
                    (void) try_renew(b, 1, &outcome, NULL);
                _exit(1);
            }
            g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
            g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        } else {
            g_assert_false(try_renew(f->b, 1, &outcome, &error));
            g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE);
            g_assert_cmpint(outcome, ==, rows[i / 2].outcome);
            g_clear_error(&error);
            g_clear_pointer(&f->b, backend_free);
        }
        open_backend(f);
        g_autofree char *found = names_in(f->dir);
        g_assert_cmpstr(found, ==, names);
        g_assert_cmpint(stat(image, &after), ==, 0);
        g_assert_cmpint(after.st_ino != before.st_ino, ==, rows[i / 2].renewed);
        g_assert_cmpuint(dirty_bytes(image, 0, 300000), ==, 200000);
        g_assert_cmpuint(dirty_bytes(image, 100, 200100), ==, 200000);
        g_assert_true(try_renew(f->b, 1, &outcome, &error));
        g_assert_no_error(error);
        g_assert_cmpint(stat(image, &after), ==, 0);
        g_assert_cmpuint(after.st_ino, !=, before.st_ino);
        g_assert_cmpuint(dirty_bytes(image, 100, 200100), ==, 200000);
        close(hidden_descriptor(sockets));
    }
    destroy(f->b, 1, BACKEND_ROLE_DATA);
}

/* What a test of the manager needs: a create that is in flight for sure, until the test lets it go on. */
static void test_wait_file(Fixture *f, gconstpointer unused) {
    g_autofree char *hold = g_build_filename(f->dir, "hold", NULL);

    put(f->dir, "hold", "");
    order(f, "[create]\nWhen=partial\nWaitFile=hold\n");
    GThread *thread = g_thread_new("create", create_in_thread, f->b);
    while (there(f->dir, "inject.conf"))
        g_usleep(1000);
    while (strcmp(look(f->b, 1), "partial") != 0)
        g_usleep(1000);
    for (int i = 0; i < 20; i++)
        g_assert_cmpstr(look(f->b, 1), ==, "partial");
    g_assert_cmpint(g_unlink(hold), ==, 0);
    g_thread_join(thread);
    g_assert_cmpstr(look(f->b, 1), ==, "complete");
}

static gpointer create_meets_image(gpointer data) {
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;

    g_assert_null(try_create(data, &data1, &outcome, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS);
    g_assert_cmpint(outcome, ==, BACKEND_UNCHANGED);
    return NULL;
}

/* Somebody's file comes into the image's place in the middle of a create: it is kept, the create is undone whole. */
static void test_undo(Fixture *f, gconstpointer unused) {
    g_autofree char *hold = g_build_filename(f->dir, "hold", NULL);
    g_autofree char *image = path_of(f, BACKEND_ROLE_DATA, 1);
    g_autofree char *content = NULL;

    put(f->dir, "hold", "");
    order(f, "[create]\nWhen=partial\nWaitFile=hold\n");
    GThread *thread = g_thread_new("create", create_meets_image, f->b);
    while (strcmp(look(f->b, 1), "partial") != 0)
        g_usleep(1000);
    g_assert_true(g_file_set_contents(image, "theirs", -1, NULL));
    g_assert_cmpint(g_unlink(hold), ==, 0);
    g_thread_join(thread);
    g_assert_cmpstr(look(f->b, 1), ==, "absent");
    g_assert_true(g_file_get_contents(image, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "theirs");
    g_autofree char *names = names_in(f->dir);
    g_autofree char *base = g_path_get_basename(image);
    g_autofree char *expected = g_strconcat(base, " lock regions.conf", NULL);
    g_assert_cmpstr(names, ==, expected);
}

/* No descriptor is left by any operation, done or refused. */
static guint open_descriptors(void) {
    g_autoptr(GDir) d = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;

    while (g_dir_read_name(d))
        n++;
    return n;
}

static void test_descriptors(Fixture *f, gconstpointer unused) {
    guint before = open_descriptors();

    for (size_t i = 0; i < G_N_ELEMENTS(fault_rows); i++) {
        g_autofree char *text = g_strdup_printf("[%s]\nWhen=%s\nError=EIO\n", fault_rows[i].op, fault_rows[i].when);
        g_autoptr(GError) error = NULL;
        BackendOutcome outcome;

        if (strcmp(fault_rows[i].op, "destroy") == 0)
            create(f->b, &data1);
        order(f, text);
        g_assert_false(run_row(f->b, &fault_rows[i], &outcome, &error));
        destroy(f->b, 1, BACKEND_ROLE_DATA);
    }
    create(f->b, &data1);
    BackendContent *c = f->b->ops->open_content(f->b, id_of(1), NULL);
    g_assert_nonnull(c);
    backend_content_free(c);
    g_assert_null(f->b->ops->open_medium(f->b, id_of(1), NULL));
    g_assert_null(backend_file_new(f->dir, NULL));
    g_assert_cmpuint(open_descriptors(), ==, before);
}

int main(int argc, char **argv) {
    enter_own_proc(argv);
    g_test_init(&argc, &argv, NULL);
#define ADD(name, regions, function)                                                                                   \
    g_test_add("/backend-file-faults/" name, Fixture, regions, set_up, function, tear_down)
    ADD("faults", REGIONS("auto"), test_faults);
    ADD("faults-of-reads", REGIONS("auto"), test_faults_of_reads);
    ADD("bad-orders", REGIONS("auto"), test_bad_orders);
    ADD("crash", REGIONS("auto"), test_crash);
    ADD("renew", REGIONS("auto"), test_renew);
    ADD("wait-file", REGIONS("auto"), test_wait_file);
    ADD("undo", REGIONS("auto"), test_undo);
    ADD("descriptors", REGIONS("auto"), test_descriptors);
    return g_test_run();
}
