/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemctl: the table of verbs, the options, and the way from a command line to a verb and to an exit status.
 */
#include "client/pmemctl.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/pmemctl-print.h"
#include "proto/one-line.h"
#include "proto/standard-fds.h"
#include "proto/types.h"

typedef enum {
    STATUS_OK = 0,
    STATUS_REFUSED = 1,
    STATUS_USAGE = 2,
} Status;

#define SETUP_MGMT_OPTIONS (OPTION_PROFILE | OPTION_NAME | OPTION_MAX_REGIONS | OPTION_INIT_LABELS)

/* Of the verbs that lend. */
#define LEND_OPTIONS (OPTION_OWNER | OPTION_GUEST_FRAME | OPTION_ALLOW_DEGRADED)

static const Verb verbs[] = {
    { "list", "", "List raw, management and data regions, and devices that are not pmemd's",
      "Without an option, or with --all, all lists are shown. Frames are 4096 bytes, numbered from physical address 0, "
      "and END is the first frame past the range. --columns=name,state chooses columns, those of each list that has "
      "them. With --format=xen-ndctl the lines are those of Xen's xen-ndctl.",
      0, 0, OPTION_RAW | OPTION_MGMT | OPTION_DATA | OPTION_FOREIGN | OPTION_ALL | OPTION_COLUMNS | OPTION_NO_LEGEND,
      false, true, verb_list },
    { "show", "[REGION]", "Show one region with all it has, or pmemd's own state",
      "REGION is a uuid, a name, POOL/NAME, a device path or a D-Bus object path.", 0, 1, 0, false, false, verb_show },
    { "setup-mgmt", "SMFN EMFN", "Set frames [SMFN, EMFN) aside as a management region",
      "The region becomes a pool: it holds the journal and the management extents of its data regions.", 2, 2,
      SETUP_MGMT_OPTIONS | OPTION_ALLOW_DEGRADED, true, true, verb_setup_mgmt, true },
    { "setup-data", "SMFN EMFN MGMT_SMFN MGMT_EMFN", "Set frames [SMFN, EMFN) up as a data region",
      "Its management extent is taken from the start of frames [MGMT_SMFN, MGMT_EMFN), which lie in a management "
      "region. What "
      "is offered beyond the extent stays free.",
      4, 4, OPTION_NAME | OPTION_ALLOW_DEGRADED, true, true, verb_setup_data, true },
    { "allocate-mgmt", "SIZE", "Set a management region up where pmemd chooses",
      "At least SIZE bytes are usable: the best fit, the lowest address among equals.", 1, 1,
      SETUP_MGMT_OPTIONS | OPTION_NODE | OPTION_ALIGNMENT, true, true, verb_allocate_mgmt, true },
    { "allocate-data", "SIZE", "Set a data region up where pmemd chooses",
      "At least SIZE bytes are usable: the best fit, the lowest address among equals. Without --mgmt the pool on the "
      "same raw "
      "region is taken, then one on its node, then the one with most free frames.",
      1, 1, OPTION_NAME | OPTION_NODE | OPTION_POOL | OPTION_ALIGNMENT, true, true, verb_allocate_data, true },
    { "plan", "VERB ARGUMENTS...", "Show what a setup or allocate verb would do, and do nothing",
      "VERB is setup-mgmt, setup-data, allocate-mgmt or allocate-data, with the arguments and options it has: "
      "'pmemctl plan allocate-data 4G --node=1'. The plan names frames, usable bytes, waste and overhead; what would "
      "be "
      "refused is refused with the same error.",
      1, G_MAXUINT, 0, false, false, NULL },
    { "release", "REGION", "Release a data region (its content is erased), or an empty management region",
      "A data region is quarantined at once and erased by a job; its frames are free when the job is done. With --wait "
      "pmemctl ends when the job ends, and the exit status is 1 if it failed.",
      1, 1, OPTION_WAIT | OPTION_VERIFY, false, true, verb_release, true },
    { "rename", "REGION NAME", "Give a region or pool another name",
      "NAME is a letter or digit and up to 62 letters, digits, '_', '.', '-'; '' takes the name away.", 2, 2, 0, false,
      true, verb_rename, true },
    { "set-owner", "REGION USER", "Give a region to another user", "USER is a name or a number.", 2, 2, 0, false, true,
      verb_set_owner, true },
    { "attach", "REGION [-- COMMAND...]", "Lend a data region to a holder, or to a command while it runs",
      "Prints the path of the device; the lease stands until 'pmemctl detach', over restarts of pmemd and of the host. "
      "With a "
      "COMMAND nothing is printed: it has the device open as descriptor 3 ($PMEMD_FD; also $PMEMD_PATH, $PMEMD_BYTES "
      "and "
      "$PMEMD_REGION), the lease ends when it ends, and the exit status is its own. The same owner may attach again, "
      "which "
      "confirms the lease.",
      1, 1, LEND_OPTIONS | OPTION_UNTIL_DISCONNECT, false, false, verb_attach, true, true },
    { "detach", "REGION", "End the lease of a data region",
      "Its content stays: the next holder finds it. A region that a process maps is refused, with --force as without.",
      1, 1, OPTION_OWNER | OPTION_FORCE, false, true, verb_detach, true },
    { "leases", "", "List who holds which data region", "", 0, 0, OPTION_COLUMNS | OPTION_NO_LEGEND, false, false,
      verb_leases },
    { "pool", "list|enable|disable [POOL]", "Choose which pools libvirt has",
      "enable has libvirt define and start a pool of type dir, whose name, uuid and volumes are those of the pool, now "
      "and after each start of the host; disable takes it away from libvirt, and no volume with it. list shows the "
      "pools, and what is wrong. Asks pmemd-libvirt.",
      1, 2, OPTION_COLUMNS | OPTION_NO_LEGEND, false, false, verb_pool, true },
    { "domain-xml", "REGION", "Print a data region as libvirt's element of an NVDIMM",
      "<memory model='nvdimm'>, to be put into <devices> of a domain that has <maxMemory> and a NUMA cell. With "
      "--attach "
      "the "
      "region is lent to --owner in the same step; else nothing is held by it.",
      1, 1, OPTION_GUEST_NODE | OPTION_LABEL_SIZE | OPTION_ATTACH | LEND_OPTIONS, false, false, verb_domain_xml, true },
    { "qemu-args", "REGION", "Print a data region as QEMU's options of an NVDIMM",
      "An option a line, quoted for a shell. Of -m, maxmem is the guest's RAM and the region: give the RAM by "
      "--memory. With "
      "--attach the region is lent to --owner in the same step; else nothing is held by it.",
      1, 1, OPTION_GUEST_NODE | OPTION_LABEL_SIZE | OPTION_ID | OPTION_MEMORY | OPTION_ATTACH | LEND_OPTIONS, false,
      false, verb_qemu_args, true },
    { "locate", "ADDRESS...", "Tell what is at host physical addresses: which region, and whose",
      "ADDRESS is in bytes, as the kernel's logs print it: 0x2c0001000, or decimal; with --frames it is a frame "
      "number. "
      "'-' reads addresses from standard input, between blanks or one a line. OFFSET is that of the byte: of a data "
      "region as its guest sees it. Only root is told of what is not the caller's own: else KIND is hidden.",
      1, G_MAXUINT, OPTION_FRAMES | OPTION_COLUMNS | OPTION_NO_LEGEND, false, false, verb_locate },
    { "dimms", "", "Show what the DIMMs say of their health",
      "A row for each raw region that lies on the DIMM; all regions there are as healthy as it is. Only root is told "
      "of "
      "ids.",
      0, 0, OPTION_NO_LEGEND, false, false, verb_dimms },
    { "clear-bad-frames", "REGION|RAW", "Make memory usable again that cannot be read; tells what that loses",
      "Of a data region, or of a raw region (by its id) the free ones. Without --yes nothing is done. What was in the "
      "frames is lost for good; they read as zeros then. OFFSET is that of the first byte: of a data region as its "
      "guest "
      "sees it.",
      1, 1, OPTION_YES | OPTION_FORCE | OPTION_NO_LEGEND, false, false, verb_clear_bad_frames, true },
    { "export", "[POOL]", "Print a description of the pools, from which they can be made again",
      "JSON, for 'pmemctl import': raw regions, pools and data regions with names, frames and owners; not their "
      "content. "
      "With --output the file is replaced at once, if anything changed. Only root is told of all frames. "
      "docs/backup.md says when to export.",
      0, 1, OPTION_OUTPUT, false, false, verb_export },
    { "import", "FILE", "Make pools again from what export printed: shows the plan, or with --apply does it",
      "FILE '-' is standard input. RESULT says what becomes of each region: there (nothing is to be done), same (made "
      "at the "
      "same frames), moved (made elsewhere), impossible; NOTE says why. Content does not come back, uuids are new. "
      "It may be repeated: nothing is made twice. The exit status is 1 when anything is impossible or was refused.",
      1, 1, OPTION_APPLY | OPTION_MAP | OPTION_COLUMNS | OPTION_NO_LEGEND, false, false, verb_import, true },
    { "export-data", "REGION FILE", "Write the content of a data region that no guest has to a file",
      "FILE '-' is standard output. Zeros become holes of the file, which has the size of the region and is in its "
      "place "
      "when all of it is written. Nobody is lent the region meanwhile. With --allow-degraded frames that cannot be "
      "read "
      "are zeros in it, and are told.",
      2, 2, OPTION_ALLOW_DEGRADED, false, false, verb_export_data, true },
    { "import-data", "REGION FILE", "Replace the content of a data region that no guest has by that of a file",
      "FILE '-' is standard input. It has to have the size of the region to the byte. What was in the region is lost. "
      "Nobody "
      "is lent the region meanwhile; when it is done the content survives a loss of power.",
      2, 2, 0, false, false, verb_import_data, true },
    { "adopt", "DEVICE", "Make a device that no journal knows a data region, with its content",
      "DEVICE is the name of an orphan, as 'list --foreign' shows it. Its content is kept, and belongs to the owner "
      "from "
      "now on. Or "
      "DEVICE is a pool that was last used on another machine: it becomes this machine's, all in it root's, lent to "
      "nobody. "
      "Only when no guest of that machine uses it any more.",
      1, 1, OPTION_NEW_OWNER | OPTION_POOL | OPTION_NAME, false, true, verb_adopt, true },
    { "forget", "REGION", "Free the frames of a data region whose device is gone for good",
      "Refused while the device is there. With --destroy, REGION may be the name of an orphan or unformatted device, "
      "as "
      "'list "
      "--foreign' shows it: an orphan is erased by a job first, of a management device a copy is kept on pmemd's host.",
      1, 1, OPTION_DESTROY | OPTION_POOL | OPTION_FORCE_EVIDENCE, false, true, verb_forget, true },
    { "journal", "check|show|repair POOL", "Look at the journal of a pool, or repair it",
      "check and show read the journal itself, also without pmemd: instead of a POOL they take the path of a device, "
      "of "
      "an "
      "image, or of a copy that was kept as evidence; nothing is written, and the exit status is 0 whole, 1 corrupt, 2 "
      "unreadable, 3 of a newer format. repair tells what can be kept of a corrupt journal, and changes nothing; with "
      "--apply that becomes the journal, after pmemd has kept a copy.",
      2, 2, OPTION_APPLY | OPTION_FORCE_EVIDENCE, false, true, verb_journal, true },
    { "labels", "check|repair [REGION|DIMM | FILE...]", "Look at the labels of interleave sets, or repair them",
      "A namespace over several DIMMs has a label on each; a loss of power while one is made or deleted can leave some "
      "without it, and the kernel refuses the whole region then. pmemd repairs that at its start where it is the only "
      "one "
      "concerned. check reads the labels of all sets, or those of a raw region or DIMM, and says what repair would do. "
      "repair "
      "does it; pmemd must not run. With --image both take files instead, copies of label areas, one of each DIMM of a "
      "set. "
      "Nobody else's labels are ever changed. The exit status is 0 all is whole, 1 something is not, or is left, 2 "
      "failure.",
      1, 33, OPTION_DRY_RUN | OPTION_FORCE_LABELS | OPTION_IMAGE, false, true, verb_labels, true },
    { "map", "", "Draw the address space of the raw regions to scale",
      "One bar a raw region: M management, D data, Q quarantined (being erased), F foreign, '-' the lead of a device, "
      "'.' free. "
      "A region's first cell is the capital letter; each region has at least one cell. The width is that of the "
      "terminal, "
      "or COLUMNS, or 80.",
      0, 0, 0, false, false, verb_map },
    { "monitor", "", "Print what happens, one line an event, until interrupted",
      "Regions and jobs that come, change and go, changes of health, pmemd itself. The first line says whether pmemd "
      "runs. "
      "With --json each line is a JSON document. Only root and group pmemd receive events.",
      0, 0, 0, false, false, verb_monitor },
    { "metrics", "", "Print what pmemd counts and measures, for monitoring",
      "OpenMetrics text, or with --format=prometheus what the textfile collector of node_exporter reads. With --output "
      "the file is replaced at once; when pmemd does not answer it then says pmemd_up 0, and the exit status is 1. "
      "Everyone may ask.",
      0, 0, OPTION_OUTPUT, false, false, verb_metrics },
    { "list-cmds", "[VERB]", "List the verbs, or the options of a verb, one a line",
      "For shells that complete command lines. An option that takes a value ends with '='.", 0, 1, 0, false, true,
      verb_list_cmds },
    { "help", "[VERB]", "Explain pmemctl, or one verb", "", 0, 1, 0, false, true, verb_help },
    { NULL },
};

