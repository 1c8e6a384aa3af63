/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * One FUSE session and one thread a pool. No handler waits for anything, so one thread is enough; what needs pmemd is queued for the
 * loop, which answers it.
 */
#define FUSE_USE_VERSION 35

#include "client/libvirt/pool-fs.h"

#include "client/libvirt/fuse-mount.h"
#include "client/libvirt/log.h"
#include "client/libvirt/pool-files.h"
#include "proto/error.h"
#include "proto/one-line.h"
#include "proto/types.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <unistd.h>

#define LINGER_USEC UINT64_C(1000000)
/* Libvirt looks at each file several times in a row when it refreshes a pool. Beyond that the kernel shows what pmemd has. */
#define KEPT_SECONDS ((double) POOL_FILES_KEPT_USEC / 1e6)

struct PoolFs {
    gatomicrefcount refs; /* the owner's, and one for each request */
    PoolFiles *files;
    char *pool_uuid, *directory;
    Orders *orders;
    PoolFsEnded ended;
    void *userdata;
    struct fuse_session *session; /* NULL: unmounted */
    GThread *thread;
    sd_event_source *source;
    int wake_fd;          /* of the loop */
    int stop_fd;          /* of the thread */
    GAsyncQueue *queue;   /* Request *, for the loop */
    GHashTable *listings; /* GArray *, owned: of open directories; the thread's */
    GPtrArray *requests;  /* Request *: those on the loop that have not been answered */
    gint over;            /* atomic: the thread has ended */
    char *zeros;          /* POOL_FILES_READABLE bytes: all that is ever read */
    char *problem;
};

typedef enum {
    REQUEST_RESIZE,
    REQUEST_RESERVE,
    REQUEST_UNLINK,
    REQUEST_TELL, /* nothing is asked: the problem is name's */
} RequestKind;

/* What waits for pmemd. */
typedef struct {
    PoolFs *fs;
    RequestKind kind;
    fuse_req_t req; /* NULL: answered, or none waits */
    uint64_t id;    /* of the file; of unlink 0 */
    uint64_t bytes;
    char *name;   /* of the file to make, or uuid of the volume to remove, or the problem */
    bool settled; /* the file has been told */
} Request;

static PoolFs *fs_of(fuse_req_t req) {
    return fuse_req_userdata(req);
}

static void fs_unref(PoolFs *fs) {
    if (!g_atomic_ref_count_dec(&fs->refs))
        return;
    g_async_queue_unref(fs->queue);
    g_ptr_array_unref(fs->requests);
    g_hash_table_unref(fs->listings); /* with those that the kernel never closed */
    pool_files_free(fs->files);
    if (fs->wake_fd >= 0)
        close(fs->wake_fd);
    if (fs->stop_fd >= 0)
        close(fs->stop_fd);
    g_free(fs->pool_uuid);
    g_free(fs->directory);
    g_free(fs->zeros);
    g_free(fs->problem);
    g_free(fs);
}

static void request_free(Request *request) {
    PoolFs *fs = request->fs;

    g_free(request->name);
    g_free(request);
    fs_unref(fs);
}

/* Never blocks: the counter is far from full. */
static void wake(PoolFs *fs) {
    if (eventfd_write(fs->wake_fd, 1) < 0)
        log_message(LOG_WARNING, "the loop cannot be woken: %s, ignoring", g_strerror(errno));
}

/* name: taken. */
static void push(PoolFs *fs, RequestKind kind, fuse_req_t req, uint64_t id, uint64_t bytes, char *name) {
    Request *request = g_new0(Request, 1);

    *request = (Request){ .fs = fs, .kind = kind, .req = req, .id = id, .bytes = bytes };
    request->name = name;
    g_atomic_ref_count_inc(&fs->refs);
    g_async_queue_push(fs->queue, request);
    wake(fs);
}

