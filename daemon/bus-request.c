/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-request.h"

#include "daemon/bus-error.h"
#include "daemon/bus-options.h"
#include "daemon/bus-reply.h"
#include "proto/error.h"
#include "proto/names.h"

#include <inttypes.h>
#include <string.h>

#define BIT(option) BUS_OPTION_BIT(BUS_OPTION_##option)

#define OPTIONS_MGMT (BIT(NAME) | BIT(PROFILE) | BIT(MAX_REGIONS) | BIT(INIT_LABELS) | BIT(REQUEST_ID))
#define OPTIONS_DATA (BIT(NAME) | BIT(REQUEST_ID))

typedef struct {
    const char *member;
    ManagerMethod method;
    const char *arguments; /* signature before the options; r: an o that may be "/" */
    uint32_t names;        /* the same as a set, for Plan; 0: cannot be planned */
    uint32_t options;      /* set of those allowed */
} Row;

static const Row method_table[] = {
    { "SetupMgmt", MANAGER_SETUP_MGMT, "tt", BIT(SMFN) | BIT(EMFN), OPTIONS_MGMT | BIT(ALLOW_DEGRADED) },
    { "SetupData", MANAGER_SETUP_DATA, "tttt", BIT(SMFN) | BIT(EMFN) | BIT(MGMT_SMFN) | BIT(MGMT_EMFN),
      OPTIONS_DATA | BIT(ALLOW_DEGRADED) },
    { "AllocateMgmt", MANAGER_ALLOCATE_MGMT, "t", BIT(BYTES), OPTIONS_MGMT | BIT(NODE) | BIT(ALIGNMENT) },
    { "AllocateData", MANAGER_ALLOCATE_DATA, "t", BIT(BYTES), OPTIONS_DATA | BIT(NODE) | BIT(ALIGNMENT) | BIT(MGMT) },
    { "ReleaseData", MANAGER_RELEASE_DATA, "o", 0, BIT(REQUEST_ID) | BIT(VERIFY) },
    { "ReleaseMgmt", MANAGER_RELEASE_MGMT, "o", 0, BIT(REQUEST_ID) },
    { "Rename", MANAGER_RENAME, "os", 0, 0 },
    { "SetOwner", MANAGER_SET_OWNER, "ou", 0, 0 },
    { "Attach", MANAGER_ATTACH, "os", 0, BIT(UNTIL) | BIT(GUEST_FRAME) | BIT(ALLOW_DEGRADED) },
    { "Detach", MANAGER_DETACH, "os", 0, BIT(FORCE) },
    { "ClearBadFrames", MANAGER_CLEAR_BAD_FRAMES, "r", 0, BIT(DRY_RUN) | BIT(FORCE) | BIT(RAW) },
    { "Adopt", MANAGER_ADOPT, "s", 0, BIT(MGMT) | BIT(MGMT_SMFN) | BIT(NAME) | BIT(UID) | BIT(REQUEST_ID) },
    { "Forget", MANAGER_FORGET, "s", 0, BIT(DESTROY) | BIT(MGMT) | BIT(FORCE) | BIT(REQUEST_ID) },
    { "Repair", MANAGER_REPAIR, "s", 0, BIT(APPLY) | BIT(FORCE) },
};

/* The arguments of a call before its options, in a form that fits all. */
typedef struct {
    uint64_t number[4];
    size_t n_numbers;
    sd_id128_t uuid;
    const char *name;
    uint32_t uid;
} Arguments;

static const Row *find_row(const char *member) {
    for (size_t i = 0; i < G_N_ELEMENTS(method_table); i++)
        if (strcmp(method_table[i].member, member) == 0)
            return &method_table[i];
    return NULL;
}

static bool unreadable(int r, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the arguments cannot be read: %s", g_strerror(-r));
    return false;
}

/* may_be_none: "/" is fine, and leaves the uuid null. */
static bool read_region(sd_bus_message *call, bool may_be_none, Arguments *arguments, GError **error) {
    const char *path;

    int r = sd_bus_message_read_basic(call, 'o', &path);
    if (r < 0)
        return unreadable(r, error);
    if (may_be_none && strcmp(path, "/") == 0)
        return true;
    if (!pmemd_region_path_parse(path, &arguments->uuid)) {
        g_autofree char *quoted = bus_quote(path);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                    "'%s' is not the object of a region: those are " PMEMD_REGION_PATH_PREFIX "UUID, with _ for -",
                    quoted);
        return false;
    }
    return true;
}

