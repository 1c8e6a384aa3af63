/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The label area of a region's DIMM: whether it was never initialised, and initialising it. A label area that holds
 * anything at all, broken or not, is left alone: what is broken may be repaired, what is overwritten may not. For
 * backend-ndctl only; whoever asks for nd_labels_init() has the administrator's consent.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"

typedef enum {
    ND_LABELS_USED,   /* the region has labels */
    ND_LABELS_NONE,   /* no DIMM of it has a label area: it never will */
    ND_LABELS_BLANK,  /* only because its one DIMM's label area is blank */
    ND_LABELS_BROKEN, /* there is something that the kernel does not take for labels, or it cannot be read */
} NdLabelsState;

/* Reads the index blocks of the region's DIMMs, unless it has labels. */
NdLabelsState nd_labels_state(struct ndctl_region *region);

/*
 * Writes an empty v1.2 label index to the region's DIMM and starts the region again, after which it has labels. The
 * caller has made sure that nobody uses the region. Errors: NOT_SUPPORTED when the label area is not blank in whole or
 * the DIMM backs another region, too; else as the platform says. The context is of no more use after it.
 */
bool nd_labels_init(NdContext *context, struct ndctl_region *region, GError **error);
