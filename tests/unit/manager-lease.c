/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Attach and Detach over the file backend: who gets a region and who not, what a start finds, and what every failure and every
 * kill leaves: never a descriptor without its lease, never a lease without its record.
 */
#include "tests/lib/manager-host.h"

#include "daemon/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUS SD_ID128_MAKE(b0, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10)
#define OTHER_BUS SD_ID128_MAKE(b1, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10)

/* Stands before the file backend: what it renews is counted, and who has a device mapped is what a test says. A container may hide
 * processes, of which the real look then says that they could have anything. */
typedef struct {
    guint renewed;
    pid_t mapper; /* 0: nobody */
} Seen;

typedef struct {
    Backend base;
    Backend *inner;
    Seen *seen;
} SeenBackend;

static Backend *inner_of(Backend *b) {
    return ((SeenBackend *) b)->inner;
}

static BackendListing *seen_list(Backend *b, GError **error) {
    return inner_of(b)->ops->list(inner_of(b), error);
}

static BackendDevice *seen_create(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    return inner_of(b)->ops->create(inner_of(b), req, ret_outcome, error);
}

static bool seen_destroy(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    return inner_of(b)->ops->destroy(inner_of(b), uuid, tag, ret_outcome, error);
}

static Medium *seen_open_medium(Backend *b, sd_id128_t uuid, GError **error) {
    return inner_of(b)->ops->open_medium(inner_of(b), uuid, error);
}

static BackendContent *seen_open_content(Backend *b, sd_id128_t uuid, GError **error) {
    return inner_of(b)->ops->open_content(inner_of(b), uuid, error);
}

static bool seen_renew(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    ((SeenBackend *) b)->seen->renewed++;
    return inner_of(b)->ops->renew(inner_of(b), uuid, tag, ret_outcome, error);
}

static MapperList *seen_mappers(Backend *b, sd_id128_t uuid, GError **error) {
    const Seen *seen = ((SeenBackend *) b)->seen;
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Mapper));
    const Mapper mapper = { .pid = seen->mapper, .uid = 0, .use = MAPPERS_MAPPED, .comm = "qemu" };

    (void) uuid;
    (void) error;
    if (seen->mapper != 0)
        g_array_append_val(found, mapper);
    return mapper_list_new(found, MAPPERS_MAPPED, NULL);
}

static BackendLoan *seen_lend(Backend *b, sd_id128_t uuid, GError **error) {
    return inner_of(b)->ops->lend(inner_of(b), uuid, error);
}

static void seen_free(Backend *b) {
    backend_free(inner_of(b));
    g_free(b);
}

static Backend *wrap_seen(Backend *inner, void *data) {
    static const BackendOps ops = {
        .name = "file",
        .list = seen_list,
        .create = seen_create,
        .destroy = seen_destroy,
        .renew = seen_renew,
        .mappers = seen_mappers,
        .open_medium = seen_open_medium,
        .open_content = seen_open_content,
        .lend = seen_lend,
        .free = seen_free,
    };
    SeenBackend *b = g_new(SeenBackend, 1);

    *b = (SeenBackend){ { &ops }, inner, data };
    return &b->base;
}

static Host *host_new_seen(const char *medium, Seen *seen) {
    Host *host = host_new_stopped(medium);

    host->wrap = wrap_seen;
    host->wrap_data = seen;
    host_start(host);
    return host;
}

/* What one request came to. fd: the caller's. */
typedef struct {
    Host *host;
    Reply reply;
    int fd;
    char *path;
} Asked;

static void on_answer(void *data, sd_id128_t result, const GError *error) {
    Asked *answer = data;
    g_autoptr(BackendLoan) loan = manager_take_loan(answer->host->manager);

    on_reply(&answer->reply, result, error);
    g_assert_cmpint(loan != NULL, ==, !error && answer->fd == -2);
    answer->fd = loan ? g_steal_fd(&loan->fd) : -1;
    answer->path = loan ? g_strdup(loan->path) : NULL;
}