static const OptionRow options[] = {
    { OPTION_RAW, "raw", 0, NULL, "raw regions", offsetof(Ctl, raw) },
    { OPTION_MGMT, "mgmt", 0, NULL, "management regions", offsetof(Ctl, mgmt) },
    { OPTION_DATA, "data", 0, NULL, "data regions", offsetof(Ctl, data) },
    { OPTION_FOREIGN, "foreign", 0, NULL, "devices that are not pmemd's", offsetof(Ctl, foreign) },
    { OPTION_ALL, "all", 0, NULL, "all of these", offsetof(Ctl, all) },
    { OPTION_COLUMNS, "columns", 0, "KEY,...", "these columns, by the keys that JSON has for them",
      offsetof(Ctl, columns) },
    { OPTION_NO_LEGEND, "no-legend", 0, NULL, "neither titles nor heads: a row a line", offsetof(Ctl, no_legend) },
    { OPTION_PROFILE, "profile", 0, "PROFILE", "what a frame costs the hypervisor: xen, linux or none",
      offsetof(Ctl, profile) },
    { OPTION_NAME, "name", 0, "NAME", "the region's name", offsetof(Ctl, name) },
    { OPTION_MAX_REGIONS, "max-regions", 0, "N", "how many data regions the journal is laid out for",
      offsetof(Ctl, max_regions) },
    { OPTION_INIT_LABELS, "init-labels", 0, NULL, "write a label area to DIMMs that have none",
      offsetof(Ctl, init_labels) },
    { OPTION_NODE, "node", 0, "N", "only on this proximity domain", offsetof(Ctl, node) },
    { OPTION_GUEST_NODE, "node", 0, "N", "of the guest's NUMA nodes the one it is on; 0", offsetof(Ctl, guest_node) },
    { OPTION_LABEL_SIZE, "label-size", 0, "SIZE", "for the guest's labels; 128K, 0 for none",
      offsetof(Ctl, label_size) },
    { OPTION_ID, "id", 0, "ID", "of QEMU's device; else pmemd-UUID", offsetof(Ctl, id) },
    { OPTION_MEMORY, "memory", 0, "SIZE", "the guest's RAM; 1G", offsetof(Ctl, memory) },
    { OPTION_POOL, "mgmt", 0, "POOL", "uuid or name of the pool", offsetof(Ctl, pool) },
    { OPTION_ALIGNMENT, "alignment", 0, "SIZE", "of the first usable byte", offsetof(Ctl, alignment) },
    { OPTION_OWNER, "owner", 0, "NAME", "who holds the region: the uuid of a domain, or any name",
      offsetof(Ctl, lease_owner) },
    { OPTION_UNTIL_DISCONNECT, "until-disconnect", 0, NULL, "the lease ends with pmemctl, however that ends",
      offsetof(Ctl, until_disconnect) },
    { OPTION_GUEST_FRAME, "guest-frame", 0, "FRAME", "the guest's first frame of it, for locate",
      offsetof(Ctl, guest_frame) },
    { OPTION_ALLOW_DEGRADED, "allow-degraded", 0, NULL, "also a region with bad frames",
      offsetof(Ctl, allow_degraded) },
    { OPTION_FORCE, "force", 0, NULL, "also what somebody else holds", offsetof(Ctl, force) },
    { OPTION_FORCE_EVIDENCE, "force", 0, NULL, "also where no copy can be kept as evidence", offsetof(Ctl, force) },
    { OPTION_FORCE_LABELS, "force", 0, NULL, "of repair: give up pmemd's namespaces that would be left",
      offsetof(Ctl, force) },
    { OPTION_ATTACH, "attach", 0, NULL, "lend the region to --owner", offsetof(Ctl, attach) },
    { OPTION_WAIT, "wait", 0, NULL, "until the content is erased", offsetof(Ctl, wait) },
    { OPTION_VERIFY, "verify", 0, NULL, "read each erased byte back, not samples", offsetof(Ctl, verify) },
    { OPTION_FRAMES, "frames", 0, NULL, "frame numbers instead of addresses", offsetof(Ctl, frames) },
    { OPTION_APPLY, "apply", 0, NULL, "do it; else the plan alone is shown", offsetof(Ctl, apply) },
    { OPTION_MAP, "map", 0, "OLD=NEW,...", "raw region NEW of this host stands for OLD of the export",
      offsetof(Ctl, map) },
    { OPTION_YES, "yes", 0, NULL, "do it; else only what would be done is shown", offsetof(Ctl, yes) },
    { OPTION_NEW_OWNER, "owner", 0, "USER", "whose it is from now on; root", offsetof(Ctl, new_owner) },
    { OPTION_DESTROY, "destroy", 0, NULL, "a device that no journal knows, with all that it holds",
      offsetof(Ctl, destroy) },
    { OPTION_DRY_RUN, "dry-run", 0, NULL, "only say what would be done", offsetof(Ctl, dry_run) },
    { OPTION_IMAGE, "image", 0, NULL, "the arguments are copies of label areas", offsetof(Ctl, image) },
    { OPTION_OUTPUT, "output", 0, "FILE", "replace this file instead of printing", offsetof(Ctl, output) },
    { 0, "host", 'H', "[USER@]HOST[:PORT]", "pmemd on another host, through ssh", offsetof(Ctl, host) },
    { 0, "bus", 0, "BUS", "system, session or an address; else $PMEMCTL_BUS, else system", offsetof(Ctl, bus) },
    { 0, "format", 0, "FORMAT", "table (the default), json or xen-ndctl; see metrics for its own",
      offsetof(Ctl, format_name) },
    { 0, "json", 0, NULL, "the same as --format=json", offsetof(Ctl, json) },
    { 0, "no-color", 0, NULL, "no colours, as when NO_COLOR is set or there is no terminal", offsetof(Ctl, no_colour) },
    { 0, "no-ask-password", 0, NULL, "do not let polkit ask for a password", offsetof(Ctl, no_ask_password) },
    { 0, "request-id", 0, "UUID", "repeating a change with its id does it once; else a random one",
      offsetof(Ctl, request_id) },
    { 0, "help", 'h', NULL, "explain, and do nothing", offsetof(Ctl, help) },
    { 0, "version", 0, NULL, "print the version, and do nothing", offsetof(Ctl, version) },
    { 0, NULL, 0, NULL, NULL, 0 },
};

