/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The signals about objects, gathered for a moment: whoever asked gets the answer while the bus is not yet busy with
 * what others are told, and what changes several times is told once.
 * Promises: what is told is sent within BUS_NEWS_DELAY_USEC of the first news, in the order in which it was told, with
 * the values at the time of sending; an object that is new is announced by InterfacesAdded before anything else is
 * said of it, also when it is gone soon (see bus_news_flush()). Used by bus-view and what stands on it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct BusNews BusNews;

#define BUS_NEWS_DELAY_USEC 1000u

/* The names of properties and interfaces that the others are given must be static. INTERNAL: no timer. */
BusNews *bus_news_new(sd_bus *bus, sd_event *event, GError **error);
/* Drops what was not sent. NULL is fine. */
void bus_news_free(BusNews *news);

/* What depends on who asks must be a property that emits its invalidation alone: sd-bus leaves those out of all
 * signals. */
void bus_news_added(BusNews *news, const char *path);
void bus_news_removed(BusNews *news, const char *path, const char *interface);
void bus_news_changed(BusNews *news, const char *path, const char *interface, const char *const *properties);

/* Sends what waits, now: before any other signal, and before an object goes that may still have to be announced. */
void bus_news_flush(BusNews *news);
/* A signal is being made: what the getters give goes to everyone. */
bool bus_news_is_sending(const BusNews *news);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusNews, bus_news_free)
