/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The audit record: what a line says, and that refusals are counted once they are too many. Lines are read from stderr.
 */
#include "daemon/audit.h"

#include "proto/error.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_UUID "0a1b2c3d-0000-4000-8000-000000000001"
#define REGION_UUID "0a1b2c3d-0000-4000-8000-000000000002"

typedef struct {
    sd_event *event;
    Audit *audit;
    int own_stderr; /* what stderr was */
    char *path;     /* the file that it is now */
} Fixture;

static void fixture_set_up(Fixture *f, gconstpointer limits) {
    unsetenv("JOURNAL_STREAM");
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    f->audit = audit_new(f->event, limits);
    int fd = g_file_open_tmp("pmemd-audit-XXXXXX", &f->path, NULL);
    g_assert_cmpint(fd, >=, 0);
    f->own_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
    close(fd);
}

static void fixture_tear_down(Fixture *f, gconstpointer limits) {
    audit_free(f->audit);
    sd_event_unref(f->event);
    g_assert_cmpint(dup2(f->own_stderr, STDERR_FILENO), ==, STDERR_FILENO);
    close(f->own_stderr);
    unlink(f->path);
    g_free(f->path);
}

/* What was written so far; the lines without their end. */
static char **lines(const Fixture *f) {
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(f->path, &text, NULL, NULL));
    if (text[0])
        text[strlen(text) - 1] = 0; /* the last newline would make an empty line */
    return g_strsplit(text, "\n", -1);
}

static guint count(const Fixture *f, const char *word) {
    g_auto(GStrv) all = lines(f);
    guint n = 0;

    for (char **line = all; *line; line++)
        n += strstr(*line, word) != NULL;
    return n;
}

static void refuse(Fixture *f, uint32_t uid, bool has_uid) {
    g_autoptr(GError) error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "ask for it");
    const AuditEntry entry = {
        .action = "SetupData", .has_uid = has_uid, .uid = uid, .sender = ":1.9", .error = error
    };

    audit_record(f->audit, &entry);
}

static void test_done(Fixture *f, gconstpointer limits) {
    const AuditEntry entry = {
        .action = "SetupData",
        .sender = ":1.7",
        .has_uid = true,
        .uid = 1000,
        .user = "jo",
        .kind = "data region",
        .region = REGION_UUID,
        .pool = POOL_UUID,
        .name = "guest0",
        .range = { 0x4c0000, 0x4c0200 },
    };

    audit_record(f->audit, &entry);
    g_auto(GStrv) all = lines(f);
    g_assert_cmpuint(g_strv_length(all), ==, 1);
    g_assert_cmpstr(all[0], ==,
                    "pmemd: SetupData done for jo (uid 1000, :1.7): data region " REGION_UUID
                    " 'guest0', frames 0x4c0000-0x4c0200");
}

static void test_refused(Fixture *f, gconstpointer limits) {
    g_autoptr(GError) error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NO_SPACE, "it is full");
    const AuditEntry entry = {
        .action = "AllocateData", .sender = ":1.7", .has_uid = true, .uid = 0, .user = "root", .error = error
    };

    audit_record(f->audit, &entry);
    g_auto(GStrv) all = lines(f);
    g_assert_cmpstr(all[0], ==,
                    "pmemd: AllocateData refused to root (uid 0, :1.7): org.pmemd1.Error.NoSpace: it is full");
}

/* Nothing that a message quotes makes a second line, or paints the terminal. */
static void test_one_line(Fixture *f, gconstpointer limits) {
    g_autoptr(GError) error =
        g_error_new(PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "a\nSetupMgmt done\r\x1b[2J\xc2\x9b\xe2\x80\xa8\xff");
    const AuditEntry entry = { .action = "Rename", .has_uid = true, .uid = 7, .error = error };

    audit_record(f->audit, &entry);
    g_auto(GStrv) all = lines(f);
    g_assert_cmpuint(g_strv_length(all), ==, 1);
    g_assert_true(g_utf8_validate(all[0], -1, NULL));
    g_assert_true(g_str_has_suffix(all[0], ": a?SetupMgmt done??[2J??\xef\xbf\xbd"));
}

static const AuditLimits few = { .window_usec = UINT64_C(3600) * G_USEC_PER_SEC, .per_uid = 3, .total = 5 };

/* Each user has its share, all together theirs; what is done is written whatever was refused. */
static void test_flood(Fixture *f, gconstpointer limits) {
    const AuditEntry done = { .action = "Rename", .has_uid = true, .uid = 1 };

    for (guint i = 0; i < 100; i++)
        refuse(f, 1, true);
    g_assert_cmpuint(count(f, "refused to"), ==, 3);
    refuse(f, 2, true);
    g_assert_cmpuint(count(f, "uid 2,"), ==, 1);
    for (guint i = 0; i < 10; i++)
        refuse(f, 3 + i, true);
    refuse(f, 0, false);
    g_assert_cmpuint(count(f, "refused to"), ==, 5);
    for (guint i = 0; i < 30; i++)
        audit_record(f->audit, &done);
    g_assert_cmpuint(count(f, "Rename done for"), ==, 30);

    /* The end tells what was left out. */
    audit_free(g_steal_pointer(&f->audit));
    g_assert_cmpuint(count(f, "97 more refused requests of user 1 "), ==, 1);
    g_assert_cmpuint(count(f, "1 more refused requests of somebody unknown"), ==, 1);
    g_assert_cmpuint(count(f, "were not recorded"), ==, 1 + 9 + 1);
}

static const AuditLimits short_window = { .window_usec = 1, .per_uid = 1, .total = 9 };

/* The window's end tells it, too, and everybody's share is whole again. */
static void test_window(Fixture *f, gconstpointer limits) {
    for (guint i = 0; i < 3; i++)
        refuse(f, 1, true);
    g_assert_cmpuint(count(f, "refused to"), ==, 1);
    while (count(f, "not recorded") == 0)
        g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
    g_assert_cmpuint(count(f, "2 more refused requests of user 1 "), ==, 1);
    refuse(f, 1, true);
    g_assert_cmpuint(count(f, "refused to"), ==, 2);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/audit/done", Fixture, NULL, fixture_set_up, test_done, fixture_tear_down);
    g_test_add("/audit/refused", Fixture, NULL, fixture_set_up, test_refused, fixture_tear_down);
    g_test_add("/audit/one-line", Fixture, NULL, fixture_set_up, test_one_line, fixture_tear_down);
    g_test_add("/audit/flood", Fixture, &few, fixture_set_up, test_flood, fixture_tear_down);
    g_test_add("/audit/window", Fixture, &short_window, fixture_set_up, test_window, fixture_tear_down);
    return g_test_run();
}
