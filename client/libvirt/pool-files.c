/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Files have an entry while the kernel knows their ids, while they are open, and while they are new. One lock, held for a few
 * instructions or a listing.
 */
#include "client/libvirt/pool-files.h"

#include "proto/types.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define BLOCK 4096u

typedef enum {
    FILE_VOLUME,
    FILE_NEW,
    FILE_MAKING,   /* pmemd was asked */
    FILE_DOUBTFUL, /* its caller was told that it failed; what becomes of it is not known yet */
} FileState;

typedef struct {
    uint64_t id;
    FileState state;
    char *name;
    char *uuid;     /* of the volume; NULL: not one */
    uint64_t asked; /* bytes, when it was made here; 0: it was not */
    uint64_t lookups;
    unsigned opens;
    bool ordered; /* settled() has not been called */
    /* A size was, and who was told so does not open it again. Not so where another's volume has the name: who made this file may remove
     * it next, and means no other. */
    bool refused;
    bool removed; /* by its maker, while it was doubtful */
    struct timespec born;
    uint64_t closed_usec; /* monotonic, of the last close */
} File;

/* Which file the kernel was told has a name. */
typedef struct {
    uint64_t id;
    uint64_t usec; /* monotonic */
} Told;

struct PoolFiles {
    GMutex lock;
    uint64_t linger_usec;
    char *pool_uuid;
    RegionView *view;
    uint64_t last_id;
    GHashTable *by_id;   /* &File.id -> File *, owned */
    GHashTable *by_uuid; /* those that are volumes */
    GHashTable *new;     /* name -> File *: those that are not */
    GHashTable *told;    /* name -> Told *: the last ones, a second of them at least */
    guint told_max;      /* more than this, and what is older goes */
    struct timespec changed;
};

static void file_free(gpointer data) {
    File *file = data;

    g_free(file->name);
    g_free(file->uuid);
    g_free(file);
}

PoolFiles *pool_files_new(const char *pool_uuid, RegionView *view, uint64_t linger_usec) {
    PoolFiles *files = g_new0(PoolFiles, 1);

    files->linger_usec = linger_usec;
    g_mutex_init(&files->lock);
    files->pool_uuid = g_strdup(pool_uuid);
    files->last_id = POOL_FILES_ROOT;
    files->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, file_free);
    files->by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
    files->new = g_hash_table_new(g_str_hash, g_str_equal);
    files->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    clock_gettime(CLOCK_REALTIME, &files->changed);
    if (view)
        files->view = region_view_ref(view);
    return files;
}

void pool_files_free(PoolFiles *files) {
    if (!files)
        return;
    g_hash_table_unref(files->told);
    g_hash_table_unref(files->new);
    g_hash_table_unref(files->by_uuid);
    g_hash_table_unref(files->by_id);
    region_view_unref(files->view);
    g_mutex_clear(&files->lock);
    g_free(files->pool_uuid);
    g_free(files);
}

void pool_files_set_view(PoolFiles *files, RegionView *view) {
    RegionView *old;

    g_mutex_lock(&files->lock);
    old = files->view;
    files->view = region_view_ref(view);
    clock_gettime(CLOCK_REALTIME, &files->changed);
    g_mutex_unlock(&files->lock);
    region_view_unref(old); /* not under the lock: it may be a large one */
}

RegionView *pool_files_get_view(PoolFiles *files) {
    g_mutex_lock(&files->lock);
    RegionView *view = files->view ? region_view_ref(files->view) : NULL;
    g_mutex_unlock(&files->lock);
    return view;
}

/* ---- under the lock ---- */

static const RegionViewPool *pool_of(const PoolFiles *files) {
    return region_view_find_pool(files->view, files->pool_uuid);
}

static File *find(const PoolFiles *files, uint64_t id) {
    return g_hash_table_lookup(files->by_id, &id);
}

static File *add(PoolFiles *files, FileState state, const char *name) {
    File *file = g_new0(File, 1);

    file->id = ++files->last_id;
    file->state = state;
    file->name = g_strdup(name);
    clock_gettime(CLOCK_REALTIME, &file->born);
    g_hash_table_insert(files->by_id, &file->id, file);
    return file;
}

static bool lingers(const PoolFiles *files, const File *file) {
    return !file->removed && !file->refused &&
           (uint64_t) g_get_monotonic_time() - file->closed_usec < files->linger_usec;
}

