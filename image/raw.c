/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw disks: the file is the disk.  Nothing tells a raw disk from anything else, so it is
 * never found by probing.  A size that is no multiple of 512 is rounded up with zeroes.
 */
#include "image/pull_int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RAW_PIECE (1u << 20)

static int raw_open(struct image *im, struct err *e)
{
    u64 n = image_file_length(im, 0);

    if (n > INT64_MAX - 511)
        return err_set(e, -EFBIG, "%s: too big", image_path(im));
    im->size = round_up(n, 512);
    return 0;
}

static int raw_map(struct image *im, u64 off, struct extent *x)
{
    x->kind = EXT_DATA;
    x->at = off;
    x->len = im->size - off;
    return 0;
}

static int raw_create(struct image *im, const struct image_make *how, struct err *e)
{
    if (ftruncate(im->files[0].fd, (off_t)how->size))
        return err_set(e, -errno, "%s: %s", image_path(im), strerror(errno));
    return 0;
}

static int raw_grow(struct image *im, u64 size, struct err *e)
{
    if (ftruncate(im->files[0].fd, (off_t)size))
        return err_set(e, -errno, "%s: %s", image_path(im), strerror(errno));
    atomic_store(&im->files[0].length, size);
    im->size = round_up(size, 512);
    return 0;
}

/* Into a file, holes are better; down a pipe every zero is sent. */
static int raw_begin(struct image *im, const struct image_make *how, struct err *e)
{
    im->pack.unit = 65536;
    return im->append ? 1 : 0;
}

static int raw_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed)
{
    int r = image_append_zeroes(im, off - im->appended);

    return r ? r : image_append(im, data, len);
}

static int raw_end(struct image *im, struct err *e)
{
    int r = image_append_zeroes(im, im->size - im->appended);

    return r ? err_set(e, r, "output: %s", strerror(-r)) : 0;
}

/* The bytes as they come; a last sector that is not whole ends in zeroes. */
static int raw_pull(struct pull *p, struct err *e)
{
    u64 left = pull_length(p), off = 0;
    int r = left ? pull_size(p, round_up(left, 512), e) : -ESPIPE; /* it does not end itself */

    while (!r && left) {
        size_t n = min_u64(left, RAW_PIECE);
        u8 *room = pull_room(p, n);

        r = room ? pull_read(p, room, n, e) : -ENOMEM;
        if (!r)
            pull_give(p, off, (u32)n, (u32)n, NULL);
        off += n;
        left -= n;
    }
    return r;
}

const struct image_format image_raw = {
    .name = "raw",
    .suffix = ".raw",
    .about = "the bytes of the disk, one after the other",
    .can = CAN_WRITE | CAN_CREATE | CAN_GROW | CAN_SHRINK | CAN_STREAM,
    .open = raw_open,
    .map = raw_map,
    .create = raw_create,
    .grow = raw_grow,
    .begin = raw_begin,
    .put = raw_put,
    .end = raw_end,
    .pull = raw_pull,
};
