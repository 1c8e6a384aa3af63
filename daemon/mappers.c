/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/mappers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READ_BYTES ((size_t) 64 << 10)
#define NAMED_MAX 4u
/* About as long as that many bytes of maps. */
#define DESCRIPTOR_COST 100u

/* What is looked for, and what was found of it. */
struct Mappers {
    bool devices;      /* all devices; else the one file */
    dev_t file_device; /* of the file */
    ino_t file_inode;
    char *file_name;
    GHashTable *found; /* device_key(), 0 for the file -> GArray of Mapper */
    char *gap;
};

/* One look. */
typedef struct {
    Mappers *mappers;
    MappersLimits limits;
    uint64_t bytes; /* read so far */
    int64_t end;    /* monotonic: when the time is over */
    char *buffer;   /* READ_BYTES and a 0 */
    Mapper process; /* the one at hand */
    int dir;        /* its folder */
    uint64_t cost;  /* bytes of its maps, and of its descriptors what one costs */
    Mapper hog;     /* the one that cost most so far */
    uint64_t hog_cost;
    bool cut; /* a bound was reached: the look ends */
} Look;

static guint64 device_key(bool block, unsigned major_number, unsigned minor_number) {
    return (guint64) block << 63 | UINT64_C(1) << 62 | (guint64) major_number << 32 | minor_number;
}

/* The first reason is told: those after it change nothing. */
static void note_gap(Look *look, const char *why) {
    if (!look->mappers->gap)
        look->mappers->gap = g_strdup_printf("process %d (%s): %s", (int) look->process.pid, look->process.comm, why);
}

/* A process that has ended since is no loss; one that cannot be looked at is. */
static void note_failure(Look *look, const char *what, int errnum) {
    if (errnum == ENOENT || errnum == ESRCH)
        return;
    g_autofree char *why = g_strdup_printf("cannot read its %s: %s", what, g_strerror(errnum));
    note_gap(look, why);
}

/* The turn of the process at hand is over. */
static void note_turn(Look *look) {
    if (look->hog.pid != 0 && look->cost <= look->hog_cost)
        return;
    look->hog_cost = look->cost;
    look->hog = look->process;
}

/* A bound was reached. The process at hand may have no part in that, so the one that cost most is named. */
static void cut(Look *look, const char *why) {
    if (look->cut)
        return;
    note_turn(look);
    look->cut = true;
    if (!look->mappers->gap && look->hog.pid != 0)
        look->mappers->gap =
            g_strdup_printf("%s: process %d (%s) has most to look at", why, (int) look->hog.pid, look->hog.comm);
    else if (!look->mappers->gap)
        look->mappers->gap = g_strdup(why);
}

static bool is_over(Look *look) {
    if (!look->cut && g_get_monotonic_time() >= look->end)
        cut(look, "there was no time to look through all processes");
    return look->cut;
}

static void note_use(Look *look, guint64 key, unsigned use) {
    GArray *found = g_hash_table_lookup(look->mappers->found, &key);

    if (!found) {
        found = g_array_new(FALSE, FALSE, sizeof(Mapper));
        g_hash_table_insert(look->mappers->found, g_memdup2(&key, sizeof key), found);
    }
    /* Processes come one after the other: if this one is there, it is the last. */
    Mapper *last = found->len > 0 ? &g_array_index(found, Mapper, found->len - 1) : NULL;
    if (last && last->pid == look->process.pid)
        last->use |= use;
    else {
        look->process.use = use;
        g_array_append_val(found, look->process);
    }
}

/* Whether what was looked at is what is looked for; then it is noted. */
static void note_statx(Look *look, const struct statx *st, unsigned use) {
    const Mappers *mappers = look->mappers;

    if (mappers->devices && (S_ISCHR(st->stx_mode) || S_ISBLK(st->stx_mode)))
        note_use(look, device_key(S_ISBLK(st->stx_mode), st->stx_rdev_major, st->stx_rdev_minor), use);
    else if (!mappers->devices && st->stx_ino == mappers->file_inode &&
             makedev(st->stx_dev_major, st->stx_dev_minor) == mappers->file_device)
        note_use(look, 0, use);
}

