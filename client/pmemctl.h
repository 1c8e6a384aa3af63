/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemctl: what the verbs share. A verb is a row of the table in pmemctl.c and a function in a file of its group; it
 * gets a Ctl that is parsed and says what happened by a GError. Exit status: 0 done, 1 refused by or no answer from the
 * daemon, 2 (an error of domain PARSE_ERROR) bad usage.
 */
#pragma once

#include <glib.h>

#include "client/libpmemd.h"
#include "client/parse.h"
#include "client/pmemctl-agent.h"
#include "proto/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdAttachment, pmemd_attachment_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdJob, pmemd_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdPlan, pmemd_plan_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdRegion, pmemd_region_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdRequest, pmemd_request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdStatus, pmemd_status_free)

typedef enum {
    CTL_FORMAT_TABLE,
    CTL_FORMAT_JSON,
    CTL_FORMAT_XEN_NDCTL,   /* the lines of Xen's xen-ndctl, for scripts written for it */
    CTL_FORMAT_OPENMETRICS, /* these two: of metrics alone, which knows no others */
    CTL_FORMAT_PROMETHEUS,
} CtlFormat;

/* The options of verbs; which verb takes which is in the table. */
typedef enum {
    OPTION_RAW = 1 << 0,
    OPTION_MGMT = 1 << 1,
    OPTION_DATA = 1 << 2,
    OPTION_FOREIGN = 1 << 3,
    OPTION_ALL = 1 << 4,
    OPTION_PROFILE = 1 << 5,
    OPTION_NAME = 1 << 6,
    OPTION_MAX_REGIONS = 1 << 7,
    OPTION_INIT_LABELS = 1 << 8,
    OPTION_NODE = 1 << 9,
    OPTION_POOL = 1 << 10,
    OPTION_ALIGNMENT = 1 << 11,
    OPTION_WAIT = 1 << 12,
    OPTION_COLUMNS = 1 << 13,
    OPTION_NO_LEGEND = 1 << 14,
    OPTION_OUTPUT = 1 << 15,
    OPTION_GUEST_NODE = 1 << 16,
    OPTION_LABEL_SIZE = 1 << 17,
    OPTION_ID = 1 << 18,
    OPTION_MEMORY = 1 << 19,
    OPTION_FRAMES = 1 << 20,
    OPTION_APPLY = 1 << 21,
    OPTION_MAP = 1 << 22,
    OPTION_VERIFY = 1 << 23,
    OPTION_OWNER = 1 << 24,
    OPTION_UNTIL_DISCONNECT = 1 << 25,
    OPTION_GUEST_FRAME = 1 << 26,
    OPTION_ALLOW_DEGRADED = 1 << 27,
    OPTION_FORCE = 1 << 28,
    OPTION_ATTACH = 1 << 29,
    OPTION_YES = 1 << 30,
    OPTION_NEW_OWNER = 1u << 31,
    OPTION_DESTROY = 1ull << 32,
    OPTION_DRY_RUN = 1ull << 33,
    OPTION_IMAGE = 1ull << 34,
    OPTION_FORCE_EVIDENCE = 1ull << 35,
    OPTION_FORCE_LABELS = 1ull << 36,
} CtlOption;

typedef struct Verb Verb;

typedef struct {
    const Verb *verb;
    bool plan_only; /* "plan VERB": decide, do not do */
    CtlFormat format;
    bool colour;
    PmemdClient *client; /* NULL before ctl_connect */
    Agent *agent;        /* NULL: none */

    /* From the command line; NULL or FALSE: not given. gboolean is what GOption writes. */
    char *bus, *host, *format_name, *request_id;
    gboolean json, no_colour, no_ask_password, help, version;
    gboolean no_legend, raw, mgmt, data, foreign, all, init_labels, wait, frames, apply, verify, yes, destroy;
    char *profile, *name, *max_regions, *node, *pool, *alignment, *columns, *output;
    char *guest_node, *label_size, *id, *memory, *map, *new_owner;
    gboolean until_disconnect, allow_degraded, force, attach, dry_run, image;
    char *lease_owner, *guest_frame;

    char **args; /* after the verb; as many as the verb's table row allows */
    guint n_args;
    char **command; /* after "--", of a verb that takes one; NULL: none */
    int status;     /* of the command that attach ran: pmemctl's own when nothing went wrong */
} Ctl;

typedef bool (*VerbFunc)(Ctl *ctl, GError **error);

struct Verb {
    const char *name;
    const char *arguments; /* "SMFN EMFN" */
    const char *summary;   /* one line */
    const char *detail;    /* paragraphs for `help VERB` */
    guint min_args, max_args;
    uint64_t options; /* CtlOption's */
    bool plannable;
    bool xen_format; /* has something to say, or nothing to say, with --format=xen-ndctl */
    VerbFunc run;
    bool changes; /* polkit may want a password for it */
    bool command; /* what stands after "--" is one to be run */
};

/* --- pmemctl.c: the table --- */

/* All verbs; ends with a row without name. Static. */
const Verb *ctl_verbs(void);
const Verb *ctl_find_verb(const char *name); /* NULL: none */

/* One option of a verb or of all verbs as `help` shows it. */
typedef struct {
    uint64_t option; /* a CtlOption; 0: taken by all verbs */
    const char *name;
    char short_name;      /* 0: none */
    const char *argument; /* NULL: a flag */
    const char *summary;
    size_t offset; /* in Ctl: gboolean for flags, char * else */
} OptionRow;