static ManagerRequest lease_request(ManagerMethod method, sd_id128_t region, const char *owner, uint32_t uid) {
    return (ManagerRequest){
        .method = method,
        .uid = uid,
        .user = uid == 0 ? "root" : "jo",
        .others = true,
        .lease = { .uuid = region, .owner = owner, .sender = ":1.5", .bus_id = BUS },
    };
}

/* Asks; *ret_fd (may be NULL): the descriptor. The code, or -1. message: a part of it, or NULL. */
static int ask(Host *host, const ManagerRequest *request, int *ret_fd, const char *message) {
    Asked answer = { .host = host, .fd = request->method == MANAGER_ATTACH ? -2 : -1 };

    manager_submit(host->manager, request, 1, on_answer, &answer);
    while (!answer.reply.done)
        host_run(host);
    if (message && !strstr(answer.reply.message, message))
        g_error("'%s' has no '%s'", answer.reply.message, message);
    if (answer.reply.code != -1)
        g_test_message("%s: %s", request->lease.owner, answer.reply.message);
    g_free(answer.reply.message);
    g_free(answer.path);
    if (ret_fd)
        *ret_fd = answer.fd;
    else if (answer.fd >= 0)
        close(answer.fd);
    return answer.reply.code;
}

static int attach(Host *host, sd_id128_t region, const char *owner, uint32_t uid) {
    const ManagerRequest request = lease_request(MANAGER_ATTACH, region, owner, uid);

    return ask(host, &request, NULL, NULL);
}

static int attach_fd(Host *host, sd_id128_t region, const char *owner) {
    const ManagerRequest request = lease_request(MANAGER_ATTACH, region, owner, 0);
    int fd = -1;

    g_assert_cmpint(ask(host, &request, &fd, NULL), ==, -1);
    return fd;
}

static int detach(Host *host, sd_id128_t region, const char *owner, uint32_t uid, bool force) {
    ManagerRequest request = lease_request(MANAGER_DETACH, region, owner, uid);

    request.lease.force = force;
    return ask(host, &request, NULL, NULL);
}

static bool is_to_be_erased(Host *host, sd_id128_t region) {
    Erase erase;

    return state_erase(manager_state(host->manager), find(host, region), &erase);
}

/* One whose erase before the first guest has ended. */
static sd_id128_t clean_region(Host *host, const char *name) {
    sd_id128_t region = make_region(host, name);

    while (is_to_be_erased(host, region))
        host_run(host);
    return region;
}

static const Lease *lease_of(Host *host, sd_id128_t region) {
    return state_lease(manager_state(host->manager), find(host, region));
}

static bool is_last(Host *host, sd_id128_t region, const char *owner, uint32_t uid) {
    return lease_is_of(state_last_lease(manager_state(host->manager), find(host, region)), owner, uid);
}

