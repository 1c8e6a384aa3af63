/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/label-area.h"

#include "daemon/journal-bytes.h"
#include "proto/error.h"

#include <string.h>

#define SIGNATURE "NAMESPACE_INDEX" /* and its NUL */
#define INDEX_HEAD 72u              /* bytes of an index block before its bitmap of free slots */
#define LABEL_1_1 128u
#define LABEL_1_2 256u

/* Offsets in an index block. */
enum {
    AT_LABEL_SIZE = 19,
    AT_SEQUENCE = 20,
    AT_MY_OFFSET = 24,
    AT_MY_SIZE = 32,
    AT_OTHER_OFFSET = 40,
    AT_LABELS_OFFSET = 48,
    AT_N_SLOTS = 56,
    AT_MAJOR = 60,
    AT_MINOR = 62,
    AT_CHECKSUM = 64,
};

/* Offsets in a label. */
enum {
    AT_UUID = 0,
    AT_NAME = 16,
    AT_FLAGS = 80,
    AT_N_POSITIONS = 84,
    AT_POSITION = 86,
    AT_COOKIE = 88,
    AT_LBA_SIZE = 96,
    AT_START = 104,
    AT_SIZE = 112,
    AT_SLOT = 120,
    AT_KINDS = 128,
    AT_LABEL_CHECKSUM = 248,
};

/* Fletcher's checksum over little-endian words of 32 bits; the 8 bytes at `hole` count as zeros. */
static uint64_t fletcher64(const uint8_t *bytes, size_t len, size_t hole) {
    uint32_t low = 0;
    uint64_t high = 0;

    for (size_t i = 0; i < len; i += 4) {
        if (i < hole || i >= hole + 8)
            low += get_le32(bytes + i);
        high += low;
    }
    return high << 32 | low;
}

static size_t index_bytes(size_t n_slots) {
    return (INDEX_HEAD + (n_slots + 7) / 8 + 255) / 256 * 256;
}

/* As the kernel lays an area out: 0 when it is too small for two labels. */
static size_t index_size_of(size_t size, size_t label_size) {
    size_t index = index_bytes(size / label_size);

    if (size < 2 * index)
        return 0;
    size_t n_slots = (size - 2 * index) / label_size;
    if (n_slots < 2 || 2 * index_bytes(n_slots) > size - n_slots * label_size)
        return 0;
    return index_bytes(n_slots);
}

static size_t label_bytes(const uint8_t *index) {
    return get_le16(index + AT_MINOR) >= 2 ? (size_t) 128 << MIN(index[AT_LABEL_SIZE], 8) : LABEL_1_1;
}

/* NULL: it is valid. */
static const char *index_fault(const uint8_t *bytes, size_t size, unsigned number, size_t label_size,
                               size_t index_size) {
    const uint8_t *index = bytes + number * index_size;

    if (memcmp(index, SIGNATURE, sizeof SIGNATURE) != 0)
        return "no signature";
    if (get_le16(index + AT_MAJOR) != 1)
        return "of another format than 1.1 or 1.2";
    if (label_bytes(index) != label_size)
        return "made for labels of another size";
    if (get_le64(index + AT_CHECKSUM) != fletcher64(index, index_size, AT_CHECKSUM))
        return "bad checksum";
    if ((get_le32(index + AT_SEQUENCE) & 3) == 0)
        return "sequence number 0";
    if (get_le64(index + AT_MY_OFFSET) != number * index_size ||
        get_le64(index + AT_OTHER_OFFSET) != (1 - number) * index_size ||
        get_le64(index + AT_LABELS_OFFSET) != 2 * index_size)
        return "its offsets are not those of an area of this size";
    if (get_le64(index + AT_MY_SIZE) > index_size || get_le64(index + AT_MY_SIZE) < INDEX_HEAD)
        return "its size is not that of an area of this size";

    uint64_t n_slots = get_le32(index + AT_N_SLOTS);
    if (n_slots * label_size + 2 * index_size > size || INDEX_HEAD + (n_slots + 7) / 8 > index_size)
        return "more slots than the area has room for";
    return NULL;
}

static uint32_t next_sequence(uint32_t sequence) {
    return sequence % 3 + 1; /* 1, 2, 3, 1, ...: none is before all others */
}

/* Which of two valid ones is the newer. */
static unsigned newer(uint32_t first, uint32_t second) {
    return first == second || next_sequence(first) == second;
}

size_t label_area_head(size_t size) {
    return MIN(size, 2 * MAX(index_size_of(size, LABEL_1_1), index_size_of(size, LABEL_1_2)));
}

