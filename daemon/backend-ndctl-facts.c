/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-facts.h"

#include "daemon/backend-ndctl-health.h"
#include "daemon/backend-ndctl-kind.h"
#include "daemon/backend-ndctl-labels.h"
#include "daemon/backend-ndctl-placement.h"
#include "daemon/journal-format.h"
#include "daemon/medium.h"
#include "daemon/power-loss.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/ndctl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* --- raw regions -------------------------------------------------------------------------------------------------- */

/* Whether the firmware's own map of the memory has the region's first byte as persistent. `memmap=` is not in it. */
static bool firmware_calls_persistent(struct ndctl_region *region) {
    for (unsigned i = 0;; i++) {
        g_autofree char *start = nd_sysfs_read("firmware/memmap/%u/start", i);
        g_autofree char *end = nd_sysfs_read("firmware/memmap/%u/end", i);
        g_autofree char *type = nd_sysfs_read("firmware/memmap/%u/type", i);

        if (!start || !end || !type)
            return false;
        if (g_str_has_prefix(type, "Persistent Memory") &&
            ndctl_region_get_resource(region) >= g_ascii_strtoull(start, NULL, 16) &&
            ndctl_region_get_resource(region) <= g_ascii_strtoull(end, NULL, 16))
            return true;
    }
}

static const char *provider(struct ndctl_region *region) {
    return ndctl_bus_get_provider(ndctl_region_get_bus(region));
}

static NdKind region_kind(struct ndctl_region *region) {
    return nd_kind(provider(region), nd_kind_is_known_by_place(provider(region)) && firmware_calls_persistent(region));
}

static const char *persistence_domain(struct ndctl_region *region) {
    switch (ndctl_region_get_persistence_domain(region)) {
    case PERSISTENCE_MEM_CTRL:
        return "memory_controller";
    case PERSISTENCE_CPU_CACHE:
        return "cpu_cache";
    case PERSISTENCE_NONE:
        return "none";
    case PERSISTENCE_UNKNOWN:
    default:
        return "unknown";
    }
}

static const char *persistence_name(struct ndctl_region *region) {
    return nd_kind_persistence(region_kind(region), persistence_domain(region));
}

char *nd_facts_persistence_fault(struct ndctl_region *region) {
    const char *loss = power_loss(persistence_name(region));

    return loss ? g_strconcat(loss, "; set PersistenceDomain=warn in pmemd.conf if that is acceptable", NULL) : NULL;
}

/*
 * The same after every boot, whatever number, address and state the region gets: its DIMMs' own ids and its place on
 * each. The kernel's set_cookie says the same, but changes with the version of the labels and cannot be read while a
 * DIMM is disabled, so it serves only for DIMMs without an id. A region without DIMMs (`memmap=`) is nothing but its
 * place in the address space; neither is one whose DIMMs are made up and all have one cookie (ramdax).
 */
static sd_id128_t region_cookie(struct ndctl_region *region) {
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GString) text = g_string_new("pmemd raw region\n");
    struct ndctl_mapping *mapping;
    bool any = false, nameless = false;

    ndctl_mapping_foreach(region, mapping) {
        struct ndctl_dimm *dimm = ndctl_mapping_get_dimm(mapping);
        const char *id = dimm ? ndctl_dimm_get_unique_id(dimm) : NULL;

        any = true;
        nameless = nameless || !id;
        g_string_append_printf(text, "dimm %s offset %llx length %llx position %d\n", id ? id : "",
                               ndctl_mapping_get_offset(mapping), ndctl_mapping_get_length(mapping),
                               ndctl_mapping_get_position(mapping));
    }
    if (nameless) {
        g_autofree char *set = nd_sysfs_read("bus/nd/devices/%s/set_cookie", ndctl_region_get_devname(region));

        g_string_append_printf(text, "set %s\n", set ? set : "");
    }
    if (!any || nd_kind_is_known_by_place(provider(region)))
        g_string_append_printf(text, "place %s %llx %llx\n", provider(region), ndctl_region_get_resource(region),
                               ndctl_region_get_size(region));

    guint8 digest[32];
    gsize len = sizeof digest;
    sd_id128_t cookie = SD_ID128_NULL;
    g_checksum_update(sum, (const guchar *) text->str, (gssize) text->len);
    g_checksum_get_digest(sum, digest, &len);
    memcpy(cookie.bytes, digest, sizeof cookie.bytes);
    return cookie;
}

