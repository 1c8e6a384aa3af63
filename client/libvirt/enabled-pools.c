/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/enabled-pools.h"

#include "proto/error.h"
#include "proto/types.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "Pool"
#define KEY_NAME "Name"
#define FILE_MAX 4096

struct EnabledPools {
    char *dir;
    GPtrArray *pools; /* EnabledPool's */
};

static void pool_free(EnabledPool *pool) {
    g_free(pool->name);
    g_free(pool);
}

void enabled_pools_free(EnabledPools *pools) {
    if (!pools)
        return;
    g_ptr_array_unref(pools->pools);
    g_free(pools->dir);
    g_free(pools);
}

guint enabled_pools_n(const EnabledPools *pools) {
    return pools->pools->len;
}

const EnabledPool *enabled_pools_get(const EnabledPools *pools, guint i) {
    return pools->pools->pdata[i];
}

static EnabledPool *find(const EnabledPools *pools, const char *uuid) {
    for (guint i = 0; i < pools->pools->len; i++) {
        EnabledPool *pool = pools->pools->pdata[i];
        if (strcmp(pool->uuid, uuid) == 0)
            return pool;
    }
    return NULL;
}

const EnabledPool *enabled_pools_find(const EnabledPools *pools, const char *uuid) {
    return find(pools, uuid);
}

/* The uuid as files are named by it: in lower case. */
static bool is_uuid(const char *text) {
    char canonical[37];
    sd_id128_t uuid;

    return pmemd_uuid_parse(text, &uuid) && strcmp(sd_id128_to_uuid_string(uuid, canonical), text) == 0;
}

static void put(EnabledPools *pools, const char *uuid, const char *name) {
    EnabledPool *pool = find(pools, uuid);

    if (!pool) {
        pool = g_new0(EnabledPool, 1);
        g_strlcpy(pool->uuid, uuid, sizeof pool->uuid);
        g_ptr_array_add(pools->pools, pool);
    }
    g_free(pool->name);
    pool->name = g_strdup(name);
}

/* The name of a file of ours. NULL: it is none. */
static char *read_name(const char *path) {
    g_autoptr(GKeyFile) file = g_key_file_new();
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX ||
        !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return NULL;
    g_autofree char *name = g_key_file_get_string(file, GROUP, KEY_NAME, NULL);
    return name && pmemd_name_is_valid(name) ? g_steal_pointer(&name) : NULL;
}

static bool load(EnabledPools *pools, GError **error) {
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(pools->dir, 0, &cause);
    const char *entry;

    if (!dir) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot read which pools are enabled: %s",
                    cause->message);
        return false;
    }
    while ((entry = g_dir_read_name(dir)) != NULL) {
        if (!is_uuid(entry))
            continue; /* what a writer that was killed left, too */
        g_autofree char *path = g_build_filename(pools->dir, entry, NULL);
        g_autofree char *name = read_name(path);
        if (name)
            put(pools, entry, name);
        else
            g_warning("%s does not say [Pool] Name=, ignoring: enable the pool again with 'pmemctl pool enable'", path);
    }
    return true;
}

/* Who may write there has root share any directory that pmemd knows. */
static bool check_dir(const char *dir, GError **error) {
    struct stat st;

    if (g_mkdir_with_parents(dir, 0700) < 0 || stat(dir, &st) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot make the directory %s: %s", dir,
                    g_strerror(errno));
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_AUTHORIZED,
                "the directory %s is owned by uid %u with mode %04o; must be owned by uid %u and not be writable by "
                "group or others",
                dir, (unsigned) st.st_uid, (unsigned) st.st_mode & 07777u, (unsigned) geteuid());
    return false;
}

EnabledPools *enabled_pools_load(const char *dir, GError **error) {
    if (!check_dir(dir, error))
        return NULL;
    g_autoptr(EnabledPools) pools = g_new0(EnabledPools, 1);
    pools->dir = g_strdup(dir);
    pools->pools = g_ptr_array_new_with_free_func((GDestroyNotify) pool_free);
    return load(pools, error) ? g_steal_pointer(&pools) : NULL;
}

/* 0, or a negative errno. */
static int sync_dir(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static bool sync_or_fail(const EnabledPools *pools, GError **error) {
    int r = sync_dir(pools->dir);
    if (r == 0)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot write to %s: %s", pools->dir, g_strerror(-r));
    return false;
}

bool enabled_pools_add(EnabledPools *pools, const char *uuid, const char *name, GError **error) {
    g_autofree char *path = g_build_filename(pools->dir, uuid, NULL);
    g_autofree char *text = g_strdup_printf("[" GROUP "]\n" KEY_NAME "=%s\n", name);
    const EnabledPool *known = find(pools, uuid);
    g_autoptr(GError) cause = NULL;

    g_return_val_if_fail(is_uuid(uuid) && pmemd_name_is_valid(name), false);
    if (known && strcmp(known->name, name) == 0)
        return true;
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                  &cause)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot write which pools are enabled: %s",
                    cause->message);
        return false;
    }
    put(pools, uuid, name);
    return sync_or_fail(pools, error);
}

bool enabled_pools_remove(EnabledPools *pools, const char *uuid, GError **error) {
    g_autofree char *path = g_build_filename(pools->dir, uuid, NULL);
    EnabledPool *pool = find(pools, uuid);

    if (unlink(path) < 0 && errno != ENOENT) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot remove %s: %s", path, g_strerror(errno));
        return false;
    }
    if (pool)
        g_ptr_array_remove(pools->pools, pool);
    return sync_or_fail(pools, error);
}
