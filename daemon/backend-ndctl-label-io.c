/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-label-io.h"

#include "daemon/label-area.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ndctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    int fd;
    const char *dimm;
    size_t size, step; /* bytes of the area, and of a command at most */
} LabelIo;

static void label_io_clear(LabelIo *io) {
    if (io->fd >= 0)
        close(io->fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LabelIo, label_io_clear)

/* Either of rc and status says what went wrong. */
static bool check(const LabelIo *io, int rc, uint32_t status, const char *what, GError **error) {
    int errnum = rc < 0 ? errno : 0;

    if (rc >= 0 && status == 0)
        return true;
    if (rc < 0)
        g_set_error(error, PMEMD_ERROR, errnum == EBUSY ? PMEMD_ERROR_BUSY : PMEMD_ERROR_HARDWARE,
                    "cannot %s of %s: %s", what, io->dimm, g_strerror(errnum));
    else
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot %s of %s: it answers status 0x%x", what, io->dimm,
                    status);
    return false;
}

/* For writing also by who reads: else the kernel takes the question for the size for another command of the same number,
 * which it refuses. */
static bool label_io_open(LabelIo *io, GError **error) {
    g_autofree char *path = g_strconcat("/dev/", io->dimm, NULL);
    struct nd_cmd_get_config_size size = { .status = 0 };
    struct stat st;

    io->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (io->fd < 0 || fstat(io->fd, &st) < 0 || !S_ISCHR(st.st_mode)) {
        int errnum = errno;

        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "cannot open %s: %s", path,
                    io->fd < 0 ? g_strerror(errnum) : "it is no character device");
        return false;
    }
    int rc = ioctl(io->fd, ND_IOCTL_GET_CONFIG_SIZE, &size);
    if (!check(io, rc, size.status, "read the size of the label area", error))
        return false;
    if (size.config_size == 0 || size.config_size > LABEL_AREA_MAX || size.max_xfer == 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NOT_SUPPORTED,
                    "%s has a label area of %u bytes, of which %u may be moved at once", io->dimm, size.config_size,
                    size.max_xfer);
        return false;
    }
    io->size = size.config_size;
    io->step = MIN(size.max_xfer, 64u << 10);
    return true;
}

static bool read_at(const LabelIo *io, uint8_t *area, size_t offset, size_t len, GError **error) {
    g_autofree struct nd_cmd_get_config_data_hdr *command = g_malloc0(sizeof *command + io->step);

    for (size_t done = 0; done < len;) {
        size_t n = MIN(len - done, io->step);

        command->in_offset = (uint32_t) (offset + done);
        command->in_length = (uint32_t) n;
        command->status = 0;
        int rc = ioctl(io->fd, ND_IOCTL_GET_CONFIG_DATA, command);
        if (!check(io, rc, command->status, "read the label area", error))
            return false;
        memcpy(area + offset + done, command->out_buf, n);
        done += n;
    }
    return true;
}

/* The slots in use, as far as the index blocks can be used; neighbours in one go. */
static bool read_used(const LabelIo *io, uint8_t *bytes, GError **error) {
    LabelArea area;

    if (!label_area_open(bytes, io->size, &area, NULL))
        return true;
    for (uint32_t slot = 0; slot < area.n_slots; slot++) {
        uint32_t first = slot;

        while (label_area_in_use(&area, slot))
            slot++;
        if (slot > first &&
            !read_at(io, bytes, label_area_slot_offset(&area, first), (slot - first) * area.label_size, error))
            return false;
    }
    return true;
}

uint8_t *nd_label_io_read(const char *dimm, bool all, size_t *ret_size, GError **error) {
    g_auto(LabelIo) io = { .fd = -1, .dimm = dimm };

    if (!label_io_open(&io, error))
        return NULL;
    g_autofree uint8_t *area = g_malloc0(io.size);
    if (!read_at(&io, area, 0, all ? io.size : label_area_head(io.size), error) ||
        (!all && !read_used(&io, area, error)))
        return NULL;
    *ret_size = io.size;
    return g_steal_pointer(&area);
}

bool nd_label_io_write(const char *dimm, size_t offset, const uint8_t *bytes, size_t len, GError **error) {
    g_auto(LabelIo) io = { .fd = -1, .dimm = dimm };
    uint32_t status;

    if (!label_io_open(&io, error))
        return false;
    g_autofree struct nd_cmd_set_config_hdr *command = g_malloc0(sizeof *command + io.step + sizeof status);
    for (size_t done = 0; done < len;) {
        size_t n = MIN(len - done, io.step);

        command->in_offset = (uint32_t) (offset + done);
        command->in_length = (uint32_t) n;
        memcpy(command->in_buf, bytes + done, n);
        memset(command->in_buf + n, 0, sizeof status);
        int rc = ioctl(io.fd, ND_IOCTL_SET_CONFIG_DATA, command);
        memcpy(&status, command->in_buf + n, sizeof status); /* it follows the bytes */
        if (!check(&io, rc, status, "write the label area", error))
            return false;
        done += n;
    }

    g_autofree uint8_t *area = g_malloc0(io.size);
    if (!read_at(&io, area, offset, len, error))
        return false;
    if (memcmp(area + offset, bytes, len) == 0)
        return true;
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_HARDWARE, "%s does not read back what was written to its label area",
                dimm);
    return false;
}