/* NULL: it has none, or one that cannot be told from others. */
static char **dimm_ids(struct ndctl_region *region) {
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    struct ndctl_mapping *mapping;
    bool any = false;

    ndctl_mapping_foreach(region, mapping) {
        struct ndctl_dimm *dimm = ndctl_mapping_get_dimm(mapping);
        const char *id = dimm ? ndctl_dimm_get_unique_id(dimm) : NULL;

        if (!id)
            return NULL;
        g_strv_builder_add(ids, id);
        any = true;
    }
    return any ? g_strv_builder_end(ids) : NULL;
}

/* NULL: all of the region's DIMMs are in order. */
static char *dimm_fault(const GPtrArray *health) {
    for (guint i = 0; health && i < health->len; i++) {
        char *fault = dimm_health_unusable(g_ptr_array_index(health, i));

        if (fault)
            return fault;
    }
    return NULL;
}

/* The kernel rounds places to the step's share on each DIMM, counted from the DIMM's own beginning and not from where the
 * region begins on it. NULL: both are the same. */
static char *share_fault(struct ndctl_region *region) {
    unsigned ways = ndctl_region_get_interleave_ways(region);
    uint64_t share = backend_ndctl_placement_step(ways) / MAX(ways, 1u);
    struct ndctl_mapping *mapping;

    ndctl_mapping_foreach(region, mapping) {
        struct ndctl_dimm *dimm = ndctl_mapping_get_dimm(mapping);

        if (dimm && ndctl_mapping_get_offset(mapping) % share != 0)
            return g_strdup_printf("it starts at 0x%llx of %s, which is no multiple of %" PRIu64 " KiB",
                                   ndctl_mapping_get_offset(mapping), ndctl_dimm_get_devname(dimm), share / 1024);
    }
    return NULL;
}

static char *unusable_reason(struct ndctl_region *region, const GPtrArray *health, bool any_persistence) {
    const char *name = ndctl_region_get_devname(region);

    if (ndctl_region_get_resource(region) == UINT64_MAX)
        return g_strdup("its address cannot be read: pmemd must run as root");
    /* A region that the kernel could not start because of a DIMM is disabled or read-only, too: the cause is told. */
    char *fault = dimm_fault(health);
    if (fault)
        return fault;
    if (!ndctl_region_is_enabled(region))
        return g_strdup_printf("disabled: `ndctl enable-region %s`", name);
    if (ndctl_region_get_ro(region) != 0)
        return g_strdup("read-only");
    if (ndctl_region_get_resource(region) % ND_DAX_ALIGN != 0)
        return g_strdup_printf("it starts at 0x%llx, which is no multiple of 2 MiB", ndctl_region_get_resource(region));
    if (!nd_region_has_labels(region) && ndctl_region_get_size(region) % ND_DAX_ALIGN != 0)
        return g_strdup_printf("it has no labels and %llu bytes, which is no multiple of 2 MiB",
                               ndctl_region_get_size(region));

    fault = share_fault(region);
    if (!fault)
        fault = nd_labels_set_fault(region);
    if (fault)
        return fault;
    /* The kernel shows one namespace over everything then, and the real ones may still be there. */
    if (nd_labels_state(region) == ND_LABELS_BROKEN)
        return g_strdup(
            "its label area can neither be used nor is it blank: look at it with `ndctl read-labels`, repair it or, if "
            "nothing in it is needed, clear it with `ndctl zero-labels`");
    return any_persistence ? NULL : nd_facts_persistence_fault(region);
}

static uint64_t least_free_slots(struct ndctl_region *region) {
    uint64_t least = UINT64_MAX;
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm) {
        unsigned long slots = ndctl_dimm_get_available_labels(dimm);

        least = MIN(least, slots == ULONG_MAX ? 0 : slots);
    }
    return least;
}

