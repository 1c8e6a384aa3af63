/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Put in front of each file of the coverage build: one copy of each function, or the branches of one that is inlined in
 * ten places would count ten times.
 */
#pragma once

#if __has_include(<glib.h>)
#include <glib.h>
#undef G_ALWAYS_INLINE
#define G_ALWAYS_INLINE
#endif
