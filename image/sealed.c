/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data that is encrypted on the disk: the driver's cipher works on whole encrypted sectors, so
 * what a request has of the first and the last one is completed here.  A writer has its range
 * to itself (image/io.c), or two that share a sector would undo each other.
 */
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEALED_STEP (256u << 10)

/* Whole sectors at x, which begins with one, in the clear. */
static int sealed_load(struct image *im, const struct extent *x, u64 skip, u8 *p, size_t n)
{
    struct iovec v = { p, n };
    int r = image_file_readv(im, x->file, x->at + skip, &v, 1);

    return r ? r : im->format->seal(im, true, x->seal + skip, p, n);
}

/* x moved back to where its sector begins; by how much. */
static u32 sealed_align(const struct image *im, struct extent *x)
{
    u32 head = (u32)(x->seal % im->sealed);

    x->at -= head;
    x->seal -= head;
    return head;
}

static u8 *sealed_buffer(u64 n)
{
    return malloc(min_u64(n, SEALED_STEP));
}

int sealed_read(struct image *im, const struct extent *at, u64 len, const struct iovec *v, int n)
{
    struct extent x = *at;
    u32 head = sealed_align(im, &x);
    u64 whole = round_up(head + len, im->sealed);
    u8 *b = sealed_buffer(whole);
    int r = b ? 0 : -ENOMEM;

    for (u64 pos = 0; !r && pos < whole; pos += SEALED_STEP) {
        u64 some = min_u64(SEALED_STEP, whole - pos), from = pos ? 0 : head;

        r = sealed_load(im, &x, pos, b, some);
        if (!r)
            iov_fill(v, n, pos ? pos - head : 0, b + from,
                     min_u64(some - from, pos ? len - (pos - head) : len));
    }
    free(b);
    return r;
}

static void sealed_gather(const struct iovec *v, int n, u64 skip, u64 len, u8 *to)
{
    while (len) {
        struct iovec part[16];
        u64 got;
        int k = iov_part(v, n, skip, len, part, LEN(part), &got);

        for (int i = 0; i < k; i++) {
            memcpy(to, part[i].iov_base, part[i].iov_len);
            to += part[i].iov_len;
        }
        skip += got;
        len -= got;
    }
}

int sealed_write(struct image *im, const struct extent *at, const struct iovec *v, int n, u64 skip,
                 u64 len)
{
    struct extent x = *at;
    u32 unit = im->sealed, head = sealed_align(im, &x);
    u64 end = head + len, whole = round_up(end, unit);
    u8 *b = sealed_buffer(whole);
    int r = b ? 0 : -ENOMEM;

    for (u64 pos = 0; !r && pos < whole; pos += SEALED_STEP) {
        u64 some = min_u64(SEALED_STEP, whole - pos), from = pos ? 0 : head;
        u64 to = min_u64(some, end - pos);

        if (from)
            r = sealed_load(im, &x, pos, b, unit);
        if (!r && to < some && !(from && some == unit))
            r = sealed_load(im, &x, pos + some - unit, b + some - unit, unit);
        if (r)
            break;
        sealed_gather(v, n, skip + pos + from - head, to - from, b + from);
        r = im->format->seal(im, false, x.seal + pos, b, some);
        if (!r)
            r = image_file_write(im, x.file, x.at + pos, b, some);
    }
    free(b);
    return r;
}

int sealed_fill(struct image *im, const struct extent *x, u64 len, const struct iovec *v, int n)
{
    u8 *b = malloc(len);
    int r;

    if (!b)
        return -ENOMEM;
    sealed_gather(v, n, 0, len, b);
    r = im->format->seal(im, false, x->seal, b, len);
    if (!r)
        r = image_file_write(im, x->file, x->at, b, len);
    free(b);
    return r;
}
