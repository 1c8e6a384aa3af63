/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Users and groups as the host's name services know them now. Each question may block. Used by quota and caller.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The user's name and primary group. false: uid has no name. */
bool account_find_user(uint32_t uid, char **ret_name, gid_t *ret_gid);
/* name: a name or a decimal uid, which need not have a name. */
bool account_has_user(const char *name);
/* name: a name or a decimal gid, which need not have a name. */
bool account_find_group(const char *name, gid_t *ret_gid);
/* gid_t of all groups that the user is in. */
GArray *account_gids(const char *user, gid_t primary);
