/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "proto/types.h"

#include "proto/names.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = { "raw", "mgmt", "data" };
G_STATIC_ASSERT(G_N_ELEMENTS(kind_names) == N_REGION_KINDS);

typedef struct {
    const char *name;
    uint32_t page_info;
    uint32_t m2p;
} ProfileRow;

static const ProfileRow profile_table[] = {
    [PROFILE_XEN] = { "xen", 32, 8 },
    [PROFILE_LINUX] = { "linux", 64, 0 },
    [PROFILE_NONE] = { "none", 0, 0 },
};
G_STATIC_ASSERT(G_N_ELEMENTS(profile_table) == N_PROFILES);

const char *region_kind_to_string(RegionKind kind) {
    g_assert(kind < N_REGION_KINDS);
    return kind_names[kind];
}

const char *profile_to_string(Profile profile) {
    g_assert(profile < N_PROFILES);
    return profile_table[profile].name;
}

bool profile_from_string(const char *s, Profile *ret_profile) {
    for (int i = 0; i < N_PROFILES; i++)
        if (strcmp(profile_table[i].name, s) == 0) {
            *ret_profile = (Profile) i;
            return true;
        }
    return false;
}

uint32_t profile_page_info_bytes(Profile profile) {
    g_assert(profile < N_PROFILES);
    return profile_table[profile].page_info;
}

uint32_t profile_m2p_bytes(Profile profile) {
    g_assert(profile < N_PROFILES);
    return profile_table[profile].m2p;
}

bool profile_from_bytes(uint32_t page_info, uint32_t m2p, Profile *ret_profile) {
    for (int i = 0; i < N_PROFILES; i++)
        if (profile_table[i].page_info == page_info && profile_table[i].m2p == m2p) {
            *ret_profile = (Profile) i;
            return true;
        }
    return false;
}

/* The five groups of a uuid, as sd_id128_from_string() would also take them without dashes, which we do not. */
static bool uuid_shaped(const char *s, char dash) {
    for (int i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? s[i] != dash : !g_ascii_isxdigit(s[i]))
            return false;
    }
    return s[36] == '\0';
}

bool pmemd_uuid_parse(const char *s, sd_id128_t *ret_uuid) {
    return s && uuid_shaped(s, '-') && sd_id128_from_string(s, ret_uuid) >= 0;
}

char *pmemd_uuid_format(sd_id128_t uuid, char buf[static PMEMD_UUID_STRING_MAX]) {
    return sd_id128_to_uuid_string(uuid, buf);
}

guint pmemd_uuid_hash(gconstpointer uuid) {
    uint32_t words[4];

    /* Uuids are random, so any part of them is a hash; fold all of it so that hand-made ones spread, too. */
    memcpy(words, uuid, sizeof words);
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

gboolean pmemd_uuid_equal(gconstpointer a, gconstpointer b) {
    return memcmp(a, b, sizeof(sd_id128_t)) == 0;
}

static char *path_format(const char *prefix, sd_id128_t uuid, char buf[static PMEMD_PATH_MAX]) {
    char text[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(uuid, text);
    g_strdelimit(text, "-", '_');
    snprintf(buf, PMEMD_PATH_MAX, "%s%s", prefix, text);
    return buf;
}

static bool path_parse(const char *prefix, const char *path, sd_id128_t *ret_uuid) {
    char text[PMEMD_UUID_STRING_MAX];

    if (!path || !g_str_has_prefix(path, prefix))
        return false;
    path += strlen(prefix);
    if (!uuid_shaped(path, '_'))
        return false;
    g_strlcpy(text, path, sizeof text);
    g_strdelimit(text, "_", '-');
    return pmemd_uuid_parse(text, ret_uuid);
}

char *pmemd_region_path(sd_id128_t uuid, char buf[static PMEMD_PATH_MAX]) {
    return path_format(PMEMD_REGION_PATH_PREFIX, uuid, buf);
}

bool pmemd_region_path_parse(const char *path, sd_id128_t *ret_uuid) {
    return path_parse(PMEMD_REGION_PATH_PREFIX, path, ret_uuid);
}

char *pmemd_job_path(sd_id128_t region_uuid, char buf[static PMEMD_PATH_MAX]) {
    return path_format(PMEMD_JOB_PATH_PREFIX, region_uuid, buf);
}

bool pmemd_job_path_parse(const char *path, sd_id128_t *ret_region_uuid) {
    return path_parse(PMEMD_JOB_PATH_PREFIX, path, ret_region_uuid);
}

bool pmemd_name_is_valid(const char *name) {
    if (!name || !g_ascii_isalnum(name[0]))
        return false;

    size_t len = strnlen(name, PMEMD_NAME_MAX + 1);
    if (len > PMEMD_NAME_MAX)
        return false;
    for (size_t i = 1; i < len; i++)
        if (!g_ascii_isalnum(name[i]) && !strchr("_.-", name[i]))
            return false;
    return !(len == 36 && uuid_shaped(name, '-'));
}

bool pmemd_lease_owner_is_valid(const char *owner) {
    size_t len = owner ? strnlen(owner, PMEMD_LEASE_OWNER_MAX + 1) : 0;

    if (len == 0 || len > PMEMD_LEASE_OWNER_MAX || owner[0] == ' ' || owner[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!g_ascii_isprint(owner[i]))
            return false;
    return true;
}
