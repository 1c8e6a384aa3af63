/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Lists are read one after the other, then what lists do not tell of regions that are new, a few at a time; only what is whole
 * becomes the view. What changed meanwhile has them read once more.
 */
#include "client/libvirt/pmemd-link.h"

#include "client/libvirt/log.h"
#include "proto/error.h"
#include "proto/types.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#define GATHER_USEC UINT64_C(20000) /* signals come in swarms */
#define AGAIN_USEC UINT64_C(300000) /* after lists that failed, or of a pmemd that recovers */
#define RECONNECT_USEC UINT64_C(1000000)
#define PULSE_USEC UINT64_C(5000000) /* a question is sent, and was answered when the next one is due */
#define DETAILS_AT_ONCE 16u
#define NOT_RUNNING "pmemd is not running: start it with 'systemctl start pmemd'"

/* What a call of ours has done: shown at once, and again on top of lists that may be older. */
typedef struct {
    char *pool_uuid; /* NULL: the volume is gone */
    RegionViewVolume volume;
} Correction;

typedef struct {
    PmemdLink *link;
    uint64_t change;        /* of the link, when it began */
    GPtrArray *corrections; /* since then */
    unsigned calls;         /* under way; their functions are told of this */
    bool dropped;           /* what they answer is not wanted any more */
    PmemdRaw **raws;
    PmemdMgmt **mgmts;
    PmemdData **regions;
    PmemdLease **leases;
    size_t n_regions, next_detail;
} Reading;

struct PmemdLink {
    PmemdClient *client;
    sd_event *event;
    char *bus;
    PmemdLinkHandlers handlers;
    void *userdata;
    RegionView *view;
    uint64_t serial;
    GHashTable *details; /* uuid -> RegionViewDetail * */
    GPtrArray *readings; /* with those that were dropped and whose calls are not answered */
    Reading *reading;    /* that counts; NULL: none */
    uint64_t change;     /* grows with each thing that the lists may not have told */
    bool connected, attached, up, live;
    bool pulse_unanswered;
    bool doubted; /* and the pulse that is under way will tell */
    PmemdCall *pulse;
    char *problem;
    sd_event_source *gather; /* reads the lists */
    sd_event_source *beat;   /* sends pulses; connects again */
};

static void correction_free(gpointer data) {
    Correction *correction = data;

    g_free(correction->pool_uuid);
    g_free((char *) correction->volume.uuid);
    g_free((char *) correction->volume.name);
    g_free((char *) correction->volume.state);
    g_free((char *) correction->volume.owner);
    g_free((char *) correction->volume.path);
    g_free(correction);
}

/* pool_uuid NULL: without it. volume: copied. */
static Correction *correction_new(const char *pool_uuid, const RegionViewVolume *volume) {
    Correction *correction = g_new0(Correction, 1);

    correction->pool_uuid = g_strdup(pool_uuid);
    correction->volume = *volume;
    correction->volume.uuid = g_strdup(volume->uuid);
    correction->volume.name = g_strdup(volume->name);
    correction->volume.state = g_strdup(volume->state);
    correction->volume.owner = g_strdup(volume->owner);
    correction->volume.path = g_strdup(volume->path);
    return correction;
}

static void reading_free(gpointer data) {
    Reading *reading = data;

    pmemd_raw_list_free(reading->raws);
    pmemd_mgmt_list_free(reading->mgmts);
    pmemd_data_list_free(reading->regions);
    pmemd_lease_list_free(reading->leases);
    g_ptr_array_unref(reading->corrections);
    g_free(reading);
}

static void detail_free(gpointer data) {
    RegionViewDetail *detail = data;

    g_free(detail->guest_path);
    g_free(detail);
}

