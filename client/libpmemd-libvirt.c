/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Which pools libvirt has: what pmemd-libvirt, a program of its own, says and does.
 */
#include "client/libpmemd.h"

#include "client/libpmemd-private.h"
#include "proto/names.h"

const Field pmemd_libvirt_pool_fields[] = {
    { "name", 's', offsetof(PmemdLibvirtPool, name) },
    { "uuid", 's', offsetof(PmemdLibvirtPool, uuid) },
    { "enabled", 'b', offsetof(PmemdLibvirtPool, enabled) },
    { "directory", 's', offsetof(PmemdLibvirtPool, directory) },
    { "mounted", 'b', offsetof(PmemdLibvirtPool, mounted) },
    { "libvirt", 's', offsetof(PmemdLibvirtPool, libvirt) },
    { "problem", 's', offsetof(PmemdLibvirtPool, problem) },
    END_FIELD,
};

void pmemd_libvirt_pool_free(PmemdLibvirtPool *pool) {
    pmemd_fields_free(pmemd_libvirt_pool_fields, pool);
}

void pmemd_libvirt_pool_list_free(PmemdLibvirtPool **list) {
    pmemd_array_free((void **) list, (GDestroyNotify) pmemd_libvirt_pool_free);
}

static PmemdCallSpec libvirt_spec(const char *member, ReplyKind kind) {
    return (PmemdCallSpec){
        .path = PMEMD_LIBVIRT_PATH,
        .interface = PMEMD_LIBVIRT_IFACE,
        .program = "pmemd-libvirt",
        .name = PMEMD_LIBVIRT_BUS_NAME,
        .member = member,
        .kind = kind,
    };
}

/* --- list --- */

int pmemd_reply_take_libvirt_pool_list(PmemdReply *reply, PmemdLibvirtPool ***ret_list, size_t *ret_n) {
    int r = pmemd_reply_check(reply, REPLY_LIBVIRT_LIST);
    if (r == 0)
        *ret_list = pmemd_reply_take_array(reply, ret_n);
    return r;
}

int pmemd_client_list_libvirt_pools(PmemdClient *client, PmemdLibvirtPool ***ret_list, size_t *ret_n) {
    PmemdCallSpec spec = libvirt_spec("ListPools", REPLY_LIBVIRT_LIST);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    (void) pmemd_reply_take_libvirt_pool_list(&reply, ret_list, ret_n); /* fails as the call did */
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_list_libvirt_pools_async(PmemdClient *client, PmemdReplyFunc func, void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = libvirt_spec("ListPools", REPLY_LIBVIRT_LIST);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}

/* --- enable and disable --- */

static int fill_pool(sd_bus_message *m, const void *arguments) {
    const char *pool = arguments;
    return sd_bus_message_append(m, "sa{sv}", pool, 0);
}

static PmemdCallSpec offer_spec(const char *pool, bool enable) {
    PmemdCallSpec spec = libvirt_spec(enable ? "EnablePool" : "DisablePool", REPLY_NOTHING);

    spec.fill = fill_pool;
    spec.arguments = pool;
    return spec;
}

int pmemd_client_offer_libvirt_pool(PmemdClient *client, const char *pool, bool enable) {
    PmemdCallSpec spec = offer_spec(pool, enable);
    PmemdReply reply;

    pmemd_client_run(client, &spec, &reply);
    return pmemd_client_end_run(client, &reply);
}

int pmemd_client_offer_libvirt_pool_async(PmemdClient *client, const char *pool, bool enable, PmemdReplyFunc func,
                                          void *data, PmemdCall **ret_call) {
    PmemdCallSpec spec = offer_spec(pool, enable);
    return pmemd_client_start(client, &spec, func, data, ret_call);
}