static guint count_descriptors(void) {
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static ino_t inode_of(int fd) {
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    return st.st_ino;
}

/* --- who gets it --- */

static void test_one_holder(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest");
    ManagerRequest other = lease_request(MANAGER_ATTACH, region, "vm2", 0);
    struct stat st, named;

    int fd = attach_fd(host, region, "vm1");
    g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(stat(region_path(find(host, region)), &named), ==, 0);
    g_assert_true(st.st_ino == named.st_ino && st.st_dev == named.st_dev);
    g_assert_cmpint(st.st_size, ==, 8 << 20);

    /* Who else asks is told who has it: another owner, and the same owner of another user. */
    g_assert_cmpint(ask(host, &other, NULL, "lent to 'vm1' of user root (uid 0) since 2"), ==, PMEMD_ERROR_LEASED);
    g_assert_cmpint(attach(host, region, "vm1", 1000), ==, PMEMD_ERROR_LEASED);
    g_assert_cmpint(detach(host, region, "vm1", 1000, false), ==, PMEMD_ERROR_LEASED);
    g_assert_cmpint(detach(host, region, "vm2", 0, false), ==, PMEMD_ERROR_LEASED);

    /* The same two get the same answer, on another descriptor of the same file. */
    uint64_t since = lease_of(host, region)->since;
    int again = attach_fd(host, region, "vm1");
    g_assert_true(again != fd && inode_of(again) == inode_of(fd));
    g_assert_cmpuint(lease_of(host, region)->since, ==, since);
    g_assert_cmpuint(state_count_leases(manager_state(host->manager)), ==, 1);
    close(again);
    close(fd);

    /* It is neither released nor given away. */
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region), give = target(MANAGER_SET_OWNER, region);
    give.target.owner_uid = 1000;
    g_assert_cmpint(host_ask(host, &release).code, ==, PMEMD_ERROR_LEASED);
    g_assert_cmpint(host_ask(host, &give).code, ==, PMEMD_ERROR_LEASED);
    g_assert_cmpuint(eraser_count(host->eraser), ==, 0);
    g_assert_cmpuint(find(host, region)->owner_uid, ==, 0);

    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1);
    g_assert_null(lease_of(host, region));
    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1); /* repeated */
    g_assert_cmpint(detach(host, region, "vm2", 0, false), ==, PMEMD_ERROR_INVALID_ARGUMENT);
    g_assert_cmpint(ask(host, &other, NULL, NULL), ==, -1);
    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, PMEMD_ERROR_LEASED);
    g_assert_cmpint(detach(host, region, "vm2", 0, false), ==, -1);
    release_and_wait(host, region);
    g_assert_null(find(host, region));
    g_assert_cmpint(attach(host, region, "vm1", 0), ==, PMEMD_ERROR_NO_SUCH_REGION);
    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, PMEMD_ERROR_NO_SUCH_REGION);
}

/* Whose the region is decides when the request's turn has come. */
static void test_owner_of_the_region(void) {
    g_autoptr(Host) host = host_new("mapped");
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest");
    ManagerRequest request = lease_request(MANAGER_ATTACH, region, "vm1", 1000);

    request.others = false;
    g_assert_cmpint(ask(host, &request, NULL, "manage-all"), ==, PMEMD_ERROR_NOT_AUTHORIZED);
    request.method = MANAGER_DETACH;
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, PMEMD_ERROR_NOT_AUTHORIZED);

    ManagerRequest give = target(MANAGER_SET_OWNER, region);
    give.target.owner_uid = 1000;
    give.target.owner_user = "jo";
    g_assert_cmpint(host_ask(host, &give).code, ==, -1);
    request.method = MANAGER_ATTACH;
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
    g_assert_cmpuint(state_count_leases_of(manager_state(host->manager), 1000), ==, 1);

    /* What root has of one's own region is not taken by force without the right to. */
    g_assert_cmpint(detach(host, region, "vm1", 1000, false), ==, -1);
    g_assert_cmpint(attach(host, region, "root's", 0), ==, -1);
    request.method = MANAGER_DETACH;
    request.lease.owner = "";
    request.lease.force = true;
    g_assert_cmpint(ask(host, &request, NULL, "user 0 has it"), ==, PMEMD_ERROR_NOT_AUTHORIZED);
    g_assert_nonnull(lease_of(host, region));
    request.others = true;
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
    g_assert_null(lease_of(host, region));
}

static void test_cap(void) {
    g_autoptr(Host) host = host_new("mapped");
    make_pool(host);
    sd_id128_t first = clean_region(host, "first"), second = clean_region(host, "second");
    ManagerRequest request = lease_request(MANAGER_ATTACH, second, "vm1", 1000);

    manager_set_limits(host->manager,
                       (ManagerLimits){ .max_queue = 8, .max_queue_per_uid = 8, .max_leases_per_uid = 1 });
    g_assert_cmpint(attach(host, first, "vm1", 1000), ==, -1);
    g_assert_cmpint(ask(host, &request, NULL, "MaxLeasesPerUser="), ==, PMEMD_ERROR_LIMITS_EXCEEDED);
    g_assert_cmpint(attach(host, first, "vm1", 1000), ==, -1); /* again is no more */
    g_assert_cmpint(attach(host, second, "vm1", 1001), ==, -1);
    g_assert_cmpint(detach(host, second, "vm1", 1001, false), ==, -1);
    g_assert_cmpint(detach(host, first, "vm1", 1000, false), ==, -1);
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
}

