/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Health of DIMMs: what each says of itself, and of several the worst, which is that of all data that lies across them.
 * Plain values; no I/O.
 */
#pragma once

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    HEALTH_UNKNOWN, /* it does not tell */
    HEALTH_OK,
    HEALTH_NON_CRITICAL, /* maintenance is due */
    HEALTH_CRITICAL,     /* it may soon fail */
    HEALTH_FATAL,        /* it has failed: data is or will be lost */
    N_HEALTHS,
} Health;

/* "unknown", "ok", "non-critical", "critical", "fatal". Static. */
const char *health_to_string(Health health);
bool health_from_string(const char *s, Health *ret_health); /* false: unknown word */
/* The worse one. Unknown is worse than ok and better than all else. */
Health health_worst(Health a, Health b);

typedef enum {
    DIMM_DISABLED = 1 << 0,           /* it has no driver: nothing of it can be used or asked */
    DIMM_LOCKED = 1 << 1,             /* its security locks it */
    DIMM_NOT_ARMED = 1 << 2,          /* it could not be armed: what is written may not survive a power loss */
    DIMM_MAP_FAILED = 1 << 3,         /* the platform could not map it */
    DIMM_SAVE_FAILED = 1 << 4,        /* the last save at a power loss failed: data may be lost */
    DIMM_RESTORE_FAILED = 1 << 5,     /* the last restore failed: data may be lost */
    DIMM_FLUSH_FAILED = 1 << 6,       /* the last flush of the platform failed: data may be lost */
    DIMM_SMART_EVENT = 1 << 7,        /* it has health events that nobody has looked at yet */
    DIMM_DIRTY_SHUTDOWN = 1 << 8,     /* its last shutdown was unsafe */
    DIMM_ALARM_SPARES = 1 << 9,       /* fewer spares than its threshold */
    DIMM_ALARM_TEMPERATURE = 1 << 10, /* its media are hotter than their threshold */
    DIMM_ALARM_CONTROLLER = 1 << 11,  /* its controller is hotter than its threshold */
} DimmFlag;
#define N_DIMM_FLAGS 12

/* "disabled", "locked", "not-armed", ... of a single flag. Static. */
const char *dimm_flag_to_string(DimmFlag flag);
bool dimm_flag_from_string(const char *s, DimmFlag *ret_flag);
/* "not-armed, smart-event", "" for none; the caller frees it. */
char *dimm_flags_to_string(uint32_t flags);

#define DIMM_UNKNOWN (-1)                /* of percentages */
#define DIMM_TEMPERATURE_UNKNOWN INT_MIN /* of temperatures */
#define DIMM_SHUTDOWNS_UNKNOWN UINT64_MAX

/* What one DIMM says, or the worst of several. */
typedef struct {
    char *id;   /* the maker's, as in Manage=dimm:ID; NULL: it has none, or this is the worst of several */
    char *name; /* the kernel's ("nmem0"), which changes between boots; NULL as id */
    Health state;
    uint32_t flags;            /* DimmFlag */
    int spares;                /* per cent of spare blocks that are left, or DIMM_UNKNOWN */
    int life_used;             /* per cent of its expected life; may pass 100; or DIMM_UNKNOWN */
    int temperature;           /* of the media, whole degrees Celsius, or DIMM_TEMPERATURE_UNKNOWN */
    uint64_t unsafe_shutdowns; /* how often power was lost before all was saved, or DIMM_SHUTDOWNS_UNKNOWN */
} DimmHealth;

/* All unknown. id, name: copied; may be NULL. */
DimmHealth *dimm_health_new(const char *id, const char *name);
DimmHealth *dimm_health_copy(const DimmHealth *dimm);
void dimm_health_free(DimmHealth *dimm);
bool dimm_health_equal(const DimmHealth *a, const DimmHealth *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DimmHealth, dimm_health_free)

/* An array of DimmHealth * that owns them, and a deep copy of one; NULL stays NULL. */
GPtrArray *dimm_healths_new(void);
GPtrArray *dimm_healths_copy(const GPtrArray *dimms);
bool dimm_healths_equal(const GPtrArray *a, const GPtrArray *b);
/* Of each value the worst, of flags all; all unknown when there are none. A value that one of them does not tell is
 * that of the others; a state that one does not tell is unknown unless another's is worse. The caller frees it. */
DimmHealth *dimm_healths_worst(const GPtrArray *dimms);

/* Why nothing may be stored on this DIMM, with the remedy: "nmem0 is locked: unlock it first". NULL: it may. The caller
 * frees it. */
char *dimm_health_unusable(const DimmHealth *dimm);
