/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The size of the disk in an image, up and down, as far as its format can. */
#include "image/image_int.h"
#include <errno.h>
#include <string.h>

int image_resize(struct image *im, u64 size, bool shrink, struct err *e)
{
    const struct image_format *f = im->format;
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
    if (!r && (r = image_flush(im)))
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    return r;
}