static void ask_loop(fuse_req_t req, RequestKind kind, uint64_t id, uint64_t bytes, char *name) {
    push(fs_of(req), kind, req, id, bytes, name);
}

/* ---- on the file system's thread ---- */

/* What an errno alone does not say of a file that pmemd is not even asked for. */
static void tell_refused(PoolFs *fs, const char *name, int r) {
    g_autofree char *shown = one_line(name);
    char *why = NULL;

    if (r == -EINVAL)
        why = g_strdup_printf(
            "'%s' is no name of a volume: 1 to %d letters, digits, '.', '_' and '-', a letter or digit first, "
            "and no uuid",
            shown, PMEMD_NAME_MAX);
    else if (r == -EROFS)
        why =
            g_strdup_printf("volume '%s' is not made: the pool takes no changes, pmemctl list --mgmt says why", shown);
    else if (r == -EDQUOT)
        why = g_strdup_printf("volume '%s' is not made: %u files that have no size yet are being made", shown,
                              POOL_FILES_NEW_MAX);
    if (why)
        push(fs, REQUEST_TELL, NULL, 0, 0, why);
}

/* For how long the kernel goes by this answer. What is still being made changes. */
static double kept_seconds(const struct stat *st) {
    return S_ISDIR(st->st_mode) || st->st_blocks > 0 ? KEPT_SECONDS : 0.0;
}

static struct fuse_entry_param entry_of(uint64_t id, const struct stat *st) {
    const double kept = kept_seconds(st);

    return (struct fuse_entry_param){ .ino = id, .attr = *st, .attr_timeout = kept, .entry_timeout = kept };
}

static void reply_entry(fuse_req_t req, uint64_t id, const struct stat *st, struct fuse_file_info *fi) {
    const struct fuse_entry_param entry = entry_of(id, st);
    PoolFs *fs = fs_of(req);
    int r = fi ? fuse_reply_create(req, &entry, fi) : fuse_reply_entry(req, &entry);

    /* Who asked is gone, and will not forget it. */
    if (r == -ENOENT) {
        if (fi)
            pool_files_close(fs->files, id);
        pool_files_forget(fs->files, id, 1);
    }
}

