/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the files of the bus share: bus.c has its life, the object's properties and the news; bus-change.c the methods that
 * change something, or plan to; bus-read.c those that tell. Nobody else includes it.
 */
#pragma once

#include "daemon/bus.h"

#include "daemon/bus-authorize.h"
#include "daemon/bus-descriptors.h"
#include "daemon/bus-hold.h"
#include "daemon/bus-job.h"
#include "daemon/bus-lease.h"
#include "daemon/bus-region.h"
#include "daemon/bus-turns.h"
#include "daemon/bus-view.h"

/* The properties of the Manager object. */
typedef struct {
    const char *version, *backend, *state, *state_reason;
    char machine_id[SD_ID128_STRING_MAX];
    uint32_t raw_regions, mgmt_regions, data_regions, foreign_devices, queued_requests;
    StateTotals totals;
} ManagerFacts;

struct Bus {
    BusView view;
    BusDefaults defaults;
    BusEvents events;
    void *events_data;
    BusAuthority *authority;
    BusHold *hold;
    BusRegion *regions;
    BusJob *jobs;
    BusLease *leases;
    BusDescriptors *descriptors;
    BusTurns *lists;      /* calls of the List methods, and LocateList */
    const Eraser *eraser; /* NULL: not yet, or no longer */
    sd_bus_slot *object, *object_manager, *name_lost, *disconnected;
    ManagerFacts facts; /* filled by find() before its properties are read */
    ManagerFacts told;  /* as of the last PropertiesChanged; strings are static, but for state_reason */
};

/* Handlers of methods, as in sd_bus_message_handler_t; userdata: Bus. */
int bus_handle_attach(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_change(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_plan(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_count(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_list(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_locate(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_get_region(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_get_metrics(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_handle_list_dimms(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* An Attach whose turn has come; others: the caller may do it to regions of others. data: Bus, as in those below. */
void bus_submit_attach(void *data, sd_bus_message *call, const Caller *caller, bool others);
/* A list whose turn has come. */
void bus_answer_list(void *data, sd_bus_message *call);
/* A list whose sender has read what came before. */
void bus_go_on_with_list(void *data, sd_bus_message *call);
/* At most, about, the bytes of an answer; of lists, what comes besides entries. */
uint64_t bus_cost_of(void *data, sd_bus_message *call);
