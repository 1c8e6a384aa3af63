/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd-labels check|repair [REGION|DIMM]: whether the labels of the host's interleave sets are whole, and their repair,
 * without the daemon. check writes nothing. repair does what pmemd does at its start, and never runs beside it: it takes
 * the same locks. With --image the areas are files instead, one a DIMM of the set. pmemctl calls it; its JSON is that of
 * proto/pmemctl.schema.json. Exit status: 0 all is whole (now), 1 something is not, 2 failure or bad usage.
 */
#include "daemon/backend-ndctl-repair.h"
#include "daemon/backend-ndctl.h"
#include "daemon/config.h"
#include "daemon/json-text.h"
#include "daemon/state-dir.h"
#include "proto/error.h"
#include "proto/one-line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    STATUS_WHOLE,
    STATUS_NOT_WHOLE,
    STATUS_FAILED
};

typedef struct {
    gboolean json, dry_run, force;
    char **images;
    char *state_dir;
    bool repair;
    const char *only;
} Options;

/* --- output --- */

static void append_positions(GString *to, const LabelCheck *check, const LabelSet *set, uint32_t positions, bool json) {
    bool first = true;

    for (guint p = 0; p < set->n_positions; p++)
        if (positions & UINT32_C(1) << p) {
            const char *name = set->dimms[p] < check->dimms->len
                                   ? ((const LabelDimm *) check->dimms->pdata[set->dimms[p]])->name
                                   : "?";

            g_string_append(to, first ? "" : json ? ", " : ",");
            first = false;
            if (json)
                json_append_text(to, name);
            else
                g_string_append(to, name);
        }
}

