/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * What the files of libpmemd share: the connection, one way to make a call, one way to decode a message. Inside, errors
 * are GErrors; pmemd_client_end turns them into what the public functions return.
 * Only libpmemd*.c may include it.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

#include "client/libpmemd.h"
#include "proto/error.h"
#include "proto/types.h"

#define PMEMD_CLIENT_ERROR (pmemd_client_error_quark())
GQuark pmemd_client_error_quark(void);

typedef enum {
    PMEMD_CLIENT_ERROR_UNREACHABLE,
    PMEMD_CLIENT_ERROR_LOST,
    PMEMD_CLIENT_ERROR_PROTOCOL,
} PmemdClientError;

struct PmemdClient {
    char *address; /* as given: "system", "session", an address, or a host; NULL: not opened */
    bool remote;   /* address is a host */
    sd_bus *bus;   /* NULL: not opened */
    sd_event *event;
    int64_t priority;
    bool interactive;
    PmemdEventFunc event_func; /* NULL: not subscribed */
    void *event_data;
    GPtrArray *calls; /* PmemdCall's under way */
    char *error_name, *error_message;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmemdStatus, pmemd_status_free)

/* --- libpmemd.c --- */

/* The name and the errno (positive) of an error. Static. */
const char *pmemd_error_describe(const GError *error, int *ret_errno);
/* The end of a public function: 0 without an error; else keeps the error for the client, frees it, and returns its
 * negative errno. */
int pmemd_client_end(PmemdClient *client, GError *error);
/* "the system bus", ... Free: g_free. */
char *pmemd_client_describe_bus(const PmemdClient *client);
/* Connects anew to where the client was connected; its subscription and loop are kept. */
bool pmemd_client_reconnect(PmemdClient *client, GError **error);
/* UNREACHABLE: not opened. */
bool pmemd_client_check_open(const PmemdClient *client, GError **error);
/* Sets LOST with the cause. errnum: positive. Returns false. */
bool pmemd_client_set_lost(PmemdClient *client, int errnum, GError **error);

/* --- libpmemd-call.c --- */

typedef enum {
    REPLY_NOTHING,
    REPLY_PATH,
    REPLY_KNOWN_PATH, /* the path that was called, if it was there */
    REPLY_COUNT,
    REPLY_RAW_LIST,
    REPLY_MGMT_LIST,
    REPLY_DATA_LIST,
    REPLY_FOREIGN_LIST,
    REPLY_LEASE_LIST,
    REPLY_REGION,
    REPLY_JOB,
    REPLY_STATUS,
    REPLY_PLAN,
    REPLY_METRICS,
    REPLY_LOCATION,
    REPLY_LOCATION_LIST,
    REPLY_ATTACHMENT,
    REPLY_DIMM_LIST,
    REPLY_LOST_LIST,
    REPLY_REPAIR,
    REPLY_LIBVIRT_LIST,
} ReplyKind;

/* Appends the arguments; negative errno. */
typedef int (*PmemdFillFunc)(sd_bus_message *message, const void *arguments);

/* What is called. fill is not used for lists, may be NULL: no arguments. */
typedef struct {
    const char *path, *interface;
    const char *program; /* static; that is asked, and has the bus name of its own; NULL: pmemd */
    const char *name;    /* static; the bus name of program */
    const char *member;  /* static */
    ReplyKind kind;
    PmemdFillFunc fill;
    const void *arguments;
    const char *request_id; /* not NULL: a synchronous call that is lost is made again */
    bool again;             /* the same of a call that may be repeated without an id */
    const uint64_t *frames; /* of a location's reply: what it is about; copied */
    size_t n_frames;
} PmemdCallSpec;

struct PmemdReply {
    ReplyKind kind;
    const char *program, *name; /* static: who is asked */
    const char *interface;      /* static */
    const char *member;         /* static */
    char *path;                 /* the object called; of REPLY_PATH the result */
    GError *error;
    uint32_t count;
    void *result;     /* a struct, or a GPtrArray of structs; NULL: none, or taken */
    char *after;      /* of a list: the cursor of the page to ask for; NULL: no page is left */
    uint64_t *frames; /* of locations: what was asked for */
    size_t n_frames;
    int fd; /* of REPLY_ATTACHMENT; -1: none, or taken */
};

