/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * CRC32C (Castagnoli, reflected polynomial 0x82f63b78, start and end inverted), by the CPU's instruction where there
 * is one.
 * Promises: pure; the same value on every CPU. crc32c(crc32c(0, a), b) is the checksum of a followed by b.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 to start) over len bytes; the fastest way this CPU has. */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

/* The same by tables. For CPUs without the instruction, and for the test that compares both. */
uint32_t crc32c_portable(uint32_t crc, const void *buf, size_t len);

/* Whether crc32c() uses an instruction on this CPU. */
bool crc32c_is_accelerated(void);
