/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/crc32c.h"

#include <glib.h>
#include <string.h>

/*
 * The checksum of a byte is linear in its bits: 8 values a slice give all 256 entries, so the tables are expanded by
 * the preprocessor from 64 numbers. Slice k is the checksum of a byte with k zero bytes after it.
 */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                                       \
    ((((i) &1) ? (b0) : 0u) ^ (((i) &2) ? (b1) : 0u) ^ (((i) &4) ? (b2) : 0u) ^ (((i) &8) ? (b3) : 0u) ^               \
     (((i) &16) ? (b4) : 0u) ^ (((i) &32) ? (b5) : 0u) ^ (((i) &64) ? (b6) : 0u) ^ (((i) &128) ? (b7) : 0u))
#define ENTRIES_4(i, ...)                                                                                              \
    ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                                             \
    ENTRIES_4(i, __VA_ARGS__), ENTRIES_4((i) + 4, __VA_ARGS__), ENTRIES_4((i) + 8, __VA_ARGS__),                       \
        ENTRIES_4((i) + 12, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                                                                             \
    ENTRIES_16(i, __VA_ARGS__), ENTRIES_16((i) + 16, __VA_ARGS__), ENTRIES_16((i) + 32, __VA_ARGS__),                  \
        ENTRIES_16((i) + 48, __VA_ARGS__)
#define SLICE(...)                                                                                                     \
    {                                                                                                                  \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__),                         \
            ENTRIES_64(192, __VA_ARGS__)                                                                               \
    }

static const uint32_t slices[8][256] = {
    SLICE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    SLICE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    SLICE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    SLICE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    SLICE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    SLICE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    SLICE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    SLICE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

static uint64_t load_le64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_LE(v);
}

uint32_t crc32c_portable(uint32_t crc, const void *buf, size_t len) {
    const uint8_t *p = buf;
    uint32_t c = ~crc;

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v = load_le64(p) ^ c;
        c = slices[7][v & 0xff] ^ slices[6][v >> 8 & 0xff] ^ slices[5][v >> 16 & 0xff] ^ slices[4][v >> 24 & 0xff] ^
            slices[3][v >> 32 & 0xff] ^ slices[2][v >> 40 & 0xff] ^ slices[1][v >> 48 & 0xff] ^ slices[0][v >> 56];
    }
    for (; len > 0; p++, len--)
        c = c >> 8 ^ slices[0][(c ^ *p) & 0xff];
    return ~c;
}

/* One of three: an instruction of x86-64, of arm64, or none. */
#if defined(__x86_64__)

#include <nmmintrin.h>

bool crc32c_is_accelerated(void) {
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *p, size_t len) {
    uint64_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8)
        c = _mm_crc32_u64(c, load_le64(p));

    uint32_t c32 = (uint32_t) c;
    for (; len > 0; p++, len--)
        c32 = _mm_crc32_u8(c32, *p);
    return ~c32;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#define HWCAP_BIT_CRC32 (1ul << 7)

bool crc32c_is_accelerated(void) {
    return getauxval(AT_HWCAP) & HWCAP_BIT_CRC32;
}

static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *p, size_t len) {
    uint32_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v = load_le64(p);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(c) : "r"(v));
    }
    for (; len > 0; p++, len--) {
        uint32_t v = *p;
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(c) : "r"(v));
    }
    return ~c;
}

#else

bool crc32c_is_accelerated(void) {
    return false;
}

static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *p, size_t len) {
    return crc32c_portable(crc, p, len);
}

#endif

uint32_t crc32c(uint32_t crc, const void *buf, size_t len) {
    return crc32c_is_accelerated() ? crc32c_instruction(crc, buf, len) : crc32c_portable(crc, buf, len);
}