static void op_init(void *userdata, struct fuse_conn_info *conn) {
    /* Nothing is written or spliced, and what was read does not change. */
    conn->want &=
        ~(unsigned) (FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct stat st;
    uint64_t id;
    int r = parent == POOL_FILES_ROOT ? pool_files_lookup(fs_of(req)->files, name, &id, &st) : -ENOTDIR;

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_entry(req, id, &st, NULL);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t n) {
    pool_files_forget(fs_of(req)->files, id, n);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
    for (size_t i = 0; i < count; i++)
        pool_files_forget(fs_of(req)->files, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_stat(fuse_req_t req, uint64_t id) {
    struct stat st;
    int r = pool_files_stat(fs_of(req)->files, id, &st);

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_attr(req, &st, kept_seconds(&st));
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi) {
    reply_stat(req, id);
}

/* Mode and owner may be set to what they are, as libvirt does. */
static int check_change(const struct stat *has, const struct stat *wanted, int to_set) {
    if ((to_set & FUSE_SET_ATTR_MODE) && (wanted->st_mode & 07777) != (has->st_mode & 07777))
        return -EPERM;
    if ((to_set & FUSE_SET_ATTR_UID) && wanted->st_uid != 0)
        return -EPERM;
    if ((to_set & FUSE_SET_ATTR_GID) && wanted->st_gid != 0)
        return -EPERM;
    /* Times come with each new size. */
    if (!(to_set & FUSE_SET_ATTR_SIZE) && (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)))
        return -EPERM;
    return 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *wanted, int to_set, struct fuse_file_info *fi) {
    g_autofree char *name = NULL;
    struct stat has;
    int r = pool_files_stat(fs_of(req)->files, id, &has);

    if (r >= 0)
        r = check_change(&has, wanted, to_set);
    if (r >= 0 && (to_set & FUSE_SET_ATTR_SIZE))
        r = id == POOL_FILES_ROOT || wanted->st_size < 0
                ? -EINVAL
                : pool_files_resize(fs_of(req)->files, id, (uint64_t) wanted->st_size, &name);
    if (r > 0)
        ask_loop(req, REQUEST_RESIZE, id, (uint64_t) wanted->st_size, g_steal_pointer(&name));
    else if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_stat(req, id);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi) {
    g_autofree char *name = NULL;
    off_t end = 0;
    int r;

    if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE)
        r = -EOPNOTSUPP;
    else if (offset < 0 || length <= 0 || __builtin_add_overflow(offset, length, &end))
        r = -EINVAL;
    else
        r = pool_files_reserve(fs_of(req)->files, id, (uint64_t) end, &name);
    if (r > 0)
        ask_loop(req, REQUEST_RESERVE, id, (uint64_t) end, g_steal_pointer(&name));
    else
        fuse_reply_err(req, -r);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
    struct stat st;
    uint64_t id;
    int r = parent == POOL_FILES_ROOT ? pool_files_create(fs_of(req)->files, name, &id, &st) : -ENOTDIR;

    if (r < 0) {
        tell_refused(fs_of(req), name, r);
        fuse_reply_err(req, -r);
        return;
    }
    fi->direct_io = 1;
    reply_entry(req, id, &st, fi);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
    g_autofree char *uuid = NULL;
    int r = parent == POOL_FILES_ROOT ? pool_files_unlink(fs_of(req)->files, name, &uuid) : -ENOTDIR;

    if (r > 0)
        ask_loop(req, REQUEST_UNLINK, 0, 0, g_steal_pointer(&uuid));
    else
        fuse_reply_err(req, -r);
}

/* Who looks for headers, as libvirt does at each refresh, in each file and by pieces of 8 KiB, opens files so that none of them blocks;
 * who would map one, as QEMU, does not. Whoever may write, which is to a file that is new, would map what the kernel keeps for writing,
 * once it is a volume, and libvirt would find a header of his. */
static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi) {
    PoolFs *fs = fs_of(req);
    bool looks = (fi->flags & O_NONBLOCK) && (fi->flags & O_ACCMODE) == O_RDONLY;
    int r = pool_files_open(fs->files, id, fi->flags);

    fi->keep_cache = looks;
    fi->direct_io = !looks; /* which refuses shared mappings: content is mapped by the device's path */
    if (r < 0)
        fuse_reply_err(req, -r);
    else if (fuse_reply_open(req, fi) == -ENOENT)
        pool_files_close(fs->files, id);
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi) {
    pool_files_close(fs_of(req)->files, id);
    fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi) {
    const PoolFs *fs = fs_of(req);
    /* A question for the page cache, which a private mapping has also where read(2) does not, has no owner of locks. It takes less for
     * the end of the file. */
    bool whole = fi->lock_owner == 0;
    uint64_t bytes = 0;
    int r = offset < 0 ? -EINVAL : pool_files_read(fs->files, id, (uint64_t) offset, size, whole, &bytes);

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_buf(req, fs->zeros, (size_t) bytes);
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi) {
    fuse_reply_err(req, EOPNOTSUPP);
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi) {
    fuse_reply_err(req, 0); /* what was acknowledged is durable */
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi) {
    PoolFs *fs = fs_of(req);

    if (id != POOL_FILES_ROOT) {
        fuse_reply_err(req, ENOTDIR);
        return;
    }
    GArray *list = pool_files_list(fs->files);
    g_hash_table_add(fs->listings, list);
    fi->fh = (uint64_t) (uintptr_t) list;
    if (fuse_reply_open(req, fi) == -ENOENT)
        g_hash_table_remove(fs->listings, list);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi) {
    g_hash_table_remove(fs_of(req)->listings, (gpointer) (uintptr_t) fi->fh);
    fuse_reply_err(req, 0);
}

