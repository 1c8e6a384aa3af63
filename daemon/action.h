/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The table of actions: which polkit action a method takes.
 * Promises: every method of proto/org.pmemd1.xml has its row; one without a row is refused, root's call, too. Knows no
 * manager, no message. Used by bus-authorize.
 */
#pragma once

#include "proto/types.h"

/* What polkit is asked for, by policy/org.pmemd1.policy; in the order in which they are asked. */
typedef enum {
    ACTION_ANYONE, /* nobody is asked */
    ACTION_SETUP_MGMT,
    ACTION_SETUP_DATA,
    ACTION_RELEASE,
    ACTION_ATTACH,
    ACTION_REPAIR,
    ACTION_MANAGE_ALL,
    N_ACTIONS,
} Action;

/* A set of actions: ACTION_BIT(ACTION_RELEASE) | ACTION_BIT(ACTION_MANAGE_ALL). */
#define ACTION_BIT(action) (1u << (action))

typedef struct {
    const char *interface, *member;
    Action mgmt, data; /* what it takes, by the kind of region that it is about */
    bool target;       /* it changes a region that is there: somebody else's takes ACTION_MANAGE_ALL, too */
} ActionRow;

/* The row of a method. NULL: NOT_AUTHORIZED, there is none. */
const ActionRow *action_row(const char *interface, const char *member, GError **error);

/* What row takes of a caller without privilege, for a region of this kind that is or is not the caller's own: a set,
 * empty when anyone may. */
uint32_t action_required(const ActionRow *row, RegionKind kind, bool own);

/* "org.pmemd1.release"; ACTION_ANYONE has none: "". Static. */
const char *action_id(Action action);
/* Does policy/org.pmemd1.rules grant it to the group pmemd? */
bool action_is_of_group(Action action);