/* Looks at what the magic link name in dir leads to, without asking a file server that may be gone. 0 or the errno. */
static int look_at_link(Look *look, int dir, const char *name, unsigned use) {
    struct statx st;

    if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
        return errno;
    note_statx(look, &st, use);
    return 0;
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

/* The descriptors of the process, or of one of its threads (path "task/TID/fd"). */
static void scan_descriptors(Look *look, const char *path) {
    int fd = openat(look->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        note_failure(look, "descriptors", errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry && !is_over(look); entry = readdir(dir)) {
        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        int errnum = look_at_link(look, fd, entry->d_name, MAPPERS_OPEN);

        look->cost += DESCRIPTOR_COST;
        /* What leads to a broken server or to nothing any more is no device and no local file. */
        if (errnum == EACCES || errnum == EPERM || errnum == ENOMEM)
            note_failure(look, "descriptors", errnum);
    }
    closedir(dir);
}

/* --- mappings ----------------------------------------------------------------------------------------------------- */

typedef struct {
    char range[40]; /* "START-END": the name in map_files */
    bool shared;
    guint64 inode;
    const char *path; /* "": none; blanks and newlines in it are the kernel's business */
} Mapping;

/* maps writes eight digits at least; map_files knows no number with a zero before it. */
static const char *skip_zeros(const char *digits) {
    while (digits[0] == '0' && digits[1] != '\0')
        digits++;
    return digits;
}

/* "START-END PERMS OFFSET MAJOR:MINOR INODE      PATH". line is changed. */
static bool parse_mapping(char *line, Mapping *ret_mapping) {
    char *fields[5], *rest = line;

    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        char *blank = strchr(rest, ' ');

        fields[i] = rest;
        if (!blank && i < 4)
            return false;
        if (blank)
            *blank = '\0';
        rest = blank ? blank + 1 : rest + strlen(rest);
    }
    char *dash = strchr(fields[0], '-');
    if (strlen(fields[0]) >= sizeof ret_mapping->range || !dash || strchr(fields[0], '/') || strlen(fields[1]) != 4 ||
        !g_ascii_string_to_unsigned(fields[4], 10, 0, G_MAXUINT64, &ret_mapping->inode, NULL))
        return false;
    *dash = '\0';
    g_snprintf(ret_mapping->range, sizeof ret_mapping->range, "%s-%s", skip_zeros(fields[0]), skip_zeros(dash + 1));
    ret_mapping->shared = fields[1][3] == 's';
    ret_mapping->path = rest + strspn(rest, " ");
    return true;
}

/* A quick look that leaves out what cannot be meant; what it lets through is asked by its link. */
static bool may_be_meant(const Mappers *mappers, const Mapping *mapping) {
    if (mapping->inode == 0)
        return false;
    /* Device-dax is mapped shared only; a block device may be mapped privately, under its name. */
    if (mappers->devices)
        return mapping->shared || g_str_has_prefix(mapping->path, "/dev/");
    return mapping->inode == mappers->file_inode || strstr(mapping->path, mappers->file_name);
}

/* The numbers and the path in maps are those of the device's node: only the link in map_files leads to the device. */
static void look_at_mapping(Look *look, const Mapping *mapping, int dir) {
    g_autofree char *link = g_strconcat("map_files/", mapping->range, NULL);

    if (!may_be_meant(look->mappers, mapping))
        return;
    int errnum = look_at_link(look, dir, link, MAPPERS_MAPPED);
    if (errnum != EACCES && errnum != EPERM && errnum != ENOMEM)
        return;
    /* Without the right to follow links (a pmemd that is not root's) the file's own number is as good. */
    if (!look->mappers->devices && mapping->inode == look->mappers->file_inode)
        note_use(look, 0, MAPPERS_MAPPED);
    else
        note_gap(look, "cannot follow the links of its mappings");
}

/* Takes the whole lines of the buffer; returns how many bytes of a last, partial one were moved to its start. */
static size_t take_lines(Look *look, size_t len, int dir) {
    char *line = look->buffer;

    look->buffer[len] = '\0';
    for (char *end = memchr(line, '\n', len); end; end = memchr(line, '\n', (size_t) (look->buffer + len - line))) {
        Mapping mapping;

        *end = '\0';
        if (parse_mapping(line, &mapping))
            look_at_mapping(look, &mapping, dir);
        else
            note_gap(look, "its mappings make no sense");
        line = end + 1;
    }
    size_t left = (size_t) (look->buffer + len - line);
    memmove(look->buffer, line, left);
    return left;
}

/* The mappings of the process, or of one of its threads, whose folder is dir. Returns the bytes that were read. */
static uint64_t scan_mappings(Look *look, int dir) {
    int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    uint64_t bytes = 0;
    size_t kept = 0;

    if (fd < 0) {
        note_failure(look, "mappings", errno);
        return 0;
    }
    while (!is_over(look)) {
        ssize_t n = read(fd, look->buffer + kept, READ_BYTES - kept);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            note_failure(look, "mappings", errno);
        if (n <= 0)
            break;
        bytes += (uint64_t) n;
        look->bytes += (uint64_t) n;
        look->cost += (uint64_t) n;
        kept = take_lines(look, kept + (size_t) n, dir);
        if (kept == READ_BYTES) {
            note_gap(look, "its mappings make no sense");
            kept = 0;
            break;
        }
        if (look->bytes > look->limits.max_bytes)
            cut(look, "all processes together have more mappings than are looked through");
    }
    if (kept > 0 && !look->cut)
        note_gap(look, "its mappings make no sense");
    close(fd);
    return bytes;
}

/*
 * The folder of a thread beside those of processes, where it is not listed, but is there, and alone has the links of
 * mappings. -1: the thread has ended. A number that is somebody else's by now has no task of this process.
 */
static int open_thread(const Look *look, const char *tid) {
    g_autofree char *path = g_strdup_printf("../%s", tid), *task = g_strdup_printf("task/%s", tid);
    int fd = openat(look->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || faccessat(look->dir, task, F_OK, 0) == 0)
        return fd;
    int errnum = errno;
    close(fd);
    errno = errnum;
    return -1;
}

/* A process whose first thread has ended shows nothing any more, but its other threads still have it all. */
static void scan_threads(Look *look) {
    int fd = openat(look->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        note_failure(look, "threads", errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry && !is_over(look); entry = readdir(dir)) {
        if (!g_ascii_isdigit(entry->d_name[0]) || (pid_t) g_ascii_strtoll(entry->d_name, NULL, 10) == look->process.pid)
            continue;
        g_autofree char *descriptors = g_strdup_printf("task/%s/fd", entry->d_name);
        int thread = open_thread(look, entry->d_name);

        if (thread < 0) {
            note_failure(look, "threads", errno);
            continue;
        }
        /* All of them have the same mappings, and next to always the same descriptors. */
        bool alive = scan_mappings(look, thread) > 0;
        close(thread);
        if (!look->cut)
            scan_descriptors(look, descriptors);
        if (alive)
            break;
    }
    closedir(dir);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* The start of a small file, as text without control characters. -1: it cannot be read. */
static ssize_t read_text(int dir, const char *name, char *buffer, size_t size) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, buffer, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    buffer[MAX(n, 0)] = '\0';
    return n;
}

static void read_name(Look *look) {
    char *comm = look->process.comm;
    ssize_t n = read_text(look->dir, "comm", comm, sizeof look->process.comm);

    if (n > 0 && comm[n - 1] == '\n')
        comm[--n] = '\0';
    for (ssize_t i = 0; i < n; i++)
        if (!g_ascii_isprint(comm[i]))
            comm[i] = '?';
}

/* The 22nd field of stat. The second is the name in parentheses, with whatever it has. */
static uint64_t read_start_time(int dir) {
    char text[1024];
    guint64 start;

    if (read_text(dir, "stat", text, sizeof text) <= 0)
        return 0;
    const char *after = strrchr(text, ')');
    g_auto(GStrv) fields = g_strsplit(after ? after : "", " ", 22);
    return g_strv_length(fields) == 22 && g_ascii_string_to_unsigned(fields[20], 10, 0, G_MAXUINT64, &start, NULL)
               ? start
               : 0;
}

static void scan_process(Look *look, int proc, const char *name) {
    struct stat st;

    look->process = (Mapper){ .pid = (pid_t) g_ascii_strtoll(name, NULL, 10) };
    look->cost = 0;
    look->dir = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (look->dir < 0) {
        note_failure(look, "folder", errno);
        return;
    }
    read_name(look);
    look->process.start_time = read_start_time(look->dir);
    look->process.uid = fstat(look->dir, &st) == 0 ? st.st_uid : 0;
    if (scan_mappings(look, look->dir) == 0 && !look->cut)
        scan_threads(look);
    if (!look->cut)
        scan_descriptors(look, "fd");
    note_turn(look);
    close(look->dir);
}

static int compare_pids(gconstpointer a, gconstpointer b) {
    pid_t x = ((const Mapper *) a)->pid, y = ((const Mapper *) b)->pid;

    return (x > y) - (x < y);
}

static void scan_all(Mappers *mappers, const MappersLimits *limits) {
    g_autofree char *buffer = g_malloc(READ_BYTES + 1);
    Look look = { .mappers = mappers, .limits = *limits, .buffer = buffer };
    DIR *proc = opendir(limits->root);
    bool first_seen = false;
    guint processes = 0;
    GHashTableIter iter;
    gpointer found;

    if (!proc) {
        mappers->gap = g_strdup_printf("cannot read %s: %s", limits->root, g_strerror(errno));
        return;
    }
    look.end = g_get_monotonic_time() + (int64_t) limits->max_usec;
    for (const struct dirent *entry = readdir(proc); entry && !is_over(&look); entry = readdir(proc)) {
        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        if (processes++ >= limits->max_processes) {
            g_free(mappers->gap);
            mappers->gap = g_strdup_printf("there are more than %u processes", limits->max_processes);
            look.cut = true;
            break;
        }
        first_seen = first_seen || strcmp(entry->d_name, "1") == 0;
        scan_process(&look, dirfd(proc), entry->d_name);
    }
    closedir(proc);
    /* A /proc that hides the processes of others (hidepid=) looks like one without any. */
    if (!first_seen && !look.cut && !mappers->gap)
        mappers->gap = g_strdup_printf("%s does not show process 1, so it hides others, too", limits->root);
    g_hash_table_iter_init(&iter, mappers->found);
    while (g_hash_table_iter_next(&iter, NULL, &found))
        g_array_sort(found, compare_pids);
}

static Mappers *mappers_new(void) {
    Mappers *mappers = g_new0(Mappers, 1);

    mappers->found = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) g_array_unref);
    return mappers;
}

