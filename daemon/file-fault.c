/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-fault.h"

#include "daemon/file-io.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_MAX 65536
#define NUMBER_MAX 1000000
#define POLL_US 2000

static const char *const op_names[] = {
    "list", "create", "destroy", "renew", "open_medium", "open_content", "zero", "clear_bad", "lend", "check",
};
G_STATIC_ASSERT(G_N_ELEMENTS(op_names) == N_FILE_FAULT_OPS);

static const char *const point_names[] = { "before", "prepared", "partial", "after" };
G_STATIC_ASSERT(G_N_ELEMENTS(point_names) == N_FILE_FAULT_POINTS);

#define ERROR_KILL (-1)
static const struct {
    const char *name;
    int errnum;
} error_names[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EBUSY", EBUSY }, { "kill", ERROR_KILL } };

struct FileFault {
    int dirfd; /* borrowed */
    FileFaultOp op;
    FileFaultPoint point;
    int errnum; /* 0: none; ERROR_KILL */
    guint delay_ms;
    char *wait_file; /* or NULL */
};

void file_fault_free(FileFault *fault) {
    if (!fault)
        return;
    g_free(fault->wait_file);
    g_free(fault);
}

/* A point that the operation never comes to would be an order that never fires. */
static bool op_has_point(FileFaultOp op, FileFaultPoint point) {
    switch (point) {
    case FILE_FAULT_PREPARED:
        return op == FILE_FAULT_CREATE || op == FILE_FAULT_RENEW;
    case FILE_FAULT_PARTIAL:
        return op == FILE_FAULT_CREATE || op == FILE_FAULT_DESTROY || op == FILE_FAULT_ZERO ||
               op == FILE_FAULT_CLEAR_BAD;
    default:
        return true;
    }
}

static bool refuse(FileFaultOp op, const char *key, const char *value, const char *allowed, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [%s] %s=%s: must be %s", FILE_FAULT_NAME,
                op_names[op], key, value, allowed);
    return false;
}

static bool parse_when(FileFaultOp op, const char *value, FileFaultPoint *ret_point, GError **error) {
    for (int i = 0; i < N_FILE_FAULT_POINTS; i++)
        if (strcmp(point_names[i], value) == 0 && op_has_point(op, (FileFaultPoint) i)) {
            *ret_point = (FileFaultPoint) i;
            return true;
        }
    return refuse(op, "When", value,
                  "before, after, partial (create, destroy, zero, clear_bad) or prepared (create, renew)", error);
}

static bool parse_error(FileFaultOp op, const char *value, int *ret_errnum, GError **error) {
    for (guint i = 0; i < G_N_ELEMENTS(error_names); i++)
        if (strcmp(error_names[i].name, value) == 0) {
            *ret_errnum = error_names[i].errnum;
            return true;
        }
    return refuse(op, "Error", value, "EIO, ENOSPC, EBUSY or kill", error);
}

static bool parse_count(FileFaultOp op, const char *key, const char *value, guint least, guint *ret_count,
                        GError **error) {
    guint64 count;

    if (!g_ascii_string_to_unsigned(value, 10, least, NUMBER_MAX, &count, NULL))
        return refuse(op, key, value, "a whole number", error);
    *ret_count = (guint) count;
    return true;
}

static FileFault *parse(GKeyFile *file, int dirfd, FileFaultOp op, guint *ret_nth, GError **error) {
    g_autoptr(FileFault) fault = g_new0(FileFault, 1);
    g_auto(GStrv) keys = g_key_file_get_keys(file, op_names[op], NULL, NULL);
    guint nth = 1;

    fault->dirfd = dirfd;
    fault->op = op;
    for (int i = 0; keys && keys[i]; i++) {
        const char *key = keys[i];
        g_autofree char *value = g_key_file_get_string(file, op_names[op], key, NULL);
        bool ok = true;

        if (!value)
            ok = refuse(op, key, "", "UTF-8", error);
        else if (strcmp(key, "Nth") == 0)
            ok = parse_count(op, key, value, 1, &nth, error);
        else if (strcmp(key, "When") == 0)
            ok = parse_when(op, value, &fault->point, error);
        else if (strcmp(key, "Error") == 0)
            ok = parse_error(op, value, &fault->errnum, error);
        else if (strcmp(key, "DelayMs") == 0)
            ok = parse_count(op, key, value, 0, &fault->delay_ms, error);
        else if (strcmp(key, "WaitFile") == 0)
            fault->wait_file = g_steal_pointer(&value);
        else
            ok = refuse(op, key, value, "left out: unknown key; allowed: Nth, When, Error, DelayMs, WaitFile", error);
        if (!ok)
            return NULL;
    }
    *ret_nth = nth;
    return g_steal_pointer(&fault);
}

