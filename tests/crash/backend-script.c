/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/crash/backend-script.h"

#include "daemon/hints.h"

#include <fcntl.h>
#include <unistd.h>

#define OWNER 1000u
#define MARK "pmemd's test wrote this"

typedef enum {
    STEP_MAKE,
    STEP_RENAME,
    STEP_OWNER,
    STEP_RELEASE,
    STEP_RESTART,
} StepKind;

typedef struct {
    StepKind kind;
    ThingIndex thing;
    const char *name; /* RENAME */
} Step;

static const Step steps[] = {
    { STEP_MAKE, THING_POOL, NULL },      { STEP_MAKE, THING_OTHER, NULL },     { STEP_MAKE, THING_EXACT, NULL },
    { STEP_MAKE, THING_GUEST, NULL },     { STEP_MAKE, THING_AWAY, NULL },      { STEP_RENAME, THING_EXACT, "web" },
    { STEP_OWNER, THING_GUEST, NULL },    { STEP_RENAME, THING_OTHER, "far" },  { STEP_OWNER, THING_POOL, NULL },
    { STEP_RESTART, THING_POOL, NULL },   { STEP_RELEASE, THING_GUEST, NULL },  { STEP_MAKE, THING_SECOND, NULL },
    { STEP_RELEASE, THING_AWAY, NULL },   { STEP_RELEASE, THING_OTHER, NULL },  { STEP_RENAME, THING_POOL, "near" },
    { STEP_RENAME, THING_EXACT, "last" }, { STEP_RELEASE, THING_SECOND, NULL }, { STEP_RESTART, THING_POOL, NULL },
};

static const char *const first_names[] = { "pool", "other", "exact", "guest", "away", "second" };
G_STATIC_ASSERT(G_N_ELEMENTS(first_names) == N_THINGS);

static bool is_pool(ThingIndex index) {
    return index == THING_POOL || index == THING_OTHER;
}

static ThingIndex pool_of(ThingIndex index) {
    return index == THING_AWAY || index == THING_OTHER ? THING_OTHER : THING_POOL;
}

void ledger_init(Ledger *ledger) {
    *ledger = (Ledger){ .in_flight = -1 };
    for (int i = 0; i < N_THINGS; i++)
        ledger->things[i].names[0] = first_names[i];
}

/* --- requests --- */

static sd_id128_t request_id(const Step *step) {
    sd_id128_t id = SD_ID128_MAKE(70, 6d, 65, 6d, 64, 00, 40, 00, 80, 00, 00, 00, 00, 00, 00, 00);

    id.bytes[14] = (uint8_t) step->kind;
    id.bytes[15] = (uint8_t) step->thing;
    return id;
}

static ManagerRequest make_request(Life *life, ThingIndex thing) {
    const char *name = first_names[thing];
    ManagerRequest request = { 0 };

    switch (thing) {
    case THING_POOL:
        return setup_mgmt(BASE, BASE + 2048, name);
    case THING_OTHER:
        request = setup_mgmt(0, 0, name);
        request.method = MANAGER_ALLOCATE_MGMT;
        request.mgmt.range = (FrameRange){ 0, 0 };
        request.mgmt.bytes = UINT64_C(8) << 20;
        request.mgmt.node = 1;
        return request;
    case THING_EXACT: {
        const Pool *pool = find_pool(life->host, life->ledger->things[THING_POOL].uuid);

        request = (ManagerRequest){ .method = MANAGER_SETUP_DATA, .user = "root" };
        request.data = (DataRequest){ .range = { BASE + 4096, BASE + 4096 + 512 }, .name = name, .node = -1 };
        if (pool)
            request.data.mgmt = (FrameRange){ pool->tail.range.start - 64, pool->tail.range.start };
        return request;
    }
    case THING_GUEST:
    case THING_SECOND:
        request = allocate_data(2 << 20, name);
        request.data.pool = pmemd_uuid_format(life->ledger->things[THING_POOL].uuid, life->pool);
        return request;
    case THING_AWAY:
        request = allocate_data(1 << 20, name);
        request.data.pool = pmemd_uuid_format(life->ledger->things[THING_OTHER].uuid, life->pool);
        return request;
    case N_THINGS:
        break;
    }
    g_assert_not_reached();
}

