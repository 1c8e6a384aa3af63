/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-options.h"

#include "daemon/bus-error.h"
#include "daemon/lease.h"
#include "proto/error.h"

#include <string.h>

typedef struct {
    const char *key;
    char type;
    const char *type_name;
} Row;

static const Row option_table[] = {
    [BUS_OPTION_SMFN] = { "smfn", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_EMFN] = { "emfn", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_MGMT_SMFN] = { "mgmt_smfn", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_MGMT_EMFN] = { "mgmt_emfn", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_BYTES] = { "bytes", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_NAME] = { "name", 's', "string (s)" },
    [BUS_OPTION_PROFILE] = { "profile", 's', "string (s)" },
    [BUS_OPTION_MAX_REGIONS] = { "max-regions", 'u', "unsigned 32-bit number (u)" },
    [BUS_OPTION_INIT_LABELS] = { "init-labels", 'b', "boolean (b)" },
    [BUS_OPTION_NODE] = { "node", 'i', "signed 32-bit number (i)" },
    [BUS_OPTION_ALIGNMENT] = { "alignment", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_MGMT] = { "mgmt", 's', "string (s)" },
    [BUS_OPTION_UID] = { "uid", 'u', "unsigned 32-bit number (u)" },
    [BUS_OPTION_DESTROY] = { "destroy", 'b', "boolean (b)" },
    [BUS_OPTION_APPLY] = { "apply", 'b', "boolean (b)" },
    [BUS_OPTION_FORCE] = { "force", 'b', "boolean (b)" },
    [BUS_OPTION_REQUEST_ID] = { "request-id", 's', "string (s)" },
    [BUS_OPTION_UNTIL] = { "until", 's', "string (s)" },
    [BUS_OPTION_GUEST_FRAME] = { "guest-frame", 't', "unsigned 64-bit number (t)" },
    [BUS_OPTION_ALLOW_DEGRADED] = { "allow-degraded", 'b', "boolean (b)" },
    [BUS_OPTION_VERIFY] = { "verify", 'b', "boolean (b)" },
    [BUS_OPTION_DRY_RUN] = { "dry-run", 'b', "boolean (b)" },
    [BUS_OPTION_RAW] = { "raw", 's', "string (s)" },
};
G_STATIC_ASSERT(G_N_ELEMENTS(option_table) == BUS_N_OPTIONS && BUS_N_OPTIONS <= 32);

static char *known_keys(uint32_t allowed) {
    GString *keys = g_string_new(NULL);

    for (guint i = 0; i < BUS_N_OPTIONS; i++)
        if (allowed & BUS_OPTION_BIT(i))
            g_string_append_printf(keys, "%s%s", keys->len > 0 ? ", " : "", option_table[i].key);
    return g_string_free(keys, FALSE);
}

static bool find_option(const char *key, uint32_t allowed, BusOption *ret_option, GError **error) {
    for (guint i = 0; i < BUS_N_OPTIONS; i++)
        if ((allowed & BUS_OPTION_BIT(i)) && strcmp(option_table[i].key, key) == 0) {
            *ret_option = i;
            return true;
        }

    g_autofree char *quoted = bus_quote(key);
    g_autofree char *keys = known_keys(allowed);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "unknown key '%s'; %s%s", quoted,
                allowed ? "known here: " : "no options are known here", keys);
    return false;
}

static bool refuse_type(const Row *row, const char *signature, GError **error) {
    g_autofree char *quoted = bus_quote(signature ?: "nothing");

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "'%s' must be of type %s, not '%s'", row->key,
                row->type_name, quoted);
    return false;
}

/* What the type alone does not say. */
static bool check_value(BusOption option, BusOptions *options, GError **error) {
    const Row *row = &option_table[option];

    if (row->type == 's' && !bus_check_text(row->key, options->value[option].s, error))
        return false;
    if (option == BUS_OPTION_PROFILE && !profile_from_string(options->value[option].s, &options->profile)) {
        g_autofree char *quoted = bus_quote(options->value[option].s);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "profile '%s' is none of xen, linux, none",
                    quoted);
        return false;
    }
    if (option == BUS_OPTION_REQUEST_ID &&
        (!pmemd_uuid_parse(options->value[option].s, &options->request_id) || sd_id128_is_null(options->request_id))) {
        g_autofree char *quoted = bus_quote(options->value[option].s);
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
            "request-id '%s' is not a uuid in 8-4-4-4-12 form (and not the null one): take a random one a request",
            quoted);
        return false;
    }
    if (option == BUS_OPTION_UID && options->value[option].u == UINT32_MAX) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                            "uid 4294967295 (-1) is no user: give the uid of the owner, 0 for root");
        return false;
    }
    if (option == BUS_OPTION_NODE && options->value[option].i < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "node %" G_GINT32_FORMAT
                    " is not a proximity domain: give one of ListRaw, or leave the key out for any",
                    options->value[option].i);
        return false;
    }
    if (option == BUS_OPTION_UNTIL && !lease_until_from_string(options->value[option].s, &options->disconnect)) {
        g_autofree char *quoted = bus_quote(options->value[option].s);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "until '%s' is none of detach, disconnect",
                    quoted);
        return false;
    }
    if (option == BUS_OPTION_GUEST_FRAME && options->value[option].t >= PMEMD_FRAME_LIMIT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "guest-frame 0x%" G_GINT64_MODIFIER "x is no frame: those of guests are below 0x%" G_GINT64_MODIFIER
                    "x, too; leave the key out if it is not known",
                    options->value[option].t, PMEMD_FRAME_LIMIT);
        return false;
    }
    return true;
}

