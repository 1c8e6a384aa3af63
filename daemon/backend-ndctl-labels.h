/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The label areas of a region's DIMMs: whether they were never initialised, and initialising them. A label area that holds
 * anything at all, broken or not, is left alone: what is broken may be repaired, what is overwritten may not. For
 * backend-ndctl only; whoever asks for nd_labels_init() has the administrator's consent.
 */
#pragma once

#include "daemon/backend-ndctl-context.h"

typedef enum {
    ND_LABELS_USED,   /* the region has labels */
    ND_LABELS_NONE,   /* no DIMM of it has a label area: it never will */
    ND_LABELS_BLANK,  /* only because the label areas of all its DIMMs are blank */
    ND_LABELS_BROKEN, /* there is something that the kernel does not take for labels, or it cannot be read */
} NdLabelsState;

/* Reads the index blocks of the region's DIMMs, unless the kernel has found labels there that it can use. */
NdLabelsState nd_labels_state(struct ndctl_region *region);

/* NULL: each DIMM of the region has labels, or none has any; else which one has none. What is made in a set is written to
 * the labels of all of its DIMMs. */
char *nd_labels_set_fault(struct ndctl_region *region);

/*
 * Writes an empty v1.2 label index to each DIMM of the region and starts the region again, after which it has labels. The
 * caller has made sure that nobody uses the region. Errors: NOT_SUPPORTED when a label area is not blank in whole or
 * a DIMM backs another region that is enabled, too; else as the platform says. The context is of no more use after it.
 */
bool nd_labels_init(NdContext *context, struct ndctl_region *region, GError **error);