static void arm(sd_event_source *source, uint64_t usec) {
    if (sd_event_source_set_time_relative(source, usec) < 0 ||
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
        return; /* the loop has ended */
}

/* Does not put off what is due already. */
static void arm_once(sd_event_source *source, uint64_t usec) {
    int enabled = SD_EVENT_OFF;

    if (sd_event_source_get_enabled(source, &enabled) >= 0 && enabled == SD_EVENT_OFF)
        arm(source, usec);
}

/* why: taken; "" for live. */
static void set_live(PmemdLink *link, bool live, char *why) {
    bool changed = link->live != live || !g_str_equal(link->problem, why);

    if (link->live != live)
        log_message(live ? LOG_NOTICE : LOG_WARNING, "%s",
                    live ? "pmemd answers: pools show what it has"
                         : "pools go on to show what pmemd said last, and take no change");
    if (!live && changed)
        log_message(LOG_WARNING, "%s", why);
    g_free(link->problem);
    link->problem = why;
    link->live = live;
    if (changed && link->handlers.live)
        link->handlers.live(link, live, link->userdata);
}

static char *now_text(void) {
    g_autoptr(GDateTime) now = g_date_time_new_now_local();

    return g_date_time_format(now, "%F %T %Z");
}

/* ---- the view ---- */

/* view: taken. */
static void set_view(PmemdLink *link, RegionView *view) {
    RegionView *old = link->view;

    link->view = view;
    region_view_unref(old);
    if (link->handlers.view)
        link->handlers.view(link, link->userdata);
}

/* The view with the correction; takes the reference that it is given. */
static RegionView *corrected(PmemdLink *link, RegionView *view, const Correction *correction) {
    g_autoptr(RegionView) old = view;

    if (correction->pool_uuid)
        return region_view_with(old, correction->pool_uuid, &correction->volume, ++link->serial);
    return region_view_without(old, correction->volume.uuid, ++link->serial);
}

/* correction: taken. */
static void correct(PmemdLink *link, Correction *correction) {
    if (link->view)
        set_view(link, corrected(link, region_view_ref(link->view), correction));
    if (link->reading)
        g_ptr_array_add(link->reading->corrections, correction);
    else
        correction_free(correction);
    pmemd_link_refresh(link);
}

static void set_detail(PmemdLink *link, const char *uuid, uint64_t created_usec, const char *guest_path) {
    RegionViewDetail *detail = g_new0(RegionViewDetail, 1);

    *detail = (RegionViewDetail){ .created_usec = created_usec, .guest_path = g_strdup(guest_path) };
    g_hash_table_replace(link->details, g_strdup(uuid), detail);
}

void pmemd_link_add_volume(PmemdLink *link, const char *pool_uuid, const RegionViewVolume *volume) {
    set_detail(link, volume->uuid, volume->mtime_usec, volume->path);
    correct(link, correction_new(pool_uuid, volume));
}

void pmemd_link_remove_volume(PmemdLink *link, const char *volume_uuid) {
    const RegionViewVolume gone = { .uuid = volume_uuid };

    correct(link, correction_new(NULL, &gone));
}

/* ---- the lists ---- */

static void set_up(PmemdLink *link, bool up, const char *why);

/* Those of its calls that are under way are answered to nobody. */
static void drop_reading(PmemdLink *link) {
    Reading *reading = g_steal_pointer(&link->reading);

    if (!reading)
        return;
    reading->dropped = true;
    if (reading->calls == 0)
        g_ptr_array_remove(link->readings, reading);
}

static void stop_reading(PmemdLink *link, uint64_t again_usec) {
    drop_reading(link);
    if (link->connected && link->up)
        arm(link->gather, again_usec);
}

/* A call ended. false: nobody wants to know, and the reading may be gone. */
static bool is_wanted(Reading *reading, const PmemdReply *reply) {
    PmemdLink *link = reading->link;
    int r = pmemd_reply_result(reply);

    reading->calls--;
    if (reading->dropped) {
        if (reading->calls == 0)
            g_ptr_array_remove(link->readings, reading);
        return false;
    }
    if (r >= 0)
        return true;
    if (r == -ENOTCONN)
        set_up(link, false, NOT_RUNNING);
    else if (r != -ECONNRESET)
        log_message(LOG_WARNING, "pmemd's regions cannot be read: %s", pmemd_reply_error_message(reply));
    stop_reading(link, AGAIN_USEC);
    return false;
}

/* r: of what was sent, or of what should have been in the answer. */
static void go_on(Reading *reading, int r) {
    if (r < 0)
        stop_reading(reading->link, AGAIN_USEC);
    else
        reading->calls++;
}

static void forget_details(PmemdLink *link, const Reading *reading) {
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer uuid;

    for (size_t i = 0; i < reading->n_regions; i++)
        g_hash_table_add(there, reading->regions[i]->uuid);
    for (guint i = 0; i < reading->corrections->len; i++)
        g_hash_table_add(there, (gpointer) ((Correction *) reading->corrections->pdata[i])->volume.uuid);
    g_hash_table_iter_init(&iter, link->details);
    while (g_hash_table_iter_next(&iter, &uuid, NULL))
        if (!g_hash_table_contains(there, uuid))
            g_hash_table_iter_remove(&iter);
}

static void publish(PmemdLink *link) {
    Reading *reading = link->reading;

    forget_details(link, reading);
    const RegionViewFacts facts = {
        .raws = reading->raws,
        .mgmts = reading->mgmts,
        .regions = reading->regions,
        .leases = reading->leases,
        .details = link->details,
    };
    RegionView *view = region_view_new(&facts, ++link->serial);
    for (guint i = 0; i < reading->corrections->len; i++)
        view = corrected(link, view, reading->corrections->pdata[i]);
    if (reading->change != link->change)
        arm_once(link->gather, GATHER_USEC);
    drop_reading(link);
    set_view(link, view);
    if (!link->live)
        set_live(link, true, g_strdup(""));
}

static void ask_details(Reading *reading);

static void on_detail(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;
    PmemdRegion *region = NULL;

    /* Of a region that is gone by now there is none, and the next lists do without it. */
    if (pmemd_reply_result(reply) == -ENOENT && !reading->dropped)
        reading->calls--;
    else if (!is_wanted(reading, reply))
        return;
    if (pmemd_reply_take_region(reply, &region) >= 0) {
        set_detail(reading->link, region->uuid, region->created_usec, region->guest_path);
        pmemd_region_free(region);
    }
    ask_details(reading);
}

/* Without a device, as one that is missing, it has no path for guests, and gets one when the device is back. */
static bool is_known(const PmemdLink *link, const char *uuid) {
    const RegionViewDetail *detail = g_hash_table_lookup(link->details, uuid);

    return detail && detail->guest_path[0] != '\0';
}

static void ask_details(Reading *reading) {
    PmemdLink *link = reading->link;

    while (reading->calls < DETAILS_AT_ONCE && reading->next_detail < reading->n_regions) {
        const PmemdData *region = reading->regions[reading->next_detail++];
        char path[PMEMD_PATH_MAX];
        sd_id128_t uuid;

        if (is_known(link, region->uuid) || !pmemd_uuid_parse(region->uuid, &uuid))
            continue;
        if (pmemd_client_region_async(link->client, pmemd_region_path(uuid, path), on_detail, reading, NULL) < 0) {
            stop_reading(link, AGAIN_USEC);
            return;
        }
        reading->calls++;
    }
    if (reading->calls == 0)
        publish(link);
}

static void on_leases(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;
    size_t n;

    if (!is_wanted(reading, reply))
        return;
    if (pmemd_reply_take_lease_list(reply, &reading->leases, &n) < 0)
        stop_reading(reading->link, AGAIN_USEC);
    else
        ask_details(reading);
}

static void on_regions(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;

    if (!is_wanted(reading, reply))
        return;
    int r = pmemd_reply_take_data_list(reply, &reading->regions, &reading->n_regions);
    go_on(reading, r < 0 ? r : pmemd_client_list_leases_async(client, on_leases, reading, NULL));
}

static void on_mgmts(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;
    size_t n;

    if (!is_wanted(reading, reply))
        return;
    int r = pmemd_reply_take_mgmt_list(reply, &reading->mgmts, &n);
    go_on(reading, r < 0 ? r : pmemd_client_list_data_async(client, on_regions, reading, NULL));
}

static void on_raws(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;
    size_t n;

    if (!is_wanted(reading, reply))
        return;
    int r = pmemd_reply_take_raw_list(reply, &reading->raws, &n);
    go_on(reading, r < 0 ? r : pmemd_client_list_mgmt_async(client, on_mgmts, reading, NULL));
}

/* Until pmemd has compared its journals with the platform its lists are of the past. */
static void on_status(PmemdClient *client, PmemdReply *reply, void *data) {
    Reading *reading = data;
    PmemdStatus *status = NULL;

    if (!is_wanted(reading, reply))
        return;
    int r = pmemd_reply_take_status(reply, &status);
    if (r >= 0 && g_str_equal(status->state, "recovering"))
        r = -EAGAIN;
    pmemd_status_free(status);
    go_on(reading, r < 0 ? r : pmemd_client_list_raw_async(client, on_raws, reading, NULL));
}

static int on_gather(sd_event_source *source, uint64_t usec, void *data) {
    PmemdLink *link = data;

    if (!link->connected || !link->up || link->reading)
        return 0;
    Reading *reading = g_new0(Reading, 1);
    reading->link = link;
    reading->change = link->change;
    reading->corrections = g_ptr_array_new_with_free_func(correction_free);
    g_ptr_array_add(link->readings, reading);
    link->reading = reading;
    go_on(reading, pmemd_client_status_async(link->client, on_status, reading, NULL));
    return 0;
}

void pmemd_link_refresh(PmemdLink *link) {
    link->change++;
    if (!link->reading) /* else it sees at its end that it came too early */
        arm_once(link->gather, GATHER_USEC);
}

/* ---- whether pmemd is there ---- */

static void set_up(PmemdLink *link, bool up, const char *why) {
    link->up = up;
    if (up) {
        pmemd_link_refresh(link);
        return;
    }
    drop_reading(link);
    link->pulse_unanswered = false;
    link->doubted = false;
    pmemd_call_cancel(g_steal_pointer(&link->pulse));
    g_autofree char *when = now_text();
    set_live(link, false, g_strdup_printf("%s (since %s)", why, when));
}

static void on_pulse(PmemdClient *client, PmemdReply *reply, void *data) {
    PmemdLink *link = data;

    link->pulse = NULL;
    link->pulse_unanswered = false;
    link->doubted = false;
    if (pmemd_reply_result(reply) == -ENOTCONN)
        set_up(link, false, NOT_RUNNING);
    else if (pmemd_reply_result(reply) >= 0 && !link->live)
        pmemd_link_refresh(link);
}

static void on_event(PmemdClient *client, const PmemdEvent *event, void *data) {
    PmemdLink *link = data;

    switch (event->type) {
    case PMEMD_EVENT_DAEMON_UP:
        set_up(link, true, "");
        break;
    case PMEMD_EVENT_DAEMON_DOWN:
        set_up(link, false, NOT_RUNNING);
        break;
    case PMEMD_EVENT_DISCONNECTED:
        link->connected = false;
        set_up(link, false, "the connection to the message bus is lost");
        arm(link->beat, RECONNECT_USEC);
        break;
    case PMEMD_EVENT_CHANGED:
        /* How far an erase is says nothing that is shown. */
        if (g_str_equal(event->interface, "org.pmemd1.Job"))
            break;
        pmemd_link_refresh(link);
        break;
    default:
        pmemd_link_refresh(link);
        break;
    }
}

static bool connect_bus(PmemdLink *link) {
    int r = pmemd_client_open(link->client, link->bus);

    if (r >= 0 && !link->attached) {
        r = pmemd_client_attach_event(link->client, link->event, 0);
        if (r >= 0)
            r = pmemd_client_subscribe(link->client, on_event, link);
        link->attached = r >= 0;
    }
    if (r < 0) {
        g_autofree char *why = g_strdup(pmemd_client_error_message(link->client));
        set_live(link, false, g_steal_pointer(&why));
        return false;
    }
    link->connected = true;
    /* Whether pmemd is there the first question tells. */
    set_up(link, true, "");
    return true;
}

static void send_pulse(PmemdLink *link) {
    link->pulse_unanswered = pmemd_client_status_async(link->client, on_pulse, link, &link->pulse) >= 0;
}

void pmemd_link_doubt(PmemdLink *link) {
    if (!link->up || !link->connected)
        return;
    link->doubted = true;
    if (!link->pulse_unanswered)
        send_pulse(link);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *data) {
    PmemdLink *link = data;

    if (!link->connected && !connect_bus(link)) {
        arm(source, RECONNECT_USEC);
        return 0;
    }
    arm(source, PULSE_USEC);
    if (!link->up)
        return 0;
    if (link->pulse_unanswered) {
        if (link->live) {
            g_autofree char *when = now_text();
            set_live(link, false, g_strdup_printf("pmemd is running and does not answer (since %s)", when));
        }
        return 0;
    }
    send_pulse(link);
    return 0;
}

PmemdLink *pmemd_link_new(sd_event *event, const char *bus, const PmemdLinkHandlers *handlers, void *userdata,
                          GError **error) {
    g_autoptr(PmemdLink) link = g_new0(PmemdLink, 1);

    link->event = sd_event_ref(event);
    link->bus = g_strdup(bus);
    link->handlers = *handlers;
    link->userdata = userdata;
    link->problem = g_strdup("pmemd has not been asked yet");
    link->details = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, detail_free);
    link->readings = g_ptr_array_new_with_free_func(reading_free);
    int r = pmemd_client_new(&link->client);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &link->gather, CLOCK_MONOTONIC, 0, 0, on_gather, link);
    if (r >= 0)
        r = sd_event_source_set_enabled(link->gather, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &link->beat, CLOCK_MONOTONIC, 0, 0, on_beat, link);
    if (r < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot begin to ask pmemd: %s", g_strerror(-r));
        return NULL;
    }
    return g_steal_pointer(&link);
}

void pmemd_link_free(PmemdLink *link) {
    if (!link)
        return;
    pmemd_client_free(link->client);
    sd_event_source_disable_unref(link->gather);
    sd_event_source_disable_unref(link->beat);
    sd_event_unref(link->event);
    g_ptr_array_unref(link->readings);
    region_view_unref(link->view);
    g_hash_table_unref(link->details);
    g_free(link->problem);
    g_free(link->bus);
    g_free(link);
}

RegionView *pmemd_link_view(const PmemdLink *link) {
    return link->view;
}

bool pmemd_link_is_live(const PmemdLink *link) {
    return link->live && !link->doubted;
}

const char *pmemd_link_problem(const PmemdLink *link) {
    return link->live && link->doubted ? "pmemd has not answered for some seconds" : link->problem;
}

PmemdClient *pmemd_link_client(PmemdLink *link) {
    return link->client;
}
