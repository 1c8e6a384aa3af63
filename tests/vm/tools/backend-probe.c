/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Calls the operations of backend-ndctl from the command line, for the virtual machine's tests. One JSON object each:
 *   backend-probe [--strict] list
 *   backend-probe [--strict] create RAW DEVICE_START DEVICE_END ROLE UUID POOL_UUID [init-labels]
 *   backend-probe destroy UUID TAG
 *   backend-probe renew UUID TAG
 *   backend-probe mappers UUID                   who has it mapped, and what is not known
 *   backend-probe [--strict] medium UUID         stores, commits and reads back at offset 0 and at the end
 *   backend-probe [--strict] hold UUID           opens the medium, says so, and keeps it until standard input ends
 *   backend-probe format UUID                    writes a superblock that names the device as a mgmt device
 *   backend-probe zero UUID                      erases the whole content
 *   backend-probe clear RAW START END [UUID TAG]  clears the bad frames there, of that device or of nobody: `frames`
 *   backend-probe lock                           keeps the backend open until standard input ends
 * --strict: regions of unknown persistence are not accepted. Frames in hex or decimal.
 * Exit status 0: done; 1: refused, with `error` (its D-Bus name), `message` and, where there is one, `outcome`.
 */
#include "daemon/backend-ndctl.h"
#include "daemon/journal-format.h"
#include "daemon/sigbus-guard.h"
#include "proto/error.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZERO_CHUNK (UINT64_C(16) << 20)

static void print_object(JsonBuilder *builder) {
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(builder);

    json_generator_set_root(generator, root);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    puts(text);
    fflush(stdout);
}

static void add_string(JsonBuilder *b, const char *name, const char *value) {
    json_builder_set_member_name(b, name);
    if (value)
        json_builder_add_string_value(b, value);
    else
        json_builder_add_null_value(b);
}

static void add_int(JsonBuilder *b, const char *name, uint64_t value) {
    json_builder_set_member_name(b, name);
    json_builder_add_int_value(b, (gint64) value);
}

static void add_bool(JsonBuilder *b, const char *name, bool value) {
    json_builder_set_member_name(b, name);
    json_builder_add_boolean_value(b, value);
}

static void add_uuid(JsonBuilder *b, const char *name, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];

    add_string(b, name, pmemd_uuid_format(uuid, text));
}

static void add_dimm(JsonBuilder *b, const DimmHealth *dimm) {
    g_autofree char *flags = dimm_flags_to_string(dimm->flags);

    json_builder_begin_object(b);
    add_string(b, "id", dimm->id);
    add_string(b, "name", dimm->name);
    add_string(b, "state", health_to_string(dimm->state));
    add_string(b, "flags", flags);
    add_int(b, "spares", (uint64_t) (gint64) dimm->spares);
    add_int(b, "life_used", (uint64_t) (gint64) dimm->life_used);
    add_int(b, "temperature", (uint64_t) (gint64) dimm->temperature);
    add_int(b, "unsafe_shutdowns", dimm->unsafe_shutdowns);
    json_builder_end_object(b);
}

/* Its bad frames, its DIMMs, and the worst of them. */
static void add_health(JsonBuilder *b, const BackendRaw *raw) {
    g_autoptr(DimmHealth) worst = dimm_healths_worst(raw->health);

    json_builder_set_member_name(b, "bad");
    json_builder_begin_array(b);
    for (guint i = 0; raw->bad && i < raw->bad->len; i++) {
        FrameRange bad = g_array_index(raw->bad, FrameRange, i);

        json_builder_begin_array(b);
        json_builder_add_int_value(b, (gint64) bad.start);
        json_builder_add_int_value(b, (gint64) bad.end);
        json_builder_end_array(b);
    }
    json_builder_end_array(b);
    add_bool(b, "bad_all", raw->bad_all);
    json_builder_set_member_name(b, "dimms");
    json_builder_begin_array(b);
    for (guint i = 0; raw->health && i < raw->health->len; i++)
        add_dimm(b, g_ptr_array_index(raw->health, i));
    json_builder_end_array(b);
    json_builder_set_member_name(b, "worst");
    add_dimm(b, worst);
}

