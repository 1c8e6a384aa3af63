/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/power-loss.h"

#include <glib.h>

static const struct {
    const char *persistence, *loss;
} losses[] = {
    { "none", "its persistence domain is none: a power loss may lose acknowledged changes" },
    { "unknown", "its persistence domain is unknown: a power loss may lose acknowledged changes" },
    { "volatile", "it is RAM: all that is in it is lost at power-off, and kept over a warm reboot at best" },
    { "flush", "it is virtio-pmem: a power loss of the host below loses what that has not written to its file yet, and "
               "a device-dax cannot ask it to" },
};

const char *power_loss(const char *persistence) {
    for (gsize i = 0; i < G_N_ELEMENTS(losses); i++)
        if (g_strcmp0(losses[i].persistence, persistence) == 0)
            return losses[i].loss;
    return NULL;
}

bool power_loss_is_whole(const char *persistence) {
    return g_strcmp0(persistence, "volatile") == 0;
}
