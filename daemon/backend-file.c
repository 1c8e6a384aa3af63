/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-file.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-index.h"
#include "daemon/file-io.h"
#include "daemon/file-record.h"
#include "daemon/file-regions.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGIONS_NAME "regions.conf"
#define LOCK_NAME "lock"
#define REGIONS_MAX (UINT64_C(1) << 20)
#define HEX "0x%" G_GINT64_MODIFIER "x"

typedef struct {
    Backend base;
    char *dir; /* absolute */
    int dirfd;
    int regions_fd;     /* regions.conf, LOCK_EX */
    int lock_fd;        /* LOCK_NAME, LOCK_EX */
    GPtrArray *regions; /* FileRegion * */
    FileIndex *index;   /* of the descriptions: one thread, the worker's */
} FileBackend;

typedef struct {
    BackendContent base;
    int fd;
    int dirfd;      /* for orders of file-fault.h */
    Medium *mapped; /* NULL: written as a file */
} FileContent;

static FileBackend *file_backend(Backend *b) {
    return (FileBackend *) b;
}

/* ---- names and descriptions ---- */

static char *record_name(sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];

    return g_strconcat(pmemd_uuid_format(uuid, text), FILE_RECORD_SUFFIX, NULL);
}

/* tag: one of ours, "pmemd:<role>:...". */
static char *image_name(const char *tag, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];
    g_auto(GStrv) parts = g_strsplit(tag, ":", 3);

    return g_strdup_printf("%s-%s.img", parts[1], pmemd_uuid_format(uuid, text));
}

/* The uuid in the name of a description; false when it is not exactly what record_name() would give. */
static bool record_name_parse(const char *name, sd_id128_t *ret_uuid) {
    g_autofree char *text = g_strndup(name, strlen(name) - strlen(FILE_RECORD_SUFFIX));
    sd_id128_t uuid;

    if (!pmemd_uuid_parse(text, &uuid) || sd_id128_is_null(uuid))
        return false;
    g_autofree char *canonical = record_name(uuid);
    if (strcmp(canonical, name) != 0)
        return false;
    *ret_uuid = uuid;
    return true;
}

/* The role of what `name` describes: ours only when the tag is well formed and is about this uuid. */
static BackendRole record_role(const FileRecord *record, const char *name, sd_id128_t *ret_uuid) {
    uint32_t id = 0;
    sd_id128_t uuid = SD_ID128_NULL;
    BackendRole role = backend_tag_parse(record->tag, NULL, &id);
    bool named = record_name_parse(name, &uuid);

    *ret_uuid = uuid;
    return named && id == backend_tag_number(uuid) ? role : BACKEND_ROLE_NONE;
}

G_GNUC_PRINTF(4, 5)
static void set_errno(GError **error, int r, const char *path, const char *format, ...) {
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, format);
    what = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, PMEMD_ERROR, pmemd_error_from_errno(-r), "%s: %s: %s", path, what, g_strerror(-r));
}

/* ---- images ---- */

/* The descriptor of a whole image, or -1 with error. */
static int image_open(FileBackend *b, const char *image, uint64_t bytes, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);
    int fd = file_image_open(b->dirfd, image, bytes);

    if (fd == -EMEDIUMTYPE && bytes == FILE_IMAGE_ANY_SIZE)
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
            "%s: is no regular file; remove what is there, its content is not pmemd's, and release the region again",
            path);
    else if (fd == -EMEDIUMTYPE || fd == -ENOENT)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_DEGRADED,
                    "%s: is no regular file of %" G_GUINT64_FORMAT
                    " bytes, as its description says; restore it from a copy, or release the region",
                    path, bytes);
    else if (fd < 0)
        set_errno(error, fd, path, "cannot open");
    return MAX(fd, -1);
}

static void set_held(FileBackend *b, const char *image, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                "%s: a process has it open or mapped (fuser -v names it); stop that process first", path);
}

/* ---- list ---- */

static BackendRaw *raw_new(const FileRegion *region) {
    BackendRaw *raw = g_new0(BackendRaw, 1);

    raw->id = g_strdup(region->name);
    raw->cookie = region->cookie;
    raw->range = region->range;
    raw->node = region->node;
    raw->local_node = region->local_node;
    raw->step = region->step;
    raw->lead = region->lead;
    raw->minimum = region->minimum;
    raw->free_slots = UINT64_MAX;
    raw->kind = BACKEND_RAW_FILE;
    raw->persistence = g_strdup("file");
    return raw;
}

