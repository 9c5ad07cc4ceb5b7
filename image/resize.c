/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The size of the disk in an image, up and down, as far as its format can. */
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESIZE_PIECE (1u << 20)

/* What shows through in the new part, from a longer parent or a last block, is not zero yet. */
static int resize_zero(struct image *im, u64 off, struct err *e)
{
    u8 *zero = calloc(1, RESIZE_PIECE);
    int r = zero ? 0 : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    while (!r && off < im->size) {
        enum image_kind kind;
        struct iovec v;
        u64 n;

        r = image_map(im, off, &n, &kind, e);
        if (!r && kind == IMAGE_DATA) {
            n = min_u64(n, RESIZE_PIECE);
            v = (struct iovec){ zero, n };
            if ((r = image_write(im, off, &v, 1, n)))
                err_set(e, r, "%s: %s", image_path(im), strerror(-r));
        }
        off += n;
    }
    free(zero);
    return r;
}

int image_resize(struct image *im, u64 size, bool shrink, struct err *e)
{
    const struct image_format *f = im->format;
    u64 was = im->size;
    int r = 0;

    if (!im->writable)
        return err_set(e, -EROFS, "%s: is open for reading only", image_path(im));
    if (size == im->size)
        return 0;
    if (size > INT64_MAX)
        return err_set(e, -EFBIG, "%s: a size of %llu bytes is not possible", image_path(im),
                       (unsigned long long)size);
    if (size < im->size && !shrink)
        return err_set(e, -EINVAL, "%s: has %llu bytes: what is behind %llu would be cut off",
                       image_path(im), (unsigned long long)im->size, (unsigned long long)size);
    if (!f->grow || !(f->can & (size > im->size ? CAN_GROW : CAN_SHRINK)))
        return err_set(e, -EOPNOTSUPP, "%s: a %s image cannot be made %s in place", image_path(im),
                       f->name, size > im->size ? "bigger" : "smaller");
    if (size < im->size)
        r = image_trim(im, size, im->size - size);
    if (!r)
        r = image_flush(im);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    pthread_mutex_lock(&im->lock);
    r = f->grow(im, size, e);
    pthread_mutex_unlock(&im->lock);
    if (!r)
        r = resize_zero(im, was, e);
    if (!r && (r = image_flush(im)))
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    return r;
}
