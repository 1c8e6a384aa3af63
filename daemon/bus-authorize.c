/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-authorize.h"

#include "daemon/action.h"
#include "daemon/bus-error.h"
#include "daemon/polkit.h"
#include "proto/error.h"

#include <inttypes.h>

/* Calls whose sender is not known yet. The driver answers before it passes on much more, so that this is never met
 * by who is no attacker. */
#define LOOKUPS_MAX 4096u

/* Questions that polkit has not answered, in total and of one user. A message bus lets a connection wait for 128
 * answers: what users without privilege do must leave some of them. */
#define CHECKS_MAX 96u
#define CHECKS_MAX_PER_UID 32u

struct BusAuthority {
    BusView *view;
    Polkit *polkit;
    GQueue pending; /* Pending *, in the order in which they came */
};

/* A call that waits: for its sender's credentials (lookup), or for polkit (check). */
typedef struct {
    BusAuthority *authority;
    sd_bus_message *call;
    const BusOperation *operation;
    void *data;
    const ActionRow *row;
    Caller caller;
    CallerLookup *lookup;
    PolkitCheck *check;
    BusPurpose purpose;
    Action asked;     /* that check is about */
    uint32_t granted; /* set of actions */
} Pending;

static void on_caller(void *data, const Caller *caller, const GError *error);
static void on_verdict(void *data, PolkitVerdict verdict, const char *why);

static const char *sender_of(const Pending *pending) {
    return sd_bus_message_get_sender(pending->call);
}

static void pending_free(Pending *pending) {
    g_queue_remove(&pending->authority->pending, pending);
    caller_lookup_cancel(pending->lookup);
    polkit_check_cancel(pending->check);
    sd_bus_message_unref(pending->call);
    g_free(pending);
}

static void run(const BusAuthority *authority, const BusOperation *operation, void *data, sd_bus_message *call,
                const Caller *caller, bool others) {
    g_autoptr(GError) error = NULL;

    sd_bus_message_rewind(call, true);
    if (!operation->run(data, call, caller, others, &error))
        bus_view_refuse(authority->view, call, error);
}

/* --- what it takes, by the state as it is now --- */

static uint32_t required(const Pending *pending) {
    const State *state = manager_state(pending->authority->view->manager);
    const BusPurpose *purpose = &pending->purpose;
    RegionKind kind = purpose->kind;
    bool own = true;

    if (purpose->has_target) {
        const Region *region = state_region_by_uuid(state, purpose->target);
        const Pool *pool = region ? NULL : state_pool_by_uuid(state, purpose->target);

        if (region) {
            kind = REGION_KIND_DATA;
            own = rules_is_own(region->owner_uid, region->user, pending->caller.uid, pending->caller.user);
            const Lease *lease = state_lease(state, region);
            if (purpose->takes && lease && lease->uid != pending->caller.uid)
                own = false;
        } else if (pool) {
            kind = REGION_KIND_MGMT;
            own = rules_is_own(pool->owner_uid, pool->user, pending->caller.uid, pending->caller.user);
        }
    }
    return action_required(pending->row, kind, own);
}

