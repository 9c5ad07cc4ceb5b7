/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the guest's bytes lie on the host: which image of the chain, which file, which offset. */
#include "image/walk_int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A hole of the host file is as good as zero; at the end of the file one begins. */
static void place_in_file(struct image *im, const struct extent *x, struct image_place *p)
{
    const struct image_file *f = &im->files[x->file];
    u64 end = image_file_length(im, x->file), at = f->offset + x->at;
    off_t data, hole;

    p->file = f->path;
    p->at = at;
    if (x->at >= end) {
        p->kind = IMAGE_ZERO;
        return;
    }
    p->len = min_u64(p->len, end - x->at);
    data = lseek(f->fd, (off_t)at, SEEK_DATA);
    if (data < 0)
        p->kind = errno == ENXIO ? IMAGE_ZERO : IMAGE_DATA;
    if (data < 0)
        return;
    p->kind = (u64)data > at ? IMAGE_ZERO : IMAGE_DATA;
    hole = (u64)data > at ? data : lseek(f->fd, data, SEEK_HOLE);
    if (hole > (off_t)at)
        p->len = min_u64(p->len, (u64)hole - at);
}

static int place_at(struct image *im, u64 off, struct image_place *p)
{
    struct extent x = { 0 };
    int r = im->format->map(im, off, &x);

    if (r || !x.len)
        return r ? r : -EIO;
    p->len = min_u64(p->len, x.len);
    switch (x.kind) {
    case EXT_DATA:
        place_in_file(im, &x, p);
        return 0;
    case EXT_PACKED:
    case EXT_SEALED:
        p->kind = IMAGE_DATA;
        p->packed = x.kind == EXT_PACKED;
        p->sealed = x.kind == EXT_SEALED;
        p->file = im->files[x.file].path;
        p->at = im->files[x.file].offset + x.at;
        return 0;
    case EXT_ZERO:
        return 0;
    case EXT_PARENT:
        break;
    }
    if (!im->parent || off >= im->parent->size)
        return 0;
    p->depth++;
    p->len = min_u64(p->len, im->parent->size - off);
    return place_at(im->parent, off, p);
}

/* Does b go on where a ends? */
static bool place_follows(const struct image_place *a, const struct image_place *b)
{
    if (a->kind != b->kind || a->depth != b->depth || a->packed || b->packed || a->file != b->file)
        return false;
    return !a->file || a->at + a->len == b->at;
}

int image_place_some(struct image *im, u64 off, struct image_place *p)
{
    *p = (struct image_place){ .kind = IMAGE_ZERO, .len = im->size - off };
    return place_at(im, off, p);
}

int image_place(struct image *im, u64 off, struct image_place *p, struct err *e)
{
    struct image_place next;
    int r;

    *p = (struct image_place){ .kind = IMAGE_ZERO, .len = off < im->size ? im->size - off : 0 };
    if (!p->len)
        return err_set(e, -EINVAL, "%s: offset %llu is behind its end", image_path(im),
                       (unsigned long long)off);
    r = place_at(im, off, p);
    if (r)
        return err_set(e, r, "%s: offset %llu: %s", image_path(im), (unsigned long long)off,
                       strerror(-r));
    for (off += p->len; off < im->size; off += next.len) {
        next = (struct image_place){ .kind = IMAGE_ZERO, .len = im->size - off };
        if (place_at(im, off, &next) || !place_follows(p, &next))
            break;
        p->len += next.len;
    }
    return 0;
}
