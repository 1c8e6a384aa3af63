/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What somebody who asks for a plan ought to know beside its numbers: what a power loss takes from the region, and that
 * it takes a whole raw region.
 */
#include "daemon/rules.h"

#include "daemon/power-loss.h"
#include "daemon/rules-placement.h"

#include <inttypes.h>

static void add(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add(GString *text, const char *format, ...) {
    va_list args;

    if (text->len > 0)
        g_string_append(text, "; ");
    va_start(args, format);
    g_string_append_vprintf(text, format, args);
    va_end(args);
}

char *rules_plan_warning(const RegionPlan *plan) {
    GString *text = g_string_new(NULL);
    const Raw *raw = plan->raw, *journal = plan->pool ? plan->pool->occupant.raw : NULL;
    const char *loss = power_loss(raw->persistence);

    if (placement_is_whole(raw, plan->init_labels))
        add(text,
            "%s has no labels and cannot be divided: all of it is taken, %" PRIu64 " bytes, of which %" PRIu64
            " are usable",
            raw->id, placement_bytes(frame_range_frames(plan->device)),
            placement_bytes(frame_range_frames(plan->range)));
    if (loss)
        add(text, "of %s: %s", raw->id, loss);
    /* The worse case: what the region keeps is nobody's, as nothing else knows of it. */
    if (journal && power_loss_is_whole(journal->persistence) && !power_loss_is_whole(raw->persistence))
        add(text,
            "its pool's journal is in %s, which is RAM: after a power-off nothing knows the region, which is then "
            "listed "
            "as an orphan, or as foreign where there are no labels",
            journal->id);
    return g_string_free(text, FALSE);
}
