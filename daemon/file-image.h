/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * The image of one device of the file backend: making, looking, erasing, and whether somebody has it open.
 * Promises: no symbolic link is followed, nothing that is not a regular file is opened, descriptors are close-on-exec,
 * every failure is a negative errno. Knows no descriptions. Used by backend-file.
 */
#pragma once

#include "daemon/medium.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool exists;
    bool whole; /* a regular file of the size that was asked about */
    bool held;  /* as file_image_held(), if that was asked */
} FileImageFacts;

/* When to ask who holds it: that takes an open of the image, and a lease. */
typedef enum {
    FILE_IMAGE_ASK_ALWAYS,
    FILE_IMAGE_ASK_UNLESS_WHOLE,
} FileImageAsk;

/* Returns 0 also when it does not exist. */
int file_image_look(int dirfd, const char *name, uint64_t bytes, FileImageAsk ask, FileImageFacts *ret_facts);
#define FILE_IMAGE_ANY_SIZE UINT64_MAX

/* The descriptor for reading and writing of an image of exactly that size (or any). -EMEDIUMTYPE: it is something
 * else; -EBUSY: somebody holds a lease on it. */
int file_image_open(int dirfd, const char *name, uint64_t bytes);
/* Who else has a file open or mapped, wherever the descriptor is: in a table, behind a mapping, on its way through a
 * socket. */
typedef enum {
    FILE_IMAGE_ALONE,     /* nobody */
    FILE_IMAGE_SHARED,    /* somebody */
    FILE_IMAGE_UNCERTAIN, /* the file system cannot tell */
} FileImageUsers;
FileImageUsers file_image_users(int fd);
/* Whether it is known that a descriptor other than fd, of any process, has the file open or mapped. */
bool file_image_held(int fd);
/* Makes the temporary file (file_io_temp_name()) of an image, reading as zeros, durably; preallocated or sparse. What
 * it made before it failed is the caller's to remove. */
int file_image_write_temp(int dirfd, const char *name, uint64_t bytes, bool preallocate);
/* The same with the content of `from`, an open image of that size; what reads as zeros may become a hole. */
int file_image_copy_temp(int dirfd, const char *name, int from, uint64_t bytes);
/* Makes [off, off + len) read as zeros, durably. Only what holds data is written: a sparse image stays sparse. mapped:
 * the image as mapped memory, to be written by it; NULL: by the descriptor. */
int file_image_zero(int fd, Medium *mapped, uint64_t off, uint64_t len);
/* Reads [off, off + len) back, from the disk where the kernel lets go of its copy: 0 when all of it is zero, 1 when not
 * (*ret_at is where first). Beyond the end of the file nothing is zero: -ENODATA. */
int file_image_find_nonzero(int fd, Medium *mapped, uint64_t off, uint64_t len, uint64_t *ret_at);
