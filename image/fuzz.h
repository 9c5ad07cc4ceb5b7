/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_FUZZ_H
#define IMAGE_FUZZ_H
#include "base/log.h"
#include "image/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * One hostile image: opened, looked through, read here and there, written if it lets us.
 * Whatever it says, this ends, and soon.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fuzz_say(void *arg, const char *text)
{
    *(unsigned *)arg += (unsigned)strlen(text);
}

static void fuzz_fact(void *arg, const char *name, const char *value)
{
    *(unsigned *)arg += (unsigned)strlen(value);
}

/* What cannot be written as it is may be set right, and then is used too. */
static void fuzz_repair(struct image_open *how)
{
    struct err e = { 0 };
    unsigned said = 0;
    struct image *im;

    how->flags |= IMAGE_WRITE | IMAGE_REPAIR;
    if (image_open(&im, how, &e))
        return;
    image_repair(im, fuzz_say, &said, &e);
    image_close(im, &e);
}

/* What changes an image as a whole. */
static void fuzz_change(struct image *im)
{
    unsigned said = 0;

    if (image_size(im) < 1ull << 30)
        image_resize(im, image_size(im) + (3 << 20), false, NULL);
    image_rebase(im, NULL, true, NULL, NULL);
    image_facts(im, fuzz_fact, &said);
}

static void fuzz_use(struct image *im)
{
    struct image_place place;
    static u8 b[200000];
    u64 size = image_size(im), off = 0, step = size / 40 + 1;
    struct iovec v = { b, 0 };
    unsigned said = 0;

    for (int i = 0; i < 40 && off < size; i++) {
        enum image_kind kind;
        u64 len;

        if (image_map(im, off, &len, &kind, NULL))
            len = 512;
        v.iov_len = min_u64(sizeof(b) - (u64)i * 777, size - off);
        image_read(im, off, &v, 1, v.iov_len);
        if (image_writable(im))
            image_write(im, off, &v, 1, min_u64(v.iov_len, 5000));
        off += i & 1 ? step : max_u64(min_u64(len, step), 1);
    }
    if (image_writable(im)) {
        image_trim(im, 0, min_u64(size, 1 << 20));
        image_flush(im);
    }
    if (size)
        image_place(im, size / 2, &place, NULL);
    image_check(im, fuzz_say, &said, NULL);
    image_facts(im, fuzz_fact, &said);
    if (image_writable(im))
        fuzz_change(im);
}

/* The image in a file without a name: read, then read and written. */
static void fuzz_file(const char *format, int fd, u32 flags)
{
    struct image_open how = { .format = format };
    char path[64];

    log_level_set(LOG_ERROR);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    how.path = path;
    for (u32 write = 0; write <= IMAGE_WRITE; write += IMAGE_WRITE) {
        struct err e = { 0 };
        struct image *im;

        how.flags = flags | write;
        if (!image_open(&im, &how, &e)) {
            fuzz_use(im);
            image_close(im, &e);
        } else if (!e.text[0]) {
            abort(); /* every refusal says why */
        }
        if (!write)
            fuzz_repair(&how);
    }
}

static inline int fuzz_image(const char *format, const uint8_t *data, size_t n)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    fuzz_file(format, fd, 0);
    close(fd);
    return 0;
}
#endif