/* A new file that its maker has removed, or nobody has had open for a while, is not there any more. */
static void settle(PoolFiles *files, File *file) {
    bool is_new = g_hash_table_lookup(files->new, file->name) == file;

    if (is_new && file->state == FILE_NEW && (file->removed || (file->opens == 0 && !lingers(files, file)))) {
        g_hash_table_remove(files->new, file->name);
        is_new = false;
    }
    if (file->lookups > 0 || file->opens > 0 || file->ordered || is_new)
        return;
    if (file->uuid && g_hash_table_lookup(files->by_uuid, file->uuid) == file)
        g_hash_table_remove(files->by_uuid, file->uuid);
    g_hash_table_remove(files->by_id, &file->id);
}

/* Of new files those whose time is over. */
static void settle_all(PoolFiles *files) {
    g_autoptr(GList) list = g_hash_table_get_values(files->new);

    for (GList *l = list; l; l = l->next)
        settle(files, l->data);
}

static struct timespec time_of(uint64_t usec) {
    return (struct timespec){ .tv_sec = (time_t) (usec / 1000000), .tv_nsec = (long) (usec % 1000000) * 1000 };
}

/* The same number for a volume each time, whoever asks: of its uuid, which is random. */
static uint64_t ino_of(const char *uuid) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = uuid; *c; c++)
        hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001b3);
    return hash | UINT64_C(1) << 63; /* none that an id has */
}

static struct stat file_stat(const PoolFiles *files, const File *file) {
    const RegionViewVolume *volume = file->uuid ? region_view_by_uuid(files->view, file->uuid, NULL) : NULL;
    struct stat st = { .st_mode = S_IFREG | 0600, .st_blksize = BLOCK, .st_ino = file->id };

    st.st_nlink = volume || file->state != FILE_VOLUME ? 1 : 0;
    st.st_mtim = file->born;
    if (volume) {
        st.st_size = (off_t) volume->bytes;
        st.st_blocks = (blkcnt_t) (volume->bytes / 512);
        st.st_mtim = time_of(volume->mtime_usec);
    }
    if (file->uuid)
        st.st_ino = ino_of(file->uuid);
    st.st_atim = st.st_ctim = st.st_mtim;
    return st;
}

static struct stat directory_stat(const PoolFiles *files) {
    return (struct stat){ .st_mode = S_IFDIR | 0711,
                          .st_nlink = 2,
                          .st_ino = POOL_FILES_ROOT,
                          .st_blksize = BLOCK,
                          .st_atim = files->changed,
                          .st_mtim = files->changed,
                          .st_ctim = files->changed };
}

static gboolean told_long_ago(gpointer name, gpointer value, gpointer data) {
    const Told *told = value;
    const uint64_t *now = data;

    return *now - told->usec > 2 * POOL_FILES_KEPT_USEC;
}

static void tell(PoolFiles *files, const char *name, const File *file) {
    Told *told = g_hash_table_lookup(files->told, name);
    uint64_t now = (uint64_t) g_get_monotonic_time();

    if (!told) {
        if (g_hash_table_size(files->told) >= files->told_max) {
            g_hash_table_foreach_remove(files->told, told_long_ago, &now);
            files->told_max = 2 * g_hash_table_size(files->told) + POOL_FILES_NEW_MAX;
        }
        told = g_new0(Told, 1);
        g_hash_table_insert(files->told, g_strdup(name), told);
    }
    *told = (Told){ .id = file->id, .usec = now };
}

/* What has this name is what the kernel goes by, and so whoever looked before. It looks a name up again before it removes it, but for a
 * second after the last time. */
static bool means(const PoolFiles *files, const char *name, const char *uuid) {
    const Told *told = g_hash_table_lookup(files->told, name);
    const File *file = g_hash_table_lookup(files->by_uuid, uuid);

    return !told || (file && file->id == told->id);
}

static int lookup(PoolFiles *files, const char *name, File **ret_file) {
    settle_all(files);

    File *file = g_hash_table_lookup(files->new, name);

    if (file && file->removed)
        return -ENOENT;
    if (!file) {
        const RegionViewVolume *volume = region_view_find_volume(pool_of(files), name);
        if (!volume)
            return -ENOENT;
        file = g_hash_table_lookup(files->by_uuid, volume->uuid);
        if (!file) {
            file = add(files, FILE_VOLUME, name);
            file->uuid = g_strdup(volume->uuid);
            file->born = time_of(volume->mtime_usec);
            g_hash_table_insert(files->by_uuid, file->uuid, file);
        }
    }
    *ret_file = file;
    return 0;
}

