/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/lease.h"

#include <inttypes.h>
#include <string.h>

void lease_free(Lease *lease) {
    if (!lease)
        return;
    g_free(lease->owner);
    g_free(lease->user);
    g_free(lease->sender);
    g_free(lease);
}

bool lease_is_held(const Lease *lease) {
    return lease && !lease->ended;
}

bool lease_is_of(const Lease *lease, const char *owner, uint32_t uid) {
    return lease && lease->uid == uid && strcmp(lease->owner, owner) == 0;
}

const char *lease_until_to_string(bool disconnect) {
    return disconnect ? "disconnect" : "detach";
}

bool lease_until_from_string(const char *text, bool *ret_disconnect) {
    bool disconnect = strcmp(text, "disconnect") == 0;

    if (!disconnect && strcmp(text, "detach") != 0)
        return false;
    *ret_disconnect = disconnect;
    return true;
}

char *lease_describe(const Lease *lease) {
    g_autoptr(GDateTime) since = g_date_time_new_from_unix_utc((gint64) (lease->since / G_USEC_PER_SEC));
    g_autofree char *time = since ? g_date_time_format_iso8601(since) : g_strdup("an unknown time");

    return g_strdup_printf("'%s' of user %s (uid %" PRIu32 ") since %s", lease->owner,
                           lease->user[0] != '\0' ? lease->user : "?", lease->uid, time);
}