const Verb *ctl_verbs(void) {
    return verbs;
}

const OptionRow *ctl_options(void) {
    return options;
}

const Verb *ctl_find_verb(const char *name) {
    for (const Verb *verb = verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

static bool usage_error(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool usage_error(GError **error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, PARSE_ERROR, PARSE_ERROR_USAGE, message);
    return false;
}

/* text: taken. */
static void take_unless_given(char **at, char *text) {
    if (*at)
        g_free(text);
    else
        *at = text;
}

/* Takes the options of the verb (NULL: those of all) out of args. before_verb: stops at the first argument. */
static bool parse_options(Ctl *ctl, const Verb *verb, char ***args, bool before_verb, GError **error) {
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    GOptionEntry entries[G_N_ELEMENTS(options)] = { 0 };
    size_t n = 0;

    for (const OptionRow *row = options; row->name; row++)
        if (row->option == 0 || (verb && (verb->options & row->option)))
            entries[n++] = (GOptionEntry){
                .long_name = row->name,
                .short_name = row->short_name,
                .arg = row->argument ? G_OPTION_ARG_STRING : G_OPTION_ARG_NONE,
                .arg_data = G_STRUCT_MEMBER_P(ctl, row->offset),
                .description = row->summary,
                .arg_description = row->argument,
            };
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, before_verb);
    g_option_context_add_main_entries(context, entries, NULL);

    /* What stood before the verb counts unless it stands after it, too; GOption knows only what it has read itself. */
    char *before[G_N_ELEMENTS(options)] = { NULL };
    for (size_t i = 0; options[i].name; i++)
        if (options[i].argument)
            before[i] = g_steal_pointer(&G_STRUCT_MEMBER(char *, ctl, options[i].offset));
    GError *option_error = NULL;
    gboolean ok = g_option_context_parse_strv(context, args, &option_error);
    for (size_t i = 0; options[i].name; i++)
        if (options[i].argument)
            take_unless_given(&G_STRUCT_MEMBER(char *, ctl, options[i].offset), before[i]);
    if (!ok) {
        usage_error(error, "%s", option_error->message);
        g_clear_error(&option_error);
        return false;
    }
    return true;
}

/* Drops the first element of the vector; the program's name stays, for GOption. */
static void shift(char **args) {
    g_free(args[1]);
    for (guint i = 1; args[i]; i++)
        args[i] = args[i + 1];
}

/* The verb, and after "plan" the planned one, which is none that calls this again: "plan" cannot be planned.
 * NOLINTNEXTLINE(misc-no-recursion) */
static bool take_verb(Ctl *ctl, char ***args, GError **error) {
    if (!parse_options(ctl, NULL, args, true, error))
        return false;
    if (ctl->help || ctl->version)
        if (!(*args)[1])
            return true;
    if (!(*args)[1])
        return usage_error(error, ctl->plan_only ? "plan what? setup-mgmt, setup-data, allocate-mgmt or allocate-data"
                                                 : "what is to be done? 'pmemctl help' lists the verbs");

    const Verb *verb = ctl_find_verb((*args)[1]);
    if (!verb)
        return usage_error(error, "there is no verb '%s': 'pmemctl help' lists the verbs", (*args)[1]);
    if (ctl->plan_only && !verb->plannable)
        return usage_error(error, "'%s' cannot be planned: setup-mgmt, setup-data, allocate-mgmt and allocate-data can",
                           verb->name);
    shift(*args);
    ctl->verb = verb;
    if (verb->run)
        return true;
    ctl->plan_only = true;
    return take_verb(ctl, args, error);
}

static bool settle_format(Ctl *ctl, GError **error) {
    static const char *const names[] = { "table", "json", "xen-ndctl", "openmetrics", "prometheus", NULL };
    bool metrics = ctl->verb->run == verb_metrics;

    ctl->format = ctl->json ? CTL_FORMAT_JSON : metrics ? CTL_FORMAT_OPENMETRICS : CTL_FORMAT_TABLE;
    if (ctl->format_name) {
        int i = 0;
        while (names[i] && strcmp(names[i], ctl->format_name) != 0)
            i++;
        if (!names[i])
            return usage_error(error, "--format takes table, json or xen-ndctl, not '%s'", ctl->format_name);
        if (ctl->json && (CtlFormat) i != CTL_FORMAT_JSON)
            return usage_error(error, "--json and --format=%s contradict each other", ctl->format_name);
        ctl->format = (CtlFormat) i;
    }
    if (metrics != (ctl->format == CTL_FORMAT_OPENMETRICS || ctl->format == CTL_FORMAT_PROMETHEUS))
        return usage_error(error, "'%s' prints %s, not %s", ctl->plan_only ? "plan" : ctl->verb->name,
                           metrics ? "openmetrics or prometheus" : "table, json or xen-ndctl", names[ctl->format]);
    if ((ctl->columns || ctl->no_legend) && ctl->format != CTL_FORMAT_TABLE)
        return usage_error(error, "--columns and --no-legend are for tables, not for --format=%s", names[ctl->format]);
    if (ctl->format == CTL_FORMAT_XEN_NDCTL && (!ctl->verb->xen_format || ctl->plan_only))
        return usage_error(error, "'%s' knows no --format=xen-ndctl: xen-ndctl has nothing like it",
                           ctl->plan_only ? "plan" : ctl->verb->name);
    return true;
}

/* Cuts off what stands after "--". */
static void take_command(Ctl *ctl, char **args) {
    guint n = 1;

    while (args[n] && strcmp(args[n], "--") != 0)
        n++;
    if (!args[n])
        return;
    ctl->command = g_strdupv(args + n + 1);
    while (args[n])
        shift(args + n - 1);
}

/* Everything that can be told without a daemon. */
static bool parse_command_line(Ctl *ctl, char ***args, GError **error) {
    sd_id128_t uuid;

    for (guint i = 1; (*args)[i]; i++)
        if (!g_utf8_validate((*args)[i], -1, NULL))
            return usage_error(error, "argument %u is not UTF-8", i);
    if (!take_verb(ctl, args, error))
        return false;
    if (!ctl->verb)
        return true;
    if (ctl->verb->command)
        take_command(ctl, *args);
    if (!parse_options(ctl, ctl->verb, args, false, error))
        return false;

    ctl->args = *args + 1;
    /* What comes after "--" is no option; GOption leaves the dashes in when something stood before them. */
    if (ctl->args[0] && strcmp(ctl->args[0], "--") == 0)
        shift(*args);
    ctl->n_args = g_strv_length(ctl->args);
    if (ctl->help || ctl->version)
        return true;
    if (ctl->n_args < ctl->verb->min_args)
        return usage_error(error, "'%s' takes %s", ctl->verb->name, ctl->verb->arguments);
    if (ctl->n_args > ctl->verb->max_args)
        return usage_error(error, "'%s' takes %s; '%s' is too much", ctl->verb->name,
                           ctl->verb->max_args > 0 ? ctl->verb->arguments : "no arguments",
                           ctl->args[ctl->verb->max_args]);
    if (ctl->request_id && !pmemd_uuid_parse(ctl->request_id, &uuid))
        return usage_error(error, "--request-id takes a uuid such as 0f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c0, not '%s'",
                           ctl->request_id);
    if (ctl->host && ctl->bus)
        return usage_error(error, "--host and --bus contradict each other: on another host it is the system bus");
    return settle_format(ctl, error);
}

/* libsystemd takes any text for an address, and says of most that the connection was refused. */
static bool check_bus(const char *from, const char *bus, GError **error) {
    const char *colon = strchr(bus, ':');

    if (strcmp(bus, "system") == 0 || strcmp(bus, "session") == 0 ||
        (colon && colon > bus && !memchr(bus, '/', (size_t) (colon - bus))))
        return true;
    return usage_error(error, "%s '%s' is no bus: give system, session or an address such as unix:path=/run/bus", from,
                       bus);
}

/* A request-id of our own lets the library ask again when the daemon goes away during a change. */
static bool make_request_id(Ctl *ctl, GError **error) {
    char text[PMEMD_REQUEST_ID_SIZE];

    if (ctl->request_id)
        return true;
    int r = pmemd_make_request_id(text);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "no random number for a request-id: %s", g_strerror(-r));
        return false;
    }
    ctl->request_id = g_strdup(text);
    return true;
}

