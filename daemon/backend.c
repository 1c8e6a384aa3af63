/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend.h"

#include "daemon/frame-set.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const role_names[] = { "mgmt", "data", "filler" };
G_STATIC_ASSERT(G_N_ELEMENTS(role_names) == BACKEND_ROLE_NONE);

#define TAG_PREFIX "pmemd:"

uint32_t backend_tag_number(sd_id128_t uuid) {
    return (uint32_t) uuid.bytes[0] << 24 | (uint32_t) uuid.bytes[1] << 16 | (uint32_t) uuid.bytes[2] << 8 |
           uuid.bytes[3];
}

char *backend_tag_format_number(BackendRole role, uint32_t pool, sd_id128_t device, char buf[static BACKEND_TAG_MAX]) {
    g_assert(role < BACKEND_ROLE_NONE);
    snprintf(buf, BACKEND_TAG_MAX, TAG_PREFIX "%s:%08x:%08x", role_names[role], pool, backend_tag_number(device));
    return buf;
}

char *backend_tag_format(BackendRole role, sd_id128_t pool, sd_id128_t device, char buf[static BACKEND_TAG_MAX]) {
    return backend_tag_format_number(role, backend_tag_number(pool), device, buf);
}

/* sd_id128_randomize() sets version 4 and the variant that goes with both. */
bool backend_uuid_new(BackendRole role, sd_id128_t *ret_uuid) {
    sd_id128_t uuid;

    if (sd_id128_randomize(&uuid) < 0)
        return false;
    if (role == BACKEND_ROLE_MGMT)
        uuid.bytes[6] = (uint8_t) ((uuid.bytes[6] & 0x0f) | 0x80);
    *ret_uuid = uuid;
    return true;
}

bool backend_uuid_may_be_mgmt(sd_id128_t uuid) {
    return uuid.bytes[6] >> 4 == 8;
}

/* Exactly eight lower-case hex digits: sscanf() would also take blanks, signs and prefixes. */
static bool tag_number_parse(const char *s, uint32_t *ret_number) {
    uint32_t number = 0;

    for (int i = 0; i < 8; i++) {
        if (!g_ascii_isxdigit(s[i]) || g_ascii_isupper(s[i]))
            return false;
        number = number << 4 | (uint32_t) g_ascii_xdigit_value(s[i]);
    }
    *ret_number = number;
    return true;
}

BackendRole backend_tag_parse(const char *tag, uint32_t *ret_pool, uint32_t *ret_id) {
    if (!tag || !g_str_has_prefix(tag, TAG_PREFIX))
        return BACKEND_ROLE_NONE;
    tag += strlen(TAG_PREFIX);

    for (int role = 0; role < BACKEND_ROLE_NONE; role++) {
        size_t len = strlen(role_names[role]);
        uint32_t pool, id;

        if (strncmp(tag, role_names[role], len) != 0 || tag[len] != ':')
            continue;
        tag += len + 1;
        if (strlen(tag) != 17 || tag[8] != ':' || !tag_number_parse(tag, &pool) || !tag_number_parse(tag + 9, &id))
            return BACKEND_ROLE_NONE;
        if (ret_pool)
            *ret_pool = pool;
        if (ret_id)
            *ret_id = id;
        return (BackendRole) role;
    }
    return BACKEND_ROLE_NONE;
}

void backend_raw_free(BackendRaw *raw) {
    if (!raw)
        return;
    g_free(raw->id);
    g_free(raw->persistence);
    g_free(raw->unusable);
    g_strfreev(raw->dimms);
    g_clear_pointer(&raw->bad, g_array_unref);
    g_clear_pointer(&raw->health, g_ptr_array_unref);
    g_free(raw);
}

BackendRaw *backend_raw_copy(const BackendRaw *raw) {
    BackendRaw *copy = g_memdup2(raw, sizeof *raw);

    copy->id = g_strdup(raw->id);
    copy->persistence = g_strdup(raw->persistence);
    copy->unusable = g_strdup(raw->unusable);
    copy->dimms = g_strdupv(raw->dimms);
    copy->bad = frame_set_cut(raw->bad, (FrameRange){ 0, UINT64_MAX });
    copy->health = dimm_healths_copy(raw->health);
    return copy;
}

void backend_device_free(BackendDevice *device) {
    if (!device)
        return;
    g_free(device->name);
    g_free(device->raw_id);
    g_free(device->tag);
    g_free(device->mode);
    g_free(device->path);
    g_free(device);
}

BackendListing *backend_listing_new(void) {
    BackendListing *listing = g_new0(BackendListing, 1);

    listing->raws = g_ptr_array_new_with_free_func((GDestroyNotify) backend_raw_free);
    listing->devices = g_ptr_array_new_with_free_func((GDestroyNotify) backend_device_free);
    return listing;
}

void backend_listing_free(BackendListing *listing) {
    if (!listing)
        return;
    g_clear_pointer(&listing->raws, g_ptr_array_unref);
    g_clear_pointer(&listing->devices, g_ptr_array_unref);
    g_free(listing);
}

void backend_loan_free(BackendLoan *loan) {
    if (!loan)
        return;
    if (loan->fd >= 0)
        close(loan->fd);
    g_free(loan->path);
    g_free(loan);
}