static void append_finding(GString *to, const LabelCheck *check, const LabelFinding *f, bool json) {
    const LabelSet *set = check->sets->pdata[f->set];
    g_autofree char *name = one_line(f->name);
    char uuid[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(f->uuid, uuid);
    if (!json) {
        g_string_append_printf(to, "%s %s %s%s%s: %s", set->name, uuid, label_remedy_to_string(f->remedy),
                               name[0] ? " " : "", name, f->why);
        g_string_append_c(to, '\n');
        return;
    }
    g_string_append_printf(to, "{\"set\": ");
    json_append_text(to, set->name);
    g_string_append_printf(to, ", \"uuid\": \"%s\", \"name\": ", uuid);
    json_append_text(to, f->name);
    g_string_append_printf(to, ", \"ours\": %s, \"remedy\": \"%s\", \"why\": ", f->ours ? "true" : "false",
                           label_remedy_to_string(f->remedy));
    json_append_text(to, f->why);
    g_string_append(to, ", \"present\": [");
    append_positions(to, check, set, f->present, true);
    g_string_append(to, "], \"missing\": [");
    append_positions(to, check, set, f->missing, true);
    g_string_append(to, "], \"damaged\": [");
    append_positions(to, check, set, f->doubled | f->damaged, true);
    g_string_append(to, "]}");
}

static void append_dimm(GString *to, const LabelDimm *dimm, bool json) {
    const LabelArea *a = &dimm->area;

    if (!json) {
        if (dimm->fault)
            g_string_append_printf(to, "%s: %s\n", dimm->name, dimm->fault->message);
        else
            g_string_append_printf(
                to,
                "%s: labels 1.%u, %u of %" PRIu32 " slots in use%s, index block %u of sequence %" PRIu32
                " counts, the other one is %s\n",
                dimm->name, a->minor, dimm->in_use, a->n_slots, dimm->bad ? " (not all of them hold a label)" : "",
                a->current, a->sequence, a->valid[1 - a->current] ? "valid" : "not valid");
        return;
    }
    g_string_append(to, "{\"name\": ");
    json_append_text(to, dimm->name);
    if (dimm->fault) {
        g_string_append(to, ", \"fault\": ");
        json_append_text(to, dimm->fault->message);
    } else
        g_string_append_printf(to,
                               ", \"format\": \"1.%u\", \"slots\": %" PRIu32
                               ", \"in_use\": %u, \"bad\": %u, \"current\": %u, \"sequence\": %" PRIu32
                               ", \"other_valid\": %s",
                               a->minor, a->n_slots, dimm->in_use, dimm->bad, a->current, a->sequence,
                               a->valid[1 - a->current] ? "true" : "false");
    g_string_append_c(to, '}');
}

static void append_set(GString *to, const LabelCheck *check, const LabelSet *set, guint not_whole, bool json) {
    if (!json) {
        g_string_append_printf(to, "%s: set 0x%016" PRIx64 " over ", set->name, set->cookie);
        append_positions(to, check, set, UINT32_MAX, false);
        g_string_append_printf(to, ", %u namespaces whole, %u not\n", set->whole, not_whole);
        return;
    }
    g_string_append(to, "{\"name\": ");
    json_append_text(to, set->name);
    g_string_append_printf(to, ", \"cookie\": \"0x%016" PRIx64 "\", \"dimms\": [", set->cookie);
    append_positions(to, check, set, UINT32_MAX, true);
    g_string_append_printf(to, "], \"whole\": %u, \"not_whole\": %u}", set->whole, not_whole);
}

static guint count_in_set(const LabelCheck *check, guint number) {
    guint n = 0;

    for (guint i = 0; i < check->findings->len; i++)
        n += ((const LabelFinding *) check->findings->pdata[i])->set == number;
    return n;
}

static guint count_unreadable(const LabelCheck *check) {
    guint n = 0;

    for (guint i = 0; i < check->dimms->len; i++)
        n += ((const LabelDimm *) check->dimms->pdata[i])->fault != NULL;
    return n;
}

static void print_answer(const LabelCheck *check, const Options *o, bool repaired) {
    g_autoptr(GString) out = g_string_new(NULL);
    guint n = check->findings->len, left = label_check_count(check, LABEL_LEAVE), unreadable = count_unreadable(check);

    if (o->json)
        g_string_append_printf(out, "{\"version\": 1, \"labels\": {\"repaired\": %s, \"dimms\": [",
                               repaired ? "true" : "false");
    for (guint i = 0; i < check->dimms->len; i++) {
        g_string_append(out, o->json && i > 0 ? ", " : "");
        append_dimm(out, check->dimms->pdata[i], o->json);
    }
    g_string_append(out, o->json ? "], \"sets\": [" : "");
    for (guint i = 0; i < check->sets->len; i++) {
        g_string_append(out, o->json && i > 0 ? ", " : "");
        append_set(out, check, check->sets->pdata[i], count_in_set(check, i), o->json);
    }
    g_string_append(out, o->json ? "], \"findings\": [" : "");
    for (guint i = 0; i < n; i++) {
        g_string_append(out, o->json && i > 0 ? ", " : "");
        append_finding(out, check, check->findings->pdata[i], o->json);
    }
    if (o->json)
        g_string_append(out, "]}}\n");
    else if (n > 0)
        g_string_append_printf(out, "%u not whole: %u %s, %u left\n", n, n - left,
                               repaired ? "repaired" : "would be repaired", left);
    else if (unreadable == 0)
        g_string_append(out, check->dimms->len > 0 ? "all labels are whole\n" : "there are no labels to look at\n");
    if (!o->json && unreadable > 0)
        g_string_append_printf(out, "the labels of %u of %u DIMMs cannot be read, and are left\n", unreadable,
                               check->dimms->len);
    fputs(out->str, stdout);
}

/* --- images --- */

static bool add_image(LabelCheck *check, const char *path, GError **error) {
    char *bytes;
    gsize size;
    struct stat st;

    if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || (uint64_t) st.st_size > LABEL_AREA_MAX)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s is no label area: not a file, or too large",
                    path);
        return false;
    }
    if (!g_file_get_contents(path, &bytes, &size, error))
        return false;
    label_check_add_dimm(check, path, (uint8_t *) bytes, size);
    return true;
}

/* One area twice would be repaired twice, each time by what the other was before. */
static bool check_distinct(char **paths, GError **error) {
    struct stat first, second;

    for (char **a = paths; *a; a++)
        for (char **b = a + 1; *b; b++) {
            if (stat(*a, &first) < 0 || stat(*b, &second) < 0 || first.st_dev != second.st_dev ||
                first.st_ino != second.st_ino)
                continue;
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                        "%s and %s are the same file: each DIMM of a set has a label area of its own", *a, *b);
            return false;
        }
    return true;
}

static LabelCheck *check_images(const Options *o, GError **error) {
    g_autoptr(LabelCheck) check = label_check_new();

    if (!check_distinct(o->images, error))
        return NULL;
    for (char **path = o->images; *path; path++)
        if (!add_image(check, *path, error))
            return NULL;
    label_check_infer_sets(check);
    label_check_run(check, o->force);
    return g_steal_pointer(&check);
}