/* The target in words: names are of harmless characters alone. */
static char *target_in_words(const Pending *pending) {
    const State *state = manager_state(pending->authority->view->manager);
    const Region *region = state_region_by_uuid(state, pending->purpose.target);
    const Pool *pool = region ? region->pool : state_pool_by_uuid(state, pending->purpose.target);
    char uuid[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(pending->purpose.target, uuid);
    if (region && region->name && pool->name)
        return g_strdup_printf("%s/%s (%s)", pool->name, region->name, uuid);
    if (region ? region->name != NULL : pool && pool->name)
        return g_strdup_printf("%s (%s)", region ? region->name : pool->name, uuid);
    return g_strdup(uuid);
}

/* --- verdicts --- */

/* What a user without the action can do about it. */
static const char *remedy(Action action) {
    return action_is_of_group(action) ? ", or join group pmemd" : ", or call as root";
}

static const char *explain_no(PolkitVerdict verdict, bool interactive) {
    if (verdict == POLKIT_DISMISSED)
        return ", as nobody authenticated";
    if (verdict != POLKIT_CHALLENGE)
        return "";
    return interactive ? " without authentication, and nothing is there to ask for it"
                       : " without authentication, which the request does not let it ask for";
}

static GError *refusal(const Pending *pending, PolkitVerdict verdict, const char *why) {
    bool interactive = sd_bus_message_get_allow_interactive_authorization(pending->call) > 0;
    const char *member = pending->row->member, *id = action_id(pending->asked);
    g_autofree char *quoted = bus_quote(why);
    bool others = pending->asked == ACTION_MANAGE_ALL && pending->row->mgmt != ACTION_MANAGE_ALL;

    if (verdict == POLKIT_TIMED_OUT)
        return g_error_new(PMEMD_ERROR, PMEMD_ERROR_TIMED_OUT,
                           "%s needs %s, and polkit gave no verdict within %" PRIu64
                           " s; nothing was changed: repeat the request, or call as root",
                           member, id, polkit_timeout(interactive) / G_USEC_PER_SEC);
    if (verdict == POLKIT_ABSENT || verdict == POLKIT_FAILED)
        return g_error_new(PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                           "%s needs %s, %s (%s): only root may, until polkit runs", member, id,
                           verdict == POLKIT_ABSENT ? "and there is no polkit on this bus to grant it"
                                                    : "and polkit cannot be asked for it",
                           quoted);
    return g_error_new(PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                       "%s%s needs %s, which user %" PRIu32 " does not have%s: ask an administrator for %s%s", member,
                       others ? " of a region that somebody else owns" : "", id, pending->caller.uid,
                       explain_no(verdict, interactive), id, remedy(pending->asked));
}

static bool ask(Pending *pending, Action action, GError **error) {
    g_autofree char *region = pending->purpose.has_target ? target_in_words(pending) : g_strdup("");
    const char *range = pending->purpose.range, *bytes = pending->purpose.bytes;
    const PolkitDetail details[] = {
        { "verb", pending->row->member },
        { "region", region },
        { "range", range },
        { "bytes", bytes },
        { "subject", region[0]                     ? region
                     : range[0]                    ? range
                     : pending->purpose.subject[0] ? pending->purpose.subject
                                                   : bytes },
        { NULL },
    };
    bool interactive = sd_bus_message_get_allow_interactive_authorization(pending->call) > 0;

    pending->asked = action;
    pending->check = polkit_check(pending->authority->polkit, sender_of(pending), action_id(action), details,
                                  interactive, on_verdict, pending, error);
    return pending->check != NULL;
}

/* Runs the operation, or asks for the next action that it takes and that was not granted yet. After each verdict: what
 * it takes may have become something else. */
static void go_on(Pending *pending) {
    uint32_t missing = required(pending) & ~pending->granted;
    g_autoptr(GError) error = NULL;

    if (missing == 0) {
        run(pending->authority, pending->operation, pending->data, pending->call, &pending->caller,
            (pending->granted & ACTION_BIT(ACTION_MANAGE_ALL)) != 0);
        pending_free(pending);
        return;
    }
    for (Action action = 0; action < N_ACTIONS; action++)
        if (missing & ACTION_BIT(action)) {
            if (ask(pending, action, &error))
                return;
            break;
        }
    bus_view_refuse(pending->authority->view, pending->call, error);
    pending_free(pending);
}

static void on_verdict(void *data, PolkitVerdict verdict, const char *why) {
    Pending *pending = data;

    pending->check = NULL; /* it ends after this call */
    if (verdict == POLKIT_YES) {
        pending->granted |= ACTION_BIT(pending->asked);
        go_on(pending);
        return;
    }
    g_autoptr(GError) error = refusal(pending, verdict, why);
    bus_view_refuse(pending->authority->view, pending->call, error);
    pending_free(pending);
}

/* --- who --- */

static bool check_caps(const BusAuthority *authority, const Caller *caller, GError **error) {
    guint all = 0, own = 0;

    for (const GList *l = authority->pending.head; l; l = l->next) {
        const Pending *other = l->data;

        if (!other->check)
            continue;
        all++;
        own += other->caller.uid == caller->uid;
    }
    if (all >= CHECKS_MAX) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "%u requests wait for polkit, the limit is %u; repeat the request later", all, CHECKS_MAX);
        return false;
    }
    if (own >= CHECKS_MAX_PER_UID) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "%u requests of user %" PRIu32 " wait for polkit, the limit is %u; repeat the request later", own,
                    caller->uid, CHECKS_MAX_PER_UID);
        return false;
    }
    return manager_check_limits(authority->view->manager, caller->uid, all, own, error);
}

static Pending *pending_new(BusAuthority *authority, sd_bus_message *call, const BusOperation *operation, void *data,
                            const ActionRow *row) {
    Pending *pending = g_new0(Pending, 1);

    pending->authority = authority;
    pending->call = sd_bus_message_ref(call);
    pending->operation = operation;
    pending->data = data;
    pending->row = row;
    g_queue_push_tail(&authority->pending, pending);
    return pending;
}