static BackendDevice *device_new(FileBackend *b, const char *name, const FileRecord *record, GError **error) {
    g_autoptr(BackendDevice) device = g_new0(BackendDevice, 1);

    device->role = record_role(record, name, &device->uuid);
    device->raw_id = g_strdup(record->raw);
    device->tag = g_strdup(record->tag);
    device->mode = g_strdup(record->mode);
    device->device = record->device;
    device->state = BACKEND_DEVICE_COMPLETE;
    if (device->role == BACKEND_ROLE_NONE) {
        device->name = g_strdup(record->name);
    } else {
        FileImageFacts facts = { 0 };

        device->name = image_name(record->tag, device->uuid);
        /* Who holds a whole data device matters once it is to be erased or destroyed, and is asked then. */
        int r = file_image_look(b->dirfd, device->name, file_record_usable_bytes(record),
                                device->role == BACKEND_ROLE_DATA ? FILE_IMAGE_ASK_UNLESS_WHOLE : FILE_IMAGE_ASK_ALWAYS,
                                &facts);
        if (r < 0) {
            g_autofree char *path = g_build_filename(b->dir, device->name, NULL);
            set_errno(error, r, path, "cannot look at it");
            return NULL;
        }
        device->held = facts.held;
        if (facts.exists)
            device->path = g_build_filename(b->dir, device->name, NULL);
        if (!facts.whole)
            device->state = BACKEND_DEVICE_PARTIAL;
    }
    if (device->state == BACKEND_DEVICE_COMPLETE)
        device->usable = file_record_usable(record);
    return g_steal_pointer(&device);
}

typedef struct {
    FileBackend *b;
    BackendListing *listing;
} ListVisit;

static bool list_visit(const char *name, const FileRecord *record, void *data, GError **error) {
    const ListVisit *visit = data;
    const FileRegion *region = file_regions_find(visit->b->regions, record->raw);

    /* As a DIMM that was taken out: its devices went with it. */
    if (!region || !frame_range_contains(region->range, record->device))
        return true;
    BackendDevice *device = device_new(visit->b, name, record, error);
    if (device)
        g_ptr_array_add(visit->listing->devices, device);
    return device != NULL;
}

static int compare_start(gconstpointer a, gconstpointer b) {
    const BackendDevice *x = *(BackendDevice *const *) a, *y = *(BackendDevice *const *) b;

    return x->device.start < y->device.start ? -1 : x->device.start > y->device.start;
}

static BackendListing *file_list(Backend *backend, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(BackendListing) listing = backend_listing_new();
    g_autoptr(FileFault) fault = NULL;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_LIST, &fault, error) || !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    for (guint i = 0; i < b->regions->len; i++)
        g_ptr_array_add(listing->raws, raw_new(b->regions->pdata[i]));
    if (!file_records_visit(b->dirfd, b->dir, list_visit, &(ListVisit){ b, listing }, error))
        return NULL;
    g_ptr_array_sort(listing->devices, compare_start);
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&listing) : NULL;
}

/* ---- create ---- */

typedef struct {
    FileBackend *b;
    const BackendCreate *req;
} CreateVisit;

static bool create_refuse_overlap(const char *name, const FileRecord *record, void *data, GError **error) {
    const FileBackend *b = ((CreateVisit *) data)->b;
    const BackendCreate *req = ((CreateVisit *) data)->req;
    sd_id128_t uuid;
    bool foreign = record_role(record, name, &uuid) == BACKEND_ROLE_NONE;

    if (sd_id128_equal(uuid, req->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_EXISTS, "%s/%s: a device with this uuid exists", b->dir, name);
        return false;
    }
    if (!frame_range_overlaps(record->device, req->device))
        return true;
    g_set_error(error, PMEMD_ERROR, foreign ? PMEMD_ERROR_BUSY : PMEMD_ERROR_EXISTS,
                "frames " HEX " - " HEX " overlap the %s device %s/%s, which has " HEX " - " HEX, req->device.start,
                req->device.end, foreign ? "foreign" : "pmemd", b->dir, name, record->device.start, record->device.end);
    return false;
}