static bool read_arguments(sd_bus_message *call, const char *signature, Arguments *arguments, GError **error) {
    int r = 0;

    for (const char *type = signature; *type; type++) {
        if (*type == 't')
            r = sd_bus_message_read_basic(call, 't', &arguments->number[arguments->n_numbers++]);
        else if (*type == 's')
            r = sd_bus_message_read_basic(call, 's', &arguments->name);
        else if (*type == 'u')
            r = sd_bus_message_read_basic(call, 'u', &arguments->uid);
        else if (!read_region(call, *type == 'r', arguments, error))
            return false;
        if (r < 0)
            return unreadable(r, error);
    }
    return !arguments->name || bus_check_text("the name", arguments->name, error);
}

static const char *text_of(const BusOptions *options, BusOption option) {
    return (options->given & BUS_OPTION_BIT(option)) && options->value[option].s[0] ? options->value[option].s : NULL;
}

static bool flag_of(const BusOptions *options, BusOption option) {
    return (options->given & BUS_OPTION_BIT(option)) && options->value[option].b;
}

static void fill_mgmt(const BusOptions *options, const BusDefaults *defaults, MgmtRequest *mgmt) {
    mgmt->profile = (options->given & BIT(PROFILE)) ? options->profile : defaults->profile;
    mgmt->max_regions =
        (options->given & BIT(MAX_REGIONS)) ? options->value[BUS_OPTION_MAX_REGIONS].u : JF_MAX_REGIONS_DEFAULT;
    mgmt->init_labels = flag_of(options, BUS_OPTION_INIT_LABELS);
    mgmt->allow_degraded = flag_of(options, BUS_OPTION_ALLOW_DEGRADED);
    mgmt->name = text_of(options, BUS_OPTION_NAME);
    mgmt->node = (options->given & BIT(NODE)) ? options->value[BUS_OPTION_NODE].i : -1;
    mgmt->alignment = (options->given & BIT(ALIGNMENT)) ? options->value[BUS_OPTION_ALIGNMENT].t : defaults->alignment;
}

static void fill_data(const BusOptions *options, const BusDefaults *defaults, DataRequest *data) {
    data->name = text_of(options, BUS_OPTION_NAME);
    data->pool = (options->given & BIT(MGMT)) ? options->value[BUS_OPTION_MGMT].s : NULL;
    data->allow_degraded = flag_of(options, BUS_OPTION_ALLOW_DEGRADED);
    data->node = (options->given & BIT(NODE)) ? options->value[BUS_OPTION_NODE].i : -1;
    data->alignment = (options->given & BIT(ALIGNMENT)) ? options->value[BUS_OPTION_ALIGNMENT].t : defaults->alignment;
}

static void fill_lease(const Arguments *arguments, const BusOptions *options, ManagerRequest *m) {
    m->lease.uuid = arguments->uuid;
    m->lease.owner = arguments->name;
    m->lease.has_until = (options->given & BIT(UNTIL)) != 0;
    m->lease.disconnect = m->lease.has_until && options->disconnect;
    m->lease.has_guest_frame = (options->given & BIT(GUEST_FRAME)) != 0;
    m->lease.guest_frame = m->lease.has_guest_frame ? options->value[BUS_OPTION_GUEST_FRAME].t : PMEMD_FRAME_INVALID;
    m->lease.allow_degraded = flag_of(options, BUS_OPTION_ALLOW_DEGRADED);
    m->lease.force = flag_of(options, BUS_OPTION_FORCE);
}

/* Which by force may be "": whoever has it. */
static bool check_lease_owner(const Row *row, const Arguments *arguments, const BusOptions *options, GError **error) {
    if ((row->method == MANAGER_DETACH && g_strcmp0(arguments->name, "") == 0 && flag_of(options, BUS_OPTION_FORCE)) ||
        pmemd_lease_owner_is_valid(arguments->name))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "the owner is not valid: 1 to %d printable ASCII characters, neither the first nor the last a space, "
                "such as the uuid of a domain",
                PMEMD_LEASE_OWNER_MAX);
    return false;
}

static void fill_repair(const Arguments *arguments, const BusOptions *options, ManagerRequest *m) {
    m->repair.key = arguments->name;
    m->repair.mgmt = text_of(options, BUS_OPTION_MGMT);
    m->repair.name = text_of(options, BUS_OPTION_NAME);
    m->repair.extent_start = (options->given & BIT(MGMT_SMFN)) ? options->value[BUS_OPTION_MGMT_SMFN].t : UINT64_MAX;
    m->repair.owner_uid = (options->given & BIT(UID)) ? options->value[BUS_OPTION_UID].u : 0;
    m->repair.destroy = flag_of(options, BUS_OPTION_DESTROY);
    m->repair.apply = flag_of(options, BUS_OPTION_APPLY);
    m->repair.force = flag_of(options, BUS_OPTION_FORCE);
}

