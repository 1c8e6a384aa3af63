/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The links that are wanted are compared with those that were made; only at first the directory is looked through, for what a
 * predecessor left.
 */
#include "client/libvirt/name-links.h"

#include "client/libvirt/log.h"
#include "proto/nvdimm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BY_UUID "by-uuid" /* udev's, and so no name for a directory of ours */
#define TEMPORARY ".new-" /* in front: names of volumes do not begin with a dot */

struct NameLinks {
    char *directory;
    GHashTable *made; /* "POOL/VOLUME" -> target */
    bool looked;
};

NameLinks *name_links_new(const char *directory) {
    NameLinks *links = g_new0(NameLinks, 1);

    links->directory = g_strdup(directory);
    links->made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return links;
}

void name_links_free(NameLinks *links) {
    if (!links)
        return;
    g_hash_table_unref(links->made);
    g_free(links->directory);
    g_free(links);
}

static bool is_ours(const char *target) {
    return g_str_has_prefix(target, PMEMD_NVDIMM_LINKS);
}

/* The target of a link in an open directory; NULL: it is no link to a link of udev's. */
static char *read_ours(int fd, const char *name) {
    char target[PATH_MAX];
    ssize_t n = readlinkat(fd, name, target, sizeof target - 1);

    if (n < 0)
        return NULL;
    target[n] = '\0';
    return is_ours(target) ? g_strdup(target) : NULL;
}

static void look_into(NameLinks *links, int parent, const char *pool) {
    int fd = openat(parent, pool, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char *target = read_ours(fd, entry->d_name);
        if (target)
            g_hash_table_replace(links->made, g_strconcat(pool, "/", entry->d_name, NULL), target);
    }
    closedir(dir);
}

static void look(NameLinks *links) {
    DIR *dir = opendir(links->directory);

    links->looked = true;
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, BY_UUID) != 0)
            look_into(links, dirfd(dir), entry->d_name);
    closedir(dir);
}

/* Over what is there, if that is a link of ours; never over anything else. */
static bool put(const char *path, const char *target) {
    if (symlink(target, path) == 0)
        return true;
    if (errno != EEXIST)
        return false;
    g_autofree char *there = read_ours(AT_FDCWD, path);
    if (!there) {
        errno = EEXIST;
        return false;
    }
    g_autofree char *parent = g_path_get_dirname(path), *name = g_path_get_basename(path);
    g_autofree char *temporary = g_strconcat(parent, "/" TEMPORARY, name, NULL);
    (void) unlink(temporary); /* of a predecessor that was killed here */
    return symlink(target, temporary) == 0 && rename(temporary, path) == 0;
}

static bool make(const NameLinks *links, const char *key, const char *target) {
    g_autofree char *path = g_build_filename(links->directory, key, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    if ((mkdir(parent, 0755) == 0 || errno == EEXIST) && put(path, target))
        return true;
    log_message(LOG_WARNING, "cannot link %s to %s: %s, ignoring", path, target, g_strerror(errno));
    return false;
}

static void drop(const NameLinks *links, const char *key) {
    g_autofree char *path = g_build_filename(links->directory, key, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *target = read_ours(AT_FDCWD, path);

    if (target && unlink(path) < 0)
        log_message(LOG_WARNING, "cannot remove the link %s: %s, ignoring", path, g_strerror(errno));
    (void) rmdir(parent); /* others may be in it */
}

/* Links of the pool as they are to be, added to wish. */
static void wish_pool(GHashTable *wish, const RegionViewPool *pool) {
    if (strcmp(pool->name, BY_UUID) == 0)
        return;
    for (guint i = 0; i < pool->n_volumes; i++)
        if (is_ours(pool->volumes[i].path))
            g_hash_table_insert(wish, g_strconcat(pool->name, "/", pool->volumes[i].name, NULL),
                                g_strdup(pool->volumes[i].path));
}

void name_links_update(NameLinks *links, const RegionView *view, NameLinksWanted wanted, void *userdata) {
    g_autoptr(GHashTable) wish = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer key, target;

    if (!links->looked)
        look(links);
    for (guint i = 0; i < region_view_n_pools(view); i++)
        if (wanted(region_view_pool(view, i)->uuid, userdata))
            wish_pool(wish, region_view_pool(view, i));
    g_hash_table_iter_init(&iter, links->made);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (!g_hash_table_contains(wish, key)) {
            drop(links, key);
            g_hash_table_iter_remove(&iter);
        }
    g_hash_table_iter_init(&iter, wish);
    while (g_hash_table_iter_next(&iter, &key, &target)) {
        const char *has = g_hash_table_lookup(links->made, key);
        if ((!has || strcmp(has, target) != 0) && make(links, key, target))
            g_hash_table_replace(links->made, g_strdup(key), g_strdup(target));
    }
}
