/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#define BYTES_USUAL 4096u /* of one entry */
#define BYTES_MAX (1u << 20)
#define GROUPS_USUAL 64

/* Grows the buffer of a question; false: no entry may be that large. */
static bool grow(char **buf, size_t *size) {
    if (*size >= BYTES_MAX)
        return false;
    *size *= 4;
    g_free(*buf);
    *buf = g_malloc(*size);
    return true;
}

static bool parse_id(const char *name, uint32_t *ret_id) {
    guint64 number;

    if (!g_ascii_string_to_unsigned(name, 10, 0, UINT32_MAX - 1, &number, NULL))
        return false;
    *ret_id = (uint32_t) number;
    return true;
}

bool account_find_user(uint32_t uid, char **ret_name, gid_t *ret_gid) {
    size_t size = BYTES_USUAL;
    g_autofree char *buf = g_malloc(size);
    struct passwd pw, *found = NULL;
    int r;

    while ((r = getpwuid_r(uid, &pw, buf, size, &found)) == ERANGE && grow(&buf, &size))
        ;
    if (r != 0 || !found)
        return false;
    *ret_name = g_strdup(pw.pw_name);
    *ret_gid = pw.pw_gid;
    return true;
}

bool account_has_user(const char *name) {
    size_t size = BYTES_USUAL;
    g_autofree char *buf = g_malloc(size);
    struct passwd pw, *found = NULL;
    uint32_t id;
    int r;

    while ((r = getpwnam_r(name, &pw, buf, size, &found)) == ERANGE && grow(&buf, &size))
        ;
    return (r == 0 && found) || parse_id(name, &id);
}

bool account_find_group(const char *name, gid_t *ret_gid) {
    size_t size = BYTES_USUAL;
    g_autofree char *buf = g_malloc(size);
    struct group gr, *found = NULL;
    uint32_t id;
    int r;

    while ((r = getgrnam_r(name, &gr, buf, size, &found)) == ERANGE && grow(&buf, &size))
        ;
    if (r == 0 && found) {
        *ret_gid = gr.gr_gid;
        return true;
    }
    if (!parse_id(name, &id))
        return false;
    *ret_gid = id;
    return true;
}

GArray *account_gids(const char *user, gid_t primary) {
    GArray *gids = g_array_new(FALSE, TRUE, sizeof(gid_t));
    int n = GROUPS_USUAL, before;

    do {
        before = n;
        g_array_set_size(gids, (guint) n);
    } while (getgrouplist(user, primary, &g_array_index(gids, gid_t, 0), &n) < 0 && n > before);
    g_array_set_size(gids, (guint) MIN(n, before));
    return gids;
}
