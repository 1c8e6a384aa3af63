/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Marks: one small file a domain to which regions were lent for a start of it, in a folder that outlives the host's reboot.
 * It has the domain's name, for people who are told its uuid; and only where there is a mark may a lease be given back
 * that its domain left behind: somebody else may have lent a region to a name that looks like a domain's.
 *
 * Promises: a mark is there whole or not at all. The hook of QEMU domains writes a new one at each start, under the lock, before it
 * takes a lease. So who has the lock and finds the mark as it was knows that no start came in between. Root alone may
 * read and write the folder.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define DOMAIN_MARKS_FOLDER "/var/lib/pmemd-libvirt/domains"

/* Which mark it is: a new one has another. All 0: there is none. */
typedef struct DomainStamp {
    uint64_t inode, seconds, nanoseconds;
} DomainStamp;

DomainStamp domain_mark_stamp(const char *folder, const char *uuid);
bool domain_stamp_is_none(const DomainStamp *stamp);
bool domain_stamp_equal(const DomainStamp *a, const DomainStamp *b);

/* title: the domain's name. Makes the folder, too, if it is not there. Durable. Errors: INTERNAL. */
bool domain_mark_put(const char *folder, const char *uuid, const char *title, GError **error);
/* What it says, as one line that is safe to print; NULL: there is no mark. The caller's. */
char *domain_mark_name(const char *folder, const char *uuid);
void domain_mark_remove(const char *folder, const char *uuid);

/* Waits at most until the monotonic time (0: not at all). The descriptor that has the lock, to be closed; -1: somebody
 * else has it, or error is set. Errors: INTERNAL. */
int domain_marks_lock(const char *folder, int64_t until_usec, GError **error);
