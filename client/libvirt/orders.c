/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Orders: a few states each, driven by answers, the deadline, and pmemd coming back.
 */
#include "client/libvirt/orders.h"

#include "client/libvirt/log.h"
#include "proto/types.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

typedef enum {
    ORDER_CREATE, /* is being made */
    ORDER_LOOK,   /* is made, its properties are asked for */
    ORDER_REMOVE, /* is being removed */
    ORDER_UNDO,   /* was made too late, is being removed */
} Step;

typedef struct {
    Orders *orders;
    Step step;
    bool lost; /* no answer will come: ask again when pmemd is back */
    PmemdCall *call;
    sd_event_source *deadline;
    char *what;                     /* for messages */
    char *pool;                     /* uuid; of a removal NULL */
    PmemdRequest *request;          /* of a removal NULL */
    char *path;                     /* of the region, once there is one */
    char *uuid;                     /* likewise */
    char id[PMEMD_REQUEST_ID_SIZE]; /* of the removal, or the undoing */
    OrderDone done;                 /* NULL: was called */
    OrderSettled settled;
    void *data;
} Order;

struct Orders {
    sd_event *event;
    PmemdLink *link;
    uint64_t deadline_usec;
    GPtrArray *orders; /* Order *, owned */
};

static void order_free(gpointer data) {
    Order *order = data;

    pmemd_call_cancel(order->call);
    sd_event_source_disable_unref(order->deadline);
    pmemd_request_free(order->request);
    g_free(order->what);
    g_free(order->pool);
    g_free(order->path);
    g_free(order->uuid);
    g_free(order);
}

/* What a file operation may fail with; the rest would puzzle whoever reads it. */
static int errno_of(int r) {
    switch (-r) {
    case EUCLEAN:
        return EROFS;
    case ENOTCONN:
    case ECONNRESET:
    case EPROTO:
    case EBADMSG:
    case ENXIO:
        return EIO;
    default:
        return -r;
    }
}

static void answer(Order *order, int errnum, const char *message, bool settled) {
    OrderDone done = order->done;

    if (!done)
        return;
    order->done = NULL;
    order->deadline = sd_event_source_disable_unref(order->deadline);
    if (errnum != 0)
        log_message(LOG_NOTICE, "%s: %s", order->what, message);
    done(errnum, message, errnum == 0 && order->uuid ? order->uuid : "", settled, order->data);
}

/* The end; the order is gone. */
static void settle(Order *order, int errnum, const char *message) {
    Orders *orders = order->orders;

    answer(order, errnum, message, true);
    if (order->settled)
        order->settled(order->data);
    g_ptr_array_remove_fast(orders->orders, order);
}

static void send_order(Order *order);

static void undo(Order *order) {
    log_message(LOG_NOTICE, "%s: it was made, and nobody waits for it any more: it is removed again", order->what);
    order->step = ORDER_UNDO;
    if (pmemd_make_request_id(order->id) < 0)
        settle(order, EIO, "no random number is to be had");
    else
        send_order(order);
}

/* What is made, and cannot be shown: who is told that it failed finds nothing of it. */
static void give_up(Order *order, int errnum, const char *message) {
    answer(order, errnum, message, false);
    undo(order);
}

/* The volume is there, as region says. */
static void made(Order *order, const PmemdRegion *region) {
    const RegionViewVolume volume = {
        .uuid = region->uuid,
        .name = region->name,
        .bytes = region->bytes,
        .state = region->state,
        .dirty = region->dirty,
        .owner = region->lease_owner,
        .leased = region->lease_owner[0] != '\0',
        .path = region->guest_path,
        .mtime_usec = region->created_usec,
    };
    order->uuid = g_strdup(region->uuid);
    pmemd_link_add_volume(order->orders->link, order->pool, &volume);
    settle(order, 0, "");
}

