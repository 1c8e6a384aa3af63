/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/bus-news.h"

#include "daemon/log.h"
#include "proto/error.h"
#include "proto/types.h"

#include <errno.h>
#include <string.h>
#include <time.h>

typedef enum {
    NEWS_ADDED,
    NEWS_REMOVED,
    NEWS_CHANGED,
} NewsKind;

/* One signal to be sent. */
typedef struct {
    NewsKind kind;
    char path[PMEMD_PATH_MAX];
    const char *interface;
    GPtrArray *properties; /* const char *, of NEWS_CHANGED */
} Item;

struct BusNews {
    sd_bus *bus;
    sd_event_source *timer;
    GQueue items;        /* Item * */
    GHashTable *by_path; /* path in the item -> Item *: the last one of that object */
    bool sending;
};

static void item_free(void *data) {
    Item *item = data;

    if (item->properties)
        g_ptr_array_unref(item->properties);
    g_free(item);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data) {
    bus_news_flush(data);
    return 0;
}

BusNews *bus_news_new(sd_bus *bus, sd_event *event, GError **error) {
    g_autoptr(BusNews) news = g_new0(BusNews, 1);

    news->bus = sd_bus_ref(bus);
    news->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    g_queue_init(&news->items);
    int r = sd_event_add_time(event, &news->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer, news);
    if (r >= 0)
        r = sd_event_source_set_enabled(news->timer, SD_EVENT_OFF);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot set up the timer of the signals: %s",
                    g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&news);
}

void bus_news_free(BusNews *news) {
    if (!news)
        return;
    g_clear_pointer(&news->by_path, g_hash_table_unref);
    g_queue_clear_full(&news->items, item_free);
    sd_event_source_unref(news->timer);
    sd_bus_unref(news->bus);
    g_free(news);
}

static Item *append(BusNews *news, NewsKind kind, const char *path, const char *interface) {
    Item *item = g_new0(Item, 1);

    item->kind = kind;
    item->interface = interface;
    g_strlcpy(item->path, path, sizeof item->path);
    if (g_queue_is_empty(&news->items)) {
        int r = sd_event_source_set_time_relative(news->timer, BUS_NEWS_DELAY_USEC);

        if (r >= 0)
            r = sd_event_source_set_enabled(news->timer, SD_EVENT_ONESHOT);
        /* ESTALE: the loop has ended; what goes then is flushed before. */
        if (r < 0 && r != -ESTALE)
            log_message(LOG_WARNING, path, NULL, "signals may be late, ignoring: %s", g_strerror(-r));
    }
    g_queue_push_tail(&news->items, item);
    /* Not insert(): the key must be the new item's, too. */
    g_hash_table_replace(news->by_path, item->path, item);
    return item;
}

void bus_news_added(BusNews *news, const char *path) {
    append(news, NEWS_ADDED, path, NULL);
}

void bus_news_removed(BusNews *news, const char *path, const char *interface) {
    append(news, NEWS_REMOVED, path, interface);
}

void bus_news_changed(BusNews *news, const char *path, const char *interface, const char *const *properties) {
    Item *item = g_hash_table_lookup(news->by_path, path);

    if (item && item->kind == NEWS_ADDED)
        return; /* which will say how it is by then */
    if (!item || item->kind != NEWS_CHANGED) {
        item = append(news, NEWS_CHANGED, path, interface);
        item->properties = g_ptr_array_new();
    }
    for (; *properties; properties++)
        if (!g_ptr_array_find_with_equal_func(item->properties, *properties, g_str_equal, NULL))
            g_ptr_array_add(item->properties, (char *) *properties);
}

static int send_item(sd_bus *bus, const Item *item) {
    switch (item->kind) {
    case NEWS_ADDED:
        return sd_bus_emit_object_added(bus, item->path);
    case NEWS_REMOVED:
        /* Not sd_bus_emit_object_removed(): it asks for the object, which is gone already. */
        return sd_bus_emit_interfaces_removed(bus, item->path, "org.freedesktop.DBus.Peer",
                                              "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties",
                                              item->interface, NULL);
    case NEWS_CHANGED:
        break;
    }
    g_ptr_array_add(item->properties, NULL);
    return sd_bus_emit_properties_changed_strv(bus, item->path, item->interface, (char **) item->properties->pdata);
}

void bus_news_flush(BusNews *news) {
    Item *item;

    g_hash_table_remove_all(news->by_path);
    while ((item = g_queue_pop_head(&news->items))) {
        news->sending = true;
        int r = send_item(news->bus, item);
        news->sending = false;
        if (r < 0 && r != -ENOTCONN)
            log_message(LOG_WARNING, item->path, NULL, "cannot send a signal of %s, ignoring: %s", item->path,
                        g_strerror(-r));
        item_free(item);
    }
    (void) sd_event_source_set_enabled(news->timer, SD_EVENT_OFF); /* one more turn with nothing to send does no harm */
}

bool bus_news_is_sending(const BusNews *news) {
    return news->sending;
}
