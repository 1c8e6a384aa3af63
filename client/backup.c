/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/backup.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "client/parse.h"
#include "proto/one-line.h"
#include "proto/types.h"

#define MAX_TEXT 255u
#define MAX_NAME 63u
#define MAX_DEPTH 32u
#define FRAME_LIMIT (UINT64_C(1) << 40)
#define MAX_USEC (UINT64_C(1) << 53)

static void raw_free(void *data) {
    BackupRaw *raw = data;

    g_free(raw->id);
    g_free(raw->cookie);
    g_free(raw);
}

static void data_free(void *data) {
    BackupData *region = data;

    g_free(region->uuid);
    g_free(region->name);
    g_free(region->owner);
    g_free(region);
}

static void pool_free(void *data) {
    BackupPool *pool = data;

    g_free(pool->uuid);
    g_free(pool->name);
    g_free(pool->profile);
    g_free(pool->owner);
    g_clear_pointer(&pool->data, g_ptr_array_unref);
    g_free(pool);
}

Backup *backup_new(const char *machine_id, const char *pmemd) {
    Backup *backup = g_new(Backup, 1);

    *backup = (Backup){
        .machine_id = g_strdup(machine_id),
        .pmemd = g_strdup(pmemd),
        .raws = g_ptr_array_new_with_free_func(raw_free),
        .pools = g_ptr_array_new_with_free_func(pool_free),
    };
    return backup;
}

void backup_free(Backup *backup) {
    if (!backup)
        return;
    g_free(backup->machine_id);
    g_free(backup->pmemd);
    g_ptr_array_unref(backup->raws);
    g_ptr_array_unref(backup->pools);
    g_free(backup);
}

BackupRaw *backup_add_raw(Backup *backup, const char *id, const char *cookie, PmemdRange frames, int32_t node) {
    BackupRaw *raw = g_new(BackupRaw, 1);

    *raw = (BackupRaw){ .id = g_strdup(id), .cookie = g_strdup(cookie), .frames = frames, .node = node };
    g_ptr_array_add(backup->raws, raw);
    return raw;
}

BackupPool *backup_add_pool(Backup *backup, const PmemdRegion *region) {
    BackupPool *pool = g_new(BackupPool, 1);

    *pool = (BackupPool){
        .uuid = g_strdup(region->uuid),
        .name = g_strdup(region->name),
        .profile = g_strdup(region->profile),
        .max_regions = region->max_regions,
        .frames = region->frames,
        .owner_uid = region->owner_uid,
        .owner = g_strdup(region->owner),
        .created_usec = region->created_usec,
        .data = g_ptr_array_new_with_free_func(data_free),
    };
    g_ptr_array_add(backup->pools, pool);
    return pool;
}

BackupData *backup_add_data(BackupPool *pool, const PmemdRegion *region) {
    BackupData *data = g_new(BackupData, 1);

    *data = (BackupData){
        .uuid = g_strdup(region->uuid),
        .name = g_strdup(region->name),
        .frames = region->frames,
        .extent = region->extent,
        .owner_uid = region->owner_uid,
        .owner = g_strdup(region->owner),
        .created_usec = region->created_usec,
    };
    g_ptr_array_add(pool->data, data);
    return data;
}

static bool contains(PmemdRange outer, PmemdRange inner) {
    return outer.start <= inner.start && inner.end <= outer.end;
}

const BackupRaw *backup_find_raw(const Backup *backup, PmemdRange frames) {
    for (guint i = 0; i < backup->raws->len; i++) {
        const BackupRaw *raw = backup->raws->pdata[i];

        if (contains(raw->frames, frames))
            return raw;
    }
    return NULL;
}

/* --- to text --- */

static void set_number(JsonObject *object, const char *key, uint64_t number) {
    json_object_set_int_member(object, key, (gint64) number);
}

static void set_range(JsonObject *object, const char *start_key, const char *end_key, PmemdRange range) {
    set_number(object, start_key, range.start);
    set_number(object, end_key, range.end);
}

static JsonObject *raw_to_json(const BackupRaw *raw) {
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "id", raw->id);
    json_object_set_string_member(object, "cookie", raw->cookie);
    set_range(object, "start_frame", "end_frame", raw->frames);
    json_object_set_int_member(object, "node", raw->node);
    return object;
}