/* The entry at this position: "." and ".." come first. false: no more. */
static bool entry_at(const GArray *list, uint64_t position, PoolFilesEntry *ret_entry) {
    if (position >= (uint64_t) list->len + 2)
        return false;
    if (position >= 2)
        *ret_entry = g_array_index(list, PoolFilesEntry, position - 2);
    else
        *ret_entry = (PoolFilesEntry){ position == 0 ? (char *) "." : (char *) "..", POOL_FILES_ROOT };
    return true;
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi) {
    const GArray *list = (const GArray *) (uintptr_t) fi->fh;
    g_autofree char *buffer = g_malloc(size);
    uint64_t position = (uint64_t) offset;
    PoolFilesEntry entry;
    size_t used = 0;

    while (entry_at(list, position, &entry)) {
        const struct stat st = { .st_ino = entry.ino, .st_mode = position < 2 ? S_IFDIR : S_IFREG };
        size_t takes = fuse_add_direntry(req, buffer + used, size - used, entry.name, &st, (off_t) (position + 1));

        if (takes > size - used)
            break;
        used += takes;
        position++;
    }
    fuse_reply_buf(req, buffer, used);
}

/* What the kernel is to know of an entry: of a volume that is there, all, which is a lookup. */
static struct fuse_entry_param known_entry(PoolFs *fs, const PoolFilesEntry *entry, uint64_t position) {
    struct stat st;
    uint64_t id;

    if (position >= 2 && pool_files_lookup(fs->files, entry->name, &id, &st) >= 0)
        return entry_of(id, &st);
    return (struct fuse_entry_param){ .attr = { .st_ino = entry->ino, .st_mode = position < 2 ? S_IFDIR : S_IFREG } };
}

/* Who lists a pool looks at its files next, libvirt at each: one question for some twenty of them. */
static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi) {
    const GArray *list = (const GArray *) (uintptr_t) fi->fh;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autofree char *buffer = g_malloc(size);
    uint64_t position = (uint64_t) offset;
    PoolFs *fs = fs_of(req);
    PoolFilesEntry entry;
    size_t used = 0;

    while (entry_at(list, position, &entry) &&
           fuse_add_direntry_plus(req, NULL, 0, entry.name, NULL, 0) <= size - used) {
        const struct fuse_entry_param known = known_entry(fs, &entry, position);

        if (known.ino != 0)
            g_array_append_val(ids, known.ino);
        position++;
        used += fuse_add_direntry_plus(req, buffer + used, size - used, entry.name, &known, (off_t) position);
    }
    if (fuse_reply_buf(req, buffer, used) == -ENOENT)
        for (guint i = 0; i < ids->len; i++)
            pool_files_forget(fs->files, g_array_index(ids, uint64_t, i), 1);
}

static void op_statfs(fuse_req_t req, fuse_ino_t id) {
    struct statvfs st;

    pool_files_statfs(fs_of(req)->files, &st);
    fuse_reply_statfs(req, &st);
}

/* What a pool has no notion of. */
static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags) {
    fuse_reply_err(req, EOPNOTSUPP);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t new_parent, const char *new_name) {
    fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
    fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
    fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
    fuse_reply_err(req, EPERM);
}

/* Without operations for attributes and flush the kernel asks for the first only: it is told ENOSYS. */
static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .fallocate = op_fallocate,
    .create = op_create,
    .unlink = op_unlink,
    .open = op_open,
    .release = op_release,
    .read = op_read,
    .write = op_write,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .statfs = op_statfs,
    .rename = op_rename,
    .link = op_link,
    .symlink = op_symlink,
    .mkdir = op_mkdir,
    .mknod = op_mknod,
};

