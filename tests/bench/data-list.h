/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* One entry of ListData as it is on the bus, for the programs that read and send lists without libpmemd. */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#define DATA_SIGNATURE "ssttsttiisbuss"
#define BENCH_NAME "org.pmemd1.Bench"
#define BENCH_PATH "/org/pmemd1/bench"

typedef struct {
    const char *uuid, *name;
    uint64_t start, end;
    const char *pool;
    uint64_t extent_start, extent_end;
    int32_t node, local_node;
    const char *state;
    int dirty;
    uint32_t owner_uid;
    const char *owner, *path;
} DataEntry;

/* Texts belong to the message. 1: an entry, 0: the end, negative: errno. */
static inline int data_entry_read(sd_bus_message *m, DataEntry *ret) {
    return sd_bus_message_read(m, "(" DATA_SIGNATURE ")", &ret->uuid, &ret->name, &ret->start, &ret->end, &ret->pool,
                               &ret->extent_start, &ret->extent_end, &ret->node, &ret->local_node, &ret->state,
                               &ret->dirty, &ret->owner_uid, &ret->owner, &ret->path);
}

static inline int data_entry_append(sd_bus_message *m, const DataEntry *e) {
    return sd_bus_message_append(m, "(" DATA_SIGNATURE ")", e->uuid, e->name, e->start, e->end, e->pool,
                                 e->extent_start, e->extent_end, e->node, e->local_node, e->state, e->dirty,
                                 e->owner_uid, e->owner, e->path);
}