/* Ends with a row without name. Static. */
const OptionRow *ctl_options(void);

/* Connects; ctl->client and ctl->request_id are there after it. Called when the arguments are known to be good. */
bool ctl_connect(Ctl *ctl, GError **error);

/* --- pmemctl-ask.c: libpmemd as the verbs use it --- */

#define CTL_ERROR (ctl_error_quark())
GQuark ctl_error_quark(void);

/* What went wrong without an answer of pmemd; what it refused is of PMEMD_ERROR. */
typedef enum {
    CTL_ERROR_UNREACHABLE,
    CTL_ERROR_LOST,
    CTL_ERROR_PROTOCOL,
    CTL_ERROR_OUTPUT,     /* a file that was named for it cannot be written */
    CTL_ERROR_INPUT,      /* a file that was named for it cannot be read, or is of a wrong size */
    CTL_ERROR_INCOMPLETE, /* some of what was asked for is not done, or cannot be */
    CTL_ERROR_COMMAND,    /* cannot be run */
    CTL_ERROR_LINK,       /* of a device is not there */
} CtlError;

/* "org.pmemd1.Error.Exists", "org.pmemd1.Client.Usage", ... Static. */
const char *ctl_error_name(const GError *error);

/* Whether a function of libpmemd that returned r did well; else error has what the client says about it. */
bool ctl_check(Ctl *ctl, int r, GError **error);
/* Has events handed over; waits for some, at most usec microseconds. */
bool ctl_dispatch(Ctl *ctl, uint64_t usec, GError **error);
/* Arrays of PmemdRaw, ... Free: g_ptr_array_unref. */
GPtrArray *ctl_list_raw(Ctl *ctl, GError **error);
GPtrArray *ctl_list_mgmt(Ctl *ctl, GError **error);
GPtrArray *ctl_list_data(Ctl *ctl, GError **error);
GPtrArray *ctl_list_foreign(Ctl *ctl, GError **error);
/* Of the raw regions what each is made of: char *, a uuid or "". Errors besides: NOT_AUTHORIZED, the caller is not told frames.
 * Free: g_ptr_array_unref. */
GPtrArray *ctl_list_cookies(Ctl *ctl, const GPtrArray *raws, GError **error);
GPtrArray *ctl_list_leases(Ctl *ctl, GError **error);
GPtrArray *ctl_list_libvirt_pools(Ctl *ctl, GError **error);

/* --- pmemctl-lease.c --- */

/* Whether the command line names the holder; without asking anybody. */
bool ctl_check_owner(const Ctl *ctl, GError **error);
/* Lends the region as the command line says. ret_fd may be NULL. */
bool ctl_attach(Ctl *ctl, const PmemdRegion *region, int *ret_fd, PmemdAttachment **ret_attachment, GError **error);
/* Waits until who is given the path finds the device there. */
bool ctl_wait_for_link(const PmemdAttachment *attachment, GError **error);

/* --- the verbs --- */

bool verb_list(Ctl *ctl, GError **error);
bool verb_show(Ctl *ctl, GError **error);
bool verb_setup_mgmt(Ctl *ctl, GError **error);
bool verb_setup_data(Ctl *ctl, GError **error);
bool verb_allocate_mgmt(Ctl *ctl, GError **error);
bool verb_allocate_data(Ctl *ctl, GError **error);
bool verb_release(Ctl *ctl, GError **error);
bool verb_rename(Ctl *ctl, GError **error);
bool verb_set_owner(Ctl *ctl, GError **error);
bool verb_attach(Ctl *ctl, GError **error);
bool verb_detach(Ctl *ctl, GError **error);
bool verb_leases(Ctl *ctl, GError **error);
bool verb_domain_xml(Ctl *ctl, GError **error);
bool verb_qemu_args(Ctl *ctl, GError **error);
bool verb_locate(Ctl *ctl, GError **error);
bool verb_export(Ctl *ctl, GError **error);
bool verb_import(Ctl *ctl, GError **error);
bool verb_dimms(Ctl *ctl, GError **error);
bool verb_clear_bad_frames(Ctl *ctl, GError **error);
bool verb_export_data(Ctl *ctl, GError **error);
bool verb_import_data(Ctl *ctl, GError **error);
bool verb_adopt(Ctl *ctl, GError **error);
bool verb_forget(Ctl *ctl, GError **error);
bool verb_journal(Ctl *ctl, GError **error);

/* --- pmemctl-labels.c --- */

bool verb_labels(Ctl *ctl, GError **error);
bool verb_map(Ctl *ctl, GError **error);
bool verb_monitor(Ctl *ctl, GError **error);
bool verb_pool(Ctl *ctl, GError **error);
bool verb_metrics(Ctl *ctl, GError **error);
bool verb_list_cmds(Ctl *ctl, GError **error);
bool verb_help(Ctl *ctl, GError **error);

/* After a change that is done: prints the region at the object path as `show` does, or {"region": ...}; only its path,
 * or {"changed": path}, when it cannot be read any more. Nothing with --format=xen-ndctl. */
void ctl_print_changed(Ctl *ctl, const char *path);
/* Runs a program of pmemd's own in this process' place. Returns only if it cannot. arguments: borrowed strings, without the
 * program's name; another one leads them then. */
bool ctl_become(const char *name, GPtrArray *arguments, GError **error);
/* A user by name, else by number. */
bool ctl_read_user(const char *text, uint32_t *ret_uid, GError **error);
/* All verbs in short, or one in full, to stdout. */
void ctl_print_help(const Verb *verb);
