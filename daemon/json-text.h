/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Texts as JSON has them, for the programs that print it without the daemon: they take no library for it.
 */
#pragma once

#include <glib.h>

/* Appends text in quotes. What is not printable ASCII becomes '?': whoever reads it gets valid JSON, whatever the bytes. */
void json_append_text(GString *to, const char *text);
