/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* The payloads of journal-format.h, one encoder and one decoder a record type. */
#include "daemon/journal-format.h"

#include "daemon/journal-bytes.h"

enum {
    REGION_NAME_LEN = 120,
    REGION_USER_LEN = 121,
    ADOPT_TAG_POOL = 124,
    REGION_TEXT = 128,
    NAME_LEN = 16,
    NAME_TEXT = 24,
    OWNER_USER_LEN = 20,
    OWNER_TEXT = 24,
    OPEN_VERSION = 48,
    REF_BYTES = 16,
    DELETE_BYTES = 56,
    COMMIT_BYTES = 24,
    ABORT_BYTES = 16,
    OPEN_BYTES = 80,
    REQUEST_BYTES = 56,
    LEASE_OWNER_LEN = 56,
    LEASE_USER_LEN = 57,
    LEASE_SENDER_LEN = 58,
    LEASE_TEXT = 64,
    UNLEASE_BYTES = 32,
    BAD_CLEARED = 16,
    BAD_MORE = 17,
    BAD_N = 18,
    BAD_EXTENTS = 24,
};
G_STATIC_ASSERT(BAD_EXTENTS + JF_BAD_EXTENTS_MAX * 16 <= JF_PAYLOAD_MAX);
/* One region and its names fit in what the layout reserves for it. */
G_STATIC_ASSERT(JF_RECORD_MIN + (REGION_TEXT + PMEMD_NAME_MAX + PMEMD_USER_MAX + 7) / 8 * 8 <= 256);
G_STATIC_ASSERT(OPEN_VERSION + sizeof(((JfOpen *) NULL)->version) == OPEN_BYTES);

static size_t round_up_8(size_t n) {
    return (n + 7) / 8 * 8;
}

static bool is_control(uint8_t c) {
    return c < 0x20 || c == 0x7f;
}

/* Writes what can be read back; returns the bytes written (no terminator). */
static size_t put_text(uint8_t *to, const char *text, size_t max) {
    size_t len = strnlen(text, max);
    for (size_t i = 0; i < len; i++)
        to[i] = is_control((uint8_t) text[i]) ? '?' : (uint8_t) text[i];
    return len;
}