/* The caller is known. */
static void decide(BusAuthority *authority, sd_bus_message *call, const BusOperation *operation, void *data,
                   const ActionRow *row, const Caller *caller) {
    bool anyone = row->mgmt == ACTION_ANYONE && row->data == ACTION_ANYONE && !row->target;
    BusPurpose purpose = { .kind = REGION_KIND_DATA };
    g_autoptr(GError) error = NULL;

    if (caller->privileged || anyone) {
        run(authority, operation, data, call, caller, caller->privileged);
        return;
    }
    sd_bus_message_rewind(call, true);
    if ((operation->describe && !operation->describe(data, call, caller, &purpose, &error)) ||
        !check_caps(authority, caller, &error)) {
        bus_view_refuse(authority->view, call, error);
        return;
    }
    Pending *pending = pending_new(authority, call, operation, data, row);
    pending->caller = *caller;
    pending->purpose = purpose;
    go_on(pending);
}

static void on_caller(void *data, const Caller *caller, const GError *error) {
    Pending *first = data;
    BusAuthority *authority = first->authority;
    g_autofree char *sender = g_strdup(sender_of(first));
    const Caller found = caller ? *caller : (Caller){ 0 };

    first->lookup = NULL; /* it ends after this call */
    /* All that this connection sent meanwhile, before anything that it sends from now on: in its order. */
    g_autoptr(GList) waiting = g_list_copy(authority->pending.head);
    for (const GList *l = waiting; l; l = l->next) {
        Pending *pending = l->data;

        if (pending->check || !g_str_equal(sender_of(pending), sender))
            continue;
        if (caller)
            decide(authority, pending->call, pending->operation, pending->data, pending->row, &found);
        else
            bus_view_refuse(pending->authority->view, pending->call, error);
        pending_free(pending);
    }
}

static bool look_up(BusAuthority *authority, sd_bus_message *call, const BusOperation *operation, void *data,
                    const ActionRow *row, GError **error) {
    if (authority->pending.length >= LOOKUPS_MAX) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_LIMITS_EXCEEDED,
                    "%u calls wait for the bus to say who sent them; repeat the request later",
                    authority->pending.length);
        return false;
    }
    Pending *pending = pending_new(authority, call, operation, data, row);
    pending->lookup = caller_lookup(authority->view->callers, call, on_caller, pending, error);
    if (pending->lookup)
        return true;
    pending_free(pending);
    return false;
}

int bus_authorize(BusAuthority *authority, sd_bus_message *call, const BusOperation *operation, void *data) {
    g_autoptr(GError) error = NULL;
    const ActionRow *row = action_row(operation->interface, sd_bus_message_get_member(call), &error);
    const Caller *caller = row ? caller_known(authority->view->callers, call) : NULL;

    if (caller) {
        const Caller copy = *caller;
        decide(authority, call, operation, data, row, &copy);
    } else if (!row || !look_up(authority, call, operation, data, row, &error)) {
        bus_view_refuse(authority->view, call, error);
    }
    return 1;
}

/* --- life --- */

static void on_gone(void *data, const char *sender) {
    BusAuthority *authority = data;
    g_autoptr(GList) waiting = g_list_copy(authority->pending.head);

    for (const GList *l = waiting; l; l = l->next)
        if (g_str_equal(sender_of(l->data), sender))
            pending_free(l->data);
}

BusAuthority *bus_authority_new(BusView *view, GError **error) {
    g_autoptr(BusAuthority) authority = g_new0(BusAuthority, 1);

    authority->view = view;
    authority->polkit = polkit_new(view->bus);
    g_queue_init(&authority->pending);
    view->callers = caller_cache_new(view->bus, on_gone, authority, error);
    return view->callers ? g_steal_pointer(&authority) : NULL;
}

void bus_authority_refuse_pending(BusAuthority *authority) {
    g_autoptr(GError) error = NULL;
    Pending *pending;

    error = g_error_new_literal(PMEMD_ERROR, PMEMD_ERROR_BUSY, "pmemd is stopping; repeat the request when it is back");
    while ((pending = g_queue_peek_head(&authority->pending))) {
        bus_view_refuse(pending->authority->view, pending->call, error);
        pending_free(pending);
    }
}

void bus_authority_free(BusAuthority *authority) {
    Pending *pending;

    if (!authority)
        return;
    while ((pending = g_queue_peek_head(&authority->pending)))
        pending_free(pending);
    caller_cache_free(authority->view->callers);
    authority->view->callers = NULL;
    polkit_free(authority->polkit);
    g_free(authority);
}
