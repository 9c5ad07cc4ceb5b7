/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk whose bytes are in an image.  Flush and trim are the image's own: a flush returns
 * when what was written is on the host's disk.
 */
#include "backend/blk_int.h"
#include "base/log.h"
#include "image/image.h"
#include <errno.h>
#include <string.h>

static int blk_image_run(void *store, const struct blk_req *r)
{
    struct image *im = store;

    if (!im)
        return -EIO; /* it could not be opened again */
    switch (r->op) {
    case BLK_READ:
        return image_read(im, r->off, r->v, r->n, r->len);
    case BLK_WRITE:
        return image_write(im, r->off, r->v, r->n, r->len);
    case BLK_FLUSH:
        return image_writable(im) ? image_flush(im) : 0;
    case BLK_TRIM:
        return image_trim(im, r->off, r->len);
    }
    return -EINVAL;
}

static void blk_image_close(void *store)
{
    struct err e = { 0 };

    if (store && image_close(store, &e))
        log_error("%s", e.text);
}

struct image *blk_swap(struct blk *b, struct image *take_im)
{
    return blk_store_set(b, take_im);
}

int blk_open(struct blk **b, struct image *take_im, struct loop *lane, struct err *e)
{
    static const struct blk_store ops = { blk_image_run, blk_image_close };
    const char *path = image_path(take_im), *slash = path ? strrchr(path, '/') : NULL;
    int rc = blk_open_store(b, &ops, take_im, image_size(take_im), !image_writable(take_im),
                            slash ? slash + 1 : (path ? path : "disk"), lane, e);

    if (rc)
        blk_image_close(take_im);
    return rc;
}