static void succeeded(Order *order, PmemdReply *reply) {
    PmemdRegion *region = NULL;

    switch (order->step) {
    case ORDER_CREATE:
        g_free(order->path);
        order->path = g_strdup(pmemd_reply_path(reply));
        order->step = ORDER_LOOK;
        if (order->done)
            send_order(order);
        else
            undo(order);
        return;
    case ORDER_LOOK:
        if (!order->done)
            undo(order);
        else if (pmemd_reply_take_region(reply, &region) < 0)
            give_up(order, EIO, "pmemd's answer is of another version");
        else
            made(order, region);
        pmemd_region_free(region);
        return;
    case ORDER_REMOVE:
    case ORDER_UNDO:
        if (order->uuid)
            pmemd_link_remove_volume(order->orders->link, order->uuid);
        else
            pmemd_link_refresh(order->orders->link);
        settle(order, 0, "");
        return;
    }
}

static void on_answer(PmemdClient *client, PmemdReply *reply, void *data) {
    Order *order = data;
    int r = pmemd_reply_result(reply);

    order->call = NULL;
    if (r >= 0) {
        succeeded(order, reply);
        return;
    }
    /* Whether it was done is not known, or it was not and pmemd will be back. A removal that failed already stays as it is. */
    if ((r == -ECONNRESET || (r == -ENOTCONN && order->lost)) && (order->done || order->step != ORDER_REMOVE)) {
        order->lost = true;
        return;
    }
    if (order->step == ORDER_LOOK && r != -ENOENT) {
        give_up(order, errno_of(r), pmemd_reply_error_message(reply));
        return;
    }
    if (order->step == ORDER_UNDO && r != -ENOENT)
        log_message(LOG_WARNING, "%s: it is there, and cannot be removed again: %s", order->what,
                    pmemd_reply_error_message(reply));
    pmemd_link_refresh(order->orders->link);
    settle(order, errno_of(r), pmemd_reply_error_message(reply));
}

/* Sends what the step asks for; settles the order if that cannot be sent at all. */
static void send_order(Order *order) {
    PmemdClient *client = pmemd_link_client(order->orders->link);
    int r = -EINVAL;

    switch (order->step) {
    case ORDER_CREATE:
        r = pmemd_client_submit_async(client, order->request, on_answer, order, &order->call);
        break;
    case ORDER_LOOK:
        r = pmemd_client_region_async(client, order->path, on_answer, order, &order->call);
        break;
    case ORDER_REMOVE:
    case ORDER_UNDO:
        r = pmemd_client_release_data_async(client, order->path, order->id, on_answer, order, &order->call);
        break;
    }
    if (r == -ENOTCONN || r == -ECONNRESET)
        order->lost = true;
    else if (r < 0) {
        g_autofree char *message = g_strdup(pmemd_client_error_message(client));
        settle(order, errno_of(r), message);
    }
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data) {
    Order *order = data;
    PmemdLink *link = order->orders->link;

    pmemd_link_doubt(link);
    g_autofree char *message =
        g_strdup_printf("pmemd has not answered within %.1f s; %s", (double) order->orders->deadline_usec / 1e6,
                        order->step == ORDER_REMOVE ? "whether it is removed will show"
                                                    : "should it be made after all, it is removed again");
    answer(order, ETIMEDOUT, message, false);
    return 0;
}

/* what, order: taken. */
static void begin(Orders *orders, Order *order) {
    g_ptr_array_add(orders->orders, order);
    if (!pmemd_link_is_live(orders->link)) {
        settle(order, EIO, pmemd_link_problem(orders->link));
        return;
    }
    if (sd_event_add_time_relative(orders->event, &order->deadline, CLOCK_MONOTONIC, orders->deadline_usec, 1000,
                                   on_deadline, order) < 0) {
        settle(order, EIO, "no timer is to be had");
        return;
    }
    send_order(order);
}

static Order *order_new(Orders *orders, Step step, char *what, OrderDone done, OrderSettled settled, void *data) {
    Order *order = g_new0(Order, 1);

    *order = (Order){ .orders = orders, .step = step, .done = done, .settled = settled, .data = data };
    order->what = what;
    return order;
}

