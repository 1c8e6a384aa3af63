/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Has a data region for as long as it runs: attaches it, maps it, prints the text at its start and puts another there. The lease ends with the program, however that ends: it holds until its connection does.
 *
 *     cc -o lend-region lend-region.c $(pkg-config --cflags --libs libpmemd)
 *     ./lend-region system pool0/guest0 me "some text"
 *
 * Exit status: 0 done, 1 not, 2 bad usage.
 */
#include <errno.h>
#include <inttypes.h>
#include <pmemd/libpmemd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_SIZE 128

static int fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* What a region held before is anybody's guess: only what can be shown is. */
static void print_text(const char *text) {
    printf("found: ");
    for (size_t i = 0; i < TEXT_SIZE && text[i] >= ' ' && text[i] <= '~'; i++)
        putchar(text[i]);
    putchar('\n');
}

/* fd: closed. */
static int use(int fd, const PmemdAttachment *attachment, const char *text) {
    /* All of it, and shared: a private mapping is a copy. */
    char *memory = mmap(NULL, attachment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd); /* the mapping stays */
    if (memory == MAP_FAILED)
        return fail("cannot map the region", strerror(errno));

    print_text(memory);
    strncpy(memory, text, TEXT_SIZE);
    /* A device-dax has no msync (EINVAL): there programs flush the processor's caches by themselves, as pmem_persist() of
     * libpmem does. */
    if (msync(memory, (size_t) sysconf(_SC_PAGESIZE), MS_SYNC) < 0 && errno != EINVAL)
        return fail("cannot make it durable", strerror(errno));
    munmap(memory, attachment->bytes);
    return EXIT_SUCCESS;
}

static int run(PmemdClient *client, char **argv) {
    PmemdAttachment *attachment = NULL;
    char *path = NULL;
    int fd = -1, status;

    if (pmemd_client_open(client, argv[1]) < 0)
        return fail("cannot connect", pmemd_client_error_message(client));
    if (pmemd_client_find(client, argv[2], &path) < 0)
        return fail("no such region", pmemd_client_error_message(client));
    if (pmemd_client_attach(client, path, argv[3], PMEMD_ATTACH_UNTIL_DISCONNECT, PMEMD_FRAME_UNKNOWN, &fd,
                            &attachment) < 0) {
        /* Of a region that somebody else has, the message says who, and since when. */
        free(path);
        return fail("cannot attach", pmemd_client_error_message(client));
    }
    printf("attached %s: %" PRIu64 " bytes\n", attachment->path, attachment->bytes);
    status = use(fd, attachment, argv[4]);
    if (pmemd_client_detach(client, path, argv[3], false) < 0)
        status = fail("cannot detach", pmemd_client_error_message(client));
    pmemd_attachment_free(attachment);
    free(path);
    return status;
}

int main(int argc, char **argv) {
    PmemdClient *client = NULL;

    if (argc != 5 || strlen(argv[4]) >= TEXT_SIZE) {
        fprintf(stderr, "usage: lend-region BUS REGION OWNER TEXT\n");
        return 2;
    }
    if (pmemd_client_new(&client) < 0)
        return EXIT_FAILURE;
    int status = run(client, argv);
    pmemd_client_free(client);
    return status;
}