static bool malformed(int r, GError **error) {
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "the options cannot be read: %s", g_strerror(-r));
    return false;
}

/* One entry, whose container message is in. */
static bool parse_entry(sd_bus_message *message, uint32_t allowed, BusOptions *options, GError **error) {
    const char *key, *contents;
    BusOption option;
    char type;

    int r = sd_bus_message_read_basic(message, 's', &key);
    if (r < 0)
        return malformed(r, error);
    if (!find_option(key, allowed, &option, error))
        return false;
    const Row *row = &option_table[option];
    if (options->given & BUS_OPTION_BIT(option)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "'%s' is given twice", row->key);
        return false;
    }

    r = sd_bus_message_peek_type(message, &type, &contents);
    if (r < 0)
        return malformed(r, error);
    const char wanted[] = { row->type, 0 };
    if (g_strcmp0(contents, wanted) != 0)
        return refuse_type(row, contents, error);
    r = sd_bus_message_enter_container(message, 'v', wanted);
    if (r >= 0)
        r = sd_bus_message_read_basic(message, row->type, &options->value[option]);
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return malformed(r, error);
    options->given |= BUS_OPTION_BIT(option);
    return check_value(option, options, error);
}

bool bus_options_parse(sd_bus_message *message, uint32_t allowed, BusOptions *ret_options, GError **error) {
    BusOptions options = { 0 };

    int r = sd_bus_message_enter_container(message, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        if (!parse_entry(message, allowed, &options, error))
            return false;
        r = sd_bus_message_exit_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return malformed(r, error);
    *ret_options = options;
    return true;
}

bool bus_options_require(const BusOptions *options, uint32_t required, GError **error) {
    for (guint i = 0; i < BUS_N_OPTIONS; i++)
        if ((required & ~options->given) & BUS_OPTION_BIT(i)) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "'%s' is missing: %s", option_table[i].key,
                        option_table[i].type_name);
            return false;
        }
    return true;
}

static void hash_number(GChecksum *sum, uint64_t number) {
    const uint64_t le = GUINT64_TO_LE(number);

    g_checksum_update(sum, (const guchar *) &le, sizeof le);
}

static uint64_t number_of(const BusOptions *options, guint option) {
    switch (option_table[option].type) {
    case 't':
        return options->value[option].t;
    case 'u':
        return options->value[option].u;
    case 'i':
        return (uint64_t) (int64_t) options->value[option].i;
    default:
        return options->value[option].b != 0;
    }
}

uint64_t bus_options_hash(const BusOptions *options, uint32_t method, const uint64_t *arguments, size_t n_arguments) {
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize len = sizeof digest;
    uint64_t hash;

    /* The table's order, not the message's; every variable length is written before what it measures. */
    hash_number(sum, method);
    hash_number(sum, n_arguments);
    for (size_t i = 0; i < n_arguments; i++)
        hash_number(sum, arguments[i]);
    for (guint i = 0; i < BUS_N_OPTIONS; i++) {
        if (i == BUS_OPTION_REQUEST_ID || !(options->given & BUS_OPTION_BIT(i)))
            continue;
        g_checksum_update(sum, (const guchar *) option_table[i].key, (gssize) strlen(option_table[i].key) + 1);
        if (option_table[i].type == 's') {
            hash_number(sum, strlen(options->value[i].s));
            g_checksum_update(sum, (const guchar *) options->value[i].s, (gssize) strlen(options->value[i].s));
        } else {
            hash_number(sum, number_of(options, i));
        }
    }
    g_checksum_get_digest(sum, digest, &len);
    memcpy(&hash, digest, sizeof hash);
    return GUINT64_FROM_LE(hash);
}