static void fill(const Row *row, const Arguments *arguments, const BusOptions *options, const Caller *caller,
                 const BusDefaults *defaults, BusRequest *request) {
    ManagerRequest *m = &request->manager;
    const uint64_t *n = arguments->number;

    m->method = row->method;
    m->uid = caller->uid;
    m->user = caller->user;
    m->request_id = options->request_id;
    if (defaults->quotas && (row->method == MANAGER_SETUP_DATA || row->method == MANAGER_ALLOCATE_DATA))
        quota_table_find(defaults->quotas, defaults->patience, caller->uid, &m->quota);
    else if (defaults->quotas && row->method == MANAGER_SET_OWNER && caller->uid != 0)
        quota_table_find(defaults->quotas, defaults->patience, arguments->uid, &m->quota);
    switch (row->method) {
    case MANAGER_SETUP_MGMT:
        fill_mgmt(options, defaults, &m->mgmt);
        m->mgmt.range = (FrameRange){ n[0], n[1] };
        break;
    case MANAGER_ALLOCATE_MGMT:
        fill_mgmt(options, defaults, &m->mgmt);
        m->mgmt.bytes = n[0];
        break;
    case MANAGER_SETUP_DATA:
        fill_data(options, defaults, &m->data);
        m->data.range = (FrameRange){ n[0], n[1] };
        m->data.mgmt = (FrameRange){ n[2], n[3] };
        break;
    case MANAGER_ALLOCATE_DATA:
        fill_data(options, defaults, &m->data);
        m->data.bytes = n[0];
        break;
    case MANAGER_RELEASE_DATA:
    case MANAGER_RELEASE_MGMT:
    case MANAGER_RENAME:
    case MANAGER_SET_OWNER:
        m->target.uuid = arguments->uuid;
        m->target.name = arguments->name;
        m->target.owner_uid = arguments->uid;
        m->target.verify_all = (options->given & BIT(VERIFY)) && options->value[BUS_OPTION_VERIFY].b;
        break;
    case MANAGER_ATTACH:
    case MANAGER_DETACH:
        fill_lease(arguments, options, m);
        break;
    case MANAGER_CLEAR_BAD_FRAMES:
        m->target.uuid = arguments->uuid;
        m->target.raw = sd_id128_is_null(arguments->uuid) ? text_of(options, BUS_OPTION_RAW) : NULL;
        m->target.force = flag_of(options, BUS_OPTION_FORCE);
        request->dry_run = flag_of(options, BUS_OPTION_DRY_RUN);
        break;
    case MANAGER_ADOPT:
    case MANAGER_FORGET:
    case MANAGER_REPAIR:
        fill_repair(arguments, options, m);
        break;
    }
}

/* Either a region, or the free frames of a raw region. */
static bool check_clear(const Arguments *arguments, const BusOptions *options, GError **error) {
    bool has_region = !sd_id128_is_null(arguments->uuid), has_raw = text_of(options, BUS_OPTION_RAW) != NULL;

    if (has_region != has_raw)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                has_region ? "give a region, or / and the option raw, not both"
                           : "no region was given: with / the option raw says whose free frames are meant");
    return false;
}

static uint64_t hash_of(const Row *row, const Arguments *arguments, const BusOptions *options) {
    bool by_key = row->method == MANAGER_ADOPT || row->method == MANAGER_FORGET || row->method == MANAGER_REPAIR;
    uint64_t all[6];
    size_t n = 0;

    for (; n < arguments->n_numbers; n++)
        all[n] = arguments->number[n];
    if (by_key) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[32];
        gsize len = sizeof digest;

        g_checksum_update(sum, (const guchar *) arguments->name, -1);
        g_checksum_get_digest(sum, digest, &len);
        memcpy(all, digest, 2 * sizeof *all);
        n = 2;
    } else if (arguments->n_numbers == 0) {
        memcpy(all, arguments->uuid.bytes, sizeof arguments->uuid.bytes);
        n = 2;
    }
    return bus_options_hash(options, row->method, all, n);
}

