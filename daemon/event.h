/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The events of the log: each kind of message that an administrator must act on, or that says who changed what.
 * Promises: an id of its own for each, never reused and never changed (scripts match MESSAGE_ID=); an entry with the same id
 * in systemd/pmemd.catalog, which says what happened, what it means for data and what to do. Used by log and whoever logs.
 */
#pragma once

typedef enum {
    EVENT_NONE,                  /* a message without id */
    EVENT_JOURNAL_WRITE_FAILED,  /* a pool's journal could not be written: the pool is read-only now */
    EVENT_JOURNAL_REMOVED,       /* the file or device that holds a pool's journal went away while in use */
    EVENT_JOURNAL_BACK,          /* it is back: the pool is what it was */
    EVENT_POOL_CORRUPT,          /* a journal, or what it says, is damaged */
    EVENT_POOL_READ_ONLY,        /* the pool can be read, not changed, for another reason */
    EVENT_POOL_OTHER_MACHINE,    /* the pool was last used on another machine */
    EVENT_POOL_UNSUPPORTED,      /* the pool was written by a newer pmemd */
    EVENT_POOL_TWINS,            /* two devices carry one journal's uuid: neither is used */
    EVENT_POOL_REFUSED,          /* a device tagged as a mgmt region's is not used as one */
    EVENT_POOL_LOST,             /* a pool in RAM is not there any more */
    EVENT_REGION_MISSING,        /* the device of a data region is not on the platform */
    EVENT_REGION_DISPLACED,      /* it is there, but moved, changed or taken over by another tool */
    EVENT_REGION_BACK,           /* a missing region's device is in its place again */
    EVENT_REGION_UNSETTLED,      /* what became of an operation that was cut off is not known */
    EVENT_RELEASE_WAITS,         /* a released region cannot be erased yet: somebody holds it */
    EVENT_ERASE_FAILED,          /* a region could not be erased: it stays quarantined, or is lent to nobody */
    EVENT_ERASE_MISMATCH,        /* erased memory does not read as zeros */
    EVENT_LEFTOVER_STAYS,        /* a half-made device could not be removed */
    EVENT_ORPHAN_FOUND,          /* a device tagged as ours that no journal knows */
    EVENT_UNFORMATTED_FOUND,     /* a device tagged as a mgmt region's without a superblock */
    EVENT_RAW_UNUSABLE,          /* a raw region is listed, not used */
    EVENT_PERSISTENCE_UNKNOWN,   /* the platform does not say when a store is durable */
    EVENT_PLATFORM_UNREADABLE,   /* the platform could not be read again */
    EVENT_CONFIGURATION_BAD,     /* an impossible option or setting: pmemd does not start */
    EVENT_CONFIGURATION_IGNORED, /* an unknown setting */
    EVENT_STATE_DIR_UNUSABLE,    /* pmemd does not start */
    EVENT_STATE_DIR_FAILED,      /* a note of the state directory could not be read, written or removed */
    EVENT_BACKEND_UNUSABLE,      /* the platform's interface cannot be opened: pmemd does not start */
    EVENT_START_FAILED,          /* bus, recovery or loop failed: pmemd ends */
    EVENT_BUS_LOST,              /* the bus, or pmemd's name on it, is gone: pmemd ends */
    EVENT_WORKER_STUCK,          /* an operation on the platform does not come back */
    EVENT_INTERNAL_ERROR,        /* a request failed for a reason that no request should meet */
    EVENT_CHANGE_DONE,           /* audit: who changed what */
    EVENT_CHANGE_REFUSED,        /* audit: who asked for what in vain, and why */
    EVENT_REFUSALS_OMITTED,      /* audit: how many refusals were not written */
    EVENT_LEASE_FORCED,          /* a region was taken from whoever had it */
    EVENT_LEASES_UNCONFIRMED,    /* regions were lent before the start, and nobody has attached them again */
    EVENT_REGION_FREED,          /* audit: a released region was erased, its frames are free */
    EVENT_BAD_FRAMES_FOUND,      /* frames of a region, or free ones, cannot be read */
    EVENT_BAD_FRAMES_CLEARED,    /* they can again: what was in them is lost */
    EVENT_DIMM_FAILING,          /* a DIMM says that it is worn, or has failed */
    EVENT_LABELS_REPAIRED,       /* labels that a loss of power left on some DIMMs of a set alone are whole again */
    EVENT_LABELS_NOT_WHOLE,      /* they are not, and need a person */
    N_EVENTS,
} Event;

typedef struct {
    const char *name; /* for people and documents */
    const char *id;   /* MESSAGE_ID: 32 lower-case hexadecimal digits; NULL: EVENT_NONE */
    int priority;     /* LOG_CRIT to LOG_NOTICE */
} EventInfo;

const EventInfo *event_info(Event event);
