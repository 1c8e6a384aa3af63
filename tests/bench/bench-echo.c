/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: bench-echo BUS
 *
 * The peer on the bus: a server of sd-bus that does nothing but answer. Ping is sd-bus's own; List(su) sends the list
 * of data regions that pmemd gave when this started, from an array that is ready in memory, its start as often as it is
 * asked for a page; Refuse(tttta{sv}) answers with an error as long as pmemd's. Says "ready" on its
 * standard output and serves until it is killed.
 */
#include "proto/names.h"
#include "tests/bench/bench.h"
#include "tests/bench/data-list.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    sd_bus_message *reply; /* holds the texts */
    GArray *entries;       /* DataEntry */
} List;

static int handle_list(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    const List *list = userdata;
    sd_bus_message *reply = NULL;
    const char *after;
    uint32_t max;

    (void) ret_error;
    int r = sd_bus_message_read(call, "su", &after, &max);
    guint n = r >= 0 && max > 0 ? MIN(max, list->entries->len) : list->entries->len;
    if (r >= 0)
        r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "(" DATA_SIGNATURE ")");
    for (guint i = 0; r >= 0 && i < n; i++)
        r = data_entry_append(reply, &g_array_index(list->entries, DataEntry, i));
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "s", "");
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return r < 0 ? r : 1;
}

static int handle_refuse(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    (void) call;
    (void) userdata;
    return sd_bus_error_set(ret_error, "org.pmemd1.Error.Exists",
                            "frames 0x100000-0x100004 (device range 0x100000-0x100004) overlap management region "
                            "01234567-89ab-cdef-0123-456789abcdef (0x100000-0x130000)");
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("List", "su", "a(" DATA_SIGNATURE ")s", handle_list, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Refuse", "tttta{sv}", "o", handle_refuse, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int main(int argc, char **argv) {
    List list = { .entries = g_array_new(FALSE, FALSE, sizeof(DataEntry)) };
    sd_bus *bus = NULL;
    DataEntry entry;

    bench_require(argc == 2, "usage: bench-echo BUS", NULL);
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, argv[1]);
    if (r >= 0)
        r = sd_bus_set_bus_client(bus, true);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0)
        r = sd_bus_call_method(bus, PMEMD_BUS_NAME, PMEMD_ROOT_PATH, PMEMD_IFACE_MANAGER, "ListData", NULL, &list.reply,
                               "su", "", (uint32_t) 0);
    if (r >= 0)
        r = sd_bus_message_enter_container(list.reply, 'a', "(" DATA_SIGNATURE ")");
    while (r >= 0 && (r = data_entry_read(list.reply, &entry)) > 0)
        g_array_append_val(list.entries, entry);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus, NULL, BENCH_PATH, BENCH_NAME, vtable, &list);
    if (r >= 0)
        r = sd_bus_request_name(bus, BENCH_NAME, 0);
    if (r >= 0) {
        puts("ready");
        fflush(stdout);
    }
    while (r >= 0) {
        r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, UINT64_MAX);
    }
    fprintf(stderr, "bench-echo: %s\n", g_strerror(-r));
    return EXIT_FAILURE;
}
