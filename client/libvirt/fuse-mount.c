/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/fuse-mount.h"

#include "client/libvirt/log.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

/* What a predecessor left there answers nobody ("Transport endpoint is not connected"). */
static void detach_all(const char *directory) {
    for (int i = 0; i < 16 && umount2(directory, MNT_DETACH | UMOUNT_NOFOLLOW) == 0; i++)
        log_message(LOG_NOTICE, "%s: what was mounted there is detached", directory);
}

int fuse_mount_new(const char *directory, GError **error) {
    detach_all(directory);
    /* With its parents: the directory of the service manager's goes with pmemd, when it is empty. */
    if (g_mkdir_with_parents(directory, 0711) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot make %s: %s", directory, g_strerror(errno));
        return -1;
    }
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open /dev/fuse: %s (is the module fuse loaded?)",
                    g_strerror(errno));
        return -1;
    }
    g_autofree char *options =
        g_strdup_printf("fd=%d,rootmode=40711,user_id=0,group_id=0,default_permissions,allow_other", fd);
    if (mount("pmemd", directory, "fuse.pmemd", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, options) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot mount %s: %s", directory, g_strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}