Mappers *mappers_new_devices(const MappersLimits *limits) {
    Mappers *mappers = mappers_new();

    mappers->devices = true;
    scan_all(mappers, limits);
    return mappers;
}

Mappers *mappers_new_file(const MappersLimits *limits, dev_t device, ino_t inode, const char *name) {
    Mappers *mappers = mappers_new();

    mappers->file_device = device;
    mappers->file_inode = inode;
    mappers->file_name = g_strdup(name);
    scan_all(mappers, limits);
    return mappers;
}

void mappers_free(Mappers *mappers) {
    if (!mappers)
        return;
    g_hash_table_unref(mappers->found);
    g_free(mappers->file_name);
    g_free(mappers->gap);
    g_free(mappers);
}

static const GArray *lookup(const Mappers *mappers, guint64 key) {
    return g_hash_table_lookup(mappers->found, &key);
}

const GArray *mappers_of_char(const Mappers *mappers, dev_t device) {
    return lookup(mappers, device_key(false, major(device), minor(device)));
}

const GArray *mappers_of_block(const Mappers *mappers, dev_t device) {
    return lookup(mappers, device_key(true, major(device), minor(device)));
}

const GArray *mappers_of_file(const Mappers *mappers) {
    return lookup(mappers, 0);
}

const char *mappers_gap(const Mappers *mappers) {
    return mappers->gap;
}