/* --- what is known of it --- */

static void test_options_and_restart(gconstpointer medium) {
    g_autoptr(Host) host = host_new(medium);
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest"), other = clean_region(host, "other");
    ManagerRequest request = lease_request(MANAGER_ATTACH, region, "vm1", 1000);

    request.lease.has_guest_frame = true;
    request.lease.guest_frame = 0x100000;
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
    uint64_t since = lease_of(host, region)->since;
    g_assert_cmpint(attach(host, other, "vm2", 1000), ==, -1);
    g_assert_cmpint(detach(host, other, "vm2", 1000, false), ==, -1);

    host_restart(host);
    const Lease *lease = lease_of(host, region);
    g_assert_true(lease_is_of(lease, "vm1", 1000));
    g_assert_false(lease->confirmed);
    g_assert_cmphex(lease->guest_frame, ==, 0x100000);
    g_assert_cmpuint(lease->since, ==, since);
    g_assert_null(lease_of(host, other));
    g_assert_true(is_last(host, other, "vm2", 1000));

    /* Nobody else gets it, and who has it confirms it; what is not said again stays. */
    g_assert_cmpint(attach(host, region, "vm2", 1000), ==, PMEMD_ERROR_LEASED);
    g_assert_false(lease_of(host, region)->confirmed);
    g_assert_cmpint(attach(host, region, "vm1", 1000), ==, -1);
    lease = lease_of(host, region);
    g_assert_true(lease->confirmed);
    g_assert_cmphex(lease->guest_frame, ==, 0x100000);
    g_assert_cmpuint(lease->since, ==, since);
    g_assert_null(lease->sender);

    request.lease.guest_frame = 0x200000;
    request.lease.has_until = request.lease.disconnect = true;
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
    host_restart(host);
    lease = lease_of(host, region);
    g_assert_cmphex(lease->guest_frame, ==, 0x200000);
    g_assert_cmpstr(lease->sender, ==, ":1.5");

    /* Only the connection that it is tied to, of that run of the bus, ends it. */
    manager_disconnected(host->manager, region, ":1.6", BUS);
    manager_disconnected(host->manager, region, ":1.5", OTHER_BUS);
    manager_disconnected(host->manager, other, ":1.5", BUS);
    g_assert_nonnull(lease_of(host, region));
    manager_disconnected(host->manager, region, ":1.5", BUS);
    g_assert_null(lease_of(host, region));
    manager_disconnected(host->manager, region, ":1.5", BUS);
    host_restart(host);
    g_assert_null(lease_of(host, region));
    g_assert_true(is_last(host, region, "vm1", 1000));
}

/* --- at a change of the owner --- */

static void test_renewed(void) {
    Seen seen = { 0 };
    g_autoptr(Host) host = host_new_seen("mapped", &seen);
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest");
    const struct {
        const char *owner;
        uint32_t uid;
        bool renews, restart;
    } rows[] = {
        { "vm1", 0, false, false },                              /* nobody had it before */
        { "vm1", 0, false, false },                              /* nobody else had it */
        { "vm1", 0, false, true },    { "vm2", 0, true, false }, /* another owner */
        { "vm2", 1000, true, false },                            /* who says the same as another user is another one */
        { "vm1", 1000, true, true },                             /* also when pmemd started again since */
        { "vm1", 1000, false, true },
    };
    char text[8] = "";

    int fd = attach_fd(host, region, "vm1");
    g_assert_cmpint(pwrite(fd, "first", 5, 0), ==, 5);
    close(fd);
    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        guint before = seen.renewed;

        if (rows[i].restart)
            host_restart(host);
        g_assert_cmpint(attach(host, region, rows[i].owner, rows[i].uid), ==, -1);
        g_assert_cmpuint(seen.renewed - before, ==, rows[i].renews ? 1 : 0);
        g_assert_cmpint(attach(host, region, rows[i].owner, rows[i].uid), ==, -1); /* again: it is theirs */
        g_assert_cmpuint(seen.renewed - before, ==, rows[i].renews ? 1 : 0);
        g_assert_cmpint(detach(host, region, rows[i].owner, rows[i].uid, false), ==, -1);
    }
    /* What was in it stays in it. */
    fd = attach_fd(host, region, "vm9");
    g_assert_cmpint(pread(fd, text, 5, 0), ==, 5);
    g_assert_cmpstr(text, ==, "first");
    close(fd);
}

