/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-busy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define USED_BY_SELF 1u
#define USED_BY_OTHERS 2u

struct NdBusy {
    GHashTable *used; /* device_key() -> USED_BY_* */
    bool blind;       /* some process could not be looked at */
};

static guint64 device_key(bool block, unsigned major_number, unsigned minor_number) {
    return (guint64) block << 63 | (guint64) major_number << 32 | minor_number;
}

static unsigned busy_flags(const NdBusy *busy, guint64 key) {
    return GPOINTER_TO_UINT(g_hash_table_lookup(busy->used, &key));
}

/* A process that has ended since is no loss; one that may not be looked at is. */
static void note_failure(NdBusy *busy, int errnum) {
    if (errnum == EACCES || errnum == EPERM)
        busy->blind = true;
}

/* Looks at what the magic link name in dir leads to, without asking a file server that may be gone. */
static void note_link(NdBusy *busy, int dir, const char *name, unsigned who) {
    struct statx st;

    if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0) {
        note_failure(busy, errno);
        return;
    }
    if (!S_ISCHR(st.stx_mode) && !S_ISBLK(st.stx_mode))
        return;

    guint64 key = device_key(S_ISBLK(st.stx_mode), st.stx_rdev_major, st.stx_rdev_minor);
    g_hash_table_insert(busy->used, g_memdup2(&key, sizeof key), GUINT_TO_POINTER(busy_flags(busy, key) | who));
}

static void scan_descriptors(NdBusy *busy, int process, unsigned who) {
    int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        note_failure(busy, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (g_ascii_isdigit(entry->d_name[0]))
            note_link(busy, fd, entry->d_name, who);
    closedir(dir);
}

/* The number and path that maps shows are those of the device's node: only the link in map_files leads to the device.
 */
static void scan_mappings(NdBusy *busy, int process, unsigned who) {
    int fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = fd >= 0 ? fdopen(fd, "re") : NULL;
    g_autofree char *line = NULL; /* of getline(): GLib's free() is the C library's */
    size_t capacity = 0;

    if (!maps) {
        note_failure(busy, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    while (getline(&line, &capacity, maps) > 0) {
        unsigned long start, end, inode;
        char flags[5];
        int path = 0;

        /* The kernel writes these numbers, so none is too large. NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu %n", &start, &end, flags, &inode, &path) != 4 || inode == 0)
            continue;
        /* Device-dax is mapped shared only; a block device may be mapped privately, under its name. */
        if (flags[3] == 's' || (path > 0 && g_str_has_prefix(line + path, "/dev/"))) {
            char name[64];

            snprintf(name, sizeof name, "map_files/%lx-%lx", start, end);
            note_link(busy, process, name, who);
        }
    }
    (void) fclose(maps); /* only read */
}

NdBusy *nd_busy_new(void) {
    NdBusy *busy = g_new0(NdBusy, 1);
    DIR *proc = opendir("/proc");
    g_autofree char *own = g_strdup_printf("%d", (int) getpid());

    busy->used = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    if (!proc) {
        busy->blind = true;
        return busy;
    }
    for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc)) {
        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        unsigned who = strcmp(entry->d_name, own) == 0 ? USED_BY_SELF : USED_BY_OTHERS;
        int process = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (process < 0)
            continue;
        scan_mappings(busy, process, who);
        scan_descriptors(busy, process, who);
        close(process);
    }
    closedir(proc);
    return busy;
}

void nd_busy_free(NdBusy *busy) {
    if (!busy)
        return;
    g_hash_table_unref(busy->used);
    g_free(busy);
}

bool nd_busy_char(const NdBusy *busy, dev_t device, bool self) {
    unsigned flags = busy_flags(busy, device_key(false, major(device), minor(device)));

    return busy->blind || flags & (USED_BY_OTHERS | (self ? USED_BY_SELF : 0));
}

static bool has_holders(const char *name) {
    g_autofree char *path = g_strdup_printf("/sys/class/block/%s/holders", name);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    return dir && g_dir_read_name(dir);
}

bool nd_busy_block(const NdBusy *busy, const char *name) {
    g_autofree char *path = g_strconcat("/dev/", name, NULL);
    int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    /* A missing node tells nothing about users; EBUSY is the block layer's own word for one. */
    if (fd < 0)
        return true;
    int rc = fstat(fd, &st);
    close(fd);
    if (rc < 0 || !S_ISBLK(st.st_mode))
        return true;
    return busy->blind || has_holders(name) ||
           busy_flags(busy, device_key(true, major(st.st_rdev), minor(st.st_rdev))) & USED_BY_OTHERS;
}
