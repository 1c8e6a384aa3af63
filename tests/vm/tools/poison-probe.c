/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The daemon without its bus over the file backend, with pages of its own maps poisoned by UFFDIO_POISON (Linux 6.6):
 * a SIGBUS as real memory would give it. Each place of a journal in turn, while it is open and while it is replayed,
 * and memory that is erased. The process lives, the pool says what is wrong with it and is not written, the
 * other pool goes on; and when the poison is gone, so is the damage. Run in the virtual machine by the case `poison`;
 * without the kernel's help it fails. Prints a TAP line for each place.
 */
#include "daemon/sigbus-guard.h"
#include "tests/lib/manager-host.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers that this may be built with. */
#ifndef UFFDIO_POISON
struct uffdio_poison {
    struct uffdio_range range;
    __u64 mode;
    __s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#define UFFD_FEATURE_POISON (1 << 14)
#endif

#define PAGE ((uint64_t) 4096)

/* What is poisoned when the device with this uuid is opened. */
typedef struct {
    int uffd;
    sd_id128_t uuid;
    uint64_t offs[4];
    guint n;
    guint times; /* that something was */
} Poison;

static int open_uffd(void) {
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON | UFFD_FEATURE_MISSING_SHMEM };
    int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
        g_error("this kernel cannot poison pages by userfaultfd: %s", g_strerror(errno));
    return fd;
}

