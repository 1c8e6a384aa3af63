/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-context.h"

#include "proto/error.h"

#include <errno.h>
#include <linux/ndctl.h>
#include <stdarg.h>
#include <string.h>

struct NdContext {
    struct ndctl_ctx *ctx;
    char *complaint; /* the last line that libndctl logged */
};

static void log_line(struct ndctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
                     const char *format, va_list args) G_GNUC_PRINTF(6, 0);
static void log_line(struct ndctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
                     const char *format, va_list args) {
    NdContext *context = ndctl_get_userdata(ctx);
    g_autofree char *text = g_strdup_vprintf(format, args);

    g_strchomp(text);
    g_debug("libndctl: %s: %s", fn, text);
    if (context) {
        g_free(context->complaint);
        context->complaint = g_strdup_printf("%s: %s", fn, text);
    }
}

static void log_dax_line(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
                         const char *format, va_list args) G_GNUC_PRINTF(6, 0);
static void log_dax_line(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
                         const char *format, va_list args) {
    g_autofree char *text = g_strdup_vprintf(format, args);

    g_debug("libdaxctl: %s: %s", fn, g_strchomp(text));
}

NdContext *nd_context_new(GError **error) {
    struct ndctl_ctx *ctx;
    int rc = ndctl_new(&ctx);

    if (rc < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open libndctl: %s", g_strerror(-rc));
        return NULL;
    }

    NdContext *context = g_new0(NdContext, 1);
    context->ctx = ctx;
    ndctl_set_userdata(ctx, context);
    ndctl_set_log_fn(ctx, log_line);
    if (ndctl_get_daxctl_ctx(ctx))
        daxctl_set_log_fn(ndctl_get_daxctl_ctx(ctx), log_dax_line);
    return context;
}

void nd_context_free(NdContext *context) {
    if (!context)
        return;
    ndctl_unref(context->ctx);
    g_free(context->complaint);
    g_free(context);
}

struct ndctl_ctx *nd_context_get(NdContext *context) {
    return context->ctx;
}

void nd_context_wait(NdContext *context) {
    struct ndctl_bus *bus;

    ndctl_bus_foreach(context->ctx, bus)
        ndctl_bus_wait_probe(bus);
}

void nd_context_error(NdContext *context, GError **error, int rc, const char *format, ...) {
    PmemdError code = rc == -EBUSY ? PMEMD_ERROR_BUSY : rc == -ENOSPC ? PMEMD_ERROR_NO_SPACE : PMEMD_ERROR_HARDWARE;
    va_list args;

    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);

    g_set_error(error, PMEMD_ERROR, code, "%s: %s%s%s%s", what, rc < 0 ? g_strerror(-rc) : "refused",
                context->complaint ? " (libndctl: " : "", context->complaint ? context->complaint : "",
                context->complaint ? ")" : "");
    g_clear_pointer(&context->complaint, g_free);
}

char *nd_sysfs_read(const char *format, ...) {
    char *text;
    va_list args;

    va_start(args, format);
    g_autofree char *tail = g_strdup_vprintf(format, args);
    va_end(args);

    g_autofree char *path = g_strconcat("/sys/", tail, NULL);
    return g_file_get_contents(path, &text, NULL, NULL) ? g_strchomp(text) : NULL;
}

static bool region_is_pmem(struct ndctl_region *region) {
    g_autofree char *type = nd_sysfs_read("bus/nd/devices/%s/devtype", ndctl_region_get_devname(region));

    return g_strcmp0(type, "nd_pmem") == 0;
}

struct ndctl_region *nd_context_next_region(NdContext *context, struct ndctl_region *region) {
    struct ndctl_bus *bus = region ? ndctl_region_get_bus(region) : ndctl_bus_get_first(context->ctx);

    region = region ? ndctl_region_get_next(region) : bus ? ndctl_region_get_first(bus) : NULL;
    while (bus) {
        for (; region; region = ndctl_region_get_next(region))
            if (region_is_pmem(region))
                return region;
        bus = ndctl_bus_get_next(bus);
        region = bus ? ndctl_region_get_first(bus) : NULL;
    }
    return NULL;
}

struct ndctl_region *nd_context_find_region(NdContext *context, const char *id) {
    struct ndctl_region *region = NULL;

    while ((region = nd_context_next_region(context, region)))
        if (strcmp(ndctl_region_get_devname(region), id) == 0)
            break;
    return region;
}