/* Reads len bytes of text without control characters into to, which has room for len + 1. */
static bool get_text(const uint8_t *from, size_t len, char *to) {
    for (size_t i = 0; i < len; i++)
        if (is_control(from[i]))
            return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

static size_t put_name(uint8_t *to, const char *name) {
    g_assert(name[0] == '\0' || pmemd_name_is_valid(name));
    return put_text(to, name, PMEMD_NAME_MAX);
}

static bool get_name(const uint8_t *from, size_t len, char *to) {
    return get_text(from, len, to) && (len == 0 || pmemd_name_is_valid(to));
}

size_t jf_region_payload_len(size_t name_len, size_t user_len) {
    return round_up_8(REGION_TEXT + MIN(name_len, PMEMD_NAME_MAX) + MIN(user_len, PMEMD_USER_MAX));
}

size_t jf_region_encode(const JfRegion *r, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert((r->flags & ~JF_REGION_FLAGS_KNOWN) == 0);

    memset(buf, 0, REGION_TEXT + PMEMD_NAME_MAX + PMEMD_USER_MAX + 8);
    put_uuid(buf, r->region_uuid);
    put_uuid(buf + 16, r->device_uuid);
    put_le64(buf + 32, r->range.start);
    put_le64(buf + 40, r->range.end);
    put_le64(buf + 48, r->device_start);
    put_le64(buf + 56, r->extent.start);
    put_le64(buf + 64, r->extent.end);
    put_le32(buf + 72, r->owner_uid);
    put_le32(buf + 76, r->flags);
    put_uuid(buf + 80, r->request_id);
    put_le64(buf + 96, r->request_hash);
    put_le32(buf + 104, r->request_uid);
    put_le32(buf + 108, r->request_method);
    put_le64(buf + 112, r->time);
    size_t name_len = put_name(buf + REGION_TEXT, r->name);
    size_t user_len = put_text(buf + REGION_TEXT + name_len, r->user, PMEMD_USER_MAX);
    buf[REGION_NAME_LEN] = (uint8_t) name_len;
    buf[REGION_USER_LEN] = (uint8_t) user_len;
    return jf_region_payload_len(name_len, user_len);
}

bool jf_region_decode(const uint8_t *buf, size_t len, JfRegion *ret_r) {
    if (len < REGION_TEXT)
        return false;
    size_t name_len = buf[REGION_NAME_LEN], user_len = buf[REGION_USER_LEN];
    size_t used = REGION_TEXT + name_len + user_len;
    if (name_len > PMEMD_NAME_MAX || user_len > PMEMD_USER_MAX || len != round_up_8(used) ||
        !bytes_are_zero(buf + REGION_USER_LEN + 1, REGION_TEXT - REGION_USER_LEN - 1) ||
        !bytes_are_zero(buf + used, len - used))
        return false;

    JfRegion r = {
        .region_uuid = get_uuid(buf),
        .device_uuid = get_uuid(buf + 16),
        .range = { get_le64(buf + 32), get_le64(buf + 40) },
        .device_start = get_le64(buf + 48),
        .extent = { get_le64(buf + 56), get_le64(buf + 64) },
        .owner_uid = get_le32(buf + 72),
        .flags = get_le32(buf + 76),
        .request_id = get_uuid(buf + 80),
        .request_hash = get_le64(buf + 96),
        .request_uid = get_le32(buf + 104),
        .request_method = get_le32(buf + 108),
        .time = get_le64(buf + 112),
    };
    if ((r.flags & ~JF_REGION_FLAGS_KNOWN) != 0 || !get_name(buf + REGION_TEXT, name_len, r.name) ||
        !get_text(buf + REGION_TEXT + name_len, user_len, r.user))
        return false;
    *ret_r = r;
    return true;
}

/* A region's, with the number where its payload has zeros. */
size_t jf_adopt_encode(const JfAdopt *a, uint8_t buf[static JF_PAYLOAD_MAX]) {
    size_t len = jf_region_encode(&a->region, buf);

    put_le32(buf + ADOPT_TAG_POOL, a->tag_pool);
    return len;
}

bool jf_adopt_decode(const uint8_t *buf, size_t len, JfAdopt *ret_a) {
    uint8_t region[JF_PAYLOAD_MAX];
    JfAdopt a;

    if (len < REGION_TEXT || len > sizeof region)
        return false;
    memcpy(region, buf, len);
    put_le32(region + ADOPT_TAG_POOL, 0);
    if (!jf_region_decode(region, len, &a.region))
        return false;
    a.tag_pool = get_le32(buf + ADOPT_TAG_POOL);
    *ret_a = a;
    return true;
}

size_t jf_ref_encode(const JfRef *r, uint8_t buf[static JF_PAYLOAD_MAX]) {
    put_uuid(buf, r->uuid);
    return REF_BYTES;
}

bool jf_ref_decode(const uint8_t *buf, size_t len, JfRef *ret_r) {
    if (len != REF_BYTES)
        return false;
    ret_r->uuid = get_uuid(buf);
    return true;
}

size_t jf_delete_encode(const JfDelete *d, uint8_t buf[static JF_PAYLOAD_MAX]) {
    put_uuid(buf, d->region_uuid);
    put_uuid(buf + 16, d->request_id);
    put_le64(buf + 32, d->request_hash);
    put_le32(buf + 40, d->request_uid);
    put_le32(buf + 44, d->request_method);
    put_le64(buf + 48, d->time);
    return DELETE_BYTES;
}

bool jf_delete_decode(const uint8_t *buf, size_t len, JfDelete *ret_d) {
    if (len != DELETE_BYTES)
        return false;
    *ret_d = (JfDelete){
        .region_uuid = get_uuid(buf),
        .request_id = get_uuid(buf + 16),
        .request_hash = get_le64(buf + 32),
        .request_uid = get_le32(buf + 40),
        .request_method = get_le32(buf + 44),
        .time = get_le64(buf + 48),
    };
    return true;
}

size_t jf_commit_encode(const JfCommit *c, uint8_t buf[static JF_PAYLOAD_MAX]) {
    put_le64(buf, c->device.start);
    put_le64(buf + 8, c->device.end);
    put_le64(buf + 16, c->time);
    return COMMIT_BYTES;
}

bool jf_commit_decode(const uint8_t *buf, size_t len, JfCommit *ret_c) {
    if (len != COMMIT_BYTES)
        return false;
    *ret_c = (JfCommit){ .device = { get_le64(buf), get_le64(buf + 8) }, .time = get_le64(buf + 16) };
    return true;
}

size_t jf_abort_encode(const JfAbort *a, uint8_t buf[static JF_PAYLOAD_MAX]) {
    put_le32(buf, a->reason);
    put_le32(buf + 4, 0);
    put_le64(buf + 8, a->time);
    return ABORT_BYTES;
}

bool jf_abort_decode(const uint8_t *buf, size_t len, JfAbort *ret_a) {
    if (len != ABORT_BYTES || get_le32(buf + 4) != 0)
        return false;
    *ret_a = (JfAbort){ .reason = get_le32(buf), .time = get_le64(buf + 8) };
    return true;
}

size_t jf_open_encode(const JfOpen *o, uint8_t buf[static JF_PAYLOAD_MAX]) {
    memset(buf, 0, OPEN_BYTES);
    put_uuid(buf, o->boot_id);
    put_uuid(buf + 16, o->machine_id);
    put_le64(buf + 32, o->unsafe_shutdowns);
    put_le64(buf + 40, o->time);
    put_text(buf + OPEN_VERSION, o->version, sizeof o->version - 1);
    return OPEN_BYTES;
}

bool jf_open_decode(const uint8_t *buf, size_t len, JfOpen *ret_o) {
    if (len != OPEN_BYTES)
        return false;
    JfOpen o = {
        .boot_id = get_uuid(buf),
        .machine_id = get_uuid(buf + 16),
        .unsafe_shutdowns = get_le64(buf + 32),
        .time = get_le64(buf + 40),
    };
    const uint8_t *text = buf + OPEN_VERSION;
    size_t text_len = strnlen((const char *) text, sizeof o.version);
    if (text_len == sizeof o.version || !bytes_are_zero(text + text_len, sizeof o.version - text_len) ||
        !get_text(text, text_len, o.version))
        return false;
    *ret_o = o;
    return true;
}

size_t jf_name_encode(const JfName *n, uint8_t buf[static JF_PAYLOAD_MAX]) {
    memset(buf, 0, NAME_TEXT + PMEMD_NAME_MAX + 8);
    put_uuid(buf, n->uuid);
    size_t name_len = put_name(buf + NAME_TEXT, n->name);
    buf[NAME_LEN] = (uint8_t) name_len;
    return round_up_8(NAME_TEXT + name_len);
}

bool jf_name_decode(const uint8_t *buf, size_t len, JfName *ret_n) {
    if (len < NAME_TEXT)
        return false;
    size_t name_len = buf[NAME_LEN], used = NAME_TEXT + name_len;
    if (name_len > PMEMD_NAME_MAX || len != round_up_8(used) ||
        !bytes_are_zero(buf + NAME_LEN + 1, NAME_TEXT - NAME_LEN - 1) || !bytes_are_zero(buf + used, len - used))
        return false;

    JfName n = { .uuid = get_uuid(buf) };
    if (!get_name(buf + NAME_TEXT, name_len, n.name))
        return false;
    *ret_n = n;
    return true;
}

size_t jf_owner_encode(const JfOwner *o, uint8_t buf[static JF_PAYLOAD_MAX]) {
    memset(buf, 0, OWNER_TEXT + PMEMD_USER_MAX + 8);
    put_uuid(buf, o->uuid);
    put_le32(buf + 16, o->uid);
    size_t user_len = put_text(buf + OWNER_TEXT, o->user, PMEMD_USER_MAX);
    buf[OWNER_USER_LEN] = (uint8_t) user_len;
    return round_up_8(OWNER_TEXT + user_len);
}

bool jf_owner_decode(const uint8_t *buf, size_t len, JfOwner *ret_o) {
    if (len < OWNER_TEXT)
        return false;
    size_t user_len = buf[OWNER_USER_LEN], used = OWNER_TEXT + user_len;
    if (user_len > PMEMD_USER_MAX || len != round_up_8(used) ||
        !bytes_are_zero(buf + OWNER_USER_LEN + 1, OWNER_TEXT - OWNER_USER_LEN - 1) ||
        !bytes_are_zero(buf + used, len - used))
        return false;

    JfOwner o = { .uuid = get_uuid(buf), .uid = get_le32(buf + 16) };
    if (!get_text(buf + OWNER_TEXT, user_len, o.user))
        return false;
    *ret_o = o;
    return true;
}

size_t jf_request_encode(const JfRequest *r, uint8_t buf[static JF_PAYLOAD_MAX]) {
    put_uuid(buf, r->request_id);
    put_le64(buf + 16, r->request_hash);
    put_le32(buf + 24, r->request_uid);
    put_le32(buf + 28, r->request_method);
    put_uuid(buf + 32, r->result);
    put_le64(buf + 48, r->time);
    return REQUEST_BYTES;
}

bool jf_request_decode(const uint8_t *buf, size_t len, JfRequest *ret_r) {
    if (len != REQUEST_BYTES)
        return false;
    *ret_r = (JfRequest){
        .request_id = get_uuid(buf),
        .request_hash = get_le64(buf + 16),
        .request_uid = get_le32(buf + 24),
        .request_method = get_le32(buf + 28),
        .result = get_uuid(buf + 32),
        .time = get_le64(buf + 48),
    };
    return true;
}

size_t jf_lease_payload_len(size_t owner_len, size_t user_len, size_t sender_len) {
    return round_up_8(LEASE_TEXT + MIN(owner_len, PMEMD_LEASE_OWNER_MAX) + MIN(user_len, PMEMD_USER_MAX) +
                      MIN(sender_len, JF_SENDER_MAX));
}

size_t jf_lease_encode(const JfLease *l, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert((l->flags & ~JF_LEASE_FLAGS_KNOWN) == 0 && pmemd_lease_owner_is_valid(l->owner));

    memset(buf, 0, LEASE_TEXT + PMEMD_LEASE_OWNER_MAX + PMEMD_USER_MAX + JF_SENDER_MAX + 8);
    put_uuid(buf, l->region_uuid);
    put_le64(buf + 16, l->guest_frame);
    put_le64(buf + 24, l->since);
    put_uuid(buf + 32, l->bus_id);
    put_le32(buf + 48, l->uid);
    put_le32(buf + 52, l->flags);
    size_t owner_len = put_text(buf + LEASE_TEXT, l->owner, PMEMD_LEASE_OWNER_MAX);
    size_t user_len = put_text(buf + LEASE_TEXT + owner_len, l->user, PMEMD_USER_MAX);
    size_t sender_len = put_text(buf + LEASE_TEXT + owner_len + user_len, l->sender, JF_SENDER_MAX);
    buf[LEASE_OWNER_LEN] = (uint8_t) owner_len;
    buf[LEASE_USER_LEN] = (uint8_t) user_len;
    buf[LEASE_SENDER_LEN] = (uint8_t) sender_len;
    return jf_lease_payload_len(owner_len, user_len, sender_len);
}

/* What only one that ends with its connection has, and no other. */
static bool lease_is_consistent(const JfLease *l) {
    bool disconnect = (l->flags & JF_LEASE_DISCONNECT) != 0;

    return (l->flags & ~JF_LEASE_FLAGS_KNOWN) == 0 && disconnect == (l->sender[0] != '\0') &&
           disconnect == !sd_id128_is_null(l->bus_id) && !(disconnect && (l->flags & JF_LEASE_ENDED));
}

bool jf_lease_decode(const uint8_t *buf, size_t len, JfLease *ret_l) {
    if (len < LEASE_TEXT)
        return false;
    size_t owner_len = buf[LEASE_OWNER_LEN], user_len = buf[LEASE_USER_LEN], sender_len = buf[LEASE_SENDER_LEN];
    size_t used = LEASE_TEXT + owner_len + user_len + sender_len;
    if (owner_len > PMEMD_LEASE_OWNER_MAX || user_len > PMEMD_USER_MAX || sender_len > JF_SENDER_MAX ||
        len != round_up_8(used) || !bytes_are_zero(buf + LEASE_SENDER_LEN + 1, LEASE_TEXT - LEASE_SENDER_LEN - 1) ||
        !bytes_are_zero(buf + used, len - used))
        return false;

    JfLease l = {
        .region_uuid = get_uuid(buf),
        .guest_frame = get_le64(buf + 16),
        .since = get_le64(buf + 24),
        .bus_id = get_uuid(buf + 32),
        .uid = get_le32(buf + 48),
        .flags = get_le32(buf + 52),
    };
    if (!get_text(buf + LEASE_TEXT, owner_len, l.owner) || !pmemd_lease_owner_is_valid(l.owner) ||
        !get_text(buf + LEASE_TEXT + owner_len, user_len, l.user) ||
        !get_text(buf + LEASE_TEXT + owner_len + user_len, sender_len, l.sender) || !lease_is_consistent(&l))
        return false;
    *ret_l = l;
    return true;
}

size_t jf_unlease_encode(const JfUnlease *u, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert(u->reason < JF_N_UNLEASE_REASONS);
    put_uuid(buf, u->region_uuid);
    put_le64(buf + 16, u->time);
    put_le32(buf + 24, u->uid);
    put_le32(buf + 28, u->reason);
    return UNLEASE_BYTES;
}

bool jf_unlease_decode(const uint8_t *buf, size_t len, JfUnlease *ret_u) {
    if (len != UNLEASE_BYTES || get_le32(buf + 28) >= JF_N_UNLEASE_REASONS)
        return false;
    *ret_u = (JfUnlease){
        .region_uuid = get_uuid(buf),
        .time = get_le64(buf + 16),
        .uid = get_le32(buf + 24),
        .reason = get_le32(buf + 28),
    };
    return true;
}

size_t jf_erase_progress_encode(const JfEraseProgress *p, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert((p->flags & ~JF_ERASE_FLAGS_KNOWN) == 0);

    put_uuid(buf, p->region_uuid);
    put_le64(buf + 16, p->offset);
    put_le32(buf + 24, p->device);
    put_le32(buf + 28, p->flags);
    return JF_ERASE_PROGRESS_BYTES;
}

bool jf_erase_progress_decode(const uint8_t *buf, size_t len, JfEraseProgress *ret_p) {
    if (len != JF_ERASE_PROGRESS_BYTES || (get_le32(buf + 28) & ~JF_ERASE_FLAGS_KNOWN) != 0)
        return false;
    *ret_p = (JfEraseProgress){
        .region_uuid = get_uuid(buf),
        .offset = get_le64(buf + 16),
        .device = get_le32(buf + 24),
        .flags = get_le32(buf + 28),
    };
    return true;
}

size_t jf_bad_frames_payload_len(size_t n_extents) {
    return BAD_EXTENTS + n_extents * 16;
}

size_t jf_bad_frames_encode(const JfBadFrames *b, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert(b->n_extents <= JF_BAD_EXTENTS_MAX && (b->n_extents > 0 || b->more) && !(b->cleared && b->more));

    memset(buf, 0, BAD_EXTENTS);
    put_uuid(buf, b->uuid);
    buf[BAD_CLEARED] = b->cleared;
    buf[BAD_MORE] = b->more;
    put_le16(buf + BAD_N, b->n_extents);
    for (size_t i = 0; i < b->n_extents; i++) {
        put_le64(buf + BAD_EXTENTS + 16 * i, b->extents[i].start);
        put_le64(buf + BAD_EXTENTS + 16 * i + 8, b->extents[i].end);
    }
    return jf_bad_frames_payload_len(b->n_extents);
}

bool jf_bad_frames_decode(const uint8_t *buf, size_t len, JfBadFrames *ret_b) {
    if (len < BAD_EXTENTS)
        return false;
    size_t n = get_le16(buf + BAD_N);
    bool cleared = buf[BAD_CLEARED] != 0, more = buf[BAD_MORE] != 0;
    if (n > JF_BAD_EXTENTS_MAX || len != jf_bad_frames_payload_len(n) || buf[BAD_CLEARED] > 1 || buf[BAD_MORE] > 1 ||
        (cleared && more) || (n == 0 && !more) || !bytes_are_zero(buf + BAD_N + 2, BAD_EXTENTS - BAD_N - 2))
        return false;

    JfBadFrames b = { .uuid = get_uuid(buf), .cleared = cleared, .more = more, .n_extents = (uint16_t) n };
    for (size_t i = 0; i < n; i++) {
        FrameRange extent = { get_le64(buf + BAD_EXTENTS + 16 * i), get_le64(buf + BAD_EXTENTS + 16 * i + 8) };

        if (extent.start >= extent.end || extent.end > PMEMD_FRAME_LIMIT ||
            (i > 0 && extent.start <= b.extents[i - 1].end))
            return false;
        b.extents[i] = extent;
    }
    *ret_b = b;
    return true;
}

size_t jf_note_encode(const char *text, uint8_t buf[static JF_PAYLOAD_MAX]) {
    g_assert(text[0] != '\0');

    memset(buf, 0, JF_NOTE_MAX);
    return round_up_8(put_text(buf, text, JF_NOTE_MAX));
}

bool jf_note_decode(const uint8_t *buf, size_t len, char ret_text[static JF_NOTE_MAX + 1]) {
    if (len == 0 || len > JF_NOTE_MAX || len % 8 != 0)
        return false;
    size_t text_len = strnlen((const char *) buf, len);
    if (text_len + 8 <= len || !bytes_are_zero(buf + text_len, len - text_len))
        return false;
    for (size_t i = 0; i < text_len; i++)
        if (is_control(buf[i]))
            return false;
    memcpy(ret_text, buf, text_len);
    ret_text[text_len] = '\0';
    return true;
}
