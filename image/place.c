/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the guest's bytes lie on the host: which image of the chain, which file, which offset. */
#include "image/walk_int.h"
#include <errno.h>
#include <string.h>

static int place_at(struct image *im, u64 off, struct image_place *p)
{
    struct extent x = { 0 };
    int r = im->format->map(im, off, &x);

    if (r || !x.len)
        return r ? r : -EIO;
    p->len = min_u64(p->len, x.len);
    switch (x.kind) {
    case EXT_DATA:
        p->kind = image_file_stored(im, x.file, x.at, &p->len) ? IMAGE_DATA : IMAGE_ZERO;
        p->file = im->files[x.file].path;
        p->at = im->files[x.file].offset + x.at;
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
