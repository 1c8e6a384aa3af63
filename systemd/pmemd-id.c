/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * pmemd-id SYSPATH: tells udev whether the device-dax or block device at SYSPATH (below /sys) lies on a namespace that
 * pmemd made, by the namespace's label: prints PMEMD_ROLE= (mgmt, data or filler) and PMEMD_UUID= (the label's), and ends
 * with 0. Of a device-dax on memory without labels, where nothing says whose it is, it prints PMEMD_ROLE=unlabelled and
 * the uuid of its info block. Else it prints nothing and ends with 1. Reads sysfs, writes nothing, knows neither the daemon nor its state.
 * Run by 72-pmemd.rules alone. What a label says came from a medium that may have been in any machine: only what is
 * wholly of pmemd's form is printed.
 */
#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_LENGTH 64 /* of a label's name, its final NUL included */

static const char *const roles[] = { "mgmt", "data", "filler" };

/* The first line of an attribute, without its end. Empty: there is no such attribute, or it holds nothing. */
static void read_attribute(const char *dir, const char *name, char text[static NAME_MAX_LENGTH]) {
    char path[PATH_MAX];
    FILE *file;

    text[0] = '\0';
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int) sizeof path)
        return;
    file = fopen(path, "re");
    if (!file)
        return;
    if (!fgets(text, NAME_MAX_LENGTH, file))
        text[0] = '\0';
    (void) fclose(file); /* only read */
    text[strcspn(text, "\n")] = '\0';
}

static bool is_name_of_namespace(const char *name) {
    const char *prefix = "namespace";

    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    name += strlen(prefix);
    return *name && name[strspn(name, "0123456789.")] == '\0';
}

/* What pmemd calls its namespaces: pmemd:ROLE:8 hex digits:8 hex digits. */
static const char *role_of_name(const char *name) {
    const char *prefix = "pmemd:";

    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return NULL;
    name += strlen(prefix);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        size_t len = strlen(roles[i]);
        const char *rest = name + len;

        if (strncmp(name, roles[i], len) == 0 && strlen(rest) == 18 && rest[0] == ':' && rest[9] == ':' &&
            strspn(rest + 1, "0123456789abcdef") == 8 && strspn(rest + 10, "0123456789abcdef") == 8)
            return roles[i];
    }
    return NULL;
}

static bool is_uuid(const char *text) {
    if (strlen(text) != 36)
        return false;
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
            return false;
    return true;
}

/* false: path has no parent that could be a device's. */
static bool cut_last(char *path) {
    char *slash = strrchr(path, '/');

    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

static bool is_name_of_dax(const char *name) {
    const char *prefix = "dax";

    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    name += strlen(prefix);
    return *name && name[strspn(name, "0123456789.")] == '\0';
}

/* Makes path that of the namespace that the device at path lies on: the namespace is a parent of a raw block device; of
 * all others a parent names it, and it stands beside that parent. dax_uuid: that parent's uuid when it is a device-dax,
 * else empty. */
static bool find_namespace(char path[static PATH_MAX], char dax_uuid[static NAME_MAX_LENGTH]) {
    char text[NAME_MAX_LENGTH];

    dax_uuid[0] = '\0';
    do {
        const char *name = strrchr(path, '/');

        if (!name)
            return false;
        if (is_name_of_namespace(name + 1))
            return true;
        read_attribute(path, "namespace", text);
        if (is_name_of_namespace(text)) {
            size_t len = (size_t) (name + 1 - path);

            if (is_name_of_dax(name + 1))
                read_attribute(path, "uuid", dax_uuid);
            return snprintf(path + len, PATH_MAX - len, "%s", text) < (int) (PATH_MAX - len);
        }
    } while (cut_last(path));
    return false;
}

int main(int argc, char **argv) {
    char path[PATH_MAX], name[NAME_MAX_LENGTH], uuid[NAME_MAX_LENGTH], dax_uuid[NAME_MAX_LENGTH];

    if (argc != 2 || snprintf(path, sizeof path, "%s", argv[1]) >= (int) sizeof path || !find_namespace(path, dax_uuid))
        return 1;
    read_attribute(path, "alt_name", name);
    read_attribute(path, "uuid", uuid);

    const char *role = role_of_name(name);
    if (!name[0] && !uuid[0] && dax_uuid[0]) {
        role = "unlabelled";
        memcpy(uuid, dax_uuid, sizeof uuid);
    }
    if (!role || !is_uuid(uuid))
        return 1;
    return printf("PMEMD_ROLE=%s\nPMEMD_UUID=%s\n", role, uuid) > 0 && fflush(stdout) == 0 ? 0 : 1;
}