/* Who still uses it keeps others from it; nothing is taken from under a process. */
static void test_in_use(void) {
    Seen seen = { 0 };
    g_autoptr(Host) host = host_new_seen("mapped", &seen);
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest");
    ManagerRequest other = lease_request(MANAGER_ATTACH, region, "vm2", 0);
    ManagerRequest force = lease_request(MANAGER_DETACH, region, "", 0);

    g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1);
    seen.mapper = 4711;
    g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1); /* of course it does */
    force.lease.force = true;
    g_assert_cmpint(ask(host, &force, NULL, "process 4711 (qemu)"), ==, PMEMD_ERROR_BUSY);
    g_assert_true(lease_is_of(lease_of(host, region), "vm1", 0));
    force.lease.owner = "vm2"; /* which is not who has it */
    g_assert_cmpint(ask(host, &force, NULL, NULL), ==, PMEMD_ERROR_LEASED);

    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1);
    g_assert_cmpint(ask(host, &other, NULL, "process 4711 (qemu)"), ==, PMEMD_ERROR_BUSY);
    g_assert_null(lease_of(host, region));
    g_assert_true(is_last(host, region, "vm1", 0));
    g_assert_cmpuint(seen.renewed, ==, 0);
    seen.mapper = 0;
    g_assert_cmpint(ask(host, &other, NULL, NULL), ==, -1);
    g_assert_cmpuint(seen.renewed, ==, 1);

    force.lease.owner = "vm2";
    g_assert_cmpint(ask(host, &force, NULL, NULL), ==, -1);
    g_assert_cmpuint(seen.renewed, ==, 2); /* before it is told that nobody has it */
    g_assert_null(lease_of(host, region));
    host_restart(host);
    g_assert_null(lease_of(host, region));
}

/* --- failures --- */

/* Nothing is lent that is not on the medium: neither a lease nor a descriptor is left of a request that failed. */
static void test_failures(void) {
    static const char *const orders[] = {
        "[lend]\nWhen=before\nError=EIO\n",
        "[lend]\nWhen=after\nError=EIO\n",
        "[renew]\nWhen=before\nError=EIO\n",
        "[renew]\nWhen=after\nError=EIO\n",
    };
    g_autoptr(Host) host = host_new("mapped");
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest");
    const ManagerRequest other = lease_request(MANAGER_ATTACH, region, "vm2", 0);

    g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1);
    g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        guint before = count_descriptors();

        host_inject(host, orders[i]);
        g_assert_cmpint(ask(host, &other, NULL, NULL), ==, PMEMD_ERROR_HARDWARE);
        g_assert_cmpuint(count_descriptors(), ==, before);
        g_assert_null(lease_of(host, region));
        g_assert_true(is_last(host, region, "vm1", 0)); /* so the next one renews, too */
        host_restart(host);
        g_assert_null(lease_of(host, region));
        g_assert_true(is_last(host, region, "vm1", 0));
    }
    g_assert_cmpint(ask(host, &other, NULL, NULL), ==, -1);

    /* A repeated call that fails leaves the lease that was there. */
    host_inject(host, orders[0]);
    g_assert_cmpint(ask(host, &other, NULL, NULL), ==, PMEMD_ERROR_HARDWARE);
    g_assert_true(lease_is_of(lease_of(host, region), "vm2", 0));

    /* So does force, when the device cannot be renewed. */
    host_inject(host, "[renew]\nWhen=before\nError=EIO\n");
    g_assert_cmpint(detach(host, region, "", 0, true), ==, PMEMD_ERROR_HARDWARE);
    g_assert_true(lease_is_of(lease_of(host, region), "vm2", 0));
}