/* The page at this address of a map of ours; the file behind it keeps what it holds. */
static void poison_page(int uffd, uint8_t *page) {
    struct uffdio_register reg = { .range = { (uintptr_t) page, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct uffdio_poison poison = { .range = { (uintptr_t) page, PAGE } };

    g_assert_cmpint(ioctl(uffd, UFFDIO_REGISTER, &reg), ==, 0);
    /* Only a page that is not there can be poisoned. */
    g_assert_cmpint(madvise(page, PAGE, MADV_DONTNEED), ==, 0);
    g_assert_cmpint(ioctl(uffd, UFFDIO_POISON, &poison), ==, 0);
}

/* Where this process has the image mapped, or NULL. */
static uint8_t *find_map(const char *image) {
    g_autofree char *maps = NULL;
    uint8_t *found = NULL;

    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);
    for (char **line = lines; *line && !found; line++)
        if (strstr(*line, image))
            found = (uint8_t *) (uintptr_t) g_ascii_strtoull(*line, NULL, 16);
    return found;
}

static void poison_map(Poison *p) {
    char text[PMEMD_UUID_STRING_MAX];
    g_autofree char *image = g_strdup_printf("mgmt-%s.img", pmemd_uuid_format(p->uuid, text));
    uint8_t *map = find_map(image);

    g_assert_nonnull(map);
    for (guint i = 0; i < p->n; i++)
        poison_page(p->uffd, map + p->offs[i] / PAGE * PAGE);
    p->times++;
}

/* --- a backend whose maps come poisoned --- */

typedef struct {
    Backend base;
    Backend *inner;
    Poison *poison;
} PoisonBackend;

static BackendListing *poison_list(Backend *b, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;
    return inner->ops->list(inner, error);
}

static BackendDevice *poison_create(Backend *b, const BackendCreate *req, BackendOutcome *ret_outcome, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;
    return inner->ops->create(inner, req, ret_outcome, error);
}

static bool poison_destroy(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;
    return inner->ops->destroy(inner, uuid, tag, ret_outcome, error);
}

static Medium *poison_open_medium(Backend *b, sd_id128_t uuid, GError **error) {
    PoisonBackend *backend = (PoisonBackend *) b;
    Medium *medium = backend->inner->ops->open_medium(backend->inner, uuid, error);

    if (medium && sd_id128_equal(uuid, backend->poison->uuid))
        poison_map(backend->poison);
    return medium;
}

static bool poison_renew(Backend *b, sd_id128_t uuid, const char *tag, BackendOutcome *ret_outcome, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;

    return inner->ops->renew(inner, uuid, tag, ret_outcome, error);
}

static MapperList *poison_mappers(Backend *b, sd_id128_t uuid, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;

    return inner->ops->mappers(inner, uuid, error);
}

static BackendContent *poison_open_content(Backend *b, sd_id128_t uuid, GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;
    return inner->ops->open_content(inner, uuid, error);
}

static bool poison_clear_bad(Backend *b, const BackendClear *req, uint64_t *ret_frames, BackendOutcome *ret_outcome,
                             GError **error) {
    Backend *inner = ((PoisonBackend *) b)->inner;
    return inner->ops->clear_bad(inner, req, ret_frames, ret_outcome, error);
}

static void poison_free(Backend *b) {
    backend_free(((PoisonBackend *) b)->inner);
    g_free(b);
}

static Backend *wrap(Backend *inner, void *data) {
    static const BackendOps ops = {
        .name = "file",
        .list = poison_list,
        .create = poison_create,
        .destroy = poison_destroy,
        .open_medium = poison_open_medium,
        .renew = poison_renew,
        .mappers = poison_mappers,
        .open_content = poison_open_content,
        .clear_bad = poison_clear_bad,
        .free = poison_free,
    };
    PoisonBackend *b = g_new0(PoisonBackend, 1);

    b->base.ops = &ops;
    b->inner = inner;
    b->poison = data;
    return &b->base;
}

/* --- the host: two pools, a region in each --- */

typedef struct {
    Host *host;
    Poison poison;
    sd_id128_t pool, other, region, other_region;
    guint renames;
} World;

static int rename_to(World *w, sd_id128_t uuid) {
    ManagerRequest request = target(MANAGER_RENAME, uuid);
    g_autofree char *name = g_strdup_printf("name%u", w->renames++);

    request.target.name = name;
    return host_ask(w->host, &request).code;
}

static void world_init(World *w, int uffd) {
    ManagerRequest second = setup_mgmt(OTHER_BASE, OTHER_BASE + 4096, "second"), data = allocate_data(4 << 20, "away");

    *w = (World){ .poison = { .uffd = uffd } };
    w->host = host_new_stopped("mapped");
    w->host->wrap = wrap;
    w->host->wrap_data = &w->poison;
    host_start(w->host);
    w->pool = make_pool(w->host);
    w->region = make_region(w->host, "guest");
    w->other = host_ask(w->host, &second).result;
    data.data.pool = "second";
    w->other_region = host_ask(w->host, &data).result;
    g_assert_nonnull(find(w->host, w->other_region));
}

static void assert_other_goes_on(World *w) {
    g_assert_cmpint(find_pool(w->host, w->other)->state, ==, POOL_OK);
    g_assert_cmpint(rename_to(w, w->other_region), ==, -1);
}

/* Without the poison all is as it was. */
static void assert_whole_again(World *w, const char *name) {
    w->poison.n = 0;
    host_restart(w->host);
    g_assert_cmpint(manager_get_state(w->host->manager), ==, MANAGER_OK);
    g_assert_cmpint(find_pool(w->host, w->pool)->state, ==, POOL_OK);
    g_assert_cmpint(find(w->host, w->region)->state, ==, REGION_OK);
    g_assert_cmpstr(find(w->host, w->region)->name, ==, name);
    g_assert_cmpint(rename_to(w, w->region), ==, -1);
    assert_other_goes_on(w);
}

/* Offsets of pages in the medium, by the superblock; area: the one in use. */
static guint places_of(const Pool *pool, const char *place, uint64_t offs[static 4]) {
    const JfGeometry *geo = &pool->sb.geo;
    guint n = 0;

    if (g_str_has_prefix(place, "superblock"))
        offs[n++] = 0;
    if (g_str_equal(place, "superblocks"))
        offs[n++] = jf_superblock_offset(geo->size, 1);
    for (unsigned copy = 0; copy < (g_str_equal(place, "roots") ? 2u : g_str_equal(place, "root") ? 1u : 0u); copy++)
        for (unsigned parity = 0; parity < 2; parity++)
            offs[n++] = jf_root_offset(geo->size, parity, copy);
    if (g_str_equal(place, "area"))
        offs[n++] = geo->area_off[0]; /* a pool this young has the first area: snapshot and log begin there */
    return n;
}

static void test_replay(int uffd, const char *place, bool usable, PoolState state) {
    World w;

    world_init(&w, uffd);
    w.poison.uuid = w.pool;
    w.poison.n = places_of(find_pool(w.host, w.pool), place, w.poison.offs);
    g_assert_cmpuint(w.poison.n, >, 0);
    host_restart(w.host);
    g_assert_cmpuint(w.poison.times, ==, 1);
    const Pool *pool = find_pool(w.host, w.pool);
    g_assert_cmpint(pool != NULL, ==, usable);
    if (pool) {
        g_assert_cmpint(pool->state, ==, state);
        g_assert_true(state == POOL_OK || pool->reason);
        g_assert_cmpint(rename_to(&w, w.region) == -1, ==, state == POOL_OK);
    } else {
        g_assert_cmpuint(state_foreigns(manager_state(w.host->manager))->len, >, 0);
    }
    const char *name = pool && state == POOL_OK ? find(w.host, w.region)->name : "guest";
    g_autofree char *kept = g_strdup(name);
    assert_other_goes_on(&w);
    assert_whole_again(&w, kept);
    host_free(w.host);
    printf("ok replay, %s poisoned\n", place);
}

/* The page that the next record goes to. */
static void test_append(int uffd) {
    World w;

    world_init(&w, uffd);
    w.poison.uuid = w.pool;
    w.poison.n = places_of(find_pool(w.host, w.pool), "area", w.poison.offs);
    poison_map(&w.poison);
    g_assert_cmpint(rename_to(&w, w.region), ==, PMEMD_ERROR_HARDWARE);
    g_assert_cmpint(find_pool(w.host, w.pool)->state, ==, POOL_READ_ONLY);
    g_assert_cmpstr(find(w.host, w.region)->name, ==, "guest");
    g_assert_cmpint(rename_to(&w, w.region), ==, PMEMD_ERROR_READ_ONLY);
    assert_other_goes_on(&w);
    assert_whole_again(&w, "guest");
    host_free(w.host);
    printf("ok append, log poisoned\n");
}

/* What erases a device: it fails, says so, and has not gone on behind the page. */
static void test_erase(int uffd) {
    const uint64_t size = UINT64_C(4) << 20;
    int fd = memfd_create("poisoned", MFD_CLOEXEC);

    g_assert_cmpint(ftruncate(fd, (off_t) size), ==, 0);
    Medium *medium = medium_mapped_new(fd, size, true, NULL);
    g_assert_nonnull(medium);
    uint8_t *map = find_map("memfd:poisoned");
    memset(map, 0x5a, size);
    poison_page(uffd, map + size / 2);
    g_assert_cmpint(medium_zero(medium, 0, size), ==, -EIO);
    g_assert_cmpint(medium_readable(medium, size / 2, 1), ==, -EIO);
    g_assert_cmpint(medium_readable(medium, size / 2 + PAGE, 1), ==, 0);
    g_assert_cmpuint(map[size / 2 - 1], ==, 0);
    g_assert_cmpuint(map[size - 1], ==, 0x5a);
    medium_free(medium);
    printf("ok erase, content poisoned\n");
}

int main(int argc, char **argv) {
    /* The maps are of shared memory: that is what can be poisoned. */
    g_setenv("TMPDIR", "/dev/shm", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    medium_guard_install();

    int uffd = open_uffd();
    test_replay(uffd, "superblock", true, POOL_OK);
    test_replay(uffd, "superblocks", false, POOL_OK);
    test_replay(uffd, "root", true, POOL_OK);
    test_replay(uffd, "roots", true, POOL_CORRUPT);
    test_replay(uffd, "area", true, POOL_CORRUPT);
    test_append(uffd);
    test_erase(uffd);
    close(uffd);
    printf("poison: all places\n");
    return 0;
}
