/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-busy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct NdBusy {
    Mappers *mappers;
};

NdBusy *nd_busy_new(void) {
    NdBusy *busy = g_new0(NdBusy, 1);

    busy->mappers = mappers_new_devices(&MAPPERS_LIMITS_DEFAULT);
    return busy;
}

void nd_busy_free(NdBusy *busy) {
    if (!busy)
        return;
    mappers_free(busy->mappers);
    g_free(busy);
}

/* Whether another process is among them, or may be. */
static bool has_others(const NdBusy *busy, const GArray *found) {
    for (guint i = 0; found && i < found->len; i++)
        if (g_array_index(found, Mapper, i).pid != getpid())
            return true;
    return mappers_gap(busy->mappers) != NULL;
}

bool nd_busy_char(const NdBusy *busy, dev_t device) {
    return has_others(busy, mappers_of_char(busy->mappers, device));
}

MapperList *nd_busy_mapped(const NdBusy *busy, dev_t device) {
    return mapper_list_new(mappers_of_char(busy->mappers, device), MAPPERS_MAPPED, mappers_gap(busy->mappers));
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
    return has_holders(name) || has_others(busy, mappers_of_block(busy->mappers, st.st_rdev));
}