static ManagerRequest request_of(Life *life, const Step *step) {
    const Thing *thing = &life->ledger->things[step->thing];
    ManagerRequest request = { 0 };

    switch (step->kind) {
    case STEP_MAKE:
        request = make_request(life, step->thing);
        break;
    case STEP_RENAME:
        request = target(MANAGER_RENAME, thing->uuid);
        request.target.name = step->name;
        return request;
    case STEP_OWNER:
        request = target(MANAGER_SET_OWNER, thing->uuid);
        request.target.owner_uid = OWNER;
        request.target.owner_user = "jo";
        return request;
    case STEP_RELEASE:
        request = target(is_pool(step->thing) ? MANAGER_RELEASE_MGMT : MANAGER_RELEASE_DATA, thing->uuid);
        break;
    case STEP_RESTART:
        g_assert_not_reached();
    }
    request.request_id = request_id(step);
    return request;
}

/* --- content --- */

/* As a guest would write: at both ends. */
static void mark(const Region *region) {
    int fd = open(region_path(region), O_WRONLY | O_CLOEXEC);
    uint64_t end = region_bytes(region) - sizeof MARK;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, MARK, sizeof MARK, 0), ==, sizeof MARK);
    g_assert_cmpint(pwrite(fd, MARK, sizeof MARK, (off_t) end), ==, sizeof MARK);
    close(fd);
}

static bool is_marked(const Region *region) {
    int fd = open(region_path(region), O_RDONLY | O_CLOEXEC);
    uint64_t end = region_bytes(region) - sizeof MARK;
    char bytes[2][sizeof MARK];

    if (fd < 0)
        return false;
    bool ok = pread(fd, bytes[0], sizeof MARK, 0) == sizeof MARK &&
              pread(fd, bytes[1], sizeof MARK, (off_t) end) == sizeof MARK &&
              memcmp(bytes[0], MARK, sizeof MARK) == 0 && memcmp(bytes[1], MARK, sizeof MARK) == 0;
    close(fd);
    return ok;
}

/* --- the life --- */

static void wait_for_jobs(Life *life) {
    while (eraser_count(life->host->eraser) > 0)
        host_run(life->host);
}

static const Region *region_by_name(const Life *life, const char *name) {
    const State *state = manager_state(life->host->manager);

    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        if (g_strcmp0(region->name, name) == 0)
            return region;
    return NULL;
}

static void on_acknowledged(Life *life, const Step *step, sd_id128_t result) {
    Thing *thing = &life->ledger->things[step->thing];

    switch (step->kind) {
    case STEP_MAKE:
        thing->uuid = result;
        thing->presence = THING_THERE;
        if (!is_pool(step->thing)) {
            mark(find(life->host, result));
            thing->marked = true;
        }
        break;
    case STEP_RENAME:
        thing->names[0] = step->name;
        break;
    case STEP_OWNER:
        thing->owners[0] = thing->owners[1] = OWNER;
        break;
    case STEP_RELEASE:
        thing->presence = THING_ABSENT;
        break;
    case STEP_RESTART:
        break;
    }
}

/* What the failed write of a journal leaves on the medium is not known before the next start: the pool says so by
 * being read-only. */
static void may_have_happened(Ledger *ledger, const Step *step) {
    Thing *thing = &ledger->things[step->thing];

    switch (step->kind) {
    case STEP_MAKE:
        thing->presence = THING_MAYBE;
        break;
    case STEP_RENAME:
        thing->names[1] = step->name;
        break;
    case STEP_OWNER:
        thing->owners[1] = OWNER;
        break;
    case STEP_RELEASE:
        thing->presence = THING_MAYBE;
        break;
    case STEP_RESTART:
        break;
    }
}

