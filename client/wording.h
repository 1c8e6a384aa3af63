/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What pmemd says, in the words of pmemctl: its messages name methods and options of D-Bus, whoever types commands looks for
 * verbs. Pure; used where pmemctl prints an error of pmemd's.
 */
#pragma once

#include <glib.h>

/* The message with the names of methods made those of verbs. What stands in quotes or belongs to a longer name is somebody's own
 * text and stays. Free: g_free. */
char *wording_of_verbs(const char *message);
