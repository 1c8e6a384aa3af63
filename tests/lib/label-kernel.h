/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The label areas of an interleave set, written in the order in which Linux writes them, until the power fails: each
 * slot and each index block is one write, and none happens once `writes_left` is 0. Written from the format alone and
 * sharing no code with the daemon's reader, for tests of it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KERNEL_DIMMS_MAX 4
#define KERNEL_AREA (8u << 10)
#define KERNEL_COOKIE UINT64_C(0x1122334455667788)
#define KERNEL_UPDATING 8u

typedef struct {
    unsigned n_dimms;
    unsigned minor;                   /* format 1.1 or 1.2 */
    unsigned order[KERNEL_DIMMS_MAX]; /* which position is written first, second, ... */
    uint8_t area[KERNEL_DIMMS_MAX][KERNEL_AREA];
    unsigned writes_left, writes_done; /* G_MAXUINT: all */
} LabelKernel;

static inline void lk_put(uint8_t *at, uint64_t value, unsigned len) {
    for (unsigned i = 0; i < len; i++)
        at[i] = (uint8_t) (value >> 8 * i);
}

static inline uint64_t lk_get(const uint8_t *at, unsigned len) {
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t) at[i] << 8 * i;
    return value;
}

static inline uint64_t lk_sum(const uint8_t *at, unsigned len) {
    uint32_t low = 0;
    uint64_t high = 0;

    for (unsigned i = 0; i < len; i += 4) {
        low += (uint32_t) lk_get(at + i, 4);
        high += low;
    }
    return high << 32 | low;
}

static inline unsigned lk_label_size(const LabelKernel *k) {
    return k->minor == 1 ? 128 : 256;
}

/* 8 KiB: an index block is 256 bytes, whichever the format. */
static inline unsigned lk_slots(const LabelKernel *k) {
    return (KERNEL_AREA - 512) / lk_label_size(k);
}

static inline bool lk_is_index(const LabelKernel *k, unsigned d, unsigned which) {
    uint8_t copy[256];

    memcpy(copy, k->area[d] + which * 256, 256);
    memset(copy + 64, 0, 8);
    return memcmp(copy, "NAMESPACE_INDEX", 16) == 0 && lk_sum(copy, 256) == lk_get(k->area[d] + which * 256 + 64, 8);
}

static inline unsigned lk_current(const LabelKernel *k, unsigned d) {
    uint64_t a = lk_get(k->area[d] + 20, 4), b = lk_get(k->area[d] + 256 + 20, 4);

    if (!lk_is_index(k, d, 0) || !lk_is_index(k, d, 1))
        return lk_is_index(k, d, 0) ? 0 : 1;
    return (a == 1 && b == 2) || (a == 2 && b == 3) || (a == 3 && b == 1) || a == b;
}

static inline bool lk_used(const LabelKernel *k, unsigned d, unsigned slot) {
    return !(k->area[d][lk_current(k, d) * 256 + 72 + slot / 8] >> slot % 8 & 1);
}

static inline uint8_t *lk_slot(LabelKernel *k, unsigned d, unsigned slot) {
    return k->area[d] + 512 + slot * lk_label_size(k);
}

/* false: the power has failed. */
static inline bool lk_write(LabelKernel *k, uint8_t *at, const uint8_t *bytes, unsigned len) {
    if (k->writes_left == 0)
        return false;
    if (k->writes_left != G_MAXUINT)
        k->writes_left--;
    k->writes_done++;
    memcpy(at, bytes, len);
    return true;
}

