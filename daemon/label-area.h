/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The label area of one DIMM, as bytes: two namespace index blocks, of which the newer valid one counts, and the slots
 * of labels behind them (UEFI 2.7, 13.19; label formats 1.1 and 1.2). It is read the way the kernel reads it, so that
 * both mean the same. Promises: no byte outside of the area is looked at, whatever the area says; nothing is written
 * but the caller's buffer. No I/O. Used by label-set and the backend's label I/O.
 */
#pragma once

#include "proto/types.h"

#include <glib.h>

#define LABEL_NAME_MAX 64
#define LABEL_FLAG_UPDATING UINT32_C(8) /* set while not all DIMMs of the set have the label; the kernel ignores it */
#define LABEL_AREA_MAX (UINT64_C(64) << 20)
#define LABEL_INDEX_MIN 256u /* bytes of an index block of the smallest area; of all others a multiple */

typedef struct {
    const uint8_t *bytes; /* the caller's */
    size_t size;
    uint16_t minor;    /* 1 or 2: format 1.1 or 1.2 */
    size_t label_size; /* bytes of a slot: 128 or 256 */
    size_t index_size; /* bytes of an index block */
    uint32_t n_slots;  /* as the current index block says */
    unsigned current;  /* which index block counts: 0 or 1 */
    bool valid[2];     /* index blocks; a torn write leaves one that is not */
    uint32_t sequence; /* of the current one: 1 to 3 */
} LabelArea;

typedef enum {
    LABEL_OK,
    LABEL_EMPTY,        /* never written, or cleared */
    LABEL_WRONG_SLOT,   /* it says that it belongs elsewhere */
    LABEL_BAD_CHECKSUM, /* format 1.1 has none */
} LabelVerdict;

typedef struct {
    sd_id128_t uuid;
    char name[LABEL_NAME_MAX + 1]; /* any bytes: not for people unescaped */
    uint32_t flags;
    uint16_t n_positions; /* DIMMs of the interleave set */
    uint16_t position;    /* of this DIMM in it */
    uint64_t cookie;      /* of the interleave set */
    uint64_t lba_size, start, size;
    uint32_t slot;
    uint8_t kinds[32]; /* type and abstraction guid; format 1.1: zeros */
} Label;

/* CORRUPT: none of its two index blocks can be used; the message says what is wrong with each. */
bool label_area_open(const uint8_t *bytes, size_t size, LabelArea *ret_area, GError **error);

/* How many bytes from the start of an area of so many bytes the index blocks take at most, to read them first. */
size_t label_area_head(size_t size);
/* Where a slot is. */
size_t label_area_slot_offset(const LabelArea *area, uint32_t slot);

bool label_area_in_use(const LabelArea *area, uint32_t slot);
/* A quick look before label_area_decode(). */
bool label_area_has_uuid(const LabelArea *area, uint32_t slot, sd_id128_t uuid);
/* Of a slot in use or free; ret_label is filled as far as it can be read, unless EMPTY. slot < n_slots. */
LabelVerdict label_area_decode(const LabelArea *area, uint32_t slot, Label *ret_label);

/* What a repair does to one slot. */
typedef struct {
    uint32_t slot;
    bool use;
} LabelChange;

/*
 * The other index block, as it has to be written for the changes to count: a copy of the current one with other bits,
 * the next sequence number, offsets swapped and a checksum. Written in part it is not valid, and the current one counts
 * on. Returns area->index_size bytes, whose place in the area is *ret_offset.
 */
uint8_t *label_area_next_index(const LabelArea *area, const LabelChange *changes, size_t n_changes, size_t *ret_offset);