static void add_raw(JsonBuilder *b, const BackendRaw *raw) {
    static const char *const kinds[] = { "labelled", "unlabelled", "file" };

    json_builder_begin_object(b);
    add_string(b, "id", raw->id);
    add_uuid(b, "cookie", raw->cookie);
    add_int(b, "start", raw->range.start);
    add_int(b, "end", raw->range.end);
    add_int(b, "node", (uint64_t) (gint64) raw->node);
    add_int(b, "local_node", (uint64_t) (gint64) raw->local_node);
    add_int(b, "step", raw->step);
    add_int(b, "lead", raw->lead);
    add_int(b, "minimum", raw->minimum);
    add_int(b, "free_slots", raw->free_slots);
    add_string(b, "kind", kinds[raw->kind]);
    add_bool(b, "initialisable", raw->initialisable);
    add_string(b, "persistence", raw->persistence);
    add_string(b, "unusable", raw->unusable);
    add_health(b, raw);
    json_builder_end_object(b);
}

static void add_device(JsonBuilder *b, const BackendDevice *d) {
    static const char *const roles[] = { "mgmt", "data", "filler", "none" };

    json_builder_begin_object(b);
    add_uuid(b, "uuid", d->uuid);
    add_string(b, "name", d->name);
    add_string(b, "raw", d->raw_id);
    add_string(b, "tag", d->tag);
    add_string(b, "role", roles[d->role]);
    add_string(b, "mode", d->mode);
    add_int(b, "start", d->device.start);
    add_int(b, "end", d->device.end);
    add_int(b, "usable_start", d->usable.start);
    add_int(b, "usable_end", d->usable.end);
    add_bool(b, "complete", d->state == BACKEND_DEVICE_COMPLETE);
    add_string(b, "path", d->path);
    add_bool(b, "held", d->held);
    json_builder_end_object(b);
}

static int refuse(const GError *error, const BackendOutcome *outcome) {
    g_autoptr(JsonBuilder) b = json_builder_new();

    json_builder_begin_object(b);
    add_string(b, "error", pmemd_error_dbus_name(error->code));
    add_string(b, "message", error->message);
    if (outcome)
        add_string(b, "outcome", *outcome == BACKEND_UNCHANGED ? "unchanged" : "unknown");
    json_builder_end_object(b);
    print_object(b);
    return 1;
}

static int say(const char *name, bool value) {
    g_autoptr(JsonBuilder) b = json_builder_new();

    json_builder_begin_object(b);
    add_bool(b, name, value);
    json_builder_end_object(b);
    print_object(b);
    return 0;
}

static G_GNUC_NORETURN void bad_usage(const char *what) {
    fprintf(stderr, "backend-probe: %s\n", what);
    exit(2);
}

static sd_id128_t parse_uuid(const char *text) {
    sd_id128_t uuid;

    if (!pmemd_uuid_parse(text, &uuid))
        bad_usage("not a uuid");
    return uuid;
}

static uint64_t parse_frame(const char *text) {
    char *end;
    uint64_t frame = g_ascii_strtoull(text, &end, 0);

    if (end == text || *end)
        bad_usage("not a frame number");
    return frame;
}

static BackendRole parse_role(const char *text) {
    return strcmp(text, "mgmt") == 0     ? BACKEND_ROLE_MGMT
           : strcmp(text, "filler") == 0 ? BACKEND_ROLE_FILLER
                                         : BACKEND_ROLE_DATA;
}

static void wait_for_end_of_input(void) {
    char c;

    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static int do_list(Backend *backend) {
    g_autoptr(GError) error = NULL;
    g_autoptr(BackendListing) listing = backend->ops->list(backend, &error);
    g_autoptr(JsonBuilder) b = json_builder_new();

    if (!listing)
        return refuse(error, NULL);
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "raws");
    json_builder_begin_array(b);
    for (guint i = 0; i < listing->raws->len; i++)
        add_raw(b, g_ptr_array_index(listing->raws, i));
    json_builder_end_array(b);
    json_builder_set_member_name(b, "devices");
    json_builder_begin_array(b);
    for (guint i = 0; i < listing->devices->len; i++)
        add_device(b, g_ptr_array_index(listing->devices, i));
    json_builder_end_array(b);
    json_builder_end_object(b);
    print_object(b);
    return 0;
}