static void set_identity(JsonObject *object, const Backup *backup, const char *uuid, const char *name,
                         PmemdRange frames) {
    const BackupRaw *raw = backup_find_raw(backup, frames);

    json_object_set_string_member(object, "uuid", uuid);
    json_object_set_string_member(object, "name", name);
    set_range(object, "start_frame", "end_frame", frames);
    set_number(object, "bytes", (frames.end - frames.start) * PMEMD_FRAME_SIZE);
    /* For whoever reads the file: import goes by the frames. */
    json_object_set_string_member(object, "raw", raw ? raw->id : "");
    json_object_set_int_member(object, "node", raw ? raw->node : -1);
}

static void set_origin(JsonObject *object, uint32_t owner_uid, const char *owner, uint64_t created_usec) {
    set_number(object, "owner_uid", owner_uid);
    json_object_set_string_member(object, "owner", owner);
    set_number(object, "created_usec", created_usec);
}

static JsonObject *data_to_json(const Backup *backup, const BackupData *data) {
    JsonObject *object = json_object_new();

    set_identity(object, backup, data->uuid, data->name, data->frames);
    set_range(object, "extent_start", "extent_end", data->extent);
    set_origin(object, data->owner_uid, data->owner, data->created_usec);
    return object;
}

static JsonObject *pool_to_json(const Backup *backup, const BackupPool *pool) {
    JsonObject *object = json_object_new();
    JsonArray *array = json_array_new();

    set_identity(object, backup, pool->uuid, pool->name, pool->frames);
    json_object_set_string_member(object, "profile", pool->profile);
    set_number(object, "max_regions", pool->max_regions);
    set_origin(object, pool->owner_uid, pool->owner, pool->created_usec);
    for (guint i = 0; i < pool->data->len; i++)
        json_array_add_object_element(array, data_to_json(backup, pool->data->pdata[i]));
    json_object_set_array_member(object, "data", array);
    return object;
}

char *backup_format(const Backup *backup) {
    JsonObject *document = json_object_new(), *body = json_object_new();
    JsonArray *raws = json_array_new(), *pools = json_array_new();
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);

    json_object_set_string_member(body, "machine_id", backup->machine_id);
    json_object_set_string_member(body, "pmemd", backup->pmemd);
    for (guint i = 0; i < backup->raws->len; i++)
        json_array_add_object_element(raws, raw_to_json(backup->raws->pdata[i]));
    json_object_set_array_member(body, "raw", raws);
    for (guint i = 0; i < backup->pools->len; i++)
        json_array_add_object_element(pools, pool_to_json(backup, backup->pools->pdata[i]));
    json_object_set_array_member(body, "pools", pools);
    set_number(document, "version", BACKUP_VERSION);
    json_object_set_object_member(document, "export", body);
    json_node_take_object(root, document);
    g_autofree char *text = json_to_string(root, true);
    return g_strconcat(text, "\n", NULL);
}

/* --- from text --- */

