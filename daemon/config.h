/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The configuration: pmemd.conf and its drop-ins, one group [pmemd] of keys, and quotas in groups of their own.
 * Promises: a file that cannot be what its author meant is refused (PMEMD_ERROR_INVALID_ARGUMENT with file, line, key,
 * value and the values that would do); an unknown key or group is only warned about, with file and line, so that a
 * newer file serves an older pmemd; of each value it is known where it comes from. Used by main.
 */
#pragma once

#include "daemon/manage-list.h"
#include "daemon/quota.h"
#include "proto/types.h"

#include <glib.h>
#include <stdbool.h>

#define CONFIG_PATH "/etc/pmemd/pmemd.conf"
/* Folders of drop-ins; each masks those before it. */
#define CONFIG_DIRS                                                                                                    \
    { "/usr/lib/pmemd/pmemd.conf.d", "/run/pmemd/pmemd.conf.d", "/etc/pmemd/pmemd.conf.d", NULL }

/* In the order in which they are shown. */
typedef enum {
    CONFIG_BACKEND,
    CONFIG_BUS,
    CONFIG_STATE_DIR,
    CONFIG_MANAGE,
    CONFIG_PERSISTENCE_DOMAIN,
    CONFIG_DEFAULT_PROFILE,
    CONFIG_DEFAULT_ALIGNMENT,
    CONFIG_ERASE_RATE,
    CONFIG_ERASE_VERIFY,
    CONFIG_MAX_QUEUE,
    CONFIG_MAX_QUEUE_PER_USER,
    CONFIG_MAX_REGIONS_PER_USER,
    CONFIG_MAX_LEASES_PER_USER,
    CONFIG_STUCK_AFTER,
    CONFIG_HEALTH_POLL,
    N_CONFIG_KEYS,
} ConfigKey;

/* What to do with raw regions that promise no persistence. */
typedef enum {
    CONFIG_PERSISTENCE_REQUIRE, /* they are not used */
    CONFIG_PERSISTENCE_WARN,    /* used, and said so in the log */
    CONFIG_PERSISTENCE_IGNORE,
} ConfigPersistence;

typedef struct {
    char *backend;      /* "ndctl" or "file:DIR" */
    char *bus;          /* "system", "session" or an address */
    char *state_dir;    /* absolute */
    ManageList *manage; /* raw regions that pmemd may choose by itself */
    ConfigPersistence persistence;
    Profile default_profile;    /* of SetupMgmt and AllocateMgmt without the option */
    uint64_t default_alignment; /* of AllocateMgmt and AllocateData without the option; 0: the raw region's own */
    uint64_t erase_rate;        /* bytes a second; 0: no limit */
    bool erase_verify_all;      /* all that is erased is read back, not samples alone */
    guint max_queue;            /* changes that wait, in total */
    guint max_queue_per_user;
    guint max_regions_per_user; /* data regions, also those being erased; 0: no limit */
    guint max_leases_per_user;  /* data regions that one user has attached; 0: no limit */
    guint stuck_after_sec;      /* when an operation of the backend is reported as stuck */
    guint health_poll_sec;      /* how often the platform is read without an event; 0: never */
    QuotaTable *quotas;
    GPtrArray *quota_texts;       /* ConfigQuota *, in the order of reading */
    GPtrArray *warnings;          /* char *: one line each, for the log */
    char *texts[N_CONFIG_KEYS];   /* the values as they were written */
    char *sources[N_CONFIG_KEYS]; /* "FILE:LINE", "option --bus"; NULL: the default */
} Config;

/* One [quota ...]. */
typedef struct {
    QuotaKind kind;
    char *name, *text, *source;
    uint64_t bytes;
} ConfigQuota;

/* Reads the files. path: that one and the drop-ins in path.d alone; NULL: the host's (CONFIG_PATH, CONFIG_DIRS). */
Config *config_load(const char *path, GError **error);
/* Of files (ConfFile *) that were read, a later one before an earlier one. */
Config *config_from_files(const GPtrArray *files, GError **error);
void config_free(Config *config);

/* Sets one value over what the files say; source: "option --bus". INVALID_ARGUMENT. */
bool config_override(Config *config, ConfigKey key, const char *text, const char *source, GError **error);
/* Warns about users and groups of quotas that the host does not know. Asks the name services, which may block. */
void config_check_names(Config *config);

/* The keys whose new value counts only after a restart, as "Bus, StateDir"; NULL: there is none. */
char *config_restart_needed(const Config *old_config, const Config *new_config);
/* The whole configuration as a file that gives it again, with a comment above each value that says where it is from. */
char *config_to_string(const Config *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
