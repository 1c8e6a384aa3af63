/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The polkit agent of a terminal: pkttyagent(1) as a child that asks for passwords while a request waits for polkit.
 * Promises: it listens when agent_start returns, and the terminal is as it was when agent_stop returns. Without
 * pkttyagent there is none, and polkit decides without asking. Used by pmemctl.c alone.
 */
#pragma once

#include <glib.h>

typedef struct Agent Agent;

/* NULL: there is none to be started. */
Agent *agent_start(void);
void agent_stop(Agent *agent); /* NULL is fine */