static int do_create(Backend *backend, char **args, int n_args) {
    if (n_args < 6)
        bad_usage("create RAW DEVICE_START DEVICE_END ROLE UUID POOL_UUID [init-labels]");

    char tag[BACKEND_TAG_MAX];
    sd_id128_t uuid = parse_uuid(args[4]);
    BackendCreate req = {
        .raw_id = args[0],
        .device = { parse_frame(args[1]), parse_frame(args[2]) },
        .uuid = uuid,
        .tag = backend_tag_format(parse_role(args[3]), parse_uuid(args[5]), uuid, tag),
        .init_labels = n_args > 6 && strcmp(args[6], "init-labels") == 0,
    };
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;
    g_autoptr(BackendDevice) device = backend->ops->create(backend, &req, &outcome, &error);
    if (!device)
        return refuse(error, &outcome);

    g_autoptr(JsonBuilder) b = json_builder_new();
    add_device(b, device);
    print_object(b);
    return 0;
}

static int do_destroy(Backend *backend, char **args, int n_args) {
    if (n_args != 2)
        bad_usage("destroy UUID TAG");

    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;
    if (!backend->ops->destroy(backend, parse_uuid(args[0]), args[1], &outcome, &error))
        return refuse(error, &outcome);
    return say("destroyed", true);
}

static int do_renew(Backend *backend, char **args, int n_args) {
    if (n_args != 2)
        bad_usage("renew UUID TAG");

    g_autoptr(GError) error = NULL;
    BackendOutcome outcome = BACKEND_UNKNOWN;
    if (!backend->ops->renew(backend, parse_uuid(args[0]), args[1], &outcome, &error))
        return refuse(error, &outcome);
    return say("renewed", true);
}

static int do_mappers(Backend *backend, char **args, int n_args) {
    if (n_args != 1)
        bad_usage("mappers UUID");

    g_autoptr(GError) error = NULL;
    g_autoptr(MapperList) list = backend->ops->mappers(backend, parse_uuid(args[0]), &error);
    if (!list)
        return refuse(error, NULL);
    g_autofree char *text = mapper_list_describe(list, MAPPERS_EVERYBODY);
    g_autoptr(JsonBuilder) b = json_builder_new();
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "pids");
    json_builder_begin_array(b);
    for (guint i = 0; i < list->found->len; i++)
        json_builder_add_int_value(b, g_array_index(list->found, Mapper, i).pid);
    json_builder_end_array(b);
    add_string(b, "gap", list->gap);
    add_string(b, "text", text);
    json_builder_end_object(b);
    print_object(b);
    return 0;
}

static int store_and_compare(Medium *m, uint64_t off) {
    uint8_t bytes[256];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 7 + off / 4096);
    int r = medium_store(m, off, bytes, sizeof bytes);
    if (r == 0)
        r = medium_flush(m, off, sizeof bytes);
    if (r == 0)
        r = medium_fence(m);
    if (r == 0)
        r = medium_readable(m, off, sizeof bytes);
    return r == 0 && memcmp(medium_base(m) + off, bytes, sizeof bytes) != 0 ? -EIO : r;
}

static int do_medium(Backend *backend, char **args, int n_args, bool hold) {
    if (n_args != 1)
        bad_usage("medium UUID");

    g_autoptr(GError) error = NULL;
    g_autoptr(Medium) medium = backend->ops->open_medium(backend, parse_uuid(args[0]), &error);
    if (!medium)
        return refuse(error, NULL);
    int r = store_and_compare(medium, 0);
    if (r == 0)
        r = store_and_compare(medium, medium->size - 4096);
    if (r < 0) {
        g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "the medium failed: %s", g_strerror(-r));
        return refuse(error, NULL);
    }

    g_autoptr(JsonBuilder) b = json_builder_new();
    json_builder_begin_object(b);
    add_int(b, "size", medium->size);
    add_bool(b, "mapped", medium->class == MEDIUM_CLASS_MAPPED);
    json_builder_end_object(b);
    print_object(b);
    if (hold)
        wait_for_end_of_input();
    return 0;
}

