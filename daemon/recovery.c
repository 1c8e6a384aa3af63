/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/recovery.h"

#include <inttypes.h>
#include <string.h>

char *recovery_region_tag(const Region *region, char buf[static BACKEND_TAG_MAX]) {
    return backend_tag_format_number(BACKEND_ROLE_DATA, region_tag_pool(region), region->device_uuid, buf);
}

/* Whether the platform's device is the one the journal means: a uuid alone could have been copied. A device without
 * a tag (label-less memory cannot store one) is known by its uuid, which is random. */
static bool is_region_device(const Region *region, const BackendDevice *device, char **ret_reason) {
    char tag[BACKEND_TAG_MAX];

    recovery_region_tag(region, tag);
    if (device->tag[0] != '\0' && strcmp(device->tag, tag) != 0) {
        *ret_reason =
            g_strdup_printf("device %s has its uuid, but the tag \"%s\" where \"%s\" is expected; not touched",
                            device->name, device->tag, tag);
        return false;
    }
    return true;
}

static bool is_in_place(const Region *region, const BackendDevice *device, char **ret_reason) {
    if (device->device.start == region_device(region).start && device->device.end == region->range.end)
        return true;
    *ret_reason = g_strdup_printf(
        "device %s lies at 0x%" PRIx64 "-0x%" PRIx64 ", the journal says 0x%" PRIx64 "-0x%" PRIx64, device->name,
        device->device.start, device->device.end, region_device(region).start, region->range.end);
    return false;
}

/* Absent is only what could have been seen: what hides the devices of the raw region, or NULL. */
static char *hidden(const Region *region) {
    const Raw *raw = region->occupant.raw;

    if (!raw)
        return g_strdup("its raw region is not on the platform");
    return raw->hides ? g_strdup_printf("its raw region %s cannot be used (%s)", raw->id, raw->unusable) : NULL;
}

/* A creation ends complete in its place alone. What was cut off on the way may stand elsewhere, where the kernel put it
 * first, but in the raw region that it was asked of. Anything else was moved there or copied. */
static bool may_be_cut_off(const Region *region, const BackendDevice *device, char **ret_reason) {
    const Raw *raw = region->occupant.raw;
    g_autofree char *reason = NULL;

    if (is_in_place(region, device, &reason))
        return true;
    if (device->state != BACKEND_DEVICE_COMPLETE && raw && frame_range_contains(raw->range, device->device))
        return true;
    *ret_reason = g_strconcat(reason, "; not touched", NULL);
    return false;
}

static RecoveryAction decide_create(const Region *region, const BackendDevice *device, char **ret_reason) {
    if (!device)
        return RECOVERY_ABORT_CREATE;
    if (!is_region_device(region, device, ret_reason))
        return RECOVERY_UNSETTLED;
    if (device->state == BACKEND_DEVICE_COMPLETE && device->device.start == region_device(region).start &&
        device->device.end == region->range.end && frame_range_equal(device->usable, region->range))
        return RECOVERY_COMMIT_CREATE;
    if (device->held) {
        *ret_reason =
            g_strdup_printf("device %s is half made and somebody holds it; its frames stay reserved", device->name);
        return RECOVERY_UNSETTLED;
    }
    return may_be_cut_off(region, device, ret_reason) ? RECOVERY_DESTROY_AND_ABORT : RECOVERY_UNSETTLED;
}

static RecoveryAction decide_delete(const Region *region, const BackendDevice *device, char **ret_reason) {
    if (!device) {
        g_autofree char *why = hidden(region);

        if (!why)
            return RECOVERY_COMMIT_DELETE;
        *ret_reason = g_strdup_printf("released, but %s; its frames stay reserved", why);
        return RECOVERY_ERASE_LATER;
    }
    if (!is_region_device(region, device, ret_reason) || !is_in_place(region, device, ret_reason))
        return RECOVERY_UNSETTLED;
    /* Who still has it mapped is asked, and named, when it is opened. */
    return RECOVERY_ERASE;
}

RecoveryAction recovery_decide_region(const Region *region, const BackendDevice *device, char **ret_reason) {
    *ret_reason = NULL;
    if (region->intent && !region->intent->deleting) {
        g_autofree char *why = device ? NULL : hidden(region);

        if (why) {
            *ret_reason = g_strdup_printf("its creation was cut off and %s", why);
            return RECOVERY_UNSETTLED;
        }
        return decide_create(region, device, ret_reason);
    }
    if (region->intent)
        return decide_delete(region, device, ret_reason);

    if (!device) {
        *ret_reason = region->occupant.raw ? g_strdup("its device is not on the platform; its frames stay reserved")
                                           : g_strdup("its raw region is not on the platform");
        return RECOVERY_MISSING;
    }
    if (!is_region_device(region, device, ret_reason) || !is_in_place(region, device, ret_reason))
        return RECOVERY_MISSING;
    if (device->state != BACKEND_DEVICE_COMPLETE) {
        *ret_reason =
            device->path
                ? g_strdup_printf("device %s is not as pmemd made it: its mode is %s; another tool took it, or "
                                  "its setup was cut off",
                                  device->name, device->mode)
                : g_strdup_printf("device %s (mode %s) is not whole: it is disabled, or its setup was cut off",
                                  device->name, device->mode);
        return RECOVERY_MISSING;
    }
    if (!frame_range_equal(device->usable, region->range)) {
        *ret_reason = g_strdup_printf(
            "device %s shows frames 0x%" PRIx64 "-0x%" PRIx64 ", the journal says 0x%" PRIx64 "-0x%" PRIx64,
            device->name, device->usable.start, device->usable.end, region->range.start, region->range.end);
        return RECOVERY_MISSING;
    }
    return RECOVERY_KEEP;
}

RecoveryDeviceAction recovery_decide_device(const BackendDevice *device, bool setup_pending) {
    switch (device->role) {
    case BACKEND_ROLE_FILLER:
        return device->held ? RECOVERY_DEVICE_ORPHAN : RECOVERY_DEVICE_DESTROY;
    case BACKEND_ROLE_MGMT:
        return setup_pending && !device->held ? RECOVERY_DEVICE_DESTROY : RECOVERY_DEVICE_UNFORMATTED;
    case BACKEND_ROLE_DATA:
        return RECOVERY_DEVICE_ORPHAN;
    case BACKEND_ROLE_NONE:
        break;
    }
    return RECOVERY_DEVICE_FOREIGN;
}

bool recovery_check_superblock(const JfSuperblock *sb, const BackendDevice *device, const Raw *raw, char **ret_reason) {
    if (!sd_id128_equal(sb->member_uuid, device->uuid)) {
        *ret_reason = g_strdup("its superblock names another device: a copy");
        return false;
    }
    if (!frame_range_equal(sb->range, device->usable)) {
        *ret_reason = g_strdup_printf("its superblock was written for frames 0x%" PRIx64 "-0x%" PRIx64
                                      ", the device shows 0x%" PRIx64 "-0x%" PRIx64,
                                      sb->range.start, sb->range.end, device->usable.start, device->usable.end);
        return false;
    }
    if (!raw || !sd_id128_equal(sb->raw_cookie, raw->cookie)) {
        *ret_reason = g_strdup("its superblock was written on another raw region");
        return false;
    }
    return true;
}
