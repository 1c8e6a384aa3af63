/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The names both ends of the bus agree on. Nothing but constants; any file of daemon/ and client/ may include it.
 */
#pragma once

#define PMEMD_BUS_NAME "org.pmemd1"
#define PMEMD_ROOT_PATH "/org/pmemd1"
#define PMEMD_REGION_PATH_PREFIX "/org/pmemd1/region/" /* followed by the uuid with '_' for '-' */
#define PMEMD_JOB_PATH_PREFIX "/org/pmemd1/job/"       /* followed by the uuid of the region it works on, likewise */

#define PMEMD_IFACE_MANAGER "org.pmemd1.Manager"
#define PMEMD_IFACE_REGION "org.pmemd1.Region"
#define PMEMD_IFACE_JOB "org.pmemd1.Job"

/* Of pmemd-libvirt, the bridge to libvirt. */
#define PMEMD_LIBVIRT_BUS_NAME "org.pmemd1.Libvirt"
#define PMEMD_LIBVIRT_PATH "/org/pmemd1/Libvirt"
#define PMEMD_LIBVIRT_IFACE "org.pmemd1.Libvirt1"