bool label_area_open(const uint8_t *bytes, size_t size, LabelArea *ret_area, GError **error) {
    static const size_t label_sizes[] = { LABEL_1_1, LABEL_1_2 };
    const char *faults[2] = { "the area is too small", "the area is too small" };

    for (size_t i = 0; i < G_N_ELEMENTS(label_sizes); i++) {
        LabelArea area = { .bytes = bytes, .size = size, .label_size = label_sizes[i] };
        uint32_t sequences[2];

        area.index_size = size <= LABEL_AREA_MAX ? index_size_of(size, area.label_size) : 0;
        if (area.index_size == 0)
            continue;
        for (unsigned number = 0; number < 2; number++) {
            const char *fault = index_fault(bytes, size, number, area.label_size, area.index_size);

            area.valid[number] = !fault;
            sequences[number] = get_le32(bytes + number * area.index_size + AT_SEQUENCE) & 3;
            faults[number] = fault;
        }
        if (!area.valid[0] && !area.valid[1])
            continue;
        area.current = area.valid[0] && area.valid[1] ? newer(sequences[0], sequences[1]) : area.valid[1];
        area.sequence = sequences[area.current];
        area.minor = area.label_size == LABEL_1_1 ? 1 : 2;
        area.n_slots = get_le32(bytes + area.current * area.index_size + AT_N_SLOTS);
        *ret_area = area;
        return true;
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT,
                "none of the two index blocks of its label area of %zu bytes is valid: the first: %s; the second: %s",
                size, faults[0], faults[1]);
    return false;
}

size_t label_area_slot_offset(const LabelArea *area, uint32_t slot) {
    return 2 * area->index_size + slot * area->label_size;
}

static const uint8_t *current_index(const LabelArea *area) {
    return area->bytes + area->current * area->index_size;
}

bool label_area_in_use(const LabelArea *area, uint32_t slot) {
    return slot < area->n_slots && !(current_index(area)[INDEX_HEAD + slot / 8] & 1u << slot % 8);
}

bool label_area_has_uuid(const LabelArea *area, uint32_t slot, sd_id128_t uuid) {
    return memcmp(area->bytes + label_area_slot_offset(area, slot) + AT_UUID, uuid.bytes, sizeof uuid.bytes) == 0;
}

static bool is_blank(const uint8_t *bytes, size_t len) {
    for (size_t i = 1; i < len; i++)
        if (bytes[i] != bytes[0])
            return false;
    return bytes[0] == 0 || bytes[0] == 0xff;
}

LabelVerdict label_area_decode(const LabelArea *area, uint32_t slot, Label *ret_label) {
    const uint8_t *at = area->bytes + label_area_slot_offset(area, slot);
    Label label = { .slot = slot };

    if (is_blank(at, area->label_size))
        return LABEL_EMPTY;
    memcpy(label.uuid.bytes, at + AT_UUID, sizeof label.uuid.bytes);
    memcpy(label.name, at + AT_NAME, LABEL_NAME_MAX);
    label.flags = get_le32(at + AT_FLAGS);
    label.n_positions = get_le16(at + AT_N_POSITIONS);
    label.position = get_le16(at + AT_POSITION);
    label.cookie = get_le64(at + AT_COOKIE);
    label.lba_size = get_le64(at + AT_LBA_SIZE);
    label.start = get_le64(at + AT_START);
    label.size = get_le64(at + AT_SIZE);
    if (area->label_size == LABEL_1_2)
        memcpy(label.kinds, at + AT_KINDS, sizeof label.kinds);
    *ret_label = label;
    if (get_le32(at + AT_SLOT) != slot)
        return LABEL_WRONG_SLOT;
    if (area->label_size == LABEL_1_2 &&
        get_le64(at + AT_LABEL_CHECKSUM) != fletcher64(at, area->label_size, AT_LABEL_CHECKSUM))
        return LABEL_BAD_CHECKSUM;
    return LABEL_OK;
}

uint8_t *label_area_next_index(const LabelArea *area, const LabelChange *changes, size_t n_changes,
                               size_t *ret_offset) {
    uint8_t *index = g_memdup2(current_index(area), area->index_size);
    unsigned other = 1 - area->current;

    for (size_t i = 0; i < n_changes; i++) {
        uint8_t *byte = index + INDEX_HEAD + changes[i].slot / 8, bit = (uint8_t) (1u << changes[i].slot % 8);

        g_assert(changes[i].slot < area->n_slots);
        *byte = (uint8_t) (changes[i].use ? *byte & ~bit : *byte | bit);
    }
    put_le32(index + AT_SEQUENCE, next_sequence(area->sequence));
    put_le64(index + AT_MY_OFFSET, other * area->index_size);
    put_le64(index + AT_OTHER_OFFSET, area->current * area->index_size);
    put_le64(index + AT_CHECKSUM, fletcher64(index, area->index_size, AT_CHECKSUM));
    *ret_offset = other * area->index_size;
    return index;
}
