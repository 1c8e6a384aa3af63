/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/file-index.h"

#include "daemon/file-record.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Disjoint extents, by start, cut into chunks: 16 bytes an extent, and a change moves one chunk's only. */
#define CHUNK_EXTENTS 128u
typedef struct {
    guint n; /* at least 1 while it is in the index */
    FrameRange extents[CHUNK_EXTENTS];
} Chunk;

struct FileIndex {
    int dirfd; /* borrowed */
    char *dir;
    int watch_fd;      /* inotify; -1: the kernel gives none, nothing is ever trusted */
    bool trusted;      /* chunks and others say what is in the directory, but for events that wait */
    GPtrArray *chunks; /* Chunk *, by start */
    GArray *others;    /* FrameRange: empty, or overlap others (foreign descriptions may) */
};

#define EVENTS (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR)

FileIndex *file_index_new(int dirfd, const char *dir) {
    FileIndex *index = g_new0(FileIndex, 1);
    /* The very directory, whatever became of its name since it was opened. */
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dirfd);

    index->dirfd = dirfd;
    index->dir = g_strdup(dir);
    index->chunks = g_ptr_array_new_with_free_func(g_free);
    index->others = g_array_new(FALSE, FALSE, sizeof(FrameRange));
    index->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (index->watch_fd >= 0 && inotify_add_watch(index->watch_fd, path, EVENTS) < 0) {
        close(index->watch_fd);
        index->watch_fd = -1;
    }
    return index;
}

void file_index_free(FileIndex *index) {
    if (!index)
        return;
    if (index->watch_fd >= 0)
        close(index->watch_fd);
    g_ptr_array_unref(index->chunks);
    g_array_unref(index->others);
    g_free(index->dir);
    g_free(index);
}

/* --- the extents --- */

/* The last chunk that starts at or before `start`; 0 when none does. There must be a chunk. */
static guint chunk_for(const FileIndex *index, uint64_t start) {
    guint low = 0, high = index->chunks->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;
        const Chunk *chunk = index->chunks->pdata[middle];

        if (chunk->extents[0].start <= start)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The first extent of the chunk that starts at or behind `start`; n when none does. */
static guint extent_from(const Chunk *chunk, uint64_t start) {
    guint low = 0, high = chunk->n;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (chunk->extents[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool chunks_overlap(const FileIndex *index, FrameRange range) {
    if (index->chunks->len == 0)
        return false;

    guint i = chunk_for(index, range.start);
    const Chunk *chunk = index->chunks->pdata[i];
    guint at = extent_from(chunk, range.start);
    /* The one in front may reach into range; the one behind is in this chunk, or the next one's first. */
    if (at > 0 && frame_range_overlaps(chunk->extents[at - 1], range))
        return true;
    if (at == chunk->n) {
        if (i + 1 == index->chunks->len)
            return false;
        chunk = index->chunks->pdata[i + 1];
        at = 0;
    }
    return frame_range_overlaps(chunk->extents[at], range);
}

/* Moves the upper half of a full chunk, for an extent that belongs at `at`, into one of its own. Extents that come in
 * ascending order leave full chunks behind. */
static void chunk_split(FileIndex *index, guint i, guint at, FrameRange range) {
    Chunk *chunk = index->chunks->pdata[i], *upper = g_new(Chunk, 1);

    if (at == chunk->n) {
        upper->n = 1;
        upper->extents[0] = range;
    } else {
        upper->n = chunk->n / 2;
        chunk->n -= upper->n;
        memcpy(upper->extents, chunk->extents + chunk->n, upper->n * sizeof upper->extents[0]);
    }
    g_ptr_array_insert(index->chunks, (int) i + 1, upper);
}

static void extent_add(FileIndex *index, FrameRange range) {
    if (range.start >= range.end || chunks_overlap(index, range)) {
        g_array_append_val(index->others, range);
        return;
    }
    if (index->chunks->len == 0)
        g_ptr_array_add(index->chunks, g_new0(Chunk, 1));

    guint i = chunk_for(index, range.start);
    Chunk *chunk = index->chunks->pdata[i];
    guint at = extent_from(chunk, range.start);
    if (chunk->n == CHUNK_EXTENTS) {
        chunk_split(index, i, at, range);
        if (at == CHUNK_EXTENTS)
            return;
        if (at > chunk->n) {
            at -= chunk->n;
            chunk = index->chunks->pdata[i + 1];
        }
    }
    memmove(chunk->extents + at + 1, chunk->extents + at, (chunk->n - at) * sizeof chunk->extents[0]);
    chunk->extents[at] = range;
    chunk->n++;
}

/* false: it was not there. */
static bool extent_remove(FileIndex *index, FrameRange range) {
    for (guint k = 0; k < index->others->len; k++)
        if (frame_range_equal(g_array_index(index->others, FrameRange, k), range)) {
            g_array_remove_index_fast(index->others, k);
            return true;
        }
    if (index->chunks->len == 0)
        return false;

    guint i = chunk_for(index, range.start);
    Chunk *chunk = index->chunks->pdata[i];
    guint at = extent_from(chunk, range.start);
    if (at == chunk->n || !frame_range_equal(chunk->extents[at], range))
        return false;
    chunk->n--;
    memmove(chunk->extents + at, chunk->extents + at + 1, (chunk->n - at) * sizeof chunk->extents[0]);
    if (chunk->n == 0)
        g_ptr_array_remove_index(index->chunks, i);
    return true;
}

/* --- what the kernel tells --- */

static bool concerns_others(const struct inotify_event *event, const char *own) {
    if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT))
        return true;
    return event->len > 0 && event->name[0] != '.' && g_str_has_suffix(event->name, FILE_RECORD_SUFFIX) &&
           g_strcmp0(event->name, own) != 0;
}

/* Takes in what happened to the directory. own: the description that the caller changed itself, or NULL. */
static void take_events(FileIndex *index, const char *own) {
    _Alignas(struct inotify_event) char buf[4096];

    if (index->watch_fd < 0) {
        index->trusted = false;
        return;
    }
    for (;;) {
        ssize_t len = read(index->watch_fd, buf, sizeof buf);

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return;
        if (len <= 0) {
            index->trusted = false;
            return;
        }
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *) (buf + at);

            if (concerns_others(event, own))
                index->trusted = false;
            at += (ssize_t) (sizeof *event + event->len);
        }
    }
}

static bool visit(const char *name, const FileRecord *record, void *data, GError **error) {
    (void) name;
    (void) error;
    extent_add(data, record->device);
    return true;
}

bool file_index_is_clear(FileIndex *index, FrameRange range, bool *ret_clear, GError **error) {
    take_events(index, NULL);
    if (!index->trusted) {
        g_ptr_array_set_size(index->chunks, 0);
        g_array_set_size(index->others, 0);
        if (!file_records_visit(index->dirfd, index->dir, visit, index, error))
            return false;
        /* What came while they were read is in the queue, and is looked at before the next answer. */
        index->trusted = index->watch_fd >= 0;
    }

    bool clear = !chunks_overlap(index, range);
    for (guint k = 0; clear && k < index->others->len; k++)
        clear = !frame_range_overlaps(g_array_index(index->others, FrameRange, k), range);
    *ret_clear = clear;
    return true;
}

void file_index_added(FileIndex *index, const char *name, FrameRange device) {
    take_events(index, name);
    if (index->trusted)
        extent_add(index, device);
}

void file_index_removed(FileIndex *index, const char *name, FrameRange device) {
    take_events(index, name);
    if (index->trusted && !extent_remove(index, device))
        index->trusted = false;
}

void file_index_distrust(FileIndex *index) {
    index->trusted = false;
}