BackendRaw *nd_facts_raw(struct ndctl_region *region, bool any_persistence) {
    BackendRaw *raw = g_new0(BackendRaw, 1);
    int local = ndctl_region_get_numa_node(region), node = ndctl_region_get_target_node(region);
    bool labelled = nd_region_has_labels(region);

    raw->id = g_strdup(ndctl_region_get_devname(region));
    raw->cookie = region_cookie(region);
    raw->dimms = dimm_ids(region);
    raw->range = nd_region_range(region);
    raw->local_node = MAX(local, -1);
    raw->node = MAX(node, -1);
    raw->step = backend_ndctl_placement_step(ndctl_region_get_interleave_ways(region));
    raw->lead = ND_INFO_BLOCK_LEAD;
    raw->kind = labelled ? BACKEND_RAW_LABELLED : BACKEND_RAW_UNLABELLED;
    raw->free_slots = labelled ? least_free_slots(region) : UINT64_MAX;
    raw->persistence = g_strdup(persistence_name(region));
    raw->health = nd_health_dimms(region);
    raw->bad = nd_health_bad_frames(region, &raw->bad_all);
    raw->unusable = unusable_reason(region, raw->health, any_persistence);
    raw->hides = !ndctl_region_is_enabled(region);
    raw->initialisable = !raw->unusable && nd_labels_state(region) == ND_LABELS_BLANK;
    /* Without labels there is but one device, the whole region. */
    raw->minimum = labelled || raw->initialisable ? ND_DEVICE_MINIMUM : ndctl_region_get_size(region);
    return raw;
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

int nd_facts_open_dax(struct daxctl_dev *dev, GError **error) {
    g_autofree char *path = g_strconcat("/dev/", daxctl_dev_get_devname(dev), NULL);
    dev_t number = makedev((unsigned) daxctl_dev_get_major(dev), (unsigned) daxctl_dev_get_minor(dev));
    struct stat st;

    /* Without O_CREAT: on a missing node that would make a regular file, which takes all that is written to it. */
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        int errnum = errno;
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open %s: %s", path, g_strerror(errnum));
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != number) {
        close(fd);
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE,
                    "%s is not the character device %u:%u that the kernel has for it", path, major(number),
                    minor(number));
        return -1;
    }
    return fd;
}

/* The first and last MiB of an unused block device: every kind of file system, partition table or volume manager has
 * its mark there. */
static bool block_is_blank(const char *name, uint64_t size) {
    g_autofree char *path = g_strconcat("/dev/", name, NULL);
    g_autofree uint8_t *bytes = g_malloc(MIB);
    bool blank = true;
    int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return false;
    for (int end = 0; end < 2 && blank; end++) {
        uint64_t off = end && size > MIB ? size - MIB : 0;

        for (size_t done = 0; done < MIB && blank;) {
            ssize_t n = pread(fd, bytes + done, MIB - done, (off_t) (off + done));

            if (n < 0 && errno == EINTR)
                continue;
            blank = n > 0;
            for (ssize_t i = 0; i < n && blank; i++)
                blank = bytes[done + (size_t) i] == 0;
            done += (size_t) MAX(n, 0);
        }
    }
    close(fd);
    return blank;
}

static bool is_free_memory(struct ndctl_namespace *ndns, const NdBusy *busy) {
    const char *block = nd_namespace_block_device(ndns);

    return ndctl_namespace_get_type(ndns) == ND_DEVICE_NAMESPACE_IO && !ndctl_namespace_get_btt(ndns) &&
           !ndctl_namespace_get_pfn(ndns) && !ndctl_namespace_get_dax(ndns) && block && !nd_busy_block(busy, block) &&
           block_is_blank(block, ndctl_namespace_get_size(ndns));
}

/* The tag of a mgmt device where no label can hold it: see the head of backend-ndctl-facts.h. NULL: it is none. In a
 * data device the superblock would be its guest's. */