void pmemd_reply_init(PmemdReply *reply, const PmemdCallSpec *spec);
void pmemd_reply_clear(PmemdReply *reply);
/* Makes the call, all pages of a list, and waits. The outcome is in reply, which has to be cleared. */
void pmemd_client_run(PmemdClient *client, const PmemdCallSpec *spec, PmemdReply *ret_reply);
/* Sends the call; func will have the reply. A public function's result. */
int pmemd_client_start(PmemdClient *client, const PmemdCallSpec *spec, PmemdReplyFunc func, void *data,
                       PmemdCall **ret_call);
/* Ends the calls that were sent on another bus than that of now with LOST. */
void pmemd_client_fail_calls(PmemdClient *client);

/* --- libpmemd-request.c --- */

struct PmemdRequest {
    PmemdOperation operation;
    PmemdRange frames, mgmt_frames;
    uint64_t bytes;
    char *name, *profile, *mgmt;
    uint32_t max_regions;
    uint64_t alignment;
    bool init_labels, allow_degraded;
    int32_t node; /* negative: not given */
    char *request_id;
};

/* PmemdFillFunc's of a PmemdRequest. */
int pmemd_request_fill(sd_bus_message *m, const void *arguments);
int pmemd_request_fill_plan(sd_bus_message *m, const void *arguments);

/* --- libpmemd-results.c --- */

/* Where a value goes. type: 's' char *, 't' uint64_t, 'u' uint32_t, 'i' int32_t, 'b' bool, 'd' double. Lists have their
 * fields in this order on the wire, properties by name. A table ends with a field without name. */
typedef struct {
    const char *name;
    char type;
    size_t offset;
} Field;

#define END_FIELD                                                                                                      \
    { NULL, 0, 0 }

/* Frees a struct and its texts. NULL is fine. */
void pmemd_fields_free(const Field *fields, void *base);
/* The next a{sv} into a struct that is all 0. What is absent stays 0 or becomes "". what: of the error. Errors:
 * PROTOCOL. */
bool pmemd_fields_read(sd_bus_message *message, const char *what, const Field *fields, void *base, GError **error);
/* A list's result as the public functions hand it on. */
void pmemd_array_free(void **array, GDestroyNotify free_func);

/* Decodes an answer, of a list one page. Errors: PROTOCOL. */
bool pmemd_reply_read(PmemdReply *reply, sd_bus_message *message, GError **error);
/* Frees reply->result. */
void pmemd_reply_free_result(PmemdReply *reply);
/* The reply's GPtrArray as an array that ends with NULL; the reply has none any more. */
void *pmemd_reply_take_array(PmemdReply *reply, size_t *ret_n);
/* Whether the answer comes in pages. */
bool pmemd_reply_is_list(const PmemdReply *reply);
/* Whether the result is a GPtrArray. */
bool pmemd_reply_is_array(const PmemdReply *reply);

/* --- libpmemd-health.c --- */

extern const Field pmemd_dimm_fields[], pmemd_lost_fields[];

/* --- libpmemd-leases.c --- */

/* Of PmemdLease, as a list has them. */
extern const Field pmemd_lease_fields[];
/* The answer of Attach; 0 or negative errno. The descriptor is a copy of the message's. */
int pmemd_attachment_read(PmemdReply *reply, sd_bus_message *message);

/* --- libpmemd-repair.c --- */

/* Of PmemdRepair, by name. */
extern const Field pmemd_repair_fields[];

/* --- libpmemd-libvirt.c --- */

/* Of PmemdLibvirtPool, by name. */
extern const Field pmemd_libvirt_pool_fields[];

/* --- libpmemd-methods.c --- */

/* 0: the reply has a result of this kind. */
int pmemd_reply_check(const PmemdReply *reply, ReplyKind kind);
/* A method of the Manager. */
PmemdCallSpec pmemd_manager_spec(const char *member, ReplyKind kind);
/* The end of a synchronous function: its result, by the reply's error. Clears the reply. */
int pmemd_client_end_run(PmemdClient *client, PmemdReply *reply);

/* --- libpmemd-values.c --- */

/* The next a{sv} of the message as PmemdValue's; values of other than basic types are left out. NULL: negative errno in
 * ret_errno. */
GPtrArray *pmemd_values_read(sd_bus_message *message, int *ret_errno);
GPtrArray *pmemd_values_new(void);
/* Adds a text value. */
void pmemd_values_add_text(GPtrArray *values, const char *name, const char *text);
/* NULL: none of this name. */
const PmemdValue *pmemd_values_find(const PmemdValue *const *values, size_t n, const char *name);

/* --- libpmemd-events.c --- */

/* Asks the bus for what a subscription needs; 0 or negative errno. For subscribing, and after connecting again. */
int pmemd_client_add_matches(PmemdClient *client);