static void on_refused(Life *life, const Step *step) {
    Thing *thing = &life->ledger->things[step->thing];
    const Pool *pool = find_pool(life->host, life->ledger->things[pool_of(step->thing)].uuid);

    life->ledger->refused++;
    if (life->order->media && step->kind != STEP_MAKE && pool && pool->state != POOL_OK) {
        may_have_happened(life->ledger, step);
    } else if (step->kind == STEP_MAKE && !is_pool(step->thing)) {
        /* Its frames may stay reserved until it is known what became of it: then it is listed as that. */
        const Region *left = region_by_name(life, thing->names[0]);

        if (left) {
            g_assert_cmpint(left->state, ==, REGION_UNSETTLED);
            g_assert_nonnull(left->reason);
            thing->presence = THING_MAYBE;
        }
    } else if (step->kind == STEP_RELEASE && is_pool(step->thing) && pool && pool->state == POOL_RELEASING) {
        /* "The next start finishes it." */
        thing->presence = THING_ABSENT;
    }
}

/* Does the caller know enough to ask? */
static bool can_ask(const Life *life, const Step *step) {
    const Thing *thing = &life->ledger->things[step->thing];

    if (!is_pool(step->thing) && life->ledger->things[pool_of(step->thing)].presence != THING_THERE)
        return false;
    if (step->kind == STEP_MAKE)
        return thing->presence == THING_ABSENT && sd_id128_is_null(thing->uuid);
    return thing->presence == THING_THERE;
}

/* Its erase failed: releasing it once more tries it again. */
static void release_again(Life *life, sd_id128_t uuid) {
    ManagerRequest request = target(MANAGER_RELEASE_DATA, uuid);

    g_assert_cmpint(find(life->host, uuid)->state, ==, REGION_QUARANTINED);
    if (host_ask(life->host, &request).code == -1)
        wait_for_jobs(life);
    g_assert_true(life->order->for_ever || life->order->media || !find(life->host, uuid));
}

static bool ask(Life *life, const Step *step) {
    ManagerRequest request = request_of(life, step);

    life->ledger->in_flight = (int) (step - steps);
    Reply reply = host_ask(life->host, &request);
    if (reply.code != -1) {
        on_refused(life, step);
        life->ledger->in_flight = -1;
        return false;
    }
    on_acknowledged(life, step, reply.result);
    life->ledger->in_flight = -1;
    if (step->kind == STEP_RELEASE && !is_pool(step->thing)) {
        wait_for_jobs(life);
        if (life->retry && find(life->host, reply.result))
            release_again(life, reply.result);
    }
    if (!sd_id128_is_null(request.request_id)) {
        /* The answer was lost, perhaps: the same is told again. */
        Reply again = host_ask(life->host, &request);

        g_assert_cmpint(again.code, ==, -1);
        g_assert_true(sd_id128_equal(again.result, reply.result));
    }
    return true;
}

static bool restart(Life *life) {
    host_stop(life->host);
    if (!host_try_start(life->host)) {
        /* The service manager would start it again. */
        host_stop(life->host);
        if (!host_try_start(life->host))
            return false;
    }
    wait_for_jobs(life);
    return true;
}

/* Once a failure has passed nothing stands in the way, unless it cost a pool the start. */
static bool should_succeed(const Life *life, const Step *step) {
    const Pool *pool = find_pool(life->host, life->ledger->things[pool_of(step->thing)].uuid);

    if (life->order->for_ever || life->order->media)
        return false;
    return step->kind == STEP_MAKE && is_pool(step->thing) ? true : pool && pool->state == POOL_OK;
}

