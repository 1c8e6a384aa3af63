/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: bench-backend operations FOLDER DEVICES CALLS ROUNDS
 *        bench-backend erase FOLDER MIB ROUNDS
 *
 * operations: the file backend alone, called as the daemon calls it: create and destroy with DEVICES devices there, the
 * median of CALLS calls each round. This is what SetupData and the end of a release cost before pmemd does anything.
 * erase: a data device of MIB with all its pages there, erased by the backend, against a plain loop of non-temporal
 * stores over the same mapping. FOLDER must be an empty folder; what is made in it is removed.
 */
#include "daemon/backend-file.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE UINT64_C(0x100000)

static const sd_id128_t pool = SD_ID128_MAKE(aa, bb, cc, dd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, a, b);

static Backend *open_backend(const char *folder) {
    g_autofree char *path = g_build_filename(folder, "regions.conf", NULL);
    g_autoptr(GError) error = NULL;

    bool ok =
        g_file_set_contents(path, "[raw]\nStartFrame=0x100000\nBytes=64T\nAlignment=4K\nMedium=mapped\n", -1, &error);
    bench_require(ok && g_chmod(path, 0600) == 0, path, error);
    Backend *backend = backend_file_new(folder, &error);
    bench_require(backend != NULL, folder, error);
    return backend;
}

static void close_backend(Backend *backend, const char *folder) {
    g_autofree char *path = g_build_filename(folder, "regions.conf", NULL);

    backend_free(backend);
    (void) g_unlink(path);
}

static sd_id128_t uuid_of(uint64_t n) {
    uint64_t state = n;
    sd_id128_t id = { .qwords = { bench_random(&state), n + 1 } };

    return id;
}

static char *create(Backend *backend, uint64_t n, uint64_t frames) {
    sd_id128_t uuid = uuid_of(n);
    char tag[BACKEND_TAG_MAX];
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;
    g_autoptr(BackendDevice) device =
        backend->ops->create(backend,
                             &(BackendCreate){ .raw_id = "raw",
                                               .device = { BASE + n * frames, BASE + (n + 1) * frames },
                                               .uuid = uuid,
                                               .tag = backend_tag_format(BACKEND_ROLE_DATA, pool, uuid, tag) },
                             &outcome, &error);

    bench_require(device != NULL, "create", error);
    return g_steal_pointer(&device->path);
}

static void destroy(Backend *backend, uint64_t n) {
    sd_id128_t uuid = uuid_of(n);
    char tag[BACKEND_TAG_MAX];
    g_autoptr(GError) error = NULL;
    BackendOutcome outcome;

    bench_require(
        backend->ops->destroy(backend, uuid, backend_tag_format(BACKEND_ROLE_DATA, pool, uuid, tag), &outcome, &error),
        "destroy", error);
}

static void operations(const char *folder, int devices, int calls, int rounds) {
    static const char *const names[] = { "create", "destroy" };
    Backend *backend = open_backend(folder);
    GArray *medians[2] = { g_array_new(FALSE, FALSE, sizeof(double)), g_array_new(FALSE, FALSE, sizeof(double)) };
    g_autofree char *name = g_strdup_printf("backend %d", devices);

    for (int i = 0; i < devices; i++)
        g_free(create(backend, (uint64_t) i, 16));
    for (int round = -1; round < rounds; round++) {
        GArray *samples[2] = { g_array_new(FALSE, FALSE, sizeof(double)), g_array_new(FALSE, FALSE, sizeof(double)) };

        for (int i = 0; i < calls; i++) {
            uint64_t start = bench_now();
            g_free(create(backend, (uint64_t) devices, 16));
            uint64_t middle = bench_now();
            destroy(backend, (uint64_t) devices);
            double took[2] = { (double) (middle - start) / 1e3, (double) (bench_now() - middle) / 1e3 };

            g_array_append_val(samples[0], took[0]);
            g_array_append_val(samples[1], took[1]);
        }
        for (int k = 0; k < 2; k++) {
            double median = bench_median(samples[k]);

            if (round >= 0)
                g_array_append_val(medians[k], median);
            g_array_unref(samples[k]);
        }
    }
    for (int i = 0; i < devices; i++)
        destroy(backend, (uint64_t) i);
    bench_print(name, "us", names, (const GArray *const *) medians, 2);
    g_array_unref(medians[0]);
    g_array_unref(medians[1]);
    close_backend(backend, folder);
}

/* --- erase --- */

#define PIECE (UINT64_C(16) << 20)
#define SAMPLES 10u

typedef struct {
    BackendContent *content;
    uint8_t *map;
    size_t bytes;
} Erase;

static double gib_per_second(const Erase *e, uint64_t start) {
    return (double) e->bytes / (double) (1 << 30) / ((double) (bench_now() - start) / 1e9);
}

static double round_erase(void *data) {
    const Erase *e = data;
    uint64_t start = bench_now();

    /* As the eraser does: in pieces, each read back in samples. */
    for (uint64_t at = 0; at < e->content->size; at += PIECE) {
        uint64_t bad;

        bench_require(e->content->zero(e->content, at, PIECE) == 0, "zero", NULL);
        for (uint64_t i = 0; i < SAMPLES; i++) {
            uint64_t page = i == 0 ? 0 : i == 1 ? PIECE - 4096 : (uint64_t) g_random_int() % PIECE / 4096 * 4096;

            bench_require(e->content->find_nonzero(e->content, at + page, 4096, &bad) == 0, "read back", NULL);
        }
    }
    return gib_per_second(e, start);
}

static double round_plain(void *data) {
    const Erase *e = data;
    uint64_t start = bench_now();
    __m128i zero = _mm_setzero_si128();

    for (size_t at = 0; at < e->bytes; at += 64)
        for (size_t k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *) (void *) (e->map + at + k), zero);
    _mm_sfence();
    return gib_per_second(e, start);
}

static void erase(const char *folder, int mib, int rounds) {
    Backend *backend = open_backend(folder);
    Erase e = { .bytes = (size_t) mib << 20 };
    Contestant contestants[] = {
        { "pmemd", round_erase, &e },
        { "non-temporal stores", round_plain, &e },
    };
    g_autofree char *path = create(backend, 0, e.bytes / PMEMD_FRAME_SIZE);
    g_autoptr(GError) error = NULL;

    /* First the backend: it refuses to open what somebody has mapped. */
    e.content = backend->ops->open_content(backend, uuid_of(0), &error);
    bench_require(e.content != NULL, "open content", error);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    e.map = fd < 0 ? MAP_FAILED : mmap(NULL, e.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    bench_require(e.map != MAP_FAILED, path, NULL);
    memset(e.map, 1, e.bytes);
    close(fd);
    bench_contest("erase", "GiB/s", contestants, G_N_ELEMENTS(contestants), rounds);
    munmap(e.map, e.bytes);
    backend_content_free(e.content);
    destroy(backend, 0);
    close_backend(backend, folder);
}

int main(int argc, char **argv) {
    bool is_erase = argc == 5 && g_str_equal(argv[1], "erase");

    bench_require(is_erase || (argc == 6 && g_str_equal(argv[1], "operations")),
                  "usage: bench-backend operations FOLDER DEVICES CALLS ROUNDS | erase FOLDER MIB ROUNDS", NULL);
    if (is_erase)
        erase(argv[2], bench_number(argv[3]), bench_number(argv[4]));
    else
        operations(argv[2], bench_number(argv[3]), bench_number(argv[4]), bench_number(argv[5]));
    return EXIT_SUCCESS;
}