static bool fill_request(Order *order, const RegionViewPool *pool, const char *name, uint64_t bytes) {
    char id[PMEMD_REQUEST_ID_SIZE];

    if (pmemd_make_request_id(id) < 0 || pmemd_request_new(PMEMD_OPERATION_ALLOCATE_DATA, &order->request) < 0)
        return false;
    pmemd_request_set_bytes(order->request, bytes);
    pmemd_request_set_name(order->request, name);
    pmemd_request_set_mgmt(order->request, pool->uuid);
    pmemd_request_set_node(order->request, pool->node);
    pmemd_request_set_id(order->request, id);
    return true;
}

void orders_create(Orders *orders, const RegionViewPool *pool, const char *name, uint64_t bytes, OrderDone done,
                   OrderSettled settled, void *data) {
    char *what = g_strdup_printf("volume %s/%s of %" G_GUINT64_FORMAT " bytes is not made", pool->name, name, bytes);
    Order *order = order_new(orders, ORDER_CREATE, what, done, settled, data);

    order->pool = g_strdup(pool->uuid);
    if (fill_request(order, pool, name, bytes)) {
        begin(orders, order);
        return;
    }
    g_ptr_array_add(orders->orders, order);
    settle(order, EIO, "no random number is to be had");
}

void orders_remove(Orders *orders, const char *volume_uuid, OrderDone done, OrderSettled settled, void *data) {
    const RegionViewPool *pool = NULL;
    const RegionViewVolume *volume = region_view_by_uuid(pmemd_link_view(orders->link), volume_uuid, &pool);
    char *what = volume ? g_strdup_printf("volume %s/%s is not removed", pool->name, volume->name)
                        : g_strdup_printf("volume %s is not removed", volume_uuid);
    Order *order = order_new(orders, ORDER_REMOVE, what, done, settled, data);
    char path[PMEMD_PATH_MAX];
    sd_id128_t uuid;

    order->uuid = g_strdup(volume_uuid);
    if (pmemd_make_request_id(order->id) >= 0 && pmemd_uuid_parse(volume_uuid, &uuid)) {
        order->path = g_strdup(pmemd_region_path(uuid, path));
        begin(orders, order);
        return;
    }
    g_ptr_array_add(orders->orders, order);
    settle(order, EIO, "no random number is to be had");
}

void orders_give_up(Orders *orders, const void *data, int errnum, const char *message) {
    for (guint i = 0; i < orders->orders->len; i++) {
        Order *order = orders->orders->pdata[i];

        if (order->data == data)
            answer(order, errnum, message, false);
    }
}

void orders_retry(Orders *orders) {
    g_autoptr(GPtrArray) lost = g_ptr_array_new();

    for (guint i = 0; i < orders->orders->len; i++)
        if (((Order *) orders->orders->pdata[i])->lost)
            g_ptr_array_add(lost, orders->orders->pdata[i]);
    /* None of them settles another one. */
    for (guint i = 0; i < lost->len; i++) {
        Order *order = lost->pdata[i];

        order->lost = false;
        if (order->step == ORDER_REMOVE && !order->done)
            settle(order, EIO, "");
        else
            send_order(order);
    }
}

Orders *orders_new(sd_event *event, PmemdLink *link, uint64_t deadline_usec) {
    Orders *orders = g_new0(Orders, 1);

    orders->event = sd_event_ref(event);
    orders->link = link;
    orders->deadline_usec = deadline_usec;
    orders->orders = g_ptr_array_new_with_free_func(order_free);
    return orders;
}

void orders_free(Orders *orders) {
    if (!orders)
        return;
    while (orders->orders->len > 0)
        settle(orders->orders->pdata[0], EIO, "pmemd-libvirt ends");
    g_ptr_array_unref(orders->orders);
    sd_event_unref(orders->event);
    g_free(orders);
}