/* Whether a password may be asked for, and there is somebody to ask. Root is not asked, and another host's polkit does not
 * see an agent of ours. */
static bool wants_agent(const Ctl *ctl) {
    return ctl->verb->changes && !ctl->plan_only && !ctl->no_ask_password && geteuid() != 0 && isatty(STDIN_FILENO);
}

bool ctl_connect(Ctl *ctl, GError **error) {
    const char *bus = ctl->bus ? ctl->bus : g_getenv("PMEMCTL_BUS");

    if (!ctl->host && bus && bus[0] != '\0' && !check_bus(ctl->bus ? "--bus:" : "PMEMCTL_BUS:", bus, error))
        return false;
    if (!make_request_id(ctl, error))
        return false;
    pmemd_client_new(&ctl->client);
    pmemd_client_set_interactive(ctl->client, !ctl->no_ask_password);
    if (ctl->host)
        return ctl_check(ctl, pmemd_client_open_remote(ctl->client, ctl->host), error);
    if (!ctl_check(ctl, pmemd_client_open(ctl->client, bus && bus[0] != '\0' ? bus : "system"), error))
        return false;
    if (wants_agent(ctl))
        ctl->agent = agent_start();
    return true;
}

static bool run(Ctl *ctl, GError **error) {
    if (ctl->version) {
        printf("pmemctl %s\n", PMEMD_VERSION);
        return true;
    }
    if (ctl->help) {
        ctl_print_help(ctl->plan_only ? ctl_find_verb("plan") : ctl->verb);
        return true;
    }

    const char *no_colour = g_getenv("NO_COLOR");
    ctl->colour = !ctl->no_colour && !(no_colour && no_colour[0] != '\0') && isatty(STDOUT_FILENO);
    g_assert(ctl->verb); /* parse_command_line() takes a command line without one for help, version or an error only */
    return ctl->verb->run(ctl, error);
}

