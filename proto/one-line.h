/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Strangers' words (names of domains and labels, errors of other programs) made fit to be a line of a log or of a terminal.
 */
#pragma once

/* text as UTF-8, with all that would end or repaint a line replaced by '?'. Free: g_free. */
char *one_line(const char *text);