/* No device has the uuid or any of the frames. */
static bool create_check_others(FileBackend *b, const BackendCreate *req, GError **error) {
    g_autofree char *name = record_name(req->uuid);
    bool clear;

    if (!file_index_is_clear(b->index, req->device, &clear, error))
        return false;
    if (clear && faccessat(b->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return true;
    /* Something is in the way, or may be: who, that the descriptions themselves must say. */
    return file_records_visit(b->dirfd, b->dir, create_refuse_overlap, &(CreateVisit){ b, req }, error);
}

static const FileRegion *create_check(FileBackend *b, const BackendCreate *req, GError **error) {
    const FileRegion *region = file_regions_find(b->regions, req->raw_id);

    if (!region) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT, "%s/" REGIONS_NAME ": has no region %s", b->dir,
                    req->raw_id);
        return NULL;
    }
    uint32_t id = 0;
    if (backend_tag_parse(req->tag, NULL, &id) == BACKEND_ROLE_NONE || sd_id128_is_null(req->uuid) ||
        id != backend_tag_number(req->uuid)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "the tag %s does not belong to the device's uuid",
                    req->tag);
        return NULL;
    }

    uint64_t step = region->step >> PMEMD_FRAME_SHIFT;
    if (req->device.start >= req->device.end || !frame_range_contains(region->range, req->device) ||
        (req->device.start - region->range.start) % step != 0 || frame_range_frames(req->device) % step != 0 ||
        frame_range_frames(req->device) < region->minimum >> PMEMD_FRAME_SHIFT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "frames " HEX " - " HEX " cannot be a device of region %s: it has " HEX " - " HEX
                    ", its devices start and end at multiples of " HEX " frames from its start and have at least " HEX
                    " frames",
                    req->device.start, req->device.end, region->name, region->range.start, region->range.end, step,
                    region->minimum >> PMEMD_FRAME_SHIFT);
        return NULL;
    }
    return create_check_others(b, req, error) ? region : NULL;
}

static void create_set_errno(FileBackend *b, int r, const char *image, uint64_t bytes, GError **error) {
    g_autofree char *path = g_build_filename(b->dir, image, NULL);

    if (r == -EFBIG)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                    "%s: the file system cannot hold a file of %" G_GUINT64_FORMAT
                    " bytes; make a smaller region, or use another file system (XFS takes 8 EiB)",
                    path, bytes);
    else if (r == -EEXIST)
        g_set_error(
            error, PMEMD_ERROR, PMEMD_ERROR_EXISTS,
            "%s: exists, but no description (" FILE_RECORD_SUFFIX ") goes with it; move it out of the directory", path);
    else
        set_errno(error, r, path, "cannot make a device of %" G_GUINT64_FORMAT " bytes", bytes);
}

/* What create has to know to undo itself. */
typedef struct {
    char *image;
    char *name;   /* of the description */
    bool visible; /* the description may be in its place, put there by us */
} Creation;