bool bus_request_read(sd_bus_message *call, const Caller *caller, const BusDefaults *defaults, BusRequest *ret_request,
                      GError **error) {
    const Row *row = find_row(sd_bus_message_get_member(call));
    Arguments arguments = { 0 };
    BusRequest request = { 0 };
    BusOptions options;

    if (!row) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the method has no row in the table of requests");
        return false;
    }
    if (!read_arguments(call, row->arguments, &arguments, error) ||
        !bus_options_parse(call, row->options, &options, error))
        return false;
    if (row->method == MANAGER_SET_OWNER && arguments.uid == UINT32_MAX) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                            "uid 4294967295 (-1) is no user: give the uid of the new owner, 0 for root");
        return false;
    }
    if ((row->method == MANAGER_ATTACH || row->method == MANAGER_DETACH) &&
        !check_lease_owner(row, &arguments, &options, error))
        return false;
    if (row->method == MANAGER_CLEAR_BAD_FRAMES && !check_clear(&arguments, &options, error))
        return false;
    fill(row, &arguments, &options, caller, defaults, &request);
    request.hash = hash_of(row, &arguments, &options);
    *ret_request = request;
    if (row->method == MANAGER_SET_OWNER) {
        if (!caller_user_name(defaults->patience, arguments.uid, ret_request->owner_user, error))
            return false;
        ret_request->manager.target.owner_user = ret_request->owner_user;
    } else if (row->method == MANAGER_ADOPT) {
        uint32_t uid = ret_request->manager.repair.owner_uid;

        if (!caller_user_name(defaults->patience, uid, ret_request->owner_user, error))
            return false;
        ret_request->manager.repair.owner_user = ret_request->owner_user;
    }
    return true;
}

bool bus_request_read_plan(sd_bus_message *call, const Caller *caller, const BusDefaults *defaults,
                           BusRequest *ret_request, GError **error) {
    Arguments arguments = { 0 };
    BusRequest request = { 0 };
    const char *operation;
    BusOptions options;

    int r = sd_bus_message_read_basic(call, 's', &operation);
    if (r < 0)
        return unreadable(r, error);
    const Row *row = find_row(operation);
    if (!row || !row->names) {
        g_autofree char *quoted = bus_quote(operation);
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
            "'%s' is none of the operations that can be planned: SetupMgmt, SetupData, AllocateMgmt, AllocateData",
            quoted);
        return false;
    }
    if (!bus_options_parse(call, row->names | row->options, &options, error) ||
        !bus_options_require(&options, row->names, error))
        return false;
    for (BusOption option = 0; option < BUS_N_OPTIONS; option++)
        if (row->names & BUS_OPTION_BIT(option))
            arguments.number[arguments.n_numbers++] = options.value[option].t;
    fill(row, &arguments, &options, caller, defaults, &request);
    *ret_request = request;
    return true;
}

static void describe_range(FrameRange range, BusPurpose *purpose) {
    g_snprintf(purpose->range, sizeof purpose->range, "0x%" PRIx64 "-0x%" PRIx64, range.start, range.end);
}

static void describe_bytes(uint64_t bytes, BusPurpose *purpose) {
    g_snprintf(purpose->bytes, sizeof purpose->bytes, "%" PRIu64, bytes);
}

void bus_request_purpose(const BusRequest *request, BusPurpose *ret_purpose) {
    const ManagerRequest *m = &request->manager;
    BusPurpose purpose = { .kind = REGION_KIND_DATA };

    switch (m->method) {
    case MANAGER_SETUP_MGMT:
        purpose.kind = REGION_KIND_MGMT;
        describe_range(m->mgmt.range, &purpose);
        break;
    case MANAGER_ALLOCATE_MGMT:
        purpose.kind = REGION_KIND_MGMT;
        describe_bytes(m->mgmt.bytes, &purpose);
        break;
    case MANAGER_SETUP_DATA:
        describe_range(m->data.range, &purpose);
        break;
    case MANAGER_ALLOCATE_DATA:
        describe_bytes(m->data.bytes, &purpose);
        break;
    case MANAGER_RELEASE_DATA:
    case MANAGER_RELEASE_MGMT:
    case MANAGER_RENAME:
    case MANAGER_SET_OWNER:
        purpose.has_target = true;
        purpose.target = m->target.uuid;
        break;
    case MANAGER_ATTACH:
    case MANAGER_DETACH:
        purpose.has_target = true;
        purpose.target = m->lease.uuid;
        purpose.takes = m->lease.force;
        break;
    case MANAGER_CLEAR_BAD_FRAMES:
        purpose.has_target = !m->target.raw;
        purpose.target = m->target.uuid;
        break;
    case MANAGER_ADOPT:
    case MANAGER_FORGET:
    case MANAGER_REPAIR: {
        g_autofree char *quoted = bus_quote(m->repair.key);

        g_strlcpy(purpose.subject, quoted, sizeof purpose.subject);
        break;
    }
    }
    *ret_purpose = purpose;
}

