/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: what a peer on the bus may send, down to the rules. Each input makes a host (raw regions, others'
 * devices), then a sequence of D-Bus calls, well-formed or not, which the daemon's own decoder reads and its rules
 * decide; what they allow is done to the model. The messages are sd-bus' own, never sent: a peer's bytes reach us
 * through its parser alone.
 *
 * Checked: a call gives a request or a named error whose text is one clean line; reading a request that was written
 * again gives the same one, also as a Plan; a plan lies in a raw region it may use, on its steps, takes no frame that
 * anything has, fits the pool, is what was asked for, the same each time, changes nothing, and exact frames are allowed
 * wherever an allocation would go; what the rules allow the model takes.
 */
#include "daemon/bus-error.h"
#include "daemon/bus-options.h"
#include "daemon/bus-request.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

#include <sys/socket.h>

#define OPS_MAX 32
#define FRAMES_MAX (UINT64_C(1) << 36)

typedef struct {
    Input in;
    State *state;
    sd_bus *bus;
    uint64_t n; /* of uuids and transactions */
} Host;

/* --- the host --- */

static sd_id128_t new_uuid(Host *h) {
    sd_id128_t id = { .qwords = { GUINT64_TO_BE(UINT64_C(0x1234567800000000) + ++h->n), GUINT64_TO_BE(h->n) } };

    return id;
}

static void add_raw(Host *h, uint64_t *base) {
    static const uint64_t steps[] = { 4096, 65536, UINT64_C(2) << 20, UINT64_C(6) << 20 };
    static const uint64_t leads[] = { 0, 512, 1, 16 };
    g_autofree char *id = g_strdup_printf("region%u", state_raws(h->state)->len);
    unsigned shape = input_u8(&h->in);
    uint64_t frames = (input_number(&h->in, 2) + 1) << (shape & 1 ? input_below(&h->in, 24) : 4);
    Raw *raw = raw_new(id, (FrameRange){ *base, *base + MIN(frames, FRAMES_MAX) });

    if (shape & 2) /* the last frames there are */
        raw->range = (FrameRange){ PMEMD_FRAME_LIMIT - MIN(frames, FRAMES_MAX), PMEMD_FRAME_LIMIT };
    raw->step = steps[input_below(&h->in, G_N_ELEMENTS(steps))];
    raw->lead = leads[input_below(&h->in, G_N_ELEMENTS(leads))];
    raw->minimum = shape & 4 ? UINT64_C(16) << 20 : raw->step * (1 + input_below(&h->in, 3));
    raw->node = raw->local_node = (int) input_below(&h->in, 4) - 1;
    raw->free_slots = shape & 8 ? input_below(&h->in, 4) : UINT64_MAX;
    raw->subdividable = (shape & 16) == 0;
    raw->initialisable = (shape & 32) != 0;
    raw->kind = g_strdup(raw->subdividable ? "labelled" : "unlabelled");
    raw->persistence = g_strdup("memory_controller");
    raw->unusable = (shape & 0xc0) == 0xc0 ? g_strdup("read-only") : NULL;
    raw->cookie = new_uuid(h);
    *base = raw->range.end + input_below(&h->in, 3) * 4096;
    if (!state_add_raw(h->state, raw))
        raw_free(raw);
}

static Raw *any_raw(Host *h) {
    GPtrArray *raws = state_raws(h->state);

    return g_ptr_array_index(raws, input_below(&h->in, raws->len));
}

static Pool *any_pool(Host *h) {
    GPtrArray *pools = state_pools(h->state);

    return pools->len > 0 ? g_ptr_array_index(pools, input_u8(&h->in) % pools->len) : NULL;
}

static Region *any_region(Host *h) {
    Region *region = state_next_region(h->state, NULL);

    for (unsigned n = input_below(&h->in, 8); region && n > 0; n--) {
        Region *next = state_next_region(h->state, region);

        if (!next)
            break;
        region = next;
    }
    return region;
}

static uint64_t step_frames(const Raw *raw) {
    return MAX(raw->step / PMEMD_FRAME_SIZE, 1);
}

/* Frame numbers where things begin and end, mostly. */
static uint64_t any_frame(Host *h) {
    static const uint64_t edges[] = { 0,
                                      1,
                                      PMEMD_FRAME_LIMIT - 1,
                                      PMEMD_FRAME_LIMIT,
                                      PMEMD_FRAME_LIMIT + 1,
                                      UINT64_MAX,
                                      UINT64_MAX - 1,
                                      UINT64_C(1) << 63 };
    unsigned kind = input_below(&h->in, 16);

    if (kind == 15)
        return input_number(&h->in, 8);
    if (kind == 14)
        return edges[input_below(&h->in, G_N_ELEMENTS(edges))];
    if (kind >= 11) {
        const Region *region = any_region(h);

        if (region)
            return (kind == 11 ? region->range.end : region_device(region).start) + input_below(&h->in, 3) - 1;
    }
    const Raw *raw = any_raw(h);
    if (kind == 12)
        return raw->range.end - input_number(&h->in, 2);
    if (kind == 9)
        return raw->range.end - step_frames(raw) * input_u8(&h->in);
    return raw->range.start + step_frames(raw) * input_number(&h->in, kind & 1 ? 1 : 2) + (kind & 4 ? 0 : raw->lead);
}