/* used: bit N is slot N. */
static inline bool lk_write_index(LabelKernel *k, unsigned d, uint64_t used, unsigned which, unsigned sequence) {
    uint8_t index[256] = "NAMESPACE_INDEX";

    index[19] = k->minor == 1 ? 0 : 1;
    lk_put(index + 20, sequence, 4);
    lk_put(index + 24, which * 256, 8);
    lk_put(index + 32, 256, 8);
    lk_put(index + 40, (1 - which) * 256, 8);
    lk_put(index + 48, 512, 8);
    lk_put(index + 56, lk_slots(k), 4);
    lk_put(index + 60, 1, 2);
    lk_put(index + 62, k->minor, 2);
    for (unsigned slot = 0; slot < lk_slots(k); slot++)
        if (!(used >> slot & 1))
            index[72 + slot / 8] |= (uint8_t) (1u << slot % 8);
    lk_put(index + 64, lk_sum(index, 256), 8);
    return lk_write(k, k->area[d] + which * 256, index, 256);
}

static inline uint64_t lk_used_mask(const LabelKernel *k, unsigned d) {
    uint64_t used = 0;

    for (unsigned slot = 0; slot < lk_slots(k); slot++)
        used |= (uint64_t) lk_used(k, d, slot) << slot;
    return used;
}

static inline bool lk_next_index(LabelKernel *k, unsigned d, uint64_t used) {
    static const unsigned next[] = { 0, 2, 3, 1 };
    unsigned current = lk_current(k, d);

    return lk_write_index(k, d, used, 1 - current, next[lk_get(k->area[d] + current * 256 + 20, 4) & 3]);
}

static inline void lk_init(LabelKernel *k, unsigned n_dimms, unsigned minor) {
    memset(k, 0, sizeof *k);
    k->n_dimms = n_dimms;
    k->minor = minor;
    k->writes_left = G_MAXUINT;
    for (unsigned d = 0; d < n_dimms; d++) {
        k->order[d] = d;
        lk_write_index(k, d, 0, 0, 1);
        lk_write_index(k, d, 0, 1, 2);
    }
}

static inline uint64_t lk_slots_of(LabelKernel *k, unsigned d, const uint8_t *uuid) {
    uint64_t slots = 0;

    for (unsigned slot = 0; slot < lk_slots(k); slot++)
        if (lk_used(k, d, slot) && memcmp(lk_slot(k, d, slot), uuid, 16) == 0)
            slots |= UINT64_C(1) << slot;
    return slots;
}

/* A new label in the first free slot, then an index with it and without the old one. */
static inline bool lk_update(LabelKernel *k, unsigned d, const uint8_t *uuid, const char *name, uint64_t start,
                             uint64_t size, unsigned flags) {
    uint64_t used = lk_used_mask(k, d), old = lk_slots_of(k, d, uuid);
    unsigned slot = 0, len = lk_label_size(k);
    uint8_t label[256] = { 0 };

    while (used >> slot & 1)
        slot++;
    g_assert_cmpuint(slot, <, lk_slots(k));
    memcpy(label, uuid, 16);
    memcpy(label + 16, name, MIN(strlen(name), 64));
    lk_put(label + 80, flags, 4);
    lk_put(label + 84, k->n_dimms, 2);
    lk_put(label + 86, d, 2);
    lk_put(label + 88, KERNEL_COOKIE, 8);
    lk_put(label + 104, start, 8);
    lk_put(label + 112, size, 8);
    lk_put(label + 120, slot, 4);
    if (len == 256) {
        memset(label + 128, 0xa5, 32);
        lk_put(label + 248, lk_sum(label, len), 8);
    }
    return lk_write(k, lk_slot(k, d, slot), label, len) && lk_next_index(k, d, (used | UINT64_C(1) << slot) & ~old);
}

/* false: cut off. */
static inline bool lk_create(LabelKernel *k, const uint8_t *uuid, const char *name, uint64_t start, uint64_t size) {
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < k->n_dimms; i++)
            if (!lk_update(k, k->order[i], uuid, name, start, size, pass == 0 ? KERNEL_UPDATING : 0))
                return false;
    return true;
}

static inline bool lk_destroy(LabelKernel *k, const uint8_t *uuid) {
    for (unsigned i = 0; i < k->n_dimms; i++)
        if (!lk_next_index(k, k->order[i], lk_used_mask(k, k->order[i]) & ~lk_slots_of(k, k->order[i], uuid)))
            return false;
    return true;
}
