/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What a power loss takes, by what a platform says of the persistence of a raw region (BackendRaw.persistence), in
 * words for people. Promises: pure. Used by what refuses such a region, warns of it, or says where its content went.
 */
#pragma once

#include <stdbool.h>

/* A constant, "it is ..." or "its ..."; NULL: what was acknowledged stays, or it is no memory but files. */
const char *power_loss(const char *persistence);

/* Whether all of it is gone after a power-off. */
bool power_loss_is_whole(const char *persistence);
