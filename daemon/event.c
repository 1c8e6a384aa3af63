/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/event.h"

#include <glib.h>
#include <syslog.h>

const EventInfo *event_info(Event event) {
    static const EventInfo table[] = {
        [EVENT_NONE] = { "none", NULL, LOG_NOTICE },
        [EVENT_JOURNAL_WRITE_FAILED] = { "journal-write-failed", "ed9b01f7e3ec4a65a545cffba8533e76", LOG_CRIT },
        [EVENT_JOURNAL_REMOVED] = { "journal-removed", "ec43697f75284efab7f1a31bd91f8784", LOG_CRIT },
        [EVENT_JOURNAL_BACK] = { "journal-back", "ecddc55ffbee4279b6c784b3ffddfa47", LOG_NOTICE },
        [EVENT_POOL_CORRUPT] = { "pool-corrupt", "7794c829e1394e1992a63a65c03c84ec", LOG_CRIT },
        [EVENT_POOL_READ_ONLY] = { "pool-read-only", "787be3e89c0848eb82ab8c8288dd1309", LOG_ERR },
        [EVENT_POOL_OTHER_MACHINE] = { "pool-other-machine", "e8d6262494bf427cb1d633969dcfc9cb", LOG_ERR },
        [EVENT_POOL_UNSUPPORTED] = { "pool-unsupported", "81cfa499d5204ed787f236430448835c", LOG_ERR },
        [EVENT_POOL_TWINS] = { "pool-twins", "f28a102f3c9543fbb65014bbe030d227", LOG_ERR },
        [EVENT_POOL_REFUSED] = { "pool-refused", "83c8187bcc1444d5a4517b3008e1d0d3", LOG_ERR },
        [EVENT_POOL_LOST] = { "pool-lost", "a89cf6dd07a446d8ae863fe9d93f7c51", LOG_WARNING },
        [EVENT_REGION_MISSING] = { "region-missing", "a8c9011403c948ba9297438227d91cb6", LOG_ERR },
        [EVENT_REGION_DISPLACED] = { "region-displaced", "f55f4eb1e4404a3985a5f57e4d5a9fad", LOG_ERR },
        [EVENT_REGION_BACK] = { "region-back", "fc7c0a3a2e3c4b2490cb7fd5dce7d757", LOG_NOTICE },
        [EVENT_REGION_UNSETTLED] = { "region-unsettled", "34a57746340b436692622e27f6edd502", LOG_ERR },
        [EVENT_RELEASE_WAITS] = { "release-waits", "496e373b9f334a5986418f54c7c91c2f", LOG_WARNING },
        [EVENT_ERASE_FAILED] = { "erase-failed", "78f0be83b6e34f98b50a032881e91122", LOG_ERR },
        [EVENT_ERASE_MISMATCH] = { "erase-mismatch", "d320fb8b6e4549f59f525935355fa443", LOG_CRIT },
        [EVENT_LEFTOVER_STAYS] = { "leftover-stays", "36b68ad4803048a6bb9a11a53fe2d16f", LOG_WARNING },
        [EVENT_ORPHAN_FOUND] = { "orphan-found", "007b48eef6e84b29b7453772bfa0865c", LOG_WARNING },
        [EVENT_UNFORMATTED_FOUND] = { "unformatted-found", "198a7ec948c946f593e6cf30753af5a0", LOG_WARNING },
        [EVENT_RAW_UNUSABLE] = { "raw-unusable", "ab4a4a13e95a4258bec2296059d5644a", LOG_WARNING },
        [EVENT_PERSISTENCE_UNKNOWN] = { "persistence-unknown", "cd447580db384cf386efdd51fd83ab25", LOG_WARNING },
        [EVENT_PLATFORM_UNREADABLE] = { "platform-unreadable", "202679c7925146899e3dd1462072f1dc", LOG_WARNING },
        [EVENT_CONFIGURATION_BAD] = { "configuration-bad", "bafaffd5bd5140a395d8b4a12ca03552", LOG_ERR },
        [EVENT_CONFIGURATION_IGNORED] = { "configuration-ignored", "26ea8d3b9ca343608e0952f974a27127", LOG_WARNING },
        [EVENT_STATE_DIR_UNUSABLE] = { "state-dir-unusable", "630e1ce16501444dbf80e0d0fcda020d", LOG_ERR },
        [EVENT_STATE_DIR_FAILED] = { "state-dir-failed", "1148e9006b524158a074c460cd5d4a07", LOG_WARNING },
        [EVENT_BACKEND_UNUSABLE] = { "backend-unusable", "a8407a57494a454da4986a46caa4831b", LOG_ERR },
        [EVENT_START_FAILED] = { "start-failed", "f02fafcd8c99488597fd0a53b59e22d2", LOG_ERR },
        [EVENT_BUS_LOST] = { "bus-lost", "e3a8257f13424529ae104351adaf3a56", LOG_ERR },
        [EVENT_WORKER_STUCK] = { "worker-stuck", "8192a225a1534104992a71f03b2cfebe", LOG_ERR },
        [EVENT_INTERNAL_ERROR] = { "internal-error", "3b4bd7fbaceb4881befb6cf79cd72425", LOG_ERR },
        [EVENT_CHANGE_DONE] = { "change-done", "f13c99d41bb04878a82239c0efe9be22", LOG_NOTICE },
        [EVENT_CHANGE_REFUSED] = { "change-refused", "fc978f820352488983851cfadb8c53a6", LOG_NOTICE },
        [EVENT_REFUSALS_OMITTED] = { "refusals-omitted", "47b50b13d0604e478ab66339592e532b", LOG_WARNING },
        [EVENT_LEASE_FORCED] = { "lease-forced", "e169b62b8f17477c82429c01dd944382", LOG_WARNING },
        [EVENT_LEASES_UNCONFIRMED] = { "leases-unconfirmed", "8dcbe953f64845ac9542ce5323036c0c", LOG_NOTICE },
        [EVENT_REGION_FREED] = { "region-freed", "1768fd43558a4f08aac24aea1707bb4c", LOG_NOTICE },
        [EVENT_BAD_FRAMES_FOUND] = { "bad-frames-found", "d6f780e3a33b4c09a2eb3f26bc3ceb7c", LOG_ERR },
        [EVENT_BAD_FRAMES_CLEARED] = { "bad-frames-cleared", "8698a2ef01304eecbeefb9ac62833b99", LOG_NOTICE },
        [EVENT_DIMM_FAILING] = { "dimm-failing", "997f63907a114d238534abd8b8a6eb7d", LOG_ERR },
        [EVENT_LABELS_REPAIRED] = { "labels-repaired", "5e2572b911d94289b5ae08d7bf80f1db", LOG_NOTICE },
        [EVENT_LABELS_NOT_WHOLE] = { "labels-not-whole", "0b80d5c6764c4b2cbf655adc30eb30ab", LOG_ERR },
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(table) == N_EVENTS);
    g_assert((unsigned) event < N_EVENTS);
    return &table[event];
}
