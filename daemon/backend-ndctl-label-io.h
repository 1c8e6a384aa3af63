/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Reading and writing the label area of a DIMM, at any offset, by the kernel's own commands: libndctl's go to offset 0
 * whatever they are told. The kernel refuses to have one written while a region over the DIMM is enabled. For
 * backend-ndctl only.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

/*
 * The label area of "nmem0", of *ret_size bytes. all: else only the index blocks and the slots in use are read, and the
 * rest is zeros (an area is read at a few MiB a second).
 */
uint8_t *nd_label_io_read(const char *dimm, bool all, size_t *ret_size, GError **error);

/* Writes len bytes and reads them back. */
bool nd_label_io_write(const char *dimm, size_t offset, const uint8_t *bytes, size_t len, GError **error);
