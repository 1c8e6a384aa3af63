/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Numbers as configuration files spell them. Promises: strict, nothing wraps, nothing is skipped. Used by file-regions,
 * file-record, manage-list, config.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A number of 64 bits, hex ("0x...") or decimal, no sign, no blanks. false: anything else. */
bool number_parse(const char *s, uint64_t *ret_number);
/* A number of bytes: as above, or decimal with one of K, M, G, T, or KiB, MiB, GiB, TiB: powers of 1024, in upper or lower
 * case. KB and its like are nothing: they mean 1000s to some and 1024s to others. */
bool number_parse_bytes(const char *s, uint64_t *ret_bytes);