static char *superblock_tag(struct daxctl_dev *dev, sd_id128_t uuid) {
    if (!backend_uuid_may_be_mgmt(uuid))
        return NULL;

    int fd = nd_facts_open_dax(dev, NULL);
    if (fd < 0)
        return NULL;

    g_autoptr(Medium) medium = medium_mapped_new(fd, ND_DAX_ALIGN, false, NULL);
    if (!medium) {
        close(fd);
        return NULL;
    }

    JfSuperblock sb;
    if (medium_readable(medium, 0, JF_SUPERBLOCK_SIZE) < 0)
        return NULL;
    JfVerdict verdict = jf_superblock_decode(medium_base(medium), JF_SUPERBLOCK_SIZE, &sb);
    if (verdict == JF_NOT_OURS || verdict == JF_BAD || !sd_id128_equal(sb.member_uuid, uuid))
        return NULL;
    return backend_tag_format(BACKEND_ROLE_MGMT, sb.member_uuid, uuid, g_malloc(BACKEND_TAG_MAX));
}

static bool is_system_ram(struct daxctl_dev *dev) {
    g_autofree char *link = g_strdup_printf("/sys/bus/dax/devices/%s/driver", daxctl_dev_get_devname(dev));
    g_autofree char *driver = g_file_read_link(link, NULL);

    return driver && g_str_has_suffix(driver, "/kmem");
}

/* How and by whom an enabled device-dax is used, and whether it is made as pmemd makes them. */
static void add_dax_facts(BackendDevice *d, struct ndctl_namespace *ndns, struct daxctl_dev *dev, const NdBusy *busy) {
    struct ndctl_dax *dax = ndctl_namespace_get_dax(ndns);
    dev_t number = makedev((unsigned) daxctl_dev_get_major(dev), (unsigned) daxctl_dev_get_minor(dev));
    uint64_t start = ndctl_dax_get_resource(dax) / PMEMD_FRAME_SIZE;
    FrameRange usable = { start, start + ndctl_dax_get_size(dax) / PMEMD_FRAME_SIZE };
    bool labelled = ndctl_namespace_get_type(ndns) != ND_DEVICE_NAMESPACE_IO, ram = is_system_ram(dev);

    d->path = g_strconcat("/dev/", daxctl_dev_get_devname(dev), NULL);
    d->held = ram || nd_busy_char(busy, number);
    if (ram) {
        g_free(d->mode);
        d->mode = g_strdup("system-ram");
    }
    if (ram || !daxctl_dev_is_enabled(dev))
        return;

    bool as_ours = ndctl_dax_get_location(dax) == NDCTL_PFN_LOC_RAM && ndctl_dax_get_align(dax) == ND_DAX_ALIGN &&
                   usable.start == d->device.start + ND_INFO_BLOCK_LEAD && usable.end == d->device.end;
    if (as_ours && !labelled && d->tag[0] == '\0') {
        char *tag = superblock_tag(dev, d->uuid);

        if (tag) {
            g_free(d->tag);
            d->tag = tag;
            d->role = backend_tag_parse(tag, NULL, NULL);
        }
    }
    if (d->role == BACKEND_ROLE_NONE ? labelled || as_ours : as_ours && d->role != BACKEND_ROLE_FILLER) {
        d->state = BACKEND_DEVICE_COMPLETE;
        d->usable = usable;
    }
}

const char *nd_facts_mode(struct ndctl_namespace *ndns) {
    return ndctl_namespace_get_dax(ndns)   ? "devdax"
           : ndctl_namespace_get_pfn(ndns) ? "fsdax"
           : ndctl_namespace_get_btt(ndns) ? "sector"
                                           : "raw";
}