static void say(GError **error, const char *where, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void say(GError **error, const char *where, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    /* It may quote what the file has: one line, and nothing that moves a cursor. */
    g_autofree char *raw = g_strdup_printf("the export cannot be used: %s %s", where, what);
    g_autofree char *text = one_line(raw);
    g_set_error_literal(error, PARSE_ERROR, PARSE_ERROR_USAGE, text);
}

/* A macro: that it is false is seen where it stands. */
#define refuse(...) (say(__VA_ARGS__), false)

/* The parser calls itself for each level, and takes more than JSON: what could exhaust the stack, or be read in two ways, is
 * refused before it. */
static bool check_text(const char *text, size_t length, GError **error) {
    bool quoted = false;
    unsigned depth = 0;

    if (length > BACKUP_MAX_BYTES)
        return refuse(error, "it", "has more than %" G_GUINT64_FORMAT " bytes", BACKUP_MAX_BYTES);
    if (!g_utf8_validate_len(text, length, NULL))
        return refuse(error, "it", "is not UTF-8 text");
    for (size_t i = 0; i < length; i++) {
        if (quoted) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                quoted = false;
            else if (g_ascii_iscntrl(text[i]))
                return refuse(error, "it", "is not JSON: a control character in a text, at byte %zu", i);
        } else if (text[i] == '"') {
            quoted = true;
        } else if (!strchr("{}[],:+-.0123456789eEtrufalsn \t\r\n", text[i])) {
            return refuse(error, "it", "is not JSON: byte %zu is none that stands there", i);
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > MAX_DEPTH)
                return refuse(error, "it", "is nested deeper than %u levels", MAX_DEPTH);
        } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* A member that has to be there; NULL: refused. */
static JsonNode *find_member(JsonObject *object, const char *where, const char *key, JsonNodeType type,
                             GError **error) {
    JsonNode *node = json_object_get_member(object, key);

    if (!node)
        say(error, where, "has no \"%s\"", key);
    else if (json_node_get_node_type(node) == type)
        return node;
    else
        say(error, where, "has \"%s\" that is no %s", key,
            type == JSON_NODE_ARRAY    ? "array"
            : type == JSON_NODE_OBJECT ? "object"
                                       : "single value");
    return NULL;
}

static bool read_text(JsonObject *object, const char *where, const char *key, char **ret_text, GError **error) {
    JsonNode *node = find_member(object, where, key, JSON_NODE_VALUE, error);

    if (!node)
        return false;
    if (json_node_get_value_type(node) != G_TYPE_STRING)
        return refuse(error, where, "has \"%s\" that is no text", key);
    const char *text = json_node_get_string(node);
    if (strlen(text) > MAX_TEXT)
        return refuse(error, where, "has \"%s\" of more than %u bytes", key, MAX_TEXT);
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return refuse(error, where, "has \"%s\" with a control character", key);
    *ret_text = g_strdup(text);
    return true;
}

static bool read_signed(JsonObject *object, const char *where, const char *key, int64_t least, uint64_t most,
                        int64_t *ret_number, GError **error) {
    JsonNode *node = find_member(object, where, key, JSON_NODE_VALUE, error);

    if (!node)
        return false;
    if (json_node_get_value_type(node) != G_TYPE_INT64)
        return refuse(error, where, "has \"%s\" that is no whole number", key);
    int64_t number = json_node_get_int(node);
    if (number < least || number > (int64_t) most)
        return refuse(error, where,
                      "has \"%s\" %" G_GINT64_FORMAT ", which is not within %" G_GINT64_FORMAT
                      " and %" G_GUINT64_FORMAT,
                      key, number, least, most);
    *ret_number = number;
    return true;
}

static bool read_number(JsonObject *object, const char *where, const char *key, uint64_t most, uint64_t *ret_number,
                        GError **error) {
    int64_t number = 0;

    if (!read_signed(object, where, key, 0, most, &number, error))
        return false;
    *ret_number = (uint64_t) number;
    return true;
}

static bool read_number32(JsonObject *object, const char *where, const char *key, uint32_t most, uint32_t *ret_number,
                          GError **error) {
    uint64_t number = 0;

    if (!read_number(object, where, key, most, &number, error))
        return false;
    *ret_number = (uint32_t) number;
    return true;
}

static bool read_range(JsonObject *object, const char *where, const char *start_key, const char *end_key,
                       PmemdRange *ret_range, GError **error) {
    PmemdRange range;

    if (!read_number(object, where, start_key, FRAME_LIMIT, &range.start, error) ||
        !read_number(object, where, end_key, FRAME_LIMIT, &range.end, error))
        return false;
    if (range.start >= range.end)
        return refuse(error, where, "has \"%s\" that is not below \"%s\"", start_key, end_key);
    *ret_range = range;
    return true;
}

static bool read_uuid(JsonObject *object, const char *where, char **ret_uuid, GError **error) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *given = NULL;
    sd_id128_t uuid;

    if (!read_text(object, where, "uuid", &given, error))
        return false;
    if (!pmemd_uuid_parse(given, &uuid))
        return refuse(error, where, "has \"uuid\" that is none");
    /* In one spelling, so that it can be compared. */
    *ret_uuid = g_strdup(pmemd_uuid_format(uuid, text));
    return true;
}

static bool read_name(JsonObject *object, const char *where, char **ret_name, GError **error) {
    g_autofree char *name = NULL;

    if (!read_text(object, where, "name", &name, error))
        return false;
    bool fits = strlen(name) <= MAX_NAME && (name[0] == '\0' || g_ascii_isalnum(name[0]));
    for (const char *p = name; *p && fits; p++)
        fits = g_ascii_isalnum(*p) || strchr("_.-", *p);
    if (!fits)
        return refuse(error, where, "has \"name\" that pmemd gives no region");
    *ret_name = g_steal_pointer(&name);
    return true;
}

static bool read_origin(JsonObject *object, const char *where, uint32_t *ret_uid, char **ret_owner, uint64_t *ret_usec,
                        GError **error) {
    return read_number32(object, where, "owner_uid", UINT32_MAX - 1, ret_uid, error) &&
           read_text(object, where, "owner", ret_owner, error) &&
           read_number(object, where, "created_usec", MAX_USEC, ret_usec, error);
}

