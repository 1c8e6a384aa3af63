/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/place.h"

#include <string.h>

bool place_is_same(PmemdRange a, PmemdRange b) {
    return a.start == b.start && a.end == b.end;
}

bool place_contains(PmemdRange outer, PmemdRange inner) {
    return outer.start <= inner.start && inner.end <= outer.end;
}

uint64_t place_lead(const PmemdRaw *raw) {
    return raw->lead / PMEMD_FRAME_SIZE;
}

uint64_t place_step(const PmemdRaw *raw) {
    return MAX(raw->step / PMEMD_FRAME_SIZE, 1);
}

uint64_t place_round_up(uint64_t n, uint64_t unit) {
    return (n + unit - 1) / unit * unit;
}

uint64_t place_device_frames(const PmemdRaw *raw, uint64_t usable) {
    uint64_t frames = MAX(usable + place_lead(raw), raw->minimum / PMEMD_FRAME_SIZE);

    return strcmp(raw->kind, "unlabelled") == 0 ? MAX(frames, raw->frames.end - raw->frames.start)
                                                : place_round_up(frames, place_step(raw));
}

bool place_device(const PmemdRaw *raw, PmemdRange usable, PmemdRange *ret_device) {
    PmemdRange device = { usable.start - place_lead(raw), usable.end };

    if (usable.start < raw->frames.start + place_lead(raw) || !place_contains(raw->frames, device) ||
        (device.start - raw->frames.start) % place_step(raw) != 0 ||
        device.end - device.start != place_device_frames(raw, usable.end - usable.start))
        return false;
    *ret_device = device;
    return true;
}

bool place_is_usable(const PmemdRaw *raw) {
    return strcmp(raw->state, "ok") == 0 || strcmp(raw->state, "not managed") == 0;
}