static void creation_clear(Creation *c) {
    g_free(c->image);
    g_free(c->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, creation_clear)

/* After a failure that really happened (not an ordered one): true when nothing of it is left, durably. */
static bool creation_undo(FileBackend *b, const Creation *c) {
    g_autofree char *image_temp = file_io_temp_name(c->image);
    g_autofree char *name_temp = file_io_temp_name(c->name);

    /* The image is in its place, but perhaps not durably: complete or partial, that is for a later look to say. */
    if (c->visible && faccessat(b->dirfd, image_temp, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return file_io_remove(b->dirfd, image_temp) == 0 && file_io_remove(b->dirfd, name_temp) == 0 &&
           (!c->visible || file_io_remove(b->dirfd, c->name) == 0) && fsync(b->dirfd) == 0;
}

static BackendDevice *file_create(Backend *backend, const BackendCreate *req, BackendOutcome *ret_outcome,
                                  GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;

    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_CREATE, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    const FileRegion *region = create_check(b, req, error);
    if (!region)
        return NULL;

    g_auto(Creation) creation = { .image = image_name(req->tag, req->uuid), .name = record_name(req->uuid) };
    FileRecord record = {
        .tag = (char *) req->tag,
        .raw = region->name,
        .device = req->device,
        .lead = region->lead,
        .mode = (char *) "file",
        .name = creation.image,
    };
    uint64_t bytes = file_record_usable_bytes(&record);
    g_autofree char *text = file_record_format(&record);
    bool preallocate = backend_tag_parse(req->tag, NULL, NULL) == BACKEND_ROLE_MGMT;

    int r = file_image_write_temp(b->dirfd, creation.image, bytes, preallocate);
    if (r == 0)
        r = file_io_write_temp(b->dirfd, creation.name, text);
    /* An image without description is nobody's that we know of. One that comes after this look stops the move. */
    if (r == 0 && faccessat(b->dirfd, creation.image, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        r = -EEXIST;
    if (r == 0 && !file_fault_hit(fault, FILE_FAULT_PREPARED, error))
        return NULL;
    if (r == 0) {
        r = file_io_commit_temp(b->dirfd, creation.name, false);
        creation.visible = r != -EEXIST;
        if (r == 0)
            file_index_added(b->index, creation.name, record.device);
        else
            file_index_distrust(b->index);
    }
    if (r == 0) {
        *ret_outcome = BACKEND_UNKNOWN;
        if (!file_fault_hit(fault, FILE_FAULT_PARTIAL, error))
            return NULL;
        r = file_io_commit_temp(b->dirfd, creation.image, false);
    }
    if (r < 0) {
        create_set_errno(b, r, creation.image, bytes, error);
        file_index_distrust(b->index);
        *ret_outcome = creation_undo(b, &creation) ? BACKEND_UNCHANGED : BACKEND_UNKNOWN;
        return NULL;
    }
    if (!file_fault_hit(fault, FILE_FAULT_AFTER, error))
        return NULL;
    return device_new(b, creation.name, &record, error);
}

/* ---- destroy ---- */

static bool file_destroy(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                         GError **error) {
    FileBackend *b = file_backend(backend);
    g_autofree char *name = record_name(uuid);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    FileImageFacts facts;

    *ret_outcome = BACKEND_UNCHANGED;
    if (!file_fault_begin(b->dirfd, FILE_FAULT_DESTROY, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return false;

    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    if (!record)
        return true;
    sd_id128_t named;
    if (record_role(record, name, &named) == BACKEND_ROLE_NONE || g_strcmp0(record->tag, tag) != 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL,
                    "%s/%s: has the tag \"%s\", not \"%s\": it is another device and was left alone", b->dir, name,
                    record->tag, tag);
        return false;
    }

    g_autofree char *image = image_name(record->tag, uuid);
    g_autofree char *temp = file_io_temp_name(image);
    g_autofree char *path = g_build_filename(b->dir, image, NULL);
    int r = file_image_look(b->dirfd, image, file_record_usable_bytes(record), FILE_IMAGE_ASK_ALWAYS, &facts);
    if (r < 0) {
        set_errno(error, r, path, "cannot look at it");
        return false;
    }
    if (facts.held) {
        set_held(b, image, error);
        return false;
    }

    *ret_outcome = BACKEND_UNKNOWN;
    r = file_io_remove(b->dirfd, temp);
    if (r == 0)
        r = file_io_remove(b->dirfd, image);
    if (r == 0 && fsync(b->dirfd) < 0)
        r = -errno;
    if (r == 0 && !file_fault_hit(fault, FILE_FAULT_PARTIAL, error))
        return false;
    if (r == 0) {
        r = file_io_remove(b->dirfd, name);
        if (r == 0)
            file_index_removed(b->index, name, record->device);
        else
            file_index_distrust(b->index);
    }
    if (r == 0 && fsync(b->dirfd) < 0)
        r = -errno;
    if (r < 0) {
        set_errno(error, r, path, "cannot remove it and its description");
        return false;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error);
}

/* ---- media and content ---- */

/* What is left of an image that is to be erased, and its length. A destruction that was cut off has removed it
 * already (-1 without error, 0 bytes), and one that somebody shortened must not stay quarantined for ever. */
static int image_open_left(FileBackend *b, const char *image, uint64_t *ret_bytes, GError **error) {
    struct stat st;

    if (fstatat(b->dirfd, image, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        *ret_bytes = 0;
        return -1;
    }
    int fd = image_open(b, image, FILE_IMAGE_ANY_SIZE, error);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0) {
        set_errno(error, -errno, b->dir, "cannot stat %s", image);
        close(fd);
        return -1;
    }
    *ret_bytes = (uint64_t) st.st_size;
    return fd;
}

/* What a caller who wants to open a device of ours needs: the descriptor of its whole image (of a data device: of
 * what is left of it, as above), or -1 with error. */
static int device_open(FileBackend *b, sd_id128_t uuid, BackendRole role, const FileRegion **ret_region,
                       char **ret_image, uint64_t *ret_bytes, GError **error) {
    g_autofree char *name = record_name(uuid);
    g_autoptr(GError) failure = NULL;
    g_autoptr(FileRecord) record = file_record_read(b->dirfd, b->dir, name, &failure);
    const FileRegion *region = record ? file_regions_find(b->regions, record->raw) : NULL;
    sd_id128_t named;

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return -1;
    }
    if (!record || !region || !frame_range_contains(region->range, record->device)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION, "%s/%s: no such device", b->dir, name);
        return -1;
    }
    if (record_role(record, name, &named) != role) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL,
                    "%s/%s: has the tag \"%s\", which is not that of a %s device: it was left alone", b->dir, name,
                    record->tag, role == BACKEND_ROLE_MGMT ? "management" : "data");
        return -1;
    }

    g_autofree char *image = image_name(record->tag, uuid);
    uint64_t bytes = file_record_usable_bytes(record);
    int fd =
        role == BACKEND_ROLE_DATA ? image_open_left(b, image, &bytes, &failure) : image_open(b, image, bytes, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return -1;
    }
    *ret_region = region;
    *ret_bytes = bytes;
    *ret_image = g_steal_pointer(&image);
    return fd;
}

/* The image as mapped memory if the region wants it that way. NULL without error: to be used as a file. Owns fd only
 * when it gives a medium. */
static Medium *map_image(int fd, uint64_t bytes, const FileRegion *region, GError **error) {
    g_autoptr(GError) failure = NULL;

    if (region->medium == FILE_REGION_MEDIUM_FILE)
        return NULL;
    Medium *m = medium_mapped_new(fd, bytes, region->medium == FILE_REGION_MEDIUM_MAPPED, &failure);
    if (!m && !(region->medium == FILE_REGION_MEDIUM_AUTO &&
                g_error_matches(failure, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED)))
        g_propagate_error(error, g_steal_pointer(&failure));
    return m;
}

static Medium *file_open_medium(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *image = NULL;
    const FileRegion *region;
    uint64_t bytes = 0;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_OPEN_MEDIUM, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    int fd = device_open(b, uuid, BACKEND_ROLE_MGMT, &region, &image, &bytes, error);
    if (fd < 0)
        return NULL;
    g_autoptr(Medium) m = map_image(fd, bytes, region, &failure);
    if (!m && !failure)
        m = medium_file_new(fd, bytes, &failure);
    if (!m) {
        close(fd);
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s/%s: ", b->dir, image);
        return NULL;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&m) : NULL;
}

static int content_zero(BackendContent *content, uint64_t off, uint64_t len) {
    FileContent *c = (FileContent *) content;
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;

    if (off > content->size || len > content->size - off)
        return -EINVAL;
    if (c->fd < 0)
        return 0; /* no image is left */
    if (!file_fault_begin(c->dirfd, FILE_FAULT_ZERO, &fault, &failure) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, &failure))
        return -pmemd_error_errno(failure->code);
    int r = file_image_zero(c->fd, c->mapped, off, len / 2);
    if (r < 0)
        return r;
    if (!file_fault_hit(fault, FILE_FAULT_PARTIAL, &failure))
        return -pmemd_error_errno(failure->code);
    r = file_image_zero(c->fd, c->mapped, off + len / 2, len - len / 2);
    if (r < 0)
        return r;
    return file_fault_hit(fault, FILE_FAULT_AFTER, &failure) ? 0 : -pmemd_error_errno(failure->code);
}

static void content_free(BackendContent *content) {
    FileContent *c = (FileContent *) content;

    medium_free(c->mapped);
    if (c->fd >= 0)
        close(c->fd);
    if (c->dirfd >= 0)
        close(c->dirfd);
    g_free(c);
}

static BackendContent *file_open_content(Backend *backend, sd_id128_t uuid, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *image = NULL;
    const FileRegion *region;
    uint64_t bytes = 0;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_OPEN_CONTENT, &fault, error) ||
        !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    int fd = device_open(b, uuid, BACKEND_ROLE_DATA, &region, &image, &bytes, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (fd >= 0 && file_image_held(fd)) {
        close(fd);
        set_held(b, image, error);
        return NULL;
    }

    g_autoptr(BackendContent) content = (BackendContent *) g_new0(FileContent, 1);
    FileContent *c = (FileContent *) content;
    content->size = bytes;
    content->zero = content_zero;
    content->free = content_free;
    c->fd = fd;
    c->dirfd = fcntl(b->dirfd, F_DUPFD_CLOEXEC, 0);
    if (c->dirfd >= 0 && bytes == 0)
        return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&content) : NULL; /* nothing to erase */
    int map_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (c->dirfd < 0 || map_fd < 0) {
        set_errno(error, -errno, b->dir, "cannot open %s for erasing", image);
        if (map_fd >= 0)
            close(map_fd);
        return NULL;
    }
    c->mapped = map_image(map_fd, bytes, region, &failure);
    if (!c->mapped)
        close(map_fd);
    if (failure) {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s/%s: ", b->dir, image);
        return NULL;
    }
    return file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&content) : NULL;
}