/* 1: to be made. */
static int set_bytes(PoolFiles *files, uint64_t id, uint64_t bytes, bool at_least, char **ret_name) {
    File *file = find(files, id);

    if (!file)
        return -ENOENT;
    if (file->state == FILE_VOLUME) {
        uint64_t has = (uint64_t) file_stat(files, file).st_size;

        bool was_asked = file->asked != 0 && bytes == file->asked;
        return bytes == has || was_asked || (at_least && bytes <= has) ? 0 : -EOPNOTSUPP;
    }
    if (file->state != FILE_NEW)
        return -EBUSY;
    /* Who still has it open after it was removed makes nothing, and least of all under a name that may be another file's. */
    if (file->removed || g_hash_table_lookup(files->new, file->name) != file)
        return -ENOENT;
    if (bytes == 0)
        return 0;
    file->state = FILE_MAKING;
    file->ordered = true;
    file->asked = bytes;
    *ret_name = g_strdup(file->name);
    return 1;
}

static int create(PoolFiles *files, const char *name, File **ret_file) {
    const RegionViewPool *pool = pool_of(files);

    settle_all(files);
    if (!pmemd_name_is_valid(name))
        return -EINVAL;
    if (!pool || !pool->usable)
        return -EROFS;
    if (g_hash_table_contains(files->new, name) || region_view_find_volume(pool, name))
        return -EEXIST;
    if (g_hash_table_size(files->new) >= POOL_FILES_NEW_MAX)
        return -EDQUOT;
    File *file = add(files, FILE_NEW, name);
    g_hash_table_insert(files->new, file->name, file);
    *ret_file = file;
    return 0;
}

static int unlink_file(PoolFiles *files, const char *name, char **ret_uuid) {
    File *file = g_hash_table_lookup(files->new, name);
    const RegionViewPool *pool = pool_of(files);

    if (file && file->removed)
        return -ENOENT;
    if (file && file->state == FILE_MAKING)
        return -EBUSY;
    if (file) {
        file->removed = true;
        settle(files, file);
        return 0;
    }
    const RegionViewVolume *volume = region_view_find_volume(pool, name);
    if (!volume)
        return -ENOENT;
    if (!pool->usable)
        return -EROFS;
    if (!means(files, name, volume->uuid))
        return -EBUSY;
    *ret_uuid = g_strdup(volume->uuid);
    return 1;
}

/* ---- for everybody ---- */

int pool_files_lookup(PoolFiles *files, const char *name, uint64_t *ret_id, struct stat *ret_stat) {
    File *file = NULL;

    g_mutex_lock(&files->lock);
    int r = lookup(files, name, &file);
    if (r < 0)
        g_hash_table_remove(files->told, name);
    else {
        tell(files, name, file);
        file->lookups++;
        *ret_id = file->id;
        *ret_stat = file_stat(files, file);
    }
    g_mutex_unlock(&files->lock);
    return r;
}

void pool_files_forget(PoolFiles *files, uint64_t id, uint64_t n) {
    g_mutex_lock(&files->lock);
    File *file = find(files, id);
    if (file) {
        file->lookups -= MIN(n, file->lookups);
        settle(files, file);
    }
    g_mutex_unlock(&files->lock);
}

int pool_files_stat(PoolFiles *files, uint64_t id, struct stat *ret_stat) {
    int r = 0;

    g_mutex_lock(&files->lock);
    const File *file = find(files, id);
    if (id == POOL_FILES_ROOT)
        *ret_stat = directory_stat(files);
    else if (file)
        *ret_stat = file_stat(files, file);
    else
        r = -ENOENT;
    g_mutex_unlock(&files->lock);
    return r;
}

void pool_files_statfs(PoolFiles *files, struct statvfs *ret_statvfs) {
    struct statvfs st = { .f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = PMEMD_NAME_MAX };

    g_mutex_lock(&files->lock);
    const RegionViewPool *pool = pool_of(files);
    if (pool) {
        st.f_blocks = MAX(pool->raw_bytes, pool->free_bytes) / BLOCK;
        st.f_bfree = st.f_bavail = pool->free_bytes / BLOCK;
        st.f_files = pool->n_volumes;
    }
    g_mutex_unlock(&files->lock);
    *ret_statvfs = st;
}

static void entry_clear(gpointer data) {
    PoolFilesEntry *entry = data;

    g_free(entry->name);
}