static void test_not_written(void) {
    for (int i = 0; i < 2; i++) {
        g_autoptr(Host) host = host_new("file");
        sd_id128_t pool = make_pool(host), region = clean_region(host, "guest");
        bool held = i == 1;

        if (held)
            g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1);
        guint descriptors = count_descriptors();
        struct rlimit before = host_forbid_writes();
        int code = held ? detach(host, region, "vm1", 0, false) : attach(host, region, "vm1", 0);

        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
        g_assert_cmpint(code, ==, PMEMD_ERROR_HARDWARE);
        g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
        g_assert_cmpint(lease_of(host, region) != NULL, ==, held);
        g_assert_cmpuint(count_descriptors(), ==, descriptors);
        /* Nothing is lent from a pool that nothing can be written to, not even again. */
        g_assert_cmpint(attach(host, region, "vm1", 0), ==, PMEMD_ERROR_READ_ONLY);
        host_restart(host);
        g_assert_cmpint(lease_of(host, region) != NULL, ==, held);
    }
}

/* Has a daemon die while it does what order says, then starts another one. */
static void die(Host *host, const char *order, const ManagerRequest *request) {
    int status;

    host_stop(host);
    fflush(NULL);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        host_start(host);
        host_inject(host, order);
        ask(host, request, NULL, NULL);
        _exit(3); /* it lived */
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    host_start(host);
}

static void test_killed(void) {
    static const char *const orders[] = {
        "[renew]\nWhen=before\nError=kill\n",
        "[renew]\nWhen=after\nError=kill\n",
        "[lend]\nWhen=before\nError=kill\n",
        "[lend]\nWhen=after\nError=kill\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        Seen seen = { 0 };
        g_autoptr(Host) host = host_new_seen("mapped", &seen);
        make_pool(host);
        sd_id128_t region = clean_region(host, "guest");
        const ManagerRequest other = lease_request(MANAGER_ATTACH, region, "vm2", 0);

        g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1);
        g_assert_cmpint(detach(host, region, "vm1", 0, false), ==, -1);
        die(host, orders[i], &other);
        g_assert_cmpint(find(host, region)->state, ==, REGION_OK);
        g_assert_null(lease_of(host, region));
        g_assert_true(is_last(host, region, "vm1", 0));
        seen.renewed = 0;
        g_assert_cmpint(ask(host, &other, NULL, NULL), ==, -1);
        g_assert_cmpuint(seen.renewed, ==, 1);
    }
}

static bool ignore_record(const JournalRecord *record, void *data, GError **error) {
    (void) record;
    (void) data;
    (void) error;
    return true;
}

