/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Leases: Attach with its descriptor, Detach, and the list.
 */
#include "client/libpmemd.h"

#include <errno.h>
#include <fcntl.h>

#include "client/libpmemd-private.h"

const Field pmemd_lease_fields[] = {
    { "Region", 's', offsetof(PmemdLease, region) },
    { "Name", 's', offsetof(PmemdLease, name) },
    { "Pool", 's', offsetof(PmemdLease, pool) },
    { "Owner", 's', offsetof(PmemdLease, owner) },
    { "Uid", 'u', offsetof(PmemdLease, uid) },
    { "User", 's', offsetof(PmemdLease, user) },
    { "SinceUsec", 't', offsetof(PmemdLease, since_usec) },
    { "Until", 's', offsetof(PmemdLease, until) },
    { "Confirmed", 'b', offsetof(PmemdLease, confirmed) },
    { "GuestFrame", 't', offsetof(PmemdLease, guest_frame) },
    END_FIELD,
};

/* Of the details; the descriptor stands before them. */
static const Field attachment_fields[] = {
    { "path", 's', offsetof(PmemdAttachment, path) },
    { "bytes", 't', offsetof(PmemdAttachment, bytes) },
    { "alignment", 't', offsetof(PmemdAttachment, alignment) },
    { "node", 'i', offsetof(PmemdAttachment, node) },
    { "since", 't', offsetof(PmemdAttachment, since_usec) },
    { "confirmed", 'b', offsetof(PmemdAttachment, confirmed) },
    { "memory", 's', offsetof(PmemdAttachment, memory) },
    END_FIELD,
};

void pmemd_lease_free(PmemdLease *lease) {
    pmemd_fields_free(pmemd_lease_fields, lease);
}

void pmemd_lease_list_free(PmemdLease **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_lease_free);
}

void pmemd_attachment_free(PmemdAttachment *attachment) {
    pmemd_fields_free(attachment_fields, attachment);
}

/* --- attach --- */

int pmemd_attachment_read(PmemdReply *reply, sd_bus_message *message) {
    int fd;

    int r = sd_bus_message_read_basic(message, SD_BUS_TYPE_UNIX_FD, &fd);
    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    PmemdAttachment *attachment = g_new0(PmemdAttachment, 1);
    reply->result = attachment;
    attachment->node = -1;
    if (!pmemd_fields_read(message, reply->member, attachment_fields, attachment, NULL))
        return -EPROTOTYPE;
    /* The message's own goes with it. */
    reply->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return reply->fd < 0 ? -errno : 0;
}

int pmemd_reply_take_attachment(PmemdReply *reply, int *ret_fd, PmemdAttachment **ret_attachment) {
    int r = pmemd_reply_check(reply, REPLY_ATTACHMENT);
    if (r < 0)
        return r;
    if (ret_fd) {
        *ret_fd = reply->fd;
        reply->fd = -1;
    }
    if (ret_attachment)
        *ret_attachment = g_steal_pointer(&reply->result);
    else
        pmemd_reply_free_result(reply);
    return 0;
}

typedef struct {
    const char *path, *owner;
    unsigned flags; /* PmemdAttachFlags */
    uint64_t guest_frame;
} AttachCall;

static int fill_attach(sd_bus_message *m, const void *arguments) {
    const AttachCall *call = arguments;

    int r = sd_bus_message_append(m, "os", call->path, call->owner);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && (call->flags & PMEMD_ATTACH_UNTIL_DISCONNECT))
        r = sd_bus_message_append(m, "{sv}", "until", "s", "disconnect");
    if (r >= 0 && (call->flags & PMEMD_ATTACH_ALLOW_DEGRADED))
        r = sd_bus_message_append(m, "{sv}", "allow-degraded", "b", 1);
    if (r >= 0 && call->guest_frame != PMEMD_FRAME_UNKNOWN)
        r = sd_bus_message_append(m, "{sv}", "guest-frame", "t", call->guest_frame);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Who holds it already is answered as if nothing had happened: it may be asked again. */
static PmemdCallSpec attach_spec(const AttachCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("Attach", REPLY_ATTACHMENT);

    spec.fill = fill_attach;
    spec.arguments = call;
    spec.again = true;
    return spec;
}

int pmemd_client_attach(PmemdClient *client, const char *path, const char *owner, unsigned flags, uint64_t guest_frame,
                        int *ret_fd, PmemdAttachment **ret_attachment) {
    const AttachCall call = { path, owner, flags, guest_frame };
    PmemdCallSpec spec = attach_spec(&call);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_attachment(&reply, ret_fd, ret_attachment); /* fails as the call did */
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_attach_async(PmemdClient *client, const char *path, const char *owner, unsigned flags,
                              uint64_t guest_frame, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    const AttachCall call = { path, owner, flags, guest_frame };
    PmemdCallSpec spec = attach_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- detach --- */

typedef struct {
    const char *path, *owner;
    bool force;
} DetachCall;

static int fill_detach(sd_bus_message *m, const void *arguments) {
    const DetachCall *call = arguments;

    if (!call->force)
        return sd_bus_message_append(m, "osa{sv}", call->path, call->owner, 0);
    return sd_bus_message_append(m, "osa{sv}", call->path, call->owner, 1, "force", "b", 1);
}

static PmemdCallSpec detach_spec(const DetachCall *call) {
    PmemdCallSpec spec = pmemd_manager_spec("Detach", REPLY_NOTHING);

    spec.fill = fill_detach;
    spec.arguments = call;
    spec.again = true; /* a lease that this owner had last is detached: done */
    return spec;
}

int pmemd_client_detach(PmemdClient *client, const char *path, const char *owner, bool force) {
    const DetachCall call = { path, owner, force };
    PmemdCallSpec spec = detach_spec(&call);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_detach_async(PmemdClient *client, const char *path, const char *owner, bool force, PmemdReplyFunc func,
                              void *data, PmemdCall **ret_call) {
    const DetachCall call = { path, owner, force };
    PmemdCallSpec spec = detach_spec(&call);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- list --- */

int pmemd_reply_take_lease_list(PmemdReply *reply, PmemdLease ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_LEASE_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_client_list_leases(PmemdClient *client, PmemdLease ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = pmemd_manager_spec("ListLeases", REPLY_LEASE_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_lease_list(&reply, ret_list, ret_n);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_leases_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = pmemd_manager_spec("ListLeases", REPLY_LEASE_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}