/* false: it is over. */
static bool serve_one(PoolFs *fs, struct fuse_buf *buffer) {
    struct pollfd fds[] = { { .fd = fuse_session_fd(fs->session), .events = POLLIN },
                            { .fd = fs->stop_fd, .events = POLLIN } };

    if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
        return errno == EINTR;
    if (fds[1].revents)
        return false;
    int r = fuse_session_receive_buf(fs->session, buffer);
    if (r == -EINTR || r == -EAGAIN)
        return true;
    if (r <= 0)
        return false;
    fuse_session_process_buf(fs->session, buffer);
    return !fuse_session_exited(fs->session);
}

static gpointer serve(gpointer data) {
    PoolFs *fs = data;
    struct fuse_buf buffer = { .mem = NULL };

    while (serve_one(fs, &buffer)) {
    }
    free(buffer.mem);
    g_atomic_int_set(&fs->over, 1);
    wake(fs);
    return NULL;
}

/* ---- on the loop ---- */

static void set_problem(PoolFs *fs, const char *problem) {
    g_free(fs->problem);
    fs->problem = g_strdup(problem);
}

static void answer(Request *request, int errnum) {
    PoolFs *fs = request->fs;
    fuse_req_t req = request->req;

    if (!req)
        return;
    request->req = NULL;
    g_ptr_array_remove_fast(fs->requests, request);
    if (errnum != 0 || request->kind != REQUEST_RESIZE)
        fuse_reply_err(req, errnum);
    else
        reply_stat(req, request->id);
}

/* Once: who was answered may ask for the same file again, on the other thread. */
static void settle_file(Request *request) {
    if (request->kind != REQUEST_UNLINK && !request->settled)
        pool_files_settled(request->fs->files, request->id);
    request->settled = true;
}

/* Who is told that a file is not made may make it anew at once: its name is free before. */
static void on_done(int errnum, const char *message, const char *uuid, bool settled, void *data) {
    Request *request = data;

    set_problem(request->fs, message);
    if (request->kind != REQUEST_UNLINK)
        pool_files_made(request->fs->files, request->id, errnum, uuid);
    if (settled)
        settle_file(request);
    answer(request, errnum);
}

static void on_settled(void *data) {
    Request *request = data;

    settle_file(request);
    request_free(request);
}

/* Refused before there was an order. */
static void refuse(Request *request, int errnum, const char *message) {
    on_done(errnum, message, "", true, request);
    on_settled(request);
}

static void handle(PoolFs *fs, Request *request) {
    g_autoptr(RegionView) view = pool_files_get_view(fs->files);
    const RegionViewPool *pool = region_view_find_pool(view, fs->pool_uuid);

    g_ptr_array_add(fs->requests, request);
    if (!fs->session || !pool)
        refuse(request, EIO, "the pool is not there any more");
    else if (request->kind == REQUEST_UNLINK)
        orders_remove(fs->orders, request->name, on_done, on_settled, request);
    else
        orders_create(fs->orders, pool, request->name, request->bytes, on_done, on_settled, request);
}

static void tell(Request *request) {
    log_message(LOG_NOTICE, "%s: %s", request->fs->directory, request->name);
    set_problem(request->fs, request->name);
    request_free(request);
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *data) {
    PoolFs *fs = data;
    eventfd_t n;
    Request *request;

    if (eventfd_read(fd, &n) < 0 && errno != EAGAIN)
        return -errno;
    while ((request = g_async_queue_try_pop(fs->queue)))
        if (request->kind == REQUEST_TELL)
            tell(request);
        else
            handle(fs, request);
    if (g_atomic_int_get(&fs->over) && fs->session && fs->ended) {
        PoolFsEnded ended = fs->ended;

        fs->ended = NULL;
        ended(fs, fs->userdata);
    }
    return 0;
}