/* The guests that count on its leases are not here: they are nobody's, and nobody gets anything. */
static void test_other_machine(void) {
    g_autoptr(Host) host = host_new("mapped");
    g_autoptr(GError) error = NULL;
    sd_id128_t pool = make_pool(host), region = clean_region(host, "guest");
    g_autofree char *path = g_strdup(find_pool(host, pool)->path);
    const JfOpen elsewhere = { .machine_id =
                                   SD_ID128_MAKE(99, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10) };
    uint8_t buf[JF_PAYLOAD_MAX];

    g_assert_cmpint(attach(host, region, "vm1", 0), ==, -1);
    host_stop(host);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    Medium *medium = medium_mapped_new(fd, (uint64_t) lseek(fd, 0, SEEK_END), true, &error);
    g_assert_no_error(error);
    Journal *journal = journal_open(medium, true, ignore_record, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(journal_append(journal, JF_OPEN, 0, buf, jf_open_encode(&elsewhere, buf), NULL, &error));
    journal_free(journal);
    medium_free(medium);

    host_start(host);
    g_assert_cmpint(find_pool(host, pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpuint(state_count_leases(manager_state(host->manager)), ==, 0);
    g_assert_null(lease_of(host, region));
    g_assert_cmpint(attach(host, region, "vm1", 0), ==, PMEMD_ERROR_READ_ONLY);
}

/* Nobody sees what was in the frames before: neither while that is erased nor when a restart has cut the erase off. */
static void test_not_erased(void) {
    g_autoptr(Host) host = host_new_dirty("mapped");
    make_pool(host);
    host_hold(host);
    host_inject(host, "[zero]\nWaitFile=hold\n");
    sd_id128_t region = make_region(host, "guest");
    const ManagerRequest request = lease_request(MANAGER_ATTACH, region, "vm1", 0);

    g_assert_true(is_to_be_erased(host, region));
    g_assert_cmpint(ask(host, &request, NULL, "/org/pmemd1/job/"), ==, PMEMD_ERROR_BUSY);
    g_assert_null(lease_of(host, region));
    host_let_go(host);
    while (is_to_be_erased(host, region))
        host_run(host);
    g_assert_cmpint(ask(host, &request, NULL, NULL), ==, -1);
}

/* A release that is under way, and what stops: neither lends anything. */
static void test_not_lendable(void) {
    g_autoptr(Host) host = host_new("mapped");
    make_pool(host);
    sd_id128_t region = clean_region(host, "guest"), gone = clean_region(host, "gone");
    ManagerRequest release = target(MANAGER_RELEASE_DATA, region);

    host_hold(host);
    host_inject(host, "[open_content]\nWaitFile=hold\n");
    g_assert_cmpint(host_ask(host, &release).code, ==, -1);
    Asked answer = { .host = host, .fd = -2 };
    const ManagerRequest request = lease_request(MANAGER_ATTACH, region, "vm1", 0);
    manager_submit(host->manager, &request, 1, on_answer, &answer);
    host_let_go(host);
    while (!answer.reply.done)
        host_run(host);
    g_assert_cmpint(answer.reply.code, !=, -1);
    g_free(answer.reply.message);

    g_assert_cmpint(attach(host, gone, "vm1", 0), ==, -1);
    g_autofree char *path = g_strdup(region_path(find(host, gone)));
    host_stop(host);
    g_assert_cmpint(g_remove(path), ==, 0);
    host_start(host);
    g_assert_cmpint(find(host, gone)->state, ==, REGION_MISSING);
    g_assert_true(lease_is_of(lease_of(host, gone), "vm1", 0));
    g_assert_cmpint(attach(host, gone, "vm1", 0), ==, PMEMD_ERROR_DEGRADED);
    /* It is nobody's in vain: by force without a device that could be renewed. */
    g_assert_cmpint(detach(host, gone, "", 0, true), ==, -1);
    g_assert_null(lease_of(host, gone));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/manager-lease/one-holder/mapped", "mapped", test_one_holder);
    g_test_add_data_func("/manager-lease/one-holder/file", "file", test_one_holder);
    g_test_add_func("/manager-lease/owner-of-the-region", test_owner_of_the_region);
    g_test_add_func("/manager-lease/cap", test_cap);
    g_test_add_data_func("/manager-lease/options-and-restart/mapped", "mapped", test_options_and_restart);
    g_test_add_data_func("/manager-lease/options-and-restart/file", "file", test_options_and_restart);
    g_test_add_func("/manager-lease/renewed", test_renewed);
    g_test_add_func("/manager-lease/in-use", test_in_use);
    g_test_add_func("/manager-lease/failures", test_failures);
    g_test_add_func("/manager-lease/not-written", test_not_written);
    g_test_add_func("/manager-lease/killed", test_killed);
    g_test_add_func("/manager-lease/other-machine", test_other_machine);
    g_test_add_func("/manager-lease/not-erased", test_not_erased);
    g_test_add_func("/manager-lease/not-lendable", test_not_lendable);
    return g_test_run();
}