void life_run(Life *life) {
    if (!host_try_start(life->host) && !restart(life))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        const Step *step = &steps[i];

        life->ledger->steps++;
        if (step->kind == STEP_RESTART) {
            if (!restart(life))
                return;
        } else if (can_ask(life, step) && !ask(life, step) && life->retry && can_ask(life, step) && !ask(life, step) &&
                   should_succeed(life, step)) {
            g_error("step %zu was refused twice, and only one call failed", i);
        }
    }
}

void ledger_cut(Ledger *ledger) {
    if (ledger->in_flight >= 0)
        may_have_happened(ledger, &steps[ledger->in_flight]);
}

/* --- what a start finds --- */

typedef struct {
    Life *life;
    const char *what;
} Check;

G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN static void fail(const Check *c, const char *format, ...) {
    const Ledger *ledger = c->life->ledger;
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    for (int i = 0; i < N_THINGS; i++)
        g_printerr("# %s: presence %d, name %s or %s, uuid " SD_ID128_FORMAT_STR "\n", first_names[i],
                   (int) ledger->things[i].presence, ledger->things[i].names[0],
                   ledger->things[i].names[1] ? ledger->things[i].names[1] : "-",
                   SD_ID128_FORMAT_VAL(ledger->things[i].uuid));
    g_printerr("# %u steps begun, %u refused, in flight %d; the files are in %s\n", ledger->steps, ledger->refused,
               ledger->in_flight, c->life->host->dir);
    g_error("%s: %s", c->what, text);
}

static bool name_is_allowed(const Thing *thing, const char *name) {
    return g_strcmp0(thing->names[0], name) == 0 || (thing->names[1] && g_strcmp0(thing->names[1], name) == 0);
}

/* The thing that a listed one is, or NULL. */
static Thing *thing_of(const Check *c, sd_id128_t uuid, const char *name, bool pool) {
    for (int i = 0; i < N_THINGS; i++) {
        Thing *thing = &c->life->ledger->things[i];

        if (is_pool((ThingIndex) i) == pool && thing->presence != THING_ABSENT &&
            (sd_id128_is_null(thing->uuid) ? name_is_allowed(thing, name) : sd_id128_equal(thing->uuid, uuid)))
            return thing;
    }
    return NULL;
}

static void take_listed(const Check *c, sd_id128_t uuid, const char *name, uint32_t owner, bool pool,
                        unsigned *ret_seen) {
    char text[PMEMD_UUID_STRING_MAX];
    Thing *thing = thing_of(c, uuid, name, pool);

    if (!thing)
        fail(c, "%s %s \"%s\" is there, and was refused, released or never asked for", pool ? "pool" : "region",
             pmemd_uuid_format(uuid, text), name ? name : "");
    if (!name_is_allowed(thing, name))
        fail(c, "%s has the name \"%s\"", thing->names[0], name ? name : "");
    if (owner != thing->owners[0] && owner != thing->owners[1])
        fail(c, "%s is owned by %u", thing->names[0], owner);
    *ret_seen |= 1u << (thing - c->life->ledger->things);
    /* It has been seen: from here on it stays. */
    thing->presence = THING_THERE;
    thing->uuid = uuid;
    thing->names[0] = name_is_allowed(thing, name) && thing->names[1] && g_str_equal(name, thing->names[1])
                          ? thing->names[1]
                          : thing->names[0];
    thing->names[1] = NULL;
    thing->owners[0] = thing->owners[1] = owner;
}

