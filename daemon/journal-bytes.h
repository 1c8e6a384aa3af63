/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Little-endian numbers at any address, for the files that write or read the journal's format. Pure.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-id128.h>

static inline void put_le16(uint8_t *p, uint16_t v) {
    v = GUINT16_TO_LE(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_le32(uint8_t *p, uint32_t v) {
    v = GUINT32_TO_LE(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_le64(uint8_t *p, uint64_t v) {
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_uuid(uint8_t *p, sd_id128_t uuid) {
    memcpy(p, uuid.bytes, sizeof uuid.bytes);
}

static inline uint16_t get_le16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return GUINT16_FROM_LE(v);
}

static inline uint32_t get_le32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return GUINT32_FROM_LE(v);
}

static inline uint64_t get_le64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_LE(v);
}

static inline sd_id128_t get_uuid(const uint8_t *p) {
    sd_id128_t uuid = SD_ID128_NULL;
    memcpy(uuid.bytes, p, sizeof uuid.bytes);
    return uuid;
}

static inline bool bytes_are_zero(const uint8_t *p, size_t len) {
    for (; len >= 8; p += 8, len -= 8)
        if (get_le64(p) != 0)
            return false;
    for (; len > 0; p++, len--)
        if (*p != 0)
            return false;
    return true;
}
