/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/crash/faulty-backend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Backend base;
    Backend *inner;
    char *dir;
    FaultyOrder *order;
} FaultyBackend;

typedef struct {
    BackendContent base;
    BackendContent *inner;
    const FaultyBackend *backend;
    bool checked; /* the first byte, since it was made zero: chance may have it read again */
} FaultyContent;

typedef struct {
    Medium base;
    Medium *inner;
    FaultyOrder *order;
} FaultyMedium;

static const char *const names[] = {
    "list",      "create", "destroy", "renew", "open_medium", "open_content", "zero",
    "clear_bad", "lend",   "check",   "store", "flush",       "fence",
};
G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_FAULTY_CALLS);

const char *faulty_call_name(FaultyCall call) {
    return names[call];
}

bool faulty_call_has_point(FaultyCall call, FileFaultPoint point) {
    switch (point) {
    case FILE_FAULT_PREPARED:
        return call == FAULTY_CREATE || call == FAULTY_RENEW;
    case FILE_FAULT_PARTIAL:
        return call == FAULTY_CREATE || call == FAULTY_DESTROY || call == FAULTY_ZERO || call == FAULTY_CLEAR_BAD;
    case FILE_FAULT_BEFORE:
    case FILE_FAULT_AFTER:
    case N_FILE_FAULT_POINTS:
        break;
    }
    return true;
}

/* Counts a call; true when it is one that is to fail. */
static bool take_turn(FaultyOrder *order, FaultyCall call) {
    g_mutex_lock(&order->lock);
    if (order->calls < FAULTY_CALLS_MAX)
        order->kinds[order->calls] = (uint8_t) call;
    order->calls++;
    bool turn =
        order->fail_at > 0 && (order->calls == order->fail_at || (order->for_ever && order->calls > order->fail_at));
    order->hit |= turn;
    g_mutex_unlock(&order->lock);
    return turn;
}

/* Has the call of the file backend that follows fail, when it is its turn. */
static void begin(const FaultyBackend *b, FaultyCall call) {
    static const char *const points[] = { "before", "prepared", "partial", "after" };
    FaultyOrder *order = b->order;

    if (order->media || !take_turn(order, call))
        return;
    FileFaultPoint point = faulty_call_has_point(call, order->point) ? order->point : FILE_FAULT_BEFORE;
    g_autofree char *text = g_strdup_printf("[%s]\nWhen=%s\nError=%s\n", names[call], points[point],
                                            order->errnum == FAULTY_KILL ? "kill"
                                            : order->errnum == EIO       ? "EIO"
                                                                         : "ENOSPC");
    g_autofree char *path = g_build_filename(b->dir, FILE_FAULT_NAME, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* --- media --- */

/* The result of a medium's call: what was ordered, or what `run` gives. */
#define MEDIUM_CALL(m, call, run)                                                                                      \
    FaultyOrder *order = ((FaultyMedium *) (m))->order;                                                                \
    Medium *inner = ((FaultyMedium *) (m))->inner;                                                                     \
    bool turn = order->media && take_turn(order, call);                                                                \
    if (turn && order->point == FILE_FAULT_BEFORE)                                                                     \
        return fail_now(order);                                                                                        \
    int r = run;                                                                                                       \
    return turn && r == 0 ? fail_now(order) : r

static int fail_now(const FaultyOrder *order) {
    if (order->errnum == FAULTY_KILL)
        raise(SIGKILL);
    return -order->errnum;
}

static int faulty_store(Medium *m, uint64_t off, const void *buf, size_t len) {
    MEDIUM_CALL(m, FAULTY_STORE, medium_store(inner, off, buf, len));
}

static int faulty_flush(Medium *m, uint64_t off, size_t len) {
    MEDIUM_CALL(m, FAULTY_FLUSH, medium_flush(inner, off, len));
}

static int faulty_fence(Medium *m) {
    MEDIUM_CALL(m, FAULTY_FENCE, medium_fence(inner));
}

static int faulty_zero_medium(Medium *m, uint64_t off, uint64_t len) {
    MEDIUM_CALL(m, FAULTY_STORE, medium_zero(inner, off, len));
}

static int faulty_readable(Medium *m, uint64_t off, size_t len) {
    return medium_readable(((FaultyMedium *) m)->inner, off, len);
}

static const uint8_t *faulty_base(Medium *m) {
    return medium_base(((FaultyMedium *) m)->inner);
}

static int faulty_intact(Medium *m) {
    return medium_intact(((FaultyMedium *) m)->inner);
}

static void faulty_medium_free(Medium *m) {
    medium_free(((FaultyMedium *) m)->inner);
    g_free(m);
}

static const MediumOps medium_ops = {
    .store = faulty_store,
    .flush = faulty_flush,
    .fence = faulty_fence,
    .readable = faulty_readable,
    .base = faulty_base,
    .zero = faulty_zero_medium,
    .intact = faulty_intact,
    .free = faulty_medium_free,
};

/* --- contents --- */

static int faulty_zero(BackendContent *content, uint64_t off, uint64_t len) {
    FaultyContent *c = (FaultyContent *) content;

    if (off == 0)
        c->checked = false;
    begin(c->backend, FAULTY_ZERO);
    return c->inner->zero(c->inner, off, len);
}

static int faulty_find_nonzero(BackendContent *content, uint64_t off, uint64_t len, uint64_t *ret_at) {
    FaultyContent *c = (FaultyContent *) content;

    if (off == 0 && !c->checked) {
        c->checked = true;
        begin(c->backend, FAULTY_CHECK);
    }
    return c->inner->find_nonzero(c->inner, off, len, ret_at);
}

static void faulty_content_free(BackendContent *content) {
    backend_content_free(((FaultyContent *) content)->inner);
    g_free(content);
}

/* --- the table --- */

static BackendListing *faulty_list(Backend *backend, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_LIST);
    return b->inner->ops->list(b->inner, error);
}

static BackendDevice *faulty_create(Backend *backend, const BackendCreate *req, BackendOutcome *ret_outcome,
                                    GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_CREATE);
    return b->inner->ops->create(b->inner, req, ret_outcome, error);
}