static Status report(const Ctl *ctl, const GError *error) {
    bool usage = error->domain == PARSE_ERROR;

    /* The format is not settled when the command line is what is wrong. */
    if (ctl->format == CTL_FORMAT_JSON || ctl->json || g_strcmp0(ctl->format_name, "json") == 0) {
        JsonObject *document = json_document_new();
        JsonObject *body = json_object_new();
        json_object_set_string_member(body, "name", ctl_error_name(error));
        json_object_set_string_member(body, "message", error->message);
        json_object_set_object_member(document, "error", body);
        json_document_print(stderr, document, false);
    } else {
        g_autofree char *message = one_line(error->message);
        fprintf(stderr, "pmemctl: %s\n", message);
        if (usage)
            fprintf(stderr, "Try 'pmemctl help%s%s'.\n", ctl->verb ? " " : "",
                    ctl->plan_only ? "plan"
                    : ctl->verb    ? ctl->verb->name
                                   : "");
    }
    return usage ? STATUS_USAGE : STATUS_REFUSED;
}

static void ctl_clear(Ctl *ctl) {
    agent_stop(ctl->agent);
    pmemd_client_free(ctl->client);
    g_strfreev(ctl->command);
    for (const OptionRow *row = options; row->name; row++)
        if (row->argument)
            g_free(G_STRUCT_MEMBER(char *, ctl, row->offset));
}

int main(int argc, char **argv) {
    if (!standard_fds_keep())
        return STATUS_REFUSED;

    g_auto(GStrv) args = g_strdupv(argv);
    GError *error = NULL;
    Status status = STATUS_OK;
    int command_status = 0;
    Ctl ctl = { 0 };

    (void) setlocale(LC_ALL, ""); /* else it stays "C" */
    if (!parse_command_line(&ctl, &args, &error) || !run(&ctl, &error))
        status = report(&ctl, error);
    else if (ctl.status != 0)
        command_status = ctl.status;
    g_clear_error(&error);
    ctl_clear(&ctl);
    /* A full disk must not look like success. The cause is known of the last write alone. */
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "pmemctl: cannot write the output%s%s\n", errno != 0 ? ": " : "",
                errno != 0 ? g_strerror(errno) : "");
        return STATUS_REFUSED;
    }
    return status == STATUS_OK ? command_status : (int) status;
}