/* ---- the backend itself ---- */

static void file_free(Backend *backend) {
    FileBackend *b = file_backend(backend);

    g_clear_pointer(&b->regions, g_ptr_array_unref);
    file_index_free(b->index);
    if (b->regions_fd >= 0)
        close(b->regions_fd);
    if (b->lock_fd >= 0)
        close(b->lock_fd);
    if (b->dirfd >= 0)
        close(b->dirfd);
    g_free(b->dir);
    g_free(b);
}

static const BackendOps file_ops = {
    .name = "file",
    .list = file_list,
    .create = file_create,
    .destroy = file_destroy,
    .open_medium = file_open_medium,
    .open_content = file_open_content,
    .free = file_free,
};

/* Who may write here could swap images, lengthen and cut them, or order failures. */
static bool ours_alone(int fd, const char *path, GError **error) {
    struct stat st;

    if (fstat(fd, &st) < 0) {
        set_errno(error, -errno, path, "cannot stat");
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    g_set_error(
        error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
        "%s: is owned by uid %u with mode %04o; must be owned by uid %u, which pmemd runs as, and not be writable by "
        "group or others (chown %u, chmod go-w)",
        path, st.st_uid, st.st_mode & 07777u, geteuid(), geteuid());
    return false;
}

/* Two locks: an editor that saves regions.conf puts another file in its place, on which nobody has ours; but
 * regions.conf is what others are told to lock. */
static bool lock_alone(int fd, const char *path, GError **error) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                    "%s: another pmemd uses this directory (fuser -v names it); stop it first", path);
    else
        set_errno(error, -errno, path, "cannot lock");
    return false;
}

