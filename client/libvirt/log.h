/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The log of pmemd-libvirt: the system's journal when stderr is connected to it, else a line on stderr.
 * Promises: one line a message, whatever strangers' words it quotes. Any thread may call.
 */
#pragma once

#include <glib.h>
#include <syslog.h>

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO. */
#define log_message(priority, ...) log_send((priority), NULL, __VA_ARGS__)

/* id: 32 hexadecimal digits, the MESSAGE_ID of what an administrator must act on; NULL: none. */
void log_send(int priority, const char *id, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Sends what g_warning() says the same way. */
void log_install(void);
