/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-paths.h"

#include <json-glib/json-glib.h>
#include <limits.h>
#include <string.h>

#include "proto/error.h"
#include "proto/types.h"

/* --- the paths --- */

static void path_free(void *data) {
    DomainPath *path = data;

    g_free(path->path);
    g_free(path);
}

void domain_paths_free(DomainPaths *paths) {
    if (!paths)
        return;
    g_free(paths->uuid);
    g_free(paths->name);
    g_ptr_array_unref(paths->paths);
    g_free(paths);
}

/* What nobody can open is nobody's. */
static bool add_path(DomainPaths *paths, const char *path, bool memory, GError **error) {
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return true;
    if (paths->paths->len == DOMAIN_PATHS_MAX) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "the domain names more than %u paths: that is more than pmemd's hook looks at", DOMAIN_PATHS_MAX);
        return false;
    }
    DomainPath *item = g_new0(DomainPath, 1);
    item->path = g_strdup(path);
    item->memory = memory;
    g_ptr_array_add(paths->paths, item);
    return true;
}

/* --- options of QEMU, as they stand in qemu:commandline --- */

/* The parser of JSON goes down by recursion. */
static bool json_is_deep(const char *text) {
    unsigned depth = 0;

    for (const char *p = text; *p; p++)
        if (*p == '{' || *p == '[') {
            if (++depth > DOMAIN_PATHS_MAX_DEPTH)
                return true;
        } else if ((*p == '}' || *p == ']') && depth > 0)
            depth--;
    return false;
}

/* A value that is still to be looked at; both are the document's. */
typedef struct {
    const char *key;
    JsonNode *node;
} JsonItem;

static void push_members(GArray *items, JsonObject *object) {
    g_autoptr(GList) members = json_object_get_members(object);

    for (GList *l = g_list_last(members); l; l = l->prev) {
        const JsonItem item = { .key = l->data, .node = json_object_get_member(object, l->data) };
        g_array_append_val(items, item);
    }
}

static void push_elements(GArray *items, const char *key, JsonArray *array) {
    for (guint i = json_array_get_length(array); i > 0; i--) {
        const JsonItem item = { .key = key, .node = json_array_get_element(array, i - 1) };
        g_array_append_val(items, item);
    }
}

static bool add_json_nodes(DomainPaths *paths, JsonNode *root, GError **error) {
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(JsonItem));
    const JsonItem first = { .key = "", .node = root };

    g_array_append_val(items, first);
    while (items->len > 0) {
        const JsonItem item = g_array_index(items, JsonItem, items->len - 1);

        g_array_set_size(items, items->len - 1);
        if (JSON_NODE_HOLDS_OBJECT(item.node))
            push_members(items, json_node_get_object(item.node));
        else if (JSON_NODE_HOLDS_ARRAY(item.node))
            push_elements(items, item.key, json_node_get_array(item.node));
        else if (JSON_NODE_HOLDS_VALUE(item.node) && json_node_get_value_type(item.node) == G_TYPE_STRING &&
                 !add_path(paths, json_node_get_string(item.node), strcmp(item.key, "mem-path") == 0, error))
            return false;
    }
    return true;
}

/* Text that is no JSON is nothing QEMU would take. */
static bool add_json(DomainPaths *paths, const char *text, GError **error) {
    g_autoptr(JsonParser) parser = json_parser_new();

    if (json_is_deep(text)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "an option of the domain's qemu:commandline is nested deeper than %u", DOMAIN_PATHS_MAX_DEPTH);
        return false;
    }
    if (!json_parser_load_from_data(parser, text, -1, NULL) || !json_parser_get_root(parser))
        return true;
    return add_json_nodes(paths, json_parser_get_root(parser), error);
}

static bool add_value(DomainPaths *paths, const GString *option, GError **error) {
    const char *equals = strchr(option->str, '=');
    const char *value = equals ? equals + 1 : option->str;

    return add_path(paths, value, g_str_has_prefix(option->str, "mem-path="), error);
}

/* KEY=VALUE,...; a comma of a value is doubled. */
static bool add_options(DomainPaths *paths, const char *text, GError **error) {
    g_autoptr(GString) option = g_string_new(NULL);

    for (const char *p = text;; p++) {
        if (p[0] == ',' && p[1] == ',')
            p++;
        else if (p[0] == ',' || p[0] == '\0') {
            if (!add_value(paths, option, error))
                return false;
            if (p[0] == '\0')
                return true;
            g_string_truncate(option, 0);
            continue;
        }
        g_string_append_c(option, *p);
    }
}

/* before: the argument in front of it; NULL: none. */
static bool add_argument(DomainPaths *paths, const char *before, const char *text, GError **error) {
    if (before && (strcmp(before, "-mem-path") == 0 || strcmp(before, "--mem-path") == 0))
        return add_path(paths, text, true, error);
    if (text[0] == '{')
        return add_json(paths, text, error);
    return add_options(paths, text, error);
}

/* --- the XML --- */

typedef struct {
    DomainPaths *paths;
    unsigned depth;
    GString *text;  /* of the element that is open, if it is one whose text counts */
    char *argument; /* of QEMU, the last one */
} Reader;

/* Whether the open elements are these, the innermost first. */
static bool stack_is(const GSList *stack, const char *const *names) {
    for (; *names; names++, stack = stack->next)
        if (!stack || strcmp(stack->data, *names) != 0)
            return false;
    return stack == NULL;
}

