/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Erases released regions, and new ones before their first guest, one after the other on a thread of its own; then has
 * the manager free them, or call them clean. Promises: that comes only after the last byte reads as zero, durably, and
 * what was read back of it (samples, or all) did; a failure leaves the region as it is and says why; the journal knows
 * how far an erase has come, but for a second or 256 MiB, and a restart goes on there. New regions go first. Listens to
 * the manager; used by bus-job and main.
 */
#pragma once

#include "daemon/manager.h"

typedef struct Eraser Eraser;

typedef enum {
    ERASE_WAITING, /* behind another job */
    ERASE_RUNNING,
    ERASE_PAUSED,
    ERASE_FINISHING, /* all zero; the device is being destroyed */
} EraseState;
const char *erase_state_to_string(EraseState state);

/* One job; its identity is the region's uuid. */
typedef struct {
    sd_id128_t region;
    bool released; /* else it is erased before its first guest */
    EraseState state;
    uint64_t bytes_done, bytes_total;
    uint64_t rate; /* bytes a second since it began to run; 0 before */
} EraseJob;

typedef struct {
    void (*job_added)(void *data, const EraseJob *job);
    void (*job_changed)(void *data, const EraseJob *job); /* state, or progress (at most 4 times a second) */
    /* It ends now, and can be asked for during this call for the last time. message NULL: done; else why it failed. */
    void (*job_removed)(void *data, sd_id128_t region, const char *message);
} EraserEvents;

Eraser *eraser_new(sd_event *event, Manager *manager, const EraserEvents *events, void *data, GError **error);
/* Stops after the piece at hand. The manager is freed first: it calls back for what it has at hand. */
void eraser_free(Eraser *eraser);

/* Bytes a second, over all jobs; 0: as fast as it goes. Counts at once. */
void eraser_set_rate(Eraser *eraser, uint64_t rate);

/* Read all back that is erased from now on, not samples alone; else only where the release asked for it. */
void eraser_set_verify_all(Eraser *eraser, bool verify_all);

/* The job that works on region, or false. */
bool eraser_get_job(const Eraser *eraser, sd_id128_t region, EraseJob *ret_job);
guint eraser_count(const Eraser *eraser);
/* What all jobs together have still to erase. O(1). */
uint64_t eraser_backlog_bytes(const Eraser *eraser);
/* Walks the jobs: index 0 .. eraser_count() - 1. */
void eraser_get_nth(const Eraser *eraser, guint index, EraseJob *ret_job);
/* NO_SUCH_REGION: no such job. Pausing twice is fine. */
bool eraser_pause(Eraser *eraser, sd_id128_t region, GError **error);
bool eraser_resume(Eraser *eraser, sd_id128_t region, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Eraser, eraser_free)
