/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the hook of QEMU domains asks of pmemd: the regions of a domain are lent to it before it starts, and given back when it has
 * stopped. The owner of such a lease is the domain's uuid.
 *
 * Promises: a domain is lent all of its regions or, of those that it did not have before, none. Never another owner's
 * lease is touched. Errors are sentences for who started the domain. May wait for pmemd without end: who calls keeps the time.
 */
#pragma once

#include "client/libvirt/domain-paths.h"

#include <stdint.h>

typedef struct HookLend {
    const char *bus;    /* as pmemd_client_open() takes it */
    const char *marks;  /* folder of the domains' marks */
    int64_t until_usec; /* monotonic: what may pass by itself is waited for until then */
} HookLend;

/* Whether pmemd is to be asked before the domain starts. */
bool hook_lend_concerns(const DomainPaths *domain);

/* Errors: those of Attach; INVALID_ARGUMENT: a path that no guest can have. */
bool hook_lend_prepare(const HookLend *hook, const DomainPaths *domain, GError **error);
/* Confirms what the domain, which runs, has. Goes on after an error, and says the first. */
bool hook_lend_reconnect(const HookLend *hook, const DomainPaths *domain, GError **error);
/* Gives back all that the domain has. Goes on after an error, and says the first. */
bool hook_lend_release(const HookLend *hook, const DomainPaths *domain, GError **error);
