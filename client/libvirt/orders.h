/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What a pool's directory has pmemd do: volumes that are made and removed, each with a request-id and a deadline.
 *
 * Promises: done is called once, at the deadline at the latest; settled once, when it is known what became of the order, with or
 * after done. While pmemd does not answer an order is refused at once. A creation whose caller was told that it failed is undone
 * as soon as pmemd says that it happened; an answer that was lost is asked for again, by the request-id. A removal is not tried
 * again once its caller was told of a failure.
 *
 * Who may call: pmemd-libvirt's loop.
 */
#pragma once

#include "client/libvirt/pmemd-link.h"

typedef struct Orders Orders;

/* errnum: 0, or a positive errno for the caller of a file operation; message: pmemd's sentence, "" for 0; settled: nothing else becomes
 * of it, and OrderSettled is called next. */
typedef void (*OrderDone)(int errnum, const char *message, const char *uuid, bool settled, void *data);
typedef void (*OrderSettled)(void *data);

Orders *orders_new(sd_event *event, PmemdLink *link, uint64_t deadline_usec);
/* Orders that are not done fail with EIO; what pmemd does with them is not waited for. NULL is fine. */
void orders_free(Orders *orders);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Orders, orders_free)

/* A volume of at least so many bytes, on the pool's node. done's uuid is its; "" on failure. Errnums: ENOSPC, EEXIST, EINVAL, EACCES,
 * EROFS, EDQUOT, EBUSY, ETIMEDOUT, EOPNOTSUPP, EIO. settled may be NULL. */
void orders_create(Orders *orders, const RegionViewPool *pool, const char *name, uint64_t bytes, OrderDone done,
                   OrderSettled settled, void *data);
/* The volume goes, and is erased. Errnums: those, and ENOENT; EBUSY is somebody who has it. */
void orders_remove(Orders *orders, const char *volume_uuid, OrderDone done, OrderSettled settled, void *data);

/* Nobody waits any more for the order of this data: it is done with this errnum, and what was made of it is undone. */
void orders_give_up(Orders *orders, const void *data, int errnum, const char *message);

/* pmemd answers again: what was lost is asked for again. */
void orders_retry(Orders *orders);