static int do_format(Backend *backend, char **args, int n_args) {
    if (n_args != 1)
        bad_usage("format UUID");

    g_autoptr(GError) error = NULL;
    sd_id128_t uuid = parse_uuid(args[0]);
    g_autoptr(Medium) medium = backend->ops->open_medium(backend, uuid, &error);
    if (!medium)
        return refuse(error, NULL);

    JfSuperblock sb = {
        .journal_uuid = uuid,
        .member_uuid = uuid,
        .major = JF_MAJOR,
        .minor = JF_MINOR,
        .page_info_bytes = 32,
        .m2p_bytes = 8,
        .sb_seq = 1,
        .range = { 0x1000, 0x1000 + medium->size / PMEMD_FRAME_SIZE },
    };
    uint8_t bytes[JF_SUPERBLOCK_SIZE];
    if (!jf_geometry(medium->size, UINT64_C(2) << 20, 64, JF_MAX_REGIONS_DEFAULT, &sb.geo, NULL))
        bad_usage("the device is too small for a journal");
    jf_superblock_encode(&sb, bytes);
    int r = medium_store(medium, 0, bytes, sizeof bytes);
    if (r == 0)
        r = medium_flush(medium, 0, sizeof bytes);
    if (r == 0)
        r = medium_fence(medium);
    return say("formatted", r == 0);
}

static int do_zero(Backend *backend, char **args, int n_args) {
    if (n_args != 1)
        bad_usage("zero UUID");

    g_autoptr(GError) error = NULL;
    g_autoptr(BackendContent) content = backend->ops->open_content(backend, parse_uuid(args[0]), &error);
    if (!content)
        return refuse(error, NULL);
    for (uint64_t off = 0; off < content->size; off += ZERO_CHUNK) {
        int r = content->zero(content, off, MIN(ZERO_CHUNK, content->size - off));
        if (r < 0) {
            g_set_error(&error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "zeroing failed: %s", g_strerror(-r));
            return refuse(error, NULL);
        }
    }
    return say("zeroed", true);
}

static int do_clear(Backend *backend, char **args, int n_args) {
    if (n_args != 3 && n_args != 5)
        bad_usage("clear RAW START END [UUID TAG]");

    const BackendClear req = {
        .raw_id = args[0],
        .frames = { parse_frame(args[1]), parse_frame(args[2]) },
        .device = n_args == 5 ? parse_uuid(args[3]) : SD_ID128_NULL,
        .tag = n_args == 5 ? args[4] : NULL,
    };
    g_autoptr(JsonBuilder) b = json_builder_new();
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;
    uint64_t frames;
    if (!backend->ops->clear_bad(backend, &req, &frames, &outcome, &error))
        return refuse(error, &outcome);
    json_builder_begin_object(b);
    add_int(b, "frames", frames);
    json_builder_end_object(b);
    print_object(b);
    return 0;
}

int main(int argc, char **argv) {
    bool strict = argc > 1 && strcmp(argv[1], "--strict") == 0;
    char **args = argv + (strict ? 3 : 2);
    int n_args = argc - (strict ? 3 : 2);

    if (n_args < 0)
        bad_usage("no operation");
    const char *operation = args[-1];
    g_autoptr(GError) error = NULL;
    medium_guard_install();
    g_autoptr(Backend) backend = backend_ndctl_new(!strict, &error);
    if (!backend)
        return refuse(error, NULL);

    if (strcmp(operation, "list") == 0)
        return do_list(backend);
    if (strcmp(operation, "create") == 0)
        return do_create(backend, args, n_args);
    if (strcmp(operation, "destroy") == 0)
        return do_destroy(backend, args, n_args);
    if (strcmp(operation, "renew") == 0)
        return do_renew(backend, args, n_args);
    if (strcmp(operation, "mappers") == 0)
        return do_mappers(backend, args, n_args);
    if (strcmp(operation, "medium") == 0 || strcmp(operation, "hold") == 0)
        return do_medium(backend, args, n_args, operation[0] == 'h');
    if (strcmp(operation, "format") == 0)
        return do_format(backend, args, n_args);
    if (strcmp(operation, "zero") == 0)
        return do_zero(backend, args, n_args);
    if (strcmp(operation, "clear") == 0)
        return do_clear(backend, args, n_args);
    if (strcmp(operation, "lock") == 0) {
        say("locked", true);
        wait_for_end_of_input();
        return 0;
    }
    bad_usage("no such operation");
}
