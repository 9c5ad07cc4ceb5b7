/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An overlay's content into its parent.  While that goes on, the overlay still covers each
 * place that is written to, so it shows the same disk whenever it is cut short, and the work
 * can be begun again.  The parent's id of content changes last.
 */
#include "image/walk_int.h"
#include <errno.h>
#include <string.h>

/* What the overlay itself says of off; *skip: it leaves that to its parent. */
static int commit_next(void *arg, u64 off, u64 *len, bool *skip, struct err *e)
{
    struct image *im = arg;
    struct extent x = { 0 };
    u64 n = 0;
    int r;

    do { /* stretches that are skipped are one, up to a bound */
        x = (struct extent){ 0 };
        r = im->format->map(im, off + n, &x);
        if (r || !x.len)
            return err_set(e, r ? r : -EIO, "%s: offset %llu: %s", image_path(im),
                           (unsigned long long)(off + n), strerror(r ? -r : EIO));
        if (n && (x.kind == EXT_PARENT) != *skip)
            break;
        *skip = x.kind == EXT_PARENT;
        n += x.len;
    } while (n < *len && n < 1ull << 30);
    *len = min_u64(*len, n);
    return 0;
}

/* Zeroes: given back if the parent can; written where it still has something else then. */
static int commit_zero(struct image *up, u64 off, u32 len, u8 *zero, struct err *e)
{
    int r = image_trim(up, off, len);
    u64 end = off + len, n;

    for (; !r && off < end; off += n) {
        enum image_kind kind;
        struct iovec v;

        r = image_map(up, off, &n, &kind, e);
        if (r)
            break;
        n = min_u64(n, end - off);
        v = (struct iovec){ zero, n };
        if (kind == IMAGE_DATA)
            r = image_write(up, off, &v, 1, n);
    }
    return r;
}

static int commit_piece(void *arg, u64 off, u32 len, u8 *buf, struct err *e)
{
    struct image *im = arg, *up = im->parent;
    struct iovec v = { buf, len };
    int r = image_read(im, off, &v, 1, len);

    if (r)
        return err_set(e, r, "%s: reading at %llu: %s", image_path(im), (unsigned long long)off,
                       strerror(-r));
    r = image_is_zero(buf, len) ? commit_zero(up, off, len, buf, e)
                                : image_write(up, off, &v, 1, len);
    return r ? err_set(e, r, "%s: writing at %llu: %s", image_path(up), (unsigned long long)off,
                       strerror(-r))
             : 0;
}

/* It holds something else now: other children of it must notice, this one must not. */
static int commit_ids(struct image *im, struct err *e)
{
    struct image *up = im->parent;
    struct image_make make = { .parent = im->parent_name,
                               .parent_format = im->parent_format,
                               .base = up };
    int r = 0;

    if (!up->format->touch || !atomic_load(&up->touched))
        return 0;
    up->flags &= ~(u32)IMAGE_KEEP_ID;
    pthread_mutex_lock(&up->lock);
    r = up->format->touch(up);
    pthread_mutex_unlock(&up->lock);
    if (!r)
        r = image_flush(up);
    if (r)
        return err_set(e, r, "%s: %s", image_path(up), strerror(-r));
    if (!im->writable || !im->parent_name || !im->format->rebase)
        return 0;
    pthread_mutex_lock(&im->lock);
    r = im->format->rebase(im, &make, e);
    pthread_mutex_unlock(&im->lock);
    if (!r && (r = image_flush(im)))
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    return r;
}

int image_commit(struct image *im, const struct image_work *w, struct err *e)
{
    struct image *up = im->parent;
    struct image_walk how = {
        .size = im->size, .next = commit_next, .piece = commit_piece, .arg = im
    };
    int r;

    if (!up)
        return err_set(e, -EINVAL, "%s: has no parent that could take its content", image_path(im));
    if (!up->writable)
        return err_set(e, -EROFS, "%s: is not open for writing", image_path(up));
    if (up->size < im->size && (r = image_resize(up, im->size, false, e)))
        return r;
    up->flags |= IMAGE_KEEP_ID;
    r = image_walk(&how, w, e);
    if (!r && (r = image_flush(up)))
        err_set(e, r, "%s: %s", image_path(up), strerror(-r));
    return r ? r : commit_ids(im, e);
}