static bool read_raw(Backup *backup, JsonObject *object, const char *where, GError **error) {
    BackupRaw *raw = backup_add_raw(backup, NULL, NULL, (PmemdRange){ 0, 0 }, -1);
    char text[PMEMD_UUID_STRING_MAX];
    sd_id128_t cookie;
    int64_t node;

    if (!read_text(object, where, "id", &raw->id, error) || !read_text(object, where, "cookie", &raw->cookie, error) ||
        !read_range(object, where, "start_frame", "end_frame", &raw->frames, error) ||
        !read_signed(object, where, "node", -1, INT32_MAX, &node, error))
        return false;
    raw->node = (int32_t) node;
    if (raw->cookie[0] != '\0') {
        if (!pmemd_uuid_parse(raw->cookie, &cookie))
            return refuse(error, where, "has \"cookie\" that is no uuid");
        g_free(raw->cookie);
        raw->cookie = g_strdup(pmemd_uuid_format(cookie, text));
    }
    return true;
}

static bool read_data(BackupPool *pool, JsonObject *object, const char *where, GError **error) {
    const PmemdRegion none = { .owner_uid = 0 };
    BackupData *data = backup_add_data(pool, &none);

    return read_uuid(object, where, &data->uuid, error) && read_name(object, where, &data->name, error) &&
           read_range(object, where, "start_frame", "end_frame", &data->frames, error) &&
           read_range(object, where, "extent_start", "extent_end", &data->extent, error) &&
           read_origin(object, where, &data->owner_uid, &data->owner, &data->created_usec, error) &&
           (contains(pool->frames, data->extent) || refuse(error, where, "has its extent outside of its pool"));
}

/* The array's element number i, which has to be an object; NULL: refused. */
static JsonObject *element(JsonArray *array, guint i, const char *where, GError **error) {
    JsonNode *node = json_array_get_element(array, i);

    if (JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    say(error, where, "is no object");
    return NULL;
}

/* NULL: refused. */
static JsonArray *find_array(JsonObject *object, const char *where, const char *key, guint most, GError **error) {
    JsonNode *node = find_member(object, where, key, JSON_NODE_ARRAY, error);
    JsonArray *array = node ? json_node_get_array(node) : NULL;

    if (array && json_array_get_length(array) > most) {
        say(error, where, "has more than %u entries of \"%s\"", most, key);
        return NULL;
    }
    return array;
}

static bool read_pool(Backup *backup, JsonObject *object, const char *where, guint *n_data, GError **error) {
    const PmemdRegion none = { .owner_uid = 0 };
    BackupPool *pool = backup_add_pool(backup, &none);

    if (!read_uuid(object, where, &pool->uuid, error) || !read_name(object, where, &pool->name, error) ||
        !read_text(object, where, "profile", &pool->profile, error) ||
        !read_number32(object, where, "max_regions", BACKUP_MAX_DATA * 4, &pool->max_regions, error) ||
        !read_range(object, where, "start_frame", "end_frame", &pool->frames, error) ||
        !read_origin(object, where, &pool->owner_uid, &pool->owner, &pool->created_usec, error))
        return false;
    if (strcmp(pool->profile, "xen") != 0 && strcmp(pool->profile, "linux") != 0 && strcmp(pool->profile, "none") != 0)
        return refuse(error, where, "has \"profile\" '%s', which is none of xen, linux, none", pool->profile);
    if (pool->max_regions == 0)
        return refuse(error, where, "has \"max_regions\" 0");

    JsonArray *array = find_array(object, where, "data", BACKUP_MAX_DATA - *n_data, error);
    if (!array)
        return false;
    *n_data += json_array_get_length(array);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *place = g_strdup_printf("%s.data[%u]", where, i);
        JsonObject *data = element(array, i, place, error);

        if (!data || !read_data(pool, data, place, error))
            return false;
    }
    return true;
}

/* --- what the members have to be to each other --- */

static int compare_ranges(gconstpointer a, gconstpointer b) {
    const PmemdRange *x = *(const PmemdRange *const *) a, *y = *(const PmemdRange *const *) b;

    return (x->start > y->start) - (x->start < y->start);
}

/* ranges: PmemdRange *, of anything; they are sorted. */
static bool check_apart(GPtrArray *ranges, const char *what, GError **error) {
    g_ptr_array_sort(ranges, compare_ranges);
    for (guint i = 1; i < ranges->len; i++) {
        const PmemdRange *before = ranges->pdata[i - 1], *range = ranges->pdata[i];

        if (range->start < before->end)
            return refuse(error, "it", "has two %s at frame 0x%" G_GINT64_MODIFIER "x", what, range->start);
    }
    return true;
}