Backend *backend_file_new(const char *dir, GError **error) {
    FileBackend *b = g_new0(FileBackend, 1);
    g_autoptr(Backend) backend = &b->base;
    g_autofree char *path = NULL, *text = NULL;

    b->base.ops = &file_ops;
    b->dir = g_canonicalize_filename(dir, NULL);
    b->regions_fd = b->lock_fd = -1;
    path = g_build_filename(b->dir, REGIONS_NAME, NULL);

    b->dirfd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->dirfd < 0) {
        set_errno(error, -errno, b->dir, "cannot open the directory of the file backend");
        return NULL;
    }
    if (!ours_alone(b->dirfd, b->dir, error))
        return NULL;
    b->lock_fd = openat(b->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->lock_fd < 0) {
        set_errno(error, -errno, b->dir, "cannot make the lock file %s", LOCK_NAME);
        return NULL;
    }
    if (!lock_alone(b->lock_fd, b->dir, error))
        return NULL;
    b->regions_fd = openat(b->dirfd, REGIONS_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (b->regions_fd < 0) {
        set_errno(error, -errno, path, "cannot open the file that names the raw regions");
        return NULL;
    }
    if (!ours_alone(b->regions_fd, path, error) || !lock_alone(b->regions_fd, path, error))
        return NULL;

    int r = file_io_read_fd(b->regions_fd, REGIONS_MAX, &text);
    if (r < 0) {
        set_errno(error, r, path, "cannot read it as a text file of at most 1 MiB");
        return NULL;
    }
    b->regions = file_regions_parse(text, path, error);
    if (!b->regions)
        return NULL;
    r = file_io_remove_temps(b->dirfd);
    if (r < 0) {
        set_errno(error, r, b->dir, "cannot remove the files that were being written");
        return NULL;
    }
    b->index = file_index_new(b->dirfd, b->dir);
    return g_steal_pointer(&backend);
}
