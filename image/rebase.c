/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another parent for an image.  First whatever would show through from the new one and is not
 * what shows through now is copied into the image; when that is on the disk, the name changes.
 * Cut short at any instant, the image shows the same disk.
 */
#include "image/walk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rebase {
    struct image *im;
    struct image *old, *to; /* what it is to show, and the parent that shows through; NULL: zero */
    struct image_reach in_old, in_to;
    bool fresh;  /* the image holds nothing yet */
    bool shared; /* some file is in the chains of both */
    u64 cluster;
};

static bool rebase_shares(const struct image *a, const struct image *to)
{
    for (; a; a = a->parent)
        for (const struct image *b = to; b; b = b->parent)
            if (a->files[0].dev == b->files[0].dev && a->files[0].ino == b->files[0].ino)
                return true;
    return false;
}

/* Is that the same file at the same place, so that nobody has to read it? */
static bool rebase_is_same(struct image *a, struct image *b, u64 off, u64 *len)
{
    struct image_place p, q;

    if (off >= a->size || off >= b->size || image_place_some(a, off, &p) ||
        image_place_some(b, off, &q))
        return false;
    if (!p.file || !q.file || p.at != q.at || p.packed != q.packed || strcmp(p.file, q.file))
        return false;
    *len = min_u64(*len, min_u64(p.len, q.len));
    return true;
}

static int rebase_own(const struct rebase *b, u64 off, u64 *len, bool *skip, struct err *e)
{
    struct extent x = { 0 };
    int r = b->im->format->map(b->im, off, &x);

    if (r || !x.len)
        return err_set(e, r ? r : -EIO, "%s: offset %llu: %s", image_path(b->im),
                       (unsigned long long)off, strerror(r ? -r : EIO));
    *len = min_u64(*len, x.len);
    *skip = x.kind != EXT_PARENT;
    return 0;
}

/* Stretches that the image leaves to its parent, and whose old and new content may differ. */
static int rebase_next(void *arg, u64 off, u64 *len, bool *skip, struct err *e)
{
    struct rebase *b = arg;
    enum image_kind was, is;
    int r = b->fresh ? 0 : rebase_own(b, off, len, skip, e);

    if (r || *skip)
        return r;
    if ((r = image_reach(b->old, &b->in_old, off, len, &was, e)) ||
        (r = image_reach(b->to, &b->in_to, off, len, &is, e)))
        return r;
    *skip = (was == IMAGE_ZERO && is == IMAGE_ZERO) ||
            (b->shared && rebase_is_same(b->old, b->to, off, len));
    return 0;
}

/* Whole clusters of the image in which old and new differ are written. */
static int rebase_piece(void *arg, u64 off, u32 len, u8 *buf, struct err *e)
{
    struct rebase *b = arg;
    u8 *other = buf + WALK_PIECE;
    int r = image_read_padded(b->old, off, buf, len);

    if (!r)
        r = image_read_padded(b->to, off, other, len);
    for (u32 at = 0, end; !r && at < len; at = end) {
        bool same = true;

        for (end = at; end < len;) {
            u32 n = (u32)min_u64(b->cluster - (off + end) % b->cluster, len - end);
            bool is = !memcmp(buf + end, other + end, n);

            if (end > at && is != same)
                break;
            same = is;
            end += n;
        }
        if (!same) {
            struct iovec v = { buf + at, end - at };

            r = image_write(b->im, off + at, &v, 1, end - at);
        }
    }
    return r ? err_set(e, r, "%s: at %llu: %s", image_path(b->im), (unsigned long long)off,
                       strerror(-r))
             : 0;
}

static int rebase_run(struct rebase *b, const struct image_work *w, struct err *e)
{
    struct image_walk how = {
        .size = b->im->size, .next = rebase_next, .piece = rebase_piece, .arg = b
    };

    b->cluster = max_u64(b->im->cluster, 512);
    b->shared = rebase_shares(b->old, b->to);
    return image_walk(&how, w, e);
}

int image_differ(struct image *im, struct image *from, struct image *parent,
                 const struct image_work *w, struct err *e)
{
    struct rebase b = { .im = im, .old = from, .to = parent, .fresh = true };

    return rebase_run(&b, w, e);
}

static int rebase_name(struct image *im, struct image *to, struct err *e)
{
    struct image_make make = { .base = to, .parent_format = to ? to->format->name : NULL };
    char *name = NULL;
    int r = to ? parent_name(to, image_path(im), &name) : 0;

    if (r)
        return err_set(e, r, "%s: cannot be named as a parent", image_path(to));
    make.parent = name;
    pthread_mutex_lock(&im->lock);
    r = im->format->rebase(im, &make, e);
    pthread_mutex_unlock(&im->lock);
    if (!r && (r = image_flush(im)))
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    free(name);
    return r;
}

int image_rebase(struct image *im, const struct image_open *parent, bool name_only,
                 const struct image_work *w, struct err *e)
{
    struct rebase b = { .im = im, .old = im->parent };
    int r;

    if (!im->writable || !im->format->rebase)
        return err_set(e, -EOPNOTSUPP, "%s: the parent of a %s image cannot be changed",
                       image_path(im), im->format->name);
    if (!parent && im->format->can & KEEPS_PARENT)
        return err_set(
            e, -EOPNOTSUPP,
            "%s: a %s image over a parent stays one; a conversion makes a whole disk of it",
            image_path(im), im->format->name);
    if (parent && (r = image_open(&b.to, parent, e)))
        return r;
    r = 0;
    for (struct image *c = b.to; !r && c; c = c->parent)
        if (c->files[0].dev == im->files[0].dev && c->files[0].ino == im->files[0].ino)
            r = err_set(e, -ELOOP, "%s: would be its own parent", image_path(im));
    if (!r && !name_only)
        r = rebase_run(&b, w, e);
    if (!r && (r = image_flush(im)))
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    if (!r)
        r = rebase_name(im, b.to, e);
    if (b.to)
        image_close(b.to, NULL);
    return r;
}