/* Adds the text, which must not be there already; "" may. */
static bool check_new(GHashTable *seen, const char *text, const char *what, GError **error) {
    if (text[0] == '\0' || g_hash_table_add(seen, (void *) text))
        return true;
    return refuse(error, "it", "has the %s '%s' twice", what, text);
}

static bool check_place(const Backup *backup, const char *uuid, PmemdRange frames, GError **error) {
    return backup_find_raw(backup, frames) || refuse(error, uuid, "lies in none of its raw regions");
}

static bool check_pool(const Backup *backup, BackupPool *pool, GHashTable *uuids, GPtrArray *frames, GError **error) {
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) extents = g_ptr_array_new();

    if (!check_new(uuids, pool->uuid, "uuid", error) || !check_place(backup, pool->uuid, pool->frames, error))
        return false;
    g_ptr_array_add(frames, &pool->frames);
    for (guint i = 0; i < pool->data->len; i++) {
        BackupData *data = pool->data->pdata[i];

        if (!check_new(uuids, data->uuid, "uuid", error) || !check_new(names, data->name, "name", error) ||
            !check_place(backup, data->uuid, data->frames, error))
            return false;
        g_ptr_array_add(frames, &data->frames);
        g_ptr_array_add(extents, &data->extent);
    }
    return check_apart(extents, "management extents", error);
}

static bool check_whole(const Backup *backup, GError **error) {
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) uuids = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) frames = g_ptr_array_new();

    for (guint i = 0; i < backup->raws->len; i++) {
        const BackupRaw *raw = backup->raws->pdata[i];

        if (raw->id[0] == '\0')
            return refuse(error, "it", "has a raw region without id");
        if (!check_new(ids, raw->id, "raw region", error))
            return false;
    }
    for (guint i = 0; i < backup->pools->len; i++) {
        BackupPool *pool = backup->pools->pdata[i];

        if (!check_new(names, pool->name, "pool's name", error) || !check_pool(backup, pool, uuids, frames, error))
            return false;
    }
    return check_apart(frames, "regions", error);
}

static bool read_body(Backup *backup, JsonObject *body, GError **error) {
    JsonArray *raws = find_array(body, "export", "raw", BACKUP_MAX_RAWS, error);
    JsonArray *pools = raws ? find_array(body, "export", "pools", BACKUP_MAX_POOLS, error) : NULL;
    sd_id128_t machine;
    guint n_data = 0;

    if (!pools || !read_text(body, "export", "machine_id", &backup->machine_id, error) ||
        !read_text(body, "export", "pmemd", &backup->pmemd, error))
        return false;
    if (strlen(backup->machine_id) != 32 || sd_id128_from_string(backup->machine_id, &machine) < 0)
        return refuse(error, "export", "has \"machine_id\" that is not 32 hexadecimal digits");
    for (guint i = 0; i < json_array_get_length(raws); i++) {
        g_autofree char *where = g_strdup_printf("raw[%u]", i);
        JsonObject *object = element(raws, i, where, error);

        if (!object || !read_raw(backup, object, where, error))
            return false;
    }
    for (guint i = 0; i < json_array_get_length(pools); i++) {
        g_autofree char *where = g_strdup_printf("pools[%u]", i);
        JsonObject *object = element(pools, i, where, error);

        if (!object || !read_pool(backup, object, where, &n_data, error))
            return false;
    }
    return check_whole(backup, error);
}

Backup *backup_parse(const char *text, size_t length, GError **error) {
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(Backup) backup = backup_new(NULL, NULL);
    g_autoptr(GError) syntax = NULL;
    uint64_t version;

    if (!check_text(text, length, error))
        return NULL;
    if (!json_parser_load_from_data(parser, text, (gssize) length, &syntax)) {
        say(error, "it", "is not JSON: %s", syntax->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        say(error, "it", "is no JSON object");
        return NULL;
    }
    JsonObject *document = json_node_get_object(root);
    if (!read_number(document, "it", "version", INT64_MAX, &version, error))
        return NULL;
    if (version != BACKUP_VERSION) {
        say(error, "it", "is of version %" G_GUINT64_FORMAT ", this pmemctl reads version %d", version, BACKUP_VERSION);
        return NULL;
    }
    JsonNode *body = find_member(document, "it", "export", JSON_NODE_OBJECT, error);
    if (!body || !read_body(backup, json_node_get_object(body), error))
        return NULL;
    return g_steal_pointer(&backup);
}