static bool is_memory_path(const GSList *stack) {
    static const char *const names[] = { "path", "source", "memory", "devices", "domain", NULL };

    return stack_is(stack, names);
}

static bool is_of_domain(const GSList *stack, const char *name) {
    const char *const names[] = { name, "domain", NULL };

    return stack_is(stack, names);
}

static bool is_qemu_argument(const GSList *stack) {
    static const char *const names[] = { "qemu:arg", "qemu:commandline", "domain", NULL };

    return stack_is(stack, names);
}

/* A source of a device, or of what stands behind it. */
static bool is_device_source(const GSList *stack) {
    const GSList *last = stack, *inner = NULL;

    if (strcmp(stack->data, "source") != 0)
        return false;
    for (; last->next; last = last->next)
        inner = last;
    return strcmp(last->data, "domain") == 0 && inner && strcmp(inner->data, "devices") == 0;
}

static bool read_source(Reader *reader, const char **names, const char **values, GError **error) {
    for (size_t i = 0; names[i]; i++) {
        bool is_path = strcmp(names[i], "file") == 0 || strcmp(names[i], "dev") == 0 || strcmp(names[i], "path") == 0;

        if (is_path && !add_path(reader->paths, values[i], false, error))
            return false;
    }
    return true;
}

static bool read_argument(Reader *reader, const char **names, const char **values, GError **error) {
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(names[i], "value") != 0)
            continue;
        bool ok = add_argument(reader->paths, reader->argument, values[i], error);
        g_free(reader->argument);
        reader->argument = g_strdup(values[i]);
        return ok;
    }
    return true;
}

static bool start(Reader *reader, const GSList *stack, const char **names, const char **values, GError **error) {
    if (++reader->depth > DOMAIN_PATHS_MAX_DEPTH) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "the domain's XML is nested deeper than %u elements", DOMAIN_PATHS_MAX_DEPTH);
        return false;
    }
    if (reader->depth == 1 && strcmp(stack->data, "domain") != 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the XML is no domain's");
        return false;
    }
    g_string_truncate(reader->text, 0);
    if (is_qemu_argument(stack))
        return read_argument(reader, names, values, error);
    return !is_device_source(stack) || read_source(reader, names, values, error);
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names, const char **values,
                     void *data, GError **error) {
    (void) start(data, g_markup_parse_context_get_element_stack(context), names, values, error);
}

static void on_text(GMarkupParseContext *context, const char *text, gsize length, void *data, GError **error) {
    const GSList *stack = g_markup_parse_context_get_element_stack(context);
    Reader *reader = data;

    if (is_memory_path(stack) || is_of_domain(stack, "uuid") || is_of_domain(stack, "name"))
        g_string_append_len(reader->text, text, (gssize) length);
}

/* The first counts, as libvirt takes it. */
static void keep_uuid(DomainPaths *paths, const char *text) {
    g_autofree char *trimmed = g_strstrip(g_ascii_strdown(text, -1));
    sd_id128_t uuid;

    if (!paths->uuid && pmemd_uuid_parse(trimmed, &uuid))
        paths->uuid = g_steal_pointer(&trimmed);
}

static void on_end(GMarkupParseContext *context, const char *element, void *data, GError **error) {
    const GSList *stack = g_markup_parse_context_get_element_stack(context);
    Reader *reader = data;

    reader->depth--;
    if (is_memory_path(stack))
        (void) add_path(reader->paths, reader->text->str, true, error);
    else if (is_of_domain(stack, "uuid"))
        keep_uuid(reader->paths, reader->text->str);
    else if (is_of_domain(stack, "name") && !reader->paths->name)
        reader->paths->name = g_strdup(reader->text->str);
    g_string_truncate(reader->text, 0);
}

static bool parse(Reader *reader, const char *xml, size_t length, GError **error) {
    static const GMarkupParser parser = { .start_element = on_start, .end_element = on_end, .text = on_text };
    g_autoptr(GError) problem = NULL;

    if (length > DOMAIN_PATHS_MAX_BYTES) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "the domain's XML has %zu bytes, and more than %zu are not read", length, DOMAIN_PATHS_MAX_BYTES);
        return false;
    }
    if (memchr(xml, '\0', length)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "cannot read the domain's XML: it has a 0 byte");
        return false;
    }
    g_autoptr(GMarkupParseContext) context =
        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, reader, NULL);
    if (g_markup_parse_context_parse(context, xml, (gssize) length, &problem) &&
        g_markup_parse_context_end_parse(context, &problem))
        return true;
    if (problem->domain == PMEMD_ERROR)
        g_propagate_error(error, g_steal_pointer(&problem));
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "cannot read the domain's XML: %s",
                    problem->message);
    return false;
}

DomainPaths *domain_paths_parse(const char *xml, size_t length, GError **error) {
    g_autoptr(DomainPaths) paths = g_new0(DomainPaths, 1);
    g_autoptr(GString) text = g_string_new(NULL);
    Reader reader = { .paths = paths, .text = text };

    paths->paths = g_ptr_array_new_with_free_func(path_free);
    bool ok = parse(&reader, xml, length, error);
    g_free(reader.argument);
    if (!ok)
        return NULL;
    if (!paths->uuid) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the domain's XML has no uuid");
        return NULL;
    }
    if (!paths->name)
        paths->name = g_strdup("");
    return g_steal_pointer(&paths);
}