static FrameRange any_range(Host *h) {
    uint64_t start = any_frame(h);
    const Raw *raw = state_raw_for(h->state, (FrameRange){ start, start });

    if (!raw || input_rarely(&h->in, 8))
        return (FrameRange){ start, any_frame(h) };
    return (FrameRange){ start,
                         start + step_frames(raw) * input_number(&h->in, 2) - (input_u8(&h->in) & 1 ? raw->lead : 0) };
}

static FrameRange any_mgmt_range(Host *h) {
    const Pool *pool = any_pool(h);

    if (!pool || input_rarely(&h->in, 8))
        return any_range(h);
    uint64_t start = (input_u8(&h->in) & 1 ? pool->own.range.end : pool->sb.range.start) + input_number(&h->in, 2);
    return (FrameRange){ start, input_u8(&h->in) & 1 ? pool->tail.range.start : start + input_number(&h->in, 2) };
}

static void add_foreign(Host *h) {
    Foreign *foreign = g_new0(Foreign, 1);

    foreign->kind = (ForeignKind) input_below(&h->in, 3);
    foreign->device = any_range(h);
    foreign->uuid = new_uuid(h);
    foreign->name = input_text(&h->in, 16);
    foreign->mode = g_strdup("fsdax");
    /* As the backends list them: never empty, never reversed, below the limit. */
    if (foreign->device.start >= foreign->device.end || foreign->device.end > PMEMD_FRAME_LIMIT) {
        foreign_free(foreign);
        return;
    }
    state_add_foreign(h->state, foreign);
}

/* --- messages --- */

typedef struct {
    const char *member, *arguments;
    bool is_setup; /* one of those that can be planned */
} Method;

static const Method methods[] = {
    { "SetupMgmt", "tt", true },   { "SetupData", "tttt", true }, { "AllocateMgmt", "t", true },
    { "AllocateData", "t", true }, { "ReleaseData", "o", false }, { "ReleaseMgmt", "o", false },
    { "Rename", "os", false },     { "SetOwner", "ou", false },   { "ClearBadFrames", "o", false },
    { "Attach", "os", false },     { "Detach", "os", false },     { "Adopt", "s", false },
    { "Forget", "s", false },      { "Repair", "s", false },
};

static const struct {
    const char *key;
    char type;
} keys[] = {
    { "name", 's' },        { "profile", 's' },
    { "max-regions", 'u' }, { "init-labels", 'b' },
    { "node", 'i' },        { "alignment", 't' },
    { "mgmt", 's' },        { "request-id", 's' },
    { "smfn", 't' },        { "emfn", 't' },
    { "mgmt_smfn", 't' },   { "mgmt_emfn", 't' },
    { "bytes", 't' },       { "", 's' },
    { "Name", 's' },        { "until", 's' },
    { "guest-frame", 't' }, { "allow-degraded", 'b' },
    { "force", 'b' },       { "uid", 'u' },
    { "destroy", 'b' },     { "apply", 'b' },
    { "verify", 'b' },      { "dry-run", 'b' },
    { "raw", 's' },
};

typedef sd_bus_message Message;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Message, sd_bus_message_unref)

static Message *new_call(Host *h, const char *member) {
    Message *m = NULL;

    g_assert_cmpint(sd_bus_message_new_method_call(h->bus, &m, NULL, "/org/pmemd1", "org.pmemd1.Manager", member), >=,
                    0);
    return m;
}

static void seal(Message *m) {
    g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
    g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
}

static char *any_string(Host *h) {
    static const char *const texts[] = { "",
                                         "pool0",
                                         "guest-1",
                                         "xen",
                                         "linux",
                                         "none",
                                         "0f0f0f0f-0000-4000-8000-0123456789ab",
                                         "00000000-0000-0000-0000-000000000000",
                                         "SetupData",
                                         "disconnect",
                                         "detach",
                                         "AllocateMgmt" };
    unsigned kind = input_below(&h->in, 16);

    if (kind < G_N_ELEMENTS(texts))
        return g_strdup(texts[kind]);
    if (kind == 10)
        return g_strnfill(input_number(&h->in, 2) % 5000, 'a' + (char) input_below(&h->in, 26));
    if (kind <= 13) {
        const Pool *pool = any_pool(h);
        char uuid[PMEMD_UUID_STRING_MAX];

        return g_strdup(pool ? pmemd_uuid_format(pool->sb.member_uuid, uuid) : "pool1");
    }
    return input_text(&h->in, 80);
}

static uint64_t any_bytes(Host *h) {
    unsigned kind = input_below(&h->in, 4);

    if (kind == 0)
        return UINT64_C(1) << input_below(&h->in, 64);
    if (kind == 1)
        return input_number(&h->in, 8);
    return input_number(&h->in, 2) << (kind == 2 ? 12 : 21);
}

/* The number of the option, or argument, `key`. */
static uint64_t any_number(Host *h, const char *key) {
    if (strcmp(key, "bytes") == 0 || strcmp(key, "alignment") == 0)
        return any_bytes(h);
    return any_frame(h);
}