int bus_request_reply(sd_bus_message *call, ManagerMethod method, sd_id128_t result) {
    char path[PMEMD_PATH_MAX];

    switch (method) {
    case MANAGER_SETUP_MGMT:
    case MANAGER_SETUP_DATA:
    case MANAGER_ALLOCATE_MGMT:
    case MANAGER_ALLOCATE_DATA:
    case MANAGER_ADOPT:
        return sd_bus_reply_method_return(call, "o", pmemd_region_path(result, path));
    case MANAGER_FORGET:
        return sd_bus_reply_method_return(call, "o", sd_id128_is_null(result) ? "/" : pmemd_job_path(result, path));
    case MANAGER_RELEASE_DATA:
        return sd_bus_reply_method_return(call, "o", pmemd_job_path(result, path));
    case MANAGER_RELEASE_MGMT:
    case MANAGER_RENAME:
    case MANAGER_SET_OWNER:
    case MANAGER_ATTACH: /* never: see bus-lease */
    case MANAGER_DETACH:
    case MANAGER_CLEAR_BAD_FRAMES: /* bus_bad_reply_lost() */
    case MANAGER_REPAIR:
        break;
    }
    return sd_bus_reply_method_return(call, NULL);
}

int bus_request_reply_repair(sd_bus_message *call, const RepairReport *report) {
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        { "Kept", report->kept },       { "Lost", report->lost },       { "LostRecords", report->lost_records },
        { "Missing", report->missing }, { "Orphans", report->orphans },
    };
    g_autoptr(GString) text = g_string_new(NULL);
    sd_bus_message *reply;

    for (guint i = 0; i < report->lines->len; i++)
        g_string_append_printf(text, "%s\n", (const char *) g_ptr_array_index(report->lines, i));

    int r = bus_reply_begin(call, 'a', "{sv}", &reply);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(numbers); i++)
        r = sd_bus_message_append(reply, "{sv}", numbers[i].key, "u", numbers[i].value);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "Applied", "b", (int) report->applied, "Needed", "b",
                                  (int) report->needed, "Evidence", "s", report->evidence ?: "");
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}", "Report", "s", text->str);
    return bus_reply_end(reply, r);
}

int bus_request_reply_plan(sd_bus_message *call, const RegionPlan *plan) {
    uint64_t usable = frame_range_frames(plan->range) << PMEMD_FRAME_SHIFT;
    uint64_t device = frame_range_frames(plan->device) << PMEMD_FRAME_SHIFT;
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        { "StartFrame", plan->range.start },
        { "EndFrame", plan->range.end },
        { "DeviceStartFrame", plan->device.start },
        { "DeviceEndFrame", plan->device.end },
        { "UsableBytes", usable },
        { "RequestedBytes", plan->requested_bytes },
        { "WastedBytes", usable > plan->requested_bytes ? usable - plan->requested_bytes : 0 },
        { "OverheadBytes", device - usable },
        { "JournalFrames", plan->journal_frames },
        { "RequiredFrames", plan->required_frames },
        { "HostMemoryBytes", plan->host_memory_bytes },
        { "BadFrames", plan->bad_frames },
        { "ExtentStart", plan->extent.start }, /* from here on: of data regions only */
        { "ExtentEnd", plan->extent.end },
    };
    bool is_data = plan->kind == REGION_KIND_DATA;
    size_t n_numbers = G_N_ELEMENTS(numbers) - (is_data ? 0 : 2);
    sd_bus_message *reply;
    char pool[PMEMD_UUID_STRING_MAX];
    g_autofree char *warning = rules_plan_warning(plan);

    int r = bus_reply_begin(call, 'a', "{sv}", &reply);
    for (size_t i = 0; r >= 0 && i < n_numbers; i++)
        r = sd_bus_message_append(reply, "{sv}", numbers[i].key, "t", numbers[i].value);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Node", "i", (int32_t) plan->raw->node, "LocalNode", "i",
                                  (int32_t) plan->raw->local_node, "Raw", "s", plan->raw->id, "Warning", "s", warning);
    if (r >= 0 && is_data)
        r = sd_bus_message_append(reply, "{sv}", "Pool", "s", pmemd_uuid_format(plan->pool->sb.member_uuid, pool));
    return bus_reply_end(reply, r);
}