struct ndctl_namespace *nd_context_find_namespace(NdContext *context, sd_id128_t uuid) {
    struct ndctl_region *region = NULL;
    struct ndctl_namespace *ndns;

    if (sd_id128_is_null(uuid))
        return NULL;
    while ((region = nd_context_next_region(context, region)))
        ndctl_namespace_foreach(region, ndns)
            if (ndctl_namespace_get_size(ndns) > 0 && sd_id128_equal(nd_namespace_uuid(ndns), uuid))
                return ndns;
    return NULL;
}

struct ndctl_namespace *nd_context_find_twin(NdContext *context, struct ndctl_namespace *of) {
    sd_id128_t uuid = nd_namespace_uuid(of);
    struct ndctl_region *region = NULL;
    struct ndctl_namespace *ndns;

    while (!sd_id128_is_null(uuid) && (region = nd_context_next_region(context, region)))
        ndctl_namespace_foreach(region, ndns)
            if (ndns != of && ndctl_namespace_get_size(ndns) > 0 && sd_id128_equal(nd_namespace_uuid(ndns), uuid))
                return ndns;
    return NULL;
}

bool nd_context_check_alone(NdContext *context, struct ndctl_namespace *ndns, GError **error) {
    struct ndctl_namespace *twin = nd_context_find_twin(context, ndns);
    char text[PMEMD_UUID_STRING_MAX];

    if (!twin)
        return true;
    g_set_error(
        error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
        "%s and %s have the same uuid %s, so which one is meant is not certain: neither is touched; remove the copy",
        ndctl_namespace_get_devname(ndns), ndctl_namespace_get_devname(twin),
        pmemd_uuid_format(nd_namespace_uuid(ndns), text));
    return false;
}

bool nd_region_has_labels(struct ndctl_region *region) {
    return ndctl_region_get_nstype(region) == ND_DEVICE_NAMESPACE_PMEM;
}

sd_id128_t nd_namespace_uuid(struct ndctl_namespace *ndns) {
    sd_id128_t uuid = SD_ID128_NULL;

    if (ndctl_namespace_get_type(ndns) == ND_DEVICE_NAMESPACE_IO) {
        struct ndctl_dax *dax = ndctl_namespace_get_dax(ndns);

        if (dax)
            ndctl_dax_get_uuid(dax, uuid.bytes);
    } else
        ndctl_namespace_get_uuid(ndns, uuid.bytes);
    return uuid;
}

FrameRange nd_region_range(struct ndctl_region *region) {
    uint64_t start = ndctl_region_get_resource(region) / PMEMD_FRAME_SIZE;

    return (FrameRange){ start, start + ndctl_region_get_size(region) / PMEMD_FRAME_SIZE };
}

FrameRange nd_namespace_range(struct ndctl_namespace *ndns) {
    uint64_t resource = ndctl_namespace_get_resource(ndns), size = ndctl_namespace_get_size(ndns);

    if (resource == UINT64_MAX)
        return nd_region_range(ndctl_namespace_get_region(ndns));
    return (FrameRange){ resource / PMEMD_FRAME_SIZE, (resource + size + PMEMD_FRAME_SIZE - 1) / PMEMD_FRAME_SIZE };
}

struct daxctl_dev *nd_namespace_dax_dev(struct ndctl_namespace *ndns) {
    struct ndctl_dax *dax = ndctl_namespace_get_dax(ndns);
    struct daxctl_region *region = dax && ndctl_dax_is_enabled(dax) ? ndctl_dax_get_daxctl_region(dax) : NULL;

    return region ? daxctl_dev_get_first(region) : NULL;
}

const char *nd_namespace_block_device(struct ndctl_namespace *ndns) {
    struct ndctl_btt *btt = ndctl_namespace_get_btt(ndns);
    struct ndctl_pfn *pfn = ndctl_namespace_get_pfn(ndns);
    const char *name = NULL;

    if (ndctl_namespace_get_dax(ndns))
        return NULL;
    if (btt)
        name = ndctl_btt_is_enabled(btt) ? ndctl_btt_get_block_device(btt) : NULL;
    else if (pfn)
        name = ndctl_pfn_is_enabled(pfn) ? ndctl_pfn_get_block_device(pfn) : NULL;
    else if (ndctl_namespace_is_enabled(ndns))
        name = ndctl_namespace_get_block_device(ndns);
    return name && name[0] ? name : NULL;
}