static bool write_image(const char *path, const LabelWrite *write, GError **error) {
    int fd = open(path, O_WRONLY | O_CLOEXEC), errnum = errno;
    bool done = fd >= 0 && pwrite(fd, write->bytes, write->len, (off_t) write->offset) == (ssize_t) write->len &&
                fsync(fd) == 0;

    if (fd >= 0) {
        errnum = errno;
        close(fd);
    }
    if (!done)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot write %s: %s", path, g_strerror(errnum));
    return done;
}

static LabelCheck *repair_images(const Options *o, GError **error) {
    g_autoptr(LabelCheck) check = check_images(o, error);
    if (!check)
        return NULL;
    g_autoptr(GPtrArray) plan = label_check_plan(check);

    for (guint i = 0; i < plan->len; i++) {
        const LabelWrite *write = plan->pdata[i];

        if (!write_image(((const LabelDimm *) check->dimms->pdata[write->dimm])->name, write, error))
            return NULL;
    }
    return g_steal_pointer(&check);
}

/* --- the host --- */

/* pmemd's own locks: while they are held it does not start, and while it runs they are not to be had. */
static LabelCheck *repair_host(const Options *o, GError **error) {
    int lock = -1;

    g_autoptr(Config) config = config_load(NULL, error);
    if (!config || !state_dir_lock(o->state_dir ? o->state_dir : config->state_dir, &lock, error))
        return NULL;
    g_autoptr(Backend) backend = backend_ndctl_new(true, error);
    LabelCheck *check = backend ? nd_repair(o->only, o->force, error) : NULL;
    close(lock);
    return check;
}

static int run(const Options *o) {
    bool repair = o->repair && !o->dry_run;
    g_autoptr(GError) error = NULL;
    g_autoptr(LabelCheck) check = o->images && repair ? repair_images(o, &error)
                                  : o->images         ? check_images(o, &error)
                                  : repair            ? repair_host(o, &error)
                                                      : nd_repair_check(o->only, false, o->force, &error);

    if (!check) {
        fprintf(stderr, "pmemd-labels: %s\n", error ? error->message : "failed");
        return STATUS_FAILED;
    }
    print_answer(check, o, repair);
    bool bad = (repair ? label_check_count(check, LABEL_LEAVE) : check->findings->len) > 0;
    for (guint i = 0; i < check->dimms->len; i++)
        bad = bad || ((const LabelDimm *) check->dimms->pdata[i])->fault;
    return bad ? STATUS_NOT_WHOLE : STATUS_WHOLE;
}

int main(int argc, char **argv) {
    Options o = { .json = FALSE };
    const GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &o.json, "JSON", NULL },
        { "dry-run", 0, 0, G_OPTION_ARG_NONE, &o.dry_run, "Tell what repair would do", NULL },
        { "force", 0, 0, G_OPTION_ARG_NONE, &o.force, "Give up namespaces of pmemd that cannot be made whole", NULL },
        { "image", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.images, "A label area as a file, one for each DIMM", "FILE" },
        { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &o.state_dir, "pmemd's, if not that of pmemd.conf", "DIR" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("check|repair [REGION|DIMM]");
    g_autoptr(GError) error = NULL;
    int status = STATUS_FAILED;

    g_option_context_add_main_entries(context, entries, NULL);
    bool parsed = g_option_context_parse(context, &argc, &argv, &error);
    if (argc > 1 && strcmp(argv[1], "--") == 0) { /* GLib leaves it there */
        argv++;
        argc--;
    }
    if (!parsed)
        fprintf(stderr, "pmemd-labels: %s\n", error->message);
    else if (argc < 2 || argc > 3 || (argc == 3 && o.images) ||
             (strcmp(argv[1], "check") != 0 && strcmp(argv[1], "repair") != 0) ||
             (strcmp(argv[1], "check") == 0 && (o.dry_run || o.force)))
        fprintf(stderr, "usage: pmemd-labels [--json] check [REGION|DIMM | --image FILE...]\n"
                        "       pmemd-labels [--json] [--dry-run] [--force] repair [REGION|DIMM | --image FILE...]\n");
    else {
        o.repair = strcmp(argv[1], "repair") == 0;
        o.only = argc == 3 ? argv[2] : NULL;
        status = run(&o);
    }
    g_strfreev(o.images);
    g_free(o.state_dir);
    return fflush(stdout) == 0 ? status : STATUS_FAILED;
}