static void check_things(const Check *c) {
    const State *state = manager_state(c->life->host->manager);
    unsigned seen = 0;

    if (manager_get_state(c->life->host->manager) != MANAGER_OK)
        fail(c, "the daemon is %s: %s", manager_state_to_string(manager_get_state(c->life->host->manager)),
             manager_state_reason(c->life->host->manager));
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = state_pools(state)->pdata[i];

        if (pool->state != POOL_OK)
            fail(c, "pool %s is %s: %s", pool->name, pool_state_to_string(pool->state), pool->reason);
        take_listed(c, pool->sb.member_uuid, pool->name, pool->owner_uid, true, &seen);
    }
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region)) {
        if (region->state != REGION_OK || region->intent)
            fail(c, "region %s is %s: %s", region->name, region_state_to_string(region->state),
                 region->reason ? region->reason : "an intent is open");
        take_listed(c, region->uuid, region->name, region->owner_uid, false, &seen);
    }
    for (int i = 0; i < N_THINGS; i++) {
        Thing *thing = &c->life->ledger->things[i];

        if (thing->presence == THING_THERE && !(seen & 1u << i))
            fail(c, "%s was acknowledged and is not there", thing->names[0]);
        if (thing->presence == THING_MAYBE)
            thing->presence = THING_ABSENT;
    }
}

/* What only a caller who was told of it could have written. */
static void check_content(const Check *c) {
    for (int i = 0; i < N_THINGS; i++) {
        const Thing *thing = &c->life->ledger->things[i];

        if (thing->presence == THING_THERE && thing->marked && !is_marked(find(c->life->host, thing->uuid)))
            fail(c, "what was written into %s is gone", thing->names[0]);
    }
}

static int by_text(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static void add_dir(GPtrArray *lines, const char *path) {
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (g_file_test(child, G_FILE_TEST_IS_DIR))
            add_dir(lines, child);
        else
            g_ptr_array_add(lines, g_steal_pointer(&child));
    }
}

/* All that stands on the host's disk, and all that is listed. */
static char *describe(const Life *life) {
    const State *state = manager_state(life->host->manager);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    char text[2][PMEMD_UUID_STRING_MAX];

    add_dir(lines, life->host->dir);
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = state_pools(state)->pdata[i];

        g_ptr_array_add(lines, g_strdup_printf("pool %s %s %u %s 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
                                               "x used %" G_GUINT64_FORMAT " answers %u",
                                               pmemd_uuid_format(pool->sb.member_uuid, text[0]), pool->name,
                                               pool->owner_uid, pool_state_to_string(pool->state), pool->sb.range.start,
                                               pool->sb.range.end, pool_used_frames(pool), pool->answers.length));
    }
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        g_ptr_array_add(lines,
                        g_strdup_printf("region %s %s %s %u %s 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
                                        "x extent 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x",
                                        pmemd_uuid_format(region->uuid, text[0]),
                                        pmemd_uuid_format(region->device_uuid, text[1]), region->name,
                                        region->owner_uid, region_state_to_string(region->state), region->range.start,
                                        region->range.end, region->extent.range.start, region->extent.range.end));
    g_ptr_array_sort(lines, by_text);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **) lines->pdata);
}

