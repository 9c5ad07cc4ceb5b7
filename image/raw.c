/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw disks: the file is the disk.  Nothing tells a raw disk from anything else, so it is
 * never found by probing.  A size that is no multiple of 512 is rounded up with zeroes.
 */
#include "image/image_int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

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

const struct image_format image_raw = {
    .name = "raw",
    .suffix = ".raw",
    .about = "the bytes of the disk, one after the other",
    .can = CAN_WRITE | CAN_CREATE | CAN_GROW | CAN_SHRINK,
    .open = raw_open,
    .map = raw_map,
    .create = raw_create,
    .grow = raw_grow,
};
