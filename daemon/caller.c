/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/caller.h"

#include "proto/error.h"
#include "proto/names.h"
#include "proto/types.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* Connections remembered; one that does not fit costs its bus one question more, so forgetting all is fine. */
#define CACHE_MAX 4096u

struct CallerCache {
    GHashTable *by_name; /* unique name -> Caller * */
};

typedef struct {
    const char *interface, *member;
    bool anyone; /* else: the privileged only */
} Action;

/* Every method of proto/org.pmemd1.xml has its row here; what has none is refused. */
static const Action action_table[] = {
    { PMEMD_IFACE_MANAGER, "SetupMgmt", false },
    { PMEMD_IFACE_MANAGER, "SetupData", false },
    { PMEMD_IFACE_MANAGER, "AllocateMgmt", false },
    { PMEMD_IFACE_MANAGER, "AllocateData", false },
    { PMEMD_IFACE_MANAGER, "Plan", false }, /* a plan names frames */
    { PMEMD_IFACE_MANAGER, "ReleaseData", false },
    { PMEMD_IFACE_MANAGER, "ReleaseMgmt", false },
    { PMEMD_IFACE_MANAGER, "Rename", false },
    { PMEMD_IFACE_MANAGER, "SetOwner", false },
    { PMEMD_IFACE_MANAGER, "CountRegions", true },
    { PMEMD_IFACE_MANAGER, "ListRaw", true },
    { PMEMD_IFACE_MANAGER, "ListMgmt", true },
    { PMEMD_IFACE_MANAGER, "ListData", true },
    { PMEMD_IFACE_MANAGER, "ListForeign", true },
    { PMEMD_IFACE_MANAGER, "GetRegion", true },
    { PMEMD_IFACE_MANAGER, "GetMetrics", true }, /* no addresses, no owners */
    { PMEMD_IFACE_JOB, "Pause", false },
    { PMEMD_IFACE_JOB, "Resume", false },
};

CallerCache *caller_cache_new(void) {
    CallerCache *cache = g_new0(CallerCache, 1);

    cache->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return cache;
}

void caller_cache_free(CallerCache *cache) {
    if (!cache)
        return;
    g_hash_table_unref(cache->by_name);
    g_free(cache);
}

void caller_user_name(uint32_t uid, char ret_user[static PMEMD_USER_MAX + 1]) {
    char buf[4096];
    struct passwd pw, *found = NULL;

    ret_user[0] = 0;
    if (getpwuid_r(uid, &pw, buf, sizeof buf, &found) == 0 && found)
        g_strlcpy(ret_user, found->pw_name, PMEMD_USER_MAX + 1);
}

bool caller_resolve(CallerCache *cache, sd_bus_message *message, Caller *ret_caller, GError **error) {
    /* Without a driver that stamps the sender, nobody vouches for who it is. */
    const char *sender = sd_bus_message_get_sender(message);
    if (!sender || sender[0] != ':' || sd_bus_is_bus_client(sd_bus_message_get_bus(message)) <= 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                            "the message names no sender: pmemd answers on a message bus only");
        return false;
    }

    const Caller *known = g_hash_table_lookup(cache->by_name, sender);
    if (known) {
        *ret_caller = *known;
        return true;
    }

    sd_bus_creds *creds = NULL;
    uid_t uid;
    int r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds);
    if (r >= 0)
        r = sd_bus_creds_get_euid(creds, &uid);
    sd_bus_creds_unref(creds);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "the bus does not say which user %s is: %s", sender,
                    g_strerror(-r));
        return false;
    }

    if (g_hash_table_size(cache->by_name) >= CACHE_MAX)
        g_hash_table_remove_all(cache->by_name);
    Caller *caller = g_new0(Caller, 1);
    caller->uid = uid;
    caller->privileged = uid == 0 || uid == geteuid();
    caller_user_name(uid, caller->user);
    g_hash_table_insert(cache->by_name, g_strdup(sender), caller);
    *ret_caller = *caller;
    return true;
}

bool caller_authorize(const Caller *caller, const char *interface, const char *member, GError **error) {
    for (size_t i = 0; i < G_N_ELEMENTS(action_table); i++) {
        const Action *action = &action_table[i];
        if (g_strcmp0(action->interface, interface) != 0 || g_strcmp0(action->member, member) != 0)
            continue;
        if (action->anyone || caller->privileged)
            return true;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                    "%s is for root and the user that runs pmemd; user %" G_GUINT32_FORMAT
                    " may only list: call it as root",
                    member, caller->uid);
        return false;
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "%s.%s has no entry in pmemd's table of actions",
                interface, member);
    return false;
}
