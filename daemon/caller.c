/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/caller.h"

#include "daemon/account.h"
#include "proto/error.h"
#include "proto/types.h"

#include <string.h>
#include <unistd.h>

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

/* Connections remembered; one that does not fit costs its bus one question more, so forgetting all is fine. */
#define CACHE_MAX 4096u

struct CallerCache {
    sd_bus *bus;
    Patience *patience; /* with name services */
    sd_bus_slot *ended;
    CallerGone gone;
    void *data;
    GHashTable *by_name; /* unique name -> Caller * */
};

struct CallerLookup {
    CallerCache *cache;
    sd_bus_slot *call;
    char *sender;
    CallerFound found;
    void *data;
};

static int on_connection_ended(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
    const CallerCache *cache = userdata;
    const char *name, *old_owner, *new_owner;

    /* Anyone may send a signal that looks like this. */
    if (g_strcmp0(sd_bus_message_get_sender(message), DRIVER) != 0 ||
        sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0 || name[0] != ':' || new_owner[0])
        return 0;
    g_hash_table_remove(cache->by_name, name);
    if (cache->gone)
        cache->gone(cache->data, name);
    return 0;
}

CallerCache *caller_cache_new(sd_bus *bus, CallerGone gone, void *data, GError **error) {
    g_autoptr(CallerCache) cache = g_new0(CallerCache, 1);

    cache->bus = bus;
    cache->patience = patience_new();
    cache->gone = gone;
    cache->data = data;
    cache->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    int r = sd_bus_add_match_async(bus, &cache->ended,
                                   "type='signal',sender='" DRIVER "',path='" DRIVER_PATH "',interface='" DRIVER
                                   "',member='NameOwnerChanged',arg2=''",
                                   on_connection_ended, NULL, cache);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot listen for connections that end: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&cache);
}

void caller_cache_free(CallerCache *cache) {
    if (!cache)
        return;
    sd_bus_slot_unref(cache->ended);
    patience_unref(cache->patience);
    g_hash_table_unref(cache->by_name);
    g_free(cache);
}

typedef struct {
    uint32_t uid;
    char user[PMEMD_USER_MAX + 1];
} NameQuestion;

static void ask_name(void *data) {
    NameQuestion *question = data;
    g_autofree char *name = NULL;
    gid_t primary;

    g_strlcpy(question->user, account_find_user(question->uid, &name, &primary) ? name : "", sizeof question->user);
}

bool caller_user_name(Patience *patience, uint32_t uid, char ret_user[static PMEMD_USER_MAX + 1], GError **error) {
    NameQuestion *question = g_new0(NameQuestion, 1);

    question->uid = uid;
    if (patience_run(patience, ask_name, question, g_free)) {
        g_strlcpy(ret_user, question->user, PMEMD_USER_MAX + 1);
        g_free(question);
        return true;
    }
    /* Who puts things right again must not depend on what is broken. */
    if (uid == 0) {
        g_strlcpy(ret_user, "root", PMEMD_USER_MAX + 1);
        return true;
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_TIMED_OUT,
                "the host's name services do not say who user %" G_GUINT32_FORMAT
                " is: try again when they answer ('getent passwd %" G_GUINT32_FORMAT "')",
                uid, uid);
    return false;
}

const Caller *caller_known(const CallerCache *cache, sd_bus_message *message) {
    const char *sender = sd_bus_message_get_sender(message);

    return sender ? g_hash_table_lookup(cache->by_name, sender) : NULL;
}

/* The driver's answer: a{sv} with the user's number among what else it knows of the connection. */
static int read_uid(sd_bus_message *reply, uint32_t *ret_uid) {
    const char *key;

    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        r = sd_bus_message_read_basic(reply, 's', &key);
        if (r >= 0 && g_str_equal(key, "UnixUserID"))
            return sd_bus_message_read(reply, "v", "u", ret_uid);
        if (r >= 0)
            r = sd_bus_message_skip(reply, "v");
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    return r < 0 ? r : -ENODATA;
}

/* NULL: TIMED_OUT. */
static const Caller *remember(CallerCache *cache, const char *sender, uint32_t uid, GError **error) {
    Caller *caller = g_new0(Caller, 1);

    caller->uid = uid;
    caller->privileged = uid == 0 || uid == geteuid();
    if (!caller_user_name(cache->patience, uid, caller->user, error)) {
        g_free(caller);
        return NULL;
    }
    if (g_hash_table_size(cache->by_name) >= CACHE_MAX)
        g_hash_table_remove_all(cache->by_name);
    g_hash_table_insert(cache->by_name, g_strdup(sender), caller);
    return caller;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
    CallerLookup *lookup = userdata;
    const sd_bus_error *refusal = sd_bus_message_get_error(reply);
    g_autoptr(GError) error = NULL;
    uint32_t uid = UINT32_MAX;

    int r = refusal ? -sd_bus_error_get_errno(refusal) : read_uid(reply, &uid);
    if (r >= 0 && uid == UINT32_MAX)
        r = -ENODATA;
    if (r < 0)
        error = g_error_new(PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "the bus does not say which user %s is: %s",
                            lookup->sender, refusal && refusal->message ? refusal->message : g_strerror(-r));
    const Caller *caller = error ? NULL : remember(lookup->cache, lookup->sender, uid, &error);
    lookup->found(lookup->data, caller, error);
    caller_lookup_cancel(lookup);
    return 0;
}

CallerLookup *caller_lookup(CallerCache *cache, sd_bus_message *message, CallerFound found, void *data,
                            GError **error) {
    /* Without a driver that stamps the sender, nobody vouches for who it is. */
    const char *sender = sd_bus_message_get_sender(message);
    if (!sender || sender[0] != ':' || sd_bus_is_bus_client(cache->bus) <= 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                            "the message names no sender: pmemd answers on a message bus only");
        return NULL;
    }

    CallerLookup *lookup = g_new0(CallerLookup, 1);
    lookup->cache = cache;
    lookup->sender = g_strdup(sender);
    lookup->found = found;
    lookup->data = data;
    int r = sd_bus_call_method_async(cache->bus, &lookup->call, DRIVER, DRIVER_PATH, DRIVER, "GetConnectionCredentials",
                                     on_credentials, lookup, "s", sender);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED, "the bus cannot be asked which user %s is: %s",
                    sender, g_strerror(-r));
        caller_lookup_cancel(lookup);
        return NULL;
    }
    return lookup;
}

void caller_lookup_cancel(CallerLookup *lookup) {
    if (!lookup)
        return;
    sd_bus_slot_unref(lookup->call);
    g_free(lookup->sender);
    g_free(lookup);
}
