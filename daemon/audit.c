/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/audit.h"

#include "daemon/log.h"
#include "proto/error.h"

#include <inttypes.h>

#define NUMBER_MAX 24u /* bytes of a number in words */

struct Audit {
    sd_event *event;
    sd_event_source *timer; /* runs from the first refusal of a window to its end */
    AuditLimits limits;
    GHashTable *refusals; /* uid -> Refusals *, of this window */
    guint written;        /* refusals of all users, in this window */
};

typedef struct {
    guint written, omitted;
} Refusals;

/* The user that nobody vouches for counts as one more. */
static gpointer key_of(const AuditEntry *entry) {
    return GUINT_TO_POINTER(entry->has_uid ? entry->uid : UINT32_MAX);
}

static void log_omitted(gpointer key, gpointer value, gpointer data) {
    const Refusals *refusals = value;
    uint32_t uid = GPOINTER_TO_UINT(key);
    const Audit *audit = data;
    char number[NUMBER_MAX];

    if (refusals->omitted == 0)
        return;
    g_snprintf(number, sizeof number, "%" PRIu32, uid);
    log_event(EVENT_REFUSALS_OMITTED, LOG_FIELDS({ "CALLER_UID", uid == UINT32_MAX ? NULL : number }),
              "%u more refused requests of %s %s were not recorded: more than %u of a user or %u in all within %.3g s",
              refusals->omitted, uid == UINT32_MAX ? "somebody" : "user", uid == UINT32_MAX ? "unknown" : number,
              audit->limits.per_uid, audit->limits.total, (double) audit->limits.window_usec / G_USEC_PER_SEC);
}

static void end_window(Audit *audit) {
    g_hash_table_foreach(audit->refusals, log_omitted, audit);
    g_hash_table_remove_all(audit->refusals);
    audit->written = 0;
    audit->timer = sd_event_source_disable_unref(audit->timer);
}

static int on_window_end(sd_event_source *source, uint64_t usec, void *data) {
    (void) source;
    (void) usec;
    end_window(data);
    return 0;
}

/* Whether this refusal is one of those that are written. */
static bool take_refusal(Audit *audit, const AuditEntry *entry) {
    Refusals *refusals = g_hash_table_lookup(audit->refusals, key_of(entry));

    /* Without a timer the window does not end: then each refusal is written, which loses nothing. */
    if (!audit->timer && sd_event_add_time_relative(audit->event, &audit->timer, CLOCK_MONOTONIC,
                                                    audit->limits.window_usec, 0, on_window_end, audit) < 0)
        return true;
    if (!refusals) {
        refusals = g_new0(Refusals, 1);
        g_hash_table_insert(audit->refusals, key_of(entry), refusals);
    }
    if (refusals->written >= audit->limits.per_uid || audit->written >= audit->limits.total) {
        refusals->omitted++;
        return false;
    }
    refusals->written++;
    audit->written++;
    return true;
}

static const char *some(const char *text) {
    return text && *text ? text : NULL;
}

static char *describe_caller(const AuditEntry *entry) {
    if (!entry->has_uid)
        return g_strdup_printf("unknown (%s)", some(entry->sender) ? entry->sender : "no sender");
    return g_strdup_printf("%s (uid %" PRIu32 ", %s)", some(entry->user) ? entry->user : "?", entry->uid,
                           some(entry->sender) ? entry->sender : "no sender");
}

static char *describe_region(const AuditEntry *entry) {
    GString *text = g_string_new(some(entry->region) ? ": " : "");

    if (text->len > 0)
        g_string_append_printf(text, "%s %s", some(entry->kind) ? entry->kind : "region", entry->region);
    if (text->len > 0 && some(entry->name))
        g_string_append_printf(text, " '%s'", entry->name);
    if (entry->range.end > entry->range.start)
        g_string_append_printf(text, "%s frames 0x%" PRIx64 "-0x%" PRIx64, text->len > 0 ? "," : ":",
                               entry->range.start, entry->range.end);
    if (some(entry->detail))
        g_string_append_printf(text, "%s %s", text->len > 0 ? "," : ":", entry->detail);
    return g_string_free(text, FALSE);
}

void audit_record(Audit *audit, const AuditEntry *entry) {
    const GError *error = entry->error;

    if (error && !take_refusal(audit, entry))
        return;
    const char *name = !error                         ? NULL
                       : error->domain == PMEMD_ERROR ? pmemd_error_dbus_name(error->code)
                                                      : pmemd_error_dbus_name(PMEMD_ERROR_INTERNAL);
    g_autofree char *who = describe_caller(entry), *what = describe_region(entry);
    g_autofree char *why = error ? g_strdup_printf(": %s: %s", name, error->message) : g_strdup("");
    char uid[NUMBER_MAX], start[NUMBER_MAX], end[NUMBER_MAX];
    bool has_range = entry->range.end > entry->range.start;

    g_snprintf(uid, sizeof uid, "%" PRIu32, entry->uid);
    g_snprintf(start, sizeof start, "0x%" PRIx64, entry->range.start);
    g_snprintf(end, sizeof end, "0x%" PRIx64, entry->range.end);
    log_event(error ? EVENT_CHANGE_REFUSED : EVENT_CHANGE_DONE,
              LOG_FIELDS({ "ACTION", entry->action }, { "CALLER", some(entry->sender) },
                         { "CALLER_UID", entry->has_uid ? uid : NULL }, { "CALLER_USER", some(entry->user) },
                         { "REGION", some(entry->region) }, { "POOL", some(entry->pool) },
                         { "NAME", some(entry->name) }, { "START_FRAME", has_range ? start : NULL },
                         { "END_FRAME", has_range ? end : NULL }, { "REQUEST_ID", some(entry->request_id) },
                         { "ERROR", name }),
              "%s %s %s%s%s", entry->action, error ? "refused to" : "done for", who, what, why);
}

Audit *audit_new(sd_event *event, const AuditLimits *limits) {
    const AuditLimits usual = { .window_usec = UINT64_C(60) * G_USEC_PER_SEC, .per_uid = 20, .total = 200 };
    Audit *audit = g_new0(Audit, 1);

    audit->event = sd_event_ref(event);
    audit->limits = limits ? *limits : usual;
    audit->refusals = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return audit;
}

void audit_free(Audit *audit) {
    if (!audit)
        return;
    end_window(audit);
    g_hash_table_unref(audit->refusals);
    sd_event_unref(audit->event);
    g_free(audit);
}