static bool start_session(PoolFs *fs, int fd, GError **error) {
    char *words[] = { (char *) "pmemd-libvirt", NULL };
    struct fuse_args arguments = FUSE_ARGS_INIT(1, words);
    g_autofree char *place = g_strdup_printf("/dev/fd/%d", fd);

    fs->session = fuse_session_new(&arguments, &operations, sizeof operations, fs);
    fuse_opt_free_args(&arguments);
    if (!fs->session || fuse_session_mount(fs->session, place) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "no session of FUSE is to be had for %s", fs->directory);
        umount2(fs->directory, MNT_DETACH | UMOUNT_NOFOLLOW);
        close(fd);
        g_clear_pointer(&fs->session, fuse_session_destroy);
        return false;
    }
    fs->thread = g_thread_new("pool-fs", serve, fs);
    return true;
}

PoolFs *pool_fs_mount(sd_event *event, Orders *orders, const char *pool_uuid, const char *directory, RegionView *view,
                      PoolFsEnded ended, void *userdata, GError **error) {
    g_autoptr(PoolFs) fs = g_new0(PoolFs, 1);

    g_atomic_ref_count_init(&fs->refs);
    fs->files = pool_files_new(pool_uuid, view, LINGER_USEC);
    fs->pool_uuid = g_strdup(pool_uuid);
    fs->directory = g_strdup(directory);
    fs->orders = orders;
    fs->ended = ended;
    fs->userdata = userdata;
    fs->problem = g_strdup("");
    fs->zeros = g_malloc0(POOL_FILES_READABLE);
    fs->queue = g_async_queue_new();
    fs->requests = g_ptr_array_new();
    fs->listings = g_hash_table_new_full(g_direct_hash, g_direct_equal, (GDestroyNotify) g_array_unref, NULL);
    fs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fs->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fs->wake_fd < 0 || fs->stop_fd < 0 ||
        sd_event_add_io(event, &fs->source, fs->wake_fd, EPOLLIN, on_wake, fs) < 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INTERNAL, "cannot watch an eventfd: %s", g_strerror(errno));
        return NULL;
    }
    int fd = fuse_mount_new(fs->directory, error);
    if (fd < 0 || !start_session(fs, fd, error))
        return NULL;
    return g_steal_pointer(&fs);
}

/* The kernel ends the connection whoever has files open. The thread ends also where the directory cannot be unmounted. */
static void end_session(PoolFs *fs) {
    if (!g_atomic_int_get(&fs->over) && umount2(fs->directory, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        log_message(LOG_WARNING, "cannot unmount %s: %s, ignoring", fs->directory, g_strerror(errno));
    if (eventfd_write(fs->stop_fd, 1) < 0)
        log_message(LOG_WARNING, "the thread of %s cannot be stopped: %s", fs->directory, g_strerror(errno));
    g_thread_join(fs->thread);
    /* Who asked was told so by the kernel. */
    while (fs->requests->len > 0) {
        Request *request = fs->requests->pdata[0];

        orders_give_up(fs->orders, request, ENODEV, "its directory was unmounted before pmemd answered");
        answer(request, ENODEV);
    }
    for (Request *request; (request = g_async_queue_try_pop(fs->queue));) {
        if (request->req)
            fuse_reply_err(request->req, ENODEV);
        request_free(request);
    }
    g_clear_pointer(&fs->session, fuse_session_destroy);
    if (rmdir(fs->directory) < 0 && errno != ENOENT)
        log_message(LOG_WARNING, "cannot remove %s: %s, ignoring", fs->directory, g_strerror(errno));
}

void pool_fs_free(PoolFs *fs) {
    if (!fs)
        return;
    if (fs->session)
        end_session(fs);
    fs->source = sd_event_source_disable_unref(fs->source);
    fs_unref(fs);
}

const char *pool_fs_directory(const PoolFs *fs) {
    return fs->directory;
}

void pool_fs_set_view(PoolFs *fs, RegionView *view) {
    pool_files_set_view(fs->files, view);
}

const char *pool_fs_problem(const PoolFs *fs) {
    return fs->problem;
}
