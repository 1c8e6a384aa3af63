/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libpmemd as the verbs use it: errors as GErrors, lists as GPtrArrays.
 */
#include <errno.h>
#include <string.h>

#include "client/pmemctl.h"
#include "client/wording.h"

GQuark ctl_error_quark(void) {
    return g_quark_from_static_string("pmemctl-error-quark");
}

static const char *const names[] = {
    [CTL_ERROR_UNREACHABLE] = PMEMD_ERROR_NAME_UNREACHABLE,
    [CTL_ERROR_LOST] = PMEMD_ERROR_NAME_LOST,
    [CTL_ERROR_PROTOCOL] = PMEMD_ERROR_NAME_PROTOCOL,
    /* None of the library's: */
    [CTL_ERROR_OUTPUT] = "org.pmemd1.Client.Output",
    [CTL_ERROR_INPUT] = "org.pmemd1.Client.Input",
    [CTL_ERROR_INCOMPLETE] = "org.pmemd1.Client.Incomplete",
    [CTL_ERROR_COMMAND] = "org.pmemd1.Client.Command",
    [CTL_ERROR_LINK] = "org.pmemd1.Client.Link",
};

const char *ctl_error_name(const GError *error) {
    if (error->domain == PMEMD_ERROR)
        return pmemd_error_dbus_name(error->code);
    if (error->domain == CTL_ERROR)
        return names[error->code];
    return "org.pmemd1.Client.Usage";
}

bool ctl_check(Ctl *ctl, int r, GError **error) {
    if (r >= 0)
        return true;

    const char *name = pmemd_client_error_name(ctl->client);
    int code = pmemd_error_from_dbus_name(name);
    if (code >= 0) {
        g_autofree char *message = wording_of_verbs(pmemd_client_error_message(ctl->client));
        g_set_error_literal(error, PMEMD_ERROR, code, message);
        return false;
    }
    code = CTL_ERROR_PROTOCOL;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], name) == 0)
            code = (int) i;
    g_set_error_literal(error, CTL_ERROR, code, pmemd_client_error_message(ctl->client));
    return false;
}

bool ctl_dispatch(Ctl *ctl, uint64_t usec, GError **error) {
    int r = pmemd_client_process(ctl->client);
    if (r == 0)
        r = pmemd_client_wait(ctl->client, usec);
    return ctl_check(ctl, r, error);
}

/* Takes the list. */
static GPtrArray *array_from(void **list, size_t n, GDestroyNotify free_func) {
    GPtrArray *array = g_ptr_array_new_full((guint) n, free_func);

    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(array, list[i]);
    free(list);
    return array;
}

GPtrArray *ctl_list_raw(Ctl *ctl, GError **error) {
    PmemdRaw **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_raw(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_raw_free);
}

GPtrArray *ctl_list_mgmt(Ctl *ctl, GError **error) {
    PmemdMgmt **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_mgmt(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_mgmt_free);
}

GPtrArray *ctl_list_data(Ctl *ctl, GError **error) {
    PmemdData **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_data(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_data_free);
}

GPtrArray *ctl_list_foreign(Ctl *ctl, GError **error) {
    PmemdForeign **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_foreign(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_foreign_free);
}

GPtrArray *ctl_list_cookies(Ctl *ctl, const GPtrArray *raws, GError **error) {
    g_autoptr(GPtrArray) cookies = g_ptr_array_new_with_free_func(g_free);
    uint64_t frames[PMEMD_LOCATE_MAX];

    for (guint at = 0; at < raws->len; at += PMEMD_LOCATE_MAX) {
        guint end = MIN(at + PMEMD_LOCATE_MAX, raws->len);
        PmemdLocation **list = NULL;

        for (guint i = at; i < end; i++) {
            const PmemdRaw *raw = raws->pdata[i];

            if (raw->frames.end == 0) {
                g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                                    "pmemd tells frames to root alone, and without them nothing can be put back into "
                                    "its place: run this as root");
                return NULL;
            }
            frames[i - at] = raw->frames.start;
        }
        if (!ctl_check(ctl, pmemd_client_locate_list(ctl->client, frames, end - at, &list, NULL), error))
            return NULL;
        for (guint i = at; i < end; i++) {
            const PmemdRaw *raw = raws->pdata[i];
            /* Where raw regions overlap, the frame is another one's. */
            const PmemdLocation *location = list[i - at];
            bool own = strcmp(location->raw, raw->id) == 0;
            g_ptr_array_add(cookies, g_strdup(own ? location->raw_cookie : ""));
        }
        pmemd_location_list_free(list);
    }
    return g_steal_pointer(&cookies);
}

GPtrArray *ctl_list_leases(Ctl *ctl, GError **error) {
    PmemdLease **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_leases(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_lease_free);
}

GPtrArray *ctl_list_libvirt_pools(Ctl *ctl, GError **error) {
    PmemdLibvirtPool **list = NULL;
    size_t n = 0;

    if (!ctl_check(ctl, pmemd_client_list_libvirt_pools(ctl->client, &list, &n), error))
        return NULL;
    return array_from((void **) list, n, (GDestroyNotify) pmemd_libvirt_pool_free);
}