BackendDevice *nd_facts_device(struct ndctl_namespace *ndns, const NdBusy *busy) {
    if (ndctl_namespace_get_size(ndns) == 0 || is_free_memory(ndns, busy))
        return NULL;

    BackendDevice *d = g_new0(BackendDevice, 1);
    const char *alt_name = ndctl_namespace_get_alt_name(ndns), *block = nd_namespace_block_device(ndns);
    struct daxctl_dev *dev = nd_namespace_dax_dev(ndns);

    d->uuid = nd_namespace_uuid(ndns);
    d->name = g_strdup(ndctl_namespace_get_devname(ndns));
    d->raw_id = g_strdup(ndctl_region_get_devname(ndctl_namespace_get_region(ndns)));
    d->tag = g_strdup(alt_name ? alt_name : "");
    d->role = backend_tag_parse(d->tag, NULL, NULL);
    d->mode = g_strdup(nd_facts_mode(ndns));
    d->device = nd_namespace_range(ndns);
    d->state = BACKEND_DEVICE_PARTIAL;
    if (dev)
        add_dax_facts(d, ndns, dev, busy);
    else if (block) {
        d->path = g_strconcat("/dev/", block, NULL);
        d->held = nd_busy_block(busy, block);
        if (d->role == BACKEND_ROLE_NONE)
            d->state = BACKEND_DEVICE_COMPLETE;
    }
    return d;
}

bool nd_facts_check_tag(struct ndctl_namespace *ndns, const BackendDevice *d, const char *tag, GError **error) {
    if (ndctl_namespace_get_type(ndns) == ND_DEVICE_NAMESPACE_IO ||
        (d->role != BACKEND_ROLE_NONE && strcmp(d->tag, tag) == 0))
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "%s in %s has the tag '%s' and not '%s': not touched",
                d->name, d->raw_id, d->tag, tag);
    return false;
}

bool nd_facts_check_unused(struct ndctl_namespace *ndns, const BackendDevice *d, const NdBusy *busy, GError **error) {
    struct daxctl_dev *dev = nd_namespace_dax_dev(ndns);
    const char *path = d->path ? d->path : d->name;

    if (dev && is_system_ram(dev)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s (%s) is in use as system RAM", path, d->name);
        return false;
    }
    if (!dev && d->held) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s (%s) is in use: find who has it with `fuser -v %s`", path,
                    d->name, path);
        return false;
    }
    if (!dev)
        return true;

    g_autoptr(MapperList) list =
        nd_busy_mapped(busy, makedev((unsigned) daxctl_dev_get_major(dev), (unsigned) daxctl_dev_get_minor(dev)));
    if (mapper_list_is_empty(list))
        return true;
    g_autofree char *who = mapper_list_describe(list, MAPPERS_EVERYBODY);
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s (%s) is in use: %s; end what uses it (`fuser -v %s`)", path,
                d->name, who, path);
    return false;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int compare_raws(gconstpointer a, gconstpointer b) {
    const BackendRaw *x = *(BackendRaw *const *) a, *y = *(BackendRaw *const *) b;

    return (x->range.start > y->range.start) - (x->range.start < y->range.start);
}

static int compare_devices(gconstpointer a, gconstpointer b) {
    const BackendDevice *x = *(BackendDevice *const *) a, *y = *(BackendDevice *const *) b;

    return (x->device.start > y->device.start) - (x->device.start < y->device.start);
}

BackendListing *nd_facts_list(bool any_persistence, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    if (!context)
        return NULL;

    nd_context_wait(context);
    g_autoptr(NdBusy) busy = nd_busy_new();
    BackendListing *listing = backend_listing_new();
    struct ndctl_region *region = NULL;
    struct ndctl_namespace *ndns;

    while ((region = nd_context_next_region(context, region))) {
        g_ptr_array_add(listing->raws, nd_facts_raw(region, any_persistence));
        ndctl_namespace_foreach(region, ndns) {
            BackendDevice *device = nd_facts_device(ndns, busy);

            if (device)
                g_ptr_array_add(listing->devices, device);
        }
    }
    g_ptr_array_sort(listing->raws, compare_raws);
    g_ptr_array_sort(listing->devices, compare_devices);
    return listing;
}

BackendDevice *nd_facts_find(sd_id128_t uuid, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    if (!context)
        return NULL;

    nd_context_wait(context);
    struct ndctl_namespace *ndns = nd_context_find_namespace(context, uuid);
    if (!ndns)
        return NULL;
    g_autoptr(NdBusy) busy = nd_busy_new();
    return nd_facts_device(ndns, busy);
}