/* --- one device's ------------------------------------------------------------------------------------------------- */

MapperList *mapper_list_new(const GArray *found, unsigned use, const char *gap) {
    MapperList *list = g_new0(MapperList, 1);

    list->found = g_array_new(FALSE, FALSE, sizeof(Mapper));
    for (guint i = 0; found && i < found->len; i++) {
        const Mapper *mapper = &g_array_index(found, Mapper, i);

        if (mapper->use & use)
            g_array_append_vals(list->found, mapper, 1);
    }
    list->gap = g_strdup(gap);
    return list;
}

void mapper_list_free(MapperList *list) {
    if (!list)
        return;
    g_array_unref(list->found);
    g_free(list->gap);
    g_free(list);
}

char *mapper_list_describe(const MapperList *list, uid_t viewer) {
    g_autoptr(GString) text = g_string_new(NULL);
    guint named = 0, others = 0, more = 0;
    bool mapped = false;

    for (guint i = 0; i < list->found->len; i++) {
        const Mapper *mapper = &g_array_index(list->found, Mapper, i);

        mapped = mapped || mapper->use & MAPPERS_MAPPED;
        if (viewer != MAPPERS_EVERYBODY && mapper->uid != viewer)
            others++;
        else if (named == NAMED_MAX)
            more++;
        else
            g_string_append_printf(text, "%sprocess %d (%s)", named++ > 0 ? ", " : "", (int) mapper->pid, mapper->comm);
    }
    if (more > 0)
        g_string_append_printf(text, " and %u more", more);
    if (others > 0)
        g_string_append_printf(text, "%s%u process%s of another user", named > 0 ? " and " : "", others,
                               others > 1 ? "es" : "");
    if (list->found->len > 0)
        g_string_append_printf(text, " %s it %s", list->found->len > 1 ? "have" : "has", mapped ? "mapped" : "open");
    else if (list->gap && viewer == MAPPERS_EVERYBODY)
        g_string_append_printf(text, "whether it is mapped is not known: %s", list->gap);
    else if (list->gap)
        g_string_append(text, "whether it is mapped is not known: not all processes could be looked at");
    else
        g_string_append(text, "nobody has it mapped");
    return g_string_free(g_steal_pointer(&text), FALSE);
}
