/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/rate-limit.h"

#define USEC_A_SECOND 1000000u

void rate_limit_set(RateLimit *limit, uint64_t rate, uint64_t now_usec) {
    *limit = (RateLimit){ .rate = rate, .due_usec = now_usec };
}

uint64_t rate_limit_wait(const RateLimit *limit, uint64_t now_usec) {
    return limit->rate > 0 && limit->due_usec > now_usec ? limit->due_usec - now_usec : 0;
}

void rate_limit_take(RateLimit *limit, uint64_t bytes, uint64_t now_usec) {
    if (limit->rate == 0)
        return;

    /* Time that was not used for longer than a burst is lost. */
    if (now_usec > RATE_LIMIT_BURST_USEC && limit->due_usec < now_usec - RATE_LIMIT_BURST_USEC) {
        limit->due_usec = now_usec - RATE_LIMIT_BURST_USEC;
        limit->remainder = 0;
    }
    unsigned __int128 cost = (unsigned __int128) bytes * USEC_A_SECOND + limit->remainder;
    uint64_t usec = cost / limit->rate > UINT64_MAX ? UINT64_MAX : (uint64_t) (cost / limit->rate);

    limit->remainder = (uint64_t) (cost % limit->rate);
    if (__builtin_add_overflow(limit->due_usec, usec, &limit->due_usec))
        limit->due_usec = UINT64_MAX;
}
