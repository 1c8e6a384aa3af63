/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/standard-fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool standard_fds_keep(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* Opened the wrong way round but for stderr: to read or to print goes on to fail, as it would have. The lowest
         * closed one is what open() returns. */
        int mode = fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY;
        if (errno != EBADF || open("/dev/null", mode) != fd)
            return false;
    }
    return true;
}