/* A data device that holds anything must not go: it was to be erased first. */
static void check_erased(const FaultyBackend *b, sd_id128_t uuid) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *path = g_strdup_printf("%s/data-%s.img", b->dir, pmemd_uuid_format(uuid, text));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char page[4096];

    if (fd < 0)
        return;
    for (ssize_t n = read(fd, page, sizeof page); n > 0; n = read(fd, page, sizeof page)) {
        off_t data = lseek(fd, 0, SEEK_CUR);

        for (ssize_t i = 0; i < n; i++)
            if (page[i] != 0)
                b->order->wrong = "a device was destroyed whose content was not erased";
        /* Over the holes. */
        data = lseek(fd, data, SEEK_DATA);
        if (data < 0)
            break;
    }
    close(fd);
}

static bool faulty_destroy(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                           GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    check_erased(b, uuid);
    begin(b, FAULTY_DESTROY);
    return b->inner->ops->destroy(b->inner, uuid, tag, ret_outcome, error);
}

static bool faulty_renew(Backend *backend, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome,
                         GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_RENEW);
    return b->inner->ops->renew(b->inner, uuid, tag, ret_outcome, error);
}

static MapperList *faulty_mappers(Backend *backend, sd_id128_t uuid, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    return b->inner->ops->mappers(b->inner, uuid, error);
}

static Medium *faulty_open_medium(Backend *backend, sd_id128_t uuid, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_OPEN_MEDIUM);
    Medium *inner = b->inner->ops->open_medium(b->inner, uuid, error);
    if (!inner)
        return NULL;
    FaultyMedium *m = g_new0(FaultyMedium, 1);
    *m = (FaultyMedium){ { &medium_ops, inner->size, inner->class }, inner, b->order };
    return &m->base;
}

static BackendContent *faulty_open_content(Backend *backend, sd_id128_t uuid, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_OPEN_CONTENT);
    BackendContent *inner = b->inner->ops->open_content(b->inner, uuid, error);
    if (!inner)
        return NULL;
    FaultyContent *c = g_new0(FaultyContent, 1);
    *c = (FaultyContent){
        .base = { inner->size, faulty_zero, faulty_find_nonzero, faulty_content_free },
        .inner = inner,
        .backend = b,
    };
    return &c->base;
}

static bool faulty_clear_bad(Backend *backend, const BackendClear *req, uint64_t *ret_frames,
                             BackendOutcome *ret_outcome, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_CLEAR_BAD);
    return b->inner->ops->clear_bad(b->inner, req, ret_frames, ret_outcome, error);
}

static BackendLoan *faulty_lend(Backend *backend, sd_id128_t uuid, GError **error) {
    const FaultyBackend *b = (FaultyBackend *) backend;

    begin(b, FAULTY_LEND);
    return b->inner->ops->lend(b->inner, uuid, error);
}

static void faulty_free(Backend *backend) {
    FaultyBackend *b = (FaultyBackend *) backend;

    backend_free(b->inner);
    g_free(b->dir);
    g_free(b);
}

static const BackendOps ops = {
    .name = "file",
    .list = faulty_list,
    .create = faulty_create,
    .destroy = faulty_destroy,
    .renew = faulty_renew,
    .mappers = faulty_mappers,
    .open_medium = faulty_open_medium,
    .lend = faulty_lend,
    .open_content = faulty_open_content,
    .clear_bad = faulty_clear_bad,
    .free = faulty_free,
};

Backend *faulty_backend_new(Backend *inner, const char *dir, FaultyOrder *order) {
    FaultyBackend *b = g_new0(FaultyBackend, 1);

    *b = (FaultyBackend){ { &ops }, inner, g_strdup(dir), order };
    return &b->base;
}