/* Negative: sd-bus refuses to send such a thing. */
static int add_basic(Host *h, Message *m, char type, const char *key) {
    union {
        uint64_t t;
        uint32_t u;
        uint8_t y;
    } number = { .t = 0 };
    g_autofree char *text = NULL;
    char path[PMEMD_PATH_MAX];

    switch (type) {
    case 's':
        text = any_string(h);
        return sd_bus_message_append_basic(m, type, text);
    case 'g':
        return sd_bus_message_append_basic(m, type, "a{sv}");
    case 'h':
        return sd_bus_message_append_basic(m, 'u', &number);
    case 'o':
        if (input_rarely(&h->in, 4))
            text = input_text(&h->in, 80);
        else {
            const Pool *pool = any_pool(h);
            const Region *region = input_u8(&h->in) & 1 ? any_region(h) : NULL;

            text = g_strdup(pmemd_region_path(region ? region->uuid : pool ? pool->sb.member_uuid : new_uuid(h), path));
        }
        return sd_bus_message_append_basic(m, type, text);
    case 't':
        number.t = any_number(h, key);
        break;
    case 'u':
        number.u = input_u8(&h->in) & 1 ? (uint32_t) input_number(&h->in, 4) : 1 + input_below(&h->in, 64);
        break;
    case 'i':
        number.u = (uint32_t) (int32_t) ((int) input_below(&h->in, 5) - 1);
        break;
    case 'b':
        number.u = input_u8(&h->in) & 1;
        break;
    default:
        number.t = input_number(&h->in, 8);
        break;
    }
    return sd_bus_message_append_basic(m, type, &number);
}

