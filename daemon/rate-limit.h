/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * A token bucket for bytes. Promises: pure, the caller brings the clock; over any time no more than rate * time bytes,
 * what a burst (RATE_LIMIT_BURST_USEC) allows and the last piece are let through, and what is late is caught up with up
 * to that burst, so that timers that come late do not add up; no fraction is ever lost. Used by the eraser.
 */
#pragma once

#include <stdint.h>

#define RATE_LIMIT_BURST_USEC UINT64_C(1000000)

typedef struct {
    uint64_t rate;      /* bytes a second; 0: no limit */
    uint64_t due_usec;  /* when all that was taken is paid for */
    uint64_t remainder; /* of due_usec, in 1 / rate microseconds */
} RateLimit;

/* A new rate counts from now on. */
void rate_limit_set(RateLimit *limit, uint64_t rate, uint64_t now_usec);
/* Microseconds until something may be taken; 0: now. */
uint64_t rate_limit_wait(const RateLimit *limit, uint64_t now_usec);
/* Takes bytes, which rate_limit_wait() gave leave to; they are paid for after. */
void rate_limit_take(RateLimit *limit, uint64_t bytes, uint64_t now_usec);
