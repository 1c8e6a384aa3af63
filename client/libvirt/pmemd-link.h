/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The link to pmemd: its lists as a view that is kept fresh by its signals, and whether it answers.
 *
 * Promises: waits for nobody but the message bus itself. The view stays what pmemd said last while it is away, stopped or recovering;
 * it is replaced as a whole. pmemd is not started by anything here but the first question. When the bus is lost it is looked for
 * again every second.
 *
 * Who may call: pmemd-libvirt's loop.
 */
#pragma once

#include "client/libpmemd.h"
#include "client/libvirt/region-view.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

typedef struct PmemdLink PmemdLink;

/* Any may be NULL. Called on the loop; none of them may free the link. */
typedef struct PmemdLinkHandlers {
    /* There is another view. */
    void (*view)(PmemdLink *link, void *userdata);
    /* pmemd began to answer, or ceased to: pmemd_link_problem(). Live only once a view of that pmemd is there. */
    void (*live)(PmemdLink *link, bool live, void *userdata);
} PmemdLinkHandlers;

/* Begins to connect. bus: as pmemd_client_open(). Errors: INTERNAL. */
PmemdLink *pmemd_link_new(sd_event *event, const char *bus, const PmemdLinkHandlers *handlers, void *userdata,
                          GError **error);
void pmemd_link_free(PmemdLink *link); /* calls under way are dropped; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdLink, pmemd_link_free)

/* What pmemd said last; NULL: nothing yet. The link's, until it has another one: take a reference to keep it. */
RegionView *pmemd_link_view(const PmemdLink *link);
/* pmemd answers, and the view is its. */
bool pmemd_link_is_live(const PmemdLink *link);
/* An answer is overdue: the link is not live until pmemd has answered a question that is sent now. */
void pmemd_link_doubt(PmemdLink *link);
/* Why it is not live, for people; "" while it is. */
const char *pmemd_link_problem(const PmemdLink *link);

/* For further asynchronous calls; never for a synchronous one, which would wait for pmemd without end. */
PmemdClient *pmemd_link_client(PmemdLink *link);
/* Has the lists read again soon: for who has changed something that sends no signal. */
void pmemd_link_refresh(PmemdLink *link);
/* Shows what a call has done before the lists tell of it. volume: copied. */
void pmemd_link_add_volume(PmemdLink *link, const char *pool_uuid, const RegionViewVolume *volume);
void pmemd_link_remove_volume(PmemdLink *link, const char *volume_uuid);
