/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A medium in RAM that knows which stores would have survived a power cut: what the CPU sees (view), what is durable,
 * and the stores in between. Mapped class: a store is durable after flush and fence; file class: after fence. Calls
 * can be made to fail and lines to be poisoned. For tests only; its members are theirs to read and set.
 */
#pragma once

#include "daemon/medium.h"

#define RECORDING_LINE 64u

/* At most one aligned 8-byte word. */
typedef struct {
    uint64_t off;
    uint8_t len;
    uint8_t bytes[8];
    bool flushed;
} RecordingStore;

typedef struct RecordingMedium RecordingMedium;

struct RecordingMedium {
    Medium base;
    uint8_t *view;
    uint8_t *durable;
    GArray *pending; /* RecordingStore, in program order */
    uint8_t *pending_of_line;
    uint8_t *poison;    /* one byte a line */
    unsigned calls;     /* store, flush and fence together */
    unsigned fail_at;   /* the call (from 1) that fails; 0: none */
    int fail_errno;     /* positive */
    bool fail_for_ever; /* all calls from fail_at on */
    unsigned stores, flushes, fences;
    void (*before_fence)(RecordingMedium *m, void *data); /* everything stored so far is still in the air */
    void *data;
};

RecordingMedium *recording_medium_new(uint64_t size, MediumClass class);
/* Everything durable as in image (NULL: zeros), nothing pending, no poison, no failure, no hook. */
void recording_medium_reset(RecordingMedium *m, const uint8_t *image);
/* to gets view, durable and pending of from (same size and class), the latter as not flushed: what a process finds
 * whose predecessor was killed. Its hook and failures are cleared. */
void recording_medium_copy(RecordingMedium *to, const RecordingMedium *from);
void recording_medium_poison(RecordingMedium *m, uint64_t off);

typedef enum {
    CUT_PREFIX, /* of each line's stores a prefix: what the cache of a CPU can do */
    CUT_CHUNKS, /* any subset of the 8-byte words: stores that bypass the cache, sectors torn in their middle */
} CutMode;

/*
 * Calls func with an image of the medium after a power cut now; all that are possible when there are at most cap
 * (CUT_PREFIX only), else cap of them by chance. Returns how many.
 */
unsigned recording_medium_cut(RecordingMedium *m, CutMode mode, unsigned cap, GRand *rand,
                              void (*func)(const uint8_t *image, void *data), void *data);
