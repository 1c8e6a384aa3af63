/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the file backend has: raw regions, a device for each description, and images that lost theirs. A description that
 * cannot be read is listed with what is known of it, and stops nothing but new devices.
 */
#include "daemon/backend-file-internal.h"

#include "daemon/file-fault.h"
#include "daemon/file-image.h"
#include "daemon/file-regions.h"
#include "proto/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static BackendRaw *raw_new(const FileRegion *region, const FileHealth *health) {
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
    raw->zeroed = region->zeroed;
    raw->persistence = g_strdup("file");
    raw->bad = file_health_bad(health, region->name, &raw->bad_all);
    raw->health = file_health_dimms(health, region->name);
    for (guint i = 0; raw->health && i < raw->health->len && !raw->unusable; i++)
        raw->unusable = dimm_health_unusable(g_ptr_array_index(raw->health, i));
    return raw;
}

BackendDevice *file_backend_device(FileBackend *b, const char *name, const FileRecord *record, GError **error) {
    g_autoptr(BackendDevice) device = g_new0(BackendDevice, 1);

    device->role = file_backend_role(record, name, &device->uuid);
    device->raw_id = g_strdup(record->raw);
    device->tag = g_strdup(record->tag);
    device->mode = g_strdup(record->mode);
    device->device = record->device;
    device->state = BACKEND_DEVICE_COMPLETE;
    if (device->role == BACKEND_ROLE_NONE) {
        device->name = g_strdup(record->name);
    } else {
        FileImageFacts facts = { 0 };

        device->name = file_backend_image_name(record->tag, device->uuid);
        /* Who holds a whole data device matters once it is to be erased or destroyed, and is asked then. */
        int r = file_image_look(b->dirfd, device->name, file_record_usable_bytes(record),
                                device->role == BACKEND_ROLE_DATA ? FILE_IMAGE_ASK_UNLESS_WHOLE : FILE_IMAGE_ASK_ALWAYS,
                                &facts);
        if (r < 0) {
            g_autofree char *path = g_build_filename(b->dir, device->name, NULL);
            file_backend_set_errno(error, r, path, "cannot look at it");
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

/* ---- the directory ---- */

#define IMAGE_SUFFIX ".img"

typedef struct {
    GPtrArray *records; /* char *: names of descriptions */
    GHashTable *images; /* char *: names of what may be images of ours; a set */
} Names;

static void names_clear(Names *names) {
    g_clear_pointer(&names->records, g_ptr_array_unref);
    g_clear_pointer(&names->images, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Names, names_clear)

/* Is it such a name as file_backend_image_name() gives? */
static bool is_image_name(const char *name) {
    const char *uuid = strchr(name, '-');
    sd_id128_t parsed;

    if (!uuid || !g_str_has_suffix(uuid, IMAGE_SUFFIX))
        return false;
    g_autofree char *text = g_strndup(uuid + 1, strlen(uuid + 1) - strlen(IMAGE_SUFFIX));
    return (g_str_has_prefix(name, "data-") || g_str_has_prefix(name, "mgmt-")) && pmemd_uuid_parse(text, &parsed);
}

static bool read_names(FileBackend *b, Names *names, GError **error) {
    int fd = openat(b->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int errnum = errno;

    names->records = g_ptr_array_new_with_free_func(g_free);
    names->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (errno = d ? 0 : errnum; d && (entry = readdir(d)); errno = 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (g_str_has_suffix(entry->d_name, FILE_RECORD_SUFFIX))
            g_ptr_array_add(names->records, g_strdup(entry->d_name));
        else if (is_image_name(entry->d_name))
            g_hash_table_add(names->images, g_strdup(entry->d_name));
    }
    errnum = errno;
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    if (errnum != 0)
        file_backend_set_errno(error, -errnum, b->dir, "cannot list");
    return errnum == 0;
}

/* ---- the devices ---- */

/* All descriptions, shared out among threads: most of the time is the kernel's, which opens the files one by one. */
typedef struct {
    FileBackend *b;
    GPtrArray *names;
    BackendDevice **devices; /* by name; NULL: none */
    GError **errors;
    gint next;
} Look;

#define LOOK_SHARE 64 /* names that a thread takes at a time */
#define LOOK_THREADS_MAX 4u

/* What one damaged file can cause; all else is no description's own fault, and then what is there is not known. */
static bool is_unreadable(const GError *error) {
    return g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT) ||
           g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE) ||
           g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED);
}

/* A file that is nobody's device: neither its frames nor its raw region are known. */
static BackendDevice *stranger_new(const char *name, const char *mode, const char *tag) {
    BackendDevice *device = g_new0(BackendDevice, 1);

    device->name = g_strdup(name);
    device->raw_id = g_strdup("");
    device->tag = g_strdup(tag);
    device->mode = g_strdup(mode);
    device->role = BACKEND_ROLE_NONE;
    device->state = BACKEND_DEVICE_PARTIAL;
    return device;
}

static void look_at(Look *look, guint i) {
    const char *name = g_ptr_array_index(look->names, i);
    g_autoptr(FileRecord) record = file_record_read(look->b->dirfd, look->b->dir, name, &look->errors[i]);

    if (look->errors[i] && is_unreadable(look->errors[i])) {
        /* A region that has its uuid is neither there nor gone: the tag is not its own. */
        BackendDevice *device = stranger_new(name, "unreadable", "(unreadable description)");

        (void) file_backend_parse_name(name, &device->uuid);
        look->devices[i] = device;
    }
    const FileRegion *region = record ? file_regions_find(look->b->regions, record->raw) : NULL;
    /* Without its region it is as on a DIMM that was taken out: its devices went with it. */
    if (region && frame_range_contains(region->range, record->device))
        look->devices[i] = file_backend_device(look->b, name, record, &look->errors[i]);
}

static gpointer look_some(gpointer data) {
    Look *look = data;

    for (;;) {
        guint from = (guint) g_atomic_int_add(&look->next, LOOK_SHARE);

        if (from >= look->names->len)
            return NULL;
        for (guint i = from; i < MIN(from + LOOK_SHARE, look->names->len); i++)
            look_at(look, i);
    }
}

static void look_at_all(Look *look) {
    guint threads = MIN(MIN(g_get_num_processors(), LOOK_THREADS_MAX), look->names->len / (2 * LOOK_SHARE) + 1);
    GThread *others[LOOK_THREADS_MAX] = { NULL };

    for (guint i = 1; i < threads; i++)
        others[i] = g_thread_try_new("pmemd-list", look_some, look, NULL); /* none: this one does it all */
    look_some(look);
    for (guint i = 1; i < threads; i++)
        if (others[i])
            g_thread_join(others[i]);
}

/* An image whose description is gone: nobody knows which frames it had, and nothing is made of its name. */
static BackendDevice *leftover_new(FileBackend *b, const char *image) {
    BackendDevice *device = stranger_new(image, "leftover", "");

    device->path = g_build_filename(b->dir, image, NULL);
    return device;
}

/* Where may a device be whose description cannot be read? Anywhere: nothing new is made until that is known. */
static void refuse_new(GPtrArray *raws, const GError *reason) {
    for (guint i = 0; i < raws->len; i++) {
        BackendRaw *raw = g_ptr_array_index(raws, i);

        if (!raw->unusable)
            raw->unusable = g_strdup_printf("%s; then restart pmemd", reason->message);
    }
}

/* Moves what was found into the listing; false: a device could not be looked at. */
static bool take_found(const Look *look, BackendListing *listing, GHashTable *images, GError **error) {
    bool ok = true;

    for (guint i = 0; i < look->names->len; i++) {
        BackendDevice *device = look->devices[i];
        g_autoptr(GError) failure = look->errors[i];
        const char *name = g_ptr_array_index(look->names, i);
        sd_id128_t uuid;

        if (failure && device)
            refuse_new(listing->raws, failure);
        else if (failure && ok) {
            g_propagate_error(error, g_steal_pointer(&failure));
            ok = false;
        }
        if (device)
            g_ptr_array_add(listing->devices, device);
        /* What goes with a description, also one that is not listed or cannot be read, is no leftover. */
        for (guint role = 0; role < 2 && file_backend_parse_name(name, &uuid); role++) {
            g_autofree char *image = file_backend_image_name(role == 0 ? "pmemd:data:" : "pmemd:mgmt:", uuid);

            g_hash_table_remove(images, image);
        }
    }
    return ok;
}

static int compare_start(gconstpointer a, gconstpointer b) {
    const BackendDevice *x = *(BackendDevice *const *) a, *y = *(BackendDevice *const *) b;

    if (x->device.start != y->device.start)
        return x->device.start < y->device.start ? -1 : 1;
    return strcmp(x->name, y->name);
}

BackendListing *file_backend_look(FileBackend *b, GError **error) {
    g_autoptr(BackendListing) listing = backend_listing_new();
    g_autoptr(FileHealth) health = NULL;
    g_auto(Names) names = { 0 };
    GHashTableIter iter;
    gpointer image;

    if (!file_backend_read_health(b, &health, error))
        return NULL;
    for (guint i = 0; i < b->regions->len; i++)
        g_ptr_array_add(listing->raws, raw_new(b->regions->pdata[i], health));
    if (!read_names(b, &names, error))
        return NULL;

    g_autofree BackendDevice **devices = g_new0(BackendDevice *, names.records->len + 1);
    g_autofree GError **errors = g_new0(GError *, names.records->len + 1);
    Look look = { .b = b, .names = names.records, .devices = devices, .errors = errors };
    look_at_all(&look);
    if (!take_found(&look, listing, names.images, error))
        return NULL;
    g_hash_table_iter_init(&iter, names.images);
    while (g_hash_table_iter_next(&iter, &image, NULL))
        g_ptr_array_add(listing->devices, leftover_new(b, image));
    g_ptr_array_sort(listing->devices, compare_start);
    return g_steal_pointer(&listing);
}

BackendListing *file_backend_list(Backend *backend, GError **error) {
    FileBackend *b = file_backend(backend);
    g_autoptr(FileFault) fault = NULL;

    if (!file_fault_begin(b->dirfd, FILE_FAULT_LIST, &fault, error) || !file_fault_hit(fault, FILE_FAULT_BEFORE, error))
        return NULL;
    g_autoptr(BackendListing) listing = file_backend_look(b, error);
    return listing && file_fault_hit(fault, FILE_FAULT_AFTER, error) ? g_steal_pointer(&listing) : NULL;
}