/* Any type at all. */
static int add_any(Host *h, Message *m, unsigned depth) {
    static const char types[] = "ybnqiuxtdsog";
    unsigned kind = input_below(&h->in, 16);
    char type = types[input_below(&h->in, sizeof types - 1)];
    const char contents[] = { type, 0 };
    int r;

    if (kind < 10 || depth == 0)
        return add_basic(h, m, type, "");
    if (kind < 13) {
        r = sd_bus_message_open_container(m, 'v', contents);
        if (r >= 0)
            r = add_basic(h, m, type, "");
    } else {
        r = sd_bus_message_open_container(m, 'a', kind == 15 ? "{sv}" : contents);
        for (unsigned n = kind == 15 ? 0 : input_below(&h->in, 4); r >= 0 && n > 0; n--)
            r = add_basic(h, m, type, "");
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int add_option(Host *h, Message *m) {
    unsigned which = input_u8(&h->in) % (G_N_ELEMENTS(keys) + 1);
    bool known = which < G_N_ELEMENTS(keys);
    g_autofree char *unknown = known ? NULL : input_text(&h->in, 40);
    const char *key = known ? keys[which].key : unknown;
    char type = known ? keys[which].type : 's';
    const char contents[] = { type, 0 };
    int r = sd_bus_message_open_container(m, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', key);
    if (r >= 0 && input_rarely(&h->in, 16)) {
        r = sd_bus_message_open_container(m, 'v', "s");
        if (r >= 0)
            r = add_basic(h, m, 's', key);
    } else {
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'v', contents);
        if (r >= 0)
            r = add_basic(h, m, type, key);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int add_options(Host *h, Message *m) {
    int r = sd_bus_message_open_container(m, 'a', "{sv}");

    for (unsigned n = input_below(&h->in, 6); r >= 0 && n > 0; n--)
        r = add_option(h, m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int add_arguments(Host *h, Message *m, const Method *method) {
    FrameRange range = any_range(h), mgmt = any_mgmt_range(h);
    const uint64_t numbers[] = { range.start, range.end, mgmt.start, mgmt.end };
    uint64_t bytes = any_bytes(h);
    int r = 0;

    for (unsigned i = 0; r >= 0 && method->arguments[i]; i++)
        if (method->arguments[i] != 't')
            r = add_basic(h, m, method->arguments[i], "");
        else
            r = sd_bus_message_append_basic(m, 't', method->arguments[1] ? &numbers[i] : &bytes);
    return r;
}

/* Sealed, or NULL: sd-bus would not send it. */
static Message *any_call(Host *h, bool plan) {
    const Method *method = &methods[input_below(&h->in, G_N_ELEMENTS(methods))];
    g_autoptr(Message) m = new_call(h, plan ? "Plan" : method->member);
    int r = 0;

    if (input_rarely(&h->in, 8)) {
        for (unsigned n = input_below(&h->in, 8); r >= 0 && n > 0; n--)
            r = add_any(h, m, 2);
        if (r >= 0 && input_u8(&h->in) & 1)
            r = add_options(h, m);
    } else {
        if (!plan)
            r = add_arguments(h, m, method);
        else if (method->is_setup)
            r = sd_bus_message_append_basic(m, 's', method->member);
        else
            r = add_basic(h, m, 's', "");
        if (r >= 0)
            r = add_options(h, m);
    }
    if (r < 0)
        return NULL;
    seal(m);
    return g_steal_pointer(&m);
}

static void check_error(const GError *error) {
    sd_bus_error reply = SD_BUS_ERROR_NULL;

    g_assert_nonnull(error);
    g_assert_true(error->domain == PMEMD_ERROR);
    g_assert_cmpint(bus_error_set(&reply, error), <, 0);
    g_assert_true(g_str_has_prefix(reply.name, "org.pmemd1.Error."));
    g_assert_cmpuint(strlen(reply.message), <=, 1024);
    g_assert_true(g_utf8_validate(reply.message, -1, NULL));
    for (const char *c = reply.message; *c; c++)
        g_assert_false(g_ascii_iscntrl(*c));
    g_assert_cmpint(error->code, !=, PMEMD_ERROR_INTERNAL);
    sd_bus_error_free(&reply);
}

/* --- a request written again --- */

static int append_numbers(Message *m, bool plan, const char *const *names, const uint64_t *numbers, unsigned n) {
    int r = plan ? sd_bus_message_open_container(m, 'a', "{sv}") : 0;

    for (unsigned i = 0; r >= 0 && i < n; i++)
        r = plan ? sd_bus_message_append(m, "{sv}", names[i], "t", numbers[i])
                 : sd_bus_message_append(m, "t", numbers[i]);
    if (r >= 0 && !plan)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    return r;
}

/* The call that says what request does, in full. */
static Message *write_request(Host *h, const ManagerRequest *request, bool plan) {
    static const char *const range_names[] = { "smfn", "emfn", "mgmt_smfn", "mgmt_emfn" }, *const bytes_names[] = {
        "bytes"
    };
    bool is_mgmt = request->method == MANAGER_SETUP_MGMT || request->method == MANAGER_ALLOCATE_MGMT;
    bool is_setup = request->method == MANAGER_SETUP_MGMT || request->method == MANAGER_SETUP_DATA;
    const char *name = is_mgmt ? request->mgmt.name : request->data.name;
    int32_t node = is_mgmt ? request->mgmt.node : request->data.node;
    uint64_t alignment = is_mgmt ? request->mgmt.alignment : request->data.alignment;
    uint64_t bytes = is_mgmt ? request->mgmt.bytes : request->data.bytes;
    FrameRange range = is_mgmt ? request->mgmt.range : request->data.range, mgmt = is_mgmt ? range : request->data.mgmt;
    const uint64_t numbers[] = { range.start, range.end, mgmt.start, mgmt.end };
    const char *member = is_setup ? (is_mgmt ? "SetupMgmt" : "SetupData") : is_mgmt ? "AllocateMgmt" : "AllocateData";
    char uuid[PMEMD_UUID_STRING_MAX];
    Message *m = new_call(h, plan ? "Plan" : member);
    int r = plan ? sd_bus_message_append(m, "s", member) : 0;

    if (r >= 0)
        r = append_numbers(m, plan, is_setup ? range_names : bytes_names, is_setup ? numbers : &bytes,
                           is_setup ? (is_mgmt ? 2 : 4) : 1);
    /* In another order than the table's. */
    if (r >= 0 && !sd_id128_is_null(request->request_id))
        r = sd_bus_message_append(m, "{sv}", "request-id", "s", pmemd_uuid_format(request->request_id, uuid));
    if (r >= 0 && alignment)
        r = sd_bus_message_append(m, "{sv}", "alignment", "t", alignment);
    if (r >= 0 && !is_setup && node >= 0)
        r = sd_bus_message_append(m, "{sv}", "node", "i", node);
    if (r >= 0 && is_mgmt)
        r = sd_bus_message_append(m, "{sv}{sv}{sv}", "max-regions", "u", request->mgmt.max_regions, "init-labels", "b",
                                  (int) request->mgmt.init_labels, "profile", "s",
                                  profile_to_string(request->mgmt.profile));
    if (r >= 0 && !is_mgmt && request->data.pool)
        r = sd_bus_message_append(m, "{sv}", "mgmt", "s", request->data.pool);
    if (r >= 0 && name)
        r = sd_bus_message_append(m, "{sv}", "name", "s", name);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    g_assert_cmpint(r, >=, 0);
    seal(m);
    return m;
}

static void check_same_request(const ManagerRequest *a, const ManagerRequest *b) {
    g_assert_cmpint(a->method, ==, b->method);
    g_assert_cmpuint(a->uid, ==, b->uid);
    g_assert_true(sd_id128_equal(a->request_id, b->request_id));
    if (a->method == MANAGER_SETUP_MGMT || a->method == MANAGER_ALLOCATE_MGMT) {
        g_assert_true(frame_range_equal(a->mgmt.range, b->mgmt.range));
        g_assert_cmpuint(a->mgmt.bytes, ==, b->mgmt.bytes);
        g_assert_cmpint(a->mgmt.profile, ==, b->mgmt.profile);
        g_assert_cmpuint(a->mgmt.max_regions, ==, b->mgmt.max_regions);
        g_assert_cmpint(a->mgmt.init_labels, ==, b->mgmt.init_labels);
        g_assert_cmpstr(a->mgmt.name, ==, b->mgmt.name);
        g_assert_cmpint(a->mgmt.node, ==, b->mgmt.node);
        g_assert_cmpuint(a->mgmt.alignment, ==, b->mgmt.alignment);
    } else {
        g_assert_true(frame_range_equal(a->data.range, b->data.range));
        g_assert_true(frame_range_equal(a->data.mgmt, b->data.mgmt));
        g_assert_cmpuint(a->data.bytes, ==, b->data.bytes);
        g_assert_cmpstr(a->data.name, ==, b->data.name);
        g_assert_cmpstr(a->data.pool, ==, b->data.pool);
        g_assert_cmpint(a->data.node, ==, b->data.node);
        g_assert_cmpuint(a->data.alignment, ==, b->data.alignment);
    }
}

static void check_written_again(Host *h, const BusRequest *request, const Caller *caller) {
    g_autoptr(Message) call = write_request(h, &request->manager, false);
    g_autoptr(Message) plan = write_request(h, &request->manager, true);
    g_autoptr(GError) error = NULL;
    const BusDefaults plain = { .profile = PROFILE_NONE };
    BusRequest again, planned, twice;

    g_assert_true(bus_request_read(call, caller, &plain, &again, &error));
    check_same_request(&request->manager, &again.manager);
    g_assert_true(bus_request_read_plan(plan, caller, &plain, &planned, &error));
    check_same_request(&request->manager, &planned.manager);
    g_assert_cmpint(sd_bus_message_rewind(call, true), >=, 0);
    g_assert_true(bus_request_read(call, caller, &plain, &twice, &error));
    g_assert_cmpuint(twice.hash, ==, again.hash);
}

/* --- plans --- */

static void check_free_device(const State *state, FrameRange device, bool discards) {
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = g_ptr_array_index(state_pools(state), i);

        g_assert_false(frame_range_overlaps(device, pool->occupant.entry.range));
    }
    for (const Region *r = state_next_region(state, NULL); r; r = state_next_region(state, r))
        g_assert_false(frame_range_overlaps(device, region_device(r)));
    for (guint i = 0; i < state_foreigns(state)->len; i++) {
        const Foreign *foreign = g_ptr_array_index(state_foreigns(state), i);

        if (!discards || foreign->kind != FOREIGN_FOREIGN)
            g_assert_false(frame_range_overlaps(device, foreign->device));
    }
}

static uint64_t cost(uint64_t frames, uint32_t a_frame) {
    unsigned __int128 bytes = (unsigned __int128) frames * a_frame;

    return (uint64_t) ((bytes + PMEMD_FRAME_SIZE - 1) / PMEMD_FRAME_SIZE);
}

static void check_data_plan(const State *state, const RegionPlan *plan) {
    const Pool *pool = plan->pool;
    uint64_t frames = frame_range_frames(plan->range);
    uint64_t needed = cost(frames, pool->sb.page_info_bytes) + cost(frames, pool->sb.m2p_bytes);

    g_assert_cmpint(pool->state, ==, POOL_OK);
    g_assert_cmpuint(plan->required_frames, ==, MAX(needed, 1));
    g_assert_cmpuint(frame_range_frames(plan->extent), ==, plan->required_frames);
    g_assert_true(frame_range_contains(pool->sb.range, plan->extent));
    g_assert_false(frame_range_overlaps(plan->extent, pool->head.range));
    g_assert_false(frame_range_overlaps(plan->extent, pool->own.range));
    g_assert_false(frame_range_overlaps(plan->extent, pool->tail.range));
    for (const Region *r = state_next_region(state, NULL); r; r = state_next_region(state, r))
        g_assert_false(frame_range_overlaps(plan->extent, r->extent.range));
}

static void check_plan(const State *state, const ManagerRequest *request, const RegionPlan *plan) {
    bool is_mgmt = request->method == MANAGER_SETUP_MGMT || request->method == MANAGER_ALLOCATE_MGMT;
    const Raw *raw = plan->raw;
    uint64_t device = frame_range_frames(plan->device);

    g_assert_cmpint(plan->kind, ==, is_mgmt ? REGION_KIND_MGMT : REGION_KIND_DATA);
    g_assert_null(raw->unusable);
    g_assert_cmpuint(plan->range.start, <, plan->range.end);
    g_assert_cmpuint(plan->range.end, ==, plan->device.end);
    g_assert_cmpuint(plan->range.start, ==, plan->device.start + raw->lead);
    g_assert_true(frame_range_contains(raw->range, plan->device));
    if (raw->subdividable || plan->init_labels) {
        g_assert_cmpuint((plan->device.start - raw->range.start) % step_frames(raw), ==, 0);
        g_assert_cmpuint(device % step_frames(raw), ==, 0);
        g_assert_cmpuint(device * PMEMD_FRAME_SIZE, >=, raw->minimum);
        g_assert_true(plan->init_labels || raw->free_slots >= 2);
    } else
        g_assert_true(frame_range_equal(plan->device, raw->range));
    if (plan->init_labels)
        g_assert_true(is_mgmt && request->mgmt.init_labels && raw->initialisable && !raw->subdividable);
    check_free_device(state, plan->init_labels ? raw->range : plan->device, plan->init_labels);
    if (is_mgmt) {
        uint64_t frames = frame_range_frames(plan->range);
        uint64_t own =
            cost(frames, profile_page_info_bytes(plan->profile)) + cost(frames, profile_m2p_bytes(plan->profile));

        g_assert_cmpuint(plan->required_frames, ==, own + plan->journal_frames);
        g_assert_cmpuint(plan->required_frames, <=, frames);
    } else
        check_data_plan(state, plan);
}

static bool decide(const State *state, const ManagerRequest *request, RegionPlan *ret_plan, GError **error) {
    switch (request->method) {
    case MANAGER_SETUP_MGMT:
        return rules_setup_mgmt(state, &request->mgmt, ret_plan, error);
    case MANAGER_SETUP_DATA:
        return rules_setup_data(state, &request->data, ret_plan, error);
    case MANAGER_ALLOCATE_MGMT:
        return rules_allocate_mgmt(state, &request->mgmt, ret_plan, error);
    case MANAGER_ALLOCATE_DATA:
    default:
        return rules_allocate_data(state, &request->data, ret_plan, error);
    }
}

static void check_same_plan(const RegionPlan *a, const RegionPlan *b) {
    g_assert_true(a->raw == b->raw && a->pool == b->pool);
    g_assert_true(frame_range_equal(a->range, b->range));
    g_assert_true(frame_range_equal(a->device, b->device));
    g_assert_true(frame_range_equal(a->extent, b->extent));
    g_assert_cmpuint(a->required_frames, ==, b->required_frames);
    g_assert_cmpuint(a->journal_frames, ==, b->journal_frames);
    g_assert_cmpuint(a->host_memory_bytes, ==, b->host_memory_bytes);
    g_assert_cmpint(a->init_labels, ==, b->init_labels);
}

/* Setting up exactly what an allocation chose is allowed, and the same. */
static void check_exact(const State *state, const ManagerRequest *request, const RegionPlan *plan) {
    ManagerRequest exact = *request;
    g_autoptr(GError) error = NULL;
    RegionPlan again;

    if (plan->kind == REGION_KIND_MGMT) {
        exact.method = MANAGER_SETUP_MGMT;
        exact.mgmt.range = plan->range;
        exact.mgmt.init_labels = plan->init_labels; /* an allocation makes labels only when nothing fits without */
    } else {
        exact.method = MANAGER_SETUP_DATA;
        exact.data.range = plan->range;
        exact.data.mgmt = plan->extent;
    }
    if (!decide(state, &exact, &again, &error))
        g_error("exact frames of an allocation are refused: %s", error->message);
    check_same_plan(plan, &again);
}

static void check_allocation(const ManagerRequest *request, const RegionPlan *plan) {
    bool is_mgmt = plan->kind == REGION_KIND_MGMT;
    uint64_t bytes = is_mgmt ? request->mgmt.bytes : request->data.bytes;
    uint64_t alignment = is_mgmt ? request->mgmt.alignment : request->data.alignment;
    int node = is_mgmt ? request->mgmt.node : request->data.node;

    g_assert_cmpuint(frame_range_frames(plan->range) * PMEMD_FRAME_SIZE, >=, bytes);
    if (alignment)
        g_assert_cmpuint(plan->range.start * PMEMD_FRAME_SIZE % alignment, ==, 0);
    if (node >= 0)
        g_assert_cmpint(plan->raw->node, ==, node);
}

/* --- doing it --- */

static bool apply(Host *h, Pool *pool, uint16_t type, uint64_t txid, const uint8_t *payload, size_t len) {
    g_autoptr(GError) error = NULL;

    if (!state_apply(h->state, pool, type, txid, payload, len, &error))
        g_error("the model refuses what the rules allowed: %s", error->message);
    return true;
}

static void commit(Host *h, Pool *pool, uint64_t txid, FrameRange device) {
    JfCommit record = { .device = device };
    uint8_t buf[JF_PAYLOAD_MAX];

    apply(h, pool, JF_COMMIT, txid, buf, jf_commit_encode(&record, buf));
}

static void do_data(Host *h, const ManagerRequest *request, const RegionPlan *plan) {
    JfRegion record = {
        .region_uuid = new_uuid(h),
        .device_uuid = new_uuid(h),
        .range = plan->range,
        .device_start = plan->device.start,
        .extent = plan->extent,
        .request_id = request->request_id,
        .request_uid = request->uid,
    };
    uint64_t txid = plan->pool->last_txid + 1;
    uint8_t buf[JF_PAYLOAD_MAX];
    Pool *pool = plan->pool;
    FrameRange device = plan->device;

    g_strlcpy(record.name, request->data.name ? request->data.name : "", sizeof record.name);
    apply(h, pool, JF_INTENT_CREATE, txid, buf, jf_region_encode(&record, buf));
    if (!input_rarely(&h->in, 8))
        commit(h, pool, txid, device);
}

static void do_mgmt(Host *h, const ManagerRequest *request, const RegionPlan *plan) {
    JfSuperblock sb = {
        .journal_uuid = new_uuid(h),
        .member_uuid = new_uuid(h),
        .major = JF_MAJOR,
        .page_info_bytes = profile_page_info_bytes(plan->profile),
        .m2p_bytes = profile_m2p_bytes(plan->profile),
        .raw_cookie = plan->raw->cookie,
        .range = plan->range,
    };
    uint64_t bytes = frame_range_frames(plan->range) * PMEMD_FRAME_SIZE;
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_true(jf_geometry(bytes, plan->raw->step, 64, plan->max_regions, &sb.geo, NULL));
    if (plan->init_labels) {
        state_clear_foreign(h->state);
        plan->raw->subdividable = true;
        plan->raw->initialisable = false;
    }
    Pool *pool = state_add_pool(h->state, &sb, plan->device, POOL_OK, &error);
    if (!pool)
        g_error("the model refuses the pool that the rules allowed: %s", error->message);
    if (request->mgmt.name) {
        JfName name = { .uuid = sb.member_uuid };

        g_strlcpy(name.name, request->mgmt.name, sizeof name.name);
        apply(h, pool, JF_NAME, 0, buf, jf_name_encode(&name, buf));
    }
}

static void release_data(Host *h, const ManagerRequest *request) {
    Region *region = state_region_by_uuid(h->state, request->target.uuid);
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!region)
        return;
    if (!rules_release_data(h->state, region, &error)) {
        check_error(error);
        return;
    }
    JfDelete record = { .region_uuid = region->uuid, .request_id = request->request_id };
    Pool *pool = region->pool;
    uint64_t txid = pool->last_txid + 1;
    apply(h, pool, JF_INTENT_DELETE, txid, buf, jf_delete_encode(&record, buf));
    if (!input_rarely(&h->in, 4))
        commit(h, pool, txid, (FrameRange){ 0, 0 });
}

static void release_mgmt(Host *h, const ManagerRequest *request) {
    Pool *pool = state_pool_by_uuid(h->state, request->target.uuid);
    g_autoptr(GError) error = NULL;

    if (!pool)
        return;
    if (rules_release_mgmt(h->state, pool, &error)) {
        g_assert_cmpuint(pool->n_regions, ==, 0);
        state_remove_pool(h->state, pool);
    } else
        check_error(error);
}

static void rename_region(Host *h, const ManagerRequest *request) {
    Region *region = state_region_by_uuid(h->state, request->target.uuid);
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!region)
        return;
    if (!rules_name(h->state, region->pool, request->target.name, region, &error)) {
        check_error(error);
        return;
    }
    JfName name = { .uuid = region->uuid };
    g_strlcpy(name.name, request->target.name, sizeof name.name);
    apply(h, region->pool, JF_NAME, 0, buf, jf_name_encode(&name, buf));
}

static void attach_region(Host *h, const ManagerRequest *m) {
    Region *region = state_region_by_uuid(h->state, m->lease.uuid);
    const LeaseRequest request = { .owner = m->lease.owner, .uid = m->uid, .max_leases = 3 };
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_true(pmemd_lease_owner_is_valid(m->lease.owner));
    if (!region)
        return;
    bool renews = rules_attach_renews(h->state, region, &request);
    if (!rules_attach(h->state, region, &request, &error)) {
        check_error(error);
        return;
    }
    const Lease *last = state_last_lease(h->state, region);
    g_assert_cmpint(renews, ==, last && !lease_is_of(last, m->lease.owner, m->uid));
    JfLease record = { .region_uuid = region->uuid, .guest_frame = m->lease.guest_frame, .uid = m->uid };
    g_strlcpy(record.owner, m->lease.owner, sizeof record.owner);
    if (m->lease.disconnect) {
        record.flags = JF_LEASE_DISCONNECT;
        record.bus_id = new_uuid(h);
        g_strlcpy(record.sender, ":1.1", sizeof record.sender);
    }
    apply(h, region->pool, JF_LEASE, 0, buf, jf_lease_encode(&record, buf));
    g_assert_true(lease_is_of(state_lease(h->state, region), m->lease.owner, m->uid));
    g_assert_false(rules_release_data(h->state, region, NULL));
}

static void detach_region(Host *h, const ManagerRequest *m) {
    Region *region = state_region_by_uuid(h->state, m->lease.uuid);
    const DetachRequest request = { m->lease.owner, m->uid, m->lease.force, input_rarely(&h->in, 2) };
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    DetachKind kind;

    g_assert_true(m->lease.force || pmemd_lease_owner_is_valid(m->lease.owner));
    if (!region)
        return;
    if (!rules_detach(h->state, region, &request, &kind, &error)) {
        check_error(error);
        return;
    }
    if (kind == DETACH_NOTHING) {
        g_assert_null(state_lease(h->state, region));
        return;
    }
    const Lease *lease = state_lease(h->state, region);
    g_assert_true(kind == DETACH_FORCED ? m->lease.force : lease_is_of(lease, m->lease.owner, m->uid));
    g_assert_true(lease->uid == m->uid || request.others);
    const JfUnlease record = { .region_uuid = region->uuid, .uid = m->uid };
    apply(h, region->pool, JF_UNLEASE, 0, buf, jf_unlease_encode(&record, buf));
    g_assert_null(state_lease(h->state, region));
}

static void set_owner(Host *h, const ManagerRequest *m) {
    Region *region = state_region_by_uuid(h->state, m->target.uuid);
    JfOwner record = { .uuid = m->target.uuid, .uid = m->target.owner_uid };
    uint8_t buf[JF_PAYLOAD_MAX];

    if (!region || !rules_pool_writable(region->pool, NULL))
        return;
    g_strlcpy(record.user, m->target.owner_user, sizeof record.user);
    apply(h, region->pool, JF_OWNER, 0, buf, jf_owner_encode(&record, buf));
}

/* What the manager finds by the key: here any device that nobody knows, whatever kind of one it is. */
static void adopt_device(Host *h, const ManagerRequest *m) {
    GPtrArray *foreigns = state_foreigns(h->state);
    g_autoptr(GError) error = NULL;
    uint8_t buf[JF_PAYLOAD_MAX];
    RegionPlan plan;

    if (foreigns->len == 0)
        return;
    Foreign *foreign = g_ptr_array_index(foreigns, input_u8(&h->in) % foreigns->len);
    AdoptRequest request = {
        .device = foreign->device,
        .usable = foreign->device,
        .pool = m->repair.mgmt,
        .name = m->repair.name,
        .extent_start = m->repair.extent_start,
    };
    if (input_rarely(&h->in, 4))
        request.usable.start += input_below(&h->in, 32);
    if (!rules_adopt(h->state, foreign, &request, &plan, &error)) {
        check_error(error);
        return;
    }
    g_assert_true(plan.raw == foreign->occupant.raw);
    g_assert_true(frame_range_equal(plan.device, foreign->device));
    g_assert_true(frame_range_equal(plan.range, request.usable));
    g_assert_true(request.extent_start == UINT64_MAX || plan.extent.start == request.extent_start);
    check_data_plan(h->state, &plan);

    JfAdopt record = {
        .region = {
            .region_uuid = new_uuid(h),
            .device_uuid = foreign->uuid,
            .range = plan.range,
            .device_start = plan.device.start,
            .extent = plan.extent,
            .owner_uid = m->repair.owner_uid,
            .request_id = m->request_id,
        },
        .tag_pool = foreign->tag_pool,
    };
    g_strlcpy(record.region.name, request.name ? request.name : "", sizeof record.region.name);
    g_strlcpy(record.region.user, m->repair.owner_user, sizeof record.region.user);
    state_remove_foreign(h->state, foreign);
    apply(h, plan.pool, JF_ADOPT, 0, buf, jf_adopt_encode(&record, buf));
}

/* Its device is gone: here, always. */
static void forget_region(Host *h, const ManagerRequest *m) {
    Region *region = any_region(h);
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_nonnull(m->repair.key);
    if (!region || !rules_pool_writable(region->pool, NULL))
        return;
    JfRef record = { .uuid = region->uuid };
    apply(h, region->pool, JF_DEL, 0, buf, jf_ref_encode(&record, buf));
    g_assert_null(state_region_by_uuid(h->state, record.uuid));
}

static void request_setup(Host *h, const BusRequest *request) {
    const ManagerRequest *m = &request->manager;
    StateTotals before = state_totals(h->state);
    g_autoptr(GError) error = NULL, error_again = NULL;
    RegionPlan plan, again;
    bool ok = decide(h->state, m, &plan, &error);
    StateTotals after = state_totals(h->state);

    g_assert_cmpmem(&before, sizeof before, &after, sizeof after);
    g_assert_cmpint(decide(h->state, m, &again, &error_again), ==, ok);
    if (!ok) {
        check_error(error);
        g_assert_cmpstr(error->message, ==, error_again->message);
        return;
    }
    check_same_plan(&plan, &again);
    check_plan(h->state, m, &plan);
    if (m->method == MANAGER_ALLOCATE_MGMT || m->method == MANAGER_ALLOCATE_DATA) {
        check_allocation(m, &plan);
        check_exact(h->state, m, &plan);
    } else
        g_assert_true(frame_range_equal(plan.range, plan.kind == REGION_KIND_MGMT ? m->mgmt.range : m->data.range));
    if (plan.kind == REGION_KIND_MGMT)
        do_mgmt(h, m, &plan);
    else
        do_data(h, m, &plan);
}

static void call(Host *h, bool plan) {
    const Caller caller = { .uid = input_below(&h->in, 3), .user = "user" };
    g_autoptr(Message) m = any_call(h, plan);
    g_autoptr(GError) error = NULL;
    const BusDefaults defaults = { .profile = PROFILE_XEN };
    BusRequest request;

    if (!m)
        return;
    if (!(plan ? bus_request_read_plan : bus_request_read)(m, &caller, &defaults, &request, &error)) {
        check_error(error);
        return;
    }
    switch (request.manager.method) {
    case MANAGER_SETUP_MGMT:
    case MANAGER_SETUP_DATA:
    case MANAGER_ALLOCATE_MGMT:
    case MANAGER_ALLOCATE_DATA:
        check_written_again(h, &request, &caller);
        request_setup(h, &request);
        break;
    case MANAGER_RELEASE_DATA:
        release_data(h, &request.manager);
        break;
    case MANAGER_RELEASE_MGMT:
        release_mgmt(h, &request.manager);
        break;
    case MANAGER_RENAME:
        rename_region(h, &request.manager);
        break;
    case MANAGER_ATTACH:
        attach_region(h, &request.manager);
        break;
    case MANAGER_DETACH:
        detach_region(h, &request.manager);
        break;
    case MANAGER_ADOPT:
        adopt_device(h, &request.manager);
        break;
    case MANAGER_FORGET:
        forget_region(h, &request.manager);
        break;
    case MANAGER_SET_OWNER:
        set_owner(h, &request.manager);
        break;
    case MANAGER_CLEAR_BAD_FRAMES: /* what these two do is the manager's to decide, see fuzz-platform */
    case MANAGER_REPAIR:
        break;
    }
}

/* What the platform and other administrators do meanwhile. */
static void disturb(Host *h) {
    Raw *raw = any_raw(h);
    Pool *pool = any_pool(h);

    switch (input_below(&h->in, 5)) {
    case 0:
        add_foreign(h);
        break;
    case 1:
        state_clear_foreign(h->state);
        break;
    case 2:
        g_free(raw->unusable);
        raw->unusable = input_u8(&h->in) & 1 ? g_strdup("disabled") : NULL;
        break;
    case 3:
        raw->free_slots = input_below(&h->in, 4);
        break;
    case 4:
        if (pool)
            state_set_pool_state(h->state, pool, (PoolState) input_below(&h->in, N_POOL_STATES), "as told");
        break;
    }
}

/* A connection that is never used: messages belong to one. */
static sd_bus *connection(void) {
    static sd_bus *bus;
    int pair[2];

    if (!bus) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
    }
    return bus;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autoptr(State) state = state_new();
    Host h = { .in = input_new(data, size), .state = state, .bus = connection() };
    uint64_t base = 0;

    for (unsigned n = 1 + input_below(&h.in, 3); n > 0; n--)
        add_raw(&h, &base);
    for (unsigned n = 0; n < OPS_MAX && input_left(&h.in); n++) {
        unsigned kind = input_below(&h.in, 8);

        if (kind == 7)
            disturb(&h);
        else
            call(&h, kind == 6);
    }
    return 0;
}