GArray *pool_files_list(PoolFiles *files) {
    GArray *list = g_array_new(FALSE, FALSE, sizeof(PoolFilesEntry));
    g_autoptr(RegionView) view = pool_files_get_view(files);
    const RegionViewPool *pool = region_view_find_pool(view, files->pool_uuid);

    g_array_set_clear_func(list, entry_clear);
    for (guint i = 0; pool && i < pool->n_volumes; i++) {
        const PoolFilesEntry entry = { g_strdup(pool->volumes[i].name), ino_of(pool->volumes[i].uuid) };
        g_array_append_val(list, entry);
    }
    return list;
}

int pool_files_create(PoolFiles *files, const char *name, uint64_t *ret_id, struct stat *ret_stat) {
    File *file = NULL;

    g_mutex_lock(&files->lock);
    int r = create(files, name, &file);
    if (r >= 0) {
        tell(files, name, file);
        file->lookups = 1;
        file->opens = 1;
        *ret_id = file->id;
        *ret_stat = file_stat(files, file);
    }
    g_mutex_unlock(&files->lock);
    return r;
}

int pool_files_open(PoolFiles *files, uint64_t id, int flags) {
    int r = 0;

    g_mutex_lock(&files->lock);
    File *file = find(files, id);
    if (!file)
        r = -ENOENT;
    else if (file->state == FILE_VOLUME && !region_view_by_uuid(files->view, file->uuid, NULL))
        r = -ESTALE;
    else if (file->state == FILE_VOLUME && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        r = -EOPNOTSUPP;
    else
        file->opens++;
    g_mutex_unlock(&files->lock);
    return r;
}

void pool_files_close(PoolFiles *files, uint64_t id) {
    g_mutex_lock(&files->lock);
    File *file = find(files, id);
    if (file && file->opens > 0) {
        file->opens--;
        file->closed_usec = (uint64_t) g_get_monotonic_time();
        settle(files, file);
    }
    g_mutex_unlock(&files->lock);
}

int pool_files_read(PoolFiles *files, uint64_t id, uint64_t offset, uint64_t bytes, bool whole, uint64_t *ret_bytes) {
    struct stat st;
    int r = pool_files_stat(files, id, &st);

    if (r < 0)
        return r;
    uint64_t size = (uint64_t) st.st_size, end = MIN(size, POOL_FILES_READABLE);
    if (offset >= size || bytes == 0) {
        *ret_bytes = 0;
        return 0;
    }
    if (offset >= end || (whole && end < size && bytes > end - offset))
        return -EOPNOTSUPP;
    *ret_bytes = MIN(bytes, end - offset);
    return 0;
}

int pool_files_resize(PoolFiles *files, uint64_t id, uint64_t bytes, char **ret_name) {
    g_mutex_lock(&files->lock);
    int r = set_bytes(files, id, bytes, false, ret_name);
    g_mutex_unlock(&files->lock);
    return r;
}

int pool_files_reserve(PoolFiles *files, uint64_t id, uint64_t bytes, char **ret_name) {
    g_mutex_lock(&files->lock);
    int r = set_bytes(files, id, bytes, true, ret_name);
    g_mutex_unlock(&files->lock);
    return r;
}

void pool_files_made(PoolFiles *files, uint64_t id, int errnum, const char *uuid) {
    g_mutex_lock(&files->lock);
    File *file = find(files, id);
    if (file && errnum != 0) {
        file->state = FILE_DOUBTFUL;
        file->refused = errnum != EEXIST;
    } else if (file) {
        file->state = FILE_VOLUME;
        file->uuid = g_strdup(uuid);
        g_hash_table_remove(files->new, file->name);
        g_hash_table_replace(files->by_uuid, file->uuid, file);
    }
    g_mutex_unlock(&files->lock);
}

void pool_files_settled(PoolFiles *files, uint64_t id) {
    g_mutex_lock(&files->lock);
    File *file = find(files, id);
    if (file) {
        file->ordered = false;
        if (file->state == FILE_DOUBTFUL) {
            file->state = FILE_NEW;
            file->asked = 0;
        }
        settle(files, file);
    }
    g_mutex_unlock(&files->lock);
}

int pool_files_unlink(PoolFiles *files, const char *name, char **ret_uuid) {
    g_mutex_lock(&files->lock);
    int r = unlink_file(files, name, ret_uuid);
    g_mutex_unlock(&files->lock);
    return r;
}