/* Counts the order of op down, or takes it out. Returns 0 or a negative errno. */
static int update(GKeyFile *file, int dirfd, FileFaultOp op, guint nth) {
    if (nth > 1)
        g_key_file_set_integer(file, op_names[op], "Nth", (int) (nth - 1));
    else
        g_key_file_remove_group(file, op_names[op], NULL);

    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    if (!groups[0])
        return file_io_remove(dirfd, FILE_FAULT_NAME);
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    int r = file_io_write_temp(dirfd, FILE_FAULT_NAME, text);
    return r < 0 ? r : file_io_commit_temp(dirfd, FILE_FAULT_NAME, true);
}

static bool begin_locked(int dirfd, FileFaultOp op, FileFault **ret_fault, GError **error) {
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    guint nth = 0;

    int r = file_io_read(dirfd, FILE_FAULT_NAME, FILE_MAX, &text);
    if (r == -ENOENT) {
        *ret_fault = NULL;
        return true;
    }
    if (r == 0) {
        g_autoptr(GError) syntax = NULL;

        if (!g_key_file_load_from_data(file, text, (gsize) -1, G_KEY_FILE_NONE, &syntax)) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: %s", FILE_FAULT_NAME, syntax->message);
            return false;
        }
        g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
        for (int i = 0; groups[i]; i++) {
            bool known = false;

            for (int k = 0; k < N_FILE_FAULT_OPS; k++)
                known = known || strcmp(groups[i], op_names[k]) == 0;
            if (!known) {
                g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s: [%s]: no such operation",
                            FILE_FAULT_NAME, groups[i]);
                return false;
            }
        }
        if (!g_key_file_has_group(file, op_names[op])) {
            *ret_fault = NULL;
            return true;
        }
        fault = parse(file, dirfd, op, &nth, error);
        if (!fault)
            return false;
        r = update(file, dirfd, op, nth);
    }
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(-r), "%s: %s", FILE_FAULT_NAME, g_strerror(-r));
        return false;
    }
    *ret_fault = nth == 1 ? g_steal_pointer(&fault) : NULL;
    return true;
}

bool file_fault_begin(int dirfd, FileFaultOp op, FileFault **ret_fault, GError **error) {
    /* The backend's worker and the eraser come here at once: one at a time reads, counts and writes. A descriptor of
     * its own, as flock() does not divide threads that share one. */
    int lock = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        int errnum = errno;

        if (lock >= 0)
            close(lock);
        g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(errnum), "%s: lock: %s", FILE_FAULT_NAME,
                    g_strerror(errnum));
        return false;
    }
    bool ok = begin_locked(dirfd, op, ret_fault, error);
    close(lock);
    return ok;
}

bool file_fault_hit(const FileFault *fault, FileFaultPoint point, GError **error) {
    if (!fault || fault->point != point)
        return true;

    if (fault->delay_ms > 0)
        g_usleep((gulong) fault->delay_ms * 1000);
    while (fault->wait_file && faccessat(fault->dirfd, fault->wait_file, F_OK, 0) == 0)
        g_usleep(POLL_US);
    if (fault->errnum == ERROR_KILL)
        (void) raise(SIGKILL); /* cannot fail */
    if (fault->errnum == 0)
        return true;
    g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(fault->errnum), "%s %s: injected by %s: %s",
                point_names[point], op_names[fault->op], FILE_FAULT_NAME, g_strerror(fault->errnum));
    return false;
}