/* Two files for each listed thing and nothing else, no hint, and no frame taken by what is not listed. */
static void check_nothing_left(const Check *c) {
    const State *state = manager_state(c->life->host->manager);
    g_autoptr(GArray) setup = hints_list(c->life->host->state_dir, HINT_SETUP, NULL),
                      release = hints_list(c->life->host->state_dir, HINT_RELEASE, NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    guint things = state_pools(state)->len + state_count_regions(state);
    uint64_t taken = 0, used = 0;
    size_t entries = 0;

    if (setup->len > 0 || release->len > 0)
        fail(c, "hints are left: %u of setups, %u of releases", setup->len, release->len);
    if (state_foreigns(state)->len > 0)
        fail(c, "device %s is nobody's", ((const Foreign *) state_foreigns(state)->pdata[0])->name);
    add_dir(files, c->life->host->pmem);
    if (files->len != 2 + 2 * things)
        fail(c, "%u files for %u things", files->len, things);
    for (guint i = 0; i < state_raws(state)->len; i++) {
        const Raw *raw = state_raws(state)->pdata[i];

        used += region_map_used_frames(raw->map);
        entries += region_map_count(raw->map);
    }
    for (guint i = 0; i < state_pools(state)->len; i++) {
        const Pool *pool = state_pools(state)->pdata[i];

        taken += frame_range_frames(pool->occupant.entry.range);
        if (region_map_count(pool->extents) != 3 + pool->n_regions)
            fail(c, "pool %s has %zu extents for %u regions", pool->name, region_map_count(pool->extents),
                 pool->n_regions);
    }
    for (const Region *region = state_next_region(state, NULL); region; region = state_next_region(state, region))
        taken += frame_range_frames(region_device(region));
    if (entries != things || taken != used)
        fail(c, "%zu places of %" G_GUINT64_FORMAT " frames are taken, %u things have %" G_GUINT64_FORMAT, entries,
             used, things, taken);
}

/* A pool's release goes on by its hint. */
static bool releases_wait(const Life *life) {
    g_autoptr(GArray) release = hints_list(life->host->state_dir, HINT_RELEASE, NULL);

    return release->len > 0 && state_pools(manager_state(life->host->manager))->len > 0;
}

bool life_recover(Life *life) {
    if (!host_try_start(life->host))
        return false;
    wait_for_jobs(life);
    while (releases_wait(life))
        host_run(life->host);
    return true;
}

/* Whoever got no answer asks again; what has been made or released meanwhile is told, what has not is done. */
static void ask_again(const Check *c) {
    Life *life = c->life;
    int in_flight = life->ledger->in_flight;
    const Step *step = in_flight >= 0 ? &steps[in_flight] : NULL;

    life->ledger->in_flight = -1;
    if (!step || sd_id128_is_null(request_id(step)))
        return;
    Thing *thing = &life->ledger->things[step->thing];
    if (step->kind == STEP_MAKE) {
        sd_id128_t uuid = thing->presence == THING_THERE ? thing->uuid : SD_ID128_NULL;
        ManagerRequest request = request_of(life, step);
        Reply reply = host_ask(life->host, &request);

        if (reply.code != -1 || (!sd_id128_is_null(uuid) && !sd_id128_equal(uuid, reply.result)))
            fail(c, "asked again for %s: code %d, or another one", thing->names[0], reply.code);
        on_acknowledged(life, step, reply.result);
    } else if (thing->presence == THING_THERE) {
        ManagerRequest request = request_of(life, step);
        Reply reply = host_ask(life->host, &request);

        if (reply.code != -1)
            fail(c, "asked again to change %s: code %d", thing->names[0], reply.code);
        on_acknowledged(life, step, reply.result);
        wait_for_jobs(life);
    }
}

/* Those that are there answer for their creation. */
static void check_answers(const Check *c) {
    Life *life = c->life;

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        const Thing *thing = &life->ledger->things[steps[i].thing];

        if (steps[i].kind != STEP_MAKE || thing->presence != THING_THERE)
            continue;
        Reply reply = { 0 };
        ManagerRequest request = request_of(life, &steps[i]);
        reply = host_ask(life->host, &request);
        if (reply.code != -1 || !sd_id128_equal(reply.result, thing->uuid))
            fail(c, "%s does not answer for its request-id: code %d", thing->names[0], reply.code);
    }
}

static void check_all(const Check *c) {
    check_things(c);
    check_nothing_left(c);
    check_answers(c);
    if (c->life->order->wrong)
        fail(c, "%s", c->life->order->wrong);
}

void life_check(Life *life, const char *what) {
    Check c = { life, what };

    host_stop(life->host);
    if (!life_recover(life))
        fail(&c, "it does not start: %s", life->host->failed->message);
    check_things(&c);
    check_content(&c);
    ask_again(&c);
    check_all(&c);

    g_autofree char *before = describe(life);
    host_stop(life->host);
    if (!life_recover(life))
        fail(&c, "it does not start again: %s", life->host->failed->message);
    check_all(&c);
    check_content(&c);
    g_autofree char *after = describe(life);
    if (!g_str_equal(before, after))
        fail(&c, "a second start changed things: before\n%s\nafter\n%s", before, after);
    host_stop(life->host);
}
